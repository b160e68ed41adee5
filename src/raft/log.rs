//! The log in memory.
//!
//! Invariants, asserted after every step of the node:
//!
//! - entries are consecutive, starting right after `purged`;
//! - terms never fall along the log;
//! - `purged ≤ snapshot.last`, so the snapshot covers everything that is gone;
//! - the configuration in force is that of the latest configuration entry, committed or not (§6), or
//!   of the snapshot if there is none after it.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::durable::{Durable, Purge, configuration_before};
use super::rules::Rules;
use super::types::{Command, Configuration, Entry, EntryId, Index, Payload, SnapshotMeta, Term};

/// The entries that are not compacted away, and what stands for those that are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Log<C> {
    snapshot: SnapshotMeta,
    purged: EntryId,
    entries: VecDeque<Entry<C>>,
    /// Where the configuration in force stands; the snapshot's last index if it is the snapshot's.
    configuration_index: Index,
}

impl<C: Command> Log<C> {
    pub(super) fn restore(durable: &Durable<C>) -> Log<C> {
        let mut log = Log {
            snapshot: durable.snapshot.clone(),
            purged: durable.purged,
            entries: durable.entries.clone(),
            configuration_index: Index::ZERO,
        };
        log.find_configuration();
        log
    }

    /// The snapshot that covers the compacted part.
    #[must_use]
    pub fn snapshot(&self) -> &SnapshotMeta {
        &self.snapshot
    }

    /// The entry before the first one that is still held.
    #[must_use]
    pub fn purged(&self) -> EntryId {
        self.purged
    }

    /// The last entry, or the compaction point of an empty log.
    #[must_use]
    pub fn last(&self) -> EntryId {
        self.entries.back().map_or(self.purged, |entry| entry.id)
    }

    /// The term of the entry at `index`; none if it is purged (except the compaction point itself) or
    /// beyond the end.
    #[must_use]
    pub fn term_at(&self, index: Index) -> Option<Term> {
        if index == self.purged.index {
            return Some(self.purged.term);
        }
        self.entry(index).map(|entry| entry.id.term)
    }

    /// The entry at `index`, if it is held.
    #[must_use]
    pub fn entry(&self, index: Index) -> Option<&Entry<C>> {
        let offset = index.0.checked_sub(self.purged.index.0 + 1)?;
        self.entries.get(usize::try_from(offset).ok()?)
    }

    /// All entries that are held, in order.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry<C>> + ExactSizeIterator {
        self.entries.iter()
    }

    /// The entries in `(after, to]`. Panics unless all of them are held.
    pub fn range(&self, after: Index, to: Index) -> impl Iterator<Item = &Entry<C>> {
        assert!(after >= self.purged.index, "entries at or before the compaction point are gone");
        assert!(to <= self.last().index, "entries after the end do not exist");
        let offset = |index: Index| usize::try_from(index.0 - self.purged.index.0).expect("fits in memory");
        self.entries.range(offset(after.min(to))..offset(to))
    }

    /// The configuration in force, and the index of its entry.
    #[must_use]
    pub fn configuration(&self) -> (Index, &Configuration) {
        if self.configuration_index > self.snapshot.last.index
            && let Some(Entry { payload: Payload::Configuration(configuration), .. }) =
                self.entry(self.configuration_index)
        {
            return (self.configuration_index, configuration);
        }
        (self.snapshot.last.index, &self.snapshot.configuration)
    }

    /// The configuration that was in force at `index`, which the snapshot does not pass.
    #[must_use]
    pub fn configuration_at(&self, index: Index) -> &Configuration {
        assert!(index >= self.snapshot.last.index, "older configurations are compacted away");
        let (latest, configuration) = self.configuration();
        if latest <= index {
            return configuration;
        }
        match configuration_before(&self.entries, index) {
            Some((at, configuration)) if at > self.snapshot.last.index => configuration,
            _ => &self.snapshot.configuration,
        }
    }

    /// The first position from `at` backwards whose predecessor has another term, not below the
    /// compaction point: what a refusal tells the leader, so that it can skip a whole term (§5.3).
    #[must_use]
    pub fn first_index_of_term(&self, at: Index) -> Index {
        let Some(term) = self.term_at(at) else { return self.last().index.next() };
        let first = self.entries.partition_point(|entry| entry.id.term < term);
        // Terms never fall along the log, so the entries of one term are one run.
        self.purged.index.plus(first as u64 + 1).min(at.max(self.purged.index.next()))
    }

    /// The last position whose term is at most `term`, or the compaction point.
    #[must_use]
    pub fn last_index_up_to_term(&self, term: Term) -> Index {
        let count = self.entries.partition_point(|entry| entry.id.term <= term);
        self.purged.index.plus(count as u64)
    }

    /// Consecutive entries after `after`, as many as fit into both limits but at least one.
    pub(super) fn batch(&self, after: Index, count_max: u32, bytes_max: u64) -> (Vec<Entry<C>>, u64) {
        assert!(after >= self.purged.index, "what is purged cannot be sent");
        let last = self.last().index;
        let count = last.0.saturating_sub(after.0).min(u64::from(count_max));
        let mut batch = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
        let mut bytes: u64 = 0;
        for entry in self.range(after, after.plus(count)) {
            let size = entry.size_bytes() as u64;
            if !batch.is_empty() && bytes + size > bytes_max {
                break;
            }
            bytes += size;
            batch.push(entry.clone());
        }
        (batch, bytes)
    }

    pub(super) fn append(&mut self, entry: Entry<C>) {
        assert_eq!(entry.id.index, self.last().index.next(), "entries are consecutive");
        assert!(entry.id.term >= self.last().term, "terms never fall along the log");
        if matches!(entry.payload, Payload::Configuration(_)) {
            self.configuration_index = entry.id.index;
        }
        self.entries.push_back(entry);
    }

    /// Drops every entry after `keep`; the configuration falls back to the one before (§6).
    pub(super) fn truncate<R: Rules>(&mut self, keep: Index) {
        assert!(keep >= self.purged.index, "what is compacted is committed and never truncated");
        assert!(keep < self.last().index, "a truncation drops something");
        let count = usize::try_from(keep.0 - self.purged.index.0).expect("fits in memory");
        self.entries.truncate(count);
        if R::falls_back(self.configuration_index, keep) {
            self.find_configuration();
        }
    }

    /// A new snapshot covers the log up to its last entry, and the start of the log moves up.
    pub(super) fn compact(&mut self, snapshot: SnapshotMeta, purge: Purge) {
        assert!(snapshot.last.index >= self.snapshot.last.index, "a snapshot never goes back");
        assert!(purge.to.index <= snapshot.last.index, "the snapshot covers what is purged");
        assert!(purge.to.index >= self.purged.index, "what is purged stays so");
        self.snapshot = snapshot;
        purge.apply(&mut self.entries);
        self.purged = purge.to;
        self.find_configuration();
    }

    /// The name of the entry at `index`, if it is held or is the compaction point.
    #[must_use]
    pub fn id_at(&self, index: Index) -> Option<EntryId> {
        self.term_at(index).map(|term| EntryId::new(term, index))
    }

    fn find_configuration(&mut self) {
        let last = self.last().index;
        self.configuration_index = match configuration_before(&self.entries, last) {
            Some((index, _)) => index.max(self.snapshot.last.index),
            None => self.snapshot.last.index,
        };
    }

    /// Asserts the invariants that cost O(1).
    pub(super) fn check(&self) {
        assert!(
            self.purged <= self.snapshot.last,
            "purged {} > snapshot {}",
            self.purged,
            self.snapshot.last
        );
        if let Some(first) = self.entries.front() {
            assert_eq!(first.id.index, self.purged.index.next(), "the log starts after its base");
            assert!(first.id.term >= self.purged.term, "terms never fall along the log");
        }
        let expected = self.purged.index.plus(self.entries.len() as u64);
        assert_eq!(self.last().index, expected, "the log has no gap");
        assert!(self.configuration_index <= self.last().index.max(self.snapshot.last.index));
    }
}
