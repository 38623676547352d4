//! Who is connected, who of them is waited for, and whom to send away when there is no room.
//!
//! * [`Connections`]: what all connections of a server share
//! * [`Open`], [`Seat`]: one connection, and whether its peer or its handler has the next move
//! * [`BodyBytes`]: the room that a body takes while it arrives

use super::{Handler, Limits};
use crate::env::Env;
use hyper::header::HeaderValue;
use jiff::Timestamp;
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    convert::Infallible,
    rc::Rc,
    time::Duration,
};
use tokio::sync::Notify;

/// What a peer is waited for; who is waited for the sooner is sent away the sooner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Awaited {
    /// A request's first byte, or the rest of its head: nothing is lost with it.
    Head,
    /// The rest of a body.
    Body,
    /// That it takes its answer.
    Reading,
}

/// What all connections of a server share.
pub(super) struct Connections {
    env: Env,
    pub(super) limits: Limits,
    pub(super) handler: Rc<dyn Handler>,
    open: Cell<usize>,
    /// Sent away, and not gone yet.
    leaving: Cell<usize>,
    /// Peers that have the next move, the first to be sent away first. A connection whose handler works (and be it that
    /// it waits for a change) is not among them.
    awaited: RefCell<BTreeMap<(Awaited, u64), Rc<Seat>>>,
    next: Cell<u64>,
    /// A head is awaited again, after none was.
    awaits_head: Notify,
    body_bytes: Cell<usize>,
    /// A newcomer waits for room.
    wants_room: Cell<bool>,
    stopping: Cell<bool>,
    changed: Notify,
    /// The header `Date` of a second since 1970.
    date: RefCell<Option<(i64, HeaderValue)>>,
}

impl Connections {
    pub(super) fn new(env: &Env, limits: Limits, handler: Rc<dyn Handler>) -> Rc<Connections> {
        Rc::new(Connections {
            env: env.clone(),
            limits,
            handler,
            open: Cell::new(0),
            leaving: Cell::new(0),
            awaited: RefCell::default(),
            next: Cell::new(0),
            awaits_head: Notify::new(),
            body_bytes: Cell::new(0),
            wants_room: Cell::new(false),
            stopping: Cell::new(false),
            changed: Notify::new(),
            date: RefCell::default(),
        })
    }

    /// How many are open.
    pub(super) fn count(&self) -> usize {
        self.open.get()
    }

    /// The header `Date` (RFC 9110, 6.6.1), made once in a second.
    pub(super) fn date(&self, now: Timestamp) -> Option<HeaderValue> {
        let mut date = self.date.borrow_mut();
        if let Some((second, value)) = &*date
            && *second == now.as_second()
        {
            return Some(value.clone());
        }
        let text = now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let value = HeaderValue::from_str(&text).ok()?;
        *date = Some((now.as_second(), value.clone()));
        Some(value)
    }

    /// Whether the server ends.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.get()
    }

    /// The server ends: nobody lingers any more.
    pub(super) fn stop(&self) {
        self.stopping.set(true);
    }

    /// Ends when something changed: a connection ended, or one may be sent away for a newcomer.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Ends when there is room for one more; sends the oldest away that its peer keeps waiting.
    pub(super) async fn room(&self) {
        while self.open.get() >= self.limits.connections_max {
            self.wants_room.set(true);
            self.make_room();
            self.changed().await;
        }
        self.wants_room.set(false);
    }

    /// Sends the oldest away that is waited for, unless one is on its way out.
    pub(super) fn make_room(&self) {
        if self.leaving.get() == 0 {
            let seat = self.awaited.borrow_mut().pop_first();
            self.send_away(seat.map(|(_, seat)| seat));
        }
    }

    /// Sends everybody away whose request's head does not come in time. One timer for all: to set one anew with each request costs more than
    /// to read the request.
    pub(super) async fn send_the_slow_away(&self) -> Infallible {
        loop {
            let oldest = self.awaited.borrow().first_key_value().map(|(key, seat)| (*key, seat.since.get()));
            let Some((key @ (Awaited::Head, _), since)) = oldest else {
                self.awaits_head.notified().await;
                continue;
            };
            let waited = self.env.clock().elapsed().saturating_sub(since);
            let left = self.limits.header_timeout.saturating_sub(waited);
            if left.is_zero() {
                let seat = self.awaited.borrow_mut().remove(&key);
                self.send_away(seat);
            } else {
                self.env.sleep(left).await;
            }
        }
    }

    fn send_away(&self, seat: Option<Rc<Seat>>) {
        if let Some(seat) = seat {
            seat.place.set(None);
            seat.is_leaving.set(true);
            self.leaving.set(self.leaving.get() + 1);
            seat.leave.notify_one();
        }
    }
}

/// One open connection, counted while it lives.
pub(super) struct Open {
    pub(super) seat: Rc<Seat>,
}

impl Open {
    pub(super) fn new(connections: &Rc<Connections>) -> Open {
        connections.open.set(connections.open.get() + 1);
        let seat = Rc::new(Seat {
            connections: connections.clone(),
            place: Cell::new(None),
            since: Cell::default(),
            is_answered: Cell::new(false),
            is_leaving: Cell::new(false),
            is_ahead: Cell::new(false),
            leave: Notify::new(),
        });
        seat.awaits(Awaited::Head);
        Open { seat }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let connections = &self.seat.connections;
        self.seat.works();
        self.seat.is_leaving.set(true); // It awaits nobody any more.
        connections.open.set(connections.open.get() - 1);
        connections.changed.notify_one();
    }
}

/// Who has the next move on a connection: its peer, or this side.
pub(super) struct Seat {
    pub(super) connections: Rc<Connections>,
    place: Cell<Option<(Awaited, u64)>>,
    /// When its peer's move began, by [`Clock::elapsed`](crate::env::Clock::elapsed).
    since: Cell<Duration>,
    /// The handler has answered, and the answer is not wholly written yet.
    is_answered: Cell<bool>,
    is_leaving: Cell<bool>,
    /// Nothing had to be waited for since the last answer.
    is_ahead: Cell<bool>,
    leave: Notify,
}

impl Seat {
    /// The peer has the next move: from now on, the connection may be sent away.
    pub(super) fn awaits(self: &Rc<Seat>, what: Awaited) {
        if self.is_leaving.get() || self.place.get().is_some_and(|(awaited, _)| awaited == what) {
            return;
        }
        let connections = &self.connections;
        let number = connections.next.replace(connections.next.get() + 1);
        self.since.set(connections.env.clock().elapsed());
        let mut awaited = connections.awaited.borrow_mut();
        if let Some(place) = self.place.replace(Some((what, number))) {
            awaited.remove(&place);
        }
        if what == Awaited::Head && awaited.first_key_value().is_none_or(|((first, _), _)| *first != what) {
            connections.awaits_head.notify_one();
        }
        awaited.insert((what, number), self.clone());
        if connections.wants_room.get() {
            connections.changed.notify_one();
        }
    }

    /// This side has the next move. Who was to be sent away stays.
    pub(super) fn works(&self) {
        self.is_answered.set(false);
        if self.is_leaving.replace(false) {
            self.connections.leaving.set(self.connections.leaving.get() - 1);
            self.connections.changed.notify_one();
        }
        if let Some(place) = self.place.take() {
            self.connections.awaited.borrow_mut().remove(&place);
        }
    }

    /// The answer is there, and goes to the peer.
    pub(super) fn answered(&self) {
        self.is_answered.set(true);
        self.is_ahead.set(true);
    }

    /// All that the peer has sent is read.
    pub(super) fn has_read_all(&self) {
        self.is_ahead.set(false);
    }

    /// Whether the request that is read now was there before the last one was answered.
    pub(super) fn is_ahead(&self) -> bool {
        self.is_ahead.get()
    }

    /// A write stands still, for the peer takes nothing.
    pub(super) fn stands_still(self: &Rc<Seat>) {
        if self.is_answered.get() {
            self.awaits(Awaited::Reading);
        }
    }

    /// All that was to be written is written.
    pub(super) fn flushed(self: &Rc<Seat>) {
        if self.is_answered.replace(false) {
            self.awaits(Awaited::Head);
        }
    }

    /// Ends when somebody else needs the room. What has come already is read first: of many that come at once, nobody is sent away
    /// unheard.
    pub(super) async fn leave(&self) {
        loop {
            self.leave.notified().await;
            tokio::task::yield_now().await;
            if self.is_leaving.get() {
                return;
            }
        }
    }
}

/// The room that a body takes while it arrives, counted together with all others'.
pub(super) struct BodyBytes<'a> {
    connections: &'a Connections,
    bytes: usize,
}

impl<'a> BodyBytes<'a> {
    pub(super) fn new(connections: &'a Connections) -> BodyBytes<'a> {
        BodyBytes { connections, bytes: 0 }
    }

    /// Counts more of it. Where all together are too many, the body that is waited for longest is given up.
    pub(super) fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
        let connections = self.connections;
        connections.body_bytes.set(connections.body_bytes.get() + bytes);
        if connections.body_bytes.get() > connections.limits.bodies_bytes_max {
            let mut awaited = connections.awaited.borrow_mut();
            let oldest = awaited.range((Awaited::Body, 0)..(Awaited::Reading, 0)).next().map(|(key, _)| *key);
            let seat = oldest.and_then(|key| awaited.remove(&key));
            drop(awaited);
            connections.send_away(seat);
        }
    }
}

impl Drop for BodyBytes<'_> {
    fn drop(&mut self) {
        self.connections.body_bytes.set(self.connections.body_bytes.get() - self.bytes);
    }
}
