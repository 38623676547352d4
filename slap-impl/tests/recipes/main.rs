//! The native profile engine held against the Python one: the same profile is run by `slap buildout` and by the real
//! zc.buildout with the real recipes, and what they leave behind is compared.
//!
//! * `golden/src/python.rs`: the virtual environment with the pinned packages
//! * `python.rs`: the process that runs profiles in it (`driver.py`)
//! * `case.rs`: a case as a file: what is written, changed and run, step by step
//! * `engines.rs`: the same steps for both engines, in two directories with names of the same length
//! * `observe.rs`: what a run left behind, and how two such views differ
//! * `differences.rs`: the table of deliberate differences; an entry that no case shows any more is an error
//! * `profiles.rs`: every case of `cases/`; `master.rs`: those that need a master; `properties.rs`: generated profiles
//! * `options.rs`: each option of `[buildout]`, by the table of docs/buildout.md
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "these tests stand outside the door: they start both programs and read their files"
)]

mod case;
mod differences;
mod engines;
#[allow(unreachable_pub, reason = "it is a module of golden, too")]
#[path = "../../../golden/src/python.rs"]
mod environment;
mod master;
mod observe;
mod options;
mod profiles;
mod properties;
mod python;
