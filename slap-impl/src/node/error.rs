//! Why the node did not do what it should, and what a pass came to.

use crate::{
    client::ClientError,
    env::{Exit, Files, room},
    node::supervisor::SupervisorError,
};
use std::{fmt, path::Path};

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeError {
    /// The master cannot be reached.
    Offline(String),
    /// A promise failed, in upstream's words.
    Promise(String),
    /// Another process does the same.
    Busy(String),
    /// Anything else.
    Failed(String),
}

impl NodeError {
    /// An error about a file.
    pub fn io(what: impl fmt::Display, error: &std::io::Error) -> NodeError {
        NodeError::Failed(format!("{what}: {error}"))
    }

    /// An error while something was written at a path: a full disk is called so, with a hint.
    pub fn write(
        files: &dyn Files,
        path: &Path,
        what: impl fmt::Display,
        error: &std::io::Error,
    ) -> NodeError {
        NodeError::Failed(match room::reason(files, path, error) {
            (reason, Some(hint)) => format!("{what}: {reason}\nhint: {hint}"),
            (reason, None) => format!("{what}: {reason}"),
        })
    }

    /// Whether only the master's absence is to blame.
    pub fn is_offline(&self) -> bool {
        matches!(self, NodeError::Offline(_))
    }
}

impl fmt::Display for NodeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NodeError::Offline(message)
            | NodeError::Promise(message)
            | NodeError::Busy(message)
            | NodeError::Failed(message) => formatter.write_str(message),
        }
    }
}

impl std::error::Error for NodeError {}

impl From<ClientError> for NodeError {
    fn from(error: ClientError) -> NodeError {
        match error {
            ClientError::Offline { .. } | ClientError::Refused { status: 500.., .. } => {
                NodeError::Offline(error.to_string())
            }
            _ => NodeError::Failed(error.to_string()),
        }
    }
}

impl From<SupervisorError> for NodeError {
    fn from(error: SupervisorError) -> NodeError {
        NodeError::Failed(error.to_string())
    }
}

/// What a pass came to; the worst one counts (slapos.core: grid/slapgrid.py, `SLAPGRID_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PassResult {
    /// All is done.
    Done,
    /// All is done but a promise failed.
    PromiseFailed,
    /// Something was not done.
    Failed,
    /// The master cannot be reached; what should run was started.
    Offline,
}

impl PassResult {
    /// The exit code.
    pub fn exit(self) -> Exit {
        Exit(match self {
            PassResult::Done => 0,
            PassResult::Failed => 1,
            PassResult::PromiseFailed => 2,
            PassResult::Offline => 3,
        })
    }

    /// What one thing's outcome makes of the pass.
    pub fn of(result: &Result<(), NodeError>) -> PassResult {
        match result {
            Ok(()) => PassResult::Done,
            Err(NodeError::Promise(_)) => PassResult::PromiseFailed,
            Err(_) => PassResult::Failed,
        }
    }
}
