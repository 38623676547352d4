//! Refusals of requests, in runs with trees: what was refused for a reason could be, at a moment while it was waited for.

use super::{Broken, Ended, Operation, Outcome, Sessions, Standing, Versions, computer, title, url, within};
use crate::swarm::{
    judge::versions::Room,
    script::{Act, Event, Release, State},
};

/// A request that is refused cannot be granted.
pub(super) const RULE: &str = "refused-with-reason";

/// A request by a user.
struct Wish<'a> {
    title: String,
    release: &'a str,
    node: Option<String>,
    is_shared: bool,
    is_destroyed: bool,
}

impl Sessions {
    /// Whether what was refused could be.
    pub(super) fn refused(
        &mut self,
        number: usize,
        operation: &Operation,
        ended: &Ended,
        (last, object): (i64, String),
        versions: &Versions,
    ) -> Result<(), Broken> {
        let Outcome::Refused { status, message } = &ended.outcome else { return Ok(()) };
        let Some(wish) = wish(&self.releases, &operation.what) else { return Ok(()) };
        if !versions.trees.are_kept {
            return Ok(());
        }
        let is_possible: &dyn Fn(Option<&Standing>, &Room) -> bool = match status {
            // JSON-RPC says 403 where XML says 404.
            403 | 404 => &|standing, room| wish.is_nowhere(standing, room),
            409 => &|standing, room| wish.is_in_conflict(standing, room),
            _ => return Ok(()),
        };
        *self.answers.entry("refusal").or_default() += 1;
        let (from, to) = (operation.first, last.max(operation.first));
        let standings = within(versions.instances.get(&wish.title), from, to);
        let rooms = within(Some(&versions.trees.room), from, to);
        let nothing = Room::default();
        let mut moments: Vec<i64> = standings.iter().map(|(at, _)| *at).collect();
        moments.extend(rooms.iter().map(|(at, _)| *at));
        let is_so = moments.into_iter().any(|moment| {
            let standing = standings.iter().rev().find(|(at, _)| *at <= moment).and_then(|(_, it)| *it);
            let room = rooms.iter().rev().find(|(at, _)| *at <= moment).and_then(|(_, it)| *it);
            is_possible(standing, room.unwrap_or(&nothing))
        });
        if is_so {
            return Ok(());
        }
        let words = serde_json::to_string(&operation.what).unwrap_or_default();
        let what = format!(
            "operation {number} of user {} ({words}) was refused with {status}, and for no reason after the entries {from} to {to}: {message}",
            operation.user
        );
        Err((RULE.to_owned(), object, what))
    }
}

fn wish<'a>(releases: &'a [String; 2], what: &Event) -> Option<Wish<'a>> {
    let wish = |number: u32, release: Release, node: Option<u32>, state: State, is_shared| {
        Some(Wish {
            title: title(number),
            release: url(releases, release),
            node: node.map(|node| computer(node).to_string()),
            is_shared,
            is_destroyed: state == State::Destroyed,
        })
    };
    match what {
        Event::Request { title, release, node, state, .. } => wish(*title, *release, *node, *state, false),
        Event::Tree { act: Act::Request { title, release, node, state, .. }, .. } => {
            wish(*title, *release, *node, *state, true)
        }
        _ => None,
    }
}

impl Wish<'_> {
    /// There is nothing to destroy, no room, no host, or no such computer.
    fn is_nowhere(&self, standing: Option<&Standing>, room: &Room) -> bool {
        let is_here = |computer: &String| self.node.as_ref().is_none_or(|node| node == computer);
        let can_host = |host: &(String, String, String)| {
            is_here(&host.0) && host.1 == self.release && host.2 == "default"
        };
        match standing {
            None if self.is_destroyed => true,
            None if self.is_shared => !room.hosts.iter().any(can_host),
            None => !room.free.iter().any(is_here),
            // One that lost its host needs another.
            Some(standing) => {
                self.is_shared
                    && standing.place.as_ref().is_some_and(|(place, _)| place.is_empty())
                    && !room.hosts.iter().any(can_host)
            }
        }
    }

    /// The instance of that title is of the other kind; or a shared one that has another release or type; or another one has its name.
    fn is_in_conflict(&self, standing: Option<&Standing>, room: &Room) -> bool {
        match standing {
            Some(standing) if standing.is_shared != self.is_shared => true,
            Some(standing) => {
                self.is_shared
                    && (standing.release != self.release
                        || standing.own.as_ref().is_none_or(|(_, kind)| kind != "default"))
            }
            None => {
                let name = format!("_{}", self.title);
                self.is_shared && room.references.iter().any(|(reference, _)| *reference == name)
            }
        }
    }
}
