//! Recipes that ask and tell a master: each case of `master/` is run by both engines against one real master, `slap proxy`,
//! and what each publishes is compared, too.
//!
//! The section [slap-connection] is appended to each profile of such a case.

use crate::{
    case::{Action, Case},
    differences::Table,
    engines::play,
    observe::{Finding, Kind},
    profiles::{cases, judge},
    properties::{harmless, hold, literal},
    python::Python,
};
use proptest::prelude::*;
use slap_impl::{
    client::{InstanceRequest, SlapClient},
    env::real,
    wire::configuration::{FormattedAddress, FormattedComputer, FormattedPartition},
};
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

const COMPUTER: &str = "COMP-1";
const RELEASE: &str = "http://example.com/software.cfg";

/// A master with an instance of each software type.
struct Master {
    child: Child,
    url: String,
    _directory: tempfile::TempDir,
}

impl Master {
    fn start() -> Master {
        let directory = tempfile::TempDir::with_prefix("recipes-master-").unwrap();
        let cfg = directory.path().join("slapos.cfg");
        let text = format!(
            "[slapos]\ncomputer_id = {COMPUTER}\n[slapproxy]\nhost = 127.0.0.1\nport = 0\ndatabase_uri = {}\n",
            directory.path().join("proxy.db").display()
        );
        std::fs::write(&cfg, text).unwrap();
        let mut child = Command::new(assert_cmd::cargo::cargo_bin!("slap"))
            .args(["proxy", "start", "--cfg"])
            .arg(&cfg)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let url = lines.find_map(|line| line.strip_prefix("listening on ").map(str::to_owned)).unwrap();
        // What it says later is read and dropped, so that it is never held up.
        std::thread::spawn(move || lines.for_each(drop));
        let master = Master { child, url, _directory: directory };
        master.fill();
        master
    }

    fn ask<T>(&self, question: impl AsyncFnOnce(SlapClient) -> T) -> T {
        let url = self.url.clone();
        real::block_on_env(
            real::env(),
            |env| async move { question(SlapClient::new(env, &url).unwrap()).await },
        )
    }

    fn fill(&self) {
        let partition = |number: u32| FormattedPartition {
            partition_id: format!("slappart{number}").parse().unwrap(),
            addresses: ["10.0.0.1", "10.0.0.10", "fd00::1", "fd00::a"]
                .map(|address| FormattedAddress {
                    address: address.to_owned(),
                    netmask: "255.255.255.255".to_owned(),
                })
                .to_vec(),
            interface: Some(format!("tap{number}")),
            details: BTreeMap::default().into_iter().collect(),
        };
        let computer = FormattedComputer {
            computer_id: COMPUTER.parse().unwrap(),
            address: Some("127.0.0.1".to_owned()),
            netmask: Some("255.0.0.0".to_owned()),
            // The last ones are for whom the first request.
            partitions: (0..5).map(partition).collect(),
            details: BTreeMap::default().into_iter().collect(),
        };
        self.ask(async |client| {
            client.load_computer_configuration(&computer).await.unwrap();
            for software_type in ["default", "RootSoftwareInstance", "other"] {
                let wish = InstanceRequest {
                    software_release: RELEASE.parse().unwrap(),
                    software_type: software_type.to_owned(),
                    title: format!("instance {software_type}").parse().unwrap(),
                    parameters: [("name", "Ada \"é\""), ("odd=one", "x"), ("typed", "1"), ("empty", "")]
                        .map(|(key, value)| (key.to_owned(), value.to_owned()))
                        .into(),
                    filter: BTreeMap::from([("computer_guid".to_owned(), COMPUTER.to_owned())]),
                    state: None,
                    shared: false,
                };
                client.request(&wish).await.unwrap();
            }
        });
    }

    /// What was published for a partition, which is then forgotten.
    fn take_published(&self, partition: &str) -> String {
        self.ask(async |client| {
            let (computer, partition) = (COMPUTER.parse().unwrap(), partition.parse().unwrap());
            let found = client.register_partition(&computer, &partition).await.unwrap();
            client.set_connection(&computer, &partition, &BTreeMap::new(), None).await.unwrap();
            format!("{:?}", found.instance.unwrap().connection)
        })
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The partition that a case is about: its name ends in the partition's number.
fn partition(case: &Case) -> String {
    let number: String = case.name.chars().filter(char::is_ascii_digit).collect();
    format!("slappart{number}")
}

/// Compares what the engines publish for a partition, and counts how often it is something.
fn publishing<'m>(
    master: &'m Master,
    partition: &'m str,
    published: &'m mut usize,
) -> impl FnMut(usize, &mut Vec<Finding>) + 'm {
    let mut ours = String::new();
    move |engine, findings| {
        let told = master.take_published(partition);
        if engine == 0 {
            ours = told;
            return;
        }
        *published += usize::from(told.len() > 2);
        if ours != told {
            findings.push(Finding::new(Kind::Published, "", ours.clone(), told));
        }
    }
}

fn connected(mut case: Case, master: &Master) -> Case {
    let section = format!(
        "\n[slap-connection]\ncomputer-id = {COMPUTER}\npartition-id = {}\nserver-url = {}\n\
         software-release-url = {RELEASE}\nkey-file =\ncert-file =\n",
        partition(&case),
        master.url.trim_end_matches('/')
    );
    for action in &mut case.actions {
        if let Action::Write { path, text, .. } = action
            && path == "buildout.cfg"
        {
            text.push_str(&section);
        }
    }
    case
}

#[test]
fn both_engines_ask_and_tell_a_master_the_same() {
    let Some(mut python) = Python::start() else { return };
    let master = Master::start();
    let (mut table, mut problems, mut published) = (Table::of("master"), String::new(), 0);
    for case in cases("master").into_values() {
        let case = connected(case, &master);
        let partition = partition(&case);
        master.take_published(&partition);
        let played = play(&case, &mut python, &mut publishing(&master, &partition, &mut published));
        assert!(played.successes > 0, "{}: {:?}", case.name, played.told);
        problems.push_str(&judge(&case, &played, &mut table));
    }
    assert!(problems.is_empty(), "\n{problems}");
    assert!(published > 0 || std::env::var("SLAP_CASE").is_ok(), "nothing was published");
    table.assert_all_seen();
}

/// A section that publishes: typed and plain options, each under a name that is only its own, and names that are listed. One of
/// them is not there.
fn published_section(name: &'static str) -> impl Strategy<Value = String> {
    let value = prop_oneof![
        literal().prop_map(|literal| format!("!py!{literal}")),
        harmless(0..6),
        (harmless(0..3), harmless(0..3)).prop_map(|(first, second)| format!("\n  x{first}\n  y{second}")),
    ];
    let options = proptest::collection::vec(("(|-|_|__)[a-f]{1,2}", value), 0..5);
    let listed = proptest::option::weighted(0.3, proptest::collection::vec("[a-f]", 0..3));
    (options, listed).prop_map(move |(options, listed)| {
        let mut lines: Vec<String> = Vec::new();
        for (number, (option, value)) in options.iter().enumerate() {
            lines.push(format!("{option}-{name}{number} = {value}\n"));
        }
        let visible = options.iter().enumerate().filter(|(_, (option, _))| !option.starts_with('-'));
        let names: Vec<String> =
            visible.map(|(number, (option, _))| format!("{option}-{name}{number}")).collect();
        if let Some(listed) = listed {
            // A name that is there, for each letter; without any, one that is not.
            let chosen = listed.iter().enumerate().map(|(place, letter)| match names.len() {
                0 => letter.clone(),
                count => names[place % count].clone(),
            });
            lines.push(format!("-publish = {}\n", chosen.collect::<Vec<_>>().join(" ")));
        }
        lines.concat()
    })
}

#[test]
fn published_parameters() {
    let Some(mut python) = Python::start() else { return };
    let master = Master::start();
    let mut published = 0;
    let extends =
        || proptest::sample::select(&["", "", "-extends = b\n", "-extends = b c\n", "-extends = c\n"][..]);
    let sections = (published_section("a"), published_section("b"), published_section("c"));
    let strategy = (sections, (extends(), extends()));
    let case = |input: &((String, String, String), (&str, &str))| {
        let ((a, b, c), (first, second)) = input;
        let profile = format!(
            "[buildout]\nparts = a\n[a]\nrecipe = slapos.cookbook:publish\n{first}{a}[b]\nrecipe =\n{second}{b}[c]\nrecipe =\n{c}"
        );
        connected(Case::generated("publish-any-0", true, 2, &[("buildout.cfg", profile)]), &master)
    };
    hold("publish", 60, strategy, case, &mut python, &mut publishing(&master, "slappart0", &mut published));
    assert!(published > 20, "only {published} runs published anything");
}
