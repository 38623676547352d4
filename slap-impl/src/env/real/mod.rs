//! The real operating system behind the door.
//!
//! * this file: [`env()`], [`block_on`], clock, entropy, tasks, console
//! * `files.rs` files, `pipe.rs` pipes, and `tree.rs` the removal of whole trees
//! * `network.rs` sockets
//! * `processes.rs` processes, `proc.rs` what /proc says of them, `capture.rs` their output in memory,
//!   `orphans.rs` what they leave behind
//! * `store.rs` SQLite
//!
//! Only here the names that clippy.toml bans are allowed: this is what they are banned in favour of.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this directory is the door itself"
)]

mod capture;
mod files;
mod network;
mod orphans;
mod pipe;
mod proc;
mod processes;
mod store;
mod tree;
mod wal;

use super::{Clock, Console, Context, Entropy, Env, EnvParts, Exit, Identity, LocalFuture, Tasks};
use std::{
    cell::Cell,
    future::Future,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    rc::Rc,
    time::{Duration, Instant, SystemTime},
};

/// The real `Env` of this process. Its tasks and sockets work inside [`block_on`] only.
pub fn env() -> Env {
    let executable = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/proc/self/exe"));
    env_with_executable(&executable)
}

/// Like [`env()`], with another program as `slap`: a test is not `slap` itself, and nearly every process is
/// started through `slap exec`.
pub fn env_with_executable(executable: &Path) -> Env {
    let context = Context {
        variables: std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
        directory: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
        executable: executable.to_owned(),
        identity: own_identity(),
        user: rustix::process::geteuid().as_raw(),
    };
    Env::new(parts(context))
}

/// The names of the environment variables whose values are no UTF-8. To a [`Context`] they are not set.
pub fn unreadable_variables() -> Vec<String> {
    let unreadable = std::env::vars_os().filter(|(_, value)| value.to_str().is_none());
    unreadable.map(|(name, _)| name.to_string_lossy().into_owned()).collect()
}

/// The real parts around a context of one's own: a test puts its faults around one of them.
pub fn parts(context: Context) -> EnvParts {
    EnvParts {
        clock: Rc::new(RealClock { start: Instant::now() }),
        entropy: Rc::new(RealEntropy),
        network: Rc::new(network::RealNetwork),
        files: Rc::new(files::RealFiles),
        processes: Rc::new(processes::RealProcesses { executable: context.executable.clone() }),
        stores: Rc::new(store::RealStores),
        tasks: Rc::new(RealTasks),
        console: Rc::new(RealConsole { is_kept_pipe: pipe::is_kept(&io::stderr()), lost: Cell::new(0) }),
        context,
    }
}

/// Runs a program on this thread, with its tasks, until it ends.
pub fn block_on<R: Future<Output = Exit>>(program: impl FnOnce(Env) -> R) -> Exit {
    block_on_env(env(), program)
}

/// Like [`block_on`], in an `Env` of one's own; gives whatever the program gives.
///
/// # Panics
/// When the system has no file descriptors left for the event loop.
pub fn block_on_env<T, R: Future<Output = T>>(env: Env, program: impl FnOnce(Env) -> R) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("an event loop needs three file descriptors");
    tokio::task::LocalSet::new().block_on(&runtime, async move { program(env).await })
}

fn own_identity() -> Identity {
    let pid = std::process::id();
    Identity { pid, start_time: proc::stat(pid).map_or(0, |stat| stat.start_time) }
}

struct RealClock {
    start: Instant,
}

impl Clock for RealClock {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::try_from(SystemTime::now()).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    fn sleep(&self, duration: Duration) -> LocalFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

struct RealEntropy;

impl Entropy for RealEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("Linux gives random bytes once it has booted");
    }
}

struct RealTasks;

impl Tasks for RealTasks {
    fn spawn(&self, future: LocalFuture<'static, ()>) {
        let mut future = future;
        tokio::task::spawn_local(std::future::poll_fn(move |context| {
            // A task that panicked may hold what others wait for: the process ends, and whoever keeps it starts it again. One that is only
            // dropped, because somebody else panicked, says nothing of itself.
            let guard = EndOnPanic;
            let poll = future.as_mut().poll(context);
            std::mem::forget(guard);
            poll
        }));
    }
}

/// Ends the process when it is dropped by a panic.
struct EndOnPanic;

impl Drop for EndOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::process::abort();
        }
    }
}

struct RealConsole {
    /// Whether standard error is a pipe that this process keeps open itself.
    is_kept_pipe: bool,
    /// Lines of the log that nobody made room for.
    lost: Cell<u64>,
}

impl Console for RealConsole {
    fn output(&self, text: &str) -> io::Result<()> {
        let mut output = io::stdout().lock();
        output.write_all(text.as_bytes()).and_then(|()| output.flush())
    }

    fn error(&self, text: &str) {
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }

    fn log(&self, text: &str) {
        let mut error = io::stderr().lock();
        let lost = self.lost.get();
        if !self.is_kept_pipe {
            let _ = error.write_all(text.as_bytes());
        } else if !pipe::write_what_fits(&mut error, text.as_bytes()) {
            self.lost.set(lost + 1);
        } else if lost > 0
            && pipe::write_what_fits(&mut error, format!("({lost} lines of this log are lost)\n").as_bytes())
        {
            self.lost.set(0);
        }
    }

    fn is_terminal(&self) -> bool {
        io::stderr().is_terminal()
    }
}
