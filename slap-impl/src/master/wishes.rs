//! Which way a request for an instance goes: most are decided on here, and some the master answers without an instance of its own.

use super::{
    Master,
    decisions::{Answer, Command, Given, Refusal, StandIn, stand_in},
    hateoas::is_https,
    render,
};
use crate::wire::http::server::Request;
use std::rc::Rc;

/// What a request for an instance is answered with.
pub(super) enum Granted {
    /// An instance of this master.
    Given(Box<Given>),
    /// Nothing but what it would publish.
    StandIn(StandIn),
}

impl Master {
    /// Grants what a [`Command::Request`] asks for; `request` is how it came.
    pub(super) async fn wish(
        self: &Rc<Self>,
        command: Command,
        request: &Request,
    ) -> Result<Granted, Refusal> {
        if let Command::Request { release, software_type, parameters, shared: true, .. } = &command {
            let parameters = render::parameters(parameters);
            if let Some(found) = stand_in(release, software_type, &parameters, is_https(request))? {
                self.log.line(format_args!("{}: {}", command.describe(), found.partition));
                return Ok(Granted::StandIn(found));
            }
        }
        match self.submit(command).await? {
            Answer::Given(given) => Ok(Granted::Given(given)),
            Answer::Text(text) => Err(Refusal::new(500, format!("a request was answered with {text:?}"))),
        }
    }
}
