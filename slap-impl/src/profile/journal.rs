//! What a run has installed so far, for the next run to read if this one is killed.
//!
//! The installed file is written durably, once, at the end of a run. A run that is killed before would leave files
//! that nobody remembers: a service's wrapper among them would be started for ever. So each part's paths are
//! appended here when it was installed, a line each, and the journal is removed when the installed file is saved.
//! The next run takes such a part for installed with unknown options, and so installs it anew or removes it.
//! Lines are not flushed to the disk: this is about killed processes.

use super::{
    installed::{Installed, PATHS_OPTION},
    recipe::OptionMap,
};
use crate::env::{Env, FileKind};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

/// A journal may be so long; a longer one is no journal of ours.
const BYTES_MAX: u64 = 64 * 1024 * 1024;

#[derive(Serialize, Deserialize)]
struct Entry {
    part: String,
    paths: Vec<String>,
}

/// The journal of one installed file.
pub struct Journal {
    path: PathBuf,
}

impl Journal {
    /// The journal that stands beside an installed file.
    pub fn of(installed: &Path) -> Journal {
        let mut name = installed.as_os_str().to_owned();
        name.push(".journal");
        Journal { path: name.into() }
    }

    /// Adds what a killed run had installed. Lines that are not whole are passed over.
    pub fn recover(&self, env: &Env, installed: &mut Installed) {
        let is_file =
            env.files().symlink_metadata(&self.path).is_ok_and(|found| found.kind == FileKind::File);
        let Some(bytes) = is_file.then(|| env.files().read(&self.path, BYTES_MAX).ok()).flatten() else {
            return;
        };
        for line in bytes.split(|byte| *byte == b'\n') {
            let Ok(entry) = serde_json::from_slice::<Entry>(line) else { continue };
            let mut paths = installed.paths(&entry.part);
            let known: BTreeSet<String> = paths.iter().cloned().collect();
            paths.extend(entry.paths.into_iter().filter(|path| !known.contains(path)));
            let options = OptionMap::from([(PATHS_OPTION.to_owned(), paths.join("\n"))]);
            installed.remember(&entry.part, options);
        }
    }

    /// Notes that a part was installed.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn note(&self, env: &Env, part: &str, paths: &str) -> io::Result<()> {
        let paths = paths.split('\n').filter(|path| !path.is_empty()).map(str::to_owned).collect();
        let mut line =
            serde_json::to_string(&Entry { part: part.to_owned(), paths }).map_err(io::Error::other)?;
        line.push('\n');
        env.files().append(&self.path, line.as_bytes(), 0o600)
    }

    /// Removes the journal, once the installed file says it all.
    pub fn remove(&self, env: &Env) {
        match env.files().remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                env.tell(format_args!("Warning: {} cannot be removed: {error}.", self.path.display()));
            }
            _ => {}
        }
    }
}
