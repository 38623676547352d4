//! Clients: each sends one request after the other over a connection of its own, and looks at the status of each answer.

use std::{
    cell::{Cell, RefCell},
    io,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::spawn_local,
};

/// An answer.
pub(super) struct Answer {
    /// Status code.
    pub(super) status: u16,
    /// Status line and headers.
    pub(super) head: String,
    /// Body.
    pub(super) body: Vec<u8>,
}

/// A connection that is kept.
pub(super) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
}

impl Client {
    pub(super) async fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Client { stream, buffer: vec![0; 256 << 10], filled: 0 }
    }

    /// Sends a request and reads its answer; the body only if `keep`.
    pub(super) async fn ask(&mut self, request: &[u8], keep: bool) -> Answer {
        self.try_ask(request, keep).await.unwrap()
    }

    /// The same, of a server that may be gone.
    pub(super) async fn try_ask(&mut self, request: &[u8], keep: bool) -> io::Result<Answer> {
        self.stream.write_all(request).await?;
        let head_length = loop {
            if let Some(end) = find(&self.buffer[..self.filled], b"\r\n\r\n") {
                break end + 4;
            }
            self.fill().await?;
        };
        let head = String::from_utf8_lossy(&self.buffer[..head_length]).into_owned();
        let length = head.lines().find_map(length_of).unwrap_or(0);
        let mut body = Vec::new();
        let mut left = length;
        let mut begin = head_length;
        loop {
            let here = left.min(self.filled - begin);
            if keep {
                body.extend_from_slice(&self.buffer[begin..begin + here]);
            }
            left -= here;
            if left == 0 {
                break;
            }
            self.filled = 0;
            begin = 0;
            self.fill().await?;
        }
        self.filled = 0;
        let status = head[9..12].parse().unwrap();
        Ok(Answer { status, head, body })
    }

    async fn fill(&mut self) -> io::Result<()> {
        let read = self.stream.read(&mut self.buffer[self.filled..]).await?;
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed a connection"));
        }
        self.filled += read;
        Ok(())
    }
}

fn length_of(line: &str) -> Option<usize> {
    let (name, value) = line.split_once(':')?;
    if name.eq_ignore_ascii_case("content-length") { value.trim().parse().ok() } else { None }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    let mut begin = 0;
    while let Some(place) = text[begin..].iter().position(|byte| *byte == what[0]) {
        begin += place;
        if text[begin..].starts_with(what) {
            return Some(begin);
        }
        begin += 1;
    }
    None
}

/// A GET request.
pub(super) fn get(path: &str, headers: &str) -> Rc<[u8]> {
    format!("GET /{path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{headers}\r\n").into_bytes().into()
}

/// A form.
pub(super) fn post(path: &str, fields: &[(&str, &str)]) -> Rc<[u8]> {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(fields);
    let body = form.finish();
    let length = body.len();
    let head = "content-type: application/x-www-form-urlencoded\r\ncontent-length";
    format!("POST /{path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{head}: {length}\r\n\r\n{body}").into_bytes().into()
}

/// Answers a second by `clients` clients that send `request` for so long.
pub(super) async fn rate(clients: &mut [Client], request: &[u8], time: Duration) -> f64 {
    let request: Rc<[u8]> = request.into();
    let start = Instant::now();
    let count: Cell<u64> = Cell::new(0);
    let each = clients.iter_mut().map(|client| async {
        while start.elapsed() < time {
            let answer = client.ask(&request, false).await;
            assert_eq!(answer.status, 200, "{}", answer.head);
            count.set(count.get() + 1);
        }
    });
    all(each).await;
    count.get() as f64 / start.elapsed().as_secs_f64()
}

/// Sends all requests of a list over `count` connections; how long it took.
pub(super) async fn send_all(address: SocketAddr, count: usize, requests: Vec<Rc<[u8]>>) -> Duration {
    let mut clients = Vec::new();
    for _ in 0..count {
        clients.push(Client::connect(address).await);
    }
    let waiting = Rc::new(RefCell::new(requests.into_iter()));
    let start = Instant::now();
    let tasks: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            let waiting = waiting.clone();
            spawn_local(async move {
                loop {
                    let Some(request) = waiting.borrow_mut().next() else { break };
                    let answer = client.ask(&request, true).await;
                    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    start.elapsed()
}

/// Polls all futures to their end.
async fn all(futures: impl Iterator<Item = impl Future<Output = ()>>) {
    let mut futures: Vec<_> = futures.map(Box::pin).collect();
    std::future::poll_fn(|context| {
        futures.retain_mut(|future| future.as_mut().poll(context).is_pending());
        if futures.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

/// The middle one.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
