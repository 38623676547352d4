//! What nodes may not be told, and may not do.

use super::{Case, Tampering};
use slap_model::{
    Event, Reply, Rule,
    event::Wanted,
    names::{Address, Place},
    state::{Deployed, Seen, View},
};

pub(super) const TAMPERINGS: &[Tampering] = &[
    (Rule::ViewIsTrue, "a partition is not told", |case| {
        told(case, |view| view.partitions.pop_last().is_some())
    }),
    (Rule::ViewIsTrue, "a release is not told", |case| told(case, |view| view.supplies.pop_last().is_some())),
    (Rule::ViewIsTrue, "a release is told to be gone", |case| {
        told(case, |view| view.supplies.values_mut().next().map(|wanted| *wanted = !*wanted).is_some())
    }),
    (Rule::ViewIsTrue, "an instance is not told", |case| {
        told(case, |view| {
            let seen = view.partitions.values_mut().find(|seen| seen.is_some());
            seen.map(|seen| *seen = None).is_some()
        })
    }),
    (Rule::ViewIsTrue, "a free partition is told to be somebody's", |case| {
        told(case, |view| {
            let some = view.partitions.values().flatten().next().cloned();
            let free = view.partitions.values_mut().find(|seen| seen.is_none());
            some.is_some() && free.map(|free| *free = some).is_some()
        })
    }),
    (Rule::ViewIsTrue, "another title is told", |case| seen(case, |it| it.title.0 ^= 1)),
    (Rule::ViewIsTrue, "another state is told", |case| {
        seen(case, |it| {
            it.state = if it.state == Wanted::Started { Wanted::Stopped } else { Wanted::Started };
        })
    }),
    (Rule::ViewIsTrue, "another release is told", |case| seen(case, |it| it.release.0 ^= 1)),
    (Rule::ViewIsTrue, "another type is told", |case| seen(case, |it| it.kind.0 ^= 1)),
    (Rule::ViewIsTrue, "other parameters are told", |case| seen(case, |it| it.parameters.0 ^= 1)),
    (Rule::ViewIsTrue, "another connection is told", |case| seen(case, |it| it.connection.0 ^= 1)),
    (Rule::ViewIsTrue, "another timestamp is told", |case| seen(case, |it| it.rank += 1)),
    (Rule::ViewListsStarted, "a shared instance is not told", |case| {
        told(case, |view| {
            view.partitions.values_mut().flatten().any(|seen| seen.shared.pop_first().is_some())
        })
    }),
    (Rule::ViewListsStarted, "a shared instance of another host is told", |case| {
        told(case, |view| {
            let other = view.partitions.values().flatten().find_map(|seen| seen.shared.first().cloned());
            let Some(other) = other else { return false };
            let seen = view.partitions.values_mut().flatten().find(|seen| !seen.shared.contains(&other));
            seen.map(|seen| seen.shared.insert(other)).is_some()
        })
    }),
    (Rule::ServicesOutliveAgents, "a killed agent takes its services along", |case| {
        let Event::KillAgent(computer) = case.event else { return None };
        let partition = *case.after.nodes[&computer].deployed.keys().next()?;
        case.but(|it| {
            it.after.nodes.get_mut(&computer).expect("it is a node").deployed.remove(&partition);
        })
    }),
    (Rule::BuiltFirst, "what was not built is put into a partition", |case| {
        let Event::Process(place) = case.event else { return None };
        let deployed = *case.after.nodes[&place.computer].deployed.get(&place.partition)?;
        let is_put = case.before.nodes[&place.computer].deployed.get(&place.partition).map(|it| it.rank)
            != Some(deployed.rank);
        is_put.then_some(())?;
        case.but(|it| it.after.nodes.get_mut(&place.computer).expect("it is a node").built.clear())
    }),
    (Rule::BuiltFirst, "what the node did not see is put into a partition", |case| {
        let (place, _) = deployments(case).into_iter().next()?;
        case.but(|it| {
            let node = it.after.nodes.get_mut(&place.computer).expect("it is a node");
            node.view = None;
            node.deployed.get_mut(&place.partition).expect("it was found there").rank += 1;
        })
    }),
    (Rule::OnceForEachChange, "what exited starts again by itself", |case| {
        let is_down = |(place, it): &(Place, Deployed)| {
            let was = case.before.nodes.get(&place.computer).and_then(|it| it.deployed.get(&place.partition));
            it.services == 0 && was == Some(it)
        };
        let (place, _) = deployments(case).into_iter().find(is_down)?;
        case.but(|it| {
            let node = it.after.nodes.get_mut(&place.computer).expect("it is a node");
            node.deployed.get_mut(&place.partition).expect("it was found there").services = 1;
        })
    }),
    (Rule::FormatIsObeyed, "an address is not taken over", |case| {
        let Event::Format { computer, ref partitions } = case.event else { return None };
        let partition = *partitions.keys().next()?;
        case.but(|it| it.slot(Place { computer, partition }).address = Address(99))
    }),
];

/// What is in the partitions of nodes.
pub(super) fn deployments(case: &Case) -> Vec<(Place, Deployed)> {
    let nodes = case.after.nodes.iter();
    nodes
        .flat_map(|(computer, node)| {
            node.deployed
                .iter()
                .map(|(partition, it)| (Place { computer: *computer, partition: *partition }, *it))
        })
        .collect()
}

/// Changes what a node is told, if there is what can be changed.
fn told(case: &Case, change: impl FnOnce(&mut View) -> bool) -> Option<Case> {
    let Reply::View(view) = &case.reply else { return None };
    let mut view = view.clone();
    if change(&mut view) { case.but(|it| it.reply = Reply::View(view)) } else { None }
}

/// Changes what a node is told of an instance.
fn seen(case: &Case, change: impl FnOnce(&mut Seen)) -> Option<Case> {
    told(case, |view| view.partitions.values_mut().flatten().next().map(change).is_some())
}
