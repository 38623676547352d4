//! What is processed again needlessly, or not though it should be.

use super::{Case, Tampering};
use slap_model::{
    Event, Reply, Rule,
    event::{Report, Wanted, Word},
    names::{Number, Place},
};

pub(super) const TAMPERINGS: &[Tampering] = &[
    (Rule::ChangeRenews, "a change is processed by nobody", |case| {
        let wish = |number: Number| {
            let wish = |it: &slap_model::state::Instance| (it.state, it.release, it.kind, it.parameters);
            (case.before.instances.get(&number).map(wish), case.after.instances.get(&number).map(wish))
        };
        let is_changed = |number| matches!(wish(number), (Some(old), Some(new)) if old != new);
        let (_, place) = case.own(|number, _| is_changed(number))?;
        sleeping(case, place)
    }),
    (Rule::ListRenews, "another list is processed by nobody", |case| {
        let is_changed = |number| case.before.entries(number) != case.after.entries(number);
        let (_, place) =
            case.own(|number, _| case.before.instances.contains_key(&number) && is_changed(number))?;
        sleeping(case, place)
    }),
    (Rule::AddressRenews, "another address is processed by nobody", |case| {
        let has_moved = |place: Place| {
            let slots = (case.before.slot(place), case.after.slot(place));
            matches!(slots, (Some(old), Some(new)) if old.address != new.address)
        };
        let (_, place) = case.own(|_, it| it.place.is_some_and(has_moved))?;
        sleeping(case, place)
    }),
    (Rule::TimestampsGrow, "a timestamp goes back", |case| {
        let (_, place) =
            case.own(|_, it| it.place.and_then(|at| case.before.slot(at)).is_some_and(|it| it.rank > 0))?;
        let rank = case.before.slot(place)?.rank - 1;
        case.but(|it| it.slot(place).rank = rank)
    }),
    (Rule::NoNeedlessRenewal, "nothing wakes somebody", |case| {
        let is_quiet = matches!(case.event, Event::Look(_) | Event::Supply { .. } | Event::Rename { .. });
        let (_, place) = case.own(|_, _| is_quiet)?;
        woken(case, place)
    }),
    (Rule::NoNeedlessRenewal, "a free partition is woken", |case| {
        let free = case.after.computers.iter().flat_map(|(computer, registered)| {
            registered.partitions.keys().map(|partition| Place { computer: *computer, partition: *partition })
        });
        let was_there =
            |place: &Place| case.before.slot(*place).is_some() && case.after.tenant(*place).is_none();
        let place = free.into_iter().find(was_there)?;
        woken(case, place)
    }),
    (Rule::NoNeedlessRenewal, "a request wakes another", |case| {
        let Event::Request(request) = &case.event else { return None };
        let sleeps = |number: Number| {
            let slots = |state: &slap_model::State| state.tenant(state.instances[&number].place?).map(|_| ());
            case.before.instances.contains_key(&number) && slots(&case.before).is_some()
        };
        let is_same = |number: Number| {
            case.before.instances.get(&number) == case.after.instances.get(&number)
                && case.before.entries(number) == case.after.entries(number)
        };
        let (_, place) =
            case.own(|number, it| sleeps(number) && is_same(number) && it.title != request.title)?;
        // What hosts something new, though it is not told, may be woken.
        case.after.instances.keys().all(|it| case.before.instances.contains_key(it)).then_some(())?;
        woken(case, place)
    }),
    (Rule::NoNeedlessRenewal, "what is published wakes somebody else", |case| {
        let Event::Publish { place, shared: None, .. } = case.event else { return None };
        let (_, teller) = case.before.tenant(place)?;
        let (_, other) = case.own(|number, _| teller.requester != Some(number))?;
        woken(case, other)
    }),
    (Rule::NoNeedlessRenewal, "what was published already wakes its requester", |case| {
        let Event::Publish { place, shared: None, connection } = case.event else { return None };
        let (_, teller) = case.before.tenant(place).filter(|(_, it)| it.connection == connection)?;
        woken(case, case.before.instances[&teller.requester?].place?)
    }),
    (Rule::NoNeedlessRenewal, "a bang wakes another tree", |case| {
        let Event::Bang { place, shared: None } = case.event else { return None };
        let root = case.before.root_of(case.before.tenant(place)?.0);
        let (_, other) = case.own(|number, _| case.before.root_of(number) != root)?;
        woken(case, other)
    }),
    (Rule::NoNeedlessRenewal, "a bang wakes what is to be destroyed", |case| {
        let Event::Bang { place, shared: None } = case.event else { return None };
        let (_, it) = case.before.tenant(place).filter(|(_, it)| it.state == Wanted::Destroyed)?;
        woken(case, it.place?)
    }),
    (Rule::NoNeedlessRenewal, "the bang of a computer wakes another", |case| {
        let Event::BangComputer(computer) = case.event else { return None };
        let (_, other) = case.own(|_, it| it.place.is_some_and(|place| place.computer != computer))?;
        woken(case, other)
    }),
    (Rule::NoNeedlessRenewal, "what goes wakes a root before it was the last", |case| {
        let (gone, root) = freed(case)?;
        let own = case.before.tree(root).into_iter().filter(|it| case.before.instances[it].shared.is_none());
        (gone != root && own.count() > 2).then_some(())?;
        woken(case, case.before.instances[&root].place?)
    }),
    (Rule::NoNeedlessRenewal, "what goes wakes another tree", |case| {
        let (_, root) = freed(case)?;
        let (_, other) = case.own(|number, _| case.before.root_of(number) != root)?;
        woken(case, other)
    }),
    (Rule::NoNeedlessRenewal, "what is not freed wakes its root", |case| {
        let Event::Report(Report { place, word: Word::Destroyed, .. }) = case.event else { return None };
        let (number, it) = case.before.tenant(place)?;
        let root = it.root.filter(|_| case.after.instances.contains_key(&number))?;
        woken(case, case.before.instances[&root].place?)
    }),
    (Rule::BangReachesTree, "a bang is not heard", |case| {
        let Event::Bang { place, shared: None } = case.event else { return None };
        let root = case.before.root_of(case.before.tenant(place)?.0);
        let is_meant = |number: Number| {
            case.before.root_of(number) == root && case.before.instances[&number].state != Wanted::Destroyed
        };
        let (_, place) = case.own(|number, _| is_meant(number))?;
        sleeping(case, place)
    }),
    (Rule::BangReachesTree, "the host does not hear the bang of a shared instance", |case| {
        let Event::Bang { place, shared: Some(reference) } = case.event else { return None };
        case.before.shared_at(place, reference)?;
        case.before.tenant(place).filter(|(_, host)| host.state != Wanted::Destroyed)?;
        sleeping(case, place)
    }),
    (Rule::BangReachesComputer, "the bang of a computer is not heard", |case| {
        let Event::BangComputer(computer) = case.event else { return None };
        let is_there = |place: Place| place.computer == computer;
        let (_, place) = case.own(|_, it| it.state != Wanted::Destroyed && it.place.is_some_and(is_there))?;
        sleeping(case, place)
    }),
    (Rule::ConnectionWakesRequester, "the requester sleeps", |case| {
        let Event::Publish { place, shared: None, connection } = case.event else { return None };
        let (_, teller) = case.before.tenant(place).filter(|(_, it)| it.connection != connection)?;
        let requester = case.before.instances.get(&teller.requester?)?;
        (case.reply == Reply::Done && requester.state != Wanted::Destroyed).then_some(())?;
        sleeping(case, requester.place?)
    }),
];

/// It keeps the timestamp that it had.
fn sleeping(case: &Case, place: Place) -> Option<Case> {
    let rank = case.before.slot(place)?.rank;
    case.but(|it| it.slot(place).rank = rank)
}

/// It gets a timestamp that it did not have.
fn woken(case: &Case, place: Place) -> Option<Case> {
    let (old, new) = (case.before.slot(place)?.rank, case.after.slot(place)?.rank);
    if old != new {
        return None;
    }
    case.but(|it| it.slot(place).rank = new + 1)
}

/// What went, and the root of its tree.
fn freed(case: &Case) -> Option<(Number, Number)> {
    let Event::Report(Report { place, word: Word::Destroyed, .. }) = case.event else { return None };
    let (number, _) = case.before.tenant(place)?;
    (!case.after.instances.contains_key(&number)).then_some((number, case.before.root_of(number)))
}
