//! The safety decisions of a replica beyond consensus: when a client may be answered.

use alloc::collections::BTreeSet;

use crate::raft::rules::{self, Raft};
use crate::raft::{EntryId, Index, RequestId, Term};

/// The rules of consensus and those of answering clients.
pub trait Rules: rules::Rules {
    /// A waiting proposal is answered by the entry that was applied at its index only if that is the
    /// very entry: another leader's may stand there.
    fn is_answered_by(proposed: EntryId, applied: EntryId) -> bool {
        proposed == applied
    }

    /// The waiting read that an answer is for: the one that it names. An answer may be to a read that was
    /// cancelled, or made before a restart (dissertation §6.4).
    fn take_asking(asking: &mut BTreeSet<RequestId>, answered: RequestId) -> Option<RequestId> {
        asking.take(&answered)
    }

    /// A linearizable read is served when everything up to its read index is applied
    /// (dissertation §6.4, step 4).
    fn may_serve(read_index: Index, applied: Index) -> bool {
        read_index <= applied
    }

    /// A forwarded proposal is taken once: a copy that the network made could take effect after its
    /// client was told that the request has none. `taken` are the requests taken in this leadership.
    fn is_new_forward(taken: &BTreeSet<RequestId>, request: RequestId) -> bool {
        !taken.contains(&request)
    }

    /// A forwarded proposal is judged only by the leader of the term in which it was sent. Any other may
    /// have taken a copy before it stepped down or restarted, so it can say neither yes nor no.
    fn may_judge_forward(sent_in: Term, leads: Option<Term>) -> bool {
        leads == Some(sent_in)
    }
}

impl Rules for Raft {}
