//! What users request of a second master through the first one, and what goes wrong with it; from streams of their own.

use super::{Draw, Event, Knobs, Place, Program, Random, State, Step};

/// All of it.
pub(super) fn draw(root: &Random, knobs: &Knobs, steps: &mut Vec<Step>) {
    let end = knobs.turmoil_seconds * 1000;
    let second = knobs.second;
    if second.request_seconds > 0 {
        let draw = Draw { random: root.child("requests to a second master"), knobs };
        draw.times(second.request_seconds * 1000, end, |at| steps.push(Step { at, event: request(&draw) }));
    }
    if second.request_seconds > 0 && second.fault_seconds > 0 {
        let draw = Draw { random: root.child("faults of a second master"), knobs };
        draw.times(second.fault_seconds * 1000, end, |at| steps.push(Step { at, event: fault(&draw) }));
    }
}

fn request(draw: &Draw<'_>) -> Event {
    let random = &draw.random;
    let state = match random.below(10) {
        0..=2 => State::Destroyed,
        3 => State::Stopped,
        _ => State::Started,
    };
    Event::Elsewhere {
        user: 1 + random.below(u64::from(draw.knobs.users)) as u32,
        title: random.below(u64::from(draw.knobs.partitions) + 2) as u32,
        listed: random.below(2) == 0,
        note: random.below(4) as u32,
        state,
    }
}

fn fault(draw: &Draw<'_>) -> Event {
    let (random, far) = (&draw.random, draw.knobs.nodes + 1);
    let (near, other) = (Place::Master, Place::Other);
    let (from, to) = if random.below(3) == 0 { (other, near) } else { (near, other) };
    let (milliseconds, spared) = (draw.length(), random.below(6));
    match random.below(13) {
        0 => Event::Partition { from, to, both: random.below(2) == 0, milliseconds },
        1 => Event::Refuse { from: near, to: other, milliseconds },
        2 => Event::Delay { from, to, extra: random.below(40_000), milliseconds },
        3 => Event::Trickle { from, to, bytes: 50 + random.below(5000), milliseconds },
        4 => Event::Reset { from, to },
        5 => Event::LoseRequest { from: near, to: other, spared },
        6 => Event::LoseAnswer { from: near, to: other, spared },
        7 => Event::Duplicate { from: near, to: other, spared, milliseconds: random.below(120_000) },
        8 | 9 => Event::Kill { program: Program::Other },
        10 => Event::Power { machine: other, milliseconds },
        11 => Event::Kill { program: Program::Agent(far) },
        _ => Event::Power { machine: Place::Node(far), milliseconds },
    }
}
