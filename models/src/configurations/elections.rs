//! Over terms: who leads, and what a crash leaves.

use super::*;

/// Over terms: who leads, and what a crash leaves.
pub(super) fn elections() -> Vec<Configuration> {
    let base = Configuration::base;
    vec![
        Configuration {
            set: Set::Quick,
            budgets: Counts::of(&[(Crashes, 3), (Elections, 2)]),
            prelude: all_restarted(3),
            shows: &[LeaderElected, SplitVote, TwoLeadersOfDifferentTerms],
            converge_every: 16,
            pinned: Some((107_566, 345_009)),
            ..base("quick-election", "two campaigns after a cold start")
        },
        Configuration {
            set: Set::Quick,
            budgets: Counts::of(&[(Partitions, 1), (Staleness, 1), (Elections, 1), (QuorumChecks, 1)]),
            shows: &[PreVoteIgnored, DeposedByCheckQuorum, TwoLeadersOfDifferentTerms],
            converge_every: 16,
            pinned: Some((4_609, 11_097)),
            one_stays_deaf: true,
            ..base("quick-pre-vote", "a leader that is cut off, and its successor")
        },
        Configuration {
            set: Set::Deep,
            budgets: Counts::of(&[(Crashes, 3), (Elections, 3), (Proposals, 1)]),
            prelude: all_restarted(3),
            shows: &[LeaderElected, SplitVote, TwoLeadersOfDifferentTerms, ClientIsAnswered],
            pinned: Some((48_014_257, 184_821_465)),
            ..base("deep-election", "three campaigns and a proposal after a cold start")
        },
        Configuration {
            budgets: Counts::of(&[(Crashes, 3), (Elections, 3)]),
            prelude: all_restarted(3),
            shows: &[LeaderElected, SplitVote, TwoLeadersOfDifferentTerms],
            pinned: Some((5_192_677, 18_310_797)),
            ..base("election-3", "three campaigns after a cold start: split votes, a leader deposed")
        },
        Configuration {
            replicas: 4,
            founders: 4,
            budgets: Counts::of(&[(Crashes, 4), (Elections, 2)]),
            prelude: all_restarted(4),
            shows: &[LeaderElected, SplitVote],
            pinned: Some((4_105_199, 18_456_800)),
            ..base("election-4", "elections among an even number of voters")
        },
        Configuration {
            budgets: Counts::of(&[
                (Proposals, 1),
                (Partitions, 1),
                (Staleness, 1),
                (Elections, 1),
                (QuorumChecks, 1),
                (Heartbeats, 1),
            ]),
            shows: &[
                PreVoteIgnored,
                DeposedByCheckQuorum,
                TwoLeadersOfDifferentTerms,
                SuffixOverwritten,
                EarlierTermCommitted,
            ],
            pinned: Some((2_789_231, 11_468_320)),
            one_stays_deaf: true,
            ..base(
                "pre-vote",
                "a leader that is cut off, its successor, and a follower that disturbs neither",
            )
        },
        Configuration {
            set: Set::Quick,
            sync: DiskSync::Explicit,
            budgets: Counts::of(&[(Crashes, 4), (Elections, 1), (Proposals, 1)]),
            prelude: all_restarted(3),
            shows: &[LeaderElected, UnsyncedWritesLost, VoteKeptOverACrash],
            pinned: Some((129_972, 476_430)),
            ..base("crash", "a crash between any two writes of an election and a commit")
        },
        Configuration {
            set: Set::Quick,
            replicas: 2,
            founders: 2,
            budgets: Counts::of(&[
                (Proposals, 1),
                (Staleness, 1),
                (Elections, 2),
                (QuorumChecks, 1),
                (Cuts, 1),
            ]),
            shows: &[LeaderElected, DeposedByCheckQuorum],
            converge_every: 1,
            pinned: Some((4_586, 10_722)),
            ..base("two", "two voters, of whom each needs the other: one ahead in its log, one in its term")
        },
        Configuration {
            sync: DiskSync::Explicit,
            budgets: Counts::of(&[(Crashes, 4), (Elections, 2)]),
            prelude: all_restarted(3),
            shows: &[LeaderElected, SplitVote, UnsyncedWritesLost, VoteKeptOverACrash],
            pinned: Some((5_435_185, 24_128_103)),
            ..base("vote-crash", "two campaigns, and a crash between any two writes of them")
        },
        Configuration {
            set: Set::Quick,
            sync: DiskSync::Explicit,
            budgets: Counts::of(&[
                (Proposals, 3),
                (Partitions, 1),
                (Staleness, 1),
                (Elections, 1),
                (Heartbeats, 1),
                (Crashes, 1),
            ]),
            prelude: vec![
                Action::Partition { id: 0 },
                Action::Propose { at: 0 },
                Action::Propose { at: 0 },
                Action::Fire { id: 2, timer: Timer::LeaderFresh },
                Action::Fire { id: 1, timer: Timer::Election },
                Action::Heal,
            ],
            shows: &[SuffixOverwritten, UnsyncedWritesLost],
            pinned: Some((8_751, 26_418)),
            ..base("quick-overwrite", "a crash while a deposed leader's suffix is overwritten")
        },
        Configuration {
            set: Set::Quick,
            symmetry: true,
            budgets: Counts::of(&[(Crashes, 3), (Elections, 2)]),
            prelude: all_restarted(3),
            shows: &[LeaderElected, SplitVote, TwoLeadersOfDifferentTerms],
            converge_every: 16,
            pinned: Some((17_951, 57_575)),
            ..base("quick-symmetry", "two campaigns after a cold start, whoever campaigns")
        },
        Configuration {
            symmetry: true,
            budgets: Counts::of(&[(Crashes, 3), (Elections, 3), (Proposals, 1)]),
            prelude: all_restarted(3),
            shows: &[LeaderElected, SplitVote, TwoLeadersOfDifferentTerms, ClientIsAnswered],
            pinned: Some((8_002_792, 30_805_203)),
            ..base(
                "symmetric-election",
                "three campaigns and a proposal after a cold start, whoever campaigns",
            )
        },
        Configuration {
            set: Set::Deep,
            replicas: 4,
            founders: 4,
            symmetry: true,
            budgets: Counts::of(&[(Crashes, 4), (Elections, 2), (Proposals, 1)]),
            prelude: all_restarted(4),
            shows: &[LeaderElected, SplitVote, TwoLeadersOfDifferentTerms],
            pinned: Some((4_251_209, 21_916_776)),
            ..base(
                "deep-election-4",
                "two campaigns and a proposal among an even number of voters, whoever campaigns",
            )
        },
    ]
}
