//! What holds of what goes elsewhere: to another master, to a stand-in; and of releases that move with their directory.

use super::{Found, Rule, Transition};
use crate::{
    event::{Event, Request, Wanted},
    names::{Number, Title},
    reply::Reply,
    state::{Instance, State, Supplied},
};
use std::collections::BTreeMap;

pub(super) fn check(transition: &Transition<'_>, found: &mut Found) {
    stand_ins(transition, found);
    remembered(transition, found);
    if let Event::Request(request) = transition.event {
        passed_on(transition, request, found);
    }
    rebases(transition, found);
}

fn is_same_here(before: &State, after: &State) -> bool {
    before.computers == after.computers && before.instances == after.instances
}

fn stand_ins(Transition { before, reply, after, .. }: &Transition<'_>, found: &mut Found) {
    if let Reply::StandIn(parameters) = reply {
        found.expect(before == after, Rule::StandInChangesNothing, parameters);
    }
}

/// What is remembered of the other master: nothing but requests changes it, and those only what they are about.
fn remembered(Transition { before, event, reply, after }: &Transition<'_>, found: &mut Found) {
    let asked = match (event, reply) {
        (Event::Request(request), Reply::GivenElsewhere(_)) => Some(request),
        _ => None,
    };
    let mut expected = before.forwarded.clone();
    if let Some(request) = asked {
        let title = title_there(request);
        if request.state == Some(Wanted::Destroyed) {
            expected.remove(&title);
        } else {
            expected.insert(title, request.by);
        }
    }
    let object = asked.map_or_else(|| event.kind().to_owned(), |request| request.title.to_string());
    found.expect(expected == after.forwarded, Rule::PassedOnIsRemembered, object);
}

fn title_there(request: &Request) -> Title {
    Title::elsewhere(request.by.map(|place| place.partition), request.title)
}

fn passed_on(transition: &Transition<'_>, request: &Request, found: &mut Found) {
    let Transition { before, reply, after, .. } = transition;
    let owner = before.forwarded.get(&title_there(request));
    let is_others = owner.is_some_and(|owner| *owner != request.by);
    found.expect(
        !is_others || before.elsewhere == after.elsewhere,
        Rule::TitleThereBelongsToOne,
        request.title,
    );
    if !matches!(reply, Reply::GivenElsewhere(_)) {
        return;
    }
    found.expect(is_same_here(before, after), Rule::PassedOnChangesNothingHere, request.title);
    let root = request.by.and_then(|place| before.tenant(place)).map(|(number, _)| before.root_of(number));
    let is_here = before.titled(root, request.title).is_some();
    found.expect(!is_here, Rule::HereStaysHere, request.title);
}

/// What was under the old directory is under the new one, unbuilt; nothing else is touched.
fn rebases(Transition { before, event, after, .. }: &Transition<'_>, found: &mut Found) {
    let Event::Rebase(root) = event else { return };
    let follow = |instance: &Instance| Instance {
        release: instance.release.moved(before.root, *root),
        ..instance.clone()
    };
    let instances: BTreeMap<Number, Instance> =
        before.instances.iter().map(|(number, instance)| (*number, follow(instance))).collect();
    let is_followed = instances == after.instances && after.root == *root;
    found.expect(is_followed, Rule::ReleasesFollowTheirRoot, "instances");
    for (computer, registered) in &before.computers {
        let mut expected = BTreeMap::new();
        for (release, old) in &registered.supplies {
            let moved = release.moved(before.root, *root);
            if moved == *release || registered.supplies.contains_key(&moved) {
                expected.insert(*release, *old);
            } else {
                expected.insert(moved, Supplied { status: None, ..*old });
            }
        }
        let is_followed = after.computers.get(computer).is_some_and(|it| it.supplies == expected);
        found.expect(is_followed, Rule::ReleasesFollowTheirRoot, computer);
    }
}
