//! What a leader knows of one follower: Figure 2's nextIndex and matchIndex, and flow control.

use alloc::collections::VecDeque;

use super::rules::Rules;
use super::types::{EntryId, Index};

/// How the leader sends to a follower.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Flow {
    /// The point of agreement is unknown: one append at a time.
    Probe {
        /// An append is on its way; wait for its answer, or for a heartbeat's.
        waiting: bool,
    },
    /// The logs agree: appends are pipelined up to the limits (dissertation §10.2.2).
    Replicate {
        /// The last index and the size in bytes of each append that has no answer yet, oldest first.
        inflight: VecDeque<(Index, u64)>,
        /// The sum of those sizes.
        inflight_bytes: u64,
    },
    /// The follower needs entries that are compacted away: chunks of a snapshot, one at a time (§7).
    Snapshot {
        /// The snapshot being sent.
        last: EntryId,
        /// The offset of the chunk that is on its way.
        offset: u64,
    },
}

impl Flow {
    /// A pipeline with nothing in it.
    pub(super) fn pipeline() -> Flow {
        Flow::Replicate { inflight: VecDeque::new(), inflight_bytes: 0 }
    }
}

/// One follower or learner, as its leader sees it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Progress {
    /// The highest position known to be durable and equal on the follower.
    pub match_index: Index,
    /// The next position to send.
    pub next_index: Index,
    /// How to send.
    pub flow: Flow,
    /// The highest commit index that was sent.
    pub commit_sent: Index,
    /// The latest read round that the follower confirmed.
    pub round_acked: u64,
    /// Whether it was heard since the last CheckQuorum.
    pub heard: bool,
}

impl Progress {
    pub(super) fn new(next_index: Index, match_index: Index) -> Progress {
        assert!(next_index > match_index, "the next entry comes after the matched ones");
        Progress {
            match_index,
            next_index,
            flow: Flow::Probe { waiting: false },
            commit_sent: Index::ZERO,
            round_acked: 0,
            heard: false,
        }
    }

    /// Starts over from what is known to match.
    pub(super) fn probe<R: Rules>(&mut self) {
        self.next_index = R::next_after(self.match_index);
        self.flow = Flow::Probe { waiting: false };
    }

    /// Frees the appends that an acknowledgement up to `matched` answers.
    pub(super) fn acknowledge_inflight(&mut self, matched: Index) {
        if let Flow::Replicate { inflight, inflight_bytes } = &mut self.flow {
            while let Some(&(last, bytes)) = inflight.front()
                && last <= matched
            {
                inflight.pop_front();
                *inflight_bytes -= bytes;
            }
        }
    }

    /// Whether no append is waiting for an answer.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        match &self.flow {
            Flow::Probe { waiting } => !waiting,
            Flow::Replicate { inflight, .. } => inflight.is_empty(),
            Flow::Snapshot { .. } => false,
        }
    }
}
