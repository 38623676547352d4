//! Runs a partition's promises beside each other, each with a deadline of its own, and writes down what came out
//! (slapos.core: grid/promise/__init__.py, `PromiseLauncher`).
//!
//! What differs from upstream: promises do not wait for each other; what a promise that is gone left is removed; a plugin
//! that cannot run here is a failed promise that says why; a changed plugin does not wait for its period.

use super::{
    check::{Promise, Sense},
    history::{self, Rule},
    plugin::{self, PLUGIN_BYTES_MAX},
    python,
    state::{CacheFile, ResultFile, ResultItem, State, bounded},
};
use crate::{
    env::{Env, FileKind, LocalFuture},
    node::parallel,
};
use std::{
    cell::RefCell,
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

/// Promises of one partition; more are not looked at.
const PROMISES_MAX: usize = 1000;
/// Minutes until a plugin that cannot run is looked at again.
const BROKEN_PERIODICITY: f64 = 2.0;

/// What the run is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The partition was just set up: each promise's last run alone decides.
    Test,
    /// The partition is up to date: a promise may fail a few times before it counts.
    Anomaly,
}

/// How promises are run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// What the run is for.
    pub mode: Mode,
    /// Runs all, whatever their period; else those that are due, and the others' last result stands.
    pub force: bool,
    /// Runs also those whose last result is a failure.
    pub again: bool,
    /// How long each promise may take.
    pub deadline: Duration,
    /// How many run beside each other; at least 1.
    pub parallel: usize,
    /// File names of the plugins to run, without the others and without etc/promise; `None` runs all.
    pub only: Option<BTreeSet<String>>,
}

impl Options {
    /// All promises, as after a partition was set up: 20 s each, 8 at a time.
    pub fn new(mode: Mode, force: bool) -> Options {
        Options { mode, force, again: false, deadline: Duration::from_secs(20), parallel: 8, only: None }
    }
}

/// What came out of one promise.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// File name without `.py`.
    pub title: String,
    /// File name.
    pub name: String,
    /// Whether the promise is broken.
    pub failed: bool,
    /// What it says.
    pub message: String,
    /// Whether it ran now; else this is its last result.
    pub ran: bool,
    /// When it shall run again: seconds since 1970.
    pub next_run_at_seconds: f64,
    /// Whether the master shall be told at once: an anomaly that was found now.
    pub bangs: bool,
}

/// What came out of all of a partition's promises: plugins first, each kind in order of name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// One for each promise.
    pub outcomes: Vec<Outcome>,
    /// What could not be written or was passed over.
    pub warnings: Vec<String>,
}

impl Summary {
    /// Upstream's sentence about the first promise that failed.
    pub fn failure(&self) -> Option<String> {
        let failed = self.outcomes.iter().find(|outcome| outcome.failed)?;
        Some(format!("Promise {} failed with output: {}", python::repr(&failed.name), failed.message))
    }

    /// Upstream's sentence about the first anomaly of which the master shall know at once.
    pub fn bang(&self) -> Option<String> {
        let anomaly = self.outcomes.iter().find(|outcome| outcome.bangs)?;
        Some(format!("Promise {} is failing", anomaly.title))
    }

    /// When the first promise is due: seconds since 1970.
    pub fn next_run_at_seconds(&self) -> Option<f64> {
        self.outcomes.iter().map(|outcome| outcome.next_run_at_seconds).reduce(f64::min)
    }
}

/// Runs the promises of a partition (its directory, absolute).
///
/// # Errors
/// When the partition's directory for results cannot be made. A promise that cannot run is no error but a failed one.
pub async fn run(env: &Env, partition: &Path, options: &Options) -> io::Result<Summary> {
    let state = State::open(env.files(), partition)?;
    let mut summary = Summary::default();
    let jobs = find(env, partition, options, &mut summary.warnings);
    let runner = Runner { env, partition, options, state: &state, warnings: RefCell::default() };
    let futures = jobs.iter().map(|job| Box::pin(runner.run_one(job)) as LocalFuture<'_, Outcome>);
    summary.outcomes = parallel::bounded(options.parallel, futures.collect()).await;
    if options.only.is_none() {
        state.keep_only(&jobs.iter().map(|job| job.title.clone()).collect());
    }
    summary.warnings.append(&mut runner.warnings.into_inner());
    Ok(summary)
}

/// A promise's file.
struct Job {
    name: String,
    title: String,
    file: PathBuf,
    is_plugin: bool,
}

/// The promises of a partition: plugins, then executables.
fn find(env: &Env, partition: &Path, options: &Options, warnings: &mut Vec<String>) -> Vec<Job> {
    let files = env.files();
    let mut jobs = Vec::new();
    let plugins = partition.join("etc/plugin");
    for name in files.list(&plugins).unwrap_or_default() {
        if !name.starts_with("__init__") && name.ends_with(".py") {
            let title = name.strip_suffix(".py").unwrap_or(&name).to_owned();
            jobs.push(Job { file: plugins.join(&name), title, name, is_plugin: true });
        }
    }
    let executables = partition.join("etc/promise");
    for name in files.list(&executables).unwrap_or_default() {
        let file = executables.join(&name);
        let runs = files
            .metadata(&file)
            .is_ok_and(|metadata| metadata.kind == FileKind::File && metadata.mode & 0o111 != 0);
        if runs {
            jobs.push(Job { title: title(&name), name, file, is_plugin: false });
        } else if options.only.is_none() {
            warnings.push(format!("{} is no executable file: it is not run as a promise", file.display()));
        }
    }
    if jobs.len() > PROMISES_MAX {
        warnings.push(format!("there are {} promises: only {PROMISES_MAX} are run", jobs.len()));
        jobs.truncate(PROMISES_MAX);
    }
    distinguish(&mut jobs, warnings);
    // Last, so that the titles do not depend on what is run now.
    if let Some(only) = &options.only {
        jobs.retain(|job| job.is_plugin && only.contains(&job.name));
    }
    jobs
}

/// Gives each promise files of its own: of those that would share them, the first has its title, each other its whole name. Upstream lets
/// the last one's result stand for all (slapos.core: grid/promise/__init__.py, `_writePromiseResult`).
fn distinguish(jobs: &mut [Job], warnings: &mut Vec<String>) {
    let mut taken = BTreeSet::new();
    for job in jobs {
        if taken.insert(job.title.clone()) {
            continue;
        }
        let shared = std::mem::replace(&mut job.title, job.name.clone());
        let mut number = 2;
        while !taken.insert(job.title.clone()) {
            job.title = format!("{}-{number}", job.name);
            number += 1;
        }
        let file = job.file.display();
        warnings.push(format!(
            "{file}: another promise is called {shared}, too: this one's results are in {}",
            job.title
        ));
    }
}

/// A file name without its last extension (Python's `os.path.splitext`: leading dots are no extension).
fn title(name: &str) -> String {
    let stem = name.trim_start_matches('.');
    let dots = name.len() - stem.len();
    stem.rfind('.').map_or(name, |end| &name[..dots + end]).to_owned()
}

struct Runner<'a> {
    env: &'a Env,
    partition: &'a Path,
    options: &'a Options,
    state: &'a State<'a>,
    warnings: RefCell<Vec<String>>,
}

impl Runner<'_> {
    async fn run_one(&self, job: &Job) -> Outcome {
        let now = self.now_seconds();
        let metadata = self.env.files().metadata(&job.file).ok();
        let cache = metadata.as_ref().and_then(|metadata| self.state.cache(&job.title, &job.file, metadata));
        let previous = self.state.result(&job.title);
        let again = self.options.again && previous.as_ref().is_none_or(|previous| previous.result.failed);
        let stands = !self.options.force && !again;
        if let Some(cache) = cache.filter(|cache| stands && now < cache.next_run_after) {
            // A clock that was set back must not silence a promise for longer than its period.
            if cache.timestamp <= now {
                return last_outcome(job, previous, cache.next_run_after);
            }
        }
        let promise = self.read(job);
        let periodicity = promise.as_ref().map_or(BROKEN_PERIODICITY, |promise| promise.periodicity);
        let next_run_after = now + periodicity * 60.0;
        self.try_write(self.state.write_cache(
            &job.title,
            &CacheFile {
                is_tested: true,
                is_anomaly_detected: true,
                periodicity,
                next_run_after,
                timestamp: now,
                module_file: job.file.to_string_lossy().into_owned(),
                module_file_mtime: metadata.map_or(0.0, |metadata| metadata.modified_seconds as f64),
            },
        ));
        let start = self.env.clock().elapsed();
        let (failed, message) = match &promise {
            Ok(promise) => self.sense(job, promise, previous).await,
            Err(message) => self.note(job, &Sense::bad(message), Rule::LAST),
        };
        let is_anomaly = self.options.mode == Mode::Anomaly
            && promise.as_ref().map_or(true, |promise| promise.finds_anomalies);
        let seconds = (self.env.clock().elapsed() - start).as_secs_f64();
        let result = ResultFile {
            title: job.title.clone(),
            name: job.name.clone(),
            path: job.file.to_string_lossy().into_owned(),
            execution_time: (seconds * 1000.0).round() / 1000.0,
            result: ResultItem {
                kind: if is_anomaly { "Anomaly Result" } else { "Test Result" }.to_owned(),
                failed,
                date: self.env.clock().now().strftime("%Y-%m-%dT%H:%M:%S+0000").to_string(),
                message: bounded(&message),
            },
        };
        self.try_write(self.state.write_result(&result));
        Outcome {
            title: result.title,
            name: result.name,
            failed,
            message: result.result.message,
            ran: true,
            next_run_at_seconds: next_run_after,
            bangs: failed && is_anomaly && promise.is_ok_and(|promise| promise.bangs),
        }
    }

    /// What the file asks for, or why it cannot run.
    fn read(&self, job: &Job) -> Result<Promise, String> {
        if !job.is_plugin {
            return Ok(Promise::executable());
        }
        if !job.name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            return Err(format!("Promise plugin name {} is not valid", python::repr(&job.name)));
        }
        let text = self.env.files().read_text(&job.file, PLUGIN_BYTES_MAX);
        let text = text.map_err(|error| format!("{} cannot be read: {error}", job.file.display()))?;
        let plugin = plugin::parse(&text).map_err(|error| error.to_string())?;
        Promise::from_plugin(&plugin, self.options.deadline)
    }

    async fn sense(&self, job: &Job, promise: &Promise, previous: Option<ResultFile>) -> (bool, String) {
        let deadline = self.options.deadline;
        let sense = promise.sense(self.env, self.partition, &job.file, deadline).await;
        let rule = match self.options.mode {
            Mode::Test => Rule::LAST,
            Mode::Anomaly => promise.anomaly,
        };
        match sense {
            Some(sense) => self.note(job, &sense, rule),
            None => {
                let failed = self.options.mode == Mode::Test
                    || previous.is_some_and(|previous| {
                        previous.result.failed || previous.result.message.to_lowercase().contains("error:")
                    });
                (failed, format!("Error: Promise timed out after {} seconds", deadline.as_secs_f64()))
            }
        }
    }

    /// Adds what was found to the promise's log, and says what that means together with the runs before.
    fn note(&self, job: &Job, sense: &Sense, rule: Rule) -> (bool, String) {
        let now = self.env.clock().now();
        let transaction = format!("{}-{}", now.as_second(), 100 + self.env.random_below(900));
        let line = history::line(now, &transaction, sense.failed, &bounded(&sense.message));
        let mut log = self.state.history(&job.title);
        log.push_str(&line);
        self.try_write(self.state.log(&job.title, &line));
        history::judge(&log, rule)
    }

    fn try_write(&self, written: io::Result<()>) {
        if let Err(error) = written {
            let mut warnings = self.warnings.borrow_mut();
            let message =
                format!("a promise's state in {} cannot be written: {error}", self.partition.display());
            if !warnings.contains(&message) {
                warnings.push(message);
            }
        }
    }

    fn now_seconds(&self) -> f64 {
        self.env.clock().now().as_millisecond() as f64 / 1000.0
    }
}

/// The last result of a promise that is not due.
fn last_outcome(job: &Job, previous: Option<ResultFile>, next_run_after: f64) -> Outcome {
    let item = previous.map(|previous| previous.result);
    Outcome {
        title: job.title.clone(),
        name: job.name.clone(),
        failed: item.as_ref().is_some_and(|item| item.failed),
        message: item.map(|item| item.message).unwrap_or_default(),
        ran: false,
        next_run_at_seconds: next_run_after,
        bangs: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(name: &str, failed: bool, bangs: bool, next_run_at_seconds: f64) -> Outcome {
        let message = "down".to_owned();
        Outcome {
            title: title(name),
            name: name.to_owned(),
            failed,
            message,
            ran: true,
            next_run_at_seconds,
            bangs,
        }
    }

    #[test]
    fn the_first_failure_is_told() {
        let outcomes = vec![
            outcome("a.py", false, false, 9.0),
            outcome("b.py", true, false, 5.0),
            outcome("c", true, true, 7.0),
        ];
        let summary = Summary { outcomes, warnings: Vec::new() };
        assert_eq!(summary.failure().as_deref(), Some("Promise 'b.py' failed with output: down"));
        assert_eq!(summary.bang().as_deref(), Some("Promise c is failing"));
        assert_eq!(summary.next_run_at_seconds(), Some(5.0));
        assert_eq!(Summary::default().failure(), None);
    }

    #[test]
    fn no_promise_hides_another() {
        let job =
            |name: &str| Job { name: name.into(), title: title(name), file: name.into(), is_plugin: false };
        let mut jobs = ["a.py", "a.sh", "b", "a.sh.x", "a.sh-2", "c"].map(job);
        let mut warnings = Vec::new();
        distinguish(&mut jobs, &mut warnings);
        let titles = jobs.map(|job| job.title);
        assert_eq!(titles, ["a", "a.sh", "b", "a.sh.x", "a.sh-2", "c"]);
        assert_eq!(warnings.len(), 3, "{warnings:?}");
        let mut same = ["a.py", "a.py", "a.py"].map(job);
        distinguish(&mut same, &mut warnings);
        assert_eq!(same.map(|job| job.title), ["a", "a.py", "a.py-2"]);
        assert!(warnings[3].contains("another promise is called a, too"), "{warnings:?}");
    }

    #[test]
    fn titles_are_names_without_extension() {
        for (name, expected) in [("a.sh", "a"), ("a.b.c", "a.b"), ("plain", "plain"), (".hidden", ".hidden")]
        {
            assert_eq!(title(name), expected);
        }
    }
}
