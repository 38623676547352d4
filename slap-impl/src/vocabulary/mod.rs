//! The SlapOS vocabulary: typed ids and states, parsed at the edge.

mod ids;
mod states;

pub use ids::{BadId, ComputerId, InstanceTitle, PartitionId, SoftwareUrl};
pub use states::{BadState, RequestedState, SupplyState};
