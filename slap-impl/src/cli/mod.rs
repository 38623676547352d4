//! The command line of `slap`: finds the command, and gives each its own arguments.
//!
//! No command reads the process's arguments or ends the process: each is a program
//! `run(env, arguments) -> Exit`, so the same command line runs in a world in memory.

pub mod buildout;
pub mod computer;
mod connection;
pub mod node;
mod parameters_file;
pub mod proxy;
mod python_json;
pub mod remove;
pub mod request;
mod schema;
pub mod service;
pub mod supply;
pub mod wait;

#[cfg(test)]
mod client_tests;

use crate::env::{Env, Exit};
use clap::Parser;
use std::time::Duration;

/// A command: its words, what it is for, and its program.
struct Entry {
    words: &'static str,
    purpose: &'static str,
}

/// What help lists, in its order.
const COMMANDS: [Entry; 16] = [
    Entry {
        words: "lab",
        purpose: "a master and nodes in one directory: up, status, wait, logs, kill, pause, resume, down",
    },
    Entry { words: "supply", purpose: "ask for a software release on a computer" },
    Entry { words: "remove", purpose: "ask for a software release to be removed from a computer" },
    Entry { words: "request", purpose: "request an instance, or change what was requested" },
    Entry { words: "service", purpose: "list instances, or show one: list, info" },
    Entry { words: "computer", purpose: "list computers, or show one: list, info" },
    Entry { words: "wait", purpose: "wait for an instance or the lab" },
    Entry { words: "logs", purpose: "print the ends of the lab's logs" },
    Entry { words: "proxy start", purpose: "run a master" },
    Entry { words: "node format", purpose: "make the partitions of a node and tell the master" },
    Entry { words: "node software", purpose: "build and remove software releases, one pass" },
    Entry { words: "node instance", purpose: "process instances, one pass" },
    Entry { words: "node promise", purpose: "check promises, one pass" },
    Entry { words: "node report", purpose: "clean up destroyed instances, one pass" },
    Entry { words: "node run", purpose: "run the agent, which does all of these when something changed" },
    Entry { words: "buildout", purpose: "run a Buildout profile in a directory" },
];

/// Runs the command that `arguments` say (without the program's own name).
pub async fn run(env: Env, arguments: Vec<String>) -> Exit {
    let Some((command, rest)) = arguments.split_first() else {
        env.tell(help());
        return Exit::USAGE;
    };
    let rest = rest.to_vec();
    match command.as_str() {
        "lab" => crate::lab::run(env, rest).await,
        "supply" => supply::run(env, rest).await,
        "remove" => remove::run(env, rest).await,
        "request" => request::run(env, rest).await,
        "service" => service::run(env, rest).await,
        "computer" => computer::run(env, rest).await,
        "wait" => wait::run(env, rest).await,
        "logs" => crate::lab::run_logs(env, rest).await,
        "proxy" if rest.first().is_some_and(|word| word == "start") => {
            proxy::run(env, rest[1..].to_vec()).await
        }
        "node" => node::run(env, rest).await,
        "buildout" => buildout::run(env, rest).await,
        "http-server" => crate::programs::http_server::run(env, rest).await,
        "supervisor" => crate::node::supervisor::run(env, rest).await,
        "-h" | "--help" | "help" => {
            env.print(help());
            Exit::DONE
        }
        "-V" | "--version" | "version" => {
            env.print(format_args!("slap {}", env!("CARGO_PKG_VERSION")));
            Exit::DONE
        }
        other => {
            env.tell(format_args!("error: slap has no command {other:?}"));
            env.tell("hint: `slap --help` lists the commands");
            Exit::USAGE
        }
    }
}

/// Reads a command's arguments. Help goes to standard output; a mistake to standard error, with exit code 2.
pub(crate) fn parse<T: Parser>(env: &Env, name: &str, arguments: Vec<String>) -> Result<T, Exit> {
    let words = std::iter::once(name.to_owned()).chain(arguments);
    T::try_parse_from(words).map_err(|error| {
        let text = error.render().to_string();
        if error.use_stderr() {
            env.tell(text.trim_end());
            Exit::USAGE
        } else {
            env.print(text.trim_end());
            Exit::DONE
        }
    })
}

/// Reads a duration: seconds, or a number with the unit ms, s, m or h.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let seconds = match unit {
        "" | "s" => 1.0,
        "ms" => 0.001,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(format!("expected a unit of ms, s, m or h, not {unit:?}")),
    };
    match number.parse::<f64>() {
        Ok(number) if number * seconds <= 1e9 => Ok(Duration::from_secs_f64(number * seconds)),
        _ => Err("expected a number with the unit ms, s, m or h, such as 500ms, 30s or 5m".to_owned()),
    }
}

fn help() -> String {
    let mut text = format!(
        "slap {}: a SlapOS in the hand: master, node, client and lab\n\nusage: slap COMMAND [ARGUMENTS]\n",
        env!("CARGO_PKG_VERSION")
    );
    for Entry { words, purpose } in COMMANDS {
        text.push_str(&format!("\n  {words:<15} {purpose}"));
    }
    text.push_str("\n\n`slap COMMAND --help` says more. Begin with: slap lab up");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        let check = |text: &str, milliseconds: u64| {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        };
        check("5", 5000);
        check("500ms", 500);
        check("1.5s", 1500);
        check("2m", 120_000);
        check("1h", 3_600_000);
        for bad in ["", "m", "5d", "-1s", "1..2", "1e400", "99999999999h"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
