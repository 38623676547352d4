//! Labs of real processes, driven as a user drives them: by the command line.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "these tests stand outside the door: they start the program, read its files and ask its addresses"
)]

mod changes;
mod disk;
mod events;
mod failures;
mod kills;
mod life;
mod lives;
mod pieces;
mod places;
mod settings;
mod support;
mod trees;
