//! A cluster beside its reference: carries out actions and compares after each.

use std::collections::{BTreeMap, BTreeSet};

use dkv::cluster::random::Random;
use dkv::cluster::{Cluster, Policies};
use dkv::codec::to_bytes;
use dkv::kv::{
    BTreeEngine, ClientId, Command, Compare, Delete, KeyRange, Op, Put, Range, Relation, Response, Revision,
    SessionTag, SimpleOp, Store, Target, Txn,
};
use dkv::raft::{Bytes, Index, MemberChange, NodeId, RequestId, Timer};

use super::actions::{Action, Case, Who, Write};
use super::model::Reference;

/// How many members may join; a case starts with up to seven.
const NEW_MEMBERS_MAX: u64 = 2;

/// The store under the rules `K`.
pub(crate) type StoreOf<K> = Store<BTreeEngine, K>;

/// A request without an outcome.
#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) at: NodeId,
    /// What was committed when it was submitted.
    pub(crate) floor: Index,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Write { bytes: Bytes, client: Option<u8> },
    Read(Range),
    Administration,
}

/// A client with a session: one request at a time, repeated until it is answered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Client {
    pub(crate) opening: Option<RequestId>,
    /// The session, and the request that opened it.
    pub(crate) session: Option<(ClientId, RequestId)>,
    sequence: u64,
    /// The latest request, and the answer that it got.
    pub(crate) current: Option<(Bytes, Option<Response>)>,
}

/// How often some bytes were submitted, known to have no effect, and committed.
#[derive(Clone, Debug)]
pub(crate) struct Submissions {
    pub(crate) command: Command,
    pub(crate) submitted: u64,
    pub(crate) without_effect: u64,
    pub(crate) committed: u64,
}

pub(crate) struct World<P: Policies, K: dkv::kv::Rules>
where
    StoreOf<K>: Default,
{
    pub(crate) cluster: Cluster<StoreOf<K>, P>,
    pub(crate) reference: Reference,
    pub(crate) submissions: BTreeMap<Bytes, Submissions>,
    pub(crate) waiting: BTreeMap<RequestId, Waiting>,
    pub(crate) clients: BTreeMap<u8, Client>,
    values: u64,
    members_max: u64,
    held: BTreeSet<NodeId>,
    /// What was done, in the scenario language.
    script: Vec<String>,
    pub(crate) stats: Stats,
    /// For every answer under a session, where the request took effect.
    pub(crate) effects: Vec<(SessionTag, Revision)>,
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
            effects: Vec::new(),
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

    /// The running hash of all that happened.
    pub(crate) fn trace_hash(&self) -> u64 {
        self.cluster.trace().hash()
    }

    // --- acting --------------------------------------------------------------------------------

    fn note(&mut self, line: String) {
        self.script.push(line);
    }

    pub(crate) fn ids(&self) -> Vec<NodeId> {
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

    pub(crate) fn act(&mut self, action: Action) {
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
                    let queued = self.cluster.links().on((from, to)).count();
                    self.deliver_on(from, to, queued.min(usize::from(count)));
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
            Action::Transfer(member) => self.transfer(self.nth(member)),
            Action::AddLearner { new, member, deliver } => {
                let ids = self.ids();
                let is_room = (ids.len() as u64) < self.members_max;
                let id = if new && is_room { NodeId(ids.len() as u64) } else { self.nth(member) };
                self.change(MemberChange::AddLearner(id), deliver);
            }
            Action::Promote { member, deliver } => {
                self.change(MemberChange::Promote(self.nth(member)), deliver)
            }
            Action::Remove { who, deliver } => self.change(MemberChange::Remove(self.who(who)), deliver),
        }
    }

    pub(crate) fn operation(&mut self, write: Write) -> Op {
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

    pub(crate) fn submit(&mut self, at: NodeId, command: Command, client: Option<u8>) -> RequestId {
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

    pub(crate) fn cancel(&mut self, place: usize) {
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

    pub(crate) fn restart(&mut self, id: NodeId) {
        if self.cluster.replica(id).is_none() {
            self.note(format!("restart {}", id.0));
            self.cluster.restart(id);
        }
    }

    pub(crate) fn hold(&mut self, id: NodeId, hold: bool) {
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
            let count = count.min(member.disk().pending());
            self.note(format!("sync {} {count}", id.0));
            self.cluster.sync(id, count);
        }
    }

    fn link(&self, place: u8) -> Option<(NodeId, NodeId)> {
        let loaded = self.cluster.links().loaded();
        let (link, _) = loaded.get(usize::from(place).checked_rem(loaded.len())?)?;
        Some(*link)
    }

    fn deliver_on(&mut self, from: NodeId, to: NodeId, count: usize) {
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

    pub(crate) fn elapse(&mut self, ms: u64) {
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

    fn change(&mut self, change: MemberChange, deliver: bool) {
        let (name, id) = match change {
            MemberChange::AddLearner(id) => ("add-learner", id),
            MemberChange::Promote(id) => ("promote", id),
            MemberChange::Remove(id) => ("remove", id),
        };
        if let MemberChange::AddLearner(id) = change {
            self.cluster.join(id);
        }
        let at = self.who(Who::Leader);
        let floor = self.reference.last();
        if deliver {
            let request = self.cluster.change_members(vec![change]);
            self.note(format!("{name} {} as=r{}", id.0, request.0));
            self.waiting.insert(request, Waiting { at, floor, kind: Kind::Administration });
        } else {
            let request = self.cluster.submit_change(at, vec![change]);
            self.note(format!("submit {name} {} at={} as=r{}", id.0, at.0, request.0));
            self.waiting.insert(request, Waiting { at, floor, kind: Kind::Administration });
        }
    }

    fn transfer(&mut self, to: NodeId) {
        let at = self.who(Who::Leader);
        let floor = self.reference.last();
        let request = self.cluster.submit_transfer(at, to);
        self.note(format!("submit transfer {} at={} as=r{}", to.0, at.0, request.0));
        self.waiting.insert(request, Waiting { at, floor, kind: Kind::Administration });
    }
}
