//! The server loop on the real network, against peers that behave and peers that do not.

use super::*;
use crate::env::{Address, real};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Answers with what it was asked; `/held` never, `/large` with more than any buffer holds.
struct Echo {
    held: Notify,
}

impl Handler for Echo {
    fn handle(self: Rc<Self>, request: Request) -> LocalFuture<'static, Response> {
        Box::pin(async move {
            match request.path.as_str() {
                "/held" => {
                    self.held.notify_one();
                    std::future::pending().await
                }
                "/large" => Response::new(200, "text/plain", vec![b'x'; 64 << 20]),
                "/forged" => Response::text(200, "").header("location", "/\r\nset-cookie: a"),
                path => Response::text(200, format!("{} {path} {}", request.method, request.body.len())),
            }
        })
    }
}

struct Server {
    env: Env,
    address: Address,
    echo: Rc<Echo>,
    end: Rc<Notify>,
    ended: Rc<Notify>,
}

impl Server {
    async fn connect(&self) -> BoxStream {
        self.env.network().connect(&self.address).await.unwrap()
    }

    /// Sends bytes and reads until the server closes.
    async fn exchange(&self, bytes: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }
}

fn with_server(limits: Limits, test: impl AsyncFnOnce(Server)) {
    real::block_on_env(real::env(), async |env: Env| {
        let listener = env.network().listen(&Address::Tcp("127.0.0.1:0".parse().unwrap())).unwrap();
        let (end, ended) = (Rc::new(Notify::new()), Rc::new(Notify::new()));
        let echo = Rc::new(Echo { held: Notify::new() });
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
        let limit = Duration::from_secs(60);
        assert!(env.timeout(limit, test(server)).await.is_ok(), "it took {limit:?}");
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
            ("nonsense\r\n\r\n", "400 Bad Request"),
        ] {
            let answer = server.exchange(sent).await;
            assert!(answer.contains(expected), "{sent:?}: {answer}");
        }
        let answer = server.exchange("GET /a HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(answer.contains("\r\ndate: ") && answer.contains(" GMT\r\n"), "{answer}");
        let answer = server.exchange("GET /forged HTTP/1.1\r\nhost: x\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200") && !answer.contains("cookie"), "{answer}");
        let huge = format!("GET /a HTTP/1.1\r\nhost: x\r\nlong: {}\r\n\r\n", "x".repeat(100_000));
        let answer = server.exchange(&huge).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    });
}

#[test]
fn nobody_holds_a_connection_for_ever() {
    with_server(Limits { drain_timeout: Duration::from_secs(60), ..short() }, async |server| {
        // Silent, and drop by drop: the connection ends all the same.
        assert_eq!(server.exchange("").await, "");
        let mut stream = server.connect().await;
        let mut drops = 0;
        while stream.write_all(b"G").await.is_ok() && drops < 10_000 {
            drops += 1;
            server.env.sleep(Duration::from_millis(5)).await;
        }
        assert!(drops < 10_000);
        // One that does not read: its answer is given up, so the server can end.
        let mut lazy = server.connect().await;
        lazy.write_all(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut first = [0];
        lazy.read_exact(&mut first).await.unwrap();
        server.end.notify_one();
        server.ended.notified().await;
        let mut rest = Vec::new();
        let ended = lazy.read_to_end(&mut rest).await;
        assert!(ended.is_err() || rest.len() < 64 << 20, "{} bytes", rest.len());
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
        second.read_to_string(&mut answer).await.unwrap();
        assert!(answer.contains("GET /b 0"), "{answer}");
    });
}

#[test]
fn the_end_waits_for_what_is_in_flight_but_not_for_ever() {
    with_server(Limits { drain_timeout: Duration::from_millis(50), ..Limits::default() }, async |server| {
        let mut held = server.connect().await;
        held.write_all(b"GET /held HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        server.echo.held.notified().await;
        let idle = server.connect().await;
        server.end.notify_one();
        server.ended.notified().await;
        assert!(server.env.network().connect(&server.address).await.is_err());
        drop(idle);
    });
}
