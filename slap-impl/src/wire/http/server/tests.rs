//! The server loop on the real network, against peers that behave and peers that do not.

use super::*;
use crate::env::{Address, real};
use std::cell::RefCell;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Notify,
};

/// Answers with what it was asked; `/held` never, `/large` with more than any buffer holds.
#[derive(Default)]
struct Echo {
    held: Notify,
    /// Paths, in the order of their answers.
    answered: RefCell<Vec<String>>,
}

impl Handler for Echo {
    fn handle(self: Rc<Self>, request: Request) -> LocalFuture<'static, Response> {
        Box::pin(async move {
            self.answered.borrow_mut().push(request.path.clone());
            match request.path.as_str() {
                "/held" => {
                    self.held.notify_one();
                    std::future::pending().await
                }
                "/large" => Response::new(200, "text/plain", vec![b'x'; LARGE]),
                "/forged" => Response::text(200, "").header("location", "/\r\nset-cookie: a"),
                path => Response::text(200, format!("{} {path} {}", request.method, request.body.len())),
            }
        })
    }
}

/// Bytes of the answer to `/large`.
const LARGE: usize = 64 << 20;

struct Server {
    env: Env,
    address: Address,
    echo: Rc<Echo>,
    end: Rc<Notify>,
    ended: Rc<Notify>,
}

/// What takes longer hangs: nothing here is to take more than a tenth of a second.
const SOON: Duration = Duration::from_secs(10);

impl Server {
    async fn connect(&self) -> BoxStream {
        self.env.network().connect(&self.address).await.unwrap()
    }

    /// Waits for what must happen soon.
    async fn soon<T>(&self, what: &str, happens: impl Future<Output = T>) -> T {
        let happened = self.env.timeout(SOON, happens).await;
        happened.unwrap_or_else(|_| panic!("{what}: not within {SOON:?}"))
    }

    /// Whether a stream comes to its end, with nothing more to read.
    async fn closes(&self, stream: &mut BoxStream) -> bool {
        let mut rest = Vec::new();
        let end = self.soon("a connection is closed", stream.read_to_end(&mut rest)).await;
        end.is_err() || rest.is_empty()
    }

    /// Whether a stream ends before all of `/large` was read.
    async fn is_cut(&self, stream: &mut BoxStream) -> bool {
        let mut rest = Vec::new();
        let end = self.soon("an answer that nobody takes is given up", stream.read_to_end(&mut rest)).await;
        end.is_err() || rest.len() < LARGE
    }

    /// Sends bytes and reads until the server closes.
    async fn exchange(&self, bytes: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let what: String = bytes.chars().take(100).collect();
        let _ = self.soon(&format!("the end after {what:?}"), stream.read_to_end(&mut answer)).await;
        String::from_utf8(answer).unwrap()
    }
}

fn with_server(limits: Limits, test: impl AsyncFnOnce(Server)) {
    real::block_on_env(real::env(), async |env: Env| {
        let listener = env.network().listen(&Address::Tcp("127.0.0.1:0".parse().unwrap())).unwrap();
        let (end, ended) = (Rc::new(Notify::new()), Rc::new(Notify::new()));
        let echo = Rc::new(Echo::default());
        let server = Server {
            env: env.clone(),
            address: listener.address(),
            echo: echo.clone(),
            end: end.clone(),
            ended: ended.clone(),
        };
        let inner = env.clone();
        env.spawn(async move {
            serve_until(&inner, listener, limits, echo, async { end.notified().await }).await;
            ended.notify_one();
        });
        let limit = SOON * 6;
        assert!(env.timeout(limit, test(server)).await.is_ok(), "the whole test: not within {limit:?}");
    });
}

fn short() -> Limits {
    let short = Duration::from_millis(50);
    Limits {
        header_timeout: short,
        body_timeout: short,
        write_timeout: short,
        drain_timeout: short,
        body_bytes_max: 10,
        ..Limits::default()
    }
}

#[test]
fn requests_are_answered() {
    with_server(short(), async |server| {
        for (sent, expected) in [
            ("GET /a?b HTTP/1.1\r\nhost: x\r\n\r\n", "GET /a 0"),
            ("POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc", "POST /a 3"),
            ("POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 11\r\n\r\n01234567890", "413 Payload Too Large"),
            (
                "POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n\r\n",
                "413",
            ),
            ("POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\na", "408 Request Timeout"),
            // What is only announced is refused before it comes, and before anything else is looked at.
            ("POST /a HTTP/1.1\r\ncontent-length: 2147483648\r\n\r\n", "413 Payload Too Large"),
            (
                "POST /a HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 11\r\n\r\n",
                "HTTP/1.1 413 Payload Too Large",
            ),
            ("POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999\r\n\r\n", "HTTP/1.1 4"),
            ("POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n", "HTTP/1.1 4"),
            ("GET /a HTTP/1.1\r\n\r\n", "no Host"),
            ("GET /a HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n", "2 headers Host"),
            ("GET /a HTTP/1.0\r\n\r\n", "GET /a 0"),
            ("nonsense\r\n\r\n", "400 Bad Request"),
            ("nonsense\r\n\r\n", "the head of the request is not one of HTTP/1.1"),
            ("GET /\u{1} HTTP/1.1\r\nhost: x\r\n\r\n", "the head of the request is not one of HTTP/1.1"),
            ("GET /a HTTP/1.1\r\nhost: x\r\nb: \0\r\n\r\n", "the head of the request is not one of HTTP/1.1"),
            ("POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n", "or Content-Length\n"),
        ] {
            let answer = server.exchange(sent).await;
            assert!(answer.contains(expected), "{sent:?}: {answer}");
        }
        let answer = server.exchange("GET /a HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(answer.contains("\r\ndate: ") && answer.contains(" GMT\r\n"), "{answer}");
        let answer = server.exchange("GET /forged HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200") && !answer.contains("cookie"), "{answer}");
        // The shorter one may come in one piece.
        for length in [100_000, 33_000] {
            let huge = format!("GET /a HTTP/1.1\r\nhost: x\r\nlong: {}\r\n\r\n", "x".repeat(length));
            let answer = server.exchange(&huge).await;
            let is_told = answer.starts_with("HTTP/1.1 431")
                && answer.contains("the head of the request has more than");
            assert!(answer.is_empty() || is_told, "{answer}");
        }
    });
}

#[test]
fn nobody_holds_a_connection_for_ever() {
    with_server(Limits { drain_timeout: Duration::from_secs(60), ..short() }, async |server| {
        // Silent, and drop by drop: the connection ends all the same.
        assert_eq!(server.exchange("").await, "");
        let mut stream = server.connect().await;
        let mut drops = 0;
        while stream.write_all(b"G").await.is_ok() && drops < 2000 {
            drops += 1;
            server.env.sleep(Duration::from_millis(5)).await;
        }
        assert!(drops < 2000, "drop by drop, it has all the time in the world");
        // One that does not read: its answer is given up, so the server can end.
        let mut lazy = server.connect().await;
        lazy.write_all(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut first = [0];
        lazy.read_exact(&mut first).await.unwrap();
        server.end.notify_one();
        server.soon("the server ends although one does not read", server.ended.notified()).await;
        assert!(server.is_cut(&mut lazy).await);
    });
}

#[test]
fn each_head_has_its_own_time() {
    with_server(Limits { header_timeout: Duration::from_secs(2), ..patient(9) }, async |server| {
        let start = server.env.clock().elapsed();
        let mut silent = server.connect().await;
        let mut asking = server.connect().await;
        // One that was served has its time from its answer on.
        ask(&server, &mut asking, "/a").await;
        let mut served = server.connect().await;
        ask(&server, &mut served, "/b").await;
        let mut is_silent_cut = false;
        while !is_silent_cut {
            ask(&server, &mut asking, "/c").await;
            let mut byte = [0];
            let look = server.env.timeout(Duration::from_millis(10), silent.read(&mut byte)).await;
            is_silent_cut = look.is_ok_and(|read| !read.is_ok_and(|bytes| bytes > 0));
            let took = server.env.clock().elapsed() - start;
            assert!(took < SOON, "after {SOON:?} who says nothing is not sent away");
        }
        let took = server.env.clock().elapsed() - start;
        assert!(took >= Duration::from_secs(2), "sent away after {took:?}");
        ask(&server, &mut asking, "/d").await;
        assert!(server.is_cut(&mut served).await, "who was served once is not waited for");
        assert!(server.is_cut(&mut asking).await, "nor who asks no more");
        // Nobody is there: who comes now has his time, too.
        assert_eq!(server.exchange("").await, "");
    });
}

/// One connection after the other, each of which the server sees through a buffer of so many bytes.
struct Pipes(tokio::sync::mpsc::UnboundedReceiver<tokio::io::DuplexStream>);

impl crate::env::Listener for Pipes {
    fn accept(&mut self) -> LocalFuture<'_, io::Result<(BoxStream, Option<SocketAddr>)>> {
        Box::pin(async {
            match self.0.recv().await {
                Some(stream) => Ok((Box::new(stream) as BoxStream, None)),
                None => std::future::pending().await,
            }
        })
    }

    fn address(&self) -> Address {
        Address::Unix("pipes".into())
    }
}

#[test]
fn who_takes_an_answer_drop_by_drop_is_given_up() {
    real::block_on_env(real::env(), async |env: Env| {
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        let limits = Limits { write_timeout: Duration::from_millis(500), ..patient(9) };
        let echo = Rc::new(Echo::default());
        let inner = env.clone();
        env.spawn(async move { serve(&inner, Box::new(Pipes(receiver)), limits, echo).await });
        let connect = || {
            // A socket's buffer grows as it likes; of this one each drop makes room that the server sees.
            let (near, far) = tokio::io::duplex(1 << 10);
            sender.send(far).unwrap();
            near
        };
        for (drop_bytes, pause, is_cut) in [
            // A drop each ten milliseconds: at most 25 KiB in the time in which 64 are to be taken.
            (512, Duration::from_millis(10), true),
            (64 << 10, Duration::ZERO, false),
        ] {
            let mut stream = connect();
            stream.write_all(b"GET /large HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
            let start = env.clock().elapsed();
            let mut drop = vec![0; drop_bytes];
            let mut taken = 0;
            let is_going_on = loop {
                match stream.read(&mut drop).await {
                    Ok(read) if read > 0 => taken += read,
                    _ => break false,
                }
                if taken > 2 << 20 {
                    break true;
                }
                let took = env.clock().elapsed() - start;
                assert!(took < SOON, "after {SOON:?} it goes on: {taken} bytes were taken");
                env.sleep(pause).await;
            };
            assert_eq!(is_going_on, !is_cut, "{drop_bytes} bytes at a time: {taken} bytes");
        }
    });
}

#[test]
fn who_sends_many_requests_at_once_lets_others_in() {
    real::block_on_env(real::env(), async |env: Env| {
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        let echo = Rc::new(Echo::default());
        let (inner, handler) = (env.clone(), echo.clone());
        env.spawn(async move { serve(&inner, Box::new(Pipes(receiver)), patient(9), handler).await });
        // All of it is there before the server has its first turn.
        let mut streams = Vec::new();
        for (path, count) in [("/many", 100), ("/one", 1)] {
            let (mut near, far) = tokio::io::duplex(64 << 10);
            let requests = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").repeat(count);
            near.write_all(requests.as_bytes()).await.unwrap();
            sender.send(far).unwrap();
            streams.push(near);
        }
        let all = async {
            while echo.answered.borrow().len() < 101 {
                tokio::task::yield_now().await;
            }
        };
        assert!(env.timeout(SOON, all).await.is_ok(), "not all were answered within {SOON:?}");
        let before = echo.answered.borrow().iter().take_while(|path| *path == "/many").count();
        assert!(before <= 2, "{before} of the many were answered before the one");
    });
}

#[test]
fn connections_beyond_the_limit_wait() {
    let limits = Limits { connections_max: 1, ..Limits::default() };
    with_server(limits, async |server| {
        let mut first = server.connect().await;
        first.write_all(b"GET /held HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        server.echo.held.notified().await;
        let mut second = server.connect().await;
        second.write_all(b"GET /b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut byte = [0];
        let early = server.env.timeout(Duration::from_millis(100), second.read_exact(&mut byte)).await;
        assert!(early.is_err(), "answered beside the first");
        drop(first);
        let mut answer = String::new();
        server.soon("the second has its turn", second.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.contains("GET /b 0"), "{answer}");
    });
}

/// A request that the server works at for ever, from now on.
async fn held(server: &Server) -> BoxStream {
    let mut stream = server.connect().await;
    stream.write_all(b"GET /held HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    server.soon("it is worked at", server.echo.held.notified()).await;
    stream
}

/// The answer to a request on a stream that stays open.
async fn ask(server: &Server, stream: &mut BoxStream, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let mut length = 0;
    while !String::from_utf8_lossy(&answer[..length]).contains(&format!("GET {path} 0")) {
        let read = stream.read(&mut answer[length..]);
        let read = server.soon(&format!("an answer to {path}"), read).await.unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&answer[..length]));
        length += read;
    }
    String::from_utf8(answer[..length].to_vec()).unwrap()
}

const LONG: Duration = Duration::from_secs(600);

/// Only who is sent away goes: nobody's time is up.
fn patient(connections_max: usize) -> Limits {
    Limits {
        header_timeout: LONG,
        body_timeout: LONG,
        write_timeout: LONG,
        connections_max,
        ..Limits::default()
    }
}

#[test]
fn who_is_waited_for_makes_room_and_who_is_worked_for_stays() {
    with_server(patient(4), async |server| {
        let held = held(&server).await;
        // In the order of their last move: half a head, nothing at all, and one that was served and is idle.
        let mut half = server.connect().await;
        half.write_all(b"GET /a HTTP/1.1\r\nho").await.unwrap();
        let silent = server.connect().await;
        let mut idle = server.connect().await;
        for _ in 0..3 {
            ask(&server, &mut idle, "/idle").await;
        }
        let mut newcomers = Vec::new();
        for mut oldest in [half, silent, idle] {
            let mut newcomer = server.connect().await;
            ask(&server, &mut newcomer, "/new").await;
            assert!(server.closes(&mut oldest).await);
            newcomers.push(newcomer);
        }
        // Half a body is worth more than a wait for a head, and less than an answer that is made.
        let mut body = newcomers.pop().unwrap();
        body.write_all(b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nabc").await.unwrap();
        let mut second = newcomers.pop().unwrap();
        second.write_all(b"GET /held HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        server.soon("the second is worked at", server.echo.held.notified()).await;
        let mut third = newcomers.pop().unwrap();
        ask(&server, &mut third, "/third").await;
        let mut newcomer = server.connect().await;
        ask(&server, &mut newcomer, "/newer").await;
        assert!(server.closes(&mut third).await);
        newcomer.write_all(b"GET /held HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        server.echo.held.notified().await;
        let mut last = server.connect().await;
        ask(&server, &mut last, "/last").await;
        assert!(server.closes(&mut body).await);
        for mut kept in [held, second, newcomer] {
            let mut byte = [0];
            let early = server.env.timeout(Duration::from_millis(50), kept.read(&mut byte)).await;
            assert!(early.is_err(), "one that is worked for was sent away");
        }
    });
}

#[test]
fn an_answer_that_nobody_takes_makes_room() {
    with_server(patient(1), async |server| {
        let mut lazy = server.connect().await;
        lazy.write_all(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        lazy.read_exact(&mut [0]).await.unwrap();
        let mut newcomer = server.connect().await;
        ask(&server, &mut newcomer, "/new").await;
        assert!(server.is_cut(&mut lazy).await);
    });
}

#[test]
fn bodies_under_way_have_one_room_together() {
    let limits = Limits { body_bytes_max: 100, bodies_bytes_max: 150, ..patient(9) };
    with_server(limits, async |server| {
        let half = async |bytes: usize| {
            let mut stream = server.connect().await;
            let head = "POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n";
            stream.write_all(format!("{head}{}", "x".repeat(bytes)).as_bytes()).await.unwrap();
            stream
        };
        let mut first = half(90).await;
        let mut second = half(90).await;
        assert!(server.closes(&mut first).await);
        second.write_all("x".repeat(10).as_bytes()).await.unwrap();
        let mut answer = [0; 17];
        server.soon("the second is answered", second.read_exact(&mut answer)).await.unwrap();
        assert_eq!(&answer[..], b"HTTP/1.1 200 OK\r\n");
    });
}

#[test]
fn a_refusal_reaches_one_who_goes_on_sending() {
    with_server(Limits::default(), async |server| {
        let mut stream = server.connect().await;
        stream.write_all(b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 2147483648\r\n\r\n").await.unwrap();
        for _ in 0..64 {
            stream.write_all(&[b'x'; 64 << 10]).await.unwrap();
        }
        let mut answer = String::new();
        server.soon("a refusal", stream.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    });
}

#[test]
fn connections_follow_the_limit_of_open_files() {
    for (files, expected) in [(0, 1), (2, 1), (20, 10), (1024, 960), (20_000, 16_384), (u64::MAX, 16_384)] {
        assert_eq!(Limits::default().for_open_files(files).connections_max, expected, "{files}");
    }
}

#[test]
fn the_end_waits_for_what_is_in_flight_but_not_for_ever() {
    with_server(Limits { drain_timeout: Duration::from_millis(50), ..Limits::default() }, async |server| {
        let mut held = server.connect().await;
        held.write_all(b"GET /held HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        server.echo.held.notified().await;
        let idle = server.connect().await;
        server.end.notify_one();
        server.soon("the end", server.ended.notified()).await;
        assert!(server.env.network().connect(&server.address).await.is_err());
        drop(idle);
    });
}
