//! Removal of a whole tree that somebody else filled.
//!
//! Nothing is reached by path below the top: each directory is opened without following links, relative to the top's
//! descriptor. Directories found in a directory are moved up into the top, so that no depth exhausts stack or
//! descriptors. A directory whose owner took his own permissions away gets them back first.

use rustix::{
    fs::{AtFlags, CWD, Dir, Mode, OFlags, openat, renameat, unlinkat},
    io::Errno,
};
use std::{
    ffi::CString,
    fs::{self, Permissions},
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::fs::PermissionsExt,
    },
    path::Path,
};

/// Names read from a directory at once, so that memory is bounded.
const NAMES_MAX: usize = 4096;

/// Removes the directory `path` and all that is in it.
///
/// # Errors
/// When `path` is no directory (a symbolic link is none), or something in it cannot be removed.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    let top = open_directory(CWD, path)?;
    let mut number = 0_u64;
    loop {
        let names = names(&top)?;
        if names.is_empty() {
            break;
        }
        for name in names {
            remove_entry(&top, &name, &mut number)?;
        }
    }
    drop(top);
    fs::remove_dir(path)
}

/// Removes `name` from the top; directories in it move up.
fn remove_entry(top: &OwnedFd, name: &CString, number: &mut u64) -> io::Result<()> {
    if unlink_file(top.as_fd(), name)? {
        return Ok(());
    }
    let directory = open_directory(top.as_fd(), name.as_c_str())?;
    loop {
        let names = names(&directory)?;
        if names.is_empty() {
            break;
        }
        for inner in names {
            if !unlink_file(directory.as_fd(), &inner)? {
                move_up(&directory, &inner, top, number)?;
            }
        }
    }
    Ok(unlinkat(top, name.as_c_str(), AtFlags::REMOVEDIR)?)
}

/// Whether `name` was something else than a directory, and is gone now.
fn unlink_file(directory: BorrowedFd<'_>, name: &CString) -> io::Result<bool> {
    match unlinkat(directory, name.as_c_str(), AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::ISDIR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn move_up(from: &OwnedFd, name: &CString, top: &OwnedFd, number: &mut u64) -> io::Result<()> {
    // A directory is moved only by who may write in it: its `..` changes.
    drop(open_directory(from.as_fd(), name.as_c_str())?);
    loop {
        let new_name = format!(".slap-removed-{number}");
        *number += 1;
        match renameat(from, name.as_c_str(), top, new_name.as_str()) {
            // The tree holds such a name by itself.
            Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR) => {}
            other => return Ok(other?),
        }
    }
}

/// Opens a directory to list and change it, giving its owner the permissions if need be.
fn open_directory<P: rustix::path::Arg + Copy>(at: BorrowedFd<'_>, name: P) -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let handle = openat(at, name, flags | OFlags::PATH, Mode::empty())?;
    let real_path = format!("/proc/self/fd/{}", handle.as_raw_fd());
    let mode = fs::metadata(&real_path)?.permissions().mode() & 0o7777;
    if mode & 0o700 != 0o700 {
        fs::set_permissions(&real_path, Permissions::from_mode(mode | 0o700))?;
    }
    Ok(openat(&handle, ".", flags | OFlags::RDONLY, Mode::empty())?)
}

fn names(directory: &OwnedFd) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let name = entry?.file_name().to_owned();
        if name.as_bytes() != b"." && name.as_bytes() != b".." {
            names.push(name);
        }
        if names.len() >= NAMES_MAX {
            break;
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_removed_and_what_they_point_to_is_not() {
        let place = tempfile::tempdir().unwrap();
        let outside = place.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("precious"), "1").unwrap();
        let tree = place.path().join("tree");
        fs::create_dir_all(tree.join("a/b")).unwrap();
        symlink(&outside, tree.join("a/link")).unwrap();
        symlink(&outside, tree.join("link")).unwrap();
        symlink("nowhere", tree.join("a/b/dangling")).unwrap();
        remove(&tree).unwrap();
        assert!(!tree.exists());
        assert!(outside.join("precious").exists());

        let link = place.path().join("link");
        symlink(&outside, &link).unwrap();
        assert!(remove(&link).is_err());
        assert!(outside.join("precious").exists());
    }

    #[test]
    fn directories_without_permissions_are_removed() {
        let place = tempfile::tempdir().unwrap();
        let tree = place.path().join("tree");
        fs::create_dir_all(tree.join("a/b/c")).unwrap();
        fs::write(tree.join("a/b/c/file"), "").unwrap();
        for (path, mode) in [("a/b/c", 0o500), ("a/b", 0), ("a", 0o100), ("", 0)] {
            fs::set_permissions(tree.join(path), Permissions::from_mode(mode)).unwrap();
        }
        remove(&tree).unwrap();
        assert!(!tree.exists());
    }

    #[test]
    fn a_tree_deeper_than_any_path_is_removed() {
        let place = tempfile::tempdir().unwrap();
        let tree = place.path().join("tree");
        fs::create_dir(&tree).unwrap();
        let mut directory = openat(CWD, &tree, OFlags::DIRECTORY, Mode::empty()).unwrap();
        let name = "x".repeat(200);
        for _ in 0..300 {
            rustix::fs::mkdirat(&directory, name.as_str(), Mode::from_raw_mode(0o700)).unwrap();
            directory = openat(&directory, name.as_str(), OFlags::DIRECTORY, Mode::empty()).unwrap();
        }
        fs::write(tree.join(".slap-removed-0"), "").unwrap();
        fs::create_dir_all(tree.join(".slap-removed-1/full")).unwrap();
        remove(&tree).unwrap();
        assert!(!tree.exists());
    }
}
