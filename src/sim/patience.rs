//! When clients act: what they ask for, whom they ask, and how long they wait.

use alloc::vec::Vec;

use super::action::{Action, ClientNumber};
use super::agenda::Due;
use super::client::Session;
use super::coverage::Fault;
use super::history::{Call, Step};
use super::plan::ELECTION_TIMEOUT_MS;
use super::schedule::{PROBES, Phase, Schedule};
use super::world::{StoreOf, World};
use crate::cluster::Policies;
use crate::kv;
use crate::raft::{Bytes, Node, NodeId};

impl Schedule {
    /// A client that waits for nothing goes on: with the next operation, or with another attempt.
    pub(super) fn turn<P: Policies, K: kv::Rules>(&mut self, world: &mut World<P, K>, number: ClientNumber)
    where
        StoreOf<K>: Default,
    {
        let client = world.client(number);
        if client.current.is_none() && !client.surplus.is_empty() && !self.random.chance(self.load.impatient)
        {
            self.act(world, Action::GiveUp { client: number });
        }
        let client = world.client(number);
        if self.phase != Phase::Storm && world.settled_leader().is_none() {
            // A member may pass a request on to a leader that is gone, or soon will be, and never know.
            return self.after(ELECTION_TIMEOUT_MS / 4, Due::Turn(number));
        }
        let action = match &client.current {
            Some(current) if current.attempts.is_empty() && current.may_retry() => {
                world.coverage.fault(Fault::ClientRetry);
                let at = self.choose_member(world, number);
                Action::Retry { client: number, at }
            }
            Some(_) => return,
            None => {
                let wants_session = client.session == Session::None;
                if let Phase::Calm { answered_before, .. } = self.phase
                    && world.work().answered >= answered_before + PROBES
                {
                    return;
                }
                let wants_session = wants_session && self.random.chance(self.load.sessions);
                let at = self.choose_member(world, number);
                if wants_session && self.phase == Phase::Storm {
                    Action::OpenSession { client: number, at }
                } else {
                    Action::Call { client: number, at, call: self.draw_call() }
                }
            }
        };
        if let Some(until_ms) = action.asked().iter().find_map(|at| self.is_paused(*at)) {
            // Nobody there takes the request now; later the client looks for somebody again.
            let patience_ms = self.draw(self.load.patience_ms);
            return self.after(patience_ms.min(until_ms - self.now_ms), Due::Turn(number));
        }
        self.act(world, action);
        if self.phase == Phase::Storm && self.random.chance(self.troubles.ambush) {
            let delay_ms = self.random.between(0, 2 * self.weather.latency_ms.1);
            self.after(delay_ms, Due::Ambush);
        }
        if let Some(current) = &world.client(number).current
            && self.phase == Phase::Storm
        {
            let operation = current.number;
            let patience_ms = self.draw(self.load.patience_ms);
            self.after(patience_ms, Due::Patience { client: number, operation });
        }
    }

    pub(super) fn lose_patience<P: Policies, K: kv::Rules>(
        &mut self,
        world: &mut World<P, K>,
        number: ClientNumber,
        operation: u64,
    ) where
        StoreOf<K>: Default,
    {
        let waits = |world: &World<P, K>| {
            let current = world.client(number).current.as_ref();
            current.is_some_and(|current| current.number == operation && !current.attempts.is_empty())
        };
        if !waits(world) {
            return;
        }
        if self.random.chance(self.load.ends) && self.phase == Phase::Storm {
            world.coverage.fault(Fault::ClientEnd);
            self.act(world, Action::Replace { client: number });
            return;
        }
        if !self.random.chance(self.load.impatient) {
            world.coverage.fault(Fault::ClientTimeout);
            self.act(world, Action::GiveUp { client: number });
        }
        let may_retry = |world: &World<P, K>| {
            let current = world.client(number).current.as_ref();
            current.is_some_and(|current| current.number == operation && current.may_retry())
        };
        let at = self.choose_member(world, number);
        if may_retry(world) && self.is_paused(at).is_none() {
            world.coverage.fault(Fault::ClientRetry);
            self.act(world, Action::Retry { client: number, at });
        }
        if waits(world) {
            let patience_ms = self.draw(self.load.patience_ms);
            self.after(patience_ms, Due::Patience { client: number, operation });
        }
    }

    /// Whom a client asks: the leader, as far as anybody knows, or anyone, even one that is down. In a calm anyone
    /// that follows the leader: each of them must answer.
    fn choose_member<P: Policies, K: kv::Rules>(
        &mut self,
        world: &mut World<P, K>,
        number: ClientNumber,
    ) -> NodeId
    where
        StoreOf<K>: Default,
    {
        let following: Vec<NodeId> = if self.phase == Phase::Storm {
            let prefers_leader = self.random.chance(self.load.to_leader);
            world.cluster().leader().into_iter().filter(|_| prefers_leader).collect()
        } else {
            world.settled_leader().map(|leader| followers(world, leader)).unwrap_or_default()
        };
        let chosen = if following.is_empty() {
            let ids: Vec<NodeId> = world.cluster().members().keys().copied().collect();
            *self.random.pick(&ids)
        } else {
            *self.random.pick(&following)
        };
        if self.asked.insert(number, chosen).is_some_and(|before| before != chosen) {
            world.coverage.fault(Fault::ClientSwitch);
        }
        chosen
    }

    // --- operations ----------------------------------------------------------------------------

    /// Something for a client to do.
    fn draw_call(&mut self) -> Call {
        let key = |number: u64| Bytes::from([b'a' + number as u8].as_slice());
        let keys = self.load.keys;
        let (one, other) = (self.random.below(keys), self.random.below(keys));
        let reads = if self.phase == Phase::Storm { self.load.reads } else { 500 };
        if self.random.chance(reads) {
            let all = self.random.chance(300);
            return Call::Read(if all { (0..keys).map(key).collect() } else { Vec::from([key(one)]) });
        }
        self.values += 1;
        let value = |number: u64| Bytes::from(alloc::format!("v{number}").as_bytes());
        let new = value(self.values);
        // What a key held a moment ago, or that it does not exist.
        let guess = self.values.saturating_sub(self.random.between(1, 4));
        let guess = (guess > 0 && self.random.chance(700)).then(|| value(guess));
        let write = |compares, then, otherwise| Call::Write { compares, then, otherwise };
        if !self.random.chance(self.load.transactions) {
            let step =
                if self.random.chance(200) { Step::Delete(key(one)) } else { Step::Put(key(one), new) };
            return write(Vec::new(), Vec::from([step]), Vec::new());
        }
        let put = Step::Put(key(one), new);
        if one == other {
            return write(Vec::from([(key(one), guess)]), Vec::from([put]), Vec::from([Step::Get(key(one))]));
        }
        self.values += 1;
        let then = match self.random.below(3) {
            0 => Vec::from([put, Step::Put(key(other), value(self.values))]),
            1 => Vec::from([put, Step::Get(key(other))]),
            _ => Vec::from([put, Step::Delete(key(other))]),
        };
        let compares = if self.random.chance(500) { Vec::from([(key(other), guess)]) } else { Vec::new() };
        write(compares, then, Vec::from([Step::Get(key(one)), Step::Get(key(other))]))
    }
}

/// The leader and the members that know of it, in its term and by its configuration.
fn followers<P: Policies, K: kv::Rules>(world: &World<P, K>, leader: &Node<Bytes, P::Rules>) -> Vec<NodeId>
where
    StoreOf<K>: Default,
{
    let is_following = |node: &&Node<Bytes, P::Rules>| {
        node.leader() == Some(leader.id())
            && node.term() == leader.term()
            && (node.id() == leader.id() || leader.configuration().contains(node.id()))
    };
    world.cluster().nodes().filter(is_following).map(Node::id).collect()
}
