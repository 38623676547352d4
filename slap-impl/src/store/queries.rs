//! Reading computers, partitions and supplies; instances stand in `instances`.

use super::rows::{Address, Computer, INSTANCE_COLUMNS, Instance, Partition, Supply};
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

fn read_computer(row: &Row<'_>) -> rusqlite::Result<Computer> {
    Ok(Computer { reference: row.get(0)?, address: row.get(1)?, netmask: row.get(2)?, revision: row.get(3)? })
}

/// One computer.
pub fn computer(connection: &Connection, reference: &ComputerId) -> rusqlite::Result<Option<Computer>> {
    connection
        .prepare_cached("SELECT reference, address, netmask, revision FROM computer WHERE reference = ?1")?
        .query_row([reference], read_computer)
        .optional()
}

/// All computers in their natural order: `COMP-2` stands before `COMP-10`.
pub fn computers(connection: &Connection) -> rusqlite::Result<Vec<Computer>> {
    let sql = "SELECT reference, address, netmask, revision FROM computer ORDER BY reference";
    let mut computers = list(connection, sql, [], read_computer)?;
    computers.sort_by_cached_key(|computer| natural_key(computer.reference.as_str()));
    Ok(computers)
}

/// Text cut where digits begin and end; digits compare by their value.
fn natural_key(text: &str) -> Vec<(usize, String)> {
    let mut key: Vec<(usize, String)> = Vec::new();
    for part in text.split_inclusive(|c: char| !c.is_ascii_digit()) {
        let digits = part.trim_end_matches(|c: char| !c.is_ascii_digit());
        if !digits.is_empty() {
            let value = digits.trim_start_matches('0');
            // A longer number is a greater one.
            key.push((1 + value.len(), value.to_owned()));
        }
        key.push((0, part[digits.len()..].to_owned()));
    }
    key
}

/// A computer's supplies, in the order in which they were first asked for.
pub fn supplies(connection: &Connection, computer: &ComputerId) -> rusqlite::Result<Vec<Supply>> {
    let sql = "SELECT computer, url, state FROM supply WHERE computer = ?1 ORDER BY number";
    list(connection, sql, [computer], |row| {
        Ok(Supply { computer: row.get(0)?, url: row.get(1)?, state: row.get(2)? })
    })
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

/// One partition with what is in it.
pub fn partition(
    connection: &Connection,
    computer: &ComputerId,
    reference: &PartitionId,
) -> rusqlite::Result<Option<Partition>> {
    Ok(select_partitions(connection, computer, Some(reference))?.pop())
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
        let partition: PartitionId = row.get(0)?;
        Ok((partition, Address { interface: row.get(1)?, address: row.get(2)?, netmask: row.get(3)? }))
    })?;
    for partition in &mut partitions {
        let begin = addresses.partition_point(|(reference, _)| *reference < partition.reference);
        let own = addresses[begin..].iter().take_while(|(reference, _)| *reference == partition.reference);
        partition.addresses = own.map(|(_, address)| address.clone()).collect();
    }
    Ok(partitions)
}

/// The first partition of a computer that can be given away: in its last format, and with no instance.
pub fn free_partition(
    connection: &Connection,
    computer: &ComputerId,
) -> rusqlite::Result<Option<PartitionId>> {
    connection
        .prepare_cached(
            "SELECT reference FROM partition AS p WHERE computer = ?1 AND listed = 1 AND NOT EXISTS (
                SELECT 1 FROM instance AS i WHERE i.computer = p.computer AND i.partition = p.reference)
            ORDER BY position, reference LIMIT 1",
        )?
        .query_row([computer], |row| row.get(0))
        .optional()
}

#[cfg(test)]
mod tests {
    use super::natural_key;

    #[test]
    fn numbers_in_references_count_by_value() {
        let mut references =
            vec!["COMP-10", "COMP-2", "COMP-1", "a10b2", "a10b10", "COMP", "COMP-", "9", "10"];
        references.sort_by_key(|reference| natural_key(reference));
        let position = |text: &str| references.iter().position(|reference| *reference == text).unwrap();
        for pair in ["COMP-1", "COMP-2", "COMP-10"].windows(2) {
            assert!(position(pair[0]) < position(pair[1]), "{references:?}");
        }
        assert!(position("9") < position("10") && position("a10b2") < position("a10b10"), "{references:?}");
    }
}
