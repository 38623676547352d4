//! How long a master takes to refuse garbage.

use super::{
    load::{Client, get, median, post},
    master::{Master, request},
    scenarios::tell,
};
use slap_impl::wire::json_rpc;
use std::{rc::Rc, time::Instant};

/// What every endpoint has among its arguments, so that the one that is garbage is looked at.
const GOOD: [(&str, &str); 9] = [
    ("computer_id", "COMP-1"),
    ("computer_partition_id", "slappart0"),
    ("computer_reference", "COMP-1"),
    ("computer_partition_reference", "slappart0"),
    ("url", "/r"),
    ("partition_reference", "t0"),
    ("software_release", "/r"),
    ("software_type", "t"),
    ("new_name", "t1"),
];

/// Endpoints, how they are asked, and the argument that is garbage.
const ENDPOINTS: [(&str, &str, &str); 20] = [
    ("POST", "availableSoftwareRelease", "computer_id"),
    ("POST", "buildingSoftwareRelease", "computer_id"),
    ("POST", "computerBang", "computer_id"),
    ("POST", "destroyedComputerPartition", "computer_partition_id"),
    ("POST", "destroyedSoftwareRelease", "computer_id"),
    ("POST", "loadComputerConfigurationFromXML", "xml"),
    ("POST", "requestComputerPartition", "partition_parameter_xml"),
    ("POST", "requestComputerPartition", "filter_xml"),
    ("POST", "requestComputerPartition", "shared_xml"),
    ("POST", "setComputerPartitionConnectionXml", "connection_xml"),
    ("POST", "softwareInstanceBang", "computer_partition_id"),
    ("POST", "softwareInstanceError", "computer_partition_id"),
    ("POST", "softwareInstanceRename", "computer_id"),
    ("POST", "startedComputerPartition", "computer_id"),
    ("POST", "stoppedComputerPartition", "computer_id"),
    ("POST", "supplySupply", "computer_id"),
    ("GET", "getFullComputerInformation", "computer_id"),
    ("GET", "getComputerPartitionCertificate", "computer_partition_id"),
    ("GET", "registerComputerPartition", "computer_reference"),
    ("GET", "events", "since"),
];

fn documents() -> Vec<String> {
    let within = |inner: &str| format!("<marshal>{inner}</marshal>");
    vec![
        "<".to_owned(),
        "\0\u{1b}<&".to_owned(),
        "../../etc/passwd".to_owned(),
        "/".repeat(5000),
        "<marshal><string>a".to_owned(),
        "<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><marshal><string>&b;</string></marshal>"
            .to_owned(),
        within("<list id=\"i2\"><reference id=\"i2\"/></list>"),
        within("<object module=\"os\" class=\"system\"><tuple/><dictionary/></object>"),
        within(&"<list>".repeat(70_000)),
        within(&format!("<string>{}</string>", "&#0;".repeat(50_000))),
        within(&format!("<list>{}</list><int>x</int>", "<int>1</int>".repeat(30_000))),
    ]
}

/// A text again and again, nearly as long as a body may be.
fn long(text: &str) -> String {
    text.repeat(((1 << 20) - 2000) / text.len())
}

/// A request with a body of that media type.
fn with_body(path: &str, media_type: &str, body: &str) -> Rc<[u8]> {
    let length = body.len();
    format!(
        "POST /{path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: {media_type}\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
    .into()
}

/// What is as long as may be, and costs as much as it can before it is seen to be garbage.
fn long_questions() -> Vec<Rc<[u8]>> {
    let laughs: String = (3..60)
        .map(|id| {
            let references = format!("<reference id=\"i{}\"/>", id - 1).repeat(10);
            format!("<list id=\"i{id}\">{references}</list>")
        })
        .collect();
    let nested: String = (2..60).map(|id| format!("<list id=\"i{id}\">")).collect();
    let attributes: String = (0..80_000).map(|number| format!(" a{number}=\"\"")).collect();
    let keys: String =
        (0..20_000).map(|key| format!("<string>{key}</string><reference id=\"i2\"/>")).collect();
    let documents = [
        format!("<marshal><list>{}<int>x</int>", long("<int>1</int>")),
        format!("<marshal><list>{}", long("<none/>")),
        format!("<marshal><list>{}", long("<list id=\"i2\"/>")),
        format!("<marshal><list>{}", long("<reference id=\"i2\"/>")),
        format!("<marshal><list><list id=\"i2\"/>{}", long("<reference id=\"i2\"/>")),
        format!("<marshal><list><list id=\"i2\"><string>a</string></list>{laughs}"),
        format!("<marshal>{nested}{}<reference id=\"i99\"/>", "<int>1</int>".repeat(80_000)),
        format!(
            "<marshal>{nested}{}{}<reference id=\"i99\"/>",
            "<int>1</int>".repeat(80_000),
            "</list>".repeat(58)
        ),
        format!("<marshal><list><list id=\"i2\"/><dictionary>{keys}"),
        format!("<marshal><list{attributes}/>"),
        format!("<marshal><int>{}</int></marshal>", long("9")),
        format!("<marshal><bool>{}</bool></marshal>", long("9")),
        format!("<marshal><float>{}x</float></marshal>", long("9")),
        format!("<marshal><string>{}", long("%26amp;")),
        format!("<marshal><string>{}", long("%26%2365;")),
        format!("<marshal>{}", long("<!---->")),
        format!("<marshal><dictionary><string>{}</string></dictionary></marshal>", long("k")),
    ];
    let form = "application/x-www-form-urlencoded";
    let mut questions = Vec::new();
    for document in documents {
        questions.push(with_body("loadComputerConfigurationFromXML", form, &format!("xml={document}")));
    }
    for pairs in ["a&", "&", "a=%41&", "a=%ff&", "%"] {
        questions.push(with_body("supplySupply", form, &long(pairs)));
    }
    for (open, part, close) in [
        ("[", "[],", "1]"),
        ("[", "{},", "1]"),
        ("[", "1,", "1]"),
        ("{", "\"a\":1,", "\"a\":1}"),
        ("{\"parameters\":[", "[],", "1]}"),
        ("[\"", "\\n", "\"]"),
        ("{\"title\":\"", "\\u0001", "\"}"),
        ("[", "1", "]"),
    ] {
        let body = format!("{open}{}{close}", long(part));
        questions.push(with_body("slapos.post.v0.software_instance", "application/json", &body));
    }
    let members: String = (0..70_000).map(|number| format!("\"k{number}\":[],")).collect();
    questions.push(with_body(
        "slapos.post.v0.software_instance",
        "application/json",
        &format!("{{{members}\"a\":1}}"),
    ));
    questions.push(with_body(
        "slapos.post.v0.software_instance",
        "application/json",
        &format!("{{\"parameters\":{{{members}\"a\":1}}}}"),
    ));
    // The longest that are looked at, and longer ones.
    for guid in ["_".repeat(511), "_".repeat(1030 - 4), long("_"), long("a___"), long("___a")] {
        let body = format!("{{\"instance_guid\":\"{guid}___0\"}}");
        questions.push(with_body("slapos.get.v0.software_instance", "application/json", &body));
    }
    questions
}

/// Every endpoint with each garbage.
fn questions() -> Vec<Rc<[u8]>> {
    let mut questions = Vec::new();
    for (method, endpoint, argument) in ENDPOINTS {
        for document in documents() {
            let others = GOOD.iter().filter(|(name, _)| *name != argument).copied();
            let fields: Vec<(&str, &str)> = others.chain([(argument, document.as_str())]).collect();
            if method == "POST" {
                questions.push(post(endpoint, &fields));
                continue;
            }
            let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
            // What is longer is no request line.
            if query.len() < 16 << 10 {
                questions.push(get(&format!("{endpoint}?{query}"), ""));
            }
        }
    }
    let deep = |open: &str| open.repeat(100_000);
    for method in json_rpc::methods() {
        for body in ["", "{", "null", "{\"a\": NaN}", "{\"nonsense\": 1}", &deep("["), &deep("{\"a\":")] {
            questions.push(with_body(method, "application/json", body));
        }
    }
    questions
}

/// Milliseconds from each question to its refusal, the fastest of three, and how its body begins.
async fn ask_all(client: &mut Client, questions: Vec<Rc<[u8]>>) -> Vec<(f64, String)> {
    let mut times = Vec::new();
    for question in questions {
        let mut fastest = f64::MAX;
        for _ in 0..3 {
            let start = Instant::now();
            let answer = client.ask(&question, true).await;
            fastest = fastest.min(start.elapsed().as_secs_f64() * 1e3);
            let head = String::from_utf8_lossy(&question[..question.len().min(200)]).into_owned();
            assert!(
                (400..500).contains(&answer.status) && !answer.body.is_empty(),
                "{head}: {}",
                answer.head
            );
        }
        times.push((fastest, beginning(&question)));
    }
    times
}

/// The first characters of a body.
fn beginning(question: &[u8]) -> String {
    let text = String::from_utf8_lossy(question);
    let body = text.split_once("\r\n\r\n").map_or(&*text, |(_, body)| body);
    body.chars().take(60).collect::<String>().escape_debug().to_string()
}

/// Garbage at every endpoint.
pub(super) async fn garbage() {
    let master = Master::start();
    master.format("COMP-1", 2).await;
    let mut client = master.client().await;
    assert_eq!(client.ask(&request("t0", None, "x"), false).await.status, 200);
    let times = ask_all(&mut client, questions()).await;
    let long = ask_all(&mut client, long_questions()).await;
    for (what, times) in [("garbage", times), ("garbage of up to 1 MiB", long)] {
        let mut times = times;
        times.sort_by(|left, right| left.0.total_cmp(&right.0));
        let count = times.len();
        let (worst, which) = times.last().cloned().unwrap_or_default();
        let times: Vec<f64> = times.into_iter().map(|(time, _)| time).collect();
        tell(
            &format!("{what} is refused, {count} kinds"),
            format!("median {:.2} ms, worst {worst:.2} ms", median(times)),
            worst <= 10.0,
            "10 ms",
        );
        println!("    the worst: {which}");
    }
}
