//! The program `simulator`: runs a lab in a world of a seed and prints what happened, line by line. Two runs of
//! the same seed print the same lines. `simulator replay` stands in [`crate::differential::replay`].

use crate::{canaries, differential, lab};
use slap_impl::env::{Env, Exit};

const USAGE: &str = "usage: simulator run [--seed N] [--nodes N] [--trace]\n\n\
    Runs a lab's life in a world in memory: up, changes, kills, destruction, down. --trace prints every event.\n\n\
    usage: simulator replay FILE\n\n\
    Steps through a list of events (one a line, as JSON) on the model and on the real master, with both sides shown;\n\
    exit code 1 tells of a difference.\n\n\
    usage: simulator judge LISTS\n\n\
    Runs so many lists of events on the real master and judges what it does by the model's rules.\n\n\
    usage: simulator canaries [NAME...]\n\n\
    Applies each planted bug to a copy of the sources, and tells whether the tier that must see it does.";

/// Runs the program.
pub async fn run(env: Env, arguments: Vec<String>) -> Exit {
    if let Some(("replay", rest)) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return match rest {
            [path] if !path.starts_with('-') => differential::replay::command(&env, path).await,
            _ => {
                env.tell(format_args!("error: expected one FILE\n\n{USAGE}"));
                Exit::USAGE
            }
        };
    }
    if let Some(("canaries", rest)) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return canaries::command(&env, rest);
    }
    if let Some(("judge", rest)) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return match rest {
            [lists] if number(lists).is_some() => {
                differential::judge::command(&env, number(lists).unwrap_or_default()).await
            }
            _ => {
                env.tell(format_args!("error: expected how many LISTS\n\n{USAGE}"));
                Exit::USAGE
            }
        };
    }
    let mut seed: u64 = 1;
    let mut nodes: u32 = 3;
    let mut trace = false;
    let mut words = arguments.iter().map(String::as_str);
    if words.next() != Some("run") {
        env.tell(USAGE);
        return Exit::USAGE;
    }
    while let Some(word) = words.next() {
        let understood = match word {
            "--seed" => words.next().and_then(number).map(|value| seed = value).is_some(),
            "--nodes" => words
                .next()
                .and_then(number)
                .filter(|value| (1..=1000).contains(value))
                .map(|value| nodes = value as u32)
                .is_some(),
            "--trace" => {
                trace = true;
                true
            }
            _ => false,
        };
        if !understood {
            env.tell(format_args!("error: {word:?} is not understood\n\n{USAGE}"));
            return Exit::USAGE;
        }
    }
    env.print(format_args!("seed {seed:#x} nodes {nodes} version {}", env!("CARGO_PKG_VERSION")));
    // A world has a runtime of its own, and none can be started inside another.
    let outcome = std::thread::scope(|scope| scope.spawn(move || lab::life(seed, nodes)).join());
    let Ok(outcome) = outcome else { return Exit::FAILED };
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
    outcome.exit
}

/// Reads a number, decimal or with 0x.
fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}
