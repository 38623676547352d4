//! When a partition must be processed: decisions without any I/O (slapos.core: grid/slapgrid.py,
//! `processComputerPartition`, and grid/watchdog.py, `has_bang_already_been_called`).

use crate::vocabulary::SoftwareUrl;
use std::path::{Path, PathBuf};

/// What is known of a partition's last successful processing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deployed {
    /// The master's timestamp then, as it stands in `.timestamp`.
    pub timestamp: Option<String>,
    /// When that was: seconds since 1970.
    pub at_seconds: i64,
    /// The deployment about which the master was last banged, as it stands in `.slapos_latest_bang_timestamp`.
    pub banged: Option<String>,
}

/// What the master and the settings want.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// The master's timestamp; none with a master that has none.
    pub timestamp: Option<&'a str>,
    /// Seconds after which it is processed again although nothing changed; negative for never, 0 for always.
    pub periodicity_seconds: i64,
    /// Process anyway.
    pub force: bool,
}

/// Whether a partition must be processed.
pub fn is_due(wanted: Wanted<'_>, deployed: &Deployed, now_seconds: i64) -> bool {
    let Some(timestamp) = wanted.timestamp else { return true };
    if wanted.force || wanted.periodicity_seconds == 0 || deployed.timestamp.as_deref() != Some(timestamp) {
        return true;
    }
    let age = now_seconds.saturating_sub(deployed.at_seconds);
    wanted.periodicity_seconds > 0 && age > wanted.periodicity_seconds
}

/// Whether the master may be told that something is broken: once for each deployment.
pub fn may_bang(deployed: &Deployed) -> bool {
    let Some(banged) = &deployed.banged else { return true };
    let Some(timestamp) = &deployed.timestamp else { return false };
    match (timestamp.parse::<f64>(), banged.parse::<f64>()) {
        (Ok(timestamp), Ok(banged)) => timestamp > banged,
        _ => timestamp != banged,
    }
}

/// The profile of a release that is a file of this machine.
pub fn release_file(url: &SoftwareUrl) -> Option<PathBuf> {
    let path = Path::new(url.as_str().strip_prefix("file://").unwrap_or(url.as_str()));
    path.is_absolute().then(|| path.to_owned())
}

/// Seconds until something that failed `failures` times in a row is tried again: 1, 2, 4 ... 300.
pub fn retry_seconds(failures: u32) -> u64 {
    1_u64.checked_shl(failures.saturating_sub(1)).unwrap_or(u64::MAX).min(300)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployed(timestamp: Option<&str>, banged: Option<&str>) -> Deployed {
        Deployed {
            timestamp: timestamp.map(str::to_owned),
            at_seconds: 1000,
            banged: banged.map(str::to_owned),
        }
    }

    #[test]
    fn a_partition_is_processed_when_something_changed() {
        let wanted = Wanted { timestamp: Some("7"), periodicity_seconds: 60, force: false };
        for (wanted, timestamp, now, expected) in [
            (wanted, Some("7"), 1060, false),
            (wanted, Some("7"), 1061, true),
            (wanted, Some("6"), 1000, true),
            (wanted, None, 1000, true),
            (Wanted { timestamp: None, ..wanted }, Some("7"), 1000, true),
            (Wanted { force: true, ..wanted }, Some("7"), 1000, true),
            (Wanted { periodicity_seconds: -1, ..wanted }, Some("7"), 999_999, false),
            (Wanted { periodicity_seconds: 0, ..wanted }, Some("7"), 1000, true),
        ] {
            let deployed = deployed(timestamp, None);
            assert_eq!(is_due(wanted, &deployed, now), expected, "{wanted:?} {timestamp:?} {now}");
        }
    }

    #[test]
    fn the_master_is_banged_once_for_each_deployment() {
        for (timestamp, banged, expected) in [
            (Some("7"), None, true),
            (None, None, true),
            (Some("7"), Some("7"), false),
            (Some("8"), Some("7"), true),
            (Some("10"), Some("9"), true),
            (Some("10.5"), Some("9.25"), true),
            (None, Some("0"), false),
            (Some("b"), Some("a"), true),
        ] {
            assert_eq!(may_bang(&deployed(timestamp, banged)), expected, "{timestamp:?} {banged:?}");
        }
    }

    #[test]
    fn retries_become_rare() {
        let seconds: Vec<u64> = [0, 1, 2, 3, 9, 10, 40, 400].into_iter().map(retry_seconds).collect();
        assert_eq!(seconds, [1, 1, 2, 4, 256, 300, 300, 300]);
    }
}
