//! The supervisor's client: one connection to `DIR/supervisor.socket` for each call.

use super::{
    state::{self, Loaded, STATE},
    types::{LINE_BYTES_MAX, Reply, Request, Service, ServiceStatus},
};
use crate::env::{Address, Env};
use std::{
    fmt, io,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

/// The socket's name in the supervisor's directory.
pub const SOCKET: &str = "supervisor.socket";

/// How long a supervisor may take to say what it knows: it needs no time for that, but may be made to stand still.
const STATUS_TIME_MAX: Duration = Duration::from_secs(5);
/// How long it may take to start and stop what it is asked to.
const WORK_TIME_MAX: Duration = Duration::from_secs(600);

/// Why the supervisor did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SupervisorError {
    /// Nobody listens on the socket, or it went away before it answered. What was asked may have happened.
    Offline(String),
    /// It refused, for this reason.
    Refused(String),
    /// It said something that cannot be understood.
    Protocol(String),
}

impl fmt::Display for SupervisorError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SupervisorError::Offline(message) => {
                write!(formatter, "the supervisor does not answer: {message}")
            }
            SupervisorError::Refused(message) => write!(formatter, "the supervisor refused: {message}"),
            SupervisorError::Protocol(message) => {
                write!(formatter, "the supervisor's answer is wrong: {message}")
            }
        }
    }
}

impl std::error::Error for SupervisorError {}

/// Asks the supervisor of one directory.
#[derive(Clone)]
pub struct SupervisorClient {
    env: Env,
    directory: PathBuf,
}

impl SupervisorClient {
    /// A client of the supervisor whose directory is `directory` (absolute).
    pub fn new(env: Env, directory: &Path) -> SupervisorClient {
        SupervisorClient { env, directory: directory.to_owned() }
    }

    /// Declares the whole set of a group. Services that do not run are started; a running one that is declared as before is
    /// left alone; those declared differently or no longer are stopped first. Returns when all that can be started are.
    ///
    /// # Errors
    /// [`SupervisorError`]; a service that cannot be started is no error but [`super::ServiceState::Failed`].
    pub async fn apply(&self, group: &str, services: Vec<Service>) -> Result<(), SupervisorError> {
        self.done(&Request::Apply { group: group.to_owned(), services }).await
    }

    /// Stops a group's services, with all that they started. Returns when no process of theirs is left. A group
    /// that does not exist is stopped already.
    ///
    /// # Errors
    /// [`SupervisorError`].
    pub async fn stop(&self, group: &str) -> Result<(), SupervisorError> {
        self.done(&Request::Stop { group: group.to_owned() }).await
    }

    /// Stops a group's services like [`SupervisorClient::stop`] and forgets the group.
    ///
    /// # Errors
    /// [`SupervisorError`].
    pub async fn remove(&self, group: &str) -> Result<(), SupervisorError> {
        self.done(&Request::Remove { group: group.to_owned() }).await
    }

    /// All services, sorted by group and name.
    ///
    /// # Errors
    /// [`SupervisorError`].
    pub async fn status(&self) -> Result<Vec<ServiceStatus>, SupervisorError> {
        Ok(self.services(&Request::Status).await?.1)
    }

    /// The services whose processes still run, as the supervisor noted them durably: what is known also when it does not answer.
    pub fn recorded(&self) -> Vec<ServiceStatus> {
        let mut services = self.noted();
        services.retain(|status| {
            status.identity.is_some_and(|identity| self.env.processes().find(identity).is_some())
        });
        services
    }

    /// All services as the supervisor noted them durably in this boot: what is known also when it does not answer. Whether
    /// a process still runs is another matter.
    pub fn noted(&self) -> Vec<ServiceStatus> {
        let Ok(Loaded::Read(boot, groups)) = state::load(&self.env, &self.directory.join(STATE)) else {
            return Vec::new();
        };
        if boot != self.env.processes().boot() {
            return Vec::new();
        }
        groups
            .iter()
            .flat_map(|(group, services)| services.values().map(move |record| record.status(group)))
            .collect()
    }

    /// Waits until the number of changes is another than `after` (0 at first: answered at once), and gives that
    /// number and all services. Numbers of another life of the supervisor differ too, so its replacement is seen.
    /// It waits without end: use [`Env::timeout`] or [`crate::env::race`] around it.
    ///
    /// # Errors
    /// [`SupervisorError`].
    pub async fn next_change(&self, after: u64) -> Result<(u64, Vec<ServiceStatus>), SupervisorError> {
        self.services(&Request::NextChange { after }).await
    }

    /// Ends the supervisor; its services go on, or end before it with `stop_services`.
    ///
    /// # Errors
    /// [`SupervisorError`].
    pub async fn shutdown(&self, stop_services: bool) -> Result<(), SupervisorError> {
        self.done(&Request::Shutdown { stop_services }).await
    }

    async fn done(&self, request: &Request) -> Result<(), SupervisorError> {
        match self.ask(request).await? {
            Reply::Done => Ok(()),
            Reply::Refused { message } => Err(SupervisorError::Refused(message)),
            other @ Reply::Services { .. } => Err(unexpected(&other)),
        }
    }

    async fn services(&self, request: &Request) -> Result<(u64, Vec<ServiceStatus>), SupervisorError> {
        match self.ask(request).await? {
            Reply::Services { number, services } => Ok((number, services)),
            Reply::Refused { message } => Err(SupervisorError::Refused(message)),
            Reply::Done => Err(unexpected(&Reply::Done)),
        }
    }

    async fn ask(&self, request: &Request) -> Result<Reply, SupervisorError> {
        let time_max = match request {
            Request::NextChange { .. } => return self.ask_patiently(request).await,
            Request::Status => STATUS_TIME_MAX,
            _ => WORK_TIME_MAX,
        };
        let socket = self.directory.join(SOCKET);
        self.env.timeout(time_max, self.ask_patiently(request)).await.unwrap_or_else(|_| {
            let seconds = time_max.as_secs();
            Err(SupervisorError::Offline(format!("{}: no answer for {seconds} s", socket.display())))
        })
    }

    async fn ask_patiently(&self, request: &Request) -> Result<Reply, SupervisorError> {
        let mut line = serde_json::to_vec(request).map_err(|error| {
            SupervisorError::Refused(format!("the request cannot be written as JSON: {error}"))
        })?;
        line.push(b'\n');
        if line.len() > LINE_BYTES_MAX {
            let message =
                format!("the request has {} bytes, at most {LINE_BYTES_MAX} are allowed", line.len());
            return Err(SupervisorError::Refused(message));
        }
        let socket = self.directory.join(SOCKET);
        let offline = |error: io::Error| SupervisorError::Offline(format!("{}: {error}", socket.display()));
        let address = Address::Unix(socket.clone());
        let mut stream = self.env.network().connect(&address).await.map_err(offline)?;
        stream.write_all(&line).await.map_err(offline)?;
        stream.flush().await.map_err(offline)?;
        let mut answer = Vec::new();
        let mut reader = BufReader::new(stream).take(LINE_BYTES_MAX as u64);
        reader.read_until(b'\n', &mut answer).await.map_err(offline)?;
        match answer.last() {
            Some(b'\n') => serde_json::from_slice(&answer)
                .map_err(|error| SupervisorError::Protocol(format!("{error}: {}", excerpt(&answer)))),
            _ if answer.len() >= LINE_BYTES_MAX => {
                Err(SupervisorError::Protocol(format!("a line of over {LINE_BYTES_MAX} bytes")))
            }
            _ => {
                Err(SupervisorError::Offline(format!("{}: it went away without an answer", socket.display())))
            }
        }
    }
}

fn unexpected(reply: &Reply) -> SupervisorError {
    SupervisorError::Protocol(excerpt(format!("{reply:?}").as_bytes()))
}

fn excerpt(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).trim_end().to_owned()
}
