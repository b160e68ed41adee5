//! The safety decisions of the state machine, each a small function with its source.
//!
//! As in [`raft`](crate::raft), the default bodies are what ships and a checker overrides one at a
//! time by type to show that its removal is caught.

use core::cmp::Ordering;
use core::fmt::Debug;
use core::hash::Hash;

use super::command::Revision;
use super::engine::{EngineError, Snapshot, View};
use super::session::Sessions;
use super::store::SESSION_TTL_ENTRIES;
use crate::raft::types::Index;

/// What a request is to its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Not seen before: to be carried out.
    New,
    /// The last one again: to be answered as before and not carried out.
    Retry,
    /// Older than the last one: to be refused, its answer is no longer known.
    Old,
}

/// The safety decisions of kv. Implementations have zero size.
pub trait Rules: Clone + Copy + Debug + Default + PartialEq + Eq + PartialOrd + Ord + Hash {
    /// A request takes effect at most once in its session: only a number above the last answered one
    /// is carried out (dissertation §6.3).
    fn judge(answered: Option<u64>, sequence: u64) -> Verdict {
        match answered.map(|last| sequence.cmp(&last)) {
            Some(Ordering::Less) => Verdict::Old,
            Some(Ordering::Equal) => Verdict::Retry,
            Some(Ordering::Greater) | None => Verdict::New,
        }
    }

    /// A session that was not used for more than `ttl_entries` entries is forgotten at entry `now`; a
    /// later request under it is refused, because it may have taken effect (dissertation §6.3).
    fn is_expired(last_used: Index, now: Index, ttl_entries: u64) -> bool {
        last_used.0.saturating_add(ttl_entries) < now.0
    }

    /// For how many entries an unused session stays open in a store that starts empty. Replicas of one
    /// cluster must agree on it.
    fn session_ttl_entries() -> u64 {
        SESSION_TTL_ENTRIES
    }

    /// The revision grows by one with a command that changed a key, and with no other (etcd's model).
    fn revision_after(revision: Revision, changed: bool) -> Revision {
        if changed { revision.next() } else { revision }
    }

    /// Whether the compares of a nested transaction see the steps before it. They do not: all compares
    /// of a request see the state before the request (etcd's model).
    fn compares_see_earlier_steps() -> bool {
        false
    }

    /// The sessions that go into a snapshot: all, with their answers (dissertation §6.3). Otherwise a
    /// replica that was restored would carry out a retry that the others answer from memory.
    fn snapshot_sessions(sessions: &Sessions) -> Sessions {
        sessions.clone()
    }

    /// What a store holds after a restore: the snapshot and nothing of what it held before (§7: the
    /// snapshot replaces the state). A merge would bring deleted keys back.
    fn restored<V: View>(_before: &V, snapshot: Snapshot) -> Result<Snapshot, EngineError> {
        Ok(snapshot)
    }
}

/// The rules as they ship.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shipped;

impl Rules for Shipped {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_larger_sequence_is_new() {
        let cases = [
            (None, 0, Verdict::New),
            (None, 9, Verdict::New),
            (Some(4), 5, Verdict::New),
            (Some(4), 40, Verdict::New),
            (Some(4), 4, Verdict::Retry),
            (Some(0), 0, Verdict::Retry),
            (Some(4), 3, Verdict::Old),
            (Some(u64::MAX), 0, Verdict::Old),
        ];
        for (answered, sequence, expected) in cases {
            assert_eq!(Shipped::judge(answered, sequence), expected, "{sequence} after {answered:?}");
        }
    }

    #[test]
    fn a_session_lives_for_its_ttl_and_no_longer() {
        assert!(!Shipped::is_expired(Index(10), Index(10), 3));
        assert!(!Shipped::is_expired(Index(10), Index(13), 3));
        assert!(Shipped::is_expired(Index(10), Index(14), 3));
        assert!(!Shipped::is_expired(Index(10), Index(u64::MAX), u64::MAX));
    }
}
