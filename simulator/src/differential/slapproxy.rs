//! The model and slapproxy of slapos.core, event by event, as far as slapproxy can say what the model says.
//!
//! slapproxy has no requester but the root's title, no reports, no unlisted partitions; of shared instances it has the entries in
//! their hosts' lists and what was published for them. [`Shadow`] is what remains. Who asks slapproxy is a [`Proxy`].

use super::{
    answer::{self, Response},
    difference::{Difference, Part, compare, json},
    names::{self, Name, find_addresses, find_connection, find_parameters, microseconds},
    question,
};
use serde::Serialize;
use serde_json::Value;
use slap_impl::wire::{instance_xml, marshal, objects::SharedInstance};
use slap_model::{
    Event, Reply, State,
    decisions::Decision,
    event::Wanted,
    names::{
        Address, Computer, Connection, DEFAULT_COMPUTER, Kind, Parameters, Partition, Rank, Reference,
        Release, Title,
    },
    reply::Entry,
};
use std::collections::{BTreeMap, BTreeSet};

/// Asks slapproxy.
pub trait Proxy {
    /// Begins with an empty database.
    fn begin(&mut self);
    /// Asks at a time, in seconds since 1970; gives the status, the body, and the tables by name, each with its rows.
    fn ask(&mut self, seconds: f64, is_post: bool, path: &str, body: &str) -> (u16, String, Value);
}

/// What slapproxy keeps of what the model keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Shadow {
    computers: BTreeMap<Computer, ShadowComputer>,
    /// What was published for shared instances, where each is, by reference.
    shared: BTreeMap<String, ShadowShared>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct ShadowComputer {
    supplies: BTreeMap<Release, bool>,
    partitions: BTreeMap<Partition, ShadowSlot>,
    /// In which order they are given away.
    order: Vec<Partition>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct ShadowSlot {
    address: Address,
    rank: Rank,
    tenant: Option<ShadowTenant>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct ShadowTenant {
    title: Title,
    root: Option<Title>,
    release: Release,
    kind: Kind,
    parameters: Parameters,
    connection: Connection,
    state: Wanted,
    shared: BTreeSet<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct ShadowShared {
    host: Option<(Computer, Partition)>,
    connection: Connection,
}

impl Shadow {
    /// What slapproxy would keep of a state.
    pub fn of_state(state: &State) -> Shadow {
        let mut shadow = Shadow::default();
        for (computer, registered) in &state.computers {
            let of_computer = shadow.computers.entry(*computer).or_default();
            of_computer.supplies =
                registered.supplies.iter().map(|(release, supply)| (*release, supply.wanted)).collect();
            of_computer.order = registered.ordered();
            for (partition, slot) in &registered.partitions {
                let place = slap_model::names::Place { computer: *computer, partition: *partition };
                let tenant = state.tenant(place).map(|(number, instance)| ShadowTenant {
                    title: instance.title,
                    root: instance.root.and_then(|root| state.instances.get(&root)).map(|root| root.title),
                    release: instance.release,
                    kind: instance.kind,
                    parameters: instance.parameters,
                    connection: instance.connection,
                    state: instance.state,
                    shared: state.entries(number),
                });
                let slot = ShadowSlot { address: slot.address, rank: slot.rank, tenant };
                of_computer.partitions.insert(*partition, slot);
            }
        }
        for instance in state.instances.values() {
            let Some(shared) = instance.shared else { continue };
            let host = shared.host.and_then(|host| state.instances.get(&host)).and_then(|host| host.place);
            let host = host.map(|place| (place.computer, place.partition));
            let connection = instance.connection;
            shadow.shared.insert(names::reference_text(shared.reference), ShadowShared { host, connection });
        }
        shadow.tidied()
    }

    /// What slapproxy keeps.
    fn of_tables(tables: &Value) -> Result<Shadow, String> {
        let mut shadow = Shadow::default();
        for row in rows(tables, "computer") {
            shadow.computers.entry(Name::find(text(row, "reference"))?).or_default();
        }
        for row in rows(tables, "software") {
            let computer = shadow.computers.entry(Name::find(text(row, "computer_reference"))?).or_default();
            computer
                .supplies
                .insert(Name::find(text(row, "url"))?, text(row, "requested_state") == "available");
        }
        for row in rows(tables, "partition") {
            let computer: Computer = Name::find(text(row, "computer_reference"))?;
            let partition: Partition = Name::find(text(row, "reference"))?;
            let slot = slot(row, partition, &addresses(tables, row))?;
            let of_computer = shadow.computers.entry(computer).or_default();
            of_computer.partitions.insert(partition, slot);
            of_computer.order.push(partition);
        }
        for row in rows(tables, "slave") {
            let place = names::place(text(row, "computer_reference"), text(row, "hosted_by"))?;
            let shared = ShadowShared {
                host: place.map(|place| (place.computer, place.partition)),
                connection: find_connection(&document(text(row, "connection_xml"))?)?,
            };
            let reference: Reference = names::reference(text(row, "reference"))?;
            if shadow.shared.insert(names::reference_text(reference), shared).is_some() {
                return Err(format!("two shared instances {:?}", text(row, "reference")));
            }
        }
        Ok(shadow.tidied())
    }

    /// The default computer is known without being registered.
    fn tidied(mut self) -> Shadow {
        if self.computers.get(&DEFAULT_COMPUTER) == Some(&ShadowComputer::default()) {
            self.computers.remove(&DEFAULT_COMPUTER);
        }
        self
    }
}

fn rows<'a>(tables: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    tables[name].as_array().into_iter().flatten()
}

fn text<'a>(row: &'a Value, column: &str) -> &'a str {
    row[column].as_str().unwrap_or_default()
}

fn document(text: &str) -> Result<instance_xml::Parameters, String> {
    instance_xml::decode(text).map_err(|error| error.to_string())
}

fn addresses(tables: &Value, partition: &Value) -> Vec<(String, String)> {
    rows(tables, "partition_network")
        .filter(|row| {
            row["partition_reference"] == partition["reference"]
                && row["computer_reference"] == partition["computer_reference"]
        })
        .map(|row| (text(row, "address").to_owned(), text(row, "netmask").to_owned()))
        .collect()
}

fn slot(row: &Value, partition: Partition, addresses: &[(String, String)]) -> Result<ShadowSlot, String> {
    let rank = match row["timestamp"].as_f64() {
        Some(seconds) => names::rank((seconds * 1e6).round() as i64)?,
        None => 0,
    };
    let tenant = match text(row, "slap_state") {
        "free" => None,
        _ => Some(tenant(row)?),
    };
    Ok(ShadowSlot { address: find_addresses(partition, addresses)?, rank, tenant })
}

fn tenant(row: &Value) -> Result<ShadowTenant, String> {
    let root = text(row, "requested_by");
    let state = text(row, "requested_state").parse().map_err(|error| format!("{error}"))?;
    Ok(ShadowTenant {
        title: Name::find(text(row, "partition_reference"))?,
        root: if root.is_empty() { None } else { Some(Name::find(root)?) },
        release: Name::find(text(row, "software_release"))?,
        kind: Name::find(text(row, "software_type"))?,
        parameters: find_parameters(&document(text(row, "xml"))?)?,
        connection: find_connection(&document(text(row, "connection_xml"))?)?,
        state: answer::wanted(state),
        shared: entries(text(row, "slave_instance_list"))?,
    })
}

fn entries(document: &str) -> Result<BTreeSet<Entry>, String> {
    if document.is_empty() {
        return Ok(BTreeSet::new());
    }
    let list = marshal::decode(document.as_bytes()).map_err(|error| error.to_string())?;
    let items = list.as_items().unwrap_or_default().iter();
    items
        .map(|item| answer::entry(&SharedInstance::from_value(item).map_err(|error| error.to_string())?))
        .collect()
}

/// How slapproxy says that a root is not freed yet; the titles of its children follow (slapos/proxy/db.py, `freePartitionFromDB`).
const NOT_YET: &str = "Not destroying yet because this partition has child partitions: ";

/// What slapproxy's answer says, of what the model's says.
fn said(event: &Event, response: &Response) -> Result<Value, String> {
    if response.status != 200 {
        return Ok(json(&response.status));
    }
    Ok(match event {
        Event::Request(request) => {
            let mut given = answer::given(&response.body, Some(Wanted::Started))?;
            if request.shared {
                given.state = Wanted::Started;
            }
            json(&given)
        }
        Event::Look(_) => json(&answer::view(&response.body, false)?),
        Event::Report(_) => match String::from_utf8_lossy(&response.body).strip_prefix(NOT_YET) {
            Some(names) => {
                let titles: Result<BTreeSet<Title>, String> = names.split(", ").map(Name::find).collect();
                json(&titles?)
            }
            None => json(&200),
        },
        _ => json(&200),
    })
}

/// What slapproxy can say of a reply.
fn sayable(event: &Event, reply: &Reply) -> Value {
    match reply {
        Reply::Given(given) => {
            let mut given = slap_model::reply::Given { address: None, ..given.clone() };
            if matches!(event, Event::Request(request) if request.shared) {
                given.state = Wanted::Started;
            }
            json(&given)
        }
        Reply::GivenElsewhere(given) => json(given),
        Reply::StandIn(parameters) => json(parameters),
        Reply::View(view) => json(view),
        Reply::NotYet(titles) => json(titles),
        Reply::Refused(refusal) => json(&refusal.status()),
        Reply::Done | Reply::Kept(_) | Reply::Ignored(_) | Reply::Local => json(&200),
    }
}

/// What a list of events showed.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// How many events were compared, and found equal.
    pub equal: usize,
    /// The decisions that the last event used, at which a list ends.
    pub decisions: BTreeSet<Decision>,
    /// In what both differ after the last event: with decisions it is expected, without it is not.
    pub difference: Option<Difference>,
    /// The event at which it ended, from 0.
    pub at: usize,
}

/// Runs a list until an event uses a decision, or both differ.
pub fn run(proxy: &mut dyn Proxy, start: State, events: &[Event]) -> Shown {
    proxy.begin();
    let mut state = start;
    let mut shown = Shown::default();
    for (at, event) in events.iter().enumerate() {
        shown.at = at;
        let Some(question) = question::of(&state, event) else {
            state.step(event);
            continue;
        };
        let seconds = microseconds(state.now + 1) as f64 / 1e6;
        let path = if question.is_post {
            format!("/{}", question.endpoint)
        } else {
            format!("/{}?{}", question.endpoint, question.encoded())
        };
        let body = if question.is_post { question.encoded() } else { String::new() };
        let (status, body, tables) = proxy.ask(seconds, question.is_post, &path, &body);
        let step = state.step_explained(event);
        let mut parts = Vec::new();
        let response = Response { status, body: body.into_bytes() };
        both("reply", &sayable(event, &step.reply), said(event, &response), &mut parts);
        let kept = Shadow::of_tables(&tables).map(|shadow| json(&shadow));
        both("kept", &json(&Shadow::of_state(&state)), kept, &mut parts);
        if !parts.is_empty() {
            shown.difference = Some(Difference::new(at, event, parts));
        }
        shown.decisions = step.decisions;
        if shown.difference.is_some() || !shown.decisions.is_empty() {
            return shown;
        }
        shown.equal += 1;
    }
    shown
}

fn both(place: &str, model: &Value, proxy: Result<Value, String>, parts: &mut Vec<Part>) {
    match proxy {
        Ok(value) => compare(place, model, &value, parts),
        Err(error) => parts.push(Part {
            place: place.to_owned(),
            model: "has something else".to_owned(),
            other: format!("unreadable: {error}"),
        }),
    }
}
