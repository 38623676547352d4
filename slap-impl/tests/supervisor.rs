//! The supervisor with real processes: what runs, what is never run twice, and what outlives what.
//!
//! A crash at a chosen moment: this test program starts itself again as a supervisor (`crashing_supervisor`) whose door kills it with SIGKILL at
//! that moment.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a test looks at the real system"
)]

use slap_impl::{
    env::{
        Command, Either, Ended, Env, EnvParts, Files, Identity, LocalFuture, Lock, Metadata, Pipe, Process,
        Processes, Signal, Spawned, race, real,
    },
    node::supervisor::{
        self, Restart, Service, ServiceState, ServiceStatus, SupervisorClient, SupervisorError,
    },
};
use std::{
    fs,
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    rc::Rc,
    time::Duration,
};

const SLAP: &str = env!("CARGO_BIN_EXE_slap");

/// A directory, and a supervisor's client in it. What still runs at the end is ended.
struct World {
    env: Env,
    place: PathBuf,
    client: SupervisorClient,
}

fn world(program: impl AsyncFnOnce(&World)) {
    let place = tempfile::tempdir().unwrap();
    real::block_on_env(real::env_with_executable(Path::new(SLAP)), async |env| {
        let client = SupervisorClient::new(env.clone(), &place.path().join("s"));
        let world = World { env: env.clone(), place: place.path().to_owned(), client };
        let limit = Duration::from_secs(60);
        let ended = env.timeout(limit, program(&world)).await;
        world.end_all();
        ended.expect("the test ends in time");
    });
}

impl World {
    fn directory(&self) -> PathBuf {
        self.place.join("s")
    }

    /// Starts a supervisor, with a log, and waits until it answers.
    async fn start(&self) -> Spawned {
        let spawned = self.spawn(&[]);
        self.until(async || self.client.status().await.is_ok()).await;
        spawned
    }

    fn spawn(&self, crash: &[&str]) -> Spawned {
        let mut command = match crash {
            [] => Command::new(SLAP).arguments([
                "supervisor",
                "--directory",
                self.directory().to_str().unwrap(),
            ]),
            [moment] => {
                let mut command = Command::new(std::env::current_exe().unwrap()).arguments([
                    "--exact",
                    "crashing_supervisor",
                    "--nocapture",
                ]);
                command
                    .variables
                    .insert("CRASH_DIRECTORY".to_owned(), self.directory().display().to_string());
                command.variables.insert("CRASH_MOMENT".to_owned(), (*moment).to_owned());
                command
            }
            _ => unreachable!(),
        };
        command.output = slap_impl::env::Output::Append(self.place.join("supervisor.log"));
        self.env.processes().spawn(&command).unwrap()
    }

    async fn kill(&self, mut supervisor: Spawned) {
        self.env.processes().signal(supervisor.identity, Signal::Kill).unwrap();
        supervisor.child.wait().await.unwrap();
    }

    async fn until(&self, condition: impl AsyncFn() -> bool) {
        while !condition().await {
            self.env.sleep(Duration::from_millis(2)).await;
        }
    }

    /// Waits for a state of the service, through `next_change`.
    async fn until_state(&self, name: &str, wanted: ServiceState) -> ServiceStatus {
        let mut number = 0;
        loop {
            let (next, services) = self.client.next_change(number).await.unwrap();
            number = next;
            if let Some(service) = services.into_iter().find(|one| one.name == name && one.state == wanted) {
                return service;
            }
        }
    }

    async fn status(&self, name: &str) -> ServiceStatus {
        self.client.status().await.unwrap().into_iter().find(|one| one.name == name).unwrap()
    }

    fn marked(&self) -> Vec<Identity> {
        let directory = self.directory().display().to_string();
        self.env.processes().marked(supervisor::SUPERVISOR_VARIABLE, &directory)
    }

    fn end_all(&self) {
        for identity in self.marked() {
            self.env.processes().signal(identity, Signal::Kill).unwrap();
        }
        // The supervisors themselves are known by their arguments.
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Ok(arguments) = fs::read(entry.path().join("cmdline")) else { continue };
            let Ok(variables) = fs::read(entry.path().join("environ")) else { continue };
            let text =
                format!("{}{}", String::from_utf8_lossy(&arguments), String::from_utf8_lossy(&variables));
            let pid: u32 = entry.file_name().to_string_lossy().parse().unwrap_or(0);
            if pid != 0 && pid != std::process::id() && text.contains(self.directory().to_str().unwrap()) {
                let _ = self.env.processes().signal(identity(pid), Signal::Kill);
            }
        }
    }

    /// A service that notes each start in `<name>.starts`, and then does as the script says.
    fn service(&self, name: &str, script: &str) -> Service {
        let starts = self.place.join(format!("{name}.starts"));
        Service {
            name: name.to_owned(),
            program: "/bin/sh".into(),
            arguments: vec!["-c".to_owned(), format!("echo $$ >> {}; {script}", starts.display())],
            variables: [("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into(),
            directory: self.place.clone(),
            umask: 0o027,
            log: self.place.join(format!("{name}.log")),
            log_bytes_max: 10_000,
            watched: true,
            restart: Restart::Never,
            stop_seconds: 30,
            outlived: false,
        }
    }

    fn sleeper(&self, name: &str) -> Service {
        self.service(name, "exec sleep 1000")
    }

    fn starts(&self, name: &str) -> usize {
        fs::read_to_string(self.place.join(format!("{name}.starts"))).map_or(0, |text| text.lines().count())
    }
}

fn identity(pid: u32) -> Identity {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let field = text.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(19));
    Identity { pid, start_time: field.and_then(|field| field.parse().ok()).unwrap_or(0) }
}

#[test]
fn a_declared_set_is_kept() {
    world(async |w| {
        let _supervisor = w.start().await;
        w.client.apply("g", vec![w.sleeper("a"), w.sleeper("b"), w.sleeper("c")]).await.unwrap();
        w.until(async || w.starts("a") + w.starts("b") + w.starts("c") == 3).await;
        let before = w.client.status().await.unwrap();
        assert!(before.iter().all(|service| service.state == ServiceState::Running && service.watched));
        // a as before, b differently, c no longer, d is new.
        let other = Service { umask: 0o077, ..w.sleeper("b") };
        w.client.apply("g", vec![w.sleeper("a"), other, w.sleeper("d")]).await.unwrap();
        w.until(async || w.starts("b") == 2 && w.starts("d") == 1).await;
        let after = w.client.status().await.unwrap();
        let names: Vec<&str> = after.iter().map(|service| service.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "d"]);
        assert_eq!(after[0], before[0]);
        assert_ne!(after[1].identity, before[1].identity);
        assert_eq!((w.starts("a"), w.starts("c"), w.marked().len()), (1, 1, 3));

        w.client.stop("g").await.unwrap();
        assert_eq!(w.marked(), []);
        assert!(
            w.client.status().await.unwrap().iter().all(|service| service.state == ServiceState::Stopped)
        );
        assert_eq!(w.status("a").await.ended.unwrap().signal, Some(15));
        w.client.stop("g").await.unwrap();
        w.client.apply("g", vec![w.sleeper("a")]).await.unwrap();
        w.client.remove("g").await.unwrap();
        assert_eq!((w.client.status().await.unwrap(), w.marked()), (vec![], vec![]));
        w.client.remove("never there").await.unwrap();
    });
}

#[test]
fn what_ends_is_reported_and_not_restarted() {
    world(async |w| {
        let _supervisor = w.start().await;
        let missing = Service { program: "/no/such/program".into(), ..w.sleeper("missing") };
        let nowhere = Service { directory: w.place.join("nowhere"), ..w.sleeper("nowhere") };
        w.client.apply("g", vec![w.service("exits", "echo oops; exit 3"), missing, nowhere]).await.unwrap();
        assert_eq!(w.until_state("exits", ServiceState::Ended).await.ended.unwrap().code, Some(3));
        assert_eq!(w.until_state("missing", ServiceState::Ended).await.ended.unwrap().code, Some(127));
        assert!(fs::read_to_string(w.place.join("missing.log")).unwrap().contains("/no/such/program"));
        let nowhere = w.until_state("nowhere", ServiceState::Failed).await;
        assert!(nowhere.error.unwrap().contains("nowhere"));
        assert_eq!(fs::read_to_string(w.place.join("exits.log")).unwrap(), "oops\n");
        assert_eq!(fs::metadata(w.place.join("exits.log")).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(w.starts("exits"), 1);
        // Declared again, it is tried again.
        w.client.apply("g", vec![w.service("exits", "echo oops; exit 3")]).await.unwrap();
        w.until(async || w.starts("exits") == 2).await;
    });
}

#[test]
fn one_that_shall_always_run_is_started_again() {
    world(async |w| {
        let _supervisor = w.start().await;
        let service = Service { restart: Restart::Always, ..w.service("a", "exit 1") };
        w.client.apply("g", vec![service]).await.unwrap();
        w.until(async || w.starts("a") == 3).await;
        assert!(w.until_state("a", ServiceState::Waiting).await.restarts >= 2);
        w.client.stop("g").await.unwrap();
        assert_eq!(w.status("a").await.state, ServiceState::Stopped);
    });
}

#[test]
fn stopping_ends_all_that_a_service_started() {
    world(async |w| {
        let _supervisor = w.start().await;
        let stubborn = "trap '' TERM; (while :; do sleep 1000; done) & setsid sleep 1000 & env -i sleep 1000 & wait; wait";
        let service = Service { stop_seconds: 1, ..w.service("stubborn", stubborn) };
        let leaves = w.service("leaves", "sleep 1000 & setsid sleep 1000 & exit 0");
        w.client.apply("g", vec![service, leaves]).await.unwrap();
        w.until_state("leaves", ServiceState::Ended).await;
        let stubborn = w.status("stubborn").await.identity.unwrap();
        // Shell, subshell, its sleep, and the one without variables; the one in a session of its own is counted by its mark.
        w.until(async || w.env.processes().session(stubborn).len() == 4 && w.marked().len() == 6).await;
        w.client.stop("g").await.unwrap();
        assert_eq!((w.marked(), w.env.processes().session(stubborn)), (vec![], vec![]));
        assert_eq!(w.status("stubborn").await.ended.unwrap().signal, Some(9));
    });
}

#[test]
fn what_hides_from_its_service_ends_with_it_or_with_the_supervisor() {
    world(async |w| {
        let supervisor = w.start().await;
        let own = [supervisor.identity];
        let (children, hidden) = (w.place.join("children"), "setsid env -i sleep 1000");
        // One that has its parent, and one that has lost it.
        let script = format!(
            "{hidden} & (echo $! > {0}; {hidden} & echo $! >> {0}); exec sleep 1000",
            children.display()
        );
        let outlived =
            Service { outlived: true, ..w.service("outlived", "setsid env -i sleep 1000 & exec sleep 1000") };
        w.client.apply("g", vec![w.service("a", &script), outlived]).await.unwrap();
        let below = || w.env.processes().descendants(&own).len();
        w.until(async || w.marked().len() == 2 && below() == 5).await;
        let hidden: Vec<Identity> = fs::read_to_string(&children)
            .unwrap()
            .lines()
            .map(|line| identity(line.parse().unwrap()))
            .collect();
        assert_eq!(hidden.len(), 2);
        w.client.stop("g").await.unwrap();
        assert!(w.env.processes().find(hidden[0]).is_none(), "it was its service's when that was stopped");
        assert_eq!(below(), 2, "whose these are nobody can say");
        w.client.shutdown(true).await.unwrap();
        assert!(w.env.processes().find(hidden[1]).is_none());
        assert_eq!(w.env.processes().descendants(&own), []);
    });
}

#[test]
fn what_stands_still_hears_that_it_shall_end() {
    world(async |w| {
        let _supervisor = w.start().await;
        let service = Service { stop_seconds: 3600, ..w.service("a", "setsid sleep 1000 & exec sleep 1000") };
        w.client.apply("g", vec![service]).await.unwrap();
        w.until(async || w.starts("a") == 1 && w.marked().len() == 2).await;
        for identity in w.marked() {
            w.env.processes().signal(identity, Signal::Stop).unwrap();
        }
        w.until(async || w.marked().into_iter().all(|identity| w.env.processes().is_stopped(identity))).await;
        w.client.stop("g").await.unwrap();
        assert_eq!(w.marked(), []);
        assert_eq!(w.status("a").await.ended.unwrap().signal, Some(15));
    });
}

#[test]
fn an_end_that_nobody_waits_for_any_more_is_given_up() {
    world(async |w| {
        let mut supervisor = w.start().await;
        let stubborn = "trap '' TERM; while :; do sleep 1000; done";
        let stubborn = Service { stop_seconds: 3600, ..w.service("stubborn", stubborn) };
        w.client.apply("g", vec![stubborn]).await.unwrap();
        w.until(async || w.starts("stubborn") == 1).await;
        let stopping = w.until_state("stubborn", ServiceState::Stopping);
        let Either::Second(stopping) = race(w.client.shutdown(true), stopping).await else {
            panic!("it ended before its service");
        };
        assert!(!stopping.wanted);
        w.until(async || w.client.apply("h", vec![w.sleeper("other")]).await.is_ok()).await;
        w.until(async || w.starts("other") == 1).await;
        assert_eq!(w.status("stubborn").await.state, ServiceState::Stopping, "its stop goes on");
        w.env.processes().signal_group(stopping.identity.unwrap(), Signal::Kill).unwrap();
        w.until_state("stubborn", ServiceState::Stopped).await;
        w.client.shutdown(true).await.unwrap();
        assert_eq!(supervisor.child.wait().await.unwrap().code, Some(0));
        assert_eq!(w.marked(), []);
    });
}

#[test]
fn services_outlive_the_supervisor_and_are_adopted() {
    world(async |w| {
        let supervisor = w.start().await;
        let kept = Service { restart: Restart::Always, ..w.sleeper("kept") };
        w.client.apply("g", vec![w.sleeper("a"), w.sleeper("dies"), kept.clone()]).await.unwrap();
        w.until(async || w.starts("a") + w.starts("dies") + w.starts("kept") == 3).await;
        let before = w.client.status().await.unwrap();
        let (number, _) = w.client.next_change(0).await.unwrap();
        w.kill(supervisor).await;
        assert!(matches!(w.client.status().await, Err(SupervisorError::Offline(_))));
        for name in ["dies", "kept"] {
            let identity = before.iter().find(|service| service.name == name).unwrap().identity.unwrap();
            let mut process = w.env.processes().find(identity).unwrap();
            w.env.processes().signal(identity, Signal::Kill).unwrap();
            process.wait().await;
        }

        let mut supervisor = w.start().await;
        assert_ne!(w.client.next_change(number).await.unwrap().0, number);
        assert_eq!(w.status("a").await, before[0]);
        let unknown = Ended { code: None, signal: None, output: Vec::new() };
        assert_eq!(w.until_state("dies", ServiceState::Ended).await.ended, Some(unknown));
        w.until(async || w.starts("kept") == 2).await;
        w.client.apply("g", vec![w.sleeper("a"), kept.clone()]).await.unwrap();
        assert_eq!((w.starts("a"), w.starts("dies")), (1, 1));

        // Asked to end, it leaves the services alone too.
        w.env.processes().signal(supervisor.identity, Signal::Terminate).unwrap();
        assert_eq!(supervisor.child.wait().await.unwrap().code, Some(0));
        assert_eq!(w.marked().len(), 2);
        let mut supervisor = w.start().await;
        w.client.shutdown(false).await.unwrap();
        assert_eq!(supervisor.child.wait().await.unwrap().code, Some(0));
        assert_eq!(w.marked().len(), 2);
        let mut supervisor = w.start().await;
        w.client.shutdown(true).await.unwrap();
        assert_eq!(supervisor.child.wait().await.unwrap().code, Some(0));
        assert_eq!(w.marked(), []);
        // Stopped they stay.
        let _supervisor = w.start().await;
        assert!(
            w.client.status().await.unwrap().iter().all(|service| service.state == ServiceState::Stopped)
        );
    });
}

#[test]
fn one_directory_has_one_supervisor() {
    world(async |w| {
        let supervisor = w.start().await;
        w.client.apply("g", vec![w.sleeper("a")]).await.unwrap();
        let mut second = w.spawn(&[]);
        assert_eq!(second.child.wait().await.unwrap().code, Some(1));
        assert!(
            fs::read_to_string(w.place.join("supervisor.log")).unwrap().contains("another supervisor runs")
        );
        assert_eq!(w.status("a").await.state, ServiceState::Running);
        for name in ["", "supervisor.socket", "supervisor.json", "supervisor.lock"] {
            let mode = fs::metadata(w.directory().join(name)).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, if name.is_empty() { 0o700 } else { 0o600 }, "{name}");
        }
        drop(supervisor);
    });
}

#[test]
fn a_state_is_begun_empty_only_where_nothing_runs() {
    world(async |w| {
        let begin = || supervisor::begin_empty(&w.env, &[w.directory()]).unwrap();
        let state = w.directory().join("supervisor.json");
        begin();
        let begun = fs::read_to_string(&state).unwrap();
        let supervisor = w.start().await;
        assert_eq!(w.client.status().await.unwrap(), []);
        assert_eq!(fs::read_to_string(&state).unwrap(), begun, "it says already what is to be said");
        fs::remove_file(&state).unwrap();
        begin();
        assert!(!state.exists(), "the supervisor runs and has the lock");
        w.client.apply("g", vec![w.sleeper("a")]).await.unwrap();
        w.until(async || w.starts("a") == 1).await;
        let with_service = fs::read_to_string(&state).unwrap();
        begin();
        assert_eq!(fs::read_to_string(&state).unwrap(), with_service);
        w.kill(supervisor).await;
        fs::remove_file(&state).unwrap();
        begin();
        assert!(!state.exists(), "the service still runs");
        let mut supervisor = w.start().await;
        assert_eq!((w.client.status().await.unwrap(), w.marked()), (vec![], vec![]));
        w.client.shutdown(true).await.unwrap();
        supervisor.child.wait().await.unwrap();
    });
}

#[test]
fn a_damaged_state_runs_nothing_twice() {
    world(async |w| {
        for damage in ["", "{\"format\":1,\"boot\":", "missing"] {
            let supervisor = w.start().await;
            let before = w.starts("a");
            w.client.apply("g", vec![w.sleeper("a")]).await.unwrap();
            w.until(async || w.starts("a") == before + 1).await;
            w.kill(supervisor).await;
            let state = w.directory().join("supervisor.json");
            match damage {
                "missing" => fs::remove_file(&state).unwrap(),
                damage => fs::write(&state, damage).unwrap(),
            }
            let mut supervisor = w.start().await;
            assert_eq!((w.client.status().await.unwrap(), w.marked()), (vec![], vec![]), "{damage}");
            w.client.apply("g", vec![w.sleeper("a")]).await.unwrap();
            assert_eq!(w.marked().len(), 1);
            w.client.shutdown(true).await.unwrap();
            supervisor.child.wait().await.unwrap();
        }
        assert!(w.directory().join("supervisor.json.damaged").exists());
    });
}

#[test]
fn a_state_of_another_boot_or_a_newer_program_is_safe() {
    world(async |w| {
        let supervisor = w.start().await;
        let kept = Service { restart: Restart::Always, ..w.sleeper("kept") };
        w.client.apply("g", vec![w.sleeper("a"), kept]).await.unwrap();
        w.until(async || w.starts("a") + w.starts("kept") == 2).await;
        w.kill(supervisor).await;
        let state = w.directory().join("supervisor.json");
        let text = fs::read_to_string(&state).unwrap();
        // After a boot the processes are gone, and their numbers may be anybody's: here they are still there.
        fs::write(&state, text.replace(&w.env.processes().boot(), "another")).unwrap();
        let strangers = w.marked();
        let supervisor = w.start().await;
        assert_eq!(w.until_state("a", ServiceState::Ended).await.ended.unwrap().code, None);
        w.until(async || w.starts("kept") == 2).await;
        w.client.remove("g").await.unwrap();
        assert_eq!(w.marked(), strangers, "what has only the number of a service is not touched");
        w.kill(supervisor).await;

        let newer = r#"{"format":9,"precious":true}"#;
        fs::write(&state, newer).unwrap();
        let mut refused = w.spawn(&[]);
        assert_eq!(refused.child.wait().await.unwrap().code, Some(1));
        assert_eq!(fs::read_to_string(&state).unwrap(), newer);
        assert_eq!(w.marked(), strangers);
    });
}

#[test]
fn nonsense_is_refused_and_changes_nothing() {
    world(async |w| {
        let _supervisor = w.start().await;
        w.client.apply("g", vec![w.sleeper("a")]).await.unwrap();
        let before = w.client.status().await.unwrap();
        let bad = [
            Service { name: "a/b".to_owned(), ..w.sleeper("a") },
            Service { directory: "relative".into(), ..w.sleeper("a") },
            Service { log: "relative".into(), ..w.sleeper("a") },
            Service { umask: 0o1000, ..w.sleeper("a") },
            Service { stop_seconds: 100_000, ..w.sleeper("a") },
            Service { arguments: vec!["\0".to_owned()], ..w.sleeper("a") },
        ];
        for service in bad {
            let result = w.client.apply("g", vec![service]).await;
            assert!(matches!(result, Err(SupervisorError::Refused(_))), "{result:?}");
        }
        let twice = w.client.apply("g", vec![w.sleeper("a"), w.sleeper("a")]).await;
        assert!(matches!(twice, Err(SupervisorError::Refused(_))));
        for text in ["nonsense\n", "{}\n", "{\"apply\":{}}\n", "\n", "no end"] {
            let mut stream =
                std::os::unix::net::UnixStream::connect(w.directory().join("supervisor.socket")).unwrap();
            stream.write_all(text.as_bytes()).unwrap();
        }
        assert_eq!(w.client.status().await.unwrap(), before);
    });
}

#[test]
fn logs_are_bounded_however_fast_a_service_writes() {
    world(async |w| {
        let _supervisor = w.start().await;
        let (log, older) = (w.place.join("loud.log"), w.place.join("loud.log.1"));
        let much = w.place.join("much");
        let script = format!("yes loud | head -c 5000000; touch {}; exec yes loud", much.display());
        w.client.apply("g", vec![w.service("loud", &script)]).await.unwrap();
        while !much.exists() {
            w.env.sleep(Duration::from_millis(2)).await;
            for log in [&log, &older] {
                assert!(fs::metadata(log).map_or(0, |metadata| metadata.len()) <= 10_000);
            }
        }
        assert!(fs::read(&older).unwrap().ends_with(b"loud\n"));
        assert_eq!(fs::metadata(&older).unwrap().permissions().mode() & 0o777, 0o600);
        // It does not keep the supervisor from its other work.
        w.client.apply("h", vec![w.service("other", "exit 3")]).await.unwrap();
        w.until_state("other", ServiceState::Ended).await;
        w.client.stop("g").await.unwrap();
        assert_eq!(w.marked(), []);
        assert_eq!(fs::read_dir(w.directory().join("output")).unwrap().count(), 1);
    });
}

#[test]
fn the_last_words_are_in_the_log_when_the_end_is_known() {
    world(async |w| {
        let _supervisor = w.start().await;
        for round in 0..20 {
            let name = format!("last{round}");
            w.client.apply(&name, vec![w.service(&name, "seq 1 1000; echo last; exit 1")]).await.unwrap();
            w.until_state(&name, ServiceState::Ended).await;
            let log = fs::read_to_string(w.place.join(format!("{name}.log"))).unwrap();
            assert!(log.starts_with("1\n2\n") && log.ends_with("1000\nlast\n"), "{name}");
        }
    });
}

#[test]
fn a_service_writes_on_while_its_supervisor_is_dead_and_nothing_is_lost() {
    world(async |w| {
        let supervisor = w.start().await;
        let script = format!(
            "cd {}; echo first; until [ -e go ]; do sleep 0.01; done; seq 1 5000; touch written; seq 5001 200000; \
             echo last; exec sleep 1000",
            w.place.display()
        );
        let service = Service { log_bytes_max: 10_000_000, ..w.service("a", &script) };
        w.client.apply("g", vec![service]).await.unwrap();
        let log = w.place.join("a.log");
        w.until(async || fs::read_to_string(&log).is_ok_and(|text| text == "first\n")).await;
        w.kill(supervisor).await;
        fs::write(w.place.join("go"), "").unwrap();
        // It is not held up by what a pipe holds; then it waits, and lives.
        w.until(async || w.place.join("written").exists()).await;
        assert_eq!(fs::read_to_string(&log).unwrap(), "first\n");
        // Its shell, and what that runs.
        w.until(async || w.marked().len() == 2).await;

        let _supervisor = w.start().await;
        w.until(async || fs::read_to_string(&log).unwrap().ends_with("last\n")).await;
        let numbers: String = (1..=200_000).map(|number| format!("{number}\n")).collect();
        assert!(fs::read_to_string(&log).unwrap() == format!("first\n{numbers}last\n"), "all of it, once");
        assert_eq!((w.starts("a"), w.status("a").await.state), (1, ServiceState::Running));
    });
}

#[test]
fn a_pipe_that_somebody_removed_is_made_again() {
    world(async |w| {
        let _supervisor = w.start().await;
        let service = w.service("a", "echo first; until [ -e end ]; do sleep 0.01; done; echo last");
        let log = w.place.join("a.log");
        let output = w.directory().join("output");
        for round in 1..=3 {
            w.client.apply("g", vec![service.clone()]).await.unwrap();
            w.until(async || w.starts("a") == round).await;
            w.until(async || fs::read_to_string(&log).is_ok_and(|text| text.ends_with("first\n"))).await;
            fs::remove_dir_all(&output).unwrap();
            match round {
                2 => fs::write(&output, "not a directory").unwrap(),
                _ => fs::create_dir(&output).unwrap(),
            }
            fs::write(w.place.join("end"), "").unwrap();
            w.until_state("a", ServiceState::Ended).await;
            fs::remove_file(w.place.join("end")).unwrap();
            let expected = "first\nlast\n".repeat(round);
            assert_eq!(fs::read_to_string(&log).unwrap(), expected, "its last words are read");
            if round == 2 {
                w.client.apply("g", vec![service.clone()]).await.unwrap();
                let failed = w.until_state("a", ServiceState::Failed).await.error.unwrap();
                assert!(failed.contains(output.to_str().unwrap()), "{failed}");
                fs::remove_file(&output).unwrap();
            }
        }
    });
}

#[test]
fn a_killed_supervisor_loses_no_service_that_writes_without_end() {
    world(async |w| {
        let mut supervisor = w.start().await;
        w.client.apply("g", vec![w.service("loud", "exec yes loud")]).await.unwrap();
        let identity = w.status("loud").await.identity.unwrap();
        for _ in 0..5 {
            w.kill(supervisor).await;
            assert!(w.env.processes().find(identity).is_some());
            supervisor = w.start().await;
            assert_eq!(w.status("loud").await.identity, Some(identity));
            let older = w.place.join("loud.log.1");
            fs::remove_file(&older).ok();
            // It is read again.
            w.until(async || older.exists()).await;
            assert!(fs::metadata(&older).unwrap().len() <= 10_000);
        }
    });
}

#[test]
fn our_own_daemons_do_not_wait_for_a_dead_keeper() {
    world(async |w| {
        // A supervisor that is a service of another one says much when it cannot start a service.
        let keeper = w.start().await;
        let inner = w.place.join("inner");
        let inner_log = w.place.join("inner.log");
        let service = Service {
            program: SLAP.into(),
            arguments: vec![
                "supervisor".to_owned(),
                "--directory".to_owned(),
                inner.to_str().unwrap().to_owned(),
            ],
            ..w.sleeper("inner")
        };
        w.client.apply("g", vec![service]).await.unwrap();
        let client = SupervisorClient::new(w.env.clone(), &inner);
        w.until(async || client.status().await.is_ok()).await;
        let before = fs::metadata(&inner_log).unwrap().len();
        w.kill(keeper).await;
        // More than any pipe holds.
        for round in 0..10 {
            let nowhere = w.place.join("x".repeat(200_000)).join(round.to_string());
            client.apply("g", vec![Service { directory: nowhere, ..w.sleeper("no") }]).await.unwrap();
        }
        assert_eq!(fs::metadata(&inner_log).unwrap().len(), before);
        let _keeper = w.start().await;
        w.until(async || fs::metadata(&inner_log).unwrap().len() > before).await;
        client.shutdown(true).await.unwrap();
    });
}

#[test]
fn killed_at_any_step_it_runs_nothing_twice_and_loses_nothing() {
    for moment in ["before-write", "after-write", "after-release"] {
        world(async |w| {
            let mut crashing = w.spawn(&[moment]);
            w.until(async || w.client.status().await.is_ok()).await;
            let services = vec![w.sleeper("a"), w.sleeper("b")];
            let asked = w.client.apply("g", services.clone()).await;
            assert!(matches!(asked, Err(SupervisorError::Offline(_))), "{moment}: {asked:?}");
            assert_eq!(crashing.child.wait().await.unwrap().signal, Some(9), "{moment}");

            // The next life was told nothing, and knows by itself what was declared.
            let _supervisor = w.start().await;
            w.until(async || w.starts("a") >= 1 && w.starts("b") >= 1).await;
            w.client.apply("g", services).await.unwrap();
            assert_eq!((w.starts("a"), w.starts("b")), (1, 1), "{moment}");
            assert_eq!(w.marked().len(), 2, "{moment}");
            w.client.remove("g").await.unwrap();
            assert_eq!(w.marked(), [], "{moment}");
        });
    }
}

/// Not a test by itself: see above.
#[test]
fn crashing_supervisor() {
    let Ok(moment) = std::env::var("CRASH_MOMENT") else { return };
    let directory = std::env::var("CRASH_DIRECTORY").unwrap();
    let context = real::env_with_executable(Path::new(SLAP)).context().clone();
    let parts = real::parts(context);
    let crash = Rc::new(Crash { moment, processes: parts.processes.clone(), files: parts.files.clone() });
    let env = Env::new(EnvParts { processes: crash.clone(), files: crash, ..parts });
    real::block_on_env(env, |env| supervisor::run(env, vec!["--directory".to_owned(), directory]));
}

/// A door whose owner dies at a chosen moment of its first start of services.
struct Crash {
    moment: String,
    processes: Rc<dyn Processes>,
    files: Rc<dyn Files>,
}

fn die() -> ! {
    let own = rustix::process::getpid();
    rustix::process::kill_process(own, rustix::process::Signal::KILL).unwrap();
    unreachable!()
}

impl Processes for Crash {
    fn spawn(&self, command: &Command) -> io::Result<Spawned> {
        let mut spawned = self.processes.spawn(command)?;
        let release = spawned.hold.take().unwrap();
        let after_release = self.moment == "after-release";
        spawned.hold = Some(Box::new(move || {
            release()?;
            if after_release { die() } else { Ok(()) }
        }));
        Ok(spawned)
    }
    fn find(&self, identity: Identity) -> Option<Box<dyn Process>> {
        self.processes.find(identity)
    }
    fn user(&self, identity: Identity) -> Option<u32> {
        self.processes.user(identity)
    }
    fn descendants(&self, roots: &[Identity]) -> Vec<Identity> {
        self.processes.descendants(roots)
    }
    fn raise_open_files(&self) -> io::Result<u64> {
        self.processes.raise_open_files()
    }
    fn adopt_orphans(&self) -> io::Result<()> {
        self.processes.adopt_orphans()
    }
    fn signal(&self, identity: Identity, signal: Signal) -> io::Result<()> {
        self.processes.signal(identity, signal)
    }
    fn signal_group(&self, identity: Identity, signal: Signal) -> io::Result<()> {
        self.processes.signal_group(identity, signal)
    }
    fn session(&self, leader: Identity) -> Vec<Identity> {
        self.processes.session(leader)
    }
    fn marked_with(&self, variable: &str, wanted: &dyn Fn(&[u8]) -> bool) -> Vec<Identity> {
        self.processes.marked_with(variable, wanted)
    }
    fn is_stopped(&self, identity: Identity) -> bool {
        self.processes.is_stopped(identity)
    }
    fn boot(&self) -> String {
        self.processes.boot()
    }
    fn termination(&self) -> LocalFuture<'static, ()> {
        self.processes.termination()
    }
}

impl Files for Crash {
    fn replace(&self, path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
        let identities_are_in = String::from_utf8_lossy(content).contains("\"start_time\"");
        if identities_are_in && self.moment == "before-write" {
            die();
        }
        self.files.replace(path, content, mode)?;
        if identities_are_in && self.moment == "after-write" {
            die();
        }
        Ok(())
    }
    fn sync(&self, path: &Path) -> io::Result<()> {
        self.files.sync(path)
    }
    fn free_names(&self, path: &Path) -> io::Result<Option<u64>> {
        self.files.free_names(path)
    }
    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.files.free_bytes(path)
    }
    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        self.files.read(path, limit)
    }
    fn read_tail(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        self.files.read_tail(path, limit)
    }
    fn write(&self, path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
        self.files.write(path, content, mode)
    }
    fn append(&self, path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
        self.files.append(path, content, mode)
    }
    fn truncate(&self, path: &Path, length: u64) -> io::Result<()> {
        self.files.truncate(path, length)
    }
    fn copy(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.files.copy(from, to)
    }
    fn create_directory(&self, path: &Path, mode: u32) -> io::Result<()> {
        self.files.create_directory(path, mode)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.files.remove_file(path)
    }
    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.files.remove_directory(path)
    }
    fn remove_tree(&self, path: &Path) -> io::Result<()> {
        self.files.remove_tree(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.files.rename(from, to)
    }
    fn symlink(&self, target: &Path, link: &Path) -> io::Result<()> {
        self.files.symlink(target, link)
    }
    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        self.files.read_link(path)
    }
    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        self.files.metadata(path)
    }
    fn symlink_metadata(&self, path: &Path) -> io::Result<Metadata> {
        self.files.symlink_metadata(path)
    }
    fn open_pipe(&self, path: &Path) -> io::Result<Box<dyn Pipe>> {
        self.files.open_pipe(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.files.list(path)
    }
    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()> {
        self.files.set_mode(path, mode)
    }
    fn set_modified(&self, path: &Path, seconds: i64) -> io::Result<()> {
        self.files.set_modified(path, seconds)
    }
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        self.files.lock(path)
    }
}
