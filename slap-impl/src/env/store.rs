//! SQLite databases: reads at once, writes in batches that are durable when `commit` says so.

use super::LocalFuture;
use rusqlite::{Connection, Error as SqlError, ErrorCode};
use std::{fmt, io, path::Path};

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
    /// What kind of trouble it is.
    pub kind: StoreErrorKind,
}

/// What kind of trouble a store is in. What SQLite says is told by its result code, never by its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// The file or disk is full.
    Full,
    /// The file is no database, or its beginning is damaged.
    NotDatabase,
    /// The file, or its log, does not hold what was written to it.
    Damaged,
    /// A row holds what its column never does: written by another hand, or damaged.
    Unreadable,
    /// The file or its directory may not be written.
    ReadOnly,
    /// The disk failed.
    Broken,
    /// Another process has it open.
    InUse,
    /// The file was removed or replaced while it was open.
    Gone,
    /// Anything else; the message says what.
    Other,
}

impl StoreError {
    /// An error of that kind.
    pub fn new(kind: StoreErrorKind, message: impl Into<String>) -> StoreError {
        StoreError { message: message.into(), kind }
    }
}

impl StoreErrorKind {
    /// Whether the file is known to be damaged, so that nothing may be written to it any more.
    pub fn is_damage(self) -> bool {
        matches!(self, StoreErrorKind::NotDatabase | StoreErrorKind::Damaged)
    }

    /// The kind of an error of the file system.
    pub fn of_file(error: &io::Error) -> StoreErrorKind {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreErrorKind::Full,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => StoreErrorKind::ReadOnly,
            _ => StoreErrorKind::Other,
        }
    }

    fn of_sqlite(error: &SqlError) -> StoreErrorKind {
        match error {
            SqlError::SqliteFailure(failure, message) => match failure.code {
                ErrorCode::DiskFull => StoreErrorKind::Full,
                ErrorCode::NotADatabase => StoreErrorKind::NotDatabase,
                ErrorCode::DatabaseCorrupt => StoreErrorKind::Damaged,
                // A damaged number in the header has no code of its own, only this text of SQLite's (sqlite3InitOne).
                ErrorCode::Unknown if message.as_deref() == Some("unsupported file format") => {
                    StoreErrorKind::Damaged
                }
                ErrorCode::ReadOnly | ErrorCode::PermissionDenied => StoreErrorKind::ReadOnly,
                ErrorCode::SystemIoFailure => StoreErrorKind::Broken,
                // The last: the log's locks were still taken after many tries (sqlite.org/rescode.html#protocol).
                ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::FileLockingProtocolFailed => StoreErrorKind::InUse,
                _ => StoreErrorKind::Other,
            },
            SqlError::FromSqlConversionFailure(..)
            | SqlError::IntegralValueOutOfRange(..)
            | SqlError::InvalidColumnType(..)
            | SqlError::Utf8Error(..) => StoreErrorKind::Unreadable,
            _ => StoreErrorKind::Other,
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for StoreError {}

impl From<SqlError> for StoreError {
    fn from(error: SqlError) -> StoreError {
        StoreError { kind: StoreErrorKind::of_sqlite(&error), message: error.to_string() }
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

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::ffi;

    #[test]
    fn kinds_are_told_by_codes() {
        let of_code = |code: i32, words: Option<&str>| {
            let error = SqlError::SqliteFailure(ffi::Error::new(code), words.map(str::to_owned));
            StoreError::from(error).kind
        };
        for (code, expected) in [
            (ffi::SQLITE_FULL, StoreErrorKind::Full),
            (ffi::SQLITE_NOTADB, StoreErrorKind::NotDatabase),
            (ffi::SQLITE_CORRUPT, StoreErrorKind::Damaged),
            (ffi::SQLITE_CORRUPT_INDEX, StoreErrorKind::Damaged),
            (ffi::SQLITE_READONLY_DIRECTORY, StoreErrorKind::ReadOnly),
            (ffi::SQLITE_IOERR_FSYNC, StoreErrorKind::Broken),
            (ffi::SQLITE_BUSY_SNAPSHOT, StoreErrorKind::InUse),
            (ffi::SQLITE_PROTOCOL, StoreErrorKind::InUse),
            (ffi::SQLITE_CONSTRAINT_UNIQUE, StoreErrorKind::Other),
        ] {
            for words in [None, Some("anything"), Some("database disk image is malformed; full; readonly")] {
                assert_eq!(of_code(code, words), expected, "{code}, {words:?}");
            }
        }
        assert_eq!(of_code(ffi::SQLITE_ERROR, Some("unsupported file format")), StoreErrorKind::Damaged);
        assert_eq!(of_code(ffi::SQLITE_ERROR, Some("malformed JSON")), StoreErrorKind::Other);
    }

    #[test]
    fn a_row_that_holds_something_else_is_unreadable() {
        let connection = Connection::open_in_memory().unwrap();
        let kind = |error: SqlError| StoreError::from(error).kind;
        let text = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap_err();
        for sql in ["SELECT 5", "SELECT NULL", "SELECT CAST(x'ff' AS TEXT)"] {
            assert_eq!(kind(text(sql)), StoreErrorKind::Unreadable, "{sql}");
        }
        let small = connection.query_row("SELECT 300", [], |row| row.get::<_, u8>(0)).unwrap_err();
        assert_eq!(kind(small), StoreErrorKind::Unreadable);
        assert_eq!(kind(text("SELECT 'a' WHERE 0")), StoreErrorKind::Other, "no row is no damage");
    }
}
