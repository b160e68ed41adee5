//! Every safety decision of the protocol, each a small function with its source.
//!
//! The default bodies are the protocol; [`Raft`] takes them all. A checker overrides one at a time
//! by type to show that its removal is caught, so a rule is a predicate, the transition of the field
//! it protects, or the routing of a message. Rules see plain values and no node, which keeps
//! each one readable next to the sentence of the paper that it implements.

use alloc::borrow::Cow;
use alloc::collections::BTreeSet;
use core::fmt::Debug;
use core::hash::Hash;

use super::message::MessageKind;
use super::types::{Configuration, EntryId, HardState, Index, NodeId, Term};

/// When a message may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// At once, even while writes are outstanding.
    Now,
    /// With the receipt of the newest write that is outstanding when it is made.
    AfterSync,
}

/// The safety decisions of Raft. Implementations have zero size.
pub trait Rules: Clone + Copy + Debug + Default + PartialEq + Eq + PartialOrd + Ord + Hash {
    // --- quorums -----------------------------------------------------------------------------

    /// Who counts when the node `own` looks for a quorum: the voters of the configuration. A learner
    /// does not (dissertation §4.2.1), nor does a leader that the configuration leaves out (§6).
    fn electorate(configuration: &Configuration, _own: NodeId) -> Cow<'_, Configuration> {
        Cow::Borrowed(configuration)
    }

    /// How many of `voters` make a majority (§5.2).
    fn majority(voters: usize) -> usize {
        voters / 2 + 1
    }

    /// Sorts what the voters have reached, the furthest first, so that a majority has reached what stands
    /// at its own size (§5.3).
    fn rank(reached: &mut [Index]) {
        reached.sort_unstable_by(|a, b| b.cmp(a));
    }

    /// A joint decision needs separate majorities of both configurations (§6).
    fn joint_decision(incoming: bool, outgoing: bool) -> bool {
        incoming && outgoing
    }

    /// A joint quorum has reached what both majorities have reached (§6).
    fn joint_index(incoming: Index, outgoing: Index) -> Index {
        incoming.min(outgoing)
    }

    // --- terms and votes ---------------------------------------------------------------------

    /// Term and vote after seeing `term`: a newer term clears the vote, the same term keeps it (§5.1).
    fn adopt_term(hard: HardState, term: Term) -> HardState {
        if term > hard.term { HardState { term, voted_for: None } } else { hard }
    }

    /// Term and vote of a node that starts a campaign: the next term, and its own vote (§5.2).
    fn campaign(hard: HardState, own: NodeId) -> HardState {
        HardState { term: hard.term.next(), voted_for: Some(own) }
    }

    /// At most one vote in a term, first come first served (§5.2).
    fn has_vote_left(voted_for: Option<NodeId>, candidate: NodeId) -> bool {
        voted_for.is_none_or(|voted| voted == candidate)
    }

    /// Whether a node may vote: whether or not its own log says that it is a voter, since the entry that
    /// promotes it may not have reached it (dissertation §4.1).
    fn may_vote(_is_voter: bool) -> bool {
        true
    }

    /// Whose votes and pre-votes a candidate asks for: those of both configurations (§6).
    fn is_asked(incoming: bool, outgoing: bool) -> bool {
        incoming || outgoing
    }

    /// The election restriction: the candidate's log must be at least as up-to-date (§5.4.1).
    fn is_up_to_date(candidate_last: EntryId, own_last: EntryId) -> bool {
        candidate_last >= own_last
    }

    /// While a leader is fresh, votes and pre-votes are refused and no newer term is adopted from
    /// them, unless the leader itself asked for the election (dissertation §4.2.3).
    fn refuses_disruption(leader_fresh: bool, transfer: bool) -> bool {
        leader_fresh && !transfer
    }

    /// Counts a granted vote once per voter (§5.2).
    fn record_vote(votes: &mut BTreeSet<NodeId>, from: NodeId) {
        votes.insert(from);
    }

    /// Whether a message of `term` is about the receiver's current term; older ones are void (§5.1).
    fn is_current(term: Term, current: Term) -> bool {
        term >= current
    }

    /// Whether the sender of a void message of this kind is told the current term, if the message asks for
    /// an answer at all (§5.1). Otherwise one that is behind could stay so (dissertation §9.6).
    fn answers_stale(_kind: MessageKind) -> bool {
        true
    }

    /// A leader goes on after a check only if it has heard from a quorum (dissertation §6.2).
    fn keeps_leading(heard_quorum: bool) -> bool {
        heard_quorum
    }

    /// A candidate counts its own vote when that vote is durable (§5.2, Figure 2).
    fn counts_own_vote(durable: HardState, current: HardState) -> bool {
        durable == current
    }

    // --- durability --------------------------------------------------------------------------

    /// Whether term and vote go to disk with what a step writes: whenever either changed (Figure 2).
    fn writes_hard_state(before: HardState, current: HardState) -> bool {
        current != before
    }

    /// When a message of this kind may leave: what states or depends on a term, a vote or entries of
    /// its own sender goes after the sync; the leader replicates while it syncs (dissertation §10.2.1).
    fn route(kind: MessageKind) -> Route {
        match kind {
            MessageKind::RequestVote
            | MessageKind::RequestVoteResponse
            | MessageKind::AppendAccepted
            | MessageKind::InstallSnapshotResponse => Route::AfterSync,
            MessageKind::PreVote
            | MessageKind::PreVoteResponse
            | MessageKind::AppendEntries
            | MessageKind::AppendRefused
            | MessageKind::Heartbeat
            | MessageKind::HeartbeatResponse
            | MessageKind::InstallSnapshot
            | MessageKind::TimeoutNow
            | MessageKind::ReadIndex
            | MessageKind::ReadIndexResponse => Route::Now,
        }
    }

    /// Whether anything may leave at `term` while only `durable` is on disk (Figure 2: "updated on
    /// stable storage before responding to RPCs").
    fn may_leave(term: Term, durable: Term) -> bool {
        term <= durable
    }

    /// Whether a message made at `made_in` is still worth sending when its write is durable. An
    /// acknowledgement counts only if it is sent in the term in which it was made (§5.1: a node that
    /// has moved on acts in the new term).
    fn outlives_sync(made_in: Term, current: Term) -> bool {
        made_in == current
    }

    /// How far the log is durable after a receipt for a write that reached `written`. Truncation has
    /// lowered `written` already, so that an index that was used again is not mistaken (Figure 2,
    /// "persistent state", with the parallel write of dissertation §10.2.1).
    fn advance_durable(durable: Index, written: Index) -> Index {
        durable.max(written)
    }

    /// What truncation after `keep` leaves of an index that was durable or being written (§5.3, with
    /// the parallel write of dissertation §10.2.1).
    fn truncate_durable(index: Index, keep: Index) -> Index {
        index.min(keep)
    }

    /// Term and vote after a restart are those on disk (Figure 2).
    fn restore_hard_state(durable: HardState) -> HardState {
        durable
    }

    // --- replication -------------------------------------------------------------------------

    /// Log matching: an append applies only where the previous entry agrees (§5.3).
    fn prev_matches(own_term_at_prev: Option<Term>, prev_term: Term) -> bool {
        own_term_at_prev == Some(prev_term)
    }

    /// An existing entry gives way only to a different one (§5.3): a delayed append never truncates
    /// what agrees with it.
    fn conflicts(own_term: Term, incoming_term: Term) -> bool {
        own_term != incoming_term
    }

    /// What a follower acknowledges: what this message proved, not the end of its log (Figure 2).
    fn acknowledged(prev: Index, entries: u64, _own_last: Index) -> Index {
        prev.plus(entries)
    }

    /// The follower's new commit index: min(leaderCommit, index of last new entry), and never back
    /// (Figure 2).
    fn follower_commit(current: Index, leader_commit: Index, last_new: Index, _own_last: Index) -> Index {
        current.max(leader_commit.min(last_new))
    }

    /// The commit index that a heartbeat may carry to a follower known to match up to `matched`: what
    /// Figure 2's min(leaderCommit, last new entry) gives for an append without entries there.
    fn heartbeat_commit(commit: Index, matched: Index) -> Index {
        commit.min(matched)
    }

    /// What a leader knows to match after an acknowledgement; a late one changes nothing (§5.3).
    fn advance_match(known: Index, acknowledged: Index) -> Index {
        known.max(acknowledged)
    }

    /// What a leader knows to match after a refusal that leads back to `conflict`: what it knew. A refusal
    /// says where logs differ, and nothing of what is durable (§5.3).
    fn match_after_refusal(known: Index, _conflict: Index) -> Index {
        known
    }

    /// The lowest entry to send next: the one after those that match (Figure 2, nextIndex).
    fn next_after(matched: Index) -> Index {
        matched.next()
    }

    /// What a new leader knows to match: nothing (Figure 2, "initialized to 0").
    fn initial_match(_own_last: Index) -> Index {
        Index::ZERO
    }

    /// How far the leader counts itself: what its own disk has confirmed (dissertation §10.2.1).
    fn leader_match(durable: Index, _last: Index) -> Index {
        durable
    }

    /// A leader commits by counting only entries of its own term (§5.4.2, Figure 8).
    fn may_commit(entry_term: Term, current: Term) -> bool {
        entry_term == current
    }

    /// How far entries may be handed to the state machine: committed (Figure 2, lastApplied), and
    /// durable here, so that a store is never ahead of its own log after a crash.
    fn may_apply(commit: Index, durable: Index) -> Index {
        commit.min(durable)
    }

    // --- reads -------------------------------------------------------------------------------

    /// A leader knows the commit index only after an entry of its own term is committed
    /// (dissertation §6.4, step 1).
    fn may_read(commit_term: Term, current: Term) -> bool {
        commit_term == current
    }

    /// Whether a read that has just arrived is served by the round that is under way. It is not: answers of
    /// that round may be older than the read (dissertation §6.4, step 3).
    fn joins_round(_is_open: bool) -> bool {
        false
    }

    /// Whether an acknowledgement of `acked` confirms leadership for reads of `round`
    /// (dissertation §6.4, step 3).
    fn confirms_round(acked: u64, round: u64) -> bool {
        acked >= round
    }

    // --- membership --------------------------------------------------------------------------

    /// A new change may start when no earlier one is in flight, and the leader has committed an entry
    /// of its own term (dissertation §4.1; the 2015 correction).
    fn may_change_configuration(pending: bool, commit_term: Term, current: Term) -> bool {
        !pending && commit_term == current
    }

    /// Whether a change of voters goes through a joint phase: whenever they differ (§6).
    fn needs_joint(current: &BTreeSet<NodeId>, next: &BTreeSet<NodeId>) -> bool {
        current != next
    }

    /// The configuration at `index` is no longer in force when the log is cut off after `keep` (§6: a
    /// server uses the latest configuration in its log).
    fn falls_back(index: Index, keep: Index) -> bool {
        index > keep
    }

    /// The joint phase is left only when its own entry is committed (§6).
    fn may_leave_joint(joint_index: Index, commit: Index) -> bool {
        joint_index <= commit
    }

    /// Only a voter of its own latest configuration campaigns, and one that is on its way out: until
    /// C_new is committed, the election restriction may leave nobody else who can win and commit it
    /// (dissertation §4.2.2). It does not count its own vote, and once it leads it steps down as soon as
    /// C_new is committed.
    fn may_campaign(is_voter: bool, votes_until_committed: bool) -> bool {
        is_voter || votes_until_committed
    }

    /// A leader outside the committed, final configuration steps down (§6).
    fn must_step_down(is_voter: bool, is_joint: bool, configuration_index: Index, commit: Index) -> bool {
        !is_voter && !is_joint && configuration_index <= commit
    }

    // --- compaction and snapshots --------------------------------------------------------------

    /// How far the log may be purged: what a durable snapshot covers and the store has applied (§7).
    fn purge_limit(requested: Index, snapshot: Index, applied: Index) -> Index {
        requested.min(snapshot).min(applied)
    }

    /// Where the configuration of a snapshot is looked up: at its own last entry, whatever the log holds
    /// after it (§7).
    fn snapshot_configuration(last: Index, _log_last: Index) -> Index {
        last
    }

    /// Term and vote after a snapshot that ends at `_last` was installed: they do not come from the log
    /// (§5.1, §7).
    fn hard_state_after_snapshot(hard: HardState, _last: EntryId) -> HardState {
        hard
    }

    /// Whether a snapshot carries anything a node lacks; an old one must never move it back (§7).
    fn is_newer_snapshot(last: Index, commit: Index) -> bool {
        last > commit
    }

    /// Whether the log after the snapshot's last entry is kept: only if it holds that very entry
    /// (§7, Figure 13 step 6).
    fn keeps_suffix(own_term_at_last: Option<Term>, last_term: Term) -> bool {
        own_term_at_last == Some(last_term)
    }

    /// Whether a follower needs the snapshot rather than entries: the entry before the next one is
    /// gone from the leader's log (§7).
    fn needs_snapshot(next: Index, purged: Index) -> bool {
        next <= purged
    }

    /// Entries of an append that are already purged here are committed and agree; only what follows
    /// is compared (§7).
    fn first_comparable(prev: Index, purged: Index) -> Index {
        prev.max(purged)
    }
}

/// The protocol as published: every rule as its default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Raft;

impl Rules for Raft {}

const _: () = assert!(core::mem::size_of::<Raft>() == 0);
