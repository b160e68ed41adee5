//! The network of a simulated cluster: one FIFO queue per direction between two members.
//!
//! Messages wait in their queue until they are delivered, dropped, doubled or moved to the back. A cut
//! link loses what is on it and what is sent over it. Nothing is forged or changed.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::fmt::Debug;
use core::hash::Hash;

use crate::raft::NodeId;

/// What a network does. A checker overrides a rule to plant a fault.
pub trait LinkRules: Clone + Copy + Debug + Default + PartialEq + Eq + PartialOrd + Ord + Hash {
    /// Whether a link takes a message.
    fn carries(is_cut: bool) -> bool {
        !is_cut
    }
}

/// A network that loses only where it is cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FaithfulLinks;

impl LinkRules for FaithfulLinks {}

/// A direction between two members.
pub type Link = (NodeId, NodeId);

/// All links, with what travels on them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Links<P> {
    queues: BTreeMap<Link, VecDeque<P>>,
    cut: BTreeSet<Link>,
}

impl<P> Default for Links<P> {
    fn default() -> Links<P> {
        Links { queues: BTreeMap::new(), cut: BTreeSet::new() }
    }
}

impl<P: Clone> Links<P> {
    pub(super) fn send<L: LinkRules>(&mut self, link: Link, packet: P) {
        if L::carries(self.cut.contains(&link)) {
            self.queues.entry(link).or_default().push_back(packet);
        }
    }

    /// Cuts one direction and loses what is on it.
    pub(super) fn cut(&mut self, link: Link) {
        self.cut.insert(link);
        self.queues.remove(&link);
    }

    pub(super) fn restore(&mut self, link: Link) {
        self.cut.remove(&link);
    }

    pub(super) fn restore_all(&mut self) {
        self.cut.clear();
    }

    /// The directions that are cut.
    pub fn cuts(&self) -> impl Iterator<Item = Link> + '_ {
        self.cut.iter().copied()
    }

    /// Whether this direction is cut.
    #[must_use]
    pub fn is_cut(&self, link: Link) -> bool {
        self.cut.contains(&link)
    }

    /// The links with something on them, and how much, in a fixed order.
    #[must_use]
    pub fn loaded(&self) -> Vec<(Link, usize)> {
        self.queues
            .iter()
            .filter(|(_, queue)| !queue.is_empty())
            .map(|(link, queue)| (*link, queue.len()))
            .collect()
    }

    /// What is on a link, oldest first.
    pub fn on(&self, link: Link) -> impl Iterator<Item = &P> {
        self.queues.get(&link).into_iter().flatten()
    }

    /// How many messages are on a link.
    #[must_use]
    pub fn len(&self, link: Link) -> usize {
        self.queues.get(&link).map_or(0, VecDeque::len)
    }

    /// Whether nothing is on its way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queues.values().all(VecDeque::is_empty)
    }

    /// The links from one member that were ever used, and how much is on them.
    pub fn from(&self, from: NodeId) -> impl Iterator<Item = (Link, usize)> + '_ {
        let range = (from, NodeId(0))..=(from, NodeId(u64::MAX));
        self.queues.range(range).map(|(link, queue)| (*link, queue.len()))
    }

    /// Takes the message that `position` others would arrive before.
    pub(super) fn take(&mut self, link: Link, position: usize) -> Option<P> {
        self.queues.get_mut(&link)?.remove(position)
    }

    /// Sends a message a second time, after all others. Returns whether there was one.
    pub(super) fn duplicate(&mut self, link: Link, position: usize) -> bool {
        let Some(queue) = self.queues.get_mut(&link) else { return false };
        let copy = queue.get(position).cloned();
        let is_there = copy.is_some();
        queue.extend(copy);
        is_there
    }

    /// Forgets all links of a member that left.
    pub(super) fn forget(&mut self, id: NodeId) {
        self.queues.retain(|(from, to), _| *from != id && *to != id);
        self.cut.retain(|(from, to)| *from != id && *to != id);
    }

    /// Lets every other message on the link overtake the oldest. Returns whether there was one.
    pub(super) fn delay(&mut self, link: Link) -> bool {
        let Some(queue) = self.queues.get_mut(&link) else { return false };
        if !queue.is_empty() {
            queue.rotate_left(1);
        }
        !queue.is_empty()
    }
}
