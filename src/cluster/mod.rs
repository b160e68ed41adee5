//! A whole cluster in one value: replicas, state machines, disks, links, virtual time.
//!
//! ```text
//!   propose, read, partition, crash, …      Cluster                    outcome, violation, trace
//!            ──────────────►  ┌───────────────────────────────┐  ──────────────►
//!                             │ Member  Member  Member …      │
//!                             │ replica, machine, disk        │      Ledger (ghost): what was ever
//!                             │    └──── Links ────┘          │      committed, who ever led
//!                             └───────────────────────────────┘
//! ```
//!
//! The cluster is an executor of the replicas that ship: it carries out their effects on simulated disks
//! and links, and decides nothing. Messages travel as messages, encoded and decoded; no call reaches
//! into a node. [`Cluster::heal`] restores the links and lets the protocol converge.
//!
//! **Movement.** Nothing moves by itself. [`deliver`](Cluster::deliver) delivers messages and syncs disks
//! until nothing is left to do; [`stabilize`](Cluster::stabilize) fires heartbeats as well, until they
//! change nothing; [`elapse`](Cluster::elapse) lets time pass, so that elections happen. `propose` and
//! `heal` never advance time: an isolated leader keeps its uncommitted tail until somebody lets it
//! notice. Single steps ([`deliver_message`](Cluster::deliver_message), [`sync`](Cluster::sync),
//! [`timeout`](Cluster::timeout)) are there for tests and simulations that choose their own order.
//!
//! **Determinism.** The seed in [`Options`] is the only source of chance. Every step is a dense line and
//! extends a running hash ([`Trace`]), so equal runs can be told by one number.
//!
//! **Checks.** After every step the invariants of [`raft::invariants`](crate::raft::invariants) and
//! [`invariants`] are evaluated on what the step changed; the first violation is kept in
//! [`Cluster::violation`].
//!
//! Under it: `faults`, [`disk`] and [`links`] with the rules that a checker can replace, [`workload`] and [`exams`]
//! for the frozen exams, [`scenario`] for the language of `dkv scenario`.
//!
//! Left out: random faults, latency and histories, which [`sim`](crate::sim) draws on top of these steps.

pub mod disk;
pub mod exams;
mod faults;
pub mod invariants;
pub mod links;
mod member;
pub mod random;
mod run;
pub mod scenario;
pub mod trace;
pub mod workload;

use alloc::collections::btree_map::Entry;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Debug;
use core::hash::Hash;

use self::disk::{Disk, DiskRules, FaithfulDisk};
use self::invariants::Ledger;
use self::links::{FaithfulLinks, LinkRules, Links};
pub use self::member::{Member, ReplicaOf};
use self::random::Random;
use self::trace::{Event, Trace};
use crate::raft::Violation;
use crate::raft::invariants::{Invariant, ensure};
use crate::raft::{
    Configuration, Durable, EntryId, Index, Limits, MemberChange, NodeId, Raft, Refusal, RequestId,
};
use crate::replica::{self, Failure, Input, Packet as ReplicaPacket, Request, SnapshotPolicy, StateMachine};

/// The packets of a cluster of `M`.
pub type Packet<M> = ReplicaPacket<<M as StateMachine>::Command, <M as StateMachine>::Response>;

/// The rules under which nodes, disks and links run. [`Shipped`] is the product; a checker overrides
/// one rule by type.
pub trait Policies: Clone + Copy + Debug + Default + PartialEq + Eq + PartialOrd + Ord + Hash {
    /// The rules of consensus and of answering clients.
    type Rules: replica::Rules;
    /// What disks promise.
    type Disk: DiskRules;
    /// What links do.
    type Links: LinkRules;
}

/// The rules that ship.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shipped;

impl Policies for Shipped {
    type Rules = Raft;
    type Disk = FaithfulDisk;
    type Links = FaithfulLinks;
}

/// How a cluster is set up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Options {
    /// From which all random durations come.
    pub seed: u64,
    /// Bounds of what nodes keep in flight.
    pub limits: Limits,
    /// When replicas take snapshots; by default only when told to.
    pub snapshots: SnapshotPolicy,
    /// T: the minimum election timeout.
    pub election_timeout_ms: u64,
    /// The heartbeat interval.
    pub heartbeat_ms: u64,
    /// Encode and decode every packet on its way.
    pub codec: bool,
    /// Check every invariant after every step.
    pub checks: bool,
    /// Keep every committed entry in the ledger, also those that no member holds any more.
    pub whole_ledger: bool,
    /// Keep a line of every step for [`Cluster::take_trace`].
    pub trace_lines: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            seed: 0,
            limits: Limits::default(),
            snapshots: SnapshotPolicy::default(),
            election_timeout_ms: ELECTION_TIMEOUT_MS,
            heartbeat_ms: HEARTBEAT_MS,
            codec: true,
            checks: true,
            whole_ledger: false,
            trace_lines: false,
        }
    }
}

const ELECTION_TIMEOUT_MS: u64 = 1000;
const HEARTBEAT_MS: u64 = 100;
const _: () = assert!(HEARTBEAT_MS * 3 < ELECTION_TIMEOUT_MS, "a leader is heard several times in T");

/// Requests of which a second answer is noticed.
const ANSWERED_MAX: usize = 4096;

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome<M: StateMachine> {
    /// The command is committed and was applied where the client asked.
    Applied {
        /// Its entry.
        id: EntryId,
        /// The response.
        response: M::Response,
    },
    /// What the read saw.
    Read(M::View),
    /// The new configuration.
    MembersChanged(Configuration),
    /// Leadership went over.
    Transferred,
    /// It failed.
    Failed(Failure),
}

/// A request that has no outcome yet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Pending<Q> {
    /// The member that was asked, and how often it had started: it answers once, unless it crashes.
    at: (NodeId, u64),
    /// What was committed when the client asked: it must not see less.
    floor: Index,
    query: Option<Q>,
}

/// A deterministic cluster: replicas, their disks and state machines, and the links between them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cluster<M: StateMachine, P: Policies = Shipped> {
    options: Options,
    members: BTreeMap<NodeId, Member<M, P>>,
    links: Links<Packet<M>>,
    random: Random,
    time_ms: u64,
    next_request: u64,
    pending: BTreeMap<RequestId, Pending<M::Query>>,
    /// The latest requests that were answered or given up.
    answered: BTreeSet<RequestId>,
    outcomes: BTreeMap<RequestId, Outcome<M>>,
    ledger: Ledger<M::Command>,
    trace: Trace,
    violation: Option<Violation>,
    buffer: Vec<u8>,
}

impl<M: StateMachine> Cluster<M> {
    /// A cluster of `count` founding members under the rules that ship. Member 0 leads term 1.
    #[must_use]
    pub fn new(count: u64) -> Self {
        Cluster::with_options(count, Options::default())
    }
}

impl<M: StateMachine, P: Policies> Cluster<M, P> {
    /// A cluster of `count` founding members, 0 to `count` - 1. Member 0 leads term 1 from the start.
    ///
    /// Panics if `count` is 0, or the heartbeat is not well below the election timeout.
    #[must_use]
    pub fn with_options(count: u64, options: Options) -> Self {
        assert!(count >= 1, "a cluster has members");
        assert!(
            options.heartbeat_ms * 3 < options.election_timeout_ms,
            "a leader is heard several times in T"
        );
        let founding = Configuration::of_voters((0..count).map(NodeId));
        let genesis = Durable::genesis(NodeId(0), founding.clone());
        let mut cluster = Cluster {
            random: Random::new(options.seed),
            trace: Trace::new(options.trace_lines),
            members: BTreeMap::new(),
            links: Links::default(),
            time_ms: 0,
            next_request: 0,
            pending: BTreeMap::new(),
            answered: BTreeSet::new(),
            outcomes: BTreeMap::new(),
            ledger: Ledger::new(&founding),
            violation: None,
            buffer: Vec::new(),
            options,
        };
        for id in founding.voters {
            let mut member = Member::new(Disk::new(genesis.clone()));
            member.disk.begin_generation();
            let (limits, snapshots) = (cluster.options.limits, cluster.options.snapshots);
            let effects = member.found(id, limits, snapshots);
            cluster.members.insert(id, member);
            cluster.started(id, effects);
        }
        cluster
    }

    // --- looking -------------------------------------------------------------------------------

    /// The members, crashed ones too.
    #[must_use]
    pub fn members(&self) -> &BTreeMap<NodeId, Member<M, P>> {
        &self.members
    }

    /// The replica of a member that is up.
    #[must_use]
    pub fn replica(&self, id: NodeId) -> Option<&ReplicaOf<M, P>> {
        self.members.get(&id)?.replica.as_ref()
    }

    /// The nodes that are up.
    pub fn nodes(&self) -> impl Iterator<Item = &crate::raft::Node<M::Command, P::Rules>> + Clone {
        self.members.values().filter_map(|member| member.replica.as_ref().map(replica::Replica::node))
    }

    /// The leader of the highest term among the members that are up.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        let leaders = self.nodes().filter(|node| node.is_leader());
        leaders.max_by_key(|node| node.term()).map(crate::raft::Node::id)
    }

    /// The links.
    #[must_use]
    pub fn links(&self) -> &Links<Packet<M>> {
        &self.links
    }

    /// What was ever committed.
    #[must_use]
    pub fn ledger(&self) -> &Ledger<M::Command> {
        &self.ledger
    }

    /// The virtual time.
    #[must_use]
    pub fn time_ms(&self) -> u64 {
        self.time_ms
    }

    /// The trace: its hash, and its length.
    #[must_use]
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// The lines of the steps since the last call, if the options ask for them.
    pub fn take_trace(&mut self) -> Vec<String> {
        self.trace.take_lines()
    }

    /// The first violated invariant, after which the run means nothing.
    #[must_use]
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// What became of a request; nothing while it waits.
    #[must_use]
    pub fn outcome(&self, request: RequestId) -> Option<&Outcome<M>> {
        self.outcomes.get(&request)
    }

    /// Takes the outcome of a request out of the cluster.
    pub fn take_outcome(&mut self, request: RequestId) -> Option<Outcome<M>> {
        self.outcomes.remove(&request)
    }

    /// Takes an outcome that nobody took yet, that of the earliest request first.
    pub fn pop_outcome(&mut self) -> Option<(RequestId, Outcome<M>)> {
        self.outcomes.pop_first()
    }

    /// Whether `id` is cut off from the majority: itself and those with whom it can exchange messages both
    /// ways are at most half of the members.
    #[must_use]
    pub fn is_partitioned(&self, id: NodeId) -> bool {
        let reaches = |other: &NodeId| !self.links.is_cut((id, *other)) && !self.links.is_cut((*other, id));
        let reached = self.members.keys().filter(|other| **other == id || reaches(other)).count();
        reached * 2 <= self.members.len()
    }

    // --- clients -------------------------------------------------------------------------------

    /// Proposes a command to the leader and delivers messages until nothing moves, without advancing
    /// time. The outcome is there afterwards if the command could commit.
    pub fn propose(&mut self, command: M::Command) -> RequestId {
        let at = self.leader().or_else(|| self.nodes().next().map(crate::raft::Node::id));
        let request = self.submit(at.unwrap_or(NodeId(0)), command);
        self.deliver();
        request
    }

    /// Hands a command to one member, which forwards it if it does not lead, and delivers nothing.
    pub fn submit(&mut self, at: NodeId, command: M::Command) -> RequestId {
        let request = self.new_request(at, None);
        self.request(at, request, Request::Propose(Vec::from([(request, command)])));
        request
    }

    /// Reads linearizably at the leader and delivers messages until nothing moves.
    pub fn read(&mut self, query: M::Query) -> RequestId {
        let at = self.leader().or_else(|| self.nodes().next().map(crate::raft::Node::id));
        let request = self.submit_read(at.unwrap_or(NodeId(0)), query);
        self.deliver();
        request
    }

    /// Asks one member for a linearizable read, and delivers nothing.
    pub fn submit_read(&mut self, at: NodeId, query: M::Query) -> RequestId {
        let request = self.new_request(at, Some(query));
        self.request(at, request, Request::Read(request));
        request
    }

    /// A client gives up: the outcome becomes unknown unless it is known already.
    pub fn cancel(&mut self, at: NodeId, request: RequestId) {
        self.step(at, Event::Cancel(request), Input::Cancel(request));
        if let Some(pending) = self.pending.remove(&request)
            && self.options.checks
            && self.replica(at).is_some()
            && pending.at == self.incarnation(at)
        {
            let verdict =
                ensure(false, Invariant::ExactlyOnce, || format!("{at} does not know {request:?} any more"));
            self.judge(verdict);
        }
        self.note_answered(request);
        self.outcomes.entry(request).or_insert(Outcome::Failed(Failure::Unknown));
    }

    fn incarnation(&self, id: NodeId) -> (NodeId, u64) {
        (id, self.members.get(&id).map_or(0, |member| member.disk.generation()))
    }

    /// Remembers for a while that nobody waits for this request any more.
    fn note_answered(&mut self, request: RequestId) {
        self.answered.insert(request);
        if self.answered.len() > ANSWERED_MAX {
            self.answered.pop_first();
        }
    }

    fn new_request(&mut self, at: NodeId, query: Option<M::Query>) -> RequestId {
        let request = RequestId(self.next_request);
        self.next_request += 1;
        let pending = Pending { at: self.incarnation(at), floor: self.ledger.last().index, query };
        self.pending.insert(request, pending);
        request
    }

    fn request(&mut self, at: NodeId, request: RequestId, input: Request<M::Command>) {
        if self.replica(at).is_some() {
            self.step(at, Event::Request, Input::Request(input));
        } else {
            self.pending.remove(&request);
            self.outcomes
                .insert(request, Outcome::Failed(Failure::Refused(Refusal::NotLeader { hint: None })));
        }
    }

    // --- membership, leadership, compaction ------------------------------------------------------

    /// Starts a new member with an empty disk, if there is none of this id. It is in no configuration.
    pub fn join(&mut self, id: NodeId) {
        if let Entry::Vacant(place) = self.members.entry(id) {
            place.insert(Member::new(Disk::new(Durable::empty())));
            self.restart(id);
        }
    }

    /// Starts a new member with an empty disk and asks the leader to make it a learner.
    pub fn add_learner(&mut self, id: NodeId) -> RequestId {
        self.join(id);
        self.change_members(Vec::from([MemberChange::AddLearner(id)]))
    }

    /// Asks the leader to make a learner a voter.
    pub fn promote(&mut self, id: NodeId) -> RequestId {
        self.change_members(Vec::from([MemberChange::Promote(id)]))
    }

    /// Asks the leader to remove a member, possibly itself. The member keeps running until it is
    /// crashed, as a server would.
    pub fn remove(&mut self, id: NodeId) -> RequestId {
        self.change_members(Vec::from([MemberChange::Remove(id)]))
    }

    /// Asks the leader for several changes at once, and delivers messages until nothing moves. A
    /// leader that has not committed in its term yet is asked once more when it has.
    pub fn change_members(&mut self, changes: Vec<MemberChange>) -> RequestId {
        // The same member both times: whoever asked knows where, and can cancel there.
        let at = self.leader().unwrap_or(NodeId(0));
        let request = self.try_change(at, changes.clone());
        let is_early = Outcome::Failed(Failure::Refused(Refusal::ChangeInProgress));
        if self.outcome(request) == Some(&is_early) {
            return self.try_change(at, changes);
        }
        request
    }

    fn try_change(&mut self, at: NodeId, changes: Vec<MemberChange>) -> RequestId {
        let request = self.submit_change(at, changes);
        self.deliver();
        request
    }

    /// Asks one member to change who takes part, and delivers nothing.
    pub fn submit_change(&mut self, at: NodeId, changes: Vec<MemberChange>) -> RequestId {
        let request = self.new_request(at, None);
        self.request(at, request, Request::ChangeMembers(request, changes));
        request
    }

    /// Asks the leader to hand leadership to `to`, and delivers messages until nothing moves.
    pub fn transfer(&mut self, to: NodeId) -> RequestId {
        let request = self.submit_transfer(self.leader().unwrap_or(NodeId(0)), to);
        self.deliver();
        request
    }

    /// Asks one member to hand leadership to `to`, and delivers nothing.
    pub fn submit_transfer(&mut self, at: NodeId, to: NodeId) -> RequestId {
        let request = self.new_request(at, None);
        self.request(at, request, Request::TransferLeadership(request, to));
        request
    }

    /// Lets a member snapshot its state and purge its log.
    pub fn compact(&mut self, id: NodeId) {
        self.step(id, Event::Compact, Input::Compact);
    }
}
