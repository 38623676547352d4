//! Which directory is a lab's, and whose: nothing else is taken down, removed, or started in.

use crate::{
    disk,
    support::{TestLab, get, processes_of, until},
};
use std::{
    fs,
    io::Write,
    os::unix::{
        fs::{MetadataExt, symlink},
        process::CommandExt,
    },
    path::Path,
    process::{Command, Stdio},
};

#[test]
fn a_foreign_directory_is_neither_removed_nor_used() {
    let lab = TestLab::up_empty(1, 1);
    let description = fs::read_to_string(lab.directory().join("lab.json")).unwrap();
    let newer = description.replace("\"version\": 2", "\"version\": 3");
    for (name, content) in [("other", "{}"), ("text", "hello"), ("newer", &newer), ("copy", &description)] {
        let place = lab.beside(name);
        fs::create_dir_all(place.join("nodes")).unwrap();
        fs::write(place.join("nodes/precious"), "x").unwrap();
        fs::write(place.join("lab.json"), content).unwrap();
        fs::write(place.join("lab.lock"), "").unwrap();
        let path = place.display().to_string();
        let told = lab.fails(2, &["lab", "down", "--purge", "--dir", &path]);
        assert!(told.contains(&path) && told.contains("hint:"), "{name}: {told}");
        for verb in ["up", "status", "wait", "logs", "down"] {
            let told = lab.fails(2, &["lab", verb, "--dir", &path]);
            assert!(told.contains(&path) && told.contains("hint:"), "{name} {verb}: {told}");
        }
        assert_eq!(fs::read_to_string(place.join("nodes/precious")).unwrap(), "x", "{name}");
        assert_eq!(fs::read_to_string(place.join("lab.json")).unwrap(), content, "{name}");
    }
    lab.ok(&["lab", "wait"]);
}

#[test]
fn a_lab_that_cannot_be_named_is_not_taken_for_the_remembered_one() {
    use std::os::unix::ffi::OsStrExt;
    let lab = TestLab::up_empty(1, 1);
    let name = std::ffi::OsStr::from_bytes(b"/tmp/nosuch\xff");
    let done = Command::new(assert_cmd::cargo::cargo_bin!("slap"))
        .args(["lab", "down", "--purge"])
        .env("HOME", lab.beside(""))
        .env("SLAP_LAB", name)
        .output()
        .unwrap();
    assert_eq!(done.status.code(), Some(2), "{done:?}");
    assert!(String::from_utf8_lossy(&done.stderr).contains("SLAP_LAB"), "{done:?}");
    lab.ok(&["lab", "wait"]);
}

#[test]
fn what_a_lab_did_not_make_survives_its_purge() {
    let lab = TestLab::up_empty(1, 1);
    fs::write(lab.directory().join("mine"), "precious").unwrap();
    let told = lab.slap(&["lab", "down", "--purge"]);
    assert!(told.code == 0 && told.stderr.contains("mine"), "{told:?}");
    let left: Vec<_> =
        fs::read_dir(lab.directory()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["mine"]);
    // It is no lab any more: the end of the test shall not look for one.
    fs::remove_dir_all(lab.directory()).unwrap();
}

#[test]
fn processes_are_found_when_their_directory_is_gone() {
    let lab = TestLab::up(1);
    fs::remove_dir_all(lab.directory()).unwrap();
    assert!(lab.processes(&[]).len() >= 4);
    let up = lab.fails(1, &["lab", "up", "--nodes", "1"]);
    assert!(up.contains("still run") && up.contains("slap lab down --dir"), "{up}");
    assert!(!lab.directory().exists(), "nothing is begun beside them");
    lab.ok(&["lab", "down"]);
    assert!(lab.processes(&[]).is_empty() && !lab.directory().exists());
    lab.ok(&["lab", "up", "--nodes", "1", "--empty"]);
}

#[test]
fn a_lab_that_was_moved_says_where_it_was_made() {
    let lab = TestLab::up(1);
    let (here, there) = (lab.beside("moved"), lab.directory());
    fs::rename(&there, &here).unwrap();
    let (moved, made) = (here.display().to_string(), there.display().to_string());
    for words in [&["up"][..], &["status"], &["wait"], &["down"], &["down", "--purge"]] {
        let done = lab.slap(&[&["lab"], words, &["--dir", &moved]].concat());
        assert!([1, 2].contains(&done.code), "{done:?}");
        assert!(done.stderr.contains(&format!("made in {made}, and moved")), "{done:?}");
        assert!(done.stderr.contains(&format!("hint: move it back to {made}")), "{done:?}");
    }
    let status = lab.fails(2, &["lab", "status"]);
    assert!(status.contains("still run") && status.contains("move it back"), "{status}");
    assert!(lab.processes(&[]).len() >= 4, "nothing was ended by that");
    // Back in its place it is as it was.
    fs::rename(&here, &there).unwrap();
    lab.ok(&["lab", "wait", "--timeout", "60s"]);
    // Its processes can be ended without it, and it goes on from where it was.
    fs::rename(&there, &here).unwrap();
    lab.ok(&["lab", "down", "--dir", &made]);
    assert!(lab.processes(&[]).is_empty() && !there.exists());
    fs::rename(&here, &there).unwrap();
    lab.ok(&["lab", "up", "--timeout", "60s"]);
    assert_eq!(get(&lab.url("hello-1")).unwrap().0, 200);
}

#[test]
fn root_leaves_processes_of_other_users_alone() {
    let lab = TestLab::new();
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        let mut stderr = std::io::stderr();
        writeln!(stderr, "SKIPPED: only root can start a process as another user").unwrap();
        return;
    }
    // Another user's process that names the lab of root, as one whose own directory stood there would.
    let mut foreign = Command::new("sleep")
        .arg("86397")
        .env("SLAP_LAB_PROCESS", lab.directory())
        .uid(65534)
        .current_dir("/")
        .spawn()
        .unwrap();
    let number = foreign.id().to_string();
    let told = lab.slap(&["lab", "down"]);
    assert!(told.code == 0 && told.stderr.contains(&number) && told.stderr.contains("65534"), "{told:?}");
    let up = lab.fails(1, &["lab", "up", "--nodes", "1", "--empty"]);
    assert!(up.contains("65534") && up.contains("hint:"), "{up}");
    assert!(foreign.try_wait().unwrap().is_none(), "it lives");
    foreign.kill().unwrap();
    foreign.wait().unwrap();
}

#[test]
fn a_lab_whose_address_was_taken_says_where_it_moves() {
    let lab = TestLab::up(1);
    let before = lab.status()["master_url"].as_str().unwrap().trim_start_matches("http://").to_owned();
    lab.ok(&["lab", "down"]);
    let taken = std::net::TcpListener::bind(&before).unwrap();
    // Also to one who asked for no steps: pages and the master are elsewhere.
    let up = lab.slap(&["lab", "up", "--quiet", "--timeout", "60s"]);
    let after = lab.status()["master_url"].as_str().unwrap().trim_start_matches("http://").to_owned();
    assert!(before != after && up.code == 0, "{up:?}");
    assert!(up.stderr.contains(&format!("{before} is taken: the master moves to {after}")), "{up:?}");
    drop(taken);
    assert!(!lab.slap(&["lab", "up", "--timeout", "60s"]).stderr.contains("is taken"));
}

#[test]
fn a_lab_is_one_however_it_is_spelled() {
    let lab = TestLab::new();
    let link = lab.beside("link");
    fs::create_dir(lab.directory()).unwrap();
    symlink(lab.directory(), &link).unwrap();
    let link = link.display().to_string();
    lab.ok(&["lab", "up", "--nodes", "1", "--dir", &link]);
    for target in ["keeper", "supervisor/COMP-1", "agent/COMP-1"] {
        lab.ok(&["lab", "kill", target, "--dir", &link]);
    }
    lab.ok(&["lab", "down"]);
    assert!(lab.processes(&[]).is_empty(), "found by the other spelling");
    lab.ok(&["lab", "up", "--timeout", "60s"]);
    lab.ok(&["lab", "down", "--purge", "--dir", &format!("{link}/../link/.")]);
    assert!(!lab.directory().exists() && lab.processes(&[]).is_empty());
}

#[test]
fn a_lab_of_another_user_is_refused_by_root_too() {
    let lab = TestLab::new();
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        let mut stderr = std::io::stderr();
        writeln!(stderr, "SKIPPED: only root can give a lab to another user").unwrap();
        return;
    }
    lab.ok(&["lab", "up", "--nodes", "1", "--empty"]);
    let before = processes_of(&lab.directory());
    let give = |path: &Path, user: u32| std::os::unix::fs::chown(path, Some(user), None).unwrap();
    let directory = lab.directory();
    for path in [directory.clone(), directory.join("lab.json")] {
        give(&path, 65534);
        for words in
            [&["up"][..], &["status"], &["wait"], &["kill", "master"], &["down"], &["down", "--purge"]]
        {
            let words = [&["lab"], words].concat();
            let told = lab.fails(2, &words);
            assert!(told.contains("65534") && told.contains("hint:"), "{words:?}: {told}");
        }
        give(&path, 0);
    }
    assert_eq!(processes_of(&directory), before);
    lab.ok(&["lab", "wait"]);
}

#[test]
fn an_interrupted_up_in_the_foreground_takes_the_lab_down() {
    let lab = TestLab::new();
    // A release that never becomes green keeps it waiting.
    let directory = lab.directory().display().to_string();
    lab.ok(&["lab", "up", "--nodes", "1", "--empty"]);
    let release = lab.release("broken", &[("software.cfg", "[buildout]\nparts = none\n")]);
    lab.ok(&["supply", &release, "COMP-1"]);
    let mut up = Command::new(assert_cmd::cargo::cargo_bin!("slap"))
        .args(["lab", "up", "--foreground", "--empty", "--dir", &directory])
        .env("HOME", lab.beside(""))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = std::io::BufReader::new(up.stderr.take().unwrap());
    let mut lines = std::io::BufRead::lines(log);
    assert!(lines.any(|line| line.unwrap().contains("Formatted 1 node with")), "it waits for green");
    Command::new("kill").args(["-INT", &up.id().to_string()]).status().unwrap();
    let code = until("it ends", || up.try_wait().unwrap()).code();
    let told: Vec<String> = lines.map_while(Result::ok).collect();
    assert_eq!(code, Some(130), "{told:?}");
    assert!(lab.processes(&[]).is_empty(), "{told:?}");
}

#[test]
fn what_keeps_a_lab_from_being_started_is_named() {
    let lab = TestLab::up_empty(1, 1);
    lab.ok(&["lab", "down"]);
    let log = lab.directory().join("log/keeper.log");
    fs::remove_file(&log).unwrap();
    fs::create_dir(&log).unwrap();
    let up = lab.fails(1, &["lab", "up", "--timeout", "20s"]);
    assert!(up.contains(&format!("started: {}: ", log.display())) && up.contains("\nhint: "), "{up}");
    fs::remove_dir(&log).unwrap();
    lab.ok(&["lab", "up", "--timeout", "60s"]);
}

/// A machine whose /dev/null is gone.
const NOWHERE: &str = r#"
mount -t tmpfs tmpfs /dev || exit 77
said=$("$1" lab up --dir "$2/lab" --timeout 20s 2>&1)
echo "up $? $said" | tr '\n' ' '
"#;

#[test]
fn a_machine_without_dev_null_is_told_so() {
    let lab = TestLab::new();
    let Some((said, _)) = disk::run(&lab, NOWHERE) else { return };
    disk::check(&said, "up", 1, &["started: /dev/null: No such file", "hint: "]);
}
