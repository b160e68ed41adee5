//! Who takes part, and who leads.

use super::*;

/// Who takes part, and who leads, as operators want it.
pub(super) fn members() -> Vec<Configuration> {
    let base = Configuration::base;
    vec![
        Configuration {
            set: Set::Quick,
            replicas: 4,
            budgets: Counts::of(&[(Proposals, 1), (Changes, 2)]),
            changes: &[&[MemberChange::AddLearner(NodeId(3))], &[MemberChange::Promote(NodeId(3))]],
            prelude: vec![Action::Propose { at: 0 }],
            shows: &[LearnerPromoted],
            pinned: Some((25_379, 92_268)),
            ..base("quick-learner", "a new member learns the log and becomes a voter")
        },
        Configuration {
            replicas: 4,
            budgets: Counts::of(&[(Proposals, 1), (Changes, 2), (Partitions, 1), (Heartbeats, 1)]),
            changes: &[&[MemberChange::AddLearner(NodeId(3))], &[MemberChange::Promote(NodeId(3))]],
            prelude: vec![Action::Propose { at: 0 }],
            shows: &[LearnerPromoted, AppendRefused],
            pinned: Some((4_955_624, 23_964_014)),
            ..base("learner", "a new member learns the log and becomes a voter, and links fail")
        },
        Configuration {
            budgets: Counts::of(&[
                (Proposals, 1),
                (Changes, 1),
                (Partitions, 1),
                (Staleness, 1),
                (Elections, 1),
            ]),
            changes: &[&[MemberChange::Remove(NodeId(0))]],
            prelude: vec![Action::Propose { at: 0 }],
            shows: &[JointLeaderOutside, LeaderRemoved, LeaderElected],
            pinned: Some((284_027, 1_295_455)),
            ..base("removal", "a leader that removes itself, and is followed in the middle of it")
        },
        Configuration {
            replicas: 4,
            budgets: Counts::of(&[(Proposals, 1), (Changes, 2), (Staleness, 1), (Elections, 1)]),
            changes: &[
                &[MemberChange::AddLearner(NodeId(3))],
                &[MemberChange::Promote(NodeId(3)), MemberChange::Remove(NodeId(0))],
            ],
            // Fewer messages: a commit index is told with the next append.
            limits: Limits { eager_commit: false, ..Limits::default() },
            prelude: vec![Action::Propose { at: 0 }, Action::Change { at: 0 }],
            shows: &[JointLeaderOutside, LearnerPromoted, LeaderRemoved, LeaderElected],
            pinned: Some((1_757_059, 8_102_577)),
            ..base("joint", "one voter for another in one change, with an election in the middle")
        },
        Configuration {
            // One proposal, before the change: with disks that take no time, a commit in the joint phase and the
            // next one, behind it, would be one step, and under whose majority could not be told.
            replicas: 4,
            budgets: Counts::of(&[(Proposals, 1), (Changes, 2), (Staleness, 1), (Elections, 1)]),
            changes: &[
                &[MemberChange::AddLearner(NodeId(3))],
                &[
                    MemberChange::Promote(NodeId(3)),
                    MemberChange::Remove(NodeId(1)),
                    MemberChange::Remove(NodeId(2)),
                ],
            ],
            prelude: vec![
                Action::Propose { at: 0 },
                Action::Change { at: 0 },
                Action::Fire { id: 2, timer: Timer::LeaderFresh },
            ],
            shows: &[LeaderElected, TwoLeadersOfDifferentTerms],
            pinned: Some((705_621, 3_550_039)),
            ..base("replacement", "most voters leave in one change: only the joint phase ties old to new")
        },
        Configuration {
            replicas: 4,
            founders: 4,
            budgets: Counts::of(&[
                (Partitions, 1),
                (Changes, 2),
                (Staleness, 2),
                (Elections, 1),
                (QuorumChecks, 1),
            ]),
            changes: &[&[MemberChange::Remove(NodeId(3))], &[MemberChange::Remove(NodeId(0))]],
            prelude: vec![
                Action::Partition { id: 0 },
                Action::Change { at: 0 },
                Action::Fire { id: 2, timer: Timer::LeaderFresh },
                Action::Fire { id: 3, timer: Timer::LeaderFresh },
                Action::Fire { id: 0, timer: Timer::CheckQuorum },
                Action::Heal,
            ],
            shows: &[LeaderElected],
            pinned: Some((213_157, 850_747)),
            ..base(
                "two-removals",
                "two leaders remove one voter each, which single-step changes did not survive in 2015",
            )
        },
        Configuration {
            set: Set::Quick,
            budgets: Counts::of(&[(Transfers, 1), (TransferTimers, 1)]),
            shows: &[TransferCompleted],
            pinned: Some((419, 868)),
            ..base("quick-transfer", "leadership is handed over, or the leader gives that up")
        },
        Configuration {
            budgets: Counts::of(&[(Proposals, 2), (Transfers, 1), (TransferTimers, 1), (Partitions, 1)]),
            shows: &[TransferCompleted, TwoLeadersOfDifferentTerms, SuffixOverwritten],
            pinned: Some((403_235, 1_338_595)),
            ..base("transfer", "leadership is handed over while clients propose and links fail")
        },
        Configuration {
            sync: DiskSync::Explicit,
            budgets: Counts::of(&[(Proposals, 1), (Transfers, 1), (TransferTimers, 1), (Crashes, 1)]),
            shows: &[TransferCompleted, UnsyncedWritesLost],
            pinned: Some((619_393, 2_397_925)),
            ..base("transfer-crash", "a crash between any two writes of a transfer")
        },
        Configuration {
            sync: DiskSync::Explicit,
            budgets: Counts::of(&[(Changes, 1), (Crashes, 1), (Staleness, 1), (Elections, 1)]),
            changes: &[&[MemberChange::Remove(NodeId(0))]],
            shows: &[JointLeaderOutside, LeaderRemoved, LeaderElected, UnsyncedWritesLost],
            pinned: Some((604_743, 2_275_162)),
            ..base(
                "removal-crash",
                "a crash between any two writes while a leader's removal is asked for and made",
            )
        },
        Configuration {
            replicas: 4,
            sync: DiskSync::Explicit,
            budgets: Counts::of(&[(Proposals, 1), (Changes, 2), (Crashes, 1)]),
            changes: &[&[MemberChange::AddLearner(NodeId(3))], &[MemberChange::Promote(NodeId(3))]],
            prelude: vec![Action::Propose { at: 0 }],
            shows: &[LearnerPromoted, UnsyncedWritesLost],
            pinned: Some((2_076_010, 10_934_828)),
            ..base("learner-crash", "a crash between any two writes while a learner becomes a voter")
        },
        Configuration {
            budgets: Counts::of(&[(Reads, 1), (Changes, 1), (Staleness, 1), (Elections, 1)]),
            changes: &[&[MemberChange::Remove(NodeId(2))]],
            ask_anybody: true,
            prelude: vec![Action::Propose { at: 0 }],
            shows: &[ReadServed, ReadServedAtFollower, LeaderElected],
            pinned: Some((2_264_584, 8_975_054)),
            ..base("change-reads", "reads anywhere while a follower is removed: which majority confirms them")
        },
        Configuration {
            budgets: Counts::of(&[(Proposals, 1), (Changes, 1), (Transfers, 1), (TransferTimers, 1)]),
            changes: &[&[MemberChange::Remove(NodeId(1))]],
            shows: &[TransferCompleted],
            pinned: Some((236_845, 728_744)),
            ..base("change-transfer", "leadership is handed over, to who leaves too, in a change of members")
        },
    ]
}
