//! Garbage that is as long as a body may be: it is refused before it keeps the master busy. How soon that is stands in a bench, because
//! without optimization it says little; here is asserted that little of it is looked at.

use super::*;
use crate::wire::{
    http::server::{Handler, Request, Response},
    marshal::ARGUMENT_VALUES_MAX,
};

/// Asks a master, and looks whether it refuses with these words.
async fn check(master: &Rc<Master>, path: &str, body: &str, expected: &str) {
    let media_type =
        if path.starts_with("slapos.") { "application/json" } else { "application/x-www-form-urlencoded" };
    let request = Request {
        method: "POST".to_owned(),
        path: format!("/{path}"),
        headers: vec![("content-type".to_owned(), media_type.to_owned())],
        body: body.to_owned().into(),
        ..Request::default()
    };
    assert!(body.len() <= Limits::default().body_bytes_max, "{} bytes do not come so far", body.len());
    let Response { status, body: said, .. } = master.clone().handle(request).await;
    let (said, shown) = (String::from_utf8_lossy(&said), body.chars().take(80).collect::<String>());
    let said_shown: String = said.chars().take(200).collect();
    // A guid that can be none is that of nothing.
    let expected_status = if expected.ends_with("not handled.") { 403 } else { 400 };
    assert!(status == expected_status && said.contains(expected), "{shown}: {status} {said_shown}");
    assert!(said.len() < 10_000, "{shown}: a reason of {} bytes", said.len());
}

/// A text again and again, nearly as long as a body may be.
fn long(text: &str) -> String {
    text.repeat((Limits::default().body_bytes_max - 2000) / text.len())
}

fn asked(body: impl AsyncFnOnce(Rc<Master>)) {
    in_place(async |env, database| {
        let configuration = Configuration { database, ..Configuration::default() };
        body(Master::open(&env, configuration).await.unwrap()).await;
    });
}

#[test]
fn documents_hold_so_many_values() {
    let too_many = format!("it holds more than {ARGUMENT_VALUES_MAX} values");
    // Each list means ten times what the one before it means.
    let laughs: String = (3..60)
        .map(|id| {
            let references = format!("<reference id=\"i{}\"/>", id - 1).repeat(10);
            format!("<list id=\"i{id}\">{references}</list>")
        })
        .collect();
    let nested: String = (2..60).map(|id| format!("<list id=\"i{id}\">")).collect();
    let all: String = (2..60).map(|id| format!("<reference id=\"i{id}\"/>")).collect();
    asked(async |master| {
        for (document, expected) in [
            (long("<int>1</int>"), too_many.as_str()),
            (long("<list id=\"i2\"/>"), &too_many),
            (format!("<list id=\"i2\"/>{}", long("<reference id=\"i2\"/>")), &too_many),
            (format!("<list id=\"i2\"><int>1</int></list>{laughs}"), &too_many),
            (format!("{nested}{}{}{all}", "<int>1</int>".repeat(30_000), "</list>".repeat(58)), &too_many),
            (format!("<int>{}</int>", long("9")), "is not an integer"),
            (format!("<bool>{}</bool>", long("9")), "is not a boolean"),
            (format!("<float>{}x</float>", long("9")), "is not a number"),
            (format!("<reference id=\"{}\"/>", long("9")), "is to nothing"),
            (format!("<dictionary><string>{}</string></dictionary>", long("k")), "has no value"),
        ] {
            let form = format!("xml=<marshal><list>{document}");
            check(&master, "loadComputerConfigurationFromXML", &form, expected).await;
        }
        let key = format!(
            "partition_reference=a&software_release=/r&software_type=t&partition_parameter_xml=<marshal><dictionary><string>{}</string>\
             <list/></dictionary></marshal>",
            long("k")
        );
        check(&master, "requestComputerPartition", &key, "is a list: expected text").await;
    });
}

#[test]
fn forms_have_so_many_arguments() {
    asked(async |master| {
        for pairs in ["a&", "a=%41&"] {
            check(&master, "supplySupply", &long(pairs), "over 256 arguments").await;
        }
    });
}

#[test]
fn json_holds_so_many_values() {
    let members: String = (0..30_000).map(|number| format!("\"k{number}\":1,")).collect();
    asked(async |master| {
        for (open, part, close, expected) in [
            ("[", "[],", "1]", "more than 32768 values"),
            ("[", "1,", "1]", "more than 32768 values"),
            ("{", "\"a\":1,", "\"a\":1}", "more than 32768 values"),
            // Within a text they are none.
            ("[\"", ",[{", "\"]", "is not of type"),
        ] {
            let body = format!("{open}{}{close}", long(part));
            check(&master, "slapos.post.v0.software_instance", &body, expected).await;
        }
        let body =
            format!("{{{members}\"title\":\"a\",\"software_release_uri\":\"/r\",\"software_type\":\"\"}}");
        check(&master, "slapos.post.v0.software_instance", &body, "were unexpected").await;
    });
}

#[test]
fn guids_are_as_long_as_two_titles() {
    asked(async |master| {
        for names in ["_", "a___", "___a"] {
            for end in ["___0", "___1"] {
                let guid = format!("{}{end}", long(names));
                let body = format!("{{\"instance_guid\":\"{guid}\"}}");
                let expected = format!("instance_guid {} not handled.", &guid[..200]);
                check(&master, "slapos.get.v0.software_instance", &body, &expected).await;
            }
        }
    });
}
