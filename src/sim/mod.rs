//! Seeded worlds over a cluster: one seed replays one world.
//!
//! ```text
//!   seed ──► Plan, Round          what there is, and what may go wrong        plan
//!              │
//!              ▼
//!          Schedule ── Action ──► World ──────────────────────► Failure
//!          agenda, patience,      cluster, clients, oracle      name, step, detail
//!          nemesis: draws         and checks: draws nothing
//!              ▲                        │
//!              └── what it left behind ─┘
//! ```
//!
//! The cluster is that of [`cluster`](crate::cluster): the replicas that ship, on simulated disks and links.
//! The [`World`] adds clients and judges and is moved by [`Action`]s alone. The schedule draws them in virtual
//! time: messages arrive late, twice or never, disks take their time, timers fire by clocks that are wrong,
//! clients lose patience, and a nemesis cuts, crashes, pauses, swaps disks and changes members.
//!
//! **Rounds.** A run is a row of rounds. In a *storm* anything may fail, at rates that are drawn anew for each
//! and of which many are zero. In the *calm* after it nothing fails, though a minority may stay away, and the
//! world must come to rest: a leader, two more operations answered, equal replicas, nobody waiting, nothing under way, within
//! [`CALM_MS_MAX`] and [`CALM_STEPS_MAX`]. Members that are out leave, the history of the clients is judged, and
//! the next storm begins. Nothing grows from round to round.
//!
//! **What is checked.** After every step the invariants of the cluster; every store against the oracle, which
//! applies what was committed, at whatever entry it stands; every answer against the entry that it names; that
//! no bytes take effect more often than they were submitted less the times that "no effect" was promised.
//! Every 256 steps the size of queues, logs and links. At every rest what the clients saw, by
//! [`linearizable`] alone, which knows nothing of the cluster.
//!
//! **Replay.** A seed and a number of steps say everything; equal ones end in equal
//! [`trace_hash`](Report::trace_hash)es. A run can keep its actions ([`Run::recorded`]), and any part of them can be
//! carried out again: [`mod@replay`] does it, [`mod@shrink`] leaves out what is not needed, [`mod@script`] prints the
//! rest as a scenario.
//!
//! **Where things are.** [`action`] is the alphabet, [`plan`] what is drawn first, `agenda`, `schedule`, `patience`
//! (clients) and `nemesis` what is drawn later, `absence` who the others can do without; `world`, `client`, `requests` and `oracle` carry out and judge;
//! [`history`] and [`linearizable`] judge clients; [`coverage`] and `shapes` count what was reached.
//!
//! Left out: state machines that fail, disks that lie, bytes that change on the wire; a store that applies on
//! another thread (it is in line here); watches and leases, which the store does not have yet; real time, which
//! does not exist here. What simulation cannot show is said in `docs/verification.md`.

mod absence;
pub mod action;
mod agenda;
mod client;
pub mod coverage;
pub mod history;
pub mod linearizable;
mod nemesis;
mod oracle;
mod patience;
pub mod plan;
pub mod replay;
mod requests;
mod schedule;
pub mod script;
mod shapes;
pub mod shrink;
pub mod world;

use alloc::vec::Vec;
use core::marker::PhantomData;

use self::action::Action;
use self::coverage::Coverage;
use self::plan::Plan;
pub use self::schedule::{CALM_MS_MAX, CALM_STEPS_MAX};
use self::schedule::{Phase, Schedule};
use self::world::{Failure, StoreOf, Work, World};
use crate::cluster::random::Random;
use crate::cluster::{Policies, Shipped};
use crate::kv;
use crate::raft::Index;

/// For how many entries an unused session stays open in a simulated cluster: few enough that some expire
/// while their clients still want them.
pub const SESSION_TTL_ENTRIES: u64 = 200;

/// The rules `K` of the store, those that ship unless said otherwise, with sessions that expire soon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BriefSessions<K = kv::Shipped>(PhantomData<K>);

impl<K: kv::Rules> kv::Rules for BriefSessions<K> {
    fn session_ttl_entries() -> u64 {
        SESSION_TTL_ENTRIES
    }

    fn judge(answered: Option<u64>, sequence: u64) -> kv::Verdict {
        K::judge(answered, sequence)
    }

    fn is_expired(last_used: Index, now: Index, ttl_entries: u64) -> bool {
        K::is_expired(last_used, now, ttl_entries)
    }

    fn revision_after(revision: kv::Revision, changed: bool) -> kv::Revision {
        K::revision_after(revision, changed)
    }

    fn compares_see_earlier_steps() -> bool {
        K::compares_see_earlier_steps()
    }

    fn snapshot_sessions(sessions: &kv::Sessions) -> kv::Sessions {
        K::snapshot_sessions(sessions)
    }

    fn restored<V: kv::View>(before: &V, snapshot: kv::Snapshot) -> Result<kv::Snapshot, kv::EngineError> {
        K::restored(before, snapshot)
    }
}

/// The longest storm of a round, in steps.
const STORM_STEPS_MAX: u64 = 5_000;

/// Where the numbers of values go on in a world that was brought about elsewhere: beyond those it knows.
const VALUES_BEFORE_CALM: u64 = 1 << 32;

/// One world of one seed.
pub struct Run<P: Policies = Shipped, K: kv::Rules = BriefSessions>
where
    StoreOf<K>: Default,
{
    plan: Plan,
    world: World<P, K>,
    schedule: Schedule,
    steps_wanted: u64,
    /// After how many steps this storm ends.
    storm_until: u64,
    rounds: u64,
    /// How many actions there were when the latest calm began, if they are kept.
    calm_from: usize,
    /// Where in the record each round but the first begins.
    rounds_from: Vec<usize>,
    is_over: bool,
}

/// What a run did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// How many things happened.
    pub steps: u64,
    /// Storms that were followed by a calm in which the world came to rest.
    pub rounds: u64,
    /// Virtual time.
    pub time_ms: u64,
    /// The longest time between the last fault of a round and rest.
    pub longest_calm_ms: u64,
    /// The most steps that it took.
    pub longest_calm_steps: u64,
    /// Entries that were committed.
    pub committed: u64,
    /// Terms that somebody led.
    pub terms: u64,
    /// What clients did.
    pub work: Work,
    /// What was counted.
    pub coverage: Coverage,
    /// The running hash of what members did: equal seeds, equal hashes.
    pub trace_hash: u64,
    /// The first promise that did not hold.
    pub failure: Option<Failure>,
}

impl<P: Policies, K: kv::Rules> Run<P, K>
where
    StoreOf<K>: Default,
{
    /// The world of a seed: storms of `steps` steps together, each followed by a calm.
    #[must_use]
    pub fn new(seed: u64, steps: u64) -> Self {
        Run::prepare(seed, steps, false, false)
    }

    /// The same world, keeping every action for [`take_actions`](Run::take_actions) or
    /// [`take_rounds`](Run::take_rounds).
    #[must_use]
    pub fn remembered(seed: u64, steps: u64) -> Self {
        Run::prepare(seed, steps, true, false)
    }

    /// The same world, keeping every action for [`take_actions`](Run::take_actions), and every step as a
    /// line for [`take_trace`](Run::take_trace).
    #[must_use]
    pub fn recorded(seed: u64, steps: u64) -> Self {
        Run::prepare(seed, steps, true, true)
    }

    fn prepare(seed: u64, steps: u64, keeps_actions: bool, keeps_lines: bool) -> Self {
        let mut random = Random::new(seed);
        let mut plan = Plan::draw(&mut random);
        plan.options.trace_lines = keeps_lines;
        let mut world = World::new(plan.members, plan.clients, plan.options.clone());
        let mut schedule = Schedule::new(random, plan.members);
        schedule.record = keeps_actions.then(Vec::new);
        schedule.begin(&mut world);
        let storm_until = steps.min(STORM_STEPS_MAX);
        Run {
            plan,
            world,
            schedule,
            steps_wanted: steps,
            storm_until,
            rounds: 0,
            calm_from: 0,
            rounds_from: Vec::new(),
            is_over: false,
        }
    }

    /// A world that was brought about elsewhere, in a calm drawn from this seed, until it is at rest or should
    /// have been. What the calm does is kept for [`take_actions`](Run::take_actions).
    #[must_use]
    pub fn continued(plan: &Plan, mut world: World<P, K>, seed: u64) -> Self {
        let mut schedule = Schedule::new(Random::new(seed), plan.members);
        schedule.values = VALUES_BEFORE_CALM;
        schedule.record = Some(Vec::new());
        schedule.begin_calm(&mut world);
        let (steps_wanted, storm_until) = (0, 0);
        Run {
            plan: plan.clone(),
            world,
            schedule,
            steps_wanted,
            storm_until,
            rounds: 0,
            calm_from: 0,
            rounds_from: Vec::new(),
            is_over: false,
        }
    }

    /// Goes on for at most `steps` steps. Returns whether there is more to come.
    pub fn advance(&mut self, steps: u64) -> bool {
        let until = self.world.steps() + steps;
        while !self.is_over && self.world.steps() < until {
            self.step();
        }
        !self.is_over
    }

    /// Runs to the end.
    pub fn finish(&mut self) -> Report {
        while self.advance(u64::MAX / 2) {}
        self.report()
    }

    fn step(&mut self) {
        let is_moving = self.schedule.step(&mut self.world);
        if self.world.failure().is_some() {
            self.is_over = true;
            return;
        }
        match self.schedule.phase {
            Phase::Storm => {
                if !is_moving || self.world.steps() >= self.storm_until {
                    self.calm_from = self.recorded_actions();
                    self.schedule.begin_calm(&mut self.world);
                }
            }
            Phase::Calm { .. } => {
                if self.schedule.is_calm_over(&mut self.world) {
                    self.end_round();
                }
            }
        }
    }

    fn end_round(&mut self) {
        self.world.close_round();
        if self.world.failure().is_some() {
            self.is_over = true;
            return;
        }
        self.rounds += 1;
        self.schedule.retire_outsiders(&mut self.world);
        self.is_over = self.world.steps() >= self.steps_wanted || self.world.failure().is_some();
        if !self.is_over {
            self.rounds_from.push(self.recorded_actions());
            let left = self.steps_wanted - self.world.steps();
            self.storm_until = self.world.steps() + left.min(STORM_STEPS_MAX);
            self.schedule.begin_storm(&mut self.world);
        }
    }

    /// What the seed decided at the start.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The world as it is.
    #[must_use]
    pub fn world(&self) -> &World<P, K> {
        &self.world
    }

    /// The actions since the last call, if they are kept.
    pub fn take_actions(&mut self) -> Vec<Action> {
        self.rounds_from.clear();
        self.schedule.record.as_mut().map(core::mem::take).unwrap_or_default()
    }

    /// What [`shrink`](mod@shrink) is for: every action by rounds, if they are kept and none was taken
    /// before. What did not come to rest in a calm was brought about earlier: that calm comes by itself, the
    /// second of the two, and a [`replay`] draws others.
    pub fn take_rounds(&mut self) -> (Vec<Vec<Action>>, Vec<Action>) {
        let rounds_from = core::mem::take(&mut self.rounds_from);
        let mut actions = self.take_actions();
        let is_stuck = self.world.failure().is_some_and(|failure| failure.name == replay::LIVENESS);
        let calm = if is_stuck { actions.split_off(self.calm_from) } else { Vec::new() };
        let mut rounds: Vec<_> = rounds_from.into_iter().rev().map(|from| actions.split_off(from)).collect();
        rounds.push(actions);
        rounds.reverse();
        (rounds, calm)
    }

    fn recorded_actions(&self) -> usize {
        self.schedule.record.as_ref().map_or(0, Vec::len)
    }

    /// The lines of the steps since the last call, if the run is recorded.
    pub fn take_trace(&mut self) -> Vec<alloc::string::String> {
        self.world.take_trace()
    }

    /// What happened so far.
    #[must_use]
    pub fn report(&self) -> Report {
        let cluster = self.world.cluster();
        Report {
            steps: self.world.steps(),
            rounds: self.rounds,
            time_ms: cluster.time_ms(),
            longest_calm_ms: self.schedule.longest_calm_ms,
            longest_calm_steps: self.schedule.longest_calm_steps,
            committed: cluster.ledger().last().index.0,
            terms: cluster.ledger().leaders().len() as u64,
            work: self.world.work(),
            coverage: self.world.coverage().clone(),
            trace_hash: cluster.trace().hash(),
            failure: self.world.failure().cloned(),
        }
    }
}
