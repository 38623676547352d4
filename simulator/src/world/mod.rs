//! A machine in memory: the second `Env`.
//!
//! One paused runtime runs every program of the world as a group of tasks. Nothing ticks while nothing happens: when
//! all tasks wait, the clock jumps to the next timer. Everything random is drawn from the seed by name, so a new
//! draw does not shift the others. Every event is a line of the [`Trace`]: the same seed gives the same lines.
//!
//! * `files/`: directories and files; `network.rs`: listeners and streams; `store.rs`: databases, in memory or on the disk
//! * [`disk`]: faults, and what is left when the power is lost; `sqlite/`: SQLite on that disk
//! * `processes.rs`: the process table; `programs.rs`: what a path runs; `shell.rs`: as much of `/bin/sh` as wrappers use
//! * `random.rs`: named draws; `trace.rs`: what happened, in order

pub mod disk;
mod files;
mod network;
mod pipe;
mod processes;
mod programs;
pub(crate) mod random;
mod shell;
pub(crate) mod sqlite;
mod store;
mod trace;

pub use trace::Trace;

use disk::{Disk, Strike};
use files::MemoryFiles;
use network::MemoryNetwork;
use processes::Table;
pub(crate) use random::Random;
use slap_impl::env::{Clock, Command, Env, Exit, Identity, LocalFuture, Output};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    path::PathBuf,
    rc::Rc,
    time::Duration,
};
use store::WorldStores;
use tokio::time::Instant;

/// Where the program `slap` stands in a world.
pub const SLAP: &str = "/usr/bin/slap";

/// The world's clock starts here: 2026-01-01T00:00:00Z, in seconds since 1970.
const EPOCH_SECONDS: i64 = 1_767_225_600;

/// A machine in memory.
#[derive(Clone)]
pub struct World {
    shared: Rc<Shared>,
}

/// What all programs of a world share.
pub(crate) struct Shared {
    random: Random,
    files: Rc<MemoryFiles>,
    network: Rc<MemoryNetwork>,
    stores: Rc<WorldStores>,
    disk: Rc<Disk>,
    /// How often the machine was started.
    boots: Cell<u32>,
    table: RefCell<Table>,
    trace: Trace,
    start: Instant,
}

/// What a world is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Long lives of many programs: databases in memory; everything is durable at once, and the disk has no faults.
    Fast,
    /// Crashes: databases on the disk, with all of SQLite's files and locks; what was not synced may be lost.
    Crash,
}

/// The world's clock: the paused runtime's, from a fixed epoch.
pub(crate) struct WorldClock {
    start: Instant,
}

impl World {
    /// Makes a world of this seed, runs `body` in it until it ends, and ends all that still runs.
    pub fn run<T: 'static>(seed: u64, body: impl AsyncFnOnce(World) -> T + 'static) -> T {
        World::run_in(Tier::Fast, seed, body)
    }

    /// As [`World::run`], in a world of that tier.
    pub fn run_in<T: 'static>(tier: Tier, seed: u64, body: impl AsyncFnOnce(World) -> T + 'static) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime without I/O needs nothing of the system");
        let tasks = tokio::task::LocalSet::new();
        tasks.block_on(&runtime, async move {
            let world = World::new(tier, seed);
            let result = body(world.clone()).await;
            world.end();
            result
        })
    }

    fn new(tier: Tier, seed: u64) -> World {
        let start = now_instant();
        let trace = Trace::new(start);
        let random = Random::new(seed);
        let disk = Rc::new(Disk::new(tier == Tier::Crash, random.child("disk")));
        let files = Rc::new(MemoryFiles::new(start, disk.clone()));
        let world = World {
            shared: Rc::new(Shared {
                network: Rc::new(MemoryNetwork::new(random.child("network"))),
                stores: Rc::new(WorldStores::new(files.clone(), disk.clone(), random.child("store"))),
                disk,
                boots: Cell::new(1),
                table: RefCell::new(Table::new()),
                random,
                files,
                trace,
                start,
            }),
        };
        programs::install(&world.shared.files);
        world.shared.files.sync_all();
        world
    }

    /// What happened so far.
    pub fn trace(&self) -> &Trace {
        &self.shared.trace
    }

    /// An `Env` of a process in `directory` that is nobody's child: for a test or a user at a terminal.
    pub fn user(&self, directory: impl Into<PathBuf>, variables: BTreeMap<String, String>) -> Env {
        processes::user(&self.shared, directory.into(), variables)
    }

    /// As [`World::user`], with a wall clock that stands still until it is set.
    pub fn user_with_clock(&self, directory: impl Into<PathBuf>, clock: Rc<SetClock>) -> Env {
        processes::user_with_clock(&self.shared, directory.into(), BTreeMap::new(), clock)
    }

    /// A wall clock that stands still until it is set; time as it passes is the world's.
    pub fn set_clock(&self, microseconds: i64) -> Rc<SetClock> {
        Rc::new(SetClock {
            clock: WorldClock { start: self.shared.start },
            microseconds: Cell::new(microseconds),
        })
    }

    /// Starts a program and waits for its end. What it printed goes to the trace and into the answer.
    pub async fn command(&self, env: &Env, program: &str, arguments: &[&str]) -> (Exit, String) {
        let command = Command {
            variables: env.context().variables.clone(),
            directory: env.context().directory.clone(),
            output: Output::Capture(1 << 20),
            ..Command::new(program).arguments(arguments.iter().copied())
        };
        let mut spawned = match env.processes().spawn(&command) {
            Ok(spawned) => spawned,
            Err(error) => return (Exit(127), error.to_string()),
        };
        match spawned.child.wait().await {
            Ok(ended) => {
                let code = ended.code.unwrap_or(128 + ended.signal.unwrap_or(0));
                (Exit(code as u8), String::from_utf8_lossy(&ended.output).into_owned())
            }
            Err(error) => (Exit(127), error.to_string()),
        }
    }

    /// The processes that run now: identity, program and arguments.
    pub fn processes(&self) -> Vec<(Identity, String)> {
        self.shared.table.borrow().running()
    }

    /// The disk, whose faults can be planned in a world of [`Tier::Crash`].
    pub fn disk(&self) -> &Disk {
        &self.shared.disk
    }

    /// Kills a process between two of its steps. One that has ended already is left alone.
    pub fn kill(&self, identity: Identity) {
        processes::kill(&self.shared, identity);
    }

    /// Takes the machine's power, and gives it back: every process ends where it stands, and of what was not synced only what the seed
    /// says is left. The machine starts again with the same clock, and without processes.
    pub fn cut_power(&self) {
        self.shared.trace.event("machine", "loses power");
        processes::end_all(&self.shared);
        let boots = self.shared.boots.get();
        self.shared.files.lose(&self.shared.random.child(&format!("power loss {boots}")));
        self.shared.boots.set(boots + 1);
        self.shared.disk.power_on();
    }

    /// Waits until a planned fault ends a process or takes the machine's power, and does the rest of it.
    pub async fn struck(&self) -> Strike {
        let strike = self.shared.disk.next_strike().await;
        match strike {
            Strike::Process(identity) => self.kill(identity),
            Strike::Machine => self.cut_power(),
        }
        strike
    }

    fn end(&self) {
        processes::end_all(&self.shared);
    }
}

/// A wall clock that stands still until it is set, also back.
pub struct SetClock {
    clock: WorldClock,
    microseconds: Cell<i64>,
}

impl SetClock {
    /// Sets it, to microseconds since 1970.
    pub fn set(&self, microseconds: i64) {
        self.microseconds.set(microseconds);
    }
}

impl Clock for SetClock {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(self.microseconds.get()).expect("a test's dates are near")
    }

    fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    fn sleep(&self, duration: Duration) -> LocalFuture<'static, ()> {
        self.clock.sleep(duration)
    }
}

impl Clock for WorldClock {
    fn now(&self) -> jiff::Timestamp {
        let elapsed = self.elapsed();
        jiff::Timestamp::new(EPOCH_SECONDS + elapsed.as_secs() as i64, elapsed.subsec_nanos() as i32)
            .expect("a world does not live for thousands of years")
    }

    fn elapsed(&self) -> Duration {
        now_instant().duration_since(self.start)
    }

    fn sleep(&self, duration: Duration) -> LocalFuture<'static, ()> {
        Box::pin(pause(duration))
    }
}

/// The paused runtime's clock, which the world's own clock stands on.
#[allow(clippy::disallowed_methods, reason = "this is the implementation behind env.clock()")]
pub(crate) fn now_instant() -> Instant {
    Instant::now()
}

/// Ends when the paused clock has moved by `duration`.
#[allow(clippy::disallowed_methods, reason = "this is the implementation behind env.clock()")]
pub(crate) async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}

impl Shared {
    pub(crate) fn clock(&self) -> Rc<WorldClock> {
        Rc::new(WorldClock { start: self.start })
    }
}
