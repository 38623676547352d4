//! What there is: at the master, on the nodes, and on the way between them.

use crate::{
    event::{Mail, ReleaseReport, Wanted, Word, data},
    names::{
        Address, Computer, Connection, DEFAULT_COMPUTER, Kind, Number, Parameters, Partition, Place, Rank,
        Reference, Release, Root, Title,
    },
    reply::Entry,
};
use std::collections::{BTreeMap, BTreeSet};

data! {
    /// A cloud.
    #[derive(Default)]
    pub struct State {
        /// The master's clock.
        pub now: Rank,
        /// The computers that the master knows.
        pub computers: BTreeMap<Computer, Registered>,
        /// The instances of the master.
        pub instances: BTreeMap<Number, Instance>,
        /// The nodes that are modelled; the others are only what is reported in their name.
        pub nodes: BTreeMap<Computer, Node>,
        /// Reports on their way.
        pub mail: BTreeSet<Mail>,
        /// The other master, once it was asked for something.
        pub elsewhere: Option<Box<State>>,
        /// What it gave, by the title there, with who has it here; none for a user.
        pub forwarded: BTreeMap<Title, Option<Place>>,
        /// The directory of local releases, as of the last start.
        pub root: Option<Root>,
    }

    /// What the master knows of a computer.
    #[derive(Default)]
    pub struct Registered {
        /// Its partitions.
        pub partitions: BTreeMap<Partition, Slot>,
        /// The releases that were asked for.
        pub supplies: BTreeMap<Release, Supplied>,
        /// Whether the last that it said of itself was a bang.
        pub banged: bool,
        /// The latest timestamp of a partition that was dropped: what comes back under its name is later.
        pub floor: Rank,
    }

    /// A partition, as the master keeps it.
    pub struct Slot {
        /// Whether the last format had it. Only such a partition is given to somebody.
        pub listed: bool,
        /// Its place in that format, from 0; 0 if that had it not.
        pub position: u8,
        /// Its addresses.
        pub address: Address,
        /// When it had to be processed again last.
        pub rank: Rank,
        /// The last report on the instance in it.
        pub status: Option<Status>,
    }

    /// A report, as the master keeps it.
    #[derive(Copy)]
    pub struct Status {
        /// The timestamp that it is about.
        pub about: Rank,
        /// What it says.
        pub word: Word,
    }

    /// A release on a computer.
    #[derive(Copy)]
    pub struct Supplied {
        /// There, or gone.
        pub wanted: bool,
        /// The last report.
        pub status: Option<ReleaseReport>,
    }

    /// An instance, as the master keeps it.
    pub struct Instance {
        /// Its title.
        pub title: Title,
        /// The root of its tree; none for a root.
        pub root: Option<Number>,
        /// Who requested it last; none for a root.
        pub requester: Option<Number>,
        /// Its release.
        pub release: Release,
        /// Its type.
        pub kind: Kind,
        /// Its parameters.
        pub parameters: Parameters,
        /// What it published.
        pub connection: Connection,
        /// What is wanted.
        pub state: Wanted,
        /// Its partition, unless it is shared.
        pub place: Option<Place>,
        /// What makes it a shared one.
        pub shared: Option<Shared>,
    }

    /// What only a shared instance has.
    #[derive(Copy)]
    pub struct Shared {
        /// Its name for its host.
        pub reference: Reference,
        /// Its host; none when that was freed.
        pub host: Option<Number>,
        /// The last report on it: an error, or a bang.
        pub status: Option<Word>,
    }

    /// A node.
    #[derive(Default)]
    pub struct Node {
        /// What its agent saw last.
        pub view: Option<View>,
        /// Releases that are built, or could not be.
        pub built: BTreeMap<Release, bool>,
        /// What its agent told of its releases; nothing while an answer is missing.
        pub told_of_releases: BTreeMap<Release, ReleaseReport>,
        /// What its agent told of its partitions last, and of which timestamp; nothing while an answer is missing.
        pub told: BTreeMap<Partition, (Rank, Word)>,
        /// What is in its partitions.
        pub deployed: BTreeMap<Partition, Deployed>,
    }

    /// What is in a partition of a node.
    #[derive(Copy)]
    pub struct Deployed {
        /// The timestamp that was processed.
        pub rank: Rank,
        /// Whether its services shall run.
        pub started: bool,
        /// How many times its services run.
        pub services: u8,
        /// Whether its promises pass.
        pub passes: bool,
    }

    /// What a node sees (`getFullComputerInformation`).
    #[derive(Default)]
    pub struct View {
        /// Its releases: wanted or not.
        pub supplies: BTreeMap<Release, bool>,
        /// Its partitions; none is a free one.
        pub partitions: BTreeMap<Partition, Option<Seen>>,
    }

    /// An instance, as its node sees it.
    pub struct Seen {
        /// Its title.
        pub title: Title,
        /// The title of its root, which may be itself.
        pub root: Title,
        /// What is wanted.
        pub state: Wanted,
        /// Its release.
        pub release: Release,
        /// Its type.
        pub kind: Kind,
        /// Its parameters.
        pub parameters: Parameters,
        /// What it published.
        pub connection: Connection,
        /// The shared instances that it hosts, in the order of their references.
        pub shared: BTreeSet<Entry>,
        /// The addresses of its partition.
        pub address: Address,
        /// When it had to be processed again last.
        pub rank: Rank,
    }
}

impl Registered {
    /// Its partitions in the order in which they are looked at: that of the last format, then those that it had not, by name.
    pub fn ordered(&self) -> Vec<Partition> {
        let mut order: Vec<(bool, u8, Partition)> =
            self.partitions.iter().map(|(name, slot)| (!slot.listed, slot.position, *name)).collect();
        order.sort_unstable();
        order.into_iter().map(|(.., name)| name).collect()
    }

    /// Forgets a partition, but not that its timestamps were used.
    pub(crate) fn drop_partition(&mut self, partition: Partition) {
        if let Some(slot) = self.partitions.remove(&partition) {
            self.floor = self.floor.max(slot.rank);
        }
    }
}

impl State {
    /// A master without computers, and these nodes.
    pub fn new(nodes: impl IntoIterator<Item = Computer>) -> State {
        let nodes = nodes.into_iter().map(|computer| (computer, Node::default())).collect();
        State { nodes, ..State::default() }
    }

    /// Whether the master knows a computer.
    pub fn knows(&self, computer: Computer) -> bool {
        computer == DEFAULT_COMPUTER || self.computers.contains_key(&computer)
    }

    /// A partition.
    pub fn slot(&self, place: Place) -> Option<&Slot> {
        self.computers.get(&place.computer)?.partitions.get(&place.partition)
    }

    /// The instance in a partition.
    pub fn tenant(&self, place: Place) -> Option<(Number, &Instance)> {
        let mut tenants = self.instances.iter().filter(|(_, instance)| instance.place == Some(place));
        tenants.next().map(|(number, instance)| (*number, instance))
    }

    /// The shared instance of that reference in a partition's host.
    pub fn shared_at(&self, place: Place, reference: Reference) -> Option<Number> {
        let (host, _) = self.tenant(place)?;
        let is_it = |shared: &Shared| shared.reference == reference && shared.host == Some(host);
        self.instances
            .iter()
            .find(|(_, instance)| instance.shared.as_ref().is_some_and(is_it))
            .map(|(number, _)| *number)
    }

    /// The instance of that title below that root, or the root of that title.
    pub fn titled(&self, root: Option<Number>, title: Title) -> Option<Number> {
        let found =
            self.instances.iter().find(|(_, instance)| instance.root == root && instance.title == title);
        found.map(|(number, _)| *number)
    }

    /// The root of an instance's tree, which may be itself.
    pub fn root_of(&self, number: Number) -> Number {
        self.instances[&number].root.unwrap_or(number)
    }

    /// The numbers of a root and of everything below it.
    pub fn tree(&self, root: Number) -> Vec<Number> {
        let is_in =
            |(number, instance): &(&Number, &Instance)| **number == root || instance.root == Some(root);
        self.instances.iter().filter(is_in).map(|(number, _)| *number).collect()
    }

    /// The shared instances that a host is told of.
    pub fn entries(&self, host: Number) -> BTreeSet<Entry> {
        let entry = |instance: &Instance| {
            let shared = instance.shared.as_ref()?;
            let is_listed = shared.host == Some(host) && instance.state == Wanted::Started;
            is_listed.then_some(Entry {
                reference: shared.reference,
                kind: instance.kind,
                parameters: instance.parameters,
            })
        };
        self.instances.values().filter_map(entry).collect()
    }

    /// What a node sees of itself.
    pub fn view(&self, computer: Computer) -> View {
        let Some(registered) = self.computers.get(&computer) else { return View::default() };
        let supplies =
            registered.supplies.iter().map(|(release, supply)| (*release, supply.wanted)).collect();
        let mut view = View { supplies, partitions: BTreeMap::new() };
        for (partition, slot) in &registered.partitions {
            let seen =
                self.tenant(Place { computer, partition: *partition }).map(|(number, instance)| Seen {
                    title: instance.title,
                    root: self.instances.get(&self.root_of(number)).map_or(instance.title, |root| root.title),
                    state: instance.state,
                    release: instance.release,
                    kind: instance.kind,
                    parameters: instance.parameters,
                    connection: instance.connection,
                    shared: self.entries(number),
                    address: slot.address,
                    rank: slot.rank,
                });
            view.partitions.insert(*partition, seen);
        }
        view
    }
}
