//! The nemesis: partitions, crashes, disks, clocks, and operators who change members at bad times.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::absence::{committed_configuration, is_spared, lost_members};
use super::action::{Action, ClientNumber};
use super::agenda::Due;
use super::client::Client;
use super::coverage::{Fault, Shape};
use super::plan::{ELECTION_TIMEOUT_MS, MEMBERS_MAX, Trouble};
use super::schedule::{Phase, Schedule};
use super::world::{StoreOf, World};
use crate::cluster::links::Link;
use crate::cluster::{Member, Policies};
use crate::kv;
use crate::raft::progress::Flow;
use crate::raft::{Configuration, MemberChange, NodeId, RequestId};

/// How far clocks are off, in thousandths.
const CLOCK_RATES: [u64; 6] = [300, 700, 900, 1100, 1500, 3000];

impl Schedule {
    /// Something goes wrong, and the next time is set.
    pub(super) fn trouble<P: Policies, K: kv::Rules>(&mut self, world: &mut World<P, K>)
    where
        StoreOf<K>: Default,
    {
        let pause_ms = self.random.between(1, 2 * self.troubles.interval_ms);
        self.after(pause_ms, Due::Trouble);
        let Some(trouble) = self.troubles.pick(&mut self.random) else { return };
        let ids: Vec<NodeId> = world.cluster().members().keys().copied().collect();
        let any = *self.random.pick(&ids);
        let leader = world.cluster().leader();
        match trouble {
            Trouble::Partition => {
                let cut = self.split(&ids);
                self.cut(world, Fault::Partition, cut);
            }
            Trouble::OneWayCut => {
                let other = *self.random.pick(&ids);
                if other != any {
                    self.cut(world, Fault::OneWayCut, Vec::from([(any, other)]));
                }
            }
            Trouble::IsolatedLeader => {
                let Some(leader) = leader else { return };
                let others = ids.iter().filter(|id| **id != leader);
                let cut = others.flat_map(|id| [(*id, leader), (leader, *id)]).collect();
                self.cut(world, Fault::IsolatedLeader, cut);
            }
            Trouble::Bridge => {
                let others: Vec<NodeId> = ids.into_iter().filter(|id| *id != any).collect();
                let cut = self.split(&others);
                self.cut(world, Fault::Bridge, cut);
            }
            Trouble::Crash => self.crash(world, any),
            Trouble::LeaderCrash => {
                if let Some(leader) = leader {
                    world.coverage.fault(Fault::LeaderCrash);
                    self.crash(world, leader);
                }
            }
            Trouble::PowerLoss => {
                world.coverage.fault(Fault::PowerLoss);
                ids.into_iter().for_each(|id| self.crash(world, id));
            }
            Trouble::Pause => self.pause(world, any),
            Trouble::ClockRate if world.cluster().replica(any).is_none() => {}
            Trouble::ClockRate => {
                world.coverage.fault(Fault::ClockRate);
                let permille = *self.random.pick(&CLOCK_RATES);
                self.act(world, Action::SetClockRate { id: any, permille });
            }
            Trouble::DiskSwap => self.swap_disk(world, any),
            Trouble::Transfer => {
                let Some(at) = leader.filter(|at| self.is_paused(*at).is_none()) else { return };
                world.coverage.fault(Fault::Transfer);
                // One that is behind campaigns at once when it has caught up.
                let is_for_who_is_behind = self.random.chance(900);
                let behind = receiver_of_snapshot(world).filter(|_| is_for_who_is_behind);
                let to = behind.unwrap_or(any);
                // One that sleeps meanwhile has campaigned already when it is told to.
                if to != at && self.random.chance(250) {
                    self.pause(world, to);
                }
                self.act(world, Action::Transfer { at, to });
            }
            Trouble::Compact => {
                if self.is_paused(any).is_none() {
                    world.coverage.fault(Fault::Compaction);
                    self.act(world, Action::Compact(any));
                }
            }
            Trouble::AddLearner
            | Trouble::Promote
            | Trouble::Demote
            | Trouble::Remove
            | Trouble::RemoveLeader
            | Trouble::ChangeSeveral => self.change_members(world, trouble, any),
        }
    }

    /// The leader has something to replicate, and does not get far with it.
    pub(super) fn ambush<P: Policies, K: kv::Rules>(&mut self, world: &mut World<P, K>)
    where
        StoreOf<K>: Default,
    {
        let Some(leader) = world.cluster().leader() else { return };
        if self.random.chance(500) {
            // Others come back in time to succeed it.
            let cuts: Vec<Link> = world.cluster().links().cuts().collect();
            if !cuts.is_empty() {
                world.coverage.fault(Fault::Heal);
                self.cut_until_ms.clear();
                self.act(world, Action::Restore(cuts));
            }
        }
        let others: Vec<NodeId> =
            world.cluster().members().keys().copied().filter(|id| *id != leader).collect();
        let reached = self.random.between(0, 1) as usize;
        let unreached = others.iter().filter(|_| self.random.chance(900)).skip(reached);
        let cut = unreached.flat_map(|id| [(*id, leader), (leader, *id)]).collect();
        // What it has sent is lost with it, so that it alone has its latest entries.
        if self.random.chance(400) {
            world.coverage.fault(Fault::LeaderCrash);
            self.crash(world, leader);
        }
        self.cut(world, Fault::IsolatedLeader, cut);
    }

    // --- links ---------------------------------------------------------------------------------

    /// Two groups, and every direction between them.
    fn split(&mut self, ids: &[NodeId]) -> Vec<Link> {
        let side: BTreeSet<NodeId> = ids.iter().copied().filter(|_| self.random.chance(500)).collect();
        let mut cut = Vec::new();
        for from in ids {
            for to in ids.iter().filter(|to| side.contains(from) != side.contains(to)) {
                cut.push((*from, *to));
            }
        }
        cut
    }

    fn cut<P: Policies, K: kv::Rules>(&mut self, world: &mut World<P, K>, fault: Fault, links: Vec<Link>)
    where
        StoreOf<K>: Default,
    {
        if links.is_empty() {
            return;
        }
        world.coverage.fault(fault);
        let length_ms = *self.random.pick(&[100, ELECTION_TIMEOUT_MS, 4 * ELECTION_TIMEOUT_MS]);
        let length_ms = self.random.between(1, length_ms);
        for link in &links {
            let until_ms = self.cut_until_ms.entry(*link).or_default();
            *until_ms = (*until_ms).max(self.now_ms + length_ms);
        }
        self.after(length_ms, Due::Restore(links.clone()));
        self.act(world, Action::Cut(links));
    }

    // --- members that stop -----------------------------------------------------------------------

    pub(super) fn crash<P: Policies, K: kv::Rules>(&mut self, world: &mut World<P, K>, id: NodeId)
    where
        StoreOf<K>: Default,
    {
        let Some(member) = world.cluster().members().get(&id).filter(|member| member.replica().is_some())
        else {
            return;
        };
        let pending = member.disk().pending() as u64;
        let keep = self.random.between(0, pending);
        world.coverage.fault(Fault::Crash);
        if keep > 0 && keep < pending {
            world.coverage.fault(Fault::TornCrash);
        }
        self.act(world, Action::Crash { id, keep: keep as u32 });
        let down_ms = self.draw(self.weather.down_ms);
        self.after(down_ms, Due::Restart(id));
    }

    /// A member does nothing for a while, and nothing reaches it.
    fn pause<P: Policies, K: kv::Rules>(&mut self, world: &mut World<P, K>, id: NodeId)
    where
        StoreOf<K>: Default,
    {
        if world.cluster().replica(id).is_none() {
            return;
        }
        world.coverage.fault(Fault::Pause);
        let pause_ms = self.random.between(1, 5 * ELECTION_TIMEOUT_MS);
        self.paused_until_ms.insert(id, self.now_ms + pause_ms);
    }

    /// A member loses its directory, if the others can do without it for good.
    fn swap_disk<P: Policies, K: kv::Rules>(&mut self, world: &mut World<P, K>, id: NodeId)
    where
        StoreOf<K>: Default,
    {
        let is_lost = world.cluster().members().get(&id).is_some_and(Member::has_lost_disk);
        if is_lost || !is_spared(world, &BTreeSet::from([id])) {
            return;
        }
        let is_older = self.random.chance(500) && self.act(world, Action::RollBackDisk(id));
        if is_older {
            world.coverage.fault(Fault::OlderDisk);
        } else if self.act(world, Action::LoseDisk(id)) {
            world.coverage.fault(Fault::EmptyDisk);
        } else {
            return;
        }
        // It is tried, and refused; the operator replaces the member.
        if self.act(world, Action::Restart(id)) && world.cluster().replica(id).is_none() {
            world.coverage.shape(Shape::DirectoryRefused);
        }
        let after_ms = self.random.between(1, 3 * ELECTION_TIMEOUT_MS);
        self.after(after_ms, Due::Repair);
    }

    /// Who stays away in a calm: nobody, or some that the others can do without.
    pub(super) fn choose_absent<P: Policies, K: kv::Rules>(&mut self, world: &World<P, K>) -> BTreeSet<NodeId>
    where
        StoreOf<K>: Default,
    {
        let mut absent = BTreeSet::new();
        if self.random.chance(500) {
            return absent;
        }
        for id in world.cluster().members().keys() {
            let more = absent.iter().copied().chain([*id]).collect();
            if self.random.chance(500) && is_spared(world, &more) {
                absent = more;
            }
        }
        absent
    }

    // --- operators -----------------------------------------------------------------------------

    fn change_members<P: Policies, K: kv::Rules>(
        &mut self,
        world: &mut World<P, K>,
        trouble: Trouble,
        any: NodeId,
    ) where
        StoreOf<K>: Default,
    {
        let leader = world.cluster().leader();
        let at = leader.unwrap_or(any);
        if self.is_paused(at).is_some() {
            return;
        }
        let Some(configuration) =
            world.cluster().replica(at).map(|replica| replica.node().configuration().clone())
        else {
            return;
        };
        let changes = match trouble {
            Trouble::AddLearner => Vec::from_iter(self.new_member(world, &configuration)),
            Trouble::Promote => {
                Vec::from_iter(configuration.learners.first().copied().map(MemberChange::Promote))
            }
            Trouble::Demote => Vec::from([MemberChange::AddLearner(any)]),
            Trouble::Remove => Vec::from([MemberChange::Remove(any)]),
            Trouble::RemoveLeader => Vec::from_iter(leader.map(MemberChange::Remove)),
            _ => {
                let mut changes = Vec::from_iter(self.new_member(world, &configuration));
                changes.extend(configuration.learners.iter().copied().map(MemberChange::Promote));
                let members: Vec<NodeId> = configuration.members().collect();
                if members.is_empty() {
                    return; // It was never told of one.
                }
                let gone = *self.random.pick(&members);
                changes.retain(|change| *change != MemberChange::Promote(gone));
                changes.push(MemberChange::Remove(gone));
                changes
            }
        };
        // Even a careless operator leaves a majority that has its disks.
        if changes.is_empty() || !is_livable(world, &configuration, &changes) {
            return;
        }
        world.coverage.fault(match trouble {
            Trouble::AddLearner => Fault::LearnerAdded,
            Trouble::Promote => Fault::Promotion,
            Trouble::Demote => Fault::Demotion,
            Trouble::Remove => Fault::Removal,
            Trouble::RemoveLeader => Fault::LeaderRemoval,
            _ => Fault::JointChange,
        });
        self.act(world, Action::ChangeMembers { at, changes });
    }

    /// A member that joins with an empty disk, if there is room.
    fn new_member<P: Policies, K: kv::Rules>(
        &mut self,
        world: &mut World<P, K>,
        configuration: &Configuration,
    ) -> Option<MemberChange>
    where
        StoreOf<K>: Default,
    {
        // One that joined before and was never taken in is tried again.
        let waiting = world.cluster().members().iter().find(|(id, member)| {
            member.replica().is_some() && !configuration.contains(**id) && is_fresh(member)
        });
        let waiting = waiting.map(|(id, _)| *id);
        if waiting.is_none() && world.cluster().members().len() as u64 > MEMBERS_MAX {
            return None;
        }
        let id = waiting.unwrap_or(NodeId(self.next_member));
        if waiting.is_none() {
            self.next_member += 1;
            self.act(world, Action::Join(id));
        }
        Some(MemberChange::AddLearner(id))
    }

    /// Members that lost their disk are removed, and those that are out and down leave.
    pub(super) fn repair<P: Policies, K: kv::Rules>(&mut self, world: &mut World<P, K>)
    where
        StoreOf<K>: Default,
    {
        let lost: Vec<NodeId> = lost_members(world).collect();
        let leader = world.cluster().leader();
        if let Some(leader) = leader.and_then(|id| world.cluster().replica(id)) {
            let (at, configuration) = (leader.node().id(), leader.node().configuration());
            let members: Vec<NodeId> = lost.into_iter().filter(|id| configuration.contains(*id)).collect();
            let changes: Vec<MemberChange> = members.into_iter().map(MemberChange::Remove).collect();
            if !changes.is_empty() {
                self.act(world, Action::ChangeMembers { at, changes });
            }
        }
        if self.phase != Phase::Storm {
            self.leave_forgotten(world);
        }
        if self.phase != Phase::Storm || lost_members(world).next().is_some() {
            self.after(ELECTION_TIMEOUT_MS, Due::Repair);
        }
    }

    /// Members that are out and do not know it.
    pub(super) fn find_forgotten<P: Policies, K: kv::Rules>(world: &World<P, K>) -> BTreeSet<NodeId>
    where
        StoreOf<K>: Default,
    {
        let governing = committed_configuration(world);
        let outsiders = world.cluster().nodes().filter(|node| !governing.contains(node.id()));
        let unaware = outsiders.filter(|node| {
            let (since, own) = node.log().configuration();
            own.contains(node.id()) || since > node.commit_index()
        });
        unaware.map(crate::raft::Node::id).collect()
    }

    /// In a calm clients give up on those members alone that were removed and are not told: nobody speaks to
    /// them any more, and they cannot know that they will not learn what became of the requests they took, from clients
    /// or for other members. Whoever does not know it an election timeout later will never be told: the leader did not
    /// know how far it was.
    fn leave_forgotten<P: Policies, K: kv::Rules>(&mut self, world: &mut World<P, K>)
    where
        StoreOf<K>: Default,
    {
        let before = core::mem::replace(&mut self.forgotten, Schedule::find_forgotten(world));
        let forgotten: BTreeSet<NodeId> = self.forgotten.intersection(&before).copied().collect();
        let asks_forgotten = |client: &Client| {
            let attempts = client.current.iter().flat_map(|current| &current.attempts).chain(&client.surplus);
            let waits_there = |id: &NodeId, (request, origin): &(RequestId, NodeId)| {
                let replica = world.cluster().replica(*id);
                replica.is_some_and(|replica| replica.waiting().any(|one| one == (*origin, *request)))
            };
            attempts.into_iter().any(|attempt| {
                forgotten.contains(&attempt.1) || forgotten.iter().any(|id| waits_there(id, attempt))
            })
        };
        let clients: Vec<usize> =
            (0..world.clients().len()).filter(|number| asks_forgotten(&world.clients()[*number])).collect();
        for number in clients {
            self.act(world, Action::GiveUp { client: number as ClientNumber });
        }
    }

    /// At rest, members that are in no configuration any more stop and leave.
    pub(super) fn retire_outsiders<P: Policies, K: kv::Rules>(&mut self, world: &mut World<P, K>)
    where
        StoreOf<K>: Default,
    {
        let Some(leader) = world.cluster().leader().and_then(|id| world.cluster().replica(id)) else {
            return;
        };
        let configuration = leader.node().configuration().clone();
        let ids: Vec<NodeId> = world.cluster().members().keys().copied().collect();
        for id in ids.into_iter().filter(|id| !configuration.contains(*id)) {
            if world.cluster().replica(id).is_some() {
                self.act(world, Action::Crash { id, keep: 0 });
            }
            self.act(world, Action::Retire(id));
            self.absent.remove(&id);
        }
    }
}

/// A voter that the leader is sending a snapshot to.
fn receiver_of_snapshot<P: Policies, K: kv::Rules>(world: &World<P, K>) -> Option<NodeId>
where
    StoreOf<K>: Default,
{
    let node = world.cluster().replica(world.cluster().leader()?)?.node();
    let mut receivers = node.progress()?.iter().filter(|(id, progress)| {
        matches!(progress.flow, Flow::Snapshot { .. }) && node.configuration().voters.contains(id)
    });
    receivers.next().map(|(id, _)| *id)
}

/// Whether a member never took an entry.
fn is_fresh<P: Policies, K: kv::Rules>(member: &Member<StoreOf<K>, P>) -> bool
where
    StoreOf<K>: Default,
{
    member.machine().applied().index.0 == 0
}

/// Whether the configuration that results from `changes` has a majority of voters that have their disks.
fn is_livable<P: Policies, K: kv::Rules>(
    world: &World<P, K>,
    configuration: &Configuration,
    changes: &[MemberChange],
) -> bool
where
    StoreOf<K>: Default,
{
    let mut voters = configuration.voters.clone();
    for change in changes {
        match change {
            MemberChange::Promote(id) => voters.insert(*id),
            MemberChange::AddLearner(id) | MemberChange::Remove(id) => voters.remove(id),
        };
    }
    let lost = lost_members(world).filter(|id| voters.contains(id)).count();
    voters.is_empty() || voters.len() - lost > voters.len() / 2
}
