//! Makes durable what parts have installed.
//!
//! All is written first and then synced, files before the directories that hold their names: a file system with a journal commits it once
//! for all of them, where a sync after each file would commit it each time.
//!
//! After a sync that failed the system holds what was written for written: it is seen as it shall be, no later sync writes it, and the next loss
//! of power shows that it is not there. So a run whose sync fails leaves a mark, and the next one writes anew all that is installed. The mark
//! itself need not be durable: after a loss of power everybody sees what is there, and recipes find by its content what they must write.

use super::recipe::RecipeError;
use crate::env::{Env, FileKind, Files};
use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

/// The mark that a sync failed, beside an installed file.
pub(super) struct Doubt {
    path: PathBuf,
}

impl Doubt {
    pub(super) fn of(installed: &Path) -> Doubt {
        let mut name = installed.as_os_str().to_owned();
        name.push(".unsynced");
        Doubt { path: name.into() }
    }

    /// Whether a sync failed, and nothing was written anew since.
    pub(super) fn is_there(&self, env: &Env) -> bool {
        env.files().symlink_metadata(&self.path).is_ok()
    }

    /// A sync failed.
    pub(super) fn note(&self, env: &Env) {
        let is_noted = self.is_there(env) || env.files().write(&self.path, b"", 0o600).is_ok();
        if !is_noted {
            env.tell(format_args!(
                "Warning: {} cannot be written: what was installed may not outlive a loss of power.",
                self.path.display()
            ));
        }
    }

    /// All was written anew, and is durable. Whoever sees the mark again after a loss of power only writes it anew once more.
    pub(super) fn remove(&self, env: &Env) {
        let files = env.files();
        let removed = files.remove_any(&self.path).and_then(|()| match self.path.parent() {
            Some(directory) => files.sync(directory),
            None => Ok(()),
        });
        if let Err(error) = removed {
            env.tell(format_args!("Warning: {} cannot be removed: {error}.", self.path.display()));
        }
    }
}

/// Makes durable the files and directories of these paths, all that is below them, and the way to them from `root`. What is gone is passed
/// over; links are not followed. If `anew`, files that belong to the owner of `root` are written once more.
///
/// # Errors
/// Those of the disk.
pub(super) fn make_durable(env: &Env, root: &Path, paths: &[PathBuf], anew: bool) -> Result<(), RecipeError> {
    let files = env.files();
    let owner = files.metadata(root).map(|metadata| metadata.user).ok();
    let mut found = Found::default();
    for path in paths.iter().filter(|path| path.is_absolute()) {
        found.look(files, path);
        let above = path.ancestors().skip(1).filter(|above| above.starts_with(root));
        found.directories.extend(above.map(Path::to_owned));
    }
    // Deeper ones first: a directory's name is of worth only with what is in it.
    for path in found.files.iter().chain(found.directories.iter().rev()) {
        let is_own = || files.symlink_metadata(path).is_ok_and(|metadata| Some(metadata.user) == owner);
        let done = if anew && found.files.contains(path) && is_own() {
            files.copy(path, path)
        } else {
            files.sync(path)
        };
        match done {
            Err(error) if !is_passed_over(&error) => {
                let what = format!("{} cannot be made durable", path.display());
                return Err(RecipeError::write(files, path, what, &error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// What somebody removed meanwhile, and what belongs to somebody else and was not written by us.
fn is_passed_over(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied)
}

#[derive(Default)]
struct Found {
    files: BTreeSet<PathBuf>,
    directories: BTreeSet<PathBuf>,
}

impl Found {
    fn look(&mut self, files: &dyn Files, path: &Path) {
        let Ok(metadata) = files.symlink_metadata(path) else { return };
        match metadata.kind {
            FileKind::File => drop(self.files.insert(path.to_owned())),
            FileKind::Directory => {
                for name in files.list(path).unwrap_or_default() {
                    self.look(files, &path.join(name));
                }
                self.directories.insert(path.to_owned());
            }
            _ => {}
        }
    }
}
