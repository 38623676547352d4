//! Rows, typed. An id or a state that is none cannot be read: somebody else wrote to the database.

use crate::vocabulary::{
    ComputerId, InstanceTitle, PartitionId, RequestedState, SharedReference, SoftwareUrl, SupplyState,
};
use rusqlite::{
    Row,
    types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef},
};

/// A computer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Computer {
    /// Its reference.
    pub reference: ComputerId,
    /// Its address, as its format said.
    pub address: String,
    /// Its netmask, as its format said.
    pub netmask: String,
    /// Grows whenever something changed that its full information shows.
    pub revision: i64,
}

/// An address of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The network interface's name (slapproxy: the tap's name or the partition's).
    pub interface: String,
    /// The address.
    pub address: String,
    /// Its netmask.
    pub netmask: String,
}

/// A partition and what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Whose.
    pub computer: ComputerId,
    /// Its reference.
    pub reference: PartitionId,
    /// Whether the last format had it.
    pub listed: bool,
    /// When the node has to process it again: microseconds since 1970, always growing; 0 before the first instance.
    pub timestamp: i64,
    /// Its addresses, in the format's order.
    pub addresses: Vec<Address>,
    /// The instance that it was given to.
    pub instance: Option<Instance>,
    /// The title of that instance's root, which may be its own.
    pub root_title: Option<InstanceTitle>,
}

impl Partition {
    /// The guid of the instance in it; slapproxy makes it of its place (slapos/proxy/slap_tool.py).
    pub fn guid(&self) -> String {
        format!("{}-{}", self.computer, self.reference)
    }
}

/// A release that a computer shall have or lose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Supply {
    /// Which computer.
    pub computer: ComputerId,
    /// Which release.
    pub url: SoftwareUrl,
    /// What is wanted of it.
    pub state: SupplyState,
}

/// An instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Its number: never that of another one, not even after it is gone.
    pub number: i64,
    /// Its title: no other of its tree has it.
    pub title: InstanceTitle,
    /// The root of its tree; none for a root itself, which a user requested.
    pub root: Option<i64>,
    /// Who requested it last; none for a root.
    pub requester: Option<i64>,
    /// Where it is.
    pub place: Place,
    /// Its software release.
    pub release: SoftwareUrl,
    /// Its software type; of a shared one that was requested without, its host's.
    pub software_type: String,
    /// Its parameters, as an instance document.
    pub parameters: String,
    /// What was published for it, as an instance document; empty before.
    pub connection: String,
    /// What is wanted.
    pub state: RequestedState,
}

/// Where an instance is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// It has a partition, alone.
    Partition(ComputerId, PartitionId),
    /// It is shared: another instance serves it.
    Shared {
        /// The name under which its host publishes for it; it never changes.
        reference: SharedReference,
        /// The number of its host; none after that one was freed.
        host: Option<i64>,
    },
}

/// The columns that [`Instance::from_row`] reads, in its order.
pub(super) const INSTANCE_COLUMNS: [&str; 13] = [
    "number",
    "title",
    "root",
    "requester",
    "computer",
    "partition",
    "reference",
    "host",
    "release",
    "software_type",
    "parameters",
    "connection",
    "state",
];

impl Instance {
    /// Whether another instance serves it.
    pub fn is_shared(&self) -> bool {
        matches!(self.place, Place::Shared { .. })
    }

    /// The number of its tree's root, which may be itself.
    pub fn tree(&self) -> i64 {
        self.root.unwrap_or(self.number)
    }

    /// Its partition; none when it is shared.
    pub fn partition(&self) -> Option<(&ComputerId, &PartitionId)> {
        match &self.place {
            Place::Partition(computer, partition) => Some((computer, partition)),
            Place::Shared { .. } => None,
        }
    }

    /// The number of its host, if it is shared and has one.
    pub fn host(&self) -> Option<i64> {
        match self.place {
            Place::Partition(..) => None,
            Place::Shared { host, .. } => host,
        }
    }

    /// Whether it stands in its host's list: it is shared, has a host, and shall run. The real master leaves stopped ones out too
    /// (testSlapOSERP5AllocationScenario, `test_stopped_slave_instance_allocation_scenario`).
    pub fn is_listed(&self) -> bool {
        self.host().is_some() && self.state == RequestedState::Started
    }

    /// Reads [`INSTANCE_COLUMNS`], from `first` on.
    pub(super) fn from_row(row: &Row<'_>, first: usize) -> rusqlite::Result<Instance> {
        let computer: Option<ComputerId> = row.get(first + 4)?;
        let place = match computer {
            Some(computer) => Place::Partition(computer, row.get(first + 5)?),
            None => Place::Shared { reference: row.get(first + 6)?, host: row.get(first + 7)? },
        };
        Ok(Instance {
            number: row.get(first)?,
            title: row.get(first + 1)?,
            root: row.get(first + 2)?,
            requester: row.get(first + 3)?,
            place,
            release: row.get(first + 8)?,
            software_type: row.get(first + 9)?,
            parameters: row.get(first + 10)?,
            connection: row.get(first + 11)?,
            state: row.get(first + 12)?,
        })
    }
}

macro_rules! stored_as_text {
    ($($name:ty),*) => {$(
        impl FromSql for $name {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                value.as_str()?.parse().map_err(FromSqlError::other)
            }
        }

        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(ToSqlOutput::from(self.as_str()))
            }
        }
    )*};
}

stored_as_text!(
    ComputerId,
    PartitionId,
    InstanceTitle,
    SharedReference,
    SoftwareUrl,
    RequestedState,
    SupplyState
);
