//! Directories and files in memory, with POSIX's errors. Modes are kept and shown, but one user owns everything.
//!
//! * this file: names, links, and what is done with them; `operations.rs`: the same as [`slap_impl::env::Files`]
//! * `process.rs`: the files as one process sees them; `lock.rs`: locks; `quota.rs`: how much may stand below a directory
//!
//! Every change goes through the world's [`Disk`], which knows what of it survives.

mod lock;
mod operations;
mod process;
mod quota;

pub(crate) use lock::{LockHolder, MemoryLock};
pub(crate) use process::ProcessFiles;

use super::{
    clock::WallClock,
    disk::{
        Disk, Operation, Part,
        bytes::{Bytes, Luck},
        names::{Content, Inode, Names},
    },
    now_instant,
    pipe::MemoryPipe,
    random::Random,
};
use slap_impl::env::{Clock, Identity};
use std::{
    borrow::Cow,
    cell::{Cell, RefCell},
    collections::BTreeMap,
    ffi::OsStr,
    fmt, io,
    os::unix::ffi::OsStrExt,
    path::{Component, Path, PathBuf},
    rc::{Rc, Weak},
};
use tokio::time::Instant;

/// Symbolic links that may be followed for one path, as Linux's ELOOP limit.
const LINKS_MAX: usize = 40;
/// The number of the world's only user.
pub(crate) const USER: u32 = 1000;
/// No process.
const NOBODY: Identity = Identity { pid: 0, start_time: 0 };

/// All files of a world, by absolute path.
pub(crate) struct MemoryFiles {
    clock: Rc<WallClock>,
    disk: Rc<Disk>,
    names: RefCell<Names>,
    locks: RefCell<BTreeMap<PathBuf, LockHolder>>,
    /// Blocks that may be taken below a directory.
    quotas: RefCell<BTreeMap<PathBuf, u64>>,
    /// What had been removed and was there again when the power was lost, and nobody asked for yet.
    came_back: RefCell<Vec<PathBuf>>,
    /// Which process is at it.
    actor: Cell<Identity>,
    /// The number of the next temporary file.
    temporary: Cell<u64>,
}

/// An error of a path. Its text is made when somebody reads it: most are answers to the question whether something is there.
pub(crate) fn error(kind: io::ErrorKind, path: &Path) -> io::Error {
    io::Error::new(kind, PathError { kind, path: path.to_owned() })
}

#[derive(Debug)]
struct PathError {
    kind: io::ErrorKind,
    path: PathBuf,
}

impl fmt::Display for PathError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.path.display(), self.kind)
    }
}

impl std::error::Error for PathError {}

impl MemoryFiles {
    pub(crate) fn new(clock: Rc<WallClock>, disk: Rc<Disk>) -> MemoryFiles {
        let names = RefCell::new(Names::new(disk.remembers()));
        let (actor, temporary) = (Cell::new(NOBODY), Cell::new(0));
        let (locks, quotas, came_back) = Default::default();
        let files = MemoryFiles { clock, disk, names, locks, quotas, came_back, actor, temporary };
        files.clear();
        files
    }

    /// Takes away everything, as another disk does.
    pub(crate) fn clear(&self) {
        self.quotas.take();
        self.came_back.take();
        self.names.replace(Names::new(self.disk.remembers()));
        let root = self.inode(Content::Directory, 0o755);
        self.names.borrow_mut().put(Path::new("/"), root, now_instant());
    }

    /// Takes over everything that programs see on another disk. It is durable here.
    pub(crate) fn copy_from(&self, other: &MemoryFiles) {
        let copy = Names::copy_of(&other.names.borrow(), self.disk.remembers());
        self.names.replace(copy);
        self.came_back.take();
    }

    /// From now on it is this process that reads and writes.
    pub(crate) fn act_for(&self, who: Identity) {
        self.actor.set(who);
    }

    /// Makes everything durable, as an installer does.
    pub(crate) fn sync_all(&self) {
        self.names.borrow_mut().sync_all();
    }

    /// What a loss of power does. All processes have ended.
    pub(crate) fn lose(&self, random: &Random) {
        let mut names = self.names.borrow_mut();
        names.write_back(now_instant());
        self.came_back.borrow_mut().extend(names.lose(random, Luck::draw(random)));
        self.locks.borrow_mut().clear();
        self.actor.set(NOBODY);
    }

    /// What had been removed, and was there again when the power was lost since this was last asked.
    pub(crate) fn take_came_back(&self) -> Vec<PathBuf> {
        self.came_back.take()
    }

    /// The named pipe of that path, made if it is missing.
    pub(crate) fn pipe(&self, path: &Path) -> io::Result<Rc<MemoryPipe>> {
        let path = self.resolve(path, false)?;
        self.parent_of(&path)?;
        match self.get(&path) {
            Ok(inode) => match &inode.content {
                Content::Pipe(pipe) => Ok(pipe.clone()),
                _ => Err(error(io::ErrorKind::InvalidInput, &path)),
            },
            Err(_) => {
                let pipe = Rc::<MemoryPipe>::default();
                self.put(&path, self.inode(Content::Pipe(pipe.clone()), 0o600))?;
                Ok(pipe)
            }
        }
    }

    /// A file, and its path without symbolic links.
    pub(crate) fn file(&self, path: &Path) -> io::Result<(PathBuf, Rc<Inode>)> {
        let path = self.resolve(path, true)?;
        let inode = self.get(&path)?;
        match inode.content {
            Content::File(_) => Ok((path.into_owned(), inode)),
            Content::Pipe(_) => Err(error(io::ErrorKind::InvalidInput, &path)),
            _ => Err(error(io::ErrorKind::IsADirectory, &path)),
        }
    }

    /// A file whose path does not matter.
    fn content(&self, path: &Path) -> io::Result<Rc<Inode>> {
        let inode = self.find(path, true)?;
        match inode.content {
            Content::File(_) => Ok(inode),
            _ => self.file(path).map(|(_, inode)| inode),
        }
    }

    /// A new file that is empty, and has no name.
    pub(crate) fn new_file(&self, mode: u32) -> Rc<Inode> {
        self.inode(Content::File(RefCell::new(Bytes::new(self.disk.remembers()))), mode)
    }

    /// Gives an inode a name.
    pub(crate) fn put(&self, path: &Path, inode: Rc<Inode>) -> io::Result<()> {
        self.check_quota(path, quota::blocks_of(&inode))?;
        self.change(path, |names, now| names.put(path, inode.clone(), now))
    }

    /// Takes a name away.
    pub(crate) fn unlink(&self, path: &Path) -> io::Result<()> {
        self.change(path, |names, now| names.remove(path, now))
    }

    /// Does what the sync of a directory does.
    pub(crate) fn sync_directory(&self, who: Identity, path: &Path) -> io::Result<()> {
        let synced = self.disk.perform(who, Operation::Sync, |part| {
            if part == Part::Whole {
                self.names.borrow_mut().sync(path);
            }
        });
        synced.map_err(|trouble| trouble.error(path))
    }

    pub(crate) fn now_seconds(&self) -> i64 {
        self.clock.now().as_second()
    }

    /// Changes names, which a directory does whole or not at all.
    fn change(&self, path: &Path, mut change: impl FnMut(&mut Names, Instant)) -> io::Result<()> {
        let done = self.disk.perform(self.actor.get(), Operation::Write, |part| {
            if part == Part::Whole {
                change(&mut self.names.borrow_mut(), now_instant());
            }
        });
        done.map_err(|trouble| trouble.error(path))
    }

    fn inode(&self, content: Content, mode: u32) -> Rc<Inode> {
        let (mode, modified_seconds) = (Cell::new(mode), Cell::new(self.now_seconds()));
        Rc::new(Inode { mode, modified_seconds, content, share: RefCell::new(Weak::new()) })
    }

    pub(crate) fn get(&self, path: &Path) -> io::Result<Rc<Inode>> {
        self.names.borrow().get(path).cloned().ok_or_else(|| error(io::ErrorKind::NotFound, path))
    }

    /// What a path stands for; what a link in its place leads to if `follow`.
    pub(crate) fn find(&self, path: &Path, follow: bool) -> io::Result<Rc<Inode>> {
        if is_normal(path.as_os_str().as_bytes()) {
            match self.names.borrow().get(path) {
                Some(inode) if follow && matches!(inode.content, Content::Symlink(_)) => {}
                // Names are kept without symbolic links, so none leads to one that is there.
                Some(inode) => return Ok(inode.clone()),
                None if self.is_in_plain(path) => return Err(error(io::ErrorKind::NotFound, path)),
                None => {}
            }
        }
        self.get(&self.resolve(path, follow)?)
    }

    /// The path without symbolic links; the last component too if `follow`.
    pub(crate) fn resolve<'p>(&self, path: &'p Path, follow: bool) -> io::Result<Cow<'p, Path>> {
        if !path.is_absolute() {
            return Err(error(io::ErrorKind::InvalidInput, path));
        }
        if self.is_its_own(path, follow)? {
            return Ok(Cow::Borrowed(path));
        }
        let names = self.names.borrow();
        let mut waiting: Vec<PathBuf> = vec![path.to_owned()];
        let mut real = PathBuf::from("/");
        let mut links = 0;
        while let Some(rest) = waiting.pop() {
            let mut components = rest.components();
            let Some(first) = components.next() else { continue };
            let tail = components.as_path().to_owned();
            if !tail.as_os_str().is_empty() {
                waiting.push(tail);
            }
            match first {
                Component::RootDir => real = PathBuf::from("/"),
                Component::ParentDir => {
                    real.pop();
                }
                Component::Normal(name) => real.push(name),
                _ => {}
            }
            let Some(inode) = names.get(&real) else { continue };
            match &inode.content {
                Content::Symlink(target) if follow || !waiting.is_empty() => {
                    links += 1;
                    if links > LINKS_MAX {
                        return Err(error(io::ErrorKind::InvalidInput, path));
                    }
                    real.pop();
                    waiting.push(target.clone());
                }
                Content::File(_) | Content::Pipe(_) if !waiting.is_empty() => {
                    return Err(error(io::ErrorKind::NotADirectory, path));
                }
                _ => {}
            }
        }
        Ok(Cow::Owned(real))
    }

    /// Whether it is known of a path, which has only names, that nothing which leads to it is a symbolic link.
    fn is_in_plain(&self, path: &Path) -> bool {
        let bytes = path.as_os_str().as_bytes();
        let parent = bytes.iter().rposition(|byte| *byte == b'/').unwrap_or_default().max(1);
        self.names.borrow().is_plain(Path::new(OsStr::from_bytes(&bytes[..parent])))
    }

    /// Whether an absolute path needs no more than a look at what leads to it: most do.
    fn is_its_own(&self, path: &Path, follow: bool) -> io::Result<bool> {
        let bytes = path.as_os_str().as_bytes();
        if !is_normal(bytes) {
            return Ok(false);
        }
        let names = self.names.borrow();
        match names.get(path) {
            Some(inode) => return Ok(!(follow && matches!(inode.content, Content::Symlink(_)))),
            None if self.is_in_plain(path) => return Ok(true),
            None => {}
        }
        let ends = (1..bytes.len()).filter(|at| bytes[*at] == b'/').chain([bytes.len()]);
        for end in ends {
            let is_last = end == bytes.len();
            let Some(inode) = names.get(Path::new(OsStr::from_bytes(&bytes[..end]))) else { break };
            if is_last && let Some(parent) = path.parent() {
                names.note_plain(parent);
            }
            match &inode.content {
                Content::Symlink(_) if follow || !is_last => return Ok(false),
                Content::File(_) | Content::Pipe(_) if !is_last => {
                    return Err(error(io::ErrorKind::NotADirectory, path));
                }
                _ => {}
            }
        }
        Ok(true)
    }

    pub(crate) fn parent_of(&self, path: &Path) -> io::Result<()> {
        let Some(parent) = path.parent() else { return Ok(()) };
        if self.get(parent)?.is_directory() {
            Ok(())
        } else {
            Err(error(io::ErrorKind::NotADirectory, parent))
        }
    }

    /// Changes a file's bytes, unless a quota has it otherwise. `change` is told how much of it happens; `length` says how many bytes
    /// there are then, of as many before.
    fn with_bytes(
        &self,
        path: &Path,
        inode: &Inode,
        length: impl Fn(usize, Part) -> usize,
        mut change: impl FnMut(&mut Bytes, Part),
    ) -> io::Result<()> {
        let Content::File(bytes) = &inode.content else {
            let kind =
                if inode.is_directory() { io::ErrorKind::IsADirectory } else { io::ErrorKind::InvalidInput };
            return Err(error(kind, path));
        };
        inode.modified_seconds.set(self.now_seconds());
        let old = bytes.borrow().seen().len();
        let check = |part| {
            let more = quota::blocks(length(old, part)).saturating_sub(quota::blocks(old));
            self.check_quota(path, more)
        };
        let refusal = check(Part::Whole).err();
        let effect = |part| match refusal {
            None => change(&mut bytes.borrow_mut(), part),
            // As much is written as there is room for.
            Some(_) if check(Part::Some).is_ok() => change(&mut bytes.borrow_mut(), Part::Some),
            Some(_) => {}
        };
        let done = self.disk.perform(self.actor.get(), Operation::Write, effect);
        done.map_err(|trouble| trouble.error(path))?;
        refusal.map_or(Ok(()), Err)
    }

    /// Changes the bytes of a file, as [`MemoryFiles::with_bytes`]; it is made with `mode` if it is missing.
    fn with_file(
        &self,
        path: &Path,
        mode: u32,
        length: impl Fn(usize, Part) -> usize,
        change: impl FnMut(&mut Bytes, Part),
    ) -> io::Result<()> {
        let path = self.resolve(path, false)?;
        self.parent_of(&path)?;
        let inode = match self.get(&path) {
            Ok(inode) => inode,
            Err(_) => {
                let inode = self.new_file(mode);
                self.put(&path, inode.clone())?;
                inode
            }
        };
        self.with_bytes(&path, &inode, length, change)
    }
}

/// Whether an absolute path is longer than `/`, has no `.` and `..`, and no slash more than it needs.
fn is_normal(path: &[u8]) -> bool {
    let is_name = |at: usize| {
        !matches!(
            path[at + 1..],
            [] | [b'/', ..] | [b'.'] | [b'.', b'/', ..] | [b'.', b'.'] | [b'.', b'.', b'/', ..]
        )
    };
    let mut slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    path.first() == Some(&b'/') && slashes.all(|(at, _)| is_name(at))
}

#[cfg(test)]
mod tests {
    use super::is_normal;

    #[test]
    fn a_path_that_needs_no_look_has_only_names() {
        for path in ["/a", "/a/b.c", "/.a", "/..a/b", "/a./b..", "/..."] {
            assert!(is_normal(path.as_bytes()), "{path}");
        }
        for path in [
            "", "a", "a/b", "/", "//a", "/a//b", "/a/", "/.", "/a/.", "/./a", "/..", "/../a", "/a/..",
            "/a/../b",
        ] {
            assert!(!is_normal(path.as_bytes()), "{path}");
        }
    }
}
