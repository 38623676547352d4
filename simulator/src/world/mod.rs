//! Machines in memory: the second `Env`.
//!
//! One paused runtime runs every program of the world as a group of tasks. Nothing ticks while nothing happens: when
//! all tasks wait, the clock jumps to the next timer. Everything random is drawn from the seed by name, so a new
//! draw does not shift the others. Every event is a line of the [`Trace`]: the same seed gives the same lines.
//!
//! * `machine.rs`: one machine, what can be done to it, and an example; this file: the world, whose own methods are its first machine's
//! * `network/`: listeners and streams, within and between machines, and their faults; `clock.rs`: time
//! * `files/`: directories and files; `store.rs`: databases, in memory or on the disk
//! * [`disk`]: faults, and what is left when the power is lost; `sqlite/`: SQLite on that disk
//! * `processes/`: the process table; `programs.rs`: what a path runs; `shell.rs`: as much of `/bin/sh` as wrappers use;
//!   `foreign.rs`: programs that behave as data says
//! * `random.rs`: named draws; `trace.rs`: what happened, in order
//! * [`seal`]: the thread that a world runs on, which cannot reach the real system

mod clock;
pub mod disk;
mod files;
pub(crate) mod foreign;
mod machine;
mod network;
mod pipe;
mod processes;
mod programs;
pub(crate) mod random;
pub mod seal;
mod shell;
pub(crate) mod sqlite;
mod store;
mod trace;

pub use clock::{SetClock, WallClock};
pub use machine::Machine;
pub use network::{Link, Mishap};
pub use trace::{Alarm, Trace};

pub(crate) use clock::{now_instant, pause, spawn};
use disk::{Disk, Strike};
use machine::{Parts, Shared};
use network::Lan;
pub(crate) use processes::PANIC;
pub(crate) use random::Random;
use slap_impl::env::{Env, Exit, Identity};
use std::{cell::RefCell, collections::BTreeMap, path::PathBuf, rc::Rc};
use tokio::time::Instant;

/// Where the program `slap` stands in a world.
pub const SLAP: &str = "/usr/bin/slap";

/// The world's clock starts here: 2026-01-01T00:00:00Z, in seconds since 1970.
const EPOCH_SECONDS: i64 = 1_767_225_600;
/// The name of the machine that a world begins with.
const FIRST: &str = "machine";
/// The last two bytes of that one's addresses: 10.0.255.254. The others are counted from 1.
const FIRST_NUMBER: u16 = 0xfffe;

/// Machines in memory, and the network between them. It begins with one machine, which most tests need only.
#[derive(Clone)]
pub struct World {
    common: Rc<Common>,
}

/// What the machines of a world have in common.
struct Common {
    tier: Tier,
    random: Random,
    trace: Trace,
    start: Instant,
    lan: Rc<Lan>,
    first: Machine,
    /// Those that were added, in order.
    others: RefCell<Vec<Machine>>,
}

/// What a machine is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Long lives of many programs: databases in memory; everything is durable at once, and the disk has no faults.
    Fast,
    /// Crashes: databases on the disk, with all of SQLite's files and locks; what was not synced may be lost.
    Crash,
}

impl World {
    /// Makes a world of this seed, runs `body` in it until it ends, and ends all that still runs. It happens on a thread that cannot
    /// reach the real system ([`seal`]); the caller waits, and panics when `body` does, or when a task did and nobody [took] that.
    ///
    /// [took]: World::take_panics
    pub fn run<T: Send + 'static>(seed: u64, body: impl AsyncFnOnce(World) -> T + Send + 'static) -> T {
        World::run_in(Tier::Fast, seed, body)
    }

    /// As [`World::run`], in a world whose machines are of that tier unless they are made otherwise.
    pub fn run_in<T: Send + 'static>(
        tier: Tier,
        seed: u64,
        body: impl AsyncFnOnce(World) -> T + Send + 'static,
    ) -> T {
        seal::run(seed, move || World::run_here(tier, seed, body))
    }

    fn run_here<T: 'static>(tier: Tier, seed: u64, body: impl AsyncFnOnce(World) -> T + 'static) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime without I/O needs nothing of the system");
        let tasks = tokio::task::LocalSet::new();
        tasks.block_on(&runtime, async move {
            let world = World::new(tier, seed);
            let result = body(world.clone()).await;
            world.machines().iter().for_each(Machine::end);
            let panics = world.take_panics();
            assert!(panics.is_empty(), "{} tasks of the world panicked: see above", panics.len());
            result
        })
    }

    fn new(tier: Tier, seed: u64) -> World {
        let start = now_instant();
        let trace = Trace::new(start);
        let random = Random::new(seed);
        let lan = Rc::new(Lan::new(random.child("links"), trace.clone()));
        let first = Machine::new(Parts {
            name: FIRST.to_owned(),
            prefix: String::new(),
            number: FIRST_NUMBER,
            tier,
            random: random.clone(),
            lan: lan.clone(),
            trace: trace.clone(),
            start,
        });
        let others = RefCell::default();
        World { common: Rc::new(Common { tier, random, trace, start, lan, first, others }) }
    }

    /// Adds a machine of the world's tier: 10.0.0.1 and fd00::1 the first that is added, and so on.
    ///
    /// # Panics
    /// When there is one of that name, or no address is left.
    pub fn add_machine(&self, name: &str) -> Machine {
        self.add_machine_in(self.common.tier, name)
    }

    /// As [`World::add_machine`], a machine of that tier.
    ///
    /// # Panics
    /// As that one.
    pub fn add_machine_in(&self, tier: Tier, name: &str) -> Machine {
        let Common { random, trace, start, lan, others, .. } = &*self.common;
        assert!(self.machine(name).is_none(), "there is a machine {name:?} already");
        let number = u16::try_from(others.borrow().len() + 1).ok().filter(|number| *number < FIRST_NUMBER);
        let machine = Machine::new(Parts {
            name: name.to_owned(),
            prefix: format!("{name}/"),
            number: number.expect("a world has at most 65,533 machines"),
            tier,
            random: random.child(&format!("machine {name}")),
            lan: lan.clone(),
            trace: trace.clone(),
            start: *start,
        });
        others.borrow_mut().push(machine.clone());
        machine
    }

    /// The machine of that name.
    pub fn machine(&self, name: &str) -> Option<Machine> {
        self.machines().into_iter().find(|machine| machine.name() == name)
    }

    /// All machines, the first first.
    pub fn machines(&self) -> Vec<Machine> {
        let others = self.common.others.borrow();
        std::iter::once(self.first()).chain(others.iter()).cloned().collect()
    }

    /// What the first machine sends to the second: settings and faults of that direction. A machine's link to itself is its loopback,
    /// with its Unix sockets.
    pub fn link(&self, from: &Machine, to: &Machine) -> Link {
        self.common.lan.link(&from.shared.interface, &to.shared.interface)
    }

    /// Blocks both directions between two machines.
    pub fn partition(&self, one: &Machine, other: &Machine) {
        self.link(one, other).block();
        self.link(other, one).block();
    }

    /// Ends all faults between two machines.
    pub fn heal(&self, one: &Machine, other: &Machine) {
        self.link(one, other).heal();
        self.link(other, one).heal();
    }

    /// Blocks both directions between a machine and every other that there is.
    pub fn isolate(&self, machine: &Machine) {
        self.common.lan.links_of(&machine.shared.interface).iter().for_each(Link::block);
    }

    /// Ends all faults between a machine and the others.
    pub fn rejoin(&self, machine: &Machine) {
        self.common.lan.links_of(&machine.shared.interface).iter().for_each(Link::heal);
    }

    fn first(&self) -> &Machine {
        &self.common.first
    }

    /// What happened so far.
    pub fn trace(&self) -> &Trace {
        &self.common.trace
    }

    /// Place and words of what panicked so far and was not taken yet: tasks of processes, whose end that is (the alarm `panic`), writes,
    /// and the world's own tasks.
    pub fn take_panics(&self) -> Vec<String> {
        seal::panics::take()
    }

    /// [`Machine::user`] of the first machine.
    pub fn user(&self, directory: impl Into<PathBuf>, variables: BTreeMap<String, String>) -> Env {
        self.first().user(directory, variables)
    }

    /// [`Machine::user_with_clock`] of the first machine.
    pub fn user_with_clock(&self, directory: impl Into<PathBuf>, clock: Rc<SetClock>) -> Env {
        self.first().user_with_clock(directory, clock)
    }

    /// A wall clock that stands still until it is set; time as it passes is the world's.
    pub fn set_clock(&self, microseconds: i64) -> Rc<SetClock> {
        self.first().set_clock(microseconds)
    }

    /// Starts a program as the child of that process and waits for its end. What it printed goes to the trace and into the answer.
    pub async fn command(&self, env: &Env, program: &str, arguments: &[&str]) -> (Exit, String) {
        self.first().command(env, program, arguments).await
    }

    /// [`Machine::processes`] of the first machine.
    pub fn processes(&self) -> Vec<(Identity, String)> {
        self.first().processes()
    }

    /// [`Machine::disk`] of the first machine.
    pub fn disk(&self) -> &Disk {
        self.first().disk()
    }

    /// [`Machine::kill`] of the first machine.
    pub fn kill(&self, identity: Identity) {
        self.first().kill(identity);
    }

    /// [`Machine::cut_power`] of the first machine.
    pub fn cut_power(&self) {
        self.first().cut_power();
    }

    /// [`Machine::struck`] of the first machine.
    pub async fn struck(&self) -> Strike {
        self.first().struck().await
    }
}
