//! Real SQLite databases.
//!
//! A reading connection stands on the loop's thread. A thread of its own executes the batches, so that an fsync does not stop the loop. What
//! both do with SQLite is `env/sqlite.rs`. Another process is kept out by an flock beside the database (`<name>.lock`), and by one of the database's file itself, which has
//! perhaps other names: SQLite's own locks would let two masters alternate.
//!
//! What the contract tests check, here and in the world in memory: a batch is there whole after `commit`, and not at all after
//! an error or a panic in one write; a discarded write undoes only itself; reads see the last commit and cannot write; a second
//! opening is refused; opening alone changes nothing, because the file may be somebody else's; what was committed is there after opening again; a file that is no database is an error and stays as it is. Of real files only: one that was
//! removed or replaced while it is open takes no batch any more.

use super::{
    files::{self, FileLock},
    wal,
};
use crate::env::{Batch, LocalFuture, Store, StoreError, StoreErrorKind, Stores, sqlite};
use rusqlite::Connection;
use std::{
    cell::{Cell, RefCell},
    fs::{self, OpenOptions, Permissions},
    io::ErrorKind,
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// How long the writing thread watches for the next batch before it sleeps.
const WATCHED: Duration = Duration::from_micros(250);

/// How old a look at the database's file may be for a read. A look takes as long as a tenth of a repeated request, and who reads is told
/// nothing wrong meanwhile: what was committed stands in the file that is open.
const SEEN_FOR: Duration = Duration::from_millis(10);

/// After a batch of more writes than these it sleeps at once.
const FEW: usize = 4;

/// What is said of a database that is not where it was opened any more.
const GONE: &str = "the database's file was removed or replaced while it was in use (hint: nothing is read from it or written to it any more; put \
     a copy back if there is one, and start this program again: in a lab by `slap lab down` and `slap lab up`; without a copy \
     it starts empty, and all that was in it is lost)";

/// What is said of a log of which SQLite would drop a part that was acknowledged.
const LOG_DAMAGED: &str = "the database's log is malformed: changes that were acknowledged stand behind what cannot be read any more";

/// Real SQLite databases.
pub(super) struct RealStores;

type Job = (Batch, oneshot::Sender<Result<(), StoreError>>);

struct RealStore {
    reader: Connection,
    place: Place,
    /// When a read last found the file in its place.
    seen_at: Cell<Option<Instant>>,
    damage: Damage,
    /// `None` only while it is dropped.
    writer: Option<(mpsc::Sender<Job>, thread::JoinHandle<()>)>,
    // The last ones: released only when both connections are closed, since with a descriptor of the file SQLite's own locks on it go.
    _locks: (FileLock, Option<FileLock>),
}

impl Stores for RealStores {
    fn open(&self, path: &Path) -> Result<Box<dyn Store>, StoreError> {
        // SQLite keeps its log beside the file that a link leads to.
        let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let fail = |what: &str, error: &std::io::Error| {
            let kind = StoreErrorKind::of_file(error);
            StoreError::new(kind, format!("{}: {what}: {error}", path.display()))
        };
        let in_use = || {
            let message = format!(
                "{}: is in use: another process has it open; stop that one, or choose another file",
                path.display()
            );
            StoreError::new(StoreErrorKind::InUse, message)
        };
        let mut lock_path = path.as_os_str().to_owned();
        lock_path.push(".lock");
        let lock = files::try_lock(Path::new(&lock_path))
            .map_err(|error| fail("cannot be locked", &error))?
            .ok_or_else(in_use)?;
        let log = wal::path_of(path);
        if wal::is_damaged(&log).map_err(|error| fail("its log cannot be read", &error))? {
            let message = format!("{}: {LOG_DAMAGED}", log.display());
            return Err(StoreError::new(StoreErrorKind::Damaged, message));
        }
        create_private(path).map_err(|error| fail("cannot be created", &error))?;
        // The same file may have another name, or the lock beside it may have been removed. One that may not be read SQLite refuses.
        let own_lock = match files::try_lock_existing(path) {
            Ok(own_lock) => Some(own_lock.ok_or_else(in_use)?),
            Err(_) => None,
        };
        let named = |error: rusqlite::Error| {
            let error = StoreError::from(error);
            StoreError { message: format!("{}: {error}", path.display()), ..error }
        };
        let connect = || Connection::open_with_flags(path, sqlite::FLAGS);
        let connection = connect().map_err(named)?;
        sqlite::configure(&connection).map_err(named)?;
        // Who opens it looks whether it is its own before the first batch. Only what is certainly nobody else's is prepared at once.
        let is_prepared = sqlite::is_new_or_prepared(&connection).map_err(named)?;
        if is_prepared {
            sqlite::prepare(&connection).map_err(named)?;
        }
        let place = Place::of(path).map_err(|error| fail("cannot be looked at", &error))?;
        let reader = connect().map_err(named)?;
        sqlite::configure_reader(&reader).map_err(named)?;
        let damage = Damage::default();
        let (sender, jobs) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("slap-store".to_owned())
            .spawn({
                let (place, damage) = (place.clone(), damage.clone());
                move || execute(&connection, &jobs, &place, &damage, is_prepared)
            })
            .map_err(|error| fail("no thread to write it", &error))?;
        Ok(Box::new(RealStore {
            reader,
            place,
            seen_at: Cell::new(None),
            damage,
            writer: Some((sender, thread)),
            _locks: (lock, own_lock),
        }))
    }
}

impl Store for RealStore {
    fn read(&self, query: &mut dyn FnMut(&Connection) -> rusqlite::Result<()>) -> Result<(), StoreError> {
        if self.seen_at.get().is_none_or(|at| at.elapsed() >= SEEN_FOR) {
            self.place.check()?;
            self.seen_at.set(Some(Instant::now()));
        }
        let result = sqlite::read(&self.reader, query);
        self.damage.see(&result);
        result
    }

    fn commit(&self, batch: Batch) -> LocalFuture<'_, Result<(), StoreError>> {
        let (sender, result) = oneshot::channel();
        // Sent at once, so that batches are executed in the order of the calls, awaited or not.
        let sent = self.writer.as_ref().is_some_and(|(jobs, _)| jobs.send((batch, sender)).is_ok());
        Box::pin(async move {
            let gone = || StoreError::new(StoreErrorKind::Other, "the writing thread has ended");
            if !sent {
                return Err(gone());
            }
            result.await.unwrap_or_else(|_| Err(gone()))
        })
    }
}

impl Drop for RealStore {
    fn drop(&mut self) {
        if let Some((jobs, thread)) = self.writer.take() {
            drop(jobs);
            let _ = thread.join();
        }
    }
}

/// Where a database is, and which file that was when it was opened.
#[derive(Clone)]
struct Place {
    path: PathBuf,
    /// Device and inode.
    file: (u64, u64),
}

impl Place {
    fn of(path: &Path) -> std::io::Result<Place> {
        let metadata = fs::metadata(path)?;
        Ok(Place { path: path.to_owned(), file: (metadata.dev(), metadata.ino()) })
    }

    /// A file that was removed takes writes, which nobody finds again: that is an error.
    fn check(&self) -> Result<(), StoreError> {
        match Place::of(&self.path) {
            Ok(now) if now.file == self.file => Ok(()),
            // It cannot be seen now, which does not say that it is gone.
            Err(error) if error.kind() != ErrorKind::NotFound => Ok(()),
            _ => Err(StoreError::new(StoreErrorKind::Gone, format!("{}: {GONE}", self.path.display()))),
        }
    }
}

/// Whether damage was seen. From then on nothing is written: what would be acknowledged now is gone when the file is replaced by a good
/// copy, and more of it may be damaged by what is written.
#[derive(Clone, Default)]
struct Damage(Arc<AtomicBool>);

impl Damage {
    fn see<T>(&self, result: &Result<T, StoreError>) {
        if result.as_ref().is_err_and(|error| error.kind.is_damage()) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    fn check(&self) -> Result<(), StoreError> {
        if self.0.load(Ordering::Relaxed) {
            let message =
                "the database disk image is malformed; since that was seen, nothing is written any more";
            return Err(StoreError::new(StoreErrorKind::Damaged, message));
        }
        Ok(())
    }
}

/// A database and its write-ahead log, in which a batch stands first.
struct Places {
    database: Place,
    /// `None` until it is there: the first transaction makes it, and it stays as long as the database is open.
    log: Option<Place>,
}

impl Places {
    fn look_for_log(&mut self) {
        if self.log.is_none() {
            self.log = Place::of(&wal::path_of(&self.database.path)).ok();
        }
    }

    fn check(&self) -> Result<(), StoreError> {
        self.database.check()?;
        self.log.as_ref().map_or(Ok(()), Place::check)
    }
}

fn create_private(path: &Path) -> std::io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// What is done before the first batch: from then on the database is ours.
fn take_over(connection: &Connection, path: &Path, is_prepared: bool) -> Result<(), StoreError> {
    // By path: closing a descriptor of the file would drop SQLite's locks on it. Rights are taken, and none given: one that its owner
    // may not write stays so.
    let make_private = || {
        let mode = fs::metadata(path)?.permissions().mode();
        fs::set_permissions(path, Permissions::from_mode(mode & 0o700))
    };
    make_private().map_err(|error| {
        let message = format!("{}: cannot be made private: {error}", path.display());
        StoreError::new(StoreErrorKind::of_file(&error), message)
    })?;
    if is_prepared { Ok(()) } else { Ok(sqlite::prepare(connection)?) }
}

/// The writing thread: executes batches until the store is dropped.
fn execute(
    connection: &Connection,
    jobs: &mpsc::Receiver<Job>,
    place: &Place,
    damage: &Damage,
    is_prepared: bool,
) {
    let mut is_ours = false;
    let mut places = Places { database: place.clone(), log: None };
    places.look_for_log();
    let mut patience = WATCHED;
    while let Ok((batch, answer)) = next(jobs, patience) {
        patience = if batch.len() > FEW { Duration::ZERO } else { WATCHED };
        let taken = damage.check();
        let taken =
            if is_ours || taken.is_err() { taken } else { take_over(connection, &place.path, is_prepared) };
        is_ours |= taken.is_ok();
        let result = taken.and_then(|()| execute_batch(connection, &mut places, batch));
        damage.see(&result);
        // Whoever asked may be gone; the batch counts all the same.
        let _ = answer.send(result);
    }
}

/// The next batch. Who waits for an answer before asking again comes soon after it, sooner than a thread that sleeps is woken on many
/// machines: so this one watches for a while, and lets others have the processor meanwhile. When many asked, they need the processor more.
fn next(jobs: &mpsc::Receiver<Job>, patience: Duration) -> Result<Job, mpsc::RecvError> {
    let start = Instant::now();
    while start.elapsed() < patience {
        match jobs.try_recv() {
            Ok(job) => return Ok(job),
            Err(mpsc::TryRecvError::Disconnected) => return Err(mpsc::RecvError),
            Err(mpsc::TryRecvError::Empty) => thread::yield_now(),
        }
    }
    jobs.recv()
}

fn execute_batch(connection: &Connection, places: &mut Places, batch: Batch) -> Result<(), StoreError> {
    let places = RefCell::new(places);
    let look = &mut || places.borrow_mut().look_for_log();
    sqlite::execute_batch(connection, batch, look, &mut || places.borrow().check())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::{Env, Verdict, Write, real};

    fn sql(text: &'static str) -> Write {
        Box::new(move |connection| connection.execute_batch(text).map(|()| Verdict::Keep))
    }

    fn in_store(program: impl AsyncFnOnce(Env, &Path)) {
        let place = tempfile::tempdir().unwrap();
        real::block_on_env(real::env(), async |env| program(env, &place.path().join("db")).await);
    }

    fn numbers(store: &dyn Store) -> Vec<i64> {
        let mut numbers = Vec::new();
        store
            .read(&mut |connection| {
                let mut statement = connection.prepare("SELECT number FROM t ORDER BY number")?;
                numbers = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
                Ok(())
            })
            .unwrap();
        numbers
    }

    #[test]
    fn a_batch_is_there_whole_or_not_at_all() {
        in_store(async |env, path| {
            let store = env.stores().open(path).unwrap();
            store.commit(vec![sql("CREATE TABLE t (number INTEGER UNIQUE)")]).await.unwrap();
            let discarded: Write = Box::new(|connection| {
                connection.execute_batch("INSERT INTO t VALUES (99)").map(|()| Verdict::Discard)
            });
            let batch = vec![sql("INSERT INTO t VALUES (1)"), discarded, sql("INSERT INTO t VALUES (2)")];
            store.commit(batch).await.unwrap();
            assert_eq!(numbers(&*store), [1, 2]);
            let panics: Write = Box::new(|_| panic!("planted"));
            for bad in [sql("INSERT INTO t VALUES (1)"), sql("COMMIT"), sql("nonsense"), panics] {
                let before = numbers(&*store);
                let result = store.commit(vec![sql("INSERT INTO t VALUES (3)"), bad]).await;
                assert!(result.is_err());
                if before == numbers(&*store) {
                    continue;
                }
                // Only a write that commits by itself can break the whole; that is a bug of the caller, and is told.
                assert!(result.unwrap_err().message.contains("ended the batch's transaction"));
                store.commit(vec![sql("DELETE FROM t WHERE number = 3")]).await.unwrap();
            }
            store.commit(vec![sql("INSERT INTO t VALUES (4)")]).await.unwrap();
            assert_eq!(numbers(&*store), [1, 2, 4]);
        });
    }

    #[test]
    fn committed_is_durable_and_private() {
        in_store(async |env, path| {
            let store = env.stores().open(path).unwrap();
            store
                .commit(vec![sql("CREATE TABLE t (number INTEGER); INSERT INTO t VALUES (7)")])
                .await
                .unwrap();
            for name in ["db", "db-wal", "db-shm", "db.lock"] {
                let mode = fs::metadata(path.with_file_name(name)).unwrap().permissions().mode();
                assert_eq!(mode & 0o777, 0o600, "{name}");
            }
            let error = env.stores().open(path).err().unwrap();
            assert!(error.message.contains("in use"), "{error}");
            drop(store);
            let store = env.stores().open(path).unwrap();
            assert_eq!(numbers(&*store), [7]);
            assert!(store.read(&mut |connection| connection.execute_batch("DELETE FROM t")).is_err());
            assert_eq!(numbers(&*store), [7]);
            let mut synchronous = 0;
            store
                .read(&mut |connection| {
                    synchronous = connection.query_row("PRAGMA synchronous", [], |row| row.get(0))?;
                    Ok(())
                })
                .unwrap();
            assert_eq!(synchronous, 2);
        });
    }

    #[test]
    fn a_file_is_in_use_under_all_its_names() {
        in_store(async |env, path| {
            let store = env.stores().open(path).unwrap();
            store.commit(vec![sql("CREATE TABLE t (number INTEGER)")]).await.unwrap();
            let other = path.with_file_name("other");
            std::os::unix::fs::symlink(path, &other).unwrap();
            let check = |what: &str, path: &Path| {
                let error = env.stores().open(path).err().unwrap_or_else(|| panic!("{what}: it was opened"));
                assert!(error.kind == StoreErrorKind::InUse, "{what}: {error}");
            };
            check("a symbolic link", &other);
            fs::remove_file(&other).unwrap();
            fs::hard_link(path, &other).unwrap();
            check("another name", &other);
            fs::remove_file(path.with_file_name("db.lock")).unwrap();
            check("without its lock file", path);
            store.commit(vec![sql("INSERT INTO t VALUES (1)")]).await.unwrap();
            drop(store);
            fs::remove_file(&other).unwrap();
            std::os::unix::fs::symlink(path, &other).unwrap();
            let store = env.stores().open(&other).unwrap();
            store.commit(vec![sql("INSERT INTO t VALUES (2)")]).await.unwrap();
            assert_eq!(numbers(&*store), [1, 2]);
            assert!(!path.with_file_name("other-wal").exists());
        });
    }

    #[test]
    fn opening_alone_changes_nothing() {
        in_store(async |env, path| {
            let foreign = Connection::open(path).unwrap();
            foreign.execute_batch("CREATE TABLE t (number INTEGER); INSERT INTO t VALUES (1)").unwrap();
            drop(foreign);
            fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
            let content = fs::read(path).unwrap();
            let store = env.stores().open(path).unwrap();
            assert_eq!(numbers(&*store), [1]);
            drop(store);
            assert_eq!(fs::read(path).unwrap(), content);
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o644);
            assert!(!path.with_file_name("db-wal").exists());

            let store = env.stores().open(path).unwrap();
            store.commit(vec![sql("INSERT INTO t VALUES (2)")]).await.unwrap();
            assert_eq!(numbers(&*store), [1, 2]);
            assert!(path.with_file_name("db-wal").exists());
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        });
    }

    #[test]
    fn nothing_is_committed_to_a_file_that_is_gone() {
        for name in ["db", "db-wal"] {
            for is_replaced in [false, true] {
                in_store(async |env, path| {
                    let store = env.stores().open(path).unwrap();
                    store.commit(vec![sql("CREATE TABLE t (number INTEGER)")]).await.unwrap();
                    let file = path.with_file_name(name);
                    fs::rename(&file, path.with_file_name("aside")).unwrap();
                    if is_replaced {
                        fs::write(&file, b"").unwrap();
                    }
                    let insert = || vec![sql("INSERT INTO t VALUES (1)")];
                    let error = store.commit(insert()).await.unwrap_err();
                    assert!(error.message.starts_with(&format!("{}: ", file.display())), "{error}");
                    assert!(
                        error.message.contains("removed or replaced") && error.kind == StoreErrorKind::Gone,
                        "{error}"
                    );
                    for _ in 0..2 {
                        let read = store.read(&mut |_| Ok(()));
                        assert_eq!(read.is_err(), name == "db", "{name}");
                    }
                    // It is the same file again.
                    fs::rename(path.with_file_name("aside"), &file).unwrap();
                    store.commit(insert()).await.unwrap();
                    assert_eq!(numbers(&*store), [1], "{name}: what was refused did not happen");
                });
            }
        }
    }

    #[test]
    fn what_is_no_database_is_left_alone() {
        in_store(async |env, path| {
            let content = "precious text, not a database".repeat(100);
            fs::write(path, &content).unwrap();
            assert!(env.stores().open(path).is_err());
            assert_eq!(fs::read_to_string(path).unwrap(), content);
            assert!(env.stores().open(&path.join("below/a/file")).is_err());
        });
    }

    /// What becomes of a store after `sql` failed so.
    async fn check_damage(env: &Env, path: &Path, failing: &'static str, expected: StoreErrorKind) {
        let store = env.stores().open(path).unwrap();
        let error = store.commit(vec![sql(failing)]).await.unwrap_err();
        assert_eq!(error.kind, expected, "{error}");
        let after = store.commit(vec![sql("INSERT INTO t (number) VALUES (2)")]).await;
        assert_eq!(
            after.err().map(|error| error.kind),
            expected.is_damage().then_some(expected),
            "{failing}"
        );
    }

    #[test]
    fn nothing_is_written_to_what_is_damaged() {
        in_store(async |env, path| {
            let fill = "CREATE TABLE t (number INTEGER, filler TEXT);
                CREATE TABLE bad (filler TEXT); INSERT INTO bad VALUES (hex(zeroblob(9000)))";
            let store = env.stores().open(path).unwrap();
            store.commit(vec![sql(fill)]).await.unwrap();
            drop(store);
            // Words that sound like damage, and are none: no code says so.
            check_damage(&env, path, "INSERT INTO t (filler) VALUES (json('{'))", StoreErrorKind::Other)
                .await;
            let named = "INSERT INTO \"not a database, malformed\" VALUES (1)";
            check_damage(&env, path, named, StoreErrorKind::Other).await;
            let mut image = fs::read(path).unwrap();
            let pages = image.len() / 4096;
            image[2 * 4096..].fill(0xa5);
            assert!(pages > 4, "{pages} pages");
            fs::write(path, image).unwrap();
            check_damage(&env, path, "UPDATE bad SET filler = filler || 1", StoreErrorKind::Damaged).await;
        });
    }

    #[test]
    fn a_commit_nobody_waits_for_happens() {
        in_store(async |env, path| {
            let store = env.stores().open(path).unwrap();
            drop(store.commit(vec![sql("CREATE TABLE t (number INTEGER)")]));
            drop(store.commit(vec![sql("INSERT INTO t VALUES (1)")]));
            store.commit(Vec::new()).await.unwrap();
            assert_eq!(numbers(&*store), [1]);
        });
    }
}
