//! The knobs of a run: all that is decided before it begins, drawn from its seed.

mod trees;

mod formats;
mod local;
mod places;
mod second;

use crate::world::{Random, Tier};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
pub use trees::Trees;

pub use formats::Formats;
pub use local::Local;
pub use places::Places;
pub use second::Second;

/// What kind of run it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// A small cloud, many users, and everything that can go wrong.
    Swarm,
    /// Users and no faults, for days.
    Calm,
    /// The machines' disks fail and forget, too.
    Crash,
    /// A large cloud without faults.
    Scale,
}

/// All that is decided before a run begins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Knobs {
    /// Which kind of run.
    pub profile: Profile,
    /// Computers.
    pub nodes: u32,
    /// Partitions of each.
    pub partitions: u32,
    /// Users that ask for things at the same time.
    pub users: u32,
    /// Whether agents wait for changes, or ask every minute.
    pub agents_wait: bool,
    /// How long users work and things go wrong, in seconds.
    pub turmoil_seconds: u64,
    /// The mean time between two things that users do, in seconds.
    pub user_seconds: u64,
    /// The mean time between two things that go wrong, in seconds; 0 for never.
    pub fault_seconds: u64,
    /// Which kinds of things go wrong.
    pub faults: Vec<FaultKind>,
    /// How far wall clocks are wrong at first, in seconds at most.
    pub skew_seconds: u64,
    /// The mean time between two things that users only read, in seconds; 0 for never.
    #[serde(default)]
    pub read_seconds: u64,
    /// The mean time between two renames by users, in seconds; 0 for never.
    #[serde(default)]
    pub rename_seconds: u64,
    /// The promises of each release that are plugins, beside those that are executables.
    #[serde(default)]
    pub plugins: Vec<Plugin>,
    /// The mean time between two passes that an operator runs on a node, in seconds; 0 for never.
    #[serde(default)]
    pub pass_seconds: u64,
    /// So many of the users ask by JSON-RPC where they can; the others by XML, and read the pages.
    #[serde(default)]
    pub rpc_users: u32,
    /// Whether instances request others, and users shared ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trees: Option<Trees>,
    /// The mean time between two things that users look at or tell beside those, in seconds; 0 for never.
    #[serde(default)]
    pub look_seconds: u64,
    /// The mean time between two commands that users type, in seconds; 0 for never.
    #[serde(default)]
    pub type_seconds: u64,
    /// The mean time between two strangers, in seconds; 0 for never.
    #[serde(default)]
    pub stranger_seconds: u64,
    /// The mean time between two programs or services that stand still for a time, in seconds; 0 for never.
    #[serde(default)]
    pub pause_seconds: u64,
    /// The mean time between two releases that are spoilt at their server, in seconds; 0 for never.
    #[serde(default)]
    pub spoil_seconds: u64,
    /// The mean time between two pairs of wishes that cannot both be, at nearly the same time, in seconds; 0 for never.
    #[serde(default)]
    pub race_seconds: u64,
    /// How nodes are formatted, and whether that changes.
    #[serde(default)]
    pub formats: Formats,
    /// What somebody does to directories, logs and the master's disk.
    #[serde(default)]
    pub places: Places,
    /// Whether a release is a path, and moves.
    #[serde(default)]
    pub local: Local,
    /// Whether there is a second master.
    #[serde(default)]
    pub second: Second,
}

/// A promise that slap runs itself (docs/node.md, 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Plugin {
    /// The service listens: check_socket_listening.
    Socket,
    /// The service answers: check_url_available.
    Url,
    /// A command ends well: check_command_execute.
    Command,
}

/// All of them.
const PLUGINS: [Plugin; 3] = [Plugin::Socket, Plugin::Url, Plugin::Command];

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// A program of the cloud is killed.
    Kill,
    /// A service is killed.
    KillService,
    /// A machine loses its power.
    Power,
    /// A machine is shut down and started again.
    Reboot,
    /// A node comes back with an empty disk.
    Wipe,
    /// Nothing passes between two machines, in one direction or both.
    Partition,
    /// A machine is refused.
    Refuse,
    /// Connections are reset.
    Reset,
    /// A request, or the answer to one, is lost.
    Lose,
    /// A request arrives twice.
    Duplicate,
    /// Everything takes longer.
    Delay,
    /// Few bytes a second.
    Trickle,
    /// A wall clock jumps.
    Step,
    /// A wall clock goes wrong.
    Drift,
    /// A service ends by itself, or does not end when it is asked to.
    Misbehave,
    /// A promise fails, is slow, hangs, flaps or lies.
    Promise,
    /// A machine's disk is full, broken or busy.
    Disk,
    /// A program or its machine ends within an operation of the disk.
    Crash,
    /// Somebody else has the port of a service when it starts.
    PortTaken,
    /// The quota of a partition or of a node is used up.
    Quota,
    /// A node is told what the master wanted once, or misses it some times.
    View,
    /// Another machine has a node's identity, and all that the node had.
    Clone,
    /// What a promise that is a plugin looks at fails or is slow, or somebody puts a plugin there that cannot run.
    Plugin,
    /// A service leaves processes behind, or does not end when it is asked to.
    Leave,
    /// Somebody removes state, sockets or locks of a running node.
    Remove,
}

/// Those that need no disk that forgets.
const COMMON: [FaultKind; 16] = [
    FaultKind::Kill,
    FaultKind::KillService,
    FaultKind::Power,
    FaultKind::Reboot,
    FaultKind::Wipe,
    FaultKind::Partition,
    FaultKind::Refuse,
    FaultKind::Reset,
    FaultKind::Lose,
    FaultKind::Duplicate,
    FaultKind::Delay,
    FaultKind::Trickle,
    FaultKind::Step,
    FaultKind::Drift,
    FaultKind::Misbehave,
    FaultKind::Promise,
];

/// Those that came later. They are drawn from streams of their own, so that whatever else a seed does stays what it was without.
const LATER: [FaultKind; 7] = [
    FaultKind::PortTaken,
    FaultKind::Quota,
    FaultKind::View,
    FaultKind::Clone,
    FaultKind::Plugin,
    FaultKind::Leave,
    FaultKind::Remove,
];

/// The kinds of faults that a profile has.
pub(super) fn all_faults(profile: Profile) -> Vec<FaultKind> {
    let later = if matches!(profile, Profile::Swarm | Profile::Crash) { &LATER[..] } else { &[] };
    first_faults(profile).into_iter().chain(later.iter().copied()).collect()
}

/// The kinds of faults that a profile had first.
fn first_faults(profile: Profile) -> Vec<FaultKind> {
    match profile {
        Profile::Crash => COMMON.into_iter().chain([FaultKind::Disk, FaultKind::Crash]).collect(),
        Profile::Swarm => COMMON.to_vec(),
        Profile::Calm | Profile::Scale => Vec::new(),
    }
}

impl FaultKind {
    /// Whether it came later than the others.
    pub(super) fn is_later(self) -> bool {
        LATER.contains(&self)
    }
}

impl Knobs {
    /// The knobs of a seed.
    pub fn draw(seed: u64, profile: Profile) -> Knobs {
        let random = Random::new(seed).child("knobs");
        let among = |least: u64, most: u64| least + random.below(most - least + 1);
        let calm = Knobs {
            profile,
            nodes: among(1, 5) as u32,
            partitions: among(1, 4) as u32,
            users: among(1, 4) as u32,
            agents_wait: random.below(2) == 0,
            turmoil_seconds: 60 * among(10, 120),
            user_seconds: among(5, 120),
            fault_seconds: 0,
            faults: Vec::new(),
            skew_seconds: 0,
            read_seconds: 0,
            rename_seconds: 0,
            plugins: Vec::new(),
            pass_seconds: 0,
            rpc_users: 0,
            trees: None,
            look_seconds: 0,
            type_seconds: 0,
            stranger_seconds: 0,
            pause_seconds: 0,
            spoil_seconds: 0,
            race_seconds: 0,
            formats: Formats::default(),
            places: Places::default(),
            local: Local::default(),
            second: Second::default(),
        };
        // A stream of its own: the other knobs of a seed stay what they were before there were readers.
        let readers = Random::new(seed).child("knobs of readers");
        let (read_seconds, rename_seconds) = (5 + readers.below(56), 60 + readers.below(600));
        let wires = Random::new(seed).child("knobs of wires");
        let rpc_users = wires.below(u64::from(calm.users) + 1) as u32;
        let calm = Knobs { trees: Trees::draw(seed, profile, calm.partitions), ..calm };
        let calm = if profile == Profile::Scale { calm } else { calm.with_talk(seed) };
        match profile {
            Profile::Calm => {
                let (read_seconds, rename_seconds) = (20 * read_seconds, 20 * rename_seconds);
                let nodes = among(3, 10) as u32;
                let formats = Formats::draw(seed, profile, nodes);
                let calm = Knobs { read_seconds, rename_seconds, rpc_users, formats, ..calm };
                let calm = Knobs { second: Second::draw(seed, profile, calm.trees.is_some()), ..calm };
                Knobs { nodes, turmoil_seconds: 86_400, user_seconds: 1800, ..calm }
            }
            // Nobody reads in a large one: to follow what all users might see there would take longer than the run.
            Profile::Scale => Knobs {
                nodes: 1000,
                partitions: 10,
                users: 4,
                turmoil_seconds: 1800,
                user_seconds: 30,
                ..calm
            },
            Profile::Swarm | Profile::Crash => {
                // Half of the kinds in each run: what hides one fault is often another one.
                let mut faults: Vec<FaultKind> =
                    first_faults(profile).into_iter().filter(|_| random.below(2) == 0).collect();
                let later = Random::new(seed).child("knobs of later faults");
                faults.extend(LATER.into_iter().filter(|_| later.below(2) == 0));
                let skew_seconds = if random.below(2) == 0 { 0 } else { among(1, 86_400) };
                let plugins = Random::new(seed).child("knobs of plugins");
                let plugins = PLUGINS.into_iter().filter(|_| plugins.below(2) == 0).collect();
                let operators = Random::new(seed).child("knobs of operators");
                let pass_seconds = if operators.below(2) == 0 { 0 } else { 60 + operators.below(900) };
                let formats = Formats::draw(seed, profile, calm.nodes);
                let calm = Knobs { read_seconds, rename_seconds, plugins, pass_seconds, rpc_users, ..calm };
                let (places, local) = (Places::draw(seed, profile), Local::draw(seed, profile));
                let second = Second::draw(seed, profile, calm.trees.is_some());
                let calm = Knobs { formats, places, local, second, ..calm };
                let knobs = Knobs { fault_seconds: among(10, 300), faults, skew_seconds, ..calm };
                knobs.with_stalls_and_races(seed)
            }
        }
    }

    /// Partitions of each node, with those that users do not reckon with.
    pub fn all_partitions(&self) -> u32 {
        self.partitions + self.trees.map_or(0, |trees| trees.spare)
    }

    /// With what users look at and type, and with strangers: each in half of the seeds.
    fn with_talk(self, seed: u64) -> Knobs {
        let talk = Random::new(seed).child("knobs of talk");
        let rarely = if self.profile == Profile::Calm { 20 } else { 1 };
        let mean = |least: u64, more: u64| {
            let seconds = least + talk.below(more);
            if talk.below(2) == 0 { 0 } else { rarely * seconds }
        };
        let (look_seconds, type_seconds) = (mean(10, 90), mean(30, 150));
        Knobs { look_seconds, type_seconds, stranger_seconds: mean(20, 120), ..self }
    }

    /// With programs that stand still, releases that are spoilt and users who race: each in a third of the seeds.
    fn with_stalls_and_races(self, seed: u64) -> Knobs {
        let random = Random::new(seed).child("knobs of stalls and races");
        let third = |least: u64, more: u64| {
            let seconds = least + random.below(more);
            if random.below(3) == 0 { seconds } else { 0 }
        };
        let (pause_seconds, spoil_seconds) = (third(60, 600), third(300, 1200));
        Knobs { pause_seconds, spoil_seconds, race_seconds: third(20, 200), ..self }
    }

    /// With all that can go wrong in a run of that profile.
    pub(super) fn with_everything(self) -> Knobs {
        let faults = all_faults(self.profile);
        if !matches!(self.profile, Profile::Swarm | Profile::Crash) {
            return Knobs { faults, ..self };
        }
        let or = |seconds: u64, often: u64| if seconds == 0 { often } else { seconds };
        let full_seconds = if self.profile == Profile::Crash { or(self.places.full_seconds, 600) } else { 0 };
        let second = Second {
            request_seconds: or(self.second.request_seconds, 60),
            fault_seconds: or(self.second.fault_seconds, 200),
        };
        Knobs {
            faults,
            skew_seconds: or(self.skew_seconds, 3600),
            plugins: PLUGINS.to_vec(),
            pass_seconds: or(self.pass_seconds, 300),
            look_seconds: or(self.look_seconds, 60),
            type_seconds: or(self.type_seconds, 120),
            stranger_seconds: or(self.stranger_seconds, 120),
            pause_seconds: or(self.pause_seconds, 300),
            spoil_seconds: or(self.spoil_seconds, 600),
            race_seconds: or(self.race_seconds, 120),
            formats: Formats {
                network_nodes: self.formats.network_nodes.max(1),
                change_seconds: or(self.formats.change_seconds, 600),
            },
            places: Places {
                touch_seconds: or(self.places.touch_seconds, 600),
                shout_seconds: or(self.places.shout_seconds, 900),
                full_seconds,
            },
            local: Local { move_seconds: or(self.local.move_seconds, 900) },
            // The judge of a second master does not follow trees.
            second: if self.trees.is_some() { Second::default() } else { second },
            ..self
        }
    }

    /// What the machines are made for.
    pub fn tier(&self) -> Tier {
        if self.profile == Profile::Crash { Tier::Crash } else { Tier::Fast }
    }
}

impl Profile {
    /// Its word on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Profile::Swarm => "swarm",
            Profile::Calm => "calm",
            Profile::Crash => "crash",
            Profile::Scale => "scale",
        }
    }
}

impl FromStr for Profile {
    type Err = String;

    fn from_str(text: &str) -> Result<Profile, String> {
        [Profile::Swarm, Profile::Calm, Profile::Crash, Profile::Scale]
            .into_iter()
            .find(|profile| profile.as_str() == text)
            .ok_or_else(|| format!("profile {text:?}: expected swarm, calm, crash or scale"))
    }
}

impl fmt::Display for Knobs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Knobs { profile, nodes, partitions, users, turmoil_seconds, user_seconds, fault_seconds, .. } =
            self;
        let polls = if self.agents_wait { "wait for changes" } else { "ask every minute" };
        write!(
            formatter,
            "{} nodes={nodes} partitions={partitions} users={users} agents {polls}; {} min, an operation each {user_seconds} s",
            profile.as_str(),
            turmoil_seconds / 60
        )?;
        if self.read_seconds > 0 {
            write!(formatter, ", a read each {} s", self.read_seconds)?;
        }
        if self.rename_seconds > 0 {
            write!(formatter, ", a rename each {} s", self.rename_seconds)?;
        }
        if self.rpc_users > 0 {
            write!(formatter, ", JSON-RPC by users 1 to {}", self.rpc_users)?;
        }
        if let Some(Trees { spare, seconds }) = self.trees {
            write!(formatter, ", trees in {spare} more partitions, a shared one each {seconds} s")?;
        }
        for (what, seconds) in [
            ("a look", self.look_seconds),
            ("a command", self.type_seconds),
            ("a stranger", self.stranger_seconds),
            ("a pause", self.pause_seconds),
            ("a spoilt release", self.spoil_seconds),
            ("a race", self.race_seconds),
        ] {
            if seconds > 0 {
                write!(formatter, ", {what} each {seconds} s")?;
            }
        }
        if self.pass_seconds > 0 {
            write!(formatter, ", a pass by hand each {} s", self.pass_seconds)?;
        }
        write!(formatter, "{}{}{}{}", self.formats, self.places, self.local, self.second)?;
        if !self.plugins.is_empty() {
            write!(formatter, ", plugins: {}", words(&self.plugins))?;
        }
        if *fault_seconds > 0 {
            write!(formatter, ", a fault each {fault_seconds} s of: {}", words(&self.faults))?;
        }
        if self.skew_seconds > 0 {
            write!(formatter, "; clocks wrong by up to {} s", self.skew_seconds)?;
        }
        Ok(())
    }
}

/// How a plan calls them.
fn words(kinds: &[impl Serialize]) -> String {
    let word = |kind| serde_json::to_value(kind).ok().and_then(|name| name.as_str().map(str::to_owned));
    let words: Vec<String> = kinds.iter().map(word).map(Option::unwrap_or_default).collect();
    words.join(" ")
}
