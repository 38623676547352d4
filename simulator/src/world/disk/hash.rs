//! A hash of paths that is quick and always the same: a world of a thousand machines spends its time in look-ups. Nobody chooses keys that
//! collide, so it need not withstand that; SipHash, which does, takes five times as long.

use std::hash::{BuildHasherDefault, Hasher};

/// Makes hashers that begin alike.
pub(crate) type Quick = BuildHasherDefault<QuickHasher>;

/// An odd number without a pattern in its bits (of the golden ratio).
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// The hash so far.
#[derive(Default)]
pub(crate) struct QuickHasher(u64);

impl QuickHasher {
    fn add(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word ^ FACTOR) * u128::from(FACTOR);
        self.0 = (product as u64) ^ ((product >> 64) as u64);
    }
}

impl Hasher for QuickHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.add(u64::from_le_bytes(*word)));
        if !rest.is_empty() {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            // Whoever hashes bytes adds their number, so the zeros behind do not count.
            self.add(u64::from_le_bytes(last));
        }
    }

    fn write_usize(&mut self, number: usize) {
        self.add(number as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Quick;
    use std::{collections::BTreeSet, hash::BuildHasher};

    #[test]
    fn paths_that_are_alike_have_hashes_that_are_not() {
        let hash = |bytes: &[u8]| Quick::default().hash_one(bytes);
        let paths = (0..100).flat_map(|partition| {
            (0..100).map(move |file| {
                format!("/srv/slapgrid/instance/slappart{partition}/etc/promise/check-{file}")
            })
        });
        let hashes: Vec<u64> = paths.map(|path| hash(path.as_bytes())).collect();
        let different: BTreeSet<u64> = hashes.iter().copied().collect();
        assert_eq!(different.len(), hashes.len());
        // A table looks at the lowest bits, and at the highest seven.
        for part in [|hash: &u64| hash & 0x3ff, |hash: &u64| hash >> 57] {
            let mut counts = std::collections::BTreeMap::<u64, usize>::new();
            hashes.iter().for_each(|hash| *counts.entry(part(hash)).or_default() += 1);
            let (places, most) = (counts.len(), counts.values().max().copied().unwrap_or_default());
            assert!(most < 4 * hashes.len() / places + 20, "{most} of {} in {places}", hashes.len());
        }
        assert_ne!(hash(b"/a"), hash(b"/a\0"));
        assert_ne!(hash(b""), hash(b"\0"));
    }
}
