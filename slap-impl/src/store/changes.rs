//! Writing computers, partitions and supplies. Each of these runs inside the transaction of one write.

use super::{
    computers::{note_any_vacancy, note_vacancy, sort_key},
    room,
    rows::{Address, Partition},
};
use crate::vocabulary::{ComputerId, PartitionId, SoftwareUrl, SupplyState};
use rusqlite::{Connection, OptionalExtension};

/// Makes a computer known, or sets its address.
pub fn upsert_computer(
    connection: &Connection,
    reference: &ComputerId,
    address: &str,
    netmask: &str,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO computer (reference, address, netmask, revision, sort_key) VALUES (?1, ?2, ?3, 1, ?4)
            ON CONFLICT (reference) DO UPDATE SET address = excluded.address, netmask = excluded.netmask
            WHERE address <> excluded.address OR netmask <> excluded.netmask",
        )?
        .execute((reference, address, netmask, sort_key(reference.as_str())))
        .map(drop)
}

/// How a computer changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevisedComputer {
    /// Its new revision.
    pub revision: i64,
    /// The latest timestamp of the partitions that it lost.
    pub floor: i64,
    /// How long its full information is at most.
    pub bytes: i64,
    /// How many of these came since the revision before.
    pub growth: i64,
}

/// Gives a computer a new revision, because its full information changes, and so many vacancies fewer, since instances with so many
/// [`own_bytes`](super::own_bytes) together have them now. None when there is no such computer.
pub fn revise_computer(
    connection: &Connection,
    computer: &ComputerId,
    taken: usize,
    taken_bytes: i64,
) -> rusqlite::Result<Option<RevisedComputer>> {
    // A column that indices depend on is written only where it changes. RETURNING would cost as much again: a table of its own each time.
    let sql = if taken == 0 {
        "UPDATE computer SET revision = revision + 1, growth = bytes - settled, settled = bytes
        WHERE reference = ?1"
    } else {
        "UPDATE computer SET revision = revision + 1, bytes = bytes + ?3, growth = bytes + ?3 - settled,
            settled = bytes + ?3, vacancies = vacancies - ?2
        WHERE reference = ?1"
    };
    let mut update = connection.prepare_cached(sql)?;
    match taken {
        0 => update.execute([computer])?,
        taken => update.execute((computer, i64::try_from(taken).unwrap_or(i64::MAX), taken_bytes))?,
    };
    let revised = connection
        .prepare_cached(
            "SELECT revision, floor, bytes, growth, vacancies FROM computer WHERE reference = ?1",
        )?
        .query_row([computer], |row| {
            let revised = RevisedComputer {
                revision: row.get(0)?,
                floor: row.get(1)?,
                bytes: row.get(2)?,
                growth: row.get(3)?,
            };
            Ok((revised, row.get::<_, i64>(4)?))
        })
        .optional()?;
    let Some((revised, vacancies)) = revised else { return Ok(None) };
    if taken > 0 && vacancies == 0 {
        note_any_vacancy(connection, computer)?;
    }
    Ok(Some(revised))
}

/// How a partition changed.
#[derive(Clone, Copy, Debug)]
pub struct Revised {
    /// Its computer's revision.
    pub revision: i64,
    /// When the node has to process it again, if it has to: its timestamp becomes that, in microseconds since 1970, but always grows.
    pub timestamp: Option<i64>,
    /// Whether it was vacant and has an instance now.
    pub is_taken: bool,
}

/// Notes that what is shown of a partition changed. Whoever renews it takes care that its timestamp is above those of the partitions that
/// its computer had before, since it may have been one of them.
pub fn revise_partition(
    connection: &Connection,
    computer: &ComputerId,
    partition: &PartitionId,
    Revised { revision, timestamp, is_taken }: Revised,
) -> rusqlite::Result<()> {
    let sql = if is_taken {
        "UPDATE partition SET revision = ?3, timestamp = ifnull(max(?4, timestamp + 1), timestamp), vacant = 0
        WHERE computer = ?1 AND reference = ?2"
    } else {
        "UPDATE partition SET revision = ?3, timestamp = ifnull(max(?4, timestamp + 1), timestamp)
        WHERE computer = ?1 AND reference = ?2"
    };
    connection.prepare_cached(sql)?.execute((computer, partition, revision, timestamp)).map(drop)
}

/// Makes a partition known, or sets its place and addresses.
pub fn upsert_partition(
    connection: &Connection,
    computer: &ComputerId,
    reference: &PartitionId,
    position: u32,
    addresses: &[Address],
) -> rusqlite::Result<()> {
    room::of_partition(connection, (computer, reference), || {
        connection
            .prepare_cached(
                "INSERT INTO partition (computer, reference, position, listed, timestamp) VALUES (?1, ?2, ?3, 1, 0)
                ON CONFLICT (computer, reference) DO UPDATE SET position = excluded.position, listed = 1",
            )?
            .execute((computer, reference, position))?;
        connection
            .prepare_cached("DELETE FROM partition_address WHERE computer = ?1 AND partition = ?2")?
            .execute((computer, reference))?;
        let mut insert = connection.prepare_cached(
            "INSERT INTO partition_address (computer, partition, position, interface, address, netmask)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        for (position, address) in (0u32..).zip(addresses) {
            insert.execute((
                computer,
                reference,
                position,
                &address.interface,
                &address.address,
                &address.netmask,
            ))?;
        }
        Ok(())
    })?;
    note_vacancy(connection, computer, reference)
}

/// Marks a partition as no longer part of its computer: it is not given away again, and has no place in the format any more.
pub fn unlist_partition(connection: &Connection, partition: &Partition) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE partition SET listed = 0, position = 0 WHERE computer = ?1 AND reference = ?2",
        )?
        .execute((&partition.computer, &partition.reference))?;
    note_vacancy(connection, &partition.computer, &partition.reference)
}

/// Removes a partition with its addresses; it must hold no instance. Its computer remembers that its timestamps were used.
pub fn delete_partition(
    connection: &Connection,
    computer: &ComputerId,
    reference: &PartitionId,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE computer SET floor = max(floor, timestamp), vacancies = vacancies - vacant FROM partition
            WHERE computer.reference = ?1 AND partition.computer = ?1 AND partition.reference = ?2",
        )?
        .execute((computer, reference))?;
    note_any_vacancy(connection, computer)?;
    room::of_partition(connection, (computer, reference), || {
        connection
            .prepare_cached("DELETE FROM partition WHERE computer = ?1 AND reference = ?2")?
            .execute((computer, reference))
            .map(drop)
    })
}

/// Sets what is wanted of a release on a computer.
pub fn upsert_supply(
    connection: &Connection,
    computer: &ComputerId,
    url: &SoftwareUrl,
    state: SupplyState,
) -> rusqlite::Result<()> {
    room::of_supplies(connection, computer, [url, url], || {
        connection
            .prepare_cached(
                "INSERT INTO supply (computer, url, state) VALUES (?1, ?2, ?3)
                ON CONFLICT (computer, url) DO UPDATE SET state = excluded.state",
            )?
            .execute((computer, url, state))
            .map(drop)
    })
}

/// Forgets a supply.
pub fn delete_supply(
    connection: &Connection,
    computer: &ComputerId,
    url: &SoftwareUrl,
) -> rusqlite::Result<()> {
    room::of_supplies(connection, computer, [url, url], || {
        connection
            .prepare_cached("DELETE FROM supply WHERE computer = ?1 AND url = ?2")?
            .execute((computer, url))
            .map(drop)
    })
}
