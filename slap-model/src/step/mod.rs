//! What an event does.
//!
//! * `request`: an instance is asked for: new, known, by a partition, shared
//! * `elsewhere`: what another master answers, stand-ins, and releases that move
//! * `tree`: what a root does to its tree, and how an instance goes
//! * `tell`: what is reported, published, banged, renamed
//! * `place`: formats and supplies
//! * `node`: what nodes do by themselves, and what happens to them
//!
//! Every refusal is found before anything is changed.

mod elsewhere;
mod node;
mod place;
mod request;
mod tell;
mod tree;

use crate::{
    decisions::Decision,
    event::{Event, Request},
    names::{Computer, Number, Place},
    reply::{Refusal, Reply},
    state::{Instance, Registered, State},
};
use std::collections::BTreeSet;

/// What came of an event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// The answer.
    pub reply: Reply,
    /// The decisions that were used: slapproxy would have done otherwise.
    pub decisions: BTreeSet<Decision>,
}

type Answer = Result<Reply, Refusal>;

impl State {
    /// Does what an event does.
    pub fn step(&mut self, event: &Event) -> Reply {
        self.step_explained(event).reply
    }

    /// A request that another master passed on: whatever its release, this one answers it.
    fn step_at_home(&mut self, request: &Request) -> Reply {
        let mut desk = Desk { state: self, renewed: BTreeSet::new(), decisions: BTreeSet::new() };
        let reply = desk.request_here(request).unwrap_or_else(Reply::Refused);
        desk.close(reply).1
    }

    /// As [`State::step`], and tells which decisions were used.
    pub fn step_explained(&mut self, event: &Event) -> Step {
        let mut desk = Desk { state: self, renewed: BTreeSet::new(), decisions: BTreeSet::new() };
        let reply = desk.act(event).unwrap_or_else(Reply::Refused);
        let (decisions, reply) = desk.close(reply);
        Step { reply, decisions }
    }
}

/// Where one event is dealt with.
struct Desk<'a> {
    state: &'a mut State,
    renewed: BTreeSet<Place>,
    decisions: BTreeSet<Decision>,
}

impl Desk<'_> {
    fn act(&mut self, event: &Event) -> Answer {
        match event {
            Event::Request(request) => self.request(request),
            Event::Supply { computer, release, wanted } => self.supply(*computer, *release, *wanted),
            Event::Format { computer, partitions } => self.format(*computer, partitions),
            Event::Publish { place, shared, connection } => self.publish(*place, *shared, *connection),
            Event::Rename { place, shared, title } => self.rename(*place, *shared, *title),
            Event::Bang { place, shared } => self.bang(*place, *shared, None),
            Event::BangComputer(computer) => self.bang_computer(*computer),
            Event::ReportRelease { computer, release, report } => {
                self.report_release(*computer, *release, *report)
            }
            Event::Report(report) => self.report(report),
            Event::ReportSharedError { place, shared } => self.report_shared_error(*place, *shared),
            Event::Look(computer) => self.look(*computer),
            Event::Rebase(root) => self.rebase(*root),
            Event::ClockBack(ticks) => {
                self.state.now = self.state.now.saturating_sub((*ticks).into());
                Ok(Reply::Local)
            }
            local => self.act_on_node(local),
        }
    }

    /// Gives all partitions that have to be processed again their new timestamp, once.
    fn close(self, mut reply: Reply) -> (BTreeSet<Decision>, Reply) {
        let mut decisions = self.decisions;
        if !self.renewed.is_empty() {
            self.state.now += 1;
        }
        for place in self.renewed {
            let now = self.state.now;
            let Some(registered) = self.state.computers.get_mut(&place.computer) else { continue };
            let floor = registered.floor;
            let Some(slot) = registered.partitions.get_mut(&place.partition) else { continue };
            if slot.rank.max(floor) >= now {
                decisions.insert(Decision::TimestampsGrow);
            }
            slot.rank = now.max(slot.rank + 1).max(floor + 1);
            if let Reply::Given(given) = &mut reply
                && given.place == Some(place)
                && given.rank.is_some()
            {
                given.rank = Some(slot.rank);
            }
        }
        (decisions, reply)
    }

    /// The partition of an instance has to be processed again.
    fn renew(&mut self, number: Number) {
        let place = self.state.instances.get(&number).and_then(|instance| instance.place);
        self.renewed.extend(place);
    }

    fn decide(&mut self, decision: Decision) {
        self.decisions.insert(decision);
    }

    fn registered(&mut self, computer: Computer) -> &mut Registered {
        self.state.computers.entry(computer).or_default()
    }

    fn instance(&mut self, number: Number) -> &mut Instance {
        self.state.instances.get_mut(&number).expect("a number that was just looked up")
    }

    fn require_computer(&mut self, computer: Computer) -> Result<(), Refusal> {
        if self.state.knows(computer) {
            return Ok(());
        }
        self.decide(Decision::UnknownIsRefused);
        Err(Refusal::UnknownComputer)
    }

    /// The instance in a partition.
    fn require_tenant(&mut self, place: Place) -> Result<Number, Refusal> {
        self.require_computer(place.computer)?;
        let refusal = match self.state.tenant(place) {
            Some((number, _)) => return Ok(number),
            None if self.state.slot(place).is_some() => Refusal::FreePartition,
            None => Refusal::UnknownPartition,
        };
        self.decide(Decision::UnknownIsRefused);
        Err(refusal)
    }

    /// The instance in a partition, or the shared one that it hosts.
    fn require_target(
        &mut self,
        place: Place,
        shared: Option<crate::names::Reference>,
    ) -> Result<Number, Refusal> {
        let tenant = self.require_tenant(place)?;
        let Some(reference) = shared else { return Ok(tenant) };
        self.state.shared_at(place, reference).ok_or_else(|| {
            self.decide(Decision::UnknownIsRefused);
            Refusal::UnknownShared
        })
    }
}
