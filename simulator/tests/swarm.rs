//! Swarms: what was once found is not found again; and the rules see. `determinism.rs` shows that a seed is one run.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a test starts the program that it tests, and reads committed lists"
)]

use simulator::{
    canaries::workspace,
    swarm::{self, Plan, file, knobs::Profile},
};
use std::{fs, path::PathBuf, process::Command};

/// Calls the program; its exit code, and what it printed and told.
fn call(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_simulator")).args(arguments).output().expect("it was built");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// The lists that once led to a finding.
fn regressions() -> Vec<(PathBuf, Plan)> {
    let folder = workspace().join("simulator/regressions/world");
    let entries = fs::read_dir(&folder).expect("it is committed");
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("it is a file");
        let plan = file::read(&text).unwrap_or_else(|problem| panic!("{}: {problem}", path.display()));
        (path, plan)
    };
    let mut found: Vec<_> = entries.map(|entry| read(entry.expect("it can be listed").path())).collect();
    found.sort_by(|left, right| left.0.cmp(&right.0));
    found
}

#[test]
fn what_was_found_once_is_not_found_again() {
    let regressions = regressions();
    assert!(!regressions.is_empty());
    let bugs = fs::read_to_string(workspace().join("simulator/BUGS.md")).unwrap();
    for (path, plan) in regressions {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(bugs.contains(name), "{name} is not named in simulator/BUGS.md");
        let outcome = swarm::run(&plan);
        assert_eq!(outcome.finding, None, "{name}: cargo xtask sim replay {}", path.display());
    }
}

#[test]
fn a_run_does_what_it_says() {
    let (mut answered, mut settled) = (0, 0);
    for seed in 0..8 {
        let outcome = swarm::run(&Plan::draw(seed, Profile::Swarm));
        assert_eq!(outcome.finding, None, "cargo xtask sim replay {seed}");
        answered += outcome.operations.1;
        settled += u32::from(outcome.settled_after.is_some());
    }
    assert!(answered > 100, "users had {answered} answers only");
    assert_eq!(settled, 8);
}

/// A plan with a finding: a request that is good, of which it is said that it must be refused; and steps that have nothing to do with it.
const FOUND: &str = include_str!("../src/swarm/found.jsonl");

/// What all replays and reports of it begin with.
fn assert_told(text: &str, again: &str) {
    let mut lines = text.lines().skip_while(|line| !line.starts_with("garbage-is-refused: "));
    assert!(lines.next().is_some(), "the rule and the object: {text}");
    let second = lines.next().expect("a second line");
    assert!(second.contains(" s: ") && second.contains("200"), "the time and what was seen: {text}");
    assert_eq!(lines.next(), Some(format!("again: {again}").as_str()), "{text}");
}

#[test]
fn a_finding_is_told_written_and_shortened() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.jsonl");
    fs::write(&path, FOUND).unwrap();
    let path = path.to_str().unwrap();
    let (exit, printed, told) = call(&["replay", path]);
    assert_eq!(exit, Some(1), "{printed}{told}");
    let again = format!("cargo xtask sim replay {path}");
    assert_told(&printed, &again);
    // No seed draws this plan, so the banner names the file.
    assert!(told.contains("seed 3 of commit") && told.contains(&format!("again: {again}")), "{told}");
    let (exit, printed, told) = call(&["replay", path, "--output", "json"]);
    let document: serde_json::Value = serde_json::from_str(&printed).expect("one document");
    assert_eq!((exit, document["rule"].as_str()), (Some(1), Some("garbage-is-refused")), "{told}");
    let (exit, shrunk, told) = call(&["shrink", path]);
    assert_eq!((exit, told.contains("5 steps before, 1 after")), (Some(1), true), "{told}");
    let plan = file::read(&shrunk).unwrap();
    assert!(shrunk.lines().count() == 2 && shrunk.contains("getRunId"), "{shrunk}");
    assert_eq!(plan.knobs.turmoil_seconds, 10, "what is left of the turmoil goes, too");
}

/// A run stands still before each step, shows what is asked for, and goes on.
#[test]
fn a_run_can_be_looked_at_step_by_step() {
    use std::{io::Write, process::Stdio};
    let mut child = Command::new(env!("CARGO_BIN_EXE_simulator"))
        .args(["debug", "7"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it was built");
    let commands =
        b"help\nlist 2\nfly\nstep 3\nchanges\ndifference\nshow COMP-1/slappart0\nprocesses master\n\
        back 2\nrun 100000000\nback\nlist 1\nquit\n";
    child.stdin.take().unwrap().write_all(commands).unwrap();
    let output = child.wait_with_output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{printed}");
    for expected in [
        "step [N]",
        "before step 0 at",
        "before step 3 at",
        "\"fly\" is not understood",
        "+ node-1 ",
        "the master holds what the model says",
        "COMP-1/slappart0\n  model:  listed true, ",
        "\n  master: listed true, ",
        "runs: node-1 ",
        "proxy start --cfg",
        "the turmoil is over",
        "ended before the end of the run",
    ] {
        assert!(printed.contains(expected), "{expected}: {printed}");
    }
    // Back from the third step, and back from the end.
    let third = printed.find("before step 3 at").expect("it was looked for above");
    let first = printed[third..].find("before step 1 at").expect("two steps before the third") + third;
    let over = printed.find("the turmoil is over").expect("it was looked for above");
    assert!(first < over && printed[over..].contains("before step "), "{printed}");
}

/// The ledger: what was done by this program is not done again.
#[test]
fn a_long_run_goes_on_where_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = directory.path().join("not/there/yet/ledger.jsonl");
    let run = |seeds: &str| {
        let (exit, _, told) = call(&[
            "run",
            "--seed",
            "20",
            "--seeds",
            seeds,
            "--jobs",
            "2",
            "--ledger",
            ledger.to_str().unwrap(),
        ]);
        assert_eq!(exit, Some(0), "{told}");
        told
    };
    assert!(run("3").contains("3 of 3 seeds"));
    assert_eq!(fs::read_to_string(&ledger).unwrap().lines().count(), 3);
    // The last line was cut, as by a crash.
    let text = fs::read_to_string(&ledger).unwrap();
    fs::write(&ledger, &text[..text.len() - 20]).unwrap();
    // What cannot be a ledger is told before anything is done.
    let (exit, printed, told) = call(&["run", "--ledger", directory.path().to_str().unwrap()]);
    assert!(exit != Some(0) && told.contains("--ledger") && printed.is_empty(), "{exit:?} {printed}{told}");
    let told = run("4");
    assert!(told.contains("2 seeds, 2 are in the ledger") && told.contains("2 of 2 seeds"), "{told}");
}
