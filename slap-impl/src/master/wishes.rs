//! Which way a request for an instance goes: most are decided on here, some the master answers without an instance of its own, and
//! some are passed on to another master. The order in which that is looked at is that of slapproxy (slapos/proxy/db.py,
//! `requestInstanceFromDB`): an instance that is here already stays here.

use super::{
    Master, OtherMaster,
    decisions::{Answer, Command, Given, Refusal, StandIn, stand_in, state_elsewhere},
    hateoas::{base_url, is_https},
    readable, render,
};
use crate::{
    vocabulary::SoftwareUrl,
    wire::{http::server::Request, objects::Forwarded},
};
use std::{collections::BTreeMap, rc::Rc, sync::Arc};

/// The key of a filter that names another master, or this one.
const MASTER_URL: &str = "master_url";

/// What a request for an instance is answered with.
pub(super) enum Granted {
    /// An instance of this master; and after how many commits it was found to be so already, if nothing was changed for it.
    Given(Box<Given>, Option<u64>),
    /// Nothing but what it would publish.
    StandIn(StandIn),
    /// An instance of another master.
    Forwarded(Box<Forwarded>),
}

impl Master {
    /// Grants what a [`Command::Request`] asks for; `request` is how it came.
    pub(super) async fn wish(
        self: &Rc<Self>,
        mut command: Command,
        request: &Request,
    ) -> Result<Granted, Refusal> {
        if let Some(granted) = self.away(&command, request).await? {
            return Ok(granted);
        }
        if let Command::Request { filter, .. } = &mut command {
            // It meant this master, or the instance is here already.
            filter.remove(MASTER_URL);
        }
        let (answer, commits) = self.decide_wish(command, request).await?;
        match answer {
            Answer::Given(given) => Ok(Granted::Given(given, commits)),
            Answer::Text(text) => Err(Refusal::new(500, format!("a request was answered with {text:?}"))),
        }
    }

    /// Decides on a request: by reading, if it came before; and else in the queue. What a database that cannot be written holds already is
    /// answered all the same.
    async fn decide_wish(
        self: &Rc<Self>,
        command: Command,
        request: &Request,
    ) -> Result<(Answer, Option<u64>), Refusal> {
        let is_new = !self.seen.note(request);
        let by_reading = |command: &Command| {
            let commits = self.queue.commits();
            Some((self.decide_by_reading(command)?, commits))
        };
        if !is_new && let Some((answer, commits)) = by_reading(&command) {
            return Ok((answer?, commits));
        }
        let command = Arc::new(command);
        match self.submit(command.clone()).await {
            Err(refusal) if is_new && refusal.status == 503 => match by_reading(&command) {
                Some((answer, commits)) => Ok((answer?, commits)),
                None => Err(refusal),
            },
            answer => Ok((answer?, None)),
        }
    }

    /// Grants what no partition of this master is needed for; none where it is to be decided on here.
    async fn away(self: &Rc<Self>, command: &Command, request: &Request) -> Result<Option<Granted>, Refusal> {
        let Command::Request { title, release, software_type, parameters, filter, state, requester, shared } =
            command
        else {
            return Ok(None);
        };
        let via = self.via(request)?;
        let elsewhere = self.elsewhere(release, filter, request);
        if *shared && elsewhere.as_ref().map_err(Refusal::clone)?.is_none() {
            let parameters = readable(render::parameters(parameters))?;
            if let Some(found) = stand_in(release, software_type, &parameters, is_https(request))? {
                self.log.line(format_args!("{}: {}", command.describe(), found.partition));
                return Ok(Some(Granted::StandIn(found)));
            }
        }
        if matches!(elsewhere, Ok(None)) {
            return Ok(None);
        }
        let default = self.default_computer.as_ref();
        let standing =
            self.read(|connection| state_elsewhere(connection, default, title, requester.as_ref(), *state))??;
        let (Some(state), Some(other)) = (standing, elsewhere?) else { return Ok(None) };
        let found = Box::pin(self.forward(other, command, state, via)).await?;
        Ok(Some(Granted::Forwarded(Box::new(found))))
    }

    /// The other master that an instance which is not here yet is to be requested of: the one that the filter names, or else the
    /// one that has the release in its list.
    fn elsewhere(
        &self,
        release: &SoftwareUrl,
        filter: &BTreeMap<String, String>,
        request: &Request,
    ) -> Result<Option<&OtherMaster>, Refusal> {
        let named = filter.get(MASTER_URL).map(String::as_str).unwrap_or_default();
        if !named.is_empty() && !self.is_own(named, request) {
            let found = self.others.iter().find(|other| other.name == named);
            return found.map(Some).ok_or_else(|| self.unlisted(named));
        }
        let lists_it = |other: &&OtherMaster| other.releases.contains(release.as_str());
        Ok(self.others.iter().filter(lists_it).find(|other| !self.is_own(&other.name, request)))
    }

    fn unlisted(&self, named: &str) -> Refusal {
        let shown: String = named.chars().take(200).collect();
        let names: Vec<&str> = self.others.iter().map(|other| other.name.as_str()).collect();
        let listed = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let message =
            format!("External SlapOS Master URL {shown} is not listed in multimaster list; listed: {listed}");
        Refusal::new(404, message)
            .hint("sections [multimaster/URL] of the master's settings list others, to the letter")
    }

    /// Whether a URL is that of this master, as it knows it or as who asks does. slapproxy asks whoever is named for its run's
    /// id; here nobody can make the master ask strangers.
    fn is_own(&self, url: &str, request: &Request) -> bool {
        let url = url.trim_end_matches('/');
        let address = self.address.borrow();
        url == base_url(self, request)
            || url.strip_prefix("http://").is_some_and(|rest| !rest.is_empty() && rest == *address)
    }
}
