//! One moment of the whole cluster: replicas with their disks, links, the ghost ledger, what is spent.
//!
//! A state is a row of pointers to [`Interned`] values. There are far fewer members, queues and ledgers
//! than states, and a step replaces two or three of them.
//!
//! Left out: what to do with it ([`environment`](crate::environment)) and what must hold of it
//! ([`properties`](crate::properties)).

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use dkv::cluster;
use dkv::cluster::invariants::Ledger;
use dkv::kv::Response;
use dkv::raft::log::Log;
use dkv::raft::{Durable, NodeId, RequestId, Vitals};
use dkv::replica::{self, Replica};

use crate::actions::{Kind, kind_of};
use crate::budgets::Counts;
use crate::configurations::{Configuration, Network};
use crate::converge;
use crate::interned::Interned;
use crate::letters::{Command, Machine, Node, Subject};
use crate::memo::{Memo, Stepping};
use crate::properties::Broken;
use crate::{requests, symmetry, text};

/// The most members of a model.
pub const MEMBERS_MAX: usize = 5;
/// So many members are in the state itself, since an allocation per state is dear: exhausted models have no
/// more. A fifth one and its links are behind a pointer, which costs the others a word.
const INLINE: usize = 4;
/// The directions between that many members.
const INLINE_LINKS: usize = INLINE * (INLINE - 1);
/// The directions that a fifth member adds.
const FIFTH_LINKS: usize = MEMBERS_MAX * (MEMBERS_MAX - 1) - INLINE_LINKS;
/// The most reads of a model.
pub const READS_MAX: usize = 4;

/// What travels on a link.
pub type Packet = replica::Packet<Command, Response>;
/// The executor that ships for simulations: a replica, its state machine and its disk.
pub type Executor<P> = cluster::Member<Machine<P>, P>;

/// What others are judged against: all of a member that an invariant over several members reads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Standing<P: Subject> {
    /// Term, vote, commit index, leadership; nothing of a member that is down.
    pub vitals: Option<Vitals>,
    /// The log in memory; nothing of a member that is down.
    pub log: Option<Log<Command>>,
    /// The log on disk.
    pub synced: Durable<Command>,
    /// What is applied.
    pub machine: Machine<P>,
}

impl<P: Subject> Standing<P> {
    fn of(executor: &Executor<P>) -> Standing<P> {
        let node = executor.replica().map(Replica::node);
        Standing {
            vitals: node.map(Vitals::of),
            log: node.map(|node| node.log().clone()),
            synced: executor.disk().synced().clone(),
            machine: executor.machine().clone(),
        }
    }

    /// Whether [`Standing::of`] this would be equal.
    fn is_of(&self, executor: &Executor<P>) -> bool {
        let Standing { vitals, log, synced, machine } = self;
        let node = executor.replica().map(Replica::node);
        *vitals == node.map(Vitals::of)
            && log.as_ref() == node.map(|node| node.log())
            && synced == executor.disk().synced()
            && machine == executor.machine()
    }
}

/// A member: the shipped replica with its state machine and its disk. Of one that is down only the disk is
/// left, so all that crashed with equal disks are one value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Member<P: Subject> {
    /// All of it.
    pub executor: Executor<P>,
    /// What follows from that for others. Many members have the same.
    pub standing: Interned<Standing<P>>,
}

impl<P: Subject> Member<P> {
    /// A member as its executor left it.
    #[must_use]
    pub fn new(executor: Executor<P>) -> Member<P> {
        Member { standing: Interned::new(Standing::of(&executor)), executor }
    }

    /// What a member has become, which others often do not notice.
    pub(crate) fn became(&self, executor: Executor<P>) -> Member<P> {
        match self.standing.is_of(&executor) {
            true => Member { standing: self.standing.clone(), executor },
            false => Member::new(executor),
        }
    }

    /// The shipped node inside the replica, if the member is up.
    #[must_use]
    pub fn node(&self) -> Option<&Node<P>> {
        self.executor.replica().map(Replica::node)
    }

    /// The content of its disk.
    #[must_use]
    pub fn synced(&self) -> &Durable<Command> {
        self.executor.disk().synced()
    }

    /// How many writes are on their way to its disk.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.executor.disk().pending()
    }

    /// Whether it is up and leads.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.node().is_some_and(dkv::raft::Node::is_leader)
    }

    /// How many requests wait at it.
    #[must_use]
    pub fn waiting_requests(&self) -> usize {
        self.executor.replica().map_or(0, Replica::waiting_requests)
    }

    /// Whether a client of this member waits for the answer to this request.
    #[must_use]
    pub fn is_waiting(&self, request: RequestId) -> bool {
        self.executor
            .replica()
            .is_some_and(|replica| replica.waiting().any(|waiting| waiting == (replica.node().id(), request)))
    }

    /// How many requests wait at it for nothing that others have to tell.
    #[must_use]
    pub fn waiting_here(&self) -> usize {
        let waiting =
            |replica: &Replica<_, _, _>| replica.waiting_requests() - replica.requests_with_others();
        self.executor.replica().map_or(0, waiting)
    }
}

/// What is on one link: at least one packet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Queue {
    /// Oldest first; in the order of their hashes where links keep no order.
    pub packets: Vec<Interned<Packet>>,
    /// The kind of the oldest.
    pub kind: Kind,
    /// What is left without the oldest, where links are in order and what is on them is remembered.
    pub rest: Link,
}

impl Queue {
    /// A queue with one more packet; `rest` is the old queue's rest with that packet.
    pub(crate) fn pushed(network: Network, old: &Link, packet: &Interned<Packet>, rest: Link) -> Queue {
        let mut packets = old.queue().map_or_else(Vec::new, |queue| queue.packets.clone());
        packets.push(packet.clone());
        Queue::of(network, packets, rest)
    }

    /// A queue of these packets, the oldest first; `rest` is it without that.
    pub(crate) fn of(network: Network, mut packets: Vec<Interned<Packet>>, rest: Link) -> Queue {
        if network == Network::Unordered {
            packets.sort_by_key(Interned::content_hash);
        }
        Queue { kind: kind_of(&packets[0]), packets, rest }
    }
}

impl Queue {
    /// The positions of packets that differ.
    pub fn positions(&self) -> impl Iterator<Item = (u8, Kind)> + '_ {
        let is_first = |at: usize| at == 0 || self.packets[at - 1] != self.packets[at];
        let distinct = (0..self.packets.len()).filter(move |at| is_first(*at));
        distinct.map(|at| (u8::try_from(at).expect("few packets wait"), kind_of(&self.packets[at])))
    }
}

/// One direction between two members, and what is on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link(pub Option<Interned<Queue>>);

impl Link {
    /// What is on it, unless it is idle.
    #[must_use]
    pub fn queue(&self) -> Option<&Queue> {
        self.0.as_deref()
    }

    /// The hash of what is on it; 0 if it is idle.
    #[must_use]
    pub fn content_hash(&self) -> u64 {
        self.0.as_ref().map_or(0, Interned::content_hash)
    }
}

/// One word, where a derived hash writes two.
impl Hash for Link {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.content_hash());
    }
}

/// The fifth member, and the links that the others leave no room for.
#[derive(Clone, PartialEq, Eq)]
struct Fifth<P: Subject> {
    member: Interned<Member<P>>,
    links: [Link; FIFTH_LINKS],
}

/// One moment of the whole cluster.
#[derive(Clone, PartialEq, Eq)]
pub struct State<P: Subject> {
    /// The world that it is a state of, the same in all of a run.
    pub configuration: &'static Configuration,
    /// How many members there are.
    count: u8,
    /// The members; the position is the id.
    members: [Option<Interned<Member<P>>>; INLINE],
    /// The links, at [`State::link`].
    links: [Link; INLINE_LINKS],
    /// What there is no room for in these two.
    fifth: Option<Box<Fifth<P>>>,
    /// The directions that are cut, one bit per link.
    pub cut: u32,
    /// Ghost: every entry ever committed anywhere, who led. Nothing of the cluster sees it.
    pub ledger: Interned<Ledger<Command>>,
    /// What is used of the budgets.
    pub spent: Counts,
    /// For every read that waits, one more than the length of what was committed when it was asked; 0 for
    /// the others.
    pub floors: [u8; READS_MAX],
    /// The property that the step into this state broke. Such a state has no successors.
    pub violated: Option<Arc<Broken>>,
}

/// A third of the words that a derived hash writes, once per transition. All fields are named, so that
/// a new one cannot be forgotten.
impl<P: Subject> Hash for State<P> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let State { configuration, count, members, links, fifth, cut, ledger, spent, floors, violated } =
            self;
        if configuration.symmetry {
            match violated {
                None => hasher.write_u64(symmetry::orbit(self).0),
                // What is said of it names members.
                Some(broken) => broken.property.hash(hasher),
            }
            hasher.write_u64(u64::from(u32::from_le_bytes(*floors)));
            return spent.words().into_iter().for_each(|word| hasher.write_u64(word));
        }
        hasher.write_u64(u64::from(*cut) << 32 | u64::from(u32::from_le_bytes(*floors)));
        spent.words().into_iter().for_each(|word| hasher.write_u64(word));
        // How many of these there are follows from the count, which no step changes.
        let count = usize::from(*count);
        members.iter().flatten().for_each(|member| member.hash(hasher));
        links[..INLINE_LINKS.min(count * (count - 1))].iter().for_each(|link| link.hash(hasher));
        if let Some(fifth) = fifth {
            fifth.member.hash(hasher);
            fifth.links.iter().for_each(|link| link.hash(hasher));
        }
        ledger.hash(hasher);
        if let Some(broken) = violated {
            broken.hash(hasher);
        }
    }
}

impl<P: Subject> State<P> {
    /// Members that have just been founded: nothing is cut, on its way or spent.
    ///
    /// # Panics
    /// There are more than [`MEMBERS_MAX`].
    #[must_use]
    pub fn founded(
        configuration: &'static Configuration,
        founders: Vec<Interned<Member<P>>>,
        ledger: Interned<Ledger<Command>>,
    ) -> State<P> {
        assert!(founders.len() <= MEMBERS_MAX, "a state has room for {MEMBERS_MAX} members");
        let count = u8::try_from(founders.len()).expect("members are few");
        let (mut members, mut founders) = ([const { None }; INLINE], founders.into_iter());
        members.iter_mut().zip(&mut founders).for_each(|(slot, founder)| *slot = Some(founder));
        let no_links = [const { Link(None) }; FIFTH_LINKS];
        let fifth = founders.next().map(|member| Box::new(Fifth { member, links: no_links }));
        let (links, spent) = ([const { Link(None) }; INLINE_LINKS], Counts::default());
        let floors = [0; READS_MAX];
        State { configuration, count, members, links, fifth, cut: 0, ledger, spent, floors, violated: None }
    }

    /// How many members there are.
    #[must_use]
    pub fn count(&self) -> usize {
        usize::from(self.count)
    }

    /// The members, in the order of their ids.
    pub fn members(&self) -> impl Iterator<Item = &Interned<Member<P>>> + Clone {
        self.members.iter().flatten().chain(self.fifth.iter().map(|fifth| &fifth.member))
    }

    /// A member.
    ///
    /// # Panics
    /// There is no such member.
    #[must_use]
    pub fn member(&self, id: usize) -> &Interned<Member<P>> {
        match (self.members.get(id), &self.fifth) {
            (Some(Some(member)), _) => member,
            (None, Some(fifth)) if id == INLINE => &fifth.member,
            _ => panic!("members are numbered from 0"),
        }
    }

    /// The nodes of the members that are up.
    pub fn nodes(&self) -> impl Iterator<Item = &Node<P>> + Clone {
        self.members().filter_map(|member| member.node())
    }

    /// A member becomes another. Returns what it was.
    ///
    /// # Panics
    /// There is no such member.
    pub fn replace(&mut self, id: usize, member: Interned<Member<P>>) -> Interned<Member<P>> {
        match (self.members.get_mut(id), &mut self.fifth) {
            (Some(slot), _) => slot.replace(member).expect("members are numbered from 0"),
            (None, Some(fifth)) if id == INLINE => std::mem::replace(&mut fifth.member, member),
            _ => panic!("members are numbered from 0"),
        }
    }

    /// The position of a direction among the links and in `cut`.
    #[must_use]
    pub fn link(&self, from: usize, to: usize) -> usize {
        from * (self.count() - 1) + to - usize::from(to > from)
    }

    /// The link at a position.
    pub(crate) fn link_at(&self, link: usize) -> &Link {
        match (self.links.get(link), &self.fifth) {
            (Some(link), _) => link,
            (None, Some(fifth)) => &fifth.links[link - INLINE_LINKS],
            (None, None) => panic!("there are fewer links"),
        }
    }

    /// The links that there may be, at [`State::link`].
    fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.iter().chain(self.fifth.iter().flat_map(|fifth| &fifth.links))
    }

    fn link_mut(&mut self, link: usize) -> &mut Link {
        match (self.links.get_mut(link), &mut self.fifth) {
            (Some(link), _) => link,
            (None, Some(fifth)) => &mut fifth.links[link - INLINE_LINKS],
            (None, None) => panic!("there are fewer links"),
        }
    }

    /// What is in a direction.
    #[must_use]
    pub fn queue(&self, from: usize, to: usize) -> Option<&Queue> {
        self.link_at(self.link(from, to)).queue()
    }

    /// Whether a direction is cut.
    #[must_use]
    pub fn is_cut(&self, from: usize, to: usize) -> bool {
        self.cut & (1 << self.link(from, to)) != 0
    }

    /// Every direction between two members.
    pub fn directions(&self) -> impl Iterator<Item = (usize, usize)> + use<P> {
        let count = self.count();
        (0..count).flat_map(move |from| (0..count).filter(move |to| *to != from).map(move |to| (from, to)))
    }

    /// Whether nothing reaches a member.
    #[must_use]
    pub fn is_deaf(&self, id: usize) -> bool {
        self.directions().all(|(from, to)| to != id || self.is_cut(from, to))
    }

    /// Whether a member reaches nobody.
    #[must_use]
    pub fn is_mute(&self, id: usize) -> bool {
        self.directions().all(|(from, to)| from != id || self.is_cut(from, to))
    }

    /// Whether a member is cut off from all others, both ways.
    #[must_use]
    pub fn is_isolated(&self, id: usize) -> bool {
        self.is_deaf(id) && self.is_mute(id)
    }

    /// Cuts a direction and loses what is on it.
    pub fn cut(&mut self, from: usize, to: usize) {
        let link = self.link(from, to);
        self.cut |= 1 << link;
        *self.link_mut(link) = Link(None);
    }

    /// A read is not waited for any more.
    pub(crate) fn answered(&mut self, request: RequestId) {
        if let Some(read) = requests::read_of(request) {
            self.floors[read] = 0;
        }
    }

    /// Changes what is on a link.
    pub(crate) fn relink(&mut self, from: usize, to: usize, change: impl FnOnce(&Link) -> Link) {
        let link = self.link(from, to);
        let link = self.link_mut(link);
        *link = change(link);
    }

    /// Every packet on every link.
    pub fn packets(&self) -> impl Iterator<Item = &Packet> {
        self.links().filter_map(Link::queue).flat_map(|queue| &queue.packets).map(|packet| &**packet)
    }

    /// Whether all are up, and nothing is cut, on its way, or on its way to a disk.
    #[must_use]
    pub fn is_healed_and_quiet(&self) -> bool {
        self.cut == 0
            && self.links().all(|link| link.0.is_none())
            && self.members().all(|member| member.node().is_some() && member.pending() == 0)
    }
}

/// Members are numbered from 0 and sit at that position.
pub(crate) fn index_of(id: NodeId) -> usize {
    usize::try_from(id.0).expect("members are few")
}

/// The id of the member at a position.
pub(crate) fn id_of(index: usize) -> NodeId {
    NodeId(index as u64)
}

/// The Explorer shows this text: what a person wants to see of a state, with the verdicts at this very
/// state.
impl<P: Subject> fmt::Debug for State<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (id, member) in self.members().enumerate() {
            match member.node() {
                Some(node) => write!(f, "{node}")?,
                None => write!(f, "n{id} down, its log ends at {}", member.synced().last())?,
            }
            if member.pending() > 0 {
                write!(f, " | synced {} +{} writes", member.synced().last(), member.pending())?;
            }
            if member.waiting_requests() > 0 {
                write!(f, " | {} clients wait", member.waiting_requests())?;
            }
            writeln!(f)?;
        }
        for (from, to) in self.directions() {
            if let Some(queue) = self.queue(from, to) {
                let packets: Vec<String> = queue.packets.iter().map(|packet| text::packet(packet)).collect();
                writeln!(f, "n{from}→n{to}: {}", packets.join(", "))?;
            }
        }
        let cuts: Vec<String> = self
            .directions()
            .filter(|(from, to)| self.is_cut(*from, *to))
            .map(|(from, to)| format!("n{from}↛n{to}"))
            .collect();
        if !cuts.is_empty() {
            writeln!(f, "cut: {}", cuts.join(" "))?;
        }
        writeln!(f, "committed: {}", text::entries(self.ledger.entries()))?;
        writeln!(f, "spent: {}", self.spent)?;
        match &self.violated {
            Some(broken) => write!(f, "VIOLATED {broken}"),
            None => match converge::healed(&mut Memo::new(Stepping::Plain), self) {
                Ok(rounds) => {
                    write!(f, "every property holds; healed, all are equal after {rounds} rounds")
                }
                Err(broken) => write!(f, "VIOLATED {broken}"),
            },
        }
    }
}
