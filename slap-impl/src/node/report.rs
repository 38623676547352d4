//! Destroys the instances that shall be destroyed (slapos.core: grid/slapgrid.py, the second half of
//! `agregateAndSendUsage`, and grid/SlapObject.py, `destroy`). Usage reports are not served yet.
//!
//! The partition's directory stays, empty but for `.slapos-resource`, 0750. Each step may be repeated: what was
//! interrupted goes on at the next pass, and the master is told last.

use super::{
    NodeError, PassResult, command, instance, parallel, safe, services, site::Site, supervisor::ServiceState,
};
use crate::{
    env::{Command, FileKind, LocalFuture, Output},
    vocabulary::{PartitionId, RequestedState},
    wire::objects::ComputerPartition,
};
use std::{path::Path, time::Duration};

/// How long an instance's own sbin/destroy may take.
const HOOK_DEADLINE: Duration = Duration::from_secs(600);

/// How destroying went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destroyed {
    /// The partition is empty, and the master knows.
    Done,
    /// Not yet, for this reason; it is tried again later.
    NotYet(String),
}

/// One pass over the partitions whose instance shall be destroyed.
///
/// # Errors
/// When the pass cannot begin at all. Partitions that fail are reported to the master and in the result.
pub async fn pass(site: &Site) -> Result<PassResult, NodeError> {
    site.prepare()?;
    let _lock = site.lock(&site.settings.instance_root, "instance")?;
    site.ensure_supervisor().await?;
    let computer = site.computer().await?;
    let work =
        computer.partitions.iter().filter(|partition| is_to_be_destroyed(partition)).map(|partition| {
            Box::pin(async move {
                let outcome = destroy(site, partition).await;
                match &outcome {
                    Ok(Destroyed::Done) => {}
                    Ok(Destroyed::NotYet(why)) => site.env.tell(format!("{}: {why}", partition.partition_id)),
                    Err(error) => site.env.tell(format!("{}: {error}", partition.partition_id)),
                }
                PassResult::of(&outcome.map(|_| ()))
            }) as LocalFuture<'_, PassResult>
        });
    let results = parallel::bounded(site.settings.parallel_instances, work.collect()).await;
    Ok(results.into_iter().max().unwrap_or(PassResult::Done))
}

/// Whether an instance is there that shall not be.
pub fn is_to_be_destroyed(partition: &ComputerPartition) -> bool {
    partition.requested_state == RequestedState::Destroyed && instance::is_busy(partition)
}

/// Stops a partition's services, empties it, and tells the master.
///
/// # Errors
/// When that failed; the master was told already where it could be.
pub async fn destroy(site: &Site, partition: &ComputerPartition) -> Result<Destroyed, NodeError> {
    let site = &site.about(partition);
    let id = &partition.partition_id;
    let outcome = empty(site, id).await;
    match outcome {
        Ok(Destroyed::Done) => {
            let told = site.master.destroyed_partition(&site.settings.computer_id, id).await;
            match told.map_err(NodeError::from) {
                Ok(()) => {
                    site.env.tell(format!("Destroyed {id}"));
                    Ok(Destroyed::Done)
                }
                Err(error) if error.is_offline() => Err(error),
                Err(error) => {
                    Ok(Destroyed::NotYet(format!("the master does not take it as destroyed: {error}")))
                }
            }
        }
        Ok(not_yet) => Ok(not_yet),
        Err(error) => {
            let text = error.to_string();
            if !error.is_offline() {
                site.master.instance_error(&site.settings.computer_id, id, &text).await.ok();
            }
            Err(error)
        }
    }
}

async fn empty(site: &Site, id: &PartitionId) -> Result<Destroyed, NodeError> {
    let path = site.partition(id);
    if let Some(name) = running_to_wait_for(site, id).await? {
        return Ok(Destroyed::NotYet(format!(
            "{name} still runs, and shall end by itself before {id} is destroyed"
        )));
    }
    site.supervisor.remove(id.as_str()).await?;
    instance::report_stopped(site, id).await?;
    match site.files().symlink_metadata(&path) {
        Ok(metadata) if metadata.kind == FileKind::Directory => {}
        Ok(_) => {
            return Err(NodeError::Failed(format!(
                "{} is no directory: it is left as it is",
                path.display()
            )));
        }
        // Nothing there is as empty as can be.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Destroyed::Done),
        Err(error) => return Err(NodeError::io(path.display(), &error)),
    }
    if let Some(until) = retained_until(site, &path) {
        return Ok(Destroyed::NotYet(format!(
            "Impossible to destroy partition yet because of retention lock, which ends at {until} (seconds since 1970)"
        )));
    }
    run_hook(site, id, &path).await?;
    let failed = |error| NodeError::io(format!("{} cannot be emptied", path.display()), &error);
    // The directory itself goes and comes back: so nothing of any name is left in it for the next instance.
    site.files().remove_tree(&path).map_err(failed)?;
    site.files().create_directory(&path, 0o750).map_err(failed)?;
    // Once it is reported as empty, nothing of it may come back with the power.
    site.files().sync(&site.settings.instance_root).map_err(failed)?;
    site.restore_resource(id).map_err(failed)?;
    Ok(Destroyed::Done)
}

/// A running service for which the instance wants to be waited for.
async fn running_to_wait_for(site: &Site, id: &PartitionId) -> Result<Option<String>, NodeError> {
    let names = services::waited_for(site, id);
    if names.is_empty() {
        return Ok(None);
    }
    let statuses = site.supervisor.status().await?;
    let running = statuses.into_iter().find(|status| {
        let runs = matches!(status.state, ServiceState::Running | ServiceState::Starting);
        let qualified = format!("{}:{}", status.group, status.name);
        runs && status.group == id.as_str() && (names.contains(&status.name) || names.contains(&qualified))
    });
    Ok(running.map(|status| status.name))
}

/// When a retention lock ends that still holds. The delay (days) begins with the first wish to destroy.
fn retained_until(site: &Site, path: &Path) -> Option<i64> {
    let number = |name: &str| safe::read_text(site.files(), &path.join(name), 64)?.parse::<f64>().ok();
    let date_name = ".slapos-retention-lock-date";
    let now = site.now_seconds();
    if let Some(date) = number(date_name) {
        return ((now as f64) < date).then_some(date as i64);
    }
    let days = number(".slapos-retention-lock-delay").filter(|days| *days > 0.0)?;
    let date = now.saturating_add((days * 86400.0) as i64);
    safe::put(site.files(), &path.join(date_name), date.to_string().as_bytes(), 0o644).ok();
    Some(date)
}

/// Runs the instance's own sbin/destroy, if it has one.
async fn run_hook(site: &Site, id: &PartitionId, path: &Path) -> Result<(), NodeError> {
    let hook = path.join("sbin/destroy");
    if !site.files().exists(&hook) {
        return Ok(());
    }
    let mut command = Command::new(&hook);
    command.variables = command::clean_environment(site.env.context(), path);
    command.directory = path.to_path_buf();
    command.output = Output::Capture(8 << 10);
    command.dies_with_parent = true;
    command.umask = 0o027;
    let finished = command::run(&site.env, &command, Some(HOOK_DEADLINE), None)
        .await
        .map_err(|error| NodeError::io(format!("{} cannot be run", hook.display()), &error))?;
    if !finished.timed_out && finished.ended.succeeded() {
        return Ok(());
    }
    let how = if finished.timed_out { "took too long".to_owned() } else { finished.ended.describe() };
    let output = String::from_utf8_lossy(&finished.ended.output).into_owned();
    Err(NodeError::Failed(format!(
        "Failed to destroy {id}: {} {how}.\n{}",
        hook.display(),
        output.trim_end()
    )))
}
