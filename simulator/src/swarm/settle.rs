//! After the faults have stopped: what the cloud must come to, within a bound, and what it waits for if it does not.

pub(super) mod promises;
pub(super) mod trees;

use super::{
    cloud::{Cloud, INSTANCE_ROOT, completed},
    history::{History, OPERATOR},
    judge::Judge,
    knobs::FaultKind,
    report::Finding,
    script::{Event, Place, Release},
    second,
    users::{self, computer},
};
use crate::world::pause;
use slap_impl::{
    client::{Poll, SlapClient},
    env::Env,
    vocabulary::{RequestedState, SoftwareUrl, SupplyState},
    wire::objects::{Computer, ComputerPartition},
};
use std::{fmt, path::Path, rc::Rc, time::Duration};

/// A node's period: it asks the master each minute.
const PERIOD: Duration = Duration::from_secs(60);
/// Periods within which all must be as it is wanted. What failed often is tried again each 300 s, and must go well twice.
const PERIODS_MAX: u32 = 30;

/// What is waited for of a release that somebody does not want any more.
const NOT_REMOVED: &str = "is not removed yet";

/// Something that is not as it shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Waits {
    /// Whom or what it is about.
    pub(super) object: String,
    /// What is, and what it shall become.
    pub(super) what: String,
}

impl fmt::Display for Waits {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.object, self.what)
    }
}

/// Waits until all is as it is wanted. Every node shall have both releases, so that whatever was asked for can run.
pub(super) async fn settle(cloud: &Rc<Cloud>, history: &History, judge: &Judge) -> Result<Duration, Finding> {
    let operator = cloud.machine(Place::Users).user("/root", Default::default());
    let client = users::client(cloud, &operator);
    let start = operator.clock().elapsed();
    let mut waits = Vec::new();
    let mut is_supplied = false;
    for _ in 0..=PERIODS_MAX {
        judge.look(cloud, history, false)?;
        if !is_supplied {
            is_supplied = supply(cloud, history, &operator).await && second::supply(cloud, &operator).await;
        }
        if is_supplied {
            waits = unsettled(cloud, &client).await;
            second::unsettled(cloud, &operator, &mut waits).await;
            if waits.is_empty() {
                return Ok(operator.clock().elapsed() - start);
            }
            // What a user asked for may have been on its way when all was healed: then the operator asks again.
            is_supplied = waits.iter().all(|wait| wait.what != NOT_REMOVED);
        }
        if cloud.world.trace().is_alarmed() {
            break;
        }
        pause(PERIOD).await;
    }
    let first = waits.first().cloned();
    let object = first.as_ref().map_or_else(|| "master".to_owned(), |first| first.object.clone());
    let what = first.map_or_else(|| "does not take what is supplied".to_owned(), |first| first.what);
    let more = waits.iter().skip(1).map(ToString::to_string).collect();
    Err(Finding {
        rule: "liveness".to_owned(),
        object,
        what: format!("{PERIODS_MAX} periods after the last fault it waits: {what}"),
        at: operator.clock().elapsed(),
        more,
    })
}

/// Supplies every release to every node; whether all of it was taken.
async fn supply(cloud: &Rc<Cloud>, history: &History, operator: &Env) -> bool {
    for node in cloud.nodes() {
        for release in [Release::A, Release::B] {
            let event = Event::Supply { user: OPERATOR, node, release, removed: false };
            if !users::do_now(cloud, operator, history, &event).await {
                return false;
            }
        }
    }
    true
}

/// All that is not as it is wanted.
async fn unsettled(cloud: &Cloud, client: &SlapClient) -> Vec<Waits> {
    let mut waits = Vec::new();
    let overview = trees::overview(cloud, client, cloud.nodes()).await;
    for node in cloud.nodes() {
        let reference = computer(node);
        match client.full_computer_information(&reference, None, None).await {
            Ok(Poll::Changed { computer, .. }) => {
                node_waits((cloud, &overview), client, node, &computer, &mut waits).await
            }
            Ok(Poll::Unchanged { .. }) => {}
            Err(error) => waits.push(Waits { object: reference.to_string(), what: error.to_string() }),
        }
    }
    if waits.is_empty() {
        trees::shared_waits(cloud, client, &overview, &mut waits).await;
    }
    waits
}

pub(super) async fn node_waits(
    (cloud, overview): (&Cloud, &trees::Overview),
    client: &SlapClient,
    node: u32,
    computer: &Computer,
    waits: &mut Vec<Waits>,
) {
    for release in &computer.software_releases {
        let mut wait =
            |what: String| waits.push(Waits { object: format!("{} on COMP-{node}", release.url), what });
        match (release.requested_state, client.release_status(&computer.computer_id, &release.url).await) {
            (Some(SupplyState::Available), Ok(status)) if status.text.starts_with("#access") => {}
            // A report that it is being built may come twice, and the second time late: the master cannot tell (docs/simulation.md, atlas).
            (Some(SupplyState::Available), Ok(status))
                if status.text.starts_with("#building")
                    && cloud.knobs.faults.contains(&FaultKind::Duplicate)
                    && is_built(cloud, node, &release.url) => {}
            // What a machine told last that had the node's identity, too, nobody takes back.
            (Some(SupplyState::Available), Ok(_))
                if cloud.twins().contains_key(&node) && is_built(cloud, node, &release.url) => {}
            (Some(SupplyState::Available), Ok(status)) => {
                wait(format!("is not available: {}", first_line(&status.text)))
            }
            (Some(SupplyState::Destroyed), _) => wait(NOT_REMOVED.to_owned()),
            (_, Err(error)) => wait(error.to_string()),
            (None, Ok(_)) => {}
        }
    }
    whole_waits(cloud, node, computer, waits);
    for partition in &computer.partitions {
        let what = partition_waits((cloud, overview), client, node, partition).await;
        if let Some(what) = what {
            waits.push(Waits { object: format!("COMP-{node}/{}", partition.partition_id), what });
        }
    }
}

/// A node has the partitions that it shall have, and nothing runs or stands in those that it had.
fn whole_waits(cloud: &Cloud, node: u32, computer: &Computer, waits: &mut Vec<Waits>) {
    for number in 0..cloud.partitions_ever(node) {
        let name = format!("slappart{number}");
        if computer.partitions.iter().any(|partition| partition.partition_id.as_str() == name) {
            continue;
        }
        let running = cloud.services(node, &name).len();
        let what = if number < cloud.partitions(node) {
            Some("is formatted, and the master does not know it".to_owned())
        } else if cloud.twins().contains_key(&node) {
            None
        } else if running > 0 {
            Some(format!("is no partition any more, and {running} services run in it"))
        } else {
            left_behind(cloud, node, &name)
        };
        waits.extend(what.map(|what| Waits { object: format!("COMP-{node}/{name}"), what }));
    }
}

async fn partition_waits(
    (cloud, overview): (&Cloud, &trees::Overview),
    client: &SlapClient,
    node: u32,
    partition: &ComputerPartition,
) -> Option<String> {
    let running = cloud.services(node, partition.partition_id.as_str()).len();
    let strays = cloud.strays(node, partition.partition_id.as_str());
    if strays > running {
        return Some(format!("has {strays} processes that services left, and {running} services run"));
    }
    let is_started = partition.instance.is_some() && partition.requested_state == RequestedState::Started;
    if partition.instance.is_none() {
        if cloud.twins().contains_key(&node) {
            // It may have been emptied by a machine with the node's identity, and then the node was not told to (docs/simulation.md, atlas).
            return None;
        }
        if running > 0 {
            return Some(format!("is free, and {running} services run in it"));
        }
        return left_behind(cloud, node, partition.partition_id.as_str());
    }
    if partition.requested_state == RequestedState::Destroyed {
        return Some("is not destroyed yet".to_owned());
    }
    let status = match client.partition_status(&partition.computer_id, &partition.partition_id).await {
        Ok(status) => status,
        Err(error) => return Some(error.to_string()),
    };
    if overview.waits_for_room(node, &partition.partition_id) {
        return trees::waiting(&status, running);
    }
    let wanted = partition.requested_state.as_str();
    if status.no_data || !status.text.starts_with("#access") || status.state != wanted || !status.up_to_date {
        let age = if status.up_to_date { "" } else { ", of an earlier wish" };
        return Some(format!("shall be {wanted}, and it was reported: {}{age}", first_line(&status.text)));
    }
    if let Some(what) = trees::published(cloud, partition) {
        return Some(what);
    }
    match (is_started, running) {
        (true, 1) => promises::wait(cloud, node, partition.partition_id.as_str()),
        (false, 0) => None,
        (true, _) => Some(format!("is reported started, and {running} of its 1 service run")),
        (false, _) => Some(format!("is reported stopped, and {running} of its services run")),
    }
}

/// What a destroyed instance left.
fn left_behind(cloud: &Cloud, node: u32, partition: &str) -> Option<String> {
    let machine = cloud.machine(Place::Node(node));
    let env = machine.user("/", Default::default());
    let service = Path::new(INSTANCE_ROOT).join(partition).join("etc/service");
    let names = env.files().list(&service).unwrap_or_default();
    machine.kill(env.context().identity);
    (!names.is_empty()).then(|| format!("is free, and {} of its last instance are there", names.join(", ")))
}

/// Whether a node has built a release.
fn is_built(cloud: &Cloud, node: u32, url: &SoftwareUrl) -> bool {
    let machine = cloud.machine(Place::Node(node));
    let env = machine.user("/", Default::default());
    let is_built = env.files().exists(&completed(url.as_str()));
    machine.kill(env.context().identity);
    is_built
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
