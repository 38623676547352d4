//! A database that is damaged while a master uses it, and one that cannot be written.

use crate::support::{DATABASE, Master};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions, Permissions},
    io::{Seek, SeekFrom, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
};

const LOG: &str = "proxy.db-wal";
/// The database has more pages than any connection keeps, and its log not all of them.
const COMPUTERS: u32 = 60;
const PARTITIONS: u32 = 400;

/// A master that has much to remember.
fn filled() -> Master {
    let master = Master::start("-n 4096", "");
    for number in 0..COMPUTERS {
        master.format(&format!("COMP-{number}"), PARTITIONS);
        let answer = request(&master, &format!("t{number}"));
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    master
}

fn request(master: &Master, title: &str) -> String {
    master.post(
        "requestComputerPartition",
        &format!("partition_reference={title}&software_release=/r&software_type=t"),
    )
}

/// What can be asked.
fn questions() -> Vec<String> {
    let of_computers = (0..COMPUTERS).flat_map(|number| {
        [
            format!("getFullComputerInformation?computer_id=COMP-{number}"),
            format!("registerComputerPartition?computer_reference=COMP-{number}&computer_partition_reference=slappart0"),
        ]
    });
    let others = [
        "hateoas/?mode=search&query=portal_type:%22Instance+Tree%22+AND+validation_state:validated",
        "events",
    ];
    of_computers.chain(others.map(str::to_owned)).collect()
}

/// The status and the body of an answer.
fn parts(answer: &str) -> (&str, &str) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    (&head[9..12], body)
}

/// Asks all of it. What is answered with 200 must be what was answered before; the other answers are 503 with what is wrong and what to
/// do. Gives how many of these there were.
fn ask_all(master: &Master, before: &BTreeMap<String, String>) -> usize {
    let mut refused = 0;
    for (question, expected) in before {
        let answer = master.get(question);
        match parts(&answer) {
            ("200", body) => assert_eq!(body, parts(expected).1, "{question}"),
            _ => refused += judge(question, &answer),
        }
    }
    refused
}

/// Writes something of each title; gives those of which it was acknowledged. The others are refused as it must be.
fn write_all(master: &Master, titles: &[String]) -> Vec<String> {
    let is_written = |title: &&String| {
        let form = format!("partition_reference={title}&software_release=/r2&software_type=t");
        let answer = master.post("requestComputerPartition", &form);
        parts(&answer).0 == "200" || judge(title, &answer) == 0
    };
    titles.iter().filter(is_written).cloned().collect()
}

/// A refusal says what is wrong and what to do.
fn judge(what: &str, answer: &str) -> usize {
    let (status, body) = parts(answer);
    assert!(status == "503" && body.contains("database"), "{what}: {answer}");
    assert!(body.contains("hint: "), "{what}: {answer}");
    1
}

/// Overwrites all pages but the first with what no page looks like.
fn damage(file: &Path) {
    let length = fs::metadata(file).unwrap().len();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let garbage: Vec<u8> = (4096..length)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect();
    assert!(garbage.len() > 1 << 19, "{} has {length} bytes only", file.display());
    let mut file = OpenOptions::new().write(true).open(file).unwrap();
    file.seek(SeekFrom::Start(4096)).unwrap();
    file.write_all(&garbage).unwrap();
}

fn files(place: &Path) -> BTreeMap<String, Vec<u8>> {
    [DATABASE, LOG].map(|name| (name.to_owned(), fs::read(place.join(name)).unwrap())).into()
}

#[test]
fn a_database_that_is_damaged_while_it_is_used() {
    for damaged in [&[DATABASE][..], &[LOG], &[DATABASE, LOG]] {
        let master = filled();
        let before: BTreeMap<String, String> =
            questions().into_iter().map(|question| (question.clone(), master.get(&question))).collect();
        assert!(before.values().all(|answer| parts(answer).0 == "200"));
        let copy = files(&master.path(""));
        for name in damaged {
            damage(&master.path(name));
        }
        // So that documents at hand are looked at again.
        write_all(&master, &["one".to_owned()]);
        let refused = ask_all(&master, &before);
        assert!(refused > 0, "{damaged:?}: nothing was damaged that is read");
        let titles: Vec<String> =
            (0..COMPUTERS).flat_map(|number| [format!("t{number}"), format!("new{number}")]).collect();
        let written = write_all(&master, &titles);
        assert!(written.is_empty(), "{damaged:?}: written to what is known to be damaged: {written:?}");
        assert!(master.has_said("malformed"), "{}", master.said.lock().unwrap());
        master.serves();
        let place = master.kill();
        let (said, place) = match Master::start_in(place, ":", "") {
            Ok(master) => panic!("{damaged:?}: it starts: {}", master.said.lock().unwrap()),
            Err(refusal) => refusal,
        };
        assert!(said.contains("hint: ") && said.contains("good copy"), "{said}");
        for (name, content) in &copy {
            fs::write(place.path().join(name), content).unwrap();
        }
        let master = Master::start_in(place, ":", "").unwrap_or_else(|(said, _)| panic!("{said}"));
        assert_eq!(ask_all(&master, &before), 0, "{damaged:?}: not all is there that was acknowledged");
    }
}

#[test]
fn a_database_that_was_damaged_while_nobody_used_it() {
    let mut master = Master::start("-n 4096", "");
    master.format("COMP-1", 3);
    assert_eq!(parts(&request(&master, "a")).0, "200");
    let question = "getFullComputerInformation?computer_id=COMP-1".to_owned();
    let before = BTreeMap::from([(question.clone(), master.get(&question))]);
    master.terminate();
    let mut place = master.kill();
    assert!(!place.path().join(LOG).exists(), "it left a log: the database alone is not all");
    let file = place.path().join(DATABASE);
    let image = fs::read(&file).unwrap();
    let pages = image.len() / 4096;
    assert!(pages > 10, "{pages} pages");
    // Most of them are read by no start: only who looks for it sees the damage.
    for page in 0..pages {
        let mut damaged = image.clone();
        damaged[page * 4096..(page + 1) * 4096].fill(0xa5);
        fs::write(&file, &damaged).unwrap();
        let said;
        (said, place) = match Master::start_in(place, ":", "") {
            Ok(master) => panic!("page {page} of {pages}: it starts: {}", master.said.lock().unwrap()),
            Err(refusal) => refusal,
        };
        let is_told = said.contains("database_uri") && said.contains("hint: ") && said.contains("good copy");
        assert!(is_told && said.contains("exit status: 1"), "page {page} of {pages}: {said}");
        assert!(fs::read(&file).unwrap() == damaged, "page {page} of {pages}: it changed what is damaged");
    }
    fs::write(&file, &image).unwrap();
    let master = Master::start_in(place, ":", "").unwrap_or_else(|(said, _)| panic!("{said}"));
    assert_eq!(ask_all(&master, &before), 0, "not all is there that was acknowledged");
}

/// Takes all writes of files from a running master, as a file system does that failed, or gives them back.
fn limit_writes(master: &Master, bytes: Option<u64>) {
    let pid = Pid::from_raw(i32::try_from(master.child.id()).unwrap());
    prlimit(pid, Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
}

#[test]
fn a_disk_that_takes_no_writes_any_more() {
    let place = tempfile::tempdir().unwrap();
    // Without the signal that would end it, it meets an error at each write.
    let master = Master::start_in(place, "trap '' XFSZ", "").unwrap_or_else(|(said, _)| panic!("{said}"));
    master.format("COMP-1", 3);
    assert_eq!(parts(&request(&master, "a")).0, "200");
    let questions = ["getFullComputerInformation?computer_id=COMP-1", "getRunId", "events"];
    let before: BTreeMap<String, String> =
        questions.map(|question| (question.to_owned(), master.get(question))).into();
    limit_writes(&master, Some(0));
    for title in ["b", "c"] {
        let answer = request(&master, title);
        assert_eq!(judge(title, &answer), 1);
        assert!(answer.contains("nothing of it happened; look at the disk"), "{answer}");
    }
    assert_eq!(ask_all(&master, &before), 0, "reads go on");
    assert_eq!(parts(&request(&master, "a")).0, "200", "what changes nothing is answered");
    limit_writes(&master, None);
    assert_eq!(ask_all(&master, &before), 0, "what was refused did not happen");
    assert_eq!(parts(&request(&master, "b")).0, "200");
    let place = master.kill();
    let master = Master::start_in(place, ":", "").unwrap_or_else(|(said, _)| panic!("{said}"));
    for title in ["a", "b"] {
        assert_eq!(parts(&master.get(&format!("hateoas/partitions/{title}"))).0, "200");
    }
}

/// The superuser may write whatever modes say: it starts without that right, in a namespace of its own in which it is nobody.
fn as_owner() -> &'static str {
    if rustix::process::geteuid().is_root() { "exec unshare --user \"$0\" \"$@\"" } else { ":" }
}

const READ_ONLY_MOUNT: &str = "exec unshare --user --map-root-user --mount /bin/sh -c 'mount --bind \"$PLACE\" \"$PLACE\" \
     && mount -o remount,bind,ro \"$PLACE\" && exec \"$0\" \"$@\"' \"$0\" \"$@\"";

/// What is wrong with a machine on which this cannot be tried.
fn obstacle(words: &str) -> Option<String> {
    let place = tempfile::tempdir().unwrap();
    let tried =
        Command::new("/bin/sh").args(["-c", words, "true"]).env("PLACE", place.path()).output().unwrap();
    (!tried.status.success()).then(|| String::from_utf8_lossy(&tried.stderr).into_owned())
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_database_that_is_only_for_reading() {
    // Whether it starts after a kill, and after a clean end, when the log is gone.
    for (what, file_mode, directory_mode, words, starts) in [
        ("file", 0o400, 0o700, as_owner(), [true, true]),
        ("directory", 0o600, 0o500, as_owner(), [true, false]),
        ("both", 0o400, 0o500, as_owner(), [true, false]),
        ("mount", 0o600, 0o700, READ_ONLY_MOUNT, [false, false]),
    ] {
        if let Some(reason) = obstacle(words) {
            let ci = std::env::var("CI").is_ok_and(|value| !["", "0", "false"].contains(&value.as_str()));
            assert!(!ci, "{what}: this cannot be tried, and CI must try it: {reason}");
            let _ = writeln!(
                std::io::stderr(),
                "\n*** DID NOT RUN: a database that is only for reading ({what}). {reason}\n"
            );
            continue;
        }
        for (is_killed, starts) in [true, false].into_iter().zip(starts) {
            let mut master = Master::start("-n 4096", "");
            master.format("COMP-1", 3);
            assert_eq!(parts(&request(&master, "a")).0, "200");
            let question = "getFullComputerInformation?computer_id=COMP-1".to_owned();
            let before = BTreeMap::from([(question.clone(), master.get(&question))]);
            if !is_killed {
                master.terminate();
            }
            let place = master.kill();
            set_mode(&place.path().join(DATABASE), file_mode);
            set_mode(place.path(), directory_mode);
            let place = match Master::start_in(place, words, "") {
                Ok(master) => {
                    assert!(starts, "{what}: it starts");
                    assert_eq!(ask_all(&master, &before), 0, "{what}: reads go on");
                    let answer = request(&master, "b");
                    // A directory's modes do not matter when both files are there.
                    if file_mode == 0o400 {
                        assert_eq!(judge(what, &answer), 1);
                        assert!(answer.contains("writable"), "{answer}");
                        assert_eq!(ask_all(&master, &before), 0, "{what}: reads go on");
                    } else {
                        assert_eq!(parts(&answer).0, "200", "{what}: {answer}");
                    }
                    master.kill()
                }
                Err((said, place)) => {
                    assert!(!starts && said.contains("must be able to write"), "{what}: {said}");
                    place
                }
            };
            let mode = fs::metadata(place.path().join(DATABASE)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, file_mode, "{what}: it gave itself the right to write");
            set_mode(place.path(), 0o700);
            set_mode(&place.path().join(DATABASE), 0o600);
            let master = Master::start_in(place, ":", "").unwrap_or_else(|(said, _)| panic!("{said}"));
            for title in ["a", "b"] {
                assert_eq!(parts(&request(&master, title)).0, "200", "{what}: {title}");
            }
            let document = master.get(&question);
            assert_eq!(document.matches("slap_software_release_url").count(), 2, "{what}: {document}");
        }
    }
}
