//! A machine of a world: its files, disk, processes, databases, wall clock and place in the network are its own.
//!
//! ```
//! use simulator::world::{Mishap, SLAP, World};
//! use slap_impl::env::Command;
//! use std::time::Duration;
//!
//! World::run(7, async |world| {
//!     let (master, node) = (world.add_machine("master"), world.add_machine("node-1"));
//!     // Programs: typed by a user, or started at each boot.
//!     let user = node.user("/root", Default::default());
//!     node.command(&user, SLAP, &["--version"]).await;
//!     node.on_boot(vec![Command::new(SLAP).arguments(["node", "run", "--cfg", "/etc/slapos.cfg"])]);
//!     // What happens to a machine.
//!     node.power_off();
//!     user.clock().sleep(Duration::from_secs(60)).await;
//!     node.power_on();
//!     node.clock().drift(100);
//!     // What happens between two: each direction has its own faults.
//!     world.partition(&master, &node);
//!     world.heal(&master, &node);
//!     world.link(&node, &master).plan(3, Mishap::LoseAnswer);
//! });
//! ```
//!
//! A process is known by its machine and its identity: numbers repeat between machines.

use super::{
    Tier,
    clock::{SetClock, WallClock, pause},
    disk::{Disk, Strike},
    files::MemoryFiles,
    foreign::Begun,
    network::{Interface, Lan},
    processes::{self, Table},
    programs,
    random::Random,
    store::WorldStores,
    trace::Trace,
};
use slap_impl::env::{Command, Env, Exit, Identity, Output, Signal, race};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};
use tokio::time::Instant;

/// How long a machine that is shut down in order waits for its processes.
const SHUTDOWN_TIME_MAX: Duration = Duration::from_secs(5);
/// Bytes of output that [`Machine::command`] gives.
const OUTPUT_BYTES_MAX: usize = 1 << 20;

/// A machine in memory. All clones are the same one.
#[derive(Clone)]
pub struct Machine {
    pub(super) shared: Rc<Shared>,
}

/// What all programs of a machine share.
pub(crate) struct Shared {
    pub(super) name: String,
    /// What its lines of the trace begin with: nothing for the first machine.
    pub(super) prefix: String,
    pub(super) random: Random,
    pub(super) clock: Rc<WallClock>,
    pub(super) files: Rc<MemoryFiles>,
    pub(super) lan: Rc<Lan>,
    pub(super) interface: Rc<Interface>,
    pub(super) stores: Rc<WorldStores>,
    pub(super) disk: Rc<Disk>,
    /// How often the machine was started.
    pub(super) boots: Cell<u32>,
    pub(super) on_boot: RefCell<Vec<Command>>,
    pub(super) table: RefCell<Table>,
    /// Services that began, and were not asked for yet.
    pub(super) begun: RefCell<Vec<Begun>>,
    pub(super) trace: Trace,
}

/// What a machine is made of.
pub(super) struct Parts {
    pub(super) name: String,
    pub(super) prefix: String,
    /// The last two bytes of its addresses.
    pub(super) number: u16,
    pub(super) tier: Tier,
    pub(super) random: Random,
    pub(super) lan: Rc<Lan>,
    pub(super) trace: Trace,
    pub(super) start: Instant,
}

impl Shared {
    /// How the trace calls a process.
    pub(super) fn name_of(&self, identity: Identity) -> String {
        format!("{}process {}", self.prefix, identity.pid)
    }

    /// A text that differs after each boot, and between machines.
    pub(super) fn boot(&self) -> String {
        let boots = self.boots.get();
        match self.prefix.is_empty() {
            true => format!("boot {boots}"),
            false => format!("boot {} {boots}", self.name),
        }
    }
}

impl Machine {
    pub(super) fn new(parts: Parts) -> Machine {
        let Parts { name, prefix, number, tier, random, lan, trace, start } = parts;
        let clock = Rc::new(WallClock::new(start));
        let disk = Rc::new(Disk::new(tier == Tier::Crash, random.child("disk")));
        let files = Rc::new(MemoryFiles::new(clock.clone(), disk.clone()));
        let machine = Machine {
            shared: Rc::new(Shared {
                interface: lan.add(&name, number, random.child("network")),
                stores: Rc::new(WorldStores::new(files.clone(), disk.clone(), random.child("store"))),
                boots: Cell::new(1),
                on_boot: RefCell::default(),
                table: RefCell::new(Table::new()),
                begun: RefCell::default(),
                name,
                prefix,
                random,
                clock,
                files,
                lan,
                disk,
                trace,
            }),
        };
        machine.install();
        machine
    }

    /// Its name, which stands for its address on the other machines too.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Its address, which the other machines reach.
    pub fn address(&self) -> Ipv4Addr {
        self.shared.interface.address
    }

    /// Its other address.
    pub fn address6(&self) -> Ipv6Addr {
        self.shared.interface.address6
    }

    /// Gives it another address, as an operator does for its partitions.
    ///
    /// # Panics
    /// When a machine has it already, or when it is one that every machine has for itself.
    pub fn add_address(&self, address: IpAddr) {
        let is_free = self.shared.lan.add_address(&self.shared.interface, address);
        assert!(is_free, "{address} is in use");
    }

    /// Makes durable what stands on its disk.
    pub fn sync(&self) {
        self.shared.files.sync_all();
    }

    /// Its wall clock.
    pub fn clock(&self) -> &WallClock {
        &self.shared.clock
    }

    /// Its disk, whose faults can be planned in [`Tier::Crash`].
    pub fn disk(&self) -> &Disk {
        &self.shared.disk
    }

    /// Reads a database of it from outside, without its lock and without a fault, through whoever has it open. What is seen is
    /// durable: a commit is shown to readers when it is. False when nobody has it open, or the machine is off: then it is not read.
    ///
    /// # Errors
    /// Those of SQLite.
    pub fn look(
        &self,
        path: &Path,
        query: &mut dyn FnMut(&rusqlite::Connection) -> rusqlite::Result<()>,
    ) -> Result<bool, slap_impl::env::StoreError> {
        if self.is_on() { self.shared.stores.look(path, query) } else { Ok(false) }
    }

    /// The services that found or made their data since this was last asked (`world/foreign.rs`).
    pub(crate) fn take_begun(&self) -> Vec<Begun> {
        self.shared.begun.take()
    }

    /// The paths that had been removed, and were there again when its power was lost since this was last asked: nobody had synced that.
    /// Another disk has none.
    pub fn take_came_back(&self) -> Vec<PathBuf> {
        self.shared.files.take_came_back()
    }

    /// Lets no more stand below a directory than what stands there now and so many blocks of 4096 bytes (EDQUOT); None ends that. An
    /// empty disk has no quotas.
    pub fn set_room(&self, directory: &Path, room: Option<u64>) {
        match room {
            Some(blocks) => {
                self.event(&format!("has room for {blocks} blocks more in {}", directory.display()))
            }
            None => self.event(&format!("has room again in {}", directory.display())),
        }
        self.shared.files.set_room(directory, room);
    }

    /// Ends all that [`Machine::set_room`] began.
    pub fn forget_quotas(&self) {
        self.shared.files.forget_quotas();
    }

    /// Whether it has power.
    pub fn is_on(&self) -> bool {
        self.shared.interface.is_up()
    }

    /// An `Env` of a process in `directory` that is nobody's child: for a test or a user at a terminal. It ends with the power.
    ///
    /// # Panics
    /// When the machine is off.
    pub fn user(&self, directory: impl Into<PathBuf>, variables: BTreeMap<String, String>) -> Env {
        self.check_is_on();
        processes::user(&self.shared, directory.into(), variables)
    }

    /// As [`Machine::user`], with a wall clock that stands still until it is set.
    ///
    /// # Panics
    /// When the machine is off.
    pub fn user_with_clock(&self, directory: impl Into<PathBuf>, clock: Rc<SetClock>) -> Env {
        self.check_is_on();
        processes::user_with_clock(&self.shared, directory.into(), BTreeMap::new(), clock)
    }

    /// A wall clock that stands still until it is set; time as it passes is the world's.
    pub fn set_clock(&self, microseconds: i64) -> Rc<SetClock> {
        Rc::new(SetClock::new(self.shared.clock.clone(), microseconds))
    }

    /// Starts a program as the child of that process and waits for its end. What it printed goes to the trace and into the answer.
    pub async fn command(&self, env: &Env, program: &str, arguments: &[&str]) -> (Exit, String) {
        let command = Command {
            variables: env.context().variables.clone(),
            directory: env.context().directory.clone(),
            output: Output::Capture(OUTPUT_BYTES_MAX),
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

    /// Lets a process stand still, or go on: SIGSTOP and SIGCONT.
    pub fn pause(&self, identity: Identity, stands_still: bool) {
        let signal = if stands_still { Signal::Stop } else { Signal::Continue };
        processes::signal(&self.shared, identity, signal);
    }

    /// Kills a process between two of its steps. One that has ended already is left alone.
    pub fn kill(&self, identity: Identity) {
        processes::kill(&self.shared, identity);
    }

    /// What is started at each boot from now on, in this order, as an init does it: once, and not again when it ends.
    pub fn on_boot(&self, commands: Vec<Command>) {
        self.shared.on_boot.replace(commands);
    }

    /// Starts now what [`Machine::on_boot`] was given.
    ///
    /// # Panics
    /// When the machine is off.
    pub fn start_services(&self) {
        let commands = self.shared.on_boot.borrow().clone();
        if commands.is_empty() {
            return;
        }
        let init = self.user("/", BTreeMap::new());
        for command in commands {
            if let Err(error) = init.processes().spawn(&command) {
                let who = format!("{}init", self.shared.prefix);
                self.shared
                    .trace
                    .event(who, format_args!("cannot start {}: {error}", command.program.display()));
            }
        }
    }

    /// Takes its power: every process ends where it stands, and of what was not synced only what the seed says is left. Nobody hears
    /// of it: whoever is connected to it waits until it gives up, or until the machine is up again and answers what is sent with a
    /// reset.
    pub fn power_off(&self) {
        if !self.is_on() {
            return;
        }
        self.event("loses power");
        self.go_dark();
        let boots = self.shared.boots.get();
        self.shared.files.lose(&self.shared.random.child(&format!("power loss {boots}")));
    }

    /// Starts it, with another boot and without processes but those of [`Machine::on_boot`].
    pub fn power_on(&self) {
        if self.is_on() {
            return;
        }
        self.shared.boots.set(self.shared.boots.get() + 1);
        self.shared.table.borrow_mut().boot();
        self.shared.disk.power_on();
        self.event("starts");
        self.shared.lan.power_on(&self.shared.interface);
        self.start_services();
    }

    /// Takes its power and gives it back.
    pub fn cut_power(&self) {
        self.power_off();
        self.power_on();
    }

    /// Shuts it down in order, and starts it again: every process is asked to end, and killed if it does not within 5 s; their
    /// connections are closed; all is synced.
    pub async fn reboot(&self) {
        if !self.is_on() {
            return self.power_on();
        }
        self.event("shuts down");
        let ends = processes::terminate_all(&self.shared);
        race(ends, pause(SHUTDOWN_TIME_MAX)).await;
        processes::end_all(&self.shared);
        // What they were at is closed once their tasks are gone.
        pause(Duration::from_millis(1)).await;
        self.shared.files.sync_all();
        self.go_dark();
        self.power_on();
    }

    /// Puts an empty disk into it, with the system's programs only. If it is on, its power is cut for that.
    pub fn wipe(&self) {
        self.exchange_disk("has an empty disk", || {
            self.shared.files.clear();
            self.install();
        });
    }

    /// Puts a copy of another machine's disk into it, as that one's programs see it: all that tells the two apart then is their place
    /// in the network. If it is on, its power is cut for that; what the other one has not written yet is not copied.
    ///
    /// # Panics
    /// When SQLite cannot copy a database.
    pub fn clone_disk_of(&self, other: &Machine) {
        self.exchange_disk(&format!("has a copy of the disk of {}", other.name()), || {
            self.shared.files.copy_from(&other.shared.files);
            self.shared.stores.copy_from(&other.shared.stores);
        });
    }

    /// Waits until a planned fault of its disk ends a process or takes its power, and does the rest of it.
    pub async fn struck(&self) -> Strike {
        let strike = self.shared.disk.next_strike().await;
        match strike {
            Strike::Process(identity) => self.kill(identity),
            Strike::Machine => self.cut_power(),
        }
        strike
    }

    pub(super) fn end(&self) {
        processes::end_all(&self.shared);
    }

    /// Ends everything, and vanishes from the network before anything of it can be closed.
    fn go_dark(&self) {
        self.shared.lan.power_off(&self.shared.interface);
        processes::end_all(&self.shared);
    }

    fn exchange_disk(&self, what: &str, exchange: impl FnOnce()) {
        let was_on = self.is_on();
        self.power_off();
        self.event(what);
        self.shared.stores.clear();
        exchange();
        if was_on {
            self.power_on();
        }
    }

    /// Puts the system's programs onto an empty disk.
    fn install(&self) {
        programs::install(&self.shared.files);
        self.shared.files.sync_all();
    }

    fn event(&self, what: &str) {
        self.shared.trace.event(&self.shared.name, what);
    }

    fn check_is_on(&self) {
        assert!(self.is_on(), "{} is off: nobody can do anything there", self.name());
    }
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Machine({})", self.name())
    }
}
