//! Every distinct step is computed once.
//!
//! A cluster of three has far fewer distinct members than distinct states: in the largest configuration
//! millions of states are made of thousands of members. So what was computed is remembered:
//!
//! | what | depends on | remembered under |
//! |---|---|---|
//! | a member's [step](crate::local::run), what it sends and tells, the invariants over it alone | the member, the event, when its disk syncs | exactly these |
//! | the verdict over the cluster, and what the ledger learns | the [standings](crate::state::Standing) of all, that of the one who moved before, the ledger; of answers, what they say, when reads were asked for, whether anything was asked twice, whom the teller takes for the leader | exactly these |
//! | a queue with one more packet | the queue, the packet | exactly these |
//!
//! A member that moved and whose standing did not change, and who told nobody anything, needs no verdict:
//! what would be judged is what was judged before.
//!
//! **Why a key of hashes is exact.** Everything that enters a key is [interned](crate::interned) here,
//! and a table stops the run when two contents have one hash. So an equal key means equal content.
//!
//! **Bugs.** A memo has the [bug](crate::bugs) that was active where it was made and makes it active
//! wherever it computes, so nothing computed under one bug is ever answered under another.
//!
//! **Plain.** [`Stepping::Plain`] computes everything anew, with the same code behind it and neither
//! tables nor maps. It is what the memo is tested against. [`Stepping::Once`] is that without the verdicts that would be
//! what was judged before: for walks on which few steps are met again.
//!
//! **Symmetry.** Where a configuration has it, what is computed for the first time is computed under every renaming of
//! the members and compared ([`symmetry`](crate::symmetry)), and remembered for all of them.
//!
//! Left out: sharing between models, since a bug, a limit or a policy may differ; and forgetting.

use std::hash::Hash;

use dkv::cluster::invariants::Ledger;
use dkv::cluster::links::LinkRules;
use dkv::raft::NodeId;

use crate::budgets::Budget;
use crate::bugs::{self, Bug, with_bug};
use crate::configurations::{Configuration, DiskSync, Network};
use crate::converge::Rest;
use crate::guard::guarded;
use crate::interned::{Interned, Map, Table};
use crate::letters::{Command, Subject};
use crate::local::{self, Event, Told};
use crate::properties::{Broken, NO_PANIC, judge_step};
use crate::recent::Recent;
use crate::state::{Link, MEMBERS_MAX, Member, Packet, Queue, READS_MAX, Standing, State, index_of};
use crate::symmetry::{Renaming, Renamings, asymmetric};
use crate::witnesses::Noted;

/// Whether steps are remembered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stepping {
    /// Every distinct step is computed once.
    #[default]
    Memoised,
    /// Every step is computed when it is taken, and forgotten.
    Once,
    /// So is every verdict, whether it can differ from the last or not.
    Plain,
}

/// What a model has computed so far.
pub struct Memo<P: Subject> {
    bug: Option<Bug>,
    /// Whether a cut link carries what is sent over it, as only a bug lets it.
    cut_links_carry: bool,
    /// What the steps so far have shown.
    pub(crate) noted: Noted,
    /// What clients were told so far, if somebody listens.
    pub(crate) heard: Option<Vec<Told>>,
    /// What the checker was shown last, if it visits every state once.
    pub(crate) recent: Option<Recent>,
    tables: Tables<P>,
    steps: Map<StepKey, Known<P>>,
    verdicts: Map<VerdictKey, Learned>,
    /// What became of clusters that came to rest: in how many rounds all were equal.
    pub(crate) rested: Map<Rest, Result<u32, Broken>>,
}

/// What the ledger has become by a step that breaks nothing.
type Learned = Result<Interned<Ledger<Command>>, Broken>;

/// The parts of states, each content once.
struct Tables<P: Subject> {
    stepping: Stepping,
    /// Under which images of everything new are computed as well.
    renamings: Option<&'static Renamings>,
    members: Table<Member<P>>,
    standings: Table<Standing<P>>,
    packets: Table<Packet>,
    queues: Table<Queue>,
    ledgers: Table<Ledger<Command>>,
    told: Table<Vec<Told>>,
    pushes: Map<(u64, u64), Interned<Queue>>,
    takes: Map<(u64, u8), Link>,
}

/// How much a memo holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Distinct members.
    pub members: usize,
    /// Distinct standings of members.
    pub standings: usize,
    /// Distinct queues.
    pub queues: usize,
    /// Distinct steps of one member.
    pub steps: usize,
    /// Distinct verdicts over the cluster.
    pub verdicts: usize,
}

impl Sizes {
    /// All of it.
    pub(crate) fn total(self) -> usize {
        self.members + self.standings + self.queues + self.steps + self.verdicts
    }
}

#[derive(PartialEq, Eq, Hash)]
struct StepKey {
    member: u64,
    event: (u8, u64, u64),
    sync: DiskSync,
}

#[derive(PartialEq, Eq, Hash)]
struct VerdictKey {
    id: usize,
    before: u64,
    /// 0 if there was none.
    midway: u64,
    standings: [u64; MEMBERS_MAX],
    ledger: u64,
    told: u64,
    /// Of no account unless somebody is told something, as the next two.
    floors: [u8; READS_MAX],
    is_retried: bool,
    /// Whom the teller takes for the leader.
    leader: Option<NodeId>,
}

/// What is known of one member's step.
struct Known<P: Subject> {
    member: Interned<Member<P>>,
    /// In the middle, if it compacted what it had just committed.
    midway: Option<Interned<Member<P>>>,
    /// To whom, and what.
    sent: Box<[(usize, Interned<Packet>)]>,
    told: Option<Interned<Vec<Told>>>,
    broken: Option<Box<Broken>>,
    noted: Noted,
    /// Others see a difference.
    moved: bool,
}

impl VerdictKey {
    fn new<P: Subject>(
        before: &Member<P>,
        midway: Option<&Interned<Member<P>>>,
        id: usize,
        state: &State<P>,
        told: Option<&Interned<Vec<Told>>>,
    ) -> VerdictKey {
        let mut standings = [0; MEMBERS_MAX];
        for (standing, member) in standings.iter_mut().zip(state.members()) {
            *standing = member.standing.content_hash();
        }
        VerdictKey {
            id,
            before: before.standing.content_hash(),
            midway: midway.map_or(0, Interned::content_hash),
            standings,
            ledger: state.ledger.content_hash(),
            told: told.map_or(0, Interned::content_hash),
            floors: told.map_or([0; READS_MAX], |_| state.floors),
            is_retried: told.is_some() && state.spent.get(Budget::Retries) > 0,
            leader: told.and_then(|_| state.member(id).node()?.leader()),
        }
    }
}

impl<P: Subject> Known<P> {
    /// Whether the image of this under a renaming is the other: what is sent to each member, in this order, what
    /// is told, and what is shown and broken.
    fn corresponds(&self, other: &Known<P>, renaming: &Renaming) -> bool {
        let mut sent: Vec<(usize, Packet)> = (self.sent.iter())
            .map(|(to, packet)| (renaming.position(*to), renaming.packet(packet)))
            .collect();
        let mut others: Vec<(usize, &Packet)> =
            other.sent.iter().map(|(to, packet)| (*to, &**packet)).collect();
        sent.sort_by_key(|(to, _)| *to);
        others.sort_by_key(|(to, _)| *to);
        let told = |known: &Known<P>| known.told.as_ref().map_or(Vec::new(), |told| told.to_vec());
        let told_now: Vec<Told> = told(self).iter().map(|told| renaming.told(told)).collect();
        sent.iter().map(|(to, packet)| (*to, packet)).eq(others)
            && told_now == told(other)
            && (self.noted, self.moved) == (other.noted, other.moved)
            && self.broken.as_ref().map(|broken| broken.property)
                == other.broken.as_ref().map(|broken| broken.property)
    }
}

impl<P: Subject> Tables<P> {
    fn intern<T: Hash + Eq>(
        stepping: Stepping,
        table: &mut Table<T>,
        value: impl Into<Interned<T>>,
    ) -> Interned<T> {
        match stepping {
            Stepping::Memoised => table.keep(value.into()),
            Stepping::Once | Stepping::Plain => value.into(),
        }
    }

    fn member(&mut self, mut member: Member<P>) -> Interned<Member<P>> {
        member.standing = Self::intern(self.stepping, &mut self.standings, member.standing);
        Self::intern(self.stepping, &mut self.members, member)
    }

    /// Runs the shipped code.
    fn run(
        &mut self,
        configuration: &Configuration,
        sync: DiskSync,
        before: &Member<P>,
        event: &Event,
    ) -> Known<P> {
        let outcome = local::run(configuration, sync, before, event);
        let member = self.member(outcome.member);
        let midway = outcome.midway.map(|midway| self.member(midway));
        let moved = member.standing != before.standing;
        let sent = outcome
            .sent
            .into_iter()
            .map(|packet| (index_of(packet.to()), Self::intern(self.stepping, &mut self.packets, packet)));
        let told =
            (!outcome.told.is_empty()).then(|| Self::intern(self.stepping, &mut self.told, outcome.told));
        let broken = outcome.verdict.err().map(Box::new);
        Known { member, midway, sent: sent.collect(), told, broken, noted: outcome.noted, moved }
    }

    /// A link with one more packet.
    fn push(&mut self, network: Network, link: &Link, packet: &Interned<Packet>) -> Link {
        if self.stepping != Stepping::Memoised {
            let queue = Queue::pushed(network, link, packet, Link::default());
            return Link(Some(Interned::new(queue)));
        }
        let key = (link.content_hash(), packet.content_hash());
        if let Some(known) = self.pushes.get(&key) {
            return Link(Some(known.clone()));
        }
        let rest = match (network, link.queue()) {
            (Network::Fifo, Some(queue)) => self.push(network, &queue.rest, packet),
            (Network::Fifo, None) | (Network::Unordered, _) => Link::default(),
        };
        let queue = Self::intern(self.stepping, &mut self.queues, Queue::pushed(network, link, packet, rest));
        if let Some(renamings) = self.renamings {
            self.relate_queue(network, renamings, &queue);
        }
        self.pushes.insert(key, queue.clone());
        Link(Some(queue))
    }

    /// A link without the packet at a position.
    fn without(&mut self, network: Network, link: &Link, position: u8) -> Link {
        let Some(queue) = link.queue() else { return Link::default() };
        if self.stepping != Stepping::Memoised {
            let mut packets = queue.packets.clone();
            packets.remove(usize::from(position));
            let is_idle = packets.is_empty();
            return Link((!is_idle).then(|| Interned::new(Queue::of(network, packets, Link::default()))));
        }
        if network == Network::Fifo {
            return queue.rest.clone();
        }
        let key = (link.content_hash(), position);
        if let Some(known) = self.takes.get(&key) {
            return known.clone();
        }
        let others = queue.packets.iter().enumerate().filter(|(at, _)| *at != usize::from(position));
        let rest = others.fold(Link::default(), |rest, (_, packet)| self.push(network, &rest, packet));
        self.takes.insert(key, rest.clone());
        rest
    }

    /// The images of a queue, and of what is left without its oldest packets, are noted.
    fn relate_queue(&mut self, network: Network, renamings: &Renamings, queue: &Interned<Queue>) {
        if queue.is_related() {
            return;
        }
        let images = renamings.iter().map(|(_, renaming)| self.queue_image(network, renaming, queue));
        renamings.relate(&images.collect::<Vec<_>>()).expect("packets are rewritten, one image each");
        if let Link(Some(rest)) = &queue.rest {
            self.relate_queue(network, renamings, rest);
        }
    }

    fn queue_image(&mut self, network: Network, renaming: &Renaming, queue: &Queue) -> Interned<Queue> {
        let rest = queue.rest.queue().map(|rest| self.queue_image(network, renaming, rest));
        let images =
            queue.packets.iter().map(|packet| self.packets.keep(Interned::new(renaming.packet(packet))));
        let image = Queue::of(network, images.collect(), Link(rest));
        self.queues.keep(Interned::new(image))
    }

    /// Computes a step under every renaming, the first of which changes nothing. They must correspond.
    fn run_images(
        &mut self,
        renamings: &Renamings,
        configuration: &Configuration,
        sync: DiskSync,
        before: &Interned<Member<P>>,
        event: &Event,
    ) -> Result<Vec<(StepKey, Known<P>)>, Broken> {
        let mut images: Vec<(StepKey, Known<P>)> = Vec::new();
        for (number, renaming) in renamings.iter() {
            let before = self.members.named(before.image_hash(number));
            let event = renaming.event(event, |packet| self.packets.keep(Interned::new(packet)));
            let known = self.run(configuration, sync, &before, &event);
            if known.midway.is_some() {
                return Err(asymmetric("what is compacted as soon as it is committed is not renamed"));
            }
            if images.first().is_some_and(|(_, first)| !first.corresponds(&known, renaming)) {
                return Err(asymmetric(&format!("{event:?} does something else")));
            }
            images.push((StepKey { member: before.content_hash(), event: event.key(), sync }, known));
        }
        let members = images.iter().map(|(_, known)| known.member.clone());
        renamings.relate(&members.collect::<Vec<_>>())?;
        Ok(images)
    }

    /// Judges a step under every renaming, as [`Tables::judge`] does. The verdicts must correspond.
    fn judge_images(
        &mut self,
        renamings: &Renamings,
        before: &Interned<Member<P>>,
        id: usize,
        state: &State<P>,
        told: &[Told],
    ) -> Result<Vec<(VerdictKey, Learned)>, Broken> {
        let mut images: Vec<(VerdictKey, Learned)> = Vec::new();
        for (number, renaming) in renamings.iter() {
            let mut image = state.clone();
            for at in 0..state.count() {
                let member = state.member(renaming.origin(at));
                image.replace(at, self.members.named(member.image_hash(number)));
            }
            image.ledger = self.ledgers.named(state.ledger.image_hash(number));
            let (before, id) = (self.members.named(before.image_hash(number)), renaming.position(id));
            let told: Vec<Told> = told.iter().map(|told| renaming.told(told)).collect();
            let verdict = self.judge(&before.standing, None, id, &image, &told);
            let told = (!told.is_empty()).then(|| self.told.keep(Interned::new(told)));
            images.push((VerdictKey::new(&before, None, id, &image, told.as_ref()), verdict));
        }
        let ledgers: Vec<_> =
            images.iter().filter_map(|(_, verdict)| verdict.as_ref().ok().cloned()).collect();
        match ledgers.len() {
            0 => {}
            all if all == images.len() => renamings.relate(&ledgers)?,
            _ => return Err(asymmetric("one verdict is good and another is not")),
        }
        Ok(images)
    }

    /// Judges the member `id` of `state`, which was `before` and `midway`, with everybody else.
    fn judge(
        &mut self,
        before: &Standing<P>,
        midway: Option<&Member<P>>,
        id: usize,
        state: &State<P>,
        told: &[Told],
    ) -> Learned {
        let verdict = guarded(|| judge_step(before, midway, id, state, told));
        let verdict = verdict.unwrap_or_else(|detail| Err(Broken { property: NO_PANIC, detail }));
        verdict.map(|ledger| Self::intern(self.stepping, &mut self.ledgers, ledger))
    }
}

impl<P: Subject> Memo<P> {
    /// Nothing is computed yet. Members have the bug that is active now, if `R` has bugs.
    #[must_use]
    pub fn new(stepping: Stepping) -> Memo<P> {
        let tables = Tables {
            stepping,
            renamings: None,
            members: Table::default(),
            standings: Table::default(),
            packets: Table::default(),
            queues: Table::default(),
            ledgers: Table::default(),
            told: Table::default(),
            pushes: Map::default(),
            takes: Map::default(),
        };
        Memo {
            bug: bugs::active(),
            cut_links_carry: P::Links::carries(true),
            noted: Noted::default(),
            heard: None,
            recent: None,
            tables,
            steps: Map::default(),
            verdicts: Map::default(),
            rested: Map::default(),
        }
    }

    /// How much it holds.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        Sizes {
            members: self.tables.members.len(),
            standings: self.tables.standings.len(),
            queues: self.tables.queues.len(),
            steps: self.steps.len(),
            verdicts: self.verdicts.len(),
        }
    }

    /// Whether what becomes of a cluster at rest is remembered, and nobody wants to hear it again.
    pub(crate) fn remembers_rest(&self) -> bool {
        self.tables.stepping == Stepping::Memoised && self.heard.is_none()
    }

    /// The bug that its members have.
    pub(crate) fn bug(&self) -> Option<Bug> {
        self.bug
    }

    pub(crate) fn member(&mut self, member: Member<P>) -> Interned<Member<P>> {
        self.tables.member(member)
    }

    pub(crate) fn ledger(&mut self, ledger: Ledger<Command>) -> Interned<Ledger<Command>> {
        Tables::<P>::intern(self.tables.stepping, &mut self.tables.ledgers, ledger)
    }

    /// Sets under which renamings everything new is computed.
    pub(crate) fn rename_by(&mut self, renamings: Option<&'static Renamings>) {
        if self.tables.renamings.is_none() && renamings.is_none() {
            return;
        }
        // What is known was computed under others.
        self.steps.clear();
        self.verdicts.clear();
        self.rested.clear();
        self.tables.pushes.clear();
        self.tables.takes.clear();
        self.tables.renamings = renamings;
    }

    /// From here on everything new is computed under every renaming of the members. Those of this state, in which
    /// nothing is on its way, become each other's images.
    pub(crate) fn relate(&mut self, state: &State<P>) -> Result<(), Broken> {
        assert!(self.tables.stepping == Stepping::Memoised, "images are looked up where everything is kept");
        if state.cut != 0 || state.packets().next().is_some() {
            return Err(asymmetric("something is cut or on its way at the start"));
        }
        let renamings = Renamings::of(state.count());
        self.rename_by(Some(renamings));
        for id in 0..state.count() {
            let image = |(_, renaming): (usize, &Renaming)| state.member(renaming.position(id)).clone();
            renamings.relate(&renamings.iter().map(image).collect::<Vec<_>>())?;
        }
        let ledgers: Vec<_> = renamings.iter().map(|_| state.ledger.clone()).collect();
        renamings.relate(&ledgers)
    }

    /// Takes a packet off a link.
    pub(crate) fn take(
        &mut self,
        state: &mut State<P>,
        from: usize,
        to: usize,
        position: u8,
    ) -> Interned<Packet> {
        let network = state.configuration.network;
        let queue = state.queue(from, to).expect("only what is on a link is taken");
        let packet = queue.packets[usize::from(position)].clone();
        state.relink(from, to, |link| self.tables.without(network, link, position));
        packet
    }

    /// Gives the member `id` an event, does what it asks for, and judges it. Returns whether that made any
    /// difference.
    pub(crate) fn step(
        &mut self,
        sync: DiskSync,
        state: &mut State<P>,
        id: usize,
        event: &Event,
    ) -> Result<bool, Broken> {
        let Memo { bug, cut_links_carry, noted, heard, recent: _, tables, steps, verdicts, rested: _ } = self;
        let (bug, is_remembered) = (*bug, tables.stepping == Stepping::Memoised);
        let (member, configuration) = (state.member(id), state.configuration);
        let fresh;
        let known = if !is_remembered {
            fresh = with_bug(bug, || tables.run(configuration, sync, member, event));
            &fresh
        } else {
            let key = StepKey { member: member.content_hash(), event: event.key(), sync };
            if let Some(renamings) = tables.renamings
                && !steps.contains_key(&key)
            {
                let images = || tables.run_images(renamings, configuration, sync, member, event);
                steps.extend(with_bug(bug, images)?);
            }
            steps
                .entry(key)
                .or_insert_with(|| with_bug(bug, || tables.run(configuration, sync, member, event)))
        };
        noted.add(known.noted);
        for (to, packet) in &known.sent {
            if *cut_links_carry || !state.is_cut(id, *to) {
                state.relink(id, *to, |link| tables.push(configuration.network, link, packet));
            }
        }
        let before = state.replace(id, known.member.clone());
        if let Some(broken) = &known.broken {
            return Err(Broken::clone(broken));
        }
        let is_same = match is_remembered {
            true => before.content_hash() == known.member.content_hash(),
            false => before == known.member,
        };
        let makes_difference = !is_same || !known.sent.is_empty() || known.told.is_some();
        if tables.stepping != Stepping::Plain && !known.moved && known.told.is_none() {
            return Ok(makes_difference);
        }
        let told = known.told.as_ref();
        let told_now = told.map_or(&[][..], |told| told);
        if let Some(heard) = heard {
            heard.extend_from_slice(told_now);
        }
        let midway = known.midway.as_ref();
        let verdict = if !is_remembered {
            let midway = midway.map(|member| &**member);
            with_bug(bug, || tables.judge(&before.standing, midway, id, state, told_now))
        } else {
            let key = VerdictKey::new(&before, midway, id, state, told);
            if let Some(renamings) = tables.renamings
                && !verdicts.contains_key(&key)
            {
                let images = || tables.judge_images(renamings, &before, id, state, told_now);
                verdicts.extend(with_bug(bug, images)?);
            }
            let judge = || {
                let midway = midway.map(|member| &**member);
                with_bug(bug, || tables.judge(&before.standing, midway, id, state, told_now))
            };
            verdicts.entry(key).or_insert_with(judge).clone()
        };
        state.ledger = verdict?;
        for told in told_now {
            state.answered(told.answer.request);
        }
        Ok(makes_difference)
    }
}
