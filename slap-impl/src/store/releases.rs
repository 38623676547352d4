//! Reading and writing where local software releases stand, on all computers together; and settings that outlive a master.

use super::{
    instances,
    queries::list,
    room,
    rows::{Instance, Supply},
};
use crate::vocabulary::SoftwareUrl;
use rusqlite::{Connection, OptionalExtension};

/// A setting of an earlier run.
pub fn setting(connection: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    connection
        .prepare_cached("SELECT value FROM setting WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()
}

/// Keeps a setting for later runs.
pub fn set_setting(connection: &Connection, name: &str, value: &str) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO setting (name, value) VALUES (?1, ?2)")?
        .execute((name, value))
        .map(drop)
}

/// The releases that are supplied or requested and that are paths.
pub fn local_releases(connection: &Connection) -> rusqlite::Result<Vec<SoftwareUrl>> {
    let sql = "SELECT url FROM supply WHERE url GLOB '/*' UNION SELECT release FROM instance WHERE release GLOB '/*' ORDER BY 1";
    list(connection, sql, [], |row| row.get(0))
}

/// The supplies of a release, on all computers.
pub fn supplies_of(connection: &Connection, url: &SoftwareUrl) -> rusqlite::Result<Vec<Supply>> {
    let sql = "SELECT computer, url, state FROM supply WHERE url = ?1 ORDER BY computer";
    list(connection, sql, [url], |row| {
        Ok(Supply { computer: row.get(0)?, url: row.get(1)?, state: row.get(2)? })
    })
}

/// Gives a supply another URL.
///
/// # Errors
/// A constraint when that is supplied to the computer already.
pub fn move_supply(connection: &Connection, supply: &Supply, url: &SoftwareUrl) -> rusqlite::Result<()> {
    room::of_supplies(connection, &supply.computer, [&supply.url, url], || {
        connection
            .prepare_cached("UPDATE supply SET url = ?3 WHERE computer = ?1 AND url = ?2")?
            .execute((&supply.computer, &supply.url, url))
            .map(drop)
    })
}

/// The instances of a release, in the order in which they came to be.
pub fn instances_of(connection: &Connection, release: &SoftwareUrl) -> rusqlite::Result<Vec<Instance>> {
    instances::many(connection, "WHERE release = ?1 ORDER BY number", [release])
}

/// Gives an instance another release.
pub fn set_release(connection: &Connection, number: i64, release: &SoftwareUrl) -> rusqlite::Result<()> {
    room::of_instance(connection, room::ITSELF, number, || {
        connection
            .prepare_cached("UPDATE instance SET release = ?2 WHERE number = ?1")?
            .execute((number, release))
            .map(drop)
    })
}
