//! SQLite databases of a world: the real SQL, with a commit that takes a drawn time and happens at one point of it.
//!
//! * `store/memory.rs`: the fast tier: databases in memory, durable at once
//! * `store/crash.rs`: the crash tier: production's two connections on the world's disk, which faults and losses of power meet
//! * this file: what both are behind [`Stores`], for one process: batches in order, each answered when it is durable
//!
//! A kill before a batch's point loses the batch, one after it the answers only. In the crash tier a fault may end the process or the
//! machine within it, too.

mod crash;
mod memory;

use super::{disk::Disk, files::MemoryFiles, pause, processes::ProcessEnv, random::Random, sqlite::Session};
use rusqlite::Connection;
use slap_impl::env::{Batch, Identity, LocalFuture, Store, StoreError, StoreErrorKind, Stores};
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, VecDeque},
    fmt::Display,
    future,
    path::{Path, PathBuf},
    rc::{Rc, Weak},
    time::Duration,
};
use tokio::sync::{Notify, oneshot};

/// The databases of a world.
pub(crate) struct WorldStores {
    files: Rc<MemoryFiles>,
    disk: Rc<Disk>,
    random: Random,
    /// Those in memory. One lives as long as the file that stands for it.
    databases: RefCell<BTreeMap<PathBuf, Rc<RefCell<Connection>>>>,
    /// Who has databases on the disk open.
    sessions: RefCell<Vec<(Identity, Weak<Session>)>>,
    /// The stores that are open, for [`WorldStores::look`].
    stores: RefCell<BTreeMap<PathBuf, Weak<Shared>>>,
    opened: Cell<u64>,
}

/// The databases as one process sees them.
pub(crate) struct ProcessStores {
    pub(crate) stores: Rc<WorldStores>,
    pub(crate) process: ProcessEnv,
}

/// One open database. Dropping it closes it.
trait Engine {
    fn read(&self, query: &mut dyn FnMut(&Connection) -> rusqlite::Result<()>) -> Result<(), StoreError>;
    fn execute(&self, batch: Batch) -> Result<(), StoreError>;
    /// Reads as nobody of the world: no fault meets it, and nothing is drawn for it.
    fn look(&self, query: &mut dyn FnMut(&Connection) -> rusqlite::Result<()>) -> Result<(), StoreError> {
        self.read(query)
    }
    /// Whether a fault ended the process: nobody is answered any more.
    fn is_gone(&self) -> bool;
}

/// A database, open.
struct WorldStore {
    shared: Rc<Shared>,
    random: Random,
    process: ProcessEnv,
}

/// What the store and the task that executes its batches share.
struct Shared {
    /// None when it was closed.
    engine: RefCell<Option<Box<dyn Engine>>>,
    jobs: RefCell<VecDeque<Job>>,
    changed: Notify,
}

struct Job {
    batch: Batch,
    delay: Duration,
    answer: oneshot::Sender<Result<(), StoreError>>,
}

impl WorldStores {
    pub(crate) fn new(files: Rc<MemoryFiles>, disk: Rc<Disk>, random: Random) -> WorldStores {
        let (databases, sessions, stores) = (RefCell::default(), RefCell::default(), RefCell::default());
        WorldStores { files, disk, random, databases, sessions, stores, opened: Cell::new(0) }
    }

    /// Takes away the databases in memory, as another disk does. All processes have ended.
    pub(crate) fn clear(&self) {
        self.databases.borrow_mut().clear();
    }

    /// Takes over the databases in memory of another machine, whose files have been copied.
    pub(crate) fn copy_from(&self, other: &WorldStores) {
        for (path, connection) in other.databases.borrow().iter() {
            let copied = memory::copy(&connection.borrow()).expect("a database in memory can be copied");
            self.databases.borrow_mut().insert(path.clone(), Rc::new(RefCell::new(copied)));
        }
    }

    /// Reads a database from outside, through whoever has it open; false when nobody has.
    pub(crate) fn look(
        &self,
        path: &Path,
        query: &mut dyn FnMut(&Connection) -> rusqlite::Result<()>,
    ) -> Result<bool, StoreError> {
        let store = self.stores.borrow().get(path).and_then(Weak::upgrade);
        let Some(store) = store else { return Ok(false) };
        match &*store.engine.borrow() {
            Some(engine) if !engine.is_gone() => self.disk.quietly(|| engine.look(query)).map(|()| true),
            _ => Ok(false),
        }
    }

    /// A process has ended: what it had open has no effect any more.
    pub(crate) fn end(&self, owner: Identity) {
        self.sessions.borrow_mut().retain(|(other, session)| {
            let Some(session) = session.upgrade() else { return false };
            if *other == owner {
                session.end();
            }
            *other != owner
        });
    }
}

impl Stores for ProcessStores {
    fn open(&self, path: &Path) -> Result<Box<dyn Store>, StoreError> {
        let engine: Box<dyn Engine> = if self.stores.disk.remembers() {
            Box::new(crash::CrashStore::open(&self.stores, path, self.process.identity())?)
        } else {
            Box::new(memory::MemoryStore::open(&self.stores, path)?)
        };
        let shared = Rc::new(Shared {
            engine: RefCell::new(Some(engine)),
            jobs: RefCell::default(),
            changed: Notify::new(),
        });
        self.stores.stores.borrow_mut().insert(path.to_owned(), Rc::downgrade(&shared));
        self.process.add_task(Box::pin(work(shared.clone())));
        Ok(Box::new(WorldStore { shared, random: self.stores.random.clone(), process: self.process.clone() }))
    }
}

impl Store for WorldStore {
    fn read(&self, query: &mut dyn FnMut(&Connection) -> rusqlite::Result<()>) -> Result<(), StoreError> {
        match &*self.shared.engine.borrow() {
            Some(engine) => engine.read(query),
            None => unreachable!("it is closed when it is dropped"),
        }
    }

    fn commit(&self, batch: Batch) -> LocalFuture<'_, Result<(), StoreError>> {
        let delay = self.random.duration(Duration::from_micros(200), Duration::from_millis(3));
        let (answer, result) = oneshot::channel();
        // Put there at once, so that batches are executed in the order of the calls, awaited or not.
        self.shared.jobs.borrow_mut().push_back(Job { batch, delay, answer });
        self.shared.changed.notify_one();
        Box::pin(async move {
            match result.await {
                Ok(result) => result,
                // The process is gone, and with it the task.
                Err(_) => future::pending().await,
            }
        })
    }
}

impl Drop for WorldStore {
    fn drop(&mut self) {
        let engine = self.shared.engine.take();
        // As in reality, who closes a store waits for the batches that it was given. A process that has ended does not.
        while let Some(job) = self.shared.jobs.borrow_mut().pop_front() {
            if let Some(engine) =
                engine.as_ref().filter(|engine| !self.process.has_ended() && !engine.is_gone())
            {
                let _ = job.answer.send(engine.execute(job.batch));
            }
        }
        self.shared.changed.notify_one();
    }
}

/// Executes batches, one after the other, until the store is closed.
async fn work(shared: Rc<Shared>) {
    while shared.engine.borrow().is_some() {
        let Some(delay) = shared.jobs.borrow().front().map(|job| job.delay) else {
            shared.changed.notified().await;
            continue;
        };
        pause(delay / 2).await;
        // It stays in the queue until now, because who closes the store executes what is there.
        let Some(job) = shared.jobs.borrow_mut().pop_front() else { return };
        let Some(result) = shared.engine.borrow().as_ref().map(|engine| engine.execute(job.batch)) else {
            return;
        };
        if shared.engine.borrow().as_ref().is_none_or(|engine| engine.is_gone()) {
            return future::pending().await;
        }
        pause(delay / 2).await;
        // Whoever asked may be gone; the batch counts all the same.
        let _ = job.answer.send(result);
    }
}

fn failure(path: &Path, what: impl Display, kind: StoreErrorKind) -> StoreError {
    StoreError::new(kind, format!("{}: {what}", path.display()))
}
