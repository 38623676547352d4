//! Makes durable what parts have installed.
//!
//! All is written first and then synced, files before the directories that hold their names: a file system with a journal commits it once
//! for all of them, where a sync after each file would commit it each time.

use super::recipe::RecipeError;
use crate::env::{Env, FileKind, Files};
use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

/// Makes durable the files and directories of these paths, all that is below them, and the way to them from `root`. What is gone is passed
/// over; links are not followed.
///
/// # Errors
/// Those of the disk.
pub(super) fn make_durable(env: &Env, root: &Path, paths: &[PathBuf]) -> Result<(), RecipeError> {
    let files = env.files();
    let mut found = Found::default();
    for path in paths.iter().filter(|path| path.is_absolute()) {
        found.look(files, path);
        let above = path.ancestors().skip(1).filter(|above| above.starts_with(root));
        found.directories.extend(above.map(Path::to_owned));
    }
    // Deeper ones first: a directory's name is of worth only with what is in it.
    for path in found.files.iter().chain(found.directories.iter().rev()) {
        match files.sync(path) {
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
