//! Losses of power soon after a release shall be removed, before the system writes by itself what nobody synced.

use super::{Draw, Event, FaultKind, Knobs, Place, Profile, Random, Step};
use std::collections::BTreeMap;

/// Within so many milliseconds a node that asks every minute has removed a release, and its disk may still not know that.
const SOON_MILLISECONDS: u64 = 80_000;
/// The same of a node that waits for what shall be done.
const SOON_WAITING_MILLISECONDS: u64 = 10_000;

/// After a third of the removals, where machines lose their power and their disks forget.
pub(super) fn draw(root: &Random, knobs: &Knobs, steps: &mut Vec<Step>) {
    if knobs.profile != Profile::Crash || !knobs.faults.contains(&FaultKind::Power) {
        return;
    }
    let draw = Draw { random: root.child("removals"), knobs };
    let soon = if knobs.agents_wait { SOON_WAITING_MILLISECONDS } else { SOON_MILLISECONDS };
    let removals: BTreeMap<u64, u32> = steps.iter().filter_map(removal).collect();
    for (at, node) in removals {
        let (is_drawn, later) = (draw.random.below(3) == 0, 1 + draw.random.below(soon));
        if is_drawn {
            let event =
                Event::Power { machine: Place::Node(node), milliseconds: 1 + draw.random.below(5000) };
            steps.push(Step { at: at + later, event });
        }
    }
}

/// When a release shall be removed, and on which node.
fn removal(step: &Step) -> Option<(u64, u32)> {
    match step.event {
        Event::Supply { node, removed: true, .. } => Some((step.at, node)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::draw as script;
    use super::*;

    #[test]
    fn machines_lose_their_power_soon_after_removals() {
        let (mut removals, mut soon) = (0, 0);
        for seed in 1..=200 {
            let knobs = Knobs::draw(seed, Profile::Crash);
            let script = script(seed, &knobs);
            for (at, node) in script.iter().filter_map(removal) {
                let is_soon = |step: &&Step| {
                    let machine = Place::Node(node);
                    (at..=at + SOON_MILLISECONDS).contains(&step.at)
                        && matches!(step.event, Event::Power { machine: it, .. } if it == machine)
                };
                removals += 1;
                soon += u32::from(script.iter().any(|step| is_soon(&step)));
            }
        }
        // Half of the seeds have losses of power, a third of whose removals have one of their own.
        assert!(soon > removals / 8 && soon < removals / 2, "{soon} of {removals}");
    }
}
