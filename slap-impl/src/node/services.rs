//! What stands in a partition's etc/run and etc/service, as the supervisor shall run it (slapos.core: grid/SlapObject.py,
//! `generateSupervisorConfiguration`, and templates/program_partition_supervisord.conf.in).

use super::{
    command::{service_environment, user_name},
    engine, safe,
    site::Site,
    supervisor::{Restart, Service, ServiceState, ServiceStatus},
};
use crate::{
    env::{FileKind, Files},
    vocabulary::PartitionId,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

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

/// What a file of etc/run or etc/service is as a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The file's name.
    pub file: String,
    /// The service's name in its group.
    pub name: String,
    /// Its path.
    pub program: PathBuf,
    /// Whether it stands in etc/service.
    pub watched: bool,
}

/// What stands in etc/run and etc/service of the partition in `directory`, and what was passed over.
pub fn found(files: &dyn Files, directory: &Path) -> (Vec<Found>, Vec<String>) {
    let (mut services, mut warnings) = (Vec::new(), Vec::new());
    let mut taken = BTreeSet::new();
    for (folder, suffix) in [("etc/run", ""), ("etc/service", WATCH_SUFFIX)] {
        let folder = directory.join(folder);
        for file in files.list(&folder).unwrap_or_default() {
            let program = folder.join(&file);
            let name = format!("{file}{suffix}");
            let is_file = files.metadata(&program).is_ok_and(|metadata| metadata.kind == FileKind::File);
            if !is_file
                || file.chars().any(char::is_control)
                || name.len() > 255
                || !taken.insert(name.clone())
            {
                warnings.push(format!("{} is not run as a service", program.display()));
                continue;
            }
            services.push(Found { file, name, program, watched: !suffix.is_empty() });
        }
    }
    (services, warnings)
}

/// Reads etc/run and etc/service of a partition.
pub fn declared(site: &Site, partition: &PartitionId) -> Declared {
    let directory = site.partition(partition);
    let variables = service_environment(site.env.context(), &user_name(&site.env), &directory);
    let (found, warnings) = found(site.files(), &directory);
    let service = |found: Found| {
        let log = directory.join(format!(".{partition}_{}.log", found.file));
        let is_link = site.files().symlink_metadata(&log).is_ok_and(|found| found.kind != FileKind::File);
        if is_link {
            site.files().remove_any(&log).ok();
        }
        Service {
            name: found.name,
            program: found.program,
            arguments: Vec::new(),
            variables: variables.clone(),
            directory: directory.clone(),
            umask: 0o022,
            log,
            log_bytes_max: site.settings.service_log_bytes_max,
            watched: found.watched,
            restart: Restart::Never,
            stop_seconds: u32::try_from(site.settings.service_stop.as_secs()).unwrap_or(u32::MAX),
            outlived: false,
        }
    };
    Declared { services: found.into_iter().map(service).collect(), warnings }
}

/// What the supervisor says of each group.
pub fn by_group(statuses: &[ServiceStatus]) -> BTreeMap<&str, Vec<&ServiceStatus>> {
    let mut groups: BTreeMap<&str, Vec<&ServiceStatus>> = BTreeMap::new();
    for status in statuses {
        groups.entry(&status.group).or_default().push(status);
    }
    groups
}

/// Whether a supervisor keeps a partition's services: it knows them, and was not asked to stop them, as it is when it ends with
/// all that it keeps (a lab's `down`).
pub fn is_supervised(statuses: &[ServiceStatus], partition: &PartitionId) -> bool {
    let own: Vec<&ServiceStatus> =
        statuses.iter().filter(|status| status.group == partition.as_str()).collect();
    are_kept(&own)
}

/// The same of all that the supervisor says of one partition.
pub fn are_kept(own: &[&ServiceStatus]) -> bool {
    !own.is_empty() && own.iter().all(|status| status.wanted && status.state != ServiceState::Stopped)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_stopped_with_its_supervisor_is_kept_by_nobody() {
        let status = |group: &str, (state, wanted)| ServiceStatus {
            group: group.to_owned(),
            name: "web".to_owned(),
            state,
            wanted,
            identity: None,
            started_at_seconds: None,
            ended: None,
            error: None,
            restarts: 0,
            watched: true,
            log: PathBuf::new(),
        };
        use ServiceState::{Ended, Failed, Running, Stopped, Stopping};
        for (group, states, expected) in [
            ("p0", &[][..], false),
            ("p1", &[(Running, true)], false),
            ("p0", &[(Running, true)], true),
            ("p0", &[(Ended, true), (Failed, true)], true),
            ("p0", &[(Stopping, true)], true),
            ("p0", &[(Stopping, false)], false),
            ("p0", &[(Stopped, false)], false),
            ("p0", &[(Running, true), (Stopped, false)], false),
        ] {
            let statuses: Vec<ServiceStatus> = states.iter().map(|state| status(group, *state)).collect();
            assert_eq!(is_supervised(&statuses, &"p0".parse().unwrap()), expected, "{group} {states:?}");
        }
    }
}
