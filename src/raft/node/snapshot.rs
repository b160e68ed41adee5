//! Log compaction, and snapshots for followers that are too far behind. Paper §7, Figure 13.
//!
//! The node knows a snapshot by its metadata and offsets; the environment keeps, sends and stages the
//! bytes. A follower stages chunks in order, the environment verifies the whole and makes it durable,
//! and only then does the node write the mark that makes the snapshot the base of the log.

use alloc::boxed::Box;

use super::*;
use crate::raft::durable::Purge;
use crate::raft::progress::Flow;
use crate::raft::ready::Stage;

/// A snapshot that is arriving.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Incoming {
    pub(super) snapshot: SnapshotMeta,
    /// Bytes staged so far.
    pub(super) staged: u64,
    /// All bytes are there, and the environment is verifying them.
    installing: bool,
}

impl Incoming {
    /// Whether the log has everything in it, and nobody is verifying it.
    pub(super) fn is_overtaken<R: Rules>(&self, commit: Index) -> bool {
        !self.installing && !R::is_newer_snapshot(self.snapshot.last.index, commit)
    }
}

/// The message that carries the chunk at `offset`; without bytes if the follower has them all.
pub(super) fn chunk<C>(snapshot: &SnapshotMeta, offset: u64, limits: &Limits) -> Message<C> {
    assert!(offset <= snapshot.size_bytes, "a chunk lies within its snapshot");
    let length = u64::from(limits.chunk_bytes_max).min(snapshot.size_bytes - offset);
    let length = u32::try_from(length).expect("capped by a u32");
    Message::InstallSnapshot { snapshot: snapshot.clone(), offset, length }
}

impl<C: Command, R: Rules> Node<C, R> {
    // --- leader ------------------------------------------------------------------------------

    /// Sends the chunk that a follower waits for, once more or for the first time.
    pub(super) fn send_chunk(&self, to: NodeId, ready: &mut Ready<C>) {
        let Role::Leader(leader) = &self.role else { return };
        let Some(Progress { flow: Flow::Snapshot { last, offset }, .. }) = leader.progress.get(&to) else {
            return;
        };
        if *last == self.log.snapshot().last {
            self.send(to, chunk(self.log.snapshot(), *offset, &self.limits), ready);
        }
    }

    pub(super) fn handle_chunk_response(
        &mut self,
        from: NodeId,
        last: EntryId,
        next_offset: u64,
        installed: bool,
        ready: &mut Ready<C>,
    ) {
        if installed {
            return self.handle_append_accepted(from, last.index, ready);
        }
        let size_bytes = self.log.snapshot().size_bytes;
        let Role::Leader(leader) = &mut self.role else { return };
        let Some(progress) = leader.progress.get_mut(&from) else { return };
        if let Flow::Snapshot { last: sending, offset } = &mut progress.flow
            && *sending == last
            && last == self.log.snapshot().last
            && *offset != next_offset
            && next_offset <= size_bytes
        {
            *offset = next_offset;
            if next_offset < size_bytes {
                self.send_chunk(from, ready);
            }
        }
        // A newer snapshot may have replaced the one that was being sent.
        self.send_append(from, ready);
    }

    // --- follower ----------------------------------------------------------------------------

    pub(super) fn handle_chunk(
        &mut self,
        from: NodeId,
        snapshot: SnapshotMeta,
        offset: u64,
        length: u32,
        ready: &mut Ready<C>,
    ) {
        assert!(offset + u64::from(length) <= snapshot.size_bytes, "a chunk lies within its snapshot");
        let last = snapshot.last;
        if !R::is_newer_snapshot(last.index, self.commit) {
            let next_offset = snapshot.size_bytes;
            let response = Message::InstallSnapshotResponse { last, next_offset, installed: true };
            return self.send(from, response, ready);
        }
        if self.incoming.as_ref().is_none_or(|incoming| incoming.snapshot != snapshot) {
            self.incoming = Some(Incoming { snapshot, staged: 0, installing: false });
        }
        let Some(incoming) = &mut self.incoming else { return };
        if offset == incoming.staged && !incoming.installing {
            if length > 0 {
                ready.stage = Some(Stage { snapshot: incoming.snapshot.clone(), offset, length });
            }
            incoming.staged += u64::from(length);
            if incoming.staged == incoming.snapshot.size_bytes {
                incoming.installing = true;
                ready.install = Some(incoming.snapshot.clone());
            }
        }
        let next_offset = incoming.staged;
        self.send(from, Message::InstallSnapshotResponse { last, next_offset, installed: false }, ready);
    }

    pub(super) fn handle_snapshot_installed(&mut self, last: EntryId, ready: &mut Ready<C>) {
        let is_expected = |incoming: &mut Incoming| incoming.installing && incoming.snapshot.last == last;
        let Some(Incoming { snapshot, .. }) = self.incoming.take_if(is_expected) else { return };
        // The log may have caught up while the bytes were verified.
        if R::is_newer_snapshot(last.index, self.commit) {
            let keep_suffix = R::keeps_suffix(self.log.term_at(last.index), last.term);
            let purge = Purge { to: last, keep_suffix };
            self.log.compact(snapshot.clone(), purge);
            if !keep_suffix {
                self.durability.truncate::<R>(Index::ZERO);
            }
            self.hard_state = R::hard_state_after_snapshot(self.hard_state, last);
            self.commit = last.index;
            self.handed = last.index;
            self.loading = Some(last);
            let write = ready.write.get_or_insert_default();
            write.snapshot = Some(snapshot.clone());
            write.purge = Some(purge);
        }
        // This node may have been elected meanwhile: its log caught up, its commit index did not.
        if let Some(leader) = self.leader.filter(|leader| *leader != self.id) {
            let next_offset = snapshot.size_bytes;
            let response = Message::InstallSnapshotResponse { last, next_offset, installed: true };
            self.send(leader, response, ready);
        }
    }

    pub(super) fn handle_snapshot_rejected(&mut self, last: EntryId, ready: &mut Ready<C>) {
        // A chunk that cannot be kept is rejected before the snapshot is complete.
        let is_expected = |incoming: &mut Incoming| incoming.snapshot.last == last;
        if self.incoming.take_if(is_expected).is_some()
            && let Some(leader) = self.leader.filter(|leader| *leader != self.id)
        {
            let response = Message::InstallSnapshotResponse { last, next_offset: 0, installed: false };
            self.send(leader, response, ready);
        }
    }

    // --- compaction --------------------------------------------------------------------------

    pub(super) fn handle_snapshot_taken(
        &mut self,
        last: EntryId,
        size_bytes: u64,
        checksum: u32,
        purge_to: Index,
        ready: &mut Ready<C>,
    ) {
        if last.index <= self.log.snapshot().last.index {
            return; // A newer one was installed meanwhile.
        }
        assert!(last.index <= self.applied, "a snapshot holds what is applied");
        assert_eq!(self.log.id_at(last.index), Some(last), "a snapshot ends at an entry of the log");
        let at = R::snapshot_configuration(last.index, self.log.last().index);
        let configuration = Box::new(self.log.configuration_at(at).clone());
        let snapshot = SnapshotMeta { last, configuration, size_bytes, checksum };
        let to = R::purge_limit(purge_to, last.index, self.applied).max(self.log.purged().index);
        let to = self.log.id_at(to).expect("what is applied and not purged is held");
        let purge = Purge { to, keep_suffix: true };
        self.log.compact(snapshot.clone(), purge);
        let write = ready.write.get_or_insert_default();
        write.snapshot = Some(snapshot);
        write.purge = Some(purge);
    }
}
