//! A node as a place: its settings, where its files stand, and whom it talks to.
//!
//! Below the software and the instance root, `.slap/` holds what only the node writes (0700). No partition can have that
//! name, because a partition's id begins with a letter or digit.

use super::{NodeError, safe, settings::NodeSettings, supervisor::SupervisorClient};
use crate::{
    client::{Poll, SlapClient},
    env::{Command, Env, Files, Lock, Output},
    vocabulary::{PartitionId, SoftwareUrl, hex},
    wire::objects::{Computer, ComputerPartition},
};
use md5::{Digest, Md5};
use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

/// How long a supervisor that was just started may take until it answers.
const SUPERVISOR_PATIENCE: Duration = Duration::from_secs(10);

/// Bytes of a build's or an instance's log.
pub const LOG_BYTES_MAX: u64 = 4 << 20;

/// A node.
#[derive(Clone)]
pub struct Site {
    /// The door.
    pub env: Env,
    /// What slapos.cfg and the command line say.
    pub settings: NodeSettings,
    /// The master.
    pub master: SlapClient,
    /// The supervisor of this node's services.
    pub supervisor: SupervisorClient,
}

/// The name of a release's directory: the MD5 sum of its URL.
pub fn release_hash(url: &SoftwareUrl) -> String {
    hex(&Md5::digest(url.as_str().as_bytes()))
}

impl Site {
    /// A node of these settings. Nothing is read or written yet.
    ///
    /// # Errors
    /// When the master's URL cannot be used.
    pub fn new(env: Env, settings: NodeSettings) -> Result<Site, NodeError> {
        let master = SlapClient::new(env.clone(), &settings.master_url)?;
        let supervisor = SupervisorClient::new(env.clone(), &settings.supervisor_directory);
        Ok(Site { env, settings, master, supervisor })
    }

    /// The same node, whose reports say that they are about an instance as it was asked for in `partition`.
    #[must_use]
    pub fn about(&self, partition: &ComputerPartition) -> Site {
        let timestamp = partition.instance.as_ref().and_then(|instance| instance.timestamp.as_deref());
        Site { master: self.master.about(timestamp), ..self.clone() }
    }

    /// The file system.
    pub fn files(&self) -> &dyn Files {
        self.env.files()
    }

    /// Seconds since 1970.
    pub fn now_seconds(&self) -> i64 {
        self.env.clock().now().as_second()
    }

    /// A partition's directory.
    pub fn partition(&self, partition: &PartitionId) -> PathBuf {
        self.settings.instance_root.join(partition.as_str())
    }

    /// A release's directory.
    pub fn release(&self, url: &SoftwareUrl) -> PathBuf {
        self.settings.software_root.join(release_hash(url))
    }

    /// Whether a release is built.
    pub fn is_built(&self, url: &SoftwareUrl) -> bool {
        self.files().is_file(&self.release(url).join(".completed"))
    }

    /// The log of a release's builds.
    pub fn release_log(&self, url: &SoftwareUrl) -> PathBuf {
        self.release(url).join(".software.log")
    }

    /// The log of an instance's set-ups.
    pub fn instance_log(&self, partition: &PartitionId) -> PathBuf {
        self.partition(partition).join(".slapgrid/log/instance.log")
    }

    /// The node's own file about a partition.
    pub fn resource_copy(&self, partition: &PartitionId) -> PathBuf {
        self.settings.instance_root.join(format!(".slap/{partition}.slapos-resource"))
    }

    /// Makes `.slap` in the software and the instance root, which must exist.
    ///
    /// # Errors
    /// When a root does not exist or cannot be written to; names it.
    pub fn prepare(&self) -> Result<(), NodeError> {
        for (key, root) in
            [("software_root", &self.settings.software_root), ("instance_root", &self.settings.instance_root)]
        {
            if !self.files().is_directory(root) {
                let message = format!(
                    "{key} {} does not exist; `slap node format --now` makes it (and says what stands in the way)",
                    root.display()
                );
                return Err(NodeError::Failed(message));
            }
            safe::directory(self.files(), root, &[".slap"], 0o700).map_err(|error| {
                NodeError::Failed(format!("{key} {} cannot be written to: {error}", root.display()))
            })?;
        }
        Ok(())
    }

    /// What the master wants of this computer.
    ///
    /// # Errors
    /// When the master cannot be reached or does not know the computer.
    pub async fn computer(&self) -> Result<Computer, NodeError> {
        match self.master.full_computer_information(&self.settings.computer_id, None, None).await? {
            Poll::Changed { computer, .. } => Ok(computer),
            Poll::Unchanged { .. } => Err(NodeError::Failed(
                "the master says that nothing changed, although nothing was known".to_owned(),
            )),
        }
    }

    /// Puts the partition's `.slapos-resource` back as it was formatted.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn restore_resource(&self, partition: &PartitionId) -> io::Result<()> {
        let Some(content) = safe::read(self.files(), &self.resource_copy(partition), 1 << 20) else {
            return Ok(());
        };
        let path = self.partition(partition).join(".slapos-resource");
        if safe::read(self.files(), &path, 1 << 20).as_ref() == Some(&content) {
            return Ok(());
        }
        safe::put(self.files(), &path, &content, 0o644)
    }

    /// Takes the lock of that name below `root`, so that nobody else does the same. A `.slap` that was removed is made again.
    ///
    /// # Errors
    /// [`NodeError::Busy`] when another process has it.
    pub fn lock(&self, root: &Path, name: &str) -> Result<Box<dyn Lock>, NodeError> {
        let path = root.join(".slap").join(format!("{name}.lock"));
        let lock = match self.files().lock(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                safe::directory(self.files(), root, &[".slap"], 0o700).and_then(|_| self.files().lock(&path))
            }
            lock => lock,
        };
        match lock {
            Ok(Some(lock)) => Ok(lock),
            Ok(None) => Err(NodeError::Busy(format!(
                "another process is at it already (it has the lock {}): wait until it is done, or end it",
                path.display()
            ))),
            Err(error) => Err(NodeError::Failed(format!("{} cannot be locked: {error}", path.display()))),
        }
    }

    /// Starts the supervisor if it does not answer.
    ///
    /// # Errors
    /// When it does not answer then either, or must not be started (`forbid_supervisord_automatic_launch`).
    pub async fn ensure_supervisor(&self) -> Result<(), NodeError> {
        let Err(error) = self.supervisor.status().await else { return Ok(()) };
        if self.settings.forbids_supervisor_launch {
            let message = format!(
                "{error}; start it (slap supervisor --directory {}), because forbid_supervisord_automatic_launch is set",
                self.settings.supervisor_directory.display()
            );
            return Err(NodeError::Failed(message));
        }
        let directory = self.settings.supervisor_directory.clone();
        self.files()
            .create_directory(&directory, 0o700)
            .map_err(|error| NodeError::io(format!("{} cannot be made", directory.display()), &error))?;
        let log = directory.join("supervisor.log");
        let mut command =
            Command::new(&self.env.context().executable).arguments(["supervisor", "--directory"]);
        command.arguments.push(directory.to_string_lossy().into_owned());
        command.variables =
            super::command::clean_environment(self.env.context(), &self.settings.instance_root);
        // It outlives this process, also if that is a service of another supervisor.
        for mark in [
            super::supervisor::MARK_VARIABLE,
            super::supervisor::SUPERVISOR_VARIABLE,
            crate::env::RUN_VARIABLE,
        ] {
            command.variables.remove(mark);
        }
        command.directory = self.settings.instance_root.clone();
        command.output = Output::Append(log.clone());
        command.umask = 0o022;
        let mut spawned = self
            .env
            .processes()
            .spawn(&command)
            .map_err(|error| NodeError::Failed(format!("the supervisor cannot be started: {error}")))?;
        // Waiting for it reaps it, should it end while this process lives.
        self.env.spawn(async move {
            spawned.child.wait().await.ok();
        });
        let answers = async {
            let mut pause = Duration::from_millis(2);
            while self.supervisor.status().await.is_err() {
                self.env.sleep(pause).await;
                pause = (pause * 2).min(Duration::from_millis(200));
            }
        };
        if self.env.timeout(SUPERVISOR_PATIENCE, answers).await.is_ok() {
            return Ok(());
        }
        let lines = super::engine::last_lines(&self.env, &log, None);
        Err(NodeError::Failed(format!(
            "the supervisor was started and does not answer; its log ends:\n{lines}"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_found_by_the_sum_of_its_url() {
        let url: SoftwareUrl = "http://example.com/software.cfg".parse().unwrap();
        assert_eq!(release_hash(&url), "91d5c3732524c019b6f1d313793d8809");
    }
}
