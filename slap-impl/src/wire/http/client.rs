//! HTTP client: one connection per request, everything bounded (time, header, body, redirects).
//!
//! [`send`] opens the connection, [`exchange`] writes the request and reads the answer, and a GET follows redirects.

pub use super::url::{Url, UrlError};
use crate::env::{BoxStream, Env};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::{fmt, future::Future, pin::pin, task::Poll, time::Duration};

/// How many redirects a GET follows unless it says otherwise.
const REDIRECTS_MAX: usize = 5;
/// How long the head of an answer may be, in bytes.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// What to ask.
#[derive(Clone, Debug)]
pub struct Request {
    /// Such as `GET`.
    pub method: &'static str,
    /// Of whom.
    pub url: Url,
    /// Headers beside Host, Accept, User-Agent and Content-Length, which are added if they are missing.
    pub headers: Vec<(String, String)>,
    /// Empty for a request without a body.
    pub body: Vec<u8>,
    /// How long the answer's body may be.
    pub body_bytes_max: u64,
    /// How long everything may take, redirects included.
    pub deadline: Duration,
    /// How many redirects a GET follows; with 0 a redirect is given as it came.
    pub redirects_max: usize,
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Such as 200.
    pub status: u16,
    /// In their order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpError {
    /// Nobody listens there, the name is unknown, or the connection broke.
    Unreachable {
        /// What was asked for.
        url: String,
        /// What happened.
        reason: String,
    },
    /// No whole answer came within the deadline.
    TimedOut {
        /// What was asked for.
        url: String,
        /// The deadline.
        deadline: Duration,
    },
    /// The body is longer than `body_bytes_max`.
    TooLarge {
        /// What was asked for.
        url: String,
        /// The limit.
        bytes_max: u64,
    },
    /// What came is no answer of HTTP/1.1, or the redirects do not end.
    Protocol {
        /// What was asked for.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// A URL, or a redirect, with another scheme than http.
    UnsupportedScheme {
        /// That URL.
        url: String,
        /// Its scheme.
        scheme: String,
    },
    /// A text that is no URL.
    BadUrl {
        /// What is wrong with it, with the text.
        message: String,
    },
}

impl fmt::Display for HttpError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HttpError::Unreachable { url, reason } => write!(formatter, "{url} cannot be reached: {reason}"),
            HttpError::TimedOut { url, deadline } => {
                write!(formatter, "{url} did not answer within {} s", deadline.as_secs_f64())
            }
            HttpError::TooLarge { url, bytes_max } => {
                write!(
                    formatter,
                    "the answer of {url} is longer than the {bytes_max} bytes that are accepted"
                )
            }
            HttpError::Protocol { url, reason } => {
                write!(formatter, "{url} does not speak HTTP/1.1 as expected: {reason}")
            }
            HttpError::UnsupportedScheme { url, scheme } => {
                UrlError::UnsupportedScheme { url: url.clone(), scheme: scheme.clone() }.fmt(formatter)
            }
            HttpError::BadUrl { message } => formatter.write_str(message),
        }
    }
}

impl std::error::Error for HttpError {}

impl From<UrlError> for HttpError {
    fn from(error: UrlError) -> HttpError {
        match error {
            UrlError::UnsupportedScheme { url, scheme } => HttpError::UnsupportedScheme { url, scheme },
            UrlError::Malformed { .. } => HttpError::BadUrl { message: error.to_string() },
        }
    }
}

impl Request {
    /// A GET without more headers, with 60 s and 64 MiB at most.
    pub fn get(url: Url) -> Request {
        Request {
            method: "GET",
            url,
            headers: Vec::new(),
            body: Vec::new(),
            body_bytes_max: 64 * 1024 * 1024,
            deadline: Duration::from_secs(60),
            redirects_max: REDIRECTS_MAX,
        }
    }

    /// A POST of `fields` in form encoding, with the same limits.
    pub fn post_form<'a>(url: Url, fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Request {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let headers = vec![("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned())];
        Request { method: "POST", headers, body: body.into_bytes(), ..Request::get(url) }
    }
}

impl Response {
    /// The value of the first header of that name, which must be in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether the status is 200 to 299.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Sends a request and gives the answer, whatever its status. A GET follows up to 5 redirects, never to another
/// scheme; credentials do not follow to another host. The redirect of anything but a GET is given as it came.
///
/// # Errors
/// [`HttpError`].
pub async fn send(env: &Env, request: Request) -> Result<Response, HttpError> {
    let deadline = request.deadline;
    let asked = request.url.to_string();
    match env.timeout(deadline, follow(env, request)).await {
        Ok(result) => result,
        Err(_) => Err(HttpError::TimedOut { url: asked, deadline }),
    }
}

async fn follow(env: &Env, mut request: Request) -> Result<Response, HttpError> {
    for _ in 0..=request.redirects_max {
        let address = request.url.address();
        let stream = env.network().connect(&address).await.map_err(|error| HttpError::Unreachable {
            url: request.url.to_string(),
            reason: error.to_string(),
        })?;
        let response = exchange(stream, &request).await?;
        let location = match response.status {
            301 | 302 | 303 | 307 | 308 if request.method == "GET" && request.redirects_max > 0 => {
                response.header("location")
            }
            _ => None,
        };
        let Some(location) = location else { return Ok(response) };
        let next = request.url.join(location)?;
        if next.address() != address {
            request.headers.retain(|(name, _)| {
                !["authorization", "cookie", "x-access-token"].contains(&name.to_ascii_lowercase().as_str())
            });
        }
        request.url = next;
    }
    Err(HttpError::Protocol {
        url: request.url.to_string(),
        reason: format!("more than {} redirects", request.redirects_max),
    })
}

/// One request and its answer over `stream`.
async fn exchange(stream: BoxStream, request: &Request) -> Result<Response, HttpError> {
    let broken = |error: hyper::Error| describe(request, &error);
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .handshake::<_, Full<Bytes>>(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    let message = message(request)?;
    let work = async {
        let answer = sender.send_request(message).await.map_err(broken)?;
        let status = answer.status().as_u16();
        let headers = answer
            .headers()
            .iter()
            .map(|(name, value)| {
                (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            })
            .collect();
        let body = read_body(answer.into_body(), request).await?;
        Ok(Response { status, headers, body })
    };
    drive(work, connection).await
}

async fn read_body(mut body: hyper::body::Incoming, request: &Request) -> Result<Vec<u8>, HttpError> {
    use hyper::body::Body;
    let bytes_max = request.body_bytes_max;
    let too_large = || HttpError::TooLarge { url: request.url.to_string(), bytes_max };
    if request.method != "HEAD" && body.size_hint().lower() > bytes_max {
        return Err(too_large());
    }
    let mut content = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| describe(request, &error))?;
        if let Ok(data) = frame.into_data() {
            if (content.len() + data.len()) as u64 > bytes_max {
                return Err(too_large());
            }
            content.extend_from_slice(&data);
        }
    }
    Ok(content)
}

fn message(request: &Request) -> Result<hyper::Request<Full<Bytes>>, HttpError> {
    let has = |name: &str| request.headers.iter().any(|(key, _)| key.eq_ignore_ascii_case(name));
    let mut builder = hyper::Request::builder()
        .method(request.method)
        .uri(request.url.path_and_query())
        .header("host", request.url.authority());
    if !has("accept") {
        builder = builder.header("accept", "*/*");
    }
    if !has("user-agent") {
        builder = builder.header("user-agent", concat!("slap/", env!("CARGO_PKG_VERSION")));
    }
    if !has("connection") {
        builder = builder.header("connection", "close");
    }
    for (name, value) in &request.headers {
        builder = builder.header(name, value);
    }
    builder.body(Full::new(Bytes::from(request.body.clone()))).map_err(|error| HttpError::Protocol {
        url: request.url.to_string(),
        reason: format!("the request cannot be written: {error}"),
    })
}

/// An answer that breaks off is as good as nobody there: who asks tries again later.
fn describe(request: &Request, error: &hyper::Error) -> HttpError {
    let url = request.url.to_string();
    let mut reason = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        reason = format!("{reason}: {inner}");
        cause = inner.source();
    }
    if error.is_parse() {
        HttpError::Protocol { url, reason }
    } else {
        HttpError::Unreachable { url, reason }
    }
}

/// Runs `work` to its end, and beside it the connection that it needs.
async fn drive<T>(work: impl Future<Output = T>, connection: impl Future) -> T {
    let mut work = pin!(work);
    let mut connection = pin!(connection);
    let mut connected = true;
    std::future::poll_fn(|context| {
        if let Poll::Ready(value) = work.as_mut().poll(context) {
            return Poll::Ready(value);
        }
        if connected && connection.as_mut().poll(context).is_ready() {
            connected = false;
        }
        // The connection may have brought what the work waits for.
        work.as_mut().poll(context)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// Sends `request` to a peer that answers `answer` and closes; gives what the peer read, too.
    fn check(request: Request, answer: &'static str) -> (String, Result<Response, HttpError>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (near, mut far) = tokio::io::duplex(1024);
            let peer = async move {
                let mut read = Vec::new();
                let mut chunk = [0; 1024];
                while !String::from_utf8_lossy(&read).contains("\r\n\r\n") {
                    let count = far.read(&mut chunk).await.unwrap();
                    read.extend_from_slice(&chunk[..count]);
                }
                // The peer may be gone before it has heard all.
                let _ = far.write_all(answer.as_bytes()).await;
                String::from_utf8(read).unwrap()
            };
            tokio::join!(peer, exchange(Box::new(near), &request))
        })
    }

    fn get() -> Request {
        Request { body_bytes_max: 10, ..Request::get("http://[::1]:5000/a?b".parse().unwrap()) }
    }

    #[test]
    fn a_request_and_its_answer() {
        let (asked, answer) = check(get(), "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nX-A: b\r\n\r\nno");
        assert!(asked.starts_with("GET /a?b HTTP/1.1\r\nhost: [::1]:5000\r\n"), "{asked}");
        let answer = answer.unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (404, b"no".as_slice()));
        assert_eq!(answer.header("x-a"), Some("b"));
    }

    #[test]
    fn a_form_is_encoded() {
        let request =
            Request::post_form("http://a/".parse().unwrap(), [("url", "http://b/?c&d"), ("e", "é+ f")]);
        assert_eq!(request.body, b"url=http%3A%2F%2Fb%2F%3Fc%26d&e=%C3%A9%2B+f");
    }

    #[test]
    fn bodies_are_bounded() {
        for answer in [
            "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n01234567890",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n01234567890",
        ] {
            assert!(
                matches!(check(get(), answer).1, Err(HttpError::TooLarge { bytes_max: 10, .. })),
                "{answer}"
            );
        }
    }

    #[test]
    fn broken_answers() {
        for answer in ["", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n012"] {
            assert!(matches!(check(get(), answer).1, Err(HttpError::Unreachable { .. })), "{answer}");
        }
        for answer in ["hello\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"] {
            let error = check(get(), answer).1.unwrap_err();
            assert!(matches!(error, HttpError::Protocol { .. }), "{answer}: {error}");
        }
    }
}
