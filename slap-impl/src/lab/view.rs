//! What can be seen of a lab: the master's answers and the promise files, as any other client would find them, and, because a
//! report may be older than a death, whether the lab's programs and services run, as their supervisors noted.

use super::{
    keeper,
    layout::{Description, Layout},
    logs,
};
use crate::{
    client::{ClientError, Poll, SlapClient},
    env::{Env, FileKind},
    node::{
        instance::{error_name, start_again_text},
        life::{self, Life},
        safe, services,
        supervisor::{ServiceState, ServiceStatus, SupervisorClient},
    },
    vocabulary::{ComputerId, PartitionId, RequestedState, SupplyState},
    wire::{
        objects::{Computer, ComputerPartition},
        status::{AccessStatus, StatusKind},
    },
};
use serde::{Serialize, Serializer};
use serde_json::Value as Json;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

/// Bytes of a promise's result file that are read.
const RESULT_BYTES_MAX: u64 = 64 << 10;
/// With less free space than this a lab cannot work: databases, logs and notes are written all the time.
const FREE_BYTES_MIN: u64 = 256 << 10;
/// The same for files: a note that is replaced is a new file for a moment, and several programs write theirs at the same time.
const FREE_NAMES_MIN: u64 = 4;
/// Logs of a red instance whose ends are shown, and lines of each.
const RED_LOGS_MAX: usize = 3;
const RED_LINES_MAX: usize = 5;
/// How long the master may take for an answer to a look: it needs no time, but may be made to stand still.
const LOOK_TIME_MAX: Duration = Duration::from_secs(5);

/// A lab.
#[derive(Debug, Serialize)]
pub(super) struct LabView {
    pub(super) directory: String,
    pub(super) master_url: String,
    /// `running`, or why it does not answer.
    pub(super) master: String,
    /// `running`, `paused` or `dead`.
    pub(super) keeper: String,
    /// `ok`, or that it is full.
    pub(super) disk: String,
    pub(super) nodes: Vec<NodeView>,
}

/// A node.
#[derive(Debug, Serialize)]
pub(super) struct NodeView {
    pub(super) computer: ComputerId,
    /// Its agent: `running`, `paused`, or what it is instead.
    pub(super) agent: String,
    /// Its supervisor, in the same words.
    pub(super) supervisor: String,
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
    /// When its build failed last, as its node told the master.
    #[serde(skip)]
    pub(super) failed_at: Option<String>,
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
    /// What stands in its etc/run and etc/service.
    pub(super) services: Vec<ServiceView>,
    /// The references of the shared instances that it hosts, as it sees them.
    pub(super) shared_instances: Vec<String>,
    /// When its processing, as it is asked for now, failed last with an error that is no promise's, as its node told the master;
    /// none while it is processed.
    #[serde(skip)]
    pub(super) failed_at: Option<String>,
}

/// A service of a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct ServiceView {
    pub(super) name: String,
    /// Whether it must run as long as its instance is started.
    pub(super) watched: bool,
    /// `running`, `paused`, or what it is instead.
    pub(super) state: String,
}

/// The last result of a promise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct PromiseView {
    pub(super) title: String,
    pub(super) failed: bool,
    pub(super) message: String,
    pub(super) date: String,
    /// It was found before the agent that runs now began, or none runs: it says nothing of now.
    pub(super) outdated: bool,
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
        let running = description.keeper.filter(|_| keeper::process(env, description).is_some());
        let keeper = running.map_or("dead", |identity| keeper::process_condition(env, identity));
        let mut view = LabView {
            directory: layout.root.display().to_string(),
            master_url: description.master_url(),
            master: "running".to_owned(),
            keeper: keeper.to_owned(),
            disk: disk(env, layout).unwrap_or_else(|| "ok".to_owned()),
            nodes: Vec::new(),
        };
        let programs = Programs { env, noted: keeper::client(env, layout).noted() };
        let client = match SlapClient::new(env.clone(), &view.master_url) {
            Ok(client) => client.with_deadline(LOOK_TIME_MAX),
            Err(error) => {
                view.master = error.to_string();
                return view;
            }
        };
        // Who is paused takes a question and does not answer: that need not be waited for.
        if programs.condition("master") == "paused" {
            view.master = "paused: it answers nobody until it is resumed".to_owned();
        }
        for computer in computers {
            let mut node_view = programs.node(computer);
            // Who did not answer just now need not be asked again for each node.
            if view.master == "running"
                && let life = programs.life(computer)
                && let Err(error) = look_at_node(env, layout, &client, life.as_ref(), &mut node_view).await
            {
                let process = programs.condition("master");
                view.master =
                    if process == "running" { error.to_string() } else { format!("{process}: {error}") };
            }
            view.nodes.push(node_view);
        }
        view
    }

    /// What of the lab's own, beside its nodes, is not well: a name, how it is, and whose log may say more.
    pub(super) fn troubles(&self) -> Vec<(String, String, &'static str)> {
        let mut troubles = Vec::new();
        if self.disk != "ok" {
            troubles.push(("the disk".to_owned(), self.disk.clone(), "keeper"));
        }
        if self.keeper != "running" {
            troubles.push(("the keeper".to_owned(), format!("it is {}", self.keeper), "keeper"));
        }
        if self.master != "running" {
            troubles.push((format!("the master at {}", self.master_url), self.master.clone(), "master"));
        }
        troubles
    }

    /// Whether the lab's own programs run, all that were looked at.
    pub(super) fn programs_run(&self) -> bool {
        let nodes_run = self.nodes.iter().all(|node| node.troubles().is_empty());
        self.keeper == "running" && self.master == "running" && nodes_run
    }
}

impl NodeView {
    /// Which of its programs do not run.
    pub(super) fn troubles(&self) -> Vec<String> {
        let programs = [("agent", &self.agent), ("supervisor", &self.supervisor)];
        let down = programs.into_iter().filter(|(_, state)| *state != "running");
        down.map(|(program, state)| format!("its {program} is {state}")).collect()
    }
}

/// The programs that the keeper keeps, as it noted them.
struct Programs<'a> {
    env: &'a Env,
    noted: Vec<ServiceStatus>,
}

impl Programs<'_> {
    fn condition(&self, name: &str) -> String {
        keeper::condition(self.env, self.noted.iter().find(|status| status.name == name))
    }

    /// The life of a node's agent, if it runs.
    fn life(&self, computer: &ComputerId) -> Option<Life> {
        let name = keeper::agent_name(computer);
        let agent = self.noted.iter().find(|status| status.name == name)?.identity?;
        self.env.processes().find(agent).map(|_| Life::of(self.env, agent))
    }

    /// A node of which nobody was asked yet.
    fn node(&self, computer: &ComputerId) -> NodeView {
        NodeView {
            computer: computer.clone(),
            agent: self.condition(&keeper::agent_name(computer)),
            supervisor: self.condition(&keeper::supervisor_name(computer)),
            formatted: false,
            software: Vec::new(),
            partitions: Vec::new(),
        }
    }
}

/// Why nothing can be written any more, if so: notes and databases are written as new files, too.
pub(super) fn disk(env: &Env, layout: &Layout) -> Option<String> {
    let root = layout.root.display();
    if let Some(free) = env.files().free_bytes(&layout.root).ok().filter(|free| *free < FREE_BYTES_MIN) {
        return Some(format!("full: only {} KiB are free in {root}", free / 1024));
    }
    let free = env.files().free_names(&layout.root).ok().flatten().filter(|free| *free < FREE_NAMES_MIN)?;
    let count = if free == 0 { "no inode is".to_owned() } else { format!("only {free} inodes are") };
    Some(format!("full: {count} left for files in {root} (`df -i` shows them)"))
}

/// Fills in what the master and the partitions say. `life` is that of the node's agent.
async fn look_at_node(
    env: &Env,
    layout: &Layout,
    client: &SlapClient,
    life: Option<&Life>,
    view: &mut NodeView,
) -> Result<(), ClientError> {
    let computer = view.computer.clone();
    let full: Computer = match client.full_computer_information(&computer, None, None).await {
        Ok(Poll::Changed { computer, .. }) => computer,
        Ok(Poll::Unchanged { .. }) | Err(ClientError::NotFound(_)) => return Ok(()),
        Err(error) => return Err(error),
    };
    let news = match client.computer_information(computer.as_str()).await {
        Ok(information) => information.news.unwrap_or_default(),
        // It has a name already, and was never formatted.
        Err(ClientError::NotFound(_)) => return Ok(()),
        Err(error) => return Err(error),
    };
    let software = full.software_releases.iter().map(|release| {
        let status = AccessStatus::from_json(&news["software"][release.url.as_str()]);
        let requested_state = release.requested_state.unwrap_or(SupplyState::Available);
        let mut health = software_health(requested_state, &status);
        let user = full.partitions.iter().filter_map(|partition| partition.instance.as_ref());
        let user = user.into_iter().find(|instance| instance.software_release.url == release.url);
        if let (SupplyState::Destroyed, Some(user)) = (requested_state, user) {
            health = Health::Pending(format!("it is removed when {} does not use it any more", user.title));
        }
        let failed_at = matches!(health, Health::Red(_)).then_some(status.created_at);
        SoftwareView { url: release.url.to_string(), requested_state, health, status: status.text, failed_at }
    });
    view.software = software.collect();
    let noted = SupervisorClient::new(env.clone(), &layout.supervisor(&computer)).noted();
    let instance_root = layout.instance_root(&computer);
    let partitions = full.partitions.iter().map(|partition| {
        let status = &news["partition"][partition.partition_id.as_str()];
        let reference = partition.partition_id.to_string();
        let directory = instance_root.join(&reference);
        let checked_by = || life::checked_by(env.files(), &instance_root, &reference);
        let believed = partition.instance.is_some() && life.is_some() && checked_by().as_ref() == life;
        let instance = instance(env, partition, status, &directory, &noted, believed);
        PartitionView { reference, instance }
    });
    view.partitions = partitions.collect();
    view.formatted = true;
    Ok(())
}

fn instance(
    env: &Env,
    partition: &ComputerPartition,
    status: &Json,
    directory: &Path,
    noted: &[ServiceStatus],
    believed: bool,
) -> Option<InstanceView> {
    let instance = partition.instance.as_ref()?;
    let status = AccessStatus::from_json(status);
    let promises = promises(env, directory, !believed);
    let services = service_views(env, partition.partition_id.as_str(), directory, noted);
    let mut health = instance_health(partition.requested_state, &status, &promises);
    // Nothing failed: they were ended, by a `down` or with their supervisor.
    if matches!(health, Health::Red(_)) && status.log.trim() == start_again_text(&partition.partition_id) {
        health = Health::Pending("its services did not run, and are started again".to_owned());
    }
    if health == Health::Green && partition.requested_state == RequestedState::Started {
        let processed = safe::read_text(env.files(), &directory.join(".timestamp"), 1024);
        health = services_health(&services, processed.is_some() && processed == instance.timestamp);
        if health == Health::Green && !believed {
            health = Health::Pending("its promises were not checked since its agent began".to_owned());
        }
    }
    if let Health::Red(reason) = &mut health {
        let logs = red_logs(&partition.partition_id, directory, &promises, &services);
        for log in logs.iter().take(RED_LOGS_MAX) {
            // A report may have them already.
            if let Some((lines, last)) = logs::tail(env, log, RED_LINES_MAX)
                && !reason.contains(last.trim())
            {
                reason.push_str(&format!("\n{lines}"));
            }
        }
    }
    let is_error = status.kind() == StatusKind::Error && status.up_to_date && !status.no_data;
    let error = directory.join(error_name(&partition.partition_id));
    let failed_at = is_error && env.files().symlink_metadata(&error).is_ok();
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    Some(InstanceView {
        failed_at: failed_at.then_some(status.created_at),
        title: instance.title.clone(),
        root_title: instance.root_title.clone(),
        software_release: instance.software_release.url.to_string(),
        software_type: instance.software_type.clone(),
        requested_state: partition.requested_state,
        health,
        status: status.text,
        connection_parameters: instance
            .connection
            .iter()
            .map(|(name, value)| (name.clone(), text(value)))
            .collect(),
        addresses: instance.addresses.iter().map(|(_, address)| address.clone()).collect(),
        promises,
        services,
        shared_instances: instance.shared_instances.iter().map(|shared| shared.reference.clone()).collect(),
    })
}

/// Reads a partition's promise results, which the partition could write: bounded, no links, and what is no result
/// is a failed one that says so.
fn promises(env: &Env, partition: &Path, outdated: bool) -> Vec<PromiseView> {
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
                outdated,
            },
            _ => PromiseView {
                title: title.to_owned(),
                failed: true,
                message: format!("{} is not a promise's result", path.display()),
                date: String::new(),
                outdated,
            },
        });
    }
    promises
}

/// What stands in a partition's etc/run and etc/service, and whether it runs.
fn service_views(env: &Env, group: &str, directory: &Path, noted: &[ServiceStatus]) -> Vec<ServiceView> {
    let (found, _) = services::found(env.files(), directory);
    let view = |service: services::Found| {
        let noted = noted.iter().find(|status| status.group == group && status.name == service.name);
        let state = match noted {
            // What stands in etc/run may do its work and end.
            Some(noted) if !service.watched && noted.state == ServiceState::Ended => "ended".to_owned(),
            noted => keeper::condition(env, noted),
        };
        ServiceView { name: service.file, watched: service.watched, state }
    };
    found.into_iter().map(view).collect()
}

/// The logs that may say why a partition's promises fail and its services do not run.
fn red_logs(
    id: &PartitionId,
    directory: &Path,
    promises: &[PromiseView],
    services: &[ServiceView],
) -> Vec<PathBuf> {
    let failed = promises.iter().filter(|promise| promise.failed && !promise.outdated);
    let promise = |promise: &PromiseView| format!(".slapgrid/promise/log/{}.log", promise.title);
    let dead = services.iter().filter(|service| service.watched && service.state.starts_with("dead"));
    let service = |service: &ServiceView| format!(".{id}_{}.log", service.name);
    failed.map(promise).chain(dead.map(service)).map(|name| directory.join(name)).collect()
}

/// The health of a started instance of which everything that was reported is good.
fn services_health(services: &[ServiceView], is_processed: bool) -> Health {
    let is_missing = |state: &str| matches!(state, "not started" | "starting" | "stopping" | "stopped");
    for service in services {
        let state = service.state.as_str();
        if is_missing(state) {
            return Health::Pending(format!("service {} is {state}", service.name));
        }
        if service.watched && state != "running" {
            return Health::Red(format!("service {} is {state}", service.name));
        }
    }
    if is_processed { Health::Green } else { Health::Pending("its node is processing it".to_owned()) }
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
    let failed = promises.iter().find(|promise| promise.failed && !promise.outdated);
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
            outdated: false,
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
        let outdated = PromiseView { outdated: true, ..promise(true) };
        let health = instance_health(started, &status("#access ok", true), &[outdated]);
        assert_eq!(health, Health::Green, "what was found in an earlier life does not count");
        check(stopped, &status("#access ok", false), true, "pending");
        check(RequestedState::Destroyed, &status("#access ok", true), false, "pending");
        check(started, &AccessStatus::unknown("COMP-1-slappart0", "Software Instance"), false, "pending");
    }

    #[test]
    fn green_needs_services_that_run() {
        let check = |watched, state: &str, is_processed, expected: &str| {
            let service = ServiceView { name: "page".to_owned(), watched, state: state.to_owned() };
            let health = services_health(&[service], is_processed);
            assert_eq!(health.word(), expected, "{watched} {state} {is_processed}");
        };
        check(true, "running", true, "green");
        check(true, "running", false, "pending");
        check(true, "dead (exited with 7)", true, "red");
        check(true, "paused", true, "red");
        check(true, "stopped", true, "pending");
        check(true, "stopping", true, "pending");
        check(false, "stopped", true, "pending");
        check(true, "not started", true, "pending");
        check(false, "ended", true, "green");
    }
}
