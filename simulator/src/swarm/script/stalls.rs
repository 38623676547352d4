//! Programs that stand still for a time, and releases that are spoilt at their server for a time; each from a stream of its own.

use super::{Draw, Event, Knobs, Random, Release, Step};
use serde::{Deserialize, Serialize};

/// What is wrong with a release's profile at its server. None of it can be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Spoil {
    /// It is not there.
    Gone,
    /// It is empty.
    Empty,
    /// Half of its first line is there.
    Cut,
    /// It names a part that it does not have.
    Wrong,
}

/// All of them, at their times.
pub(super) fn draw(root: &Random, knobs: &Knobs, steps: &mut Vec<Step>) {
    let end = knobs.turmoil_seconds * 1000;
    let mut each = |name: &str, seconds: u64, make: &dyn Fn(&Draw<'_>) -> Event| {
        if seconds > 0 {
            let draw = Draw { random: root.child(name), knobs };
            draw.times(seconds * 1000, end, |at| steps.push(Step { at, event: make(&draw) }));
        }
    };
    each("pauses", knobs.pause_seconds, &stall);
    each("spoils", knobs.spoil_seconds, &spoil);
}

fn stall(draw: &Draw<'_>) -> Event {
    let (node, partition) = (draw.node(), draw.random.below(u64::from(draw.knobs.partitions)) as u32);
    let (program, milliseconds) = (draw.program(), draw.length());
    match draw.random.below(3) {
        0 => Event::Hang { node, partition, milliseconds },
        _ => Event::Pause { program, milliseconds },
    }
}

fn spoil(draw: &Draw<'_>) -> Event {
    let all = [Spoil::Gone, Spoil::Empty, Spoil::Cut, Spoil::Wrong];
    let how = all[draw.random.below(all.len() as u64) as usize];
    let release = draw.release();
    // Nobody downloads one that is a path.
    let release = if draw.knobs.local.move_seconds > 0 { Release::A } else { release };
    // Somebody shall build it meanwhile.
    Event::Spoil { release, how, milliseconds: 60_000 + draw.length() }
}
