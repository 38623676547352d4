//! Pieces of a lab that runs are removed by hand: it makes them again, loses nothing that need not be lost, and runs no service twice.

use crate::support::{TestLab, get, software_profile, until, worker_profile};
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

/// A lab of one partition with the instance `worker`, whose service is this shell command.
fn lab_with(command: &str) -> TestLab {
    let lab = TestLab::up_empty(1, 1);
    let command = command.replace("BESIDE", &lab.beside("").display().to_string());
    let instance = worker_profile(&command);
    let release = lab.release("worker", &[("software.cfg", software_profile()), ("instance.cfg", &instance)]);
    lab.ok(&["supply", &release, "COMP-1"]);
    lab.ok(&["request", "worker", &release, "--node", "computer_guid=COMP-1"]);
    lab.ok(&["lab", "wait", "--timeout", "60s"]);
    lab
}

fn remove(path: &Path) {
    let is_directory = fs::symlink_metadata(path).unwrap().is_dir();
    if is_directory { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
}

#[test]
fn a_supervisor_makes_its_place_again_and_starts_nothing_twice() {
    let lab = lab_with("echo started >> BESIDE/starts; exec sleep 86391");
    let starts = || fs::read_to_string(lab.beside("starts")).unwrap().lines().count();
    let daemons =
        || [lab.processes(&["supervisor"]), lab.processes(&["node", "run"]), lab.processes(&["86391"])];
    let before = daemons();
    for pieces in [&["COMP-1/supervisor.json", "keeper/supervisor.lock"][..], &["COMP-1"], &[""]] {
        for piece in pieces {
            remove(&lab.directory().join("run").join(piece));
        }
        lab.ok(&["lab", "up", "--timeout", "60s"]);
        lab.ok(&["lab", "wait", "--timeout", "60s"]);
        assert_eq!(daemons(), before, "{pieces:?}: nobody was replaced");
        assert_eq!(starts(), 1, "{pieces:?}");
        for supervisor in ["COMP-1", "keeper"] {
            for name in ["supervisor.json", "supervisor.lock", "supervisor.socket"] {
                let path = lab.directory().join("run").join(supervisor).join(name);
                until(&format!("{pieces:?}: {} is back", path.display()), || path.exists().then_some(()));
            }
        }
    }
    // What was written again is true: the next supervisor takes over what runs.
    lab.ok(&["lab", "kill", "supervisor/COMP-1"]);
    lab.ok(&["lab", "wait", "--timeout", "60s"]);
    assert_eq!((lab.processes(&["86391"]), starts()), (before[2].clone(), 1));
}

#[test]
fn what_hid_from_its_service_is_ended_although_the_keepers_place_was_removed() {
    let lab = lab_with("(setsid env -i sleep 86392 & echo $! > BESIDE/hidden); exec sleep 86393");
    let text = until("it noted its number", || {
        fs::read_to_string(lab.beside("hidden")).ok().filter(|text| text.ends_with('\n'))
    });
    let process = Path::new("/proc").join(text.trim());
    assert!(process.exists());
    remove(&lab.directory().join("run/keeper"));
    lab.ok(&["lab", "up", "--timeout", "60s"]);
    lab.ok(&["lab", "kill", "supervisor/COMP-1"]);
    lab.ok(&["lab", "wait", "--timeout", "60s"]);
    assert!(process.exists(), "services go on");
    lab.ok(&["lab", "down"]);
    assert!(!process.exists());
}

#[test]
fn a_node_makes_its_own_directories_again() {
    let lab = lab_with("exec sleep 86390");
    let node = lab.directory().join("nodes/COMP-1");
    let daemons = || [lab.processes(&["node", "run"]), lab.processes(&["86390"])];
    let before = daemons();
    for piece in ["instance/.slap", "software/.slap", "software"] {
        remove(&node.join(piece));
        for made in
            ["instance/.slap/agent.lock", "instance/.slap/slappart0.slapos-resource", "software/.slap"]
        {
            until(&format!("{piece}: {made} is back"), || node.join(made).exists().then_some(()));
        }
        lab.ok(&["lab", "wait", "--timeout", "60s"]);
        assert_eq!(daemons(), before, "{piece}: nothing was ended");
    }
    // Green again, it also works: the release is built again, and the instance is set up again from it.
    lab.ok(&["lab", "kill", "COMP-1/slappart0/worker"]);
    lab.ok(&["lab", "wait", "--timeout", "60s"]);
    assert_eq!(lab.processes(&["86390"]).len(), 1);
}

#[test]
fn a_partition_whose_directory_was_removed_is_set_up_anew_with_services_of_its_own() {
    let lab = TestLab::up(1);
    let partition = lab.partition("COMP-1", 0);
    let mut before = lab.processes(&["http-server"]);
    for kills_agent in [false, true] {
        remove(&partition);
        if kills_agent {
            // The next one makes the directory when it formats, and must see that it is another one.
            lab.ok(&["lab", "kill", "agent/COMP-1"]);
        }
        lab.ok(&["lab", "wait", "--timeout", "60s"]);
        assert_eq!(get(&lab.url("hello-1")).unwrap().0, 200, "{kills_agent}");
        let after = lab.processes(&["http-server"]);
        assert!(after.len() == 1 && after != before, "{kills_agent}: {before:?} {after:?}");
        before = after;
    }
    let log = fs::read_to_string(lab.directory().join("log/agent-COMP-1.log")).unwrap();
    assert_eq!(log.matches("what its instance had written there is lost").count(), 2, "{log}");
}

#[test]
fn a_promise_for_which_a_partition_waits_is_looked_at_before_its_next_try() {
    let lab = TestLab::up_empty(1, 1);
    let (runs, witness) = (lab.beside("runs"), lab.beside("witness"));
    let command = format!("echo run >> {}; test -e {}", runs.display(), witness.display());
    let instance = worker_profile(&command).replace("etc/service", "etc/promise");
    let release = lab.release("worker", &[("software.cfg", software_profile()), ("instance.cfg", &instance)]);
    lab.ok(&["supply", &release, "COMP-1"]);
    lab.ok(&["request", "worker", &release, "--node", "computer_guid=COMP-1"]);
    // How often it was processed, if it is not just now.
    let tries = || {
        let log = fs::read_to_string(lab.directory().join("log/agent-COMP-1.log")).unwrap();
        let begun = log.matches("slappart0: processing").count();
        let failed = log.matches("slappart0: Promise 'worker' failed").count();
        (begun > 0 && begun == failed).then_some(begun)
    };
    let mut last = None;
    until("its promise is run, and it is not processed", || {
        let before = tries()?;
        let runs = fs::read_to_string(&runs).unwrap().lines().count();
        if tries() != Some(before) {
            return None;
        }
        let (tries, least) = *last.get_or_insert((before, runs));
        if tries != before {
            last = None;
        }
        (tries == before && runs > least).then_some(())
    });
    fs::write(&witness, "").unwrap();
    lab.ok(&["lab", "wait", "--timeout", "60s"]);
}

/// Whoever has the lock is the directory's supervisor: the other one ends, and services run once.
#[test]
fn a_supervisor_whose_place_another_one_took_makes_room() {
    let lab = lab_with("exec sleep 86389");
    let directory = lab.directory().join("run/COMP-1").display().to_string();
    let first = lab.processes(&["supervisor", &directory]);
    assert_eq!(first.len(), 1);
    // So that it does not see it before there is another one.
    lab.ok(&["lab", "pause", "supervisor/COMP-1"]);
    remove(Path::new(&directory));
    let mut second = Command::new(assert_cmd::cargo::cargo_bin!("slap"))
        .args(["supervisor", "--directory", &directory])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let socket = Path::new(&directory).join("supervisor.socket");
    until("the second one listens", || socket.exists().then_some(()));
    lab.ok(&["lab", "resume", "supervisor/COMP-1"]);
    until("the first one ends", || {
        (!lab.processes(&["supervisor", &directory]).contains(&first[0])).then_some(())
    });
    second.kill().unwrap();
    second.wait().unwrap();
    lab.ok(&["lab", "wait", "--timeout", "110s"]);
    assert_eq!(lab.processes(&["86389"]).len(), 1);
    assert_eq!(lab.processes(&["supervisor", &directory]).len(), 1);
}
