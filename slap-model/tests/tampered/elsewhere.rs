//! What may not come of requests that another master or a stand-in answers, and of releases that move.

use super::{Case, Tampering};
use slap_model::{
    Event, Reply, Rule,
    event::Request,
    names::{Place, Release, Title},
};

pub(super) const TAMPERINGS: &[Tampering] = &[
    (Rule::StandInChangesNothing, "a stand-in changes an instance", |case| {
        let Reply::StandIn(_) = case.reply else { return None };
        let (number, _) = case.own(|_, _| true)?;
        case.but(|it| it.instance(number).connection.0 ^= 1)
    }),
    (Rule::PassedOnIsRemembered, "it is forgotten", |case| {
        let (title, _) = passed_on(case)?;
        case.after.forwarded.get(&title)?;
        case.but(|it| {
            it.after.forwarded.remove(&title);
        })
    }),
    (Rule::PassedOnIsRemembered, "it is remembered though it is destroyed", |case| {
        let (title, request) =
            passed_on(case).filter(|(title, _)| !case.after.forwarded.contains_key(title))?;
        case.but(|it| {
            it.after.forwarded.insert(title, request.by);
        })
    }),
    (Rule::PassedOnIsRemembered, "something else forgets it", |case| {
        let (Event::Bang { .. } | Event::Report(_), Some(title)) =
            (&case.event, case.after.forwarded.keys().next())
        else {
            return None;
        };
        case.but(|it| {
            it.after.forwarded.remove(title);
        })
    }),
    (Rule::TitleThereBelongsToOne, "somebody else had it", |case| {
        let (title, request) = passed_on(case)?;
        if case.before.elsewhere == case.after.elsewhere {
            return None;
        }
        let other = match request.by {
            None => Some(case.after.instances.values().find_map(|it| it.place)?),
            Some(Place { computer, partition }) => {
                Some(Place { computer: slap_model::names::Computer(computer.0 + 1), partition })
            }
        };
        case.but(|it| {
            it.before.forwarded.insert(title, other);
        })
    }),
    (Rule::PassedOnChangesNothingHere, "an instance here changes", |case| {
        passed_on(case)?;
        let (number, _) = case.own(|_, _| true)?;
        case.but(|it| it.instance(number).connection.0 ^= 1)
    }),
    (Rule::PassedOnChangesNothingHere, "a partition here changes", |case| {
        passed_on(case)?;
        let (_, place) = case.own(|_, _| true)?;
        case.but(|it| it.slot(place).rank += 1)
    }),
    (Rule::HereStaysHere, "it was here", |case| {
        let (_, request) = passed_on(case).filter(|(_, request)| request.by.is_none())?;
        let (number, _) =
            case.own(|number, it| it.root.is_none() && case.before.instances.contains_key(&number))?;
        let title = request.title;
        case.but(|it| {
            for state in [&mut it.before, &mut it.after] {
                state.instances.get_mut(&number).expect("it was found there").title = title;
            }
        })
    }),
    (Rule::ReleasesFollowTheirRoot, "an instance has another release", |case| {
        let Event::Rebase(_) = case.event else { return None };
        let (number, _) = case.own(|_, _| true)?;
        case.but(|it| it.instance(number).release = Release(7))
    }),
    (Rule::ReleasesFollowTheirRoot, "an instance changes otherwise", |case| {
        let Event::Rebase(_) = case.event else { return None };
        let (number, _) = case.own(|_, _| true)?;
        case.but(|it| it.instance(number).parameters.0 += 1)
    }),
    (Rule::ReleasesFollowTheirRoot, "the directory is not kept", |case| {
        let Event::Rebase(Some(_)) = case.event else { return None };
        case.but(|it| it.after.root = None)
    }),
    (Rule::ReleasesFollowTheirRoot, "a release is wanted otherwise", |case| {
        let Event::Rebase(_) = case.event else { return None };
        let has_one = |(_, it): &(&_, &slap_model::state::Registered)| !it.supplies.is_empty();
        let (computer, _) = case.after.computers.iter().find(has_one)?;
        case.but(|it| {
            let supplies =
                it.after.computers.get_mut(computer).into_iter().flat_map(|it| it.supplies.values_mut());
            supplies.for_each(|supply| supply.wanted ^= true);
        })
    }),
];

/// A request that another master granted, and the title there.
fn passed_on(case: &Case) -> Option<(Title, &Request)> {
    match (&case.event, &case.reply) {
        (Event::Request(request), Reply::GivenElsewhere(_)) => {
            Some((Title::elsewhere(request.by.map(|place| place.partition), request.title), request))
        }
        _ => None,
    }
}
