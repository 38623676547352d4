//! The node: what turns a master's wishes into directories, processes and reports.
//!
//! * `command`: a child process with a deadline, in a clean environment; `safe`: writing below a directory whose content
//!   somebody else chose
//! * [`promise`]: checks that an instance makes of itself
//! * [`supervisor`]: keeps services running, outlives the agent

pub mod command;
pub mod promise;
pub mod safe;
pub mod supervisor;
