//! What a root does to its tree, and how an instance goes.

use super::{Answer, Desk};
use crate::{
    decisions::Decision,
    event::{Report, Wanted},
    names::{Number, Place, UNPUBLISHED},
    reply::{Ignored, Refusal, Reply},
    state::Shared,
};

impl Desk<'_> {
    /// The wish for a root changed: what stops or goes takes its tree along.
    pub(super) fn propagate(&mut self, root: Number) {
        let state = self.state.instances[&root].state;
        for number in self.state.tree(root) {
            let child = &self.state.instances[&number];
            let follows = match state {
                Wanted::Started => false,
                Wanted::Stopped => child.state == Wanted::Started,
                Wanted::Destroyed => child.state != Wanted::Destroyed,
            };
            if number == root || !follows {
                continue;
            }
            let shared = child.shared;
            self.decide(Decision::TreeFollowsRoot);
            match shared {
                Some(_) if state == Wanted::Destroyed => self.remove_shared(number),
                Some(shared) => {
                    if let Some(host) = shared.host {
                        self.renew(host);
                    }
                    self.instance(number).state = state;
                }
                None => {
                    self.instance(number).state = state;
                    self.renew(number);
                }
            }
        }
    }

    /// A shared instance is nowhere but at the master and in its host's list, so nobody has to confirm.
    pub(super) fn remove_shared(&mut self, number: Number) {
        let instance = self.state.instances.remove(&number).expect("the caller looked it up");
        if instance.state == Wanted::Started
            && let Some(host) = instance.shared.and_then(|shared| shared.host)
        {
            self.renew(host);
        }
    }

    /// A node says that a partition is empty.
    pub(super) fn destroyed(&mut self, report: &Report) -> Answer {
        self.require_computer(report.place.computer)?;
        let Some((number, instance)) = self.state.tenant(report.place) else { return Ok(Reply::Done) };
        if instance.state != Wanted::Destroyed {
            self.decide(Decision::WantedIsNotFreed);
            return Err(Refusal::StillWanted);
        }
        let is_root = instance.root.is_none();
        let rank = self.state.slot(report.place).map_or(0, |slot| slot.rank);
        if report.about.is_some_and(|about| about < rank) {
            self.decide(Decision::LateDestroyedFreesNothing);
            return Ok(Reply::Ignored(Ignored::Late));
        }
        if is_root {
            let others = self.state.tree(number).into_iter().filter(|child| *child != number);
            let children: Vec<Number> =
                others.filter(|child| self.state.instances[child].shared.is_none()).collect();
            if !children.is_empty() {
                return Ok(Reply::NotYet(
                    children.iter().map(|child| self.state.instances[child].title).collect(),
                ));
            }
        }
        self.free(number, report.place);
        Ok(Reply::Done)
    }

    fn free(&mut self, number: Number, place: Place) {
        let root = self.state.instances.remove(&number).and_then(|instance| instance.root);
        for instance in self.state.instances.values_mut() {
            if instance.requester == Some(number) {
                instance.requester = root;
            }
            if let Some(shared) = &mut instance.shared
                && shared.host == Some(number)
            {
                *shared = Shared { host: None, ..*shared };
                instance.connection = UNPUBLISHED;
                self.decisions.insert(Decision::SharedOutlivesHost);
            }
        }
        let slots = &mut self.registered(place.computer).partitions;
        if let Some(slot) = slots.get_mut(&place.partition) {
            slot.status = None;
            if !slot.listed {
                self.registered(place.computer).drop_partition(place.partition);
            }
        }
        self.wake_root(root);
    }

    /// The last child of a root that waits for it is gone.
    fn wake_root(&mut self, root: Option<Number>) {
        let Some(root) = root else { return };
        let is_last = self
            .state
            .tree(root)
            .iter()
            .all(|number| *number == root || self.state.instances[number].shared.is_some());
        if is_last && self.state.instances[&root].state == Wanted::Destroyed {
            self.decide(Decision::LastChildWakesRoot);
            self.renew(root);
        }
    }
}
