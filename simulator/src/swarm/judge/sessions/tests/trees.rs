//! Histories of shared instances and children, on a journal of the real master.

use super::*;
use crate::swarm::{judge::sessions::refusals, script::Act};
use serde_json::json;

/// What was committed after the format: instance 0 is there at entry 2; the shared instance 1 with note 0 at 3, and with note 1 at 4; it has
/// published note 1 at 5; instance 0 has a child at 6; the shared instance is renamed to 2 at 7, reported at 8, and gone at 9.
fn committed() -> Vec<JournalEntry> {
    let database = Connection::open_in_memory().expect("it needs no file");
    slap_impl::store::migrate(&database, "0123456789abcdef").expect("it is empty");
    let sessions = sessions();
    let command = |what: Event| serde_json::to_string(&sessions.command(&what)).expect("it is one");
    let published = format!(
        r#"{{"command":"publish","computer":"COMP-1","partition":"slappart0","slave_reference":"_instance-1","document":{}}}"#,
        serde_json::to_string(&document(1)).expect("it is text")
    );
    let child = format!(
        r#"{{"command":"request","title":"child","release":"{A}","software_type":"child","parameters":{},"filter":{{}},
            "state":"started","requester":{{"computer":"COMP-1","partition":"slappart0"}}}}"#,
        serde_json::to_string(&document(0)).expect("it is text")
    );
    let commands = [
        r#"{"command":"format","computer":"COMP-1","address":"","netmask":"","partitions":[
            {"reference":"slappart0","addresses":[]},{"reference":"slappart1","addresses":[]}]}"#
            .to_owned(),
        command(request(0)),
        command(shared(0, State::Started)),
        command(shared(1, State::Started)),
        published,
        child,
        command(tree(Act::Rename { title: 1, to: 2 })),
        command(tree(Act::Report { title: 2, bang: false })),
        command(tree(asked(2, 1, State::Destroyed))),
    ];
    for (at, command) in (1..).zip(&commands) {
        let command = serde_json::from_str(command).unwrap_or_else(|error| panic!("{command}: {error}"));
        let decided = decide(&database, at, None, &command).expect("it is well");
        assert_eq!(decided.answer.sequence, Some(at), "{command:?} changes something");
    }
    journal_after(&database, 0, 100).expect("it is there")
}

fn tree(act: Act) -> Event {
    Event::Tree { user: 1, act }
}

fn asked(title: u32, note: u32, state: State) -> Act {
    Act::Request { title, release: Release::A, node: None, note, state }
}

fn shared(note: u32, state: State) -> Event {
    tree(asked(1, note, state))
}

/// The rule that a history breaks, beside what was asked for by nobody in it.
fn check(expected: Option<&str>, operations: Vec<Operation>) {
    let mut sessions = sessions();
    let mut replay = Replay::new(Names::new([computer(1)]), true, true);
    for entry in &committed() {
        sessions.note(entry);
        replay.step(entry).expect("the master does as the model");
    }
    let others = [
        request(0),
        shared(0, State::Started),
        shared(1, State::Started),
        tree(Act::Rename { title: 1, to: 2 }),
        tree(Act::Report { title: 2, bang: false }),
        tree(asked(2, 1, State::Destroyed)),
    ];
    let others = others.map(|what| Operation { user: 9, began: Duration::ZERO, what, first: 0, ended: None });
    let shown = format!("{operations:?}");
    let history = History::of(others.into_iter().chain(operations).collect());
    let found = sessions.look(&history, &replay.versions, 0).err().map(|(rule, ..)| rule);
    assert_eq!(found.as_deref(), expected, "{shown}");
}

fn one(what: Event, first: i64, last: i64, outcome: Outcome) -> Vec<Operation> {
    vec![done(what, (1, 2), first, last, outcome)]
}

/// The answer to a request for the shared instance.
fn hosted(note: u32, published: bool, state: State) -> Outcome {
    let values = |is_there: bool| is_there.then(|| ("note".to_owned(), Some(note.to_string())));
    yes(Answer::Given(Box::new(SoftwareInstance {
        computer_id: "COMP-1".to_owned(),
        partition_id: "slappart0".to_owned(),
        software_release_url: A.to_owned(),
        software_type: Some("default".to_owned()),
        parameters: values(true).into_iter().collect(),
        connection: values(published).into_iter().collect(),
        requested_state: Some(requested(state)),
        ..SoftwareInstance::default()
    })))
}

/// The document of an instance, with its partition, or its host's, and the last report.
fn told(guid: &str, note: u32, published: bool, (partition, message): (&str, &str)) -> Outcome {
    let names: Vec<&str> = guid.split("___").collect();
    let connection = if published { json!({ "note": note.to_string() }) } else { json!({}) };
    yes(Answer::Document(Box::new(json!({
        "title": names[0],
        "instance_guid": guid,
        "software_release_uri": A,
        "software_type": if partition == "slappart1" { "child" } else { "default" },
        "state": "started",
        "connection_parameters": connection,
        "parameters": { "note": note.to_string() },
        "shared": guid.ends_with('1'),
        "root_instance_title": if names[1].is_empty() { names[0] } else { names[1] },
        "computer_guid": "COMP-1",
        "compute_partition_id": partition,
        "processing_timestamp": 0,
        "access_status_message": message,
    }))))
}

#[test]
fn what_was_answered_of_a_shared_one_is_so() {
    check(None, one(shared(0, State::Started), 2, 3, hosted(0, false, State::Started)));
    check(Some(LOST), one(shared(0, State::Started), 3, 4, hosted(1, false, State::Started)));
    check(None, one(shared(1, State::Started), 5, 6, hosted(1, true, State::Started)));
    check(Some(LOST), one(shared(1, State::Started), 5, 6, hosted(1, false, State::Started)));
    // It was known by another title then.
    check(Some(LOST), one(shared(1, State::Started), 7, 8, hosted(1, true, State::Started)));
    // What goes is told as it was.
    let gone = |first, last, note| {
        one(tree(asked(2, 3, State::Destroyed)), first, last, hosted(note, true, State::Destroyed))
    };
    check(Some(LOST), gone(8, 8, 1));
    check(Some(LOST), gone(8, 9, 0));
    check(None, gone(8, 9, 1));

    let rename = |first, last| one(tree(Act::Rename { title: 1, to: 2 }), first, last, yes(Answer::Done));
    check(None, rename(6, 7));
    check(Some(LOST), rename(7, 9));
    let report =
        |first, last| one(tree(Act::Report { title: 2, bang: false }), first, last, yes(Answer::Done));
    check(None, report(7, 8));
    check(Some(LOST), report(8, 9));
}

#[test]
fn what_is_read_of_shared_ones_and_children_is_so() {
    let never = Some(Rule::ViewIsTrue.name());
    let read = |title: u32, first, last, outcome| one(tree(Act::Read { title }), first, last, outcome);
    let guest = |note, published| told("instance-1______1", note, published, ("slappart0", ""));
    check(None, read(1, 0, 9, guest(0, false)));
    check(None, read(1, 4, 4, guest(1, false)));
    check(Some(STALE), read(1, 5, 6, guest(1, false)));
    check(never, read(1, 0, 9, guest(0, true)));
    check(never, read(1, 0, 9, told("instance-1______0", 1, true, ("slappart0", ""))));
    // It has its host's place.
    check(never, read(1, 0, 9, told("instance-1______1", 1, true, ("slappart1", ""))));
    let renamed = |message| told("instance-2______1", 1, true, ("slappart0", message));
    check(None, read(2, 7, 7, renamed("")));
    check(Some(STALE), read(2, 8, 8, renamed("")));
    check(None, read(2, 8, 8, renamed("#error while instanciating: a user thinks so")));
    let no_such = |title, first, last| read(title, first, last, yes(Answer::NoSuch));
    check(None, no_such(1, 2, 2));
    check(Some(STALE), no_such(1, 3, 6));
    check(None, no_such(2, 9, 9));
    // There is one of that title, which is not shared.
    check(None, no_such(0, 2, 9));

    let child = |first, last, outcome| {
        one(tree(Act::ReadRequested { title: 0, release: Release::A }), first, last, outcome)
    };
    let found = |note| told("child___instance-0___0", note, false, ("slappart1", ""));
    check(None, child(6, 9, found(0)));
    check(never, child(6, 9, found(1)));
    check(None, child(5, 5, yes(Answer::NoSuch)));
    check(Some(STALE), child(6, 9, yes(Answer::NoSuch)));
}

#[test]
fn the_list_of_a_host_is_so() {
    let list = |first, last, rows: &[(&str, u32)]| {
        let row = |(title, note): &(&str, u32)| {
            json!({
                "title": title,
                "instance_guid": format!("{title}______1"),
                "software_type": "default",
                "state": "started",
                "parameters": { "note": note.to_string() },
                "compute_partition_id": "slappart0",
            })
        };
        let rows = rows.iter().map(row).collect();
        one(tree(Act::ReadHosted { title: 0 }), first, last, yes(Answer::Hosted(rows)))
    };
    check(None, list(2, 2, &[]));
    check(None, list(3, 3, &[("instance-1", 0)]));
    check(Some(STALE), list(4, 6, &[("instance-1", 0)]));
    check(None, list(7, 8, &[("instance-2", 1)]));
    check(Some(Rule::ViewIsTrue.name()), list(0, 9, &[("instance-2", 0)]));
    let none = |first, last| one(tree(Act::ReadHosted { title: 0 }), first, last, yes(Answer::NoSuch));
    check(None, none(1, 1));
    check(Some(STALE), none(2, 9));
}

#[test]
fn what_is_refused_could_not_be_granted() {
    let rule = Some(refusals::RULE);
    // One kind does not become the other.
    check(None, one(tree(asked(0, 0, State::Started)), 2, 9, no(409)));
    check(rule, one(tree(asked(0, 0, State::Started)), 1, 1, no(409)));
    let own = |title| Event::Request {
        user: 1,
        title,
        release: Release::A,
        node: None,
        note: 0,
        state: State::Started,
    };
    check(None, one(own(1), 3, 3, no(409)));
    check(rule, one(own(1), 7, 9, no(409)));
    // Its name stays when it has another title; a host of another release is none of it.
    check(None, one(shared(0, State::Started), 7, 7, no(409)));
    check(rule, one(shared(0, State::Started), 9, 9, no(409)));
    let other =
        tree(Act::Request { title: 1, release: Release::B, node: None, note: 0, state: State::Started });
    check(None, one(other.clone(), 3, 3, no(409)));
    check(None, one(other, 2, 2, no(404)));
    check(None, one(shared(0, State::Started), 1, 1, no(404)));
    check(rule, one(shared(0, State::Started), 2, 2, no(404)));
    // There was room for another until the child came.
    check(rule, one(own(5), 5, 5, no(404)));
    check(None, one(own(5), 6, 9, no(404)));
    check(None, one(tree(asked(5, 0, State::Destroyed)), 5, 5, no(403)));
    // A master that fails gives no reason.
    check(None, one(shared(0, State::Started), 2, 2, no(503)));
}
