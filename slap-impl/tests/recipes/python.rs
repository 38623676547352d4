//! A Python with the real engine, in the directory for tests' files under `target`.
//!
//! The virtual environment is kept between runs under a name that says which packages and which Python it has, is complete
//! only when it says so, and is made by one process while others wait. Nothing in it is compiled: `netifaces`, for which there
//! are no wheels, is needed only to be there, and is an empty module. `slapos.cookbook` is installed last, because
//! `slapos.recipe.build` has a file of the same name (eggs, which SlapOS uses, stand side by side).

use serde_json::{Value, json};
use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

const REQUIREMENTS: &str = include_str!("requirements.txt");
const DRIVER: &str = include_str!("driver.py");
/// What builds packages that come as sources, and what must be there before it.
const BUILD_REQUIREMENTS: [&str; 2] = ["setuptools==78.1.1", "wheel==0.48.0"];
/// In the name of the environment: counts up when it is made otherwise.
const REVISION: u32 = 2;

/// What one run of a profile is asked with.
pub(crate) struct Job<'a> {
    pub(crate) directory: &'a Path,
    pub(crate) file: &'a str,
    pub(crate) parts: &'a [String],
    /// With typed values and `$${`, as the fork that SlapOS uses has them.
    pub(crate) fork: bool,
}

/// A process that runs profiles with zc.buildout.
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
                assert!(!is_ci(), "the comparison with zc.buildout cannot run, and CI must run it: {reason}");
                say(&format!("\n*** DID NOT RUN: the comparison with zc.buildout. {reason}\n"));
                None
            }
        }
    }

    /// Runs a profile; the error's text when it failed.
    pub(crate) fn run(&mut self, job: &Job<'_>) -> Option<String> {
        let job = json!({
            "directory": job.directory,
            "file": job.file,
            "overrides": [["buildout", "newest", "false"]],
            "parts": job.parts,
            "fork": job.fork,
        });
        self.ask(&job)
    }

    /// Verifies the hash of a password with passlib; the error's text when it is none.
    pub(crate) fn verify(&mut self, scheme: &str, password: &str, hash: &str) -> Option<String> {
        self.ask(&json!({"verify": [scheme, password, hash]}))
    }

    /// The options that `[buildout]` has before any profile is read.
    pub(crate) fn options(&mut self) -> Vec<String> {
        let names = self.ask(&json!({"options": true})).expect("the driver tells them as one text");
        names.split_whitespace().map(str::to_owned).collect()
    }

    fn ask(&mut self, job: &Value) -> Option<String> {
        let input = self.input.as_mut().expect("open until it is dropped");
        writeln!(input, "{job}").unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        let answer: Value = serde_json::from_str(&line).expect("the driver answers each job");
        answer["error"].as_str().map(str::to_owned)
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

fn spawn(python: &Path) -> Result<Python, String> {
    let mut child = Command::new(python)
        .args(["-I", "-c", DRIVER])
        .env_remove("PYTHONPATH")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{}: {error}", python.display()))?;
    let input = child.stdin.take();
    let output = BufReader::new(child.stdout.take().expect("piped"));
    Ok(Python { child, input, output })
}

/// Whether a continuous integration runs this, where what cannot run is a failure.
fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| !["", "0", "false"].contains(&value.as_str()))
}

/// Says something at once: libtest keeps what the print macros write to itself when a test passes.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// The interpreter of the environment, which is made if it is not there.
fn environment() -> Result<PathBuf, String> {
    let base = std::env::var("SLAP_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let version = output(Command::new(&base).args(["-c", "import sys; print(sys.version.split()[0])"]))?;
    let name = {
        use sha2::{Digest, Sha256};
        let text = format!("{REVISION}\n{base}\n{version}\n{BUILD_REQUIREMENTS:?}\n{REQUIREMENTS}");
        let digest = Sha256::digest(text.as_bytes());
        let hexadecimal: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        format!("python-{hexadecimal}")
    };
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(&name);
    let complete = directory.join("complete");
    let python = directory.join("bin/python");
    fs::create_dir_all(env!("CARGO_TARGET_TMPDIR")).map_err(|error| error.to_string())?;
    let lock = File::create(directory.with_extension("lock")).map_err(|error| error.to_string())?;
    lock.lock().map_err(|error| error.to_string())?;
    if !complete.exists() {
        if directory.exists() {
            fs::remove_dir_all(&directory).map_err(|error| error.to_string())?;
        }
        make(&base, &directory, &python)?;
        File::create(&complete).map_err(|error| error.to_string())?;
    }
    Ok(python)
}

fn make(base: &str, directory: &Path, python: &Path) -> Result<(), String> {
    say(&format!("making a Python environment with zc.buildout in {}", directory.display()));
    output(Command::new(base).args(["-m", "venv"]).arg(directory))?;
    let install = |arguments: &[&str]| {
        let mut command = Command::new(python);
        command.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-input",
            "--no-deps",
            "--disable-pip-version-check",
        ]);
        output(command.args(arguments).env_remove("PYTHONPATH"))
    };
    install(&BUILD_REQUIREMENTS)?;
    let requirements = directory.join("requirements.txt");
    fs::write(&requirements, REQUIREMENTS).map_err(|error| error.to_string())?;
    let requirements = requirements.display().to_string();
    install(&["--no-build-isolation", "--requirement", &requirements])?;
    let last = REQUIREMENTS.lines().find(|line| line.starts_with("slapos.cookbook==")).expect("it is pinned");
    install(&["--no-build-isolation", "--force-reinstall", last])?;
    let packages = output(
        Command::new(python).args(["-c", "import sysconfig; print(sysconfig.get_paths()['platlib'])"]),
    )?;
    let information = Path::new(packages.trim()).join("netifaces-0.11.0.dist-info");
    let written = fs::create_dir_all(&information)
        .and_then(|()| {
            fs::write(
                information.join("METADATA"),
                "Metadata-Version: 2.1\nName: netifaces\nVersion: 0.11.0\n",
            )
        })
        .and_then(|()| fs::write(Path::new(packages.trim()).join("netifaces.py"), ""));
    written.map_err(|error| error.to_string())
}

/// What a command prints, or why it failed.
fn output(command: &mut Command) -> Result<String, String> {
    let done = command.output().map_err(|error| format!("{:?}: {error}", command.get_program()))?;
    if !done.status.success() {
        let errors = String::from_utf8_lossy(&done.stderr);
        let tail: Vec<&str> = errors.lines().rev().take(8).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        return Err(format!("{command:?} failed:\n{}", tail.join("\n")));
    }
    Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned())
}

/// A comparison that did not run is seen: by whoever starts the tests, and as a failure by CI.
#[test]
fn without_python_it_says_so_and_ci_fails() {
    for (ci, passes) in
        [(None, true), (Some("0"), true), (Some("false"), true), (Some("1"), false), (Some("true"), false)]
    {
        let mut command = Command::new(std::env::current_exe().expect("this test is a program"));
        command
            .args(["--exact", "options::every_option_that_buildout_has_stands_in_the_table"])
            .env("SLAP_TEST_PYTHON", "/nonexistent");
        match ci {
            Some(value) => command.env("CI", value),
            None => command.env_remove("CI"),
        };
        let output = command.output().expect("it can be started again");
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert!(stdout.contains("running 1 test"), "{stdout}");
        assert_eq!(output.status.success(), passes, "CI={ci:?}: {stdout}");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(stderr.contains("*** DID NOT RUN"), passes, "CI={ci:?}: {stderr}");
        assert!(passes || stdout.contains("CI must run it"), "{stdout}");
    }
}
