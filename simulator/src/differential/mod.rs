//! The model and the real master, event by event.
//!
//! * `names`, `question`, `answer`: the model's names, events and replies, as the XML wire has them; `rpc`: as calls of
//!   JSON-RPC methods, as far as they can be told so
//! * `real`: the real master in this process; `rows`: all that its database holds; `picture`: that in a form in which the model's
//!   can be compared; `books`, `journal`: what the model does not say, and what it must be all the same
//! * `asked`: what else is asked after a change; `documents`: what JSON-RPC's reading methods tell then
//! * `choices`: lists of events from bytes or from a seed; `file`: lists as files
//! * `run`: a list on both; `difference`: in what they differ; `shrink`: makes a list short that shows a difference
//! * `slapproxy`: the same for slapproxy, as far as it goes
//! * `judge`: the real master alone, under the model's rules
//! * `failure`: what to do when there is one; `replay`: the command that steps through a list
//!
//! After every event the reply and all that is kept must be equal. A failure is kept for ever, as a short list of events under
//! `regressions/model/`.

mod answer;
mod asked;
mod books;
pub mod choices;
pub mod difference;
mod documents;
pub mod failure;
pub mod file;
mod journal;
pub mod judge;
mod names;
mod picture;
mod question;
mod real;
pub mod replay;
pub(crate) mod rows;
mod rpc;
pub mod run;
pub mod shrink;
pub mod slapproxy;
