//! A map by absolute path, in the order of paths: what is below a directory follows it.
//!
//! Its keys are bytes with a zero for each slash, because to compare paths by their components takes most of a world's time. What is looked up by
//! its name is found by a hash, whose keys are always the same: a world of a thousand machines spends its time in look-ups.

use indexmap::IndexMap;
use std::{
    cell::RefCell,
    collections::BTreeMap,
    hash::{BuildHasherDefault, DefaultHasher},
    ops::Bound,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    rc::Rc,
};

/// Values by absolute path without `.`, `..` and doubled slashes.
#[derive(Clone)]
pub(crate) struct Tree<T> {
    entries: BTreeMap<Rc<[u8]>, (PathBuf, T)>,
    /// The same by the hash of their keys. Its order is not used.
    index: IndexMap<Rc<[u8]>, T, BuildHasherDefault<DefaultHasher>>,
    /// The key of the last look-up, whose room is used again.
    scratch: RefCell<Vec<u8>>,
}

impl<T> Default for Tree<T> {
    fn default() -> Tree<T> {
        Tree { entries: BTreeMap::new(), index: IndexMap::default(), scratch: RefCell::default() }
    }
}

impl<T: Clone> Tree<T> {
    pub(crate) fn get(&self, path: &Path) -> Option<&T> {
        let mut key = self.scratch.borrow_mut();
        key.clear();
        extend(&mut key, path.as_os_str().as_bytes());
        self.index.get(&key[..])
    }

    pub(crate) fn insert(&mut self, path: PathBuf, value: T) {
        let key = key(&path);
        self.index.insert(key.clone(), value.clone());
        self.entries.insert(key, (path, value));
    }

    pub(crate) fn remove(&mut self, path: &Path) -> Option<T> {
        let key = key(path);
        self.index.swap_remove(&key);
        self.entries.remove(&key).map(|(_, value)| value)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Path, &T)> {
        self.entries.values().map(|(path, value)| (path.as_path(), value))
    }

    /// Looks at each value, in order, and takes another one for it where one is given.
    pub(crate) fn renew(&mut self, mut renewed: impl FnMut(&Path, &T) -> Option<T>) {
        for (key, (path, value)) in &mut self.entries {
            if let Some(new) = renewed(path, value) {
                self.index.insert(key.clone(), new.clone());
                *value = new;
            }
        }
    }

    /// All that is below a path, in order, and not the path itself.
    pub(crate) fn below(&self, path: &Path) -> impl Iterator<Item = &Path> {
        let start = inside(path);
        let entries = self.entries.range::<[u8], _>((Bound::Included(&start[..]), Bound::Unbounded));
        entries.take_while(move |(key, _)| key.starts_with(&start)).map(|(_, (path, _))| path.as_path())
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
            found.push(path.as_path());
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

fn key(path: &Path) -> Rc<[u8]> {
    let mut key = Vec::new();
    extend(&mut key, path.as_os_str().as_bytes());
    key.into()
}

/// What the keys of all that is below a path begin with.
fn inside(path: &Path) -> Vec<u8> {
    let mut start = key(path).to_vec();
    start.push(0);
    start
}

fn extend(key: &mut Vec<u8>, path: &[u8]) {
    let path = path.strip_suffix(b"/").unwrap_or(path);
    key.extend(path.iter().map(|byte| if *byte == b'/' { 0 } else { *byte }));
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
