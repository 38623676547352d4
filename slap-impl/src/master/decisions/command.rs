//! What may be asked of the master. In this form it stands in the journal, too.

use super::FormattedPartition;
use crate::vocabulary::{
    ComputerId, InstanceGuid, InstanceTitle, PartitionId, RequestedState, SharedReference, SoftwareUrl,
    SupplyState,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A change that somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Command {
    /// A user or a partition asks for an instance, or for other parameters or another state of it.
    Request {
        /// Its title: what makes two requests the same.
        title: InstanceTitle,
        /// The software release.
        release: SoftwareUrl,
        /// The software type; empty is [`DEFAULT_SOFTWARE_TYPE`](super::DEFAULT_SOFTWARE_TYPE), and for a shared instance the
        /// type of any host.
        software_type: String,
        /// Parameters, as an instance document.
        parameters: String,
        /// Where it may run.
        filter: BTreeMap<String, String>,
        /// What is wanted; none keeps what was wanted before, or starts it.
        state: Option<RequestedState>,
        /// Who asks; none for a user.
        #[serde(default)]
        requester: Option<Requester>,
        /// Whether another instance shall serve it.
        #[serde(default)]
        shared: bool,
    },
    /// A user wants a release on a computer, or gone from it.
    Supply {
        /// Which computer.
        computer: ComputerId,
        /// Which release.
        url: SoftwareUrl,
        /// What is wanted.
        state: SupplyState,
    },
    /// A node reports on a release.
    ReportRelease {
        /// Which computer.
        computer: ComputerId,
        /// Which release.
        url: SoftwareUrl,
        /// What it reports.
        report: ReleaseReport,
    },
    /// A computer says which partitions it has.
    Format {
        /// Which computer.
        computer: ComputerId,
        /// Its address.
        address: String,
        /// Its netmask.
        netmask: String,
        /// All its partitions.
        partitions: Vec<FormattedPartition>,
    },
    /// A node reports on the instance in a partition, or on a shared one that it hosts.
    ReportInstance {
        /// Which computer.
        computer: ComputerId,
        /// Which partition.
        partition: PartitionId,
        /// Which shared instance; none for the one in the partition.
        #[serde(default)]
        slave_reference: Option<SharedReference>,
        /// What it reports.
        report: InstanceReport,
        /// The partition's timestamp that it processed, if it says so: microseconds since 1970.
        about: Option<i64>,
    },
    /// An instance publishes connection parameters, of itself or of a shared one that it hosts.
    Publish {
        /// Which computer.
        computer: ComputerId,
        /// Which partition.
        partition: PartitionId,
        /// Which shared instance; none for the one in the partition.
        #[serde(default)]
        slave_reference: Option<SharedReference>,
        /// What it publishes, as an instance document.
        document: String,
    },
    /// An instance shall have another title, or a shared one that it hosts.
    Rename {
        /// Which computer.
        computer: ComputerId,
        /// Which partition.
        partition: PartitionId,
        /// Which shared instance; none for the one in the partition.
        #[serde(default)]
        slave_reference: Option<SharedReference>,
        /// The new title.
        title: InstanceTitle,
    },
    /// Something about the instance of that guid, wherever it is.
    OnInstance {
        /// Which instance.
        guid: InstanceGuid,
        /// What.
        action: InstanceAction,
    },
    /// Another master did what it was asked for.
    Forwarded {
        /// Which master, as the settings name it.
        master: String,
        /// The instance's title there.
        title: InstanceTitle,
        /// Who asked; none for a user.
        requester: Option<Requester>,
        /// Whether it is to be destroyed there, and so is forgotten here.
        gone: bool,
    },
    /// Local software releases stand under another root than before.
    Rebase {
        /// The root.
        root: String,
        /// The releases that moved, with their new place.
        moved: BTreeMap<SoftwareUrl, SoftwareUrl>,
    },
    /// All instances of a computer shall be processed again.
    BangComputer {
        /// Which computer.
        computer: ComputerId,
        /// Why.
        message: String,
    },
}

impl Command {
    /// What is asked, in a few words, for the log.
    pub fn describe(&self) -> String {
        match self {
            Command::Request { title, state, requester, shared, .. } => {
                let shared = if *shared { "shared " } else { "" };
                let state = state.map(|state| format!(" {state}")).unwrap_or_default();
                let by = requester.as_ref().map(|by| format!(" by {} of {}", by.partition, by.computer));
                format!("request {shared}{:?}{state}{}", title.as_str(), by.unwrap_or_default())
            }
            Command::Supply { computer, url, state } => format!("supply {url} {state} on {computer}"),
            Command::ReportRelease { computer, url, report } => {
                format!("{computer} reports {url} {}", report.word())
            }
            Command::Format { computer, partitions, .. } => {
                format!("format {computer} with {} partitions", partitions.len())
            }
            Command::ReportInstance { computer, partition, slave_reference, report, .. } => {
                format!("{computer} reports {}{partition} {}", of(slave_reference), report.word())
            }
            Command::Publish { computer, partition, slave_reference, .. } => {
                format!("{}{partition} of {computer} publishes", of(slave_reference))
            }
            Command::Rename { computer, partition, slave_reference, title } => {
                format!("rename {}{partition} of {computer} to {:?}", of(slave_reference), title.as_str())
            }
            Command::OnInstance { guid, action } => match action {
                InstanceAction::Report { report } => {
                    format!("{:?} is reported {}", guid.as_str(), report.word())
                }
                InstanceAction::Publish { .. } => format!("{:?} publishes", guid.as_str()),
                InstanceAction::Rename { title } => {
                    format!("rename {:?} to {:?}", guid.as_str(), title.as_str())
                }
            },
            Command::Forwarded { master, title, gone, .. } => {
                let verb = if *gone { "forget" } else { "remember" };
                format!("{verb} {:?} at {master}", title.as_str())
            }
            Command::Rebase { root, moved } => format!("move {} releases to {root}", moved.len()),
            Command::BangComputer { computer, .. } => format!("bang {computer}"),
        }
    }
}

fn of(reference: &Option<SharedReference>) -> String {
    reference.as_ref().map(|reference| format!("{:?} in ", reference.as_str())).unwrap_or_default()
}

/// The partition whose instance asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requester {
    /// Which computer.
    pub computer: ComputerId,
    /// Which partition.
    pub partition: PartitionId,
}

impl ReleaseReport {
    fn word(&self) -> &'static str {
        match self {
            ReleaseReport::Building => "building",
            ReleaseReport::Available => "available",
            ReleaseReport::Error { .. } => "in error",
            ReleaseReport::Destroyed => "destroyed",
        }
    }
}

impl InstanceReport {
    fn word(&self) -> &'static str {
        match self {
            InstanceReport::Started => "started",
            InstanceReport::Stopped => "stopped",
            InstanceReport::Error { .. } => "in error",
            InstanceReport::Bang { .. } => "bang",
            InstanceReport::Destroyed => "destroyed",
        }
    }
}

/// What a node reports of a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "kebab-case")]
pub enum ReleaseReport {
    /// It is being built.
    Building,
    /// It is built.
    Available,
    /// It could not be built.
    Error {
        /// The log.
        log: String,
    },
    /// It is gone.
    Destroyed,
}

/// What is done about an instance that is named by its guid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum InstanceAction {
    /// A node reports on it.
    Report {
        /// What it reports.
        #[serde(flatten)]
        report: InstanceReport,
    },
    /// Connection parameters are published for it.
    Publish {
        /// What is published, as an instance document.
        document: String,
    },
    /// It shall have another title.
    Rename {
        /// The new title.
        title: InstanceTitle,
    },
}

/// What a node reports of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "kebab-case")]
pub enum InstanceReport {
    /// Its services run.
    Started,
    /// Its services do not run.
    Stopped,
    /// It could not be put into place, or a promise failed.
    Error {
        /// The log.
        log: String,
    },
    /// It wants to be processed again.
    Bang {
        /// Why.
        message: String,
    },
    /// It is gone, and the partition is empty.
    Destroyed,
}
