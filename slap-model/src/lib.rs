//! What a SlapOS cloud promises, so that a program can check it.
//!
//! * [`names`]: small typed names of computers, partitions, titles, ...
//! * [`event`], [`reply`]: what can happen, and what the master answers
//! * [`state`]: master and nodes, and [`State::view`], what a node sees
//! * [`step`](State::step): what an event does. Total: a refusal is a reply
//! * [`choose`]: the one generator of events, driven by [`Choices`]; [`State::enabled`] exhausts it
//! * [`rules`]: the named rules, over states and over transitions; RULES.md is their document
//! * [`decisions`]: where the product decides otherwise than slapproxy, or the real master, does
//! * [`settled`]: what must hold once users and faults stop
//! * [`worlds`]: named small worlds to explore
//! * [`canonical`]: states that differ in names of no meaning only become one
//!
//! Written from the facts of the real master and of slapproxy (RULES.md names files and tests), not from slap-impl.
//! No clock, no randomness, no I/O. Time is an event; timestamps are ranks, which only compare.

#![forbid(unsafe_code)]

pub mod canonical;
pub mod choose;
pub mod decisions;
pub mod event;
mod formatted;
pub mod names;
pub mod reply;
pub mod rules;
pub mod settled;
pub mod state;
mod step;
pub mod worlds;

pub use choose::{Bounds, Choices};
pub use decisions::{Decision, Departure};
pub use event::Event;
pub use reply::{Refusal, Reply};
pub use rules::{Rule, Violation};
pub use settled::Unsettled;
pub use state::State;
pub use step::Step;
