//! Locks of files: each belongs to a process, and goes when that ends.

use super::MemoryFiles;
use slap_impl::env::{Files, Identity, Lock};
use std::{io, path::Path, rc::Rc};

/// Who holds a lock: a process, and which of its locks it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct LockHolder {
    pub(crate) owner: Identity,
    pub(crate) serial: u64,
}

/// A lock that is held until it is dropped.
pub(crate) struct MemoryLock {
    files: Rc<MemoryFiles>,
    holder: LockHolder,
}

impl MemoryFiles {
    /// Takes the lock of a path, or none when somebody has it.
    pub(crate) fn take_lock(
        files: &Rc<MemoryFiles>,
        path: &Path,
        holder: LockHolder,
    ) -> io::Result<Option<MemoryLock>> {
        let path = files.resolve(path, true)?;
        if !files.names.borrow().contains(&path) {
            files.write(&path, b"", 0o600)?;
        }
        let mut locks = files.locks.borrow_mut();
        if locks.contains_key(&*path) {
            return Ok(None);
        }
        locks.insert(path.into_owned(), holder);
        Ok(Some(MemoryLock { files: files.clone(), holder }))
    }

    /// Gives back the locks of a process, as its end does.
    pub(crate) fn unlock_all(&self, owner: Identity) {
        self.locks.borrow_mut().retain(|_, holder| holder.owner != owner);
    }
}

impl Lock for MemoryLock {
    fn is_in_place(&self) -> bool {
        self.files.locks.borrow().values().any(|holder| *holder == self.holder)
    }
}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        self.files.locks.borrow_mut().retain(|_, holder| *holder != self.holder);
    }
}
