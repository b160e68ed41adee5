//! The promises of disks and links, each broken where a bug is active.
//!
//! A disk that breaks a promise does so the same way every time, so that a run can be repeated. Left out:
//! bits that flip, and files that are gone; what reads them must notice by a checksum, not by a rule.

use std::collections::VecDeque;

use dkv::cluster::disk::{DiskRules, FaithfulDisk};
use dkv::cluster::links::{FaithfulLinks, LinkRules};
use dkv::raft::{Command, Durable, Entry, Write};

use super::{Bug, Injected, is};

/// Which entries a disk with a write error never gets.
const LOST_EVERY: u64 = 8;

impl DiskRules for Injected {
    fn enqueue<C>(pending: &mut VecDeque<Write<C>>, write: Write<C>) {
        if is(Bug::WritesReordered) {
            pending.insert(pending.len().saturating_sub(1), write);
        } else {
            FaithfulDisk::enqueue(pending, write);
        }
    }

    /// The file ends where the first entry is missing: what is written behind it is not found again.
    fn persist<C: Command>(synced: &mut Durable<C>, mut write: Write<C>) {
        if is(Bug::WriteErrorSwallowed) {
            let end = synced.last().index;
            let is_lost = |entry: &Entry<C>| entry.id.index.0.is_multiple_of(LOST_EVERY);
            let is_behind_a_gap = write.entries.first().is_some_and(|first| first.id.index > end.next());
            let kept = write.entries.iter().position(is_lost).unwrap_or(write.entries.len());
            write.entries.truncate(if is_behind_a_gap { 0 } else { kept });
        }
        FaithfulDisk::persist(synced, write);
    }

    fn survivors(pending: usize, wanted: usize) -> usize {
        FaithfulDisk::survivors(pending, wanted)
    }

    fn tear<C: Command>(left: &mut Durable<C>, write: Write<C>) {
        if is(Bug::TruncatesAfterAppending) {
            // New entries are written over the old ones, and what stood behind them still does.
            let behind = write.entries.last().map_or(left.last().index, |last| last.id.index);
            let old: Vec<Entry<C>> =
                left.entries.iter().filter(|entry| entry.id.index > behind).cloned().collect();
            left.apply(write);
            left.entries.extend(old);
        } else if is(Bug::EntriesBeforeTheirTerm) {
            left.apply(Write { hard_state: None, ..write });
        } else {
            FaithfulDisk::tear(left, write);
        }
    }

    fn admits(known: u64, found: u64) -> bool {
        is(Bug::DirectoryUnchecked) || FaithfulDisk::admits(known, found)
    }

    fn keeps_synced<C: Clone>(synced: &Durable<C>) -> Durable<C> {
        let mut kept = FaithfulDisk::keeps_synced(synced);
        if is(Bug::SyncedEntryLost) {
            kept.entries.pop_back();
        }
        kept
    }
}

impl LinkRules for Injected {
    fn carries(is_cut: bool) -> bool {
        is(Bug::CutLinksCarry) || FaithfulLinks::carries(is_cut)
    }
}
