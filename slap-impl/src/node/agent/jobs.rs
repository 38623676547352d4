//! The agent's jobs: what one does, and what is remembered of how it went.

use super::{
    Agent, DOUBT_SECONDS,
    plan::{Job, Subject, Work, wanted},
};
use crate::{
    node::{
        NodeError,
        due::retry_seconds,
        health, instance, life,
        report::{self, Destroyed},
        services, software,
        supervisor::ServiceStatus,
    },
    vocabulary::{PartitionId, RequestedState, SoftwareUrl, SupplyState},
    wire::objects::{Computer, ComputerPartition},
};

/// A service that ends before it ran so long ended "soon after its start", in seconds.
const LIFE_SECONDS: i64 = 60;
/// Promises that fail are looked at again at least so often, in seconds, so that a repair is seen soon.
const RECHECK_SECONDS: f64 = 10.0;
/// The longest pause between such looks before a try, when they called for tries in vain, in seconds.
const RECHECK_SECONDS_MAX: f64 = 60.0;
/// What could not be looked at, told or noted for the first time in the agent's life is tried again after so many seconds.
const FIRST_SECONDS: f64 = 2.0;
/// A release that was built or removed, and is not there or still there, is tried again after so many seconds.
const SAME_SECONDS: f64 = 5.0;
/// A partition without promises is looked at again after so many seconds.
const NO_PROMISE_SECONDS: f64 = 3600.0;
/// What the master shows of a release that is built is looked at again after so many seconds: a master that was restarted with another
/// directory of releases, and with the first one again, has forgotten the report, and no view of the node need have been another.
const SHOWN_SECONDS: f64 = 600.0;
/// While reports may come late, what the master shows is looked at again after so many seconds at most.
const DOUBT_PAUSE_SECONDS: f64 = 120.0;

impl Agent {
    /// Does a job and notes how it went.
    pub(super) async fn run_job(&self, job: &Job, computer: &Computer) {
        let subject = job.subject();
        let changes = self.site.master.changes();
        self.do_job(job, &subject, computer).await;
        // Those of other jobs count, too, which does no harm.
        if self.site.master.changes() != changes {
            let now = self.now();
            self.with(&subject, |work| {
                work.doubt_until = now + DOUBT_SECONDS;
                work.promises_at = work.promises_at.min(now + DOUBT_PAUSE_SECONDS);
            });
        }
    }

    async fn do_job(&self, job: &Job, subject: &Subject, computer: &Computer) {
        let partition =
            |id: &PartitionId| computer.partitions.iter().find(|partition| partition.partition_id == *id);
        match job {
            Job::Build(url) => {
                // Before the build: whoever changes it meanwhile wants another one.
                let stamp = self.release_stamp(url);
                let result = software::build(&self.site, url).await;
                self.with(subject, |work| work.stamp = stamp);
                self.end_release(subject, SupplyState::Available, &result);
                match &result {
                    Ok(()) if self.site.is_built(url) => {
                        let now = self.now();
                        self.with(subject, |work| work.shown_until = now + SHOWN_SECONDS);
                        self.try_users_again(computer, url);
                    }
                    // It is not supplied any more, and the view by which it was built is old.
                    Ok(()) => _ = self.look_again().await,
                    Err(_) => {}
                }
            }
            Job::Remove(url) => {
                let result = self.remove(computer, url).await;
                self.end_release(subject, SupplyState::Destroyed, &result);
            }
            Job::Show(url) => {
                let result = software::show(&self.site, url).await;
                let now = self.now();
                self.with(subject, |work| {
                    work.end(result.is_ok(), Some(SupplyState::Available.as_str().to_owned()), now);
                    work.shown_until = if result.is_ok() { now + SHOWN_SECONDS } else { f64::NEG_INFINITY };
                });
            }
            Job::Process(id) => match partition(id) {
                Some(partition) => self.process(subject, partition).await,
                None => self.with(subject, |work| work.is_running = false),
            },
            Job::Destroy(id) => match partition(id) {
                Some(partition) => self.destroy(subject, partition).await,
                None => self.with(subject, |work| work.is_running = false),
            },
            Job::Recheck(id) => match partition(id) {
                Some(partition) => self.recheck(subject, partition).await,
                None => self.with(subject, |work| work.is_running = false),
            },
            Job::Start(id) => match partition(id) {
                Some(partition) => {
                    let result = instance::start_again(&self.site, partition).await;
                    self.end_start(subject, id, &result, 1);
                    self.with(subject, |work| work.is_healthy = Some(result.is_ok()));
                    if matches!(result, Ok(()) | Err(NodeError::Promise(_))) {
                        self.note_checked(subject, id);
                    }
                }
                None => self.with(subject, |work| work.is_running = false),
            },
            Job::Died(id) => self.died(subject, id, partition(id)).await,
            Job::Promises(id) => match partition(id) {
                Some(partition) => self.promises(subject, partition).await,
                None => self.with(subject, |work| work.is_running = false),
            },
            Job::Confirm(id) => match partition(id) {
                Some(partition) => self.confirm(subject, partition).await,
                None => self.with(subject, |work| work.is_running = false),
            },
        }
    }

    fn with(&self, subject: &Subject, change: impl FnOnce(&mut Work)) {
        change(self.memory.borrow_mut().entry(subject.clone()).or_default());
    }

    async fn remove(&self, computer: &Computer, url: &SoftwareUrl) -> Result<(), NodeError> {
        match computer.software_releases.iter().find(|release| release.url == *url) {
            Some(release) => software::remove(&self.site, computer, release).await,
            None => Ok(()),
        }
    }

    fn end_release(&self, subject: &Subject, state: SupplyState, result: &Result<(), NodeError>) {
        if let Err(error) = result {
            self.site.env.log(error);
        }
        let now = self.now();
        let wanted = Some(state.as_str().to_owned());
        self.with(subject, |work| {
            work.end(result.is_ok(), wanted, now);
            if result.is_ok() {
                // A view that still wants the same is older than what was done.
                work.retry_at = now + SAME_SECONDS;
            }
        });
    }

    /// A release was built: what failed for want of it need not wait for its next try.
    fn try_users_again(&self, computer: &Computer, url: &SoftwareUrl) {
        let users = computer.partitions.iter().filter(|partition| {
            partition.instance.as_ref().is_some_and(|instance| instance.software_release.url == *url)
        });
        for partition in users {
            self.with(&Subject::Partition(partition.partition_id.clone()), |work| {
                work.failures = 0;
                work.retry_at = 0.0;
            });
        }
    }

    async fn process(&self, subject: &Subject, partition: &ComputerPartition) {
        let id = &partition.partition_id;
        self.site.env.log(format_args!("{id}: processing ({})", wanted(partition)));
        if let Some(path) = self.lost_file(partition) {
            self.site.env.log(format_args!("{id}: {} is gone: its part is installed anew", path.display()));
        }
        self.keep_partition(id);
        let result = instance::process(&self.site, partition, false).await;
        match &result {
            Ok(()) => self.site.env.log(format_args!("{id}: {}", partition.requested_state)),
            Err(error) => self.site.env.log(format_args!("{id}: {error}")),
        }
        let now = self.now();
        let wanted = Some(wanted(partition));
        let is_started = partition.requested_state == RequestedState::Started;
        self.with(subject, |work| {
            work.end(result.is_ok(), wanted, now);
            work.is_healthy = Some(result.is_ok());
            work.promises_at = if is_started { now } else { now + DOUBT_PAUSE_SECONDS };
            let is_promise = matches!(result, Err(NodeError::Promise(_)));
            let pause = RECHECK_SECONDS * f64::from(1_u32 << work.rechecks.min(8));
            work.recheck_at = is_promise.then_some(now + pause.min(RECHECK_SECONDS_MAX));
            if result.is_ok() {
                work.is_forced = false;
                work.processed_at = now;
                work.rechecks = 0;
            }
        });
        // Also what failed ended with a run of all promises.
        if is_started {
            self.note_checked(subject, id);
        }
    }

    /// A partition waits for its next try because promises failed: when they are good now, it is tried at once.
    async fn recheck(&self, subject: &Subject, partition: &ComputerPartition) {
        let result = instance::is_well_again(&self.site, partition).await;
        let now = self.now();
        self.with(subject, |work| {
            work.is_running = false;
            if result == Ok(true) {
                work.recheck_at = None;
                work.rechecks = work.rechecks.saturating_add(1);
                work.retry_at = now;
            } else {
                work.recheck_at = Some(now + RECHECK_SECONDS);
            }
        });
    }

    /// Notes, for the agent and for who reads results, that all promises were run in the agent's life; says whether it is noted.
    fn note_checked(&self, subject: &Subject, id: &PartitionId) -> bool {
        let mut is_noted = false;
        self.with(subject, |work| is_noted = work.is_checked);
        if is_noted {
            return true;
        }
        match life::note_checked(&self.site, id) {
            Ok(()) => self.with(subject, |work| work.is_checked = true),
            Err(error) => {
                self.site.env.log(format_args!("{id}: that its promises were run cannot be noted: {error}"));
                return false;
            }
        }
        true
    }

    async fn destroy(&self, subject: &Subject, partition: &ComputerPartition) {
        let id = &partition.partition_id;
        let result = match self.is_still_wanted(partition).await {
            Ok(true) => report::destroy(&self.site, partition).await,
            Ok(false) => return self.with(subject, |work| work.is_running = false),
            Err(error) => Err(error),
        };
        match &result {
            Ok(Destroyed::Done) => {}
            Ok(Destroyed::NotYet(why)) => self.site.env.log(format_args!("{id}: {why}")),
            Err(error) => self.site.env.log(format_args!("{id}: {error}")),
        }
        let (now, wanted) = (self.now(), Some(wanted(partition)));
        self.with(subject, |work| {
            let is_done = result == Ok(Destroyed::Done);
            *work = Work { failures: work.failures, ..Work::default() };
            work.end(is_done, wanted, now);
            if is_done {
                // Until the master no longer names it, there is nothing more to do about it.
                work.retry_at = now + 5.0;
            }
        });
    }

    /// Asks the master once more before what cannot be undone: the wish may be old, be it that a proxy gave an old answer or that the agent
    /// came to it late, and something else may have been given the partition since.
    async fn is_still_wanted(&self, partition: &ComputerPartition) -> Result<bool, NodeError> {
        let id = &partition.partition_id;
        let computer = self.look_again().await?;
        let is_wanted = computer
            .partitions
            .iter()
            .any(|other| other.partition_id == *id && wanted(other) == wanted(partition));
        if !is_wanted {
            self.site
                .env
                .log(format_args!("{id}: nothing is destroyed, because that is not wanted any more"));
        }
        Ok(is_wanted)
    }

    /// Asks the master itself what it wants, past what a proxy on the way may have kept.
    async fn look_again(&self) -> Result<Computer, NodeError> {
        let views = self.views.get();
        let computer = self.site.computer().await?;
        // What the task that follows the master read meanwhile is at least as new as this.
        if self.views.get() == views {
            self.set_computer(computer.clone());
        }
        Ok(computer)
    }

    /// Notes how starting a partition's services went; they are not started again within `pause` seconds.
    pub(super) fn end_start(
        &self,
        subject: &Subject,
        id: &PartitionId,
        result: &Result<(), NodeError>,
        pause: u64,
    ) {
        match result {
            Ok(()) => self.site.env.log(format_args!("{id}: services were started again")),
            Err(error) => self.site.env.log(format_args!("{id}: {error}")),
        }
        let now = self.now();
        self.with(subject, |work| {
            work.is_running = false;
            work.failures = if result.is_ok() { 0 } else { work.failures.saturating_add(1) };
            work.retry_at = now + pause.max(retry_seconds(work.failures).min(60)) as f64;
            work.promises_at = now;
        });
    }

    /// A watched service ended: it is shown red, the master is told and banged, and the partition is processed again. When that
    /// happens soon after its start, again and again, the pauses grow and the master is not banged any more.
    async fn died(&self, subject: &Subject, id: &PartitionId, partition: Option<&ComputerPartition>) {
        let statuses = self.site.supervisor.status().await.unwrap_or_default();
        let Some(status) = services::dead_watched(&statuses, id).first().map(|status| (*status).clone())
        else {
            return self.with(subject, |work| work.is_running = false);
        };
        let deaths = self.count_death(subject, &status);
        let site = partition.map_or_else(|| self.site.clone(), |partition| self.site.about(partition));
        let result = health::service_died(&site, id, &status, deaths == 1).await;
        let pause = if deaths > 1 { retry_seconds(deaths).min(60) } else { 0 };
        match &result {
            Ok(true) => _ = self.look_again().await,
            Ok(false) => {}
            Err(error) => self.site.env.log(format_args!("{id}: {error}")),
        }
        // A master that can be told, and still cannot be asked, is no help.
        if self.is_offline.get() || result.as_ref().is_err_and(NodeError::is_offline) {
            // The engine may need the master, the services do not.
            let started = instance::start(&self.site, id).await;
            return self.end_start(subject, id, &started, retry_seconds(deaths).min(60));
        }
        let now = self.now();
        let wanted = partition.map(wanted);
        // What cannot be noted now can hardly be at once.
        let rest = if result.is_err() { RECHECK_SECONDS } else { 0.0 };
        self.with(subject, |work| {
            work.is_running = false;
            work.is_healthy = Some(false);
            work.is_forced = true;
            work.tried = wanted.filter(|_| pause > 0);
            work.recheck_at = None;
            work.retry_at = now + rest.max(pause as f64);
        });
    }

    fn count_death(&self, subject: &Subject, status: &ServiceStatus) -> u32 {
        let life = status.started_at_seconds.map(|start| self.site.now_seconds() - start);
        let is_soon = life.is_none_or(|life| life < LIFE_SECONDS);
        let mut deaths = 1;
        self.with(subject, |work| {
            work.deaths = if is_soon { work.deaths.saturating_add(1) } else { 1 };
            deaths = work.deaths;
        });
        deaths
    }

    /// Runs the promises that are due, all for the first time in the agent's life; the master is told when the health changed.
    async fn promises(&self, subject: &Subject, partition: &ComputerPartition) {
        let (mut known, mut is_checked) = (None, false);
        let (now, mut is_in_doubt) = (self.now(), false);
        self.with(subject, |work| {
            (known, is_checked) = (work.is_healthy, work.is_checked);
            is_in_doubt = work.is_in_doubt(now, self.doubt_until);
        });
        if is_in_doubt && is_checked {
            // A master that cannot say what it shows was told what is known here.
            known = instance::was_healthy_for_master(&self.site, partition).await.or(known);
        }
        let result = if is_checked {
            instance::check_anomaly(&self.site, partition, known).await
        } else {
            instance::check_first(&self.site, partition).await
        };
        let is_noted = is_checked || result.is_ok() && self.note_checked(subject, &partition.partition_id);
        let now = self.now();
        let wall = self.site.env.clock().now().as_millisecond() as f64 / 1000.0;
        self.with(subject, |work| {
            work.is_running = false;
            match &result {
                Ok(checked) => {
                    work.is_healthy = Some(checked.failure.is_none());
                    work.is_forced |= !is_checked && checked.failure.is_some();
                    let next =
                        checked.next_run_at_seconds.map_or(NO_PROMISE_SECONDS, |at| (at - wall).max(0.1));
                    let next = if checked.failure.is_some() { next.min(RECHECK_SECONDS) } else { next };
                    let next = if is_in_doubt { next.min(DOUBT_PAUSE_SECONDS) } else { next };
                    work.promises_at = now + next;
                }
                Err(_) => work.promises_at = now + RECHECK_SECONDS,
            }
            if !is_noted {
                work.promises_at = now + FIRST_SECONDS;
            }
        });
        if let Err(error) = result {
            self.site.env.log(format_args!("{}: {error}", partition.partition_id));
        }
    }

    /// What the master shows of a stopped instance may be a report that came late: it is told again then.
    async fn confirm(&self, subject: &Subject, partition: &ComputerPartition) {
        let result = instance::confirm_stopped(&self.site, partition).await;
        if let Err(error) = result {
            self.site.env.log(format_args!("{}: {error}", partition.partition_id));
        }
        let now = self.now();
        self.with(subject, |work| {
            work.is_running = false;
            work.promises_at = now + DOUBT_PAUSE_SECONDS;
        });
    }
}
