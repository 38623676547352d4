//! What is kept of what was sent, and what is refused because it could not be kept or told as it is.

use super::*;
use crate::{
    store,
    vocabulary::SupplyState,
    wire::http::server::{Handler, Request as Asked},
};
use serde_json::{Value as Json, json};

/// A master that is asked in its own process, with a computer of two partitions.
struct Values(Rc<Master>);

impl Values {
    async fn send(&self, request: Asked) -> (u16, String) {
        let response = self.0.clone().handle(request).await;
        (response.status, String::from_utf8(response.body.to_vec()).unwrap())
    }

    async fn form(&self, path: &str, fields: &[(&str, &str)]) -> (u16, String) {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let (method, path) = ("POST".to_owned(), format!("/{path}"));
        self.send(Asked { method, path, body: body.into(), ..Asked::default() }).await
    }

    async fn get(&self, path: &str, query: &str) -> (u16, String) {
        let (method, path, query) = ("GET".to_owned(), format!("/{path}"), query.to_owned());
        self.send(Asked { method, path, query, ..Asked::default() }).await
    }

    async fn rpc(&self, method: &str, body: &str) -> (u16, Json) {
        let request = Asked {
            method: "POST".to_owned(),
            path: format!("/slapos.{method}"),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.to_owned().into(),
            ..Asked::default()
        };
        let (status, text) = self.send(request).await;
        (status, serde_json::from_str(&text).unwrap())
    }

    /// Asks for the instance `a` with these members beside the others that it needs.
    async fn request(&self, members: &str) -> (u16, Json) {
        let body = format!(
            "{{\"title\": \"a\", \"software_release_uri\": \"/r\", \"software_type\": \"\", {members}}}"
        );
        self.rpc("post.v0.software_instance", &body).await
    }
}

fn with_values(test: impl AsyncFnOnce(Values)) {
    in_place(async |env, database| {
        let configuration = Configuration {
            log_file: Some(database.with_extension("log")),
            database,
            ..Configuration::default()
        };
        let values = Values(Master::open(&env, configuration).await.unwrap());
        let partitions =
            ["slappart0", "slappart1"].map(|name| json!({ "partition_id": name, "ip_list": [] }));
        let format = json!({ "computer_guid": "COMP-1", "compute_partition_list": partitions });
        assert_eq!(values.rpc("put.v0.compute_node_format", &format.to_string()).await.0, 200);
        test(values).await;
    });
}

/// Each is what CPython 3.11 gives for `str(json.loads(...))`.
#[test]
fn numbers_are_kept_as_python_reads_and_writes_them() {
    const NUMBERS: [(&str, &str); 18] = [
        ("1", "1"),
        ("-7", "-7"),
        ("18446744073709551615", "18446744073709551615"),
        ("18446744073709551616", "18446744073709551616"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("-99999999999999999999", "-99999999999999999999"),
        ("-0", "0"),
        ("-0.0", "-0.0"),
        ("0.1", "0.1"),
        ("1.0", "1.0"),
        ("9007199254740993", "9007199254740993"),
        ("9007199254740993.0", "9007199254740992.0"),
        ("1E5", "100000.0"),
        ("1e22", "1e+22"),
        ("5e-324", "5e-324"),
        ("2.2250738585072011e-308", "2.225073858507201e-308"),
        ("123456789.12345678901", "123456789.12345679"),
        ("1.7976931348623157e308", "1.7976931348623157e+308"),
    ];
    with_values(async |values| {
        for (sent, expected) in NUMBERS {
            let (status, answer) = values
                .request(&format!("\"parameters\": {{\"n\": {sent}, \"b\": 1.5, \"t\": \"-0\"}}"))
                .await;
            assert_eq!(status, 200, "{sent}: {answer}");
            assert_eq!(answer["parameters"], json!({ "b": "1.5", "n": expected, "t": "-0" }), "{sent}");
            let published = format!(
                "{{\"instance_guid\": \"a______0\", \"connection_parameter_dict\": {{\"n\": {sent}}}}}"
            );
            let (status, answer) =
                values.rpc("put.v0.software_instance_connection_parameter", &published).await;
            assert_eq!(status, 200, "{sent}: {answer}");
            let (_, answer) =
                values.rpc("get.v0.software_instance", r#"{"instance_guid": "a______0"}"#).await;
            assert_eq!(answer["connection_parameters"]["n"], expected, "{sent}");
        }
        for sent in ["1e400", "-1e400", "01", "NaN"] {
            let (status, answer) = values.request(&format!("\"parameters\": {{\"n\": {sent}}}")).await;
            assert!(
                status == 400 && answer["title"].as_str().unwrap().contains("no JSON"),
                "{sent}: {answer}"
            );
        }
    });
}

#[test]
fn what_xml_cannot_hold_is_refused_in_json_too() {
    with_values(async |values| {
        for (member, expected) in [
            (r#""parameters": {"k": "a\u0000"}"#, "parameters: \"k\" holds U+0000"),
            (r#""parameters": {"k": "\uffff"}"#, "parameters: \"k\" holds U+FFFF"),
            (r#""parameters": {"\u0001": "a"}"#, "holds U+0001"),
            (r#""parameters": {"k\u001b": 1}"#, "holds U+001B"),
            (
                r#""sla_parameters": {"computer_guid": "\u0007"}"#,
                "sla_parameters: \"computer_guid\" holds U+0007",
            ),
        ] {
            let (status, answer) = values.request(member).await;
            let reason = answer["title"].as_str().unwrap();
            assert!(status == 400 && reason.contains(expected), "{member}: {status} {answer}");
        }
        assert_eq!(values.request(r#""parameters": {"k": "a\t\n\r\ud83d\ude00"}"#).await.0, 200);
        let body = r#"{"instance_guid": "a______0", "connection_parameter_dict": {"k": "\u0000"}}"#;
        let (status, answer) = values.rpc("put.v0.software_instance_connection_parameter", body).await;
        assert!(status == 400 && answer["title"].as_str().unwrap().contains("holds U+0000"), "{answer}");
        let body = r#"{"computer_guid": "C", "compute_partition_list": [{"partition_id": "p", "ip_list":
            [{"ip-address": "\u0000", "netmask": ""}]}]}"#;
        let (status, answer) = values.rpc("put.v0.compute_node_format", body).await;
        assert!(status == 400 && answer["title"].as_str().unwrap().contains("holds U+0000"), "{answer}");
    });
}

#[test]
fn names_that_could_not_be_told_are_refused() {
    with_values(async |values| {
        let request = async |title: &str, release: &str, software_type: &str, shared: bool| {
            let shared = if shared { "<marshal><bool>1</bool></marshal>" } else { "" };
            let fields = [
                ("partition_reference", title),
                ("software_release", release),
                ("software_type", software_type),
                ("shared_xml", shared),
            ];
            values.form("requestComputerPartition", &fields).await
        };
        assert_eq!(request("good", "/r", "t", false).await.0, 200);
        for (title, release, software_type, expected) in [
            ("a\u{ffff}", "/r", "t", "U+FFFF"),
            ("a", "/r\u{fffe}", "t", "U+FFFE"),
            ("good", "/r\u{fffe}", "t", "U+FFFE"),
            ("a", "/r", "t\u{ffff}", "U+FFFF"),
            (".", "/r", "t", "hint: in a URL it means another place"),
            ("..", "/r", "t", "hint: in a URL it means another place"),
        ] {
            let (status, answer) = request(title, release, software_type, false).await;
            assert!(status == 400 && answer.contains(expected), "{title:?}: {status} {answer}");
        }
        let (status, answer) = request("..", "/r", "t", true).await;
        assert!(status == 400 && answer.contains("hint: in a URL"), "{status} {answer}");
        for title in [".", "..", "\u{ffff}"] {
            let place = [("computer_id", "COMP-1"), ("computer_partition_id", "slappart0")];
            let (status, answer) =
                values.form("softwareInstanceRename", &[place[0], place[1], ("new_name", title)]).await;
            assert!(status == 400 && answer.contains("can be no title"), "{title:?}: {status} {answer}");
        }
        let supply = [("url", "/r\u{ffff}"), ("computer_id", "COMP-1"), ("state", "available")];
        let (status, answer) = values.form("supplySupply", &supply).await;
        assert!(status == 400 && answer.contains("U+FFFF"), "{status} {answer}");
        // What an earlier version kept can be read, and destroyed.
        let kept = values.0.read(store::instances).unwrap();
        let rename: crate::env::Write = Box::new(move |connection| {
            store::set_title(connection, kept[0].number, &"..".parse().unwrap())?;
            let computer = "COMP-1".parse().unwrap();
            store::upsert_supply(
                connection,
                &computer,
                &"/\u{ffff}".parse().unwrap(),
                SupplyState::Available,
            )?;
            Ok(Verdict::Keep)
        });
        values.0.store.commit(vec![rename]).await.unwrap();
        assert_eq!(values.get("getFullComputerInformation", "computer_id=COMP-1").await.0, 200);
        let fields = [
            ("partition_reference", ".."),
            ("software_release", "/r"),
            ("software_type", "t"),
            ("state", "<marshal><string>destroyed</string></marshal>"),
        ];
        assert_eq!(values.form("requestComputerPartition", &fields).await.0, 200);
    });
}

#[test]
fn a_stored_document_that_cannot_be_read_is_damage() {
    for column in ["parameters", "connection"] {
        with_values(async |values| {
            assert_eq!(values.request("\"parameters\": {\"a\": \"b\"}").await.0, 200);
            let damage: crate::env::Write = Box::new(move |connection| {
                connection.execute(&format!("UPDATE instance SET {column} = '<instance><para'"), [])?;
                connection.execute("UPDATE partition SET revision = revision + 1", [])?;
                connection.execute("UPDATE computer SET revision = revision + 1", [])?;
                Ok(Verdict::Keep)
            });
            values.0.store.commit(vec![damage]).await.unwrap();
            let (status, answer) =
                values.rpc("get.v0.software_instance", r#"{"instance_guid": "a______0"}"#).await;
            assert!(status == 503 && answer["title"].as_str().unwrap().contains(".recover"), "{answer}");
            let place = "computer_reference=COMP-1&computer_partition_reference=slappart0";
            for (path, query) in
                [("getFullComputerInformation", "computer_id=COMP-1"), ("registerComputerPartition", place)]
            {
                let (status, answer) = values.get(path, query).await;
                assert!(status == 503 && answer.contains(".recover"), "{path}: {status} {answer}");
            }
            let fields = [("partition_reference", "a"), ("software_release", "/r"), ("software_type", "")];
            if column == "connection" {
                let (status, answer) = values.form("requestComputerPartition", &fields).await;
                assert!(status == 503 && answer.contains(".recover"), "{status} {answer}");
            }
        });
    }
}

#[test]
fn events_come_in_parts_that_can_be_read() {
    with_values(async |values| {
        let value = "x".repeat(900_000);
        for number in 0..12 {
            let members = format!("\"parameters\": {{\"k\": \"{number}{value}\"}}");
            assert_eq!(values.request(&members).await.0, 200);
        }
        let (mut since, mut parts, mut seen) = (0, 0, 0);
        loop {
            let (status, answer) = values.get("events", &format!("since={since}")).await;
            assert!(status == 200 && answer.len() < 6 << 20, "{status}, {} bytes", answer.len());
            let answer: Json = serde_json::from_str(&answer).unwrap();
            let events = answer["events"].as_array().unwrap();
            let Some(last) = events.last() else { break };
            since = last["sequence"].as_i64().unwrap();
            (parts, seen) = (parts + 1, seen + events.len());
        }
        assert_eq!((parts, seen), (3, 13), "a format and twelve requests, five at a time and more");
    });
}

#[test]
fn who_knows_whatever_there_is_hears_of_a_change() {
    with_values(async |values| {
        let ask = Asked {
            method: "GET".to_owned(),
            path: "/getFullComputerInformation".to_owned(),
            query: "computer_id=COMP-1".to_owned(),
            headers: [("if-none-match", "*"), ("prefer", "wait=60")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            ..Asked::default()
        };
        let change = async {
            let computer = "COMP-1".parse().unwrap();
            while !values.0.watchers.are_there(&computer) {
                values.0.env.sleep(Duration::from_millis(1)).await;
            }
            values.request("\"parameters\": {}").await
        };
        let (answers, changed) = {
            let (left, right) = (Box::pin(values.send(ask)), Box::pin(change));
            tokio::join!(left, right)
        };
        assert_eq!((answers.0, changed.0), (200, 200));
        assert!(answers.1.contains("slappart0"));
    });
}

#[test]
fn a_computers_page_shows_so_much_of_its_logs() {
    with_values(async |values| {
        let fill: crate::env::Write = Box::new(|connection| {
            connection.execute_batch(
                "CREATE TEMP TABLE name AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200)
                    SELECT 'p' || i AS name FROM n;
                INSERT INTO partition (computer, reference, position, listed, timestamp)
                    SELECT 'COMP-1', name, 9, 1, 0 FROM name;
                INSERT INTO instance (title, shared, computer, partition, release, software_type, parameters, connection, state)
                    SELECT name, 0, 'COMP-1', name, '/r', '', '', '', 'started' FROM name;
                INSERT INTO access_status (computer, kind, name, text, state, created_at, since, log, about)
                    SELECT 'COMP-1', 'partition', name, '#error', '', 1, 1, replace(hex(zeroblob(5000)), '0', char(1)), 0 FROM name",
            )?;
            Ok(Verdict::Keep)
        });
        values.0.store.commit(vec![fill]).await.unwrap();
        let (status, page) = values.get("hateoas/computers/COMP-1", "").await;
        assert_eq!(status, 200);
        assert!(page.len() < 64 << 20, "{} bytes", page.len());
        let page: Json = serde_json::from_str(&page).unwrap();
        let news = page["_embedded"]["_view"]["my_news"]["default"]["partition"].as_object().unwrap();
        let with_log =
            news.values().filter(|status| status["log"].as_str().is_some_and(|log| !log.is_empty()));
        assert_eq!((news.len(), with_log.count()), (1200, (8 << 20) / 10_000));
    });
}

#[test]
fn reasons_show_the_beginning_of_a_key() {
    with_values(async |values| {
        let key = "k".repeat(100_000);
        for members in [
            format!("\"sla_parameters\": {{\"{key}\": \"v\"}}"),
            format!("\"parameters\": {{\"{key}\": []}}"),
            format!("\"parameters\": {{\"{key}\": \"\\u0000\"}}"),
        ] {
            let (status, answer) = values.request(&members).await;
            let reason = answer["title"].as_str().unwrap();
            assert!(status == 400 && reason.contains(&key[..200]), "{reason}");
            assert!(reason.len() < 500, "a reason of {} bytes", reason.len());
        }
    });
}
