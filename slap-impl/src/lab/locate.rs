//! Which lab a command means: `--dir`, else the variable SLAP_LAB, else the lab that `up` made last.
//!
//! The last lab's directory is remembered in `$XDG_STATE_HOME/slap/lab`, or `~/.local/state/slap/lab`
//! (XDG Base Directory Specification).

use crate::env::{Env, FileKind};
use std::{
    io,
    path::{Component, Path, PathBuf},
};

/// The environment variable that names a lab.
pub(crate) const VARIABLE: &str = "SLAP_LAB";
/// Bytes of a remembered path that are read.
const PATH_BYTES_MAX: u64 = 8192;
/// Symbolic links that are followed for one path, as Linux's ELOOP limit.
const LINKS_MAX: u32 = 40;
/// Random names that are tried for a new directory.
const ATTEMPTS_MAX: u32 = 100;

/// The directory of the lab that is meant, absolute and without symbolic links: processes are found by it.
pub(super) fn chosen(env: &Env, flag: Option<&Path>) -> Result<PathBuf, String> {
    if let Some(named) = named(env, flag) {
        return Ok(named);
    }
    let hint = "hint: `slap lab up` makes a lab; `--dir DIR` or the variable SLAP_LAB names one";
    let Some(file) = memory(env) else {
        return Err(format!("no lab is named, and without HOME none is remembered\n{hint}"));
    };
    let remembered = env.files().read_text(&file, PATH_BYTES_MAX);
    let path = remembered.map_err(|_| format!("no lab is named, and none is remembered\n{hint}"))?;
    Ok(canonical(env, Path::new(path.trim_end_matches('\n'))))
}

/// The directory that the user named, absolute and without symbolic links.
pub(super) fn named(env: &Env, flag: Option<&Path>) -> Option<PathBuf> {
    let named = flag.map(Path::to_owned).or_else(|| env.context().variable(VARIABLE).map(PathBuf::from))?;
    Some(canonical(env, &env.context().absolute(named)))
}

/// An absolute path without symbolic links, so that a lab has one name however it is reached. What does not exist has no links,
/// and what cannot be looked at is left as it is: whoever uses the path will say why.
fn canonical(env: &Env, path: &Path) -> PathBuf {
    let mut waiting = vec![path.to_owned()];
    let mut real = PathBuf::from("/");
    let mut links = 0;
    while let Some(rest) = waiting.pop() {
        let mut components = rest.components();
        let Some(first) = components.next() else { continue };
        waiting.push(components.as_path().to_owned());
        match first {
            Component::RootDir => real = PathBuf::from("/"),
            Component::ParentDir => {
                real.pop();
            }
            Component::Normal(name) => {
                let next = real.join(name);
                match env.files().read_link(&next) {
                    Ok(target) if links < LINKS_MAX => {
                        links += 1;
                        waiting.push(target);
                    }
                    _ => real = next,
                }
            }
            Component::CurDir | Component::Prefix(_) => {}
        }
    }
    real
}

/// Refuses a directory of another user: whoever it belongs to decides what is in it, and so what would be run and
/// written as this one. Root is no exception.
pub(super) fn check_owner(env: &Env, directory: &Path) -> Result<(), String> {
    let own = env.context().user;
    for path in [directory.to_owned(), directory.join("lab.json")] {
        let Ok(metadata) = env.files().symlink_metadata(&path) else { continue };
        if metadata.user != own {
            return Err(format!(
                "{} belongs to user number {}, and this is user number {own}\n\
                 hint: a lab is used by its owner only: work as that user, or name another --dir",
                path.display(),
                metadata.user
            ));
        }
    }
    Ok(())
}

/// A fresh directory for a lab: below TMPDIR, else /tmp.
pub(super) fn fresh(env: &Env) -> Result<PathBuf, String> {
    let parent = env.context().absolute(env.context().variable("TMPDIR").unwrap_or("/tmp"));
    let parent = canonical(env, &parent);
    for _ in 0..ATTEMPTS_MAX {
        let name: String = (0..8)
            .map(|_| char::from(b"abcdefghijklmnopqrstuvwxyz234567"[env.random_below(32) as usize]))
            .collect();
        let path = parent.join(format!("slap-lab-{name}"));
        match env.files().symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(path),
            _ => {}
        }
    }
    Err(format!("no free name for a directory in {}\nhint: name one with --dir", parent.display()))
}

/// Remembers a lab. Without HOME it is not remembered, and that is all right: its directory was printed.
pub(super) fn remember(env: &Env, directory: &Path) {
    let Some(file) = memory(env) else { return };
    let parent = file.parent().unwrap_or(Path::new("/"));
    let text = format!("{}\n", directory.display());
    let written = env
        .files()
        .create_directory(parent, 0o700)
        .and_then(|()| env.files().replace(&file, text.as_bytes(), 0o600));
    if let Err(error) = written {
        env.tell(format_args!("warning: this lab is not remembered: {}: {error}", file.display()));
        env.tell(format_args!("hint: name it with --dir {}", directory.display()));
    }
}

/// Forgets a lab, if it is the one that is remembered.
pub(super) fn forget(env: &Env, directory: &Path) {
    let Some(file) = memory(env) else { return };
    let remembered = env.files().read_text(&file, PATH_BYTES_MAX);
    if remembered.is_ok_and(|path| Path::new(path.trim_end_matches('\n')) == directory) {
        // The worst that a failure does is a hint to a directory that is gone.
        let _ = env.files().remove_file(&file);
    }
}

/// Refuses what is there already and is no lab: a file, or a directory with something in it.
pub(super) fn check_free(env: &Env, directory: &Path) -> Result<(), String> {
    let refuse = |what: &str| {
        Err(format!(
            "--dir {}: {what}\nhint: name a directory that does not exist yet, is empty, or is a lab's",
            directory.display()
        ))
    };
    match env.files().metadata(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => refuse(&error.to_string()),
        Ok(metadata) if metadata.kind != FileKind::Directory => refuse("it is not a directory"),
        Ok(_) => match env.files().list(directory) {
            Ok(names) if names.is_empty() || is_half_made(&names) => Ok(()),
            Ok(_) => refuse("it is not empty, and it is no lab"),
            Err(error) => refuse(&error.to_string()),
        },
    }
}

/// Whether these are the names of a lab of which an `up` that was killed had made nothing yet: its lock, perhaps half a
/// description, and nothing else. All that comes later comes with a description.
pub(super) fn is_half_made(names: &[String]) -> bool {
    let is_ours = |name: &String| name == "lab.lock" || is_temporary(name);
    names.iter().any(|name| name == "lab.lock") && names.iter().all(is_ours)
}

/// Whether this is the name of a file that a killed program was about to put into place.
pub(super) fn is_temporary(name: &str) -> bool {
    name.starts_with(".slap-") && name.ends_with(".tmp")
}

fn memory(env: &Env) -> Option<PathBuf> {
    let state = match env.context().variable("XDG_STATE_HOME") {
        Some(state) if Path::new(state).is_absolute() => PathBuf::from(state),
        _ => Path::new(env.context().variable("HOME")?).join(".local/state"),
    };
    Some(state.join("slap/lab"))
}
