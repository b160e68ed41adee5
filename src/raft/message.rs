//! What nodes say to each other. Paper Figure 2 and Figure 13, dissertation §3.10, §6.4, §9.6.

use alloc::vec::Vec;

use super::types::{Entry, EntryId, Index, NodeId, RequestId, SnapshotMeta, Term};

/// A message on its way, with the sender's current term.
///
/// Every message carries the term its sender is in (§5.1), a pre-vote too: the term that a
/// pre-candidate would campaign in is the one after. No message leaves at a term that is not durable.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Envelope<C> {
    /// Who sent it.
    pub from: NodeId,
    /// Whom it is for.
    pub to: NodeId,
    /// The sender's current term when the message was made.
    pub term: Term,
    /// What it says.
    pub message: Message<C>,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Message<C> {
    /// "Would you vote for me in the next term?" Changes nothing at the receiver (dissertation §9.6).
    PreVote {
        /// The last entry of the sender's log.
        last_log: EntryId,
    },
    /// The answer to a pre-vote. Never binding.
    PreVoteResponse {
        /// The term the pre-candidate was in when it asked.
        asked_in: Term,
        /// Whether the sender would vote for it.
        granted: bool,
    },
    /// A candidate asks for a vote in the envelope's term (§5.2).
    RequestVote {
        /// The last entry of the candidate's log.
        last_log: EntryId,
        /// The leader asked for this election, so a fresh leader is no reason to refuse
        /// (dissertation §4.2.3).
        transfer: bool,
    },
    /// The answer to a vote request. A granted vote is durable when this leaves.
    RequestVoteResponse {
        /// Whether the sender voted for the candidate in the envelope's term.
        granted: bool,
    },
    /// Entries from the leader (§5.3), possibly none.
    AppendEntries {
        /// The entry that must stand before the first of `entries`.
        prev: EntryId,
        /// Consecutive entries after `prev`.
        entries: Vec<Entry<C>>,
        /// The leader's commit index.
        leader_commit: Index,
    },
    /// The receiver's log equals the leader's up to `matched`, durably.
    AppendAccepted {
        /// The last position known to agree: `prev.index` plus the number of entries.
        matched: Index,
    },
    /// The receiver's log has no entry equal to `prev`; nothing changed.
    AppendRefused {
        /// The position of the `prev` that did not match, which names the refused message.
        prev: Index,
        /// The receiver's term at that position, or none if its log ends before (§5.3).
        conflict_term: Option<Term>,
        /// The first position the receiver has of `conflict_term`; without one, its last position
        /// plus one.
        conflict_index: Index,
    },
    /// The leader is alive (§5.2). Kept apart from `AppendEntries` so that the answer never waits for
    /// a disk.
    Heartbeat {
        /// The leader's commit index, capped at what this receiver has acknowledged, so that the
        /// receiver may adopt it without comparing logs.
        commit: Index,
        /// The latest read round of the leader (dissertation §6.4).
        round: u64,
    },
    /// The sender still follows the leader of the envelope's term.
    HeartbeatResponse {
        /// The round of the heartbeat.
        round: u64,
    },
    /// One chunk of a snapshot (Figure 13). The environment attaches the bytes on the way out and
    /// stages them on the way in.
    InstallSnapshot {
        /// Which snapshot.
        snapshot: SnapshotMeta,
        /// Where the chunk starts, in bytes.
        offset: u64,
        /// How long the chunk is, in bytes.
        length: u32,
    },
    /// How far the receiver is with a snapshot.
    InstallSnapshotResponse {
        /// Which snapshot, by its last entry.
        last: EntryId,
        /// The first byte the receiver lacks; the snapshot's size once it is durably installed.
        next_offset: u64,
        /// The snapshot is installed, or the receiver had everything in it already.
        installed: bool,
    },
    /// The leader asks the receiver to campaign at once (dissertation §3.10).
    TimeoutNow,
    /// A member asks the leader for an index at which a linearizable read may be served
    /// (dissertation §6.4).
    ReadIndex {
        /// Names the read.
        request: RequestId,
    },
    /// The leader's answer.
    ReadIndexResponse {
        /// Names the read.
        request: RequestId,
        /// Serve the read when this index is applied; none if the receiver was not the leader, lost
        /// leadership before it could confirm, or has too many reads waiting.
        index: Option<Index>,
    },
}

/// The kind of a message, for rules, counters and display.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // each is the variant of `Message` of the same name
pub enum MessageKind {
    PreVote,
    PreVoteResponse,
    RequestVote,
    RequestVoteResponse,
    AppendEntries,
    AppendAccepted,
    AppendRefused,
    Heartbeat,
    HeartbeatResponse,
    InstallSnapshot,
    InstallSnapshotResponse,
    TimeoutNow,
    ReadIndex,
    ReadIndexResponse,
}

impl MessageKind {
    /// Every kind, in the order of declaration.
    pub const ALL: [MessageKind; 14] = [
        MessageKind::PreVote,
        MessageKind::PreVoteResponse,
        MessageKind::RequestVote,
        MessageKind::RequestVoteResponse,
        MessageKind::AppendEntries,
        MessageKind::AppendAccepted,
        MessageKind::AppendRefused,
        MessageKind::Heartbeat,
        MessageKind::HeartbeatResponse,
        MessageKind::InstallSnapshot,
        MessageKind::InstallSnapshotResponse,
        MessageKind::TimeoutNow,
        MessageKind::ReadIndex,
        MessageKind::ReadIndexResponse,
    ];
}

impl<C> Message<C> {
    /// Which kind of message this is.
    #[must_use]
    pub fn kind(&self) -> MessageKind {
        match self {
            Message::PreVote { .. } => MessageKind::PreVote,
            Message::PreVoteResponse { .. } => MessageKind::PreVoteResponse,
            Message::RequestVote { .. } => MessageKind::RequestVote,
            Message::RequestVoteResponse { .. } => MessageKind::RequestVoteResponse,
            Message::AppendEntries { .. } => MessageKind::AppendEntries,
            Message::AppendAccepted { .. } => MessageKind::AppendAccepted,
            Message::AppendRefused { .. } => MessageKind::AppendRefused,
            Message::Heartbeat { .. } => MessageKind::Heartbeat,
            Message::HeartbeatResponse { .. } => MessageKind::HeartbeatResponse,
            Message::InstallSnapshot { .. } => MessageKind::InstallSnapshot,
            Message::InstallSnapshotResponse { .. } => MessageKind::InstallSnapshotResponse,
            Message::TimeoutNow => MessageKind::TimeoutNow,
            Message::ReadIndex { .. } => MessageKind::ReadIndex,
            Message::ReadIndexResponse { .. } => MessageKind::ReadIndexResponse,
        }
    }

    /// Whether only a leader sends it, so that its arrival proves a leader of the envelope's term.
    #[must_use]
    pub fn is_from_leader(&self) -> bool {
        matches!(
            self.kind(),
            MessageKind::AppendEntries
                | MessageKind::Heartbeat
                | MessageKind::InstallSnapshot
                | MessageKind::TimeoutNow
        )
    }
}
