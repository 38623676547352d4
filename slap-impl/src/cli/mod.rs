//! Commands.

use crate::env::{Env, Exit};

/// Runs the command that `arguments` say.
pub async fn run(env: Env, arguments: Vec<String>) -> Exit {
    env.tell(format_args!("{arguments:?}"));
    Exit::USAGE
}
