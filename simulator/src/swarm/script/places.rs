//! What somebody does to a node's directories, locks and links, programs that write much, and a master's disk that takes nothing just when
//! somebody asks for a change; each from a stream of its own.

use super::{Draw, Event, Failure, Knobs, Operation, Place, Program, Random, Role, State, Step};
use serde::{Deserialize, Serialize};

/// Something of a running node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Touch {
    /// The directory in which both roots stand is moved away, and back when the time is over.
    MoveAway,
    /// The same, but it is removed, and an empty one stands there when the time is over.
    RemoveAll,
    /// The software root is removed.
    SoftwareRoot,
    /// A partition's directory is removed.
    Partition(u32),
    /// A release's instance profile becomes a link to where it is now, within the release.
    Link,
    /// The supervisor is killed, and another program has its lock.
    SupervisorLock,
    /// Another program has the lock of those who build.
    SoftwareLock,
    /// Another program has the lock of those who process instances.
    InstanceLock,
    /// Another program has the lock of those who format.
    FormatLock,
    /// The agent is killed, and another program has its lock.
    AgentLock,
}

/// All of them, at their times.
pub(super) fn draw(root: &Random, knobs: &Knobs, steps: &mut Vec<Step>) {
    let end = knobs.turmoil_seconds * 1000;
    let each =
        |name: &str, seconds: u64, steps: &mut Vec<Step>, make: &dyn Fn(&Draw<'_>, u64) -> Vec<Step>| {
            if seconds > 0 {
                let draw = Draw { random: root.child(name), knobs };
                draw.times(seconds * 1000, end, |at| steps.extend(make(&draw, at)));
            }
        };
    each("touches", knobs.places.touch_seconds, steps, &touch);
    each("shouts", knobs.places.shout_seconds, steps, &shout);
    each("full", knobs.places.full_seconds, steps, &fill);
}

fn touch(draw: &Draw<'_>, at: u64) -> Vec<Step> {
    let partition = draw.random.below(u64::from(draw.knobs.partitions)) as u32;
    let all = [
        Touch::MoveAway,
        Touch::RemoveAll,
        Touch::SoftwareRoot,
        Touch::Partition(partition),
        Touch::Partition(partition),
        Touch::Link,
        Touch::SupervisorLock,
        Touch::SoftwareLock,
        Touch::InstanceLock,
        Touch::FormatLock,
        Touch::AgentLock,
    ];
    let touch = all[draw.random.below(all.len() as u64) as usize];
    vec![Step { at, event: Event::Touch { node: draw.node(), touch, milliseconds: draw.length() } }]
}

/// A service that writes much when it starts, and is started; or a promise that fails with many words, again and again.
fn shout(draw: &Draw<'_>, at: u64) -> Vec<Step> {
    let (node, partition) = (draw.node(), draw.random.below(u64::from(draw.knobs.partitions)) as u32);
    let lines = 2 + draw.random.below(20);
    let milliseconds = 600_000 + draw.random.below(600_000);
    if draw.random.below(2) == 0 {
        let line = format!("check 0 2000 shout {}", lines.min(6));
        return vec![Step {
            at,
            event: Event::Behave { node, partition, role: Role::Check, line, milliseconds },
        }];
    }
    let line = format!("start 0 2000 shout {lines}");
    let kill = Event::KillService { node, partition };
    let behave = Event::Behave { node, partition, role: Role::Service, line, milliseconds };
    vec![Step { at, event: behave }, Step { at: at + 1, event: kill }]
}

/// The master's disk is full or broken when somebody asks; sometimes the master is started so.
fn fill(draw: &Draw<'_>, at: u64) -> Vec<Step> {
    let random = &draw.random;
    let failure = if random.below(2) == 0 { Failure::Full } else { Failure::Broken };
    let operation = if random.below(4) == 0 { Operation::Read } else { Operation::Write };
    let milliseconds = 20_000 + random.below(120_000);
    let disk = Event::Disk { machine: Place::Master, operation, failure, spared: 0, milliseconds };
    let mut steps = vec![Step { at, event: disk }];
    let user = 1 + random.below(u64::from(draw.knobs.users)) as u32;
    for number in 1..=1 + random.below(3) {
        // A note that nobody else gives: it is a change.
        let note = 1000 + random.below(1000) as u32;
        let event = Event::Request {
            user,
            title: draw.title(),
            release: draw.release(),
            node: None,
            note,
            state: State::Started,
        };
        steps.push(Step { at: at + 1000 * number, event });
    }
    if random.below(2) == 0 {
        steps.push(Step { at: at + 10_000, event: Event::Kill { program: Program::Master } });
    }
    steps
}
