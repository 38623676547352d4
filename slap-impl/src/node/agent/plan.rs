//! What the agent does next: a decision without I/O. Times are seconds of the agent's own clock, which never goes back.

use crate::{
    node::{due::retry_seconds, instance::is_busy, report::is_to_be_destroyed, software::user_of},
    vocabulary::{PartitionId, RequestedState, SoftwareUrl, SupplyState},
    wire::objects::{Computer, ComputerPartition},
};
use std::collections::{BTreeMap, BTreeSet};

/// What was processed with success is not processed again sooner, in seconds, unless something changed.
const REPEAT_SECONDS: f64 = 60.0;
/// The longest pause before something that failed is tried again.
const RETRY_SECONDS_MAX: u64 = 60;

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Job {
    /// Build a release.
    Build(SoftwareUrl),
    /// Remove a release.
    Remove(SoftwareUrl),
    /// Look whether the master shows a release as available that is built already.
    Show(SoftwareUrl),
    /// Make a partition what the master wants.
    Process(PartitionId),
    /// Destroy an instance.
    Destroy(PartitionId),
    /// Look whether the promises are good for which a partition's processing failed: then it need not wait for its next try.
    Recheck(PartitionId),
    /// Start the services of a partition that is up to date, of which nobody keeps them.
    Start(PartitionId),
    /// A watched service ended: show it, tell the master.
    Died(PartitionId),
    /// Run the promises that are due.
    Promises(PartitionId),
    /// Look whether the master shows a stopped instance as stopped.
    Confirm(PartitionId),
}

/// What a job works on; there is one job at a time on each.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    Release(SoftwareUrl),
    Partition(PartitionId),
}

impl Job {
    pub(super) fn subject(&self) -> Subject {
        match self {
            Job::Build(url) | Job::Remove(url) | Job::Show(url) => Subject::Release(url.clone()),
            Job::Process(id)
            | Job::Destroy(id)
            | Job::Recheck(id)
            | Job::Start(id)
            | Job::Died(id)
            | Job::Promises(id)
            | Job::Confirm(id) => Subject::Partition(id.clone()),
        }
    }
}

/// What the agent remembers of a subject.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Work {
    /// A job works on it.
    pub(super) is_running: bool,
    /// How often it failed in a row.
    pub(super) failures: u32,
    /// Not before that, unless something else is wanted than when it failed.
    pub(super) retry_at: f64,
    /// What was wanted when it was last tried.
    pub(super) tried: Option<String>,
    /// It must be processed although its timestamp did not change.
    pub(super) is_forced: bool,
    /// How often in a row a watched service ended soon after its start.
    pub(super) deaths: u32,
    /// When its promises are due.
    pub(super) promises_at: f64,
    /// When the promises are looked at for which its processing failed, before the next try.
    pub(super) recheck_at: Option<f64>,
    /// How often in a row such a look called for a try that failed.
    pub(super) rechecks: u32,
    /// What a release's profile was like when it was last tried: its change and its length.
    pub(super) stamp: Option<(i64, u64)>,
    /// Until then the master is taken to show that the release is available, of which it was told, or which it showed, since the release is
    /// supplied and the agent began.
    pub(super) shown_until: f64,
    /// When it was last processed with success; long ago before.
    pub(super) processed_at: f64,
    /// Whether its promises were good when that was last told to the master.
    pub(super) is_healthy: Option<bool>,
    /// All its promises were run since the agent began: what was found before may have changed.
    pub(super) is_checked: bool,
    /// Until then what was reported of it may still arrive at the master, for the first time or again, after what was reported later.
    pub(super) doubt_until: f64,
}

impl Default for Work {
    fn default() -> Work {
        Work {
            is_running: false,
            failures: 0,
            retry_at: 0.0,
            tried: None,
            is_forced: false,
            deaths: 0,
            promises_at: 0.0,
            recheck_at: None,
            rechecks: 0,
            stamp: None,
            shown_until: f64::NEG_INFINITY,
            processed_at: f64::NEG_INFINITY,
            is_healthy: None,
            is_checked: false,
            doubt_until: 0.0,
        }
    }
}

impl Work {
    /// Whether the master may get reports of it after those that came later; those of agents that ended until `earlier`.
    pub(super) fn is_in_doubt(&self, now: f64, earlier: f64) -> bool {
        now < self.doubt_until.max(earlier)
    }

    /// Notes how a job went, for which `wanted` was wanted.
    pub(super) fn end(&mut self, succeeded: bool, wanted: Option<String>, now: f64) {
        self.is_running = false;
        self.tried = wanted;
        if succeeded {
            self.failures = 0;
            self.retry_at = now;
        } else {
            self.failures = self.failures.saturating_add(1);
            self.retry_at = now + retry_seconds(self.failures).min(RETRY_SECONDS_MAX) as f64;
        }
    }
}

/// What is known of the machine.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Facts {
    /// Releases that are built.
    pub(super) built: BTreeSet<SoftwareUrl>,
    /// Partitions that must be processed.
    pub(super) due: BTreeSet<PartitionId>,
    /// Partitions whose services the supervisor keeps: it knows them and was not asked to stop them.
    pub(super) supervised: BTreeSet<PartitionId>,
    /// Partitions that have anything in etc/run or etc/service.
    pub(super) has_services: BTreeSet<PartitionId>,
    /// Partitions in which a watched service ended by itself.
    pub(super) dead: BTreeSet<PartitionId>,
    /// Until then reports of an agent that ended may still arrive.
    pub(super) doubt_until: f64,
}

/// What to do now, and when to look again if nothing happens until then.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Plan {
    pub(super) jobs: Vec<Job>,
    pub(super) wake_at: Option<f64>,
}

impl Plan {
    /// Does the job if `at` has come, else looks again then.
    fn at(&mut self, at: f64, now: f64, job: Job) {
        if at <= now {
            self.jobs.push(job);
        } else {
            self.wake_at = Some(self.wake_at.map_or(at, |wake| wake.min(at)));
        }
    }
}

/// A text that differs when something else is wanted of a partition.
pub(super) fn wanted(partition: &ComputerPartition) -> String {
    let (release, timestamp) = release_and_timestamp(partition);
    format!("{} {timestamp} {release}", partition.requested_state)
}

fn release_and_timestamp(partition: &ComputerPartition) -> (&str, &str) {
    match &partition.instance {
        Some(instance) => {
            (instance.software_release.url.as_str(), instance.timestamp.as_deref().unwrap_or_default())
        }
        None => ("", ""),
    }
}

/// Whether that is the [`wanted`] text of a partition, which is asked each time the agent wakes.
fn is_wanted(partition: &ComputerPartition, text: &str) -> bool {
    let (release, timestamp) = release_and_timestamp(partition);
    let rest = text.strip_prefix(partition.requested_state.as_str());
    let rest = rest.and_then(|rest| rest.strip_prefix(' ')?.strip_prefix(timestamp)?.strip_prefix(' '));
    rest == Some(release)
}

/// Decides.
pub(super) fn plan(computer: &Computer, facts: &Facts, memory: &BTreeMap<Subject, Work>, now: f64) -> Plan {
    let mut plan = Plan::default();
    let idle = Work::default();
    for release in &computer.software_releases {
        let work = memory.get(&Subject::Release(release.url.clone())).unwrap_or(&idle);
        if work.is_running {
            continue;
        }
        let state = release.requested_state.unwrap_or(SupplyState::Available);
        let at = if work.tried.as_deref() == Some(state.as_str()) { work.retry_at } else { now };
        match state {
            SupplyState::Available if !facts.built.contains(&release.url) => {
                plan.at(at, now, Job::Build(release.url.clone()));
            }
            SupplyState::Available => {
                plan.at(at.max(work.shown_until), now, Job::Show(release.url.clone()));
            }
            SupplyState::Destroyed if user_of(computer, &release.url).is_none() => {
                plan.at(at, now, Job::Remove(release.url.clone()));
            }
            _ => {}
        }
    }
    for partition in computer.partitions.iter().filter(|partition| is_busy(partition)) {
        let work = memory.get(&Subject::Partition(partition.partition_id.clone())).unwrap_or(&idle);
        if !work.is_running {
            plan_partition(computer, facts, memory, now, partition, work, &mut plan);
        }
    }
    plan
}

fn plan_partition(
    computer: &Computer,
    facts: &Facts,
    memory: &BTreeMap<Subject, Work>,
    now: f64,
    partition: &ComputerPartition,
    work: &Work,
    plan: &mut Plan,
) {
    let id = &partition.partition_id;
    let is_same = work.tried.as_deref().is_some_and(|tried| is_wanted(partition, tried));
    let at = if is_same { work.retry_at } else { now };
    if is_to_be_destroyed(partition) {
        return plan.at(at, now, Job::Destroy(id.clone()));
    }
    if facts.due.contains(id) || work.is_forced {
        if !waits_for_build(computer, facts, memory, partition) {
            // A periodicity of nothing, or a master without timestamps, must not make it run without a pause.
            let rest = if is_same && work.failures == 0 && !work.is_forced {
                work.processed_at + REPEAT_SECONDS
            } else {
                now
            };
            let at = at.max(rest);
            if let Some(recheck_at) = work.recheck_at.filter(|recheck_at| at > now && *recheck_at < at) {
                plan.at(recheck_at, now, Job::Recheck(id.clone()));
            }
            plan.at(at, now, Job::Process(id.clone()));
        }
        return;
    }
    if partition.requested_state != RequestedState::Started {
        if work.is_in_doubt(now, facts.doubt_until) {
            plan.at(work.promises_at, now, Job::Confirm(id.clone()));
        }
        return;
    }
    if facts.dead.contains(id) {
        plan.at(work.retry_at, now, Job::Died(id.clone()));
    } else if facts.has_services.contains(id) && !facts.supervised.contains(id) {
        plan.at(work.retry_at, now, Job::Start(id.clone()));
    } else {
        plan.at(work.promises_at, now, Job::Promises(id.clone()));
    }
}

/// Whether a partition's release is about to be built for the first time, so that it is too early to say anything.
fn waits_for_build(
    computer: &Computer,
    facts: &Facts,
    memory: &BTreeMap<Subject, Work>,
    partition: &ComputerPartition,
) -> bool {
    let Some(instance) = &partition.instance else { return false };
    let url = &instance.software_release.url;
    if facts.built.contains(url) {
        return false;
    }
    let is_supplied = computer
        .software_releases
        .iter()
        .any(|release| release.url == *url && release.requested_state != Some(SupplyState::Destroyed));
    let failed = memory.get(&Subject::Release(url.clone())).is_some_and(|work| work.failures > 0);
    is_supplied && !failed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::objects::{Instance, SoftwareRelease};

    fn release(url: &str, state: SupplyState) -> SoftwareRelease {
        SoftwareRelease {
            url: url.parse().unwrap(),
            computer_id: "COMP-1".parse().unwrap(),
            requested_state: Some(state),
        }
    }

    fn partition(name: &str, state: RequestedState, url: &str) -> ComputerPartition {
        ComputerPartition {
            computer_id: "COMP-1".parse().unwrap(),
            partition_id: name.parse().unwrap(),
            instance_guid: None,
            requested_state: state,
            need_modification: true,
            access_status: None,
            instance: Some(Instance {
                software_release: release(url, SupplyState::Available),
                software_type: String::new(),
                title: "a".to_owned(),
                root_title: "a".to_owned(),
                parameters: Default::default(),
                addresses: Vec::new(),
                full_addresses: Vec::new(),
                shared_instances: Vec::new(),
                timestamp: Some("7".to_owned()),
                connection: Default::default(),
            }),
        }
    }

    /// Until then the master is taken to show that a release is available.
    const MUCH_LATER: f64 = 1e6;

    /// With a release that the master shows, once it is built.
    fn built() -> (Computer, Facts, BTreeMap<Subject, Work>) {
        let (computer, mut facts, mut memory) = world();
        facts.built.insert(url());
        memory.entry(Subject::Release(url())).or_default().shown_until = MUCH_LATER;
        (computer, facts, memory)
    }

    fn world() -> (Computer, Facts, BTreeMap<Subject, Work>) {
        let computer = Computer {
            computer_id: "COMP-1".parse().unwrap(),
            software_releases: vec![release("/r", SupplyState::Available)],
            partitions: vec![partition("p0", RequestedState::Started, "/r")],
        };
        let mut facts = Facts::default();
        facts.due.insert("p0".parse().unwrap());
        (computer, facts, BTreeMap::new())
    }

    fn url() -> SoftwareUrl {
        "/r".parse().unwrap()
    }

    fn id() -> PartitionId {
        "p0".parse().unwrap()
    }

    #[test]
    fn a_release_is_built_before_its_instances() {
        let (computer, mut facts, mut memory) = world();
        assert_eq!(plan(&computer, &facts, &memory, 0.0).jobs, [Job::Build(url())]);
        memory.entry(Subject::Release(url())).or_default().is_running = true;
        assert_eq!(plan(&computer, &facts, &memory, 0.0).jobs, []);
        memory.entry(Subject::Release(url())).or_default().end(false, Some("available".to_owned()), 10.0);
        let failed = plan(&computer, &facts, &memory, 10.0);
        assert_eq!((failed.jobs, failed.wake_at), (vec![Job::Process(id())], Some(11.0)));
        facts.built.insert(url());
        memory.entry(Subject::Release(url())).or_default().shown_until = MUCH_LATER;
        assert_eq!(plan(&computer, &facts, &memory, 10.0).jobs, [Job::Process(id())]);
    }

    #[test]
    fn what_is_wanted_is_known_by_its_text() {
        let mut one = partition("p0", RequestedState::Started, "/r");
        let texts = [
            "started 7 /r",
            "started 7 /r/",
            "started 7 ",
            "started 7",
            "started",
            "",
            "stopped 7 /r",
            "started 77 /r",
        ];
        for text in texts {
            assert_eq!(is_wanted(&one, text), text == wanted(&one), "{text}");
        }
        assert_eq!(wanted(&one), texts[0]);
        one.instance = None;
        assert!(is_wanted(&one, &wanted(&one)));
    }

    #[test]
    fn what_is_built_already_is_shown() {
        let (mut computer, mut facts, mut memory) = world();
        facts.built.insert(url());
        facts.due.clear();
        computer.partitions.clear();
        assert_eq!(plan(&computer, &facts, &memory, 0.0).jobs, [Job::Show(url())]);
        memory.entry(Subject::Release(url())).or_default().end(false, Some("available".to_owned()), 10.0);
        let failed = plan(&computer, &facts, &memory, 10.0);
        assert_eq!((failed.jobs, failed.wake_at), (vec![], Some(11.0)));
        memory.entry(Subject::Release(url())).or_default().shown_until = 600.0;
        let shown = plan(&computer, &facts, &memory, 11.0);
        assert_eq!((shown.jobs, shown.wake_at), (vec![], Some(600.0)));
        assert_eq!(plan(&computer, &facts, &memory, 600.0).jobs, [Job::Show(url())]);
    }

    #[test]
    fn what_the_master_shows_of_a_stopped_instance_is_looked_at_while_reports_may_be_late() {
        let (mut computer, mut facts, mut memory) = built();
        facts.due.clear();
        computer.partitions[0].requested_state = RequestedState::Stopped;
        memory.entry(Subject::Partition(id())).or_default().promises_at = 7.0;
        let nothing = Plan { wake_at: Some(MUCH_LATER), ..Plan::default() };
        assert_eq!(plan(&computer, &facts, &memory, 8.0), nothing);
        memory.entry(Subject::Partition(id())).or_default().doubt_until = 9.0;
        assert_eq!(plan(&computer, &facts, &memory, 6.0).wake_at, Some(7.0));
        assert_eq!(plan(&computer, &facts, &memory, 7.0).jobs, [Job::Confirm(id())]);
        assert_eq!(plan(&computer, &facts, &memory, 9.0), nothing);
        // An agent knows nothing of what the one before it reported.
        facts.doubt_until = 10.0;
        assert_eq!(plan(&computer, &facts, &memory, 9.0).jobs, [Job::Confirm(id())]);
    }

    #[test]
    fn what_failed_is_tried_again_later_or_when_something_else_is_wanted() {
        let (mut computer, facts, mut memory) = built();
        let work = memory.entry(Subject::Partition(id())).or_default();
        work.end(false, Some(wanted(&computer.partitions[0])), 10.0);
        work.end(false, Some(wanted(&computer.partitions[0])), 10.0);
        let waiting = plan(&computer, &facts, &memory, 11.0);
        assert_eq!((waiting.jobs, waiting.wake_at), (vec![], Some(12.0)));
        assert_eq!(plan(&computer, &facts, &memory, 12.0).jobs, [Job::Process(id())]);
        computer.partitions[0].instance.as_mut().unwrap().timestamp = Some("8".to_owned());
        assert_eq!(plan(&computer, &facts, &memory, 11.0).jobs, [Job::Process(id())]);
        computer.partitions[0].requested_state = RequestedState::Destroyed;
        assert_eq!(plan(&computer, &facts, &memory, 11.0).jobs, [Job::Destroy(id())]);
    }

    /// The root of a tree that goes is reported destroyed before its children are gone: the master keeps it, and renews its
    /// timestamp when the last of them went.
    #[test]
    fn a_root_that_is_kept_is_tried_again_when_it_is_renewed_and_later_and_later_before() {
        let (mut computer, facts, mut memory) = world();
        computer.software_releases.clear();
        computer.partitions[0].requested_state = RequestedState::Destroyed;
        let mut now = 10.0;
        for pause in [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0] {
            assert_eq!(plan(&computer, &facts, &memory, now).jobs, [Job::Destroy(id())], "{now}");
            let work = memory.entry(Subject::Partition(id())).or_default();
            work.end(false, Some(wanted(&computer.partitions[0])), now);
            let waiting = plan(&computer, &facts, &memory, now);
            assert_eq!((waiting.jobs, waiting.wake_at), (vec![], Some(now + pause)));
            now += pause;
        }
        computer.partitions[0].instance.as_mut().unwrap().timestamp = Some("8".to_owned());
        assert_eq!(plan(&computer, &facts, &memory, now - 59.0).jobs, [Job::Destroy(id())]);
    }

    #[test]
    fn a_partition_that_is_up_to_date_is_watched() {
        let (computer, mut facts, mut memory) = built();
        facts.due.clear();
        memory.entry(Subject::Partition(id())).or_default().promises_at = 60.0;
        let calm = plan(&computer, &facts, &memory, 0.0);
        assert_eq!((calm.jobs, calm.wake_at), (vec![], Some(60.0)));
        assert_eq!(plan(&computer, &facts, &memory, 60.0).jobs, [Job::Promises(id())]);
        facts.has_services.insert(id());
        assert_eq!(plan(&computer, &facts, &memory, 0.0).jobs, [Job::Start(id())]);
        facts.supervised.insert(id());
        facts.dead.insert(id());
        assert_eq!(plan(&computer, &facts, &memory, 0.0).jobs, [Job::Died(id())]);
        memory.entry(Subject::Partition(id())).or_default().is_forced = true;
        assert_eq!(plan(&computer, &facts, &memory, 0.0).jobs, [Job::Process(id())]);
    }

    #[test]
    fn promises_that_made_a_try_fail_are_looked_at_before_the_next_one() {
        let (computer, facts, mut memory) = built();
        let work = memory.entry(Subject::Partition(id())).or_default();
        for _ in 0..7 {
            work.end(false, Some(wanted(&computer.partitions[0])), 100.0);
        }
        for (recheck_at, now, jobs, wake_at) in [
            (None, 100.0, vec![], Some(160.0)),
            (Some(110.0), 100.0, vec![], Some(110.0)),
            (Some(110.0), 110.0, vec![Job::Recheck(id())], Some(160.0)),
            (Some(110.0), 160.0, vec![Job::Process(id())], Some(MUCH_LATER)),
            // What is tried before is not looked at.
            (Some(170.0), 150.0, vec![], Some(160.0)),
        ] {
            memory.entry(Subject::Partition(id())).or_default().recheck_at = recheck_at;
            let found = plan(&computer, &facts, &memory, now);
            assert_eq!((found.jobs, found.wake_at), (jobs, wake_at), "{recheck_at:?} {now}");
        }
    }

    #[test]
    fn a_release_in_use_is_not_removed() {
        let (mut computer, mut facts, memory) = world();
        facts.built.insert(url());
        facts.due.clear();
        computer.software_releases[0].requested_state = Some(SupplyState::Destroyed);
        assert_eq!(plan(&computer, &facts, &memory, -1.0).jobs, []);
        computer.partitions.clear();
        assert_eq!(plan(&computer, &facts, &memory, 0.0).jobs, [Job::Remove(url())]);
    }
}
