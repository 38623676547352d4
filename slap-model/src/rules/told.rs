//! What holds of what nodes tell: it is shown, and shown with whom it is about.

use super::{Found, Rule, Transition, report::target};
use crate::{
    event::{Event, ReleaseReport, Report, Word},
    names::{Place, Reference},
    reply::{Ignored, Reply},
};

pub(super) fn check(transition: &Transition<'_>, found: &mut Found) {
    statuses(transition, found);
    bangs(transition, found);
    releases(transition, found);
    free(transition, found);
}

fn statuses(Transition { before, event, reply, after }: &Transition<'_>, found: &mut Found) {
    for (computer, registered) in &after.computers {
        for (partition, slot) in &registered.partitions {
            let place = Place { computer: *computer, partition: *partition };
            let Some(old) = before.slot(place) else { continue };
            let same = before.tenant(place).map(|it| it.0) == after.tenant(place).map(|it| it.0);
            let goes_back =
                matches!((old.status, slot.status), (Some(old), Some(new)) if new.about < old.about);
            found.expect(!same || !goes_back, Rule::LateIsNotShown, place);
            let is_others = matches!(event, Event::ReportSharedError { .. });
            found.expect(!is_others || old.status == slot.status, Rule::SharedErrorIsItsOwn, place);
        }
    }
    match event {
        Event::Report(report) if matches!(report.word, Word::Started | Word::Stopped | Word::Error) => {
            let Some(slot) = after.slot(report.place).filter(|_| after.tenant(report.place).is_some()) else {
                return;
            };
            let is_current = report.about.is_none_or(|about| about >= slot.rank);
            let is_shown = slot.status.is_some_and(|status| status.word == report.word);
            found.expect(!is_current || is_shown, Rule::ReportIsShown, report.place);
        }
        Event::ReportSharedError { place, shared } if **reply == Reply::Done => {
            let instance = target(after, *place, Some(*shared)).map(|number| &after.instances[&number]);
            let is_its = instance.and_then(|it| it.shared).is_some_and(|it| it.status == Some(Word::Error));
            found.expect(is_its, Rule::SharedErrorIsItsOwn, shared);
        }
        _ => {}
    }
}

/// The instance, or shared one, that a bang is about.
pub(super) fn bang_of(event: &Event) -> Option<(Place, Option<Reference>)> {
    match event {
        Event::Bang { place, shared } => Some((*place, *shared)),
        Event::Report(Report { place, word: Word::Bang, .. }) => Some((*place, None)),
        _ => None,
    }
}

fn bangs(Transition { before, event, reply, after }: &Transition<'_>, found: &mut Found) {
    if **reply != Reply::Done {
        return;
    }
    if let Some((place, shared)) = bang_of(event) {
        let old = before.slot(place).and_then(|slot| slot.status);
        let is_late = match event {
            Event::Report(Report { about: Some(about), .. }) => old.is_some_and(|old| old.about > *about),
            _ => false,
        };
        let instance = target(after, place, shared).map(|number| &after.instances[&number]);
        let word = match instance.map(|instance| instance.shared) {
            Some(Some(shared)) => shared.status,
            _ if is_late => {
                let is_kept = after.slot(place).is_some_and(|slot| slot.status == old);
                found.expect(is_kept, Rule::LateIsNotShown, place);
                return;
            }
            _ => after.slot(place).and_then(|slot| slot.status).map(|status| status.word),
        };
        found.expect(word == Some(Word::Bang), Rule::BangIsShown, place);
    }
    if let Event::BangComputer(computer) = event {
        let is_shown = after.computers.get(computer).is_some_and(|registered| registered.banged);
        found.expect(is_shown, Rule::BangIsShown, computer);
    }
}

fn releases(Transition { before, event, after, .. }: &Transition<'_>, found: &mut Found) {
    if matches!(event, Event::Rebase(_)) {
        return;
    }
    for (computer, registered) in &after.computers {
        for (release, supply) in &registered.supplies {
            let old = before.computers.get(computer).and_then(|registered| registered.supplies.get(release));
            let expected = match event {
                Event::ReportRelease { computer: of, release: which, report }
                    if (of, which) == (computer, release) && *report != ReleaseReport::Destroyed =>
                {
                    Some(*report)
                }
                _ => old.and_then(|old| old.status),
            };
            found.expect(supply.status == expected, Rule::ReleaseReportIsShown, release);
        }
    }
}

fn free(Transition { before, event, reply, after }: &Transition<'_>, found: &mut Found) {
    let place = match event {
        Event::Report(report) if report.word != Word::Destroyed => report.place,
        Event::Bang { place, shared: None } => *place,
        _ => return,
    };
    if before.slot(place).is_some() && before.tenant(place).is_none() {
        let is_same = before.computers == after.computers && before.instances == after.instances;
        let is_taken = **reply == Reply::Ignored(Ignored::Free);
        found.expect(is_same && is_taken, Rule::FreeIsIgnored, place);
    }
}
