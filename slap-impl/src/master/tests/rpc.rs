//! The JSON-RPC methods as a client sees them, in this process, without a socket.

use super::*;
use crate::wire::http::server::{Handler, Request};
use serde_json::{Value as Json, json};

async fn send(master: &Rc<Master>, request: Request) -> (u16, Json) {
    let response = master.clone().handle(request).await;
    let media_type = response.headers.iter().find(|(name, _)| name == "content-type");
    assert_eq!(media_type.map(|(_, value)| value.as_str()), Some("application/json"));
    (response.status, serde_json::from_slice(&response.body).unwrap())
}

fn request(method: &str, body: &str) -> Request {
    Request {
        method: "POST".to_owned(),
        path: format!("/slapos.{method}"),
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: body.to_owned().into(),
        ..Request::default()
    }
}

async fn call(master: &Rc<Master>, method: &str, document: &Json) -> (u16, Json) {
    send(master, request(method, &document.to_string())).await
}

fn with_master(test: impl AsyncFnOnce(Rc<Master>)) {
    in_place(async |env, database| {
        let configuration = Configuration {
            log_file: Some(database.with_extension("log")),
            database,
            ..Configuration::default()
        };
        test(Master::open(&env, configuration).await.unwrap()).await;
    });
}

/// What stands in `expected` stands in `found`, too.
#[track_caller]
fn check(what: &str, found: &Json, expected: &Json) {
    match (found, expected) {
        (Json::Object(found), Json::Object(expected)) => {
            for (name, expected) in expected {
                check(&format!("{what} {name}"), found.get(name).unwrap_or(&Json::Null), expected);
            }
        }
        _ => assert_eq!(found, expected, "{what}"),
    }
}

#[test]
fn a_cloud_lives_by_json_rpc_alone() {
    with_master(async |master| {
        let partition = |name: &str, address: &str| {
            let ip = json!({ "ip-address": address, "netmask": "255.0.0.0", "network-interface": "tap0" });
            json!({ "partition_id": name, "ip_list": [ip] })
        };
        let partitions = json!([partition("slappart0", "127.0.0.1"), partition("slappart1", "127.0.0.2")]);
        let done = |title: &str| json!({ "title": title, "type": "success" });
        let refused = |title: &str| json!({ "status": 403, "type": "Forbidden", "title": title });
        let of_release = json!({ "computer_guid": "COMP-1", "software_release_uri": "/r" });
        let and = |document: &Json, name: &str, value: Json| {
            let mut document = document.clone();
            document[name] = value;
            document
        };
        let root = json!({ "title": "root", "software_release_uri": "/r", "software_type": "default" });
        let shared =
            json!({ "title": "s", "software_release_uri": "/r", "software_type": "", "shared": true });
        let (guid, of_shared) =
            (json!({ "instance_guid": "root______0" }), json!({ "instance_guid": "s______1" }));
        let format = json!({ "computer_guid": "COMP-1", "compute_partition_list": partitions });
        let steps = [
            (
                "get.v0.instance_tree",
                json!({ "title": "root" }),
                403,
                refused("No instance tree root found."),
            ),
            (
                "allDocs.v0.compute_node_instance_list",
                json!({ "computer_guid": "COMP-1" }),
                403,
                refused("COMP-1 is not registered."),
            ),
            ("put.v0.compute_node_format", format, 200, done("Formatted")),
            (
                "allDocs.WIP.compute_node_list",
                json!({}),
                200,
                json!({ "result_list": [{ "computer_guid": "COMP-1" }] }),
            ),
            ("post.v0.software_installation", of_release.clone(), 200, done("Supplied /r to be available")),
            (
                "allDocs.v0.compute_node_software_installation_list",
                json!({ "computer_guid": "COMP-1" }),
                200,
                json!({ "result_list": [{ "software_release_uri": "/r", "state": "available" }] }),
            ),
            (
                "put.v0.software_installation_reported_state",
                and(&of_release, "reported_state", json!("available")),
                200,
                done("Ignored"),
            ),
            (
                "post.v0.software_instance",
                and(&root, "parameters", json!({ "n": 1, "t": true, "x": null })),
                200,
                json!({
                    "instance_guid": "root______0", "state": "started", "shared": false,
                    "parameters": { "n": "1", "t": "True", "x": "None" }, "connection_parameters": {},
                    "root_instance_title": "root", "ip_list": [["tap0", "127.0.0.1"]], "full_ip_list": [],
                    "sla_parameters": {}, "computer_guid": "COMP-1", "compute_partition_id": "slappart0",
                }),
            ),
            (
                "post.v0.software_instance",
                and(&root, "parameters", json!({ "n": [1] })),
                400,
                json!({ "status": 400, "type": "Bad Request" }),
            ),
            (
                "put.v0.software_instance_connection_parameter",
                and(&guid, "connection_parameter_dict", json!({ "url": "http://a/" })),
                200,
                done("Updated"),
            ),
            (
                "put.v0.software_instance_reported_state",
                and(&guid, "reported_state", json!("started")),
                200,
                done("Ignored"),
            ),
            (
                "get.v0.compute_partition",
                json!({ "computer_guid": "COMP-1", "compute_partition_id": "slappart0" }),
                200,
                json!({ "title": "root", "connection_parameters": { "url": "http://a/" },
                    "access_status_message": "#access Instance correctly started" }),
            ),
            (
                "get.v0.compute_partition",
                json!({ "computer_guid": "COMP-1", "compute_partition_id": "slappart1" }),
                403,
                refused("No instance on partition slappart1 found."),
            ),
            (
                "post.v0.software_instance",
                shared,
                200,
                json!({ "instance_guid": "s______1", "shared": true, "processing_timestamp": 0,
                    "compute_partition_id": "slappart0", "ip_list": [["tap0", "127.0.0.1"]] }),
            ),
            (
                "put.v0.software_instance_connection_parameter",
                and(&of_shared, "connection_parameter_dict", json!({ "domain": "a" })),
                200,
                done("Updated"),
            ),
            (
                "put.v0.software_instance_error",
                and(&of_shared, "message", json!("no room")),
                200,
                done("Ignored"),
            ),
            (
                "get.v0.software_instance",
                of_shared.clone(),
                200,
                json!({ "connection_parameters": { "domain": "a" }, "ip_list": [],
                    "access_status_message": "#error while instanciating: no room" }),
            ),
            (
                "put.v0.software_instance_title",
                and(&of_shared, "title", json!("renamed")),
                200,
                done("Renamed"),
            ),
            (
                "allDocs.v0.instance_node_instance_list",
                guid.clone(),
                200,
                json!({ "result_list": [{
                "title": "renamed", "instance_guid": "renamed______1", "software_type": "default",
                "state": "started", "parameters": {}, "compute_partition_id": "slappart0",
            }] }),
            ),
            (
                "allDocs.v0.instance_tree_list",
                json!({}),
                200,
                json!({ "result_list": [{ "title": "root" }, { "title": "renamed" }] }),
            ),
            (
                "put.v0.software_instance_bang",
                and(&guid, "message", json!("again")),
                200,
                done("Bang handled"),
            ),
            (
                "put.v0.compute_node_bang",
                json!({ "computer_guid": "COMP-1", "message": "" }),
                200,
                done("Ignored"),
            ),
            (
                "put.v0.software_instance_reported_state",
                and(&guid, "reported_state", json!("destroyed")),
                409,
                json!({ "status": 409, "type": "Conflict" }),
            ),
            (
                "post.v0.software_instance",
                and(&root, "state", json!("destroyed")),
                200,
                json!({ "state": "destroyed" }),
            ),
            (
                "put.v0.software_instance_reported_state",
                and(&guid, "reported_state", json!("destroyed")),
                200,
                done("Destroyed"),
            ),
            (
                "put.v0.software_instance_reported_state",
                and(&guid, "reported_state", json!("destroyed")),
                403,
                refused("No software instance root______0 found."),
            ),
            (
                "get.v0.software_instance",
                json!({ "instance_guid": "root" }),
                403,
                refused("instance_guid root not handled."),
            ),
            (
                "put.v0.software_instance_bang",
                json!({ "instance_guid": "renamed______1", "message": "" }),
                409,
                json!({ "type": "Conflict" }),
            ),
            (
                "post.v0.software_installation",
                and(&of_release, "state", json!("destroyed")),
                200,
                done("Supplied /r to be destroyed"),
            ),
            (
                "put.v0.software_installation_reported_state",
                and(&of_release, "reported_state", json!("destroyed")),
                200,
                done("Destroyed"),
            ),
            (
                "post.v0.compute_node_certificate",
                json!({ "computer_guid": "COMP-1" }),
                200,
                json!({ "certificate": "", "key": "" }),
            ),
            (
                "post.v0.compute_node_usage",
                json!({ "computer_guid": "COMP-1", "tioxml": "" }),
                200,
                done("Ignored"),
            ),
            (
                "get.v0.compute_node_status",
                json!({ "computer_guid": "COMP-1" }),
                200,
                json!({ "reference": "COMP-1" }),
            ),
        ];
        for (method, document, status, expected) in steps {
            let (found_status, found) = call(&master, method, &document).await;
            assert_eq!(found_status, status, "{method} {document}: {found}");
            check(method, &found, &expected);
        }
    });
}

#[test]
fn what_is_no_such_request_is_refused() {
    with_master(async |master| {
        let list = "allDocs.v0.instance_tree_list";
        let with = |name: &str, value: &str| {
            let mut request = request(list, "{}");
            request.headers.retain(|(header, _)| header != name);
            request.headers.push((name.to_owned(), value.to_owned()));
            request
        };
        let deep = "[".repeat(100_000);
        for (request, status) in [
            (request(list, "{}"), 200),
            (Request { method: "GET".to_owned(), ..request(list, "") }, 405),
            (request("get.v0.nothing", "{}"), 404),
            (with("accept", "text/html"), 406),
            (with("accept", "text/html, */*;q=0.1"), 200),
            (with("content-type", "text/xml"), 415),
            (with("content-type", "application/json; charset=utf-8"), 200),
            (request(list, ""), 400),
            (request(list, "{"), 400),
            (request(list, "\u{0}"), 400),
            (request(list, "[]"), 400),
            (request(list, "{\"a\": 1}"), 400),
            (request(list, &deep), 400),
        ] {
            let shown = format!("{} {:?} {:.40?}", request.method, request.headers, request.body);
            let (found, document) = send(&master, request).await;
            assert_eq!(found, status, "{shown}: {document}");
            if status != 200 {
                assert_eq!(document["status"], status, "{document}");
            }
        }
    });
}

/// The instance in a partition may be another one a moment later: a guid never means that one.
#[test]
fn a_guid_names_an_instance_and_not_its_place() {
    with_master(async |master| {
        let format = json!({ "computer_guid": "C", "compute_partition_list": [{ "partition_id": "p0" }] });
        assert_eq!(call(&master, "put.v0.compute_node_format", &format).await.0, 200);
        let wish = |title: &str, state: &str| json!({ "title": title, "state": state, "software_release_uri": "/r", "software_type": "" });
        let instance = "post.v0.software_instance";
        let report = |guid: &str, state: &str| json!({ "instance_guid": guid, "reported_state": state });
        let reported = "put.v0.software_instance_reported_state";
        assert_eq!(call(&master, instance, &wish("a", "started")).await.0, 200);
        assert_eq!(call(&master, instance, &wish("a", "destroyed")).await.0, 200);
        assert_eq!(call(&master, reported, &report("a______0", "destroyed")).await.0, 200);
        assert_eq!(call(&master, instance, &wish("b", "started")).await.1["compute_partition_id"], "p0");
        assert_eq!(call(&master, instance, &wish("b", "destroyed")).await.0, 200);
        assert_eq!(call(&master, reported, &report("a______0", "destroyed")).await.0, 403);
        assert_eq!(call(&master, reported, &report("b______0", "destroyed")).await.0, 200);
    });
}
