//! One moment of the whole cluster: replicas with their disks, links, the ghost ledger, what is spent.
//!
//! A state is a row of pointers to [`Interned`] values. There are far fewer members, queues and ledgers
//! than states, and a step replaces two or three of them.
//!
//! Left out: what to do with it ([`environment`](crate::environment)) and what must hold of it
//! ([`properties`](crate::properties)).

use std::collections::VecDeque;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use dkv::cluster::invariants::Ledger;
use dkv::raft::log::Log;
use dkv::raft::{Durable, Node, NodeId, Vitals, Write};
use dkv::replica::{self, Replica, Rules};

use crate::converge;
use crate::environment::{Kind, kind_of};
use crate::interned::Interned;
use crate::memo::{Memo, Stepping};
use crate::properties::Broken;
use crate::text;

/// The most members of a model. A state has room for so many, since an allocation per state is dear.
pub const MEMBERS_MAX: usize = 4;
/// The directions between that many members.
const LINKS_MAX: usize = MEMBERS_MAX * (MEMBERS_MAX - 1);

/// What the models' clients ask for: one byte, different for every proposal.
pub type Command = u8;
/// What the models' state machine answers: the command it applied.
pub type Response = u8;
/// What travels on a link.
pub type Packet = replica::Packet<Command, Response>;

/// A disk: what is synced, and the writes that are on their way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Disk {
    /// What would survive a crash.
    pub synced: Durable<Command>,
    /// The writes that are not synced yet, oldest first.
    pub pending: VecDeque<Write<Command>>,
}

impl Disk {
    /// Makes the `count` oldest writes durable.
    pub fn sync(&mut self, count: usize) {
        for write in self.pending.drain(..count) {
            self.synced.apply(write);
        }
    }
}

/// What others are judged against: all of a member that an invariant over several members reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Standing {
    /// Term, vote, commit index, leadership.
    pub vitals: Vitals,
    /// The log in memory.
    pub log: Log<Command>,
    /// The log on disk.
    pub synced: Durable<Command>,
}

/// A replica of the shipped code, and its disk.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Member<R: Rules> {
    /// The shipped replica.
    pub replica: Replica<Command, Response, R>,
    /// Its disk.
    pub disk: Disk,
    /// What follows from the two for others. Many members have the same.
    pub standing: Interned<Standing>,
}

impl<R: Rules> Member<R> {
    /// A replica with its disk.
    #[must_use]
    pub fn new(replica: Replica<Command, Response, R>, disk: Disk) -> Member<R> {
        let node = replica.node();
        let standing =
            Standing { vitals: Vitals::of(node), log: node.log().clone(), synced: disk.synced.clone() };
        Member { disk, standing: Interned::new(standing), replica }
    }

    /// The shipped node inside the replica.
    #[must_use]
    pub fn node(&self) -> &Node<Command, R> {
        self.replica.node()
    }
}

/// What is on one link: at least one packet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Queue {
    /// Oldest first.
    pub packets: Vec<Interned<Packet>>,
    /// The kind of the oldest.
    pub kind: Kind,
    /// What is left without the oldest.
    pub rest: Link,
}

impl Queue {
    /// A queue with one more packet; `rest` is the old queue's rest with that packet.
    pub(crate) fn pushed(old: &Link, packet: &Interned<Packet>, rest: Link) -> Queue {
        let mut packets = old.queue().map_or_else(Vec::new, |queue| queue.packets.clone());
        packets.push(packet.clone());
        Queue { kind: kind_of(&packets[0]), packets, rest }
    }
}

/// One direction between two members, and what is on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link(pub Option<Interned<Queue>>);

impl Link {
    /// What is on it, unless it is idle.
    #[must_use]
    pub fn queue(&self) -> Option<&Queue> {
        self.0.as_deref()
    }

    /// The hash of what is on it; 0 if it is idle.
    #[must_use]
    pub fn content_hash(&self) -> u64 {
        self.0.as_ref().map_or(0, Interned::content_hash)
    }
}

/// One word, where a derived hash writes two.
impl Hash for Link {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.content_hash());
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
#[derive(Clone, PartialEq, Eq)]
pub struct State<R: Rules> {
    /// How many members there are.
    count: u8,
    /// The members; the position is the id.
    members: [Option<Interned<Member<R>>>; MEMBERS_MAX],
    /// The links, at [`State::link`].
    links: [Link; LINKS_MAX],
    /// The directions that are cut, one bit per link.
    pub cut: u32,
    /// Ghost: every entry ever committed anywhere, who led. Nothing of the cluster sees it.
    pub ledger: Interned<Ledger<Command>>,
    /// What is used of the budgets.
    pub spent: Spent,
    /// The property that the step into this state broke. Such a state has no successors.
    pub violated: Option<Arc<Broken>>,
}

/// A third of the words that a derived hash writes, once per transition. All fields are named, so that
/// a new one cannot be forgotten.
impl<R: Rules> Hash for State<R> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let State { count, members, links, cut, ledger, spent, violated } = self;
        let Spent { proposals, partitions, cuts, heartbeats } = *spent;
        let spent = u32::from_le_bytes([proposals, partitions, cuts, heartbeats]);
        hasher.write_u64(u64::from(*cut) << 32 | u64::from(spent));
        // How many of these there are follows from the count, which no step changes.
        let count = usize::from(*count);
        members.iter().flatten().for_each(|member| member.hash(hasher));
        links[..count * (count - 1)].iter().for_each(|link| link.hash(hasher));
        ledger.hash(hasher);
        if let Some(broken) = violated {
            broken.hash(hasher);
        }
    }
}

impl<R: Rules> State<R> {
    /// Members that have just been founded: nothing is cut, on its way or spent.
    ///
    /// # Panics
    /// There are more than [`MEMBERS_MAX`].
    #[must_use]
    pub fn founded(founders: Vec<Interned<Member<R>>>, ledger: Interned<Ledger<Command>>) -> State<R> {
        assert!(founders.len() <= MEMBERS_MAX, "a state has room for {MEMBERS_MAX} members");
        let count = u8::try_from(founders.len()).expect("members are few");
        let mut members = [const { None }; MEMBERS_MAX];
        members.iter_mut().zip(founders).for_each(|(slot, founder)| *slot = Some(founder));
        let links = [const { Link(None) }; LINKS_MAX];
        State { count, members, links, cut: 0, ledger, spent: Spent::default(), violated: None }
    }

    /// How many members there are.
    #[must_use]
    pub fn count(&self) -> usize {
        usize::from(self.count)
    }

    /// The members, in the order of their ids.
    pub fn members(&self) -> impl Iterator<Item = &Interned<Member<R>>> + Clone {
        self.members.iter().flatten()
    }

    /// A member.
    ///
    /// # Panics
    /// There is no such member.
    #[must_use]
    pub fn member(&self, id: usize) -> &Interned<Member<R>> {
        self.members[id].as_ref().expect("members are numbered from 0")
    }

    /// A member becomes another. Returns what it was.
    ///
    /// # Panics
    /// There is no such member.
    pub fn replace(&mut self, id: usize, member: Interned<Member<R>>) -> Interned<Member<R>> {
        self.members[id].replace(member).expect("members are numbered from 0")
    }

    /// The position of a direction among the links and in `cut`.
    #[must_use]
    pub fn link(&self, from: usize, to: usize) -> usize {
        from * (self.count() - 1) + to - usize::from(to > from)
    }

    /// What is in a direction.
    #[must_use]
    pub fn queue(&self, from: usize, to: usize) -> Option<&Queue> {
        self.links[self.link(from, to)].queue()
    }

    /// Whether a direction is cut.
    #[must_use]
    pub fn is_cut(&self, from: usize, to: usize) -> bool {
        self.cut & (1 << self.link(from, to)) != 0
    }

    /// Every direction between two members.
    pub fn directions(&self) -> impl Iterator<Item = (usize, usize)> + use<R> {
        let count = self.count();
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
        self.links[link] = Link(None);
    }

    /// Takes the oldest packet from a link.
    pub fn take(&mut self, from: usize, to: usize) -> Option<Interned<Packet>> {
        let link = self.link(from, to);
        let queue = self.links[link].queue()?;
        let (oldest, rest) = (queue.packets[0].clone(), queue.rest.clone());
        self.links[link] = rest;
        Some(oldest)
    }

    /// Changes a link that is not cut; one that is loses everything.
    pub(crate) fn send(&mut self, from: usize, to: usize, put: impl FnOnce(&Link) -> Link) {
        if !self.is_cut(from, to) {
            let link = self.link(from, to);
            self.links[link] = put(&self.links[link]);
        }
    }

    /// Every packet on every link.
    pub fn packets(&self) -> impl Iterator<Item = &Packet> {
        self.links.iter().filter_map(Link::queue).flat_map(|queue| &queue.packets).map(|packet| &**packet)
    }

    /// Whether nothing is cut, on its way, or on its way to a disk.
    #[must_use]
    pub fn is_healed_and_quiet(&self) -> bool {
        self.cut == 0
            && self.links.iter().all(|link| link.0.is_none())
            && self.members().all(|member| member.disk.pending.is_empty())
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
        for member in self.members() {
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
            if let Some(queue) = self.queue(from, to) {
                let packets: Vec<String> = queue.packets.iter().map(|packet| text::packet(packet)).collect();
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
        writeln!(f, "committed: {}", text::entries(self.ledger.entries()))?;
        let Spent { proposals, partitions, cuts, heartbeats } = self.spent;
        writeln!(
            f,
            "spent: {proposals} proposals, {partitions} partitions, {cuts} cuts, {heartbeats} heartbeats"
        )?;
        match &self.violated {
            Some(broken) => write!(f, "VIOLATED {broken}"),
            None => match converge::healed(&mut Memo::new(Stepping::Plain), self) {
                Ok(rounds) => {
                    write!(f, "every property holds; healed, all are equal after {rounds} heartbeats")
                }
                Err(broken) => write!(f, "VIOLATED {broken}"),
            },
        }
    }
}
