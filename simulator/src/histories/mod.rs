//! Many clients against a real master: a process of its own, real sockets, a database on disk. Some answers are lost, because
//! a client cuts its connection or the master is killed; what happened is recorded, and judged when it is over.
//!
//! * [`history`]: operations with their invocations, returns and outcomes
//! * `master`, `line`, `wire`, `client`: the process, connections that can be cut, questions and answers, and who asks
//! * `mixture`: what clients ask, drawn from the seed
//! * [`checks`]: what any history must keep
//! * [`linearizable`]: small histories, against the model
//! * this file: a run of one large history and many small ones
//!
//! The seed decides what clients ask and where they are cut; when things happen is up to the machine. So a failure comes with
//! its history, which is all that the judgement saw.

pub mod checks;
mod client;
pub mod history;
mod line;
pub mod linearizable;
mod master;
mod mixture;
mod wire;

use crate::world::random::Random;
use client::Client;
use history::{Action, Operation, Outcome, Recorder};
use master::Master;
use mixture::{Kind, Mixture, Shape};
use slap_impl::env::{Either, Env, LocalFuture, join_all, race};
use slap_model::names::Computer;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::sync::oneshot;
use wire::Names;

/// How much is done.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What is asked and where it is cut.
    pub seed: u64,
    /// Clients of the large history.
    pub clients: u32,
    /// Operations of the large history.
    pub operations: u64,
    /// How many times the master is killed during the large history.
    pub kills: u64,
    /// Small histories.
    pub rounds: u32,
}

/// What was done, and what was wrong with it.
#[derive(Debug, Default)]
pub struct Outcomes {
    /// Operations of the large history.
    pub operations: usize,
    /// Small histories, and operations in them.
    pub rounds: (u32, usize),
    /// How often what was asked in the large history, and with which kind of outcome.
    pub counts: BTreeMap<(&'static str, &'static str), u64>,
    /// Seconds of the large history, and of the small ones.
    pub seconds: (f64, f64),
    /// What was broken.
    pub violations: Vec<String>,
}

/// Clients of small histories, and operations of each: in turn, those where every order can be tried, and larger ones.
const ROUND_SIZES: [(u32, u32); 2] = [(3, 3), (4, 6)];
/// So many small histories share a master. The first has it for itself; one of ten kills it on the way.
const ROUNDS_OF_A_MASTER: u32 = 20;

const LARGE: Shape = Shape {
    computers: Vec::new(),
    partitions: 12,
    partitions_min: 9,
    roots: 60,
    children: 8,
    shared: 10,
    values: 1 << 22,
    dated: true,
    anywhere: true,
    weights: &[
        (Kind::Request, 26),
        (Kind::Repeat, 12),
        (Kind::Child, 8),
        (Kind::Shared, 6),
        (Kind::Free, 16),
        (Kind::FreeAny, 1),
        (Kind::Start, 3),
        (Kind::Format, 3),
        (Kind::Rename, 3),
        (Kind::Publish, 6),
        (Kind::Read, 6),
        (Kind::Poll, 6),
        (Kind::ReadPartition, 4),
    ],
};

const SMALL: Shape = Shape {
    computers: Vec::new(),
    partitions: 2,
    partitions_min: 1,
    roots: 3,
    children: 2,
    shared: 1,
    values: 16,
    dated: false,
    anywhere: false,
    weights: &[
        (Kind::Request, 32),
        (Kind::Repeat, 10),
        (Kind::Child, 10),
        (Kind::Shared, 6),
        (Kind::Free, 18),
        (Kind::FreeAny, 6),
        (Kind::Format, 10),
        (Kind::Rename, 2),
        (Kind::Publish, 4),
        (Kind::Read, 12),
    ],
};

/// Does what the plan says, in an empty directory.
///
/// # Errors
/// When the master does not start, stays away, ends by itself, or gives an answer that is none.
pub async fn run(env: &Env, directory: &Path, plan: &Plan) -> Result<Outcomes, String> {
    let mut outcomes = Outcomes::default();
    let start = env.clock().elapsed();
    large(env, &below(env, directory, "large")?, plan, &mut outcomes).await?;
    let middle = env.clock().elapsed();
    small(env, directory, plan, &mut outcomes).await?;
    outcomes.seconds = ((middle - start).as_secs_f64(), (env.clock().elapsed() - middle).as_secs_f64());
    Ok(outcomes)
}

fn below(env: &Env, directory: &Path, name: &str) -> Result<PathBuf, String> {
    let path = directory.join(name);
    env.files().create_directory(&path, 0o700).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}

/// One history of many clients, and what is left when all is over.
async fn large(env: &Env, directory: &Path, plan: &Plan, outcomes: &mut Outcomes) -> Result<(), String> {
    let random = Random::new(plan.seed).child("large");
    let mut master = Master::start(env, directory.to_owned()).await?;
    let recorder = Recorder::default();
    let shape = Shape { computers: (0..4).map(Computer).collect(), ..LARGE };
    let new = |number| Client::new(env, number, master.door(), Names::default(), recorder.clone());
    let mut judge = new(plan.clients);
    format_all(&mut judge, &shape).await?;
    let share = plan.operations / u64::from(plan.clients);
    let mut clients: Vec<oneshot::Receiver<Result<(), String>>> = Vec::new();
    for number in 0..plan.clients {
        let random = random.child(&format!("client-{number}"));
        let mixture = Mixture::new(&shape, random.child("mixture"), number);
        let (done, ended) = oneshot::channel();
        let mut client = new(number);
        env.spawn(async move {
            // Nobody listens any more when another client or the master failed.
            let _ = done.send(live(&mut client, mixture, random, share).await);
        });
        clients.push(ended);
    }
    let living = async {
        for client in clients {
            client.await.map_err(|_| "a client is lost".to_owned())??;
        }
        Ok::<(), String>(())
    };
    let killing = kill(&mut master, &recorder, &random, plan);
    match race(living, killing).await {
        Either::First(result) => result?,
        Either::Second(problem) => return Err(problem),
    }
    // After this nothing is on its way any more, and only what is on the disk is there.
    master.kill_and_start().await?;
    recorder.close();
    let settled = recorder.tick();
    for computer in &shape.computers {
        judge.ask(&Action::Read { computer: *computer, tag: None }, None).await?;
    }
    master.end().await?;
    let history = recorder.take();
    outcomes.operations = history.len();
    outcomes.counts = counts(&history);
    outcomes.violations.extend(checks::check(&history, settled).iter().map(ToString::to_string));
    Ok(())
}

/// A client's whole life.
async fn live(client: &mut Client, mut mixture: Mixture, random: Random, count: u64) -> Result<(), String> {
    for _ in 0..count {
        let action = mixture.next();
        let outcome = client.ask(&action, cut(&random, 25)).await?;
        mixture.learn(&action, &outcome);
    }
    Ok(())
}

/// One in so many connections is cut, at a drawn moment after the client began to send.
fn cut(random: &Random, one_in: u64) -> Option<Duration> {
    let is_cut = random.below(one_in) == 0;
    is_cut.then(|| random.duration(Duration::ZERO, Duration::from_millis(12)))
}

/// Kills the master at drawn counts of operations. Ends only when something is wrong.
async fn kill(master: &mut Master, recorder: &Recorder, random: &Random, plan: &Plan) -> String {
    let random = random.child("kills");
    let mut counts: Vec<u64> = (0..plan.kills).map(|_| 1 + random.below(plan.operations.max(1))).collect();
    counts.sort_unstable();
    for count in counts {
        match race(recorder.reached(count), master.broken()).await {
            Either::First(()) => {}
            Either::Second(problem) => return problem,
        }
        if let Err(problem) = master.kill_and_start().await {
            return problem;
        }
        recorder.close();
    }
    master.broken().await
}

async fn format_all(client: &mut Client, shape: &Shape) -> Result<(), String> {
    for computer in &shape.computers {
        let partitions = linearizable::partitions(shape.partitions);
        client.ask(&Action::Format { computer: *computer, partitions }, None).await?;
    }
    Ok(())
}

/// Many histories of a few clients; several on one master, each with computers and titles of its own.
async fn small(env: &Env, directory: &Path, plan: &Plan, outcomes: &mut Outcomes) -> Result<(), String> {
    let random = Random::new(plan.seed).child("small");
    let mut master: Option<Master> = None;
    for round in 0..plan.rounds {
        let is_fresh = round % ROUNDS_OF_A_MASTER == 0;
        let is_killed = round % ROUNDS_OF_A_MASTER % 10 == 1;
        if is_fresh && let Some(mut old) = master.take() {
            old.end().await?;
        }
        let mut running = match master.take() {
            Some(master) => master,
            None => Master::start(env, below(env, directory, &format!("small-{round}"))?).await?,
        };
        // On a master of its own a round may use the default computer, and leave computers open.
        let computers = if is_fresh { vec![Computer(0), Computer(1)] } else { vec![Computer(1)] };
        let shape = Shape { computers, anywhere: is_fresh, ..SMALL };
        let prefix = if is_fresh { String::new() } else { format!("n{round}-") };
        let random = random.child(&format!("round-{round}"));
        let size = ROUND_SIZES[round as usize % ROUND_SIZES.len()];
        let moment = is_killed.then(|| 1 + random.below(u64::from(size.0 * size.1)));
        let history = one_round(env, &mut running, &shape, Names { prefix }, (&random, size), moment).await?;
        outcomes.rounds.0 += 1;
        outcomes.rounds.1 += history.len();
        if let Err(violation) = linearizable::check(&history, &format!("small history {round}")) {
            outcomes.violations.push(violation.to_string());
        }
        outcomes.violations.extend(checks::check(&history, history::OPEN).iter().map(ToString::to_string));
        master = Some(running);
    }
    match master {
        Some(mut master) => master.end().await,
        None => Ok(()),
    }
}

async fn one_round(
    env: &Env,
    master: &mut Master,
    shape: &Shape,
    names: Names,
    (random, (clients, operations)): (&Random, (u32, u32)),
    kill_at: Option<u64>,
) -> Result<Vec<Operation>, String> {
    let recorder = Recorder::default();
    let new = |number| Client::new(env, number, master.door(), names.clone(), recorder.clone());
    format_all(&mut new(clients), shape).await?;
    let mut living: Vec<LocalFuture<'_, Result<(), String>>> = Vec::new();
    for number in 0..clients {
        let mut client = new(number);
        let random = random.child(&format!("client-{number}"));
        let mut mixture = Mixture::new(shape, random.child("mixture"), number);
        living.push(Box::pin(async move {
            for _ in 0..operations {
                let action = mixture.next();
                let outcome = client.ask(&action, cut(&random, 12)).await?;
                mixture.learn(&action, &outcome);
            }
            Ok(())
        }));
    }
    let killing = async {
        if let Some(count) = kill_at {
            recorder.reached(count).await;
            if let Err(problem) = master.kill_and_start().await {
                return problem;
            }
        }
        master.broken().await
    };
    match race(join_all(living), killing).await {
        Either::First(results) => results.into_iter().collect::<Result<(), String>>()?,
        Either::Second(problem) => return Err(problem),
    }
    // The last clients may have been done before the next master was there.
    if master.is_away() {
        master.kill_and_start().await?;
    }
    Ok(recorder.take())
}

fn counts(history: &[Operation]) -> BTreeMap<(&'static str, &'static str), u64> {
    let mut counts = BTreeMap::new();
    for operation in history {
        let action = match &operation.action {
            Action::Request(wish) if wish.shared => "request of a shared instance",
            Action::Request(wish) if wish.by.is_some() => "request by a partition",
            Action::Request(_) => "request",
            Action::Destroyed { .. } => "destroyed",
            Action::Started { .. } => "started",
            Action::Format { .. } => "format",
            Action::Rename { .. } => "rename",
            Action::Publish { .. } => "publish",
            Action::Read { .. } => "read",
            Action::ReadPartition { .. } => "read of a partition",
        };
        let outcome = match operation.outcome {
            Outcome::Answer(_) => "answered",
            Outcome::Refused { .. } => "refused",
            Outcome::Unknown => "unknown",
        };
        *counts.entry((action, outcome)).or_default() += 1;
    }
    counts
}

impl Outcomes {
    /// The names of the promises that were broken.
    pub fn broken(&self) -> BTreeSet<&str> {
        self.violations.iter().filter_map(|violation| violation.split(':').next()).collect()
    }
}

impl fmt::Display for Outcomes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = self.operations as f64 / self.seconds.0.max(1e-9);
        writeln!(
            formatter,
            "large history: {} operations in {:.1} s, {rate:.0} operations/s",
            self.operations, self.seconds.0
        )?;
        for ((action, outcome), count) in &self.counts {
            writeln!(formatter, "  {count:>7} {action}, {outcome}")?;
        }
        let (rounds, operations) = self.rounds;
        write!(formatter, "small histories: {rounds} with {operations} operations in {:.1} s", self.seconds.1)
    }
}
