//! Reading and writing instances: roots, children and shared ones.

use super::{
    computers::note_vacancy,
    queries::list,
    room,
    rows::{INSTANCE_COLUMNS, Instance, Place},
};
use crate::vocabulary::{
    ComputerId, InstanceTitle, PartitionId, RequestedState, SharedReference, SoftwareUrl,
};
use rusqlite::{Connection, OptionalExtension, Params};
use std::collections::BTreeMap;

/// What somebody asked for of an instance: what a request may change.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Who asked; none for a user.
    pub requester: Option<i64>,
    /// The software release.
    pub release: &'a SoftwareUrl,
    /// The software type.
    pub software_type: &'a str,
    /// The parameters, as an instance document.
    pub parameters: &'a str,
    /// The state.
    pub state: RequestedState,
}

impl Wanted<'_> {
    /// Whether an instance is as it is wanted, whoever requested it.
    pub fn is_of(&self, instance: &Instance) -> bool {
        self.state == instance.state
            && self.release == &instance.release
            && self.software_type == instance.software_type
            && self.parameters == instance.parameters
    }
}

fn select(condition: &str) -> String {
    format!("SELECT {} FROM instance {condition}", INSTANCE_COLUMNS.join(", "))
}

fn one(
    connection: &Connection,
    condition: &str,
    parameters: impl Params,
) -> rusqlite::Result<Option<Instance>> {
    connection
        .prepare_cached(&select(condition))?
        .query_row(parameters, |row| Instance::from_row(row, 0))
        .optional()
}

pub(super) fn many(
    connection: &Connection,
    condition: &str,
    parameters: impl Params,
) -> rusqlite::Result<Vec<Instance>> {
    list(connection, &select(condition), parameters, |row| Instance::from_row(row, 0))
}

/// All instances: roots, children and shared ones, in the order in which they came to be.
pub fn instances(connection: &Connection) -> rusqlite::Result<Vec<Instance>> {
    many(connection, "ORDER BY number", [])
}

/// The instances that users requested, shared ones too, in the order in which they came to be.
pub fn roots(connection: &Connection) -> rusqlite::Result<Vec<Instance>> {
    many(connection, "WHERE ifnull(root, 0) = 0 ORDER BY number", [])
}

/// The instance of that number.
pub fn instance(connection: &Connection, number: i64) -> rusqlite::Result<Option<Instance>> {
    one(connection, "WHERE number = ?1", [number])
}

/// The child of that title in the tree of `root`; or, without one, the root of that title.
pub fn instance_titled(
    connection: &Connection,
    root: Option<i64>,
    title: &InstanceTitle,
) -> rusqlite::Result<Option<Instance>> {
    one(connection, "WHERE ifnull(root, 0) = ?1 AND title = ?2", (root.unwrap_or(0), title))
}

/// The shared instance of that reference.
pub fn shared_instance(
    connection: &Connection,
    reference: &SharedReference,
) -> rusqlite::Result<Option<Instance>> {
    one(connection, "WHERE reference = ?1", [reference])
}

/// The instances of the tree of `root` without itself, in the order in which they came to be; shared ones, or the others.
pub fn descendants(connection: &Connection, root: i64, shared: bool) -> rusqlite::Result<Vec<Instance>> {
    many(connection, "WHERE root = ?1 AND shared = ?2 ORDER BY number", (root, shared))
}

/// Whether a tree has instances with partitions of their own besides its root.
pub fn has_children(connection: &Connection, root: i64) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM instance WHERE root = ?1 AND shared = 0)")?
        .query_row([root], |row| row.get(0))
}

/// The shared instances that have that host, whatever is wanted of them, in the order in which they came to be.
pub fn hosted(connection: &Connection, host: i64) -> rusqlite::Result<Vec<Instance>> {
    many(connection, "WHERE host = ?1 ORDER BY number", [host])
}

/// How many shared instances have that host.
pub fn count_hosted(connection: &Connection, host: i64) -> rusqlite::Result<u32> {
    connection
        .prepare_cached("SELECT count(*) FROM instance WHERE host = ?1")?
        .query_row([host], |row| row.get(0))
}

/// The shared instances that the nodes see: by partition those that stand in the list of the instance there, by reference.
/// Without `only`, for the whole computer.
pub fn listed_shared(
    connection: &Connection,
    computer: &ComputerId,
    only: Option<&PartitionId>,
) -> rusqlite::Result<BTreeMap<PartitionId, Vec<Instance>>> {
    let condition = if only.is_some() { "h.partition = ?2" } else { "?2 IS NULL" };
    let sql = format!(
        "SELECT h.partition, s.{} FROM instance AS h JOIN instance AS s ON s.host = h.number
        WHERE h.computer = ?1 AND {condition} AND s.state = 'started' ORDER BY h.partition, s.reference",
        INSTANCE_COLUMNS.join(", s.")
    );
    let rows = list(connection, &sql, (computer, only), |row| {
        Ok((row.get::<_, PartitionId>(0)?, Instance::from_row(row, 1)?))
    })?;
    let mut shared: BTreeMap<PartitionId, Vec<Instance>> = BTreeMap::new();
    for (partition, instance) in rows {
        shared.entry(partition).or_default().push(instance);
    }
    Ok(shared)
}

/// The first instance on a computer, in the order of its partitions, that can host shared instances of a release: it has a
/// partition, is not to be destroyed, and has the type, if one is wanted. `only` is the one partition to look at.
pub fn host_for(
    connection: &Connection,
    computer: &ComputerId,
    only: Option<&PartitionId>,
    release: &SoftwareUrl,
    software_type: Option<&str>,
) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached(
            "SELECT i.number FROM instance AS i
            JOIN partition AS p ON p.computer = i.computer AND p.reference = i.partition
            WHERE i.computer = ?1 AND i.release = ?2 AND i.state <> 'destroyed'
                AND (?3 IS NULL OR i.software_type = ?3) AND (?4 IS NULL OR i.partition = ?4)
            ORDER BY p.listed DESC, p.position, p.reference LIMIT 1",
        )?
        .query_row((computer, release, software_type, only), |row| row.get(0))
        .optional()
}

/// The same on all computers: `first` is looked at first, then the others in their natural order.
pub fn first_host(
    connection: &Connection,
    first: Option<&ComputerId>,
    release: &SoftwareUrl,
    software_type: Option<&str>,
) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached(
            "SELECT i.number FROM instance AS i
            JOIN partition AS p ON p.computer = i.computer AND p.reference = i.partition
            JOIN computer AS c ON c.reference = i.computer
            WHERE i.release = ?2 AND i.shared = 0 AND i.state <> 'destroyed'
                AND (?3 IS NULL OR i.software_type = ?3)
            ORDER BY c.reference IS NOT ?1, c.sort_key, c.reference, p.listed DESC, p.position, p.reference
            LIMIT 1",
        )?
        .query_row((first, release, software_type), |row| row.get(0))
        .optional()
}

/// How many bytes a new instance with a partition takes of its computer's full information at most: what the view `instance_bytes` of
/// the database says.
pub fn own_bytes(instance: &Instance, root_title: Option<&InstanceTitle>) -> i64 {
    let root_title = root_title.unwrap_or(&instance.title).as_str();
    let release = instance.release.as_str();
    let texts = [instance.title.as_str(), root_title, release, release, release, &instance.software_type];
    let (mut bytes, document) = (512, instance.parameters.as_str());
    for text in texts.into_iter().chain([document]) {
        let characters = text.chars().count();
        bytes += characters + 6 * (text.len() - characters);
    }
    let escaped = |text: &str| text.bytes().filter(|byte| b"&<>".contains(byte)).count();
    bytes += 8 * texts.into_iter().map(escaped).sum::<usize>();
    bytes += document.chars().count() / 32 + 4 * document.bytes().filter(|byte| *byte == b'&').count();
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// Makes an instance. That its partition is not vacant any more, [`revise_partition`](super::revise_partition) notes, and what it takes
/// there of its computer's full information [`revise_computer`](super::revise_computer). What a shared one takes of its host's is noted.
///
/// # Errors
/// A constraint when its partition is not free, or its title or reference is taken.
pub fn insert_instance(
    connection: &Connection,
    title: &InstanceTitle,
    root: Option<i64>,
    place: Place,
    wanted: Wanted<'_>,
) -> rusqlite::Result<Instance> {
    let (shared, own, reference, host) = match &place {
        Place::Partition(computer, partition) => (false, Some((computer, partition)), None, None),
        Place::Shared { reference, host } => (true, None, Some(reference), *host),
    };
    connection
        .prepare_cached(
            "INSERT INTO instance (title, root, requester, shared, computer, partition, reference, host,
                release, software_type, parameters, connection, state)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, '', ?12)",
        )?
        .execute((
            title,
            root,
            wanted.requester,
            shared,
            own.map(|(computer, _)| computer),
            own.map(|(_, partition)| partition),
            reference,
            host,
            wanted.release,
            wanted.software_type,
            wanted.parameters,
            wanted.state,
        ))?;
    let number = connection.last_insert_rowid();
    if shared {
        room::of_new_instance(connection, number)?;
    }
    Ok(Instance {
        number,
        title: title.clone(),
        root,
        requester: wanted.requester,
        place,
        release: wanted.release.clone(),
        software_type: wanted.software_type.to_owned(),
        parameters: wanted.parameters.to_owned(),
        connection: String::new(),
        state: wanted.state,
    })
}

/// Sets what was asked for of an instance.
pub fn update_instance(
    connection: &Connection,
    instance: &mut Instance,
    wanted: Wanted<'_>,
) -> rusqlite::Result<()> {
    let number = instance.number;
    let update = || {
        connection
            .prepare_cached(
                "UPDATE instance SET requester = ?2, release = ?3, software_type = ?4, parameters = ?5, state = ?6
                WHERE number = ?1",
            )?
            .execute((
                number,
                wanted.requester,
                wanted.release,
                wanted.software_type,
                wanted.parameters,
                wanted.state,
            ))
    };
    let is_told_alike = wanted.release == &instance.release
        && wanted.software_type == instance.software_type
        && wanted.parameters == instance.parameters;
    if is_told_alike {
        update()?
    } else {
        room::of_instance(connection, room::ITSELF, number, update)?
    };
    instance.requester = wanted.requester;
    instance.release.clone_from(wanted.release);
    wanted.software_type.clone_into(&mut instance.software_type);
    wanted.parameters.clone_into(&mut instance.parameters);
    instance.state = wanted.state;
    Ok(())
}

/// Sets what is wanted of an instance.
pub fn set_state(connection: &Connection, number: i64, state: RequestedState) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE instance SET state = ?2 WHERE number = ?1")?
        .execute((number, state))
        .map(drop)
}

/// Gives a shared instance a host.
pub fn set_host(connection: &Connection, number: i64, host: i64) -> rusqlite::Result<()> {
    room::of_instance(connection, room::ITSELF, number, || {
        connection
            .prepare_cached("UPDATE instance SET host = ?2 WHERE number = ?1")?
            .execute((number, host))
            .map(drop)
    })
}

/// Sets what is published of an instance.
pub fn set_connection(connection: &Connection, number: i64, document: &str) -> rusqlite::Result<()> {
    room::of_instance(connection, room::ITSELF, number, || {
        connection
            .prepare_cached("UPDATE instance SET connection = ?2 WHERE number = ?1")?
            .execute((number, document))
            .map(drop)
    })
}

/// Gives an instance another title.
pub fn set_title(connection: &Connection, number: i64, title: &InstanceTitle) -> rusqlite::Result<()> {
    room::of_instance(connection, room::TREE, number, || {
        connection
            .prepare_cached("UPDATE instance SET title = ?2 WHERE number = ?1")?
            .execute((number, title))
            .map(drop)
    })
}

/// Removes an instance. What it requested is requested by its root from now on; the shared instances that it hosts stay,
/// without host and connection.
///
/// # Errors
/// A constraint when it is a root that has others in its tree.
pub fn delete_instance(connection: &Connection, instance: &Instance) -> rusqlite::Result<()> {
    if let Some(root) = instance.root {
        connection
            .prepare_cached("UPDATE instance SET requester = ?2 WHERE requester = ?1")?
            .execute((instance.number, root))?;
    }
    room::of_instance(connection, room::HOST, instance.number, || {
        connection
            .prepare_cached("UPDATE instance SET host = NULL, connection = '' WHERE host = ?1")?
            .execute([instance.number])?;
        connection.prepare_cached("DELETE FROM instance WHERE number = ?1")?.execute([instance.number])
    })?;
    match instance.partition() {
        Some((computer, partition)) => note_vacancy(connection, computer, partition),
        None => Ok(()),
    }
}
