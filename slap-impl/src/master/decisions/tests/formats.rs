//! What formats do to the order of partitions and to their timestamps.

use super::*;

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|name| format!("slappart{name}")).collect()
}

#[test]
fn a_partition_of_the_default_computer_is_unknown_and_not_the_computer() {
    let mut world = World::new();
    world.default = Some("COMP-1".parse().unwrap());
    let bang = |computer| report(computer, "slappart0", InstanceReport::Bang { message: "now".into() });
    let refusal = world.refusal(&bang("COMP-1"));
    assert_eq!(
        (refusal.status, refusal.message.as_str()),
        (404, "COMP-1 has no partition slappart0; it has: none")
    );
    assert_eq!(world.refusal(&bang("COMP-2")).message, "no computer COMP-2 is registered here; known: none");
}

#[test]
fn partitions_are_given_in_the_order_of_the_last_format() {
    let mut world = World::new();
    world.text(&format("COMP-1", &names(&["0", "1", "2"])));
    world.text(&format("COMP-1", &names(&["2", "0", "1"])));
    let given: Vec<String> =
        ["a", "b", "c"].map(|title| world.given(&request(title, None, &[])).reference.to_string()).into();
    assert_eq!(given, names(&["2", "0", "1"]));
    // What the last format lacks comes after the others, by name, wherever it stood before.
    world.text(&format("COMP-1", &names(&["1"])));
    let computer = "COMP-1".parse().unwrap();
    let order: Vec<String> = store::partitions(&world.connection, &computer)
        .unwrap()
        .iter()
        .map(|partition| partition.reference.to_string())
        .collect();
    assert_eq!(order, names(&["1", "0", "2"]));
    let host = store::host_for(&world.connection, &computer, None, &"/software.cfg".parse().unwrap(), None);
    let host = store::instance(&world.connection, host.unwrap().unwrap()).unwrap().unwrap();
    assert_eq!(host.title.as_str(), "c");
}

#[test]
fn a_partition_that_comes_back_has_no_timestamp_that_it_had() {
    let destroyed = Some(RequestedState::Destroyed);
    let gone = |about| Command::ReportInstance {
        computer: "COMP-1".parse().unwrap(),
        partition: "slappart0".parse().unwrap(),
        slave_reference: None,
        report: InstanceReport::Destroyed,
        about,
    };
    // A free partition is dropped by the format; a busy one when its instance goes.
    for is_busy in [false, true] {
        let mut world = World::new();
        world.format("COMP-1", 1);
        world.given(&request("a", None, &[]));
        let old = world.given(&request("a", destroyed, &[])).timestamp;
        if is_busy {
            world.format("COMP-1", 0);
        }
        world.text(&gone(None));
        world.format("COMP-1", 0);
        world.now -= 1_000;
        world.format("COMP-1", 1);
        let new = world.given(&request("b", None, &[])).timestamp;
        assert!(new > old, "{new} after {old}");
        world.given(&request("b", destroyed, &[]));
        assert_eq!(world.text(&gone(Some(old))), "Ignored: the report is about an earlier state");
        assert!(world.partition("COMP-1", "slappart0").instance.is_some());
    }
}
