//! The texts of a run as names of the model, and what the master keeps as lines, from either side.

use super::clocks::Clocks;
use crate::{
    differential::rows::{InstanceRow, Rows, StatusRow},
    swarm::local::ROOTS,
};
use slap_impl::{vocabulary::ComputerId, wire::instance_xml};
use slap_model::{
    State,
    event::{ReleaseReport, Wanted, Word},
    names::{
        Address, Computer, Connection, Kind, Number, Parameters, Partition, Place, Reference, Release, Root,
        Title,
    },
    state::Instance,
};
use std::{borrow::Cow, collections::BTreeMap};

/// The first releases of the model mean something that no release of a run does: local ones, another master's, a frontend.
const RELEASE_MIN: u16 = 12;

/// What a master keeps: objects, and what is said of them.
pub(super) type Lines = BTreeMap<String, String>;

/// Texts, each with its number.
#[derive(Default)]
struct Table {
    texts: Vec<String>,
    numbers: BTreeMap<String, usize>,
}

impl Table {
    fn of(texts: impl IntoIterator<Item = String>) -> Table {
        let texts: Vec<String> = texts.into_iter().collect();
        let numbers = texts.iter().enumerate().map(|(number, text)| (text.clone(), number)).collect();
        Table { texts, numbers }
    }

    fn number(&mut self, text: &str, first: u16) -> Result<u16, String> {
        let index = match self.numbers.get(text) {
            Some(index) => *index,
            None => {
                self.numbers.insert(text.to_owned(), self.texts.len());
                self.texts.push(text.to_owned());
                self.texts.len() - 1
            }
        };
        let number = u16::try_from(index).ok().and_then(|index| index.checked_add(first));
        number.ok_or_else(|| format!("{text:?} is one text too many: the model has names for 65,536"))
    }

    fn text(&self, number: u16, first: u16) -> &str {
        self.texts.get(usize::from(number.wrapping_sub(first))).map_or("?", String::as_str)
    }
}

/// All names of a run.
pub(super) struct Names {
    computers: Table,
    partitions: Table,
    titles: Table,
    releases: Table,
    /// Releases that are paths, without the directory in which they stand.
    locals: Table,
    kinds: Table,
    documents: Table,
    addresses: Table,
}

impl Names {
    /// The computers are known before the run, because their order is that of their names. The first name stands for a default
    /// computer, which no run has.
    pub(super) fn new(computers: impl IntoIterator<Item = ComputerId>) -> Names {
        let own = computers.into_iter().map(|computer| computer.to_string());
        Names {
            computers: Table::of(std::iter::once(String::new()).chain(own)),
            partitions: Table::default(),
            titles: Table::default(),
            releases: Table::default(),
            locals: Table::default(),
            // The default type and empty documents have the number 0.
            kinds: Table::of(["default".to_owned()]),
            documents: Table::of([instance_xml::encode(&BTreeMap::new())]),
            addresses: Table::default(),
        }
    }

    pub(super) fn computer(&mut self, text: &str) -> Result<Computer, String> {
        let number = self.computers.numbers.get(text).and_then(|index| u16::try_from(*index).ok());
        number.map(Computer).ok_or_else(|| format!("{text:?} is no computer of this run"))
    }

    pub(super) fn place(&mut self, computer: &str, partition: &str) -> Result<Place, String> {
        Ok(Place { computer: self.computer(computer)?, partition: self.partition(partition)? })
    }

    pub(super) fn partition(&mut self, text: &str) -> Result<Partition, String> {
        self.partitions.number(text, 0).map(Partition)
    }

    pub(super) fn title(&mut self, text: &str) -> Result<Title, String> {
        self.titles.number(text, 0).map(Title)
    }

    /// What names a shared instance: the titles that its root and it had when it was made. Titles of swarms have no `_`.
    pub(super) fn reference(&mut self, text: &str) -> Result<Reference, String> {
        let (root, title) =
            text.split_once('_').ok_or_else(|| format!("{text:?} names no shared instance"))?;
        let root = if root.is_empty() { None } else { Some(self.title(root)?) };
        Ok(Reference { root, title: self.title(title)? })
    }

    pub(super) fn reference_text(&self, reference: Reference) -> String {
        let root = reference.root.map_or("", |root| self.title_text(root));
        format!("{root}_{}", self.title_text(reference.title))
    }

    pub(super) fn release(&mut self, text: &str) -> Result<Release, String> {
        for (root, directory) in ROOTS.iter().enumerate() {
            if let Some(rest) = text.strip_prefix(directory).and_then(|rest| rest.strip_prefix('/')) {
                let number = self.locals.number(rest, 0)?;
                let all = (0..RELEASE_MIN).map(Release);
                let found = all.into_iter().find(|it| it.local() == Some((Root(root as u16), number)));
                return found.ok_or_else(|| format!("{text:?} is one path too many for the model"));
            }
        }
        self.releases.number(text, RELEASE_MIN).map(Release)
    }

    /// A directory of releases that are paths.
    pub(super) fn root(&self, text: &str) -> Result<Root, String> {
        let index = ROOTS.iter().position(|root| *root == text);
        index.map(|index| Root(index as u16)).ok_or_else(|| format!("{text:?} is no directory of this run"))
    }

    pub(super) fn kind(&mut self, text: &str) -> Result<Kind, String> {
        self.kinds.number(text, 0).map(Kind)
    }

    pub(super) fn parameters(&mut self, document: &str) -> Result<Parameters, String> {
        self.document(document).map(Parameters)
    }

    pub(super) fn connection(&mut self, document: &str) -> Result<Connection, String> {
        self.document(document).map(Connection)
    }

    pub(super) fn address(&mut self, all: &str) -> Result<Address, String> {
        self.addresses.number(all, 0).map(Address)
    }

    /// The same parameters may be written in more than one way.
    fn document(&mut self, document: &str) -> Result<u16, String> {
        self.documents.number(&canonical(document)?, 0)
    }

    pub(super) fn place_text(&self, place: Place) -> String {
        format!("{}/{}", self.computers.text(place.computer.0, 0), self.partitions.text(place.partition.0, 0))
    }

    pub(super) fn place_parts(&self, place: Place) -> (&str, &str) {
        (self.computers.text(place.computer.0, 0), self.partitions.text(place.partition.0, 0))
    }

    pub(super) fn computer_text(&self, computer: Computer) -> &str {
        self.computers.text(computer.0, 0)
    }

    pub(super) fn title_text(&self, title: Title) -> &str {
        self.titles.text(title.0, 0)
    }

    pub(super) fn release_text(&self, release: Release) -> Cow<'_, str> {
        match release.local() {
            Some((root, number)) => {
                let root = ROOTS.get(usize::from(root.0)).copied().unwrap_or("?");
                Cow::Owned(format!("{root}/{}", self.locals.text(number, 0)))
            }
            None => Cow::Borrowed(self.releases.text(release.0, RELEASE_MIN)),
        }
    }

    pub(super) fn kind_text(&self, kind: Kind) -> &str {
        self.kinds.text(kind.0, 0)
    }

    /// Parameters, or what was published.
    pub(super) fn document_text(&self, document: u16) -> &str {
        self.documents.text(document, 0)
    }

    /// What the model's master keeps.
    pub(super) fn lines_of_state(&self, state: &State, clocks: &Clocks) -> Lines {
        let mut lines = Lines::new();
        for (computer, registered) in &state.computers {
            let name = self.computers.text(computer.0, 0);
            let banged = registered.banged;
            lines.insert(name.to_owned(), format!("floor {}, banged {banged}", clocks.floor(*computer)));
            for (release, supply) in &registered.supplies {
                let wanted = if supply.wanted { "available" } else { "destroyed" };
                let url = self.release_text(*release);
                let status = supply.status.map_or("", release_word);
                lines.insert(format!("{url} on {name}"), format!("{wanted}, told {status:?}"));
            }
            for (partition, slot) in &registered.partitions {
                let place = Place { computer: *computer, partition: *partition };
                let told = slot.status.map(|it| (word(it.word), clocks.microseconds(place, it.about)));
                lines.insert(
                    self.place_text(place),
                    format!(
                        "listed {}, position {}, addresses {}, timestamp {}, told {told:?}",
                        slot.listed,
                        slot.position,
                        self.addresses.text(slot.address.0, 0),
                        clocks.microseconds(place, slot.rank),
                    ),
                );
            }
        }
        let path = |number: &Number| {
            let instance = state.instances.get(number);
            let root = instance.and_then(|it| it.root).and_then(|root| state.instances.get(&root));
            let title = instance.map_or("?", |it| self.titles.text(it.title.0, 0));
            root.map_or(title.to_owned(), |root| format!("{}/{title}", self.titles.text(root.title.0, 0)))
        };
        for (number, instance) in &state.instances {
            let line = instance_line(Told {
                place: self.seat(instance, path),
                requester: instance.requester.as_ref().map(path),
                release: &self.release_text(instance.release),
                kind: self.kinds.text(instance.kind.0, 0),
                state: wanted(instance.state),
                parameters: self.documents.text(instance.parameters.0, 0),
                connection: self.documents.text(instance.connection.0, 0),
            });
            insert_instance(&mut lines, path(number), line);
        }
        for (title, requester) in &state.forwarded {
            let of = requester.map(|place| self.place_text(place));
            lines.insert(self.title_text(*title).to_owned(), format!("is passed on for {of:?}"));
        }
        lines
    }

    /// Where an instance is; of a shared one its host, and what was reported of it.
    fn seat(&self, instance: &Instance, path: impl Fn(&Number) -> String) -> Option<String> {
        match instance.shared {
            None => instance.place.map(|place| self.place_text(place)),
            Some(shared) => Some(shared_seat(
                &self.reference_text(shared.reference),
                shared.host.as_ref().map(path).as_deref(),
                shared.status.map_or("", word),
            )),
        }
    }
}

/// What the database holds.
pub(super) fn lines_of_rows(rows: &Rows) -> Lines {
    let mut lines = Lines::new();
    let statuses: BTreeMap<(&str, &str, &str), &StatusRow> = rows
        .statuses
        .iter()
        .map(|row| ((row.computer.as_str(), row.kind.as_str(), row.name.as_str()), row))
        .collect();
    let status = |computer, kind, name| statuses.get(&(computer, kind, name)).copied();
    let mut addresses: BTreeMap<(&str, &str), Vec<_>> = BTreeMap::new();
    for row in &rows.addresses {
        let own = addresses.entry((&row.computer, &row.partition)).or_default();
        own.push((&row.interface, &row.address, &row.netmask));
    }
    let instances: BTreeMap<i64, &InstanceRow> = rows.instances.iter().map(|row| (row.number, row)).collect();
    for row in &rows.computers {
        let banged = status(&row.reference, "computer", "").is_some();
        lines.insert(row.reference.clone(), format!("floor {}, banged {banged}", row.floor));
    }
    for row in &rows.supplies {
        let told = status(&row.computer, "release", &row.url).map_or("", |row| first_word(&row.text));
        lines.insert(format!("{} on {}", row.url, row.computer), format!("{}, told {told:?}", row.state));
    }
    for row in &rows.partitions {
        let told = status(&row.computer, "partition", &row.reference);
        let told = told.map(|row| (partition_word(&row.text), row.about));
        let own = addresses.get(&(row.computer.as_str(), row.reference.as_str()));
        let own = own.map_or(&[][..], Vec::as_slice);
        lines.insert(
            format!("{}/{}", row.computer, row.reference),
            format!(
                "listed {}, position {}, addresses {own:?}, timestamp {}, told {told:?}",
                row.listed, row.position, row.timestamp
            ),
        );
    }
    let path = |number: i64| {
        let find = |number: i64| instances.get(&number).copied();
        let row = find(number);
        let title = row.map_or("?", |row| row.title.as_str());
        let root = row.and_then(|row| row.root).and_then(find);
        root.map_or(title.to_owned(), |root| format!("{}/{title}", root.title))
    };
    for row in &rows.instances {
        let place = row.computer.as_ref().zip(row.partition.as_ref()).map(|(it, of)| format!("{it}/{of}"));
        let seat = row.reference.as_ref().filter(|_| row.shared).map(|reference| {
            let told = status("", "shared", reference).map_or("", |row| partition_word(&row.text));
            shared_seat(reference, row.host.map(path).as_deref(), told)
        });
        let line = instance_line(Told {
            place: if row.shared { seat } else { place },
            requester: row.requester.map(path),
            release: &row.release,
            kind: &row.software_type,
            state: &row.state,
            parameters: &canonical(&row.parameters).unwrap_or_else(|error| error),
            connection: &canonical(&row.connection).unwrap_or_else(|error| error),
        });
        insert_instance(&mut lines, path(row.number), line);
    }
    for row in &rows.forwarded {
        let of = row.computer.as_ref().zip(row.partition.as_ref()).map(|(it, of)| format!("{it}/{of}"));
        lines.insert(format!("{} at {}", row.title, row.master), format!("is passed on for {of:?}"));
    }
    lines
}

struct Told<'a> {
    place: Option<String>,
    requester: Option<String>,
    release: &'a str,
    kind: &'a str,
    state: &'a str,
    parameters: &'a str,
    connection: &'a str,
}

fn instance_line(told: Told<'_>) -> String {
    let Told { place, requester, release, kind, state, parameters, connection } = told;
    format!("in {place:?} for {requester:?}: {release} {kind} {state}, {parameters} {connection}")
}

/// Of a shared instance: its name, its host, and what was reported.
fn shared_seat(reference: &str, host: Option<&str>, told: &str) -> String {
    format!("shared {reference:?} of {host:?}, told {told:?}")
}

/// Two of one title are two lines: that is something to be found.
fn insert_instance(lines: &mut Lines, mut title: String, line: String) {
    while lines.contains_key(&title) {
        title.push_str(" again");
    }
    lines.insert(title, line);
}

fn canonical(document: &str) -> Result<String, String> {
    let decoded = instance_xml::decode(document).map_err(|error| format!("{document:?}: {error}"))?;
    Ok(instance_xml::encode(&decoded))
}

fn first_word(text: &str) -> &str {
    text.split(' ').next().unwrap_or_default()
}

pub(super) fn wanted(state: Wanted) -> &'static str {
    match state {
        Wanted::Started => "started",
        Wanted::Stopped => "stopped",
        Wanted::Destroyed => "destroyed",
    }
}

fn release_word(report: ReleaseReport) -> &'static str {
    match report {
        ReleaseReport::Building => "#building",
        ReleaseReport::Available => "#access",
        ReleaseReport::Error => "#error",
        ReleaseReport::Destroyed => "#destroyed",
    }
}

pub(super) fn word(word: Word) -> &'static str {
    match word {
        Word::Started => "started",
        Word::Stopped => "stopped",
        Word::Error => "error",
        Word::Destroyed => "destroyed",
        Word::Bang => "bang",
    }
}

pub(super) fn partition_word(text: &str) -> &str {
    let known = [
        ("#access Instance correctly started", "started"),
        ("#access Instance correctly stopped", "stopped"),
        ("#error bang", "bang"),
        ("#error", "error"),
    ];
    known.iter().find(|(start, _)| text.starts_with(start)).map_or(text, |(_, word)| word)
}
