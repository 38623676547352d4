//! What the agent knows of the machine when it plans. What stands on disk is read again when a job has worked on it, when the master wants
//! something else, and each time the agent looks whether all is in its place: between these, an agent that wakes because one partition's
//! promises are due does not read what stands in all others.

use super::{
    Agent,
    plan::{Facts, Subject},
};
use crate::{
    node::{instance, life, services, supervisor::ServiceStatus},
    vocabulary::{PartitionId, RequestedState, SoftwareUrl},
    wire::objects::{Computer, ComputerPartition},
};
use std::{collections::BTreeMap, path::PathBuf, rc::Rc};

/// What was read of the disk.
#[derive(Default)]
pub(super) struct Seen {
    /// For what was wanted then.
    computer: Option<Rc<Computer>>,
    built: BTreeMap<SoftwareUrl, bool>,
    partitions: BTreeMap<PartitionId, Standing>,
}

/// What was read of a partition.
struct Standing {
    is_due: bool,
    /// Anything in etc/run or etc/service; read only when the supervisor keeps nothing of it.
    has_services: Option<bool>,
}

impl Agent {
    /// Reads all again, when it is asked for next.
    pub(super) fn forget_all(&self) {
        self.seen.take();
    }

    /// A job has worked on this.
    pub(super) fn forget(&self, subject: &Subject) {
        match subject {
            // Partitions ask the release for their periodicity.
            Subject::Release(_) => self.forget_all(),
            Subject::Partition(id) => {
                self.seen.borrow_mut().partitions.remove(id);
            }
        }
    }

    pub(super) fn facts(&self, computer: &Rc<Computer>, statuses: &[ServiceStatus]) -> Facts {
        let mut seen = self.seen.borrow_mut();
        if !seen.computer.as_ref().is_some_and(|known| Rc::ptr_eq(known, computer)) {
            *seen = Seen { computer: Some(computer.clone()), ..Seen::default() };
        }
        let mut facts = Facts { doubt_until: self.doubt_until, ..Facts::default() };
        let releases = computer.software_releases.iter().map(|release| &release.url);
        let used = computer.partitions.iter().filter_map(|partition| partition.instance.as_ref());
        for url in releases.chain(used.map(|instance| &instance.software_release.url)) {
            if !seen.built.contains_key(url) {
                seen.built.insert(url.clone(), self.site.is_built(url));
            }
        }
        facts.built =
            seen.built.iter().filter(|(_, is_built)| **is_built).map(|(url, _)| url.clone()).collect();
        let groups = services::by_group(statuses);
        for partition in computer.partitions.iter().filter(|partition| instance::is_busy(partition)) {
            let id = &partition.partition_id;
            let standing = match seen.partitions.get_mut(id) {
                Some(known) => known,
                None => seen.partitions.entry(id.clone()).or_insert(self.standing(partition)),
            };
            let own = groups.get(id.as_str()).map(Vec::as_slice).unwrap_or_default();
            if standing.is_due {
                facts.due.insert(id.clone());
            } else if services::are_kept(own) {
                facts.supervised.insert(id.clone());
            } else if *standing
                .has_services
                .get_or_insert_with(|| !services::declared(&self.site, id).services.is_empty())
            {
                facts.has_services.insert(id.clone());
            }
            if !standing.is_due && own.iter().any(|status| status.watched && services::is_dead(status)) {
                facts.dead.insert(id.clone());
            }
        }
        facts
    }

    fn standing(&self, partition: &ComputerPartition) -> Standing {
        let is_due = instance::is_due(&self.site, partition, false) || self.lost_file(partition).is_some();
        Standing { is_due, has_services: None }
    }

    /// What is gone of a started partition that was not looked at since the agent began.
    pub(super) fn lost_file(&self, partition: &ComputerPartition) -> Option<PathBuf> {
        let id = &partition.partition_id;
        let memory = self.memory.borrow();
        let is_checked = memory.get(&Subject::Partition(id.clone())).is_some_and(|work| work.is_checked);
        let is_new = !is_checked && partition.requested_state == RequestedState::Started;
        if is_new { life::lost_file(&self.site, id) } else { None }
    }
}
