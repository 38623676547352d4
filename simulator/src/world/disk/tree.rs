//! A map by absolute path, in the order of paths: what is below a directory follows it.
//!
//! Its keys are bytes with a zero for each slash, because to compare paths by their components takes most of a world's time. What is looked up by
//! its name is found by a hash of the path as it is written.

use super::hash::Quick;
use indexmap::IndexMap;
use std::{
    collections::BTreeMap,
    ffi::OsStr,
    ops::Bound,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    rc::Rc,
};

/// A path, and what stands there.
type Entry<T> = (Rc<[u8]>, T);

/// Values by absolute path without `.`, `..` and doubled slashes.
#[derive(Clone)]
pub(crate) struct Tree<T> {
    entries: BTreeMap<Box<[u8]>, Entry<T>>,
    /// The same by their paths. Its order is not used.
    index: IndexMap<Rc<[u8]>, T, Quick>,
}

impl<T> Default for Tree<T> {
    fn default() -> Tree<T> {
        Tree { entries: BTreeMap::new(), index: IndexMap::default() }
    }
}

impl<T: Clone> Tree<T> {
    pub(crate) fn get(&self, path: &Path) -> Option<&T> {
        self.index.get(written(path))
    }

    pub(crate) fn insert(&mut self, path: PathBuf, value: T) {
        let written: Rc<[u8]> = written(&path).into();
        self.index.insert(written.clone(), value.clone());
        self.entries.insert(key(&path), (written, value));
    }

    pub(crate) fn remove(&mut self, path: &Path) -> Option<T> {
        self.index.swap_remove(written(path))?;
        self.entries.remove(&key(path)).map(|(_, value)| value)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Path, &T)> {
        self.entries.values().map(|(path, value)| (path_of(path), value))
    }

    /// Looks at each value, in order, and takes another one for it where one is given.
    pub(crate) fn renew(&mut self, mut renewed: impl FnMut(&Path, &T) -> Option<T>) {
        for (path, value) in self.entries.values_mut() {
            if let Some(new) = renewed(path_of(path), value) {
                self.index.insert(path.clone(), new.clone());
                *value = new;
            }
        }
    }

    /// All that is below a path, in order, and not the path itself.
    pub(crate) fn below(&self, path: &Path) -> impl Iterator<Item = &Path> {
        let start = inside(path);
        let entries = self.entries.range::<[u8], _>((Bound::Included(&start[..]), Bound::Unbounded));
        entries.take_while(move |(key, _)| key.starts_with(&start)).map(|(_, (path, _))| path_of(path))
    }

    /// What is directly below a path, in order: what is below that is not looked at.
    pub(crate) fn children(&self, path: &Path) -> Vec<&Path> {
        let start = inside(path);
        let mut next = start.clone();
        let mut found = Vec::new();
        let from =
            |next: &[u8]| self.entries.range::<[u8], _>((Bound::Included(next), Bound::Unbounded)).next();
        while let Some((key, (path, _))) = from(&next).filter(|(key, _)| key.starts_with(&start)) {
            // What is below it continues with a zero.
            next.clear();
            next.extend_from_slice(key);
            next.push(1);
            found.push(path_of(path));
        }
        found
    }
}

impl<T: Clone> FromIterator<(PathBuf, T)> for Tree<T> {
    fn from_iter<I: IntoIterator<Item = (PathBuf, T)>>(entries: I) -> Tree<T> {
        let mut tree = Tree::default();
        entries.into_iter().for_each(|(path, value)| tree.insert(path, value));
        tree
    }
}

/// A path without the slash at its end.
fn written(path: &Path) -> &[u8] {
    let path = path.as_os_str().as_bytes();
    path.strip_suffix(b"/").unwrap_or(path)
}

fn path_of(written: &[u8]) -> &Path {
    let root: &[u8] = b"/";
    Path::new(OsStr::from_bytes(if written.is_empty() { root } else { written }))
}

fn key(path: &Path) -> Box<[u8]> {
    written(path).iter().map(|byte| if *byte == b'/' { 0 } else { *byte }).collect()
}

/// What the keys of all that is below a path begin with.
fn inside(path: &Path) -> Vec<u8> {
    let mut start = key(path).into_vec();
    start.push(0);
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree<usize> {
        let paths = ["/", "/a", "/a-b", "/a/x", "/a/x/y", "/a/\u{1}", "/b"];
        paths.iter().enumerate().map(|(number, path)| (PathBuf::from(path), number)).collect()
    }

    #[test]
    fn it_is_in_the_order_of_paths() {
        let tree = tree();
        let found: Vec<&Path> = tree.iter().map(|(path, _)| path).collect();
        let mut sorted = found.clone();
        sorted.sort();
        assert_eq!(found, sorted);
        assert_eq!(tree.get(Path::new("/a/x/")), Some(&3));
        assert_eq!(tree.get(Path::new("/a/")), tree.get(Path::new("/a")));
        assert_eq!(tree.get(Path::new("/c")), None);
    }

    #[test]
    fn what_is_below_and_directly_below() {
        let tree = tree();
        for (path, below, children) in [
            ("/", "/a /a/\u{1} /a/x /a/x/y /a-b /b", "/a /a-b /b"),
            ("/a", "/a/\u{1} /a/x /a/x/y", "/a/\u{1} /a/x"),
            ("/a-b", "", ""),
            ("/none", "", ""),
        ] {
            let shown = |paths: Vec<&Path>| {
                paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" ")
            };
            assert_eq!(shown(tree.below(Path::new(path)).collect()), below, "{path}");
            assert_eq!(shown(tree.children(Path::new(path))), children, "{path}");
        }
    }

    #[test]
    fn what_is_removed_is_gone() {
        let mut tree = tree();
        assert_eq!(tree.remove(Path::new("/a")), Some(1));
        assert_eq!((tree.get(Path::new("/a")), tree.get(Path::new("/a/x"))), (None, Some(&3)));
        tree.renew(|_, number| (*number != 2).then_some(number + 1));
        assert_eq!(tree.get(Path::new("/b")), Some(&7));
    }
}
