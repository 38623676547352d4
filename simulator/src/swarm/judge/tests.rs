//! Runs are clean and were judged; what is planted into a database is found.

mod trees;

use super::*;
use crate::swarm::{Plan, run};
use slap_impl::master::decisions::decide;

const COMMANDS: [&str; 3] = [
    r#"{"command":"format","computer":"COMP-1","address":"","netmask":"","partitions":[{"reference":"slappart0","addresses":[]}]}"#,
    r#"{"command":"supply","computer":"COMP-1","url":"http://a/software.cfg","state":"available"}"#,
    r#"{"command":"request","title":"one","release":"http://a/software.cfg","software_type":"default",
        "parameters":"<instance/>","filter":{},"state":"started"}"#,
];

/// The rule that is broken after a change of a database that these commands made, between two looks; none when none is.
fn rule_after(commands: &[&str], has_trees: bool, change: &str, entries_max: i64) -> Option<String> {
    let database = Connection::open_in_memory().unwrap();
    slap_impl::store::migrate(&database, "0123456789abcdef").unwrap();
    for (at, command) in (1..).zip(commands) {
        let command = serde_json::from_str(command).unwrap_or_else(|error| panic!("{command}: {error}"));
        let decided = decide(&database, at, None, &command).unwrap();
        assert!(decided.answer.sequence.is_some(), "{command:?} changes something");
    }
    let replay = Replay::new(Names::new([computer(1)]), true, has_trees);
    let mut book = Book::new(replay, Sessions::new(Default::default()), entries_max);
    let mut look = || {
        let (entries, rows) = (journal_after(&database, 0, 100).unwrap(), Rows::of(&database).unwrap());
        let result = book.judge(book.seen.len(), &entries, Some(&rows));
        database.execute_batch(change).unwrap();
        result
    };
    assert_eq!(look(), Ok(()), "before the change all is well");
    look().err().map(|(rule, ..)| rule)
}

#[test]
fn what_is_planted_between_two_looks_is_found() {
    let check = |change: &str, expected: Option<&str>| {
        assert_eq!(
            rule_after(&COMMANDS, false, change, JOURNAL_ENTRIES_MAX).as_deref(),
            expected,
            "{change}"
        );
    };
    check("", None);
    check("UPDATE partition SET timestamp = timestamp + 1", Some("journal-is-the-model"));
    check("UPDATE instance SET state = 'stopped'", Some("journal-is-the-model"));
    check("UPDATE supply SET state = 'destroyed'", Some("journal-is-the-model"));
    check("DELETE FROM journal WHERE sequence = 3", Some("journal-went-back"));
    check("UPDATE journal SET answer = replace(answer, 'slappart0', 'slappart1')", Some("journal-went-back"));
    check(
        "INSERT INTO journal (at, command, answer, bytes) SELECT at, command, replace(answer, 'slappart0', 'slappart1'), bytes
         FROM journal WHERE sequence = 3",
        Some("journal-is-the-model"),
    );
}

#[test]
fn what_the_master_keeps_no_longer_is_not_missed() {
    let first = "DELETE FROM journal WHERE sequence = 1";
    assert_eq!(rule_after(&COMMANDS, false, first, 2), None);
    assert_eq!(rule_after(&COMMANDS, false, first, 3).as_deref(), Some(WENT_BACK));
    assert_eq!(
        rule_after(&COMMANDS, false, "DELETE FROM journal WHERE sequence = 2", 2).as_deref(),
        Some(WENT_BACK)
    );
}

#[test]
fn there_are_names_for_many_texts() {
    let mut names = Names::new([]);
    let numbers: Vec<_> =
        (0..1000).map(|number| names.title(&format!("title {number}")).unwrap().0).collect();
    assert_eq!(numbers, (0..1000).collect::<Vec<_>>());
    let refused = (0..=65_536).find_map(|number| names.release(&format!("http://a/{number}")).err());
    assert!(refused.is_some_and(|error| error.contains("one text too many")));
}

#[test]
fn runs_are_clean_and_judged() {
    let (mut entries, mut answers) = (BTreeMap::new(), BTreeMap::new());
    for (profile, seeds) in [(Profile::Swarm, 4), (Profile::Crash, 1)] {
        for seed in 1..=seeds {
            let outcome = run(&Plan::draw(seed, profile));
            assert_eq!(outcome.finding, None, "{} {seed}", profile.as_str());
            assert!(outcome.judged.looks > 0 && outcome.judged.comparisons > 0, "{:?}", outcome.judged);
            for (kind, count) in outcome.judged.entries {
                *entries.entry(kind).or_insert(0) += count;
            }
            for (kind, count) in outcome.judged.answers {
                *answers.entry(kind).or_insert(0) += count;
            }
        }
    }
    let of_trees = [
        "request by a partition",
        "request of a shared instance by a user",
        "request of a shared instance by a partition",
    ];
    let of_all = ["format", "supply", "request by a user", "release available", "instance started", "rename"];
    for kind in of_all.into_iter().chain(of_trees) {
        assert!(entries.get(kind).is_some_and(|count| *count > 0), "{kind}: {entries:?}");
    }
    let of_trees = ["request shared", "read shared", "read hosted", "read requested", "refusal"];
    let of_all = ["supply", "request", "rename", "bang", "read instance", "read list", "read computer"];
    for kind in of_all.into_iter().chain(of_trees) {
        assert!(answers.get(kind).is_some_and(|count| *count > 0), "{kind}: {answers:?}");
    }
}
