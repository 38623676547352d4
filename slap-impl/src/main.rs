//! The program `slap`.
#![allow(clippy::disallowed_methods, reason = "the one place where a program's arguments are read")]

use slap_impl::{env::Exit, programs::exec};
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(exit) = exec::run_if_asked(std::env::args_os()) {
        return ExitCode::from(exit.0);
    }
    ExitCode::from(Exit::USAGE.0)
}
