//! States that differ only in names of no meaning become one: timestamps are made dense, instances are numbered in the order of
//! what they are.
//!
//! A timestamp is only ever compared with others of the same partition, and a new one is later than all of these. So
//! each partition has its own ranks, and which of two partitions was renewed first is forgotten.

use crate::{
    event::{Mail, Report},
    names::{Number, Place, Rank},
    state::{Instance, State},
};
use std::collections::BTreeSet;

impl State {
    /// The one of all states that behave alike which stands for them.
    ///
    /// Of the master's clock it keeps whether it was set back behind a timestamp. What is left of dropped partitions is later than all that
    /// is remembered of their timestamps, and that is kept.
    #[must_use]
    pub fn canonical(mut self) -> State {
        self.forget();
        let mut ranks: Vec<(Place, Rank)> = Vec::with_capacity(16);
        self.each_rank(|place, rank| ranks.push((place, *rank)));
        ranks.sort_unstable();
        ranks.dedup();
        let floor = self.computers.values().map(|registered| registered.floor).max();
        let is_behind = ranks.iter().map(|(_, rank)| *rank).chain(floor).any(|rank| rank > self.now);
        // 0 stays: it is before everything.
        let dense = |place: Place, rank: Rank| {
            let first = ranks.partition_point(|it| *it < (place, 1));
            (ranks.partition_point(|it| *it <= (place, rank)).max(first) - first) as Rank
        };
        let mut latest = 0;
        self.each_rank(|place, rank| {
            *rank = dense(place, *rank);
            latest = latest.max(*rank);
        });
        for (computer, registered) in self.computers.iter_mut().filter(|(_, it)| it.floor > 0) {
            let of_computer =
                ranks.iter().map(|(place, _)| *place).filter(|place| place.computer == *computer);
            let floor = registered.floor;
            registered.floor = of_computer.map(|place| dense(place, floor)).max().unwrap_or(0).max(1);
            latest = latest.max(registered.floor);
        }
        self.now = if is_behind { 0 } else { latest };
        self.renumber();
        self.elsewhere = self.elsewhere.map(|other| Box::new(other.canonical()));
        self
    }

    /// Forgets what nodes told of timestamps that cannot be told of again.
    fn forget(&mut self) {
        for (computer, node) in &mut self.nodes {
            let slots = self.computers.get(computer).map(|registered| &registered.partitions);
            let (deployed, view) = (&node.deployed, &node.view);
            node.told.retain(|partition, (rank, _)| {
                let slot = slots.and_then(|slots| slots.get(partition)).map(|slot| slot.rank);
                let seen = view.as_ref().and_then(|view| view.partitions.get(partition)?.as_ref());
                let deployed = deployed.get(partition).map(|deployed| deployed.rank);
                [slot, seen.map(|seen| seen.rank), deployed].contains(&Some(*rank))
            });
        }
    }

    /// All timestamps that are kept somewhere, each with its partition.
    fn each_rank(&mut self, mut visit: impl FnMut(Place, &mut Rank)) {
        for (computer, registered) in &mut self.computers {
            for (partition, slot) in &mut registered.partitions {
                let place = Place { computer: *computer, partition: *partition };
                visit(place, &mut slot.rank);
                slot.status.iter_mut().for_each(|status| visit(place, &mut status.about));
            }
        }
        for (computer, node) in &mut self.nodes {
            let place = |partition| Place { computer: *computer, partition };
            node.deployed.iter_mut().for_each(|(at, deployed)| visit(place(*at), &mut deployed.rank));
            node.told.iter_mut().for_each(|(at, (rank, _))| visit(place(*at), rank));
            let views = node.view.iter_mut().flat_map(|view| &mut view.partitions);
            for (partition, seen) in views {
                seen.iter_mut().for_each(|seen| visit(place(*partition), &mut seen.rank));
            }
        }
        if self.mail.is_empty() {
            return;
        }
        // They stand in an ordered set.
        let reports: BTreeSet<Mail> = std::mem::take(&mut self.mail);
        for mut mail in reports {
            if let Mail::Instance(Report { place, about: Some(about), .. }) = &mut mail {
                visit(*place, about);
            }
            self.mail.insert(mail);
        }
    }

    fn renumber(&mut self) {
        let key = |instance: &Instance| {
            let root = instance.root.and_then(|root| self.instances.get(&root)).map(|root| root.title);
            (root, instance.title, instance.place, instance.shared.map(|shared| shared.reference))
        };
        let mut order: Vec<(_, Number)> =
            self.instances.iter().map(|(number, instance)| (key(instance), *number)).collect();
        order.sort_unstable();
        if order.iter().map(|(_, old)| *old).eq(0..order.len() as Number) {
            return;
        }
        let renumbered = |old: Number| {
            order.iter().position(|(_, number)| *number == old).map_or(Number::MAX, |new| new as Number)
        };
        let instances = std::mem::take(&mut self.instances);
        for (old, mut instance) in instances {
            instance.root = instance.root.map(renumbered);
            instance.requester = instance.requester.map(renumbered);
            if let Some(shared) = &mut instance.shared {
                shared.host = shared.host.map(renumbered);
            }
            self.instances.insert(renumbered(old), instance);
        }
    }
}
