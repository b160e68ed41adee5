//! The rules of consensus and of answering clients, each wrong where a bug is active.
//!
//! Every function begins with what ships and states only how the bug differs. What a rule is for, and its
//! source, stands in the traits. Left out: bugs that need memory of their own; a rule sees its arguments.

use std::borrow::Cow;
use std::collections::BTreeSet;

use dkv::raft::rules::{Route, Rules};
use dkv::raft::{Configuration, EntryId, HardState, Index, MessageKind, NodeId, Raft, RequestId, Term};
use dkv::replica;

use super::{Bug, Injected, is};

impl Rules for Injected {
    // --- quorums -----------------------------------------------------------------------------

    fn electorate(configuration: &Configuration, own: NodeId) -> Cow<'_, Configuration> {
        let counted_too = if is(Bug::LearnersCounted) {
            configuration.learners.clone()
        } else if is(Bug::RemovedLeaderCounts) {
            BTreeSet::from([own])
        } else {
            return Raft::electorate(configuration, own);
        };
        let voters = configuration.voters.union(&counted_too).copied().collect();
        Cow::Owned(Configuration { voters, ..configuration.clone() })
    }

    fn majority(voters: usize) -> usize {
        if is(Bug::SmallMajority) {
            voters.div_ceil(2)
        } else if is(Bug::MinorityIsEnough) {
            (voters / 2).max(1)
        } else {
            Raft::majority(voters)
        }
    }

    fn rank(reached: &mut [Index]) {
        if is(Bug::AnsweredOnAppend) {
            let furthest = reached.iter().copied().max().unwrap_or_default();
            reached.fill(furthest);
        } else if is(Bug::ProgressOutOfOrder) {
            // Two passes of a sort that needs as many as there are voters.
            for _ in 0..2 {
                for at in 1..reached.len() {
                    if reached[at - 1] < reached[at] {
                        reached.swap(at - 1, at);
                    }
                }
            }
        } else {
            Raft::rank(reached);
        }
    }

    fn joint_decision(incoming: bool, outgoing: bool) -> bool {
        if is(Bug::EitherMajority) {
            incoming || outgoing
        } else if is(Bug::NewMajorityElects) {
            incoming
        } else {
            Raft::joint_decision(incoming, outgoing)
        }
    }

    fn joint_index(incoming: Index, outgoing: Index) -> Index {
        if is(Bug::EitherIndex) {
            incoming.max(outgoing)
        } else if is(Bug::NewMajorityCommits) {
            incoming
        } else {
            Raft::joint_index(incoming, outgoing)
        }
    }

    // --- terms and votes ---------------------------------------------------------------------

    fn adopt_term(hard: HardState, term: Term) -> HardState {
        let adopted = Raft::adopt_term(hard, term);
        if is(Bug::VoteErased) {
            HardState { voted_for: None, ..adopted }
        } else if is(Bug::VoteKept) {
            HardState { voted_for: hard.voted_for, ..adopted }
        } else {
            adopted
        }
    }

    fn campaign(hard: HardState, own: NodeId) -> HardState {
        let campaigning = Raft::campaign(hard, own);
        if is(Bug::OwnVoteNotRecorded) {
            HardState { voted_for: None, ..campaigning }
        } else if is(Bug::CampaignsInItsTerm) {
            HardState { term: hard.term, ..campaigning }
        } else {
            campaigning
        }
    }

    fn has_vote_left(voted_for: Option<NodeId>, candidate: NodeId) -> bool {
        is(Bug::VotesTwice) || Raft::has_vote_left(voted_for, candidate)
    }

    fn may_vote(is_voter: bool) -> bool {
        if is(Bug::LearnersDoNotVote) { is_voter } else { Raft::may_vote(is_voter) }
    }

    fn is_asked(incoming: bool, outgoing: bool) -> bool {
        if is(Bug::OldVotersNotAsked) { incoming } else { Raft::is_asked(incoming, outgoing) }
    }

    fn is_up_to_date(candidate_last: EntryId, own_last: EntryId) -> bool {
        if is(Bug::LongerLogWins) {
            candidate_last.index >= own_last.index
        } else if is(Bug::LastTermWins) {
            candidate_last.term >= own_last.term
        } else {
            is(Bug::NoUpToDateCheck) || Raft::is_up_to_date(candidate_last, own_last)
        }
    }

    fn refuses_disruption(leader_fresh: bool, transfer: bool) -> bool {
        if is(Bug::TransferRefused) {
            leader_fresh
        } else {
            !is(Bug::FreshLeaderDisturbed) && Raft::refuses_disruption(leader_fresh, transfer)
        }
    }

    fn record_vote(votes: &mut BTreeSet<NodeId>, from: NodeId) {
        let is_counted = votes.contains(&from);
        if is(Bug::VotesCountedTwice) && is_counted {
            // A set cannot count twice: the vote goes to the first who has not voted.
            votes.extend((0..).map(NodeId).find(|id| !votes.contains(id)));
        } else {
            Raft::record_vote(votes, from);
        }
    }

    fn is_current(term: Term, current: Term) -> bool {
        is(Bug::OldTermsAccepted) || Raft::is_current(term, current)
    }

    fn answers_stale(kind: MessageKind) -> bool {
        let is_ignored = match kind {
            MessageKind::PreVote => is(Bug::StalePreVoteIgnored),
            MessageKind::AppendEntries | MessageKind::Heartbeat | MessageKind::InstallSnapshot => {
                is(Bug::StaleLeaderIgnored)
            }
            _ => false,
        };
        !is_ignored && Raft::answers_stale(kind)
    }

    fn keeps_leading(heard_quorum: bool) -> bool {
        is(Bug::CheckQuorumSkipped) || Raft::keeps_leading(heard_quorum)
    }

    fn counts_own_vote(durable: HardState, current: HardState) -> bool {
        let counts = is(Bug::OwnVoteUnsynced) || is(Bug::RequestVoteBeforeSync);
        counts || Raft::counts_own_vote(durable, current)
    }

    // --- durability --------------------------------------------------------------------------

    fn writes_hard_state(before: HardState, current: HardState) -> bool {
        if is(Bug::VoteNotWritten) {
            current.term != before.term
        } else if is(Bug::TermNotWritten) {
            current != before && current.voted_for.is_some()
        } else {
            Raft::writes_hard_state(before, current)
        }
    }

    fn route(kind: MessageKind) -> Route {
        let leaves_now = match kind {
            MessageKind::RequestVote => is(Bug::RequestVoteBeforeSync),
            MessageKind::RequestVoteResponse => is(Bug::VoteBeforeSync),
            MessageKind::AppendAccepted => is(Bug::AcknowledgesBeforeSync),
            MessageKind::InstallSnapshotResponse => is(Bug::SnapshotAcknowledgedBeforeSync),
            _ => false,
        };
        if leaves_now { Route::Now } else { Raft::route(kind) }
    }

    fn may_leave(term: Term, durable: Term) -> bool {
        let leaves = is(Bug::LeavesBeforeItsTerm) || is(Bug::RequestVoteBeforeSync);
        leaves || Raft::may_leave(term, durable)
    }

    fn outlives_sync(made_in: Term, current: Term) -> bool {
        is(Bug::StaleAcknowledgement) || Raft::outlives_sync(made_in, current)
    }

    fn advance_durable(durable: Index, written: Index) -> Index {
        if is(Bug::ReceiptIgnored) { durable } else { Raft::advance_durable(durable, written) }
    }

    fn truncate_durable(index: Index, keep: Index) -> Index {
        if is(Bug::TruncationNotNoticed) { index } else { Raft::truncate_durable(index, keep) }
    }

    fn restore_hard_state(durable: HardState) -> HardState {
        if is(Bug::TermForgotten) {
            HardState::default()
        } else if is(Bug::VoteForgotten) {
            HardState { voted_for: None, ..durable }
        } else {
            Raft::restore_hard_state(durable)
        }
    }

    // --- replication -------------------------------------------------------------------------

    fn prev_matches(own_term_at_prev: Option<Term>, prev_term: Term) -> bool {
        let is_accepted = match own_term_at_prev {
            Some(_) => is(Bug::PreviousEntryUnchecked),
            None => is(Bug::PurgedEntriesAddedAgain) && prev_term == Term(0),
        };
        is_accepted || Raft::prev_matches(own_term_at_prev, prev_term)
    }

    fn conflicts(own_term: Term, incoming_term: Term) -> bool {
        let conflicts = Raft::conflicts(own_term, incoming_term);
        (conflicts || is(Bug::TruncatesWhatAgrees)) && !is(Bug::ConflictKept)
    }

    fn acknowledged(prev: Index, entries: u64, own_last: Index) -> Index {
        let proved = Raft::acknowledged(prev, entries, own_last);
        if is(Bug::AcknowledgesItsLast) {
            proved.max(own_last)
        } else if is(Bug::AcknowledgesOneMore) {
            proved.next()
        } else {
            proved
        }
    }

    fn follower_commit(current: Index, leader_commit: Index, last_new: Index, own_last: Index) -> Index {
        if is(Bug::CommitsItsLast) {
            current.max(leader_commit.min(own_last))
        } else if is(Bug::CommitFalls) {
            leader_commit.min(last_new)
        } else {
            Raft::follower_commit(current, leader_commit, last_new, own_last)
        }
    }

    fn heartbeat_commit(commit: Index, matched: Index) -> Index {
        if is(Bug::HeartbeatCommitsAll) { commit } else { Raft::heartbeat_commit(commit, matched) }
    }

    fn advance_match(known: Index, acknowledged: Index) -> Index {
        if is(Bug::MatchFalls) {
            acknowledged
        } else if is(Bug::AcknowledgementIgnored) {
            known
        } else {
            Raft::advance_match(known, acknowledged)
        }
    }

    fn match_after_refusal(known: Index, conflict: Index) -> Index {
        if is(Bug::RefusalSetsMatch) {
            Index(conflict.0.saturating_sub(1))
        } else {
            Raft::match_after_refusal(known, conflict)
        }
    }

    fn next_after(matched: Index) -> Index {
        if is(Bug::NextNotAboveMatch) { matched } else { Raft::next_after(matched) }
    }

    fn initial_match(own_last: Index) -> Index {
        if is(Bug::MatchAssumed) { own_last } else { Raft::initial_match(own_last) }
    }

    fn leader_match(durable: Index, last: Index) -> Index {
        if is(Bug::LeaderCountsUnsynced) { last } else { Raft::leader_match(durable, last) }
    }

    fn may_commit(entry_term: Term, current: Term) -> bool {
        is(Bug::CommitsEarlierTerms) || Raft::may_commit(entry_term, current)
    }

    fn may_apply(commit: Index, durable: Index) -> Index {
        if is(Bug::AppliesUnsynced) {
            commit
        } else if is(Bug::AppliesUncommitted) {
            durable
        } else {
            Raft::may_apply(commit, durable)
        }
    }

    // --- reads -------------------------------------------------------------------------------

    fn may_read(commit_term: Term, current: Term) -> bool {
        is(Bug::ReadsBeforeOwnCommit) || Raft::may_read(commit_term, current)
    }

    fn joins_round(is_open: bool) -> bool {
        if is(Bug::ReadJoinsRound) { is_open } else { Raft::joins_round(is_open) }
    }

    fn confirms_round(acked: u64, round: u64) -> bool {
        let acked = if is(Bug::EarlierRoundConfirms) { acked + 1 } else { acked };
        is(Bug::ReadsUnconfirmed) || Raft::confirms_round(acked, round)
    }

    // --- membership --------------------------------------------------------------------------

    fn may_change_configuration(pending: bool, commit_term: Term, current: Term) -> bool {
        if is(Bug::ChangesBeforeOwnCommit) || is(Bug::SingleStepBeforeOwnCommit) {
            !pending
        } else {
            is(Bug::ChangesOverlap) || Raft::may_change_configuration(pending, commit_term, current)
        }
    }

    fn needs_joint(current: &BTreeSet<NodeId>, next: &BTreeSet<NodeId>) -> bool {
        let is_single = current.symmetric_difference(next).count() == 1;
        let at_once = is(Bug::VotersChangeAtOnce) || is(Bug::SingleStepBeforeOwnCommit) && is_single;
        !at_once && Raft::needs_joint(current, next)
    }

    fn falls_back(index: Index, keep: Index) -> bool {
        !is(Bug::ConfigurationNotRolledBack) && Raft::falls_back(index, keep)
    }

    fn may_leave_joint(joint_index: Index, commit: Index) -> bool {
        let may_leave = is(Bug::JointLeftEarly) || Raft::may_leave_joint(joint_index, commit);
        may_leave && !is(Bug::JointNeverLeft)
    }

    fn may_campaign(is_voter: bool, votes_until_committed: bool) -> bool {
        if is(Bug::LeavingVoterSilent) {
            is_voter
        } else {
            is(Bug::RemovedMemberCampaigns) || Raft::may_campaign(is_voter, votes_until_committed)
        }
    }

    fn must_step_down(is_voter: bool, is_joint: bool, configuration_index: Index, commit: Index) -> bool {
        let must = Raft::must_step_down(is_voter, is_joint, configuration_index, commit);
        must && !is(Bug::RemovedLeaderStays)
    }

    // --- compaction and snapshots --------------------------------------------------------------

    fn purge_limit(requested: Index, snapshot: Index, applied: Index) -> Index {
        if is(Bug::PurgesTooMuch) { snapshot.next() } else { Raft::purge_limit(requested, snapshot, applied) }
    }

    fn snapshot_configuration(last: Index, log_last: Index) -> Index {
        if is(Bug::SnapshotTakesLatestConfiguration) {
            log_last
        } else {
            Raft::snapshot_configuration(last, log_last)
        }
    }

    fn hard_state_after_snapshot(hard: HardState, last: EntryId) -> HardState {
        if is(Bug::TermFallsOnSnapshot) {
            HardState { term: last.term, voted_for: None }
        } else {
            Raft::hard_state_after_snapshot(hard, last)
        }
    }

    fn is_newer_snapshot(last: Index, commit: Index) -> bool {
        let is_newer = is(Bug::OldSnapshotTaken) || Raft::is_newer_snapshot(last, commit);
        is_newer && !is(Bug::SnapshotAcknowledgedUnseen)
    }

    fn keeps_suffix(own_term_at_last: Option<Term>, last_term: Term) -> bool {
        let exists = own_term_at_last.is_some() && is(Bug::SuffixKept);
        (exists || Raft::keeps_suffix(own_term_at_last, last_term)) && !is(Bug::SuffixDropped)
    }

    fn needs_snapshot(next: Index, purged: Index) -> bool {
        if is(Bug::EntriesInsteadOfSnapshot) { next < purged } else { Raft::needs_snapshot(next, purged) }
    }

    fn first_comparable(prev: Index, purged: Index) -> Index {
        let from_the_start = is(Bug::PurgedEntriesAddedAgain) && prev == Index::ZERO;
        let compares_all = is(Bug::PurgedEntriesCompared) || from_the_start;
        if compares_all { prev } else { Raft::first_comparable(prev, purged) }
    }
}

impl replica::Rules for Injected {
    fn is_answered_by(proposed: EntryId, applied: EntryId) -> bool {
        is(Bug::AnswersWhoeverWaits) || <Raft as replica::Rules>::is_answered_by(proposed, applied)
    }

    fn take_asking(asking: &mut BTreeSet<RequestId>, answered: RequestId) -> Option<RequestId> {
        if is(Bug::AnyReadAnswered) {
            asking.pop_first()
        } else {
            <Raft as replica::Rules>::take_asking(asking, answered)
        }
    }

    fn may_serve(read_index: Index, applied: Index) -> bool {
        is(Bug::ServesUnapplied) || <Raft as replica::Rules>::may_serve(read_index, applied)
    }

    fn is_new_forward(taken: &BTreeSet<RequestId>, request: RequestId) -> bool {
        is(Bug::ForwardsTwice) || <Raft as replica::Rules>::is_new_forward(taken, request)
    }

    fn may_judge_forward(sent_in: Term, leads: Option<Term>) -> bool {
        is(Bug::ForwardJudgedByAnyone) || <Raft as replica::Rules>::may_judge_forward(sent_in, leads)
    }
}
