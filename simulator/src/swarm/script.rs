//! The script of a run: what users do and what goes wrong, as a list of concrete events with their times.
//!
//! It is drawn before the run begins, so that it can be shortened, committed and replayed. Each event stands for itself: what it
//! begins it ends, too, so any of them can be left out.

mod plugins;
mod readers;

use super::knobs::{FaultKind, Knobs, Profile};
use crate::world::Random;
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
    /// A program is killed. What started it starts it again.
    Kill { program: Program },
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
            | Event::ReadComputer { user, .. } => Some(*user),
            _ => None,
        }
    }

    /// Whether it changes nothing.
    pub(crate) fn is_read(&self) -> bool {
        matches!(self, Event::ReadInstance { .. } | Event::ReadList { .. } | Event::ReadComputer { .. })
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

/// The script of a seed.
pub(crate) fn draw(seed: u64, knobs: &Knobs) -> Vec<Step> {
    let root = Random::new(seed).child("script");
    let mut steps = Vec::new();
    let end = knobs.turmoil_seconds * 1000;
    populate(&root.child("population"), knobs, &mut steps);
    // Users and faults are drawn from streams of their own: more of one does not shift the other.
    for user in 1..=knobs.users {
        let draw = Draw { random: root.child(&format!("user {user}")), knobs };
        draw.times(knobs.user_seconds * 1000 * u64::from(knobs.users), end, |at| {
            steps.push(Step { at, event: draw.operation(user) });
        });
    }
    readers::draw(&root, knobs, &mut steps);
    for kind in &knobs.faults {
        let draw = Draw { random: root.child(&format!("fault {kind:?}")), knobs };
        let counted = knobs.faults.iter().filter(|other| kind.is_later() || !other.is_later()).count();
        let mean = knobs.fault_seconds * 1000 * counted as u64;
        draw.times(mean, end, |at| steps.push(Step { at, event: draw.fault(*kind) }));
    }
    if knobs.pass_seconds > 0 {
        let draw = Draw { random: root.child("passes"), knobs };
        draw.times(knobs.pass_seconds * 1000, end, |at| {
            let event = Event::Pass { node: draw.node(), pass: draw.pass() };
            steps.push(Step { at, event });
        });
    }
    steps.sort_by_key(|step| step.at);
    steps
}

/// What users want at first. Large and calm clouds begin full.
fn populate(random: &Random, knobs: &Knobs, steps: &mut Vec<Step>) {
    let is_full = matches!(knobs.profile, Profile::Calm | Profile::Scale);
    for title in 0..knobs.nodes * knobs.partitions {
        if is_full || random.below(2) == 0 {
            let user = 1 + random.below(u64::from(knobs.users)) as u32;
            let event = Event::Request {
                user,
                title,
                release: Release::A,
                node: None,
                note: 0,
                state: State::Started,
            };
            steps.push(Step { at: 0, event });
        }
    }
}

struct Draw<'a> {
    random: Random,
    knobs: &'a Knobs,
}

impl Draw<'_> {
    /// Moments at that mean distance, in milliseconds.
    fn times(&self, mean: u64, end: u64, mut at: impl FnMut(u64)) {
        let mut now = self.random.below(2 * mean + 1);
        while now < end {
            at(now);
            now += 1 + self.random.below(2 * mean);
        }
    }

    fn operation(&self, user: u32) -> Event {
        let titles = u64::from(self.knobs.nodes * self.knobs.partitions + 2);
        match self.random.below(20) {
            0..=3 => {
                let removed = self.random.below(4) == 0;
                Event::Supply { user, node: self.node(), release: self.release(), removed }
            }
            4 => {
                let partition = self.random.below(u64::from(self.knobs.partitions)) as u32;
                Event::Bang { user, node: self.node(), partition }
            }
            _ => {
                let state = match self.random.below(10) {
                    0 | 1 => State::Destroyed,
                    2 | 3 => State::Stopped,
                    _ => State::Started,
                };
                let node = (self.random.below(3) == 0).then(|| self.node());
                let (title, note) = (self.random.below(titles) as u32, self.random.below(4) as u32);
                Event::Request { user, title, release: self.release(), node, note, state }
            }
        }
    }

    fn fault(&self, kind: FaultKind) -> Event {
        let (node, partition) = (self.node(), self.random.below(u64::from(self.knobs.partitions)) as u32);
        let (from, to) = self.pair();
        let milliseconds = self.length();
        let spared = self.random.below(20);
        match kind {
            FaultKind::Kill => Event::Kill { program: self.program() },
            FaultKind::KillService => Event::KillService { node, partition },
            FaultKind::Power => Event::Power { machine: self.machine(), milliseconds },
            FaultKind::Reboot => Event::Reboot { machine: self.machine() },
            FaultKind::Wipe => Event::Wipe { node },
            FaultKind::Partition => {
                Event::Partition { from, to, both: self.random.below(2) == 0, milliseconds }
            }
            FaultKind::Refuse => Event::Refuse { from, to, milliseconds },
            FaultKind::Reset => Event::Reset { from, to },
            FaultKind::Lose if self.random.below(3) == 0 => Event::LoseRequest { from, to, spared },
            FaultKind::Lose => Event::LoseAnswer { from, to, spared },
            FaultKind::Duplicate => {
                Event::Duplicate { from, to, spared, milliseconds: self.random.below(120_000) }
            }
            FaultKind::Delay => Event::Delay { from, to, extra: self.random.below(30_000), milliseconds },
            FaultKind::Trickle => {
                Event::Trickle { from, to, bytes: 50 + self.random.below(5000), milliseconds }
            }
            FaultKind::Step => {
                let seconds = self.random.below(2 * 86_400) as i64 - 86_400;
                Event::Step { machine: self.machine(), seconds }
            }
            FaultKind::Drift => {
                let parts_per_million = self.random.below(400_000) as i32 - 200_000;
                Event::Drift { machine: self.machine(), parts_per_million, milliseconds }
            }
            FaultKind::Misbehave => {
                let line = match self.random.below(4) {
                    0 => "term 0 0 ignore".to_owned(),
                    1 => format!("term {} 1000 exit 0", self.random.below(20_000)),
                    2 => "start 0 0 exit 1".to_owned(),
                    _ => format!("start {} 5000 exit {}", self.random.below(60_000), self.random.below(3)),
                };
                Event::Behave { node, partition, role: Role::Service, line, milliseconds }
            }
            FaultKind::Promise => {
                let line = match self.random.below(4) {
                    0 => "check 0 0 hang".to_owned(),
                    1 => format!("check {} 2000 pass", self.random.below(40_000)),
                    2 => format!("check {} 2000 fail", self.random.below(10_000)),
                    _ => "check 0 0 fail".to_owned(),
                };
                let role = if self.random.below(2) == 0 { Role::Check } else { Role::CheckAgain };
                Event::Behave { node, partition, role, line, milliseconds }
            }
            // Long enough that the master says that it cannot write.
            FaultKind::Disk if self.random.below(4) == 0 => {
                let failure = if self.random.below(2) == 0 { Failure::Full } else { Failure::Broken };
                let operation = Operation::Write;
                Event::Disk { machine: Place::Master, operation, failure, spared: 0, milliseconds }
            }
            FaultKind::Disk => {
                let failure = [Failure::Full, Failure::Broken, Failure::Busy][self.random.below(3) as usize];
                Event::Disk {
                    machine: self.machine(),
                    operation: self.operation_of_disk(),
                    failure,
                    spared,
                    milliseconds: milliseconds / 10,
                }
            }
            FaultKind::PortTaken => Event::TakePort { node, partition, milliseconds },
            FaultKind::Quota => {
                let partition = (self.random.below(3) > 0).then_some(partition);
                let room = if self.random.below(2) == 0 { 0 } else { self.random.below(24) };
                Event::Quota { node, partition, room, milliseconds }
            }
            FaultKind::View => {
                let times = 1 + self.random.below(6);
                match self.random.below(3) {
                    0 => Event::SkipView { node, times },
                    _ => {
                        let milliseconds = self.random.below(30_000);
                        Event::OldView { node, age: self.length(), times, milliseconds }
                    }
                }
            }
            FaultKind::Clone => Event::Clone { node, milliseconds },
            FaultKind::Plugin => plugins::draw(self, node, partition, milliseconds),
            FaultKind::Leave => {
                let line = match self.random.below(3) {
                    0 => "term 0 0 ignore".to_owned(),
                    1 => format!("term {} 1000 exit 0", 55_000 + self.random.below(10_000)),
                    _ => format!("start {} 1000 leave", self.random.below(5000)),
                };
                // It shall be asked to end, or be started, meanwhile.
                let milliseconds = milliseconds.max(600_000);
                Event::Behave { node, partition, role: Role::Service, line, milliseconds }
            }
            FaultKind::Remove => {
                let parts = [
                    Part::SupervisorState,
                    Part::SupervisorSocket,
                    Part::SupervisorLock,
                    Part::Supervisor,
                    Part::InstanceNotes,
                    Part::SoftwareNotes,
                ];
                Event::Remove { node, part: parts[self.random.below(parts.len() as u64) as usize] }
            }
            FaultKind::Crash => {
                let moment = [Moment::Before, Moment::Within, Moment::After][self.random.below(3) as usize];
                let power = self.random.below(2) == 0;
                Event::Crash {
                    machine: self.machine(),
                    operation: self.operation_of_disk(),
                    spared,
                    moment,
                    power,
                }
            }
        }
    }

    fn pass(&self) -> Pass {
        let all = [
            Pass::Software,
            Pass::SoftwareAll,
            Pass::GarbageCollect,
            Pass::Instance,
            Pass::InstanceAll,
            Pass::ForceStop,
            Pass::Promise,
            Pass::Report,
            Pass::Format,
            Pass::DryRun,
            Pass::Status,
        ];
        all[self.random.below(all.len() as u64) as usize]
    }

    fn operation_of_disk(&self) -> Operation {
        [Operation::Read, Operation::Write, Operation::Sync, Operation::Sync][self.random.below(4) as usize]
    }

    fn title(&self) -> u32 {
        self.random.below(u64::from(self.knobs.nodes * self.knobs.partitions + 2)) as u32
    }

    fn node(&self) -> u32 {
        1 + self.random.below(u64::from(self.knobs.nodes)) as u32
    }

    fn release(&self) -> Release {
        if self.random.below(3) == 0 { Release::B } else { Release::A }
    }

    fn machine(&self) -> Place {
        match self.random.below(6) {
            0 | 1 => Place::Master,
            2 => Place::Web,
            _ => Place::Node(self.node()),
        }
    }

    fn program(&self) -> Program {
        match self.random.below(6) {
            0 | 1 => Program::Master,
            2 => Program::Web,
            3 => Program::Supervisor(self.node()),
            _ => Program::Agent(self.node()),
        }
    }

    /// Two machines that have to do with each other, in either direction.
    fn pair(&self) -> (Place, Place) {
        let (client, server) = match self.random.below(8) {
            0 | 1 => (Place::Users, Place::Master),
            2 => (Place::Node(self.node()), Place::Web),
            _ => (Place::Node(self.node()), Place::Master),
        };
        if self.random.below(3) == 0 { (server, client) } else { (client, server) }
    }

    /// How long something goes wrong: mostly seconds, sometimes many minutes.
    fn length(&self) -> u64 {
        match self.random.below(4) {
            0 => self.random.below(2000),
            1 | 2 => self.random.below(90_000),
            _ => self.random.below(20 * 60_000),
        }
    }
}
