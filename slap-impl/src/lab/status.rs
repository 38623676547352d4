//! `slap lab status`: nodes, partitions, instances and promises, as a stranger could see them.

use super::{
    layout::{Description, Layout},
    populate,
    progress::counted,
    view::{Health, InstanceView, LabView, NodeView},
};
use crate::env::{Env, Exit};
use clap::ValueEnum;

/// Characters and lines of a reason in a table.
const REASON_LENGTH_MAX: usize = 2000;
const REASON_LINES_MAX: usize = 24;

/// Form of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    /// Lines for people.
    Table,
    /// One JSON document.
    Json,
}

/// Prints the status. It is no failure that an instance is red: exit code 0 says that the status was found, and that all of the
/// lab's own programs run and can write.
pub(super) async fn run(env: &Env, layout: &Layout, description: &Description, form: Form) -> Exit {
    let view = LabView::of(env, layout, description, &description.computers()).await;
    match form {
        Form::Json => match serde_json::to_string_pretty(&view) {
            Ok(text) => env.print(text),
            Err(error) => return super::fail(env, Exit::FAILED, &error.to_string()),
        },
        Form::Table => {
            for line in table(&view) {
                env.print(line);
            }
        }
    }
    if view.disk != "ok" {
        env.tell(format_args!("hint: make room in {}: all goes on by itself then", layout.root.display()));
    }
    if !view.programs_run() {
        env.tell(format_args!(
            "hint: `slap lab up --dir {}` starts what is missing, and resumes what is paused",
            layout.root.display()
        ));
    }
    if let Some(red) = first_red(&view) {
        env.tell(format_args!(
            "hint: nodes try again by themselves; `slap lab logs --dir {} {red}` has the whole logs",
            layout.root.display()
        ));
    }
    if view.programs_run() && view.troubles().is_empty() { Exit::DONE } else { Exit::FAILED }
}

/// The first target for `slap lab logs` of which something is red.
fn first_red(view: &LabView) -> Option<String> {
    let is_red = |health: &Health| matches!(health, Health::Red(_));
    view.nodes.iter().find_map(|node| {
        let mut partitions = node.partitions.iter();
        let is_here = |instance: &InstanceView| is_red(&instance.health);
        let partition = partitions.find(|partition| partition.instance.as_ref().is_some_and(is_here));
        let software = node.software.iter().any(|software| is_red(&software.health));
        match partition {
            Some(partition) if !software => Some(format!("{}/{}", node.computer, partition.reference)),
            found => (found.is_some() || software).then(|| node.computer.to_string()),
        }
    })
}

/// What `up` prints at its end: what was made, and what to type next.
pub(super) async fn print_summary(env: &Env, layout: &Layout, description: &Description, seconds: f64) {
    let view = LabView::of(env, layout, description, &description.computers()).await;
    for line in table(&view) {
        env.print(line);
    }
    let directory = layout.root.display();
    env.print("");
    env.print(format_args!("The lab is green after {seconds:.3} s. Next:"));
    let program = env.context().executable.display();
    let first =
        view.nodes.iter().flat_map(|node| &node.partitions).find_map(|partition| partition.instance.as_ref());
    if let Some(url) = first.and_then(|instance| instance.connection_parameters.get("url")) {
        env.print(format_args!("  curl {url}"));
    }
    env.print(format_args!("  {program} lab status --dir {directory}"));
    env.print(format_args!(
        "  export SLAPOS_CLIENT_CONFIGURATION={}",
        layout.client_configuration().display()
    ));
    match first {
        Some(instance) => env.print(format_args!("  {program} service info {}", instance.title)),
        // How an empty lab is filled.
        None => {
            for words in populate::first_commands(layout, description).into_iter().flatten() {
                env.print(format_args!("  {program} {words}"));
            }
        }
    }
    env.print(format_args!("  {program} lab down --dir {directory} --purge"));
}

fn table(view: &LabView) -> Vec<String> {
    let mut lines = vec![
        format!("lab       {}", view.directory),
        format!("keeper    {}", view.keeper),
        format!("master    {} {}", view.master_url, view.master),
    ];
    if view.disk != "ok" {
        lines.push(format!("disk      {}", view.disk));
    }
    for node in &view.nodes {
        node_lines(node, view.master == "running", &mut lines);
    }
    lines
}

fn node_lines(node: &NodeView, master_answers: bool, lines: &mut Vec<String>) {
    let busy = node.partitions.iter().filter(|partition| partition.instance.is_some()).count();
    lines.push(String::new());
    if !node.formatted {
        let what =
            if master_answers { "not known to the master" } else { "unknown: the master does not answer" };
        lines.push(format!("{}    {what}", node.computer));
        program_lines(node, lines);
        return;
    }
    let count = node.partitions.len();
    let how = if busy == count {
        "all in use: what is requested here is refused".to_owned()
    } else {
        format!("{busy} busy")
    };
    lines.push(format!("{}    {}, {how}", node.computer, counted(count, "partition")));
    program_lines(node, lines);
    for software in &node.software {
        lines.push(format!("  software  {:<8} {}", software.health.word(), software.url));
        push_reason(&software.health, lines);
    }
    for partition in &node.partitions {
        let Some(instance) = &partition.instance else {
            lines.push(format!("  {:<9} free", partition.reference));
            continue;
        };
        let tree = if instance.root_title == instance.title {
            String::new()
        } else {
            format!(" of {}", instance.root_title)
        };
        lines.push(format!(
            "  {:<9} {:<8} {}{tree} ({}) {}",
            partition.reference,
            instance.health.word(),
            instance.title,
            instance.requested_state,
            instance.connection_parameters.get("url").map_or("", String::as_str)
        ));
        push_reason(&instance.health, lines);
        for promise in &instance.promises {
            let word = match (promise.outdated, promise.failed) {
                (true, _) => "outdated",
                (false, true) => "red",
                (false, false) => "green",
            };
            lines.push(format!("    promise {word:<8} {}", promise.title));
        }
        for service in instance.services.iter().filter(|service| service.watched) {
            lines.push(format!("    service {:<8} {}", service.state, service.name));
        }
        for reference in &instance.shared_instances {
            lines.push(format!("    shared           {reference}"));
        }
    }
}

fn push_reason(health: &Health, lines: &mut Vec<String>) {
    if health.reason().is_empty() {
        return;
    }
    let reason: String = health.reason().chars().take(REASON_LENGTH_MAX).collect();
    let is_cut = reason.len() < health.reason().len() || reason.lines().count() > REASON_LINES_MAX;
    for line in reason.lines().take(REASON_LINES_MAX) {
        lines.push(format!("      {line}"));
    }
    if is_cut {
        lines.push("      ... (--output json and `slap lab logs` have more)".to_owned());
    }
}

/// A node's agent and supervisor.
fn program_lines(node: &NodeView, lines: &mut Vec<String>) {
    lines.push(format!("  programs  agent {}, supervisor {}", node.agent, node.supervisor));
}
