//! Formats and supplies: what computers have, and what they shall have.

use super::{Answer, Desk};
use crate::{
    decisions::Decision,
    event::{Formatted, ReleaseReport},
    names::{Computer, Partition, Place, Release},
    reply::{Ignored, Refusal, Reply},
    state::{Slot, Supplied},
};
use std::collections::BTreeSet;

impl Desk<'_> {
    /// A busy partition stays until its instance is gone, but is not given away again
    /// (testSlapOSSlapToolComputeNodeUpdateFromDict, `test_Remove*`).
    pub(super) fn format(&mut self, computer: Computer, partitions: &Formatted) -> Answer {
        let mut kept = BTreeSet::new();
        let (there, gone): (Vec<Partition>, Vec<Partition>) =
            self.registered(computer).ordered().into_iter().partition(|it| partitions.contains_key(it));
        // slapproxy leaves those where they are that it has, and puts the others behind them.
        let is_after = |it: &&Partition| !there.contains(it);
        if !partitions.keys().eq(there.iter().chain(partitions.keys().filter(is_after))) {
            self.decide(Decision::LastFormatOrders);
        }
        for partition in gone {
            let is_busy = self.state.tenant(Place { computer, partition }).is_some();
            let registered = self.registered(computer);
            if is_busy {
                let slot = registered.partitions.get_mut(&partition).expect("it is one of the old");
                (slot.listed, slot.position) = (false, 0);
                kept.insert(partition);
                self.decide(Decision::BusyPartitionsStay);
            } else {
                registered.drop_partition(partition);
            }
        }
        for (position, (partition, address)) in (0..).zip(partitions.iter()) {
            let fresh = Slot { listed: true, position, address: *address, rank: 0, status: None };
            let slot = self.registered(computer).partitions.entry(*partition).or_insert(fresh);
            let has_moved = slot.address != *address;
            slot.position = position;
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
