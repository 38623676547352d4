//! Up, down, and what a user does in between.

use crate::support::{TestLab, get, instances, processes_of, until};
use std::{fs, os::unix::fs::PermissionsExt};

#[test]
fn three_nodes_become_green_with_pages_to_open() {
    let lab = TestLab::up(3);
    let status = lab.status();
    let instances = instances(&status);
    assert_eq!(instances.len(), 3);
    assert_eq!(status["nodes"].as_array().unwrap().len(), 3);
    assert_eq!(status["nodes"][0]["partitions"].as_array().unwrap().len(), 4);
    let mut pages = Vec::new();
    for (title, instance) in &instances {
        assert_eq!(instance["health"]["state"], "green", "{instance}");
        let promises = instance["promises"].as_array().unwrap();
        assert_eq!(promises.len(), 2, "{instance}");
        assert!(promises.iter().all(|promise| promise["failed"] == false), "{instance}");
        let (code, page) = get(&lab.url(title)).unwrap();
        assert_eq!(code, 200);
        assert!(page.contains(&format!("Hello {}!", title.replace("hello", "COMP"))), "{page}");
        pages.push(lab.url(title));
    }
    pages.dedup();
    assert_eq!(pages.len(), 3, "each has an address of its own");
    let mode = |path: &str| fs::metadata(lab.directory().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(""), 0o700);
    assert_eq!(mode("run/keeper/supervisor.socket"), 0o600);
    assert_eq!(mode("nodes/COMP-1/instance/slappart0"), 0o750);
}

#[test]
fn up_over_a_green_lab_changes_nothing() {
    let lab = TestLab::up(1);
    let before = processes_of(&lab.directory());
    lab.ok(&["lab", "up"]);
    assert_eq!(processes_of(&lab.directory()), before);
    lab.ok(&["lab", "up", "--nodes", "2"]);
    assert_eq!(lab.status()["nodes"].as_array().unwrap().len(), 2, "a lab can get more nodes");
    assert_eq!(get(&lab.url("hello-2")).unwrap().0, 200, "which get an instance as the first ones did");
    assert!(before.keys().all(|pid| processes_of(&lab.directory()).contains_key(pid)));
}

#[test]
fn an_empty_lab_stays_empty_until_its_user_fills_it() {
    let lab = TestLab::new();
    let up = lab.ok(&["lab", "up", "--empty", "--nodes", "1"]);
    for words in [&["lab", "up"][..], &["lab", "up", "--nodes", "2"], &["lab", "up", "--empty"]] {
        lab.ok(words);
        let status = lab.status();
        assert!(instances(&status).is_empty(), "{words:?}: {status}");
        assert_eq!(status["nodes"][0]["software"].as_array().unwrap().len(), 0, "{words:?}: {status}");
    }
    // What `up` printed as the next commands.
    for verb in ["supply", "request"] {
        let line =
            up.lines().find(|line| line.contains(&format!(" {verb} "))).unwrap_or_else(|| panic!("{up}"));
        let words: Vec<&str> = line.split_whitespace().skip(1).collect();
        lab.ok(&words);
    }
    lab.ok(&["wait", "hello-1", "--timeout", "60s"]);
    lab.ok(&["lab", "up", "--timeout", "60s"]);
    assert_eq!(instances(&lab.status()).len(), 1, "and nothing else comes");
}

#[test]
fn a_lab_that_is_not_empty_is_not_made_empty() {
    let lab = TestLab::up(1);
    let told = lab.fails(2, &["lab", "up", "--empty"]);
    assert!(told.contains("--empty") && told.contains("not empty") && told.contains("hint:"), "{told}");
    assert_eq!(get(&lab.url("hello-1")).unwrap().0, 200);
    // As an earlier program described it: without the field it is not an empty one.
    let path = lab.directory().join("lab.json");
    assert!(!fs::read_to_string(&path).unwrap().contains("\"empty\""));
    lab.ok(&["lab", "up", "--nodes", "2", "--timeout", "60s"]);
    assert_eq!(instances(&lab.status()).len(), 2);
}

#[test]
fn down_leaves_nothing_and_may_be_repeated() {
    let lab = TestLab::up(2);
    for round in 0..2 {
        lab.ok(&["lab", "down"]);
        assert!(processes_of(&lab.directory()).is_empty());
        lab.ok(&["lab", "down"]);
        let up = lab.slap(&["lab", "up"]);
        assert!(up.code == 0 && !up.stderr.contains("#error"), "nothing failed: {up:?}");
        // At once: `up` has said that all is green.
        for title in ["hello-1", "hello-2"] {
            let page = get(&lab.url(title));
            assert!(page.is_some_and(|(code, _)| code == 200), "round {round}: {title} is not served");
            lab.ok(&["wait", title, "--for", "green", "--timeout", "60s"]);
        }
        assert_eq!(lab.processes(&["http-server"]).len(), 2);
        assert_eq!(instances(&lab.status()).len(), 2, "the state is still there");
    }
    lab.ok(&["lab", "down", "--purge"]);
    assert!(!lab.directory().exists());
    lab.ok(&["lab", "down", "--purge"]);
}

#[test]
fn a_newer_program_replaces_everything_but_services() {
    let lab = TestLab::up(2);
    let services = lab.processes(&["http-server"]);
    let before = processes_of(&lab.directory());
    // The same program with a byte more is another program, and runs as well.
    let newer = lab.beside("slap-newer");
    let mut bytes = fs::read(assert_cmd::cargo::cargo_bin!("slap")).unwrap();
    bytes.push(0);
    fs::write(&newer, &bytes).unwrap();
    fs::set_permissions(&newer, fs::Permissions::from_mode(0o755)).unwrap();
    let up = std::process::Command::new(&newer)
        .args(["lab", "up", "--dir", &lab.directory().display().to_string(), "--timeout", "60s"])
        .env("HOME", lab.beside(""))
        .output()
        .unwrap();
    assert!(up.status.success(), "{up:?}");
    assert_eq!(fs::read(lab.directory().join("bin/slap")).unwrap().len(), bytes.len());
    assert_eq!(lab.processes(&["http-server"]), services, "services stay");
    let after = processes_of(&lab.directory());
    let kept: Vec<_> = after.keys().filter(|pid| before.contains_key(pid)).copied().collect();
    assert_eq!(kept, services, "keeper, master, agents and supervisors are new");
    assert_eq!(after.len(), before.len());
    lab.ok(&["lab", "wait"]);
}

#[test]
fn a_directory_that_up_was_killed_in_can_be_used_and_purged() {
    let lab = TestLab::new();
    let half_made = || {
        fs::create_dir_all(lab.directory()).unwrap();
        fs::write(lab.directory().join("lab.lock"), "").unwrap();
    };
    half_made();
    lab.ok(&["lab", "down", "--purge"]);
    assert!(!lab.directory().exists());
    half_made();
    lab.ok(&["lab", "up", "--nodes", "1", "--empty"]);
}

#[test]
fn of_two_ups_at_once_one_says_so() {
    let lab = TestLab::new();
    let results: Vec<_> = std::thread::scope(|scope| {
        let up = || lab.slap(&["lab", "up", "--nodes", "1", "--empty"]);
        let ups = [scope.spawn(up), scope.spawn(up)];
        ups.map(|up| up.join().unwrap()).into()
    });
    assert!(results.iter().any(|done| done.code == 0), "{results:?}");
    for done in results {
        assert!(done.code == 0 || done.stderr.contains("another `slap lab up`"), "{done:?}");
    }
    lab.ok(&["lab", "wait", "--for", "formatted"]);
}

#[test]
fn labs_live_side_by_side() {
    let (one, two) = (TestLab::up(1), TestLab::up(1));
    assert_ne!(one.url("hello-1"), two.url("hello-1"));
    one.ok(&["lab", "down", "--purge"]);
    assert_eq!(get(&two.url("hello-1")).unwrap().0, 200, "the end of one is not the other's");
}

#[test]
fn without_a_directory_a_fresh_one_is_made_and_remembered() {
    let lab = TestLab::new();
    let nothing = [("SLAP_LAB", "")];
    let up = lab.slap_with(&["lab", "up", "--nodes", "1", "--empty"], &nothing);
    assert_eq!(up.code, 0, "{up:?}");
    let status = lab.slap_with(&["lab", "status", "--output", "json"], &nothing);
    assert_eq!(status.code, 0, "{status:?}");
    let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    let directory = std::path::PathBuf::from(status["directory"].as_str().unwrap());
    assert!(directory.starts_with(lab.beside("")), "{}", directory.display());
    let down = lab.slap_with(&["lab", "down", "--purge"], &nothing);
    assert_eq!(down.code, 0, "{down:?}");
    assert!(!directory.exists() && processes_of(&directory).is_empty());
    assert_eq!(lab.slap_with(&["lab", "status"], &nothing).code, 2, "it is forgotten");
}

#[test]
fn a_release_can_be_supplied_by_url() {
    let lab = TestLab::up(1);
    let release = lab.first_release();
    let directory = std::path::Path::new(&release).parent().unwrap().display().to_string();
    let log = lab.beside("server.log");
    let server = std::process::Command::new(assert_cmd::cargo::cargo_bin!("slap"))
        .args(["http-server", "--host", "127.0.0.1", "--port", "0", "--directory", &directory])
        .stdout(std::process::Stdio::null())
        .stderr(fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let _server = Killed(server);
    let address = until("the server says where it listens", || {
        let text = fs::read_to_string(&log).ok()?;
        Some(text.split_once(" at ")?.1.split_once('\n')?.0.to_owned())
    });
    let url = format!("http://{address}/software.cfg");
    lab.ok(&["supply", &url, "COMP-1"]);
    lab.ok(&["request", "by-url", &url, "--node", "computer_guid=COMP-1", "--parameters", "name=URL"]);
    lab.ok(&["wait", "by-url", "--for", "green", "--timeout", "120s"]);
    assert!(get(&lab.url("by-url")).unwrap().1.contains("Hello URL!"));
}

/// A process that is killed when it is dropped.
struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().expect("it was started here");
        self.0.wait().expect("it was started here");
    }
}
