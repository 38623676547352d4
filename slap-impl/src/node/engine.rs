//! Runs the profile engine, `slap buildout`, which always is a process of its own: a template that loops stops nothing else.

use super::{command, safe, site::LOG_BYTES_MAX};
use crate::env::{Command, Env, room};
use std::{
    fmt, io,
    path::{Path, PathBuf},
    time::Duration,
};

/// How much of a log's end is told to a user.
const TOLD_BYTES_MAX: u64 = 6 << 10;
const TOLD_LINES_MAX: usize = 40;
/// How the line that begins each run starts in a log that has several: with the date's first digit.
pub const RUN_BEGINS: &str = "--- 2";

/// A run of the engine.
pub struct Run<'a> {
    /// What it is for, such as `building http://example.com/software.cfg`: the first line in the log.
    pub purpose: String,
    /// The buildout's directory, in which it runs.
    pub directory: &'a Path,
    /// Arguments of `slap buildout`.
    pub arguments: Vec<String>,
    /// More environment variables.
    pub variables: Vec<(&'static str, String)>,
    /// Where its output goes.
    pub log: PathBuf,
    /// When it is killed.
    pub deadline: Option<Duration>,
}

/// Why a run was not successful, with the log's last lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineError(pub String);

impl fmt::Display for EngineError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Runs the engine to its end.
///
/// # Errors
/// [`EngineError`], meant to be shown as it is.
pub async fn run(env: &Env, run: Run<'_>) -> Result<(), EngineError> {
    let header = format!("--- {} {}\n", env.clock().now().strftime("%Y-%m-%d %H:%M:%S"), run.purpose);
    let unwritable = |error: io::Error| {
        EngineError(format!("the log cannot be written: {}", room::explain(env.files(), &run.log, &error)))
    };
    safe::append_bounded(env.files(), &run.log, &header, LOG_BYTES_MAX / 2, 0o640).map_err(unwritable)?;
    let mut command = Command::new(&env.context().executable);
    command.arguments = vec!["buildout".to_owned()];
    command.arguments.extend(run.arguments);
    command.variables = command::clean_environment(env.context(), run.directory);
    command.variables.extend(run.variables.into_iter().map(|(name, value)| (name.to_owned(), value)));
    command.directory = run.directory.to_path_buf();
    command.dies_with_parent = true;
    command.umask = 0o027;
    // The header and the older half count too.
    let log = command::Log { path: &run.log, bytes_max: LOG_BYTES_MAX / 2 };
    let finished = command::run(env, &command, run.deadline, Some(log)).await;
    let lines = || last_lines(env, &run.log, Some(&header));
    match finished {
        Ok(finished) if finished.timed_out => {
            let seconds = run.deadline.unwrap_or_default().as_secs_f64();
            Err(EngineError(format!(
                "{} took more than {seconds} s and was killed.\n{}",
                run.purpose,
                lines()
            )))
        }
        Ok(finished) if finished.ended.succeeded() => Ok(()),
        Ok(finished) => {
            Err(EngineError(format!("{} failed ({}).\n{}", run.purpose, finished.ended.describe(), lines())))
        }
        Err(error) => {
            let (reason, hint) = room::reason(env.files(), &run.log, &error);
            let hint = hint.map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
            Err(EngineError(format!("{} failed: the engine cannot be started: {reason}{hint}", run.purpose)))
        }
    }
}

/// The end of a log, at most 40 lines, with the log's name. What stands before the last line that starts with `from` is left out; that
/// line, too, if `from` is all of it.
pub fn last_lines(env: &Env, log: &Path, from: Option<&str>) -> String {
    let text = match env.files().symlink_metadata(log) {
        Ok(metadata) if metadata.kind == crate::env::FileKind::File => {
            safe::tail_text(env.files(), log, TOLD_BYTES_MAX)
        }
        _ => String::new(),
    };
    let lines = tail(&text, from);
    if lines.is_empty() {
        return format!("{} is empty.", log.display());
    }
    // The lines come last, because masters show the end of a report (slapproxy: its last 80 characters).
    format!("Last lines of {}:\n{lines}", log.display())
}

fn tail(text: &str, from: Option<&str>) -> String {
    let begin = |from: &str| {
        let is_line = |at: &usize| *at == 0 || text.as_bytes()[at - 1] == b'\n';
        let start = text.rmatch_indices(from).map(|(at, _)| at).find(is_line)?;
        Some(if from.ends_with('\n') { start + from.len() } else { start })
    };
    let text = from.and_then(begin).map_or(text, |start| &text[start..]);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TOLD_LINES_MAX)..].join("\n").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_run_is_told() {
        assert_eq!(tail("--- a\nold\n--- b\nnew\nlast\n", Some("--- b\n")), "new\nlast");
        assert_eq!(tail("cut\nnew\n", Some("--- b\n")), "cut\nnew");
        let twice = "--- 2026-01-01 10:00:00 a\nold\n--- 2026-01-01 10:00:01 a\nnew\n--- a diff\n";
        assert_eq!(tail(twice, Some(RUN_BEGINS)), "--- 2026-01-01 10:00:01 a\nnew\n--- a diff");
        assert_eq!(
            tail("--- 2026-01-01 10:00:00 a\nx --- 2\n", Some(RUN_BEGINS)),
            "--- 2026-01-01 10:00:00 a\nx --- 2"
        );
        assert_eq!(tail("", None), "");
        let many: String = (0..100).map(|number| format!("{number}\n")).collect();
        assert!(tail(&many, None).starts_with("60\n"));
    }
}
