//! The script: what is done in each world, and what is looked at afterwards. The same list is played in all of them.

use super::{seen::Seen, world::World};

/// A step.
pub(super) struct Step {
    /// Its name in the table.
    pub(super) name: &'static str,
    /// Parts of the comparison that play it.
    pub(super) parts: &'static str,
    who: Who,
    words: &'static [&'static str],
    looks: &'static [Look],
}

/// Who acts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    /// The real command line.
    Client,
    /// The node, once.
    Node,
    /// The node, again while a promise fails: a service may not listen yet.
    Patient,
    /// The real client library.
    Library,
}

/// What is looked at after a step.
#[derive(Clone, Copy)]
enum Look {
    /// A directory of the world.
    Files(&'static str),
    /// What the master answers there.
    Wire(&'static str),
}

const COMPUTER: Look = Look::Wire("getFullComputerInformation?computer_id=COMP-1");
const INSTANCES: Look = Look::Files("inst");
const RELEASES: Look = Look::Files("soft");
const TREES: Look = Look::Wire(
    "hateoas/?mode=search&query=portal_type:%22Instance%20Tree%22%20AND%20validation_state:validated",
);
const HELLO: Look = Look::Wire("hateoas/partitions/hello");

impl Step {
    /// Whether the node itself says something.
    pub(super) fn is_node(&self) -> bool {
        matches!(self.who, Who::Node | Who::Patient)
    }
}

const fn step(
    parts: &'static str,
    name: &'static str,
    who: Who,
    words: &'static [&'static str],
    looks: &'static [Look],
) -> Step {
    Step { name, parts, who, words, looks }
}

const REQUEST: &[&str] = &["request", "hello", "{hello}", "--parameters", "name=Ada & <Grace>", "port=8123"];

/// `{hello}` and `{tree}` stand for the releases' profiles, `[slap]` for a connection of the library.
pub(super) const STEPS: [Step; 49] = [
    step("abn", "format", Who::Node, &["format", "--now"], &[INSTANCES, COMPUTER]),
    step("abn", "supply", Who::Client, &["supply", "{hello}", "COMP-1"], &[COMPUTER]),
    step("ab", "software", Who::Node, &["software"], &[RELEASES]),
    step("ab", "software again", Who::Node, &["software"], &[RELEASES]),
    step("abn", "request", Who::Client, REQUEST, &[COMPUTER, TREES, HELLO]),
    step("ab", "instance", Who::Patient, &["instance"], &[INSTANCES, COMPUTER, HELLO]),
    step(
        "ab",
        "promises",
        Who::Patient,
        &["promise"],
        &[Look::Files("inst/slappart0/.slapgrid/promise/result")],
    ),
    step("abn", "publish", Who::Client, REQUEST, &[]),
    step("abn", "service info", Who::Client, &["service", "info", "hello"], &[]),
    step("abn", "service list", Who::Client, &["service", "list"], &[TREES]),
    step("abn", "computer list", Who::Client, &["computer", "list"], &[]),
    step("abn", "computer info", Who::Client, &["computer", "info", "COMP-1"], &[]),
    step(
        "abn",
        "other parameters",
        Who::Client,
        &["request", "hello", "{hello}", "--parameters", "name=Grace", "port=8123"],
        &[COMPUTER],
    ),
    step("ab", "other: instance", Who::Patient, &["instance"], &[INSTANCES, COMPUTER]),
    step(
        "abn",
        "stop",
        Who::Client,
        &["request", "hello", "{hello}", "--state", "stopped", "--parameters", "name=Grace", "port=8123"],
        &[COMPUTER, HELLO],
    ),
    step("ab", "stop: instance", Who::Patient, &["instance"], &[INSTANCES, COMPUTER]),
    step(
        "abn",
        "start",
        Who::Client,
        &["request", "hello", "{hello}", "--state", "started", "--parameters", "name=Grace", "port=8123"],
        &[COMPUTER],
    ),
    step("ab", "start: instance", Who::Patient, &["instance"], &[INSTANCES, COMPUTER]),
    step(
        "abn",
        "destroy",
        Who::Client,
        &["request", "hello", "{hello}", "--state", "destroyed"],
        &[COMPUTER],
    ),
    step("ab", "destroy: instance", Who::Patient, &["instance"], &[COMPUTER]),
    step("ab", "report: free", Who::Node, &["report"], &[INSTANCES, COMPUTER, TREES]),
    step("ab", "free: service list", Who::Client, &["service", "list"], &[]),
    step("abn", "remove", Who::Client, &["remove", "{hello}", "COMP-1"], &[COMPUTER]),
    step("ab", "remove: software", Who::Node, &["software"], &[RELEASES, COMPUTER]),
    step("a", "supply a tree", Who::Client, &["supply", "{tree}", "COMP-1"], &[COMPUTER]),
    step("a", "tree: software", Who::Node, &["software"], &[RELEASES]),
    step(
        "a",
        "request a tree",
        Who::Client,
        &["request", "oak", "{tree}", "--parameters", "word=hi", "node=COMP-1"],
        &[COMPUTER],
    ),
    step("a", "child: instance", Who::Patient, &["instance"], &[COMPUTER]),
    step("a", "child: instance again", Who::Patient, &["instance"], &[INSTANCES, COMPUTER]),
    step("a", "child: service list", Who::Client, &["service", "list"], &[TREES]),
    step("a", "child: service info", Who::Client, &["service", "info", "oak"], &[]),
    step(
        "a",
        "shared instance",
        Who::Client,
        &["request", "ivy", "{tree}", "--slave", "--parameters", "height=3"],
        &[COMPUTER],
    ),
    step("a", "shared: instance", Who::Patient, &["instance"], &[INSTANCES, COMPUTER]),
    step("a", "shared: service info", Who::Client, &["service", "info", "ivy"], &[TREES]),
    step(
        "a",
        "shared: publish",
        Who::Library,
        &[
            "[slap].registerComputerPartition('COMP-1', 'slappart0').setConnectionDict({'leaf': 'green'}, '_ivy')",
        ],
        &[COMPUTER],
    ),
    step("a", "shared: service info", Who::Client, &["service", "info", "ivy"], &[]),
    step(
        "a",
        "rename",
        Who::Library,
        &["[slap].registerComputerPartition('COMP-1', 'slappart0').rename('elm')"],
        &[COMPUTER, TREES],
    ),
    step("a", "rename: service info", Who::Client, &["service", "info", "elm"], &[]),
    step("a", "unknown service", Who::Client, &["service", "info", "oak"], &[]),
    step("a", "bang", Who::Node, &["bang", "-m", "wake up"], &[COMPUTER]),
    step(
        "a",
        "shared: destroy",
        Who::Client,
        &["request", "ivy", "{tree}", "--slave", "--state", "destroyed"],
        &[TREES],
    ),
    step("a", "destroy a tree", Who::Client, &["request", "elm", "{tree}", "--state", "destroyed"], &[]),
    step("a", "tree: destroy: instance", Who::Patient, &["instance"], &[]),
    step("a", "tree: report", Who::Node, &["report"], &[]),
    step("a", "tree: report again", Who::Node, &["report"], &[]),
    step("a", "tree: last instance", Who::Patient, &["instance"], &[]),
    step("a", "tree: last report", Who::Node, &["report"], &[INSTANCES, COMPUTER, TREES]),
    step("a", "tree: remove", Who::Client, &["remove", "{tree}", "COMP-1"], &[COMPUTER]),
    step("a", "tree: remove: software", Who::Node, &["software"], &[RELEASES, COMPUTER]),
];

/// How often a node is run while its promises fail.
pub(super) const PATIENCE: usize = 8;
/// What a node ends with when a promise failed (slapos/grid/slapgrid.py, `SLAPGRID_PROMISE_FAIL`).
pub(super) const PROMISE_FAILED: &str = "2";

/// Plays a step in a world.
///
/// # Errors
/// When a program cannot be started, or a file not be read.
pub(super) async fn play(world: &World, step: &Step) -> Result<Seen, String> {
    let releases = world.tools.scratch.join("releases");
    let place = |word: &&str| {
        let profile = |name: &str| releases.join(name).join("software.cfg").display().to_string();
        word.replace("{hello}", &profile("helloworld")).replace("{tree}", &profile("tree"))
    };
    let words: Vec<String> = step.words.iter().map(place).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut ran = act(world, step.who, &words).await?;
    let mut runs = 1;
    for _ in 1..PATIENCE {
        if step.who != Who::Patient || ran.outcome != PROMISE_FAILED {
            break;
        }
        ran = act(world, step.who, &words).await?;
        runs += 1;
    }
    let mut seen = Seen { outcome: ran.outcome, runs, ..Seen::default() };
    seen.texts.insert("standard output".to_owned(), ran.output);
    let mut lines: Vec<&str> = ran.errors.split_inclusive('\n').collect();
    if step.is_node() {
        // Promises run beside each other, and tell of themselves in any order.
        lines.sort_unstable();
    }
    seen.texts.insert("standard error".to_owned(), lines.concat());
    for look in step.looks {
        match look {
            Look::Files(directory) => world.look(&mut seen, directory)?,
            Look::Wire(path) => {
                let answer = world.get(path).await?;
                seen.texts.insert((*path).to_owned(), answer);
            }
        }
    }
    Ok(seen)
}

async fn act(world: &World, who: Who, words: &[&str]) -> Result<super::world::Ran, String> {
    match who {
        Who::Client => world.client(words).await,
        Who::Node | Who::Patient => world.node(words).await,
        Who::Library => {
            let connect = format!(
                "import slapos.slap\ns = slapos.slap.slap()\ns.initializeConnection({:?})\n",
                world.url
            );
            world.python(&format!("{connect}{}\n", words[0].replace("[slap]", "s"))).await
        }
    }
}
