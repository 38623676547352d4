//! A process as its own program sees it: its `Env`, its tasks and its output.

use super::{
    super::{
        Shared,
        files::{MemoryFiles, ProcessFiles},
        foreign::Begun,
        network::ProcessNetwork,
        pause,
        programs::{self, Program},
        random::Random,
        store::ProcessStores,
        trace::Trace,
    },
    finish,
    record::{Confined, Record, Sink},
};
use slap_impl::env::{
    Clock, Command, Console, Context, Ended, Env, EnvParts, Exit, Identity, LocalFuture, Output, Signal,
    Tasks,
};
use std::{
    cell::{Cell, RefCell},
    io,
    rc::Rc,
    time::Duration,
};
use tokio::sync::oneshot;

/// Exit code of a held process whose starter went away.
const EXIT_NOT_RELEASED: u8 = 75;

/// What the parts of a process's `Env` need to know.
#[derive(Clone)]
pub(crate) struct ProcessEnv {
    pub(super) shared: Rc<Shared>,
    pub(super) record: Rc<Record>,
}

impl ProcessEnv {
    /// The `Env` of this process.
    pub(crate) fn env(&self) -> Env {
        self.env_with(self.record.context.clone())
    }

    /// The `Env` of this process after it changed its variables or directory, as a shell does before `exec`.
    pub(crate) fn env_with(&self, context: Context) -> Env {
        self.env_of(context, self.shared.clock.clone())
    }

    pub(super) fn env_of(&self, context: Context, clock: Rc<dyn Clock>) -> Env {
        let owner = self.record.identity;
        let entropy = self.record.entropy.clone();
        Env::new(EnvParts {
            clock,
            entropy: Rc::new(entropy),
            network: Rc::new(ProcessNetwork {
                lan: self.shared.lan.clone(),
                interface: self.shared.interface.clone(),
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

    pub(crate) fn files(&self) -> &MemoryFiles {
        &self.shared.files
    }

    pub(crate) fn trace(&self) -> &Trace {
        &self.shared.trace
    }

    /// The services of the machine that began.
    pub(crate) fn begun(&self) -> &RefCell<Vec<Begun>> {
        &self.shared.begun
    }

    pub(crate) fn identity(&self) -> Identity {
        self.record.identity
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.record.ended.borrow().is_some()
    }

    /// Begins with the program's own thread.
    pub(super) fn begin(&self, main: LocalFuture<'static, ()>) {
        self.add(main, true);
    }

    pub(crate) fn add_task(&self, future: LocalFuture<'static, ()>) {
        self.add(future, false);
    }

    fn add(&self, future: LocalFuture<'static, ()>, is_main: bool) {
        if self.record.ended.borrow().is_some() {
            return;
        }
        let confined = Confined { shared: self.shared.clone(), record: self.record.clone(), is_main, future };
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
            self.shared.trace.event(self.shared.name_of(self.record.identity), line);
        }
    }

    pub(super) fn sink_for(&self, output: &Output) -> io::Result<Sink> {
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

    pub(super) async fn main(
        self,
        program: Option<Program>,
        command: Command,
        held: Option<oneshot::Receiver<()>>,
    ) {
        let random: Random = self.record.entropy.child("start");
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

    pub(super) fn send(&self, record: &Rc<Record>, signal: Signal) {
        let event = format_args!("{signal:?} from process {}", self.record.identity.pid);
        self.shared.trace.event(self.shared.name_of(record.identity), event);
        deliver(&self.shared, record, signal);
    }
}

/// Does to a process what a signal does.
pub(super) fn deliver(shared: &Rc<Shared>, record: &Rc<Record>, signal: Signal) {
    let killed = |number| Ended { code: None, signal: Some(number), output: Vec::new() };
    match signal {
        Signal::Kill => finish(shared, record, killed(9)),
        Signal::Terminate if record.terminate_handled.get() => {
            record.terminate_asked.set(true);
            record.terminate.notify_waiters();
        }
        // It waits until the process goes on (signal(7)).
        Signal::Terminate if record.stopped.get() => record.terminate_asked.set(true),
        Signal::Terminate => finish(shared, record, killed(15)),
        Signal::Stop => record.stopped.set(true),
        Signal::Continue => {
            record.stopped.set(false);
            if record.terminate_asked.get() && !record.terminate_handled.get() {
                return finish(shared, record, killed(15));
            }
            for waker in record.waiting.take() {
                waker.wake();
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
