//! One world, as stateright walks through it.

use super::{Options, record::Record};
use slap_model::{Event, State, Violation, rules::Transition, worlds::World};
use stateright::{Model, Property};
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    mem,
    sync::{Mutex, MutexGuard},
};

/// The property: no state and no step breaks a rule.
pub(super) const RULES: &str = "rules";

/// A world on its way.
pub(super) struct Walk {
    world: World,
    options: Options,
    /// A state to be found, by its digest: how one gets there is the failure.
    sought: Option<u64>,
    record: Mutex<Record>,
}

/// A state, and how it was reached.
#[derive(Clone, Debug)]
pub(super) struct Point {
    /// The state, in its canonical form unless a step broke a rule.
    pub state: State,
    /// The rules that the step to it broke.
    pub broken: Vec<Violation>,
    /// The digest of both. Sixty-four bits: two of ten million states are alike by chance once in 370,000 runs.
    pub digest: u64,
    /// Events on the shortest path.
    depth: usize,
}

impl PartialEq for Point {
    fn eq(&self, other: &Point) -> bool {
        self.digest == other.digest && self.state == other.state && self.broken == other.broken
    }
}

impl Hash for Point {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write_u64(self.digest);
    }
}

impl Point {
    fn new(state: State, broken: Vec<Violation>, depth: usize) -> Point {
        let mut hasher = DefaultHasher::new();
        (&state, &broken).hash(&mut hasher);
        Point { state, broken, digest: hasher.finish(), depth }
    }
}

impl Walk {
    pub(super) fn new(world: World, options: &Options) -> Walk {
        let record = Record { is_whole: true, ..Record::default() };
        Walk { world, options: options.clone(), sought: None, record: Mutex::new(record) }
    }

    /// A walk that ends at the state of that digest.
    pub(super) fn seeking(world: World, options: &Options, digest: u64) -> Walk {
        Walk { sought: Some(digest), ..Walk::new(world, options) }
    }

    /// What was written down so far. Paths are walked again when they are asked for, so this comes first.
    pub(super) fn take_record(&self) -> Record {
        mem::take(&mut self.record())
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().expect("nobody panics with it")
    }

    /// Whether only what the cloud does by itself is followed from here.
    fn is_deep(&self, point: &Point) -> bool {
        self.options.depth.or(self.world.depth).is_some_and(|depth| point.depth >= depth)
    }
}

impl Model for Walk {
    type State = Point;
    type Action = Event;

    fn init_states(&self) -> Vec<Point> {
        vec![Point::new(self.world.start.clone().canonical(), Vec::new(), 0)]
    }

    fn actions(&self, point: &Point, out: &mut Vec<Event>) {
        let mut record = self.record();
        if !point.broken.is_empty() {
            return;
        }
        if record.states >= self.options.states_max {
            (record.is_whole, record.is_cut) = (false, true);
            return;
        }
        record.states += 1;
        point.state.enabled(&self.world.bounds, out);
        if self.is_deep(point) {
            record.is_whole = false;
            out.retain(Event::is_system);
        }
        if !self.world.start.nodes.is_empty() {
            record.steps.from(point.digest, point.state.settled());
        }
    }

    fn next_state(&self, last: &Point, event: Event) -> Option<Point> {
        let mut after = last.state.clone();
        let reply = (self.options.step)(&mut after, &event);
        let transition = Transition { before: &last.state, event: &event, reply: &reply, after: &after };
        let broken = transition.violations();
        let mut record = self.record();
        record.transitions += 1;
        *record.events.entry(event.kind()).or_default() += 1;
        *record.replies.entry(reply.kind()).or_default() += 1;
        if broken.is_empty() {
            if after == last.state {
                return None;
            }
            after = after.canonical();
            if after == last.state {
                return None;
            }
        }
        let point = Point::new(after, broken, last.depth + 1);
        if event.is_system() && point.broken.is_empty() && !self.world.start.nodes.is_empty() {
            record.steps.to(last.digest, point.digest);
        }
        Some(point)
    }

    fn properties(&self) -> Vec<Property<Walk>> {
        vec![Property::always(RULES, |walk: &Walk, point: &Point| match walk.sought {
            Some(digest) => point.digest != digest,
            None => point.broken.is_empty() && point.state.violations().is_empty(),
        })]
    }
}
