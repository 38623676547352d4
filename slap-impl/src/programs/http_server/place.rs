//! From a request's path to a file, never out of the served directory: neither by `..`, nor by an encoded slash, nor by a symbolic link.
//!
//! Links are resolved one by one, and each step is checked. Between this and the reading, only whoever may write in the directory could change
//! it, and he may read what the server may.

use crate::env::{Env, FileKind, Metadata};
use std::{
    collections::VecDeque,
    io,
    path::{Component, Path, PathBuf},
};

const LINKS_MAX: usize = 40;

/// Something in the served directory, with all links resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    pub(super) metadata: Metadata,
}

/// Why a path leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PlaceError {
    /// It leads out of the directory.
    Outside,
    /// There is nothing.
    Missing,
}

/// The directory with its own links resolved.
///
/// # Errors
/// When it is no directory.
pub(super) fn real_directory(env: &Env, directory: &Path) -> io::Result<PathBuf> {
    let missing = || io::Error::new(io::ErrorKind::NotFound, "there is no such directory");
    let place = resolve(env, Path::new("/"), directory).map_err(|_| missing())?;
    match place.metadata.kind {
        FileKind::Directory => Ok(place.path),
        _ => Err(io::Error::new(io::ErrorKind::NotADirectory, "it is not a directory")),
    }
}

/// What a request's path stands for.
///
/// # Errors
/// [`PlaceError`].
pub(super) fn of_request(env: &Env, directory: &Path, path: &str) -> Result<Place, PlaceError> {
    let decoded = decode(path)?;
    resolve(env, directory, &directory.join(relative(&decoded)?))
}

/// Where a file of that name is to be written; directories above it are made.
///
/// # Errors
/// [`PlaceError`].
pub(super) fn to_write(env: &Env, directory: &Path, name: &str) -> Result<PathBuf, PlaceError> {
    if name.contains('\0') {
        return Err(PlaceError::Missing);
    }
    // An absolute path inside the directory is as good.
    let name = match Path::new(name).strip_prefix(directory) {
        Ok(rest) => rest.to_str().ok_or(PlaceError::Missing)?,
        Err(_) if name.starts_with('/') => return Err(PlaceError::Outside),
        Err(_) => name,
    };
    let mut components: Vec<&str> = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(components.pop().ok_or(PlaceError::Outside)?),
            part => components.push(part),
        }
    }
    let file = components.pop().ok_or(PlaceError::Missing)?;
    let mut place = directory.to_owned();
    for component in components {
        let below = place.join(component);
        if env.files().symlink_metadata(&below).is_err() {
            env.files().create_directory(&below, 0o750).map_err(|_| PlaceError::Missing)?;
        }
        let resolved = resolve(env, directory, &below)?;
        if resolved.metadata.kind != FileKind::Directory {
            return Err(PlaceError::Missing);
        }
        place = resolved.path;
    }
    let target = place.join(file);
    match env.files().symlink_metadata(&target) {
        Err(_) => Ok(target),
        Ok(_) => match resolve(env, directory, &target)? {
            Place { path, metadata } if metadata.kind == FileKind::File => Ok(path),
            _ => Err(PlaceError::Missing),
        },
    }
}

/// A path without its percent escapes.
///
/// # Errors
/// [`PlaceError::Missing`] when it is not UTF-8 then, or hides a slash or a zero byte.
pub(super) fn decode(path: &str) -> Result<String, PlaceError> {
    let hides = path.to_ascii_lowercase();
    if hides.contains("%2f") || hides.contains("%00") || path.contains('\0') {
        return Err(PlaceError::Missing);
    }
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8();
    decoded.map(std::borrow::Cow::into_owned).map_err(|_| PlaceError::Missing)
}

fn relative(path: &str) -> Result<PathBuf, PlaceError> {
    let mut relative = PathBuf::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            // Python leaves such parts out; no browser sends them.
            ".." => return Err(PlaceError::Outside),
            part => relative.push(part),
        }
    }
    Ok(relative)
}

/// Follows `path` link by link; what it finds is in `root`.
fn resolve(env: &Env, root: &Path, path: &Path) -> Result<Place, PlaceError> {
    let mut links = 0;
    let mut found = PathBuf::from("/");
    let mut rest: VecDeque<PathBuf> = components(path);
    while let Some(part) = rest.pop_front() {
        if part == Path::new("..") {
            found.pop();
            continue;
        }
        let next = found.join(&part);
        let metadata = env.files().symlink_metadata(&next).map_err(|_| missing_in(root, &next))?;
        if metadata.kind != FileKind::Symlink {
            found = next;
            continue;
        }
        links += 1;
        let target = env.files().read_link(&next).map_err(|_| PlaceError::Missing)?;
        if links > LINKS_MAX {
            return Err(PlaceError::Missing);
        }
        if target.is_absolute() {
            found = PathBuf::from("/");
        }
        for component in components(&target).into_iter().rev() {
            rest.push_front(component);
        }
    }
    if !found.starts_with(root) {
        return Err(PlaceError::Outside);
    }
    let metadata = env.files().symlink_metadata(&found).map_err(|_| PlaceError::Missing)?;
    Ok(Place { path: found, metadata })
}

/// Whether something outside exists is nobody's business.
fn missing_in(root: &Path, path: &Path) -> PlaceError {
    if path.starts_with(root) { PlaceError::Missing } else { PlaceError::Outside }
}

fn components(path: &Path) -> VecDeque<PathBuf> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(part) => Some(PathBuf::from(part)),
            Component::ParentDir => Some(PathBuf::from("..")),
            _ => None,
        })
        .collect()
}
