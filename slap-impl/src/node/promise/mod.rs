//! Promises: checks that an instance makes of itself (slapos.core: grid/promise).
//!
//! * [`run`] (`runner.rs`): all promises of a partition beside each other, each with its own deadline
//! * `plugin.rs`: reads a file of etc/plugin as the recipe slapos.cookbook:promise.plugin writes it
//! * `check.rs`: what a promise is, and what it needs to know; `socket.rs`, `url.rs`, `shell.rs`: the checks themselves
//! * `history.rs`: the log of past runs, and the rule that counts failures in it
//! * `state.rs`: result and cache files
//! * `python.rs`: texts as Python shows them, because messages are compared with upstream's

mod check;
mod history;
mod plugin;
mod python;
mod runner;
mod shell;
mod socket;
mod state;
mod url;

pub use runner::{Mode, Options, Outcome, Summary, run};
pub use state::{ResultFile, ResultItem, read_results};
