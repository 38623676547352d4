//! What nodes do by themselves, and what happens to them. A node acts on what it saw last, which may be old by then.

use super::{Answer, Desk};
use crate::{
    event::{Event, Mail, ReleaseReport, Report, Wanted, Word},
    names::{Computer, Place, Release},
    reply::{Ignored, Reply},
    state::{Deployed, Node, Seen},
};
use std::collections::BTreeMap;

impl Desk<'_> {
    pub(super) fn look(&mut self, computer: Computer) -> Answer {
        self.require_computer(computer)?;
        let view = self.state.view(computer);
        if let Some(node) = self.state.nodes.get_mut(&computer) {
            // What is still, or again, to be removed though it was told to be gone is told to be gone again.
            node.told_of_releases.retain(|release, report| {
                view.supplies.contains_key(release) && *report != ReleaseReport::Destroyed
            });
            node.view = Some(view.clone());
        }
        Ok(Reply::View(view))
    }

    pub(super) fn act_on_node(&mut self, event: &Event) -> Answer {
        match event {
            Event::Build { computer, release, succeeds } => self.build(*computer, *release, *succeeds),
            Event::Process(place) => self.process(*place),
            Event::Check(place) => self.check(*place),
            Event::Deliver(mail) => return self.deliver(mail, true),
            Event::LoseAnswer(mail) => return self.deliver(mail, false),
            Event::Drop(mail) => {
                self.state.mail.remove(mail);
            }
            Event::KillAgent(computer) => self.kill_agent(*computer),
            Event::Reboot(computer) => {
                self.kill_agent(*computer);
                let node = self.state.nodes.get_mut(computer);
                node.into_iter().flat_map(|node| node.deployed.values_mut()).for_each(|it| it.services = 0);
            }
            Event::ServiceExits(place) => {
                if let Some(deployed) = self.deployed(*place) {
                    deployed.services = 0;
                }
            }
            Event::PromiseTurns { place, passes } => {
                if let Some(deployed) = self.deployed(*place) {
                    deployed.passes = *passes;
                }
            }
            _ => unreachable!("{event:?} reaches the master"),
        }
        Ok(Reply::Local)
    }

    fn deployed(&mut self, place: Place) -> Option<&mut Deployed> {
        self.state.nodes.get_mut(&place.computer)?.deployed.get_mut(&place.partition)
    }

    fn build(&mut self, computer: Computer, release: Release, succeeds: bool) {
        let Some(node) = self.state.nodes.get_mut(&computer) else { return };
        let Some(wanted) = node.view.as_ref().and_then(|view| view.supplies.get(&release)) else { return };
        let report = if !wanted {
            node.built.remove(&release);
            ReleaseReport::Destroyed
        } else {
            if node.built.get(&release) != Some(&true) {
                node.built.insert(release, succeeds);
            }
            if node.built[&release] { ReleaseReport::Available } else { ReleaseReport::Error }
        };
        if node.told_of_releases.get(&release) != Some(&report) {
            node.told_of_releases.remove(&release);
            self.state.mail.insert(Mail::Release { computer, release, report });
        }
    }

    fn process(&mut self, place: Place) {
        let Some(node) = self.state.nodes.get_mut(&place.computer) else { return };
        let Some(seen) = seen(node, place) else { return };
        let (rank, wanted, release) = (seen.rank, seen.state, seen.release);
        let is_built = node.built.get(&release) == Some(&true);
        let before = node.deployed.get(&place.partition).copied();
        let report = match wanted {
            Wanted::Destroyed => {
                node.deployed.remove(&place.partition);
                Some(Word::Destroyed)
            }
            // Once for each change: what exits in between waits for its bang, and nobody misses a release that went since.
            _ if before.is_some_and(|before| before.rank == rank) => None,
            _ if !is_built => Some(Word::Error),
            _ => {
                let started = wanted == Wanted::Started;
                let passes = before.is_none_or(|before| before.passes);
                let deployed = Deployed { rank, started, services: u8::from(started), passes };
                node.deployed.insert(place.partition, deployed);
                None
            }
        };
        if let Some(word) = report {
            self.tell(place, rank, word);
        }
    }

    fn check(&mut self, place: Place) {
        let Some(node) = self.state.nodes.get(&place.computer) else { return };
        let Some(rank) = seen(node, place).map(|seen| seen.rank) else { return };
        // What was not processed yet is told of by its processing.
        let deployed = node.deployed.get(&place.partition).filter(|deployed| deployed.rank == rank);
        let Some(deployed) = deployed else { return };
        let word = match deployed {
            Deployed { started: false, .. } => Word::Stopped,
            Deployed { services: 0, .. } => Word::Bang,
            Deployed { passes: false, .. } => Word::Error,
            _ => Word::Started,
        };
        self.tell(place, rank, word);
    }

    fn tell(&mut self, place: Place, rank: u32, word: Word) {
        let Some(node) = self.state.nodes.get_mut(&place.computer) else { return };
        if node.told.get(&place.partition) != Some(&(rank, word)) {
            // Until it is answered, nobody knows what the master knows.
            node.told.remove(&place.partition);
            self.state.mail.insert(Mail::Instance(Report { place, word, about: Some(rank) }));
        }
    }

    fn deliver(&mut self, mail: &Mail, is_answered: bool) -> Answer {
        if !self.state.mail.contains(mail) {
            return Ok(Reply::Local);
        }
        if is_answered {
            self.state.mail.remove(mail);
        }
        let answer = self.act(&mail.event());
        let Some(node) = self.state.nodes.get_mut(&mail.computer()).filter(|_| is_answered) else {
            return answer;
        };
        match *mail {
            Mail::Instance(Report { place, word, about }) => {
                node.told.insert(place.partition, (about.unwrap_or(0), word));
            }
            // It is not on the node's list any more: should it come back, it is told of again.
            Mail::Release { release, .. } if answer == Ok(Reply::Ignored(Ignored::NotSupplied)) => {
                node.told_of_releases.remove(&release);
                if let Some(view) = &mut node.view {
                    view.supplies.remove(&release);
                }
            }
            Mail::Release { release, report, .. } => {
                node.told_of_releases.insert(release, report);
            }
        }
        answer
    }

    /// What an agent knows only in memory goes with it.
    fn kill_agent(&mut self, computer: Computer) {
        let Some(node) = self.state.nodes.get_mut(&computer) else { return };
        node.view = None;
        node.told = BTreeMap::new();
        node.told_of_releases = BTreeMap::new();
        self.state.mail.retain(|mail| mail.computer() != computer);
    }
}

fn seen(node: &Node, place: Place) -> Option<&Seen> {
    node.view.as_ref()?.partitions.get(&place.partition)?.as_ref()
}
