//! A full disk: errors that name it, nothing half-made, and a lab that goes on at once when there is room again.

use crate::support::TestLab;
use std::{fs, io::Write, path::PathBuf, process::Command};

/// A small file system of its own, in namespaces that need no root. One line for each step: its name, its exit code, and all it
/// said in one line.
const SCRIPT: &str = r#"
set -u
slap=$1 place=$2 program=$3
mount -t tmpfs -o size=$((program + 1000))k tmpfs "$place" || exit 77
step() { name=$1; shift; said=$("$@" 2>&1); code=$?; echo "$name $code $said" | tr '\n' ' '; echo; }
export SLAP_LAB=$place/lab SLAPOS_CLIENT_CONFIGURATION=$place/lab/slapos-client.cfg
step small "$slap" lab up --timeout 20s
step left ls -A "$place"
mount -o remount,size=$((program + 16000))k "$place"
step up "$slap" lab up --nodes 1 --timeout 60s
release=$(echo "$place"/lab/releases/*/software.cfg)
# Down to the last byte.
cat /dev/zero > "$place/fill" 2>/dev/null
step request "$slap" request other "$release" --node computer_guid=COMP-1
step wait "$slap" wait other --timeout 1s
step info "$slap" service info other
step status "$slap" lab status
step labwait "$slap" lab wait --timeout 1s
step again "$slap" lab up --timeout 20s
"$slap" lab down --quiet
step start "$slap" lab up --timeout 20s
rm "$place/fill"
step room "$slap" lab up --timeout 60s
step request2 "$slap" request other "$release" --node computer_guid=COMP-1
step green "$slap" wait other --timeout 60s
step down "$slap" lab down --purge
step end ls -A "$place"
"#;

/// The same with a disk that takes some files only.
const SCRIPT_OF_NAMES: &str = r#"
set -u
slap=$1 place=$2 program=$3
mount -t tmpfs -o size=$((program + 64000))k,nr_inodes=12 tmpfs "$place" || exit 77
step() { name=$1; shift; said=$("$@" 2>&1); code=$?; echo "$name $code $said" | tr '\n' ' '; echo; }
export SLAP_LAB=$place/lab SLAPOS_CLIENT_CONFIGURATION=$place/lab/slapos-client.cfg
step few "$slap" lab up --nodes 1 --timeout 20s
step left ls -A "$place"
mount -o remount,nr_inodes=4000 "$place"
step up "$slap" lab up --nodes 1 --timeout 60s
number=0
while touch "$place/fill-$number"; do number=$((number + 1)); done 2>/dev/null
step status "$slap" lab status
step wait "$slap" lab wait --timeout 1s
step upfull "$slap" lab up --timeout 100s
release=$(echo "$place"/lab/releases/*/software.cfg)
"$slap" request other "$release" --node computer_guid=COMP-1 > /dev/null 2>&1
number=0
until "$slap" lab logs COMP-1 | grep -q "slappart1.*cannot be" || [ $number = 300 ]; do number=$((number + 1)); sleep 0.1; done
step node "$slap" lab logs COMP-1
step kill "$slap" lab kill keeper
step full "$slap" lab up --nodes 2 --timeout 20s
rm "$place"/fill-*
step room "$slap" lab up --timeout 60s
step down "$slap" lab down --purge
step end ls -A "$place"
"#;

#[test]
fn a_disk_without_inodes_is_called_so() {
    let lab = TestLab::new();
    let Some((said, place)) = run(&lab, SCRIPT_OF_NAMES) else { return };
    let path = place.join("lab").display().to_string();
    check(&said, "few", 1, &[&path, "no inode", "hint: "]);
    assert!(said.contains("\nleft 0  \n"), "nothing half-made is left:\n{said}");
    check(&said, "up", 0, &[]);
    check(&said, "status", 1, &["disk", "inode", "left", &path, "hint: "]);
    check(&said, "wait", 3, &["the disk: full: ", "inode", &path, "hint: "]);
    check(&said, "upfull", 1, &["inode", &path, "hint: "]);
    check(&said, "node", 0, &["slappart1", "cannot be", "no inode left", "hint: "]);
    check(&said, "full", 1, &[&path, "no inode", "hint: "]);
    check(&said, "room", 0, &[]);
    check(&said, "down", 0, &[]);
    assert!(said.contains("\nend 0  \n"), "{said}");
}

#[test]
fn a_full_disk_is_named_and_room_is_used_at_once() {
    let lab = TestLab::new();
    let Some((said, place)) = run(&lab, SCRIPT) else { return };
    let check = |step: &str, code: i32, named: &[&str]| check(&said, step, code, named);
    let path = place.join("lab").display().to_string();
    check("small", 1, &[&path, "the disk is full", "hint:"]);
    assert!(said.contains("\nleft 0  \n"), "nothing half-made is left:\n{said}");
    check("up", 0, &[]);
    check("request", 1, &["full", "hint:"]);
    check("wait", 4, &["no such instance"]);
    check("info", 2, &["does not exist"]);
    check("status", 1, &["disk", "full", &path, "hint:"]);
    check("labwait", 3, &["the disk: full", &path, "hint:"]);
    check("start", 1, &[&path, "full", "hint:"]);
    check("room", 0, &[]);
    check("request2", 0, &[]);
    check("green", 0, &[]);
    check("down", 0, &[]);
    assert!(said.contains("\nend 0  \n"), "{said}");
}

/// Runs a script with the program, a place to mount a disk, and the program's size in KiB. What it said, and the place.
pub(crate) fn run(lab: &TestLab, script: &str) -> Option<(String, PathBuf)> {
    let place = lab.beside("place");
    fs::create_dir(&place).unwrap();
    let program = assert_cmd::cargo::cargo_bin!("slap");
    let kib = fs::metadata(program).unwrap().len().div_ceil(1024);
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .arg(program)
        .arg(&place)
        .arg(kib.to_string())
        .env("HOME", lab.beside(""))
        .output();
    let output = match output {
        Ok(output) if output.status.code() != Some(77) && !output.stdout.is_empty() => output,
        other => {
            let mut stderr = std::io::stderr();
            writeln!(stderr, "SKIPPED: no file system of one's own can be mounted here: {other:?}").unwrap();
            return None;
        }
    };
    Some((String::from_utf8_lossy(&output.stdout).into_owned(), place))
}

/// The step ended with that code, and named all of these.
#[track_caller]
pub(crate) fn check(said: &str, step: &str, code: i32, named: &[&str]) {
    let line = said.lines().find(|line| line.starts_with(&format!("{step} ")));
    let line = line.unwrap_or_else(|| panic!("no step {step}:\n{said}"));
    assert!(line.starts_with(&format!("{step} {code} ")), "{line}\n{said}");
    for name in named {
        assert!(line.contains(name), "{step} does not name {name:?}: {line}");
    }
}
