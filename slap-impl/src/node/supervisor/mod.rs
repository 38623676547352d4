//! The supervisor: `slap supervisor --directory DIR` keeps services running, and outlives whoever declared them.
//!
//! * `types.rs`: services, status, requests and replies
//! * `client.rs`: [`SupervisorClient`], what others use

mod client;
mod types;

pub use client::{SOCKET, SupervisorClient, SupervisorError};
pub use types::{Reply, Request, Restart, Service, ServiceState, ServiceStatus};
