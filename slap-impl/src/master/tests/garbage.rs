//! Garbage at every endpoint and on every wire: it is refused with a reason, or taken; and whatever was taken, everything can be
//! read afterwards.

use super::*;
use crate::wire::{
    http::server::{Handler, Request, Response},
    json_rpc,
    marshal::decode,
    objects::Computer,
};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

/// What no document may be, as an argument that is a marshalled document.
fn bad_documents() -> Vec<String> {
    let within = |inner: &str| format!("<marshal>{inner}</marshal>");
    let dictionary =
        |value: &str| within(&format!("<dictionary id=\"i2\"><string>a</string>{value}</dictionary>"));
    vec![
        "x".to_owned(),
        "<marshal/>".to_owned(),
        "<marshal><string>a</string>".to_owned(),
        "<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><marshal><string>&b;</string></marshal>"
            .to_owned(),
        within("<string>&b;</string>"),
        within(&"<list>".repeat(100_000)),
        within(&format!("{}{}", "<list>".repeat(100_000), "</list>".repeat(100_000))),
        within("<list id=\"i2\"><reference id=\"i2\"/></list>"),
        dictionary("<reference id=\"i9\"/>"),
        dictionary("<int>x</int>"),
        dictionary("<int>99999999999999999999999999999999999999999999999999</int>"),
        dictionary("<bool>yes</bool>"),
        dictionary("<float>1,5</float>"),
        dictionary("<string>&#0;</string>"),
        dictionary("<string>&#xd800;</string>"),
        dictionary(""),
        dictionary("<string>a"),
        dictionary("<code>b</code>"),
        dictionary("<object module=\"os\" class=\"system\"><tuple/><dictionary/></object>"),
        within("<dictionary><int>1</int><int>1</int></dictionary>"),
    ]
}

/// What may be no id, and may be a text.
fn odd_texts() -> Vec<String> {
    let texts = [
        "",
        " ",
        "\0",
        "a\0b",
        "\u{7}\u{1b}[31m",
        "a\nb",
        "a\r\nset-cookie: b",
        "..",
        "../../etc/passwd",
        "/",
        "/etc/passwd",
        "a/b",
        "a\\b",
        "-rf",
        "~",
        "<&>\"'",
        "]]>",
        "&amp;lt;&#0;",
        "%00%ff",
        "\u{fffe}\u{ffff}",
        "\u{202e}\u{85}\u{2028}",
        "😀é",
        "None",
        "___",
        "' OR 1=1; DROP TABLE instance; --",
        "{\"a\": [",
    ];
    let long = ["x".repeat(600), "é".repeat(5000), "a/".repeat(50_000)];
    texts.map(str::to_owned).into_iter().chain(long).collect()
}

/// Arguments that are documents, and arguments of which none of the above may be one.
const DOCUMENTS: [&str; 6] = [
    "partition_parameter_xml",
    "filter_xml",
    "state",
    "shared_xml",
    "connection_xml",
    "instance_reference_xml",
];
const IDS: [&str; 5] =
    ["computer_id", "computer_partition_id", "computer_reference", "computer_partition_reference", "since"];

/// Every endpoint that takes arguments, with arguments that mean something.
const ENDPOINTS: [(&str, &str, &str); 29] = [
    ("POST", "availableSoftwareRelease", "url=/r&computer_id=COMP-1"),
    ("POST", "buildingSoftwareRelease", "url=/r&computer_id=COMP-1"),
    ("POST", "computerBang", "computer_id=COMP-1&message=m"),
    (
        "POST",
        "destroyedComputerPartition",
        "computer_id=COMP-1&computer_partition_id=slappart1&slave_reference=",
    ),
    ("POST", "destroyedSoftwareRelease", "url=/r&computer_id=COMP-1"),
    ("GET", "events", "since=0"),
    ("GET", "getComputerInformation", "computer_id=COMP-1"),
    ("GET", "getComputerPartitionCertificate", "computer_id=COMP-1&computer_partition_id=slappart0"),
    ("GET", "getComputerPartitionStatus", "computer_id=COMP-1&computer_partition_id=slappart0"),
    ("GET", "getComputerStatus", "computer_id=COMP-1"),
    ("GET", "getFullComputerInformation", "computer_id=COMP-1"),
    ("GET", "getHostingSubscriptionIpList", "computer_id=COMP-1&computer_partition_id=slappart0"),
    ("GET", "getSoftwareInstallationStatus", "url=/r&computer_id=COMP-1"),
    ("GET", "getSoftwareReleaseListFromSoftwareProduct", "software_product_reference=hello"),
    ("GET", "getSoftwareReleaseListFromSoftwareProduct", "software_release_url=/hello.cfg"),
    ("POST", "loadComputerConfigurationFromXML", "xml="),
    ("GET", "registerComputerPartition", "computer_reference=COMP-1&computer_partition_reference=slappart0"),
    (
        "POST",
        "requestComputerPartition",
        "partition_reference=good&software_release=/r&software_type=t&partition_parameter_xml=&filter_xml=&state=\
         &shared_xml=&computer_id=COMP-1&computer_partition_id=slappart0",
    ),
    ("POST", "requestComputerPartition", "partition_reference=new&software_release=/r&software_type=t"),
    (
        "POST",
        "setComputerPartitionConnectionXml",
        "computer_id=COMP-1&computer_partition_id=slappart0&connection_xml=&slave_reference=",
    ),
    (
        "POST",
        "softwareInstanceBang",
        "computer_id=COMP-1&computer_partition_id=slappart0&message=m&timestamp=&slave_reference=",
    ),
    ("POST", "softwareInstanceError", "computer_id=COMP-1&computer_partition_id=slappart0&error_log=e"),
    ("POST", "softwareInstanceRename", "computer_id=COMP-1&computer_partition_id=slappart0&new_name=good"),
    ("POST", "softwareReleaseError", "url=/r&computer_id=COMP-1&error_log=e"),
    ("POST", "startedComputerPartition", "computer_id=COMP-1&computer_partition_id=slappart0&timestamp="),
    ("POST", "stoppedComputerPartition", "computer_id=COMP-1&computer_partition_id=slappart0&timestamp="),
    ("POST", "supplySupply", "url=/r&computer_id=COMP-1&state=available"),
    (
        "POST",
        "updateComputerPartitionRelatedInstanceList",
        "computer_id=COMP-1&computer_partition_id=slappart0&instance_reference_xml=",
    ),
    ("POST", "useComputer", "computer_id=COMP-1&use_string=u"),
];

/// Those that take none.
const WITHOUT_ARGUMENTS: [&str; 2] = ["getHateoasUrl", "getRunId"];

/// Ten times the time within which garbage is refused.
const REFUSED_WITHIN: Duration = Duration::from_millis(100);

/// Bytes of a request of which unoptimized code says something: it reads ten in a microsecond.
const TIMED_BYTES_MAX: usize = 256 << 10;

struct Asked {
    master: Rc<Master>,
    /// How long each refusal took.
    refusals: Rc<RefCell<Vec<Duration>>>,
}

impl Asked {
    /// A refusal must come soon. One that does not is asked for again, for a busy machine may have stood still: it changes nothing.
    async fn send(&self, request: Request) -> Response {
        // What is longer is for a bench, which is optimized, and for `long_garbage`; or the server refuses it before it comes here.
        if request.body.len() > TIMED_BYTES_MAX || request.query.len() > Limits::default().header_bytes_max {
            return self.master.clone().handle(request).await;
        }
        let mut fastest = Duration::MAX;
        for _ in 0..3 {
            let start = self.master.env.clock().elapsed();
            let response = self.master.clone().handle(request.clone()).await;
            fastest = fastest.min(self.master.env.clock().elapsed() - start);
            if response.status < 400 || fastest <= REFUSED_WITHIN {
                if response.status >= 400 {
                    self.refusals.borrow_mut().push(fastest);
                }
                return response;
            }
        }
        let what = short(&String::from_utf8_lossy(&request.body));
        panic!("{} {}: refused only after {fastest:?}: {what}", request.method, request.path);
    }

    async fn form(&self, method: &str, endpoint: &str, encoded: &[u8]) -> Response {
        let mut request =
            Request { method: method.to_owned(), path: format!("/{endpoint}"), ..Request::default() };
        match method {
            "GET" => request.query = String::from_utf8(encoded.to_vec()).unwrap(),
            _ => request.body = encoded.to_vec().into(),
        }
        self.send(request).await
    }

    async fn rpc(&self, method: &str, body: impl Into<bytes::Bytes>) -> Response {
        self.send(Request {
            method: "POST".to_owned(),
            path: format!("/{method}"),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.into(),
            ..Request::default()
        })
        .await
    }

    async fn json(&self, path: &str, query: &str) -> Json {
        let request = Request {
            method: "GET".to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            ..Request::default()
        };
        let response = self.send(request).await;
        assert_eq!(response.status, 200, "{path}?{query}: {:?}", response.body);
        serde_json::from_slice(&response.body).unwrap()
    }

    async fn result_list(&self, method: &str, document: Json) -> Vec<Json> {
        let response = self.rpc(method, document.to_string()).await;
        assert_eq!(response.status, 200, "{method} {document}: {:?}", response.body);
        let answer: Json = serde_json::from_slice(&response.body).unwrap();
        answer["result_list"].as_array().unwrap().clone()
    }

    /// Everything that can be read, can be read.
    async fn read_all(&self, after: &str) {
        let of_partition = "computer_id=COMP-1&computer_partition_id=slappart0";
        for (endpoint, query) in [
            ("getFullComputerInformation", "computer_id=COMP-1"),
            ("getComputerPartitionStatus", of_partition),
            ("getComputerPartitionCertificate", of_partition),
            ("getComputerStatus", "computer_id=COMP-1"),
            ("getSoftwareInstallationStatus", "computer_id=COMP-1&url=/r"),
            ("registerComputerPartition", "computer_reference=COMP-1&computer_partition_reference=slappart0"),
            ("registerComputerPartition", "computer_reference=COMP-1&computer_partition_reference=slappart1"),
        ] {
            let response = self.form("GET", endpoint, query.as_bytes()).await;
            assert_eq!(response.status, 200, "{endpoint} after {after}: {:?}", response.body);
            let value =
                decode(&response.body).unwrap_or_else(|error| panic!("{endpoint} after {after}: {error}"));
            if endpoint == "getFullComputerInformation" {
                Computer::from_value(&value).unwrap();
            }
        }
        for kind in ["Instance+Tree", "Compute+Node"] {
            let query =
                format!("mode=search&query=portal_type%3A%22{kind}%22+AND+validation_state%3Avalidated");
            let found = self.json("/hateoas/", &query).await;
            for row in found["_embedded"]["contents"].as_array().unwrap() {
                let place = row["relative_url"].as_str().unwrap();
                let place = place.split_once('?').unwrap_or((place, ""));
                self.json(place.0, place.1).await;
            }
        }
        let mut guids = Vec::new();
        for instance in self.result_list("slapos.allDocs.v0.instance_tree_list", json!({})).await {
            let title = json!({ "title": instance["title"] });
            let response = self.rpc("slapos.get.v0.instance_tree", title.to_string()).await;
            assert_eq!(response.status, 200, "{title} after {after}: {:?}", response.body);
            guids.push(instance["instance_guid"].clone());
        }
        let of_computer = json!({ "computer_guid": "COMP-1" });
        for list in ["compute_node_instance_list", "compute_node_software_installation_list"] {
            self.result_list(&format!("slapos.allDocs.v0.{list}"), of_computer.clone()).await;
        }
        self.result_list("slapos.allDocs.WIP.compute_node_list", json!({})).await;
        let mut since = 0;
        loop {
            let page = self.json("/events", &format!("since={since}")).await;
            let Some(last) = page["events"].as_array().unwrap().last() else { break };
            since = last["sequence"].as_i64().unwrap();
        }
    }
}

/// A master with a computer of two partitions, an instance in the first, and a release.
fn asked(body: impl AsyncFnOnce(Asked)) {
    in_place(async |env, database| {
        let configuration = Configuration {
            log_file: Some(database.with_extension("log")),
            database,
            products: BTreeMap::from([("hello".to_owned(), "/hello.cfg".parse().unwrap())]),
            ..Configuration::default()
        };
        let master = Master::open(&env, configuration).await.unwrap();
        let refusals: Rc<RefCell<Vec<Duration>>> = Rc::default();
        let asked = Asked { master, refusals: refusals.clone() };
        let partitions = json!([{ "partition_id": "slappart0", "ip_list": [] }, { "partition_id": "slappart1", "ip_list": [] }]);
        for (method, document) in [
            (
                "put.v0.compute_node_format",
                json!({ "computer_guid": "COMP-1", "compute_partition_list": partitions }),
            ),
            (
                "post.v0.software_installation",
                json!({ "computer_guid": "COMP-1", "software_release_uri": "/r" }),
            ),
            (
                "post.v0.software_instance",
                json!({ "title": "good", "software_release_uri": "/r", "software_type": "t" }),
            ),
        ] {
            let response = asked.rpc(&format!("slapos.{method}"), document.to_string()).await;
            assert_eq!(response.status, 200, "{:?}", response.body);
        }
        asked.read_all("the beginning").await;
        body(asked).await;
        let mut refusals = refusals.take();
        refusals.sort_unstable();
        if let (Some(median), Some(worst)) = (refusals.get(refusals.len() / 2), refusals.last()) {
            println!("{} refusals: median {median:?}, worst {worst:?}", refusals.len());
            assert!(
                *median <= REFUSED_WITHIN / 10,
                "the median of {} refusals is {median:?}",
                refusals.len()
            );
        }
    });
}

/// A refusal with a reason, or (where that may be) an answer.
#[track_caller]
fn judge(what: &dyn Fn() -> String, response: &Response, must_be_refused: bool) {
    let text = String::from_utf8_lossy(&response.body);
    assert!(response.status < 500, "{}: {} {text}", what(), response.status);
    assert!(response.status >= 400 || !must_be_refused, "{}: taken: {text}", what());
    if response.status >= 400 {
        assert!(text.trim().len() > 10, "{}: {} without a reason", what(), response.status);
        assert!(text.len() < 10_000, "{}: a reason of {} bytes", what(), text.len());
    }
}

fn short(text: &str) -> String {
    format!("{:?} ({} bytes)", text.chars().take(60).collect::<String>(), text.len())
}

#[test]
fn every_endpoint_is_asked() {
    let asked = ENDPOINTS.map(|(_, endpoint, _)| endpoint);
    for endpoint in router::endpoints() {
        assert!(asked.contains(&endpoint) != WITHOUT_ARGUMENTS.contains(&endpoint), "{endpoint}");
    }
}

#[test]
fn no_argument_makes_a_later_read_fail() {
    asked(async |master| {
        for (method, endpoint, good) in ENDPOINTS {
            let fields: Vec<(String, String)> =
                form_urlencoded::parse(good.as_bytes()).into_owned().collect();
            for (index, (name, _)) in fields.iter().enumerate() {
                let is_document =
                    DOCUMENTS.contains(&name.as_str()) && endpoint != "supplySupply" || name == "xml";
                let documents = bad_documents().into_iter().map(|text| (text, is_document));
                let texts = odd_texts().into_iter().map(|text| {
                    // Nothing may be said; and None might be somebody's name.
                    let is_no_id = IDS.contains(&name.as_str()) && !["", "None"].contains(&text.as_str());
                    let must_be_refused = is_no_id || (is_document && !text.is_empty());
                    (text, must_be_refused)
                });
                for (text, must_be_refused) in documents.chain(texts) {
                    let mut fields = fields.clone();
                    fields[index].1 = text.clone();
                    let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
                    let response = master.form(method, endpoint, form.as_bytes()).await;
                    let what = || format!("{endpoint} with {name} = {}", short(&text));
                    judge(&what, &response, must_be_refused);
                }
                // Bytes that are no text, and no value at all.
                let raw = format!("{name}=%FF%FE");
                let response = master.form(method, endpoint, raw.as_bytes()).await;
                judge(&|| format!("{endpoint} {raw}"), &response, true);
                master.read_all(&format!("{endpoint} {name}")).await;
            }
            if method == "POST" {
                judge(
                    &|| format!("{endpoint} with bytes"),
                    &master.form(method, endpoint, b"a=\xff\0").await,
                    true,
                );
            }
            judge(
                &|| format!("{endpoint} alone"),
                &master.form(method, endpoint, b"").await,
                endpoint != "events",
            );
        }
    });
}

#[test]
fn published_and_requested_values_can_be_read_whatever_they_hold() {
    asked(async |master| {
        let guid =
            master.result_list("slapos.allDocs.v0.instance_tree_list", json!({})).await[0]["instance_guid"]
                .clone();
        for text in odd_texts() {
            let document = crate::wire::marshal::encode(&crate::wire::marshal::Value::dictionary([
                (text.clone(), text.as_str().into()),
                ("b".to_owned(), crate::wire::marshal::Value::List(vec![text.as_str().into()])),
            ]));
            let place = [("computer_id", "COMP-1"), ("computer_partition_id", "slappart0")];
            let form = form_urlencoded::Serializer::new(String::new())
                .extend_pairs(place)
                .append_pair("connection_xml", &document)
                .finish();
            let what = || format!("published {}", short(&text));
            judge(
                &what,
                &master.form("POST", "setComputerPartitionConnectionXml", form.as_bytes()).await,
                false,
            );
            master.read_all(&what()).await;
            let members = json!({ text.clone(): text, "b": text });
            for (method, document) in [
                (
                    "put.v0.software_instance_connection_parameter",
                    json!({ "instance_guid": guid, "connection_parameter_dict": members }),
                ),
                (
                    "post.v0.software_instance",
                    json!({
                        "title": "good", "software_release_uri": "/r", "software_type": "t", "parameters": members,
                        "sla_parameters": members,
                    }),
                ),
            ] {
                let response = master.rpc(&format!("slapos.{method}"), document.to_string()).await;
                judge(&|| format!("{method} {}", short(&text)), &response, false);
                master.read_all(&format!("{method} {}", short(&text))).await;
            }
        }
    });
}

#[test]
fn no_document_of_json_makes_a_later_read_fail() {
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(100_000), close.repeat(100_000));
    let bodies: Vec<Vec<u8>> = [
        "",
        "{",
        "[]",
        "null",
        "1",
        "\"x\"",
        "{'a': 1}",
        "{\"a\": NaN}",
        "{\"title\": 1e999}",
        "{\"a\": \"\\ud800\"}",
        "{}x",
        "<marshal/>",
        "{\"title\": \"a\0b\"}",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into_iter()
    .chain([
        deep("[", "]").into(),
        deep("{\"a\":", "}").into(),
        deep("[", "").into(),
        "[".repeat(30_000).into(),
        "{\"a\":".repeat(30_000).into(),
        b"{\"a\": \"\xff\"}".to_vec(),
    ])
    .collect();
    asked(async |master| {
        let values = odd_texts().into_iter().map(Json::from).chain([
            json!(null),
            json!(true),
            json!([]),
            json!({}),
            json!(1e308),
            json!(-1),
            json!([[[[]]]]),
            json!({ "": {} }),
        ]);
        let values: Vec<Json> = values.collect();
        let partitions = json!([{ "partition_id": "slappart0", "ip_list": [] }, { "partition_id": "slappart1", "ip_list": [] }]);
        let members = json!({
            "title": "good", "software_release_uri": "/r", "software_type": "t", "state": "started", "parameters": {},
            "shared": false, "sla_parameters": {}, "computer_guid": "COMP-1", "compute_partition_id": "slappart0",
            "compute_partition_list": partitions, "message": "m", "reported_state": "started", "tioxml": "",
            "connection_parameter_dict": {}, "instance_guid": "good______0", "root_title": "good", "portal_type": "x",
        });
        for method in json_rpc::methods() {
            for body in &bodies {
                let what = || format!("{method} {}", short(&String::from_utf8_lossy(body)));
                judge(&what, &master.rpc(method, body.clone()).await, true);
            }
            // Those members of the description that this method takes, one of them wrong.
            let is_taken = |name: &str| {
                let probe = json_rpc::check_request(method, &json!({ name: members[name] }));
                !probe.is_err_and(|mistake| mistake.contains("Additional properties"))
            };
            let names: Vec<&String> =
                members.as_object().unwrap().keys().filter(|name| is_taken(name)).collect();
            for name in &names {
                for value in &values {
                    let mut document: serde_json::Map<String, Json> =
                        names.iter().map(|name| ((*name).clone(), members[name.as_str()].clone())).collect();
                    document.insert((*name).clone(), value.clone());
                    let text = Json::Object(document).to_string();
                    let what = || format!("{method} with {name} = {}", short(&value.to_string()));
                    judge(&what, &master.rpc(method, text).await, false);
                }
            }
            master.read_all(method).await;
        }
    });
}

#[test]
fn what_is_not_there_is_said_to_be_not_there() {
    asked(async |master| {
        let ask = async |method: &str, path: &str, headers: &[(&str, &str)], expected: u16| {
            let response = master
                .send(Request {
                    method: method.to_owned(),
                    path: path.to_owned(),
                    headers: headers.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect(),
                    body: if method == "POST" { "{}".into() } else { Default::default() },
                    ..Request::default()
                })
                .await;
            judge(&|| format!("{method} {path}"), &response, true);
            assert_eq!(response.status, expected, "{method} {path} {headers:?}: {:?}", response.body);
        };
        for path in
            ["/nothing", "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/%00", "/%ff", "/getRunId/x"]
        {
            ask("GET", path, &[], 404).await;
            ask("POST", path, &[], 404).await;
        }
        ask("GET", &format!("/{}", "x".repeat(30_000)), &[], 404).await;
        for path in [
            "/hateoas/nothing",
            "/hateoas/partitions/%00",
            "/hateoas/partitions/../../x",
            "/hateoas/computers/%ff",
        ] {
            let response = master
                .send(Request { method: "GET".to_owned(), path: path.to_owned(), ..Request::default() })
                .await;
            judge(&|| path.to_owned(), &response, true);
        }
        for method in ["PUT", "DELETE", "PATCH", "TRACE", "NONSENSE"] {
            ask(method, "/getRunId", &[], 405).await;
            ask(method, "/slapos.get.v0.instance_tree", &[], 405).await;
        }
        ask("POST", "/slapos.get.v0.nothing", &[("content-type", "application/json")], 404).await;
        for media_type in
            ["text/xml", "application/xml", "multipart/form-data; boundary=a", "x", "application/json"]
        {
            ask("POST", "/supplySupply", &[("content-type", media_type)], 415).await;
        }
        for media_type in ["text/xml", "application/x-www-form-urlencoded", "", "json"] {
            ask("POST", "/slapos.get.v0.instance_tree", &[("content-type", media_type)], 415).await;
        }
        let accept = [("content-type", "application/json"), ("accept", "text/xml")];
        ask("POST", "/slapos.get.v0.instance_tree", &accept, 406).await;
    });
}

proptest! {
    /// A damaged form is refused, or means what its pairs say; nothing is read twice or made up.
    #[test]
    fn forms_are_read_whatever_they_hold(bytes in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b"&=%+;ab2\0".to_vec())], 0..80)) {
        let request = Request { method: "POST".to_owned(), body: bytes.clone().into(), ..Request::default() };
        if let Ok(form) = crate::master::form::Form::read(&request, "test") {
            for (name, _) in form_urlencoded::parse(&bytes) {
                prop_assert!(form.optional(&name).is_some(), "{name} is lost");
            }
        }
    }

    /// A damaged document of JSON is refused, or taken as what it means.
    #[test]
    fn json_is_checked_whatever_it_holds(place in any::<prop::sample::Index>(), byte in any::<u8>(), method in 0..25_usize) {
        let document = br#"{"title": "a\u00e9", "software_release_uri": "/r", "software_type": "", "parameters": {"a": 1.5}, "shared": false}"#;
        let mut bytes = document.to_vec();
        let index = place.index(bytes.len());
        bytes[index] = byte;
        let method = json_rpc::methods().nth(method).unwrap();
        if let Ok(document) = serde_json::from_slice::<Json>(&bytes)
            && let Err(mistake) = json_rpc::check_request(method, &document)
        {
            prop_assert!(!mistake.is_empty() && mistake.len() < 10_000);
        }
    }
}
