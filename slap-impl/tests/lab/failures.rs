//! What goes wrong is said in each place where a user looks, the rest goes on, and what is repaired recovers without help.

use crate::support::{Done, TestLab, get, software_profile, until};
use std::fs;

/// Where a user looks: each place must say by itself what is wrong.
const PLACES: [&str; 4] = ["request", "wait", "service info", "lab status"];

/// Looks at one of the places; `request` asks again for what is asked for already.
fn look(lab: &TestLab, place: &str, title: &str, release: &str) -> Done {
    match place {
        "request" => lab.slap(&["request", title, release, "--node", "computer_guid=COMP-1"]),
        "wait" => lab.slap(&["wait", title, "--timeout", "10ms"]),
        "service info" => lab.slap(&["service", "info", title]),
        "lab status" => lab.slap(&["lab", "status"]),
        other => panic!("{other}"),
    }
}

/// Each place names all of these, in due time. Between two tries of the node a report may be of another kind for a moment.
#[track_caller]
fn each_place_says(lab: &TestLab, title: &str, release: &str, named: &[&str]) {
    for place in PLACES {
        until(&format!("`{place}` says {named:?}"), || {
            let done = look(lab, place, title, release);
            let text = format!("{}{}", done.stdout, done.stderr);
            named.iter().all(|name| text.contains(name)).then_some(())
        });
    }
}

const SERVICE: &str = "\
[buildout]
parts = service promise
eggs-directory = /nonexistent
develop-eggs-directory = /nonexistent

[directory]
recipe = slapos.cookbook:mkdirectory
service = ${buildout:directory}/etc/service
promise = ${buildout:directory}/etc/promise

[service]
recipe = slapos.cookbook:wrapper
command-line = SERVICE
wrapper-path = ${directory:service}/worker

[promise]
recipe = slapos.cookbook:wrapper
command-line = PROMISE
wrapper-path = ${directory:promise}/checked
";

fn profile(service: &str, promise: &str) -> String {
    SERVICE.replace("SERVICE", service).replace("PROMISE", promise)
}

fn supply_and_request(lab: &TestLab, title: &str, release: &str) {
    lab.ok(&["supply", release, "COMP-1"]);
    lab.ok(&["request", title, release, "--node", "computer_guid=COMP-1"]);
}

#[test]
fn a_broken_release_is_named_and_recovers_when_repaired() {
    let lab = TestLab::up(1);
    let release = lab.release(
        "broken",
        &[("software.cfg", "[buildout]\nparts = thing\n[thing]\nrecipe = no.such:recipe\n")],
    );
    lab.ok(&["supply", &release, "COMP-1"]);
    let status = lab.until("the build fails", |status| {
        let software = status["nodes"][0]["software"].as_array()?;
        let found = software.iter().find(|software| software["url"] == release.as_str())?;
        (found["health"]["state"] == "red").then(|| found.to_string())
    });
    assert!(status.contains("no.such:recipe") && status.contains("software.cfg"), "{status}");
    lab.ok(&["request", "later", &release, "--node", "computer_guid=COMP-1"]);
    let wait = lab.fails(3, &["lab", "wait", "--timeout", "1s"]);
    assert!(wait.contains("no.such:recipe"), "{wait}");
    each_place_says(&lab, "later", &release, &["no.such:recipe"]);
    // The log's end begins with the whole line of the last run.
    let info = until("it is said that the release is not built", || {
        let text = lab.slap(&["service", "info", "later"]).stderr;
        text.contains("Software Release").then_some(text)
    });
    let first = info.split(".software.log:\n").nth(1).unwrap_or_else(|| panic!("{info}"));
    assert!(first.trim_start().starts_with("--- 2"), "{info}");
    assert_eq!(get(&lab.url("hello-1")).unwrap().0, 200, "the rest goes on");

    fs::write(&release, software_profile()).unwrap();
    let instance = profile("sleep 1000", "true");
    fs::write(std::path::Path::new(&release).with_file_name("instance.cfg"), instance).unwrap();
    lab.ok(&["wait", "later", "--for", "green", "--timeout", "120s"]);
    lab.ok(&["lab", "wait"]);
}

#[test]
fn a_broken_instance_is_named_and_recovers_when_repaired() {
    let lab = TestLab::up_empty(1, 2);
    let files = [("software.cfg", software_profile()), ("instance.cfg", "[buildout]\nparts = gone\n")];
    let release = lab.release("broken", &files);
    supply_and_request(&lab, "worker", &release);
    each_place_says(&lab, "worker", &release, &["#error", "gone"]);
    // A porter repairs the profile and asks for another build of it.
    let repaired = lab.release(
        "repaired",
        &[("software.cfg", software_profile()), ("instance.cfg", &profile("sleep 1000", "true"))],
    );
    lab.ok(&["supply", &repaired, "COMP-1"]);
    lab.ok(&["request", "worker", &repaired, "--node", "computer_guid=COMP-1"]);
    lab.ok(&["wait", "worker", "--for", "green", "--timeout", "60s"]);
}

#[test]
fn a_failing_promise_is_red_until_it_is_kept() {
    let lab = TestLab::up_empty(1, 2);
    let witness = lab.beside("witness");
    let promise = format!("sh -c 'test -e {} || {{ echo no witness came; exit 1; }}'", witness.display());
    let instance = profile("sleep 1000", &promise);
    let release =
        lab.release("promising", &[("software.cfg", software_profile()), ("instance.cfg", &instance)]);
    supply_and_request(&lab, "worker", &release);
    each_place_says(&lab, "worker", &release, &["checked", "no witness came"]);
    until("the status has a hint, and the promise's log", || {
        let status = lab.slap(&["lab", "status"]);
        let hint = format!("`slap lab logs --dir {} COMP-1/slappart0`", lab.directory().display());
        let (_, log) = status.stdout.split_once("/promise/log/checked.log\n")?;
        let has_line = log.lines().next().is_some_and(|line| line.contains("no witness came"));
        (status.code == 0 && has_line && status.stderr.contains(&hint)).then_some(())
    });
    fs::write(&witness, "").unwrap();
    lab.ok(&["wait", "worker", "--for", "green", "--timeout", "120s"]);
}

#[test]
fn a_service_that_exits_at_once_is_named_and_does_not_loop() {
    let lab = TestLab::up_empty(1, 2);
    let starts = lab.beside("starts");
    let command = format!("sh -c 'echo started >> {}; echo I give up; exit 7'", starts.display());
    let instance = profile(&command, "true");
    let release =
        lab.release("exiting", &[("software.cfg", software_profile()), ("instance.cfg", &instance)]);
    supply_and_request(&lab, "worker", &release);
    lab.until("it is red", |_| {
        let instance = lab.instance("worker")?;
        (instance["health"]["state"] == "red").then_some(())
    });
    let count = || fs::read_to_string(&starts).unwrap().lines().count();
    // The pauses grow: 1, 2, 4 ... seconds. A loop without them would start it hundreds of times while we ask.
    lab.fails(3, &["wait", "worker", "--timeout", "3s"]);
    let started = count();
    assert!((1..=6).contains(&started), "{started} starts");
    each_place_says(&lab, "worker", &release, &["worker", "exited with 7", "I give up"]);
    let status = lab.slap(&["lab", "status"]);
    assert!(status.stderr.contains("hint: nodes try again by themselves"), "{status:?}");
    // The line that says what is waited for says what failed.
    for words in [&["wait", "worker", "--timeout", "1s"][..], &["lab", "wait", "--timeout", "1s"]] {
        let wait = lab.fails(3, words);
        let line = wait.lines().next().unwrap_or_default();
        assert!(line.contains("#error while instanciating: ") && line.contains("worker"), "{wait}");
    }
}

#[test]
fn a_full_computer_is_said_to_be_full() {
    let lab = TestLab::up_empty(1, 1);
    let files = [("software.cfg", software_profile()), ("instance.cfg", &profile("sleep 1000", "true"))];
    let release = lab.release("small", &files);
    supply_and_request(&lab, "first", &release);
    let done = lab.slap(&["request", "second", &release, "--node", "computer_guid=COMP-1"]);
    assert_ne!(done.code, 0);
    let text = format!("{}{}", done.stdout, done.stderr);
    assert!(text.contains("COMP-1") && text.contains("free"), "{text}");
    let wait = lab.fails(4, &["wait", "second"]);
    let info = lab.fails(2, &["service", "info", "second"]);
    for text in [&wait, &info] {
        assert!(text.contains("no partition is free now (COMP-1 has 1, all in use)"), "{text}");
        assert!(text.contains("slap lab up --nodes"), "{text}");
    }
    let status = lab.ok(&["lab", "status"]);
    assert!(status.contains("1 partition, all in use"), "{status}");
    assert!(text.contains("slap lab up --nodes"), "a lab gets room by more nodes: {text}");
    lab.ok(&["wait", "first", "--for", "green", "--timeout", "60s"]);
}

#[test]
fn a_master_that_is_down_is_said_to_be_down_and_services_stay() {
    let lab = TestLab::up(1);
    let url = lab.url("hello-1");
    lab.ok(&["lab", "pause", "keeper"]);
    lab.ok(&["lab", "kill", "master"]);
    let done = lab.slap(&["service", "list"]);
    assert_ne!(done.code, 0);
    assert!(done.stderr.contains("127."), "it names the address: {done:?}");
    let status = lab.slap(&["lab", "status"]);
    assert!(status.stdout.contains("master") && status.stderr.contains("slap lab up"), "{status:?}");
    let master = done.stderr.split("http://").nth(1).unwrap().split(['/', ' ']).next().unwrap().to_owned();
    let release = lab.first_release();
    for place in PLACES {
        let done = look(&lab, place, "hello-1", &release);
        let text = format!("{}{}", done.stdout, done.stderr);
        assert!(done.code != 0 && text.contains(&master) && text.contains("offline"), "{place}: {done:?}");
        assert!(text.contains("hint:") && text.contains("slap lab up --dir "), "{place}: {done:?}");
    }
    assert!(done.stderr.contains(&format!("`slap lab up --dir {}`", lab.directory().display())), "{done:?}");
    let wait = lab.fails(3, &["lab", "wait", "--timeout", "1s"]);
    assert!(wait.contains("the master at") && wait.contains(&master), "{wait}");
    assert_eq!(get(&url).unwrap().0, 200, "services stay");
    lab.ok(&["lab", "resume", "keeper"]);
    lab.ok(&["lab", "wait"]);
}

/// Somebody else took its address, and says nothing.
#[test]
fn a_master_that_does_not_answer_in_time_is_named_with_a_time_to_read() {
    let lab = TestLab::up_empty(1, 1);
    let url = lab.status()["master_url"].as_str().unwrap().to_owned();
    lab.ok(&["lab", "pause", "keeper"]);
    lab.ok(&["lab", "kill", "master"]);
    let silent = std::net::TcpListener::bind(url.trim_start_matches("http://")).unwrap();
    let up = lab.fails(3, &["lab", "up", "--timeout", "3s"]);
    let time =
        up.split("no answer for ").nth(1).unwrap_or_else(|| panic!("{up}")).split(" s\n").next().unwrap();
    assert!(time.parse::<f64>().is_ok() && time.len() <= 4, "{up}");
    assert!(up.contains(&url) && up.contains("hint:"), "{up}");
    drop(silent);
    lab.ok(&["lab", "wait", "--timeout", "110s"]);
}

#[test]
fn a_killed_service_is_seen_red_before_it_is_green_again() {
    let lab = TestLab::up(1);
    let before = lab.processes(&["http-server"]);
    let log = lab.partition("COMP-1", 0).join(".slapgrid/promise/log/hello-http-available.log");
    let length = fs::read_to_string(&log).unwrap().len();
    lab.ok(&["lab", "kill", "COMP-1/slappart0/hello-http"]);
    lab.ok(&["lab", "wait"]);
    let after = lab.processes(&["http-server"]);
    assert!(after.len() == 1 && after != before, "{before:?} {after:?}");
    let log = fs::read_to_string(&log).unwrap().split_off(length);
    let red = log.find("ERROR").unwrap_or_else(|| panic!("the promise was never red:\n{log}"));
    assert!(log[red..].contains("INFO"), "and green afterwards:\n{log}");
    assert_eq!(get(&lab.url("hello-1")).unwrap().0, 200);
}

/// Also when nobody tells the master: a report from before is not believed.
#[test]
fn a_dead_service_is_red_also_when_its_node_says_nothing() {
    let lab = TestLab::up(1);
    lab.ok(&["lab", "pause", "agent/COMP-1"]);
    for pid in lab.processes(&["http-server"]) {
        std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
    }
    let status = lab.until("the service is seen dead", |_| {
        let status = lab.slap(&["lab", "status"]);
        status.stdout.contains("service hello-http is dead").then_some(status)
    });
    assert!(status.code == 1 && status.stdout.contains("agent paused"), "{status:?}");
    let wait = lab.fails(3, &["lab", "wait", "--timeout", "500ms"]);
    assert!(wait.contains("hello-http is dead") && wait.contains("agent is paused"), "{wait}");
    lab.ok(&["lab", "resume", "agent/COMP-1"]);
    lab.ok(&["lab", "wait", "--timeout", "60s"]);
    assert_eq!(get(&lab.url("hello-1")).unwrap().0, 200);
}

#[test]
fn the_end_of_a_long_log_begins_with_a_whole_line() {
    let lab = TestLab::up_empty(1, 2);
    let lines = |code: u8| {
        format!(
            "sh -c 'i=0; while [ $i -lt 70 ]; do i=$((i+1)); printf \"line%s %0230d\\n\" $i 0; done; exit {code}'"
        )
    };
    for (title, service, promise) in
        [("talker", lines(7), "true".to_owned()), ("checker", "sleep 1000".to_owned(), lines(1))]
    {
        let files = [("software.cfg", software_profile()), ("instance.cfg", &profile(&service, &promise))];
        let release = lab.release(title, &files);
        supply_and_request(&lab, title, &release);
        for place in PLACES {
            let text = until(&format!("`{place}` shows the end of the log of {title}"), || {
                let done = look(&lab, place, title, &release);
                let text = format!("{}{}", done.stdout, done.stderr);
                text.contains("00000").then_some(text)
            });
            for line in text.lines().filter(|line| line.contains("00000")) {
                assert!(line.trim_start().starts_with("line"), "{place}: {line}");
            }
        }
    }
}

/// Where it goes wrong, and by which parameter; the lab's own content is asked for again with it.
#[test]
fn up_does_not_wait_for_an_instance_that_is_refused() {
    let lab = TestLab::up(2);
    let release = lab.first_release();
    let request = |title: &str, computer: &str, parameter: &str| {
        let node = format!("computer_guid={computer}");
        lab.ok(&["request", title, &release, "--node", &node, "--parameters", parameter]);
    };
    request("hello-1", "COMP-1", "port=nine");
    request("hello-2", "COMP-2", "port=ten");
    // What has failed definitely is said in one line at once, and in the end; a wait goes on until its time is up.
    let wait = lab.fails(3, &["lab", "wait", "--timeout", "5s"]);
    let line =
        |line: &&str| line.trim().starts_with("hello-1 (COMP-1/slappart0): #error") && line.contains("port");
    assert!(wait.split("error: the time was up").next().unwrap().lines().any(|text| line(&text)), "{wait}");
    for words in [&["lab", "up", "--timeout", "110s"][..], &["lab", "up", "--quiet", "--timeout", "110s"]] {
        let up = lab.fails(1, words);
        assert!(up.contains("hello-1") && up.contains("hello-2") && up.contains("Error: port = "), "{up}");
        assert!(up.contains("log: ") && up.contains("hint: repair it"), "{up}");
    }
    assert_eq!(lab.slap(&["lab", "status"]).code, 0, "the lab itself runs on");
    // As long as something else may become well, it is waited for.
    request("hello-2", "COMP-2", "name=two");
    lab.ok(&["wait", "hello-2", "--timeout", "60s"]);
    lab.fails(1, &["lab", "up", "--timeout", "110s"]);
    request("hello-1", "COMP-1", "name=one");
    lab.ok(&["lab", "up", "--timeout", "60s"]);
}

/// A promise may be kept later: that is not for `up` to decide.
#[test]
fn up_waits_for_a_promise_that_fails() {
    let lab = TestLab::up_empty(1, 2);
    let instance = profile("sleep 1000", "sh -c 'echo no witness came; exit 1'");
    let release = lab.release("red", &[("software.cfg", software_profile()), ("instance.cfg", &instance)]);
    supply_and_request(&lab, "worker", &release);
    each_place_says(&lab, "worker", &release, &["no witness came"]);
    let up = lab.fails(3, &["lab", "up", "--timeout", "12s"]);
    assert!(up.contains("no witness came"), "{up}");
}

#[test]
fn up_does_not_wait_for_a_release_that_cannot_be_built() {
    let lab = TestLab::up(1);
    let release = lab.release("broken", &[("software.cfg", "[buildout]\nparts = none\n")]);
    supply_and_request(&lab, "later", &release);
    let up = lab.fails(1, &["lab", "up", "--timeout", "110s"]);
    assert!(up.contains("failed again and again") && up.contains(&release), "{up}");
    assert_eq!(get(&lab.url("hello-1")).unwrap().0, 200);
}

/// What is acknowledged must be found again: not in a file that nobody can open any more.
#[test]
fn a_master_whose_database_was_removed_takes_nothing_and_says_so() {
    let lab = TestLab::up(1);
    let url = lab.url("hello-1");
    let release = lab.first_release();
    fs::remove_dir_all(lab.directory().join("master")).unwrap();
    let database = lab.directory().join("master/proxy.db").display().to_string();
    let removed = format!("{database}: the database's file was removed");
    for words in [
        &["request", "second", &release, "--node", "computer_guid=COMP-1"][..],
        &["supply", &release, "COMP-1"],
        &["service", "list"],
        &["lab", "up", "--timeout", "110s"],
    ] {
        let told = lab.fails(1, words);
        assert!(told.contains(&removed) && told.contains("hint: "), "{words:?}: {told}");
    }
    let status = lab.slap(&["lab", "status"]);
    assert!(status.code == 1 && status.stdout.contains(&removed), "{status:?}");
    let wait = lab.fails(3, &["lab", "wait", "--timeout", "200ms"]);
    assert!(wait.contains(&removed), "{wait}");
    assert_eq!(get(&url).unwrap().0, 200, "services stay");
    // As the hint says: it is given up.
    lab.ok(&["lab", "down"]);
    lab.ok(&["lab", "up", "--timeout", "110s"]);
    assert!(lab.instance("hello-1").is_none(), "it is lost");
    supply_and_request(&lab, "hello-1", &release);
    lab.ok(&["wait", "hello-1", "--timeout", "110s"]);
    assert_eq!(get(&lab.url("hello-1")).unwrap().0, 200);
}
