//! Peers that are too many, too slow or too much, and those that ask under a stranger's name.

use crate::support::{BOUND, Master, rest, stands, wait_until};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, connect, setsockopt, socket, sockopt,
};
use rustix::process::{Resource, Rlimit};
use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::{IpAddr, TcpStream, UdpSocket},
    os::fd::AsRawFd,
    time::Duration,
};

/// A request that the master holds until COMP-1 changes.
const HELD: &str = "GET /events?since=1000000 HTTP/1.1\r\nhost: localhost\r\nprefer: wait=300\r\n\r\n";

/// What is done at once is done before the time of any stranger is up.
const AT_ONCE: Duration = Duration::from_secs(5);

/// Asks on a connection that stays open.
fn ask(stream: &mut TcpStream) {
    stream.set_read_timeout(Some(AT_ONCE)).unwrap();
    stream.write_all(b"GET /getRunId HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut head = [0; 15];
    stream.read_exact(&mut head).unwrap_or_else(|error| panic!("no answer within {AT_ONCE:?}: {error}"));
    assert_eq!(&head, b"HTTP/1.1 200 OK");
}

#[test]
fn it_raises_its_limit_of_open_files() {
    let master = Master::start("-Sn 64", "");
    let limits = fs::read_to_string(format!("/proc/{}/limits", master.child.id())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let numbers: Vec<&str> = line.split_whitespace().skip(3).take(2).collect();
    assert!(numbers[0] == numbers[1] && numbers[0] != "64", "{line}");
    // All of them stay, while each is asked on.
    let mut streams: Vec<TcpStream> = (0..200).map(|_| master.connect()).collect();
    streams.iter_mut().for_each(ask);
    assert_eq!(master.connections(), 200);
}

#[test]
fn without_descriptors_it_pauses_and_goes_on() {
    let master = Master::start("-n 4096", "");
    master.serves();
    wait_until("the last one is gone", || master.connections() == 0);
    let held: Vec<TcpStream> = (0..4).map(|_| master.sent(HELD)).collect();
    let idle: Vec<TcpStream> = (0..4)
        .map(|_| {
            let mut stream = master.connect();
            ask(&mut stream);
            stream
        })
        .collect();
    // Not one more: who is idle makes room, again and again; who waits for a change stays.
    let open = fs::read_dir(format!("/proc/{}/fd", master.child.id())).unwrap().count() as u64;
    master.limit_open_files(open - 1);
    for _ in 0..20 {
        let mut stream = master.connect();
        ask(&mut stream);
    }
    assert!(master.has_said("cannot accept a connection"), "{}", master.said.lock().unwrap());
    assert!(held.iter().all(stands), "one was closed that waits for a change");
    drop(idle);
    // Fewer than it has: it waits, and goes on when there are more.
    master.limit_open_files(4);
    let newcomer = master.sent("GET /getRunId HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    master.limit_open_files(4096);
    assert!(rest(newcomer).starts_with("HTTP/1.1 200"));
    wait_until("it says so", || master.has_said("accepts connections again"));
    master.change("COMP-1");
    master.serves();
}

#[test]
fn strangers_do_not_lock_others_out() {
    // Room for 30 connections.
    let master = Master::start("-n 60", "");
    let held = master.sent(HELD);
    let mut strangers = Vec::new();
    for number in 0..300 {
        let half = ["", "GET /", "GET / HTTP/1.1\r\nhost: localhost\r\nx: "][number % 3];
        strangers.push(master.sent(half));
        if number % 50 == 49 {
            master.serves_within(AT_ONCE);
        }
    }
    let halves = "POST /supplySupply HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\nurl=";
    for _ in 0..100 {
        strangers.push(master.sent(halves));
    }
    master.serves_within(AT_ONCE);
    assert!(stands(&held), "who waits for a change was closed");
    assert!(master.connections() <= 31, "{}", master.connections());
}

#[test]
fn who_waits_leaves_room_for_others() {
    // Room for 30 connections, 27 of which may be held.
    let master = Master::start("-n 60", "");
    let mut held: Vec<TcpStream> = (0..27).map(|_| master.sent(HELD)).collect();
    // It is heard after all of these.
    master.serves();
    for _ in 0..100 {
        let one_more = master.sent(&HELD.replace("prefer", "connection: close\r\nprefer"));
        one_more.set_read_timeout(Some(BOUND / 10)).unwrap();
        let answer = rest(one_more);
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"events\":[]"), "{answer}");
        // So it does not ask again at once.
        assert!(!answer.contains("preference-applied"), "{answer}");
    }
    let document = |etag: &str| {
        let path = "GET /getFullComputerInformation?computer_id=COMP-1 HTTP/1.1\r\nhost: localhost\r\n";
        master.exchange(&format!("{path}connection: close\r\nprefer: wait=300\r\n{etag}\r\n"))
    };
    assert!(held.iter().all(stands), "one was closed that waits for a change");
    // A change ends no wait for what comes later, and takes nobody's place.
    master.change("COMP-1");
    assert!(document("").starts_with("HTTP/1.1 200"));
    let answer = document("if-none-match: *\r\n");
    assert!(answer.starts_with("HTTP/1.1 304") && !answer.contains("preference-applied"), "{answer}");
    assert!(held.iter().all(stands), "one was closed that waits for a change");
    // Who goes away leaves a place.
    drop(held.pop());
    wait_until("one more waits", || {
        let next = master.sent(HELD);
        next.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let waits = next.peek(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        held.extend(waits.then_some(next));
        waits
    });
    master.serves();
}

#[test]
fn slow_strangers_are_closed_while_others_are_served() {
    const EACH: usize = 500;
    // Each of those has a socket here, too.
    let files = rustix::process::getrlimit(Resource::Nofile);
    let limit = Rlimit { current: files.maximum, maximum: files.maximum };
    rustix::process::setrlimit(Resource::Nofile, limit).unwrap();
    let master = Master::start("-n 4096", "");
    // An answer that no socket's buffer holds, when it is asked for again and again.
    for number in 0..40 {
        master.change(&format!("COMP-{number}"));
    }
    let held = master.sent(&HELD.replace("wait=300", "wait=299"));
    wait_until("it is held", || master.connections() == 1);
    let events = "GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(300);
    let mut strangers = Vec::new();
    for _ in 0..EACH {
        strangers.push(master.sent("GET / HTTP/1.1\r\nhost: local"));
        strangers.push(
            master.sent("POST /supplySupply HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\nurl="),
        );
    }
    for _ in 0..20 {
        strangers.push(master.sent(&events));
    }
    let mut served = 0;
    wait_until("all strangers are closed", || {
        master.serves();
        served += 1;
        // The last that was served may still linger.
        master.connections() <= 2
    });
    assert!(served > 10, "others were served {served} times meanwhile");
    assert!(stands(&held), "who waits for a change was closed");
    drop(strangers);
    master.serves();
}

/// How much a reader takes at a time, and how often: a part of the 64 KiB that it is to take in 10 s.
const DROP: (usize, Duration) = (1 << 10, Duration::from_millis(300));

/// The system has taken much of the answer already, and asks for more only when much of that is gone: so the server sees that the write stands
/// still. Where it sees each drop, the server's own tests look.
#[test]
fn who_takes_an_answer_drop_by_drop_is_closed() {
    let master = Master::start("-n 4096", "");
    // An answer of which much is left when the time is up.
    master.format("COMP-1", 2000);
    let question = "GET /getFullComputerInformation?computer_id=COMP-1 HTTP/1.1\r\nhost: localhost\r\n";
    let answer = master.exchange(&format!("{question}connection: close\r\n\r\n"));
    assert!(answer.starts_with("HTTP/1.1 200") && answer.len() > 1 << 19, "{} bytes", answer.len());
    let mut readers = Vec::new();
    for _ in 0..3 {
        let stream = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
        // A small window: what is taken is seen on the other side in small steps.
        setsockopt(&stream, sockopt::RcvBuf, &(4 << 10)).unwrap();
        connect(stream.as_raw_fd(), &SockaddrStorage::from(master.address)).unwrap();
        let mut stream = TcpStream::from(stream);
        stream.write_all(format!("{question}\r\n").as_bytes()).unwrap();
        stream.set_nonblocking(true).unwrap();
        readers.push(stream);
    }
    wait_until("they are read to", || master.connections() == readers.len());
    let mut last = None;
    wait_until("all that take drops are closed", || {
        if last.is_none_or(|last: std::time::Instant| last.elapsed() > DROP.1) {
            last = Some(std::time::Instant::now());
            for reader in &mut readers {
                // One that is closed already gives an error, or what is left.
                let _ = reader.read(&mut [0; DROP.0]);
            }
            master.serves();
        }
        master.connections() <= 1
    });
}

#[test]
fn who_sends_a_request_drop_by_drop_is_closed() {
    let master = Master::start("-n 4096", "");
    let head = "POST /supplySupply HTTP/1.1\r\nhost: localhost\r\n";
    let chunks = format!("{head}transfer-encoding: chunked\r\n\r\n");
    // What is sent again and again comes to no end by itself.
    let kinds: [(&str, &str, &str); 4] = [
        ("GET / HTTP/1.1\r\nhost: localhost\r\nx: ", "x", ""),
        (&format!("{head}content-length: 1000000\r\n\r\n"), "x", "HTTP/1.1 408"),
        (&chunks, "1\r\nx\r\n", "HTTP/1.1 408"),
        // Only the length of a chunk.
        (&chunks, "0", "HTTP/1.1 408"),
    ];
    // Two of each: one connection is that of the last who was served.
    let both = kinds.into_iter().chain(kinds);
    let mut senders: Vec<_> =
        both.map(|(begin, drop, expected)| (master.sent(begin), drop, expected)).collect();
    let mut told: Vec<(&str, Vec<u8>)> = Vec::new();
    for (stream, ..) in &senders {
        stream.set_nonblocking(true).unwrap();
    }
    wait_until("all that send drops are closed", || {
        std::thread::sleep(DROP.1);
        for (stream, drop, expected) in &mut senders {
            // One that is closed already gives an error.
            let _ = stream.write(drop.as_bytes());
            let mut answer = vec![0; 1000];
            if let Ok(length @ 1..) = stream.read(&mut answer) {
                answer.truncate(length);
                told.push((*expected, answer));
            }
        }
        master.serves();
        master.connections() <= 1
    });
    for (expected, answer) in &told {
        let answer = String::from_utf8_lossy(answer);
        assert!(answer.starts_with(expected), "{answer}");
    }
    let refused = told.iter().filter(|(expected, _)| !expected.is_empty()).count();
    assert_eq!(refused, 6, "who sends a body is told that it took too long");
}

#[test]
fn what_is_too_long_is_cut_and_costs_nothing() {
    let master = Master::start("-n 4096", "");
    let head = "POST /supplySupply HTTP/1.1\r\nhost: localhost\r\n";
    // Nothing of the body was sent, and the connection stays open: so the answer comes because of the head alone.
    let answer = master.exchange(&format!("{head}content-length: 2147483648\r\n\r\n"));
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("1048576 bytes"), "{answer}");
    let answer = master.exchange(&format!("{head}content-length: 1048577\r\nexpect: 100-continue\r\n\r\n"));
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    let before = master.status("VmHWM");
    let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
    for _ in 0..20 {
        let mut stream = master.sent(&format!("{head}transfer-encoding: chunked\r\n\r\n"));
        let mut sent = 0;
        // Endless: until nobody takes them any more.
        while stream.write_all(chunk.as_bytes()).is_ok() {
            sent += chunk.len();
            assert!(sent < 1 << 30, "a GiB of chunks was taken");
        }
    }
    let grown = master.status("VmHWM") - before;
    assert!(grown < 32 << 10, "{grown} KiB more for 20 endless bodies of 1 MiB at most, one after the other");
    master.serves();
}

#[test]
fn it_answers_to_its_own_names_only() {
    let check = |master: &Master, host: &str, expected: u16| {
        // As bytes: U+00FF stands for one that is no UTF-8.
        let request = format!("GET /getRunId HTTP/1.1\r\n{host}connection: close\r\n\r\n");
        let bytes: Vec<u8> = request.chars().map(|character| character as u8).collect();
        let mut stream = master.connect();
        stream.write_all(&bytes).unwrap();
        let answer = rest(stream);
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected}")), "{host:?}: {answer}");
        if expected == 421 {
            assert!(answer.contains("server_names"), "{answer}");
        }
    };
    let master = Master::start("-n 4096", "");
    for good in ["localhost", "localhost:5000", "127.0.0.1", "127.84.3.1:80", "[::1]:5000"] {
        check(&master, &format!("Host: {good}\r\n"), 200);
    }
    for bad in [
        "evil.example",
        "evil.example:5000",
        "192.0.2.1",
        "127.0.0.1.evil.example",
        "",
        "\u{ff}",
        "localhost\u{ff}",
    ] {
        check(&master, &format!("Host: {bad}\r\n"), 421);
    }
    check(&master, "", 400);
    check(&master, "Host: localhost\r\nHost: evil.example\r\n", 400);
    // What a proxy says does not make a stranger's name ours.
    check(&master, "Host: evil.example\r\nX-Forwarded-Host: localhost\r\n", 421);
    let named = Master::start("-n 4096", "server_names = slap.example.com\n");
    check(&named, "Host: slap.example.com\r\n", 200);
    check(&named, "Host: localhost\r\n", 200);
    check(&named, "Host: evil.example\r\n", 421);
    let everywhere = Master::start("-n 4096", "host = 0.0.0.0\n");
    check(&everywhere, "Host: 192.0.2.1:5000\r\n", 200);
    check(&everywhere, "Host: evil.example\r\n", 421);
    let Some(own) = own_address() else {
        let ci = std::env::var("CI").is_ok_and(|value| !["", "0", "false"].contains(&value.as_str()));
        assert!(!ci, "this machine has no address but loopback, and CI must try one");
        let _ = writeln!(
            std::io::stderr(),
            "\n*** DID NOT RUN: a master at an address of this machine: it has none.\n"
        );
        return;
    };
    let elsewhere = Master::start("-n 4096", &format!("host = {own}\nserver_names = slap.example.com\n"));
    for good in [own.to_string(), format!("{own}:5000"), "slap.example.com".to_owned()] {
        check(&elsewhere, &format!("Host: {good}\r\n"), 200);
    }
    for bad in ["evil.example", "localhost", "127.0.0.1", "198.51.100.7", ""] {
        check(&elsewhere, &format!("Host: {bad}\r\n"), 421);
    }
}

/// An address of this machine that is not loopback. Nothing is sent to find it.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("198.51.100.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}
