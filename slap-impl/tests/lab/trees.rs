//! A root with a child, which the instance in its partition requests, and a shared instance.

use crate::support::{TestLab, get, instances, post};
use serde_json::json;

/// The instance in a partition of COMP-1 asks the master for something.
#[track_caller]
fn as_partition(lab: &TestLab, partition: &str, endpoint: &str, more: &[(&str, &str)]) {
    let master = lab.status()["master_url"].as_str().unwrap().to_owned();
    let mut fields = vec![("computer_id", "COMP-1"), ("computer_partition_id", partition)];
    fields.extend(more);
    let (status, body) = post(&format!("{master}/{endpoint}"), &fields).expect("the master answers");
    assert_eq!(status, 200, "{endpoint}: {body}");
}

#[test]
fn a_tree_lives_and_goes_from_its_leaves_up() {
    let lab = TestLab::up(1);
    let release = lab.first_release();
    let child = [("partition_reference", "child"), ("software_release", &release), ("software_type", "")];
    as_partition(&lab, "slappart0", "requestComputerPartition", &child);
    lab.ok(&["lab", "wait"]);
    let seen = lab.instance("child").expect("it has a partition");
    assert_eq!((&seen["root_title"], &seen["health"]["state"]), (&json!("hello-1"), &json!("green")));
    let page = lab.url("child");
    assert_eq!(get(&page).unwrap().0, 200);
    assert!(lab.ok(&["lab", "status"]).contains("child of hello-1 (started)"));
    let services: serde_json::Value = serde_json::from_str(&lab.ok(&["service", "list"])).unwrap();
    assert_eq!(services.as_object().unwrap().keys().collect::<Vec<_>>(), ["hello-1"]);

    let request = |state: &str| lab.ok(&["request", "hello-1", &release, "--state", state]);
    request("stopped");
    lab.ok(&["wait", "hello-1", "--for", "stopped", "--timeout", "60s"]);
    lab.until("the child stops with its root", |status| {
        let child = instances(status).remove("child")?;
        (child["requested_state"] == "stopped" && child["health"]["state"] == "green").then_some(())
    });
    assert!(get(&page).is_none() && lab.processes(&["http-server"]).is_empty());

    request("destroyed");
    lab.ok(&["wait", "hello-1", "--for", "destroyed", "--timeout", "60s"]);
    assert!(instances(&lab.status()).is_empty(), "the root was the last to go");
    request("started");
    lab.ok(&["wait", "hello-1", "--for", "green", "--timeout", "60s"]);
}

#[test]
fn a_shared_instance_is_in_its_hosts_list() {
    let lab = TestLab::up(1);
    let release = lab.first_release();
    let listed = || lab.instance("hello-1").unwrap()["shared_instances"].clone();
    let request = |state: &str| lab.slap(&["request", "guest", &release, "--slave", "--state", state]);
    assert_eq!(request("started").code, 0);
    lab.ok(&["wait", "guest", "--for", "green", "--timeout", "60s"]);
    assert_eq!(listed(), json!(["_guest"]));
    assert!(lab.ok(&["lab", "status"]).contains("shared           _guest"));

    let connection = "<marshal><dictionary id=\"i2\"><string>url</string><string>http://guest/</string>\
        </dictionary></marshal>";
    let published = [("slave_reference", "_guest"), ("connection_xml", connection)];
    as_partition(&lab, "slappart0", "setComputerPartitionConnectionXml", &published);
    let info: serde_json::Value = serde_json::from_str(&lab.ok(&["service", "info", "guest"])).unwrap();
    assert_eq!(info["shared"], true);
    assert_eq!(info["connection-parameters"], json!({"url": "http://guest/"}));

    assert_eq!(request("stopped").code, 0);
    lab.ok(&["wait", "guest", "--for", "stopped", "--timeout", "60s"]);
    assert_eq!(listed(), json!([]));
    lab.ok(&["request", "hello-1", &release, "--state", "destroyed"]);
    lab.ok(&["wait", "hello-1", "--for", "destroyed", "--timeout", "60s"]);
    let done = request("started");
    assert!(done.code == 1 && done.stderr.contains("no host was given to guest"), "{done:?}");
    assert_eq!(request("destroyed").code, 0);
    lab.ok(&["wait", "guest", "--for", "destroyed", "--timeout", "5s"]);
    assert_eq!(lab.ok(&["service", "list"]).trim(), "{}");
}
