//! Names of instances on the JSON-RPC wire.

use super::{BadId, InstanceTitle, ids::TITLE_CHARACTERS_MAX};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

const SEPARATOR: &str = "___";

/// Characters of a guid at most: two titles, two separators, and a digit. Each separator in it is looked at, so a longer text must not
/// be looked at at all.
const CHARACTERS_MAX: usize = 2 * TITLE_CHARACTERS_MAX + 2 * SEPARATOR.len() + 1;

/// `TITLE___ROOT___0`, or with 1 at the end for a shared instance; ROOT, the title of the root of its tree, is empty for a root
/// (slapos/proxy/json_rpc.py, `generateInstanceGuid`).
///
/// It changes with the titles, as slapproxy's does. Titles may hold the separator, too, so a text may have several
/// [meanings](InstanceGuid::meanings); slapproxy refuses those.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InstanceGuid(String);

/// Which instance a guid may mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceName {
    /// Its title.
    pub title: InstanceTitle,
    /// The title of its root; none for a root.
    pub root: Option<InstanceTitle>,
    /// Whether it is shared.
    pub shared: bool,
}

impl InstanceGuid {
    /// The guid of the instance of that name.
    pub fn new(name: &InstanceName) -> InstanceGuid {
        let root = name.root.as_ref().map_or("", InstanceTitle::as_str);
        InstanceGuid(format!("{}{SEPARATOR}{root}{SEPARATOR}{}", name.title, u8::from(name.shared)))
    }

    /// The guid as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// All that it may mean; never nothing.
    pub fn meanings(&self) -> Vec<InstanceName> {
        meanings(&self.0)
    }
}

fn meanings(text: &str) -> Vec<InstanceName> {
    if text.chars().nth(CHARACTERS_MAX).is_some() {
        return Vec::new();
    }
    let (names, shared) = match (text.strip_suffix("___0"), text.strip_suffix("___1")) {
        (Some(names), _) => (names, false),
        (None, Some(names)) => (names, true),
        (None, None) => return Vec::new(),
    };
    let places =
        (0..names.len()).filter(|place| names.as_bytes()[*place..].starts_with(SEPARATOR.as_bytes()));
    let name = |place: usize| {
        let (title, root) = (&names[..place], &names[place + SEPARATOR.len()..]);
        let root = if root.is_empty() { None } else { Some(root.parse().ok()?) };
        Some(InstanceName { title: title.parse().ok()?, root, shared })
    };
    places.filter_map(name).collect()
}

impl FromStr for InstanceGuid {
    type Err = BadId;
    fn from_str(text: &str) -> Result<InstanceGuid, BadId> {
        if meanings(text).is_empty() {
            return Err(BadId::new("instance guid", text, "TITLE___ROOT___0, or ___1 for a shared instance"));
        }
        Ok(InstanceGuid(text.to_owned()))
    }
}

impl TryFrom<String> for InstanceGuid {
    type Error = BadId;
    fn try_from(text: String) -> Result<InstanceGuid, BadId> {
        text.parse()
    }
}

impl From<InstanceGuid> for String {
    fn from(guid: InstanceGuid) -> String {
        guid.0
    }
}

impl fmt::Display for InstanceGuid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_guid_may_mean() {
        let check = |text: &str, expected: &[(&str, &str, bool)]| {
            let meanings = meanings(text);
            let shown: Vec<(&str, &str, bool)> = meanings
                .iter()
                .map(|name| {
                    (name.title.as_str(), name.root.as_ref().map_or("", InstanceTitle::as_str), name.shared)
                })
                .collect();
            assert_eq!(shown, expected, "{text}");
            assert_eq!(text.parse::<InstanceGuid>().is_ok(), !expected.is_empty(), "{text}");
            if let [name] = &meanings[..] {
                assert_eq!(InstanceGuid::new(name).as_str(), text);
            }
        };
        check("root______0", &[("root", "", false)]);
        check("a child___the root___1", &[("a child", "the root", true)]);
        check("a___b___c___0", &[("a", "b___c", false), ("a___b", "c", false)]);
        check("a_______0", &[("a", "_", false), ("a_", "", false)]);
        check("é___ü___0", &[("é", "ü", false)]);
        for bad in ["", "root", "root___0", "root______2", "______0", "a___b\n___0", "root______00"] {
            check(bad, &[]);
        }
    }

    #[test]
    fn the_longest_guid_has_the_longest_titles() {
        for letter in ["a", "é", "😀"] {
            let title = letter.repeat(TITLE_CHARACTERS_MAX);
            let name = InstanceName {
                title: title.parse().unwrap(),
                root: Some(title.parse().unwrap()),
                shared: true,
            };
            let guid = InstanceGuid::new(&name);
            assert_eq!(guid.as_str().parse::<InstanceGuid>().unwrap().meanings(), [name]);
            assert!(format!("{letter}{guid}").parse::<InstanceGuid>().is_err());
        }
    }
}
