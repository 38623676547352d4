//! The goldens were written by slapos.core 1.24.1 (`slapos.util.dumps` of objects of slapos.slap.slap).

use super::*;
use crate::wire::marshal::{decode, encode};

const COMPUTER: &str = include_str!("computer.xml");
const SOFTWARE_INSTANCE: &str = include_str!("software-instance.xml");

fn parameters_of(items: &[(&str, Option<&str>)]) -> Parameters {
    items.iter().map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned))).collect()
}

fn computer() -> Computer {
    let computer_id: ComputerId = "COMP-1".parse().unwrap();
    let release = |url: &str, requested_state| SoftwareRelease {
        url: url.parse().unwrap(),
        computer_id: computer_id.clone(),
        requested_state,
    };
    let partition = |name: &str| ComputerPartition {
        computer_id: computer_id.clone(),
        partition_id: name.parse().unwrap(),
        instance_guid: Some(format!("COMP-1-{name}")),
        requested_state: RequestedState::Destroyed,
        need_modification: false,
        access_status: None,
        instance: None,
    };
    let instance = Instance {
        software_release: release("url", None),
        software_type: "default".to_owned(),
        title: "i".to_owned(),
        root_title: "i".to_owned(),
        parameters: parameters_of(&[("name", Some("Ada")), ("empty", None)]),
        addresses: vec![("tap".to_owned(), "127.0.0.1".to_owned())],
        full_addresses: vec![],
        shared_instances: vec![SharedInstance {
            title: "_s".to_owned(),
            reference: "_s".to_owned(),
            software_type: Some("default".to_owned()),
            parameters: [("k".to_owned(), Value::text("v"))].into(),
        }],
        timestamp: Some("1700000000.25".to_owned()),
        connection: parameters_of(&[("url", Some("http://x"))]),
    };
    Computer {
        computer_id: computer_id.clone(),
        software_releases: vec![release("http://a/?b&c<", Some(SupplyState::Available))],
        partitions: vec![
            partition("slappart0"),
            ComputerPartition {
                requested_state: RequestedState::Started,
                need_modification: true,
                instance: Some(instance),
                ..partition("slappart1")
            },
        ],
    }
}

#[test]
fn a_computer_in_pieces_is_the_same() {
    let computer = computer();
    let whole = encode(&computer.to_value());
    let releases = &computer.software_releases;
    let pieces = Computer::write(&computer.computer_id, releases, 0, |writer| {
        computer.partitions.iter().for_each(|partition| writer.value(&partition.to_value()));
    });
    assert_eq!(pieces, whole);
}

#[test]
fn a_computer_is_written_and_read_as_python_does() {
    assert_eq!(encode(&computer().to_value()), COMPUTER.trim_end());
    assert_eq!(Computer::from_value(&decode(COMPUTER.as_bytes()).unwrap()).unwrap(), computer());
}

#[test]
fn a_software_instance_is_written_and_read_as_python_does() {
    let instance = SoftwareInstance {
        computer_id: "COMP-1".to_owned(),
        partition_id: "slappart0".to_owned(),
        software_release_url: "u".to_owned(),
        software_type: Some("default".to_owned()),
        addresses: vec![("e".to_owned(), "1.2.3.4".to_owned())],
        timestamp: Some("1.5".to_owned()),
        requested_state: Some(RequestedState::Started),
        own: Some(OwnPartition { instance_guid: "COMP-1-slappart0".to_owned(), connection_xml: None }),
        ..SoftwareInstance::default()
    };
    assert_eq!(encode(&instance.to_value()), SOFTWARE_INSTANCE.trim_end());
    let read = SoftwareInstance::from_value(&decode(SOFTWARE_INSTANCE.as_bytes()).unwrap()).unwrap();
    assert_eq!(read, instance);
}

#[test]
fn what_could_leave_a_directory_is_refused() {
    let document = COMPUTER.replace("slappart1", "../../etc");
    let error = Computer::from_value(&decode(document.as_bytes()).unwrap()).unwrap_err().to_string();
    assert!(error.contains("_partition_id") && error.contains("../../etc"), "{error}");
}

#[test]
fn a_users_parameter_cannot_take_the_masters_place() {
    let mut computer = computer();
    if let Some(instance) = &mut computer.partitions[1].instance {
        instance.parameters.insert("slap_computer_id".to_owned(), Some("COMP-2".to_owned()));
    }
    assert_eq!(encode(&computer.to_value()), COMPUTER.trim_end());
}
