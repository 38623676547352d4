//! Reading and writing what was passed on to other masters.

use crate::vocabulary::{ComputerId, InstanceTitle, PartitionId};
use rusqlite::{Connection, OptionalExtension};

/// The partition whose instance asked for something that was passed on; none for a user.
pub type ForwardedFor = Option<(ComputerId, PartitionId)>;

/// For whom the instance of that title was passed on to a master, if it was.
pub fn forwarded(
    connection: &Connection,
    master: &str,
    title: &InstanceTitle,
) -> rusqlite::Result<Option<ForwardedFor>> {
    connection
        .prepare_cached("SELECT computer, partition FROM forwarded WHERE master = ?1 AND title = ?2")?
        .query_row((master, title), |row| {
            let computer: Option<ComputerId> = row.get(0)?;
            let partition: Option<PartitionId> = row.get(1)?;
            Ok(computer.zip(partition))
        })
        .optional()
}

/// How many instances were passed on, to all masters together.
pub fn count_forwarded(connection: &Connection) -> rusqlite::Result<u32> {
    connection.prepare_cached("SELECT count(*) FROM forwarded")?.query_row([], |row| row.get(0))
}

/// Remembers that an instance was passed on.
///
/// # Errors
/// A constraint when it is remembered already.
pub fn insert_forwarded(
    connection: &Connection,
    master: &str,
    title: &InstanceTitle,
    asker: Option<(&ComputerId, &PartitionId)>,
) -> rusqlite::Result<()> {
    let (computer, partition) = asker.unzip();
    connection
        .prepare_cached("INSERT INTO forwarded (master, title, computer, partition) VALUES (?1, ?2, ?3, ?4)")?
        .execute((master, title, computer, partition))
        .map(drop)
}

/// Forgets it; nothing happens when it is not remembered.
pub fn delete_forwarded(
    connection: &Connection,
    master: &str,
    title: &InstanceTitle,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM forwarded WHERE master = ?1 AND title = ?2")?
        .execute((master, title))
        .map(drop)
}
