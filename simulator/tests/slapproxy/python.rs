//! slapproxy in a process of Python, in the environment that `golden/src/python.rs` makes when it is needed first.

use crate::environment::{CORE, environment, is_ci, say};
use serde_json::{Value, json};
use simulator::differential::slapproxy::Proxy;
use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

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
        match environment(Path::new(env!("CARGO_TARGET_TMPDIR")), CORE).and_then(|python| spawn(&python)) {
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
