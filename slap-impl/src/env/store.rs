//! SQLite databases: reads at once, writes in batches that are durable when `commit` says so.

use super::LocalFuture;
use rusqlite::Connection;
use std::{fmt, path::Path};

/// What one write wants to become of its changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Keep them.
    Keep,
    /// Undo them, and only them.
    Discard,
}

/// One write: it runs inside the batch's transaction, and again when the batch has to be run again. It hands its answer on by itself (it
/// runs on another thread in reality); the last answer counts, after the batch was committed.
pub type Write = Box<dyn FnMut(&Connection) -> rusqlite::Result<Verdict> + Send>;

/// Writes that become durable together, in order.
pub type Batch = Vec<Write>;

/// Why a store could not be opened, read or written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreError {
    /// What happened, in words.
    pub message: String,
    /// Whether the file or disk was full.
    pub full: bool,
}

impl fmt::Display for StoreError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for StoreError {}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> StoreError {
        let full = matches!(&error, rusqlite::Error::SqliteFailure(code, _)
            if code.code == rusqlite::ErrorCode::DiskFull);
        StoreError { message: error.to_string(), full }
    }
}

/// An open database.
pub trait Store {
    /// Runs `query` at once on the last committed state. It must not write.
    fn read(&self, query: &mut dyn FnMut(&Connection) -> rusqlite::Result<()>) -> Result<(), StoreError>;
    /// Runs the writes in one transaction; ends when they are durable. After an error none of them happened.
    fn commit(&self, batch: Batch) -> LocalFuture<'_, Result<(), StoreError>>;
}

/// SQLite databases.
pub trait Stores {
    /// Opens a database, which is created (mode 0600) if it is missing: WAL, synchronous FULL, foreign keys on.
    ///
    /// # Errors
    /// When the file is no database, or another process has it open for writing through this door.
    fn open(&self, path: &Path) -> Result<Box<dyn Store>, StoreError>;
}
