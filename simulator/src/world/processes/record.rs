//! One process: what the table knows of it, and its tasks, which stand still or end as one.

use super::{
    super::{Shared, files::USER, pipe::MemoryPipe, random::Random},
    PANIC, finish,
};
use slap_impl::env::{Context, Ended, Identity, LocalFuture, RUN_VARIABLE};
use std::{
    any::Any,
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    pin::Pin,
    rc::Rc,
    task::{Context as TaskContext, Poll, Waker},
};
use tokio::{sync::Notify, task::AbortHandle};

/// One process.
pub(crate) struct Record {
    pub(super) identity: Identity,
    pub(super) session: u32,
    pub(super) parent: Cell<Identity>,
    pub(super) dies_with_parent: bool,
    /// Whether what its descendants leave behind becomes its child.
    pub(super) adopts: Cell<bool>,
    pub(super) ends_group: Cell<bool>,
    pub(super) description: String,
    pub(super) context: Context,
    /// What the group of its command is known by, if it is one of such a group.
    pub(super) run: Option<String>,
    pub(super) sink: Sink,
    pub(super) ended: RefCell<Option<Ended>>,
    pub(super) end: Notify,
    pub(super) stopped: Cell<bool>,
    pub(super) waiting: RefCell<Vec<Waker>>,
    pub(super) tasks: RefCell<Vec<AbortHandle>>,
    pub(super) terminate_asked: Cell<bool>,
    pub(super) terminate_handled: Cell<bool>,
    pub(super) terminate: Notify,
    /// One stream for the whole life: what a shell becomes by `exec` goes on with it.
    pub(super) entropy: Random,
}

/// Where a process's output goes.
#[derive(Clone)]
pub(super) enum Sink {
    Null,
    Trace,
    File(PathBuf),
    Pipe(Rc<MemoryPipe>),
    Capture { bytes: Rc<RefCell<Vec<u8>>>, limit: usize, inherited: bool },
}

/// A future of a process: it is not polled while the process stands still, and never after its end, or after a fault that is its end.
pub(super) struct Confined {
    pub(super) shared: Rc<Shared>,
    pub(super) record: Rc<Record>,
    /// Whether a panic is one of the thread that a program begins with, which ends it with 101; in any other task it is SIGABRT.
    pub(super) is_main: bool,
    pub(super) future: LocalFuture<'static, ()>,
}

impl Record {
    #[allow(clippy::too_many_arguments, reason = "one place makes a record, from its parts")]
    pub(super) fn new(
        identity: Identity,
        parent: Identity,
        session: u32,
        dies_with_parent: bool,
        description: String,
        directory: PathBuf,
        variables: BTreeMap<String, String>,
        sink: Sink,
        entropy: Random,
    ) -> Record {
        let executable = PathBuf::from(crate::world::SLAP);
        Record {
            identity,
            session,
            parent: Cell::new(parent),
            dies_with_parent,
            adopts: Cell::new(false),
            ends_group: Cell::new(false),
            description,
            run: variables.get(RUN_VARIABLE).cloned(),
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
            entropy,
        }
    }

    pub(super) async fn wait(&self) -> Ended {
        loop {
            let notified = self.end.notified();
            if let Some(ended) = self.ended.borrow().clone() {
                return ended;
            }
            notified.await;
        }
    }
}

impl Confined {
    /// The process ends, as the real one does.
    fn panicked(&self, payload: &(dyn Any + Send)) {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text =
            text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("a value that is no text");
        let who = self.shared.name_of(self.record.identity);
        self.shared.trace.alarm(PANIC, &who, format_args!("{}: {text}", self.record.description));
        let (code, signal) = if self.is_main { (Some(101), None) } else { (None, Some(6)) };
        finish(&self.shared, &self.record, Ended { code, signal, output: Vec::new() });
    }
}

impl Future for Confined {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, context: &mut TaskContext<'_>) -> Poll<()> {
        if self.record.ended.borrow().is_some() {
            return Poll::Ready(());
        }
        if self.shared.disk.is_gone(self.record.identity) {
            return Poll::Pending;
        }
        if self.record.stopped.get() {
            self.record.waiting.borrow_mut().push(context.waker().clone());
            return Poll::Pending;
        }
        let polled = catch_unwind(AssertUnwindSafe(|| self.future.as_mut().poll(context)));
        polled.unwrap_or_else(|payload| {
            self.panicked(&*payload);
            Poll::Ready(())
        })
    }
}
