//! What a recovered database must hold.

use super::book::{Book, Register, clocks, journal_after};
use rusqlite::{Connection, OptionalExtension};
use slap_impl::{master::Master, wire::instance_xml};

/// So many of the last entries of the journal are compared after each crash; all of them now and then.
const ENTRIES: usize = 32;

/// What is wrong with the database that a master recovered, each with the name of its rule.
pub(super) fn judge(master: &Master, book: &mut Book, is_thorough: bool) -> Vec<String> {
    let judged = master.read(|database| {
        let mut wrong = Vec::new();
        integrity(database, is_thorough, &mut wrong)?;
        acknowledged(database, book, &mut wrong)?;
        journal(database, book, is_thorough, &mut wrong)?;
        times(database, book, &mut wrong)?;
        Ok(wrong)
    });
    match judged {
        // What survived is what is known from now on.
        Ok(wrong) if wrong.is_empty() => match master.read(|database| book.look(database)) {
            Ok(()) => wrong,
            Err(error) => vec![format!("unreadable: {error}")],
        },
        Ok(wrong) => wrong,
        Err(error) => vec![format!("unreadable: {error}")],
    }
}

/// SQLite finds nothing wrong with it. A master that begins looks at the whole itself, and does not begin on what is damaged: so all of it is
/// looked at again only now and then.
fn integrity(database: &Connection, is_thorough: bool, wrong: &mut Vec<String>) -> rusqlite::Result<()> {
    if is_thorough {
        let found: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
        if found != "ok" {
            wrong.push(format!("corrupt: {found}"));
        }
    }
    let orphan: Option<String> =
        database.query_row("PRAGMA foreign_key_check", [], |row| row.get(0)).optional()?;
    if let Some(table) = orphan {
        wrong.push(format!("corrupt: a row of {table} refers to none"));
    }
    Ok(())
}

/// Every change that somebody was told of is there, unless what was asked later is.
fn acknowledged(database: &Connection, book: &mut Book, wrong: &mut Vec<String>) -> rusqlite::Result<()> {
    for ((title, field), register) in &mut book.registers {
        let found = match *field {
            "supply" => supply(database, title)?,
            "parameters" => number(database, title, "parameters", "x")?,
            _ => number(database, title, "connection", "y")?,
        };
        let Register { told, asked } = &register;
        if found != *told && !found.is_some_and(|found| asked.contains(&found)) {
            wrong.push(format!(
                "acknowledged write lost: {field} of {title} is {found:?}, of {told:?} somebody was told, {asked:?} may be"
            ));
        }
        // It survived one crash, so it survives the next.
        *register = Register { told: found, asked: Vec::new() };
    }
    Ok(())
}

fn number(database: &Connection, title: &str, column: &str, key: &str) -> rusqlite::Result<Option<u64>> {
    let sql = format!("SELECT {column} FROM instance WHERE title = ?1");
    let text: Option<String> =
        database.prepare_cached(&sql)?.query_row([title], |row| row.get(0)).optional()?;
    let parameters = text.and_then(|text| instance_xml::decode(&text).ok());
    Ok(parameters.and_then(|parameters| parameters.get(key)?.as_ref()?.parse().ok()))
}

fn supply(database: &Connection, url: &str) -> rusqlite::Result<Option<u64>> {
    let mut statement = database.prepare_cached("SELECT state FROM supply WHERE url = ?1")?;
    let state: Option<String> = statement.query_row([url], |row| row.get(0)).optional()?;
    Ok(state.map(|state| u64::from(state == "destroyed")))
}

/// The journal is a list without gaps that begins with all that was seen of it.
fn journal(
    database: &Connection,
    book: &Book,
    is_thorough: bool,
    wrong: &mut Vec<String>,
) -> rusqlite::Result<()> {
    let first = if is_thorough { 0 } else { book.journal.len().saturating_sub(ENTRIES) };
    let seen = &book.journal[first..];
    let after = seen.first().map_or(book.last_sequence(), |entry| entry.sequence - 1);
    let found = journal_after(database, after)?;
    if let Some((before, now)) = seen.iter().zip(&found).find(|(before, now)| before != now) {
        wrong.push(format!("journal: entry {} was {before:?} and is {now:?}", before.sequence));
    } else if found.len() < seen.len() {
        wrong.push(format!("journal: {} entries that were seen are gone", seen.len() - found.len()));
    }
    let numbers = found.iter().map(|entry| entry.sequence);
    if let Some((expected, number)) = (after + 1..).zip(numbers).find(|(expected, number)| expected != number)
    {
        wrong.push(format!("journal: entry {number} comes where {expected} should"));
    }
    Ok(())
}

/// No revision and no timestamp went back.
fn times(database: &Connection, book: &Book, wrong: &mut Vec<String>) -> rusqlite::Result<()> {
    let now = clocks(database)?;
    for (name, before) in &book.clocks {
        match now.get(name) {
            Some(now) if now >= before => {}
            now => wrong.push(format!("went back: {name} was at {before} and is at {now:?}")),
        }
    }
    Ok(())
}
