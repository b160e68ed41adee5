//! The node: one value, one mutator.
//!
//! [`Node::step`] takes an [`Input`] and returns a [`Ready`]. Everything else is a getter. Handlers
//! change the node and note in the `Ready` what they want; `finish` then turns that into the
//! contract: it hands out the write, holds back what depends on it, offers what may be applied, and
//! checks the node.
//!
//! The handlers are sorted by what they are about: `election`, `replication` (the leader's side),
//! `follower`, `read`, `membership`, `snapshot`.

mod election;
mod follower;
mod membership;
mod read;
mod replication;
mod snapshot;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::marker::PhantomData;

use self::read::Reads;
use self::snapshot::Incoming;
use super::durable::{Durability, Durable, Outstanding};
use super::log::Log;
use super::message::{Envelope, Message};
use super::progress::Progress;
use super::ready::{
    Accepted, Committed, Input, Leadership, Limits, ReadOutcome, Ready, Refusal, Timer, TimerSet,
};
use super::rules::{Raft, Route, Rules};
use super::types::{
    Command, Configuration, Entry, EntryId, HardState, Index, NodeId, Payload, SnapshotMeta, Term,
};

/// What a node is in its term (§5.1), with the state that only this role has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Answers leaders and candidates.
    Follower,
    /// Asks whether a campaign could succeed, without disturbing anyone (dissertation §9.6).
    PreCandidate {
        /// Who would vote for this node, itself included.
        votes: BTreeSet<NodeId>,
    },
    /// Campaigns in the current term (§5.2).
    Candidate {
        /// Who voted for this node; itself once its own vote is durable.
        votes: BTreeSet<NodeId>,
    },
    /// Leads the current term.
    Leader(Leader),
}

/// A leader's volatile state (Figure 2), with its reads and transfer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Leader {
    pub(super) progress: BTreeMap<NodeId, Progress>,
    pub(super) reads: Reads,
    pub(super) transferee: Option<NodeId>,
    /// The first entry of the leader's own term, once there is one.
    pub(super) first_own: Option<Index>,
    /// Whether `first_own` has been applied and leadership was announced.
    pub(super) began: bool,
}

/// A Raft node as a pure value. See the [module](super) for the protocol.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node<C, R = Raft> {
    id: NodeId,
    limits: Limits,
    hard_state: HardState,
    log: Log<C>,
    durability: Durability<C>,
    commit: Index,
    /// Handed out for applying up to here.
    handed: Index,
    applied: Index,
    /// A snapshot that was installed in the log and that the state machine has not loaded yet.
    loading: Option<EntryId>,
    role: Role,
    leader: Option<NodeId>,
    leader_fresh: bool,
    timers: TimerSet,
    incoming: Option<Incoming>,
    rules: PhantomData<R>,
}

impl<C: Command, R: Rules> Node<C, R> {
    /// Starts a node from its disk, always as a follower. `applied` is what the state machine holds
    /// durably on its own, so that nothing is applied twice; index 0 if it holds nothing.
    ///
    /// Panics if the state machine is behind the compacted log and cannot have come from it, which is
    /// lost data that the environment must answer by loading the snapshot first.
    pub fn restore(id: NodeId, limits: Limits, disk: &Durable<C>, applied: Index) -> (Self, Ready<C>) {
        limits.check();
        let log = Log::restore(disk);
        let snapshot = log.snapshot().last.index;
        assert!(applied >= snapshot, "the state machine must be loaded from the snapshot first");
        assert!(applied <= log.last().index.max(snapshot), "the state machine is ahead of its log");
        let hard_state = R::restore_hard_state(disk.hard_state);
        let mut node = Node {
            id,
            limits,
            hard_state,
            durability: Durability { hard_state, log: log.last().index, outstanding: VecDeque::new() },
            commit: applied,
            handed: applied,
            applied,
            loading: None,
            role: Role::Follower,
            leader: None,
            leader_fresh: false,
            timers: TimerSet::default(),
            incoming: None,
            log,
            rules: PhantomData,
        };
        let mut ready = Ready::default();
        node.set(Timer::Election, &mut ready);
        node.check();
        (node, ready)
    }

    /// Starts a founding member of a fixed cluster from its genesis disk. The founding leader, for
    /// whom every genesis disk holds a vote, leads term 1 at once and without a no-op: nothing can be
    /// committed that it does not have. Once for every disk: a member that was started before, even if
    /// its log is still empty, starts by [`Node::restore`], or it would lead the same term twice.
    pub fn bootstrap(id: NodeId, limits: Limits, genesis: &Durable<C>) -> (Self, Ready<C>) {
        assert_eq!(genesis.last(), EntryId::ZERO, "a founding member has an empty log");
        assert_eq!(genesis.hard_state.term, Term(1), "the founding term is 1");
        let (mut node, mut ready) = Node::restore(id, limits, genesis, Index::ZERO);
        if genesis.hard_state.voted_for == Some(id) {
            node.become_leader(&mut ready);
        } else {
            node.leader = genesis.hard_state.voted_for;
            node.set_leader_fresh(&mut ready);
        }
        node.check();
        (node, ready)
    }

    /// Takes one input and says what to do about it. The only mutator.
    pub fn step(&mut self, input: Input<C>) -> Ready<C> {
        let mut ready = Ready::default();
        let mut released = Vec::new();
        let before = self.hard_state;
        let led = self.is_leader();
        match input {
            Input::Message(envelope) => self.handle_message(envelope, &mut ready),
            Input::Timeout(timer) => self.handle_timeout(timer, &mut ready),
            Input::Persisted(count) => released = self.handle_persisted(count, &mut ready),
            Input::Propose { commands, expected_term } => {
                ready.outcome = Some(self.handle_propose(commands, expected_term, &mut ready));
            }
            Input::Read(request) => self.handle_read(self.id, request, &mut ready),
            Input::ChangeMembers(changes) => {
                ready.outcome = Some(self.handle_change_members(&changes, &mut ready));
            }
            Input::TransferLeadership(to) => ready.outcome = Some(self.handle_transfer(to, &mut ready)),
            Input::Applied(index) => self.handle_applied(index, &mut ready),
            Input::SnapshotTaken { last, size_bytes, checksum, purge_to } => {
                self.handle_snapshot_taken(last, size_bytes, checksum, purge_to, &mut ready);
            }
            Input::SnapshotInstalled(last) => self.handle_snapshot_installed(last, &mut ready),
            Input::SnapshotRejected(last) => self.handle_snapshot_rejected(last, &mut ready),
        }
        if led && !self.is_leader() {
            ready.leadership = Some(Leadership::Ended);
        }
        self.finish(before, released, &mut ready);
        self.check();
        ready
    }

    // --- getters -----------------------------------------------------------------------------

    /// This node's id.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// Current term and vote, in memory.
    #[must_use]
    pub fn hard_state(&self) -> HardState {
        self.hard_state
    }

    /// Term and vote on disk, as far as receipts tell.
    #[must_use]
    pub fn durable_hard_state(&self) -> HardState {
        self.durability.hard_state
    }

    /// The current term.
    #[must_use]
    pub fn term(&self) -> Term {
        self.hard_state.term
    }

    /// The log.
    #[must_use]
    pub fn log(&self) -> &Log<C> {
        &self.log
    }

    /// The log in memory is on disk up to here, as far as receipts tell.
    #[must_use]
    pub fn durable_index(&self) -> Index {
        self.durability.log
    }

    /// Writes that were handed out and have no receipt.
    #[must_use]
    pub fn outstanding_writes(&self) -> usize {
        self.durability.outstanding.len()
    }

    /// The highest position known to be committed.
    #[must_use]
    pub fn commit_index(&self) -> Index {
        self.commit
    }

    /// The highest position handed out for applying.
    #[must_use]
    pub fn handed_index(&self) -> Index {
        self.handed
    }

    /// The highest position that the state machine has applied.
    #[must_use]
    pub fn applied_index(&self) -> Index {
        self.applied
    }

    /// What the node is in its term.
    #[must_use]
    pub fn role(&self) -> &Role {
        &self.role
    }

    /// Whether it leads its term.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }

    /// The leader of the current term, if known.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        self.leader
    }

    /// Whether the leader was heard within the minimum election timeout.
    #[must_use]
    pub fn is_leader_fresh(&self) -> bool {
        self.leader_fresh
    }

    /// The configuration in force.
    #[must_use]
    pub fn configuration(&self) -> &Configuration {
        self.log.configuration().1
    }

    /// The timers that are set.
    #[must_use]
    pub fn timers(&self) -> TimerSet {
        self.timers
    }

    /// What a leader knows of its followers; nothing at other roles.
    #[must_use]
    pub fn progress(&self) -> Option<&BTreeMap<NodeId, Progress>> {
        match &self.role {
            Role::Leader(leader) => Some(&leader.progress),
            Role::Follower | Role::PreCandidate { .. } | Role::Candidate { .. } => None,
        }
    }

    /// The voter to which leadership is being transferred.
    #[must_use]
    pub fn transferee(&self) -> Option<NodeId> {
        match &self.role {
            Role::Leader(leader) => leader.transferee,
            Role::Follower | Role::PreCandidate { .. } | Role::Candidate { .. } => None,
        }
    }

    /// How many reads wait for a leader to confirm that it still leads, its own and those of followers.
    #[must_use]
    pub fn waiting_reads(&self) -> usize {
        match &self.role {
            Role::Leader(leader) => leader.reads.waiting(),
            Role::Follower | Role::PreCandidate { .. } | Role::Candidate { .. } => 0,
        }
    }

    /// The snapshot that is arriving, and how many of its bytes are staged.
    #[must_use]
    pub fn incoming_snapshot(&self) -> Option<(&SnapshotMeta, u64)> {
        self.incoming.as_ref().map(|incoming| (&incoming.snapshot, incoming.staged))
    }

    // --- inputs ------------------------------------------------------------------------------

    fn handle_message(&mut self, envelope: Envelope<C>, ready: &mut Ready<C>) {
        let Envelope { from, to, term, message } = envelope;
        assert_eq!(to, self.id, "a message reached the wrong node");
        assert_ne!(from, self.id, "a node does not send to itself");
        match message {
            // Pre-votes are about a term that may never begin: neither side adopts one from a request.
            Message::PreVote { last_log } => return self.handle_pre_vote(from, term, last_log, ready),
            Message::RequestVote { transfer, .. }
                if term > self.term() && R::refuses_disruption(self.leader_seems_fresh(), transfer) =>
            {
                return;
            }
            _ => {}
        }
        if term > self.term() {
            let leader = message.is_from_leader().then_some(from);
            self.become_follower(term, leader, ready);
        }
        if !R::is_current(term, self.term()) {
            return self.handle_stale(from, term, &message, ready);
        }
        self.note_heard(from);
        match message {
            Message::PreVote { .. } => unreachable!("handled above"),
            Message::PreVoteResponse { asked_in, granted } => {
                self.handle_pre_vote_response(from, asked_in, granted, ready);
            }
            Message::RequestVote { last_log, transfer } => {
                self.handle_request_vote(from, last_log, transfer, ready);
            }
            Message::RequestVoteResponse { granted } => self.handle_vote(from, granted, ready),
            Message::AppendEntries { prev, entries, leader_commit } => {
                self.follow(from, ready);
                self.handle_append(from, prev, entries, leader_commit, ready);
            }
            Message::AppendAccepted { matched } => self.handle_append_accepted(from, matched, ready),
            Message::AppendRefused { prev, conflict_term, conflict_index } => {
                self.handle_append_refused(from, prev, conflict_term, conflict_index, ready);
            }
            Message::Heartbeat { commit, round } => {
                self.follow(from, ready);
                self.handle_heartbeat(from, commit, round, ready);
            }
            Message::HeartbeatResponse { round } => self.handle_heartbeat_response(from, round, ready),
            Message::InstallSnapshot { snapshot, offset, length } => {
                self.follow(from, ready);
                self.handle_chunk(from, snapshot, offset, length, ready);
            }
            Message::InstallSnapshotResponse { last, next_offset, installed } => {
                self.handle_chunk_response(from, last, next_offset, installed, ready);
            }
            Message::TimeoutNow => {
                self.follow(from, ready);
                self.handle_timeout_now(ready);
            }
            Message::ReadIndex { request } => self.handle_read(from, request, ready),
            Message::ReadIndexResponse { request, index } => {
                self.handle_read_response(from, request, index, ready);
            }
        }
    }

    /// A message of an older term is void. A leader or candidate behind it learns the current term,
    /// or it could never catch up with a node that is ahead of everyone (dissertation §9.6).
    fn handle_stale(&mut self, from: NodeId, term: Term, message: &Message<C>, ready: &mut Ready<C>) {
        assert!(term < self.term(), "only an older term is stale");
        let answers = R::answers_stale(message.kind());
        match message {
            _ if !answers => {}
            Message::AppendEntries { .. } | Message::Heartbeat { .. } | Message::InstallSnapshot { .. } => {
                self.send(from, Message::HeartbeatResponse { round: 0 }, ready);
            }
            Message::RequestVote { .. } => {
                self.send(from, Message::RequestVoteResponse { granted: false }, ready);
            }
            // A pre-vote may have been granted by a voter that is still in an older term.
            Message::PreVoteResponse { asked_in, granted } => {
                self.handle_pre_vote_response(from, *asked_in, *granted, ready);
            }
            // A read is asked for by anyone at any time; the term of the asker does not matter.
            Message::ReadIndex { request } => self.handle_read(from, *request, ready),
            // What an earlier leader confirmed after the read was made stays confirmed.
            Message::ReadIndexResponse { request, index } => {
                self.handle_read_response(from, *request, *index, ready);
            }
            _ => {}
        }
    }

    fn handle_timeout(&mut self, timer: Timer, ready: &mut Ready<C>) {
        if !self.timers.contains(timer) {
            return;
        }
        self.timers.remove(timer);
        match timer {
            Timer::Election => self.handle_election_timeout(ready),
            Timer::LeaderFresh => self.leader_fresh = false,
            Timer::CheckQuorum => self.handle_check_quorum(ready),
            Timer::Heartbeat => self.handle_heartbeat_timeout(ready),
            Timer::Transfer => self.abort_transfer(ready),
        }
    }

    /// Retires writes and returns the messages that waited for them.
    fn handle_persisted(&mut self, count: u32, ready: &mut Ready<C>) -> Vec<Envelope<C>> {
        assert!(count >= 1, "a receipt is for at least one write");
        let mut released = Vec::new();
        for _ in 0..count {
            let retired = self.durability.retire::<R>().expect("a receipt without an outstanding write");
            released.extend(retired.messages);
            ready.load = retired.load.or(ready.load.take());
        }
        let current = self.term();
        released.retain(|envelope| R::outlives_sync(envelope.term, current));
        self.count_own_vote(ready);
        self.advance_commit(ready);
        released
    }

    fn handle_applied(&mut self, index: Index, ready: &mut Ready<C>) {
        assert!(index >= self.applied, "applied never falls");
        assert!(index <= self.handed, "nothing is applied that was not handed out");
        self.applied = index;
        if self.loading.is_some_and(|last| last.index <= index) {
            self.loading = None;
        }
        if let Role::Leader(leader) = &mut self.role
            && !leader.began
            && leader.first_own.is_some_and(|first| first <= index)
        {
            leader.began = true;
            ready.leadership = Some(Leadership::Began { term: self.hard_state.term });
        }
    }

    /// Appends entries to the own log as leader, and starts to replicate them.
    fn append_own(
        &mut self,
        payloads: impl IntoIterator<Item = Payload<C>>,
        ready: &mut Ready<C>,
    ) -> EntryId {
        let term = self.term();
        let mut last = self.log.last();
        let first = EntryId::new(term, last.index.next());
        let write = ready.write.get_or_insert_default();
        for payload in payloads {
            last = EntryId::new(term, last.index.next());
            let entry = Entry { id: last, payload };
            write.entries.push(entry.clone());
            self.log.append(entry);
        }
        assert!(last >= first, "at least one entry is appended");
        let Role::Leader(leader) = &mut self.role else { panic!("only a leader appends of its own accord") };
        leader.first_own.get_or_insert(first.index);
        first
    }

    fn handle_propose(
        &mut self,
        commands: Vec<C>,
        expected_term: Option<Term>,
        ready: &mut Ready<C>,
    ) -> Result<Accepted, Refusal> {
        let Role::Leader(leader) = &self.role else {
            return Err(Refusal::NotLeader { hint: self.leader });
        };
        if expected_term.is_some_and(|expected| expected != self.hard_state.term) {
            return Err(Refusal::TermChanged { current: self.hard_state.term });
        }
        if leader.transferee.is_some() {
            return Err(Refusal::Transferring);
        }
        let count = u32::try_from(commands.len()).map_err(|_| Refusal::InvalidProposal)?;
        if count == 0 || u64::from(count) > self.limits.uncommitted_entries_max {
            return Err(Refusal::InvalidProposal);
        }
        let uncommitted = self.log.last().index.0 - self.commit.0;
        if uncommitted + u64::from(count) > self.limits.uncommitted_entries_max {
            return Err(Refusal::Busy);
        }
        let first = self.append_own(commands.into_iter().map(Payload::Command), ready);
        self.broadcast_append(ready);
        Ok(Accepted::Proposed { first, count })
    }

    // --- shared by the handlers ---------------------------------------------------------------

    fn send(&self, to: NodeId, message: Message<C>, ready: &mut Ready<C>) {
        assert_ne!(to, self.id, "a node does not send to itself");
        ready.messages.push(Envelope { from: self.id, to, term: self.hard_state.term, message });
    }

    fn set(&mut self, timer: Timer, ready: &mut Ready<C>) {
        self.timers.insert(timer);
        ready.set.insert(timer);
        ready.cancelled.remove(timer);
    }

    fn cancel(&mut self, timer: Timer, ready: &mut Ready<C>) {
        if self.timers.contains(timer) {
            self.timers.remove(timer);
            ready.cancelled.insert(timer);
        }
        ready.set.remove(timer);
    }

    /// Turns what the handlers noted into the contract of [`Ready`].
    fn finish(&mut self, before: HardState, released: Vec<Envelope<C>>, ready: &mut Ready<C>) {
        if R::writes_hard_state(before, self.hard_state) {
            ready.write.get_or_insert_default().hard_state = Some(self.hard_state);
        }
        if let Some(write) = &ready.write {
            assert!(!write.is_empty(), "an empty write asks for a receipt of nothing");
            let load = write.snapshot.as_ref().filter(|snapshot| self.loading == Some(snapshot.last));
            self.durability.outstanding.push_back(Outstanding {
                hard_state: self.hard_state,
                written: self.log.last().index,
                load: load.cloned(),
                messages: Vec::new(),
            });
        }
        // An arriving snapshot that the log has overtaken is of no use any more.
        let commit = self.commit;
        self.incoming.take_if(|incoming| incoming.is_overtaken::<R>(commit));
        self.hold_back(ready);
        if !released.is_empty() {
            ready.messages.splice(..0, released);
        }
        ready.committed = Committed { after: self.handed, to: self.handed };
        if self.loading.is_none() {
            ready.committed.to = R::may_apply(self.commit, self.durability.log).max(self.handed);
            self.handed = ready.committed.to;
        }
    }

    /// Moves the messages that must not leave yet to the newest outstanding write.
    fn hold_back(&mut self, ready: &mut Ready<C>) {
        let durable = self.durability.hard_state.term;
        let Some(newest) = self.durability.outstanding.back_mut() else { return };
        let leaves = |envelope: &Envelope<C>| {
            R::may_leave(envelope.term, durable) && R::route(envelope.message.kind()) == Route::Now
        };
        if ready.messages.iter().all(leaves) {
            return;
        }
        for envelope in core::mem::take(&mut ready.messages) {
            if leaves(&envelope) {
                ready.messages.push(envelope);
            } else {
                newest.messages.push(envelope);
            }
        }
    }

    /// Asserts what must hold between steps; everything here is O(1).
    fn check(&self) {
        self.log.check();
        let last = self.log.last().index;
        assert!(self.log.snapshot().last.index <= self.commit, "a snapshot holds only what is committed");
        assert!(self.commit <= last, "commit {} is beyond the log's end {last}", self.commit);
        assert!(self.handed <= self.commit, "only what is committed is applied");
        assert!(self.applied <= self.handed, "applied {} > handed {}", self.applied, self.handed);
        assert!(self.durability.log <= last, "nothing is durable beyond the log's end");
        assert!(self.durability.hard_state.term <= self.hard_state.term, "the disk is never ahead");
        assert!(self.log.last().term <= self.hard_state.term, "no entry is from a later term");
        if self.loading.is_none() {
            assert!(self.log.purged().index <= self.applied, "what is purged is applied");
        }
        let is_leader = self.is_leader();
        assert_eq!(self.timers.contains(Timer::Election), !is_leader, "all but a leader may campaign");
        assert_eq!(
            self.timers.contains(Timer::LeaderFresh),
            self.leader_fresh,
            "freshness ends by its timer"
        );
        assert_eq!(self.timers.contains(Timer::CheckQuorum), is_leader, "a leader checks its quorum");
        assert_eq!(self.timers.contains(Timer::Transfer), self.transferee().is_some(), "a transfer ends");
        match &self.role {
            Role::Follower => assert_ne!(self.leader, Some(self.id), "a follower follows another"),
            Role::PreCandidate { votes } => assert!(votes.contains(&self.id) && self.leader.is_none()),
            Role::Candidate { .. } => {
                assert_eq!(self.hard_state.voted_for, Some(self.id), "a candidate votes for itself");
                assert!(self.leader.is_none(), "a candidate knows no leader");
            }
            Role::Leader(leader) => {
                assert_eq!(self.leader, Some(self.id), "a leader knows itself");
                assert!(!leader.progress.contains_key(&self.id), "a leader keeps no progress of itself");
                assert!(self.timers.contains(Timer::Heartbeat), "a leader sends heartbeats");
            }
        }
    }
}
