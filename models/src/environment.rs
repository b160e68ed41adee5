//! The world around the replicas: links, disks, clients and one timer. It is the only logic here; what
//! a replica does is decided by the shipped code.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Once};

use dkv::raft::{Durable, MessageKind, Payload, RequestId, Timer, Vitals};
use dkv::replica::{Effects, Forward, Input, Replica, Request, Rules, SnapshotPolicy};

use crate::configurations::{Configuration, DiskSync};
use crate::properties::{self, Broken, NO_PANIC};
use crate::shared::Shared;
use crate::state::{Command, Disk, Member, Packet, Response, Spent, State, id_of};

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
pub(crate) fn found<R: Rules>(configuration: &Configuration) -> State<R> {
    let count = usize::from(configuration.replicas);
    let genesis = Durable::genesis(id_of(0), properties::founding(count));
    let members = (0..count).map(|id| {
        let policy = SnapshotPolicy::default();
        let (replica, effects) = Replica::bootstrap(id_of(id), configuration.limits, policy, &genesis);
        assert!(effects.write.is_none() && effects.messages.is_empty(), "a founding member only waits");
        let disk = Disk { synced: Shared::new(genesis.clone()), pending: VecDeque::new() };
        Shared::new(Member { replica, disk })
    });
    State {
        members: members.collect(),
        links: vec![None; count * count],
        cut: 0,
        committed: Shared::new(Vec::new()),
        spent: Spent::default(),
        violated: None,
    }
}

/// Everything that may happen next, in a fixed order.
pub(crate) fn enabled<R: Rules>(configuration: &Configuration, state: &State<R>, actions: &mut Vec<Action>) {
    if state.violated.is_some() {
        return;
    }
    let (budgets, spent) = (&configuration.budgets, &state.spent);
    for (from, to) in state.directions() {
        if let Some(oldest) = state.links[state.link(from, to)].as_ref().and_then(|queue| queue.front()) {
            actions.push(Action::Deliver { from, to, kind: kind_of(oldest) });
        }
    }
    for (id, member) in state.members.iter().enumerate() {
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
pub(crate) fn step<R: Rules>(configuration: &Configuration, state: &State<R>, action: Action) -> State<R> {
    let mut next = state.clone();
    match guarded(|| act(configuration.sync, &mut next, action)) {
        Ok(Ok(())) => {}
        Ok(Err(broken)) => next.violated = Some(Arc::new(broken)),
        Err(detail) => {
            // What a panic leaves behind is no state of anything.
            next = state.clone();
            next.violated = Some(Arc::new(Broken { property: NO_PANIC, detail }));
        }
    }
    next
}

/// Carries out one action on a state. Panics where the core does.
pub(crate) fn act<R: Rules>(sync: DiskSync, state: &mut State<R>, action: Action) -> Result<(), Broken> {
    match action {
        Action::Deliver { from, to, .. } => {
            let packet = state.take(from, to).expect("only what is on a link is delivered");
            step_member(sync, state, to, Input::Packet(packet))
        }
        Action::Sync { id, count } => step_member(sync, state, id, Input::Persisted(count)),
        Action::Propose { at } => {
            state.spent.proposals += 1;
            let command = state.spent.proposals;
            let request = RequestId(u64::from(command));
            let propose = Request::Propose(vec![(request, command)]);
            step_member(sync, state, at, Input::Request(propose))
        }
        Action::Heartbeat { of } => {
            state.spent.heartbeats += 1;
            step_member(sync, state, of, Input::Timeout(Timer::Heartbeat))
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

/// Gives one member one input, does what it asks for, and judges it. The state machine is applied in
/// line, as in the executor of the simulated cluster.
fn step_member<R: Rules>(
    sync: DiskSync,
    state: &mut State<R>,
    id: usize,
    input: Input<Command, Response>,
) -> Result<(), Broken> {
    let mut member = Member::clone(&state.members[id]);
    if let Input::Persisted(count) = &input {
        member.disk.sync(*count as usize);
    }
    let mut next = Some(input);
    let mut reports = VecDeque::new();
    let mut verdict = Ok(());
    while let Some(input) = next {
        let before = Vitals::of(member.node());
        let effects = member.replica.step(input);
        verdict = verdict.and(carry_out(sync, state, &before, &mut member, effects, &mut reports));
        next = reports.pop_front();
    }
    state.members[id] = Shared::new(member);
    verdict
}

fn carry_out<R: Rules>(
    sync: DiskSync,
    state: &mut State<R>,
    before: &Vitals,
    member: &mut Member<R>,
    effects: Effects<Command, Response>,
    reports: &mut VecDeque<Input<Command, Response>>,
) -> Result<(), Broken> {
    let id = crate::state::index_of(before.id);
    if let Some(write) = effects.write {
        member.disk.pending.push_back(Shared::new(write));
        if sync == DiskSync::Instant {
            member.disk.sync(1);
            reports.push_back(Input::Persisted(1));
        }
    }
    state.send(id, effects.messages.into_iter().map(|envelope| Packet::Raft { envelope, chunk: None }));
    let forwards = effects.forwards.into_iter();
    state.send(id, forwards.map(|(to, forward)| Packet::Forward { from: before.id, to, forward }));
    let snapshots = effects.stage.is_some() || effects.install.is_some() || effects.load.is_some();
    assert!(!snapshots && !effects.take_snapshot, "nothing is compacted in these configurations");
    properties::judge_step(before, id, member, state)?;
    if !effects.apply.is_empty() {
        let log = member.node().log();
        let responses =
            log.range(effects.apply.after, effects.apply.to).filter_map(|entry| match entry.payload {
                Payload::Command(command) => Some((entry.id, command)),
                Payload::Noop | Payload::Configuration(_) => None,
            });
        let responses = if effects.wants_responses { responses.collect() } else { Vec::new() };
        reports.push_back(Input::Applied { last: effects.apply.to, responses });
    }
    effects.answers.iter().try_for_each(|answer| properties::judge_answer(answer, member, state))
}

// --- panics ------------------------------------------------------------------------------------------

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
    static PANICKED: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `body`; a panic becomes its message and place.
pub(crate) fn guarded<T>(body: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let outer = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if GUARDED.get() {
                PANICKED.set(Some(panic.to_string()));
            } else {
                outer(panic);
            }
        }));
    });
    let outer = GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(body));
    GUARDED.set(outer);
    result.map_err(|_| PANICKED.take().unwrap_or_else(|| "panicked".to_owned()))
}
