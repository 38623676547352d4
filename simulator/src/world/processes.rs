//! The process table of a world: each process is a group of tasks that stand still or end as one.

use super::{
    Shared,
    disk::Disk,
    files::{ProcessFiles, USER},
    network::ProcessNetwork,
    pause,
    pipe::{MemoryPipe, Reader},
    programs::{self, Program},
    random::Random,
    store::ProcessStores,
};
use slap_impl::env::{
    Child, Clock, Command, Console, Context, Ended, Env, EnvParts, Exit, Identity, LocalFuture, Output, Pipe,
    Process, Processes, RUN_VARIABLE, Signal, Spawned, Start, Tasks,
};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::Future,
    io,
    path::PathBuf,
    pin::Pin,
    rc::Rc,
    task::{Context as TaskContext, Poll, Waker},
    time::Duration,
};
use tokio::{
    sync::{Notify, oneshot},
    task::AbortHandle,
};

/// Exit code of a held process whose starter went away.
const EXIT_NOT_RELEASED: u8 = 75;

/// The processes that were not ended yet, by number.
pub(crate) struct Table {
    next_pid: u32,
    records: BTreeMap<u32, Rc<Record>>,
}

/// One process.
pub(crate) struct Record {
    identity: Identity,
    session: u32,
    parent: Cell<Identity>,
    dies_with_parent: bool,
    /// Whether what its descendants leave behind becomes its child.
    adopts: Cell<bool>,
    ends_group: Cell<bool>,
    description: String,
    context: Context,
    sink: Sink,
    ended: RefCell<Option<Ended>>,
    end: Notify,
    stopped: Cell<bool>,
    waiting: RefCell<Vec<Waker>>,
    tasks: RefCell<Vec<AbortHandle>>,
    terminate_asked: Cell<bool>,
    terminate_handled: Cell<bool>,
    terminate: Notify,
    /// One stream for the whole life: what a shell becomes by `exec` goes on with it.
    entropy: Random,
}

/// Where a process's output goes.
#[derive(Clone)]
enum Sink {
    Null,
    Trace,
    File(PathBuf),
    Pipe(Rc<MemoryPipe>),
    Capture { bytes: Rc<RefCell<Vec<u8>>>, limit: usize, inherited: bool },
}

/// A future of a process: it is not polled while the process stands still, and never after its end, or after a fault that is its end.
struct Confined {
    disk: Rc<Disk>,
    record: Rc<Record>,
    future: LocalFuture<'static, ()>,
}

/// What the parts of a process's `Env` need to know.
#[derive(Clone)]
pub(crate) struct ProcessEnv {
    shared: Rc<Shared>,
    record: Rc<Record>,
}

struct MemoryChild {
    record: Rc<Record>,
}

impl Table {
    pub(crate) fn new() -> Table {
        Table { next_pid: 100, records: BTreeMap::new() }
    }

    pub(crate) fn running(&self) -> Vec<(Identity, String)> {
        self.records.values().map(|record| (record.identity, record.description.clone())).collect()
    }

    fn add(&mut self, make: impl FnOnce(Identity) -> Record) -> Rc<Record> {
        let pid = self.next_pid;
        self.next_pid += 1;
        let record = Rc::new(make(Identity { pid, start_time: u64::from(pid) * 10 }));
        self.records.insert(pid, record.clone());
        record
    }

    fn find(&self, identity: Identity) -> Option<Rc<Record>> {
        self.records.get(&identity.pid).filter(|record| record.identity == identity).cloned()
    }
}

/// A process without a program: a test, or a user at a terminal.
pub(crate) fn user(shared: &Rc<Shared>, directory: PathBuf, variables: BTreeMap<String, String>) -> Env {
    user_with_clock(shared, directory, variables, shared.clock())
}

/// As [`user`], with a clock of its own.
pub(crate) fn user_with_clock(
    shared: &Rc<Shared>,
    directory: PathBuf,
    variables: BTreeMap<String, String>,
    clock: Rc<dyn Clock>,
) -> Env {
    let nobody = Identity { pid: 0, start_time: 0 };
    let record = shared.table.borrow_mut().add(|identity| {
        Record::new(
            identity,
            nobody,
            identity.pid,
            false,
            "user".to_owned(),
            directory,
            variables,
            Sink::Trace,
            &shared.random,
        )
    });
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
    shared.trace.event(record.who(), ended.describe());
    record.ended.replace(Some(ended));
    shared.table.borrow_mut().records.remove(&record.identity.pid);
    shared.network.close_all(record.identity);
    shared.files.unlock_all(record.identity);
    shared.stores.end(record.identity);
    for task in record.tasks.take() {
        task.abort();
    }
    record.end.notify_waiters();
    if record.ends_group.get() {
        let mark = record.context.variables.get(RUN_VARIABLE);
        let is_its = |other: &&Rc<Record>| {
            let found = other.context.variables.get(RUN_VARIABLE);
            other.session == record.identity.pid
                || mark.zip(found).is_some_and(|(mark, found)| {
                    found.strip_prefix(mark).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
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

impl Record {
    #[allow(clippy::too_many_arguments, reason = "one place makes a record, from its parts")]
    fn new(
        identity: Identity,
        parent: Identity,
        session: u32,
        dies_with_parent: bool,
        description: String,
        directory: PathBuf,
        variables: BTreeMap<String, String>,
        sink: Sink,
        random: &Random,
    ) -> Record {
        let executable = PathBuf::from(super::SLAP);
        Record {
            identity,
            session,
            parent: Cell::new(parent),
            dies_with_parent,
            adopts: Cell::new(false),
            ends_group: Cell::new(false),
            description,
            context: Context { variables, directory, executable, identity, user: USER },
            sink,
            ended: RefCell::default(),
            end: Notify::new(),
            stopped: Cell::new(false),
            waiting: RefCell::default(),
            tasks: RefCell::default(),
            terminate_asked: Cell::new(false),
            terminate_handled: Cell::new(false),
            terminate: Notify::new(),
            entropy: random.child(&format!("process {}", identity.pid)),
        }
    }

    fn who(&self) -> String {
        format!("process {}", self.identity.pid)
    }

    async fn wait(&self) -> Ended {
        loop {
            let notified = self.end.notified();
            if let Some(ended) = self.ended.borrow().clone() {
                return ended;
            }
            notified.await;
        }
    }
}

impl Future for Confined {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, context: &mut TaskContext<'_>) -> Poll<()> {
        if self.record.ended.borrow().is_some() {
            return Poll::Ready(());
        }
        if self.disk.is_gone(self.record.identity) {
            return Poll::Pending;
        }
        if self.record.stopped.get() {
            self.record.waiting.borrow_mut().push(context.waker().clone());
            return Poll::Pending;
        }
        self.future.as_mut().poll(context)
    }
}

impl ProcessEnv {
    /// The `Env` of this process.
    pub(crate) fn env(&self) -> Env {
        self.env_with(self.record.context.clone())
    }

    /// The `Env` of this process after it changed its variables or directory, as a shell does before `exec`.
    pub(crate) fn env_with(&self, context: Context) -> Env {
        self.env_of(context, self.shared.clock())
    }

    fn env_of(&self, context: Context, clock: Rc<dyn Clock>) -> Env {
        let owner = self.record.identity;
        let entropy = self.record.entropy.clone();
        Env::new(EnvParts {
            clock,
            entropy: Rc::new(entropy),
            network: Rc::new(ProcessNetwork {
                network: self.shared.network.clone(),
                owner,
                serial: Cell::new(0),
            }),
            files: Rc::new(ProcessFiles { files: self.shared.files.clone(), owner, serial: Cell::new(0) }),
            processes: Rc::new(self.clone()),
            stores: Rc::new(ProcessStores { stores: self.shared.stores.clone(), process: self.clone() }),
            tasks: Rc::new(self.clone()),
            console: Rc::new(self.clone()),
            context,
        })
    }

    pub(crate) fn files(&self) -> &super::files::MemoryFiles {
        &self.shared.files
    }

    pub(crate) fn identity(&self) -> Identity {
        self.record.identity
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.record.ended.borrow().is_some()
    }

    pub(crate) fn add_task(&self, future: LocalFuture<'static, ()>) {
        if self.record.ended.borrow().is_some() {
            return;
        }
        let confined = Confined { disk: self.shared.disk.clone(), record: self.record.clone(), future };
        #[allow(clippy::disallowed_methods, reason = "this is the implementation behind env.spawn()")]
        let task = tokio::task::spawn_local(confined);
        let mut tasks = self.record.tasks.borrow_mut();
        tasks.retain(|task| !task.is_finished());
        tasks.push(task.abort_handle());
    }

    fn write(&self, text: &str) {
        match &self.record.sink {
            Sink::Null => {}
            Sink::Trace => {}
            Sink::File(path) => {
                // A full disk is the reader's loss, as with a real service's log.
                let _ = slap_impl::env::Files::append(&*self.shared.files, path, text.as_bytes(), 0o600);
            }
            Sink::Pipe(pipe) => pipe.write(text.as_bytes()),
            Sink::Capture { bytes, limit, .. } => {
                let mut bytes = bytes.borrow_mut();
                bytes.extend_from_slice(text.as_bytes());
                let excess = bytes.len().saturating_sub(*limit);
                bytes.drain(..excess);
            }
        }
        for line in text.lines() {
            self.shared.trace.event(self.record.who(), line);
        }
    }

    fn sink_for(&self, output: &Output) -> io::Result<Sink> {
        Ok(match output {
            Output::Null => Sink::Null,
            Output::Inherit => match self.record.sink.clone() {
                Sink::Capture { bytes, limit, .. } => Sink::Capture { bytes, limit, inherited: true },
                other => other,
            },
            Output::Append(path) => Sink::File(path.clone()),
            Output::Pipe(path) => Sink::Pipe(self.shared.files.pipe(path)?),
            Output::Stream => Sink::Pipe(Rc::default()),
            Output::Capture(limit) => Sink::Capture { bytes: Rc::default(), limit: *limit, inherited: false },
        })
    }

    async fn main(self, program: Option<Program>, command: Command, held: Option<oneshot::Receiver<()>>) {
        let random: Random = self.shared.random.child(&format!("start {}", self.record.identity.pid));
        pause(random.duration(Duration::from_micros(500), Duration::from_millis(3))).await;
        let released = match held {
            Some(held) => held.await.is_ok(),
            None => true,
        };
        let exit = match program {
            _ if !released => Exit(EXIT_NOT_RELEASED),
            Some(program) => programs::run(self.clone(), program, command.arguments).await,
            None => Exit(127),
        };
        let ended = Ended { code: Some(i32::from(exit.0)), signal: None, output: Vec::new() };
        finish(&self.shared, &self.record, ended);
    }

    fn send(&self, record: &Rc<Record>, signal: Signal) {
        self.shared
            .trace
            .event(record.who(), format_args!("{signal:?} from process {}", self.record.identity.pid));
        let killed = |number| Ended { code: None, signal: Some(number), output: Vec::new() };
        match signal {
            Signal::Kill => finish(&self.shared, record, killed(9)),
            Signal::Terminate if record.terminate_handled.get() => {
                record.terminate_asked.set(true);
                record.terminate.notify_waiters();
            }
            Signal::Terminate => finish(&self.shared, record, killed(15)),
            Signal::Stop => record.stopped.set(true),
            Signal::Continue => {
                record.stopped.set(false);
                for waker in record.waiting.take() {
                    waker.wake();
                }
            }
        }
    }
}

impl Tasks for ProcessEnv {
    fn spawn(&self, future: LocalFuture<'static, ()>) {
        self.add_task(future);
    }
}

impl Console for ProcessEnv {
    fn output(&self, text: &str) -> io::Result<()> {
        self.write(text);
        Ok(())
    }

    fn error(&self, text: &str) {
        self.write(text);
    }

    fn is_terminal(&self) -> bool {
        false
    }
}

impl Processes for ProcessEnv {
    fn spawn(&self, command: &Command) -> io::Result<Spawned> {
        let program = programs::find(&self.shared.files, command);
        let program = match command.start {
            Start::AtOnce => Some(program?),
            Start::Held => program.ok(),
        };
        let description = format!("{} {}", command.program.display(), command.arguments.join(" "));
        let parent = self.record.identity;
        let sink = self.sink_for(&command.output)?;
        let output = match (&command.output, &sink) {
            (Output::Stream, Sink::Pipe(pipe)) => Some(Box::new(Reader(pipe.clone())) as Box<dyn Pipe>),
            _ => None,
        };
        let ends_group = command.ends_group && command.session;
        let record = self.shared.table.borrow_mut().add(|identity| {
            let mut variables = command.variables.clone();
            if ends_group {
                let outer = variables.get(RUN_VARIABLE).map(|outer| format!("{outer}/")).unwrap_or_default();
                variables.insert(RUN_VARIABLE.to_owned(), format!("{outer}{}", identity.pid));
            }
            let session = if command.session { identity.pid } else { self.record.session };
            Record::new(
                identity,
                parent,
                session,
                command.dies_with_parent,
                description,
                command.directory.clone(),
                variables,
                sink,
                &self.shared.random,
            )
        });
        self.shared
            .trace
            .event(self.record.who(), format_args!("starts {}: {}", record.who(), record.description));
        record.ends_group.set(ends_group);
        let (release, held) = oneshot::channel();
        let (hold, held) = match command.start {
            Start::AtOnce => (None, None),
            Start::Held => {
                let gone = || io::Error::new(io::ErrorKind::BrokenPipe, "the held process is gone");
                let release = move || release.send(()).map_err(|()| gone());
                (Some(Box::new(release) as Box<dyn FnOnce() -> io::Result<()>>), Some(held))
            }
        };
        let process = ProcessEnv { shared: self.shared.clone(), record: record.clone() };
        process.add_task(Box::pin(process.clone().main(program, command.clone(), held)));
        Ok(Spawned { identity: record.identity, child: Box::new(MemoryChild { record }), hold, output })
    }

    fn find(&self, identity: Identity) -> Option<Box<dyn Process>> {
        let record = self.shared.table.borrow().find(identity)?;
        Some(Box::new(MemoryChild { record }))
    }

    fn user(&self, identity: Identity) -> Option<u32> {
        self.shared.table.borrow().find(identity).map(|_| USER)
    }

    fn descendants(&self, roots: &[Identity]) -> Vec<Identity> {
        let table = self.shared.table.borrow();
        let mut parents = roots.to_vec();
        let mut found = Vec::new();
        while let Some(parent) = parents.pop() {
            let children = table.records.values().filter(|record| record.parent.get() == parent);
            let children = children.map(|record| record.identity).filter(|child| !roots.contains(child));
            let before = found.len();
            found.extend(children);
            parents.extend(&found[before..]);
        }
        found.retain(|identity| *identity != self.record.identity);
        found.sort_unstable();
        found
    }

    fn raise_open_files(&self) -> io::Result<u64> {
        // In memory nothing is counted: as many as a system gives.
        Ok(1 << 20)
    }

    fn adopt_orphans(&self) -> io::Result<()> {
        self.record.adopts.set(true);
        Ok(())
    }

    fn is_stopped(&self, identity: Identity) -> bool {
        self.shared.table.borrow().find(identity).is_some_and(|record| record.stopped.get())
    }

    fn signal(&self, identity: Identity, signal: Signal) -> io::Result<()> {
        let record = self.shared.table.borrow().find(identity);
        if let Some(record) = record {
            self.send(&record, signal);
        }
        Ok(())
    }

    fn signal_group(&self, identity: Identity, signal: Signal) -> io::Result<()> {
        let group: Vec<Rc<Record>> = {
            let table = self.shared.table.borrow();
            if table.find(identity).is_none() {
                return Ok(());
            }
            table.records.values().filter(|record| record.session == identity.pid).cloned().collect()
        };
        for record in group {
            self.send(&record, signal);
        }
        Ok(())
    }

    fn session(&self, leader: Identity) -> Vec<Identity> {
        let table = self.shared.table.borrow();
        if table.records.get(&leader.pid).is_some_and(|record| record.identity != leader) {
            return Vec::new();
        }
        table
            .records
            .values()
            .filter(|record| record.session == leader.pid && record.identity != self.record.identity)
            .map(|record| record.identity)
            .collect()
    }

    fn marked_with(&self, variable: &str, wanted: &dyn Fn(&[u8]) -> bool) -> Vec<Identity> {
        let table = self.shared.table.borrow();
        table
            .records
            .values()
            .filter(|record| {
                record.context.variables.get(variable).is_some_and(|value| wanted(value.as_bytes()))
            })
            .map(|record| record.identity)
            .filter(|identity| *identity != self.record.identity)
            .collect()
    }

    fn boot(&self) -> String {
        format!("boot {}", self.shared.boots.get())
    }

    fn termination(&self) -> LocalFuture<'static, ()> {
        let record = self.record.clone();
        record.terminate_handled.set(true);
        Box::pin(async move {
            loop {
                let notified = record.terminate.notified();
                if record.terminate_asked.get() {
                    return;
                }
                notified.await;
            }
        })
    }
}

impl Child for MemoryChild {
    fn wait(&mut self) -> LocalFuture<'_, io::Result<Ended>> {
        Box::pin(async move { Ok(self.record.wait().await) })
    }
}

impl Process for MemoryChild {
    fn wait(&mut self) -> LocalFuture<'_, ()> {
        Box::pin(async move {
            self.record.wait().await;
        })
    }
}
