//! The files as one process sees them.

use super::{LockHolder, MemoryFiles};
use slap_impl::env::{Files, Identity, Lock, Metadata, Pipe};
use std::{
    io,
    path::{Path, PathBuf},
    rc::Rc,
};

/// The files as one process sees them: the same, and the locks are its own.
pub(crate) struct ProcessFiles {
    pub(crate) files: Rc<MemoryFiles>,
    pub(crate) owner: Identity,
    pub(crate) serial: std::cell::Cell<u64>,
}

macro_rules! forward {
    ($(fn $name:ident(&self $(, $argument:ident: $kind:ty)*) -> $result:ty;)*) => {
        impl Files for ProcessFiles {
            $(fn $name(&self $(, $argument: $kind)*) -> $result {
                self.files.actor.set(self.owner);
                self.files.$name($($argument),*)
            })*

            fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
                let serial = self.serial.get();
                self.serial.set(serial + 1);
                self.files.actor.set(self.owner);
                let holder = LockHolder { owner: self.owner, serial };
                let lock = MemoryFiles::take_lock(&self.files, path, holder)?;
                Ok(lock.map(|lock| Box::new(lock) as Box<dyn Lock>))
            }
        }
    };
}

forward! {
    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>>;
    fn read_tail(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>>;
    fn write(&self, path: &Path, content: &[u8], mode: u32) -> io::Result<()>;
    fn replace(&self, path: &Path, content: &[u8], mode: u32) -> io::Result<()>;
    fn sync(&self, path: &Path) -> io::Result<()>;
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
