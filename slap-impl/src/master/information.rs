//! A computer's full information, read on condition.
//!
//! The answer's ETag names the database, the computer's revision there and this program's version. A node that sends it
//! back as `If-None-Match` is told 304 while nothing changed (RFC 9110, 13.1.2); with `Prefer: wait=N` (RFC 7240, 4.3)
//! the answer is held until something changed or N seconds passed. Documents are kept by revision (`documents`), so no stale document is
//! ever given for a newer ETag.
//!
//! Who waits keeps its connection, and nobody sends it away: so fewer may wait than there are connections. One more is answered as
//! if its wait were over, and without `Preference-Applied`: it shall not ask again at once.

use super::{
    Master,
    decisions::{Refusal, unknown_computer},
};
use crate::{
    env::{Either, race},
    store,
    vocabulary::ComputerId,
    wire::http::server::{Limits, Request, Response},
};
use bytes::Bytes;
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    time::Duration,
};
use tokio::sync::Notify;

/// How long an answer is held at most, whatever is preferred.
const WAIT_MAX: Duration = Duration::from_secs(300);

/// Who waits for changes of which computer, and how many wait for anything.
pub(super) struct Watchers {
    computers: RefCell<BTreeMap<ComputerId, Rc<Notify>>>,
    waiting: Cell<usize>,
    waiting_max: Cell<usize>,
}

impl Default for Watchers {
    fn default() -> Watchers {
        let waiting_max = Cell::new(waiting_max(&Limits::default()));
        Watchers { computers: RefCell::default(), waiting: Cell::new(0), waiting_max }
    }
}

/// How many may wait: one connection of eight, and one at least, is for those who do not.
fn waiting_max(limits: &Limits) -> usize {
    limits.connections_max - (limits.connections_max / 8).max(1)
}

/// A place among those that may wait, given back when it is dropped.
struct Waiting<'a>(&'a Cell<usize>);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Watchers {
    /// Wakes who waits for a computer.
    pub(super) fn wake(&self, computer: &ComputerId) {
        if let Some(notify) = self.computers.borrow().get(computer) {
            notify.notify_waiters();
        }
    }

    /// Whether somebody waits for a computer.
    #[cfg(test)]
    pub(super) fn are_there(&self, computer: &ComputerId) -> bool {
        Rc::strong_count(&self.of(computer)) > 2
    }

    /// As many may wait as these limits of connections allow.
    pub(super) fn limit(&self, limits: &Limits) {
        self.waiting_max.set(waiting_max(limits));
    }

    fn place(&self) -> Option<Waiting<'_>> {
        let waiting = self.waiting.get();
        (waiting < self.waiting_max.get()).then(|| {
            self.waiting.set(waiting + 1);
            Waiting(&self.waiting)
        })
    }

    fn of(&self, computer: &ComputerId) -> Rc<Notify> {
        self.computers.borrow_mut().entry(computer.clone()).or_default().clone()
    }
}

impl Master {
    /// Answers `getFullComputerInformation`.
    pub(super) async fn full_information(
        &self,
        computer: &ComputerId,
        request: &Request,
    ) -> Result<Response, Refusal> {
        let known = request.header_list("if-none-match");
        let mut wait = preferred_wait(&request.header_list("prefer"));
        let deadline = self.env.clock().elapsed() + wait.unwrap_or_default();
        let finish = |response: Response, etag: String, wait: Option<Duration>| {
            applied(response.header("etag", etag).header("cache-control", "no-cache"), wait)
        };
        let mut first = None;
        loop {
            let (revision, document) = self.information(computer)?;
            self.contact(computer);
            let etag = self.etag(revision);
            // `*` matches whatever there is: then what there was first is known.
            if !matches_etag(&known, &etag) || *first.get_or_insert(revision) != revision {
                return Ok(finish(Response::new(200, "text/xml; charset=utf-8", document), etag, wait));
            }
            let left = deadline.saturating_sub(self.env.clock().elapsed());
            if wait.is_none() || left.is_zero() || self.closing.is_set() {
                let response = Response { status: 304, headers: Vec::new(), body: Bytes::new() };
                return Ok(finish(response, etag, wait));
            }
            let notify = self.watchers.of(computer);
            // It listens from here on. A change between the read above and this line would be missed on many threads;
            // here both happen without an await between them, and changes are announced by another task.
            if !self.hold(notify.notified(), left).await {
                wait = None;
            }
        }
    }

    /// Holds an answer until `changed`, until the master ends, or so long. False when as many wait already as may: then it is not
    /// held at all.
    pub(super) async fn hold(&self, changed: impl Future<Output = ()>, left: Duration) -> bool {
        // Who goes on waiting has its place again before anybody else can ask: nothing is awaited between two calls.
        let Some(_place) = self.watchers.place() else { return false };
        match race(changed, race(self.closing.wait(), self.env.sleep(left))).await {
            Either::First(()) | Either::Second(Either::First(()) | Either::Second(())) => {}
        }
        true
    }

    /// A computer's revision and the document that shows it.
    pub(super) fn information(&self, computer: &ComputerId) -> Result<(i64, Bytes), Refusal> {
        let commits = self.queue.commits();
        // Also what is at hand is given inside a read, which fails when the database was removed.
        let found = self.read(|connection| {
            if let Some(newest) = self.documents.newest(computer, commits) {
                return Ok(Ok(newest));
            }
            let revision = match store::computer(connection, computer)? {
                Some(found) => found.revision,
                // slapproxy knows its own computer before it was formatted (slap_tool.py, getFullComputerInformation).
                None if self.default_computer.as_ref() == Some(computer) => 0,
                None => return Ok(Err(unknown_computer(connection, computer)?)),
            };
            Ok(Ok((revision, self.documents.at(connection, computer, revision, commits)?)))
        });
        found?
    }

    fn etag(&self, revision: i64) -> String {
        format!("\"{}.{revision}.{}\"", self.identity, env!("CARGO_PKG_VERSION"))
    }
}

/// Says in an answer for how long it would have been held (RFC 7240, 3).
pub(super) fn applied(response: Response, wait: Option<Duration>) -> Response {
    match wait {
        Some(wait) => response.header("preference-applied", format!("wait={}", wait.as_secs())),
        None => response,
    }
}

/// Whether an `If-None-Match` names that entity tag; tags are compared weakly (RFC 9110, 8.8.3.2).
fn matches_etag(known: &str, etag: &str) -> bool {
    let mut tags = known.split(',').map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// The first `wait` of a `Prefer` header, at most [`WAIT_MAX`]; what cannot be read is no preference (RFC 7240, 2).
pub(super) fn preferred_wait(prefer: &str) -> Option<Duration> {
    prefer.split(',').find_map(|preference| {
        let (name, value) = preference.split(';').next()?.split_once('=')?;
        if !name.trim().eq_ignore_ascii_case("wait") {
            return None;
        }
        let seconds: u64 = value.trim().trim_matches('"').parse().ok()?;
        Some(Duration::from_secs(seconds).min(WAIT_MAX))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entity_tags() {
        for (known, expected) in [
            ("", false),
            ("\"a.1.0\"", true),
            ("W/\"a.1.0\"", true),
            ("\"x\", \"a.1.0\"", true),
            ("*", true),
            ("\"a.1.0", false),
            ("\"a.10\"", false),
        ] {
            assert_eq!(matches_etag(known, "\"a.1.0\""), expected, "{known}");
        }
    }

    #[test]
    fn some_connections_are_not_for_who_waits() {
        for (connections_max, expected) in [(1, 0), (2, 1), (8, 7), (30, 27), (1024, 896), (16_384, 14_336)] {
            let limits = Limits { connections_max, ..Limits::default() };
            assert_eq!(waiting_max(&limits), expected, "{connections_max}");
        }
    }

    #[test]
    fn preferences() {
        for (prefer, expected) in [
            ("", None),
            ("wait=10", Some(10)),
            ("respond-async, Wait = \"7\" ; foo", Some(7)),
            ("wait=x", None),
            ("wait=-1", None),
            ("wait=99999", Some(300)),
            ("waiter=3, wait=0", Some(0)),
        ] {
            assert_eq!(preferred_wait(prefer), expected.map(Duration::from_secs), "{prefer}");
        }
    }
}
