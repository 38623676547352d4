//! What users might be told, on a journal of the real master: what never was breaks its rule, and what was does not.

use super::*;
use crate::swarm::{
    history::{Answer, Ended, History, Outcome},
    judge::{
        names::Names,
        replay::Replay,
        sessions::{LOST, STALE, Sessions},
    },
    script::{Release, State, Tell},
};
use rusqlite::Connection;
use serde_json::json;
use slap_impl::{master::decisions::decide, store::journal_after};
use slap_model::Rule;
use std::time::Duration;

const A: &str = "http://web/a/software.cfg";
const NEVER: &str = "view-is-true";

/// What was committed: a computer with two partitions at entry 1, a release at 2, instance 0 at 3, in the first partition, started at 4;
/// a bang of its computer at 5, and what a user published for it at 6.
fn journal() -> Vec<JournalEntry> {
    let database = Connection::open_in_memory().expect("it needs no file");
    slap_impl::store::migrate(&database, "0123456789abcdef").expect("it is empty");
    let partition = |number: u32| json!({ "reference": format!("slappart{number}"), "addresses": [["lo", format!("127.0.1.{number}"), "255.0.0.0"]] });
    let request = json!({
        "command": "request", "title": "instance-0", "release": A, "software_type": "default",
        "parameters": sessions::document(1), "filter": {}, "state": "started",
    });
    let mut commands: Vec<Command> = [
        json!({ "command": "format", "computer": "COMP-1", "address": "", "netmask": "", "partitions": [partition(0), partition(1)] }),
        json!({ "command": "supply", "computer": "COMP-1", "url": A, "state": "available" }),
        request,
        json!({ "command": "report-instance", "computer": "COMP-1", "partition": "slappart0", "report": { "report": "started" }, "about": null }),
    ]
    .map(|command| serde_json::from_value(command).expect("it is one"))
    .into();
    let tells = [Tell::BangComputer { node: 1, rpc: true }, Tell::Publish { title: 0, note: 2 }];
    commands.extend(tells.map(|tell| command(tell).expect("it changes something")));
    for (command, at) in commands.iter().zip(1..) {
        let decided = decide(&database, at, None, command).expect("it is well");
        assert_eq!(decided.answer.sequence, Some(at), "{command:?} changes something");
    }
    journal_after(&database, 0, 100).expect("it is there")
}

/// A user's operation that began when the first entry was the newest, and ended when the last one was.
fn done(what: Event, first: i64, last: i64, answer: Answer) -> Operation {
    let (began, at) = (Duration::from_secs(1), Duration::from_secs(2));
    let ended = Some(Ended { at, last: Some(last), outcome: Outcome::Answer(answer) });
    Operation { user: 1, began, what, first, ended }
}

/// The rule that a history breaks; none when it breaks none.
fn broken(operations: Vec<Operation>) -> Option<String> {
    let mut sessions = Sessions::new([A.to_owned(), "http://web/b/software.cfg".to_owned()]);
    let mut replay = Replay::new(Names::new([computer(1)]), true, false);
    for entry in journal() {
        sessions.note(&entry);
        is_nobodys(&entry).expect("nobody strange asked for it");
        replay.step(&entry).expect("the master does as the model");
    }
    let request =
        Event::Request { user: 1, title: 0, release: Release::A, node: None, note: 1, state: State::Started };
    let supply = Event::Supply { user: 1, node: 1, release: Release::A, removed: false };
    let tells = [Tell::BangComputer { node: 1, rpc: true }, Tell::Publish { title: 0, note: 2 }];
    let asked = tells.map(|tell| Event::Tell { user: 1, tell }).into_iter().chain([request, supply]);
    let nameless =
        asked.map(|what| Operation { user: 9, began: Duration::ZERO, what, first: 0, ended: None });
    let history = History::of(nameless.chain(operations).collect());
    sessions.look(&history, &replay.versions, 0).err().map(|(rule, ..)| rule)
}

#[track_caller]
fn check(expected: Option<&str>, look: Look, first: i64, told: Told) {
    let shown = format!("{look:?} {told:?}");
    let operation = done(Event::Look { user: 1, look }, first, 6, Answer::Told(told));
    assert_eq!(broken(vec![operation]).as_deref(), expected, "{shown}");
}

fn report(text: &str, is_new: bool) -> Report {
    Report { text: text.to_owned(), is_nothing: text.is_empty(), is_new }
}

const WELL: &str = "#access Instance correctly started";

#[test]
fn computers_are_told_as_they_were() {
    let names = |names: &[&str]| Told::Computers(names.iter().map(|name| (*name).to_owned()).collect());
    check(None, Look::Computers, 1, names(&["COMP-1"]));
    check(None, Look::Computers, 0, names(&[]));
    check(Some(STALE), Look::Computers, 1, names(&[]));
    check(Some(NEVER), Look::Computers, 1, names(&["COMP-1", "COMP-2"]));

    let page = |reported: Option<Report>, releases: &[&str]| Told::Computer {
        partitions: reported.map(|report| ("slappart0".to_owned(), report)).into_iter().collect(),
        releases: releases.iter().map(|url| (*url).to_owned()).collect(),
    };
    let look = Look::Computer { node: 1 };
    check(None, look, 1, page(None, &[]));
    check(None, look, 3, page(Some(report("", true)), &[A]));
    check(None, look, 4, page(Some(report(WELL, true)), &[A]));
    check(None, look, 4, page(Some(report(WELL, false)), &[A]));
    check(Some(STALE), look, 5, page(Some(report(WELL, true)), &[A]));
    // The release of one moment with the instance of another.
    check(Some(NEVER), look, 0, page(Some(report("", true)), &[]));
    check(Some(STALE), look, 1, Told::Nothing);
    check(None, Look::Computer { node: 2 }, 1, Told::Nothing);

    let look = Look::ComputerStatus { node: 1, rpc: true };
    check(None, look, 1, Told::Heard(Some("#access COMP-1".to_owned())));
    check(None, look, 1, Told::Heard(None));
    check(None, look, 5, Told::Heard(Some(format!("#error bang: {COMPLAINT}"))));
    check(Some(NEVER), look, 1, Told::Heard(Some("#error bang: of somebody else".to_owned())));
    let early = Event::Look { user: 1, look };
    let bang = Answer::Told(Told::Heard(Some(format!("#error bang: {COMPLAINT}"))));
    assert_eq!(broken(vec![done(early, 1, 4, bang)]).as_deref(), Some(NEVER));
}

#[test]
fn partitions_are_told_as_they_were() {
    let (own, other) = (Look::Partition { node: 1, partition: 0 }, Look::Partition { node: 1, partition: 1 });
    let tenant = |published: Json, text: &str| {
        Told::Tenant(Box::new(json!({
            "title": "instance-0", "instance_guid": "instance-0______0", "software_release_uri": A,
            "software_type": "default", "state": "started", "parameters": { "note": "1" },
            "connection_parameters": published, "computer_guid": "COMP-1", "compute_partition_id": "slappart0",
            "processing_timestamp": 0, "access_status_message": text,
        })))
    };
    check(None, own, 2, Told::Nothing);
    check(Some(STALE), own, 3, Told::Nothing);
    check(None, own, 3, tenant(json!({}), ""));
    check(Some(STALE), own, 4, tenant(json!({}), ""));
    check(None, own, 5, tenant(json!({}), WELL));
    check(None, own, 5, tenant(json!({ "note": "2" }), WELL));
    check(Some(STALE), own, 6, tenant(json!({}), WELL));
    check(Some(NEVER), own, 0, tenant(json!({ "note": "2" }), ""));
    check(None, other, 6, Told::Nothing);
    check(Some(NEVER), other, 0, tenant(json!({}), WELL));

    let status = Look::PartitionStatus { node: 1, partition: 0 };
    check(None, status, 4, Told::Report(report(WELL, true)));
    check(Some(STALE), status, 4, Told::Report(report("", true)));
    // While it was free it might have been so.
    check(Some(STALE), status, 3, Told::Report(report("#error no", true)));
    check(Some(NEVER), Look::PartitionStatus { node: 1, partition: 7 }, 3, Told::Report(report("", true)));

    let addresses = |own: &[&str]| {
        Told::Addresses(own.iter().map(|address| ("lo".to_owned(), (*address).to_owned())).collect())
    };
    let look = Look::Addresses { node: 1, partition: 0 };
    check(None, look, 3, addresses(&["127.0.1.0"]));
    check(Some(NEVER), look, 3, addresses(&["127.0.1.1"]));
    check(Some(STALE), look, 3, addresses(&[]));
    check(None, Look::Addresses { node: 1, partition: 1 }, 3, addresses(&[]));
    check(Some(NEVER), Look::Addresses { node: 1, partition: 1 }, 3, addresses(&["127.0.1.1"]));
    check(None, Look::PartitionCertificate { node: 1, partition: 1 }, 1, Told::Something);
    check(Some(NEVER), Look::PartitionCertificate { node: 2, partition: 1 }, 1, Told::Something);
}

#[test]
fn instances_are_found_as_they_were() {
    let (certificate, search) = (Look::Certificate { title: 0 }, Look::Search { title: 0 });
    check(None, certificate, 3, Told::Something);
    check(Some(STALE), certificate, 3, Told::Nothing);
    check(None, search, 3, Told::Found(A.to_owned()));
    check(Some(NEVER), search, 3, Told::Found("http://web/b/software.cfg".to_owned()));
    check(Some(NEVER), Look::Search { title: 1 }, 3, Told::Found(A.to_owned()));
    check(None, Look::Hosted { title: 1 }, 3, Told::Nothing);

    let wait = |goal| Look::Wait { title: 0, goal, seconds: 5 };
    check(None, wait(Goal::Green), 4, Told::Waited { is_so: true });
    check(Some(STALE), wait(Goal::Green), 5, Told::Waited { is_so: true });
    check(Some(NEVER), wait(Goal::Stopped), 0, Told::Waited { is_so: true });
    check(None, wait(Goal::Stopped), 4, Told::Waited { is_so: false });
    check(Some(STALE), wait(Goal::Green), 4, Told::Waited { is_so: false });
    check(Some(STALE), wait(Goal::Destroyed), 4, Told::Waited { is_so: true });
    check(None, wait(Goal::Destroyed), 4, Told::Waited { is_so: false });
    check(None, wait(Goal::Allocated), 4, Told::Waited { is_so: true });
}

#[test]
fn the_journal_is_told_without_a_gap() {
    let event = |number: usize| {
        let entry = &journal()[number - 1];
        let command: Command = serde_json::from_str(&entry.command).expect("it is one");
        json!({
            "sequence": entry.sequence, "time": format!("1970-01-01T00:00:00.{:06}Z", entry.at), "who": "user",
            "what": command.describe(), "command": serde_json::from_str::<Json>(&entry.command).expect("it is JSON"),
            "answer": serde_json::from_str::<Json>(&entry.answer).expect("it is JSON"),
        })
    };
    let page = |since, newest, events: Vec<Json>| {
        let ends = Some(("d".to_owned(), 1, newest));
        Told::Events(Box::new(Page { since, ends, events, is_cut: false }))
    };
    let look = Look::Events { again: true, wait: 0 };
    check(None, look, 3, page(2, 4, vec![event(3), event(4)]));
    check(None, look, 6, page(6, 6, vec![]));
    check(Some(TOLD), look, 3, page(2, 4, vec![event(3)]));
    check(Some(TOLD), look, 3, page(2, 4, vec![event(4)]));
    check(Some(TOLD), look, 3, page(1, 3, vec![event(3), event(2)]));
    check(Some(TOLD), look, 3, page(2, 2, vec![]));
    check(Some(TOLD), look, 3, page(5, 7, vec![event(6), json!({ "sequence": 7 })]));
    for (key, value) in [
        ("time", json!("1970-01-01T00:00:00.000009Z")),
        ("what", json!("x")),
        ("who", json!("")),
        ("answer", json!({})),
    ] {
        let mut other = event(3);
        other[key] = value;
        check(Some(TOLD), look, 3, page(2, 3, vec![other]));
    }
    let printed = |events, is_cut| {
        let lines = Told::Events(Box::new(Page { since: 2, ends: None, events, is_cut }));
        done(Event::Look { user: 1, look }, 4, 6, Answer::Told(lines))
    };
    assert_eq!(broken(vec![printed(vec![event(3), event(4)], false)]), None);
    assert_eq!(broken(vec![printed(vec![event(3)], false)]).as_deref(), Some(TOLD));
    assert_eq!(broken(vec![printed(vec![event(3)], true)]), None);
    assert_eq!(broken(vec![printed(vec![event(4)], true)]).as_deref(), Some(TOLD));
    let other = Told::Events(Box::new(Page {
        since: 6,
        ends: Some(("e".to_owned(), 1, 6)),
        events: Vec::new(),
        is_cut: false,
    }));
    let read = |told| done(Event::Look { user: 1, look }, 6, 6, Answer::Told(told));
    assert_eq!(broken(vec![read(page(6, 6, vec![])), read(other)]).as_deref(), Some(TOLD));
}

#[test]
fn a_run_has_one_name() {
    let run = |id: &str, pid| {
        let life = Some(Identity { pid, start_time: 1 });
        let told = Told::RunId { id: id.to_owned(), life };
        done(Event::Look { user: 1, look: Look::RunId }, 3, 3, Answer::Told(told))
    };
    assert_eq!(broken(vec![run("a", 1), run("a", 1), run("b", 2)]), None);
    assert_eq!(broken(vec![run("a", 1), run("b", 1)]).as_deref(), Some(RUN));
    assert_eq!(broken(vec![run("a", 1), run("a", 2)]).as_deref(), Some(RUN));
}

#[test]
fn what_is_told_and_typed_is_done() {
    let tell =
        |tell, first, last| broken(vec![done(Event::Tell { user: 1, tell }, first, last, Answer::Done)]);
    let bang = Tell::BangComputer { node: 1, rpc: false };
    assert_eq!(tell(bang, 4, 5), None);
    assert_eq!(tell(bang, 5, 6).as_deref(), Some(LOST));
    let publish = Tell::Publish { title: 0, note: 2 };
    assert_eq!(tell(publish, 5, 6), None);
    assert_eq!(tell(publish, 6, 6), None);
    assert_eq!(tell(publish, 4, 5).as_deref(), Some(LOST));
    assert_eq!(tell(Tell::Bang { title: 0 }, 0, 6).as_deref(), Some(LOST));
    assert_eq!(tell(Tell::Usage { node: 1, rpc: true }, 0, 0), None);

    let typed = |note, published: &Json, first, last| {
        let what = Event::Request {
            user: 1,
            title: 0,
            release: Release::A,
            node: None,
            note,
            state: State::Started,
        };
        let told = Told::Published(crate::swarm::told::document(published));
        broken(vec![done(what, first, last, Answer::Told(told))])
    };
    assert_eq!(typed(1, &json!({}), 2, 3), None);
    assert_eq!(typed(1, &json!({ "note": "2" }), 2, 6), None);
    assert_eq!(typed(1, &json!({ "note": "2" }), 2, 3).as_deref(), Some(LOST));
    assert_eq!(typed(2, &json!({}), 2, 3).as_deref(), Some(LOST));
}

#[test]
fn what_a_stranger_sends_is_nobodys() {
    let mut entry = journal().remove(1);
    assert!(is_nobodys(&entry).is_ok());
    entry.command = entry.command.replace(A, "http://stranger/");
    assert_eq!(is_nobodys(&entry).unwrap_err().0, strangers::RULE);
}

#[test]
fn the_rules_of_the_model_have_that_name() {
    assert_eq!(Rule::ViewIsTrue.name(), NEVER);
}
