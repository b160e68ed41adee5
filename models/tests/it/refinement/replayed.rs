//! Sequences of actions drawn from the abstract cluster and carried out on the simulated one, which runs to rest
//! after each. What the abstract cluster becomes is worked out from its own steps alone, and the real one must show
//! the same: what is committed, who holds which prefix and tail and knows how much of it, what a read returns, what
//! a client is told.
//!
//! *At rest*: whoever a leader reaches has its log, and knows that to be committed which a majority holds.
//!
//! From the real cluster comes only what the abstract one does not have: who leads, in which term, and how much a
//! leader that was replaced without noticing has counted of what the others committed.

use std::collections::{BTreeMap, BTreeSet};

use dkv::cluster::{self, Outcome, Policies, Shipped};
use dkv::codec::{from_bytes, to_bytes};
use dkv::kv::{Command, KeyRange, Op, Put, Range, Store};
use dkv::raft::{Bytes, Entry, EntryId, Index, NodeId, Payload, RequestId, Term, Timer};
use dkv::replica::Failure;
use dkv_models::bugs::{Bug, Injected, with_bug};
use dkv_models::refinement::{Shown, project};
use dkv_models::spec::{Action, Cluster, Replica};
use proptest::prelude::*;
use proptest::sample::Index as Choice;
use proptest::test_runner::{Config, RngSeed, TestRunner};

/// What is drawn. A choice is made among what is possible when it is carried out.
#[derive(Clone, Debug)]
enum Drawn {
    /// A client writes one of three keys.
    Propose(u8),
    /// A client reads one of three keys at any replica that is up.
    Read(u8, Choice),
    /// A replica that is up campaigns.
    Campaign(Choice),
    /// Some replicas are cut off from the others.
    Partition(u8),
    /// All links work again.
    Heal,
    /// A replica that is up stops.
    Crash(Choice),
    /// A replica that is down starts.
    Restart(Choice),
    /// A replica that is up compacts its log, which nobody sees.
    Compact(Choice),
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let choice = any::<Choice>;
    prop_oneof![
        6 => (0..3u8).prop_map(Drawn::Propose),
        4 => (0..3u8, choice()).prop_map(|(key, at)| Drawn::Read(key, at)),
        4 => choice().prop_map(Drawn::Campaign),
        3 => any::<u8>().prop_map(Drawn::Partition),
        2 => Just(Drawn::Heal),
        2 => choice().prop_map(Drawn::Crash),
        2 => choice().prop_map(Drawn::Restart),
        1 => choice().prop_map(Drawn::Compact),
    ]
}

type Value = Entry<Bytes>;

fn key(number: u8) -> Bytes {
    Bytes::from(vec![b'k', number])
}

/// The abstract cluster, the real one, and what clients wait for.
struct Pair<P: Policies> {
    model: Cluster<Value>,
    real: cluster::Cluster<Store, P>,
    down: BTreeSet<usize>,
    writes: u64,
    /// Proposals without an answer.
    proposals: BTreeMap<RequestId, Bytes>,
    /// Proposals of which a client was told that they have no effect.
    void: Vec<Bytes>,
    /// Reads without an answer: of which key, and what was committed when they were made.
    reads: BTreeMap<RequestId, (u8, usize)>,
    answered: Answered,
}

/// What happened.
#[derive(Clone, Debug, Default)]
struct Answered {
    applied: usize,
    reads: usize,
    elected: usize,
    void: usize,
}

impl<P: Policies> Pair<P> {
    fn new(replicas: usize) -> Pair<P> {
        Pair {
            model: Cluster::new(replicas),
            real: cluster::Cluster::with_options(
                replicas as u64,
                cluster::Options { whole_ledger: true, ..cluster::Options::default() },
            ),
            down: BTreeSet::new(),
            writes: 0,
            proposals: BTreeMap::new(),
            void: Vec::new(),
            reads: BTreeMap::new(),
            answered: Answered::default(),
        }
    }

    // --- the abstract cluster -----------------------------------------------------------------------

    fn step(&mut self, action: Action<Value>) {
        self.model.step(action.clone()).unwrap_or_else(|refused| panic!("{refused}: {action:?}"));
    }

    /// The replicas that are up and that `id` can exchange messages with, itself too.
    fn reached(&self, id: usize) -> Vec<usize> {
        let cuts = &self.model.cuts;
        let reaches = |other: &usize| !cuts.contains(&(id, *other)) && !cuts.contains(&(*other, id));
        self.up().into_iter().filter(reaches).collect()
    }

    fn up(&self) -> Vec<usize> {
        self.model.replicas.keys().copied().filter(|id| !self.down.contains(id)).collect()
    }

    fn is_majority(&self, count: usize) -> bool {
        count * 2 > self.model.replicas.len()
    }

    /// Appends to the log of a leader.
    fn append(&mut self, leader: usize, payload: Payload<Bytes>) {
        let Replica { prefix, tail, .. } = &self.model.replicas[&leader];
        let index = Index((prefix + tail.len()) as u64).next();
        let value = Entry { id: EntryId::new(self.term(leader), index), payload };
        self.step(Action::Lead(leader, self.model.electorate.clone(), 0, vec![value]));
    }

    /// The last entry of a replica.
    fn last(&self, id: usize) -> EntryId {
        let Replica { prefix, tail, .. } = &self.model.replicas[&id];
        let held = self.model.committed[..*prefix].iter().chain(tail);
        held.last().map_or(EntryId::ZERO, |value| value.id)
    }

    /// Whoever a leader reaches has its log, and what a majority holds up to an entry of its term is committed.
    fn rest(&mut self) {
        for leader in self.leaders() {
            let reached = self.reached(leader);
            self.tell(leader, &reached);
            let count = self.agreed(leader);
            if count > 0 {
                self.step(Action::Lead(leader, self.model.electorate.clone(), count, Vec::new()));
            } else if !self.is_majority(reached.len()) {
                self.count_late(leader);
            }
            self.tell(leader, &reached);
        }
    }

    /// A leader that was replaced without noticing may count as committed what others have committed meanwhile, if
    /// enough of those who hold it have told it so.
    fn count_late(&mut self, leader: usize) {
        let counted =
            self.real.replica(node(leader)).map_or(Index::ZERO, |replica| replica.node().commit_index());
        let log = self.model.replicas[&leader].clone();
        let known = log.prefix.min(counted.0 as usize).max(log.known);
        self.step(Action::Follow(leader, Replica { known, ..log }));
    }

    /// How much of a leader's tail a majority holds, those that are out of reach too: they have acknowledged it.
    fn agreed(&self, leader: usize) -> usize {
        let Replica { prefix, tail, .. } = &self.model.replicas[&leader];
        let holds = |other: &&Replica<Value>, count: usize| {
            other.prefix == *prefix && other.tail.starts_with(&tail[..count])
        };
        let is_agreed = |count: &usize| {
            self.is_majority(self.model.replicas.values().filter(|other| holds(other, *count)).count())
                && tail[count - 1].id.term == self.term(leader)
        };
        (1..=tail.len()).rev().find(is_agreed).unwrap_or(0)
    }

    fn tell(&mut self, leader: usize, reached: &[usize]) {
        for id in reached.iter().filter(|id| **id != leader) {
            let log = self.model.replicas[&leader].clone();
            let known = log.known.max(self.model.replicas[id].known);
            self.step(Action::Follow(*id, Replica { known, ..log }));
        }
    }

    /// What a key holds after so many committed entries.
    fn value_of(&self, number: u8, count: usize) -> Option<Bytes> {
        let written = self.model.committed[..count].iter().rev().filter_map(|entry| match &entry.payload {
            Payload::Command(command) => Some(from_bytes::<Command>(command).expect("it was encoded")),
            _ => None,
        });
        let mut values = written.filter_map(|command| match command.op {
            Op::Put(put) if put.key == key(number) => Some(put.value),
            _ => None,
        });
        values.next()
    }

    // --- the real one -------------------------------------------------------------------------------

    fn leaders(&self) -> Vec<usize> {
        self.real.nodes().filter(|node| node.is_leader()).map(|node| node.id().0 as usize).collect()
    }

    fn leader(&self) -> Option<usize> {
        self.real.leader().map(|id| id.0 as usize)
    }

    fn term(&self, id: usize) -> Term {
        self.real.replica(node(id)).expect("it is up").node().term()
    }

    /// The leader that a replica follows, or is.
    fn leader_of(&self, id: usize) -> Option<usize> {
        let reached = self.reached(id);
        self.leaders().into_iter().find(|leader| reached.contains(leader))
    }

    /// If whoever leads is behind the times, it notices that it hears no majority. Otherwise healing would end
    /// without a leader, and how far the old one's log gets before it steps down depends on the order of messages.
    fn depose_the_last(&mut self) {
        let newest = self.up().into_iter().map(|id| self.term(id)).max();
        let leaders = self.leaders();
        if leaders.iter().all(|leader| Some(self.term(*leader)) < newest) {
            for leader in leaders {
                (0..2).for_each(|_| self.real.timeout(node(leader), Timer::CheckQuorum));
            }
        }
    }

    // --- both ---------------------------------------------------------------------------------------

    fn carry_out(&mut self, drawn: &Drawn) {
        match drawn {
            Drawn::Propose(number) => self.propose(*number),
            Drawn::Read(number, at) => {
                if let Some(at) = pick(at, &self.up()) {
                    self.read(*number, at);
                }
            }
            Drawn::Campaign(at) => {
                let leaders = self.leaders();
                let others: Vec<_> = self.up().into_iter().filter(|id| !leaders.contains(id)).collect();
                if let Some(at) = pick(at, &others) {
                    self.campaign(at);
                }
            }
            Drawn::Partition(mask) => {
                let (inside, outside): (Vec<_>, Vec<_>) =
                    self.model.replicas.keys().partition(|id| mask & (1 << **id) != 0);
                let across = inside.iter().flat_map(|a| outside.iter().flat_map(|b| [(*a, *b), (*b, *a)]));
                self.real.partition(inside.iter().map(|id| node(*id)));
                self.step(Action::Cut(across.collect()));
                self.settle();
            }
            Drawn::Heal => {
                self.depose_the_last();
                self.real.heal();
                self.step(Action::Restore(self.model.cuts.clone()));
                self.settle();
            }
            Drawn::Crash(at) => {
                if let Some(at) = pick(at, &self.up()) {
                    self.real.crash(node(at));
                    let known = self.real.members()[&node(at)].disk().synced().snapshot.last.index.0 as usize;
                    let log = Replica { known, ..self.model.replicas[&at].clone() };
                    self.step(Action::Crash(at, log));
                    self.down.insert(at);
                    self.settle();
                }
            }
            Drawn::Restart(at) => {
                let down: Vec<_> = self.down.iter().copied().collect();
                if let Some(at) = pick(at, &down) {
                    self.real.restart(node(at));
                    self.down.remove(&at);
                    self.settle();
                }
            }
            Drawn::Compact(at) => {
                if let Some(at) = pick(at, &self.up()) {
                    self.real.compact(node(at));
                    self.settle();
                }
            }
        }
    }

    fn settle(&mut self) {
        self.real.stabilize();
        self.rest();
        self.compare();
    }

    fn propose(&mut self, number: u8) {
        self.writes += 1;
        let put = Put::new(key(number), self.writes.to_le_bytes().to_vec());
        let command = Bytes::from(to_bytes(&Command::new(Op::Put(put))));
        let leader = self.leader();
        if let Some(leader) = leader {
            self.append(leader, Payload::Command(command.clone()));
        }
        let request = self.real.propose(command.clone());
        self.proposals.insert(request, command.clone());
        self.settle();
        let is_own = |entry: &Value| entry.payload == Payload::Command(command.clone());
        let is_committed = self.model.committed.iter().any(is_own);
        let is_answered = !self.proposals.contains_key(&request);
        assert!(is_answered == is_committed || leader.is_none(), "a leader answers what is committed");
    }

    fn read(&mut self, number: u8, at: usize) {
        let leader = self.leader_of(at);
        if let Some(leader) = leader
            && self.last(leader).term != self.term(leader)
        {
            self.append(leader, Payload::Noop);
        }
        let request = self.real.submit_read(node(at), Range::new(KeyRange::One(key(number))));
        self.reads.insert(request, (number, self.model.committed.len()));
        self.real.deliver();
        self.settle();
        let is_answered = !self.reads.contains_key(&request);
        let is_confirmed = leader.is_some_and(|leader| self.is_majority(self.reached(leader).len()));
        assert!(
            is_answered == is_confirmed || leader.is_none(),
            "a leader that reaches a majority serves reads"
        );
    }

    fn campaign(&mut self, at: usize) {
        let reached = self.reached(at);
        let leaders = self.leaders();
        let may_vote = |id: &usize| !leaders.contains(id) && self.last(*id) <= self.last(at);
        let wins = self.is_majority(reached.iter().filter(|id| may_vote(id)).count());
        // The first time a candidate in an old term only learns the term.
        for _ in 0..2 {
            reached.iter().for_each(|id| self.real.timeout(node(*id), Timer::LeaderFresh));
            self.real.timeout(node(at), Timer::Election);
            self.real.deliver();
        }
        let leads = self.leaders().contains(&at);
        assert_eq!(leads, wins, "{at} asked {reached:?}");
        if leads {
            self.append(at, Payload::Noop);
            self.answered.elected += 1;
        }
        self.settle();
    }

    fn compare(&mut self) {
        assert_eq!(self.real.violation(), None);
        let committed: Vec<&Value> = self.real.ledger().entries().collect();
        assert_eq!(committed, self.model.committed.iter().collect::<Vec<_>>(), "what is committed");
        let cuts = self.real.links().cuts().map(|(from, to)| (from.0 as usize, to.0 as usize));
        assert!(cuts.eq(self.model.cuts.iter().copied()), "what is cut");
        for (id, member) in self.real.members() {
            let shown = match member.replica() {
                Some(replica) => Shown::by_node(replica.node(), usize::MAX),
                None => Shown::by_disk(member.disk().synced()),
            };
            let shown = project(&shown, &self.model.committed);
            assert_eq!(shown.as_ref(), Ok(&self.model.replicas[&(id.0 as usize)]), "what {id} holds");
        }
        while let Some((request, outcome)) = self.real.pop_outcome() {
            self.judge(request, &outcome);
        }
        let mut committed = self.model.committed.iter();
        let is_void = |entry: &Value| matches!(&entry.payload, Payload::Command(command) if self.void.contains(command));
        assert!(!committed.any(is_void), "what was said to be lost is committed");
    }

    /// What a client is told is true.
    fn judge(&mut self, request: RequestId, outcome: &Outcome<Store>) {
        if let Some((number, floor)) = self.reads.remove(&request) {
            let Outcome::Read(view) = outcome else {
                assert!(matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
                return;
            };
            let found = view.as_ref().expect("the store works").kvs.first();
            let seen = found.map(|found| found.record.value.clone());
            let mut counts = floor..=self.model.committed.len();
            assert!(
                counts.any(|count| self.value_of(number, count) == seen),
                "key {number} read as {seen:?}"
            );
            self.answered.reads += 1;
            return;
        }
        let command = self.proposals.remove(&request).expect("every request is answered once");
        match outcome {
            Outcome::Applied { id, .. } => {
                let entry = Entry { id: *id, payload: Payload::Command(command) };
                assert!(self.model.committed.contains(&entry), "{entry:?} is not committed");
                self.answered.applied += 1;
            }
            Outcome::Failed(Failure::Lost | Failure::Refused(_)) => self.void.push(command),
            Outcome::Failed(Failure::Unknown) => {}
            other => panic!("a proposal was answered by {other:?}"),
        }
    }
}

fn node(id: usize) -> NodeId {
    NodeId(id as u64)
}

fn pick(choice: &Choice, among: &[usize]) -> Option<usize> {
    (!among.is_empty()).then(|| *choice.get(among))
}

/// So many cases, the same ones every time, unless `PROPTEST_CASES` and `PROPTEST_RNG_SEED` choose others.
fn config(cases: u32) -> Config {
    let mut config = Config::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = cases;
    }
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(0);
    }
    config.failure_persistence = None;
    config
}

/// Draws and replays so many sequences, and says what happened in them.
///
/// # Errors
/// A cluster did something else, as shrunk as `shrinks` allows.
fn replay<P: Policies>(cases: u32, shrinks: u32) -> Result<Answered, String> {
    let total = std::cell::RefCell::new(Answered::default());
    let mut config = config(cases);
    config.max_shrink_iters = shrinks;
    let sequences = (3..=5usize, proptest::collection::vec(drawn(), 1..40));
    let result = TestRunner::new(config).run(&sequences, |(replicas, all)| {
        let mut pair = Pair::<P>::new(replicas);
        all.iter().for_each(|drawn| pair.carry_out(drawn));
        let mut total = total.borrow_mut();
        total.applied += pair.answered.applied;
        total.reads += pair.answered.reads;
        total.elected += pair.answered.elected;
        total.void += pair.void.len();
        Ok(())
    });
    result.map(|()| total.into_inner()).map_err(|error| error.to_string())
}

#[test]
fn a_cluster_does_what_the_abstract_one_does() {
    let happened = replay::<Shipped>(4_000, u32::MAX).unwrap_or_else(|difference| panic!("{difference}"));
    let Answered { applied, reads, elected, void } = happened;
    assert!(applied > 0 && reads > 0 && elected > 0 && void > 0, "all of it happens: {happened:?}");
}

/// Bugs that make a cluster do something else in an order of events that a cluster at rest goes through.
const DIFFERENT: &[Bug] = &[
    Bug::MinorityIsEnough,
    Bug::AnsweredOnAppend,
    Bug::NoUpToDateCheck,
    Bug::ConflictKept,
    Bug::ReadsUnconfirmed,
    Bug::AcknowledgementIgnored,
    Bug::ReceiptIgnored,
    Bug::CutLinksCarry,
];

#[test]
fn a_bug_makes_a_difference() {
    for bug in DIFFERENT {
        let difference = with_bug(Some(*bug), || replay::<Injected>(4_000, 0));
        assert!(difference.is_err(), "{bug}: {difference:?}");
    }
}
