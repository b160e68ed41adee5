//! More of the same at once: what only the deep set has.

use super::*;

/// More of the same at once.
pub(super) fn deep() -> Vec<Configuration> {
    let base = |name, reason| Configuration { set: Set::Deep, ..Configuration::base(name, reason) };
    vec![
        Configuration {
            budgets: Counts::of(&[(Proposals, 2), (Cuts, 3), (Heartbeats, 2)]),
            shows: AFTER_A_CUT_WITH_TWO,
            pinned: Some((6_890_803, 38_099_235)),
            ..base("deep-one-way", "three links that fail in one direction each")
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
            pinned: Some((41_834_147, 188_337_480)),
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
            sync: DiskSync::Explicit,
            budgets: Counts::of(&[
                (Proposals, 1),
                (Transfers, 1),
                (Crashes, 1),
                (Staleness, 1),
                (Elections, 1),
            ]),
            shows: &[TransferCompleted, UnsyncedWritesLost, SuffixOverwritten],
            pinned: Some((200_963_762, 954_920_206)),
            ..base("deep-transfer-crash", "a crash in a transfer, and somebody else's campaign")
        },
        Configuration {
            budgets: Counts::of(&[
                (Proposals, 2),
                (Changes, 1),
                (Partitions, 2),
                (Staleness, 1),
                (Elections, 1),
            ]),
            changes: &[&[MemberChange::Remove(NodeId(0))]],
            shows: &[JointLeaderOutside, LeaderRemoved, LeaderElected, SuffixOverwritten],
            pinned: Some((52_309_778, 278_353_183)),
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
            prelude: vec![Action::Propose { at: 0 }],
            shows: &[JointLeaderOutside, LeaderRemoved, LeaderElected, UnsyncedWritesLost],
            pinned: Some((10_690_703, 57_286_350)),
            ..base(
                "deep-removal-crash",
                "a crash, and somebody else's campaign, while the founding leader removes itself",
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
            pinned: Some((7_864_233, 37_620_587)),
            ..base("deep-session-crash", "a session whose requests are in a snapshot, and a crash")
        },
        Configuration {
            replicas: 4,
            sync: DiskSync::Explicit,
            budgets: Counts::of(&[(Changes, 1), (Compactions, 1), (Crashes, 1)]),
            changes: &[&[MemberChange::AddLearner(NodeId(3)), MemberChange::Remove(NodeId(2))]],
            limits: Limits { chunk_bytes_max: CHUNK_BYTES, ..Limits::default() },
            prelude: vec![Action::Propose { at: 0 }],
            shows: &[RestartedFromSnapshot, SnapshotInstalled, UnsyncedWritesLost],
            pinned: Some((28_592_440, 151_647_766)),
            ..base(
                "deep-snapshot-joint",
                "a snapshot in the middle of a change of members, and a crash before or after it is durable",
            )
        },
    ]
}
