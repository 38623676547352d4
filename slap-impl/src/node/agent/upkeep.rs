//! What the agent needs in its place, and somebody may remove while it runs: its lock, the node's own directories, the partitions'
//! directories and the notes in them. It looks each 10 s, and makes again what can be made again.

use super::{Agent, plan::Subject};
use crate::{
    node::{NodeError, due::release_file, format, health, life},
    vocabulary::{PartitionId, SoftwareUrl},
};
use std::path::{Path, PathBuf};

/// How often an agent with nothing to do looks, in seconds.
pub(super) const LOOK_SECONDS: f64 = 10.0;

impl Agent {
    /// Whether a directory is gone that a root stands in: it was moved away, or removed with all that belongs to it. Then nothing is made or
    /// done in the old place, where whoever moves it back would find it.
    pub(super) fn is_uprooted(&self) -> bool {
        let settings = &self.site.settings;
        let parents = [&settings.software_root, &settings.instance_root].map(|root| root.parent());
        let gone = parents.into_iter().flatten().find(|parent| !self.site.files().is_directory(parent));
        if let Some(gone) = gone
            && !self.was_uprooted.get()
        {
            self.site.env.log(format_args!("{} is gone: nothing is done until it is back", gone.display()));
        }
        self.was_uprooted.set(gone.is_some());
        gone.is_some()
    }

    /// Looks, when it is time; gives the time of the next look.
    ///
    /// # Errors
    /// When another agent has taken the lock that was removed: there must not be two.
    pub(super) fn keep_places(&self) -> Result<f64, NodeError> {
        let now = self.now();
        if now < self.look_at.get() {
            return Ok(self.look_at.get());
        }
        self.look_at.set(now + LOOK_SECONDS);
        self.forget_all();
        if let Some(path) = self.lost_directory() {
            self.make_again(&path);
        }
        self.keep_lock()?;
        self.see_lost_timestamps();
        self.keep_notes();
        self.try_changed_releases();
        Ok(now + LOOK_SECONDS)
    }

    /// A partition is about to be processed: it needs its directory.
    pub(super) fn keep_partition(&self, id: &PartitionId) {
        let path = self.site.partition(id);
        if !self.site.files().is_directory(&path) {
            self.make_again(&path);
        }
    }

    /// What a release's profile is like, so that a change of it can be seen. Only of one that is a file of this machine.
    pub(super) fn release_stamp(&self, url: &SoftwareUrl) -> Option<(i64, u64)> {
        let metadata = self.site.files().metadata(&release_file(url)?).ok()?;
        Some((metadata.modified_seconds, metadata.length))
    }

    /// The first directory that is gone.
    fn lost_directory(&self) -> Option<PathBuf> {
        let settings = &self.site.settings;
        let own = [&settings.software_root, &settings.instance_root].map(|root| root.join(".slap"));
        let is_gone = |path: &PathBuf| !self.site.files().is_directory(path);
        let computer = self.computer.borrow();
        let partitions = computer.iter().flat_map(|computer| &computer.partitions);
        let mut gone = partitions.filter_map(|partition| {
            let id = &partition.partition_id;
            let path = Some(self.site.partition(id)).filter(is_gone)?;
            // What the master knows and nobody formatted here is none of this node's.
            self.site.files().exists(&self.site.resource_copy(id)).then_some(path)
        });
        own.into_iter().find(is_gone).or_else(|| gone.next())
    }

    fn make_again(&self, path: &Path) {
        self.site
            .env
            .log(format_args!("{} is gone, with all that was in it: it is made again", path.display()));
        if let Err(error) = format::make_places(&self.site) {
            self.site.env.log(error);
        }
    }

    fn keep_lock(&self) -> Result<(), NodeError> {
        if self.own_lock.borrow().is_in_place() {
            return Ok(());
        }
        match self.site.lock(&self.site.settings.instance_root, "agent") {
            Ok(lock) => *self.own_lock.borrow_mut() = lock,
            Err(error @ NodeError::Busy(_)) => return Err(error),
            Err(error) => self.site.env.log(error),
        }
        Ok(())
    }

    /// What was processed with success and is not marked so any more lost its mark to somebody: it need not wait as what is
    /// processed again and again must.
    fn see_lost_timestamps(&self) {
        let Some(computer) = self.computer.borrow().clone() else { return };
        for partition in &computer.partitions {
            let id = &partition.partition_id;
            let has_timestamp =
                partition.instance.as_ref().is_some_and(|instance| instance.timestamp.is_some());
            if let Some(work) = self.memory.borrow_mut().get_mut(&Subject::Partition(id.clone()))
                && has_timestamp
                && work.failures == 0
                && !work.is_running
                && !self.site.files().exists(&health::timestamp_path(&self.site, id))
            {
                work.processed_at = f64::NEG_INFINITY;
            }
        }
    }

    /// That promises were run in this life stays true when the note of it is removed.
    fn keep_notes(&self) {
        for (subject, work) in self.memory.borrow().iter() {
            let Subject::Partition(id) = subject else { continue };
            if !work.is_checked || work.is_running || life::is_noted(&self.site, id) {
                continue;
            }
            if let Err(error) = life::note_checked(&self.site, id) {
                self.site.env.log(format_args!("{id}: that its promises were run cannot be noted: {error}"));
            }
        }
    }

    /// A release that could not be built need not wait for its next try when somebody has worked on its profile.
    fn try_changed_releases(&self) {
        for (subject, work) in self.memory.borrow_mut().iter_mut() {
            let Subject::Release(url) = subject else { continue };
            if work.failures > 0 && !work.is_running && work.stamp != self.release_stamp(url) {
                work.retry_at = 0.0;
            }
        }
    }
}
