//! JSON-RPC's documents: what its reading methods must tell after a change, from the model's state. Where XML tells the same, it
//! is held against the same.

use super::{
    asked,
    books::Books,
    difference::json,
    names::{self, Name, interface, microseconds, parameters},
    question::Question,
    rpc,
};
use serde_json::{Value as Json, json};
use slap_impl::wire::{json_rpc, status::AccessStatus};
use slap_model::{
    State,
    event::Wanted,
    names::{Computer, DEFAULT_COMPUTER, Number, Place},
    state::{Instance, Registered},
};

/// A method that reads, and what it must answer.
pub(super) struct Document {
    /// The method, without `slapos.`.
    pub(super) method: &'static str,
    /// What it is called with.
    pub(super) arguments: Json,
    /// Its answer, as [`read`] reads it.
    pub(super) expected: Json,
}

/// The methods that must have been asked: all that read. A URL that only repeats how the master was reached tells of no state.
pub(super) fn methods() -> impl Iterator<Item = &'static str> {
    let names = json_rpc::methods().filter_map(|name| name.strip_prefix("slapos."));
    names.filter(|name| {
        (name.starts_with("get.") || name.starts_with("allDocs.")) && *name != "get.v0.hateoas_url"
    })
}

/// What documents are asked about.
#[derive(Clone, Copy)]
pub(super) enum Subject {
    /// The lists of all computers and of all trees.
    All,
    /// A computer: its status, its instances and its releases.
    Computer(Computer),
    /// An instance: itself, as a tree, and what it hosts.
    Instance(Number),
}

/// What stands in the place of an answer when it is refused: JSON-RPC says 403 where XML says 404.
const REFUSED: u16 = 403;

/// All that documents can be asked about.
pub(super) fn subjects(state: &State) -> Vec<Subject> {
    let computers = state.computers.iter().filter(is_told).map(|(name, _)| Subject::Computer(*name));
    let instances = state.instances.keys().map(|number| Subject::Instance(*number));
    std::iter::once(Subject::All).chain(computers).chain(instances).collect()
}

/// The default computer is known without being registered, so nobody can tell whether it is.
fn is_told((name, registered): &(&Computer, &Registered)) -> bool {
    **name != DEFAULT_COMPUTER || **registered != Registered::default()
}

/// What is asked about it.
pub(super) fn of(state: &State, books: &Books, subject: Subject) -> Vec<Document> {
    let list = |list: Vec<Json>| json!({ "result_list": list });
    let document = |method, arguments, expected| Document { method, arguments, expected };
    match subject {
        Subject::All => {
            let roots = books.in_order().filter_map(|number| state.instances.get(&number));
            let (shared, own): (Vec<&Instance>, _) =
                roots.filter(|it| it.root.is_none()).partition(|it| it.shared.is_some());
            let trees = own.iter().chain(&shared).map(|it| json!({ "title": it.title.text() }));
            let mut documents =
                vec![document("allDocs.v0.instance_tree_list", json!({}), list(trees.collect()))];
            if state.computers.get_key_value(&DEFAULT_COMPUTER).is_some_and(|it| is_told(&it)) {
                let mut names: Vec<&Computer> = state.computers.keys().collect();
                names.sort_by_key(|name| names::place_in_order(**name));
                let names = names.iter().map(|name| json!({ "computer_guid": name.text() }));
                documents.push(document("allDocs.WIP.compute_node_list", json!({}), list(names.collect())));
            }
            documents
        }
        Subject::Computer(computer) => {
            let guid = json!({ "computer_guid": computer.text() });
            let releases = books.releases_of(computer).iter().filter_map(|release| {
                let supply = state.computers.get(&computer)?.supplies.get(release)?;
                let state = if supply.wanted { "available" } else { "destroyed" };
                Some(json!({ "software_release_uri": release.text(), "state": state }))
            });
            vec![
                document("get.v0.compute_node_status", guid.clone(), asked::computer(books, computer)),
                document(
                    "allDocs.v0.compute_node_instance_list",
                    guid.clone(),
                    list(instances_of(state, computer)),
                ),
                document(
                    "allDocs.v0.compute_node_software_installation_list",
                    guid,
                    list(releases.collect()),
                ),
            ]
        }
        Subject::Instance(number) => {
            let instance = &state.instances[&number];
            let shown = shown(state, books, number);
            let guid = json!({ "instance_guid": rpc::guid(state, instance) });
            let certificate = json!({ "certificate": "", "key": "" });
            let mut documents = vec![
                document("get.v0.software_instance", guid.clone(), shown.clone()),
                document("get.v0.software_instance_certificate", guid.clone(), certificate),
            ];
            if instance.root.is_none() {
                let title = json!({ "title": instance.title.text() });
                documents.push(document("get.v0.instance_tree", title, shown));
            }
            let hosted = match instance.place {
                Some(place) => list(hosted(state, books, number, place)),
                None => refused(),
            };
            documents.push(document("allDocs.v0.instance_node_instance_list", guid, hosted));
            documents
        }
    }
}

/// What is asked of a partition.
pub(super) fn of_partition(state: &State, books: &Books, place: Place) -> Document {
    let tenant = state.tenant(place).map(|(number, _)| number);
    Document {
        method: "get.v0.compute_partition",
        arguments: json!({
            "computer_guid": place.computer.text(),
            "compute_partition_id": place.partition.text(),
        }),
        expected: tenant.map_or_else(refused, |number| shown(state, books, number)),
    }
}

/// How XML asks for a computer's status.
pub(super) fn status_question(computer: Computer) -> Question {
    let fields = vec![("computer_id", computer.text())];
    Question { is_post: false, endpoint: "getComputerStatus", fields }
}

/// Reads an answer.
pub(super) fn read(method: &str, status: u16, body: &[u8]) -> Json {
    let document: Json = match serde_json::from_slice(body) {
        Ok(document) => document,
        Err(error) => return format!("{status}: {error}").into(),
    };
    match status {
        200 if method == "get.v0.compute_node_status" => {
            asked::shown_status(&AccessStatus::from_json(&document))
        }
        200 => document,
        REFUSED => refused(),
        _ => format!("{status}: {document}").into(),
    }
}

fn refused() -> Json {
    json!({ "refused": REFUSED })
}

fn word(state: Wanted) -> &'static str {
    match state {
        Wanted::Started => "started",
        Wanted::Stopped => "stopped",
        Wanted::Destroyed => "destroyed",
    }
}

fn instances_of(state: &State, computer: Computer) -> Vec<Json> {
    let partitions = state.computers[&computer].ordered().into_iter();
    let shown = |partition| {
        let (_, instance) = state.tenant(Place { computer, partition })?;
        Some(json!({
            "title": instance.title.text(),
            "instance_guid": rpc::guid(state, instance),
            "state": word(instance.state),
            "compute_partition_id": partition.text(),
            "software_release_uri": instance.release.text(),
        }))
    };
    partitions.filter_map(shown).collect()
}

/// The shared instances that a host has, listed or not.
fn hosted(state: &State, books: &Books, host: Number, place: Place) -> Vec<Json> {
    let is_hosted = |it: &&Instance| it.shared.is_some_and(|shared| shared.host == Some(host));
    let shared = books.in_order().filter_map(|number| state.instances.get(&number)).filter(is_hosted);
    let shown = |it: &Instance| {
        json!({
            "title": it.title.text(),
            "instance_guid": rpc::guid(state, it),
            "software_type": it.kind.text(),
            "state": word(it.state),
            "parameters": parameters(it.parameters),
            "compute_partition_id": place.partition.text(),
        })
    };
    shared.map(shown).collect()
}

/// The document of an instance; of a shared one, with its host's place, release and type.
fn shown(state: &State, books: &Books, number: Number) -> Json {
    let instance = &state.instances[&number];
    let seat = match instance.shared {
        Some(shared) => shared.host.and_then(|host| state.instances.get(&host)),
        None => Some(instance),
    };
    let place = seat.and_then(|seat| seat.place);
    let slot = place.and_then(|place| state.slot(place));
    let own = place.zip(slot).filter(|_| instance.shared.is_none());
    let addresses = own.map(|(place, slot)| {
        let told = names::addresses(place.partition, slot.address).into_iter();
        told.map(|(address, _)| (interface(place.partition), address)).collect::<Vec<_>>()
    });
    let kept = match (instance.shared, place) {
        (Some(shared), _) => books.on_shared(shared.reference),
        (None, place) => place.and_then(|place| books.on_partition(place)),
    };
    let root = state.instances.get(&state.root_of(number)).unwrap_or(instance);
    let served_by = seat.unwrap_or(instance);
    json!({
        "title": instance.title.text(),
        "instance_guid": rpc::guid(state, instance),
        "software_release_uri": served_by.release.text(),
        "software_type": served_by.kind.text(),
        "state": word(instance.state),
        "connection_parameters": names::connection(instance.connection),
        "parameters": parameters(instance.parameters),
        "shared": instance.shared.is_some(),
        "root_instance_title": root.title.text(),
        "ip_list": json(&addresses.unwrap_or_default()),
        "full_ip_list": [],
        "sla_parameters": {},
        "computer_guid": place.map(|place| place.computer.text()).unwrap_or_default(),
        "compute_partition_id": place.map(|place| place.partition.text()).unwrap_or_default(),
        "processing_timestamp": slot.map_or(0, |slot| microseconds(slot.rank) / 1_000_000),
        "access_status_message": kept.map(|kept| kept.text.as_str()).unwrap_or_default(),
    })
}
