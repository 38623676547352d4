//! Trees of instances and shared ones: whether a run has them. Drawn from a stream of its own.

use super::Profile;
use crate::world::Random;
use serde::{Deserialize, Serialize};

/// Releases request other instances, and users shared ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trees {
    /// Partitions that each node has beyond those that users reckon with: room for what is requested by instances.
    pub spare: u32,
    /// The mean time between two things that users do with shared instances and with children, in seconds.
    pub seconds: u64,
}

impl Trees {
    /// What a seed has of them; half of the seeds have none.
    pub(super) fn draw(seed: u64, profile: Profile, partitions: u32) -> Option<Trees> {
        let random = Random::new(seed).child("knobs of trees");
        let (is_there, spare, seconds) =
            (random.below(2) == 0, random.below(u64::from(partitions) + 1) as u32, 10 + random.below(110));
        match profile {
            // Too large to follow.
            Profile::Scale => None,
            _ if !is_there => None,
            // It begins full, and stays so for long.
            Profile::Calm => Some(Trees { spare: partitions, seconds: 20 * seconds }),
            Profile::Swarm | Profile::Crash => Some(Trees { spare, seconds }),
        }
    }
}
