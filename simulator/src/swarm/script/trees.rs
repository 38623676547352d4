//! What users do with shared instances and with children. All of it is drawn from streams of its own, so that a seed's other steps are
//! those that it had without.

use super::{Draw, Event, FaultKind, Knobs, Random, Release, State, Step};
use serde::{Deserialize, Serialize};

/// Titles that only shared instances have.
const SHARED_TITLES: u64 = 5;

/// What a user does with a shared instance, or with what another instance requested.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Act {
    /// Asks for a shared instance, with a host on that node if one is named.
    Request { title: u32, release: Release, node: Option<u32>, note: u32, state: State },
    /// Gives the shared instance of a title another title.
    Rename { title: u32, to: u32 },
    /// Reports an error of the shared instance of a title, or bangs it.
    Report { title: u32, bang: bool },
    /// Reads what is known of the shared instance of a title.
    Read { title: u32 },
    /// Lists the shared instances that the instance of a title hosts.
    ReadHosted { title: u32 },
    /// Reads what is known of what the instance of a title requested while it was of that release.
    ReadRequested { title: u32, release: Release },
}

impl Act {
    /// Whether it changes nothing.
    pub(crate) fn is_read(&self) -> bool {
        matches!(self, Act::Read { .. } | Act::ReadHosted { .. } | Act::ReadRequested { .. })
    }

    /// The node that it names.
    pub(crate) fn node(&self) -> Option<u32> {
        match self {
            Act::Request { node, .. } => *node,
            _ => None,
        }
    }
}

/// What users do with shared instances and children, and what goes wrong with the services of these.
pub(super) fn draw(root: &Random, knobs: &Knobs, steps: &mut Vec<Step>) {
    let Some(trees) = knobs.trees else { return };
    let (end, users) = (knobs.turmoil_seconds * 1000, u64::from(knobs.users));
    for user in 1..=knobs.users {
        let draw = Draw { random: root.child(&format!("trees of user {user}")), knobs };
        draw.times(trees.seconds * 1000 * users, end, |at| {
            let event = draw.tree_event(user);
            // Half of what a user does is looked at by the same user within seconds.
            if let Event::Tree { act: Act::Request { title, .. } | Act::Rename { to: title, .. }, .. } = event
                && draw.random.below(2) == 0
            {
                let event = Event::Tree { user, act: Act::Read { title } };
                steps.push(Step { at: at + 1 + draw.random.below(5000), event });
            }
            steps.push(Step { at, event });
        });
    }
    if knobs.faults.contains(&FaultKind::KillService) {
        let draw = Draw { random: root.child("services of trees"), knobs };
        draw.times(knobs.fault_seconds * 1000 * knobs.faults.len() as u64, end, |at| {
            let event = Event::KillService { node: draw.node(), partition: draw.any_partition() };
            steps.push(Step { at, event });
        });
    }
}

impl Draw<'_> {
    fn tree_event(&self, user: u32) -> Event {
        let act = match self.random.below(12) {
            0..=4 => {
                let state = match self.random.below(10) {
                    0 | 1 => State::Destroyed,
                    2 => State::Stopped,
                    _ => State::Started,
                };
                let node = (self.random.below(4) == 0).then(|| self.node());
                let (title, note) = (self.shared_title(), self.random.below(4) as u32);
                Act::Request { title, release: self.release(), node, note, state }
            }
            5 => {
                let title = self.shared_title();
                let to = self.shared_title();
                Act::Rename { title, to: if to == title { to + 1 } else { to } }
            }
            6 => Act::Report { title: self.shared_title(), bang: self.random.below(2) == 0 },
            7 => Act::Read { title: self.shared_title() },
            8 => Act::ReadHosted { title: self.title() },
            9 | 10 => Act::ReadRequested { title: self.title(), release: self.release() },
            _ => {
                return Event::Bang { user, node: self.node(), partition: self.any_partition() };
            }
        };
        Event::Tree { user, act }
    }

    /// Mostly one that only shared instances have; sometimes one that others have, too.
    fn shared_title(&self) -> u32 {
        let own = self.knobs.nodes * self.knobs.partitions + 2;
        match self.random.below(8) {
            0 => self.title(),
            _ => own + self.random.below(SHARED_TITLES) as u32,
        }
    }

    fn any_partition(&self) -> u32 {
        self.random.below(u64::from(self.knobs.all_partitions())) as u32
    }
}
