//! Named small worlds. Each is finite once [`State::canonical`] has made timestamps dense, so that all of it can be explored.

use crate::{
    Bounds, Event, State,
    event::{Mail, ReleaseReport},
    names::*,
};

/// A small world: where it starts, and what may happen in it.
#[derive(Clone, Debug)]
pub struct World {
    /// Its name.
    pub name: &'static str,
    /// What it is about.
    pub about: &'static str,
    /// The events that lead from a master that knows nothing to where it starts.
    pub opening: Vec<Event>,
    /// Where it starts.
    pub start: State,
    /// What may happen.
    pub bounds: Bounds,
    /// Events of users and faults on a path at most, for worlds that are too large to be explored wholly.
    pub depth: Option<usize>,
    /// Steps that the cloud takes at most until it has settled, once users and faults stop; for worlds with nodes.
    pub settles_within: usize,
}

impl World {
    fn new(name: &'static str, about: &'static str, bounds: Bounds) -> World {
        World {
            name,
            about,
            opening: Vec::new(),
            start: State::default(),
            bounds,
            depth: None,
            settles_within: 0,
        }
    }

    /// With nodes that work, and settle within so many steps.
    fn with_nodes(mut self, nodes: u16, settles_within: usize) -> World {
        self.start = State::new((0..nodes).map(Computer));
        self.settles_within = settles_within;
        self
    }

    /// Begins with a computer that has so many partitions.
    fn formatted(self, computer: u16, partitions: u16) -> World {
        let partitions = (0..partitions).map(|at| (Partition(at), Address(0))).collect();
        self.after(Event::Format { computer: Computer(computer), partitions })
    }

    /// Begins after an event.
    fn after(mut self, event: Event) -> World {
        self.start.step(&event);
        self.opening.push(event);
        self
    }

    /// Begins with a release that was supplied, built and reported.
    fn built(self, computer: u16, release: u16) -> World {
        let (computer, release) = (Computer(computer), Release(release));
        let report = Mail::Release { computer, release, report: ReleaseReport::Available };
        self.after(Event::Supply { computer, release, wanted: true })
            .after(Event::Look(computer))
            .after(Event::Build { computer, release, succeeds: true })
            .after(Event::Deliver(report))
    }
}

/// The worlds that are explored wholly.
pub fn worlds() -> Vec<World> {
    vec![
        allocation(),
        tree(),
        shared(),
        titles(),
        stale_view(),
        node_crash(),
        tree_on_a_node(),
        hosts_on_a_node(),
        elsewhere(),
        moved_releases(),
    ]
}

/// Larger worlds, each explored as deep as it says.
pub fn larger() -> Vec<World> {
    let deep = |name, world: World, depth| World { name, depth: Some(depth), ..world };
    let wide = |world: World| {
        let bounds = Bounds { titles: 3, instances: 0, stops: true, claims_gone_only: false, ..world.bounds };
        World { bounds, ..world }
    };
    let mail = |world: World| World { bounds: Bounds { titles: 2, mail: 3, ..world.bounds }, ..world };
    let crash = Bounds { titles: 2, stops: true, ..node_crash().bounds };
    let many = Bounds { sizes: vec![2, 1, 0], ..allocation().bounds };
    vec![
        deep("larger allocation", World { bounds: many, ..allocation() }, 6),
        deep("larger tree", wide(tree()), 5),
        deep("larger shared", wide(shared()), 4),
        deep("larger rename and bang", wide(titles()), 6),
        deep("larger stale view", World { settles_within: 40, ..mail(stale_view()) }, 14),
        deep("larger node crash", World { bounds: crash, ..node_crash() }, 16),
        deep("trees on a node", trees_on_a_node(), 6),
    ]
}

/// All that can happen, in one world that is too large to be explored: for random lists of events.
pub fn everything() -> World {
    let bounds = Bounds {
        computers: 3,
        sizes: vec![3, 2, 1, 0],
        addresses: 3,
        titles: 4,
        releases: 2,
        kinds: 2,
        parameters: 2,
        connections: 3,
        children: true,
        shared: true,
        filters: true,
        odd_filters: true,
        any_format: true,
        stops: true,
        supplies: true,
        renames: true,
        bangs: true,
        claims: true,
        clock_back: 3,
        unknown: true,
        ..Bounds::default()
    };
    World::new("everything", "all that a master is asked", bounds).formatted(0, 3)
}

/// As [`everything`], but from the beginning: the default computer is known, and nothing else.
pub fn everything_from_nothing() -> World {
    World::new(
        "everything from nothing",
        "all that a master is asked before it knows anything",
        everything().bounds,
    )
}

/// As [`everything`], with another master, stand-ins and local releases that move.
pub fn everything_elsewhere() -> World {
    let bounds = Bounds { elsewhere: true, rebases: true, ..everything().bounds };
    let about = "all that a master is asked, some of which it asks another one";
    World::new("everything elsewhere", about, bounds).formatted(0, 3)
}

/// Two computers with partitions of one name, whose instances want the same titles at another master: for random lists of events.
pub fn titles_elsewhere() -> World {
    let bounds = Bounds {
        computers: 2,
        sizes: vec![1],
        titles: 3,
        children: true,
        stops: true,
        elsewhere: true,
        ..small()
    };
    let about = "who has which title at another master";
    World::new("titles elsewhere", about, bounds).formatted(0, 1).formatted(1, 1)
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
        any_format: false,
        odd_filters: false,
        ..bounds
    };
    let world = World::new("everything with nodes", "master and nodes together", bounds);
    world.with_nodes(2, 100).formatted(0, 2).formatted(1, 2)
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
        clock_back: 1,
        unknown: true,
        ..small()
    };
    World::new("allocation", "who gets which partition", bounds)
}

fn tree() -> World {
    let bounds = Bounds {
        titles: 4,
        children: true,
        stops: true,
        claims: true,
        claims_gone_only: true,
        supplies: true,
        ..small()
    };
    World::new("tree", "roots and children, stopped and destroyed", bounds).formatted(0, 3)
}

fn shared() -> World {
    let bounds = Bounds {
        titles: 2,
        releases: 2,
        instances: 3,
        connections: 2,
        children: true,
        shared: true,
        stops: true,
        claims: true,
        claims_gone_only: true,
        filters: true,
        ..small()
    };
    World::new("shared", "shared instances and their hosts", bounds).formatted(0, 2)
}

fn titles() -> World {
    let bounds = Bounds {
        titles: 3,
        instances: 3,
        children: true,
        shared: true,
        renames: true,
        bangs: true,
        claims: true,
        claims_gone_only: true,
        unknown: true,
        sizes: vec![2],
        ..small()
    };
    World::new("rename and bang", "who is called how, and who is woken", bounds).formatted(0, 2)
}

fn elsewhere() -> World {
    let bounds =
        Bounds { parameters: 2, children: true, shared: true, instances: 2, elsewhere: true, ..small() };
    let about = "what another master has, and stand-ins";
    World::new("elsewhere", about, bounds).formatted(0, 1)
}

fn moved_releases() -> World {
    let bounds = Bounds { titles: 2, rebases: true, supplies: true, ..small() };
    let about = "local releases that move with their directory";
    World::new("moved releases", about, bounds).formatted(0, 1)
}

fn stale_view() -> World {
    let bounds = Bounds { supplies: true, stops: true, nodes: true, mail: 2, ..small() };
    World::new("stale view", "a node acts on what it saw", bounds).with_nodes(1, 25).formatted(0, 1)
}

/// One report on its way at a time: of two on the same object the older may arrive last, when its answer is lost, and is kept, because reports
/// say of which timestamp they are, but not which of them is newer.
fn node_crash() -> World {
    let bounds = Bounds { supplies: true, nodes: true, faults: true, mail: 1, ..small() };
    let about = "builds, services, agents and reports that fail";
    World::new("node crash", about, bounds).with_nodes(1, 25).formatted(0, 1)
}

fn tree_on_a_node() -> World {
    let bounds =
        Bounds { titles: 2, instances: 2, children: true, stops: true, nodes: true, mail: 1, ..small() };
    let about = "a root that waits for its child, with the node that both are on";
    World::new("tree on a node", about, bounds).with_nodes(1, 20).formatted(0, 2).built(0, 0)
}

fn hosts_on_a_node() -> World {
    let bounds =
        Bounds { titles: 2, instances: 3, children: true, shared: true, nodes: true, mail: 1, ..small() };
    let about =
        "roots, children, hosts and shared instances that come and go, with the node that they are on";
    World::new("hosts on a node", about, bounds).with_nodes(1, 20).formatted(0, 2).built(0, 0)
}

fn trees_on_a_node() -> World {
    let bounds = Bounds {
        titles: 2,
        connections: 2,
        children: true,
        shared: true,
        stops: true,
        bangs: true,
        renames: true,
        supplies: true,
        nodes: true,
        mail: 2,
        ..small()
    };
    let about = "a root that waits for its children, and hosts, with the node that they are on";
    World::new("trees on a node", about, bounds).with_nodes(1, 60).formatted(0, 2)
}
