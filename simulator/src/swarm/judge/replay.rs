//! The journal through the model: each entry is an event, whose answer and effect are the model's.

use super::{
    clocks::Clocks,
    names::{Lines, Names},
    versions::{Touched, Versions},
};
use serde_json::{Value, json};
use slap_impl::{
    master::decisions::{Command, InstanceAction, InstanceReport, ReleaseReport as Reported},
    store::JournalEntry,
    vocabulary::{InstanceGuid, RequestedState, SharedReference, SupplyState},
};
use slap_model::{
    Event, Reply, State,
    event::{Filter, ReleaseReport, Report, Request, Wanted, Word},
    names::{DEFAULT_KIND, Kind, Place, Reference},
    reply::Ignored,
    rules::Transition,
};
use std::collections::BTreeMap;

/// A rule that an entry broke: its name, the object, and what was seen.
pub(super) type Broken = (String, String, String);

/// The rule that is broken when an entry is not what the model would do.
pub(super) const RULE: &str = "journal-is-the-model";

/// The model, after all entries so far.
pub(super) struct Replay {
    state: State,
    names: Names,
    clocks: Clocks,
    /// Whether the rules of the model are looked at after each entry; a large cloud has too much for that.
    is_thorough: bool,
    /// What was so after which entry, of all that users can ask for.
    pub(super) versions: Versions,
    /// Partitions that were given to somebody, or whose instance shall go, since somebody took this; not kept of a large cloud.
    pub(super) turns: Vec<Turn>,
    /// Entries, by the kinds of the model's events.
    pub(super) kinds: BTreeMap<&'static str, u64>,
}

/// What data a partition may have becomes another question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// A new instance has that partition of that computer.
    Given(String, String),
    /// Its instance shall be destroyed: it may be wanted again before it is gone.
    Gone(String, String),
}

impl Replay {
    /// `has_trees`: instances request others, and users shared ones.
    pub(super) fn new(names: Names, is_thorough: bool, has_trees: bool) -> Replay {
        let (state, clocks, kinds) = (State::default(), Clocks::default(), BTreeMap::new());
        let mut versions = Versions { has_views: is_thorough, ..Versions::default() };
        versions.trees.are_kept = has_trees;
        Replay { state, names, clocks, is_thorough, versions, turns: Vec::new(), kinds }
    }

    /// What the model keeps now.
    pub(super) fn lines(&self) -> Lines {
        self.names.lines_of_state(&self.state, &self.clocks)
    }

    /// Does what an entry says. It is refused with the rule that it breaks.
    pub(super) fn step(&mut self, entry: &JournalEntry) -> Result<(), Broken> {
        let wrong = |what: String| (RULE.to_owned(), "master".to_owned(), describe(entry, &what));
        let command: Command =
            serde_json::from_str(&entry.command).map_err(|error| wrong(error.to_string()))?;
        let answer: Value = serde_json::from_str(&entry.answer).map_err(|error| wrong(error.to_string()))?;
        if let Command::Forwarded { master, title, requester: None, gone } = &command {
            let text = format!("{title} at {master}");
            self.forwarded(&text, *gone).map_err(wrong)?;
            let now = (&self.state, &self.names, &self.clocks);
            self.versions.note(entry.sequence, now, &command, &Touched::Release);
            return Ok(());
        }
        let event = self.event(&command).map_err(wrong)?;
        *self.kinds.entry(event.kind()).or_default() += 1;
        let before = self.is_thorough.then(|| self.state.clone());
        let now = self.state.now;
        let reply = self.state.step(&event);
        // Partitions are dropped by a format, or when the instance is gone of one that was left out of it.
        let may_drop =
            matches!(event, Event::Format { .. } | Event::Report(Report { word: Word::Destroyed, .. }));
        if self.state.now != now || may_drop {
            self.clocks.follow(&self.state, entry.at);
        }
        if matches!(reply, Reply::Kept(_)) {
            *self.kinds.entry("format that keeps").or_default() += 1;
        }
        let touched = Touched::by(&command, || match event {
            Event::Report(Report { place, .. }) | Event::Publish { place, .. } => Some(place),
            _ => None,
        });
        let now = (&self.state, &self.names, &self.clocks);
        self.versions.note(entry.sequence, now, &command, &touched);
        self.check_answer(&reply, &answer)
            .map_err(|what| (RULE.to_owned(), object(&command), describe(entry, &what)))?;
        let Some(before) = before else { return Ok(()) };
        self.note_turns(&before);
        let transition = Transition { before: &before, event: &event, reply: &reply, after: &self.state };
        self.violation(Some(transition), entry)
    }

    /// The master remembers what it passed on, or forgets it. Only what changes something has an entry.
    fn forwarded(&mut self, text: &str, gone: bool) -> Result<(), String> {
        *self.kinds.entry(if gone { "forgotten" } else { "passed on" }).or_default() += 1;
        let title = self.names.title(text)?;
        let was_there = self.state.forwarded.contains_key(&title);
        if gone {
            self.state.forwarded.remove(&title);
        } else {
            self.state.forwarded.insert(title, None);
        }
        if was_there == gone { Ok(()) } else { Err("that was so already".to_owned()) }
    }

    fn note_turns(&mut self, before: &State) {
        for (number, instance) in &self.state.instances {
            let Some(place) = instance.place else { continue };
            let was = before.instances.get(number).filter(|was| was.place == Some(place));
            let is_gone = instance.state == Wanted::Destroyed;
            let turn = match was {
                None => Turn::Given,
                Some(was) if is_gone && was.state != Wanted::Destroyed => Turn::Gone,
                Some(_) => continue,
            };
            let (computer, partition) = self.names.place_parts(place);
            self.turns.push(turn(computer.to_owned(), partition.to_owned()));
        }
    }

    /// Whether a release was asked for on a computer, and its removal was not reported since.
    pub(super) fn is_supplied(&self, computer: &str, url: &str) -> bool {
        let mut computers = self.state.computers.iter();
        let found = computers.find(|(number, _)| self.names.computer_text(**number) == computer);
        found.is_some_and(|(_, registered)| {
            registered.supplies.keys().any(|release| self.names.release_text(*release) == url)
        })
    }

    /// Whether it is remembered that something of that title was passed on.
    pub(super) fn is_passed_on(&self, title: &str) -> bool {
        let begin = format!("{title} at ");
        self.state.forwarded.keys().any(|it| self.names.title_text(*it).starts_with(&begin))
    }

    /// The first rule of the model that its state breaks, or a step to it.
    pub(super) fn violation(&self, step: Option<Transition<'_>>, entry: &JournalEntry) -> Result<(), Broken> {
        let of_step = step.map(|step| step.violations()).unwrap_or_default();
        match self.state.violations().into_iter().chain(of_step).next() {
            Some(found) => {
                let what = describe(entry, found.rule.sentence().trim());
                Err((found.rule.name().to_owned(), found.object, what))
            }
            None => Ok(()),
        }
    }

    fn check_answer(&self, reply: &Reply, answer: &Value) -> Result<(), String> {
        let text = answer["text"].as_str();
        let is_same = match reply {
            Reply::Given(given) => {
                let parts = given.place.map(|place| self.names.place_parts(place));
                let slot = given.place.and_then(|place| Some((place, self.state.slot(place)?)));
                let mut found = answer.clone();
                found.as_object_mut().map(|members| members.remove("instance"));
                let expected = json!({
                    "computer": parts.map(|(computer, _)| computer),
                    "partition": parts.map(|(_, partition)| partition),
                    "timestamp": slot.map(|(place, slot)| self.clocks.microseconds(place, slot.rank)),
                });
                if expected != found {
                    return Err(format!("the model answers {expected}"));
                }
                true
            }
            Reply::Done => {
                text.is_some_and(|it| matches!(it, "" | "OK" | "done") || it.starts_with("Supplied "))
            }
            Reply::Kept(_) => text.is_some_and(|it| it.starts_with("done, but these partitions stay")),
            Reply::NotYet(_) => text.is_some_and(|it| it.starts_with("Not destroying yet")),
            Reply::Ignored(why) => {
                let words = match why {
                    Ignored::Free => "the partition is free",
                    Ignored::Late => "state",
                    Ignored::NotSupplied => "not supplied",
                };
                text.is_some_and(|it| it.starts_with("Ignored: ") && it.contains(words))
            }
            _ => false,
        };
        if is_same { Ok(()) } else { Err(format!("the model answers {reply:?}")) }
    }

    fn event(&mut self, command: &Command) -> Result<Event, String> {
        Ok(match command {
            Command::Request {
                title,
                release,
                software_type,
                parameters,
                filter,
                state,
                requester,
                shared,
            } => {
                let by = match requester {
                    Some(it) => Some(self.names.place(it.computer.as_str(), it.partition.as_str())?),
                    None => None,
                };
                Event::Request(Request {
                    by,
                    title: self.names.title(title.as_str())?,
                    shared: *shared,
                    release: self.names.release(release.as_str())?,
                    kind: self.kind(software_type, *shared)?,
                    parameters: self.names.parameters(parameters)?,
                    filter: self.filter(filter)?,
                    state: state.map(|state| match state {
                        RequestedState::Started => Wanted::Started,
                        RequestedState::Stopped => Wanted::Stopped,
                        RequestedState::Destroyed => Wanted::Destroyed,
                    }),
                })
            }
            Command::Supply { computer, url, state } => Event::Supply {
                computer: self.names.computer(computer.as_str())?,
                release: self.names.release(url.as_str())?,
                wanted: *state == SupplyState::Available,
            },
            Command::ReportRelease { computer, url, report } => Event::ReportRelease {
                computer: self.names.computer(computer.as_str())?,
                release: self.names.release(url.as_str())?,
                report: match report {
                    Reported::Building => ReleaseReport::Building,
                    Reported::Available => ReleaseReport::Available,
                    Reported::Error { .. } => ReleaseReport::Error,
                    Reported::Destroyed => ReleaseReport::Destroyed,
                },
            },
            Command::Format { computer, partitions, .. } => {
                let mut formatted = Vec::new();
                for partition in partitions {
                    let name = self.names.partition(partition.reference.as_str())?;
                    formatted.push((name, self.names.address(&format!("{:?}", partition.addresses))?));
                }
                let partitions = formatted.into_iter().collect();
                Event::Format { computer: self.names.computer(computer.as_str())?, partitions }
            }
            Command::ReportInstance { computer, partition, slave_reference, report, about } => {
                let place = self.names.place(computer.as_str(), partition.as_str())?;
                let shared = self.shared(slave_reference.as_ref())?;
                self.report(place, shared, report, *about)?
            }
            Command::Publish { computer, partition, slave_reference, document } => Event::Publish {
                place: self.names.place(computer.as_str(), partition.as_str())?,
                shared: self.shared(slave_reference.as_ref())?,
                connection: self.names.connection(document)?,
            },
            Command::Rename { computer, partition, slave_reference, title } => Event::Rename {
                place: self.names.place(computer.as_str(), partition.as_str())?,
                shared: self.shared(slave_reference.as_ref())?,
                title: self.names.title(title.as_str())?,
            },
            Command::OnInstance { guid, action } => {
                let (place, shared) = self.named(guid)?;
                match action {
                    InstanceAction::Report { report } => self.report(place, shared, report, None)?,
                    InstanceAction::Publish { document } => {
                        Event::Publish { place, shared, connection: self.names.connection(document)? }
                    }
                    InstanceAction::Rename { title } => {
                        Event::Rename { place, shared, title: self.names.title(title.as_str())? }
                    }
                }
            }
            Command::BangComputer { computer, .. } => {
                Event::BangComputer(self.names.computer(computer.as_str())?)
            }
            Command::Rebase { root, .. } => Event::Rebase(Some(self.names.root(root)?)),
            _ => return Err("nobody in a swarm asks for that, and the judge has no event for it".to_owned()),
        })
    }

    /// What a guid names now: the instance in a partition, or a shared one that it hosts.
    fn named(&mut self, guid: &InstanceGuid) -> Result<(Place, Option<Reference>), String> {
        for name in guid.meanings() {
            let root = match &name.root {
                None => None,
                Some(root) => {
                    let root = self.names.title(root.as_str())?;
                    match self.state.titled(None, root) {
                        Some(root) => Some(root),
                        None => continue,
                    }
                }
            };
            let title = self.names.title(name.title.as_str())?;
            let found = self.state.titled(root, title).and_then(|number| self.state.instances.get(&number));
            let Some(instance) = found.filter(|it| it.shared.is_some() == name.shared) else { continue };
            let seat = match instance.shared {
                None => instance.place.map(|place| (place, None)),
                Some(shared) => {
                    let host = shared.host.and_then(|host| self.state.instances.get(&host)?.place);
                    host.map(|place| (place, Some(shared.reference)))
                }
            };
            return seat.ok_or_else(|| format!("{guid} is nowhere"));
        }
        Err(format!("there is no instance {guid}"))
    }

    fn shared(&mut self, reference: Option<&SharedReference>) -> Result<Option<Reference>, String> {
        reference.map(|reference| self.names.reference(reference.as_str())).transpose()
    }

    fn report(
        &self,
        place: Place,
        shared: Option<Reference>,
        report: &InstanceReport,
        about: Option<i64>,
    ) -> Result<Event, String> {
        let word = match report {
            InstanceReport::Started => Word::Started,
            InstanceReport::Stopped => Word::Stopped,
            InstanceReport::Error { .. } => Word::Error,
            InstanceReport::Destroyed => Word::Destroyed,
            InstanceReport::Bang { .. } => Word::Bang,
        };
        match (shared, word) {
            (None, _) => {
                let about = about.map(|about| self.clocks.rank(place, about));
                Ok(Event::Report(Report { place, word, about }))
            }
            (Some(shared), Word::Error) => Ok(Event::ReportSharedError { place, shared }),
            (Some(_), Word::Bang) => Ok(Event::Bang { place, shared }),
            (Some(_), _) => Err("a shared instance has only errors and bangs".to_owned()),
        }
    }

    /// A shared instance may be of any type.
    fn kind(&mut self, text: &str, shared: bool) -> Result<Option<Kind>, String> {
        match text {
            "" if shared => Ok(None),
            "" => Ok(Some(DEFAULT_KIND)),
            text => self.names.kind(text).map(Some),
        }
    }

    fn filter(&mut self, filter: &BTreeMap<String, String>) -> Result<Filter, String> {
        let members: Vec<(&str, &str)> =
            filter.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        match members[..] {
            [] => Ok(Filter::Anywhere),
            [("computer_guid", computer)] => self.names.computer(computer).map(Filter::Computer),
            _ => Err(format!("nobody in a swarm filters by {filter:?}")),
        }
    }
}

/// An entry in a line, with what is wrong about it.
fn describe(entry: &JournalEntry, what: &str) -> String {
    format!("entry {}: {} was answered {}: {what}", entry.sequence, entry.command, entry.answer)
}

/// What a command is about.
pub(super) fn object(command: &Command) -> String {
    match command {
        Command::Request { title, .. } => title.to_string(),
        Command::Supply { computer, url, .. } | Command::ReportRelease { computer, url, .. } => {
            format!("{url} on {computer}")
        }
        Command::Format { computer, .. } | Command::BangComputer { computer, .. } => computer.to_string(),
        Command::ReportInstance { computer, partition, .. }
        | Command::Publish { computer, partition, .. }
        | Command::Rename { computer, partition, .. } => format!("{computer}/{partition}"),
        Command::OnInstance { guid, .. } => guid.to_string(),
        Command::Forwarded { title, .. } => title.to_string(),
        Command::Rebase { root, .. } => root.clone(),
    }
}
