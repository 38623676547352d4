//! Promises of a partition, run for real: plugins and executables, their results, logs and deadlines.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "the test looks at what was done from outside"
)]

use slap_impl::{
    env::real,
    node::promise::{self, Mode, Options, Summary, read_results},
};
use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    time::{Duration, Instant},
};

/// A partition with these plugins (module and parameters) and executables (script).
fn partition(plugins: &[(&str, &str, &str)], executables: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for folder in ["etc/plugin", "etc/promise"] {
        fs::create_dir_all(directory.path().join(folder)).unwrap();
    }
    for (name, module, parameters) in plugins {
        let text = format!(
            "import sys\nsys.path[0:0] = ()\n\nextra_config_dict = {{{parameters}}}\n\nfrom slapos.promise.plugin.{module} import RunPromise\n"
        );
        fs::write(directory.path().join("etc/plugin").join(name), text).unwrap();
    }
    for (name, script) in executables {
        let path = directory.path().join("etc/promise").join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    directory
}

fn run(partition: &Path, options: &Options) -> Summary {
    let env = real::env_with_executable(Path::new(env!("CARGO_BIN_EXE_slap")));
    real::block_on_env(env, |env| async move { promise::run(&env, partition, options).await.unwrap() })
}

/// Name, whether it failed, and what it says.
fn seen(summary: &Summary) -> Vec<(&str, bool, &str)> {
    let outcomes = summary.outcomes.iter();
    outcomes.map(|outcome| (outcome.name.as_str(), outcome.failed, outcome.message.as_str())).collect()
}

#[test]
fn each_kind_of_promise_says_what_upstream_says() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let listening = format!("'host': '127.0.0.1', 'port': '{port}'");
    let partition = partition(
        &[
            ("a-listening.py", "check_socket_listening", &listening),
            ("b-path.py", "check_socket_listening", "'pathname': '/no/such/socket'"),
            (
                "c-command.py",
                "check_command_execute",
                "'command': 'test -d etc && test \"$HOME\" = \"$PWD\"'",
            ),
            ("d-fails.py", "check_command_execute", "'command': 'echo no; exit 3'"),
            ("e-unknown.py", "check_neo_health", ""),
        ],
        &[("good", "echo fine"), ("wrong.sh", "echo broken >&2; exit 1")],
    );
    let summary = run(partition.path(), &Options::new(Mode::Test, true));
    let outcomes = seen(&summary);
    let ok = format!("socket connection OK ('127.0.0.1', {port})");
    assert_eq!(outcomes[0], ("a-listening.py", false, ok.as_str()));
    assert_eq!(outcomes[1], ("b-path.py", true, "FileNotFoundError: [Errno 2] No such file or directory"));
    assert_eq!((outcomes[2].0, outcomes[2].1), ("c-command.py", false));
    let failed = r"ERROR 'echo no; exit 3' run with failure, output: b'no\n'";
    assert_eq!(outcomes[3], ("d-fails.py", true, failed));
    assert!(
        outcomes[4].1 && outcomes[4].2.contains("slapos.promise.plugin.check_neo_health"),
        "{outcomes:?}"
    );
    assert_eq!(outcomes[5..], [("good", false, "fine"), ("wrong.sh", true, "broken")]);
    let expected =
        "Promise 'b-path.py' failed with output: FileNotFoundError: [Errno 2] No such file or directory";
    assert_eq!(summary.failure().as_deref(), Some(expected));

    let env = real::env();
    let results = read_results(env.files(), partition.path());
    let titles: Vec<&str> = results.iter().map(|result| result.title.as_str()).collect();
    assert_eq!(titles, ["a-listening", "b-path", "c-command", "d-fails", "e-unknown", "good", "wrong"]);
    assert!(results.iter().all(|result| result.result.kind == "Test Result"));
    let log = fs::read_to_string(partition.path().join(".slapgrid/promise/log/wrong.log")).unwrap();
    assert!(log.contains(" - ERROR - ") && log.ends_with(" - broken\n"), "{log}");
    let cache = fs::read_to_string(partition.path().join(".slapgrid/promise/cache/good")).unwrap();
    assert!(cache.contains("\"next_run_after\":"), "{cache}");
}

/// A killed process may need a moment to go.
fn wait_until_gone(pid: &str) {
    let limit = Instant::now() + Duration::from_secs(30);
    loop {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if stat.is_empty() || stat.contains(") Z ") {
            return;
        }
        assert!(Instant::now() < limit, "what a promise started is left: {stat}");
        std::thread::yield_now();
    }
}

#[test]
fn a_promise_that_hangs_is_killed_and_holds_up_no_other() {
    let names: Vec<String> = (0..4).map(|number| format!("hangs{number}")).collect();
    let executables: Vec<(&str, &str)> =
        names.iter().map(|name| (name.as_str(), "sleep 600 & echo $! > pid-$(basename $0); wait")).collect();
    let partition = partition(&[], &executables);
    let deadline = Duration::from_secs(2);
    let options = Options { deadline, ..Options::new(Mode::Test, true) };
    let start = Instant::now();
    let summary = run(partition.path(), &options);
    assert!(start.elapsed() < deadline * 3, "they waited for each other: {:?}", start.elapsed());
    for outcome in &summary.outcomes {
        assert_eq!(outcome.message, "Error: Promise timed out after 2 seconds");
        assert!(outcome.failed);
        let pid = fs::read_to_string(partition.path().join(format!("pid-{}", outcome.name))).unwrap();
        wait_until_gone(pid.trim());
    }
    // The first time-out of an instance that is up to date is forgiven; here the last result was one already.
    let again = run(partition.path(), &Options { mode: Mode::Anomaly, ..options });
    assert!(again.outcomes.iter().all(|outcome| outcome.failed));
}

#[test]
fn what_a_kept_promise_leaves_in_the_background_is_ended() {
    let partition = partition(&[], &[("forks", "sleep 600 & echo $! > pid; exit 0")]);
    let summary = run(partition.path(), &Options::new(Mode::Test, true));
    assert_eq!(summary.failure(), None);
    wait_until_gone(fs::read_to_string(partition.path().join("pid")).unwrap().trim());
}

#[test]
fn what_a_promise_starts_in_sessions_of_its_own_is_ended() {
    // A daemon without any descriptor of the promise's, one that starts another, and one whose parent has ended.
    let script = |end: &str| {
        format!(
            "setsid sh -c 'echo $$ > outer; setsid sh -c \"echo \\$\\$ > inner; exec sleep 600\" & wait' < /dev/null > /dev/null 2>&1 &\n\
             (setsid sh -c 'echo $$ > orphan; exec sleep 600' &)\n\
             until [ -s outer ] && [ -s inner ] && [ -s orphan ]; do sleep 0.01; done\n{end}"
        )
    };
    for (end, failed) in [("exit 0", false), ("sleep 600", true)] {
        let partition = partition(&[], &[("daemons", &script(end))]);
        let options = Options { deadline: Duration::from_secs(5), ..Options::new(Mode::Test, true) };
        let summary = run(partition.path(), &options);
        assert_eq!(summary.outcomes[0].failed, failed, "{summary:?}");
        for name in ["outer", "inner", "orphan"] {
            let pid = fs::read_to_string(partition.path().join(name)).unwrap();
            let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
            assert!(stat.is_err(), "{name} is left, or was not reaped: {stat:?}");
        }
    }
}

#[test]
fn promises_whose_names_differ_in_the_extension_only_have_results_of_their_own() {
    let partition = partition(&[], &[("same.a", "echo broken; exit 1"), ("same.b", "echo fine")]);
    let summary = run(partition.path(), &Options::new(Mode::Test, true));
    assert_eq!(seen(&summary), [("same.a", true, "broken"), ("same.b", false, "fine")]);
    assert!(summary.warnings[0].contains("same.b"), "{:?}", summary.warnings);
    let results = read_results(real::env().files(), partition.path());
    let results: Vec<_> = results.iter().map(|one| (one.title.as_str(), one.result.failed)).collect();
    assert_eq!(results, [("same.b", false), ("same", true)]);
}

#[test]
fn an_anomaly_counts_after_three_failures_and_promises_keep_their_period() {
    let partition = partition(&[("up.py", "check_socket_listening", "'pathname': '/no/such/socket'")], &[]);
    let anomaly = |force| run(partition.path(), &Options::new(Mode::Anomaly, force));
    assert_eq!(anomaly(true).failure(), None);
    let waiting = anomaly(false);
    assert!(!waiting.outcomes[0].ran);
    assert_eq!(anomaly(true).failure(), None);
    let third = anomaly(true);
    assert!(third.failure().is_some());
    assert_eq!(third.bang().as_deref(), Some("Promise up is failing"));
    let last = anomaly(false);
    assert!(
        last.failure().is_some() && last.bang().is_none(),
        "the last result stands, without another bang"
    );
}

#[test]
fn again_means_those_that_failed() {
    let partition = partition(&[], &[("bad", "echo x >> bad; exit 1"), ("good", "echo x >> good")]);
    let times = |name: &str| fs::read_to_string(partition.path().join(name)).unwrap().lines().count();
    let first = run(partition.path(), &Options::new(Mode::Test, true));
    let again = run(partition.path(), &Options { again: true, ..Options::new(Mode::Test, false) });
    assert_eq!((times("bad"), times("good")), (2, 1));
    assert_eq!(seen(&again), seen(&first));
    assert_eq!(again.outcomes.iter().map(|outcome| outcome.ran).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn what_is_gone_leaves_nothing_and_links_are_not_followed() {
    let partition = partition(&[], &[("old", "true"), ("new", "echo new")]);
    let outside = tempfile::tempdir().unwrap();
    let victim = outside.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    let path = partition.path();
    run(path, &Options::new(Mode::Test, true));
    fs::remove_file(path.join("etc/promise/old")).unwrap();
    fs::remove_file(path.join(".slapgrid/promise/log/new.log")).unwrap();
    symlink(&victim, path.join(".slapgrid/promise/log/new.log")).unwrap();
    fs::remove_file(path.join(".slapgrid/promise/result/new.status.json")).unwrap();
    symlink(&victim, path.join(".slapgrid/promise/result/new.status.json")).unwrap();
    symlink(&victim, path.join(".slapgrid/promise/result/.new.status.json.tmp")).unwrap();
    fs::remove_dir_all(path.join(".slapgrid/promise/cache")).unwrap();
    symlink(outside.path(), path.join(".slapgrid/promise/cache")).unwrap();
    let summary = run(path, &Options::new(Mode::Test, true));
    assert_eq!(seen(&summary), [("new", false, "new")]);
    assert_eq!(summary.warnings, Vec::<String>::new());
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    let names = |folder: &Path| -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    assert_eq!(names(outside.path()), ["victim"]);
    assert_eq!(names(&path.join(".slapgrid/promise/result")), ["new.status.json"]);
    assert_eq!(names(&path.join(".slapgrid/promise/log")), ["new.log"]);
}
