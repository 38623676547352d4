//! The bytes of a file: what programs see, what was synced, and the changes between, in order.
//!
//! When power is lost, what was synced is kept, and each change since is drawn: kept, dropped, or torn by sectors; a new length may be
//! lost. A change that nobody syncs is written back by the system after a while, as Linux does.

use crate::world::random::Random;
use std::{collections::VecDeque, time::Duration};
use tokio::time::Instant;

/// What a disk writes whole or not at all.
pub(crate) const SECTOR_BYTES: usize = 512;
/// After so long the system has written what nobody synced (vm.dirty_expire_centisecs of Linux).
pub(crate) const WRITE_BACK: Duration = Duration::from_secs(30);

/// How much of what was not synced a power loss keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Luck {
    Nothing,
    Everything,
    /// Drawn for each change.
    Mixed,
}

impl Luck {
    /// Half of all power losses are mixed.
    pub(crate) fn draw(random: &Random) -> Luck {
        match random.below(4) {
            0 => Luck::Nothing,
            1 => Luck::Everything,
            _ => Luck::Mixed,
        }
    }
}

/// The bytes of a file.
pub(crate) struct Bytes {
    seen: Vec<u8>,
    /// None where everything is durable at once.
    kept: Option<Kept>,
}

#[derive(Default)]
struct Kept {
    synced: Vec<u8>,
    changes: VecDeque<(Instant, Change)>,
}

enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Length(usize),
}

impl Bytes {
    /// Of a new file. `remembers`: what was synced is told from what was not.
    pub(crate) fn new(remembers: bool) -> Bytes {
        Bytes { seen: Vec::new(), kept: remembers.then(Kept::default) }
    }

    /// What is seen of these, durable, on another disk.
    pub(crate) fn copy(&self, remembers: bool) -> Bytes {
        let kept = remembers.then(|| Kept { synced: self.seen.clone(), changes: VecDeque::new() });
        Bytes { seen: self.seen.clone(), kept }
    }

    /// What programs see.
    pub(crate) fn seen(&self) -> &[u8] {
        &self.seen
    }

    /// Writes at a place; what lies between the end and that place becomes zeros.
    pub(crate) fn write(&mut self, at: usize, bytes: &[u8], now: Instant) {
        put(&mut self.seen, at, bytes);
        self.note(now, || Change::Write { at, bytes: bytes.to_vec() });
    }

    /// Cuts it, or fills it with zeros.
    pub(crate) fn set_length(&mut self, length: usize, now: Instant) {
        self.seen.resize(length, 0);
        self.note(now, || Change::Length(length));
    }

    /// What is seen is durable.
    pub(crate) fn sync(&mut self) {
        if let Some(Kept { synced, changes }) = &mut self.kept {
            changes.drain(..).for_each(|(_, change)| apply(synced, &change));
        }
    }

    /// A sync that failed: some of it is durable, and nobody knows what is not.
    pub(crate) fn sync_in_part(&mut self, random: &Random) {
        if let Some(kept) = &mut self.kept {
            kept.draw(random, Luck::Mixed);
        }
    }

    /// The power is lost: from now on what is left is seen, and it is durable.
    pub(crate) fn lose(&mut self, random: &Random, luck: Luck) {
        if let Some(kept) = &mut self.kept {
            kept.draw(random, luck);
            self.seen.clone_from(&kept.synced);
        }
    }

    /// The system writes what nobody synced for long.
    pub(crate) fn write_back(&mut self, now: Instant) {
        let Some(Kept { synced, changes }) = &mut self.kept else { return };
        while let Some((_, old)) = changes.pop_front_if(|(at, _)| now.duration_since(*at) > WRITE_BACK) {
            apply(synced, &old);
        }
    }

    fn note(&mut self, now: Instant, change: impl FnOnce() -> Change) {
        self.write_back(now);
        if let Some(kept) = &mut self.kept {
            kept.changes.push_back((now, change()));
        }
    }
}

impl Kept {
    /// Draws which changes reach the disk.
    fn draw(&mut self, random: &Random, luck: Luck) {
        let length_before = self.synced.len();
        for (_, change) in self.changes.drain(..) {
            match (luck, &change) {
                (Luck::Nothing, _) => {}
                (Luck::Everything, _) => apply(&mut self.synced, &change),
                (Luck::Mixed, Change::Length(_)) if random.below(2) == 0 => {}
                (Luck::Mixed, Change::Length(_)) => apply(&mut self.synced, &change),
                (Luck::Mixed, Change::Write { at, bytes }) => match random.below(4) {
                    0 => {}
                    1 => tear(&mut self.synced, *at, bytes, random),
                    _ => apply(&mut self.synced, &change),
                },
            }
        }
        // The data may be there, and the length that it needs not.
        if luck == Luck::Mixed && self.synced.len() > length_before && random.below(4) == 0 {
            let sectors = (self.synced.len() - length_before) / SECTOR_BYTES;
            let kept = random.below(sectors as u64 + 1) as usize;
            self.synced.truncate(length_before + kept * SECTOR_BYTES);
        }
    }
}

fn apply(file: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write { at, bytes } => put(file, *at, bytes),
        Change::Length(length) => file.resize(*length, 0),
    }
}

fn put(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[at..end].copy_from_slice(bytes);
}

/// Writes some sectors of a write.
fn tear(file: &mut Vec<u8>, at: usize, bytes: &[u8], random: &Random) {
    let mut from = 0;
    while from < bytes.len() {
        let to = (from + SECTOR_BYTES - (at + from) % SECTOR_BYTES).min(bytes.len());
        if random.below(2) == 0 {
            put(file, at + from, &bytes[from..to]);
        }
        from = to;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::now_instant;
    use std::collections::BTreeSet;

    /// A file with two synced sectors of `a`, and a write of `b` over both and one more that was not synced.
    fn file() -> Bytes {
        let mut file = Bytes::new(true);
        file.write(0, &[b'a'; 2 * SECTOR_BYTES], now_instant());
        file.sync();
        file.write(0, &[b'b'; 3 * SECTOR_BYTES], now_instant());
        file
    }

    /// Each sector of a file by its one letter; of a sector that is not all the same nothing is said, for there must be none.
    fn sectors(bytes: &[u8]) -> String {
        let letter = |sector: &[u8]| {
            assert!(sector.iter().all(|byte| *byte == sector[0]), "a sector is whole");
            if sector[0] == 0 { '0' } else { char::from(sector[0]) }
        };
        bytes.chunks(SECTOR_BYTES).map(letter).collect()
    }

    #[test]
    fn what_was_synced_is_kept_and_the_rest_is_drawn() {
        let mut found = BTreeSet::new();
        for seed in 0..200 {
            let mut one = file();
            one.lose(&Random::new(seed), Luck::Mixed);
            let mut again = file();
            again.lose(&Random::new(seed), Luck::Mixed);
            assert_eq!(one.seen(), again.seen(), "the same seed, the same bytes");
            found.insert(sectors(one.seen()));
        }
        // Dropped, kept, kept without its length, and torn in every way, of which one loses the length, too.
        let expected = ["aa", "aab", "ab", "aba", "abb", "ba", "baa", "bab", "bb", "bba", "bbb"];
        let possible: BTreeSet<String> = expected.iter().map(ToString::to_string).collect();
        assert!(found.is_subset(&possible), "{found:?}");
        for wanted in ["aa", "aab", "ab", "ba", "bb", "bbb", "abb", "bab"] {
            assert!(found.contains(wanted), "{wanted} of {found:?}");
        }
    }

    #[test]
    fn luck_may_keep_all_or_nothing() {
        for (luck, expected) in [(Luck::Nothing, "aa"), (Luck::Everything, "bbb")] {
            let mut file = file();
            assert_eq!(sectors(file.seen()), "bbb");
            file.lose(&Random::new(1), luck);
            assert_eq!(sectors(file.seen()), expected);
        }
    }

    #[test]
    fn a_failed_sync_forgets_what_it_did_not_write() {
        let lost = (0..50).filter(|seed| {
            let mut file = file();
            file.sync_in_part(&Random::new(*seed));
            assert_eq!(sectors(file.seen()), "bbb", "it is still seen");
            file.sync();
            file.lose(&Random::new(*seed), Luck::Everything);
            sectors(file.seen()) != "bbb"
        });
        assert!((10..40).contains(&lost.count()));
    }

    #[test]
    fn a_length_is_a_change() {
        let mut file = file();
        file.set_length(SECTOR_BYTES, now_instant());
        file.sync();
        file.set_length(0, now_instant());
        file.lose(&Random::new(1), Luck::Nothing);
        assert_eq!(sectors(file.seen()), "b");
        file.set_length(0, now_instant());
        file.lose(&Random::new(1), Luck::Everything);
        assert_eq!(sectors(file.seen()), "");
    }

    #[test]
    fn the_system_writes_back_what_is_old() {
        let mut file = file();
        let later = now_instant() + WRITE_BACK + Duration::from_secs(1);
        file.write(0, b"c", later);
        file.lose(&Random::new(1), Luck::Nothing);
        assert_eq!(sectors(file.seen()), "bbb");
    }
}
