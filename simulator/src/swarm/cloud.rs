//! The cloud of a run: a master, nodes, a server of releases and the users' machine, each with the programs of `slap` that an operator
//! would start there, and an init that starts them again when they end.

use super::{
    format::Formats,
    knobs::Knobs,
    release,
    script::{Place, Program, Release},
    second::{self, Second},
};
use crate::world::{Machine, Random, SLAP, Tier, World, foreign::STRAY, pause, spawn};
use jiff::SignedDuration;
use slap_impl::{
    env::{Command, Env, Identity, Output},
    profile::source::md5_hex,
};
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};
use tokio::sync::Notify;
use tokio::time::Instant;

/// Where every node and the master have their settings: where slapos has them.
pub(super) const SETTINGS: &str = "/etc/opt/slapos/slapos.cfg";
/// Where releases stand on their server.
pub(super) const RELEASES: &str = "/srv/www";
/// Where all stands that nodes install: releases, and partitions.
pub(super) const SLAPGRID: &str = "/srv/slapgrid";
/// Where nodes build releases and have their partitions.
pub(super) const SOFTWARE_ROOT: &str = "/srv/slapgrid/software";
pub(super) const INSTANCE_ROOT: &str = "/srv/slapgrid/instance";
/// The master's database.
pub(super) const DATABASE: &str = "/srv/master/proxy.db";
/// The network interface of all partitions.
pub(super) const INTERFACE: &str = "lo";
/// How long an init waits before it starts again what ended, as systemd's RestartSec.
const RESTART_AFTER: Duration = Duration::from_secs(1);

/// The machines, and what is started on them.
pub(super) struct Cloud {
    pub(super) world: World,
    pub(super) knobs: Knobs,
    machines: BTreeMap<Place, Machine>,
    /// Woken when a machine was started.
    booted: Notify,
    /// What is in the users' hands: one process each.
    users: RefCell<BTreeMap<u32, Env>>,
    /// Who has a port that a service wants.
    pub(super) squatters: RefCell<Vec<(Place, Identity)>>,
    /// When the script began, in the world's time.
    pub(super) began: Cell<Option<Duration>>,
    /// How many processes and machines ended at an operation of their disk.
    pub(super) strikes: Cell<u32>,
    /// What stands still.
    pub(super) paused: RefCell<BTreeSet<(Place, Identity)>>,
    /// What operators of nodes began to remove.
    pub(super) half_removed: RefCell<BTreeSet<(u32, PathBuf)>>,
    /// The releases that are not in order at their server, and when each shall be again: not before all that spoils it is over.
    pub(super) spoilt: RefCell<BTreeMap<Release, Instant>>,
    /// Whose program an operator ended, and its init shall not start again yet.
    halted: RefCell<BTreeSet<Place>>,
    /// Machines that have, or had, the identity of a node.
    twins: RefCell<BTreeMap<u32, Machine>>,
    /// How nodes shall be formatted.
    pub(super) formats: Formats,
    /// How often each node has lost partitions for another reason than slap, since the judge asked.
    pub(super) losses: RefCell<BTreeMap<u32, u32>>,
    /// Whether somebody moved or removed directories of a node.
    pub(super) is_touched: Cell<bool>,
    /// Which name the directory of releases has that are paths.
    pub(super) root: Cell<usize>,
    /// What is known of a second master.
    pub(super) second: Second,
}

impl Cloud {
    /// Makes the machines and puts onto them what an operator does. Nothing runs yet.
    pub(super) fn new(world: World, knobs: Knobs, random: &Random) -> Rc<Cloud> {
        let mut machines = BTreeMap::new();
        let places = [Place::Master, Place::Web, Place::Users].into_iter();
        let far = (knobs.second.request_seconds > 0).then_some([Place::Other, Place::Node(knobs.nodes + 1)]);
        // The last are those of a second master: the others have the addresses that they had without.
        for place in places.chain((1..=knobs.nodes).map(Place::Node)).chain(far.into_iter().flatten()) {
            machines.insert(place, world.add_machine_in(knobs.tier(), &name(place)));
        }
        let cloud = Cloud {
            world,
            machines,
            booted: Notify::new(),
            users: RefCell::default(),
            squatters: RefCell::default(),
            began: Cell::default(),
            strikes: Cell::default(),
            paused: RefCell::default(),
            spoilt: RefCell::default(),
            half_removed: RefCell::default(),
            halted: RefCell::default(),
            twins: RefCell::default(),
            formats: Formats::default(),
            losses: RefCell::default(),
            is_touched: Cell::new(false),
            root: Cell::new(0),
            second: Second::default(),
            knobs,
        };
        for (place, machine) in &cloud.machines {
            if cloud.knobs.skew_seconds > 0 {
                let seconds = random
                    .child(&format!("skew of {}", name(*place)))
                    .below(2 * cloud.knobs.skew_seconds + 1);
                machine
                    .clock()
                    .set_skew(SignedDuration::from_secs(seconds as i64 - cloud.knobs.skew_seconds as i64));
            }
            cloud.install(*place);
        }
        Rc::new(cloud)
    }

    /// The machine of a place.
    pub(super) fn machine(&self, place: Place) -> &Machine {
        self.machines.get(&place).expect("the script names machines of its knobs")
    }

    /// Whether the knobs have that place: a script may have been made for more.
    pub(super) fn has(&self, place: Place) -> bool {
        self.machines.contains_key(&place)
    }

    pub(super) fn places(&self) -> impl Iterator<Item = Place> {
        self.machines.keys().copied()
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = u32> + use<> {
        1..=self.knobs.nodes
    }

    /// The master's URL, as nodes and users have it.
    pub(super) fn master_url(&self) -> String {
        format!("http://{}:5000", self.machine(Place::Master).address())
    }

    /// The URL of a release.
    pub(super) fn release_url(&self, release: Release) -> String {
        if self.is_local(release) {
            return Cloud::local_url(release);
        }
        format!(
            "http://{}:8000/{}/software.cfg",
            self.machine(Place::Web).address(),
            release::directory(release)
        )
    }

    /// The files of a release.
    pub(super) fn release_files(&self, release: Release) -> Vec<(&'static str, String)> {
        let has_networks = self.knobs.formats.network_nodes > 0;
        let files = release::files(release, &self.knobs.plugins, self.knobs.trees.is_some()).into_iter();
        let named =
            |text: String| if has_networks { release::named_by_address(&text, release) } else { text };
        files.map(|(name, text)| (name, named(text))).collect()
    }

    /// A user's process. It is another one after the users' machine was down.
    pub(super) fn user(&self, number: u32) -> Env {
        let machine = self.machine(Place::Users);
        let mut users = self.users.borrow_mut();
        users.entry(number).or_insert_with(|| machine.user("/root", BTreeMap::new())).clone()
    }

    /// Starts every machine's programs.
    pub(super) fn start(self: &Rc<Self>) {
        for place in self.machines.keys() {
            if let Some(command) = self.program(*place) {
                let (cloud, machine) = (self.clone(), self.machine(*place).clone());
                let place = *place;
                spawn(async move { cloud.keep(place, &machine, &command).await });
            }
        }
    }

    /// Kills a machine's program, and lets its init not start it again before [`Cloud::resume`].
    pub(super) fn halt(&self, place: Place) {
        self.halted.borrow_mut().insert(place);
        let program = match place {
            Place::Master => Program::Master,
            Place::Node(node) => Program::Agent(node),
            Place::Other => Program::Other,
            Place::Web | Place::Users => return,
        };
        if let Some((_, identity)) = self.process(program) {
            self.machine(place).kill(identity);
        }
    }

    /// Lets a machine's init start its program again.
    pub(super) fn resume(&self, place: Place) {
        self.halted.borrow_mut().remove(&place);
        self.booted.notify_waiters();
    }

    /// The machine that has the identity of a node beside it. It is made, without power, when it is first asked for.
    pub(super) fn twin(self: &Rc<Self>, node: u32) -> Machine {
        if let Some(twin) = self.twins.borrow().get(&node) {
            return twin.clone();
        }
        let place = Place::Node(node);
        let twin = self.world.add_machine_in(self.knobs.tier(), &format!("{}-twin", name(place)));
        twin.power_off();
        self.twins.borrow_mut().insert(node, twin.clone());
        if let Some(command) = self.program(place) {
            let (cloud, twin) = (self.clone(), twin.clone());
            spawn(async move { cloud.keep(place, &twin, &command).await });
        }
        if self.knobs.tier() == Tier::Crash {
            let twin = twin.clone();
            spawn(async move {
                loop {
                    twin.struck().await;
                }
            });
        }
        twin
    }

    /// The nodes whose identity another machine has, or had.
    pub(super) fn twins(&self) -> BTreeMap<u32, Machine> {
        self.twins.borrow().clone()
    }

    /// Puts a machine's power back.
    pub(super) fn power_on(&self, place: Place) {
        self.machine(place).power_on();
        self.booted.notify_waiters();
    }

    /// Tells the inits that a machine was started.
    pub(super) fn has_booted(&self) {
        self.booted.notify_waiters();
    }

    /// What an operator puts onto a machine with an empty disk.
    pub(super) fn install(&self, place: Place) {
        let env = self.machine(place).user("/", BTreeMap::new());
        let write = |path: PathBuf, content: &str| {
            let directory = path.parent().expect("all of them stand in directories");
            env.files().create_directory(directory, 0o755).expect("nothing else stands there");
            env.files().write(&path, content.as_bytes(), 0o644).expect("nothing else stands there");
        };
        let directory = |path: &str| {
            env.files().create_directory(&PathBuf::from(path), 0o755).expect("nothing else stands there");
        };
        match place {
            Place::Master => {
                directory("/srv/master");
                write(SETTINGS.into(), &self.master_settings());
            }
            Place::Web => {
                for release in [Release::A, Release::B] {
                    for (name, content) in self.release_files(release) {
                        write(PathBuf::from(RELEASES).join(release::directory(release)).join(name), &content);
                    }
                }
                for (name, content) in
                    self.release_files(Release::B).into_iter().filter(|_| self.has_second())
                {
                    write(PathBuf::from(RELEASES).join(second::LISTED).join(name), &content);
                }
            }
            Place::Other => {
                directory("/srv/master");
                write(SETTINGS.into(), &self.other_settings());
            }
            Place::Users => {
                let settings = format!("[slapos]\nmaster_url = {}\n", self.master_url());
                write("/root/.slapos/slapos-client.cfg".into(), &settings);
            }
            Place::Node(number) => {
                directory(SOFTWARE_ROOT);
                directory(INSTANCE_ROOT);
                self.node_files(number)
                    .into_iter()
                    .chain(self.local_files())
                    .for_each(|(path, text)| write(path, &text));
                self.has_lost_partitions(number);
            }
        }
        self.machine(place).sync();
    }

    /// The process of a program, if it runs.
    pub(super) fn process(&self, program: Program) -> Option<(Place, Identity)> {
        let place = program.place();
        let words = match program {
            Program::Master | Program::Other => "proxy start",
            Program::Web => "http-server",
            Program::Agent(_) => "node run",
            Program::Supervisor(_) => "supervisor --directory",
        };
        let found = self.machine(place).processes().into_iter().find(|(_, what)| what.contains(words))?;
        Some((place, found.0))
    }

    /// The services that run in a partition.
    pub(super) fn services(&self, node: u32, partition: &str) -> Vec<Identity> {
        let wrapper = format!("{INSTANCE_ROOT}/{partition}/etc/service/");
        let processes = self.machine(Place::Node(node)).processes();
        processes
            .into_iter()
            .filter(|(_, what)| what.contains(&wrapper))
            .map(|(identity, _)| identity)
            .collect()
    }

    /// How many processes run that services of a partition left, in sessions of their own.
    pub(super) fn strays(&self, node: u32, partition: &str) -> usize {
        let words = format!("/bin/foreign {STRAY} {partition}");
        let processes = self.machine(Place::Node(node)).processes();
        processes.iter().filter(|(_, what)| what.ends_with(&words)).count()
    }

    fn program(&self, place: Place) -> Option<Command> {
        let words: &[&str] = match place {
            Place::Master | Place::Other => {
                &["proxy", "start", "--cfg", SETTINGS, "--log-file", "/srv/master/log"]
            }
            Place::Web => &["http-server", "--host", "0.0.0.0", "--port", "8000", "--directory", RELEASES],
            Place::Users => return None,
            Place::Node(_) => &["node", "run", "--cfg", SETTINGS],
        };
        let variables = [("HOME", "/root"), ("PATH", "/usr/bin:/bin")];
        Some(Command {
            variables: variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            directory: "/".into(),
            output: Output::Null,
            ..Command::new(SLAP).arguments(words.iter().copied())
        })
    }

    /// An init with one service: starts it at each boot, and again when it ended.
    async fn keep(self: Rc<Self>, place: Place, machine: &Machine, command: &Command) {
        loop {
            while !machine.is_on() || self.halted.borrow().contains(&place) {
                self.booted.notified().await;
            }
            let init = machine.user("/", BTreeMap::new());
            match init.processes().spawn(command) {
                Ok(mut spawned) => {
                    let _ = spawned.child.wait().await;
                }
                Err(error) => self.world.trace().event(machine.name(), format_args!("init: {error}")),
            }
            machine.kill(init.context().identity);
            pause(RESTART_AFTER).await;
        }
    }
}

/// Where a node builds the release of that URL.
pub(super) fn release_directory(url: &str) -> PathBuf {
    Path::new(SOFTWARE_ROOT).join(md5_hex(url.as_bytes()))
}

/// The file that makes a release count as built.
pub(super) fn completed(url: &str) -> PathBuf {
    release_directory(url).join(".completed")
}

/// The product that a release is of.
pub(super) fn product(release: Release) -> String {
    format!("product-{}", release::directory(release))
}

/// The address of a partition that a definition file names, on whichever node: each has it for itself.
pub(super) fn partition_address(partition: u32) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 1, partition as u8)
}

/// How a machine is called, in the network and in the trace.
pub(super) fn name(place: Place) -> String {
    match place {
        Place::Master => "master".to_owned(),
        Place::Users => "users".to_owned(),
        Place::Web => "web".to_owned(),
        Place::Other => "other".to_owned(),
        Place::Node(number) => format!("node-{number}"),
    }
}
