//! Many clients against a real master, some of whose answers are lost, and whether what they saw can be.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test makes its own directory, and prints"
)]

use simulator::histories::{self, Outcomes, Plan};
use slap_impl::env::real;
use std::path::Path;

fn run(plan: &Plan) -> Outcomes {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let scratch = directory.path().canonicalize().expect("it was just made");
    let env = real::env_with_executable(Path::new(env!("CARGO_BIN_EXE_simulator")));
    let outcomes = real::block_on_env(env, |env| async move { histories::run(&env, &scratch, plan).await });
    let outcomes = outcomes.unwrap_or_else(|problem| panic!("{plan:?}: {problem}"));
    println!("{plan:?}\n{outcomes}");
    assert!(outcomes.violations.is_empty(), "{plan:?}\n{}", outcomes.violations.join("\n"));
    outcomes
}

#[test]
fn sixty_four_clients_see_one_cloud() {
    let plan = Plan { seed: 1, clients: 64, operations: 6400, kills: 4, rounds: 0 };
    let outcomes = run(&plan);
    // Formats of four computers come before, and the last reads of them after.
    assert_eq!(outcomes.operations, 6400 + 2 * 4);
    for action in
        ["request", "request by a partition", "request of a shared instance", "destroyed", "format", "rename"]
    {
        for outcome in ["answered", "unknown"] {
            assert!(
                outcomes.counts.contains_key(&(action, outcome)),
                "no {action} was {outcome}: {outcomes}"
            );
        }
    }
}

#[test]
fn small_histories_have_an_order_that_the_model_gives() {
    let plan = Plan { seed: 1, clients: 1, operations: 0, kills: 0, rounds: 100 };
    let outcomes = run(&plan);
    assert_eq!(outcomes.rounds.0, 100);
}
