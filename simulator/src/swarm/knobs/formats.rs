//! How nodes are formatted: from a definition file or from a network, and how often operators change that.

use super::Profile;
use crate::world::Random;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How the nodes of a run are formatted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Formats {
    /// So many of the nodes take their addresses from a network; the others have a definition file.
    #[serde(default)]
    pub network_nodes: u32,
    /// The mean time between two changes of a node's format by an operator, in seconds; 0 for never.
    #[serde(default)]
    pub change_seconds: u64,
}

impl Formats {
    /// Those of a seed, from a stream of their own: a third of the seeds have such nodes, half of all seeds such operators.
    pub(super) fn draw(seed: u64, profile: Profile, nodes: u32) -> Formats {
        let random = Random::new(seed).child("knobs of formats");
        let network_nodes = if random.below(3) == 0 { 1 + random.below(u64::from(nodes)) as u32 } else { 0 };
        let change_seconds = if random.below(2) == 0 { 0 } else { 120 + random.below(1200) };
        match profile {
            Profile::Swarm | Profile::Crash => Formats { network_nodes, change_seconds },
            Profile::Calm => Formats { network_nodes, change_seconds: 0 },
            Profile::Scale => Formats::default(),
        }
    }
}

impl fmt::Display for Formats {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.network_nodes > 0 {
            write!(formatter, ", nodes 1 to {} formatted from a network", self.network_nodes)?;
        }
        if self.change_seconds > 0 {
            write!(formatter, ", another format each {} s", self.change_seconds)?;
        }
        Ok(())
    }
}
