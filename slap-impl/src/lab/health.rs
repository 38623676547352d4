//! What is missing until a lab is as it was asked for, and waiting for that.
//!
//! A wait names what it waits for: whenever that changes, it says so. It ends as soon as success has become impossible.

use super::{
    layout::{self, Description, Layout},
    logs,
    progress::Progress,
    view::{Health, LabView, NodeView, SoftwareView},
};
use crate::{
    env::{Env, Exit},
    vocabulary::ComputerId,
};
use clap::ValueEnum;
use std::time::Duration;

/// Shortest and longest pause between two looks.
const PAUSE: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(250));
/// How long a release may be broken before an `up` no longer waits for it: its build is tried again several times meanwhile.
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
    /// A release whose build fails, or an instance of one.
    is_broken: bool,
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

/// What is missing of a lab's own for `goal`: the master. What it does not say of nodes is not their fault.
fn missing_master(view: &LabView) -> Option<Missing> {
    let reason = view.master.clone();
    let what = format!("the master at {}", view.master_url);
    (view.master != "running").then(|| Missing { what, reason, log: "master".to_owned(), is_broken: false })
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
    let mut add = |what: String, reason: &str, is_broken: bool| {
        missing.push(Missing { what, reason: reason.trim().to_owned(), log: log.clone(), is_broken });
    };
    let programs = [("agent", &node.agent), ("supervisor", &node.supervisor)];
    let down: Vec<String> = programs
        .into_iter()
        .filter(|(_, state)| *state != "running")
        .map(|(program, state)| format!("its {program} is {state}"))
        .collect();
    if !node.formatted || (node.partitions.len() as u32) < partitions {
        let mut reason = "its partitions are not known to the master yet".to_owned();
        if !down.is_empty() {
            reason = format!("{reason}: {}", down.join(", "));
        }
        add(node.computer.to_string(), &reason, false);
        return missing;
    }
    if goal == Goal::Formatted {
        return missing;
    }
    if !down.is_empty() {
        add(node.computer.to_string(), &down.join(", "), false);
    }
    let is_red = |software: &SoftwareView| matches!(software.health, Health::Red(_));
    for software in &node.software {
        if software.health != Health::Green {
            let what = format!("release {} on {}", software.url, node.computer);
            add(what, software.health.reason(), is_red(software));
        }
    }
    for partition in &node.partitions {
        if let Some(instance) = &partition.instance
            && instance.health != Health::Green
        {
            let place = format!("{} ({}/{})", instance.title, node.computer, partition.reference);
            let mut releases = node.software.iter().filter(|release| is_red(release));
            let is_broken = releases.any(|release| release.url == instance.software_release);
            add(place, instance.health.reason(), is_broken);
        }
    }
    missing
}

/// Waits for a goal until a deadline.
pub(super) async fn wait(
    env: &Env,
    layout: &Layout,
    description: &Description,
    aim: Aim,
    progress: &mut Progress,
) -> Exit {
    let Aim { goal, deadline, is_up } = aim;
    let all = description.computers();
    let mut open = all.clone();
    let mut told: Vec<Missing> = Vec::new();
    let mut pause = PAUSE.0;
    let mut broken_since = None;
    loop {
        let begin = env.clock().elapsed();
        let left = deadline.saturating_sub(begin).max(PAUSE.1);
        let Ok(view) = env.timeout(left, LabView::of(env, layout, description, &open)).await else {
            if told.is_empty() {
                let what = format!("the master at {}", description.master_url());
                let reason = "it does not answer".to_owned();
                told.push(Missing { what, reason, log: "master".to_owned(), is_broken: false });
            }
            return timed_out(env, layout, goal, &told);
        };
        let (mut waits, still_open) = missing_of_nodes(&view, description.partitions, goal);
        waits.extend(missing_master(&view));
        if waits.is_empty() && open.len() == all.len() {
            return Exit::DONE;
        }
        if waits.is_empty() {
            // What was well a while ago must be well at the end too.
            open.clone_from(&all);
            continue;
        }
        open = still_open;
        if view.disk != "ok" {
            let what = "the disk".to_owned();
            let (reason, log) = (view.disk.clone(), "keeper".to_owned());
            waits.insert(0, Missing { what, reason, log, is_broken: false });
        }
        if waits != told {
            tell_changes(progress, &told, &waits);
            told = waits;
        }
        if is_up && view.disk != "ok" {
            let message = format!("the disk is {}\n{}", view.disk, layout::ACCESS_HINT);
            return super::fail(env, Exit::FAILED, &message);
        }
        if view.keeper == "dead"
            && let Some(problem) = dead_for_good(&view)
        {
            return impossible(env, layout, &problem);
        }
        let now = env.clock().elapsed();
        broken_since = told.iter().all(|missing| missing.is_broken).then(|| broken_since.unwrap_or(now));
        if is_up && broken_since.is_some_and(|since| now - since >= BROKEN_TIME_MAX) {
            return broken(env, layout, &told);
        }
        if now >= deadline {
            return timed_out(env, layout, goal, &told);
        }
        // Looking must not take the processor from what is waited for.
        pause = pause.max((now - begin) * 2).min(PAUSE.1);
        env.sleep(pause.min(deadline - now)).await;
        pause = (pause * 3 / 2).min(PAUSE.1);
    }
}

/// Says what is waited for newly, or for another reason; progress without end would only be noise.
fn tell_changes(progress: &Progress, told: &[Missing], waits: &[Missing]) {
    let news: Vec<&Missing> = waits.iter().filter(|missing| !told.contains(missing)).collect();
    let errors = news
        .iter()
        .filter(|missing| missing.reason.starts_with("#error") || missing.reason.contains("failed"));
    for missing in errors.take(NAMED_MAX) {
        progress.note(format_args!("{}: {}", missing.what, missing.reason));
    }
}

/// What does not run and is not started again by anybody, when the keeper is dead.
fn dead_for_good(view: &LabView) -> Option<String> {
    if view.master != "running" {
        return Some(format!("its master does not answer: {}", view.master));
    }
    let programs = view.nodes.iter().flat_map(|node| {
        [("agent", &node.agent), ("supervisor", &node.supervisor)]
            .map(|(program, state)| (program, &node.computer, state))
    });
    let mut down = programs.filter(|(_, _, state)| !matches!(state.as_str(), "running" | "paused"));
    down.next().map(|(program, computer, state)| format!("{program}/{computer} is {state}"))
}

fn impossible(env: &Env, layout: &Layout, problem: &str) -> Exit {
    let message = format!(
        "this lab cannot become well by itself: its keeper is dead, and {problem}\n\
         hint: `slap lab up --dir {}` starts what is missing",
        layout.root.display()
    );
    super::fail(env, Exit::IMPOSSIBLE, &message)
}

/// Releases that cannot be built keep the lab from becoming green, and nothing else does.
fn broken(env: &Env, layout: &Layout, told: &[Missing]) -> Exit {
    let what = "all runs but what depends on releases that cannot be built:".to_owned();
    super::fail(env, Exit::IMPOSSIBLE, &describe(env, layout, what, told))
}

fn timed_out(env: &Env, layout: &Layout, goal: Goal, told: &[Missing]) -> Exit {
    let what = format!("the time was up before the lab was {}; missing:", goal.as_str());
    super::fail(env, Exit::TIMED_OUT, &describe(env, layout, what, told))
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
