//! Histories made by hand: each bad one is caught by the check that is there for it, and good ones pass.

use super::{Promise, check};
use crate::histories::{
    history::{Action, Answer, Given, OPEN, Operation, Outcome, Seen, Value, View, Wish},
    linearizable,
};
use slap_model::{
    Rule,
    event::Wanted,
    names::{Computer, Partition, Place, Release, Title},
};
use std::{collections::BTreeMap, rc::Rc};

type When = (u64, u64);
type Row = (u32, When, Action, Outcome);

const C1: Computer = Computer(1);

fn at(partition: u16) -> Place {
    Place { computer: C1, partition: Partition(partition) }
}

fn wish(title: u16, parameters: Value, state: Wanted) -> Wish {
    let (release, computer) = (Release(0), Some(C1));
    Wish { by: None, title: Title(title), shared: false, release, parameters, computer, state: Some(state) }
}

fn seen(title: u16, parameters: Value, state: Wanted, timestamp: u64) -> Seen {
    let (title, shared) = (Title(title), BTreeMap::new());
    let timestamp = Some(timestamp);
    let (release, connection) = (Release(0), 0);
    Seen { title, root: Some(title), state, release, parameters, connection, timestamp, shared }
}

/// A request that was answered with that partition and timestamp.
fn request(when: When, title: u16, parameters: Value, partition: u16, timestamp: u64) -> Row {
    request_for(Wanted::Started, when, title, parameters, partition, timestamp)
}

fn request_for(
    state: Wanted,
    when: When,
    title: u16,
    parameters: Value,
    partition: u16,
    timestamp: u64,
) -> Row {
    let seen = Seen { root: None, ..seen(title, parameters, state, timestamp) };
    let given = Given { place: Some(at(partition)), seen };
    (1, when, Action::Request(wish(title, parameters, state)), Outcome::Answer(Answer::Given(given)))
}

/// A request whose answer was lost.
fn lost(invoked: u64, title: u16, parameters: Value, state: Wanted) -> Row {
    (2, (invoked, OPEN), Action::Request(wish(title, parameters, state)), Outcome::Unknown)
}

fn destroyed(when: When, partition: u16) -> Row {
    let outcome = if when.1 == OPEN { Outcome::Unknown } else { Outcome::Answer(Answer::Done) };
    (3, when, Action::Destroyed { place: at(partition), about: None }, outcome)
}

fn renamed(when: When, partition: u16, title: u16) -> Row {
    let action = Action::Rename { place: at(partition), title: Title(title) };
    (4, when, action, Outcome::Answer(Answer::Done))
}

fn published(when: When, partition: u16, connection: Value) -> Row {
    (4, when, Action::Publish { place: at(partition), connection }, Outcome::Answer(Answer::Done))
}

fn format(when: When, partitions: &[u16]) -> Row {
    let partitions = partitions.iter().map(|name| Partition(*name)).collect();
    (5, when, Action::Format { computer: C1, partitions }, Outcome::Answer(Answer::Done))
}

/// A read with that revision and these partitions.
fn read(when: When, revision: u64, partitions: &[(u16, Option<Seen>)]) -> Row {
    let partitions = partitions.iter().map(|(name, seen)| (Partition(*name), seen.clone())).collect();
    let view = View { tag: format!("\"db.{revision}.0\""), partitions };
    let outcome = Outcome::Answer(Answer::View(Rc::new(view)));
    (6, when, Action::Read { computer: C1, tag: None }, outcome)
}

fn history(rows: Vec<Row>) -> Vec<Operation> {
    let operation = |(client, (invoked, returned), action, outcome)| Operation {
        client,
        invoked,
        returned,
        action,
        outcome,
    };
    let mut history: Vec<Operation> = rows.into_iter().map(operation).collect();
    history.sort_by_key(|operation| operation.invoked);
    history
}

/// What a history breaks, and of which objects.
fn broken(rows: Vec<Row>) -> Vec<(Promise, String)> {
    let violations = check(&history(rows), OPEN);
    violations.into_iter().map(|violation| (violation.promise, violation.object)).collect()
}

#[track_caller]
fn check_bad(promise: Promise, object: &str, rows: Vec<Row>) {
    assert_eq!(broken(rows), [(promise, object.to_owned())]);
}

#[track_caller]
fn check_good(rows: Vec<Row>) {
    let violations = check(&history(rows), OPEN);
    let texts: Vec<String> = violations.iter().map(ToString::to_string).collect();
    assert!(texts.is_empty(), "{}", texts.join("\n"));
}

#[test]
fn one_partition_has_one_winner() {
    let one_tenant = Promise::Rule(Rule::OneTenant);
    check_bad(one_tenant, "c1/p0", vec![request((1, 2), 1, 11, 0, 100), request((3, 4), 2, 12, 0, 101)]);
    // At the same time, with the same timestamp.
    let both = vec![request((1, 4), 1, 11, 0, 100), request((2, 3), 2, 11, 0, 100)];
    check_bad(one_tenant, "c1/p0", both);
    // Freed in between, or perhaps freed in between, or renamed.
    let gone = Wanted::Destroyed;
    for freed in [destroyed((5, 6), 0), destroyed((5, OPEN), 0), destroyed((3, OPEN), 0)] {
        let first = request_for(gone, (1, 4), 1, 11, 0, 100);
        check_good(vec![first, freed, request((7, 8), 2, 12, 0, 101)]);
    }
    check_good(vec![request((1, 2), 1, 11, 0, 100), renamed((3, 4), 0, 2), request((5, 6), 2, 12, 0, 101)]);
    // Freed too late to be the reason.
    let late = vec![request((1, 2), 1, 11, 0, 100), request((3, 4), 2, 12, 0, 101), destroyed((5, OPEN), 0)];
    check_bad(one_tenant, "c1/p0", late);
}

#[test]
fn one_instance_has_one_partition() {
    let two = [(0, Some(seen(1, 11, Wanted::Started, 100))), (1, Some(seen(1, 11, Wanted::Started, 101)))];
    let rows = vec![lost(1, 1, 11, Wanted::Started), read((3, 4), 7, &two)];
    check_bad(Promise::Rule(Rule::TitlesAreUnique), "t1", rows);
}

#[test]
fn what_was_acknowledged_is_there() {
    let first = || request((1, 2), 1, 11, 0, 100);
    check_bad(Promise::ReadYourWrites, "c1/p0", vec![first(), read((3, 4), 7, &[(0, None)])]);
    check_good(vec![first(), read((2, 4), 7, &[(0, None)])]);
    check_good(vec![first(), destroyed((2, OPEN), 0), read((3, 4), 7, &[(0, None)])]);
    // The second write was lost: the later version has the first one's parameters.
    let second = || request((3, 4), 1, 12, 0, 101);
    let back = |when| read(when, 7, &[(0, Some(seen(1, 11, Wanted::Started, 102)))]);
    check_bad(Promise::ReadYourWrites, "c1/p0", vec![first(), second(), back((5, 6))]);
    // Unless somebody may have wished them again.
    check_good(vec![first(), second(), lost(4, 1, 11, Wanted::Started), back((5, 6))]);
    // What a killed master forgot: an earlier version is there again.
    let old = read((5, 6), 7, &[(0, Some(seen(1, 11, Wanted::Started, 100)))]);
    check_bad(Promise::MonotonicReads, "c1/p0", vec![first(), second(), old]);
}

#[test]
fn reads_do_not_go_back() {
    let view = |timestamp, parameters| [(0, Some(seen(1, parameters, Wanted::Started, timestamp)))];
    let wishes = || [lost(1, 1, 11, Wanted::Started), lost(1, 1, 12, Wanted::Started)];
    let rows = |reads: [Row; 2]| wishes().into_iter().chain(reads).collect::<Vec<Row>>();
    check_good(rows([read((3, 4), 7, &view(100, 11)), read((5, 6), 8, &view(101, 12))]));
    check_good(rows([read((3, 6), 8, &view(101, 12)), read((5, 7), 7, &view(100, 11))]));
    let backwards = rows([read((3, 4), 7, &view(101, 12)), read((5, 6), 8, &view(100, 11))]);
    check_bad(Promise::MonotonicReads, "c1/p0", backwards);
    let revision = rows([read((3, 4), 8, &view(100, 11)), read((5, 6), 7, &view(100, 11))]);
    check_bad(Promise::MonotonicReads, "c1", revision);
    let tag = rows([read((3, 4), 7, &view(100, 11)), read((5, 6), 7, &view(101, 12))]);
    check_bad(Promise::OneTagOneView, "c1", tag);
    let unwished = vec![lost(1, 1, 11, Wanted::Started), read((3, 4), 7, &view(100, 13))];
    check_bad(Promise::Rule(Rule::ViewIsTrue), "c1/p0", unwished);
    let two = rows([read((3, 4), 7, &view(100, 11)), read((5, 6), 8, &view(100, 12))]);
    check_bad(Promise::Rule(Rule::ChangeRenews), "c1/p0", two);
}

#[test]
fn what_was_freed_does_not_come_back() {
    let gone = || request_for(Wanted::Destroyed, (1, 2), 1, 11, 0, 100);
    let again = || read((5, 6), 7, &[(0, Some(seen(1, 11, Wanted::Destroyed, 100)))]);
    check_bad(Promise::MonotonicReads, "c1/p0", vec![gone(), destroyed((3, 4), 0), again()]);
    check_good(vec![gone(), destroyed((3, OPEN), 0), again()]);
    check_good(vec![gone(), destroyed((3, 7), 0), again()]);
}

#[test]
fn a_state_changes_only_when_it_is_wished() {
    let first = || request((1, 2), 1, 11, 0, 100);
    let stopped = || read((5, 6), 7, &[(0, Some(seen(1, 11, Wanted::Stopped, 101)))]);
    check_bad(Promise::Rule(Rule::OnlyRequestsChangeWishes), "c1/p0", vec![first(), stopped()]);
    check_good(vec![first(), lost(3, 1, 11, Wanted::Stopped), stopped()]);
}

#[test]
fn what_is_asked_for_again_stays() {
    let first = || request((1, 2), 1, 11, 0, 100);
    let moved = || request((5, 6), 1, 12, 1, 200);
    check_bad(Promise::Rule(Rule::NeverMoves), "t1", vec![first(), moved()]);
    check_good(vec![first(), destroyed((3, OPEN), 0), moved()]);
    check_good(vec![first(), renamed((3, 4), 0, 2), moved()]);
    let (_, _, action, _) = request((3, 4), 1, 12, 0, 101);
    let (_, _, _, other) = request((3, 4), 1, 13, 0, 101);
    let rows = vec![lost(1, 1, 13, Wanted::Started), (1, (3, 4), action, other)];
    check_bad(Promise::Rule(Rule::RequestIsObeyed), "t1", rows);
}

#[test]
fn what_is_published_stays() {
    let with = |connection| Some(Seen { connection, ..seen(1, 11, Wanted::Started, 100) });
    let rows = |more: Vec<Row>| [vec![request((1, 2), 1, 11, 0, 100)], more].concat();
    let kept = Promise::Rule(Rule::PublishedIsKept);
    check_good(rows(vec![published((3, 4), 0, 5), read((5, 6), 7, &[(0, with(5))])]));
    check_bad(kept, "c1/p0", rows(vec![published((3, 4), 0, 5), read((5, 6), 7, &[(0, with(0))])]));
    let older = vec![published((3, 4), 0, 5), published((5, 6), 0, 6), read((7, 8), 7, &[(0, with(5))])];
    check_bad(kept, "c1/p0", rows(older));
    let same_time = vec![published((3, 6), 0, 5), published((4, 5), 0, 6), read((7, 8), 7, &[(0, with(5))])];
    check_good(rows(same_time));
}

#[test]
fn partitions_are_those_of_a_format() {
    let obeyed = Promise::Rule(Rule::FormatIsObeyed);
    check_good(vec![format((1, 2), &[0, 1]), read((3, 4), 7, &[(0, None), (1, None)])]);
    check_bad(obeyed, "c1", vec![format((1, 2), &[0, 1]), read((3, 4), 7, &[(0, None)])]);
    let older = vec![format((1, 2), &[0, 1]), format((3, 4), &[0]), read((5, 6), 7, &[(0, None), (1, None)])];
    check_bad(obeyed, "c1", older);
    let busy = [(0, None), (1, Some(seen(1, 11, Wanted::Started, 100)))];
    let first = vec![lost(1, 1, 11, Wanted::Started), format((2, 3), &[0, 1])];
    check_good([first, vec![format((4, 5), &[0]), read((6, 7), 7, &busy)]].concat());
}

#[test]
fn hosts_list_what_they_shall_serve() {
    let host = |shared: &[(u16, Value)]| {
        let shared = shared.iter().map(|(title, value)| ((None, Title(*title)), *value)).collect();
        [(0, Some(Seen { shared, ..seen(1, 11, Wanted::Started, 100) }))]
    };
    let wished = |when, value, state| {
        let given = Given { place: Some(at(0)), seen: Seen { timestamp: None, ..seen(9, value, state, 0) } };
        let wish = Wish { shared: true, ..wish(9, value, state) };
        (2, when, Action::Request(wish), Outcome::Answer(Answer::Given(given)))
    };
    let rows = |more: Vec<Row>| [vec![request((1, 2), 1, 11, 0, 100)], more].concat();
    let (started, listed) = (Wanted::Started, Promise::Rule(Rule::ViewListsStarted));
    check_good(rows(vec![wished((3, 4), 5, started), read((5, 6), 7, &host(&[(9, 5)]))]));
    check_bad(listed, "t9", rows(vec![wished((3, 4), 5, started), read((5, 6), 7, &host(&[]))]));
    check_bad(listed, "t9", rows(vec![wished((3, 4), 5, started), read((5, 6), 7, &host(&[(9, 4)]))]));
    let stopped = vec![wished((3, 4), 5, started), wished((5, 6), 6, Wanted::Stopped)];
    check_bad(listed, "t9", rows([stopped.clone(), vec![read((7, 8), 7, &host(&[(9, 5)]))]].concat()));
    check_good(rows([stopped, vec![read((7, 8), 7, &host(&[]))]].concat()));
}

#[test]
fn a_failing_master_is_told() {
    let refused = Outcome::Refused { status: 500, message: "oops".to_owned() };
    let row = (1, (1, 2), Action::Request(wish(1, 11, Wanted::Started)), refused);
    check_bad(Promise::Answers, "the master", vec![row]);
}

#[test]
fn a_failure_shows_its_operations_in_columns() {
    let rows =
        vec![request((1, 2), 1, 11, 0, 100), request((3, 14), 2, 12, 0, 101), destroyed((15, OPEN), 0)];
    let violations = check(&history(rows), OPEN);
    let expected = "\
one-tenant: c1/p0: another instance has it, and nobody can have reported the one before destroyed
  > client 1  1..2   request t1 r0 x11 Started on c1  c1/p0: t1 r0 x11 y0 Started @100
  > client 1  3..14  request t2 r0 x12 Started on c1  c1/p0: t2 r0 x12 y0 Started @101
";
    assert_eq!(violations[0].to_string(), expected);
}

#[test]
fn small_histories_need_an_order() {
    let is_good = |rows: Vec<Row>| linearizable::check(&history(rows), "test").is_ok();
    let start = || format((1, 2), &[0, 1]);
    let own = |client, when, partition| {
        let (_, when, action, outcome) = request(when, 1, 11, partition, 0);
        (client, when, action, outcome)
    };
    // One after the other, both are given the same partition; a repetition that moves has no order.
    assert!(is_good(vec![start(), own(1, (3, 4), 0), own(2, (5, 6), 0)]));
    assert!(!is_good(vec![start(), own(1, (3, 4), 0), own(2, (5, 6), 1)]));
    // Two at the same time: one of them must have been first.
    let other = |when, partition| {
        let (_, when, action, outcome) = request(when, 2, 12, partition, 0);
        (2, when, action, outcome)
    };
    assert!(is_good(vec![start(), own(1, (3, 6), 1), other((4, 5), 0)]));
    assert!(!is_good(vec![start(), own(1, (3, 6), 0), other((4, 5), 0)]));
    assert!(!is_good(vec![start(), own(1, (3, 4), 1), other((5, 6), 0)]), "the first was alone");
    // A lost request may have been first, or not have happened.
    let open = || lost(3, 3, 13, Wanted::Started);
    let (_, when, action, outcome) = own(1, (4, 5), 1);
    assert!(is_good(vec![start(), open(), (1, when, action, outcome)]));
    assert!(is_good(vec![start(), open(), own(1, (4, 5), 0)]));
    let refused = Outcome::Refused { status: 404, message: String::new() };
    let none = (1, (3, 4), Action::Request(wish(1, 11, Wanted::Started)), refused);
    assert!(!is_good(vec![start(), none]), "there is room");
}

#[test]
fn a_history_without_order_ends_with_the_answer_that_has_none() {
    let rows = vec![
        format((1, 2), &[0, 1]),
        request((3, 4), 1, 11, 0, 0),
        request((5, 6), 1, 12, 1, 0),
        request((7, 8), 1, 13, 1, 0),
    ];
    let violation = linearizable::check(&history(rows), "small history 3").unwrap_err();
    assert_eq!((violation.promise.name(), violation.shown_by.as_slice()), ("linearizable", &[2][..]));
    assert!(
        violation.table.lines().count() == 3 && violation.table.contains("> client 1  5..6"),
        "{violation}"
    );
}
