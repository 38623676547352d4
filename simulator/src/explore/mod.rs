//! The worlds of slap-model, explored: every state that can be reached, every rule at every state and every step.
//!
//! * `world`: one world, as stateright walks through it, breadth first, so that the first failure is the shortest
//! * `record`: what is written down on the way: how often what occurred, and what the cloud does by itself
//! * [`liveness`]: once users and faults stop, every order of steps settles the cloud
//! * [`failure`]: what broke, and the events that lead there, as a file
//! * [`command`]: `simulator explore`
//!
//! Each world is walked by one thread, so that depths, paths and counts are the same in each run; several worlds are
//! walked at the same time.

pub mod command;
pub mod failure;
pub mod liveness;
mod record;
mod world;

use self::{failure::Failure, liveness::Settling, world::Walk};
use slap_model::{Event, Reply, State, worlds::World};
use stateright::{Checker, Model};
use std::{
    collections::BTreeMap,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

/// How worlds are explored.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many worlds at the same time.
    pub threads: usize,
    /// Events of users and faults on a path at most; what the cloud does by itself is followed to its end. None: no limit.
    pub depth: Option<usize>,
    /// States of a world at most, which bounds the memory: about 1 KiB each.
    pub states_max: usize,
    /// What an event does.
    pub step: fn(&mut State, &Event) -> Reply,
}

impl Default for Options {
    fn default() -> Options {
        Options { threads: 2, depth: None, states_max: 4_000_000, step: State::step }
    }
}

/// A world that was explored.
#[derive(Clone, Debug)]
pub struct Explored {
    /// Its name.
    pub world: &'static str,
    /// States, each once.
    pub states: usize,
    /// Pairs of a state and an event that may happen in it; all were done and judged.
    pub transitions: u64,
    /// The length of the longest of the shortest paths to a state.
    pub depth: usize,
    /// Whether nothing was left out for depth or number.
    pub is_whole: bool,
    /// Whether there were more states than were allowed.
    pub is_cut: bool,
    /// How long it took.
    pub took: Duration,
    /// How often each kind of event occurred.
    pub events: BTreeMap<&'static str, u64>,
    /// How often each kind of reply occurred.
    pub replies: BTreeMap<&'static str, u64>,
    /// Whether there are nodes. Without one the cloud does nothing by itself, and nobody waits: `settled` says nothing there.
    pub has_nodes: bool,
    /// How the cloud settles; none in a world without nodes, or with a failure.
    pub settling: Option<Settling>,
    /// What broke first.
    pub failure: Option<Failure>,
}

/// Explores worlds, in their order.
///
/// # Panics
/// When the model does.
pub fn explore(worlds: Vec<World>, options: &Options) -> Vec<Explored> {
    let explored: Mutex<Vec<Option<Explored>>> = Mutex::new(worlds.iter().map(|_| None).collect());
    // The last are the largest.
    let queue = Mutex::new(worlds.into_iter().enumerate().rev());
    let next = || queue.lock().expect("nobody panics with it").next();
    thread::scope(|scope| {
        for _ in 0..options.threads.max(1) {
            scope.spawn(|| {
                while let Some((at, world)) = next() {
                    let one = explore_world(world, options);
                    explored.lock().expect("nobody panics with it")[at] = Some(one);
                }
            });
        }
    });
    explored.into_inner().expect("no thread panicked").into_iter().flatten().collect()
}

#[allow(clippy::disallowed_methods, reason = "only shown; no door to the clock leads into a thread")]
fn explore_world(world: World, options: &Options) -> Explored {
    let start = Instant::now();
    let (name, has_nodes) = (world.name, !world.start.nodes.is_empty());
    let checker = Walk::new(world.clone(), options).checker().spawn_bfs().join();
    let record = checker.model().take_record();
    let mut discoveries = checker.discoveries();
    let mut failure = discoveries.remove(world::RULES).map(|path| Failure::of_rules(&world, path));
    let mut settling = None;
    if failure.is_none() && !record.is_cut && has_nodes {
        match record.steps.settling(world.settles_within) {
            Ok(found) => settling = Some(found),
            Err(stuck) => failure = Some(Failure::of_liveness(&world, options, &stuck)),
        }
    }
    Explored {
        world: name,
        states: checker.unique_state_count(),
        transitions: record.transitions,
        depth: checker.max_depth().saturating_sub(1),
        is_whole: record.is_whole,
        is_cut: record.is_cut,
        took: start.elapsed(),
        events: record.events,
        replies: record.replies,
        has_nodes,
        settling,
        failure,
    }
}
