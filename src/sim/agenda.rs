//! What will happen when: the future of a simulated world, in the order of virtual time.

use alloc::collections::BinaryHeap;
use alloc::vec::Vec;
use core::cmp::Ordering;

use super::action::ClientNumber;
use crate::cluster::links::Link;
use crate::raft::NodeId;

/// Something that is due at a time, unless the world has moved on by then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// The message with this ticket arrives, or is lost.
    Message { link: Link, ticket: u64, is_lost: bool },
    /// A disk is done with what it was given.
    Sync(NodeId),
    /// A client without anything to wait for acts.
    Turn(ClientNumber),
    /// A client has waited long enough for this operation.
    Patience { client: ClientNumber, operation: u64 },
    /// A member that is down starts.
    Restart(NodeId),
    /// Cut links carry again.
    Restore(Vec<Link>),
    /// The nemesis acts.
    Trouble,
    /// The nemesis acts against the leader, which has something to replicate.
    Ambush,
    /// The operator looks after members that lost their disk.
    Repair,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Item {
    time_ms: u64,
    /// Drawn, so that what is due in the same millisecond happens in any order.
    tie: u64,
    due: Due,
}

impl Ord for Item {
    /// The heap's first is the largest, so the earliest is the largest.
    fn cmp(&self, other: &Item) -> Ordering {
        (other.time_ms, other.tie).cmp(&(self.time_ms, self.tie))
    }
}

impl PartialOrd for Item {
    fn partial_cmp(&self, other: &Item) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Everything that is due, the earliest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Agenda {
    items: BinaryHeap<Item>,
}

impl Agenda {
    pub(super) fn add(&mut self, time_ms: u64, tie: u64, due: Due) {
        self.items.push(Item { time_ms, tie, due });
    }

    pub(super) fn next_ms(&self) -> Option<u64> {
        self.items.peek().map(|item| item.time_ms)
    }

    pub(super) fn pop(&mut self) -> Option<Due> {
        self.items.pop().map(|item| item.due)
    }

    pub(super) fn clear(&mut self) {
        self.items.clear();
    }
}
