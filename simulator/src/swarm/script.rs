//! The script of a run: what users do and what goes wrong, as a list of concrete events with their times.
//!
//! It is drawn before the run begins, so that it can be shortened, committed and replayed. Each event stands for itself: what it
//! begins it ends, too, so any of them can be left out.

mod event;
mod formats;
mod look;
mod places;
mod plugins;
mod races;
mod readers;
mod removals;
mod second;
mod stalls;
mod strangers;
mod trees;
mod wishes;

use super::knobs::{FaultKind, Knobs, Profile};
use crate::world::Random;
pub(crate) use event::{
    Event, Failure, Moment, Operation, Part, Pass, Place, Program, Release, Role, State, Step,
};
pub(crate) use formats::{Change, Typo};
pub(crate) use look::{Goal, Look, Tell, Typed};
pub(crate) use places::Touch;
pub(crate) use stalls::Spoil;
pub(crate) use strangers::STRANGER;
pub(crate) use trees::Act;

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
    trees::draw(&root, knobs, &mut steps);
    look::draw(&root, knobs, &mut steps);
    strangers::draw(&root, knobs, &mut steps);
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
    formats::draw(&root, knobs, &mut steps);
    places::draw(&root, knobs, &mut steps);
    second::draw(&root, knobs, &mut steps);
    if knobs.local.move_seconds > 0 {
        let draw = Draw { random: root.child("local releases"), knobs };
        draw.times(knobs.local.move_seconds * 1000, end, |at| {
            steps.push(Step { at, event: Event::MoveReleases { milliseconds: draw.length() } });
        });
    }
    stalls::draw(&root, knobs, &mut steps);
    races::draw(&root, knobs, &mut steps);
    // Last: after what all others ask for.
    removals::draw(&root, knobs, &mut steps);
    wishes::draw(&root, knobs, &mut steps);
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
                let line = match self.random.below(5) {
                    0 => "check 0 0 hang".to_owned(),
                    4 => format!("check 0 2000 flap {}", 20 + self.random.below(600)),
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
                let machine = self.machine();
                let operation = match (failure, machine) {
                    // Another program has the database's locks.
                    (Failure::Busy, Place::Master) => Operation::Lock,
                    _ => self.operation_of_disk(machine),
                };
                // Files have no such locks.
                let failure = match failure {
                    Failure::Busy if operation != Operation::Lock => Failure::Full,
                    failure => failure,
                };
                Event::Disk { machine, operation, failure, spared, milliseconds: milliseconds / 10 }
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
                let line = match self.random.below(4) {
                    0 => "term 0 0 ignore".to_owned(),
                    1 => format!("term {} 1000 exit 0", 55_000 + self.random.below(10_000)),
                    2 => format!("start {} 1000 leave", self.random.below(5000)),
                    // What made itself a daemon.
                    _ => format!(
                        "start {} 1000 leave exit {}",
                        self.random.below(30_000),
                        self.random.below(2)
                    ),
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
                let machine = self.machine();
                let operation = self.operation_of_disk(machine);
                Event::Crash { machine, operation, spared, moment, power }
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

    fn operation_of_disk(&self, machine: Place) -> Operation {
        // Only a database's reads are operations of the disk.
        let read = if machine == Place::Master { Operation::Read } else { Operation::Write };
        [read, Operation::Write, Operation::Sync, Operation::Sync][self.random.below(4) as usize]
    }

    fn title(&self) -> u32 {
        self.random.below(u64::from(self.knobs.nodes * self.knobs.partitions + 2)) as u32
    }

    /// Another title than that.
    fn title_but(&self, title: u32) -> u32 {
        let titles = u64::from(self.knobs.nodes * self.knobs.partitions + 2);
        ((u64::from(title) + 1 + self.random.below(titles - 1)) % titles) as u32
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
