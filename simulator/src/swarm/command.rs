//! `simulator run | replay | shrink | debug`: swarms from the command line.
//!
//! What was done stands in a ledger, a line of JSON for each seed, with the digest of the program that did it: a long run that was
//! interrupted goes on where it was, and another program begins anew.

use super::{
    Outcome, Plan, debug, file, is_rule,
    knobs::Profile,
    report::{self, banner},
    run, shrink,
};
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
       simulator debug FILE|SEED [--profile P] [--days D]

run      whole clouds, each from a seed, with users and faults; exit code 1 if a rule was broken
  --seed S               the first seed (1); decimal or with 0x
  --seeds N              how many seeds (1)
  --profile P            swarm: everything goes wrong; crash: the master's disk, too; calm: nothing; scale: 1000 nodes (swarm)
  --days D               how long users work, in days of the world, instead of what the seed says
  --all-faults           every kind of fault that the profile has, instead of half of them
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
    /// `broken`: the rule that a run broke; none when the run itself broke.
    fn is_after(&self, broken: Option<&str>) -> bool {
        match self {
            Stop::Never => false,
            Stop::Any => true,
            Stop::Rule(rule) => broken == Some(rule.as_str()),
        }
    }
}

/// A line of the ledger, and of `--output json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Done {
    program: String,
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
        ("debug", [what]) => debug::debug(env, &plan_of(env, what, &options)?),
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
    Broke(u64),
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
                        Err(_) => News::Broke(*seed),
                    };
                    let ends = match &told {
                        News::Ended(ended) => {
                            let finding = ended.1.finding.as_ref();
                            finding.is_some_and(|finding| options.stops.is_after(Some(&finding.rule)))
                        }
                        News::Broke(_) => options.stops.is_after(None),
                    };
                    if ends {
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
                News::Broke(seed) => total.note_broken(env, options, seed),
            };
            if let Err(problem) = result {
                env.tell(format_args!("error: {problem}"));
                total.failures += 1;
            }
            if !options.is_json {
                total.tell(env, seeds.len(), took);
            }
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
        let done = Done {
            program: program.to_owned(),
            profile: options.profile,
            seed: plan.seed,
            days: options.days,
            has_all_faults: options.has_all_faults,
            digest: outcome.digest.clone(),
            rule: outcome.finding.as_ref().map(|finding| finding.rule.clone()),
            object: outcome.finding.as_ref().map(|finding| finding.object.clone()),
            simulated_seconds: outcome.simulated.as_secs(),
            events: outcome.lines,
            operations: outcome.operations.0,
        };
        let line = serde_json::to_string(&done).expect("keys are text and numbers are finite");
        if options.is_json {
            env.print(&line);
        }
        if outcome.finding.is_some() {
            self.failures += 1;
            fail(env, options, commit, plan, outcome)?;
        } else if let Some(ledger) = &options.ledger {
            // What failed is done again the next time.
            let ledger = env.context().absolute(ledger);
            let written = env.files().append(&ledger, format!("{line}\n").as_bytes(), 0o644);
            written.map_err(|error| format!("{}: {error}", ledger.display()))?;
        }
        Ok(())
    }

    fn note_broken(&mut self, env: &Env, options: &Options, seed: u64) -> Result<(), String> {
        self.seeds += 1;
        self.failures += 1;
        let again = format!("cargo xtask sim replay {seed} --profile {}", options.profile.as_str());
        env.tell(format_args!("panic: seed {seed}: see above\nagain: {again}"));
        Ok(())
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

/// Tells of a failure, and writes all that is known of it into a directory.
fn fail(env: &Env, options: &Options, commit: &str, plan: &Plan, outcome: &Outcome) -> Result<(), String> {
    let name = format!("{}-{}", options.profile.as_str(), plan.seed);
    let directory = env.context().absolute(options.failures.join(name));
    let shrunk = options.shrinks.then(|| shrink::shrink(plan, options.runs, |_| {}));
    report::write(env, &directory, commit, plan, outcome, shrunk.as_ref())
        .map_err(|error| format!("{}: {error}", directory.display()))?;
    let (plan, outcome) = shrunk.as_ref().map_or((plan, outcome), |(plan, outcome)| (plan, outcome));
    let events = directory.join(if shrunk.is_some() { "shrunk.jsonl" } else { "events.jsonl" });
    let again = format!("cargo xtask sim replay {}", events.display());
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
            && done.rule.is_none()
            && range.contains(&done.seed)
    };
    Ok(lines.filter(is_same).map(|done| done.seed).collect())
}

async fn replay(env: &Env, what: &str, options: &Options) -> Result<Exit, String> {
    let plan = plan_of(env, what, options)?;
    if !options.is_json {
        env.tell(banner(&plan, &commit(env).await));
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
        let again = format!("cargo xtask sim replay {what}");
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

    #[test]
    fn a_run_of_many_seeds_ends_where_it_is_told_to() {
        let stops = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            let stops = parse(&words)?.stops;
            Ok([Some("liveness"), Some("restless"), None].map(|broken| stops.is_after(broken)))
        };
        assert_eq!(stops(&[]), Ok([false; 3]));
        assert_eq!(stops(&["--stop"]), Ok([true; 3]));
        assert_eq!(stops(&["--stop-at", "liveness"]), Ok([true, false, false]));
        let problem: String = stops(&["--stop-at", "livelyness"]).unwrap_err();
        assert!(problem.contains("no rule of that name"), "{problem}");
        assert!(stops(&["--stop-at"]).is_err());
    }
}
