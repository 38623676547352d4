//! What the node reads from slapos.cfg, with what its command line says over it.

use crate::{
    env::Env,
    vocabulary::ComputerId,
    wire::{
        config_parser::ConfigError,
        settings::{FormatSettings, Role, Settings},
    },
};
use std::{path::PathBuf, time::Duration};

/// A build that takes longer than this is stuck, and others wait for its place.
const SOFTWARE_TIME_MAX: Duration = Duration::from_secs(4 * 3600);
/// The same for an instance's profile, where `partition_timeout` says nothing else. Upstream waits for ever.
const PARTITION_TIME_MAX: Duration = Duration::from_secs(3600);

/// What the command line says over the file; `None` leaves the file's value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// --instance-root
    pub instance_root: Option<PathBuf>,
    /// --software-root
    pub software_root: Option<PathBuf>,
    /// --master-url
    pub master_url: Option<String>,
    /// --computer-id
    pub computer_id: Option<ComputerId>,
    /// --maximum-periodicity, in seconds; negative for never.
    pub maximum_periodicity_seconds: Option<i64>,
    /// --promise-timeout
    pub promise_timeout: Option<Duration>,
    /// --partition-timeout
    pub partition_timeout: Option<Duration>,
    /// --force of `software`
    pub develop: bool,
}

/// Settings of a node. Paths are absolute.
#[derive(Clone, Debug)]
pub struct NodeSettings {
    /// This computer's reference.
    pub computer_id: ComputerId,
    /// The master's URL, as it stands in the file and in profiles.
    pub master_url: String,
    /// Where software releases are built.
    pub software_root: PathBuf,
    /// Where partitions are.
    pub instance_root: PathBuf,
    /// Where the supervisor has its socket and its state.
    pub supervisor_directory: PathBuf,
    /// Lines of paths, as they stand in the file.
    pub shared_part_list: String,
    /// Lines of paths, as they stand in the file.
    pub build_time_part_list: String,
    /// Handed on to profiles.
    pub instance_storage_home: String,
    /// Handed on to profiles.
    pub ipv4_global_network: String,
    /// Seconds after which an unchanged partition is processed again; negative for never.
    pub maximum_periodicity_seconds: i64,
    /// How long a promise may take.
    pub promise_timeout: Duration,
    /// How long the engine may take for a partition.
    pub partition_timeout: Option<Duration>,
    /// How long the engine may take for a release.
    pub software_timeout: Option<Duration>,
    /// How many partitions are processed beside each other.
    pub parallel_instances: usize,
    /// How many of a partition's promises run beside each other.
    pub parallel_promises: usize,
    /// Whether the supervisor must be running already.
    pub forbids_supervisor_launch: bool,
    /// Whether releases may look for newer parts.
    pub develop: bool,
    /// Whether only root may use this file.
    pub root_check: bool,
    /// How often a master is asked that cannot tell of changes by itself.
    pub poll: Duration,
    /// How long one question to a master waits for a change.
    pub wait: Duration,
    /// Bytes of a service's log.
    pub service_log_bytes_max: u64,
    /// How long a service may take to end before it is killed.
    pub service_stop: Duration,
    /// Section `[slapformat]`.
    pub format: FormatSettings,
}

impl NodeSettings {
    /// Finds and reads the file, tells its warnings, and lays the command line over it.
    ///
    /// # Errors
    /// When the file cannot be read, a value is bad, or one is missing that a node cannot do without.
    pub fn find(env: &Env, cfg: Option<&str>, overrides: Overrides) -> Result<NodeSettings, ConfigError> {
        let settings = Settings::find(env, Role::Node, cfg)?;
        settings.tell_warnings(env);
        NodeSettings::new(&settings, overrides)
    }

    /// The settings of a file that was read.
    ///
    /// # Errors
    /// When a value is missing that a node cannot do without, or the master's URL cannot be used.
    pub fn new(settings: &Settings, overrides: Overrides) -> Result<NodeSettings, ConfigError> {
        let text = |key| Ok(settings.file.get("slapos", key)?.unwrap_or_default());
        let slapos = &settings.slapos;
        let master_url = match overrides.master_url {
            Some(url) => url,
            None => {
                settings.master_url()?;
                settings.required("slapos", "master_url", &slapos.master_url)?
            }
        };
        let instance_root = match &overrides.instance_root {
            Some(root) => root.clone(),
            None => settings.instance_root()?,
        };
        let supervisor_directory = match &settings.slap.supervisor_directory {
            Some(directory) => directory.clone(),
            None => instance_root.join("var/supervisor"),
        };
        let periodicity = i64::try_from(slapos.maximum_periodicity.as_secs()).unwrap_or(i64::MAX);
        Ok(NodeSettings {
            computer_id: overrides.computer_id.map_or_else(|| settings.computer_id(), Ok)?,
            master_url,
            software_root: overrides.software_root.map_or_else(|| settings.software_root(), Ok)?,
            instance_root,
            supervisor_directory,
            shared_part_list: text("shared_part_list")?,
            build_time_part_list: text("build_time_part_list")?,
            instance_storage_home: text("instance_storage_home")?,
            ipv4_global_network: text("ipv4_global_network")?,
            maximum_periodicity_seconds: overrides.maximum_periodicity_seconds.unwrap_or(periodicity),
            promise_timeout: overrides.promise_timeout.unwrap_or(slapos.promise_timeout),
            partition_timeout: overrides
                .partition_timeout
                .or(slapos.partition_timeout)
                .or(Some(PARTITION_TIME_MAX)),
            software_timeout: Some(SOFTWARE_TIME_MAX),
            parallel_instances: 4,
            parallel_promises: 8,
            forbids_supervisor_launch: slapos.forbid_supervisord_automatic_launch,
            develop: overrides.develop,
            root_check: slapos.root_check,
            poll: settings.slap.poll,
            wait: settings.slap.wait,
            service_log_bytes_max: settings.slap.log_bytes_max,
            service_stop: settings.slap.stop,
            format: settings.slapformat.clone(),
        })
    }
}
