//! How each node is formatted: its settings and its definition file, and what operators make of them while it runs.
//!
//! A node never gives up a partition by itself (docs/node.md, 2): an operator who wants fewer removes what it has noted of them. At the
//! master the free ones are gone then, and those with an instance stay until that is destroyed.

use super::{
    cloud::{Cloud, INSTANCE_ROOT, SETTINGS, SOFTWARE_ROOT, name, partition_address},
    operator,
    script::{Change, Pass, Place, Program, Typo},
};
use crate::world::{Tier, pause, spawn};
use slap_impl::env::Env;
use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt::Write,
    io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};

const DEFINITION: &str = "/etc/opt/slapos/definition.cfg";
/// Where a node notes how it is formatted.
const COMPUTER_XML: &str = "/etc/opt/slapos/slapos.xml";
/// Where nodes get their addresses that have no definition file.
const NETWORK: &str = "127.64.0.0/16";
/// How often an operator tries to write what cannot be written now.
const RETRY: Duration = Duration::from_secs(10);
/// Bytes of a partition's `.slapos-resource`.
const RESOURCE_BYTES_MAX: u64 = 64 << 10;

/// How a node shall be formatted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Format {
    partitions: u32,
    typo: Option<Typo>,
}

/// How the nodes of a cloud shall be formatted, of those for which anybody ever changed it.
#[derive(Default)]
pub(super) struct Formats(RefCell<BTreeMap<u32, Standing>>);

#[derive(Clone, Copy)]
struct Standing {
    now: Format,
    /// Counts the changes.
    number: u64,
    /// The most partitions that it ever had.
    most: u32,
    /// The most partitions that may be noted on its disk.
    noted: u32,
    /// Its disk may have lost partitions that are not among those that it shall have, and have instances all the same.
    has_lost: bool,
}

impl Cloud {
    /// How many partitions every node has at first.
    fn first_partitions(&self) -> u32 {
        self.knobs.all_partitions()
    }

    fn format(&self, node: u32) -> Standing {
        let partitions = self.first_partitions();
        let first = Standing {
            now: Format { partitions, typo: None },
            number: 0,
            most: partitions,
            noted: partitions,
            has_lost: self.knobs.tier() == Tier::Crash,
        };
        self.formats.0.borrow().get(&node).copied().unwrap_or(first)
    }

    /// How many partitions a node shall have.
    pub(super) fn partitions(&self, node: u32) -> u32 {
        self.format(node).now.partitions
    }

    /// How many partitions a node ever had.
    pub(super) fn partitions_ever(&self, node: u32) -> u32 {
        self.format(node).most
    }

    /// A node's disk is, or may be, empty.
    pub(super) fn has_lost_partitions(&self, node: u32) {
        self.may_have_lost_data(node);
        if let Some(standing) = self.formats.0.borrow_mut().get_mut(&node) {
            standing.has_lost = true;
        }
    }

    /// What instances keep on a node's disk may be gone.
    pub(super) fn may_have_lost_data(&self, node: u32) {
        *self.losses.borrow_mut().entry(node).or_insert(0) += 1;
    }

    fn is_from_network(&self, node: u32) -> bool {
        node <= self.knobs.formats.network_nodes
    }

    /// The address of a node's partition, as it was formatted last.
    pub(super) fn address(&self, node: u32, partition: u32) -> Option<Ipv4Addr> {
        if !self.is_from_network(node) {
            return Some(partition_address(partition));
        }
        let machine = self.machine(Place::Node(node));
        let env = machine.user("/", BTreeMap::new());
        let path = Path::new(INSTANCE_ROOT).join(format!(".slap/slappart{partition}.slapos-resource"));
        let text = env.files().read_text(&path, RESOURCE_BYTES_MAX);
        machine.kill(env.context().identity);
        let resource: serde_json::Value = serde_json::from_str(&text.ok()?).ok()?;
        resource["address_list"][0]["addr"].as_str()?.parse().ok()
    }

    /// A node's settings and what belongs to them.
    pub(super) fn node_files(&self, node: u32) -> Vec<(PathBuf, String)> {
        let format = self.format(node).now;
        let mut files = vec![(PathBuf::from(SETTINGS), self.node_settings(node, format))];
        if self.is_defined(node, format) {
            files.push((DEFINITION.into(), definition(format)));
        }
        files
    }

    /// Whether a definition file is named.
    fn is_defined(&self, node: u32, format: Format) -> bool {
        match format.typo {
            Some(Typo::Network) => false,
            Some(Typo::Section | Typo::Address | Typo::Name | Typo::Syntax) => true,
            _ => !self.is_from_network(node),
        }
    }

    fn node_settings(&self, node: u32, format: Format) -> String {
        let wait = if self.knobs.agents_wait { 50 } else { 0 };
        // The least that there is, so that what writes much needs little time for it.
        let logs = if self.knobs.places.shout_seconds > 0 { "log_bytes_max = 4096\n" } else { "" };
        let amount = match format.typo {
            Some(Typo::Amount) => "many".to_owned(),
            Some(Typo::Fewer) => format.partitions.saturating_sub(1).to_string(),
            _ => format.partitions.to_string(),
        };
        let note = match format.typo {
            Some(Typo::Note) => String::new(),
            _ => format!("computer_xml = {COMPUTER_XML}\n"),
        };
        let source = match format.typo {
            _ if self.is_defined(node, format) => format!("input_definition_file = {DEFINITION}\n"),
            Some(Typo::Network) if self.is_from_network(node) => {
                "ipv4_local_network = 127.64.0.0\n".to_owned()
            }
            Some(Typo::Network) => String::new(),
            _ => format!(
                "ipv4_local_network = {NETWORK}\noutput_definition_file = /etc/opt/slapos/written.cfg\n"
            ),
        };
        format!(
            "[slapos]\ncomputer_id = COMP-{node}\nmaster_url = {}\nsoftware_root = {SOFTWARE_ROOT}\n\
             instance_root = {INSTANCE_ROOT}\nroot_check = false\n\
             [slapformat]\n{note}partition_amount = {amount}\n\
             partition_base_name = slappart\n{source}\
             interface_name = lo\nalter_user = false\nalter_network = false\ncreate_tap = false\n\
             [slap]\npoll_seconds = 60\nwait_seconds = {wait}\n{logs}",
            self.master_of(node),
        )
    }

    /// Notes how a node shall be formatted; the number of that change, and whether what its disk has noted must go.
    fn set_format(&self, node: u32, now: Format) -> (u64, bool) {
        let before = self.format(node);
        let forgets = now.partitions < before.noted || before.now.typo == Some(Typo::Garbage);
        let standing = Standing {
            now,
            number: before.number + 1,
            most: before.most.max(now.partitions),
            noted: if forgets { now.partitions } else { before.noted.max(now.partitions) },
            has_lost: before.has_lost,
        };
        self.formats.0.borrow_mut().insert(node, standing);
        (standing.number, forgets)
    }
}

impl Format {
    fn with(self, change: Change) -> Format {
        match change {
            Change::Partitions(partitions) => Format { partitions, typo: None },
            Change::Typo(typo) => Format { typo: Some(typo), ..self },
        }
    }

    /// What `slap node format` may end with.
    fn codes(self) -> &'static [u8] {
        match self.typo {
            // What the node has noted may be gone, or be written anew.
            None | Some(Typo::Fewer | Typo::Garbage) => &[0, 1, 2],
            Some(Typo::Section | Typo::Address | Typo::Name) if self.partitions == 0 => &[0, 1, 2],
            Some(_) => &[1],
        }
    }
}

fn definition(format: Format) -> String {
    let last = format.partitions.saturating_sub(1);
    let mut text = String::new();
    if format.typo == Some(Typo::Syntax) {
        text.push_str("a computer with partitions\n");
    }
    text.push_str("[computer]\naddress = 127.0.0.1/255.0.0.0\n");
    for number in 0..format.partitions {
        let (mut name, mut netmask) = (format!("slappart{number}"), "/255.255.255.255");
        match format.typo {
            Some(Typo::Section) if number == last => continue,
            Some(Typo::Address) if number == last => netmask = "",
            Some(Typo::Name) if number == last => {
                name = if last == 0 { "../slappart0".to_owned() } else { "slappart0".to_owned() };
            }
            _ => {}
        }
        let _ = write!(
            text,
            "[partition_{number}]\npathname = {name}\nnetwork_interface = lo\naddress = {}{netmask}\n",
            partition_address(number)
        );
    }
    text
}

/// An operator changes a node's format, and takes that back when the time is over.
pub(super) fn change(cloud: &Rc<Cloud>, node: u32, change: Change, restarts: bool, milliseconds: u64) {
    if !cloud.machine(Place::Node(node)).is_on() {
        return;
    }
    let format = cloud.format(node).now.with(change);
    let (number, forgets) = cloud.set_format(node, format);
    cloud.world.trace().event(name(Place::Node(node)), format_args!("its operator makes it {format:?}"));
    let written = write(cloud, node, forgets);
    let cloud = cloud.clone();
    spawn(async move {
        if written.is_ok() {
            format_now(&cloud, node, number, restarts).await;
            pause(Duration::from_millis(milliseconds)).await;
        }
        take_back(&cloud, node, number, restarts).await;
    });
}

/// The first format again, as soon as it can be written. Whoever changed it since takes that back.
async fn take_back(cloud: &Rc<Cloud>, node: u32, mut number: u64, restarts: bool) {
    let first = Format { partitions: cloud.first_partitions(), typo: None };
    let mut forgets = false;
    while cloud.format(node).number == number {
        if cloud.machine(Place::Node(node)).is_on() {
            let forgets_more;
            (number, forgets_more) = cloud.set_format(node, first);
            forgets |= forgets_more;
            if write(cloud, node, forgets).is_ok() {
                return format_now(cloud, node, number, restarts).await;
            }
        }
        pause(RETRY).await;
    }
}

/// Writes what a node's format is made of.
fn write(cloud: &Cloud, node: u32, forgets: bool) -> io::Result<()> {
    let machine = cloud.machine(Place::Node(node));
    let env = machine.user("/", BTreeMap::new());
    let written = write_as(&env, cloud, node, forgets);
    machine.kill(env.context().identity);
    written
}

fn write_as(env: &Env, cloud: &Cloud, node: u32, forgets: bool) -> io::Result<()> {
    let (files, note) = (env.files(), Path::new(COMPUTER_XML));
    if cloud.format(node).now.typo == Some(Typo::Garbage) {
        files.replace(note, b"<marshal><dict", 0o644)?;
    } else if forgets && files.exists(note) {
        files.remove_file(note)?;
        files.sync(note.parent().unwrap_or(note))?;
    }
    cloud.node_files(node).iter().try_for_each(|(path, text)| files.replace(path, text.as_bytes(), 0o644))
}

/// Runs `slap node format`, which must end as it should.
async fn format_now(cloud: &Rc<Cloud>, node: u32, number: u64, restarts: bool) {
    let machine = cloud.machine(Place::Node(node));
    if !machine.is_on() {
        return;
    }
    if restarts && let Some((_, agent)) = cloud.process(Program::Agent(node)) {
        machine.kill(agent);
    }
    let format = cloud.format(node).now;
    let (exit, output) = operator::run(cloud, node, Pass::Format).await;
    let is_judged = cloud.format(node).number == number && !operator::KILLED.contains(&exit.0);
    if is_judged && !format.codes().contains(&exit.0) {
        let what = format!("with {format:?} slap node format --now ended with {}: {output}", exit.0);
        cloud.world.trace().alarm(operator::RULE, format_args!("COMP-{node}"), what);
    }
}

/// Every node for which somebody changed it gets a good format again.
pub(super) fn heal(cloud: &Rc<Cloud>) {
    let changed: Vec<u32> = cloud.formats.0.borrow().keys().copied().collect();
    for node in changed {
        let machine = cloud.machine(Place::Node(node));
        // Whoever formats still, does it as it was.
        let passes = machine.processes().into_iter().filter(|(_, words)| words.contains(" node "));
        passes.for_each(|(identity, _)| machine.kill(identity));
        let standing = cloud.format(node);
        let partitions = if standing.has_lost { standing.most } else { cloud.first_partitions() };
        cloud.set_format(node, Format { partitions, typo: None });
        let shown = format_args!("its format is whole again, with {partitions} partitions");
        cloud.world.trace().event(name(Place::Node(node)), shown);
        if let Err(error) = write(cloud, node, true) {
            cloud.world.trace().event(name(Place::Node(node)), format_args!("its operator: {error}"));
        }
        machine.sync();
    }
}
