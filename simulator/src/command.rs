//! The program `simulator`: runs a world and prints what happened.

use slap_impl::env::{Env, Exit};

/// Runs the program.
pub async fn run(env: Env, arguments: Vec<String>) -> Exit {
    env.tell(format_args!("{arguments:?}"));
    Exit::USAGE
}
