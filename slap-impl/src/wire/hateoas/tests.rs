//! The goldens were served by slapproxy of slapos.core 1.24.1.

use super::*;

fn golden(text: &str) -> Json {
    serde_json::from_str(text).unwrap()
}

fn check(written: &Json, text: &str) {
    // Flask writes other characters than ASCII by number: compare what it means, and the order of keys.
    assert_eq!(serde_json::to_string(written).unwrap(), serde_json::to_string(&golden(text)).unwrap());
}

fn service() -> Service {
    Service {
        reference: "inst1".to_owned(),
        requested_state: "started".to_owned(),
        software_release: "http://a/software.cfg".to_owned(),
        software_type: Some("default".to_owned()),
        parameters_xml: Some(instance_xml::encode(
            &[("a", "b"), ("c", "d é")].map(|(key, value)| (key.to_owned(), Some(value.to_owned()))).into(),
        )),
        ..Service::default()
    }
}

#[test]
fn documents_are_those_of_slapproxy() {
    check(&root_document("http://127.0.0.1:5977"), include_str!("root.json"));
    check(&service_document(&service()), include_str!("service.json"));
    let computer = ComputerInformation {
        reference: "COMP-1".to_owned(),
        title: "COMP-1".to_owned(),
        ..ComputerInformation::default()
    };
    check(&computer_document(&computer), include_str!("computer.json"));
    assert_eq!(Service::parse(&golden(include_str!("service.json"))).unwrap(), service());
    assert_eq!(ComputerInformation::parse(&golden(include_str!("computer.json"))).unwrap(), computer);
}

#[test]
fn what_is_written_reads_back() {
    let service = Service {
        shared: true,
        connection_xml: Some("<instance/>".to_owned()),
        news: Some(vec![json!({"text": "#access"})]),
        ..service()
    };
    assert_eq!(Service::parse(&service_document(&service)).unwrap(), service);
    let rows = vec![Row {
        title: "a".to_owned(),
        relative_url: service_path("a/é", true),
        url_string: Some("u".to_owned()),
        reference: None,
    }];
    assert_eq!(rows[0].relative_url, "/hateoas/shared/a%2F%C3%A9");
    assert_eq!(parse_rows(&search_document(&rows)).unwrap(), rows);
    let links = Links::parse(&root_document("http://a")).unwrap();
    assert!(links.search.starts_with("http://a/hateoas/?mode=search&query={query}"));
}

#[test]
fn queries() {
    for (text, expected) in [
        ("portal_type:\"Instance Tree\" AND validation_state:validated", Some(Query::Services(None))),
        (
            "portal_type:\"Instance Tree\" AND validation_state:validated AND title:=\"a b\"",
            Some(Query::Services(Some("a b".to_owned()))),
        ),
        ("portal_type:\"Compute Node\" AND validation_state:validated", Some(Query::Computers(None))),
        (
            "portal_type:\"Compute Node\" AND validation_state:validated AND reference:=\"COMP-1\"",
            Some(Query::Computers(Some("COMP-1".to_owned()))),
        ),
        (
            "portal_type:\"Instance Tree\" AND validation_state:validated AND title:=\"a\"b\"",
            Some(Query::Services(Some("a\"b".to_owned()))),
        ),
        ("portal_type:\"Instance Tree\" AND validation_state:validated AND title:=\"", None),
        ("portal_type:\"Instance Tree\" AND validation_state:validated AND x", None),
        ("portal_type:\"Person\"", None),
    ] {
        assert_eq!(Query::parse(text), expected, "{text}");
        if let Some(query) = expected {
            assert_eq!(query.to_text(), text);
        }
    }
}

#[test]
fn the_real_masters_list_of_connection_parameters() {
    let mut document = golden(include_str!("service.json"));
    document["_embedded"]["_view"]["my_connection_parameter_list"]["default"] =
        json!([{"connection_key": "url", "connection_value": "http://x"}]);
    let xml = Service::parse(&document).unwrap().connection_xml.unwrap();
    assert_eq!(instance_xml::decode(&xml).unwrap()["url"].as_deref(), Some("http://x"));
}

#[test]
fn documents_of_another_kind_are_refused() {
    for document in [json!({}), json!([]), json!({"_embedded": {"_view": {}}})] {
        assert!(Service::parse(&document).is_err(), "{document}");
        assert!(parse_rows(&document).is_err(), "{document}");
        assert!(Links::parse(&document).is_err(), "{document}");
    }
}
