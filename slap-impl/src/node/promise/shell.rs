//! Checks that run a program: check_command_execute (slapos.toolbox 0.170) and the executables of etc/promise
//! (slapos.core: grid/promise/wrapper.py).

use super::{check::Sense, python};
use crate::{
    env::{Command, Env, Output},
    node::command::{self, Finished},
};
use std::{io, path::Path, time::Duration};

/// How much output of a program is kept.
const OUTPUT_BYTES_MAX: usize = 16 << 10;

/// Runs a shell command; `None` when the time was up.
pub(super) async fn command(env: &Env, partition: &Path, text: &str, deadline: Duration) -> Option<Sense> {
    let shell = Command::new("/bin/sh").arguments(["-c", text]);
    let shown = python::repr(text);
    Some(match run(env, partition, shell, deadline).await {
        Ok(finished) if finished.timed_out => return None,
        Ok(finished) if finished.ended.succeeded() => Sense::good(format!("OK {shown} run with success")),
        Ok(finished) => {
            let output = python::repr_bytes(&finished.ended.output);
            Sense::bad(format!("ERROR {shown} run with failure, output: {output}"))
        }
        Err(error) => Sense::bad(format!("ERROR {error} during running command {shown}")),
    })
}

/// Runs the promise's own file; `None` when the time was up.
pub(super) async fn executable(
    env: &Env,
    partition: &Path,
    file: &Path,
    deadline: Duration,
) -> Option<Sense> {
    Some(match run(env, partition, Command::new(file), deadline).await {
        Ok(finished) if finished.timed_out => return None,
        Ok(finished) => {
            let output = String::from_utf8_lossy(&finished.ended.output).trim().to_owned();
            if finished.ended.succeeded() {
                Sense::good(output)
            } else if output.is_empty() {
                // Upstream says nothing here; a reader is better served by the exit code.
                Sense::bad(format!("{} {} without output", file.display(), finished.ended.describe()))
            } else {
                Sense::bad(output)
            }
        }
        Err(error) => Sense::bad(format!("{} cannot be run: {error}", file.display())),
    })
}

async fn run(env: &Env, partition: &Path, mut command: Command, deadline: Duration) -> io::Result<Finished> {
    command.variables = command::clean_environment(env.context(), partition);
    command.directory = partition.to_path_buf();
    command.output = Output::Capture(OUTPUT_BYTES_MAX);
    command.dies_with_parent = true;
    command::run(env, &command, Some(deadline), None).await
}
