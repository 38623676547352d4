//! The supervisor's place: its directory, and the lock in it that makes it the directory's only supervisor.
//!
//! Somebody may remove the directory, or the lock, under a supervisor that runs. Its lock guards nothing then: another supervisor could
//! begin there. So it looks whether its lock still has its name before it does anything, and takes it anew, or makes room for
//! who has it now. When the directory above is gone, too, it was moved away or removed with all that belongs to it: then nothing is made
//! in the old place, where whoever moves it back would find it.

use super::state;
use crate::env::{Env, Lock, room};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// How often a supervisor with nothing to do looks at its place: a lock, a file and a socket.
pub(super) const LOOK_PERIOD: Duration = Duration::from_secs(10);
/// How long a supervisor waits for the one before it to be gone.
const LOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// A directory whose supervisor this process is.
pub(super) struct Place {
    env: Env,
    directory: PathBuf,
    lock: Box<dyn Lock>,
    /// Why it cannot be made again, as it was told last.
    problem: Option<String>,
}

/// What a look at the place found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The lock was in its place.
    Whole,
    /// It was gone, and this supervisor has it again.
    Renewed,
    /// It was gone, and cannot be had: the file system refuses. It is tried again.
    Broken,
    /// Another supervisor has it.
    Taken,
}

impl Place {
    /// Makes the directory and takes its lock; waits for a moment for one that ends.
    ///
    /// # Errors
    /// When another supervisor has it, or it cannot be made; names it.
    pub(super) async fn take(env: &Env, directory: &Path) -> Result<Place, String> {
        make(env, directory)?;
        let path = directory.join(state::LOCK);
        let until = env.clock().elapsed() + LOCK_TIMEOUT;
        let lock = loop {
            match env.files().lock(&path) {
                Ok(Some(lock)) => break lock,
                Ok(None) if env.clock().elapsed() < until => env.sleep(Duration::from_millis(20)).await,
                Ok(None) => return Err(taken(directory)),
                Err(error) => return Err(room::explain(env.files(), &path, &error)),
            }
        };
        Ok(Place { env: env.clone(), directory: directory.to_owned(), lock, problem: None })
    }

    /// Sees to it that the lock is in its place.
    pub(super) fn look(&mut self) -> Found {
        if self.lock.is_in_place() {
            return Found::Whole;
        }
        let path = self.directory.join(state::LOCK);
        let lock = self.check_parent().and_then(|()| make(&self.env, &self.directory)).and_then(|()| {
            self.env.files().lock(&path).map_err(|error| room::explain(self.env.files(), &path, &error))
        });
        match lock {
            Ok(Some(lock)) => {
                self.env.log(format_args!(
                    "{} was removed while its supervisor ran: it is made again",
                    path.display()
                ));
                (self.lock, self.problem) = (lock, None);
                Found::Renewed
            }
            Ok(None) => Found::Taken,
            Err(problem) => {
                if self.problem.as_ref() != Some(&problem) {
                    self.env.log(format_args!("{problem}; tried again"));
                    self.problem = Some(problem);
                }
                Found::Broken
            }
        }
    }

    fn check_parent(&self) -> Result<(), String> {
        match self.directory.parent() {
            Some(parent) if !self.env.files().is_directory(parent) => {
                Err(format!("{} is gone, and what stood in it: nothing is made there", parent.display()))
            }
            _ => Ok(()),
        }
    }
}

/// The sentence about a directory that has another supervisor.
pub(super) fn taken(directory: &Path) -> String {
    format!("another supervisor runs in {}: one directory has one supervisor", directory.display())
}

fn make(env: &Env, directory: &Path) -> Result<(), String> {
    let files = env.files();
    files
        .create_directory(directory, 0o700)
        .and_then(|()| files.set_mode(directory, 0o700))
        .map_err(|error| room::explain(files, directory, &error))
}
