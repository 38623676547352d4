//! Formats and supplies: what computers have, and what they shall have.

use super::{Answer, Desk};
use crate::{
    decisions::Decision,
    event::ReleaseReport,
    names::{Address, Computer, Partition, Place, Release},
    reply::{Ignored, Refusal, Reply},
    state::{Slot, Supplied},
};
use std::collections::{BTreeMap, BTreeSet};

impl Desk<'_> {
    /// A busy partition stays until its instance is gone, but is not given away again
    /// (testSlapOSSlapToolComputeNodeUpdateFromDict, `test_Remove*`).
    pub(super) fn format(&mut self, computer: Computer, partitions: &BTreeMap<Partition, Address>) -> Answer {
        let mut kept = BTreeSet::new();
        let old: Vec<Partition> = self.registered(computer).partitions.keys().copied().collect();
        for partition in old.into_iter().filter(|partition| !partitions.contains_key(partition)) {
            let is_busy = self.state.tenant(Place { computer, partition }).is_some();
            let slots = &mut self.registered(computer).partitions;
            if is_busy {
                slots.get_mut(&partition).expect("it is one of the old").listed = false;
                kept.insert(partition);
                self.decide(Decision::BusyPartitionsStay);
            } else {
                slots.remove(&partition);
            }
        }
        for (partition, address) in partitions {
            let fresh = Slot { listed: true, address: *address, rank: 0, status: None };
            let slot = self.registered(computer).partitions.entry(*partition).or_insert(fresh);
            let has_moved = slot.address != *address;
            (slot.listed, slot.address) = (true, *address);
            let tenant =
                self.state.tenant(Place { computer, partition: *partition }).map(|(number, _)| number);
            if let Some(number) = tenant.filter(|_| has_moved) {
                self.decide(Decision::AddressesRenew);
                self.renew(number);
            }
        }
        Ok(if kept.is_empty() { Reply::Done } else { Reply::Kept(kept) })
    }

    pub(super) fn supply(&mut self, computer: Computer, release: Release, wanted: bool) -> Answer {
        self.require_computer(computer)?;
        let supplies = &mut self.registered(computer).supplies;
        supplies.entry(release).or_insert(Supplied { wanted, status: None }).wanted = wanted;
        Ok(Reply::Done)
    }

    pub(super) fn report_release(
        &mut self,
        computer: Computer,
        release: Release,
        report: ReleaseReport,
    ) -> Answer {
        self.require_computer(computer)?;
        let Some(supply) = self.registered(computer).supplies.get_mut(&release) else {
            return Ok(if report == ReleaseReport::Destroyed {
                Reply::Done
            } else {
                Reply::Ignored(Ignored::NotSupplied)
            });
        };
        if report != ReleaseReport::Destroyed {
            supply.status = Some(report);
            return Ok(Reply::Done);
        }
        if supply.wanted {
            self.decide(Decision::WantedIsNotFreed);
            return Err(Refusal::StillWanted);
        }
        self.registered(computer).supplies.remove(&release);
        Ok(Reply::Done)
    }
}
