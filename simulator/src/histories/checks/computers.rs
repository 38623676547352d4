//! Each computer: its revisions, which its entity tags name, never go back; a tag stands for one document; and the partitions
//! are those of a format that nothing overwrote.

use super::{Found, Promise, window::Cutoff};
use crate::histories::history::{Action, Answer, Operation, Outcome, View};
use slap_model::{
    Rule,
    names::{Computer, Partition},
};
use std::collections::{BTreeMap, BTreeSet};

/// A read, by its index, with the tag that was valid then, and the document if it came.
type Read<'a> = (usize, &'a str, Option<&'a View>);

pub(super) fn check(found: &mut Found<'_>) {
    let mut reads: BTreeMap<Computer, Vec<Read<'_>>> = BTreeMap::new();
    let mut formats: BTreeMap<Computer, Vec<(usize, &BTreeSet<Partition>)>> = BTreeMap::new();
    for (index, operation) in found.history.iter().enumerate() {
        match (&operation.action, &operation.outcome) {
            (Action::Read { computer, .. }, Outcome::Answer(Answer::View(view))) => {
                reads.entry(*computer).or_default().push((index, &view.tag, Some(view)));
            }
            (Action::Read { computer, tag: Some(tag) }, Outcome::Answer(Answer::Unchanged)) => {
                reads.entry(*computer).or_default().push((index, tag, None));
            }
            (Action::Format { computer, partitions }, _) if operation.may_have_happened() => {
                formats.entry(*computer).or_default().push((index, partitions));
            }
            _ => {}
        }
    }
    for (computer, reads) in &reads {
        one_document(found, *computer, reads);
        grows(found, *computer, reads);
        is_formatted(found, *computer, reads, formats.get(computer).map_or(&[][..], Vec::as_slice));
    }
}

fn one_document<'a>(found: &mut Found<'a>, computer: Computer, reads: &[Read<'a>]) {
    let mut documents: BTreeMap<&str, (usize, &View)> = BTreeMap::new();
    for (index, tag, view) in reads {
        let Some(view) = view else { continue };
        let (first, document) = documents.entry(tag).or_insert((*index, view));
        if document != view {
            let first = *first;
            let what = format!("two documents have the tag {tag}");
            found.add(Promise::OneTagOneView, computer, what, &[first, *index], |it| is_of(it, computer));
        }
    }
}

fn grows<'a>(found: &mut Found<'a>, computer: Computer, reads: &[Read<'a>]) {
    let history = found.history;
    let mut returned: Vec<(u64, u64, usize)> = Vec::new();
    let mut revisions: Vec<(u64, usize)> = Vec::new();
    let database = |tag: &'a str| tag.split('.').next().unwrap_or_default();
    for (index, tag, _) in reads {
        let Some(revision) = tag.split('.').nth(1).and_then(|text| text.parse().ok()) else {
            found.add(Promise::OneTagOneView, computer, format!("the tag {tag}"), &[*index], |_| false);
            continue;
        };
        if database(tag) != database(reads[0].1) {
            let what = "its tags name two databases";
            found.add(Promise::OneTagOneView, computer, what, &[reads[0].0, *index], |_| false);
        }
        returned.push((history[*index].returned, revision, *index));
        revisions.push((revision, *index));
    }
    returned.sort_unstable();
    let (mut next, mut newest) = (0, (0, 0));
    for (revision, index) in revisions {
        while next < returned.len() && returned[next].0 < history[index].invoked {
            newest = newest.max((returned[next].1, returned[next].2));
            next += 1;
        }
        if revision < newest.0 {
            let what = format!("revision {revision} is seen after {}", newest.0);
            let shown_by = [newest.1, index];
            found.add(Promise::MonotonicReads, computer, what, &shown_by, |it| is_of(it, computer));
        }
    }
}

fn is_formatted<'a>(
    found: &mut Found<'a>,
    computer: Computer,
    reads: &[Read<'a>],
    formats: &[(usize, &BTreeSet<Partition>)],
) {
    let history = found.history;
    let acknowledged = formats.iter().filter(|(index, _)| history[*index].is_acknowledged());
    let cutoff = Cutoff::of(acknowledged.map(|(index, _)| (*index, &history[*index])));
    for (index, _, view) in reads {
        let (Some(view), Some((from, last))) = (view, cutoff.at(history[*index].invoked)) else { continue };
        let fits = |partitions: &BTreeSet<Partition>| {
            partitions.iter().all(|partition| view.partitions.contains_key(partition))
                && view.partitions.iter().all(|(name, seen)| seen.is_some() || partitions.contains(name))
        };
        let is_valid = |(format, partitions): &(usize, &BTreeSet<Partition>)| {
            let format = &history[*format];
            format.invoked < history[*index].returned && format.returned >= from && fits(partitions)
        };
        if !formats.iter().any(is_valid) {
            let what = "its partitions are not those of a format that was not overwritten";
            let promise = Promise::Rule(Rule::FormatIsObeyed);
            found.add(promise, computer, what, &[last, *index], |it| is_of(it, computer));
        }
    }
}

fn is_of(operation: &Operation, of: Computer) -> bool {
    matches!(operation.action, Action::Read { computer, .. } | Action::Format { computer, .. } if computer == of)
}
