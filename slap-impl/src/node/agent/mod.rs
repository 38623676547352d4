//! The agent: `slap node run`. It formats once and then makes the computer what the master wants, as soon as something
//! changed: what the master wants, a service, or the time at which a promise is due or something that failed is tried again.
//!
//! `facts.rs` sees what there is, `plan.rs` decides (without I/O), `jobs.rs` does, `upkeep.rs` makes again what was removed; here are the three that wait: for the master, for the supervisor,
//! and the scheduler, which waits for both, for jobs that end, and for time. Services outlive the agent; an agent that was
//! killed leaves nothing that the next one cannot go on with.

mod facts;
mod jobs;
mod plan;
mod upkeep;

use super::{
    NodeError, Site,
    due::retry_seconds,
    format::{self, ComputerPlan, Formatted},
    instance, services,
    supervisor::ServiceStatus,
};
use crate::{
    client::Poll,
    env::{Either, Exit, Lock, race},
    vocabulary::PartitionId,
    wire::objects::Computer,
};
use facts::Seen;
use plan::{Job, Subject, Work};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    time::Duration,
};
use tokio::sync::Notify;

/// How many releases are built beside each other.
const BUILDS_MAX: usize = 2;
/// A master that says it waits and answers at once is not asked more often than this.
const POLL_PAUSE: Duration = Duration::from_millis(5);
/// The pause between two tries to tell the master of this computer.
const FORMAT_PAUSE: Duration = Duration::from_secs(1);
/// How long a report may be on its way: as long as Linux tries to deliver it (tcp(7), tcp_retries2: some 15 minutes), and the longest pause
/// between two tries.
const DOUBT_SECONDS: f64 = 1200.0;
/// How long a master that did not answer yet is waited for before services are started as they were: a master that is silent is otherwise
/// known as such only when the question to it times out, after minutes.
const FIRST_ANSWER: Duration = Duration::from_secs(10);
/// The longest pause between two tries to reach the master or the supervisor, in seconds.
const RECONNECT_SECONDS_MAX: u64 = 8;

/// What the agent's tasks share.
struct Agent {
    site: Site,
    /// What the master wants, as far as known.
    computer: RefCell<Option<Rc<Computer>>>,
    /// What the supervisor says, as far as known.
    statuses: RefCell<Option<Rc<Vec<ServiceStatus>>>>,
    memory: RefCell<BTreeMap<Subject, Work>>,
    /// What was read of the disk.
    seen: RefCell<Seen>,
    /// Held as long as it lives: a computer has one agent.
    own_lock: RefCell<Box<dyn Lock>>,
    /// When it looks again whether all stands in its place.
    look_at: Cell<f64>,
    /// A directory was gone that a root stands in, when it looked last.
    was_uprooted: Cell<bool>,
    /// Held while a job works on releases, so that a pass by hand does not do the same.
    software_lock: RefCell<Option<Box<dyn Lock>>>,
    /// Held while a job works on partitions.
    instance_lock: RefCell<Option<Box<dyn Lock>>>,
    is_formatted: Cell<bool>,
    is_offline: Cell<bool>,
    /// Something changed: the scheduler shall look.
    changed: Notify,
    /// How often something was read of what the master wants.
    views: Cell<u64>,
    /// Until then reports of an agent that ended may still arrive.
    doubt_until: f64,
}

/// Runs until it is asked to end; services go on then.
pub async fn run(site: Site) -> Exit {
    match start(&site) {
        Ok((lock, plan)) => {
            let agent = Rc::new(Agent::new(site, lock));
            for task in [Task::Master(plan), Task::Supervisor, Task::Patience] {
                let agent = agent.clone();
                agent.site.env.clone().spawn(async move {
                    match task {
                        Task::Master(plan) => agent.follow_master(&plan).await,
                        Task::Supervisor => agent.follow_supervisor().await,
                        Task::Patience => agent.lose_patience().await,
                    }
                });
            }
            let termination = agent.site.env.processes().termination();
            if let Either::Second(error) = race(termination, agent.schedule()).await {
                agent.site.env.tell(error);
                return Exit::FAILED;
            }
            agent.site.env.log("the agent ends; services go on");
            Exit::DONE
        }
        Err(error) => {
            site.env.tell(error);
            Exit::FAILED
        }
    }
}

enum Task {
    Master(ComputerPlan),
    Supervisor,
    Patience,
}

/// What must go well before anything else: the directories, and that there is no other agent.
fn start(site: &Site) -> Result<(Box<dyn Lock>, ComputerPlan), NodeError> {
    let plan = format::make_places(site)?;
    site.prepare()?;
    let lock = site.lock(&site.settings.instance_root, "agent")?;
    site.env.log(format_args!("agent of {} for {}", site.settings.computer_id, site.settings.master_url));
    Ok((lock, plan))
}

impl Agent {
    fn new(site: Site, own_lock: Box<dyn Lock>) -> Agent {
        Agent {
            doubt_until: site.env.clock().elapsed().as_secs_f64() + DOUBT_SECONDS,
            site,
            computer: RefCell::default(),
            statuses: RefCell::default(),
            memory: RefCell::default(),
            seen: RefCell::default(),
            own_lock: RefCell::new(own_lock),
            look_at: Cell::new(0.0),
            was_uprooted: Cell::new(false),
            software_lock: RefCell::default(),
            instance_lock: RefCell::default(),
            is_formatted: Cell::new(false),
            is_offline: Cell::new(false),
            changed: Notify::new(),
            views: Cell::new(0),
        }
    }

    fn now(&self) -> f64 {
        self.site.env.clock().elapsed().as_secs_f64()
    }

    /// Tells the master of the computer, and asks for what it wants, again and again.
    async fn follow_master(&self, plan: &ComputerPlan) {
        let env = &self.site.env;
        self.is_formatted.set(format::announce(&self.site, plan).await == Formatted::Done);
        let mut etag: Option<String> = None;
        let mut failures = 0;
        loop {
            // Who is not formatted has nothing to wait for.
            let is_patient = !self.site.settings.wait.is_zero();
            let wait = (self.is_formatted.get() && is_patient).then_some(self.site.settings.wait);
            let asked = self.site.master.full_computer_information(
                &self.site.settings.computer_id,
                etag.as_deref(),
                wait,
            );
            let waits = match asked.await {
                Ok(Poll::Changed { computer, etag: new, waits }) => {
                    etag = new;
                    self.set_computer(computer);
                    waits
                }
                Ok(Poll::Unchanged { waits }) => waits,
                Err(error) => {
                    etag = None;
                    let error = NodeError::from(error);
                    self.lose_master(&error, failures).await;
                    failures += 1;
                    continue;
                }
            };
            if failures > 0 {
                env.log("the master answers again");
            }
            failures = 0;
            if self.is_offline.replace(false) {
                self.changed.notify_one();
            }
            if !self.is_formatted.get() {
                self.format_again().await;
            }
            let pause = match (self.is_formatted.get(), waits || wait.is_none()) {
                (false, _) => FORMAT_PAUSE,
                (true, true) if is_patient => POLL_PAUSE,
                (true, _) => self.site.settings.poll,
            };
            env.sleep(pause).await;
        }
    }

    fn set_computer(&self, computer: Computer) {
        self.views.set(self.views.get() + 1);
        let is_new = self.computer.borrow().as_deref() != Some(&computer);
        if is_new {
            // What is supplied again is another supply.
            for (subject, work) in self.memory.borrow_mut().iter_mut() {
                let Subject::Release(url) = subject else { continue };
                if !computer.software_releases.iter().any(|release| release.url == *url) {
                    work.shown_until = f64::NEG_INFINITY;
                }
            }
            *self.computer.borrow_mut() = Some(Rc::new(computer));
            self.changed.notify_one();
        }
    }

    /// The master does not answer, or does not know this computer.
    async fn lose_master(&self, error: &NodeError, failures: u32) {
        let env = &self.site.env;
        if failures == 0 {
            env.log(format_args!("{error}; services go on, and it is tried again"));
        }
        if !self.is_offline.replace(true) {
            self.changed.notify_one();
        }
        if !error.is_offline() {
            // A master with another database does not know what was formatted.
            self.format_again().await;
        }
        let most = if error.is_offline() { RECONNECT_SECONDS_MAX } else { FORMAT_PAUSE.as_secs() };
        let seconds = retry_seconds(failures).min(most);
        let pause = if failures == 0 { Duration::from_millis(100) } else { Duration::from_secs(seconds) };
        env.sleep(pause).await;
    }

    /// Goes on without the master when it did not answer for a while since the agent began.
    async fn lose_patience(&self) {
        self.site.env.sleep(FIRST_ANSWER).await;
        if self.computer.borrow().is_none() && !self.is_offline.replace(true) {
            self.site.env.log("the master did not answer yet; services are started as they were");
            self.changed.notify_one();
        }
    }

    async fn format_again(&self) {
        let options = format::Options { now: true, dry_run: false };
        match format::run(&self.site, &options).await {
            Ok(formatted) => self.is_formatted.set(formatted == Formatted::Done),
            Err(error) => self.site.env.log(error),
        }
    }

    /// Follows what becomes of the services; starts the supervisor when it does not answer.
    async fn follow_supervisor(&self) {
        let env = &self.site.env;
        let mut number = 0;
        let mut failures: u32 = 0;
        loop {
            match self.site.supervisor.next_change(number).await {
                Ok((new, statuses)) => {
                    number = new;
                    failures = 0;
                    *self.statuses.borrow_mut() = Some(Rc::new(statuses));
                    self.changed.notify_one();
                }
                Err(error) => {
                    number = 0;
                    if failures == 1 {
                        env.log(&error);
                    }
                    let pause = Duration::from_millis(10 << failures.min(8));
                    failures = failures.saturating_add(1);
                    if failures > 1 {
                        env.sleep(pause).await;
                    }
                    if let Err(error) = self.site.ensure_supervisor().await
                        && failures == 8
                    {
                        env.log(error);
                    }
                }
            }
        }
    }

    /// Looks what is to be done, begins it, and waits until something changed or it is time. Ends only when it must not go on.
    async fn schedule(self: &Rc<Self>) -> NodeError {
        loop {
            if self.is_uprooted() {
                self.forget_all();
                let wake = self.site.env.sleep(Duration::from_secs_f64(upkeep::LOOK_SECONDS));
                race(self.changed.notified(), wake).await;
                continue;
            }
            let look_at = match self.keep_places() {
                Ok(look_at) => look_at,
                Err(error) => return error,
            };
            let wake_at = self.begin_jobs().map_or(look_at, |at| at.min(look_at));
            let wake = self.site.env.sleep(Duration::from_secs_f64((wake_at - self.now()).max(0.001)));
            race(self.changed.notified(), wake).await;
        }
    }

    /// Begins what is to be done now; gives the time to look again.
    fn begin_jobs(self: &Rc<Self>) -> Option<f64> {
        let statuses = self.statuses.borrow().clone()?;
        let now = self.now();
        if self.is_offline.get() {
            return self.begin_offline(&statuses, now);
        }
        let computer = self.computer.borrow().clone()?;
        let facts = self.facts(&computer, &statuses);
        let plan = plan::plan(&computer, &facts, &self.memory.borrow(), now);
        let mut wake_at = plan.wake_at;
        for job in plan.jobs {
            if !self.begin(job, &computer) {
                wake_at = Some(wake_at.map_or(now + 1.0, |at| at.min(now + 1.0)));
            }
        }
        wake_at
    }

    /// Without a master nothing new is known: what ended by itself is started again, once.
    fn begin_offline(self: &Rc<Self>, statuses: &[ServiceStatus], now: f64) -> Option<f64> {
        let mut wake_at: Option<f64> = None;
        let groups = statuses.iter().filter(|status| status.watched && services::is_dead(status));
        for id in groups.filter_map(|status| status.group.parse::<PartitionId>().ok()) {
            let work = self.memory.borrow().get(&Subject::Partition(id.clone())).cloned().unwrap_or_default();
            let is_ours = self.site.files().is_directory(&self.site.partition(&id));
            if work.is_running || !is_ours {
                continue;
            }
            if work.retry_at > now {
                wake_at = Some(wake_at.map_or(work.retry_at, |at| at.min(work.retry_at)));
            } else if let Some(computer) = self.computer.borrow().clone() {
                self.begin(Job::Died(id), &computer);
            } else {
                self.begin_start(id);
            }
        }
        wake_at
    }

    /// Begins a job in a task of its own, unless too many run or somebody else has the lock.
    fn begin(self: &Rc<Self>, job: Job, computer: &Rc<Computer>) -> bool {
        let is_release = matches!(job, Job::Build(_) | Job::Remove(_) | Job::Show(_));
        let running = self.running(is_release);
        let limit = if is_release { BUILDS_MAX } else { self.site.settings.parallel_instances };
        if running >= limit {
            // A job that ends wakes the scheduler.
            return true;
        }
        if !self.take_lock(is_release) {
            return false;
        }
        self.memory.borrow_mut().entry(job.subject()).or_default().is_running = true;
        let (agent, computer) = (self.clone(), computer.clone());
        self.site.env.spawn(async move {
            agent.run_job(&job, &computer).await;
            agent.forget(&job.subject());
            agent.release_lock(is_release);
            agent.changed.notify_one();
        });
        true
    }

    /// Starts a partition's services although nothing is known of what the master wants.
    fn begin_start(self: &Rc<Self>, id: PartitionId) {
        let subject = Subject::Partition(id.clone());
        self.memory.borrow_mut().entry(subject.clone()).or_default().is_running = true;
        let agent = self.clone();
        self.site.env.spawn(async move {
            let result = instance::start(&agent.site, &id).await;
            agent.end_start(&subject, &id, &result, 1);
            agent.forget(&subject);
            agent.changed.notify_one();
        });
    }

    fn running(&self, releases: bool) -> usize {
        let memory = self.memory.borrow();
        let running = memory
            .iter()
            .filter(|(subject, work)| work.is_running && matches!(subject, Subject::Release(_)) == releases);
        running.count()
    }

    fn take_lock(&self, releases: bool) -> bool {
        let (slot, root, name) = if releases {
            (&self.software_lock, &self.site.settings.software_root, "software")
        } else {
            (&self.instance_lock, &self.site.settings.instance_root, "instance")
        };
        if slot.borrow().is_some() {
            return true;
        }
        match self.site.lock(root, name) {
            Ok(lock) => {
                *slot.borrow_mut() = Some(lock);
                true
            }
            Err(NodeError::Busy(_)) => false,
            Err(error) => {
                self.site.env.log(error);
                false
            }
        }
    }

    fn release_lock(&self, releases: bool) {
        if self.running(releases) == 0 {
            let slot = if releases { &self.software_lock } else { &self.instance_lock };
            slot.borrow_mut().take();
        }
    }
}
