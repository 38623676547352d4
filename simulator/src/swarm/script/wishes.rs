//! Nodes that hear of a destruction once more, when the partition belongs to somebody else.

use super::{Draw, Event, FaultKind, Knobs, Random, State, Step};
use std::collections::BTreeMap;

/// After half of what users destroy on a node that they have named, where nodes hear old views: what the node is told then is told again
/// when another instance was asked for there.
pub(super) fn draw(root: &Random, knobs: &Knobs, steps: &mut Vec<Step>) {
    if !knobs.faults.contains(&FaultKind::View) {
        return;
    }
    let (draw, end) = (Draw { random: root.child("old wishes"), knobs }, knobs.turmoil_seconds * 1000);
    let mut wishes: Vec<(u64, Event)> =
        steps.iter().filter(|step| is_wish(step)).map(|step| (step.at, step.event.clone())).collect();
    wishes.sort_by_key(|(at, _)| *at);
    // The node that each title was last wanted on: where that is said, it is there in most cases.
    let mut last = BTreeMap::new();
    for (at, event) in wishes {
        let is_drawn = draw.random.below(2) == 0;
        // Time for the node to destroy, and for what comes next to run.
        let (age, later) = (120_000 + draw.random.below(480_000), 60_000 + draw.random.below(60_000));
        let milliseconds = draw.random.below(30_000);
        let Event::Request { user, title, node, release, note, state } = event else { continue };
        let other = draw.title_but(title);
        if let Some(node) = node {
            last.insert(title, node);
        }
        let node = if knobs.nodes == 1 { Some(1) } else { last.get(&title).copied() };
        let Some(node) = node.filter(|_| is_drawn && state == State::Destroyed && at + later < end) else {
            continue;
        };
        let old = Event::OldView { node, age, times: 2, milliseconds };
        let (title, node, state) = (other, Some(node), State::Started);
        let next = Event::Request { user, title, release, node, note, state };
        steps.push(Step { at: at + 1, event: old });
        steps.push(Step { at: at + later, event: next });
    }
}

fn is_wish(step: &Step) -> bool {
    matches!(step.event, Event::Request { .. })
}

#[cfg(test)]
mod tests {
    use super::super::draw as script;
    use super::*;
    use crate::swarm::knobs::Profile;

    #[test]
    fn old_destructions_are_told_again_when_somebody_else_is_there() {
        let (mut destroyed, mut told_again) = (0, 0);
        for seed in 1..=200 {
            let knobs = Knobs::draw(seed, Profile::Swarm);
            let script = script(seed, &knobs);
            let hears_old_views = knobs.faults.contains(&FaultKind::View);
            for step in &script {
                let Event::Request { title, state: State::Destroyed, .. } = step.event else { continue };
                let old = script.iter().find_map(|other| match other.event {
                    Event::OldView { node, times: 2, .. } if other.at == step.at + 1 => Some(node),
                    _ => None,
                });
                assert!(hears_old_views || old.is_none(), "seed {seed}: {step:?}");
                destroyed += u32::from(hears_old_views);
                told_again += u32::from(old.is_some());
                let is_next = |other: &Step| match other.event {
                    Event::Request { title: next, node, state: State::Started, .. } => {
                        node == old && next != title && (60_000..120_000).contains(&(other.at - step.at))
                    }
                    _ => false,
                };
                let is_later = |other: &&Step| other.at > step.at;
                assert!(
                    old.is_none() || script.iter().filter(is_later).any(is_next),
                    "seed {seed}: {step:?}"
                );
            }
        }
        // Half of those whose node somebody has said, but for those too near the end.
        assert!(told_again > destroyed / 8 && told_again < destroyed * 6 / 10, "{told_again} of {destroyed}");
    }
}
