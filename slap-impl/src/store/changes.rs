//! Writing computers, partitions and supplies. Each of these runs inside the transaction of one write.

use super::{
    computers::{note_vacancy, sort_key},
    rows::{Address, Partition},
};
use crate::vocabulary::{ComputerId, PartitionId, SoftwareUrl, SupplyState};
use rusqlite::Connection;

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

/// Makes what was cached of a computer's full information worth nothing.
pub fn bump_revision(connection: &Connection, computer: &ComputerId) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE computer SET revision = revision + 1 WHERE reference = ?1")?
        .execute([computer])
        .map(drop)
}

/// Notes that what is shown of a partition changed, at its computer's revision.
pub fn touch_partition(
    connection: &Connection,
    computer: &ComputerId,
    partition: &PartitionId,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE partition SET revision = (SELECT revision FROM computer WHERE reference = ?1)
            WHERE computer = ?1 AND reference = ?2",
        )?
        .execute((computer, partition))
        .map(drop)
}

/// Makes a partition known, or sets its place and addresses.
pub fn upsert_partition(
    connection: &Connection,
    computer: &ComputerId,
    reference: &PartitionId,
    position: u32,
    addresses: &[Address],
) -> rusqlite::Result<()> {
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
    connection
        .prepare_cached("DELETE FROM partition WHERE computer = ?1 AND reference = ?2")?
        .execute((computer, reference))
        .map(drop)
}

/// Sets that the node has to process a partition again. Its timestamp becomes `now`, microseconds since 1970, but always grows:
/// also above those of partitions that its computer had before, since it may have been one of them.
pub fn renew_timestamp(
    connection: &Connection,
    computer: &ComputerId,
    partition: &PartitionId,
    now: i64,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE partition
            SET timestamp = max(?3, timestamp + 1, (SELECT floor + 1 FROM computer WHERE reference = ?1))
            WHERE computer = ?1 AND reference = ?2",
        )?
        .execute((computer, partition, now))
        .map(drop)
}

/// Sets what is wanted of a release on a computer.
pub fn upsert_supply(
    connection: &Connection,
    computer: &ComputerId,
    url: &SoftwareUrl,
    state: SupplyState,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO supply (computer, url, state) VALUES (?1, ?2, ?3)
            ON CONFLICT (computer, url) DO UPDATE SET state = excluded.state",
        )?
        .execute((computer, url, state))
        .map(drop)
}

/// Forgets a supply.
pub fn delete_supply(
    connection: &Connection,
    computer: &ComputerId,
    url: &SoftwareUrl,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM supply WHERE computer = ?1 AND url = ?2")?
        .execute((computer, url))
        .map(drop)
}
