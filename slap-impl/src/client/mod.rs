//! The typed SLAP client: one method for each thing that a node or a user says to a master.
//!
//! * this file: [`SlapClient`], [`ClientError`], and how a question is sent and its answer judged
//! * `node.rs`: what nodes ask and report
//! * `user.rs`: what users want: supply, request, and the hateoas searches
//!
//! Every question has a deadline, and no answer may be longer than 64 MiB.

mod message;
mod node;
mod user;

pub use node::Poll;
pub use user::{Events, InstanceRequest};

use crate::{
    env::Env,
    wire::{
        hateoas::Links,
        http::client::{self as http, HttpError, Request, Response, Url},
        marshal::{self, DOCUMENT_BYTES_MAX, Value},
    },
};
use std::{
    cell::{Cell, RefCell},
    fmt,
    rc::Rc,
    time::Duration,
};

/// How long a master may take for an answer, as with slapos.slap.
const DEADLINE: Duration = Duration::from_secs(60);

/// A master, to be asked. Cheap to clone.
#[derive(Clone)]
pub struct SlapClient {
    env: Env,
    /// Its path ends with a slash.
    master: Url,
    hateoas: Option<Url>,
    deadline: Duration,
    /// The instance's timestamp that reports are about.
    about: Option<String>,
    /// What to do when the master is offline, where more is known than for any master.
    offline_hint: Option<String>,
    links: Rc<RefCell<Option<Links>>>,
    /// Changes that were asked for.
    changes: Rc<Cell<u64>>,
    /// How long an answer may be.
    answer_bytes_max: u64,
    /// The masters that a question came through.
    via: Option<String>,
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientError {
    /// The master cannot be reached, or did not answer in time.
    Offline {
        /// What happened, with the URL.
        message: String,
        /// What to do about it.
        hint: String,
    },
    /// The master does not know what was asked for (404). slapproxy also says so when nothing is free for a request.
    NotFound(String),
    /// It is known and not ready yet: ask again later (408).
    NotReady(String),
    /// The master says no.
    Refused {
        /// The answer's status.
        status: u16,
        /// What the master said.
        message: String,
    },
    /// The answer, or the master's URL, is not what it should be.
    Protocol(String),
}

impl ClientError {
    /// Whether it is worth while to try again later because nobody was heard.
    pub fn is_offline(&self) -> bool {
        matches!(self, ClientError::Offline { .. })
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::Offline { message, hint } => {
                write!(formatter, "the master is offline: {message} (hint: {hint})")
            }
            ClientError::NotFound(message) => write!(formatter, "not found: {message}"),
            ClientError::NotReady(message) => write!(formatter, "not ready yet: {message}"),
            ClientError::Refused { status, message } => {
                write!(formatter, "the master refuses ({status}): {message}")
            }
            ClientError::Protocol(message) => {
                write!(formatter, "the master does not answer as a master: {message}")
            }
        }
    }
}

impl std::error::Error for ClientError {}

impl From<HttpError> for ClientError {
    fn from(error: HttpError) -> ClientError {
        match error {
            HttpError::Unreachable { .. } | HttpError::TimedOut { .. } => {
                let hint = "is it started, and is master_url right?".to_owned();
                ClientError::Offline { message: error.to_string(), hint }
            }
            HttpError::TooLarge { .. }
            | HttpError::Protocol { .. }
            | HttpError::UnsupportedScheme { .. }
            | HttpError::BadUrl { .. } => ClientError::Protocol(error.to_string()),
        }
    }
}

impl SlapClient {
    /// A client of the master at that URL; nothing is sent yet.
    ///
    /// # Errors
    /// When it is no http URL.
    pub fn new(env: Env, master_url: &str) -> Result<SlapClient, ClientError> {
        let url: Url = master_url.parse().map_err(|error| ClientError::from(HttpError::from(error)))?;
        Ok(SlapClient::at(env, url))
    }

    /// A client of the master at that URL; nothing is sent yet.
    pub fn at(env: Env, url: Url) -> SlapClient {
        let path = url.path_and_query().split('?').next().unwrap_or("/").trim_end_matches('/').to_owned();
        let master = url.with_path(&format!("{path}/"));
        SlapClient {
            env,
            master,
            hateoas: None,
            deadline: DEADLINE,
            about: None,
            offline_hint: None,
            links: Rc::default(),
            via: None,
            changes: Rc::default(),
            answer_bytes_max: DOCUMENT_BYTES_MAX as u64,
        }
    }

    /// The same, with hateoas documents at another place than the master says.
    #[must_use]
    pub fn with_hateoas(mut self, url: Option<Url>) -> SlapClient {
        self.hateoas = url;
        self.links = Rc::default();
        self
    }

    /// The same, with another deadline for each question than 60 s.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> SlapClient {
        self.deadline = deadline;
        self
    }

    /// The same, with shorter answers than 64 MiB at most.
    #[must_use]
    pub fn with_answer_bytes_max(mut self, bytes_max: u64) -> SlapClient {
        self.answer_bytes_max = bytes_max;
        self
    }

    /// The same, for questions that were asked of another master first: `via` says through whom they came (RFC 9110, 7.6.3).
    #[must_use]
    pub fn with_via(mut self, via: String) -> SlapClient {
        self.via = Some(via);
        self
    }

    /// The same, with a hint of what to do when the master is offline.
    #[must_use]
    pub fn with_offline_hint(mut self, hint: Option<String>) -> SlapClient {
        self.offline_hint = hint;
        self
    }

    /// A client whose reports on an instance say which of its states they are about: the timestamp that the master gave with
    /// it. Masters other than ours pass it over.
    #[must_use]
    pub fn about(&self, timestamp: Option<&str>) -> SlapClient {
        SlapClient { about: timestamp.map(str::to_owned), ..self.clone() }
    }

    /// How many changes this client and its clones asked for. One without an answer may have happened or may yet: what was sent may arrive
    /// minutes later (RFC 9293, 3.8.3). One with an answer may come a second time, from a proxy that did not see the answer (RFC 9110, 9.2.2,
    /// forbids that, and it happens).
    pub fn changes(&self) -> u64 {
        self.changes.get()
    }

    /// The master's URL, with a slash at its end.
    pub fn master_url(&self) -> &Url {
        &self.master
    }

    async fn get(&self, endpoint: &str, arguments: &[(&str, &str)]) -> Result<Response, ClientError> {
        self.send(self.get_request(endpoint, arguments)?).await
    }

    fn get_request(&self, endpoint: &str, arguments: &[(&str, &str)]) -> Result<Request, ClientError> {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(arguments).finish();
        let reference = if query.is_empty() { endpoint.to_owned() } else { format!("{endpoint}?{query}") };
        let url = self.master.join(&reference).map_err(HttpError::from)?;
        Ok(Request { deadline: self.deadline, ..Request::get(url) })
    }

    async fn post(&self, endpoint: &str, fields: &[(&str, &str)]) -> Result<Response, ClientError> {
        let url = self.master.join(endpoint).map_err(HttpError::from)?;
        let request = Request::post_form(url, fields.iter().copied());
        self.send(Request { deadline: self.deadline, ..request }).await
    }

    /// Sends a question whose answer is of no interest.
    async fn tell(&self, endpoint: &str, fields: &[(&str, &str)]) -> Result<(), ClientError> {
        self.post(endpoint, fields).await.map(drop)
    }

    async fn send(&self, mut request: Request) -> Result<Response, ClientError> {
        request.body_bytes_max = self.answer_bytes_max;
        request.headers.extend(self.via.iter().map(|via| ("via".to_owned(), via.clone())));
        let asked = format!("{} {}", request.method, request.url);
        let is_change = request.method == "POST";
        self.changes.set(self.changes.get() + u64::from(is_change));
        let response = http::send(&self.env, request).await.map_err(|error| self.explained(error.into()))?;
        match response.status {
            200..=299 | 304 => Ok(response),
            404 => Err(ClientError::NotFound(message::of(&response, &asked))),
            408 => Err(ClientError::NotReady(message::of(&response, &asked))),
            status => Err(ClientError::Refused { status, message: message::of(&response, &asked) }),
        }
    }

    /// An error with this client's own hint, if it has one for it.
    fn explained(&self, error: ClientError) -> ClientError {
        match (error, &self.offline_hint) {
            (ClientError::Offline { message, .. }, Some(hint)) => {
                ClientError::Offline { message, hint: hint.clone() }
            }
            (error, _) => error,
        }
    }
}

/// The document in an answer.
fn document(response: &Response) -> Result<Value, ClientError> {
    marshal::decode(&response.body).map_err(|error| ClientError::Protocol(error.to_string()))
}

fn protocol(error: impl fmt::Display) -> ClientError {
    ClientError::Protocol(error.to_string())
}

#[cfg(test)]
mod tests;
