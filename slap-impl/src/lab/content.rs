//! What a new lab starts with: packed from `golden/` by the build script, as data.

use serde::Deserialize;
use std::collections::BTreeMap;

include!(concat!(env!("OUT_DIR"), "/golden.rs"));

/// What `golden/lab.json` says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Content {
    /// The release's directory below `golden/`.
    pub(super) release: String,
    /// The software profile in it.
    pub(super) profile: String,
    /// The instance that each node gets.
    pub(super) instance: InstanceContent,
}

/// An instance of the release; `{number}` and `{computer}` stand for the node's.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InstanceContent {
    /// Its title.
    pub(super) title: String,
    /// Its parameters.
    pub(super) parameters: BTreeMap<String, String>,
}

impl Content {
    /// The packed content; `None` in a program that was built away from `golden/`.
    pub(super) fn packed() -> Option<Content> {
        let (_, json) = FILES.iter().find(|(name, _)| *name == "lab.json")?;
        Some(serde_json::from_slice(json).expect("a test reads the packed file"))
    }

    /// The release's directory name.
    pub(super) fn name(&self) -> &str {
        self.release.rsplit('/').next().unwrap_or(&self.release)
    }

    /// The release's files: their paths below its directory, and their content.
    pub(super) fn files(&self) -> impl Iterator<Item = (&'static str, &'static [u8])> {
        let prefix = format!("{}/", self.release);
        FILES.iter().filter_map(move |(path, content)| Some((path.strip_prefix(&prefix)?, *content)))
    }
}

impl InstanceContent {
    /// Title and parameters on a node.
    pub(super) fn on(&self, number: u32, computer: &str) -> (String, BTreeMap<String, String>) {
        let fill = |text: &str| text.replace("{number}", &number.to_string()).replace("{computer}", computer);
        let parameters = self.parameters.iter().map(|(name, value)| (name.clone(), fill(value))).collect();
        (fill(&self.title), parameters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packed_release_has_its_profile() {
        let content = Content::packed().expect("it is built beside golden/");
        assert!(content.files().any(|(path, _)| path == content.profile), "{content:?}");
        let (title, _) = content.instance.on(2, "COMP-2");
        assert!(title.contains('2') && !title.contains('{'), "{title}");
    }
}
