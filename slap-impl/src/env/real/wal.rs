//! Whether a write-ahead log was damaged.
//!
//! SQLite takes what stands behind the first bad frame for the rest of a transaction that was never finished, and drops it without a
//! word: right after a power cut, and a loss of acknowledged changes after damage. They can be told apart. A frame's checksum goes
//! on from that of the frame before it, and no frame is written behind a commit before that commit is on the disk. So a commit with
//! a successor was acknowledged; when it stands behind a bad frame, the log is damaged. And so it is where something stands that was
//! never a frame: each time a log is begun anew, its first salt grows by one, so what is left of an earlier one can be told.
//!
//! The format: <https://www.sqlite.org/fileformat2.html#the_write_ahead_log>.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, BufReader, ErrorKind, Read},
    path::{Path, PathBuf},
};

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
/// The log's first word; its last bit says in which order of bytes checksums are made.
const MAGIC: u32 = 0x377f_0682;

/// How many times a log may have been begun anew since a frame that is left in it was written.
const GENERATIONS_MAX: u32 = 1 << 20;

/// Where the write-ahead log of a database is.
pub(super) fn path_of(database: &Path) -> PathBuf {
    let mut path = OsString::from(database);
    path.push("-wal");
    path.into()
}

/// Whether changes that were acknowledged stand in this log where SQLite does not find them any more. It is only read.
///
/// # Errors
/// When it is there and cannot be read.
pub(super) fn is_damaged(log: &Path) -> io::Result<bool> {
    match File::open(log) {
        Ok(file) => examine(BufReader::with_capacity(1 << 18, file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn examine(mut log: impl Read) -> io::Result<bool> {
    let mut header = [0; HEADER_BYTES];
    if !fill(&mut log, &mut header)? {
        return Ok(false);
    }
    let Some((format, mut checksum)) = Format::read(&header) else {
        // It was on the disk before the first frame was written.
        return fill(&mut log, &mut [0; FRAME_HEADER_BYTES]);
    };
    let mut frame = vec![0; FRAME_HEADER_BYTES + format.page_bytes];
    let mut is_broken = false;
    let mut is_behind_commit = false;
    while fill(&mut log, &mut frame)? {
        let is_ours = format.is_ours(&frame);
        let goes_on = is_ours && format.sum_of(&frame, checksum) == sum_at(&frame, 16);
        if format.is_foreign(&frame) || (goes_on && is_broken && is_behind_commit) {
            return Ok(true);
        }
        is_broken |= !goes_on;
        is_behind_commit = is_ours && word(&frame, 4) != 0;
        checksum = sum_at(&frame, 16);
    }
    Ok(false)
}

/// What the log's header says.
struct Format {
    page_bytes: usize,
    salts: [u8; 8],
    is_big_endian: bool,
}

type Checksum = (u32, u32);

impl Format {
    /// None if it is no header. The checksum is that which the first frame goes on from.
    fn read(header: &[u8; HEADER_BYTES]) -> Option<(Format, Checksum)> {
        let magic = word(header, 0);
        let page_bytes = word(header, 8);
        if magic & !1 != MAGIC || !page_bytes.is_power_of_two() || !(512..=65_536).contains(&page_bytes) {
            return None;
        }
        let format = Format {
            page_bytes: page_bytes as usize,
            salts: header[16..24].try_into().expect("these are eight bytes"),
            is_big_endian: magic & 1 == 1,
        };
        let checksum = format.sum((0, 0), &header[..24]);
        (checksum == sum_at(header, 24)).then_some((format, checksum))
    }

    /// Whether a frame belongs to this log, and is not left of an earlier one.
    fn is_ours(&self, frame: &[u8]) -> bool {
        frame[8..16] == self.salts && word(frame, 0) != 0
    }

    /// Whether it is no frame of this log or of an earlier one, and not empty either.
    fn is_foreign(&self, frame: &[u8]) -> bool {
        let age = word(&self.salts, 0).wrapping_sub(word(frame, 8));
        age > GENERATIONS_MAX && frame[8..16] != [0; 8]
    }

    fn sum_of(&self, frame: &[u8], before: Checksum) -> Checksum {
        self.sum(self.sum(before, &frame[..8]), &frame[FRAME_HEADER_BYTES..])
    }

    fn sum(&self, before: Checksum, bytes: &[u8]) -> Checksum {
        let (mut first, mut second) = before;
        for pair in bytes.chunks_exact(8) {
            let half = |at: usize| {
                let bytes = [pair[at], pair[at + 1], pair[at + 2], pair[at + 3]];
                if self.is_big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
            };
            first = first.wrapping_add(half(0)).wrapping_add(second);
            second = second.wrapping_add(half(4)).wrapping_add(first);
        }
        (first, second)
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn sum_at(bytes: &[u8], at: usize) -> Checksum {
    (word(bytes, at), word(bytes, at + 4))
}

/// Reads so many bytes; false at the end.
fn fill(log: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    match log.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;
    use std::fs;

    /// The log after `commits` small transactions, of 2 to 4 frames each, and a database's page.
    fn log(commits: u32) -> (Vec<u8>, usize) {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("db");
        let connection = Connection::open(&path).unwrap();
        connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).unwrap();
        connection.execute_batch("CREATE TABLE t (a INTEGER PRIMARY KEY, b)").unwrap();
        for number in 0..commits {
            connection.execute("INSERT INTO t VALUES (?1, hex(zeroblob(3000)))", [number]).unwrap();
        }
        let content = fs::read(path_of(&path)).unwrap();
        let page = word(&content, 8) as usize;
        (content, FRAME_HEADER_BYTES + page)
    }

    /// How many rows SQLite finds with that log on an empty database.
    fn rows(content: &[u8], frame: usize) -> u32 {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("db");
        // One page: the first of the log, in which the table is not yet.
        let begin = HEADER_BYTES + FRAME_HEADER_BYTES;
        fs::write(&path, &content[begin..HEADER_BYTES + frame]).unwrap();
        fs::write(path_of(&path), content).unwrap();
        let connection = Connection::open(&path).unwrap();
        connection.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap_or(0)
    }

    #[test]
    fn what_a_power_cut_leaves_is_no_damage() {
        let (content, frame) = log(20);
        assert_eq!(rows(&content, frame), 20);
        for length in (0..content.len()).step_by(97).chain([content.len()]) {
            assert!(!examine(&content[..length]).unwrap(), "{length} bytes of {}", content.len());
        }
        // Of the last transaction any sector may be missing.
        for begin in (content.len() - 2 * frame..content.len()).step_by(72) {
            let mut torn = content.clone();
            let end = torn.len().min(begin + 512);
            torn[begin..end].fill(0);
            assert!(!examine(&torn[..]).unwrap(), "at {begin} of {}", content.len());
        }
        // What stands behind the newest commit of a log that was begun anew is of an earlier one.
        let mut older = content.clone();
        let mut rest = content[HEADER_BYTES..].to_vec();
        for frame in rest.chunks_mut(frame) {
            let salt = word(frame, 8).wrapping_sub(3);
            frame[8..12].copy_from_slice(&salt.to_be_bytes());
        }
        older.extend(rest);
        assert!(!examine(&older[..]).unwrap());
        assert_eq!(rows(&older, frame), 20);
    }

    #[test]
    fn what_sqlite_would_drop_is_damage() {
        let (content, frame) = log(20);
        let frames = (content.len() - HEADER_BYTES) / frame;
        let places = (0..frames - 8).flat_map(|number| {
            let begin = HEADER_BYTES + number * frame;
            [begin, begin + 9, begin + 17, begin + FRAME_HEADER_BYTES + 100, begin + frame - 1]
        });
        for place in [0, 9, 17, 25].into_iter().chain(places) {
            let mut damaged = content.clone();
            damaged[place] ^= 0x5a;
            assert!(rows(&damaged, frame) < 20, "SQLite finds what was changed at {place}");
            assert!(examine(&damaged[..]).unwrap(), "a byte at {place} of {}", content.len());
        }
        // All of it but its header, or the last page.
        for begin in [HEADER_BYTES, content.len() - frame] {
            let mut damaged = content.clone();
            damaged[begin..].fill(0xa5);
            assert!(examine(&damaged[..]).unwrap(), "all from {begin}");
        }
        // Whole pages, as when something else was written there.
        for number in 0..frames - 8 {
            let mut damaged = content.clone();
            let begin = HEADER_BYTES + number * frame;
            damaged[begin..begin + 2 * frame].fill(0);
            assert!(examine(&damaged[..]).unwrap(), "frames {number} and the next of {frames}");
        }
    }

    #[test]
    fn what_is_not_there_is_not_damaged() {
        let place = tempfile::tempdir().unwrap();
        assert!(!is_damaged(&place.path().join("db-wal")).unwrap());
        assert!(is_damaged(place.path()).is_err());
    }
}
