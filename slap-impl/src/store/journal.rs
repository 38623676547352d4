//! The journal: each committed change with its answer, in commit order, written in the change's own transaction.
//! Its oldest entries go when there are too many, or too many bytes of them.

use rusqlite::{Connection, OptionalExtension};

const ENTRIES_MAX: i64 = 100_000;
const BYTES_MAX: i64 = 64 << 20;

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
    append_bounded(connection, at, command, answer, ENTRIES_MAX, BYTES_MAX)
}

fn append_bounded(
    connection: &Connection,
    at: i64,
    command: &str,
    answer: &str,
    entries_max: i64,
    bytes_max: i64,
) -> rusqlite::Result<i64> {
    let before: i64 = connection
        .prepare_cached(
            "SELECT bytes + octet_length(command) + octet_length(answer) FROM journal
            ORDER BY sequence DESC LIMIT 1",
        )?
        .query_row([], |row| row.get(0))
        .optional()?
        .unwrap_or(0);
    let after = before.saturating_add_unsigned((command.len() + answer.len()) as u64);
    connection
        .prepare_cached("INSERT INTO journal (at, command, answer, bytes) VALUES (?1, ?2, ?3, ?4)")?
        .execute((at, command, answer, before))?;
    let sequence = connection.last_insert_rowid();
    // Entries go in their order; each entry that comes lets few go, so this never takes long.
    loop {
        let oldest: Option<(i64, i64)> = connection
            .prepare_cached(
                "SELECT sequence, bytes FROM journal WHERE sequence < ?1 ORDER BY sequence LIMIT 1",
            )?
            .query_row([sequence], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        match oldest {
            Some((old, start)) if old <= sequence - entries_max || after - start > bytes_max => {
                connection.prepare_cached("DELETE FROM journal WHERE sequence = ?1")?.execute([old])?;
            }
            _ => return Ok(sequence),
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

/// The sequences of the oldest and the newest change that are kept; none when there are none.
pub fn journal_ends(connection: &Connection) -> rusqlite::Result<Option<(i64, i64)>> {
    connection
        .prepare_cached("SELECT min(sequence), max(sequence) FROM journal")?
        .query_row([], |row| Ok(row.get::<_, Option<i64>>(0)?.zip(row.get(1)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::database;

    #[test]
    fn the_oldest_entries_go_by_number_and_by_size() {
        let connection = database();
        assert_eq!(journal_ends(&connection).unwrap(), None);
        let sequences = |connection: &Connection| -> Vec<i64> {
            journal_after(connection, 0, 100).unwrap().iter().map(|entry| entry.sequence).collect()
        };
        for _ in 0..5 {
            append_bounded(&connection, 1, "command", "answer", 3, 1000).unwrap();
        }
        assert_eq!(sequences(&connection), [3, 4, 5]);
        assert_eq!(journal_ends(&connection).unwrap(), Some((3, 5)));
        append_bounded(&connection, 1, &"x".repeat(990), "", 3, 1000).unwrap();
        assert_eq!(sequences(&connection), [6], "with 5 they would be 1003 bytes");
        append_bounded(&connection, 1, &"x".repeat(5000), "", 3, 1000).unwrap();
        assert_eq!(sequences(&connection), [7], "the newest always stays");
        assert_eq!(journal_after(&connection, 7, 100).unwrap(), []);
    }
}
