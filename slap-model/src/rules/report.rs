//! What holds from before an event to after it: of departures, timestamps, bangs, formats, supplies, views and nodes.

use super::{Found, Rule, Transition, told::bang_of};
use crate::{
    event::{Event, ReleaseReport, Report, Wanted, Word},
    names::{Computer, Kind, Number, Parameters, Place, Rank, Reference},
    reply::Reply,
    state::{Instance, Registered, State},
};
use std::collections::BTreeSet;

pub(super) fn check(transition: &Transition<'_>, found: &mut Found) {
    departures(transition, found);
    timestamps(transition, found);
    nodes(transition, found);
    supplies(transition, found);
    if matches!(transition.reply, Reply::Refused(_) | Reply::Ignored(_)) {
        return;
    }
    match transition.event {
        Event::Bang { .. } | Event::BangComputer(_) | Event::Report(Report { word: Word::Bang, .. }) => {
            bangs(transition, found)
        }
        Event::Publish { .. } => publishing(transition, found),
        Event::Rename { .. } => renames(transition, found),
        Event::Format { .. } => formats(transition, found),
        Event::Look(_) => views(transition, found),
        _ => {}
    }
}

fn departures(Transition { before, event, after, .. }: &Transition<'_>, found: &mut Found) {
    for (number, old) in &before.instances {
        if after.instances.contains_key(number) {
            continue;
        }
        let Some(place) = old.place else {
            let is_asked = matches!(event, Event::Request(request) if request.state == Some(Wanted::Destroyed)
                && (request.title == old.title
                    || old.root.is_some_and(|root| before.instances[&root].title == request.title)));
            found.expect(is_asked, Rule::SharedGoesWhenAsked, old.title);
            continue;
        };
        let report = match event {
            Event::Report(report @ Report { word: Word::Destroyed, .. }) if report.place == place => {
                Some(report)
            }
            _ => None,
        };
        let is_reported = report.is_some() && old.state == Wanted::Destroyed;
        found.expect(is_reported, Rule::GoesWhenReported, old.title);
        let rank = before.slot(place).map_or(0, |slot| slot.rank);
        let about = report.and_then(|report| report.about);
        found.expect(about.is_none_or(|about| about >= rank), Rule::LateFreesNothing, place);
        let was_dropped = before.slot(place).is_some_and(|slot| !slot.listed);
        found.expect(!was_dropped || after.slot(place).is_none(), Rule::DroppedGoes, place);
    }
}

/// The timestamps of an instance before and after an event.
fn ranks(before: &State, after: &State, instance: &Instance) -> Option<(Rank, Rank)> {
    let place = instance.place?;
    Some((before.slot(place)?.rank, after.slot(place)?.rank))
}

fn timestamps(transition: &Transition<'_>, found: &mut Found) {
    let Transition { before, after, .. } = transition;
    for (computer, registered) in &after.computers {
        let floor = floor(before, registered, *computer);
        found.expect(registered.floor >= floor, Rule::TimestampsGrow, computer);
        for (partition, slot) in &registered.partitions {
            let place = Place { computer: *computer, partition: *partition };
            let Some(old_slot) = before.slot(place) else {
                found.expect(slot.rank == 0 || slot.rank > floor, Rule::TimestampsGrow, place);
                continue;
            };
            let is_later = slot.rank == old_slot.rank || slot.rank > floor;
            found.expect(is_later, Rule::TimestampsGrow, place);
            found.expect(slot.rank >= old_slot.rank, Rule::TimestampsGrow, place);
            let grew = slot.rank != old_slot.rank;
            let Some((at, new)) = after.tenant(place) else {
                found.expect(!grew, Rule::NoNeedlessRenewal, place);
                continue;
            };
            let old = before.instances.get(&at);
            let wish = |it: &Instance| (it.state, it.release, it.kind, it.parameters);
            let is_changed = old.map(wish) != Some(wish(new));
            found.expect(grew || !is_changed, Rule::ChangeRenews, place);
            let is_listed_otherwise = listed(before, at) != listed(after, at);
            found.expect(grew || !is_listed_otherwise, Rule::ListRenews, place);
            let has_moved = old_slot.address != slot.address;
            found.expect(grew || !has_moved, Rule::AddressRenews, place);
            let is_new = |(number, it): (&Number, &Instance)| {
                let is_there =
                    it.place == Some(place) || it.shared.is_some_and(|shared| shared.host == Some(at));
                is_there && !before.instances.contains_key(number)
            };
            let has_reason = is_changed
                || is_listed_otherwise
                || has_moved
                || after.instances.iter().any(is_new)
                || is_woken(transition, at, place);
            found.expect(!grew || has_reason, Rule::NoNeedlessRenewal, place);
        }
    }
}

/// The latest timestamp that a partition of a computer had which was dropped, until now or before.
fn floor(before: &State, after: &Registered, computer: Computer) -> Rank {
    let Some(old) = before.computers.get(&computer) else { return 0 };
    let dropped = old.partitions.iter().filter(|(name, _)| !after.partitions.contains_key(name));
    dropped.map(|(_, slot)| slot.rank).fold(old.floor, Rank::max)
}

/// Whether an instance is processed again though nothing about it changed.
fn is_woken(transition: &Transition<'_>, number: Number, at: Place) -> bool {
    let Transition { before, event, .. } = transition;
    if let Some((place, shared)) = bang_of(event) {
        return banged(before, place, shared).contains(&number);
    }
    match event {
        Event::BangComputer(computer) => at.computer == *computer,
        Event::Publish { place, shared, connection } => {
            let teller = target(before, *place, *shared).and_then(|teller| before.instances.get(&teller));
            teller.is_some_and(|teller| teller.requester == Some(number) && teller.connection != *connection)
        }
        Event::Report(Report { place, word: Word::Destroyed, .. }) => {
            let is_last = || {
                let tree = before.tree(number);
                tree.iter().filter(|it| before.instances[it].shared.is_none()).count() == 2
            };
            let freed =
                before.tenant(*place).filter(|(gone, _)| !transition.after.instances.contains_key(gone));
            freed.is_some_and(|(_, gone)| gone.root == Some(number)) && is_last()
        }
        _ => false,
    }
}

pub(super) fn target(state: &State, place: Place, shared: Option<Reference>) -> Option<Number> {
    match shared {
        Some(reference) => state.shared_at(place, reference),
        None => state.tenant(place).map(|(number, _)| number),
    }
}

/// Whom a bang shall reach.
fn banged(state: &State, place: Place, shared: Option<Reference>) -> BTreeSet<Number> {
    let Some(number) = target(state, place, shared) else { return BTreeSet::new() };
    let mut reached: BTreeSet<Number> = state.tree(state.root_of(number)).into_iter().collect();
    reached.extend(state.instances[&number].shared.and_then(|shared| shared.host));
    reached.retain(|number| {
        let instance = &state.instances[number];
        instance.state != Wanted::Destroyed && instance.place.is_some()
    });
    reached
}

fn bangs(Transition { before, event, after, .. }: &Transition<'_>, found: &mut Found) {
    let has_grown = |number: &Number| {
        let instance = &before.instances[number];
        ranks(before, after, instance).is_some_and(|(old, new)| new != old)
    };
    match event {
        Event::BangComputer(computer) => {
            for (number, instance) in &before.instances {
                let is_there = instance.place.is_some_and(|place| place.computer == *computer);
                let is_meant = is_there && instance.state != Wanted::Destroyed;
                found.expect(!is_meant || has_grown(number), Rule::BangReachesComputer, instance.title);
            }
        }
        event => {
            for number in bang_of(event).into_iter().flat_map(|(place, shared)| banged(before, place, shared))
            {
                found.expect(has_grown(&number), Rule::BangReachesTree, before.instances[&number].title);
            }
        }
    }
}

fn publishing(Transition { before, event, after, .. }: &Transition<'_>, found: &mut Found) {
    let Event::Publish { place, shared, connection } = event else { return };
    let Some(number) = target(before, *place, *shared) else { return };
    let (old, new) = (&before.instances[&number], after.instances.get(&number));
    let is_kept = new.is_some_and(|new| new.connection == *connection);
    found.expect(is_kept, Rule::PublishedIsKept, old.title);
    let requester = old.requester.and_then(|requester| before.instances.get(&requester));
    let Some(requester) =
        requester.filter(|it| it.state != Wanted::Destroyed && old.connection != *connection)
    else {
        return;
    };
    let is_woken = ranks(before, after, requester).is_some_and(|(old, new)| new != old);
    found.expect(is_woken, Rule::ConnectionWakesRequester, requester.title);
}

fn renames(Transition { before, event, after, .. }: &Transition<'_>, found: &mut Found) {
    let Event::Rename { place, shared, title } = event else { return };
    let Some(number) = target(before, *place, *shared) else { return };
    let mut expected = before.instances.clone();
    if let Some(instance) = expected.get_mut(&number) {
        instance.title = *title;
    }
    found.expect(expected == after.instances, Rule::RenameChangesOneTitle, title);
}

fn formats(Transition { before, event, reply, after }: &Transition<'_>, found: &mut Found) {
    let Event::Format { computer, partitions } = event else { return };
    let busy = before.instances.values().filter_map(|instance| instance.place);
    let stay = busy.filter(|place| place.computer == *computer && !partitions.contains_key(&place.partition));
    let stay: BTreeSet<_> = stay.map(|place| place.partition).collect();
    let is_told = if stay.is_empty() { **reply == Reply::Done } else { **reply == Reply::Kept(stay.clone()) };
    found.expect(is_told, Rule::FormatTellsWhatStays, computer);
    let listed = after.computers.get(computer).into_iter().flat_map(|registered| {
        let slot = |name| registered.partitions.get(&name).map(|slot| (name, slot));
        registered.ordered().into_iter().filter_map(slot).filter(|(_, slot)| slot.listed)
    });
    let is_obeyed = listed
        .map(|(partition, slot)| (partition, slot.address))
        .eq(partitions.iter().map(|(partition, address)| (*partition, *address)));
    let slots = after.computers.get(computer).map(|registered| &registered.partitions);
    let unlisted = slots.into_iter().flatten().filter(|(_, slot)| !slot.listed);
    let is_obeyed = is_obeyed && unlisted.map(|(partition, _)| partition).eq(&stay);
    found.expect(is_obeyed, Rule::FormatIsObeyed, computer);
}

fn supplies(Transition { before, event, reply, after }: &Transition<'_>, found: &mut Found) {
    if let (Event::Supply { computer, release, wanted }, Reply::Done) = (event, reply) {
        let kept = after.computers.get(computer).and_then(|registered| registered.supplies.get(release));
        found.expect(kept.is_some_and(|kept| kept.wanted == *wanted), Rule::SupplyIsObeyed, release);
    }
    if matches!(event, Event::Rebase(_)) {
        return;
    }
    for (computer, registered) in &before.computers {
        for (release, old) in &registered.supplies {
            let new = after.computers.get(computer).and_then(|registered| registered.supplies.get(release));
            let is_reported = matches!(event, Event::ReportRelease { computer: of, release: which, report }
                if (of, which, *report) == (computer, release, ReleaseReport::Destroyed));
            let may_go = !old.wanted && is_reported;
            found.expect(new.is_some() || may_go, Rule::ReleaseGoesWhenReported, release);
        }
    }
}

/// What a host shall be told of: the started shared instances that it hosts.
fn listed(state: &State, host: Number) -> BTreeSet<(Reference, Kind, Parameters)> {
    let started = state.instances.values().filter(|it| it.state == Wanted::Started);
    let hosted = started.filter_map(|it| it.shared.map(|shared| (it, shared)));
    hosted
        .filter(|(_, shared)| shared.host == Some(host))
        .map(|(it, shared)| (shared.reference, it.kind, it.parameters))
        .collect()
}

fn views(Transition { event, reply, after, .. }: &Transition<'_>, found: &mut Found) {
    let (Event::Look(computer), Reply::View(view)) = (event, reply) else { return };
    let registered = after.computers.get(computer);
    let has_all = registered.is_none_or(|it| it.partitions.keys().eq(view.partitions.keys()))
        && registered
            .is_none_or(|it| it.supplies.iter().all(|(url, it)| view.supplies.get(url) == Some(&it.wanted)));
    found.expect(has_all, Rule::ViewIsTrue, computer);
    for (partition, seen) in &view.partitions {
        let place = Place { computer: *computer, partition: *partition };
        let tenant = after.tenant(place);
        let is_true = match (seen, tenant) {
            (None, None) => true,
            (Some(seen), Some((_, it))) => {
                let root = it.root.map_or(Some(it), |root| after.instances.get(&root)).map(|root| root.title);
                (seen.title, seen.state, seen.release, seen.kind, seen.parameters, seen.connection)
                    == (it.title, it.state, it.release, it.kind, it.parameters, it.connection)
                    && Some(seen.root) == root
                    && after.slot(place).is_some_and(|slot| slot.rank == seen.rank)
            }
            _ => false,
        };
        found.expect(is_true, Rule::ViewIsTrue, place);
        if let (Some(seen), Some((number, _))) = (seen, tenant) {
            let told: BTreeSet<_> =
                seen.shared.iter().map(|entry| (entry.reference, entry.kind, entry.parameters)).collect();
            let is_listed = told == listed(after, number);
            found.expect(is_listed, Rule::ViewListsStarted, place);
        }
    }
}

fn nodes(Transition { before, event, after, .. }: &Transition<'_>, found: &mut Found) {
    for (computer, node) in &after.nodes {
        let Some(old) = before.nodes.get(computer) else { continue };
        if matches!(event, Event::KillAgent(_)) {
            found.expect(old.deployed == node.deployed, Rule::ServicesOutliveAgents, computer);
        }
        for (partition, deployed) in &node.deployed {
            let place = Place { computer: *computer, partition: *partition };
            let was = old.deployed.get(partition);
            let starts = was.is_some_and(|was| was.rank == deployed.rank && deployed.services > was.services);
            found.expect(!starts, Rule::OnceForEachChange, place);
            let is_put = was.is_none_or(|was| was.rank != deployed.rank);
            let seen = node.view.as_ref().and_then(|view| view.partitions.get(partition)?.as_ref());
            let is_built = seen.is_some_and(|seen| node.built.get(&seen.release) == Some(&true));
            found.expect(!is_put || is_built, Rule::BuiltFirst, place);
        }
    }
}
