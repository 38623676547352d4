//! What is missing until a lab is as it was asked for, and waiting for that.
//!
//! A wait names what it waits for, at once and whenever that changes. It ends as soon as success has become impossible. An `up` ends also when
//! nothing is missing but what failed with a definite error and failed again when its node tried again: a release's build, an
//! instance's processing. A promise that fails is none: it may be kept later.

use super::{
    layout::{self, Description, Layout},
    logs,
    progress::Progress,
    view::{Health, LabView, NodeView},
};
use crate::{
    env::{Env, Exit},
    vocabulary::ComputerId,
    wire::status::AccessStatus,
};
use clap::ValueEnum;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Shortest and longest pause between two looks.
const PAUSE: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(250));
/// What is on its way is named at once, and then so often at most.
const PENDING_PERIOD: Duration = Duration::from_secs(1);
/// How long nothing but failures may be missing before an `up` no longer waits, also when none of them was tried again meanwhile.
const BROKEN_TIME_MAX: Duration = Duration::from_secs(10);
/// Things that are named at once while waiting.
const NAMED_MAX: usize = 5;

/// What a lab is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Goal {
    /// The master knows all nodes and their partitions.
    Formatted,
    /// All releases are built, all instances are as requested, and all promises are green.
    Green,
}

impl Goal {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Goal::Formatted => "formatted",
            Goal::Green => "green",
        }
    }
}

/// Something that is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Missing {
    pub(super) what: String,
    pub(super) reason: String,
    /// The program in whose log more may be.
    log: String,
    /// Something is wrong; else it is on its way.
    is_error: bool,
    /// Of what failed with an error that does not go away by itself, and of an instance of such a release: when that was told last.
    failed_at: Option<String>,
}

/// What a wait is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Aim {
    pub(super) goal: Goal,
    /// Of the monotonic clock.
    pub(super) deadline: Duration,
    /// It is the end of an `up`: it does not wait for somebody to make room on a full disk, or to repair a release.
    pub(super) is_up: bool,
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The goal is reached.
    Reached,
    /// The disk is full.
    DiskFull,
    /// The lab runs, and what was requested of it failed again and again.
    Broken,
    /// It cannot be reached unless somebody does something.
    Impossible,
    /// The time was up.
    TimedOut,
}

impl Outcome {
    pub(super) fn exit(self) -> Exit {
        match self {
            Outcome::Reached => Exit::DONE,
            Outcome::DiskFull | Outcome::Broken => Exit::FAILED,
            Outcome::Impossible => Exit::IMPOSSIBLE,
            Outcome::TimedOut => Exit::TIMED_OUT,
        }
    }
}

/// What is missing of a lab's own for `goal`: what `status` exits with 1 for. What the master does not say of nodes is not
/// their fault.
fn missing_of_lab(view: &LabView, goal: Goal) -> Vec<Missing> {
    let troubles = view.troubles().into_iter();
    let counts = |log: &str| goal == Goal::Green || log == "master";
    let missing = troubles.filter(|(_, _, log)| counts(log)).map(|(what, reason, log)| Missing {
        what,
        reason,
        log: log.to_owned(),
        is_error: true,
        failed_at: None,
    });
    missing.collect()
}

/// What is missing of all nodes that were looked at, and of which nodes.
fn missing_of_nodes(view: &LabView, partitions: u32, goal: Goal) -> (Vec<Missing>, Vec<ComputerId>) {
    let (mut waits, mut open) = (Vec::new(), Vec::new());
    for node in &view.nodes {
        let missing = if view.master == "running" { missing(node, partitions, goal) } else { Vec::new() };
        if !missing.is_empty() || view.master != "running" {
            open.push(node.computer.clone());
        }
        waits.extend(missing);
    }
    (waits, open)
}

/// What is missing for `goal` on a node.
fn missing(node: &NodeView, partitions: u32, goal: Goal) -> Vec<Missing> {
    let mut missing = Vec::new();
    let log = super::keeper::agent_name(&node.computer);
    let mut add = |what: String, reason: &str, is_error: bool, failed_at: Option<String>| {
        let reason = reason.trim().to_owned();
        missing.push(Missing { what, reason, log: log.clone(), is_error, failed_at });
    };
    let down = node.troubles();
    if !node.formatted || (node.partitions.len() as u32) < partitions {
        let mut reason = "its partitions are not known to the master yet".to_owned();
        if !down.is_empty() {
            reason = format!("{reason}: {}", down.join(", "));
        }
        add(node.computer.to_string(), &reason, !down.is_empty(), None);
        return missing;
    }
    if goal == Goal::Formatted {
        return missing;
    }
    if !down.is_empty() {
        add(node.computer.to_string(), &down.join(", "), true, None);
    }
    let is_red = |health: &Health| matches!(health, Health::Red(_));
    for software in &node.software {
        if software.health != Health::Green {
            let what = format!("release {} on {}", software.url, node.computer);
            add(what, software.health.reason(), is_red(&software.health), software.failed_at.clone());
        }
    }
    for partition in &node.partitions {
        if let Some(instance) = &partition.instance
            && instance.health != Health::Green
        {
            let place = format!("{} ({}/{})", instance.title, node.computer, partition.reference);
            let mut releases = node.software.iter();
            let release = releases.find(|release| release.url == instance.software_release);
            let of_release = release.and_then(|release| release.failed_at.clone());
            let failed_at = of_release.or_else(|| instance.failed_at.clone());
            add(place, instance.health.reason(), is_red(&instance.health), failed_at);
        }
    }
    missing
}

/// What failed, as far as it was seen.
#[derive(Debug, Default)]
struct Failures {
    /// When each failed as it was first seen.
    first: BTreeMap<String, String>,
    /// What failed again since.
    again: BTreeSet<String>,
    /// Since when nothing else is missing.
    since: Option<Duration>,
}

impl Failures {
    /// Notes what is missing now. Says whether that is nothing but what failed for good: it was tried again in vain, or it is as it is for a
    /// while, because tries have become rare.
    fn note(&mut self, waits: &[Missing], now: Duration) -> bool {
        let is_missing = |what: &String| waits.iter().any(|missing| missing.what == *what);
        self.first.retain(|what, _| is_missing(what));
        self.again.retain(is_missing);
        for missing in waits {
            let Some(date) = &missing.failed_at else { continue };
            if self.first.entry(missing.what.clone()).or_insert_with(|| date.clone()) != date {
                self.again.insert(missing.what.clone());
            }
        }
        if waits.is_empty() || waits.iter().any(|missing| missing.failed_at.is_none()) {
            self.since = None;
            return false;
        }
        let since = *self.since.get_or_insert(now);
        waits.iter().all(|missing| self.again.contains(&missing.what)) || now - since >= BROKEN_TIME_MAX
    }
}

/// What was said while waiting, so that it is said once.
#[derive(Debug, Default)]
struct Told {
    missing: Vec<Missing>,
    lines: BTreeSet<String>,
    /// When it was last said what is on its way.
    pending_at: Option<Duration>,
}

impl Told {
    /// Says what is wrong newly or for another reason, and, unless it is an `up` with its steps, what is on its way.
    fn tell(&mut self, progress: &Progress, waits: &[Missing], is_up: bool, now: Duration) {
        let line =
            |missing: &Missing| format!("{}: {}", missing.what, AccessStatus::in_brief(&missing.reason));
        let errors = waits.iter().filter(|missing| missing.is_error).map(line);
        let news: Vec<String> = errors.filter(|line| !self.lines.contains(line)).take(NAMED_MAX).collect();
        for line in &news {
            progress.note(line);
        }
        let is_time = self.pending_at.is_none_or(|at| now - at >= PENDING_PERIOD);
        if let Some(first) = waits.first()
            && news.is_empty()
            && !first.is_error
            && !is_up
            && is_time
            && !self.lines.contains(&line(first))
        {
            let more = match waits.len() - 1 {
                0 => String::new(),
                more => format!(" (and {more} more)"),
            };
            progress.note(format_args!("{}{more}", line(first)));
            self.lines.insert(line(first));
            self.pending_at = Some(now);
        }
        self.lines.extend(news);
        self.lines.retain(|told| waits.iter().any(|missing| told.starts_with(&missing.what)));
        self.missing = waits.to_vec();
    }
}

/// Waits for a goal until a deadline.
pub(super) async fn wait(
    env: &Env,
    layout: &Layout,
    description: &Description,
    aim: Aim,
    progress: &mut Progress,
) -> Outcome {
    let Aim { goal, deadline, is_up } = aim;
    let all = description.computers();
    let mut open = all.clone();
    let (mut told, mut failures) = (Told::default(), Failures::default());
    let mut pause = PAUSE.0;
    loop {
        let begin = env.clock().elapsed();
        let left = deadline.saturating_sub(begin).max(PAUSE.1);
        let Ok(view) = env.timeout(left, LabView::of(env, layout, description, &open)).await else {
            if told.missing.is_empty() {
                told.missing.push(unanswered(description));
            }
            return timed_out(env, layout, goal, &told.missing);
        };
        let (of_nodes, still_open) = missing_of_nodes(&view, description.partitions, goal);
        let mut waits = missing_of_lab(&view, goal);
        waits.extend(of_nodes);
        if waits.is_empty() && open.len() == all.len() {
            return Outcome::Reached;
        }
        if waits.is_empty() {
            // What was well a while ago must be well at the end too.
            open.clone_from(&all);
            continue;
        }
        open = still_open;
        let now = env.clock().elapsed();
        told.tell(progress, &waits, is_up, now);
        if is_up && view.disk != "ok" {
            let message = format!("the disk is {}\n{}", view.disk, layout::ACCESS_HINT);
            super::fail(env, Exit::FAILED, &message);
            return Outcome::DiskFull;
        }
        if view.keeper == "dead"
            && let Some(problem) = dead_for_good(&view, goal)
        {
            return impossible(env, layout, &problem);
        }
        if failures.note(&waits, now) && is_up {
            return broken(env, layout, &waits);
        }
        if now >= deadline {
            return timed_out(env, layout, goal, &waits);
        }
        // Looking must not take the processor from what is waited for.
        pause = pause.max((now - begin) * 2).min(PAUSE.1);
        env.sleep(pause.min(deadline - now)).await;
        pause = (pause * 3 / 2).min(PAUSE.1);
    }
}

fn unanswered(description: &Description) -> Missing {
    Missing {
        what: format!("the master at {}", description.master_url()),
        reason: "it does not answer".to_owned(),
        log: "master".to_owned(),
        is_error: true,
        failed_at: None,
    }
}

/// What does not run and is not started again by anybody, when the keeper is dead. A green lab has a keeper.
fn dead_for_good(view: &LabView, goal: Goal) -> Option<String> {
    if view.master != "running" {
        return Some(format!(", and its master does not answer: {}", view.master));
    }
    let programs = view.nodes.iter().flat_map(|node| {
        [("agent", &node.agent), ("supervisor", &node.supervisor)]
            .map(|(program, state)| (program, &node.computer, state))
    });
    let mut down = programs.filter(|(_, _, state)| !matches!(state.as_str(), "running" | "paused"));
    match down.next() {
        Some((program, computer, state)) => Some(format!(", and {program}/{computer} is {state}")),
        None => (goal == Goal::Green).then(String::new),
    }
}

fn impossible(env: &Env, layout: &Layout, problem: &str) -> Outcome {
    let message = format!(
        "this lab cannot become well by itself: its keeper is dead{problem}\n\
         hint: `slap lab up --dir {}` starts what is missing",
        layout.root.display()
    );
    super::fail(env, Exit::IMPOSSIBLE, &message);
    Outcome::Impossible
}

/// What failed for good keeps the lab from becoming green, and nothing else does.
fn broken(env: &Env, layout: &Layout, told: &[Missing]) -> Outcome {
    let what = "the lab runs, and this failed again and again:".to_owned();
    let message = describe(env, layout, what, told);
    let repair = "hint: repair it, or request it again with other parameters: its node goes on trying, and `slap lab wait` waits for it";
    super::fail(env, Exit::FAILED, &format!("{message}\n{repair}"));
    Outcome::Broken
}

fn timed_out(env: &Env, layout: &Layout, goal: Goal, told: &[Missing]) -> Outcome {
    let what = format!("the time was up before the lab was {}; missing:", goal.as_str());
    super::fail(env, Exit::TIMED_OUT, &describe(env, layout, what, told));
    Outcome::TimedOut
}

fn describe(env: &Env, layout: &Layout, mut message: String, told: &[Missing]) -> String {
    for missing in told.iter().take(NAMED_MAX) {
        message.push_str(&format!("\n  {}: {}", missing.what, missing.reason));
    }
    if told.len() > NAMED_MAX {
        message.push_str(&format!("\n  and {} more", told.len() - NAMED_MAX));
    }
    if let Some(first) = told.first() {
        let log = layout.log(&first.log);
        message.push_str(&format!("\n{}", logs::last_lines(env, &log, 5)));
    }
    message.push_str(&format!(
        "\nhint: `slap lab status --dir {0}` shows everything, `slap lab logs --dir {0}` the logs",
        layout.root.display()
    ));
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(what: &str, failed_at: Option<&str>) -> Missing {
        Missing {
            what: what.to_owned(),
            reason: String::new(),
            log: String::new(),
            is_error: failed_at.is_some(),
            failed_at: failed_at.map(str::to_owned),
        }
    }

    /// Each look is a second after the one before; what is missing, with the time of its failure.
    fn check(looks: &[&[(&str, Option<&str>)]], expected: bool) {
        let mut failures = Failures::default();
        let mut found = false;
        for (second, look) in (0..).zip(looks) {
            let waits: Vec<Missing> = look.iter().map(|(what, at)| missing(what, *at)).collect();
            found = failures.note(&waits, Duration::from_secs(second));
        }
        assert_eq!(found, expected, "{looks:?}");
    }

    #[test]
    fn what_failed_twice_failed_for_good() {
        check(&[&[]], false);
        check(&[&[("a", Some("1"))]], false);
        check(&[&[("a", Some("1"))], &[("a", Some("2"))]], true);
        // It is tried again just now.
        check(&[&[("a", Some("1"))], &[("a", Some("2"))], &[("a", None)]], false);
        check(&[&[("a", Some("1"))], &[("a", None)], &[("a", Some("2"))]], true);
        // Meanwhile it was well.
        check(&[&[("a", Some("1"))], &[("b", None)], &[("a", Some("2"))]], false);
        // Something else is on its way, or failed once only.
        check(&[&[("a", Some("1")), ("b", None)], &[("a", Some("2")), ("b", None)]], false);
        check(&[&[("a", Some("1"))], &[("a", Some("2")), ("b", Some("2"))]], false);
        check(&[&[("a", Some("1")), ("b", Some("1"))], &[("a", Some("2")), ("b", Some("3"))]], true);
        // A node that tries rarely.
        check(&[&[("a", Some("1"))][..]; 10], false);
        check(&[&[("a", Some("1"))][..]; 11], true);
    }
}
