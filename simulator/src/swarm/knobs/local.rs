//! Releases that are paths, and a master that is told that their directory moved.

use super::Profile;
use crate::world::Random;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Whether one of the releases is a path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Local {
    /// The mean time between two starts of the master with another `local_software_release_root`, in seconds; 0: all releases are downloaded.
    #[serde(default)]
    pub move_seconds: u64,
}

impl Local {
    /// That of a seed, from a stream of its own: a third of the seeds have such a release.
    pub(super) fn draw(seed: u64, profile: Profile) -> Local {
        let random = Random::new(seed).child("knobs of local releases");
        let (is_local, move_seconds) = (random.below(3) == 0, 300 + random.below(1500));
        match profile {
            Profile::Swarm | Profile::Crash if is_local => Local { move_seconds },
            _ => Local::default(),
        }
    }
}

impl fmt::Display for Local {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.move_seconds > 0 {
            write!(formatter, ", release b is a path and its directory moves each {} s", self.move_seconds)?;
        }
        Ok(())
    }
}
