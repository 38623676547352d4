//! kill -9 of everything, in any order, twice: `up` makes the lab green again, nothing acknowledged is lost, and no service runs twice.

use crate::support::{TestLab, get, instances};

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

#[test]
fn up_is_not_deceived_by_reports_from_before_the_kill() {
    let lab = TestLab::up(2);
    for round in 0..4 {
        lab.ok(&["lab", "kill", "supervisor/COMP-1"]);
        // At once, so that nobody noticed yet: the service's own process, not through `lab kill`, which waits for that.
        for pid in lab.processes(&["http-server"]) {
            std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
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
    assert!(status.code == 1 && status.stdout.contains("does not answer"), "{status:?}");
    lab.fails(3, &["lab", "wait", "--timeout", "1s"]);
    for target in ["keeper", "agent/COMP-1", "supervisor/COMP-1"] {
        lab.ok(&["lab", "pause", target]);
    }
    lab.ok(&["lab", "up", "--timeout", "60s"]);
    lab.ok(&["lab", "wait", "--timeout", "60s"]);
    lab.ok(&["lab", "pause", "supervisor/COMP-1"]);
    lab.ok(&["lab", "down"]);
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
    assert!(status.stdout.contains("keeper    dead"), "{status:?}");
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
fn down_works_when_everything_that_keeps_order_is_dead() {
    let lab = TestLab::up(2);
    for target in ["keeper", "supervisor/COMP-1", "supervisor/COMP-2", "agent/COMP-1"] {
        lab.ok(&["lab", "kill", target]);
    }
    assert_eq!(lab.processes(&["http-server"]).len(), 2, "services are left, and nobody who keeps them");
    lab.ok(&["lab", "down"]);
    assert!(lab.processes(&[]).is_empty());
}
