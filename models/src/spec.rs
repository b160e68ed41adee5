//! The abstract cluster: a replicated log as its users may imagine it, without a line of the code that ships.
//!
//! There is one committed sequence. A replica holds a prefix of it, knows some of that to be committed, and has a
//! tail that nobody acknowledged. Replicas are stateright [`Actor`]s that do as they are told; [`Cluster`] says what
//! they may be told. Whoever holds everything committed may lead. Any log of proposed values may reach any replica
//! that a link leads to, if it keeps what that replica knows to be committed and a majority keeps everything.
//!
//! Left out: terms, messages, disks; who leads and why; what a crash brings back, which may be any log.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::hash::Hash;
use std::marker::PhantomData;

use stateright::actor::{Actor, Id, Out};

pub mod explore;

/// Directions between two replicas.
pub type Links = BTreeSet<(usize, usize)>;
/// Who must agree: a majority of each of these sets.
pub type Electorate = Vec<BTreeSet<usize>>;
type Verdict = Result<(), &'static str>;

/// A replica's log: so much of the committed sequence, then a tail that is not acknowledged.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Replica<V> {
    /// How much of the committed sequence the log begins with.
    pub prefix: usize,
    /// The rest of the log.
    pub tail: Vec<V>,
    /// How much of the prefix the replica knows to be committed.
    pub known: usize,
}

/// What a replica is told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Order<V> {
    /// This is its log.
    Take(Replica<V>),
    /// After so many values, these are committed.
    Committed(usize, Vec<V>),
}

/// The behaviour of every replica.
#[derive(Clone, Copy, Debug)]
pub struct Obey<V>(pub PhantomData<V>);

impl<V: Clone + Debug + Ord + Hash> Actor for Obey<V> {
    type Msg = Order<V>;
    type State = Replica<V>;
    type Timer = ();
    type Storage = ();
    type Random = ();

    fn on_start(&self, _: Id, _: &Option<()>, _: &mut Out<Self>) -> Replica<V> {
        Replica { prefix: 0, tail: Vec::new(), known: 0 }
    }

    fn on_msg(&self, _: Id, state: &mut Cow<Replica<V>>, _: Id, order: Order<V>, _: &mut Out<Self>) {
        match order {
            Order::Take(log) => *state = Cow::Owned(log),
            Order::Committed(after, values) if state.prefix == after => {
                let held = state.tail.iter().zip(&values).take_while(|(own, value)| own == value).count();
                state.to_mut().tail.drain(..held);
                state.to_mut().prefix += held;
            }
            Order::Committed(..) => {}
        }
    }
}

/// What may happen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action<V> {
    /// As this electorate holds them, so many values of a tail are committed; new ones are appended to it.
    Lead(usize, Electorate, usize, Vec<V>),
    /// A replica takes another log, or learns that more of its log is committed.
    Follow(usize, Replica<V>),
    /// A replica starts again with what its disk holds.
    Crash(usize, Replica<V>),
    /// Directions fail: a partition.
    Cut(Links),
    /// Directions work again. If all do, the cluster is healed.
    Restore(Links),
    /// A replica with nothing joins.
    Join(usize),
    /// A replica leaves for good.
    Leave(usize),
}

/// The abstract cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cluster<V> {
    /// Everything ever committed, in order.
    pub committed: Vec<V>,
    /// Everything ever proposed that is not committed.
    pub open: BTreeSet<V>,
    /// The directions that carry nothing.
    pub cuts: Links,
    /// The replicas.
    pub replicas: BTreeMap<usize, Replica<V>>,
    /// Who agreed to the last commit.
    pub electorate: Electorate,
}

fn ensure(holds: bool, refusal: &'static str) -> Verdict {
    if holds { Ok(()) } else { Err(refusal) }
}

impl<V: Clone + Debug + Ord + Hash> Cluster<V> {
    /// A cluster of replicas that hold nothing.
    pub fn new(count: usize) -> Cluster<V> {
        let (committed, open, cuts, electorate) =
            (vec![], BTreeSet::new(), Links::new(), vec![(0..count).collect()]);
        let start = |id: usize| (id, Obey(PhantomData).on_start(id.into(), &None, &mut Out::new()));
        Cluster { committed, open, cuts, replicas: (0..count).map(start).collect(), electorate }
    }

    /// Whether a majority holds everything committed.
    pub fn is_safe(&self) -> bool {
        let len = self.committed.len();
        len == 0 || self.agrees(&self.electorate, |replica| replica.prefix == len)
    }

    fn agrees(&self, electorate: &Electorate, holds: impl Fn(&Replica<V>) -> bool) -> bool {
        let agrees = |id: &&usize| self.replicas.get(id).is_some_and(&holds);
        electorate.iter().all(|set| set.iter().filter(agrees).count() * 2 > set.len())
    }

    fn tell(&mut self, id: usize, order: Order<V>) {
        let mut state = Cow::Borrowed(&self.replicas[&id]);
        Obey(PhantomData).on_msg(id.into(), &mut state, id.into(), order, &mut Out::new());
        let state = state.into_owned();
        self.replicas.insert(id, state);
    }

    fn take(&mut self, id: usize, log: Replica<V>) -> Verdict {
        ensure(log.known <= log.prefix && log.prefix <= self.committed.len(), "knows what is not committed")?;
        let distinct = log.tail.iter().filter(|value| self.open.contains(value)).collect::<BTreeSet<_>>();
        ensure(distinct.len() == log.tail.len(), "holds what is not proposed, or twice")?;
        self.tell(id, Order::Take(log));
        ensure(self.is_safe(), "loses what is committed")
    }

    /// Carries out an action, or says why it is impossible; the cluster then means nothing any more.
    pub fn step(&mut self, action: Action<V>) -> Verdict {
        let (len, ids) = (self.committed.len(), self.replicas.keys().copied().collect::<Vec<_>>());
        let replica = |id: usize| self.replicas.get(&id).cloned().ok_or("there is no such replica");
        match action {
            Action::Lead(at, electorate, commits, proposes) => {
                let mut log = replica(at)?;
                if commits > 0 {
                    ensure(log.prefix == len && log.tail.len() >= commits, "commits what it does not hold")?;
                    let values = log.tail[..commits].to_vec();
                    let holds = |other: &Replica<V>| other.prefix == len && other.tail.starts_with(&values);
                    ensure(self.agrees(&electorate, holds), "commits what no majority holds")?;
                    self.open.retain(|value| !values.contains(value));
                    self.committed.extend(values.iter().cloned());
                    self.electorate = electorate;
                    ids.iter().for_each(|id| self.tell(*id, Order::Committed(len, values.clone())));
                    log = Replica { known: len + commits, ..self.replicas[&at].clone() };
                }
                let new = |value: &V| !self.open.contains(value) && !self.committed.contains(value);
                ensure(proposes.iter().all(new), "proposes what was proposed before")?;
                self.open.extend(proposes.iter().cloned());
                log.tail.extend(proposes);
                self.tell(at, Order::Take(log));
            }
            Action::Follow(at, log) => {
                let now = replica(at)?;
                let reached = ids.iter().any(|from| *from != at && !self.cuts.contains(&(*from, at)));
                ensure(reached || (now.prefix, now.tail) == (log.prefix, log.tail.clone()), "hears nobody")?;
                ensure(log.known >= now.known, "forgets what is committed")?;
                self.take(at, log)?;
            }
            Action::Crash(at, log) => {
                ensure(log.known <= replica(at)?.known, "learns by a crash")?;
                self.take(at, log)?;
            }
            Action::Cut(links) => self.cuts.extend(links),
            Action::Restore(links) => self.cuts.retain(|link| !links.contains(link)),
            Action::Join(id) => {
                let start = Obey(PhantomData).on_start(id.into(), &None, &mut Out::new());
                ensure(self.replicas.insert(id, start).is_none(), "joins twice")?;
            }
            Action::Leave(id) => {
                self.cuts.retain(|(from, to)| *from != id && *to != id);
                ensure(
                    self.replicas.remove(&id).is_some() && self.is_safe(),
                    "takes along what is committed",
                )?;
            }
        }
        Ok(())
    }
}
