//! What clients are promised beyond a proposal.

use super::*;

/// The least of everything.
const NARROW: Limits = Limits {
    append_entries_max: 1,
    append_bytes_max: 1,
    inflight_appends_max: 1,
    inflight_bytes_max: 1,
    uncommitted_entries_max: 1,
    waiting_reads_max: 1,
    chunk_bytes_max: CHUNK_BYTES,
    eager_commit: true,
};

/// What clients are promised beyond a proposal: reads, and retries that take effect once.
pub(super) fn clients() -> Vec<Configuration> {
    let base = Configuration::base;
    vec![
        Configuration {
            set: Set::Quick,
            budgets: Counts::of(&[(Proposals, 1), (Reads, 1), (Heartbeats, 1), (Partitions, 1)]),
            shows: &[ReadServed],
            pinned: Some((171_549, 634_708)),
            ..base("quick-read", "a read at a founding leader that may be cut off")
        },
        Configuration {
            budgets: Counts::of(&[
                (Proposals, 2),
                (Reads, 1),
                (Partitions, 1),
                (Staleness, 1),
                (Elections, 1),
            ]),
            prelude: vec![Action::Propose { at: 0 }],
            shows: &[ReadServed, ReadServedInALaterTerm, StaleReadRefused, TwoLeadersOfDifferentTerms],
            pinned: Some((736_880, 2_761_483)),
            ..base("reads", "reads and a write at a deposed leader and at its successor")
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
            prelude: vec![Action::Propose { at: 0 }],
            shows: &[ReadServed, ReadServedAtFollower, ReadServedInALaterTerm, StaleReadRefused],
            pinned: Some((35_165, 106_890)),
            ..base("follower-reads", "reads at followers, forwarded to a deposed leader or to its successor")
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
            pinned: Some((793_973, 2_817_145)),
            ..base("two-reads", "two reads anywhere, forwarded to a deposed leader or to its successor")
        },
        Configuration {
            ask_anybody: true,
            budgets: Counts::of(&[
                (Proposals, 2),
                (Retries, 1),
                (Partitions, 1),
                (Staleness, 1),
                (Elections, 1),
            ]),
            commands: SESSION,
            prelude: vec![Action::Propose { at: 0 }],
            shows: &[RetryAnswered, LeaderElected, ProposalLost],
            pinned: Some((11_611_686, 43_500_787)),
            ..base("sessions", "a request that is sent again, to another leader too, takes effect once")
        },
        Configuration {
            set: Set::Quick,
            budgets: Counts::of(&[(Proposals, 2), (Partitions, 1)]),
            commands: &[NESTED, 1],
            shows: &[ClientIsAnswered],
            pinned: Some((1_576, 4_262)),
            ..base(
                "quick-transaction",
                "a transaction within a transaction, whose compares see neither's steps",
            )
        },
        Configuration {
            ask_anybody: true,
            budgets: Counts::of(&[
                (Proposals, 1),
                (Duplicates, 1),
                (QuorumChecks, 1),
                (Staleness, 1),
                (Elections, 1),
            ]),
            shows: &[ClientIsAnswered, LeaderElected, DeposedByCheckQuorum],
            pinned: Some((1_464_291, 5_242_474)),
            ..base("stale-forwards", "a copy of a forwarded request meets a leader that was deposed")
        },
        Configuration {
            set: Set::Quick,
            budgets: Counts::of(&[(Proposals, 2), (Retries, 1), (Partitions, 1)]),
            commands: SESSION,
            prelude: vec![Action::Propose { at: 0 }],
            shows: &[RetryAnswered],
            converge_every: 1,
            pinned: Some((2_336, 5_878)),
            ..base("quick-session", "a request that is sent again takes effect once")
        },
        Configuration {
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
            pinned: Some((5_804_664, 23_585_246)),
            ..base("session-snapshot", "a request is sent again to whom a snapshot told of its session")
        },
        Configuration {
            sync: DiskSync::Explicit,
            budgets: Counts::of(&[(Proposals, 1), (Reads, 1), (Heartbeats, 1)]),
            shows: &[ReadServed, CommittedBeforeTheLeaderSynced],
            pinned: Some((434_514, 1_681_217)),
            ..base("read-disk", "reads while the leader has committed what is not on its own disk yet")
        },
        Configuration {
            set: Set::Quick,
            ask_anybody: true,
            budgets: Counts::of(&[(Proposals, 1), (Reads, 1), (GiveUps, 1), (Partitions, 1)]),
            shows: &[ClientIsAnswered, ReadServedAtFollower],
            pinned: Some((349_305, 1_321_746)),
            ..base("quick-give-up", "a client that does not wait for its answer, at a follower too")
        },
        Configuration {
            ask_anybody: true,
            budgets: Counts::of(&[
                (Proposals, 1),
                (GiveUps, 1),
                (Partitions, 1),
                (Staleness, 1),
                (Elections, 1),
            ]),
            shows: &[CommittedThoughGivenUp, ProposalLost, LeaderElected],
            pinned: Some((280_201, 957_236)),
            ..base("give-up", "clients that do not wait, while leadership changes")
        },
        Configuration {
            set: Set::Quick,
            ask_anybody: true,
            together: 2,
            budgets: Counts::of(&[(Proposals, 2), (Partitions, 1), (Heartbeats, 1)]),
            shows: &[SeveralInOneAppend, CommitsWhileOneIsCutOff],
            pinned: Some((72_155, 225_549)),
            ..base(
                "quick-together",
                "two commands in one request: together at a leader, one by one from elsewhere",
            )
        },
        Configuration {
            together: 2,
            budgets: Counts::of(&[(Proposals, 4), (Partitions, 1), (Staleness, 1), (Elections, 1)]),
            shows: &[SeveralInOneAppend, SuffixOverwritten, ProposalLost, TwoLeadersOfDifferentTerms],
            pinned: Some((526_589, 1_987_977)),
            ..base("together", "requests of two commands at a deposed leader and at its successor")
        },
        Configuration {
            set: Set::Quick,
            budgets: Counts::of(&[(Proposals, 2), (Reads, 2)]),
            limits: NARROW,
            shows: &[RefusedAsBusy, ReadServed],
            pinned: Some((247_456, 762_796)),
            ..base(
                "quick-narrow",
                "one entry in an append, one append in flight, one proposal and one read that wait",
            )
        },
        Configuration {
            budgets: Counts::of(&[(Proposals, 3), (Partitions, 1), (Staleness, 1), (Elections, 1)]),
            limits: Limits { uncommitted_entries_max: 3, ..NARROW },
            shows: &[SuffixOverwritten, LeaderElected, AppendRefused],
            pinned: Some((3_433_631, 14_834_891)),
            ..base("narrow", "a log that is sent entry by entry, to a deposed leader too")
        },
    ]
}
