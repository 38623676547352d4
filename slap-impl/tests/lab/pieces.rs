//! Pieces of a lab that runs are removed by hand: it makes them again, loses nothing that need not be lost, and runs no service twice.

use crate::support::{TestLab, software_profile, until};
use std::{fs, path::Path};

const WORKER: &str = "\
[buildout]
parts = service
eggs-directory = /nonexistent
develop-eggs-directory = /nonexistent

[directory]
recipe = slapos.cookbook:mkdirectory
service = ${buildout:directory}/etc/service

[service]
recipe = slapos.cookbook:wrapper
command-line = sh -c 'COMMAND'
wrapper-path = ${directory:service}/worker
";

/// A lab of one partition with the instance `worker`, whose service is this shell command.
fn lab_with(command: &str) -> TestLab {
    let lab = TestLab::up_empty(1, 1);
    let command = command.replace("BESIDE", &lab.beside("").display().to_string());
    let instance = WORKER.replace("COMMAND", &command);
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
