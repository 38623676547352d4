//! A partition's health: its promises and its watched services, and what the master is told of them.

use super::{
    NodeError,
    due::{self, Deployed},
    promise::{self, Mode, Summary},
    safe, services,
    site::Site,
    supervisor::ServiceStatus,
};
use crate::vocabulary::PartitionId;
use std::{path::PathBuf, time::Duration};

/// How long promises may fail after services were started before that counts: they may need a moment to listen.
const START_PATIENCE: Duration = Duration::from_secs(3);

/// Runs a partition's promises; what could not be written is told.
///
/// # Errors
/// When they could not be run at all. Failing promises are in the summary.
pub async fn check(
    site: &Site,
    partition: &PartitionId,
    mode: Mode,
    force: bool,
) -> Result<Summary, NodeError> {
    check_with(site, partition, promise::Options::new(mode, force)).await
}

/// Runs those promises again whose last result is a failure, and those that are due.
///
/// # Errors
/// As [`check`].
pub async fn check_failed(site: &Site, partition: &PartitionId) -> Result<Summary, NodeError> {
    let options = promise::Options { again: true, ..promise::Options::new(Mode::Test, false) };
    check_with(site, partition, options).await
}

async fn check_with(
    site: &Site,
    partition: &PartitionId,
    options: promise::Options,
) -> Result<Summary, NodeError> {
    let options = promise::Options {
        deadline: site.settings.promise_timeout,
        parallel: site.settings.parallel_promises,
        ..options
    };
    let summary = promise::run(&site.env, &site.partition(partition), &options).await.map_err(|error| {
        let what = format!("the promises of {partition} cannot be run");
        NodeError::write(site.files(), &site.partition(partition), what, &error)
    })?;
    for warning in &summary.warnings {
        site.env.tell(format!("{partition}: {warning}"));
    }
    Ok(summary)
}

/// Runs all promises of a partition that was just set up. Those that fail are run again for a moment, because a service that was
/// just started does not listen at once.
///
/// # Errors
/// [`NodeError::Promise`] when one fails in the end; also when a watched service ended at once.
pub async fn check_started(site: &Site, partition: &PartitionId) -> Result<Summary, NodeError> {
    let start = site.env.clock().elapsed();
    let mut pause = Duration::from_millis(20);
    let mut options = promise::Options::new(Mode::Test, true);
    loop {
        let summary = check_with(site, partition, options.clone()).await?;
        options = promise::Options { force: false, again: true, ..options };
        let statuses = site.supervisor.status().await.unwrap_or_default();
        let dead = services::dead_watched(&statuses, partition);
        let failure = summary.failure();
        if let Some(status) = dead.first() {
            let why = services::describe_dead(site, status);
            return Err(NodeError::Promise(match failure {
                Some(failure) => format!("{failure}\n{why}"),
                None => why,
            }));
        }
        let Some(failure) = failure else { return Ok(summary) };
        if site.env.clock().elapsed() - start + pause > START_PATIENCE {
            return Err(NodeError::Promise(failure));
        }
        site.env.sleep(pause).await;
        pause *= 2;
    }
}

/// What stands in a partition's `.timestamp` and `.slapos_latest_bang_timestamp`.
pub fn deployed(site: &Site, partition: &PartitionId) -> Deployed {
    let path = timestamp_path(site, partition);
    let read = |path| safe::read_text(site.files(), path, 1024);
    Deployed {
        timestamp: read(&path),
        at_seconds: site.files().symlink_metadata(&path).map_or(0, |metadata| metadata.modified_seconds),
        banged: read(&bang_path(site, partition)),
    }
}

/// Where a partition's last successful processing is noted.
pub fn timestamp_path(site: &Site, partition: &PartitionId) -> PathBuf {
    site.partition(partition).join(".timestamp")
}

fn bang_path(site: &Site, partition: &PartitionId) -> PathBuf {
    site.partition(partition).join(".slapos_latest_bang_timestamp")
}

/// A watched service ended: the promises are run at once, so that a red state stands in the partition, and the master is
/// told and, once for each deployment, banged. The master's answer to a bang is that the partition shall be
/// processed again. With `bangs` false it is not banged. Says whether it was banged now.
///
/// # Errors
/// When the master cannot be told, or the bang cannot be noted; the red state is written anyhow.
pub async fn service_died(
    site: &Site,
    partition: &PartitionId,
    status: &ServiceStatus,
    bangs: bool,
) -> Result<bool, NodeError> {
    let why = services::describe_dead(site, status);
    site.env.tell(&why);
    let failure = match check(site, partition, Mode::Test, true).await {
        Ok(summary) => summary.failure(),
        Err(error) => Some(error.to_string()),
    };
    let computer = &site.settings.computer_id;
    let text = failure.map_or_else(|| why.clone(), |failure| format!("{failure}\n{why}"));
    let deployed = deployed(site, partition);
    if !bangs || !due::may_bang(&deployed) {
        site.master.instance_error(computer, partition, &text).await?;
        return Ok(false);
    }
    // It is noted first: a node that dies here, or cannot note it, rather misses a bang than repeats it for ever. The pass that follows
    // finds the dead service anyhow.
    let noted = deployed.timestamp.as_deref().unwrap_or("0");
    let path = bang_path(site, partition);
    let noted = safe::put(site.files(), &path, noted.as_bytes(), 0o644).map_err(|error| {
        NodeError::write(site.files(), &path, format!("a bang of {partition} cannot be noted"), &error)
    });
    site.master.instance_error(computer, partition, &text).await?;
    noted?;
    let message = format!("{} process in partition {partition} encountered a problem", status.name);
    site.master.bang(computer, partition, &message).await?;
    Ok(true)
}
