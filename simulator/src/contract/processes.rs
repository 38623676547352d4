//! Starting, holding, watching, signalling and ending processes.

use slap_impl::env::{Command, Ended, Env, Identity, Output, Signal, Spawned, Start};
use std::{path::Path, time::Duration};

const MARK: &str = "SLAP_CONTRACT";

pub(super) async fn all(env: &Env, scratch: &Path) {
    ends(env).await;
    output(env, scratch).await;
    refusals(env);
    held(env).await;
    found_and_killed(env).await;
    groups(env).await;
    ends_its_group(env).await;
    stands_still(env).await;
    leaves_orphans(env).await;
    assert!(!env.processes().boot().is_empty());
    let files = env.processes().raise_open_files().unwrap();
    assert!(files >= 64, "{files}");
    assert_eq!(env.processes().raise_open_files().unwrap(), files, "it may be asked for twice");
}

fn shell(text: &str) -> Command {
    let mut command = Command::new("/bin/sh").arguments(["-c", text]);
    command.variables.insert("PATH".to_owned(), "/usr/bin:/bin".to_owned());
    command.output = Output::Capture(1000);
    command
}

async fn end(mut spawned: Spawned) -> Ended {
    spawned.child.wait().await.unwrap()
}

async fn ends(env: &Env) {
    let ended = end(env.processes().spawn(&shell("exit 3")).unwrap()).await;
    assert_eq!((ended.code, ended.signal), (Some(3), None));
    let mut spawned = env.processes().spawn(&shell("true")).unwrap();
    assert!(spawned.child.wait().await.unwrap().succeeded());
    assert!(spawned.child.wait().await.unwrap().succeeded(), "an end may be asked for twice");
    let (one, two) = (env.processes().spawn(&shell("true")), env.processes().spawn(&shell("true")));
    assert_ne!(one.unwrap().identity, two.unwrap().identity);
}

async fn output(env: &Env, scratch: &Path) {
    let mut command = shell("echo $GREETING; exit 1");
    command.variables.insert("GREETING".to_owned(), "hello".to_owned());
    let ended = end(env.processes().spawn(&command).unwrap()).await;
    assert_eq!((ended.code, ended.output.as_slice()), (Some(1), &b"hello\n"[..]));
    command.output = Output::Capture(3);
    let ended = end(env.processes().spawn(&command).unwrap()).await;
    assert_eq!(ended.output, b"lo\n", "the last bytes are kept");
    let log = scratch.join("log");
    command.output = Output::Append(log.clone());
    for _ in 0..2 {
        end(env.processes().spawn(&command).unwrap()).await;
    }
    assert_eq!(env.files().read_text(&log, 100).unwrap(), "hello\nhello\n");
    assert_eq!(env.files().metadata(&log).unwrap().mode, 0o600);
    let pipe = scratch.join("pipe");
    let reading = env.files().open_pipe(&pipe).unwrap();
    assert_eq!(reading.take(100).unwrap(), b"", "nothing is there yet");
    command.output = Output::Pipe(pipe);
    for _ in 0..2 {
        end(env.processes().spawn(&command).unwrap()).await;
    }
    reading.readable().await.unwrap();
    assert_eq!(
        (reading.take(8).unwrap(), reading.take(100).unwrap()),
        (b"hello\nhe".to_vec(), b"llo\n".to_vec())
    );
    assert!(env.timeout(Duration::from_millis(20), reading.readable()).await.is_err(), "all was taken");
    command.output = Output::Pipe(log.clone());
    let refused = env.processes().spawn(&command).err().map(|error| error.kind());
    assert_eq!(refused, Some(std::io::ErrorKind::InvalidInput), "a file is no pipe");
    command.output = Output::Stream;
    let mut spawned = env.processes().spawn(&command).unwrap();
    let reading = spawned.output.take().unwrap();
    end(spawned).await;
    assert_eq!(reading.take(100).unwrap(), b"hello\n");
    assert!(
        env.timeout(Duration::from_millis(20), reading.readable()).await.is_err(),
        "the end is nothing to take"
    );
    let mut in_directory = shell("test -f log");
    in_directory.directory = scratch.to_owned();
    assert!(end(env.processes().spawn(&in_directory).unwrap()).await.succeeded());
}

fn refusals(env: &Env) {
    let kind = |program: &str| env.processes().spawn(&Command::new(program)).err().map(|error| error.kind());
    assert_eq!(kind("/no/such/program"), Some(std::io::ErrorKind::NotFound));
    assert_eq!(kind("/tmp"), Some(std::io::ErrorKind::PermissionDenied));
}

async fn held(env: &Env) {
    let held = |text: &str| Command { start: Start::Held, ..shell(text) };
    let mut spawned = env.processes().spawn(&held("echo ran")).unwrap();
    assert!(env.processes().find(spawned.identity).is_some(), "a held process has its identity already");
    let early = env.timeout(Duration::from_millis(50), spawned.child.wait()).await;
    assert!(early.is_err(), "it waits");
    spawned.release().unwrap();
    assert_eq!(end(spawned).await.output, b"ran\n");

    let mut spawned = env.processes().spawn(&held("echo ran")).unwrap();
    drop(spawned.hold.take());
    let ended = end(spawned).await;
    assert!(!ended.succeeded() && ended.output.is_empty(), "not released: it never runs ({ended:?})");

    let missing =
        Command { start: Start::Held, output: Output::Capture(1000), ..Command::new("/no/such/program") };
    let mut spawned = env.processes().spawn(&missing).unwrap();
    spawned.release().unwrap();
    assert_eq!(end(spawned).await.code, Some(127));
}

async fn found_and_killed(env: &Env) {
    let spawned = env.processes().spawn(&shell("sleep 600")).unwrap();
    let identity = spawned.identity;
    let mut other = env.processes().find(identity).expect("it runs");
    env.processes().signal(identity, Signal::Kill).unwrap();
    other.wait().await;
    assert_eq!(end(spawned).await.signal, Some(9));
    assert!(env.processes().find(identity).is_none(), "it is gone");
    env.processes().signal(identity, Signal::Kill).expect("a signal to what is gone is no error");
    let reused = Identity { start_time: identity.start_time + 1, ..env.context().identity };
    assert!(env.processes().find(reused).is_none(), "a number alone is not an identity");
    let own = env.processes().find(env.context().identity);
    assert!(own.is_some(), "a process finds itself");
}

async fn groups(env: &Env) {
    let mut command = shell("sleep 600; true");
    let mark = format!("{:?}", env.random_bytes(8));
    command.variables.insert(MARK.to_owned(), mark.clone());
    let spawned = env.processes().spawn(&command).unwrap();
    // The shell and its sleep: the mark is inherited.
    while env.processes().marked(MARK, &mark).len() < 2 {
        env.sleep(Duration::from_millis(1)).await;
    }
    assert!(env.processes().marked(MARK, &mark).contains(&spawned.identity));
    let identity = spawned.identity;
    let session = env.processes().session(identity);
    assert!(
        session.len() == 2 && session.contains(&identity),
        "the shell leads a session of two: {session:?}"
    );
    env.processes().signal_group(identity, Signal::Kill).unwrap();
    assert_eq!(end(spawned).await.signal, Some(9));
    while !env.processes().marked(MARK, &mark).is_empty() {
        env.sleep(Duration::from_millis(1)).await;
    }
    // A killed process loses its environment, and so its mark, a moment before it is gone.
    let gone = async {
        while !env.processes().session(identity).is_empty() {
            env.sleep(Duration::from_millis(1)).await;
        }
    };
    assert!(env.timeout(Duration::from_secs(10), gone).await.is_ok(), "nothing is left of the session");
    env.processes().signal_group(identity, Signal::Kill).expect("a group that is gone is no error");
}

async fn ends_its_group(env: &Env) {
    let mark = format!("{:?}", env.random_bytes(8));
    let mut command = shell("sleep 600; true");
    command.variables.insert(MARK.to_owned(), mark.clone());
    command.ends_group = true;
    let spawned = env.processes().spawn(&command).unwrap();
    while env.processes().marked(MARK, &mark).len() < 2 {
        env.sleep(Duration::from_millis(1)).await;
    }
    // Only the leader is killed: what it started goes with it.
    env.processes().signal(spawned.identity, Signal::Kill).unwrap();
    assert_eq!(end(spawned).await.signal, Some(9));
    while !env.processes().marked(MARK, &mark).is_empty() {
        env.sleep(Duration::from_millis(1)).await;
    }
}

async fn leaves_orphans(env: &Env) {
    let own = env.context().identity;
    let processes = env.processes();
    processes.adopt_orphans().unwrap();
    let spawned = processes.spawn(&shell("sleep 600; true")).unwrap();
    let leader = spawned.identity;
    assert_eq!(processes.user(leader), Some(env.context().user));
    while processes.descendants(&[leader]).is_empty() {
        env.sleep(Duration::from_millis(1)).await;
    }
    let left = processes.descendants(&[leader]);
    processes.signal(leader, Signal::Kill).unwrap();
    end(spawned).await;
    assert_eq!((processes.user(leader), processes.descendants(&[leader])), (None, vec![]));
    for orphan in left {
        assert!(processes.descendants(&[own]).contains(&orphan), "it has another parent now");
        let mut process = processes.find(orphan).unwrap();
        processes.signal(orphan, Signal::Kill).unwrap();
        process.wait().await;
        assert!(!processes.descendants(&[own]).contains(&orphan));
    }
}

async fn stands_still(env: &Env) {
    let mut spawned = env.processes().spawn(&shell("sleep 0.02")).unwrap();
    env.processes().signal_group(spawned.identity, Signal::Stop).unwrap();
    let still = env.timeout(Duration::from_millis(200), spawned.child.wait()).await;
    assert!(still.is_err(), "a stopped process does not end");
    env.processes().signal_group(spawned.identity, Signal::Continue).unwrap();
    assert!(end(spawned).await.succeeded());
    let mut spawned = env.processes().spawn(&shell("sleep 60")).unwrap();
    env.processes().signal_group(spawned.identity, Signal::Stop).unwrap();
    let stands_still = async {
        while !env.processes().is_stopped(spawned.identity) {
            env.sleep(Duration::from_millis(1)).await;
        }
    };
    env.timeout(Duration::from_secs(20), stands_still).await.expect("it stands still soon");
    env.processes().signal_group(spawned.identity, Signal::Terminate).unwrap();
    let still = env.timeout(Duration::from_millis(200), spawned.child.wait()).await;
    assert!(still.is_err(), "one that stands still hears of its end when it goes on");
    env.processes().signal_group(spawned.identity, Signal::Continue).unwrap();
    assert_eq!(end(spawned).await.signal, Some(15));
}
