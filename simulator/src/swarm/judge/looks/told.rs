//! What a node's view says of its partitions and releases, and reports as versions have them.

use super::super::names::partition_word;
use crate::swarm::told::Report;
use std::collections::{BTreeMap, BTreeSet};

/// The instance in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tenant {
    /// Its title, or the name that JSON-RPC knows it by.
    pub(super) name: String,
    pub(super) state: String,
}

impl Tenant {
    /// Its title, if it is a root.
    pub(super) fn root(&self) -> &str {
        self.name.strip_suffix(ROOT).unwrap_or(&self.name)
    }
}

/// What the name of a root ends with.
const ROOT: &str = "______0";

/// What a node is told.
#[derive(Debug, Default)]
pub(super) struct View {
    /// The instance in each partition that there is; none in a free one.
    pub(super) partitions: BTreeMap<String, Option<Tenant>>,
    pub(super) releases: BTreeSet<String>,
}

/// What a node is told, from a view's lines (`versions.rs`): titles and URLs of swarms have no
/// spaces, and documents have lines of their own.
pub(super) fn tenants(view: &str) -> View {
    let mut found = View::default();
    for line in view.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        if let Some(name) = words[0].strip_suffix(':').filter(|name| name.starts_with("slappart")) {
            let tenant =
                (words.len() > 4).then(|| Tenant { name: words[1].to_owned(), state: words[4].to_owned() });
            found.partitions.insert(name.to_owned(), tenant);
        } else if let [url, "available" | "destroyed"] = words[..] {
            found.releases.insert(url.to_owned());
        }
    }
    found
}

/// A report as a version has it.
pub(super) fn reported(report: &Report) -> (String, Option<bool>) {
    let word = if report.is_nothing { "" } else { partition_word(&report.text) };
    (word.to_owned(), Some(report.is_nothing || report.is_new))
}
