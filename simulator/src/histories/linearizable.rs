//! Small histories against the whole model: there must be one order of all operations, each between its invocation and its
//! return, in which the model answers each as the master did. Operations without outcome may stand anywhere behind their
//! invocation, or nowhere.
//!
//! The search (`exists`) remembers where it was: the set of operations that it had put in order, and the model's state. Where a
//! history is so small that all orders can be tried, stateright's tester, which remembers nothing, judges it too, and must agree.
//!
//! Timestamps are left out of answers: the model has ranks. Refusals are compared by their status.

use super::{
    checks::{Promise, Violation, table},
    history::{Action, Answer, OPEN, Operation, Outcome, Seen, Wish},
};
use slap_model::{
    Event, Reply, State,
    event::{Filter, Report, Request, Word},
    names::{Address, Connection, DEFAULT_KIND, Kind, Parameters, Partition, Place, Reference, Title},
    reply::{Entry, Ignored},
};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};
use std::collections::{BTreeMap, BTreeSet};

/// A cloud, as the reference object of a history.
#[derive(Clone)]
struct Cloud(State);

/// A reply without what a history cannot tell.
#[derive(Clone, Debug, PartialEq)]
enum Told {
    /// As the model says it, without timestamps.
    Reply(Reply),
    /// Refused with this status.
    Refused(u16),
    /// An answer that has no place in the model, and why.
    Nothing(String),
}

impl SequentialSpec for Cloud {
    type Op = Event;
    type Ret = Told;

    fn invoke(&mut self, event: &Event) -> Told {
        match self.0.step(event) {
            Reply::Refused(why) => Told::Refused(why.status()),
            Reply::Given(mut given) => {
                (given.rank, given.address) = (None, None);
                Told::Reply(Reply::Given(given))
            }
            Reply::View(mut view) => {
                view.partitions.values_mut().flatten().for_each(|seen| {
                    (seen.rank, seen.address) = (0, Address(0));
                });
                Told::Reply(Reply::View(view))
            }
            other => Told::Reply(other),
        }
    }
}

/// Whether a history of a master that was empty before has an order in which the model gives the same answers.
///
/// # Errors
/// The shortest beginning of the history that has none.
pub fn check(history: &[Operation], object: &str) -> Result<(), Box<Violation>> {
    let is_linearizable = exists(history);
    let orders = orders(history);
    if orders <= ORDERS_MAX && stateright(history) != is_linearizable {
        return Err(violation(history, object, history.len() - 1, "stateright's tester judges it otherwise"));
    }
    if is_linearizable {
        return Ok(());
    }
    let mut returned: Vec<(u64, usize)> = known(history).map(|(index, it)| (it.returned, index)).collect();
    returned.sort_unstable();
    let is_first = |(end, _): &&(u64, usize)| !exists(&until(history, *end));
    let last = returned.iter().find(is_first).map_or(0, |(_, index)| *index);
    let what = "no order of what happened until then explains this answer";
    Err(violation(history, object, last, what))
}

/// Orders that stateright's tester may have to try.
const ORDERS_MAX: f64 = 20_000.0;

fn violation(history: &[Operation], object: &str, index: usize, what: &str) -> Box<Violation> {
    let end = history[index].returned;
    let shown: Vec<Operation> = history.iter().filter(|it| it.invoked < end).cloned().collect();
    Box::new(Violation {
        promise: Promise::Linearizable,
        object: object.to_owned(),
        what: what.to_owned(),
        shown_by: vec![index],
        table: table(&shown, &[index, shown.len() - 1], |_| true),
    })
}

/// The operations with an outcome, each with its index.
fn known(history: &[Operation]) -> impl Iterator<Item = (usize, &Operation)> {
    history.iter().enumerate().filter(|(_, operation)| operation.outcome != Outcome::Unknown)
}

/// The history as it was known at a moment.
fn until(history: &[Operation], end: u64) -> Vec<Operation> {
    let mut history: Vec<Operation> = history.iter().filter(|it| it.invoked < end).cloned().collect();
    for operation in history.iter_mut().filter(|operation| operation.returned > end) {
        (operation.returned, operation.outcome) = (OPEN, Outcome::Unknown);
    }
    history
}

/// Whether a history has an order, with each search state visited once (as in G. Lowe, "Testing for linearizability", 2017).
fn exists(history: &[Operation]) -> bool {
    assert!(history.len() <= 64, "a small history has at most 64 operations");
    let is_open = |operation: &Operation| operation.outcome == Outcome::Unknown;
    // What only reads and has no outcome says nothing.
    let operations: Vec<&Operation> = history
        .iter()
        .filter(|operation| !(is_open(operation) && matches!(operation.action, Action::Read { .. })))
        .collect();
    let all_known = (0..operations.len())
        .filter(|index| !is_open(operations[*index]))
        .fold(0, |set, index| set | 1 << index);
    let mut visited: BTreeSet<(u64, State)> = BTreeSet::new();
    let mut stack = vec![(0, State::default())];
    while let Some((ordered, state)) = stack.pop() {
        if ordered & all_known == all_known {
            return true;
        }
        let is_left = |index: &usize| ordered >> index & 1 == 0;
        let left = (0..operations.len()).filter(is_left);
        let known = left.clone().filter(|index| !is_open(operations[*index]));
        let end = known.map(|index| operations[index].returned).min().unwrap_or(OPEN);
        for index in left.filter(|index| operations[*index].invoked < end) {
            let mut cloud = Cloud(state.clone());
            let reply = cloud.invoke(&event(&operations[index].action));
            let next = (ordered | 1 << index, cloud.0);
            if (is_open(operations[index]) || reply == told(operations[index])) && !visited.contains(&next) {
                visited.insert(next.clone());
                stack.push(next);
            }
        }
    }
    false
}

/// How many orders a history has that keep the order of each client, at most.
fn orders(history: &[Operation]) -> f64 {
    let mut clients: BTreeMap<u32, u32> = BTreeMap::new();
    let mut orders = 1.0;
    let mut placed = 0.0;
    for (_, operation) in known(history) {
        let own = clients.entry(operation.client).or_default();
        *own += 1;
        placed += 1.0;
        orders *= placed / f64::from(*own);
    }
    let open = history.len() as i32 - placed as i32;
    orders * (placed + 1.0).powi(open)
}

/// Whether stateright's tester finds an order.
fn stateright(history: &[Operation]) -> bool {
    let mut events: BTreeMap<u64, (usize, bool)> =
        known(history).map(|(index, operation)| (operation.returned, (index, true))).collect();
    events.extend(history.iter().enumerate().map(|(index, operation)| (operation.invoked, (index, false))));
    let mut tester = LinearizabilityTester::new(Cloud(State::default()));
    // A client whose answer was lost never hears of it: what it asks next, it asks as another.
    let mut lives: BTreeMap<u32, u32> = BTreeMap::new();
    for (index, is_return) in events.into_values() {
        let operation = &history[index];
        let life = lives.entry(operation.client).or_default();
        let thread = (operation.client, *life);
        let noted = if is_return {
            tester.on_return(thread, told(operation)).map(drop)
        } else {
            if operation.outcome == Outcome::Unknown {
                *life += 1;
            }
            tester.on_invoke(thread, event(&operation.action)).map(drop)
        };
        noted.expect("a client asks one thing after the other");
    }
    tester.is_consistent()
}

/// What the model calls that.
fn event(action: &Action) -> Event {
    match action {
        Action::Request(wish) => Event::Request(request(wish)),
        Action::Destroyed { place, .. } => {
            Event::Report(Report { place: *place, word: Word::Destroyed, about: None })
        }
        Action::Started { place, .. } => {
            Event::Report(Report { place: *place, word: Word::Started, about: None })
        }
        Action::Format { computer, partitions } => Event::Format {
            computer: *computer,
            partitions: partitions.iter().map(|name| (*name, Address(name.0))).collect(),
        },
        Action::Rename { place, title } => Event::Rename { place: *place, shared: None, title: *title },
        Action::Publish { place, connection } => {
            Event::Publish { place: *place, shared: None, connection: Connection(small(*connection)) }
        }
        Action::Read { computer, .. } | Action::ReadPartition { place: Place { computer, .. } } => {
            Event::Look(*computer)
        }
    }
}

fn request(wish: &Wish) -> Request {
    Request {
        by: wish.by,
        title: wish.title,
        shared: wish.shared,
        release: wish.release,
        kind: None,
        parameters: Parameters(small(wish.parameters)),
        filter: wish.computer.map_or(Filter::Anywhere, Filter::Computer),
        state: wish.state,
    }
}

/// Values of small histories are small; another one is none of theirs.
fn small(value: u32) -> u16 {
    u16::try_from(value).unwrap_or(u16::MAX)
}

/// What the master told, in the model's words.
fn told(operation: &Operation) -> Told {
    let answer = match &operation.outcome {
        Outcome::Refused { status, .. } => return Told::Refused(*status),
        Outcome::Unknown => return Told::Nothing("unknown".to_owned()),
        Outcome::Answer(answer) => answer,
    };
    Told::Reply(match answer {
        Answer::Done => Reply::Done,
        Answer::Kept(kept) => Reply::Kept(kept.clone()),
        Answer::NotYet(children) => Reply::NotYet(children.clone()),
        Answer::Ignored(text) if text.ends_with("the partition is free") => Reply::Ignored(Ignored::Free),
        Answer::Ignored(_) => Reply::Ignored(Ignored::Late),
        Answer::Given(given) => Reply::Given(slap_model::reply::Given {
            place: given.place,
            address: None,
            release: given.seen.release,
            kind: DEFAULT_KIND,
            parameters: Parameters(small(given.seen.parameters)),
            connection: Connection(small(given.seen.connection)),
            state: given.seen.state,
            rank: None,
        }),
        Answer::View(view) => Reply::View(slap_model::state::View {
            supplies: BTreeMap::new(),
            partitions: view
                .partitions
                .iter()
                .map(|(name, seen)| (*name, seen.as_ref().map(model)))
                .collect(),
        }),
        Answer::Unchanged | Answer::Partition(_) => {
            return Told::Nothing(format!("{} is not asked in small histories", operation.action));
        }
    })
}

fn model(seen: &Seen) -> slap_model::state::Seen {
    let entry = |((root, title), value): (&(Option<Title>, Title), &u32)| Entry {
        reference: Reference { root: *root, title: *title },
        kind: DEFAULT_KIND,
        parameters: Parameters(small(*value)),
    };
    slap_model::state::Seen {
        title: seen.title,
        root: seen.root.unwrap_or(seen.title),
        state: seen.state,
        release: seen.release,
        kind: Kind(DEFAULT_KIND.0),
        parameters: Parameters(small(seen.parameters)),
        connection: Connection(small(seen.connection)),
        shared: seen.shared.iter().map(entry).collect::<BTreeSet<Entry>>(),
        address: Address(0),
        rank: 0,
    }
}

/// All partitions of a computer with so many.
pub(super) fn partitions(count: u16) -> BTreeSet<Partition> {
    (0..count).map(Partition).collect()
}
