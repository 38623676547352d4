//! The fast tier: a database in memory, which is durable at once. A file stands for it.

use super::{Engine, WorldStores, failure};
use crate::world::sqlite::with_seed;
use rusqlite::{Connection, backup::Backup};
use slap_impl::env::{Batch, Files, StoreError, StoreErrorKind, sqlite};
use std::{
    cell::{Cell, RefCell},
    io,
    path::Path,
    rc::Rc,
};

/// What stands in the file of a database.
const CONTENT: &[u8] = b"SQLite format 3\0";
/// Of SQLite's random numbers. Those of a database in memory are seen nowhere; but they must not come from the system.
const SEED: u64 = 1;

/// A database in memory, open.
pub(super) struct MemoryStore {
    connection: Rc<RefCell<Connection>>,
    /// Whether the connection refuses to write. Each change of that makes SQLite prepare all statements anew, so it is changed only when the
    /// other is asked for.
    is_read_only: Cell<bool>,
}

impl MemoryStore {
    fn set_read_only(&self, is_read_only: bool) -> rusqlite::Result<()> {
        if self.is_read_only.get() != is_read_only {
            self.connection.borrow().pragma_update(None, "query_only", is_read_only)?;
            self.is_read_only.set(is_read_only);
        }
        Ok(())
    }
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
        // Whoever had it open last may have read.
        connection.borrow().pragma_update(None, "query_only", false)?;
        Ok(MemoryStore { connection, is_read_only: Cell::new(false) })
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
    fn read(&self, query: &mut dyn FnMut(&Connection) -> rusqlite::Result<()>) -> Result<(), StoreError> {
        self.set_read_only(true)?;
        Ok(query(&self.connection.borrow())?)
    }

    fn execute(&self, batch: Batch) -> Result<(), StoreError> {
        self.set_read_only(false)?;
        with_seed(SEED, || {
            sqlite::execute_batch(&self.connection.borrow(), batch, &mut || (), &mut || Ok(()))
        })
    }

    fn is_gone(&self) -> bool {
        false
    }
}
