//! The crash tier: production's two connections (`env/sqlite.rs`), a write-ahead log, on the disk of the world.

use super::{
    super::{
        disk::names::Inode,
        files::{LockHolder, MemoryFiles, MemoryLock},
        random::Random,
        sqlite::{FileSystem, Session, with_seed},
    },
    Engine, WorldStores, failure,
};
use rusqlite::Connection;
use slap_impl::env::{Batch, Files, Identity, StoreError, StoreErrorKind, sqlite};
use std::{
    cell::{Cell, RefCell},
    io,
    path::{Path, PathBuf},
    rc::Rc,
};

/// Locks of stores are numbered from here, those of files from 0.
const SERIAL_MIN: u64 = 1 << 63;

/// A database on the disk, open.
pub(super) struct CrashStore {
    // Dropped in this order: the connections, what they stand on, and the lock last of all.
    connections: Option<Connections>,
    session: Rc<Session>,
    _file_system: FileSystem,
    _lock: MemoryLock,
    random: Random,
    files: Rc<MemoryFiles>,
    path: PathBuf,
    /// Which file it was when it was opened.
    file: Rc<Inode>,
    /// Which file its write-ahead log is, once there is one.
    log: RefCell<Option<Rc<Inode>>>,
    /// Whether it was given its write-ahead log when it was opened.
    is_prepared: bool,
    /// Whether there was a batch.
    is_ours: Cell<bool>,
}

struct Connections {
    writer: Connection,
    reader: Connection,
}

impl CrashStore {
    pub(super) fn open(stores: &WorldStores, path: &Path, owner: Identity) -> Result<CrashStore, StoreError> {
        let files = stores.files.clone();
        let number = stores.opened.replace(stores.opened.get() + 1);
        files.act_for(owner);
        let failed = |error: io::Error| failure(path, &error, StoreErrorKind::of_file(&error));
        let mut lock_path = path.as_os_str().to_owned();
        lock_path.push(".lock");
        let holder = LockHolder { owner, serial: SERIAL_MIN + number };
        let lock = MemoryFiles::take_lock(&files, Path::new(&lock_path), holder)
            .map_err(failed)?
            .ok_or_else(|| failure(path, "is in use: another process has it open", StoreErrorKind::InUse))?;
        if !files.exists(path) {
            files.write(path, b"", 0o600).map_err(failed)?;
        }
        let (_, file) = files.file(path).map_err(failed)?;
        let random = stores.random.child(&format!("database {number}"));
        let session = Session::new(files.clone(), stores.disk.clone(), owner, random.child("session"));
        stores.sessions.borrow_mut().push((owner, Rc::downgrade(&session)));
        let file_system = FileSystem::new(session.clone());
        let opened = with_seed(random.number(), || connect(path, &file_system));
        let (connections, is_prepared) = opened.map_err(|error| {
            let error = StoreError::from(error);
            failure(path, &error, error.kind)
        })?;
        Ok(CrashStore {
            connections: Some(connections),
            session,
            _file_system: file_system,
            _lock: lock,
            random,
            files,
            path: path.to_owned(),
            file,
            log: RefCell::default(),
            is_prepared,
            is_ours: Cell::new(false),
        })
    }

    fn connections(&self) -> &Connections {
        self.connections.as_ref().expect("they are closed when it is dropped")
    }

    /// What is done before the first batch: from then on the database is ours.
    fn take_over(&self, writer: &Connection) -> Result<(), StoreError> {
        if self.is_ours.get() {
            return Ok(());
        }
        self.files.set_mode(&self.path, 0o600).map_err(|error| {
            let kind = StoreErrorKind::of_file(&error);
            failure(&self.path, error, kind)
        })?;
        if !self.is_prepared {
            sqlite::prepare(writer)?;
        }
        self.is_ours.set(true);
        Ok(())
    }

    /// A file that was removed takes writes, which nobody finds again: that is an error.
    fn check(&self, path: &Path, file: &Rc<Inode>) -> Result<(), StoreError> {
        match self.files.file(path) {
            Ok((_, now)) if Rc::ptr_eq(&now, file) => Ok(()),
            _ => {
                let message = "the database's file was removed or replaced while it was in use";
                Err(failure(path, message, StoreErrorKind::Gone))
            }
        }
    }

    fn log_path(&self) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push("-wal");
        PathBuf::from(path)
    }
}

/// Opens both connections; whether the database has its write-ahead log.
fn connect(path: &Path, file_system: &FileSystem) -> rusqlite::Result<(Connections, bool)> {
    let connect = || Connection::open_with_flags_and_vfs(path, sqlite::FLAGS, file_system.name());
    let writer = connect()?;
    sqlite::configure(&writer)?;
    let is_prepared = sqlite::is_new_or_prepared(&writer)?;
    if is_prepared {
        sqlite::prepare(&writer)?;
    }
    let reader = connect()?;
    sqlite::configure_reader(&reader)?;
    Ok((Connections { writer, reader }, is_prepared))
}

impl Engine for CrashStore {
    fn read(&self, query: &mut dyn FnMut(&Connection) -> rusqlite::Result<()>) -> Result<(), StoreError> {
        self.check(&self.path, &self.file)?;
        with_seed(self.random.number(), || sqlite::read(&self.connections().reader, query))
    }

    fn execute(&self, batch: Batch) -> Result<(), StoreError> {
        let writer = &self.connections().writer;
        let mut look_for_log = || {
            if self.log.borrow().is_none() {
                self.log.replace(self.files.file(&self.log_path()).ok().map(|(_, file)| file));
            }
        };
        let mut check = || {
            self.check(&self.path, &self.file)?;
            self.log.borrow().as_ref().map_or(Ok(()), |log| self.check(&self.log_path(), log))
        };
        with_seed(self.random.number(), || {
            self.take_over(writer)?;
            sqlite::execute_batch(writer, batch, &mut look_for_log, &mut check)
        })
    }

    fn look(&self, query: &mut dyn FnMut(&Connection) -> rusqlite::Result<()>) -> Result<(), StoreError> {
        with_seed(0, || sqlite::read(&self.connections().reader, query))
    }

    fn is_gone(&self) -> bool {
        self.session.is_gone()
    }
}

impl Drop for CrashStore {
    fn drop(&mut self) {
        // Closing moves the log into the database.
        with_seed(self.random.number(), || drop(self.connections.take()));
    }
}
