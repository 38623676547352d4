//! What clients ask: a seeded mixture. A client remembers what it saw, and acts on it as users and nodes do.

use super::history::{Action, Answer, Outcome, Seen, Value, Wish};
use crate::world::random::Random;
use slap_model::{
    event::Wanted,
    names::{Computer, Partition, Place, Release, Title},
};
use std::collections::{BTreeMap, BTreeSet};

/// The names that a mixture draws from, and how often it does what.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    /// The computers.
    pub(super) computers: Vec<Computer>,
    /// Partitions of each.
    pub(super) partitions: u16,
    /// Formats have at least so many.
    pub(super) partitions_min: u16,
    /// Titles of what users request; children and shared ones have those that follow.
    pub(super) roots: u16,
    /// Titles of children.
    pub(super) children: u16,
    /// Titles of shared instances.
    pub(super) shared: u16,
    /// Values of one client: more than it has operations.
    pub(super) values: Value,
    /// Whether reports tell their timestamp.
    pub(super) dated: bool,
    /// Whether a request may leave the computer open.
    pub(super) anywhere: bool,
    /// How often what is done.
    pub(super) weights: &'static [(Kind, u64)],
}

/// What a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// A user asks for something.
    Request,
    /// A client asks for what it asked for before.
    Repeat,
    /// An instance asks for a child.
    Child,
    /// A user asks for a shared instance.
    Shared,
    /// A node reports what is to be destroyed as gone.
    Free,
    /// Somebody reports any partition as gone.
    FreeAny,
    /// A node reports an instance as started.
    Start,
    Format,
    Rename,
    Publish,
    /// A node reads, unconditionally.
    Read,
    /// A node reads if something changed.
    Poll,
    ReadPartition,
}

/// One client's mixture.
pub(super) struct Mixture {
    shape: Shape,
    random: Random,
    client: u32,
    drawn: Value,
    wishes: Vec<Wish>,
    seen: BTreeMap<Place, Seen>,
    tags: BTreeMap<Computer, String>,
}

/// Wishes that a client remembers.
const WISHES_MAX: usize = 8;

impl Mixture {
    pub(super) fn new(shape: &Shape, random: Random, client: u32) -> Mixture {
        let (wishes, seen, tags) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        Mixture { shape: shape.clone(), random, client, drawn: 0, wishes, seen, tags }
    }

    /// What the client does next.
    pub(super) fn next(&mut self) -> Action {
        let kind = self.kind();
        self.action(kind).unwrap_or_else(|| {
            let wish = self.wish();
            self.ask(wish)
        })
    }

    /// The client gets to know what came of it.
    pub(super) fn learn(&mut self, action: &Action, outcome: &Outcome) {
        let Outcome::Answer(answer) = outcome else { return };
        match (action, answer) {
            (Action::Request(wish), Answer::Given(given)) if !wish.shared => {
                self.seen.extend(given.place.map(|place| (place, given.seen.clone())));
            }
            (Action::Read { computer, .. }, Answer::View(view)) => {
                self.tags.insert(*computer, view.tag.clone());
                self.seen.retain(|place, _| place.computer != *computer);
                for (partition, seen) in &view.partitions {
                    let place = Place { computer: *computer, partition: *partition };
                    self.seen.extend(seen.clone().map(|seen| (place, seen)));
                }
            }
            (Action::Destroyed { place, .. }, Answer::Done) => {
                self.seen.remove(place);
            }
            _ => {}
        }
    }

    fn kind(&mut self) -> Kind {
        let sum = self.shape.weights.iter().map(|(_, weight)| weight).sum();
        let mut drawn = self.random.below(sum);
        for (kind, weight) in self.shape.weights {
            match drawn.checked_sub(*weight) {
                Some(rest) => drawn = rest,
                None => return *kind,
            }
        }
        Kind::Request
    }

    /// None where the client has seen nothing that it could act on.
    fn action(&mut self, kind: Kind) -> Option<Action> {
        Some(match kind {
            Kind::Request => {
                let wish = self.wish();
                self.ask(wish)
            }
            Kind::Repeat => {
                let place = self.below(self.wishes.len())?;
                Action::Request(self.wishes[place].clone())
            }
            Kind::Child => {
                let (by, _) = self.one(|seen| seen.state != Wanted::Destroyed)?;
                let title = self.shape.roots + self.number(self.shape.children)?;
                let wish = Wish { by: Some(by), title: Title(title), ..self.wish() };
                self.ask(wish)
            }
            Kind::Shared => {
                let title = self.shape.roots + self.shape.children + self.number(self.shape.shared)?;
                let wish = Wish { title: Title(title), shared: true, ..self.wish() };
                self.ask(wish)
            }
            Kind::Free => {
                let (place, seen) = self.one(|seen| seen.state == Wanted::Destroyed)?;
                let about = seen.timestamp.filter(|_| self.shape.dated && self.random.below(4) > 0);
                Action::Destroyed { place, about }
            }
            Kind::FreeAny => Action::Destroyed { place: self.place()?, about: None },
            Kind::Start => {
                let (place, seen) = self.one(|seen| seen.state == Wanted::Started)?;
                Action::Started { place, about: seen.timestamp }
            }
            Kind::Format => {
                let few = self.number(self.shape.partitions - self.shape.partitions_min + 1)?;
                let mut partitions: BTreeSet<Partition> = (0..self.shape.partitions).map(Partition).collect();
                for _ in 0..few {
                    partitions.remove(&Partition(self.number(self.shape.partitions)?));
                }
                Action::Format { computer: self.computer()?, partitions }
            }
            Kind::Rename => {
                let (place, seen) = self.one(|_| true)?;
                let is_root = seen.title.0 < self.shape.roots;
                let title = match is_root {
                    true => self.number(self.shape.roots)?,
                    false => self.shape.roots + self.number(self.shape.children)?,
                };
                Action::Rename { place, title: Title(title) }
            }
            Kind::Publish => {
                let (place, _) = self.one(|_| true)?;
                Action::Publish { place, connection: self.value() }
            }
            Kind::Read => Action::Read { computer: self.computer()?, tag: None },
            Kind::Poll => {
                let computer = self.computer()?;
                Action::Read { computer, tag: self.tags.get(&computer).cloned() }
            }
            Kind::ReadPartition => Action::ReadPartition { place: self.place()? },
        })
    }

    /// A user's wish, with a value that nobody else wishes.
    fn wish(&mut self) -> Wish {
        let title = Title(self.number(self.shape.roots).unwrap_or(0));
        let release = Release(self.number(2).unwrap_or(0));
        let is_anywhere = self.shape.anywhere && self.random.below(2) == 0;
        let computer = self.computer().filter(|_| !is_anywhere);
        let state = match self.random.below(10) {
            0 | 1 => None,
            2..6 => Some(Wanted::Started),
            6 => Some(Wanted::Stopped),
            _ => Some(Wanted::Destroyed),
        };
        Wish { by: None, title, shared: false, release, parameters: self.value(), computer, state }
    }

    fn ask(&mut self, wish: Wish) -> Action {
        if self.wishes.len() == WISHES_MAX {
            self.wishes.remove(0);
        }
        self.wishes.push(wish.clone());
        Action::Request(wish)
    }

    /// One of the instances that the client has seen.
    fn one(&mut self, is_it: impl Fn(&Seen) -> bool) -> Option<(Place, Seen)> {
        let found: Vec<(Place, Seen)> = self
            .seen
            .iter()
            .filter(|(_, seen)| is_it(seen))
            .map(|(place, seen)| (*place, seen.clone()))
            .collect();
        let index = self.below(found.len())?;
        Some(found[index].clone())
    }

    fn value(&mut self) -> Value {
        self.drawn += 1;
        self.client * self.shape.values + self.drawn
    }

    fn place(&mut self) -> Option<Place> {
        Some(Place { computer: self.computer()?, partition: Partition(self.number(self.shape.partitions)?) })
    }

    fn computer(&mut self) -> Option<Computer> {
        let index = self.below(self.shape.computers.len())?;
        Some(self.shape.computers[index])
    }

    fn below(&mut self, bound: usize) -> Option<usize> {
        (bound > 0).then(|| self.random.below(bound as u64) as usize)
    }

    fn number(&mut self, bound: u16) -> Option<u16> {
        self.below(bound.into()).map(|number| number as u16)
    }
}
