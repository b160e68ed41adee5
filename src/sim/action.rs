//! Everything that can be done to a world, as values: what a seed draws, a replay repeats and shrinking
//! leaves out.
//!
//! An action that finds nothing to act on does nothing, so any part of a list of actions is a list of
//! actions.

use alloc::vec::Vec;

use super::history::Call;
use crate::cluster::links::Link;
use crate::raft::{MemberChange, NodeId, Timer};

/// The number of a client.
pub type ClientNumber = u8;

/// One step of a world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A message arrives: the one on the link that `position` others are ahead of.
    Deliver {
        /// The direction.
        link: Link,
        /// How many it overtakes.
        position: u32,
    },
    /// A message is lost.
    Drop {
        /// The direction.
        link: Link,
        /// How many are ahead of it.
        position: u32,
    },
    /// A message is on its way once more, behind the others.
    Duplicate {
        /// The direction.
        link: Link,
        /// How many are ahead of it.
        position: u32,
    },
    /// The oldest writes become durable.
    Sync {
        /// Whose.
        id: NodeId,
        /// How many.
        count: u32,
    },
    /// A timer fires.
    Timeout {
        /// Whose.
        id: NodeId,
        /// Which.
        timer: Timer,
    },

    /// A client without a session asks for one.
    OpenSession {
        /// Which client.
        client: ClientNumber,
        /// The member that it asks.
        at: NodeId,
    },
    /// An idle client begins an operation, under its session if it has one.
    Call {
        /// Which client.
        client: ClientNumber,
        /// The member that it asks.
        at: NodeId,
        /// What it asks for.
        call: Call,
    },
    /// A client that waits asks again: a read anew, a write under the same number of its session.
    Retry {
        /// Which client.
        client: ClientNumber,
        /// The member that it asks.
        at: NodeId,
    },
    /// A client's patience ends: no answer is awaited any more. Under a session it may still retry;
    /// without one, it never learns the outcome.
    GiveUp {
        /// Which client.
        client: ClientNumber,
    },
    /// A client ends in the middle of what it does; another takes its place, without a session.
    Replace {
        /// Which client.
        client: ClientNumber,
    },

    /// These directions carry nothing, and lose what is on them.
    Cut(Vec<Link>),
    /// These directions carry messages again.
    Restore(Vec<Link>),
    /// A member stops; the `keep` oldest of its unsynced writes survive.
    Crash {
        /// Which.
        id: NodeId,
        /// How many writes.
        keep: u32,
    },
    /// A member starts from its disk.
    Restart(NodeId),
    /// What a member has synced is copied.
    BackUp(NodeId),
    /// A member stops and loses its directory.
    LoseDisk(NodeId),
    /// A member stops and gets back the copy of its directory.
    RollBackDisk(NodeId),
    /// A member's clock runs at another rate.
    SetClockRate {
        /// Which.
        id: NodeId,
        /// In thousandths.
        permille: u64,
    },

    /// A member writes a snapshot and purges its log.
    Compact(NodeId),
    /// A new member starts with an empty disk.
    Join(NodeId),
    /// An operator asks for a change of members.
    ChangeMembers {
        /// The member that is asked.
        at: NodeId,
        /// What is asked for.
        changes: Vec<MemberChange>,
    },
    /// An operator asks for another leader.
    Transfer {
        /// The member that is asked.
        at: NodeId,
        /// Who is to lead.
        to: NodeId,
    },
    /// A member that is down leaves for good.
    Retire(NodeId),
}

impl Action {
    /// The member that the action makes step, if it is one.
    pub(super) fn member(&self) -> Option<NodeId> {
        match self {
            Action::Deliver { link: (_, to), .. } => Some(*to),
            Action::Sync { id, .. }
            | Action::Timeout { id, .. }
            | Action::Crash { id, .. }
            | Action::Restart(id)
            | Action::Compact(id)
            | Action::Join(id)
            | Action::LoseDisk(id)
            | Action::RollBackDisk(id) => Some(*id),
            Action::OpenSession { at, .. }
            | Action::Call { at, .. }
            | Action::Retry { at, .. }
            | Action::ChangeMembers { at, .. }
            | Action::Transfer { at, .. } => Some(*at),
            Action::Drop { .. }
            | Action::Duplicate { .. }
            | Action::GiveUp { .. }
            | Action::Replace { .. }
            | Action::Cut(_)
            | Action::Restore(_)
            | Action::BackUp(_)
            | Action::SetClockRate { .. }
            | Action::Retire(_) => None,
        }
    }

    /// The members that a client or an operator asks, and those an operator asks about. Only in a part of a
    /// list of actions may one of them not exist.
    pub(super) fn asked(&self) -> Vec<NodeId> {
        match self {
            Action::OpenSession { at, .. } | Action::Call { at, .. } | Action::Retry { at, .. } => {
                Vec::from([*at])
            }
            Action::ChangeMembers { at, changes } => {
                let named = changes.iter().map(|change| match change {
                    MemberChange::AddLearner(id) | MemberChange::Promote(id) | MemberChange::Remove(id) => {
                        *id
                    }
                });
                named.chain([*at]).collect()
            }
            Action::Transfer { at, to } => Vec::from([*at, *to]),
            _ => Vec::new(),
        }
    }
}
