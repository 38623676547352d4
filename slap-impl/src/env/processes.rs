//! Other processes: starting, watching, signalling and ending them.
//!
//! A process is known by its [`Identity`], number and start time together, because numbers are used again.
//! [`Processes::spawn`] with [`Start::Held`] makes a process that waits before it becomes its program:
//! whoever starts it writes its identity down first and then calls [`Spawned::release`]. If the starter dies before,
//! the process ends without having run the program. So a service is never run twice.

use super::{LocalFuture, Pipe};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, io, path::PathBuf};

/// The variable that marks all that a command with [`Command::ends_group`] starts.
pub const RUN_VARIABLE: &str = "SLAP_RUN";

/// A process: its number, and when it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// The process's number; also its process group's and session's, when it was started with `session`.
    pub pid: u32,
    /// Ticks after boot (proc(5), `/proc/PID/stat`, field 22).
    pub start_time: u64,
}

/// Where a process's standard output and standard error go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Nowhere.
    Null,
    /// Where this process's own go.
    Inherit,
    /// Both to the end of this file, which is created with mode 0600.
    Append(PathBuf),
    /// Both into this named pipe, which is made (0600) if it is missing. The process has it open for reading too, so that it never
    /// fails to write to it: while nobody reads and the pipe is full, it waits.
    Pipe(PathBuf),
    /// Both into a pipe of their own, whose reading end comes with [`Spawned`].
    Stream,
    /// Both into memory: the last so many bytes come with [`Ended`].
    Capture(usize),
}

/// When a process becomes its program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At once.
    AtOnce,
    /// At [`Spawned::release`]; never, if the starter dies or drops it before.
    Held,
}

/// A process to start. Its standard input is empty.
#[derive(Clone, Debug)]
pub struct Command {
    /// The program: an absolute path, or a name looked up in the PATH of `variables`.
    pub program: PathBuf,
    /// Arguments, without the program itself.
    pub arguments: Vec<String>,
    /// All environment variables; nothing is inherited.
    pub variables: BTreeMap<String, String>,
    /// Working directory.
    pub directory: PathBuf,
    /// Where standard output and standard error go.
    pub output: Output,
    /// When it becomes its program.
    pub start: Start,
    /// In a session, and so a process group, of its own.
    pub session: bool,
    /// It is killed when the process that started it dies.
    pub dies_with_parent: bool,
    /// When it ends, whatever is left of its group is killed, and whatever else it started that has its mark ([`RUN_VARIABLE`]) in
    /// the environment, in whatever session; only then its end is told. It needs `session` for that.
    pub ends_group: bool,
    /// Permission bits that files made by it shall not have.
    pub umask: u32,
}

impl Command {
    /// A command with no variables, in `/`, output nowhere, started at once, in a session of its own, that lives on.
    pub fn new(program: impl Into<PathBuf>) -> Command {
        Command {
            program: program.into(),
            arguments: Vec::new(),
            variables: BTreeMap::new(),
            directory: PathBuf::from("/"),
            output: Output::Null,
            start: Start::AtOnce,
            session: true,
            dies_with_parent: false,
            ends_group: false,
            umask: 0o027,
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn arguments<I: IntoIterator<Item = S>, S: Into<String>>(mut self, arguments: I) -> Command {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Exit code, if it exited and this process was its parent.
    pub code: Option<i32>,
    /// Signal number, if a signal ended it and this process was its parent.
    pub signal: Option<i32>,
    /// What [`Output::Capture`] kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub output: Vec<u8>,
}

impl Ended {
    /// Whether it exited with 0.
    pub fn succeeded(&self) -> bool {
        self.code == Some(0)
    }

    /// "exited with 3", "was killed by signal 9", "ended".
    pub fn describe(&self) -> String {
        match (self.code, self.signal) {
            (Some(code), _) => format!("exited with {code}"),
            (None, Some(signal)) => format!("was killed by signal {signal}"),
            (None, None) => "ended".to_owned(),
        }
    }
}

/// The signals that this crate sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Please end (15).
    Terminate,
    /// End at once (9).
    Kill,
    /// Stand still (19).
    Stop,
    /// Go on (18).
    Continue,
}

/// A process that was started here.
pub struct Spawned {
    /// Which process.
    pub identity: Identity,
    /// Its end. Dropping it does not end the process.
    pub child: Box<dyn Child>,
    /// The other end of the hold; `None` when started at once.
    pub hold: Option<Box<dyn FnOnce() -> io::Result<()>>>,
    /// What it writes, with [`Output::Stream`].
    pub output: Option<Box<dyn Pipe>>,
}

impl Spawned {
    /// Lets a held process become its program.
    ///
    /// # Errors
    /// When it is gone already.
    pub fn release(&mut self) -> io::Result<()> {
        self.hold.take().map_or(Ok(()), |release| release())
    }
}

/// A process that was started here, whose end comes with its exit code.
pub trait Child {
    /// Ends when the process has ended. May be called again after it was dropped unfinished.
    fn wait(&mut self) -> LocalFuture<'_, io::Result<Ended>>;
}

/// A process that somebody else started.
pub trait Process {
    /// Ends when the process has ended.
    fn wait(&mut self) -> LocalFuture<'_, ()>;
}

/// Other processes.
pub trait Processes {
    /// Starts a process.
    ///
    /// # Errors
    /// `NotFound` when there is no such program, `PermissionDenied` when it is not executable (both only when started at once:
    /// a held process that cannot become its program exits with 127 or 126).
    fn spawn(&self, command: &Command) -> io::Result<Spawned>;
    /// The process of that identity, if it still runs (a zombie does not).
    fn find(&self, identity: Identity) -> Option<Box<dyn Process>>;
    /// The number of the user whom a process belongs to (its real user), if it still runs.
    fn user(&self, identity: Identity) -> Option<u32>;
    /// What these processes started, and what that started, and so on: their children and children's children that run, without this
    /// process. Who lost its parent is a child of who adopted it.
    fn descendants(&self, roots: &[Identity]) -> Vec<Identity>;
    /// Makes this process the parent of whatever it or its descendants start and leave behind, in whatever session and with whatever
    /// variables, unless one between them does so. What was adopted and ends is taken care of here.
    ///
    /// # Errors
    /// When the system has no such thing.
    fn adopt_orphans(&self) -> io::Result<()>;
    /// Lets this process have as many files and sockets open as it may (RLIMIT_NOFILE, the soft limit raised to the hard one;
    /// getrlimit(2)), and says how many that are.
    ///
    /// # Errors
    /// When the system does not let it.
    fn raise_open_files(&self) -> io::Result<u64>;
    /// Whether a process runs and was made to stand still.
    fn is_stopped(&self, identity: Identity) -> bool;
    /// Sends a signal to a process; one that is gone, or whose number now is another's, is no error.
    fn signal(&self, identity: Identity, signal: Signal) -> io::Result<()>;
    /// Sends a signal to all of the group that a process leads; nothing happens when its leader is gone and its number
    /// is another's.
    fn signal_group(&self, identity: Identity, signal: Signal) -> io::Result<()>;
    /// Processes of the session that `leader` leads (started with `session`), with it, without this one. When it is gone, what it
    /// left in its session; nothing when its number is another's now.
    fn session(&self, leader: Identity) -> Vec<Identity>;
    /// Processes of this user (for root: of all users), without this one, that have `variable` set in the environment they
    /// started with, to a value that is `wanted`. All processes are looked at, once: ask for several values together.
    fn marked_with(&self, variable: &str, wanted: &dyn Fn(&[u8]) -> bool) -> Vec<Identity>;
    /// Those that have `variable` set to `value`.
    fn marked(&self, variable: &str, value: &str) -> Vec<Identity> {
        self.marked_with(variable, &|found| found == value.as_bytes())
    }
    /// A text that differs after each boot of the machine: identities of another boot mean nothing.
    fn boot(&self) -> String;
    /// Ends when this process is asked to end (SIGTERM, SIGINT or SIGHUP). From the first call on, these do not kill it.
    fn termination(&self) -> LocalFuture<'static, ()>;
}
