//! What a run found: in words, and as a folder of files that tell all of it.

use super::{Outcome, Plan, about::About, file, timeline};
use slap_impl::env::Env;
use std::{fmt, fmt::Write, io, path::Path, time::Duration};

/// Lines of the trace that a report ends with.
const LAST_LINES: usize = 20;

const AGAIN: &str = "cargo xtask sim replay";
/// The plan of a failure.
pub const EVENTS: &str = "events.jsonl";
/// The shorter plan.
pub const SHRUNK: &str = "shrunk.jsonl";

const SHRUNK_TRACE: &str = "shrunk-trace.txt";
const DIFFERENCE: &str = "difference.txt";

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

/// What a run is made of, in a few lines: with these it can be done again. `file`: where the plan stands, or shall; what is no plan of
/// a seed is there only.
pub fn banner(plan: &Plan, commit: &str, file: &str) -> String {
    let (knobs, steps, again) = (&plan.knobs, plan.script.len(), again(plan, file));
    format!("seed {} of commit {commit}\n{knobs}, {steps} steps\nagain: {again}", plan.seed)
}

/// How a plan is done again: by its seed, or from the file where it stands if no seed draws it.
pub fn again(plan: &Plan, file: &str) -> String {
    format!("{AGAIN} {}", plan.as_seed().unwrap_or_else(|| file.to_owned()))
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

/// The lines of the trace until the finding that are about an object.
fn touching<'a>(outcome: &'a Outcome, object: &str) -> Vec<&'a str> {
    let until =
        outcome.finding.as_ref().map_or(Duration::MAX, |finding| finding.at + Duration::from_millis(1));
    let is_before = |line: &&str| {
        let seconds = line.split_whitespace().next().and_then(|word| word.parse::<f64>().ok());
        seconds.is_none_or(|seconds| seconds <= until.as_secs_f64())
    };
    let about = About::new(object);
    let lines = outcome.trace.iter().map(String::as_str).filter(is_before);
    lines.filter(|line| about.is_line(line)).collect()
}

/// The directory of a failure.
pub struct Folder<'a> {
    /// Who writes.
    pub env: &'a Env,
    /// Made when the first file is written.
    pub directory: &'a Path,
}

impl Folder<'_> {
    fn put(&self, name: &str, content: &str) -> io::Result<()> {
        self.env.files().write(&self.directory.join(name), content.as_bytes(), 0o644)
    }

    fn put_trace(&self, name: &str, outcome: &Outcome) -> io::Result<()> {
        let head = match outcome.left_out() {
            0 => String::new(),
            lines => format!("# {lines} lines before these were not kept\n"),
        };
        self.put(name, &(head + &outcome.trace.join("\n") + "\n"))
    }

    /// How what stands in that file is done again.
    pub fn again(&self, name: &str) -> String {
        format!("{AGAIN} {}", self.directory.join(name).display())
    }

    /// What a run was made of: enough to do it again, whatever else becomes of it. What was told of an earlier one goes.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn begin(&self, plan: &Plan, commit: &str) -> io::Result<()> {
        self.env.files().create_directory(self.directory, 0o755)?;
        for old in ["trace.txt", "report.txt", DIFFERENCE, "timeline.html", SHRUNK, SHRUNK_TRACE] {
            self.env.files().remove_any(&self.directory.join(old))?;
        }
        let events = self.directory.join(EVENTS);
        self.put(EVENTS, &file::write(plan))?;
        self.put("banner.txt", &(banner(plan, commit, &events.display().to_string()) + "\n"))
    }

    /// Everything that is known of a failure.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn tell(&self, plan: &Plan, outcome: &Outcome) -> io::Result<()> {
        self.put_trace("trace.txt", outcome)?;
        self.tell_of(plan, outcome, EVENTS)
    }

    /// The same of a shorter list that leads to it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn tell_shrunk(&self, plan: &Plan, outcome: &Outcome) -> io::Result<()> {
        self.put(SHRUNK, &file::write(plan))?;
        self.put_trace(SHRUNK_TRACE, outcome)?;
        self.tell_of(plan, outcome, SHRUNK)
    }

    fn tell_of(&self, plan: &Plan, outcome: &Outcome, file: &str) -> io::Result<()> {
        self.put("report.txt", &describe(plan, outcome, &self.again(file)))?;
        match &outcome.difference {
            Some(difference) => self.put(DIFFERENCE, difference)?,
            None => self.env.files().remove_any(&self.directory.join(DIFFERENCE))?,
        }
        self.put("timeline.html", &timeline::html(plan, outcome))
    }
}
