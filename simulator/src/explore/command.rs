//! `simulator explore`: explores the worlds of slap-model, prints what was found, and fails when a rule is broken, when the cloud
//! does not settle, or when something never occurs.

use super::{Explored, Options, explore};
use serde_json::{Map, Value, json};
use slap_impl::env::{Env, Exit};
use slap_model::{
    Event, Reply,
    worlds::{World, larger, worlds},
};
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

/// How it is called.
pub const USAGE: &str = "\
usage: simulator explore [--world NAME] [--larger] [--threads N] [--depth N] [--output json] [--failures DIRECTORY]

  --world NAME             this world only
  --larger                 the larger worlds, each as deep as it says
  --threads N              worlds at the same time (2)
  --depth N                events of users and faults on a path at most
  --output json            one JSON document instead of text
  --failures DIRECTORY     where the events that lead to a failure are written (.)";

/// Threads at most: more worlds than that there are not.
const THREADS_MAX: usize = 64;

struct Settings {
    worlds: Vec<World>,
    options: Options,
    is_json: bool,
    failures: PathBuf,
    /// Whether all that there is was asked for, so that everything has to occur.
    is_all: bool,
}

/// Runs the command.
pub fn run(env: &Env, arguments: &[String]) -> Exit {
    if arguments.iter().any(|word| word == "--help") {
        env.print(USAGE);
        return Exit::DONE;
    }
    let settings = match read(arguments) {
        Ok(settings) => settings,
        Err(problem) => {
            env.tell(format_args!("error: {problem}\n\n{USAGE}"));
            return Exit::USAGE;
        }
    };
    let start = env.clock().elapsed();
    let explored = explore(settings.worlds, &settings.options);
    let took = env.clock().elapsed().saturating_sub(start);
    let report = Report::new(&explored, took, settings.is_all);
    if settings.is_json {
        env.print(report.json());
    } else {
        report.lines().iter().for_each(|line| env.print(line));
    }
    let problems = problems(&report, settings.options.states_max);
    let mut is_well = problems.is_empty();
    problems.iter().for_each(|problem| env.tell(format_args!("error: {problem}")));
    for one in &explored {
        let Some(failure) = &one.failure else { continue };
        is_well = false;
        let path = env.context().absolute(settings.failures.join(failure.file_name()));
        let told = failure.lines().join("\n  ");
        env.tell(format_args!("error: {}, after {} events:\n  {told}", one.world, failure.events.len()));
        match env.files().replace(&path, failure.file().as_bytes(), 0o644) {
            Ok(()) => env.tell(format_args!("The events are in {}", path.display())),
            Err(error) => env.tell(format_args!("error: {}: {error}\n{}", path.display(), failure.file())),
        }
    }
    if is_well { Exit::DONE } else { Exit::FAILED }
}

fn read(arguments: &[String]) -> Result<Settings, String> {
    let mut options = Options::default();
    let (mut name, mut is_larger, mut is_json, mut failures) = (None, false, false, PathBuf::from("."));
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} lacks its value"));
        match word.as_str() {
            "--world" => name = Some(value()?.clone()),
            "--larger" => is_larger = true,
            "--threads" => options.threads = number(word, value()?, THREADS_MAX)?,
            "--depth" => options.depth = Some(number(word, value()?, 1_000_000)?),
            "--output" => match value()?.as_str() {
                "json" => is_json = true,
                other => return Err(format!("--output {other:?}: expected json")),
            },
            "--failures" => failures = PathBuf::from(value()?),
            other => return Err(format!("{other:?} is not understood")),
        }
    }
    let mut chosen = if is_larger { larger() } else { worlds() };
    if let Some(name) = &name {
        let names: Vec<&str> = chosen.iter().map(|world| world.name).collect();
        let hint = format!("--world {name:?}: expected one of {names:?}");
        chosen.retain(|world| world.name == name);
        if chosen.is_empty() {
            return Err(hint);
        }
    }
    let is_all = name.is_none() && !is_larger && options.depth.is_none();
    Ok(Settings { worlds: chosen, options, is_json, failures, is_all })
}

/// What keeps the command from ending well, besides failures: kinds that never occurred, worlds that were cut.
fn problems(report: &Report<'_>, states_max: usize) -> Vec<String> {
    let mut problems = Vec::new();
    if !report.never.is_empty() {
        problems.push(format!("never occurred in any world: {}", report.never.join(", ")));
    }
    let cut = report.explored.iter().filter(|one| one.is_cut);
    problems.extend(cut.map(|one| format!("{}: more states than {states_max}", one.world)));
    problems
}

fn number(option: &str, text: &str, most: usize) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (1..=most).contains(number));
    number.ok_or_else(|| format!("{option} {text:?}: expected a number from 1 to {most}"))
}

/// What is printed.
struct Report<'a> {
    explored: &'a [Explored],
    took: Duration,
    transitions: u64,
    events: BTreeMap<&'static str, u64>,
    replies: BTreeMap<&'static str, u64>,
    never: Vec<&'static str>,
}

impl Report<'_> {
    fn new(explored: &[Explored], took: Duration, is_all: bool) -> Report<'_> {
        let mut never = Vec::new();
        let events = sum(Event::KINDS, explored.iter().map(|one| &one.events));
        let replies = sum(Reply::KINDS, explored.iter().map(|one| &one.replies));
        if is_all {
            never.extend(
                events.iter().chain(&replies).filter(|(_, count)| **count == 0).map(|(kind, _)| *kind),
            );
        }
        let transitions = explored.iter().map(|one| one.transitions).sum();
        Report { explored, took, transitions, events, replies, never }
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!(
            "{:<18} {:>9} {:>11} {:>5} {:>8} {:>11}  settles within",
            "world", "states", "transitions", "depth", "seconds", "a second"
        )];
        for one in self.explored {
            let settles = match one.settling {
                Some(settling) => format!("{} steps, from each", settling.longest),
                None if one.has_nodes => String::new(),
                None => "- (no node: nobody waits)".to_owned(),
            };
            let cut = if one.is_whole { "" } else { " (not whole)" };
            lines.push(format!(
                "{:<18} {:>9} {:>11} {:>5} {:>8.1} {:>11.0}  {settles}{cut}",
                one.world,
                one.states,
                one.transitions,
                one.depth,
                one.took.as_secs_f64(),
                rate(one.transitions, one.took)
            ));
        }
        for (name, counts) in [("event", &self.events), ("reply", &self.replies)] {
            lines.push(String::new());
            lines.extend(counts.iter().map(|(kind, count)| format!("{name:<6} {kind:<46} {count:>11}")));
        }
        lines.push(String::new());
        lines.push(format!(
            "{} transitions in {:.1} s: {:.0} a second",
            self.transitions,
            self.took.as_secs_f64(),
            rate(self.transitions, self.took)
        ));
        lines
    }

    fn json(&self) -> Value {
        let worlds: Vec<Value> = self.explored.iter().map(world).collect();
        json!({
            "worlds": worlds,
            "events": counts(&self.events),
            "replies": counts(&self.replies),
            "never": self.never,
            "transitions": self.transitions,
            "seconds": self.took.as_secs_f64(),
            "transitions-per-second": rate(self.transitions, self.took),
        })
    }
}

fn world(one: &Explored) -> Value {
    json!({
        "world": one.world,
        "states": one.states,
        "transitions": one.transitions,
        "depth": one.depth,
        "whole": one.is_whole,
        "seconds": one.took.as_secs_f64(),
        "transitions-per-second": rate(one.transitions, one.took),
        "nodes": one.has_nodes,
        "settles-within-steps": one.settling.map(|it| it.longest),
        "settling-steps": one.settling.map(|it| it.steps),
        "failure": one.failure.as_ref().map(|failure| json!({
            "broken": failure.lines(),
            "events": failure.events,
        })),
    })
}

fn counts(counts: &BTreeMap<&'static str, u64>) -> Value {
    Value::Object(
        counts.iter().map(|(kind, count)| ((*kind).to_owned(), json!(count))).collect::<Map<_, _>>(),
    )
}

fn sum<'a>(
    kinds: &[&'static str],
    counts: impl Iterator<Item = &'a BTreeMap<&'static str, u64>>,
) -> BTreeMap<&'static str, u64> {
    let mut all: BTreeMap<_, _> = kinds.iter().map(|kind| (*kind, 0)).collect();
    for (kind, count) in counts.flatten() {
        *all.entry(kind).or_default() += count;
    }
    all
}

fn rate(transitions: u64, took: Duration) -> f64 {
    transitions as f64 / took.as_secs_f64().max(1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_occurs_is_a_failure_where_all_was_asked_for() {
        let explore = |states_max| {
            let mut worlds = worlds();
            worlds.retain(|world| world.name == "allocation");
            super::explore(worlds, &Options { depth: Some(3), states_max, ..Options::default() })
        };
        let explored = explore(4_000_000);
        let report = Report::new(&explored, Duration::ZERO, true);
        assert!(report.never.contains(&"reboot") && report.never.contains(&"refused: root title"));
        assert!(!report.never.contains(&"format") && !report.never.contains(&"given"), "{:?}", report.never);
        let found = problems(&report, 7);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("never occurred in any world: ") && found[0].contains("reboot"));

        let report = Report::new(&explored, Duration::ZERO, false);
        assert_eq!(problems(&report, 7), Vec::<String>::new());
        let explored = explore(7);
        let report = Report::new(&explored, Duration::ZERO, false);
        assert_eq!(problems(&report, 7), ["allocation: more states than 7"]);
    }
}
