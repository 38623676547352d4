//! What stands in a partition's etc/run and etc/service, as the supervisor shall run it (slapos.core: grid/SlapObject.py,
//! `generateSupervisorConfiguration`, and templates/program_partition_supervisord.conf.in).

use super::{
    command::{service_environment, user_name},
    engine, safe,
    site::Site,
    supervisor::{Restart, Service, ServiceState, ServiceStatus},
};
use crate::{env::FileKind, vocabulary::PartitionId};
use std::collections::BTreeSet;

/// What a watched service's name ends with.
pub const WATCH_SUFFIX: &str = "-on-watch";

/// A partition's services, and what was passed over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// Those of etc/run, then those of etc/service, each in order of name.
    pub services: Vec<Service>,
    /// What stands there and is no service.
    pub warnings: Vec<String>,
}

/// Reads etc/run and etc/service of a partition.
pub fn declared(site: &Site, partition: &PartitionId) -> Declared {
    let directory = site.partition(partition);
    let variables = service_environment(site.env.context(), &user_name(&site.env), &directory);
    let mut declared = Declared::default();
    let mut taken = BTreeSet::new();
    for (folder, suffix) in [("etc/run", ""), ("etc/service", WATCH_SUFFIX)] {
        let folder = directory.join(folder);
        for file in site.files().list(&folder).unwrap_or_default() {
            let program = folder.join(&file);
            let name = format!("{file}{suffix}");
            let is_file =
                site.files().metadata(&program).is_ok_and(|metadata| metadata.kind == FileKind::File);
            if !is_file
                || file.chars().any(char::is_control)
                || name.len() > 255
                || !taken.insert(name.clone())
            {
                declared.warnings.push(format!("{} is not run as a service", program.display()));
                continue;
            }
            let log = directory.join(format!(".{partition}_{file}.log"));
            let is_link = site.files().symlink_metadata(&log).is_ok_and(|found| found.kind != FileKind::File);
            if is_link {
                site.files().remove_any(&log).ok();
            }
            declared.services.push(Service {
                name,
                program,
                arguments: Vec::new(),
                variables: variables.clone(),
                directory: directory.clone(),
                umask: 0o022,
                log,
                log_bytes_max: site.settings.service_log_bytes_max,
                watched: !suffix.is_empty(),
                restart: Restart::Never,
                stop_seconds: 60,
            });
        }
    }
    declared
}

/// Whether a service ended by itself, or never came up.
pub fn is_dead(status: &ServiceStatus) -> bool {
    matches!(status.state, ServiceState::Ended | ServiceState::Failed)
}

/// The watched services of a partition that ended by themselves.
pub fn dead_watched<'a>(statuses: &'a [ServiceStatus], partition: &PartitionId) -> Vec<&'a ServiceStatus> {
    statuses
        .iter()
        .filter(|status| status.group == partition.as_str() && status.watched && is_dead(status))
        .collect()
}

/// A sentence about a service that ended, with the end of its log.
pub fn describe_dead(site: &Site, status: &ServiceStatus) -> String {
    let how = match (&status.error, &status.ended) {
        (Some(error), _) => format!("could not be started: {error}"),
        (None, Some(ended)) => ended.describe(),
        (None, None) => "ended".to_owned(),
    };
    let lines = engine::last_lines(&site.env, &status.log, None);
    format!("{} process in partition {} encountered a problem: it {how}.\n{lines}", status.name, status.group)
}

/// Reads a small file of the partition that holds the names of services to wait for
/// (slapos.core: `.slapos-report-wait-service-list`).
pub fn waited_for(site: &Site, partition: &PartitionId) -> BTreeSet<String> {
    let path = site.partition(partition).join(".slapos-report-wait-service-list");
    let text = safe::read_text(site.files(), &path, 64 << 10).unwrap_or_default();
    text.lines().map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}
