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

#[test]
fn a_historical_frontend_is_stood_in_for() {
    const FRONTEND: &str =
        "http://git.erp5.org/gitweb/slapos.git/blob_plain/HEAD:/software/apache-frontend/software.cfg";
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
