//! How much a computer may be told: so much that its node can read it.

use super::*;
use crate::{
    master::documents::Documents,
    store::testing::counted_bytes,
    wire::instance_xml::{Parameters, encode},
};

/// What is written around all that is counted.
const AROUND: i64 = 1024;

/// What is counted for a computer, and how long its document is.
fn bytes(world: &World, computer: &str) -> (i64, i64) {
    let sql = "SELECT bytes FROM computer WHERE reference = ?1";
    let counted: i64 = world.connection.query_row(sql, [computer], |row| row.get(0)).unwrap();
    assert_eq!(counted_bytes(&world.connection, computer), counted, "{computer}");
    let document = Documents::default().at(&world.connection, &computer.parse().unwrap(), 1, None).unwrap();
    (counted, i64::try_from(document.len()).unwrap())
}

/// Nothing is longer than it is counted.
pub(super) fn check_bytes(world: &World, computer: &str) {
    if store::computer(&world.connection, &computer.parse().unwrap()).unwrap().is_some() {
        let (counted, length) = bytes(world, computer);
        assert!(length <= counted + AROUND, "{computer}: {length} bytes, counted {counted}");
    }
}

fn document(key: &str, value: String) -> String {
    encode(&Parameters::from([(key.to_owned(), Some(value))]))
}

fn wish(title: &str, letters: &str, count: usize, shared: bool) -> Command {
    Command::Request {
        title: title.parse().unwrap(),
        release: format!("/{}", "r".repeat(4000)).parse().unwrap(),
        software_type: "t".repeat(512),
        parameters: document(letters, letters.repeat(count)),
        filter: BTreeMap::new(),
        state: None,
        requester: None,
        shared,
    }
}

#[test]
fn whatever_is_told_is_counted_as_it_is_written() {
    for letter in ["a", "&", "<", ">", "\"", "\r", "\n", "\u{7f}", "\u{80}", "é", "\u{7ff}", "€", "😀"] {
        let mut world = World::new();
        let title = |text: &str| {
            if letter.chars().any(char::is_control) { text.to_owned() } else { letter.repeat(511) + text }
        };
        let name = "x".repeat(127);
        let computer = format!("C{name}");
        let Command::Format { partitions, .. } = format(&computer, &[format!("a{name}"), format!("b{name}")])
        else {
            unreachable!()
        };
        let partitions = partitions
            .into_iter()
            .map(|partition| FormattedPartition {
                addresses: vec![(letter.repeat(100), letter.repeat(100), letter.repeat(100)); 64],
                ..partition
            })
            .collect();
        let formatted = Command::Format {
            computer: computer.parse().unwrap(),
            address: String::new(),
            netmask: String::new(),
            partitions,
        };
        world.text(&formatted);
        check_bytes(&world, &computer);
        let supplied = format!("/{}", title("s")).replace('\n', "");
        world.text(&Command::Supply {
            computer: computer.parse().unwrap(),
            url: supplied.parse().unwrap(),
            state: SupplyState::Destroyed,
        });
        check_bytes(&world, &computer);
        let place = world.given(&wish(&title("1"), letter, 10_000, false));
        check_bytes(&world, &computer);
        world.given(&wish(&title("2"), letter, 10_000, true));
        check_bytes(&world, &computer);
        let published = Command::Publish {
            computer: place.computer.clone(),
            partition: place.reference.clone(),
            slave_reference: None,
            document: document("k", letter.repeat(10_000)),
        };
        world.text(&published);
        check_bytes(&world, &computer);
        let renamed = Command::Rename {
            computer: place.computer.clone(),
            partition: place.reference.clone(),
            slave_reference: None,
            title: title("3").parse().unwrap(),
        };
        world.text(&renamed);
        check_bytes(&world, &computer);
        let (counted, length) = bytes(&world, &computer);
        assert!(counted < 3 * length, "{letter:?}: {length} bytes, counted {counted}");
    }
}

#[test]
fn a_computer_is_told_no_more_than_it_can_read() {
    let mut world = World::new();
    let partitions: Vec<String> = (0..20).map(|number| format!("slappart{number}")).collect();
    world.text(&format("COMP-1", &partitions));
    // Each is written with nine bytes for one that was sent.
    let large = |title: &str| wish(title, "&", 1 << 20, false);
    let mut given = 0;
    let refusal = loop {
        match world.decide(&large(&format!("t{given}"))).answer {
            Ok(_) => given += 1,
            Err(refusal) => break refusal,
        }
        assert!(given < 20, "all were given");
    };
    assert_eq!((given, refusal.status), (6, 507), "{refusal}");
    assert!(refusal.message.contains("COMP-1 is told too much"), "{refusal}");
    check_bytes(&world, "COMP-1");
    assert!(bytes(&world, "COMP-1").1 < i64::try_from(DOCUMENT_BYTES_MAX).unwrap());
    // Neither may what is there grow; less is always taken, and what is small has room.
    let Command::Request { parameters, .. } = wish("x", "&", 1 << 20, false) else { unreachable!() };
    let publish = Command::Publish {
        computer: "COMP-1".parse().unwrap(),
        partition: "slappart0".parse().unwrap(),
        slave_reference: None,
        document: parameters,
    };
    assert_eq!(world.refusal(&publish).status, 507);
    world.given(&wish("t0", "&", 10, false));
    world.text(&publish);
    assert_eq!(world.refusal(&large("t0")).status, 507);
    world.given(&request("small", None, &[]));
    check_bytes(&world, "COMP-1");
}

#[test]
fn what_is_too_much_already_may_become_less() {
    let mut world = World::new();
    world.format("COMP-1", 3);
    world.given(&request("a", None, &[]));
    let too_much = INFORMATION_BYTES_MAX + 100_000;
    world.connection.execute("UPDATE computer SET bytes = ?1, settled = ?1", [too_much]).unwrap();
    assert_eq!(world.refusal(&request("b", None, &[])).status, 507);
    world.given(&request("a", Some(RequestedState::Stopped), &[]));
    world.given(&request("a", Some(RequestedState::Destroyed), &[]));
    assert_eq!(world.text(&report("COMP-1", "slappart0", InstanceReport::Destroyed)), "OK");
}
