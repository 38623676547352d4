//! The master's database: schema, migrations, typed rows and queries. All SQL of the master stands here.
//!
//! * `schema`: numbered migrations, and whose database a file is: [`open`]; `damage`: whether it is whole, and what to do when not
//! * `rows`: what a row is, typed
//! * `computers`: reading computers, and where there is room; `queries`: reading partitions and supplies; `changes`: writing all
//!   three. Every SELECT of several rows is ordered
//! * `instances`: reading and writing instances
//! * `forwarded`: what was passed on to other masters
//! * `releases`: where local releases stand, and settings that outlive a master
//! * `room`: how much a computer is told
//! * `journal`: the committed changes, bounded
//! * `status`: the last report about a computer, an instance or a supplied release
//!
//! No clock and no randomness stand in SQL: times come in as microseconds since 1970.

mod changes;
mod computers;
mod damage;
mod forwarded;
mod instances;
mod journal;
mod queries;
mod releases;
mod room;
mod rows;
mod schema;
mod status;

pub use changes::{
    Revised, RevisedComputer, delete_partition, delete_supply, revise_computer, revise_partition,
    unlist_partition, upsert_computer, upsert_partition, upsert_supply,
};
pub use computers::{
    computer, computers, count_computers, first_computers, first_free_partition, free_partition, occupancy,
    sort_key,
};
pub use damage::advice;
pub use forwarded::{ForwardedFor, count_forwarded, delete_forwarded, forwarded, insert_forwarded};
pub use instances::{
    Wanted, count_hosted, delete_instance, descendants, first_host, has_children, host_for, hosted,
    insert_instance, instance, instance_titled, instances, listed_shared, own_bytes, roots, set_connection,
    set_host, set_state, set_title, shared_instance, update_instance,
};
pub use journal::{
    JOURNAL_ENTRIES_MAX, JournalEntry, append_journal, journal_after, journal_ends, journal_page,
};
pub use queries::{
    count_supplies, partition, partition_of, partition_revisions, partitions, supplies, supply,
};
pub use releases::{
    instances_of, local_releases, move_supply, set_release, set_setting, setting, supplies_of,
};
pub use rows::{Address, Computer, Instance, Partition, Place, Supply};
pub use schema::{OpenError, Opened, SCHEMA_VERSION, migrate, open};
pub use status::{
    AccessStatus, StatusRow, Subject, access_status, access_statuses, clear_access_status, set_access_status,
};

use crate::env::{Store, StoreError, StoreErrorKind};
use rusqlite::Connection;

/// What `query` finds on one committed state, however many statements it is made of.
///
/// # Errors
/// When the database cannot be read.
pub fn snapshot<T>(
    store: &dyn Store,
    mut query: impl FnMut(&Connection) -> rusqlite::Result<T>,
) -> Result<T, StoreError> {
    let mut found = None;
    store.read(&mut |connection| {
        // Without a transaction of their own, two statements may see two states.
        let transaction =
            if connection.is_autocommit() { Some(connection.unchecked_transaction()?) } else { None };
        found = Some(query(connection)?);
        transaction.map_or(Ok(()), rusqlite::Transaction::finish)
    })?;
    found.ok_or_else(|| StoreError::new(StoreErrorKind::Other, "the store did not run the query"))
}

#[cfg(test)]
pub(crate) mod testing {
    use super::schema;
    use rusqlite::Connection;

    /// A database in memory with the newest schema.
    pub(crate) fn database() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.pragma_update(None, "foreign_keys", true).unwrap();
        schema::migrate(&connection, "0123456789abcdef").unwrap();
        connection
    }

    /// What `bytes` of a computer must be, counted anew.
    pub(crate) fn counted_bytes(connection: &Connection, computer: &str) -> i64 {
        let sql = "SELECT (SELECT total(bytes) FROM instance_bytes WHERE computer = ?1)
            + (SELECT total(bytes) FROM address_bytes WHERE computer = ?1)
            + (SELECT total(bytes) FROM supply_bytes WHERE computer = ?1)
            + (SELECT total(1536 + 6 * length(computer) + 6 * length(reference)) FROM partition WHERE computer = ?1)";
        connection
            .query_row(&format!("SELECT CAST(({sql}) AS INTEGER)"), [computer], |row| row.get(0))
            .unwrap()
    }
}
