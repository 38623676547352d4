//! What operators change of nodes' formats, from a stream of its own.

use super::{Draw, Event, Knobs, Random, Step};
use serde::{Deserialize, Serialize};

/// What becomes of a node's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Change {
    /// So many partitions. Where these are fewer, the operator removes what the node has noted of the others.
    Partitions(u32),
    /// Something that no format can be made of.
    Typo(Typo),
}

/// What is wrong about a node's settings or its definition file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Typo {
    /// A number of partitions that is none.
    Amount,
    /// One partition fewer than were formatted, which are noted still.
    Fewer,
    /// Nothing says where the formatted computer is noted.
    Note,
    /// What is noted of the formatted computer is garbage.
    Garbage,
    /// A network that is none; or neither network nor definition.
    Network,
    /// A definition that lacks the last partition.
    Section,
    /// A definition with an address that is none.
    Address,
    /// A definition in which two partitions have one name; or one has a name that is none.
    Name,
    /// A definition that is no such file.
    Syntax,
}

const TYPOS: [Typo; 9] = [
    Typo::Amount,
    Typo::Fewer,
    Typo::Note,
    Typo::Garbage,
    Typo::Network,
    Typo::Section,
    Typo::Address,
    Typo::Name,
    Typo::Syntax,
];

/// When operators change which node's format, and how.
pub(super) fn draw(root: &Random, knobs: &Knobs, steps: &mut Vec<Step>) {
    if knobs.formats.change_seconds == 0 {
        return;
    }
    let draw = Draw { random: root.child("formats"), knobs };
    draw.times(knobs.formats.change_seconds * 1000, knobs.turmoil_seconds * 1000, |at| {
        let (node, random) = (draw.node(), &draw.random);
        let partitions = u64::from(knobs.partitions);
        let change = match random.below(8) {
            0..=2 => Change::Partitions(random.below(partitions) as u32),
            3 => Change::Partitions(0),
            4 => Change::Partitions((partitions + 1 + random.below(2)) as u32),
            _ => Change::Typo(TYPOS[random.below(TYPOS.len() as u64) as usize]),
        };
        let restarts = random.below(2) == 0;
        steps.push(Step {
            at,
            event: Event::Reformat { node, change, restarts, milliseconds: draw.length() },
        });
    });
}
