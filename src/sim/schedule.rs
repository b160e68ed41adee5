//! What happens next in a world: messages, disks, timers and clients in virtual time, each with the delays
//! and losses that the seed draws.
//!
//! The world is moved by [`Action`]s alone. The schedule looks at what a step left behind (messages on
//! links, writes on a disk, clients with nothing to wait for) and puts what follows on the agenda; timers
//! it finds in the members. A round has two phases: a storm, in which anything may fail, and a calm, in
//! which nothing does and the world must come to rest within [`CALM_MS_MAX`].

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::format;
use alloc::vec::Vec;

use super::action::{Action, ClientNumber};
use super::agenda::{Agenda, Due};
use super::coverage::Fault;
use super::plan::{ELECTION_TIMEOUT_MS, Load, Round, Span, Troubles, Weather};
use super::world::{StoreOf, World};
use crate::cluster::Policies;
use crate::cluster::links::Link;
use crate::cluster::random::Random;
use crate::kv;
use crate::raft::{NodeId, Timer};
use crate::replica::Replica;

/// Within so much virtual time after the last fault a majority elects, commits and converges, and nothing
/// waits any more: 30 election timeouts.
pub const CALM_MS_MAX: u64 = 30 * ELECTION_TIMEOUT_MS;

/// And within so many steps: messages that answer each other without end take no time.
pub const CALM_STEPS_MAX: u64 = 20_000;

/// Operations that clients begin in a calm and that must be answered: a write and a read.
pub(super) const PROBES: u64 = 2;

/// How long a client waits after a refusal before it asks again.
const RETRY_AFTER_MS: Span = (50, 1500);

/// Which part of a round it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Anything may fail.
    Storm,
    /// Nothing fails since then.
    Calm { since_ms: u64, since_step: u64, answered_before: u64 },
}

/// Where an action is noted, if anybody wants to know.
pub(super) type Record = Option<Vec<Action>>;

/// The future of a world.
pub(super) struct Schedule {
    pub(super) random: Random,
    pub(super) now_ms: u64,
    pub(super) phase: Phase,
    pub(super) weather: Weather,
    pub(super) load: Load,
    pub(super) troubles: Troubles,
    pub(super) agenda: Agenda,
    /// For every message on a link, in its order, the ticket under which the agenda knows it.
    tickets: BTreeMap<Link, VecDeque<u64>>,
    next_ticket: u64,
    /// When the latest message of an orderly link arrives.
    latest_ms: BTreeMap<Link, u64>,
    /// Disks that are busy.
    syncing: BTreeSet<NodeId>,
    pub(super) paused_until_ms: BTreeMap<NodeId, u64>,
    /// Until when links are cut.
    pub(super) cut_until_ms: BTreeMap<Link, u64>,
    /// Members that stay down in this calm.
    pub(super) absent: BTreeSet<NodeId>,
    /// Members that were out a while ago in this calm, and did not know it.
    pub(super) forgotten: BTreeSet<NodeId>,
    pub(super) next_member: u64,
    /// How many terms somebody led so far.
    leaderships: usize,
    /// In which of them the leader was about to commit an inherited entry.
    watched: usize,
    /// The latest value that was written, by number.
    pub(super) values: u64,
    /// Whom each client asked last.
    pub(super) asked: BTreeMap<ClientNumber, NodeId>,
    /// The longest calm so far.
    pub(super) longest_calm_ms: u64,
    pub(super) longest_calm_steps: u64,
    pub(super) record: Record,
}

impl Schedule {
    pub(super) fn new(mut random: Random, members: u64) -> Schedule {
        let Round { weather, load, troubles } = Round::draw(&mut random);
        Schedule {
            now_ms: 0,
            phase: Phase::Storm,
            weather,
            load,
            troubles,
            agenda: Agenda::default(),
            tickets: BTreeMap::new(),
            next_ticket: 0,
            latest_ms: BTreeMap::new(),
            syncing: BTreeSet::new(),
            paused_until_ms: BTreeMap::new(),
            cut_until_ms: BTreeMap::new(),
            absent: BTreeSet::new(),
            forgotten: BTreeSet::new(),
            next_member: members,
            leaderships: 1,
            watched: 0,
            values: 0,
            asked: BTreeMap::new(),
            longest_calm_ms: 0,
            longest_calm_steps: 0,
            record: None,
            random,
        }
    }

    pub(super) fn draw(&mut self, (low, high): Span) -> u64 {
        self.random.between(low, high)
    }

    pub(super) fn after(&mut self, delay_ms: u64, due: Due) {
        let tie = self.random.next_u64();
        self.agenda.add(self.now_ms + delay_ms, tie, due);
    }

    // --- moving --------------------------------------------------------------------------------

    /// Does the next thing. Returns whether something happened: nothing does when nothing is left to come,
    /// or a promise did not hold.
    pub(super) fn step<P: Policies, K: kv::Rules>(&mut self, world: &mut World<P, K>) -> bool
    where
        StoreOf<K>: Default,
    {
        let before = world.steps();
        while world.failure().is_none() && world.steps() == before {
            let timer = self.next_timer(world);
            let Some(time_ms) =
                [timer.map(|(at_ms, ..)| at_ms), self.agenda.next_ms()].into_iter().flatten().min()
            else {
                return false;
            };
            self.now_ms = self.now_ms.max(time_ms);
            world.advance_to(self.now_ms);
            match timer {
                Some((at_ms, id, timer)) if at_ms <= time_ms => {
                    self.act(world, Action::Timeout { id, timer });
                }
                _ => {
                    if let Some(due) = self.agenda.pop() {
                        self.come(world, due);
                    }
                }
            }
        }
        world.steps() > before
    }

    /// The timer that fires next. A member that is paused notices its timers when it goes on.
    fn next_timer<P: Policies, K: kv::Rules>(&self, world: &World<P, K>) -> Option<(u64, NodeId, Timer)>
    where
        StoreOf<K>: Default,
    {
        let timers = world.cluster().members().iter().filter_map(|(id, member)| {
            let (deadline_ms, timer) = member.next_deadline_ms()?;
            Some((deadline_ms.max(self.paused_until(*id)), *id, timer))
        });
        timers.min()
    }

    /// Until when a member does nothing, if it is paused.
    pub(super) fn is_paused(&self, id: NodeId) -> Option<u64> {
        Some(self.paused_until(id)).filter(|until_ms| *until_ms > self.now_ms)
    }

    fn paused_until(&self, id: NodeId) -> u64 {
        self.paused_until_ms.get(&id).copied().unwrap_or(0)
    }

    /// Carries out an action and looks at what follows from it.
    pub(super) fn act<P: Policies, K: kv::Rules>(&mut self, world: &mut World<P, K>, action: Action) -> bool
    where
        StoreOf<K>: Default,
    {
        // Noted before: if a member panics, that is the action which matters.
        if let Some(record) = &mut self.record {
            record.push(action.clone());
        }
        let acted = world.perform(&action);
        if acted {
            self.follow_up(world, &action);
        } else if let Some(record) = &mut self.record {
            record.pop();
        }
        acted
    }

    fn follow_up<P: Policies, K: kv::Rules>(&mut self, world: &mut World<P, K>, action: &Action)
    where
        StoreOf<K>: Default,
    {
        match action {
            Action::Deliver { link, position } | Action::Drop { link, position } => {
                self.tickets.get_mut(link).and_then(|tickets| tickets.remove(*position as usize));
            }
            Action::Cut(links) => links.iter().for_each(|link| {
                self.tickets.remove(link);
            }),
            Action::Retire(id) => self.tickets.retain(|(from, to), _| from != id && to != id),
            _ => {}
        }
        if let Some(id) = action.member() {
            self.schedule_messages(world, id);
            self.schedule_sync(world, id);
        } else if let Action::Duplicate { link: (from, _), .. } = action {
            self.schedule_messages(world, *from);
        }
        self.watch_leader(world);
        for client in world.take_at_leisure() {
            let mut pause_ms = self.draw(self.load.think_ms);
            if world.client(client).current.is_some() {
                pause_ms += self.draw(RETRY_AFTER_MS); // It was refused, and knows that at once.
            }
            self.after(pause_ms, Due::Turn(client));
        }
    }

    /// Leaders are ambushed when they have just been elected, and when they are about to commit what others
    /// before them have appended.
    fn watch_leader<P: Policies, K: kv::Rules>(&mut self, world: &World<P, K>)
    where
        StoreOf<K>: Default,
    {
        let leaderships = world.cluster().ledger().leaders().len();
        let is_new = leaderships > self.leaderships;
        self.leaderships = leaderships;
        if self.phase != Phase::Storm || self.troubles.coup == 0 {
            return;
        }
        if is_new && self.random.chance(self.troubles.coup) {
            let at_once = self.random.chance(500);
            let delay_ms = if at_once { 0 } else { self.random.between(0, 3 * self.weather.latency_ms.1) };
            self.after(delay_ms, Due::Ambush);
        }
        if self.watched < leaderships && has_inherited_majority(world) {
            self.watched = leaderships;
            if self.random.chance(self.troubles.coup) {
                self.after(0, Due::Ambush);
            }
        }
    }

    fn schedule_messages<P: Policies, K: kv::Rules>(&mut self, world: &mut World<P, K>, from: NodeId)
    where
        StoreOf<K>: Default,
    {
        for (link, count) in world.cluster.links().from(from) {
            let tickets = self.tickets.entry(link).or_default();
            while tickets.len() < count {
                let ticket = self.next_ticket;
                self.next_ticket += 1;
                tickets.push_back(ticket);
                let mut delay_ms = self.random.between(self.weather.latency_ms.0, self.weather.latency_ms.1);
                if self.random.chance(self.weather.delay) {
                    world.coverage.fault(Fault::Delay);
                    delay_ms += self.random.between(self.weather.delay_ms.0, self.weather.delay_ms.1);
                } else if self.weather.is_fifo {
                    let latest_ms = self.latest_ms.entry(link).or_default();
                    *latest_ms = (*latest_ms).max(self.now_ms + delay_ms);
                    delay_ms = *latest_ms - self.now_ms;
                }
                let is_lost = self.random.chance(self.weather.loss);
                // Within a millisecond an orderly link keeps its order too.
                let tie = if self.weather.is_fifo { ticket } else { self.random.next_u64() };
                self.agenda.add(self.now_ms + delay_ms, tie, Due::Message { link, ticket, is_lost });
            }
        }
    }

    fn schedule_sync<P: Policies, K: kv::Rules>(&mut self, world: &mut World<P, K>, id: NodeId)
    where
        StoreOf<K>: Default,
    {
        let Some(member) = world.cluster().members().get(&id) else { return };
        if member.disk().pending() == 0 || member.replica().is_none() || !self.syncing.insert(id) {
            return;
        }
        let mut delay_ms = self.draw(self.weather.sync_ms);
        if self.random.chance(self.weather.stuck_sync) {
            world.coverage.fault(Fault::StuckDisk);
            delay_ms += self.random.between(ELECTION_TIMEOUT_MS, 10 * ELECTION_TIMEOUT_MS);
        } else if self.random.chance(self.weather.slow_sync) {
            world.coverage.fault(Fault::SlowDisk);
            delay_ms += self.random.between(20, ELECTION_TIMEOUT_MS / 2);
        }
        self.after(delay_ms, Due::Sync(id));
    }

    // --- what comes due ----------------------------------------------------------------------------

    fn come<P: Policies, K: kv::Rules>(&mut self, world: &mut World<P, K>, due: Due)
    where
        StoreOf<K>: Default,
    {
        match due {
            Due::Message { link, ticket, is_lost } => self.message(world, link, ticket, is_lost),
            Due::Sync(id) => self.sync(world, id),
            Due::Turn(client) => self.turn(world, client),
            Due::Patience { client, operation } => self.lose_patience(world, client, operation),
            Due::Restart(id) => self.restart(world, id),
            Due::Restore(mut links) => {
                // Another cut may have taken some of them meanwhile, for longer.
                links.retain(|link| {
                    self.cut_until_ms.get(link).is_some_and(|until_ms| *until_ms <= self.now_ms)
                });
                if !links.is_empty() {
                    links.iter().for_each(|link| {
                        self.cut_until_ms.remove(link);
                    });
                    world.coverage.fault(Fault::Heal);
                    self.act(world, Action::Restore(links));
                }
            }
            Due::Trouble => self.trouble(world),
            Due::Ambush => self.ambush(world),
            Due::Repair => self.repair(world),
        }
    }

    fn message<P: Policies, K: kv::Rules>(
        &mut self,
        world: &mut World<P, K>,
        link: Link,
        ticket: u64,
        is_lost: bool,
    ) where
        StoreOf<K>: Default,
    {
        let Some(position) = self.tickets.get(&link).and_then(|tickets| tickets.binary_search(&ticket).ok())
        else {
            return; // Cut off meanwhile.
        };
        let until_ms = self.paused_until(link.1);
        if until_ms > self.now_ms {
            return self.agenda.add(until_ms, ticket, Due::Message { link, ticket, is_lost });
        }
        let position = position as u32;
        if is_lost {
            world.coverage.fault(Fault::Loss);
            self.act(world, Action::Drop { link, position });
            return;
        }
        if self.random.chance(self.weather.duplication) {
            world.coverage.fault(Fault::Duplication);
            self.act(world, Action::Duplicate { link, position });
        }
        if position > 0 {
            world.coverage.fault(Fault::Reordering);
        }
        self.act(world, Action::Deliver { link, position });
    }

    fn sync<P: Policies, K: kv::Rules>(&mut self, world: &mut World<P, K>, id: NodeId)
    where
        StoreOf<K>: Default,
    {
        let until_ms = self.paused_until(id);
        if until_ms > self.now_ms {
            return self.after(until_ms - self.now_ms, Due::Sync(id));
        }
        self.syncing.remove(&id);
        let Some(member) = world.cluster().members().get(&id) else { return };
        let pending = member.disk().pending() as u64;
        if pending == 0 || member.replica().is_none() {
            return; // It crashed meanwhile.
        }
        let is_partial = self.random.chance(self.weather.partial_sync);
        let count = if is_partial { self.random.between(1, pending) } else { pending } as u32;
        self.act(world, Action::Sync { id, count });
    }

    pub(super) fn restart<P: Policies, K: kv::Rules>(&mut self, world: &mut World<P, K>, id: NodeId)
    where
        StoreOf<K>: Default,
    {
        let is_down = world.cluster().members().get(&id).is_some_and(|member| member.replica().is_none());
        if !is_down || self.absent.contains(&id) {
            return;
        }
        world.coverage.fault(Fault::Restart);
        self.syncing.remove(&id);
        self.paused_until_ms.remove(&id);
        if self.random.chance(self.weather.backups) {
            self.act(world, Action::BackUp(id));
        }
        self.act(world, Action::Restart(id));
        if self.random.chance(self.weather.crash_at_start) {
            world.coverage.fault(Fault::CrashDuringRestart);
            self.crash(world, id);
        }
    }

    // --- phases --------------------------------------------------------------------------------

    /// The first round begins.
    pub(super) fn begin<P: Policies, K: kv::Rules>(&mut self, world: &mut World<P, K>)
    where
        StoreOf<K>: Default,
    {
        let ids: Vec<NodeId> = world.cluster().members().keys().copied().collect();
        for id in ids {
            self.schedule_messages(world, id);
            self.schedule_sync(world, id);
        }
        self.start_clients(world);
    }

    /// Another storm, with other weather.
    pub(super) fn begin_storm<P: Policies, K: kv::Rules>(&mut self, world: &mut World<P, K>)
    where
        StoreOf<K>: Default,
    {
        self.phase = Phase::Storm;
        Round { weather: self.weather, load: self.load, troubles: self.troubles } =
            Round::draw(&mut self.random);
        let absent = core::mem::take(&mut self.absent);
        for id in absent {
            self.after(1, Due::Restart(id));
        }
        self.start_clients(world);
    }

    fn start_clients<P: Policies, K: kv::Rules>(&mut self, world: &World<P, K>)
    where
        StoreOf<K>: Default,
    {
        for number in 0..world.clients().len() {
            let think_ms = self.draw(self.load.think_ms);
            self.after(think_ms, Due::Turn(number as ClientNumber));
        }
        self.after(1, Due::Trouble);
    }

    /// All faults end: links carry, clocks are right, who is down starts, but for a minority that may stay
    /// away. What is under way arrives.
    pub(super) fn begin_calm<P: Policies, K: kv::Rules>(&mut self, world: &mut World<P, K>)
    where
        StoreOf<K>: Default,
    {
        // What was asked in the storm may have been lost with a member or a message; what is asked from now on
        // must be answered, without anybody giving up.
        for number in 0..world.clients().len() {
            self.act(world, Action::GiveUp { client: number as ClientNumber });
        }
        let (since_ms, since_step) = (self.now_ms, world.steps());
        self.phase = Phase::Calm { since_ms, since_step, answered_before: world.work().answered };
        self.weather = Weather::calm();
        self.load.think_ms = (0, 10);
        self.load.patience_ms = (ELECTION_TIMEOUT_MS, 2 * ELECTION_TIMEOUT_MS);
        self.load.impatient = 0;
        self.agenda.clear();
        self.syncing.clear();
        self.latest_ms.clear();
        self.paused_until_ms.clear();
        self.cut_until_ms.clear();
        let cuts: Vec<Link> = world.cluster().links().cuts().collect();
        if !cuts.is_empty() {
            self.act(world, Action::Restore(cuts));
        }
        self.absent = self.choose_absent(world);
        let ids: Vec<NodeId> = world.cluster().members().keys().copied().collect();
        for id in &ids {
            self.act(world, Action::SetClockRate { id: *id, permille: 1000 });
            if self.absent.contains(id) && world.cluster().replica(*id).is_some() {
                self.crash(world, *id);
            }
            self.restart(world, *id);
        }
        self.forgotten = Schedule::find_forgotten(world);
        // Everything that was under way is due soon; the tickets are handed out anew.
        self.tickets.clear();
        for id in ids {
            self.schedule_messages(world, id);
            self.schedule_sync(world, id);
        }
        for number in 0..world.clients().len() {
            let number = number as ClientNumber;
            self.after(1, Due::Turn(number));
        }
        self.after(ELECTION_TIMEOUT_MS, Due::Repair);
    }

    /// Whether the calm is over: the world is at rest, or it should have been.
    pub(super) fn is_calm_over<P: Policies, K: kv::Rules>(&mut self, world: &mut World<P, K>) -> bool
    where
        StoreOf<K>: Default,
    {
        let Phase::Calm { since_ms, since_step, answered_before } = self.phase else { return false };
        let is_probed = world.work().answered >= answered_before + PROBES;
        if world.failure().is_some() {
            return true;
        }
        let (calm_ms, calm_steps) = (self.now_ms - since_ms, world.steps() - since_step);
        let is_late = calm_ms > CALM_MS_MAX || calm_steps > CALM_STEPS_MAX;
        // The links are looked at first, because most of the time something is on them.
        if !is_late && (!is_probed || !world.cluster().links().is_empty()) {
            return false;
        }
        match world.unrest() {
            None if is_probed => {
                self.longest_calm_ms = self.longest_calm_ms.max(calm_ms);
                self.longest_calm_steps = self.longest_calm_steps.max(calm_steps);
                true
            }
            reason if is_late => {
                let reason = reason.unwrap_or_else(|| "no client found anything to do".into());
                let detail = format!("{calm_ms}ms and {calm_steps} steps after all faults ended: {reason}");
                world.fail("liveness", detail);
                true
            }
            _ => false,
        }
    }
}

/// Whether a majority has the entry that the leader will commit next, and it is of an earlier term: what
/// Figure 8 of the paper is about.
fn has_inherited_majority<P: Policies, K: kv::Rules>(world: &World<P, K>) -> bool
where
    StoreOf<K>: Default,
{
    let Some(node) = world.cluster().leader().and_then(|id| world.cluster().replica(id)).map(Replica::node)
    else {
        return false;
    };
    let next = node.commit_index().next();
    let Some(progress) =
        node.progress().filter(|_| node.log().term_at(next).is_some_and(|term| term < node.term()))
    else {
        return false;
    };
    let voters = &node.configuration().voters;
    let followers =
        progress.iter().filter(|(id, follower)| voters.contains(id) && follower.match_index >= next);
    followers.count() + 1 > voters.len() / 2
}
