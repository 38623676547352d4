//! Directories and files in memory, with POSIX's errors. Modes are kept and shown, but one user owns everything.

use super::{
    now_instant,
    pipe::{MemoryPipe, Reader},
};
use slap_impl::env::{FileKind, Files, Identity, Lock, Metadata, Pipe};
use std::{
    cell::RefCell,
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    rc::Rc,
};
use tokio::time::Instant;

/// Symbolic links that may be followed for one path, as Linux's ELOOP limit.
const LINKS_MAX: usize = 40;
/// The number of the world's only user.
pub(crate) const USER: u32 = 1000;

/// All files of a world, by absolute path.
pub(crate) struct MemoryFiles {
    start: Instant,
    nodes: RefCell<BTreeMap<PathBuf, Node>>,
    locks: RefCell<BTreeMap<PathBuf, (Identity, u64)>>,
}

#[derive(Clone)]
struct Node {
    mode: u32,
    modified_seconds: i64,
    content: Content,
}

#[derive(Clone)]
enum Content {
    File(Vec<u8>),
    Directory,
    Symlink(PathBuf),
    Pipe(Rc<MemoryPipe>),
}

fn error(kind: io::ErrorKind, path: &Path) -> io::Error {
    io::Error::new(kind, format!("{}: {kind}", path.display()))
}

impl MemoryFiles {
    pub(crate) fn new(start: Instant) -> MemoryFiles {
        let files = MemoryFiles { start, nodes: RefCell::default(), locks: RefCell::default() };
        files.put(Path::new("/"), Content::Directory, 0o755);
        files
    }

    /// Takes a lock for a process.
    fn lock_for(&self, path: &Path, owner: Identity, serial: u64) -> io::Result<bool> {
        let path = self.resolve(path, true)?;
        if !self.nodes.borrow().contains_key(&path) {
            self.write(&path, b"", 0o600)?;
        }
        let mut locks = self.locks.borrow_mut();
        if locks.contains_key(&path) {
            return Ok(false);
        }
        locks.insert(path, (owner, serial));
        Ok(true)
    }

    /// The named pipe of that path, made if it is missing.
    pub(crate) fn pipe(&self, path: &Path) -> io::Result<Rc<MemoryPipe>> {
        let path = self.resolve(path, false)?;
        self.parent_of(&path)?;
        match self.get(&path) {
            Ok(Node { content: Content::Pipe(pipe), .. }) => Ok(pipe),
            Ok(_) => Err(error(io::ErrorKind::InvalidInput, &path)),
            Err(_) => {
                let pipe = Rc::<MemoryPipe>::default();
                self.put(&path, Content::Pipe(pipe.clone()), 0o600);
                Ok(pipe)
            }
        }
    }

    /// Gives back the locks of a process, as its end does.
    pub(crate) fn unlock_all(&self, owner: Identity) {
        self.locks.borrow_mut().retain(|_, (holder, _)| *holder != owner);
    }

    fn now_seconds(&self) -> i64 {
        super::EPOCH_SECONDS + now_instant().duration_since(self.start).as_secs() as i64
    }

    fn put(&self, path: &Path, content: Content, mode: u32) {
        let node = Node { mode, modified_seconds: self.now_seconds(), content };
        self.nodes.borrow_mut().insert(path.to_owned(), node);
    }

    fn get(&self, path: &Path) -> io::Result<Node> {
        self.nodes.borrow().get(path).cloned().ok_or_else(|| error(io::ErrorKind::NotFound, path))
    }

    /// The path without symbolic links; the last component too if `follow`.
    fn resolve(&self, path: &Path, follow: bool) -> io::Result<PathBuf> {
        if !path.is_absolute() {
            return Err(error(io::ErrorKind::InvalidInput, path));
        }
        let nodes = self.nodes.borrow();
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
                std::path::Component::RootDir => real = PathBuf::from("/"),
                std::path::Component::ParentDir => {
                    real.pop();
                }
                std::path::Component::Normal(name) => real.push(name),
                _ => {}
            }
            let Some(node) = nodes.get(&real) else { continue };
            match &node.content {
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
        Ok(real)
    }

    fn parent_of(&self, path: &Path) -> io::Result<()> {
        let Some(parent) = path.parent() else { return Ok(()) };
        match self.get(parent)?.content {
            Content::Directory => Ok(()),
            _ => Err(error(io::ErrorKind::NotADirectory, parent)),
        }
    }

    fn with_file<T>(&self, path: &Path, mode: u32, change: impl FnOnce(&mut Vec<u8>) -> T) -> io::Result<T> {
        let path = self.resolve(path, false)?;
        self.parent_of(&path)?;
        let now = self.now_seconds();
        let mut nodes = self.nodes.borrow_mut();
        let node = nodes.entry(path.clone()).or_insert_with(|| Node {
            mode,
            modified_seconds: now,
            content: Content::File(Vec::new()),
        });
        node.modified_seconds = now;
        match &mut node.content {
            Content::File(bytes) => Ok(change(bytes)),
            Content::Symlink(_) | Content::Pipe(_) => Err(error(io::ErrorKind::InvalidInput, &path)),
            Content::Directory => Err(error(io::ErrorKind::IsADirectory, &path)),
        }
    }

    fn bytes(&self, path: &Path) -> io::Result<Vec<u8>> {
        let path = self.resolve(path, true)?;
        match self.get(&path)?.content {
            Content::File(bytes) => Ok(bytes),
            Content::Pipe(_) => Err(error(io::ErrorKind::InvalidInput, &path)),
            _ => Err(error(io::ErrorKind::IsADirectory, &path)),
        }
    }

    fn below(&self, path: &Path) -> Vec<PathBuf> {
        let nodes = self.nodes.borrow();
        nodes
            .range(path.to_owned()..)
            .map(|(name, _)| name.clone())
            .take_while(|name| name.starts_with(path))
            .filter(|name| name != path)
            .collect()
    }
}

impl Files for MemoryFiles {
    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let bytes = self.bytes(path)?;
        if bytes.len() as u64 > limit {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("{} is over {limit} bytes", path.display()),
            ));
        }
        Ok(bytes)
    }

    fn read_tail(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let bytes = self.bytes(path)?;
        Ok(bytes[bytes.len().saturating_sub(limit as usize)..].to_vec())
    }

    fn write(&self, path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
        self.with_file(path, mode, |bytes| *bytes = content.to_vec())
    }

    fn replace(&self, path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
        let parent = path.parent().ok_or_else(|| error(io::ErrorKind::InvalidInput, path))?;
        let name = path.file_name().ok_or_else(|| error(io::ErrorKind::InvalidInput, path))?;
        let path = self.resolve(parent, true)?.join(name);
        self.parent_of(&path)?;
        if let Ok(Node { content: Content::Directory, .. }) = self.get(&path) {
            return Err(error(io::ErrorKind::IsADirectory, &path));
        }
        self.put(&path, Content::File(content.to_vec()), mode);
        Ok(())
    }

    fn append(&self, path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
        self.with_file(path, mode, |bytes| bytes.extend_from_slice(content))
    }

    fn truncate(&self, path: &Path, length: u64) -> io::Result<()> {
        self.bytes(path)?;
        self.with_file(path, 0, |bytes| bytes.resize(length as usize, 0))
    }

    fn copy(&self, from: &Path, to: &Path) -> io::Result<()> {
        let source = self.resolve(from, true)?;
        let mode = self.get(&source)?.mode;
        self.replace(to, &self.bytes(&source)?, mode)
    }

    fn create_directory(&self, path: &Path, mode: u32) -> io::Result<()> {
        let path = self.resolve(path, true)?;
        let mut ancestors: Vec<&Path> = path.ancestors().collect();
        ancestors.reverse();
        for ancestor in ancestors {
            match self.get(ancestor) {
                Ok(Node { content: Content::Directory, .. }) => {}
                Ok(_) if ancestor == path => return Err(error(io::ErrorKind::AlreadyExists, ancestor)),
                Ok(_) => return Err(error(io::ErrorKind::NotADirectory, ancestor)),
                Err(_) => self.put(ancestor, Content::Directory, mode),
            }
        }
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let path = self.resolve(path, false)?;
        match self.get(&path)?.content {
            Content::Directory => Err(error(io::ErrorKind::IsADirectory, &path)),
            _ => {
                self.nodes.borrow_mut().remove(&path);
                // Whoever locks the name from now on locks another file.
                self.locks.borrow_mut().remove(&path);
                Ok(())
            }
        }
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        let path = self.resolve(path, false)?;
        match self.get(&path)?.content {
            Content::Directory if self.below(&path).is_empty() => {
                self.nodes.borrow_mut().remove(&path);
                Ok(())
            }
            Content::Directory => Err(error(io::ErrorKind::DirectoryNotEmpty, &path)),
            _ => Err(error(io::ErrorKind::NotADirectory, &path)),
        }
    }

    fn remove_tree(&self, path: &Path) -> io::Result<()> {
        let path = self.resolve(path, false)?;
        if !matches!(self.get(&path)?.content, Content::Directory) {
            return Err(error(io::ErrorKind::NotADirectory, &path));
        }
        let below = self.below(&path);
        let mut nodes = self.nodes.borrow_mut();
        let mut locks = self.locks.borrow_mut();
        for name in below {
            nodes.remove(&name);
            locks.remove(&name);
        }
        nodes.remove(&path);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (self.resolve(from, false)?, self.resolve(to, false)?);
        let node = self.get(&from)?;
        self.parent_of(&to)?;
        if to.starts_with(&from) && to != from {
            return Err(error(io::ErrorKind::InvalidInput, &to));
        }
        if let Ok(existing) = self.get(&to) {
            let directories = [&existing, &node].map(|node| matches!(node.content, Content::Directory));
            match directories {
                [true, false] => return Err(error(io::ErrorKind::IsADirectory, &to)),
                [false, true] => return Err(error(io::ErrorKind::NotADirectory, &to)),
                [true, true] if !self.below(&to).is_empty() => {
                    return Err(error(io::ErrorKind::DirectoryNotEmpty, &to));
                }
                _ => {}
            }
        }
        let moved: Vec<PathBuf> = self.below(&from);
        let mut nodes = self.nodes.borrow_mut();
        nodes.remove(&from);
        nodes.insert(to.clone(), node);
        for name in moved {
            let rest = name.strip_prefix(&from).expect("below() gives names below").to_owned();
            if let Some(node) = nodes.remove(&name) {
                nodes.insert(to.join(rest), node);
            }
        }
        Ok(())
    }

    fn symlink(&self, target: &Path, link: &Path) -> io::Result<()> {
        let link = self.resolve(link, false)?;
        self.parent_of(&link)?;
        if self.get(&link).is_ok() {
            return Err(error(io::ErrorKind::AlreadyExists, &link));
        }
        self.put(&link, Content::Symlink(target.to_owned()), 0o777);
        Ok(())
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        let path = self.resolve(path, false)?;
        match self.get(&path)?.content {
            Content::Symlink(target) => Ok(target),
            _ => Err(error(io::ErrorKind::InvalidInput, &path)),
        }
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        let path = self.resolve(path, true)?;
        Ok(describe(&self.get(&path)?))
    }

    fn free_names(&self, path: &Path) -> io::Result<Option<u64>> {
        self.metadata(path).map(|_| None)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        // The world's disk has no end.
        self.metadata(path).map(|_| u64::MAX)
    }

    fn symlink_metadata(&self, path: &Path) -> io::Result<Metadata> {
        let path = self.resolve(path, false)?;
        Ok(describe(&self.get(&path)?))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let path = self.resolve(path, true)?;
        if !matches!(self.get(&path)?.content, Content::Directory) {
            return Err(error(io::ErrorKind::NotADirectory, &path));
        }
        let mut names: Vec<String> = self
            .below(&path)
            .iter()
            .filter(|name| name.parent() == Some(&path))
            .filter_map(|name| name.file_name().map(|name| name.to_string_lossy().into_owned()))
            .collect();
        names.sort();
        Ok(names)
    }

    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()> {
        let path = self.resolve(path, true)?;
        let mut nodes = self.nodes.borrow_mut();
        let node = nodes.get_mut(&path).ok_or_else(|| error(io::ErrorKind::NotFound, &path))?;
        node.mode = mode;
        Ok(())
    }

    fn set_modified(&self, path: &Path, seconds: i64) -> io::Result<()> {
        let path = self.resolve(path, true)?;
        let mut nodes = self.nodes.borrow_mut();
        let node = nodes.get_mut(&path).ok_or_else(|| error(io::ErrorKind::NotFound, &path))?;
        node.modified_seconds = seconds;
        Ok(())
    }

    fn open_pipe(&self, path: &Path) -> io::Result<Box<dyn Pipe>> {
        Ok(Box::new(Reader(self.pipe(path)?)))
    }

    fn lock(&self, _path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        unreachable!("a process takes locks through its own ProcessFiles")
    }
}

fn describe(node: &Node) -> Metadata {
    let (kind, length) = match &node.content {
        Content::File(bytes) => (FileKind::File, bytes.len() as u64),
        Content::Directory => (FileKind::Directory, 4096),
        Content::Pipe(_) => (FileKind::Other, 0),
        Content::Symlink(target) => (FileKind::Symlink, target.as_os_str().len() as u64),
    };
    Metadata { kind, mode: node.mode, length, modified_seconds: node.modified_seconds, user: USER }
}

/// The files as one process sees them: the same, and the locks are its own.
pub(crate) struct ProcessFiles {
    pub(crate) files: Rc<MemoryFiles>,
    pub(crate) owner: Identity,
    pub(crate) serial: std::cell::Cell<u64>,
}

struct MemoryLock {
    files: Rc<MemoryFiles>,
    owner: Identity,
    serial: u64,
}

impl Lock for MemoryLock {
    fn is_in_place(&self) -> bool {
        self.files.locks.borrow().values().any(|holder| *holder == (self.owner, self.serial))
    }
}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        let holder = (self.owner, self.serial);
        self.files.locks.borrow_mut().retain(|_, other| *other != holder);
    }
}

macro_rules! forward {
    ($(fn $name:ident(&self $(, $argument:ident: $kind:ty)*) -> $result:ty;)*) => {
        impl Files for ProcessFiles {
            $(fn $name(&self $(, $argument: $kind)*) -> $result {
                self.files.$name($($argument),*)
            })*

            fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
                let serial = self.serial.get();
                self.serial.set(serial + 1);
                let taken = self.files.lock_for(path, self.owner, serial)?;
                let lock = MemoryLock { files: self.files.clone(), owner: self.owner, serial };
                Ok(taken.then(|| Box::new(lock) as Box<dyn Lock>))
            }
        }
    };
}

forward! {
    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>>;
    fn read_tail(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>>;
    fn write(&self, path: &Path, content: &[u8], mode: u32) -> io::Result<()>;
    fn replace(&self, path: &Path, content: &[u8], mode: u32) -> io::Result<()>;
    fn append(&self, path: &Path, content: &[u8], mode: u32) -> io::Result<()>;
    fn truncate(&self, path: &Path, length: u64) -> io::Result<()>;
    fn copy(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn create_directory(&self, path: &Path, mode: u32) -> io::Result<()>;
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    fn remove_directory(&self, path: &Path) -> io::Result<()>;
    fn remove_tree(&self, path: &Path) -> io::Result<()>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn symlink(&self, target: &Path, link: &Path) -> io::Result<()>;
    fn read_link(&self, path: &Path) -> io::Result<PathBuf>;
    fn metadata(&self, path: &Path) -> io::Result<Metadata>;
    fn symlink_metadata(&self, path: &Path) -> io::Result<Metadata>;
    fn open_pipe(&self, path: &Path) -> io::Result<Box<dyn Pipe>>;
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;
    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()>;
    fn set_modified(&self, path: &Path, seconds: i64) -> io::Result<()>;
    fn free_names(&self, path: &Path) -> io::Result<Option<u64>>;
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;
}
