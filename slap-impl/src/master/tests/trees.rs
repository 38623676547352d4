//! Trees and shared instances, as the wire shows them. The master is asked in this process, without a socket.

use super::*;
use crate::{
    vocabulary::PartitionId,
    wire::{
        hateoas::{Service, parse_rows},
        http::server::{Handler, Request},
        marshal::{Value, decode, encode},
        objects::{Computer, ComputerPartition, SoftwareInstance},
    },
};

pub(super) struct Asked(pub(super) Rc<Master>);

impl Asked {
    pub(super) async fn send(&self, method: &str, path: &str, query: &str, body: String) -> (u16, String) {
        let request = Request {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            body: body.into(),
            ..Request::default()
        };
        let response = self.0.clone().handle(request).await;
        (response.status, String::from_utf8(response.body.to_vec()).unwrap())
    }

    pub(super) async fn post(&self, endpoint: &str, fields: &[(&str, &str)]) -> (u16, String) {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.send("POST", &format!("/{endpoint}"), "", body).await
    }

    pub(super) async fn get(&self, path: &str) -> (u16, String) {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        self.send("GET", &format!("/{path}"), query, String::new()).await
    }

    pub(super) async fn json(&self, path: &str) -> serde_json::Value {
        let (status, body) = self.get(path).await;
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Requests an instance of /r, by a user or by a partition of COMP-1.
    pub(super) async fn request(
        &self,
        by: Option<&str>,
        title: &str,
        more: &[(&str, &str)],
    ) -> Result<SoftwareInstance, u16> {
        let mut fields =
            vec![("partition_reference", title), ("software_release", "/r"), ("software_type", "")];
        if let Some(partition) = by {
            fields.extend([("computer_id", "COMP-1"), ("computer_partition_id", partition)]);
        }
        fields.extend(more);
        match self.post("requestComputerPartition", &fields).await {
            (200, body) => Ok(SoftwareInstance::from_value(&decode(body.as_bytes()).unwrap()).unwrap()),
            (status, _) => Err(status),
        }
    }

    async fn partition(&self, name: &str) -> ComputerPartition {
        let (_, body) = self.get("getFullComputerInformation?computer_id=COMP-1").await;
        let computer = Computer::from_value(&decode(body.as_bytes()).unwrap()).unwrap();
        let found = computer.partitions.into_iter().find(|it| it.partition_id.as_str() == name).unwrap();
        let path = format!(
            "registerComputerPartition?computer_reference=COMP-1&computer_partition_reference={name}"
        );
        let (_, body) = self.get(&path).await;
        let alone = ComputerPartition::from_value(&decode(body.as_bytes()).unwrap()).unwrap();
        assert_eq!(alone.instance, found.instance, "both documents say the same");
        found
    }

    async fn service(&self, path: &str) -> Service {
        Service::parse(&self.json(path).await).unwrap()
    }

    async fn titles(&self) -> Vec<String> {
        let query =
            "hateoas/?mode=search&query=portal_type%3A%22Instance+Tree%22+AND+validation_state%3Avalidated";
        let rows = parse_rows(&self.json(query).await).unwrap();
        rows.into_iter().map(|row| row.relative_url).collect()
    }
}

/// A master with COMP-1, which has slappart0 to slappart2.
pub(super) fn asked(body: impl AsyncFnOnce(Asked)) {
    in_place(async |env, database| {
        let configuration = Configuration {
            log_file: Some(database.with_extension("log")),
            database,
            ..Configuration::default()
        };
        let asked = Asked(Master::open(&env, configuration).await.unwrap());
        let address = |number: usize| {
            Value::dictionary(
                [("addr", format!("10.0.0.{number}")), ("netmask", String::new())]
                    .map(|(key, value)| (key.to_owned(), Value::Text(value))),
            )
        };
        let partition = |number: usize| {
            Value::dictionary([
                ("reference".to_owned(), Value::text(format!("slappart{number}"))),
                ("address_list".to_owned(), Value::List(vec![address(number)])),
            ])
        };
        let computer = Value::dictionary([
            ("reference".to_owned(), Value::text("COMP-1")),
            ("address".to_owned(), Value::None),
            ("netmask".to_owned(), Value::None),
            ("partition_list".to_owned(), Value::List((0..3).map(partition).collect())),
        ]);
        let answer = asked.post("loadComputerConfigurationFromXML", &[("xml", &encode(&computer))]).await;
        assert_eq!(answer, (200, "done".to_owned()));
        body(asked).await;
    });
}

pub(super) const SHARED: (&str, &str) = ("shared_xml", "<marshal><bool>1</bool></marshal>");
pub(super) const DESTROYED: (&str, &str) = ("state", "<marshal><string>destroyed</string></marshal>");

#[test]
fn a_tree_over_the_wire() {
    asked(async |master| {
        master.request(None, "root", &[]).await.unwrap();
        let child = master.request(Some("slappart0"), "child", &[]).await.unwrap();
        assert_eq!((child.partition_id.as_str(), child.own.is_some()), ("slappart1", true));
        let seen = master.partition("slappart1").await.instance.unwrap();
        assert_eq!((seen.title.as_str(), seen.root_title.as_str()), ("child", "root"));
        assert_eq!(master.titles().await, ["/hateoas/partitions/root"], "users have no children");
        assert_eq!(master.get("hateoas/partitions/child").await.0, 404);
        assert_eq!(master.request(Some("slappart2"), "other", &[]).await, Err(404));
        assert_eq!(master.request(Some("slappart1"), "root", &[]).await, Err(409));

        master.request(None, "root", &[DESTROYED]).await.unwrap();
        let timestamp = master.partition("slappart0").await.instance.unwrap().timestamp;
        let place = |name| [("computer_id", "COMP-1"), ("computer_partition_id", name)];
        let (status, text) = master.post("destroyedComputerPartition", &place("slappart0")).await;
        assert!(status == 200 && text.ends_with("child"), "{text}");
        assert_eq!(master.post("destroyedComputerPartition", &place("slappart1")).await.1, "OK");
        assert_ne!(master.partition("slappart0").await.instance.unwrap().timestamp, timestamp);
        assert_eq!(master.post("destroyedComputerPartition", &place("slappart0")).await.1, "OK");
        assert_eq!(master.0.read(store::instances).unwrap(), []);
    });
}

#[test]
fn a_shared_instance_over_the_wire() {
    asked(async |master| {
        master.request(None, "host", &[]).await.unwrap();
        let document = encode(&Value::dictionary([
            ("slave_reference".to_owned(), Value::text("mine")),
            ("domain".to_owned(), Value::text("example.com")),
        ]));
        let parameters = ("partition_parameter_xml", document.as_str());
        let shared = master.request(None, "guest", &[SHARED, parameters]).await.unwrap();
        assert_eq!((shared.computer_id.as_str(), shared.partition_id.as_str()), ("COMP-1", "slappart0"));
        assert_eq!((shared.software_type.as_deref(), shared.own), (Some("default"), None));
        assert_eq!(shared.requested_state.map(|state| state.as_str()), Some("started"));
        assert_eq!(shared.timestamp, None);

        let listed = master.partition("slappart0").await.instance.unwrap().shared_instances;
        let [entry] = listed.as_slice() else { panic!("{listed:?}") };
        assert_eq!((entry.reference.as_str(), entry.title.as_str()), ("_guest", "_guest"));
        assert_eq!(entry.parameters["domain"], Value::text("example.com"));
        assert_eq!(entry.parameters.get("slave_reference"), None, "the master's name wins over a parameter");

        let mut fields = vec![("computer_id", "COMP-1"), ("computer_partition_id", "slappart0")];
        assert_eq!(master.post("startedComputerPartition", &fields).await.1, "OK");
        fields.push(("slave_reference", "_guest"));
        let connection = encode(&Value::dictionary([("url".to_owned(), Value::text("http://e/"))]));
        fields.push(("connection_xml", &connection));
        assert_eq!(master.post("setComputerPartitionConnectionXml", &fields).await.1, "done");
        let shared = master.request(None, "guest", &[SHARED, parameters]).await.unwrap();
        assert_eq!(shared.connection["url"].as_deref(), Some("http://e/"));

        assert_eq!(master.titles().await, ["/hateoas/partitions/host", "/hateoas/shared/guest"]);
        assert_eq!(master.get("hateoas/partitions/guest").await.0, 404);
        let service = master.service("hateoas/shared/guest").await;
        assert!(service.shared && service.connection_xml.unwrap().contains("http://e/"));
        assert_eq!((service.reference.as_str(), service.requested_state.as_str()), ("guest", "started"));
        assert_eq!(
            service.news.unwrap()[0]["text"],
            "#access Instance correctly started",
            "its host is well"
        );

        assert_eq!(
            master
                .post("softwareInstanceError", &[fields.as_slice(), &[("error_log", "no")]].concat())
                .await
                .0,
            200
        );
        let news = master.service("hateoas/shared/guest").await.news.unwrap();
        assert_eq!(news[0]["text"], "#error while instanciating: no");
        let news = master.service("hateoas/partitions/host").await.news.unwrap();
        assert_eq!(news[0]["text"], "#access Instance correctly started");
        assert_eq!(master.post("stoppedComputerPartition", &fields[..2]).await.1, "OK");
        let news = master.service("hateoas/shared/guest").await.news.unwrap();
        assert_eq!(news[0]["text"], "#access Instance correctly stopped", "its host said something since");

        master.request(None, "host", &[DESTROYED]).await.unwrap();
        assert_eq!(master.post("destroyedComputerPartition", &fields[..2]).await.1, "OK");
        let news = master.service("hateoas/shared/guest").await.news.unwrap();
        assert!(news[0]["text"].as_str().unwrap().contains("its host was destroyed"), "{news:?}");
        let gone = master.request(None, "guest", &[SHARED, DESTROYED]).await.unwrap();
        assert_eq!(
            (gone.computer_id.as_str(), gone.requested_state.map(|it| it.as_str())),
            ("", Some("destroyed"))
        );
        assert_eq!(master.titles().await, Vec::<String>::new());
    });
}

#[test]
fn the_addresses_of_a_tree() {
    asked(async |master| {
        let pairs = async |partition: &str| {
            let path =
                format!("getHostingSubscriptionIpList?computer_id=COMP-1&computer_partition_id={partition}");
            let (status, body) = master.get(&path).await;
            assert_eq!(status, 200, "{body}");
            let list = decode(body.as_bytes()).unwrap();
            list.as_items().unwrap().iter().map(|pair| pair.to_python_text().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(pairs("slappart0").await, Vec::<String>::new(), "it is free");
        master.request(None, "root", &[]).await.unwrap();
        master.request(None, "other", &[]).await.unwrap();
        master.request(Some("slappart0"), "child", &[]).await.unwrap();
        let of_tree = ["('slappart0', '10.0.0.0')", "('slappart2', '10.0.0.2')"];
        assert_eq!(pairs("slappart0").await, of_tree);
        assert_eq!(pairs("slappart2").await, of_tree, "a child is told the same");
        assert_eq!(pairs("slappart1").await, ["('slappart1', '10.0.0.1')"]);
        master.request(Some("slappart0"), "child", &[DESTROYED]).await.unwrap();
        assert_eq!(pairs("slappart0").await, of_tree[..1]);
        assert_eq!(pairs("slappart2").await, Vec::<String>::new(), "it is to be destroyed");
        let unknown = "getHostingSubscriptionIpList?computer_id=COMP-1&computer_partition_id=slappart9";
        assert_eq!(master.get(unknown).await.0, 404);
    });
}

#[test]
fn a_search_leads_on_behind_a_reverse_proxy() {
    asked(async |master| {
        master.request(None, "a", &[]).await.unwrap();
        let ask = async |prefix: &str, query: &str| {
            let request = Request {
                method: "GET".to_owned(),
                path: "/hateoas/".to_owned(),
                query: query.to_owned(),
                headers: vec![("x-forwarded-prefix".to_owned(), prefix.to_owned())],
                ..Request::default()
            };
            master.0.clone().handle(request).await
        };
        let search = "mode=search&query=portal_type%3A%22Instance+Tree%22+AND+validation_state%3Avalidated";
        for (prefix, expected) in [
            ("", "/hateoas/partitions/a"),
            ("/slap", "/slap/hateoas/partitions/a"),
            ("/hateoas", "/hateoas/hateoas/partitions/a"),
        ] {
            let found = ask(prefix, search).await;
            let rows = parse_rows(&serde_json::from_slice(&found.body).unwrap()).unwrap();
            assert_eq!(rows[0].relative_url, expected);
            // Both what the search says and what it says to those who ask directly.
            for target in [expected, "/hateoas/partitions/a"] {
                let led = ask(prefix, &format!("mode=traverse&relative_url={target}")).await;
                assert_eq!(led.status, 302);
                assert!(
                    led.headers.contains(&("location".to_owned(), expected.to_owned())),
                    "{prefix} {target}"
                );
            }
        }
        assert_eq!(ask("/slap", "mode=traverse&relative_url=/slap/elsewhere").await.status, 400);
    });
}

#[test]
fn what_the_journal_holds_can_be_read_again() {
    asked(async |master| {
        master.request(None, "host", &[]).await.unwrap();
        master.request(Some("slappart0"), "guest", &[SHARED]).await.unwrap();
        let entries = master.0.read(|connection| store::journal_after(connection, 0, 10)).unwrap();
        let commands: Vec<Command> =
            entries.iter().map(|entry| serde_json::from_str(&entry.command).unwrap()).collect();
        let slappart0: PartitionId = "slappart0".parse().unwrap();
        let by = |command: &Command| match command {
            Command::Request { requester, shared, .. } => {
                Some((requester.as_ref().map(|by| by.partition.clone()), *shared))
            }
            _ => None,
        };
        let by: Vec<_> = commands.iter().filter_map(by).collect();
        assert_eq!(by, [(None, false), (Some(slappart0), true)]);
        let answers: Vec<serde_json::Value> =
            entries.iter().map(|entry| serde_json::from_str(&entry.answer).unwrap()).collect();
        assert_eq!(answers[0], serde_json::json!({ "text": "done" }));
        for answer in &answers[1..] {
            assert_eq!((&answer["computer"], &answer["partition"]), (&"COMP-1".into(), &"slappart0".into()));
        }
        // As an older version wrote it, without who asked.
        let older = entries[1].command.replace(",\"requester\":null,\"shared\":false", "");
        assert_ne!(older, entries[1].command);
        assert_eq!(serde_json::from_str::<Command>(&older).unwrap(), commands[1]);
    });
}
