//! The real master in this process: its router, codec, commit queue and SQL, with a clock that is set before each event.

use super::{
    answer::{self, Response, Told},
    documents,
    names::microseconds,
    picture::state_of_rows,
    question::{self, Question},
    rows::{Entry, Rows, journal_after},
    rpc,
};
use crate::world::{SetClock, World};
use serde_json::Value as Json;
use slap_impl::{
    master::{Configuration, Master},
    wire::{
        http::server::{Handler, Request},
        marshal::{Value, decode},
    },
};
use slap_model::{
    Event, Reply, State,
    names::{Computer, DEFAULT_COMPUTER, Rank},
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
        let response = self.answer(before.now + 1, &question).await;
        answer::reply(event, &response)
    }

    /// What a node is told, with the order of its partitions.
    ///
    /// # Errors
    /// When the answer cannot be read.
    pub(super) async fn full(&self, state: &State, computer: Computer) -> Result<Told, String> {
        let question = question::of(state, &Event::Look(computer)).ok_or("it is no question")?;
        let response = self.answer(state.now, &question).await;
        if response.status != 200 {
            return Err(format!("{}: {}", response.status, String::from_utf8_lossy(&response.body)));
        }
        answer::told_computer(&response.body)
    }

    /// The answers to questions that change nothing.
    ///
    /// # Errors
    /// When one is refused, or cannot be read.
    pub(super) async fn ask(&self, state: &State, questions: Vec<Question>) -> Result<Vec<Value>, String> {
        let mut answers = Vec::new();
        for question in questions {
            let Response { status, body } = self.answer(state.now, &question).await;
            if status != 200 {
                return Err(format!("{}: {status}: {}", question.endpoint, String::from_utf8_lossy(&body)));
            }
            answers.push(decode(&body).map_err(|error| error.to_string())?);
        }
        Ok(answers)
    }

    /// What is renewed is renewed with the next rank; what only reads comes before that.
    async fn answer(&self, now: Rank, question: &Question) -> Response {
        self.clock.set(microseconds(now));
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
        Response { status: response.status, body: response.body.to_vec() }
    }

    /// The same as [`Real::step`] by a call of a JSON-RPC method; none when the event cannot be told so.
    pub(super) async fn call(&self, before: &State, event: &Event) -> Option<Result<Reply, String>> {
        let rpc::Call { method, document } = rpc::of(before, event)?;
        let response = self.rpc(before.now + 1, method, &document).await;
        Some(rpc::reply(response.status, &response.body))
    }

    /// The answer of a method of JSON-RPC that changes nothing.
    pub(super) async fn document(&self, state: &State, method: &str, arguments: &Json) -> Json {
        let response = self.rpc(state.now, method, arguments).await;
        documents::read(method, response.status, &response.body)
    }

    async fn rpc(&self, now: Rank, method: &str, document: &Json) -> Response {
        self.clock.set(microseconds(now));
        let request = Request {
            method: "POST".to_owned(),
            path: format!("/slapos.{method}"),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: document.to_string().into(),
            ..Request::default()
        };
        let response = self.master.clone().handle(request).await;
        Response { status: response.status, body: response.body.to_vec() }
    }

    /// All that it keeps, as a state of the model.
    ///
    /// # Errors
    /// When the database holds what no list of events can have put there, or cannot be read.
    pub(super) fn state(&self) -> Result<State, String> {
        state_of_rows(&self.rows(i64::MAX)?.0)
    }

    /// All that it keeps: all rows, and the journal's entries after a sequence.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn rows(&self, sequence: i64) -> Result<(Rows, Vec<Entry>), String> {
        let read = |database: &_| Ok((Rows::of(database)?, journal_after(database, sequence)?));
        self.master.read(read).map_err(|error| error.to_string())
    }
}

fn computer(name: Computer) -> slap_impl::vocabulary::ComputerId {
    super::names::Name::text(name).parse().expect("the model's names are valid")
}
