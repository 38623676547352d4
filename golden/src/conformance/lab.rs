//! Part (c): both kinds of node under our master, in one lab. The same release and instance are made on each, and compared; then trees
//! whose roots are on the real node, one with its leaf there, too, and one with its leaf on ours.

use super::{
    deviations::forgive,
    seen::{Names, Seen},
    steps::{PATIENCE, PROMISE_FAILED},
    table::Row,
    world::{PARTITIONS, Ran, Side, Tools, World},
};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// The computer of the real node.
const REAL: &str = "COMP-9";
/// The computer of our node: the lab's own.
const OURS: &str = "COMP-1";
const NAMES: [&str; 4] = ["one release on both", "one instance on both", "tree over both", "both free"];

/// All rows.
pub(super) async fn rows(tools: &Tools, shown: &mut BTreeSet<&'static str>) -> Vec<Row> {
    let mut rows = Vec::new();
    let directory = tools.scratch.join("lab");
    let result = match begin(tools, &directory).await {
        Ok(lab) => lab.play(&mut rows, shown).await,
        Err(error) => Err(error),
    };
    if let Err(reason) = result {
        for name in NAMES.iter().skip(rows.len()) {
            rows.push(Row::failed("c", name, &reason));
        }
    }
    rows
}

struct Lab {
    world: World,
    directory: PathBuf,
}

/// Makes a lab of one node, and the directory of a real one beside it.
async fn begin(tools: &Tools, directory: &Path) -> Result<Lab, String> {
    // Any world can start it: it has no master yet.
    let starter = World::make(tools, "help", 8, (Side::Ours, Side::Real))?;
    let shown = directory.display().to_string();
    let partitions = PARTITIONS.to_string();
    let up =
        ["lab", "up", "--empty", "--quiet", "--nodes", "1", "--partitions", &partitions, "--dir", &shown];
    expect(&starter.slap(&up).await?, "slap lab up")?;
    let settings = directory.join("slapos-client.cfg");
    let settings = tools.env.files().read_text(&settings, 1 << 16).map_err(|error| error.to_string())?;
    let url = settings.lines().find_map(|line| line.strip_prefix("master_url = "));
    let url = url.ok_or("the lab's client settings have no master_url")?;
    let world = World::at(tools, "rnod", 9, (Side::Ours, Side::Real), REAL, url)?;
    Ok(Lab { world, directory: directory.to_owned() })
}

fn expect(ran: &Ran, what: &str) -> Result<(), String> {
    if ran.outcome == "0" {
        return Ok(());
    }
    Err(format!("{what} ended with {}: {}{}", ran.outcome, ran.output, ran.errors))
}

impl Lab {
    async fn play(&self, rows: &mut Vec<Row>, shown: &mut BTreeSet<&'static str>) -> Result<(), String> {
        let mut row = |name: &'static str, mut real: Seen, mut ours: Seen| {
            shown.extend(forgive("c", name, &mut real, &mut ours));
            rows.push(Row::compare("c", name, &real, &ours));
        };
        let releases = self.world.tools.scratch.join("releases");
        let profile = |name: &str| releases.join(name).join("software.cfg").display().to_string();
        let (hello, oak) = (profile("helloworld"), profile("tree"));
        self.node(&["format", "--now"]).await?;
        for computer in [REAL, OURS] {
            self.client(&["supply", &hello, computer]).await?;
            self.client(&["supply", &oak, computer]).await?;
        }
        self.node(&["software"]).await?;
        for (title, computer) in [("left", REAL), ("right", OURS)] {
            let place = format!("computer_guid={computer}");
            let parameters = ["--parameters", "name=Ada", "port=8123"];
            self.client(&[&["request", title, &hello, "--node", &place], &parameters[..]].concat()).await?;
        }
        self.node(&["instance"]).await?;
        self.wait("right", "green").await?;
        let (real, ours) = self.look("soft").await?;
        row(NAMES[0], real, ours);
        let (mut real, mut ours) = self.look("inst").await?;
        for (title, seen) in [("left", &mut real), ("right", &mut ours)] {
            let told = self.client(&["service", "info", title]).await?;
            seen.texts.insert("service info".to_owned(), self.names(Side::Ours).replace(&told.output));
        }
        row(NAMES[1], real, ours);
        for (title, computer) in [("oak", REAL), ("elm", OURS)] {
            let place = format!("node={computer}");
            let request =
                ["request", title, &oak, "--node", "computer_guid=COMP-9", "--parameters", "word=hi"];
            self.client(&[&request[..], &[&place]].concat()).await?;
            self.node(&["instance"]).await?;
        }
        self.node(&["instance"]).await?;
        self.leaf().await?;
        self.node(&["instance"]).await?;
        let mut told = Vec::new();
        for title in ["oak", "elm"] {
            let ran = self.client(&["service", "info", title]).await?;
            let mut seen = Seen { outcome: ran.outcome, ..Seen::default() };
            seen.texts.insert("service info".to_owned(), self.names(Side::Ours).replace(&ran.output));
            if !ran.output.contains("\"leaf-says\": \"hi\"") {
                return Err(format!("the leaf of {title} was not heard: {}", ran.output));
            }
            told.push(seen);
        }
        let ours = told.pop().unwrap_or_default();
        row(NAMES[2], told.pop().unwrap_or_default(), ours);
        for (title, release) in [("left", &hello), ("right", &hello), ("oak", &oak), ("elm", &oak)] {
            self.client(&["request", title, release, "--state", "destroyed"]).await?;
        }
        for _ in 0..3 {
            self.node(&["instance"]).await?;
            self.node(&["report"]).await?;
        }
        for title in ["left", "right", "oak", "elm"] {
            self.wait(title, "destroyed").await?;
        }
        let (real, ours) = self.look("inst").await?;
        row(NAMES[3], real, ours);
        Ok(())
    }

    async fn client(&self, words: &[&str]) -> Result<Ran, String> {
        let ran = self.world.client(words).await?;
        expect(&ran, &format!("slapos {}", words.join(" "))).map(|()| ran)
    }

    async fn node(&self, words: &[&str]) -> Result<(), String> {
        let mut ran = self.world.node(words).await?;
        for _ in 1..PATIENCE {
            if ran.outcome == PROMISE_FAILED {
                ran = self.world.node(words).await?;
            }
        }
        expect(&ran, &format!("slapos node {}", words.join(" ")))
    }

    async fn wait(&self, title: &str, state: &str) -> Result<(), String> {
        let words = ["wait", title, "--for", state, "--timeout", "120s"];
        expect(&self.world.slap(&words).await?, &format!("slap {}", words.join(" ")))
    }

    /// Waits until the leaf, which is on our node, has published.
    async fn leaf(&self) -> Result<(), String> {
        for _ in 0..600 {
            let answer = self.world.get(&format!("getFullComputerInformation?computer_id={OURS}")).await?;
            if answer.contains("<string>echo</string>") {
                return Ok(());
            }
            self.world.tools.env.sleep(std::time::Duration::from_millis(200)).await;
        }
        Err("the leaf published nothing within two minutes".to_owned())
    }

    /// What stands for the places of a node.
    fn names(&self, side: Side) -> Names {
        let mut names = Names::default();
        if side == Side::Ours {
            let node = self.directory.join("nodes").join(OURS);
            names.add(node.join("software").display().to_string(), "[WORLD]/soft");
            names.add(node.join("instance").display().to_string(), "[WORLD]/inst");
            for address in self.addresses() {
                names.add(address, "[ADDRESS]");
            }
        }
        names.add(OURS, "[COMPUTER]");
        names.add(REAL, "[COMPUTER]");
        for title in ["right", "left", "oak", "elm"] {
            names.add(title, "[TITLE]");
        }
        names.extend(self.world.names());
        names
    }

    /// The addresses of our node's partitions.
    fn addresses(&self) -> Vec<String> {
        let instances = self.directory.join("nodes").join(OURS).join("instance");
        let files = self.world.tools.env.files();
        let address = |number: usize| {
            let path = instances.join(format!("slappart{number}/.slapos-resource"));
            let resource: serde_json::Value =
                serde_json::from_slice(&files.read(&path, 1 << 20).ok()?).ok()?;
            Some(resource["address_list"][0]["addr"].as_str()?.to_owned())
        };
        (0..PARTITIONS).filter_map(address).collect()
    }

    /// The same directory of both nodes, and what the master tells each.
    async fn look(&self, directory: &str) -> Result<(Seen, Seen), String> {
        let ours = self.directory.join("nodes").join(OURS);
        let ours = ours.join(if directory == "soft" { "software" } else { "instance" });
        let mut both = Vec::new();
        for (side, computer, path) in
            [(Side::Real, REAL, self.world.root.join(directory)), (Side::Ours, OURS, ours)]
        {
            let names = self.names(side);
            let mut seen = Seen { outcome: "0".to_owned(), ..Seen::default() };
            let looked = seen.look(&self.world.tools.env, &path, directory, &names);
            looked.map_err(|error| format!("{}: {error}", path.display()))?;
            let answer =
                self.world.get(&format!("getFullComputerInformation?computer_id={computer}")).await?;
            seen.texts.insert("getFullComputerInformation".to_owned(), names.replace(&answer));
            both.push(seen);
        }
        let ours = both.pop().unwrap_or_default();
        Ok((both.pop().unwrap_or_default(), ours))
    }
}
