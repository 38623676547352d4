//! Computers' full informations as documents: kept, and rebuilt only where something changed.
//!
//! A computer's revision says whether its document is the same, a partition's whether its piece of it is: both are read in the
//! snapshot from which the rest is taken. While nothing was committed since a document was looked at, not even they are read.

use super::render;
use crate::{
    store::{self, Instance, Partition},
    vocabulary::{ComputerId, PartitionId},
    wire::{marshal::Writer, objects::Computer},
};
use bytes::Bytes;
use rusqlite::Connection;
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    ops::Range,
};

/// Bytes of documents that are kept: above that, those of other computers go.
const KEPT_BYTES_MAX: usize = 64 << 20;
/// With more changed partitions than this, all are read at once.
const SINGLE_MAX: usize = 32;

/// The documents by computer.
#[derive(Default)]
pub(super) struct Documents {
    kept: RefCell<BTreeMap<ComputerId, Kept>>,
    bytes: Cell<usize>,
}

struct Kept {
    revision: i64,
    /// After how many commits this was found to be the newest.
    commits: Option<u64>,
    document: Bytes,
    pieces: BTreeMap<PartitionId, Piece>,
}

/// What a document says of a partition.
struct Piece {
    revision: i64,
    place: Range<usize>,
    /// The last id before it, and how many stand in it.
    before: usize,
    ids: usize,
}

impl Documents {
    /// The newest revision and its document, if nothing was committed since that was looked for. `commits` counts the commits; it
    /// is none while one is under way.
    pub(super) fn newest(&self, computer: &ComputerId, commits: Option<u64>) -> Option<(i64, Bytes)> {
        let commits = commits?;
        let kept = self.kept.borrow();
        let found = kept.get(computer).filter(|kept| kept.commits == Some(commits))?;
        Some((found.revision, found.document.clone()))
    }

    /// The document of a computer at a revision, which is the newest after so many commits.
    pub(super) fn at(
        &self,
        connection: &Connection,
        computer: &ComputerId,
        revision: i64,
        commits: Option<u64>,
    ) -> rusqlite::Result<Bytes> {
        if let Some(kept) = self.kept.borrow_mut().get_mut(computer)
            && kept.revision == revision
        {
            kept.commits = commits;
            return Ok(kept.document.clone());
        }
        let (document, pieces) = self.rebuild(connection, computer)?;
        let kept = Kept { revision, commits, document: document.clone(), pieces };
        self.keep(computer, kept);
        Ok(document)
    }

    fn keep(&self, computer: &ComputerId, new: Kept) {
        let mut kept = self.kept.borrow_mut();
        let mut bytes = self.bytes.get() + new.document.len();
        bytes -= kept.insert(computer.clone(), new).map_or(0, |old| old.document.len());
        while bytes > KEPT_BYTES_MAX {
            let other = kept.keys().find(|other| *other != computer).cloned();
            let Some(gone) = other.and_then(|other| kept.remove(&other)) else { break };
            bytes -= gone.document.len();
        }
        self.bytes.set(bytes);
    }

    fn rebuild(
        &self,
        connection: &Connection,
        computer: &ComputerId,
    ) -> rusqlite::Result<(Bytes, BTreeMap<PartitionId, Piece>)> {
        let supplies = store::supplies(connection, computer)?;
        let partitions = store::partition_revisions(connection, computer)?;
        let kept = self.kept.borrow();
        let old = kept.get(computer);
        let is_known = |(reference, revision): &(PartitionId, i64)| {
            old.and_then(|old| old.pieces.get(reference)).is_some_and(|piece| piece.revision == *revision)
        };
        let changed: Vec<&PartitionId> =
            partitions.iter().filter(|it| !is_known(it)).map(|(reference, _)| reference).collect();
        let changed = read(connection, computer, &changed)?;
        let releases = render::releases(&supplies);
        let mut pieces = BTreeMap::new();
        let mut written = Ok(());
        let write = |writer: &mut Writer| {
            for (reference, revision) in &partitions {
                let (begin, before) = (writer.position(), writer.last_id());
                match (changed.get(reference), old.and_then(|old| Some((old, old.pieces.get(reference)?)))) {
                    (Some((partition, shared)), _) => match render::partition(partition, shared, None) {
                        Ok(shown) => writer.value(&shown.to_value()),
                        Err(error) => written = Err(error),
                    },
                    (None, Some((old, piece))) => {
                        let bytes = &old.document[piece.place.clone()];
                        let text = str::from_utf8(bytes).expect("a document's pieces are text");
                        writer.copy(text, piece.before, piece.ids);
                    }
                    (None, None) => continue,
                }
                let place = begin..writer.position();
                let ids = writer.last_id() - before;
                pieces.insert(reference.clone(), Piece { revision: *revision, place, before, ids });
            }
        };
        let document = if partitions.is_empty() {
            render::empty_computer(computer, releases)
        } else {
            let bytes = old.map_or(0, |old| old.document.len() + (4 << 10));
            Computer::write(computer, &releases, bytes, write)
        };
        written?;
        let mut document = document.into_bytes();
        document.shrink_to_fit();
        Ok((Bytes::from(document), pieces))
    }
}

/// A partition, and the shared instances that it lists.
type Listed = (Partition, Vec<Instance>);

/// These partitions.
fn read(
    connection: &Connection,
    computer: &ComputerId,
    wanted: &[&PartitionId],
) -> rusqlite::Result<BTreeMap<PartitionId, Listed>> {
    let mut found = BTreeMap::new();
    if wanted.len() > SINGLE_MAX {
        let mut shared = store::listed_shared(connection, computer, None)?;
        for partition in store::partitions(connection, computer)? {
            let own = shared.remove(&partition.reference).unwrap_or_default();
            found.insert(partition.reference.clone(), (partition, own));
        }
        return Ok(found);
    }
    for reference in wanted {
        if let Some(partition) = store::partition(connection, computer, reference)? {
            let own = store::listed_shared(connection, computer, Some(reference))?.remove(reference);
            found.insert(partition.reference.clone(), (partition, own.unwrap_or_default()));
        }
    }
    Ok(found)
}
