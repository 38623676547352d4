//! Reading partitions and supplies; computers stand in `computers`, instances in `instances`.

use super::rows::{Address, INSTANCE_COLUMNS, Instance, Partition, Supply};
use crate::vocabulary::{ComputerId, PartitionId, SoftwareUrl};
use rusqlite::{Connection, OptionalExtension, Params, Row};

pub(super) fn list<T>(
    connection: &Connection,
    sql: &str,
    parameters: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    connection.prepare_cached(sql)?.query_map(parameters, read)?.collect()
}

/// A computer's supplies, in the order in which they were first asked for.
pub fn supplies(connection: &Connection, computer: &ComputerId) -> rusqlite::Result<Vec<Supply>> {
    let sql = "SELECT computer, url, state FROM supply WHERE computer = ?1 ORDER BY number";
    list(connection, sql, [computer], |row| {
        Ok(Supply { computer: row.get(0)?, url: row.get(1)?, state: row.get(2)? })
    })
}

/// How many supplies a computer has.
pub fn count_supplies(connection: &Connection, computer: &ComputerId) -> rusqlite::Result<usize> {
    let count: i64 = connection
        .prepare_cached("SELECT count(*) FROM supply WHERE computer = ?1")?
        .query_row([computer], |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// One supply of a computer.
pub fn supply(
    connection: &Connection,
    computer: &ComputerId,
    url: &SoftwareUrl,
) -> rusqlite::Result<Option<Supply>> {
    connection
        .prepare_cached("SELECT computer, url, state FROM supply WHERE computer = ?1 AND url = ?2")?
        .query_row((computer, url), |row| {
            Ok(Supply { computer: row.get(0)?, url: row.get(1)?, state: row.get(2)? })
        })
        .optional()
}

/// A computer's partitions with what is in them, in the order of its last format, then those it no longer had.
pub fn partitions(connection: &Connection, computer: &ComputerId) -> rusqlite::Result<Vec<Partition>> {
    select_partitions(connection, computer, None)
}

/// The same partitions in the same order, by name, each with the computer's revision at the last change of what is shown of it.
pub fn partition_revisions(
    connection: &Connection,
    computer: &ComputerId,
) -> rusqlite::Result<Vec<(PartitionId, i64)>> {
    let sql = "SELECT reference, revision FROM partition WHERE computer = ?1
        ORDER BY listed DESC, position, reference";
    list(connection, sql, [computer], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// One partition with what is in it.
pub fn partition(
    connection: &Connection,
    computer: &ComputerId,
    reference: &PartitionId,
) -> rusqlite::Result<Option<Partition>> {
    Ok(select_partitions(connection, computer, Some(reference))?.pop())
}

/// The partition of an instance; none of a shared one.
pub fn partition_of(connection: &Connection, instance: &Instance) -> rusqlite::Result<Option<Partition>> {
    let Some((computer, reference)) = instance.partition() else { return Ok(None) };
    let found = connection
        .prepare_cached("SELECT listed, timestamp FROM partition WHERE computer = ?1 AND reference = ?2")?
        .query_row((computer, reference), |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((listed, timestamp)) = found else { return Ok(None) };
    let root_title = match instance.root {
        Some(root) => connection
            .prepare_cached("SELECT title FROM instance WHERE number = ?1")?
            .query_row([root], |row| row.get(0))?,
        None => instance.title.clone(),
    };
    let sql = "SELECT interface, address, netmask FROM partition_address
        WHERE computer = ?1 AND partition = ?2 ORDER BY position";
    let addresses = list(connection, sql, (computer, reference), |row| read_address(row, 0))?;
    Ok(Some(Partition {
        computer: computer.clone(),
        reference: reference.clone(),
        listed,
        timestamp,
        addresses,
        instance: Some(instance.clone()),
        root_title: Some(root_title),
    }))
}

fn read_address(row: &Row<'_>, first: usize) -> rusqlite::Result<Address> {
    Ok(Address { interface: row.get(first)?, address: row.get(first + 1)?, netmask: row.get(first + 2)? })
}

fn select_partitions(
    connection: &Connection,
    computer: &ComputerId,
    only: Option<&PartitionId>,
) -> rusqlite::Result<Vec<Partition>> {
    let condition = if only.is_some() { "p.reference = ?2" } else { "?2 IS NULL" };
    let sql = format!(
        "SELECT p.computer, p.reference, p.listed, p.timestamp, r.title, i.{}
        FROM partition AS p
        LEFT JOIN instance AS i ON i.computer = p.computer AND i.partition = p.reference
        LEFT JOIN instance AS r ON r.number = ifnull(i.root, i.number)
        WHERE p.computer = ?1 AND {condition}
        ORDER BY p.listed DESC, p.position, p.reference",
        INSTANCE_COLUMNS.join(", i.")
    );
    let mut partitions = list(connection, &sql, (computer, only), |row| {
        let occupied = row.get_ref(5)? != rusqlite::types::ValueRef::Null;
        Ok(Partition {
            computer: row.get(0)?,
            reference: row.get(1)?,
            listed: row.get(2)?,
            timestamp: row.get(3)?,
            addresses: Vec::new(),
            instance: if occupied { Some(Instance::from_row(row, 5)?) } else { None },
            root_title: row.get(4)?,
        })
    })?;
    let condition = if only.is_some() { "partition = ?2" } else { "?2 IS NULL" };
    let sql = format!(
        "SELECT partition, interface, address, netmask FROM partition_address
        WHERE computer = ?1 AND {condition} ORDER BY partition, position"
    );
    let addresses = list(connection, &sql, (computer, only), |row| {
        Ok((row.get::<_, PartitionId>(0)?, read_address(row, 1)?))
    })?;
    for partition in &mut partitions {
        let begin = addresses.partition_point(|(reference, _)| *reference < partition.reference);
        let own = addresses[begin..].iter().take_while(|(reference, _)| *reference == partition.reference);
        partition.addresses = own.map(|(_, address)| address.clone()).collect();
    }
    Ok(partitions)
}
