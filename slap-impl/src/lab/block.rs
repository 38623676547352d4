//! The block of loopback addresses that a lab lives on.
//!
//! Linux answers on all of 127.0.0.0/8 without anybody's leave, so each partition gets an address of its own. The block
//! is derived from the lab's directory, so labs live side by side and a lab finds its own again; that it is free is
//! proved by binding the master's address, the first of the block.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{net::Ipv4Addr, path::Path};

/// Addresses of a block: a /20.
const BLOCK_SIZE: u32 = 1 << 12;
/// Blocks of 127.0.0.0/8, without the first, where 127.0.0.1 is.
const BLOCKS: u32 = (1 << 24) / BLOCK_SIZE - 1;
/// Addresses at a block's beginning that are not partitions'.
const RESERVED: u32 = 16;
/// Partitions that a lab has at most.
pub(super) const PARTITIONS_MAX: u32 = BLOCK_SIZE - RESERVED;
/// The port of a lab's master: slapproxy's.
pub(super) const MASTER_PORT: u16 = 5000;

/// A block of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Block {
    base: Ipv4Addr,
}

impl Block {
    /// The blocks that a lab in `directory` tries, in order.
    pub(super) fn candidates(directory: &Path) -> impl Iterator<Item = Block> {
        let digest = Sha256::digest(directory.as_os_str().as_encoded_bytes());
        let start = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]) % BLOCKS;
        (0..BLOCKS).map(move |step| Block::number((start + step) % BLOCKS))
    }

    fn number(number: u32) -> Block {
        Block { base: Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 0, 0, 0)) + (number + 1) * BLOCK_SIZE) }
    }

    /// The master's address.
    pub(super) fn master(self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.base) + 1)
    }

    /// A partition's address; `index` counts all partitions of the lab, and is below [`PARTITIONS_MAX`].
    pub(super) fn partition(self, index: u32) -> Ipv4Addr {
        assert!(index < PARTITIONS_MAX, "the number of partitions was checked");
        Ipv4Addr::from(u32::from(self.base) + RESERVED + index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn blocks_are_disjoint_loopback_addresses() {
        let blocks: Vec<Block> = Block::candidates(Path::new("/tmp/lab")).collect();
        let bases: BTreeSet<Ipv4Addr> = blocks.iter().map(|block| block.base).collect();
        assert_eq!(bases.len(), blocks.len());
        for block in [blocks[0], blocks[1], Block::number(0), Block::number(BLOCKS - 1)] {
            assert!(block.master().is_loopback() && block.partition(PARTITIONS_MAX - 1).is_loopback());
            assert_ne!(block.master(), Ipv4Addr::LOCALHOST);
            let last = u32::from(block.partition(PARTITIONS_MAX - 1));
            assert!(last < u32::from(block.base) + BLOCK_SIZE);
        }
    }

    #[test]
    fn a_directory_finds_its_block_again() {
        let first = |path: &str| Block::candidates(Path::new(path)).next().unwrap();
        assert_eq!(first("/tmp/a"), first("/tmp/a"));
        assert_ne!(first("/tmp/a"), first("/tmp/b"));
    }
}
