//! The disk of a world: what survives when its machine loses power, and what goes wrong with it on the way.
//!
//! * `bytes.rs`: the bytes of a file: what programs see, what was synced, and the changes between
//! * `names.rs`: the same of directories; `tree.rs`: a map by path; `hash.rs`: a quick hash of paths
//! * this file: faults, and who is gone because of one
//!
//! Files and the databases of the crash tier stand on the same disk, so that a fault meets whatever comes: each read, write, sync and
//! lock asks [`Disk::perform`] how it ends.

pub(crate) mod bytes;
mod hash;
pub(crate) mod names;
mod tree;

use super::random::Random;
use slap_impl::env::Identity;
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet, VecDeque},
    io,
    path::Path,
};
use tokio::sync::Notify;

/// What can be done to a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// A read by SQLite.
    Read,
    /// A change that need not be durable: bytes, a length, a name.
    Write,
    /// What makes changes of a file or directory durable.
    Sync,
    /// A lock that SQLite takes of a database.
    Lock,
}

/// When, within an operation, something ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Nothing of the operation happened.
    Before,
    /// Some of it did.
    Within,
    /// All of it did, but nobody was told.
    After,
}

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No room (ENOSPC); the beginning of a write may have been written.
    Full,
    /// The device fails (EIO). What a failed sync did not write is lost, though it is still seen: the system forgets that it was changed.
    Broken,
    /// Somebody else has the lock (SQLITE_BUSY).
    Busy,
    /// The process that did it is killed.
    Killed(Moment),
    /// The machine loses power.
    PowerLoss(Moment),
}

/// Operations that will fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Of this kind.
    pub operation: Operation,
    /// So many go well before.
    pub spared: u64,
    /// So many fail.
    pub times: u64,
    /// How.
    pub failure: Failure,
}

/// Who is gone because of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strike {
    /// A process.
    Process(Identity),
    /// The whole machine.
    Machine,
}

/// What of an operation happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Whole,
    Some,
}

/// Why an operation did not go well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    Full,
    Broken,
    Busy,
    /// Who asked is gone.
    Gone,
}

/// The disk of a world.
pub struct Disk {
    /// Whether it remembers what was not synced. Without that, everything is durable at once.
    remembers: bool,
    random: Random,
    faults: RefCell<Vec<Fault>>,
    counts: RefCell<BTreeMap<Operation, u64>>,
    lies: Cell<bool>,
    dark: Cell<bool>,
    /// Whether it is looked at from outside: that is no operation of it.
    quiet: Cell<bool>,
    killed: RefCell<BTreeSet<Identity>>,
    strikes: RefCell<VecDeque<Strike>>,
    struck: Notify,
}

impl Disk {
    pub(crate) fn new(remembers: bool, random: Random) -> Disk {
        Disk {
            remembers,
            random,
            faults: RefCell::default(),
            counts: RefCell::default(),
            lies: Cell::new(false),
            dark: Cell::new(false),
            quiet: Cell::new(false),
            killed: RefCell::default(),
            strikes: RefCell::default(),
            struck: Notify::new(),
        }
    }

    /// Plans a fault, beside those that are planned already. Of several that meet one operation the first planned counts.
    pub fn plan(&self, fault: Fault) {
        self.faults.borrow_mut().push(fault);
    }

    /// Forgets all planned faults, and tells the truth again.
    pub fn heal(&self) {
        self.faults.borrow_mut().clear();
        self.lies.set(false);
    }

    /// Lets every sync of a file say that it is done, and do nothing: what a bad disk does, and no program can survive.
    pub fn lie(&self) {
        self.lies.set(true);
    }

    /// Lets nothing that is done meanwhile count, or meet a fault: who looks from outside is no part of the world.
    pub(crate) fn quietly<T>(&self, look: impl FnOnce() -> T) -> T {
        let was_quiet = self.quiet.replace(true);
        let result = look();
        self.quiet.set(was_quiet);
        result
    }

    /// How many operations of a kind there were.
    pub fn count(&self, operation: Operation) -> u64 {
        self.counts.borrow().get(&operation).copied().unwrap_or_default()
    }

    /// Whether it remembers what was not synced.
    pub(crate) fn remembers(&self) -> bool {
        self.remembers
    }

    /// Whether a sync only says that it is done.
    pub(crate) fn lies(&self) -> bool {
        self.lies.get()
    }

    pub(crate) fn random(&self) -> &Random {
        &self.random
    }

    /// Whether a process, or its machine, is gone because of a fault: nothing that it still does has an effect.
    pub(crate) fn is_gone(&self, who: Identity) -> bool {
        self.dark.get() || (!self.killed.borrow().is_empty() && self.killed.borrow().contains(&who))
    }

    /// Does an operation for a process, unless a fault has it otherwise. `effect` is told how much of it happens.
    pub(crate) fn perform<T>(
        &self,
        who: Identity,
        operation: Operation,
        mut effect: impl FnMut(Part) -> T,
    ) -> Result<T, Trouble> {
        if !self.remembers {
            return Ok(effect(Part::Whole));
        }
        if self.is_gone(who) {
            return Err(Trouble::Gone);
        }
        if self.quiet.get() {
            return Ok(effect(Part::Whole));
        }
        *self.counts.borrow_mut().entry(operation).or_default() += 1;
        let (moment, strike, trouble) = match self.failure_of(operation) {
            None => return Ok(effect(Part::Whole)),
            Some(Failure::Full) => (Moment::Within, None, Trouble::Full),
            Some(Failure::Broken) => (Moment::Within, None, Trouble::Broken),
            Some(Failure::Busy) => (Moment::Before, None, Trouble::Busy),
            // What a killed process had begun to sync the system still knows.
            Some(Failure::Killed(Moment::Within)) if operation == Operation::Sync => {
                (Moment::Before, Some(Strike::Process(who)), Trouble::Gone)
            }
            Some(Failure::Killed(moment)) => (moment, Some(Strike::Process(who)), Trouble::Gone),
            Some(Failure::PowerLoss(moment)) => (moment, Some(Strike::Machine), Trouble::Gone),
        };
        match moment {
            Moment::Before => {}
            Moment::Within => drop(effect(Part::Some)),
            Moment::After => drop(effect(Part::Whole)),
        }
        if let Some(strike) = strike {
            self.strike(strike);
        }
        Err(trouble)
    }

    /// The failure that meets the next operation of a kind.
    fn failure_of(&self, operation: Operation) -> Option<Failure> {
        let mut faults = self.faults.borrow_mut();
        let mut found = None;
        for fault in faults.iter_mut().filter(|fault| fault.operation == operation) {
            if fault.spared > 0 {
                fault.spared -= 1;
            } else if found.is_none() {
                fault.times = fault.times.saturating_sub(1);
                found = Some(fault.failure);
            }
        }
        faults.retain(|fault| fault.times > 0);
        found
    }

    fn strike(&self, strike: Strike) {
        match strike {
            Strike::Process(who) => drop(self.killed.borrow_mut().insert(who)),
            Strike::Machine => self.dark.set(true),
        }
        self.strikes.borrow_mut().push_back(strike);
        self.struck.notify_one();
    }

    /// Waits until a fault strikes somebody.
    pub(crate) async fn next_strike(&self) -> Strike {
        loop {
            if let Some(strike) = self.strikes.borrow_mut().pop_front() {
                return strike;
            }
            self.struck.notified().await;
        }
    }

    /// The machine has power again.
    pub(crate) fn power_on(&self) {
        self.dark.set(false);
        self.killed.borrow_mut().clear();
        self.strikes.borrow_mut().clear();
    }
}

impl Trouble {
    /// The error that a program is told.
    pub(crate) fn error(self, path: &Path) -> io::Error {
        let (kind, what) = match self {
            Trouble::Full => (io::ErrorKind::StorageFull, "no space left on device"),
            Trouble::Broken => (io::ErrorKind::Other, "input/output error"),
            Trouble::Busy => (io::ErrorKind::ResourceBusy, "resource busy"),
            Trouble::Gone => (io::ErrorKind::Other, "this process is gone"),
        };
        io::Error::new(kind, format!("{}: {what}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHO: Identity = Identity { pid: 7, start_time: 1 };

    fn disk(failure: Failure, spared: u64, times: u64) -> Disk {
        let disk = Disk::new(true, Random::new(1));
        disk.plan(Fault { operation: Operation::Write, spared, times, failure });
        disk
    }

    fn write(disk: &Disk) -> (Result<(), Trouble>, Option<Part>) {
        let mut done = None;
        let result = disk.perform(WHO, Operation::Write, |part| done = Some(part));
        (result, done)
    }

    #[test]
    fn a_fault_meets_the_operations_that_it_says() {
        let disk = disk(Failure::Full, 2, 2);
        let good = (Ok(()), Some(Part::Whole));
        let full = (Err(Trouble::Full), Some(Part::Some));
        assert_eq!([(); 6].map(|()| write(&disk)), [good, good, full, full, good, good]);
        assert_eq!((disk.count(Operation::Write), disk.count(Operation::Sync)), (6, 0));
    }

    #[test]
    fn who_is_gone_does_nothing_more() {
        for (moment, part) in
            [(Moment::Before, None), (Moment::Within, Some(Part::Some)), (Moment::After, Some(Part::Whole))]
        {
            for failure in [Failure::Killed(moment), Failure::PowerLoss(moment)] {
                let disk = disk(failure, 0, 1);
                assert_eq!(write(&disk), (Err(Trouble::Gone), part), "{failure:?}");
                assert_eq!(write(&disk), (Err(Trouble::Gone), None), "{failure:?}");
                let other = Identity { pid: 8, start_time: 1 };
                let others = disk.perform(other, Operation::Sync, |_| ());
                assert_eq!(others.is_ok(), matches!(failure, Failure::Killed(_)), "{failure:?}");
                disk.power_on();
                assert_eq!(write(&disk), (Ok(()), Some(Part::Whole)), "{failure:?}");
            }
        }
    }
}
