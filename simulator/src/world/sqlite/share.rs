//! What the connections to one database share: locks of the file, and the index of the write-ahead log in shared memory with its locks.
//!
//! The shared memory belongs to the machine: a process that is killed leaves it, and the first that comes when nobody has it open
//! begins with an empty one, as SQLite's own file system does it by a lock on the file of that memory.

use rusqlite::ffi::{SQLITE_LOCK_EXCLUSIVE, SQLITE_LOCK_PENDING, SQLITE_LOCK_RESERVED, SQLITE_LOCK_SHARED};
use std::{
    cell::{Cell, RefCell, UnsafeCell},
    collections::{BTreeMap, BTreeSet},
    ffi::c_void,
    ops::Range,
    rc::Rc,
};

/// Bytes of a region of shared memory. SQLite asks for no other size.
pub(crate) const REGION_BYTES: usize = 32 * 1024;

/// A region of shared memory. SQLite alone reads and writes it; here is only its place.
pub(crate) struct Region(UnsafeCell<[u64; REGION_BYTES / 8]>);

impl Region {
    fn new() -> Region {
        Region(UnsafeCell::new([0; REGION_BYTES / 8]))
    }

    /// Where it is, as long as this lives.
    pub(crate) fn place(&self) -> *mut c_void {
        self.0.get().cast()
    }
}

/// What the connections to one database share.
#[derive(Default)]
pub(crate) struct Share {
    next: Cell<u64>,
    attached: RefCell<BTreeSet<u64>>,
    /// The lock of each handle that has one: SQLITE_LOCK_SHARED and above.
    levels: RefCell<BTreeMap<u64, i32>>,
    /// Locks of slots of the shared memory: the handles that have one, and whether for itself alone.
    slots: RefCell<BTreeMap<(i32, u64), bool>>,
    regions: RefCell<Vec<Rc<Region>>>,
}

impl Share {
    /// Lets one more in, and gives it its number.
    pub(crate) fn attach(&self) -> u64 {
        let number = self.next.get();
        self.next.set(number + 1);
        self.attached.borrow_mut().insert(number);
        number
    }

    /// Whether nobody has it open.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.attached.borrow().is_empty()
    }

    /// Takes from a handle whatever it has.
    pub(crate) fn detach(&self, number: u64) {
        self.attached.borrow_mut().remove(&number);
        self.levels.borrow_mut().remove(&number);
        self.slots.borrow_mut().retain(|(_, owner), _| *owner != number);
    }

    /// Raises a handle's lock. False if another's forbids it; who wanted to be alone is then the next (SQLITE_LOCK_PENDING).
    pub(crate) fn lock(&self, number: u64, level: i32) -> bool {
        let mut levels = self.levels.borrow_mut();
        let own = levels.get(&number).copied().unwrap_or_default();
        if own >= level {
            return true;
        }
        let others = levels.iter().filter(|(other, _)| **other != number).map(|(_, level)| *level);
        let highest = others.max().unwrap_or_default();
        let is_allowed = match level {
            SQLITE_LOCK_SHARED => highest < SQLITE_LOCK_PENDING,
            SQLITE_LOCK_RESERVED => highest < SQLITE_LOCK_RESERVED,
            _ => highest < SQLITE_LOCK_SHARED,
        };
        if is_allowed {
            levels.insert(number, level);
        } else if level == SQLITE_LOCK_EXCLUSIVE && highest < SQLITE_LOCK_RESERVED {
            levels.insert(number, SQLITE_LOCK_PENDING);
        }
        is_allowed
    }

    /// Lowers a handle's lock.
    pub(crate) fn unlock(&self, number: u64, level: i32) {
        let mut levels = self.levels.borrow_mut();
        if level >= SQLITE_LOCK_SHARED {
            levels.insert(number, level);
        } else {
            levels.remove(&number);
        }
    }

    /// Whether somebody means to write.
    pub(crate) fn is_reserved(&self) -> bool {
        self.levels.borrow().values().any(|level| *level >= SQLITE_LOCK_RESERVED)
    }

    /// Takes locks of shared memory, all or none.
    pub(crate) fn lock_slots(&self, number: u64, slots: Range<i32>, is_exclusive: bool) -> bool {
        let mut locks = self.slots.borrow_mut();
        let is_taken = locks.iter().any(|((slot, owner), exclusive)| {
            slots.contains(slot) && *owner != number && (is_exclusive || *exclusive)
        });
        if !is_taken {
            locks.extend(slots.map(|slot| ((slot, number), is_exclusive)));
        }
        !is_taken
    }

    /// Gives them back.
    pub(crate) fn unlock_slots(&self, number: u64, slots: Range<i32>) {
        self.slots.borrow_mut().retain(|(slot, owner), _| *owner != number || !slots.contains(slot));
    }

    /// A region of the shared memory; one that is not there is made if it may.
    pub(crate) fn region(&self, index: usize, may_make: bool) -> Option<Rc<Region>> {
        let mut regions = self.regions.borrow_mut();
        while may_make && regions.len() <= index {
            regions.push(Rc::new(Region::new()));
        }
        regions.get(index).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_of_the_file_are_those_of_sqlite() {
        let share = Share::default();
        let (one, two, three) = (share.attach(), share.attach(), share.attach());
        assert!(share.lock(one, SQLITE_LOCK_SHARED) && share.lock(two, SQLITE_LOCK_SHARED));
        assert!(share.lock(one, SQLITE_LOCK_RESERVED) && share.is_reserved());
        assert!(!share.lock(two, SQLITE_LOCK_RESERVED), "one writes at a time");
        assert!(!share.lock(one, SQLITE_LOCK_EXCLUSIVE), "while somebody reads");
        assert!(!share.lock(three, SQLITE_LOCK_SHARED), "nobody comes before who waits");
        share.unlock(two, 0);
        assert!(share.lock(one, SQLITE_LOCK_EXCLUSIVE));
        share.detach(one);
        assert!(!share.is_reserved() && share.lock(three, SQLITE_LOCK_SHARED));
        assert!(!share.is_abandoned());
        share.detach(two);
        share.detach(three);
        assert!(share.is_abandoned());
    }

    #[test]
    fn slots_are_shared_or_not() {
        let share = Share::default();
        let (one, two) = (share.attach(), share.attach());
        assert!(share.lock_slots(one, 3..4, false) && share.lock_slots(two, 3..4, false));
        assert!(!share.lock_slots(one, 3..8, true), "one of them is another's");
        assert!(share.lock_slots(two, 4..5, true), "so none was taken");
        share.unlock_slots(two, 3..4);
        assert!(share.lock_slots(one, 3..4, true));
        assert!(!share.lock_slots(two, 3..4, false));
        assert!(share.region(0, false).is_none());
        let region = share.region(1, true).unwrap();
        assert_eq!(share.region(1, false).unwrap().place(), region.place());
    }
}
