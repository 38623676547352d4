//! A cloud of one master and one node in a directory of its own: each of them the real SlapOS, or slap.
//!
//! Everything that is started is a descendant of this process, which adopts those who lose their parent, or has the variable [`MARK`],
//! or, where a supervisor of slap starts a service with an environment of its own, a HOME below the run's directory: so [`end_all`]
//! finds it, whatever session it is in.

use super::seen::{Names, Seen};
use slap_impl::{
    env::{Address, Command, Either, Env, Output, Signal, race},
    node::LAB_MARK,
    wire::http::client::{Request, send},
};
use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

/// The variable that marks all that a run starts; its value is the run's directory.
const MARK: &str = "SLAP_CONFORMANCE";
/// How many partitions a node has.
pub(super) const PARTITIONS: usize = 5;
/// A command that does not end within this has failed.
const LIMIT: Duration = Duration::from_mins(5);
/// How long a master may take to listen.
const LISTEN_LIMIT: Duration = Duration::from_mins(1);

/// Whose program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// SlapOS's.
    Real,
    /// slap's.
    Ours,
}

/// What all worlds of a run share.
#[derive(Clone)]
pub(super) struct Tools {
    pub(super) env: Env,
    /// The run's directory.
    pub(super) scratch: PathBuf,
    /// Where the real `slapos` and `python` are.
    pub(super) python: PathBuf,
    /// The program `slap`.
    pub(super) slap: PathBuf,
    /// The third number of all nodes' addresses: another one in each run.
    pub(super) network: u64,
    /// The name of the user.
    pub(super) user: String,
}

/// A world.
pub(super) struct World {
    pub(super) tools: Tools,
    pub(super) root: PathBuf,
    pub(super) master: Side,
    pub(super) node: Side,
    pub(super) computer: &'static str,
    pub(super) address: String,
    pub(super) url: String,
    names: Names,
}

/// How a command ended.
pub(super) struct Ran {
    pub(super) outcome: String,
    pub(super) output: String,
    pub(super) errors: String,
}

impl World {
    /// Makes a world's directory and settings. `number` makes its address its own; all names of worlds must have one length,
    /// because what is folded at a column holds paths.
    pub(super) fn make(
        tools: &Tools,
        name: &str,
        number: u8,
        (master, node): (Side, Side),
    ) -> Result<World, String> {
        let port = free_port(&tools.env)?;
        let url = format!("http://127.0.0.1:{port}");
        World::at(tools, name, number, (master, node), "COMP-1", &url)
    }

    /// A world whose master is there already.
    pub(super) fn at(
        tools: &Tools,
        name: &str,
        number: u8,
        (master, node): (Side, Side),
        computer: &'static str,
        url: &str,
    ) -> Result<World, String> {
        let url = url.trim_end_matches('/').to_owned();
        let root = tools.scratch.join(name);
        let address = format!("127.90.{}.{}", tools.network, 100 + number);
        let authority = url.trim_start_matches("http://").to_owned();
        let mut names = Names::default();
        names.add(root.display().to_string(), "[WORLD]");
        names.add(tools.scratch.display().to_string(), "[RUN]");
        names.add(authority, "[MASTER]");
        names.add(address.clone(), "[ADDRESS]");
        let world = World { tools: tools.clone(), root, master, node, computer, address, url, names };
        world.write_settings().map_err(|error| format!("{}: {error}", world.root.display()))?;
        Ok(world)
    }

    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    fn write_settings(&self) -> std::io::Result<()> {
        let files = self.tools.env.files();
        for (name, mode) in [("", 0o755), ("etc", 0o755), ("var", 0o755), ("soft", 0o755), ("inst", 0o755)] {
            files.create_directory(&self.root.join(name), mode)?;
        }
        let (address, user) = (&self.address, &self.tools.user);
        let mut definition = format!("[computer]\naddress = {address}/255.255.255.255\n");
        for number in 0..PARTITIONS {
            files.create_directory(&self.root.join(format!("inst/slappart{number}")), 0o750)?;
            write!(
                definition,
                "[partition_{number}]\naddress = {address}/255.255.255.255\npathname = slappart{number}\n\
                 user = {user}\nnetwork_interface = lo\n"
            )
            .expect("a String takes everything");
        }
        files.write(&self.root.join("etc/format.cfg"), definition.as_bytes(), 0o644)?;
        files.write(&self.root.join("etc/slapos.cfg"), self.settings().as_bytes(), 0o644)
    }

    fn settings(&self) -> String {
        let (root, url, computer) = (self.root.display(), &self.url, self.computer);
        let port = url.rsplit(':').next().unwrap_or_default();
        format!(
            "[slapos]\nsoftware_root = {root}/soft\ninstance_root = {root}/inst\nmaster_url = {url}\n\
             master_rest_url = {url}/hateoas\ncomputer_id = {computer}\nroot_check = False\n\
             pidfile_software = {root}/var/software.pid\npidfile_instance = {root}/var/instance.pid\n\
             pidfile_report = {root}/var/report.pid\npromise_timeout = 60\n\
             software_min_free_space = 1M\ninstance_min_free_space = 1M\n\
             [slapformat]\ninput_definition_file = {root}/etc/format.cfg\npartition_amount = {PARTITIONS}\n\
             alter_user = false\nalter_network = false\ncreate_tap = false\ncreate_tun = false\n\
             computer_xml = {root}/etc/slapos.xml\n\
             [slapproxy]\nhost = 127.0.0.1\nport = {port}\ndatabase_uri = {root}/var/proxy.db\n"
        )
    }

    /// Starts the master, and waits until it listens.
    pub(super) async fn start_master(&self) -> Result<(), String> {
        let program = self.program(self.master);
        let mut command = self.command(&[&program, "proxy", "start"]);
        command.output = Output::Append(self.root.join("var/proxy.log"));
        let started = self.tools.env.processes().spawn(&command);
        let mut spawned = started.map_err(|error| format!("{program}: {error}"))?;
        let listens = self.tools.env.timeout(LISTEN_LIMIT, self.listens());
        match race(listens, spawned.child.wait()).await {
            Either::First(Ok(())) => Ok(()),
            Either::First(Err(_)) => Err(format!("the master of {} does not listen", self.root.display())),
            Either::Second(_) => Err(format!("the master ended: see {}/var/proxy.log", self.root.display())),
        }
    }

    async fn listens(&self) {
        let authority = self.url.trim_start_matches("http://");
        let address = Address::Tcp(authority.parse().expect("it was made from an address and a port"));
        while self.tools.env.network().connect(&address).await.is_err() {
            self.tools.env.sleep(Duration::from_millis(50)).await;
        }
    }

    /// A client's command, of the real `slapos`.
    pub(super) async fn client(&self, words: &[&str]) -> Result<Ran, String> {
        self.run(&[&[self.program(Side::Real).as_str()], words].concat()).await
    }

    /// `slapos node ...` or `slap node ...`.
    pub(super) async fn node(&self, words: &[&str]) -> Result<Ran, String> {
        self.run(&[&[self.program(self.node).as_str(), "node"], words].concat()).await
    }

    /// A command of slap.
    pub(super) async fn slap(&self, words: &[&str]) -> Result<Ran, String> {
        self.run(&[&[self.program(Side::Ours).as_str()], words].concat()).await
    }

    /// A piece of Python with the real client library.
    pub(super) async fn python(&self, code: &str) -> Result<Ran, String> {
        self.run(&[&self.tools.python.display().to_string(), "-c", code]).await
    }

    fn program(&self, side: Side) -> String {
        let path = match side {
            Side::Real => self.tools.python.with_file_name("slapos"),
            Side::Ours => self.tools.slap.clone(),
        };
        path.display().to_string()
    }

    /// Runs a program; standard output and standard error are told apart.
    async fn run(&self, words: &[&str]) -> Result<Ran, String> {
        let env = &self.tools.env;
        let paths = ["output", "errors"].map(|name| self.root.with_added_extension(name));
        let [output, errors] = paths.each_ref().map(|path| path.display().to_string());
        let redirect = "output=$1; errors=$2; shift 2; exec \"$@\" > \"$output\" 2> \"$errors\"";
        let mut command = self.command(&["/bin/sh", "-c", redirect, "sh", &output, &errors]);
        command.arguments.extend(words.iter().map(|word| (*word).to_owned()));
        let mut spawned = env.processes().spawn(&command).map_err(|error| format!("{words:?}: {error}"))?;
        let ended = env.timeout(LIMIT, spawned.child.wait()).await;
        let outcome = match ended {
            Ok(ended) => {
                let ended = ended.map_err(|error| format!("{words:?}: {error}"))?;
                ended.code.map_or_else(|| ended.describe(), |code| code.to_string())
            }
            Err(_) => {
                let _ = env.processes().signal_group(spawned.identity, Signal::Kill);
                format!("no end within {} s", LIMIT.as_secs())
            }
        };
        let read = |path: &Path| {
            let text = env.files().read_tail(path, 1 << 20).unwrap_or_default();
            self.names.replace(&String::from_utf8_lossy(&text))
        };
        Ok(Ran { outcome, output: read(&paths[0]), errors: read(&paths[1]) })
    }

    /// A command with this world's variables.
    fn command(&self, words: &[&str]) -> Command {
        let settings = self.root.join("etc/slapos.cfg").display().to_string();
        let mut command = marked(&self.tools, words[0]).arguments(words[1..].iter().copied());
        let more = [
            ("HOME", self.root.display().to_string()),
            ("SLAPOS_CONFIGURATION", settings.clone()),
            ("SLAPOS_CLIENT_CONFIGURATION", settings),
            ("SLAP_FORK", "1".to_owned()),
        ];
        command.variables.extend(more.map(|(name, value)| (name.to_owned(), value)));
        command.directory.clone_from(&self.root);
        command
    }

    /// What the master answers to a GET, as it stands on the wire.
    pub(super) async fn get(&self, path: &str) -> Result<String, String> {
        let url = format!("{}/{path}", self.url).parse().map_err(|error| format!("{path}: {error}"))?;
        let answer = send(&self.tools.env, Request::get(url)).await.map_err(|error| error.to_string())?;
        let body = String::from_utf8_lossy(&answer.body);
        // A line for each element or field, so that a difference can be shown; the same for both.
        let body = match body.starts_with('<') {
            true => self.names.replace(&body).replace("><", ">\n<"),
            false => self.names.replace_document(&body),
        };
        Ok(format!("{}\n{body}\n", answer.status))
    }

    /// Looks at a directory of this world.
    pub(super) fn look(&self, seen: &mut Seen, name: &str) -> Result<(), String> {
        let directory = self.root.join(name);
        let looked = seen.look(&self.tools.env, &directory, name, &self.names);
        looked.map_err(|error| format!("{}: {error}", directory.display()))
    }
}

/// A command that [`end_all`] finds, with nothing else of this process's environment.
pub(super) fn marked(tools: &Tools, program: &str) -> Command {
    let bin = tools.python.parent().unwrap_or(Path::new("/")).display().to_string();
    let variables = [
        (MARK, tools.scratch.display().to_string()),
        ("HOME", tools.scratch.display().to_string()),
        ("PATH", format!("{bin}:/usr/local/bin:/usr/bin:/bin")),
        ("LC_ALL", "C.UTF-8".to_owned()),
    ];
    let mut command = Command::new(program);
    command.variables = variables.map(|(name, value)| (name.to_owned(), value)).into();
    command.directory.clone_from(&tools.scratch);
    command.dies_with_parent = true;
    command.umask = 0o022;
    command
}

/// A third number of addresses on which nobody serves what this run will serve. All have three digits, as one is as long as the other.
pub(super) fn free_network(env: &Env) -> Result<u64, String> {
    let is_free = |network: &u64| {
        let address = |number: u8| format!("127.90.{network}.{number}:8123").parse();
        let free = |number| address(number).is_ok_and(|it| env.network().listen(&Address::Tcp(it)).is_ok());
        (100..110).all(free)
    };
    let mut tries = (0..20).map(|_| 100 + env.random_below(155));
    tries.find(is_free).ok_or_else(|| "port 8123 is taken on all addresses that were tried".to_owned())
}

/// A port on which nobody listens.
fn free_port(env: &Env) -> Result<u16, String> {
    let any = Address::Tcp(([127, 0, 0, 1], 0).into());
    let listener = env.network().listen(&any).map_err(|error| error.to_string())?;
    match listener.address() {
        Address::Tcp(address) => Ok(address.port()),
        other => Err(format!("{other} is no TCP port")),
    }
}

/// Kills all that a run started, until there is nothing left of it.
pub(super) async fn end_all(env: &Env, scratch: &Path) {
    let below = format!("{}/", scratch.display());
    let scratch = scratch.display().to_string();
    loop {
        let mut found = env.processes().marked(MARK, &scratch);
        for variable in ["HOME", LAB_MARK] {
            let is_below = |value: &[u8]| value.starts_with(below.as_bytes());
            found.extend(env.processes().marked_with(variable, &is_below));
        }
        // slapgrid starts supervisord with no environment at all; but whoever loses its parent becomes a child of this process.
        found.extend(env.processes().descendants(&[env.context().identity]));
        if found.is_empty() {
            return;
        }
        for identity in found {
            // Who is gone by itself is gone.
            let _ = env.processes().signal(identity, Signal::Kill);
        }
        env.sleep(Duration::from_millis(20)).await;
    }
}
