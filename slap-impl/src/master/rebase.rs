//! Local software releases follow a root that moved, when a master starts: whoever moves a directory with master, nodes and
//! profiles says so by `[slapproxy] local_software_release_root` (slapos/proxy/views.py,
//! `_updateLocalSoftwareReleaseRootPathIfNeeded`).

use super::{
    Master,
    decisions::{Command, ROOT_SETTING, Refusal},
};
use crate::{
    store::{self, OpenError},
    vocabulary::SoftwareUrl,
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    rc::Rc,
};

impl Master {
    /// Moves what stands under the root of the last run to `root`; without one, and before the first, that is `/`.
    pub(super) async fn rebase(self: &Rc<Self>, root: Option<PathBuf>) -> Result<(), OpenError> {
        let root = root.map_or_else(|| "/".to_owned(), |root| root.to_string_lossy().into_owned());
        let failed = |refusal: Refusal| OpenError {
            message: format!("[slapproxy] {ROOT_SETTING}: {}", refusal.message),
            hint: "make room, or check that the database can be written".to_owned(),
        };
        let before = self.read(|connection| store::setting(connection, ROOT_SETTING)).map_err(failed)?;
        let before = before.unwrap_or_else(|| "/".to_owned());
        if before == root {
            return Ok(());
        }
        let releases = self.read(store::local_releases).map_err(failed)?;
        let is_file = |path: &str| self.env.files().is_file(Path::new(path));
        let moved: BTreeMap<SoftwareUrl, SoftwareUrl> = releases
            .into_iter()
            .filter_map(|release| {
                let to = rebased(release.as_str(), &before, &root, is_file)?;
                // What would be too long for a URL stays.
                Some((release, to.parse().ok()?))
            })
            .collect();
        self.log.line(format_args!(
            "local software releases are under {root} now, no longer {before}: {} of them are moved",
            moved.len()
        ));
        self.submit(Command::Rebase { root, moved }).await.map(drop).map_err(failed)
    }
}

/// Where a release stands after its root moved; none when it stays. It stays when one root is within the other, when it is not under
/// the old one, and when only the old place has a file.
fn rebased(release: &str, before: &str, after: &str, is_file: impl Fn(&str) -> bool) -> Option<String> {
    if !release.starts_with('/') || release.starts_with("//") {
        return None;
    }
    let (old, new) = (parts(before), parts(after));
    if new.starts_with(&old) || old.starts_with(&new) {
        return None;
    }
    let own = parts(release);
    let rest = own.strip_prefix(old.as_slice())?;
    let moved = format!("/{}", [new.as_slice(), rest].concat().join("/"));
    let is_left_behind = !is_file(&moved) && is_file(release);
    (!is_left_behind).then_some(moved)
}

/// The names in an absolute path, without `.` and `..`; symbolic links are not looked at.
fn parts(path: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_with_its_root() {
        let files = ["/old/left.cfg", "/old/both.cfg", "/new/both.cfg"];
        for (release, before, after, expected) in [
            ("/old/a/software.cfg", "/old", "/new", Some("/new/a/software.cfg")),
            ("/old/./a//b.cfg", "/old/", "/x/../new", Some("/new/a/b.cfg")),
            ("/old", "/old", "/new", Some("/new")),
            ("/old/../other/a.cfg", "/old", "/new", None),
            ("/older/a.cfg", "/old", "/new", None),
            ("http://a/software.cfg", "/old", "/new", None),
            ("//a/software.cfg", "/", "/new", None),
            ("software.cfg", "/old", "/new", None),
            ("/old/left.cfg", "/old", "/new", None),
            ("/old/both.cfg", "/old", "/new", Some("/new/both.cfg")),
            ("/old/sub/a.cfg", "/old", "/old/sub", None),
            ("/old/a.cfg", "/old", "/", None),
            ("/old/a.cfg", "/", "/new", None),
            ("/old/a.cfg", "/old", "/old/", None),
        ] {
            let found = rebased(release, before, after, |path| files.contains(&path));
            assert_eq!(found.as_deref(), expected, "{release} {before} {after}");
        }
    }
}
