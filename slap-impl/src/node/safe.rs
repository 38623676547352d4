//! Writing below a directory whose content somebody else chose.
//!
//! A partition's programs can put links, directories or pipes wherever the node is about to write. Here nothing is
//! written *through* a link: what stands in the way is removed (the link, never what it points to), and files are put
//! into place by rename, which replaces a link instead of following it.

use crate::env::{FileKind, Files, normalize};
use std::{
    io,
    path::{Path, PathBuf},
};

/// How many links a name may be.
const LINKS_MAX: usize = 8;

/// The directory `base/names...`, made if it is missing (with `mode`); a link or file in its place is removed first.
///
/// # Errors
/// Those of the file system. `base` itself must exist.
pub fn directory(files: &dyn Files, base: &Path, names: &[&str], mode: u32) -> io::Result<PathBuf> {
    let mut path = base.to_path_buf();
    for name in names {
        path.push(name);
        match files.symlink_metadata(&path) {
            Ok(metadata) if metadata.kind == FileKind::Directory => continue,
            Ok(_) => files.remove_file(&path)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        files.create_directory(&path, mode)?;
    }
    Ok(path)
}

/// Puts a file into place by rename: a reader sees the old or the new content. Unlike [`Files::replace`] it does not
/// wait for the disk: for content that is made anew after a crash.
///
/// # Errors
/// Those of the file system.
pub fn put(files: &dyn Files, path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    name.insert(0, '.');
    name.push_str(".tmp");
    let temporary = path.with_file_name(name);
    files.remove_any(&temporary)?;
    files.write(&temporary, content, mode)?;
    if files.symlink_metadata(path).is_ok_and(|metadata| metadata.kind == FileKind::Directory) {
        files.remove_tree(path)?;
    }
    files.rename(&temporary, path).inspect_err(|_| {
        files.remove_any(&temporary).ok();
    })
}

/// A regular file's content; `None` when it is missing, is a link or no regular file, or is longer than `limit`.
pub fn read(files: &dyn Files, path: &Path, limit: u64) -> Option<Vec<u8>> {
    let metadata = files.symlink_metadata(path).ok()?;
    if metadata.kind != FileKind::File {
        return None;
    }
    files.read(path, limit).ok()
}

/// Like [`read`], as text without blanks at its ends.
pub fn read_text(files: &dyn Files, path: &Path, limit: u64) -> Option<String> {
    String::from_utf8(read(files, path, limit)?).ok().map(|text| text.trim().to_owned())
}

/// The end of a file, at most `limit` bytes, as text; of a longer one the whole lines, or, when a line is longer than that, its end behind
/// `...`. Empty when it cannot be read.
pub fn tail_text(files: &dyn Files, path: &Path, limit: u64) -> String {
    // A byte more says whether something stands before, and whether that is a line's end.
    let bytes = files.read_tail(path, limit.saturating_add(1)).unwrap_or_default();
    if bytes.len() as u64 <= limit {
        return String::from_utf8_lossy(&bytes).into_owned();
    }
    match whole_lines(&bytes) {
        [] => format!("...{}", String::from_utf8_lossy(&bytes[1..])),
        lines => String::from_utf8_lossy(lines).into_owned(),
    }
}

/// The file of that name in `base`, its links followed as long as they stay inside `base`; `None` when they do not,
/// or there is no file.
pub fn resolve_inside(files: &dyn Files, base: &Path, name: &str) -> Option<PathBuf> {
    let mut path = base.join(name);
    for _ in 0..LINKS_MAX {
        match files.symlink_metadata(&path).ok()?.kind {
            FileKind::File => return Some(path),
            FileKind::Symlink => {
                let target = files.read_link(&path).ok()?;
                path = normalize(&path.parent()?.join(target));
                if !path.starts_with(base) || !parents_are_real(files, base, &path) {
                    return None;
                }
            }
            FileKind::Directory | FileKind::Device | FileKind::Other => return None,
        }
    }
    None
}

/// Whether all directories between `base` and a file are directories themselves, no links.
fn parents_are_real(files: &dyn Files, base: &Path, path: &Path) -> bool {
    let parents = path.ancestors().skip(1).take_while(|parent| *parent != base);
    parents.into_iter().all(|parent| {
        files.symlink_metadata(parent).is_ok_and(|metadata| metadata.kind == FileKind::Directory)
    })
}

/// Adds a text to a log of at most `limit` bytes: when it would grow beyond, its older half goes, at a line's end.
///
/// # Errors
/// Those of the file system.
pub fn append_bounded(files: &dyn Files, path: &Path, text: &str, limit: u64, mode: u32) -> io::Result<()> {
    let length = match files.symlink_metadata(path) {
        Ok(metadata) if metadata.kind == FileKind::File => metadata.length,
        Ok(_) => {
            files.remove_any(path)?;
            0
        }
        Err(_) => 0,
    };
    if length + text.len() as u64 <= limit {
        return files.append(path, text.as_bytes(), mode);
    }
    let kept = files.read_tail(path, limit / 2).unwrap_or_default();
    let mut content = whole_lines(&kept).to_vec();
    content.extend_from_slice(text.as_bytes());
    let excess = content.len().saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX));
    put(files, path, &content[excess..], mode)
}

/// `tail` from its first whole line on.
fn whole_lines(tail: &[u8]) -> &[u8] {
    tail.iter().position(|byte| *byte == b'\n').map_or(&[], |end| &tail[end + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_log_begins_with_a_whole_line() {
        assert_eq!(whole_lines(b"rest of a line\nnext\n"), b"next\n");
        assert_eq!(whole_lines(b"no end"), b"");
    }
}
