//! The journal of the master, as users read it.

use crate::support::{TestLab, until};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

fn events(lab: &TestLab, more: &[&str]) -> Vec<Value> {
    let words = [&["events", "--output", "jsonl"], more].concat();
    lab.ok(&words).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn what_was_committed_can_be_read_and_read_on() {
    let lab = TestLab::up(1);
    let all = events(&lab, &[]);
    let numbers: Vec<i64> = all.iter().map(|event| event["sequence"].as_i64().unwrap()).collect();
    assert_eq!(numbers, (1..=numbers.len() as i64).collect::<Vec<_>>());
    let asked = all.iter().find(|event| event["command"]["command"] == "request").unwrap();
    assert_eq!((&asked["who"], &asked["answer"]["partition"]), (&"user".into(), &"slappart0".into()));
    assert!(all.iter().any(|event| event["who"] == "COMP-1" && event["command"]["command"] == "format"));

    let last = numbers.len().to_string();
    assert_eq!(events(&lab, &["--since", &last]), Vec::<Value>::new());
    lab.ok(&["remove", "/elsewhere.cfg", "COMP-1"]);
    let since = events(&lab, &["--since", &last]);
    assert_eq!(since[0]["what"], "supply /elsewhere.cfg destroyed on COMP-1");
    assert!(lab.ok(&["events"]).contains(" user: supply /elsewhere.cfg destroyed on COMP-1 -> Supplied"));
    assert!(lab.fails(1, &["events", "--since", "1000000"]).contains("there is no event 1000000 yet"));
}

#[test]
fn whoever_follows_sees_what_comes_after_a_restart_too() {
    let lab = TestLab::up_empty(1, 1);
    let mut follower = Follower::start(&lab);
    lab.ok(&["supply", "/first.cfg", "COMP-1"]);
    follower.reads_until("supply /first.cfg available");
    lab.ok(&["lab", "kill", "master"]);
    until("the master is back", || (lab.slap(&["supply", "/second.cfg", "COMP-1"]).code == 0).then_some(()));
    follower.reads_until("supply /second.cfg available");
}

/// Who read enough goes: the pipe is broken at the next event, and nothing of that is a failure.
#[test]
fn whoever_follows_ends_when_nobody_reads_any_more() {
    let lab = TestLab::up_empty(1, 1);
    let mut child = follow(&lab);
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    lines.read_line(&mut String::new()).unwrap();
    drop(lines);
    let mut number = 0;
    let status = until("it ends", || {
        number += 1;
        lab.ok(&["supply", &format!("/{number}.cfg"), "COMP-1"]);
        child.try_wait().unwrap()
    });
    assert_eq!(status.code(), Some(0));
}

fn follow(lab: &TestLab) -> Child {
    Command::new(assert_cmd::cargo::cargo_bin!("slap"))
        .args(["events", "--follow", "--output", "jsonl"])
        .env("SLAPOS_CLIENT_CONFIGURATION", lab.directory().join("slapos-client.cfg"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

struct Follower {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
    last: i64,
}

impl Follower {
    fn start(lab: &TestLab) -> Follower {
        let mut child = follow(lab);
        let lines = BufReader::new(child.stdout.take().unwrap());
        Follower { child, lines, last: 0 }
    }

    /// Each event comes once, in its order.
    fn reads_until(&mut self, expected: &str) {
        let mut what = String::new();
        while !what.starts_with(expected) {
            let mut line = String::new();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "it ended before {expected:?}");
            let event: Value = serde_json::from_str(&line).unwrap();
            let sequence = event["sequence"].as_i64().unwrap();
            assert_eq!(sequence, self.last + 1, "{line}");
            self.last = sequence;
            what = event["what"].as_str().unwrap().to_owned();
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.child.kill().expect("it was started here");
        self.child.wait().expect("it was started here");
    }
}
