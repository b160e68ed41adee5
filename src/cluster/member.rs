//! One member: a replica, its state machine and its disk, and the executor between them.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::disk::Disk;
use super::{Packet, Policies, ReplicaPacket};
use crate::codec::{self, crc32c};
use crate::raft::{Bytes, EntryId, Index, Limits, Message, NodeId, Payload, Timer};
use crate::replica::{Effects, Input, Replica, SnapshotPolicy, StateMachine};

type InputOf<M> = Input<<M as StateMachine>::Command, <M as StateMachine>::Response>;
type EffectsOf<M> = Effects<<M as StateMachine>::Command, <M as StateMachine>::Response>;

/// The replica that a cluster of `M` under the policies `P` runs.
pub type ReplicaOf<M, P> =
    Replica<<M as StateMachine>::Command, <M as StateMachine>::Response, <P as Policies>::Rules>;

/// One member of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Member<M: StateMachine, P: Policies> {
    pub(super) replica: Option<ReplicaOf<M, P>>,
    pub(super) machine: M,
    pub(super) disk: Disk<M::Command>,
    /// When each timer that is set fires, in the order of [`Timer::ALL`].
    pub(super) deadlines_ms: [Option<u64>; Timer::ALL.len()],
    /// Writes stay unsynced until told otherwise.
    pub(super) disk_is_held: bool,
    /// Why it stopped by itself.
    pub(super) fault: Option<String>,
    /// An earlier state of the disk that somebody kept.
    pub(super) backup: Option<Box<Disk<M::Command>>>,
    /// What the member finds in place of its disk when it starts again.
    pub(super) found: Option<Box<Disk<M::Command>>>,
    /// How fast its clock runs.
    pub(super) clock_permille: u64,
}

/// The rate of a clock that is right.
pub(super) const REAL_TIME_PERMILLE: u64 = 1000;

impl<M: StateMachine, P: Policies> Member<M, P> {
    /// A member that is down, with this disk.
    #[must_use]
    pub fn new(disk: Disk<M::Command>) -> Member<M, P> {
        Member {
            replica: None,
            machine: M::default(),
            disk,
            deadlines_ms: [None; Timer::ALL.len()],
            disk_is_held: false,
            fault: None,
            backup: None,
            found: None,
            clock_permille: REAL_TIME_PERMILLE,
        }
    }

    /// The replica, unless the member is down.
    #[must_use]
    pub fn replica(&self) -> Option<&ReplicaOf<M, P>> {
        self.replica.as_ref()
    }

    /// The state machine; that of a crashed member is empty until it restarts.
    #[must_use]
    pub fn machine(&self) -> &M {
        &self.machine
    }

    /// The disk.
    #[must_use]
    pub fn disk(&self) -> &Disk<M::Command> {
        &self.disk
    }

    /// Why the member stopped by itself, if it did: its state machine failed.
    #[must_use]
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// The timer that fires next, and when.
    #[must_use]
    pub fn next_deadline_ms(&self) -> Option<(u64, Timer)> {
        let set = self.deadlines_ms.iter().zip(Timer::ALL);
        set.filter_map(|(deadline, timer)| Some(((*deadline)?, timer))).min()
    }

    /// Whether the member's disk is gone: what it finds in its place when it starts is another.
    #[must_use]
    pub fn has_lost_disk(&self) -> bool {
        self.found.is_some()
    }

    /// Starts a founding member of a fixed cluster, whose disk is a genesis.
    pub fn found(&mut self, id: NodeId, limits: Limits, snapshots: SnapshotPolicy) -> EffectsOf<M> {
        let (replica, effects) = Replica::bootstrap(id, limits, snapshots, self.disk.synced());
        self.replica = Some(replica);
        effects
    }

    /// Gives the replica an input; a member that is down takes none.
    pub fn step(&mut self, input: InputOf<M>) -> Option<EffectsOf<M>> {
        self.replica.as_mut().map(|replica| replica.step(input))
    }

    /// Syncs up to `count` of the oldest unsynced writes. Returns how many there were.
    pub fn sync(&mut self, count: usize) -> usize {
        self.disk.sync::<P::Disk>(count)
    }

    /// Carries out what concerns disk and state machine, in the order of [`Effects`]; reports of what
    /// is done at once go to `reports`, packets to `send`.
    pub fn execute(
        &mut self,
        id: NodeId,
        effects: &mut EffectsOf<M>,
        reports: &mut VecDeque<InputOf<M>>,
        mut send: impl FnMut(Packet<M>),
    ) {
        if let Some(write) = effects.write.take() {
            self.disk.write::<P::Disk>(write);
        }
        for envelope in effects.messages.drain(..) {
            let chunk = match &envelope.message {
                Message::InstallSnapshot { snapshot, offset, length } => {
                    // A file that is gone was replaced by a newer one, which the leader will send.
                    let Some(file) = self.disk.snapshot(snapshot.last) else { continue };
                    let start = usize::try_from(*offset).expect("files are in memory");
                    Some(Bytes::from(&file[start..start + *length as usize]))
                }
                _ => None,
            };
            send(ReplicaPacket::Raft { envelope, chunk });
        }
        for (to, forward) in effects.forwards.drain(..) {
            send(ReplicaPacket::Forward { from: id, to, forward });
        }
        if let Some((stage, chunk)) = effects.stage.take() {
            self.disk.stage(&stage, &chunk);
        }
        if let Some(snapshot) = effects.install.take() {
            let is_intact = self.disk.install(&snapshot);
            let last = snapshot.last;
            reports.push_back(if is_intact {
                Input::SnapshotInstalled(last)
            } else {
                Input::SnapshotRejected(last)
            });
        }
        if let Some(snapshot) = effects.load.take() {
            match self.load(snapshot.last) {
                Ok(()) => {
                    reports.push_back(Input::Applied { last: snapshot.last.index, responses: Vec::new() })
                }
                Err(fault) => self.fault = Some(fault),
            }
        }
        if !effects.apply.is_empty() {
            match self.apply(effects.apply.after, effects.apply.to, effects.wants_responses) {
                Ok(responses) => reports.push_back(Input::Applied { last: effects.apply.to, responses }),
                Err(fault) => self.fault = Some(fault),
            }
        }
        if effects.take_snapshot {
            match self.write_snapshot() {
                Ok(written) => reports.push_back(written),
                Err(fault) => self.fault = Some(fault),
            }
        }
        if self.fault.is_some() {
            self.replica = None;
            self.deadlines_ms = [None; Timer::ALL.len()];
            reports.clear();
        }
    }

    fn apply(
        &mut self,
        after: Index,
        to: Index,
        wants_responses: bool,
    ) -> Result<Vec<(EntryId, M::Response)>, String> {
        let replica = self.replica.as_ref().expect("effects come from a running replica");
        let mut responses = Vec::new();
        for entry in replica.node().log().range(after, to) {
            let applied = match &entry.payload {
                Payload::Command(command) => self.machine.apply(entry.id, command).map(Some),
                Payload::Noop | Payload::Configuration(_) => self.machine.skip(entry.id).map(|()| None),
            };
            let response = applied.map_err(|fault| fault.to_string())?;
            if wants_responses && let Some(response) = response {
                responses.push((entry.id, response));
            }
        }
        Ok(responses)
    }

    /// The snapshot file: where it ends, the configuration there, then the state machine.
    fn write_snapshot(&mut self) -> Result<InputOf<M>, String> {
        let replica = self.replica.as_ref().expect("effects come from a running replica");
        let last = self.machine.applied();
        let configuration = replica.node().log().configuration_at(last.index);
        let state = self.machine.snapshot().map_err(|fault| fault.to_string())?;
        let file = codec::packet::snapshot_file(last, configuration, &state);
        let (size_bytes, checksum) = (file.len() as u64, crc32c(&file));
        self.disk.keep_snapshot(last, Bytes::from(file));
        Ok(Input::SnapshotWritten { last, size_bytes, checksum })
    }

    /// Replaces the state machine by the snapshot that ends at `last`.
    pub(super) fn load(&mut self, last: EntryId) -> Result<(), String> {
        let file = self.disk.snapshot(last).ok_or("the snapshot's file is missing")?;
        let (found, _, state) = codec::packet::open_snapshot_file(file).map_err(|error| error.to_string())?;
        if found != last {
            return Err(alloc::format!("the file of snapshot {last} holds {found}"));
        }
        self.machine.restore(state).map_err(|fault| fault.to_string())?;
        assert_eq!(self.machine.applied(), last, "a snapshot ends where its name says");
        Ok(())
    }

    /// Stops at once, keeping the `keep` oldest unsynced writes.
    pub fn crash(&mut self, keep: usize) {
        self.replica = None;
        self.machine = M::default();
        self.deadlines_ms = [None; Timer::ALL.len()];
        self.disk.crash::<P::Disk>(keep);
    }

    /// The replica of a member that starts again; the state machine is volatile, so it comes from the
    /// snapshot.
    ///
    /// # Errors
    /// The snapshot is not there or not one; the member stays down.
    pub fn restart(
        &mut self,
        id: NodeId,
        limits: Limits,
        snapshots: SnapshotPolicy,
    ) -> Result<EffectsOf<M>, String> {
        let last = self.disk.synced().snapshot.last;
        self.machine = M::default();
        if last.index > Index::ZERO {
            self.load(last)?;
        }
        let synced = self.disk.synced();
        let (replica, effects) = Replica::restore(id, limits, snapshots, synced, last.index);
        self.replica = Some(replica);
        Ok(effects)
    }
}
