//! What the master decides: each [`Command`] is judged and done inside one transaction, and journalled with its answer.
//!
//! * `command`: what may be asked
//! * `request`: an instance is asked for; a partition is given in the transaction that finds it free
//! * `shared`: a shared instance is asked for, and stands in its host's list
//! * `rebase`: local releases stand in another place than before
//! * `elsewhere`: what is passed on to another master
//! * `stand_in`: what is answered in place of slapproxy's historical frontends
//! * `tree`: who may ask for whom, and what reaches a whole tree: stop, destroy, bang
//! * `instance`: what a node reports of an instance, until it is destroyed
//! * `publish`: connection parameters, and titles
//! * `named`: the same for an instance that is named by its guid
//! * `supply`: a release shall be on a computer, or gone, and what the computer reports of it
//! * `format`: a computer says which partitions it has
//! * `writable`: names that could not be told to everybody
//!
//! Functions of a connection, a time and a command: no clock, no randomness. A repeated command changes nothing and
//! is answered alike. A [`Refusal`] changes nothing either.

mod command;
mod elsewhere;
mod format;
mod instance;
mod named;
mod publish;
mod rebase;
mod request;
mod shared;
mod stand_in;
mod supply;
#[cfg(test)]
mod tests;
mod tree;
mod writable;

pub use command::{Command, InstanceAction, InstanceReport, ReleaseReport, Requester};
pub use elsewhere::{Errand, FORWARDED_MAX, may_run, state_elsewhere, taken, title_elsewhere};
pub use format::{FormattedPartition, PARTITIONS_MAX};
pub use named::find_named;
pub use rebase::ROOT_SETTING;
pub use shared::HOSTED_MAX;
pub use stand_in::{StandIn, stand_in};

use super::commit_queue::Written;
use crate::{
    env::Verdict,
    store::{self, Instance, Partition, RevisedComputer},
    vocabulary::{ComputerId, PartitionId},
    wire::marshal::DOCUMENT_BYTES_MAX,
};
use rusqlite::Connection;
use serde::Serialize;
use std::{collections::BTreeMap, fmt};

/// The software type of a request that names none (slapos/slap/slap.py, `DEFAULT_SOFTWARE_TYPE`).
pub const DEFAULT_SOFTWARE_TYPE: &str = "default";

/// Computers of one master at most.
pub const COMPUTERS_MAX: usize = 10_000;

/// Releases that are supplied to one computer at most.
pub const SUPPLIES_MAX: usize = 10_000;

/// Bytes of a computer's full information at most, counted with those that a partition without an instance will need: less than a
/// client reads, by what is written around them all.
pub const INFORMATION_BYTES_MAX: i64 = DOCUMENT_BYTES_MAX as i64 - (64 << 10);

/// Bytes of an error's log that are kept: its end.
pub const LOG_BYTES_MAX: usize = 10_000;

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Done; a text that clients show or ignore.
    Text(String),
    /// An instance, as it was asked for.
    Given(Box<Given>),
}

/// An instance that was asked for, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// The instance; a shared one that is to be destroyed is gone already.
    pub instance: Instance,
    /// Its partition, or its host's; none for a shared one without a host.
    pub partition: Option<Partition>,
}

/// Why a command was refused: nothing happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status that says it to a client.
    pub status: u16,
    /// What is wrong.
    pub message: String,
    /// What to do; may be empty.
    pub hint: String,
}

impl Refusal {
    /// A refusal without a hint.
    pub fn new(status: u16, message: impl Into<String>) -> Refusal {
        Refusal { status, message: message.into(), hint: String::new() }
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Refusal {
        self.hint = hint.into();
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)?;
        if self.hint.is_empty() { Ok(()) } else { write!(formatter, "\nhint: {}", self.hint) }
    }
}

/// A decision, to be told once it is durable.
#[derive(Clone, Debug)]
pub struct Decided {
    /// The answer.
    pub answer: Result<Answer, Refusal>,
    /// The computers whose full information changed.
    pub touched: Vec<ComputerId>,
    /// The change's place in the journal, if there was a change.
    pub sequence: Option<i64>,
}

/// Decides on `command` and does it. `now` is in microseconds since 1970; `default_computer` is known even before it was
/// formatted, and is asked first for a free partition.
///
/// # Errors
/// Those of SQLite; the caller's savepoint is then to be undone.
pub fn decide(
    connection: &Connection,
    now: i64,
    default_computer: Option<&ComputerId>,
    command: &Command,
) -> rusqlite::Result<Written<Decided>> {
    let before = connection.total_changes();
    let mut desk = Desk::at(connection, now, default_computer);
    let answer = match desk.answer(command) {
        Ok(answer) => answer,
        Err(Stop::Refused(refusal)) => {
            let decided = Decided { answer: Err(refusal), touched: Vec::new(), sequence: None };
            return Ok(Written { verdict: Verdict::Discard, answer: decided });
        }
        Err(Stop::Changes) => unreachable!("only a repetition stops there"),
        Err(Stop::Sql(error)) => return Err(error),
    };
    let touched: Vec<ComputerId> = desk.touched.into_keys().collect();
    if connection.total_changes() == before {
        let decided = Decided { answer: Ok(answer), touched, sequence: None };
        return Ok(Written { verdict: Verdict::Discard, answer: decided });
    }
    let sequence = store::append_journal(connection, now, &to_json(command), &answer_json(&answer))?;
    let decided = Decided { answer: Ok(answer), touched, sequence: Some(sequence) };
    Ok(Written { verdict: Verdict::Keep, answer: decided })
}

/// The answer to a command that changes nothing, found by reading; none when it would change something, or when it takes a decision
/// of its own to tell.
///
/// # Errors
/// Those of SQLite, also for a change that was tried on a connection that cannot write.
pub fn decide_repeated(
    connection: &Connection,
    default_computer: Option<&ComputerId>,
    command: &Command,
) -> rusqlite::Result<Option<Result<Answer, Refusal>>> {
    let before = connection.total_changes();
    let mut desk = Desk { is_repeated: true, ..Desk::at(connection, 0, default_computer) };
    let answer = match desk.answer(command) {
        Ok(answer) => Ok(answer),
        Err(Stop::Refused(refusal)) => Err(refusal),
        Err(Stop::Changes) => return Ok(None),
        Err(Stop::Sql(error)) => return Err(error),
    };
    Ok((connection.total_changes() == before).then_some(answer))
}

fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("keys are text and numbers are finite")
}

fn answer_json(answer: &Answer) -> String {
    match answer {
        Answer::Text(text) => to_json(&serde_json::json!({ "text": text })),
        Answer::Given(given) => {
            let partition = given.partition.as_ref();
            to_json(&serde_json::json!({
                "instance": given.instance.number,
                "computer": partition.map(|partition| &partition.computer),
                "partition": partition.map(|partition| &partition.reference),
                "timestamp": partition.map(|partition| partition.timestamp),
            }))
        }
    }
}

/// Why a decision ended early.
enum Stop {
    Refused(Refusal),
    /// Something would be changed, where only a repetition is looked for.
    Changes,
    Sql(rusqlite::Error),
}

impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Stop {
        Stop::Sql(error)
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Stop {
        Stop::Refused(refusal)
    }
}

type Decision<T = Answer> = Result<T, Stop>;

/// Where one decision is made.
struct Desk<'a> {
    connection: &'a Connection,
    now: i64,
    default_computer: Option<&'a ComputerId>,
    /// The computers whose full information changed, and how that of their partitions did: written once, at the end.
    touched: BTreeMap<ComputerId, BTreeMap<PartitionId, Touch>>,
    /// Whether nothing may be changed.
    is_repeated: bool,
}

/// What happened to a partition.
#[derive(Clone, Copy, Debug, Default)]
struct Touch {
    /// The node has to process it again.
    is_renewed: bool,
    /// It was vacant, and was given away.
    is_taken: bool,
    /// What the instance that it was given to takes of its computer's full information.
    bytes: i64,
}

impl<'a> Desk<'a> {
    fn at(connection: &'a Connection, now: i64, default_computer: Option<&'a ComputerId>) -> Desk<'a> {
        Desk { connection, now, default_computer, touched: BTreeMap::new(), is_repeated: false }
    }

    /// Decides, and writes what that does to computers and partitions.
    fn answer(&mut self, command: &Command) -> Decision {
        let mut answer = self.decide(command)?;
        self.settle()?;
        if let Answer::Given(given) = &mut answer {
            given.partition = self.partition_of(&given.instance)?;
        }
        Ok(answer)
    }

    /// Each computer that was touched has a new revision, and so have its partitions that were.
    fn settle(&self) -> Decision<()> {
        for (computer, partitions) in &self.touched {
            let taken = partitions.values().filter(|touch| touch.is_taken).count();
            let bytes = partitions.values().map(|touch| touch.bytes).sum();
            let revised = store::revise_computer(self.connection, computer, taken, bytes)?;
            let Some(revised @ RevisedComputer { revision, floor, .. }) = revised else {
                continue;
            };
            for (partition, touch) in partitions {
                let timestamp = touch.is_renewed.then(|| self.now.max(floor + 1));
                let change = store::Revised { revision, timestamp, is_taken: touch.is_taken };
                store::revise_partition(self.connection, computer, partition, change)?;
            }
            if revised.growth > 0 && revised.bytes > INFORMATION_BYTES_MAX {
                return Err(no_room(computer, revised).into());
            }
        }
        Ok(())
    }
}

/// What a computer is told may only be so long that it can read it. What is too much already may become less.
fn no_room(computer: &ComputerId, RevisedComputer { bytes, growth, .. }: RevisedComputer) -> Refusal {
    let message = format!(
        "{computer} is told too much: all that is wanted of it may be {INFORMATION_BYTES_MAX} bytes long as written there, and this \
         would make it {bytes}, {growth} more than it was"
    );
    Refusal::new(507, message).hint(
        "use another computer, give smaller parameters, or destroy instances that are not needed any more",
    )
}

impl Desk<'_> {
    fn decide(&mut self, command: &Command) -> Decision {
        match command {
            Command::Request {
                title,
                release,
                software_type,
                parameters,
                filter,
                state,
                requester,
                shared,
            } => {
                let software_type =
                    if software_type.is_empty() && !shared { DEFAULT_SOFTWARE_TYPE } else { software_type };
                let (state, shared) = (*state, *shared);
                let wish = request::Wish { title, release, software_type, parameters, filter, state, shared };
                self.request(&wish, requester.as_ref())
            }
            Command::Supply { computer, url, state } => self.supply(computer, url, *state),
            Command::ReportRelease { computer, url, report } => self.report_release(computer, url, report),
            Command::Format { computer, address, netmask, partitions } => {
                self.format(computer, address, netmask, partitions)
            }
            Command::ReportInstance { computer, partition, slave_reference: None, report, about } => {
                self.report_instance(computer, partition, report, *about)
            }
            Command::ReportInstance {
                computer, partition, slave_reference: Some(reference), report, ..
            } => self.report_shared(computer, partition, reference, report),
            Command::Publish { computer, partition, slave_reference, document } => {
                self.publish(computer, partition, slave_reference.as_ref(), document)
            }
            Command::Rename { computer, partition, slave_reference, title } => {
                self.rename(computer, partition, slave_reference.as_ref(), title)
            }
            Command::OnInstance { guid, action } => self.on_instance(guid, action),
            Command::Forwarded { master, title, requester, gone } => {
                self.forwarded(Errand { master, title, requester: requester.as_ref() }, *gone)
            }
            Command::Rebase { root, moved } => self.rebase(root, moved),
            Command::BangComputer { computer, message } => self.bang_computer(computer, message),
        }
    }

    /// Here something is about to be changed: a repetition ends, before SQLite has to refuse it.
    fn begin_change(&self) -> Decision<()> {
        if self.is_repeated { Err(Stop::Changes) } else { Ok(()) }
    }

    /// A computer's full information changed: its releases, or which partitions it has.
    fn touch(&mut self, computer: &ComputerId) {
        self.touched.entry(computer.clone()).or_default();
    }

    /// A computer's full information changed, in what it says of a partition.
    fn touch_partition(&mut self, computer: &ComputerId, partition: &PartitionId) -> &mut Touch {
        if !self.touched.contains_key(computer) {
            self.touched.insert(computer.clone(), BTreeMap::new());
        }
        let partitions = self.touched.get_mut(computer).expect("it was put there");
        partitions.entry(partition.clone()).or_default()
    }

    /// The node has to process a partition again. Its timestamp grows, even where the clock went back; once in a decision.
    fn renew(&mut self, computer: &ComputerId, partition: &PartitionId) {
        self.touch_partition(computer, partition).is_renewed = true;
    }

    /// The node has to process an instance again; a shared one has no partition, and nothing happens.
    fn renew_instance(&mut self, instance: &Instance) {
        if let Some((computer, partition)) = instance.partition() {
            self.renew(computer, partition);
        }
    }

    /// The instance of that number, which stands in a link: the database holds no link to nowhere.
    fn linked(&self, number: i64) -> Decision<Instance> {
        Ok(store::instance(self.connection, number)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?)
    }

    /// Refuses a computer that nobody formatted, except the default one.
    fn require_computer(&self, computer: &ComputerId) -> Decision<()> {
        if store::computer(self.connection, computer)?.is_some() {
            return Ok(());
        }
        if self.default_computer == Some(computer) {
            store::upsert_computer(self.connection, computer, "", "")?;
            return Ok(());
        }
        Err(unknown_computer(self.connection, computer)?.into())
    }

    /// The partition, which must exist.
    fn require_partition(&self, computer: &ComputerId, partition: &PartitionId) -> Decision<Partition> {
        match store::partition(self.connection, computer, partition)? {
            Some(partition) => Ok(partition),
            None => {
                let default = self.default_computer;
                Err(unknown_partition(self.connection, default, computer, partition)?.into())
            }
        }
    }
}

/// The refusal for a computer that nobody formatted.
pub fn unknown_computer(connection: &Connection, computer: &ComputerId) -> rusqlite::Result<Refusal> {
    let known = store::first_computers(connection, SHOWN)?;
    let names: Vec<&str> = known.iter().map(ComputerId::as_str).collect();
    let known = enumerate_first(&names, store::count_computers(connection)?);
    Ok(Refusal::new(404, format!("no computer {computer} is registered here; known: {known}"))
        .hint("a node registers its computer with `slap node format`"))
}

/// The refusal for a partition that is not there. The default computer is known before its first format, without partitions.
pub fn unknown_partition(
    connection: &Connection,
    default_computer: Option<&ComputerId>,
    computer: &ComputerId,
    partition: &PartitionId,
) -> rusqlite::Result<Refusal> {
    if default_computer != Some(computer) && store::computer(connection, computer)?.is_none() {
        return unknown_computer(connection, computer);
    }
    let known = store::partitions(connection, computer)?;
    let names: Vec<&str> = known.iter().map(|partition| partition.reference.as_str()).collect();
    Ok(Refusal::new(404, format!("{computer} has no partition {partition}; it has: {}", enumerate(&names))))
}

/// The instance in a partition, which must not be free.
fn require_instance(partition: &Partition) -> Result<&Instance, Refusal> {
    partition.instance.as_ref().ok_or_else(|| {
        Refusal::new(404, format!("the partition {} of {} is free", partition.reference, partition.computer))
            .hint("its instance was destroyed")
    })
}

/// Names that stand in a message at most.
const SHOWN: usize = 20;

/// Names in a message: the first of them, and how many more there are.
fn enumerate(names: &[&str]) -> String {
    enumerate_first(&names[..names.len().min(SHOWN)], names.len())
}

/// The same where only the first names are at hand, of so many in all.
fn enumerate_first(names: &[&str], count: usize) -> String {
    match names {
        [] => "none".to_owned(),
        names if names.len() >= count => names.join(", "),
        names => format!("{} and {} more", names.join(", "), count - names.len()),
    }
}

/// The end of a text, at most `bytes_max` of it, cut between characters.
fn tail(text: &str, bytes_max: usize) -> &str {
    let mut begin = text.len().saturating_sub(bytes_max);
    while !text.is_char_boundary(begin) {
        begin += 1;
    }
    &text[begin..]
}

/// One line of at most `characters_max` characters, from the end of a text.
fn last_line_of(text: &str, characters_max: usize) -> String {
    let characters: Vec<char> = text.trim_end().chars().collect();
    characters[characters.len().saturating_sub(characters_max)..].iter().collect()
}
