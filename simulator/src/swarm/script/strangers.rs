//! Strangers, who send a master what is no good request: to nowhere, without sense, too much, half of it, or under a name that is not the
//! master's. What they name begins with their own name, so that whatever is made of it can be told from what others asked for.
//!
//! What `users/strangers.rs` fills in: `{host}`, `{length}` of the body, and what would be long here, `{fill}`, `{values}` and `{deep}`.

use super::{Draw, Event, Knobs, Random, Step};

/// What a stranger's names begin with.
pub(crate) const STRANGER: &str = "stranger";

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

/// Paths at which there is nothing.
const NOWHERE: [&str; 9] = [
    "/stranger",
    "/../../etc/passwd",
    "/%2e%2e/%2e%2e/stranger",
    "/%00",
    "/%ff",
    "/getRunId/stranger",
    "/hateoas/stranger",
    "/hateoas/partitions/..%2f..%2fstranger",
    "/hateoas/computers/stranger",
];
/// What other masters serve.
const ELSEWHERE: [&str; 5] = [
    "/panel",
    "/http_proxy/stranger",
    "/requestComputer",
    "/shacache/stranger",
    "/revokeComputerCertificate",
];
/// Methods that are not those of their paths.
const METHODS: [(&str, &str); 9] = [
    ("PUT", "/getRunId"),
    ("DELETE", "/getFullComputerInformation"),
    ("PATCH", "/"),
    ("POST", "/events"),
    ("GET", "/supplySupply"),
    ("GET", "/requestComputerPartition"),
    ("POST", "/hateoas/"),
    ("GET", "/slapos.get.v0.instance_tree"),
    ("STRANGER", "/slapos.post.v0.software_instance"),
];
/// Questions, and how each is refused.
const QUESTIONS: [(&str, u16); 19] = [
    ("/getFullComputerInformation", 400),
    ("/getFullComputerInformation?computer_id=..%2fstranger", 400),
    ("/getFullComputerInformation?computer_id=stranger-1", 404),
    ("/getComputerStatus?computer_id=stranger-1", 404),
    ("/getComputerStatus?computer_id=", 400),
    ("/registerComputerPartition?computer_reference=COMP-1&computer_partition_reference=stranger", 404),
    ("/getComputerPartitionStatus?computer_id=COMP-1&computer_partition_id=..%2fstranger", 400),
    ("/getComputerPartitionCertificate?computer_id=COMP-1&computer_partition_id=stranger", 404),
    ("/getHostingSubscriptionIpList?computer_id=stranger-1&computer_partition_id=slappart0", 404),
    ("/getSoftwareInstallationStatus?computer_id=COMP-1&url=http://stranger/", 404),
    ("/getSoftwareReleaseListFromSoftwareProduct", 400),
    ("/getSoftwareReleaseListFromSoftwareProduct?software_product_reference=a&software_release_url=b", 400),
    ("/events?since=stranger", 400),
    ("/events?since=%ff%fe", 400),
    ("/hateoas/?mode=stranger", 400),
    ("/hateoas/?mode=search&query=stranger", 400),
    ("/hateoas/?mode=traverse&relative_url=http://stranger/", 400),
    ("/hateoas/?mode=traverse", 400),
    ("/hateoas/partitions/%ff", 400),
];
/// Forms, and how each is refused.
const FORMS: [(&str, &str, u16); 24] = [
    ("/supplySupply", "", 400),
    ("/supplySupply", "url=http://stranger/&computer_id=stranger-1&state=available", 404),
    ("/supplySupply", "url=http://stranger/&computer_id=COMP-1&state=stranger", 400),
    ("/supplySupply", "url=+stranger&computer_id=COMP-1&state=available", 400),
    ("/supplySupply", "url=\u{ff}\u{fe}", 400),
    ("/supplySupply", "url=%ff", 400),
    ("/requestComputerPartition", "partition_reference=stranger", 400),
    (
        "/requestComputerPartition",
        "partition_reference=stranger%00&software_release=http://stranger/&software_type=x",
        400,
    ),
    (
        "/requestComputerPartition",
        "partition_reference=stranger-{fill}&software_release=http://stranger/&software_type=x",
        400,
    ),
    (
        "/requestComputerPartition",
        "partition_reference=stranger&software_release=http://stranger/&software_type=x&partition_parameter_xml=<marshal>",
        400,
    ),
    (
        "/requestComputerPartition",
        "partition_reference=stranger&software_release=http://stranger/&software_type=x&state=<marshal><string>stranger</string></marshal>",
        400,
    ),
    (
        "/requestComputerPartition",
        "partition_reference=stranger&software_release=http://stranger/&software_type=x&computer_id=COMP-1",
        400,
    ),
    (
        "/requestComputerPartition",
        "partition_reference=stranger&software_release=http://stranger/&software_type=x&state=<marshal><string>destroyed</string></marshal>",
        404,
    ),
    (
        "/requestComputerPartition",
        "partition_reference=stranger&software_release=http://stranger/&software_type=x&computer_id=stranger-1&computer_partition_id=slappart0",
        404,
    ),
    (
        "/requestComputerPartition",
        "partition_reference=stranger&software_release=http://stranger/&software_type=stranger%01",
        400,
    ),
    (
        "/requestComputerPartition",
        "partition_reference=stranger&software_release=http://stranger/&software_type=x&filter_xml=<marshal><dictionary id=\"i2\"><string>stranger</string><string>x</string></dictionary></marshal>",
        400,
    ),
    (
        "/requestComputerPartition",
        "partition_reference=stranger&software_release=http://stranger/&software_type=x&filter_xml=<marshal><dictionary id=\"i2\"><string>computer_guid</string><string>stranger-1</string></dictionary></marshal>",
        404,
    ),
    (
        "/requestComputerPartition",
        "partition_reference=stranger&software_release=http://stranger/&software_type=x&filter_xml=<marshal><dictionary id=\"i2\"><string>master_url</string><string>http://stranger/</string></dictionary></marshal>",
        404,
    ),
    ("/loadComputerConfigurationFromXML", "xml=stranger", 400),
    ("/loadComputerConfigurationFromXML", "xml=<marshal><dictionary></dictionary></marshal>", 400),
    ("/startedComputerPartition", "computer_id=stranger-1&computer_partition_id=slappart0", 404),
    (
        "/setComputerPartitionConnectionXml",
        "computer_id=COMP-1&computer_partition_id=slappart0&connection_xml=stranger",
        400,
    ),
    ("/computerBang", "message=stranger&computer_id=stranger-1", 404),
    ("/useComputer", "computer_id=stranger-1", 400),
];
/// Documents for methods of JSON-RPC, and how each is refused.
const DOCUMENTS: [(&str, &str, u16); 27] = [
    ("get.v0.stranger", "{}", 404),
    ("get.v0.instance_tree", "", 400),
    ("get.v0.instance_tree", "{", 400),
    ("get.v0.instance_tree", "[]", 400),
    ("get.v0.instance_tree", "{\"title\": NaN}", 400),
    ("get.v0.instance_tree", "{\"title\": \"\u{ff}\"}", 400),
    ("get.v0.instance_tree", "{deep}", 400),
    ("get.v0.instance_tree", "{values}", 400),
    ("get.v0.instance_tree", "{\"title\": \"stranger\"}", 403),
    ("get.v0.software_instance", "{\"instance_guid\": \"stranger\"}", 403),
    ("allDocs.v0.compute_node_instance_list", "{\"computer_guid\": \"stranger-1\"}", 403),
    (
        "post.v0.software_installation",
        "{\"computer_guid\": \"stranger-1\", \"software_release_uri\": \"http://stranger/\"}",
        403,
    ),
    (
        "post.v0.software_installation",
        "{\"computer_guid\": \"COMP-1\", \"software_release_uri\": \"http://stranger/\", \"state\": \"stranger\"}",
        400,
    ),
    (
        "post.v0.software_instance",
        "{\"title\": \"stranger\", \"software_release_uri\": \"http://stranger/\", \"software_type\": \"\", \"parameters\": {\"a\": []}}",
        400,
    ),
    (
        "post.v0.software_instance",
        "{\"title\": \"stranger\", \"software_release_uri\": \"http://stranger/\", \"software_type\": \"\", \"shared\": \"yes\"}",
        400,
    ),
    (
        "put.v0.software_instance_bang",
        "{\"instance_guid\": \"stranger______0\", \"message\": \"stranger\"}",
        403,
    ),
    (
        "put.v0.software_instance_title",
        "{\"instance_guid\": \"stranger______0\", \"title\": \"stranger\"}",
        403,
    ),
    (
        "put.v0.software_instance_reported_state",
        "{\"instance_guid\": \"stranger______0\", \"reported_state\": \"started\"}",
        403,
    ),
    (
        "put.v0.software_instance_reported_state",
        "{\"instance_guid\": \"stranger______0\", \"reported_state\": \"stopped\"}",
        403,
    ),
    (
        "put.v0.software_instance_reported_state",
        "{\"instance_guid\": \"stranger______1\", \"reported_state\": \"destroyed\"}",
        403,
    ),
    (
        "put.v0.software_instance_error",
        "{\"instance_guid\": \"stranger______0\", \"message\": \"stranger\"}",
        403,
    ),
    (
        "put.v0.software_instance_connection_parameter",
        "{\"instance_guid\": \"stranger______0\", \"connection_parameter_dict\": {\"a\": 1.5, \"b\": true, \"c\": null}}",
        403,
    ),
    (
        "put.v0.software_installation_error",
        "{\"computer_guid\": \"stranger-1\", \"software_release_uri\": \"http://stranger/\", \"message\": \"stranger\"}",
        403,
    ),
    (
        "put.v0.software_installation_reported_state",
        "{\"computer_guid\": \"stranger-1\", \"software_release_uri\": \"http://stranger/\", \"reported_state\": \"destroyed\"}",
        403,
    ),
    ("put.v0.compute_node_bang", "{\"computer_guid\": \"stranger-1\", \"message\": \"stranger\"}", 403),
    (
        "put.v0.compute_node_format",
        "{\"computer_guid\": \"stranger-1\", \"compute_partition_list\": [{\"partition_id\": \"../stranger\"}]}",
        400,
    ),
    (
        "put.v0.compute_node_format",
        "{\"computer_guid\": \"stranger-1\", \"compute_partition_list\": [{\"partition_id\": \"s\"}, {\"partition_id\": \"s\"}]}",
        400,
    ),
];
/// Heads that are wrong, and how each is refused; 0 where HTTP itself is broken, and whoever does that may be left without a word.
const HEADS: [(&str, u16); 14] = [
    ("GET /getRunId HTTP/1.1\r\nhost: stranger.example\r\n\r\n", 421),
    ("GET /getRunId HTTP/1.1\r\nhost: {host}.stranger.example\r\n\r\n", 421),
    ("GET /getRunId HTTP/1.1\r\nhost: \u{ff}\r\n\r\n", 421),
    ("GET /getRunId HTTP/1.1\r\n\r\n", 400),
    ("GET /getRunId HTTP/1.1\r\nhost: {host}\r\nhost: {host}\r\n\r\n", 400),
    ("POST /supplySupply HTTP/1.1\r\nhost: {host}\r\ncontent-length: 2147483648\r\n\r\n", 413),
    (
        "POST /supplySupply HTTP/1.1\r\nhost: {host}\r\ncontent-type: text/xml\r\ncontent-length: 8\r\n\r\nstranger",
        415,
    ),
    (
        "POST /slapos.get.v0.instance_tree HTTP/1.1\r\nhost: {host}\r\ncontent-type: text/xml\r\ncontent-length: 2\r\n\r\n{}",
        415,
    ),
    (
        "POST /slapos.get.v0.instance_tree HTTP/1.1\r\nhost: {host}\r\naccept: text/xml\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}",
        406,
    ),
    ("GET /getRunId HTTP/1.1\r\nhost: {host}\r\nx: {fill}\r\n\r\n", 0),
    ("stranger\r\n\r\n", 0),
    ("\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}\r\n\r\n", 0),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0),
    ("GET /getRunId HTTP/1.1\r\ncontent-length: stranger\r\nhost: {host}\r\n\r\n", 0),
];
/// The beginnings of requests whose rest never comes.
const HALVES: [&str; 5] = [
    "",
    "GET /",
    "GET / HTTP/1.1\r\nhost: {host}\r\nx: ",
    "POST /supplySupply HTTP/1.1\r\nhost: {host}\r\ncontent-length: 90\r\n\r\nurl=http://stranger/&computer_id=COMP-1",
    "POST /supplySupply HTTP/1.1\r\nhost: {host}\r\ntransfer-encoding: chunked\r\n\r\n4\r\nurl=\r\n",
];

/// Who comes, and when.
pub(super) fn draw(root: &Random, knobs: &Knobs, steps: &mut Vec<Step>) {
    if knobs.stranger_seconds == 0 {
        return;
    }
    let draw = Draw { random: root.child("strangers"), knobs };
    draw.times(knobs.stranger_seconds * 1000, knobs.turmoil_seconds * 1000, |at| {
        steps.push(Step { at, event: draw.stranger() });
    });
}

impl Draw<'_> {
    fn one_of<T: Copy>(&self, all: &[T]) -> T {
        all[self.random.below(all.len() as u64) as usize]
    }

    fn stranger(&self) -> Event {
        let whole = |text: String, status: u16| Event::Stranger { text, status, is_half: false };
        match self.random.below(9) {
            0 => whole(bare("GET", self.one_of(&NOWHERE)), 404),
            1 => whole(bare("GET", self.one_of(&ELSEWHERE)), 501),
            2 => {
                let (method, path) = self.one_of(&METHODS);
                whole(bare(method, path), if path == "/" { 404 } else { 405 })
            }
            3 => {
                let (path, status) = self.one_of(&QUESTIONS);
                whole(bare("GET", path), status)
            }
            4 => {
                let (path, body, status) = self.one_of(&FORMS);
                whole(post(path, FORM, body), status)
            }
            5 | 6 => {
                let (method, document, status) = self.one_of(&DOCUMENTS);
                whole(post(&format!("/slapos.{method}"), JSON, document), status)
            }
            7 => {
                let (text, status) = self.one_of(&HEADS);
                whole(text.to_owned(), status)
            }
            _ => Event::Stranger { text: self.one_of(&HALVES).to_owned(), status: 0, is_half: true },
        }
    }
}

fn bare(method: &str, path: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nhost: {{host}}\r\nconnection: close\r\n\r\n")
}

fn post(path: &str, media_type: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: {{host}}\r\ncontent-type: {media_type}\r\nconnection: close\r\n\
         content-length: {{length}}\r\n\r\n{body}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_might_be_done_names_a_stranger() {
        let is_named =
            |body: &str| body.contains(STRANGER) || body.contains('\u{ff}') || body.contains("%ff");
        for (path, body, _) in FORMS {
            assert!(body.is_empty() || body.starts_with("xml=") || is_named(body), "{path} {body}");
        }
        for (method, document, _) in DOCUMENTS {
            assert!(method.starts_with("get.") || is_named(document), "{method} {document}");
        }
    }
}
