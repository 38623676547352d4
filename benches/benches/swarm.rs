//! How much faster than real time whole clouds live in memory: real master, agents, supervisors, engines and promises, on one core. Each
//! partition has an instance with two promises, which are run every two minutes; agents ask each minute, or wait for changes.
//!
//! Each line is the median of three clouds of different seeds, of the largest one of one. The time until a cloud runs is counted, too.
#![allow(
    missing_docs,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark prints, takes the time and may panic"
)]

use mimalloc::MiMalloc;
use simulator::swarm::{Plan, file, knobs::Profile, run};
use std::{fmt::Write, fs, process::ExitCode, time::Instant};

/// That of the simulator.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

struct Cloud {
    what: &'static str,
    nodes: u32,
    partitions: u32,
    waits: bool,
    /// In the world.
    hours: f64,
    /// Times real time.
    floor: f64,
}

const CLOUDS: [Cloud; 4] = [
    Cloud { what: "10 nodes that ask", nodes: 10, partitions: 2, waits: false, hours: 24.0, floor: 10_000.0 },
    Cloud { what: "10 nodes that wait", nodes: 10, partitions: 2, waits: true, hours: 24.0, floor: 10_000.0 },
    Cloud { what: "100 nodes that ask", nodes: 100, partitions: 2, waits: false, hours: 6.0, floor: 1_000.0 },
    Cloud {
        what: "1000 nodes of 10 partitions",
        nodes: 1000,
        partitions: 10,
        waits: false,
        hours: 2.0,
        floor: 30.0,
    },
];

/// A calm cloud that is full from the beginning.
fn calm(cloud: &Cloud, seed: u64) -> Plan {
    let Cloud { nodes, partitions, waits, hours, .. } = cloud;
    // Of a large cloud the rules are judged once a minute, not after each change.
    let profile = if *nodes < 1000 { "calm" } else { "scale" };
    let seconds = (hours * 3600.0) as u64;
    let mut text = format!(
        r#"{{"seed":{seed},"knobs":{{"profile":"{profile}","nodes":{nodes},"partitions":{partitions},"users":1,"agents_wait":{waits},"turmoil_seconds":{seconds},"user_seconds":1,"fault_seconds":0,"faults":[],"skew_seconds":0}}}}"#
    );
    for title in 0..nodes * partitions {
        let _ = write!(
            text,
            "\n{{\"at\":{title},\"event\":{{\"event\":\"request\",\"user\":1,\"title\":{title},\"release\":\"a\",\"node\":null,\"note\":0,\"state\":\"started\"}}}}"
        );
    }
    file::read(&text).expect("it is a plan")
}

/// How much faster than real time a plan lives.
fn speed(plan: &Plan) -> f64 {
    let start = Instant::now();
    let outcome = run(plan);
    let took = start.elapsed().as_secs_f64();
    assert_eq!(outcome.finding, None, "seed {}", plan.seed);
    outcome.simulated.as_secs_f64() / took
}

/// Prints the median; whether it reaches the floor.
fn tell(what: &str, mut speeds: Vec<f64>, floor: f64) -> bool {
    speeds.sort_by(f64::total_cmp);
    let median = speeds[speeds.len() / 2];
    let verdict = if median < floor { "  BELOW THE FLOOR" } else { "" };
    println!("{what:<40} {median:>10.0} times real time   floor {floor}{verdict}");
    median >= floor
}

/// MiB that a thousand nodes may take.
const MEMORY_MIB_MAX: u64 = 4096;

/// The most memory that this process had so far, in MiB.
fn peak_mib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0");
    line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1024
}

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let is_wanted = |what: &str| {
        wanted.is_empty() || wanted.iter().any(|word| what.contains(word.as_str()) || word == "swarm")
    };
    let mut is_fast = true;
    if is_wanted("10 nodes, all that goes wrong") {
        let swarm = |seed| {
            let mut plan = Plan::draw_with(seed, Profile::Swarm, Some(1), true);
            plan.resize(10, 2);
            speed(&plan)
        };
        is_fast &= tell("10 nodes, all that goes wrong", (1..=3).map(swarm).collect(), 3_000.0);
    }
    for cloud in &CLOUDS {
        if is_wanted(cloud.what) {
            let seeds = if cloud.nodes > 100 { 1..=1 } else { 1..=3 };
            is_fast &= tell(cloud.what, seeds.map(|seed| speed(&calm(cloud, seed))).collect(), cloud.floor);
        }
    }
    let peak = peak_mib();
    println!("memory at most: {peak} MiB   floor {MEMORY_MIB_MAX} with 1000 nodes");
    if is_fast && peak < MEMORY_MIB_MAX { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
