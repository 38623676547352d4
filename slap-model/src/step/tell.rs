//! What is reported, published, banged and renamed.

use super::{Answer, Desk};
use crate::{
    decisions::Decision,
    event::{Report, Wanted, Word},
    names::{Computer, Connection, Number, Place, Rank, Reference, Title},
    reply::{Ignored, Refusal, Reply},
    state::Status,
};

impl Desk<'_> {
    pub(super) fn publish(
        &mut self,
        place: Place,
        shared: Option<Reference>,
        connection: Connection,
    ) -> Answer {
        let number = self.require_target(place, shared)?;
        if self.state.instances[&number].connection == connection {
            return Ok(Reply::Done);
        }
        self.instance(number).connection = connection;
        let requester = self.state.instances[&number].requester;
        let asks = |requester: &Number| self.state.instances[requester].state != Wanted::Destroyed;
        if let Some(requester) = requester.filter(asks) {
            self.decide(Decision::ConnectionWakesRequester);
            self.renew(requester);
        }
        Ok(Reply::Done)
    }

    pub(super) fn rename(&mut self, place: Place, shared: Option<Reference>, title: Title) -> Answer {
        let number = self.require_target(place, shared)?;
        if shared.is_some() {
            self.decide(Decision::SharedIsAnInstance);
        }
        let instance = &self.state.instances[&number];
        if instance.title == title {
            return Ok(Reply::Done);
        }
        let root = self.state.root_of(number);
        let in_tree = self.state.tree(root).iter().any(|other| self.state.instances[other].title == title);
        let among_roots = instance.root.is_none() && self.state.titled(None, title).is_some();
        if in_tree || among_roots {
            self.decide(Decision::TitlesStayUnique);
            return Err(Refusal::TitleTaken);
        }
        self.instance(number).title = title;
        Ok(Reply::Done)
    }

    /// One that comes late is heard, and what was said since then stays.
    pub(super) fn bang(&mut self, place: Place, shared: Option<Reference>, about: Option<Rank>) -> Answer {
        self.require_computer(place.computer)?;
        if shared.is_none() && self.state.slot(place).is_some() && self.state.tenant(place).is_none() {
            return Ok(Reply::Ignored(Ignored::Free));
        }
        let number = self.require_target(place, shared)?;
        let (rank, told) = self.state.slot(place).map_or((0, None), |slot| (slot.rank, slot.status));
        let about = about.unwrap_or(rank).min(rank);
        let root = self.state.root_of(number);
        let mut banged = self.state.tree(root);
        banged.extend(self.state.instances[&number].shared.and_then(|shared| shared.host));
        for number in banged {
            if self.state.instances[&number].state != Wanted::Destroyed {
                self.renew(number);
            } else if shared.is_none() {
                self.decide(Decision::BangSparesDestroyed);
            }
        }
        if shared.is_some() {
            self.decide(Decision::SharedIsAnInstance);
        }
        if shared.is_some() || told.is_none_or(|last| last.about <= about) {
            self.keep(place, number, about, Word::Bang);
        }
        Ok(Reply::Done)
    }

    pub(super) fn bang_computer(&mut self, computer: Computer) -> Answer {
        self.require_computer(computer)?;
        self.registered(computer).banged = true;
        let is_there = |place: Option<Place>| place.is_some_and(|place| place.computer == computer);
        let there: Vec<Number> = self
            .state
            .instances
            .iter()
            .filter(|(_, instance)| is_there(instance.place) && instance.state != Wanted::Destroyed)
            .map(|(number, _)| *number)
            .collect();
        for number in there {
            self.decide(Decision::ReportsAreKept);
            self.renew(number);
        }
        Ok(Reply::Done)
    }

    pub(super) fn report(&mut self, report: &Report) -> Answer {
        match report.word {
            Word::Bang => return self.bang(report.place, None, report.about),
            Word::Destroyed if self.state.slot(report.place).is_none() => {
                // A partition that the last format no longer had goes with its instance: this is a repetition.
                self.require_computer(report.place.computer)?;
                return Ok(Reply::Done);
            }
            Word::Destroyed => return self.destroyed(report),
            Word::Started | Word::Stopped | Word::Error => {}
        }
        self.require_computer(report.place.computer)?;
        let Some(slot) = self.state.slot(report.place) else {
            self.decide(Decision::UnknownIsRefused);
            return Err(Refusal::UnknownPartition);
        };
        let Some((number, _)) = self.state.tenant(report.place) else {
            return Ok(Reply::Ignored(Ignored::Free));
        };
        let about = report.about.unwrap_or(slot.rank).min(slot.rank);
        if slot.status.is_some_and(|last| last.about > about) {
            return Ok(Reply::Ignored(Ignored::Late));
        }
        self.keep(report.place, number, about, report.word);
        Ok(Reply::Done)
    }

    pub(super) fn report_shared_error(&mut self, place: Place, shared: Reference) -> Answer {
        let number = self.require_target(place, Some(shared))?;
        self.keep(place, number, 0, Word::Error);
        Ok(Reply::Done)
    }

    /// A report is shown with the instance that it is about, not with its host.
    fn keep(&mut self, place: Place, number: Number, about: u32, word: Word) {
        match &mut self.instance(number).shared {
            Some(shared) => shared.status = Some(word),
            None => {
                let slots = &mut self.registered(place.computer).partitions;
                let slot = slots.get_mut(&place.partition).expect("it has a tenant");
                slot.status = Some(Status { about, word });
            }
        }
    }
}
