//! What goes elsewhere: requests that another master answers, and stand-ins; and releases that move with their directory.
//!
//! The other master is a whole [`State`] of its own. What it is asked, it is asked by a user, under a title that says who wants it here.

use super::{Answer, Desk};
use crate::{
    event::{Event, Filter, Formatted, Request, Wanted},
    names::{
        Address, DEFAULT_COMPUTER, DEFAULT_KIND, FRONTEND, LISTED_ELSEWHERE, Number, Parameters, Partition,
        Root, Title,
    },
    reply::{Refusal, Reply},
    state::State,
};

impl State {
    /// The other master before it is asked for the first time: it has a computer, and nothing on it.
    pub fn other_master() -> State {
        let mut other = State::default();
        let partitions: Formatted = (0..3).map(|number| (Partition(number), Address(0))).collect();
        other.step(&Event::Format { computer: DEFAULT_COMPUTER, partitions });
        other
    }
}

impl Request {
    /// Whether another master is to answer it: it names that, or asks for what is always requested there.
    pub fn is_for_another(&self) -> bool {
        self.filter == Filter::Elsewhere || self.release == LISTED_ELSEWHERE
    }

    /// Whether a stand-in answers it: a shared instance of the historical frontend, with a URL.
    pub fn is_for_stand_in(&self) -> bool {
        let is_frontend = self.shared && self.release == FRONTEND && !self.is_for_another();
        is_frontend && self.kind.is_none_or(|kind| kind == DEFAULT_KIND) && self.parameters != Parameters(0)
    }
}

impl Desk<'_> {
    /// Asks the other master, for the same under another title; what it gives is remembered with who asked for it.
    pub(super) fn pass_on(&mut self, request: &Request, root: Option<Number>) -> Answer {
        let title = Title::elsewhere(request.by.map(|place| place.partition), request.title);
        if self.state.forwarded.get(&title).is_some_and(|owner| *owner != request.by) {
            return Err(Refusal::TitleTaken);
        }
        let is_stopped = root.is_some_and(|root| self.state.instances[&root].state == Wanted::Stopped);
        let starts = request.state.unwrap_or(Wanted::Started) == Wanted::Started;
        let asked = Request {
            by: None,
            title,
            filter: if request.filter == Filter::Elsewhere { Filter::Anywhere } else { request.filter },
            state: if is_stopped && starts { Some(Wanted::Stopped) } else { request.state },
            ..request.clone()
        };
        let mut other = self.state.elsewhere.clone().unwrap_or_else(|| Box::new(State::other_master()));
        let reply = other.step_at_home(&asked);
        // What it refuses leaves it as it was.
        if !matches!(reply, Reply::Refused(_)) {
            self.state.elsewhere = Some(other);
        }
        let is_gone = request.state == Some(Wanted::Destroyed);
        match reply {
            Reply::Given(given) => {
                if is_gone {
                    self.state.forwarded.remove(&title);
                } else {
                    self.state.forwarded.insert(title, request.by);
                }
                Ok(Reply::GivenElsewhere(given))
            }
            Reply::Refused(refusal) => {
                if is_gone && refusal.status() == 404 {
                    self.state.forwarded.remove(&title);
                }
                Err(refusal)
            }
            other => Ok(other),
        }
    }

    /// The master starts again with local releases under that directory. What was under the directory of its last run is under the new one
    /// now, and is built and processed again.
    pub(super) fn rebase(&mut self, root: Option<Root>) -> Answer {
        let before = std::mem::replace(&mut self.state.root, root);
        for computer in self.state.computers.values_mut() {
            let releases: Vec<_> = computer.supplies.keys().copied().collect();
            for release in releases {
                let moved = release.moved(before, root);
                // Where the new one is supplied already, the old one stays as it is.
                if computer.supplies.contains_key(&moved) {
                    continue;
                }
                if let Some(mut supply) = computer.supplies.remove(&release) {
                    supply.status = None;
                    computer.supplies.insert(moved, supply);
                }
            }
        }
        let numbers: Vec<Number> = self.state.instances.keys().copied().collect();
        for number in numbers {
            let release = self.state.instances[&number].release;
            let moved = release.moved(before, root);
            if moved != release {
                self.instance(number).release = moved;
                self.renew(number);
            }
        }
        Ok(Reply::Done)
    }
}
