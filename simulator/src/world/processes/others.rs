//! The other processes as one process sees them: starting, finding, watching and signalling them.

use super::{
    super::{files::USER, pipe::Reader, programs},
    env::ProcessEnv,
    record::{Record, Sink},
};
use slap_impl::env::{
    Child, Command, Ended, Identity, LocalFuture, Output, Pipe, Process, Processes, RUN_VARIABLE, Signal,
    Spawned, Start,
};
use std::{io, rc::Rc};
use tokio::sync::oneshot;

struct MemoryChild {
    record: Rc<Record>,
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
        let mut table = self.shared.table.borrow_mut();
        let record = table.add(description, &self.shared.random, |identity, description, random| {
            let mut variables = command.variables.clone();
            if ends_group {
                let outer = variables.get(RUN_VARIABLE).map(|outer| format!("{outer}/")).unwrap_or_default();
                let mark = format!("{}-{}", identity.pid, identity.start_time);
                variables.insert(RUN_VARIABLE.to_owned(), format!("{outer}{mark}"));
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
                random,
            )
        });
        drop(table);
        let started = format_args!("starts process {}: {}", record.identity.pid, record.description);
        self.shared.trace.event(self.shared.name_of(self.record.identity), started);
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
        process.begin(Box::pin(process.clone().main(program, command.clone(), held)));
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
        self.shared.boot()
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
