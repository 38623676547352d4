//! The contract of `env`, on worlds in memory of both tiers and on the real system.
#![allow(clippy::disallowed_methods, reason = "a test makes its own directory")]

use simulator::{
    contract,
    world::{Tier, World},
};
use slap_impl::env::real;
use std::{collections::BTreeMap, path::Path};

#[test]
fn worlds_in_memory_keep_the_contract() {
    for tier in [Tier::Fast, Tier::Crash] {
        World::run_in(tier, 1, async |world| {
            let env = world.user("/root", BTreeMap::new());
            let scratch = Path::new("/tmp/contract");
            env.files().create_directory(scratch, 0o700).unwrap();
            contract::all(&env, scratch).await;
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
