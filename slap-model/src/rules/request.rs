//! What holds from before an event to after it: of requests, and of what only they may do.

use super::{Found, Rule, Transition};
use crate::{
    event::{Event, Filter, Request, Wanted},
    names::{Number, Place},
    reply::{Given, Refusal, Reply},
    state::{Instance, State},
};

pub(super) fn check(transition: &Transition<'_>, found: &mut Found) {
    refusals(transition, found);
    places(transition, found);
    hosts(transition, found);
    wishes(transition, found);
    if let Event::Request(request) = transition.event {
        repeated(transition, request, found);
        answers(transition, request, found);
    }
}

fn refusals(Transition { before, reply, after, .. }: &Transition<'_>, found: &mut Found) {
    if let Reply::Refused(why) = reply {
        let is_same = before.computers == after.computers && before.instances == after.instances;
        let is_same = is_same && before.elsewhere == after.elsewhere;
        found.expect(is_same, Rule::RefusedChangesNothing, format_args!("{why:?}"));
    }
}

fn places(Transition { before, event, reply, after }: &Transition<'_>, found: &mut Found) {
    for (number, instance) in &after.instances {
        if let Some(old) = before.instances.get(number) {
            found.expect(old.place == instance.place, Rule::NeverMoves, instance.title);
        } else if let Some(place) = instance.place
            && let Event::Request(Request { filter: Filter::Computer(computer), .. }) = event
        {
            found.expect(place.computer == *computer, Rule::FilterIsObeyed, place);
        } else if let Some(place) = instance.place
            && let Event::Request(Request { filter: Filter::Unknown, .. }) = event
        {
            found.expect(false, Rule::FilterIsObeyed, place);
        }
    }
    if let (Event::Request(request), Reply::Refused(Refusal::NoRoom)) = (event, reply)
        && !request.is_for_another()
    {
        let is_asked = |computer| !matches!(request.filter, Filter::Computer(named) if named != computer);
        for (computer, registered) in before.computers.iter().filter(|(computer, _)| is_asked(**computer)) {
            for (partition, slot) in &registered.partitions {
                let place = Place { computer: *computer, partition: *partition };
                found.expect(!slot.listed || before.tenant(place).is_some(), Rule::RoomIsUsed, place);
            }
        }
    }
}

fn hosts(Transition { before, event, after, .. }: &Transition<'_>, found: &mut Found) {
    for (number, instance) in &after.instances {
        let Some(host_number) = instance.shared.and_then(|shared| shared.host) else { continue };
        let old = before.instances.get(number).and_then(|old| old.shared).and_then(|old| old.host);
        if let Some(old) = old {
            found.expect(old == host_number, Rule::HostStays, instance.title);
            continue;
        }
        let Event::Request(request) = event else { continue };
        let Some(host) = after.instances.get(&host_number) else { continue };
        let is_there = match request.filter {
            Filter::Anywhere | Filter::Ignored | Filter::Elsewhere => true,
            Filter::Unknown => false,
            Filter::Hosted { on, by } => {
                host.place == Some(by) && on.is_none_or(|computer| computer == by.computer)
            }
            Filter::Computer(computer) => host.place.is_some_and(|place| place.computer == computer),
            Filter::Host(place) => host.place == Some(place),
        };
        let fits = host.release == request.release
            && request.kind.is_none_or(|kind| kind == host.kind)
            && host.state != Wanted::Destroyed;
        found.expect(is_there && fits, Rule::HostFits, instance.title);
    }
}

fn repeated(Transition { event, reply, after, .. }: &Transition<'_>, request: &Request, found: &mut Found) {
    if matches!(reply, Reply::Given(_)) && request.is_for_another() && requested(after, request).is_none() {
        // A shared one went at once: asked for again, it is asked for elsewhere.
        return;
    }
    if !matches!(reply, Reply::Given(_) | Reply::GivenElsewhere(_) | Reply::StandIn(_)) {
        return;
    }
    let mut again = (*after).clone();
    let second = again.step(event);
    let is_alike = second == **reply || second == Reply::Refused(Refusal::NothingToDestroy);
    found.expect(is_alike && again == **after, Rule::RepeatedChangesNothing, "request");
}

/// The instance that a request is about.
fn requested(state: &State, request: &Request) -> Option<Number> {
    let root = match request.by {
        Some(place) => Some(state.root_of(state.tenant(place)?.0)),
        None => None,
    };
    state.titled(root, request.title)
}

fn answers(transition: &Transition<'_>, request: &Request, found: &mut Found) {
    let Transition { before, reply, after, .. } = transition;
    let Reply::Given(given) = reply else { return };
    let Some(number) = requested(after, request) else {
        // A shared one that is to be destroyed is gone; the answer is the last that is heard of it.
        if let Some(number) = requested(before, request) {
            let last = Instance { state: Wanted::Destroyed, ..before.instances[&number].clone() };
            found.expect(is_true(given, &last, before), Rule::AnswerIsTrue, last.title);
        }
        return;
    };
    let instance = &after.instances[&number];
    let asked = request.state.or_else(|| before.instances.get(&number).map(|old| old.state));
    let root = &after.instances[&after.root_of(number)];
    let is_forced = root.state == Wanted::Stopped && instance.root.is_some();
    let expected = match asked.unwrap_or(Wanted::Started) {
        Wanted::Started if is_forced => Wanted::Stopped,
        asked => asked,
    };
    let is_obeyed = instance.state == expected
        && instance.release == request.release
        && request.kind.is_none_or(|kind| kind == instance.kind)
        && instance.parameters == request.parameters
        && instance.requester == request.by.and_then(|place| after.tenant(place)).map(|(number, _)| number);
    found.expect(is_obeyed, Rule::RequestIsObeyed, instance.title);
    found.expect(is_true(given, instance, after), Rule::AnswerIsTrue, instance.title);
}

/// Whether an answer tells what is kept of an instance: of a shared one, where its host is and what that runs.
fn is_true(given: &Given, instance: &Instance, state: &State) -> bool {
    let host = instance.shared.and_then(|shared| shared.host).and_then(|host| state.instances.get(&host));
    let seat = if instance.shared.is_some() { host } else { Some(instance) };
    let runs = seat.unwrap_or(instance);
    let own = instance.place.filter(|_| instance.shared.is_none());
    let slot = own.and_then(|place| state.slot(place));
    given.place == seat.and_then(|seat| seat.place)
        && (given.release, given.kind) == (runs.release, runs.kind)
        && given.parameters == instance.parameters
        && given.connection == instance.connection
        && given.state == instance.state
        && given.rank == slot.map(|slot| slot.rank)
}

fn is_same_wish(old: &Instance, new: &Instance) -> bool {
    let wish = |it: &Instance| (it.state, it.release, it.kind, it.parameters);
    wish(old) == wish(new)
}

fn wishes(transition: &Transition<'_>, found: &mut Found) {
    let Transition { before, event, after, .. } = transition;
    if matches!(event, Event::Rebase(_)) {
        return;
    }
    let Event::Request(request) = event else {
        for (number, new) in &after.instances {
            let old = before.instances.get(number);
            found.expect(
                old.is_some_and(|old| is_same_wish(old, new)),
                Rule::OnlyRequestsChangeWishes,
                new.title,
            );
        }
        return;
    };
    if request.state == Some(Wanted::Destroyed) {
        let is_new = after.instances.keys().any(|number| !before.instances.contains_key(number));
        found.expect(!is_new, Rule::DestroyMakesNothing, request.title);
    }
    let target = requested(before, request);
    let root = target.map(|number| before.root_of(number));
    for (number, old) in &before.instances {
        let Some(new) = after.instances.get(number) else { continue };
        if Some(*number) == target {
            continue;
        }
        let is_of_tree = root.is_some() && Some(before.root_of(*number)) == root;
        found.expect(is_of_tree || old == new, Rule::OtherTreesStay, old.title);
        let is_started = old.state != Wanted::Started && new.state == Wanted::Started;
        found.expect(!is_started, Rule::StartIsForOne, old.title);
    }
}
