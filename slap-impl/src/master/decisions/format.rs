//! A computer says which partitions it has.
//!
//! slapproxy drops a partition that is no longer in the list, with the instance in it. Here a busy one stays until its
//! instance is destroyed, as in the real master (testSlapOSSlapToolComputeNodeUpdateFromDict, `test_Remove*`), is not given
//! away again, and the answer says so.

use super::{Answer, COMPUTERS_MAX, Decision, Desk, Refusal, enumerate};
use crate::{
    store::{self, Address, Partition},
    vocabulary::{ComputerId, PartitionId},
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Partitions of a computer at most.
pub const PARTITIONS_MAX: usize = 10_000;
const ADDRESSES_MAX: usize = 64;

/// A partition, as its node describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormattedPartition {
    /// Its reference.
    pub reference: PartitionId,
    /// Its addresses: interface, address, netmask.
    pub addresses: Vec<(String, String, String)>,
}

impl Desk<'_> {
    pub(super) fn format(
        &mut self,
        computer: &ComputerId,
        address: &str,
        netmask: &str,
        partitions: &[FormattedPartition],
    ) -> Decision {
        check(partitions)?;
        if store::computer(self.connection, computer)?.is_none() {
            if store::count_computers(self.connection)? >= COMPUTERS_MAX {
                return Err(
                    Refusal::new(403, format!("{COMPUTERS_MAX} computers are registered already")).into()
                );
            }
            self.touch(computer);
        }
        store::upsert_computer(self.connection, computer, address, netmask)?;
        let before = store::partitions(self.connection, computer)?;
        let names: BTreeSet<&PartitionId> = partitions.iter().map(|partition| &partition.reference).collect();
        let kept = self.drop_missing(computer, &before, &names)?;
        if !is_same(&before, partitions) {
            self.place(computer, &before, partitions)?;
        }
        if kept.is_empty() {
            return Ok(Answer::Text("done".to_owned()));
        }
        let kept: Vec<&str> = kept.iter().map(String::as_str).collect();
        Ok(Answer::Text(format!(
            "done, but these partitions stay until their instances are destroyed, and are not given away again: {}",
            enumerate(&kept)
        )))
    }

    /// Removes free partitions that are not in the list any more, and tells which busy ones stay.
    fn drop_missing(
        &mut self,
        computer: &ComputerId,
        before: &[Partition],
        names: &BTreeSet<&PartitionId>,
    ) -> Decision<Vec<String>> {
        let mut kept = Vec::new();
        for partition in before.iter().filter(|partition| !names.contains(&partition.reference)) {
            match &partition.instance {
                Some(instance) => {
                    kept.push(format!("{} (instance {:?})", partition.reference, instance.title.as_str()));
                    if partition.listed {
                        store::unlist_partition(self.connection, partition)?;
                        self.touch(computer);
                    }
                }
                None => {
                    store::delete_partition(self.connection, computer, &partition.reference)?;
                    self.touch(computer);
                }
            }
        }
        Ok(kept)
    }

    fn place(
        &mut self,
        computer: &ComputerId,
        before: &[Partition],
        partitions: &[FormattedPartition],
    ) -> Decision<()> {
        let before: BTreeMap<&PartitionId, &Partition> =
            before.iter().map(|partition| (&partition.reference, partition)).collect();
        for (position, partition) in (0..).zip(partitions) {
            let addresses = addresses_of(partition);
            store::upsert_partition(self.connection, computer, &partition.reference, position, &addresses)?;
            self.touch_partition(computer, &partition.reference);
            let old = before.get(&partition.reference);
            if old.is_some_and(|old| old.instance.is_some() && old.addresses != addresses) {
                // The instance stands in its configuration with the old addresses.
                self.renew(computer, &partition.reference);
            }
        }
        self.touch(computer);
        Ok(())
    }
}

fn check(partitions: &[FormattedPartition]) -> Result<(), Refusal> {
    if partitions.len() > PARTITIONS_MAX {
        return Err(Refusal::new(
            400,
            format!("{} partitions: expected at most {PARTITIONS_MAX}", partitions.len()),
        ));
    }
    let mut names = BTreeSet::new();
    for partition in partitions {
        if !names.insert(&partition.reference) {
            return Err(Refusal::new(400, format!("the partition {} stands twice", partition.reference)));
        }
        if partition.addresses.len() > ADDRESSES_MAX {
            return Err(Refusal::new(
                400,
                format!(
                    "the partition {} has {} addresses: expected at most {ADDRESSES_MAX}",
                    partition.reference,
                    partition.addresses.len()
                ),
            ));
        }
    }
    Ok(())
}

fn is_same(before: &[Partition], partitions: &[FormattedPartition]) -> bool {
    let listed: Vec<&Partition> = before.iter().filter(|partition| partition.listed).collect();
    listed.len() == partitions.len()
        && listed
            .iter()
            .zip(partitions)
            .all(|(old, new)| old.reference == new.reference && old.addresses == addresses_of(new))
}

fn addresses_of(partition: &FormattedPartition) -> Vec<Address> {
    let address = |(interface, address, netmask): &(String, String, String)| Address {
        interface: interface.clone(),
        address: address.clone(),
        netmask: netmask.clone(),
    };
    partition.addresses.iter().map(address).collect()
}
