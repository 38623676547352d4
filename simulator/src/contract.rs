//! What any `Env` must do. The same checks run on the world in memory and on the real system: a fake that differs
//! from the thing it stands for proves nothing.
//!
//! Each check panics with what was expected. `scratch` is an empty directory of its own.

#![allow(clippy::unwrap_used, reason = "a check panics with what was expected")]

mod files;
mod network;
mod processes;
mod store;

use slap_impl::env::{Either, Env, race};
use std::{path::Path, time::Duration};

/// All checks, in order, each in a directory of its own below `scratch`.
pub async fn all(env: &Env, scratch: &Path) {
    clock(env).await;
    entropy(env);
    tasks(env).await;
    for (name, check) in files::CHECKS {
        let directory = scratch.join(name);
        env.files().create_directory(&directory, 0o700).expect("scratch is writable");
        check(env, &directory);
    }
    network::all(env, scratch).await;
    processes::all(env, scratch).await;
    store::all(env, scratch).await;
}

async fn clock(env: &Env) {
    let (before, before_wall) = (env.clock().elapsed(), env.clock().now());
    env.sleep(Duration::from_millis(20)).await;
    assert!(env.clock().elapsed() - before >= Duration::from_millis(20), "sleep is not shorter than asked");
    assert!(env.clock().now() > before_wall, "the wall clock goes on");
    let slow = env.timeout(Duration::from_millis(5), env.sleep(Duration::from_secs(60))).await;
    assert!(slow.is_err(), "a time-out ends what is slow");
    assert_eq!(
        env.timeout(Duration::from_secs(60), async { 7 }).await,
        Ok(7),
        "and leaves alone what is quick"
    );
    let Either::First(1) = race(async { 1 }, async { 2 }).await else {
        panic!("of two that are ready the first wins");
    };
}

fn entropy(env: &Env) {
    assert_ne!(env.random_bytes(16), env.random_bytes(16), "two draws differ");
    assert_eq!(env.random_bytes(5).len(), 5);
    for bound in [1, 2, 10, u64::MAX] {
        assert!(env.random_below(bound) < bound);
    }
}

async fn tasks(env: &Env) {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    env.spawn(async move {
        let _ = sender.send(5);
    });
    assert_eq!(receiver.await, Ok(5), "a task runs beside the others");
}
