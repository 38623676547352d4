//! Names: a letter and a small number each, so that small worlds are small and a list of events can be read.

use std::{fmt, str::FromStr};

/// A file of events names one of so many at most. No world has more, and what stands beside the model looks for no others.
pub const NAMES_MAX: u16 = 12;

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident $letter:literal)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
        #[cfg_attr(feature = "serde", serde(into = "String", try_from = "String"))]
        pub struct $name(pub u16);

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "{}{}", $letter, self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, formatter)
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<$name, String> {
                let number = text.strip_prefix($letter).and_then(|digits| digits.parse().ok());
                number.map($name).ok_or_else(|| format!("{text:?}: expected {} and a number", $letter))
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.to_string()
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<$name, String> {
                let name: Option<$name> = text.parse().ok();
                name.filter(|name| name.0 < NAMES_MAX)
                    .ok_or_else(|| format!("{text:?}: expected {} and a number below {NAMES_MAX}", $letter))
            }
        }
    )* };
}

names! {
    /// A computer. The first is the master's default one: known before it is formatted, and asked first.
    Computer "c"
    /// A partition of a computer. A format lists partitions in the order of their numbers.
    Partition "p"
    /// An instance's title.
    Title "t"
    /// A software release.
    Release "r"
    /// A software type. The first is the default type.
    Kind "k"
    /// Parameters.
    Parameters "x"
    /// Connection parameters. The first is: none published.
    Connection "y"
    /// The addresses of a partition.
    Address "a"
    /// A directory that local releases stand under.
    Root "d"
}

/// The computer of a master's setting `computer_id`.
pub const DEFAULT_COMPUTER: Computer = Computer(0);
/// The type of a request that names none (slapos/slap/slap.py, `DEFAULT_SOFTWARE_TYPE`).
pub const DEFAULT_KIND: Kind = Kind(0);
/// Nothing published.
pub const UNPUBLISHED: Connection = Connection(0);

/// The historical frontend of web sites: where a shared instance of it is asked for with parameters, which then say a URL, a stand-in answers.
pub const FRONTEND: Release = Release(3);
/// The release that is always requested of the other master (`software_release_list` of `[multimaster/URL]`).
pub const LISTED_ELSEWHERE: Release = Release(2);
/// Releases from this number on are local: so many under the first directory, and the same under the second.
const FIRST_LOCAL: u16 = 4;
const LOCAL: u16 = 4;

impl Release {
    /// The directory that it stands under, and its number there; none for one that is not local.
    pub fn local(self) -> Option<(Root, u16)> {
        let number = self.0.checked_sub(FIRST_LOCAL).filter(|number| *number < 2 * LOCAL)?;
        Some((Root(number / LOCAL), number % LOCAL))
    }

    /// What it is called once what was under one directory is under the other.
    #[must_use]
    pub fn moved(self, from: Option<Root>, to: Option<Root>) -> Release {
        match (self.local(), from, to) {
            (Some((root, number)), Some(from), Some(to)) if root == from => {
                Release(FIRST_LOCAL + to.0 * LOCAL + number)
            }
            _ => self,
        }
    }
}

impl Title {
    /// The title at another master of what a user, or somebody in that partition, asks for here.
    #[must_use]
    pub fn elsewhere(by: Option<Partition>, title: Title) -> Title {
        Title(NAMES_MAX * (1 + by.map_or(0, |partition| partition.0 + 1)) + title.0)
    }
}

/// A partition of a computer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(into = "String", try_from = "String"))]
pub struct Place {
    /// The computer.
    pub computer: Computer,
    /// The partition.
    pub partition: Partition,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.computer, self.partition)
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl From<Place> for String {
    fn from(place: Place) -> String {
        place.to_string()
    }
}

impl TryFrom<String> for Place {
    type Error = String;

    fn try_from(text: String) -> Result<Place, String> {
        let (computer, partition) =
            text.split_once('/').ok_or_else(|| format!("{text:?}: expected COMPUTER/PARTITION"))?;
        Ok(Place { computer: computer.to_owned().try_into()?, partition: partition.to_owned().try_into()? })
    }
}

/// What names a shared instance on the wire: the titles that its root and it had when it was made (slapproxy's
/// `slave_reference`, the two joined with `_`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Reference {
    /// The title of the root; none when a user requested it.
    pub root: Option<Title>,
    /// Its own title.
    pub title: Title,
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.root {
            Some(root) => write!(formatter, "{root}_{}", self.title),
            None => write!(formatter, "_{}", self.title),
        }
    }
}

/// A timestamp: only its order counts. 0 is before everything.
pub type Rank = u32;

/// What tells instances apart inside the model. The smallest free number is taken, so that equal states look equal.
pub type Number = u16;
