//! The program `slap`.
#![allow(clippy::disallowed_methods, reason = "the one place where a program's arguments are read")]

use slap_impl::{
    env::{Exit, real},
    node::supervisor,
    programs::{exec, http_server},
};
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(exit) = exec::run_if_asked(std::env::args_os()) {
        return ExitCode::from(exit.0);
    }
    let mut arguments: Vec<String> =
        std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned()).collect();
    let command = if arguments.is_empty() { String::new() } else { arguments.remove(0) };
    let exit = match command.as_str() {
        "http-server" => real::block_on(|env| http_server::run(env, arguments)),
        "supervisor" => real::block_on(|env| supervisor::run(env, arguments)),
        _ => real::block_on(async |env| {
            env.tell(format_args!("slap: {command:?} is no command of it"));
            Exit::USAGE
        }),
    };
    ExitCode::from(exit.0)
}
