//! A hardened HTTP/1.1 server loop, for the master and for the file server that runs in partitions.
//!
//! * [`serve`], [`serve_until`]: accept connections and give each request to a [`Handler`]
//! * [`Request`], [`Response`], [`Limits`]: what a handler sees, what it gives back, and what a stranger may cost
//! * `connections`: who is open, and who is sent away when there is no room
//! * `guarded`: a stream on which a peer that does not read is given up; `reasons`: why a head was not taken
//!
//! Nothing that a peer does holds a connection for ever: headers (and so an idle connection) have a deadline, the
//! body has one, and an answer must be read. When all connections are taken, a newcomer gets the place of the one whose peer is
//! waited for longest. Of many requests that one peer sends at once (RFC 9112, 9.3.2), one is answered in a turn. The handler
//! itself is not timed: a long poll lasts as long as its handler says, and keeps its place.

mod connections;
mod guarded;
mod reasons;

use crate::env::{BoxListener, BoxStream, Either, Env, Latch, LocalFuture, race};
use bytes::Bytes;
use connections::{Awaited, BodyBytes, Connections, Open, Seat};
use guarded::Guarded;
use http_body_util::{BodyExt, Full};
use hyper::{
    body::{Body, Incoming},
    header::{self, HeaderName, HeaderValue},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use std::{convert::Infallible, io, net::SocketAddr, pin::pin, rc::Rc, time::Duration};

/// What a stranger may cost.
#[derive(Clone, Debug)]
pub struct Limits {
    /// From the first wait for a request to its last header; so also how long a connection may be idle.
    pub header_timeout: Duration,
    /// From the last header to the end of the body.
    pub body_timeout: Duration,
    /// How long a peer may take for each 64 KiB of an answer, once more of it is there than the system takes at once.
    pub write_timeout: Duration,
    /// Bytes of a request's body.
    pub body_bytes_max: usize,
    /// Bytes of all bodies that are under way; beyond them, the one that is waited for longest is given up.
    pub bodies_bytes_max: usize,
    /// Bytes of a request's line and headers.
    pub header_bytes_max: usize,
    /// Connections at the same time. For a further one, that one is closed whose peer is waited for longest: first of those
    /// whose request's head is awaited. Where all have something done for them, it waits until one ends.
    pub connections_max: usize,
    /// How long what is in flight may last after the server was asked to end.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(10),
            body_bytes_max: 1 << 20,
            bodies_bytes_max: 64 << 20,
            header_bytes_max: 32 << 10,
            connections_max: 1024,
            drain_timeout: Duration::from_secs(5),
        }
    }
}

impl Limits {
    /// As many connections as a process may have that may have so many descriptors open: some are kept for database, log and what
    /// else is opened meanwhile.
    #[must_use]
    pub fn for_open_files(self, files: u64) -> Limits {
        let files = usize::try_from(files).unwrap_or(usize::MAX);
        let reserved = OPEN_FILES_RESERVED.min(files / 2);
        Limits { connections_max: (files - reserved).clamp(1, CONNECTIONS_MAX), ..self }
    }
}

/// Descriptors that are not for connections.
const OPEN_FILES_RESERVED: usize = 64;

/// More than these are not taken, whatever the system allows: each costs memory, too.
const CONNECTIONS_MAX: usize = 16_384;

/// A request, complete with its body.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Method, such as `GET`.
    pub method: String,
    /// Path as it was sent, with its percent escapes.
    pub path: String,
    /// What stands behind the `?`, with its percent escapes; empty without.
    pub query: String,
    /// Headers in their order, names in lower case. What is not UTF-8 in a value is U+FFFD: one that was left out would be taken for
    /// one that was never sent.
    pub headers: Vec<(String, String)>,
    /// The body; within [`Limits::body_bytes_max`].
    pub body: Bytes,
    /// Who asks, over TCP.
    pub peer: Option<SocketAddr>,
}

impl Request {
    /// The first header of that name (in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// All headers of that name (in lower case), joined as RFC 9110, section 5.3, allows.
    pub fn header_list(&self, name: &str) -> String {
        let values: Vec<&str> =
            self.headers.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect();
        values.join(", ")
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Headers in their order, names in lower case. Length, date and connection headers are added.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

impl Response {
    /// An answer with a body of that media type.
    pub fn new(status: u16, media_type: &str, body: impl Into<Bytes>) -> Response {
        Response { status, headers: vec![("content-type".into(), media_type.into())], body: body.into() }
    }

    /// An answer in plain text.
    pub fn text(status: u16, body: impl Into<String>) -> Response {
        Response::new(status, "text/plain; charset=utf-8", body.into())
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Response {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

/// What answers requests.
pub trait Handler {
    /// The answer. It is dropped unfinished when the peer goes away.
    fn handle(self: Rc<Self>, request: Request) -> LocalFuture<'static, Response>;
}

/// Answers requests until this process ends.
pub async fn serve(env: &Env, listener: BoxListener, limits: Limits, handler: Rc<dyn Handler>) {
    serve_until(env, listener, limits, handler, std::future::pending()).await;
}

/// Answers requests until `stop` ends; then it accepts no more, closes idle connections, and gives what is in
/// flight [`Limits::drain_timeout`] to end.
pub async fn serve_until(
    env: &Env,
    listener: BoxListener,
    limits: Limits,
    handler: Rc<dyn Handler>,
    stop: impl Future<Output = ()>,
) {
    let shared = Connections::new(env, limits, handler);
    match race(accept_until(env, listener, &shared, stop), shared.send_the_slow_away()).await {
        Either::First(()) => {}
        Either::Second(never) => match never {},
    }
}

async fn accept_until(
    env: &Env,
    mut listener: BoxListener,
    shared: &Rc<Connections>,
    stop: impl Future<Output = ()>,
) {
    let mut stop = pin!(stop);
    let stopped = Latch::default();
    loop {
        match race(stop.as_mut(), newcomer(env, &mut listener, shared)).await {
            Either::First(()) => break,
            Either::Second((stream, peer)) => {
                let open = Open::new(shared);
                let (env, stopped) = (env.clone(), stopped.clone());
                env.clone().spawn(async move {
                    connection(&env, &open.seat, stream, peer, stopped).await;
                });
            }
        }
    }
    drop(listener);
    shared.stop();
    stopped.set();
    let drained = async {
        while shared.count() > 0 {
            shared.changed().await;
        }
    };
    if env.timeout(shared.limits.drain_timeout, drained).await.is_err() {
        env.log(format_args!("ended with {} connections open", shared.count()));
    }
}

/// The next connection, for which there is room.
async fn newcomer(
    env: &Env,
    listener: &mut BoxListener,
    shared: &Connections,
) -> (BoxStream, Option<SocketAddr>) {
    let mut failed: u64 = 0;
    loop {
        match listener.accept().await {
            Ok(accepted) => {
                if failed > 0 {
                    env.log(format_args!("accepts connections again, after {failed} attempts"));
                }
                shared.room().await;
                return accepted;
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {} // It left before it was accepted.
            Err(error) => {
                // Out of descriptors or memory: both pass. Who is waited for makes room; told once, for it may last.
                if failed == 0 {
                    env.log(format_args!("cannot accept a connection: {error}"));
                }
                failed += 1;
                shared.make_room();
                let pause = env.sleep(Duration::from_millis(100));
                let (Either::First(()) | Either::Second(())) = race(shared.changed(), pause).await;
            }
        }
    }
}

async fn connection(env: &Env, seat: &Rc<Seat>, stream: BoxStream, peer: Option<SocketAddr>, stopped: Latch) {
    let limits = &seat.connections.limits;
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let (env, seat) = (env.clone(), seat.clone());
        async move { Ok::<_, Infallible>(answer(&env, &seat, request, peer).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        // `send_the_slow_away` does this for all connections.
        .header_read_timeout(None)
        .max_buf_size(limits.header_bytes_max.max(8 << 10))
        .auto_date_header(false)
        .serve_connection(TokioIo::new(Guarded::new(env, stream, seat)), service);
    let mut connection = pin!(connection);
    let stop = stopped.wait();
    // An error here is a peer that broke off, was too slow or spoke no HTTP: nobody else is concerned.
    match race(race(connection.as_mut(), stop), seat.leave()).await {
        Either::First(Either::First(_)) | Either::Second(()) => {}
        Either::First(Either::Second(_)) => {
            connection.as_mut().graceful_shutdown();
            let _ = env.timeout(limits.drain_timeout, connection).await;
        }
    }
}

async fn answer(
    env: &Env,
    seat: &Rc<Seat>,
    request: hyper::Request<Incoming>,
    peer: Option<SocketAddr>,
) -> hyper::Response<Full<Bytes>> {
    seat.works();
    if seat.is_ahead() {
        // Of requests that come all at once, hyper would have many answered in one turn.
        tokio::task::yield_now().await;
    }
    let response = match receive(env, seat, request, peer).await {
        Ok(request) => seat.connections.handler.clone().handle(request).await,
        Err(refusal) => refusal,
    };
    let response = encode(env, &seat.connections, response);
    seat.answered();
    response
}

/// The whole request, or why it is not taken.
async fn receive(
    env: &Env,
    seat: &Rc<Seat>,
    request: hyper::Request<Incoming>,
    peer: Option<SocketAddr>,
) -> Result<Request, Response> {
    let limits = &seat.connections.limits;
    let (head, body) = request.into_parts();
    // hyper looks at its buffer only, which may have taken more at once.
    if bytes_of(&head) > limits.header_bytes_max {
        let reason = format!("the head of the request has more than {} bytes", limits.header_bytes_max);
        return Err(refuse(431, reason));
    }
    // What is announced is believed: nothing of it is read.
    if body.size_hint().lower() > limits.body_bytes_max as u64 {
        return Err(too_large(limits));
    }
    // RFC 9112, 3.2.
    match head.headers.get_all(header::HOST).iter().count() {
        0 if head.version >= hyper::Version::HTTP_11 => {
            return Err(refuse(400, "the request has no Host: HTTP/1.1 demands one".to_owned()));
        }
        0 | 1 => {}
        hosts => return Err(refuse(400, format!("the request has {hosts} headers Host: expected one"))),
    }
    let body = match body.is_end_stream() {
        true => Bytes::new(),
        false => {
            seat.awaits(Awaited::Body);
            let body = env.timeout(limits.body_timeout, collect(seat, body)).await;
            seat.works();
            body.unwrap_or_else(|_| {
                Err(refuse(408, format!("the body did not arrive within {:?}", limits.body_timeout)))
            })?
        }
    };
    let text = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    Ok(Request {
        method: head.method.as_str().to_owned(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers.iter().map(text).collect(),
        body,
        peer,
    })
}

/// How long a request's line and headers were, without what stands between them.
fn bytes_of(head: &hyper::http::request::Parts) -> usize {
    let line = head.uri.path_and_query().map_or(0, |it| it.as_str().len());
    let headers = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len());
    line + headers.sum::<usize>()
}

/// A body, in one piece: many small pieces of it would each keep the buffer that it came in.
async fn collect(seat: &Seat, mut body: Incoming) -> Result<Bytes, Response> {
    let limits = &seat.connections.limits;
    let mut counted = BodyBytes::new(&seat.connections);
    let mut collected = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| refuse(400, format!("the body could not be read: {error}")))?;
        // Trailers mean nothing here.
        let Ok(data) = frame.into_data() else { continue };
        if collected.len() + data.len() > limits.body_bytes_max {
            return Err(too_large(limits));
        }
        if collected.is_empty() && body.is_end_stream() {
            return Ok(data);
        }
        counted.add(data.len());
        collected.extend_from_slice(&data);
    }
    Ok(collected.into())
}

fn too_large(limits: &Limits) -> Response {
    refuse(413, format!("the body has more than {} bytes", limits.body_bytes_max))
}

/// An answer after which the connection is closed, because the rest of the request is still under way.
fn refuse(status: u16, reason: String) -> Response {
    Response::text(status, reason + "\n").header("connection", "close")
}

fn encode(env: &Env, connections: &Connections, response: Response) -> hyper::Response<Full<Bytes>> {
    let mut encoded = hyper::Response::new(Full::new(response.body));
    *encoded.status_mut() =
        hyper::StatusCode::from_u16(response.status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in &response.headers {
        // A handler may echo what a stranger sent: a value that is no header value is left out, never split.
        match (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
            (Ok(name), Ok(value)) => {
                encoded.headers_mut().append(name, value);
            }
            _ => env.log(format_args!("left out the header {name:?}: its value is not allowed")),
        }
    }
    if let Some(date) = connections.date(env.clock().now()) {
        encoded.headers_mut().insert(header::DATE, date);
    }
    encoded
}

#[cfg(test)]
mod tests;
