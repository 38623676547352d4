//! The program `simulator`.
#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "the one place where a program's arguments are read")]

use mimalloc::MiMalloc;
use slap_impl::{cli, env::Exit, env::real, programs::exec};
use std::process::ExitCode;

/// A world allocates all the time; the C library's allocator takes a third of it.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    // As the contract's real arm starts processes, this program is its shim.
    let arguments = match exec::begin(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(exit) => return ExitCode::from(exit.0),
    };
    // As histories start it, it is `slap`.
    if arguments.get(1).is_some_and(|word| word == "slap") {
        return cli::process(arguments.into_iter().skip(1));
    }
    let arguments = arguments.iter().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let exit: Exit = real::block_on(|env| simulator::command::run(env, arguments));
    ExitCode::from(exit.0)
}
