//! The master's log: dated lines on standard error, or in a file that is kept small.

use crate::env::{Env, FileKind, Metadata};
use std::{fmt::Display, path::PathBuf};

const FILE_BYTES_MAX: u64 = 10 << 20;

/// Where lines go.
pub(super) struct Log {
    env: Env,
    file: Option<PathBuf>,
}

impl Log {
    pub(super) fn new(env: &Env, file: Option<PathBuf>) -> Log {
        Log { env: env.clone(), file }
    }

    /// Writes a line; line breaks within it are shown as ` | `, so that nobody can forge one.
    pub(super) fn line(&self, text: impl Display) {
        let text: String = text
            .to_string()
            .replace('\n', " | ")
            .chars()
            .map(|character| if character.is_control() { '?' } else { character })
            .collect();
        let Some(file) = &self.file else {
            self.env.log(text);
            return;
        };
        let files = self.env.files();
        let is_full = |found: Metadata| found.kind == FileKind::File && found.length > FILE_BYTES_MAX;
        if files.metadata(file).is_ok_and(is_full) {
            let mut older = file.as_os_str().to_owned();
            older.push(".1");
            // A log that cannot be turned goes on growing until it can.
            let _ = files.rename(file, &PathBuf::from(older));
        }
        let line = format!("{:.3} {text}\n", self.env.clock().now());
        if let Err(error) = files.append(file, line.as_bytes(), 0o600) {
            self.env.log(format_args!("{text} (and the log {} cannot be written: {error})", file.display()));
        }
    }
}
