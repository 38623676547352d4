//! What happened in a world, in order: one line an event, with the world's time.

use super::now_instant;
use sha2::{Digest, Sha256};
use std::{
    cell::RefCell,
    collections::VecDeque,
    fmt::{Display, Write},
    rc::Rc,
    time::Duration,
};
use tokio::time::Instant;

/// The lines of a world.
#[derive(Clone)]
pub struct Trace {
    start: Instant,
    shared: Rc<RefCell<Shared>>,
}

struct Shared {
    lines: VecDeque<String>,
    /// Lines that are kept: the last ones.
    kept: usize,
    count: u64,
    /// The minute of the last line and its lines so far, and the most that a minute had.
    minute: (u64, u64),
    busiest: (u64, u64),
    hash: Sha256,
    /// What must never happen, and did: time in the world, object and what.
    alarms: Vec<Alarm>,
}

/// Something that must never happen, seen by the world itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// When, in the world's time.
    pub at: Duration,
    /// The rule that it breaks.
    pub rule: &'static str,
    /// What it is about.
    pub object: String,
    /// What was seen.
    pub what: String,
}

impl Trace {
    pub(crate) fn new(start: Instant) -> Trace {
        let shared = Shared {
            lines: VecDeque::new(),
            kept: usize::MAX,
            count: 0,
            minute: (0, 0),
            busiest: (0, 0),
            hash: Sha256::new(),
            alarms: Vec::new(),
        };
        Trace { start, shared: Rc::new(RefCell::new(shared)) }
    }

    /// Keeps only so many lines from now on, the last ones; the digest and the count go on over all.
    pub fn keep(&self, lines: usize) {
        let mut shared = self.shared.borrow_mut();
        shared.kept = lines;
        let excess = shared.lines.len().saturating_sub(lines);
        shared.lines.drain(..excess);
    }

    /// Adds an event of `who`.
    pub fn event(&self, who: impl Display, what: impl Display) {
        let at = now_instant().duration_since(self.start);
        let mut shared = self.shared.borrow_mut();
        // The line that goes lends its memory to the one that comes.
        let mut line = match shared.lines.len() >= shared.kept {
            true => shared.lines.pop_front().unwrap_or_default(),
            false => String::new(),
        };
        line.clear();
        let _ = write!(line, "{:>6}.{:06} {who:<14} {what}", at.as_secs(), at.subsec_micros());
        shared.hash.update(line.as_bytes());
        shared.hash.update(b"\n");
        shared.count += 1;
        let minute = at.as_secs() / 60;
        let lines = if shared.minute.0 == minute { shared.minute.1 + 1 } else { 1 };
        shared.minute = (minute, lines);
        if lines > shared.busiest.1 {
            shared.busiest = (minute, lines);
        }
        shared.lines.push_back(line);
    }

    /// Notes that something happened which must never happen.
    pub fn alarm(&self, rule: &'static str, object: impl Display, what: impl Display) {
        let at = now_instant().duration_since(self.start);
        let alarm = Alarm { at, rule, object: object.to_string(), what: what.to_string() };
        self.event("alarm", format_args!("{rule}: {}: {}", alarm.object, alarm.what));
        self.shared.borrow_mut().alarms.push(alarm);
    }

    /// What happened that must never happen.
    pub fn alarms(&self) -> Vec<Alarm> {
        self.shared.borrow().alarms.clone()
    }

    /// Whether there are any alarms.
    pub fn is_alarmed(&self) -> bool {
        !self.shared.borrow().alarms.is_empty()
    }

    /// The lines so far that are kept.
    pub fn lines(&self) -> Vec<String> {
        self.shared.borrow().lines.iter().cloned().collect()
    }

    /// How many lines there were so far.
    pub fn count(&self) -> u64 {
        self.shared.borrow().count
    }

    /// The minute of the world that had the most lines, and how many they were.
    pub fn busiest_minute(&self) -> (u64, u64) {
        self.shared.borrow().busiest
    }

    /// A short name for all lines so far: equal if the lines are.
    pub fn digest(&self) -> String {
        let hash = self.shared.borrow().hash.clone();
        hash.finalize().iter().take(8).fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}
