//! The rows of the comparison, and how they are printed.

use super::seen::{Amount, Seen, differences};
use std::fmt;

/// A step in both worlds.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) part: &'static str,
    pub(super) name: String,
    pub(super) real: String,
    pub(super) ours: String,
    pub(super) amount: Amount,
    pub(super) verdict: Verdict,
}

/// What came of a row.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Same,
    /// In what.
    Differs(Vec<String>),
    /// There was nothing to compare: that proves nothing.
    Nothing,
    /// Why.
    DidNotRun(String),
}

impl Row {
    /// Compares what a step showed.
    pub(super) fn compare(part: &'static str, name: &str, real: &Seen, ours: &Seen) -> Row {
        let amount = real.amount();
        let found = differences(real, ours);
        let verdict = match found.is_empty() {
            _ if amount == Amount::default() => Verdict::Nothing,
            true => Verdict::Same,
            false => Verdict::Differs(found),
        };
        let (real, ours) = (real.outcome.clone(), ours.outcome.clone());
        Row { part, name: name.to_owned(), real, ours, amount, verdict }
    }

    /// A row that could not be filled.
    pub(super) fn did_not_run(part: &'static str, name: &str, why: &str) -> Row {
        let nothing = || "-".to_owned();
        let verdict = Verdict::DidNotRun(why.to_owned());
        Row {
            part,
            name: name.to_owned(),
            real: nothing(),
            ours: nothing(),
            amount: Amount::default(),
            verdict,
        }
    }

    /// A row that could not be filled, although all that it needs is there.
    pub(super) fn failed(part: &'static str, name: &str, why: &str) -> Row {
        Row { verdict: Verdict::Differs(vec![why.to_owned()]), ..Row::did_not_run(part, name, why) }
    }

    /// Whether this row lets the comparison pass, where what did not run is no failure (`is_ci` says that it is).
    pub(super) fn passes(&self, is_ci: bool) -> bool {
        match self.verdict {
            Verdict::Same => true,
            Verdict::Differs(_) | Verdict::Nothing => false,
            Verdict::DidNotRun(_) => !is_ci,
        }
    }
}

/// The head of the table.
pub(super) fn head() -> String {
    format!(
        "{:<4} {:<28} {:>6} {:>6}  {:<11} {:>8} {:>6} {:>6}",
        "part", "step", "real", "ours", "verdict", "bytes", "files", "modes"
    )
}

impl fmt::Display for Row {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match &self.verdict {
            Verdict::Same => "same",
            Verdict::Differs(_) => "DIFFERS",
            Verdict::Nothing => "NOTHING",
            Verdict::DidNotRun(_) => "DID NOT RUN",
        };
        let Amount { bytes, files, modes } = self.amount;
        let (part, name, real, ours) = (self.part, &self.name, &self.real, &self.ours);
        write!(
            formatter,
            "{part:<4} {name:<28} {real:>6} {ours:>6}  {verdict:<11} {bytes:>8} {files:>6} {modes:>6}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_compared_and_is_the_same_passes() {
        let seen = |text: &str| {
            let mut seen = Seen { outcome: "0".to_owned(), ..Seen::default() };
            seen.texts.insert("standard output".to_owned(), text.to_owned());
            seen
        };
        let check = |real: &str, ours: &str, in_ci: bool, elsewhere: bool| {
            let row = Row::compare("a", "step", &seen(real), &seen(ours));
            assert_eq!((row.passes(true), row.passes(false)), (in_ci, elsewhere), "{row}");
        };
        check("one", "one", true, true);
        check("one", "two", false, false);
        check("", "", false, false);
        check("", "one", false, false);
        let row = Row::did_not_run("a", "step", "no python");
        assert_eq!((row.passes(true), row.passes(false)), (false, true));
    }
}
