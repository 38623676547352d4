//! Histories made by hand, on a journal of the real master: each bad one breaks its rule, and the good one beside it none.

mod trees;

use super::*;
use crate::swarm::{
    judge::{names::Names, replay::Replay},
    script::State,
};
use rusqlite::Connection;
use slap_impl::{
    master::decisions::decide,
    store::journal_after,
    wire::{
        hateoas::{Row, Service},
        objects::{Computer, ComputerPartition, Instance, OwnPartition, SoftwareInstance, SoftwareRelease},
    },
};

const A: &str = "http://web/a/software.cfg";
const B: &str = "http://web/b/software.cfg";

/// What was committed: instance 0 has note 0 at entry 3, note 1 at 4, note 2 at 5 and note 1 again at 6, each renewed with its entry;
/// release B is removed at 7; instance 0 is renamed to 5 at 8, and its partition banged at 9.
fn journal() -> Vec<JournalEntry> {
    let database = Connection::open_in_memory().expect("it needs no file");
    slap_impl::store::migrate(&database, "0123456789abcdef").expect("it is empty");
    let decide_all = |command: &Command| {
        let at = 1 + journal_after(&database, 0, 100).expect("it is there").len() as i64;
        let decided = decide(&database, at, None, command).expect("it is well");
        assert_eq!(decided.answer.sequence, Some(at), "{command:?} changes something");
    };
    let format = r#"{"command":"format","computer":"COMP-1","address":"","netmask":"","partitions":[{"reference":"slappart0","addresses":[]}]}"#;
    decide_all(&serde_json::from_str(format).expect("it is one"));
    let sessions = sessions();
    let mut wishes = vec![supply(false)];
    wishes.extend([0, 1, 2, 1].map(request));
    wishes.extend([supply(true), Event::Rename { user: 1, title: 0, to: 5 }, bang()]);
    wishes.iter().for_each(|wish| decide_all(&sessions.command(wish).expect("it changes something")));
    journal_after(&database, 0, 100).expect("it is there")
}

fn sessions() -> Sessions {
    Sessions::new([A.to_owned(), B.to_owned()])
}

fn supply(removed: bool) -> Event {
    Event::Supply { user: 1, node: 1, release: Release::B, removed }
}

fn request(note: u32) -> Event {
    Event::Request { user: 1, title: 0, release: Release::A, node: None, note, state: State::Started }
}

fn bang() -> Event {
    Event::Bang { user: 1, node: 1, partition: 0 }
}

fn read(title: u32) -> Event {
    Event::ReadInstance { user: 1, title }
}

/// A user's operation, from one moment to another.
fn done(what: Event, seconds: (u64, u64), first: i64, last: i64, outcome: Outcome) -> Operation {
    let (began, at) = (Duration::from_secs(seconds.0), Duration::from_secs(seconds.1));
    let ended = Some(Ended { at, last: Some(last), outcome });
    Operation { user: what.user().expect("it is a user's"), began, what, first, ended }
}

fn yes(answer: Answer) -> Outcome {
    Outcome::Answer(answer)
}

fn no(status: u16) -> Outcome {
    Outcome::Refused { status, message: "no".to_owned() }
}

fn lost() -> Outcome {
    Outcome::Unknown("reset".to_owned())
}

/// The answer to a request: an instance with that note, renewed with that entry.
fn given(note: u32, entry: i64) -> Outcome {
    yes(Answer::Given(Box::new(SoftwareInstance {
        computer_id: "COMP-1".to_owned(),
        partition_id: "slappart0".to_owned(),
        software_release_url: A.to_owned(),
        software_type: Some("default".to_owned()),
        parameters: BTreeMap::from([("note".to_owned(), Some(note.to_string()))]),
        timestamp: Some(format!("0.{entry:06}")),
        requested_state: Some(requested(State::Started)),
        own: Some(OwnPartition { instance_guid: "COMP-1-slappart0".to_owned(), connection_xml: None }),
        ..SoftwareInstance::default()
    })))
}

/// An instance's document.
fn service(title: &str, note: u32) -> Outcome {
    yes(Answer::Instance(Some(Box::new(Service {
        reference: title.to_owned(),
        requested_state: "started".to_owned(),
        software_release: A.to_owned(),
        software_type: Some("default".to_owned()),
        parameters_xml: Some(document(note)),
        news: Some(vec![serde_json::json!({ "no_data": 1, "text": "#error no data found for it" })]),
        ..Service::default()
    }))))
}

/// What the only node is told, with that note at that entry.
fn node(note: u32, entry: i64, releases: &[(&str, bool)]) -> Answer {
    let release = |url: &str, state| SoftwareRelease {
        url: url.parse().expect("it is a URL"),
        computer_id: computer(1),
        requested_state: state,
    };
    let instance = Instance {
        software_release: release(A, None),
        software_type: "default".to_owned(),
        title: "instance-0".to_owned(),
        root_title: "instance-0".to_owned(),
        parameters: BTreeMap::from([("note".to_owned(), Some(note.to_string()))]),
        addresses: Vec::new(),
        full_addresses: Vec::new(),
        shared_instances: Vec::new(),
        timestamp: Some(format!("0.{entry:06}")),
        connection: BTreeMap::new(),
    };
    let partition = ComputerPartition {
        computer_id: computer(1),
        partition_id: "slappart0".parse().expect("it is a reference"),
        instance_guid: None,
        requested_state: requested(State::Started),
        need_modification: true,
        access_status: None,
        instance: Some(instance),
    };
    let software_releases = releases.iter().map(|(url, removed)| release(url, Some(supplied(*removed))));
    let computer = Computer {
        computer_id: computer(1),
        software_releases: software_releases.collect(),
        partitions: vec![partition],
    };
    Answer::Computer { tag: None, computer: Box::new(computer) }
}

/// The rule that a history breaks, with so many requests that the network repeated; none when it breaks none.
fn broken(repeated: u64, entries: usize, operations: Vec<Operation>) -> Option<String> {
    let mut sessions = sessions();
    let mut replay = Replay::new(Names::new([computer(1)]), true, false);
    for entry in &journal()[..entries] {
        sessions.note(entry);
        replay.step(entry).expect("the master does as the model");
    }
    let history = History::of(operations);
    sessions.look(&history, &replay.versions, repeated).err().map(|(rule, ..)| rule)
}

/// What a history breaks that has the whole journal, apart from entries that nobody in it asked for.
fn told(operations: Vec<Operation>) -> Option<String> {
    let asked = [supply(false), request(0), request(1), request(2), request(1), supply(true)];
    let asked = asked.into_iter().chain([Event::Rename { user: 1, title: 0, to: 5 }, bang()]);
    let nameless =
        asked.map(|what| Operation { user: 9, began: Duration::ZERO, what, first: 0, ended: None });
    broken(0, 9, nameless.chain(operations).collect())
}

fn check(expected: Option<&str>, operations: Vec<Operation>) {
    let shown = format!("{operations:?}");
    assert_eq!(told(operations).as_deref(), expected, "{shown}");
}

#[test]
fn what_was_answered_stands_in_the_journal() {
    let one =
        |what: Event, first: i64, last: i64, outcome: Outcome| vec![done(what, (1, 2), first, last, outcome)];
    check(None, one(request(1), 3, 4, given(1, 4)));
    check(Some(LOST), one(request(1), 3, 3, given(1, 4)));
    // It was so before, and something else came in between.
    check(Some(LOST), one(request(0), 4, 6, given(0, 3)));
    // It was so already: a repetition has no entry of its own.
    check(None, one(request(1), 4, 4, given(1, 4)));
    check(Some(LOST), one(request(1), 4, 4, given(2, 5)));
    check(Some(LOST), one(request(1), 3, 4, given(1, 3)));

    check(None, one(supply(true), 6, 7, yes(Answer::Done)));
    check(None, one(supply(false), 6, 6, yes(Answer::Done)));
    check(Some(LOST), one(supply(true), 6, 6, yes(Answer::Done)));
    check(Some(LOST), one(supply(false), 7, 9, yes(Answer::Done)));

    let rename = Event::Rename { user: 1, title: 0, to: 5 };
    check(None, one(rename.clone(), 7, 8, yes(Answer::Done)));
    check(Some(LOST), one(rename, 8, 9, yes(Answer::Done)));
    check(None, one(bang(), 8, 9, yes(Answer::Done)));
    check(None, one(bang(), 2, 3, yes(Answer::Done)));
    check(Some(LOST), one(bang(), 3, 8, yes(Answer::Done)));
    // What was refused, or had no answer, is promised nothing.
    check(None, [no(404), no(503), lost()].map(|outcome| done(request(7), (1, 2), 3, 3, outcome)).into());
}

#[test]
fn what_was_asked_once_is_done_once() {
    let first = |outcome| done(request(1), (1, 2), 3, 4, outcome);
    let check = |expected: Option<&str>, repeated: u64, operations: &[Operation]| {
        let others = [supply(false), request(0), request(2)];
        let others =
            others.map(|what| Operation { user: 2, began: Duration::ZERO, what, first: 0, ended: None });
        let all = others.into_iter().chain(operations.iter().cloned()).collect();
        assert_eq!(broken(repeated, 6, all).as_deref(), expected, "{repeated} {operations:?}");
    };
    let again = |first, last, outcome| done(request(1), (3, 4), first, last, outcome);
    check(Some(TWICE), 0, &[first(given(1, 4))]);
    check(None, 1, &[first(given(1, 4))]);
    check(None, 0, &[first(given(1, 4)), again(5, 6, given(1, 6))]);
    check(None, 0, &[first(given(1, 4)), again(5, 5, lost())]);
    check(None, 0, &[first(given(1, 4)), again(5, 5, no(503))]);
    check(Some(TWICE), 0, &[first(given(1, 4)), again(5, 6, no(404))]);
    check(None, 1, &[first(no(404)), again(5, 6, given(1, 6))]);
    check(Some(TWICE), 0, &[first(given(1, 4)), again(4, 4, given(1, 4))]);
    check(Some(TWICE), 0, &[first(lost())]);
    // Nobody asked before it was done: that is no repetition, whatever the network does.
    check(Some(TWICE), 5, &[again(5, 6, given(1, 6))]);
}

#[test]
fn what_was_read_does_not_go_back() {
    let early = |user: u32, note: u32| {
        let what = Event::ReadInstance { user, title: 0 };
        done(what, (1, 2), 0, 9, service("instance-0", note))
    };
    // When the journal could not be read at the beginning, only what the same user knew before counts.
    let later = |seconds, note| done(read(0), seconds, 0, 9, service("instance-0", note));
    check(None, vec![early(1, 1), later((3, 4), 2)]);
    check(Some(STALE), vec![early(1, 1), later((3, 4), 0)]);
    check(None, vec![early(2, 1), later((3, 4), 0)]);
    check(None, vec![early(1, 1), later((1, 4), 0)]);
    // What one wrote one reads.
    let wrote = || done(request(2), (1, 2), 4, 5, given(2, 5));
    check(None, vec![wrote(), later((3, 4), 2)]);
    check(None, vec![wrote(), later((3, 4), 1)]);
    check(Some(STALE), vec![wrote(), later((3, 4), 0)]);
    check(None, vec![wrote(), done(read(0), (3, 4), 0, 9, yes(Answer::Instance(None)))]);
    // What stood in the journal before is seen by all.
    check(None, vec![done(read(0), (1, 2), 4, 5, service("instance-0", 1))]);
    check(Some(STALE), vec![done(read(0), (1, 2), 5, 5, service("instance-0", 1))]);
    check(Some(STALE), vec![done(read(0), (1, 2), 4, 7, yes(Answer::Instance(None)))]);
    check(None, vec![done(read(5), (1, 2), 4, 7, yes(Answer::Instance(None)))]);
    check(Some(STALE), vec![done(read(5), (1, 2), 8, 9, yes(Answer::Instance(None)))]);
    check(None, vec![done(read(5), (1, 2), 7, 8, service("instance-5", 1))]);
}

#[test]
fn lists_and_views_do_not_go_back_either() {
    let rows = |title: &str| {
        let url_string = Some(A.to_owned());
        yes(Answer::List(vec![Row { title: title.to_owned(), url_string, ..Row::default() }]))
    };
    let list = |first, last, outcome| done(Event::ReadList { user: 1 }, (1, 2), first, last, outcome);
    check(None, vec![list(5, 8, rows("instance-0"))]);
    check(None, vec![list(5, 8, rows("instance-5"))]);
    check(None, vec![list(0, 8, yes(Answer::List(Vec::new())))]);
    check(Some(STALE), vec![list(8, 9, rows("instance-0"))]);
    check(Some(STALE), vec![list(3, 9, yes(Answer::List(Vec::new())))]);

    let what = || Event::ReadComputer { user: 1, node: 1, again: true };
    let view =
        |first, note, entry, removed| done(what(), (1, 2), first, 9, yes(node(note, entry, &[(B, removed)])));
    check(None, vec![view(4, 1, 6, false)]);
    check(None, vec![view(4, 2, 5, false)]);
    check(Some(STALE), vec![view(5, 1, 4, false)]);
    check(Some(STALE), vec![view(7, 1, 6, false)]);
    // It is told that nothing changed: operation 8, after those of nobody, saw it first.
    let unchanged = |first| done(what(), (3, 4), first, 9, yes(Answer::Unchanged { since: 8 }));
    check(None, vec![view(4, 2, 5, false), unchanged(5)]);
    check(Some(STALE), vec![view(4, 2, 5, false), unchanged(6)]);
}

#[test]
fn revisions_do_not_go_back() {
    let view = |user: u32, seconds, revision: u32| {
        let what = Event::ReadComputer { user, node: 1, again: false };
        let Answer::Computer { computer, .. } = node(1, 6, &[(B, false)]) else { unreachable!() };
        let tag = Some(format!("\"0123456789abcdef.{revision}.0.1.0\""));
        done(what, seconds, 5, 6, yes(Answer::Computer { tag, computer }))
    };
    check(None, vec![view(1, (1, 2), 7), view(1, (3, 4), 7), view(2, (5, 6), 8)]);
    check(Some(STALE), vec![view(1, (1, 2), 7), view(1, (3, 4), 6)]);
    check(Some(STALE), vec![view(1, (1, 2), 10), view(2, (3, 4), 9)]);
    check(None, vec![view(1, (1, 3), 7), view(2, (2, 4), 6)]);
}

#[test]
fn what_never_was_is_not_told() {
    let never = Rule::ViewIsTrue.name();
    check(Some(never), vec![done(read(0), (1, 2), 0, 9, service("instance-0", 3))]);
    check(Some(never), vec![done(read(0), (1, 2), 0, 9, service("instance-5", 1))]);
    check(Some(never), vec![done(read(0), (1, 2), 0, 9, yes(Answer::Done))]);
    let view = Event::ReadComputer { user: 1, node: 1, again: false };
    // One version's parameters with another's timestamp, and a release that is not there yet.
    check(Some(never), vec![done(view.clone(), (1, 2), 0, 9, yes(node(2, 4, &[(B, false)])))]);
    check(Some(never), vec![done(view, (1, 2), 0, 9, yes(node(1, 4, &[])))]);
}
