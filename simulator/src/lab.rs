//! A lab in a world: the same `slap lab up` that a user types, with the real keeper, master, agents, supervisors, engines and
//! services as programs of a world in memory.

use crate::world::{SLAP, World};
use slap_impl::env::{Env, Exit};
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

/// Where the lab stands in its world.
pub const DIRECTORY: &str = "/tmp/lab";

/// A lab and the user who works with it.
pub struct Lab {
    /// The world.
    pub world: World,
    /// The user's `Env`.
    pub user: Env,
}

impl Lab {
    /// A world without a lab yet.
    pub fn new(world: World) -> Lab {
        let variables = BTreeMap::from(
            [
                ("HOME", "/root"),
                ("PATH", "/usr/bin:/bin"),
                ("SLAP_LAB", DIRECTORY),
                ("SLAPOS_CLIENT_CONFIGURATION", "/tmp/lab/slapos-client.cfg"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        let user = world.user("/root", variables);
        Lab { world, user }
    }

    /// Types a command: `slap` with these words. Gives its exit code and all it printed.
    pub async fn slap(&self, command: &str) -> (Exit, String) {
        let words: Vec<&str> = command.split_whitespace().collect();
        self.world.trace().event("user", format_args!("slap {command}"));
        let (exit, output) = self.world.command(&self.user, SLAP, &words).await;
        self.world.trace().event("user", format_args!("exit {}", exit.0));
        (exit, output)
    }

    /// Types a command that must succeed, and gives what it printed.
    ///
    /// # Panics
    /// When it does not.
    pub async fn done(&self, command: &str) -> String {
        let (exit, output) = self.slap(command).await;
        assert_eq!(exit, Exit::DONE, "slap {command}\n{output}");
        output
    }

    /// A file of a partition.
    pub fn partition_file(&self, computer: u32, partition: u32, name: &str) -> PathBuf {
        PathBuf::from(format!("{DIRECTORY}/nodes/COMP-{computer}/instance/slappart{partition}/{name}"))
    }
}

/// What a run of a world left.
pub struct Outcome {
    /// How `slap lab up` exited.
    pub exit: Exit,
    /// What it printed.
    pub output: String,
    /// Every event, in order.
    pub lines: Vec<String>,
    /// A short name for all events.
    pub digest: String,
    /// How long it took in the world.
    pub took: Duration,
}

/// Brings a lab of `nodes` nodes up in a world of this seed, and down again.
pub fn up_and_down(seed: u64, nodes: u32) -> Outcome {
    World::run(seed, async move |world| {
        let lab = Lab::new(world);
        let start = lab.user.clock().elapsed();
        let (exit, output) = lab.slap(&format!("lab up --nodes {nodes}")).await;
        let took = lab.user.clock().elapsed() - start;
        lab.slap("lab status --output json").await;
        lab.slap("lab down").await;
        let trace = lab.world.trace();
        Outcome { exit, output, lines: trace.lines(), digest: trace.digest(), took }
    })
}
