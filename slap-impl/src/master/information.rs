//! A computer's full information, read on condition.
//!
//! The answer's ETag names the database, the computer's revision there and this program's version. A node that sends it
//! back as `If-None-Match` is told 304 while nothing changed (RFC 9110, 13.1.2); with `Prefer: wait=N` (RFC 7240, 4.3)
//! the answer is held until something changed or N seconds passed. Documents are kept by revision (`documents`), so no stale document is
//! ever given for a newer ETag.

use super::{
    Master,
    decisions::{Refusal, unknown_computer},
};
use crate::{
    env::{Either, race},
    store,
    vocabulary::ComputerId,
    wire::http::server::{Request, Response},
};
use bytes::Bytes;
use std::{cell::RefCell, collections::BTreeMap, rc::Rc, time::Duration};
use tokio::sync::Notify;

/// How long an answer is held at most, whatever is preferred.
const WAIT_MAX: Duration = Duration::from_secs(300);

/// Who waits for changes of which computer.
#[derive(Default)]
pub(super) struct Watchers {
    computers: RefCell<BTreeMap<ComputerId, Rc<Notify>>>,
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
        let wait = preferred_wait(&request.header_list("prefer"));
        let deadline = self.env.clock().elapsed() + wait.unwrap_or_default();
        let finish = |response: Response, etag: String| {
            let response = response.header("etag", etag).header("cache-control", "no-cache");
            match wait {
                Some(wait) => response.header("preference-applied", format!("wait={}", wait.as_secs())),
                None => response,
            }
        };
        loop {
            let (revision, document) = self.information(computer)?;
            self.contact(computer);
            let etag = self.etag(revision);
            if !matches_etag(&known, &etag) {
                return Ok(finish(Response::new(200, "text/xml; charset=utf-8", document), etag));
            }
            let left = deadline.saturating_sub(self.env.clock().elapsed());
            if left.is_zero() || *self.closing.borrow() {
                let response = Response { status: 304, headers: Vec::new(), body: Bytes::new() };
                return Ok(finish(response, etag));
            }
            let notify = self.watchers.of(computer);
            // It listens from here on. A change between the read above and this line would be missed on many threads;
            // here both happen without an await between them, and changes are announced by another task.
            self.hold(notify.notified(), left).await;
        }
    }

    /// Holds an answer until `changed`, until the master ends, or so long.
    pub(super) async fn hold(&self, changed: impl Future<Output = ()>, left: Duration) {
        let mut closing = self.closing.subscribe();
        let closed = async { closing.wait_for(|closing| *closing).await.is_ok() };
        match race(changed, race(closed, self.env.sleep(left))).await {
            Either::First(()) | Either::Second(Either::First(_) | Either::Second(())) => {}
        }
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
