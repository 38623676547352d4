//! What a master keeps, as the model and as the database have it, in a form in which both can be compared: instances are
//! called by their titles, not by numbers.

use super::{
    answer::wanted,
    names::{self, Name, OTHER_MASTER, find_addresses, find_connection, find_parameters},
    rows::{AddressRow, InstanceRow, PartitionRow, Rows, StatusRow},
};
use serde::Serialize;
use slap_impl::{vocabulary::RequestedState, wire::instance_xml};
use slap_model::{
    State,
    event::{ReleaseReport, Wanted, Word},
    names::{
        Computer, Connection, DEFAULT_COMPUTER, Kind, Number, Parameters, Place, Reference, Release, Root,
        Title,
    },
    state::{Instance, Registered, Shared, Slot, Status, Supplied},
};
use std::collections::BTreeMap;

/// All that a master keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Picture {
    /// Its computers.
    pub(super) computers: BTreeMap<Computer, Registered>,
    /// Its instances, by their titles: `root` or `root/child`.
    pub(super) instances: BTreeMap<String, Seat>,
    /// What another master gave, by the title there, with who has it here.
    pub(super) forwarded: BTreeMap<Title, Option<Place>>,
    /// The directory of local releases.
    pub(super) root: Option<Root>,
    /// The other master, once something was asked of it.
    pub(super) elsewhere: Option<Box<Picture>>,
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

/// The setting that keeps the directory of local releases.
pub(super) const ROOT_SETTING: &str = "local_software_release_root";

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
        let seat = |instance: &Instance| Seat {
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
        let elsewhere = state.elsewhere.as_ref().map(|other| Box::new(Picture::of_state(other)));
        let (computers, forwarded, root) = (state.computers.clone(), state.forwarded.clone(), state.root);
        Picture { computers, instances, forwarded, root, elsewhere }.tidied()
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
/// A text where it holds what no list of events can have put there.
pub(super) fn state_of_rows(rows: &Rows) -> Result<State, String> {
    let mut state = State::default();
    for row in &rows.forwarded {
        if row.master != OTHER_MASTER {
            return Err(format!("there is no such master: {row:?}"));
        }
        let text = |name: &Option<String>| name.clone().unwrap_or_default();
        let owner = names::place(&text(&row.computer), &text(&row.partition))?;
        state.forwarded.insert(Name::find(&row.title)?, owner);
    }
    for row in rows.settings.iter().filter(|row| row.name == ROOT_SETTING && row.value != "/") {
        state.root = Some(Name::find(&row.value)?);
    }
    let mut statuses = Statuses { left: rows.statuses.iter().collect() };
    for row in &rows.computers {
        let registered = Registered {
            floor: names::rank(row.floor)?,
            banged: statuses.take(&row.reference, "computer", "").is_some(),
            ..Registered::default()
        };
        state.computers.insert(Name::find(&row.reference)?, registered);
    }
    for row in &rows.supplies {
        let status = statuses.take(&row.computer, "release", &row.url);
        let status = status.map(|row| release_word(&row.text)).transpose()?;
        let wanted = match row.state.as_str() {
            "available" => true,
            "destroyed" => false,
            other => return Err(format!("a release is wanted {other:?}")),
        };
        let supplies = &mut registered(&mut state, &row.computer)?.supplies;
        if supplies.insert(Name::find(&row.url)?, Supplied { wanted, status }).is_some() {
            return Err(format!("{} is supplied twice", row.url));
        }
    }
    let mut addresses: BTreeMap<(&str, &str), Vec<&AddressRow>> = BTreeMap::new();
    for row in &rows.addresses {
        addresses.entry((&row.computer, &row.partition)).or_default().push(row);
    }
    for row in &rows.partitions {
        let own = addresses.remove(&(row.computer.as_str(), row.reference.as_str())).unwrap_or_default();
        let status = statuses.take(&row.computer, "partition", &row.reference);
        let slot = slot(row, &own, status)?;
        registered(&mut state, &row.computer)?.partitions.insert(Name::find(&row.reference)?, slot);
    }
    for row in &rows.instances {
        let kept = instance(row, &mut statuses)?;
        state.instances.insert(number(row.number)?, kept);
    }
    match (statuses.left.first(), addresses.first_key_value()) {
        (Some(row), _) => Err(format!("a report on what is not there: {row:?}")),
        (_, Some((partition, _))) => Err(format!("addresses of what is not there: {partition:?}")),
        (None, None) => Ok(state),
    }
}

fn registered<'a>(state: &'a mut State, computer: &str) -> Result<&'a mut Registered, String> {
    let found = state.computers.get_mut(&Name::find(computer)?);
    found.ok_or_else(|| format!("{computer} is no registered computer"))
}

/// The reports that nothing was found for yet.
struct Statuses<'a> {
    left: Vec<&'a StatusRow>,
}

impl<'a> Statuses<'a> {
    fn take(&mut self, computer: &str, kind: &str, name: &str) -> Option<&'a StatusRow> {
        let is_it = |row: &&StatusRow| row.computer == computer && row.kind == kind && row.name == name;
        self.left.iter().position(is_it).map(|at| self.left.swap_remove(at))
    }
}

fn instance(row: &InstanceRow, statuses: &mut Statuses<'_>) -> Result<Instance, String> {
    let document = |text: &str| instance_xml::decode(text).map_err(|error| error.to_string());
    let (place, shared) = match (row.shared, &row.computer, &row.partition, &row.reference) {
        (false, Some(computer), Some(partition), None) => (names::place(computer, partition)?, None),
        (true, None, None, Some(reference)) => {
            let status = statuses.take("", "shared", reference);
            let shared = Shared {
                reference: names::reference(reference)?,
                host: row.host.map(number).transpose()?,
                status: status.map(|row| word(&row.text)).transpose()?,
            };
            (None, Some(shared))
        }
        _ => return Err(format!("an instance that is neither shared nor not: {row:?}")),
    };
    let state: RequestedState = row.state.parse().map_err(|error| format!("{error}"))?;
    Ok(Instance {
        title: Name::find(&row.title)?,
        root: row.root.map(number).transpose()?,
        requester: row.requester.map(number).transpose()?,
        release: Name::find(&row.release)?,
        kind: Name::find(&row.software_type)?,
        parameters: find_parameters(&document(&row.parameters)?)?,
        connection: find_connection(&document(&row.connection)?)?,
        state: wanted(state),
        place,
        shared,
    })
}

fn number(number: i64) -> Result<Number, String> {
    Number::try_from(number)
        .map_err(|_| format!("the instance has the number {number}: expected at most 65535"))
}

fn slot(row: &PartitionRow, own: &[&AddressRow], status: Option<&StatusRow>) -> Result<Slot, String> {
    let name = Name::find(&row.reference)?;
    let is_in_order = own.iter().map(|row| row.position).eq((0..).take(own.len()));
    if !is_in_order || own.iter().any(|row| row.interface != names::interface(name)) {
        return Err(format!("addresses in the wrong order or on the wrong interface: {own:?}"));
    }
    let addresses: Vec<(String, String)> =
        own.iter().map(|it| (it.address.clone(), it.netmask.clone())).collect();
    let status = match status {
        Some(row) => Some(Status { about: names::rank(row.about)?, word: word(&row.text)? }),
        None => None,
    };
    Ok(Slot {
        listed: row.listed,
        position: row.position,
        address: find_addresses(name, &addresses)?,
        rank: names::rank(row.timestamp)?,
        status,
    })
}

/// The texts of what is reported of an instance.
pub(super) const WORDS: [(&str, Word); 4] = [
    ("#access Instance correctly started", Word::Started),
    ("#access Instance correctly stopped", Word::Stopped),
    ("#error while instanciating: it <broke> & stopped", Word::Error),
    ("#error bang called: it <broke> & stopped", Word::Bang),
];

fn word(text: &str) -> Result<Word, String> {
    let found = WORDS.iter().find(|(expected, _)| text == *expected);
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
