//! The only door to the operating system.
//!
//! Everything that a program of this crate can see or change outside its own memory goes through an
//! [`Env`]: clock, entropy, network, files, processes, stores, tasks and the console. Two kinds of `Env`
//! exist: the real one ([`real`]) and the world in memory of package `simulator`, and one suite of
//! contract tests runs on both.
//!
//! * [`Clock`], [`Entropy`], [`Tasks`], [`Console`]: this file
//! * [`Files`]: `files.rs`; [`Network`]: `network.rs`; [`Processes`]: `processes.rs`; [`Stores`]: `store.rs`, and
//!   [`sqlite`], of which every kind of store is made
//! * `room.rs`: what is said when a disk is full
//!
//! A *program* is `async fn run(env: Env, arguments: Vec<String>) -> Exit`. In reality it is a process; in
//! memory it is a group of tasks that can be killed as one.

mod files;
mod latch;
mod network;
mod processes;
pub mod real;
pub mod room;
pub mod sqlite;
mod store;

pub use files::{FileKind, Files, Lock, Metadata, Pipe};
pub use latch::Latch;
pub use network::{Address, BoxListener, BoxStream, Listener, Network, Stream};
pub use processes::{
    Child, Command, Ended, Identity, Output, Process, Processes, RUN_VARIABLE, Signal, Spawned, Start,
};
pub use store::{Batch, Store, StoreError, StoreErrorKind, Stores, Verdict, Write};

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt,
    future::Future,
    io,
    path::{Path, PathBuf},
    pin::Pin,
    rc::Rc,
    task::Poll,
    time::Duration,
};

/// A future on the one thread that runs everything.
pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// What a process can reach. Cheap to clone; every task of a process holds the same one.
#[derive(Clone)]
pub struct Env {
    parts: Rc<EnvParts>,
    /// Why a result could not be written.
    lost: Rc<RefCell<Option<io::Error>>>,
}

/// The parts that an [`Env`] is made of.
pub struct EnvParts {
    /// Wall clock, monotonic clock and sleep.
    pub clock: Rc<dyn Clock>,
    /// Random bytes.
    pub entropy: Rc<dyn Entropy>,
    /// Sockets.
    pub network: Rc<dyn Network>,
    /// Files and directories.
    pub files: Rc<dyn Files>,
    /// Other processes.
    pub processes: Rc<dyn Processes>,
    /// SQLite databases.
    pub stores: Rc<dyn Stores>,
    /// Tasks of this process.
    pub tasks: Rc<dyn Tasks>,
    /// Standard output and standard error.
    pub console: Rc<dyn Console>,
    /// What this process was started with.
    pub context: Context,
}

/// What a process was started with.
#[derive(Clone, Debug)]
pub struct Context {
    /// Environment variables.
    pub variables: BTreeMap<String, String>,
    /// Working directory, absolute.
    pub directory: PathBuf,
    /// The `slap` program itself, absolute: what to start to get another role.
    pub executable: PathBuf,
    /// This process.
    pub identity: Identity,
    /// The effective user's number.
    pub user: u32,
}

impl Context {
    /// An environment variable that is set and not empty.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// `path` made absolute against the working directory, `~/` against HOME.
    pub fn absolute(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        if let (Ok(rest), Some(home)) = (path.strip_prefix("~"), self.variable("HOME")) {
            return Path::new(home).join(rest);
        }
        normalize(&self.directory.join(path))
    }
}

/// `path` without `.` and `..` components, resolved textually.
pub fn normalize(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => {
                normal.pop();
            }
            other => normal.push(other),
        }
    }
    normal
}

/// How a program ended: its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Exit(pub u8);

impl Exit {
    /// Done.
    pub const DONE: Exit = Exit(0);
    /// An error, already told on standard error.
    pub const FAILED: Exit = Exit(1);
    /// The command line or a setting was wrong; for `slapos node` also "a promise failed".
    pub const USAGE: Exit = Exit(2);
    /// The time was up; for `slapos node` also "done, but offline".
    pub const TIMED_OUT: Exit = Exit(3);
    /// What was waited for cannot happen any more.
    pub const IMPOSSIBLE: Exit = Exit(4);
}

/// Wall clock, monotonic clock and sleep.
pub trait Clock {
    /// The wall clock.
    fn now(&self) -> jiff::Timestamp;
    /// Time since a fixed point of this process's life; never goes back.
    fn elapsed(&self) -> Duration;
    /// Ends after `duration`.
    fn sleep(&self, duration: Duration) -> LocalFuture<'static, ()>;
}

/// Random bytes.
pub trait Entropy {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}

/// Tasks of this process; they end with it.
pub trait Tasks {
    /// Runs `future` beside the others.
    fn spawn(&self, future: LocalFuture<'static, ()>);
}

/// Standard output and standard error.
pub trait Console {
    /// Writes a result to standard output, as it is. That its reader has gone (`slap ... | head`) is no error.
    ///
    /// # Errors
    /// When it cannot be written, such as to a full disk.
    fn output(&self, text: &str) -> io::Result<()>;
    /// Writes progress, a warning or an error to standard error, as it is.
    fn error(&self, text: &str);
    /// Writes a line of a daemon's log to standard error, like `error`; but where standard error is a pipe that this process itself keeps
    /// open ([`Output::Pipe`]) and that nobody reads, the line is lost rather than waited with: a daemon goes on.
    fn log(&self, text: &str) {
        self.error(text);
    }
    /// Whether standard error is a terminal.
    fn is_terminal(&self) -> bool;
}

/// The time was up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedOut;

impl fmt::Display for TimedOut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the time was up")
    }
}

/// The future that ended first in [`race`].
pub enum Either<A, B> {
    /// The first argument ended.
    First(A),
    /// The second argument ended.
    Second(B),
}

/// Runs both until one ends, and drops the other. The first is always asked first, so that two runs agree.
pub async fn race<A, B>(first: impl Future<Output = A>, second: impl Future<Output = B>) -> Either<A, B> {
    let mut first = std::pin::pin!(first);
    let mut second = std::pin::pin!(second);
    std::future::poll_fn(|context| {
        if let Poll::Ready(value) = first.as_mut().poll(context) {
            return Poll::Ready(Either::First(value));
        }
        second.as_mut().poll(context).map(Either::Second)
    })
    .await
}

/// Runs all futures beside each other and gives their results in order.
pub async fn join_all<T>(futures: Vec<LocalFuture<'_, T>>) -> Vec<T> {
    let mut slots: Vec<(Option<LocalFuture<'_, T>>, Option<T>)> =
        futures.into_iter().map(|future| (Some(future), None)).collect();
    std::future::poll_fn(move |context| {
        let mut pending = false;
        for (future, result) in &mut slots {
            if let Some(running) = future {
                match running.as_mut().poll(context) {
                    Poll::Ready(value) => {
                        *result = Some(value);
                        *future = None;
                    }
                    Poll::Pending => pending = true,
                }
            }
        }
        if pending {
            return Poll::Pending;
        }
        Poll::Ready(slots.iter_mut().filter_map(|(_, result)| result.take()).collect())
    })
    .await
}

impl Env {
    /// An `Env` of these parts.
    pub fn new(parts: EnvParts) -> Env {
        Env { parts: Rc::new(parts), lost: Rc::default() }
    }

    /// Wall clock, monotonic clock and sleep.
    pub fn clock(&self) -> &dyn Clock {
        &*self.parts.clock
    }

    /// Sockets.
    pub fn network(&self) -> &dyn Network {
        &*self.parts.network
    }

    /// Files and directories.
    pub fn files(&self) -> &dyn Files {
        &*self.parts.files
    }

    /// Other processes.
    pub fn processes(&self) -> &dyn Processes {
        &*self.parts.processes
    }

    /// SQLite databases.
    pub fn stores(&self) -> &dyn Stores {
        &*self.parts.stores
    }

    /// What this process was started with.
    pub fn context(&self) -> &Context {
        &self.parts.context
    }

    /// Whether standard error is a terminal.
    pub fn is_terminal(&self) -> bool {
        self.parts.console.is_terminal()
    }

    /// Runs `future` beside the others; it ends with this process.
    pub fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        self.parts.tasks.spawn(Box::pin(future));
    }

    /// Ends after `duration`.
    pub async fn sleep(&self, duration: Duration) {
        self.parts.clock.sleep(duration).await;
    }

    /// `future`'s result, if it comes within `duration`.
    ///
    /// # Errors
    /// [`TimedOut`]; the future is dropped then.
    pub async fn timeout<T>(
        &self,
        duration: Duration,
        future: impl Future<Output = T>,
    ) -> Result<T, TimedOut> {
        match race(future, self.parts.clock.sleep(duration)).await {
            Either::First(value) => Ok(value),
            Either::Second(()) => Err(TimedOut),
        }
    }

    /// `length` random bytes.
    pub fn random_bytes(&self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.parts.entropy.fill(&mut bytes);
        bytes
    }

    /// A random number below `bound` (which must not be 0), without bias.
    pub fn random_below(&self, bound: u64) -> u64 {
        let limit = u64::MAX - u64::MAX % bound;
        loop {
            let mut bytes = [0; 8];
            self.parts.entropy.fill(&mut bytes);
            let value = u64::from_le_bytes(bytes);
            if value < limit {
                return value % bound;
            }
        }
    }

    /// Writes a line of result to standard output.
    pub fn print(&self, line: impl fmt::Display) {
        if let Err(error) = self.parts.console.output(&format!("{line}\n")) {
            self.lost.borrow_mut().get_or_insert(error);
        }
    }

    /// Whether a result could not be written.
    pub fn has_lost_output(&self) -> bool {
        self.lost.borrow().is_some()
    }

    /// Why a result could not be written, if so; asked for once, when the program ends. That nobody wants to read any more of it is no
    /// failure.
    pub fn take_lost_output(&self) -> Option<io::Error> {
        self.lost.borrow_mut().take().filter(|error| error.kind() != io::ErrorKind::BrokenPipe)
    }

    /// Writes a line of progress or an error to standard error.
    pub fn tell(&self, line: impl fmt::Display) {
        self.parts.console.error(&format!("{line}\n"));
    }

    /// Writes a dated line of a daemon's log to standard error.
    pub fn log(&self, line: impl fmt::Display) {
        let now = self.clock().now();
        self.parts.console.log(&format!("{now:.3} {line}\n"));
    }
}
