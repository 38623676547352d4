//! The real master in this process: its router, codec, commit queue and SQL, with a clock that is set before each event.

use super::{
    answer::{self, Response},
    names::microseconds,
    picture::{self, Picture},
    question, rpc,
};
use crate::world::{SetClock, World};
use slap_impl::{
    master::{Configuration, Master},
    wire::http::server::{Handler, Request},
};
use slap_model::{
    Event, Reply, State,
    names::{Computer, DEFAULT_COMPUTER},
};
use std::{path::PathBuf, rc::Rc};

/// The real master.
pub(super) struct Real {
    master: Rc<Master>,
    clock: Rc<SetClock>,
}

impl Real {
    /// A master with an empty database, in a world.
    ///
    /// # Panics
    /// When it cannot be opened.
    pub(super) async fn open(world: &World) -> Real {
        let clock = world.set_clock(microseconds(0));
        let env = world.user_with_clock("/root", clock.clone());
        let configuration = Configuration {
            database: PathBuf::from("/root/master.sqlite"),
            default_computer: Some(computer(DEFAULT_COMPUTER)),
            ..Configuration::default()
        };
        let master = Master::open(&env, configuration).await.expect("a world's database can be opened");
        Real { master, clock }
    }

    /// Asks what an event asks, at the time that the model's state has.
    ///
    /// # Errors
    /// When the answer is no reply of the model.
    pub(super) async fn step(&self, before: &State, event: &Event) -> Result<Reply, String> {
        let Some(question) = question::of(before, event) else { return Ok(Reply::Local) };
        // What is renewed is renewed with the next rank.
        self.clock.set(microseconds(before.now + 1));
        let encoded = question.encoded();
        let mut request = Request { path: format!("/{}", question.endpoint), ..Request::default() };
        if question.is_post {
            request.method = "POST".to_owned();
            request.headers =
                vec![("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned())];
            request.body = encoded.into();
        } else {
            request.method = "GET".to_owned();
            request.query = encoded;
        }
        let response = self.master.clone().handle(request).await;
        answer::reply(event, &Response { status: response.status, body: response.body.to_vec() })
    }

    /// The same by a call of a JSON-RPC method; none when the event cannot be told so.
    pub(super) async fn call(&self, before: &State, event: &Event) -> Option<Result<Reply, String>> {
        let rpc::Call { method, document } = rpc::of(before, event)?;
        self.clock.set(microseconds(before.now + 1));
        let request = Request {
            method: "POST".to_owned(),
            path: format!("/slapos.{method}"),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: document.to_string().into(),
            ..Request::default()
        };
        let response = self.master.clone().handle(request).await;
        Some(rpc::reply(response.status, &response.body))
    }

    /// All that it keeps.
    ///
    /// # Errors
    /// When the database holds what no list of events can have put there, or cannot be read.
    pub(super) fn state(&self) -> Result<State, String> {
        self.master.read(picture::state_of_database).map_err(|error| error.to_string())?
    }

    /// As [`Real::state`], to be compared.
    ///
    /// # Errors
    /// Those of [`Real::state`].
    pub(super) fn picture(&self) -> Result<Picture, String> {
        self.master.read(Picture::of_database).map_err(|error| error.to_string())?
    }
}

fn computer(name: Computer) -> slap_impl::vocabulary::ComputerId {
    super::names::Name::text(name).parse().expect("the model's names are valid")
}
