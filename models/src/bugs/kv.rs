//! The rules of the store, each wrong where a bug is active.
//!
//! All of them are functions of the log, so replicas with the same bug agree, unless a snapshot was loaded.
//! Left out: stores that differ between replicas for reasons of their own, such as a local clock.

use dkv::kv::{EngineError, KeyRange, Revision, Rules, Sessions, Shipped, Snapshot, Verdict, View};
use dkv::raft::Index;

use super::{Bug, Injected, is};

/// For how many entries an unused session lives where sessions expire early.
const SHORT_TTL_ENTRIES: u64 = 8;

impl Rules for Injected {
    fn judge(answered: Option<u64>, sequence: u64) -> Verdict {
        match Shipped::judge(answered, sequence) {
            _ if is(Bug::RetriesApplied) => Verdict::New,
            Verdict::Old if is(Bug::OldRequestsApplied) => Verdict::New,
            verdict => verdict,
        }
    }

    fn is_expired(last_used: Index, now: Index, ttl_entries: u64) -> bool {
        let short = if is(Bug::SessionsExpireEarly) { SHORT_TTL_ENTRIES } else { ttl_entries };
        Shipped::is_expired(last_used, now, ttl_entries.min(short))
    }

    fn revision_after(revision: Revision, changed: bool) -> Revision {
        Shipped::revision_after(revision, changed || is(Bug::RevisionCountsCommands))
    }

    fn compares_see_earlier_steps() -> bool {
        is(Bug::ComparesSeeSteps) || Shipped::compares_see_earlier_steps()
    }

    fn snapshot_sessions(sessions: &Sessions) -> Sessions {
        if is(Bug::SessionsNotInSnapshot) {
            Sessions::new(sessions.ttl_entries())
        } else {
            Shipped::snapshot_sessions(sessions)
        }
    }

    fn restored<V: View>(before: &V, snapshot: Snapshot) -> Result<Snapshot, EngineError> {
        let mut restored = Shipped::restored(before, snapshot)?;
        if is(Bug::SnapshotMerged) {
            let is_lacking = |key: &[u8]| restored.keys.iter().all(|kv| kv.key.as_slice() != key);
            let mut kept = before.range(&KeyRange::all()).collect::<Result<Vec<_>, _>>()?;
            kept.retain(|kv| is_lacking(kv.key.as_slice()));
            restored.keys.extend(kept);
        } else if is(Bug::RevisionNotInSnapshot) {
            restored.position.revision = before.position().revision;
        }
        Ok(restored)
    }
}
