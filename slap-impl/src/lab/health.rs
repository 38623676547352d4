//! What is missing until a lab is as it was asked for, and waiting for that.
//!
//! A wait names what it waits for: whenever that changes, it says so. It ends as soon as success has become impossible.

use super::{
    content::Content,
    layout::{Description, Layout},
    logs,
    progress::Progress,
    view::{Health, LabView, NodeView},
};
use crate::{
    client::SlapClient,
    env::{Env, Exit},
    vocabulary::{ComputerId, InstanceTitle, RequestedState, SoftwareUrl, SupplyState},
};
use clap::ValueEnum;
use std::{collections::BTreeMap, path::Path, time::Duration};

/// Shortest and longest pause between two looks.
const PAUSE: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(250));
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
    /// Where its log may be.
    pub(super) computer: ComputerId,
}

/// What is missing for `goal` on a node.
pub(super) fn missing(node: &NodeView, partitions: u32, goal: Goal) -> Vec<Missing> {
    let mut missing = Vec::new();
    let mut add = |what: String, reason: &str| {
        let reason = reason.trim().to_owned();
        missing.push(Missing { what, reason, computer: node.computer.clone() });
    };
    if !node.formatted || (node.partitions.len() as u32) < partitions {
        add(node.computer.to_string(), "its partitions are not known to the master yet");
        return missing;
    }
    if goal == Goal::Formatted {
        return missing;
    }
    for software in &node.software {
        if software.health != Health::Green {
            add(format!("release {} on {}", software.url, node.computer), software.health.reason());
        }
    }
    for partition in &node.partitions {
        if let Some(instance) = &partition.instance
            && instance.health != Health::Green
        {
            let place = format!("{} ({}/{})", instance.title, node.computer, partition.reference);
            add(place, instance.health.reason());
        }
    }
    missing
}

/// Waits for a goal until `deadline` (of the monotonic clock).
pub(super) async fn wait(
    env: &Env,
    layout: &Layout,
    description: &Description,
    goal: Goal,
    deadline: Duration,
    progress: &mut Progress,
) -> Exit {
    let all = description.computers();
    let mut open = all.clone();
    let mut told: Vec<Missing> = Vec::new();
    let mut pause = PAUSE.0;
    loop {
        let begin = env.clock().elapsed();
        let left = deadline.saturating_sub(begin).max(PAUSE.1);
        let Ok(view) = env.timeout(left, LabView::of(env, layout, description, &open)).await else {
            return timed_out(env, layout, goal, &told);
        };
        let mut waits = Vec::new();
        let mut still_open = Vec::new();
        for node in &view.nodes {
            let missing = missing(node, description.partitions, goal);
            if !missing.is_empty() {
                still_open.push(node.computer.clone());
                waits.extend(missing);
            }
        }
        if waits.is_empty() && open.len() == all.len() {
            return Exit::DONE;
        }
        if waits.is_empty() {
            // What was well a while ago must be well at the end too.
            open.clone_from(&all);
            continue;
        }
        open = still_open;
        if waits != told {
            tell_changes(progress, &told, &waits);
            told = waits;
        }
        if view.keeper == "dead" && view.master != "running" {
            return impossible(env, layout, &view.master);
        }
        let now = env.clock().elapsed();
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

fn impossible(env: &Env, layout: &Layout, master: &str) -> Exit {
    let message = format!(
        "this lab cannot become well by itself: its keeper is dead, and its master does not answer: {master}\n\
         hint: `slap lab up --dir {}` starts what is missing",
        layout.root.display()
    );
    super::fail(env, Exit::IMPOSSIBLE, &message)
}

fn timed_out(env: &Env, layout: &Layout, goal: Goal, told: &[Missing]) -> Exit {
    let mut message = format!("the time was up before the lab was {}; missing:", goal.as_str());
    for missing in told.iter().take(NAMED_MAX) {
        message.push_str(&format!("\n  {}: {}", missing.what, missing.reason));
    }
    if told.len() > NAMED_MAX {
        message.push_str(&format!("\n  and {} more", told.len() - NAMED_MAX));
    }
    if let Some(first) = told.first() {
        let log = layout.log(&super::keeper::agent_name(&first.computer));
        message.push_str(&format!("\n{}", logs::last_lines(env, &log, 5)));
    }
    message.push_str(&format!(
        "\nhint: `slap lab status --dir {0}` shows everything, `slap lab logs --dir {0}` the logs",
        layout.root.display()
    ));
    super::fail(env, Exit::TIMED_OUT, &message)
}

/// Supplies the first release to a node and requests its instance there.
pub(super) async fn supply_and_request(
    client: &SlapClient,
    content: &Content,
    profile: &Path,
    number: u32,
    computer: &ComputerId,
) -> Result<(), String> {
    let url: SoftwareUrl = profile.display().to_string().parse().map_err(|error| format!("{error}"))?;
    let (title, parameters) = content.instance.on(number, computer.as_str());
    let title: InstanceTitle = title.parse().map_err(|error| format!("{error}"))?;
    client
        .supply(&url, computer, SupplyState::Available)
        .await
        .map_err(|error| format!("supply of {url} to {computer}: {error}"))?;
    let request = crate::client::InstanceRequest {
        software_release: url,
        software_type: "default".to_owned(),
        title: title.clone(),
        parameters,
        filter: BTreeMap::from([("computer_guid".to_owned(), computer.to_string())]),
        state: Some(RequestedState::Started),
        shared: false,
    };
    client
        .request(&request)
        .await
        .map(drop)
        .map_err(|error| format!("request of {title} on {computer}: {error}"))
}
