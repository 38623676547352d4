//! The fast tier: a database in memory, which is durable at once. A file stands for it.

use super::{Engine, WorldStores, failure};
use crate::world::sqlite::with_seed;
use rusqlite::{Connection, backup::Backup};
use slap_impl::env::{Batch, Files, StoreError, StoreErrorKind, sqlite};
use std::{cell::RefCell, io, path::Path, rc::Rc};

/// What stands in the file of a database.
const CONTENT: &[u8] = b"SQLite format 3\0";
/// Of SQLite's random numbers. Those of a database in memory are seen nowhere; but they must not come from the system.
const SEED: u64 = 1;

/// A database in memory, open.
pub(super) struct MemoryStore {
    connection: Rc<RefCell<Connection>>,
}

impl MemoryStore {
    pub(super) fn open(stores: &WorldStores, path: &Path) -> Result<MemoryStore, StoreError> {
        let failed = |error: io::Error| failure(path, &error, StoreErrorKind::of_file(&error));
        let mut databases = stores.databases.borrow_mut();
        if !stores.files.exists(path) {
            databases.remove(path);
            stores.files.write(path, CONTENT, 0o600).map_err(failed)?;
        }
        let connection = match databases.get(path) {
            Some(connection) => connection.clone(),
            None => {
                if stores.files.read(path, 1 << 20).map_err(failed)? != CONTENT {
                    return Err(failure(path, "file is not a database", StoreErrorKind::NotDatabase));
                }
                let connection = with_seed(SEED, || {
                    let connection = Connection::open_in_memory()?;
                    sqlite::configure(&connection).map(|()| connection)
                })?;
                let connection = Rc::new(RefCell::new(connection));
                databases.insert(path.to_owned(), connection.clone());
                connection
            }
        };
        // The list and the open store hold it: a third holder would be another opening.
        if Rc::strong_count(&connection) > 2 {
            return Err(failure(path, "is in use: another process has it open", StoreErrorKind::InUse));
        }
        Ok(MemoryStore { connection })
    }
}

/// A database with the same content.
pub(super) fn copy(from: &Connection) -> rusqlite::Result<Connection> {
    with_seed(SEED, || {
        let mut to = Connection::open_in_memory()?;
        Backup::new(from, &mut to)?.step(-1)?;
        sqlite::configure(&to)?;
        Ok(to)
    })
}

impl Engine for MemoryStore {
    /// What a read changes is undone, and an error. A connection could be told to refuse it at once; but whenever that is changed, SQLite prepares
    /// all statements anew.
    fn read(&self, query: &mut dyn FnMut(&Connection) -> rusqlite::Result<()>) -> Result<(), StoreError> {
        let connection = self.connection.borrow();
        let before = connection.total_changes();
        sqlite::read(&connection, query)?;
        if connection.total_changes() == before {
            return Ok(());
        }
        let error = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_READONLY);
        let message = "attempt to write a readonly database".to_owned();
        Err(rusqlite::Error::SqliteFailure(error, Some(message)).into())
    }

    fn execute(&self, batch: Batch) -> Result<(), StoreError> {
        with_seed(SEED, || {
            sqlite::execute_batch(&self.connection.borrow(), batch, &mut || (), &mut || Ok(()))
        })
    }

    fn is_gone(&self) -> bool {
        false
    }
}
