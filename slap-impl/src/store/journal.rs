//! The journal: each committed change with its answer, in commit order, written in the change's own transaction.
//! Its oldest entries go when there are too many, or too many bytes of them.

use rusqlite::{Connection, OptionalExtension};

/// So many of the last entries are kept, unless they have more than 64 MiB.
pub const JOURNAL_ENTRIES_MAX: i64 = 100_000;

const KEPT: Bounds =
    Bounds { entries: JOURNAL_ENTRIES_MAX, bytes: (64 << 20) - STEP_BYTES, step: 64, step_bytes: STEP_BYTES };

/// No more bytes come before it is looked at again how many there are.
const STEP_BYTES: i64 = 4 << 20;

/// How much is kept.
#[derive(Clone, Copy)]
struct Bounds {
    entries: i64,
    bytes: i64,
    /// Looked at after so many changes, so there may be fewer than that many more.
    step: i64,
    /// And after each one that has its share of so many bytes: others are so short that no more than these come in between.
    step_bytes: i64,
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
    let bytes = i64::try_from(command.len() + answer.len()).unwrap_or(i64::MAX);
    if sequence % bounds.step == 0 || bytes >= bounds.step_bytes / bounds.step {
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
    journal_page(connection, sequence, limit, usize::MAX)
}

/// The same, but no more follow once there are `bytes_max` bytes of them.
pub fn journal_page(
    connection: &Connection,
    sequence: i64,
    limit: u32,
    bytes_max: usize,
) -> rusqlite::Result<Vec<JournalEntry>> {
    let mut select = connection.prepare_cached(
        "SELECT sequence, at, command, answer FROM journal WHERE sequence > ?1 ORDER BY sequence LIMIT ?2",
    )?;
    let mut rows = select.query((sequence, limit))?;
    let (mut entries, mut bytes) = (Vec::new(), 0);
    while bytes < bytes_max
        && let Some(row) = rows.next()?
    {
        let entry = JournalEntry {
            sequence: row.get(0)?,
            at: row.get(1)?,
            command: row.get(2)?,
            answer: row.get(3)?,
        };
        bytes += entry.command.len() + entry.answer.len();
        entries.push(entry);
    }
    Ok(entries)
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
        let bounds = Bounds { entries: 3, bytes: 1000, step: 1, step_bytes: i64::MAX };
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

    #[test]
    fn its_size_is_looked_at_between_cuts() {
        let connection = database();
        let bounds = Bounds { entries: 1000, bytes: 6000, step: 8, step_bytes: 8 * 600 };
        let lengths = [100, 500, 5000, 593, 594, 3000, 20];
        for length in lengths.into_iter().cycle().take(300) {
            append_bounded(&connection, 1, &"x".repeat(length), "answer", bounds).unwrap();
            let kept: i64 = connection
                .query_row(
                    "SELECT sum(octet_length(command) + octet_length(answer)) FROM journal",
                    [],
                    |row| row.get(0),
                )
                .unwrap();
            assert!(kept <= bounds.bytes + bounds.step_bytes, "{kept} bytes");
        }
        assert!(journal_ends(&connection).unwrap().unwrap().0 > 280);
    }

    #[test]
    fn what_is_read_at_once_is_bounded() {
        let connection = database();
        for _ in 0..5 {
            append_journal(&connection, 1, &"x".repeat(90), "0123456789").unwrap();
        }
        let read = |since, limit, bytes_max| -> Vec<i64> {
            let entries = journal_page(&connection, since, limit, bytes_max).unwrap();
            entries.iter().map(|entry| entry.sequence).collect()
        };
        assert_eq!(read(0, 100, usize::MAX), [1, 2, 3, 4, 5]);
        assert_eq!(read(1, 2, usize::MAX), [2, 3]);
        assert_eq!(read(1, 100, 200), [2, 3], "with 3 there are as many as may be");
        assert_eq!(read(1, 100, 201), [2, 3, 4]);
        assert_eq!(read(4, 100, 1), [5], "one always");
    }
}
