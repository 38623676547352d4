//! The decisions, on SQLite in memory.

mod any;
mod formats;
mod play;
mod room;
mod shared;
mod trees;

use super::*;
use crate::{
    store::{AccessStatus, Place, Subject, testing::database},
    vocabulary::{RequestedState, SharedReference, SupplyState},
};
use std::collections::BTreeMap;

const EMPTY: &str = "<?xml version='1.0' encoding='utf-8'?>\n<instance/>\n";

/// A database and a clock that a test sets.
struct World {
    connection: Connection,
    now: i64,
    default: Option<ComputerId>,
}

impl World {
    fn new() -> World {
        World { connection: database(), now: 1_000_000, default: None }
    }

    /// Decides as a store would: in a savepoint that the verdict keeps or undoes.
    fn decide(&mut self, command: &Command) -> Decided {
        self.now += 1;
        self.connection.execute_batch("SAVEPOINT write").unwrap();
        let written = decide(&self.connection, self.now, self.default.as_ref(), command).unwrap();
        self.connection
            .execute_batch(match written.verdict {
                Verdict::Keep => "RELEASE write",
                Verdict::Discard => "ROLLBACK TO write; RELEASE write",
            })
            .unwrap();
        written.answer
    }

    fn text(&mut self, command: &Command) -> String {
        match self.decide(command).answer {
            Ok(Answer::Text(text)) => text,
            other => panic!("{command:?}: {other:?}"),
        }
    }

    fn refusal(&mut self, command: &Command) -> Refusal {
        self.decide(command).answer.unwrap_err()
    }

    fn given(&mut self, command: &Command) -> Partition {
        match self.decide(command).answer {
            Ok(Answer::Given(given)) => given.partition.unwrap(),
            other => panic!("{command:?}: {other:?}"),
        }
    }

    fn format(&mut self, computer: &str, count: usize) -> String {
        self.text(&format(computer, &(0..count).map(|i| format!("slappart{i}")).collect::<Vec<_>>()))
    }

    fn revision(&self, computer: &str) -> i64 {
        store::computer(&self.connection, &computer.parse().unwrap()).unwrap().unwrap().revision
    }

    fn partition(&self, computer: &str, partition: &str) -> Partition {
        let (computer, partition) = (computer.parse().unwrap(), partition.parse().unwrap());
        store::partition(&self.connection, &computer, &partition).unwrap().unwrap()
    }

    fn status(&self, computer: &str, partition: &str) -> Option<AccessStatus> {
        let (computer, partition) = (computer.parse().unwrap(), partition.parse().unwrap());
        store::access_status(&self.connection, Subject::Partition(&computer, &partition)).unwrap()
    }

    fn journal(&self) -> usize {
        store::journal_after(&self.connection, 0, 10_000).unwrap().len()
    }
}

fn format(computer: &str, partitions: &[String]) -> Command {
    let address =
        |name: &String| vec![(name.clone(), format!("10.0.0.{}", name.len()), "255.0.0.0".to_owned())];
    Command::Format {
        computer: computer.parse().unwrap(),
        address: "127.0.0.1".into(),
        netmask: "255.0.0.0".into(),
        partitions: partitions
            .iter()
            .map(|name| FormattedPartition { reference: name.parse().unwrap(), addresses: address(name) })
            .collect(),
    }
}

fn request(title: &str, state: Option<RequestedState>, filter: &[(&str, &str)]) -> Command {
    Command::Request {
        title: title.parse().unwrap(),
        release: "/software.cfg".parse().unwrap(),
        software_type: String::new(),
        parameters: EMPTY.into(),
        filter: filter.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        state,
        requester: None,
        shared: false,
    }
}

fn report(computer: &str, partition: &str, report: InstanceReport) -> Command {
    Command::ReportInstance {
        computer: computer.parse().unwrap(),
        partition: partition.parse().unwrap(),
        slave_reference: None,
        report,
        about: None,
    }
}

fn supply(computer: &str, state: SupplyState) -> Command {
    Command::Supply { computer: computer.parse().unwrap(), url: "/software.cfg".parse().unwrap(), state }
}

fn report_release(computer: &str, report: ReleaseReport) -> Command {
    Command::ReportRelease {
        computer: computer.parse().unwrap(),
        url: "/software.cfg".parse().unwrap(),
        report,
    }
}

#[test]
fn partitions_are_given_in_order() {
    let mut world = World::new();
    for computer in ["COMP-10", "COMP-2", "COMP-3"] {
        world.format(computer, 1);
    }
    world.default = Some("COMP-3".parse().unwrap());
    let mut places = Vec::new();
    for title in ["a", "b", "c"] {
        let given = world.given(&request(title, None, &[]));
        places.push(given.computer.to_string());
    }
    assert_eq!(places, ["COMP-3", "COMP-2", "COMP-10"]);
    let refusal = world.refusal(&request("d", None, &[]));
    assert_eq!(refusal.status, 404);
    assert_eq!(
        refusal.message,
        "no free partition for \"d\"; computers looked at: COMP-3 (1 of 1 partitions busy), \
        COMP-2 (1 of 1 partitions busy), COMP-10 (1 of 1 partitions busy)"
    );
}

#[test]
fn the_named_computer_and_no_other_is_looked_at() {
    let mut world = World::new();
    world.format("COMP-1", 1);
    world.format("COMP-2", 1);
    assert_eq!(world.given(&request("a", None, &[("computer_guid", "COMP-2")])).computer.as_str(), "COMP-2");
    let message = world.refusal(&request("b", None, &[("computer_guid", "COMP-2")])).message;
    assert!(message.ends_with("COMP-2 (1 of 1 partitions busy)"), "{message}");
    let refusal = world.refusal(&request("b", None, &[("computer_guid", "COMP-3")]));
    assert_eq!(
        (refusal.status, refusal.message.as_str()),
        (404, "no computer COMP-3 is registered here; known: COMP-1, COMP-2")
    );
    assert_eq!(world.refusal(&request("b", None, &[("colour", "red")])).status, 400);
    // Once it has its place, the filter is not looked at: slapproxy's rule.
    assert_eq!(world.given(&request("a", None, &[("computer_guid", "COMP-1")])).computer.as_str(), "COMP-2");
}

#[test]
fn a_repeated_request_changes_nothing() {
    let mut world = World::new();
    world.format("COMP-1", 2);
    let first = world.decide(&request("a", None, &[]));
    let (revision, journal) = (world.revision("COMP-1"), world.journal());
    for _ in 0..3 {
        let again = world.decide(&request("a", None, &[]));
        assert_eq!(again.answer, first.answer);
        assert_eq!((again.touched.len(), again.sequence), (0, None));
    }
    let stated = world.decide(&request("a", Some(RequestedState::Started), &[]));
    assert_eq!(stated.sequence, None, "it is started already");
    assert_eq!((world.revision("COMP-1"), world.journal()), (revision, journal));
}

#[test]
fn a_changed_request_is_processed_again_even_when_the_clock_went_back() {
    let mut world = World::new();
    world.format("COMP-1", 1);
    let mut timestamp = world.given(&request("a", None, &[])).timestamp;
    let mut revision = world.revision("COMP-1");
    let changed = |software_type: &str, release: &str, parameters: &str, state| Command::Request {
        title: "a".parse().unwrap(),
        release: release.parse().unwrap(),
        software_type: software_type.into(),
        parameters: parameters.into(),
        filter: BTreeMap::new(),
        state,
        requester: None,
        shared: false,
    };
    for command in [
        changed("other", "/software.cfg", EMPTY, None),
        changed("other", "/2.cfg", EMPTY, None),
        changed("other", "/2.cfg", "<instance/>", None),
        changed("other", "/2.cfg", "<instance/>", Some(RequestedState::Stopped)),
        changed("other", "/2.cfg", "<instance/>", Some(RequestedState::Started)),
    ] {
        world.now -= 500_000;
        let given = world.given(&command);
        assert!(given.timestamp > timestamp, "{command:?}");
        assert!(world.revision("COMP-1") > revision, "{command:?}");
        (timestamp, revision) = (given.timestamp, world.revision("COMP-1"));
    }
}

#[test]
fn from_request_to_a_free_partition() {
    let mut world = World::new();
    world.format("COMP-1", 1);
    let stopped = Some(RequestedState::Stopped);
    assert_eq!(world.given(&request("a", stopped, &[])).instance.unwrap().state, RequestedState::Stopped);
    let destroyed = report("COMP-1", "slappart0", InstanceReport::Destroyed);
    let refusal = world.refusal(&destroyed);
    assert_eq!(refusal.status, 409, "nobody asked for its destruction");
    let given = world.given(&request("a", Some(RequestedState::Destroyed), &[]));
    assert_eq!(given.instance.unwrap().state, RequestedState::Destroyed);
    assert!(world.refusal(&request("b", None, &[])).message.contains("1 of 1 partitions busy"));
    assert_eq!(world.text(&destroyed), "OK");
    assert_eq!(world.text(&destroyed), "OK", "a repetition");
    assert_eq!(world.refusal(&request("a", Some(RequestedState::Destroyed), &[])).status, 404);
    let before = world.partition("COMP-1", "slappart0").timestamp;
    world.now = 0;
    assert!(world.given(&request("b", None, &[])).timestamp > before);
    assert_eq!(world.status("COMP-1", "slappart0"), None);
}

#[test]
fn reports_are_kept_and_do_not_disturb() {
    let mut world = World::new();
    world.format("COMP-1", 1);
    world.given(&request("a", None, &[]));
    let revision = world.revision("COMP-1");
    let mut check = |sent: InstanceReport, text: &str, state: &str| {
        assert_eq!(world.text(&report("COMP-1", "slappart0", sent)), "OK");
        let status = world.status("COMP-1", "slappart0").unwrap();
        assert_eq!((status.text.as_str(), status.state.as_str()), (text, state));
        assert!(status.log.len() <= LOG_BYTES_MAX);
        status.log.len()
    };
    check(InstanceReport::Started, "#access Instance correctly started", "started");
    let log = format!("{}é{}", "x".repeat(9_000), "y".repeat(9_999));
    let tail: String = "y".repeat(80);
    let kept =
        check(InstanceReport::Error { log }, &format!("#error while instanciating: {tail}"), "started");
    assert_eq!(kept, 9_999, "a character is not cut");
    check(InstanceReport::Stopped, "#access Instance correctly stopped", "stopped");
    assert_eq!(world.revision("COMP-1"), revision);
    let before = world.partition("COMP-1", "slappart0").timestamp;
    let bang = report("COMP-1", "slappart0", InstanceReport::Bang { message: "help".into() });
    assert_eq!(world.text(&bang), "OK");
    assert!(world.partition("COMP-1", "slappart0").timestamp > before);
    assert!(world.revision("COMP-1") > revision);
    assert_eq!(world.status("COMP-1", "slappart0").unwrap().text, "#error bang called: help");
    // One that comes late is heard, and what was said since then stays.
    let renewed = world.partition("COMP-1", "slappart0").timestamp;
    world.text(&report("COMP-1", "slappart0", InstanceReport::Started));
    let Command::ReportInstance { computer, partition, slave_reference, report, .. } = bang else { return };
    let about = Some(before);
    let late = Command::ReportInstance { computer, partition, slave_reference, report, about };
    assert_eq!(world.text(&late), "OK");
    assert!(world.partition("COMP-1", "slappart0").timestamp > renewed);
    assert_eq!(world.status("COMP-1", "slappart0").unwrap().state, "started");
}

#[test]
fn what_is_published_is_shown_once() {
    const DOCUMENT: &str = "<instance><parameter id='url'>http://[::1]/</parameter></instance>";
    let mut world = World::new();
    world.format("COMP-1", 2);
    world.given(&request("a", None, &[]));
    let timestamp = world.partition("COMP-1", "slappart0").timestamp;
    let publish = |partition: &str, document: &str| Command::Publish {
        computer: "COMP-1".parse().unwrap(),
        partition: partition.parse().unwrap(),
        slave_reference: None,
        document: document.into(),
    };
    let revision = world.revision("COMP-1");
    assert_eq!(world.text(&publish("slappart0", "<instance/>")), "done");
    assert_eq!(world.revision("COMP-1"), revision, "nothing over nothing");
    assert_eq!(world.text(&publish("slappart0", DOCUMENT)), "done");
    assert_eq!(world.text(&publish("slappart0", DOCUMENT)), "done");
    assert_eq!(world.revision("COMP-1"), revision + 1);
    let partition = world.partition("COMP-1", "slappart0");
    assert_eq!((partition.timestamp, partition.instance.unwrap().connection.as_str()), (timestamp, DOCUMENT));
    assert_eq!(world.refusal(&publish("slappart1", DOCUMENT)).status, 404);
    assert_eq!(
        world.refusal(&publish("slappart7", DOCUMENT)).message,
        "COMP-1 has no partition slappart7; it has: slappart0, slappart1"
    );
}

#[test]
fn format_keeps_busy_partitions_and_says_so() {
    let mut world = World::new();
    assert_eq!(world.format("COMP-1", 3), "done");
    let revision = world.revision("COMP-1");
    assert_eq!(world.format("COMP-1", 3), "done");
    assert_eq!(world.revision("COMP-1"), revision, "a repetition");
    world.given(&request("a", None, &[]));
    let answer = world.text(&format("COMP-1", &["slappart1".into()]));
    assert!(answer.contains("slappart0 (instance \"a\")"), "{answer}");
    let kept = world.partition("COMP-1", "slappart0");
    assert!(!kept.listed && kept.instance.is_some() && !kept.addresses.is_empty());
    assert_eq!(world.given(&request("b", None, &[])).reference.as_str(), "slappart1");
    assert_eq!(world.refusal(&request("c", None, &[])).status, 404, "slappart0 is not given away again");
    world.given(&request("a", Some(RequestedState::Destroyed), &[]));
    for _ in 0..2 {
        assert_eq!(world.text(&report("COMP-1", "slappart0", InstanceReport::Destroyed)), "OK");
    }
    let left = store::partitions(&world.connection, &"COMP-1".parse().unwrap()).unwrap();
    assert_eq!(left.len(), 1);
    let twice = format("COMP-1", &["slappart1".into(), "slappart1".into()]);
    assert_eq!(world.refusal(&twice).message, "the partition slappart1 stands twice");
}

#[test]
fn new_addresses_of_a_busy_partition_are_processed() {
    let mut world = World::new();
    world.format("COMP-1", 1);
    let before = world.given(&request("a", None, &[])).timestamp;
    let mut command = format("COMP-1", &["slappart0".into()]);
    let Command::Format { partitions, .. } = &mut command else { unreachable!() };
    partitions[0].addresses[0].1 = "10.9.9.9".into();
    assert_eq!(world.text(&command), "done");
    let partition = world.partition("COMP-1", "slappart0");
    assert!(partition.timestamp > before);
    assert_eq!(partition.addresses[0].address, "10.9.9.9");
}

#[test]
fn a_release_comes_and_goes() {
    let mut world = World::new();
    assert_eq!(world.refusal(&supply("COMP-1", SupplyState::Available)).status, 404);
    world.default = Some("COMP-1".parse().unwrap());
    assert_eq!(
        world.text(&supply("COMP-1", SupplyState::Available)),
        "Supplied '/software.cfg' to be available"
    );
    let revision = world.revision("COMP-1");
    world.text(&supply("COMP-1", SupplyState::Available));
    for sent in [ReleaseReport::Building, ReleaseReport::Error { log: "no".into() }, ReleaseReport::Available]
    {
        assert_eq!(world.text(&report_release("COMP-1", sent)), "OK");
    }
    assert_eq!(world.revision("COMP-1"), revision);
    assert_eq!(world.refusal(&report_release("COMP-1", ReleaseReport::Destroyed)).status, 409);
    world.text(&supply("COMP-1", SupplyState::Destroyed));
    for _ in 0..2 {
        assert_eq!(world.text(&report_release("COMP-1", ReleaseReport::Destroyed)), "OK");
    }
    assert_eq!(store::supplies(&world.connection, &"COMP-1".parse().unwrap()).unwrap(), []);
    assert!(world.text(&report_release("COMP-1", ReleaseReport::Available)).starts_with("Ignored"));
}

#[test]
fn titles_stay_unique() {
    let mut world = World::new();
    world.format("COMP-1", 2);
    world.given(&request("a", None, &[]));
    world.given(&request("b", None, &[]));
    let rename = |title: &str| Command::Rename {
        computer: "COMP-1".parse().unwrap(),
        partition: "slappart0".parse().unwrap(),
        slave_reference: None,
        title: title.parse().unwrap(),
    };
    assert_eq!(world.refusal(&rename("b")).status, 409);
    assert_eq!(world.text(&rename("a")), "done");
    assert_eq!(world.text(&rename("c")), "done");
    assert_eq!(world.given(&request("c", None, &[])).reference.as_str(), "slappart0");
}

#[test]
fn a_computer_bang_reaches_all_that_live() {
    let mut world = World::new();
    world.format("COMP-1", 3);
    let mut before = Vec::new();
    for (title, state) in [("a", "started"), ("b", "stopped"), ("c", "started")] {
        before.push(world.given(&request(title, Some(state.parse().unwrap()), &[])).timestamp);
    }
    before[2] = world.given(&request("c", Some(RequestedState::Destroyed), &[])).timestamp;
    let bang = Command::BangComputer { computer: "COMP-1".parse().unwrap(), message: "m".into() };
    world.decide(&bang).answer.unwrap();
    let after: Vec<i64> =
        (0..3).map(|i| world.partition("COMP-1", &format!("slappart{i}")).timestamp).collect();
    assert!(after[0] > before[0] && after[1] > before[1] && after[2] == before[2]);
}

#[test]
fn a_format_has_its_limits() {
    let named = |count: usize| (0..count).map(|i| format!("slappart{i}")).collect::<Vec<_>>();
    let with_addresses = |count: usize| {
        let mut command = format("COMP-1", &named(1));
        if let Command::Format { partitions, .. } = &mut command {
            let address = |i| ("eth0".to_owned(), format!("10.0.0.{i}"), "255.0.0.0".to_owned());
            partitions[0].addresses = (0..count).map(address).collect();
        }
        command
    };
    let mut world = World::new();
    world.text(&format("COMP-1", &named(PARTITIONS_MAX)));
    let message = world.refusal(&format("COMP-1", &named(PARTITIONS_MAX + 1))).message;
    assert_eq!(message, "10001 partitions: expected at most 10000");
    world.text(&with_addresses(64));
    let message = world.refusal(&with_addresses(65)).message;
    assert_eq!(message, "the partition slappart0 has 65 addresses: expected at most 64");
}

#[test]
fn a_change_is_told_in_a_few_words() {
    let check = |command: Command, expected: &str| assert_eq!(command.describe(), expected);
    check(request("a", None, &[]), "request \"a\"");
    check(request("a", Some(RequestedState::Stopped), &[]), "request \"a\" stopped");
    check(supply("COMP-1", SupplyState::Available), "supply /software.cfg available on COMP-1");
    check(format("COMP-1", &["slappart0".to_owned()]), "format COMP-1 with 1 partitions");
    let log = String::new();
    for (report, word) in [
        (ReleaseReport::Building, "building"),
        (ReleaseReport::Available, "available"),
        (ReleaseReport::Error { log: log.clone() }, "in error"),
        (ReleaseReport::Destroyed, "destroyed"),
    ] {
        check(report_release("COMP-1", report), &format!("COMP-1 reports /software.cfg {word}"));
    }
    for (sent, word) in [
        (InstanceReport::Started, "started"),
        (InstanceReport::Stopped, "stopped"),
        (InstanceReport::Error { log: log.clone() }, "in error"),
        (InstanceReport::Bang { message: log }, "bang"),
        (InstanceReport::Destroyed, "destroyed"),
    ] {
        check(report("COMP-1", "slappart0", sent), &format!("COMP-1 reports slappart0 {word}"));
    }
    let mut of_shared = report("COMP-1", "slappart0", InstanceReport::Started);
    if let Command::ReportInstance { slave_reference, .. } = &mut of_shared {
        *slave_reference = Some("_b".parse().unwrap());
    }
    check(of_shared, "COMP-1 reports \"_b\" in slappart0 started");
}

#[test]
fn few_names_are_told_and_many_are_counted() {
    let names: Vec<String> = (0..22).map(|i| format!("n{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(enumerate(&[]), "none");
    assert!(enumerate(&names[..20]).ends_with(", n19"));
    assert!(enumerate(&names[..22]).ends_with(", n19 and 2 more"));
}
