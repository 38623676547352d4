//! Where everything of a lab stands, and the file that says what the lab is.

use super::block::Block;
pub(super) use crate::node::LAB_MARK as MARK;
use crate::{
    env::{Env, Exit, Identity, room},
    node::safe,
    vocabulary::ComputerId,
};
use serde::{Deserialize, Serialize};
use std::{
    io,
    path::{Path, PathBuf},
};

/// Bytes of a Unix socket's path (unix(7): 108 with the end).
const SOCKET_PATH_MAX: usize = 107;
/// Bytes of a description that are read.
const DESCRIPTION_BYTES_MAX: u64 = 1 << 16;
/// The description's version that this program writes and reads.
const VERSION: u32 = 2;
/// The entries of a lab's directory, in the order in which they are removed: as long as the description is there it
/// is a lab, and as long as the lock is there nobody else makes one.
pub(super) const ENTRIES: [&str; 9] =
    ["master", "nodes", "run", "bin", "log", "releases", "slapos-client.cfg", "lab.json", "lab.lock"];
/// What is advised to who may not read or write something.
pub(super) const ACCESS_HINT: &str =
    "hint: a lab needs a directory that you may write to, on a disk that is not full; choose another --dir";

/// The directory of a lab.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) root: PathBuf,
}

/// What a lab is: the file `lab.json`, which also marks the directory as a lab's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Description {
    pub(super) version: u32,
    /// The lab's directory: a copy of a lab, or one that was moved, is none.
    pub(super) directory: PathBuf,
    pub(super) nodes: u32,
    pub(super) partitions: u32,
    pub(super) block: Block,
    /// On how many nodes, from the first, the first release was supplied and requested already: it is done once only.
    pub(super) populated: u32,
    /// It was made to be empty: nothing is supplied or requested but by its user. Only written where it is so, because earlier
    /// programs refuse what they do not know.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) empty: bool,
    /// The keeper, as it was started last.
    pub(super) keeper: Option<Identity>,
    /// The boot that the keeper belongs to.
    pub(super) boot: String,
}

/// Why a directory's description cannot be used.
#[derive(Debug)]
pub(super) struct Unusable {
    /// As a wrong setting, when the directory is no lab of this program's; failed, when the file cannot be read.
    pub(super) exit: Exit,
    pub(super) message: String,
}

impl Layout {
    pub(super) fn new(root: PathBuf) -> Layout {
        Layout { root }
    }

    /// The copy of the program that the lab runs.
    pub(super) fn program(&self) -> PathBuf {
        self.root.join("bin/slap")
    }

    /// Which program the keeper runs: its digest.
    pub(super) fn keeper_digest(&self) -> PathBuf {
        self.root.join("bin/keeper-digest")
    }

    pub(super) fn description(&self) -> PathBuf {
        self.root.join("lab.json")
    }

    /// Held by `up` and `down`.
    pub(super) fn lock(&self) -> PathBuf {
        self.root.join("lab.lock")
    }

    /// The keeper's directory.
    pub(super) fn keeper(&self) -> PathBuf {
        self.root.join("run/keeper")
    }

    /// The directory of a node's supervisor.
    pub(super) fn supervisor(&self, computer: &ComputerId) -> PathBuf {
        self.root.join("run").join(computer.as_str())
    }

    pub(super) fn master(&self) -> PathBuf {
        self.root.join("master")
    }

    pub(super) fn master_configuration(&self) -> PathBuf {
        self.master().join("slapos-proxy.cfg")
    }

    pub(super) fn client_configuration(&self) -> PathBuf {
        self.root.join("slapos-client.cfg")
    }

    pub(super) fn node(&self, computer: &ComputerId) -> PathBuf {
        self.root.join("nodes").join(computer.as_str())
    }

    pub(super) fn node_configuration(&self, computer: &ComputerId) -> PathBuf {
        self.node(computer).join("slapos.cfg")
    }

    pub(super) fn software_root(&self, computer: &ComputerId) -> PathBuf {
        self.node(computer).join("software")
    }

    pub(super) fn instance_root(&self, computer: &ComputerId) -> PathBuf {
        self.node(computer).join("instance")
    }

    /// The directory of releases that came with the lab.
    pub(super) fn releases(&self) -> PathBuf {
        self.root.join("releases")
    }

    /// The log of the master, the keeper, or a node's agent or supervisor.
    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.root.join("log").join(format!("{name}.log"))
    }

    /// Refuses a directory whose name cannot be used: too long for the sockets in it, or not to be written into a
    /// configuration file.
    pub(super) fn check_name(&self, nodes: u32) -> Result<(), String> {
        let last = computer(nodes.max(1));
        let longest = [self.keeper(), self.supervisor(&last)]
            .map(|directory| directory.join("supervisor.socket").as_os_str().len())
            .into_iter()
            .max()
            .unwrap_or_default();
        if longest > SOCKET_PATH_MAX {
            let too_much = longest - SOCKET_PATH_MAX;
            return Err(format!(
                "--dir {}: the path is {too_much} bytes too long, for the sockets of a lab in it may have \
                 {SOCKET_PATH_MAX} bytes\nhint: choose a shorter --dir, such as /tmp/lab",
                self.root.display()
            ));
        }
        match self.root.to_str() {
            Some(text) if !text.chars().any(|c| c.is_control() || "%$".contains(c)) => Ok(()),
            _ => Err(format!(
                "--dir {}: expected a path in UTF-8 without control characters, `%` and `$`\n\
                 hint: choose another --dir, such as /tmp/lab",
                self.root.display()
            )),
        }
    }

    /// Reads what the lab is; `None` if the directory is no lab.
    pub(super) fn read(&self, env: &Env) -> Result<Option<Description>, Unusable> {
        let path = self.description();
        let text = match env.files().read(&path, DESCRIPTION_BYTES_MAX) {
            Ok(text) => text,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) if error.kind() != io::ErrorKind::FileTooLarge => {
                return Err(Unusable { exit: Exit::FAILED, message: cannot_use(env, &path, &error) });
            }
            Err(error) => {
                return Err(Unusable { exit: Exit::USAGE, message: self.damaged(&error.to_string()) });
            }
        };
        let described = self.parse(env, &text);
        described.map(Some).map_err(|message| Unusable { exit: Exit::USAGE, message })
    }

    fn damaged(&self, why: &str) -> String {
        format!(
            "{} is no lab's description, or a damaged one: {why}\nhint: use another directory; if a lab was there, \
             `slap lab down --dir {}` ends what still runs",
            self.description().display(),
            self.root.display()
        )
    }

    fn parse(&self, env: &Env, text: &[u8]) -> Result<Description, String> {
        let path = self.description();
        let description: Description =
            serde_json::from_slice(text).map_err(|error| self.damaged(&error.to_string()))?;
        if description.version != VERSION {
            return Err(format!(
                "{} has version {}, and this program knows {VERSION}\nhint: use the program that made the lab: {}",
                path.display(),
                description.version,
                self.program().display()
            ));
        }
        if description.directory != self.root {
            return Err(self.elsewhere(env, &description.directory));
        }
        Ok(description)
    }

    /// Why a lab that was made in another directory is not used in this one.
    fn elsewhere(&self, env: &Env, made_in: &Path) -> String {
        let (here, there) = (self.root.display(), made_in.display());
        if env.files().exists(&Layout::new(made_in.to_owned()).description()) {
            return format!(
                "{here} is a copy of the lab in {there}: its processes, sockets and settings are that one's\n\
                 hint: use --dir {there}, or another directory for another lab"
            );
        }
        format!(
            "{here} holds the lab that was made in {there}, and moved: its processes, sockets and settings name that directory\n\
             hint: move it back to {there}; or `slap lab down --dir {there}` ends what still runs of it, wherever its files are"
        )
    }

    /// Writes what the lab is, if that changed.
    pub(super) fn write(&self, env: &Env, description: &Description) -> Result<(), String> {
        let text = serde_json::to_vec_pretty(description).expect("a description is plain data");
        write_if_changed(env, &self.description(), &text, 0o600)
    }
}

impl Description {
    pub(super) fn new(directory: &Path, nodes: u32, partitions: u32, block: Block) -> Description {
        Description {
            version: VERSION,
            directory: directory.to_owned(),
            nodes,
            partitions,
            block,
            populated: 0,
            empty: false,
            keeper: None,
            boot: String::new(),
        }
    }

    /// All computers of the lab.
    pub(super) fn computers(&self) -> Vec<ComputerId> {
        (1..=self.nodes).map(computer).collect()
    }

    /// Where the master listens.
    pub(super) fn master_url(&self) -> String {
        format!("http://{}:{}", self.block.master(), super::block::MASTER_PORT)
    }
}

/// The computer of that number, from 1.
pub(super) fn computer(number: u32) -> ComputerId {
    format!("COMP-{number}").parse().expect("letters, a hyphen and digits are an id")
}

/// Writes a file of a lab durably, only if it would change, and makes its directory.
pub(super) fn write_if_changed(env: &Env, path: &Path, content: &[u8], mode: u32) -> Result<(), String> {
    write_by(env, path, content, || env.files().replace(path, content, mode))
}

/// Like [`write_if_changed`], for what every `up` looks at and makes anew: that does not wait for the disk.
pub(super) fn renew(env: &Env, path: &Path, content: &[u8], mode: u32) -> Result<(), String> {
    write_by(env, path, content, || safe::put(env.files(), path, content, mode))
}

fn write_by(
    env: &Env,
    path: &Path,
    content: &[u8],
    write: impl FnOnce() -> io::Result<()>,
) -> Result<(), String> {
    let same = env.files().read(path, content.len() as u64).is_ok_and(|old| old == content);
    if same {
        return Ok(());
    }
    let parent = path.parent().unwrap_or(Path::new("/"));
    let made = env.files().create_directory(parent, 0o700);
    made.and_then(|()| write()).map_err(|error| cannot_use(env, path, &error))
}

/// Why something of a lab cannot be read or written, with a hint.
pub(super) fn cannot_use(env: &Env, path: &Path, error: &io::Error) -> String {
    let explained = room::explain(env.files(), path, error);
    if room::is_full(error) { explained } else { format!("{explained}\n{ACCESS_HINT}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_cannot_hold_sockets_or_settings_is_refused() {
        let check = |path: &str, expected: bool| {
            assert_eq!(Layout::new(path.into()).check_name(100).is_ok(), expected, "{path}");
        };
        check("/tmp/lab", true);
        check("/tmp/with blank", true);
        check(&format!("/tmp/{}", "x".repeat(100)), false);
        check("/tmp/a%b", false);
        check("/tmp/a${b}", false);
        check("/tmp/a\nb", false);
    }
}
