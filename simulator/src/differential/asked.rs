//! What is asked after a change besides what nodes are told: one partition, what was last reported of it, of a
//! computer and of a release.

use super::{
    answer,
    books::{Books, Kept},
    difference::json,
    names::{BASE_DATE, Name},
    question::{self, Question},
};
use serde_json::{Value as Json, json};
use slap_impl::wire::{marshal::Value, objects::ComputerPartition, status::AccessStatus};
use slap_model::{
    State,
    names::{Computer, Place, Release},
};

/// What is asked of a partition: what stands in it, and what was last reported.
pub(super) fn of_partition(place: Place) -> Vec<Question> {
    let (computer, partition) = (place.computer.text(), place.partition.text());
    vec![
        Question {
            is_post: false,
            endpoint: "registerComputerPartition",
            fields: vec![
                ("computer_reference", computer.clone()),
                ("computer_partition_reference", partition.clone()),
            ],
        },
        Question {
            is_post: false,
            endpoint: "getComputerPartitionStatus",
            fields: vec![("computer_id", computer), ("computer_partition_id", partition)],
        },
    ]
}

/// What is asked of a release: what was last reported.
pub(super) fn of_release(computer: Computer, release: Release) -> Vec<Question> {
    vec![Question {
        is_post: false,
        endpoint: "getSoftwareInstallationStatus",
        fields: vec![("computer_id", computer.text()), ("url", release.text())],
    }]
}

/// What must be told of a partition.
pub(super) fn partition(state: &State, books: &Books, place: Place) -> Json {
    let kept = books.on_partition(place);
    let status = state.slot(place).map(|slot| (slot.rank, slot.status.map(|status| status.about)));
    let is_up_to_date = status.is_none_or(|(rank, about)| about.is_none_or(|about| about >= rank));
    json!({
        "seen": state.view(place.computer).partitions.get(&place.partition),
        "last report": kept.map(|kept| &kept.text),
        "status": status_of(kept, &place.computer.text(), &question::guid(place), "Software Instance", is_up_to_date),
    })
}

/// What must be told of a computer: that it read or reported something, or its bang after that.
pub(super) fn computer(books: &Books, computer: Computer) -> Json {
    let kept = books.on_computer(computer);
    let name = computer.text();
    status_of(kept.as_ref(), &name, &name, "Compute Node", true)
}

/// What must be told of a release.
pub(super) fn release(books: &Books, computer: Computer, release: Release) -> Json {
    let kept = books.on_release(computer, release);
    status_of(kept, &computer.text(), &release.text(), "Software Installation", true)
}

fn status_of(kept: Option<&Kept>, user: &str, reference: &str, about: &str, is_up_to_date: bool) -> Json {
    // All that happens happens in one second.
    json!({
        "user": kept.map_or("SlapOS Master", |_| user),
        "created_at": BASE_DATE,
        "since": BASE_DATE,
        "text": kept.map_or_else(|| format!("#error no data found for {reference}"), |kept| kept.text.clone()),
        "state": kept.map(|kept| kept.state.as_str()).unwrap_or_default(),
        "reference": reference,
        "portal_type": about,
        "no_data": kept.is_none(),
        "is_old": false,
        "up_to_date": kept.is_some() && is_up_to_date,
        "log": kept.map(|kept| kept.log.as_str()).unwrap_or_default(),
    })
}

/// What is told of a partition.
pub(super) fn read_partition(place: Place, answers: &[Value]) -> Json {
    let found = match ComputerPartition::from_value(&answers[0]) {
        Ok(found) => found,
        Err(error) => return error.to_string().into(),
    };
    if (found.computer_id.as_str(), found.partition_id.as_str())
        != (place.computer.text().as_str(), place.partition.text().as_str())
    {
        return format!("another partition: {found:?}").into();
    }
    json!({
        "seen": answer::seen_in(&found, true).map_or_else(Json::from, |seen| json(&seen)),
        "last report": found.access_status,
        "status": read_status(&answers[1]),
    })
}

/// What is told of a report.
pub(super) fn read_status(answer: &Value) -> Json {
    AccessStatus::from_value(answer).map_or_else(|error| error.to_string().into(), |it| shown_status(&it))
}

/// A report, whichever wire it came by.
pub(super) fn shown_status(it: &AccessStatus) -> Json {
    json!({
        "user": it.user,
        "created_at": it.created_at,
        "since": it.since,
        "text": it.text,
        "state": it.state,
        "reference": it.reference,
        "portal_type": it.portal_type,
        "no_data": it.no_data,
        "is_old": it.no_data_since_5_minutes || it.no_data_since_15_minutes,
        "up_to_date": it.up_to_date,
        "log": it.log,
    })
}
