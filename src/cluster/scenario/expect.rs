//! What a scenario may expect, and how it is looked up.
//!
//! A fact is expected and found in the same shape: looking up replaces the content of the expected fact
//! by what is there, so that the two compare as values and print alike.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::StoreOf;
use crate::cluster::{Cluster, Member, Outcome, Policies, exams};
use crate::kv;
use crate::raft::progress::Flow;
use crate::raft::{Bytes, Configuration, EntryId, Index, NodeId, Refusal, Role, Term};
use crate::replica::Failure;

/// What must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// `leader ID`, `leader none`: who leads the highest term, among the members that are up.
    Leader(Option<NodeId>),
    /// `FACT ID …`: about one member.
    Member(NodeId, Fact),
    /// `outcome NAME FATE …`: what became of a request.
    Outcome(String, OutcomeFacts),
    /// `answered NAME`: the request has an outcome, whichever.
    Answered(String),
    /// `members CONFIGURATION`: in the leader's log, written `0,1,2+3` with learners after the plus, and
    /// `0,1,2=>1,2,3` in a joint phase.
    Members(Configuration),
    /// `partitioned ID true`, `partitioned ID false`.
    Partitioned(NodeId, bool),
    /// `committed ENTRY`: the last entry that was ever committed.
    Committed(EntryId),
    /// `queued FROM TO N`: messages on a link.
    Queued(NodeId, NodeId, usize),
    /// `inflight LEADER TO N`: appends without an answer.
    Inflight(NodeId, NodeId, usize),
    /// `converged`: all live members of the leader's configuration hold everything that was committed
    /// and the same state.
    Converged,
    /// `folded`: everything is as one store under the rules that ship would have it that applied what is
    /// committed: the store of every member that is up, every answer to a write, what every read saw, and
    /// nothing is committed whose client was told that it has no effect.
    Folded,
    /// `hash-equal [ID…]`: the exam projections are byte-identical, by default those of all members.
    HashEqual(Vec<NodeId>),
}

/// Something about one member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// `role ID ROLE`.
    Role(RoleName),
    /// `fault ID`, `fault ID none`: whether it stopped by itself, or was refused its start.
    Fault(bool),
    /// `term ID N`: in memory.
    Term(Term),
    /// `durable-term ID N`: on disk.
    DurableTerm(Term),
    /// `vote ID ID`, `vote ID none`: in its term, in memory.
    Vote(Option<NodeId>),
    /// `last ID ENTRY`: the end of its log.
    Last(EntryId),
    /// `commit ID N`.
    Commit(Index),
    /// `applied ID N`.
    Applied(Index),
    /// `durable ID N`: the log on disk ends there, as far as receipts tell.
    Durable(Index),
    /// `unsynced ID N`: writes that wait for the disk.
    Unsynced(usize),
    /// `snapshot ID ENTRY`, `snapshot ID none`.
    Snapshot(Option<EntryId>),
    /// `purged ID N`: the log starts after it.
    Purged(Index),
    /// `staged ID N`, `staged ID none`: bytes of a snapshot that is arriving.
    Staged(Option<u64>),
    /// `holds ID ENTRY`: the entry at that index has that term.
    Holds(Index, Option<Term>),
    /// `waiting ID N`: requests that have no answer yet.
    Waiting(usize),
    /// `revision ID N`: of the store.
    Revision(u64),
    /// `keys ID N`: live keys; a store with none is empty.
    Keys(usize),
    /// `get ID KEY=VALUE`, `get ID KEY none`: what the store holds, not linearizably.
    Get(Bytes, Option<Bytes>),
    /// `version ID KEY=N`: how often the key was put since it was created.
    Version(Bytes, Option<u64>),
    /// `created ID KEY=N`: the revision that created the key.
    Created(Bytes, Option<u64>),
    /// `snapshot-bytes ID N`: the size of the exam projection.
    SnapshotBytes(usize),
}

/// A role by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // each is the variant of `Role` of the same name
pub enum RoleName {
    Follower,
    PreCandidate,
    Candidate,
    Leader,
    /// The member is crashed, or stopped itself.
    Down,
}

/// What became of a request; `at`, `revision` and `response` only as far as they are given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutcomeFacts {
    /// In a word.
    pub fate: Fate,
    /// `at=ENTRY`: where it was applied.
    pub at: Option<EntryId>,
    /// `revision=N`: of the store, by the response.
    pub revision: Option<u64>,
    /// `response=WORD`: what the store answered.
    pub response: Option<String>,
    /// `value=VALUE`, or `none`: what a read found.
    pub value: Option<Option<Bytes>>,
}

/// What became of a request, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the variants of `Outcome`, `Failure` and `Refusal` of the same names
pub enum Fate {
    Pending,
    Applied,
    Read,
    MembersChanged,
    Transferred,
    RefusedNotLeader,
    RefusedTermChanged,
    RefusedTransferring,
    RefusedBusy,
    RefusedChangeInProgress,
    RefusedInvalidChange,
    RefusedNotVoter,
    /// Refused: it holds no command, or too many.
    RefusedInvalidProposal,
    Lost,
    Unknown,
}

impl RoleName {
    /// Every role with its word.
    pub(super) const ALL: [(RoleName, &'static str); 5] = [
        (RoleName::Follower, "follower"),
        (RoleName::PreCandidate, "pre-candidate"),
        (RoleName::Candidate, "candidate"),
        (RoleName::Leader, "leader"),
        (RoleName::Down, "down"),
    ];

    fn of(role: &Role) -> RoleName {
        match role {
            Role::Follower => RoleName::Follower,
            Role::PreCandidate { .. } => RoleName::PreCandidate,
            Role::Candidate { .. } => RoleName::Candidate,
            Role::Leader(_) => RoleName::Leader,
        }
    }
}

impl Fate {
    /// Every fate with its word.
    pub(super) const ALL: [(Fate, &'static str); 15] = [
        (Fate::Pending, "pending"),
        (Fate::Applied, "applied"),
        (Fate::Read, "read"),
        (Fate::MembersChanged, "members-changed"),
        (Fate::Transferred, "transferred"),
        (Fate::RefusedNotLeader, "refused-not-leader"),
        (Fate::RefusedTermChanged, "refused-term-changed"),
        (Fate::RefusedTransferring, "refused-transferring"),
        (Fate::RefusedBusy, "refused-busy"),
        (Fate::RefusedChangeInProgress, "refused-change-in-progress"),
        (Fate::RefusedInvalidChange, "refused-invalid-change"),
        (Fate::RefusedNotVoter, "refused-not-voter"),
        (Fate::RefusedInvalidProposal, "refused-invalid-proposal"),
        (Fate::Lost, "lost"),
        (Fate::Unknown, "unknown"),
    ];

    pub(super) fn of<K: kv::Rules>(outcome: Option<&Outcome<StoreOf<K>>>) -> Fate {
        let Some(outcome) = outcome else { return Fate::Pending };
        match outcome {
            Outcome::Applied { .. } => Fate::Applied,
            Outcome::Read(_) => Fate::Read,
            Outcome::MembersChanged(_) => Fate::MembersChanged,
            Outcome::Transferred => Fate::Transferred,
            Outcome::Failed(Failure::Lost) => Fate::Lost,
            Outcome::Failed(Failure::Unknown) => Fate::Unknown,
            Outcome::Failed(Failure::Refused(refusal)) => match refusal {
                Refusal::NotLeader { .. } => Fate::RefusedNotLeader,
                Refusal::TermChanged { .. } => Fate::RefusedTermChanged,
                Refusal::Transferring => Fate::RefusedTransferring,
                Refusal::Busy => Fate::RefusedBusy,
                Refusal::ChangeInProgress => Fate::RefusedChangeInProgress,
                Refusal::InvalidChange => Fate::RefusedInvalidChange,
                Refusal::NotVoter => Fate::RefusedNotVoter,
                Refusal::InvalidProposal => Fate::RefusedInvalidProposal,
            },
        }
    }
}

/// The words for what the store answers.
pub(super) const RESPONSES: [&str; 14] = [
    "noop",
    "put",
    "deleted",
    "txn-succeeded",
    "txn-failed",
    "session-opened",
    "session-closed",
    "duplicate-key",
    "too-many-operations",
    "key-not-found",
    "value-provided",
    "lease-provided",
    "session-expired",
    "sequence-too-old",
];

/// What the store answered, in a word of [`RESPONSES`].
pub(super) fn response_word(outcome: &kv::Outcome) -> &'static str {
    match outcome {
        kv::Outcome::NoOp => "noop",
        kv::Outcome::Put(_) => "put",
        kv::Outcome::Deleted(_) => "deleted",
        kv::Outcome::Txn(txn) if txn.succeeded => "txn-succeeded",
        kv::Outcome::Txn(_) => "txn-failed",
        kv::Outcome::SessionOpened { .. } => "session-opened",
        kv::Outcome::SessionClosed => "session-closed",
        kv::Outcome::Refused(refusal) => match refusal {
            kv::Refusal::DuplicateKey => "duplicate-key",
            kv::Refusal::TooManyOperations => "too-many-operations",
            kv::Refusal::KeyNotFound => "key-not-found",
            kv::Refusal::ValueProvided => "value-provided",
            kv::Refusal::LeaseProvided => "lease-provided",
            kv::Refusal::SessionExpired => "session-expired",
            kv::Refusal::SequenceTooOld => "sequence-too-old",
        },
    }
}

impl Fact {
    /// The fact as it is; none if the member is down, which only its role and its fault say.
    pub(super) fn found<P: Policies, K: kv::Rules>(&self, member: &Member<StoreOf<K>, P>) -> Option<Fact> {
        if let Fact::Fault(_) = self {
            return Some(Fact::Fault(member.fault().is_some()));
        }
        let Some(replica) = member.replica() else {
            return matches!(self, Fact::Role(_)).then_some(Fact::Role(RoleName::Down));
        };
        let (node, store) = (replica.node(), member.machine());
        let record = |key: &Bytes| store.get(key).ok().flatten().map(|kv| kv.record);
        Some(match self {
            Fact::Role(_) => Fact::Role(RoleName::of(node.role())),
            Fact::Fault(_) => Fact::Fault(member.fault().is_some()),
            Fact::Term(_) => Fact::Term(node.term()),
            Fact::DurableTerm(_) => Fact::DurableTerm(node.durable_hard_state().term),
            Fact::Vote(_) => Fact::Vote(node.hard_state().voted_for),
            Fact::Last(_) => Fact::Last(node.log().last()),
            Fact::Commit(_) => Fact::Commit(node.commit_index()),
            Fact::Applied(_) => Fact::Applied(node.applied_index()),
            Fact::Durable(_) => Fact::Durable(node.durable_index()),
            Fact::Unsynced(_) => Fact::Unsynced(member.disk().pending()),
            Fact::Snapshot(_) => {
                let last = node.log().snapshot().last;
                Fact::Snapshot((last.index > Index::ZERO).then_some(last))
            }
            Fact::Purged(_) => Fact::Purged(node.log().purged().index),
            Fact::Staged(_) => Fact::Staged(node.incoming_snapshot().map(|(_, staged)| staged)),
            Fact::Holds(index, _) => Fact::Holds(*index, node.log().term_at(*index)),
            Fact::Waiting(_) => Fact::Waiting(replica.waiting_requests()),
            Fact::Revision(_) => Fact::Revision(store.revision().0),
            Fact::Keys(_) => Fact::Keys(store.range(&all_keys()).map_or(0, |all| all.kvs.len())),
            Fact::Get(key, _) => Fact::Get(key.clone(), record(key).map(|record| record.value)),
            Fact::Version(key, _) => Fact::Version(key.clone(), record(key).map(|record| record.version)),
            Fact::Created(key, _) => {
                Fact::Created(key.clone(), record(key).map(|record| record.create_revision.0))
            }
            Fact::SnapshotBytes(_) => {
                Fact::SnapshotBytes(exams::string_snapshot(member).map_or(0, |bytes| bytes.len()))
            }
        })
    }
}

pub(super) fn all_keys() -> kv::Range {
    kv::Range::new(kv::KeyRange::all())
}

impl OutcomeFacts {
    /// What became of a request, as far as `self` asks for it.
    pub(super) fn found<K: kv::Rules>(&self, outcome: Option<&Outcome<StoreOf<K>>>) -> OutcomeFacts {
        let mut found =
            OutcomeFacts { fate: Fate::of(outcome), at: None, revision: None, response: None, value: None };
        match outcome {
            Some(Outcome::Applied { id, response }) => {
                found.at = self.at.map(|_| *id);
                found.revision = self.revision.map(|_| response.revision.0);
                found.response = self.response.as_ref().map(|_| response_word(&response.outcome).into());
            }
            Some(Outcome::Read(Ok(range))) if self.value.is_some() => {
                found.value = Some(range.kvs.first().map(|kv| kv.record.value.clone()));
            }
            _ => {}
        }
        found
    }
}

/// How many appends of `leader` to `to` have no answer; none if `leader` does not lead it.
pub(super) fn inflight<P: Policies, K: kv::Rules>(
    cluster: &Cluster<StoreOf<K>, P>,
    leader: NodeId,
    to: NodeId,
) -> Option<usize> {
    let progress = cluster.replica(leader)?.node().progress()?.get(&to)?;
    Some(match &progress.flow {
        Flow::Probe { waiting } => usize::from(*waiting),
        Flow::Replicate { inflight, .. } => inflight.len(),
        Flow::Snapshot { .. } => 0,
    })
}

// --- as text ---------------------------------------------------------------------------------------

/// A name from a table of names.
pub(super) fn name_of<T: PartialEq>(table: &[(T, &'static str)], value: &T) -> &'static str {
    table.iter().find(|(known, _)| known == value).map_or("?", |(_, name)| name)
}

/// Writes `key=value`, or `key none`.
fn pair(f: &mut fmt::Formatter<'_>, key: &Bytes, value: Option<impl fmt::Display>) -> fmt::Result {
    match value {
        Some(value) => write!(f, "{}={value}", key.escape_ascii()),
        None => write!(f, "{} none", key.escape_ascii()),
    }
}

fn or_none(f: &mut fmt::Formatter<'_>, what: &str, value: Option<impl fmt::Display>) -> fmt::Result {
    match value {
        Some(value) => write!(f, "{what} {value}"),
        None => write!(f, "{what} none"),
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fact::Role(role) => f.write_str(name_of(&RoleName::ALL, role)),
            Fact::Fault(true) => f.write_str("stopped by itself"),
            Fact::Fault(false) => f.write_str("no fault"),
            Fact::Term(term) => write!(f, "term {term}"),
            Fact::DurableTerm(term) => write!(f, "durable term {term}"),
            Fact::Vote(vote) => or_none(f, "vote", *vote),
            Fact::Last(last) => write!(f, "last {last}"),
            Fact::Commit(index) => write!(f, "commit {index}"),
            Fact::Applied(index) => write!(f, "applied {index}"),
            Fact::Durable(index) => write!(f, "durable {index}"),
            Fact::Unsynced(count) => write!(f, "{count} unsynced writes"),
            Fact::Snapshot(last) => or_none(f, "snapshot", *last),
            Fact::Purged(index) => write!(f, "purged {index}"),
            Fact::Staged(staged) => or_none(f, "staged bytes", *staged),
            Fact::Holds(index, Some(term)) => write!(f, "entry {index}@{term}"),
            Fact::Holds(index, None) => write!(f, "no entry at {index}"),
            Fact::Waiting(count) => write!(f, "{count} waiting requests"),
            Fact::Revision(revision) => write!(f, "revision {revision}"),
            Fact::Keys(count) => write!(f, "{count} keys"),
            Fact::Get(key, value) => pair(f, key, value.as_ref().map(|value| value.escape_ascii())),
            Fact::Version(key, version) => {
                f.write_str("version of ")?;
                pair(f, key, *version)
            }
            Fact::Created(key, revision) => {
                f.write_str("create revision of ")?;
                pair(f, key, *revision)
            }
            Fact::SnapshotBytes(bytes) => write!(f, "a snapshot of {bytes} bytes"),
        }
    }
}

impl fmt::Display for OutcomeFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name_of(&Fate::ALL, &self.fate))?;
        if let Some(at) = self.at {
            write!(f, " at={at}")?;
        }
        if let Some(revision) = self.revision {
            write!(f, " revision={revision}")?;
        }
        if let Some(response) = &self.response {
            write!(f, " response={response}")?;
        }
        match &self.value {
            Some(Some(value)) => write!(f, " value={}", value.escape_ascii()),
            Some(None) => f.write_str(" none"),
            None => Ok(()),
        }
    }
}
