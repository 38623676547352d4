//! Swarms: the real master, agents, supervisors, engines and clients on machines of their own, users who ask for things at the same
//! time, and everything that can go wrong, from a seed.
//!
//! * [`knobs`]: what is decided before a run; [`script`]: the list of what users do and what goes wrong
//! * `cloud.rs`: the machines and what is started on them; `release.rs`: what is installed there; `act.rs`: does what the script says; `users.rs`: what users ask
//!   and strangers send, and `history.rs` with `told.rs`: what they were told; `operator.rs`: passes of `slap node` by hand; `format.rs`: how nodes are formatted; `local.rs`: releases
//!   that are paths; `second.rs`: a second master
//! * [`judge`]: the master's journal and database, held against the model
//! * `settle.rs`: what all must come to once nothing goes wrong any more
//! * [`mod@report`]: what was found, in words and in a folder, with what `about.rs` knows to be about it; `timeline.rs`: as a picture; [`mod@shrink`]: with fewer steps; [`mod@file`]: a plan as a file
//! * [`command`]: the commands, with the ledger; `debug.rs`: a run, step by step
//!
//! A run: the cloud starts and settles; the script happens; everything is healed; the cloud must settle again. The same knobs, seed and
//! script give the same trace, line by line.

mod about;
mod act;
mod cloud;
pub mod command;
mod debug;
pub mod file;
mod format;
mod history;
pub mod judge;
pub mod knobs;
mod local;
mod operator;
mod release;
pub mod report;
pub(crate) mod script;
mod second;
mod settle;
pub mod shrink;
mod timeline;
mod told;
mod users;

use crate::world::{PANIC, Random, Tier, Trace, World, now_instant, pause, spawn};
use about::EVERYTHING;
use cloud::Cloud;
use history::History;
use judge::{Judge, Judged};
use knobs::Knobs;
use report::Finding;
use script::Step;
use std::{ops::ControlFlow, rc::Rc, time::Duration};
use tokio::time::Instant;

/// Whether a run may break a rule of that name.
pub fn is_rule(name: &str) -> bool {
    ["liveness", "service-runs-once", PANIC, RESTLESS, settle::promises::RULE, operator::RULE].contains(&name)
        || [users::asker::RULE, users::strangers::RULE, users::typed::RULE].contains(&name)
        || judge::is_rule(name)
}

/// What breaks the rule that nothing is done again and again without a pause.
const RESTLESS: &str = "restless";

/// Events of a minute that a node may have, and the other machines together: four times what the busiest of 300 seeds had.
const LINES_A_MINUTE: u64 = 1000;

/// Lines of the trace that are kept.
const LINES_KEPT: usize = 20_000;

/// A run, wholly decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Of all that programs and the network draw.
    pub seed: u64,
    /// What it is made of.
    pub knobs: Knobs,
    /// What happens.
    pub(crate) script: Vec<Step>,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was found; none when all was well.
    pub finding: Option<Finding>,
    /// A short name for the whole trace.
    pub digest: String,
    /// Lines of the trace, all together.
    pub lines: u64,
    /// The last of them.
    pub trace: Vec<String>,
    /// How long it took in the world.
    pub simulated: Duration,
    /// When the script began, in the world's time; none if the cloud did not settle before.
    began: Option<Duration>,
    /// Operations of users, and how many were answered with yes.
    pub operations: (usize, usize),
    /// What users did, and what they were told: beginning, end and words.
    history: Vec<history::Operation>,
    /// How long it took to settle after the last fault.
    pub settled_after: Option<Duration>,
    /// How many processes and machines ended at an operation of their disk.
    pub strikes: u32,
    /// What the judge of the master judged.
    pub judged: Judged,
    /// In what the master's database differs from the model, object by object.
    pub difference: Option<String>,
}

impl Outcome {
    /// How many lines of the trace, the first ones, were not kept.
    fn left_out(&self) -> u64 {
        self.lines.saturating_sub(self.trace.len() as u64)
    }
}

impl Plan {
    /// The plan of a seed.
    pub fn draw(seed: u64, profile: knobs::Profile) -> Plan {
        Plan::draw_with(seed, profile, None, false)
    }

    /// How the program is told to draw this very plan: its seed and options; none when no seed gives it.
    pub fn as_seed(&self) -> Option<String> {
        let days = self.knobs.turmoil_seconds / 86_400;
        let days = (days > 0 && self.knobs.turmoil_seconds.is_multiple_of(86_400)).then_some(days);
        let profile = self.knobs.profile;
        let ways = [(None, false), (None, true), (days, false), (days, true)];
        let (days, has_all_faults) =
            ways.into_iter().find(|(days, all)| Plan::draw_with(self.seed, profile, *days, *all) == *self)?;
        let days = days.map_or(String::new(), |days| format!(" --days {days}"));
        let faults = if has_all_faults { " --all-faults" } else { "" };
        Some(format!("{} --profile {}{days}{faults}", self.seed, profile.as_str()))
    }

    /// The plan of a seed, with so many days of turmoil, or with all kinds of faults.
    pub fn draw_with(seed: u64, profile: knobs::Profile, days: Option<u64>, has_all_faults: bool) -> Plan {
        let mut knobs = Knobs::draw(seed, profile);
        if let Some(days) = days {
            knobs.turmoil_seconds = days * 86_400;
        }
        if has_all_faults {
            knobs = knobs.with_everything();
        }
        let script = script::draw(seed, &knobs);
        Plan { seed, knobs, script }
    }
}

impl Plan {
    /// The same, in a cloud of that size; its script is drawn anew.
    pub fn resize(&mut self, nodes: u32, partitions: u32) {
        (self.knobs.nodes, self.knobs.partitions) = (nodes, partitions);
        self.script = script::draw(self.seed, &self.knobs);
    }
}

/// Where a run is, for who looks on.
enum Moment<'a> {
    /// Before that step of the script.
    Step(usize, &'a Step),
    /// The turmoil is over, and nothing is healed yet.
    Over,
    /// All was healed, and the cloud has settled.
    Settled,
    /// A rule was broken.
    Broken(&'a Finding),
}

/// Who looks on at a run, and may end it.
type Observer = Box<dyn FnMut(&Rc<Cloud>, &Judge, Moment<'_>) -> ControlFlow<()> + Send>;

/// Does what a plan says.
pub fn run(plan: &Plan) -> Outcome {
    run_observed(plan, Box::new(|_, _, _| ControlFlow::Continue(())))
}

fn run_observed(plan: &Plan, mut observer: Observer) -> Outcome {
    let plan = plan.clone();
    World::run(plan.seed, async move |world| {
        world.trace().keep(LINES_KEPT);
        let start = now_instant();
        let history = Rc::new(History::default());
        let random = Random::new(plan.seed).child("swarm");
        let cloud = Cloud::new(world.clone(), plan.knobs.clone(), &random);
        let judge = Judge::new(&cloud);
        let result = live(&cloud, &plan, &history, &judge, &mut observer, start).await;
        let (judged, difference) = judge.outcome();
        let trace = world.trace();
        if let Err(finding) = &result {
            let _ = observer(&cloud, &judge, Moment::Broken(finding));
        }
        let told = history.operations();
        let is_answered = |ended: &history::Ended| ended.outcome.is_answer();
        let done = told.iter().filter(|operation| operation.ended.as_ref().is_some_and(is_answered));
        let operations = (told.len(), done.count());
        let simulated = now_instant().duration_since(start);
        let panics = world.take_panics();
        Outcome {
            settled_after: result.as_ref().ok().copied().flatten(),
            finding: alarm(trace)
                .or_else(|| panicked(&panics, simulated))
                .or_else(|| result.err())
                .or_else(|| restless(trace, &cloud)),
            digest: trace.digest(),
            lines: trace.count(),
            trace: trace.lines(),
            simulated,
            began: cloud.began.get(),
            operations,
            strikes: cloud.strikes.get(),
            history: told,
            judged,
            difference,
        }
    })
}

/// The first thing that must never happen and did, seen by the world itself.
fn alarm(trace: &Trace) -> Option<Finding> {
    trace.alarms().into_iter().next().map(|alarm| Finding {
        rule: alarm.rule.to_owned(),
        object: alarm.object,
        what: alarm.what,
        at: alarm.at,
        more: Vec::new(),
    })
}

/// A panic that ended no process: of a write, which is told as an error of the database, or of what simulates.
fn panicked(panics: &[String], at: Duration) -> Option<Finding> {
    let (first, others) = panics.split_first()?;
    let (object, what) = (EVERYTHING.to_owned(), first.clone());
    Some(Finding { rule: PANIC.to_owned(), object, what, at, more: others.to_vec() })
}

/// A program that does the same again and again, without a pause, shows in no other rule: it may even succeed.
fn restless(trace: &Trace, cloud: &Cloud) -> Option<Finding> {
    let (minute, lines) = trace.busiest_minute();
    let second = if cloud.has_second() { 2 } else { 0 };
    // A machine with a node's identity does what that does, too.
    let nodes = u64::from(cloud.knobs.nodes) + cloud.twins().len() as u64;
    let most = LINES_A_MINUTE * (nodes + 1 + second);
    (lines > most).then(|| Finding {
        rule: RESTLESS.to_owned(),
        object: EVERYTHING.to_owned(),
        what: format!("{lines} events in one minute, where {most} are many"),
        at: Duration::from_secs(minute * 60),
        more: Vec::new(),
    })
}

/// `start`: of the world. How long it took to settle at last; none when who looks on ended it before.
async fn live(
    cloud: &Rc<Cloud>,
    plan: &Plan,
    history: &Rc<History>,
    judge: &Judge,
    observer: &mut Observer,
    start: Instant,
) -> Result<Option<Duration>, Finding> {
    let world = &cloud.world;
    cloud.start();
    if plan.knobs.tier() == Tier::Crash {
        cloud.places().for_each(|place| spawn(act::follow_disk(cloud.clone(), place)));
    }
    settle::settle(cloud, history, judge).await?;
    let begin = now_instant();
    cloud.began.set(Some(begin.duration_since(start)));
    for (number, step) in plan.script.iter().enumerate() {
        let at = begin + Duration::from_millis(step.at);
        pause(at.saturating_duration_since(now_instant())).await;
        if let Some(finding) = alarm(world.trace()) {
            if observer(cloud, judge, Moment::Broken(&finding)).is_break() {
                return Ok(None);
            }
            break;
        }
        judge.look(cloud, history, false)?;
        if observer(cloud, judge, Moment::Step(number, step)).is_break() {
            return Ok(None);
        }
        world.trace().event("script", serde_json::to_string(&step.event).unwrap_or_default());
        act::act(cloud, history, &step.event);
    }
    let end = begin + Duration::from_secs(plan.knobs.turmoil_seconds);
    pause(end.saturating_duration_since(now_instant())).await;
    judge.look(cloud, history, false)?;
    if observer(cloud, judge, Moment::Over).is_break() {
        return Ok(None);
    }
    world.trace().event("script", "everything is healed");
    act::heal(cloud);
    let settled = settle::settle(cloud, history, judge).await?;
    if observer(cloud, judge, Moment::Settled).is_break() {
        return Ok(None);
    }
    settle::promises::prove(cloud, history, judge).await?;
    operator::prove(cloud, history, judge).await?;
    judge.look(cloud, history, true)?;
    Ok(Some(settled))
}
