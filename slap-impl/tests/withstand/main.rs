//! What a master withstands: `slap proxy start` as a process, asked over real sockets.
//!
//! Bounds are ten times what is promised: they fail what never ends, not what is slow on a machine that is busy.
//!
//! * `support`: the process, and what is sent to it
//! * `strangers`: peers that are too many, too slow or too much, and that ask under a stranger's name
//! * `disk`: a database that is damaged, and one that cannot be written
//! * `end`: what is under way when it is asked to end
//! * `document`: docs/defences.md names what is there, and all of this
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a test looks at the real system"
)]

mod disk;
mod document;
mod end;
mod strangers;
mod support;
