//! The supervisor's durable state, `supervisor.json`: each service, what is wanted of it, and its process's identity.

use super::{core::SUPERVISOR_VARIABLE, record::Record};
use crate::{
    env::{Env, room},
    node::safe,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

/// The state file's name in the supervisor's directory.
pub(super) const STATE: &str = "supervisor.json";
/// The lock's name in the supervisor's directory: who has it is the directory's only supervisor.
pub(super) const LOCK: &str = "supervisor.lock";
/// Bytes of a state file; a longer one is damaged.
const BYTES_MAX: u64 = 256 << 20;
/// The format that is written, and the only one that is read.
const FORMAT: u64 = 1;

/// Groups by name, and their services by name.
pub(super) type Groups = BTreeMap<String, BTreeMap<String, Record>>;

/// What a state file held.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Loaded {
    /// There is none.
    Missing,
    /// It cannot be understood, for this reason.
    Damaged(String),
    /// It was written by a newer program: it must be left alone.
    Foreign(String),
    /// The boot that it was written in, and its groups.
    Read(String, Groups),
}

#[derive(Serialize)]
struct Written<'a> {
    format: u64,
    boot: &'a str,
    groups: &'a Groups,
}

#[derive(Deserialize)]
struct Read {
    boot: String,
    groups: Groups,
}

#[derive(Deserialize)]
struct Head {
    format: u64,
}

/// Reads a state file.
///
/// # Errors
/// When it is there and cannot be read.
pub(super) fn load(env: &Env, path: &Path) -> io::Result<Loaded> {
    match env.files().read(path, BYTES_MAX) {
        Ok(content) => Ok(parse(&content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Loaded::Missing),
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Ok(Loaded::Damaged(error.to_string())),
        Err(error) => Err(error),
    }
}

/// Writes a state file durably.
///
/// # Errors
/// When it cannot be written; the old one is still there then.
pub(super) fn save(env: &Env, path: &Path, boot: &str, groups: &Groups) -> io::Result<()> {
    let content = serde_json::to_vec(&Written { format: FORMAT, boot, groups }).map_err(io::Error::other)?;
    env.files().replace(path, &content, 0o600)
}

/// Whether a state file holds just this.
pub(super) fn is_saved(env: &Env, path: &Path, boot: &str, groups: &Groups) -> bool {
    let content = serde_json::to_vec(&Written { format: FORMAT, boot, groups });
    let found = env.files().read(path, BYTES_MAX);
    matches!((content, found), (Ok(content), Ok(found)) if content == found)
}

/// Writes, for supervisors that have no state yet, that nothing runs: of many new ones, each would look for that at all
/// processes of the machine otherwise. That is looked for here, once; where it is not certain, nothing is written. Nor does it wait for the
/// disk: a state that is lost is only looked for again.
///
/// # Errors
/// Names the directory that cannot be written to.
pub fn begin_empty(env: &Env, directories: &[PathBuf]) -> Result<(), String> {
    let new: BTreeSet<&Path> = directories
        .iter()
        .map(PathBuf::as_path)
        .filter(|directory| !env.files().exists(&directory.join(STATE)))
        .collect();
    let is_of_new =
        |value: &[u8]| std::str::from_utf8(value).is_ok_and(|value| new.contains(Path::new(value)));
    // Asked before the locks are taken: a supervisor that comes later still has the lock then, or left a state.
    if new.is_empty() || !env.processes().marked_with(SUPERVISOR_VARIABLE, &is_of_new).is_empty() {
        return Ok(());
    }
    let boot = env.processes().boot();
    let content = serde_json::to_vec(&Written { format: FORMAT, boot: &boot, groups: &Groups::new() })
        .expect("an empty state is plain data");
    let begin = |directory: &Path| {
        env.files().create_directory(directory, 0o700)?;
        let lock = env.files().lock(&directory.join(LOCK))?;
        if lock.is_some() && !env.files().exists(&directory.join(STATE)) {
            safe::put(env.files(), &directory.join(STATE), &content, 0o600)?;
        }
        Ok::<(), io::Error>(())
    };
    for directory in new {
        begin(directory).map_err(|error| room::explain(env.files(), directory, &error))?;
    }
    Ok(())
}

fn parse(content: &[u8]) -> Loaded {
    match serde_json::from_slice::<Head>(content) {
        Ok(head) if head.format != FORMAT => {
            return Loaded::Foreign(format!("format {} was expected, {} was found", FORMAT, head.format));
        }
        Ok(_) => {}
        Err(error) => return Loaded::Damaged(error.to_string()),
    }
    match serde_json::from_slice::<Read>(content) {
        Ok(read) => Loaded::Read(read.boot, read.groups),
        Err(error) => Loaded::Damaged(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::record::tests::service, super::types::Restart, *};

    #[test]
    fn what_was_written_is_read() {
        let record = Record::new(service(Restart::Always));
        let groups = Groups::from([("g".to_owned(), BTreeMap::from([("web".to_owned(), record)]))]);
        let content = serde_json::to_vec(&Written { format: FORMAT, boot: "b", groups: &groups }).unwrap();
        assert_eq!(parse(&content), Loaded::Read("b".to_owned(), groups));
    }

    #[test]
    fn what_is_damaged_or_newer_is_told_apart() {
        for damaged in
            ["", "{", "[]", r#"{"format":1}"#, r#"{"format":1,"boot":"b","groups":{"g":{"s":{}}}}"#]
        {
            assert!(matches!(parse(damaged.as_bytes()), Loaded::Damaged(_)), "{damaged}");
        }
        assert!(matches!(parse(br#"{"format":2,"anything":[]}"#), Loaded::Foreign(_)));
    }
}
