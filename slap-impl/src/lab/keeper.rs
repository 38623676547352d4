//! The keeper: a supervisor with a restart policy, which keeps the master, the agents and the nodes' supervisors.
//!
//! Three groups, in the order of their start: `master`, `supervisors`, `agents`. Each service carries the lab's
//! mark, by which `down` finds whatever else fails to, and the program's digest, so that a newer program makes
//! a new declaration: the keeper replaces what runs the old one, and what runs in partitions stays.

use super::layout::{Description, Layout, MARK};
use crate::{
    env::{Command, Env, Identity, Output, Process, room},
    node::supervisor::{Restart, Service, ServiceState, ServiceStatus, SupervisorClient, SupervisorError},
    vocabulary::ComputerId,
};
use std::{collections::BTreeMap, path::Path, time::Duration};

/// The keeper's groups, in the order of their start.
pub(super) const GROUPS: [&str; 3] = ["master", "supervisors", "agents"];
/// Bytes of each log of a lab, and of its predecessor.
const LOG_BYTES_MAX: u64 = 4 << 20;
/// How long a program of the lab may take to end when it is asked.
const STOP_SECONDS: u32 = 5;
/// How long the keeper may take to listen.
const START_TIME_MAX: Duration = Duration::from_secs(10);
/// What to do about what keeps a program from being started.
const SPAWN_HINT: &str =
    "it must be there, and be one that you may use; /dev/null is a device that all may read and write";
/// Environment variables of the user that a lab's programs get.
const INHERITED: [&str; 6] = ["HOME", "LOGNAME", "PATH", "TMPDIR", "TZ", "USER"];

/// A client of the keeper.
pub(super) fn client(env: &Env, layout: &Layout) -> SupervisorClient {
    SupervisorClient::new(env.clone(), &layout.keeper())
}

/// The keeper's process, if it runs.
pub(super) fn process(env: &Env, description: &Description) -> Option<Box<dyn Process>> {
    if description.boot != env.processes().boot() {
        return None;
    }
    env.processes().find(description.keeper?)
}

/// Starts a keeper and waits until it listens. It lives on when this program ends.
pub(super) async fn start(env: &Env, layout: &Layout) -> Result<Identity, String> {
    let log = layout.log("keeper");
    let directory = layout.keeper();
    let command = Command {
        variables: variables(env, layout),
        directory: layout.root.clone(),
        output: Output::Append(log.clone()),
        ..Command::new(layout.program()).arguments(["supervisor", "--directory", &text(&directory)])
    };
    let mut spawned = env.processes().spawn(&command).map_err(|error| {
        // The error itself names what failed: the program, its log, its directory or /dev/null.
        let explained = if room::is_full(&error) {
            room::explain(env.files(), &log, &error)
        } else {
            format!("{error}\nhint: {SPAWN_HINT}")
        };
        format!("the keeper cannot be started: {explained}")
    })?;
    let client = client(env, layout);
    let listens = async {
        while client.status().await.is_err() {
            env.sleep(Duration::from_millis(2)).await;
        }
    };
    let result = crate::env::race(env.timeout(START_TIME_MAX, listens), spawned.child.wait()).await;
    let problem = match result {
        crate::env::Either::First(Ok(())) => return Ok(spawned.identity),
        crate::env::Either::First(Err(_)) => format!("does not answer after {} s", START_TIME_MAX.as_secs()),
        crate::env::Either::Second(ended) => {
            ended.map_or_else(|error| error.to_string(), |ended| ended.describe())
        }
    };
    Err(format!("the keeper {problem}\n{}", super::logs::last_lines(env, &log, 5)))
}

/// How something that a supervisor keeps is: `running`, `paused`, or what it is instead, such as `dead (exited with 1)`.
/// It is judged by the supervisor's durable note and by the process itself, so it is also known when the supervisor is dead.
pub(super) fn condition(env: &Env, noted: Option<&ServiceStatus>) -> String {
    let Some(noted) = noted else { return "not started".to_owned() };
    match noted.identity {
        Some(identity) if env.processes().find(identity).is_some() => {
            let condition = process_condition(env, identity);
            if condition != "running" || noted.state != ServiceState::Stopping {
                return condition.to_owned();
            }
        }
        _ => {}
    }
    match (&noted.error, &noted.ended, noted.state) {
        // Its process may be gone, and not yet all that it started.
        (_, _, ServiceState::Stopping) => "stopping".to_owned(),
        (Some(error), ..) => format!("dead ({error})"),
        (None, Some(ended), _) if noted.state != ServiceState::Stopped => {
            format!("dead ({})", ended.describe())
        }
        (_, _, ServiceState::Starting | ServiceState::Stopped) => noted.state.as_str().to_owned(),
        _ => "dead".to_owned(),
    }
}

/// `running`, or `paused`, of a process that is there.
pub(super) fn process_condition(env: &Env, identity: Identity) -> &'static str {
    if env.processes().is_stopped(identity) { "paused" } else { "running" }
}

/// Why the master cannot be expected to answer: its keeper is gone, or it ended again after it was restarted. `restarts`
/// holds how often it had been when it was first asked for.
pub(super) async fn master_problem(
    env: &Env,
    layout: &Layout,
    description: &Description,
    restarts: &mut Option<u64>,
) -> Option<String> {
    if process(env, description).is_none() {
        let log = super::logs::last_lines(env, &layout.log("keeper"), 5);
        return Some(format!("the keeper ended\n{log}"));
    }
    let services = client(env, layout).status().await.ok()?;
    let master = services.iter().find(|service| service.name == "master")?;
    let before = *restarts.get_or_insert(master.restarts);
    let is_down = matches!(master.state, ServiceState::Waiting | ServiceState::Failed);
    (is_down && master.restarts > before)
        .then(|| format!("it was started again and again, and is {}", condition(env, Some(master))))
}

/// Ends a keeper that answers and was not noted down: whoever started it was interrupted. What it keeps runs on.
pub(super) async fn end_unknown(env: &Env, layout: &Layout) -> Result<(), String> {
    let client = client(env, layout);
    if client.status().await.is_err() {
        return Ok(());
    }
    let gone = async {
        while client.shutdown(false).await.is_ok() || client.status().await.is_ok() {
            env.sleep(Duration::from_millis(2)).await;
        }
    };
    env.timeout(START_TIME_MAX, gone).await.map_err(|_| {
        "a keeper that nobody knows answers, and does not end\nhint: `slap lab down`, then up again"
            .to_owned()
    })
}

/// The services of a group.
pub(super) fn services(
    env: &Env,
    layout: &Layout,
    description: &Description,
    digest: &str,
    group: &str,
) -> Vec<Service> {
    let service = |name: &str, arguments: Vec<String>| {
        let mut variables = variables(env, layout);
        variables.insert("SLAP_PROGRAM_DIGEST".to_owned(), digest.to_owned());
        Service {
            name: name.to_owned(),
            program: layout.program(),
            arguments,
            variables,
            directory: layout.root.clone(),
            umask: 0o077,
            log: layout.log(name),
            log_bytes_max: LOG_BYTES_MAX,
            watched: false,
            restart: Restart::Always,
            stop_seconds: STOP_SECONDS,
            outlived: group == "supervisors",
        }
    };
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<String>>();
    let computers = description.computers();
    match group {
        "master" => {
            let configuration = text(&layout.master_configuration());
            vec![service("master", words(&["proxy", "start", "--cfg", &configuration]))]
        }
        "supervisors" => computers
            .iter()
            .map(|computer| {
                let directory = text(&layout.supervisor(computer));
                service(&supervisor_name(computer), words(&["supervisor", "--directory", &directory]))
            })
            .collect(),
        _ => computers
            .iter()
            .map(|computer| {
                let configuration = text(&layout.node_configuration(computer));
                service(&agent_name(computer), words(&["node", "run", "--cfg", &configuration]))
            })
            .collect(),
    }
}

/// Declares all groups.
pub(super) async fn declare(
    env: &Env,
    layout: &Layout,
    description: &Description,
    digest: &str,
) -> Result<(), SupervisorError> {
    let client = client(env, layout);
    for group in GROUPS {
        client.apply(group, services(env, layout, description, digest, group)).await?;
    }
    Ok(())
}

/// The name of a node's agent in the keeper.
pub(super) fn agent_name(computer: &ComputerId) -> String {
    format!("agent-{computer}")
}

/// The name of a node's supervisor in the keeper.
pub(super) fn supervisor_name(computer: &ComputerId) -> String {
    format!("supervisor-{computer}")
}

fn variables(env: &Env, layout: &Layout) -> BTreeMap<String, String> {
    let mut variables: BTreeMap<String, String> = INHERITED
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), env.context().variable(name)?.to_owned())))
        .collect();
    variables.insert(MARK.to_owned(), text(&layout.root));
    variables
}

fn text(path: &Path) -> String {
    path.to_str().expect("the lab's directory was checked to be UTF-8").to_owned()
}
