//! A lab of a test, and what is asked of it. It is taken down when it is dropped.

use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Lines, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Ten times what the slowest step may take: tests show behaviour, benchmarks show times.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A lab in a temporary directory.
pub(crate) struct TestLab {
    parent: TempDir,
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl TestLab {
    /// A place for a lab.
    pub(crate) fn new() -> TestLab {
        TestLab { parent: TempDir::with_prefix("slap-").unwrap() }
    }

    /// A lab that is up and green, with an instance of the first release on each node.
    pub(crate) fn up(nodes: u32) -> TestLab {
        let lab = TestLab::new();
        lab.ok(&["lab", "up", "--timeout", "60s", "--nodes", &nodes.to_string()]);
        lab
    }

    /// A lab that is up, and has no releases.
    pub(crate) fn up_empty(nodes: u32, partitions: u32) -> TestLab {
        let lab = TestLab::new();
        lab.ok(&[
            "lab",
            "up",
            "--empty",
            "--nodes",
            &nodes.to_string(),
            "--partitions",
            &partitions.to_string(),
        ]);
        lab
    }

    /// The lab's directory.
    pub(crate) fn directory(&self) -> PathBuf {
        self.parent.path().join("lab")
    }

    /// A file beside the lab.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.parent.path().join(name)
    }

    /// Runs `slap` with these words.
    pub(crate) fn slap(&self, words: &[&str]) -> Done {
        self.slap_with(words, &[])
    }

    /// Runs `slap` with these words and variables.
    pub(crate) fn slap_with(&self, words: &[&str], variables: &[(&str, &str)]) -> Done {
        let output = self.command(words).envs(variables.iter().copied()).output().unwrap();
        Done {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Begins to run `slap` with these words; with the lines of its standard error.
    pub(crate) fn begin(&self, words: &[&str]) -> (Child, Lines<BufReader<ChildStderr>>) {
        let mut child = self.command(words).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        (child, lines)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("slap"));
        command
            .args(words)
            .env_remove("XDG_STATE_HOME")
            .env("HOME", self.parent.path())
            .env("TMPDIR", self.parent.path())
            .env("SLAP_LAB", self.directory())
            .env("SLAPOS_CLIENT_CONFIGURATION", self.directory().join("slapos-client.cfg"));
        command
    }

    /// Runs `slap`, which must succeed, and gives its standard output.
    #[track_caller]
    pub(crate) fn ok(&self, words: &[&str]) -> String {
        let done = self.slap(words);
        assert_eq!(done.code, 0, "slap {words:?}\n{}\n{}", done.stdout, done.stderr);
        done.stdout
    }

    /// Runs `slap`, which must exit with `code`, and gives its standard error.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, words: &[&str]) -> String {
        let done = self.slap(words);
        assert_eq!(done.code, code, "slap {words:?}\n{}\n{}", done.stdout, done.stderr);
        done.stderr
    }

    /// `slap lab status --output json`.
    pub(crate) fn status(&self) -> Value {
        let done = self.slap(&["lab", "status", "--output", "json"]);
        serde_json::from_str(&done.stdout).unwrap_or_else(|error| panic!("{error}: {done:?}"))
    }

    /// The instance of that title in the status.
    pub(crate) fn instance(&self, title: &str) -> Option<Value> {
        instances(&self.status()).remove(title)
    }

    /// Waits until the status has what `seen` finds.
    #[track_caller]
    pub(crate) fn until<T>(&self, what: &str, seen: impl Fn(&Value) -> Option<T>) -> T {
        until(what, || seen(&self.status()))
    }

    /// Where an instance's page is, as it published it.
    #[track_caller]
    pub(crate) fn url(&self, title: &str) -> String {
        let instance = self.instance(title).unwrap_or_else(|| panic!("no instance {title}"));
        instance["connection_parameters"]["url"].as_str().expect("it published its url").to_owned()
    }

    /// The processes of this lab that run `words` as their last arguments.
    pub(crate) fn processes(&self, words: &[&str]) -> Vec<u32> {
        processes_of(&self.directory())
            .into_iter()
            .filter(|(_, arguments)| words.iter().all(|word| arguments.iter().any(|other| other == word)))
            .map(|(pid, _)| pid)
            .collect()
    }

    /// A partition's directory.
    pub(crate) fn partition(&self, computer: &str, partition: u32) -> PathBuf {
        self.directory().join(format!("nodes/{computer}/instance/slappart{partition}"))
    }

    /// Writes a release beside the lab and gives its profile's path.
    pub(crate) fn release(&self, name: &str, files: &[(&str, &str)]) -> String {
        let directory = self.beside(name);
        fs::create_dir_all(&directory).unwrap();
        for (file, content) in files {
            fs::write(directory.join(file), content).unwrap();
        }
        directory.join("software.cfg").display().to_string()
    }

    /// The profile of the release that the lab came with.
    pub(crate) fn first_release(&self) -> String {
        let releases = self.directory().join("releases");
        let entry = fs::read_dir(releases).unwrap().next().expect("it has one").unwrap();
        entry.path().join("software.cfg").display().to_string()
    }
}

impl Drop for TestLab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let done = self.slap(&["lab", "logs", "-n", "30"]);
            eprintln!("{}", done.stdout);
        }
        let done = self.slap(&["lab", "down", "--quiet"]);
        if !std::thread::panicking() && self.directory().exists() {
            assert_eq!(done.code, 0, "{done:?}");
            assert_eq!(processes_of(&self.directory()), BTreeMap::new(), "down leaves no process");
        }
    }
}

/// All instances of a status, by title.
pub(crate) fn instances(status: &Value) -> BTreeMap<String, Value> {
    let nodes = status["nodes"].as_array().into_iter().flatten();
    nodes
        .flat_map(|node| node["partitions"].as_array().into_iter().flatten())
        .filter_map(|partition| {
            let instance = &partition["instance"];
            Some((instance["title"].as_str()?.to_owned(), instance.clone()))
        })
        .collect()
}

/// Waits on a condition.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut seen: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = seen() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A page, as a browser gets it: status and body.
pub(crate) fn get(url: &str) -> Option<(u16, String)> {
    ask("GET", url, "")
}

/// The answer to a form, as curl sends it: status and body.
pub(crate) fn post(url: &str, fields: &[(&str, &str)]) -> Option<(u16, String)> {
    ask("POST", url, &form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish())
}

fn ask(method: &str, url: &str, body: &str) -> Option<(u16, String)> {
    let rest = url.strip_prefix("http://")?;
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let mut stream = TcpStream::connect(host).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let path = if path.is_empty() { "/" } else { path };
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let status = text.split(' ').nth(1)?.parse().ok()?;
    let body = text.split_once("\r\n\r\n")?.1.to_owned();
    Some((status, body))
}

/// Processes that carry the lab's mark: number and command line.
pub(crate) fn processes_of(directory: &Path) -> BTreeMap<u32, Vec<String>> {
    let mark = format!("SLAP_LAB_PROCESS={}", directory.display());
    let mut found = BTreeMap::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let words = |name: &str| -> Vec<String> {
            let bytes = fs::read(entry.path().join(name)).unwrap_or_default();
            bytes.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
        };
        if words("environ").contains(&mark) {
            found.insert(pid, words("cmdline"));
        }
    }
    found
}

/// A release whose instance is this profile, of one level.
pub(crate) fn software_profile() -> &'static str {
    "[buildout]\nparts = instance-profile\n\n[instance-profile]\nrecipe = slapos.recipe.build:download\n\
     url = ${:_profile_base_location_}/instance.cfg\ndestination = ${buildout:directory}/instance.cfg\n"
}

/// The instance profile of one service, `worker`, which is this shell command, without single quotes in it.
pub(crate) fn worker_profile(command: &str) -> String {
    format!(
        "[buildout]\nparts = service\neggs-directory = /nonexistent\ndevelop-eggs-directory = /nonexistent\n\n\
         [directory]\nrecipe = slapos.cookbook:mkdirectory\nservice = ${{buildout:directory}}/etc/service\n\n\
         [service]\nrecipe = slapos.cookbook:wrapper\ncommand-line = sh -c '{command}'\n\
         wrapper-path = ${{directory:service}}/worker\n"
    )
}
