//! More of the same at once, and larger: what only the deep set has, and the small worlds beside it.

use super::*;

/// A session, and two requests of it.
const SESSION: &[Command] = &[OPEN_SESSION, tagged(1), tagged(2)];

/// More of the same at once.
pub(super) fn deep() -> Vec<Configuration> {
    let base = |name, reason| Configuration { set: Set::Deep, ..Configuration::base(name, reason) };
    vec![
        Configuration {
            budgets: Counts::of(&[(Proposals, 2), (Cuts, 3), (Heartbeats, 2)]),
            shows: AFTER_A_CUT_WITH_TWO,
            ..base("deep-one-way", "three links that fail in one direction each")
        },
        Configuration {
            replicas: 4,
            founders: 4,
            symmetry: true,
            budgets: Counts::of(&[(Crashes, 4), (Elections, 3)]),
            prelude: all_restarted(4),
            shows: &[LeaderElected, SplitVote, TwoLeadersOfDifferentTerms],
            ..base("deep-election-4", "three campaigns among an even number of voters")
        },
        Configuration {
            ask_anybody: true,
            budgets: Counts::of(&[
                (Proposals, 1),
                (Reads, 1),
                (Partitions, 1),
                (Staleness, 1),
                (Elections, 1),
            ]),
            shows: &[ReadServed, ReadServedAtFollower, ReadServedInALaterTerm, StaleReadRefused],
            ..base("deep-reads", "reads and a write at a deposed leader, at its successor and at followers")
        },
        Configuration {
            sync: DiskSync::Explicit,
            budgets: Counts::of(&[(Proposals, 2), (Partitions, 2), (Heartbeats, 2)]),
            shows: AFTER_A_CUT_WITH_TWO_ON_DISKS,
            pinned: Some((5_692_366, 31_230_075)),
            ..base("deep-disk", "partitions that overlap, and disks that take their time")
        },
        Configuration {
            sync: DiskSync::Explicit,
            budgets: Counts::of(&[(Proposals, 2), (Crashes, 1), (Staleness, 1), (Elections, 1)]),
            shows: &[UnsyncedWritesLost, LeaderElected, EarlierTermCommitted, SuffixOverwritten],
            pinned: Some((20_233_637, 93_680_815)),
            ..base("deep-crash", "a leader that crashes with entries half written, and its successor")
        },
        Configuration {
            set: Set::Ci,
            sync: DiskSync::Explicit,
            budgets: Counts::of(&[(Proposals, 1), (Transfers, 1), (TransferTimers, 1), (Crashes, 1)]),
            shows: &[TransferCompleted, UnsyncedWritesLost],
            ..base("transfer-crash", "a crash between any two writes of a transfer")
        },
        Configuration {
            set: Set::Ci,
            sync: DiskSync::Explicit,
            budgets: Counts::of(&[
                (Proposals, 1),
                (Changes, 1),
                (Crashes, 1),
                (Staleness, 1),
                (Elections, 1),
            ]),
            changes: &[&[MemberChange::Remove(NodeId(0))]],
            prelude: vec![Action::Propose { at: 0 }],
            shows: &[JointLeaderOutside, LeaderRemoved, LeaderElected, UnsyncedWritesLost],
            ..base("removal-crash", "a crash between any two writes while a leader removes itself")
        },
        Configuration {
            set: Set::Ci,
            replicas: 4,
            sync: DiskSync::Explicit,
            budgets: Counts::of(&[(Proposals, 1), (Changes, 2), (Crashes, 1)]),
            changes: &[&[MemberChange::AddLearner(NodeId(3))], &[MemberChange::Promote(NodeId(3))]],
            prelude: vec![Action::Propose { at: 0 }],
            shows: &[LearnerPromoted, UnsyncedWritesLost],
            ..base("learner-crash", "a crash between any two writes while a learner becomes a voter")
        },
        Configuration {
            set: Set::Ci,
            budgets: Counts::of(&[
                (Proposals, 2),
                (Retries, 1),
                (Compactions, 1),
                (Partitions, 1),
                (Staleness, 1),
                (Elections, 1),
            ]),
            commands: SESSION,
            limits: Limits { chunk_bytes_max: CHUNK_BYTES, ..Limits::default() },
            prelude: vec![Action::Propose { at: 0 }],
            shows: &[RetryAnswered, SnapshotInstalled, LeaderElected],
            ..base("session-snapshot", "a request of a session is sent again to whom a snapshot made equal")
        },
        Configuration {
            sync: DiskSync::Explicit,
            budgets: Counts::of(&[
                (Proposals, 1),
                (Transfers, 1),
                (TransferTimers, 1),
                (Crashes, 1),
                (Staleness, 1),
                (Elections, 1),
            ]),
            shows: &[TransferCompleted, UnsyncedWritesLost, SuffixOverwritten],
            ..base("deep-transfer-crash", "a crash in a transfer, and somebody else's campaign")
        },
        Configuration {
            budgets: Counts::of(&[
                (Proposals, 2),
                (Transfers, 2),
                (TransferTimers, 1),
                (Partitions, 1),
                (Staleness, 1),
                (Elections, 1),
            ]),
            shows: &[TransferCompleted, TwoLeadersOfDifferentTerms, SuffixOverwritten],
            ..base("deep-transfer", "leadership is handed on and back, and somebody else campaigns")
        },
        Configuration {
            budgets: Counts::of(&[
                (Proposals, 2),
                (Changes, 1),
                (Partitions, 2),
                (Heartbeats, 1),
                (Staleness, 1),
                (Elections, 1),
            ]),
            changes: &[&[MemberChange::Remove(NodeId(0))]],
            shows: &[JointLeaderOutside, LeaderRemoved, LeaderElected, SuffixOverwritten],
            ..base(
                "deep-removal",
                "a leader that removes itself with proposals under way, and links that fail twice",
            )
        },
        Configuration {
            sync: DiskSync::Explicit,
            budgets: Counts::of(&[
                (Proposals, 1),
                (Changes, 1),
                (Crashes, 1),
                (Staleness, 1),
                (Elections, 1),
            ]),
            changes: &[&[MemberChange::Remove(NodeId(0))]],
            shows: &[JointLeaderOutside, LeaderRemoved, LeaderElected, UnsyncedWritesLost, SuffixOverwritten],
            ..base("deep-removal-crash", "a crash while a leader with a proposal under way removes itself")
        },
        Configuration {
            replicas: 4,
            sync: DiskSync::Explicit,
            budgets: Counts::of(&[
                (Proposals, 1),
                (Changes, 2),
                (Crashes, 1),
                (Staleness, 1),
                (Elections, 1),
            ]),
            changes: &[
                &[MemberChange::AddLearner(NodeId(3))],
                &[MemberChange::Promote(NodeId(3)), MemberChange::Remove(NodeId(0))],
            ],
            limits: Limits { eager_commit: false, ..Limits::default() },
            prelude: vec![Action::Propose { at: 0 }, Action::Change { at: 0 }],
            shows: &[JointLeaderOutside, LearnerPromoted, LeaderRemoved, LeaderElected, UnsyncedWritesLost],
            ..base(
                "deep-joint-crash",
                "one voter for another in one change, with a crash and an election in it",
            )
        },
        Configuration {
            sync: DiskSync::Explicit,
            budgets: Counts::of(&[
                (Proposals, 2),
                (Retries, 1),
                (Compactions, 1),
                (Crashes, 1),
                (Heartbeats, 1),
            ]),
            commands: SESSION,
            limits: Limits { chunk_bytes_max: CHUNK_BYTES, ..Limits::default() },
            prelude: vec![Action::Propose { at: 0 }],
            shows: &[RetryAnswered, UnsyncedWritesLost, RestartedFromSnapshot],
            ..base("deep-session-crash", "a session whose requests are in a snapshot, and a crash")
        },
        Configuration {
            ask_anybody: true,
            budgets: Counts::of(&[
                (Proposals, 1),
                (Reads, 2),
                (Partitions, 1),
                (Staleness, 1),
                (Elections, 1),
            ]),
            prelude: vec![Action::Propose { at: 0 }],
            shows: &[ReadServed, ReadServedAtFollower, ReadServedInALaterTerm, StaleReadRefused],
            ..base(
                "deep-follower-reads",
                "two reads at followers, forwarded to a deposed leader or to its successor",
            )
        },
        Configuration {
            symmetry: true,
            budgets: Counts::of(&[(Crashes, 3), (Elections, 4)]),
            prelude: all_restarted(3),
            shows: &[LeaderElected, SplitVote, TwoLeadersOfDifferentTerms],
            ..base("deep-symmetric-election", "four campaigns after a cold start")
        },
        Configuration {
            symmetry: true,
            sync: DiskSync::Explicit,
            budgets: Counts::of(&[(Crashes, 5), (Elections, 2)]),
            prelude: all_restarted(3),
            shows: &[LeaderElected, SplitVote, UnsyncedWritesLost, VoteKeptOverACrash],
            ..base("deep-vote-crash", "two campaigns, and two crashes between any two writes of them")
        },
        Configuration {
            set: Set::Ci,
            symmetry: true,
            budgets: Counts::of(&[(Crashes, 3), (Elections, 3), (Proposals, 1)]),
            prelude: all_restarted(3),
            shows: &[LeaderElected, SplitVote, TwoLeadersOfDifferentTerms, ClientIsAnswered],
            ..base("symmetric-election", "three campaigns and a proposal after a cold start, by anybody")
        },
        Configuration {
            set: Set::Quick,
            symmetry: true,
            budgets: Counts::of(&[(Crashes, 3), (Elections, 2)]),
            prelude: all_restarted(3),
            shows: &[LeaderElected, SplitVote, TwoLeadersOfDifferentTerms],
            converge_every: 16,
            ..base("quick-symmetry", "two campaigns after a cold start, whoever campaigns")
        },
        Configuration {
            set: Set::Ci,
            symmetry: true,
            budgets: Counts::of(&[(Crashes, 3), (Elections, 3)]),
            prelude: all_restarted(3),
            shows: &[LeaderElected, SplitVote, TwoLeadersOfDifferentTerms],
            ..base("test-election-3", "x")
        },
        Configuration {
            set: Set::Ci,
            replicas: 4,
            founders: 4,
            symmetry: true,
            budgets: Counts::of(&[(Crashes, 4), (Elections, 2)]),
            prelude: all_restarted(4),
            shows: &[LeaderElected, SplitVote],
            ..base("test-election-4", "x")
        },
        Configuration {
            set: Set::Ci,
            symmetry: true,
            sync: DiskSync::Explicit,
            budgets: Counts::of(&[(Crashes, 4), (Elections, 2)]),
            prelude: all_restarted(3),
            shows: &[LeaderElected, SplitVote, UnsyncedWritesLost, VoteKeptOverACrash],
            ..base("test-vote-crash", "x")
        },
        Configuration {
            set: Set::Ci,
            symmetry: true,
            network: Network::Unordered,
            budgets: Counts::of(&[(Crashes, 3), (Elections, 2)]),
            prelude: all_restarted(3),
            shows: &[LeaderElected, SplitVote, StaleMessage],
            ..base("test-late-votes", "x")
        },
    ]
}
