//! The world around the replicas: links, disks, clients and one timer. It is the only logic here; what
//! a replica does is decided by the shipped code.
//!
//! Left out: how a member steps ([`local`](crate::local)), how that is remembered
//! ([`memo`](crate::memo)), and every event that no configuration has yet.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use dkv::raft::{Durable, MessageKind};
use dkv::replica::{Forward, Replica, Rules, SnapshotPolicy};

use crate::configurations::{Configuration, DiskSync};
use crate::local::Event;
use crate::memo::Memo;
use crate::properties::{self, Broken, NO_PANIC};
use crate::state::{Disk, Member, Packet, Spent, State, id_of};

/// Something the world may do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The oldest packet of a link arrives.
    Deliver {
        /// Who sent it.
        from: usize,
        /// Who gets it.
        to: usize,
        /// What it is.
        kind: Kind,
    },
    /// A member's disk completes its oldest writes.
    Sync {
        /// Whose disk.
        id: usize,
        /// How many writes.
        count: u32,
    },
    /// A client asks a member to apply the next command.
    Propose {
        /// Which member.
        at: usize,
    },
    /// A leader's heartbeat timer fires.
    Heartbeat {
        /// Which leader.
        of: usize,
    },
    /// A member is cut off from all others, both ways.
    Partition {
        /// Which member.
        id: usize,
    },
    /// One direction is cut.
    Cut {
        /// Who is not heard any more.
        from: usize,
        /// By whom.
        to: usize,
    },
    /// All links are restored.
    Heal,
}

impl Action {
    /// The names of the kinds of actions, for reports.
    pub const KINDS: [&str; 7] = ["deliver", "sync", "propose", "heartbeat", "partition", "cut", "heal"];

    /// The position of this action's kind in [`Action::KINDS`].
    #[must_use]
    pub fn kind(self) -> usize {
        match self {
            Action::Deliver { .. } => 0,
            Action::Sync { .. } => 1,
            Action::Propose { .. } => 2,
            Action::Heartbeat { .. } => 3,
            Action::Partition { .. } => 4,
            Action::Cut { .. } => 5,
            Action::Heal => 6,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Action::Deliver { from, to, kind: Kind::Raft(kind) } => {
                write!(f, "deliver {kind:?} n{from}→n{to}")
            }
            Action::Deliver { from, to, kind } => write!(f, "deliver {kind:?} n{from}→n{to}"),
            Action::Sync { id, count } => write!(f, "sync {count} of n{id}"),
            Action::Propose { at } => write!(f, "propose at n{at}"),
            Action::Heartbeat { of } => write!(f, "heartbeat of n{of}"),
            Action::Partition { id } => write!(f, "partition n{id}"),
            Action::Cut { from, to } => write!(f, "cut n{from}→n{to}"),
            Action::Heal => write!(f, "heal"),
        }
    }
}

/// The kind of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A message of consensus.
    Raft(MessageKind),
    /// A client's request on its way to the leader.
    Forward,
    /// The answer to it.
    Answer,
}

/// The kind of a packet.
#[must_use]
pub fn kind_of(packet: &Packet) -> Kind {
    match packet {
        Packet::Raft { envelope, .. } => Kind::Raft(envelope.message.kind()),
        Packet::Forward { forward: Forward::Propose { .. }, .. } => Kind::Forward,
        Packet::Forward { forward: Forward::Answer { .. }, .. } => Kind::Answer,
    }
}

/// The cluster as it was founded: genesis disks, and member 0 leads term 1.
pub(crate) fn found<R: Rules>(memo: &mut Memo<R>, configuration: &Configuration) -> State<R> {
    let count = usize::from(configuration.replicas);
    let founding = properties::founding(count);
    let genesis = Durable::genesis(id_of(0), founding.clone());
    let founders = (0..count).map(|id| {
        let policy = SnapshotPolicy::default();
        let (replica, effects) = Replica::bootstrap(id_of(id), configuration.limits, policy, &genesis);
        assert!(effects.write.is_none() && effects.messages.is_empty(), "a founding member only waits");
        let disk = Disk { synced: genesis.clone(), pending: VecDeque::new() };
        memo.member(Member::new(replica, disk))
    });
    let founders: Vec<_> = founders.collect();
    let ledger = memo.ledger(properties::founding_ledger(&founding, &founders));
    State::founded(founders, ledger)
}

/// Everything that may happen next, in a fixed order.
pub(crate) fn enabled<R: Rules>(configuration: &Configuration, state: &State<R>, actions: &mut Vec<Action>) {
    if state.violated.is_some() {
        return;
    }
    let (budgets, spent): (&_, &Spent) = (&configuration.budgets, &state.spent);
    for (from, to) in state.directions() {
        if let Some(queue) = state.queue(from, to) {
            actions.push(Action::Deliver { from, to, kind: queue.kind });
        }
    }
    for (id, member) in state.members().enumerate() {
        let pending = u32::try_from(member.disk.pending.len()).expect("few writes are pending");
        actions.extend((1..=pending).map(|count| Action::Sync { id, count }));
        let is_leader = member.node().is_leader();
        if spent.proposals < budgets.proposals && (is_leader || configuration.propose_anywhere) {
            actions.push(Action::Propose { at: id });
        }
        if spent.heartbeats < budgets.heartbeats && is_leader {
            actions.push(Action::Heartbeat { of: id });
        }
        if spent.partitions < budgets.partitions && !state.is_isolated(id) {
            actions.push(Action::Partition { id });
        }
    }
    if spent.cuts < budgets.cuts {
        let connected = state.directions().filter(|(from, to)| !state.is_cut(*from, *to));
        actions.extend(connected.map(|(from, to)| Action::Cut { from, to }));
    }
    if state.cut != 0 {
        actions.push(Action::Heal);
    }
}

/// Carries out one action. What it breaks, a panic too, is in the state it leads to.
pub(crate) fn step<R: Rules>(
    memo: &mut Memo<R>,
    configuration: &Configuration,
    state: &State<R>,
    action: Action,
) -> State<R> {
    let mut next = state.clone();
    if let Err(broken) = act(memo, configuration.sync, &mut next, action) {
        if broken.property == NO_PANIC {
            // What a panic leaves behind is no state of anything.
            next = state.clone();
        }
        next.violated = Some(Arc::new(broken));
    }
    next
}

/// Carries out one action on a state.
pub(crate) fn act<R: Rules>(
    memo: &mut Memo<R>,
    sync: DiskSync,
    state: &mut State<R>,
    action: Action,
) -> Result<(), Broken> {
    match action {
        Action::Deliver { from, to, .. } => {
            let packet = state.take(from, to).expect("only what is on a link is delivered");
            memo.step(sync, state, to, &Event::Packet(packet))
        }
        Action::Sync { id, count } => memo.step(sync, state, id, &Event::Persisted(count)),
        Action::Propose { at } => {
            state.spent.proposals += 1;
            let command = state.spent.proposals;
            memo.step(sync, state, at, &Event::Propose(command))
        }
        Action::Heartbeat { of } => {
            state.spent.heartbeats += 1;
            memo.step(sync, state, of, &Event::Heartbeat)
        }
        Action::Partition { id } => {
            state.spent.partitions += 1;
            for (from, to) in state.directions().filter(|(from, to)| *from == id || *to == id) {
                state.cut(from, to);
            }
            Ok(())
        }
        Action::Cut { from, to } => {
            state.spent.cuts += 1;
            state.cut(from, to);
            Ok(())
        }
        Action::Heal => {
            state.cut = 0;
            Ok(())
        }
    }
}
