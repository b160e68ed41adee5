//! The actor model of propose, partition and heal: the replicas that ship as stateright actors.
//!
//! Each [`Member`] is an [`Actor`] around one [`Replica`]: a packet is a message, a timer a timer, and what a client
//! asks for is a choice of the actor. What it writes is durable at once and what is committed is applied at once,
//! so a step is over when the replica has nothing left to report. An [`ActorModel`] of them with ordered links does
//! the moving; [`Actors`] wraps it and adds what it lacks: clients, partitions that lose what is on the links, healing,
//! and budgets for timers, which are part of the state.
//!
//! Every transition is [observed](crate::refinement) on the abstract cluster, which is part of the state too: a
//! step that it does not have leads to a state that says so and has no successors.
//!
//! Nothing here is memoised, shared or shortened; that is the point, since the [direct model](crate::model) is, and a
//! test compares the two.
//!
//! Left out: crashes and disks (an actor's storage and messages leave it together, so nothing can come between
//! them), one-way cuts, answers to clients, reads, changes of members; the direct model has those.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use dkv::raft::{Configuration, Durable, Entry, Limits, NodeId, Payload, Raft, RequestId, Timer};
use dkv::replica::{self, Effects, Input, Replica, Request, Rules, SnapshotPolicy};
use stateright::actor::{
    Actor, ActorModel, ActorModelAction, ActorModelState, Id, Network, Out, model_timeout,
};
use stateright::{Model, Property};

use crate::bugs::{self, Bug, with_bug};
use crate::exhaust::{Counters, Explored};
use crate::guard::guarded;
use crate::refinement::{Shown, observe};
use crate::spec;

type Command = u8;
type Response = u8;
type Packet = replica::Packet<Command, Response>;
type Moved = ActorModelAction<Packet, Timer, Command>;

/// How often something may happen in one run, beside packets that arrive.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Budgets {
    /// Proposals by clients, at members that lead.
    pub proposals: u8,
    /// Partitions of one member from all others.
    pub partitions: u8,
    /// How often each timer fires, in the order of [`Timer::ALL`].
    pub timers: [u8; Timer::ALL.len()],
}

/// A replica that ships, whose disk and state machine take no time.
#[derive(Clone, Debug)]
pub struct Member<R> {
    founding: Configuration,
    limits: Limits,
    rules: PhantomData<R>,
}

impl<R: Rules> Member<R> {
    fn step(
        replica: &mut Replica<Command, Response, R>,
        input: Input<Command, Response>,
        out: &mut Out<Self>,
    ) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            let effects = replica.step(input);
            Self::carry_out(replica, effects, &mut inputs, out);
        }
    }

    fn carry_out(
        replica: &Replica<Command, Response, R>,
        effects: Effects<Command, Response>,
        reports: &mut VecDeque<Input<Command, Response>>,
        out: &mut Out<Self>,
    ) {
        reports.extend(effects.write.map(|_| Input::Persisted(1)));
        for envelope in effects.messages {
            out.send(id_of(envelope.to), Packet::Raft { envelope, chunk: None });
        }
        for (to, forward) in effects.forwards {
            out.send(id_of(to), Packet::Forward { from: replica.node().id(), to, forward });
        }
        if !effects.apply.is_empty() {
            let applied = replica.node().log().range(effects.apply.after, effects.apply.to);
            let responses = applied.filter_map(|entry| match entry.payload {
                Payload::Command(command) => Some((entry.id, command)),
                Payload::Noop | Payload::Configuration(_) => None,
            });
            let responses = if effects.wants_responses { responses.collect() } else { Vec::new() };
            reports.push_back(Input::Applied { last: effects.apply.to, responses });
        }
        effects.cancelled.iter().for_each(|timer| out.cancel_timer(timer));
        effects.set.iter().for_each(|timer| out.set_timer(timer, model_timeout()));
    }
}

impl<R: Rules> Actor for Member<R> {
    type Msg = Packet;
    type Timer = Timer;
    type State = Replica<Command, Response, R>;
    type Storage = ();
    type Random = Command;

    fn on_start(&self, id: Id, _: &Option<()>, out: &mut Out<Self>) -> Self::State {
        let genesis = Durable::genesis(NodeId(0), self.founding.clone());
        let id = NodeId(usize::from(id) as u64);
        let (replica, effects) = Replica::bootstrap(id, self.limits, SnapshotPolicy::default(), &genesis);
        let mut reports = VecDeque::new();
        Self::carry_out(&replica, effects, &mut reports, out);
        assert!(reports.is_empty(), "a founding member only waits");
        replica
    }

    fn on_msg(&self, _: Id, state: &mut Cow<Self::State>, _: Id, packet: Packet, out: &mut Out<Self>) {
        Self::step(state.to_mut(), Input::Packet(packet), out);
    }

    fn on_timeout(&self, _: Id, state: &mut Cow<Self::State>, timer: &Timer, out: &mut Out<Self>) {
        Self::step(state.to_mut(), Input::Timeout(*timer), out);
    }

    /// A client proposes a command, under a request of its number.
    fn on_random(&self, _: Id, state: &mut Cow<Self::State>, command: &Command, out: &mut Out<Self>) {
        let propose = Request::Propose(vec![(RequestId(u64::from(*command)), *command)]);
        Self::step(state.to_mut(), Input::Request(propose), out);
    }
}

fn id_of(id: NodeId) -> Id {
    usize::try_from(id.0).expect("members are few").into()
}

/// What no member sees: the abstract cluster, what is spent, and whether a step was none of the abstract cluster's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ghost {
    /// The abstract cluster, with the cuts, which are the real ones as well.
    pub cluster: spec::Cluster<Entry<Command>>,
    /// What is spent of the budgets.
    pub spent: Budgets,
    /// The property that the step into this state broke, and how. Such a state has no successors.
    pub violated: Option<(&'static str, Arc<str>)>,
}

/// One moment of the whole system.
pub type State<R> = ActorModelState<Member<R>, Ghost>;

/// Something that may happen next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The actor model moves: a packet arrives, a timer fires, a client proposes.
    Move(Moved),
    /// A member is cut off from all others, both ways.
    Partition(usize),
    /// All links are restored.
    Heal,
}

impl Action {
    fn kind(&self) -> usize {
        match self {
            Action::Move(ActorModelAction::Deliver { .. }) => 0,
            Action::Move(ActorModelAction::Timeout(..)) => 1,
            Action::Move(_) => 2,
            Action::Partition(_) => 3,
            Action::Heal => 4,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Move(ActorModelAction::Deliver { src, dst, msg }) => {
                write!(f, "deliver n{}→n{} {msg:?}", usize::from(*src), usize::from(*dst))
            }
            Action::Move(ActorModelAction::Timeout(id, timer)) => {
                write!(f, "{timer:?} fires at n{}", usize::from(*id))
            }
            Action::Move(ActorModelAction::SelectRandom { actor, random, .. }) => {
                write!(f, "propose {random} at n{}", usize::from(*actor))
            }
            Action::Move(other) => write!(f, "{other:?}"),
            Action::Partition(id) => write!(f, "partition n{id}"),
            Action::Heal => write!(f, "heal"),
        }
    }
}

/// The actor model with clients, partitions and budgets.
pub struct Actors<R: Rules = Raft> {
    inner: ActorModel<Member<R>, (), Ghost>,
    budgets: Budgets,
    counters: Counters,
    bug: Option<Bug>,
}

/// The property that every transition is a step of the abstract cluster, or none.
pub const REFINES: &str = "refines_the_abstract_cluster";
/// No handler panics and no assertion of the core fails.
pub const NO_PANIC: &str = crate::properties::NO_PANIC;

impl<R: Rules> Actors<R> {
    /// So many members under these budgets. They have the bug that is active now, if `R` has bugs.
    #[must_use]
    pub fn new(members: usize, limits: Limits, budgets: Budgets) -> Actors<R> {
        let founding = Configuration::of_voters((0..members as u64).map(NodeId));
        let member = Member { founding, limits, rules: PhantomData };
        let ghost = Ghost { cluster: spec::Cluster::new(members), spent: Budgets::default(), violated: None };
        let inner =
            ActorModel::new((), ghost).actors(vec![member; members]).init_network(Network::new_ordered([]));
        Actors { inner, budgets, counters: Counters::default(), bug: bugs::active() }
    }

    fn members(&self) -> usize {
        self.inner.actors.len()
    }

    fn around(&self, id: usize) -> spec::Links {
        (0..self.members())
            .filter(|other| *other != id)
            .flat_map(|other| [(id, other), (other, id)])
            .collect()
    }

    /// Whether the budgets allow what the actor model offers.
    fn allows(&self, state: &State<R>, moved: &Moved) -> bool {
        let Ghost { cluster, spent, .. } = &state.history;
        match moved {
            ActorModelAction::Deliver { src, dst, .. } => {
                !cluster.cuts.contains(&(usize::from(*src), usize::from(*dst)))
            }
            ActorModelAction::Timeout(_, timer) => {
                spent.timers[*timer as usize] < self.budgets.timers[*timer as usize]
            }
            _ => false,
        }
    }

    fn act(&self, state: &State<R>, action: &Action) -> Option<State<R>> {
        let Action::Move(moved) = action else {
            let mut next = state.clone();
            let (links, action): (_, fn(_) -> _) = match action {
                Action::Partition(id) => (self.around(*id), spec::Action::Cut),
                _ => (state.history.cluster.cuts.clone(), spec::Action::Restore),
            };
            next.history.spent.partitions += u8::from(matches!(action(links.clone()), spec::Action::Cut(_)));
            next.history.cluster.step(action(links)).expect("links may always fail and work again");
            self.lose_cut(&mut next);
            return Some(next);
        };
        let mut next = self.inner.next_state(state, moved.clone())?;
        self.lose_cut(&mut next);
        let Ghost { cluster, spent, violated } = &mut next.history;
        let at = match moved {
            ActorModelAction::Deliver { dst, .. } => *dst,
            ActorModelAction::Timeout(id, timer) => {
                spent.timers[*timer as usize] += 1;
                *id
            }
            ActorModelAction::SelectRandom { actor, .. } => {
                spent.proposals += 1;
                *actor
            }
            _ => unreachable!("nothing crashes here"),
        };
        let at = usize::from(at);
        let before = &cluster.replicas[&at];
        let shown = Shown::by_node(next.actor_states[at].node(), before.prefix + before.tail.len());
        if let Err(detail) = observe(cluster, at, &shown) {
            *violated = Some((REFINES, detail.into()));
        }
        Some(next)
    }

    /// What is sent over a link that is cut, or was on it, is lost.
    fn lose_cut(&self, state: &mut State<R>) {
        let cuts = &state.history.cluster.cuts;
        if let Network::Ordered(links) = &mut state.network {
            links.retain(|(from, to), _| !cuts.contains(&(usize::from(*from), usize::from(*to))));
        }
    }

    /// Reports the first violation only.
    fn holds(&self, state: &State<R>, name: &str) -> bool {
        !state
            .history
            .violated
            .as_ref()
            .is_some_and(|(property, _)| *property == name && self.counters.fails())
    }
}

impl<R: Rules + Send + Sync + 'static> Model for Actors<R> {
    type State = State<R>;
    type Action = Action;

    fn init_states(&self) -> Vec<State<R>> {
        with_bug(self.bug, || self.inner.init_states())
    }

    fn actions(&self, state: &State<R>, actions: &mut Vec<Action>) {
        if !self.counters.expand() {
            return;
        }
        let Ghost { cluster, spent, violated } = &state.history;
        if violated.is_some() {
            return;
        }
        let mut offered = Vec::new();
        self.inner.actions(state, &mut offered);
        actions.extend(offered.into_iter().filter(|moved| self.allows(state, moved)).map(Action::Move));
        for (id, member) in state.actor_states.iter().enumerate() {
            if spent.proposals < self.budgets.proposals && member.node().is_leader() {
                let (actor, random) = (id.into(), spent.proposals + 1);
                let propose = ActorModelAction::SelectRandom { actor, key: String::new(), random };
                actions.push(Action::Move(propose));
            }
            if spent.partitions < self.budgets.partitions && !self.around(id).is_subset(&cluster.cuts) {
                actions.push(Action::Partition(id));
            }
        }
        if !cluster.cuts.is_empty() {
            actions.push(Action::Heal);
        }
    }

    fn next_state(&self, state: &State<R>, action: Action) -> Option<State<R>> {
        self.counters.count(action.kind());
        let next = with_bug(self.bug, || guarded(|| self.act(state, &action)));
        next.unwrap_or_else(|panic| {
            let mut next = state.clone();
            next.history.violated = Some((NO_PANIC, panic.into()));
            Some(next)
        })
    }

    fn format_action(&self, action: &Action) -> String {
        action.to_string()
    }

    fn properties(&self) -> Vec<Property<Self>> {
        fn node<R: Rules>(state: &State<R>, id: usize) -> &dkv::raft::Node<Command, R> {
            state.actor_states[id].node()
        }
        let mut properties: Vec<Property<Self>> = vec![
            Property::always(REFINES, |model: &Self, state: &State<R>| model.holds(state, REFINES)),
            Property::always(NO_PANIC, |model: &Self, state: &State<R>| model.holds(state, NO_PANIC)),
            Property::sometimes("commits_while_one_is_cut_off", |model: &Self, state: &State<R>| {
                let Ghost { cluster, .. } = &state.history;
                (0..model.members()).any(|id| {
                    let is_behind = cluster.replicas[&id].prefix < cluster.committed.len();
                    is_behind && model.around(id).is_subset(&cluster.cuts)
                })
            }),
            Property::sometimes("healed_with_equal_logs", |model: &Self, state: &State<R>| {
                let Ghost { cluster, spent, .. } = &state.history;
                let len = cluster.committed.len();
                let is_equal = |replica: &spec::Replica<_>| replica.known == len && replica.tail.is_empty();
                spent.partitions > 0
                    && cluster.cuts.is_empty()
                    && len >= usize::from(model.budgets.proposals)
                    && cluster.replicas.values().all(is_equal)
            }),
        ];
        if self.budgets.timers[Timer::Election as usize] > 0 {
            properties.extend([
                Property::sometimes("two_terms_lead_at_once", |model: &Self, state: &State<R>| {
                    (0..model.members()).filter(|id| node(state, *id).is_leader()).count() > 1
                }),
                Property::sometimes("old_tail_is_replaced", |_, state: &State<R>| {
                    let cluster = &state.history.cluster;
                    let is_held =
                        |entry| cluster.replicas.values().any(|replica| replica.tail.contains(entry));
                    !cluster.committed.is_empty() && cluster.open.iter().any(|entry| !is_held(entry))
                }),
            ]);
        }
        properties
    }
}

impl<R: Rules + Send + Sync + 'static> Explored for Actors<R> {
    const KINDS: &'static [&'static str] = &["deliver", "timeout", "propose", "partition", "heal"];

    fn counters(&self) -> &Counters {
        &self.counters
    }

    fn wrong(&self, state: &State<R>) -> Option<String> {
        state.history.violated.as_ref().map(|(_, detail)| detail.to_string())
    }
}
