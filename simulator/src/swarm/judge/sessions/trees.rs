//! What users do with shared instances and children: how it stands in the journal, and whether what they were told of them is true.

use super::{IsSo, Sessions, Standing, Versions, document, first, instance, url, within};
use crate::swarm::{
    history::Answer,
    judge::versions::hosted_told,
    script::{Act, Event, State},
    users::{
        COMPLAINT, filter, requested, title,
        trees::{requested_guid, shared_guid},
    },
};
use slap_impl::master::decisions::{Command, InstanceAction, InstanceReport};

/// What stands in the journal when it changes something.
pub(super) fn command(act: &Act, releases: &[String; 2]) -> Option<Command> {
    let on = |number: u32, action| {
        Some(Command::OnInstance { guid: shared_guid(&title(number)).parse().ok()?, action })
    };
    match act {
        Act::Request { title: number, release, node, note, state } => Some(Command::Request {
            title: title(*number).parse().ok()?,
            release: url(releases, *release).parse().ok()?,
            software_type: "default".to_owned(),
            parameters: document(*note),
            filter: filter(*node),
            state: Some(requested(*state)),
            requester: None,
            shared: true,
        }),
        Act::Rename { title: from, to } => {
            on(*from, InstanceAction::Rename { title: title(*to).parse().ok()? })
        }
        Act::Report { title: number, bang } => {
            let text = COMPLAINT.to_owned();
            let report = match bang {
                true => InstanceReport::Bang { message: text },
                false => InstanceReport::Error { log: text },
            };
            on(*number, InstanceAction::Report { report })
        }
        Act::Read { .. } | Act::ReadHosted { .. } | Act::ReadRequested { .. } => None,
    }
}

/// What kind of thing it is, and to what it is done.
pub(super) fn describe(act: &Act) -> (&'static str, String) {
    match act {
        Act::Request { title: number, .. } => ("request shared", title(*number)),
        Act::Rename { title: number, .. } => ("rename shared", title(*number)),
        Act::Report { title: number, .. } => ("report shared", title(*number)),
        Act::Read { title: number } => ("read shared", title(*number)),
        Act::ReadHosted { title: number } => ("read hosted", title(*number)),
        Act::ReadRequested { title: number, release } => {
            ("read requested", requested_guid(&title(*number), *release))
        }
    }
}

/// Whether a shared instance that was given is another one than was asked for. What goes is told as it was.
pub(super) fn is_other_than_wished(act: &Act, answer: &Answer, releases: &[String; 2]) -> Option<String> {
    let Act::Request { release, note, state, .. } = act else { return None };
    let told = match answer {
        Answer::Given(given) => Standing::of_given(given),
        Answer::Document(told) => Standing::of_document(told, false),
        _ => return None,
    };
    let wished = (url(releases, *release), document(*note));
    let is_it = told.is_shared
        && told.state == requested(*state).as_str()
        && (*state == State::Destroyed || (told.release.as_str(), told.parameters) == wished);
    (!is_it).then(|| format!("it asked for {:?} of {wished:?}", requested(*state).as_str()))
}

/// How the versions are asked whether an answer is true.
pub(super) fn question<'a>(
    sessions: &'a Sessions,
    (what, act): (&'a Event, &'a Act),
    answer: &'a Answer,
    versions: &'a Versions,
) -> Box<IsSo<'a>> {
    let never = || Box::new(|_: i64, _: i64| None) as Box<IsSo<'a>>;
    match (act, answer) {
        (Act::Request { title: number, state, .. }, Answer::Given(_) | Answer::Document(_)) => {
            let told = match answer {
                Answer::Given(given) => Standing::of_given(given),
                Answer::Document(told) if told["instance_guid"] == shared_guid(&title(*number)).as_str() => {
                    Standing::of_document(told, false)
                }
                _ => return never(),
            };
            match state {
                State::Destroyed => gone(versions, *number, told),
                _ => instance(versions, *number, Some(told)),
            }
        }
        (Act::Rename { .. } | Act::Report { .. }, Answer::Done) => {
            Box::new(move |from, to| sessions.entry(what, from, to))
        }
        (Act::Read { title: number }, Answer::Instance(found)) => {
            if found.as_ref().is_some_and(|found| found.reference != title(*number)) {
                return never();
            }
            instance(versions, *number, found.as_deref().map(Standing::of_service))
        }
        (Act::Read { title: number }, Answer::Document(told)) => {
            let name = title(*number);
            if told["title"] != name.as_str() || told["instance_guid"] != shared_guid(&name).as_str() {
                return never();
            }
            instance(versions, *number, Some(Standing::of_document(told, true)))
        }
        (Act::Read { title: number }, Answer::NoSuch) => {
            let line = versions.instances.get(&title(*number));
            Box::new(move |from, to| first(within(line, from, to), |it| it.is_none_or(|it| !it.is_shared)))
        }
        (Act::ReadHosted { title: number }, Answer::Hosted(_) | Answer::NoSuch) => {
            let line = versions.trees.hosted.get(&title(*number));
            let told = if let Answer::Hosted(rows) = answer { Some(hosted_told(rows)) } else { None };
            Box::new(move |from, to| first(within(line, from, to), |rows| rows == told.as_ref()))
        }
        (Act::ReadRequested { title: number, release }, Answer::Document(_) | Answer::NoSuch) => {
            let guid = requested_guid(&title(*number), *release);
            let told = match answer {
                Answer::Document(told)
                    if told["instance_guid"] != guid.as_str()
                        || told["root_instance_title"] != title(*number).as_str() =>
                {
                    return never();
                }
                Answer::Document(told) => Some(Standing::of_document(told, true)),
                _ => None,
            };
            let line = versions.trees.children.get(&guid);
            Box::new(move |from, to| {
                first(within(line, from, to), |standing| match (&told, standing) {
                    (Some(told), Some(standing)) => standing.is_told_by(told),
                    (told, standing) => told.is_none() && standing.is_none(),
                })
            })
        }
        _ => never(),
    }
}

/// A shared instance that shall go is gone at once, and told as it was before but for its state.
fn gone(versions: &Versions, number: u32, told: Standing) -> Box<IsSo<'_>> {
    let line = versions.instances.get(&title(number));
    Box::new(move |from, to| {
        let all = within(line, from, to);
        let found = all.windows(2).find(|pair| {
            let was_it = pair[0].1.is_some_and(|before| {
                let last = Standing { state: told.state.clone(), ..before.clone() };
                before.is_shared && last.is_told_by(&told)
            });
            was_it && pair[1].1.is_none()
        });
        found.map(|pair| pair[1].0)
    })
}
