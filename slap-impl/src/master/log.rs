//! The master's log: dated lines on standard error, or in a file that is kept small.

use crate::env::{Env, FileKind, Metadata};
use std::{cell::RefCell, fmt::Display, path::PathBuf, rc::Rc};

const FILE_BYTES_MAX: u64 = 10 << 20;

/// Where lines go. Those of one turn of the loop are written together, after what else is to be done in it: whoever waits for the
/// change that a line tells of does not wait for the line.
pub(super) struct Log(Rc<Inner>);

struct Inner {
    env: Env,
    file: Option<PathBuf>,
    /// Lines that are not written yet; while there are any, a task is about to write them.
    pending: RefCell<String>,
}

impl Log {
    pub(super) fn new(env: &Env, file: Option<PathBuf>) -> Log {
        Log(Rc::new(Inner { env: env.clone(), file, pending: RefCell::default() }))
    }

    /// Writes a line; line breaks within it are shown as ` | `, so that nobody can forge one.
    pub(super) fn line(&self, text: impl Display) {
        let mut text = text.to_string();
        if text.chars().any(char::is_control) {
            text = text.replace('\n', " | ").replace(char::is_control, "?");
        }
        if self.0.file.is_none() {
            self.0.env.log(text);
            return;
        }
        let is_first = self.0.pending.borrow().is_empty();
        let line = format!("{:.3} {text}\n", self.0.env.clock().now());
        self.0.pending.borrow_mut().push_str(&line);
        if is_first {
            let inner = self.0.clone();
            self.0.env.spawn(async move {
                tokio::task::yield_now().await;
                inner.write();
            });
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.0.write();
    }
}

impl Inner {
    fn write(&self) {
        let lines = self.pending.take();
        let Some(file) = self.file.as_ref().filter(|_| !lines.is_empty()) else { return };
        let files = self.env.files();
        let is_full = |found: Metadata| found.kind == FileKind::File && found.length > FILE_BYTES_MAX;
        if files.metadata(file).is_ok_and(is_full) {
            let mut older = file.as_os_str().to_owned();
            older.push(".1");
            // A log that cannot be turned goes on growing until it can.
            let _ = files.rename(file, &PathBuf::from(older));
        }
        if let Err(error) = files.append(file, lines.as_bytes(), 0o600) {
            let lines = lines.trim_end();
            self.env.log(format_args!("{lines} (and the log {} cannot be written: {error})", file.display()));
        }
    }
}
