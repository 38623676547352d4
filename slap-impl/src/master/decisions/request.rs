//! An instance is asked for.
//!
//! Known by its title, an instance keeps its partition, whatever is asked of it later. A new one is given the first free
//! partition of the computer that `computer_guid` names; without one, of the first computer that has any: the
//! default computer (where slapproxy always looks), then the others in the natural order of their references.

use super::{Answer, Decision, Desk, Refusal, enumerate};
use crate::{
    store::{self, Instance, NewInstance, Subject},
    vocabulary::{ComputerId, InstanceTitle, PartitionId, RequestedState, SoftwareUrl},
};
use std::collections::BTreeMap;

/// What is asked for.
pub(super) struct Wish<'a> {
    pub(super) title: &'a InstanceTitle,
    pub(super) release: &'a SoftwareUrl,
    pub(super) software_type: &'a str,
    pub(super) parameters: &'a str,
    pub(super) filter: &'a BTreeMap<String, String>,
    pub(super) state: Option<RequestedState>,
}

impl Desk<'_> {
    pub(super) fn request(&mut self, wish: &Wish<'_>) -> Decision {
        let (computer, partition) = match store::instance_titled(self.connection, wish.title)? {
            Some(instance) => self.update(&instance, wish)?,
            None => self.allocate(wish)?,
        };
        let given = self.require_partition(&computer, &partition)?;
        Ok(Answer::Given(Box::new(given)))
    }

    fn update(&mut self, before: &Instance, wish: &Wish<'_>) -> Decision<(ComputerId, PartitionId)> {
        let state = wish.state.unwrap_or(before.state);
        let place = (before.computer.clone(), before.partition.clone());
        let same = state == before.state
            && wish.release == &before.release
            && wish.software_type == before.software_type
            && wish.parameters == before.parameters;
        if !same {
            let partition = self.require_partition(&place.0, &place.1)?;
            store::update_instance(self.connection, wish.stored(&place, state))?;
            self.renew(&place.0, &place.1, partition.timestamp)?;
        }
        Ok(place)
    }

    fn allocate(&mut self, wish: &Wish<'_>) -> Decision<(ComputerId, PartitionId)> {
        let state = wish.state.unwrap_or(RequestedState::Started);
        if state == RequestedState::Destroyed {
            // Otherwise a partition would be taken only to be emptied, as slapproxy does.
            return Err(Refusal::new(
                404,
                format!("there is no instance {:?} to destroy", wish.title.as_str()),
            )
            .hint("it is gone already, or has another title: see `slap service list`")
            .into());
        }
        let computers = self.candidates(wish)?;
        for computer in &computers {
            let Some(partition) = store::free_partition(self.connection, computer)? else { continue };
            let timestamp = self.require_partition(computer, &partition)?.timestamp;
            let place = (computer.clone(), partition);
            store::insert_instance(self.connection, wish.stored(&place, state))?;
            store::clear_access_status(self.connection, Subject::Partition(&place.0, &place.1))?;
            self.renew(&place.0, &place.1, timestamp)?;
            return Ok(place);
        }
        Err(self.nothing_free(wish, &computers)?.into())
    }

    /// The computers to look at, in order.
    fn candidates(&self, wish: &Wish<'_>) -> Decision<Vec<ComputerId>> {
        for (key, value) in wish.filter {
            let shown: String = value.chars().take(80).collect();
            match key.as_str() {
                "computer_guid" => {}
                // The real master takes these for parameters of the instance (its SoftwareInstance allocation).
                "retention_delay"
                | "fw_restricted_access"
                | "fw_rejected_sources"
                | "fw_authorized_sources" => {}
                _ => {
                    return Err(Refusal::new(
                        400,
                        format!("{key}={shown} is not understood as a place for an instance: expected computer_guid"),
                    )
                    .hint("leave it out, or name the computer with computer_guid=COMPUTER")
                    .into());
                }
            }
        }
        if let Some(guid) = wish.filter.get("computer_guid") {
            let computer: ComputerId = guid.parse().map_err(|error: crate::vocabulary::BadId| {
                Refusal::new(404, error.to_string()).hint("see `slap computer list`")
            })?;
            self.require_computer(&computer)?;
            return Ok(vec![computer]);
        }
        let computers = store::computers(self.connection)?.into_iter().map(|computer| computer.reference);
        let (mut first, others): (Vec<_>, Vec<_>) =
            computers.partition(|computer| Some(computer) == self.default_computer);
        first.extend(others);
        Ok(first)
    }

    fn nothing_free(&self, wish: &Wish<'_>, computers: &[ComputerId]) -> rusqlite::Result<Refusal> {
        let mut looked_at = Vec::new();
        for computer in computers {
            let partitions = store::partitions(self.connection, computer)?;
            let busy = partitions.iter().filter(|partition| partition.instance.is_some()).count();
            looked_at.push(match partitions.len() {
                0 => format!("{computer} (no partitions)"),
                all => format!("{computer} ({busy} of {all} partitions busy)"),
            });
        }
        let names: Vec<&str> = looked_at.iter().map(String::as_str).collect();
        let message = format!(
            "no free partition for {:?}; computers looked at: {}",
            wish.title.as_str(),
            enumerate(&names)
        );
        let hint = if computers.is_empty() {
            "no node has registered yet: `slap node format` does it"
        } else {
            "destroy an instance that is not needed any more, or give a node more partitions and format it"
        };
        Ok(Refusal::new(404, message).hint(hint))
    }
}

impl<'a> Wish<'a> {
    fn stored(&'a self, place: &'a (ComputerId, PartitionId), state: RequestedState) -> NewInstance<'a> {
        NewInstance {
            computer: &place.0,
            partition: &place.1,
            title: self.title,
            release: self.release,
            software_type: self.software_type,
            parameters: self.parameters,
            state,
        }
    }
}
