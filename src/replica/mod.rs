//! A replica: a node, its waiting clients and its snapshot policy as one pure value.
//!
//! Everything a server decides is decided here or in the node; the executor around it only carries out
//! [`Effects`] and reports what happened as [`Input`]s. The simulated cluster, the models and the
//! production server are three executors of this one value.
//!
//! ```text
//!        Packet, Timeout, Persisted, Request, Applied, SnapshotWritten, …
//!                                 │ step
//!                  ┌──────────────▼──────────────┐
//!                  │ Replica: Node + clients +   │
//!                  │          snapshot policy    │
//!                  └──────────────┬──────────────┘
//!        write, messages, forwards, stage/install/load, apply, answers, timers
//! ```
//!
//! **Clients.** A request is answered exactly once by each replica that took it, unless that replica
//! crashes. A proposal is answered when its entry is applied *here*; at a follower it is forwarded to
//! the leader, whose answer waits until this replica has applied the entry too, so that a client that
//! stays with one replica reads its own writes. When another entry is applied at the index, the
//! proposal is known to be lost and had no effect. A client that gives up sends
//! [`Input::Cancel`] and is told that the outcome is unknown. So are those whom a leader leaves behind that
//! has been removed: nobody tells it what becomes of its entries. A replica outside the configuration does
//! not wait for its own state machine either: what the leader told it is passed on before it is applied
//! here, and a read of entries that it will not see is refused.
//!
//! **Snapshots.** After every `every_entries` applied entries the executor is asked for a snapshot; the
//! log is then purged but for the last `keep_entries`. While a snapshot is being received or sent, the
//! next one waits, since it would start the transfer over, until it is overdue several times.
//!
//! Left out: request time-outs (the executor's clock sends `Cancel`), read levels, and batching of
//! requests (a request may carry several commands).

mod effects;
mod machine;
mod rules;
mod store;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

pub use self::effects::{Answer, Effects, Failure, Forward, Input, Packet, Reply, Request, SnapshotPolicy};
pub use self::machine::StateMachine;
pub use self::rules::Rules;
use crate::raft::progress::Flow;
use crate::raft::{
    Accepted, Command, Durable, EntryId, Index, Limits, Node, NodeId, Raft, Refusal, RequestId, Term,
};

/// A proposal in the log of this leader, or former leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Waiting {
    id: EntryId,
    origin: NodeId,
    request: RequestId,
}

/// The forwarded requests that a leader has taken in one term, so that a doubled packet is known for one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
struct TakenForwards {
    term: Term,
    /// By origin: the latest requests, and the largest that was forgotten.
    by_origin: BTreeMap<NodeId, (BTreeSet<RequestId>, Option<RequestId>)>,
}

/// How many requests of one origin are remembered. One that is older than all of them by number gets no
/// definite answer.
const TAKEN_FORWARDS_MAX: usize = 4096;

/// A snapshot waits for transfers until so many times `every_entries` are applied.
const OVERDUE_FACTOR: u64 = 4;

/// What is known of a forwarded request.
enum Taken {
    New,
    Before,
    Forgotten,
}

impl TakenForwards {
    fn take<R: Rules>(&mut self, term: Term, origin: NodeId, request: RequestId) -> Taken {
        if self.term != term {
            *self = TakenForwards { term, by_origin: BTreeMap::new() };
        }
        let (taken, forgotten) = self.by_origin.entry(origin).or_default();
        if forgotten.is_some_and(|forgotten| request <= forgotten) {
            return Taken::Forgotten;
        }
        if !R::is_new_forward(taken, request) {
            return Taken::Before;
        }
        taken.insert(request);
        if taken.len() > TAKEN_FORWARDS_MAX {
            *forgotten = taken.pop_first();
        }
        Taken::New
    }
}

/// A server's whole decision making as one value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Replica<C, A, R = Raft> {
    node: Node<C, R>,
    policy: SnapshotPolicy,
    /// Proposals in the own log, by index. One index may have several, of different terms.
    proposals: BTreeMap<(Index, RequestId), Waiting>,
    /// Requests that another replica was asked to propose.
    forwarded: BTreeSet<RequestId>,
    /// What other replicas had this one propose in the term that it leads.
    taken: TakenForwards,
    /// Their answers that wait until the entry is applied here.
    answered: BTreeMap<(Index, RequestId), (EntryId, A)>,
    /// Reads that asked for a read index.
    asking: BTreeSet<RequestId>,
    /// Reads that wait until their read index is applied here.
    reads: BTreeSet<(Index, RequestId)>,
    /// A change of members under way, by its first entry.
    change: Option<(EntryId, RequestId)>,
    /// A transfer under way: to whom.
    transfer: Option<(NodeId, RequestId)>,
    taking_snapshot: bool,
    compact: bool,
}

impl<C: Command, A: Clone + Eq + Ord, R: Rules> Replica<C, A, R> {
    /// Starts from a disk, as a follower. `applied` as for [`Node::restore`].
    pub fn restore(
        id: NodeId,
        limits: Limits,
        policy: SnapshotPolicy,
        disk: &Durable<C>,
        applied: Index,
    ) -> (Self, Effects<C, A>) {
        let (node, ready) = Node::restore(id, limits, disk, applied);
        Self::around(node, policy, ready)
    }

    /// Starts a founding member of a fixed cluster, as for [`Node::bootstrap`].
    pub fn bootstrap(
        id: NodeId,
        limits: Limits,
        policy: SnapshotPolicy,
        genesis: &Durable<C>,
    ) -> (Self, Effects<C, A>) {
        let (node, ready) = Node::bootstrap(id, limits, genesis);
        Self::around(node, policy, ready)
    }

    fn around(
        node: Node<C, R>,
        policy: SnapshotPolicy,
        ready: crate::raft::Ready<C>,
    ) -> (Self, Effects<C, A>) {
        let mut replica = Replica {
            node,
            policy,
            proposals: BTreeMap::new(),
            forwarded: BTreeSet::new(),
            taken: TakenForwards::default(),
            answered: BTreeMap::new(),
            asking: BTreeSet::new(),
            reads: BTreeSet::new(),
            change: None,
            transfer: None,
            taking_snapshot: false,
            compact: false,
        };
        let mut effects = Effects::default();
        replica.take_ready(ready, &mut effects);
        (replica, effects)
    }

    /// The node.
    #[must_use]
    pub fn node(&self) -> &Node<C, R> {
        &self.node
    }

    /// How many requests wait here, of clients and of other replicas.
    #[must_use]
    pub fn waiting_requests(&self) -> usize {
        self.proposals.len()
            + self.forwarded.len()
            + self.answered.len()
            + self.asking.len()
            + self.reads.len()
            + usize::from(self.change.is_some())
            + usize::from(self.transfer.is_some())
    }

    /// Who waits here, by the replica whose client it is and its request: for what becomes of an entry of this log, or,
    /// for own clients alone, for anything else. Requests of different replicas may have the same number.
    pub fn waiting(&self) -> impl Iterator<Item = (NodeId, RequestId)> + '_ {
        let at_others = self.forwarded.iter().chain(&self.asking).copied();
        let on_entries = self.answered.keys().chain(&self.reads).map(|(_, request)| *request);
        let changes = self.change.map(|(_, request)| request).into_iter();
        let changes = changes.chain(self.transfer.map(|(_, request)| request));
        let own = at_others.chain(on_entries).chain(changes).map(|request| (self.node.id(), request));
        self.proposals.values().map(|waiting| (waiting.origin, waiting.request)).chain(own)
    }

    /// How many requests wait for what others tell: that a leader took them, or how far a read must see. A leader's own
    /// reads are among them, which wait for a round of heartbeats ([`Node::waiting_reads`]).
    #[must_use]
    pub fn requests_with_others(&self) -> usize {
        self.forwarded.len() + self.asking.len()
    }

    /// Takes one input and says what to do about it. The only mutator.
    pub fn step(&mut self, input: Input<C, A>) -> Effects<C, A> {
        use crate::raft::Input as NodeInput;
        let mut effects = Effects::default();
        match input {
            Input::Packet(Packet::Raft { envelope, chunk }) => {
                let ready = self.node.step(NodeInput::Message(envelope));
                effects.stage = ready.stage.clone().zip(chunk);
                self.take_ready(ready, &mut effects);
            }
            Input::Packet(Packet::Forward { from, forward, .. }) => match forward {
                Forward::Propose { request, term, command } => {
                    self.take_forward(from, request, term, command, &mut effects);
                }
                Forward::Answer { request, outcome } => self.take_answer(request, outcome, &mut effects),
            },
            Input::Timeout(timer) => self.step_node(NodeInput::Timeout(timer), &mut effects),
            Input::Persisted(count) => self.step_node(NodeInput::Persisted(count), &mut effects),
            Input::Request(request) => self.take_request(request, &mut effects),
            Input::Cancel(request) => self.cancel(request, &mut effects),
            Input::Applied { last, responses } => {
                self.answer_proposals(last, responses, &mut effects);
                self.step_node(NodeInput::Applied(last), &mut effects);
                self.answer_applied(&mut effects);
            }
            Input::Compact => self.compact = true,
            Input::SnapshotWritten { last, size_bytes, checksum } => {
                self.taking_snapshot = false;
                let purge_to = Index(last.index.0.saturating_sub(self.policy.keep_entries));
                let taken = NodeInput::SnapshotTaken { last, size_bytes, checksum, purge_to };
                self.step_node(taken, &mut effects);
            }
            Input::SnapshotInstalled(last) => {
                self.step_node(NodeInput::SnapshotInstalled(last), &mut effects);
            }
            Input::SnapshotRejected(last) => {
                self.step_node(NodeInput::SnapshotRejected(last), &mut effects);
            }
        }
        self.settle_changes(&mut effects);
        self.settle_removal(&mut effects);
        effects.take_snapshot = self.wants_snapshot();
        self.taking_snapshot |= effects.take_snapshot;
        effects.wants_responses = !self.proposals.is_empty();
        effects
    }

    fn step_node(&mut self, input: crate::raft::Input<C>, effects: &mut Effects<C, A>) {
        let ready = self.node.step(input);
        self.take_ready(ready, effects);
    }

    /// Passes on what the node wants, and looks after reads.
    fn take_ready(&mut self, ready: crate::raft::Ready<C>, effects: &mut Effects<C, A>) {
        assert!(effects.write.is_none() && effects.messages.is_empty(), "the node steps once in a step");
        effects.write = ready.write;
        effects.messages = ready.messages;
        effects.install = ready.install;
        effects.load = ready.load;
        effects.apply = ready.committed;
        effects.set = ready.set;
        effects.cancelled = ready.cancelled;
        effects.leadership = ready.leadership;
        effects.confirmed_round = ready.confirmed_round;
        for outcome in ready.reads {
            let Some(request) = R::take_asking(&mut self.asking, outcome.request) else {
                continue; // Cancelled, answered already, or of an earlier incarnation.
            };
            match outcome.index {
                Ok(index) => {
                    self.reads.insert((index, request));
                }
                Err(refusal) => effects.answer(request, Err(Failure::Refused(refusal))),
            }
        }
        if !self.reads.is_empty() {
            self.answer_applied(effects);
        }
    }

    fn take_request(&mut self, request: Request<C>, effects: &mut Effects<C, A>) {
        use crate::raft::Input as NodeInput;
        match request {
            Request::Propose(commands) => match self.node.leader() {
                Some(leader) if leader != self.node.id() => {
                    let term = self.node.term();
                    for (request, command) in commands {
                        self.forwarded.insert(request);
                        effects.forwards.push((leader, Forward::Propose { request, term, command }));
                    }
                }
                _ => self.propose(self.node.id(), commands, effects),
            },
            Request::Read(request) => {
                self.asking.insert(request);
                self.step_node(NodeInput::Read(request), effects);
            }
            Request::ChangeMembers(request, changes) => {
                let ready = self.node.step(NodeInput::ChangeMembers(changes));
                match ready.outcome {
                    Some(Ok(Accepted::MembersChanging { entry })) => {
                        if let Some((_, earlier)) = self.change.replace((entry, request)) {
                            effects.answer(earlier, Err(Failure::Unknown));
                        }
                    }
                    outcome => effects.answer(request, Err(refusal_of(outcome))),
                }
                self.take_ready(ready, effects);
            }
            Request::TransferLeadership(request, to) => {
                let ready = self.node.step(NodeInput::TransferLeadership(to));
                match ready.outcome {
                    Some(Ok(Accepted::Transferring)) => {
                        if let Some((_, earlier)) = self.transfer.replace((to, request)) {
                            effects.answer(earlier, Err(Failure::Unknown));
                        }
                    }
                    outcome => effects.answer(request, Err(refusal_of(outcome))),
                }
                self.take_ready(ready, effects);
            }
        }
    }

    // --- proposals -----------------------------------------------------------------------------

    /// Proposes what another replica forwarded, unless it is a copy of what was taken before.
    fn take_forward(
        &mut self,
        from: NodeId,
        request: RequestId,
        term: Term,
        command: C,
        effects: &mut Effects<C, A>,
    ) {
        let leads = self.node.is_leader().then(|| self.node.term());
        let taken = match R::may_judge_forward(term, leads) {
            true => self.taken.take::<R>(self.node.term(), from, request),
            false => Taken::Forgotten,
        };
        match taken {
            Taken::New => self.propose(from, Vec::from([(request, command)]), effects),
            Taken::Before => {}
            // A copy of what still waits here is answered with it.
            Taken::Forgotten if self.waiting().any(|waiting| waiting == (from, request)) => {}
            Taken::Forgotten => self.answer_origin(from, request, Err(Failure::Unknown), effects),
        }
    }

    /// Proposes for clients of `origin`, this replica or another.
    fn propose(&mut self, origin: NodeId, requests: Vec<(RequestId, C)>, effects: &mut Effects<C, A>) {
        let (requests, commands): (Vec<_>, Vec<_>) = requests.into_iter().unzip();
        let input = crate::raft::Input::Propose { commands, expected_term: None };
        let ready = self.node.step(input);
        match ready.outcome {
            Some(Ok(Accepted::Proposed { first, count })) => {
                assert_eq!(count as usize, requests.len(), "proposals are taken as a whole");
                for (offset, request) in requests.into_iter().enumerate() {
                    let id = EntryId::new(first.term, first.index.plus(offset as u64));
                    self.proposals.insert((id.index, request), Waiting { id, origin, request });
                }
            }
            outcome => {
                for request in requests {
                    self.answer_origin(origin, request, Err(refusal_of(outcome)), effects);
                }
            }
        }
        self.take_ready(ready, effects);
    }

    /// Entries up to `last` are applied: whoever waits at one of them learns its fate.
    fn answer_proposals(&mut self, last: Index, responses: Vec<(EntryId, A)>, effects: &mut Effects<C, A>) {
        if self.proposals.is_empty() {
            return;
        }
        let mut responses = responses.into_iter().peekable();
        while let Some(next) = self.proposals.first_entry() {
            let (index, _) = *next.key();
            if index > last {
                break;
            }
            let waiting = next.remove();
            while responses.peek().is_some_and(|(id, _)| id.index < index) {
                responses.next();
            }
            // A snapshot that was loaded instead of the entry tells nothing of it.
            let outcome = match responses.peek() {
                Some((id, response)) if id.index == index && R::is_answered_by(waiting.id, *id) => {
                    Ok((waiting.id, response.clone()))
                }
                _ if self.node.log().term_at(index).is_some_and(|term| term != waiting.id.term) => {
                    Err(Failure::Lost)
                }
                _ => Err(Failure::Unknown),
            };
            self.answer_origin(waiting.origin, waiting.request, outcome, effects);
        }
        // Terms never fall along the log: nothing of an older term is ever committed behind an entry of
        // a newer one. Otherwise a proposal beyond the end of the new leader's log would wait on.
        let term = self.node.log().term_at(last);
        while let Some(furthest) = self.proposals.last_entry()
            && term.is_some_and(|term| furthest.get().id.term < term)
        {
            let waiting = furthest.remove();
            self.answer_origin(waiting.origin, waiting.request, Err(Failure::Lost), effects);
        }
    }

    fn answer_origin(
        &self,
        origin: NodeId,
        request: RequestId,
        outcome: Result<(EntryId, A), Failure>,
        effects: &mut Effects<C, A>,
    ) {
        if origin == self.node.id() {
            effects.answer(request, outcome.map(|(id, response)| Reply::Applied { id, response }));
        } else {
            effects.forwards.push((origin, Forward::Answer { request, outcome }));
        }
    }

    /// The leader answered a forwarded request.
    fn take_answer(
        &mut self,
        request: RequestId,
        outcome: Result<(EntryId, A), Failure>,
        effects: &mut Effects<C, A>,
    ) {
        if !self.forwarded.remove(&request) {
            return; // Cancelled, answered already, or of an earlier incarnation.
        }
        match outcome {
            Ok((id, response)) => {
                self.answered.insert((id.index, request), (id, response));
                self.answer_applied(effects);
            }
            Err(failure) => effects.answer(request, Err(failure)),
        }
    }

    /// Answers what only waited for this replica's state machine.
    fn answer_applied(&mut self, effects: &mut Effects<C, A>) {
        let applied = self.node.applied_index();
        while let Some((index, request)) = self.reads.first().copied()
            && R::may_serve(index, applied)
        {
            self.reads.pop_first();
            effects.answer(request, Ok(Reply::Read { index }));
        }
        while let Some(entry) = self.answered.first_entry()
            && entry.key().0 <= applied
        {
            let ((_, request), (id, response)) = entry.remove_entry();
            effects.answer(request, Ok(Reply::Applied { id, response }));
        }
    }

    fn cancel(&mut self, request: RequestId, effects: &mut Effects<C, A>) {
        let proposals = self.proposals.len();
        // Each replica numbers its own clients' requests: another's may have the same number.
        let own = self.node.id();
        self.proposals.retain(|_, waiting| waiting.request != request || waiting.origin != own);
        let mut found = self.proposals.len() < proposals;
        found |= self.forwarded.remove(&request);
        found |= self.asking.remove(&request);
        let reads = self.reads.len();
        self.reads.retain(|(_, read)| *read != request);
        found |= self.reads.len() < reads;
        let answered = self.answered.len();
        self.answered.retain(|(_, answered), _| *answered != request);
        found |= self.answered.len() < answered;
        found |= self.change.take_if(|(_, change)| *change == request).is_some();
        found |= self.transfer.take_if(|(_, transfer)| *transfer == request).is_some();
        if found {
            effects.answer(request, Err(Failure::Unknown));
        }
    }

    // --- members, leadership, snapshots ----------------------------------------------------------

    /// Answers a change of members or a transfer that is over.
    fn settle_changes(&mut self, effects: &mut Effects<C, A>) {
        if let Some((entry, request)) = self.change
            && let Some(outcome) = self.outcome_of_change(entry)
        {
            effects.answer(request, outcome);
            self.change = None;
        }
        if let Some((to, request)) = self.transfer
            && let Some(outcome) = self.outcome_of_transfer(to)
        {
            effects.answer(request, outcome);
            self.transfer = None;
        }
    }

    /// A replica in no configuration hears of nothing any more, or not soon: whoever waits for what is
    /// beyond its commit index will not learn more from it than now.
    fn settle_removal(&mut self, effects: &mut Effects<C, A>) {
        if self.proposals.is_empty() && self.answered.is_empty() && self.reads.is_empty() {
            return;
        }
        let (since, configuration) = self.node.log().configuration();
        let commit = self.node.commit_index();
        if since > commit || configuration.contains(self.node.id()) {
            return;
        }
        // Proposed while it led.
        for waiting in self.proposals.split_off(&(commit.next(), RequestId(0))).into_values() {
            self.answer_origin(waiting.origin, waiting.request, Err(Failure::Unknown), effects);
        }
        // The leader has told the outcome; only this replica may never apply it.
        for ((_, request), (id, response)) in self.answered.split_off(&(commit.next(), RequestId(0))) {
            effects.answer(request, Ok(Reply::Applied { id, response }));
        }
        for (_, request) in self.reads.split_off(&(commit.next(), RequestId(0))) {
            let refusal = Refusal::NotLeader { hint: self.node.leader() };
            effects.answer(request, Err(Failure::Refused(refusal)));
        }
    }

    fn outcome_of_change(&self, entry: EntryId) -> Option<Result<Reply<A>, Failure>> {
        let log = self.node.log();
        let (index, configuration) = log.configuration();
        let is_settled = !configuration.is_joint() && index <= self.node.commit_index();
        match log.term_at(entry.index) {
            Some(term) if term != entry.term => Some(Err(Failure::Lost)),
            Some(_) if is_settled => Some(Ok(Reply::MembersChanged(configuration.clone()))),
            // What a leader has compacted is what it had appended.
            None if is_settled && self.node.is_leader() => {
                Some(Ok(Reply::MembersChanged(configuration.clone())))
            }
            // The next leader completes the change, or it was never committed.
            _ if !self.node.is_leader() => Some(Err(Failure::Unknown)),
            _ => None,
        }
    }

    fn outcome_of_transfer(&self, to: NodeId) -> Option<Result<Reply<A>, Failure>> {
        match self.node.leader() {
            Some(leader) if leader == to => Some(Ok(Reply::Transferred)),
            // Another leads, or it was given up; but the target may have been told to campaign, and still win.
            Some(_) if self.node.transferee().is_none() => Some(Err(Failure::Unknown)),
            Some(_) | None => None,
        }
    }

    fn wants_snapshot(&mut self) -> bool {
        let behind = self.node.applied_index().0.saturating_sub(self.node.log().snapshot().last.index.0);
        let due = self.policy.every_entries > 0 && behind >= self.policy.every_entries;
        if behind == 0 || self.taking_snapshot || !(due || self.compact) {
            self.compact &= behind > 0;
            return false;
        }
        // Who founded the cluster is in no entry. A member that joined and has not seen a change yet would take a
        // snapshot that says there are no members.
        if self.node.log().configuration_at(self.node.applied_index()).voters.is_empty() {
            return false;
        }
        let sending = self.node.progress().is_some_and(|progress| {
            progress.values().any(|progress| matches!(progress.flow, Flow::Snapshot { .. }))
        });
        // A transfer is worth waiting for, but not for ever: a follower may never finish.
        let overdue = due && behind >= self.policy.every_entries.saturating_mul(OVERDUE_FACTOR);
        if !overdue && (sending || self.node.incoming_snapshot().is_some()) {
            return false;
        }
        self.compact = false;
        true
    }
}

fn refusal_of(outcome: Option<Result<Accepted, Refusal>>) -> Failure {
    match outcome {
        Some(Err(refusal)) => Failure::Refused(refusal),
        Some(Ok(_)) | None => unreachable!("a node answers a request with its own kind of outcome"),
    }
}
