//! Nodes that hear of a destruction once more, when the partition belongs to somebody else.

use super::{Draw, Event, FaultKind, Knobs, Random, State, Step};

/// After half of what users destroy, where nodes hear old views: what a node is told then is told again when there is a successor.
pub(super) fn draw(root: &Random, knobs: &Knobs, steps: &mut Vec<Step>) {
    if !knobs.faults.contains(&FaultKind::View) {
        return;
    }
    let (draw, end) = (Draw { random: root.child("old wishes"), knobs }, knobs.turmoil_seconds * 1000);
    let destroyed: Vec<(u64, Event)> =
        steps.iter().filter(|step| is_destruction(step)).map(|step| (step.at, step.event.clone())).collect();
    for (at, event) in destroyed {
        let (is_drawn, other) = (draw.random.below(2) == 0, draw.node());
        // Time for the node to destroy, and for what comes next to run.
        let (age, later) = (120_000 + draw.random.below(480_000), 60_000 + draw.random.below(60_000));
        let (title, milliseconds) = (draw.title(), draw.random.below(30_000));
        let Event::Request { user, node, release, note, .. } = event else { continue };
        if is_drawn && at + later < end {
            let node = node.unwrap_or(other);
            let old = Event::OldView { node, age, times: 2, milliseconds };
            let next = Event::Request { user, title, release, node: Some(node), note, state: State::Started };
            steps.push(Step { at: at + 1, event: old });
            steps.push(Step { at: at + later, event: next });
        }
    }
}

fn is_destruction(step: &Step) -> bool {
    matches!(step.event, Event::Request { state: State::Destroyed, .. })
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
            for step in script.iter().filter(|step| is_destruction(step)) {
                let is_of_it = |other: &&Step| {
                    other.at == step.at + 1 && matches!(other.event, Event::OldView { times: 2, .. })
                };
                let is_told_again = script.iter().any(|other| is_of_it(&other));
                assert!(hears_old_views || !is_told_again, "seed {seed}: {step:?}");
                destroyed += u32::from(hears_old_views);
                told_again += u32::from(is_told_again);
            }
        }
        // Half of them, but for those too near the end.
        assert!(told_again > destroyed / 4 && told_again < destroyed * 6 / 10, "{told_again} of {destroyed}");
    }
}
