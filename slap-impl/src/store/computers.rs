//! Reading computers, in their natural order, and where there is room.

use super::{queries::list, rows::Computer};
use crate::vocabulary::{ComputerId, PartitionId};
use rusqlite::{Connection, OptionalExtension, Row};

fn read_computer(row: &Row<'_>) -> rusqlite::Result<Computer> {
    Ok(Computer { reference: row.get(0)?, address: row.get(1)?, netmask: row.get(2)?, revision: row.get(3)? })
}

/// One computer.
pub fn computer(connection: &Connection, reference: &ComputerId) -> rusqlite::Result<Option<Computer>> {
    connection
        .prepare_cached("SELECT reference, address, netmask, revision FROM computer WHERE reference = ?1")?
        .query_row([reference], read_computer)
        .optional()
}

/// All computers in their natural order: `COMP-2` stands before `COMP-10`.
pub fn computers(connection: &Connection) -> rusqlite::Result<Vec<Computer>> {
    let sql = "SELECT reference, address, netmask, revision FROM computer ORDER BY sort_key, reference";
    list(connection, sql, [], read_computer)
}

/// The first computers in their natural order, at most `limit` of them.
pub fn first_computers(connection: &Connection, limit: usize) -> rusqlite::Result<Vec<ComputerId>> {
    let sql = "SELECT reference FROM computer ORDER BY sort_key, reference LIMIT ?1";
    list(connection, sql, [i64::try_from(limit).unwrap_or(i64::MAX)], |row| row.get(0))
}

/// How many computers there are.
pub fn count_computers(connection: &Connection) -> rusqlite::Result<usize> {
    let count: i64 =
        connection.prepare_cached("SELECT count(*) FROM computer")?.query_row([], |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// How many partitions a computer has, and how many of them have an instance.
pub fn occupancy(connection: &Connection, computer: &ComputerId) -> rusqlite::Result<(u32, u32)> {
    connection
        .prepare_cached(
            "SELECT count(*), (SELECT count(*) FROM instance WHERE computer = ?1) FROM partition
            WHERE computer = ?1",
        )?
        .query_row([computer], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// The first partition of a computer that can be given away: in its last format, and with no instance.
pub fn free_partition(
    connection: &Connection,
    computer: &ComputerId,
) -> rusqlite::Result<Option<PartitionId>> {
    connection
        .prepare_cached(
            "SELECT reference FROM partition WHERE computer = ?1 AND vacant = 1
            ORDER BY position, reference LIMIT 1",
        )?
        .query_row([computer], |row| row.get(0))
        .optional()
}

/// The same of the first computer, in their natural order, that has any.
pub fn first_free_partition(connection: &Connection) -> rusqlite::Result<Option<(ComputerId, PartitionId)>> {
    let computer: Option<ComputerId> = connection
        .prepare_cached(
            "SELECT reference FROM computer WHERE has_vacancy = 1 ORDER BY sort_key, reference LIMIT 1",
        )?
        .query_row([], |row| row.get(0))
        .optional()?;
    let Some(computer) = computer else { return Ok(None) };
    Ok(free_partition(connection, &computer)?.map(|partition| (computer, partition)))
}

/// Notes whether a partition can be given away, after something of it changed on which that depends.
pub(super) fn note_vacancy(
    connection: &Connection,
    computer: &ComputerId,
    partition: &PartitionId,
) -> rusqlite::Result<()> {
    let changed = connection
        .prepare_cached(
            "UPDATE partition SET vacant = NOT vacant WHERE computer = ?1 AND reference = ?2
            AND vacant <> (listed = 1 AND NOT EXISTS (
                SELECT 1 FROM instance AS i WHERE i.computer = ?1 AND i.partition = ?2))",
        )?
        .execute((computer, partition))?;
    if changed == 0 {
        return Ok(());
    }
    connection
        .prepare_cached(
            "UPDATE computer SET vacancies = vacancies + (
                SELECT 2 * vacant - 1 FROM partition WHERE computer = ?1 AND reference = ?2)
            WHERE reference = ?1",
        )?
        .execute((computer, partition))?;
    note_any_vacancy(connection, computer)
}

/// Notes whether a computer has a vacancy, after it has more or fewer of them.
pub(super) fn note_any_vacancy(connection: &Connection, computer: &ComputerId) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE computer SET has_vacancy = NOT has_vacancy
            WHERE reference = ?1 AND has_vacancy <> (vacancies > 0)",
        )?
        .execute([computer])
        .map(drop)
}

/// Gives every computer its place in the natural order: for databases that have none yet.
pub(super) fn set_sort_keys(connection: &Connection) -> rusqlite::Result<()> {
    for computer in list(connection, "SELECT reference FROM computer ORDER BY reference", [], |row| {
        row.get::<_, ComputerId>(0)
    })? {
        connection.execute(
            "UPDATE computer SET sort_key = ?2 WHERE reference = ?1",
            (&computer, sort_key(computer.as_str())),
        )?;
    }
    Ok(())
}

/// Text as bytes whose order is the natural one: a run of digits counts by its value, and stands behind other characters.
pub fn sort_key(text: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(text.len() + 8);
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if digits > 0 {
            let value = rest[..digits].trim_start_matches('0');
            // A longer number is a greater one. No character of UTF-8 is 255.
            key.push(255);
            key.extend(u32::try_from(value.len()).unwrap_or(u32::MAX).to_be_bytes());
            key.extend(value.as_bytes());
            rest = &rest[digits..];
        } else {
            key.extend(&rest.as_bytes()[..first.len_utf8()]);
            rest = &rest[first.len_utf8()..];
        }
    }
    key
}

#[cfg(test)]
mod tests {
    use super::sort_key;

    #[test]
    fn numbers_in_references_count_by_value() {
        let mut references =
            vec!["COMP-10", "COMP-2", "COMP-1", "a10b2", "a10b10", "a9z", "COMP", "COMP-", "9", "10", "007"];
        references.sort_by_key(|reference| sort_key(reference));
        let expected =
            ["COMP", "COMP-", "COMP-1", "COMP-2", "COMP-10", "a9z", "a10b2", "a10b10", "007", "9", "10"];
        assert_eq!(references, expected);
    }
}
