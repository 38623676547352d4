//! What a history of many clients must keep, whatever the order in which the master took what was asked at the same time.
//!
//! * `places`: each partition: one winner, versions in the order of their timestamps, nothing lost, nothing that comes back
//! * `titles`: each title: a request that is repeated gives the same partition; answers are what was asked
//! * `computers`: entity tags, formats
//! * `registers`: connection parameters, and the lists of shared instances
//! * `window`: which operations can explain what was seen
//!
//! All of them are sound: an operation takes effect at one moment between its invocation and its return, or, if its outcome is
//! unknown, at any later one, or never. What no such order explains is a violation. They are not complete; small histories are
//! held against the whole model in [`linearizable`](super::linearizable).

mod computers;
mod places;
mod registers;
#[cfg(test)]
mod tests;
mod titles;
mod window;

use super::history::Operation;
use slap_model::Rule;
use std::fmt;

/// Operations of an object that a failure shows, at most.
const SHOWN_MAX: usize = 40;

/// What a history breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// A rule of the model.
    Rule(Rule),
    /// What was acknowledged is seen by whoever asks afterwards.
    ReadYourWrites,
    /// What was seen once is not taken back: whoever asks afterwards sees that, or something newer.
    MonotonicReads,
    /// An entity tag stands for one document.
    OneTagOneView,
    /// All answers can be put into one order that the model gives them in.
    Linearizable,
    /// The master answers or refuses; it never fails.
    Answers,
}

impl Promise {
    /// Those that are no rules of the model.
    pub const OWN: [Promise; 5] = [
        Promise::ReadYourWrites,
        Promise::MonotonicReads,
        Promise::OneTagOneView,
        Promise::Linearizable,
        Promise::Answers,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Promise::Rule(rule) => rule.name(),
            Promise::ReadYourWrites => "read-your-writes",
            Promise::MonotonicReads => "monotonic-reads",
            Promise::OneTagOneView => "one-tag-one-view",
            Promise::Linearizable => "linearizable",
            Promise::Answers => "the-master-answers",
        }
    }
}

/// A broken promise.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Which.
    pub promise: Promise,
    /// Of which object: a partition, a title, a computer.
    pub object: String,
    /// What is wrong, in a sentence.
    pub what: String,
    /// The operations that show it, by their index in the history.
    pub shown_by: Vec<usize>,
    /// The operations that touched the object, with those, as lines in columns.
    pub table: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation { promise, object, what, table, .. } = self;
        writeln!(formatter, "{}: {object}: {what}", promise.name())?;
        formatter.write_str(table)
    }
}

/// Everything that a history breaks, each kind of thing once for each object. The history is in the order of invocations;
/// from the moment `settled` on nothing changes any more.
pub fn check(history: &[Operation], settled: u64) -> Vec<Violation> {
    let mut found = Found { history, settled, violations: Vec::new() };
    answered(&mut found);
    places::check(&mut found);
    titles::check(&mut found);
    computers::check(&mut found);
    registers::check(&mut found);
    found.violations
}

fn answered(found: &mut Found<'_>) {
    for (index, operation) in found.history.iter().enumerate() {
        if let super::history::Outcome::Refused { status: 500.., .. } = operation.outcome {
            found.add(Promise::Answers, "the master", "it failed", &[index], |_| false);
        }
    }
}

/// Collects violations.
struct Found<'a> {
    history: &'a [Operation],
    settled: u64,
    violations: Vec<Violation>,
}

impl<'a> Found<'a> {
    /// Notes a violation that these operations show, with what else touched the object.
    fn add(
        &mut self,
        promise: Promise,
        object: impl fmt::Display,
        what: impl fmt::Display,
        shown_by: &[usize],
        touches: impl Fn(&'a Operation) -> bool,
    ) {
        let (object, what) = (object.to_string(), what.to_string());
        let is_known = |known: &Violation| known.promise == promise && known.object == object;
        if self.violations.iter().any(is_known) {
            return;
        }
        let table = table(self.history, shown_by, touches);
        self.violations.push(Violation { promise, object, what, shown_by: shown_by.to_vec(), table });
    }
}

/// Operations as lines in columns: those that show something, marked, and the last before them that touched the same object.
pub(super) fn table<'a>(
    history: &'a [Operation],
    shown_by: &[usize],
    touches: impl Fn(&'a Operation) -> bool,
) -> String {
    let last = shown_by.iter().copied().max().unwrap_or(0);
    let before = history.iter().enumerate().take(last + 1);
    let others = before.filter(|(index, operation)| !shown_by.contains(index) && touches(operation));
    let mut indexes: Vec<usize> = others.map(|(index, _)| index).collect();
    let left_out = indexes.len().saturating_sub(SHOWN_MAX);
    indexes.drain(..left_out);
    indexes.extend(shown_by);
    indexes.sort_unstable();
    indexes.dedup();
    let rows: Vec<[String; 5]> = indexes
        .iter()
        .map(|index| {
            let operation = &history[*index];
            let until = match operation.returned {
                super::history::OPEN => "open".to_owned(),
                returned => returned.to_string(),
            };
            [
                if shown_by.contains(index) { ">" } else { "" }.to_owned(),
                format!("client {}", operation.client),
                format!("{}..{until}", operation.invoked),
                operation.action.to_string(),
                operation.outcome.to_string(),
            ]
        })
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 5] = std::array::from_fn(width);
    let mut text = String::new();
    if left_out > 0 {
        text.push_str(&format!("  ({left_out} earlier operations are left out)\n"));
    }
    for [mark, client, times, action, outcome] in &rows {
        let line = format!(
            "  {mark:1} {client:0$}  {times:1$}  {action:2$}  {outcome}",
            widths[1], widths[2], widths[3]
        );
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
