//! Services' output: each service writes to a named pipe in the supervisor's directory, and the supervisor writes it down.
//!
//! The pipe's name depends on the service alone, so the next life of the supervisor goes on reading where this one ended, and what
//! was written in between waits in the pipe.

use super::types::Service;
use crate::{
    env::{Env, FileKind, room},
    node::log::PipedLog,
    vocabulary::hex,
};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    rc::Rc,
};
use tokio::sync::oneshot;

/// The pipes' directory in the supervisor's.
const DIRECTORY: &str = "output";
const LOG_MODE: u32 = 0o600;

/// The outputs of all services that have, or had, a process.
pub(super) struct Outputs {
    env: Env,
    directory: PathBuf,
    open: BTreeMap<String, Open>,
}

struct Open {
    log: Rc<PipedLog>,
    /// Where it is written down: another declaration may say something else.
    path: PathBuf,
    bytes_max: u64,
    /// Dropped, it ends the task that follows the output.
    _following: oneshot::Sender<()>,
}

impl Outputs {
    /// Without any output yet. `directory` is the supervisor's own.
    pub(super) fn new(env: Env, directory: &Path) -> Outputs {
        Outputs { env, directory: directory.join(DIRECTORY), open: BTreeMap::new() }
    }

    /// Begins to write down what a service writes; gives the pipe to write to.
    ///
    /// # Errors
    /// When there can be no pipe, or no log.
    pub(super) fn open(&mut self, group: &str, service: &Service) -> io::Result<PathBuf> {
        let name = pipe_name(group, &service.name);
        let pipe = self.directory.join(&name);
        let same = |open: &Open| open.path == service.log && open.bytes_max == service.log_bytes_max;
        let files = self.env.files();
        // Somebody may have removed it: what was written to it is read, and what is started now gets another one.
        let is_there = files.symlink_metadata(&pipe).is_ok_and(|found| found.kind == FileKind::Other);
        match self.open.get(&name) {
            Some(open) if same(open) && is_there => return Ok(pipe),
            Some(open) if !is_there => open.log.drain(),
            _ => {}
        }
        if !is_there && files.symlink_metadata(&pipe).is_ok() {
            files.remove_any(&pipe)?;
        }
        files.create_directory(&self.directory, 0o700).map_err(|error| {
            let explained = room::explain(files, &self.directory, &error);
            io::Error::new(error.kind(), explained)
        })?;
        let reading = files.open_pipe(&pipe)?;
        let log = PipedLog::new(&self.env, reading, &service.log, service.log_bytes_max, LOG_MODE)?;
        let log = Rc::new(log);
        let (following, mut closed) = oneshot::channel();
        let followed = log.clone();
        self.env.spawn(async move {
            crate::env::race(&mut closed, followed.follow()).await;
        });
        let open =
            Open { log, path: service.log.clone(), bytes_max: service.log_bytes_max, _following: following };
        self.open.insert(name, open);
        Ok(pipe)
    }

    /// Writes down what a service wrote up to now.
    pub(super) fn drain(&self, group: &str, service: &str) {
        if let Some(open) = self.open.get(&pipe_name(group, service)) {
            open.log.drain();
        }
    }

    /// No process of a service is left: what it wrote is written down, and its pipe goes.
    pub(super) fn close(&mut self, group: &str, service: &str) {
        let name = pipe_name(group, service);
        if let Some(open) = self.open.remove(&name) {
            open.log.drain();
            self.remove(&name);
        }
    }

    /// Removes the pipes of services that an earlier life knew, and this one does not.
    pub(super) fn keep_only_open(&self) {
        for name in self.env.files().list(&self.directory).unwrap_or_default() {
            if !self.open.contains_key(&name) {
                self.remove(&name);
            }
        }
    }

    fn remove(&self, name: &str) {
        if let Err(error) = self.env.files().remove_any(&self.directory.join(name)) {
            self.env.log(format_args!("{}/{name} cannot be removed: {error}", self.directory.display()));
        }
    }
}

/// Names of groups and services may be long and hold anything.
fn pipe_name(group: &str, service: &str) -> String {
    // Neither holds a slash.
    hex(&Sha256::digest(format!("{group}/{service}"))[..16])
}
