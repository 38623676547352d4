//! The program `slap`.
#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "the one place where a program's arguments are read")]

use mimalloc::MiMalloc;

/// A master that allocates all the time spends half of its time beside the writer in the C library's allocator.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> std::process::ExitCode {
    slap_impl::cli::process(std::env::args_os())
}
