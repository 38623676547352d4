//! SQLite in memory: the real SQL, with a commit that takes a drawn time and happens at one point.

use super::{files::MemoryFiles, pause, random::Random};
use rusqlite::Connection;
use slap_impl::env::{Batch, Files, LocalFuture, Store, StoreError, Stores, begin_batch};
use std::{
    cell::RefCell,
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};

/// The databases of a world. A database lives as long as the file that stands for it.
pub(crate) struct MemoryStores {
    files: Rc<MemoryFiles>,
    random: Random,
    databases: RefCell<BTreeMap<PathBuf, Rc<RefCell<Connection>>>>,
}

/// One database, open.
struct MemoryStore {
    connection: Rc<RefCell<Connection>>,
    random: Random,
}

impl MemoryStores {
    pub(crate) fn new(files: Rc<MemoryFiles>, random: Random) -> MemoryStores {
        MemoryStores { files, random, databases: RefCell::default() }
    }
}

impl Stores for MemoryStores {
    fn open(&self, path: &Path) -> Result<Box<dyn Store>, StoreError> {
        let mut databases = self.databases.borrow_mut();
        if !self.files.exists(path) {
            databases.remove(path);
            self.files.write(path, b"SQLite format 3\0", 0o600).map_err(|error| failure(path, &error))?;
        }
        let connection = match databases.get(path) {
            Some(connection) => connection.clone(),
            None => {
                let content = self.files.read(path, 1 << 20).map_err(|error| failure(path, &error))?;
                if content != b"SQLite format 3\0" {
                    return Err(StoreError {
                        message: format!("{}: file is not a database", path.display()),
                        full: false,
                    });
                }
                let connection = Connection::open_in_memory()?;
                connection.execute_batch("pragma foreign_keys = on;")?;
                connection.set_prepared_statement_cache_capacity(128);
                let connection = Rc::new(RefCell::new(connection));
                databases.insert(path.to_owned(), connection.clone());
                connection
            }
        };
        // The list and the open store hold it: a third holder would be another opening.
        if Rc::strong_count(&connection) > 2 {
            return Err(StoreError {
                message: format!("{}: another process has it open", path.display()),
                full: false,
            });
        }
        Ok(Box::new(MemoryStore { connection, random: self.random.clone() }))
    }
}

fn failure(path: &Path, error: &io::Error) -> StoreError {
    StoreError {
        message: format!("{}: {error}", path.display()),
        full: error.kind() == io::ErrorKind::StorageFull,
    }
}

impl Store for MemoryStore {
    fn read(&self, query: &mut dyn FnMut(&Connection) -> rusqlite::Result<()>) -> Result<(), StoreError> {
        let connection = self.connection.borrow();
        connection.pragma_update(None, "query_only", true)?;
        let result = query(&connection);
        connection.pragma_update(None, "query_only", false)?;
        Ok(result?)
    }

    fn commit(&self, batch: Batch) -> LocalFuture<'_, Result<(), StoreError>> {
        let delay = self.random.duration(Duration::from_micros(200), Duration::from_millis(3));
        Box::pin(async move {
            // A kill before this point loses the batch, one after it loses the answers only.
            pause(delay / 2).await;
            apply(&self.connection.borrow(), batch)?;
            pause(delay / 2).await;
            Ok(())
        })
    }
}

fn apply(connection: &Connection, mut batch: Batch) -> Result<(), StoreError> {
    let result = begin_batch(connection, &mut batch).and_then(|()| Ok(connection.execute_batch("commit")?));
    if result.is_err() && !connection.is_autocommit() {
        connection.execute_batch("rollback")?;
    }
    result
}
