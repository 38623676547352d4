//! What users tell that others might: what it is in the journal, and what it comes to.

use super::super::{
    sessions::{self, IsSo, first},
    versions::{Versions, within},
};
use crate::swarm::{
    script::{Event, Look, Tell},
    users::{COMPLAINT, computer, guid, parameters, title},
};
use slap_impl::{
    master::decisions::{Command, InstanceAction, InstanceReport},
    wire::instance_xml,
};

/// What stands in the journal when a user tells something that no node does.
pub(in crate::swarm::judge) fn command(tell: Tell) -> Option<Command> {
    let on =
        |number: u32, action| Some(Command::OnInstance { guid: guid(&title(number)).parse().ok()?, action });
    let message = COMPLAINT.to_owned();
    match tell {
        Tell::BangComputer { node, .. } => Some(Command::BangComputer { computer: computer(node), message }),
        Tell::Bang { title: number } => {
            on(number, InstanceAction::Report { report: InstanceReport::Bang { message } })
        }
        Tell::Publish { title: number, note } => {
            let document = sessions::document(note);
            on(number, InstanceAction::Publish { document })
        }
        Tell::Format { .. } | Tell::Available { .. } | Tell::Usage { .. } | Tell::Certificate { .. } => None,
    }
}

/// What a user publishes, and for which title.
pub(in crate::swarm::judge) fn published(what: &Event) -> Option<(String, String)> {
    let Event::Tell { tell: Tell::Publish { title: number, note }, .. } = *what else { return None };
    let values = parameters(note).into_iter().map(|(key, value)| (key, Some(value)));
    Some((title(number), instance_xml::encode(&values.collect())))
}

/// Whether an instance publishes that.
pub(in crate::swarm::judge) fn publishes<'a>(
    versions: &'a Versions,
    title: &str,
    document: String,
) -> Box<IsSo<'a>> {
    let line = versions.instances.get(title);
    Box::new(move |from, to| {
        first(within(line, from, to), |it| it.is_some_and(|it| it.connection == document))
    })
}

/// What kind of thing a user looks at, and what.
pub(in crate::swarm::judge) fn describe_look(look: Look) -> (&'static str, String) {
    let object = look.node().map_or_else(|| "master".to_owned(), |node| computer(node).to_string());
    match look {
        Look::Certificate { title: number }
        | Look::Hosted { title: number }
        | Look::Shared { title: number }
        | Look::Search { title: number } => ("look", title(number)),
        Look::Wait { title: number, .. } => ("wait", title(number)),
        Look::Events { .. } => ("events", object),
        Look::RunId => ("run", object),
        _ => ("look", object),
    }
}

/// What kind of thing a user tells, and of what.
pub(in crate::swarm::judge) fn describe_tell(tell: Tell) -> (&'static str, String) {
    let object = match tell {
        Tell::Bang { title: number } | Tell::Publish { title: number, .. } => title(number),
        _ => tell.node().map_or_else(|| "master".to_owned(), |node| computer(node).to_string()),
    };
    ("tell", object)
}
