//! The hunt: looks for every injected bug by the searches that the code without a bug passes.
//!
//! ```text
//!   quick configurations ─► simulated worlds ─► large configurations ─► more simulated worlds
//! ```
//!
//! Cheap searches come first, the same for every bug, so what finds a bug was not chosen for it. The
//! configurations are exhausted without a bug by `cargo model check`; the worlds are those of `dkv sim`, from
//! seed 0 on.
//!
//! What is found is kept as short as a breadth-first search makes it: a [`Trace`] of a configuration, or a
//! scenario shrunk from a simulated world.
//!
//! Left out: bugs that break no promise ([`Bug::killed_by`] names nobody). They cost messages or time.

pub mod table;

use std::fmt;
use std::num::NonZeroUsize;
use std::ops::{ControlFlow, Range};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dkv::cluster::scenario::Scenario;
use dkv::sim::replay::{replay, reproduce};
use dkv::sim::script::script;
use dkv::sim::shrink::{Step, shrink};
use dkv::sim::world::Failure;
use dkv::sim::{BriefSessions, Run};
use stateright::{Checker, HasDiscoveries, Model};

use crate::actions::Action;
use crate::bugs::{Bug, Injected, with_bug};
use crate::configurations::{Configuration, Set, all};
use crate::guard::guarded;
use crate::memo::Stepping;
use crate::model::{HOLDS, Replication};
use crate::properties::{CONVERGENCE, NO_PANIC};
use crate::trace::{End, Trace};

/// Steps of a simulated world, before its calm.
const WORLD_STEPS: u64 = 2_000;
/// Generated states of one search. The quick configurations are smaller.
const STATES_MAX: usize = 60_000_000;
/// Generated states of the search for a shorter path.
const SHORTEN_STATES_MAX: usize = 500_000;
/// Replays that shrink one simulated world.
const TRIES_MAX: u32 = 3_000;

/// Failures that are tried until one shows when its actions are replayed, each among so many worlds.
const FAILURES_MAX: usize = 10;
const WORLDS_MAX: u64 = 1_000;

/// One search of the hunt.
#[derive(Clone, Debug)]
enum Search {
    /// The configurations of a set that are in no smaller one.
    Configurations(Set),
    /// The worlds of these seeds.
    Worlds(Range<u64>),
}

const SEARCHES: [Search; 4] = [
    Search::Configurations(Set::Quick),
    Search::Worlds(0..5_000),
    Search::Configurations(Set::Ci),
    Search::Worlds(5_000..20_000),
];

/// What found a bug.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Method {
    /// The exhaustive search of this configuration.
    Exhaustive(&'static str),
    /// The simulated world of this seed.
    Simulation(u64),
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Method::Exhaustive(name) => write!(f, "exhausting {name}"),
            Method::Simulation(seed) => write!(f, "simulating seed {seed}"),
        }
    }
}

/// A bug that was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// Which.
    pub bug: Bug,
    /// The property that it breaks.
    pub property: String,
    /// How it breaks it.
    pub detail: String,
    /// What found it.
    pub method: Method,
    /// Distinct states of the exhaustive search, or steps of all simulated worlds, until it was found.
    pub searched: u64,
    /// How long that search took, from its start to the violation; searches before it that found nothing are
    /// not in it.
    pub duration: Duration,
    /// How long all searches took together.
    pub total: Duration,
    /// The evidence.
    pub evidence: Evidence,
}

/// What shows a bug, to be kept.
#[derive(Clone, Debug)]
pub enum Evidence {
    /// A path through a configuration.
    Path(Box<Trace>),
    /// A simulated world, which [`scenario`] makes a scenario of.
    World {
        /// Its seed.
        seed: u64,
        /// What failed.
        failure: Failure,
    },
}

impl Evidence {
    /// How many actions or steps there are up to the violation.
    #[must_use]
    pub fn steps(&self) -> u64 {
        match self {
            Evidence::Path(trace) => trace.actions.len() as u64,
            Evidence::World { failure, .. } => failure.step,
        }
    }
}

/// Bugs that break a promise, and so can be found.
#[must_use]
pub fn quarry() -> Vec<Bug> {
    Bug::ALL.iter().copied().filter(|bug| !bug.killed_by().is_empty()).collect()
}

/// Looks for a bug. `is_stopped` is asked between searches.
#[must_use]
pub fn hunt(bug: Bug, is_stopped: impl Fn() -> bool) -> Option<Found> {
    let start = Instant::now();
    let mut searches = SEARCHES.into_iter().flat_map(|search| match search {
        Search::Configurations(set) => {
            // A bug that tells members apart shows as a lack of symmetry, which says nothing of what it breaks.
            let is_in = |configuration: &Configuration| configuration.set == set && !configuration.symmetry;
            let of_set = all().into_iter().filter(is_in);
            of_set.map(|configuration| Attempt::Configuration(Box::new(configuration))).collect::<Vec<_>>()
        }
        Search::Worlds(seeds) => vec![Attempt::Worlds(seeds)],
    });
    searches.find_map(|attempt| {
        if is_stopped() {
            return None;
        }
        let found = with_bug(Some(bug), || match attempt {
            Attempt::Configuration(configuration) => exhaust(bug, &configuration),
            Attempt::Worlds(seeds) => simulate(bug, seeds, &is_stopped),
        })?;
        Some(Found { total: start.elapsed(), ..found })
    })
}

/// Looks for bugs side by side, and tells of each when it is done. In the order of the bugs.
#[must_use]
pub fn hunt_all(
    bugs: &[Bug],
    threads: NonZeroUsize,
    is_stopped: impl Fn() -> bool + Sync,
    on_verdict: impl Fn(Bug, Option<&Found>) + Sync,
) -> Vec<(Bug, Option<Found>)> {
    let next = AtomicUsize::new(0);
    let verdicts = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.get() {
            scope.spawn(|| {
                while let Some(bug) = bugs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = hunt(*bug, &is_stopped);
                    on_verdict(*bug, found.as_ref());
                    verdicts.lock().expect("nobody panics with it").push((*bug, found));
                }
            });
        }
    });
    let mut verdicts = verdicts.into_inner().expect("nobody panics with it");
    verdicts.sort_by_key(|(bug, _)| bugs.iter().position(|other| other == bug));
    verdicts
}

enum Attempt {
    Configuration(Box<Configuration>),
    Worlds(Range<u64>),
}

/// Searches a configuration depth first until a property breaks, then breadth first for a shorter way.
fn exhaust(bug: Bug, configuration: &Configuration) -> Option<Found> {
    let start = Instant::now();
    let (actions, searched) = first_violation(configuration, Breadth::Last, STATES_MAX)?;
    let duration = start.elapsed();
    let first = Path::of(bug, configuration, actions).expect("what the checker found breaks something");
    let mut stepwise = configuration.clone();
    if first.trace.property != CONVERGENCE {
        // A run on from a state to judge convergence breaks it as well, but an action that does says more.
        stepwise.converge_every = 0;
    }
    let shortest = first_violation(&stepwise, Breadth::First, SHORTEN_STATES_MAX)
        .and_then(|(actions, _)| Path::of(bug, configuration, actions))
        .filter(|other| other.trace.property == first.trace.property && other.rank() < first.rank())
        .unwrap_or(first);
    Some(Found {
        bug,
        property: shortest.trace.property.clone(),
        detail: shortest.detail,
        method: Method::Exhaustive(configuration.name),
        searched,
        duration,
        total: duration,
        evidence: Evidence::Path(Box::new(shortest.trace)),
    })
}

/// A path that breaks something.
struct Path {
    trace: Trace,
    detail: String,
    /// Whether its last action breaks it, and not what follows when all is healed.
    is_shown_by_a_step: bool,
}

impl Path {
    fn of(bug: Bug, configuration: &Configuration, actions: Vec<Action>) -> Option<Path> {
        let mut trace =
            Trace { configuration: configuration.clone(), bug: Some(bug), property: String::new(), actions };
        let played = trace.play::<Injected>();
        let End::Broken(broken) = played.end else { return None };
        trace.property = broken.property.to_owned();
        let is_shown_by_a_step = played.states.last().is_some_and(|state| state.violated.is_some());
        Some(Path { trace, detail: broken.detail, is_shown_by_a_step })
    }

    /// The better, the smaller.
    fn rank(&self) -> (bool, usize) {
        (!self.is_shown_by_a_step, self.trace.actions.len())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Breadth {
    First,
    Last,
}

/// The way to a violation, and how many distinct states there were until then.
fn first_violation(
    configuration: &Configuration,
    breadth: Breadth,
    states_max: usize,
) -> Option<(Vec<Action>, u64)> {
    let states_max = NonZeroUsize::new(states_max)?;
    let builder = Replication::<Injected>::new(configuration.clone(), Stepping::Memoised)
        .checker()
        .threads(1)
        .finish_when(HasDiscoveries::AnyFailures)
        .target_state_count(states_max.get());
    let violation =
        |checker: &dyn Fn() -> Option<Vec<Action>>, states: usize| Some((checker()?, states as u64));
    match breadth {
        Breadth::First => {
            let checker = builder.spawn_bfs().join();
            violation(
                &|| checker.discovery(HOLDS).map(|path| path.into_actions()),
                checker.unique_state_count(),
            )
        }
        Breadth::Last => {
            let checker = builder.spawn_dfs().join();
            violation(
                &|| checker.discovery(HOLDS).map(|path| path.into_actions()),
                checker.unique_state_count(),
            )
        }
    }
}

/// Simulates worlds until one fails.
fn simulate(bug: Bug, seeds: Range<u64>, is_stopped: impl Fn() -> bool) -> Option<Found> {
    let start = Instant::now();
    let mut steps = 0;
    for seed in seeds {
        if is_stopped() {
            return None;
        }
        let mut run: Run<Injected, BriefSessions<Injected>> = Run::new(seed, WORLD_STEPS);
        let failure = match guarded(|| run.finish()) {
            Ok(report) => report.failure,
            Err(detail) => Some(Failure { name: NO_PANIC, detail, step: run.world().steps() }),
        };
        steps += run.world().steps();
        let Some(failure) = failure else { continue };
        let duration = start.elapsed();
        return Some(Found {
            bug,
            property: failure.name.to_owned(),
            detail: failure.detail.clone(),
            method: Method::Simulation(seed),
            searched: steps,
            duration,
            total: duration,
            evidence: Evidence::World { seed, failure },
        });
    }
    None
}

/// The shortest scenario that shrinking makes of a simulated world that fails, or of the next one that fails
/// when its actions are replayed, for `dkv::cluster::scenario` to play.
///
/// # Errors
/// None of several failures shows in a replay of its actions alone.
pub fn scenario(bug: Bug, seed: u64, failure: &Failure) -> Result<String, String> {
    let mut result = shrunk(bug, seed, failure);
    let mut next = seed + 1;
    for _ in 1..FAILURES_MAX {
        if result.is_ok() {
            break;
        }
        let found = with_bug(Some(bug), || simulate(bug, next..next + WORLDS_MAX, || false));
        let Some(Evidence::World { seed, failure }) = found.map(|found| found.evidence) else { break };
        next = seed + 1;
        result = shrunk(bug, seed, &failure);
    }
    result
}

fn shrunk(bug: Bug, seed: u64, failure: &Failure) -> Result<String, String> {
    type Rules = BriefSessions<Injected>;
    with_bug(Some(bug), || {
        let mut run: Run<Injected, Rules> = Run::remembered(seed, WORLD_STEPS);
        // How it ends is known.
        let _ = guarded(|| run.finish());
        let (plan, (mut rounds, calm)) = (run.plan().clone(), run.take_rounds());
        let fails = |plan: &_, steps: &[Step]| {
            let mut kept = Vec::new();
            let result = guarded(|| reproduce::<Injected, Rules>(plan, steps, failure.name, seed, &mut kept));
            let is_same = result.map_or(failure.name == NO_PANIC, |found| found.is_some());
            ControlFlow::<(), _>::Continue(is_same.then_some(kept))
        };
        let mut shrunk = shrink(&plan, rounds.clone(), fails, TRIES_MAX);
        if shrunk.actions.is_none() && !calm.is_empty() {
            rounds.push(calm);
            shrunk = shrink(&plan, rounds, fails, TRIES_MAX);
        }
        let Some(actions) = shrunk.actions else {
            return Err(format!("seed {seed}: its actions alone do not fail"));
        };
        let shown = guarded(|| replay::<Injected, Rules>(&shrunk.plan, &actions).failure().cloned());
        let shown = shown.ok().flatten().filter(|shown| shown.name == failure.name);
        let failure = shown.as_ref().unwrap_or(failure);
        let plays = |scenario: &Scenario| {
            guarded(|| scenario.run_with::<Injected, Injected>(false))
                .is_ok_and(|report| report.failure.is_some() && scenario.run(false).failure.is_none())
        };
        let text = guarded(|| script::<Injected, Rules>(&shrunk.plan, &actions, failure, seed, plays))?;
        // A panic shows in the last line; anything else in a run to the end.
        let is_shown =
            failure.name == NO_PANIC || Scenario::parse(&text).is_ok_and(|scenario| plays(&scenario));
        is_shown.then_some(text).ok_or_else(|| format!("seed {seed}: no scenario shows it"))
    })
}
