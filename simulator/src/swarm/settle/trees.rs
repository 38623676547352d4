//! Trees and shared instances in a cloud in which nothing goes wrong: who may wait for room, and what must have come through.
//!
//! An instance of release A fails until it has its child, and a child needs a partition: where none is free it waits, as with slapos.
//! What a child published stands with its parent in the end, and what a host published for a shared instance with that one.

use super::{Waits, first_line};
use crate::swarm::{
    cloud::Cloud,
    knobs::FaultKind,
    release::trees::{CHILD, requested},
    script::Release,
    users::computer,
};
use slap_impl::{
    client::{Poll, SlapClient},
    vocabulary::{PartitionId, RequestedState},
    wire::{
        instance_xml::{self, Parameters},
        objects::{ComputerPartition, Instance},
        status::AccessStatus,
    },
};
use std::collections::BTreeSet;

/// What the master says to who asks for an instance where no partition is free.
const NO_ROOM: &str = "no free partition";

/// What there is in the whole cloud.
#[derive(Default)]
pub(in crate::swarm) struct Overview {
    /// Whether a partition is free.
    has_room: bool,
    /// The titles of roots that have their child.
    parents: BTreeSet<String>,
    /// Who waits for room.
    waiting: BTreeSet<(u32, PartitionId)>,
}

/// Looks at all those nodes of a master, if there are trees in the cloud.
pub(in crate::swarm) async fn overview(
    cloud: &Cloud,
    client: &SlapClient,
    nodes: impl Iterator<Item = u32>,
) -> Overview {
    let mut overview = Overview::default();
    if cloud.knobs.trees.is_none() {
        return overview;
    }
    let mut parents = Vec::new();
    for node in nodes {
        let read = client.full_computer_information(&computer(node), None, None).await;
        let Ok(Poll::Changed { computer, .. }) = read else { continue };
        for partition in computer.partitions {
            match &partition.instance {
                None => overview.has_room = true,
                Some(instance) if instance.software_type == CHILD => {
                    overview.parents.insert(instance.root_title.clone());
                }
                Some(instance) if is_parent(cloud, instance) => {
                    parents.push((node, instance.root_title.clone(), partition.clone()));
                }
                Some(_) => {}
            }
        }
    }
    for (node, title, partition) in parents {
        if !overview.has_room && !overview.parents.contains(&title) {
            overview.waiting.insert((node, partition.partition_id));
        }
    }
    overview
}

impl Overview {
    /// Whether an instance cannot have what it requests, because no partition is free.
    pub(in crate::swarm) fn waits_for_room(&self, node: u32, partition: &PartitionId) -> bool {
        self.waiting.contains(&(node, partition.clone()))
    }

    /// Whether there is one such on a node.
    pub(in crate::swarm) fn has_waiting(&self, node: u32) -> bool {
        self.waiting.iter().any(|(of, _)| *of == node)
    }
}

fn is_parent(cloud: &Cloud, instance: &Instance) -> bool {
    instance.software_release.url.as_str() == cloud.release_url(Release::A) && instance.software_type != CHILD
}

/// What one that waits for room still waits for beside that: it must say so. What it had runs on.
pub(super) fn waiting(status: &AccessStatus, running: usize) -> Option<String> {
    if !status.text.starts_with("#error") || !status.log.contains(NO_ROOM) {
        let told = first_line(&status.text);
        return Some(format!("has no child and no room for one, and it was reported: {told}"));
    }
    (running > 1).then(|| format!("waits for room, and {running} of its 1 service run"))
}

/// Whether what is published can be judged: what the network repeats late, or a machine with a node's identity says, counts as new.
fn is_judged(cloud: &Cloud) -> bool {
    cloud.knobs.trees.is_some()
        && !cloud.knobs.faults.contains(&FaultKind::Duplicate)
        && cloud.twins().is_empty()
}

fn note(parameters: &Parameters, name: &str) -> String {
    parameters.get(name).cloned().flatten().unwrap_or_default()
}

/// What an instance that is reported well has not published yet, or has published of something else.
pub(super) fn published(cloud: &Cloud, partition: &ComputerPartition) -> Option<String> {
    let instance = partition.instance.as_ref().filter(|_| is_judged(cloud))?;
    let wanted = note(&instance.parameters, "note");
    let check = |name: &str, may_lack: bool| {
        let found = note(&instance.connection, name);
        let is_well = found == wanted || (may_lack && found.is_empty());
        (!is_well).then(|| format!("shall publish {wanted:?} as {name}, and it is {found:?}"))
    };
    // An optional request may be refused: for one thing its name may be taken.
    let has_child = instance.software_type != CHILD;
    let of_child = || match is_parent(cloud, instance) {
        _ if !has_child => None,
        // In a stopped tree it is stopped, too, and in no host's list.
        false if partition.requested_state != RequestedState::Started => None,
        true => check(requested(Release::A), false),
        false => check(requested(Release::B), true),
    };
    check("note", false).or_else(of_child)
}

/// Shared instances whose host has not published for them what they are.
pub(super) async fn shared_waits(
    cloud: &Cloud,
    client: &SlapClient,
    overview: &Overview,
    waits: &mut Vec<Waits>,
) {
    // Who waits for room publishes nothing for whom it hosts.
    if !is_judged(cloud) || !overview.waiting.is_empty() {
        return;
    }
    let rows = match client.services().await {
        Ok(rows) => rows,
        Err(error) => return waits.push(Waits { object: "master".to_owned(), what: error.to_string() }),
    };
    for row in rows {
        let service = match client.service_information(&row.title).await {
            Ok(service) => service,
            Err(error) => {
                waits.push(Waits { object: row.title, what: error.to_string() });
                continue;
            }
        };
        let read = |text: &Option<String>| {
            instance_xml::decode(text.as_deref().unwrap_or_default()).unwrap_or_default()
        };
        let has_host = !service.news.iter().flatten().any(is_without_host);
        let is_served =
            service.shared && has_host && service.requested_state == RequestedState::Started.as_str();
        let (wanted, found) = (read(&service.parameters_xml), read(&service.connection_xml));
        let (wanted, found) = (note(&wanted, "note"), note(&found, "note"));
        if is_served && wanted != found {
            let what =
                format!("is a shared instance with the note {wanted:?}, and its host published {found:?}");
            waits.push(Waits { object: service.reference, what });
        }
    }
}

fn is_without_host(news: &serde_json::Value) -> bool {
    news["text"].as_str().is_some_and(|text| text.starts_with("#error its host was destroyed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_for_room_says_so() {
        let check = |text: &str, log: &str, running: usize, is_well: bool| {
            let unknown = AccessStatus::unknown("COMP-1-slappart0", "Software Instance");
            let status = AccessStatus { text: text.to_owned(), log: log.to_owned(), ..unknown };
            assert_eq!(waiting(&status, running).is_none(), is_well, "{text} {log} {running}");
        };
        let log = "Error: the request for \"child\" failed: not found: no free partition for \"child\"; computers looked at: COMP-1";
        check("#error while instanciating: x", log, 0, true);
        check("#error while instanciating: x", log, 1, true);
        check("#error while instanciating: x", log, 2, false);
        check("#error while instanciating: x", "Error: Connection parameter note not found", 0, false);
        check("#access Instance correctly started", log, 1, false);
        check("#error no data found for COMP-1-slappart0", "", 0, false);
    }
}
