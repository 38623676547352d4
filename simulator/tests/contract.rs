//! The contract of `env`, on worlds in memory of both tiers and on the real system.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test makes its own directory, and starts itself"
)]

use simulator::{
    contract,
    world::{Tier, World},
};
use slap_impl::env::real;
use std::{
    collections::BTreeMap, os::unix::process::ExitStatusExt, path::Path, process::Command, time::Duration,
};

#[test]
fn worlds_in_memory_keep_the_contract() {
    for tier in [Tier::Fast, Tier::Crash] {
        World::run_in(tier, 1, async |world| {
            let env = world.user("/root", BTreeMap::new());
            let scratch = Path::new("/tmp/contract");
            env.files().create_directory(scratch, 0o700).unwrap();
            contract::all(&env, scratch).await;
            // What a write of the contract's does on purpose.
            let panics = world.take_panics();
            assert!(panics.iter().all(|panic| panic.contains("contract/store.rs")), "{panics:?}");
        });
    }
}

#[test]
fn the_real_system_keeps_the_contract() {
    let directory = tempfile::tempdir().unwrap();
    let scratch = directory.path().canonicalize().unwrap();
    let env = real::env_with_executable(Path::new(env!("CARGO_BIN_EXE_simulator")));
    real::block_on_env(env, |env| async move { contract::all(&env, &scratch).await });
}

/// A task that panicked may hold what others wait for: its process ends by SIGABRT, here and there, and in a world that is an alarm.
#[test]
fn a_panic_of_a_task_is_the_end_of_its_process() {
    const HERE: &str = "SLAP_PANICS_HERE";
    if std::env::var(HERE).is_ok() {
        let env = real::env_with_executable(Path::new(env!("CARGO_BIN_EXE_simulator")));
        return real::block_on_env(env, |env| async move {
            env.spawn(async { panic!("it was to be so") });
            env.sleep(Duration::from_secs(30)).await;
        });
    }
    let this = std::env::current_exe().unwrap();
    let name = "a_panic_of_a_task_is_the_end_of_its_process";
    let output = Command::new(this).args(["--exact", name, "--nocapture"]).env(HERE, "1").output().unwrap();
    assert_eq!(output.status.signal(), Some(6), "{output:?}");
    World::run(1, async |world| {
        let env = world.user("/", BTreeMap::new());
        env.spawn(async { panic!("it was to be so") });
        env.sleep(Duration::from_secs(1)).await;
        assert_eq!(world.processes(), []);
        assert!(
            world.trace().lines().iter().any(|line| line.contains("signal 6")),
            "{:?}",
            world.trace().lines()
        );
        let alarms = world.trace().alarms();
        let told: Vec<_> = alarms.iter().map(|it| (it.rule, it.object.as_str(), it.what.as_str())).collect();
        assert_eq!(told, [("panic", "process 100", "user: it was to be so")]);
        let panics = world.take_panics();
        assert!(panics.len() == 1 && panics[0].contains("contract.rs"), "{panics:?}");
    });
}
