//! What to do when a database cannot be read or written, and whether one is whole.

use crate::env::{StoreError, StoreErrorKind};
use rusqlite::Connection;

/// Pages of a database that is looked at as a whole when it is opened (4 MiB of 4 KiB each): each takes some 25 µs, and a killed master is
/// to be back within 100 ms. Of a larger one each page is judged when it is read.
const PAGES_CHECKED_MAX: i64 = 1024;

/// Pages of one of which each index is held to its rows, too, which doubles the time.
const PAGES_COMPARED_MAX: i64 = PAGES_CHECKED_MAX / 2;

/// What to do about a damaged database.
pub(super) const DAMAGED: &str = "the database's file is damaged: stop the master and keep a copy of the file and of what stands beside it \
     (-wal); put a good copy in its place, or get out what can be read with `sqlite3 FILE .recover`";

/// What to do when a running master cannot read or write its database; nothing of what was asked happened.
pub fn advice(error: &StoreError) -> &'static str {
    match error.kind {
        StoreErrorKind::NotDatabase | StoreErrorKind::Damaged | StoreErrorKind::Unreadable => DAMAGED,
        StoreErrorKind::Full => "the disk is full: make room, and repeat the request",
        StoreErrorKind::ReadOnly => {
            "make the file, its directory and their file system writable, start the master again, and repeat the request"
        }
        StoreErrorKind::Broken => {
            "look at the disk and at the system's log (a file system that failed becomes read-only), and repeat the request when \
             the master can use its database again"
        }
        StoreErrorKind::Gone => "repeat the request then",
        StoreErrorKind::InUse | StoreErrorKind::Other => {
            "repeat the request when the master can use its database again"
        }
    }
}

/// Looks whether the whole database hangs together, unless it is too large for that.
///
/// # Errors
/// `SQLITE_CORRUPT` with what was found first, and those of SQLite.
pub(super) fn check_whole(connection: &Connection) -> rusqlite::Result<()> {
    let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0))?;
    if pages > PAGES_CHECKED_MAX {
        return Ok(());
    }
    let sql = if pages > PAGES_COMPARED_MAX { "PRAGMA quick_check(1)" } else { "PRAGMA integrity_check(1)" };
    let found: String = connection.query_row(sql, [], |row| row.get(0))?;
    if found == "ok" {
        return Ok(());
    }
    let found = found.replace("*** in database main ***", "").replace('\n', " ");
    let message = format!("the database is malformed: {}", found.trim());
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    Err(rusqlite::Error::SqliteFailure(code, Some(message)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::real;

    #[test]
    fn damage_is_found_wherever_it_is() {
        let database = crate::store::testing::database();
        database
            .execute("INSERT INTO setting (name, value) VALUES ('long', hex(zeroblob(9000)))", [])
            .unwrap();
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("whole");
        database.execute("VACUUM INTO ?1", [path.to_str().unwrap()]).unwrap();
        let env = real::env();
        let image = env.files().read(&path, 1 << 20).unwrap();
        let open = |image: &[u8]| {
            let path = place.path().join("copy");
            env.files().write(&path, image, 0o600).unwrap();
            Connection::open(path).unwrap()
        };
        assert_eq!(check_whole(&open(&image)), Ok(()));
        let pages = image.len() / 4096;
        assert!(pages > 10, "{pages} pages");
        for page in 1..pages {
            let mut damaged = image.clone();
            damaged[page * 4096..(page + 1) * 4096].fill(0xa5);
            let error = StoreError::from(check_whole(&open(&damaged)).unwrap_err());
            assert!(error.kind.is_damage(), "page {page} of {pages}: {error}");
        }
    }

    /// Each page is well-formed, and so is the whole; only what the index says is not what the rows say.
    #[test]
    fn an_index_that_is_another_ones_is_damage() {
        let database = crate::store::testing::database();
        database
            .execute_batch(
                "INSERT INTO computer (reference, address, netmask, revision) VALUES ('COMP-1', '', '', 1);
                INSERT INTO supply (computer, url, state) VALUES ('COMP-1', '/r', 'available');
                INSERT INTO instance (title, shared, reference, release, software_type, parameters, connection, state)
                VALUES ('a', 1, '_a', '/r', '', '', '', 'started')",
            )
            .unwrap();
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("whole");
        database.execute("VACUUM INTO ?1", [path.to_str().unwrap()]).unwrap();
        let root = |index: &str| {
            let found = Connection::open(&path).unwrap();
            let sql = "SELECT rootpage FROM sqlite_schema WHERE name = ?1";
            found.query_row(sql, [index], |row| row.get::<_, u16>(0)).unwrap()
        };
        let page = |index: &str| (usize::from(root(index)) - 1) * 4096..usize::from(root(index)) * 4096;
        let (from, to) = (page("supply_of_computer"), page("instance_title"));
        let env = real::env();
        let mut image = env.files().read(&path, 1 << 20).unwrap();
        image.copy_within(from, to.start);
        env.files().write(&path, &image, 0o600).unwrap();
        let damaged = Connection::open(&path).unwrap();
        let quick: String = damaged.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).unwrap();
        assert_eq!(quick, "ok", "this is not what it is about");
        let error = StoreError::from(check_whole(&damaged).unwrap_err());
        assert!(error.kind.is_damage() && error.message.contains("instance_title"), "{error}");
    }

    #[test]
    fn each_error_says_what_to_do() {
        for (kind, expected) in [
            (StoreErrorKind::Damaged, "sqlite3 FILE .recover"),
            (StoreErrorKind::NotDatabase, "good copy"),
            (StoreErrorKind::Unreadable, "is damaged"),
            (StoreErrorKind::Full, "make room"),
            (StoreErrorKind::ReadOnly, "writable"),
            (StoreErrorKind::Broken, "look at the disk"),
            (StoreErrorKind::InUse, "repeat the request"),
            (StoreErrorKind::Gone, "repeat the request then"),
            (StoreErrorKind::Other, "repeat the request"),
        ] {
            // The words do not matter.
            let found = advice(&StoreError::new(kind, "database disk image is malformed"));
            assert!(found.contains(expected), "{kind:?}: {found}");
        }
    }
}
