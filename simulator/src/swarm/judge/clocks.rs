//! The model's ranks as timestamps. Wall clocks jump and drift, and the model has none: from the time of an entry follows what each
//! partition that it renews must have, because timestamps of a computer only grow.

use slap_model::{
    State,
    names::{Computer, Place, Rank},
};
use std::collections::BTreeMap;

/// The timestamps of a run, in microseconds since 1970.
#[derive(Default)]
pub(super) struct Clocks {
    /// Of each partition, with the model's rank; both grow. One that was dropped keeps its own.
    renewals: BTreeMap<Place, Vec<(i64, Rank)>>,
    /// The latest of the partitions that a computer lost.
    floors: BTreeMap<Computer, (i64, Rank)>,
}

impl Clocks {
    pub(super) fn floor(&self, computer: Computer) -> i64 {
        self.floors.get(&computer).map_or(0, |(at, _)| *at)
    }

    /// What stands for a rank; 0 for never.
    pub(super) fn microseconds(&self, place: Place, rank: Rank) -> i64 {
        let all = self.renewals.get(&place).map_or(&[][..], Vec::as_slice);
        all.iter().rev().find(|(_, other)| *other == rank).map_or(0, |(at, _)| *at)
    }

    /// The rank of the last renewal that a report can be about.
    pub(super) fn rank(&self, place: Place, microseconds: i64) -> Rank {
        let all = self.renewals.get(&place).map_or(&[][..], Vec::as_slice);
        all.iter().rev().find(|(at, _)| *at <= microseconds).map_or(0, |(_, rank)| *rank)
    }

    /// Notes what an entry of that time renewed and dropped.
    pub(super) fn follow(&mut self, state: &State, at: i64) {
        for (computer, registered) in &state.computers {
            let (mut floor, known) = self.floors.get(computer).copied().unwrap_or_default();
            if registered.floor != known {
                let lost = self.renewals.iter().filter(|(place, _)| place.computer == *computer);
                let lost = lost.filter(|(place, _)| !registered.partitions.contains_key(&place.partition));
                floor = lost.filter_map(|(_, all)| all.last()).map(|(at, _)| *at).fold(floor, i64::max);
                self.floors.insert(*computer, (floor, registered.floor));
            }
            // What was renewed just now is at least as late as the model's clock.
            let renewed = registered.partitions.iter().filter(|(_, slot)| slot.rank >= state.now);
            for (partition, slot) in renewed {
                let all =
                    self.renewals.entry(Place { computer: *computer, partition: *partition }).or_default();
                let (last, rank) = all.last().copied().unwrap_or_default();
                if slot.rank != rank && slot.rank != 0 {
                    all.push((at.max(last + 1).max(floor + 1), slot.rank));
                }
            }
        }
    }
}
