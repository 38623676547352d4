//! Rows, typed. An id or a state that is none cannot be read: somebody else wrote to the database.

use crate::vocabulary::{ComputerId, InstanceTitle, PartitionId, RequestedState, SoftwareUrl, SupplyState};
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
    /// Which computer.
    pub computer: ComputerId,
    /// Which partition.
    pub partition: PartitionId,
    /// Its title.
    pub title: InstanceTitle,
    /// Its software release.
    pub release: SoftwareUrl,
    /// Its software type.
    pub software_type: String,
    /// Its parameters, as an instance document.
    pub parameters: String,
    /// What it published, as an instance document; empty before.
    pub connection: String,
    /// What its user wants.
    pub state: RequestedState,
}

impl Instance {
    /// The instance's guid; slapproxy makes it of its place (slapos/proxy/slap_tool.py).
    pub fn guid(&self) -> String {
        format!("{}-{}", self.computer, self.partition)
    }

    /// Reads the columns computer, partition, title, release, software_type, parameters, connection, state, from `first` on.
    pub(super) fn from_row(row: &Row<'_>, first: usize) -> rusqlite::Result<Instance> {
        Ok(Instance {
            computer: row.get(first)?,
            partition: row.get(first + 1)?,
            title: row.get(first + 2)?,
            release: row.get(first + 3)?,
            software_type: row.get(first + 4)?,
            parameters: row.get(first + 5)?,
            connection: row.get(first + 6)?,
            state: row.get(first + 7)?,
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

stored_as_text!(ComputerId, PartitionId, InstanceTitle, SoftwareUrl, RequestedState, SupplyState);
