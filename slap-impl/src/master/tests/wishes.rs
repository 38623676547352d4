//! Requests that no partition of this master serves.

use super::{
    trees::{Asked, SHARED, asked},
    *,
};
use crate::wire::{
    http::server::{self, Handler},
    marshal::{Value, encode},
};
use serde_json::{Value as Json, json};

async fn call(master: &Rc<Master>, method: &str, document: &Json) -> (u16, Json) {
    let request = server::Request {
        method: "POST".to_owned(),
        path: format!("/slapos.{method}"),
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: document.to_string().into(),
        ..server::Request::default()
    };
    let response = master.clone().handle(request).await;
    (response.status, serde_json::from_slice(&response.body).unwrap())
}

fn dictionary(pairs: &[(&str, &str)]) -> String {
    encode(&Value::dictionary(pairs.iter().map(|(key, value)| ((*key).to_owned(), Value::text(*value)))))
}

fn journalled(asked: &Asked) -> usize {
    asked.0.read(|connection| store::journal_after(connection, 0, 100)).unwrap().len()
}

const FRONTEND: &str =
    "http://git.erp5.org/gitweb/slapos.git/blob_plain/HEAD:/software/apache-frontend/software.cfg";

#[test]
fn a_historical_frontend_is_stood_in_for() {
    asked(async |master| {
        let before = journalled(&master);
        let parameters = dictionary(&[("url", "http://[::1]:80/a?b")]);
        let fields = [
            ("partition_reference", "f"),
            ("software_release", FRONTEND),
            ("software_type", "RootSoftwareInstance"),
            ("partition_parameter_xml", parameters.as_str()),
            // Who asks is not looked at: nothing is kept.
            ("computer_id", "COMP-1"),
            ("computer_partition_id", "slappart9"),
            SHARED,
        ];
        let (status, body) = master.post("requestComputerPartition", &fields).await;
        assert!(status == 200 && body.contains("Fake frontend for http://[::1]:80/a?b"), "{status} {body}");
        let wish = json!({
            "title": "f",
            "software_release_uri": FRONTEND,
            "software_type": "default",
            "shared": true,
            "parameters": { "url": "http://a/b" },
        });
        let (status, told) = call(&master.0, "post.v0.software_instance", &wish).await;
        let expected = json!({
            "title": "f",
            "instance_guid": "f______1",
            "software_release_uri": FRONTEND,
            "software_type": "default",
            "state": "started",
            "connection_parameters": { "secure_access": "http://a/b", "domain": "a" },
            "parameters": { "url": "http://a/b" },
            "shared": true,
            "root_instance_title": "f",
            "ip_list": [],
            "full_ip_list": [],
            "sla_parameters": {},
            "computer_guid": "",
            "compute_partition_id": "Fake frontend for http://a/b",
            "processing_timestamp": 0,
            "access_status_message": "",
        });
        assert_eq!((status, told), (200, expected));
        assert_eq!(journalled(&master), before);
        // Without shared it is a release like any other.
        let mut wish = wish;
        wish["shared"] = json!(false);
        let (_, told) = call(&master.0, "post.v0.software_instance", &wish).await;
        assert_eq!(told["compute_partition_id"], "slappart0");
    });
}

/// A master of the others' kind, as `[multimaster/URL]` names it.
fn other(url: &str, requester: Option<&str>, releases: &[&str]) -> OtherMaster {
    OtherMaster {
        name: url.to_owned(),
        url: url.parse().map_err(|error: client::UrlError| error.to_string()),
        requester: requester.map(|partition| decisions::Requester {
            computer: "EXT".parse().unwrap(),
            partition: partition.parse().unwrap(),
        }),
        releases: releases.iter().map(|release| (*release).to_owned()).collect(),
    }
}

/// Asks for an instance of `release`, whatever else the fields say.
async fn ask(service: &Service, title: &str, release: &str, more: &[(&str, &str)]) -> (u16, String) {
    let mut fields =
        vec![("partition_reference", title), ("software_release", release), ("software_type", "")];
    fields.extend(more);
    service.post("requestComputerPartition", &fields).await
}

fn titles(service: &Service) -> Vec<String> {
    let instances = service.master.upgrade().unwrap().read(store::instances).unwrap();
    instances.iter().map(|instance| instance.title.to_string()).collect()
}

async fn format(service: &Service, computer: &str, partitions: &[&str]) {
    let list = partitions.iter().map(|name| json!({ "partition_id": name, "ip_list": [] }));
    let document = json!({ "computer_guid": computer, "compute_partition_list": list.collect::<Vec<_>>() });
    let master = service.master.upgrade().unwrap();
    assert_eq!(call(&master, "put.v0.compute_node_format", &document).await.0, 200);
}

/// A master, `near`, that passes `/far.cfg` on to `far` as a user, and `/tree.cfg` from far's slappart0.
async fn two_masters(env: &Env, database: PathBuf, more: Vec<OtherMaster>) -> (Service, Service) {
    let far = Service::start(env, database.with_extension("far")).await;
    format(&far, "EXT", &["slappart0", "slappart1", "slappart2", "slappart3"]).await;
    assert_eq!(ask(&far, "root", "/root.cfg", &[]).await.0, 200);
    let mut others = more;
    // With and without a slash at its end it is two sections.
    others.push(other(far.url.trim_end_matches('/'), None, &["/far.cfg"]));
    others.push(other(&far.url, Some("slappart0"), &["/tree.cfg"]));
    let near = Service::start_with(
        env,
        Configuration {
            others,
            log_file: Some(database.with_extension("near.log")),
            database,
            ..Configuration::default()
        },
    )
    .await;
    format(&near, "COMP-1", &["slappart0", "slappart1"]).await;
    (near, far)
}

fn remembered(service: &Service) -> u32 {
    service.master.upgrade().unwrap().read(store::count_forwarded).unwrap()
}

const DESTROYED: (&str, &str) = ("state", "<marshal><string>destroyed</string></marshal>");

#[test]
fn a_request_is_passed_on_to_another_master() {
    in_place(async |env, database| {
        let (near, far) = two_masters(&env, database, Vec::new()).await;
        let parameters = dictionary(&[("k", "v"), ("empty", "")]);
        let parameters = ("partition_parameter_xml", parameters.as_str());
        for _ in 0..2 {
            let (status, body) = ask(&near, "x", "/far.cfg", &[parameters]).await;
            assert_eq!(status, 200, "{body}");
            for expected in ["\"ComputerPartition\"", "EXT", "slappart1", "_master_url", "<string>v</string>"]
            {
                assert!(body.contains(expected), "{expected}: {body}");
            }
        }
        assert_eq!(titles(&near), Vec::<String>::new(), "nothing is allocated here");
        assert_eq!((titles(&far), remembered(&near)), (vec!["root".into(), "user_x".into()], 1));
        let far_master = far.master.upgrade().unwrap();
        let kept = &far_master.read(store::instances).unwrap()[1];
        assert_eq!(render::parameters(&kept.parameters).unwrap()["k"].as_deref(), Some("v"));

        // Over JSON-RPC it is the same instance.
        let wish = json!({ "title": "x", "software_release_uri": "/far.cfg", "software_type": "" });
        let (status, told) = call(&near.master.upgrade().unwrap(), "post.v0.software_instance", &wish).await;
        assert_eq!(
            (status, &told["computer_guid"], &told["compute_partition_id"]),
            (200, &"EXT".into(), &"slappart1".into())
        );
        assert_eq!(titles(&far).len(), 2);

        // From a partition there, it belongs to the tree there.
        assert_eq!(ask(&near, "y", "/tree.cfg", &[]).await.0, 200);
        let root = |service: &Service, title: &str| {
            let instances = service.master.upgrade().unwrap().read(store::instances).unwrap();
            instances.into_iter().find(|instance| instance.title.as_str() == title).unwrap().root
        };
        assert!(root(&far, "user_y").is_some() && root(&far, "user_x").is_none());

        assert_eq!(ask(&near, "x", "/far.cfg", &[DESTROYED]).await.0, 200);
        assert_eq!(remembered(&near), 1);
        let states = far_master.read(store::instances).unwrap();
        assert_eq!(
            states.iter().find(|it| it.title.as_str() == "user_x").unwrap().state.as_str(),
            "destroyed"
        );
        drop(far_master);
        let (status, body) = ask(&near, "nobody", "/far.cfg", &[DESTROYED]).await;
        assert!(status == 404 && body.contains("nobody"), "{status} {body}");
        let journal = near.master.upgrade().unwrap().read(|it| store::journal_after(it, 0, 100)).unwrap();
        let commands: Vec<Command> =
            journal.iter().map(|entry| serde_json::from_str(&entry.command).unwrap()).collect();
        assert!(matches!(&commands[1], Command::Forwarded { gone: false, .. }), "{commands:?}");
        far.stop().await;
        near.stop().await;
    });
}

/// What slapproxy 1.24.1 wrote where another one, at that URL, stood in for a frontend of `http://x/`.
fn passed_on(master_url: &str) -> String {
    let text = |text: &str| format!("<string>{text}</string>");
    let pairs = |pairs: &[(&str, &str)]| -> String {
        pairs.iter().map(|(key, value)| text(key) + &text(value)).collect()
    };
    let name = "Fake frontend for http://x/";
    format!(
        "<marshal><object id=\"i2\" module=\"slapos.slap.slap\" class=\"ComputerPartition\"><tuple><string></string>{}\
            <none/></tuple><dictionary id=\"i3\">{}{}<dictionary id=\"i4\">{}</dictionary>{}<none/>{}<none/>{}{}\
            <dictionary id=\"i5\"/>{}{}<none/>{}{}<bool>1</bool>{}</dictionary></object></marshal>",
        text(name),
        pairs(&[("_computer_id", "")]),
        text("_connection_dict"),
        pairs(&[("domain", "x"), ("secure_access", "http://x/")]),
        text("_connection_helper"),
        text("_hateoas_navigator"),
        pairs(&[("_master_url", master_url)]),
        text("_parameter_dict"),
        pairs(&[("_partition_id", name)]),
        text("_request_dict"),
        pairs(&[("_software_release_document", FRONTEND)]),
        text("_synced"),
        pairs(&[("slap_computer_id", ""), ("slap_computer_partition_id", "")]),
    )
}

#[test]
fn a_stand_in_of_another_master_is_passed_on_and_not_remembered() {
    in_place(async |env, database| {
        let (near, far) = two_masters(&env, database, Vec::new()).await;
        for (computer, title) in [("COMP-1", "one"), ("COMP-2", "two")] {
            format(&near, computer, &["slappart0"]).await;
            assert_eq!(ask(&near, title, "/r", &[]).await.0, 200);
        }
        let url = far.url.trim_end_matches('/');
        let filter = dictionary(&[("master_url", url)]);
        let parameters = dictionary(&[("url", "http://x/")]);
        let [filter, parameters] =
            [("filter_xml", filter.as_str()), ("partition_parameter_xml", parameters.as_str())];
        let by = |computer| [("computer_id", computer), ("computer_partition_id", "slappart0")];
        let [one, two] = [by("COMP-1"), by("COMP-2")];
        let journalled = |service: &Service| {
            service.master.upgrade().unwrap().read(|it| store::journal_after(it, 0, 100)).unwrap().len()
        };
        let before = (journalled(&near), journalled(&far));
        // Nothing is there that would be one's and not the other's.
        for fields in [&[] as &[_], &one, &two, &[DESTROYED]] {
            let all = [&[filter, parameters, SHARED], fields].concat();
            let answer = ask(&near, "f", FRONTEND, &all).await;
            assert_eq!(answer, (200, passed_on(url)), "{fields:?}");
        }
        let wish = json!({
            "title": "f",
            "software_release_uri": FRONTEND,
            "software_type": "default",
            "shared": true,
            "parameters": { "url": "http://x/" },
            "sla_parameters": { "master_url": url },
        });
        let (status, told) = call(&near.master.upgrade().unwrap(), "post.v0.software_instance", &wish).await;
        assert_eq!((status, &told["software_release_uri"]), (200, &FRONTEND.into()));
        assert_eq!(told["compute_partition_id"], "Fake frontend for http://x/");
        assert_eq!(told["connection_parameters"], json!({ "domain": "x", "secure_access": "http://x/" }));
        assert_eq!(remembered(&near), 0);
        assert_eq!((journalled(&near), journalled(&far)), before);

        // An instance of that title that is there stays remembered, whatever stands in.
        assert_eq!(ask(&near, "f", FRONTEND, &[filter]).await.0, 200);
        assert_eq!(remembered(&near), 1);
        let all = [filter, parameters, SHARED, DESTROYED];
        assert_eq!(ask(&near, "f", FRONTEND, &all).await, (200, passed_on(url)));
        assert_eq!(remembered(&near), 1);
        far.stop().await;
        near.stop().await;
    });
}

#[test]
fn the_filter_names_a_master() {
    in_place(async |env, database| {
        let secure = other("https://far.example/", None, &["/secure.cfg"]);
        let (near, far) = two_masters(&env, database, vec![secure]).await;
        let named = |url: &str| dictionary(&[("master_url", url)]);
        let (there, here) = (named(far.url.trim_end_matches('/')), named(&near.url));
        let bad = named(&format!("{}bad", far.url));
        let (status, body) = ask(&near, "a", "/any.cfg", &[("filter_xml", &bad)]).await;
        assert!(status == 404 && body.contains("not listed") && body.contains(&far.url), "{status} {body}");
        let (status, body) = ask(&near, "a", "/secure.cfg", &[]).await;
        assert!(status == 501 && body.contains("scheme https"), "{status} {body}");
        assert_eq!((titles(&near).len(), remembered(&near)), (0, 0));

        assert_eq!(ask(&near, "a", "/any.cfg", &[("filter_xml", &there)]).await.0, 200);
        assert_eq!((titles(&near).len(), titles(&far).len()), (0, 2));
        // It was not asked for here, so without the filter it is another one; which then stays, whatever the filter says.
        assert_eq!(ask(&near, "a", "/any.cfg", &[]).await.0, 200);
        assert_eq!(ask(&near, "a", "/far.cfg", &[("filter_xml", &there)]).await.0, 200);
        assert_eq!((titles(&near), titles(&far).len()), (vec!["a".to_owned()], 2));
        assert_eq!(ask(&near, "own", "/any.cfg", &[("filter_xml", &here)]).await.0, 200);
        assert_eq!(titles(&near), ["a", "own"]);
        far.stop().await;
        near.stop().await;
    });
}

#[test]
fn partitions_of_one_name_are_told_apart() {
    in_place(async |env, database| {
        let (near, far) = two_masters(&env, database, Vec::new()).await;
        assert_eq!(ask(&near, "one", "/r", &[]).await.0, 200);
        assert_eq!(ask(&near, "two", "/r", &[]).await.0, 200);
        format(&near, "COMP-2", &["slappart0"]).await;
        assert_eq!(ask(&near, "three", "/r", &[]).await.0, 200);
        let by = |computer, partition| [("computer_id", computer), ("computer_partition_id", partition)];
        let (status, body) = ask(&near, "e", "/far.cfg", &by("COMP-1", "slappart9")).await;
        assert!(status == 404 && body.contains("slappart9"), "nobody asks: {status} {body}");
        for (computer, partition, expected) in [
            ("COMP-1", "slappart0", 200),
            ("COMP-1", "slappart1", 200),
            ("COMP-2", "slappart0", 409),
            ("COMP-1", "slappart0", 200),
        ] {
            let (status, body) = ask(&near, "e", "/far.cfg", &by(computer, partition)).await;
            assert_eq!(status, expected, "{computer} {partition}: {body}");
        }
        assert_eq!(titles(&far), ["root", "slappart0_e", "slappart1_e"]);
        // In a stopped tree nothing is started, there neither.
        let stopped = ("state", "<marshal><string>stopped</string></marshal>");
        assert_eq!(ask(&near, "one", "/r", &[stopped]).await.0, 200);
        assert_eq!(ask(&near, "e", "/far.cfg", &by("COMP-1", "slappart0")).await.0, 200);
        let instances = far.master.upgrade().unwrap().read(store::instances).unwrap();
        assert_eq!(instances[1].state.as_str(), "stopped");
        far.stop().await;
        near.stop().await;
    });
}

#[test]
fn another_master_that_does_not_answer_harms_nobody_else() {
    in_place(async |env, database| {
        let listen = || env.network().listen(&Address::Tcp("127.0.0.1:0".parse().unwrap())).unwrap();
        let url_of = |listener: &crate::env::BoxListener| format!("http://{}", listener.address());
        let (mut silent, gone) = (listen(), listen());
        let (silent_url, gone_url) = (url_of(&silent), url_of(&gone));
        drop(gone);
        let more = vec![other(&silent_url, None, &["/silent.cfg"]), other(&gone_url, None, &["/gone.cfg"])];
        let (near, far) = two_masters(&env, database, more).await;
        let request = Request::post_form(
            near.url("requestComputerPartition"),
            [("partition_reference", "g"), ("software_release", "/gone.cfg"), ("software_type", "")],
        );
        let (status, response) = near.send(request).await;
        assert_eq!((status, response.header("retry-after")), (503, Some("1")));
        let body = String::from_utf8(response.body).unwrap();
        assert!(body.contains(&gone_url) && body.contains("does not answer"), "{body}");

        let waits = async {
            ask(&near, "s", "/silent.cfg", &[]).await;
        };
        let others = async {
            // The other has been asked and says nothing.
            let _asked = silent.accept().await.unwrap();
            assert_eq!(ask(&near, "a", "/any.cfg", &[]).await.0, 200);
            assert_eq!(ask(&near, "x", "/far.cfg", &[]).await.0, 200);
            assert_eq!(near.read("COMP-1", None, None).await.0, 200);
        };
        assert!(matches!(race(waits, others).await, Either::Second(())));
        assert_eq!((titles(&near).len(), remembered(&near)), (1, 1));
        far.stop().await;
        near.stop().await;
    });
}

/// Answers all with that many bytes.
struct Talks(usize);

impl Handler for Talks {
    fn handle(self: Rc<Self>, _: server::Request) -> LocalFuture<'static, server::Response> {
        Box::pin(async move { server::Response::text(200, " ".repeat(self.0)) })
    }
}

#[test]
fn what_another_master_says_is_bounded() {
    in_place(async |env, database| {
        let mut others = Vec::new();
        for (bytes, release) in [(1 << 20, "/nonsense.cfg"), ((4 << 20) + 1, "/endless.cfg")] {
            let listener = env.network().listen(&Address::Tcp("127.0.0.1:0".parse().unwrap())).unwrap();
            others.push(other(&format!("http://{}", listener.address()), None, &[release]));
            let (talks, never) = (Rc::new(Talks(bytes)), std::future::pending());
            let limits = Limits { connections_max: 1, ..Limits::default() };
            let task_env = env.clone();
            env.spawn(async move { server::serve_until(&task_env, listener, limits, talks, never).await });
        }
        let (near, far) = two_masters(&env, database, others).await;
        for (release, expected) in
            [("/nonsense.cfg", "bad marshal document"), ("/endless.cfg", "longer than the 4194304 bytes")]
        {
            let (status, body) = ask(&near, "a", release, &[]).await;
            assert!(status == 502 && body.contains(expected), "{status} {body}");
        }
        assert_eq!((titles(&near).len(), remembered(&near)), (0, 0));
        far.stop().await;
        near.stop().await;
    });
}

#[test]
fn a_circle_of_masters_is_noticed() {
    in_place(async |env, database| {
        let listener = env.network().listen(&Address::Tcp("127.0.0.1:0".parse().unwrap())).unwrap();
        let port = listener.address().to_string().replace("127.0.0.1:", "");
        // The master under a name that it does not know as its own.
        let others = vec![other(&format!("http://localhost:{port}/"), None, &["/circle.cfg"])];
        let master = Master::open(
            &env,
            Configuration {
                log_file: Some(database.with_extension("log")),
                database,
                others,
                ..Configuration::default()
            },
        )
        .await
        .unwrap();
        let fields =
            [("partition_reference", "c"), ("software_release", "/circle.cfg"), ("software_type", "")];
        let url = format!("http://127.0.0.1:{port}/requestComputerPartition").parse().unwrap();
        let answer = client::send(&env, Request::post_form(url, fields));
        let serve = master.run(listener, Limits::default(), std::future::pending());
        let Either::First(answer) = race(answer, serve).await else { panic!("the master ended") };
        let answer = answer.unwrap();
        let body = String::from_utf8(answer.body).unwrap();
        assert!(answer.status == 508 && body.contains("circle"), "{} {body}", answer.status);
    });
}
