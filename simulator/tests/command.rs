//! The program `simulator`, as it is called.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a test starts the program that it tests"
)]

use std::{fs, process::Command};

/// Calls the program; its exit code, what it printed, and what it told.
fn call(arguments: &[&str]) -> (Option<i32>, String, String) {
    let simulator = env!("CARGO_BIN_EXE_simulator");
    let output = Command::new(simulator).args(arguments).output().expect("it was built with this test");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn help_is_printed_and_is_no_mistake() {
    for arguments in [
        &["--help"][..],
        &["-h"],
        &["help"],
        &["run", "--help"],
        &["explore", "--help"],
        &["replay", "--help"],
        &["judge", "--help"],
        &["histories", "--seed", "1", "--help"],
        &["canaries", "--help"],
    ] {
        let (exit, printed, told) = call(arguments);
        assert_eq!((exit, told.as_str()), (Some(0), ""), "{arguments:?}");
        assert!(printed.starts_with("usage: simulator "), "{arguments:?}: {printed}");
    }
}

#[test]
fn a_mistake_of_the_caller_is_usage() {
    for (arguments, problem) in [
        (
            &[][..],
            "expected run, replay, shrink, debug, lab, explore, judge, histories, canaries or coverage",
        ),
        (
            &["fly"],
            "expected run, replay, shrink, debug, lab, explore, judge, histories, canaries or coverage",
        ),
        (&["replay"], "replay: expected one FILE"),
        (&["judge", "some"], "judge: expected how many LISTS"),
        (
            &["canaries", "tweety"],
            "there is no canary \"tweety\": expected one of all-are-started, allocation-without-recheck, ",
        ),
        (&["canaries", "--fly"], "there is no canary \"--fly\": expected one of "),
        (&["coverage", "--fly"], "coverage: expected nothing or --optional"),
        (&["histories", "--fly", "1"], "\"--fly\" is not understood"),
        (&["run", "--fly"], "\"--fly\" is not understood"),
        (&["run", "--profile", "storm"], "profile \"storm\": expected swarm, calm, crash or scale"),
        (&["run", "--seeds", "0"], "--seeds 0: expected a number from 1 to"),
        (&["run", "fly"], "\"fly\" is not understood"),
        (&["run", "--seeds"], "--seeds: expected a value"),
        (&["shrink"], "shrink: expected FILE"),
        (&["debug", "/nonexistent"], "/nonexistent: "),
    ] {
        let (exit, printed, told) = call(arguments);
        assert_eq!((exit, printed.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(told.starts_with(&format!("error: {problem}")), "{arguments:?}: {told}");
    }
}

#[test]
fn what_is_no_list_is_not_replayed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("list");
    for (text, problem) in [
        ("", "there are no events in it"),
        ("# nothing\n", "there are no events in it"),
        ("{\"look\":\"c0\"}\n{\"look\":\"c12\"}\n", "line 2: \"c12\": expected c and a number below 12"),
    ] {
        fs::write(&path, text).unwrap();
        let (exit, printed, told) = call(&["replay", path.to_str().unwrap()]);
        assert_eq!((exit, printed.as_str()), (Some(1), ""), "{told}");
        assert!(told.contains(problem), "{told}");
    }
}
