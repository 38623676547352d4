//! What a stranger could see of a lab: the master's answers and the promise files. Nothing else is asked, so that `status` and
//! `wait` say what any other client would find.

use super::{
    keeper,
    layout::{Description, Layout},
};
use crate::{
    client::{ClientError, Poll, SlapClient},
    env::{Env, FileKind},
    vocabulary::{ComputerId, RequestedState, SupplyState},
    wire::{
        objects::{Computer, ComputerPartition},
        status::{AccessStatus, StatusKind},
    },
};
use serde::{Serialize, Serializer};
use serde_json::Value as Json;
use std::{collections::BTreeMap, path::Path, time::Duration};

/// Bytes of a promise's result file that are read.
const RESULT_BYTES_MAX: u64 = 64 << 10;
/// How long the master may take for an answer to a look: it needs no time, but may be made to stand still.
const LOOK_TIME_MAX: Duration = Duration::from_secs(5);

/// A lab.
#[derive(Debug, Serialize)]
pub(super) struct LabView {
    pub(super) directory: String,
    pub(super) master_url: String,
    /// `running`, or why it does not answer.
    pub(super) master: String,
    /// `running` or `dead`.
    pub(super) keeper: String,
    pub(super) nodes: Vec<NodeView>,
}

/// A node.
#[derive(Debug, Serialize)]
pub(super) struct NodeView {
    pub(super) computer: ComputerId,
    /// Whether the master knows it.
    pub(super) formatted: bool,
    pub(super) software: Vec<SoftwareView>,
    pub(super) partitions: Vec<PartitionView>,
}

/// A supplied release.
#[derive(Debug, Serialize)]
pub(super) struct SoftwareView {
    pub(super) url: String,
    #[serde(serialize_with = "as_text")]
    pub(super) requested_state: SupplyState,
    /// What its node reported last.
    pub(super) status: String,
    pub(super) health: Health,
}

/// A partition.
#[derive(Debug, Serialize)]
pub(super) struct PartitionView {
    pub(super) reference: String,
    pub(super) instance: Option<InstanceView>,
}

/// An instance.
#[derive(Debug, Serialize)]
pub(super) struct InstanceView {
    pub(super) title: String,
    /// The title of the root of its tree, which may be its own.
    pub(super) root_title: String,
    pub(super) software_release: String,
    pub(super) software_type: String,
    #[serde(serialize_with = "as_text")]
    pub(super) requested_state: RequestedState,
    /// What its node reported last.
    pub(super) status: String,
    pub(super) health: Health,
    pub(super) connection_parameters: BTreeMap<String, String>,
    pub(super) addresses: Vec<String>,
    pub(super) promises: Vec<PromiseView>,
    /// The references of the shared instances that it hosts, as it sees them.
    pub(super) shared_instances: Vec<String>,
}

/// The last result of a promise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct PromiseView {
    pub(super) title: String,
    pub(super) failed: bool,
    pub(super) message: String,
    pub(super) date: String,
}

/// How something is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state", content = "reason")]
pub(super) enum Health {
    /// As it was asked for.
    Green,
    /// Something is wrong; what.
    Red(String),
    /// On its way; what is missing.
    Pending(String),
}

impl Health {
    pub(super) fn word(&self) -> &'static str {
        match self {
            Health::Green => "green",
            Health::Red(_) => "red",
            Health::Pending(_) => "pending",
        }
    }

    pub(super) fn reason(&self) -> &str {
        match self {
            Health::Green => "",
            Health::Red(reason) | Health::Pending(reason) => reason,
        }
    }
}

fn as_text<T: std::fmt::Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

impl LabView {
    /// Looks at these nodes of a lab.
    pub(super) async fn of(
        env: &Env,
        layout: &Layout,
        description: &Description,
        computers: &[ComputerId],
    ) -> LabView {
        let keeper = if keeper::process(env, description).is_some() { "running" } else { "dead" };
        let mut view = LabView {
            directory: layout.root.display().to_string(),
            master_url: description.master_url(),
            master: "running".to_owned(),
            keeper: keeper.to_owned(),
            nodes: Vec::new(),
        };
        let client = match SlapClient::new(env.clone(), &view.master_url) {
            Ok(client) => client.with_deadline(LOOK_TIME_MAX),
            Err(error) => {
                view.master = error.to_string();
                return view;
            }
        };
        for computer in computers {
            if view.master != "running" {
                // Who did not answer just now need not be asked again for each node.
                view.nodes.push(NodeView::unknown(computer));
                continue;
            }
            match node(env, layout, &client, computer).await {
                Ok(node) => view.nodes.push(node),
                Err(error) => {
                    view.master = error.to_string();
                    view.nodes.push(NodeView::unknown(computer));
                }
            }
        }
        view
    }
}

impl NodeView {
    fn unknown(computer: &ComputerId) -> NodeView {
        NodeView {
            computer: computer.clone(),
            formatted: false,
            software: Vec::new(),
            partitions: Vec::new(),
        }
    }
}

async fn node(
    env: &Env,
    layout: &Layout,
    client: &SlapClient,
    computer: &ComputerId,
) -> Result<NodeView, ClientError> {
    let full: Computer = match client.full_computer_information(computer, None, None).await {
        Ok(Poll::Changed { computer, .. }) => computer,
        Ok(Poll::Unchanged { .. }) | Err(ClientError::NotFound(_)) => return Ok(NodeView::unknown(computer)),
        Err(error) => return Err(error),
    };
    let news = client.computer_information(computer.as_str()).await?.news.unwrap_or_default();
    let software = full.software_releases.iter().map(|release| {
        let status = AccessStatus::from_json(&news["software"][release.url.as_str()]);
        let requested_state = release.requested_state.unwrap_or(SupplyState::Available);
        let mut health = software_health(requested_state, &status);
        let user = full.partitions.iter().filter_map(|partition| partition.instance.as_ref());
        let user = user.into_iter().find(|instance| instance.software_release.url == release.url);
        if let (SupplyState::Destroyed, Some(user)) = (requested_state, user) {
            health = Health::Pending(format!("it is removed when {} does not use it any more", user.title));
        }
        SoftwareView { url: release.url.to_string(), requested_state, health, status: status.text }
    });
    let software = software.collect();
    let instance_root = layout.instance_root(computer);
    let partitions = full.partitions.iter().map(|partition| {
        let status = &news["partition"][partition.partition_id.as_str()];
        let directory = instance_root.join(partition.partition_id.as_str());
        PartitionView {
            reference: partition.partition_id.to_string(),
            instance: instance(env, partition, status, &directory),
        }
    });
    let partitions = partitions.collect();
    Ok(NodeView { computer: computer.clone(), formatted: true, software, partitions })
}

fn instance(
    env: &Env,
    partition: &ComputerPartition,
    status: &Json,
    directory: &Path,
) -> Option<InstanceView> {
    let instance = partition.instance.as_ref()?;
    let status = AccessStatus::from_json(status);
    let promises = promises(env, directory);
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    Some(InstanceView {
        title: instance.title.clone(),
        root_title: instance.root_title.clone(),
        software_release: instance.software_release.url.to_string(),
        software_type: instance.software_type.clone(),
        requested_state: partition.requested_state,
        health: instance_health(partition.requested_state, &status, &promises),
        status: status.text,
        connection_parameters: instance
            .connection
            .iter()
            .map(|(name, value)| (name.clone(), text(value)))
            .collect(),
        addresses: instance.addresses.iter().map(|(_, address)| address.clone()).collect(),
        promises,
        shared_instances: instance.shared_instances.iter().map(|shared| shared.reference.clone()).collect(),
    })
}

/// Reads a partition's promise results, which the partition could write: bounded, no links, and what is no result
/// is a failed one that says so.
fn promises(env: &Env, partition: &Path) -> Vec<PromiseView> {
    let directory = partition.join(".slapgrid/promise/result");
    let mut promises = Vec::new();
    for name in env.files().list(&directory).unwrap_or_default() {
        let Some(title) = name.strip_suffix(".status.json") else { continue };
        let path = directory.join(&name);
        let regular =
            env.files().symlink_metadata(&path).is_ok_and(|metadata| metadata.kind == FileKind::File);
        let read = if regular { env.files().read(&path, RESULT_BYTES_MAX).ok() } else { None };
        let parsed = read.and_then(|bytes| serde_json::from_slice::<Json>(&bytes).ok());
        promises.push(match parsed {
            Some(json) if json["result"]["failed"].is_boolean() => PromiseView {
                title: title.to_owned(),
                failed: json["result"]["failed"] == true,
                message: json["result"]["message"].as_str().unwrap_or_default().to_owned(),
                date: json["result"]["date"].as_str().unwrap_or_default().to_owned(),
            },
            _ => PromiseView {
                title: title.to_owned(),
                failed: true,
                message: format!("{} is not a promise's result", path.display()),
                date: String::new(),
            },
        });
    }
    promises
}

fn software_health(requested: SupplyState, status: &AccessStatus) -> Health {
    match (requested, status.kind()) {
        (SupplyState::Destroyed, _) => Health::Pending("it is being removed".to_owned()),
        (_, StatusKind::Access) => Health::Green,
        (_, StatusKind::Error) if !status.no_data => Health::Red(status.described()),
        (_, StatusKind::Building) => Health::Pending("it is being built".to_owned()),
        _ => Health::Pending("its node did not report yet".to_owned()),
    }
}

fn instance_health(requested: RequestedState, status: &AccessStatus, promises: &[PromiseView]) -> Health {
    let failed = promises.iter().find(|promise| promise.failed);
    match (requested, failed) {
        (RequestedState::Destroyed, _) => return Health::Pending("it is being destroyed".to_owned()),
        (RequestedState::Started, Some(promise)) => {
            let said = format!("promise {} failed: {}", promise.title, promise.message);
            let is_told = status.kind() == StatusKind::Error && !status.no_data;
            let more = if is_told { status.described() } else { String::new() };
            return Health::Red(format!("{said}\n{more}").trim_end().to_owned());
        }
        _ => {}
    }
    match status.kind() {
        StatusKind::Error if !status.no_data => Health::Red(status.described()),
        _ if status.no_data => Health::Pending("its node did not report yet".to_owned()),
        _ if !status.up_to_date => Health::Pending("it is being processed".to_owned()),
        StatusKind::Access => Health::Green,
        _ => Health::Pending(status.text.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn green_needs_a_fresh_report_and_kept_promises() {
        let status = |text: &str, up_to_date| AccessStatus {
            text: text.to_owned(),
            up_to_date,
            ..AccessStatus::default()
        };
        let promise = |failed| PromiseView {
            title: "page".to_owned(),
            failed,
            message: "gone".to_owned(),
            date: String::new(),
        };
        let check = |requested, status: &AccessStatus, failed: bool, expected: &str| {
            let health = instance_health(requested, status, &[promise(failed)]);
            assert_eq!(health.word(), expected, "{requested} {status:?} {failed}");
        };
        let (started, stopped) = (RequestedState::Started, RequestedState::Stopped);
        check(started, &status("#access ok", true), false, "green");
        check(started, &status("#access ok", true), true, "red");
        check(started, &status("#access ok", false), false, "pending");
        check(started, &status("#error broken", true), false, "red");
        check(stopped, &status("#access ok", true), true, "green");
        check(stopped, &status("#access ok", false), true, "pending");
        check(RequestedState::Destroyed, &status("#access ok", true), false, "pending");
        check(started, &AccessStatus::unknown("COMP-1-slappart0", "Software Instance"), false, "pending");
    }
}
