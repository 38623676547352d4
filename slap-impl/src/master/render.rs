//! What the database holds, as the documents of the wire.

use crate::{
    store::{AccessStatus, Instance, Partition, Supply},
    vocabulary::{ComputerId, RequestedState},
    wire::{
        instance_xml::{self, Parameters},
        marshal::{self, Value},
        objects,
    },
};

/// A computer's full information.
pub(super) fn computer(computer: &ComputerId, supplies: &[Supply], partitions: &[Partition]) -> String {
    let software_releases = supplies
        .iter()
        .map(|supply| objects::SoftwareRelease {
            url: supply.url.clone(),
            computer_id: supply.computer.clone(),
            requested_state: Some(supply.state),
        })
        .collect();
    let partitions = partitions.iter().map(|partition| self::partition(partition, None)).collect();
    let computer = objects::Computer { computer_id: computer.clone(), software_releases, partitions };
    marshal::encode(&computer.to_value())
}

/// A partition and what shall be in it; with the last report where it is asked for alone, as the real master does.
pub(super) fn partition(partition: &Partition, status: Option<&AccessStatus>) -> objects::ComputerPartition {
    let instance = partition.instance.as_ref();
    objects::ComputerPartition {
        computer_id: partition.computer.clone(),
        partition_id: partition.reference.clone(),
        instance_guid: Some(format!("{}-{}", partition.computer, partition.reference)),
        requested_state: instance.map_or(RequestedState::Destroyed, |instance| instance.state),
        need_modification: instance.is_some(),
        access_status: status.map(|status| status.text.clone()),
        instance: instance.map(|instance| objects::Instance {
            software_release: objects::SoftwareRelease {
                url: instance.release.clone(),
                computer_id: instance.computer.clone(),
                requested_state: None,
            },
            software_type: instance.software_type.clone(),
            title: instance.title.to_string(),
            root_title: instance.title.to_string(),
            parameters: parameters(&instance.parameters),
            addresses: addresses(partition),
            full_addresses: Vec::new(),
            shared_instances: Vec::new(),
            timestamp: Some(timestamp(partition.timestamp)),
            connection: parameters(&instance.connection),
        }),
    }
}

/// The answer to a request: the instance and the partition that it has.
pub(super) fn given(partition: &Partition, instance: &Instance) -> objects::SoftwareInstance {
    objects::SoftwareInstance {
        computer_id: partition.computer.to_string(),
        partition_id: partition.reference.to_string(),
        software_release_url: instance.release.to_string(),
        software_type: Some(instance.software_type.clone()),
        addresses: addresses(partition),
        parameters: parameters(&instance.parameters),
        timestamp: Some(timestamp(partition.timestamp)),
        connection: parameters(&instance.connection),
        own: Some(objects::OwnPartition {
            instance_guid: instance.guid(),
            requested_state: instance.state,
            connection_xml: Some(instance.connection.clone()).filter(|document| !document.is_empty()),
        }),
    }
}

/// An access status; `now` is in microseconds since 1970. Without a report it says so, as the real master does
/// (SlapOSCacheMixin, `getAccessStatus`). The end of an error's log is added where there is one.
pub(super) fn status(
    status: Option<&AccessStatus>,
    user: &str,
    reference: &str,
    portal_type: &str,
    now: i64,
) -> Vec<(&'static str, Value)> {
    let mut items = vec![("reference", Value::text(reference)), ("portal_type", Value::text(portal_type))];
    let Some(status) = status else {
        items.extend([
            ("user", Value::text("SlapOS Master")),
            ("created_at", Value::text(date(now))),
            ("since", Value::text(date(now))),
            ("state", Value::text("")),
            ("text", Value::text(format!("#error no data found for {reference}"))),
            ("no_data", Value::Int(1)),
        ]);
        return items;
    };
    // The real master's "15" and "5 minutes" are 0.005 and 0.0025 days.
    let age_seconds = (now - status.created_at) / 1_000_000;
    items.extend([
        ("user", Value::text(user)),
        ("created_at", Value::text(date(status.created_at))),
        ("since", Value::text(date(status.since))),
        ("state", Value::text(&status.state)),
        ("text", Value::text(&status.text)),
        ("no_data_since_15_minutes", Value::Int(i128::from(age_seconds > 432))),
        ("no_data_since_5_minutes", Value::Int(i128::from(age_seconds > 216))),
    ]);
    if !status.log.is_empty() {
        items.push(("log", Value::text(&status.log)));
    }
    items
}

/// Seconds since 1970 with their fraction, as slapproxy writes them.
pub(super) fn timestamp(microseconds: i64) -> String {
    format!("{}.{:06}", microseconds.div_euclid(1_000_000), microseconds.rem_euclid(1_000_000))
}

/// A date as RFC 1123 writes it.
fn date(microseconds: i64) -> String {
    jiff::Timestamp::from_microsecond(microseconds).map_or_else(
        |_| microseconds.to_string(),
        |time| time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string(),
    )
}

fn addresses(partition: &Partition) -> Vec<(String, String)> {
    partition.addresses.iter().map(|address| (address.interface.clone(), address.address.clone())).collect()
}

/// What is stored was written by this program, so it can be read.
pub(super) fn parameters(document: &str) -> Parameters {
    instance_xml::decode(document).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_timestamps() {
        assert_eq!(timestamp(1_700_000_000_000_007), "1700000000.000007");
        assert_eq!(timestamp(-1), "-1.999999");
        assert_eq!(date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(date(i64::MAX), i64::MAX.to_string());
    }

    #[test]
    fn no_report_is_told_as_such() {
        let find = |items: &[(&str, Value)], name: &str| {
            items.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone())
        };
        let items = status(None, "COMP-1", "COMP-1-slappart0", "Software Instance", 0);
        assert_eq!(find(&items, "text"), Some(Value::text("#error no data found for COMP-1-slappart0")));
        assert_eq!(find(&items, "no_data"), Some(Value::Int(1)));
        let report = AccessStatus {
            text: "#access ok".into(),
            state: "started".into(),
            created_at: 0,
            since: 0,
            log: String::new(),
        };
        let check = |seconds: i64, five: i128, fifteen: i128| {
            let items = status(Some(&report), "COMP-1", "r", "t", seconds * 1_000_000);
            assert_eq!(find(&items, "no_data_since_5_minutes"), Some(Value::Int(five)), "{seconds}");
            assert_eq!(find(&items, "no_data_since_15_minutes"), Some(Value::Int(fifteen)), "{seconds}");
        };
        check(216, 0, 0);
        check(217, 1, 0);
        check(433, 1, 1);
    }
}
