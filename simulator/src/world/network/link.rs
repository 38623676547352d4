//! One direction between two machines: how long bytes take, and what goes wrong with them.

use super::{
    Interface,
    cache::{self, Cache, Fate},
    connection::Connection,
};
use crate::world::{clock::now_instant, random::Random, trace::Trace};
use std::{
    cell::{Cell, RefCell},
    rc::{Rc, Weak},
    time::Duration,
};

/// How long bytes take from one machine to another, at least and at most, unless it is set.
const LATENCY: (Duration, Duration) = (Duration::from_micros(200), Duration::from_millis(2));
/// Connections that a link knows before those that ended are forgotten.
const CONNECTIONS_KEPT: usize = 64;

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// The connection is reset before any of the request is delivered.
    LoseRequest,
    /// The request is delivered, and the connection is reset when the first bytes of its answer are on their way.
    LoseAnswer,
    /// The request is delivered once more, over a connection of its own and that much later, and that answer is dropped: what a
    /// proxy does that tries again. One of more than 64 KiB is not repeated, and the trace says so.
    Duplicate(Duration),
}

/// A direction: what the first machine sends to the second. Settings count for connections of either side, and for those that are
/// open already. All of them hold until they are changed or healed.
#[derive(Clone)]
pub struct Link {
    pub(super) state: Rc<LinkState>,
}

pub(crate) struct LinkState {
    pub(super) from: Rc<Interface>,
    pub(super) to: Rc<Interface>,
    trace: Trace,
    random: Random,
    latency: Cell<(Duration, Duration)>,
    delay: Cell<Duration>,
    bytes_per_second: Cell<Option<u64>>,
    is_blocked: Cell<bool>,
    refuses: Cell<bool>,
    /// How many requests are spared before, and what happens to the next.
    mishaps: RefCell<Vec<(u64, Mishap)>>,
    /// What answers requests on their way.
    cache: RefCell<Option<Cache>>,
    /// How many requests for a path are lost.
    losses: RefCell<Option<(String, u64)>>,
    /// How many requests arrived once more.
    pub(super) repeated: Cell<u64>,
    connections: RefCell<Vec<Weak<Connection>>>,
    /// When the connections are looked through next.
    prune_at: Cell<usize>,
}

impl Link {
    /// How long bytes take, at least and at most; each write draws. A world's timers have a resolution of a millisecond.
    ///
    /// # Panics
    /// When the least is more than the most.
    pub fn set_latency(&self, least: Duration, most: Duration) {
        assert!(least <= most, "latency from {least:?} to {most:?}");
        self.tell(format_args!("takes {least:?} to {most:?}"));
        self.state.latency.set((least, most));
    }

    /// Bytes take so much longer. Zero heals it.
    pub fn delay(&self, extra: Duration) {
        self.tell(format_args!("is delayed by {extra:?}"));
        self.state.delay.set(extra);
    }

    /// Each connection carries so many bytes a second. None heals it.
    ///
    /// # Panics
    /// At zero: that is a block.
    pub fn trickle(&self, bytes_per_second: Option<u64>) {
        assert_ne!(bytes_per_second, Some(0), "a link without any bytes is blocked");
        match bytes_per_second {
            Some(bytes) => self.tell(format_args!("trickles, {bytes} bytes a second")),
            None => self.tell("flows"),
        }
        self.state.bytes_per_second.set(bytes_per_second);
    }

    /// Nothing passes any more, and nobody is told: bytes are kept and sent again as TCP does it, and who waits for their delivery for
    /// more than 15 minutes is told that the connection timed out; who connects, after 127 s.
    pub fn block(&self) {
        if !self.state.is_blocked.replace(true) {
            self.tell("is blocked");
            self.state.stall();
        }
    }

    /// Ends [`Link::block`]. What was kept is delivered when TCP would try again: at most as long after this as it had waited before,
    /// and 120 s.
    pub fn unblock(&self) {
        if self.state.is_blocked.replace(false) {
            self.tell("is open again");
            self.state.resume();
        }
    }

    /// Whether connections that the first machine makes are refused, as a firewall does. Those that are open are left alone.
    pub fn refuse(&self, refuses: bool) {
        self.tell(if refuses { "refuses connections" } else { "takes connections" });
        self.state.refuses.set(refuses);
    }

    /// Resets every connection between the two, whoever made it: what is on its way is lost, and both sides are told at once.
    pub fn reset(&self) {
        self.tell("is reset");
        self.state.each(|connection| connection.reset());
    }

    /// Lets something happen to a request: `spared` requests that the first machine sends go well before it. A request is what it
    /// sends over a connection that it made, until the other side sends something.
    pub fn plan(&self, spared: u64, mishap: Mishap) {
        self.state.mishaps.borrow_mut().push((spared, mishap));
    }

    /// Lets something on the way keep the answer to the next `GET` of a path, and from `age` later on give it to `times` that ask for
    /// the same, each so long `after` it asked: they see what once was. One at a time: what was planned so before is forgotten.
    pub fn answer_with_old(&self, path: &str, age: Duration, times: u64, after: Duration) {
        self.state.cache.replace(Some(Cache::new(path, now_instant() + age, times, after)));
    }

    /// Lets the next requests of that kind for a path be lost: their connections are reset. What was planned so before is forgotten.
    pub fn lose_requests_for(&self, path: &str, times: u64) {
        self.state.losses.replace(Some((path.to_owned(), times)));
    }

    /// How many planned mishaps have not happened yet.
    pub fn planned(&self) -> usize {
        self.state.mishaps.borrow().len()
    }

    /// How many requests arrived once more, or will, because that was planned.
    pub fn repeated(&self) -> u64 {
        self.state.repeated.get()
    }

    /// Ends all that is wrong with it, and forgets what was planned. Its latency stays.
    pub fn heal(&self) {
        self.state.mishaps.borrow_mut().clear();
        self.state.cache.take();
        self.state.losses.take();
        if self.state.delay.get() != Duration::ZERO {
            self.delay(Duration::ZERO);
        }
        if self.state.bytes_per_second.get().is_some() {
            self.trickle(None);
        }
        if self.state.refuses.get() {
            self.refuse(false);
        }
        self.unblock();
    }

    fn tell(&self, what: impl std::fmt::Display) {
        self.state.tell(what);
    }
}

impl LinkState {
    /// The link of a machine to itself takes no time; others do.
    pub(super) fn new(from: Rc<Interface>, to: Rc<Interface>, trace: Trace, random: Random) -> LinkState {
        let latency = if Rc::ptr_eq(&from, &to) { (Duration::ZERO, Duration::ZERO) } else { LATENCY };
        LinkState {
            from,
            to,
            trace,
            random,
            latency: Cell::new(latency),
            delay: Cell::default(),
            bytes_per_second: Cell::default(),
            is_blocked: Cell::default(),
            refuses: Cell::default(),
            mishaps: RefCell::default(),
            cache: RefCell::default(),
            losses: RefCell::default(),
            repeated: Cell::new(0),
            connections: RefCell::default(),
            prune_at: Cell::new(CONNECTIONS_KEPT),
        }
    }

    pub(super) fn tell(&self, what: impl std::fmt::Display) {
        self.trace.event(format_args!("{} > {}", self.from.name, self.to.name), what);
    }

    pub(super) fn is_local(&self) -> bool {
        Rc::ptr_eq(&self.from, &self.to)
    }

    /// Whether anything passes.
    pub(super) fn is_open(&self) -> bool {
        !self.is_blocked.get() && self.from.is_up() && self.to.is_up()
    }

    pub(super) fn refuses(&self) -> bool {
        self.refuses.get()
    }

    pub(super) fn bytes_per_second(&self) -> Option<u64> {
        self.bytes_per_second.get()
    }

    /// How long the next bytes take.
    pub(super) fn draw(&self) -> Duration {
        let (least, most) = self.latency.get();
        let drawn = if least == most { least } else { self.random.duration(least, most) };
        drawn + self.delay.get()
    }

    /// What happens to a request that begins now.
    pub(super) fn next_mishap(&self) -> Option<Mishap> {
        let mut mishaps = self.mishaps.borrow_mut();
        let mut found = None;
        mishaps.retain_mut(|(spared, mishap)| {
            if *spared > 0 {
                *spared -= 1;
            } else if found.is_none() {
                found = Some(*mishap);
                return false;
            }
            true
        });
        found
    }

    /// What becomes of a request because of what stands on its way.
    pub(super) fn fate_of(&self, request: &[u8]) -> Fate {
        let mut losses = self.losses.borrow_mut();
        if let Some((path, times)) = losses.as_mut()
            && *times > 0
            && cache::is_for(request, path)
        {
            *times -= 1;
            self.tell(format_args!("loses a request for {path}"));
            return Fate::Lose;
        }
        let mut cache = self.cache.borrow_mut();
        let Some(known) = cache.as_mut() else { return Fate::Pass };
        let fate = known.meet(request, now_instant());
        if matches!(fate, Fate::Answer(..)) {
            self.tell("gives an old answer");
        }
        if known.is_spent() {
            *cache = None;
        }
        fate
    }

    /// An answer has come that is to be kept.
    pub(super) fn keep_answer(&self, answer: Vec<u8>) {
        if let Some(cache) = self.cache.borrow_mut().as_mut()
            && cache.keep(answer)
        {
            self.tell("keeps an answer");
        }
    }

    /// Remembers a connection that sends over it.
    pub(super) fn add(&self, connection: &Rc<Connection>) {
        let mut connections = self.connections.borrow_mut();
        if connections.len() >= self.prune_at.get() {
            connections.retain(|connection| connection.strong_count() > 0);
            self.prune_at.set(CONNECTIONS_KEPT.max(2 * connections.len()));
        }
        connections.push(Rc::downgrade(connection));
    }

    /// From now on nothing passes.
    pub(super) fn stall(&self) {
        let now = now_instant();
        self.each(|connection| connection.stall(self, now));
    }

    /// It may be that something passes again.
    pub(super) fn resume(&self) {
        let now = now_instant();
        self.each(|connection| connection.resume(now));
    }

    fn each(&self, act: impl Fn(&Connection)) {
        let connections: Vec<Rc<Connection>> =
            self.connections.borrow().iter().filter_map(Weak::upgrade).collect();
        for connection in connections {
            act(&connection);
        }
    }
}
