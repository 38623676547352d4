//! The SlapOS vocabulary: typed ids and states, parsed at the edge; and small things about text.

mod guid;
mod ids;
mod python;
mod states;
mod text;

pub use guid::{InstanceGuid, InstanceName};
pub use ids::{BadId, ComputerId, InstanceTitle, PartitionId, SharedReference, SoftwareUrl};
pub use python::{float_repr, text_repr};
pub use states::{BadState, RequestedState, SupplyState};
pub use text::{hex, nearest};
