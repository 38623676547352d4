//! Files and directories.
//!
//! The calls return at once: they stand for short reads and writes on a local disk, and blocking the
//! one thread for them is what keeps production and simulation alike.

use super::LocalFuture;
use std::{
    io,
    path::{Path, PathBuf},
};

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A device.
    Device,
    /// A socket or named pipe.
    Other,
}

/// What `stat` says of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// What the name stands for.
    pub kind: FileKind,
    /// Permission bits, such as 0o750.
    pub mode: u32,
    /// Bytes.
    pub length: u64,
    /// Last change of the content, in seconds since 1970.
    pub modified_seconds: i64,
    /// The owner's number.
    pub user: u32,
}

/// An exclusive lock, held until it is dropped or its process ends.
pub trait Lock {
    /// Whether the file that is locked is still the one of that name: somebody may have removed it, and whoever locks the name
    /// then has another lock.
    fn is_in_place(&self) -> bool;
}

/// The reading end of a pipe: what was written to it and nobody has read yet.
pub trait Pipe {
    /// Ends when there is something to take. May be dropped and called again.
    ///
    /// # Errors
    /// When it never will.
    fn readable(&self) -> LocalFuture<'_, io::Result<()>>;
    /// Takes what is there, at most `limit` bytes, without waiting; nothing when there is nothing.
    ///
    /// # Errors
    /// Those of the system.
    fn take(&self, limit: usize) -> io::Result<Vec<u8>>;
}

/// Files and directories. Paths are absolute. Errors are those of POSIX.
pub trait Files {
    /// The whole content; at most `limit` bytes.
    ///
    /// # Errors
    /// Of kind `FileTooLarge` when there is more than `limit`.
    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>>;
    /// The last bytes of a file, at most `limit`.
    fn read_tail(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>>;
    /// Creates or truncates a file and writes to it. An existing file keeps its mode; a new one gets `mode` as it is,
    /// whatever the umask. A symbolic link at the end of the path is an error: nobody is led elsewhere.
    fn write(&self, path: &Path, content: &[u8], mode: u32) -> io::Result<()>;
    /// Puts a file into place so that after a crash either the old or the whole new content is there: a temporary
    /// file beside it, fsync, rename, fsync of the directory. The mode is set to `mode`.
    fn replace(&self, path: &Path, content: &[u8], mode: u32) -> io::Result<()>;
    /// Makes durable what a regular file holds, or which names a directory has. Whatever else stands there is left alone: a symbolic link is
    /// made durable with its directory.
    fn sync(&self, path: &Path) -> io::Result<()>;
    /// Adds to the end of a file, which is created with `mode` if it is missing. A link is an error, as with `write`.
    fn append(&self, path: &Path, content: &[u8], mode: u32) -> io::Result<()>;
    /// Cuts a file to `length` bytes.
    fn truncate(&self, path: &Path, length: u64) -> io::Result<()>;
    /// Copies a file's content and mode, through a temporary name and a rename.
    fn copy(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes a directory, and those above it, with `mode`; one that exists is left as it is.
    fn create_directory(&self, path: &Path, mode: u32) -> io::Result<()>;
    /// Removes a file or a symbolic link.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty directory.
    fn remove_directory(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory and all that is in it, without following symbolic links, also where the owner
    /// took away the permission bits.
    fn remove_tree(&self, path: &Path) -> io::Result<()>;
    /// Renames; an existing file of that name is replaced.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Makes a symbolic link at `link` that says `target`.
    fn symlink(&self, target: &Path, link: &Path) -> io::Result<()>;
    /// What a symbolic link says.
    fn read_link(&self, path: &Path) -> io::Result<PathBuf>;
    /// What the name stands for, following symbolic links.
    fn metadata(&self, path: &Path) -> io::Result<Metadata>;
    /// What the name stands for, not following a symbolic link at the end.
    fn symlink_metadata(&self, path: &Path) -> io::Result<Metadata>;
    /// The names in a directory, sorted.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;
    /// Sets the permission bits.
    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()>;
    /// Sets the time of the last change of the content, in seconds since 1970.
    fn set_modified(&self, path: &Path, seconds: i64) -> io::Result<()>;
    /// Takes the exclusive lock of `path` (which is created, 0600, if missing), or `None` if another process has it.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>>;
    /// Opens a named pipe to read from it; it is made (0600) if it is missing. It has no end: what was written waits in it as long as
    /// anybody has it open.
    ///
    /// # Errors
    /// Of kind `InvalidInput` when something else stands there.
    fn open_pipe(&self, path: &Path) -> io::Result<Box<dyn Pipe>>;
    /// Says that the subdirectories of a directory have nothing to do with each other, so that a file system may put them apart.
    /// A hint: where it means nothing, nothing happens.
    fn spread(&self, _directory: &Path) {}

    /// How many bytes this user may still write to the file system of an existing path.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;
    /// How many files this user may still make in the file system of an existing path; `None` where that has no limit of its own.
    fn free_names(&self, path: &Path) -> io::Result<Option<u64>>;

    /// Whether the name stands for something, following symbolic links.
    fn exists(&self, path: &Path) -> bool {
        self.metadata(path).is_ok()
    }
    /// Whether the name stands for a directory, following symbolic links.
    fn is_directory(&self, path: &Path) -> bool {
        self.metadata(path).is_ok_and(|metadata| metadata.kind == FileKind::Directory)
    }
    /// Whether the name stands for a regular file, following symbolic links.
    fn is_file(&self, path: &Path) -> bool {
        self.metadata(path).is_ok_and(|metadata| metadata.kind == FileKind::File)
    }
    /// The content as text, at most `limit` bytes.
    ///
    /// # Errors
    /// Of kind `InvalidData` when it is not UTF-8.
    fn read_text(&self, path: &Path, limit: u64) -> io::Result<String> {
        String::from_utf8(self.read(path, limit)?).map_err(|_| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{} is not UTF-8", path.display()))
        })
    }
    /// Removes whatever stands at `path`; nothing there is fine.
    fn remove_any(&self, path: &Path) -> io::Result<()> {
        match self.symlink_metadata(path) {
            Ok(metadata) if metadata.kind == FileKind::Directory => self.remove_tree(path),
            Ok(_) => self.remove_file(path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}
