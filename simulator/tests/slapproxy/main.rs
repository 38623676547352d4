//! The model and slapproxy of slapos.core 1.24.1, event by event: they are alike, except where a named decision says otherwise;
//! and there they are not, in just what `explained.rs` has of it.
//!
//! It needs python3 and the packages of `golden/python/requirements.txt`. `SLAP_DIFFERENTIAL_CASES=N` runs N lists instead of 128.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test starts the program that it compares with, and writes what it found"
)]

#[allow(unreachable_pub, reason = "it is a module of golden, too")]
#[path = "../../../golden/src/python.rs"]
mod environment;
mod explained;
mod python;

use explained::explains;
use python::Python;
use simulator::differential::{
    choices::{Seeded, prelude},
    file,
    shrink::{shrink, simplify},
    slapproxy::{Shown, run},
};
use slap_model::{Choices, Decision, Event, State, worlds::everything};
use std::{collections::BTreeSet, fs, path::PathBuf, process::Command};

/// Events of a list at most.
const LENGTH: usize = 60;

/// Decisions that slapproxy cannot show, and why.
const UNSHOWN: [(Decision, &str); 0] = [];

fn cases() -> u64 {
    std::env::var("SLAP_DIFFERENTIAL_CASES").map_or(128, |text| text.parse().expect("a number of lists"))
}

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("regressions/decisions")
}

fn begin() -> State {
    State::new([])
}

/// A list of events that use no decision, and one at its end that does.
fn list(seed: u64) -> Vec<Event> {
    let world = everything();
    let mut choices = Seeded::new(seed);
    let mut state = begin();
    let mut events = prelude(&world);
    for event in &events {
        state.step(event);
    }
    let length = 5 + choices.choose(LENGTH);
    for _ in 0..LENGTH * 10 {
        let Some(event) = world.bounds.generate(&state, &mut choices) else { continue };
        let mut after = state.clone();
        let is_decided = !after.step_explained(&event).decisions.is_empty();
        if is_decided && events.len() < length {
            continue;
        }
        events.push(event);
        state = after;
        if is_decided {
            break;
        }
    }
    events
}

/// The parts that differ, without names, such as `kept.computers.*.partitions.*.rank`.
fn fields(shown: &Shown) -> BTreeSet<&str> {
    let kind = shown.difference.as_ref().and_then(|found| found.kind.split_once(": "));
    kind.into_iter().flat_map(|(_, fields)| fields.split(", ")).collect()
}

/// Where both differ, and no decision that was used says so.
fn unexplained(shown: &Shown) -> Option<&str> {
    let is_said = |field: &&str| shown.decisions.iter().any(|decision| explains(*decision, field));
    let is_other = !fields(shown).iter().all(is_said);
    shown.difference.as_ref().filter(|_| is_other).map(|found| found.kind.as_str())
}

#[test]
fn without_a_decision_slapproxy_does_the_same() {
    let Some(mut python) = Python::start() else { return };
    let mut equal = 0;
    for seed in 0..cases() {
        let events = list(seed);
        let shown = run(&mut python, begin(), &events);
        equal += shown.equal;
        let Some(kind) = unexplained(&shown) else { continue };
        let short =
            shrink(&events[..=shown.at], |list| unexplained(&run(&mut python, begin(), list)) == Some(kind));
        let found = run(&mut python, begin(), &short).difference;
        let text = found.map(|found| found.to_string()).unwrap_or_default();
        panic!("seed {seed}: no decision says so:\n{}", file::write(&text, &short));
    }
    println!("{equal} events without a decision were the same");
}

/// Lists that once showed a difference to our own master: the same holds for them, as far as slapproxy can say what they say.
#[test]
fn what_once_differed_elsewhere_is_the_same_here() {
    let Some(mut python) = Python::start() else { return };
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("regressions/model");
    let entries = fs::read_dir(&directory).expect("the lists are there");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("it can be read").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    paths.sort();
    assert!(!paths.is_empty(), "no lists in {}", directory.display());
    let mut equal = 0;
    for path in paths {
        let text = fs::read_to_string(&path).expect("it can be read");
        let events = file::read(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        // The slapproxy that is asked here knows no other master.
        if events.iter().any(|event| matches!(event, Event::Request(wish) if wish.is_for_another())) {
            continue;
        }
        let shown = run(&mut python, begin(), &events);
        equal += shown.equal;
        assert_eq!(unexplained(&shown), None, "{}: {:?}", path.display(), shown.difference);
    }
    assert!(equal > 0, "nothing was compared");
    println!("{equal} events without a decision were the same");
}

/// Whether a list shows a decision: all is alike until its last event, which uses it alone, and there both differ.
fn shows(shown: &Shown, events: &[Event], decision: Decision) -> bool {
    shown.at + 1 == events.len()
        && shown.difference.is_some()
        && shown.decisions.iter().eq(std::iter::once(&decision))
        && unexplained(shown).is_none()
}

#[test]
fn every_decision_can_be_seen() {
    let Some(mut python) = Python::start() else { return };
    let mut missing: BTreeSet<Decision> = Decision::ALL.iter().copied().collect();
    for (decision, _) in UNSHOWN {
        missing.remove(&decision);
    }
    let wanted = missing.clone();
    let mut rewritten = Vec::new();
    for decision in wanted {
        let path = directory().join(format!("{}.jsonl", decision.name()));
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let events = file::read(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let shown = run(&mut python, begin(), &events);
        assert!(
            shows(&shown, &events, decision),
            "{} shows it no more: {:?} after event {}, {:?}",
            path.display(),
            shown.decisions,
            shown.at + 1,
            shown.difference
        );
        missing.remove(&decision);
        let expected = written(decision, &shown, &events);
        if text != expected {
            fs::write(&path, expected).expect("it can be written");
            rewritten.push(path);
        }
    }
    assert!(rewritten.is_empty(), "these say something else now, and were written again: {rewritten:?}");
    if missing.is_empty() {
        return;
    }
    let found = search(&mut python, &missing);
    panic!(
        "lists are missing for {missing:?}; written: {found:?}; commit them, or say in UNSHOWN why there is none"
    );
}

/// The file of a list that shows a decision.
fn written(decision: Decision, shown: &Shown, events: &[Event]) -> String {
    let difference = shown.difference.as_ref().map(ToString::to_string).unwrap_or_default();
    let difference = difference.replace(", the master ", ", slapproxy ");
    file::write(&format!("{}: {}\n{difference}", decision.name(), decision.sentence()), events)
}

/// Looks for lists that show decisions, and writes them.
fn search(python: &mut Python, missing: &BTreeSet<Decision>) -> BTreeSet<Decision> {
    let mut found = BTreeSet::new();
    for seed in 0..20_000 {
        let events = list(seed);
        let mut state = begin();
        let used: Vec<_> = events.iter().map(|event| state.step_explained(event).decisions).collect();
        let Some(last) = used.last().filter(|last| last.len() == 1) else { continue };
        let decision = *last.first().expect("there is one");
        if !missing.contains(&decision) || found.contains(&decision) {
            continue;
        }
        if !shows(&run(python, begin(), &events), &events, decision) {
            continue;
        }
        let mut shows = |list: &[Event]| shows(&run(python, begin(), list), list, decision);
        let short = shrink(&events, &mut shows);
        let short = simplify(&short, &mut shows);
        let difference = run(python, begin(), &short).difference.map(|it| it.to_string()).unwrap_or_default();
        let text =
            file::write(&format!("{}: {}\n{difference}", decision.name(), decision.sentence()), &short);
        fs::write(directory().join(format!("{}.jsonl", decision.name())), text).expect("it can be written");
        found.insert(decision);
        if found.len() == missing.len() {
            break;
        }
    }
    found
}

/// A comparison that did not run is seen: by whoever starts the tests, and as a failure by CI.
#[test]
fn without_python_it_says_so_and_ci_fails() {
    for (ci, passes) in
        [(None, true), (Some("0"), true), (Some("false"), true), (Some("1"), false), (Some("true"), false)]
    {
        let mut command = Command::new(std::env::current_exe().expect("this test is a program"));
        command.args(["--exact", "every_decision_can_be_seen"]).env("SLAP_TEST_PYTHON", "/nonexistent");
        match ci {
            Some(value) => command.env("CI", value),
            None => command.env_remove("CI"),
        };
        let output = command.output().expect("it can be started again");
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert!(stdout.contains("running 1 test"), "{stdout}");
        assert_eq!(output.status.success(), passes, "CI={ci:?}: {stdout}");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(stderr.contains("*** DID NOT RUN"), passes, "CI={ci:?}: {stderr}");
        assert!(passes || stdout.contains("CI must run it"), "{stdout}");
    }
}
