//! Instances: makes each partition what the master wants (slapos.core: grid/slapgrid.py, `processComputerPartition`,
//! and grid/SlapObject.py, `Partition`).
//!
//! The order for a started one: profile, engine, services, promises, report, `.timestamp`. The last is missing until all
//! went well, so whatever was interrupted is done again from the start.

use super::{
    NodeError, PassResult,
    due::{self, Wanted},
    engine, health, parallel,
    promise::Mode,
    safe, services,
    site::Site,
    software::value,
};
use crate::{
    env::{FileKind, LocalFuture},
    vocabulary::{PartitionId, RequestedState},
    wire::objects::{Computer, ComputerPartition},
};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// What a master shows of an instance that was reported stopped (the real master's text).
const STOPPED_TEXT: &str = "#access Instance correctly stopped";
/// A template longer than this is none.
const TEMPLATE_BYTES_MAX: u64 = 16 << 20;

/// What one pass over the partitions shall do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Process also what is up to date.
    pub force: bool,
    /// Stop the services, also of instances that shall be started.
    pub force_stop: bool,
    /// Only these partitions; all if it is empty.
    pub only: Vec<String>,
}

/// One pass over all busy partitions.
///
/// # Errors
/// When the pass cannot begin at all. Partitions that fail are reported to the master and in the result.
pub async fn pass(site: &Site, options: &Options) -> Result<PassResult, NodeError> {
    site.prepare()?;
    let _lock = site.lock(&site.settings.instance_root, "instance")?;
    site.ensure_supervisor().await?;
    let computer = match site.computer().await {
        Ok(computer) => computer,
        Err(NodeError::Offline(message)) => {
            site.env.tell(message);
            return Ok(start_offline(site).await);
        }
        Err(error) => return Err(error),
    };
    let chosen = chosen(&computer, &options.only)?;
    let work = chosen.into_iter().map(|partition| {
        Box::pin(async move {
            let outcome = visit(site, partition, options).await;
            if let Err(error) = &outcome {
                site.env.tell(format!("{}: {error}", partition.partition_id));
            }
            outcome
        }) as LocalFuture<'_, Result<(), NodeError>>
    });
    for partition in computer.partitions.iter().filter(|partition| !is_busy(partition)) {
        clean_free(site, &partition.partition_id);
    }
    let outcomes = parallel::bounded(site.settings.parallel_instances, work.collect()).await;
    if outcomes.iter().any(|outcome| outcome.as_ref().is_err_and(NodeError::is_offline)) {
        return Ok(start_offline(site).await);
    }
    Ok(outcomes.iter().map(PassResult::of).max().unwrap_or(PassResult::Done))
}

/// Removes what the node itself may have left in a free partition, and tells what else is there.
pub fn clean_free(site: &Site, id: &PartitionId) {
    let path = site.partition(id);
    for name in [".slapgrid", ".timestamp"] {
        site.files().remove_any(&path.join(name)).ok();
    }
    let names = site.files().list(&path).unwrap_or_default();
    if names.iter().any(|name| name != ".slapos-resource") {
        site.env.tell(format!("Free partition {id} contains file(s) in {}.", path.display()));
    }
}

/// The busy partitions among those asked for.
///
/// # Errors
/// When one asked for does not exist.
pub fn chosen<'a>(computer: &'a Computer, only: &[String]) -> Result<Vec<&'a ComputerPartition>, NodeError> {
    let known: BTreeSet<&str> =
        computer.partitions.iter().map(|partition| partition.partition_id.as_str()).collect();
    let missing: Vec<&str> = only.iter().map(String::as_str).filter(|name| !known.contains(name)).collect();
    if !missing.is_empty() {
        let plural = if missing.len() == 1 { "" } else { "s" };
        let known: Vec<&str> = known.into_iter().collect();
        let message =
            format!("Unknown partition{plural}: {} (there are {})", missing.join(", "), known.join(", "));
        return Err(NodeError::Failed(message));
    }
    let chosen = computer.partitions.iter().filter(|partition| {
        is_busy(partition)
            && (only.is_empty() || only.iter().any(|name| name == partition.partition_id.as_str()))
    });
    Ok(chosen.collect())
}

/// Whether there is an instance in a partition, be it one that shall be destroyed.
pub fn is_busy(partition: &ComputerPartition) -> bool {
    partition.instance.is_some() || partition.requested_state != RequestedState::Destroyed
}

/// Whether a partition must be processed now.
pub fn is_due(site: &Site, partition: &ComputerPartition, force: bool) -> bool {
    let deployed = health::deployed(site, &partition.partition_id);
    let instance = partition.instance.as_ref();
    let wanted = Wanted {
        timestamp: instance.and_then(|instance| instance.timestamp.as_deref()),
        periodicity_seconds: periodicity(site, partition),
        force,
    };
    due::is_due(wanted, &deployed, site.now_seconds())
}

/// The release's own periodicity, else that of the settings.
fn periodicity(site: &Site, partition: &ComputerPartition) -> i64 {
    let own = partition.instance.as_ref().and_then(|instance| {
        let path = site.release(&instance.software_release.url).join("periodicity");
        safe::read_text(site.files(), &path, 64)?.parse().ok()
    });
    own.unwrap_or(site.settings.maximum_periodicity_seconds)
}

/// Processes a partition if it is due, else looks at its health.
async fn visit(site: &Site, partition: &ComputerPartition, options: &Options) -> Result<(), NodeError> {
    let is_started = partition.requested_state == RequestedState::Started;
    let force = options.force || (options.force_stop && is_started);
    if is_due(site, partition, force) {
        return process(site, partition, options.force_stop).await;
    }
    if !is_started {
        return Ok(());
    }
    let id = &partition.partition_id;
    let statuses = site.supervisor.status().await?;
    if let Some(dead) = services::dead_watched(&statuses, id).first() {
        health::service_died(site, id, dead, true).await?;
        return process(site, partition, false).await;
    }
    let has_services = !services::found(site.files(), &site.partition(id)).0.is_empty();
    if has_services && !services::is_supervised(&statuses, id) {
        start_again(site, partition).await?;
    }
    match check_anomaly(site, partition, None).await?.failure {
        Some(failure) => Err(NodeError::Promise(failure)),
        None => Ok(()),
    }
}

/// What the promises of a partition that is up to date say.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    /// Upstream's sentence about the first promise that fails.
    pub failure: Option<String>,
    /// When the first promise is due again: seconds since 1970.
    pub next_run_at_seconds: Option<f64>,
}

/// Runs the promises that are due (all, when one failed before), and tells the master when the partition's health
/// changed. `was_healthy` is what the master was told before; `None` asks it.
///
/// # Errors
/// When the promises could not be run, or the master could not be told.
pub async fn check_anomaly(
    site: &Site,
    partition: &ComputerPartition,
    was_healthy: Option<bool>,
) -> Result<Checked, NodeError> {
    let site = &site.about(partition);
    let (computer, id) = (&site.settings.computer_id, &partition.partition_id);
    let was_healthy = match was_healthy {
        Some(known) => Some(known),
        None => was_healthy_for_master(site, partition).await,
    };
    let summary = health::check(site, id, Mode::Anomaly, was_healthy == Some(false)).await?;
    let failure = summary.failure();
    match &failure {
        Some(failure) if was_healthy != Some(false) => {
            site.env.tell(format!("{id}: {failure}"));
            site.master.instance_error(computer, id, failure).await?;
            if let Some(bang) = summary.bang() {
                site.master.bang(computer, id, &bang).await?;
            }
        }
        None if was_healthy != Some(true) => site.master.started_partition(computer, id).await?,
        _ => {}
    }
    Ok(Checked { failure, next_run_at_seconds: summary.next_run_at_seconds() })
}

/// Runs all promises of a partition that is up to date, for the first time in an agent's life: what was found before is not
/// believed, and so one failure counts at once, as after a set-up. The master is told of it, and of a change for the better.
///
/// # Errors
/// When the promises could not be run, or the master could not be told.
pub async fn check_first(site: &Site, partition: &ComputerPartition) -> Result<Checked, NodeError> {
    let site = &site.about(partition);
    let (computer, id) = (&site.settings.computer_id, &partition.partition_id);
    let summary = health::check(site, id, Mode::Test, true).await?;
    let failure = summary.failure();
    match &failure {
        Some(failure) => {
            site.env.tell(format!("{id}: {failure}"));
            site.master.instance_error(computer, id, failure).await?;
        }
        None if was_healthy_for_master(site, partition).await != Some(true) => {
            site.master.started_partition(computer, id).await?;
        }
        None => {}
    }
    Ok(Checked { failure, next_run_at_seconds: summary.next_run_at_seconds() })
}

/// Whether the promises are good for which the last processing of a partition failed, and none of its watched services ended.
///
/// # Errors
/// When the promises could not be run, or the supervisor does not answer.
pub async fn is_well_again(site: &Site, partition: &ComputerPartition) -> Result<bool, NodeError> {
    let id = &partition.partition_id;
    let is_good = health::check_failed(site, id).await?.failure().is_none();
    Ok(is_good && services::dead_watched(&site.supervisor.status().await?, id).is_empty())
}

/// What the master was told of a partition's health, if it knows.
pub async fn was_healthy_for_master(site: &Site, partition: &ComputerPartition) -> Option<bool> {
    if let Some(status) = &partition.access_status {
        return Some(!status.starts_with("#error"));
    }
    let status = site.master.partition_status(&site.settings.computer_id, &partition.partition_id).await;
    status.ok().map(|status| !status.text.starts_with("#error"))
}

/// Tells the master again that a stopped partition is stopped, if it shows something else. A master that does not say what it shows is believed.
///
/// # Errors
/// When the master cannot be told.
pub async fn confirm_stopped(site: &Site, partition: &ComputerPartition) -> Result<(), NodeError> {
    let site = &site.about(partition);
    let id = &partition.partition_id;
    let shown = site.master.partition_status(&site.settings.computer_id, id).await;
    match shown {
        Ok(status) if !status.text.starts_with(STOPPED_TEXT) => report_stopped(site, id).await,
        _ => Ok(()),
    }
}

/// Makes a partition what the master wants, and tells it how that went. With `force_stop` a started one is set up but stopped,
/// and its timestamp stays away.
///
/// # Errors
/// [`NodeError::Promise`], [`NodeError::Offline`] or [`NodeError::Failed`]; the master was told already where it could be.
pub async fn process(site: &Site, partition: &ComputerPartition, force_stop: bool) -> Result<(), NodeError> {
    let site = &site.about(partition);
    let id = &partition.partition_id;
    let outcome = match begin(site, id).await {
        Ok(()) => process_begun(site, partition, force_stop).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(()) => {
            let timestamp = partition.instance.as_ref().and_then(|instance| instance.timestamp.as_deref());
            let is_kept = !(force_stop && partition.requested_state == RequestedState::Started);
            if let Some(timestamp) = timestamp.filter(|_| is_kept) {
                let path = health::timestamp_path(site, id);
                safe::put(site.files(), &path, timestamp.as_bytes(), 0o644).map_err(|error| {
                    let what = format!("{id} cannot be marked as processed");
                    NodeError::write(site.files(), &path, what, &error)
                })?;
            }
            Ok(())
        }
        Err(error) => {
            if !matches!(error, NodeError::Promise(_)) && site.files().is_directory(&site.partition(id)) {
                note_error(site, partition, &error).await;
            }
            if !error.is_offline() {
                let text = error.to_string();
                if let Err(report) = site.master.instance_error(&site.settings.computer_id, id, &text).await {
                    site.env.tell(format!("the master could not be told that {id} failed: {report}"));
                }
            }
            Err(error)
        }
    }
}

/// Checks the directory, and removes what says that the partition is up to date.
async fn begin(site: &Site, id: &PartitionId) -> Result<(), NodeError> {
    let path = site.partition(id);
    let metadata =
        site.files().symlink_metadata(&path).ok().filter(|found| found.kind == FileKind::Directory);
    let Some(metadata) = metadata else {
        let message =
            format!("Please create partition directory {} (slap node format --now)", path.display());
        return Err(NodeError::Failed(message));
    };
    if metadata.mode & 0o777 != 0o750 {
        return Err(NodeError::Failed(format!(
            "Wrong permissions in {}: actual permissions are: 0{:o}, wanted are 0750",
            path.display(),
            metadata.mode & 0o777
        )));
    }
    let failed = |error| {
        NodeError::write(site.files(), &path, format!("{} cannot be written to", path.display()), &error)
    };
    for file in [health::timestamp_path(site, id), transaction_path(site, id), error_path(site, id)] {
        site.files().remove_any(&file).map_err(failed)?;
    }
    if !site.files().exists(&path.join(".slapgrid")) {
        end_former(site, id).await?;
    }
    safe::directory(site.files(), &path, &[".slapgrid"], 0o755).map_err(failed)?;
    safe::directory(site.files(), &path, &[".slapgrid", "log"], 0o700).map_err(failed)?;
    site.restore_resource(id).map_err(failed)
}

/// Nothing was ever set up in a partition's directory: services that run belong to another one of that name, which was removed. They
/// are ended, because they would go on in what is no place any more, at addresses and with files that nobody else sees.
async fn end_former(site: &Site, id: &PartitionId) -> Result<(), NodeError> {
    let statuses = site.supervisor.status().await?;
    if !statuses.iter().any(|status| status.group == id.as_str()) {
        return Ok(());
    }
    let text = format!(
        "the directory of {id} was removed, and what its instance had written there is lost: its services are ended, and it is \
         set up anew"
    );
    site.env.tell(&text);
    if let Err(error) = site.master.instance_error(&site.settings.computer_id, id, &text).await {
        site.env.tell(format!("the master could not be told of it: {error}"));
    }
    Ok(site.supervisor.remove(id.as_str()).await?)
}

async fn process_begun(
    site: &Site,
    partition: &ComputerPartition,
    force_stop: bool,
) -> Result<(), NodeError> {
    let (computer, id) = (&site.settings.computer_id, &partition.partition_id);
    match partition.requested_state {
        RequestedState::Started => {
            install(site, partition).await?;
            if force_stop {
                site.supervisor.remove(id.as_str()).await?;
            } else {
                start(site, id).await?;
                health::check_started(site, id).await?;
                site.master.started_partition(computer, id).await?;
            }
            end_transaction(site, id).await
        }
        RequestedState::Stopped => {
            // The profile runs for a stopped one too, because it hands the state on to its children.
            let installed = install(site, partition).await;
            site.supervisor.remove(id.as_str()).await?;
            installed?;
            report_stopped(site, id).await?;
            end_transaction(site, id).await
        }
        RequestedState::Destroyed => {
            site.supervisor.remove(id.as_str()).await?;
            report_stopped(site, id).await
        }
    }
}

/// Tells the master that a partition's services do not run. Upstream ignores a master that refuses this.
pub(super) async fn report_stopped(site: &Site, id: &PartitionId) -> Result<(), NodeError> {
    match site.master.stopped_partition(&site.settings.computer_id, id).await.map_err(NodeError::from) {
        Err(error) if error.is_offline() => Err(error),
        Err(error) => {
            site.env.tell(format!("{id}: the master refused to know that it stopped: {error}"));
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// Starts what stands in etc/run and etc/service.
///
/// # Errors
/// When the supervisor does not answer or refuses.
pub async fn start(site: &Site, id: &PartitionId) -> Result<(), NodeError> {
    let declared = services::declared(site, id);
    for warning in &declared.warnings {
        site.env.tell(format!("{id}: {warning}"));
    }
    if declared.services.is_empty() {
        site.env.tell(format!("No runners nor services found for partition {id}"));
    }
    Ok(site.supervisor.apply(id.as_str(), declared.services).await?)
}

/// What the master is told when services are started again that merely were ended: as an error, because they do not serve.
pub fn start_again_text(id: &PartitionId) -> String {
    format!("the services of {id} did not run; they are started again")
}

/// Starts the services of a partition that was set up and whose services nobody keeps: the supervisor lost its state, was
/// ended with all that it kept, or the machine was started again. What was reported and noted before is not true any more: the
/// master is told so, and the partition counts as processed only when its promises are good.
///
/// # Errors
/// When they cannot be started, a promise fails, or the master cannot be told: then the partition is due.
pub async fn start_again(site: &Site, partition: &ComputerPartition) -> Result<(), NodeError> {
    let site = &site.about(partition);
    let (computer, id) = (&site.settings.computer_id, &partition.partition_id);
    let deployed = health::deployed(site, id);
    let text = start_again_text(id);
    if let Err(error) = site.master.instance_error(computer, id, &text).await {
        site.env.tell(format!("the master could not be told that {text}: {error}"));
    }
    let path = health::timestamp_path(site, id);
    let failed = |error| {
        NodeError::write(site.files(), &path, format!("{} cannot be changed", path.display()), &error)
    };
    site.files().remove_any(&path).map_err(failed)?;
    start(site, id).await?;
    health::check_started(site, id).await?;
    site.master.started_partition(computer, id).await?;
    if let Some(timestamp) = &deployed.timestamp {
        // It was not set up again: the date of that stays.
        safe::put(site.files(), &path, timestamp.as_bytes(), 0o644)
            .and_then(|()| site.files().set_modified(&path, deployed.at_seconds))
            .map_err(failed)?;
    }
    Ok(())
}

/// Writes buildout.cfg and runs the engine.
async fn install(site: &Site, partition: &ComputerPartition) -> Result<(), NodeError> {
    let id = &partition.partition_id;
    let Some(instance) = &partition.instance else {
        return Err(NodeError::Failed(format!("the master names no software release for {id}")));
    };
    let url = &instance.software_release.url;
    let release = site.release(url);
    if !site.files().is_directory(&release) {
        return Err(NodeError::Failed(format!(
            "Software Release {url} is not present on system.\nCannot deploy instance. (hint: slap supply {url} {})",
            site.settings.computer_id
        )));
    }
    if !site.is_built(url) {
        let lines = engine::last_lines(&site.env, &site.release_log(url), Some(engine::RUN_BEGINS));
        return Err(NodeError::Failed(format!("Software Release {url} is not built.\n{lines}")));
    }
    let path = site.partition(id);
    link_release(site, &path, &release)?;
    let template = template(site, &release).ok_or_else(|| {
        NodeError::Failed(format!(
            "Software Release {url} is not correctly installed.\nMissing file: {}",
            release.join("instance.cfg").display()
        ))
    })?;
    let profile = format!("{template}\n\n{}", tail(site, partition, url.as_str()));
    let config = path.join("buildout.cfg");
    safe::put(site.files(), &config, profile.as_bytes(), 0o640).map_err(|error| {
        NodeError::write(site.files(), &config, format!("{} cannot be written", config.display()), &error)
    })?;
    let run = engine::Run {
        purpose: format!("Setting up {id} ({url})"),
        directory: &path,
        arguments: vec!["-U".to_owned(), "-c".to_owned(), config.to_string_lossy().into_owned()],
        variables: vec![(
            "SLAPGRID_INSTANCE_ROOT",
            site.settings.instance_root.to_string_lossy().into_owned(),
        )],
        log: site.instance_log(id),
        deadline: site.settings.partition_timeout,
    };
    engine::run(&site.env, run).await.map_err(|error| NodeError::Failed(error.to_string()))
}

/// Lets `software_release` in the partition point to the release. What is no link there is the partition's own and stays.
fn link_release(site: &Site, path: &Path, release: &Path) -> Result<(), NodeError> {
    let link = path.join("software_release");
    let files = site.files();
    match files.symlink_metadata(&link) {
        Ok(metadata) if metadata.kind != FileKind::Symlink => return Ok(()),
        Ok(_) if files.read_link(&link).is_ok_and(|target| target == release) => return Ok(()),
        _ => {}
    }
    let temporary = path.join(".software_release.tmp");
    let linked = files
        .remove_any(&temporary)
        .and_then(|()| files.symlink(release, &temporary))
        .and_then(|()| files.rename(&temporary, &link));
    linked
        .map_err(|error| NodeError::write(files, &link, format!("{} cannot be made", link.display()), &error))
}

/// The release's instance profile: instance.cfg, or template.cfg in old releases.
fn template(site: &Site, release: &Path) -> Option<String> {
    ["instance.cfg", "template.cfg"].into_iter().find_map(|name| {
        let path = safe::resolve_inside(site.files(), release, name)?;
        site.files().read_text(&path, TEMPLATE_BYTES_MAX).ok()
    })
}

/// What is added to the instance profile (slapos.core: grid/templates/buildout-tail.cfg.in).
fn tail(site: &Site, partition: &ComputerPartition, url: &str) -> String {
    let settings = &site.settings;
    let (computer, id, server) = (&settings.computer_id, &partition.partition_id, &settings.master_url);
    let shared = value(&settings.shared_part_list);
    let build_time = value(&settings.build_time_part_list);
    let (key, certificate) = ("", "");
    format!(
        "\
[buildout]
bin-directory = ${{buildout:directory}}/sbin
offline = true

[slap-connection]
computer-id = {computer}
partition-id = {id}
server-url = {server}
software-release-url = {url}
key-file = {key}
cert-file = {certificate}
shared-part-list =
  {shared}
build-time-part-list =
  {build_time}
requested-state = {state}

[slap_connection]
computer_id = {computer}
partition_id = {id}
server_url = {server}
software_release_url = {url}
key_file = {key}
cert_file = {certificate}

[storage-configuration]
storage-home = {storage}

[network-information]
global-ipv4-network = {network}
",
        state = partition.requested_state,
        storage = settings.instance_storage_home,
        network = settings.ipv4_global_network,
    )
}

/// Tells the master which instances the profile asked for, so that it can drop the others.
async fn end_transaction(site: &Site, id: &PartitionId) -> Result<(), NodeError> {
    let Some(text) = safe::read_text(site.files(), &transaction_path(site, id), 1 << 20) else {
        return Ok(());
    };
    let references: Vec<String> = text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
    let sent = site.master.related_instances(&site.settings.computer_id, id, &references).await;
    match sent.map_err(NodeError::from) {
        Err(error) if error.is_offline() => Err(error),
        Err(error) => {
            site.env.tell(format!("{id}: the master does not take the list of requested instances: {error}"));
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

/// Writes an error where the instance can see it, and brings its promises' state up to date.
async fn note_error(site: &Site, partition: &ComputerPartition, error: &NodeError) {
    let id = &partition.partition_id;
    safe::put(site.files(), &error_path(site, id), error.to_string().as_bytes(), 0o644).ok();
    if partition.requested_state == RequestedState::Started {
        health::check(site, id, Mode::Test, true).await.ok();
    }
}

fn transaction_path(site: &Site, id: &PartitionId) -> PathBuf {
    site.partition(id).join(format!(".slapos-request-transaction-{id}"))
}

fn error_path(site: &Site, id: &PartitionId) -> PathBuf {
    site.partition(id).join(error_name(id))
}

/// The name of the file in a partition that holds why its last processing failed, if that was no promise; while it is
/// processed there is none.
pub fn error_name(id: &PartitionId) -> String {
    format!(".slapgrid-{id}-error.log")
}

/// Without a master: starts again what should run, which is what the supervisor still knows
/// (slapos.core: `processComputerPartitionListOffline`).
pub async fn start_offline(site: &Site) -> PassResult {
    site.env.tell("Processing computer partitions offline: starting what should run");
    let statuses = match site.supervisor.status().await {
        Ok(statuses) => statuses,
        Err(error) => {
            site.env.tell(error);
            return PassResult::Failed;
        }
    };
    let dead: BTreeSet<PartitionId> = statuses
        .iter()
        .filter(|status| services::is_dead(status))
        .filter_map(|status| status.group.parse().ok())
        .filter(|id| site.files().is_directory(&site.partition(id)))
        .collect();
    let mut result = PassResult::Offline;
    for id in dead {
        if let Err(error) = start(site, &id).await {
            site.env.tell(format!("{id}: {error}"));
            result = PassResult::Failed;
        }
    }
    result
}

/// One pass that only runs promises of started partitions, all of them, whatever their period.
///
/// # Errors
/// When the master cannot be reached.
pub async fn promise_pass(site: &Site, only: &[String]) -> Result<PassResult, NodeError> {
    site.prepare()?;
    let _lock = site.lock(&site.settings.instance_root, "instance")?;
    let computer = site.computer().await?;
    let mut result = PassResult::Done;
    for partition in chosen(&computer, only)? {
        if partition.requested_state != RequestedState::Started {
            continue;
        }
        let id = &partition.partition_id;
        let failure = match health::check(site, id, Mode::Test, true).await {
            Ok(summary) => summary.failure(),
            Err(error) => Some(error.to_string()),
        };
        if let Some(failure) = failure {
            site.env.tell(format!("{id}: {failure}"));
            result = PassResult::PromiseFailed;
        }
    }
    Ok(result)
}
