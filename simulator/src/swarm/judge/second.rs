//! The judge of a second master: its journal and rows as they would be if users had asked it themselves, and what the first master
//! remembers of it.

use super::replay::Broken;
use crate::{
    differential::rows::Rows,
    swarm::{
        history::{History, Operation},
        script::{Event, State},
        users::second::as_asked,
    },
};
use serde_json::Value as Json;
use slap_impl::store::JournalEntry;
use std::collections::BTreeMap;

/// The rule that is broken when the first master forgot what it passed on, or remembers what is gone.
pub(super) const RULE: &str = "passed-on-is-remembered";

/// The first master asks under another title, and says whose it is.
pub(super) fn entry_as_asked(entry: &JournalEntry) -> JournalEntry {
    let mut command: Json = serde_json::from_str(&entry.command).unwrap_or_default();
    if command["command"] == "request" {
        let title = command["title"].as_str().map(as_asked).unwrap_or_default();
        let filter = command["filter"].as_object_mut();
        let source = filter.and_then(|filter| filter.remove("source_instance_id"));
        // Whoever asked otherwise did not come through the first master.
        if source
            .is_some_and(|source| title == as_asked(&format!("user_{}", source.as_str().unwrap_or_default())))
        {
            command["title"] = title.into();
        }
    }
    JournalEntry { command: command.to_string(), ..entry.clone() }
}

/// The same of what it holds.
pub(super) fn rows_as_asked(mut rows: Rows) -> Rows {
    rows.instances.iter_mut().for_each(|row| row.title = as_asked(&row.title));
    rows
}

/// Each title about which all was answered and nothing repeated is remembered by the first master, unless it was to be destroyed.
pub(super) fn check_remembered(
    history: &History,
    is_remembered: impl Fn(&str) -> bool,
) -> Result<(), Broken> {
    let mut titles: BTreeMap<u32, Vec<Operation>> = BTreeMap::new();
    for operation in history.operations() {
        if let Event::Request { title, .. } = operation.what {
            titles.entry(title).or_default().push(operation);
        }
    }
    for (title, operations) in titles {
        let is_open =
            operations.iter().any(|it| it.ended.as_ref().is_none_or(|ended| ended.outcome.is_open()));
        let mut answered = operations
            .iter()
            .filter_map(|it| Some((it, it.ended.as_ref()?)))
            .filter(|(_, ended)| ended.outcome.is_answer());
        let Some((last, _)) = answered.clone().max_by_key(|(_, ended)| ended.at) else { continue };
        let overlaps = answered.any(|(it, ended)| it.began != last.began && ended.at >= last.began);
        let Event::Request { state, .. } = last.what else { continue };
        let name = format!("user_far-{title}");
        if is_open || overlaps || is_remembered(&name) == (state != State::Destroyed) {
            continue;
        }
        let what = format!("it was last answered for {:?}, and the first master says otherwise", last.what);
        return Err((RULE.to_owned(), name, what));
    }
    Ok(())
}
