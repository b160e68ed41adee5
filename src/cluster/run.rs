//! How a cluster moves: delivering, settling, letting time pass; and the one place where a member steps.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::vec::Vec;

use super::invariants::{Before, applies_only_durable, healed_replicas_converge, leaves_only_durable};
use super::member::REAL_TIME_PERMILLE;
use super::trace::Event;
use super::{Cluster, Outcome, Pending, Policies};
use crate::codec::{Wire, from_bytes};
use crate::raft::invariants::{Invariant, Verdict, Violation, Vitals, ensure};
use crate::raft::{Index, Node, NodeId, Timer};
use crate::replica::{self, Input, Packet as ReplicaPacket, Replica, Reply, StateMachine};

impl<M: StateMachine, P: Policies> Cluster<M, P> {
    // --- moving --------------------------------------------------------------------------------

    /// Delivers the oldest message on a link. Returns whether there was one.
    pub fn deliver_message(&mut self, from: NodeId, to: NodeId) -> bool {
        self.deliver_message_at(from, to, 0)
    }

    /// Delivers the message on a link that `position` others are ahead of. Returns whether there was one.
    pub fn deliver_message_at(&mut self, from: NodeId, to: NodeId, position: usize) -> bool {
        let Some(packet) = self.links.take((from, to), position) else { return false };
        if self.replica(to).is_some() {
            let event = match &packet {
                ReplicaPacket::Raft { envelope, .. } => Event::Deliver(from, envelope.message.kind()),
                ReplicaPacket::Forward { from, .. } => Event::Forward(*from),
            };
            self.step(to, event, Input::Packet(packet));
        }
        true
    }

    /// Fires a timer, if the member has set it.
    pub fn timeout(&mut self, id: NodeId, timer: Timer) {
        let is_set = self.replica(id).is_some_and(|replica| replica.node().timers().contains(timer));
        if is_set {
            if let Some(member) = self.members.get_mut(&id) {
                member.deadlines_ms[timer as usize] = None;
            }
            self.step(id, Event::Timeout(timer), Input::Timeout(timer));
        }
    }

    /// Delivers messages and syncs disks that are not held until nothing moves. Time stands still.
    ///
    /// Panics if that never happens: messages that answer each other for ever are a bug of the protocol.
    pub fn deliver(&mut self) {
        const ROUNDS_MAX: usize = 1 << 20;
        for _ in 0..ROUNDS_MAX {
            let loaded = self.links.loaded();
            for ((from, to), count) in &loaded {
                for _ in 0..*count {
                    self.deliver_message(*from, *to);
                }
            }
            let mut moved = !loaded.is_empty();
            let ids: Vec<NodeId> = self.members.keys().copied().collect();
            for id in ids {
                let member = &self.members[&id];
                if !member.disk_is_held && member.disk.pending() > 0 && member.replica.is_some() {
                    self.sync(id, usize::MAX);
                    moved = true;
                }
            }
            if !moved || self.violation.is_some() {
                return;
            }
        }
        panic!("messages without end");
    }

    /// Delivers and fires heartbeats until two rounds in a row change nothing. No other timer fires and
    /// time stands still, so nobody is elected or deposed for silence.
    pub fn stabilize(&mut self) {
        const ROUNDS_MAX: usize = 10_000;
        let mut quiet = 0;
        for _ in 0..ROUNDS_MAX {
            let before = self.digest();
            self.deliver();
            let leaders: Vec<NodeId> = self.nodes().filter(|node| node.is_leader()).map(Node::id).collect();
            for leader in leaders {
                self.timeout(leader, Timer::Heartbeat);
            }
            self.deliver();
            quiet = if before == self.digest() { quiet + 1 } else { 0 };
            if quiet == 2 || self.violation.is_some() {
                return;
            }
        }
    }

    /// What tells whether anything but heartbeats moved.
    fn digest(&self) -> Vec<(Vitals, Index, Option<u64>)> {
        self.nodes()
            .map(|node| {
                (Vitals::of(node), node.applied_index(), node.incoming_snapshot().map(|(_, staged)| staged))
            })
            .collect()
    }

    /// Lets virtual time pass: timers fire in the order of their deadlines, messages take no time.
    pub fn elapse(&mut self, duration_ms: u64) {
        let until = self.time_ms + duration_ms;
        self.deliver();
        while let Some((deadline, id, timer)) =
            self.next_deadline().filter(|(deadline, ..)| *deadline <= until)
        {
            self.time_ms = self.time_ms.max(deadline);
            self.timeout(id, timer);
            self.deliver();
            if self.violation.is_some() {
                return;
            }
        }
        self.time_ms = until;
    }

    /// Lets time pass until there is a leader that has committed in its term, at most `timeouts_max`
    /// election timeouts. Returns it.
    pub fn await_leader(&mut self, timeouts_max: u64) -> Option<NodeId> {
        for _ in 0..timeouts_max * 4 {
            let settled = self.leader().filter(|id| {
                let node = self.replica(*id).expect("a leader is up").node();
                node.log().term_at(node.commit_index()) == Some(node.term())
            });
            if settled.is_some() {
                return settled;
            }
            self.elapse(self.options.election_timeout_ms / 4);
        }
        None
    }

    fn next_deadline(&self) -> Option<(u64, NodeId, Timer)> {
        let all = self.members.iter().flat_map(|(id, member)| {
            let set = Timer::ALL.iter().zip(member.deadlines_ms);
            set.filter_map(move |(timer, deadline)| Some((deadline?, *id, *timer)))
        });
        all.min()
    }

    /// Checks `healed_replicas_converge` over the members of the leader's configuration that are up.
    ///
    /// # Errors
    /// The violation.
    pub fn check_convergence(&self) -> Verdict {
        let Some(leader) = self.leader().and_then(|id| self.replica(id)) else {
            return ensure(false, Invariant::HealedReplicasConverge, || "there is no leader".into());
        };
        let configuration = leader.node().configuration();
        let mut live = Vec::new();
        for (id, member) in &self.members {
            if configuration.contains(*id) && member.replica.is_some() {
                let state = member.machine.snapshot().map_err(|fault| Violation {
                    invariant: Invariant::HealedReplicasConverge,
                    detail: format!("{id} cannot write its state: {fault}"),
                })?;
                live.push((*id, member.machine.applied().index, state));
            }
        }
        healed_replicas_converge(&live, self.ledger.last().index)
    }

    // --- the one place where a member steps --------------------------------------------------------

    pub(super) fn started(&mut self, id: NodeId, effects: replica::Effects<M::Command, M::Response>) {
        let mut reports = VecDeque::new();
        let replica = self.members[&id].replica.as_ref().expect("just started");
        let before = Before::started(replica);
        self.carry_out(id, &Event::Start, &before, effects, &mut reports);
        self.drain(id, reports);
    }

    pub(super) fn step(&mut self, id: NodeId, event: Event, input: Input<M::Command, M::Response>) {
        self.step_once(id, &event, input, &mut VecDeque::new());
    }

    fn step_once(
        &mut self,
        id: NodeId,
        event: &Event,
        input: Input<M::Command, M::Response>,
        reports: &mut VecDeque<Input<M::Command, M::Response>>,
    ) {
        let Some(replica) = self.members.get_mut(&id).and_then(|member| member.replica.as_mut()) else {
            return;
        };
        let before = Before::of(replica, &input);
        let effects = replica.step(input);
        self.carry_out(id, event, &before, effects, reports);
        self.drain(id, core::mem::take(reports));
    }

    /// What the executor has done at once is reported at once.
    fn drain(&mut self, id: NodeId, mut reports: VecDeque<Input<M::Command, M::Response>>) {
        while let Some(report) = reports.pop_front() {
            let event = match &report {
                Input::Applied { last, .. } => Event::Applied(*last),
                Input::SnapshotWritten { last, .. } => Event::SnapshotWritten(*last),
                Input::SnapshotInstalled(last) => Event::SnapshotArrived(*last, true),
                Input::SnapshotRejected(last) => Event::SnapshotArrived(*last, false),
                _ => unreachable!("an executor reports what it did"),
            };
            let Some(replica) = self.members.get_mut(&id).and_then(|member| member.replica.as_mut()) else {
                return;
            };
            let before = Before::of(replica, &report);
            let effects = replica.step(report);
            self.carry_out(id, &event, &before, effects, &mut reports);
        }
    }

    fn carry_out(
        &mut self,
        id: NodeId,
        event: &Event,
        before: &Before,
        mut effects: replica::Effects<M::Command, M::Response>,
        reports: &mut VecDeque<Input<M::Command, M::Response>>,
    ) {
        self.note(id, event);
        if self.options.checks {
            self.check_step(id, before, &effects);
        }
        let Some(member) = self.members.get_mut(&id) else { return };
        for timer in effects.cancelled.iter() {
            member.deadlines_ms[timer as usize] = None;
        }
        for timer in effects.set.iter() {
            let election_ms = self.options.election_timeout_ms;
            let duration_ms = match timer {
                Timer::Election => election_ms + self.random.below(election_ms),
                Timer::LeaderFresh | Timer::CheckQuorum | Timer::Transfer => election_ms,
                Timer::Heartbeat => self.options.heartbeat_ms,
            };
            let real_ms = duration_ms * REAL_TIME_PERMILLE / member.clock_permille;
            member.deadlines_ms[timer as usize] = Some(self.time_ms + real_ms);
        }
        let (links, buffer, codec) = (&mut self.links, &mut self.buffer, self.options.codec);
        member.execute(id, &mut effects, reports, |packet| {
            let link = (id, packet.to());
            let packet = if codec { through_codec(&packet, buffer) } else { packet };
            links.send::<P::Links>(link, packet);
        });
        if member.fault.is_some() {
            return; // Whoever waits for it gets no answer any more, as from any server that stops.
        }
        for answer in effects.answers {
            self.settle(id, answer);
        }
        let may_purge = matches!(event, Event::SnapshotWritten(_) | Event::SnapshotArrived(_, true));
        if may_purge && !self.options.whole_ledger {
            let purged = self.members.values().map(|member| member.disk.synced().purged.index).min();
            self.ledger.forget(purged.unwrap_or(Index::ZERO));
        }
    }

    fn settle(&mut self, id: NodeId, answer: replica::Answer<M::Response>) {
        let Some(Pending { floor, query, .. }) = self.pending.remove(&answer.request) else {
            let is_second = self.answered.contains(&answer.request);
            let verdict = ensure(!is_second, Invariant::ExactlyOnce, || {
                format!("{id} answers {:?} once more: {:?}", answer.request, answer.outcome)
            });
            if self.options.checks {
                self.judge(verdict);
            }
            return;
        };
        self.note_answered(answer.request);
        let machine = &self.members[&id].machine;
        let (seen, outcome) = match (answer.outcome, query) {
            (Ok(Reply::Applied { id, response }), _) => {
                (Some(id.index.prev()), Outcome::Applied { id, response })
            }
            (Ok(Reply::Read { .. }), Some(query)) => {
                (Some(machine.applied().index), Outcome::Read(machine.query(&query)))
            }
            (Ok(Reply::Read { .. }), None) => unreachable!("only a read is answered as one"),
            (Ok(Reply::MembersChanged(configuration)), _) => (None, Outcome::MembersChanged(configuration)),
            (Ok(Reply::Transferred), _) => (None, Outcome::Transferred),
            (Err(failure), _) => (None, Outcome::Failed(failure)),
        };
        // What was committed before a request was made is visible to it: reads see it, writes come
        // after it. With one order of entries that is linearizability (dissertation §6.4).
        let verdict = ensure(seen.is_none_or(|seen| seen >= floor), Invariant::Linearizable, || {
            format!("{:?} at {id} saw {seen:?}, but {floor} was committed before it was made", answer.request)
        });
        if self.options.checks {
            self.judge(verdict);
        }
        self.outcomes.insert(answer.request, outcome);
    }

    fn check_step(
        &mut self,
        id: NodeId,
        before: &Before,
        effects: &replica::Effects<M::Command, M::Response>,
    ) {
        let members = &self.members;
        let Some(replica) = members[&id].replica.as_ref() else { return };
        let appended = effects.write.as_ref().map_or(&[][..], |write| &write.entries);
        let others = members
            .iter()
            .filter(|(other, _)| **other != id)
            .filter_map(|(_, member)| member.replica.as_ref().map(Replica::node));
        let verdict =
            self.ledger.observe_step(Some(&before.vitals), replica.node(), appended, others, |id| {
                members.get(&id).map(|member| member.disk.synced())
            });
        let disk = members[&id].disk.synced();
        let verdict = verdict
            .and_then(|()| effects.messages.iter().try_for_each(|left| leaves_only_durable(left, disk)))
            .and_then(|()| applies_only_durable(id, effects.apply, disk))
            .and_then(|()| before.judge(replica, effects));
        self.judge(verdict);
    }

    pub(super) fn judge(&mut self, verdict: Verdict) {
        if let Err(violation) = verdict {
            self.violation.get_or_insert(violation);
        }
    }

    pub(super) fn note(&mut self, id: NodeId, event: &Event) {
        let node = self.members.get(&id).and_then(|member| member.replica.as_ref()).map(Replica::node);
        let time_ms = self.time_ms;
        self.trace.record(time_ms, id, event, node.map(Vitals::of), || match node {
            Some(node) => format!("{time_ms:>6} {:<28} {node}", format!("{event}")),
            None => format!("{time_ms:>6} {:<28} {id} down", format!("{event}")),
        });
    }
}

/// What arrives of a packet: its bytes, read again.
fn through_codec<P: Wire>(packet: &P, buffer: &mut Vec<u8>) -> P {
    buffer.clear();
    packet.encode(buffer);
    from_bytes(buffer).expect("what a member sends can be read")
}
