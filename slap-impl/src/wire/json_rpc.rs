//! The JSON-RPC wire (slapos/proxy/json_rpc.py serves it): each method is POST of a JSON object to `/METHOD`.
//!
//! * `json_rpc/schema.json`: our own description of the 25 methods: what each takes and answers
//! * [`check_request`], [`check_answer`]: documents against it; `schema` reads the part of JSON Schema that it is written in
//! * [`error_document`]: how a refusal is told

mod schema;

use serde_json::{Value as Json, json};
use std::sync::LazyLock;

static SCHEMA: LazyLock<Json> =
    LazyLock::new(|| serde_json::from_str(include_str!("json_rpc/schema.json")).expect("a test reads it"));

/// Whether there is a method of that name, such as `slapos.get.v0.instance_tree`.
pub fn is_method(name: &str) -> bool {
    SCHEMA["methods"].get(name).is_some()
}

/// The names of all methods.
pub fn methods() -> impl Iterator<Item = &'static str> {
    let methods: &'static Json = &SCHEMA["methods"];
    methods.as_object().into_iter().flatten().map(|(name, _)| name.as_str())
}

/// Whether a method takes that document.
///
/// # Errors
/// What is wrong with it, in the words of Python's jsonschema, which clients of slapproxy see.
pub fn check_request(method: &str, document: &Json) -> Result<(), String> {
    schema::check(&SCHEMA["methods"][method]["request"], &SCHEMA["definitions"], document)
}

/// Whether a method answers with such a document.
///
/// # Errors
/// What is wrong with it.
pub fn check_answer(method: &str, document: &Json) -> Result<(), String> {
    schema::check(&SCHEMA["methods"][method]["answer"], &SCHEMA["definitions"], document)
}

/// A refusal: the status, its phrase (RFC 9110, section 15), and what is wrong.
pub fn error_document(status: u16, title: &str) -> Json {
    let phrase = hyper::StatusCode::from_u16(status).ok().and_then(|code| code.canonical_reason());
    json!({ "status": status, "type": phrase.unwrap_or("Unknown Error"), "title": title })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_25_methods() {
        assert_eq!(methods().count(), 25);
        assert!(methods().all(is_method));
        assert!(!is_method("slapos.get.v0.nothing"));
    }

    #[test]
    fn requests_are_checked() {
        let check = |method: &str, document: Json, expected: Result<(), &str>| {
            let found = check_request(method, &document);
            assert_eq!(found.as_ref().map_err(String::as_str).copied(), expected, "{method} {document}");
        };
        let supply = "slapos.post.v0.software_installation";
        check(supply, json!({ "computer_guid": "C", "software_release_uri": "/s" }), Ok(()));
        check(supply, json!({ "computer_guid": "C" }), Err("'software_release_uri' is a required property"));
        check(
            supply,
            json!({ "computer_guid": "C", "software_release_uri": "/s", "state": "gone" }),
            Err("'gone' is not one of ['available', 'destroyed']"),
        );
        let request = "slapos.post.v0.software_instance";
        let with = |key: &str, value: Json| {
            let mut document = json!({ "title": "t", "software_release_uri": "/s", "software_type": "" });
            document[key] = value;
            document
        };
        check(request, with("shared", json!(true)), Ok(()));
        check(request, with("shared", json!("yes")), Err("'yes' is not of type 'boolean'"));
        check(request, with("sla_parameters", json!({ "a": 1 })), Err("1 is not of type 'string'"));
        check(request, with("sla_parameters", json!({ "retention_delay": 1.5 })), Ok(()));
        check(
            request,
            with("title", json!("x".repeat(201))),
            Err(&format!("'{}' is too long", "x".repeat(201))),
        );
        check(request, json!([]), Err("[] is not of type 'object'"));
        check(
            "slapos.allDocs.v0.instance_tree_list",
            json!({ "b": 1, "a": 2 }),
            Err("Additional properties are not allowed ('a', 'b' were unexpected)"),
        );
        check(
            "slapos.put.v0.compute_node_format",
            json!({ "computer_guid": "C", "compute_partition_list": [{ "partition_id": "p", "ip_list": [{}] }] }),
            Err("'ip-address' is a required property"),
        );
    }
}
