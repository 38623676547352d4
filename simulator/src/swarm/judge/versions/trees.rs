//! Versions of what there is only with trees and shared instances: children, lists of hosts, and where there is room.

use super::{Clocks, Line, Names, Standing, document, push, push_line, sorted, standing, wanted};
use crate::swarm::users::guid as root_guid;
use serde_json::Value as Json;
use slap_impl::wire::{instance_xml::Parameters, objects::SharedInstance};
use slap_model::{
    State,
    event::Wanted,
    names::{Computer, Number, Place},
    state::Instance,
};
use std::collections::{BTreeMap, BTreeSet};

/// Those versions.
#[derive(Default)]
pub(in crate::swarm::judge) struct Trees {
    /// Whether they are kept.
    pub(in crate::swarm::judge) are_kept: bool,
    /// What instances requested, by guid.
    pub(in crate::swarm::judge) children: BTreeMap<String, Line<Standing>>,
    /// The shared instances that a root hosts, by its title.
    pub(in crate::swarm::judge) hosted: BTreeMap<String, Line<String>>,
    /// Where there is room.
    pub(in crate::swarm::judge) room: Line<Room>,
}

/// Where there is room, for what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::swarm::judge) struct Room {
    /// Computers that are known.
    pub(in crate::swarm::judge) computers: BTreeSet<String>,
    /// Computers with a free partition.
    pub(in crate::swarm::judge) free: BTreeSet<String>,
    /// Releases and types of instances that can host others, with their computers.
    pub(in crate::swarm::judge) hosts: BTreeSet<(String, String, String)>,
    /// The names of all shared instances, with their titles.
    pub(in crate::swarm::judge) references: BTreeSet<(String, String)>,
}

impl Trees {
    /// Notes what is so after an entry.
    pub(super) fn note(&mut self, at: i64, (state, names, clocks): (&State, &Names, &Clocks)) {
        if !self.are_kept {
            return;
        }
        let (mut children, mut hosts) = (BTreeSet::new(), BTreeSet::new());
        for (number, instance) in &state.instances {
            if instance.root.is_some() {
                let guid = guid(*number, state, names);
                let now = standing(*number, (state, names, clocks));
                push(&mut self.children, guid.clone(), at, Some(now));
                children.insert(guid);
            } else if instance.shared.is_none() {
                let title = names.title_text(instance.title).to_owned();
                push(&mut self.hosted, title.clone(), at, Some(hosted(*number, state, names)));
                hosts.insert(title);
            }
        }
        let gone: Vec<String> = self.children.keys().filter(|it| !children.contains(*it)).cloned().collect();
        gone.into_iter().for_each(|guid| push(&mut self.children, guid, at, None));
        let gone: Vec<String> = self.hosted.keys().filter(|it| !hosts.contains(*it)).cloned().collect();
        gone.into_iter().for_each(|title| push(&mut self.hosted, title, at, None));
        push_line(&mut self.room, at, Some(room(state, names)));
    }
}

/// The guid of an instance.
pub(super) fn guid(number: Number, state: &State, names: &Names) -> String {
    let instance = &state.instances[&number];
    let root = instance.root.and_then(|root| state.instances.get(&root));
    let root = root.map_or("", |root| names.title_text(root.title));
    format!("{}___{root}___{}", names.title_text(instance.title), u8::from(instance.shared.is_some()))
}

/// The guid of an instance that is not shared, by its title and that of its root, which are the same only for a root.
pub(super) fn guid_of(title: &str, root: &str) -> String {
    if title == root { root_guid(title) } else { format!("{title}___{root}___0") }
}

/// An entry of a host's list.
pub(super) fn entry(reference: &str, kind: &str, parameters: &str) -> String {
    format!("{reference} {kind} {parameters}")
}

/// The same of what was told. It is its title there, too.
pub(super) fn entry_told(told: &SharedInstance) -> String {
    let values = told.parameters.iter().map(|(key, value)| (key.clone(), value.as_text().map(str::to_owned)));
    let parameters: Parameters = values.collect();
    let title = if told.title == told.reference { "" } else { &told.title };
    let kind = told.software_type.as_deref().unwrap_or_default();
    entry(&format!("{}{title}", told.reference), kind, &document(&parameters))
}

/// A host's list, as a part of a line.
pub(super) fn entries(entries: impl Iterator<Item = String>) -> String {
    let mut all: Vec<String> = entries.map(|entry| format!(", hosts {entry}")).collect();
    all.sort_unstable();
    all.concat()
}

/// The shared instances that an instance hosts, as lines.
fn hosted(host: Number, state: &State, names: &Names) -> String {
    let place = state.instances[&host].place.map(|place| names.place_parts(place).1.to_owned());
    let is_here = |instance: &Instance| instance.shared.is_some_and(|shared| shared.host == Some(host));
    let all = state.instances.iter().filter(|(_, instance)| is_here(instance));
    sorted(all.map(|(number, instance)| {
        format!(
            "{} {} {} {} in {}",
            guid(*number, state, names),
            names.kind_text(instance.kind),
            wanted(instance.state),
            names.document_text(instance.parameters.0),
            place.as_deref().unwrap_or_default(),
        )
    }))
}

/// The same of what a user read by JSON-RPC.
pub(in crate::swarm::judge) fn hosted_told(rows: &[Json]) -> String {
    sorted(rows.iter().map(|row| {
        let text = |key: &str| row[key].as_str().unwrap_or_default();
        let guid = text("instance_guid");
        if !guid.starts_with(&format!("{}___", text("title"))) {
            return format!("{row}");
        }
        let members = row["parameters"].as_object().into_iter().flatten();
        let parameters = members.map(|(key, value)| (key.clone(), value.as_str().map(str::to_owned)));
        format!(
            "{guid} {} {} {} in {}",
            text("software_type"),
            text("state"),
            document(&parameters.collect()),
            text("compute_partition_id")
        )
    }))
}

fn room(state: &State, names: &Names) -> Room {
    let mut room = Room::default();
    for (computer, registered) in &state.computers {
        let name = names.computer_text(*computer);
        room.computers.insert(name.to_owned());
        let place = |partition| Place { computer: *computer, partition };
        let is_free = |partition| state.tenant(place(partition)).is_none();
        if registered.partitions.iter().any(|(partition, slot)| slot.listed && is_free(*partition)) {
            room.free.insert(name.to_owned());
        }
    }
    let text = |computer: Computer| names.computer_text(computer).to_owned();
    for instance in state.instances.values() {
        match (instance.place, instance.shared) {
            (Some(place), _) if instance.state != Wanted::Destroyed => {
                let (release, kind) = (names.release_text(instance.release), names.kind_text(instance.kind));
                room.hosts.insert((text(place.computer), release.into_owned(), kind.to_owned()));
            }
            (_, Some(shared)) => {
                // What another instance requested has no title among roots.
                let title = instance.root.map_or(names.title_text(instance.title), |_| "").to_owned();
                room.references.insert((names.reference_text(shared.reference), title));
            }
            _ => {}
        }
    }
    room
}
