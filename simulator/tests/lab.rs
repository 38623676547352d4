//! Three nodes in a world in memory: the same seed gives the same trace in two processes.
#![allow(clippy::disallowed_types, reason = "a test starts the program that it tests")]

use std::process::Command;

fn run(seed: &str) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_simulator"))
        .args(["lab", "--seed", seed, "--trace"])
        .output()
        .expect("the program was built with this test");
    let text = String::from_utf8(output.stdout).expect("a trace is UTF-8");
    (output.status.code().expect("it was not killed"), text)
}

#[test]
fn three_nodes_live_and_the_same_seed_gives_the_same_trace_in_two_processes() {
    let (first, second) = (run("7"), run("7"));
    let tail: Vec<&str> = first.1.lines().rev().take(40).collect();
    assert_eq!(
        first.0,
        0,
        "the lab becomes green, and stays well through kills:\n{}",
        tail.into_iter().rev().collect::<Vec<_>>().join("\n")
    );
    for (number, (one, two)) in first.1.lines().zip(second.1.lines()).enumerate() {
        assert_eq!(one, two, "the first line that differs is {number}");
    }
    assert_eq!(first.1.len(), second.1.len());
    let (exit, other) = run("8");
    assert_eq!(exit, 0);
    assert_ne!(first.1.lines().last(), other.lines().last(), "another seed gives another trace");
}
