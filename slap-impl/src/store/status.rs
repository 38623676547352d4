//! Access statuses: the last report about a computer, a partition's instance, a shared instance or a supplied release.
//!
//! The real master keeps such a record for each of them and shows it to users: a text that begins with `#access`,
//! `#error` or `#building`, when it came, and since when its kind is the same (slapos.core's master,
//! `SlapOSCacheMixin`, tested by testSlapOSCloud `test_setAccessStatus`).

use super::queries::list;
use crate::vocabulary::{ComputerId, PartitionId, SharedReference, SoftwareUrl};
use rusqlite::{Connection, OptionalExtension, Row};

/// What a status is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject<'a> {
    /// A computer.
    Computer(&'a ComputerId),
    /// The instance in a partition.
    Partition(&'a ComputerId, &'a PartitionId),
    /// A supplied release.
    Release(&'a ComputerId, &'a SoftwareUrl),
    /// A shared instance.
    Shared(&'a SharedReference),
}

impl<'a> Subject<'a> {
    fn key(self) -> (&'a str, &'static str, &'a str) {
        match self {
            Subject::Computer(computer) => (computer.as_str(), "computer", ""),
            Subject::Partition(computer, partition) => (computer.as_str(), "partition", partition.as_str()),
            Subject::Release(computer, url) => (computer.as_str(), "release", url.as_str()),
            Subject::Shared(reference) => ("", "shared", reference.as_str()),
        }
    }
}

/// A report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessStatus {
    /// `#access ...`, `#error ...` or `#building ...`.
    pub text: String,
    /// `started`, `stopped` or empty.
    pub state: String,
    /// When it came, in microseconds since 1970.
    pub created_at: i64,
    /// Since when the text begins with the same word, in microseconds since 1970.
    pub since: i64,
    /// The end of the log that came with an error.
    pub log: String,
    /// The partition's timestamp that the report is about; 0 for a computer, a release or a shared instance.
    pub about: i64,
}

impl AccessStatus {
    /// What the master itself says at `now`, microseconds since 1970, of no timestamp of a partition.
    pub fn said(text: String, now: i64) -> AccessStatus {
        AccessStatus { text, state: String::new(), created_at: now, since: now, log: String::new(), about: 0 }
    }
}

/// A report, and what it is about, as they are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusRow {
    /// The computer; empty for a shared instance.
    pub computer: String,
    /// `computer`, `partition`, `release` or `shared`.
    pub kind: String,
    /// Empty, the partition, the release's URL, or the shared instance's reference.
    pub name: String,
    /// The report.
    pub status: AccessStatus,
}

/// Keeps a report.
#[allow(clippy::too_many_arguments, reason = "they are the row's columns")]
pub fn set_access_status(
    connection: &Connection,
    subject: Subject<'_>,
    text: &str,
    state: &str,
    log: &str,
    about: i64,
    now: i64,
) -> rusqlite::Result<()> {
    let before = access_status(connection, subject)?;
    let word = |text: &str| text.split(' ').next().unwrap_or_default().to_owned();
    let (since, kept) = match &before {
        Some(before) if word(&before.text) == word(text) => (before.since, before.state.as_str()),
        Some(before) => (now, before.state.as_str()),
        None => (now, ""),
    };
    let state = if state.is_empty() { kept } else { state };
    let (computer, kind, name) = subject.key();
    connection
        .prepare_cached(
            "INSERT INTO access_status (computer, kind, name, text, state, created_at, since, log, about)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
            ON CONFLICT (computer, kind, name) DO UPDATE SET text = excluded.text, state = excluded.state,
                created_at = excluded.created_at, since = excluded.since, log = excluded.log,
                about = excluded.about",
        )?
        .execute((computer, kind, name, text, state, now, since, log, about))
        .map(drop)
}

/// The last report.
pub fn access_status(
    connection: &Connection,
    subject: Subject<'_>,
) -> rusqlite::Result<Option<AccessStatus>> {
    let (computer, kind, name) = subject.key();
    connection
        .prepare_cached(
            "SELECT text, state, created_at, since, log, about FROM access_status
            WHERE computer = ?1 AND kind = ?2 AND name = ?3",
        )?
        .query_row((computer, kind, name), |row| from_row(row, 0))
        .optional()
}

/// The last reports about a computer and all that is on it, without shared instances; or, without a computer, all that there
/// are. They come by computer, kind and name.
pub fn access_statuses(
    connection: &Connection,
    computer: Option<&ComputerId>,
) -> rusqlite::Result<Vec<StatusRow>> {
    let condition = if computer.is_some() { "computer = ?1" } else { "?1 IS NULL" };
    let sql = format!(
        "SELECT computer, kind, name, text, state, created_at, since, log, about FROM access_status
        WHERE {condition} ORDER BY computer, kind, name"
    );
    list(connection, &sql, [computer], |row| {
        Ok(StatusRow {
            computer: row.get(0)?,
            kind: row.get(1)?,
            name: row.get(2)?,
            status: from_row(row, 3)?,
        })
    })
}

fn from_row(row: &Row<'_>, first: usize) -> rusqlite::Result<AccessStatus> {
    Ok(AccessStatus {
        text: row.get(first)?,
        state: row.get(first + 1)?,
        created_at: row.get(first + 2)?,
        since: row.get(first + 3)?,
        log: row.get(first + 4)?,
        about: row.get(first + 5)?,
    })
}

/// Forgets the reports about something that is gone.
pub fn clear_access_status(connection: &Connection, subject: Subject<'_>) -> rusqlite::Result<()> {
    let (computer, kind, name) = subject.key();
    connection
        .prepare_cached("DELETE FROM access_status WHERE computer = ?1 AND kind = ?2 AND name = ?3")?
        .execute((computer, kind, name))
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{testing::database, upsert_computer};

    #[test]
    fn since_moves_only_when_the_kind_changes() {
        let connection = database();
        let computer: ComputerId = "COMP-1".parse().unwrap();
        upsert_computer(&connection, &computer, "", "").unwrap();
        let subject = Subject::Computer(&computer);
        assert_eq!(access_status(&connection, subject).unwrap(), None);
        let check = |text: &str, state: &str, now, expected: (&str, i64)| {
            set_access_status(&connection, subject, text, state, "", 0, now).unwrap();
            let status = access_status(&connection, subject).unwrap().unwrap();
            assert_eq!((status.state.as_str(), status.since), expected, "{text}");
            assert_eq!((status.text.as_str(), status.created_at), (text, now));
        };
        check("#error a", "", 1, ("", 1));
        check("#error b", "", 2, ("", 1));
        check("#access ok", "started", 3, ("started", 3));
        check("#access still", "", 4, ("started", 3));
        clear_access_status(&connection, subject).unwrap();
        assert_eq!(access_status(&connection, subject).unwrap(), None);
    }
}
