//! What a master keeps, as the model and as the database have it, in a form in which both can be compared: instances are
//! called by their titles, not by numbers.

use super::{
    answer::wanted,
    names::{self, Name, find_addresses, find_connection, find_parameters},
};
use rusqlite::Connection as Database;
use serde::Serialize;
use slap_impl::{
    store::{self, Instance, Partition, StatusRow},
    vocabulary::SupplyState,
    wire::instance_xml,
};
use slap_model::{
    State,
    event::{ReleaseReport, Wanted, Word},
    names::{
        Computer, Connection, DEFAULT_COMPUTER, Kind, Number, Parameters, Place, Reference, Release, Title,
    },
    state::{Registered, Shared, Slot, Status, Supplied},
};
use std::collections::BTreeMap;

/// All that a master keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Picture {
    /// Its computers.
    pub(super) computers: BTreeMap<Computer, Registered>,
    /// Its instances, by their titles: `root` or `root/child`.
    pub(super) instances: BTreeMap<String, Seat>,
}

/// An instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Seat {
    /// Who requested it last; none for a root.
    pub(super) requester: Option<String>,
    /// Its release.
    pub(super) release: Release,
    /// Its type.
    pub(super) kind: Kind,
    /// Its parameters.
    pub(super) parameters: Parameters,
    /// What it published.
    pub(super) connection: Connection,
    /// What is wanted.
    pub(super) state: Wanted,
    /// Its partition, unless it is shared.
    pub(super) place: Option<Place>,
    /// What makes it a shared one.
    pub(super) shared: Option<SharedSeat>,
}

/// What only a shared instance has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct SharedSeat {
    /// Its name for its host.
    pub(super) reference: Reference,
    /// Its host.
    pub(super) host: Option<String>,
    /// The last report on it.
    pub(super) status: Option<Word>,
}

fn path(root: Option<Title>, title: Title) -> String {
    root.map_or(title.to_string(), |root| format!("{root}/{title}"))
}

impl Picture {
    /// What the model's master keeps.
    pub(super) fn of_state(state: &State) -> Picture {
        let name = |number: &u16| {
            state.instances.get(number).map_or("nowhere".to_owned(), |instance| {
                let root = instance.root.and_then(|root| state.instances.get(&root)).map(|root| root.title);
                path(root, instance.title)
            })
        };
        let seat = |instance: &slap_model::state::Instance| Seat {
            requester: instance.requester.as_ref().map(name),
            release: instance.release,
            kind: instance.kind,
            parameters: instance.parameters,
            connection: instance.connection,
            state: instance.state,
            place: instance.place,
            shared: instance.shared.map(|shared| SharedSeat {
                reference: shared.reference,
                host: shared.host.as_ref().map(name),
                status: shared.status,
            }),
        };
        let mut instances = BTreeMap::new();
        for (number, instance) in &state.instances {
            let mut title = name(number);
            while instances.contains_key(&title) {
                title.push_str(" again");
            }
            instances.insert(title, seat(instance));
        }
        Picture { computers: state.computers.clone(), instances }.tidied()
    }

    /// What the database of the real master holds.
    ///
    /// # Errors
    /// Those of SQLite; and a text where it holds what no list of events can have put there.
    pub(super) fn of_database(database: &Database) -> rusqlite::Result<Result<Picture, String>> {
        Ok(state_of_database(database)?.map(|state| Picture::of_state(&state)))
    }

    /// The default computer is known without being registered, so nobody can tell whether it is.
    fn tidied(mut self) -> Picture {
        if self.computers.get(&DEFAULT_COMPUTER) == Some(&Registered::default()) {
            self.computers.remove(&DEFAULT_COMPUTER);
        }
        self
    }
}

/// What the database of the real master holds, as a state of the model, so that the model's rules can judge it.
///
/// # Errors
/// Those of SQLite; and a text where it holds what no list of events can have put there.
pub(super) fn state_of_database(database: &Database) -> rusqlite::Result<Result<State, String>> {
    let mut tables = Tables {
        instances: store::instances(database)?,
        statuses: store::access_statuses(database, None)?,
        computers: Vec::new(),
    };
    for computer in store::computers(database)? {
        let supplies = store::supplies(database, &computer.reference)?;
        let partitions = store::partitions(database, &computer.reference)?;
        tables.computers.push((computer, supplies, partitions));
    }
    Ok(tables.state())
}

struct Tables {
    instances: Vec<Instance>,
    statuses: Vec<StatusRow>,
    computers: Vec<(store::Computer, Vec<store::Supply>, Vec<Partition>)>,
}

impl Tables {
    fn state(mut self) -> Result<State, String> {
        let mut state = State::default();
        for (computer, supplies, partitions) in std::mem::take(&mut self.computers) {
            let name: Computer = Name::find(computer.reference.as_str())?;
            let mut registered = Registered::default();
            for supply in &supplies {
                let status = self.take(computer.reference.as_str(), "release", supply.url.as_str());
                let status = status.map(|row| release_word(&row.status.text)).transpose()?;
                let wanted = supply.state == SupplyState::Available;
                registered.supplies.insert(Name::find(supply.url.as_str())?, Supplied { wanted, status });
            }
            for partition in &partitions {
                let status =
                    self.take(computer.reference.as_str(), "partition", partition.reference.as_str());
                registered
                    .partitions
                    .insert(Name::find(partition.reference.as_str())?, slot(partition, status)?);
            }
            registered.banged = self.take(computer.reference.as_str(), "computer", "").is_some();
            state.computers.insert(name, registered);
        }
        for instance in self.instances.clone() {
            let kept = self.instance(&instance)?;
            state.instances.insert(number(instance.number)?, kept);
        }
        match self.statuses.first() {
            Some(row) => Err(format!("a report on what is not there: {row:?}")),
            None => Ok(state),
        }
    }

    fn take(&mut self, computer: &str, kind: &str, name: &str) -> Option<StatusRow> {
        let is_it = |row: &StatusRow| row.computer == computer && row.kind == kind && row.name == name;
        self.statuses.iter().position(is_it).map(|at| self.statuses.swap_remove(at))
    }

    fn instance(&mut self, instance: &Instance) -> Result<slap_model::state::Instance, String> {
        let document = |text: &str| instance_xml::decode(text).map_err(|error| error.to_string());
        let (place, shared) = match &instance.place {
            store::Place::Partition(computer, partition) => {
                (names::place(computer.as_str(), partition.as_str())?, None)
            }
            store::Place::Shared { reference, host } => {
                let status = self.take("", "shared", reference.as_str());
                let shared = Shared {
                    reference: names::reference(reference.as_str())?,
                    host: host.map(number).transpose()?,
                    status: status.map(|row| word(&row.status.text)).transpose()?,
                };
                (None, Some(shared))
            }
        };
        Ok(slap_model::state::Instance {
            title: Name::find(instance.title.as_str())?,
            root: instance.root.map(number).transpose()?,
            requester: instance.requester.map(number).transpose()?,
            release: Name::find(instance.release.as_str())?,
            kind: Name::find(&instance.software_type)?,
            parameters: find_parameters(&document(&instance.parameters)?)?,
            connection: find_connection(&document(&instance.connection)?)?,
            state: wanted(instance.state),
            place,
            shared,
        })
    }
}

fn number(number: i64) -> Result<Number, String> {
    Number::try_from(number)
        .map_err(|_| format!("the instance has the number {number}: expected at most 65535"))
}

fn slot(partition: &Partition, status: Option<StatusRow>) -> Result<Slot, String> {
    let name = Name::find(partition.reference.as_str())?;
    let addresses: Vec<(String, String)> =
        partition.addresses.iter().map(|it| (it.address.clone(), it.netmask.clone())).collect();
    let status = match status {
        Some(row) => Some(Status { about: names::rank(row.status.about)?, word: word(&row.status.text)? }),
        None => None,
    };
    Ok(Slot {
        listed: partition.listed,
        address: find_addresses(name, &addresses)?,
        rank: names::rank(partition.timestamp)?,
        status,
    })
}

fn word(text: &str) -> Result<Word, String> {
    let words = [
        ("#access Instance correctly started", Word::Started),
        ("#access Instance correctly stopped", Word::Stopped),
        ("#error while instanciating: it <broke> & stopped", Word::Error),
        ("#error bang called: it <broke> & stopped", Word::Bang),
    ];
    let found = words.iter().find(|(expected, _)| text == *expected);
    found.map(|(_, word)| *word).ok_or_else(|| format!("an unknown status: {text:?}"))
}

fn release_word(text: &str) -> Result<ReleaseReport, String> {
    let words = [
        ("#building ", ReleaseReport::Building),
        ("#access ", ReleaseReport::Available),
        ("#error ", ReleaseReport::Error),
    ];
    let found = words.iter().find(|(start, _)| text.starts_with(start));
    found.map(|(_, word)| *word).ok_or_else(|| format!("an unknown status: {text:?}"))
}
