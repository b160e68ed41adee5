//! A cluster beside its reference: carries out actions and compares after each.

use std::collections::{BTreeMap, BTreeSet};

use dkv::cluster::random::Random;
use dkv::cluster::{Cluster, Outcome, Policies};
use dkv::codec::to_bytes;
use dkv::kv::{
    BTreeEngine, ClientId, Command, Compare, Delete, KeyRange, Op, Outcome as Answer, Put, Range, Relation,
    Response, SimpleOp, Store, Target, Txn,
};
use dkv::raft::{Bytes, Index, NodeId, Payload, RequestId, Role, Timer};
use dkv::replica::Failure;

use super::actions::{Action, Case, Who, Write};
use super::model::{Reference, State};

/// After the last action and when all faults are gone, a new command commits within this many minimum
/// election timeouts of virtual time. One campaign takes at most two; split votes add.
const COMMIT_TIMEOUTS_MAX: u64 = 20;

/// And all members of the configuration have every committed entry this many timeouts later.
const CONVERGENCE_TIMEOUTS_MAX: u64 = 10;

/// Virtual time between two looks at the end.
const STEP_MS: u64 = 250;
const TIMEOUT_MS: u64 = 1000;

/// How many members may join; a case starts with up to seven.
const NEW_MEMBERS_MAX: u64 = 2;

/// Proposals until nobody waits for an index that only a deposed leader had reached.
const FILLERS_MAX: usize = 200;

type StoreOf<K> = Store<BTreeEngine, K>;

/// A request without an outcome.
#[derive(Clone, Debug)]
struct Waiting {
    at: NodeId,
    /// What was committed when it was submitted.
    floor: Index,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Write { bytes: Bytes, client: Option<u8> },
    Read(Range),
    Administration,
}

/// A client with a session: one request at a time, repeated until it is answered.
#[derive(Clone, Debug, Default)]
struct Client {
    opening: Option<RequestId>,
    /// The session, and the request that opened it.
    session: Option<(ClientId, RequestId)>,
    sequence: u64,
    /// The latest request, and the answer that it got.
    current: Option<(Bytes, Option<Response>)>,
}

/// How often some bytes were submitted, known to have no effect, and committed.
#[derive(Clone, Debug)]
struct Submissions {
    command: Command,
    submitted: u64,
    without_effect: u64,
    committed: u64,
}

pub(crate) struct World<P: Policies, K: dkv::kv::Rules>
where
    StoreOf<K>: Default,
{
    cluster: Cluster<StoreOf<K>, P>,
    reference: Reference,
    submissions: BTreeMap<Bytes, Submissions>,
    waiting: BTreeMap<RequestId, Waiting>,
    clients: BTreeMap<u8, Client>,
    values: u64,
    members_max: u64,
    held: BTreeSet<NodeId>,
    /// What was done, in the scenario language.
    script: Vec<String>,
    stats: Stats,
}

/// How much a run did, to show that cases are not idle.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stats {
    pub(crate) committed: u64,
    pub(crate) acknowledged: u64,
    pub(crate) reads: u64,
    pub(crate) terms: u64,
    pub(crate) refused: u64,
    pub(crate) lost: u64,
    pub(crate) configurations: u64,
}

type Checked = Result<(), String>;

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(otherwise()) }
}

impl<P: Policies, K: dkv::kv::Rules> World<P, K>
where
    StoreOf<K>: Default,
{
    pub(crate) fn new(case: &Case) -> Self {
        let mut options = case.options.clone();
        options.whole_ledger = true;
        World {
            cluster: Cluster::with_options(case.members, options),
            reference: Reference::default(),
            submissions: BTreeMap::new(),
            waiting: BTreeMap::new(),
            clients: BTreeMap::new(),
            values: 0,
            members_max: case.members + NEW_MEMBERS_MAX,
            held: BTreeSet::new(),
            script: vec![super::script::opening(case)],
            stats: Stats::default(),
        }
    }

    /// Runs a case to its end.
    ///
    /// # Errors
    /// What is not as the reference says.
    pub(crate) fn run(&mut self, actions: &[Action]) -> Result<Stats, String> {
        for action in actions {
            self.act(*action);
            self.check().map_err(|error| format!("after {action:?}: {error}"))?;
        }
        self.settle().map_err(|error| format!("at the end: {error}"))?;
        self.stats.committed = self.reference.last().0;
        self.stats.terms = self.cluster.ledger().leaders().len() as u64;
        Ok(self.stats)
    }

    /// What was done so far, as a scenario.
    pub(crate) fn script(&self) -> String {
        let mut text = self.script.join("\n");
        text.push('\n');
        text
    }

    // --- acting --------------------------------------------------------------------------------

    fn note(&mut self, line: String) {
        self.script.push(line);
    }

    fn ids(&self) -> Vec<NodeId> {
        self.cluster.members().keys().copied().collect()
    }

    fn who(&self, who: Who) -> NodeId {
        match who {
            Who::Leader => self.cluster.leader().unwrap_or(NodeId(0)),
            Who::Nth(place) => self.nth(place),
        }
    }

    fn nth(&self, place: u8) -> NodeId {
        let ids = self.ids();
        ids[usize::from(place) % ids.len()]
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Submit(who, write) => {
                let command = Command::new(self.operation(write));
                self.submit(self.who(who), command, None);
            }
            Action::Session { client, at, write, again } => {
                self.use_session(client, self.who(at), write, again)
            }
            Action::Read(who) => self.read(self.who(who)),
            Action::Cancel(place) => self.cancel(usize::from(place)),
            Action::Partition(bits) => self.partition(bits),
            Action::Cut(from, to) => self.cut(self.nth(from), self.nth(to)),
            Action::RestoreLink(from, to) => self.restore_link(self.nth(from), self.nth(to)),
            Action::Heal => {
                self.note("heal".into());
                self.cluster.heal();
            }
            Action::Mend => {
                let cuts: Vec<_> = self.cluster.links().cuts().collect();
                cuts.into_iter().for_each(|(from, to)| self.restore_link(from, to));
            }
            Action::Crash { who, keep } => self.crash(self.who(who), usize::from(keep)),
            Action::Restart(place) => {
                let down: Vec<NodeId> =
                    self.ids().into_iter().filter(|id| self.cluster.replica(*id).is_none()).collect();
                if !down.is_empty() {
                    self.restart(down[usize::from(place) % down.len()]);
                }
            }
            Action::HoldDisk(who) => self.hold(self.who(who), true),
            Action::ReleaseDisk(who) => self.hold(self.who(who), false),
            Action::Sync { who, count } => self.sync(self.who(who), usize::from(count)),
            Action::Compact(who) => {
                let id = self.who(who);
                if self.cluster.replica(id).is_some() {
                    self.note(format!("compact {}", id.0));
                    self.cluster.compact(id);
                }
            }
            Action::Deliver => {
                self.note("deliver".into());
                self.cluster.deliver();
            }
            Action::Some { count, seed } => self.some(count, seed),
            Action::DeliverOn { link, count } => {
                if let Some((from, to)) = self.link(link) {
                    self.deliver_on(from, to, count);
                }
            }
            Action::Drop(link) => {
                if let Some((from, to)) = self.link(link) {
                    self.note(format!("drop {} {}", from.0, to.0));
                    self.cluster.drop_message(from, to);
                }
            }
            Action::Duplicate(link) => {
                if let Some((from, to)) = self.link(link) {
                    self.note(format!("duplicate {} {}", from.0, to.0));
                    self.cluster.duplicate_message(from, to);
                }
            }
            Action::Delay(link) => {
                if let Some((from, to)) = self.link(link) {
                    self.note(format!("delay {} {}", from.0, to.0));
                    self.cluster.delay_message(from, to);
                }
            }
            Action::Elapse { ms } => self.elapse(u64::from(ms)),
            Action::Timeout(who, timer) => self.timeout(self.who(who), timer),
            Action::Campaign(place) => {
                self.ids().into_iter().for_each(|id| self.timeout(id, Timer::LeaderFresh));
                self.timeout(self.nth(place), Timer::Election);
            }
            Action::Transfer(_) | Action::AddLearner { .. } | Action::Promote(_) | Action::Remove(_) => {
                self.administrate(action);
            }
        }
    }

    fn operation(&mut self, write: Write) -> Op {
        let name = |key: u8| Bytes::from(["a", "b", "c", "d"][usize::from(key) % 4]);
        let one = |key: u8| KeyRange::One(name(key));
        self.values += 1;
        let value = |number: u64| Bytes::from(format!("v{number}").as_bytes());
        let put = |key: u8| Put::new(name(key), value(self.values));
        match write {
            Write::Put { key } => Op::Put(put(key)),
            Write::Delete { key } => Op::Del(Delete::new(one(key))),
            Write::IfVersion { key, version } => {
                let target = Target::Version(i64::from(version));
                Op::Txn(Txn {
                    compares: vec![Compare { keys: one(key), target, relation: Relation::Equal }],
                    then: vec![
                        SimpleOp::Put(put(key)).into(),
                        SimpleOp::Range(Range::new(one(key + 1))).into(),
                    ],
                    otherwise: vec![SimpleOp::Delete(Delete::new(one(key + 1))).into()],
                })
            }
            Write::IfNot { key, value: number } => {
                let target = Target::Value(value(u64::from(number)));
                Op::Txn(Txn {
                    compares: vec![Compare { keys: one(key), target, relation: Relation::NotEqual }],
                    then: vec![
                        SimpleOp::Delete(Delete::new(one(key))).into(),
                        SimpleOp::Put(put(key + 1)).into(),
                    ],
                    otherwise: Vec::new(),
                })
            }
        }
    }

    fn submit(&mut self, at: NodeId, command: Command, client: Option<u8>) -> RequestId {
        let bytes = Bytes::from(to_bytes(&command));
        let floor = self.reference.last();
        let request = self.cluster.submit(at, bytes.clone());
        let session = client.and_then(|number| self.clients.get(&number)?.session);
        let session = session.map(|(_, opened_by)| opened_by);
        self.note(super::script::submit(at, request, &command, session));
        let known = Submissions { command, submitted: 0, without_effect: 0, committed: 0 };
        self.submissions.entry(bytes.clone()).or_insert(known).submitted += 1;
        self.waiting.insert(request, Waiting { at, floor, kind: Kind::Write { bytes, client } });
        request
    }

    fn use_session(&mut self, number: u8, at: NodeId, write: Write, again: bool) {
        let client = self.clients.entry(number).or_default().clone();
        let Some((session, _)) = client.session else {
            if client.opening.is_none() {
                let opening = self.submit(at, Command::new(Op::OpenSession), Some(number));
                self.clients.entry(number).or_default().opening = Some(opening);
            }
            return;
        };
        let repeated = match &client.current {
            Some((bytes, None)) => Some(bytes.clone()),
            Some((bytes, Some(_))) if again => Some(bytes.clone()),
            _ => None,
        };
        let command = match repeated {
            Some(bytes) => self.submissions[&bytes].command.clone(),
            None => Command::tagged(session, client.sequence + 1, self.operation(write)),
        };
        let bytes = Bytes::from(to_bytes(&command));
        let sequence = command.session.map_or(0, |tag| tag.sequence);
        self.submit(at, command, Some(number));
        let client = self.clients.entry(number).or_default();
        if sequence > client.sequence {
            client.sequence = sequence;
            client.current = Some((bytes, None));
        }
    }

    fn read(&mut self, at: NodeId) {
        let range = Range::new(KeyRange::all());
        let floor = self.reference.last();
        let request = self.cluster.submit_read(at, range.clone());
        self.note(format!("submit read a at={} as=r{}", at.0, request.0));
        self.waiting.insert(request, Waiting { at, floor, kind: Kind::Read(range) });
    }

    fn cancel(&mut self, place: usize) {
        if self.waiting.is_empty() {
            return;
        }
        let (request, waiting) =
            self.waiting.iter().nth(place % self.waiting.len()).expect("counted modulo the length");
        let (request, at) = (*request, waiting.at);
        self.note(format!("cancel r{}", request.0));
        self.cluster.cancel(at, request);
    }

    fn partition(&mut self, bits: u8) {
        let ids = self.ids();
        let inside: Vec<NodeId> = ids.into_iter().filter(|id| bits >> (id.0 % 8) & 1 == 1).collect();
        let names: Vec<String> = inside.iter().map(|id| id.0.to_string()).collect();
        if !inside.is_empty() && inside.len() < self.cluster.members().len() {
            self.note(format!("partition {}", names.join(" ")));
            self.cluster.partition(inside);
        }
    }

    fn cut(&mut self, from: NodeId, to: NodeId) {
        if from != to {
            self.note(format!("cut {} {}", from.0, to.0));
            self.cluster.cut(from, to);
        }
    }

    fn restore_link(&mut self, from: NodeId, to: NodeId) {
        if self.cluster.links().is_cut((from, to)) {
            self.note(format!("restore {} {}", from.0, to.0));
            self.cluster.restore_link(from, to);
        }
    }

    fn crash(&mut self, id: NodeId, keep: usize) {
        if self.cluster.replica(id).is_some() {
            self.note(format!("crash {} keep={keep}", id.0));
            self.cluster.crash_keeping(id, keep);
        }
    }

    fn restart(&mut self, id: NodeId) {
        if self.cluster.replica(id).is_none() {
            self.note(format!("restart {}", id.0));
            self.cluster.restart(id);
        }
    }

    fn hold(&mut self, id: NodeId, hold: bool) {
        if self.held.contains(&id) != hold {
            self.note(format!("{} {}", if hold { "hold-disk" } else { "release-disk" }, id.0));
            self.cluster.hold_disk(id, hold);
            if hold {
                self.held.insert(id)
            } else {
                self.held.remove(&id)
            };
        }
    }

    fn sync(&mut self, id: NodeId, count: usize) {
        let member = &self.cluster.members()[&id];
        if member.replica().is_some() && member.disk().pending() > 0 {
            self.note(format!("sync {} {count}", id.0));
            self.cluster.sync(id, count);
        }
    }

    fn link(&self, place: u8) -> Option<(NodeId, NodeId)> {
        let loaded = self.cluster.links().loaded();
        let (link, _) = loaded.get(usize::from(place).checked_rem(loaded.len())?)?;
        Some(*link)
    }

    fn deliver_on(&mut self, from: NodeId, to: NodeId, count: u8) {
        self.note(format!("deliver {} {} {count}", from.0, to.0));
        for _ in 0..count {
            self.cluster.deliver_message(from, to);
        }
    }

    /// A schedule of its own: each step delivers one message or syncs one write.
    fn some(&mut self, count: u8, seed: u16) {
        let mut random = Random::new(u64::from(seed));
        for _ in 0..count {
            let loaded = self.cluster.links().loaded();
            let is_waiting = |id: &NodeId| {
                let member = &self.cluster.members()[id];
                member.replica().is_some() && member.disk().pending() > 0
            };
            let unsynced: Vec<NodeId> = self.ids().into_iter().filter(is_waiting).collect();
            let choices = (loaded.len() + unsynced.len()) as u64;
            if choices == 0 {
                return;
            }
            let choice = usize::try_from(random.below(choices)).expect("a small number");
            match loaded.get(choice) {
                Some(((from, to), _)) => self.deliver_on(*from, *to, 1),
                None => self.sync(unsynced[choice - loaded.len()], 1),
            }
        }
    }

    fn elapse(&mut self, ms: u64) {
        self.note(format!("elapse {ms}ms"));
        self.cluster.elapse(ms);
    }

    fn timeout(&mut self, id: NodeId, timer: Timer) {
        let is_set = self.cluster.replica(id).is_some_and(|replica| replica.node().timers().contains(timer));
        if is_set {
            self.note(format!("timeout {} {}", id.0, super::script::timer(timer)));
            self.cluster.timeout(id, timer);
        }
    }

    fn administrate(&mut self, action: Action) {
        let floor = self.reference.last();
        let (line, request) = match action {
            Action::Transfer(member) => {
                let to = self.nth(member);
                (format!("transfer {}", to.0), self.cluster.transfer(to))
            }
            Action::AddLearner { new, member } => {
                let ids = self.ids();
                let is_room = (ids.len() as u64) < self.members_max;
                let id = if new && is_room { NodeId(ids.len() as u64) } else { self.nth(member) };
                (format!("add-learner {}", id.0), self.cluster.add_learner(id))
            }
            Action::Promote(member) => {
                let id = self.nth(member);
                (format!("promote {}", id.0), self.cluster.promote(id))
            }
            Action::Remove(who) => {
                let id = self.who(who);
                (format!("remove {}", id.0), self.cluster.remove(id))
            }
            _ => unreachable!("not about members"),
        };
        self.note(format!("{line} as=r{}", request.0));
        let at = self.cluster.leader().unwrap_or(NodeId(0));
        self.waiting.insert(request, Waiting { at, floor, kind: Kind::Administration });
    }

    // --- comparing -----------------------------------------------------------------------------

    fn check(&mut self) -> Checked {
        if let Some(violation) = self.cluster.violation() {
            return Err(violation.to_string());
        }
        self.follow_ledger()?;
        self.check_members()?;
        self.check_outcomes()?;
        for (link, count) in self.cluster.links().loaded() {
            ensure(!self.cluster.links().is_cut(link), || {
                format!("{count} messages on the cut link {link:?}")
            })?;
        }
        Ok(())
    }

    /// The committed sequence only ever grows.
    fn follow_ledger(&mut self) -> Checked {
        let known = self.reference.last();
        let mut found = 0;
        for entry in self.cluster.ledger().entries() {
            found += 1;
            if entry.id.index <= known {
                ensure(self.reference.entry(entry.id.index) == Some(entry), || {
                    format!("the committed {:?} became {entry:?}", self.reference.entry(entry.id.index))
                })?;
                continue;
            }
            let submissions = &self.submissions;
            self.reference.extend(entry, |bytes| Some(&submissions.get(bytes)?.command))?;
            match &entry.payload {
                Payload::Command(bytes) => {
                    let known = self.submissions.get_mut(bytes).expect("found by the reference");
                    known.committed += 1;
                    known.check()?;
                }
                Payload::Configuration(_) => self.stats.configurations += 1,
                Payload::Noop => {}
            }
        }
        ensure(found >= known.0, || format!("{known} entries were committed, and {found} are left"))
    }

    /// Every member that is up is a fold of a prefix.
    fn check_members(&self) -> Checked {
        for (id, member) in self.cluster.members() {
            ensure(member.fault().is_none(), || format!("{id} stopped: {:?}", member.fault()))?;
            if member.replica().is_none() {
                continue;
            }
            let applied = member.machine().applied();
            ensure(self.reference.id(applied.index) == Some(applied), || {
                format!("{id} applied {applied}, which is not committed")
            })?;
            let (held, expected) = (State::of_store(member.machine()), self.reference.state(applied.index));
            ensure(Some(&held) == expected.as_ref(), || {
                format!("{id} holds at {applied}\n{held:?}\nand not\n{expected:?}")
            })?;
        }
        Ok(())
    }

    fn check_outcomes(&mut self) -> Checked {
        let requests: Vec<RequestId> = self.waiting.keys().copied().collect();
        for request in requests {
            if let Some(outcome) = self.cluster.take_outcome(request) {
                let waiting = self.waiting.remove(&request).expect("listed above");
                self.check_outcome(request, &waiting, outcome)
                    .map_err(|error| format!("{request:?}: {error}"))?;
            }
        }
        Ok(())
    }

    fn check_outcome(
        &mut self,
        request: RequestId,
        waiting: &Waiting,
        outcome: Outcome<StoreOf<K>>,
    ) -> Checked {
        match (&waiting.kind, outcome) {
            (Kind::Write { bytes, client }, Outcome::Applied { id, response }) => {
                let held = self.reference.entry(id.index).filter(|entry| entry.id == id);
                let payload = held.map(|entry| &entry.payload);
                ensure(payload == Some(&Payload::Command(bytes.clone())), || {
                    format!("acknowledged {bytes:?} as {id}, where {held:?} is committed")
                })?;
                ensure(id.index > waiting.floor, || format!("{id} was there before it was submitted"))?;
                let expected = self.reference.response(id.index);
                ensure(Some(&response) == expected, || {
                    format!("answered {response:?} and not {expected:?}")
                })?;
                self.stats.acknowledged += 1;
                self.inform(request, *client, bytes, Some(response))
            }
            (Kind::Write { bytes, client }, Outcome::Failed(failure)) => {
                let known = self.submissions.get_mut(bytes).expect("it was submitted");
                match failure {
                    Failure::Refused(_) => self.stats.refused += 1,
                    Failure::Lost => self.stats.lost += 1,
                    Failure::Unknown => return self.inform(request, *client, bytes, None),
                }
                known.without_effect += 1;
                known.check()?;
                self.inform(request, *client, bytes, None)
            }
            (Kind::Read(range), Outcome::Read(view)) => {
                let view = view.map_err(|error| error.to_string())?;
                let mut seen = (waiting.floor.0..=self.reference.last().0).map(Index);
                let is_current = seen
                    .any(|index| self.reference.state(index).is_some_and(|state| state.read(range) == view));
                self.stats.reads += 1;
                ensure(is_current, || format!("read at {} since {}: {view:?}", waiting.at, waiting.floor))
            }
            (Kind::Read(_) | Kind::Administration, Outcome::Failed(_))
            | (Kind::Administration, Outcome::MembersChanged(_) | Outcome::Transferred) => Ok(()),
            (kind, outcome) => Err(format!("{kind:?} was answered by {outcome:?}")),
        }
    }

    /// Tells a client with a session.
    fn inform(
        &mut self,
        request: RequestId,
        client: Option<u8>,
        bytes: &Bytes,
        response: Option<Response>,
    ) -> Checked {
        let Some(client) = client.and_then(|number| self.clients.get_mut(&number)) else { return Ok(()) };
        if client.opening == Some(request) {
            client.opening = None;
            if let Some(Answer::SessionOpened { client: session }) = response.map(|response| response.outcome)
            {
                client.session = Some((session, request));
            }
        } else if let (Some((current, answer)), Some(response)) = (&mut client.current, response)
            && current == bytes
        {
            // However often a request is sent, it has one answer.
            let is_same = answer.as_ref().is_none_or(|answer| *answer == response);
            ensure(is_same, || format!("answered {answer:?} before and {response:?} now"))?;
            *answer = Some(response);
        }
        Ok(())
    }

    // --- the end -------------------------------------------------------------------------------

    /// All faults go away. The cluster must find a leader, converge and take new commands.
    fn settle(&mut self) -> Checked {
        self.ids().into_iter().for_each(|id| self.hold(id, false));
        self.ids().into_iter().for_each(|id| self.restart(id));
        self.act(Action::Heal);
        self.check()?;
        self.propose_fresh()?;
        self.await_convergence()?;
        while !self.waiting.is_empty() {
            let before = self.waiting.len();
            self.cancel(0);
            self.check()?;
            ensure(self.waiting.len() < before, || format!("{:?} is stuck", self.waiting.keys().next()))?;
        }
        // What others had a leader propose waits there until its index is applied, whoever's entry it is.
        for _ in 0..FILLERS_MAX {
            if self.stuck_requests().is_empty() {
                return Ok(());
            }
            self.propose_fresh()?;
        }
        self.await_convergence()?;
        let stuck = self.stuck_requests();
        ensure(stuck.is_empty(), || format!("requests that wait for nothing, by member: {stuck:?}"))
    }

    fn await_convergence(&mut self) -> Checked {
        for _ in 0..CONVERGENCE_TIMEOUTS_MAX * TIMEOUT_MS / STEP_MS {
            if self.cluster.check_convergence().is_ok() {
                return Ok(());
            }
            self.elapse(STEP_MS);
            self.check()?;
        }
        self.cluster.check_convergence().map_err(|violation| {
            format!("{violation} after {CONVERGENCE_TIMEOUTS_MAX} timeouts: {}", self.roles())
        })
    }

    /// A new command commits, once there is a leader and no transfer under way.
    fn propose_fresh(&mut self) -> Checked {
        for _ in 0..COMMIT_TIMEOUTS_MAX * TIMEOUT_MS / STEP_MS {
            if let Some(leader) = self.cluster.leader() {
                let acknowledged = self.stats.acknowledged;
                let command = Command::new(self.operation(Write::Put { key: 0 }));
                let request = self.submit(leader, command, None);
                self.act(Action::Deliver);
                self.check()?;
                if self.stats.acknowledged > acknowledged && !self.waiting.contains_key(&request) {
                    return Ok(());
                }
            }
            self.elapse(STEP_MS);
            self.check()?;
        }
        Err(format!("nothing commits within {COMMIT_TIMEOUTS_MAX} timeouts: {}", self.roles()))
    }

    fn stuck_requests(&self) -> Vec<(NodeId, usize)> {
        let Some(leader) = self.cluster.leader().and_then(|id| self.cluster.replica(id)) else {
            return Vec::new();
        };
        let configuration = leader.node().configuration();
        let members = self.cluster.members().iter().filter(|(id, _)| configuration.contains(**id));
        members
            .filter_map(|(id, member)| Some((*id, member.replica()?.waiting_requests())))
            .filter(|(_, waiting)| *waiting > 0)
            .collect()
    }

    fn roles(&self) -> String {
        let role = |role: &Role| match role {
            Role::Leader(_) => "leader",
            Role::Follower => "follower",
            Role::PreCandidate { .. } => "pre-candidate",
            Role::Candidate { .. } => "candidate",
        };
        let lines = self
            .cluster
            .nodes()
            .map(|node| format!("{node} [{}] {}", node.configuration(), role(node.role())));
        lines.collect::<Vec<_>>().join("; ")
    }
}

impl Submissions {
    /// Each submission is committed at most once, and not at all if its client was told so.
    fn check(&self) -> Checked {
        ensure(self.committed + self.without_effect <= self.submitted, || {
            format!(
                "{:?} was submitted {} times, {} of them told to have no effect, and committed {} times",
                self.command, self.submitted, self.without_effect, self.committed
            )
        })
    }
}
