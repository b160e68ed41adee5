//! Five members, and more of everything than can be exhausted: for random walks.

use super::*;

/// A session, two requests of it, and a letter between them and another.
const SESSION: &[Command] = &[OPEN_SESSION, tagged(1), 1, tagged(2), 2];

/// Two more voters, the first leader leaves, and the two are demoted before they become voters again. There are
/// always two voters at least: one alone would commit the end of a joint phase within the step that commits its
/// beginning, and under whose majority could not be told.
const GROW_AND_SHRINK: &[&[MemberChange]] = &[
    &[MemberChange::AddLearner(NodeId(3)), MemberChange::AddLearner(NodeId(4))],
    &[MemberChange::Promote(NodeId(3)), MemberChange::Promote(NodeId(4))],
    &[MemberChange::Remove(NodeId(0))],
];

/// Five members, and more of everything.
pub(super) fn simulation() -> Vec<Configuration> {
    let base = |name, reason| Configuration {
        set: Set::Simulation,
        replicas: 5,
        founders: 5,
        converge_every: 1024,
        ..Configuration::base(name, reason)
    };
    vec![
        Configuration {
            sync: DiskSync::Explicit,
            budgets: Counts::of(&[
                (Proposals, 4),
                (Elections, 6),
                (Staleness, 4),
                (Heartbeats, 3),
                (QuorumChecks, 2),
                (Crashes, 11),
            ]),
            prelude: all_restarted(5),
            shows: &[
                LeaderElected,
                SplitVote,
                TwoLeadersOfDifferentTerms,
                UnsyncedWritesLost,
                VoteKeptOverACrash,
                SuffixOverwritten,
                EarlierTermCommitted,
            ],
            ..base("five-elections", "leaders that crash with entries half written, one after the other")
        },
        Configuration {
            budgets: Counts::of(&[
                (Proposals, 6),
                (Partitions, 4),
                (Cuts, 4),
                (Heartbeats, 6),
                (Elections, 5),
                (Staleness, 6),
                (QuorumChecks, 3),
            ]),
            shows: &[
                LeaderElected,
                TwoLeadersOfDifferentTerms,
                SuffixOverwritten,
                EarlierTermCommitted,
                AppendRefused,
                DeposedByCheckQuorum,
                PreVoteIgnored,
            ],
            ..base("five-cuts", "partitions of two and links that fail in one direction, over several terms")
        },
        Configuration {
            founders: 3,
            sync: DiskSync::Explicit,
            budgets: Counts::of(&[
                (Proposals, 4),
                (Changes, 8),
                (Partitions, 2),
                (Crashes, 2),
                (Heartbeats, 4),
                (Elections, 5),
                (Staleness, 6),
                (QuorumChecks, 2),
            ]),
            changes: GROW_AND_SHRINK,
            shows: &[
                LearnerPromoted,
                JointLeaderOutside,
                LeaderRemoved,
                LeaderElected,
                TwoLeadersOfDifferentTerms,
                SuffixOverwritten,
            ],
            ..base("five-members", "from three voters to five and back, in joint steps, while members fail")
        },
        Configuration {
            ask_anybody: true,
            budgets: Counts::of(&[
                (Proposals, 5),
                (Retries, 3),
                (Reads, 4),
                (Partitions, 3),
                (Crashes, 2),
                (Heartbeats, 3),
                (Elections, 4),
                (Staleness, 6),
                (QuorumChecks, 2),
            ]),
            commands: SESSION,
            prelude: vec![Action::Propose { at: 0 }],
            shows: &[
                ReadServed,
                ReadServedAtFollower,
                ReadServedInALaterTerm,
                StaleReadRefused,
                RetryAnswered,
                ProposalLost,
            ],
            ..base("five-clients", "reads and retries anywhere, while leaders come and go")
        },
        Configuration {
            sync: DiskSync::Explicit,
            limits: Limits { chunk_bytes_max: CHUNK_BYTES, ..Limits::default() },
            budgets: Counts::of(&[
                (Proposals, 5),
                (Compactions, 4),
                (Partitions, 3),
                (Crashes, 3),
                (Heartbeats, 4),
                (Elections, 4),
                (Staleness, 6),
                (QuorumChecks, 2),
            ]),
            shows: &[ChunkStaged, SnapshotInstalled, RestartedFromSnapshot, SuffixOverwritten],
            ..base(
                "five-snapshots",
                "followers that missed what is compacted, over several terms and crashes",
            )
        },
        Configuration {
            network: Network::Unordered,
            budgets: Counts::of(&[
                (Proposals, 4),
                (Duplicates, 6),
                (Drops, 6),
                (Heartbeats, 4),
                (Elections, 5),
                (Staleness, 6),
                (QuorumChecks, 2),
                (Transfers, 1),
                (TransferTimers, 1),
            ]),
            shows: &[LeaderElected, StaleMessage, SuffixOverwritten, AppendRefused, TransferCompleted],
            ..base("five-disorder", "messages that are doubled, lost, and overtake each other over terms")
        },
    ]
}
