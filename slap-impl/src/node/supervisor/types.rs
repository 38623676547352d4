//! What the supervisor and its clients say to each other: services, their state, requests and replies.
//!
//! One request and one reply are each one line of JSON. Names are kebab-case on the wire.

use crate::env::{Ended, Identity};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};

/// Bytes of a request or reply line; a longer one ends the connection.
pub(super) const LINE_BYTES_MAX: usize = 16 << 20;
/// Services of one group.
pub(super) const SERVICES_MAX: usize = 1000;
/// Bytes of a group's or a service's name.
pub(super) const NAME_BYTES_MAX: usize = 255;

/// What the supervisor does when a service ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// Reports it; whoever declared the service decides.
    #[default]
    Never,
    /// Starts it again, after a pause that grows from 0.1 s to 30 s while it keeps ending early.
    Always,
}

/// A program that shall run as long as its group is declared with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Service {
    /// Unique in its group: 1 to 255 bytes without `/` and control characters.
    pub name: String,
    /// The program: an absolute path, or a name looked up in the PATH of `variables`.
    pub program: PathBuf,
    /// Arguments, without the program itself.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// All environment variables; nothing is inherited.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// Working directory, absolute.
    pub directory: PathBuf,
    /// Permission bits that files made by it shall not have.
    pub umask: u32,
    /// Where standard output and standard error go, absolute; made with mode 0600.
    pub log: PathBuf,
    /// Bytes that the log is never longer than; what would exceed it becomes `<log>.1` first.
    pub log_bytes_max: u64,
    /// Whether somebody shall be told when it ends (a node bangs then); the supervisor only hands it on.
    pub watched: bool,
    /// What happens when it ends.
    #[serde(default)]
    pub restart: Restart,
    /// Seconds between the request to end and the order to.
    pub stop_seconds: u32,
    /// Whether what it started in sessions of its own goes on when it is stopped, as the services of a supervisor do.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub outlived: bool,
}

/// Where a service stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceState {
    /// Declared, and about to be started.
    Starting,
    /// It runs.
    Running,
    /// It was asked to end, and has not yet.
    Stopping,
    /// It was stopped on request, and is started only by a new declaration.
    Stopped,
    /// It ended by itself; [`ServiceStatus::ended`] says how, where that is known.
    Ended,
    /// It ended by itself, and is started again after a pause.
    Waiting,
    /// It could not be started at all; [`ServiceStatus::error`] says why.
    Failed,
}

impl ServiceState {
    /// The state as one word, as it stands on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            ServiceState::Starting => "starting",
            ServiceState::Running => "running",
            ServiceState::Stopping => "stopping",
            ServiceState::Stopped => "stopped",
            ServiceState::Ended => "ended",
            ServiceState::Waiting => "waiting",
            ServiceState::Failed => "failed",
        }
    }
}

/// What is known of one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ServiceStatus {
    /// Its group.
    pub group: String,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub state: ServiceState,
    /// Whether it shall run. What is stopping is started again then.
    #[serde(default = "yes")]
    pub wanted: bool,
    /// Its process, or its last one.
    pub identity: Option<Identity>,
    /// When its process, or its last one, was started: seconds since 1970.
    pub started_at_seconds: Option<i64>,
    /// How its last process ended. After the supervisor itself was replaced, code and signal of a process started
    /// before are not known.
    pub ended: Option<Ended>,
    /// Why it is [`ServiceState::Failed`].
    pub error: Option<String>,
    /// How often it was started again after it ended by itself.
    pub restarts: u64,
    /// As declared.
    pub watched: bool,
    /// As declared.
    pub log: PathBuf,
}

/// What a supervisor of an older program does not say.
fn yes() -> bool {
    true
}

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Request {
    /// Declares the whole set of a group.
    Apply {
        /// The group.
        group: String,
        /// All its services.
        services: Vec<Service>,
    },
    /// Stops a group's services; answered when none of their processes is left.
    Stop {
        /// The group.
        group: String,
    },
    /// Stops a group and forgets it; answered like `Stop`.
    Remove {
        /// The group.
        group: String,
    },
    /// Asks for all services.
    Status,
    /// Like `Status`, but answered only when the number of changes is another than `after`.
    NextChange {
        /// The number that the asker knows.
        after: u64,
    },
    /// Ends the supervisor.
    Shutdown {
        /// Whether its services end too, before it.
        stop_services: bool,
    },
}

/// What the supervisor answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// It is done.
    Done,
    /// All services, sorted by group and name, and the number of the last change.
    Services {
        /// The number of the last change.
        number: u64,
        /// All services.
        services: Vec<ServiceStatus>,
    },
    /// It was not done, for this reason.
    Refused {
        /// The reason, in words.
        message: String,
    },
}
