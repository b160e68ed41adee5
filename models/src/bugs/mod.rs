//! Injected bugs: mistakes that replicated logs really had, and others of their kind, for whatever claims
//! to find mistakes.
//!
//! A property that cannot fail says nothing. Here is one place for the mistakes that are planted to see it
//! fail: the tests of the models, the reference test, the scenarios and the simulation all take theirs
//! from this list, by name.
//!
//! **How.** The code that ships asks its decisions of rules ([`dkv::raft::Rules`],
//! [`dkv::replica::Rules`], [`dkv::kv::Rules`], [`dkv::cluster::disk::DiskRules`],
//! [`dkv::cluster::links::LinkRules`]), and it names no bug. [`Injected`] implements them all by what
//! ships, but for the bug that [`with_bug`] has made active in this thread. One type for all bugs, because
//! every further type would compile the whole cluster once more. Whoever starts threads hands
//! [`active`] on to them.
//!
//! **The table.** Of each bug: its name; what goes wrong, in a sentence; published systems in which it was
//! found; the rules whose answers it changes (a test asks every rule and compares); and the invariants of
//! which at least one is expected to notice. A bug that no invariant can notice is listed with none: it
//! costs time, or another rule covers for it.
//!
//! Left out: who finds which bug in what time. That is for the tests that use the list.

mod disk;
mod kv;
mod rules;

use std::cell::Cell;
use std::fmt;
use std::sync::OnceLock;

use dkv::cluster::Policies;
use dkv::raft::Invariant;

use crate::properties::NO_PANIC;

/// The rules that ship, but for the bug that is active in this thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Injected;

impl Policies for Injected {
    type Rules = Injected;
    type Disk = Injected;
    type Links = Injected;
}

thread_local! {
    static ACTIVE: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// The bug of a process that shows one, whichever thread asks.
static EVERYWHERE: OnceLock<Bug> = OnceLock::new();

/// Makes a bug active in every thread for good, where no other is. For a process that serves it to others, and
/// does not start the threads that answer them.
///
/// # Errors
/// The bug that is active already.
pub fn inject_everywhere(bug: Bug) -> Result<(), Bug> {
    EVERYWHERE.set(bug).map_err(|_| *EVERYWHERE.get().expect("it is set already"))
}

/// The bug that is active in this thread.
#[must_use]
pub fn active() -> Option<Bug> {
    ACTIVE.get().or_else(|| EVERYWHERE.get().copied())
}

/// Whether this bug is active.
fn is(bug: Bug) -> bool {
    active() == Some(bug)
}

/// Runs `body` with this bug, or with none. What was active before is so again afterwards, after a panic
/// too.
pub fn with_bug<T>(bug: Option<Bug>, body: impl FnOnce() -> T) -> T {
    struct Outer(Option<Bug>);
    impl Drop for Outer {
        fn drop(&mut self) {
            ACTIVE.set(self.0);
        }
    }
    let _outer = Outer(ACTIVE.replace(bug));
    body()
}

/// Who notices a bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Killer {
    /// An invariant is violated.
    Broken(Invariant),
    /// An assertion of the core fails.
    Panic,
}

impl Killer {
    /// The name of the invariant, or of the property that nothing panics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Killer::Broken(invariant) => invariant.name(),
            Killer::Panic => NO_PANIC,
        }
    }
}

/// What is known of a bug.
struct Facts {
    name: &'static str,
    summary: &'static str,
    seen_in: &'static [&'static str],
    rules: &'static [&'static str],
    killed_by: &'static [Killer],
}

impl Bug {
    /// The bug of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Bug> {
        Bug::ALL.iter().copied().find(|bug| bug.name() == name)
    }

    /// Its name, in kebab-case.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// What goes wrong, in a sentence.
    #[must_use]
    pub fn summary(self) -> &'static str {
        self.facts().summary
    }

    /// Published systems and specifications in which it was found.
    #[must_use]
    pub fn seen_in(self) -> &'static [&'static str] {
        self.facts().seen_in
    }

    /// The rules whose answers it changes.
    #[must_use]
    pub fn rules(self) -> &'static [&'static str] {
        self.facts().rules
    }

    /// Who may notice it; nobody, if it breaks no invariant.
    #[must_use]
    pub fn killed_by(self) -> &'static [Killer] {
        self.facts().killed_by
    }
}

impl fmt::Display for Bug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

// --- the table -----------------------------------------------------------------------------------------

const ES: Killer = Killer::Broken(Invariant::ElectionSafety);
const LM: Killer = Killer::Broken(Invariant::LogMatching);
const LC: Killer = Killer::Broken(Invariant::LeaderCompleteness);
const SM: Killer = Killer::Broken(Invariant::StateMachineSafety);
const TM: Killer = Killer::Broken(Invariant::TermMonotonic);
const VS: Killer = Killer::Broken(Invariant::VoteStability);
const CM: Killer = Killer::Broken(Invariant::CommitMonotonic);
const CQ: Killer = Killer::Broken(Invariant::CommittedOnQuorum);
const LOST: Killer = Killer::Broken(Invariant::CommittedNeverLost);
const LIVE: Killer = Killer::Broken(Invariant::HealedReplicasConverge);
const LIN: Killer = Killer::Broken(Invariant::Linearizable);
const XO: Killer = Killer::Broken(Invariant::ExactlyOnce);
const PANIC: Killer = Killer::Panic;

macro_rules! bugs {
    ($($bug:ident $name:literal $summary:literal seen $seen:tt rules $rules:tt by $killers:tt)*) => {
        /// A bug that can be injected.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Bug {
            $(#[doc = $summary] $bug),*
        }

        impl Bug {
            /// Every bug.
            pub const ALL: &[Bug] = &[$(Bug::$bug),*];

            fn facts(self) -> &'static Facts {
                match self {
                    $(Bug::$bug => &Facts {
                        name: $name,
                        summary: $summary,
                        seen_in: &$seen,
                        rules: &$rules,
                        killed_by: &$killers,
                    }),*
                }
            }
        }
    };
}

bugs! {
    // Quorums.

    SmallMajority "small-majority"
        "Half of the voters, rounded up, are a majority."
        seen [] rules ["majority"] by [ES, CQ]
    MinorityIsEnough "minority-is-enough"
        "Half of the voters, rounded down, are a majority."
        seen [] rules ["majority"] by [ES, CQ]
    EitherMajority "either-majority"
        "In a joint phase one majority of the two elects."
        seen [] rules ["joint_decision"] by [ES, LC, LOST]
    NewMajorityElects "new-majority-elects"
        "In a joint phase the majority of the incoming voters elects."
        seen [] rules ["joint_decision"] by [ES, LC, LOST]
    EitherIndex "either-index"
        "In a joint phase one majority of the two commits."
        seen [] rules ["joint_index"] by [CQ, LC]
    NewMajorityCommits "new-majority-commits"
        "In a joint phase the majority of the incoming voters commits."
        seen [] rules ["joint_index"] by [CQ, LC]
    ProgressOutOfOrder "progress-out-of-order"
        "What the voters have reached is sorted incompletely, unless they are three or fewer."
        seen ["openraft"] rules ["rank"] by [CQ, LC]
    AnsweredOnAppend "answered-on-append"
        "What the leader alone has written counts as committed, and its client is answered."
        seen ["redpanda"] rules ["rank"] by [CQ, LIN, LC]
    LearnersCounted "learners-counted"
        "A learner counts as a voter."
        seen [] rules ["electorate"] by [CQ, LC]
    RemovedLeaderCounts "removed-leader-counts"
        "A leader that the configuration leaves out counts itself."
        seen ["camunda", "hashicorp/raft"] rules ["electorate"] by [CQ, LC]

    // Terms and votes.

    VoteNotWritten "vote-not-written"
        "A vote goes to disk only together with a new term."
        seen ["stateright's raft example"] rules ["writes_hard_state"] by [VS, ES]
    TermNotWritten "term-not-written"
        "A new term goes to disk only together with a vote."
        seen [] rules ["writes_hard_state"] by [TM, ES, PANIC]
    VoteForgotten "vote-forgotten"
        "A restart keeps the term and forgets the vote."
        seen ["stateright's raft example"] rules ["restore_hard_state"] by [VS, ES]
    TermForgotten "term-forgotten"
        "A restart reads missing metadata as term 0 and keeps the log."
        seen ["jraft"] rules ["restore_hard_state"] by [TM, ES, PANIC]
    RequestVoteBeforeSync "request-vote-before-sync"
        "A candidate asks for votes, and counts its own, before that is on disk."
        seen ["sofa-jraft"] rules ["counts_own_vote", "may_leave", "route"] by [VS, ES]
    VoteBeforeSync "vote-before-sync"
        "A vote leaves before it is on disk."
        seen [] rules ["route"] by [VS, ES]
    OwnVoteUnsynced "own-vote-unsynced"
        "A candidate counts its own vote before it is on disk."
        seen [] rules ["counts_own_vote"] by [ES, VS]
    LeavesBeforeItsTerm "leaves-before-its-term"
        "Messages leave at a term that is not on disk."
        seen [] rules ["may_leave"] by [TM, ES]
    VoteErased "vote-erased"
        "Stepping down within a term forgets the vote of that term."
        seen ["CCF", "redpanda", "camunda"] rules ["adopt_term"] by [VS, ES]
    VoteKept "vote-kept"
        "A newer term keeps the vote of the one before."
        seen [] rules ["adopt_term"] by [LIVE]
    OwnVoteNotRecorded "own-vote-not-recorded"
        "A candidate does not record its own vote."
        seen [] rules ["campaign"] by [ES, PANIC]
    CampaignsInItsTerm "campaigns-in-its-term"
        "A candidate campaigns in the term that it is in."
        seen [] rules ["campaign"] by [VS, ES]
    VotesTwice "votes-twice"
        "A node votes for whoever asks, several times in a term."
        seen [] rules ["has_vote_left"] by [VS, ES]
    VotesCountedTwice "votes-counted-twice"
        "A vote that arrives again counts as another node's."
        seen [] rules ["record_vote"] by [ES, LC]
    NoUpToDateCheck "no-up-to-date-check"
        "A node votes for a candidate whose log is behind its own."
        seen ["hydro"] rules ["is_up_to_date"] by [LC]
    LongerLogWins "longer-log-wins"
        "Logs are compared by their length and not by their last term."
        seen [] rules ["is_up_to_date"] by [LC]
    LastTermWins "last-term-wins"
        "Logs are compared by their last term and not by their length."
        seen [] rules ["is_up_to_date"] by [LC]
    OldTermsAccepted "old-terms-accepted"
        "A message of an older term is taken for a current one."
        seen [] rules ["is_current"] by [SM, LC, PANIC]
    FreshLeaderDisturbed "fresh-leader-disturbed"
        "A node that was cut off deposes a working leader."
        seen [] rules ["refuses_disruption"] by []
    TransferRefused "transfer-refused"
        "The target of a transfer gets no vote while the old leader is fresh."
        seen [] rules ["refuses_disruption"] by []
    LearnersDoNotVote "learners-do-not-vote"
        "A voter does not vote while its own log says that it is a learner."
        seen ["raft-rs", "etcd"] rules ["may_vote"] by [LIVE]
    OldVotersNotAsked "old-voters-not-asked"
        "In a joint phase a candidate asks the incoming voters only, and can never win."
        seen ["openraft"] rules ["is_asked"] by [LIVE]
    StalePreVoteIgnored "stale-pre-vote-ignored"
        "A node with a lower term asks for pre-votes for ever, and nobody tells it the term."
        seen ["etcd"] rules ["answers_stale"] by [LIVE]
    StaleLeaderIgnored "stale-leader-ignored"
        "A node with a higher term ignores its leader, who never learns of that term."
        seen [] rules ["answers_stale"] by [LIVE]
    CheckQuorumSkipped "check-quorum-skipped"
        "A leader that hears nobody goes on leading those who hear it."
        seen [] rules ["keeps_leading"] by [LIVE]

    // Durability.

    AcknowledgesBeforeSync "acknowledges-before-sync"
        "A follower acknowledges entries before they are on disk."
        seen [] rules ["route"] by [CQ, LOST, LC]
    SnapshotAcknowledgedBeforeSync "snapshot-acknowledged-before-sync"
        "A follower acknowledges a snapshot before its mark is on disk."
        seen [] rules ["route"] by [CQ, LOST, LC]
    StaleAcknowledgement "stale-acknowledgement"
        "An acknowledgement that waited for the disk leaves although the term has moved."
        seen [] rules ["outlives_sync"] by [CQ, LC]
    TruncationNotNoticed "truncation-not-noticed"
        "A receipt for entries that were cut off counts for those that took their place."
        seen ["etcd", "openraft"] rules ["truncate_durable"] by [CQ, LC, PANIC]
    ReceiptIgnored "receipt-ignored"
        "The log never counts as durable beyond where it started."
        seen [] rules ["advance_durable"] by [LIVE]
    AppliesUnsynced "applies-unsynced"
        "Entries are applied before they are on the own disk."
        seen [] rules ["may_apply"] by [PANIC, LIN, SM]
    AppliesUncommitted "applies-uncommitted"
        "Entries are applied when they are on the own disk, committed or not."
        seen [] rules ["may_apply"] by [PANIC, SM]
    DirectoryUnchecked "directory-unchecked"
        "A member starts from a directory that is empty or older than what it swore, as if nothing had happened."
        seen [] rules ["admits"] by [TM, VS, LOST, CQ, LC, ES, PANIC]
    SyncedEntryLost "synced-entry-lost"
        "A crash takes the last entry that was acknowledged as synced."
        seen [] rules ["keeps_synced"] by [LOST, LC, PANIC]
    WriteErrorSwallowed "write-error-swallowed"
        "Some entries are never written, and what follows them is cut off; the receipts come all the same."
        seen ["dragonboat"] rules ["persist"] by [CQ, LOST, LC]
    TruncatesAfterAppending "truncates-after-appending"
        "New entries and the end of the log behind them are two writes: a crash leaves old entries behind new."
        seen ["braft"] rules ["tear"] by [LM, SM, PANIC]
    EntriesBeforeTheirTerm "entries-before-their-term"
        "Entries and the term they came with are two writes, and a crash keeps the first."
        seen [] rules ["tear"] by [TM, PANIC]
    WritesReordered "writes-reordered"
        "A write overtakes the one before it on its way to the disk."
        seen [] rules ["enqueue"] by [CQ, LOST, PANIC]

    // Replication.

    PreviousEntryUnchecked "previous-entry-unchecked"
        "A follower appends after an entry of any term."
        seen [] rules ["prev_matches"] by [LM, SM]
    TruncatesWhatAgrees "truncates-what-agrees"
        "A late append cuts off entries that agree with it."
        seen ["RaftOS"] rules ["conflicts"] by [CQ, LOST, LC, PANIC]
    ConflictKept "conflict-kept"
        "Entries that conflict with the leader's are kept."
        seen [] rules ["conflicts"] by [LM, SM, CQ]
    AcknowledgesItsLast "acknowledges-its-last"
        "A follower acknowledges the end of its log instead of what the message proved."
        seen ["CCF", "RavenDB"] rules ["acknowledged"] by [CQ, SM, PANIC]
    AcknowledgesOneMore "acknowledges-one-more"
        "A follower acknowledges one entry more than it was sent."
        seen [] rules ["acknowledged"] by [CQ, PANIC]
    CommitsItsLast "commits-its-last"
        "A follower commits up to the end of its log, whatever of it was compared."
        seen ["scylladb", "copycat", "WRaft"] rules ["follower_commit"] by [SM]
    CommitFalls "commit-falls"
        "A late message takes the commit index back."
        seen ["PySyncObj"] rules ["follower_commit"] by [CM, PANIC]
    HeartbeatCommitsAll "heartbeat-commits-all"
        "A heartbeat carries the leader's commit index to a follower whose log was not compared so far."
        seen [] rules ["heartbeat_commit"] by [SM, PANIC]
    MatchFalls "match-falls"
        "A late acknowledgement takes back what a leader knew to match, and an entry stays uncommitted."
        seen [] rules ["advance_match"] by [LIVE]
    AcknowledgementIgnored "acknowledgement-ignored"
        "A leader never notes what a follower acknowledges."
        seen [] rules ["advance_match"] by [LIVE]
    RefusalSetsMatch "refusal-sets-match"
        "A refusal overwrites what a leader knows to match by the entry before the conflict."
        seen ["CCF"] rules ["match_after_refusal"] by [CQ, LC, LIVE]
    NextNotAboveMatch "next-not-above-match"
        "A leader starts over with the entry that matches instead of the one after it, and never gets further."
        seen ["WRaft", "PySyncObj"] rules ["next_after"] by [LIVE, PANIC]
    MatchAssumed "match-assumed"
        "A new leader assumes that the others have what it has."
        seen [] rules ["initial_match"] by [CQ, SM, PANIC]
    LeaderCountsUnsynced "leader-counts-unsynced"
        "A leader counts itself before its own disk has the entry."
        seen [] rules ["leader_match"] by [CQ, LOST, LC]
    CommitsEarlierTerms "commits-earlier-terms"
        "A leader commits an entry of an earlier term by counting (Figure 8)."
        seen ["logcabin", "canonical/raft", "PySyncObj"] rules ["may_commit"] by [LC, SM]

    // Reads.

    ReadsBeforeOwnCommit "reads-before-own-commit"
        "A new leader answers reads before it has committed in its term."
        seen ["etcd", "RedisRaft", "tikv"] rules ["may_read"] by [LIN]
    ReadsUnconfirmed "reads-unconfirmed"
        "A leader answers reads without asking whether it still leads."
        seen ["Xraft-KV"] rules ["confirms_round"] by [LIN]
    EarlierRoundConfirms "earlier-round-confirms"
        "An answer of the round before confirms the present one."
        seen [] rules ["confirms_round"] by [LIN]
    ReadJoinsRound "read-joins-round"
        "A read is served by the round that was under way when it came."
        seen [] rules ["joins_round"] by [LIN]
    ServesUnapplied "serves-unapplied"
        "A read runs before its index is applied."
        seen [] rules ["may_serve"] by [LIN]
    AnyReadAnswered "any-read-answered"
        "An answer to a read of before a restart serves the read that waits now."
        seen [] rules ["take_asking"] by [LIN]

    // Membership.

    ChangesOverlap "changes-overlap"
        "A change of members starts while another is under way."
        seen [] rules ["may_change_configuration"] by [ES, CQ, PANIC]
    ChangesBeforeOwnCommit "changes-before-own-commit"
        "A leader changes members before it has committed in its term; joint phases forgive that."
        seen [] rules ["may_change_configuration"] by []
    SingleStepBeforeOwnCommit "single-step-before-own-commit"
        "One voter changes without a joint phase, and before the leader has committed in its term."
        seen ["Raft as published in 2014"] rules ["may_change_configuration", "needs_joint"] by [ES, SM, CQ]
    VotersChangeAtOnce "voters-change-at-once"
        "Any number of voters change without a joint phase."
        seen [] rules ["needs_joint"] by [ES, SM, CQ]
    JointLeftEarly "joint-left-early"
        "The joint phase ends before its entry is committed."
        seen [] rules ["may_leave_joint"] by [ES, CQ]
    JointNeverLeft "joint-never-left"
        "The joint phase never ends, and no further change is possible."
        seen [] rules ["may_leave_joint"] by [LIVE]
    RemovedMemberCampaigns "removed-member-campaigns"
        "Who is no voter campaigns."
        seen [] rules ["may_campaign"] by []
    LeavingVoterSilent "leaving-voter-silent"
        "A voter on its way out does not campaign, though nobody else can win."
        seen [] rules ["may_campaign"] by [LIVE]
    RemovedLeaderStays "removed-leader-stays"
        "A leader that is not a voter any more goes on leading."
        seen [] rules ["must_step_down"] by [LIVE]
    ConfigurationNotRolledBack "configuration-not-rolled-back"
        "A configuration stays in force after its entry was cut off."
        seen [] rules ["falls_back"] by [PANIC, ES, CQ]

    // Compaction and snapshots.

    PurgesTooMuch "purges-too-much"
        "The log is purged one entry beyond its snapshot."
        seen [] rules ["purge_limit"] by [PANIC]
    SnapshotTakesLatestConfiguration "snapshot-takes-latest-configuration"
        "A snapshot holds the latest configuration of the log, which may not be committed."
        seen [] rules ["snapshot_configuration"] by [ES, CQ]
    TermFallsOnSnapshot "term-falls-on-snapshot"
        "An installed snapshot sets the term to that of its last entry."
        seen ["WRaft"] rules ["hard_state_after_snapshot"] by [TM, VS, PANIC]
    OldSnapshotTaken "old-snapshot-taken"
        "A late snapshot moves a follower back."
        seen [] rules ["is_newer_snapshot"] by [CM, SM, PANIC]
    SnapshotAcknowledgedUnseen "snapshot-acknowledged-unseen"
        "A follower acknowledges a snapshot that it lacks as one that it has overtaken."
        seen [] rules ["is_newer_snapshot"] by [CQ, LC, LIVE, PANIC]
    SuffixKept "suffix-kept"
        "A follower keeps conflicting entries behind an installed snapshot."
        seen ["hashicorp/raft", "camunda", "etcd"] rules ["keeps_suffix"] by [LIVE, LM, PANIC]
    SuffixDropped "suffix-dropped"
        "A follower drops acknowledged entries behind an installed snapshot."
        seen [] rules ["keeps_suffix"] by [CQ, LOST, LC]
    EntriesInsteadOfSnapshot "entries-instead-of-snapshot"
        "A follower just behind the compaction point gets entries, or nothing, instead of the snapshot."
        seen ["WRaft"] rules ["needs_snapshot"] by [LIVE, PANIC]
    PurgedEntriesCompared "purged-entries-compared"
        "A late append that starts in the purged part of the log is refused."
        seen [] rules ["first_comparable"] by [LIVE, PANIC]
    PurgedEntriesAddedAgain "purged-entries-added-again"
        "An append from the very start adds entries again that are purged."
        seen ["WRaft"] rules ["first_comparable", "prev_matches"] by [PANIC, SM, LM]

    // Clients and the store.

    AnswersWhoeverWaits "answers-whoever-waits"
        "A client is told of success by whatever entry was applied at its index."
        seen [] rules ["is_answered_by"] by [LIN]
    ForwardsTwice "forwards-twice"
        "A doubled packet proposes a forwarded request twice."
        seen [] rules ["is_new_forward"] by [LIN, XO]
    ForwardJudgedByAnyone "forward-judged-by-anyone"
        "A forwarded request is refused by a member that may have taken a copy of it before."
        seen [] rules ["may_judge_forward"] by [LIN]
    RetriesApplied "retries-applied"
        "A retry under a session is carried out again."
        seen ["RedisRaft", "ra"] rules ["judge"] by [XO, LIN]
    OldRequestsApplied "old-requests-applied"
        "A late copy of an older request under a session is carried out."
        seen [] rules ["judge"] by [XO, LIN]
    SessionsNotInSnapshot "sessions-not-in-snapshot"
        "A snapshot lacks the sessions."
        seen ["dragonboat"] rules ["snapshot_sessions"] by [XO, SM, LIVE]
    SessionsExpireEarly "sessions-expire-early"
        "A session expires after eight entries."
        seen [] rules ["is_expired"] by [LIN]
    SnapshotMerged "snapshot-merged"
        "A restored store keeps the keys that the snapshot lacks."
        seen ["jgroups-raft", "rqlite"] rules ["restored"] by [SM, LIVE, LIN]
    RevisionNotInSnapshot "revision-not-in-snapshot"
        "A restored store keeps its own revision."
        seen [] rules ["restored"] by [SM, LIVE, LIN]
    RevisionCountsCommands "revision-counts-commands"
        "Every command makes a new revision, also one that changes nothing."
        seen [] rules ["revision_after"] by [LIN]
    ComparesSeeSteps "compares-see-steps"
        "The compares of a nested transaction see the steps before it."
        seen [] rules ["compares_see_earlier_steps"] by [LIN]

    // The world's own.

    CutLinksCarry "cut-links-carry"
        "A link that is cut carries messages: a mistake of the network, to see the checks of it fail."
        seen [] rules ["carries"] by []
}
