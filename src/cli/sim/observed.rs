//! The rules that ship, counted: how often each of them was asked, and with which outcome.
//!
//! A rule that a simulation never asks is not tested by it, and neither is one that it only ever asks what
//! everybody would answer alike. [`Observed`] answers every question as what ships does and notes the
//! outcome in this thread: no and yes of a predicate, and of a rule that computes something the cases in
//! which it computes differently. A rule that always says the same is told apart by what it was asked.
//!
//! Outcomes and messages that a correct cluster cannot bring about are listed with the reason, so that
//! whatever else is missing is a gap of the simulation. A list that is wrong is found out too: what it
//! excludes must not be counted either.
//!
//! Left out: combinations of outcomes, and the rules of the judges themselves, who do not run under these.

use std::borrow::Cow;
use std::cell::Cell;
use std::cmp::Ordering;
use std::collections::{BTreeSet, VecDeque};
use std::fmt::{self, Display, Formatter};
use std::ops::AddAssign;

use crate::cluster::Policies;
use crate::cluster::disk::{DiskRules, FaithfulDisk};
use crate::cluster::links::{FaithfulLinks, LinkRules};
use crate::kv::{self, EngineError, Revision, Sessions, Snapshot, Verdict, View};
use crate::raft::rules::Route;
use crate::raft::{
    self, Command, Configuration, Durable, EntryId, HardState, Index, MessageKind, NodeId, Raft, RequestId,
    Term, Write,
};
use crate::replica;
use crate::sim::BriefSessions;
use crate::sim::coverage::{Coverage, ROLES};

/// The rules that ship, but for sessions that expire soon, counted in this thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Observed;

impl Policies for Observed {
    type Rules = Observed;
    type Disk = Observed;
    type Links = Observed;
}

/// Defines [`Rule`], the names of all outcomes, and [`Observed`] as an implementation of each trait.
///
/// A row is the signature of a rule, what is noted before it is asked, if its answer does not tell all, and
/// the outcome, which a number or a bool picks from the names.
macro_rules! observe {
    ($($trait:path as $shipped:ty {
        $($rule:ident $(<$generic:ident $(: $bound:path)?>)? ($($argument:ident: $type:ty),*) -> $result:ty
            $([$noted:ident = $before:expr])?, |$answer:pat_param| $outcome:expr => [$($name:literal),+];)*
    })*) => {
        /// A rule, by its name in the traits.
        #[allow(non_camel_case_types)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Rule { $($($rule,)*)* }

        /// All rules, and the names of the outcomes of each.
        const RULES: &[(Rule, &str, &[&str])] = &[$($((Rule::$rule, stringify!($rule), &[$($name),+]),)*)*];

        $(impl $trait for Observed {
            $(fn $rule $(<$generic $(: $bound)?>)? ($($argument: $type),*) -> $result {
                $(let $noted = $before;)?
                let answer = <$shipped as $trait>::$rule($($argument),*);
                let $answer = &answer;
                note(Rule::$rule, usize::from($outcome));
                answer
            })*
        })*
    };
}

observe! {
    raft::Rules as Raft {
        // --- quorums
        electorate(configuration: &Configuration, own: NodeId) -> Cow<'_, Configuration>,
            |all| all.is_voter(own) => ["without the node itself", "with it"];
        majority(voters: usize) -> usize, |_| voters % 2 => ["of an even number", "of an odd number"];
        rank(reached: &mut [Index]) -> () [was_sorted = reached.is_sorted_by(|a, b| a >= b)],
            |()| was_sorted => ["reordered", "in order already"];
        joint_decision(incoming: bool, outgoing: bool) -> bool,
            |_| usize::from(incoming) + 2 * usize::from(outgoing)
            => ["no: neither", "no: incoming only", "no: outgoing only", "yes"];
        joint_index(incoming: Index, outgoing: Index) -> Index,
            |_| order(incoming, outgoing) => ["incoming is behind", "equal", "outgoing is behind"];

        // --- terms and votes
        adopt_term(hard: HardState, term: Term) -> HardState,
            |after| after.term > hard.term => ["same", "newer"];
        campaign(hard: HardState, own: NodeId) -> HardState,
            |_| after_vote(hard.voted_for, own) => ["after no vote", "after its own", "after another's"];
        has_vote_left(voted_for: Option<NodeId>, candidate: NodeId) -> bool,
            |_| after_vote(voted_for, candidate) => ["yes: none given", "yes: given to it", "no"];
        may_vote(is_voter: bool) -> bool, |_| is_voter => ["yes, though no voter", "yes"];
        is_asked(incoming: bool, outgoing: bool) -> bool,
            |_| usize::from(incoming) + 2 * usize::from(outgoing)
            => ["no", "incoming only", "outgoing only", "both"];
        is_up_to_date(candidate_last: EntryId, own_last: EntryId) -> bool,
            |_| if candidate_last.term < own_last.term { 3 } else { order(candidate_last, own_last) }
            => ["no: shorter", "yes: equal", "yes: ahead", "no: of an earlier term"];
        refuses_disruption(leader_fresh: bool, transfer: bool) -> bool,
            |_| usize::from(leader_fresh) + 2 * usize::from(transfer)
            => ["no", "yes", "no: a transfer", "no: a transfer from a fresh leader"];
        record_vote(votes: &mut BTreeSet<NodeId>, from: NodeId) -> () [is_known = votes.contains(&from)],
            |()| is_known => ["new", "repeated"];
        is_current(term: Term, current: Term) -> bool,
            |_| order(term, current) => ["no", "same", "newer"];
        answers_stale(kind: MessageKind) -> bool,
            |_| match kind {
                MessageKind::PreVote => 0_usize,
                MessageKind::AppendEntries | MessageKind::Heartbeat | MessageKind::InstallSnapshot => 1,
                _ => 2,
            } => ["yes: a pre-candidate", "yes: a leader", "yes: another"];
        keeps_leading(heard_quorum: bool) -> bool, |yes| *yes => ["no", "yes"];
        counts_own_vote(durable: HardState, current: HardState) -> bool, |yes| *yes => ["no", "yes"];

        // --- durability
        writes_hard_state(before: HardState, current: HardState) -> bool,
            |yes| if *yes { order(current.term, before.term) } else { 0 } => ["no", "vote only", "term"];
        route(kind: MessageKind) -> Route, |route| *route == Route::Now => ["after the sync", "now"];
        may_leave(term: Term, durable: Term) -> bool, |yes| *yes => ["no", "yes"];
        outlives_sync(made_in: Term, current: Term) -> bool, |yes| *yes => ["no", "yes"];
        advance_durable(durable: Index, written: Index) -> Index,
            |after| *after > durable => ["kept", "raised"];
        truncate_durable(index: Index, keep: Index) -> Index,
            |after| *after < index => ["kept", "lowered"];
        restore_hard_state(durable: HardState) -> HardState,
            |after| after.voted_for.is_some() => ["without a vote", "with a vote"];

        // --- replication
        prev_matches(own_term_at_prev: Option<Term>, prev_term: Term) -> bool,
            |yes| found(own_term_at_prev, *yes) => ["no: missing", "no: another", "yes"];
        conflicts(own_term: Term, incoming_term: Term) -> bool, |yes| *yes => ["no", "yes"];
        acknowledged(prev: Index, entries: u64, own_last: Index) -> Index,
            |proved| order(*proved, own_last) => ["less than its log", "its log", "more than its log"];
        follower_commit(current: Index, leader_commit: Index, last_new: Index, own_last: Index) -> Index,
            |after| match *after {
                after if after == current => 0_usize,
                after if after == leader_commit => 1,
                _ => 2,
            } => ["kept", "raised to the leader's", "raised to what agrees"];
        heartbeat_commit(commit: Index, matched: Index) -> Index,
            |after| *after < commit => ["whole", "capped"];
        advance_match(known: Index, acknowledged: Index) -> Index,
            |_| order(acknowledged, known) => ["kept: late", "kept: repeated", "raised"];
        match_after_refusal(known: Index, conflict: Index) -> Index,
            |_| order(conflict, known.next()) => ["beyond the refusal", "up to the refusal", "short of the refusal"];
        next_after(matched: Index) -> Index,
            |_| matched > Index::ZERO => ["the first", "another"];
        initial_match(own_last: Index) -> Index,
            |_| own_last > Index::ZERO => ["nothing of an empty log", "nothing of a log"];
        leader_match(durable: Index, last: Index) -> Index,
            |counted| *counted < last => ["all of its log", "what is durable"];
        may_commit(entry_term: Term, current: Term) -> bool, |yes| *yes => ["no", "yes"];
        may_apply(commit: Index, durable: Index) -> Index,
            |_| order(commit, durable) => ["limited by commit", "both", "limited by disk"];

        // --- reads
        may_read(commit_term: Term, current: Term) -> bool, |yes| *yes => ["no", "yes"];
        joins_round(is_open: bool) -> bool, |_| is_open => ["no: none is open", "no"];
        confirms_round(acked: u64, round: u64) -> bool, |yes| *yes => ["no", "yes"];

        // --- membership
        may_change_configuration(pending: bool, commit_term: Term, current: Term) -> bool,
            |yes| match (*yes, pending) { (true, _) => 2_usize, (_, true) => 0, _ => 1 }
            => ["no: pending", "no: nothing committed", "yes"];
        needs_joint(current: &BTreeSet<NodeId>, next: &BTreeSet<NodeId>) -> bool,
            |yes| *yes => ["no", "yes"];
        falls_back(index: Index, keep: Index) -> bool, |yes| *yes => ["no", "yes"];
        may_leave_joint(joint_index: Index, commit: Index) -> bool, |yes| *yes => ["no", "yes"];
        may_campaign(is_voter: bool, votes_until_committed: bool) -> bool,
            |yes| if is_voter { 2 } else { usize::from(*yes) } => ["no", "yes: on its way out", "yes"];
        must_step_down(is_voter: bool, is_joint: bool, configuration_index: Index, commit: Index) -> bool,
            |yes| *yes => ["no", "yes"];

        // --- compaction and snapshots
        purge_limit(requested: Index, snapshot: Index, applied: Index) -> Index,
            |limit| match *limit {
                limit if limit == requested => 0_usize,
                limit if limit == snapshot => 1,
                _ => 2,
            } => ["as requested", "limited by the snapshot", "limited by what is applied"];
        snapshot_configuration(last: Index, log_last: Index) -> Index,
            |_| last < log_last => ["at the end of the log", "before the end of the log"];
        hard_state_after_snapshot(hard: HardState, last: EntryId) -> HardState,
            |_| hard.term > last.term => ["in the term of the snapshot", "in a later term"];
        is_newer_snapshot(last: Index, commit: Index) -> bool, |yes| *yes => ["no", "yes"];
        keeps_suffix(own_term_at_last: Option<Term>, last_term: Term) -> bool,
            |yes| found(own_term_at_last, *yes) => ["no: missing", "no: another", "yes"];
        needs_snapshot(next: Index, purged: Index) -> bool, |yes| *yes => ["no", "yes"];
        first_comparable(prev: Index, purged: Index) -> Index,
            |first| *first > prev => ["all", "what is not purged"];
    }

    replica::Rules as Raft {
        is_answered_by(proposed: EntryId, applied: EntryId) -> bool, |yes| *yes => ["no", "yes"];
        take_asking(asking: &mut BTreeSet<RequestId>, answered: RequestId) -> Option<RequestId>,
            |taken| taken.is_some() => ["nobody", "who asked"];
        may_serve(read_index: Index, applied: Index) -> bool, |yes| *yes => ["no", "yes"];
        is_new_forward(taken: &BTreeSet<RequestId>, request: RequestId) -> bool, |yes| *yes => ["no", "yes"];
        may_judge_forward(sent_in: Term, leads: Option<Term>) -> bool,
            |yes| found(leads, *yes) => ["no: leads nobody", "no: leads another term", "yes"];
    }

    kv::Rules as BriefSessions {
        judge(answered: Option<u64>, sequence: u64) -> Verdict,
            |verdict| match verdict {
                Verdict::New => usize::from(answered.is_some()),
                Verdict::Retry => 2,
                Verdict::Old => 3,
            } => ["new: the first", "new", "retry", "old"];
        is_expired(last_used: Index, now: Index, ttl_entries: u64) -> bool, |yes| *yes => ["no", "yes"];
        session_ttl_entries() -> u64, |_| 0_usize => ["asked"];
        revision_after(revision: Revision, changed: bool) -> Revision,
            |after| *after > revision => ["kept", "raised"];
        compares_see_earlier_steps() -> bool, |_| 0_usize => ["asked"];
        snapshot_sessions(sessions: &Sessions) -> Sessions,
            |kept| kept.by_last_use().next().is_some() => ["none", "some"];
        restored<V: View>(before: &V, snapshot: Snapshot) -> Result<Snapshot, EngineError>,
            |_| before.position().revision > Revision::FIRST => ["over nothing", "over what it held"];
    }

    DiskRules as FaithfulDisk {
        enqueue<C>(pending: &mut VecDeque<Write<C>>, write: Write<C>) -> () [was_idle = pending.is_empty()],
            |()| was_idle => ["behind others", "alone"];
        persist<C: Command>(synced: &mut Durable<C>, write: Write<C>) -> () [entries = write.entries.len()],
            |()| entries.min(2) => ["no entries", "one entry", "several entries"];
        survivors(pending: usize, wanted: usize) -> usize,
            |kept| match *kept {
                _ if pending == 0 => 0_usize,
                0 => 1,
                kept if kept < pending => 2,
                _ => 3,
            } => ["nothing to lose", "none", "some", "all"];
        admits(known: u64, found: u64) -> bool,
            |yes| if *yes { 2 } else { usize::from(found > 0) } => ["no: empty", "no: older", "yes"];
        tear<C: Command>(left: &mut Durable<C>, write: Write<C>) -> (), |()| 0_usize => ["asked"];
        keeps_synced<C: Clone>(synced: &Durable<C>) -> Durable<C>,
            |_| !synced.entries.is_empty() => ["no entries", "entries"];
    }

    LinkRules as FaithfulLinks {
        carries(is_cut: bool) -> bool, |yes| *yes => ["no", "yes"];
    }
}

/// 0 if `one` is before `other`, 1 if they are equal, 2 if it is behind.
fn order<T: Ord>(one: T, other: T) -> usize {
    match one.cmp(&other) {
        Ordering::Less => 0,
        Ordering::Equal => 1,
        Ordering::Greater => 2,
    }
}

/// 0 if there was no vote, 1 if it was for `candidate`, 2 if it was for another.
fn after_vote(voted_for: Option<NodeId>, candidate: NodeId) -> usize {
    voted_for.map_or(0, |voted| 1 + usize::from(voted != candidate))
}

/// 0 if there was nothing, 1 if it was another, 2 if it was what was looked for.
fn found(what: Option<Term>, is_it: bool) -> usize {
    what.map_or(0, |_| 1 + usize::from(is_it))
}

/// The most outcomes of one rule.
const OUTCOMES_MAX: usize = 4;

thread_local! {
    static NOTED: [[Cell<u64>; OUTCOMES_MAX]; RULES.len()] =
        const { [const { [const { Cell::new(0) }; OUTCOMES_MAX] }; RULES.len()] };
}

fn note(rule: Rule, outcome: usize) {
    NOTED.with(|noted| {
        let count = &noted[rule as usize][outcome];
        count.set(count.get() + 1);
    });
}

/// How often each rule gave each outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcomes([[u64; OUTCOMES_MAX]; RULES.len()]);

impl Default for Outcomes {
    fn default() -> Outcomes {
        Outcomes([[0; OUTCOMES_MAX]; RULES.len()])
    }
}

impl AddAssign<&Outcomes> for Outcomes {
    fn add_assign(&mut self, other: &Outcomes) {
        let counts = other.0.iter().flatten();
        self.0.iter_mut().flatten().zip(counts).for_each(|(sum, count)| *sum += count);
    }
}

/// One outcome of a rule or one kind of message in a role, and how often it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Count {
    /// The rule, or the kind of message.
    pub(super) of: &'static str,
    /// The outcome, or the role.
    pub(super) case: &'static str,
    pub(super) n: u64,
    /// Why it cannot be.
    pub(super) impossible: Option<&'static str>,
}

impl Count {
    /// Whether it could have been and was not.
    pub(super) fn is_missing(&self) -> bool {
        self.n == 0 && self.impossible.is_none()
    }

    /// Whether it was, though it cannot be.
    pub(super) fn is_contradiction(&self) -> bool {
        self.n > 0 && self.impossible.is_some()
    }
}

impl Display for Count {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.of, self.case)
    }
}

impl Outcomes {
    /// What was noted in this thread since the last call.
    pub(super) fn take() -> Outcomes {
        NOTED.with(|noted| Outcomes(noted.each_ref().map(|counts| counts.each_ref().map(Cell::take))))
    }

    /// All rules in the order of the traits, each with its outcomes.
    pub(super) fn counts(&self) -> impl Iterator<Item = Count> + '_ {
        RULES.iter().zip(&self.0).flat_map(|((rule, name, cases), counts)| {
            cases.iter().zip(counts).map(move |(case, n)| {
                let mut reasons = CANNOT_HAPPEN.iter().filter(move |row| (row.0, row.1) == (*rule, *case));
                Count { of: name, case, n: *n, impossible: reasons.next().map(|row| row.2) }
            })
        })
    }
}

/// All kinds of messages, each with the roles in which it was taken.
pub(super) fn taken(coverage: &Coverage) -> impl Iterator<Item = Count> + '_ {
    coverage.taken().flat_map(|(kind, counts)| {
        ROLES.iter().zip(counts).map(move |(role, n)| {
            let mut reasons = CANNOT_BE_TAKEN.iter().filter(move |row| (row.0, row.1) == (kind, *role));
            Count { of: kind_name(kind), case: role, n, impossible: reasons.next().map(|row| row.2) }
        })
    })
}

/// The name of a kind of message, as it is declared.
fn kind_name(kind: MessageKind) -> &'static str {
    match kind {
        MessageKind::PreVote => "PreVote",
        MessageKind::PreVoteResponse => "PreVoteResponse",
        MessageKind::RequestVote => "RequestVote",
        MessageKind::RequestVoteResponse => "RequestVoteResponse",
        MessageKind::AppendEntries => "AppendEntries",
        MessageKind::AppendAccepted => "AppendAccepted",
        MessageKind::AppendRefused => "AppendRefused",
        MessageKind::Heartbeat => "Heartbeat",
        MessageKind::HeartbeatResponse => "HeartbeatResponse",
        MessageKind::InstallSnapshot => "InstallSnapshot",
        MessageKind::InstallSnapshotResponse => "InstallSnapshotResponse",
        MessageKind::TimeoutNow => "TimeoutNow",
        MessageKind::ReadIndex => "ReadIndex",
        MessageKind::ReadIndexResponse => "ReadIndexResponse",
    }
}

/// What a correct cluster never brings about in a simulation.
const CANNOT_HAPPEN: &[(Rule, &str, &str)] = &[
    (Rule::purge_limit, "limited by the snapshot", "a replica asks for no more than the snapshot covers"),
    (Rule::purge_limit, "limited by what is applied", "a snapshot is only taken of what is applied"),
    (Rule::admits, "yes", "a directory that is swapped in is empty, or from before the latest start"),
];

/// Messages that no member can take in a role.
const CANNOT_BE_TAKEN: &[(MessageKind, &str, &str)] = &[];

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn every_rule_is_observed() {
        let sources = [
            ("src/raft/rules.rs", "pub trait Rules"),
            ("src/replica/rules.rs", "pub trait Rules"),
            ("src/kv/rules.rs", "pub trait Rules"),
            ("src/cluster/disk.rs", "pub trait DiskRules"),
            ("src/cluster/links.rs", "pub trait LinkRules"),
        ];
        let mut rules = Vec::new();
        for (file, start) in sources {
            let path = format!("{}/{file}", env!("CARGO_MANIFEST_DIR"));
            let source = fs::read_to_string(path).expect("the rules are there");
            let body = source.split(start).nth(1).and_then(|rest| rest.split("\n}\n").next());
            let signatures =
                body.expect("the trait is there").lines().filter_map(|line| line.strip_prefix("    fn "));
            let names = signatures.filter_map(|line| line.split(['(', '<']).next());
            rules.extend(names.map(str::to_string));
        }
        let observed: BTreeSet<&str> = RULES.iter().map(|(_, name, _)| *name).collect();
        assert_eq!(observed, rules.iter().map(String::as_str).collect());
        assert_eq!(observed.len(), RULES.len());
    }

    #[test]
    fn what_cannot_happen_has_a_name() {
        assert!(RULES.iter().all(|(_, _, cases)| cases.len() <= OUTCOMES_MAX));
        for (rule, case, _) in CANNOT_HAPPEN {
            assert!(RULES[*rule as usize].2.contains(case), "{rule:?}: {case}");
        }
        assert!(CANNOT_BE_TAKEN.iter().all(|(_, role, _)| ROLES.contains(role)));
    }

    #[test]
    fn answers_are_those_of_what_ships_and_are_counted() {
        let _ = Outcomes::take();
        let ask = <Observed as raft::Rules>::may_commit;
        assert_eq!([ask(Term(1), Term(2)), ask(Term(2), Term(2))], [false, true]);
        let mut reached = [1, 3, 2].map(Index);
        <Observed as raft::Rules>::rank(&mut reached);
        assert_eq!(reached, [3, 2, 1].map(Index));
        assert_eq!(
            <Observed as kv::Rules>::session_ttl_entries(),
            <BriefSessions as kv::Rules>::session_ttl_entries()
        );
        let counted: Vec<(String, u64)> = Outcomes::take()
            .counts()
            .filter(|count| count.n > 0)
            .map(|count| (count.to_string(), count.n))
            .collect();
        let expected = ["rank: reordered", "may_commit: no", "may_commit: yes", "session_ttl_entries: asked"];
        assert_eq!(counted, expected.map(|name| (name.to_string(), 1)));
        assert_eq!(Outcomes::take(), Outcomes::default());
    }
}
