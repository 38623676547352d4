//! Typed ids. A computer's and a partition's id become names of files, so what could leave a directory is refused.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Characters of an instance's title at most.
pub(super) const TITLE_CHARACTERS_MAX: usize = 512;

/// A text that cannot be an id of that kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadId {
    kind: &'static str,
    value: String,
    expected: &'static str,
}

impl BadId {
    pub(super) fn new(kind: &'static str, value: &str, expected: &'static str) -> BadId {
        BadId { kind, value: value.to_owned(), expected }
    }
}

impl fmt::Display for BadId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: String = self.value.chars().take(80).collect();
        write!(formatter, "{shown:?} is no {}: expected {}", self.kind, self.expected)
    }
}

impl std::error::Error for BadId {}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $expected:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(BadId { kind: $kind, value: text.to_owned(), expected: $expected })
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadId;
            fn try_from(text: String) -> Result<Self, BadId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "{:?}", self.0)
            }
        }
    };
}

id!(
    /// A computer's reference, such as `COMP-1`.
    ComputerId,
    "computer id",
    "1 to 128 letters, digits, `-`, `_` and `.`, beginning with a letter or digit",
    is_name
);
id!(
    /// A partition's reference within its computer, such as `slappart0`.
    PartitionId,
    "partition id",
    "1 to 128 letters, digits, `-`, `_` and `.`, beginning with a letter or digit",
    is_name
);
id!(
    /// An instance's title, chosen by the user who requested it.
    InstanceTitle,
    "instance title",
    "1 to 512 characters without control characters",
    is_line
);
id!(
    /// The name under which the host of a shared instance publishes for it; chosen by the master.
    SharedReference,
    "reference of a shared instance",
    "1 to 1025 characters without control characters",
    |text| !text.is_empty() && text.chars().count() <= 1025 && !text.chars().any(char::is_control)
);
id!(
    /// Where a software release's profile stands: a URL or an absolute path.
    SoftwareUrl,
    "software release URL",
    "1 to 4096 characters without blanks at the ends and without control characters",
    |text| text.len() <= 4096 && text.trim() == text && !text.is_empty() && !text.chars().any(char::is_control)
);

fn is_name(text: &str) -> bool {
    text.len() <= 128
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

fn is_line(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= TITLE_CHARACTERS_MAX && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_a_directory_are_refused() {
        for bad in ["", ".", "..", "../a", "a/b", "-rf", ".hidden", "a\nb", "é"] {
            assert!(bad.parse::<PartitionId>().is_err(), "{bad:?}");
        }
        for good in ["slappart0", "COMP-1", "a.b_c"] {
            assert_eq!(good.parse::<ComputerId>().unwrap().as_str(), good);
        }
    }

    #[test]
    fn titles_are_free_text() {
        assert!("Ada's <instance> & más".parse::<InstanceTitle>().is_ok());
        assert!("a\nb".parse::<InstanceTitle>().is_err());
    }
}
