//! Two users who want what cannot both be, within some milliseconds: so near that either may be first.

use super::{Draw, Event, Knobs, Random, State, Step};

/// Two that are so near each other overlap on the wire, and in the master's queue.
const NEAR_MILLISECONDS: u64 = 6;

/// All of them, at their times.
pub(super) fn draw(root: &Random, knobs: &Knobs, steps: &mut Vec<Step>) {
    if knobs.race_seconds > 0 {
        let draw = Draw { random: root.child("races"), knobs };
        draw.times(knobs.race_seconds * 1000, knobs.turmoil_seconds * 1000, |at| {
            let [first, second] = pair(&draw);
            let later = draw.random.below(NEAR_MILLISECONDS);
            steps.push(Step { at, event: first });
            steps.push(Step { at: at + later, event: second });
        });
    }
}

fn pair(draw: &Draw<'_>) -> [Event; 2] {
    let users = u64::from(draw.knobs.users);
    let first = 1 + draw.random.below(users) as u32;
    // Another one, where there is one.
    let second = 1 + (u64::from(first) % users) as u32;
    let (node, release, title) = (draw.node(), draw.release(), draw.title());
    let other = draw.title_but(title);
    let note = draw.random.below(4) as u32;
    let request = |user, title, state| Event::Request { user, title, release, node: Some(node), note, state };
    let supply = |user, removed| Event::Supply { user, node, release, removed };
    match draw.random.below(6) {
        // It is destroyed while it gets its partition, or asked for while it goes.
        0 => [request(first, title, State::Started), request(second, title, State::Destroyed)],
        1 => [request(first, title, State::Destroyed), request(second, title, State::Started)],
        // One room for two.
        2 => [request(first, title, State::Started), request(second, other, State::Started)],
        3 => [supply(first, false), supply(second, true)],
        // A release goes, of which an instance is asked for.
        4 => [supply(first, true), request(second, title, State::Started)],
        _ => [Event::Rename { user: first, title, to: other }, request(second, title, State::Stopped)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm::knobs::Profile;

    #[test]
    fn two_users_are_near_each_other() {
        let mut kinds = std::collections::BTreeSet::new();
        for seed in 1..=200 {
            let knobs = Knobs { race_seconds: 100, ..Knobs::draw(seed, Profile::Swarm) };
            let mut steps = Vec::new();
            draw(&Random::new(seed), &knobs, &mut steps);
            for pair in steps.chunks(2) {
                assert!(pair[0].at <= pair[1].at && pair[1].at < pair[0].at + NEAR_MILLISECONDS);
                if let Event::Rename { title, to, .. } = pair[0].event {
                    assert_ne!(title, to, "that changes nothing, and has no entry");
                }
                assert!(knobs.users == 1 || pair[0].event.user() != pair[1].event.user(), "{pair:?}");
                let words = |event: &Event| match event {
                    Event::Request { state, .. } => format!("{state:?}"),
                    Event::Supply { removed, .. } => format!("supply {removed}"),
                    _ => "rename".to_owned(),
                };
                kinds.insert(format!("{} {}", words(&pair[0].event), words(&pair[1].event)));
            }
        }
        assert_eq!(kinds.len(), 6, "{kinds:?}");
    }
}
