//! A second master, to which the first one passes requests on.

use super::Profile;
use crate::world::Random;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Whether there is a second master, with a node of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Second {
    /// The mean time between two requests that the first master passes on, in seconds; 0: there is no second one.
    #[serde(default)]
    pub request_seconds: u64,
    /// The mean time between two things that go wrong with the second master or between the two, in seconds; 0 for never.
    #[serde(default)]
    pub fault_seconds: u64,
}

impl Second {
    /// That of a seed, from a stream of its own: a third of the seeds have one, and in three quarters of these something goes wrong with it.
    /// None that has trees: the judge of the second master does not follow what instances request there.
    pub(super) fn draw(seed: u64, profile: Profile, has_trees: bool) -> Second {
        let random = Random::new(seed).child("knobs of a second master");
        if random.below(3) == 0 || has_trees {
            return Second::default();
        }
        let request_seconds = 10 + random.below(110);
        let fault_seconds = if random.below(4) == 0 { 0 } else { 30 + random.below(300) };
        match profile {
            Profile::Swarm | Profile::Crash => Second { request_seconds, fault_seconds },
            Profile::Calm => Second { request_seconds: 20 * request_seconds, fault_seconds: 0 },
            Profile::Scale => Second::default(),
        }
    }
}

impl fmt::Display for Second {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.request_seconds > 0 {
            write!(formatter, ", a request to a second master each {} s", self.request_seconds)?;
        }
        if self.fault_seconds > 0 {
            write!(formatter, ", where something goes wrong each {} s", self.fault_seconds)?;
        }
        Ok(())
    }
}
