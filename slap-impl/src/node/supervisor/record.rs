//! One service as the supervisor knows it, and what is to be done about it. Pure: no clock, no process is touched here.
//!
//! * [`Record`]: what is declared, what is wanted, and what is known; its durable part is in the state file
//! * [`Record::plan`]: the next action, given the time
//! * the other methods: what becomes of a record when something is declared, or happened

use super::types::{Restart, Service, ServiceState, ServiceStatus};
use crate::env::{Ended, Identity};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, time::Duration};

/// A service that ran this long did not end early: its next pause is the shortest again.
const HEALTHY: Duration = Duration::from_secs(60);
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Between two orders to end at once, when new processes keep coming.
const KILL_PERIOD: Duration = Duration::from_secs(1);
/// A held process that is not released exits at once: one that lived this long was.
const CERTAINLY_RELEASED: Duration = Duration::from_secs(10);

/// What is wanted of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Goal {
    /// It shall run.
    Run,
    /// It shall not run, and stay known.
    Stop,
    /// It shall not run, and be forgotten.
    Forget,
}

/// A process that was started for a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Started {
    /// Leader of a session of its own.
    pub(super) identity: Identity,
    /// The value of `SLAP_SERVICE_MARK` in its environment, and in that of all that it starts.
    pub(super) mark: String,
    /// Seconds since 1970.
    pub(super) started_at_seconds: i64,
    /// Whether it was let go. Before, it has not become its program; if the supervisor dies in between, it never will.
    pub(super) released: bool,
}

/// One service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Record {
    /// As declared when it was started.
    pub(super) service: Service,
    /// As declared since; it takes its place when no process is left.
    pub(super) next: Option<Service>,
    pub(super) goal: Goal,
    pub(super) state: ServiceState,
    /// Its process, or its last one.
    pub(super) started: Option<Started>,
    pub(super) ended: Option<Ended>,
    pub(super) error: Option<String>,
    pub(super) restarts: u64,
    /// What only this life of the supervisor knows.
    #[serde(skip)]
    pub(super) volatile: Volatile,
}

/// What only one life of the supervisor knows. Times are those of the monotonic clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Volatile {
    /// When those that are left are killed.
    pub(super) kill_at: Option<Duration>,
    /// When it is started again.
    pub(super) start_at: Option<Duration>,
    /// When its process was started.
    pub(super) started_at: Duration,
    /// How often in a row it ended early.
    pub(super) failures: u32,
    /// Whether its session's number is certainly still its own: nobody else can have it as long as one process is left in it.
    pub(super) owns_session: bool,
    /// What its process had started when that was asked to end.
    pub(super) strays: BTreeSet<Identity>,
    /// Those that were asked to end already.
    pub(super) asked: BTreeSet<Identity>,
    /// Those whose end will be told.
    pub(super) watched: BTreeSet<Identity>,
}

/// What is to be done about a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Start it; what an earlier process of it left is ended first.
    Start,
    /// Ask it to end.
    Terminate,
    /// End all that is left.
    Kill,
}

impl Record {
    /// A service that was just declared.
    pub(super) fn new(service: Service) -> Record {
        Record {
            service,
            next: None,
            goal: Goal::Run,
            state: ServiceState::Starting,
            started: None,
            ended: None,
            error: None,
            restarts: 0,
            volatile: Volatile::default(),
        }
    }

    /// What is to be done now.
    pub(super) fn plan(&self, now: Duration) -> Option<Action> {
        let due = |time: Option<Duration>| time.is_none_or(|time| time <= now);
        match (self.goal, self.state) {
            (_, ServiceState::Stopping) => due(self.volatile.kill_at).then_some(Action::Kill),
            (Goal::Run, ServiceState::Starting) => Some(Action::Start),
            (Goal::Run, ServiceState::Waiting) => due(self.volatile.start_at).then_some(Action::Start),
            (Goal::Run, ServiceState::Running) => self.next.is_some().then_some(Action::Terminate),
            (Goal::Run, _) | (Goal::Stop, ServiceState::Stopped) => None,
            (Goal::Stop | Goal::Forget, _) => Some(Action::Terminate),
        }
    }

    /// When [`Record::plan`] is to be asked again though nothing happened.
    pub(super) fn deadline(&self) -> Option<Duration> {
        match self.state {
            ServiceState::Stopping => self.volatile.kill_at,
            ServiceState::Waiting => self.volatile.start_at,
            _ => None,
        }
    }

    /// Whether it is on its way to what is wanted.
    pub(super) fn is_moving(&self) -> bool {
        match self.goal {
            Goal::Run => {
                matches!(self.state, ServiceState::Starting | ServiceState::Stopping) || self.next.is_some()
            }
            Goal::Stop => self.state != ServiceState::Stopped,
            Goal::Forget => true,
        }
    }

    /// It is declared, as before or differently.
    pub(super) fn declare(&mut self, service: Service) {
        self.goal = Goal::Run;
        // How long it may take to end is no reason to start it again.
        self.service.stop_seconds = service.stop_seconds;
        self.next = (self.service != service).then_some(service);
        match self.state {
            ServiceState::Running | ServiceState::Stopping => {}
            _ => self.rest(),
        }
        if self.state != ServiceState::Running {
            self.volatile.failures = 0;
        }
    }

    /// A process was started for it and waits to be released.
    pub(super) fn started(&mut self, started: Started, now: Duration) {
        if self.state == ServiceState::Waiting {
            self.restarts += 1;
        }
        self.state = ServiceState::Running;
        self.started = Some(started);
        self.ended = None;
        self.error = None;
        self.volatile.started_at = now;
        self.volatile.start_at = None;
        self.volatile.owns_session = true;
    }

    /// It could not be started.
    pub(super) fn failed(&mut self, error: String, now: Duration) {
        if self.state == ServiceState::Waiting {
            self.restarts += 1;
        }
        self.error = Some(error);
        self.after_failure(ServiceState::Failed, now);
    }

    /// Its process has ended. What it left, if anything, is another matter.
    pub(super) fn ended(&mut self, ended: Ended, now: Duration) {
        self.ended = Some(ended);
        if self.state != ServiceState::Running {
            return;
        }
        let lived = now.saturating_sub(self.volatile.started_at);
        let released = self.started.as_ref().is_some_and(|started| started.released);
        if !released && lived < CERTAINLY_RELEASED {
            // It never became its program.
            self.state = ServiceState::Starting;
            self.ended = None;
            return;
        }
        if lived >= HEALTHY {
            self.volatile.failures = 0;
        }
        self.after_failure(ServiceState::Ended, now);
    }

    /// It was asked to end, or what it left was.
    pub(super) fn stopping(&mut self, now: Duration) {
        self.state = ServiceState::Stopping;
        self.volatile.kill_at = Some(now + Duration::from_secs(u64::from(self.service.stop_seconds)));
    }

    /// All that is left was killed.
    pub(super) fn killed(&mut self, now: Duration) {
        self.volatile.kill_at = Some(now + KILL_PERIOD);
    }

    /// No process of it is left. Returns whether the record shall be forgotten.
    pub(super) fn settled(&mut self) -> bool {
        self.volatile.owns_session = false;
        self.volatile.asked.clear();
        self.volatile.strays.clear();
        self.volatile.watched.clear();
        self.volatile.kill_at = None;
        self.rest();
        self.goal == Goal::Forget
    }

    /// A new life of the supervisor read this record: `alive` says whether its process still runs.
    pub(super) fn adopt(&mut self, alive: bool, now: Duration) {
        self.volatile.started_at = now;
        self.volatile.owns_session = alive;
        match self.state {
            // It is asked again: the supervisor may have died before it asked.
            ServiceState::Stopping => self.volatile.kill_at = None,
            ServiceState::Running if !alive => {
                self.ended(Ended { code: None, signal: None, output: Vec::new() }, now)
            }
            _ => {}
        }
    }

    /// What is told of it.
    pub(super) fn status(&self, group: &str) -> ServiceStatus {
        ServiceStatus {
            group: group.to_owned(),
            name: self.service.name.clone(),
            state: self.state,
            wanted: self.goal == Goal::Run,
            identity: self.started.as_ref().map(|started| started.identity),
            started_at_seconds: self.started.as_ref().map(|started| started.started_at_seconds),
            ended: self.ended.clone(),
            error: self.error.clone(),
            restarts: self.restarts,
            watched: self.service.watched,
            log: self.service.log.clone(),
        }
    }

    fn after_failure(&mut self, state: ServiceState, now: Duration) {
        self.state = match self.service.restart {
            Restart::Never => state,
            Restart::Always => {
                let pause = PAUSE_MIN.saturating_mul(1 << self.volatile.failures.min(16)).min(PAUSE_MAX);
                self.volatile.failures += 1;
                self.volatile.start_at = Some(now + pause);
                ServiceState::Waiting
            }
        };
    }

    /// With no process: what was declared last takes its place.
    fn rest(&mut self) {
        if let Some(next) = self.next.take() {
            self.service = next;
            self.volatile.failures = 0;
        }
        self.state = match self.goal {
            Goal::Run => ServiceState::Starting,
            Goal::Stop | Goal::Forget => ServiceState::Stopped,
        };
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn service(restart: Restart) -> Service {
        serde_json::from_value(serde_json::json!({
            "name": "web", "program": "/bin/web", "directory": "/", "umask": 23, "log": "/log",
            "log-bytes-max": 1000, "watched": true, "restart": restart, "stop-seconds": 5,
        }))
        .unwrap()
    }

    fn started(released: bool) -> Started {
        let identity = Identity { pid: 7, start_time: 8 };
        Started { identity, mark: "mark".to_owned(), started_at_seconds: 0, released }
    }

    fn running(restart: Restart) -> Record {
        let mut record = Record::new(service(restart));
        record.started(started(true), Duration::ZERO);
        record
    }

    fn exited(code: i32) -> Ended {
        Ended { code: Some(code), signal: None, output: Vec::new() }
    }

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_declared_service_is_started_and_left_alone() {
        let mut record = Record::new(service(Restart::Never));
        assert_eq!(record.plan(at(0)), Some(Action::Start));
        record.started(started(true), at(0));
        assert_eq!(record.plan(at(1000)), None);
        record.declare(service(Restart::Never));
        assert_eq!((record.plan(at(1000)), record.is_moving()), (None, false));
    }

    #[test]
    fn one_declared_differently_is_stopped_first() {
        let mut record = running(Restart::Never);
        let other = Service { umask: 0, ..service(Restart::Never) };
        record.declare(other.clone());
        assert_eq!((record.plan(at(1)), record.is_moving()), (Some(Action::Terminate), true));
        record.stopping(at(1));
        assert_eq!(record.plan(at(5)), None);
        assert_eq!((record.plan(at(6)), record.deadline()), (Some(Action::Kill), Some(at(6))));
        record.killed(at(6));
        assert_eq!(record.plan(at(6)), None);
        record.ended(exited(0), at(6));
        assert_eq!(record.state, ServiceState::Stopping);
        assert!(!record.settled());
        assert_eq!((record.plan(at(6)), &record.service), (Some(Action::Start), &other));
        // It may take longer to end: that alone changes nothing else.
        let mut record = running(Restart::Never);
        record.declare(Service { stop_seconds: 7, ..service(Restart::Never) });
        assert_eq!((record.plan(at(1)), record.is_moving()), (None, false));
        record.stopping(at(1));
        assert_eq!(record.deadline(), Some(at(8)));
        // Declared as it runs before it was stopped: nothing happens.
        let mut record = running(Restart::Never);
        record.declare(other);
        record.declare(service(Restart::Never));
        assert_eq!(record.plan(at(1)), None);
    }

    #[test]
    fn one_that_ends_is_reported_or_started_after_a_growing_pause() {
        let mut record = running(Restart::Never);
        record.ended(exited(3), at(1));
        assert_eq!(
            (record.state, record.plan(at(100)), record.is_moving()),
            (ServiceState::Ended, None, false)
        );
        record.declare(service(Restart::Never));
        assert_eq!(record.plan(at(100)), Some(Action::Start));

        let mut record = running(Restart::Always);
        let mut now = at(1);
        let mut pauses = Vec::new();
        for _ in 0..12 {
            record.ended(exited(3), now);
            let start_at = record.deadline().unwrap();
            assert_eq!(record.plan(start_at.saturating_sub(Duration::from_nanos(1))), None);
            assert_eq!(record.plan(start_at), Some(Action::Start));
            pauses.push((start_at - now).as_millis());
            now = start_at;
            record.started(started(true), now);
        }
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000, 30000]);
        assert_eq!(record.restarts, 12);
        record.ended(exited(0), now + HEALTHY);
        assert_eq!(record.deadline(), Some(now + HEALTHY + PAUSE_MIN));
        record.failed("no directory".to_owned(), now);
        assert_eq!(record.state, ServiceState::Waiting);
    }

    #[test]
    fn stopping_and_forgetting() {
        for goal in [Goal::Stop, Goal::Forget] {
            for state in [
                ServiceState::Starting,
                ServiceState::Running,
                ServiceState::Ended,
                ServiceState::Waiting,
                ServiceState::Failed,
            ] {
                let mut record = Record { goal, state, ..running(Restart::Always) };
                assert_eq!(record.plan(at(0)), Some(Action::Terminate), "{state:?}");
                record.stopping(at(0));
                assert!(record.is_moving());
                assert_eq!(record.settled(), goal == Goal::Forget);
                assert_eq!(record.state, ServiceState::Stopped);
            }
        }
        let mut record = Record { goal: Goal::Stop, ..running(Restart::Never) };
        record.stopping(at(0));
        record.declare(service(Restart::Never));
        assert!(!record.settled());
        assert_eq!(record.plan(at(0)), Some(Action::Start), "declared again while it was stopping");
    }

    #[test]
    fn a_new_life_adopts_what_runs() {
        let mut record = running(Restart::Never);
        record.adopt(true, at(0));
        assert_eq!((record.state, record.plan(at(0))), (ServiceState::Running, None));
        record.adopt(false, at(0));
        assert_eq!((record.state, record.plan(at(0))), (ServiceState::Ended, None));
        let mut record = running(Restart::Always);
        record.adopt(false, at(0));
        assert_eq!(record.state, ServiceState::Waiting);
        // Held and not released: it exits without having become its program, and is started then, not before.
        let mut record = Record::new(service(Restart::Never));
        record.started(started(false), at(0));
        record.adopt(true, at(0));
        assert_eq!(record.plan(at(0)), None);
        record.ended(exited(75), at(0));
        assert_eq!(record.plan(at(0)), Some(Action::Start));
    }
}
