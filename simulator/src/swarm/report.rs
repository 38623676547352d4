//! What a run found: in words, and as a folder of files that tell all of it.

use super::{Outcome, Plan, file, timeline};
use slap_impl::env::Env;
use std::{fmt, fmt::Write, io, path::Path, time::Duration};

/// Lines of the trace that a report ends with.
const LAST_LINES: usize = 20;

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule's name.
    pub rule: String,
    /// What it is about.
    pub object: String,
    /// What was seen.
    pub what: String,
    /// When, in the world's time.
    pub at: Duration,
    /// What else was seen then.
    pub more: Vec<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}\n{:.3} s: {}", self.rule, self.object, self.at.as_secs_f64(), self.what)
    }
}

/// What a run is made of, in a few lines: with these it can be done again.
pub fn banner(plan: &Plan, commit: &str) -> String {
    format!(
        "seed {} of commit {commit}\n{}, {} steps\nagain: cargo xtask sim replay {} --profile {}",
        plan.seed,
        plan.knobs,
        plan.script.len(),
        plan.seed,
        plan.knobs.profile.as_str()
    )
}

/// A finding for a person: rule, object and time, how to see it again, and what touched the object last.
pub fn describe(plan: &Plan, outcome: &Outcome, again: &str) -> String {
    let Some(finding) = &outcome.finding else { return "nothing was found\n".to_owned() };
    let mut text = format!("{finding}\nagain: {again}\n");
    for more in finding.more.iter().take(LAST_LINES) {
        let _ = writeln!(text, "  also: {more}");
    }
    let touching = touching(outcome, &finding.object);
    let _ = writeln!(text, "the last that touched {} ({} steps in all):", finding.object, plan.script.len());
    for line in &touching[touching.len().saturating_sub(LAST_LINES)..] {
        let _ = writeln!(text, "  {line}");
    }
    text
}

/// The lines of the trace until the finding that name an object, or what it is a part of, and what the script did.
fn touching<'a>(outcome: &'a Outcome, object: &str) -> Vec<&'a str> {
    let (computer, partition) = match object.split_once('/') {
        Some((computer, partition)) => (computer.replace("COMP-", "node-"), partition.split('/').next()),
        None => (object.replace("COMP-", "node-"), None),
    };
    let until =
        outcome.finding.as_ref().map_or(Duration::MAX, |finding| finding.at + Duration::from_millis(1));
    let is_before = |line: &&str| {
        let seconds = line.split_whitespace().next().and_then(|word| word.parse::<f64>().ok());
        seconds.is_none_or(|seconds| seconds <= until.as_secs_f64())
    };
    let names_it = |line: &&str| {
        let is_of_it = match partition {
            Some(partition) => line.contains(partition),
            None => line.contains(&computer),
        };
        is_of_it || line.contains(" script ") || line.contains(" alarm ")
    };
    outcome.trace.iter().map(String::as_str).filter(is_before).filter(names_it).collect()
}

/// Puts everything that is known of a failure into a directory.
///
/// # Errors
/// When it cannot be written.
pub fn write(
    env: &Env,
    directory: &Path,
    commit: &str,
    plan: &Plan,
    outcome: &Outcome,
    shrunk: Option<&(Plan, Outcome)>,
) -> io::Result<()> {
    let files = env.files();
    files.create_directory(directory, 0o755)?;
    let put = |name: &str, content: &str| files.write(&directory.join(name), content.as_bytes(), 0o644);
    let events = directory.join("events.jsonl");
    let again = format!("cargo xtask sim replay {}", events.display());
    put("banner.txt", &(banner(plan, commit) + "\n"))?;
    put("events.jsonl", &file::write(plan))?;
    put("trace.txt", &(outcome.trace.join("\n") + "\n"))?;
    let (told_plan, told) = match shrunk {
        Some((plan, outcome)) => {
            put("shrunk.jsonl", &file::write(plan))?;
            put("shrunk-trace.txt", &(outcome.trace.join("\n") + "\n"))?;
            (plan, outcome)
        }
        None => (plan, outcome),
    };
    put("report.txt", &describe(told_plan, told, &again))?;
    if let Some(difference) = &told.difference {
        put("difference.txt", difference)?;
    }
    put("timeline.html", &timeline::html(told_plan, told))
}
