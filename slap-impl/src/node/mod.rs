//! The node: what turns a master's wishes into directories, processes and reports.
//!
//! Passes: [`mod@format`] makes the partitions, [`software`] builds releases, [`instance`] sets partitions up, [`report`]
//! destroys, and [`agent`] does them all when something changed.
//!
//! Below them: `site` (where things stand, whom the node talks to), `settings`, `engine` (runs the profile engine),
//! `services` (what stands in etc/run and etc/service), `health` (promises and watched services), `life` (what an agent knows from its own life), `due` (when something must be
//! done, without I/O), [`promise`], [`supervisor`]; `command` (a child process with a deadline), `log` (output that is bounded), `safe` (writing below a directory
//! whose content somebody else chose), `parallel`, `error`.

pub mod agent;
pub mod command;
pub mod due;
pub mod engine;
pub mod error;
pub mod format;
pub mod health;
pub mod instance;
pub mod life;
mod log;
pub mod parallel;
pub mod promise;
pub mod report;
pub mod safe;
pub mod services;
pub mod settings;
pub mod site;
pub mod software;
pub mod supervisor;

pub use command::LAB_MARK;
pub use error::{NodeError, PassResult};
pub use settings::NodeSettings;
pub use site::Site;
