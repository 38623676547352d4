//! What holds at any time.

use super::{Found, Rule};
use crate::{
    event::Wanted,
    names::{Place, UNPUBLISHED},
    state::{Instance, State},
};
use std::collections::BTreeSet;

pub(super) fn check(state: &State, found: &mut Found) {
    places(state, found);
    titles(state, found);
    trees(state, found);
    reports(state, found);
    nodes(state, found);
}

fn places(state: &State, found: &mut Found) {
    let mut taken = BTreeSet::new();
    for instance in state.instances.values() {
        let title = instance.title;
        match instance.shared {
            Some(shared) => {
                found.expect(instance.place.is_none(), Rule::SharedHasNoPartition, title);
                let host = shared.host.map(|host| state.instances.get(&host));
                let has_place = |host: Option<&Instance>| host.is_some_and(|host| host.place.is_some());
                found.expect(host.is_none_or(has_place), Rule::HostHasPartition, title);
                let is_quiet = host.is_some() || instance.connection == UNPUBLISHED;
                found.expect(is_quiet, Rule::NoHostNoConnection, title);
            }
            None => {
                let slot = instance.place.and_then(|place| state.slot(place));
                found.expect(slot.is_some(), Rule::HasItsPartition, title);
                let is_first = instance.place.is_none_or(|place| taken.insert(place));
                found.expect(is_first, Rule::OneTenant, title);
            }
        }
    }
}

fn titles(state: &State, found: &mut Found) {
    let mut titles = BTreeSet::new();
    let mut references = BTreeSet::new();
    for instance in state.instances.values() {
        found.expect(titles.insert((instance.root, instance.title)), Rule::TitlesAreUnique, instance.title);
        if let Some(root) = instance.root.and_then(|root| state.instances.get(&root)) {
            found.expect(root.title != instance.title, Rule::RootTitleIsReserved, instance.title);
        }
        if let Some(shared) = instance.shared {
            found.expect(references.insert(shared.reference), Rule::ReferencesAreUnique, shared.reference);
        }
    }
}

fn trees(state: &State, found: &mut Found) {
    for (number, instance) in &state.instances {
        let title = instance.title;
        let Some(root_number) = instance.root else {
            found.expect(instance.requester.is_none(), Rule::RequesterIsOfTheTree, title);
            continue;
        };
        let root =
            state.instances.get(&root_number).filter(|root| root.root.is_none() && root.shared.is_none());
        found.expect(root.is_some(), Rule::NoChildWithoutRoot, title);
        let requester = instance.requester.and_then(|requester| state.instances.get(&requester));
        let is_of_tree = |requester: &Instance| {
            requester.shared.is_none()
                && (instance.requester == Some(root_number) || requester.root == Some(root_number))
        };
        found.expect(root.is_none() || requester.is_some_and(is_of_tree), Rule::RequesterIsOfTheTree, title);
        let next = |at: &u16| state.instances.get(at).and_then(|instance| instance.requester);
        let chain = std::iter::successors(Some(*number), next);
        let is_endless = chain.take(state.instances.len() + 1).count() > state.instances.len();
        found.expect(!is_endless, Rule::NoCycle, title);
        let wanted = root.map_or(Wanted::Started, |root| root.state);
        let is_gone = wanted != Wanted::Destroyed || instance.state == Wanted::Destroyed;
        found.expect(is_gone, Rule::DestroyedTree, title);
        let is_quiet = wanted != Wanted::Stopped || instance.state != Wanted::Started;
        found.expect(is_quiet, Rule::StoppedTree, title);
    }
}

fn reports(state: &State, found: &mut Found) {
    for (computer, registered) in &state.computers {
        for (partition, slot) in &registered.partitions {
            let Some(status) = slot.status else { continue };
            let place = Place { computer: *computer, partition: *partition };
            found.expect(state.tenant(place).is_some(), Rule::NoReportOfNobody, place);
            found.expect(status.about <= slot.rank, Rule::NoReportFromTheFuture, place);
        }
    }
}

fn nodes(state: &State, found: &mut Found) {
    for (computer, node) in &state.nodes {
        for (partition, deployed) in &node.deployed {
            let place = Place { computer: *computer, partition: *partition };
            found.expect(deployed.services <= 1, Rule::RunsOnce, place);
            found.expect(deployed.started || deployed.services == 0, Rule::StoppedDoesNotRun, place);
            found.expect(state.tenant(place).is_some(), Rule::FreeIsEmpty, place);
        }
    }
}
