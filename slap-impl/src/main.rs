//! The program `slap`.
#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "the one place where a program's arguments are read")]

fn main() -> std::process::ExitCode {
    slap_impl::cli::process(std::env::args_os())
}
