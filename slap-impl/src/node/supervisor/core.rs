//! The supervisor's heart: it holds the records, does what they plan, and keeps the state file true.
//!
//! The order that makes "never twice" hold: processes are started held; their identities are written durably; only then they are
//! released. A supervisor that dies before the write leaves processes that exit by themselves; one that dies after it is
//! succeeded by one that finds them.

use super::{
    output::Outputs,
    record::{Action, Goal, Record, Started},
    state::{self, Groups},
    types::{NAME_BYTES_MAX, SERVICES_MAX, Service, ServiceState, ServiceStatus},
};
use crate::env::{Command, Ended, Env, Identity, Output, Signal, Spawned, Start, room};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::sync::mpsc;

/// The variable that marks a service's processes, one value for each start.
pub const MARK_VARIABLE: &str = "SLAP_SERVICE_MARK";
/// The variable that marks the processes of one supervisor; its value is the supervisor's directory.
pub const SUPERVISOR_VARIABLE: &str = "SLAP_SUPERVISOR";

/// What a process is sent that shall end: one that stands still would not hear of it otherwise.
pub(super) const PLEASE_END: [Signal; 2] = [Signal::Terminate, Signal::Continue];

/// A process has ended.
pub(super) struct Gone {
    pub(super) group: String,
    pub(super) name: String,
    pub(super) identity: Identity,
    /// How, if it was the service's own and a child of this process.
    pub(super) ended: Option<Ended>,
}

/// The records and what they need.
pub(super) struct Core {
    env: Env,
    path: PathBuf,
    directory: String,
    boot: String,
    groups: Groups,
    /// Whether the state file is older than the records.
    dirty: bool,
    gone: mpsc::UnboundedSender<Gone>,
    outputs: Outputs,
}

impl Core {
    pub(super) fn new(env: Env, directory: &Path, groups: Groups, gone: mpsc::UnboundedSender<Gone>) -> Core {
        let boot = env.processes().boot();
        let path = directory.join(super::state::STATE);
        let outputs = Outputs::new(env.clone(), directory);
        let directory = directory.display().to_string();
        Core { env, path, directory, boot, groups, dirty: true, gone, outputs }
    }

    /// Takes over what an earlier life started. `same_boot` says whether identities still mean something.
    pub(super) fn adopt(&mut self, same_boot: bool) {
        let now = self.env.clock().elapsed();
        // An empty state of this boot is written already.
        self.dirty = !(same_boot && self.groups.is_empty());
        let mut found = Vec::new();
        let mut writing = Vec::new();
        for (group, name, record) in records(&mut self.groups) {
            let identity = record.started.as_ref().map(|started| started.identity).filter(|_| same_boot);
            if !same_boot && let Some(started) = &mut record.started {
                // What it marked cannot be found any more, and must not be looked for.
                started.mark.clear();
                started.released = true;
            }
            let alive = identity.is_some_and(|identity| self.env.processes().find(identity).is_some());
            record.adopt(alive, now);
            // Also of what has ended meanwhile: something that it started may still write.
            if identity.is_some() {
                writing.push((group.clone(), record.service.clone()));
            }
            found.extend(identity.filter(|_| alive).map(|identity| (group.clone(), name.clone(), identity)));
        }
        for (group, service) in writing {
            if let Err(error) = self.outputs.open(&group, &service) {
                self.env.log(format_args!("{group}/{}: its output is not read: {error}", service.name));
            }
        }
        self.outputs.keep_only_open();
        for (group, name, identity) in found {
            self.env.log(format_args!("{group}/{name}: process {} goes on", identity.pid));
            self.watch(&group, &name, identity);
        }
    }

    /// Declares the whole set of a group.
    ///
    /// # Errors
    /// When a service cannot be one, or the declaration cannot be made durable: nothing has changed then.
    pub(super) fn apply(&mut self, group: &str, services: Vec<Service>) -> Result<(), String> {
        check_name("group", group)?;
        check(&services)?;
        let before = self.groups.get(group).cloned();
        let records = self.groups.entry(group.to_owned()).or_default();
        for record in records.values_mut() {
            record.goal = Goal::Forget;
            record.next = None;
        }
        for service in services {
            match records.get_mut(&service.name) {
                Some(record) => record.declare(service),
                None => drop(records.insert(service.name.clone(), Record::new(service))),
            }
        }
        self.save_or_undo(group, before)
    }

    /// Sets what is wanted of all services of a group.
    ///
    /// # Errors
    /// When it cannot be made durable: nothing has changed then.
    pub(super) fn set_goal(&mut self, group: &str, goal: Goal) -> Result<(), String> {
        let Some(records) = self.groups.get_mut(group) else { return Ok(()) };
        let before = records.clone();
        for record in records.values_mut().filter(|record| record.goal != Goal::Forget) {
            record.goal = goal;
            record.next = None;
        }
        if *records == before { Ok(()) } else { self.save_or_undo(group, Some(before)) }
    }

    /// All groups' names.
    pub(super) fn groups(&self) -> Vec<String> {
        self.groups.keys().cloned().collect()
    }

    /// Whether a group is on its way to what is wanted of it.
    pub(super) fn is_moving(&self, group: &str) -> bool {
        self.groups.get(group).is_some_and(|records| records.values().any(Record::is_moving))
    }

    /// Whether a group is asked to stop and has not yet.
    pub(super) fn is_stopping(&self, group: &str) -> bool {
        let stopping = |record: &Record| record.goal != Goal::Run && record.is_moving();
        self.groups.get(group).is_some_and(|records| records.values().any(stopping))
    }

    /// All services, sorted by group and name.
    pub(super) fn status(&self) -> Vec<ServiceStatus> {
        let of_group = |(group, records): (&String, &BTreeMap<String, Record>)| {
            records.values().map(|record| record.status(group)).collect::<Vec<_>>()
        };
        self.groups.iter().flat_map(of_group).collect()
    }

    /// When [`Core::step`] is to be called again though nothing happened.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let leaving = self.leaving();
        // What waits for others to go is looked at when they are gone.
        let may_move = |group: &String, record: &Record| {
            record.state == ServiceState::Stopping || !leaving.contains(group)
        };
        let records = self
            .groups
            .iter()
            .flat_map(|(group, records)| records.values().map(move |record| (group, record)));
        records
            .filter(|(group, record)| may_move(group, record))
            .filter_map(|(_, record)| record.deadline())
            .min()
    }

    /// A process has ended.
    pub(super) fn note_gone(&mut self, gone: Gone) {
        let now = self.env.clock().elapsed();
        let Some(record) = record(&mut self.groups, &gone.group, &gone.name) else { return };
        let is_leader = record.started.as_ref().is_some_and(|started| started.identity == gone.identity);
        if is_leader {
            // Who hears of the end finds the last words in the log.
            self.outputs.drain(&gone.group, &gone.name);
            let unknown = Ended { code: None, signal: None, output: Vec::new() };
            record.ended(gone.ended.unwrap_or(unknown), now);
            self.dirty = true;
            let how = record.ended.as_ref().map_or("was never released".to_owned(), Ended::describe);
            self.env.log(format_args!("{}/{}: process {} {how}", gone.group, gone.name, gone.identity.pid));
        }
        if record.state == ServiceState::Stopping {
            self.sweep(&gone.group, &gone.name);
        } else {
            self.remember_session(&gone.group, &gone.name);
        }
    }

    /// Looks whether the state file is there: what was removed is written again with the next step.
    pub(super) fn look(&mut self) {
        self.dirty |= !self.env.files().exists(&self.path);
    }

    /// Whether the state file is another supervisor's. To be asked when the lock was lost meanwhile.
    pub(super) fn is_succeeded(&self) -> bool {
        let files = self.env.files();
        files.exists(&self.path) && !state::is_saved(&self.env, &self.path, &self.boot, &self.groups)
    }

    /// Does what is to be done now.
    pub(super) fn step(&mut self) {
        // What an action changes may allow the next one: a settled service is started in the same step.
        loop {
            let now = self.env.clock().elapsed();
            let mut planned = Vec::new();
            let leaving = self.leaving();
            for (group, name, record) in records(&mut self.groups) {
                let action = record.plan(now);
                // What goes may have the port or the data of what comes: supervisorctl's `update`, too, waits for the old ones' end
                // before it adds new ones (supervisor/supervisorctl.py, `do_update`).
                let action = action.filter(|action| *action != Action::Start || !leaving.contains(group));
                planned.extend(action.map(|action| (action, group.clone(), name.clone())));
            }
            if planned.is_empty() {
                break;
            }
            let mut to_start = Vec::new();
            for (action, group, name) in planned {
                match action {
                    Action::Start => to_start.push((group, name)),
                    Action::Terminate => self.terminate(&group, &name),
                    Action::Kill => self.kill(&group, &name),
                }
            }
            self.start_all(to_start);
        }
        if self.dirty {
            match self.save() {
                Ok(()) => {}
                Err(error) => self.env.log(format_args!("{error}; tried again at the next change")),
            }
        }
    }

    /// The groups of which services are to go that have not ended yet.
    fn leaving(&self) -> BTreeSet<String> {
        let is_leaving =
            |records: &BTreeMap<String, Record>| records.values().any(|record| record.goal == Goal::Forget);
        self.groups
            .iter()
            .filter(|(_, records)| is_leaving(records))
            .map(|(group, _)| group.clone())
            .collect()
    }

    /// Starts services: all held, one durable write, all released.
    fn start_all(&mut self, to_start: Vec<(String, String)>) {
        let mut held: Vec<(String, String, Spawned)> = Vec::new();
        for (group, name) in to_start {
            if self.end_leftovers(&group, &name) {
                continue;
            }
            if let Some(spawned) = self.spawn(&group, &name) {
                held.push((group, name, spawned));
            }
        }
        if held.is_empty() {
            return;
        }
        let saved = self.save();
        let now = self.env.clock().elapsed();
        for (group, name, mut spawned) in held {
            let Some(record) = record(&mut self.groups, &group, &name) else { continue };
            match &saved {
                Ok(()) => {
                    if let Err(error) = spawned.release() {
                        // Killed while it was held: its end is seen like any other's.
                        self.env.log(format_args!("{group}/{name}: {error}"));
                    }
                    if let Some(started) = &mut record.started {
                        started.released = true;
                    }
                    self.env.log(format_args!("{group}/{name}: process {} runs", spawned.identity.pid));
                    self.watch_child(group, name, spawned);
                }
                Err(error) => {
                    // Dropping the hold ends the process without a run.
                    drop(spawned.hold.take());
                    record.started = None;
                    record.failed(error.clone(), now);
                }
            }
            self.dirty = true;
        }
    }

    fn spawn(&mut self, group: &str, name: &str) -> Option<Spawned> {
        let now = self.env.clock().elapsed();
        let mark = crate::vocabulary::hex(&self.env.random_bytes(16));
        let record = record(&mut self.groups, group, name)?;
        let service = &record.service;
        let mut variables = service.variables.clone();
        variables.insert(MARK_VARIABLE.to_owned(), mark.clone());
        variables.insert(SUPERVISOR_VARIABLE.to_owned(), self.directory.clone());
        self.dirty = true;
        let output = match self.outputs.open(group, service) {
            Ok(pipe) => Output::Pipe(pipe),
            Err(error) => {
                self.env.log(format_args!("{group}/{name} cannot be started: {error}"));
                record.failed(error.to_string(), now);
                return None;
            }
        };
        let command = Command {
            program: service.program.clone(),
            arguments: service.arguments.clone(),
            variables,
            directory: service.directory.clone(),
            output,
            start: Start::Held,
            session: true,
            dies_with_parent: false,
            ends_group: false,
            umask: service.umask,
        };
        match self.env.processes().spawn(&command) {
            Ok(spawned) => {
                let started_at_seconds = self.env.clock().now().as_second();
                let identity = spawned.identity;
                record.started(Started { identity, mark, started_at_seconds, released: false }, now);
                Some(spawned)
            }
            Err(error) => {
                self.env.log(format_args!("{group}/{name} cannot be started: {error}"));
                record.failed(error.to_string(), now);
                None
            }
        }
    }

    /// Before a new start: whether an earlier process left something, which is asked to end then.
    fn end_leftovers(&mut self, group: &str, name: &str) -> bool {
        let Some(record) = record(&mut self.groups, group, name) else { return true };
        let left = survivors(&self.env, record);
        if left.is_empty() {
            return false;
        }
        self.ask_to_end(group, name, &left);
        true
    }

    fn terminate(&mut self, group: &str, name: &str) {
        let Some(record) = record(&mut self.groups, group, name) else { return };
        let leader =
            record.started.as_ref().map(|started| started.identity).filter(|_| record.volatile.owns_session);
        if let Some(leader) = leader.filter(|leader| self.env.processes().find(*leader).is_some()) {
            // Its end is watched already; what it leaves is looked for then.
            record.stopping(self.env.clock().elapsed());
            record.volatile.asked = BTreeSet::from([leader]);
            // Without its parent nobody could say whose it was, if it has neither the session nor the mark.
            if !record.service.outlived {
                record.volatile.strays = self.env.processes().descendants(&[leader]).into_iter().collect();
            }
            self.dirty = true;
            for signal in PLEASE_END {
                report(&self.env, self.env.processes().signal_group(leader, signal));
            }
            return;
        }
        let left = survivors(&self.env, record);
        if left.is_empty() {
            self.settle(group, name);
        } else {
            self.ask_to_end(group, name, &left);
        }
    }

    fn kill(&mut self, group: &str, name: &str) {
        let Some(record) = record(&mut self.groups, group, name) else { return };
        let left = survivors(&self.env, record);
        if left.is_empty() {
            self.settle(group, name);
            return;
        }
        if record.volatile.kill_at.is_none() {
            // Found stopping by a new life: it gets its time.
            self.ask_to_end(group, name, &left);
            return;
        }
        record.killed(self.env.clock().elapsed());
        self.env.log(format_args!("{group}/{name}: {} processes are left and killed", left.len()));
        for identity in left {
            report(&self.env, self.env.processes().signal(identity, Signal::Kill));
            self.watch(group, name, identity);
        }
    }

    fn ask_to_end(&mut self, group: &str, name: &str, left: &BTreeSet<Identity>) {
        let now = self.env.clock().elapsed();
        let Some(record) = record(&mut self.groups, group, name) else { return };
        record.stopping(now);
        record.volatile.asked.clear();
        self.dirty = true;
        self.ask_each(group, name, left);
    }

    /// Something of a stopping service has ended: what is left?
    fn sweep(&mut self, group: &str, name: &str) {
        let Some(record) = record(&mut self.groups, group, name) else { return };
        let left = survivors(&self.env, record);
        let leader = record.started.as_ref().map(|started| started.identity);
        let is_awaited = |leader| record.ended.is_none() && record.volatile.watched.contains(&leader);
        if !left.is_empty() {
            self.ask_each(group, name, &left);
        } else if !leader.is_some_and(is_awaited) {
            // How its process ended is told with its end, or was before.
            self.settle(group, name);
        }
    }

    /// Asks those that were not asked yet, once each: the group's signal may have missed what left the group.
    fn ask_each(&mut self, group: &str, name: &str, left: &BTreeSet<Identity>) {
        let Some(record) = record(&mut self.groups, group, name) else { return };
        let new: Vec<Identity> =
            left.iter().copied().filter(|identity| !record.volatile.asked.contains(identity)).collect();
        record.volatile.asked.extend(&new);
        for identity in new {
            for signal in PLEASE_END {
                report(&self.env, self.env.processes().signal(identity, signal));
            }
            self.watch(group, name, identity);
        }
    }

    fn settle(&mut self, group: &str, name: &str) {
        self.dirty = true;
        self.outputs.close(group, name);
        let Some(records) = self.groups.get_mut(group) else { return };
        if records.get_mut(name).is_some_and(Record::settled) {
            records.remove(name);
            if records.is_empty() {
                self.groups.remove(group);
            }
        }
    }

    /// The leader ended by itself, or something that it left: when nobody is left in its session, the session's number is
    /// anybody's from then on.
    fn remember_session(&mut self, group: &str, name: &str) {
        let Some(record) = record(&mut self.groups, group, name) else { return };
        let Some(started) = record.started.as_ref().filter(|_| record.volatile.owns_session) else { return };
        let left = self.env.processes().session(started.identity);
        record.volatile.owns_session = !left.is_empty();
        for identity in left {
            self.watch(group, name, identity);
        }
    }

    fn watch_child(&mut self, group: String, name: String, mut spawned: Spawned) {
        if let Some(record) = record(&mut self.groups, &group, &name) {
            record.volatile.watched = BTreeSet::from([spawned.identity]);
        }
        let gone = self.gone.clone();
        self.env.spawn(async move {
            let ended = spawned.child.wait().await.ok();
            let _ = gone.send(Gone { group, name, identity: spawned.identity, ended });
        });
    }

    /// Tells when a process ends; once, however often it is asked for.
    fn watch(&mut self, group: &str, name: &str, identity: Identity) {
        let record = record(&mut self.groups, group, name);
        if !record.is_some_and(|record| record.volatile.watched.insert(identity)) {
            return;
        }
        let (gone, env) = (self.gone.clone(), self.env.clone());
        let (group, name) = (group.to_owned(), name.to_owned());
        self.env.spawn(async move {
            if let Some(mut process) = env.processes().find(identity) {
                process.wait().await;
            }
            let _ = gone.send(Gone { group, name, identity, ended: None });
        });
    }

    fn save_or_undo(&mut self, group: &str, before: Option<BTreeMap<String, Record>>) -> Result<(), String> {
        let saved = self.save();
        if saved.is_err() {
            match before {
                Some(before) => drop(self.groups.insert(group.to_owned(), before)),
                None => drop(self.groups.remove(group)),
            }
        }
        if self.groups.get(group).is_some_and(BTreeMap::is_empty) {
            self.groups.remove(group);
        }
        saved
    }

    fn save(&mut self) -> Result<(), String> {
        state::save(&self.env, &self.path, &self.boot, &self.groups)
            .map_err(|error| room::explain(self.env.files(), &self.path, &error))?;
        self.dirty = false;
        Ok(())
    }
}

/// All processes that a service's last start left, its own included.
fn survivors(env: &Env, record: &Record) -> BTreeSet<Identity> {
    let Some(started) = &record.started else { return BTreeSet::new() };
    let mut left = BTreeSet::new();
    if record.volatile.owns_session {
        left.extend(env.processes().session(started.identity));
    }
    if !started.mark.is_empty() {
        left.extend(env.processes().marked(MARK_VARIABLE, &started.mark));
    }
    let strays = record.volatile.strays.iter().copied();
    left.extend(strays.filter(|stray| env.processes().find(*stray).is_some()));
    let all: Vec<Identity> = left.iter().copied().filter(|_| !record.service.outlived).collect();
    left.extend(env.processes().descendants(&all));
    left
}

fn records(groups: &mut Groups) -> impl Iterator<Item = (&String, &String, &mut Record)> {
    groups
        .iter_mut()
        .flat_map(|(group, records)| records.iter_mut().map(move |(name, record)| (group, name, record)))
}

fn record<'a>(groups: &'a mut Groups, group: &str, name: &str) -> Option<&'a mut Record> {
    groups.get_mut(group)?.get_mut(name)
}

fn report(env: &Env, result: std::io::Result<()>) {
    if let Err(error) = result {
        env.log(format_args!("a signal could not be sent: {error}"));
    }
}

fn check(services: &[Service]) -> Result<(), String> {
    if services.len() > SERVICES_MAX {
        return Err(format!("{} services in one group: at most {SERVICES_MAX} are allowed", services.len()));
    }
    let mut names = BTreeSet::new();
    for service in services {
        let name = &service.name;
        check_name("service", name)?;
        if !names.insert(name) {
            return Err(format!("two services are called {name:?}: names are unique in a group"));
        }
        for (what, path) in [("directory", &service.directory), ("log", &service.log)] {
            if !path.is_absolute() {
                return Err(format!("service {name:?}: the {what} {path:?} is not an absolute path"));
            }
        }
        if service.program.as_os_str().is_empty() {
            return Err(format!("service {name:?}: it has no program"));
        }
        let has_zero = |text: &str| text.contains('\0');
        let bad_name = |text: &str| text.is_empty() || text.contains(['\0', '=']);
        if service.arguments.iter().any(|text| has_zero(text))
            || service.variables.iter().any(|(key, value)| bad_name(key) || has_zero(value))
        {
            return Err(format!(
                "service {name:?}: a zero byte in arguments or variables, or a variable's name with `=`"
            ));
        }
        if service.umask > 0o777 {
            return Err(format!("service {name:?}: umask {:o}: expected 000 to 777, octal", service.umask));
        }
        if service.stop_seconds > 3600 {
            return Err(format!("service {name:?}: stop-seconds {}: at most 3600", service.stop_seconds));
        }
    }
    Ok(())
}

fn check_name(what: &str, name: &str) -> Result<(), String> {
    if name.is_empty()
        || name.len() > NAME_BYTES_MAX
        || name.contains('/')
        || name.chars().any(char::is_control)
    {
        let shown: String = name.chars().take(80).collect();
        return Err(format!(
            "{shown:?} is no {what} name: expected 1 to {NAME_BYTES_MAX} bytes without `/` and control characters"
        ));
    }
    Ok(())
}
