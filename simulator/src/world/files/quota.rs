//! How much may stand below a directory: a project quota, as XFS and ext4 have it. It counts blocks, and not names; what it refuses is
//! told as EDQUOT. Databases of the crash tier are not counted.

use super::{Inode, MemoryFiles};
use crate::world::disk::names::Content;
use std::{io, path::Path};

/// Bytes of a block, which is what a file takes at least once it holds anything, and a directory.
const BLOCK_BYTES: usize = 4096;

/// The blocks of a file of so many bytes.
pub(super) fn blocks(bytes: usize) -> u64 {
    bytes.div_ceil(BLOCK_BYTES) as u64
}

/// The blocks that something takes.
pub(super) fn blocks_of(inode: &Inode) -> u64 {
    match &inode.content {
        Content::File(bytes) => blocks(bytes.borrow().seen().len()),
        Content::Directory => 1,
        Content::Symlink(_) | Content::Pipe(_) => 0,
    }
}

impl MemoryFiles {
    /// Leaves room for so many blocks below a directory, beside those that are taken now. None: as much as it likes.
    pub(crate) fn set_room(&self, directory: &Path, room: Option<u64>) {
        let limit = room.map(|room| self.taken(directory) + room);
        let mut quotas = self.quotas.borrow_mut();
        match limit {
            Some(limit) => drop(quotas.insert(directory.to_owned(), limit)),
            None => drop(quotas.remove(directory)),
        }
    }

    /// Ends all quotas.
    pub(crate) fn forget_quotas(&self) {
        self.quotas.take();
    }

    /// Refuses what would take so many blocks more than there may be.
    pub(super) fn check_quota(&self, path: &Path, more: u64) -> io::Result<()> {
        if more == 0 || self.quotas.borrow().is_empty() {
            return Ok(());
        }
        let quotas = self.quotas.borrow();
        let mut above = quotas.iter().filter(|(directory, _)| path.starts_with(directory));
        if above.all(|(directory, limit)| self.taken(directory) + more <= *limit) {
            return Ok(());
        }
        let text = format!("{}: disk quota exceeded", path.display());
        Err(io::Error::new(io::ErrorKind::QuotaExceeded, text))
    }

    fn taken(&self, directory: &Path) -> u64 {
        let names = self.names.borrow();
        let below = names.below(directory);
        below.iter().filter_map(|path| names.get(path)).map(|inode| blocks_of(inode)).sum()
    }
}
