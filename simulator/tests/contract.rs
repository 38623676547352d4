//! The contract of `env`, on the world in memory and on the real system.

use simulator::{contract, world::World};
use std::{collections::BTreeMap, path::Path};

#[test]
fn the_world_in_memory_keeps_the_contract() {
    World::run(1, async |world| {
        let env = world.user("/root", BTreeMap::new());
        let scratch = Path::new("/tmp/contract");
        env.files().create_directory(scratch, 0o700).unwrap();
        contract::all(&env, scratch).await;
    });
}
