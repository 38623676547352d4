//! The command line of `slap`: finds the command, and gives each its own arguments.
//!
//! No command reads the process's arguments or ends the process: each is a program
//! `run(env, arguments) -> Exit`, so the same command line runs in a world in memory.

pub mod buildout;
pub mod computer;
mod connection;
pub mod events;
pub mod node;
mod parameters_file;
pub mod proxy;
mod python_json;
pub mod remove;
pub mod request;
mod room;
mod schema;
pub mod service;
pub mod supply;
pub mod wait;

#[cfg(test)]
mod client_tests;

use crate::{
    env::{Env, Exit, LocalFuture, real},
    lab, node as node_floor, programs,
};
use std::{ffi::OsString, process::ExitCode};

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
const COMMANDS: [Entry; 14] = [
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
    entry!("events", "", "show what the master committed: who asked for what", events::run),
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

/// A whole process: the shim if `arguments` (with the program's own name) ask for it, else the command that they say, on the
/// real system. The shim starts every service: it comes first, must be quick and needs no event loop.
pub fn process(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match programs::exec::begin(arguments) {
        Ok(arguments) => arguments,
        Err(exit) => return ExitCode::from(exit.0),
    };
    let exit =
        real::block_on(async |env| match words(arguments).and_then(|words| variables().map(|()| words)) {
            Ok(words) => run(env, words).await,
            Err(message) => {
                env.tell(format_args!("error: {message}"));
                env.tell(
                    "hint: names, paths and values are UTF-8 here; rename the file, or choose another name",
                );
                Exit::USAGE
            }
        });
    ExitCode::from(exit.0)
}

/// The variables that commands look at: each names a place.
const PLACES: [&str; 8] = [
    "BUILDOUT_HOME",
    "HOME",
    "SLAPOS_CLIENT_CONFIGURATION",
    "SLAPOS_CONFIGURATION",
    "SLAP_LAB",
    "TMPDIR",
    "USER",
    "XDG_STATE_HOME",
];

/// Refuses a variable that is no UTF-8: taken for unset, it would make a command work on another place.
fn variables() -> Result<(), String> {
    let unreadable = real::unreadable_variables();
    match unreadable.iter().find(|name| PLACES.contains(&name.as_str())) {
        Some(name) => Err(format!("the environment variable {name} is no UTF-8")),
        None => Ok(()),
    }
}

/// The arguments without the program's own name. One that is no UTF-8 is refused: it would be another name, for another file, when it
/// is shown or sent.
fn words(arguments: Vec<OsString>) -> Result<Vec<String>, String> {
    let words = arguments.into_iter().enumerate().skip(1);
    words
        .map(|(number, word)| {
            word.into_string().map_err(|word| format!("argument {number} is {word:?}: expected UTF-8"))
        })
        .collect()
}

/// Runs the command that `arguments` say (without the program's own name). A result that could not be written is a failure.
pub async fn run(env: Env, arguments: Vec<String>) -> Exit {
    let exit = run_command(env.clone(), arguments).await;
    match env.take_lost_output() {
        Some(error) => {
            env.tell(format_args!("error: standard output: {error}"));
            if exit == Exit::DONE { Exit::FAILED } else { exit }
        }
        None => exit,
    }
}

async fn run_command(env: Env, arguments: Vec<String>) -> Exit {
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
    use std::os::unix::ffi::OsStringExt;

    #[test]
    fn arguments_that_are_no_utf8_are_refused() {
        let of = |bytes: &[&[u8]]| bytes.iter().map(|bytes| OsString::from_vec(bytes.to_vec())).collect();
        assert_eq!(words(of(&[b"\xff", b"lab", "é".as_bytes()])), Ok(vec!["lab".to_owned(), "é".to_owned()]));
        let refused = words(of(&[b"slap", b"request", b"a\xffb"])).unwrap_err();
        assert_eq!(refused, "argument 2 is \"a\\xFFb\": expected UTF-8");
    }
}
