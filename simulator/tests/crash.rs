//! The real master on a disk that fails: what it acknowledged is there after every crash, and the test sees it when it is not.
#![allow(clippy::print_stdout, reason = "a test prints")]

use simulator::crash::{Outcomes, Plan, run};

const CALM: Plan = Plan { seed: 1, cycles: 100, clients: 4, has_failures: false, disk_lies: false };

fn sound(plan: &Plan) -> Outcomes {
    let outcomes = run(plan);
    println!("{plan:?}\n{outcomes}");
    assert!(outcomes.violations.is_empty(), "{plan:?}\n{}", outcomes.violations.join("\n"));
    outcomes
}

#[test]
fn nothing_acknowledged_is_lost_in_a_crash() {
    for seed in 1..=4 {
        let outcomes = sound(&Plan { seed, ..CALM });
        assert!(outcomes.power_losses + outcomes.kills >= CALM.cycles, "{outcomes}");
        assert!(outcomes.power_losses > 20 && outcomes.kills > 20, "{outcomes}");
        assert!(outcomes.within_operations > 20 && outcomes.within_recoveries > 2, "{outcomes}");
        assert!(outcomes.acknowledged > 4 * u64::from(CALM.cycles), "{outcomes}");
        assert!(outcomes.entries > 0 && outcomes.refused == 0, "{outcomes}");
    }
}

#[test]
fn nothing_acknowledged_is_lost_on_a_disk_that_is_full_or_fails() {
    let refused: u64 = (1..=4).map(|seed| sound(&Plan { seed, has_failures: true, ..CALM }).refused).sum();
    assert!(refused > 100, "the failures meet the master: {refused}");
}

#[test]
fn a_disk_that_lies_is_seen() {
    let seen = (1..=10).filter(|seed| {
        let outcomes = run(&Plan { seed: *seed, disk_lies: true, ..CALM });
        // A broken database hides the rest: any of these is what a lost sync looks like.
        let names: Vec<&str> =
            outcomes.violations.iter().filter_map(|violation| violation.split(':').next()).collect();
        println!("seed {seed}: {names:?}");
        names.contains(&"acknowledged write lost")
    });
    assert!(seen.count() >= 5, "an acknowledged write that is lost is told by its name");
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let plan = Plan { cycles: 30, has_failures: true, ..CALM };
    let (first, second) = (run(&plan), run(&plan));
    assert_eq!(first, second);
    assert_ne!(first.digest, run(&Plan { seed: 2, ..plan }).digest);
}
