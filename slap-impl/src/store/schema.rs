//! Whose database a file is, and how an older one becomes a new one.

use super::damage::{self, check_whole};
use crate::env::{Env, Store, StoreError, StoreErrorKind, Verdict};
use rusqlite::{Connection, OptionalExtension};
use std::{fmt, path::Path, rc::Rc};

/// Marks our databases (`PRAGMA application_id`, "slap").
const APPLICATION_ID: i64 = 0x736c_6170;

/// The numbered migrations; a database of version N has had the first N of them.
const MIGRATIONS: [&str; 9] = [
    include_str!("migrations/0001_cloud.sql"),
    include_str!("migrations/0002_trees.sql"),
    include_str!("migrations/0003_floor.sql"),
    include_str!("migrations/0004_vacancy.sql"),
    include_str!("migrations/0005_forwarded.sql"),
    include_str!("migrations/0006_fewer_indices.sql"),
    include_str!("migrations/0007_bytes.sql"),
    include_str!("migrations/0008_no_triggers.sql"),
    include_str!("migrations/0009_states.sql"),
];

/// The version of a database that this program writes.
pub const SCHEMA_VERSION: u32 = MIGRATIONS.len() as u32;

/// An open database of the newest version.
pub struct Opened {
    /// The database.
    pub store: Rc<dyn Store>,
    /// Random text chosen when the database was created: what was cached of another database is worth nothing.
    pub identity: String,
}

/// Why a database could not be opened, with what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenError {
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

impl fmt::Display for OpenError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} (hint: {})", self.message, self.hint)
    }
}

impl std::error::Error for OpenError {}

/// Opens a database, which is created if it is missing and migrated if it is older.
///
/// # Errors
/// When it cannot be read or written, is another program's, or is newer than this program.
pub async fn open(env: &Env, path: &Path) -> Result<Opened, OpenError> {
    let unusable = |error: StoreError| explain(path, &error);
    let store: Rc<dyn Store> = Rc::from(env.stores().open(path).map_err(unusable)?);
    let kind = super::snapshot(&*store, inspect).map_err(unusable)?;
    if matches!(kind, Kind::Ours(_)) {
        // A master that begins on what is damaged would give wrong answers of what it can read, and damage the rest.
        super::snapshot(&*store, check_whole).map_err(unusable)?;
    }
    match kind {
        Kind::Ours(version) if version == SCHEMA_VERSION => {}
        Kind::Fresh | Kind::Ours(_) => {
            let identity = crate::vocabulary::hex(&env.random_bytes(8));
            let write = move |connection: &Connection| {
                migrate(connection, &identity)?;
                Ok(Verdict::Keep)
            };
            store.commit(vec![Box::new(write)]).await.map_err(unusable)?;
        }
        Kind::Newer(version) => {
            return Err(OpenError {
                message: format!(
                    "{}: the database has version {version}, this program writes version {SCHEMA_VERSION}",
                    path.display()
                ),
                hint: "start the newer slap that wrote it; an older one cannot go back".to_owned(),
            });
        }
        Kind::Foreign(what) => {
            return Err(OpenError {
                message: format!("{}: this is a database of another program ({what})", path.display()),
                hint: "name a file of its own in [slapproxy] database_uri; it is created if it is missing"
                    .to_owned(),
            });
        }
    }
    let identity = super::snapshot(&*store, |connection| super::setting(connection, "identity"));
    let identity = identity.map_err(unusable)?.ok_or_else(|| OpenError {
        message: format!("{}: the database has no identity: rows of it are missing", path.display()),
        hint: damage::DAMAGED.to_owned(),
    })?;
    Ok(Opened { store, identity })
}

fn explain(path: &Path, error: &StoreError) -> OpenError {
    let path = path.display().to_string();
    let message =
        if error.message.contains(&path) { error.message.clone() } else { format!("{path}: {error}") };
    let hint = match error.kind {
        StoreErrorKind::Full => "the disk is full: make room and start again; nothing was lost",
        StoreErrorKind::NotDatabase => {
            "the file is no SQLite database, or its beginning is damaged: name another file in [slapproxy] database_uri, or put a good \
             copy in its place"
        }
        StoreErrorKind::Damaged | StoreErrorKind::Unreadable => damage::DAMAGED,
        StoreErrorKind::InUse => "another master uses it: one database belongs to one master at a time",
        StoreErrorKind::ReadOnly => "the master must be able to write to the file and to its directory",
        StoreErrorKind::Broken => {
            "look at the disk and at the system's log: a file system that failed becomes read-only"
        }
        StoreErrorKind::Gone | StoreErrorKind::Other => {
            "check [slapproxy] database_uri: the file, or its directory, must exist and be writable"
        }
    };
    OpenError { message, hint: hint.to_owned() }
}

/// What kind of database a file holds.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Fresh,
    Ours(u32),
    Newer(i64),
    Foreign(String),
}

fn inspect(connection: &Connection) -> rusqlite::Result<Kind> {
    let application: i64 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let table: Option<String> = connection
        .query_row("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name LIMIT 1", [], |row| {
            row.get(0)
        })
        .optional()?;
    Ok(match table {
        None if application == 0 => Kind::Fresh,
        _ if application == APPLICATION_ID => match u32::try_from(version) {
            Ok(version) if version <= SCHEMA_VERSION => Kind::Ours(version),
            _ => Kind::Newer(version),
        },
        // slapproxy appends its schema's version to each table's name (slapos/proxy/schema.sql).
        Some(name) if name.starts_with("computer1") => {
            Kind::Foreign(format!("slapproxy of slapos.core, table {name}"))
        }
        Some(name) => Kind::Foreign(format!("it has a table {name:?}")),
        None => Kind::Foreign(format!("its application id is {application}")),
    })
}

/// Runs the migrations that a database has not had. `identity` is kept if the database is new.
///
/// # Errors
/// Those of SQLite; the caller's transaction is then to be undone.
pub fn migrate(connection: &Connection, identity: &str) -> rusqlite::Result<()> {
    migrate_to(connection, identity, SCHEMA_VERSION)
}

fn migrate_to(connection: &Connection, identity: &str, target: u32) -> rusqlite::Result<()> {
    let version: u32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    for sql in MIGRATIONS.iter().take(target as usize).skip(version as usize) {
        connection.execute_batch(sql)?;
    }
    if version < 4 && target >= 4 {
        super::computers::set_sort_keys(connection)?;
    }
    connection.execute("INSERT OR IGNORE INTO setting (name, value) VALUES ('identity', ?1)", [identity])?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update(None, "user_version", target.max(version))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::{Write, real};

    fn schema_of(connection: &Connection) -> Vec<String> {
        let mut statement = connection
            .prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY type, name")
            .unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap()
    }

    #[test]
    fn every_older_version_becomes_the_newest() {
        let newest = Connection::open_in_memory().unwrap();
        migrate(&newest, "new").unwrap();
        for version in 1..=SCHEMA_VERSION {
            let older = Connection::open_in_memory().unwrap();
            migrate_to(&older, "old", version).unwrap();
            older
                .execute_batch(
                    "INSERT INTO computer (reference, address, netmask, revision) VALUES ('COMP-1', '', '', 7);
                    INSERT INTO partition (computer, reference, position, listed, timestamp)
                    VALUES ('COMP-1', 'slappart0', 0, 1, 5), ('COMP-1', 'slappart1', 3, 0, 5),
                        ('COMP-1', 'slappart2', 1, 1, 0);
                    INSERT INTO access_status VALUES ('COMP-1', 'partition', 'slappart0', '#access', '', 1, 1, '', 5);",
                )
                .unwrap();
            // Of the versions that have them, each keeps its instances with their numbers.
            let columns =
                "number, title, computer, partition, release, software_type, parameters, connection, state";
            let shared = if version == 1 { "" } else { ", shared" };
            let none = if version == 1 { "" } else { ", 0" };
            older
                .execute_batch(&format!(
                    "INSERT INTO instance ({columns}{shared})
                    VALUES (3, 'a', 'COMP-1', 'slappart0', '/r', 't', 'p', 'c', 'stopped'{none})"
                ))
                .unwrap();
            assert_eq!(inspect(&older).unwrap(), Kind::Ours(version));
            migrate(&older, "new").unwrap();
            assert_eq!(inspect(&older).unwrap(), Kind::Ours(SCHEMA_VERSION), "from {version}");
            assert_eq!(schema_of(&older), schema_of(&newest), "from {version}");
            let kept: (String, i64) = older
                .query_row(
                    "SELECT value, (SELECT revision FROM computer) FROM setting WHERE name = 'identity'",
                    [],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .unwrap();
            assert_eq!(kept, ("old".to_owned(), 7), "from {version}");
            let instance = crate::store::roots(&older).unwrap().remove(0);
            assert_eq!((instance.number, instance.title.as_str()), (3, "a"), "from {version}");
            assert_eq!((instance.connection.as_str(), instance.state.as_str()), ("c", "stopped"));
            assert_eq!(crate::store::access_statuses(&older, None).unwrap()[0].status.about, 5);
            let (floor, unlisted): (i64, i64) = older
                .query_row(
                    "SELECT floor, p.position FROM computer, partition AS p WHERE p.listed = 0",
                    [],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .unwrap();
            let (bytes, settled): (i64, i64) = older
                .query_row("SELECT bytes, settled FROM computer", [], |row| Ok((row.get(0)?, row.get(1)?)))
                .unwrap();
            if version < 7 {
                assert!(bytes > 3 * 1536 && settled == bytes, "from {version}: {bytes}, {settled}");
                assert_eq!(crate::store::testing::counted_bytes(&older, "COMP-1"), bytes, "from {version}");
            }
            let expected = if version < 3 { 0 } else { 3 };
            assert_eq!((floor, unlisted), (0, expected), "from {version}");
            if version < 4 {
                let free =
                    crate::store::first_free_partition(&older).unwrap().map(|(_, name)| name.to_string());
                assert_eq!(free.as_deref(), Some("slappart2"), "from {version}");
            }
        }
    }

    #[test]
    fn a_database_without_its_identity_is_damaged() {
        let place = tempfile::tempdir().unwrap();
        real::block_on_env(real::env(), async |env| {
            let path = place.path().join("db");
            let opened = open(&env, &path).await.unwrap();
            let write: Write =
                Box::new(|connection| connection.execute("DELETE FROM setting", []).map(|_| Verdict::Keep));
            opened.store.commit(vec![write]).await.unwrap();
            drop(opened);
            let error = open(&env, &path).await.err().unwrap();
            assert!(error.message.contains("no identity") && error.hint.contains(".recover"), "{error}");
        });
    }

    #[test]
    fn whose_database_it_is() {
        let check = |sql: &str, expected: Kind| {
            let connection = Connection::open_in_memory().unwrap();
            connection.execute_batch(sql).unwrap();
            assert_eq!(inspect(&connection).unwrap(), expected, "{sql}");
        };
        let ours = format!("PRAGMA application_id = {APPLICATION_ID}");
        check("", Kind::Fresh);
        check(&format!("{ours}; PRAGMA user_version = 99"), Kind::Newer(99));
        check(&format!("{ours}; PRAGMA user_version = -1"), Kind::Newer(-1));
        check("PRAGMA application_id = 5", Kind::Foreign("its application id is 5".into()));
        check("CREATE TABLE note (a)", Kind::Foreign("it has a table \"note\"".into()));
        check(
            "CREATE TABLE computer17 (a); CREATE TABLE slave17 (a)",
            Kind::Foreign("slapproxy of slapos.core, table computer17".into()),
        );
    }
}
