//! Typed states.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A text that is no state of that kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadState {
    value: String,
    expected: &'static str,
}

impl fmt::Display for BadState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: String = self.value.chars().take(80).collect();
        write!(formatter, "{shown:?} is not a state: expected {}", self.expected)
    }
}

impl std::error::Error for BadState {}

/// What a user wants of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RequestedState {
    /// Its services run.
    Started,
    /// It is in place, and its services do not run.
    Stopped,
    /// It is gone.
    Destroyed,
}

impl RequestedState {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            RequestedState::Started => "started",
            RequestedState::Stopped => "stopped",
            RequestedState::Destroyed => "destroyed",
        }
    }
}

impl FromStr for RequestedState {
    type Err = BadState;
    fn from_str(text: &str) -> Result<Self, BadState> {
        match text {
            "started" => Ok(RequestedState::Started),
            "stopped" => Ok(RequestedState::Stopped),
            "destroyed" => Ok(RequestedState::Destroyed),
            _ => Err(BadState { value: text.to_owned(), expected: "started, stopped or destroyed" }),
        }
    }
}

impl fmt::Display for RequestedState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// What a user wants of a software release on a computer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SupplyState {
    /// It is built there.
    Available,
    /// It is removed from there.
    Destroyed,
}

impl SupplyState {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            SupplyState::Available => "available",
            SupplyState::Destroyed => "destroyed",
        }
    }
}

impl FromStr for SupplyState {
    type Err = BadState;
    fn from_str(text: &str) -> Result<Self, BadState> {
        match text {
            "available" => Ok(SupplyState::Available),
            "destroyed" => Ok(SupplyState::Destroyed),
            _ => Err(BadState { value: text.to_owned(), expected: "available or destroyed" }),
        }
    }
}

impl fmt::Display for SupplyState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}
