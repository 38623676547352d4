//! Bad settings: an error that names the key or path, what was expected, and a hint; and nothing half-made is left.

use crate::support::TestLab;
use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt};

fn check(lab: &TestLab, code: i32, words: &[&str], named: &[&str]) {
    let done = lab.slap(words);
    assert_eq!(done.code, code, "slap {words:?}: {done:?}");
    for name in named {
        assert!(done.stderr.contains(name), "slap {words:?} does not name {name:?}:\n{}", done.stderr);
    }
}

#[test]
fn arguments_of_up() {
    let lab = TestLab::new();
    check(&lab, 2, &["lab", "up", "--nodes", "0"], &["--nodes", "expected"]);
    check(&lab, 2, &["lab", "up", "--nodes", "many"], &["--nodes"]);
    check(&lab, 2, &["lab", "up", "--nodes", "1000", "--partitions", "100"], &["--partitions", "hint:"]);
    let long = lab.beside(&"x".repeat(100)).display().to_string();
    check(&lab, 2, &["lab", "up", "--dir", &long], &["--dir", "bytes", "hint:"]);
    assert!(!std::path::Path::new(&long).exists());
    // The system itself refuses to look at such a path.
    let longer = lab.beside(&"x/".repeat(2500)).display().to_string();
    check(&lab, 2, &["lab", "up", "--dir", &longer], &["--dir", "bytes too long", "hint:"]);
    let file = lab.beside("file");
    fs::write(&file, "precious").unwrap();
    check(&lab, 2, &["lab", "up", "--dir", &file.display().to_string()], &["file", "hint:"]);
    let full = lab.beside("full");
    fs::create_dir(&full).unwrap();
    fs::write(full.join("mine"), "precious").unwrap();
    check(&lab, 2, &["lab", "up", "--dir", &full.display().to_string()], &["not empty", "hint:"]);
    check(&lab, 2, &["lab", "down", "--purge", "--dir", &full.display().to_string()], &["no lab", "hint:"]);
    assert_eq!(fs::read_to_string(full.join("mine")).unwrap(), "precious");
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    check(&lab, 2, &["lab", "status"], &["hint:"]);
    check(&lab, 2, &["lab", "no-such-verb"], &["no-such-verb"]);
    check(&lab, 2, &["no-such-command"], &["no-such-command", "hint:"]);
}

#[test]
fn a_directory_that_cannot_be_written() {
    let lab = TestLab::new();
    // /proc is read-only for everybody, for root too.
    check(&lab, 1, &["lab", "up", "--dir", "/proc/lab"], &["/proc/lab", "hint:"]);
    let locked = lab.beside("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o500)).unwrap();
    if fs::write(locked.join("probe"), "").is_err() {
        let inside = locked.join("lab").display().to_string();
        check(&lab, 1, &["lab", "up", "--dir", &inside], &["locked", "hint:"]);
    }
}

/// The system says that a file would be too large, as it does of a disk that is full. It works for every user and everywhere.
#[test]
fn what_cannot_be_written_is_named_and_nothing_is_left() {
    let lab = TestLab::new();
    let directory = lab.beside("deep/below/lab");
    let script = "trap '' XFSZ; ulimit -f 64; exec \"$0\" lab up --dir \"$1\" --timeout 20s";
    let up = |directory: &std::path::Path| {
        let output = std::process::Command::new("sh")
            .args(["-c", script])
            .arg(assert_cmd::cargo::cargo_bin!("slap"))
            .arg(directory)
            .env("HOME", lab.beside(""))
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        let path = directory.display().to_string();
        assert!(stderr.contains(&path) && stderr.contains("hint:"), "{stderr}");
    };
    up(&directory);
    assert!(!lab.beside("deep").exists(), "what was made for it is gone");
    let empty = lab.beside("empty");
    fs::create_dir(&empty).unwrap();
    up(&empty);
    assert_eq!(fs::read_dir(&empty).unwrap().count(), 0, "what was there stays, as it was");
}

#[test]
fn results_that_cannot_be_written_are_a_failure() {
    let lab = TestLab::new();
    let run = |stdout: fs::File, words: &[&str]| {
        let program = assert_cmd::cargo::cargo_bin!("slap");
        let output = std::process::Command::new(program).args(words).stdout(stdout).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    for words in [&["--help"][..], &["--version"], &["lab", "up", "--help"]] {
        let (code, stderr) = run(full(), words);
        assert!(code == Some(1) && stderr.contains("standard output"), "{words:?}: {code:?} {stderr}");
    }
    lab.ok(&["lab", "up", "--empty", "--nodes", "1"]);
    let directory = lab.directory().display().to_string();
    let status = ["lab", "status", "--output", "json", "--dir", &directory];
    assert_eq!(run(full(), &status).0, Some(1));
    // Who reads only the beginning is no error, and nothing is said of it.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let writer = fs::File::from(std::os::fd::OwnedFd::from(writer));
    assert_eq!(run(writer, &status), (Some(0), String::new()));
}

#[test]
fn settings_of_the_master() {
    let lab = TestLab::new();
    let cfg = |text: &str| {
        let path = lab.beside("proxy.cfg");
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let database = lab.beside("proxy.db").display().to_string();
    let start = |text: &str, code: i32, named: &[&str]| {
        check(&lab, code, &["proxy", "start", "--cfg", &cfg(text)], named);
    };
    start(&format!("[slapproxy]\nport = nine\ndatabase_uri = {database}\n"), 2, &["port", "nine", "hint:"]);
    start(
        "[slapproxy]\nhost = 127.0.0.1\nport = 0\ndatabase_uri = /nonexistent/dir/proxy.db\n",
        2,
        &["/nonexistent/dir"],
    );
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    start(
        &format!("[slapproxy]\nhost = 127.0.0.1\nport = {port}\ndatabase_uri = {database}\n"),
        1,
        &[&port, "hint:"],
    );
    start(
        &format!("[slapproxy]\nhost = 192.0.2.7\nport = 0\ndatabase_uri = {database}\n"),
        1,
        &["192.0.2.7", "hint:"],
    );
    let garbage = lab.beside("garbage.db");
    fs::write(&garbage, "x".repeat(5000)).unwrap();
    let garbage = garbage.display().to_string();
    start(
        &format!("[slapproxy]\nhost = 127.0.0.1\nport = 0\ndatabase_uri = {garbage}\n"),
        1,
        &["garbage.db", "hint:"],
    );
    check(&lab, 2, &["proxy", "start", "--cfg", "/nonexistent/proxy.cfg"], &["/nonexistent/proxy.cfg"]);
}
