//! The log of a promise's runs, and the rule that counts failures in it (slapos.core: grid/promise/generic.py).
//!
//! A line is `2026-01-31 12:00:00 - ERROR - 1769860800-123 - message`; the third field is the same for all lines of one
//! run. A line of another shape goes on with the message before it.

/// How a promise's last runs count: it fails when the last one failed and `failure_amount` of the last
/// `result_count` did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// How many runs are looked at.
    pub(super) result_count: usize,
    /// How many of them must have failed.
    pub(super) failure_amount: usize,
}

impl Rule {
    /// The last run alone decides.
    pub(super) const LAST: Rule = Rule { result_count: 1, failure_amount: 1 };
}

/// One run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Run {
    failed: bool,
    messages: Vec<String>,
}

/// A line of the log.
struct Line<'a> {
    level: &'a str,
    transaction: &'a str,
    message: &'a str,
}

/// A line to be added to the log.
pub(super) fn line(now: jiff::Timestamp, transaction: &str, failed: bool, message: &str) -> String {
    let level = if failed { "ERROR" } else { "INFO" };
    format!("{} - {level} - {transaction} - {message}\n", now.strftime("%Y-%m-%d %H:%M:%S"))
}

/// Whether the promise fails, and with which message, by the end of its log.
pub(super) fn judge(log: &str, rule: Rule) -> (bool, String) {
    let runs = last_runs(log, rule.result_count.max(1));
    let Some(last) = runs.first() else { return (false, "No result found!".to_owned()) };
    let message = last.messages.join("\n").trim().to_owned();
    if !last.failed {
        return (false, message);
    }
    let mut failures = 1;
    for run in &runs[1..] {
        if failures >= rule.failure_amount {
            break;
        }
        failures += usize::from(run.failed);
    }
    (failures == rule.failure_amount, message)
}

/// The last `count` runs, the last one first.
fn last_runs(log: &str, count: usize) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut transaction = "";
    let mut rest: Vec<&str> = Vec::new();
    for text in log.lines().rev().filter(|text| !text.is_empty()) {
        let Some(line) = parse(text) else {
            rest.push(text);
            continue;
        };
        if runs.is_empty() || line.transaction != transaction {
            if runs.len() == count {
                break;
            }
            transaction = line.transaction;
            runs.push(Run::default());
        }
        let mut message = line.message.to_owned();
        for more in rest.drain(..).rev() {
            message.push('\n');
            message.push_str(more);
        }
        let run = runs.last_mut().expect("one was pushed above");
        run.failed |= matches!(line.level, "ERROR" | "CRITICAL");
        run.messages.insert(0, message.trim().to_owned());
    }
    runs
}

/// Reads a line; `None` when it has another shape.
fn parse(text: &str) -> Option<Line<'_>> {
    let rest = digits(text, "dddd-dd-dd")?;
    let rest = digits(blank(rest)?, "dd:dd:dd")?;
    let rest = dash(blank(rest)?);
    let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|end| *end > 0)?;
    let (level, rest) = rest.split_at(end);
    let rest = dash(blank(rest)?);
    let end = rest.find('-').filter(|end| *end > 0)?;
    if !rest[..end].bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let after = digits(&rest[end..], "-ddd")?;
    let transaction = &rest[..rest.len() - after.len()];
    let message = dash(blank(after)?);
    Some(Line { level, transaction, message })
}

/// What follows a text of this shape, in which `d` is a digit.
fn digits<'a>(text: &'a str, shape: &str) -> Option<&'a str> {
    let head = text.as_bytes().get(..shape.len())?;
    let same = head.iter().zip(shape.bytes()).all(|(byte, expected)| match expected {
        b'd' => byte.is_ascii_digit(),
        other => *byte == other,
    });
    same.then(|| &text[shape.len()..])
}

/// What follows at least one blank; the end of the text counts as one.
fn blank(text: &str) -> Option<&str> {
    let rest = text.trim_start();
    (rest.len() < text.len() || text.is_empty()).then_some(rest)
}

/// What follows a dash and blanks, which may both be missing.
fn dash(text: &str) -> &str {
    text.strip_prefix('-').unwrap_or(text).trim_start()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(runs: &[(bool, &str)]) -> String {
        let now = jiff::Timestamp::from_second(1_700_000_000).unwrap();
        let line = |(index, (failed, message)): (usize, &(bool, &str))| {
            line(now, &format!("1700000000-{}", 100 + index), *failed, message)
        };
        runs.iter().enumerate().map(line).collect()
    }

    #[test]
    fn a_line_is_written_as_upstream_writes_it() {
        let now = jiff::Timestamp::from_second(1_700_000_000).unwrap();
        let expected = "2023-11-14 22:13:20 - ERROR - 1700000000-123 - it's down\n";
        assert_eq!(line(now, "1700000000-123", true, "it's down"), expected);
    }

    #[test]
    fn failures_are_counted_in_the_last_runs() {
        let three = Rule { result_count: 3, failure_amount: 3 };
        let two_of_five = Rule { result_count: 5, failure_amount: 2 };
        for (runs, rule, failed) in [
            (&[(false, "up")][..], Rule::LAST, false),
            (&[(false, "up"), (true, "down")], Rule::LAST, true),
            (&[(true, "down")], three, false),
            (&[(true, "down"), (true, "down")], three, false),
            (&[(true, "down"), (true, "down"), (true, "down")], three, true),
            (&[(true, "a"), (false, "b"), (true, "c"), (true, "d")], three, false),
            (&[(true, "a"), (false, "b"), (true, "c")], two_of_five, true),
            (&[(true, "a"), (true, "b"), (false, "c")], two_of_five, false),
        ] {
            assert_eq!(judge(&log(runs), rule).0, failed, "{runs:?} {rule:?}");
        }
        assert_eq!(judge("", Rule::LAST), (false, "No result found!".to_owned()));
    }

    #[test]
    fn messages_keep_their_lines() {
        let text = log(&[(true, "first\nof two"), (false, "a\nb\n\nc")]);
        assert_eq!(judge(&text, Rule::LAST), (false, "a\nb\nc".to_owned()));
        let text = log(&[(true, "")]);
        assert_eq!(judge(&text, Rule::LAST), (true, String::new()));
    }

    #[test]
    fn other_lines_are_no_lines_of_a_log() {
        for text in
            ["", "hello", "2023-11-14 22:13:20 - ERROR", "2023-11-14 22:13:20 - ERROR - 12x-123 - a", "é"]
        {
            assert!(parse(text).is_none(), "{text:?}");
        }
        assert_eq!(parse("2023-11-14 22:13:20 INFO 17-123 a - b").unwrap().message, "a - b");
    }
}
