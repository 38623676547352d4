//! A list of events on the model and on the real master: the first difference ends it.

use super::{
    answer::Told,
    asked,
    books::{Books, Done},
    choices,
    difference::{Difference, Part, compare, json, side},
    documents::{self, Subject},
    names::microseconds,
    picture::{Picture, state_of_rows},
    real::Real,
    rpc,
};
use crate::world::World;
use serde_json::Value;
use slap_model::{Event, Reply, State, names::Place};
use std::collections::BTreeMap;

/// How often each kind of event and of reply occurred.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Events by kind.
    pub events: BTreeMap<&'static str, u64>,
    /// Replies by kind.
    pub replies: BTreeMap<String, u64>,
    /// Events by kind that were calls of JSON-RPC methods.
    pub calls: BTreeMap<&'static str, u64>,
    /// JSON-RPC's reading methods that were asked and told the same.
    pub documents: BTreeMap<&'static str, u64>,
}

/// Kinds of events that cannot be told by JSON-RPC: what happens on nodes and on the way, what is only read, and requests by partitions.
const NO_CALLS: [&str; 16] = [
    "rebase",
    "clock back",
    "look",
    "request by a partition",
    "request of a shared instance by a partition",
    "build",
    "build that fails",
    "process",
    "check",
    "deliver",
    "lose answer",
    "drop",
    "kill agent",
    "reboot",
    "service exits",
    "promise turns",
];

impl Coverage {
    /// An event with its reply occurred.
    pub fn count(&mut self, event: &Event, reply: &Reply) {
        *self.events.entry(event.kind()).or_default() += 1;
        *self.replies.entry(reply.kind().to_string()).or_default() += 1;
    }

    /// Adds another coverage.
    pub fn add(&mut self, other: &Coverage) {
        for (kind, count) in &other.events {
            *self.events.entry(kind).or_default() += count;
        }
        for (kind, count) in &other.replies {
            *self.replies.entry(kind.clone()).or_default() += count;
        }
        for (kind, count) in &other.calls {
            *self.calls.entry(kind).or_default() += count;
        }
        for (method, count) in &other.documents {
            *self.documents.entry(method).or_default() += count;
        }
    }

    /// The kinds that never occurred, or never as a call.
    pub fn missing(&self) -> Vec<String> {
        let events = Event::KINDS.iter().filter(|kind| !self.events.contains_key(*kind));
        let replies = Reply::KINDS.iter().filter(|kind| !self.replies.contains_key(**kind));
        let can_call = |kind: &&&str| !NO_CALLS.contains(*kind) && !self.calls.contains_key(**kind);
        let calls = Event::KINDS.iter().filter(can_call).map(|kind| format!("{kind} by JSON-RPC"));
        let unasked = documents::methods().filter(|method| !self.documents.contains_key(method));
        events
            .chain(replies)
            .chain(&unasked.collect::<Vec<_>>())
            .map(|kind| (*kind).to_owned())
            .chain(calls)
            .collect()
    }

    /// How many events there were.
    pub fn total(&self) -> u64 {
        self.events.values().sum()
    }
}

/// What a list of events showed.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// What occurred.
    pub coverage: Coverage,
    /// The first difference.
    pub difference: Option<Difference>,
}

/// How the real master is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wires {
    /// By its XML endpoints.
    Xml,
    /// By JSON-RPC at every other event of a list, if it can be told so.
    Mixed,
}

/// Runs a list in a world of its own.
pub fn run(events: &[Event], wires: Wires) -> Outcome {
    let events = events.to_vec();
    World::run(1, async move |world| {
        let mut both = Both::open(&world, wires).await;
        let mut outcome = Outcome::default();
        for event in &events {
            let step = both.step(event).await;
            outcome.coverage.count(event, &step.model);
            if step.is_call {
                *outcome.coverage.calls.entry(event.kind()).or_default() += 1;
            }
            for method in both.asked.drain(..) {
                *outcome.coverage.documents.entry(method).or_default() += 1;
            }
            outcome.difference = step.difference;
            if outcome.difference.is_some() {
                break;
            }
        }
        outcome
    })
}

/// The model and the real master, side by side.
pub struct Both {
    /// The model's state.
    pub state: State,
    real: Real,
    wires: Wires,
    count: usize,
    /// What was kept when the nodes were told last.
    told: Picture,
    books: Books,
    /// JSON-RPC's reading methods that were asked since somebody looked here.
    asked: Vec<&'static str>,
}

/// One event on both.
#[derive(Clone, Debug)]
pub struct BothStep {
    /// The model's reply.
    pub model: Reply,
    /// The real master's reply, or why its answer is none.
    pub real: Result<Reply, String>,
    /// Whether it was a call of a JSON-RPC method.
    pub is_call: bool,
    /// In what they differ.
    pub difference: Option<Difference>,
}

impl Both {
    /// Both at their beginning.
    pub async fn open(world: &World, wires: Wires) -> Both {
        let real = Real::open(world).await;
        Both {
            state: choices::empty(),
            real,
            wires,
            count: 0,
            told: Picture::default(),
            books: Books::default(),
            asked: Vec::new(),
        }
    }

    /// Lets an event happen on both, and compares the replies and all that is kept.
    pub async fn step(&mut self, event: &Event) -> BothStep {
        let at = self.count;
        self.count += 1;
        let call = match self.wires {
            Wires::Mixed if at % 2 == 1 => self.real.call(&self.state, event).await,
            _ => None,
        };
        let is_call = call.is_some();
        let real = match call {
            Some(real) => real,
            None => self.real.step(&self.state, event).await,
        };
        let before = self.state.clone();
        let reply = self.state.step(event);
        let model = if is_call { rpc::shown(event, &reply) } else { reply.clone() };
        let expected = Picture::of_state(&self.state);
        if !event.reaches_master() {
            let difference = Difference::of(at, event, (&model, &expected), (&real, &Ok(expected.clone())));
            return BothStep { model, real, is_call, difference };
        }
        let rows = self.real.rows(self.books.sequence());
        let kept = rows.as_ref().map_err(String::clone).and_then(|(rows, _)| state_of_rows(rows));
        let kept = kept.and_then(|state| {
            // Until it gave something, nobody needs another master.
            let elsewhere = if self.state.elsewhere.is_some() { self.real.other_state()? } else { None };
            Ok(Picture::of_state(&State { elsewhere, ..state }))
        });
        let mut difference = Difference::of(at, event, (&model, &expected), (&real, &kept));
        if let (None, Ok((rows, entries))) = (&difference, rows) {
            let mail = match event {
                Event::Deliver(mail) | Event::LoseAnswer(mail) if before.mail.contains(mail) => {
                    Some(mail.event())
                }
                _ => None,
            };
            let asked = mail.as_ref().unwrap_or(event);
            let done = Done { before: &before, event: asked, is_call, reply: &reply, after: &self.state };
            let parts = self.books.check(&done, rows, &entries);
            difference = Difference::of_parts(at, event, parts);
        }
        if difference.is_none() && self.told != expected {
            difference = self.ask_all(at, event).await;
            self.told = expected;
        }
        BothStep { model, real, is_call, difference }
    }

    /// What every node is told, which the master keeps ready, and which may be older than the database then; and what is told of one
    /// of the partitions and one of the releases, in turn, and by JSON-RPC of one thing.
    async fn ask_all(&mut self, at: usize, event: &Event) -> Option<Difference> {
        let mut parts = Vec::new();
        self.ask_documents(at, &mut parts).await;
        let state = &self.state;
        for (computer, registered) in &state.computers {
            let seen = self.real.full(state, *computer).await;
            self.books.heard(*computer, microseconds(state.now));
            let expected = Told { view: state.view(*computer), order: registered.ordered() };
            if seen.as_ref() != Ok(&expected) {
                compare("told", &json(&expected), &side(&seen), &mut parts);
            }
        }
        let places = state.computers.iter().flat_map(|(computer, registered)| {
            registered.partitions.keys().map(|name| Place { computer: *computer, partition: *name })
        });
        let places: Vec<Place> = places.collect();
        if let Some(place) = places.get(at % places.len().max(1)) {
            let expected = asked::partition(state, &self.books, *place);
            let found = self.real.ask(state, asked::of_partition(*place)).await;
            let found = found.map(|found| asked::read_partition(*place, &found));
            compare("asked.partition", &expected, &found.unwrap_or_else(Value::from), &mut parts);
            let asked = documents::of_partition(state, &self.books, *place);
            let found = self.real.document(state, asked.method, &asked.arguments).await;
            compare("documents.partition", &asked.expected, &found, &mut parts);
            self.asked.push(asked.method);
        }
        let releases = state.computers.iter().flat_map(|(computer, registered)| {
            registered.supplies.keys().map(|release| (*computer, *release))
        });
        let releases: Vec<_> = releases.collect();
        if let Some((computer, release)) = releases.get(at % releases.len().max(1)) {
            let expected = asked::release(&self.books, *computer, *release);
            let found = self.real.ask(state, asked::of_release(*computer, *release)).await;
            let found = found.map(|found| asked::read_status(&found[0]));
            compare("asked.release", &expected, &found.unwrap_or_else(Value::from), &mut parts);
        }
        Difference::of_parts(at, event, parts)
    }
    /// What JSON-RPC tells of one thing in turn; of a computer's status, what XML tells of it too.
    async fn ask_documents(&mut self, at: usize, parts: &mut Vec<Part>) {
        let state = &self.state;
        let subjects = documents::subjects(state);
        let Some(subject) = subjects.get(at % subjects.len().max(1)) else { return };
        let asked = documents::of(state, &self.books, *subject);
        if let Subject::Computer(computer) = subject {
            let expected = asked::computer(&self.books, *computer);
            let found = self.real.ask(state, vec![documents::status_question(*computer)]).await;
            let found = found.map(|found| asked::read_status(&found[0]));
            compare("asked.computer", &expected, &found.unwrap_or_else(Value::from), parts);
        }
        for document in asked {
            let found = self.real.document(state, document.method, &document.arguments).await;
            compare(&format!("documents.{}", document.method), &document.expected, &found, parts);
            self.asked.push(document.method);
        }
        if let Subject::Computer(computer) = subject {
            // A list of what is on a computer is what it reads itself.
            self.books.heard(*computer, microseconds(state.now));
        }
    }
}
