//! The door's processes, on the real operating system, through the real shim.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a test looks at the real system"
)]

use slap_impl::env::{Command, Env, Identity, Output, Signal, Start, real};
use std::{fs, io::ErrorKind, path::Path, time::Duration};

fn world(program: impl AsyncFnOnce(Env, &Path)) {
    let place = tempfile::tempdir().unwrap();
    let env = real::env_with_executable(Path::new(env!("CARGO_BIN_EXE_slap")));
    real::block_on_env(env, async |env| {
        let limit = Duration::from_secs(60);
        env.clone().timeout(limit, program(env, place.path())).await.expect("the test ends in time");
    });
}

fn shell(script: &str) -> Command {
    let mut command = Command::new("/bin/sh").arguments(["-c", script]);
    command.variables.insert("PATH".to_owned(), "/usr/bin:/bin".to_owned());
    command
}

fn captured(script: &str) -> Command {
    Command { output: Output::Capture(1000), ..shell(script) }
}

async fn text(env: &Env, command: &Command) -> String {
    let ended = env.processes().spawn(command).unwrap().child.wait().await.unwrap();
    assert!(ended.succeeded(), "{ended:?}");
    String::from_utf8(ended.output).unwrap().trim().to_owned()
}

#[test]
fn a_held_process_runs_only_when_released() {
    world(async |env, place| {
        let mark = place.join("ran");
        let script = format!("echo ran >> {}", mark.display());
        let command = Command { start: Start::Held, ..shell(&script) };
        let mut dropped = env.processes().spawn(&command).unwrap();
        drop(dropped.hold.take());
        assert_eq!(dropped.child.wait().await.unwrap().code, Some(75));
        assert!(!mark.exists());

        let mut released = env.processes().spawn(&command).unwrap();
        assert!(env.processes().find(released.identity).is_some());
        released.release().unwrap();
        assert_eq!(released.child.wait().await.unwrap().code, Some(0));
        assert_eq!(fs::read_to_string(&mark).unwrap(), "ran\n");
        assert!(env.processes().find(released.identity).is_none());

        let mut killed = env.processes().spawn(&command).unwrap();
        env.processes().signal(killed.identity, Signal::Kill).unwrap();
        assert_eq!(killed.child.wait().await.unwrap().signal, Some(9));
        // Its answer is of no use: another test's thread may hold the other end while it forks.
        let _ = killed.release();
    });
}

#[test]
fn number_and_start_time_are_the_programs() {
    world(async |env, _| {
        for start in [Start::AtOnce, Start::Held] {
            let command = Command { start, ..captured("echo $$; cut -d' ' -f6,22 /proc/$$/stat") };
            let mut spawned = env.processes().spawn(&command).unwrap();
            spawned.release().unwrap();
            let ended = spawned.child.wait().await.unwrap();
            let output = String::from_utf8(ended.output).unwrap();
            let Identity { pid, start_time } = spawned.identity;
            assert_eq!(
                output.split_whitespace().collect::<Vec<_>>(),
                [pid.to_string(), pid.to_string(), start_time.to_string()]
            );
        }
    });
}

#[test]
fn a_program_gets_what_it_was_given_and_nothing_else() {
    world(async |env, place| {
        let _inherited = fs::File::open("/").unwrap();
        assert_eq!(text(&env, &captured("umask")).await, "0027");
        assert_eq!(text(&env, &Command { umask: 0o077, ..captured("umask") }).await, "0077");
        assert_eq!(text(&env, &captured("ls -m /proc/$$/fd; true")).await, "0, 1, 2");
        assert_eq!(text(&env, &captured("readlink /proc/$$/fd/0")).await, "/dev/null");
        assert_eq!(
            text(&env, &Command { directory: place.to_owned(), ..captured("pwd -P") }).await,
            place.to_str().unwrap()
        );
        assert_eq!(text(&env, &captured("cat")).await, "");
        let mut command = captured("env | grep -v '^\\(PWD\\|SHLVL\\|_\\|OLDPWD\\)='; true");
        command.variables.insert("NAME".to_owned(), "a = b\nc".to_owned());
        command.variables.remove("PATH");
        assert_eq!(text(&env, &command).await, "NAME=a = b\nc");
    });
}

#[test]
fn what_cannot_start_says_why() {
    world(async |env, place| {
        let check = |command: Command, kind: ErrorKind, part: &str| {
            let error = env.processes().spawn(&command).err().unwrap();
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains(part), "{error}");
        };
        fs::write(place.join("plain"), "").unwrap();
        check(Command::new("/no/such/program"), ErrorKind::NotFound, "/no/such/program");
        check(Command::new("no-such-program"), ErrorKind::NotFound, "no-such-program");
        check(Command::new(place.join("plain")), ErrorKind::PermissionDenied, "not executable");
        check(Command::new(place), ErrorKind::PermissionDenied, "not executable");
        let nowhere = Command { directory: place.join("nowhere"), ..shell("true") };
        check(nowhere, ErrorKind::NotFound, "nowhere");
        fs::create_dir(place.join("real")).unwrap();
        fs::write(place.join("real/log"), "precious").unwrap();
        std::os::unix::fs::symlink("real/log", place.join("log")).unwrap();
        assert!(
            env.processes()
                .spawn(&Command { output: Output::Append(place.join("log")), ..shell("echo x") })
                .is_err()
        );
        assert_eq!(fs::read(place.join("real/log")).unwrap(), b"precious");

        for (program, code) in [("/no/such/program", 127), (place.join("plain").to_str().unwrap(), 126)] {
            let command = Command { start: Start::Held, ..Command::new(program) };
            let mut spawned = env.processes().spawn(&command).unwrap();
            spawned.release().unwrap();
            assert_eq!(spawned.child.wait().await.unwrap().code, Some(code), "{program}");
        }
    });
}

#[test]
fn output_is_kept_at_its_end_and_grandchildren_are_not_waited_for() {
    world(async |env, place| {
        let mut command = captured(
            "for i in 1 2 3 4 5 6 7 8 9; do echo line $i; done >&2; head -c 300000 /dev/zero; echo end",
        );
        command.output = Output::Capture(10);
        let ended = env.processes().spawn(&command).unwrap().child.wait().await.unwrap();
        assert_eq!(ended.output, b"\0\0\0\0\0\0end\n");

        let pid_file = place.join("pid");
        let script = format!("sleep 1000 & echo $! > {}; echo parent; exit 3", pid_file.display());
        let mut spawned = env.processes().spawn(&captured(&script)).unwrap();
        let ended = spawned.child.wait().await.unwrap();
        assert_eq!((ended.code, ended.output.as_slice()), (Some(3), &b"parent\n"[..]));
        let left = env.processes().session(spawned.identity);
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].pid.to_string(), fs::read_to_string(&pid_file).unwrap().trim());
        let mut sleeper = env.processes().find(left[0]).unwrap();
        env.processes().signal(left[0], Signal::Kill).unwrap();
        sleeper.wait().await;
    });
}

#[test]
fn logs_are_private_and_appended_to() {
    world(async |env, place| {
        let log = place.join("log");
        for _ in 0..2 {
            let command =
                Command { output: Output::Append(log.clone()), ..shell("echo out; echo error >&2") };
            env.processes().spawn(&command).unwrap().child.wait().await.unwrap();
        }
        assert_eq!(fs::read_to_string(&log).unwrap(), "out\nerror\nout\nerror\n");
        assert_eq!(env.files().metadata(&log).unwrap().mode, 0o600);
    });
}

#[test]
fn signals_reach_the_group_and_no_stranger() {
    world(async |env, _| {
        let mut spawned = env.processes().spawn(&shell("sleep 1000 & sleep 1000 & wait")).unwrap();
        let wrong = Identity { start_time: spawned.identity.start_time + 1, ..spawned.identity };
        env.processes().signal(wrong, Signal::Kill).unwrap();
        env.processes().signal_group(wrong, Signal::Kill).unwrap();
        assert!(env.processes().find(wrong).is_none());
        assert!(env.processes().session(wrong).is_empty());
        while env.processes().session(spawned.identity).len() < 3 {
            env.sleep(Duration::from_millis(1)).await;
        }
        let all = env.processes().session(spawned.identity);
        env.processes().signal_group(spawned.identity, Signal::Terminate).unwrap();
        assert_eq!(spawned.child.wait().await.unwrap().signal, Some(15));
        for identity in all {
            if let Some(mut process) = env.processes().find(identity) {
                process.wait().await;
            }
        }
        assert!(env.processes().session(spawned.identity).is_empty());
        env.processes().signal(spawned.identity, Signal::Kill).unwrap();
        env.processes().signal_group(spawned.identity, Signal::Kill).unwrap();
    });
}

/// What would be started through an exec of its own file goes on without one: nothing else may differ.
#[test]
fn the_program_itself_starts_as_any_other() {
    world(async |env, place| {
        let program = env.context().executable.clone();
        let spawn = |start| {
            let command = Command::new(&program).arguments(["--version"]);
            env.processes().spawn(&Command { start, output: Output::Capture(1000), ..command }).unwrap()
        };
        let expected = format!("slap {}\n", env!("CARGO_PKG_VERSION"));
        let mut at_once = spawn(Start::AtOnce);
        assert_eq!(at_once.child.wait().await.unwrap().output, expected.as_bytes());
        let mut released = spawn(Start::Held);
        released.release().unwrap();
        assert_eq!(released.child.wait().await.unwrap().output, expected.as_bytes());
        let mut dropped = spawn(Start::Held);
        drop(dropped.hold.take());
        let ended = dropped.child.wait().await.unwrap();
        assert_eq!((ended.code, ended.output), (Some(75), vec![]));

        let arguments = ["supervisor", "--directory", place.to_str().unwrap()];
        let command = Command { umask: 0o027, ..Command::new(&program).arguments(arguments) };
        let mut spawned =
            env.processes().spawn(&Command { start: Start::Held, session: true, ..command }).unwrap();
        let identity = spawned.identity;
        spawned.release().unwrap();
        let client = slap_impl::node::supervisor::SupervisorClient::new(env.clone(), place);
        while client.status().await.is_err() {
            env.sleep(Duration::from_millis(1)).await;
        }
        assert!(env.processes().session(identity).contains(&identity));
        let process = Path::new("/proc").join(identity.pid.to_string());
        assert_eq!(fs::read_link(process.join("exe")).unwrap(), program.canonicalize().unwrap());
        assert_eq!(fs::read_link(process.join("fd/0")).unwrap(), Path::new("/dev/null"));
        let status = fs::read_to_string(process.join("status")).unwrap();
        assert!(status.contains("Umask:\t0027\n"), "{status}");
        client.shutdown(false).await.unwrap();
        spawned.child.wait().await.unwrap();
    });
}

#[test]
fn marked_processes_are_found() {
    world(async |env, _| {
        let mut command = Command { start: Start::Held, ..shell("exec sleep 1000") };
        command.variables.insert("SLAP_TEST_MARK".to_owned(), "value".to_owned());
        let mut spawned = env.processes().spawn(&command).unwrap();
        assert_eq!(env.processes().marked("SLAP_TEST_MARK", "value"), [spawned.identity]);
        spawned.release().unwrap();
        assert_eq!(env.processes().marked("SLAP_TEST_MARK", "value"), [spawned.identity]);
        assert_eq!(env.processes().marked("SLAP_TEST_MARK", "val"), []);
        assert_eq!(env.processes().marked("TEST_MARK", "value"), []);
        env.processes().signal(spawned.identity, Signal::Kill).unwrap();
        spawned.child.wait().await.unwrap();
        assert_eq!(env.processes().marked("SLAP_TEST_MARK", "value"), []);
    });
}

#[test]
fn what_dies_with_its_parent_does() {
    world(async |env, place| {
        // To the kernel the parent is the thread that started it: so the end of a thread will do, once the process is tied
        // to it.
        let mark = place.display().to_string();
        let ready = place.join("ready");
        let executable = env.context().executable.clone();
        let inner_mark = mark.clone();
        let thread = std::thread::spawn(move || {
            real::block_on_env(real::env_with_executable(&executable), async |env| {
                let script = format!("touch {}; exec sleep 1000", ready.display());
                let mut command = Command { dies_with_parent: true, ..shell(&script) };
                command.variables.insert("SLAP_TEST_MARK".to_owned(), inner_mark);
                let spawned = env.processes().spawn(&command).unwrap();
                while !ready.exists() {
                    env.sleep(Duration::from_millis(1)).await;
                }
                spawned.identity
            })
        });
        let identity = thread.join().unwrap();
        while env.processes().find(identity).is_some() {
            env.sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(env.processes().marked("SLAP_TEST_MARK", &mark), []);
    });
}
