//! What users ask beside what they want and follow: pages, searches, the journal, the rarer methods of either wire; and what they type at a
//! terminal. All of it is drawn from streams of its own, so that a seed's other steps are those that it had without.

use super::{Draw, Event, Knobs, Random, Release, State, Step};
use serde::{Deserialize, Serialize};

/// Something to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Look {
    /// All computers.
    Computers,
    /// A computer's page, with what was last reported of all that it has.
    Computer { node: u32 },
    /// When a computer was last heard of.
    ComputerStatus { node: u32, rpc: bool },
    /// What is in a partition.
    Partition { node: u32, partition: u32 },
    /// What was last reported of a partition.
    PartitionStatus { node: u32, partition: u32 },
    /// A partition's certificate, which is empty.
    PartitionCertificate { node: u32, partition: u32 },
    /// The addresses of the tree of the instance in a partition.
    Addresses { node: u32, partition: u32 },
    /// The certificate of the instance of a title, which is empty.
    Certificate { title: u32 },
    /// The shared instances that the instance of a title hosts.
    Hosted { title: u32 },
    /// The page of the shared instance of a title.
    Shared { title: u32 },
    /// A search for the instance of a title.
    Search { title: u32 },
    /// The releases of a product, which is named or of which one is.
    Releases { release: Release, by_url: bool },
    /// Where the pages begin.
    HateoasUrl { rpc: bool },
    /// The master's first page.
    FirstPage,
    /// Which run of the master it is.
    RunId,
    /// What was committed since the same user read that last, or since ever; an answer that would be empty may be held so many seconds.
    Events { again: bool, wait: u64 },
    /// A frontend of the past, of a virtual machine's screen or a web site, for which the master stands in.
    StandIn { screen: bool, rpc: bool },
    /// Whether the instance of a title comes to something within so many seconds. Only at a terminal.
    Wait { title: u32, goal: Goal, seconds: u64 },
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Goal {
    /// It has a partition.
    Allocated,
    /// It runs.
    Started,
    /// It stands still.
    Stopped,
    /// It is gone.
    Destroyed,
    /// It runs and all is well.
    Green,
}

/// Something that is told the master by somebody who might be a node, by either wire where both have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Tell {
    /// All instances of a computer shall be processed again.
    BangComputer { node: u32, rpc: bool },
    /// The instance of a title shall be processed again.
    Bang { title: u32 },
    /// The instance of a title publishes that note, until its own node publishes again.
    Publish { title: u32, note: u32 },
    /// A computer has the partitions that it has.
    Format { node: u32 },
    /// A release is available, whether it is or not: its node says the truth when it is built.
    Available { node: u32, release: Release },
    /// What a computer used. The master passes it over.
    Usage { node: u32, rpc: bool },
    /// A computer wants a certificate, or wants it revoked. The master has none.
    Certificate { node: u32, is_revoked: bool },
}

/// Something that is typed at a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Typed {
    /// `slap supply` or `slap remove`; by the product's name where it may be.
    Supply { node: u32, release: Release, removed: bool, by_product: bool },
    /// `slap request`
    Request { title: u32, release: Release, node: Option<u32>, note: u32, state: State },
    /// `slap service list`
    Services,
    /// `slap service info`
    Service { title: u32, news: bool },
    /// `slap computer list`
    Computers,
    /// `slap computer info`
    Computer { node: u32 },
    /// `slap events`; with so many seconds it follows, until it is ended. As lines of JSON or as text.
    Events { seconds: u64, json: bool },
    /// `slap wait`
    Wait { title: u32, goal: Goal, seconds: u64 },
}

impl Typed {
    /// What the user does by it, as if it were asked without a terminal.
    pub(crate) fn meaning(self, user: u32) -> Event {
        let look = |look| Event::Look { user, look };
        match self {
            Typed::Supply { node, release, removed, .. } => Event::Supply { user, node, release, removed },
            Typed::Request { title, release, node, note, state } => {
                Event::Request { user, title, release, node, note, state }
            }
            Typed::Services => Event::ReadList { user },
            Typed::Service { title, .. } => Event::ReadInstance { user, title },
            Typed::Computers => look(Look::Computers),
            Typed::Computer { node } => look(Look::Computer { node }),
            Typed::Events { seconds, .. } => look(Look::Events { again: true, wait: seconds }),
            Typed::Wait { title, goal, seconds } => look(Look::Wait { title, goal, seconds }),
        }
    }

    /// The node that it names.
    pub(crate) fn node(self) -> Option<u32> {
        match self {
            Typed::Supply { node, .. } | Typed::Computer { node } => Some(node),
            Typed::Request { node, .. } => node,
            _ => None,
        }
    }
}

impl Look {
    /// The node that it names.
    pub(crate) fn node(self) -> Option<u32> {
        match self {
            Look::Computer { node }
            | Look::ComputerStatus { node, .. }
            | Look::Partition { node, .. }
            | Look::PartitionStatus { node, .. }
            | Look::PartitionCertificate { node, .. }
            | Look::Addresses { node, .. } => Some(node),
            _ => None,
        }
    }
}

impl Tell {
    /// The node that it names.
    pub(crate) fn node(self) -> Option<u32> {
        match self {
            Tell::BangComputer { node, .. }
            | Tell::Format { node }
            | Tell::Available { node, .. }
            | Tell::Usage { node, .. }
            | Tell::Certificate { node, .. } => Some(node),
            Tell::Bang { .. } | Tell::Publish { .. } => None,
        }
    }
}

/// What users look at and tell, and what they type.
pub(super) fn draw(root: &Random, knobs: &Knobs, steps: &mut Vec<Step>) {
    let (end, users) = (knobs.turmoil_seconds * 1000, u64::from(knobs.users));
    for user in 1..=knobs.users {
        if knobs.look_seconds > 0 {
            let draw = Draw { random: root.child(&format!("looks of user {user}")), knobs };
            draw.times(knobs.look_seconds * 1000 * users, end, |at| {
                let event = match draw.random.below(5) {
                    0 => Event::Tell { user, tell: draw.tell() },
                    _ => Event::Look { user, look: draw.look() },
                };
                steps.push(Step { at, event });
            });
        }
        if knobs.type_seconds > 0 {
            let draw = Draw { random: root.child(&format!("terminal of user {user}")), knobs };
            draw.times(knobs.type_seconds * 1000 * users, end, |at| {
                steps.push(Step { at, event: Event::Type { user, typed: draw.typed() } });
            });
        }
    }
}

impl Draw<'_> {
    fn coin(&self) -> bool {
        self.random.below(2) == 0
    }

    fn partition(&self) -> u32 {
        self.random.below(u64::from(self.knobs.partitions)) as u32
    }

    fn goal(&self) -> Goal {
        let goals = [Goal::Allocated, Goal::Started, Goal::Stopped, Goal::Destroyed, Goal::Green];
        goals[self.random.below(goals.len() as u64) as usize]
    }

    fn look(&self) -> Look {
        let (node, partition, title) = (self.node(), self.partition(), self.title());
        match self.random.below(22) {
            0 => Look::Computers,
            1 => Look::Computer { node },
            2 => Look::ComputerStatus { node, rpc: self.coin() },
            3 | 4 => Look::Partition { node, partition },
            5 | 6 => Look::PartitionStatus { node, partition },
            7 => Look::PartitionCertificate { node, partition },
            8 => Look::Addresses { node, partition },
            9 => Look::Certificate { title },
            10 => Look::Hosted { title },
            11 => Look::Shared { title },
            12 => Look::Search { title },
            13 => Look::Releases { release: self.release(), by_url: self.coin() },
            14 => Look::HateoasUrl { rpc: self.coin() },
            15 => Look::FirstPage,
            16 => Look::RunId,
            17 => Look::StandIn { screen: self.coin(), rpc: self.coin() },
            _ => {
                let wait = if self.coin() { 0 } else { 1 + self.random.below(300) };
                Look::Events { again: self.random.below(4) > 0, wait }
            }
        }
    }

    fn tell(&self) -> Tell {
        let (node, title) = (self.node(), self.title());
        match self.random.below(7) {
            0 => Tell::BangComputer { node, rpc: self.coin() },
            1 => Tell::Bang { title },
            2 => Tell::Publish { title, note: self.random.below(4) as u32 },
            3 => Tell::Format { node },
            4 => Tell::Available { node, release: self.release() },
            5 => Tell::Usage { node, rpc: self.coin() },
            _ => Tell::Certificate { node, is_revoked: self.coin() },
        }
    }

    fn typed(&self) -> Typed {
        let title = self.title();
        match self.random.below(16) {
            0 | 1 => Typed::Supply {
                node: self.node(),
                release: self.release(),
                removed: self.random.below(4) == 0,
                by_product: self.coin(),
            },
            2..=5 => {
                let state = match self.random.below(10) {
                    0 | 1 => State::Destroyed,
                    2 | 3 => State::Stopped,
                    _ => State::Started,
                };
                let node = (self.random.below(3) == 0).then(|| self.node());
                let note = self.random.below(4) as u32;
                Typed::Request { title, release: self.release(), node, note, state }
            }
            6 => Typed::Services,
            7 | 8 => Typed::Service { title, news: self.coin() },
            9 => Typed::Computers,
            10 => Typed::Computer { node: self.node() },
            11..=13 => {
                let seconds = if self.coin() { 0 } else { 1 + self.random.below(600) };
                Typed::Events { seconds, json: self.coin() }
            }
            _ => Typed::Wait { title, goal: self.goal(), seconds: self.random.below(300) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::draw as script;
    use crate::swarm::knobs::{Knobs, Profile};

    #[test]
    fn looks_and_strangers_leave_all_other_steps_as_they_are() {
        let (mut looks, mut commands, mut strangers) = (0, 0, 0);
        for seed in 0..40 {
            let knobs = Knobs::draw(seed, Profile::Swarm);
            looks += u32::from(knobs.look_seconds > 0);
            commands += u32::from(knobs.type_seconds > 0);
            strangers += u32::from(knobs.stranger_seconds > 0);
            let without = Knobs { look_seconds: 0, type_seconds: 0, stranger_seconds: 0, ..knobs.clone() };
            let is_new = |event: &super::Event| {
                use super::Event::{Look, Stranger, Tell, Type};
                matches!(event, Look { .. } | Tell { .. } | Type { .. } | Stranger { .. })
            };
            let old: Vec<_> = script(seed, &knobs).into_iter().filter(|step| !is_new(&step.event)).collect();
            assert_eq!(old, script(seed, &without), "seed {seed}");
        }
        assert!(
            [looks, commands, strangers].iter().all(|seeds| (10..=30).contains(seeds)),
            "about half of them"
        );
        let large = Knobs::draw(1, Profile::Scale);
        assert_eq!((large.look_seconds, large.type_seconds, large.stranger_seconds), (0, 0, 0));
    }
}
