//! The program `golden`. For now it is `slap` under another name: what the observations of this package start.
#![allow(clippy::disallowed_methods, reason = "the one place where a program's arguments are read")]

use slap_impl::{cli, env::real, programs::exec};
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(exit) = exec::run_if_asked(std::env::args_os()) {
        return ExitCode::from(exit.0);
    }
    let arguments =
        std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned()).collect();
    ExitCode::from(real::block_on(|env| cli::run(env, arguments)).0)
}
