//! What a master keeps besides what the model says of it: when reports came, what is in the journal, how often a view changed. The model has
//! no dates and no numbers; but from the events and the model's states follows what each row must hold.

use super::{
    difference::{Part, compare, json},
    names::{Name, microseconds, reference_text},
    picture::{ROOT_SETTING, WORDS},
    question::{COMPUTER_ADDRESS, MESSAGE},
    rows::{Entry, InstanceRow, PartitionRow, Rows, Setting},
};
use serde::Serialize;
use serde_json::Value;
use slap_model::{
    Event, Reply, State,
    event::{ReleaseReport, Report, Word},
    names::{Computer, Number, Partition, Place, Reference, Release},
    state::{Seen, View},
};
use std::collections::{BTreeMap, BTreeSet};

/// What the database notes of free partitions follows from its other rows, and computers have their place in the natural order.
fn rooms(rows: &Rows, parts: &mut Vec<Part>) {
    let is_vacant = |row: &&PartitionRow| {
        let is_here = |instance: &&InstanceRow| {
            instance.computer.as_ref() == Some(&row.computer)
                && instance.partition.as_ref() == Some(&row.reference)
        };
        row.listed && !rows.instances.iter().any(|instance| is_here(&instance))
    };
    let names = |vacant: &mut dyn Iterator<Item = &PartitionRow>| -> Vec<(String, String)> {
        vacant.map(|row| (row.computer.clone(), row.reference.clone())).collect()
    };
    let expected = names(&mut rows.partitions.iter().filter(is_vacant));
    let found = names(&mut rows.partitions.iter().filter(|row| row.vacant));
    compare("books.vacant", &json(&expected), &json(&found), parts);
    for row in &rows.computers {
        let count = expected.iter().filter(|(computer, _)| *computer == row.reference).count();
        compare("books.vacancies", &json(&count), &json(&row.vacancies), parts);
        compare("books.has_vacancy", &json(&(count > 0)), &json(&row.has_vacancy), parts);
    }
    // The names stand for the model's computers, whose numbers are their order; the first is the default one, wherever it stands.
    let number = |name: &String| Name::find(name).ok().map(|name: Computer| name);
    let others = rows.computers.iter().filter(|row| number(&row.reference) != Some(Computer(0)));
    let mut expected: Vec<(&Vec<u8>, &String)> = others.map(|row| (&row.sort_key, &row.reference)).collect();
    let mut found = expected.clone();
    found.sort();
    expected.sort_by_key(|(_, name)| number(name));
    compare("books.order", &json(&expected), &json(&found), parts);
}

/// One event, as both sides answered it.
pub(super) struct Done<'a> {
    /// The model's state before.
    pub(super) before: &'a State,
    /// What happened, at the master.
    pub(super) event: &'a Event,
    /// Whether it was a call of a JSON-RPC method.
    pub(super) is_call: bool,
    /// What the model answered.
    pub(super) reply: &'a Reply,
    /// The model's state after.
    pub(super) after: &'a State,
}

impl Done<'_> {
    /// The master's clock, in microseconds since 1970.
    pub(super) fn now(&self) -> i64 {
        microseconds(self.before.now + 1)
    }
}

/// What is known of the rows so far.
#[derive(Default)]
pub(super) struct Books {
    last: Option<Rows>,
    /// What the last format said of a computer: its address and its netmask.
    addresses: BTreeMap<Computer, (&'static str, &'static str)>,
    /// The releases of a computer, in the order in which they were first asked for.
    supplies: BTreeMap<Computer, Vec<Release>>,
    /// The reports that are kept, each under its computer, its kind and its name.
    reports: BTreeMap<Key, Kept>,
    /// What the nodes see, and in which order.
    views: BTreeMap<Computer, (View, Vec<Partition>, Vec<Release>)>,
    highest_number: i64,
    /// The last entry of the journal, and the bytes of all until it.
    journal: (i64, i64),
    /// The instances, in the order in which they were made.
    order: Vec<Number>,
    /// When the computers were last heard of, in microseconds since 1970. The master keeps it in its memory.
    contacts: BTreeMap<Computer, i64>,
}

type Key = (String, &'static str, String);

/// What is shown of a computer's partitions.
type Shown = BTreeMap<Partition, Option<Seen>>;

/// A report, as it must be kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Kept {
    pub(super) text: String,
    pub(super) state: String,
    pub(super) created_at: i64,
    pub(super) since: i64,
    pub(super) log: String,
    pub(super) about: i64,
}

impl Books {
    /// The sequence of the last entry of the journal.
    pub(super) fn sequence(&self) -> i64 {
        self.journal.0
    }

    /// What is kept about the instance in a partition.
    pub(super) fn on_partition(&self, place: Place) -> Option<&Kept> {
        self.reports.get(&partition_key(place))
    }

    /// What is kept about a release.
    pub(super) fn on_release(&self, computer: Computer, release: Release) -> Option<&Kept> {
        self.reports.get(&(computer.text(), "release", release.text()))
    }

    /// What is kept about a shared instance.
    pub(super) fn on_shared(&self, reference: Reference) -> Option<&Kept> {
        self.reports.get(&shared_key(reference))
    }

    /// The last that is known of a computer: its bang, or that it was heard of since.
    pub(super) fn on_computer(&self, computer: Computer) -> Option<Kept> {
        let bang = self.reports.get(&(computer.text(), "computer", String::new()));
        match self.contacts.get(&computer) {
            Some(at) if bang.is_none_or(|bang| bang.created_at <= *at) => Some(Kept {
                text: format!("#access {}", computer.text()),
                state: String::new(),
                created_at: *at,
                since: *at,
                log: String::new(),
                about: 0,
            }),
            _ => bang.cloned(),
        }
    }

    /// The instances, in the order in which they were made.
    pub(super) fn in_order(&self) -> impl Iterator<Item = Number> {
        self.order.iter().copied()
    }

    /// The releases of a computer, in the order in which they were first asked for.
    pub(super) fn releases_of(&self, computer: Computer) -> &[Release] {
        self.supplies.get(&computer).map_or(&[], Vec::as_slice)
    }

    /// A computer read something, or what only it asks was asked in its name.
    pub(super) fn heard(&mut self, computer: Computer, at: i64) {
        self.contacts.insert(computer, at);
    }

    /// In what the rows differ from what they must be after an event.
    pub(super) fn check(&mut self, done: &Done<'_>, rows: Rows, entries: &[Entry]) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut expect = |place: &str, expected: Value, found: Value| {
            compare(&format!("books.{place}"), &expected, &found, &mut parts);
        };
        self.note(done);
        if let Some(last) = &self.last {
            // What moves is in the picture.
            let text = |rows: &Rows| {
                let stays = |setting: &&Setting| setting.name != ROOT_SETTING;
                format!("{:?}", rows.settings.iter().filter(stays).collect::<Vec<_>>())
            };
            expect("settings", text(last).into(), text(&rows).into());
        }
        let found: BTreeMap<_, _> =
            rows.computers.iter().map(|row| (&row.reference, (&row.address, &row.netmask))).collect();
        let expected: BTreeMap<_, _> = found
            .keys()
            .map(|name| {
                let said = Name::find(name).ok().and_then(|name: Computer| self.addresses.get(&name));
                (name, said.copied().unwrap_or_default())
            })
            .collect();
        expect("computers", json(&expected), json(&found));
        for (computer, releases) in &self.supplies {
            let own = rows.supplies.iter().filter(|row| row.computer == computer.text());
            let found: Vec<&String> = own.map(|row| &row.url).collect();
            let expected: Vec<String> = releases.iter().map(|release| release.text()).collect();
            expect("supplies", json(&expected), json(&found));
        }
        let found: BTreeMap<String, Kept> = rows
            .statuses
            .iter()
            .map(|row| {
                let kept = Kept {
                    text: row.text.clone(),
                    state: row.state.clone(),
                    created_at: row.created_at,
                    since: row.since,
                    log: row.log.clone(),
                    about: row.about,
                };
                (format!("{} {} {}", row.computer, row.kind, row.name), kept)
            })
            .collect();
        let expected: BTreeMap<String, &Kept> = self
            .reports
            .iter()
            .map(|((computer, kind, name), kept)| (format!("{computer} {kind} {name}"), kept))
            .collect();
        // The names hold full stops and digits: they are no places.
        let nameless =
            |map: Value| Value::Array(map.as_object().into_iter().flatten().map(|it| json(&it)).collect());
        expect("reports", nameless(json(&expected)), nameless(json(&found)));
        self.numbers(done, &rows, &mut parts);
        rooms(&rows, &mut parts);
        self.revisions(done, &rows, &mut parts);
        self.journal(done, &rows, entries, &mut parts);
        self.last = Some(rows);
        parts
    }

    /// Takes from an event what its rows must hold.
    fn note(&mut self, done: &Done<'_>) {
        if let (Event::Format { computer, .. }, Reply::Done | Reply::Kept(_)) = (done.event, done.reply) {
            // A call says no address.
            self.addresses.insert(*computer, if done.is_call { ("", "") } else { COMPUTER_ADDRESS });
        }
        if matches!(done.event, Event::Rebase(_)) {
            // It is another run of the master.
            self.contacts.clear();
        }
        for (computer, registered) in &done.after.computers {
            let known = self.supplies.entry(*computer).or_default();
            for release in known.iter_mut() {
                let moved = release.moved(done.before.root, done.after.root);
                if !registered.supplies.contains_key(release) && registered.supplies.contains_key(&moved) {
                    *release = moved;
                }
            }
            known.retain(|release| registered.supplies.contains_key(release));
            let new = registered.supplies.keys().find(|release| !known.contains(release));
            known.extend(new);
        }
        let there = &done.after.instances;
        self.order.retain(|number| there.contains_key(number));
        let new: Vec<Number> = there.keys().filter(|number| !self.order.contains(number)).copied().collect();
        self.order.extend(new);
        self.note_contact(done);
        if let Some((key, text, state, log, about)) = report(done) {
            let before = self.reports.get(&key);
            let word = |text: &str| text.split(' ').next().map(str::to_owned);
            let is_same = before.is_some_and(|before| word(&before.text) == word(&text));
            let since = before.filter(|_| is_same).map_or(done.now(), |before| before.since);
            // Only some reports say a state; between them the last one stays.
            let state = state.or(before.map(|before| before.state.clone())).unwrap_or_default();
            let log = log.to_owned();
            self.reports.insert(key, Kept { text, state, created_at: done.now(), since, log, about });
        }
        let there = reports_of(done.after);
        self.reports.retain(|key, _| there.contains(key));
    }

    /// What a node reads or reports is a sign of life; reports only of one that read something before. A call about an instance does not
    /// name its computer.
    fn note_contact(&mut self, done: &Done<'_>) {
        let (computer, may_be_first) = match done.event {
            Event::Look(computer) if matches!(done.reply, Reply::View(_)) => (*computer, true),
            Event::ReportRelease { computer, .. } => (*computer, false),
            Event::Report(Report { place, .. })
            | Event::Bang { place, .. }
            | Event::Publish { place, .. }
            | Event::ReportSharedError { place, .. }
                if !done.is_call =>
            {
                (place.computer, false)
            }
            _ => return,
        };
        if may_be_first || self.contacts.contains_key(&computer) {
            self.heard(computer, done.now());
        }
    }

    /// An instance's number is never used again.
    fn numbers(&mut self, done: &Done<'_>, rows: &Rows, parts: &mut Vec<Part>) {
        let before: BTreeSet<i64> =
            self.last.iter().flat_map(|rows| &rows.instances).map(|row| row.number).collect();
        let now: BTreeSet<i64> = rows.instances.iter().map(|row| row.number).collect();
        let new: Vec<&i64> = now.difference(&before).collect();
        let is_new = |number: &&u16| !done.before.instances.contains_key(number);
        let expected = done.after.instances.keys().filter(is_new).count();
        compare("books.numbers.new", &json(&expected), &json(&new.len()), parts);
        let reused: Vec<_> = new.iter().filter(|number| ***number <= self.highest_number).collect();
        compare("books.numbers.reused", &json(&[0; 0]), &json(&reused), parts);
        self.highest_number = self.highest_number.max(now.last().copied().unwrap_or(0));
    }

    /// A computer's revision grows when its view changes, and only then.
    fn revisions(&mut self, done: &Done<'_>, rows: &Rows, parts: &mut Vec<Part>) {
        for (computer, registered) in &done.after.computers {
            let releases = self.supplies.get(computer).cloned().unwrap_or_default();
            let view = (done.after.view(*computer), registered.ordered(), releases);
            // The default computer is known before anything of it is kept.
            let is_changed = self.views.insert(*computer, view.clone()).unwrap_or_default() != view;
            let revision = |rows: &Rows| {
                let mut rows = rows.computers.iter();
                rows.find(|row| row.reference == computer.text()).map(|row| row.revision)
            };
            let Some(before) = self.last.as_ref().and_then(revision) else { continue };
            let has_grown = revision(rows).is_some_and(|now| now > before);
            let has_fallen = revision(rows).is_none_or(|now| now < before);
            // Other addresses of free partitions are not shown, but they may become a revision.
            let may_grow =
                is_changed || matches!(done.event, Event::Format { computer: of, .. } if of == computer);
            let expected = is_changed || (may_grow && has_grown);
            compare("books.revision.grows", &json(&expected), &json(&has_grown), parts);
            compare("books.revision.falls", &json(&false), &json(&has_fallen), parts);
            let shown = (done.before.view(*computer).partitions, view.0.partitions);
            self.partition_revisions(done, rows, *computer, &shown, parts);
        }
    }

    /// The revision of a partition is its computer's when what is shown of it changes, and stays otherwise.
    fn partition_revisions(
        &self,
        done: &Done<'_>,
        rows: &Rows,
        computer: Computer,
        (before, after): &(Shown, Shown),
        parts: &mut Vec<Part>,
    ) {
        let find = |rows: &Rows, partition: Partition| {
            let is_it =
                |row: &&PartitionRow| row.computer == computer.text() && row.reference == partition.text();
            rows.partitions.iter().find(is_it).map(|row| row.revision)
        };
        let now = rows.computers.iter().find(|row| row.reference == computer.text()).map(|row| row.revision);
        for (partition, seen) in after {
            let (found, last) =
                (find(rows, *partition), self.last.as_ref().and_then(|last| find(last, *partition)));
            // A format may write all partitions again when one of them changed.
            let may_grow = matches!(done.event, Event::Format { computer: of, .. } if *of == computer);
            let is_changed = before.get(partition) != Some(seen);
            let expected = if is_changed || (may_grow && found != last) { now } else { last };
            compare("books.partition.revision", &json(&expected), &json(&found), parts);
        }
    }

    /// What changed stands in the journal, once, as it was asked and answered; what changed nothing does not, or says so.
    fn journal(&mut self, done: &Done<'_>, rows: &Rows, entries: &[Entry], parts: &mut Vec<Part>) {
        let is_changed = match &self.last {
            Some(last) => last != rows,
            None => !rows.computers.is_empty(),
        };
        let may_be_kept = !matches!(done.reply, Reply::Refused(_) | Reply::Local | Reply::View(_));
        if is_changed && !may_be_kept {
            compare("books.changed", &json(&false), &json(&true), parts);
        }
        let least = usize::from(is_changed);
        let most = usize::from(may_be_kept);
        let count = entries.len().clamp(least, most.max(least));
        compare("books.journal.entries", &json(&count), &json(&entries.len()), parts);
        for entry in entries {
            let expected = (self.journal.0 + 1, done.now(), self.journal.1);
            compare(
                "books.journal.row",
                &json(&expected),
                &json(&(entry.sequence, entry.at, entry.bytes)),
                parts,
            );
            let bytes = entry.bytes + (entry.command.len() + entry.answer.len()) as i64;
            self.journal = (entry.sequence, bytes);
            super::journal::check(done, rows, entry, parts);
        }
    }
}

fn partition_key(place: Place) -> Key {
    (place.computer.text(), "partition", place.partition.text())
}

fn shared_key(reference: Reference) -> Key {
    (String::new(), "shared", reference_text(reference))
}

/// The reports that a state keeps.
fn reports_of(state: &State) -> BTreeSet<Key> {
    let mut keys = BTreeSet::new();
    for (computer, registered) in &state.computers {
        if registered.banged {
            keys.insert((computer.text(), "computer", String::new()));
        }
        for (release, supply) in &registered.supplies {
            if supply.status.is_some() {
                keys.insert((computer.text(), "release", release.text()));
            }
        }
        for (partition, slot) in &registered.partitions {
            if slot.status.is_some() {
                keys.insert(partition_key(Place { computer: *computer, partition: *partition }));
            }
        }
    }
    let shared = state.instances.values().filter_map(|instance| instance.shared);
    keys.extend(shared.filter(|shared| shared.status.is_some()).map(|shared| shared_key(shared.reference)));
    keys
}

/// The text of a report on an instance.
pub(super) fn text_of(word: Word) -> &'static str {
    let found = WORDS.iter().find(|(_, other)| *other == word);
    found.map(|(text, _)| *text).unwrap_or_default()
}

/// What a report that was taken must be kept as: its key, text, state if it says one, log, and the timestamp that it is about.
fn report(done: &Done<'_>) -> Option<(Key, String, Option<String>, &'static str, i64)> {
    if *done.reply != Reply::Done {
        return None;
    }
    let on_partition = |place: Place, word: Word| {
        let about = done.after.slot(place)?.status?.about;
        let state = match word {
            Word::Started => Some("started".to_owned()),
            Word::Stopped => Some("stopped".to_owned()),
            Word::Error | Word::Bang | Word::Destroyed => None,
        };
        let log = if word == Word::Error { MESSAGE } else { "" };
        Some((partition_key(place), text_of(word).to_owned(), state, log, microseconds(about)))
    };
    match done.event {
        Event::Report(Report { word: Word::Destroyed, .. }) => None,
        // A late one is heard, and what came since stays.
        Event::Report(Report { place, word: Word::Bang, about: Some(about) })
            if done.before.slot(*place)?.status.is_some_and(|old| old.about > *about) =>
        {
            None
        }
        Event::Report(Report { place, word, .. }) => on_partition(*place, *word),
        Event::Bang { place, shared: None } => on_partition(*place, Word::Bang),
        Event::Bang { shared: Some(shared), .. } => {
            Some((shared_key(*shared), text_of(Word::Bang).to_owned(), None, "", 0))
        }
        Event::ReportSharedError { shared, .. } => {
            Some((shared_key(*shared), text_of(Word::Error).to_owned(), None, MESSAGE, 0))
        }
        Event::BangComputer(computer) => {
            let key = (computer.text(), "computer", String::new());
            Some((key, format!("#error bang: {MESSAGE}"), None, "", 0))
        }
        Event::ReportRelease { computer, release, report } => {
            let url = release.text();
            let (text, log) = match report {
                ReleaseReport::Building => (format!("#building software release {url}"), ""),
                ReleaseReport::Available => (format!("#access software release {url} available"), ""),
                ReleaseReport::Error => (format!("#error while installing {url}"), MESSAGE),
                ReleaseReport::Destroyed => return None,
            };
            Some(((computer.text(), "release", url), text, None, log, 0))
        }
        _ => None,
    }
}
