//! Promises of a cloud in which nothing goes wrong: each has a good result, none is left of one that is gone, and what begins to fail
//! is told.

use super::{Finding, first_line, settle, trees};
use crate::{
    swarm::{
        act,
        cloud::{Cloud, INSTANCE_ROOT},
        history::History,
        judge::Judge,
        knobs::Plugin,
        script::{Place, Role},
        users::{self, computer},
    },
    world::pause,
};
use slap_impl::{
    client::{Poll, SlapClient},
    vocabulary::{PartitionId, RequestedState},
};
use std::{collections::BTreeSet, path::Path, rc::Rc, time::Duration};

/// The rule that a promise breaks which fails and nobody is told.
pub(in crate::swarm) const RULE: &str = "failing-promise-is-told";
/// The plugin with a command runs each minute: its failure is told within twice that, and what an agent needs beside it.
const TOLD_WITHIN: Duration = Duration::from_mins(4);
/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Bytes of a promise's result.
const RESULT_BYTES_MAX: u64 = 64 << 10;

/// What a started partition's promises still wait for.
pub(super) fn wait(cloud: &Cloud, node: u32, partition: &str) -> Option<String> {
    // Results are looked at where there are plugins: executables are judged by what is reported.
    if cloud.knobs.plugins.is_empty() {
        return None;
    }
    let machine = cloud.machine(Place::Node(node));
    let env = machine.user("/", Default::default());
    let directory = Path::new(INSTANCE_ROOT).join(partition);
    let list = |path: &str| env.files().list(&directory.join(path)).unwrap_or_default();
    let plugins = list("etc/plugin").into_iter().map(|name| name.trim_end_matches(".py").to_owned());
    let promises: BTreeSet<String> = plugins.chain(list("etc/promise")).collect();
    let results = list(".slapgrid/promise/result");
    let titles: BTreeSet<String> =
        results.iter().map(|name| name.trim_end_matches(".status.json").to_owned()).collect();
    let failed = results.iter().find(|name| {
        let path = directory.join(".slapgrid/promise/result").join(name);
        let text = env.files().read_text(&path, RESULT_BYTES_MAX).unwrap_or_default();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        json["result"]["failed"] != false
    });
    let what = match failed {
        _ if promises != titles => Some(format!("has promises {promises:?} and results of {titles:?}")),
        Some(name) => Some(format!("is reported well, and {name} says that a promise failed")),
        None => None,
    };
    machine.kill(env.context().identity);
    what
}

/// Lets a promise fail in a cloud where all is well: the master must be told. Then it passes again, and all must be well again.
pub(in crate::swarm) async fn prove(
    cloud: &Rc<Cloud>,
    history: &History,
    judge: &Judge,
) -> Result<(), Finding> {
    if !cloud.knobs.plugins.contains(&Plugin::Command) {
        return Ok(());
    }
    let operator = cloud.machine(Place::Users).user("/root", Default::default());
    let client = users::client(cloud, &operator);
    let Some((node, id)) = started(cloud, &client).await else { return Ok(()) };
    let number = id.as_str().trim_start_matches("slappart").parse().unwrap_or_default();
    let clock = operator.clock();
    let start = clock.elapsed();
    act::behave(cloud, node, number, Role::CheckCommand, "check 0 0 fail", TOLD_WITHIN.as_millis() as u64);
    let mut told = String::new();
    loop {
        if let Ok(status) = client.partition_status(&computer(node), &id).await {
            told = first_line(&status.text).to_owned();
            if told.starts_with("#error") {
                break;
            }
        }
        if clock.elapsed() - start > TOLD_WITHIN {
            let within = TOLD_WITHIN.as_secs();
            return Err(Finding {
                rule: RULE.to_owned(),
                object: format!("COMP-{node}/{id}"),
                what: format!("worker-succeeds fails for {within} s, and it is reported: {told}"),
                at: clock.elapsed(),
                more: Vec::new(),
            });
        }
        pause(LOOK_EVERY).await;
    }
    act::behave(cloud, node, number, Role::CheckCommand, "check 0 0 pass", TOLD_WITHIN.as_millis() as u64);
    pause(TOLD_WITHIN).await;
    settle(cloud, history, judge).await.map(drop)
}

/// The first instance that runs on a machine whose promises nobody else reports.
async fn started(cloud: &Cloud, client: &SlapClient) -> Option<(u32, PartitionId)> {
    let overview = trees::overview(cloud, client, cloud.nodes()).await;
    for node in cloud.nodes().filter(|node| !cloud.twins().contains_key(node)) {
        if let Ok(Poll::Changed { computer, .. }) =
            client.full_computer_information(&computer(node), None, None).await
        {
            let mut partitions = computer.partitions.into_iter();
            let found = partitions.find(|partition| {
                partition.instance.is_some()
                    && partition.requested_state == RequestedState::Started
                    && !overview.waits_for_room(node, &partition.partition_id)
            });
            if let Some(found) = found {
                return Some((node, found.partition_id));
            }
        }
    }
    None
}
