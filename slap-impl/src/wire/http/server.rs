//! A hardened HTTP/1.1 server loop, for the master and for the file server that runs in partitions.
//!
//! * [`serve`], [`serve_until`]: accept connections and give each request to a [`Handler`]
//! * [`Request`], [`Response`], [`Limits`]: what a handler sees, what it gives back, and what a stranger may cost
//! * `Guarded`: a stream on which a peer that does not read is given up
//!
//! Nothing that a peer does holds a connection for ever: headers (and so an idle connection) have a deadline, the
//! body has one, and an answer must be read. The handler itself is not timed: a long poll lasts as long as its handler says.

use crate::env::{BoxListener, BoxStream, Either, Env, LocalFuture, race};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    body::Incoming,
    header::{self, HeaderName, HeaderValue},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{
    cell::Cell,
    convert::Infallible,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{Notify, watch},
};

/// What a stranger may cost.
#[derive(Clone, Debug)]
pub struct Limits {
    /// From the first wait for a request to its last header; so also how long a connection may be idle.
    pub header_timeout: Duration,
    /// From the last header to the end of the body.
    pub body_timeout: Duration,
    /// How long a peer may leave an answer unread without taking a byte of it.
    pub write_timeout: Duration,
    /// Bytes of a request's body.
    pub body_bytes_max: usize,
    /// Bytes of a request's line and headers.
    pub header_bytes_max: usize,
    /// Connections at the same time; further ones wait until one ends.
    pub connections_max: usize,
    /// How long what is in flight may last after the server was asked to end.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            body_bytes_max: 1 << 20,
            header_bytes_max: 32 << 10,
            connections_max: 1024,
            drain_timeout: Duration::from_secs(5),
        }
    }
}

/// A request, complete with its body.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Method, such as `GET`.
    pub method: String,
    /// Path as it was sent, with its percent escapes.
    pub path: String,
    /// What stands behind the `?`, with its percent escapes; empty without.
    pub query: String,
    /// Headers in their order, names in lower case; values that are not UTF-8 are left out.
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
    mut listener: BoxListener,
    limits: Limits,
    handler: Rc<dyn Handler>,
    stop: impl Future<Output = ()>,
) {
    let mut stop = pin!(stop);
    let (stopping, stopped) = watch::channel(false);
    let shared = Rc::new(Connections { limits, handler, open: Cell::new(0), ended: Notify::new() });
    loop {
        let next = async {
            while shared.open.get() >= shared.limits.connections_max {
                shared.ended.notified().await;
            }
            listener.accept().await
        };
        match race(stop.as_mut(), next).await {
            Either::First(()) => break,
            Either::Second(Ok((stream, peer))) => {
                let open = Open::new(&shared);
                let (env, stopped) = (env.clone(), stopped.clone());
                env.clone().spawn(async move {
                    connection(&env, &open.connections, stream, peer, stopped).await;
                });
            }
            Either::Second(Err(error)) => {
                // Out of descriptors, or a peer that left before it was accepted: both pass.
                env.log(format_args!("cannot accept a connection: {error}"));
                env.sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    stopping.send_replace(true);
    let drained = async {
        while shared.open.get() > 0 {
            shared.ended.notified().await;
        }
    };
    if env.timeout(shared.limits.drain_timeout, drained).await.is_err() {
        env.log(format_args!("ended with {} connections open", shared.open.get()));
    }
}

/// What all connections of a server share.
struct Connections {
    limits: Limits,
    handler: Rc<dyn Handler>,
    open: Cell<usize>,
    ended: Notify,
}

/// One open connection, counted.
struct Open {
    connections: Rc<Connections>,
}

impl Open {
    fn new(connections: &Rc<Connections>) -> Open {
        connections.open.set(connections.open.get() + 1);
        Open { connections: connections.clone() }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.connections.open.set(self.connections.open.get() - 1);
        self.connections.ended.notify_one();
    }
}

async fn connection(
    env: &Env,
    connections: &Rc<Connections>,
    stream: BoxStream,
    peer: Option<SocketAddr>,
    mut stopped: watch::Receiver<bool>,
) {
    let limits = &connections.limits;
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let (env, connections) = (env.clone(), connections.clone());
        async move { Ok::<_, Infallible>(answer(&env, &connections, request, peer).await) }
    });
    let stream = Guarded { env: env.clone(), stream, patience: limits.write_timeout, waiting: None };
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(limits.header_bytes_max.max(8 << 10))
        .auto_date_header(false)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    // An error here is a peer that broke off, was too slow or spoke no HTTP: nobody else is concerned.
    match race(connection.as_mut(), async { stopped.wait_for(|stop| *stop).await.is_ok() }).await {
        Either::First(_) => {}
        Either::Second(_) => {
            connection.as_mut().graceful_shutdown();
            let _ = env.timeout(limits.drain_timeout, connection).await;
        }
    }
}

async fn answer(
    env: &Env,
    connections: &Connections,
    request: hyper::Request<Incoming>,
    peer: Option<SocketAddr>,
) -> hyper::Response<Full<Bytes>> {
    let limits = &connections.limits;
    let (head, body) = request.into_parts();
    let body = env.timeout(limits.body_timeout, Limited::new(body, limits.body_bytes_max).collect()).await;
    let response = match body {
        Err(_) => refuse(408, format!("the body did not arrive within {:?}", limits.body_timeout)),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            refuse(413, format!("the body has more than {} bytes", limits.body_bytes_max))
        }
        Ok(Err(error)) => refuse(400, format!("the body could not be read: {error}")),
        Ok(Ok(body)) => {
            let request = Request {
                method: head.method.as_str().to_owned(),
                path: head.uri.path().to_owned(),
                query: head.uri.query().unwrap_or_default().to_owned(),
                headers: head
                    .headers
                    .iter()
                    .filter_map(|(name, value)| {
                        let value = std::str::from_utf8(value.as_bytes()).ok()?;
                        Some((name.as_str().to_owned(), value.to_owned()))
                    })
                    .collect(),
                body: body.to_bytes(),
                peer,
            };
            connections.handler.clone().handle(request).await
        }
    };
    encode(env, response)
}

/// An answer after which the connection is closed, because the rest of the request is still under way.
fn refuse(status: u16, reason: String) -> Response {
    Response::text(status, reason + "\n").header("connection", "close")
}

fn encode(env: &Env, response: Response) -> hyper::Response<Full<Bytes>> {
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
    let date = env.clock().now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    if let Ok(date) = HeaderValue::from_str(&date) {
        encoded.headers_mut().insert(header::DATE, date);
    }
    encoded
}

/// A stream that gives up a peer that does not read: a write that stands still for `patience` fails.
struct Guarded {
    env: Env,
    stream: BoxStream,
    patience: Duration,
    waiting: Option<LocalFuture<'static, ()>>,
}

impl Guarded {
    fn guard<T>(&mut self, context: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.waiting = None;
            return poll;
        }
        let waiting = self.waiting.get_or_insert_with(|| self.env.clock().sleep(self.patience));
        match waiting.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.guard(context, poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.guard(context, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_flush(context);
        self.guard(context, poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_shutdown(context);
        self.guard(context, poll)
    }
}

#[cfg(test)]
mod tests;
