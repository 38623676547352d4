//! What was written to one thing as a whole and is read as a whole: the connection parameters of the instance in a partition,
//! and the entry of a shared instance in its host's list. A read gives a write that began before it ended, and that nothing
//! overwrote for sure before it began.

use super::{
    Found, Promise,
    places::{Deeds, deeds, sights, touches},
    window::Cutoff,
};
use crate::histories::history::{Action, Answer, Operation, Outcome, Value, Wish};
use slap_model::{
    Rule,
    event::Wanted,
    names::{Place, Title},
};
use std::collections::BTreeMap;

pub(super) fn check(found: &mut Found<'_>) {
    connections(found);
    shared(found);
}

/// What is published stays until something else is, or the instance is gone.
fn connections(found: &mut Found<'_>) {
    let history = found.history;
    let mut writes: BTreeMap<Place, Vec<(usize, Value)>> = BTreeMap::new();
    for (index, operation) in
        history.iter().enumerate().filter(|(_, operation)| operation.may_have_happened())
    {
        match operation.action {
            Action::Publish { place, connection } => {
                writes.entry(place).or_default().push((index, connection))
            }
            Action::Destroyed { place, .. } => writes.entry(place).or_default().push((index, 0)),
            _ => {}
        }
    }
    for (place, sights) in sights(history) {
        let writes = writes.get(&place).map_or(&[][..], Vec::as_slice);
        let acknowledged = writes.iter().filter(|(index, _)| history[*index].is_acknowledged());
        let cutoff = Cutoff::of(acknowledged.map(|(index, _)| (*index, &history[*index])));
        let mut by_value: BTreeMap<Value, Vec<usize>> = BTreeMap::new();
        writes.iter().for_each(|(index, value)| by_value.entry(*value).or_default().push(*index));
        for (index, seen) in &sights.busy {
            let read = &history[*index];
            let last = cutoff.at(read.invoked);
            let from = last.map_or(0, |(from, _)| from);
            let writers = by_value.get(&seen.connection).into_iter().flatten();
            let can = |writer: &usize| {
                history[*writer].invoked < read.returned && history[*writer].returned >= from
            };
            let is_first = seen.connection == 0 && last.is_none();
            if !is_first && !writers.into_iter().any(can) {
                let what = "its connection parameters were overwritten before, or never published";
                let shown_by: Vec<usize> = last.iter().map(|(_, by)| *by).chain([*index]).collect();
                let promise = Promise::Rule(Rule::PublishedIsKept);
                found.add(promise, place, what, &shown_by, |operation| touches(operation, place));
            }
        }
    }
}

/// A request for a shared instance, by its index.
type Wished<'a> = (usize, &'a Wish);

/// What users request of shared instances stands in the lists of their hosts.
fn shared(found: &mut Found<'_>) {
    let history = found.history;
    let mut wishes: BTreeMap<Title, Vec<Wished<'_>>> = BTreeMap::new();
    for (index, operation) in
        history.iter().enumerate().filter(|(_, operation)| operation.may_have_happened())
    {
        if let Action::Request(wish) = &operation.action
            && wish.shared
            && wish.by.is_none()
        {
            wishes.entry(wish.title).or_default().push((index, wish));
        }
    }
    let deeds = deeds(history);
    for (title, wishes) in &wishes {
        let acknowledged = wishes.iter().filter(|(index, _)| history[*index].is_acknowledged());
        let cutoff = Cutoff::of(acknowledged.map(|(index, _)| (*index, &history[*index])));
        let register = Shared { title: *title, wishes, cutoff, deeds: &deeds };
        for (index, operation) in history.iter().enumerate() {
            register.read(index, operation, found);
        }
    }
}

struct Shared<'a> {
    title: Title,
    wishes: &'a [Wished<'a>],
    cutoff: Cutoff,
    deeds: &'a BTreeMap<Place, Deeds>,
}

impl Shared<'_> {
    fn read(&self, index: usize, read: &Operation, found: &mut Found<'_>) {
        let Action::Read { computer, .. } = read.action else { return };
        let Outcome::Answer(Answer::View(view)) = &read.outcome else { return };
        let last = self.cutoff.at(read.invoked);
        let hosts = view.partitions.iter().filter_map(|(partition, seen)| {
            let value = seen.as_ref()?.shared.get(&(None, self.title))?;
            Some((Place { computer, partition: *partition }, *value))
        });
        let listed: BTreeMap<Place, Value> = hosts.collect();
        for value in listed.values() {
            if !self.is_wished(*value, last.map_or(0, |(from, _)| from), read, found) {
                let shown_by = last.iter().map(|(_, by)| *by).chain([index]).collect();
                self.add("it is listed with what was overwritten before, or never wished", shown_by, found);
            }
        }
        let Some((from, by)) = last else { return };
        if let Some(host) = self.host(from, by, read, found)
            && host.computer == computer
            && !listed.contains_key(&host)
        {
            self.add("it was started, and its host does not list it", vec![by, index], found);
        }
    }

    /// Whether a wish for that is not overwritten at the time of a read.
    fn is_wished(&self, value: Value, from: u64, read: &Operation, found: &Found<'_>) -> bool {
        self.wishes.iter().any(|(index, wish)| {
            let writer = &found.history[*index];
            let may_start = !matches!(wish.state, Some(Wanted::Stopped | Wanted::Destroyed));
            wish.parameters == value && may_start && writer.invoked < read.returned && writer.returned >= from
        })
    }

    /// Where it must be listed: the host of the last wish, if that was to start it, nothing else was wished since it was
    /// asked, and the host was not freed.
    fn host(&self, from: u64, by: usize, read: &Operation, found: &Found<'_>) -> Option<Place> {
        let history = found.history;
        let is_later = |(index, _): &Wished<'_>| {
            *index != by && history[*index].returned >= from && history[*index].invoked < read.returned
        };
        let (_, wish) = self.wishes.iter().find(|(index, _)| *index == by)?;
        let host = history[by].given()?.place?;
        let is_freed = self.deeds.get(&host).is_some_and(|it| it.freed.any_between(from, read.returned));
        let is_alone = wish.state == Some(Wanted::Started) && !self.wishes.iter().any(is_later);
        (is_alone && !is_freed).then_some(host)
    }

    fn add(&self, what: &str, shown_by: Vec<usize>, found: &mut Found<'_>) {
        let title = self.title;
        found.add(Promise::Rule(Rule::ViewListsStarted), title, what, &shown_by, |operation| {
            matches!(&operation.action, Action::Request(wish) if wish.shared && wish.title == title)
        });
    }
}
