//! Time: one monotonic clock for the whole world, and a wall clock for each machine.
//!
//! `elapsed()` and `sleep` are the paused runtime's, and go on alike everywhere. `now()` is the machine's own: it may be wrong, jump and
//! drift, as a real one does that nobody sets.

use super::EPOCH_SECONDS;
use jiff::SignedDuration;
use slap_impl::env::{Clock, LocalFuture};
use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, Sleep};

/// A million: drift is told in parts of it.
const MILLION: i128 = 1_000_000;

/// The clock of a machine. It begins right, at 2026-01-01T00:00:00Z.
pub struct WallClock {
    start: Instant,
    /// How far it was wrong at `since`, in nanoseconds.
    skew_nanoseconds: Cell<i128>,
    /// When it was last set.
    since: Cell<Duration>,
    /// How many parts of a million it has gone too fast since then.
    drift: Cell<i32>,
}

/// A wall clock that stands still until it is set, also back.
pub struct SetClock {
    clock: Rc<WallClock>,
    microseconds: Cell<i64>,
}

/// A timer that is set again and again.
#[derive(Default)]
pub(crate) struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl WallClock {
    pub(crate) fn new(start: Instant) -> WallClock {
        let (skew_nanoseconds, since, drift) =
            (Cell::default(), Cell::new(now_instant().duration_since(start)), Cell::new(0));
        WallClock { start, skew_nanoseconds, since, drift }
    }

    /// From now on it is so far ahead of the world's time (behind, if negative); its drift goes on from there.
    pub fn set_skew(&self, skew: SignedDuration) {
        self.since.set(self.elapsed());
        self.skew_nanoseconds.set(skew.as_nanos());
    }

    /// Sets it forward, or back, by so much, as an operator or a time service does.
    pub fn step(&self, by: SignedDuration) {
        let skew = self.skew();
        self.since.set(self.elapsed());
        self.skew_nanoseconds.set(skew + by.as_nanos());
    }

    /// From now on it gains so many microseconds a second, or loses them. What it is wrong by stays.
    ///
    /// # Panics
    /// When it would stand still or go backwards: at -1,000,000 and below.
    pub fn drift(&self, parts_per_million: i32) {
        assert!(parts_per_million > -1_000_000, "drift of {parts_per_million} ppm: a clock goes forward");
        let skew = self.skew();
        self.since.set(self.elapsed());
        self.skew_nanoseconds.set(skew);
        self.drift.set(parts_per_million);
    }

    /// How far it is ahead of the world's time, in nanoseconds.
    fn skew(&self) -> i128 {
        let passed = (self.elapsed() - self.since.get()).as_nanos() as i128;
        self.skew_nanoseconds.get() + passed * i128::from(self.drift.get()) / MILLION
    }
}

impl Clock for WallClock {
    fn now(&self) -> jiff::Timestamp {
        let epoch = i128::from(EPOCH_SECONDS) * 1_000_000_000;
        let nanoseconds = epoch + self.elapsed().as_nanos() as i128 + self.skew();
        jiff::Timestamp::from_nanosecond(nanoseconds).expect("no world is set thousands of years away")
    }

    fn elapsed(&self) -> Duration {
        now_instant().duration_since(self.start)
    }

    fn sleep(&self, duration: Duration) -> LocalFuture<'static, ()> {
        Box::pin(pause(duration))
    }
}

impl SetClock {
    pub(crate) fn new(clock: Rc<WallClock>, microseconds: i64) -> SetClock {
        SetClock { clock, microseconds: Cell::new(microseconds) }
    }

    /// Sets it, to microseconds since 1970.
    pub fn set(&self, microseconds: i64) {
        self.microseconds.set(microseconds);
    }
}

impl Clock for SetClock {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(self.microseconds.get()).expect("a test's dates are near")
    }

    fn elapsed(&self) -> Duration {
        self.clock.elapsed()
    }

    fn sleep(&self, duration: Duration) -> LocalFuture<'static, ()> {
        self.clock.sleep(duration)
    }
}

impl Alarm {
    /// Whether that moment has come; if not, the task is woken then.
    #[allow(clippy::disallowed_methods, reason = "this is the implementation behind env.network()")]
    pub(crate) fn poll(&mut self, context: &mut Context<'_>, at: Instant) -> Poll<()> {
        if now_instant() >= at {
            return Poll::Ready(());
        }
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        if sleep.deadline() != at || sleep.is_elapsed() {
            sleep.as_mut().reset(at);
        }
        sleep.as_mut().poll(context)
    }
}

/// The paused runtime's clock, which the world's own clock stands on.
#[allow(clippy::disallowed_methods, reason = "this is the implementation behind env.clock()")]
pub(crate) fn now_instant() -> Instant {
    Instant::now()
}

/// Runs a task of the world itself, which belongs to no process and ends with the world.
#[allow(clippy::disallowed_methods, reason = "it stands outside of every process")]
pub(crate) fn spawn(task: impl Future<Output = ()> + 'static) {
    tokio::task::spawn_local(task);
}

/// Ends when the paused clock has moved by `duration`.
#[allow(clippy::disallowed_methods, reason = "this is the implementation behind env.clock()")]
pub(crate) async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}
