//! What users are told by what they look at and type, as far as it can be held against what was so.

use super::{cloud::Cloud, script::Program};
use serde_json::Value as Json;
use slap_impl::{
    env::Identity,
    wire::{
        instance_xml::{self, Parameters},
        status::AccessStatus,
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// What was told.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Told {
    /// What the documentation says, to the letter.
    AsDocumented,
    /// That there is no such thing.
    Nothing,
    /// That there is such a thing.
    Something,
    /// All computers.
    Computers(BTreeSet<String>),
    /// What a computer has: what was last reported of each partition that is in use, and all releases.
    Computer { partitions: BTreeMap<String, Report>, releases: BTreeSet<String> },
    /// What was last reported of one partition.
    Report(Report),
    /// What was last heard of a computer; none when nothing was.
    Heard(Option<String>),
    /// The instance in a partition, as JSON-RPC tells it.
    Tenant(Box<Json>),
    /// The release of an instance that was searched for.
    Found(String),
    /// Interfaces and addresses.
    Addresses(Vec<(String, String)>),
    /// Which run of the master it is, and which process answered, where that is known.
    RunId { id: String, life: Option<Identity> },
    /// What was committed.
    Events(Box<Page>),
    /// Whether what was waited for was so, or could not become so.
    Waited { is_so: bool },
    /// An instance that was asked for at a terminal: what it publishes, as a document.
    Published(String),
}

/// A report: its word, and whether it is about the present wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) text: String,
    pub(super) is_nothing: bool,
    pub(super) is_new: bool,
}

/// A part of the journal.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Page {
    /// After which entry it was asked for.
    pub(super) since: i64,
    /// Which database it is from, and the oldest and the newest entry there; a terminal does not show them.
    pub(super) ends: Option<(String, i64, i64)>,
    /// The entries.
    pub(super) events: Vec<Json>,
    /// Whether there may be more, because somebody stopped reading.
    pub(super) is_cut: bool,
}

impl Page {
    /// The last entry that was read.
    pub(super) fn last(&self) -> Option<i64> {
        self.events.last().and_then(|event| event["sequence"].as_i64())
    }
}

impl Report {
    /// What a status says.
    pub(super) fn of(status: &AccessStatus) -> Report {
        Report { text: status.text.clone(), is_nothing: status.no_data, is_new: status.up_to_date }
    }
}

/// Parameters that are told as members of an object, as a document.
pub(super) fn document(members: &Json) -> String {
    let members = members.as_object().into_iter().flatten();
    let parameters: Parameters =
        members.map(|(key, value)| (key.clone(), value.as_str().map(str::to_owned))).collect();
    instance_xml::encode(&parameters)
}

/// The process that the master is now.
pub(super) fn life(cloud: &Cloud) -> Option<Identity> {
    cloud.process(Program::Master).map(|(_, identity)| identity)
}

impl fmt::Display for Told {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Told::AsDocumented => formatter.write_str("as documented"),
            Told::Nothing => formatter.write_str("is not there"),
            Told::Something => formatter.write_str("is there"),
            Told::Computers(computers) => write!(formatter, "{} computers", computers.len()),
            Told::Computer { partitions, releases } => {
                write!(formatter, "{} busy partitions, {} releases", partitions.len(), releases.len())
            }
            Told::Report(report) => write!(formatter, "{}", report.text.lines().next().unwrap_or_default()),
            Told::Heard(text) => write!(formatter, "{}", text.as_deref().unwrap_or("was not heard of")),
            Told::Tenant(tenant) => write!(formatter, "has {}", tenant["title"]),
            Told::Found(release) => write!(formatter, "is of {release}"),
            Told::Addresses(addresses) => write!(formatter, "{} addresses", addresses.len()),
            Told::RunId { id, .. } => write!(formatter, "is run {id}"),
            Told::Events(page) => write!(formatter, "{} events after {}", page.events.len(), page.since),
            Told::Waited { is_so } => write!(formatter, "{}", if *is_so { "came true" } else { "cannot be" }),
            Told::Published(_) => formatter.write_str("requested"),
        }
    }
}
