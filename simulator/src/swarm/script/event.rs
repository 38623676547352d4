//! What can happen in a run.

use super::{
    formats::Change,
    look::{Look, Tell, Typed},
    places::Touch,
    stalls::Spoil,
    trees::Act,
};
use serde::{Deserialize, Serialize};

/// Something that happens at a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    /// Milliseconds after the beginning of the turmoil.
    pub(crate) at: u64,
    /// What happens.
    pub(crate) event: Event,
}

/// What happens. Nodes, partitions and users are counted from 1, 0 and 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Event {
    /// A user supplies a release to a node, or removes it from there.
    Supply { user: u32, node: u32, release: Release, removed: bool },
    /// A user asks for an instance, on that node if one is named.
    Request { user: u32, title: u32, release: Release, node: Option<u32>, note: u32, state: State },
    /// A user reports that something is wrong in a partition.
    Bang { user: u32, node: u32, partition: u32 },
    /// A user gives the instance of a title another title.
    Rename { user: u32, title: u32, to: u32 },
    /// A user reads what is known of the instance of a title.
    ReadInstance { user: u32, title: u32 },
    /// A user lists all instances.
    ReadList { user: u32 },
    /// A user reads what a node shall do; with `again`, only if that changed since the same user read it.
    ReadComputer { user: u32, node: u32, again: bool },
    /// A user does something with a shared instance or a child.
    Tree { user: u32, act: Act },
    /// A user looks at something else.
    Look { user: u32, look: Look },
    /// A user tells the master what others might tell it.
    Tell { user: u32, tell: Tell },
    /// A user types a command at a terminal.
    Type { user: u32, typed: Typed },
    /// A stranger sends the master what is no good request (`users/strangers.rs`), and no more after it, or more that never comes.
    Stranger { text: String, status: u16, is_half: bool },
    /// A program is killed. What started it starts it again.
    Kill { program: Program },
    /// A program stands still (SIGSTOP) for so long. One that is killed meanwhile is started again.
    Pause { program: Program, milliseconds: u64 },
    /// The services of a partition stand still for so long.
    Hang { node: u32, partition: u32, milliseconds: u64 },
    /// A release's profile is spoilt at its server, for so long.
    Spoil { release: Release, how: Spoil, milliseconds: u64 },
    /// A service is killed.
    KillService { node: u32, partition: u32 },
    /// A machine loses its power for so long.
    Power { machine: Place, milliseconds: u64 },
    /// A machine is shut down and started again.
    Reboot { machine: Place },
    /// A node gets an empty disk.
    Wipe { node: u32 },
    /// Nothing passes for so long.
    Partition { from: Place, to: Place, both: bool, milliseconds: u64 },
    /// Connections are refused for so long.
    Refuse { from: Place, to: Place, milliseconds: u64 },
    /// All connections are reset.
    Reset { from: Place, to: Place },
    /// The request after so many is lost.
    LoseRequest { from: Place, to: Place, spared: u64 },
    /// The answer to the request after so many is lost.
    LoseAnswer { from: Place, to: Place, spared: u64 },
    /// The request after so many arrives once more, so much later.
    Duplicate { from: Place, to: Place, spared: u64, milliseconds: u64 },
    /// Bytes take so much longer, for so long.
    Delay { from: Place, to: Place, extra: u64, milliseconds: u64 },
    /// So many bytes a second, for so long.
    Trickle { from: Place, to: Place, bytes: u64, milliseconds: u64 },
    /// A wall clock jumps by so many seconds.
    Step { machine: Place, seconds: i64 },
    /// A wall clock gains so many microseconds a second, for so long.
    Drift { machine: Place, parts_per_million: i32, milliseconds: u64 },
    /// A program in a partition behaves so (`world/foreign.rs`), for so long.
    Behave { node: u32, partition: u32, role: Role, line: String, milliseconds: u64 },
    /// A machine's disk fails after so many operations of that kind, for so long.
    Disk { machine: Place, operation: Operation, failure: Failure, spared: u64, milliseconds: u64 },
    /// A program, or its whole machine, ends at an operation of the disk.
    Crash { machine: Place, operation: Operation, spared: u64, moment: Moment, power: bool },
    /// The services of a partition end, and somebody else has their port for so long.
    TakePort { node: u32, partition: u32, milliseconds: u64 },
    /// What the master wants of a node is kept by something between, and given again, so much later, to so many of the node's
    /// questions, each so long after it was asked.
    OldView { node: u32, age: u64, times: u64, milliseconds: u64 },
    /// So many of a node's questions for what the master wants are lost.
    SkipView { node: u32, times: u64 },
    /// Another machine starts with a copy of a node's disk, and runs beside it for so long. Then it is gone, and the node is started again.
    Clone { node: u32, milliseconds: u64 },
    /// A partition, or all that a node installs, may take so many blocks more and no others, for so long.
    Quota { node: u32, partition: Option<u32>, room: u64, milliseconds: u64 },
    /// Somebody puts a plugin with that text among a partition's promises, for so long.
    StrayPlugin { node: u32, partition: u32, text: String, milliseconds: u64 },
    /// Somebody removes a part of a running node.
    Remove { node: u32, part: Part },
    /// An operator runs a pass on a node, beside its agent.
    Pass { node: u32, pass: Pass },
    /// An operator changes how a node is formatted, for so long, and formats; with `restarts` the agent is started again, too.
    Reformat { node: u32, change: Change, restarts: bool, milliseconds: u64 },
    /// Somebody does something to directories, locks or links of a running node, for so long.
    Touch { node: u32, touch: Touch, milliseconds: u64 },
    /// The master is started with another name of the directory in which releases are that are paths, for so long.
    MoveReleases { milliseconds: u64 },
    /// A user asks the first master for an instance of the second one: of a release that its settings list, or by the second one's URL.
    Elsewhere { user: u32, title: u32, listed: bool, note: u32, state: State },
}

impl Event {
    /// The user who does it; none for what goes wrong.
    pub(crate) fn user(&self) -> Option<u32> {
        match self {
            Event::Supply { user, .. }
            | Event::Request { user, .. }
            | Event::Bang { user, .. }
            | Event::Rename { user, .. }
            | Event::ReadInstance { user, .. }
            | Event::ReadList { user }
            | Event::ReadComputer { user, .. }
            | Event::Tree { user, .. }
            | Event::Look { user, .. }
            | Event::Tell { user, .. }
            | Event::Type { user, .. } => Some(*user),
            _ => None,
        }
    }

    /// Whether it changes nothing.
    pub(crate) fn is_read(&self) -> bool {
        match self {
            Event::ReadInstance { .. }
            | Event::ReadList { .. }
            | Event::ReadComputer { .. }
            | Event::Look { .. } => true,
            Event::Tree { act, .. } => act.is_read(),
            _ => false,
        }
    }
}

/// A machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Place {
    /// The master's.
    Master,
    /// That of the users.
    Users,
    /// The one that releases are downloaded from.
    Web,
    /// A node's.
    Node(u32),
    /// The second master's.
    Other,
}

/// A program of the cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Program {
    /// The master.
    Master,
    /// The releases' server.
    Web,
    /// A node's agent.
    Agent(u32),
    /// A node's supervisor.
    Supervisor(u32),
    /// The second master.
    Other,
}

impl Program {
    /// The machine that it runs on.
    pub(crate) fn place(self) -> Place {
        match self {
            Program::Master => Place::Master,
            Program::Other => Place::Other,
            Program::Web => Place::Web,
            Program::Agent(node) | Program::Supervisor(node) => Place::Node(node),
        }
    }
}

/// A part of a node that it makes again when it is gone (docs/node.md, 5 and 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Part {
    /// The supervisor's note of what runs.
    SupervisorState,
    /// The supervisor's socket.
    SupervisorSocket,
    /// The supervisor's lock.
    SupervisorLock,
    /// All that the supervisor has.
    Supervisor,
    /// The locks and notes of the instance root.
    InstanceNotes,
    /// The locks of the software root.
    SoftwareNotes,
}

/// A pass of `slap node` (docs/node.md, 1), with its options.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Pass {
    /// `software`
    Software,
    /// `software --all`
    SoftwareAll,
    /// `software --garbage-collect`
    GarbageCollect,
    /// `instance`
    Instance,
    /// `instance --all`
    InstanceAll,
    /// `instance --force-stop`
    ForceStop,
    /// `promise`
    Promise,
    /// `report`
    Report,
    /// `format --now`
    Format,
    /// `format --now --dry-run`
    DryRun,
    /// `status`
    Status,
}

/// A release: two that differ in what they publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Release {
    /// The first.
    A,
    /// The second.
    B,
}

/// What is wanted of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// It runs.
    Started,
    /// It is there, and does not run.
    Stopped,
    /// It is gone.
    Destroyed,
}

/// A program in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Role {
    /// The service.
    Service,
    /// The first promise.
    Check,
    /// The second promise.
    CheckAgain,
    /// What the promise that is a plugin with a command runs.
    CheckCommand,
}

/// What the disk is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Operation {
    /// A read.
    Read,
    /// A write.
    Write,
    /// A sync.
    Sync,
    /// A lock.
    Lock,
}

/// How the disk fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Failure {
    /// No room.
    Full,
    /// An I/O error.
    Broken,
    /// A lock that somebody else has.
    Busy,
}

/// Where within an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Moment {
    /// Before it.
    Before,
    /// In the midst of it.
    Within,
    /// After it.
    After,
}
