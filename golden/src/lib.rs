//! Golden profiles: software releases as a porter writes them, in `profiles/NAME/`, and what they must become, in
//! `expected/NAME/`: the evaluated configuration, the files with their modes, the services, the promises and the published
//! parameters of an instance.
//!
//! [`observe()`] builds a release and makes an instance of it in a lab of one node, and writes down what became of it, with
//! whatever differs from run to run replaced by a name in brackets. [`conformance`] compares slap with the real SlapOS, step by
//! step; [`python`] makes the environment that it runs in.

#![forbid(unsafe_code)]

pub mod conformance;
mod listing;
mod observe;
pub mod python;

pub use observe::{Case, observe};
