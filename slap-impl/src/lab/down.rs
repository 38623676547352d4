//! `slap lab down`: no process of the lab is left, whatever state it was in.
//!
//! First the orderly way: agents, then the nodes' supervisors with their services, then master and keeper. Then whatever still
//! carries the lab's mark in its environment is asked to end, and killed if it does not.

use super::{
    keeper,
    layout::{Description, Layout, MARK},
    locate,
    progress::Progress,
};
use crate::{
    env::{Env, Exit, Identity, Signal, join_all},
    node::supervisor::SupervisorClient,
};
use std::time::Duration;

/// How long the orderly way may take.
const ORDERLY_TIME_MAX: Duration = Duration::from_secs(30);
/// How long what is left may take to end before it is killed.
const GRACE: Duration = Duration::from_secs(2);
/// How long what was killed may take to be gone.
const KILL_TIME_MAX: Duration = Duration::from_secs(10);

/// Takes a lab down; with `purge` its directory goes too.
pub(super) async fn take_down(env: &Env, layout: &Layout, purge: bool, quiet: bool) -> Exit {
    let mut progress = Progress::new(env, quiet);
    if !env.files().exists(&layout.root) {
        env.tell(format_args!("{} does not exist: nothing to do", layout.root.display()));
        locate::forget(env, &layout.root);
        return Exit::DONE;
    }
    let marked = || !env.processes().marked(MARK, &layout.root.to_string_lossy()).is_empty();
    let names = env.files().list(&layout.root).unwrap_or_default();
    if matches!(layout.read(env), Ok(None)) && !marked() && !locate::is_half_made(&names) {
        let message = format!("{} is no lab\nhint: name a lab's directory with --dir", layout.root.display());
        return super::fail(env, Exit::USAGE, &message);
    }
    let _lock = match super::take_lock(env, layout) {
        Ok(Some(lock)) => lock,
        Ok(None) => return super::fail(env, Exit::FAILED, &super::busy(layout)),
        Err(message) => return super::fail(env, Exit::FAILED, &message),
    };
    // Only now nobody else writes it.
    let described = layout.read(env);
    if let Ok(Some(description)) = &described {
        super::up::resume(env, layout, description);
        let orderly = orderly(env, layout, description);
        if env.timeout(ORDERLY_TIME_MAX, orderly).await.is_err() {
            progress.note("the orderly way took too long");
        }
        progress.done("Stopped the lab's programs and services");
    }
    let left = end_marked(env, layout).await;
    if !left.is_empty() {
        let pids: Vec<String> = left.iter().map(|identity| identity.pid.to_string()).collect();
        let message = format!("these processes cannot be ended: {}", pids.join(", "));
        return super::fail(env, Exit::FAILED, &message);
    }
    progress.done("No process is left");
    if purge {
        // The description goes first: what is half removed is no lab, and nobody starts one in it while the lock is held.
        let removed = env
            .files()
            .remove_any(&layout.description())
            .and_then(|()| env.files().remove_tree(&layout.root));
        if let Err(error) = removed {
            let message = format!("{}: {error}", layout.root.display());
            return super::fail(env, Exit::FAILED, &message);
        }
        locate::forget(env, &layout.root);
        progress.done(format_args!("Removed {}", layout.root.display()));
    }
    Exit::DONE
}

/// Stops everything through those who keep it, as far as they answer.
async fn orderly(env: &Env, layout: &Layout, description: &Description) {
    let keeper = keeper::client(env, layout);
    // Agents first, so that nobody starts what is stopped. A keeper that is gone leaves it to the marks.
    let _ = keeper.stop("agents").await;
    let stops = description.computers().into_iter().map(|computer| {
        let client = SupervisorClient::new(env.clone(), &layout.supervisor(&computer));
        let stop: crate::env::LocalFuture<'_, ()> = Box::pin(async move {
            let _ = client.shutdown(true).await;
        });
        stop
    });
    // The keeper must not start again what ends now.
    let _ = keeper.stop("master").await;
    join_all(stops.collect()).await;
    let _ = keeper.shutdown(true).await;
}

/// Ends what carries the lab's mark, and gives what could not be ended.
async fn end_marked(env: &Env, layout: &Layout) -> Vec<Identity> {
    let mark = layout.root.to_string_lossy().into_owned();
    let left = || env.processes().marked(MARK, &mark);
    for (signal, patience) in [(Signal::Terminate, GRACE), (Signal::Kill, KILL_TIME_MAX)] {
        let deadline = env.clock().elapsed() + patience;
        while env.clock().elapsed() < deadline {
            let identities = left();
            if identities.is_empty() {
                return identities;
            }
            for identity in identities {
                // Who stands still cannot end: let it go on. Who is gone meanwhile is no error.
                let _ = env.processes().signal(identity, signal);
                let _ = env.processes().signal(identity, Signal::Continue);
            }
            env.sleep(Duration::from_millis(20)).await;
        }
    }
    left()
}
