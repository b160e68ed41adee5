//! What is on disk, and what is on its way there.
//!
//! Term, vote, entries and snapshot marks go through one log of [`Write`]s, so their order on disk is
//! their order in time. A write is atomic: after a crash a disk holds the effect of some prefix of the
//! writes that followed the last sync. [`Durable::apply`] is that effect; the file format of a real
//! disk, the simulated disk and the models all mean exactly this function.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::message::Envelope;
use super::rules::Rules;
use super::types::{Configuration, Entry, EntryId, HardState, Index, NodeId, Payload, SnapshotMeta, Term};

/// One atomic record for the disk. Its parts take effect in the order of the fields.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[must_use = "a write that is not persisted is lost, and its receipt never comes"]
pub struct Write<C> {
    /// The new term and vote, if they changed.
    pub hard_state: Option<HardState>,
    /// A snapshot whose bytes are durable already becomes the log's base.
    pub snapshot: Option<SnapshotMeta>,
    /// The start of the log moves up.
    pub purge: Option<Purge>,
    /// Entries to append, consecutive. Whatever stands at or after the first one's index goes.
    pub entries: Vec<Entry<C>>,
}

impl<C> Default for Write<C> {
    fn default() -> Write<C> {
        Write { hard_state: None, snapshot: None, purge: None, entries: Vec::new() }
    }
}

impl<C> Write<C> {
    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hard_state.is_none()
            && self.snapshot.is_none()
            && self.purge.is_none()
            && self.entries.is_empty()
    }
}

/// The content of a node's disk, from which [`Node::restore`](super::Node::restore) starts it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Durable<C> {
    /// Term and vote.
    pub hard_state: HardState,
    /// The latest snapshot; for a log that was never compacted, its genesis: index 0 and the first
    /// configuration.
    pub snapshot: SnapshotMeta,
    /// The entry before the first of `entries`. At or before the snapshot's last.
    pub purged: EntryId,
    /// The log.
    pub entries: VecDeque<Entry<C>>,
}

impl<C: Clone> Durable<C> {
    /// The disk of a founding member of a fixed cluster: term 1, a vote for `leader`, an empty log,
    /// and the configuration at index 0, which is not an entry.
    #[must_use]
    pub fn genesis(leader: NodeId, configuration: Configuration) -> Durable<C> {
        assert!(configuration.is_voter(leader), "the founding leader is a voter");
        assert!(!configuration.is_joint(), "a cluster is not founded in the middle of a change");
        Durable {
            hard_state: HardState { term: Term(1), voted_for: Some(leader) },
            snapshot: SnapshotMeta { configuration: Box::new(configuration), ..SnapshotMeta::default() },
            purged: EntryId::ZERO,
            entries: VecDeque::new(),
        }
    }

    /// The disk of a member that joins a running cluster: nothing. It learns its configuration from
    /// the log that the leader sends.
    #[must_use]
    pub fn empty() -> Durable<C> {
        Durable {
            hard_state: HardState::default(),
            snapshot: SnapshotMeta::default(),
            purged: EntryId::ZERO,
            entries: VecDeque::new(),
        }
    }

    /// The position of the last entry.
    #[must_use]
    pub fn last(&self) -> EntryId {
        self.entries.back().map_or(self.purged, |entry| entry.id)
    }

    /// The entry at `index`, if the log still holds it.
    #[must_use]
    pub fn entry(&self, index: Index) -> Option<&Entry<C>> {
        let offset = index.0.checked_sub(self.purged.index.0 + 1)?;
        self.entries.get(usize::try_from(offset).ok()?)
    }

    /// Carries out one write. The disk changes by all of it or, if a crash came first, by none.
    pub fn apply(&mut self, write: Write<C>) {
        if let Some(hard_state) = write.hard_state {
            self.hard_state = hard_state;
        }
        if let Some(snapshot) = write.snapshot {
            self.snapshot = snapshot;
        }
        if let Some(purge) = write.purge {
            purge.apply(&mut self.entries);
            self.purged = purge.to;
        }
        if let Some(first) = write.entries.first() {
            let keep = first.id.index.0.checked_sub(self.purged.index.0 + 1);
            let keep = keep.expect("a write never reaches below what its own log has purged");
            self.entries.truncate(usize::try_from(keep).expect("a log in memory is counted by usize"));
            assert_eq!(self.last().index.next(), first.id.index, "a write leaves no gap in the log");
            self.entries.extend(write.entries);
        }
    }
}

/// Moves the start of the log: the entries up to `to` go, and the rest too if it conflicts with the
/// snapshot that is being installed (Figure 13, steps 6 and 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Purge {
    /// The new compaction point.
    pub to: EntryId,
    /// Whether what follows `to` stays.
    pub keep_suffix: bool,
}

impl Purge {
    /// Carries it out on a log's entries.
    pub(super) fn apply<C>(self, entries: &mut VecDeque<Entry<C>>) {
        if self.keep_suffix {
            let count = entries.partition_point(|entry| entry.id.index <= self.to.index);
            entries.drain(..count);
        } else {
            entries.clear();
        }
    }
}

/// A write that was handed to the environment and has no receipt yet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Outstanding<C> {
    /// The term and vote that are durable once this is.
    pub(super) hard_state: HardState,
    /// The log is durable up to here once this is; lowered when the suffix is truncated meanwhile.
    pub(super) written: Index,
    /// The snapshot that the store must load once its mark is durable.
    pub(super) load: Option<SnapshotMeta>,
    /// Leave with the receipt.
    pub(super) messages: Vec<Envelope<C>>,
}

/// The queue of outstanding writes and what is known to be durable.
///
/// A receipt retires the oldest writes by count and never names an index: after a truncation the same
/// index may be in two outstanding writes with different entries.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Durability<C> {
    pub(super) hard_state: HardState,
    /// The log in memory is on disk up to here.
    pub(super) log: Index,
    pub(super) outstanding: VecDeque<Outstanding<C>>,
}

impl<C> Durability<C> {
    /// The log after `keep` was cut off: nothing beyond it is durable or being written any more.
    pub(super) fn truncate<R: Rules>(&mut self, keep: Index) {
        self.log = R::truncate_durable(self.log, keep);
        for outstanding in &mut self.outstanding {
            outstanding.written = R::truncate_durable(outstanding.written, keep);
        }
    }

    /// Retires the oldest write.
    pub(super) fn retire<R: Rules>(&mut self) -> Option<Outstanding<C>> {
        let oldest = self.outstanding.pop_front()?;
        self.hard_state = oldest.hard_state;
        self.log = R::advance_durable(self.log, oldest.written);
        Some(oldest)
    }
}

/// The latest configuration entry at or before `index`, searched from the end.
pub(super) fn configuration_before<C>(
    entries: &VecDeque<Entry<C>>,
    index: Index,
) -> Option<(Index, &Configuration)> {
    entries.iter().rev().skip_while(|entry| entry.id.index > index).find_map(|entry| match &entry.payload {
        Payload::Configuration(configuration) => Some((entry.id.index, &**configuration)),
        Payload::Noop | Payload::Command(_) => None,
    })
}
