//! What a store does with SQLite, whichever file system its database stands on: settings of the two connections, a read, a batch.
//!
//! The real stores and those of a simulated disk are made of these, so that what is crashed there is what runs here.

use super::{Batch, StoreError, StoreErrorKind, Verdict, Write};
use rusqlite::{Connection, OpenFlags};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// KiB of pages that the reading connection keeps.
const READER_CACHE_KIB: i64 = 512;
/// Prepared statements that a connection keeps: all that the program has. With fewer, each would be prepared again and again.
const STATEMENTS_KEPT: usize = 128;

/// How both connections are opened: the file is there already, and a connection is used by one thread at a time.
pub const FLAGS: OpenFlags = OpenFlags::SQLITE_OPEN_READ_WRITE.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

/// Sets what both connections need: durable commits (synchronous FULL), foreign keys, patience with a lock. Nothing is written.
///
/// # Errors
/// Those of SQLite; among them that the file is no database.
pub fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)
}

/// As [`configure`], for the connection that only reads.
///
/// # Errors
/// Those of SQLite.
pub fn configure_reader(connection: &Connection) -> rusqlite::Result<()> {
    configure(connection)?;
    connection.pragma_update(None, "query_only", true)?;
    // What it reads again and again stands in the system's cache, too.
    connection.pragma_update(None, "cache_size", -READER_CACHE_KIB)
}

/// Whether a database is empty, or has a write-ahead log already.
///
/// # Errors
/// Those of SQLite; among them that the file is no database.
pub fn is_new_or_prepared(connection: &Connection) -> rusqlite::Result<bool> {
    let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0))?;
    let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
    Ok(pages == 0 || mode.eq_ignore_ascii_case("wal"))
}

/// Gives a database its write-ahead log. What a log holds already is made durable, and moved into the database: where only the last
/// process was killed, SQLite recovers what that had written and not yet synced, and shows it to readers, which the next loss of power
/// would prove wrong.
///
/// # Errors
/// When the file system allows none, and those of SQLite.
pub fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode.eq_ignore_ascii_case("wal") {
        // One that may only be read is read as it is.
        let is_writable = !connection.is_readonly(rusqlite::MAIN_DB)?;
        return if is_writable {
            connection.query_row("PRAGMA wal_checkpoint", [], |_| Ok(()))
        } else {
            Ok(())
        };
    }
    Err(rusqlite::Error::SqliteFailure(
        rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN),
        Some(format!("the file system allows no write-ahead log (journal mode stays {mode})")),
    ))
}

/// Runs a query in one transaction, so that all its statements see the same state.
///
/// # Errors
/// The query's, and those of SQLite.
pub fn read(
    connection: &Connection,
    query: &mut dyn FnMut(&Connection) -> rusqlite::Result<()>,
) -> Result<(), StoreError> {
    if !connection.is_autocommit() {
        // Left by a query that panicked.
        connection.execute_batch("ROLLBACK")?;
    }
    connection.prepare_cached("BEGIN")?.execute([])?;
    let result = query(connection);
    if !connection.is_autocommit() {
        connection.prepare_cached("ROLLBACK")?.execute([])?;
    }
    Ok(result?)
}

/// Runs a batch in one transaction, which is durable when this returns. After an error nothing of it happened. `begun` is called when
/// the transaction is begun, `check` last of all: its error undoes the batch.
///
/// # Errors
/// Those of SQLite, of a write, and of `check`; a write that panicked or ended the transaction.
pub fn execute_batch(
    connection: &Connection,
    batch: Batch,
    begun: &mut dyn FnMut(),
    check: &mut dyn FnMut() -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let result = execute_writes(connection, batch, begun, check);
    if result.is_err() && !connection.is_autocommit() {
        // What does not succeed here is done before the next batch.
        let _ = connection.execute_batch("ROLLBACK");
    }
    result
}

fn execute_writes(
    connection: &Connection,
    mut batch: Batch,
    begun: &mut dyn FnMut(),
    check: &mut dyn FnMut() -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    if !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK")?;
    }
    connection.execute_batch("BEGIN IMMEDIATE")?;
    begun();
    if !run_together(connection, &mut batch)? {
        connection.execute_batch("ROLLBACK; BEGIN IMMEDIATE")?;
        run_apart(connection, &mut batch)?;
    }
    check()?;
    Ok(connection.execute_batch("COMMIT")?)
}

/// Runs the writes without savepoints, which cost as much as the writes, for SQLite copies each page that is changed in one. Whether that did:
/// not when one is to be undone that changed something.
fn run_together(connection: &Connection, batch: &mut Batch) -> Result<bool, StoreError> {
    let before = schema_version(connection)?;
    for write in batch {
        let changes = connection.total_changes();
        if run(connection, write)? == Verdict::Discard
            && (connection.total_changes() != changes || schema_version(connection)? != before)
        {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Runs each write in a savepoint of its own.
fn run_apart(connection: &Connection, batch: &mut Batch) -> Result<(), StoreError> {
    for write in batch {
        connection.prepare_cached("SAVEPOINT slap_write")?.execute([])?;
        if run(connection, write)? == Verdict::Discard {
            connection.prepare_cached("ROLLBACK TO slap_write")?.execute([])?;
        }
        connection.prepare_cached("RELEASE slap_write")?.execute([])?;
    }
    Ok(())
}

fn run(connection: &Connection, write: &mut Write) -> Result<Verdict, StoreError> {
    let verdict = catch_unwind(AssertUnwindSafe(|| write(connection))).map_err(|panic| {
        StoreError::new(StoreErrorKind::Other, format!("a write panicked: {}", describe(&*panic)))
    })??;
    if connection.is_autocommit() {
        let message = "a write ended the batch's transaction";
        return Err(StoreError::new(StoreErrorKind::Other, message));
    }
    Ok(verdict)
}

/// Changes of tables are not counted as changes of rows.
fn schema_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("PRAGMA schema_version")?.query_row([], |row| row.get(0))
}

fn describe(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "without a message".to_owned())
}
