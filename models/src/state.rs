//! One moment of the whole cluster: replicas with their disks, links, the ghost log, what is spent.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use dkv::raft::{Durable, Entry, Node, NodeId, Write};
use dkv::replica::{self, Replica, Rules};

use crate::converge;
use crate::properties::Broken;
use crate::shared::Shared;
use crate::text;

/// What the models' clients ask for: one byte, different for every proposal.
pub type Command = u8;
/// What the models' state machine answers: the command it applied.
pub type Response = u8;
/// What travels on a link.
pub type Packet = replica::Packet<Command, Response>;
/// What is on one link, oldest first.
pub type Queue = VecDeque<Shared<Packet>>;

/// A disk: what is synced, and the writes that are on their way.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Disk {
    /// What would survive a crash.
    pub synced: Shared<Durable<Command>>,
    /// The writes that are not synced yet, oldest first.
    pub pending: VecDeque<Shared<Write<Command>>>,
}

impl Disk {
    /// Makes the `count` oldest writes durable.
    pub fn sync(&mut self, count: usize) {
        let mut synced = Durable::clone(&self.synced);
        for write in self.pending.drain(..count) {
            synced.apply(Write::clone(&write));
        }
        self.synced = Shared::new(synced);
    }
}

/// A replica of the shipped code, and its disk.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Member<R: Rules> {
    /// The shipped replica.
    pub replica: Replica<Command, Response, R>,
    /// Its disk.
    pub disk: Disk,
}

impl<R: Rules> Member<R> {
    /// The shipped node inside the replica.
    #[must_use]
    pub fn node(&self) -> &Node<Command, R> {
        self.replica.node()
    }
}

/// What a run has used of its budgets. It is part of the state, so that the bounds cut off no path
/// that another order of the same actions would reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Spent {
    /// Proposals that clients made.
    pub proposals: u8,
    /// Partitions of one replica from all others.
    pub partitions: u8,
    /// Cuts of one direction.
    pub cuts: u8,
    /// Heartbeats that a leader's timer started.
    pub heartbeats: u8,
}

/// One moment of the whole cluster.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct State<R: Rules> {
    /// The members; the position is the id.
    pub members: Vec<Shared<Member<R>>>,
    /// The links, `from * members + to`; an idle link has no queue.
    pub links: Vec<Option<Shared<Queue>>>,
    /// The directions that are cut, one bit per link.
    pub cut: u32,
    /// Ghost: every entry ever committed anywhere, in order. Nothing of the cluster sees it.
    pub committed: Shared<Vec<Entry<Command>>>,
    /// What is used of the budgets.
    pub spent: Spent,
    /// The property that the step into this state broke. Such a state has no successors.
    pub violated: Option<Arc<Broken>>,
}

impl<R: Rules> State<R> {
    /// The position of a direction in `links` and `cut`.
    #[must_use]
    pub fn link(&self, from: usize, to: usize) -> usize {
        from * self.members.len() + to
    }

    /// Whether a direction is cut.
    #[must_use]
    pub fn is_cut(&self, from: usize, to: usize) -> bool {
        self.cut & (1 << self.link(from, to)) != 0
    }

    /// Every direction between two members.
    pub fn directions(&self) -> impl Iterator<Item = (usize, usize)> + use<R> {
        let count = self.members.len();
        (0..count).flat_map(move |from| (0..count).filter(move |to| *to != from).map(move |to| (from, to)))
    }

    /// Whether nothing reaches a member.
    #[must_use]
    pub fn is_deaf(&self, id: usize) -> bool {
        self.directions().all(|(from, to)| to != id || self.is_cut(from, to))
    }

    /// Whether a member reaches nobody.
    #[must_use]
    pub fn is_mute(&self, id: usize) -> bool {
        self.directions().all(|(from, to)| from != id || self.is_cut(from, to))
    }

    /// Whether a member is cut off from all others, both ways.
    #[must_use]
    pub fn is_isolated(&self, id: usize) -> bool {
        self.is_deaf(id) && self.is_mute(id)
    }

    /// Cuts a direction and loses what is on it.
    pub fn cut(&mut self, from: usize, to: usize) {
        let link = self.link(from, to);
        self.cut |= 1 << link;
        self.links[link] = None;
    }

    /// Takes the oldest packet from a link.
    pub fn take(&mut self, from: usize, to: usize) -> Option<Packet> {
        let link = self.link(from, to);
        let mut queue = Queue::clone(self.links[link].as_deref()?);
        let packet = queue.pop_front()?;
        self.links[link] = (!queue.is_empty()).then(|| Shared::new(queue));
        Some(Packet::clone(&packet))
    }

    /// Puts packets on the links out of `from`; a link that is cut loses them.
    pub fn send(&mut self, from: usize, packets: impl IntoIterator<Item = Packet>) {
        for packet in packets {
            let to = index_of(packet.to());
            if self.is_cut(from, to) {
                continue;
            }
            let link = self.link(from, to);
            let mut queue = self.links[link].as_deref().cloned().unwrap_or_default();
            queue.push_back(Shared::new(packet));
            self.links[link] = Some(Shared::new(queue));
        }
    }

    /// Whether nothing is cut, on its way, or on its way to a disk.
    #[must_use]
    pub fn is_healed_and_quiet(&self) -> bool {
        self.cut == 0
            && self.links.iter().all(Option::is_none)
            && self.members.iter().all(|member| member.disk.pending.is_empty())
    }
}

/// Members are numbered from 0 and sit at that position.
pub(crate) fn index_of(id: NodeId) -> usize {
    usize::try_from(id.0).expect("members are few")
}

/// The id of the member at a position.
pub(crate) fn id_of(index: usize) -> NodeId {
    NodeId(index as u64)
}

/// The Explorer shows this text: what a person wants to see of a state, with the verdicts at this very
/// state.
impl<R: Rules> fmt::Debug for State<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for member in &self.members {
            write!(f, "{}", member.node())?;
            if !member.disk.pending.is_empty() {
                write!(f, " | synced {} +{} writes", member.disk.synced.last(), member.disk.pending.len())?;
            }
            if member.replica.waiting_requests() > 0 {
                write!(f, " | {} clients wait", member.replica.waiting_requests())?;
            }
            writeln!(f)?;
        }
        for (from, to) in self.directions() {
            if let Some(queue) = &self.links[self.link(from, to)] {
                let packets: Vec<String> = queue.iter().map(|packet| text::packet(packet)).collect();
                writeln!(f, "n{from}→n{to}: {}", packets.join(", "))?;
            }
        }
        let cuts: Vec<String> = self
            .directions()
            .filter(|(from, to)| self.is_cut(*from, *to))
            .map(|(from, to)| format!("n{from}↛n{to}"))
            .collect();
        if !cuts.is_empty() {
            writeln!(f, "cut: {}", cuts.join(" "))?;
        }
        writeln!(f, "committed: {}", text::entries(&**self.committed))?;
        let Spent { proposals, partitions, cuts, heartbeats } = self.spent;
        writeln!(
            f,
            "spent: {proposals} proposals, {partitions} partitions, {cuts} cuts, {heartbeats} heartbeats"
        )?;
        match &self.violated {
            Some(broken) => write!(f, "VIOLATED {broken}"),
            None => match converge::healed(self) {
                Ok(rounds) => {
                    write!(f, "every property holds; healed, all are equal after {rounds} heartbeats")
                }
                Err(broken) => write!(f, "VIOLATED {broken}"),
            },
        }
    }
}
