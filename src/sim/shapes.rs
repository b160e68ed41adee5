//! Which [`Shape`]s a step brought about, by what its member was before and after.

use super::action::Action;
use super::coverage::{Coverage, Shape};
use super::world::StoreOf;
use crate::cluster::links::Link;
use crate::cluster::{Cluster, Policies};
use crate::kv;
use crate::raft::invariants::Vitals;
use crate::raft::progress::Flow;
use crate::raft::{Command, EntryId, Message, Node, NodeId, Rules, Timer};
use crate::replica::Packet;

/// What a member was before a step, and what of the step cannot be seen afterwards.
pub(super) struct Before {
    vitals: Vitals,
    snapshot: EntryId,
    is_outside: bool,
    is_sending: bool,
    /// The step is a message that overwrites entries; true if one of them was on a majority of logs.
    overwrites: Option<bool>,
    /// The step is a chunk of this snapshot; true if the log conflicts with it.
    installs: Option<(EntryId, bool)>,
    is_quorum_check: bool,
}

impl Before {
    /// Nothing if the member is down.
    pub(super) fn of<P: Policies, K: kv::Rules>(
        cluster: &Cluster<StoreOf<K>, P>,
        id: NodeId,
        action: &Action,
    ) -> Option<Before>
    where
        StoreOf<K>: Default,
    {
        let node = cluster.replica(id)?.node();
        let mut before = Before {
            vitals: Vitals::of(node),
            snapshot: node.log().snapshot().last,
            is_outside: leads_outside(node),
            is_sending: false,
            overwrites: None,
            installs: None,
            is_quorum_check: matches!(action, Action::Timeout { timer: Timer::CheckQuorum, .. }),
        };
        before.is_sending = node.progress().is_some_and(|progress| {
            progress.values().any(|progress| matches!(progress.flow, Flow::Snapshot { .. }))
        });
        if let Action::Deliver { link, position } = action {
            before.look_at_message(cluster, node, *link, *position as usize);
        }
        Some(before)
    }

    fn look_at_message<P: Policies, K: kv::Rules>(
        &mut self,
        cluster: &Cluster<StoreOf<K>, P>,
        node: &Node<crate::raft::Bytes, P::Rules>,
        link: Link,
        position: usize,
    ) where
        StoreOf<K>: Default,
    {
        let Some(Packet::Raft { envelope, .. }) = cluster.links().on(link).nth(position) else { return };
        if envelope.term < node.term() {
            return;
        }
        match &envelope.message {
            Message::AppendEntries { prev, entries, .. } => {
                let agrees = node.log().id_at(prev.index) == Some(*prev);
                let conflict = entries.iter().find(|entry| {
                    node.log().term_at(entry.id.index).is_some_and(|term| term != entry.id.term)
                });
                let Some(first) = conflict.filter(|_| agrees) else { return };
                let voters = &node.configuration().voters;
                let lost = node.log().range(first.id.index.prev(), node.log().last().index);
                let was_on_majority = lost.map(|entry| entry.id).any(|lost| {
                    let members = cluster.members().iter().filter(|(id, _)| voters.contains(id));
                    let holders = members.filter(|(_, member)| match member.replica() {
                        Some(replica) => replica.node().log().id_at(lost.index) == Some(lost),
                        None => member.disk().synced().entry(lost.index).is_some_and(|held| held.id == lost),
                    });
                    holders.count() > voters.len() / 2
                });
                self.overwrites = Some(was_on_majority);
            }
            Message::InstallSnapshot { snapshot, .. } => {
                let own_term = node.log().term_at(snapshot.last.index);
                self.installs =
                    Some((snapshot.last, own_term.is_some_and(|term| term != snapshot.last.term)));
            }
            _ => {}
        }
    }

    /// Counts what the step brought about.
    pub(super) fn compare<P: Policies, K: kv::Rules>(
        &self,
        cluster: &Cluster<StoreOf<K>, P>,
        id: NodeId,
        coverage: &mut Coverage,
    ) where
        StoreOf<K>: Default,
    {
        let Some(node) = cluster.replica(id).map(|replica| replica.node()) else { return };
        let after = Vitals::of(node);
        let snapshot = node.log().snapshot().last;
        let mut note = |shape: Shape, is_so: bool| {
            if is_so {
                coverage.shape(shape);
            }
        };
        if let Some(was_on_majority) = self.overwrites
            && node.log().id_at(self.vitals.last.index) != Some(self.vitals.last)
        {
            note(Shape::SuffixOverwritten, true);
            note(Shape::FigureEight, was_on_majority);
        }
        if let Some((last, conflicts)) = self.installs
            && snapshot == last
            && self.snapshot != last
        {
            note(Shape::SnapshotInstalled, true);
            note(Shape::SnapshotOverConflict, conflicts);
        }
        let kept_leading = self.vitals.leads.is_some() && after.leads == self.vitals.leads;
        note(Shape::CompactionDuringTransfer, kept_leading && self.is_sending && snapshot != self.snapshot);
        note(Shape::JointLeaderOutside, !self.is_outside && leads_outside(node));
        if self.vitals.leads.is_some() && after.leads.is_none() {
            let is_removed = !node.configuration().is_voter(id) && !node.configuration().is_joint();
            note(Shape::LeaderRemoved, is_removed && after.hard_state.term == self.vitals.hard_state.term);
            note(Shape::QuorumLost, self.is_quorum_check);
        }
        if kept_leading && after.commit > self.vitals.commit {
            let first_new = node.log().term_at(self.vitals.commit.next());
            note(Shape::CommittedLater, first_new.is_some_and(|term| term < after.hard_state.term));
        }
    }
}

fn leads_outside<C: Command, R: Rules>(node: &Node<C, R>) -> bool {
    let configuration = node.configuration();
    node.is_leader() && configuration.is_joint() && !configuration.voters.contains(&node.id())
}
