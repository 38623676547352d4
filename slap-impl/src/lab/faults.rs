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
};
use std::time::Duration;

/// How long a killed process may take to be gone.
const KILL_TIME_MAX: Duration = Duration::from_secs(10);
/// How long a node may take to tell the master that a service ended. It need not: its agent may be dead too.
const NOTICE_TIME_MAX: Duration = Duration::from_secs(3);

/// Sends a signal to a target; a killed one is gone when it returns.
pub(super) async fn run(
    env: &Env,
    layout: &Layout,
    description: &Description,
    target: &str,
    signal: Signal,
) -> Exit {
    let identity = match find(env, layout, description, target) {
        Ok(identity) => identity,
        Err(message) => return super::fail(env, Exit::FAILED, &message),
    };
    let before = timestamp(env, description, target).await;
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
    if let (Signal::Kill, Some(before)) = (signal, before) {
        // From now on the lab is not green until the service is back: who waits next must not see the time before.
        let noticed = async {
            while timestamp(env, description, target).await.is_some_and(|now| now == before) {
                env.sleep(Duration::from_millis(5)).await;
            }
        };
        if env.timeout(NOTICE_TIME_MAX, noticed).await.is_err() {
            env.tell(format_args!("{target} is killed, and its node has not told the master yet"));
        }
    }
    let verb = match signal {
        Signal::Stop => "paused",
        Signal::Continue => "resumed",
        Signal::Kill | Signal::Terminate => "killed",
    };
    env.tell(format_args!("{verb} {target} (process {})", identity.pid));
    Exit::DONE
}

/// When the instance of a service has to be processed again, as the master says; it changes when a watched service ends.
/// `None` for other targets, and when there is nobody to ask.
async fn timestamp(env: &Env, description: &Description, target: &str) -> Option<String> {
    let mut parts = target.split('/');
    let (name, partition, _service) = (parts.next()?, parts.next()?, parts.next()?);
    let client = SlapClient::new(env.clone(), &description.master_url()).ok()?.with_deadline(NOTICE_TIME_MAX);
    let computer = computer(description, name)?;
    match client.full_computer_information(&computer, None, None).await {
        Ok(Poll::Changed { computer, .. }) => {
            let partition =
                computer.partitions.into_iter().find(|other| other.partition_id.as_str() == partition)?;
            partition.instance?.timestamp
        }
        _ => None,
    }
}

fn find(env: &Env, layout: &Layout, description: &Description, target: &str) -> Result<Identity, String> {
    let nothing = |what: &str| format!("{target}: {what}\n{}", hint(description));
    let of_keeper = |name: String| {
        let services = keeper::client(env, layout).recorded();
        running(&services, |service| service.name == name).ok_or_else(|| nothing("it does not run"))
    };
    let parts: Vec<&str> = target.split('/').collect();
    match parts.as_slice() {
        ["keeper"] => {
            let runs = keeper::process(env, description).is_some();
            description.keeper.filter(|_| runs).ok_or_else(|| nothing("it does not run"))
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
            running(&services, matches).ok_or_else(|| {
                let names: Vec<String> = services
                    .iter()
                    .map(|other| format!("{computer}/{}/{}", other.group, other.name))
                    .collect();
                format!("{target}: no such service runs\nhint: {computer} has {}", names.join(", "))
            })
        }
        _ => Err(nothing("no such target")),
    }
}

fn running(services: &[ServiceStatus], matches: impl Fn(&ServiceStatus) -> bool) -> Option<Identity> {
    services.iter().find(|service| matches(service))?.identity
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
