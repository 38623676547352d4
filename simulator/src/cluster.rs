//! A master and nodes on machines of their own, set up with the commands and files of an operator: no lab, no keeper.
//!
//! Each machine starts its program at boot, once, as an init does. A user types at a terminal of the world's first machine. Partitions
//! have addresses that the other machines reach: 10.(64 + N / 256).(N % 256).(P + 1) for partition P of node N, counted from 1.

use crate::world::{Machine, SLAP, World};
use slap_impl::env::{Command, Env, Exit, Output};
use std::{collections::BTreeMap, fmt::Write, net::Ipv4Addr, path::Path};

/// Where the release stands, on the nodes and before the user.
pub const RELEASE: &str = "/srv/helloworld/software.cfg";
/// The configuration file of the master, and of each node.
const CONFIGURATION: &str = "/etc/opt/slapos/slapos.cfg";
/// The port of the master.
const PORT: u16 = 5000;
/// The golden release.
const FILES: [(&str, &str); 6] = [
    ("software.cfg", include_str!("../../golden/profiles/helloworld/software.cfg")),
    ("software.cfg.json", include_str!("../../golden/profiles/helloworld/software.cfg.json")),
    ("instance.cfg.in", include_str!("../../golden/profiles/helloworld/instance.cfg.in")),
    ("instance-hello.cfg.in", include_str!("../../golden/profiles/helloworld/instance-hello.cfg.in")),
    (
        "instance-hello-input-schema.json",
        include_str!("../../golden/profiles/helloworld/instance-hello-input-schema.json"),
    ),
    (
        "instance-hello-output-schema.json",
        include_str!("../../golden/profiles/helloworld/instance-hello-output-schema.json"),
    ),
];

/// A master and nodes.
pub struct Cluster {
    /// The world.
    pub world: World,
    /// The master's machine.
    pub master: Machine,
    /// The nodes' machines, `node-1` to `node-N`, which are COMP-1 to COMP-N.
    pub nodes: Vec<Machine>,
    /// A user at a terminal of the world's first machine.
    pub user: Env,
}

impl Cluster {
    /// Sets up a master and so many nodes with so many partitions each. Nothing runs before [`Cluster::start`].
    ///
    /// # Panics
    /// When there are more than 65,535 nodes or 254 partitions each.
    pub fn new(world: World, nodes: u16, partitions: u8) -> Cluster {
        let master = world.add_machine("master");
        write(&terminal(&master), CONFIGURATION, &master_configuration(&master));
        write(&terminal(&master), "/srv/log/master.log", "");
        master.on_boot(vec![service("/srv/log/master.log", &["proxy", "start", "--cfg", CONFIGURATION])]);
        let nodes = (1..=nodes)
            .map(|number| {
                let node = world.add_machine(&format!("node-{number}"));
                set_up_node(&node, &master, number, partitions);
                node
            })
            .collect();
        let variables = [("HOME", "/root"), ("PATH", "/usr/bin:/bin")];
        let user = world.user("/root", owned(&variables));
        write(&user, "/root/.slapos/slapos-client.cfg", &client_configuration(&master));
        install_release(&user);
        Cluster { world, master, nodes, user }
    }

    /// Starts the master, formats every node, and starts the nodes.
    ///
    /// # Panics
    /// When a node cannot be formatted.
    pub async fn start(&self) {
        self.master.start_services();
        for node in &self.nodes {
            let terminal = terminal(node);
            let words = ["node", "format", "--now", "--cfg", CONFIGURATION];
            // The master may be on its way still: then the operator types it again.
            let mut tries = 0;
            loop {
                let (exit, output) = node.command(&terminal, SLAP, &words).await;
                if exit == Exit::DONE {
                    break;
                }
                tries += 1;
                assert!(tries < 10, "{}: exit {}\n{output}", node.name(), exit.0);
                terminal.sleep(std::time::Duration::from_secs(1)).await;
            }
            node.start_services();
        }
    }

    /// Types a command of the user: `slap` with these words. Gives its exit code and all it printed.
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

    /// Requests an instance of that title on a node, counted from 1, with more words such as `--parameters name=Ada`.
    pub async fn request(&self, title: &str, node: u16, more: &str) -> (Exit, String) {
        self.slap(&format!("request {title} {RELEASE} --node computer_guid=COMP-{node} {more}")).await
    }
}

/// The address of a partition, counted from 0, of a node, counted from 1.
pub fn partition_address(node: u16, partition: u8) -> Ipv4Addr {
    let [high, low] = node.to_be_bytes();
    Ipv4Addr::new(10, 64 + high, low, partition + 1)
}

/// A file of a partition, counted from 0, of any node.
pub fn partition_file(partition: u8, name: &str) -> std::path::PathBuf {
    Path::new("/srv/slapgrid").join(format!("slappart{partition}")).join(name)
}

/// An operator at the machine.
pub fn terminal(machine: &Machine) -> Env {
    machine.user("/root", owned(&[("HOME", "/root"), ("PATH", "/usr/bin:/bin")]))
}

fn owned(variables: &[(&str, &str)]) -> BTreeMap<String, String> {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn write(env: &Env, path: &str, text: &str) {
    let path = Path::new(path);
    let ready = "an operator may write there";
    env.files().create_directory(path.parent().unwrap_or(path), 0o755).expect(ready);
    env.files().replace(path, text.as_bytes(), 0o600).expect(ready);
}

fn install_release(env: &Env) {
    let directory = Path::new(RELEASE).parent().expect("it is a file in a directory");
    for (name, text) in FILES {
        write(env, &directory.join(name).display().to_string(), text);
    }
}

fn service(log: &str, words: &[&str]) -> Command {
    Command {
        variables: owned(&[("HOME", "/root"), ("PATH", "/usr/bin:/bin")]),
        output: Output::Append(log.into()),
        ..Command::new(SLAP).arguments(words.iter().copied())
    }
}

fn set_up_node(node: &Machine, master: &Machine, number: u16, partitions: u8) {
    let terminal = terminal(node);
    let mut definition = format!("[computer]\naddress = {}/255.0.0.0\n", node.address());
    for partition in 0..partitions {
        let address = partition_address(number, partition);
        node.add_address(address.into());
        let _ = write!(
            definition,
            "[partition_{partition}]\npathname = slappart{partition}\nnetwork_interface = eth0\n\
             address = {address}/255.255.255.255\n"
        );
    }
    write(&terminal, "/etc/opt/slapos/definition.cfg", &definition);
    write(&terminal, CONFIGURATION, &node_configuration(master, number, partitions));
    install_release(&terminal);
    write(&terminal, "/srv/log/agent.log", "");
    node.on_boot(vec![service("/srv/log/agent.log", &["node", "run", "--cfg", CONFIGURATION])]);
}

fn master_configuration(master: &Machine) -> String {
    format!(
        "[slapos]\ncomputer_id = COMP-1\n\
         [slapproxy]\nhost = {}\nport = {PORT}\ndatabase_uri = /srv/proxy.db\nserver_names = {}\n",
        master.address(),
        master.name(),
    )
}

fn client_configuration(master: &Machine) -> String {
    format!("[slapos]\nmaster_url = http://{}:{PORT}/\n[slapconsole]\n", master.name())
}

fn node_configuration(master: &Machine, number: u16, partitions: u8) -> String {
    format!(
        "[slapos]\n\
         computer_id = COMP-{number}\n\
         master_url = http://{}:{PORT}\n\
         software_root = /opt/slapgrid\n\
         instance_root = /srv/slapgrid\n\
         root_check = false\n\
         [slapformat]\n\
         computer_xml = /srv/slapos.xml\n\
         partition_amount = {partitions}\n\
         partition_base_name = slappart\n\
         input_definition_file = /etc/opt/slapos/definition.cfg\n\
         interface_name = eth0\n\
         alter_user = false\n\
         alter_network = false\n\
         create_tap = false\n",
        master.name(),
    )
}
