//! What requests may not do, and what only they may do.

use super::{Case, Tampering};
use slap_model::{
    Event, Refusal, Reply, Rule,
    event::{Filter, Request, Wanted},
    names::{Computer, Number, Partition, Place},
    reply::Given,
    state::Instance,
};

pub(super) const TAMPERINGS: &[Tampering] = &[
    (Rule::RefusedChangesNothing, "what is refused changes a partition", |case| {
        refused(case)?;
        let (_, place) = case.own(|_, _| true)?;
        case.but(|it| it.slot(place).listed ^= true)
    }),
    (Rule::RefusedChangesNothing, "what is refused changes an instance", |case| {
        refused(case)?;
        let (number, _) = case.own(|_, _| true)?;
        case.but(|it| it.instance(number).connection.0 ^= 1)
    }),
    (Rule::NeverMoves, "an instance moves", |case| {
        let (number, place) = case.own(|number, _| case.before.instances.contains_key(&number))?;
        let other = Place { partition: Partition(place.partition.0 + 1), ..place };
        case.but(|it| it.instance(number).place = Some(other))
    }),
    (Rule::FilterIsObeyed, "it is put on another computer than the named one", |case| {
        let (_, place) = case.own(|number, _| !case.before.instances.contains_key(&number))?;
        asked(case, |it| it.filter = Filter::Computer(Computer(place.computer.0 + 1)))
    }),
    (Rule::RoomIsUsed, "it is refused though there is room", |case| {
        case.own(|number, _| !case.before.instances.contains_key(&number))?;
        case.but(|it| {
            it.reply = Reply::Refused(Refusal::NoRoom);
            it.after = it.before.clone();
        })
    }),
    (Rule::HostFits, "the host is on another computer than the named one", |case| {
        let (_, host) = hosted(case)?;
        let place = case.after.instances[&host].place?;
        asked(case, |it| it.filter = Filter::Computer(Computer(place.computer.0 + 1)))
    }),
    (Rule::HostFits, "the host is not the named one", |case| {
        let (_, host) = hosted(case)?;
        let place = case.after.instances[&host].place?;
        asked(case, |it| {
            it.filter = Filter::Host(Place { partition: Partition(place.partition.0 + 1), ..place });
        })
    }),
    (Rule::HostFits, "the host has another release", |case| {
        let (_, host) = hosted(case)?;
        case.but(|it| it.instance(host).release.0 ^= 1)
    }),
    (Rule::HostFits, "the host has another type", |case| {
        let (_, host) = hosted(case)?;
        request(case)?.kind?;
        case.but(|it| it.instance(host).kind.0 ^= 1)
    }),
    (Rule::HostFits, "the host is to be destroyed", |case| {
        let (_, host) = hosted(case)?;
        case.but(|it| it.instance(host).state = Wanted::Destroyed)
    }),
    (Rule::HostStays, "a shared instance changes its host", |case| {
        let (number, host) = case.shared(|number, it| {
            let old = case.before.instances.get(&number).and_then(|old| old.shared);
            it.shared.is_some_and(|it| it.host.is_some() && old.is_some_and(|old| old.host == it.host))
        })?;
        let (other, _) = case.own(|number, _| Some(number) != host)?;
        case.but(|it| it.instance(number).shared.as_mut().expect("it is shared").host = Some(other))
    }),
    (Rule::RepeatedChangesNothing, "a repetition would be answered otherwise", |case| {
        given(case)?;
        answered(case, |it| it.connection.0 ^= 1)
    }),
    (Rule::RepeatedChangesNothing, "a repetition would change something", |case| {
        let (number, _) = given(case)?;
        request(case)?.by?;
        case.but(|it| it.instance(number).requester = None)
    }),
    (Rule::DestroyMakesNothing, "something is made to be destroyed", |case| {
        case.own(|number, _| !case.before.instances.contains_key(&number))?;
        asked(case, |it| it.state = Some(Wanted::Destroyed))
    }),
    (Rule::RequestIsObeyed, "another state is kept", |case| {
        let (number, it) = given(case)?;
        let other = if it.state == Wanted::Started { Wanted::Stopped } else { Wanted::Started };
        case.but(|it| it.instance(number).state = other)
    }),
    (Rule::RequestIsObeyed, "another release is kept", |case| {
        let (number, _) = given(case)?;
        case.but(|it| it.instance(number).release.0 ^= 1)
    }),
    (Rule::RequestIsObeyed, "another type is kept", |case| {
        let (number, _) = given(case)?;
        request(case)?.kind?;
        case.but(|it| it.instance(number).kind.0 ^= 1)
    }),
    (Rule::RequestIsObeyed, "other parameters are kept", |case| {
        let (number, _) = given(case)?;
        case.but(|it| it.instance(number).parameters.0 ^= 1)
    }),
    (Rule::RequestIsObeyed, "another requester is kept", |case| {
        let (number, it) = given(case)?;
        it.requester?;
        case.but(|it| it.instance(number).requester = None)
    }),
    (Rule::AnswerIsTrue, "another partition is answered", |case| {
        let (_, it) = given(case)?;
        it.place?;
        answered(case, |it| it.place = None)
    }),
    (Rule::AnswerIsTrue, "another partition than the host's is answered", |case| {
        let (_, it) = given(case)?;
        it.shared?;
        answered(case, |it| it.place = None)
    }),
    (Rule::AnswerIsTrue, "other parameters are answered", |case| {
        given(case)?;
        answered(case, |it| it.parameters.0 ^= 1)
    }),
    (Rule::AnswerIsTrue, "another connection is answered", |case| {
        given(case)?;
        answered(case, |it| it.connection.0 ^= 1)
    }),
    (Rule::AnswerIsTrue, "another state is answered", |case| {
        let (_, it) = given(case)?;
        let other = if it.state == Wanted::Started { Wanted::Stopped } else { Wanted::Started };
        answered(case, |it| it.state = other)
    }),
    (Rule::AnswerIsTrue, "another timestamp is answered", |case| {
        let (_, it) = given(case)?;
        it.place?;
        answered(case, |it| it.rank = it.rank.map(|rank| rank + 1))
    }),
    (Rule::OnlyRequestsChangeWishes, "something else than a request changes a wish", |case| {
        let is_request = matches!(case.event, Event::Request(_));
        let (number, _) = case.own(|number, _| !is_request && case.before.instances.contains_key(&number))?;
        case.but(|it| it.instance(number).parameters.0 ^= 1)
    }),
    (Rule::OnlyRequestsChangeWishes, "something else than a request makes an instance", |case| {
        let is_request = matches!(case.event, Event::Request(_));
        let (number, _) = case.own(|number, _| !is_request && case.before.instances.contains_key(&number))?;
        let free = case.after.instances.keys().max()? + 1;
        case.but(|it| {
            let copy = it.after.instances[&number].clone();
            it.after.instances.insert(free, copy);
        })
    }),
    (Rule::OtherTreesStay, "a request for a root touches another tree", |case| {
        let (number, _) = given(case)?;
        other_tree(case, number)
    }),
    (Rule::OtherTreesStay, "a request for something new touches what is there", |case| {
        let (number, _) = case.own(|number, _| !case.before.instances.contains_key(&number))?;
        other_tree(case, number)
    }),
    (Rule::StartIsForOne, "a request starts something else", |case| {
        let (number, _) = given(case)?;
        let was = |number: Number| case.before.instances.get(&number).map(|old| old.state);
        let is_down = |at| at != number && was(at).is_some_and(|was| was != Wanted::Started);
        let (other, _) = case.own(|at, _| is_down(at))?;
        case.but(|it| it.instance(other).state = Wanted::Started)
    }),
];

fn refused(case: &Case) -> Option<()> {
    matches!(case.reply, Reply::Refused(_)).then_some(())
}

fn request(case: &Case) -> Option<&Request> {
    if let Event::Request(request) = &case.event { Some(request) } else { None }
}

/// The instance that was requested, and is there, if it was answered.
fn given(case: &Case) -> Option<(Number, Instance)> {
    let request = request(case)?;
    matches!(case.reply, Reply::Given(_)).then_some(())?;
    let root = match request.by {
        Some(place) => Some(case.after.root_of(case.after.tenant(place)?.0)),
        None => None,
    };
    let number = case.after.titled(root, request.title)?;
    Some((number, case.after.instances[&number].clone()))
}

/// A shared instance that has just got its host.
fn hosted(case: &Case) -> Option<(Number, Number)> {
    let had_one = |number: Number| {
        case.before.instances.get(&number).and_then(|old| old.shared).is_some_and(|old| old.host.is_some())
    };
    request(case)?;
    let (number, host) =
        case.shared(|number, it| it.shared.is_some_and(|it| it.host.is_some()) && !had_one(number))?;
    Some((number, host?))
}

fn asked(case: &Case, change: impl FnOnce(&mut Request)) -> Option<Case> {
    let mut request = request(case)?.clone();
    change(&mut request);
    case.but(|it| it.event = Event::Request(request))
}

fn answered(case: &Case, change: impl FnOnce(&mut Given)) -> Option<Case> {
    let Reply::Given(mut given) = case.reply.clone() else { return None };
    change(&mut given);
    case.but(|it| it.reply = Reply::Given(given))
}

fn other_tree(case: &Case, number: Number) -> Option<Case> {
    let is_other = |at: Number| {
        case.before.instances.contains_key(&at) && case.before.root_of(at) != case.after.root_of(number)
    };
    let (other, _) = case.own(|at, _| is_other(at))?;
    case.but(|it| it.instance(other).connection.0 ^= 1)
}
