//! `slap lab kill | pause | resume TARGET`: what goes wrong, on request.
//!
//! A target is `master`, `keeper`, `agent/COMP-1`, `supervisor/COMP-1`, a node `COMP-1` (its agent), or a service
//! `COMP-1/slappart0/SERVICE`. What runs is read from the supervisors' durable notes, so it is found also when they are dead
//! or stand still.

use super::{
    keeper,
    layout::{Description, Layout},
};
use crate::{
    client::{Poll, SlapClient},
    env::{Env, Exit, Identity, Signal},
    node::supervisor::{ServiceStatus, SupervisorClient},
    vocabulary::ComputerId,
    wire::{
        objects::ComputerPartition,
        status::{AccessStatus, StatusKind},
    },
};
use std::time::Duration;

/// How long a killed process may take to be gone, and a paused one to stand still.
const KILL_TIME_MAX: Duration = Duration::from_secs(10);
/// How long a node may take to tell the master that a service ended. It need not: its agent may be dead too.
const NOTICE_TIME_MAX: Duration = Duration::from_secs(3);

/// Sends a signal to a target; when it returns, a killed one is gone, a paused one stands still and a resumed one goes on.
pub(super) async fn run(
    env: &Env,
    layout: &Layout,
    description: &Description,
    target: &str,
    signal: Signal,
) -> Exit {
    let Target { identity, watched_by } = match find(env, layout, description, target) {
        Ok(target) => target,
        Err(message) => return super::fail(env, Exit::FAILED, &message),
    };
    let before = match &watched_by {
        Some(_) if signal == Signal::Kill => report(env, description, target).await,
        _ => None,
    };
    let process = env.processes().find(identity);
    let sent = env.processes().signal_group(identity, signal);
    if let Err(error) = sent {
        return super::fail(env, Exit::FAILED, &format!("{target} (process {}): {error}", identity.pid));
    }
    if let (Signal::Kill, Some(mut process)) = (signal, process) {
        let gone = env.timeout(KILL_TIME_MAX, process.wait()).await;
        if gone.is_err() {
            return super::fail(
                env,
                Exit::FAILED,
                &format!("{target} (process {}) does not end", identity.pid),
            );
        }
    }
    if matches!(signal, Signal::Stop | Signal::Continue) {
        let processes = env.processes();
        let obeyed = async {
            while processes.find(identity).is_some()
                && processes.is_stopped(identity) != (signal == Signal::Stop)
            {
                env.sleep(Duration::from_millis(1)).await;
            }
        };
        // One that waits for a disk stands still as soon as that answers.
        let _ = env.timeout(KILL_TIME_MAX, obeyed).await;
    }
    let verb = match signal {
        Signal::Stop => "paused",
        Signal::Continue => "resumed",
        Signal::Kill | Signal::Terminate => "killed",
    };
    env.tell(format_args!("{verb} {target} (process {})", identity.pid));
    if let (Some(computer), Some(before)) = (watched_by, before) {
        let programs = keeper::client(env, layout).noted();
        let agent = programs.iter().find(|status| status.name == keeper::agent_name(&computer));
        let agent = keeper::condition(env, agent);
        let why = match agent.as_str() {
            "running" => wait_for_report(env, description, target, &before).await.err(),
            other => Some(format!("its agent is {other}")),
        };
        if let Some(why) = why {
            env.tell(format_args!("{computer} did not tell the master of it: {why}"));
        }
    }
    Exit::DONE
}

/// Waits until the node told the master that the service ended: from then on the lab is not green until it is back, and who waits
/// next does not see the time before.
async fn wait_for_report(
    env: &Env,
    description: &Description,
    target: &str,
    before: &Report,
) -> Result<(), String> {
    let told = async {
        while report(env, description, target).await.is_some_and(|now| !now.is_of_end_after(before)) {
            env.sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = env.timeout(NOTICE_TIME_MAX, told).await;
    waited.map_err(|_| format!("not within {} s", NOTICE_TIME_MAX.as_secs()))
}

/// What the master knows of the instance of a service.
struct Report {
    /// When it was changed last; the first time that a watched service ends after a set-up, the instance is banged.
    timestamp: Option<String>,
    status: AccessStatus,
}

impl Report {
    /// Whether a service's end was told since `before`: by a bang, or by an error.
    fn is_of_end_after(&self, before: &Report) -> bool {
        let is_error = self.status.kind() == StatusKind::Error;
        let is_new = before.status.kind() != StatusKind::Error
            || (&self.status.created_at, &self.status.log) != (&before.status.created_at, &before.status.log);
        self.timestamp != before.timestamp || (is_error && is_new)
    }
}

/// `None` for other targets, and when there is nobody to ask.
async fn report(env: &Env, description: &Description, target: &str) -> Option<Report> {
    let mut parts = target.split('/');
    let (name, partition, _service) = (parts.next()?, parts.next()?, parts.next()?);
    let client = SlapClient::new(env.clone(), &description.master_url()).ok()?.with_deadline(NOTICE_TIME_MAX);
    let computer = computer(description, name)?;
    let Ok(Poll::Changed { computer: full, .. }) =
        client.full_computer_information(&computer, None, None).await
    else {
        return None;
    };
    let is_meant = |other: &ComputerPartition| other.partition_id.as_str() == partition;
    let timestamp = full.partitions.into_iter().find(is_meant)?.instance?.timestamp;
    let news = client.computer_information(computer.as_str()).await.ok()?.news?;
    Some(Report { timestamp, status: AccessStatus::from_json(&news["partition"][partition]) })
}

/// What was found by its name.
struct Target {
    identity: Identity,
    /// Of a watched service, its node: who tells the master of its end.
    watched_by: Option<ComputerId>,
}

fn find(env: &Env, layout: &Layout, description: &Description, target: &str) -> Result<Target, String> {
    let nothing = |what: &str| format!("{target}: {what}\n{}", hint(description));
    let program = |identity: Option<Identity>| match identity {
        Some(identity) => Ok(Target { identity, watched_by: None }),
        None => Err(nothing("it does not run")),
    };
    let of_keeper = |name: String| {
        let services = keeper::client(env, layout).recorded();
        program(services.iter().find(|service| service.name == name).and_then(|service| service.identity))
    };
    let parts: Vec<&str> = target.split('/').collect();
    match parts.as_slice() {
        ["keeper"] => {
            let runs = keeper::process(env, description).is_some();
            program(description.keeper.filter(|_| runs))
        }
        ["master"] => of_keeper("master".to_owned()),
        ["agent", name] | [name] => of_keeper(keeper::agent_name(
            &computer(description, name).ok_or_else(|| nothing("no such target"))?,
        )),
        ["supervisor", name] => {
            let computer = computer(description, name).ok_or_else(|| nothing("no such node"))?;
            of_keeper(keeper::supervisor_name(&computer))
        }
        [name, partition, service] => {
            let computer = computer(description, name).ok_or_else(|| nothing("no such node"))?;
            let client = SupervisorClient::new(env.clone(), &layout.supervisor(&computer));
            let services = client.recorded();
            let matches = |other: &ServiceStatus| {
                other.group == *partition
                    && (other.name == *service || other.name.strip_suffix("-on-watch") == Some(service))
            };
            let found = services.iter().find(|service| matches(service));
            let Some((identity, found)) = found.and_then(|found| Some((found.identity?, found))) else {
                let name = |other: &ServiceStatus| format!("{computer}/{}/{}", other.group, other.name);
                let names: Vec<String> = services.iter().map(name).collect();
                let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
                return Err(format!("{target}: no such service runs\nhint: {computer} has {names}"));
            };
            Ok(Target { identity, watched_by: found.watched.then_some(computer) })
        }
        _ => Err(nothing("no such target")),
    }
}

fn computer(description: &Description, name: &str) -> Option<ComputerId> {
    description.computers().into_iter().find(|computer| computer.as_str() == name)
}

fn hint(description: &Description) -> String {
    let last = description.nodes;
    format!(
        "hint: a target is master, keeper, agent/COMP-1, supervisor/COMP-1 or COMP-1/slappart0/SERVICE; \
         this lab has COMP-1 to COMP-{last}"
    )
}
