//! Makes the partitions of this computer and tells the master of them (slapos.core: slapos/format.py), for the rootless
//! mode: all partitions belong to the user that runs the node, and their addresses exist already.
//!
//! `plan.rs` decides what the computer shall be, without I/O; `files.rs` is what is written of it; this file checks it
//! against the machine and makes it. Each step may be repeated. What was formatted once is kept: a partition never
//! disappears, and keeps its address. Differing from upstream, old versions of slapos.xml are not archived.

mod files;
mod plan;

pub use plan::{ComputerPlan, PartitionPlan, PlanError};

use super::{NodeError, command::user_name, safe, site::Site};
use crate::{
    env::{Address, Exit, FileKind},
    wire::{config_parser::ConfigFile, configuration::FormattedComputer, marshal},
};
use plan::Request;
use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    path::Path,
    time::Duration,
};

/// A file longer than this is neither a definition nor a slapos.xml.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// How many addresses are tried for a partition.
const ADDRESS_TRIES: usize = 100;

/// What the command line says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// At once; otherwise after a random pause of up to an hour, so that many nodes do not format at one time.
    pub now: bool,
    /// Only says what would be done.
    pub dry_run: bool,
}

/// What formatting came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Formatted {
    /// All is in place, and the master knows.
    Done,
    /// All is in place, but the master could not be told.
    Offline,
}

/// Formats the computer; its exit code is 0, 1 (nothing may be relied on), or 2 (done, but the master does not know).
pub async fn command(site: &Site, options: &Options) -> Exit {
    match run(site, options).await {
        Ok(Formatted::Done) => Exit(0),
        Ok(Formatted::Offline) => Exit(2),
        Err(error) => {
            site.env.tell(error);
            Exit(1)
        }
    }
}

/// Formats the computer.
///
/// # Errors
/// When a setting is wrong or something could not be made; it names the key or the path, and what to do.
pub async fn run(site: &Site, options: &Options) -> Result<Formatted, NodeError> {
    if !options.now {
        let pause = Duration::from_secs(site.env.random_below(3600));
        site.env.tell(format!("Sleeping for {} seconds (--now does it at once)", pause.as_secs()));
        site.env.sleep(pause).await;
    }
    let settings = &site.settings.format;
    let xml = settings.computer_xml.clone().ok_or_else(|| missing("computer_xml"))?;
    let previous = previous(site, &xml)?;
    let plan = make_plan(site, previous.as_ref())?;
    check(site, &plan)?;
    if options.dry_run {
        for partition in &plan.partitions {
            site.env.print(format!("{} {}", partition.id, partition.addresses_text()));
        }
        return Ok(Formatted::Done);
    }
    make(site, &plan, &xml)?;
    Ok(announce(site, &plan).await)
}

/// Tells the master of the computer as it was made. That may take as long as a question to a master that does not answer.
pub async fn announce(site: &Site, plan: &ComputerPlan) -> Formatted {
    site.env.tell(format!("Posting information to {}", site.settings.master_url));
    match site.master.load_computer_configuration(&files::formatted(site, plan)).await {
        Ok(()) => Formatted::Done,
        Err(error) => {
            site.env.tell(format!("failed to transfer information to {}: {error}", site.settings.master_url));
            Formatted::Offline
        }
    }
}

/// Makes what is not there of the computer, without a word to the master: see [`announce`].
///
/// # Errors
/// As [`run`].
pub fn make_places(site: &Site) -> Result<ComputerPlan, NodeError> {
    let xml = site.settings.format.computer_xml.clone().ok_or_else(|| missing("computer_xml"))?;
    let plan = make_plan(site, previous(site, &xml)?.as_ref())?;
    check(site, &plan)?;
    make(site, &plan, &xml)?;
    Ok(plan)
}

fn missing(key: &str) -> NodeError {
    NodeError::Failed(format!("Parameter '{key}' is not defined. (hint: set it in section [slapformat])"))
}

/// What was formatted before.
fn previous(site: &Site, xml: &Path) -> Result<Option<FormattedComputer>, NodeError> {
    let bytes = match site.files().read(xml, FILE_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(NodeError::io(format!("computer_xml {} cannot be read", xml.display()), &error));
        }
    };
    let read = marshal::decode(&bytes).and_then(|value| FormattedComputer::from_value(&value));
    read.map(Some).map_err(|error| {
        NodeError::Failed(format!(
            "computer_xml {} is not what slapformat writes: {error} (hint: put a copy back, or, if no partition is in use, \
             remove it)",
            xml.display()
        ))
    })
}

fn make_plan(site: &Site, previous: Option<&FormattedComputer>) -> Result<ComputerPlan, NodeError> {
    let settings = &site.settings.format;
    let user = user_name(&site.env);
    let definition = match &settings.input_definition_file {
        None => None,
        Some(path) => {
            let text = site.files().read_text(path, FILE_BYTES_MAX).map_err(|error| {
                NodeError::io(format!("input_definition_file {} cannot be read", path.display()), &error)
            })?;
            Some(ConfigFile::parse(path, &text).map_err(|error| NodeError::Failed(error.to_string()))?)
        }
    };
    let request = Request {
        partition_amount: settings.partition_amount.unwrap_or(10),
        partition_base_name: &settings.partition_base_name,
        user: &user,
        network: settings.ipv4_local_network.as_deref(),
        previous,
    };
    let failed = |error: PlanError| NodeError::Failed(error.to_string());
    let plan = match &definition {
        Some(definition) => plan::from_definition(&request, definition).map_err(failed)?,
        None => {
            let mut tried = BTreeSet::new();
            plan::from_network(&request, &mut |network| {
                (0..ADDRESS_TRIES)
                    .map(|_| network.address(site.env.random_below(network.size())))
                    .find(|address| tried.insert(*address) && proves(site, (*address).into()).is_ok())
            })
            .map_err(failed)?
        }
    };
    Ok(plan)
}

/// Binds the address, which shows that the machine has it.
fn proves(site: &Site, address: IpAddr) -> std::io::Result<()> {
    site.env.network().listen(&Address::Tcp(SocketAddr::new(address, 0))).map(|_| ())
}

/// Checks the plan against the machine: what would need root must be in place already.
fn check(site: &Site, plan: &ComputerPlan) -> Result<(), NodeError> {
    let settings = &site.settings.format;
    let own = user_name(&site.env);
    let mut proved: BTreeSet<IpAddr> = BTreeSet::new();
    for partition in &plan.partitions {
        if partition.user != own {
            let hint = if settings.alter_user {
                "making users (alter_user = True) is not served yet: set alter_user = False in [slapformat], and let the \
                 user that runs the node own all partitions"
            } else {
                "run the node as that user, or name this one in the definition file"
            };
            return Err(NodeError::Failed(format!(
                "partition {} belongs to user {:?}, and this is user {own:?}: {hint}",
                partition.id, partition.user
            )));
        }
        for address in partition.ip_addresses() {
            if !proved.insert(address) {
                continue;
            }
            proves(site, address).map_err(|error| {
                let hint = if settings.alter_network {
                    "adding addresses (alter_network = True) is not served yet: set alter_network = False in [slapformat], and \
                     give addresses that exist, such as those of 127.0.0.0/8"
                } else {
                    "add it to an interface, or give one that exists, such as those of 127.0.0.0/8"
                };
                NodeError::Failed(format!(
                    "partition {} shall have the address {address}, which cannot be bound: {error} (hint: {hint})",
                    partition.id
                ))
            })?;
        }
        if settings.create_tap && !partition.interface.is_empty() {
            return Err(NodeError::Failed(format!(
                "partition {} shall have the interface {:?}: making interfaces (create_tap = True) is not served yet; leave \
                 network_interface empty",
                partition.id, partition.interface
            )));
        }
    }
    Ok(())
}

fn make(site: &Site, plan: &ComputerPlan, xml: &Path) -> Result<(), NodeError> {
    let files = site.files();
    for (key, root) in
        [("instance_root", &site.settings.instance_root), ("software_root", &site.settings.software_root)]
    {
        if !files.is_directory(root) {
            files.create_directory(root, 0o755).map_err(|error| {
                NodeError::write(files, root, format!("{key} {} cannot be made", root.display()), &error)
            })?;
        }
    }
    site.prepare()?;
    let _lock = site.lock(&site.settings.instance_root, "format")?;
    for partition in &plan.partitions {
        make_partition(site, partition, &plan.software_user)?;
    }
    let written = |path: &Path, content: &[u8]| {
        if files.read(path, FILE_BYTES_MAX).is_ok_and(|old| old == content) {
            return Ok(());
        }
        files.replace(path, content, 0o644).map_err(|error| {
            NodeError::write(files, path, format!("{} cannot be written", path.display()), &error)
        })
    };
    let computer = files::formatted(site, plan);
    if let Some(path) = &site.settings.format.computer_json {
        written(path, files::json(&computer.to_value(), 2).as_bytes())?;
    }
    if let Some(path) = &site.settings.format.output_definition_file {
        written(path, files::definition(plan).as_bytes())?;
    }
    written(xml, marshal::encode(&computer.to_value()).as_bytes())
}

fn make_partition(site: &Site, partition: &PartitionPlan, software_user: &str) -> Result<(), NodeError> {
    let files = site.files();
    let path = site.partition(&partition.id);
    let failed = |error| {
        NodeError::write(files, &path, format!("the partition {} cannot be made", path.display()), &error)
    };
    match files.symlink_metadata(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            files.create_directory(&path, 0o750).map_err(failed)?;
        }
        Err(error) => return Err(failed(error)),
        Ok(metadata) if metadata.kind != FileKind::Directory => {
            return Err(NodeError::Failed(format!(
                "the partition {} is no directory: move it away",
                path.display()
            )));
        }
        Ok(metadata) if metadata.user != site.env.context().user => {
            return Err(NodeError::Failed(format!(
                "the partition {} belongs to user number {}, and this is number {}: run the node as that user, or move it away",
                path.display(),
                metadata.user,
                site.env.context().user
            )));
        }
        Ok(_) => {}
    }
    files.set_mode(&path, 0o750).map_err(failed)?;
    let resource = files::json(&files::resource(site, partition, software_user), 4);
    safe::put(files, &site.resource_copy(&partition.id), resource.as_bytes(), 0o600).map_err(failed)?;
    site.restore_resource(&partition.id).map_err(failed)
}
