//! The real master on a disk that fails: many crashes, each followed by a recovery that is judged.
//!
//! * this file: the life of one database: recovery, judgement, clients that write, and the next crash
//! * `clients.rs`: what clients ask, and what they were told; `book.rs`: all that was told, and what a reader saw
//! * `judge.rs`: what a recovered database must hold
//!
//! A crash is drawn from the seed: at the nth write or sync of the disk, before, within or after it, or at a moment between two steps; of
//! the process or of the whole machine; also while the master recovers from the one before. Full disks, failing devices and busy
//! locks are planned beside it. The same seed gives the same outcomes, digest included.

mod book;
mod clients;
mod judge;

use crate::world::{
    Random, Tier, World,
    disk::{Failure, Fault, Moment, Operation, Strike},
};
use book::Book;
use clients::Client;
use sha2::{Digest, Sha256};
use slap_impl::{
    env::{Either, Env, LocalFuture, join_all, race},
    master::{Configuration, Master},
};
use std::{cell::RefCell, collections::BTreeMap, fmt, path::Path, path::PathBuf, rc::Rc, time::Duration};
use tokio::sync::oneshot;

/// The database of the master, in the world.
const DATABASE: &str = "/root/master.sqlite";
/// So many crashes meet the whole journal and both files of the database; the others its end.
const THOROUGH: u32 = 50;
/// How long clients may wait in the world. A commit takes milliseconds there.
const PATIENCE: Duration = Duration::from_secs(600);

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Decides everything.
    pub seed: u64,
    /// Crashes, each followed by a recovery. Those that happen within a recovery come on top.
    pub cycles: u32,
    /// Clients that write at the same time.
    pub clients: u32,
    /// Whether there are failures that nobody dies of: a full disk, a failing device, busy locks.
    pub has_failures: bool,
    /// A planted fault: the disk says of what it did not write that it is durable.
    pub disk_lies: bool,
}

/// What was done, and what was wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// How often the machine lost power.
    pub power_losses: u32,
    /// How often the master alone was killed.
    pub kills: u32,
    /// How many of these struck within an operation of the disk, while clients wrote.
    pub within_operations: u32,
    /// How many struck within an operation of a recovery.
    pub within_recoveries: u32,
    /// Changes that clients were told of.
    pub acknowledged: u64,
    /// Refusals because of the disk.
    pub refused: u64,
    /// Entries of the journal at the end.
    pub entries: i64,
    /// What was broken, by rule and in words.
    pub violations: Vec<String>,
    /// A short name for all that happened on the disk.
    pub digest: String,
}

/// One world, from its first master to its last crash.
struct Life {
    world: World,
    plan: Plan,
    random: Random,
    book: Rc<RefCell<Book>>,
    outcomes: Outcomes,
    digest: Sha256,
}

/// Does what the plan says. Ends early when something was broken that makes the rest meaningless.
pub fn run(plan: &Plan) -> Outcomes {
    let plan = *plan;
    World::run_in(Tier::Crash, plan.seed, async move |world| {
        let random = Random::new(plan.seed).child("crashes");
        let (book, outcomes, digest) =
            (Rc::new(RefCell::new(Book::default())), Outcomes::default(), Sha256::new());
        let mut life = Life { world, plan, random, book, outcomes, digest };
        for cycle in 0..=plan.cycles {
            if !life.cycle(cycle).await {
                break;
            }
        }
        life.end()
    })
}

impl Life {
    /// Recovers, judges, and goes on to the next crash. False when there is nothing to go on with.
    async fn cycle(&mut self, cycle: u32) -> bool {
        if self.random.below(4) == 0 {
            self.crash_in_recovery().await;
        }
        self.world.disk().heal();
        let env = self.process();
        let master = match Master::open(&env, configuration()).await {
            Ok(master) => master,
            Err(error) => {
                self.outcomes.violations.push(format!("no recovery: cycle {cycle}: {error}"));
                return false;
            }
        };
        let is_thorough = cycle.is_multiple_of(THOROUGH) || cycle == self.plan.cycles;
        let found = judge::judge(&master, &mut self.book.borrow_mut(), is_thorough);
        self.outcomes.violations.extend(found.into_iter().map(|what| format!("{what} (cycle {cycle})")));
        if !self.outcomes.violations.is_empty() || cycle == self.plan.cycles {
            return false;
        }
        self.plan_strike(120, 12);
        self.plan_failures();
        if self.plan.disk_lies {
            self.world.disk().lie();
        }
        let done = self.start_clients(&env, &master);
        drop(master);
        match env.timeout(PATIENCE, race(self.world.struck(), done)).await {
            Ok(Either::First(strike)) => {
                self.outcomes.within_operations += 1;
                self.count(strike);
            }
            Ok(Either::Second(true)) => self.crash(&env),
            Ok(Either::Second(false)) => {
                self.outcomes.violations.push(format!("a client broke off: cycle {cycle}, see above"));
            }
            Err(_) => {
                self.outcomes.violations.push(format!("no answer: cycle {cycle}: a client waits for ever"))
            }
        }
        self.note_disk();
        self.outcomes.violations.is_empty()
    }

    /// A process that is killed when the test has done with it.
    fn process(&self) -> Env {
        self.world.user("/root", BTreeMap::new())
    }

    /// Lets the master crash while it recovers.
    async fn crash_in_recovery(&mut self) {
        self.world.disk().heal();
        let env = self.process();
        self.plan_strike(12, 3);
        let (sender, opened) = oneshot::channel();
        env.spawn({
            let env = env.clone();
            async move {
                let _ = sender.send(Master::open(&env, configuration()).await.is_ok());
            }
        });
        match race(self.world.struck(), opened).await {
            Either::First(strike) => {
                self.outcomes.within_recoveries += 1;
                self.count(strike);
            }
            Either::Second(_) => self.crash(&env),
        }
    }

    /// Plans a crash at one of the next writes or syncs.
    fn plan_strike(&self, writes: u64, syncs: u64) {
        let random = &self.random;
        let moment = [Moment::Before, Moment::Within, Moment::After][random.below(3) as usize];
        let is_kill = random.below(3) == 0;
        let failure = if is_kill { Failure::Killed(moment) } else { Failure::PowerLoss(moment) };
        let (operation, spared) = match random.below(2) {
            0 => (Operation::Write, random.below(writes)),
            _ => (Operation::Sync, random.below(syncs)),
        };
        self.world.disk().plan(Fault { operation, spared, times: 1, failure });
    }

    /// Plans failures that nobody dies of.
    fn plan_failures(&self) {
        let random = &self.random;
        if !self.plan.has_failures || random.below(3) > 0 {
            return;
        }
        let (operation, failure) = match random.below(5) {
            0 => (Operation::Write, Failure::Full),
            1 => (Operation::Write, Failure::Broken),
            2 => (Operation::Sync, Failure::Broken),
            3 => (Operation::Read, Failure::Broken),
            _ => (Operation::Lock, Failure::Busy),
        };
        let fault = Fault { operation, spared: random.below(40), times: 1 + random.below(30), failure };
        self.world.disk().plan(fault);
    }

    /// Starts the clients in the master's process: who is killed with it gets no answer. Ends when all were answered, or one broke off.
    fn start_clients(&self, env: &Env, master: &Rc<Master>) -> impl Future<Output = bool> + use<> {
        let mut waiting: Vec<LocalFuture<'static, bool>> = Vec::new();
        for number in 0..self.plan.clients {
            let client = Client::new(number, master.clone(), self.book.clone(), &self.random);
            let (sender, receiver) = oneshot::channel();
            env.spawn(async move {
                client.live().await;
                let _ = sender.send(());
            });
            waiting.push(Box::pin(async move { receiver.await.is_ok() }));
        }
        async move { join_all(waiting).await.into_iter().all(|is_done| is_done) }
    }

    /// Crashes between two steps.
    fn crash(&mut self, env: &Env) {
        if self.random.below(3) == 0 {
            self.world.kill(env.context().identity);
            self.outcomes.kills += 1;
        } else {
            self.world.cut_power();
            self.outcomes.power_losses += 1;
        }
    }

    fn count(&mut self, strike: Strike) {
        match strike {
            Strike::Process(_) => self.outcomes.kills += 1,
            Strike::Machine => self.outcomes.power_losses += 1,
        }
    }

    /// Puts into the digest what the disk did so far.
    fn note_disk(&mut self) {
        for operation in [Operation::Read, Operation::Write, Operation::Sync, Operation::Lock] {
            self.digest.update(self.world.disk().count(operation).to_le_bytes());
        }
    }

    fn end(mut self) -> Outcomes {
        self.world.cut_power();
        let env = self.process();
        for suffix in ["", "-wal"] {
            let content = env.files().read(Path::new(&format!("{DATABASE}{suffix}")), 1 << 30);
            self.digest.update(content.unwrap_or_default());
        }
        self.digest.update(self.world.trace().digest());
        let mut book = self.book.borrow_mut();
        self.outcomes.violations.append(&mut book.unexpected);
        self.outcomes.acknowledged = book.acknowledged;
        self.outcomes.refused = book.refused;
        self.outcomes.entries = book.last_sequence();
        self.outcomes.digest =
            self.digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        self.outcomes
    }
}

fn configuration() -> Configuration {
    Configuration { database: PathBuf::from(DATABASE), ..Configuration::default() }
}

impl fmt::Display for Outcomes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} losses of power and {} kills, {} within an operation of the disk, {} within a recovery; {} changes acknowledged, \
             {} refused, {} entries in the journal; digest {}",
            self.power_losses,
            self.kills,
            self.within_operations,
            self.within_recoveries,
            self.acknowledged,
            self.refused,
            self.entries,
            self.digest
        )
    }
}
