//! What a run may delete: only what lies inside the buildout directory, and never through a symbolic link.
//!
//! The paths come from recipes and from the installed file, which belongs to the partition; neither is trusted.

use crate::env::{FileKind, Files, normalize};
use std::{
    io,
    path::{Component, Path},
};

/// Removes a file, link or directory tree that lies strictly inside `directory`; one that is gone already is fine.
///
/// # Errors
/// A sentence when the path lies elsewhere, leads through a symbolic link, or cannot be removed.
pub fn remove(files: &dyn Files, directory: &Path, path: &Path) -> Result<(), String> {
    let refused = |reason: &str| format!("{} is not removed: {reason}", path.display());
    let absolute = normalize(&directory.join(path));
    // `a/../b` is only the same as `b` where `a` is no link.
    if path.components().any(|component| component == Component::ParentDir) {
        return Err(refused("it contains `..`"));
    }
    let inside = match absolute.strip_prefix(directory) {
        Ok(inside) if !inside.as_os_str().is_empty() => inside,
        _ => return Err(refused(&format!("it is not inside {}", directory.display()))),
    };
    let mut parent = directory.to_owned();
    let names: Vec<Component<'_>> = inside.components().collect();
    for name in &names[..names.len() - 1] {
        parent.push(name);
        match files.symlink_metadata(&parent) {
            Ok(metadata) if metadata.kind == FileKind::Directory => {}
            Ok(metadata) if metadata.kind == FileKind::Symlink => {
                return Err(refused(&format!("{} is a symbolic link", parent.display())));
            }
            // A name below a file, or below nothing, stands for nothing.
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(refused(&error.to_string())),
        }
    }
    files.remove_any(&absolute).map_err(|error| refused(&error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::real;

    #[test]
    fn only_what_lies_inside() {
        let outer = tempfile::tempdir().expect("a directory");
        let outer = outer.path();
        let env = real::env();
        let files = env.files();
        let directory = outer.join("partition");
        files.create_directory(&directory.join("etc/run"), 0o700).expect("made");
        files.create_directory(&outer.join("elsewhere"), 0o700).expect("made");
        for name in ["elsewhere/keep", "partition/etc/run/a", "partition/b"] {
            files.write(&outer.join(name), b"x", 0o600).expect("written");
        }
        files.symlink(&outer.join("elsewhere"), &directory.join("link")).expect("linked");
        for (path, removed) in [
            ("/etc/passwd-that-does-not-exist", false),
            ("../elsewhere/keep", false),
            ("link/keep", false),
            ("etc/../link/keep", false),
            (".", false),
            ("", false),
            ("b", true),
            ("b", true),
            ("b/c", true),
            ("gone/x", true),
            ("etc", true),
            // The link itself goes, not what it says.
            ("link", true),
        ] {
            let result = remove(files, &directory, Path::new(path));
            assert_eq!(result.is_ok(), removed, "{path}: {result:?}");
        }
        assert!(remove(files, &directory, &outer.join("elsewhere")).is_err());
        assert!(remove(files, &directory, &directory).is_err());
        assert!(files.exists(&outer.join("elsewhere/keep")));
        assert_eq!(files.list(&directory).expect("listed"), Vec::<String>::new());
    }
}
