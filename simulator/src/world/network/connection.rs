//! One connection: its two sides, what they send, and what becomes of them.
//!
//! Side 0 is who connected, side 1 who accepted. A side of a machine that lost its power is not told to anybody: the machine does not
//! know it any more when it is up again, and answers what still comes with a reset.

use super::{
    Interface,
    cache::Fate,
    flow::Flow,
    link::{LinkState, Mishap},
    replay,
    stream::MemoryStream,
};
use crate::world::clock::now_instant;
use slap_impl::env::Address;
use std::{cell::RefCell, io, rc::Rc, task::Waker};
use tokio::{io::ReadBuf, time::Instant};

/// Bytes of a request that is repeated.
const REPEATED_BYTES_MAX: usize = 64 * 1024;

/// A connection, held by its sides.
pub(crate) struct Connection {
    state: RefCell<State>,
}

struct State {
    /// Where it was made to.
    address: Address,
    /// What each side sends over.
    links: [Rc<LinkState>; 2],
    sides: [Side; 2],
    /// What each side sent.
    flows: [Flow; 2],
    /// Who sent last.
    turn: Option<usize>,
    /// What happens to the request that is being sent or answered.
    mishap: Option<Mishap>,
    /// The request that will be repeated.
    request: Vec<u8>,
    /// The answer that is kept by what stands between.
    kept: Option<Vec<u8>>,
    /// Whether it is such a repetition itself.
    is_replay: bool,
}

struct Side {
    interface: Rc<Interface>,
    boot: u32,
    is_open: bool,
    /// What it will be told, and when.
    failure: Option<(Instant, io::ErrorKind)>,
    is_told: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Connection {
    /// A new connection: the side that connects, and the one that is to be accepted.
    pub(super) fn open(
        address: Address,
        links: [Rc<LinkState>; 2],
        is_replay: bool,
    ) -> (MemoryStream, MemoryStream) {
        let side = |interface: &Rc<Interface>| Side {
            interface: interface.clone(),
            boot: interface.boot(),
            is_open: true,
            failure: None,
            is_told: false,
            reader: None,
            writer: None,
        };
        let state = State {
            sides: [side(&links[0].from), side(&links[1].from)],
            address,
            links: links.clone(),
            flows: Default::default(),
            turn: None,
            mishap: None,
            request: Vec::new(),
            kept: None,
            is_replay,
        };
        let connection = Rc::new(Connection { state: RefCell::new(state) });
        links[0].add(&connection);
        if !links[0].is_local() {
            links[1].add(&connection);
        }
        (MemoryStream::new(connection.clone(), 0, false), MemoryStream::new(connection, 1, true))
    }

    /// Reads for a side. If nothing can be said yet: when to ask again, if not woken before.
    pub(super) fn read(
        &self,
        side: usize,
        buffer: &mut ReadBuf<'_>,
        waker: &Waker,
    ) -> Result<io::Result<()>, Option<Instant>> {
        let state = &mut *self.state.borrow_mut();
        if let Some(result) = state.read(side, buffer, now_instant()) {
            return Ok(result);
        }
        state.sides[side].reader = Some(waker.clone());
        let arrival = state.flows[1 - side].next_arrival();
        Err(arrival.into_iter().chain(state.next_failure(side)).min())
    }

    /// Writes for a side, as [`Connection::read`].
    pub(super) fn write(
        &self,
        side: usize,
        bytes: &[u8],
        waker: &Waker,
    ) -> Result<io::Result<usize>, Option<Instant>> {
        let state = &mut *self.state.borrow_mut();
        if let Some(result) = state.write(side, bytes, now_instant()) {
            return Ok(result);
        }
        state.sides[side].writer = Some(waker.clone());
        Err(state.next_failure(side))
    }

    /// A side sends its end.
    pub(super) fn finish(&self, side: usize) {
        self.state.borrow_mut().finish(side, now_instant());
    }

    /// The process of a side has no more use for it.
    pub(super) fn close(&self, side: usize, is_unaccepted: bool) {
        self.state.borrow_mut().close(side, is_unaccepted, now_instant());
    }

    /// Ends it for both sides at once.
    pub(super) fn reset(&self) {
        self.state.borrow_mut().reset(now_instant());
    }

    /// What it sends over that link does not arrive from now on.
    pub(super) fn stall(&self, link: &LinkState, now: Instant) {
        let state = &mut *self.state.borrow_mut();
        for side in [0, 1] {
            if std::ptr::eq(&*state.links[side], link) {
                state.flows[side].stall(now);
            }
        }
        state.wake_all();
    }

    /// What it sends may arrive again.
    pub(super) fn resume(&self, now: Instant) {
        let state = &mut *self.state.borrow_mut();
        for side in [0, 1] {
            state.resume(side, now);
        }
        state.wake_all();
    }
}

impl State {
    fn is_unix(&self) -> bool {
        matches!(self.address, Address::Unix(_))
    }

    /// Whether the machine of a side still has the connection.
    fn is_known(&self, side: usize) -> bool {
        let Side { interface, boot, is_open, .. } = &self.sides[side];
        *is_open && interface.boot() == *boot
    }

    fn wake_all(&mut self) {
        for side in &mut self.sides {
            for waker in [side.reader.take(), side.writer.take()].into_iter().flatten() {
                waker.wake();
            }
        }
    }

    fn fail(&mut self, side: usize, at: Instant, kind: io::ErrorKind) {
        let failure = &mut self.sides[side].failure;
        if failure.is_none_or(|(before, _)| at < before) {
            *failure = Some((at, kind));
        }
    }

    fn reset(&mut self, now: Instant) {
        for side in [0, 1] {
            self.flows[side].lose(now);
            self.fail(side, now, io::ErrorKind::ConnectionReset);
        }
        self.wake_all();
    }

    /// A side hears of nothing for so long that it gives up: the other one is not told.
    fn give_up(&mut self, side: usize, now: Instant) {
        if self.flows[side].given_up_at().is_some_and(|at| at <= now) {
            self.flows[side].lose(now);
            self.fail(side, now, io::ErrorKind::TimedOut);
            self.sides[side].is_open = false;
        }
    }

    fn resume(&mut self, side: usize, now: Instant) {
        self.give_up(side, now);
        let (out, back) = (self.links[side].clone(), self.links[1 - side].clone());
        if !out.is_open() {
            return;
        }
        let Some(at) = self.flows[side].next_try(now) else { return };
        let at = at + out.draw();
        if self.is_known(1 - side) {
            self.flows[side].release(at);
            if back.is_open() {
                self.flows[side].settle();
            }
        } else if back.is_open() {
            self.flows[side].lose(now);
            self.fail(side, at + back.draw(), io::ErrorKind::ConnectionReset);
        }
    }

    /// What a side is told now instead of what it asked for: its connection failed.
    fn failure(&mut self, side: usize, now: Instant) -> Option<io::ErrorKind> {
        self.give_up(side, now);
        let (_, kind) = self.sides[side].failure.filter(|(at, _)| *at <= now)?;
        if std::mem::replace(&mut self.sides[side].is_told, true) {
            return Some(io::ErrorKind::BrokenPipe);
        }
        Some(kind)
    }

    /// When a side will be told that its connection failed, if nothing changes.
    fn next_failure(&self, side: usize) -> Option<Instant> {
        let failure = self.sides[side].failure.map(|(at, _)| at);
        let given_up = self.flows[side].given_up_at();
        failure.into_iter().chain(given_up).min()
    }

    /// Sends bytes; how many of them.
    fn send(&mut self, side: usize, bytes: &[u8], now: Instant) -> usize {
        let length = bytes.len().min(self.flows[side].room());
        let mut bytes = &bytes[..length];
        let asked;
        match self.meet_cache(side, bytes, now) {
            Fate::Pass => {}
            Fate::Fill(other) => {
                asked = other;
                bytes = &asked;
            }
            Fate::Answer(..) | Fate::Lose => return length,
        }
        if length == 0 || !self.meet_mishap(side, bytes, now) {
            return length;
        }
        let (out, back) = (self.links[side].clone(), self.links[1 - side].clone());
        let is_open = out.is_open();
        if !is_open {
            self.flows[side].hold(bytes);
        } else if !self.is_known(1 - side) && back.is_open() {
            let at = self.flows[side].arrival(now, out.draw()) + back.draw();
            self.fail(side, at, io::ErrorKind::ConnectionReset);
            return length;
        } else {
            self.flows[side].send(bytes, now, out.draw(), out.bytes_per_second());
        }
        if !is_open || !back.is_open() {
            self.flows[side].wait(now);
        }
        if let Some(waker) = self.sides[1 - side].reader.take() {
            waker.wake();
        }
        length
    }

    /// Does what stands between does to a request; what then becomes of it. Answers of the other side are kept if it wants one.
    fn meet_cache(&mut self, side: usize, bytes: &[u8], now: Instant) -> Fate {
        if side == 1 {
            if let Some(kept) = &mut self.kept {
                kept.extend_from_slice(bytes);
            }
            return Fate::Pass;
        }
        if self.turn == Some(0) || self.is_replay || bytes.is_empty() {
            return Fate::Pass;
        }
        self.keep_answer();
        let fate = self.links[0].fate_of(bytes);
        match &fate {
            Fate::Pass => {}
            Fate::Fill(_) => self.kept = Some(Vec::new()),
            Fate::Lose => self.reset(now),
            Fate::Answer(answer, after) => {
                // As if the other side had sent it.
                let back = self.links[1].clone();
                if back.is_open() {
                    self.flows[1].send(answer, now, back.draw() + *after, back.bytes_per_second());
                } else {
                    self.flows[1].hold(answer);
                    self.flows[1].wait(now);
                }
                self.turn = Some(1);
                if let Some(waker) = self.sides[0].reader.take() {
                    waker.wake();
                }
            }
        }
        fate
    }

    /// Whoever asked has the whole answer.
    fn keep_answer(&mut self) {
        if let Some(answer) = self.kept.take() {
            self.links[0].keep_answer(answer);
        }
    }

    /// Does what was planned for a request. Whether the bytes are sent all the same.
    fn meet_mishap(&mut self, side: usize, bytes: &[u8], now: Instant) -> bool {
        let begins = self.turn.replace(side) != Some(side) && !self.is_replay;
        if side == 0 && begins {
            self.mishap = self.links[0].next_mishap();
        }
        match (self.mishap, side) {
            (Some(Mishap::LoseRequest), 0) if begins => {
                self.links[0].tell("loses a request");
                self.reset(now);
                false
            }
            (Some(Mishap::LoseAnswer), 1) if begins => {
                self.links[0].tell("loses the answer to a request");
                self.reset(now);
                false
            }
            (Some(Mishap::Duplicate(_)), 0) => {
                if self.request.len() + bytes.len() > REPEATED_BYTES_MAX {
                    self.links[0].tell("does not repeat a request of more than 64 KiB");
                    self.forget_request();
                } else {
                    self.request.extend_from_slice(bytes);
                }
                true
            }
            (Some(Mishap::Duplicate(_)), 1) => {
                self.repeat();
                true
            }
            _ => true,
        }
    }

    fn forget_request(&mut self) {
        self.mishap = None;
        self.request = Vec::new();
    }

    /// Sends the request again, if that was planned.
    fn repeat(&mut self) {
        let Some(Mishap::Duplicate(after)) = self.mishap else { return };
        let request = std::mem::take(&mut self.request);
        self.forget_request();
        if !request.is_empty() {
            self.links[0].tell("repeats a request");
            self.links[0].repeated.set(self.links[0].repeated.get() + 1);
            replay(self.address.clone(), self.links.clone(), request, after);
        }
    }

    /// A side sends its end.
    fn finish(&mut self, side: usize, now: Instant) {
        if self.flows[side].is_ended() {
            return;
        }
        if self.links[side].is_open() {
            let latency = self.links[side].draw();
            self.flows[side].finish(now, latency);
        } else {
            self.flows[side].hold_end();
            self.flows[side].wait(now);
        }
        if let Some(waker) = self.sides[1 - side].reader.take() {
            waker.wake();
        }
    }

    /// The process of a side has no more use for it.
    fn close(&mut self, side: usize, is_unaccepted: bool, now: Instant) {
        let is_known = self.is_known(side);
        self.sides[side].is_open = false;
        let other = 1 - side;
        if !is_known {
            // The power is gone, and nobody hears of it. Who waits for room waits for an answer.
            if self.flows[other].room() == 0 {
                self.flows[other].wait(now);
            }
            self.flows[other].clear();
            self.resume(other, now);
            self.wake_all();
            return;
        }
        if side == 1 {
            self.repeat();
        }
        // As Linux does: who closes what it has not read resets the connection.
        let is_reset = is_unaccepted || !self.flows[other].is_empty();
        if side == 0 && !is_reset {
            self.keep_answer();
        }
        self.flows[other].clear();
        if !is_reset {
            self.finish(side, now);
        } else if self.links[side].is_open() {
            let latency = self.links[side].draw();
            let at = self.flows[side].arrival(now, latency);
            self.fail(other, at, io::ErrorKind::ConnectionReset);
        } else {
            // The reset is lost, and what it took back is not sent again.
            self.flows[side].lose(now);
        }
        self.wake_all();
    }

    fn read(&mut self, side: usize, buffer: &mut ReadBuf<'_>, now: Instant) -> Option<io::Result<()>> {
        let other = 1 - side;
        self.flows[other].arrive(now);
        if self.flows[other].read(buffer) {
            if let Some(waker) = self.sides[other].writer.take() {
                waker.wake();
            }
            return Some(Ok(()));
        }
        match self.failure(side, now) {
            // Who was told of it reads the end.
            Some(io::ErrorKind::BrokenPipe) => return Some(Ok(())),
            Some(kind) => return Some(Err(kind.into())),
            None => {}
        }
        self.flows[other].is_over(now).then_some(Ok(()))
    }

    fn write(&mut self, side: usize, bytes: &[u8], now: Instant) -> Option<io::Result<usize>> {
        if let Some(kind) = self.failure(side, now) {
            return Some(Err(kind.into()));
        }
        let is_gone = self.is_unix() && !self.is_known(1 - side);
        if self.flows[side].is_ended() || is_gone {
            return Some(Err(io::ErrorKind::BrokenPipe.into()));
        }
        match self.send(side, bytes, now) {
            0 if !bytes.is_empty() => None,
            length => Some(Ok(length)),
        }
    }
}
