//! The master: users ask it for software and instances, nodes ask it what to do and report.
//!
//! * `decisions`: what is decided, inside one transaction; `commit_queue`: many decisions become durable together
//! * `wishes`: which way a request for an instance goes; `forward`: over other masters
//! * `router`: which request goes where; `form`: its arguments; `actions`: changes; `answers`: what is only read
//! * `events`: the journal, for users
//! * `information`: a computer's full information, with long polls, and `documents`, where it is kept; `render`: rows as the wire's documents
//! * `hateoas`: the JSON documents for users' clients; `rpc`: the JSON-RPC methods
//! * `repeated`: the answers to requests that came before, to the letter
//! * `door`: under which names it is asked over its socket
//! * `rebase`: local releases follow their root when a master starts
//! * `log`: the master's log, bounded
//!
//! It plays the role of slapproxy (slapos/proxy/), for many computers. What other masters or later versions serve is refused
//! by name.

mod actions;
mod answers;
pub mod commit_queue;
pub mod decisions;
mod documents;
mod door;
mod events;
mod form;
mod forward;
mod hateoas;
mod information;
mod log;
mod rebase;
mod render;
mod repeated;
mod router;
mod rpc;
#[cfg(test)]
mod tests;
mod wishes;

use crate::{
    env::{Address, BoxListener, Either, Env, Latch, Store, StoreError, race},
    store::{self, AccessStatus, OpenError, Opened},
    vocabulary::{ComputerId, SoftwareUrl},
    wire::http::server::{Limits, serve_until},
};
pub use forward::OtherMaster;

use commit_queue::{CommitQueue, Refused};
use decisions::{Answer, Command, Decided, Refusal, decide, decide_repeated};
use documents::Documents;
use door::Door;
use information::Watchers;
use repeated::{Repeated, Seen};
use rusqlite::Connection;
use std::{cell::RefCell, collections::BTreeMap, path::PathBuf, rc::Rc, sync::Arc};
use tokio::sync::Notify;

/// What a master is started with.
#[derive(Clone, Debug, Default)]
pub struct Configuration {
    /// The database; created if it is missing.
    pub database: PathBuf,
    /// The computer that is known before it was formatted and that is asked first for a free partition
    /// (`[slapos] computer_id`).
    pub default_computer: Option<ComputerId>,
    /// Releases by product name (`[slapproxy] software_product_list`).
    pub products: BTreeMap<String, SoftwareUrl>,
    /// Names and addresses under which it may be asked over its socket, beside those that it listens on (`[slapproxy]
    /// server_names`).
    pub server_names: Vec<String>,
    /// Where local software releases are (`[slapproxy] local_software_release_root`). When it is another place than in the last run, they
    /// have moved there.
    pub release_root: Option<PathBuf>,
    /// Other masters, and what is requested there.
    pub others: Vec<OtherMaster>,
    /// Where to log, besides standard error.
    pub log_file: Option<PathBuf>,
}

/// A running master. Over sockets it answers with [`Master::run`]; in the same process it is asked as a
/// [`Handler`](crate::wire::http::server::Handler), and what it keeps is read with [`Master::read`].
pub struct Master {
    env: Env,
    store: Rc<dyn Store>,
    queue: CommitQueue,
    /// Which database this is; part of every entity tag.
    identity: String,
    /// Which run of a master this is (`getRunId`).
    run_id: String,
    default_computer: Option<ComputerId>,
    products: BTreeMap<String, SoftwareUrl>,
    server_names: Vec<String>,
    others: Vec<OtherMaster>,
    /// What is on its way to them.
    errands: Rc<forward::Errands>,
    watchers: Rc<Watchers>,
    documents: Documents,
    repeated: Repeated,
    seen: Seen,
    /// When each computer was last heard of. The real master keeps this in memory too.
    contacts: RefCell<BTreeMap<ComputerId, AccessStatus>>,
    closing: Latch,
    /// Something was committed.
    committed: Notify,
    log: log::Log,
    /// Where it listens, for URLs when a request does not say which name it used.
    address: RefCell<String>,
}

impl Master {
    /// Opens the database and starts what the master does beside answering.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn open(env: &Env, configuration: Configuration) -> Result<Rc<Master>, OpenError> {
        let Opened { store, identity } = store::open(env, &configuration.database).await?;
        let run_id = crate::vocabulary::hex(&env.random_bytes(16));
        let master = Rc::new(Master {
            queue: CommitQueue::start(env, store.clone()),
            store,
            identity,
            run_id,
            default_computer: configuration.default_computer,
            products: configuration.products,
            server_names: configuration.server_names,
            others: configuration.others,
            errands: Rc::default(),
            watchers: Rc::default(),
            documents: Documents::default(),
            repeated: Repeated::default(),
            seen: Seen::default(),
            contacts: RefCell::default(),
            closing: Latch::default(),
            committed: Notify::new(),
            log: log::Log::new(env, configuration.log_file),
            address: RefCell::default(),
            env: env.clone(),
        });
        master.rebase(configuration.release_root).await?;
        Ok(master)
    }

    /// Answers requests until `stop` ends, then ends cleanly: no more connections, held answers are given, and what was
    /// accepted is durable.
    pub async fn run(self: Rc<Self>, listener: BoxListener, limits: Limits, stop: impl Future<Output = ()>) {
        let address = listener.address();
        if let Address::Tcp(address) = &address {
            *self.address.borrow_mut() = address.to_string();
        }
        self.watchers.limit(&limits);
        let door = Rc::new(Door::new(self.clone(), &address, &self.server_names));
        let stop = async {
            stop.await;
            self.closing.set();
        };
        serve_until(&self.env, listener, limits, door, stop).await;
        match race(self.queue.close(), self.env.sleep(std::time::Duration::from_secs(10))).await {
            Either::First(()) => {}
            Either::Second(()) => {
                self.log.line("ended while changes waited to be written: they were not answered")
            }
        }
    }

    /// Decides on a command, and gives its answer once it is durable.
    async fn submit(self: &Rc<Self>, command: impl Into<Arc<Command>>) -> Result<Answer, Refusal> {
        let command = command.into();
        let now = self.now();
        let default = self.default_computer.clone();
        let master = Rc::downgrade(self);
        let (decided_on, published) = (command.clone(), command.clone());
        let written = self.queue.submit(
            move |connection| decide(connection, now, default.as_ref(), &decided_on),
            move |decided: &Decided| {
                if let Some(master) = master.upgrade() {
                    master.publish(&published, decided);
                }
            },
        );
        match written.await {
            Ok(decided) => {
                if let Err(refusal) = &decided.answer {
                    let what = command.describe();
                    self.log.line(format_args!("{what}: refused with {}: {refusal}", refusal.status));
                }
                decided.answer
            }
            Err(Refused::Store(error)) => {
                let hint = format!("nothing of it happened; {}", store::advice(&error));
                Err(Refusal::new(503, Refused::Store(error).to_string()).hint(hint))
            }
            Err(error @ (Refused::Full | Refused::Closed)) => {
                Err(Refusal::new(503, error.to_string()).hint("repeat the request"))
            }
            Err(error @ Refused::Write(_)) => Err(Refusal::new(500, error.to_string())),
        }
    }

    /// The answer to a request that changes nothing, decided on the last durable state: most requests only ask again. A decision that
    /// would change something cannot write there, fails, and so gives none.
    fn decide_by_reading(&self, command: &Command) -> Option<Result<Answer, Refusal>> {
        let default = self.default_computer.as_ref();
        let found = store::snapshot(&*self.store, |connection| decide_repeated(connection, default, command));
        let answer = found.ok().flatten()?;
        if let Err(refusal) = &answer {
            self.log.line(format_args!("{}: refused with {}: {refusal}", command.describe(), refusal.status));
        }
        Some(answer)
    }

    /// A change is durable: whoever waits for it is told.
    fn publish(&self, command: &Command, decided: &Decided) {
        for computer in &decided.touched {
            self.watchers.wake(computer);
        }
        let Some(sequence) = decided.sequence else { return };
        self.committed.notify_waiters();
        let given = match &decided.answer {
            Ok(Answer::Given(given)) => given.partition.as_ref(),
            _ => None,
        };
        let place = given.map(|partition| format!(": {}", partition.guid())).unwrap_or_default();
        self.log.line(format_args!("change {sequence}: {}{place}", command.describe()));
    }

    /// What `query` finds on one committed state of the database, with the queries of [`store`].
    ///
    /// # Errors
    /// 503 when the database cannot be read.
    pub fn read<T>(&self, query: impl FnMut(&Connection) -> rusqlite::Result<T>) -> Result<T, Refusal> {
        store::snapshot(&*self.store, query).map_err(|error| unreadable(&error))
    }

    /// Microseconds since 1970, by this machine's clock.
    fn now(&self) -> i64 {
        self.env.clock().now().as_microsecond()
    }

    /// A computer was heard of.
    fn contact(&self, computer: &ComputerId) {
        let now = self.now();
        let mut contacts = self.contacts.borrow_mut();
        if let Some(status) = contacts.get_mut(computer) {
            status.created_at = now;
            return;
        }
        let text = format!("#access {computer}");
        let status = AccessStatus::said(text, now);
        contacts.insert(computer.clone(), status);
    }
}

fn unreadable(error: &StoreError) -> Refusal {
    Refusal::new(503, format!("the database could not be read: {error}")).hint(store::advice(error))
}

/// What was made of rows that were read already.
fn readable<T>(made: rusqlite::Result<T>) -> Result<T, Refusal> {
    made.map_err(|error| unreadable(&StoreError::from(error)))
}
