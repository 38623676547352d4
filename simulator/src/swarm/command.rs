//! `simulator run | replay | shrink | debug`: swarms from the command line.
//!
//! What was done stands in a ledger, a line of JSON for each seed, with the digest of the program that did it: a long run that was
//! interrupted goes on where it was, and another program begins anew.

use super::{
    Outcome, Plan,
    about::EVERYTHING,
    debug, file, is_rule,
    knobs::Profile,
    report::{self, EVENTS, Folder, SHRUNK, banner},
    run, shrink,
};
use crate::world::PANIC;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use slap_impl::env::{Command, Env, Exit, Output};
use std::{
    collections::BTreeSet,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

/// How they are called.
pub const USAGE: &str = "\
usage: simulator run [--seed S] [--seeds N] [--profile swarm|calm|crash|scale] [--days D] [--jobs J]
                     [--all-faults] [--ledger FILE] [--failures DIRECTORY] [--no-shrink]
                     [--stop | --stop-at RULE] [--output json]
       simulator replay FILE|SEED [--profile P] [--days D] [--all-faults] [--trace] [--output json]
       simulator shrink FILE [--runs N]
       simulator debug FILE|SEED [--profile P] [--days D] [--all-faults]

run      whole clouds, each from a seed, with users and faults; exit code 1 if a rule was broken
  --seed S               the first seed (1); decimal or with 0x
  --seeds N              how many seeds (1)
  --profile P            swarm: everything goes wrong; crash: disks, too; calm: nothing; scale: 1000 nodes (swarm)
  --days D               how long users work, in days of the world, instead of what the seed says
  --all-faults           all that can go wrong in the profile, instead of a part of it
  --jobs J               runs at the same time (1)
  --ledger FILE          seeds that this program has done stand there and are left out
  --failures DIRECTORY   where each failure gets a directory (target/sim/failures)
  --no-shrink            do not look for a shorter list of events
  --stop                 begin no other seed after a failure
  --stop-at RULE         begin no other seed after one that breaks this rule
replay   does one run again, from its seed or from a file of its events
shrink   leaves out of a file of events what the failure does not need, and prints the rest
debug    a run, step by step; `help` there tells more";

/// Runs that are tried to make a list of events shorter.
const SHRINK_RUNS_MAX: u32 = 300;
/// Bytes of a program whose digest is taken, and of a plan that is read.
const PROGRAM_BYTES_MAX: u64 = 1 << 30;
const PLAN_BYTES_MAX: u64 = 64 << 20;

/// What the command line says.
struct Options {
    seed: u64,
    seeds: u64,
    profile: Profile,
    days: Option<u64>,
    jobs: usize,
    runs: u32,
    ledger: Option<PathBuf>,
    failures: PathBuf,
    shrinks: bool,
    has_all_faults: bool,
    stops: Stop,
    has_trace: bool,
    is_json: bool,
    /// What is no option.
    rest: Vec<String>,
}

/// After which failure no other seed is begun.
enum Stop {
    Never,
    Any,
    Rule(String),
}

impl Stop {
    /// `broken`: the rule that a run broke.
    fn is_after(&self, broken: &str) -> bool {
        match self {
            Stop::Never => false,
            Stop::Any => true,
            Stop::Rule(rule) => broken == rule,
        }
    }
}

/// A line of the ledger, and of `--output json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Done {
    program: String,
    commit: String,
    profile: Profile,
    seed: u64,
    days: Option<u64>,
    has_all_faults: bool,
    digest: String,
    rule: Option<String>,
    object: Option<String>,
    simulated_seconds: u64,
    events: u64,
    operations: usize,
}

impl Done {
    /// What is known of a run before it begins.
    fn of(options: &Options, program: &str, commit: &str, seed: u64) -> Done {
        Done {
            program: program.to_owned(),
            commit: commit.to_owned(),
            profile: options.profile,
            seed,
            days: options.days,
            has_all_faults: options.has_all_faults,
            digest: String::new(),
            rule: None,
            object: None,
            simulated_seconds: 0,
            events: 0,
            operations: 0,
        }
    }

    /// Prints it and writes it down, as is asked for.
    fn note(&self, env: &Env, options: &Options) -> Result<(), String> {
        let line = serde_json::to_string(self).expect("keys are text and numbers are finite");
        if options.is_json {
            env.print(&line);
        }
        let Some(ledger) = &options.ledger else { return Ok(()) };
        let ledger = env.context().absolute(ledger);
        let written = env.files().append(&ledger, format!("{line}\n").as_bytes(), 0o644);
        written.map_err(|error| format!("{}: {error}", ledger.display()))
    }
}

/// Runs the subcommand of that word.
///
/// # Errors
/// What is wrong with its arguments.
pub async fn command(env: &Env, word: &str, arguments: &[String]) -> Result<Exit, String> {
    let options = parse(arguments)?;
    match (word, options.rest.as_slice()) {
        ("run", []) => run_all(env, &options).await,
        ("replay", [what]) => replay(env, what, &options).await,
        ("shrink", [path]) => shrink_file(env, path, &options),
        ("debug", [what]) => debug::debug(env, &plan_of(env, what, &options)?, what),
        (_, []) => Err(format!("{word}: expected FILE")),
        (_, [other, ..]) => Err(format!("{other:?} is not understood")),
    }
}

fn parse(arguments: &[String]) -> Result<Options, String> {
    let mut options = Options {
        seed: 1,
        seeds: 1,
        profile: Profile::Swarm,
        days: None,
        jobs: 1,
        runs: SHRINK_RUNS_MAX,
        ledger: None,
        failures: "target/sim/failures".into(),
        shrinks: true,
        has_all_faults: false,
        stops: Stop::Never,
        has_trace: false,
        is_json: false,
        rest: Vec::new(),
    };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word}: expected a value"));
        match word.as_str() {
            "--seed" => options.seed = number(word, value()?, 0, u64::MAX)?,
            "--seeds" => options.seeds = number(word, value()?, 1, 10_000_000)?,
            "--profile" => options.profile = value()?.parse()?,
            "--days" => options.days = Some(number(word, value()?, 1, 3650)?),
            "--jobs" => options.jobs = number(word, value()?, 1, 64)? as usize,
            "--runs" => options.runs = number(word, value()?, 1, 100_000)? as u32,
            "--ledger" => options.ledger = Some(value()?.into()),
            "--failures" => options.failures = value()?.into(),
            "--no-shrink" => options.shrinks = false,
            "--all-faults" => options.has_all_faults = true,
            "--stop" => options.stops = Stop::Any,
            "--stop-at" => {
                let rule = value()?;
                if !is_rule(rule) {
                    return Err(format!(
                        "--stop-at {rule}: there is no rule of that name (docs/simulation.md, 4)"
                    ));
                }
                options.stops = Stop::Rule(rule.clone());
            }
            "--trace" => options.has_trace = true,
            "--output" if value()? == "json" => options.is_json = true,
            "--output" => return Err("--output: expected json".to_owned()),
            other if other.starts_with('-') => return Err(format!("{other:?} is not understood")),
            _ => options.rest.push(word.clone()),
        }
    }
    Ok(options)
}

fn number(option: &str, text: &str, least: u64, most: u64) -> Result<u64, String> {
    crate::command::number(text)
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| format!("{option} {text}: expected a number from {least} to {most}"))
}

fn draw(seed: u64, options: &Options) -> Plan {
    Plan::draw_with(seed, options.profile, options.days, options.has_all_faults)
}

/// The plan of a file or a seed.
fn plan_of(env: &Env, what: &str, options: &Options) -> Result<Plan, String> {
    if let Some(seed) = crate::command::number(what) {
        return Ok(draw(seed, options));
    }
    let path = env.context().absolute(what);
    let text = env.files().read_text(&path, PLAN_BYTES_MAX).map_err(|error| format!("{what}: {error}"))?;
    file::read(&text).map_err(|error| format!("{what}: {error}"))
}

/// What the threads tell.
enum News {
    Ended(Box<(Plan, Outcome)>),
    /// What simulates panicked.
    Broke(Box<Plan>),
}

async fn run_all(env: &Env, options: &Options) -> Result<Exit, String> {
    let (program, commit) = (program_digest(env)?, commit(env).await);
    let done = done_before(env, options, &program)?;
    let seeds: Vec<u64> = (options.seed..=options.seed.saturating_add(options.seeds - 1))
        .filter(|seed| !done.contains(seed))
        .collect();
    if !options.is_json {
        let left_out =
            if done.is_empty() { String::new() } else { format!(", {} are in the ledger", done.len()) };
        env.tell(format_args!(
            "commit {commit}, profile {}, {} seeds{left_out}",
            options.profile.as_str(),
            seeds.len()
        ));
    }
    let start = env.clock().elapsed();
    let mut total = Total::default();
    let next = AtomicUsize::new(0);
    let (sender, news) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..options.jobs.min(seeds.len()) {
            let (sender, seeds, next) = (sender.clone(), &seeds, &next);
            scope.spawn(move || {
                while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let plan = draw(*seed, options);
                    let told = match catch_unwind(AssertUnwindSafe(|| run(&plan))) {
                        Ok(outcome) => News::Ended(Box::new((plan, outcome))),
                        Err(_) => News::Broke(Box::new(plan)),
                    };
                    let broken = match &told {
                        News::Ended(ended) => ended.1.finding.as_ref().map(|finding| finding.rule.as_str()),
                        News::Broke(_) => Some(PANIC),
                    };
                    if broken.is_some_and(|rule| options.stops.is_after(rule)) {
                        next.store(seeds.len(), Ordering::Relaxed);
                    }
                    if sender.send(told).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for told in &news {
            let took = env.clock().elapsed().saturating_sub(start);
            let result = match told {
                News::Ended(ended) => total.note(env, options, &program, &commit, &ended),
                News::Broke(plan) => total.note_broken(env, options, &program, &commit, &plan),
            };
            if let Err(problem) = result {
                env.tell(format_args!("error: {problem}"));
                total.failures += 1;
            }
            total.tell(env, seeds.len(), took);
        }
    });
    Ok(if total.failures == 0 { Exit::DONE } else { Exit::FAILED })
}

/// What was done so far.
#[derive(Default)]
struct Total {
    seeds: usize,
    failures: usize,
    events: u64,
    simulated: Duration,
    told: Duration,
}

impl Total {
    fn note(
        &mut self,
        env: &Env,
        options: &Options,
        program: &str,
        commit: &str,
        (plan, outcome): &(Plan, Outcome),
    ) -> Result<(), String> {
        self.seeds += 1;
        self.events += outcome.lines;
        self.simulated += outcome.simulated;
        let finding = outcome.finding.as_ref();
        let done = Done {
            digest: outcome.digest.clone(),
            rule: finding.map(|finding| finding.rule.clone()),
            object: finding.map(|finding| finding.object.clone()),
            simulated_seconds: outcome.simulated.as_secs(),
            events: outcome.lines,
            operations: outcome.operations.0,
            ..Done::of(options, program, commit, plan.seed)
        };
        done.note(env, options)?;
        if finding.is_some() {
            self.failures += 1;
            fail(env, options, commit, plan, outcome)?;
        }
        Ok(())
    }

    fn note_broken(
        &mut self,
        env: &Env,
        options: &Options,
        program: &str,
        commit: &str,
        plan: &Plan,
    ) -> Result<(), String> {
        self.seeds += 1;
        self.failures += 1;
        let object = Some(EVERYTHING.to_owned());
        let done =
            Done { rule: Some(PANIC.to_owned()), object, ..Done::of(options, program, commit, plan.seed) };
        let directory = directory_of(env, options, plan);
        let folder = Folder { env, directory: &directory };
        let again = folder.again(EVENTS);
        env.tell(format_args!(
            "{PANIC}: {EVERYTHING}\nseed {}: the run broke: see above\nagain: {again}",
            plan.seed
        ));
        folder.begin(plan, commit).map_err(|error| format!("{}: {error}", directory.display()))?;
        done.note(env, options)
    }

    /// A line of progress, not more often than each second but for the last.
    fn tell(&mut self, env: &Env, seeds: usize, took: Duration) {
        if self.seeds < seeds && took.saturating_sub(self.told) < Duration::from_secs(1) {
            return;
        }
        self.told = took;
        let rate = self.simulated.as_secs_f64() / took.as_secs_f64().max(0.001);
        env.tell(format_args!(
            "{} of {seeds} seeds, {} events, {:.1} h in the world in {:.1} s: {rate:.0} times real time, {} failures",
            self.seeds,
            self.events,
            self.simulated.as_secs_f64() / 3600.0,
            took.as_secs_f64(),
            self.failures
        ));
    }
}

/// Where a failure's files go.
fn directory_of(env: &Env, options: &Options, plan: &Plan) -> PathBuf {
    let days = options.days.map_or(String::new(), |days| format!("-{days}-days"));
    let all = if options.has_all_faults { "-all-faults" } else { "" };
    let name = format!("{}-{}{days}{all}", options.profile.as_str(), plan.seed);
    env.context().absolute(options.failures.join(name))
}

/// Tells of a failure, and writes all that is known of it into a directory: what there is at once, and a shorter list when it is found.
fn fail(env: &Env, options: &Options, commit: &str, plan: &Plan, outcome: &Outcome) -> Result<(), String> {
    let directory = directory_of(env, options, plan);
    let folder = Folder { env, directory: &directory };
    let failed = |error: io::Error| format!("{}: {error}", directory.display());
    folder.begin(plan, commit).and_then(|()| folder.tell(plan, outcome)).map_err(failed)?;
    let shrunk =
        if options.shrinks { Some(unbroken(|| shrink::shrink(plan, options.runs, |_| {}))) } else { None };
    let shrunk = match shrunk {
        Some(Ok(shrunk)) => Some(shrunk),
        Some(Err(problem)) => {
            env.tell(format_args!("no shorter list of events: {problem}"));
            None
        }
        None => None,
    };
    if let Some((plan, outcome)) = &shrunk {
        folder.tell_shrunk(plan, outcome).map_err(failed)?;
    }
    let (plan, outcome) = shrunk.as_ref().map_or((plan, outcome), |(plan, outcome)| (plan, outcome));
    let again = folder.again(if shrunk.is_some() { SHRUNK } else { EVENTS });
    env.tell(format_args!(
        "\nseed {}: {}\n{}all of it: {}",
        plan.seed,
        plan.knobs,
        report::describe(plan, outcome, &again),
        directory.display()
    ));
    Ok(())
}

/// The seeds that this program has done.
fn done_before(env: &Env, options: &Options, program: &str) -> Result<BTreeSet<u64>, String> {
    let Some(ledger) = &options.ledger else { return Ok(BTreeSet::new()) };
    let path = env.context().absolute(ledger);
    let failed = |error: io::Error| format!("--ledger {}: {error}", path.display());
    if let Some(directory) = path.parent() {
        env.files().create_directory(directory, 0o755).map_err(failed)?;
    }
    // One that cannot be written is told before hours of work are done for it.
    env.files().append(&path, b"", 0o644).map_err(failed)?;
    let text = env.files().read_text(&path, PLAN_BYTES_MAX).map_err(failed)?;
    // A line that was cut by a crash says nothing, and must not take the next one with it.
    if !text.is_empty() && !text.ends_with('\n') {
        env.files().append(&path, b"\n", 0o644).map_err(failed)?;
    }
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Done>(line).ok());
    let range = options.seed..=options.seed.saturating_add(options.seeds - 1);
    let is_same = |done: &Done| {
        done.program == program
            && done.profile == options.profile
            && done.days == options.days
            && done.has_all_faults == options.has_all_faults
            // What failed is done again.
            && done.rule.is_none()
            && range.contains(&done.seed)
    };
    Ok(lines.filter(is_same).map(|done| done.seed).collect())
}

async fn replay(env: &Env, what: &str, options: &Options) -> Result<Exit, String> {
    let plan = plan_of(env, what, options)?;
    if !options.is_json {
        env.tell(banner(&plan, &commit(env).await, what));
    }
    let outcome = unbroken(|| run(&plan))?;
    if options.has_trace {
        outcome.trace.iter().for_each(|line| env.print(line));
    }
    if options.is_json {
        let finding = outcome.finding.as_ref();
        env.print(serde_json::json!({
            "seed": plan.seed,
            "digest": outcome.digest,
            "events": outcome.lines,
            "simulated_seconds": outcome.simulated.as_secs(),
            "rule": finding.map(|finding| &finding.rule),
            "object": finding.map(|finding| &finding.object),
            "what": finding.map(|finding| &finding.what),
        }));
    } else {
        let again = report::again(&plan, what);
        env.print(report::describe(&plan, &outcome, &again).trim_end());
        env.print(format_args!(
            "{} events, {:.0} s in the world, {} operations of users, digest {}",
            outcome.lines,
            outcome.simulated.as_secs_f64(),
            outcome.operations.0,
            outcome.digest
        ));
    }
    Ok(if outcome.finding.is_none() { Exit::DONE } else { Exit::FAILED })
}

fn shrink_file(env: &Env, path: &str, options: &Options) -> Result<Exit, String> {
    let plan = plan_of(env, path, options)?;
    let before = plan.script.len();
    let (shrunk, outcome) = unbroken(|| shrink::shrink(&plan, options.runs, |_| {}))?;
    env.tell(format_args!("{before} steps before, {} after", shrunk.script.len()));
    if let Some(finding) = &outcome.finding {
        env.tell(finding);
        env.print(file::write(&shrunk).trim_end());
        return Ok(Exit::FAILED);
    }
    env.tell("nothing was found: there is nothing to keep");
    Ok(Exit::DONE)
}

/// What a run gives, unless it broke.
pub(super) fn unbroken<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| "the run broke: see above".to_owned())
}

/// Which program this is: a ledger of another one says nothing about it.
fn program_digest(env: &Env) -> Result<String, String> {
    let path = &env.context().executable;
    let content = env.files().read(path, PROGRAM_BYTES_MAX).map_err(|error| error.to_string())?;
    Ok(Sha256::digest(&content).iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}

/// The commit of the working directory, if git tells.
async fn commit(env: &Env) -> String {
    let words = ["describe", "--always", "--dirty", "--abbrev=12"];
    let command = Command {
        directory: env.context().directory.clone(),
        variables: env.context().variables.clone(),
        output: Output::Capture(1000),
        ..Command::new(Path::new("git")).arguments(words)
    };
    let Ok(mut spawned) = env.processes().spawn(&command) else { return "unknown".to_owned() };
    match spawned.child.wait().await {
        Ok(ended) if ended.code == Some(0) => String::from_utf8_lossy(&ended.output).trim().to_owned(),
        _ => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slap_impl::env::real;

    fn options(words: &[&str]) -> Options {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        parse(&words).expect("they are options")
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "what was written is read past what wrote it")]
    fn a_failure_is_written_with_all_that_is_known_of_it() {
        let directory = tempfile::tempdir().unwrap();
        let (failures, ledger) = (directory.path().join("failures"), directory.path().join("ledger.jsonl"));
        let words = ["--failures", failures.to_str().unwrap(), "--ledger", ledger.to_str().unwrap()];
        let options = options(&words);
        let plan = file::read(include_str!("found.jsonl")).unwrap();
        let outcome = run(&plan);
        let env = real::env_with_executable(Path::new("simulator"));
        let total = real::block_on_env(env, |env| async move {
            let mut total = Total::default();
            total.note(&env, &options, "a program", "a commit", &(plan.clone(), outcome)).unwrap();
            total.note_broken(&env, &options, "a program", "a commit", &Plan { seed: 4, ..plan }).unwrap();
            assert!(
                done_before(&env, &options, "a program").unwrap().is_empty(),
                "what failed is done again"
            );
            total
        });
        assert_eq!((total.seeds, total.failures), (2, 2));
        let read = |name: &str| std::fs::read_to_string(failures.join(name)).unwrap();
        let names = |of: &str| {
            let entries = std::fs::read_dir(failures.join(of)).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<BTreeSet<_>>()
        };
        let all = [
            "banner.txt",
            "events.jsonl",
            "report.txt",
            "shrunk-trace.txt",
            "shrunk.jsonl",
            "timeline.html",
            "trace.txt",
        ];
        assert_eq!(names("swarm-3"), all.map(str::to_owned).into());
        assert_eq!(names("swarm-4"), ["banner.txt", "events.jsonl"].map(str::to_owned).into());
        let banner = read("swarm-3/banner.txt");
        assert!(
            banner.contains("seed 3 of commit a commit") && banner.contains("swarm-3/events.jsonl\n"),
            "{banner}"
        );
        assert_eq!(read("swarm-3/events.jsonl").lines().count(), 6);
        assert_eq!(read("swarm-3/shrunk.jsonl").lines().count(), 2);
        let report = read("swarm-3/report.txt");
        let lines: Vec<&str> = report.lines().collect();
        assert!(lines[0].starts_with("garbage-is-refused: ") && lines[1].contains(" s: "), "{report}");
        assert!(
            lines[2].starts_with("again: cargo xtask sim replay ")
                && lines[2].ends_with("/swarm-3/shrunk.jsonl")
        );
        let page = read("swarm-3/timeline.html");
        assert!(
            page.contains("garbage-is-refused") && page.contains("<svg") && page.contains("getRunId"),
            "{page}"
        );
        for loads in ["src=", "href=", "@import", "url("] {
            assert!(!page.contains(loads), "it opens without a network: {loads}");
        }
        let written = std::fs::read_to_string(&ledger).unwrap();
        let done: Vec<Done> = written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let rules: Vec<_> = done.iter().map(|done| (done.seed, done.rule.as_deref())).collect();
        assert_eq!(rules, [(3, Some("garbage-is-refused")), (4, Some("panic"))]);
        assert!(done.iter().all(|done| done.commit == "a commit"));
    }

    #[test]
    fn a_plan_says_how_it_is_drawn_again() {
        for words in [
            "7 --profile swarm",
            "7 --profile crash",
            "7 --profile calm",
            "7 --profile swarm --days 2",
            "7 --profile crash --days 1 --all-faults",
            "7 --profile swarm --all-faults",
        ] {
            let options = options(&words.split(' ').skip(1).collect::<Vec<_>>());
            let plan = draw(7, &options);
            assert_eq!(plan.as_seed().as_deref(), Some(words));
            let shorter = Plan { script: plan.script[1..].to_vec(), ..plan };
            assert_eq!(shorter.as_seed(), None);
            assert!(banner(&shorter, "it", "a/file").ends_with("again: cargo xtask sim replay a/file"));
        }
    }

    #[test]
    fn a_run_of_many_seeds_ends_where_it_is_told_to() {
        let stops = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            let stops = parse(&words)?.stops;
            Ok(["liveness", "restless", "panic"].map(|broken| stops.is_after(broken)))
        };
        assert_eq!(stops(&[]), Ok([false; 3]));
        assert_eq!(stops(&["--stop"]), Ok([true; 3]));
        assert_eq!(stops(&["--stop-at", "liveness"]), Ok([true, false, false]));
        let problem: String = stops(&["--stop-at", "livelyness"]).unwrap_err();
        assert!(problem.contains("no rule of that name"), "{problem}");
        assert!(stops(&["--stop-at"]).is_err());
    }
}
