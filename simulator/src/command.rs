//! The program `simulator`, one subcommand for each thing it does. Two runs of `run` with the same seed print the same lines.

use crate::{
    canaries, coverage, differential, explore,
    histories::{self, Plan},
    lab, swarm,
};
use slap_impl::env::{Env, Exit};
use std::{panic::catch_unwind, path::Path};

const USAGE: &str = "usage: simulator run|replay|shrink|debug (see simulator run --help)
       simulator lab [--seed N] [--nodes N] [--trace]
       simulator explore [--help]
       simulator replay FILE
       simulator judge LISTS
       simulator histories [--seed N] [--clients N] [--operations N] [--kills N] [--rounds N] [--json]
       simulator canaries [NAME...]
       simulator coverage [--optional]
       simulator COMMAND --help

run, replay SEED, shrink, debug: swarms: whole clouds from a seed, with users and faults, judged.
lab: a lab's life in a world in memory: up, changes, kills, destruction, down. --trace prints every event.
explore: the model's small worlds, every state of them.
replay: steps through a list of events (one a line, as JSON) on the model and on the real master, with both sides shown;
    exit code 1 tells of a difference.
judge: so many lists of events on the real master, judged by the model's rules; the verdict is JSON.
histories: clients against a master that is a process of its own; some answers are lost, and what they saw is judged.
canaries: each planted bug is applied to a copy of the sources, and the tier that must see it is run.
coverage: builds a simulator with counters, runs fifty seeds, and compares what they did not reach with
    simulator/COVERAGE.md; --optional: without LLVM's tools it says that it did not run, and fails only in CI.";

/// Runs the program.
pub async fn run(env: Env, arguments: Vec<String>) -> Exit {
    let (word, rest) = arguments.split_first().map_or(("", &[][..]), |(word, rest)| (word.as_str(), rest));
    let asks_for_help = |word: &String| ["--help", "-h"].contains(&word.as_str());
    // `explore` has more to tell.
    if word == "help"
        || arguments.first().is_some_and(asks_for_help)
        || word != "explore" && rest.iter().any(asks_for_help)
    {
        let of_swarms = ["run", "shrink", "debug"].contains(&word);
        env.print(if of_swarms { swarm::command::USAGE } else { USAGE });
        return Exit::DONE;
    }
    let done = match word {
        "lab" => life(&env, rest),
        "run" | "shrink" | "debug" => swarm::command::command(&env, word, rest).await,
        "replay" if is_of_swarm(&env, rest) => swarm::command::command(&env, word, rest).await,
        "replay" => match rest {
            [path] if !path.starts_with('-') => Ok(differential::replay::command(&env, path).await),
            _ => Err("replay: expected one FILE".to_owned()),
        },
        "explore" => Ok(explore::command::run(&env, rest)),
        "judge" => match rest {
            [lists] if number(lists).is_some() => {
                Ok(differential::judge::command(&env, number(lists).unwrap_or_default()).await)
            }
            _ => Err("judge: expected how many LISTS".to_owned()),
        },
        "canaries" => canaries::command(&env, rest),
        "coverage" => coverage::command(&env, rest),
        "histories" => many(&env, rest).await,
        _ => Err("expected run, replay, shrink, debug, lab, explore, judge, histories, canaries or coverage"
            .to_owned()),
    };
    done.unwrap_or_else(|problem| {
        env.tell(format_args!("error: {problem}\n\n{USAGE}"));
        Exit::USAGE
    })
}

/// Whether what is to be replayed is a seed, or the file of a swarm's plan.
fn is_of_swarm(env: &Env, arguments: &[String]) -> bool {
    let Some(what) = arguments.first() else { return false };
    let path = env.context().absolute(what);
    number(what).is_some()
        || env.files().read_text(&path, 64 << 20).is_ok_and(|text| swarm::file::is_plan(&text))
}

fn life(env: &Env, arguments: &[String]) -> Result<Exit, String> {
    let mut seed: u64 = 1;
    let mut nodes: u64 = 3;
    let trace = arguments.iter().any(|word| word == "--trace");
    let rest: Vec<&str> = arguments.iter().map(String::as_str).filter(|word| *word != "--trace").collect();
    read(&rest, &mut [("--seed", &mut seed, 0..=u64::MAX), ("--nodes", &mut nodes, 1..=1000)])?;
    env.print(format_args!("seed {seed:#x} nodes {nodes} version {}", env!("CARGO_PKG_VERSION")));
    let Ok(outcome) = catch_unwind(|| lab::life(seed, nodes as u32)) else { return Ok(Exit::FAILED) };
    if trace {
        for line in &outcome.lines {
            env.print(line);
        }
    }
    env.print(format_args!(
        "exit {}, up after {:.3} s in the world, {} events, digest {}",
        outcome.exit.0,
        outcome.took.as_secs_f64(),
        outcome.lines.len(),
        outcome.digest
    ));
    Ok(outcome.exit)
}

async fn many(env: &Env, arguments: &[String]) -> Result<Exit, String> {
    let (mut seed, mut clients, mut operations, mut kills, mut rounds) = (1, 64, 6400, 4, 100);
    let json = arguments.iter().any(|word| word == "--json");
    let rest: Vec<&str> = arguments.iter().map(String::as_str).filter(|word| *word != "--json").collect();
    let options = &mut [
        ("--seed", &mut seed, 0..=u64::MAX),
        ("--clients", &mut clients, 1..=1000),
        ("--operations", &mut operations, 0..=10_000_000),
        ("--kills", &mut kills, 0..=1000),
        ("--rounds", &mut rounds, 0..=1_000_000),
    ];
    read(&rest, options)?;
    let plan = Plan { seed, clients: clients as u32, operations, kills, rounds: rounds as u32 };
    if !json {
        env.print(format_args!("{plan:?}"));
    }
    let temporary = env.context().variable("TMPDIR").unwrap_or("/tmp");
    let scratch = Path::new(temporary).join(format!("slap-histories-{}", env.context().identity.pid));
    let result = in_scratch(env, &scratch, &plan).await;
    let outcomes = match result {
        Ok(outcomes) => outcomes,
        Err(problem) => {
            env.tell(format_args!("error: {problem}\nwhat the masters left: {}", scratch.display()));
            return Ok(Exit::FAILED);
        }
    };
    if json {
        let rules = outcomes.broken();
        env.print(
            serde_json::json!({ "rules": rules, "events": outcomes.operations, "what": outcomes.violations }),
        );
    } else {
        env.print(&outcomes);
        for violation in &outcomes.violations {
            env.print(format_args!("\n{violation}"));
        }
        env.print(format_args!("broken: {}", outcomes.violations.len()));
    }
    Ok(if outcomes.violations.is_empty() { Exit::DONE } else { Exit::FAILED })
}

/// Makes the directory and, unless something failed, removes it.
async fn in_scratch(env: &Env, scratch: &Path, plan: &Plan) -> Result<histories::Outcomes, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", scratch.display());
    env.files().create_directory(scratch, 0o700).map_err(failed)?;
    let outcomes = histories::run(env, scratch, plan).await?;
    env.files().remove_tree(scratch).map_err(failed)?;
    Ok(outcomes)
}

/// Reads options that are numbers, each within its range.
fn read(
    words: &[&str],
    options: &mut [(&str, &mut u64, std::ops::RangeInclusive<u64>)],
) -> Result<(), String> {
    for pair in words.chunks(2) {
        let option = options.iter_mut().find(|(name, ..)| *name == pair[0]);
        let (name, value, range) = option.ok_or_else(|| format!("{:?} is not understood", pair[0]))?;
        let given = pair.get(1).and_then(|text| number(text)).filter(|given| range.contains(given));
        **value = given.ok_or_else(|| {
            format!(
                "{name} {}: expected a number from {} to {}",
                pair.get(1).unwrap_or(&""),
                range.start(),
                range.end()
            )
        })?;
    }
    Ok(())
}

/// Reads a number, decimal or with 0x.
pub(crate) fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}
