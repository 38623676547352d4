//! SQLite on the disk of a world: a file system (VFS) for the real library, with its locks and its shared memory.
//!
//! * this file: files as a connection has them open, in safe code; what they hold is [`disk`](super::disk)'s
//! * `share.rs`: locks, and the shared memory of a write-ahead log
//! * `vfs.rs`: the table of C functions that SQLite calls. With `seal/trap.rs` all unsafe code of this workspace
//!
//! It says of itself what SQLite's own file system for Unix says on Linux (sectors of 4096 bytes, a write damages nothing beside itself),
//! so that SQLite syncs and pads here as it does there.

mod share;
mod vfs;

pub(crate) use share::Share;
pub(crate) use vfs::{FileSystem, with_seed};

use super::{
    disk::{
        Disk, Operation, Part, Trouble,
        bytes::{Bytes, SECTOR_BYTES},
        names::{Content, Inode},
    },
    files::MemoryFiles,
    now_instant,
    random::Random,
};
use rusqlite::ffi;
use share::Region;
use slap_impl::env::{Files, Identity};
use std::{
    borrow::Cow,
    cell::{Cell, RefCell},
    mem::MaybeUninit,
    path::{Path, PathBuf},
    rc::{Rc, Weak},
};

/// The seconds from the beginning of the Julian period, from which SQLite counts, to 1970.
const JULIAN_SECONDS: i64 = 210_866_760_000;

/// A code of SQLite that says what went wrong.
type Code = i32;

/// The databases that a process opened through one store. It ends with the process.
pub(crate) struct Session {
    files: Rc<MemoryFiles>,
    disk: Rc<Disk>,
    owner: Identity,
    random: Random,
    has_ended: Cell<bool>,
    attached: RefCell<Vec<(Weak<Share>, u64)>>,
}

/// A file as a connection has it open.
struct Handle {
    session: Rc<Session>,
    path: PathBuf,
    inode: Rc<Inode>,
    share: Rc<Share>,
    number: u64,
    /// Its name may be new: the next sync makes that durable, too.
    is_new: Cell<bool>,
    /// It has no name, or loses it when it is closed.
    is_temporary: bool,
    /// What SQLite was told the place of.
    regions: RefCell<Vec<Rc<Region>>>,
}

impl Session {
    pub(crate) fn new(
        files: Rc<MemoryFiles>,
        disk: Rc<Disk>,
        owner: Identity,
        random: Random,
    ) -> Rc<Session> {
        let (has_ended, attached) = (Cell::new(false), RefCell::default());
        Rc::new(Session { files, disk, owner, random, has_ended, attached })
    }

    /// The process has ended: what SQLite still does for it while it is torn down has no effect.
    pub(crate) fn end(&self) {
        self.has_ended.set(true);
        for (share, number) in self.attached.take() {
            if let Some(share) = share.upgrade() {
                share.detach(number);
            }
        }
    }

    /// Whether the process is gone.
    pub(crate) fn is_gone(&self) -> bool {
        self.has_ended.get() || self.disk.is_gone(self.owner)
    }

    fn open(self: &Rc<Session>, name: Option<&Path>, flags: i32) -> Result<Handle, Code> {
        self.begin(ffi::SQLITE_CANTOPEN)?;
        let is_temporary = name.is_none() || flags & ffi::SQLITE_OPEN_DELETEONCLOSE != 0;
        // As SQLite's own: whoever might have made a journal syncs its name, too, for it cannot know who did.
        let is_journal = flags & (ffi::SQLITE_OPEN_WAL | ffi::SQLITE_OPEN_MAIN_JOURNAL) != 0;
        let is_new = is_journal && flags & ffi::SQLITE_OPEN_CREATE != 0;
        let (path, inode) = match name {
            None => (PathBuf::new(), self.files.new_file(0o600)),
            Some(name) => match self.files.file(name) {
                Ok(found) => found,
                Err(_) if flags & ffi::SQLITE_OPEN_CREATE != 0 && !self.files.exists(name) => {
                    let inode = self.files.new_file(self.mode_beside(name));
                    self.files.put(name, inode.clone()).map_err(|_| ffi::SQLITE_CANTOPEN)?;
                    (name.to_owned(), inode)
                }
                Err(_) => return Err(ffi::SQLITE_CANTOPEN),
            },
        };
        let known = inode.share.borrow().upgrade().filter(|share| !share.is_abandoned());
        let share = known.unwrap_or_else(|| {
            let share = Rc::<Share>::default();
            inode.share.replace(Rc::downgrade(&share));
            share
        });
        let number = share.attach();
        self.attached.borrow_mut().push((Rc::downgrade(&share), number));
        let (session, is_new, regions) = (self.clone(), Cell::new(is_new), RefCell::default());
        Ok(Handle { session, path, inode, share, number, is_new, is_temporary, regions })
    }

    /// A journal has the mode of its database.
    fn mode_beside(&self, name: &Path) -> u32 {
        let name = name.to_string_lossy();
        let database = ["-wal", "-journal"].iter().find_map(|suffix| name.strip_suffix(suffix));
        let metadata = database.and_then(|path| self.files.metadata(Path::new(path)).ok());
        metadata.map_or(0o600, |metadata| metadata.mode)
    }

    fn delete(&self, path: &Path, sync: bool) -> Result<(), Code> {
        self.begin(ffi::SQLITE_IOERR_DELETE)?;
        if !self.files.exists(path) {
            return Err(ffi::SQLITE_IOERR_DELETE_NOENT);
        }
        self.files.remove_file(path).map_err(|_| ffi::SQLITE_IOERR_DELETE)?;
        if sync { self.sync_directory_of(path) } else { Ok(()) }
    }

    /// Whether a file is there that is not empty, which is what SQLite asks of journals.
    fn has_content(&self, path: &Path) -> bool {
        self.files.metadata(path).is_ok_and(|metadata| metadata.length > 0)
    }

    fn full_path(&self, path: &Path) -> PathBuf {
        self.files.resolve(path, true).map_or_else(|_| path.to_owned(), Cow::into_owned)
    }

    fn sync_directory_of(&self, path: &Path) -> Result<(), Code> {
        let directory = path.parent().unwrap_or(Path::new("/"));
        self.files.sync_directory(self.owner, directory).map_err(|_| ffi::SQLITE_IOERR_DIR_FSYNC)
    }

    /// Milliseconds since the beginning of the Julian period.
    fn now_milliseconds(&self) -> i64 {
        (JULIAN_SECONDS + self.files.now_seconds()) * 1000
    }

    fn begin(&self, code: Code) -> Result<(), Code> {
        self.files.act_for(self.owner);
        if self.is_gone() { Err(code) } else { Ok(()) }
    }

    /// Does an operation on the disk; `code` says that the device failed.
    fn perform<T>(&self, operation: Operation, code: Code, effect: impl FnMut(Part) -> T) -> Result<T, Code> {
        self.begin(code)?;
        self.disk.perform(self.owner, operation, effect).map_err(|trouble| match trouble {
            Trouble::Full => ffi::SQLITE_FULL,
            Trouble::Busy => ffi::SQLITE_BUSY,
            Trouble::Broken | Trouble::Gone => code,
        })
    }
}

impl Handle {
    /// How many bytes could be read; where there are no more are zeros.
    fn read(&self, into: &mut [MaybeUninit<u8>], at: usize) -> Result<usize, Code> {
        self.session.perform(Operation::Read, ffi::SQLITE_IOERR_READ, |_| {
            let bytes = self.bytes().borrow();
            let found = bytes.seen().get(at..).unwrap_or_default();
            let length = found.len().min(into.len());
            into[..length].write_copy_of_slice(&found[..length]);
            into[length..].fill(MaybeUninit::new(0));
            length
        })
    }

    fn write(&self, content: &[u8], at: usize) -> Result<(), Code> {
        self.session.perform(Operation::Write, ffi::SQLITE_IOERR_WRITE, |part| {
            let length = match part {
                Part::Whole => content.len(),
                Part::Some => content.len() / 2 / SECTOR_BYTES * SECTOR_BYTES,
            };
            self.bytes().borrow_mut().write(at, &content[..length], now_instant());
        })
    }

    fn truncate(&self, length: usize) -> Result<(), Code> {
        self.session.perform(Operation::Write, ffi::SQLITE_IOERR_TRUNCATE, |part| {
            if part == Part::Whole {
                self.bytes().borrow_mut().set_length(length, now_instant());
            }
        })
    }

    fn sync(&self) -> Result<(), Code> {
        let disk = &self.session.disk;
        self.session.perform(Operation::Sync, ffi::SQLITE_IOERR_FSYNC, |part| match part {
            _ if disk.lies() => {}
            Part::Whole => self.bytes().borrow_mut().sync(),
            Part::Some => self.bytes().borrow_mut().sync_in_part(disk.random()),
        })?;
        if self.is_new.get() {
            self.session.sync_directory_of(&self.path)?;
            self.is_new.set(false);
        }
        Ok(())
    }

    fn length(&self) -> Result<usize, Code> {
        self.session.begin(ffi::SQLITE_IOERR_FSTAT)?;
        Ok(self.bytes().borrow().seen().len())
    }

    fn lock(&self, level: i32) -> Result<(), Code> {
        let is_locked = self
            .session
            .perform(Operation::Lock, ffi::SQLITE_IOERR_LOCK, |_| self.share.lock(self.number, level))?;
        if is_locked { Ok(()) } else { Err(ffi::SQLITE_BUSY) }
    }

    fn unlock(&self, level: i32) {
        if !self.session.is_gone() {
            self.share.unlock(self.number, level);
        }
    }

    fn lock_slots(&self, first: i32, count: i32, flags: i32) -> Result<(), Code> {
        let slots = first..first + count;
        if flags & ffi::SQLITE_SHM_UNLOCK != 0 {
            if !self.session.is_gone() {
                self.share.unlock_slots(self.number, slots);
            }
            return Ok(());
        }
        let is_exclusive = flags & ffi::SQLITE_SHM_EXCLUSIVE != 0;
        let is_locked = self.session.perform(Operation::Lock, ffi::SQLITE_IOERR_SHMLOCK, |_| {
            self.share.lock_slots(self.number, slots.clone(), is_exclusive)
        })?;
        if is_locked { Ok(()) } else { Err(ffi::SQLITE_BUSY) }
    }

    fn region(&self, index: usize, may_make: bool) -> Result<Option<Rc<Region>>, Code> {
        self.session.begin(ffi::SQLITE_IOERR_SHMMAP)?;
        let region = self.share.region(index, may_make);
        // It stays where it is as long as this is open, whatever becomes of the others.
        self.regions.borrow_mut().extend(region.clone());
        Ok(region)
    }

    fn bytes(&self) -> &RefCell<Bytes> {
        match &self.inode.content {
            Content::File(bytes) => bytes,
            _ => unreachable!("only files are opened"),
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.session.is_gone() {
            return;
        }
        self.share.detach(self.number);
        self.session.attached.borrow_mut().retain(|(share, number)| {
            *number != self.number || !std::ptr::eq(share.as_ptr(), Rc::as_ptr(&self.share))
        });
        if self.is_temporary && !self.path.as_os_str().is_empty() {
            // What cannot be removed is left, as in reality.
            let _ = self.session.delete(&self.path, false);
        }
    }
}
