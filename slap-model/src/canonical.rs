//! States that differ only in names of no meaning become one: timestamps are made dense, instances are numbered in the order of
//! what they are.

use crate::{
    event::Mail,
    names::{Number, Rank},
    state::{Instance, State},
};
use std::collections::BTreeMap;

impl State {
    /// The one of all states that behave alike which stands for them.
    #[must_use]
    pub fn canonical(mut self) -> State {
        let mut ranks = vec![0];
        self.each_rank(|rank| ranks.push(*rank));
        ranks.sort_unstable();
        ranks.dedup();
        let dense = |rank: Rank| ranks.binary_search(&rank).expect("it was collected") as Rank;
        self.each_rank(|rank| *rank = dense(*rank));
        // Reports carry timestamps inside an ordered set.
        self.mail = std::mem::take(&mut self.mail)
            .into_iter()
            .map(|mail| match mail {
                Mail::Instance(mut report) => {
                    report.about =
                        report.about.map(|about| ranks.partition_point(|rank| *rank < about) as Rank);
                    Mail::Instance(report)
                }
                other => other,
            })
            .collect();
        self.now = ranks.len() as Rank - 1;
        self.renumber();
        self
    }

    /// All timestamps that are kept somewhere, except those of reports on their way.
    fn each_rank(&mut self, mut visit: impl FnMut(&mut Rank)) {
        for slot in self.computers.values_mut().flat_map(|registered| registered.partitions.values_mut()) {
            visit(&mut slot.rank);
            slot.status.iter_mut().for_each(|status| visit(&mut status.about));
        }
        for node in self.nodes.values_mut() {
            node.deployed.values_mut().for_each(|deployed| visit(&mut deployed.rank));
            node.told.values_mut().for_each(|(rank, _)| visit(rank));
            let seen = node.view.iter_mut().flat_map(|view| view.partitions.values_mut().flatten());
            seen.for_each(|seen| visit(&mut seen.rank));
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
        let new: BTreeMap<Number, Number> = order.iter().map(|(_, old)| *old).zip(0..).collect();
        let renumbered = |old: Number| new.get(&old).copied().unwrap_or(Number::MAX);
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
