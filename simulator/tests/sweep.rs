//! A node ends at each write and each sync of its disk, one after the other, while an instance is set up, changed, stopped, started and
//! destroyed, and its release removed and built again: wherever that is, all comes to what is wanted.
#![allow(clippy::print_stdout, reason = "a test prints")]

use simulator::swarm::{self, file};

/// A cloud of one node, and what its user wants.
fn plan(crash: &str) -> swarm::Plan {
    const HEAD: &str = r#"{"seed":5,"knobs":{"profile":"crash","nodes":1,"partitions":1,"users":1,"agents_wait":true,"turmoil_seconds":110,"user_seconds":60,"fault_seconds":0,"faults":[],"skew_seconds":0,"plugins":["socket"]}}"#;
    let request = |at: u64, note: u32, state: &str| {
        format!(
            r#"{{"at":{at},"event":{{"event":"request","user":1,"title":0,"release":"a","node":1,"note":{note},"state":"{state}"}}}}"#
        )
    };
    let supply = |at: u64, removed: bool| {
        format!(
            r#"{{"at":{at},"event":{{"event":"supply","user":1,"node":1,"release":"a","removed":{removed}}}}}"#
        )
    };
    let lines = [
        HEAD.to_owned(),
        crash.to_owned(),
        request(1, 0, "started"),
        request(15_000, 1, "started"),
        request(30_000, 1, "stopped"),
        request(45_000, 1, "started"),
        request(60_000, 1, "destroyed"),
        supply(75_000, true),
        supply(90_000, false),
        request(100_000, 2, "started"),
    ];
    file::read(&lines.join("\n")).expect("it is a plan")
}

/// Ends the node, or one of its programs, at each `stride`th operation; how many operations there are, at least.
fn sweep(operation: &str, power: bool, stride: usize) -> u64 {
    for (number, spared) in (0_u64..).step_by(stride).enumerate() {
        let moment = ["before", "within", "after"][number % 3];
        let crash = format!(
            r#"{{"at":0,"event":{{"event":"crash","machine":{{"node":1}},"operation":"{operation}","spared":{spared},"moment":"{moment}","power":{power}}}}}"#
        );
        let plan = plan(&crash);
        let outcome = swarm::run(&plan);
        assert_eq!(outcome.finding, None, "{crash}\n{}", file::write(&plan));
        if outcome.strikes == 0 {
            return spared;
        }
    }
    unreachable!("a node without wishes writes no more")
}

fn sweep_all(stride: usize) {
    for power in [true, false] {
        let (writes, syncs) = (sweep("write", power, stride), sweep("sync", power, stride));
        println!("power {power}: ended at each {stride}. of {writes} writes and {syncs} syncs");
        assert!(writes > 50 && syncs > 50, "{writes} {syncs}");
    }
}

#[test]
fn a_node_may_end_at_any_operation_of_its_disk() {
    sweep_all(5);
}

#[test]
#[ignore = "a minute and a half: cargo xtask ci --nightly"]
fn a_node_may_end_at_each_operation_of_its_disk() {
    sweep_all(1);
}
