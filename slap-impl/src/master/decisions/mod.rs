//! What the master decides: each [`Command`] is judged and done inside one transaction, and journalled with its answer.
//!
//! * `request`: an instance is asked for; a partition is given in the transaction that finds it free
//! * `supply`: a release shall be on a computer, or gone, and what the computer reports of it
//! * `format`: a computer says which partitions it has
//! * `instance`: what a node reports of an instance, publishes, bangs, renames, and destroys
//!
//! Functions of a connection, a time and a command: no clock, no randomness. A repeated command changes nothing and
//! is answered alike. A [`Refusal`] changes nothing either.

mod format;
mod instance;
mod request;
mod supply;
#[cfg(test)]
mod tests;

pub use format::{FormattedPartition, PARTITIONS_MAX};

use super::commit_queue::Written;
use crate::{
    env::Verdict,
    store::{self, Partition},
    vocabulary::{ComputerId, InstanceTitle, PartitionId, RequestedState, SoftwareUrl, SupplyState},
};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// The software type of a request that names none (slapos/slap/slap.py, `DEFAULT_SOFTWARE_TYPE`).
pub const DEFAULT_SOFTWARE_TYPE: &str = "default";

/// Computers of one master at most.
pub const COMPUTERS_MAX: usize = 10_000;

/// Releases that are supplied to one computer at most.
pub const SUPPLIES_MAX: usize = 10_000;

/// Bytes of an error's log that are kept: its end.
pub const LOG_BYTES_MAX: usize = 10_000;

/// A change that somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Command {
    /// A user asks for an instance, or for other parameters or another state of it.
    Request {
        /// Its title: what makes two requests the same.
        title: InstanceTitle,
        /// The software release.
        release: SoftwareUrl,
        /// The software type; empty is [`DEFAULT_SOFTWARE_TYPE`].
        software_type: String,
        /// Parameters, as an instance document.
        parameters: String,
        /// Where it may run.
        filter: BTreeMap<String, String>,
        /// What is wanted; none keeps what was wanted before, or starts it.
        state: Option<RequestedState>,
    },
    /// A user wants a release on a computer, or gone from it.
    Supply {
        /// Which computer.
        computer: ComputerId,
        /// Which release.
        url: SoftwareUrl,
        /// What is wanted.
        state: SupplyState,
    },
    /// A node reports on a release.
    ReportRelease {
        /// Which computer.
        computer: ComputerId,
        /// Which release.
        url: SoftwareUrl,
        /// What it reports.
        report: ReleaseReport,
    },
    /// A computer says which partitions it has.
    Format {
        /// Which computer.
        computer: ComputerId,
        /// Its address.
        address: String,
        /// Its netmask.
        netmask: String,
        /// All its partitions.
        partitions: Vec<FormattedPartition>,
    },
    /// A node reports on the instance in a partition.
    ReportInstance {
        /// Which computer.
        computer: ComputerId,
        /// Which partition.
        partition: PartitionId,
        /// What it reports.
        report: InstanceReport,
        /// The partition's timestamp that it processed, if it says so: microseconds since 1970.
        about: Option<i64>,
    },
    /// An instance publishes connection parameters.
    Publish {
        /// Which computer.
        computer: ComputerId,
        /// Which partition.
        partition: PartitionId,
        /// What it publishes, as an instance document.
        document: String,
    },
    /// An instance shall have another title.
    Rename {
        /// Which computer.
        computer: ComputerId,
        /// Which partition.
        partition: PartitionId,
        /// The new title.
        title: InstanceTitle,
    },
    /// All instances of a computer shall be processed again.
    BangComputer {
        /// Which computer.
        computer: ComputerId,
        /// Why.
        message: String,
    },
}

impl Command {
    /// What is asked, in a few words, for the log.
    pub fn describe(&self) -> String {
        match self {
            Command::Request { title, state, .. } => {
                let state = state.map(|state| format!(" {state}")).unwrap_or_default();
                format!("request {:?}{state}", title.as_str())
            }
            Command::Supply { computer, url, state } => format!("supply {url} {state} on {computer}"),
            Command::ReportRelease { computer, url, report } => {
                format!("{computer} reports {url} {}", report.word())
            }
            Command::Format { computer, partitions, .. } => {
                format!("format {computer} with {} partitions", partitions.len())
            }
            Command::ReportInstance { computer, partition, report, .. } => {
                format!("{computer} reports {partition} {}", report.word())
            }
            Command::Publish { computer, partition, .. } => format!("{partition} of {computer} publishes"),
            Command::Rename { computer, partition, title } => {
                format!("rename {partition} of {computer} to {:?}", title.as_str())
            }
            Command::BangComputer { computer, .. } => format!("bang {computer}"),
        }
    }
}

impl ReleaseReport {
    fn word(&self) -> &'static str {
        match self {
            ReleaseReport::Building => "building",
            ReleaseReport::Available => "available",
            ReleaseReport::Error { .. } => "in error",
            ReleaseReport::Destroyed => "destroyed",
        }
    }
}

impl InstanceReport {
    fn word(&self) -> &'static str {
        match self {
            InstanceReport::Started => "started",
            InstanceReport::Stopped => "stopped",
            InstanceReport::Error { .. } => "in error",
            InstanceReport::Bang { .. } => "bang",
            InstanceReport::Destroyed => "destroyed",
        }
    }
}

/// What a node reports of a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "kebab-case")]
pub enum ReleaseReport {
    /// It is being built.
    Building,
    /// It is built.
    Available,
    /// It could not be built.
    Error {
        /// The log.
        log: String,
    },
    /// It is gone.
    Destroyed,
}

/// What a node reports of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "kebab-case")]
pub enum InstanceReport {
    /// Its services run.
    Started,
    /// Its services do not run.
    Stopped,
    /// It could not be put into place, or a promise failed.
    Error {
        /// The log.
        log: String,
    },
    /// It wants to be processed again.
    Bang {
        /// Why.
        message: String,
    },
    /// It is gone, and the partition is empty.
    Destroyed,
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Done; a text that clients show or ignore.
    Text(String),
    /// The partition that an instance has.
    Given(Box<Partition>),
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
    let mut desk = Desk { connection, now, default_computer, touched: BTreeSet::new() };
    let answer = match desk.decide(command) {
        Ok(answer) => answer,
        Err(Stop::Refused(refusal)) => {
            let decided = Decided { answer: Err(refusal), touched: Vec::new(), sequence: None };
            return Ok(Written { verdict: Verdict::Discard, answer: decided });
        }
        Err(Stop::Sql(error)) => return Err(error),
    };
    for computer in &desk.touched {
        store::bump_revision(connection, computer)?;
    }
    let touched: Vec<ComputerId> = desk.touched.into_iter().collect();
    if connection.total_changes() == before {
        let decided = Decided { answer: Ok(answer), touched, sequence: None };
        return Ok(Written { verdict: Verdict::Discard, answer: decided });
    }
    let sequence = store::append_journal(connection, now, &to_json(command), &answer_json(&answer))?;
    let decided = Decided { answer: Ok(answer), touched, sequence: Some(sequence) };
    Ok(Written { verdict: Verdict::Keep, answer: decided })
}

fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("keys are text and numbers are finite")
}

fn answer_json(answer: &Answer) -> String {
    match answer {
        Answer::Text(text) => to_json(&serde_json::json!({ "text": text })),
        Answer::Given(partition) => to_json(&serde_json::json!({
            "computer": partition.computer,
            "partition": partition.reference,
            "timestamp": partition.timestamp,
        })),
    }
}

/// Why a decision ended early.
enum Stop {
    Refused(Refusal),
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
    touched: BTreeSet<ComputerId>,
}

impl Desk<'_> {
    fn decide(&mut self, command: &Command) -> Decision {
        match command {
            Command::Request { title, release, software_type, parameters, filter, state } => {
                let software_type =
                    if software_type.is_empty() { DEFAULT_SOFTWARE_TYPE } else { software_type };
                let wish = request::Wish { title, release, software_type, parameters, filter, state: *state };
                self.request(&wish)
            }
            Command::Supply { computer, url, state } => self.supply(computer, url, *state),
            Command::ReportRelease { computer, url, report } => self.report_release(computer, url, report),
            Command::Format { computer, address, netmask, partitions } => {
                self.format(computer, address, netmask, partitions)
            }
            Command::ReportInstance { computer, partition, report, about } => {
                self.report_instance(computer, partition, report, *about)
            }
            Command::Publish { computer, partition, document } => self.publish(computer, partition, document),
            Command::Rename { computer, partition, title } => self.rename(computer, partition, title),
            Command::BangComputer { computer, message } => self.bang_computer(computer, message),
        }
    }

    /// A computer's full information changed.
    fn touch(&mut self, computer: &ComputerId) {
        self.touched.insert(computer.clone());
    }

    /// The node has to process a partition again. Its timestamp grows, even where the clock went back.
    fn renew(&mut self, computer: &ComputerId, partition: &PartitionId, before: i64) -> Decision<i64> {
        let timestamp = self.now.max(before + 1);
        store::set_timestamp(self.connection, computer, partition, timestamp)?;
        self.touch(computer);
        Ok(timestamp)
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
            None => Err(unknown_partition(self.connection, computer, partition)?.into()),
        }
    }
}

/// The refusal for a computer that nobody formatted.
pub fn unknown_computer(connection: &Connection, computer: &ComputerId) -> rusqlite::Result<Refusal> {
    let known = store::computers(connection)?;
    let names: Vec<&str> = known.iter().map(|computer| computer.reference.as_str()).collect();
    Ok(Refusal::new(404, format!("no computer {computer} is registered here; known: {}", enumerate(&names)))
        .hint("a node registers its computer with `slap node format`"))
}

/// The refusal for a partition that is not there.
pub fn unknown_partition(
    connection: &Connection,
    computer: &ComputerId,
    partition: &PartitionId,
) -> rusqlite::Result<Refusal> {
    if store::computer(connection, computer)?.is_none() {
        return unknown_computer(connection, computer);
    }
    let known = store::partitions(connection, computer)?;
    let names: Vec<&str> = known.iter().map(|partition| partition.reference.as_str()).collect();
    Ok(Refusal::new(404, format!("{computer} has no partition {partition}; it has: {}", enumerate(&names))))
}

/// Names in a message: the first of them, and how many more there are.
fn enumerate(names: &[&str]) -> String {
    const SHOWN: usize = 20;
    match names {
        [] => "none".to_owned(),
        names if names.len() <= SHOWN => names.join(", "),
        names => format!("{} and {} more", names[..SHOWN].join(", "), names.len() - SHOWN),
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
