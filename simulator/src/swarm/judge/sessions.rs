//! What users were told, held against the journal: each answer tells what was so at one moment while it was waited for, and no earlier
//! than what the same user was told before; each write has its entry, and one only. `sessions/trees.rs`: the same of shared instances
//! and children; `sessions/refusals.rs`: whether what was refused could be.

mod refusals;
mod trees;

use super::{
    looks::{self, Looks},
    replay::Broken,
    versions::{Standing, Versions, part_of, part_told, view_told, within},
};
use crate::swarm::{
    history::{Answer, Ended, History, Operation, Outcome},
    script::{Event, Release},
    users::{COMPLAINT, computer, filter, guid, parameters, requested, supplied, title, trees::shared_guid},
};
use slap_impl::{
    master::decisions::{Command, InstanceAction, InstanceReport},
    store::JournalEntry,
    wire::instance_xml,
};
use slap_model::Rule;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// What was answered is there, or was when it was asked for.
pub(super) const LOST: &str = "acknowledged-write-lost";
/// What one user asked for once was done once.
pub(super) const TWICE: &str = "write-applied-twice";
/// What a user reads is no older than what that user was told before, or what stood in the journal before it was asked.
pub(super) const STALE: &str = "read-went-back";
/// All of them.
pub(super) const RULES: [&str; 4] = [LOST, TWICE, STALE, refusals::RULE];

/// All that users were told so far.
pub(super) struct Sessions {
    /// The URLs of both releases.
    releases: [String; 2],
    /// How many operations were seen to begin, and how many to end.
    begun: usize,
    ended: usize,
    /// What each user knows, and since when: the entry of the journal after which it was so, and the operation that told it.
    known: BTreeMap<u32, Vec<(Duration, i64, usize)>>,
    /// By what stands in the journal.
    asked: BTreeMap<String, Asked>,
    /// What of that changed since the last look.
    fresh: BTreeSet<String>,
    /// What of that nobody is left for.
    surplus: BTreeSet<String>,
    /// The nodes' views that were read, for those who are told that they are the same.
    views: BTreeMap<usize, String>,
    /// The greatest revision of each node that anybody was told of, and since when.
    revisions: BTreeMap<u32, Vec<(Duration, i64)>>,
    /// The journal, and what users were told of it and of the master's lives.
    looks: Looks,
    /// Answers that were judged, by kind.
    pub(super) answers: BTreeMap<&'static str, u64>,
}

/// Who asked for a change, and how often it was made.
#[derive(Default)]
struct Asked {
    object: String,
    operations: Vec<Asker>,
    entries: Vec<i64>,
    /// The entries that nobody is left for.
    surplus: Vec<i64>,
}

/// An operation that may have made an entry after its first, until its last.
#[derive(Clone, Copy)]
struct Asker {
    number: usize,
    first: i64,
    last: i64,
}

/// What an operation asks the versions: the least entry of these, after which what was told was so.
pub(super) type IsSo<'a> = dyn Fn(i64, i64) -> Option<i64> + 'a;

impl Sessions {
    pub(super) fn new(releases: [String; 2]) -> Sessions {
        Sessions {
            releases,
            begun: 0,
            ended: 0,
            known: BTreeMap::new(),
            asked: BTreeMap::new(),
            fresh: BTreeSet::new(),
            surplus: BTreeSet::new(),
            views: BTreeMap::new(),
            revisions: BTreeMap::new(),
            looks: Looks::default(),
            answers: BTreeMap::new(),
        }
    }

    /// Notes an entry, if a user must have asked for it.
    pub(super) fn note(&mut self, entry: &JournalEntry) {
        let command = serde_json::from_str::<Command>(&entry.command).ok();
        self.looks.note(entry, command.as_ref());
        let Some(command) = command else { return };
        let is_of_user = match &command {
            Command::Request { requester, .. } => requester.is_none(),
            // Nodes name partitions, not instances.
            Command::Supply { .. } | Command::OnInstance { .. } | Command::BangComputer { .. } => true,
            Command::ReportInstance { report: InstanceReport::Bang { message }, .. } => message == COMPLAINT,
            _ => false,
        };
        if is_of_user {
            let text = text(&command);
            let asked = self.asked.entry(text.clone()).or_default();
            asked.object = super::replay::object(&command);
            asked.entries.push(entry.sequence);
            self.fresh.insert(text);
        }
    }

    /// Judges what users were told since the last look. `repeated` requests of theirs were delivered twice by the network.
    pub(super) fn look(
        &mut self,
        history: &History,
        versions: &Versions,
        repeated: u64,
    ) -> Result<(), Broken> {
        for operation in history.began_since(self.begun) {
            if let Some(command) = self.command(&operation.what) {
                let asker = Asker { number: self.begun, first: operation.first, last: i64::MAX };
                self.asked.entry(text(&command)).or_default().operations.push(asker);
            }
            self.begun += 1;
        }
        for (number, operation) in history.ended_since(self.ended) {
            self.ended += 1;
            if let Some(ended) = &operation.ended {
                let last = ended.last.unwrap_or(versions.newest);
                self.close(number, &operation.what, &ended.outcome, last);
                self.judge(number, &operation, ended, last, versions)?;
            }
        }
        self.account(repeated)
    }

    /// An operation can have made no entry after its end, and none at all if it was refused.
    fn close(&mut self, number: usize, what: &Event, outcome: &Outcome, last: i64) {
        if outcome.is_open() {
            return;
        }
        let Some(command) = self.command(what) else { return };
        let text = text(&command);
        let Some(asked) = self.asked.get_mut(&text) else { return };
        // What was refused stays known: the network may repeat it when it is not refused any more.
        let own = asked.operations.iter_mut().find(|asker| asker.number == number);
        own.into_iter().for_each(|asker| asker.last = if outcome.is_answer() { last } else { asker.first });
        self.fresh.insert(text);
    }

    fn judge(
        &mut self,
        number: usize,
        operation: &Operation,
        ended: &Ended,
        last: i64,
        versions: &Versions,
    ) -> Result<(), Broken> {
        let (kind, object) = describe(&operation.what, &self.releases);
        let Outcome::Answer(answer) = &ended.outcome else {
            return self.refused(number, operation, ended, (last, object), versions);
        };
        *self.answers.entry(kind).or_default() += 1;
        if let Answer::Computer { computer, .. } = answer {
            self.views.insert(number, view_told(computer));
        }
        let revision_before = self.revision_before(operation, ended, answer);
        let broken = |rule: &str, why: String| {
            let words = serde_json::to_string(&operation.what).unwrap_or_default();
            let (from, to) = (operation.began.as_secs_f64(), ended.at.as_secs_f64());
            let what = format!(
                "operation {number} of user {} ({words}), from {from:.3} to {to:.3} s: {why}. It was answered {answer:?}",
                operation.user
            );
            (rule.to_owned(), object.clone(), what)
        };
        let is_other = match &operation.what {
            Event::Tree { act, .. } => trees::is_other_than_wished(act, answer, &self.releases),
            what => is_other_than_wished(what, answer, &self.releases),
        };
        if let Some(why) = is_other {
            return Err(broken(LOST, why));
        }
        if let Some(before) = revision_before {
            return Err(broken(STALE, format!("somebody was told of revision {before} before")));
        }
        if let Answer::Told(told) = answer
            && let Err((rule, why)) = self.looks.judge(operation, told, last)
        {
            return Err(broken(rule, why));
        }
        let is_read = operation.what.is_read();
        let floor = self.floor(operation.user, operation.began);
        let from = floor.map_or(0, |(_, entry, _)| entry).max(operation.first);
        let (found, earlier) = {
            let is_so = self.question(&operation.what, answer, versions);
            let found = is_so(from, last.max(from));
            (found, if found.is_none() { is_so(0, from) } else { None })
        };
        if let Some(at) = found {
            let known = self.known.entry(operation.user).or_default();
            let so_far = known.last().map_or((0, number), |(_, entry, by)| (*entry, *by));
            let (entry, by) = so_far.max((at, number));
            known.push((ended.at, entry, by));
            return Ok(());
        }
        let before = match floor {
            Some((_, entry, by)) if entry >= operation.first => {
                format!("the same user was told of entry {entry} before, by operation {by}")
            }
            _ => format!("entry {} stood in the journal before it was asked", operation.first),
        };
        let (rule, why) = match earlier {
            Some(at) => (STALE, format!("that was so after entry {at}, and no more after {from}; {before}")),
            None => (Rule::ViewIsTrue.name(), format!("that was so after no entry until {last}")),
        };
        Err(broken(if is_read { rule } else { LOST }, why))
    }

    /// The revision of a node that was told before an operation began, if it was told an earlier one.
    fn revision_before(&mut self, operation: &Operation, ended: &Ended, answer: &Answer) -> Option<i64> {
        let Event::ReadComputer { node, .. } = operation.what else { return None };
        let Answer::Computer { tag: Some(tag), .. } = answer else { return None };
        // DATABASE.REVISION.VERSION (docs/slap-protocol.md, section 5).
        let revision: i64 = tag.trim_matches('"').split('.').nth(1)?.parse().ok()?;
        let told = self.revisions.entry(node).or_default();
        let before = told[..told.partition_point(|(since, _)| *since < operation.began)].last();
        let before = before.map(|(_, before)| *before).filter(|before| *before > revision);
        let greatest = told.last().map_or(revision, |(_, greatest)| revision.max(*greatest));
        told.push((ended.at, greatest));
        before
    }

    /// What a user knew for sure at a moment: all that was told before it.
    fn floor(&self, user: u32, at: Duration) -> Option<(Duration, i64, usize)> {
        let known = self.known.get(&user)?;
        known[..known.partition_point(|(since, ..)| *since < at)].last().copied()
    }

    /// How the versions are asked whether an answer is true.
    fn question<'a>(&'a self, what: &'a Event, answer: &'a Answer, versions: &'a Versions) -> Box<IsSo<'a>> {
        match (what, answer) {
            (Event::Tree { act, .. }, _) => trees::question(self, (what, act), answer, versions),
            (Event::Request { title: number, .. }, Answer::Given(given)) => {
                instance(versions, *number, Some(Standing::of_given(given)))
            }
            (Event::ReadInstance { title: number, .. }, Answer::Instance(found)) => {
                if found.as_ref().is_some_and(|found| found.reference != title(*number)) {
                    return Box::new(|_, _| None);
                }
                instance(versions, *number, found.as_deref().map(Standing::of_service))
            }
            (
                Event::Request { title: number, .. } | Event::ReadInstance { title: number, .. },
                Answer::Document(told),
            ) => {
                let name = title(*number);
                // Whoever reads by title is told of a shared one, too.
                let by_title = what.is_read() && number % 2 == 0;
                let guid = if by_title && told["shared"] == true { shared_guid(&name) } else { guid(&name) };
                if told["title"] != name.as_str() || told["instance_guid"] != guid.as_str() {
                    return Box::new(|_, _| None);
                }
                instance(versions, *number, Some(Standing::of_document(told, what.is_read())))
            }
            (Event::ReadInstance { title: number, .. }, Answer::NoSuch) => {
                let line = versions.instances.get(&title(*number));
                Box::new(move |from, to| first(within(line, from, to), |it| it.is_none_or(|it| it.is_shared)))
            }
            (Event::ReadList { .. }, Answer::Titles(rows)) => {
                let told: BTreeSet<&str> = rows.iter().filter_map(|row| row["title"].as_str()).collect();
                let is_set = told.len() == rows.len();
                Box::new(move |from, to| {
                    let mut changes = versions.list_changes(from, to).into_iter();
                    changes.find(|at| {
                        let list = versions.list(*at);
                        is_set
                            && list.iter().map(|(title, _)| title.as_str()).collect::<BTreeSet<_>>() == told
                    })
                })
            }
            (Event::ReadComputer { node, .. }, Answer::Rows { part, rows }) => {
                if !versions.has_views {
                    return Box::new(|from, _| Some(from));
                }
                let line = versions.computers.get(computer(*node).as_str());
                let told = part_told(rows, *part);
                Box::new(move |from, to| {
                    first(within(line, from, to), |view| {
                        view.is_some_and(|view| part_of(view, *part) == told)
                    })
                })
            }
            (Event::Supply { node, release, removed, .. }, Answer::Done) => {
                let key = (computer(*node).to_string(), url(&self.releases, *release).to_owned());
                let line = versions.supplies.get(&key);
                Box::new(move |from, to| first(within(line, from, to), |it| it == Some(&!*removed)))
            }
            (Event::Rename { .. }, Answer::Done) => Box::new(move |from, to| self.entry(what, from, to)),
            (Event::Bang { node, partition, .. }, Answer::Done) => {
                let line = versions.partitions.get(&format!("{}/slappart{partition}", computer(*node)));
                Box::new(move |from, to| {
                    // A free partition is not banged, and that is said with a yes.
                    let free = first(within(line, from, to), |title| title.is_none());
                    free.into_iter().chain(self.entry(what, from, to)).min()
                })
            }
            (Event::ReadList { .. }, Answer::List(rows)) => {
                let row = |row: &slap_impl::wire::hateoas::Row| {
                    (row.title.clone(), row.url_string.clone().unwrap_or_default())
                };
                let told: BTreeSet<(String, String)> = rows.iter().map(row).collect();
                // A row that stands twice is none too few.
                let is_set = told.len() == rows.len();
                Box::new(move |from, to| {
                    let mut changes = versions.list_changes(from, to).into_iter();
                    changes.find(|at| is_set && versions.list(*at) == told)
                })
            }
            (Event::ReadComputer { node, .. }, Answer::Computer { computer: told, .. }) => {
                view(versions, *node, view_told(told))
            }
            (Event::ReadComputer { node, .. }, Answer::Unchanged { since }) => {
                view(versions, *node, self.views.get(since).cloned().unwrap_or_default())
            }
            (Event::Tell { .. }, Answer::Done) => match looks::published(what) {
                Some((title, document)) => looks::publishes(versions, &title, document),
                None if self.command(what).is_some() => Box::new(move |from, to| self.entry(what, from, to)),
                None => Box::new(|from, _| Some(from)),
            },
            (_, Answer::Told(told)) => self.looks.question(what, told, versions, &self.releases),
            _ => Box::new(|_, _| None),
        }
    }

    /// The first entry of a change after one and until another.
    fn entry(&self, what: &Event, from: i64, to: i64) -> Option<i64> {
        let asked = self.asked.get(&text(&self.command(what)?))?;
        asked.entries.iter().copied().find(|entry| (from + 1..=to).contains(entry))
    }

    /// As many entries as somebody can have asked for: each has an operation of its own, which may have made it when it was made.
    fn account(&mut self, repeated: u64) -> Result<(), Broken> {
        for text in std::mem::take(&mut self.fresh) {
            let Some(asked) = self.asked.get_mut(&text) else { continue };
            asked.surplus = surplus(&asked.operations, &asked.entries);
            if asked.surplus.is_empty() {
                self.surplus.remove(&text);
            } else {
                self.surplus.insert(text);
            }
        }
        let wrong = || self.surplus.iter().filter_map(|text| self.asked.get_key_value(text));
        let count: usize = wrong().map(|(_, asked)| asked.surplus.len()).sum();
        let can_be_repeated =
            |asked: &Asked, entry: i64| asked.operations.iter().any(|asker| asker.first < entry);
        let all = wrong()
            .flat_map(|(command, asked)| asked.surplus.iter().map(move |entry| (*entry, command, asked)));
        let wrong = match all.clone().find(|(entry, _, asked)| !can_be_repeated(asked, *entry)) {
            None if count as u64 > repeated => all.max_by_key(|(entry, ..)| *entry),
            found => found,
        };
        let Some((entry, command, asked)) = wrong else { return Ok(()) };
        let numbers: Vec<usize> = asked.operations.iter().map(|asker| asker.number).collect();
        let what = format!(
            "entry {entry} is {command}, and nobody is left who asked for it: such are the entries {:?}, and the operations that may \
             have made one each are {numbers:?}; {repeated} requests of users were repeated by the network",
            asked.entries
        );
        Err((TWICE.to_owned(), asked.object.clone(), what))
    }

    /// What stands in the journal when an operation changes something.
    fn command(&self, what: &Event) -> Option<Command> {
        Some(match what {
            Event::Supply { node, release, removed, .. } => Command::Supply {
                computer: computer(*node),
                url: url(&self.releases, *release).parse().ok()?,
                state: supplied(*removed),
            },
            Event::Request { title: number, release, node, note, state, .. } => Command::Request {
                title: title(*number).parse().ok()?,
                release: url(&self.releases, *release).parse().ok()?,
                software_type: "default".to_owned(),
                parameters: document(*note),
                filter: filter(*node),
                state: Some(requested(*state)),
                requester: None,
                shared: false,
            },
            Event::Bang { node, partition, .. } => Command::ReportInstance {
                computer: computer(*node),
                partition: format!("slappart{partition}").parse().ok()?,
                slave_reference: None,
                report: InstanceReport::Bang { message: COMPLAINT.to_owned() },
                about: None,
            },
            Event::Tree { act, .. } => trees::command(act, &self.releases)?,
            Event::Rename { title: from, to, .. } => Command::OnInstance {
                guid: guid(&title(*from)).parse().ok()?,
                action: InstanceAction::Rename { title: title(*to).parse().ok()? },
            },
            Event::Tell { tell, .. } => looks::command(*tell)?,
            _ => return None,
        })
    }
}

/// The entries that no operation is left for, when each takes one; as many as possible find one.
fn surplus(operations: &[Asker], entries: &[i64]) -> Vec<i64> {
    let mut free = operations.to_vec();
    let mut left = Vec::new();
    for entry in entries {
        let can = |(_, asker): &(usize, &Asker)| asker.first < *entry && *entry <= asker.last;
        // Whoever can wait is left for a later one.
        match free.iter().enumerate().filter(can).min_by_key(|(_, asker)| asker.last) {
            Some((index, _)) => drop(free.remove(index)),
            None => left.push(*entry),
        }
    }
    left
}

fn instance(versions: &Versions, number: u32, told: Option<Standing>) -> Box<IsSo<'_>> {
    let line = versions.instances.get(&title(number));
    Box::new(move |from, to| {
        first(within(line, from, to), |standing| match (&told, standing) {
            (Some(told), Some(standing)) => standing.is_told_by(told),
            (told, standing) => told.is_none() && standing.is_none(),
        })
    })
}

fn view(versions: &Versions, node: u32, told: String) -> Box<IsSo<'_>> {
    if !versions.has_views {
        return Box::new(|from, _| Some(from));
    }
    let line = versions.computers.get(computer(node).as_str());
    Box::new(move |from, to| first(within(line, from, to), |view| view == Some(&told)))
}

pub(super) fn first<T>(versions: Vec<(i64, Option<&T>)>, is_it: impl Fn(Option<&T>) -> bool) -> Option<i64> {
    versions.into_iter().find(|(_, what)| is_it(*what)).map(|(at, _)| at)
}

/// Whether an instance that was given is another one than was asked for.
fn is_other_than_wished(what: &Event, answer: &Answer, releases: &[String; 2]) -> Option<String> {
    let Event::Request { release, note, state, .. } = what else { return None };
    let told = match answer {
        Answer::Given(given) => Standing::of_given(given),
        Answer::Document(told) => Standing::of_document(told, false),
        _ => return None,
    };
    let wished = (url(releases, *release), requested(*state).as_str(), document(*note));
    let is_it = (told.release.as_str(), told.state.as_str(), told.parameters) == wished;
    (!is_it).then(|| format!("it asked for {wished:?}"))
}

pub(super) fn document(note: u32) -> String {
    instance_xml::encode(&parameters(note).into_iter().map(|(key, value)| (key, Some(value))).collect())
}

pub(super) fn url(releases: &[String; 2], release: Release) -> &str {
    match release {
        Release::A => &releases[0],
        Release::B => &releases[1],
    }
}

/// What kind of thing a user does, and to what.
fn describe(what: &Event, releases: &[String; 2]) -> (&'static str, String) {
    match what {
        Event::Supply { node, release, .. } => {
            ("supply", format!("{} on {}", url(releases, *release), computer(*node)))
        }
        Event::Tree { act, .. } => trees::describe(act),
        Event::Request { title: number, .. } => ("request", title(*number)),
        Event::Bang { node, partition, .. } => ("bang", format!("{}/slappart{partition}", computer(*node))),
        Event::Rename { title: number, .. } => ("rename", title(*number)),
        Event::ReadInstance { title: number, .. } => ("read instance", title(*number)),
        Event::ReadComputer { node, .. } => ("read computer", computer(*node).to_string()),
        Event::Look { look, .. } => looks::describe_look(*look),
        Event::Tell { tell, .. } => looks::describe_tell(*tell),
        _ => ("read list", "master".to_owned()),
    }
}

fn text(command: &Command) -> String {
    serde_json::to_string(command).expect("keys are text and numbers are finite")
}

#[cfg(test)]
mod tests;
