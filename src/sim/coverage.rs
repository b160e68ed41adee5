//! What a run did, counted: faults, messages by the role that took them, and shapes of histories that a
//! good simulation must have seen.

use core::ops::AddAssign;

use super::world::StoreOf;
use crate::cluster::links::Link;
use crate::cluster::{Cluster, Policies};
use crate::kv;
use crate::raft::{MessageKind, Role};
use crate::replica::Packet;

/// Something that can go wrong, or that an operator or a client does in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// A message is lost.
    Loss,
    /// A message takes longer than an election timeout.
    Delay,
    /// A message is doubled.
    Duplication,
    /// A message overtakes another.
    Reordering,
    /// A group is cut off, both ways.
    Partition,
    /// One direction is cut.
    OneWayCut,
    /// The leader is cut off from everybody.
    IsolatedLeader,
    /// Two halves see each other through one member only.
    Bridge,
    /// Cuts are restored.
    Heal,
    /// A member crashes.
    Crash,
    /// The leader crashes.
    LeaderCrash,
    /// A crash keeps some unsynced writes and loses others.
    TornCrash,
    /// A member crashes while it starts.
    CrashDuringRestart,
    /// All members crash at once.
    PowerLoss,
    /// A member starts again.
    Restart,
    /// A member does nothing for a while.
    Pause,
    /// A sync takes long.
    SlowDisk,
    /// A sync takes longer than elections.
    StuckDisk,
    /// A clock runs fast or slow.
    ClockRate,
    /// A member's directory is empty when it starts.
    EmptyDisk,
    /// A member's directory is an older copy when it starts.
    OlderDisk,
    /// A learner joins.
    LearnerAdded,
    /// A learner becomes a voter.
    Promotion,
    /// A voter becomes a learner.
    Demotion,
    /// A member is removed.
    Removal,
    /// The leader is removed.
    LeaderRemoval,
    /// Several members change at once.
    JointChange,
    /// Leadership is handed over.
    Transfer,
    /// A snapshot is taken because somebody asked for it.
    Compaction,
    /// A client's patience ends.
    ClientTimeout,
    /// A client asks again.
    ClientRetry,
    /// A client asks another member than before.
    ClientSwitch,
    /// A client ends in the middle of an operation.
    ClientEnd,
}

impl Fault {
    /// All of them, in the order of their declaration.
    pub const ALL: [Fault; 33] = [
        Fault::Loss,
        Fault::Delay,
        Fault::Duplication,
        Fault::Reordering,
        Fault::Partition,
        Fault::OneWayCut,
        Fault::IsolatedLeader,
        Fault::Bridge,
        Fault::Heal,
        Fault::Crash,
        Fault::LeaderCrash,
        Fault::TornCrash,
        Fault::CrashDuringRestart,
        Fault::PowerLoss,
        Fault::Restart,
        Fault::Pause,
        Fault::SlowDisk,
        Fault::StuckDisk,
        Fault::ClockRate,
        Fault::EmptyDisk,
        Fault::OlderDisk,
        Fault::LearnerAdded,
        Fault::Promotion,
        Fault::Demotion,
        Fault::Removal,
        Fault::LeaderRemoval,
        Fault::JointChange,
        Fault::Transfer,
        Fault::Compaction,
        Fault::ClientTimeout,
        Fault::ClientRetry,
        Fault::ClientSwitch,
        Fault::ClientEnd,
    ];
}

/// A situation that is hard to reach and that a protocol must survive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shape {
    /// Uncommitted entries gave way to another leader's.
    SuffixOverwritten,
    /// An entry that was on a majority of logs gave way to another leader's: Figure 8 of the paper.
    FigureEight,
    /// A snapshot was installed.
    SnapshotInstalled,
    /// A snapshot was installed over a log that conflicts with it.
    SnapshotOverConflict,
    /// A leader compacted while it was sending a snapshot.
    CompactionDuringTransfer,
    /// A leader outside the incoming configuration led a joint phase.
    JointLeaderOutside,
    /// A leader stepped down because it was removed.
    LeaderRemoved,
    /// A leader stepped down because no quorum answered.
    QuorumLost,
    /// A read that a leader had accepted was refused because its leadership could not be confirmed.
    StaleReadRefused,
    /// A write that a leader had accepted was lost to another leader's.
    WriteLost,
    /// A retry was answered from the session table.
    RetryAnswered,
    /// A client's session had expired when it asked again.
    SessionExpired,
    /// A leadership transfer went through.
    TransferCompleted,
    /// A member with another directory was refused.
    DirectoryRefused,
    /// An entry was committed in a later term than its own.
    CommittedLater,
}

impl Shape {
    /// All of them, in the order of their declaration.
    pub const ALL: [Shape; 15] = [
        Shape::SuffixOverwritten,
        Shape::FigureEight,
        Shape::SnapshotInstalled,
        Shape::SnapshotOverConflict,
        Shape::CompactionDuringTransfer,
        Shape::JointLeaderOutside,
        Shape::LeaderRemoved,
        Shape::QuorumLost,
        Shape::StaleReadRefused,
        Shape::WriteLost,
        Shape::RetryAnswered,
        Shape::SessionExpired,
        Shape::TransferCompleted,
        Shape::DirectoryRefused,
        Shape::CommittedLater,
    ];
}

/// The roles that take messages.
pub const ROLES: [&str; 4] = ["follower", "pre-candidate", "candidate", "leader"];

/// The place of a role in [`ROLES`].
#[must_use]
pub fn role_place(role: &Role) -> usize {
    match role {
        Role::Follower => 0,
        Role::PreCandidate { .. } => 1,
        Role::Candidate { .. } => 2,
        Role::Leader(_) => 3,
    }
}

/// The counters of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage {
    faults: [u64; Fault::ALL.len()],
    shapes: [u64; Shape::ALL.len()],
    taken: [[u64; ROLES.len()]; MessageKind::ALL.len()],
    /// Forwarded requests and their answers.
    forwards: u64,
}

impl Default for Coverage {
    fn default() -> Coverage {
        Coverage {
            faults: [0; Fault::ALL.len()],
            shapes: [0; Shape::ALL.len()],
            taken: [[0; ROLES.len()]; MessageKind::ALL.len()],
            forwards: 0,
        }
    }
}

impl Coverage {
    pub(super) fn fault(&mut self, fault: Fault) {
        self.faults[fault as usize] += 1;
    }

    pub(super) fn shape(&mut self, shape: Shape) {
        self.shapes[shape as usize] += 1;
    }

    /// Counts the message that is about to be delivered, unless its receiver is down.
    pub(super) fn note_delivery<P: Policies, K: kv::Rules>(
        &mut self,
        cluster: &Cluster<StoreOf<K>, P>,
        link: Link,
        position: usize,
    ) where
        StoreOf<K>: Default,
    {
        let Some(receiver) = cluster.replica(link.1) else { return };
        match cluster.links().on(link).nth(position) {
            Some(Packet::Raft { envelope, .. }) => {
                let kind = envelope.message.kind();
                self.taken[kind as usize][role_place(receiver.node().role())] += 1;
            }
            Some(Packet::Forward { .. }) => self.forwards += 1,
            None => {}
        }
    }

    /// How often each fault happened.
    pub fn faults(&self) -> impl Iterator<Item = (Fault, u64)> + '_ {
        Fault::ALL.iter().map(|fault| (*fault, self.faults[*fault as usize]))
    }

    /// How often each shape was seen.
    pub fn shapes(&self) -> impl Iterator<Item = (Shape, u64)> + '_ {
        Shape::ALL.iter().map(|shape| (*shape, self.shapes[*shape as usize]))
    }

    /// How many messages of each kind were taken in each of [`ROLES`].
    pub fn taken(&self) -> impl Iterator<Item = (MessageKind, [u64; ROLES.len()])> + '_ {
        MessageKind::ALL.iter().map(|kind| (*kind, self.taken[*kind as usize]))
    }

    /// How many forwarded requests and answers to them were taken.
    #[must_use]
    pub fn forwards(&self) -> u64 {
        self.forwards
    }
}

impl AddAssign<&Coverage> for Coverage {
    fn add_assign(&mut self, other: &Coverage) {
        let add = |sums: &mut [u64], counts: &[u64]| {
            sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        };
        add(&mut self.faults, &other.faults);
        add(&mut self.shapes, &other.shapes);
        for (sums, counts) in self.taken.iter_mut().zip(&other.taken) {
            add(sums, counts);
        }
        self.forwards += other.forwards;
    }
}
