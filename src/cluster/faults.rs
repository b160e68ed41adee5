//! What can go wrong in a cluster, each as one call: links, crashes, disks, clocks.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use super::disk::{Disk, DiskRules};
use super::trace::Event;
use super::{Cluster, Member, Policies};
use crate::raft::{Durable, NodeId};
use crate::replica::{Input, StateMachine};

impl<M: StateMachine, P: Policies> Cluster<M, P> {
    /// Cuts `ids` off from all others, both ways; among themselves they stay connected. What is on the
    /// links that are cut is lost.
    pub fn partition(&mut self, ids: impl IntoIterator<Item = NodeId>) {
        let inside: BTreeSet<NodeId> = ids.into_iter().collect();
        let all: Vec<NodeId> = self.members.keys().copied().collect();
        for from in &all {
            for to in all.iter().filter(|to| inside.contains(from) != inside.contains(to)) {
                self.links.cut((*from, *to));
            }
        }
    }

    /// Cuts one direction.
    pub fn cut(&mut self, from: NodeId, to: NodeId) {
        self.links.cut((from, to));
    }

    /// Restores one direction.
    pub fn restore_link(&mut self, from: NodeId, to: NodeId) {
        self.links.restore((from, to));
    }

    /// Restores all links and lets the protocol converge: messages are delivered and heartbeats fire,
    /// time does not advance.
    pub fn heal(&mut self) {
        self.links.restore_all();
        self.stabilize();
    }

    /// Stops a member at once. What it had not synced is lost.
    pub fn crash(&mut self, id: NodeId) {
        self.crash_keeping(id, 0);
    }

    /// Stops a member at once, the `keep` oldest of its unsynced writes surviving. Messages that are on
    /// their way from and to it stay there: they may arrive after it started again, or be lost on a
    /// member that is down.
    pub fn crash_keeping(&mut self, id: NodeId, keep: usize) {
        let Some(member) = self.members.get_mut(&id) else { return };
        if member.replica.is_none() {
            return;
        }
        let promised = member.disk.synced().hard_state;
        member.crash(keep);
        self.note(id, &Event::Crash(keep));
        if self.options.checks {
            let members = &self.members;
            let verdict = self
                .ledger
                .observe_crash(id, promised, |id| members.get(&id).map(|member| member.disk.synced()));
            self.judge(verdict);
        }
    }

    /// Starts a crashed member from its disk, as a follower.
    pub fn restart(&mut self, id: NodeId) {
        let Some(member) = self.members.get_mut(&id) else { return };
        if member.replica.is_some() {
            return;
        }
        if let Some(found) = member.found.take() {
            if !P::Disk::admits(member.disk.generation(), found.generation()) {
                // Nothing changes however often it is tried.
                member.found = Some(found);
                member.fault = Some(String::from("its directory is not the one it had"));
                return;
            }
            member.disk = *found;
        }
        member.disk.begin_generation();
        match member.restart(id, self.options.limits, self.options.snapshots) {
            Ok(effects) => {
                let restored = member.replica.as_ref().expect("just started").node().hard_state();
                if self.options.checks {
                    let verdict = self.ledger.observe_restart(id, restored);
                    self.judge(verdict);
                }
                self.started(id, effects);
            }
            Err(fault) => member.fault = Some(fault),
        }
    }

    /// Lets a member's writes wait for [`sync`](Cluster::sync), or syncs them as they come again.
    pub fn hold_disk(&mut self, id: NodeId, hold: bool) {
        if let Some(member) = self.members.get_mut(&id) {
            member.disk_is_held = hold;
        }
    }

    /// Syncs up to `count` of a member's oldest unsynced writes.
    pub fn sync(&mut self, id: NodeId, count: usize) {
        let Some(member) = self.members.get_mut(&id) else { return };
        let count = member.disk.sync::<P::Disk>(count);
        if count > 0 && member.replica.is_some() {
            let count = u32::try_from(count).expect("the queue of writes is short");
            self.step(id, Event::Sync(count), Input::Persisted(count));
        }
    }

    /// Loses the oldest message on a link. Returns whether there was one.
    pub fn drop_message(&mut self, from: NodeId, to: NodeId) -> bool {
        self.drop_message_at(from, to, 0)
    }

    /// Loses the message on a link that `position` others are ahead of. Returns whether there was one.
    pub fn drop_message_at(&mut self, from: NodeId, to: NodeId, position: usize) -> bool {
        self.links.take((from, to), position).is_some()
    }

    /// Sends the oldest message on a link once more, after the others. Returns whether there was one.
    pub fn duplicate_message(&mut self, from: NodeId, to: NodeId) -> bool {
        self.duplicate_message_at(from, to, 0)
    }

    /// Sends the message on a link that `position` others are ahead of once more, after the others.
    /// Returns whether there was one.
    pub fn duplicate_message_at(&mut self, from: NodeId, to: NodeId, position: usize) -> bool {
        self.links.duplicate((from, to), position)
    }

    /// Lets the other messages on a link overtake the oldest.
    pub fn delay_message(&mut self, from: NodeId, to: NodeId) -> bool {
        self.links.delay((from, to))
    }

    // --- disks that are not what they were ---------------------------------------------------------

    /// Copies what is synced on a member's disk, as an operator's backup would.
    pub fn back_up(&mut self, id: NodeId) {
        if let Some(member) = self.members.get_mut(&id) {
            member.backup = Some(Box::new(member.disk.backed_up()));
        }
    }

    /// Stops a member, whose directory is empty when it starts again. Returns whether there was one.
    ///
    /// The disk that it had stays where the invariants look: the member never acts on the new one
    /// ([`DiskRules::admits`]), so it counts like one that is down for good.
    pub fn lose_disk(&mut self, id: NodeId) -> bool {
        self.swap_disk(id, |_| Some(Disk::new(Durable::empty())))
    }

    /// Stops a member, whose directory is that of the latest [`back_up`](Cluster::back_up) when it starts
    /// again. Returns whether there was one from before the member's present start: a copy that was made
    /// after it cannot be told from the original.
    pub fn roll_back_disk(&mut self, id: NodeId) -> bool {
        self.swap_disk(id, |member| {
            let backup = member.backup.as_deref()?;
            (backup.generation() < member.disk.generation()).then(|| backup.clone())
        })
    }

    fn swap_disk(
        &mut self,
        id: NodeId,
        found: impl FnOnce(&Member<M, P>) -> Option<Disk<M::Command>>,
    ) -> bool {
        let Some(found) = self.members.get(&id).and_then(found) else { return false };
        self.crash_keeping(id, 0);
        if let Some(member) = self.members.get_mut(&id) {
            member.found = Some(Box::new(found));
        }
        true
    }

    /// A member that is down leaves for good, with everything on its way from and to it. Its id must not
    /// be used again. Returns whether there was one.
    pub fn retire(&mut self, id: NodeId) -> bool {
        let is_down = self.members.get(&id).is_some_and(|member| member.replica.is_none());
        if is_down {
            self.members.remove(&id);
            self.links.forget(id);
        }
        is_down
    }

    // --- clocks ----------------------------------------------------------------------------------------

    /// Lets virtual time pass and fires nothing, for executors that fire timers themselves. Time never
    /// goes back.
    pub fn advance_to(&mut self, time_ms: u64) {
        self.time_ms = self.time_ms.max(time_ms);
    }

    /// How fast a member's clock runs from its next timer on, in thousandths of real time. At least 1.
    pub fn set_clock_rate(&mut self, id: NodeId, permille: u64) {
        if let Some(member) = self.members.get_mut(&id) {
            member.clock_permille = permille.max(1);
        }
    }
}
