//! The engine of profiles on a disk that fails: what a run that succeeded has installed outlives the power.

use simulator::world::{
    SLAP, Tier, World,
    disk::{Failure, Fault, Operation},
};
use slap_impl::env::{Env, Exit};
use std::{collections::BTreeMap, path::Path};

const PROFILE: &str = "[buildout]\nparts = page\n[page]\nrecipe = slapos.recipe.template\n\
    url = /root/template\noutput = ${buildout:directory}/page\n";

async fn build(world: &World, env: &Env) -> (Exit, String) {
    world.command(env, SLAP, &["buildout", "-c", "/root/b/buildout.cfg"]).await
}

fn write(env: &Env, path: &str, content: &str) {
    let path = Path::new(path);
    env.files().create_directory(path.parent().expect("it has one"), 0o755).expect("there is room");
    env.files().write(path, content.as_bytes(), 0o644).expect("there is room");
}

/// A page that was updated, with a sync that failed after so many; then the same without a failure, and a loss of power. What is left.
fn left(seed: u64, spared: u64) -> (Exit, String) {
    World::run_in(Tier::Crash, seed, async move |world| {
        let env = world.user("/root/b", BTreeMap::new());
        let new = "new ".repeat(1000);
        write(&env, "/root/b/buildout.cfg", PROFILE);
        write(&env, "/root/template", &"old ".repeat(1000));
        assert_eq!(build(&world, &env).await.0, Exit::DONE, "seed {seed}");
        write(&env, "/root/template", &new);
        let failure = Failure::Broken;
        world.disk().plan(Fault { operation: Operation::Sync, spared, times: 1, failure });
        let (first, told) = build(&world, &env).await;
        world.disk().heal();
        let (second, told_again) = build(&world, &env).await;
        assert_eq!(second, Exit::DONE, "seed {seed}, {spared} spared: {told}{told_again}");
        world.cut_power();
        let env = world.user("/root/b", BTreeMap::new());
        let page = env.files().read_text(Path::new("/root/b/page"), 1 << 20);
        let names = env.files().list(Path::new("/root/b")).expect("it is there").join(" ");
        assert!(!names.contains("unsynced"), "seed {seed}, {spared} spared: {names}");
        let what = match page {
            Ok(page) if page == new => "whole".to_owned(),
            Ok(page) => format!("{} bytes, beginning with {:?}", page.len(), page.get(..8)),
            Err(error) => error.to_string(),
        };
        (first, what)
    })
}

#[test]
fn what_a_sync_that_failed_forgot_is_written_anew() {
    let mut failures = 0;
    for seed in 0..12 {
        for spared in 0..4 {
            let (first, what) = left(seed, spared);
            failures += usize::from(first != Exit::DONE);
            assert_eq!(what, "whole", "seed {seed}, {spared} spared, the first run ended with {first:?}");
        }
    }
    assert!(failures >= 24, "only {failures} runs met the fault");
}
