//! Other parameters, other states.

use crate::support::{TestLab, get, post, until};
use serde_json::Value;
use std::{
    fs,
    io::Write,
    net::{TcpListener, TcpStream},
};

fn request(lab: &TestLab, more: &[&str]) {
    let release = lab.first_release();
    let mut words = vec!["request", "hello-1", &release, "--node", "computer_guid=COMP-1"];
    words.extend(more);
    lab.ok(&words);
}

#[test]
fn other_parameters_change_the_page_and_restart_nothing() {
    let lab = TestLab::up(2);
    let services = lab.processes(&["http-server"]);
    let pages = [lab.url("hello-1"), lab.url("hello-2")];
    request(&lab, &["--parameters", "name=Ada & <Grace>"]);
    lab.ok(&["wait", "hello-1", "--for", "green", "--timeout", "60s"]);
    let page = get(&pages[0]).unwrap().1;
    assert!(page.contains("Hello Ada &amp; &lt;Grace&gt;!"), "{page}");
    assert!(get(&pages[1]).unwrap().1.contains("Hello COMP-2!"));
    assert_eq!(lab.processes(&["http-server"]), services, "no service was restarted");
    let info = lab.ok(&["service", "info", "hello-1"]);
    assert!(info.contains("Ada & <Grace>"), "{info}");
}

#[test]
fn the_port_can_be_chosen() {
    let lab = TestLab::up(1);
    request(&lab, &["--parameters", "name=Ada", "port=8765"]);
    lab.ok(&["wait", "hello-1", "--for", "green", "--timeout", "60s"]);
    assert!(lab.url("hello-1").ends_with(":8765/"), "{}", lab.url("hello-1"));
    assert!(get(&lab.url("hello-1")).unwrap().1.contains("Hello Ada!"));
    assert_eq!(lab.processes(&["http-server"]).len(), 1, "the one on the other port is gone");
}

#[test]
fn stopped_started_and_destroyed() {
    let lab = TestLab::up(1);
    let url = lab.url("hello-1");
    request(&lab, &["--state", "stopped"]);
    lab.ok(&["wait", "hello-1", "--for", "stopped", "--timeout", "60s"]);
    assert!(get(&url).is_none() && lab.processes(&["http-server"]).is_empty());
    assert_eq!(lab.instance("hello-1").unwrap()["health"]["state"], "green");
    lab.ok(&["lab", "wait"]);
    lab.fails(4, &["wait", "hello-1", "--for", "started"]);

    request(&lab, &["--state", "started"]);
    lab.ok(&["wait", "hello-1", "--for", "green", "--timeout", "60s"]);
    assert_eq!(get(&url).unwrap().0, 200);

    request(&lab, &["--state", "destroyed"]);
    lab.ok(&["wait", "hello-1", "--for", "destroyed", "--timeout", "60s"]);
    assert!(get(&url).is_none() && lab.processes(&["http-server"]).is_empty());
    let partition = lab.partition("COMP-1", 0);
    let left: Vec<_> = fs::read_dir(&partition).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, [".slapos-resource"], "only what the node's format put there is left");
    assert!(lab.instance("hello-1").is_none());

    request(&lab, &["--parameters", "name=again"]);
    lab.ok(&["wait", "hello-1", "--for", "green", "--timeout", "60s"]);
    assert!(get(&lab.url("hello-1")).unwrap().1.contains("Hello again!"));
}

#[test]
fn a_removed_release_is_gone_when_nothing_uses_it() {
    let lab = TestLab::up(1);
    let release = lab.first_release();
    let software = lab.directory().join("nodes/COMP-1/software");
    let is_release = |entry: &fs::DirEntry| !entry.file_name().to_string_lossy().starts_with('.');
    let built = || fs::read_dir(&software).unwrap().flatten().filter(is_release).count();
    assert_eq!(built(), 1);
    request(&lab, &["--state", "destroyed"]);
    lab.ok(&["wait", "hello-1", "--for", "destroyed", "--timeout", "60s"]);
    lab.ok(&["remove", &release, "COMP-1"]);
    until("the release is removed", || (built() == 0).then_some(()));
}

#[test]
fn a_release_that_is_removed_while_it_is_built_is_reported_when_it_is_wanted_again() {
    let lab = TestLab::up_empty(1, 1);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let profile = format!(
        "[buildout]\nparts = file\n\n[file]\nrecipe = slapos.recipe.build:download\nurl = http://{}/file\n",
        listener.local_addr().unwrap()
    );
    let release = lab.release("slow", &[("software.cfg", &profile)]);
    lab.ok(&["supply", &release, "COMP-1"]);
    let (stream, _) = listener.accept().unwrap();
    // It is being built now. An earlier report that it is gone arrives late.
    lab.ok(&["remove", &release, "COMP-1"]);
    let report = format!("{}/destroyedSoftwareRelease", lab.status()["master_url"].as_str().unwrap());
    let (status, body) = post(&report, &[("url", &release), ("computer_id", "COMP-1")]).unwrap();
    assert_eq!((status, body.as_str()), (200, "OK"));
    let supplied = |status: &Value| status["nodes"][0]["software"].as_array().unwrap().len();
    assert_eq!(supplied(&lab.status()), 0);
    let answer = |mut stream: TcpStream| {
        // Whoever asked may be gone: the lab is taken down at the end.
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi");
    };
    answer(stream);
    // An update downloads it again; and before the agent learns of the removal, it may try once more.
    std::thread::spawn(move || listener.incoming().for_each(|stream| answer(stream.unwrap())));
    until("it is built", || {
        lab.ok(&["lab", "logs"]).contains("is not supplied to COMP-1 any more").then_some(())
    });

    lab.ok(&["supply", &release, "COMP-1"]);
    lab.until("the master knows that it is built", |status| {
        let status = status["nodes"][0]["software"][0]["status"].as_str()?;
        status.contains("available").then_some(())
    });
}
