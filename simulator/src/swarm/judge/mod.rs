//! The judge of the master in a run: reads its database from outside, and holds it against the model and what users were told.
//!
//! * `replay.rs`: each entry of the journal is an event of the model; its answer and the model's rules
//! * `names.rs`: a run's texts as the model's names, and what is kept as lines that can be compared; `clocks.rs`: ranks as timestamps
//! * `versions.rs`: what was so after which entry; `sessions.rs`: what users were told, held against that, with
//!   `looks.rs`: what they looked at, typed, and told others
//! * `data.rs`: what services of instances keep
//! * `removed.rs`: releases whose removal was reported, and disks that forget it
//! * `second.rs`: a second master, judged as if users had asked it themselves
//! * `inspect.rs`: what who looks on at a run is shown
//! * this file: looks, and what must still be there of what was seen
//!
//! docs/simulation.md says what is judged and what is not.

mod clocks;
mod data;
mod inspect;
mod looks;
mod names;
mod removed;
mod replay;
mod second;
mod sessions;
mod versions;

use super::{
    cloud::{Cloud, DATABASE},
    history::History,
    knobs::Profile,
    report::Finding,
    script::{Place, Release},
    users::computer,
};
use crate::{differential::rows::Rows, world::now_instant};
use data::Data;
use names::{Lines, Names, lines_of_rows};
use replay::{Broken, Replay};
use rusqlite::Connection;
use sessions::Sessions;
use slap_impl::{
    master::decisions::Command,
    profile::source::md5_hex,
    store::{JOURNAL_ENTRIES_MAX, JournalEntry, journal_after},
};
use std::{cell::RefCell, collections::BTreeMap, path::Path, time::Duration};
use tokio::time::Instant;

/// So many of the last entries that were seen are compared at each look, and all of them at the end.
const ENTRIES_SEEN: usize = 32;
/// How often the model's rules are held against a large cloud's state: each time they look at all of it.
const RULES_EVERY: Duration = Duration::from_secs(60);
/// The rule that is broken when what was seen of the journal is not there any more.
const WENT_BACK: &str = "journal-went-back";
/// Entries that touched an object, in a finding.
const ENTRIES_TOLD: usize = 20;

/// Whether the judge looks at a rule of that name.
pub(super) fn is_rule(name: &str) -> bool {
    [replay::RULE, WENT_BACK, data::KEPT, data::OWN, removed::RULE, second::RULE].contains(&name)
        || sessions::RULES.contains(&name)
        || looks::RULES.contains(&name)
        || slap_model::rules::Rule::ALL.iter().any(|rule| rule.name() == name)
}

/// What was judged in a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// How often the database was read.
    pub looks: u64,
    /// How often all that it holds was compared with the model.
    pub comparisons: u64,
    /// Entries of the journal, by the kinds of the model's events.
    pub entries: BTreeMap<&'static str, u64>,
    /// Answers to users, by the kinds of what they asked.
    pub answers: BTreeMap<&'static str, u64>,
    /// The same of a second master.
    pub second: Option<Box<Judged>>,
}

/// Judges one run.
pub(super) struct Judge {
    start: Instant,
    is_large: bool,
    book: RefCell<Book>,
    /// That of a second master.
    other: Option<RefCell<Book>>,
    /// The releases that were gone at the last look; none when nobody could look.
    gone: RefCell<removed::Gone>,
}

/// A master that is looked at.
struct Seat<'a> {
    place: Place,
    history: &'a History,
    /// How many requests of users may have been delivered twice.
    repeated: u64,
}

struct Book {
    replay: Replay,
    data: Data,
    sessions: Sessions,
    /// The entries that were seen, with short names of their texts.
    seen: Vec<(i64, String)>,
    /// The last entries, each with its object.
    last: BTreeMap<String, Vec<String>>,
    judged: Judged,
    difference: Option<String>,
    /// How many entries the master keeps.
    entries_max: i64,
    /// When the rules of states are looked at again in a large cloud.
    rules_at: Instant,
}

impl Judge {
    pub(super) fn new(cloud: &Cloud) -> Judge {
        let is_large = cloud.knobs.profile == Profile::Scale;
        let names = Names::new(cloud.nodes().map(computer));
        let replay = Replay::new(names, !is_large, cloud.knobs.trees.is_some());
        let sessions = Sessions::new([Release::A, Release::B].map(|release| cloud.release_url(release)));
        let book = RefCell::new(Book::new(replay, sessions, JOURNAL_ENTRIES_MAX));
        let other = cloud.far_node().map(|node| {
            let replay = Replay::new(Names::new([computer(node)]), true, cloud.knobs.trees.is_some());
            RefCell::new(Book::new(replay, Sessions::new(cloud.far_releases()), JOURNAL_ENTRIES_MAX))
        });
        Judge { start: now_instant(), is_large, book, other, gone: RefCell::default() }
    }

    /// What was judged, and the difference of the states if one was found.
    pub(super) fn outcome(&self) -> (Judged, Option<String>) {
        let (judged, difference) = self.book.borrow().outcome();
        let Some(other) = &self.other else { return (judged, difference) };
        let (second, of_second) = other.borrow().outcome();
        (Judged { second: Some(Box::new(second)), ..judged }, difference.or(of_second))
    }

    /// Reads what is new, if somebody has the database open. `is_last`: all that was ever seen is looked for.
    pub(super) fn look(&self, cloud: &Cloud, history: &History, is_last: bool) -> Result<(), Finding> {
        let between = |from, to| cloud.world.link(cloud.machine(from), cloud.machine(to)).repeated();
        let users = between(Place::Users, Place::Master);
        let book = &mut *self.book.borrow_mut();
        let seat = Seat { place: Place::Master, history, repeated: users };
        let was_read = self.look_at(cloud, book, &seat, is_last)?;
        // Gone at both looks: what came back meanwhile was neither being built nor being removed.
        let now = if was_read { removed::gone(cloud, &book.replay) } else { removed::Gone::new() };
        let before = self.gone.replace(now);
        let still = &before & &*self.gone.borrow();
        removed::check(cloud, &still).map_err(|broken| self.finding(broken, book))?;
        if was_read && !self.is_large {
            let kept = book.look_at_data(cloud, cloud.nodes());
            kept.map_err(|broken| self.finding(broken, book))?;
        }
        let Some(other) = &self.other else { return Ok(()) };
        let repeated = users + between(Place::Master, Place::Other);
        let seat = Seat { place: Place::Other, history: &cloud.second.history, repeated };
        let other = &mut *other.borrow_mut();
        if self.look_at(cloud, other, &seat, is_last)? {
            let kept = other.look_at_data(cloud, cloud.far_node().into_iter());
            kept.map_err(|broken| self.finding(broken, other))?;
        }
        if !is_last || repeated > 0 {
            return Ok(());
        }
        let remembered = second::check_remembered(seat.history, |title| book.replay.is_passed_on(title));
        remembered.map_err(|broken| self.finding(broken, book))
    }

    fn finding(&self, (rule, object, what): Broken, book: &Book) -> Finding {
        let at = now_instant().duration_since(self.start);
        Finding { more: book.last.get(&object).cloned().unwrap_or_default(), at, rule, object, what }
    }

    /// Whether somebody had the database open, so that it could be read.
    fn look_at(
        &self,
        cloud: &Cloud,
        book: &mut Book,
        seat: &Seat<'_>,
        is_last: bool,
    ) -> Result<bool, Finding> {
        let kept = if is_last { book.seen.len() } else { book.seen.len().min(ENTRIES_SEEN) };
        let from = book.seen.get(book.seen.len() - kept).map_or(0, |(sequence, _)| sequence - 1);
        let last = book.seen.last().map_or(0, |(sequence, _)| *sequence);
        let mut read = None;
        // A large cloud's rows are compared at the end only.
        let is_large = self.is_large;
        let mut query = |database: &Connection| {
            let has_tables: bool = database.query_row(
                "SELECT count(*) FROM sqlite_schema WHERE name = 'journal'",
                [],
                |row| row.get(0),
            )?;
            if has_tables {
                let entries = journal_after(database, from, u32::MAX)?;
                let is_new = entries.last().is_some_and(|entry| entry.sequence > last);
                let rows = (is_last || (is_new && !is_large)).then(|| Rows::of(database)).transpose()?;
                read = Some((entries, rows));
            }
            Ok(())
        };
        if let Err(error) = cloud.machine(seat.place).look(Path::new(DATABASE), &mut query) {
            let what = format!("unreadable: {}", error.message);
            return Err(self.finding((replay::RULE.to_owned(), super::cloud::name(seat.place), what), book));
        }
        let Some((mut entries, mut rows)) = read else { return Ok(false) };
        if seat.place == Place::Other {
            entries = entries.iter().map(second::entry_as_asked).collect();
            rows = rows.map(second::rows_as_asked);
        }
        book.judged.looks += 1;
        let now = now_instant();
        let is_time = self.is_large && (is_last || now >= book.rules_at);
        let journal = book.judge(kept, &entries, rows.as_ref()).and_then(|()| match entries.last() {
            Some(entry) if is_time => {
                book.rules_at = now + RULES_EVERY;
                book.replay.violation(None, entry)
            }
            _ => Ok(()),
        });
        let told =
            journal.and_then(|()| book.sessions.look(seat.history, &book.replay.versions, seat.repeated));
        told.map(|()| true).map_err(|broken| self.finding(broken, book))
    }
}

impl Book {
    fn new(replay: Replay, sessions: Sessions, entries_max: i64) -> Book {
        let (seen, last, judged) = (Vec::new(), BTreeMap::new(), Judged::default());
        let rules_at = now_instant();
        let data = Data::default();
        Book { replay, data, sessions, seen, last, judged, difference: None, entries_max, rules_at }
    }

    fn look_at_data(&mut self, cloud: &Cloud, nodes: impl Iterator<Item = u32>) -> Result<(), Broken> {
        let turns = std::mem::take(&mut self.replay.turns);
        self.data.look(cloud, nodes, turns)
    }

    fn outcome(&self) -> (Judged, Option<String>) {
        let (entries, answers) = (self.replay.kinds.clone(), self.sessions.answers.clone());
        (Judged { entries, answers, ..self.judged.clone() }, self.difference.clone())
    }

    fn judge(&mut self, kept: usize, entries: &[JournalEntry], rows: Option<&Rows>) -> Result<(), Broken> {
        // The oldest may have been dropped since they were seen.
        let newest = entries.last().map_or(0, |entry| entry.sequence);
        let first = entries.first().map_or(0, |entry| entry.sequence);
        let is_dropped = |sequence: i64| sequence < first && sequence <= newest - self.entries_max;
        let seen = &self.seen[self.seen.len() - kept..];
        let seen = &seen[seen.iter().take_while(|(sequence, _)| is_dropped(*sequence)).count()..];
        for (index, (sequence, name)) in seen.iter().enumerate() {
            let found = entries.get(index);
            if found.is_none_or(|entry| entry.sequence != *sequence || name_of(entry) != *name) {
                let what = format!("entry {sequence} was seen, and in its place is now {found:?}");
                return Err((WENT_BACK.to_owned(), "master".to_owned(), what));
            }
        }
        let new = &entries[seen.len()..];
        for entry in new {
            let expected = self.seen.last().map_or(1, |(sequence, _)| sequence + 1);
            if entry.sequence != expected {
                let what = format!("entry {} comes where {expected} should", entry.sequence);
                return Err((replay::RULE.to_owned(), "master".to_owned(), what));
            }
            self.seen.push((entry.sequence, name_of(entry)));
            self.note(entry);
            self.sessions.note(entry);
            looks::is_nobodys(entry)?;
            self.replay.step(entry)?;
        }
        match rows {
            Some(rows) => self.compare(&lines_of_rows(rows)),
            None => Ok(()),
        }
    }

    fn note(&mut self, entry: &JournalEntry) {
        let Ok(command) = serde_json::from_str::<Command>(&entry.command) else { return };
        let line = format!("entry {} at {}: {} -> {}", entry.sequence, entry.at, entry.command, entry.answer);
        let lines = self.last.entry(replay::object(&command)).or_default();
        if lines.len() == ENTRIES_TOLD {
            lines.remove(0);
        }
        lines.push(line);
    }

    /// What the database holds is what the model keeps.
    fn compare(&mut self, found: &Lines) -> Result<(), Broken> {
        self.judged.comparisons += 1;
        let expected = self.replay.lines();
        if expected == *found {
            return Ok(());
        }
        let mut text = String::new();
        let mut first = None;
        for (object, model, master) in inspect::differences(&expected, found) {
            let difference = format!("{object}\n  model:  {model}\n  master: {master}\n");
            first.get_or_insert((object.clone(), format!("the model: {model}; the master: {master}")));
            text.push_str(&difference);
        }
        self.difference = Some(text);
        let (object, what) = first.unwrap_or_default();
        Err((replay::RULE.to_owned(), object, what))
    }
}

/// A short name for all that an entry says.
fn name_of(entry: &JournalEntry) -> String {
    md5_hex(format!("{}\n{}\n{}", entry.at, entry.command, entry.answer).as_bytes())
}

#[cfg(test)]
mod tests;
