//! A client: asks the master one thing after the other, and records what came of it.

use super::{
    history::{Action, Outcome, Recorder},
    line::Line,
    master::Door,
    wire::{self, Names},
};
use slap_impl::{
    env::Env,
    wire::http::client::{HttpError, send},
};
use std::time::Duration;
use tokio::sync::watch;

/// How long a client waits for a master that is started again.
const PATIENCE: Duration = Duration::from_secs(180);

/// A client of a master.
pub(super) struct Client {
    number: u32,
    env: Env,
    line: Line,
    door: watch::Receiver<Option<Door>>,
    names: Names,
    recorder: Recorder,
}

impl Client {
    pub(super) fn new(
        env: &Env,
        number: u32,
        door: watch::Receiver<Option<Door>>,
        names: Names,
        recorder: Recorder,
    ) -> Client {
        let line = Line::default();
        Client { number, env: line.environment(env), line, door, names, recorder }
    }

    /// Asks, and records what came of it. With `cut`, its connection is cut so long after it began to send.
    ///
    /// # Errors
    /// When the master stays away, or what it answers is no answer.
    pub(super) async fn ask(&mut self, action: &Action, cut: Option<Duration>) -> Result<Outcome, String> {
        let mut start = 0;
        let invoked = self.recorder.tick();
        loop {
            let door = self.enter(start).await?;
            let request = wire::request(&door.url, &self.names, action)?;
            self.line.arm(cut);
            let outcome = match send(&self.env, request).await {
                Ok(response) => wire::outcome(&self.names, action, &response)
                    .map_err(|error| format!("client {}: {action}: {error}", self.number))?,
                // Nobody heard of it: it is asked again, of the next master.
                Err(HttpError::Unreachable { .. }) if !self.line.has_sent() => {
                    start = door.start + 1;
                    continue;
                }
                Err(HttpError::Unreachable { .. } | HttpError::TimedOut { .. }) => Outcome::Unknown,
                Err(error) => return Err(format!("client {}: {action}: {error}", self.number)),
            };
            self.recorder.note(self.number, invoked, action.clone(), outcome.clone());
            return Ok(outcome);
        }
    }

    /// The door of a master that was started as the `start`th or later.
    async fn enter(&mut self, start: u32) -> Result<Door, String> {
        let is_it = |door: &Option<Door>| door.as_ref().is_some_and(|door| door.start >= start);
        let opened = self.env.timeout(PATIENCE, self.door.wait_for(is_it)).await;
        let door = opened.map_err(|_| "the master cannot be reached")?.map_err(|error| error.to_string())?;
        door.clone().ok_or_else(|| "the master has no door".to_owned())
    }
}
