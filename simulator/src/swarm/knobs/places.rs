//! What somebody does to a node's directories and logs, and to the master's disk, beside all else that goes wrong.

use super::Profile;
use crate::world::Random;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Places {
    /// The mean time between two things that somebody does to directories, locks and links of a node, in seconds; 0 for never.
    #[serde(default)]
    pub touch_seconds: u64,
    /// The mean time between two programs that write much, in seconds; 0 for never. Where there are some, logs of services are short.
    #[serde(default)]
    pub shout_seconds: u64,
    /// The mean time between two times at which the master's disk takes nothing and somebody asks for a change, in seconds; 0 for never.
    #[serde(default)]
    pub full_seconds: u64,
}

impl Places {
    /// Those of a seed, from a stream of their own: each in a third of the seeds, the disk in half of those that have one.
    pub(super) fn draw(seed: u64, profile: Profile) -> Places {
        let random = Random::new(seed).child("knobs of places");
        let third = |often: u64| if random.below(3) == 0 { often + random.below(1200) } else { 0 };
        let (touch_seconds, shout_seconds) = (third(120), third(300));
        let full_seconds = if random.below(2) == 0 { 300 + random.below(1200) } else { 0 };
        match profile {
            Profile::Swarm => Places { touch_seconds, shout_seconds, full_seconds: 0 },
            Profile::Crash => Places { touch_seconds, shout_seconds, full_seconds },
            Profile::Calm | Profile::Scale => Places::default(),
        }
    }
}

impl fmt::Display for Places {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (seconds, what) in [
            (self.touch_seconds, "directories touched"),
            (self.shout_seconds, "a program writes much"),
            (self.full_seconds, "the master's disk takes nothing"),
        ] {
            if seconds > 0 {
                write!(formatter, ", {what} each {seconds} s")?;
            }
        }
        Ok(())
    }
}
