//! [`Files`] of a world.
//!
//! As in reality, only `replace` and `copy` sync anything by themselves: the new file, and then its directory.

use super::{
    super::{
        disk::{
            Operation, Part,
            bytes::Bytes,
            names::{Content, Inode},
        },
        now_instant,
        pipe::Reader,
    },
    MemoryFiles, USER, error,
};
use slap_impl::env::{FileKind, Files, Lock, Metadata, Pipe};
use std::{
    cell::RefCell,
    io,
    path::{Path, PathBuf},
};

impl MemoryFiles {
    /// Puts a new file in place, as the real thing does: a temporary file beside it, its sync, a rename, the sync of the directory.
    fn put_in_place(&self, path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
        let inode = self.new_file(mode);
        let Content::File(bytes) = &inode.content else { unreachable!("it was made as a file") };
        if !self.disk.remembers() {
            write_at(&mut bytes.borrow_mut(), 0, content, Part::Whole);
            return self.put(path, inode.clone());
        }
        let who = self.actor.get();
        let number = self.temporary.replace(self.temporary.get() + 1);
        let parent = path.parent().unwrap_or(Path::new("/"));
        let temporary = parent.join(format!(".slap-{}-{number}.tmp", who.pid));
        self.put(&temporary, inode.clone())?;
        let written = self
            .with_bytes(
                path,
                &inode,
                |_, part| portion(content, part),
                |bytes, part| write_at(bytes, 0, content, part),
            )
            .and_then(|()| self.sync_bytes(path, bytes))
            .and_then(|()| self.change(path, |names, now| names.rename(&temporary, path, now)));
        if let Err(error) = written {
            // The one that matters is told.
            let _ = self.unlink(&temporary);
            return Err(error);
        }
        self.sync_directory(who, parent)
    }

    fn sync_bytes(&self, path: &Path, bytes: &RefCell<Bytes>) -> io::Result<()> {
        let synced = self.disk.perform(self.actor.get(), Operation::Sync, |part| match part {
            _ if self.disk.lies() => {}
            Part::Whole => bytes.borrow_mut().sync(),
            Part::Some => bytes.borrow_mut().sync_in_part(self.disk.random()),
        });
        synced.map_err(|trouble| trouble.error(path))
    }
}

/// Writes content, or its first half.
fn write_at(bytes: &mut Bytes, at: usize, content: &[u8], part: Part) {
    bytes.write(at, &content[..portion(content, part)], now_instant());
}

/// How many bytes of it are written.
fn portion(content: &[u8], part: Part) -> usize {
    if part == Part::Whole { content.len() } else { content.len() / 2 }
}

impl Files for MemoryFiles {
    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let inode = self.content(path)?;
        let bytes = seen(&inode);
        if bytes.len() as u64 > limit {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("{} is over {limit} bytes", path.display()),
            ));
        }
        Ok(bytes.to_vec())
    }

    fn read_tail(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let inode = self.content(path)?;
        let bytes = seen(&inode);
        Ok(bytes[bytes.len().saturating_sub(limit as usize)..].to_vec())
    }

    fn write(&self, path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
        self.with_file(
            path,
            mode,
            |_, part| portion(content, part),
            |bytes, part| {
                bytes.set_length(0, now_instant());
                write_at(bytes, 0, content, part);
            },
        )
    }

    fn replace(&self, path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
        let parent = path.parent().ok_or_else(|| error(io::ErrorKind::InvalidInput, path))?;
        let name = path.file_name().ok_or_else(|| error(io::ErrorKind::InvalidInput, path))?;
        let path = self.resolve(parent, true)?.join(name);
        self.parent_of(&path)?;
        if self.get(&path).is_ok_and(|inode| inode.is_directory()) {
            return Err(error(io::ErrorKind::IsADirectory, &path));
        }
        self.put_in_place(&path, content, mode)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        let path = self.resolve(path, false)?;
        let inode = self.get(&path)?;
        if !self.disk.remembers() {
            return Ok(());
        }
        match &inode.content {
            Content::File(bytes) => self.sync_bytes(&path, bytes),
            Content::Directory => self.sync_directory(self.actor.get(), &path),
            _ => Ok(()),
        }
    }

    fn append(&self, path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
        let length = |before, part| before + portion(content, part);
        self.with_file(path, mode, length, |bytes, part| {
            write_at(bytes, bytes.seen().len(), content, part);
        })
    }

    fn truncate(&self, path: &Path, length: u64) -> io::Result<()> {
        self.file(path)?;
        self.with_file(
            path,
            0,
            |_, _| length as usize,
            |bytes, part| {
                if part == Part::Whole {
                    bytes.set_length(length as usize, now_instant());
                }
            },
        )
    }

    fn copy(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (_, source) = self.file(from)?;
        let content = seen(&source).to_vec();
        self.replace(to, &content, source.mode.get())
    }

    fn create_directory(&self, path: &Path, mode: u32) -> io::Result<()> {
        let path = self.resolve(path, true)?;
        let mut ancestors: Vec<&Path> = path.ancestors().collect();
        ancestors.reverse();
        for ancestor in ancestors {
            match self.get(ancestor) {
                Ok(inode) if inode.is_directory() => {}
                Ok(_) if ancestor == &*path => return Err(error(io::ErrorKind::AlreadyExists, ancestor)),
                Ok(_) => return Err(error(io::ErrorKind::NotADirectory, ancestor)),
                Err(_) => self.put(ancestor, self.inode(Content::Directory, mode))?,
            }
        }
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let path = self.resolve(path, false)?;
        if self.get(&path)?.is_directory() {
            return Err(error(io::ErrorKind::IsADirectory, &path));
        }
        self.unlink(&path)?;
        // Whoever locks the name from now on locks another file.
        self.locks.borrow_mut().remove(&*path);
        Ok(())
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        let path = self.resolve(path, false)?;
        if !self.get(&path)?.is_directory() {
            return Err(error(io::ErrorKind::NotADirectory, &path));
        }
        if !self.names.borrow().is_empty(&path) {
            return Err(error(io::ErrorKind::DirectoryNotEmpty, &path));
        }
        self.unlink(&path)
    }

    fn remove_tree(&self, path: &Path) -> io::Result<()> {
        let path = self.resolve(path, false)?;
        if !self.get(&path)?.is_directory() {
            return Err(error(io::ErrorKind::NotADirectory, &path));
        }
        let below = self.names.borrow().below(&path);
        for name in below.iter().rev() {
            self.unlink(name)?;
            self.locks.borrow_mut().remove(name);
        }
        self.unlink(&path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (self.resolve(from, false)?, self.resolve(to, false)?);
        let inode = self.get(&from)?;
        self.parent_of(&to)?;
        if to.starts_with(&from) && to != from {
            return Err(error(io::ErrorKind::InvalidInput, &to));
        }
        if let Ok(existing) = self.get(&to) {
            match [existing.is_directory(), inode.is_directory()] {
                [true, false] => return Err(error(io::ErrorKind::IsADirectory, &to)),
                [false, true] => return Err(error(io::ErrorKind::NotADirectory, &to)),
                [true, true] if !self.names.borrow().is_empty(&to) => {
                    return Err(error(io::ErrorKind::DirectoryNotEmpty, &to));
                }
                _ => {}
            }
        }
        self.change(&to, |names, now| names.rename(&from, &to, now))
    }

    fn symlink(&self, target: &Path, link: &Path) -> io::Result<()> {
        let link = self.resolve(link, false)?;
        self.parent_of(&link)?;
        if self.get(&link).is_ok() {
            return Err(error(io::ErrorKind::AlreadyExists, &link));
        }
        self.put(&link, self.inode(Content::Symlink(target.to_owned()), 0o777))
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        let path = self.resolve(path, false)?;
        match &self.get(&path)?.content {
            Content::Symlink(target) => Ok(target.clone()),
            _ => Err(error(io::ErrorKind::InvalidInput, &path)),
        }
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        Ok(describe(&*self.find(path, true)?))
    }

    fn free_names(&self, path: &Path) -> io::Result<Option<u64>> {
        self.metadata(path).map(|_| None)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        // The world's disk has no end.
        self.metadata(path).map(|_| u64::MAX)
    }

    fn symlink_metadata(&self, path: &Path) -> io::Result<Metadata> {
        Ok(describe(&*self.find(path, false)?))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let path = self.resolve(path, true)?;
        if !self.get(&path)?.is_directory() {
            return Err(error(io::ErrorKind::NotADirectory, &path));
        }
        let mut names: Vec<String> = self
            .names
            .borrow()
            .children(&path)
            .into_iter()
            .filter_map(|name| name.file_name().map(|name| name.to_string_lossy().into_owned()))
            .collect();
        names.sort();
        Ok(names)
    }

    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()> {
        let path = self.resolve(path, true)?;
        self.get(&path)?.mode.set(mode);
        Ok(())
    }

    fn set_modified(&self, path: &Path, seconds: i64) -> io::Result<()> {
        let path = self.resolve(path, true)?;
        self.get(&path)?.modified_seconds.set(seconds);
        Ok(())
    }

    fn open_pipe(&self, path: &Path) -> io::Result<Box<dyn Pipe>> {
        Ok(Box::new(Reader(self.pipe(path)?)))
    }

    fn lock(&self, _path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        unreachable!("a process takes locks through its own ProcessFiles")
    }
}

/// What programs see of a file.
fn seen(inode: &Inode) -> std::cell::Ref<'_, [u8]> {
    let Content::File(bytes) = &inode.content else { unreachable!("file() finds files only") };
    std::cell::Ref::map(bytes.borrow(), Bytes::seen)
}

fn describe(inode: &Inode) -> Metadata {
    let (kind, length) = match &inode.content {
        Content::File(bytes) => (FileKind::File, bytes.borrow().seen().len() as u64),
        Content::Directory => (FileKind::Directory, 4096),
        Content::Pipe(_) => (FileKind::Other, 0),
        Content::Symlink(target) => (FileKind::Symlink, target.as_os_str().len() as u64),
    };
    let (mode, modified_seconds) = (inode.mode.get(), inode.modified_seconds.get());
    Metadata { kind, mode, length, modified_seconds, user: USER }
}
