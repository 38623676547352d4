//! The names of all files of a disk: those that programs see, those that were synced, and the changes between, in order.
//!
//! The sync of a directory makes its own names durable, and those that lead to it; nothing else. When power is lost, changes that were
//! not synced are drawn; in each directory they are lost from some point on, as a file system with a journal does it.

use super::{
    bytes::{Bytes, Luck, WRITE_BACK},
    hash::Quick,
    tree::Tree,
};
use crate::world::{pipe::MemoryPipe, random::Random, sqlite::Share};
use indexmap::IndexSet;
use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    ffi::OsString,
    path::{Path, PathBuf},
    rc::{Rc, Weak},
};
use tokio::time::Instant;

/// What a name stands for. It lives on without a name as long as somebody has it open.
pub(crate) struct Inode {
    pub(crate) mode: Cell<u32>,
    pub(crate) modified_seconds: Cell<i64>,
    pub(crate) content: Content,
    /// What the connections to a database share.
    pub(crate) share: RefCell<Weak<Share>>,
}

pub(crate) enum Content {
    File(RefCell<Bytes>),
    Directory,
    Symlink(PathBuf),
    Pipe(Rc<MemoryPipe>),
}

type Map = Tree<Rc<Inode>>;

/// The names of a disk, absolute and without symbolic links.
pub(crate) struct Names {
    seen: Map,
    /// Directories of which it is known that neither they nor what leads to them is a symbolic link.
    plain: RefCell<IndexSet<OsString, Quick>>,
    /// None where everything is durable at once.
    kept: Option<Kept>,
}

#[derive(Default)]
struct Kept {
    synced: Map,
    changes: Vec<(Instant, Change)>,
}

#[derive(Clone)]
enum Change {
    Put(PathBuf, Rc<Inode>),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
}

impl Inode {
    pub(crate) fn is_directory(&self) -> bool {
        matches!(self.content, Content::Directory)
    }

    /// The same on another disk. Nobody has it open there, and what nobody has read from a pipe is not on any disk.
    fn copy(&self, remembers: bool) -> Inode {
        let content = match &self.content {
            Content::File(bytes) => Content::File(RefCell::new(bytes.borrow().copy(remembers))),
            Content::Directory => Content::Directory,
            Content::Symlink(target) => Content::Symlink(target.clone()),
            Content::Pipe(_) => Content::Pipe(Rc::default()),
        };
        let (mode, modified_seconds) = (self.mode.clone(), self.modified_seconds.clone());
        Inode { mode, modified_seconds, content, share: RefCell::default() }
    }
}

impl Names {
    pub(crate) fn new(remembers: bool) -> Names {
        Names { seen: Map::default(), plain: RefCell::default(), kept: remembers.then(Kept::default) }
    }

    /// A copy of what is seen on another disk, which is durable on this one.
    pub(crate) fn copy_of(other: &Names, remembers: bool) -> Names {
        let mut names = Names::new(remembers);
        let copied = other.seen.iter().map(|(path, inode)| (path.to_owned(), Rc::new(inode.copy(remembers))));
        names.seen = copied.collect();
        names.sync_all();
        names
    }

    pub(crate) fn get(&self, path: &Path) -> Option<&Rc<Inode>> {
        self.seen.get(path)
    }

    /// Whether a directory is known to be no symbolic link, and nothing that leads to it.
    pub(crate) fn is_plain(&self, directory: &Path) -> bool {
        self.plain.borrow().contains(directory.as_os_str())
    }

    /// Notes that of a directory and of all that leads to it.
    pub(crate) fn note_plain(&self, directory: &Path) {
        self.plain.borrow_mut().extend(directory.ancestors().map(|path| path.as_os_str().to_owned()));
    }

    pub(crate) fn contains(&self, path: &Path) -> bool {
        self.seen.get(path).is_some()
    }

    /// All names below a directory, in order.
    pub(crate) fn below(&self, path: &Path) -> Vec<PathBuf> {
        self.seen.below(path).map(Path::to_owned).collect()
    }

    /// Whether anything is below a directory.
    pub(crate) fn is_empty(&self, path: &Path) -> bool {
        self.seen.below(path).next().is_none()
    }

    /// The names directly in a directory, in order.
    pub(crate) fn children(&self, path: &Path) -> Vec<&Path> {
        self.seen.children(path)
    }

    pub(crate) fn put(&mut self, path: &Path, inode: Rc<Inode>, now: Instant) {
        self.change(Change::Put(path.to_owned(), inode), now);
    }

    /// Takes away one name.
    pub(crate) fn remove(&mut self, path: &Path, now: Instant) {
        self.change(Change::Remove(path.to_owned()), now);
    }

    /// Moves a name, with all below it.
    pub(crate) fn rename(&mut self, from: &Path, to: &Path, now: Instant) {
        self.change(Change::Rename(from.to_owned(), to.to_owned()), now);
    }

    /// Makes durable what was done in a directory, and the names that lead to it.
    pub(crate) fn sync(&mut self, directory: &Path) {
        let Some(Kept { synced, changes }) = &mut self.kept else { return };
        // From the last to the first, because a rename leads to where something was before.
        let mut inside = BTreeSet::from([directory.to_owned()]);
        let mut leading = inside.clone();
        let mut is_chosen = vec![false; changes.len()];
        for (position, (_, change)) in changes.iter().enumerate().rev() {
            let is_in = |path: &&Path| path.parent().is_some_and(|parent| inside.contains(parent));
            let leads = |path: &&Path| leading.iter().any(|other| other.starts_with(path));
            if !change.paths().iter().any(|path| is_in(path) || leads(path)) {
                continue;
            }
            is_chosen[position] = true;
            leading.extend(change.paths().into_iter().filter_map(Path::parent).map(Path::to_owned));
            // A directory whose removal is durable has nothing in it any more.
            if let Change::Remove(path) = change {
                inside.insert(path.clone());
            }
            if let Change::Rename(from, to) = change {
                leading.insert(from.clone());
                let rests = inside.iter().filter_map(|path| path.strip_prefix(to).ok());
                let before: Vec<PathBuf> = rests.map(|rest| from.join(rest)).collect();
                inside.extend(before);
            }
        }
        let mut chosen = is_chosen.into_iter();
        changes.retain(|(_, change)| {
            let is_chosen = chosen.next().unwrap_or_default();
            if is_chosen {
                apply(synced, change);
            }
            !is_chosen
        });
    }

    /// Makes everything durable, as an installer does.
    pub(crate) fn sync_all(&mut self) {
        if let Some(kept) = &mut self.kept {
            kept.changes.clear();
            kept.synced.clone_from(&self.seen);
            for (_, inode) in self.seen.iter() {
                if let Content::File(bytes) = &inode.content {
                    bytes.borrow_mut().sync();
                }
            }
        }
    }

    /// The power is lost: from now on what is left is seen, and it is durable. Returns what had been removed, and is there again.
    pub(crate) fn lose(&mut self, random: &Random, luck: Luck) -> Vec<PathBuf> {
        let Some(Kept { synced, changes }) = &mut self.kept else { return Vec::new() };
        let names = random.child("names");
        let mut behind: BTreeSet<PathBuf> = BTreeSet::new();
        let mut removed = Vec::new();
        for (_, change) in changes.drain(..) {
            let parents = || change.paths().into_iter().filter_map(Path::parent);
            let is_lost = match luck {
                Luck::Nothing => true,
                Luck::Everything => false,
                Luck::Mixed => parents().any(|parent| behind.contains(parent)) || names.below(4) == 0,
            };
            if is_lost {
                behind.extend(parents().map(Path::to_owned));
                if let Change::Remove(path) | Change::Rename(path, _) = change {
                    removed.push(path);
                }
            } else {
                apply(synced, &change);
            }
        }
        synced.renew(|path, inode| {
            inode.share.replace(Weak::new());
            match &inode.content {
                Content::File(bytes) => {
                    let random = random.child(&path.display().to_string());
                    bytes.borrow_mut().lose(&random, luck);
                    None
                }
                Content::Pipe(_) => Some(Rc::new(inode.copy(true))),
                Content::Directory | Content::Symlink(_) => None,
            }
        });
        self.plain.borrow_mut().clear();
        removed.retain(|path| self.seen.get(path).is_none() && synced.get(path).is_some());
        self.seen.clone_from(synced);
        removed
    }

    /// The system writes what nobody synced for long: names, and what is in the files.
    pub(crate) fn write_back(&mut self, now: Instant) {
        self.write_back_names(now);
        let Some(Kept { synced, changes }) = &self.kept else { return };
        let waiting = changes.iter().filter_map(|(_, change)| match change {
            Change::Put(_, inode) => Some(inode),
            _ => None,
        });
        for inode in synced.iter().map(|(_, inode)| inode).chain(waiting) {
            if let Content::File(bytes) = &inode.content {
                bytes.borrow_mut().write_back(now);
            }
        }
    }

    fn write_back_names(&mut self, now: Instant) {
        let Some(Kept { synced, changes }) = &mut self.kept else { return };
        let old = changes.iter().take_while(|(at, _)| now.duration_since(*at) > WRITE_BACK).count();
        changes.drain(..old).for_each(|(_, old)| apply(synced, &old));
    }

    fn change(&mut self, change: Change, now: Instant) {
        if change.paths().into_iter().any(|path| self.is_plain(path)) {
            // Something else may stand there now, and what is below is known by its old name.
            self.plain.borrow_mut().clear();
        }
        apply(&mut self.seen, &change);
        self.write_back_names(now);
        if let Some(Kept { changes, .. }) = &mut self.kept {
            changes.push((now, change));
        }
    }
}

impl Change {
    fn paths(&self) -> Vec<&Path> {
        match self {
            Change::Put(path, _) | Change::Remove(path) => vec![path],
            Change::Rename(from, to) => vec![from, to],
        }
    }
}

/// Does a change as far as it can be done where what came before it may have been lost.
fn apply(names: &mut Map, change: &Change) {
    let has_parent = |names: &Map, path: &Path| {
        path.parent().is_none_or(|parent| names.get(parent).is_some_and(|inode| inode.is_directory()))
    };
    // What is there may have kept what was taken out of it.
    let is_full = |names: &Map, path: &Path| names.below(path).next().is_some();
    match change {
        Change::Put(path, inode) => {
            if has_parent(names, path) && (inode.is_directory() || !is_full(names, path)) {
                names.insert(path.clone(), inode.clone());
            }
        }
        Change::Remove(path) => {
            if !is_full(names, path) {
                names.remove(path);
            }
        }
        Change::Rename(from, to) => {
            if !has_parent(names, to) || from == to || is_full(names, to) {
                return;
            }
            let Some(inode) = names.remove(from) else { return };
            let moved: Vec<PathBuf> = match inode.is_directory() {
                true => names.below(from).map(Path::to_owned).collect(),
                false => Vec::new(),
            };
            names.insert(to.clone(), inode);
            for name in moved {
                if let (Ok(rest), Some(inode)) = (name.strip_prefix(from), names.remove(&name)) {
                    names.insert(to.join(rest), inode);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::now_instant;

    fn inode(content: Content) -> Rc<Inode> {
        let (mode, modified_seconds) = (Cell::new(0o755), Cell::new(0));
        Rc::new(Inode { mode, modified_seconds, content, share: RefCell::default() })
    }

    fn disk() -> Names {
        let mut names = Names::new(true);
        names.put(Path::new("/"), inode(Content::Directory), now_instant());
        names.sync_all();
        names
    }

    /// Does what the words say: `dir PATH`, `file PATH`, `rm PATH`, `mv FROM TO`, `sync PATH`.
    fn run(names: &mut Names, script: &str) {
        for line in script.split("; ") {
            let words: Vec<&str> = line.split(' ').collect();
            let (path, now) = (Path::new(words[1]), now_instant());
            match words[0] {
                "dir" => names.put(path, inode(Content::Directory), now),
                "file" => names.put(path, inode(Content::File(RefCell::new(Bytes::new(true)))), now),
                "rm" => names.remove(path, now),
                "mv" => names.rename(path, Path::new(words[2]), now),
                "sync" => names.sync(path),
                other => panic!("{other}"),
            }
        }
    }

    fn shown(names: &Names) -> String {
        names
            .below(Path::new("/"))
            .iter()
            .map(|path| path.display().to_string())
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn a_sync_keeps_its_directory_and_the_way_to_it() {
        for (script, kept) in [
            ("dir /a; file /a/x", ""),
            ("dir /a; file /a/x; sync /", "/a"),
            ("dir /a; file /a/x; dir /b; sync /a", "/a /a/x"),
            ("dir /a; dir /a/b; file /a/other; file /a/b/x; sync /a/b", "/a /a/b /a/b/x"),
            ("dir /a; file /a/x; dir /b; file /b/y; sync /a", "/a /a/x"),
            ("file /x; sync /; rm /x", "/x"),
            ("file /x; sync /; rm /x; sync /", ""),
            ("dir /a; dir /a/b; file /a/b/x; sync /a/b; rm /a/b/x; rm /a/b; rm /a; dir /a; sync /", "/a"),
            ("file /x; sync /; mv /x /y", "/x"),
            ("file /x; sync /; mv /x /y; sync /", "/y"),
            // Both directories of a rename are synced by either.
            ("dir /a; dir /b; file /a/x; sync /a; sync /b; mv /a/x /b/x; sync /b", "/a /b /b/x"),
            // A directory that came by a rename, from one that is new.
            ("dir /a; dir /a/b; file /a/b/y; mv /a/b /c; file /c/x; sync /c", "/a /c /c/x /c/y"),
        ] {
            let mut names = disk();
            run(&mut names, script);
            names.lose(&Random::new(1), Luck::Nothing);
            assert_eq!(shown(&names), kept, "{script}");
        }
    }

    #[test]
    fn what_was_removed_and_not_synced_comes_back() {
        for (script, came_back) in [
            ("file /x; sync /; rm /x", "/x"),
            ("file /x; sync /; rm /x; sync /", ""),
            ("file /x; sync /; mv /x /y", "/x"),
            ("file /x; sync /; rm /x; file /x", ""),
            ("file /x; rm /x", ""),
            ("dir /a; file /a/x; sync /a; rm /a/x; rm /a", "/a/x /a"),
            ("dir /a; file /a/x; sync /a; rm /a/x; sync /a; rm /a", "/a"),
        ] {
            let mut names = disk();
            run(&mut names, script);
            let found = names.lose(&Random::new(1), Luck::Nothing);
            let found: Vec<String> = found.iter().map(|path| path.display().to_string()).collect();
            assert_eq!(found.join(" "), came_back, "{script}");
        }
    }

    #[test]
    fn what_was_not_synced_is_lost_from_some_point_on() {
        let mut found = BTreeSet::new();
        for seed in 0..100 {
            let mut names = disk();
            run(&mut names, "file /x; file /y; mv /x /z");
            names.lose(&Random::new(seed), Luck::Mixed);
            found.insert(shown(&names));
        }
        assert_eq!(found, ["", "/x", "/x /y", "/y /z"].map(str::to_owned).into());
    }
}
