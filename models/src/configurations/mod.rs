//! The named configurations: what may happen how often, and why each exists.

mod clients;
mod deep;
mod elections;
mod members;
mod simulation;

use dkv::raft::{Limits, MemberChange, NodeId, RequestId, Timer};
use dkv::replica::SnapshotPolicy;

use crate::actions::Action;
use crate::budgets::{Budget, Counts};
use crate::letters::{Command, NESTED, OPEN_SESSION, tagged};
use crate::requests;
use crate::witnesses::Witness;

/// When a write is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DiskSync {
    /// Within the step that asked for it.
    Instant,
    /// When an action says so, any number of the oldest writes at a time.
    Explicit,
}

/// How links behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Network {
    /// In order; a cut loses what is on the link.
    Fifo,
    /// In any order.
    Unordered,
}

/// Which runs a configuration is part of; a larger set holds the smaller ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Set {
    /// Every test run: seconds.
    Quick,
    /// Every change that is merged: minutes.
    Ci,
    /// From time to time: much of an hour.
    Deep,
    /// Too large to be exhausted: for random walks, and no part of any other set.
    Simulation,
}

/// The number of the proposal by which convergence is shown to go on.
pub const LAST_PROPOSAL: u8 = 15;
/// What it proposes.
const LAST_COMMAND: Command = 26;

/// A named, bounded world around the shipped code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// Its name.
    pub name: &'static str,
    /// Why it exists.
    pub reason: &'static str,
    /// The smallest set that it is in.
    pub set: Set,
    /// How many replicas.
    pub replicas: u8,
    /// How many of them founded the cluster; the others wait with empty disks.
    pub founders: u8,
    /// When writes are durable.
    pub sync: DiskSync,
    /// How links behave.
    pub network: Network,
    /// Clients may ask any replica, which forwards to the leader; otherwise only a leader.
    pub ask_anybody: bool,
    /// What may happen how often.
    pub budgets: Counts,
    /// States that differ only in who is who count as one; all members must begin equal.
    pub symmetry: bool,
    /// What the proposals ask for, in order; letters if there are none.
    pub commands: &'static [Command],
    /// How many proposals a client asks for at once.
    pub together: u8,
    /// Convergence is judged once more for each member, as if it alone went on hearing nobody.
    pub one_stays_deaf: bool,
    /// What operators ask for, in order and from the start again.
    pub changes: &'static [&'static [MemberChange]],
    /// The limits of the replicas.
    pub limits: Limits,
    /// When replicas take snapshots by themselves.
    pub snapshots: SnapshotPolicy,
    /// What has happened when a run begins; after each of them everything has settled.
    pub prelude: Vec<Action>,
    /// What an exhausted run must have met.
    pub shows: &'static [Witness],
    /// Convergence is judged from every healed and quiet state, and from one of this many others; 0 judges none.
    pub converge_every: u64,
    /// The distinct states and the transitions of an exhausted run, as they were last reviewed.
    pub pinned: Option<(usize, usize)>,
}

impl Configuration {
    fn base(name: &'static str, reason: &'static str) -> Configuration {
        Configuration {
            name,
            reason,
            set: Set::Ci,
            replicas: 3,
            founders: 3,
            sync: DiskSync::Instant,
            network: Network::Fifo,
            ask_anybody: false,
            budgets: Counts::default(),
            symmetry: false,
            commands: &[],
            together: 1,
            one_stays_deaf: false,
            changes: &[],
            limits: Limits::default(),
            snapshots: SnapshotPolicy::default(),
            prelude: Vec::new(),
            shows: &[],
            converge_every: 32,
            pinned: None,
        }
    }

    /// What the `number`-th proposal asks for, from 1.
    #[must_use]
    pub fn command(&self, number: u8) -> Command {
        if number == LAST_PROPOSAL {
            return LAST_COMMAND;
        }
        self.commands.get(usize::from(number) - 1).copied().unwrap_or(number)
    }

    /// The command that a request asked for, if it was a proposal.
    #[must_use]
    pub fn asked(&self, request: RequestId) -> Option<Command> {
        let number = requests::proposal_of(request)?;
        Some(self.command(u8::try_from(number).expect("proposals are few")))
    }

    /// The position in the list of the `number`-th change that an operator asks for, from 0.
    #[must_use]
    pub fn change(&self, number: usize) -> usize {
        number % self.changes.len()
    }

    /// What a request asked to change, if it was about members.
    #[must_use]
    pub fn asked_change(&self, request: RequestId) -> &'static [MemberChange] {
        requests::change_of(request).map_or(&[], |number| self.changes[self.change(number)])
    }
}

use Budget::*;
use Witness::*;

const AFTER_A_CUT_WITH_TWO: &[Witness] = &[
    CommitsWhileOneIsCutOff,
    CutOffLeaderHasUncommittedTail,
    HealedWithEqualLogs,
    ClientIsAnswered,
    AppendRefused,
];
const AFTER_A_CUT_ON_DISKS: &[Witness] = &[
    CommitsWhileOneIsCutOff,
    CutOffLeaderHasUncommittedTail,
    HealedWithEqualLogs,
    ClientIsAnswered,
    CommittedBeforeTheLeaderSynced,
];
const AFTER_A_CUT_WITH_TWO_ON_DISKS: &[Witness] = &[
    CommitsWhileOneIsCutOff,
    CutOffLeaderHasUncommittedTail,
    HealedWithEqualLogs,
    ClientIsAnswered,
    AppendRefused,
    CommittedBeforeTheLeaderSynced,
];

/// A session, and two requests of it.
const SESSION: &[Command] = &[OPEN_SESSION, tagged(1), tagged(2)];

/// Every member was stopped and started: nobody leads, and no leader is fresh.
fn all_restarted(replicas: usize) -> Vec<Action> {
    let crashes = (0..replicas).map(|id| Action::Crash { id, keep: 0 });
    crashes.chain((0..replicas).map(|id| Action::Restart { id })).collect()
}

/// Every configuration, smallest first.
#[must_use]
pub fn all() -> Vec<Configuration> {
    let mut all = replication();
    all.extend(elections::elections());
    all.extend(clients::clients());
    all.extend(snapshots());
    all.extend(members::members());
    all.extend(disorder());
    all.extend(deep::deep());
    all.extend(simulation::simulation());
    all
}

/// In one term: what happens to entries.
fn replication() -> Vec<Configuration> {
    // From every state: this is what replication is for.
    let base = |name, reason| Configuration { converge_every: 1, ..Configuration::base(name, reason) };
    vec![
        Configuration {
            set: Set::Quick,
            budgets: Counts::of(&[(Proposals, 2), (Partitions, 1), (Heartbeats, 1)]),
            shows: AFTER_A_CUT_WITH_TWO,
            pinned: Some((27_405, 92_254)),
            one_stays_deaf: true,
            ..base("quick", "propose, partition, heal in seconds; convergence from every state")
        },
        Configuration {
            set: Set::Quick,
            sync: DiskSync::Explicit,
            budgets: Counts::of(&[(Proposals, 1), (Partitions, 1), (Heartbeats, 1)]),
            shows: AFTER_A_CUT_ON_DISKS,
            pinned: Some((5_554, 18_716)),
            ..base("quick-disk", "the same with disks that take their time")
        },
        Configuration {
            budgets: Counts::of(&[(Proposals, 2), (Partitions, 2), (Heartbeats, 2)]),
            shows: AFTER_A_CUT_WITH_TWO,
            pinned: Some((546_559, 2_423_916)),
            one_stays_deaf: true,
            ..base("replication", "partitions that overlap, follow each other, and lose answers")
        },
        Configuration {
            sync: DiskSync::Explicit,
            budgets: Counts::of(&[(Proposals, 2), (Partitions, 1), (Heartbeats, 1)]),
            shows: AFTER_A_CUT_WITH_TWO_ON_DISKS,
            pinned: Some((211_733, 922_951)),
            ..base("disk", "acknowledgement and commit against every order of disk completions")
        },
        Configuration {
            budgets: Counts::of(&[(Proposals, 2), (Cuts, 2), (Heartbeats, 2)]),
            shows: AFTER_A_CUT_WITH_TWO,
            pinned: Some((2_910_932, 14_204_114)),
            ..base("one-way", "links that fail in one direction: heard and not hearing")
        },
        Configuration {
            ask_anybody: true,
            budgets: Counts::of(&[(Proposals, 2), (Partitions, 1), (Heartbeats, 1)]),
            shows: AFTER_A_CUT_WITH_TWO,
            pinned: Some((561_279, 1_845_746)),
            ..base("forwarding", "clients at followers: forwarded requests and answers that get lost")
        },
        Configuration {
            replicas: 4,
            founders: 4,
            sync: DiskSync::Explicit,
            budgets: Counts::of(&[(Proposals, 1), (Partitions, 1), (Heartbeats, 1)]),
            shows: AFTER_A_CUT_ON_DISKS,
            pinned: Some((102_253, 465_349)),
            ..base("four", "an even number of voters: half is not a majority")
        },
    ]
}

/// A log that is compacted, and followers that need what is gone.
fn snapshots() -> Vec<Configuration> {
    let base = |name, reason| Configuration {
        limits: Limits { chunk_bytes_max: CHUNK_BYTES, ..Limits::default() },
        ..Configuration::base(name, reason)
    };
    vec![
        Configuration {
            set: Set::Quick,
            budgets: Counts::of(&[(Proposals, 1), (Partitions, 1), (Compactions, 1), (Heartbeats, 1)]),
            shows: &[SnapshotInstalled, ChunkStaged],
            pinned: Some((4_851, 18_722)),
            ..base("quick-snapshot", "a follower that was cut off gets a snapshot in chunks")
        },
        Configuration {
            budgets: Counts::of(&[
                (Proposals, 1),
                (Partitions, 1),
                (Staleness, 1),
                (Elections, 1),
                (Compactions, 1),
                (Heartbeats, 1),
            ]),
            shows: &[SnapshotInstalled, SnapshotOverConflict, ChunkStaged],
            pinned: Some((2_045_450, 9_463_913)),
            ..base("snapshot", "a snapshot for a deposed leader, whose log conflicts with it")
        },
        Configuration {
            sync: DiskSync::Explicit,
            budgets: Counts::of(&[(Proposals, 2), (Compactions, 1), (Crashes, 1), (Heartbeats, 1)]),
            shows: &[RestartedFromSnapshot, UnsyncedWritesLost],
            pinned: Some((4_504_745, 21_078_794)),
            ..base("snapshot-crash", "a crash between a snapshot, its mark, and the entries behind it")
        },
        Configuration {
            budgets: Counts::of(&[(Proposals, 2), (Partitions, 1), (Staleness, 1), (Elections, 1)]),
            snapshots: SnapshotPolicy { every_entries: 1, keep_entries: 1 },
            shows: &[KeptEntrySent, SnapshotInstalled, LeaderElected],
            pinned: Some((570_267, 2_112_369)),
            ..base(
                "kept-entries",
                "a log that keeps an entry before each snapshot, for whoever lags a little",
            )
        },
        Configuration {
            replicas: 4,
            budgets: Counts::of(&[(Changes, 1), (Compactions, 1), (Crashes, 1)]),
            changes: &[&[MemberChange::AddLearner(NodeId(3)), MemberChange::Remove(NodeId(2))]],
            prelude: vec![Action::Propose { at: 0 }],
            shows: &[RestartedFromSnapshot, SnapshotInstalled],
            pinned: Some((5_391_535, 25_775_196)),
            ..base("snapshot-joint", "a snapshot in the middle of a change of members, and a crash after it")
        },
    ]
}

/// A snapshot of these models takes two chunks.
const CHUNK_BYTES: u32 = 100;

/// Messages that are lost, doubled, and overtake each other.
fn disorder() -> Vec<Configuration> {
    let base =
        |name, reason| Configuration { network: Network::Unordered, ..Configuration::base(name, reason) };
    vec![
        Configuration {
            set: Set::Quick,
            budgets: Counts::of(&[(Proposals, 1), (Duplicates, 1), (Drops, 1), (Heartbeats, 1)]),
            shows: &[ClientIsAnswered],
            converge_every: 16,
            pinned: Some((15_108, 72_108)),
            ..base("quick-duplicates", "one message twice, one never")
        },
        Configuration {
            set: Set::Quick,
            replicas: 2,
            founders: 2,
            sync: DiskSync::Explicit,
            budgets: Counts::of(&[(Proposals, 2), (Duplicates, 1), (Heartbeats, 1)]),
            shows: &[ClientIsAnswered],
            converge_every: 1,
            pinned: Some((7_100, 24_814)),
            ..base(
                "quick-late-answers",
                "answers that overtake each other, and what the leader knows by the last",
            )
        },
        Configuration {
            ask_anybody: true,
            budgets: Counts::of(&[(Proposals, 2), (Reads, 1), (Duplicates, 1)]),
            prelude: vec![Action::Propose { at: 0 }],
            shows: &[ReadServed, ReadServedAtFollower],
            pinned: Some((3_299_150, 18_363_425)),
            ..base("disorderly-reads", "reads whose confirmations come twice, or late, or ahead of others")
        },
        Configuration {
            budgets: Counts::of(&[(Proposals, 2), (Duplicates, 1), (Drops, 1), (Heartbeats, 1)]),
            shows: &[ClientIsAnswered, AppendRefused],
            pinned: Some((4_658_870, 32_341_853)),
            ..base("duplicates", "appends and answers that are doubled, lost, and overtake each other")
        },
        Configuration {
            ask_anybody: true,
            budgets: Counts::of(&[(Proposals, 1), (Duplicates, 2), (Heartbeats, 1)]),
            shows: &[ClientIsAnswered],
            pinned: Some((145_732, 763_131)),
            ..base("doubled-forwards", "a forwarded request that comes twice is proposed once")
        },
        Configuration {
            budgets: Counts::of(&[(Crashes, 3), (Elections, 2)]),
            prelude: all_restarted(3),
            shows: &[LeaderElected, SplitVote, StaleMessage],
            pinned: Some((12_566_821, 69_667_449)),
            ..base("late-votes", "votes that come in the wrong term")
        },
        Configuration {
            set: Set::Deep,
            replicas: 4,
            founders: 4,
            network: Network::Fifo,
            budgets: Counts::of(&[(Crashes, 4), (Elections, 2), (Duplicates, 1)]),
            prelude: all_restarted(4),
            shows: &[LeaderElected, SplitVote],
            pinned: Some((57_765_769, 302_089_660)),
            ..base("double-votes", "votes that come twice among an even number of voters")
        },
    ]
}

/// The configuration of a name.
#[must_use]
pub fn named(name: &str) -> Option<Configuration> {
    all().into_iter().find(|configuration| configuration.name == name)
}

/// The configurations of a set.
#[must_use]
pub fn of_set(set: Set) -> Vec<Configuration> {
    all().into_iter().filter(|configuration| configuration.set <= set).collect()
}
