//! What an agent knows from its own life. Whatever was found before it began may have changed since: promise results, and
//! files that were installed.
//!
//! `<instance_root>/.slap/<partition>.checked` names the agent that last ran all promises of a partition, so that whoever
//! reads results can tell whether the agent that runs now found them. The results' own dates have whole seconds only.

use super::{safe, site::Site};
use crate::{
    env::{Env, Files, Identity, normalize},
    profile::installed::Installed,
    vocabulary::PartitionId,
};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Bytes of a note that are read.
const NOTE_BYTES_MAX: u64 = 1024;
/// Bytes of an installed file that are looked at: the partition may have written it.
const INSTALLED_BYTES_MAX: u64 = 1 << 20;

/// The life of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// Its process.
    pub agent: Identity,
    /// The boot that the process belongs to.
    pub boot: String,
}

impl Life {
    /// The life of that agent, which runs now.
    pub fn of(env: &Env, agent: Identity) -> Life {
        Life { agent, boot: env.processes().boot() }
    }
}

/// Notes that this agent ran all promises of a partition.
///
/// # Errors
/// When that cannot be written: then nobody believes the results.
pub fn note_checked(site: &Site, partition: &PartitionId) -> std::io::Result<()> {
    let life = Life::of(&site.env, site.env.context().identity);
    let content = serde_json::to_vec(&life).map_err(std::io::Error::other)?;
    safe::put(site.files(), &path(&site.settings.instance_root, partition.as_str()), &content, 0o600)
}

/// Whether the note of a partition is there.
pub fn is_noted(site: &Site, partition: &PartitionId) -> bool {
    site.files().exists(&path(&site.settings.instance_root, partition.as_str()))
}

/// The agent that last ran all promises of a partition, if that is known.
pub fn checked_by(files: &dyn Files, instance_root: &Path, partition: &str) -> Option<Life> {
    serde_json::from_slice(&safe::read(files, &path(instance_root, partition), NOTE_BYTES_MAX)?).ok()
}

fn path(instance_root: &Path, partition: &str) -> PathBuf {
    instance_root.join(format!(".slap/{partition}.checked"))
}

/// The first file in a partition that the engine installed there and that is gone: the engine installs its part anew, but only
/// when it runs.
pub fn lost_file(site: &Site, partition: &PartitionId) -> Option<PathBuf> {
    let (files, directory) = (site.files(), site.partition(partition));
    let names = files.list(&directory).unwrap_or_default();
    names.iter().filter(|name| name.starts_with(".installed") && name.ends_with(".cfg")).find_map(|name| {
        let text = safe::read_text(files, &directory.join(name), INSTALLED_BYTES_MAX)?;
        first_lost(files, &directory, &Installed::parse(&text, name).ok()?)
    })
}

fn first_lost(files: &dyn Files, directory: &Path, installed: &Installed) -> Option<PathBuf> {
    let paths = installed.parts.iter().flat_map(|part| installed.paths(part));
    let own = paths.map(|path| normalize(&directory.join(path))).filter(|path| path.starts_with(directory));
    own.into_iter().find(|path| files.symlink_metadata(path).is_err())
}
