//! What the master does in a second, beside the limits of this machine: a bare hyper server that gives the same bytes, and a bare SQLite
//! loop of the same decisions. Both sides take turns in one run; what is told are medians.
//!
//! `cargo xtask bench wire` runs only these, `cargo xtask bench wire-read` one of them (`scenarios::ALL`).
//!
//! * `load`: clients that send requests over a few connections; `limit`: the bare server, a process of its own, and the bare loop
//! * `master`: the real master as a process; `scenarios`: what is measured
//! * `garbage`: what must be refused soon; `kill`: how soon a killed master is back
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a benchmark starts the program it measures"
)]
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark may panic, and prints its figures"
)]

mod garbage;
mod kill;
mod limit;
mod load;
mod master;
mod scenarios;

use std::env;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).filter(|word| word != "--bench").collect();
    if arguments.first().is_some_and(|word| word == limit::BARE) {
        return limit::serve(&arguments[1]);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for (name, scenario) in scenarios::ALL {
        if arguments.is_empty() || arguments.iter().any(|word| name.contains(word.as_str())) {
            tokio::task::LocalSet::new().block_on(&runtime, scenario());
        }
    }
}
