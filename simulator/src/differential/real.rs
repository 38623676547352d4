//! The real master in this process: its router, codec, commit queue and SQL, with a clock that is set before each event.

use super::{
    answer::{self, Response, Told},
    documents,
    names::{Name, OTHER_MASTER, microseconds},
    picture::state_of_rows,
    question::{self, Question},
    rows::{Entry, Rows, journal_after},
    rpc,
};
use crate::world::{SetClock, World};
use serde_json::Value as Json;
use slap_impl::{
    env::{Address, Env},
    master::{Configuration, Master, OtherMaster},
    wire::{
        http::server::{Handler, Limits, Request},
        marshal::{Value, decode},
    },
};
use slap_model::{
    Event, Reply, State,
    names::{Address as ModelAddress, Computer, DEFAULT_COMPUTER, LISTED_ELSEWHERE, Partition, Rank, Root},
};
use std::{
    cell::RefCell,
    future::{pending, ready},
    path::PathBuf,
    rc::Rc,
};

/// The real master.
pub(super) struct Real {
    world: World,
    env: Env,
    /// None while it is started again.
    master: RefCell<Option<Rc<Master>>>,
    clock: Rc<SetClock>,
    other: RefCell<Option<Other>>,
}

/// The other real master, which listens in the same world.
#[derive(Clone)]
struct Other {
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
        let master = opened(&env, None).await;
        let (master, other) = (RefCell::new(Some(master)), RefCell::default());
        Real { world: world.clone(), env, master, clock, other }
    }

    /// The master that runs now.
    fn master(&self) -> Rc<Master> {
        self.master.borrow().clone().expect("nobody asks while it is started again")
    }

    /// Ends the master, and starts it again with local releases under that directory.
    async fn restart(&self, root: Option<Root>) -> Result<(), String> {
        let address = Address::Tcp(([127, 0, 0, 1], 5000).into());
        let listener = self.env.network().listen(&address).map_err(|error| error.to_string())?;
        // It holds its database as long as it is there.
        let ending = self.master.take().ok_or("it is not there")?;
        ending.run(listener, Limits::default(), ready(())).await;
        let started = opened(&self.env, root).await;
        self.master.replace(Some(started));
        Ok(())
    }

    /// The other master, as the model has it before it is asked for the first time.
    async fn other(&self) -> Result<Other, String> {
        if let Some(other) = self.other.borrow().clone() {
            return Ok(other);
        }
        let clock = self.world.set_clock(microseconds(0));
        let env = self.world.user_with_clock("/root", clock.clone());
        let configuration = configuration("/root/other.sqlite");
        let master = Master::open(&env, configuration).await.map_err(|error| error.to_string())?;
        let partitions = (0..OTHER_PARTITIONS).map(|number| (Partition(number), ADDRESS)).collect();
        let format = Event::Format { computer: DEFAULT_COMPUTER, partitions };
        let question = question::of(&State::default(), &format).ok_or("it is no question")?;
        let response = asked(&master, &question).await;
        if response.status != 200 {
            return Err(format!("{}: {}", response.status, String::from_utf8_lossy(&response.body)));
        }
        let address = Address::Tcp(([127, 0, 0, 1], 6000).into());
        let listener = env.network().listen(&address).map_err(|error| error.to_string())?;
        env.spawn(master.clone().run(listener, Limits::default(), pending()));
        let other = Other { master, clock };
        self.other.replace(Some(other.clone()));
        Ok(other)
    }

    /// Sets the clocks to when an event happens, with another master if it may be asked.
    async fn prepare(&self, before: &State, event: &Event) -> Result<(), String> {
        if matches!(event, Event::Request(request) if request.is_for_another()) {
            let now = before.elsewhere.as_ref().map_or(0, |other| other.now);
            self.other().await?.clock.set(microseconds(now + 1));
        }
        self.clock.set(microseconds(before.now + 1));
        Ok(())
    }

    /// All that the other master keeps, if there is one, as a state of the model.
    ///
    /// # Errors
    /// As [`Real::state`].
    pub(super) fn other_state(&self) -> Result<Option<Box<State>>, String> {
        let Some(other) = self.other.borrow().clone() else { return Ok(None) };
        let rows = other.master.read(Rows::of).map_err(|error| error.to_string())?;
        state_of_rows(&rows).map(|state| Some(Box::new(state)))
    }

    /// Asks what an event asks, at the time that the model's state has.
    ///
    /// # Errors
    /// When the answer is no reply of the model.
    pub(super) async fn step(&self, before: &State, event: &Event) -> Result<Reply, String> {
        self.prepare(before, event).await?;
        if let Event::Rebase(root) = event {
            return self.restart(*root).await.map(|()| Reply::Done);
        }
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
        asked(&self.master(), question).await
    }

    /// The same as [`Real::step`] by a call of a JSON-RPC method; none when the event cannot be told so.
    pub(super) async fn call(&self, before: &State, event: &Event) -> Option<Result<Reply, String>> {
        let rpc::Call { method, document } = rpc::of(before, event)?;
        if let Err(error) = self.prepare(before, event).await {
            return Some(Err(error));
        }
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
        let response = self.master().handle(request).await;
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
        self.master().read(read).map_err(|error| error.to_string())
    }
}

/// Partitions of the other master's computer.
const OTHER_PARTITIONS: u16 = 3;
/// Their addresses.
const ADDRESS: ModelAddress = ModelAddress(0);

fn configuration(database: &str) -> Configuration {
    Configuration {
        database: PathBuf::from(database),
        default_computer: Some(computer(DEFAULT_COMPUTER)),
        ..Configuration::default()
    }
}

async fn opened(env: &Env, root: Option<Root>) -> Rc<Master> {
    let other = OtherMaster {
        name: OTHER_MASTER.to_owned(),
        url: Ok(OTHER_MASTER.parse().expect("it is a URL")),
        requester: None,
        releases: [LISTED_ELSEWHERE.text()].into(),
    };
    let configuration = Configuration {
        others: vec![other],
        release_root: root.map(|root| root.text().into()),
        ..configuration("/root/master.sqlite")
    };
    Master::open(env, configuration).await.expect("a world's database can be opened")
}

async fn asked(master: &Rc<Master>, question: &Question) -> Response {
    let encoded = question.encoded();
    let mut request = Request { path: format!("/{}", question.endpoint), ..Request::default() };
    if question.is_post {
        request.method = "POST".to_owned();
        request.headers = vec![("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned())];
        request.body = encoded.into();
    } else {
        request.method = "GET".to_owned();
        request.query = encoded;
    }
    let response = master.clone().handle(request).await;
    Response { status: response.status, body: response.body.to_vec() }
}

fn computer(name: Computer) -> slap_impl::vocabulary::ComputerId {
    super::names::Name::text(name).parse().expect("the model's names are valid")
}
