//! What users do beside what they want: they read, and they rename. All of it is drawn from streams of its own, so that a seed's other
//! steps are those that it had without.

use super::{Draw, Event, Knobs, Random, Step};

/// What users read, and what they rename. Half of what a user wants is looked at by the same user within seconds.
pub(super) fn draw(root: &Random, knobs: &Knobs, steps: &mut Vec<Step>) {
    let (end, users) = (knobs.turmoil_seconds * 1000, u64::from(knobs.users));
    for user in 1..=knobs.users {
        let draw = Draw { random: root.child(&format!("renames of user {user}")), knobs };
        if knobs.rename_seconds > 0 {
            draw.times(knobs.rename_seconds * 1000 * users, end, |at| {
                let (title, to) = (draw.title(), draw.title());
                if title != to {
                    steps.push(Step { at, event: Event::Rename { user, title, to } });
                }
            });
        }
    }
    if knobs.read_seconds == 0 {
        return;
    }
    let wanted = steps.clone();
    for user in 1..=knobs.users {
        let draw = Draw { random: root.child(&format!("reads of user {user}")), knobs };
        draw.times(knobs.read_seconds * 1000 * users, end, |at| {
            let event = match draw.random.below(10) {
                0..=3 => Event::ReadInstance { user, title: draw.title() },
                4 | 5 => Event::ReadList { user },
                _ => Event::ReadComputer { user, node: draw.node(), again: draw.random.below(2) == 0 },
            };
            steps.push(Step { at, event });
        });
        for step in wanted.iter().filter(|step| step.at > 0 && step.event.user() == Some(user)) {
            let again = draw.random.below(2) == 0;
            let event = match step.event {
                Event::Request { title, .. } | Event::Rename { to: title, .. } => {
                    Event::ReadInstance { user, title }
                }
                Event::Supply { node, .. } | Event::Bang { node, .. } => {
                    Event::ReadComputer { user, node, again }
                }
                _ => continue,
            };
            let at = step.at + 1 + draw.random.below(5000);
            if draw.random.below(2) == 0 {
                steps.push(Step { at, event });
            }
        }
    }
}
