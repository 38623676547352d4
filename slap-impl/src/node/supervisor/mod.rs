//! The supervisor: `slap supervisor --directory DIR` keeps services running, and outlives whoever declared them.
//!
//! * `types.rs`: services, status, requests and replies
//! * `client.rs`: [`SupervisorClient`], what others use
//! * `record.rs`: one service and what is to be done about it, pure
//! * `state.rs`: the durable state
//! * `core.rs`: starts, stops and watches processes as the records plan it
//! * `output.rs`: what services write, and their logs
//! * `run.rs`: the program: loop and socket
//! * `place.rs`: the directory and its lock, also when they are removed while it runs

mod client;
mod core;
mod output;
mod place;
mod record;
mod run;
mod state;
mod types;

pub use client::{SOCKET, SupervisorClient, SupervisorError};
pub use core::{MARK_VARIABLE, SUPERVISOR_VARIABLE};
pub use run::run;
pub use state::begin_empty;
pub use types::{Reply, Request, Restart, Service, ServiceState, ServiceStatus};
