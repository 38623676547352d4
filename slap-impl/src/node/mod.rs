//! The node: agent and supervisor.

pub mod promise;
pub mod supervisor;
