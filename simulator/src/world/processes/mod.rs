//! The process table of a machine: each process is a group of tasks that stand still or end as one.
//!
//! * this file: the table, and how processes end; `record.rs`: one process
//! * `env.rs`: a process as its own program sees it; `others.rs`: the others as it sees them

mod env;
mod others;
mod record;

pub(crate) use env::ProcessEnv;

use super::{Random, Shared, now_instant};
use record::{Record, Sink};
use slap_impl::env::{Clock, Ended, Env, Identity, LocalFuture, Signal, join_all};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    path::PathBuf,
    rc::Rc,
};
use tokio::time::Instant;

/// The rule that no program panics.
pub(crate) const PANIC: &str = "panic";

/// Numbers of processes: few, so that they come again soon, as they do on a busy machine.
const PIDS: RangeInclusive<u32> = 100..=400;
/// Where so many run that those would not do: as many as Linux has.
const MANY_PIDS: RangeInclusive<u32> = 100..=(1 << 22);
/// Start times of processes that began after different boots differ: the world itself tells them apart by their identities.
const TICKS_OF_BOOT: u64 = 1 << 40;

/// The processes that were not ended yet, by number.
pub(crate) struct Table {
    next_pid: u32,
    records: BTreeMap<u32, Rc<Record>>,
    boots: u64,
    booted_at: Instant,
    /// The start time that was given last.
    last_start: u64,
    /// How often each command line was started, since there is the machine.
    starts: BTreeMap<String, u64>,
}

impl Table {
    pub(crate) fn new() -> Table {
        Table {
            next_pid: *PIDS.start(),
            records: BTreeMap::new(),
            boots: 1,
            booted_at: now_instant(),
            last_start: 0,
            starts: BTreeMap::new(),
        }
    }

    /// The machine starts: numbers begin anew.
    pub(crate) fn boot(&mut self) {
        (self.next_pid, self.booted_at) = (*PIDS.start(), now_instant());
        self.boots += 1;
    }

    pub(crate) fn running(&self) -> Vec<(Identity, String)> {
        self.records.values().map(|record| (record.identity, record.description.clone())).collect()
    }

    /// `random`: the machine's. What a program draws depends on how often its command line was started, not on what else runs; who is no program counts
    /// as one.
    fn add(
        &mut self,
        description: String,
        random: &Random,
        make: impl FnOnce(Identity, String, Random) -> Record,
    ) -> Rc<Record> {
        let pid = self.free_pid();
        self.next_pid = pid + 1;
        let ticks = now_instant().duration_since(self.booted_at).as_millis() as u64 / 10;
        // Nor do two of a machine begin in the same tick, as Linux's may.
        self.last_start = (self.boots * TICKS_OF_BOOT + ticks).max(self.last_start + 1);
        let identity = Identity { pid, start_time: self.last_start };
        let starts = self.starts.entry(description.clone()).or_default();
        *starts += 1;
        let random = random.child(&format!("start {starts} of {description}"));
        let record = Rc::new(make(identity, description, random));
        self.records.insert(pid, record.clone());
        record
    }

    /// The next number that no process has, nor a session that is not empty.
    fn free_pid(&self) -> u32 {
        let is_crowded = self.records.len() * 2 > PIDS.count();
        let pids = if is_crowded { MANY_PIDS } else { PIDS };
        let sessions: BTreeSet<u32> = self.records.values().map(|record| record.session).collect();
        let is_free = |pid: &u32| !self.records.contains_key(pid) && !sessions.contains(pid);
        (self.next_pid..=*pids.end())
            .chain(pids)
            .find(is_free)
            .expect("there are more numbers than processes")
    }

    fn find(&self, identity: Identity) -> Option<Rc<Record>> {
        self.records.get(&identity.pid).filter(|record| record.identity == identity).cloned()
    }
}

/// A process without a program: a test, or a user at a terminal.
pub(crate) fn user(shared: &Rc<Shared>, directory: PathBuf, variables: BTreeMap<String, String>) -> Env {
    user_with_clock(shared, directory, variables, shared.clock.clone())
}

/// As [`user`], with a clock of its own.
pub(crate) fn user_with_clock(
    shared: &Rc<Shared>,
    directory: PathBuf,
    variables: BTreeMap<String, String>,
    clock: Rc<dyn Clock>,
) -> Env {
    let nobody = Identity { pid: 0, start_time: 0 };
    let mut table = shared.table.borrow_mut();
    let record = table.add("user".to_owned(), &shared.random, |identity, description, random| {
        Record::new(
            identity,
            nobody,
            identity.pid,
            false,
            description,
            directory,
            variables,
            Sink::Trace,
            random,
        )
    });
    drop(table);
    let context = record.context.clone();
    ProcessEnv { shared: shared.clone(), record }.env_of(context, clock)
}

/// Kills a process.
pub(crate) fn kill(shared: &Rc<Shared>, identity: Identity) {
    let found = shared.table.borrow().find(identity);
    if let Some(record) = found {
        finish(shared, &record, Ended { code: None, signal: Some(9), output: Vec::new() });
    }
}

/// Sends a process a signal.
pub(crate) fn signal(shared: &Rc<Shared>, identity: Identity, signal: Signal) {
    let found = shared.table.borrow().find(identity);
    if let Some(record) = found {
        shared.trace.event(shared.name_of(identity), format_args!("{signal:?}"));
        env::deliver(shared, &record, signal);
    }
}

/// Asks every process to end, and waits until all have.
pub(crate) fn terminate_all(shared: &Rc<Shared>) -> LocalFuture<'static, ()> {
    let records: Vec<Rc<Record>> = shared.table.borrow().records.values().cloned().collect();
    for record in &records {
        env::deliver(shared, record, Signal::Terminate);
    }
    let ends: Vec<LocalFuture<'static, Ended>> = records
        .into_iter()
        .map(|record| Box::pin(async move { record.wait().await }) as LocalFuture<'static, Ended>)
        .collect();
    Box::pin(async move { drop(join_all(ends).await) })
}

/// Ends every process.
pub(crate) fn end_all(shared: &Rc<Shared>) {
    let records: Vec<Rc<Record>> = shared.table.borrow().records.values().cloned().collect();
    for record in records {
        finish(shared, &record, Ended { code: None, signal: Some(9), output: Vec::new() });
    }
}

fn finish(shared: &Rc<Shared>, record: &Rc<Record>, mut ended: Ended) {
    if record.ended.borrow().is_some() {
        return;
    }
    if let Sink::Capture { bytes, inherited: false, .. } = &record.sink {
        ended.output = bytes.take();
    }
    shared.trace.event(shared.name_of(record.identity), ended.describe());
    record.ended.replace(Some(ended));
    shared.table.borrow_mut().records.remove(&record.identity.pid);
    shared.interface.close_all(record.identity);
    shared.files.unlock_all(record.identity);
    shared.stores.end(record.identity);
    for task in record.tasks.take() {
        task.abort();
    }
    record.end.notify_waiters();
    if record.ends_group.get() {
        let is_its = |other: &&Rc<Record>| {
            other.session == record.identity.pid
                || record.run.as_ref().zip(other.run.as_ref()).is_some_and(|(run, other)| {
                    let rest = other.strip_prefix(run.as_str());
                    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                })
        };
        let group: Vec<Rc<Record>> = shared.table.borrow().records.values().filter(is_its).cloned().collect();
        for other in group {
            finish(shared, &other, Ended { code: None, signal: Some(9), output: Vec::new() });
        }
    }
    let orphans: Vec<Rc<Record>> = shared
        .table
        .borrow()
        .records
        .values()
        .filter(|other| other.parent.get() == record.identity)
        .cloned()
        .collect();
    let adopter = adopter(&shared.table.borrow(), record);
    for orphan in orphans {
        orphan.parent.set(adopter);
        if !orphan.dies_with_parent {
            continue;
        }
        finish(shared, &orphan, Ended { code: None, signal: Some(9), output: Vec::new() });
    }
}

/// Who becomes the parent of what a process leaves behind.
fn adopter(table: &Table, record: &Record) -> Identity {
    let mut ancestor = record.parent.get();
    while let Some(found) = table.find(ancestor).filter(|found| !found.adopts.get()) {
        ancestor = found.parent.get();
    }
    ancestor
}
