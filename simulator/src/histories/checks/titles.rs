//! Each title: what is asked for again is where it was, as long as it was not freed; and what is given is what was asked for.

use super::{
    Found, Promise,
    places::{Deeds, deeds, hull},
};
use crate::histories::history::{Action, Answer, Operation, Outcome, Seen, Wish};
use slap_model::{
    Rule,
    event::Wanted,
    names::{Place, Title},
};
use std::collections::BTreeMap;

pub(super) fn check(found: &mut Found<'_>) {
    let history = found.history;
    let deeds = deeds(history);
    let mut last: BTreeMap<(Option<Place>, Title), (usize, Place)> = BTreeMap::new();
    for (index, operation) in history.iter().enumerate() {
        match &operation.action {
            Action::Request(wish) => {
                let Some(given) = operation.given() else { continue };
                is_what_was_asked(found, index, wish, &given.seen);
                let Some(place) = given.place.filter(|_| !wish.shared) else { continue };
                let before = last.insert((wish.by, wish.title), (index, place));
                if let Some((earlier, at)) = before.filter(|(_, at)| *at != place) {
                    stays(found, &deeds, (earlier, at), (index, place), wish);
                }
            }
            Action::Read { .. } => has_titles_once(found, index, operation),
            _ => {}
        }
    }
    final_titles(found);
}

fn is_what_was_asked(found: &mut Found<'_>, index: usize, wish: &Wish, seen: &Seen) {
    // In a stopped tree, started means stopped.
    let is_forced = wish.by.is_some() && wish.state == Some(Wanted::Started) && seen.state == Wanted::Stopped;
    let state = wish.state.is_none_or(|state| state == seen.state) || is_forced;
    // A shared instance that is destroyed is answered as it was.
    let is_gone = wish.shared && wish.state == Some(Wanted::Destroyed);
    let is_same = state && wish.parameters == seen.parameters && wish.release == seen.release;
    if !is_same && !is_gone {
        found.add(
            Promise::Rule(Rule::RequestIsObeyed),
            wish.title,
            "what is given is not what was asked for",
            &[index],
            |_| false,
        );
    }
}

fn stays(
    found: &mut Found<'_>,
    deeds: &BTreeMap<Place, Deeds>,
    (earlier, at): (usize, Place),
    (later, place): (usize, Place),
    wish: &Wish,
) {
    let (from, to) = hull(&found.history[earlier], &found.history[later]);
    let moved = |at: Place| {
        deeds.get(&at).is_some_and(|it| it.freed.any_between(from, to) || it.renamed.any_between(from, to))
    };
    // A freed requester's place may be another tree's by then.
    let other_tree =
        wish.by.is_some_and(|by| deeds.get(&by).is_some_and(|it| it.freed.any_between(from, to)));
    if moved(at) || moved(place) || other_tree {
        return;
    }
    found.add(
        Promise::Rule(Rule::NeverMoves),
        wish.title,
        format!("asked for again, it moved from {at} to {place}, and nobody can have freed or renamed it"),
        &[earlier, later],
        |operation| match &operation.action {
            Action::Request(other) => other.title == wish.title && other.by == wish.by,
            Action::Destroyed { place: freed, .. } | Action::Rename { place: freed, .. } => {
                *freed == at || *freed == place
            }
            _ => false,
        },
    );
}

/// In one document no instance has two partitions.
fn has_titles_once(found: &mut Found<'_>, index: usize, operation: &Operation) {
    let Outcome::Answer(Answer::View(view)) = &operation.outcome else { return };
    let mut titles = BTreeMap::new();
    for (partition, seen) in &view.partitions {
        let Some(seen) = seen else { continue };
        if let Some(other) = titles.insert((seen.root, seen.title), partition) {
            let what = format!("it is in {other} and in {partition} at the same time");
            found.add(Promise::Rule(Rule::TitlesAreUnique), seen.title, what, &[index], |_| false);
        }
    }
}

/// When nothing happens any more, no instance is on two computers either.
fn final_titles(found: &mut Found<'_>) {
    let mut titles = BTreeMap::new();
    for (index, operation) in found.history.iter().enumerate() {
        let Action::Read { computer, .. } = operation.action else { continue };
        let Outcome::Answer(Answer::View(view)) = &operation.outcome else { continue };
        if operation.invoked < found.settled {
            continue;
        }
        for (partition, seen) in &view.partitions {
            let Some(seen) = seen else { continue };
            let place = Place { computer, partition: *partition };
            let other = titles.insert((seen.root, seen.title), (place, index));
            if let Some((at, earlier)) = other.filter(|(at, _)| *at != place) {
                let what = format!("in the end it is in {at} and in {place}");
                let promise = Promise::Rule(Rule::TitlesAreUnique);
                found.add(promise, seen.title, what, &[earlier, index], |_| false);
            }
        }
    }
}
