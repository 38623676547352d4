//! The real master as a process of its own, and what is sent to it.

use super::load::{Client, get, post};
use slap_impl::{
    master::decisions::{Command, FormattedPartition},
    wire::{
        configuration::{FormattedAddress, FormattedComputer},
        marshal::{Dictionary, Value, encode},
    },
};
use std::{
    env,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Stdio},
    rc::Rc,
    time::Instant,
};
use tempfile::TempDir;

/// What all instances here are instances of.
pub(super) const RELEASE: &str = "https://releases.example/software.cfg";

/// A running master on a database in a directory of its own; killed when dropped.
pub(super) struct Master {
    child: Child,
    pub(super) address: SocketAddr,
    pub(super) directory: TempDir,
}

fn slap() -> PathBuf {
    let path = env::var_os("SLAP").map(PathBuf::from).expect("run the benchmarks with `cargo xtask bench`");
    assert!(path.is_file(), "{} does not exist: run the benchmarks with `cargo xtask bench`", path.display());
    path
}

impl Master {
    pub(super) fn start() -> Master {
        Master::start_in(tempfile::tempdir().unwrap())
    }

    pub(super) fn start_in(directory: TempDir) -> Master {
        let cfg = directory.path().join("slapos.cfg");
        std::fs::write(&cfg, "[slapos]\n[slapproxy]\nhost = 127.0.0.1\nport = 0\ndatabase_uri = master.db\n")
            .unwrap();
        let log = directory.path().join("log");
        let mut child = std::process::Command::new(slap())
            .args(["proxy", "start", "--cfg"])
            .arg(&cfg)
            .arg("--log-file")
            .arg(log)
            .current_dir(directory.path())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = loop {
            let line = lines.next().expect("the master did not start").unwrap();
            if let Some((_, url)) = line.split_once("listening on http://") {
                break url.trim_end_matches('/').parse().unwrap();
            }
        };
        // What it says later is read and dropped, so that it is never stopped by a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Master { child, address, directory }
    }

    pub(super) async fn client(&self) -> Client {
        Client::connect(self.address).await
    }

    /// Registers a computer.
    pub(super) async fn format(&self, computer: &str, partitions: u32) {
        let answer = self.client().await.ask(&format(computer, partitions), true).await;
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    }

    /// KiB of its memory that are resident.
    pub(super) fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Kills it, and gives back its directory.
    pub(super) fn kill(self) -> TempDir {
        let this = std::mem::ManuallyDrop::new(self);
        // The directory is moved out of what is never dropped; the process is ended here.
        let mut this = this;
        let _ = this.child.kill();
        let _ = this.child.wait();
        let empty = tempfile::tempdir().unwrap();
        std::mem::replace(&mut this.directory, empty)
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Seconds from a start on what is in `directory` to the first answer.
pub(super) async fn first_answer(directory: TempDir) -> (f64, TempDir) {
    let start = Instant::now();
    let master = Master::start_in(directory);
    let answer = master.client().await.ask(&get("getRunId", ""), false).await;
    let took = start.elapsed().as_secs_f64();
    assert_eq!(answer.status, 200);
    (took, master.kill())
}

fn partitions(computer: &str, count: u32) -> Vec<slap_impl::wire::configuration::FormattedPartition> {
    (0..count)
        .map(|number| slap_impl::wire::configuration::FormattedPartition {
            partition_id: format!("slappart{number}").parse().unwrap(),
            addresses: vec![FormattedAddress {
                address: format!("10.{}.{}.{}", computer.len(), number / 250, number % 250),
                netmask: "255.255.255.255".to_owned(),
            }],
            interface: None,
            details: Dictionary::new(),
        })
        .collect()
}

/// The request that registers a computer.
pub(super) fn format(computer: &str, count: u32) -> Rc<[u8]> {
    let document = encode(
        &FormattedComputer {
            computer_id: computer.parse().unwrap(),
            address: None,
            netmask: None,
            partitions: partitions(computer, count),
            details: Dictionary::new(),
        }
        .to_value(),
    );
    post("loadComputerConfigurationFromXML", &[("xml", &document)])
}

/// The same as a command.
pub(super) fn format_command(computer: &str, count: u32) -> Command {
    Command::Format {
        computer: computer.parse().unwrap(),
        address: String::new(),
        netmask: String::new(),
        partitions: (0..count)
            .map(|number| FormattedPartition {
                reference: format!("slappart{number}").parse().unwrap(),
                addresses: Vec::new(),
            })
            .collect(),
    }
}

/// The request for an instance, on a computer if one is named.
pub(super) fn request(title: &str, computer: Option<&str>, parameter: &str) -> Rc<[u8]> {
    let empty = Value::Dictionary(Dictionary::new());
    let filter = computer.map_or(empty, |name| Value::dictionary([("computer_guid", Value::text(name))]));
    let parameters = Value::dictionary([("text", Value::text(parameter))]);
    post(
        "requestComputerPartition",
        &[
            ("software_release", RELEASE),
            ("software_type", "default"),
            ("partition_reference", title),
            ("partition_parameter_xml", &encode(&parameters)),
            ("filter_xml", &encode(&filter)),
            ("state", &encode(&Value::optional(Some("started")))),
            ("shared_xml", &encode(&Value::Bool(false))),
        ],
    )
}

/// The same as a command.
pub(super) fn request_command(title: &str, computer: &str, parameter: &str) -> Command {
    let own = [("text".to_owned(), Some(parameter.to_owned()))].into_iter().collect();
    Command::Request {
        title: title.parse().unwrap(),
        release: RELEASE.parse().unwrap(),
        software_type: "default".to_owned(),
        parameters: slap_impl::wire::instance_xml::encode(&own),
        filter: [("computer_guid".to_owned(), computer.to_owned())].into(),
        state: None,
        requester: None,
        shared: false,
    }
}

/// The read of a computer's full information.
pub(super) fn read(computer: &str, headers: &str) -> Rc<[u8]> {
    get(&format!("getFullComputerInformation?computer_id={computer}"), headers)
}
