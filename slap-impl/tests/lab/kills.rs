//! kill -9 of everything, in any order, twice: `up` makes the lab green again, nothing acknowledged is lost, and no service runs twice.

use crate::support::{TestLab, get, instances, software_profile, until, worker_profile};
use std::{fs, process::Command};

fn check_after(lab: &TestLab, order: &[&str]) {
    let release = lab.first_release();
    for round in 0..2 {
        let name = format!("name=round-{round}-{}", order.join("-").replace('/', "-"));
        lab.ok(&["request", "hello-1", &release, "--node", "computer_guid=COMP-1", "--parameters", &name]);
        for target in order {
            lab.ok(&["lab", "kill", target]);
        }
        lab.ok(&["lab", "up"]);
        let page = get(&lab.url("hello-1")).unwrap().1;
        let expected = name.trim_start_matches("name=");
        assert!(page.contains(expected), "{order:?}: an acknowledged request was lost: {page}");
        let status = lab.status();
        assert_eq!(instances(&status).len(), 2, "{order:?}: {status}");
        assert_eq!(lab.processes(&["http-server"]).len(), 2, "{order:?}: each service runs once");
        assert_eq!(lab.processes(&["supervisor"]).len(), 3, "{order:?}: a keeper and two supervisors");
        assert_eq!(lab.processes(&["node", "run"]).len(), 2, "{order:?}");
        assert_eq!(lab.processes(&["proxy", "start"]).len(), 1, "{order:?}");
    }
}

#[test]
fn killed_in_any_order_twice() {
    let lab = TestLab::up(2);
    check_after(&lab, &["keeper"]);
    check_after(&lab, &["master", "keeper"]);
    check_after(&lab, &["agent/COMP-1", "supervisor/COMP-1", "master", "keeper"]);
    check_after(&lab, &["supervisor/COMP-1", "agent/COMP-1", "keeper"]);
    check_after(&lab, &["supervisor/COMP-1", "COMP-2/slappart0/hello-http", "keeper"]);
}

/// A service that does not hear that it shall end: it ends when there is a file, which it removes then.
const STUBBORN: &str =
    "trap \"\" TERM; echo started >> STARTS; until [ -e END ]; do sleep 0.05; done; rm END";

#[test]
fn an_interrupted_down_is_undone_by_up_and_finished_by_down() {
    let lab = TestLab::up_empty(1, 1);
    let (starts, end) = (lab.beside("starts"), lab.beside("end"));
    let command =
        STUBBORN.replace("STARTS", &starts.display().to_string()).replace("END", &end.display().to_string());
    let instance = worker_profile(&command).replace("/worker", "/stubborn");
    let release =
        lab.release("stubborn", &[("software.cfg", software_profile()), ("instance.cfg", &instance)]);
    lab.ok(&["supply", &release, "COMP-1"]);
    lab.ok(&["request", "stubborn", &release, "--node", "computer_guid=COMP-1"]);
    lab.ok(&["wait", "stubborn", "--for", "green", "--timeout", "60s"]);
    let started = || fs::read_to_string(&starts).unwrap().lines().count();
    let interrupt = |signal: &str| {
        let (mut down, mut lines) = lab.begin(&["lab", "down"]);
        let waits = "waiting for COMP-1/slappart0/stubborn (process ";
        assert!(lines.any(|line| line.unwrap().contains(waits)), "it says for whom it waits");
        Command::new("kill").args([signal, &down.id().to_string()]).status().unwrap();
        let code = until("it ends", || down.try_wait().unwrap()).code();
        (code, lines.map_while(Result::ok).collect::<Vec<_>>().join("\n"))
    };
    for (signal, number) in [("-KILL", 2), ("-INT", 3)] {
        let (code, told) = interrupt(signal);
        assert!(code.is_none() || code == Some(130) && told.contains("hint: "), "{signal} {code:?} {told}");
        let (mut up, lines) = lab.begin(&["lab", "up", "--empty", "--timeout", "60s"]);
        fs::write(&end, "").unwrap();
        let code = until("it ends", || up.try_wait().unwrap()).code();
        assert_eq!(code, Some(0), "{signal}: {:?}", lines.collect::<Vec<_>>());
        assert_eq!(started(), number, "{signal}: green means that it runs again");
        assert!(!end.exists(), "{signal}: it was not green before the old one ended");
    }
    assert_eq!(interrupt("-TERM").0, Some(130));
    fs::write(&end, "").unwrap();
    lab.ok(&["lab", "down"]);
    assert!(lab.processes(&[]).is_empty() && started() == 3);
}

/// A service that needs no port, so that nothing but the supervisors' care keeps a second one from running.
#[test]
fn a_service_without_a_port_is_started_once_whatever_is_killed() {
    let lab = TestLab::up_empty(1, 1);
    let starts = lab.beside("starts");
    let instance = worker_profile(&format!("echo started >> {}; exec sleep 86399", starts.display()));
    let files = [("software.cfg", software_profile()), ("instance.cfg", &instance)];
    let release = lab.release("worker", &files);
    lab.ok(&["supply", &release, "COMP-1"]);
    lab.ok(&["request", "worker", &release, "--node", "computer_guid=COMP-1"]);
    lab.ok(&["wait", "worker", "--for", "green", "--timeout", "60s"]);
    let targets = ["master", "agent/COMP-1", "supervisor/COMP-1", "keeper"];
    for first in 0..targets.len() {
        for step in 0..targets.len() {
            lab.ok(&["lab", "kill", targets[(first + step) % targets.len()]]);
        }
        lab.ok(&["lab", "up", "--empty", "--timeout", "60s"]);
        assert_eq!(lab.processes(&["86399"]).len(), 1, "from {}", targets[first]);
        assert_eq!(fs::read_to_string(&starts).unwrap().lines().count(), 1, "from {}", targets[first]);
    }
}

#[test]
fn up_is_not_deceived_by_reports_from_before_the_kill() {
    let lab = TestLab::up(2);
    for round in 0..4 {
        lab.ok(&["lab", "kill", "supervisor/COMP-1"]);
        // At once, so that nobody noticed yet: the service's own process, not through `lab kill`, which waits for that.
        for pid in lab.processes(&["http-server"]) {
            Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
        }
        lab.ok(&["lab", "up"]);
        for title in ["hello-1", "hello-2"] {
            let page = get(&lab.url(title));
            assert!(page.is_some_and(|(code, _)| code == 200), "round {round}: {title} is not served");
        }
    }
}

#[test]
fn up_resumes_what_stands_still_and_looks_do_not_hang() {
    let lab = TestLab::up(1);
    lab.ok(&["lab", "pause", "master"]);
    let status = lab.slap(&["lab", "status"]);
    assert!(status.code == 1 && status.stdout.contains(" paused: it answers nobody"), "{status:?}");
    assert!(
        status.stderr.contains("hint: ") && status.stderr.contains("resumes what is paused"),
        "{status:?}"
    );
    let wait = lab.fails(3, &["lab", "wait", "--timeout", "1s"]);
    // In a line of its own at once, and in the end.
    assert!(wait.starts_with("            the master at ") && wait.contains(" paused: it answers"), "{wait}");
    assert_eq!(wait.matches(" paused: it answers nobody").count(), 2, "{wait}");
    let wait = lab.fails(3, &["wait", "hello-1", "--timeout", "2s"]);
    assert!(wait.starts_with("waiting for hello-1 to be green: the master does not answer yet"), "{wait}");
    assert!(wait.contains("error: hello-1 is not green after 2 s: the master is offline"), "{wait}");
    // The master has no more time than was left.
    assert!(wait.contains("did not answer within 2 s (hint: `slap lab up "), "{wait}");
    for target in ["keeper", "agent/COMP-1", "supervisor/COMP-1"] {
        lab.ok(&["lab", "pause", target]);
    }
    let status = lab.slap(&["lab", "status"]).stdout;
    assert!(status.contains("keeper    paused"), "{status}");
    assert!(status.contains("agent paused, supervisor paused"), "{status}");
    lab.ok(&["lab", "up", "--timeout", "60s"]);
    lab.ok(&["lab", "wait", "--timeout", "60s"]);
    lab.ok(&["lab", "pause", "supervisor/COMP-1"]);
    lab.ok(&["lab", "down"]);
}

#[test]
fn a_kill_says_each_thing_once() {
    let lab = TestLab::up(1);
    let kill = || lab.slap(&["lab", "kill", "COMP-1/slappart0/hello-http"]);
    // The first end of a service bangs, the later ones are only told.
    for round in 0..3 {
        let done = kill();
        let lines: Vec<&str> = done.stderr.lines().collect();
        assert!(done.code == 0 && lines.len() == 1, "{round}: {done:?}");
        assert!(lines[0].starts_with("killed COMP-1/slappart0/hello-http (process "), "{round}: {done:?}");
        let health = lab.instance("hello-1").unwrap()["health"].clone();
        assert!(
            health["state"] != "green" || lab.processes(&["http-server"]).len() == 1,
            "{round}: {health}"
        );
        lab.ok(&["lab", "wait", "--timeout", "60s"]);
    }
    lab.ok(&["lab", "pause", "agent/COMP-1"]);
    let done = kill();
    assert_eq!(done.stderr.lines().count(), 2, "{done:?}");
    assert!(done.stderr.contains("its agent is paused"), "{done:?}");
}

/// `status` and `wait` look at the same things.
#[test]
fn nothing_is_waited_for_in_vain_and_nothing_is_overlooked() {
    let lab = TestLab::up(1);
    for (fault, target, code, named) in [
        ("pause", "keeper", 3, "the keeper: it is paused"),
        ("resume", "keeper", 0, ""),
        ("pause", "agent/COMP-1", 3, "its agent is paused"),
        ("resume", "agent/COMP-1", 0, ""),
        ("pause", "supervisor/COMP-1", 3, "its supervisor is paused"),
        ("resume", "supervisor/COMP-1", 0, ""),
        ("kill", "keeper", 4, "its keeper is dead"),
    ] {
        lab.ok(&["lab", fault, target]);
        let wait = lab.slap(&["lab", "wait", "--timeout", if code == 0 { "60s" } else { "200ms" }]);
        assert!(wait.code == code && wait.stderr.contains(named), "{fault} {target}: {wait:?}");
        let status = lab.slap(&["lab", "status"]);
        assert_eq!(status.code == 0, code == 0, "{fault} {target}: {status:?}");
    }
}

#[test]
fn a_paused_service_is_resumed_by_up_and_ended_by_a_stop() {
    let lab = TestLab::up(1);
    let services = lab.processes(&["http-server"]);
    lab.ok(&["lab", "pause", "COMP-1/slappart0/hello-http"]);
    lab.ok(&["lab", "up", "--timeout", "60s"]);
    assert_eq!(get(&lab.url("hello-1")).unwrap().0, 200);
    assert_eq!(lab.processes(&["http-server"]), services, "it goes on, and was not started again");
    lab.ok(&["lab", "pause", "COMP-1/slappart0/hello-http"]);
    lab.ok(&["request", "hello-1", &lab.first_release(), "--state", "stopped"]);
    lab.ok(&["wait", "hello-1", "--for", "stopped", "--timeout", "30s"]);
    assert!(lab.processes(&["http-server"]).is_empty());
}

#[test]
fn services_survive_everything_else() {
    let lab = TestLab::up(1);
    let services = lab.processes(&["http-server"]);
    for target in ["supervisor/COMP-1", "agent/COMP-1", "master", "keeper"] {
        lab.ok(&["lab", "kill", target]);
    }
    assert_eq!(lab.processes(&["http-server"]), services);
    let status = lab.slap(&["lab", "status"]);
    assert!(status.code == 1 && status.stdout.contains("keeper    dead"), "{status:?}");
    lab.ok(&["lab", "up"]);
    assert_eq!(lab.processes(&["http-server"]), services, "and were taken over, not started again");
}

#[test]
fn the_keeper_restarts_what_dies() {
    let lab = TestLab::up(1);
    for target in ["master", "agent/COMP-1", "supervisor/COMP-1"] {
        lab.ok(&["lab", "kill", target]);
        lab.ok(&["lab", "wait", "--timeout", "60s"]);
    }
    assert_eq!(lab.processes(&["http-server"]).len(), 1);
}

#[test]
fn a_supervisor_whose_output_was_removed_starts_services_again() {
    let lab = TestLab::up(1);
    fs::remove_dir_all(lab.directory().join("run/COMP-1/output")).unwrap();
    lab.ok(&["lab", "kill", "COMP-1/slappart0/hello-http"]);
    lab.ok(&["lab", "wait", "--timeout", "60s"]);
    assert_eq!(get(&lab.url("hello-1")).unwrap().0, 200);
}

#[test]
fn down_finds_what_hides_from_its_service() {
    let lab = TestLab::up_empty(1, 1);
    let note = lab.beside("hidden");
    // It has no session, no variables and no parent of the lab any more.
    let hides = format!("(setsid env -i sleep 86396 & echo $! > {}); exec sleep 86395", note.display());
    let instance = worker_profile(&hides);
    let release = lab.release("hides", &[("software.cfg", software_profile()), ("instance.cfg", &instance)]);
    lab.ok(&["supply", &release, "COMP-1"]);
    lab.ok(&["request", "hides", &release, "--node", "computer_guid=COMP-1"]);
    lab.ok(&["wait", "hides", "--for", "green", "--timeout", "60s"]);
    let process =
        until("it noted its number", || fs::read_to_string(&note).ok().filter(|text| text.ends_with('\n')));
    let process = std::path::Path::new("/proc").join(process.trim());
    assert!(process.exists());
    lab.ok(&["lab", "down"]);
    assert!(!process.exists());
}

#[test]
fn down_works_when_everything_that_keeps_order_is_dead() {
    let lab = TestLab::up(2);
    for target in ["keeper", "supervisor/COMP-1", "supervisor/COMP-2", "agent/COMP-1"] {
        lab.ok(&["lab", "kill", target]);
    }
    assert_eq!(lab.processes(&["http-server"]).len(), 2, "services are left, and nobody who keeps them");
    let status = lab.slap(&["lab", "status"]);
    assert_eq!(status.code, 1, "{status:?}");
    assert!(status.stdout.contains("agent dead, supervisor dead"), "{status:?}");
    assert!(status.stdout.contains("agent running, supervisor dead"), "{status:?}");
    let wait = lab.fails(4, &["lab", "wait"]);
    assert!(wait.contains("supervisor/COMP-") || wait.contains("agent/COMP-"), "{wait}");
    lab.ok(&["lab", "down"]);
    assert!(lab.processes(&[]).is_empty());
}
