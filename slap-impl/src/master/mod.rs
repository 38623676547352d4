//! The master: users ask it for software and instances, nodes ask it what to do and report.
//!
//! * `decisions`: what is decided, inside one transaction
//! * `commit_queue`: many decisions become durable together

pub mod commit_queue;
pub mod decisions;
