//! Group commit: writes wait in a queue, all that wait become durable together, and each is answered only then.
//!
//! This is ordinary local code, so that a simulated world runs it too; what takes time is the store's `commit`.
//! A batch that fails happened not at all: everyone in it is told why, and the queue goes on with the next one.

use crate::env::{Env, Store, StoreError, Verdict, Write};
use rusqlite::{Connection, ErrorCode};
use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    fmt,
    rc::Rc,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::{Notify, oneshot, watch};

/// Writes of one batch at most, so that the first of them does not wait for thousands.
const BATCH_MAX: usize = 512;
/// Writes that may wait; a further one is refused at once.
pub(super) const WAITING_MAX: usize = 8192;

/// Why a write did not happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The store failed, and with it the whole batch: a full disk, a broken file.
    Store(StoreError),
    /// Only this write failed: a bug of ours. The others of its batch are in place.
    Write(String),
    /// Too many writes wait already.
    Full,
    /// The queue was closed: this master ends.
    Closed,
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Store(error) => write!(formatter, "the database could not be written: {error}"),
            Refused::Write(message) => write!(formatter, "the change could not be written: {message}"),
            Refused::Full => write!(formatter, "{WAITING_MAX} changes wait to be written already"),
            Refused::Closed => write!(formatter, "the master is ending"),
        }
    }
}

impl std::error::Error for Refused {}

/// What a write did and what it answers.
pub struct Written<T> {
    /// Whether its changes shall stay.
    pub verdict: Verdict,
    /// What to tell who asked for it.
    pub answer: T,
}

/// Called in commit order after each durable write that was kept, before it is answered.
type Publish = Box<dyn FnOnce()>;

struct Waiting {
    write: Write,
    done: oneshot::Sender<Result<(), StoreError>>,
    publish: Publish,
}

/// The queue. Its worker ends with it, once nothing waits any more.
pub struct CommitQueue {
    shared: Rc<Shared>,
}

struct Shared {
    waiting: RefCell<VecDeque<Waiting>>,
    arrived: Notify,
    closed: Cell<bool>,
    ended: watch::Sender<bool>,
    /// Batches that were begun, and those that ended.
    begun: Cell<u64>,
    done: Cell<u64>,
}

impl Drop for CommitQueue {
    fn drop(&mut self) {
        self.shared.closed.set(true);
        self.shared.arrived.notify_one();
    }
}

impl CommitQueue {
    /// A queue in front of `store`; its worker is a task of this process.
    pub fn start(env: &Env, store: Rc<dyn Store>) -> CommitQueue {
        let shared = Rc::new(Shared {
            waiting: RefCell::default(),
            arrived: Notify::new(),
            closed: Cell::new(false),
            ended: watch::Sender::new(false),
            begun: Cell::new(0),
            done: Cell::new(0),
        });
        env.spawn(work(env.clone(), store, shared.clone()));
        CommitQueue { shared }
    }

    /// Runs `write` inside the next batch and gives its answer once the batch is durable. `publish` is called with the
    /// answer then, also when nobody waits for it any more.
    ///
    /// # Errors
    /// [`Refused`]; nothing of the write happened then.
    pub async fn submit<T: Send + 'static>(
        &self,
        mut write: impl FnMut(&Connection) -> rusqlite::Result<Written<T>> + Send + 'static,
        publish: impl FnOnce(&T) + 'static,
    ) -> Result<T, Refused> {
        if self.shared.closed.get() {
            return Err(Refused::Closed);
        }
        if self.shared.waiting.borrow().len() >= WAITING_MAX {
            return Err(Refused::Full);
        }
        let slot: Arc<Mutex<Option<Result<T, Refused>>>> = Arc::default();
        let (inner, outer) = (slot.clone(), slot.clone());
        let write: Write = Box::new(move |connection| {
            let (verdict, answer) = match write(connection) {
                Ok(written) => (written.verdict, Ok(written.answer)),
                Err(error) if concerns_the_store(&error) => return Err(error),
                // One bad write must not take the others of its batch with it.
                Err(error) => (Verdict::Discard, Err(Refused::Write(error.to_string()))),
            };
            *lock(&inner) = Some(answer);
            Ok(verdict)
        });
        let publish: Publish = Box::new(move || {
            if let Some(Ok(answer)) = &*lock(&outer) {
                publish(answer);
            }
        });
        let (done, committed) = oneshot::channel();
        self.shared.waiting.borrow_mut().push_back(Waiting { write, done, publish });
        self.shared.arrived.notify_one();
        let lost = || Refused::Write("the write was lost".to_owned());
        match committed.await {
            Ok(Ok(())) => lock(&slot).take().unwrap_or_else(|| Err(lost())),
            Ok(Err(error)) => Err(Refused::Store(error)),
            Err(_) => Err(lost()),
        }
    }

    /// How many batches were committed or failed; none while one is under way, when what a read finds may be of before or after it.
    pub fn commits(&self) -> Option<u64> {
        let done = self.shared.done.get();
        (self.shared.begun.get() == done).then_some(done)
    }

    /// Takes no more writes; ends when those that wait are done and the worker has let go of the store.
    pub async fn close(&self) {
        self.shared.closed.set(true);
        self.shared.arrived.notify_one();
        // It cannot fail: the sender is in `shared`.
        let _ = self.shared.ended.subscribe().wait_for(|ended| *ended).await;
    }
}

fn lock<T>(slot: &Mutex<T>) -> MutexGuard<'_, T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether an error says something of the file or the disk and not of one statement.
fn concerns_the_store(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::ReadOnly
                | ErrorCode::CannotOpen
                | ErrorCode::OutOfMemory
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::OperationInterrupted
                | ErrorCode::FileLockingProtocolFailed
        )
    )
}

async fn work(env: Env, store: Rc<dyn Store>, shared: Rc<Shared>) {
    loop {
        let batch: Vec<Waiting> = {
            let mut waiting = shared.waiting.borrow_mut();
            let count = waiting.len().min(BATCH_MAX);
            waiting.drain(..count).collect()
        };
        if batch.is_empty() {
            if shared.closed.get() {
                break;
            }
            shared.arrived.notified().await;
            continue;
        }
        let (writes, told): (Vec<Write>, Vec<_>) =
            batch.into_iter().map(|waiting| (waiting.write, (waiting.done, waiting.publish))).unzip();
        shared.begun.set(shared.begun.get() + 1);
        let result = store.commit(writes).await;
        shared.done.set(shared.begun.get());
        if let Err(error) = &result {
            env.log(format_args!(
                "{} changes were refused: the database could not be written: {error}",
                told.len()
            ));
        }
        for (done, publish) in told {
            if result.is_ok() {
                publish();
            }
            // Whoever asked may have gone away; the change stays.
            let _ = done.send(result.clone());
        }
    }
    drop(store);
    shared.ended.send_replace(true);
}
