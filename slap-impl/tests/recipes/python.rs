//! The real engine in a process of Python, in the environment that `golden/src/python.rs` makes when it is needed first.

use crate::environment::{CORE, environment, is_ci, say};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

const DRIVER: &str = include_str!("driver.py");

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
        match environment(Path::new(env!("CARGO_TARGET_TMPDIR")), CORE).and_then(|python| spawn(&python)) {
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
