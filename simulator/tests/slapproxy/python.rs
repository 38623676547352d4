//! slapproxy in a process of Python, in a virtual environment under `target` that is made when it is needed first and kept then.

use serde_json::{Value, json};
use simulator::differential::slapproxy::Proxy;
use std::{
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

const REQUIREMENTS: &str = include_str!("requirements.txt");
const DRIVER: &str = include_str!("driver.py");

/// A process that runs slapproxy.
pub(crate) struct Python {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Python {
    /// Starts one. `None`, and a loud word, where there is no Python or its packages cannot be had; under CI (`is_ci`), that
    /// is a failure.
    pub(crate) fn start() -> Option<Python> {
        match environment().and_then(|python| spawn(&python)) {
            Ok(python) => Some(python),
            Err(reason) => {
                assert!(!is_ci(), "the comparison with slapproxy cannot run, and CI must run it: {reason}");
                say(&format!("\n*** DID NOT RUN: the comparison with slapproxy. {reason}\n"));
                None
            }
        }
    }

    fn tell(&mut self, job: &Value) -> Value {
        let input = self.input.as_mut().expect("open until it is dropped");
        writeln!(input, "{job}").expect("the driver reads its jobs");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the driver writes text");
        serde_json::from_str(&line).expect("the driver answers each job")
    }
}

impl Proxy for Python {
    fn begin(&mut self) {
        self.tell(&json!({"new": true}));
    }

    fn ask(&mut self, seconds: f64, is_post: bool, path: &str, body: &str) -> (u16, String, Value) {
        let method = if is_post { "POST" } else { "GET" };
        let mut answer = self.tell(&json!({"time": seconds, "method": method, "path": path, "body": body}));
        let status = answer["status"].as_u64().and_then(|status| u16::try_from(status).ok());
        let body = answer["body"].as_str().expect("an answer has a body").to_owned();
        (status.expect("an answer has a status"), body, answer["tables"].take())
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

/// Whether a continuous integration runs this, where what cannot run is a failure.
fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| !["", "0", "false"].contains(&value.as_str()))
}

/// Says something at once: libtest keeps what the print macros write to itself when a test passes.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn spawn(python: &Path) -> Result<Python, String> {
    let mut child = Command::new(python)
        .args(["-I", "-c", DRIVER])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{}: {error}", python.display()))?;
    let input = child.stdin.take();
    let output = BufReader::new(child.stdout.take().expect("piped"));
    Ok(Python { child, input, output })
}

/// The interpreter of the environment, which is made if it is not there. One process makes it while others wait.
fn environment() -> Result<PathBuf, String> {
    let base = std::env::var("SLAP_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let version = output(Command::new(&base).args(["-c", "import sys; print(sys.version)"]))?;
    let mut hasher = DefaultHasher::new();
    (&base, &version, REQUIREMENTS).hash(&mut hasher);
    let root = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let directory = root.join(format!("slapproxy-{:016x}", hasher.finish()));
    fs::create_dir_all(root).map_err(|error| error.to_string())?;
    let lock = File::create(directory.with_extension("lock")).map_err(|error| error.to_string())?;
    lock.lock().map_err(|error| error.to_string())?;
    let complete = directory.join("complete");
    if !complete.exists() {
        make(&base, &directory)?;
        File::create(&complete).map_err(|error| error.to_string())?;
    }
    Ok(directory.join("bin/python"))
}

fn make(base: &str, directory: &Path) -> Result<(), String> {
    say(&format!("making a Python environment with slapproxy in {}", directory.display()));
    output(Command::new(base).args(["-m", "venv", "--clear"]).arg(directory))?;
    let requirements = directory.join("requirements.txt");
    fs::write(&requirements, REQUIREMENTS).map_err(|error| error.to_string())?;
    // First what builds packages that come as sources.
    let builders: Vec<&str> = REQUIREMENTS
        .lines()
        .filter(|line| line.starts_with("setuptools==") || line.starts_with("wheel=="))
        .collect();
    for arguments in [builders, vec!["--no-build-isolation", "--requirement", "requirements.txt"]] {
        let mut command = Command::new(directory.join("bin/python"));
        command.current_dir(directory).env_remove("PYTHONPATH").args(["-m", "pip", "install", "--quiet"]);
        command.args(["--no-input", "--no-deps", "--disable-pip-version-check"]).args(arguments);
        output(&mut command)?;
    }
    Ok(())
}

/// What a command prints, or why it failed.
fn output(command: &mut Command) -> Result<String, String> {
    let done = command.output().map_err(|error| format!("{:?}: {error}", command.get_program()))?;
    if !done.status.success() {
        let errors = String::from_utf8_lossy(&done.stderr);
        let lines: Vec<&str> = errors.lines().collect();
        return Err(format!("{command:?} failed:\n{}", lines[lines.len().saturating_sub(8)..].join("\n")));
    }
    Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned())
}
