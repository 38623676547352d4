//! What a node's view says of its partitions and releases, and reports as versions have them.

use super::super::names::partition_word;
use crate::swarm::told::Report;
use std::collections::{BTreeMap, BTreeSet};

/// The instance in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tenant {
    pub(super) title: String,
    pub(super) state: String,
    /// The partition's address, where its name tells it.
    pub(super) address: Option<String>,
}

/// The instance in each partition that there is, and the releases, from a view's lines (`versions.rs`): titles and URLs of swarms have no
/// spaces, and documents have lines of their own.
pub(super) fn tenants(view: &str) -> (BTreeMap<String, Option<Tenant>>, BTreeSet<String>) {
    let (mut partitions, mut releases) = (BTreeMap::new(), BTreeSet::new());
    for line in view.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        if line.starts_with("http://") || line.starts_with('/') {
            releases.insert(words[0].to_owned());
        } else if let Some(name) = words[0].strip_suffix(':').filter(|name| name.starts_with("slappart")) {
            let number = name.trim_start_matches("slappart").parse().ok();
            let address = number.map(|number| crate::swarm::cloud::partition_address(number).to_string());
            let tenant = (words.len() > 4).then(|| Tenant {
                title: words[1].split("___").next().unwrap_or_default().to_owned(),
                state: words[4].to_owned(),
                address,
            });
            partitions.insert(name.to_owned(), tenant);
        }
    }
    (partitions, releases)
}

/// A report as a version has it.
pub(super) fn reported(report: &Report) -> (String, Option<bool>) {
    let word = if report.is_nothing { "" } else { partition_word(&report.text) };
    (word.to_owned(), Some(report.is_nothing || report.is_new))
}
