//! Draws by name: each child stream depends on the seed and its own name only.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use sha2::{Digest, Sha256};
use slap_impl::env::Entropy;
use std::{cell::RefCell, rc::Rc, time::Duration};

/// A stream of random numbers, and a tree of named ones below it.
#[derive(Clone)]
pub(crate) struct Random {
    path: String,
    stream: Rc<RefCell<ChaCha8Rng>>,
}

impl Random {
    /// The root of a seed.
    pub(crate) fn new(seed: u64) -> Random {
        Random::of(format!("{seed:#018x}"))
    }

    /// The root of bytes that were drawn elsewhere.
    pub(crate) fn of_bytes(bytes: &[u8]) -> Random {
        Random::of(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The child of that name.
    pub(crate) fn child(&self, name: &str) -> Random {
        Random::of(format!("{}/{name}", self.path))
    }

    /// A duration between the two, both included.
    pub(crate) fn duration(&self, least: Duration, most: Duration) -> Duration {
        let span = (most - least).as_nanos() as u64 + 1;
        least + Duration::from_nanos(self.stream.borrow_mut().next_u64() % span)
    }

    /// Any number.
    pub(crate) fn number(&self) -> u64 {
        self.stream.borrow_mut().next_u64()
    }

    /// A number below `bound`, which must not be 0.
    pub(crate) fn below(&self, bound: u64) -> u64 {
        self.stream.borrow_mut().next_u64() % bound
    }

    fn of(path: String) -> Random {
        let seed: [u8; 32] = Sha256::digest(path.as_bytes()).into();
        Random { path, stream: Rc::new(RefCell::new(ChaCha8Rng::from_seed(seed))) }
    }
}

impl Entropy for Random {
    fn fill(&self, bytes: &mut [u8]) {
        self.stream.borrow_mut().fill_bytes(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_depends_on_its_name_only() {
        let draw = |random: &Random| {
            let mut bytes = [0; 8];
            random.fill(&mut bytes);
            bytes
        };
        let first = Random::new(7);
        draw(&first);
        draw(&first.child("other"));
        assert_eq!(draw(&first.child("disk")), draw(&Random::new(7).child("disk")));
        assert_ne!(draw(&first.child("disk")), draw(&first.child("network")));
        assert_ne!(draw(&Random::new(8).child("disk")), draw(&Random::new(7).child("disk")));
    }
}
