//! What is written down while a world is walked.

use super::liveness::Steps;
use std::collections::BTreeMap;

/// Counts, and what the cloud does by itself.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// States that were left.
    pub states: usize,
    /// Events that were done and judged.
    pub transitions: u64,
    /// How often each kind of event occurred.
    pub events: BTreeMap<&'static str, u64>,
    /// How often each kind of reply occurred.
    pub replies: BTreeMap<&'static str, u64>,
    /// Whether nothing was left out.
    pub is_whole: bool,
    /// Whether there were too many states. Then not every way that the cloud takes by itself is known.
    pub is_cut: bool,
    /// What the cloud does by itself.
    pub steps: Steps,
}
