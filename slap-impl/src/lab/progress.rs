//! What a command of the lab is at: one line a step, with its time, on standard error.

use crate::env::Env;
use std::{fmt::Display, time::Duration};

/// "1 node", "3 nodes".
pub(super) fn counted(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

/// Steps of a command.
pub(super) struct Progress {
    env: Env,
    start: Duration,
    step: Duration,
    quiet: bool,
}

impl Progress {
    pub(super) fn new(env: &Env, quiet: bool) -> Progress {
        let start = env.clock().elapsed();
        Progress { env: env.clone(), start, step: start, quiet }
    }

    /// A step is done: it took the time since the one before.
    pub(super) fn done(&mut self, what: impl Display) {
        let now = self.env.clock().elapsed();
        let took = now - self.step;
        self.step = now;
        if !self.quiet {
            self.env.tell(format_args!("[{:>8.3}s] {what}", took.as_secs_f64()));
        }
    }

    /// Something that the user should see now.
    pub(super) fn note(&self, what: impl Display) {
        if !self.quiet {
            self.env.tell(format_args!("            {what}"));
        }
    }

    /// Something that the user must see, also one who asked for no steps.
    pub(super) fn warn(&self, what: impl Display) {
        self.env.tell(format_args!("            {what}"));
    }

    /// Time since the beginning, in seconds.
    pub(super) fn total_seconds(&self) -> f64 {
        (self.env.clock().elapsed() - self.start).as_secs_f64()
    }
}
