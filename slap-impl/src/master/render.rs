//! What the database holds, as the documents of the wire.

use super::{
    decisions::{Given, StandIn},
    wishes::Granted,
};
use crate::{
    store::{AccessStatus, Instance, Partition, Place, Supply},
    vocabulary::{ComputerId, RequestedState},
    wire::{
        instance_xml::{self, Parameters},
        marshal::{self, Value},
        objects, status as wire,
    },
};
use rusqlite::types::Type;

/// A computer's releases in its full information.
pub(super) fn releases(supplies: &[Supply]) -> Vec<objects::SoftwareRelease> {
    let release = |supply: &Supply| objects::SoftwareRelease {
        url: supply.url.clone(),
        computer_id: supply.computer.clone(),
        requested_state: Some(supply.state),
    };
    supplies.iter().map(release).collect()
}

/// The full information of a computer without partitions.
pub(super) fn empty_computer(
    computer_id: &ComputerId,
    software_releases: Vec<objects::SoftwareRelease>,
) -> String {
    let computer_id = computer_id.clone();
    let computer = objects::Computer { computer_id, software_releases, partitions: Vec::new() };
    marshal::encode(&computer.to_value())
}

/// A partition and what shall be in it, with the shared instances that it lists; with the last report where it is asked for
/// alone, as the real master does.
pub(super) fn partition(
    partition: &Partition,
    shared: &[Instance],
    status: Option<&AccessStatus>,
) -> rusqlite::Result<objects::ComputerPartition> {
    let instance = match &partition.instance {
        Some(instance) => Some(self::instance(partition, instance, shared)?),
        None => None,
    };
    Ok(objects::ComputerPartition {
        computer_id: partition.computer.clone(),
        partition_id: partition.reference.clone(),
        instance_guid: Some(partition.guid()),
        requested_state: partition.instance.as_ref().map_or(RequestedState::Destroyed, |it| it.state),
        need_modification: instance.is_some(),
        access_status: status.map(|status| status.text.clone()),
        instance,
    })
}

fn instance(
    partition: &Partition,
    instance: &Instance,
    shared: &[Instance],
) -> rusqlite::Result<objects::Instance> {
    Ok(objects::Instance {
        software_release: objects::SoftwareRelease {
            url: instance.release.clone(),
            computer_id: partition.computer.clone(),
            requested_state: None,
        },
        software_type: instance.software_type.clone(),
        title: instance.title.to_string(),
        root_title: partition.root_title.as_ref().unwrap_or(&instance.title).to_string(),
        parameters: parameters(&instance.parameters)?,
        addresses: addresses(partition),
        full_addresses: Vec::new(),
        shared_instances: shared.iter().filter_map(entry).collect::<rusqlite::Result<_>>()?,
        timestamp: Some(timestamp(partition.timestamp)),
        connection: parameters(&instance.connection)?,
    })
}

/// How a shared instance stands in its host's list. Its reference is its title there, too, as with slapproxy.
fn entry(shared: &Instance) -> Option<rusqlite::Result<objects::SharedInstance>> {
    let Place::Shared { reference, .. } = &shared.place else { return None };
    Some(parameters(&shared.parameters).map(|own| objects::SharedInstance {
        title: reference.to_string(),
        reference: reference.to_string(),
        software_type: Some(shared.software_type.clone()),
        parameters: own.into_iter().map(|(key, value)| (key, Value::optional(value.as_deref()))).collect(),
    }))
}

/// The answer to a request.
pub(super) fn granted(granted: &Granted) -> rusqlite::Result<Value> {
    Ok(match granted {
        Granted::Given(given, _) => self::given(given)?.to_value(),
        Granted::StandIn(StandIn { partition, connection }) => {
            let connection = connection.iter().map(|(key, value)| (key.clone(), Value::text(value)));
            objects::StandIn { partition_id: partition.clone(), connection: connection.collect() }.to_value()
        }
        Granted::Forwarded(found) => found.to_value(),
    })
}

/// The answer to a request: the instance and where it is. Of a shared one its host's place, release and type are told, as by
/// slapproxy (slapos/proxy/db.py, `requestSlave`); without a host, none.
pub(super) fn given(given: &Given) -> rusqlite::Result<objects::SoftwareInstance> {
    let (instance, partition) = (&given.instance, given.partition.as_ref());
    let served_by = if instance.is_shared() { partition.and_then(|it| it.instance.as_ref()) } else { None };
    let served_by = served_by.unwrap_or(instance);
    let own = partition.filter(|_| !instance.is_shared());
    Ok(objects::SoftwareInstance {
        computer_id: partition.map(|partition| partition.computer.to_string()).unwrap_or_default(),
        partition_id: partition.map(|partition| partition.reference.to_string()).unwrap_or_default(),
        software_release_url: served_by.release.to_string(),
        software_type: Some(served_by.software_type.clone()),
        addresses: partition.map(addresses).unwrap_or_default(),
        parameters: parameters(&instance.parameters)?,
        timestamp: own.map(|partition| timestamp(partition.timestamp)),
        connection: parameters(&instance.connection)?,
        requested_state: Some(instance.state),
        own: own.map(|partition| objects::OwnPartition {
            instance_guid: partition.guid(),
            connection_xml: Some(instance.connection.clone()).filter(|document| !document.is_empty()),
        }),
    })
}

/// What is shown of a report; `timestamp` is that of the partition, or 0; it and `now` are in microseconds since 1970. Without a report it says so, as the real master
/// does (SlapOSCacheMixin, `getAccessStatus`).
pub(super) fn status(
    status: Option<&AccessStatus>,
    user: &str,
    reference: &str,
    portal_type: &str,
    timestamp: i64,
    now: i64,
) -> wire::AccessStatus {
    let Some(status) = status else {
        let unknown = wire::AccessStatus::unknown(reference, portal_type);
        return wire::AccessStatus { created_at: date(now), since: date(now), ..unknown };
    };
    // The real master's "15" and "5 minutes" are 0.005 and 0.0025 days.
    let age_seconds = (now - status.created_at) / 1_000_000;
    wire::AccessStatus {
        user: user.to_owned(),
        created_at: date(status.created_at),
        since: date(status.since),
        text: status.text.clone(),
        state: status.state.clone(),
        reference: reference.to_owned(),
        portal_type: portal_type.to_owned(),
        no_data: false,
        no_data_since_5_minutes: age_seconds > 216,
        no_data_since_15_minutes: age_seconds > 432,
        up_to_date: status.about >= timestamp,
        log: status.log.clone(),
    }
}

/// Reads what [`timestamp`] writes.
pub(super) fn microseconds(text: &str) -> Option<i64> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits: String = fraction.chars().chain("000000".chars()).take(6).collect();
    let seconds: i64 = seconds.parse().ok()?;
    seconds.checked_mul(1_000_000)?.checked_add(digits.parse::<u32>().ok()?.into())
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

/// What is stored was written by this program: what cannot be read of it is damage.
pub(super) fn parameters(document: &str) -> rusqlite::Result<Parameters> {
    instance_xml::decode(document)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_timestamps() {
        assert_eq!(timestamp(1_700_000_000_000_007), "1700000000.000007");
        assert_eq!(timestamp(-1), "-1.999999");
        assert_eq!(microseconds("1700000000.000007"), Some(1_700_000_000_000_007));
        assert_eq!(microseconds("17.5"), Some(17_500_000));
        for bad in ["", "x", "1.x", "99999999999999999999"] {
            assert_eq!(microseconds(bad), None, "{bad}");
        }
        assert_eq!(date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(date(i64::MAX), i64::MAX.to_string());
    }

    #[test]
    fn no_report_is_told_as_such() {
        let unknown = status(None, "COMP-1", "COMP-1-slappart0", "Software Instance", 7, 0);
        assert_eq!(unknown.text, "#error no data found for COMP-1-slappart0");
        assert!(unknown.no_data);
        let report = AccessStatus {
            text: "#access ok".into(),
            state: "started".into(),
            created_at: 0,
            since: 0,
            log: "why".into(),
            about: 7,
        };
        for (seconds, five, fifteen) in [(216, false, false), (217, true, false), (433, true, true)] {
            let shown = status(Some(&report), "COMP-1", "r", "t", 7, seconds * 1_000_000);
            assert_eq!(shown.no_data_since_5_minutes, five, "{seconds}");
            assert_eq!(shown.no_data_since_15_minutes, fifteen, "{seconds}");
            assert_eq!(shown.to_json()["log"], "why");
        }
    }
}
