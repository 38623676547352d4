//! Each partition. Its timestamp grows with whatever its node shall do otherwise, so timestamps put what was seen of it into
//! an order: its versions. One version is one instance with one content; a later version is not seen before an earlier one;
//! and each difference between two versions needs an operation that could have made it just then.

use super::{Found, Promise, window::Windows};
use crate::histories::history::{Action, Answer, OPEN, Operation, Outcome, Seen, Value};
use slap_model::{
    Rule,
    event::Wanted,
    names::{Computer, Partition, Place, Title},
};
use std::collections::{BTreeMap, BTreeSet};

/// What was seen of a partition.
#[derive(Default)]
pub(super) struct Sights<'a> {
    /// An instance, by the index of the operation that saw it.
    pub(super) busy: Vec<(usize, &'a Seen)>,
    /// The indexes of operations that saw that it is free.
    pub(super) free: Vec<usize>,
}

/// What was done to a partition.
#[derive(Default)]
pub(super) struct Deeds {
    /// What may have freed it.
    pub(super) freed: Windows,
    /// What left it free for sure.
    emptied: Windows,
    /// What may have renamed its instance.
    pub(super) renamed: Windows,
    /// The new titles of those.
    titles: Vec<(usize, Title)>,
}

/// What was seen of each partition, in the order of invocations.
pub(super) fn sights<'a>(history: &'a [Operation]) -> BTreeMap<Place, Sights<'a>> {
    let mut sights: BTreeMap<Place, Sights<'a>> = BTreeMap::new();
    let mut known: BTreeMap<Computer, BTreeSet<Partition>> = BTreeMap::new();
    for operation in history {
        if let Action::Format { computer, partitions } = &operation.action {
            known.entry(*computer).or_default().extend(partitions);
        }
    }
    for (index, operation) in history.iter().enumerate() {
        let Outcome::Answer(answer) = &operation.outcome else { continue };
        let mut add = |place: Place, seen: Option<&'a Seen>| {
            let sights = sights.entry(place).or_default();
            match seen {
                Some(seen) => sights.busy.push((index, seen)),
                None => sights.free.push(index),
            }
        };
        match (&operation.action, answer) {
            (Action::Request(wish), Answer::Given(given)) if !wish.shared => {
                given.place.into_iter().for_each(|place| add(place, Some(&given.seen)));
            }
            (Action::ReadPartition { place }, Answer::Partition(seen)) => add(*place, seen.as_ref()),
            (Action::Read { computer, .. }, Answer::View(view)) => {
                // A partition that the last format no longer had is not there only when it is free.
                let all = known.get(computer).into_iter().flatten().chain(view.partitions.keys());
                for partition in all.collect::<BTreeSet<_>>() {
                    let seen = view.partitions.get(partition).and_then(Option::as_ref);
                    add(Place { computer: *computer, partition: *partition }, seen);
                }
            }
            _ => {}
        }
    }
    sights
}

/// What was done to each partition.
pub(super) fn deeds(history: &[Operation]) -> BTreeMap<Place, Deeds> {
    let mut deeds: BTreeMap<Place, Deeds> = BTreeMap::new();
    for (index, operation) in
        history.iter().enumerate().filter(|(_, operation)| operation.may_have_happened())
    {
        match operation.action {
            Action::Destroyed { place, .. } => {
                let deeds = deeds.entry(place).or_default();
                deeds.freed.add(index, operation);
                if operation.is_acknowledged() {
                    deeds.emptied.add(index, operation);
                }
            }
            Action::Rename { place, title } => {
                let deeds = deeds.entry(place).or_default();
                deeds.renamed.add(index, operation);
                deeds.titles.push((index, title));
            }
            _ => {}
        }
    }
    deeds
}

pub(super) fn check(found: &mut Found<'_>) {
    let history = found.history;
    let deeds = deeds(history);
    let wishes = Wishes::of(history);
    let nothing = Deeds::default();
    for (place, sights) in sights(history) {
        let deeds = deeds.get(&place).unwrap_or(&nothing);
        Partitioned { place, history, deeds, wishes: &wishes }.check(&sights, found);
    }
}

/// Who may have wished what.
struct Wishes {
    by_value: BTreeMap<Value, Vec<usize>>,
    by_state: BTreeMap<(Wanted, Title), Windows>,
    /// What users wish reaches whole trees.
    roots: BTreeMap<Wanted, Windows>,
}

impl Wishes {
    fn of(history: &[Operation]) -> Wishes {
        let mut wishes =
            Wishes { by_value: BTreeMap::new(), by_state: BTreeMap::new(), roots: BTreeMap::new() };
        for (index, operation) in history.iter().enumerate().filter(|(_, it)| it.may_have_happened()) {
            let Action::Request(wish) = &operation.action else { continue };
            wishes.by_value.entry(wish.parameters).or_default().push(index);
            let Some(state) = wish.state else { continue };
            wishes.by_state.entry((state, wish.title)).or_default().add(index, operation);
            if wish.by.is_none() {
                wishes.roots.entry(state).or_default().add(index, operation);
            } else if state == Wanted::Started {
                // In a stopped tree that means stopped.
                wishes.by_state.entry((Wanted::Stopped, wish.title)).or_default().add(index, operation);
            }
        }
        wishes
    }
}

struct Partitioned<'a, 'b> {
    place: Place,
    history: &'a [Operation],
    deeds: &'b Deeds,
    wishes: &'b Wishes,
}

/// What was seen at one timestamp.
struct Version<'a> {
    sights: Vec<(usize, &'a Seen)>,
    /// The version was still there at the latest of these moments, and there already at the earliest.
    last_invoked: u64,
    first_returned: u64,
}

impl<'a> Partitioned<'a, '_> {
    fn check(&self, sights: &Sights<'a>, found: &mut Found<'a>) {
        self.grows(sights, found);
        self.stays(sights, found);
        let mut versions: BTreeMap<u64, Version<'a>> = BTreeMap::new();
        for (index, seen) in &sights.busy {
            self.was_wished(*index, seen, found);
            let fresh = Version { sights: Vec::new(), last_invoked: 0, first_returned: OPEN };
            let version = versions.entry(seen.timestamp.unwrap_or(0)).or_insert(fresh);
            version.sights.push((*index, seen));
            version.last_invoked = version.last_invoked.max(self.history[*index].invoked);
            version.first_returned = version.first_returned.min(self.history[*index].returned);
        }
        for version in versions.values() {
            self.is_one(version, found);
            self.does_not_come_back(version, sights, found);
        }
        for (before, after) in versions.values().zip(versions.values().skip(1)) {
            self.is_explained(before, after, found);
        }
    }

    fn add(&self, promise: Promise, what: &str, shown_by: &[usize], found: &mut Found<'a>) {
        let place = self.place;
        found.add(promise, place, what, shown_by, |operation| touches(operation, place));
    }

    /// What returned before another began did not see a later timestamp.
    fn grows(&self, sights: &Sights<'a>, found: &mut Found<'a>) {
        let mut returned: Vec<(u64, u64, usize)> = sights
            .busy
            .iter()
            .map(|(index, seen)| (self.history[*index].returned, seen.timestamp.unwrap_or(0), *index))
            .collect();
        returned.sort_unstable();
        let (mut next, mut newest) = (0, (0, 0));
        for (index, seen) in &sights.busy {
            while next < returned.len() && returned[next].0 < self.history[*index].invoked {
                newest = newest.max((returned[next].1, returned[next].2));
                next += 1;
            }
            if seen.timestamp.unwrap_or(0) < newest.0 {
                let what = "an earlier version is seen after a later one";
                self.add(Promise::MonotonicReads, what, &[newest.1, *index], found);
            }
        }
    }

    /// What was seen in it is there until it may have been freed.
    fn stays(&self, sights: &Sights<'a>, found: &mut Found<'a>) {
        let mut returned: Vec<(u64, u64, usize)> = sights
            .busy
            .iter()
            .map(|(index, _)| (self.history[*index].returned, self.history[*index].invoked, *index))
            .collect();
        returned.sort_unstable();
        let (mut next, mut last) = (0, None);
        for index in &sights.free {
            let free = &self.history[*index];
            while next < returned.len() && returned[next].0 < free.invoked {
                last = last.max(Some((returned[next].1, returned[next].2)));
                next += 1;
            }
            if let Some((invoked, seen_by)) = last
                && !self.deeds.freed.any_between(invoked, free.returned)
            {
                let what = "its instance is gone, and nobody can have reported it destroyed";
                self.add(Promise::ReadYourWrites, what, &[seen_by, *index], found);
            }
        }
    }

    /// Somebody wished just that before it was seen.
    fn was_wished(&self, index: usize, seen: &Seen, found: &mut Found<'a>) {
        let writers = self.wishes.by_value.get(&seen.parameters).into_iter().flatten();
        let is_it = |writer: &usize| {
            let Action::Request(wish) = &self.history[*writer].action else { return false };
            self.history[*writer].invoked < self.history[index].returned
                && !wish.shared
                && wish.release == seen.release
        };
        if !writers.into_iter().any(is_it) {
            let what = "nobody wished what is seen in it";
            self.add(Promise::Rule(Rule::ViewIsTrue), what, &[index], found);
        }
    }

    /// One version is one instance with one content; only its title may change.
    fn is_one(&self, version: &Version<'a>, found: &mut Found<'a>) {
        let (first, one) = version.sights[0];
        for (index, other) in &version.sights[1..] {
            if (one.state, one.release, one.parameters) != (other.state, other.release, other.parameters) {
                let what = "two contents have the same timestamp";
                self.add(Promise::Rule(Rule::ChangeRenews), what, &[first, *index], found);
            }
            let (from, to) = hull(&self.history[first], &self.history[*index]);
            if one.title != other.title && !self.deeds.renamed.any_between(from, to) {
                let what = "two instances have it at the same time";
                self.add(Promise::Rule(Rule::OneTenant), what, &[first, *index], found);
            }
        }
    }

    /// What was gone for sure is not seen again.
    fn does_not_come_back(&self, version: &Version<'a>, sights: &Sights<'a>, found: &mut Found<'a>) {
        let history = self.history;
        let between = |index: &&usize| {
            history[**index].invoked > version.first_returned
                && history[**index].returned < version.last_invoked
        };
        let start = sights.free.partition_point(|index| history[*index].invoked <= version.first_returned);
        let later =
            sights.free[start..].iter().take_while(|index| history[**index].invoked < version.last_invoked);
        let free = later.into_iter().find(between).copied();
        let emptied = self.deeds.emptied.one_inside(version.first_returned, version.last_invoked);
        if let Some(gone) = free.or(emptied) {
            let by_return = version.sights.iter().min_by_key(|(index, _)| history[*index].returned);
            let by_invocation = version.sights.iter().max_by_key(|(index, _)| history[*index].invoked);
            let mut shown_by = vec![gone];
            shown_by.extend(by_return.into_iter().chain(by_invocation).map(|(index, _)| *index));
            let what = "what had been freed is seen again";
            self.add(Promise::MonotonicReads, what, &shown_by, found);
        }
    }

    /// Each difference between two versions was made by something that could happen just then.
    fn is_explained(&self, before: &Version<'a>, after: &Version<'a>, found: &mut Found<'a>) {
        let (from, to) = (before.last_invoked, after.first_returned);
        if from > to {
            // No order at all, which `grows` tells.
            return;
        }
        let shown_by = [before.sights[before.sights.len() - 1].0, after.sights[0].0];
        let is_freed = self.deeds.freed.any_between(from, to);
        let can = |index: usize| self.history[index].invoked <= to && self.history[index].returned >= from;
        let renamed: BTreeSet<Title> =
            self.deeds.titles.iter().filter(|(index, _)| can(*index)).map(|(_, title)| *title).collect();
        let mut titles: BTreeSet<Title> = before.sights.iter().map(|(_, seen)| seen.title).collect();
        titles.extend(renamed);
        if !is_freed && !after.sights.iter().any(|(_, seen)| titles.contains(&seen.title)) {
            let what = "another instance has it, and nobody can have reported the one before destroyed";
            self.add(Promise::Rule(Rule::OneTenant), what, &shown_by, found);
            return;
        }
        let (one, other) = (before.sights[0].1, after.sights[0].1);
        let writers = self.wishes.by_value.get(&other.parameters).into_iter().flatten();
        if one.parameters != other.parameters && !writers.into_iter().any(|index| can(*index)) {
            let what = "a later version has what nobody can have wished after the earlier one";
            self.add(Promise::ReadYourWrites, what, &shown_by, found);
        }
        titles.extend(after.sights.iter().map(|(_, seen)| seen.title));
        let between =
            |windows: Option<&Windows>| windows.is_some_and(|windows| windows.any_between(from, to));
        let own = titles.iter().any(|title| between(self.wishes.by_state.get(&(other.state, *title))));
        if one.state != other.state && !is_freed && !own && !between(self.wishes.roots.get(&other.state)) {
            let what = format!("it became {:?}, and nobody can have wished that then", other.state);
            self.add(Promise::Rule(Rule::OnlyRequestsChangeWishes), &what, &shown_by, found);
        }
    }
}

/// From the earlier invocation to the later return.
pub(super) fn hull(one: &Operation, other: &Operation) -> (u64, u64) {
    (one.invoked.min(other.invoked), one.returned.max(other.returned))
}

/// Whether an operation is about a partition, or tells of it.
pub(super) fn touches(operation: &Operation, place: Place) -> bool {
    let is_given = operation.given().is_some_and(|given| given.place == Some(place));
    match &operation.action {
        Action::Destroyed { place: at, .. }
        | Action::Started { place: at, .. }
        | Action::Rename { place: at, .. }
        | Action::Publish { place: at, .. }
        | Action::ReadPartition { place: at } => *at == place,
        Action::Read { computer, .. } => {
            *computer == place.computer && matches!(operation.outcome, Outcome::Answer(Answer::View(_)))
        }
        Action::Format { computer, .. } => *computer == place.computer,
        Action::Request(_) => is_given,
    }
}
