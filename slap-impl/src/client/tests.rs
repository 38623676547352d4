//! Against a server on loopback that answers what each test says.

use super::*;
use crate::{
    env::{Address, LocalFuture, real},
    wire::{
        hateoas::{self, Query, Row, Service},
        http::server::{Handler, Limits, Request as Asked, Response as Answer, serve},
        marshal::{Value, encode},
        objects::Computer,
    },
};
use std::future::Future;

type Answerer = Box<dyn Fn(&Asked) -> Answer>;

struct Script(Answerer);

impl Handler for Script {
    fn handle(self: Rc<Self>, request: Asked) -> LocalFuture<'static, Answer> {
        let answer = (self.0)(&request);
        Box::pin(async move { answer })
    }
}

/// Runs `test` with a client of a master that answers so.
fn with<T, R: Future<Output = T>>(
    answer: impl Fn(&Asked) -> Answer + 'static,
    test: impl FnOnce(SlapClient) -> R,
) -> T {
    real::block_on_env(real::env(), |env| async move {
        let any = Address::Tcp(([127, 0, 0, 1], 0).into());
        let listener = env.network().listen(&any).unwrap();
        let url = format!("http://{}/prefix", listener.address());
        let server = env.clone();
        env.spawn(async move {
            serve(&server, listener, Limits::default(), Rc::new(Script(Box::new(answer)))).await;
        });
        test(SlapClient::new(env, &url).unwrap()).await
    })
}

fn form(request: &Asked) -> Vec<(String, String)> {
    form_urlencoded::parse(&request.body).into_owned().collect()
}

fn empty_computer() -> String {
    let computer_id = "COMP-1".parse().unwrap();
    encode(&Computer { computer_id, software_releases: vec![], partitions: vec![] }.to_value())
}

#[test]
fn a_conditional_question() {
    let answer = |request: &Asked| {
        assert_eq!(
            (request.path.as_str(), request.query.as_str()),
            ("/prefix/getFullComputerInformation", "computer_id=COMP-1")
        );
        let answer = match request.header("if-none-match") {
            Some("\"7\"") => Answer::text(304, ""),
            _ => Answer::text(200, empty_computer()).header("etag", "\"7\""),
        };
        match request.header("prefer") {
            Some("wait=9") => answer.header("preference-applied", "wait=9"),
            _ => answer,
        }
    };
    with(answer, |client| async move {
        let computer = "COMP-1".parse().unwrap();
        let first = client.full_computer_information(&computer, None, None).await.unwrap();
        let Poll::Changed { etag, waits, .. } = first else { panic!("{first:?}") };
        assert_eq!((etag.as_deref(), waits), (Some("\"7\""), false));
        let wait = Some(Duration::from_secs(9));
        let second = client.full_computer_information(&computer, etag.as_deref(), wait).await.unwrap();
        assert_eq!(second, Poll::Unchanged { waits: true });
    });
}

#[test]
fn events_say_whether_the_master_waits() {
    let answer = |request: &Asked| {
        let document = r#"{"database": "a", "oldest": 0, "newest": 0, "events": []}"#;
        match request.header("prefer") {
            Some("wait=9") => Answer::text(200, document).header("preference-applied", "foo, wait=9"),
            _ => Answer::text(200, document),
        }
    };
    with(answer, |client| async move {
        for (wait, expected) in [(None, false), (Some(8), false), (Some(9), true)] {
            let events = client.events(0, wait.map(Duration::from_secs)).await.unwrap();
            assert_eq!(events.waits, expected, "{wait:?}");
        }
    });
}

#[test]
fn a_master_that_tells_of_another_computer() {
    with(
        |_| Answer::text(200, empty_computer()),
        |client| async move {
            let error =
                client.full_computer_information(&"COMP-2".parse().unwrap(), None, None).await.unwrap_err();
            assert!(
                matches!(&error, ClientError::Protocol(message) if message.contains("COMP-1")),
                "{error}"
            );
        },
    );
}

#[test]
fn refusals_by_their_status() {
    for (status, expected) in [
        (404, ClientError::NotFound("why".to_owned())),
        (408, ClientError::NotReady("why".to_owned())),
        (500, ClientError::Refused { status: 500, message: "why".to_owned() }),
    ] {
        with(
            move |_| Answer::text(status, "why\n"),
            |client| async move { assert_eq!(client.run_id().await.unwrap_err(), expected) },
        );
    }
}

#[test]
fn nobody_there_is_offline() {
    real::block_on_env(real::env(), |env| async move {
        let listener = env.network().listen(&Address::Tcp(([127, 0, 0, 1], 0).into())).unwrap();
        let url = format!("http://{}/", listener.address());
        drop(listener);
        let error = SlapClient::new(env, &url).unwrap().run_id().await.unwrap_err();
        assert!(error.is_offline(), "{error}");
    });
    assert!(matches!(SlapClient::new(real::env(), "https://a/"), Err(ClientError::Protocol(_))));
}

#[test]
fn a_request_as_slapos_writes_it() {
    let answer = |request: &Asked| {
        let expected = [
            ("software_release", "http://a/software.cfg"),
            ("software_type", "default"),
            ("partition_reference", "é"),
            (
                "partition_parameter_xml",
                "<marshal><dictionary id=\"i2\"><string>a</string><string>&amp;lt;</string></dictionary></marshal>",
            ),
            ("filter_xml", "<marshal><dictionary id=\"i2\"/></marshal>"),
            ("state", "<marshal><none/></marshal>"),
            ("shared_xml", "<marshal><bool>0</bool></marshal>"),
        ];
        assert_eq!(form(request), expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
        Answer::text(200, include_str!("../wire/objects/software-instance.xml"))
    };
    with(answer, |client| async move {
        let wish = InstanceRequest {
            software_release: "http://a/software.cfg".parse().unwrap(),
            software_type: "default".to_owned(),
            title: "é".parse().unwrap(),
            parameters: [("a".to_owned(), "<".to_owned())].into(),
            filter: [].into(),
            state: None,
            shared: false,
        };
        assert_eq!(client.request(&wish).await.unwrap().partition_id, "slappart0");
    });
}

#[test]
fn a_partition_that_the_master_keeps() {
    for (text, done) in [("OK", true), ("", true), ("Not destroying yet because ...", false)] {
        with(
            move |_| Answer::text(200, text),
            |client| async move {
                let (computer, partition) = ("COMP-1".parse().unwrap(), "slappart0".parse().unwrap());
                assert_eq!(client.destroyed_partition(&computer, &partition).await.is_ok(), done, "{text}");
            },
        );
    }
}

#[test]
fn searches_follow_the_masters_links() {
    let answer = |request: &Asked| {
        let arguments: std::collections::BTreeMap<String, String> =
            form_urlencoded::parse(request.query.as_bytes()).into_owned().collect();
        let host = request.header("host").unwrap();
        let base = format!("http://{host}/prefix");
        let json = |document: serde_json::Value| Answer::new(200, "application/json", document.to_string());
        match (request.path.as_str(), arguments.get("mode").map(String::as_str)) {
            ("/prefix/getHateoasUrl", _) => Answer::text(404, "no"),
            ("/prefix/hateoas/", None) => json(hateoas::root_document(&base)),
            ("/prefix/hateoas/", Some("search")) => {
                let row = Row {
                    title: "a \"b\"".to_owned(),
                    relative_url: "/hateoas/partitions/x".to_owned(),
                    ..Row::default()
                };
                match Query::parse(&arguments["query"]) {
                    Some(Query::Services(None)) => json(hateoas::search_document(&[row])),
                    _ => json(hateoas::search_document(&[])),
                }
            }
            ("/prefix/hateoas/", Some("traverse")) => {
                Answer::text(302, "").header("location", arguments["relative_url"].clone())
            }
            ("/hateoas/partitions/x", _) => json(hateoas::service_document(&Service::default())),
            other => panic!("{other:?}"),
        }
    };
    with(answer, |client| async move {
        assert_eq!(client.services().await.unwrap().len(), 1);
        assert_eq!(client.service_information("a \"b\"").await.unwrap(), Service::default());
        assert!(matches!(client.service_information("other").await, Err(ClientError::NotFound(_))));
        assert!(matches!(client.computer_information("COMP-1").await, Err(ClientError::NotFound(_))));
    });
}

#[test]
fn what_a_status_may_be() {
    with(
        |_| Answer::text(200, encode(&Value::text("Not implemented."))),
        |client| async move {
            let status = client.computer_status(&"COMP-1".parse().unwrap()).await.unwrap();
            assert!(status.no_data);
        },
    );
}

#[test]
fn redirects_are_bounded() {
    let location = |to: &'static str| move |_: &Asked| Answer::text(302, "").header("location", to);
    let ask = |answer: Box<dyn Fn(&Asked) -> Answer>, post: bool| {
        with(answer, |client| async move {
            let mut request = client.get_request("a", &[]).unwrap();
            if post {
                request.method = "POST";
            }
            http::send(&client.env, request).await
        })
    };
    let error = ask(Box::new(location("https://a/")), false).unwrap_err();
    assert!(matches!(&error, HttpError::UnsupportedScheme { scheme, .. } if scheme == "https"), "{error}");
    let error = ask(Box::new(location("/again")), false).unwrap_err();
    assert!(
        matches!(&error, HttpError::Protocol { reason, .. } if reason == "more than 5 redirects"),
        "{error}"
    );
    assert_eq!(ask(Box::new(location("/again")), true).unwrap().status, 302);
}

#[test]
fn an_answer_that_does_not_come_is_offline() {
    real::block_on_env(real::env(), |env| async move {
        let mut listener = env.network().listen(&Address::Tcp(([127, 0, 0, 1], 0).into())).unwrap();
        let url = format!("http://{}/", listener.address());
        let client = SlapClient::new(env.clone(), &url).unwrap().with_deadline(Duration::from_millis(20));
        let silent = async move {
            let _connection = listener.accept().await;
            std::future::pending::<()>().await;
        };
        match crate::env::race(client.run_id(), silent).await {
            crate::env::Either::First(result) => assert!(result.unwrap_err().is_offline()),
            crate::env::Either::Second(()) => unreachable!("it never ends"),
        }
    });
}
