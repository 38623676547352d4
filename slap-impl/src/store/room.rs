//! How long a computer's full information is at most (`bytes` of a computer, schema version 7): nobody could read one that is longer than a
//! client takes. Whatever changes what a computer is told stands in one of these functions, which see what that takes before and after.

use super::queries::list;
use crate::vocabulary::{ComputerId, PartitionId, SoftwareUrl};
use rusqlite::{Connection, Params};
use std::collections::BTreeMap;

/// What an instance takes, shared or not.
pub(super) const ITSELF: &str = "SELECT computer, bytes FROM instance_bytes WHERE number = ?1";

/// What its title takes: of a root, all of its tree is told.
pub(super) const TREE: &str = "SELECT computer, bytes FROM instance_bytes WHERE number = ?1
    UNION ALL SELECT computer, bytes FROM instance_bytes WHERE root = ?1";

/// What it and those that it hosts take.
pub(super) const HOST: &str = "SELECT computer, bytes FROM instance_bytes WHERE number = ?1
    UNION ALL SELECT computer, bytes FROM instance_bytes
    WHERE number IN (SELECT number FROM instance WHERE host = ?1)";

/// Does something with an instance; `what` of it is told: [`ITSELF`], [`TREE`] or [`HOST`].
pub(super) fn of_instance<T>(
    connection: &Connection,
    what: &str,
    number: i64,
    change: impl FnOnce() -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    counted(connection, what, [number], change)
}

/// Does something with a partition, which is counted as if there were an instance in it, and with its addresses.
pub(super) fn of_partition<T>(
    connection: &Connection,
    (computer, partition): (&ComputerId, &PartitionId),
    change: impl FnOnce() -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let sql = "SELECT computer, 1536 + 6 * length(computer) + 6 * length(reference) FROM partition
        WHERE computer = ?1 AND reference = ?2
        UNION ALL SELECT computer, bytes FROM address_bytes WHERE computer = ?1 AND partition = ?2";
    counted(connection, sql, (computer, partition), change)
}

/// Does something with the supplies of these releases to a computer.
pub(super) fn of_supplies<T>(
    connection: &Connection,
    computer: &ComputerId,
    [one, other]: [&SoftwareUrl; 2],
    change: impl FnOnce() -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let sql = "SELECT computer, bytes FROM supply_bytes WHERE computer = ?1 AND url IN (?2, ?3)";
    counted(connection, sql, (computer, one, other), change)
}

/// A shared instance is new.
pub(super) fn of_new_instance(connection: &Connection, number: i64) -> rusqlite::Result<()> {
    grow(connection, found(connection, ITSELF, [number])?)
}

fn found(
    connection: &Connection,
    sql: &str,
    parameters: impl Params,
) -> rusqlite::Result<Vec<(ComputerId, i64)>> {
    list(connection, sql, parameters, |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Does something, and notes how much more or less the computers are told of what `sql` finds.
fn counted<T>(
    connection: &Connection,
    sql: &str,
    parameters: impl Params + Copy,
    change: impl FnOnce() -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let before = found(connection, sql, parameters)?;
    let done = change()?;
    let less = before.into_iter().map(|(computer, bytes)| (computer, -bytes));
    grow(connection, less.chain(found(connection, sql, parameters)?))?;
    Ok(done)
}

/// Adds what is more, and what is less with its sign.
fn grow(
    connection: &Connection,
    changes: impl IntoIterator<Item = (ComputerId, i64)>,
) -> rusqlite::Result<()> {
    let mut growth: BTreeMap<ComputerId, i64> = BTreeMap::new();
    for (computer, bytes) in changes {
        *growth.entry(computer).or_default() += bytes;
    }
    for (computer, bytes) in growth.into_iter().filter(|(_, bytes)| *bytes != 0) {
        connection
            .prepare_cached("UPDATE computer SET bytes = bytes + ?2 WHERE reference = ?1")?
            .execute((computer, bytes))?;
    }
    Ok(())
}
