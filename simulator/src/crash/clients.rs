//! Clients that change things, each its own, and note what they were told.

use super::book::Book;
use crate::world::Random;
use slap_impl::{
    master::Master,
    wire::{
        configuration::{FormattedComputer, FormattedPartition},
        http::{
            client,
            server::{Handler, Request, Response},
        },
        marshal::{Dictionary, Value, decode, encode},
        objects::SoftwareInstance,
    },
};
use std::{cell::RefCell, rc::Rc};

/// Instances of each client.
const TITLES: u64 = 2;
/// Partitions of the only computer: all instances of four clients have room.
const PARTITIONS: u32 = 8;
/// Questions of a client between two crashes.
const QUESTIONS: u32 = 6;

/// A client, in the process of the master.
pub(super) struct Client {
    number: u32,
    master: Rc<Master>,
    book: Rc<RefCell<Book>>,
    random: Random,
}

impl Client {
    pub(super) fn new(number: u32, master: Rc<Master>, book: Rc<RefCell<Book>>, random: &Random) -> Client {
        let random = random.child(&format!("client {number} {}", random.number()));
        Client { number, master, book, random }
    }

    /// Asks until it has asked enough.
    pub(super) async fn live(&self) {
        // Nobody has room before somebody formatted; later a node formats now and then.
        let is_formatted = self.book.borrow().is_formatted;
        if !is_formatted || self.random.below(16) == 0 {
            if self.format().await.is_none() {
                return;
            }
            self.book.borrow_mut().is_formatted = true;
        }
        for _ in 0..QUESTIONS {
            let title = format!("client-{}-{}", self.number, self.random.below(TITLES));
            match self.random.below(4) {
                0 => self.publish(&title).await,
                1 => self.supply().await,
                _ => drop(self.request(&title).await),
            }
            // What a reader sees is durable, whoever was told of it.
            let mut book = self.book.borrow_mut();
            let seen = self.master.read(|database| book.look(database));
            if seen.is_err() {
                book.refused += 1;
            }
        }
    }

    async fn format(&self) -> Option<Response> {
        let partition = |number: u32| FormattedPartition {
            partition_id: format!("slappart{number}").parse().expect("letters and a number"),
            addresses: Vec::new(),
            interface: None,
            details: Dictionary::new(),
        };
        let computer = FormattedComputer {
            computer_id: "COMP-1".parse().expect("letters, a dash and a number"),
            address: None,
            netmask: None,
            partitions: (0..PARTITIONS).map(partition).collect(),
            details: Dictionary::new(),
        };
        let document = encode(&computer.to_value());
        self.ask("loadComputerConfigurationFromXML", &[("xml", &document)]).await
    }

    /// Requests an instance with a new parameter; where it is.
    async fn request(&self, title: &str) -> Option<SoftwareInstance> {
        let number = self.begin(title, "parameters", None);
        let parameters = encode(&Value::dictionary([("x", Value::text(number.to_string()))]));
        let fields = [
            ("software_release", "https://releases.example/one.cfg"),
            ("software_type", "default"),
            ("partition_reference", title),
            ("partition_parameter_xml", &parameters),
        ];
        let response = self.ask("requestComputerPartition", &fields).await?;
        self.book.borrow_mut().told(title, "parameters", number);
        let value = decode(&response.body).expect("the master's own answer can be read");
        SoftwareInstance::from_value(&value).ok().filter(|instance| !instance.partition_id.is_empty())
    }

    /// Publishes a connection parameter of an instance.
    async fn publish(&self, title: &str) {
        let Some(instance) = self.request(title).await else { return };
        let number = self.begin(title, "connection", None);
        let document = encode(&Value::dictionary([("y", Value::text(number.to_string()))]));
        let fields = [
            ("computer_id", instance.computer_id.as_str()),
            ("computer_partition_id", instance.partition_id.as_str()),
            ("connection_xml", &document),
        ];
        if self.ask("setComputerPartitionConnectionXml", &fields).await.is_some() {
            self.book.borrow_mut().told(title, "connection", number);
        }
    }

    /// Supplies a release, or takes it away.
    async fn supply(&self) {
        let url = format!("https://releases.example/{}/{}.cfg", self.number, self.random.below(TITLES));
        let number = self.begin(&url, "supply", Some(self.random.below(2)));
        let state = ["available", "destroyed"][number as usize];
        let fields = [("url", url.as_str()), ("computer_id", "COMP-1"), ("state", state)];
        if self.ask("supplySupply", &fields).await.is_some() {
            self.book.borrow_mut().told(&url, "supply", number);
        }
    }

    /// Notes what is asked for: a number that was never asked for, unless one is given.
    fn begin(&self, title: &str, field: &'static str, number: Option<u64>) -> u64 {
        let mut book = self.book.borrow_mut();
        let number = number.unwrap_or_else(|| book.next());
        book.asked(title, field, number);
        number
    }

    /// The answer; none when it is a refusal.
    async fn ask(&self, endpoint: &str, fields: &[(&str, &str)]) -> Option<Response> {
        let url = format!("http://master.example/{endpoint}").parse().expect("it is a URL");
        let form = client::Request::post_form(url, fields.iter().copied());
        let request = Request {
            method: form.method.to_owned(),
            path: format!("/{endpoint}"),
            headers: form.headers,
            body: form.body.into(),
            ..Request::default()
        };
        let response = self.master.clone().handle(request).await;
        if response.status == 200 {
            return Some(response);
        }
        let mut book = self.book.borrow_mut();
        if matches!(response.status, 500 | 503) {
            book.refused += 1;
        } else {
            // As when the master has lost what it needs to answer.
            let text = String::from_utf8_lossy(&response.body);
            book.unexpected.push(format!("answer: {endpoint}: {} {text}", response.status));
        }
        None
    }
}
