//! What happened in a world, in order: one line an event, with the world's time.

use super::now_instant;
use sha2::{Digest, Sha256};
use std::{cell::RefCell, fmt::Display, fmt::Write, rc::Rc};
use tokio::time::Instant;

/// The lines of a world.
#[derive(Clone)]
pub struct Trace {
    start: Instant,
    lines: Rc<RefCell<Vec<String>>>,
}

impl Trace {
    pub(crate) fn new(start: Instant) -> Trace {
        Trace { start, lines: Rc::default() }
    }

    /// Adds an event of `who`.
    pub fn event(&self, who: impl Display, what: impl Display) {
        let at = now_instant().duration_since(self.start);
        let mut line = format!("{:>6}.{:06} {who:<14} ", at.as_secs(), at.subsec_micros());
        let _ = write!(line, "{what}");
        self.lines.borrow_mut().push(line);
    }

    /// All lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.lines.borrow().clone()
    }

    /// A short name for all lines so far: equal if the lines are.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for line in self.lines.borrow().iter() {
            hash.update(line.as_bytes());
            hash.update(b"\n");
        }
        hash.finalize().iter().take(8).fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}
