//! The contract with the environment: everything that goes into a node and everything that comes out.

use alloc::vec::Vec;
use core::fmt;

use super::durable::Write;
use super::message::Envelope;
use super::rules::Rules;
use super::types::{Configuration, EntryId, Index, NodeId, RequestId, SnapshotMeta, Term};

/// A timer that the environment keeps. The node says when to set and cancel one; the environment
/// draws the duration. No order of firings is ever needed for safety.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// No leader was heard of: campaign. Drawn anew from [T, 2T) each time it is set, T being the
    /// minimum election timeout (§5.2).
    Election,
    /// T after the last contact with the leader: from here on another candidate may be voted for
    /// (dissertation §4.2.3).
    LeaderFresh,
    /// Every T at a leader: step down unless a quorum was heard (dissertation §6.2).
    CheckQuorum,
    /// A leader's heartbeat interval, well below T (§5.2).
    Heartbeat,
    /// T after a leadership transfer began: give it up (dissertation §3.10).
    Transfer,
}

impl Timer {
    /// All timers.
    pub const ALL: [Timer; 5] =
        [Timer::Election, Timer::LeaderFresh, Timer::CheckQuorum, Timer::Heartbeat, Timer::Transfer];
}

/// A set of timers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TimerSet(u8);

impl TimerSet {
    /// Whether `timer` is in the set.
    #[must_use]
    pub fn contains(self, timer: Timer) -> bool {
        self.0 & (1 << timer as u8) != 0
    }

    /// Whether the set is empty.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The timers in the set.
    pub fn iter(self) -> impl Iterator<Item = Timer> {
        Timer::ALL.into_iter().filter(move |timer| self.contains(*timer))
    }

    pub(super) fn insert(&mut self, timer: Timer) {
        self.0 |= 1 << timer as u8;
    }

    pub(super) fn remove(&mut self, timer: Timer) {
        self.0 &= !(1 << timer as u8);
    }
}

impl fmt::Debug for TimerSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// A change of one member (dissertation ch. 4). Several may be asked for at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MemberChange {
    /// The node receives the log and does not vote. A voter is demoted.
    AddLearner(NodeId),
    /// The learner becomes a voter. Refused for a node that is no learner.
    Promote(NodeId),
    /// The node leaves the cluster; the leader may remove itself.
    Remove(NodeId),
}

/// Everything that can happen to a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Input<C> {
    /// A message arrived.
    Message(Envelope<C>),
    /// A timer fired. One that is not set is ignored.
    Timeout(Timer),
    /// The `n` oldest writes without a receipt are durable now.
    Persisted(u32),
    /// A client's commands, appended in this order or refused as a whole.
    Propose {
        /// What to append.
        commands: Vec<C>,
        /// Append only if this is the current term.
        expected_term: Option<Term>,
    },
    /// A client wants to read what is committed now (dissertation §6.4).
    Read(RequestId),
    /// Change who takes part.
    ChangeMembers(Vec<MemberChange>),
    /// Hand leadership to this voter.
    TransferLeadership(NodeId),
    /// The state machine has applied everything up to here.
    Applied(Index),
    /// The environment wrote a snapshot of the state machine, durably: it covers the log up to `last`
    /// under the configuration in force there.
    SnapshotTaken {
        /// The last entry applied to the state in the snapshot.
        last: EntryId,
        /// Its size, in bytes.
        size_bytes: u64,
        /// Its CRC-32C.
        checksum: u32,
        /// Forget the log up to here at most; entries after it stay for followers that lag a little.
        purge_to: Index,
    },
    /// The environment verified the staged snapshot and made it durable.
    SnapshotInstalled(EntryId),
    /// The staged snapshot is damaged or could not be kept; it must be sent again.
    SnapshotRejected(EntryId),
}

/// What a node asks of its environment after one step, in the order in which to do it.
///
/// 1. Start to persist `write`. Its receipt is a later [`Input::Persisted`]; messages that depend on it
///    come out of that step, so they cannot leave too early.
/// 2. Send `messages`. Nothing is waited for.
/// 3. Stage, verify, install and load snapshot bytes as `stage`, `install` and `load` say.
/// 4. Apply the entries of `committed`, in order and after a `load` of the same step.
/// 5. Answer `reads` and `outcome`, restart timers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "dropping a Ready loses writes, messages and committed entries"]
pub struct Ready<C> {
    /// One atomic record for the disk.
    pub write: Option<Write<C>>,
    /// Messages that may leave now.
    pub messages: Vec<Envelope<C>>,
    /// Put the chunk that came with this message at this offset of the staging area of the snapshot.
    pub stage: Option<Stage>,
    /// The staged snapshot is complete: verify it, make it durable, and report.
    pub install: Option<SnapshotMeta>,
    /// The snapshot's mark is durable: replace the state machine's content by it.
    pub load: Option<SnapshotMeta>,
    /// Apply the log's entries in `(after, to]`.
    pub committed: Committed,
    /// Reads whose fate is known.
    pub reads: Vec<ReadOutcome>,
    /// The answer to a proposal, a change of members or a transfer; present exactly for these inputs.
    pub outcome: Option<Result<Accepted, Refusal>>,
    /// Timers to restart with a new duration.
    pub set: TimerSet,
    /// Timers to cancel.
    pub cancelled: TimerSet,
    /// Whether leadership began (an entry of the own term is applied, so the state machine is
    /// complete) or ended.
    pub leadership: Option<Leadership>,
    /// A read round that a quorum confirmed. Leadership held when it began; lease reads can build on it.
    pub confirmed_round: Option<u64>,
}

impl<C> Default for Ready<C> {
    fn default() -> Ready<C> {
        Ready {
            write: None,
            messages: Vec::new(),
            stage: None,
            install: None,
            load: None,
            committed: Committed::default(),
            reads: Vec::new(),
            outcome: None,
            set: TimerSet::default(),
            cancelled: TimerSet::default(),
            leadership: None,
            confirmed_round: None,
        }
    }
}

/// A range of log positions to apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Committed {
    /// The position before the first.
    pub after: Index,
    /// The last position; equal to `after` when there is nothing to apply.
    pub to: Index,
}

impl Committed {
    /// Whether there is nothing to apply.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.after == self.to
    }
}

/// Where a chunk of an arriving snapshot belongs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stage {
    /// Which snapshot. One that differs from the last staged one starts a new staging area.
    pub snapshot: SnapshotMeta,
    /// The chunk's first byte.
    pub offset: u64,
    /// The chunk's length, in bytes.
    pub length: u32,
}

/// The fate of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReadOutcome {
    /// Which read.
    pub request: RequestId,
    /// Serve it once this index is applied; or why it was refused. A refused read had no effect.
    pub index: Result<Index, Refusal>,
}

/// What a node took on. It may still fail to commit: only the entry's fate tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Accepted {
    /// The commands are in the leader's log, the first at `first`.
    Proposed {
        /// The entry of the first command.
        first: EntryId,
        /// How many were appended.
        count: u32,
    },
    /// The configuration entry is in the leader's log.
    MembersChanging {
        /// Its id. When it is committed and the configuration is not joint any more, the change is done.
        entry: EntryId,
    },
    /// The transfer began.
    Transferring,
}

/// Why a node refused a request. The request had no effect and never will.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// This node does not lead.
    NotLeader {
        /// Who does, as far as it knows.
        hint: Option<NodeId>,
    },
    /// The current term is not the expected one.
    TermChanged {
        /// The current term.
        current: Term,
    },
    /// A leadership transfer is under way.
    Transferring,
    /// Too much is waiting already; try again later.
    Busy,
    /// The proposal holds no command, or more than can ever be uncommitted at once.
    InvalidProposal,
    /// Another change of members is under way, or the leader has not committed in its term yet.
    ChangeInProgress,
    /// The change of members makes no sense: it changes nothing, promotes a node that is no learner,
    /// removes one that is no member, or leaves no voter.
    InvalidChange,
    /// The target of a transfer is not a voter.
    NotVoter,
}

/// A change of leadership at this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Leadership {
    /// This node leads in `term` and has applied an entry of it.
    Began {
        /// The term.
        term: Term,
    },
    /// This node no longer leads.
    Ended,
}

/// Bounds of what a node keeps in flight. All are at least 1; a node refuses to start with less. Bytes in
/// flight are counted when an append leaves, so the last one may pass the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Limits {
    /// Entries in one append.
    pub append_entries_max: u32,
    /// Bytes in one append, if it has more than one entry.
    pub append_bytes_max: u64,
    /// Appends in flight to one follower.
    pub inflight_appends_max: u32,
    /// Bytes in flight to one follower.
    pub inflight_bytes_max: u64,
    /// Entries of the leader's log that are not committed; proposals beyond are refused as busy.
    pub uncommitted_entries_max: u64,
    /// Reads that wait at a leader; more are refused as busy.
    pub waiting_reads_max: u32,
    /// Bytes in one chunk of a snapshot.
    pub chunk_bytes_max: u32,
    /// Tell an idle follower of a new commit index at once instead of with the next append or
    /// heartbeat.
    pub eager_commit: bool,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            append_entries_max: 1024,
            append_bytes_max: 1 << 20,
            inflight_appends_max: 256,
            inflight_bytes_max: 8 << 20,
            uncommitted_entries_max: 1 << 20,
            waiting_reads_max: 1 << 16,
            chunk_bytes_max: 1 << 20,
            eager_commit: true,
        }
    }
}

impl Limits {
    /// Panics unless every limit leaves room for something.
    pub(super) fn check(&self) {
        assert!(self.append_entries_max >= 1 && self.append_bytes_max >= 1, "an append holds an entry");
        assert!(self.inflight_appends_max >= 1 && self.inflight_bytes_max >= 1, "an append is in flight");
        assert!(self.uncommitted_entries_max >= 1, "a proposal can be taken");
        assert!(self.waiting_reads_max >= 1, "a read can wait");
        assert!(self.chunk_bytes_max >= 1, "a chunk holds a byte");
    }
}

/// The configuration that results from `changes`, with the outgoing voters if a joint phase is needed.
///
/// # Errors
/// [`Refusal::InvalidChange`] if it makes no sense; nothing changed.
pub(super) fn changed_configuration<R: Rules>(
    current: &Configuration,
    changes: &[MemberChange],
) -> Result<Configuration, Refusal> {
    assert!(!current.is_joint(), "changes start from a final configuration");
    let mut next = current.clone();
    for change in changes {
        match *change {
            MemberChange::AddLearner(id) => {
                next.voters.remove(&id);
                next.learners.insert(id);
            }
            MemberChange::Promote(id) => {
                if !next.learners.remove(&id) {
                    return Err(Refusal::InvalidChange);
                }
                next.voters.insert(id);
            }
            MemberChange::Remove(id) => {
                if !(next.voters.remove(&id) | next.learners.remove(&id)) {
                    return Err(Refusal::InvalidChange);
                }
            }
        }
    }
    if next.voters.is_empty() || next == *current {
        return Err(Refusal::InvalidChange);
    }
    // Learners do not count, so a change among them needs no joint phase.
    if R::needs_joint(&current.voters, &next.voters) {
        next.outgoing = Some(current.voters.clone());
    }
    Ok(next)
}
