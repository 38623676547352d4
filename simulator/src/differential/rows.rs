//! All that a master's database holds, row by row, read with SQL of our own: a query of the master that is wrong is not believed.

use rusqlite::{Connection as Database, Params, Row};

macro_rules! tables {
    ($($(#[doc = $doc:literal])* $name:ident $table:literal $which:literal { $($column:ident: $type:ty,)* })*) => {
        $(
            $(#[doc = $doc])*
            #[derive(Clone, Debug, PartialEq, Eq)]
            pub(crate) struct $name { $(pub(crate) $column: $type,)* }

            impl $name {
                fn read(row: &Row<'_>) -> rusqlite::Result<$name> {
                    let mut columns = 0..;
                    Ok($name { $($column: row.get(columns.next().unwrap_or_default())?,)* })
                }

                fn all(database: &Database, parameters: impl Params) -> rusqlite::Result<Vec<$name>> {
                    let columns = [$(stringify!($column)),*].join(", ");
                    let sql = format!("SELECT {columns} FROM {} {}", $table, $which);
                    database.prepare_cached(&sql)?.query_map(parameters, $name::read)?.collect()
                }
            }
        )*

        /// The tables that are read, with their columns, as a test holds them against the schema.
        #[cfg(test)]
        const TABLES: &[(&str, &[&str])] = &[$(($table, &[$(stringify!($column)),*])),*];
    };
}

tables! {
    /// A setting.
    Setting "setting" "ORDER BY name" { name: String, value: String, }
    /// A computer.
    ComputerRow "computer" "ORDER BY reference" {
        reference: String, address: String, netmask: String, revision: i64, floor: i64, sort_key: Vec<u8>, vacancies: i64,
        has_vacancy: bool,
    }
    /// A partition.
    PartitionRow "partition" "ORDER BY computer, reference" {
        computer: String, reference: String, position: u8, listed: bool, timestamp: i64, vacant: bool, revision: i64,
    }
    /// An address of a partition.
    AddressRow "partition_address" "ORDER BY computer, partition, position" {
        computer: String, partition: String, position: u32, interface: String, address: String, netmask: String,
    }
    /// A supplied release.
    SupplyRow "supply" "ORDER BY number" { number: i64, computer: String, url: String, state: String, }
    /// An instance.
    InstanceRow "instance" "ORDER BY number" {
        number: i64, title: String, root: Option<i64>, requester: Option<i64>, shared: bool, computer: Option<String>,
        partition: Option<String>, reference: Option<String>, host: Option<i64>, release: String,
        software_type: String, parameters: String, connection: String, state: String,
    }
    /// What was passed on to another master.
    ForwardedRow "forwarded" "ORDER BY master, title" {
        master: String, title: String, computer: Option<String>, partition: Option<String>,
    }
    /// A report.
    StatusRow "access_status" "ORDER BY computer, kind, name" {
        computer: String, kind: String, name: String, text: String, state: String, created_at: i64, since: i64,
        log: String, about: i64,
    }
    /// A change.
    Entry "journal" "WHERE sequence > ?1 ORDER BY sequence" { sequence: i64, at: i64, command: String, answer: String, bytes: i64, }
}

/// All rows of all tables, except the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rows {
    pub(crate) settings: Vec<Setting>,
    pub(crate) computers: Vec<ComputerRow>,
    pub(crate) partitions: Vec<PartitionRow>,
    pub(crate) addresses: Vec<AddressRow>,
    pub(crate) supplies: Vec<SupplyRow>,
    pub(crate) instances: Vec<InstanceRow>,
    pub(crate) statuses: Vec<StatusRow>,
    pub(crate) forwarded: Vec<ForwardedRow>,
}

impl Rows {
    /// Reads them.
    ///
    /// # Errors
    /// Those of SQLite, and a value of another type than its column's.
    pub(crate) fn of(database: &Database) -> rusqlite::Result<Rows> {
        Ok(Rows {
            settings: Setting::all(database, [])?,
            computers: ComputerRow::all(database, [])?,
            partitions: PartitionRow::all(database, [])?,
            addresses: AddressRow::all(database, [])?,
            supplies: SupplyRow::all(database, [])?,
            instances: InstanceRow::all(database, [])?,
            statuses: StatusRow::all(database, [])?,
            forwarded: ForwardedRow::all(database, [])?,
        })
    }
}

/// The journal's entries after a sequence.
///
/// # Errors
/// Those of SQLite.
pub(crate) fn journal_after(database: &Database, sequence: i64) -> rusqlite::Result<Vec<Entry>> {
    Entry::all(database, [sequence])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// What is counted of a computer, so that its document stays readable: of that the model knows nothing (`slap-impl/src/store/migrations/0007_bytes.sql`).
    const COUNTED: [(&str, &str); 3] =
        [("computer", "bytes"), ("computer", "growth"), ("computer", "settled")];

    /// A new table or column has to be read here, too.
    #[test]
    fn every_column_is_read() {
        let database = Database::open_in_memory().unwrap();
        slap_impl::store::migrate(&database, "0123456789abcdef").unwrap();
        let mut statement = database
            .prepare(
                "SELECT t.name, c.name FROM pragma_table_list AS t, pragma_table_info(t.name) AS c
                WHERE t.name NOT LIKE 'sqlite_%' AND t.schema = 'main' AND t.type = 'table' ORDER BY t.name, c.cid",
            )
            .unwrap();
        let found = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        let mut columns: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for pair in found {
            let (table, column): (String, String) = pair.unwrap();
            if !COUNTED.contains(&(table.as_str(), column.as_str())) {
                columns.entry(table).or_default().push(column);
            }
        }
        columns.values_mut().for_each(|names| names.sort());
        let read = TABLES.iter().map(|(table, columns)| {
            let mut names: Vec<String> = columns.iter().map(|name| (*name).to_owned()).collect();
            names.sort();
            ((*table).to_owned(), names)
        });
        assert_eq!(columns, read.collect());
    }
}
