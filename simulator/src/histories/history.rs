//! Histories: what clients asked a master, when, and what came of it.

use slap_model::{
    event::Wanted,
    names::{Computer, Partition, Place, Release, Title},
};
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    fmt,
    rc::Rc,
};
use tokio::sync::watch;

/// The return of an operation whose outcome is unknown: it may still happen, until its master is killed.
pub const OPEN: u64 = u64::MAX;

/// Parameters, or connection parameters, of a write; 0 is none.
pub type Value = u32;

/// What one client asked, and what came of it.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Who asked. A client asks one thing after the other.
    pub client: u32,
    /// When it asked: a place in the order of all invocations and returns.
    pub invoked: u64,
    /// When it knew, or the master was killed that it had asked; else [`OPEN`].
    pub returned: u64,
    /// What it asked.
    pub action: Action,
    /// What came of it.
    pub outcome: Outcome,
}

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// An instance.
    Request(Wish),
    /// As a node: a partition is empty.
    Destroyed {
        /// Which partition.
        place: Place,
        /// The timestamp that it is about.
        about: Option<u64>,
    },
    /// As a node: an instance runs.
    Started {
        /// Which partition.
        place: Place,
        /// The timestamp that it is about.
        about: Option<u64>,
    },
    /// As a node: these are all partitions.
    Format {
        /// Which computer.
        computer: Computer,
        /// Its partitions.
        partitions: BTreeSet<Partition>,
    },
    /// Another title for the instance in a partition.
    Rename {
        /// Which partition.
        place: Place,
        /// The title.
        title: Title,
    },
    /// Connection parameters of the instance in a partition.
    Publish {
        /// Which partition.
        place: Place,
        /// What is published.
        connection: Value,
    },
    /// A computer's full information.
    Read {
        /// Which computer.
        computer: Computer,
        /// The entity tag that is known already.
        tag: Option<String>,
    },
    /// One partition (`registerComputerPartition`).
    ReadPartition {
        /// Which partition.
        place: Place,
    },
}

/// An instance that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Who asks: none is a user, else the instance in this partition.
    pub by: Option<Place>,
    /// Its title.
    pub title: Title,
    /// Whether it is shared.
    pub shared: bool,
    /// Its release.
    pub release: Release,
    /// Its parameters.
    pub parameters: Value,
    /// The only computer where it may be.
    pub computer: Option<Computer>,
    /// What is wanted; none keeps what was wanted, or starts it.
    pub state: Option<Wanted>,
}

/// What came of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The master answered.
    Answer(Answer),
    /// The master refused: nothing happened.
    Refused {
        /// The answer's status.
        status: u16,
        /// The reason.
        message: String,
    },
    /// The answer was lost: it happened, or will, or not.
    Unknown,
}

/// A master's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Done.
    Done,
    /// Formatted, but these partitions stay.
    Kept(BTreeSet<Partition>),
    /// A root waits for these children.
    NotYet(BTreeSet<Title>),
    /// Taken, and nothing changed.
    Ignored(String),
    /// An instance that was asked for.
    Given(Given),
    /// A computer's full information.
    View(Rc<View>),
    /// Nothing changed since the tag that was asked with.
    Unchanged,
    /// What is in a partition; none when it is free.
    Partition(Option<Seen>),
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Its partition, or its host's.
    pub place: Option<Place>,
    /// What is there; of a shared one without timestamp.
    pub seen: Seen,
}

/// An instance, as it is seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its title.
    pub title: Title,
    /// The title of its root, where it is told.
    pub root: Option<Title>,
    /// What is wanted.
    pub state: Wanted,
    /// Its release.
    pub release: Release,
    /// Its parameters.
    pub parameters: Value,
    /// What it published.
    pub connection: Value,
    /// Its partition's timestamp, in microseconds; a shared one has none.
    pub timestamp: Option<u64>,
    /// The shared instances that it hosts: their references, a root's title or none, and a title; and their parameters.
    pub shared: BTreeMap<(Option<Title>, Title), Value>,
}

/// A computer's full information.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Its entity tag.
    pub tag: String,
    /// Its partitions; none is a free one.
    pub partitions: BTreeMap<Partition, Option<Seen>>,
}

impl Operation {
    /// Whether it may have changed something: it was not refused, and did not only read.
    pub fn may_have_happened(&self) -> bool {
        !matches!(
            self.outcome,
            Outcome::Refused { .. } | Outcome::Answer(Answer::Ignored(_) | Answer::NotYet(_))
        )
    }

    /// Whether the master said that it is done.
    pub fn is_acknowledged(&self) -> bool {
        self.outcome != Outcome::Unknown && self.may_have_happened()
    }

    /// What a request was answered.
    pub fn given(&self) -> Option<&Given> {
        match &self.outcome {
            Outcome::Answer(Answer::Given(given)) => Some(given),
            _ => None,
        }
    }
}

/// Collects a history while it happens. All clients share one, and with it the order of their events.
#[derive(Clone)]
pub struct Recorder {
    shared: Rc<Shared>,
}

struct Shared {
    clock: Cell<u64>,
    operations: RefCell<Vec<Operation>>,
    finished: watch::Sender<u64>,
}

impl Default for Recorder {
    fn default() -> Recorder {
        Recorder {
            shared: Rc::new(Shared {
                clock: Cell::new(1),
                operations: RefCell::default(),
                finished: watch::Sender::new(0),
            }),
        }
    }
}

impl Recorder {
    /// The next place in the order of all invocations and returns.
    pub fn tick(&self) -> u64 {
        let now = self.shared.clock.get();
        self.shared.clock.set(now + 1);
        now
    }

    /// Notes an operation that was invoked at `invoked` and is known now.
    pub fn note(&self, client: u32, invoked: u64, action: Action, outcome: Outcome) {
        let returned = if outcome == Outcome::Unknown { OPEN } else { self.tick() };
        let operation = Operation { client, invoked, returned, action, outcome };
        self.shared.operations.borrow_mut().push(operation);
        self.shared.finished.send_modify(|count| *count += 1);
    }

    /// The master was killed: what has no outcome until now will not happen any more.
    pub fn close(&self) {
        let now = self.tick();
        for operation in self.shared.operations.borrow_mut().iter_mut() {
            operation.returned = if operation.returned == OPEN { now } else { operation.returned };
        }
    }

    /// Ends when so many operations are known.
    pub async fn reached(&self, count: u64) {
        // It cannot fail: the sender is in `shared`.
        let _ = self.shared.finished.subscribe().wait_for(|finished| *finished >= count).await;
    }

    /// The history until now, in the order of invocations.
    pub fn take(&self) -> Vec<Operation> {
        let mut operations = self.shared.operations.take();
        operations.sort_by_key(|operation| operation.invoked);
        operations
    }
}

impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Request(wish) => {
                let Wish { by, title, shared, release, parameters, computer, state } = wish;
                let shared = if *shared { "shared " } else { "" };
                write!(formatter, "request {shared}{title} {release} x{parameters}")?;
                if let Some(state) = state {
                    write!(formatter, " {state:?}")?;
                }
                computer.map_or(Ok(()), |computer| write!(formatter, " on {computer}"))?;
                by.map_or(Ok(()), |by| write!(formatter, " by {by}"))
            }
            Action::Destroyed { place, about } => write!(formatter, "destroyed {place}{}", At(*about)),
            Action::Started { place, about } => write!(formatter, "started {place}{}", At(*about)),
            Action::Format { computer, partitions } => write!(formatter, "format {computer} {partitions:?}"),
            Action::Rename { place, title } => write!(formatter, "rename {place} to {title}"),
            Action::Publish { place, connection } => write!(formatter, "publish {place} y{connection}"),
            Action::Read { computer, tag: None } => write!(formatter, "read {computer}"),
            Action::Read { computer, tag: Some(tag) } => write!(formatter, "read {computer} unless {tag}"),
            Action::ReadPartition { place } => write!(formatter, "read {place}"),
        }
    }
}

/// A timestamp behind something.
struct At(Option<u64>);

impl fmt::Display for At {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |timestamp| write!(formatter, " @{timestamp}"))
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Seen { title, state, release, parameters, connection, timestamp, shared, .. } = self;
        write!(formatter, "{title} {release} x{parameters} y{connection} {state:?}{}", At(*timestamp))?;
        if shared.is_empty() { Ok(()) } else { write!(formatter, " hosts {}", Entries(shared)) }
    }
}

struct Entries<'a>(&'a BTreeMap<(Option<Title>, Title), Value>);

impl fmt::Display for Entries<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entry = |((root, title), value): (&(Option<Title>, Title), &Value)| {
            format!("{}_{title}=x{value}", root.map(|root| root.to_string()).unwrap_or_default())
        };
        write!(formatter, "{}", self.0.iter().map(entry).collect::<Vec<String>>().join(","))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Unknown => formatter.write_str("unknown"),
            Outcome::Refused { status, message } => {
                let line: String = message.lines().next().unwrap_or_default().chars().take(60).collect();
                write!(formatter, "refused {status}: {line}")
            }
            Outcome::Answer(answer) => match answer {
                Answer::Done => formatter.write_str("done"),
                Answer::Kept(kept) => write!(formatter, "done, {kept:?} stay"),
                Answer::NotYet(children) => write!(formatter, "not yet: {children:?}"),
                Answer::Ignored(why) => formatter.write_str(why),
                Answer::Given(Given { place: Some(place), seen }) => write!(formatter, "{place}: {seen}"),
                Answer::Given(Given { place: None, seen }) => write!(formatter, "nowhere: {seen}"),
                Answer::View(view) => {
                    let shown =
                        |seen: &Option<Seen>| seen.as_ref().map_or("free".to_owned(), Seen::to_string);
                    let partitions =
                        view.partitions.iter().map(|(name, seen)| format!("{name}: {}", shown(seen)));
                    write!(formatter, "{} {}", view.tag, partitions.collect::<Vec<String>>().join("; "))
                }
                Answer::Unchanged => formatter.write_str("unchanged"),
                Answer::Partition(Some(seen)) => write!(formatter, "{seen}"),
                Answer::Partition(None) => formatter.write_str("free"),
            },
        }
    }
}
