//! The bytes of one direction of a connection: those that may be read, those that are on their way, and those that wait for the network.

use std::{collections::VecDeque, time::Duration};
use tokio::{io::ReadBuf, time::Instant};

/// Bytes that a direction holds before its writer waits, as a socket's buffer does.
const BYTES_MAX: usize = 64 * 1024;
/// How long TCP waits before it sends again for the first time; then twice as long, and so on.
const RETRY_FIRST: Duration = Duration::from_millis(200);
/// How long it waits at most between two tries.
const RETRY_MAX: Duration = Duration::from_secs(120);
/// After so long without an answer the connection is given up: 15 tries, Linux's `tcp_retries2` (ip-sysctl).
const GIVE_UP: Duration = Duration::from_millis(924_600);
/// How often a second something of a trickle arrives.
const TRICKLES_PER_SECOND: u64 = 4;

/// One direction.
#[derive(Default)]
pub(super) struct Flow {
    /// All bytes that were written and not read, in order: ready ones, those on their way, held ones.
    bytes: VecDeque<u8>,
    ready: usize,
    /// When what is on its way arrives: so many bytes each.
    on_the_way: VecDeque<(Instant, usize)>,
    held: usize,
    end: End,
    /// When the last of what was sent arrives.
    last: Option<Instant>,
    /// Since when something waits to be delivered, or for the news that it was.
    stalled: Option<Instant>,
}

/// The end of a direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum End {
    #[default]
    Open,
    At(Instant),
    Held,
}

impl Flow {
    /// How many bytes may be written.
    pub(super) fn room(&self) -> usize {
        BYTES_MAX - self.bytes.len().min(BYTES_MAX)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn is_ended(&self) -> bool {
        self.end != End::Open
    }

    /// Sends bytes, which arrive after `latency`, but never before those that were sent before.
    pub(super) fn send(&mut self, bytes: &[u8], now: Instant, latency: Duration, per_second: Option<u64>) {
        self.bytes.extend(bytes);
        if latency.is_zero() && per_second.is_none() && self.on_the_way.is_empty() && self.held == 0 {
            self.ready += bytes.len();
            return;
        }
        let Some(rate) = per_second else {
            let at = self.arrival(now, latency);
            self.on_the_way.push_back((at, bytes.len()));
            return;
        };
        let piece = (rate / TRICKLES_PER_SECOND).max(1) as usize;
        let mut rest = bytes.len();
        while rest > 0 {
            let length = rest.min(piece);
            let takes = Duration::from_nanos((length as u64).saturating_mul(1_000_000_000) / rate);
            let at = self.last.filter(|last| *last > now).unwrap_or(now + latency) + takes;
            self.last = Some(at);
            self.on_the_way.push_back((at, length));
            rest -= length;
        }
    }

    /// Keeps bytes until the network takes them.
    pub(super) fn hold(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
        self.held += bytes.len();
    }

    /// Sends the end.
    pub(super) fn finish(&mut self, now: Instant, latency: Duration) {
        if self.end == End::Open {
            self.end = End::At(self.arrival(now, latency));
        }
    }

    /// Keeps the end until the network takes it.
    pub(super) fn hold_end(&mut self) {
        if self.end == End::Open {
            self.end = End::Held;
        }
    }

    /// When something that is sent now arrives, after all that was sent before.
    pub(super) fn arrival(&mut self, now: Instant, latency: Duration) -> Instant {
        let at = self.last.map_or(now + latency, |last| last.max(now + latency));
        self.last = Some(at);
        at
    }

    /// Takes note of what has arrived by now.
    pub(super) fn arrive(&mut self, now: Instant) {
        while let Some((_, length)) = self.on_the_way.pop_front_if(|(at, _)| *at <= now) {
            self.ready += length;
        }
    }

    /// Gives what has arrived; whether there was anything.
    pub(super) fn read(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let length = self.ready.min(buffer.remaining());
        if length == 0 {
            return false;
        }
        let (front, back) = self.bytes.as_slices();
        let of_front = length.min(front.len());
        buffer.put_slice(&front[..of_front]);
        buffer.put_slice(&back[..length - of_front]);
        self.bytes.drain(..length);
        self.ready -= length;
        true
    }

    /// Whether all was read, and the end has arrived.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.bytes.is_empty() && matches!(self.end, End::At(at) if at <= now)
    }

    /// When the next of what is on its way arrives.
    pub(super) fn next_arrival(&self) -> Option<Instant> {
        match (self.on_the_way.front(), self.end) {
            (Some((at, _)), _) => Some(*at),
            (None, End::At(at)) => Some(at),
            (None, _) => None,
        }
    }

    /// The network takes nothing any more: what is on its way does not arrive.
    pub(super) fn stall(&mut self, now: Instant) {
        self.arrive(now);
        self.held += self.on_the_way.drain(..).map(|(_, length)| length).sum::<usize>();
        if matches!(self.end, End::At(at) if at > now) {
            self.end = End::Held;
        }
        self.last = None;
        if self.held > 0 || self.end == End::Held {
            self.wait(now);
        }
    }

    /// Something waits for the network from now on, if nothing did.
    pub(super) fn wait(&mut self, now: Instant) {
        self.stalled.get_or_insert(now);
    }

    /// Nothing waits any more.
    pub(super) fn settle(&mut self) {
        self.stalled = None;
    }

    /// When the connection is given up, if something waits for the network.
    pub(super) fn given_up_at(&self) -> Option<Instant> {
        self.stalled.map(|since| since + GIVE_UP)
    }

    /// When TCP tries again what waits for the network, now or later.
    pub(super) fn next_try(&self, now: Instant) -> Option<Instant> {
        let mut at = self.stalled?;
        let mut pause = RETRY_FIRST;
        while at < now {
            at += pause;
            pause = RETRY_MAX.min(2 * pause);
        }
        Some(at)
    }

    /// What was held is on its way, and arrives then.
    pub(super) fn release(&mut self, at: Instant) {
        if self.held > 0 {
            self.on_the_way.push_back((at, self.held));
            self.held = 0;
            self.last = Some(at);
        }
        if self.end == End::Held {
            self.end = End::At(at);
            self.last = Some(at);
        }
    }

    /// All that has not arrived is lost.
    pub(super) fn lose(&mut self, now: Instant) {
        self.arrive(now);
        self.bytes.truncate(self.ready);
        self.on_the_way.clear();
        (self.held, self.stalled) = (0, None);
    }

    /// All is lost, also what has arrived.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.on_the_way.clear();
        (self.ready, self.held) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::clock::now_instant;

    #[test]
    fn tcp_tries_again_after_twice_as_long_each_time_and_gives_up_at_last() {
        let start = now_instant();
        let mut flow = Flow::default();
        assert_eq!(flow.next_try(start), None);
        flow.wait(start);
        flow.wait(start + Duration::from_secs(5));
        for (now_ms, expected_ms) in
            [(0, 0), (1, 200), (200, 200), (201, 600), (601, 1_400), (204_600, 204_600), (204_601, 324_600)]
        {
            let at = flow.next_try(start + Duration::from_millis(now_ms));
            assert_eq!(at, Some(start + Duration::from_millis(expected_ms)), "{now_ms}");
        }
        assert_eq!(flow.given_up_at(), Some(start + Duration::from_millis(924_600)));
    }

    #[test]
    fn a_trickle_arrives_piece_by_piece() {
        let start = now_instant();
        let mut flow = Flow::default();
        flow.send(&[7; 10], start, Duration::from_secs(1), Some(4));
        let arrived = |flow: &mut Flow, seconds: f64| {
            flow.arrive(start + Duration::from_secs_f64(seconds));
            flow.ready
        };
        for (seconds, bytes) in [(1.0, 0), (1.24, 0), (1.26, 1), (2.01, 4), (3.49, 9), (3.51, 10)] {
            assert_eq!(arrived(&mut flow, seconds), bytes, "{seconds}");
        }
    }

    #[test]
    fn what_is_on_its_way_stays_in_order() {
        let start = now_instant();
        let mut flow = Flow::default();
        flow.send(b"slow", start, Duration::from_secs(2), None);
        flow.send(b"fast", start, Duration::ZERO, None);
        flow.finish(start, Duration::from_secs(1));
        assert_eq!(flow.next_arrival(), Some(start + Duration::from_secs(2)));
        flow.arrive(start + Duration::from_secs(2));
        let mut bytes = [0; 20];
        let mut buffer = ReadBuf::new(&mut bytes);
        assert!(flow.read(&mut buffer));
        assert_eq!(buffer.filled(), b"slowfast");
        assert!(flow.is_over(start + Duration::from_secs(2)) && !flow.is_over(start));
    }
}
