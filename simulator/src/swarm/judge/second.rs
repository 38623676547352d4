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
        let title = command["title"].clone();
        let filter = command["filter"].as_object_mut();
        let source = filter.and_then(|filter| filter.remove("source_instance_id"));
        // Whoever asked otherwise did not come through the first master.
        if source.as_ref() == Some(&title) {
            command["title"] = title.as_str().map(as_asked).unwrap_or_default().into();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm::{
        history::{Answer, Ended, Outcome},
        script::Release,
    };
    use std::time::Duration;

    fn asked(title: u32, state: State, seconds: (u64, u64), outcome: Outcome) -> Operation {
        let what = Event::Request { user: 1, title, release: Release::A, node: None, note: 0, state };
        let (began, at) = (Duration::from_secs(seconds.0), Duration::from_secs(seconds.1));
        Operation { user: 1, began, what, first: 0, ended: Some(Ended { at, last: None, outcome }) }
    }

    #[test]
    fn what_was_answered_last_is_remembered_unless_it_is_gone() {
        let yes = || Outcome::Answer(Answer::Done);
        let lost = || Outcome::Unknown("reset".to_owned());
        let no = || Outcome::Refused { status: 404, message: "no".to_owned() };
        let started = |seconds, outcome| asked(1, State::Started, seconds, outcome);
        let destroyed = |seconds, outcome| asked(1, State::Destroyed, seconds, outcome);
        for (operations, if_remembered, if_forgotten) in [
            (vec![started((1, 2), yes())], true, false),
            (vec![started((1, 2), yes()), destroyed((3, 4), yes())], false, true),
            (vec![destroyed((1, 2), yes()), started((3, 4), yes()), destroyed((5, 6), no())], true, false),
            // Nobody knows which of them came last, or whether what was not answered happened.
            (vec![started((1, 4), yes()), destroyed((3, 5), yes())], true, true),
            (vec![started((1, 2), yes()), destroyed((3, 4), lost())], true, true),
            (vec![started((1, 2), no())], true, true),
        ] {
            let history = History::of(operations.clone());
            let is_well = |is_remembered: bool| {
                let asked = |name: &str| name == "user_far-1" && is_remembered;
                check_remembered(&history, asked).map_err(|(rule, ..)| assert_eq!(rule, RULE)).is_ok()
            };
            assert_eq!((is_well(true), is_well(false)), (if_remembered, if_forgotten), "{operations:?}");
        }
    }

    #[test]
    fn what_the_first_master_asked_is_read_as_a_users() {
        let entry = |command: &str| JournalEntry {
            sequence: 1,
            at: 1,
            command: command.to_owned(),
            answer: String::new(),
        };
        let check = |command: &str, expected: &str| {
            let found: Json = serde_json::from_str(&entry_as_asked(&entry(command)).command).unwrap();
            assert_eq!(found, serde_json::from_str::<Json>(expected).unwrap(), "{command}");
        };
        check(
            r#"{"command":"request","title":"user_far-3","filter":{"source_instance_id":"user_far-3"}}"#,
            r#"{"command":"request","title":"instance-3","filter":{}}"#,
        );
        // That is none of the first master's, and nobody in a swarm has such a title.
        let other = r#"{"command":"request","title":"user_far-3","filter":{}}"#;
        check(other, other);
        let format = r#"{"command":"format","computer":"COMP-2"}"#;
        check(format, format);
    }
}
