//! What users did in a run, and what they were told: the sessions that `judge/sessions` holds against the journal.

use super::{
    cloud::{Cloud, DATABASE},
    script::{Event, Place},
    told::Told,
};
use serde_json::Value as Json;
use slap_impl::{
    client::ClientError,
    store::journal_ends,
    wire::{
        hateoas::{Row, Service},
        objects::{Computer, SoftwareInstance},
    },
};
use std::{cell::Cell, cell::RefCell, collections::BTreeMap, fmt, path::Path, time::Duration};

/// The number of the operator, who is no user of the script: supplies every release when all is healed.
pub(super) const OPERATOR: u32 = 0;

/// All operations of a run, in the order in which they began.
#[derive(Default)]
pub(super) struct History {
    /// Which master's they are; the first one's if none is named.
    master: Option<Place>,
    operations: RefCell<Vec<Operation>>,
    /// Those that ended, in the order in which they did.
    ended: RefCell<Vec<usize>>,
    /// The newest entry of the journal that was ever seen here.
    newest: Cell<i64>,
    /// The last document of each computer that each user read, with its entity tag.
    tags: RefCell<BTreeMap<(u32, u32), (String, usize)>>,
    /// The last entry of the journal that each user read.
    cursors: RefCell<BTreeMap<u32, i64>>,
}

/// Something that a user did. Users do not wait for what they asked before.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) user: u32,
    /// When it began, in the world's time.
    pub(super) began: Duration,
    pub(super) what: Event,
    /// The newest entry of the journal before it began: what stood there, whoever asked for it, is not news to it.
    pub(super) first: i64,
    /// How it ended; none while no answer came.
    pub(super) ended: Option<Ended>,
}

/// How an operation ended.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    /// When, in the world's time.
    pub(super) at: Duration,
    /// The newest entry of the journal then; none when nobody had the database open, so that it could not be read.
    pub(super) last: Option<i64>,
    pub(super) outcome: Outcome,
}

/// What came of an operation.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// It was answered.
    Answer(Answer),
    /// It was refused. Nothing happened, unless the master says that it failed (docs/simulation.md, section 6).
    Refused { status: u16, message: String },
    /// No answer came. It may have happened, or happen yet.
    Unknown(String),
}

/// What the master said.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    /// It is done.
    Done,
    /// The instance that was asked for.
    Given(Box<SoftwareInstance>),
    /// An instance; none when there is none of that title.
    Instance(Option<Box<Service>>),
    /// All instances.
    List(Vec<Row>),
    /// What a node shall do, with the document's entity tag.
    Computer { tag: Option<String>, computer: Box<Computer> },
    /// The same as that operation was answered.
    Unchanged { since: usize },
    /// An instance, as JSON-RPC tells it.
    Document(Box<Json>),
    /// The titles of all instances, as JSON-RPC tells them.
    Titles(Vec<Json>),
    /// There is none of that name, which says whether it is shared.
    NoSuch,
    /// The shared instances that an instance hosts, as JSON-RPC tells them.
    Hosted(Vec<Json>),
    /// A part of what a node shall do, as JSON-RPC tells it.
    Rows { part: Part, rows: Vec<Json> },
    /// What users look at and type.
    Told(Told),
}

/// A part of what a node shall do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Which releases.
    Releases,
    /// Which instances.
    Instances,
}

impl History {
    /// What users did at that master.
    pub(super) fn at(master: Place) -> History {
        History { master: Some(master), ..History::default() }
    }

    /// Notes that a user begins something; its number.
    pub(super) fn began(&self, cloud: &Cloud, at: Duration, user: u32, what: &Event) -> usize {
        self.see(cloud);
        let mut operations = self.operations.borrow_mut();
        operations.push(Operation {
            user,
            began: at,
            what: what.clone(),
            first: self.newest.get(),
            ended: None,
        });
        operations.len() - 1
    }

    /// Notes what came of it.
    pub(super) fn ended(&self, cloud: &Cloud, number: usize, at: Duration, outcome: Outcome) {
        let last = self.see(cloud);
        let operation = &mut self.operations.borrow_mut()[number];
        if let (Event::ReadComputer { user, node, .. }, Outcome::Answer(answer)) = (&operation.what, &outcome)
            && let Answer::Computer { tag: Some(tag), .. } = answer
        {
            self.tags.borrow_mut().insert((*user, *node), (tag.clone(), number));
        }
        if let Outcome::Answer(Answer::Told(Told::Events(page))) = &outcome
            && let Some(last) = page.last()
        {
            self.cursors.borrow_mut().insert(operation.user, last);
        }
        operation.ended = Some(Ended { at, last, outcome });
        self.ended.borrow_mut().push(number);
    }

    /// The entity tag of the last document of a node that a user read, and which operation that was.
    pub(super) fn tag(&self, user: u32, node: u32) -> Option<(String, usize)> {
        self.tags.borrow().get(&(user, node)).cloned()
    }

    /// The last entry of the journal that a user read; 0 before the first.
    pub(super) fn cursor(&self, user: u32) -> i64 {
        self.cursors.borrow().get(&user).copied().unwrap_or_default()
    }

    pub(super) fn operations(&self) -> Vec<Operation> {
        self.operations.borrow().clone()
    }

    /// The operations from that number on, in the order in which they began.
    pub(super) fn began_since(&self, number: usize) -> Vec<Operation> {
        self.operations.borrow().get(number..).map(<[Operation]>::to_vec).unwrap_or_default()
    }

    /// Those that ended after so many others had, with their numbers, in that order.
    pub(super) fn ended_since(&self, count: usize) -> Vec<(usize, Operation)> {
        let (ended, operations) = (self.ended.borrow(), self.operations.borrow());
        let new = ended.get(count..).unwrap_or_default();
        new.iter().map(|number| (*number, operations[*number].clone())).collect()
    }

    /// One that was made by hand.
    #[cfg(test)]
    pub(super) fn of(operations: Vec<Operation>) -> History {
        let mut ended: Vec<usize> = (0..operations.len()).collect();
        let at = |number: &usize| operations[*number].ended.as_ref().map(|ended| ended.at);
        ended.retain(|number| at(number).is_some());
        ended.sort_by_key(at);
        History { operations: RefCell::new(operations), ended: RefCell::new(ended), ..History::default() }
    }

    /// The newest entry of the journal, read from outside; none when nobody has the database open.
    fn see(&self, cloud: &Cloud) -> Option<i64> {
        let mut newest = None;
        let mut query = |database: &rusqlite::Connection| {
            newest = Some(journal_ends(database)?.map_or(0, |(_, newest)| newest));
            Ok(())
        };
        // Before the first start there is no journal; and what cannot be read says nothing.
        cloud.machine(self.master.unwrap_or(Place::Master)).look(Path::new(DATABASE), &mut query).ok()?;
        self.newest.set(self.newest.get().max(newest?));
        newest
    }
}

impl Outcome {
    /// What a client was told, in its own words where it was told anything.
    pub(super) fn of(result: Result<Answer, ClientError>) -> Outcome {
        match result {
            Ok(answer) => Outcome::Answer(answer),
            Err(ClientError::NotFound(message)) => Outcome::Refused { status: 404, message },
            Err(ClientError::NotReady(message)) => Outcome::Refused { status: 408, message },
            Err(ClientError::Refused { status, message }) => Outcome::Refused { status, message },
            // Half an answer is none: a connection may end anywhere.
            Err(error @ (ClientError::Offline { .. } | ClientError::Protocol(_))) => {
                Outcome::Unknown(error.to_string())
            }
        }
    }

    pub(super) fn is_answer(&self) -> bool {
        matches!(self, Outcome::Answer(_))
    }

    /// Whether what was asked for may have been done, or be done yet, although nobody said so.
    pub(super) fn is_open(&self) -> bool {
        matches!(self, Outcome::Unknown(_) | Outcome::Refused { status: 500.., .. })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = |text: &str| text.lines().next().unwrap_or_default().to_owned();
        match self {
            Outcome::Refused { status, message } => write!(formatter, "refused {status}: {}", line(message)),
            Outcome::Unknown(why) => write!(formatter, "failed: {}", line(why)),
            Outcome::Answer(answer) => match answer {
                Answer::Done => formatter.write_str("done"),
                Answer::Given(given) => write!(formatter, "{} {}", given.computer_id, given.partition_id),
                Answer::Instance(None) => formatter.write_str("is not there"),
                Answer::Instance(Some(service)) => write!(formatter, "is {}", service.requested_state),
                Answer::List(rows) => write!(formatter, "{} instances", rows.len()),
                Answer::Computer { tag, computer } => {
                    let busy = computer.partitions.iter().filter(|it| it.instance.is_some()).count();
                    write!(formatter, "{busy} busy partitions, {}", tag.as_deref().unwrap_or("no tag"))
                }
                Answer::Unchanged { since } => write!(formatter, "unchanged since {since}"),
                Answer::Document(document) => write!(formatter, "is {}", document["state"]),
                Answer::NoSuch => formatter.write_str("is not there under that name"),
                Answer::Hosted(rows) => write!(formatter, "{} shared instances", rows.len()),
                Answer::Titles(rows) => write!(formatter, "{} titles", rows.len()),
                Answer::Rows { part: Part::Releases, rows } => write!(formatter, "{} releases", rows.len()),
                Answer::Rows { part: Part::Instances, rows } => write!(formatter, "{} instances", rows.len()),
                Answer::Told(told) => told.fmt(formatter),
            },
        }
    }
}
