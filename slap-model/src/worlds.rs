//! Named small worlds. Each is finite once [`State::canonical`] has made timestamps dense, so that all of it can be explored.

use crate::{Bounds, Event, State, names::*};
use std::collections::BTreeMap;

/// A small world: where it starts, and what may happen in it.
#[derive(Clone, Debug)]
pub struct World {
    /// Its name.
    pub name: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// Where it starts.
    pub start: State,
    /// What may happen.
    pub bounds: Bounds,
}

/// The worlds that are explored wholly.
pub fn worlds() -> Vec<World> {
    vec![allocation(), tree(), shared(), titles(), stale_view(), node_crash()]
}

/// All that can happen, in one world that is too large to be explored: for random lists of events.
pub fn everything() -> World {
    let bounds = Bounds {
        computers: 3,
        sizes: vec![3, 2, 1, 0],
        addresses: 2,
        titles: 4,
        releases: 2,
        kinds: 2,
        parameters: 2,
        connections: 3,
        children: true,
        shared: true,
        filters: true,
        stops: true,
        supplies: true,
        renames: true,
        bangs: true,
        claims: true,
        clock_back: 3,
        unknown: true,
        ..Bounds::default()
    };
    let mut start = State::new([]);
    format(&mut start, 0, 3);
    World { name: "everything", about: "all that a master is asked", start, bounds }
}

/// As [`everything`], with nodes that work, and fail.
pub fn everything_with_nodes() -> World {
    let World { bounds, .. } = everything();
    let bounds = Bounds {
        claims: false,
        clock_back: 0,
        computers: 2,
        nodes: true,
        faults: true,
        mail: 6,
        sizes: vec![2, 3],
        ..bounds
    };
    let mut start = State::new([Computer(0), Computer(1)]);
    format(&mut start, 0, 2);
    format(&mut start, 1, 2);
    World { name: "everything with nodes", about: "master and nodes together", start, bounds }
}

fn format(state: &mut State, computer: u8, partitions: u8) {
    let partitions: BTreeMap<_, _> = (0..partitions).map(|at| (Partition(at), Address(0))).collect();
    state.step(&Event::Format { computer: Computer(computer), partitions });
}

/// The least in which an instance can be.
fn small() -> Bounds {
    Bounds { computers: 1, titles: 1, releases: 1, parameters: 1, ..Bounds::default() }
}

fn allocation() -> World {
    let bounds = Bounds {
        computers: 2,
        sizes: vec![1, 0],
        titles: 2,
        addresses: 2,
        filters: true,
        claims: true,
        unknown: true,
        ..small()
    };
    World { name: "allocation", about: "who gets which partition", start: State::new([]), bounds }
}

fn tree() -> World {
    let mut start = State::new([]);
    format(&mut start, 0, 3);
    let bounds = Bounds { titles: 3, children: true, stops: true, claims: true, connections: 2, ..small() };
    World { name: "tree", about: "roots and children, stopped and destroyed", start, bounds }
}

fn shared() -> World {
    let mut start = State::new([]);
    format(&mut start, 0, 2);
    let bounds = Bounds {
        titles: 2,
        children: true,
        shared: true,
        stops: true,
        claims: true,
        filters: true,
        ..small()
    };
    World { name: "shared", about: "shared instances and their hosts", start, bounds }
}

fn titles() -> World {
    let mut start = State::new([]);
    format(&mut start, 0, 2);
    let bounds = Bounds {
        titles: 3,
        children: true,
        shared: true,
        renames: true,
        bangs: true,
        claims: true,
        ..small()
    };
    World { name: "rename and bang", about: "who is called how, and who is woken", start, bounds }
}

fn stale_view() -> World {
    let mut start = State::new([Computer(0)]);
    format(&mut start, 0, 1);
    let bounds = Bounds { titles: 2, supplies: true, stops: true, nodes: true, mail: 2, ..small() };
    World { name: "stale view", about: "a node acts on what it saw", start, bounds }
}

fn node_crash() -> World {
    let mut start = State::new([Computer(0)]);
    format(&mut start, 0, 1);
    let bounds = Bounds { supplies: true, nodes: true, faults: true, mail: 2, ..small() };
    World { name: "node crash", about: "builds, services, agents and reports that fail", start, bounds }
}
