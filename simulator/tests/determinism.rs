//! The same seed is the same run, also in another process: on this stands all that the simulator shows, so CI looks at it first.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a test starts the program that it tests"
)]

use std::process::Command;

/// Calls the program; its exit code, and what it printed: the end of the trace, and a digest of all of it.
fn call(arguments: &[&str]) -> (Option<i32>, String) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_simulator")).args(arguments).output().expect("it was built");
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn the_same_seed_is_the_same_run_in_two_processes() {
    for (seed, profile) in [("7", "swarm"), ("8", "crash"), ("9", "swarm")] {
        let whole = ["replay", seed, "--profile", profile, "--all-faults", "--trace"];
        let (first, second) = (call(&whole), call(&whole));
        assert!(first.1.lines().count() > 100 && first.1.contains(" digest "), "{first:?}");
        assert!((first.0, &first.1) == (second.0, &second.1), "seed {seed} of {profile}: the traces differ");
        let next = (seed.parse::<u64>().unwrap() + 1).to_string();
        let other = call(&["replay", &next, "--profile", profile, "--all-faults", "--trace"]);
        assert!(first.1 != other.1, "seed {seed} and the next are the same run");
    }
}
