//! A lab in a world: the same `slap lab up` that a user types, with the real keeper, master, agents, supervisors, engines and
//! services as programs of a world in memory.

use crate::world::{SLAP, World};
use slap_impl::env::{Env, Exit};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

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

    /// The profile of the release that the lab came with.
    pub fn release(&self) -> String {
        let releases = Path::new(DIRECTORY).join("releases");
        let names = self.user.files().list(&releases).unwrap_or_default();
        let name = names.first().map_or("", String::as_str);
        releases.join(name).join("software.cfg").display().to_string()
    }

    /// What a user does, and what goes wrong; gives the worst exit code.
    async fn work(&self) -> Exit {
        let (title, service) = (self.title(1).await, self.service(1));
        let request = format!("request {title} {} --node computer_guid=COMP-1", self.release());
        let commands = [
            "lab status --output json",
            &format!("{request} --parameters name=Ada"),
            &format!("wait {title} --for green"),
            &format!("lab kill COMP-1/slappart0/{service}"),
            "lab wait",
            "lab kill agent/COMP-1",
            "lab kill supervisor/COMP-1",
            "lab kill master",
            "lab kill keeper",
            "lab up",
            &format!("{request} --state destroyed"),
            &format!("wait {title} --for destroyed"),
            "service list",
        ];
        let mut worst = Exit::DONE;
        for command in commands {
            worst = worst.max(self.slap(command).await.0);
        }
        worst
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

    /// The title of the instance in a node's first partition, as the lab shows it.
    ///
    /// # Panics
    /// When there is none.
    pub async fn title(&self, computer: u32) -> String {
        let status = self.done("lab status --output json").await;
        let status: serde_json::Value = serde_json::from_str(&status).expect("it is JSON");
        let id = format!("COMP-{computer}");
        let nodes = status["nodes"].as_array().expect("a lab has nodes");
        let node = nodes.iter().find(|node| node["computer"] == id.as_str()).expect("it is one of them");
        node["partitions"][0]["instance"]["title"].as_str().expect("it has an instance").to_owned()
    }

    /// The name of the first watched service in a node's first partition.
    ///
    /// # Panics
    /// When there is none.
    pub fn service(&self, computer: u32) -> String {
        let directory = self.partition_file(computer, 0, "etc/service");
        self.user.files().list(&directory).expect("it has services")[0].clone()
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
    /// How long `up` took in the world.
    pub took: Duration,
}

/// A lab's whole life in a world of this seed: up with `nodes` nodes, another parameter, kills, a destroyed instance, down.
pub fn life(seed: u64, nodes: u32) -> Outcome {
    World::run(seed, async move |world| {
        let lab = Lab::new(world);
        let start = lab.user.clock().elapsed();
        let (exit, output) = lab.slap(&format!("lab up --nodes {nodes}")).await;
        let took = lab.user.clock().elapsed() - start;
        let worked = if exit == Exit::DONE { lab.work().await } else { exit };
        lab.slap("lab down").await;
        let trace = lab.world.trace();
        Outcome { exit: exit.max(worked), output, lines: trace.lines(), digest: trace.digest(), took }
    })
}
