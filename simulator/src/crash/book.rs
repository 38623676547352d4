//! What clients were told, and what a reader of the master saw meanwhile: all of it must be there after a crash.

use rusqlite::Connection;
use std::collections::BTreeMap;

/// What a client knows of something that it alone changes.
#[derive(Default)]
pub(super) struct Register {
    /// What it was told of last; none before that.
    pub(super) told: Option<u64>,
    /// What it asked for since. A refusal of a disk that fails may come true after a crash, as an answer that was lost.
    pub(super) asked: Vec<u64>,
}

/// An entry of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) sequence: i64,
    /// When, what, and what was answered.
    pub(super) content: (i64, String, String),
}

/// What only grows: the revision of each computer, and the timestamp of each partition.
pub(super) type Clocks = BTreeMap<String, i64>;

/// All that was told and seen.
#[derive(Default)]
pub(super) struct Book {
    /// By title and field: parameters or connection.
    pub(super) registers: BTreeMap<(String, &'static str), Register>,
    pub(super) journal: Vec<Entry>,
    pub(super) clocks: Clocks,
    /// The last number that somebody asked for.
    pub(super) number: u64,
    /// Whether somebody was told that the computer has its partitions.
    pub(super) is_formatted: bool,
    pub(super) acknowledged: u64,
    pub(super) refused: u64,
    /// Answers that no disk explains.
    pub(super) unexpected: Vec<String>,
}

impl Book {
    /// A number that nobody asked for before.
    pub(super) fn next(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    /// Somebody asks.
    pub(super) fn asked(&mut self, title: &str, field: &'static str, number: u64) {
        self.registers.entry((title.to_owned(), field)).or_default().asked.push(number);
    }

    /// Somebody was told that it is so.
    pub(super) fn told(&mut self, title: &str, field: &'static str, number: u64) {
        self.acknowledged += 1;
        self.registers.insert((title.to_owned(), field), Register { told: Some(number), asked: Vec::new() });
    }

    /// The number of the last entry that was seen.
    pub(super) fn last_sequence(&self) -> i64 {
        self.journal.last().map_or(0, |entry| entry.sequence)
    }

    /// Notes what a reader sees now, which is durable.
    ///
    /// # Errors
    /// Those of SQLite.
    pub(super) fn look(&mut self, database: &Connection) -> rusqlite::Result<()> {
        let new = journal_after(database, self.last_sequence())?;
        self.journal.extend(new);
        self.clocks = clocks(database)?;
        Ok(())
    }
}

/// The entries of the journal after a sequence.
pub(super) fn journal_after(database: &Connection, sequence: i64) -> rusqlite::Result<Vec<Entry>> {
    let sql = "SELECT sequence, at, command, answer FROM journal WHERE sequence > ?1 ORDER BY sequence";
    let mut statement = database.prepare_cached(sql)?;
    let entries = statement.query_map([sequence], |row| {
        Ok(Entry { sequence: row.get(0)?, content: (row.get(1)?, row.get(2)?, row.get(3)?) })
    })?;
    entries.collect()
}

/// What only grows.
pub(super) fn clocks(database: &Connection) -> rusqlite::Result<Clocks> {
    let sql = "SELECT reference, revision FROM computer
        UNION ALL SELECT computer || '/' || reference, timestamp FROM partition ORDER BY 1";
    let mut statement = database.prepare_cached(sql)?;
    let clocks = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    clocks.collect()
}
