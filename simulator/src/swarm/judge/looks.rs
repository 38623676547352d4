//! What users looked at and typed, held against what was so: pages and documents against the versions of what they tell of, `/events` against
//! the journal as it is read from outside, and the master's run against its processes.

use super::{
    replay::Broken,
    sessions::{self, IsSo, first},
    versions::{Line, Standing, Versions, within},
};
use crate::swarm::{
    cloud::{INTERFACE, partition_address},
    history::Operation,
    script::{Event, Goal, Look, STRANGER},
    told::{Page, Report, Told},
    users::{COMPLAINT, computer, requested, strangers, title},
};
use serde_json::Value as Json;
use slap_impl::{env::Identity, master::decisions::Command, store::JournalEntry};
use std::collections::{BTreeMap, BTreeSet};

mod tells;
mod told;

pub(super) use tells::{command, describe_look, describe_tell, published, publishes};
use told::{Tenant, View, reported, tenants};

/// The journal is told as it is: no gap, and nothing that is not there.
const TOLD: &str = "journal-is-told";
/// A run of the master has one name, and no other run has it.
const RUN: &str = "run-has-one-name";
/// Both.
pub(super) const RULES: [&str; 2] = [TOLD, RUN];
/// Entries of an answer at most (docs/slap-protocol.md, section 10).
const EVENTS_MAX: i64 = 500;

/// What is known of the journal and of the master's lives.
#[derive(Default)]
pub(super) struct Looks {
    /// Its entries; the first has the number 1.
    journal: Vec<JournalEntry>,
    /// Which database was told of.
    database: Option<String>,
    /// The name of each process's run.
    runs: BTreeMap<Identity, String>,
    /// The first bang of each computer.
    banged: BTreeMap<String, i64>,
}

/// Refuses an entry that only a stranger can have asked for.
pub(super) fn is_nobodys(entry: &JournalEntry) -> Result<(), Broken> {
    if !entry.command.contains(STRANGER) {
        return Ok(());
    }
    let what = format!("entry {} is what a stranger sent: {}", entry.sequence, entry.command);
    Err((strangers::RULE.to_owned(), "master".to_owned(), what))
}

impl Looks {
    /// Notes an entry.
    pub(super) fn note(&mut self, entry: &JournalEntry, command: Option<&Command>) {
        if let Some(Command::BangComputer { computer, .. }) = command {
            self.banged.entry(computer.to_string()).or_insert(entry.sequence);
        }
        self.journal.push(entry.clone());
    }

    /// Judges what has nothing to do with versions.
    ///
    /// # Errors
    /// The rule that was broken, and why.
    pub(super) fn judge(
        &mut self,
        operation: &Operation,
        told: &Told,
        last: i64,
    ) -> Result<(), (&'static str, String)> {
        match told {
            Told::Events(page) => self.judge_page(page, operation.first, last).map_err(|why| (TOLD, why)),
            Told::RunId { id, life: Some(life) } => {
                let known = self.runs.entry(*life).or_insert_with(|| id.clone());
                if known != id {
                    return Err((RUN, format!("the same process was run {known} before")));
                }
                match self.runs.iter().find(|(other, name)| *other != life && *name == id) {
                    Some((other, _)) => Err((RUN, format!("process {} was that run, too", other.pid))),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// The entries after the one that was named, without a gap and as they are.
    fn judge_page(&mut self, page: &Page, oldest_end: i64, newest_end: i64) -> Result<(), String> {
        for (event, sequence) in page.events.iter().zip(page.since + 1..) {
            let index = usize::try_from(sequence - 1).unwrap_or(usize::MAX);
            let Some(entry) = self.journal.get(index) else {
                return Err(format!("it is told of entry {sequence}, and there is none"));
            };
            is_entry(event, entry)?;
        }
        let count = page.events.len() as i64;
        let Some((database, oldest, newest)) = &page.ends else {
            // Who reads to the end has read what stood there at the beginning; who is ended before that has not.
            let is_short = !page.is_cut && page.since + count < oldest_end;
            return if is_short {
                Err(format!("entry {oldest_end} stood there, and it is not told"))
            } else {
                Ok(())
            };
        };
        let known = self.database.get_or_insert_with(|| database.clone());
        if known != database {
            return Err(format!("the database was {known} before"));
        }
        if *newest < oldest_end || *newest > newest_end {
            return Err(format!("the newest was none of {oldest_end} to {newest_end} meanwhile"));
        }
        if *oldest != (*newest).min(1) {
            return Err("the oldest is the first".to_owned());
        }
        let expected = (newest - page.since).clamp(0, EVENTS_MAX);
        if count != expected {
            return Err(format!("{expected} entries are to be told, and {count} are"));
        }
        Ok(())
    }

    /// How the versions are asked whether it is true.
    pub(super) fn question<'a>(
        &'a self,
        what: &'a Event,
        told: &'a Told,
        versions: &'a Versions,
        releases: &'a [String; 2],
    ) -> Box<IsSo<'a>> {
        if let (Event::Request { title: number, release, note, state, .. }, Told::Published(published)) =
            (what, told)
        {
            let line = versions.instances.get(&title(*number));
            let wished =
                (sessions::url(releases, *release), requested(*state).as_str(), sessions::document(*note));
            return Box::new(move |from, to| {
                first(within(line, from, to), |standing| {
                    standing.is_some_and(|it| {
                        (it.release.as_str(), it.state.as_str(), it.parameters.clone()) == wished
                            && it.connection == *published
                    })
                })
            });
        }
        let Event::Look { look, .. } = *what else { return Box::new(|_, _| None) };
        if !versions.has_views {
            return Box::new(|from, _| Some(from));
        }
        match (look, told) {
            (_, Told::AsDocumented | Told::RunId { .. }) => Box::new(|from, _| Some(from)),
            // Shared instances have no versions here.
            (Look::Shared { .. }, Told::Nothing) => Box::new(|from, _| Some(from)),
            (Look::Events { .. }, Told::Events(page)) => Box::new(move |from, to| match &page.ends {
                // What was not read yet is no older state.
                Some((_, _, newest)) if *newest > page.since + page.events.len() as i64 => Some(from),
                Some((_, _, newest)) => (from..=to).contains(newest).then_some(*newest),
                None => Some(from),
            }),
            (Look::Computers, Told::Computers(names)) => Box::new(move |from, to| {
                let moments = versions.computers.values().flatten().map(|(at, _)| *at);
                let moments: BTreeSet<i64> =
                    moments.filter(|at| (from..=to).contains(at)).chain([from]).collect();
                moments.into_iter().find(|at| computers(versions, *at) == *names)
            }),
            (
                Look::Certificate { title: number }
                | Look::Hosted { title: number }
                | Look::Search { title: number },
                told,
            ) => {
                let roots = Roots { versions, title: title(number) };
                let is_search = matches!(look, Look::Search { .. });
                Box::new(move |from, to| {
                    roots.first(from, to, |it, is_shared| is_found(told, it, is_shared, is_search))
                })
            }
            (Look::Wait { title: number, goal, .. }, Told::Waited { is_so }) => {
                let roots = Roots { versions, title: title(number) };
                Box::new(move |from, to| {
                    roots.first(from, to, |it, is_shared| match is_so {
                        true => has_come(goal, it, is_shared),
                        false => cannot_come(goal, it),
                    })
                })
            }
            (look, told) => self.question_of_node(look, told, versions),
        }
    }

    /// The same for what is told of a node.
    fn question_of_node<'a>(&'a self, look: Look, told: &'a Told, versions: &'a Versions) -> Box<IsSo<'a>> {
        let Some(node) = look.node() else { return Box::new(|_, _| None) };
        let name = computer(node).to_string();
        let line: Option<&Line<String>> = versions.computers.get(&name);
        Box::new(move |from, to| {
            let mut moments = versions.list_changes(from, to);
            moments.extend(within(line, from, to).into_iter().map(|(at, _)| at));
            moments.into_iter().find(|at| {
                let view = within(line, *at, *at)[0].1.map(|view| tenants(view));
                let now = Now { versions, at: *at, computer: &name };
                match look {
                    Look::Partition { partition, .. }
                    | Look::PartitionStatus { partition, .. }
                    | Look::PartitionCertificate { partition, .. }
                    | Look::Addresses { partition, .. } => {
                        let name = format!("slappart{partition}");
                        let tenant = view.as_ref().and_then(|view| view.partitions.get(&name));
                        now.is_told_of_partition(&name, tenant.map(Option::as_ref), told)
                    }
                    _ => now.is_told_of_computer(view.as_ref(), told, self.banged.get(&name).copied()),
                }
            })
        })
    }
}

/// The versions of the root of a title.
struct Roots<'a> {
    versions: &'a Versions,
    title: String,
}

impl Roots<'_> {
    /// The first entry of these after which it was so; of a shared one that is said, too.
    fn first(&self, from: i64, to: i64, is_so: impl Fn(Option<&Standing>, bool) -> bool) -> Option<i64> {
        let all = within(self.versions.instances.get(&self.title), from, to).into_iter();
        let mut so = all.filter(|(at, standing)| {
            // In the partition of a shared one is its host.
            let is_host = |place: &str| {
                within(self.versions.partitions.get(place), *at, *at)[0].1.is_none_or(|it| *it != self.title)
            };
            let place = standing.and_then(|standing| standing.place.as_ref());
            is_so(*standing, standing.is_some() && place.is_none_or(|(place, _)| is_host(place)))
        });
        so.next().map(|(at, _)| at)
    }
}

/// Whether that is told of the root of a title. By its name JSON-RPC finds it only if it is not shared, and of a shared one a search tells
/// another release than versions have.
fn is_found(told: &Told, standing: Option<&Standing>, is_shared: bool, is_search: bool) -> bool {
    match (told, standing) {
        (Told::Found(release), Some(standing)) => is_shared || standing.release == *release,
        (Told::Something, standing) => standing.is_some() && !is_shared,
        (Told::Nothing, standing) => standing.is_none() || (is_shared && !is_search),
        _ => false,
    }
}

/// A moment, in which something is told of a computer.
struct Now<'a> {
    versions: &'a Versions,
    at: i64,
    computer: &'a str,
}

impl Now<'_> {
    /// The root in a partition, if it is one.
    fn root(&self, partition: &str, tenant: &Tenant) -> Option<&Standing> {
        let standing = within(self.versions.instances.get(tenant.root()), self.at, self.at)[0].1?;
        let place = standing.place.as_ref().map(|(place, _)| place.as_str());
        (place == Some(&format!("{}/{partition}", self.computer))).then_some(standing)
    }

    fn is_report(&self, partition: &str, tenant: &Tenant, report: &Report) -> bool {
        // Of others than roots no reports are kept here.
        self.root(partition, tenant)
            .is_none_or(|standing| standing.report.as_ref() == Some(&reported(report)))
    }

    fn is_told_of_partition(&self, name: &str, tenant: Option<Option<&Tenant>>, told: &Told) -> bool {
        match (told, tenant) {
            (Told::Tenant(found), Some(Some(tenant))) => {
                [&found["title"], &found["instance_guid"]].contains(&&Json::from(tenant.name.as_str()))
                    && found["compute_partition_id"] == name
                    && self
                        .root(name, tenant)
                        .is_none_or(|standing| standing.is_told_by(&Standing::of_document(found, true)))
            }
            (Told::Report(report), Some(Some(tenant))) => self.is_report(name, tenant, report),
            // What was reported of it before stays.
            (Told::Report(_), Some(None)) | (Told::Something, Some(_)) => true,
            (Told::Addresses(found), Some(tenant)) => {
                if tenant.is_none_or(|tenant| tenant.state == "destroyed") {
                    return found.is_empty();
                }
                // One of a network has an interface of its own.
                let number = name.trim_start_matches("slappart").parse().map(partition_address);
                let own = number.map_or_else(|_| String::new(), |address| address.to_string());
                found.iter().any(|(interface, address)| {
                    interface == name || (interface == INTERFACE && *address == own)
                })
            }
            // A partition that is free has no document; its computer may not be there yet.
            (Told::Nothing, None) => true,
            (Told::Nothing, Some(None)) => true,
            _ => false,
        }
    }

    fn is_told_of_computer(&self, view: Option<&View>, told: &Told, banged: Option<i64>) -> bool {
        match (told, view) {
            (Told::Nothing, view) => view.is_none(),
            (Told::Something, view) => view.is_some(),
            (Told::Heard(text), Some(_)) => match text.as_deref() {
                None => true,
                Some(text) if text == format!("#access {}", self.computer) => true,
                Some(text) => {
                    text == format!("#error bang: {COMPLAINT}") && banged.is_some_and(|at| at <= self.at)
                }
            },
            (Told::Computer { partitions, releases }, Some(view)) => {
                let busy = view.partitions.iter().filter_map(|(name, tenant)| Some((name, tenant.as_ref()?)));
                let busy: BTreeMap<&String, &Tenant> = busy.collect();
                *releases == view.releases
                    && partitions.keys().eq(busy.keys().copied())
                    && partitions.iter().all(|(name, report)| self.is_report(name, busy[name], report))
            }
            _ => false,
        }
    }
}

/// Whether an event of `/events` is that entry.
fn is_entry(event: &Json, entry: &JournalEntry) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("{what} of entry {} is not what is told: {event}", entry.sequence));
    if event["sequence"].as_i64() != Some(entry.sequence) {
        return wrong("the number");
    }
    let time = jiff::Timestamp::from_microsecond(entry.at).map(|time| format!("{time:.6}"));
    if event["time"].as_str() != time.ok().as_deref() {
        return wrong("the time");
    }
    let Ok(command) = serde_json::from_str::<Command>(&entry.command) else { return wrong("the command") };
    let what = event["what"].as_str().unwrap_or_default();
    // On a terminal the answer stands behind it.
    if !what.starts_with(&command.describe()) || event["who"].as_str().is_none_or(str::is_empty) {
        return wrong("what or who");
    }
    for (key, text) in [("command", &entry.command), ("answer", &entry.answer)] {
        let told = &event[key];
        if !told.is_null() && serde_json::from_str::<Json>(text).ok().as_ref() != Some(told) {
            return wrong(key);
        }
    }
    Ok(())
}

fn computers(versions: &Versions, at: i64) -> BTreeSet<String> {
    let is_there = |(_, line): &(&String, &Line<String>)| within(Some(line), at, at)[0].1.is_some();
    versions.computers.iter().filter(is_there).map(|(name, _)| name.clone()).collect()
}

/// What must be so when a wait ends well (`slap wait --help`).
fn has_come(goal: Goal, standing: Option<&Standing>, is_shared: bool) -> bool {
    let Some(standing) = standing else { return goal == Goal::Destroyed };
    let (word, is_new) = standing.report.clone().unwrap_or_default();
    // A shared one is as well as its host.
    let is_well = is_shared || (is_new == Some(true) && matches!(word.as_str(), "started" | "stopped"));
    match goal {
        Goal::Allocated => true,
        Goal::Destroyed => false,
        Goal::Started | Goal::Green => standing.state == "started" && is_well,
        Goal::Stopped => standing.state == "stopped" && is_well,
    }
}

/// What must be so when a wait ends because it is vain.
fn cannot_come(goal: Goal, standing: Option<&Standing>) -> bool {
    let state = standing.map(|standing| standing.state.as_str());
    match goal {
        Goal::Allocated => state.is_none(),
        Goal::Destroyed => state.is_some_and(|state| state != "destroyed"),
        Goal::Started | Goal::Green => state != Some("started"),
        Goal::Stopped => state != Some("stopped"),
    }
}

#[cfg(test)]
mod tests;
