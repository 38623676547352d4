//! The one generator of events. Whoever answers its questions decides what comes out: random numbers, the bytes of
//! a fuzzer, proptest, or an odometer that goes through all answers ([`State::enabled`]).

use crate::{
    event::{Event, Filter, Formatted, Mail, ReleaseReport, Report, Request, Wanted, Word},
    names::{
        Address, Computer, Connection, FRONTEND, Kind, LISTED_ELSEWHERE, Parameters, Partition, Place,
        Reference, Release, Root, Title,
    },
    state::State,
};

/// Answers questions.
pub trait Choices {
    /// A number below `count`, which is not 0.
    fn choose(&mut self, count: usize) -> usize;

    /// The place of one of `weights`, which says how often it is wanted. Who goes through all answers need not listen.
    fn choose_weighted(&mut self, weights: &[u32]) -> usize {
        self.choose(weights.len())
    }
}

/// What a world has, and what may happen in it.
#[derive(Clone, Debug, Default)]
pub struct Bounds {
    /// Computers.
    pub computers: u16,
    /// Partitions of a computer at most. Formats give it one of the sizes.
    pub sizes: Vec<u16>,
    /// Different addresses of a partition.
    pub addresses: u16,
    /// Titles.
    pub titles: u16,
    /// Releases.
    pub releases: u16,
    /// Software types; 0 stands for requests that name none.
    pub kinds: u16,
    /// Different parameters.
    pub parameters: u16,
    /// Different connection parameters, the unpublished ones included.
    pub connections: u16,
    /// Whether partitions request.
    pub children: bool,
    /// Instances at most: no other is requested before one of them is gone. 0: as many as there is room for.
    pub instances: usize,
    /// Whether shared instances are requested.
    pub shared: bool,
    /// Whether requests say where.
    pub filters: bool,
    /// Whether they say it oddly, too: a host without its computer, or on another; keys that are none.
    pub odd_filters: bool,
    /// Whether formats list any partitions in any order, not only the first ones in theirs.
    pub any_format: bool,
    /// Whether stopped and kept states are asked for.
    pub stops: bool,
    /// Whether there are releases to supply.
    pub supplies: bool,
    /// Whether instances are renamed.
    pub renames: bool,
    /// Whether there are bangs.
    pub bangs: bool,
    /// Whether anything is reported in the name of nodes, true or not.
    pub claims: bool,
    /// Whether the only thing that is claimed of an instance is that it is gone (or, where there are bangs, that it bangs).
    pub claims_gone_only: bool,
    /// Whether modelled nodes work.
    pub nodes: bool,
    /// Whether builds and promises fail, services exit, agents are killed, reports are lost.
    pub faults: bool,
    /// Reports on their way at most: no other is sent before.
    pub mail: usize,
    /// Ticks by which the clock is set back at most.
    pub clock_back: u16,
    /// Whether requests go to another master, or to a stand-in.
    pub elsewhere: bool,
    /// Whether there are local releases, which move with their directory.
    pub rebases: bool,
    /// Whether events name what does not exist, too.
    pub unknown: bool,
}

/// Kinds of events, with how often each is wanted among the others.
#[derive(Clone, Copy)]
enum Family {
    Request,
    Format,
    Look,
    Supply,
    Publish,
    Rename,
    Bang,
    BangComputer,
    Report,
    ReportRelease,
    ReportSharedError,
    ClockBack,
    Rebase,
    Build,
    Process,
    Deliver,
    Fault,
}

struct Generator<'a> {
    state: &'a State,
    bounds: &'a Bounds,
}

impl Bounds {
    /// An event that may happen in `state`, as the choices want it; none when the choices lead nowhere.
    pub fn generate(&self, state: &State, choices: &mut dyn Choices) -> Option<Event> {
        let families = self.families();
        let weights: Vec<u32> = families.iter().map(|(_, weight)| *weight).collect();
        let (family, _) = families[choices.choose_weighted(&weights)];
        let generator = Generator { state, bounds: self };
        match family {
            Family::Request => generator.request(choices),
            Family::Format => generator.format(choices),
            Family::Look => generator.look(choices),
            Family::Supply => generator.supply(choices),
            Family::Publish => generator.publish(choices),
            Family::Rename => generator.rename(choices),
            Family::Bang => generator.bang(choices),
            Family::BangComputer => generator.bang_computer(choices),
            Family::Report => generator.report(choices),
            Family::ReportRelease => generator.report_release(choices),
            Family::ReportSharedError => generator.report_shared_error(choices),
            Family::ClockBack => generator.clock_back(choices),
            Family::Rebase => generator.rebase(choices),
            Family::Build => generator.build(choices),
            Family::Process => generator.process(choices),
            Family::Deliver => generator.deliver(choices),
            Family::Fault => generator.fault(choices),
        }
    }

    fn families(&self) -> Vec<(Family, u32)> {
        let has_instances = self.titles > 0;
        let all = [
            (has_instances, Family::Request, 30),
            (!self.sizes.is_empty(), Family::Format, 3),
            (true, Family::Look, 6),
            (self.supplies, Family::Supply, 4),
            (self.connections > 1, Family::Publish, 8),
            (self.renames, Family::Rename, 4),
            (self.bangs, Family::Bang, 4),
            (self.bangs, Family::BangComputer, 1),
            (self.claims, Family::Report, 20),
            (self.claims && self.supplies, Family::ReportRelease, 4),
            (self.claims && self.shared, Family::ReportSharedError, 1),
            (self.clock_back > 0, Family::ClockBack, 1),
            (self.rebases, Family::Rebase, 4),
            (self.nodes && self.supplies, Family::Build, 10),
            (self.nodes, Family::Process, 30),
            (self.nodes, Family::Deliver, 30),
            (self.nodes && self.faults, Family::Fault, 5),
        ];
        all.into_iter()
            .filter(|(is_there, ..)| *is_there)
            .map(|(_, family, weight)| (family, weight))
            .collect()
    }
}

impl State {
    /// All events that may happen, each once, in the order of the generator's questions.
    pub fn enabled(&self, bounds: &Bounds, out: &mut Vec<Event>) {
        let mut odometer = Odometer::default();
        loop {
            out.extend(bounds.generate(self, &mut odometer));
            if !odometer.advance() {
                return;
            }
        }
    }
}

/// Goes through all answers, as a mileage counter does: the last question first.
#[derive(Default)]
struct Odometer {
    wheels: Vec<(usize, usize)>,
    at: usize,
}

impl Choices for Odometer {
    fn choose(&mut self, count: usize) -> usize {
        if self.at == self.wheels.len() {
            self.wheels.push((0, count));
        }
        self.at += 1;
        self.wheels[self.at - 1].0
    }
}

impl Odometer {
    /// Whether there is another answer.
    fn advance(&mut self) -> bool {
        self.at = 0;
        while let Some((value, count)) = self.wheels.pop() {
            if value + 1 < count {
                self.wheels.push((value + 1, count));
                return true;
            }
        }
        false
    }
}

impl Generator<'_> {
    fn request(&self, choices: &mut dyn Choices) -> Option<Event> {
        let bounds = self.bounds;
        let by = if bounds.children && choices.choose(2) == 1 { Some(self.place(choices)?) } else { None };
        let title = self.title(choices)?;
        if bounds.instances > 0 && self.state.instances.len() >= bounds.instances {
            let asker = by.and_then(|place| self.state.tenant(place)).map(|(number, _)| number);
            self.state.titled(asker.map(|number| self.state.root_of(number)), title)?;
        }
        let shared = bounds.shared && choices.choose(2) == 1;
        let release = self.release(choices)?;
        let kind = match bounds.kinds {
            0 => None,
            kinds => choices.choose(usize::from(kinds) + 1).checked_sub(1).map(|kind| Kind(kind as u16)),
        };
        let parameters = Parameters(below(choices, bounds.parameters)?);
        let filter = self.filter(choices)?;
        // The other master's own stand-ins are left out.
        if release == FRONTEND && filter == Filter::Elsewhere {
            return None;
        }
        let states = [Some(Wanted::Started), Some(Wanted::Destroyed), Some(Wanted::Stopped), None];
        let state = states[choices.choose(if bounds.stops { 4 } else { 2 })];
        Some(Event::Request(Request { by, title, shared, release, kind, parameters, filter, state }))
    }

    fn filter(&self, choices: &mut dyn Choices) -> Option<Filter> {
        const WEIGHTS: [u32; 6] = [6, 5, 4, 3, 1, 1];
        if self.bounds.elsewhere && choices.choose_weighted(&[2, 1]) == 1 {
            return Some(Filter::Elsewhere);
        }
        let kind = match (self.bounds.filters, self.bounds.odd_filters) {
            (false, _) => return Some(Filter::Anywhere),
            (true, false) => choices.choose(3),
            (true, true) => choices.choose_weighted(&WEIGHTS),
        };
        Some(match kind {
            0 => Filter::Anywhere,
            1 => Filter::Computer(self.computer(choices)?),
            2 => Filter::Host(self.place(choices)?),
            3 => {
                let on = if choices.choose(2) == 1 { Some(self.computer(choices)?) } else { None };
                Filter::Hosted { on, by: self.place(choices)? }
            }
            4 => Filter::Ignored,
            _ => Filter::Unknown,
        })
    }

    fn format(&self, choices: &mut dyn Choices) -> Option<Event> {
        let computer = Computer(below(choices, self.bounds.computers)?);
        let size = *self.bounds.sizes.get(choices.choose(self.bounds.sizes.len().max(1)))?;
        let mut left: Vec<u16> = (0..self.bounds.sizes.iter().copied().max()?).collect();
        let mut partitions = Formatted::default();
        for _ in 0..size {
            let next = if self.bounds.any_format { choices.choose(left.len()) } else { 0 };
            let address = Address(below(choices, self.bounds.addresses.max(1))?);
            partitions.insert(Partition(left.remove(next)), address);
        }
        Some(Event::Format { computer, partitions })
    }

    fn look(&self, choices: &mut dyn Choices) -> Option<Event> {
        Some(Event::Look(self.computer(choices)?))
    }

    fn supply(&self, choices: &mut dyn Choices) -> Option<Event> {
        let computer = self.computer(choices)?;
        let release = self.release(choices)?;
        Some(Event::Supply { computer, release, wanted: choices.choose(2) == 0 })
    }

    fn publish(&self, choices: &mut dyn Choices) -> Option<Event> {
        let (place, shared) = self.target(choices)?;
        let connection = Connection(below(choices, self.bounds.connections)?);
        Some(Event::Publish { place, shared, connection })
    }

    fn rename(&self, choices: &mut dyn Choices) -> Option<Event> {
        let (place, shared) = self.target(choices)?;
        Some(Event::Rename { place, shared, title: self.title(choices)? })
    }

    fn bang(&self, choices: &mut dyn Choices) -> Option<Event> {
        let (place, shared) = self.target(choices)?;
        Some(Event::Bang { place, shared })
    }

    fn bang_computer(&self, choices: &mut dyn Choices) -> Option<Event> {
        Some(Event::BangComputer(self.computer(choices)?))
    }

    fn report(&self, choices: &mut dyn Choices) -> Option<Event> {
        let place = self.place(choices)?;
        let words: &[Word] = match (self.bounds.claims_gone_only, self.bounds.bangs) {
            (true, false) => &[Word::Destroyed],
            (true, true) => &[Word::Destroyed, Word::Bang],
            (false, false) => &[Word::Destroyed, Word::Started, Word::Stopped, Word::Error],
            (false, true) => &[Word::Destroyed, Word::Started, Word::Stopped, Word::Error, Word::Bang],
        };
        let word = words[choices.choose(words.len())];
        let rank = self.state.slot(place).map_or(0, |slot| slot.rank);
        // None, the last one, one from the future, and the one before.
        let abouts = [None, Some(rank), Some(rank + 1), rank.checked_sub(1)];
        let abouts = if rank == 0 { &abouts[..3] } else { &abouts };
        Some(Event::Report(Report { place, word, about: abouts[choices.choose(abouts.len())] }))
    }

    fn report_release(&self, choices: &mut dyn Choices) -> Option<Event> {
        let computer = self.computer(choices)?;
        let release = self.release(choices)?;
        let reports = [
            ReleaseReport::Destroyed,
            ReleaseReport::Available,
            ReleaseReport::Building,
            ReleaseReport::Error,
        ];
        Some(Event::ReportRelease { computer, release, report: reports[choices.choose(reports.len())] })
    }

    fn report_shared_error(&self, choices: &mut dyn Choices) -> Option<Event> {
        let place = self.place(choices)?;
        Some(Event::ReportSharedError { place, shared: self.reference(choices, place)? })
    }

    /// A release; one that is requested elsewhere, a frontend, and local ones, too, if there are such.
    fn release(&self, choices: &mut dyn Choices) -> Option<Release> {
        let bounds = self.bounds;
        let more =
            [(bounds.elsewhere, [LISTED_ELSEWHERE, FRONTEND]), (bounds.rebases, [Release(4), Release(8)])];
        let more = more.into_iter().filter(|(is_there, _)| *is_there).flat_map(|(_, releases)| releases);
        let all: Vec<Release> = (0..bounds.releases).map(Release).chain(more).collect();
        pick(choices, &all).copied()
    }

    fn rebase(&self, choices: &mut dyn Choices) -> Option<Event> {
        Some(Event::Rebase(choices.choose(3).checked_sub(1).map(|number| Root(number as u16))))
    }

    fn clock_back(&self, choices: &mut dyn Choices) -> Option<Event> {
        Some(Event::ClockBack(below(choices, self.bounds.clock_back)? + 1))
    }

    fn build(&self, choices: &mut dyn Choices) -> Option<Event> {
        let computer = self.node(choices)?;
        let view = self.state.nodes[&computer].view.as_ref()?;
        let releases: Vec<&Release> = view.supplies.keys().collect();
        let release = **pick(choices, &releases)?;
        let succeeds = !self.bounds.faults || choices.choose(2) == 0;
        self.has_room_for_mail().then_some(Event::Build { computer, release, succeeds })
    }

    fn process(&self, choices: &mut dyn Choices) -> Option<Event> {
        let computer = self.node(choices)?;
        let view = self.state.nodes[&computer].view.as_ref()?;
        let partitions: Vec<&Partition> = view
            .partitions
            .iter()
            .filter(|(_, seen)| seen.is_some())
            .map(|(partition, _)| partition)
            .collect();
        let place = Place { computer, partition: **pick(choices, &partitions)? };
        let event = if choices.choose(2) == 0 { Event::Process(place) } else { Event::Check(place) };
        self.has_room_for_mail().then_some(event)
    }

    fn has_room_for_mail(&self) -> bool {
        self.state.mail.len() < self.bounds.mail
    }

    fn deliver(&self, choices: &mut dyn Choices) -> Option<Event> {
        let mails: Vec<&Mail> = self.state.mail.iter().collect();
        let mail = **pick(choices, &mails)?;
        Some(match choices.choose(if self.bounds.faults { 3 } else { 1 }) {
            0 => Event::Deliver(mail),
            1 => Event::LoseAnswer(mail),
            _ => Event::Drop(mail),
        })
    }

    fn fault(&self, choices: &mut dyn Choices) -> Option<Event> {
        let computer = self.node(choices)?;
        let what = choices.choose(4);
        match what {
            0 => return Some(Event::KillAgent(computer)),
            1 => return Some(Event::Reboot(computer)),
            _ => {}
        }
        let partitions: Vec<&Partition> = self.state.nodes[&computer].deployed.keys().collect();
        let place = Place { computer, partition: **pick(choices, &partitions)? };
        Some(if what == 2 {
            Event::ServiceExits(place)
        } else {
            Event::PromiseTurns { place, passes: choices.choose(2) == 1 }
        })
    }

    fn node(&self, choices: &mut dyn Choices) -> Option<Computer> {
        let nodes: Vec<&Computer> = self.state.nodes.keys().collect();
        pick(choices, &nodes).map(|computer| **computer)
    }

    fn computer(&self, choices: &mut dyn Choices) -> Option<Computer> {
        let computer = Computer(below(choices, self.bounds.computers)?);
        (self.bounds.unknown || self.state.knows(computer)).then_some(computer)
    }

    fn title(&self, choices: &mut dyn Choices) -> Option<Title> {
        below(choices, self.bounds.titles).map(Title)
    }

    fn place(&self, choices: &mut dyn Choices) -> Option<Place> {
        let has_none = self.state.computers.values().all(|it| it.partitions.is_empty());
        if self.bounds.unknown && (has_none || choices.choose_weighted(&[7, 1]) == 1) {
            let computer = Computer(below(choices, self.bounds.computers)?);
            let partition = Partition(below(choices, self.bounds.sizes.iter().copied().max()?)?);
            let place = Place { computer, partition };
            return self.state.slot(place).is_none().then_some(place);
        }
        let places: Vec<Place> = self
            .state
            .computers
            .iter()
            .flat_map(|(computer, registered)| {
                registered
                    .partitions
                    .keys()
                    .map(|partition| Place { computer: *computer, partition: *partition })
            })
            .collect();
        // Not much can happen to a free partition.
        pick_likely(choices, &places, |place| self.state.tenant(*place).is_some())
    }

    /// The instance in a partition, or a shared one; which may be hosted elsewhere.
    fn target(&self, choices: &mut dyn Choices) -> Option<(Place, Option<Reference>)> {
        let place = self.place(choices)?;
        let of_shared = self.bounds.shared && choices.choose(2) == 1;
        Some((place, if of_shared { Some(self.reference(choices, place)?) } else { None }))
    }

    fn reference(&self, choices: &mut dyn Choices, place: Place) -> Option<Reference> {
        let references: Vec<Reference> = self
            .state
            .instances
            .values()
            .filter_map(|instance| instance.shared)
            .map(|it| it.reference)
            .collect();
        if self.bounds.unknown && choices.choose_weighted(&[7, 1]) == 1 {
            let unknown = Reference { root: None, title: self.title(choices)? };
            return (!references.contains(&unknown)).then_some(unknown);
        }
        pick_likely(choices, &references, |reference| self.state.shared_at(place, *reference).is_some())
    }
}

fn pick<'a, T>(choices: &mut dyn Choices, from: &'a [T]) -> Option<&'a T> {
    if from.is_empty() { None } else { from.get(choices.choose(from.len())) }
}

/// One of them; those that are likely, more often.
fn pick_likely<T: Copy>(choices: &mut dyn Choices, from: &[T], is_likely: impl Fn(&T) -> bool) -> Option<T> {
    if from.is_empty() {
        return None;
    }
    let weights: Vec<u32> = from.iter().map(|it| if is_likely(it) { 6 } else { 1 }).collect();
    from.get(choices.choose_weighted(&weights)).copied()
}

fn below(choices: &mut dyn Choices, count: u16) -> Option<u16> {
    if count == 0 { None } else { u16::try_from(choices.choose(count.into())).ok() }
}
