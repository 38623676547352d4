//! The journal: each committed change with its answer, in commit order, written in the change's own transaction.
//! Its oldest entries go when there are too many, or too many bytes of them.

use rusqlite::{Connection, OptionalExtension};

/// So many of the last entries are kept, unless they have more than 64 MiB.
pub const JOURNAL_ENTRIES_MAX: i64 = 100_000;

const KEPT: Bounds = Bounds { entries: JOURNAL_ENTRIES_MAX, bytes: 64 << 20, step: 64 };

/// How much is kept.
#[derive(Clone, Copy)]
struct Bounds {
    entries: i64,
    bytes: i64,
    /// Looked at after so many changes, so there may be fewer than that many more.
    step: i64,
}

/// A committed change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalEntry {
    /// Its place in the commit order, from 1.
    pub sequence: i64,
    /// When it was decided, in microseconds since 1970 by the master's clock, which may go back.
    pub at: i64,
    /// What was asked, as JSON.
    pub command: String,
    /// What was answered, as JSON.
    pub answer: String,
}

/// Adds a change, and gives its sequence.
pub fn append_journal(
    connection: &Connection,
    at: i64,
    command: &str,
    answer: &str,
) -> rusqlite::Result<i64> {
    append_bounded(connection, at, command, answer, KEPT)
}

fn append_bounded(
    connection: &Connection,
    at: i64,
    command: &str,
    answer: &str,
    bounds: Bounds,
) -> rusqlite::Result<i64> {
    connection
        .prepare_cached(
            "INSERT INTO journal (at, command, answer, bytes) VALUES (?1, ?2, ?3, ifnull((
                SELECT bytes + octet_length(command) + octet_length(answer) FROM journal
                ORDER BY sequence DESC LIMIT 1), 0))",
        )?
        .execute((at, command, answer))?;
    let sequence = connection.last_insert_rowid();
    if sequence % bounds.step == 0 {
        drop_oldest(connection, sequence, bounds)?;
    }
    Ok(sequence)
}

/// Entries go in their order; each entry that comes lets few go, so this never takes long.
fn drop_oldest(connection: &Connection, newest: i64, bounds: Bounds) -> rusqlite::Result<()> {
    let end: i64 = connection
        .prepare_cached(
            "SELECT bytes + octet_length(command) + octet_length(answer) FROM journal WHERE sequence = ?1",
        )?
        .query_row([newest], |row| row.get(0))?;
    let mut select = connection.prepare_cached(
        "SELECT sequence, bytes FROM journal WHERE sequence < ?1 ORDER BY sequence LIMIT 1",
    )?;
    let mut delete = connection.prepare_cached("DELETE FROM journal WHERE sequence = ?1")?;
    loop {
        let oldest: Option<(i64, i64)> =
            select.query_row([newest], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        match oldest {
            Some((old, start)) if old <= newest - bounds.entries || end - start > bounds.bytes => {
                delete.execute([old])?;
            }
            _ => return Ok(()),
        }
    }
}

/// Changes after that sequence, at most `limit` of them.
pub fn journal_after(
    connection: &Connection,
    sequence: i64,
    limit: u32,
) -> rusqlite::Result<Vec<JournalEntry>> {
    connection
        .prepare_cached(
            "SELECT sequence, at, command, answer FROM journal WHERE sequence > ?1 ORDER BY sequence LIMIT ?2",
        )?
        .query_map((sequence, limit), |row| {
            Ok(JournalEntry {
                sequence: row.get(0)?,
                at: row.get(1)?,
                command: row.get(2)?,
                answer: row.get(3)?,
            })
        })?
        .collect()
}

/// Each end by itself: asked for both at once, SQLite reads the whole journal (its documentation: "The MIN/MAX optimization").
const ENDS: &str = "SELECT (SELECT min(sequence) FROM journal), (SELECT max(sequence) FROM journal)";

/// The sequences of the oldest and the newest change that are kept; none when there are none.
pub fn journal_ends(connection: &Connection) -> rusqlite::Result<Option<(i64, i64)>> {
    connection.prepare_cached(ENDS)?.query_row([], |row| Ok(row.get::<_, Option<i64>>(0)?.zip(row.get(1)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::database;

    #[test]
    fn nothing_reads_the_whole_journal_for_its_ends() {
        let connection = database();
        let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {ENDS}")).unwrap();
        let steps: Vec<String> =
            explain.query_map([], |row| row.get("detail")).unwrap().collect::<Result<_, _>>().unwrap();
        assert_eq!(steps.iter().filter(|step| *step == "SEARCH journal").count(), 2, "{steps:?}");
        assert!(!steps.iter().any(|step| step.contains("SCAN journal")), "{steps:?}");
    }

    #[test]
    fn the_oldest_entries_go_by_number_and_by_size() {
        let connection = database();
        assert_eq!(journal_ends(&connection).unwrap(), None);
        let sequences = |connection: &Connection| -> Vec<i64> {
            journal_after(connection, 0, 100).unwrap().iter().map(|entry| entry.sequence).collect()
        };
        let bounds = Bounds { entries: 3, bytes: 1000, step: 1 };
        let append =
            |command: &str, bounds| append_bounded(&connection, 1, command, "answer", bounds).unwrap();
        for _ in 0..5 {
            append("command", bounds);
        }
        assert_eq!(sequences(&connection), [3, 4, 5]);
        assert_eq!(journal_ends(&connection).unwrap(), Some((3, 5)));
        append(&"x".repeat(984), bounds);
        assert_eq!(sequences(&connection), [6], "with 5 they would be 1003 bytes");
        append(&"x".repeat(5000), bounds);
        assert_eq!(sequences(&connection), [7], "the newest always stays");
        assert_eq!(journal_after(&connection, 7, 100).unwrap(), []);
        for _ in 8..16 {
            append("command", Bounds { step: 8, ..bounds });
        }
        assert_eq!(sequences(&connection), [8, 9, 10, 11, 12, 13, 14, 15], "looked at with 8, then with 16");
        append("command", Bounds { step: 8, ..bounds });
        assert_eq!(sequences(&connection), [14, 15, 16]);
    }
}
