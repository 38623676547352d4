//! The program `golden`: `slap` under another name, which the observations of this package start; with one command more,
//! `conformance`.
#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "the one place where a program's arguments are read")]

use slap_impl::env::real;
use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|word| word == "conformance") {
        let words = std::env::args_os().skip(2).map(|word| word.to_string_lossy().into_owned()).collect();
        return ExitCode::from(real::block_on(|env| golden::conformance::run(env, words)).0);
    }
    slap_impl::cli::process(std::env::args_os())
}
