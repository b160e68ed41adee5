//! A cluster with its clients and everything that judges it. It carries out [`Action`]s one by one and
//! checks after each; it draws nothing and knows no time.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use super::action::{Action, ClientNumber};
use super::client::Client;
use super::coverage::{Coverage, Shape};
use super::history::Operation;
use super::linearizable::{self, Start, Verdict};
use super::oracle::Oracle;
use super::requests::Attempt;
use super::shapes::Before;
use crate::cluster::{Cluster, Options, Policies};
use crate::kv::{self, BTreeEngine, Store};
use crate::raft::invariants::{self, Invariant, Violation};
use crate::raft::{Bytes, EntryId, Index, Node, NodeId, RequestId};
use crate::replica::SnapshotPolicy;

/// The store of a member, under the rules `K`.
pub type StoreOf<K> = Store<BTreeEngine, K>;

/// How many steps lie between two looks at the size of everything.
const STEPS_PER_MEASUREMENT: u64 = 256;
/// Messages on all links together.
const MESSAGES_MAX: usize = 5_000;
/// Writes that a disk has not synced.
const WRITES_MAX: usize = 2_000;
/// Requests that wait at one replica: as many as may be uncommitted, as many that wait for an earlier term's
/// entries, and so many more that it passed on.
const WAITING_MORE: usize = 100;
/// Entries in the ledger, which waits for the slowest member to compact.
const ENTRIES_MAX: usize = 20_000;
/// So often the distance of two snapshots, and so many entries more, may a log grow.
const LOG_SNAPSHOTS_MAX: u64 = 8;
const LOG_ENTRIES_MORE: u64 = 2_000;
/// Steps in the search for an order of the operations on one key.
const CHECK_STEPS_MAX: u64 = 1_000_000;
/// Requests of operators that nobody answered; the earliest is given up beyond that.
pub(super) const OPERATOR_REQUESTS_MAX: usize = 4;

/// A promise that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The name of an invariant, or of what else must hold: `liveness`, `no_fault`, `bounded`,
    /// `no_panic`.
    pub name: &'static str,
    /// Where and how.
    pub detail: String,
    /// After how many steps.
    pub step: u64,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} violated at step {}: {}", self.name, self.step, self.detail)
    }
}

impl core::error::Error for Failure {}

/// How much a world did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Operations that clients began.
    pub operations: u64,
    /// Operations whose outcome their clients learned.
    pub answered: u64,
    /// Reads among those.
    pub reads: u64,
    /// Rounds whose history passed by its revisions and had too many unknown outcomes to be searched by its
    /// values.
    pub undecided: u64,
}

/// A cluster, its clients, and the judges.
pub struct World<P: Policies, K: kv::Rules>
where
    StoreOf<K>: Default,
{
    pub(super) cluster: Cluster<StoreOf<K>, P>,
    pub(super) oracle: Oracle,
    pub(super) clients: Vec<Client>,
    pub(super) attempts: BTreeMap<RequestId, Attempt>,
    pub(super) operator_requests: VecDeque<(RequestId, NodeId)>,
    /// Clients that have nothing to wait for: their operation ended, or its only attempt failed.
    pub(super) at_leisure: Vec<ClientNumber>,
    pub(super) history: Vec<Operation>,
    /// What the store held when the history began.
    start: Start,
    /// Numbers calls and returns.
    pub(super) ticks: u64,
    /// Numbers operations, those of earlier rounds too.
    pub(super) operations: u64,
    snapshots: SnapshotPolicy,
    uncommitted_entries_max: u64,
    /// Where each member's store was last compared.
    compared: BTreeMap<NodeId, EntryId>,
    pub(super) coverage: Coverage,
    pub(super) work: Work,
    steps: u64,
    failure: Option<Failure>,
}

impl<P: Policies, K: kv::Rules> World<P, K>
where
    StoreOf<K>: Default,
{
    /// A cluster of so many founding members with so many clients.
    #[must_use]
    pub fn new(members: u64, clients: ClientNumber, options: Options) -> Self {
        World {
            snapshots: options.snapshots,
            uncommitted_entries_max: options.limits.uncommitted_entries_max,
            cluster: Cluster::with_options(members, options),
            oracle: Oracle::new::<K>(),
            clients: (0..clients).map(|_| Client::new()).collect(),
            attempts: BTreeMap::new(),
            operator_requests: VecDeque::new(),
            at_leisure: Vec::new(),
            history: Vec::new(),
            start: Start::default(),
            ticks: 0,
            operations: 0,
            compared: BTreeMap::new(),
            coverage: Coverage::default(),
            work: Work::default(),
            steps: 0,
            failure: None,
        }
    }

    /// The cluster.
    #[must_use]
    pub fn cluster(&self) -> &Cluster<StoreOf<K>, P> {
        &self.cluster
    }

    /// Virtual time passes; nothing happens by it.
    pub(super) fn advance_to(&mut self, time_ms: u64) {
        self.cluster.advance_to(time_ms);
    }

    /// The lines of the steps since the last call, if the options ask for them.
    pub fn take_trace(&mut self) -> Vec<String> {
        self.cluster.take_trace()
    }

    /// The first promise that did not hold, after which nothing happens any more.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// How many actions did something.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// What was counted.
    #[must_use]
    pub fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    /// What the clients did.
    #[must_use]
    pub fn work(&self) -> Work {
        self.work
    }

    /// The clients that became free to act since the last call; one may be named twice.
    pub(super) fn take_at_leisure(&mut self) -> Vec<ClientNumber> {
        core::mem::take(&mut self.at_leisure)
    }

    /// Requests of operators without an answer, the earliest first.
    pub(super) fn operator_requests(&self) -> &VecDeque<(RequestId, NodeId)> {
        &self.operator_requests
    }

    pub(super) fn clients(&self) -> &[Client] {
        &self.clients
    }

    pub(super) fn client(&self, number: ClientNumber) -> &Client {
        &self.clients[usize::from(number)]
    }

    // --- acting --------------------------------------------------------------------------------

    /// Carries out an action and checks what it changed. Returns whether there was anything to do.
    pub fn perform(&mut self, action: &Action) -> bool {
        if self.failure.is_some() {
            return false;
        }
        let members = self.cluster.members();
        if !action.asked().iter().all(|id| members.contains_key(id)) {
            return false;
        }
        let member = action.member();
        let before = member.and_then(|id| Before::of(&self.cluster, id, action));
        if !self.carry_out(action) {
            return false;
        }
        self.steps += 1;
        if let Err(violation) = self.check(member, before) {
            self.fail(violation.invariant.name(), violation.detail);
        }
        true
    }

    /// Keeps the first failure.
    pub(super) fn fail(&mut self, name: &'static str, detail: String) {
        let step = self.steps;
        self.failure.get_or_insert(Failure { name, detail, step });
    }

    fn carry_out(&mut self, action: &Action) -> bool {
        let cluster = &mut self.cluster;
        match action {
            Action::Deliver { link: (from, to), position } => {
                self.coverage.note_delivery(cluster, (*from, *to), *position as usize);
                return cluster.deliver_message_at(*from, *to, *position as usize);
            }
            Action::Drop { link: (from, to), position } => {
                return cluster.drop_message_at(*from, *to, *position as usize);
            }
            Action::Duplicate { link: (from, to), position } => {
                return cluster.duplicate_message_at(*from, *to, *position as usize);
            }
            Action::Sync { id, count } => {
                let pending = cluster.members().get(id).map_or(0, |member| member.disk().pending());
                cluster.sync(*id, *count as usize);
                return pending > 0;
            }
            Action::Timeout { id, timer } => {
                let is_set =
                    cluster.replica(*id).is_some_and(|replica| replica.node().timers().contains(*timer));
                cluster.timeout(*id, *timer);
                return is_set;
            }
            Action::OpenSession { client, at } => return self.open_session(*client, *at),
            Action::Call { client, at, call } => return self.call(*client, *at, call),
            Action::Retry { client, at } => return self.retry(*client, *at),
            Action::GiveUp { client } => return self.give_up(*client),
            Action::Replace { client } => return self.replace(*client),
            Action::Cut(links) => links.iter().for_each(|(from, to)| cluster.cut(*from, *to)),
            Action::Restore(links) => links.iter().for_each(|(from, to)| cluster.restore_link(*from, *to)),
            Action::Crash { id, keep } => {
                let is_up = cluster.replica(*id).is_some();
                cluster.crash_keeping(*id, *keep as usize);
                self.compared.remove(id);
                return is_up;
            }
            Action::Restart(id) => {
                let is_down = cluster.members().get(id).is_some_and(|member| member.replica().is_none());
                cluster.restart(*id);
                return is_down;
            }
            Action::BackUp(id) => cluster.back_up(*id),
            Action::LoseDisk(id) => return cluster.lose_disk(*id),
            Action::RollBackDisk(id) => return cluster.roll_back_disk(*id),
            Action::SetClockRate { id, permille } => cluster.set_clock_rate(*id, *permille),
            Action::Compact(id) => {
                let is_up = cluster.replica(*id).is_some();
                cluster.compact(*id);
                return is_up;
            }
            Action::Join(id) => {
                let is_new = !cluster.members().contains_key(id);
                cluster.join(*id);
                return is_new;
            }
            Action::ChangeMembers { at, changes } => {
                let request = cluster.submit_change(*at, changes.clone());
                self.note_operator_request(request, *at);
            }
            Action::Transfer { at, to } => {
                let request = cluster.submit_transfer(*at, *to);
                self.note_operator_request(request, *at);
            }
            Action::Retire(id) => {
                self.compared.remove(id);
                return cluster.retire(*id);
            }
        }
        true
    }

    fn note_operator_request(&mut self, request: RequestId, at: NodeId) {
        self.operator_requests.push_back((request, at));
        if self.operator_requests.len() > OPERATOR_REQUESTS_MAX
            && let Some((request, at)) = self.operator_requests.pop_front()
        {
            self.cluster.cancel(at, request);
        }
    }

    // --- checking ------------------------------------------------------------------------------

    fn check(&mut self, member: Option<NodeId>, before: Option<Before>) -> invariants::Verdict {
        if let Some(violation) = self.cluster.violation() {
            return Err(violation.clone());
        }
        for _ in 0..self.oracle.follow(self.cluster.ledger())? {
            self.coverage.shape(Shape::RetryAnswered);
        }
        if let Some(id) = member {
            self.check_member(id)?;
            if let Some(before) = before {
                before.compare(&self.cluster, id, &mut self.coverage);
            }
        }
        while let Some((request, outcome)) = self.cluster.pop_outcome() {
            self.take_outcome(request, outcome)?;
        }
        if self.steps.is_multiple_of(STEPS_PER_MEASUREMENT)
            && let Some(detail) = self.outgrown()
        {
            self.fail("bounded", detail);
        }
        Ok(())
    }

    fn check_member(&mut self, id: NodeId) -> invariants::Verdict {
        let Some(member) = self.cluster.members().get(&id) else { return Ok(()) };
        if let Some(fault) = member.fault()
            && !member.has_lost_disk()
        {
            let detail = format!("{id} stopped: {fault}");
            self.fail("no_fault", detail);
            return Ok(());
        }
        let applied = member.machine().applied();
        if member.replica().is_some() && self.compared.get(&id) != Some(&applied) {
            self.oracle.check_store(member.machine())?;
            self.compared.insert(id, applied);
        }
        Ok(())
    }

    /// What has outgrown its bound. None of them is a limit of the protocol: they are what a healthy
    /// cluster of this size stays far below.
    fn outgrown(&self) -> Option<String> {
        let carrying = self.cluster.links().cuts().find(|link| self.cluster.links().len(*link) > 0);
        if let Some((from, to)) = carrying {
            return Some(format!("messages on the cut link from {from} to {to}"));
        }
        let messages: usize = self.cluster.links().loaded().iter().map(|(_, count)| count).sum();
        let measured = |what: &str, found: usize, most: usize| {
            (found > most).then(|| format!("{found} {what}, more than {most}"))
        };
        let waiting_max = 2 * self.uncommitted_entries_max as usize + WAITING_MORE;
        let log_max = (self.snapshots.every_entries * LOG_SNAPSHOTS_MAX
            + self.snapshots.keep_entries
            + LOG_ENTRIES_MORE) as usize;
        let of_members = self.cluster.members().iter().find_map(|(id, member)| {
            let (waiting, entries) = member.replica().map_or((0, 0), |replica| {
                (replica.waiting_requests(), replica.node().log().entries().count())
            });
            measured(&format!("unsynced writes at {id}"), member.disk().pending(), WRITES_MAX)
                .or_else(|| measured(&format!("requests waiting at {id}"), waiting, waiting_max))
                .or_else(|| measured(&format!("entries in the log of {id}"), entries, log_max))
        });
        of_members
            .or_else(|| measured("messages under way", messages, MESSAGES_MAX))
            .or_else(|| measured("entries in the ledger", self.cluster.ledger().len(), ENTRIES_MAX))
    }

    // --- the end of a round ------------------------------------------------------------------------

    /// Why the world is not at rest, if it is not: a leader that has committed in its term, all members
    /// that are up equal, every client answered, nothing on its way and nobody waiting.
    pub(super) fn unrest(&self) -> Option<String> {
        let Some(leader) = self.settled_leader() else {
            return Some(match self.cluster.leader() {
                Some(leader) => format!("{leader} has not committed in its term"),
                None => "nobody leads".into(),
            });
        };
        if let Some(number) = self.clients.iter().position(|client| client.current.is_some()) {
            return Some(format!("client {number} waits"));
        }
        if let Some((link, count)) = self.cluster.links().loaded().first() {
            return Some(format!("{count} messages on {link:?}"));
        }
        for (id, member) in self.cluster.members() {
            let Some(replica) = member.replica().filter(|_| leader.configuration().contains(*id)) else {
                continue;
            };
            if member.disk().pending() > 0 {
                return Some(format!("{} unsynced writes at {id}", member.disk().pending()));
            }
            if replica.waiting_requests() > 0 {
                return Some(format!("{} requests wait at {id}", replica.waiting_requests()));
            }
        }
        self.cluster.check_convergence().err().map(|violation: Violation| violation.to_string())
    }

    /// The leader, if it has committed in its term. The founding leader leads without an entry of its own.
    pub(super) fn settled_leader(&self) -> Option<&Node<Bytes, P::Rules>> {
        let leader = self.cluster.replica(self.cluster.leader()?)?.node();
        let committed_in = leader.log().term_at(leader.commit_index());
        (committed_in == Some(leader.term()) || leader.commit_index() == Index::ZERO).then_some(leader)
    }

    /// Ends a round at rest: what its clients saw must be linearizable. An operation whose outcome nobody
    /// learned has taken effect by now or never will, so the next round starts from a known state.
    pub fn close_round(&mut self) {
        match linearizable::check(&self.history, &self.start, CHECK_STEPS_MAX) {
            Verdict::NoViolation { .. } => {}
            Verdict::Violation(violation) => self.fail(Invariant::Linearizable.name(), violation.to_string()),
            Verdict::Undecided { .. } => self.work.undecided += 1,
        }
        self.history.clear();
        self.start = self.oracle.start();
        self.oracle.close_round();
    }
}
