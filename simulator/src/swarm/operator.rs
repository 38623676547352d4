//! An operator on a node's machine, who runs passes of `slap node`: beside its agent while everything goes wrong, and once all is well
//! without the agent and without the master, where each must end as docs/node.md, 1, says.

use super::{
    act::behave,
    cloud::{Cloud, SETTINGS},
    history::History,
    judge::Judge,
    report::Finding,
    script::{Pass, Place, Role},
    settle, users,
};
use crate::world::{SLAP, pause, spawn};
use slap_impl::env::{Clock, Exit, LocalFuture, join_all};
use std::{rc::Rc, time::Duration};

/// The rule that a pass breaks which does not end as it should.
pub(super) const RULE: &str = "pass-ends-as-documented";
/// What a program ends with that is killed, or asked to end: 128 and the signal.
pub(super) const KILLED: [u8; 2] = [128 + 9, 128 + 15];
/// How long a promise is made to fail: longer than a pass over all promises takes.
const FAILS: Duration = Duration::from_secs(60);
/// A machine without a running program is left alone so long: what the program was at is over then.
const QUIET: Duration = Duration::from_secs(5);

/// How it is typed.
fn words(pass: Pass) -> &'static [&'static str] {
    match pass {
        Pass::Software => &["software"],
        Pass::SoftwareAll => &["software", "--all"],
        Pass::GarbageCollect => &["software", "--garbage-collect"],
        Pass::Instance => &["instance"],
        Pass::InstanceAll => &["instance", "--all"],
        Pass::ForceStop => &["instance", "--force-stop"],
        Pass::Promise => &["promise"],
        Pass::Report => &["report"],
        Pass::Format => &["format", "--now"],
        Pass::DryRun => &["format", "--now", "--dry-run"],
        Pass::Status => &["status"],
    }
}

/// What it may end with, whatever goes wrong.
fn codes(pass: Pass) -> &'static [u8] {
    match pass {
        Pass::Software | Pass::SoftwareAll | Pass::GarbageCollect | Pass::Report => &[0, 1, 10],
        Pass::Instance | Pass::InstanceAll | Pass::ForceStop => &[0, 1, 2, 3, 10],
        Pass::Promise => &[0, 1, 2, 10],
        Pass::Format => &[0, 1, 2],
        Pass::DryRun | Pass::Status => &[0, 1],
    }
}

/// What it must end with while the master is away, and nothing else is wrong.
fn code_without_master(pass: Pass) -> u8 {
    match pass {
        Pass::Software | Pass::SoftwareAll | Pass::GarbageCollect | Pass::Report | Pass::Promise => 1,
        Pass::Instance | Pass::InstanceAll | Pass::ForceStop => 3,
        Pass::Format => 2,
        Pass::DryRun | Pass::Status => 0,
    }
}

/// Runs a pass to its end.
pub(super) async fn run(cloud: &Cloud, node: u32, pass: Pass) -> (Exit, String) {
    let machine = cloud.machine(Place::Node(node));
    let user = machine.user("/", [("HOME".to_owned(), "/root".to_owned())].into());
    let mut arguments = vec!["node"];
    arguments.extend_from_slice(words(pass));
    arguments.extend(["--cfg", SETTINGS]);
    let (exit, output) = machine.command(&user, SLAP, &arguments).await;
    machine.kill(user.context().identity);
    let shown = format_args!("slap node {} ended with {}", words(pass).join(" "), exit.0);
    cloud.world.trace().event(machine.name(), shown);
    (exit, output)
}

/// Runs a pass beside the agent, whatever goes wrong.
pub(super) fn pass_beside(cloud: &Rc<Cloud>, node: u32, pass: Pass) {
    if !cloud.machine(Place::Node(node)).is_on() {
        return;
    }
    let cloud = cloud.clone();
    spawn(async move {
        let (exit, output) = run(&cloud, node, pass).await;
        if !codes(pass).contains(&exit.0) && !KILLED.contains(&exit.0) {
            let output = one_line(&output);
            let what = format!("slap node {} ended with {}: {output}", words(pass).join(" "), exit.0);
            cloud.world.trace().alarm(RULE, format_args!("COMP-{node}"), what);
        }
    });
}

/// What a program printed, as a finding tells it: its second line says all that was seen.
fn one_line(output: &str) -> String {
    let lines: Vec<&str> = output.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join(" | ")
}

/// One node's operator at work, in a cloud where all is well.
struct Operator<'a> {
    cloud: &'a Rc<Cloud>,
    node: u32,
}

impl Operator<'_> {
    fn finding(&self, what: String) -> Finding {
        Finding {
            rule: RULE.to_owned(),
            object: format!("COMP-{}", self.node),
            what,
            at: self.cloud.machine(Place::Users).clock().elapsed(),
            more: Vec::new(),
        }
    }

    async fn expect(&self, when: &str, pass: Pass, expected: u8) -> Result<(), Finding> {
        let (exit, output) = run(self.cloud, self.node, pass).await;
        if exit.0 == expected {
            return Ok(());
        }
        let words = words(pass).join(" ");
        let what = format!(
            "{when}, slap node {words} ended with {} where it shall with {expected}: {}",
            exit.0,
            one_line(&output)
        );
        Err(self.finding(what))
    }

    /// How many services run in each partition.
    fn services(&self) -> Vec<usize> {
        let partitions = 0..self.cloud.partitions_ever(self.node);
        partitions.map(|number| self.cloud.services(self.node, &format!("slappart{number}")).len()).collect()
    }

    fn expect_services(&self, when: &str, expected: &[usize]) -> Result<(), Finding> {
        let found = self.services();
        if found == expected {
            return Ok(());
        }
        Err(self.finding(format!("{when}, {found:?} services run in its partitions, not {expected:?}")))
    }

    fn kill_services(&self) {
        for number in 0..self.cloud.partitions_ever(self.node) {
            for service in self.cloud.services(self.node, &format!("slappart{number}")) {
                self.cloud.machine(Place::Node(self.node)).kill(service);
            }
        }
    }

    /// With a master and without an agent.
    async fn alone(&self, wanted: &[usize]) -> Result<(), Finding> {
        let when = "without an agent";
        for pass in [
            Pass::Software,
            Pass::GarbageCollect,
            Pass::InstanceAll,
            Pass::Promise,
            Pass::Report,
            Pass::Format,
            Pass::DryRun,
            Pass::Status,
        ] {
            self.expect(when, pass, 0).await?;
        }
        self.expect_services(when, wanted)?;
        // What builds has the lock.
        let both = [Pass::SoftwareAll, Pass::SoftwareAll].map(|pass| {
            let work = async move { run(self.cloud, self.node, pass).await.0 };
            Box::pin(work) as LocalFuture<'_, Exit>
        });
        let mut ends: Vec<u8> = join_all(both.into()).await.into_iter().map(|exit| exit.0).collect();
        ends.sort_unstable();
        if ends != [0, 10] {
            return Err(self.finding(format!("two of slap node software --all ended with {ends:?}")));
        }
        let Some(started) = wanted.iter().position(|services| *services > 0) else { return Ok(()) };
        let partition = started as u32;
        behave(self.cloud, self.node, partition, Role::Check, "check 0 0 fail", FAILS.as_millis() as u64);
        self.expect("while a promise fails", Pass::Promise, 2).await?;
        pause(FAILS).await;
        self.expect("when it is good again", Pass::Promise, 0).await?;
        self.kill_services();
        pause(QUIET).await;
        self.expect("with dead services", Pass::Instance, 0).await?;
        self.expect_services("after slap node instance", wanted)?;
        self.expect(when, Pass::ForceStop, 0).await?;
        self.expect_services("after --force-stop", &vec![0; wanted.len()])?;
        self.expect("after --force-stop", Pass::Instance, 0).await?;
        self.expect_services("after slap node instance", wanted)
    }

    /// Without a master and without an agent: services that ended are started again.
    async fn cut_off(&self, wanted: &[usize]) -> Result<(), Finding> {
        let when = "without a master";
        self.kill_services();
        pause(QUIET).await;
        for pass in [
            Pass::Software,
            Pass::Instance,
            Pass::Promise,
            Pass::Report,
            Pass::Format,
            Pass::DryRun,
            Pass::Status,
        ] {
            self.expect(when, pass, code_without_master(pass)).await?;
        }
        self.expect_services(when, wanted)
    }
}

/// Runs every pass by hand on the first node whose identity nobody else has. All must be well before, and must be again.
pub(super) async fn prove(cloud: &Rc<Cloud>, history: &History, judge: &Judge) -> Result<(), Finding> {
    if cloud.knobs.pass_seconds == 0 {
        return Ok(());
    }
    // Where an instance waits for room, a pass ends otherwise than where all is well.
    let mut overview = settle::trees::Overview::default();
    if cloud.knobs.trees.is_some() {
        let user = cloud.machine(Place::Users).user("/root", Default::default());
        overview = settle::trees::overview(cloud, &users::client(cloud, &user), cloud.nodes()).await;
    }
    let mut nodes = cloud.nodes();
    let node = nodes.find(|node| !cloud.twins().contains_key(node) && !overview.has_waiting(*node));
    let Some(node) = node else { return Ok(()) };
    let operator = Operator { cloud, node };
    let wanted = operator.services();
    cloud.halt(Place::Node(node));
    pause(QUIET).await;
    operator.alone(&wanted).await?;
    cloud.halt(Place::Master);
    pause(QUIET).await;
    operator.cut_off(&wanted).await?;
    cloud.resume(Place::Master);
    cloud.resume(Place::Node(node));
    settle::settle(cloud, history, judge).await.map(drop)
}
