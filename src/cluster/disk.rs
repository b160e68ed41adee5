//! The disk of one simulated member: what is synced, what is not yet, and the snapshot files.
//!
//! A crash keeps the synced state and any prefix of the writes after it, which is the contract of the
//! real log (one atomic record per write, in order). Snapshot files are durable before the write that
//! marks them, so they live beside the log here.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::fmt::Debug;
use core::hash::Hash;

use crate::codec::crc32c;
use crate::raft::ready::Stage;
use crate::raft::{Bytes, Command, Durable, EntryId, SnapshotMeta, Write};

/// What a disk promises. Defaults are the promises that the protocol needs; a checker overrides one to
/// show that it is needed.
pub trait DiskRules: Clone + Copy + Debug + Default + PartialEq + Eq + PartialOrd + Ord + Hash {
    /// A write joins the queue as one atomic record.
    fn enqueue<C>(pending: &mut VecDeque<Write<C>>, write: Write<C>) {
        pending.push_back(write);
    }

    /// What a sync makes durable of a write: all of it, before there is a receipt.
    fn persist<C: Command>(synced: &mut Durable<C>, write: Write<C>) {
        synced.apply(write);
    }

    /// How many of the unsynced writes a crash keeps: any prefix may survive.
    fn survivors(pending: usize, wanted: usize) -> usize {
        wanted.min(pending)
    }

    /// Whether a member may start from a directory of generation `found` when `known` is the latest that
    /// it started. An empty directory has generation 0; a copy from before the latest start has a lower
    /// one. Whoever lost what it swore comes back only as a new member.
    fn admits(known: u64, found: u64) -> bool {
        found == known
    }

    /// What a crash leaves of the first write that did not survive: nothing, a record is atomic.
    fn tear<C: Command>(_left: &mut Durable<C>, _write: Write<C>) {}

    /// What a crash leaves of what was synced: all of it.
    fn keeps_synced<C: Clone>(synced: &Durable<C>) -> Durable<C> {
        synced.clone()
    }
}

/// A disk that keeps its promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FaithfulDisk;

impl DiskRules for FaithfulDisk {}

/// One member's disk.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Disk<C> {
    synced: Durable<C>,
    pending: VecDeque<Write<C>>,
    snapshots: BTreeMap<EntryId, Bytes>,
    /// The snapshot that is arriving, and its bytes so far.
    staging: Option<(SnapshotMeta, Vec<u8>)>,
    /// How often a member started from it.
    generation: u64,
}

impl<C: Command> Disk<C> {
    /// A disk with this content.
    #[must_use]
    pub fn new(content: Durable<C>) -> Disk<C> {
        Disk {
            synced: content,
            pending: VecDeque::new(),
            snapshots: BTreeMap::new(),
            staging: None,
            generation: 0,
        }
    }

    /// How often a member started from this disk; durable before it does anything else.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn begin_generation(&mut self) {
        self.generation += 1;
    }

    /// A copy of what is synced.
    pub(super) fn backed_up(&self) -> Disk<C> {
        Disk { pending: VecDeque::new(), staging: None, ..self.clone() }
    }

    /// What survives any crash.
    #[must_use]
    pub fn synced(&self) -> &Durable<C> {
        &self.synced
    }

    /// How many writes are not synced.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    pub(super) fn write<D: DiskRules>(&mut self, write: Write<C>) {
        D::enqueue(&mut self.pending, write);
    }

    /// Syncs the `count` oldest writes. Returns how many there were.
    pub(super) fn sync<D: DiskRules>(&mut self, count: usize) -> usize {
        let count = count.min(self.pending.len());
        for write in self.pending.drain(..count) {
            D::persist(&mut self.synced, write);
        }
        let current = self.synced.snapshot.last;
        self.snapshots.retain(|last, _| *last >= current);
        count
    }

    /// Loses all but the `keep` oldest unsynced writes, and what was being staged.
    pub(super) fn crash<D: DiskRules>(&mut self, keep: usize) {
        let mut after = D::keeps_synced(&self.synced);
        let keep = D::survivors(self.pending.len(), keep);
        let mut pending = self.pending.drain(..);
        for write in pending.by_ref().take(keep) {
            after.apply(write);
        }
        if let Some(torn) = pending.next() {
            D::tear(&mut after, torn);
        }
        drop(pending);
        self.synced = after;
        self.staging = None;
    }

    // --- snapshot files ------------------------------------------------------------------------

    pub(super) fn stage(&mut self, stage: &Stage, chunk: &[u8]) {
        if self.staging.as_ref().is_none_or(|(snapshot, _)| *snapshot != stage.snapshot) {
            self.staging = Some((stage.snapshot.clone(), Vec::new()));
        }
        let Some((_, bytes)) = &mut self.staging else { return };
        // A chunk that does not fit is left out; the checksum will tell.
        if bytes.len() as u64 == stage.offset && chunk.len() == stage.length as usize {
            bytes.extend_from_slice(chunk);
        }
    }

    /// Verifies the staged bytes and keeps them. Returns whether they are what `snapshot` says.
    pub(super) fn install(&mut self, snapshot: &SnapshotMeta) -> bool {
        let staged = match self.staging.take() {
            Some((staging, bytes)) if staging == *snapshot => bytes,
            _ => Vec::new(),
        };
        let is_intact = staged.len() as u64 == snapshot.size_bytes && crc32c(&staged) == snapshot.checksum;
        if is_intact {
            self.snapshots.insert(snapshot.last, Bytes::from(staged));
        }
        is_intact
    }

    pub(super) fn keep_snapshot(&mut self, last: EntryId, bytes: Bytes) {
        self.snapshots.insert(last, bytes);
    }

    /// The bytes of the snapshot that ends at `last`.
    #[must_use]
    pub fn snapshot(&self, last: EntryId) -> Option<&Bytes> {
        self.snapshots.get(&last)
    }
}
