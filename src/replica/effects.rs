//! What goes into a replica and what comes out of it: packets, requests, inputs, effects, answers.

use alloc::vec::Vec;

use crate::raft::ready::Stage;
use crate::raft::{
    Bytes, Committed, Configuration, EntryId, Envelope, Index, Leadership, MemberChange, NodeId, Refusal,
    RequestId, SnapshotMeta, Term, Timer, TimerSet, Write,
};

/// What travels between replicas: consensus messages, and requests that the leader must take.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Packet<C, A> {
    /// A message of consensus, with the bytes of the chunk if it is one.
    Raft {
        /// The message.
        envelope: Envelope<C>,
        /// The chunk's bytes of an `InstallSnapshot`; otherwise none.
        chunk: Option<Bytes>,
    },
    /// A request between clients' replicas.
    Forward {
        /// Who sent it.
        from: NodeId,
        /// Whom it is for.
        to: NodeId,
        /// What it says.
        forward: Forward<C, A>,
    },
}

impl<C, A> Packet<C, A> {
    /// Who sent it.
    #[must_use]
    pub fn from(&self) -> NodeId {
        match self {
            Packet::Raft { envelope, .. } => envelope.from,
            Packet::Forward { from, .. } => *from,
        }
    }

    /// Whom it is for.
    #[must_use]
    pub fn to(&self) -> NodeId {
        match self {
            Packet::Raft { envelope, .. } => envelope.to,
            Packet::Forward { to, .. } => *to,
        }
    }
}

/// A client's request on its way to the leader, and back.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Forward<C, A> {
    /// "Propose this for my client."
    Propose {
        /// Names the request.
        request: RequestId,
        /// The term in which the receiver leads, as far as the sender knows. It is proposed in this
        /// term or not at all.
        term: Term,
        /// The command.
        command: C,
    },
    /// The answer: the entry and its response, or why there is none.
    Answer {
        /// Names the request.
        request: RequestId,
        /// What became of it.
        outcome: Result<(EntryId, A), Failure>,
    },
}

/// What a client asks of a replica.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Request<C> {
    /// Apply these commands in this order, each under its own request. A leader appends them together
    /// or refuses them together; another replica forwards them one by one.
    Propose(Vec<(RequestId, C)>),
    /// Read linearizably: learn when the executor may run the read on the state machine.
    Read(RequestId),
    /// Change who takes part.
    ChangeMembers(RequestId, Vec<MemberChange>),
    /// Hand leadership over.
    TransferLeadership(RequestId, NodeId),
}

/// Everything that can happen to a replica.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Input<C, A> {
    /// A packet arrived.
    Packet(Packet<C, A>),
    /// A timer fired.
    Timeout(Timer),
    /// The `n` oldest writes without a receipt are durable.
    Persisted(u32),
    /// A client's request.
    Request(Request<C>),
    /// A client gave up: its outcome stays unknown.
    Cancel(RequestId),
    /// The state machine applied everything up to `last`. `responses` holds those of the commands among
    /// the entries, if they were asked for, in order.
    Applied {
        /// The last entry applied.
        last: Index,
        /// The entries' responses.
        responses: Vec<(EntryId, A)>,
    },
    /// An operator wants a snapshot now.
    Compact,
    /// The snapshot that was asked for is durable.
    SnapshotWritten {
        /// The last entry in it.
        last: EntryId,
        /// Its size, in bytes.
        size_bytes: u64,
        /// Its CRC-32C.
        checksum: u32,
    },
    /// The staged snapshot is verified and durable.
    SnapshotInstalled(EntryId),
    /// The staged snapshot is damaged.
    SnapshotRejected(EntryId),
}

/// What a replica asks of its executor after one step, in the order in which to do it. The first
/// fields are those of [`Ready`](crate::raft::Ready), which see.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "dropping effects loses writes, messages and answers"]
pub struct Effects<C, A> {
    /// One atomic record for the disk.
    pub write: Option<Write<C>>,
    /// Messages that may leave now. The executor attaches the bytes of chunks.
    pub messages: Vec<Envelope<C>>,
    /// Forwarded requests and answers, with whom they are for; they may leave now.
    pub forwards: Vec<(NodeId, Forward<C, A>)>,
    /// Put these bytes into the staging area.
    pub stage: Option<(Stage, Bytes)>,
    /// Verify the staged snapshot, make it durable, report.
    pub install: Option<SnapshotMeta>,
    /// Replace the state machine by the installed snapshot, and report `Applied` of its last index.
    pub load: Option<SnapshotMeta>,
    /// Apply these entries, and report.
    pub apply: Committed,
    /// Somebody waits for the responses of `apply`.
    pub wants_responses: bool,
    /// Write a snapshot of the state machine once `apply` is done, and report.
    pub take_snapshot: bool,
    /// Answer clients.
    pub answers: Vec<Answer<A>>,
    /// Timers to restart.
    pub set: TimerSet,
    /// Timers to cancel.
    pub cancelled: TimerSet,
    /// Leadership of this node began or ended.
    pub leadership: Option<Leadership>,
    /// A confirmed read round.
    pub confirmed_round: Option<u64>,
}

/// The answer to one request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Answer<A> {
    /// Which request.
    pub request: RequestId,
    /// What became of it.
    pub outcome: Result<Reply<A>, Failure>,
}

/// A request that succeeded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reply<A> {
    /// The command is committed and applied here.
    Applied {
        /// Its entry.
        id: EntryId,
        /// The state machine's response.
        response: A,
    },
    /// Run the read on the state machine now.
    Read {
        /// The read index, which is applied.
        index: Index,
    },
    /// The new configuration is committed and no longer joint.
    MembersChanged(Configuration),
    /// The node that was asked for leads.
    Transferred,
}

/// A request that did not succeed, by what that says of its effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Failure {
    /// Not taken: it has no effect and never will.
    Refused(Refusal),
    /// Taken, and lost to another leader's entry: it has no effect and never will.
    Lost,
    /// Taken, and nothing more is known: it may or may not take effect.
    Unknown,
}

/// When to take snapshots, and what to keep in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SnapshotPolicy {
    /// Take one after this many applied entries; 0 takes them only when told to.
    pub every_entries: u64,
    /// Keep this many entries before the snapshot for followers that lag a little.
    pub keep_entries: u64,
}

impl<C, A> Effects<C, A> {
    pub(super) fn answer(&mut self, request: RequestId, outcome: Result<Reply<A>, Failure>) {
        self.answers.push(Answer { request, outcome });
    }
}

impl<C, A> Default for Effects<C, A> {
    fn default() -> Effects<C, A> {
        Effects {
            write: None,
            messages: Vec::new(),
            forwards: Vec::new(),
            stage: None,
            install: None,
            load: None,
            apply: Committed::default(),
            wants_responses: false,
            take_snapshot: false,
            answers: Vec::new(),
            set: TimerSet::default(),
            cancelled: TimerSet::default(),
            leadership: None,
            confirmed_round: None,
        }
    }
}
