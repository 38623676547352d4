//! What was found in an earlier life of a node's agent is not believed: it may have changed while nobody looked.

use crate::support::{TestLab, instances, software_profile, until};
use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
};

/// An instance without a service, with a promise that notes each of its runs.
const PROMISE: &str = "\
[buildout]
parts = promise
eggs-directory = /nonexistent
develop-eggs-directory = /nonexistent

[directory]
recipe = slapos.cookbook:mkdirectory
promise = ${buildout:directory}/etc/promise

[promise]
recipe = slapos.cookbook:wrapper
command-line = sh -c 'echo run >> RUNS; test -e WITNESS || { echo no witness came; exit 1; }'
wrapper-path = ${directory:promise}/checked
";

/// The same with services.
const SERVICES: &str = "
[buildout]
parts += service once

[directory]
service = ${buildout:directory}/etc/service
run = ${buildout:directory}/etc/run

[service]
recipe = slapos.cookbook:wrapper
command-line = sleep 86398
wrapper-path = ${directory:service}/worker

[once]
recipe = slapos.cookbook:wrapper
command-line = sleep 86397
wrapper-path = ${directory:run}/helper
";

/// A lab with the instance `worker`, which is green as long as `witness` is there.
struct Worker {
    lab: TestLab,
    witness: std::path::PathBuf,
    runs: std::path::PathBuf,
}

impl Worker {
    fn new(profile: &str) -> Worker {
        let lab = TestLab::up_empty(1, 1);
        let (witness, runs) = (lab.beside("witness"), lab.beside("runs"));
        fs::write(&witness, "").unwrap();
        let text = |path: &Path| path.display().to_string();
        let profile = profile.replace("RUNS", &text(&runs)).replace("WITNESS", &text(&witness));
        let files = [("software.cfg", software_profile()), ("instance.cfg", &profile)];
        let release = lab.release("release", &files);
        lab.ok(&["supply", &release, "COMP-1"]);
        lab.ok(&["request", "worker", &release, "--node", "computer_guid=COMP-1"]);
        lab.ok(&["lab", "wait", "--timeout", "60s"]);
        Worker { lab, witness, runs }
    }

    fn runs(&self) -> usize {
        fs::read_to_string(&self.runs).unwrap().lines().count()
    }
}

/// `slap lab up` beside the test, which goes on waiting for green.
fn begin_up(lab: &TestLab) -> Child {
    Command::new(assert_cmd::cargo::cargo_bin!("slap"))
        .args(["lab", "up", "--timeout", "110s", "--dir", &lab.directory().display().to_string()])
        .env("HOME", lab.beside(""))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The instance becomes red, and is never said to be green before.
#[track_caller]
fn red_and_never_green(lab: &TestLab, case: &str) {
    let health = until(&format!("{case}: it is red"), || {
        let status = lab.status();
        let worker = instances(&status).remove("worker")?;
        let health = worker["health"].clone();
        assert_ne!(health["state"], "green", "{case}: a result of an earlier life is believed: {status}");
        let table = lab.slap(&["lab", "status"]).stdout;
        assert!(!table.contains("promise green"), "{case}: {table}");
        (health["state"] == "red").then_some(health)
    });
    assert!(health["reason"].as_str().unwrap().contains("no witness came"), "{case}: {health}");
    let wait = lab.fails(3, &["lab", "wait", "--timeout", "10ms"]);
    assert!(wait.contains("no witness came"), "{case}: {wait}");
}

#[test]
fn a_promise_that_broke_between_two_lives_is_red_at_once() {
    let worker = Worker::new(PROMISE);
    let lab = &worker.lab;
    for case in ["down", "kill"] {
        let mut up = None;
        if case == "down" {
            lab.ok(&["lab", "down"]);
            fs::remove_file(&worker.witness).unwrap();
            up = Some(begin_up(lab));
        } else {
            fs::remove_file(&worker.witness).unwrap();
            lab.ok(&["lab", "kill", "agent/COMP-1"]);
        }
        red_and_never_green(lab, case);
        fs::write(&worker.witness, "").unwrap();
        if let Some(mut up) = up {
            assert!(up.wait().unwrap().success(), "{case}: `up` waits for the repair");
        }
        lab.ok(&["lab", "wait", "--timeout", "110s"]);
    }
}

#[test]
fn promises_are_run_once_in_the_beginning_of_a_life() {
    for profile in [PROMISE.to_owned(), format!("{PROMISE}{SERVICES}")] {
        let worker = Worker::new(&profile);
        assert_eq!(worker.runs(), 1, "{profile}");
        for lives in 2..4 {
            worker.lab.ok(&["lab", "down"]);
            worker.lab.ok(&["lab", "up", "--timeout", "60s"]);
            assert_eq!(worker.runs(), lives, "{profile}");
        }
    }
}

#[test]
fn what_was_removed_between_two_lives_is_installed_again() {
    let worker = Worker::new(&format!("{PROMISE}{SERVICES}"));
    let lab = &worker.lab;
    for file in ["etc/service/worker", "etc/run/helper", "etc/promise/checked"] {
        let path = lab.partition("COMP-1", 0).join(file);
        lab.ok(&["lab", "down"]);
        fs::remove_file(&path).unwrap();
        lab.ok(&["lab", "up", "--timeout", "60s"]);
        assert!(path.exists(), "{file}");
        for words in ["86398", "86397"] {
            assert_eq!(lab.processes(&["sleep", words]).len(), 1, "{file}: {words} runs");
        }
        let status = lab.status();
        let worker = instances(&status).remove("worker").unwrap();
        assert_eq!(worker["services"].as_array().unwrap().len(), 2, "{file}: {worker}");
        assert_eq!(worker["promises"].as_array().unwrap().len(), 1, "{file}: {worker}");
    }
}
