//! What is said when a disk takes nothing more: the one place that knows how the system tells it.

use super::Files;
use std::{io, path::Path};

/// Whether an error says that nothing more can be written: no block, no inode (both ENOSPC), or no quota (EDQUOT) is left.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// An error with its path. What is full is called so, and followed by a line that begins with `hint: `.
pub fn explain(files: &dyn Files, path: &Path, error: &io::Error) -> String {
    let place = path.display().to_string();
    match reason(files, path, error) {
        (reason, Some(hint)) => format!("{place}: {reason}\nhint: {hint}"),
        (reason, None) if reason.contains(&place) => reason,
        (reason, None) => format!("{place}: {reason}"),
    }
}

/// Why something cannot be written at a path, for a message that names the path by itself; with a hint, if the disk is full.
pub fn reason(files: &dyn Files, path: &Path, error: &io::Error) -> (String, Option<&'static str>) {
    let text = error.to_string();
    let said = text.strip_prefix(&format!("{}: ", path.display())).unwrap_or(&text);
    let (what, hint) = match error.kind() {
        io::ErrorKind::QuotaExceeded => {
            ("this user's quota of the disk is used up", "make room, or ask for more; `quota` shows it")
        }
        io::ErrorKind::StorageFull if !has_names(files, path) => (
            "the disk is full: it has no inode left for another file",
            "remove files, however small; `df -i` shows how many a disk may have",
        ),
        io::ErrorKind::StorageFull => ("the disk is full", "make room; `df` shows how much there is"),
        _ => return (said.to_owned(), None),
    };
    (format!("{what} ({said})"), Some(hint))
}

/// Whether the file system that a path is on, or would be, takes another file. Where that is not known, it does.
fn has_names(files: &dyn Files, path: &Path) -> bool {
    let free = path.ancestors().find_map(|directory| files.free_names(directory).ok());
    free.flatten().is_none_or(|free| free > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::real;

    #[test]
    fn what_is_full_is_called_so() {
        let env = real::env();
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("not/there/yet");
        let check = |error: io::Error, expected: &[&str], is_full_too: bool| {
            let said = explain(env.files(), &path, &error);
            assert!(said.starts_with(&format!("{}: ", path.display())), "{said}");
            assert_eq!(said.matches(path.to_str().unwrap()).count(), 1, "{said}");
            assert!(expected.iter().all(|part| said.contains(part)), "{said}");
            assert_eq!((is_full(&error), said.contains("\nhint: ")), (is_full_too, is_full_too), "{said}");
        };
        let full = |text: String| io::Error::new(io::ErrorKind::StorageFull, text);
        check(io::Error::from_raw_os_error(28), &["the disk is full (No space left"], true);
        check(full(format!("{}: no space", path.display())), &["the disk is full (no space)"], true);
        check(io::Error::from_raw_os_error(122), &["quota"], true);
        check(io::Error::from_raw_os_error(13), &["Permission denied"], false);
        let hint = |error| reason(env.files(), &path, &error).1;
        assert!(hint(io::Error::from_raw_os_error(28)).is_some_and(|hint| hint.contains("`df`")));
        assert_eq!(hint(io::Error::from_raw_os_error(13)), None);
    }
}
