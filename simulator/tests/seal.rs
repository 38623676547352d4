//! The seal of worlds: what reaches for the real system ends the process with the name of the call; all else goes on. The calls
//! are made in processes of their own, which are this test, started again.
#![cfg(target_os = "linux")]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "this is about what code does that goes past the door"
)]

use seccompiler::{SeccompAction, SeccompFilter, apply_filter};
use simulator::world::{World, seal};
use std::{
    collections::{BTreeMap, HashMap},
    env::{consts::ARCH, current_exe},
    fs::File,
    io::{Read, Write},
    net::UdpSocket,
    os::fd::AsRawFd,
    panic::{AssertUnwindSafe, catch_unwind},
    process::{Command, Output, id},
    thread,
    time::Duration,
};

/// Says to a process which call it is to make.
const CALL: &str = "SLAP_TEST_CALL";

/// This test as a process of its own, in which one of its functions is told something.
fn again(function: &str, what: &str, variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(current_exe().expect("this test is a program"));
    command.args(["--exact", function, "--nocapture"]).env(CALL, what);
    command.env_remove("CI").env("RUST_BACKTRACE", "1").envs(variables.iter().copied());
    command.output().expect("it can be started again")
}

fn told() -> Option<String> {
    std::env::var(CALL).ok()
}

/// What a call gives: it never comes so far.
fn ignore<T>(_: T) {}

type Call = Box<dyn FnOnce() + Send>;

/// What code might do, and the names of the calls of which each is the first on some system. What it needs for that is made before the
/// world begins.
fn calls() -> Vec<(&'static str, &'static [&'static str], Call)> {
    let null =
        |writes: bool| File::options().read(true).write(writes).open("/dev/null").expect("it is there");
    let socket = || UdpSocket::bind("127.0.0.1:0").expect("loopback has ports");
    let (mut read, mut written, connected) = (null(false), null(true), socket());
    let (sent, unbound) = (socket(), socket());
    vec![
        ("open", &["openat"], Box::new(|| drop(File::open("/dev/null")))),
        ("create", &["openat"], Box::new(|| drop(File::create("/dev/shm/never-made")))),
        ("read", &["read"], Box::new(move || ignore(read.read(&mut [0; 8])))),
        ("write", &["write"], Box::new(move || ignore(written.write(b"text")))),
        ("look", &["statx"], Box::new(|| drop(std::fs::metadata("/")))),
        ("list", &["openat"], Box::new(|| drop(std::fs::read_dir("/")))),
        ("socket", &["socket"], Box::new(|| drop(UdpSocket::bind("127.0.0.1:0")))),
        ("connect", &["connect"], Box::new(move || ignore(connected.connect("127.0.0.1:9")))),
        ("send", &["sendto"], Box::new(move || ignore(sent.send_to(b"text", "127.0.0.1:9")))),
        (
            "bind",
            &["bind"],
            Box::new(move || {
                let address = nix::sys::socket::SockaddrIn::new(127, 0, 0, 1, 0);
                ignore(nix::sys::socket::bind(unbound.as_raw_fd(), &address));
            }),
        ),
        ("exec", &["execve"], Box::new(|| ignore(nix::unistd::execv(c"/bin/true", &[c"true"])))),
        (
            "start",
            &["rt_sigprocmask", "clone3", "clone", "pipe2"],
            Box::new(|| drop(Command::new("/bin/true").spawn())),
        ),
        ("thread", &["rt_sigprocmask", "clone3", "clone"], Box::new(|| drop(thread::spawn(|| ())))),
        ("random", &["getrandom"], Box::new(|| ignore(getrandom::fill(&mut [0; 8])))),
        ("sleep", &["clock_nanosleep", "nanosleep"], Box::new(|| thread::sleep(Duration::from_nanos(1)))),
        ("number", &["getpid"], Box::new(|| ignore(id()))),
        (
            "poll",
            &["epoll_create1"],
            Box::new(|| drop(tokio::runtime::Builder::new_current_thread().enable_io().build())),
        ),
    ]
}

#[test]
fn each_call_of_the_real_system_ends_the_process_with_its_name() {
    if let Some(what) = told() {
        let call = calls().into_iter().find(|(name, ..)| *name == what).expect("it is one of them").2;
        World::run(1, async move |world| {
            world.trace().event("test", "the world is there");
            call();
        });
        return;
    }
    for (what, names, _) in calls() {
        let output = again("each_call_of_the_real_system_ends_the_process_with_its_name", what, &[]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(seal::EXIT.into()), "{what}: {stderr}");
        let is_named = |name: &&str| stderr.contains(&format!("a world called the real system: {name} ("));
        assert!(names.iter().any(is_named), "{what}: {stderr}");
        assert!(stderr.contains("env.") || what == "number", "{what}: what to use in its place: {stderr}");
    }
}

/// Other threads of the process may do all that they may.
#[test]
fn only_worlds_are_sealed() {
    for (_, _, call) in calls().into_iter().filter(|(name, ..)| *name != "exec") {
        World::run(1, async |_| ());
        call();
    }
}

/// The name of it is looked for in the backtrace.
#[inline(never)]
fn something_that_breaks() {
    panic!("there is none");
}

#[test]
fn a_panic_in_a_world_is_shown_with_its_place_and_who_called() {
    match told().as_deref() {
        Some("body") => return World::run(1, async |_| something_that_breaks()),
        Some("task") => {
            return World::run(1, async |world| {
                let env = world.user("/", BTreeMap::new());
                env.spawn(async { something_that_breaks() });
                env.sleep(Duration::from_secs(1)).await;
                println!("the world goes on");
            });
        }
        _ => (),
    }
    for (what, code) in [("body", 101), ("task", 101)] {
        for (backtrace, is_shown) in [("1", true), ("full", true), ("0", false)] {
            let output = again(
                "a_panic_in_a_world_is_shown_with_its_place_and_who_called",
                what,
                &[("RUST_BACKTRACE", backtrace)],
            );
            let stderr = String::from_utf8_lossy(&output.stderr);
            let stdout = String::from_utf8_lossy(&output.stdout);
            assert_eq!(output.status.code(), Some(code), "{what}: {stderr}{stdout}");
            assert!(stderr.contains("(a world) panicked at simulator/tests/seal.rs:"), "{what}: {stderr}");
            assert_eq!(stderr.matches("there is none").count(), 1, "{what}: {stderr}");
            assert_eq!(stderr.contains("something_that_breaks"), is_shown, "{what}: {stderr}");
            assert_eq!(stdout.contains("the world goes on"), what == "task", "{what}: {stdout}");
        }
    }
}

#[test]
fn the_caller_panics_with_what_the_world_panicked_with() {
    let payload = catch_unwind(AssertUnwindSafe(|| World::run(1, async |_| std::panic::panic_any(7_u8))));
    assert_eq!(payload.expect_err("it panicked").downcast_ref::<u8>(), Some(&7));
}

/// A HashMap that came past the lints, in a package of somebody else, has an order that is the seed's.
#[test]
fn the_order_of_a_hash_map_is_the_seeds() {
    let order = |seed| {
        World::run(seed, async |_| {
            let map: HashMap<u32, ()> = (0..100).map(|key| (key, ())).collect();
            map.into_keys().collect::<Vec<u32>>()
        })
    };
    assert_eq!(order(1), order(1));
    assert_ne!(order(1), order(2));
}

/// Lets `seccomp` fail as it does in kernels without it, in this thread and those that it starts.
fn without_seccomp() {
    let rules = BTreeMap::from([(nix::libc::SYS_seccomp, Vec::new())]);
    let errno = SeccompAction::Errno(nix::libc::ENOSYS as u32);
    let architecture = ARCH.try_into().expect("it is one that has a filter");
    let filter =
        SeccompFilter::new(rules, SeccompAction::Allow, errno, architecture).expect("it is a filter");
    let program: seccompiler::BpfProgram = filter.try_into().expect("it is a filter");
    apply_filter(&program).expect("this system has filters");
}

#[test]
fn without_filters_it_says_so_and_ci_fails() {
    if told().is_some() {
        without_seccomp();
        for _ in 0..2 {
            World::run(1, async |_| drop(File::open("/dev/null")));
        }
        return;
    }
    for (ci, passes) in [("", true), ("0", true), ("false", true), ("1", false), ("true", false)] {
        let output = again("without_filters_it_says_so_and_ci_fails", "world", &[("CI", ci)]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(if passes { 0 } else { 101 }), "CI={ci}: {stderr}");
        assert_eq!(stderr.matches("NOT SEALED").count(), 1, "CI={ci}: {stderr}");
        assert_eq!(stderr.contains("where CI is set that is a failure"), !passes, "CI={ci}: {stderr}");
    }
}
