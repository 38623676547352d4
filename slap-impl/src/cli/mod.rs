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

use crate::{
    env::{Env, Exit, LocalFuture},
    lab, node as node_floor, programs,
};
use clap::Parser;
use std::time::Duration;

/// A program. Boxed, because each is a large future and only one of them runs.
type Program = fn(Env, Vec<String>) -> LocalFuture<'static, Exit>;

/// A command: its word, its second words or none, what it is for, and its program.
struct Entry {
    word: &'static str,
    more: &'static str,
    purpose: &'static str,
    program: Program,
}

macro_rules! entry {
    ($word:literal, $more:literal, $purpose:literal, $program:path) => {
        Entry {
            word: $word,
            more: $more,
            purpose: $purpose,
            program: |env, arguments| Box::pin($program(env, arguments)),
        }
    };
}

/// The commands, in the order in which help lists them.
const COMMANDS: [Entry; 13] = [
    entry!(
        "lab",
        "VERB",
        "a master and nodes in one directory; verbs: up, status, wait, logs, kill, pause, resume, down",
        lab::run
    ),
    entry!("supply", "", "ask for a software release on a computer", supply::run),
    entry!("remove", "", "ask for a software release to be removed from a computer", remove::run),
    entry!("request", "", "request an instance, or change what was requested", request::run),
    entry!("service", "list|info", "list instances, or show one", service::run),
    entry!("computer", "list|info", "list computers, or show one", computer::run),
    entry!("wait", "", "wait for an instance or the lab", wait::run),
    entry!("logs", "", "print the ends of the lab's logs", lab::run_logs),
    entry!("proxy", "start", "run a master", proxy::run),
    entry!(
        "node",
        "PASS",
        "a node's passes: format, software, instance, promise, report; run is the agent of them all",
        node::run
    ),
    entry!("buildout", "", "run a Buildout profile in a directory", buildout::run),
    entry!("supervisor", "", "keep services running for whoever declares them", node_floor::supervisor::run),
    entry!("http-server", "", "serve a directory over HTTP", programs::http_server::run),
];

/// Runs the command that `arguments` say (without the program's own name).
pub async fn run(env: Env, arguments: Vec<String>) -> Exit {
    let Some((command, rest)) = arguments.split_first() else {
        env.tell(help());
        return Exit::USAGE;
    };
    match command.as_str() {
        "-h" | "--help" | "help" => {
            env.print(help());
            return Exit::DONE;
        }
        "-V" | "--version" | "version" => {
            env.print(format_args!("slap {}", env!("CARGO_PKG_VERSION")));
            return Exit::DONE;
        }
        _ => {}
    }
    match COMMANDS.iter().find(|entry| entry.word == command) {
        Some(entry) => (entry.program)(env, rest.to_vec()).await,
        None => {
            env.tell(format_args!("error: slap has no command {command:?}"));
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
    for Entry { word, more, purpose, .. } in COMMANDS {
        text.push_str(&format!("\n  {:<19} {purpose}", format!("{word} {more}")));
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
