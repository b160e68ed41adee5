//! Random walks through the direct model, for what is too large to be exhausted: five members, more terms,
//! more faults, hundreds of steps.
//!
//! ```text
//!   seed, number ─► walk ─► batch of walks ─► tally of all batches in order ─► report
//!                    │ breaks something                                          │
//!                    └──────────────► shorten ──────────► a path to be replayed ─┘
//! ```
//!
//! A walk starts at the founded cluster, takes one of the possible actions after the other, and ends when nothing
//! is left that would change anything; budgets see to that. Actions, steps and properties are those of the
//! exhausted runs: [`environment`](crate::environment) steps and judges, and convergence is judged from
//! a sample of the states, as many as the configuration says, and of the last ones.
//!
//! **The same seed makes the same walks**, on any number of threads. A walk draws from a stream of its own, seeded
//! with the name of the configuration, the seed and its number. Threads take batches of walks; what counts are
//! batches 0 to n without a gap, up to the one that reaches the bound, or up to the first walk that breaks
//! something; what others have done beyond is dropped. Only a bound in seconds leaves open how many batches that is.
//!
//! **Why not stateright's simulation.** Its checker gives each thread a stream of seeds, so one seed makes
//! other walks with other threads; threads overwrite each other's discoveries; a bound on depth or states ends a run
//! without a word; choices are uniform; and it hashes every state of every walk to notice cycles, of which these
//! models have none. It also steps through [`Replication`](crate::model::Replication), whose one memo all threads
//! would wait for. A walker is a page, and has none of that.
//!
//! **Memory.** Walks of three members meet the same steps again, and a walker remembers them as the exhausted runs do
//! ([`memo`](crate::memo)); when its tables are full, it starts over with empty ones. Of five members most steps
//! are new, and each is computed and forgotten. Both change the speed and nothing else.
//!
//! Left out: distinct states are not counted, and nothing is ever called exhausted.

mod report;
mod shorten;
mod tally;
mod walk;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::actions::Action;
use crate::bugs::{active, with_bug};
use crate::configurations::Configuration;
use crate::letters::Subject;
use crate::progress::{Watch, narrating, process_seconds, resident_bytes};
use crate::properties::Broken;
use crate::trace::Trace;
pub use report::{Report, json};
pub use tally::Tally;
use walk::{Failure, Walker};

/// Walks that one thread makes before it asks for more.
const BATCH: u64 = 64;

/// When a simulation ends that finds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// With the batch of walks in which so many steps were taken.
    Steps(u64),
    /// After so much time.
    Time(Duration),
}

/// A property that a walk broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The number of the walk.
    pub walk: u64,
    /// How many steps it had taken.
    pub steps: usize,
    /// What is broken, and how, at the end of the shortened path.
    pub broken: Broken,
    /// The shortened path.
    pub trace: Trace,
}

/// What the threads share.
struct Shared<'a> {
    configuration: &'static Configuration,
    seed: u64,
    bound: Bound,
    start: Instant,
    watch: &'a Watch,
    batches: Mutex<Batches>,
    /// Steps so far, for whoever watches.
    steps: AtomicU64,
    /// How often a walker forgot what it remembered.
    forgotten: AtomicU64,
}

#[derive(Default)]
struct Batches {
    /// The first that nobody makes yet.
    next: u64,
    /// How many are in the tally, from the first on without a gap.
    merged: u64,
    /// Those that are done and not in the tally yet.
    done: BTreeMap<u64, Batch>,
    tally: Tally,
    failure: Option<(u64, Failure)>,
    is_over: bool,
}

#[derive(Default)]
struct Batch {
    tally: Tally,
    /// The number of the walk that broke something, the last one of the batch.
    failure: Option<(u64, Failure)>,
}

impl Batches {
    fn merge(&mut self, number: u64, batch: Batch, bound: Bound) {
        self.done.insert(number, batch);
        while !self.is_over
            && let Some(batch) = self.done.remove(&self.merged)
        {
            self.merged += 1;
            self.tally.add(&batch.tally);
            self.failure = batch.failure;
            self.is_over =
                self.failure.is_some() || matches!(bound, Bound::Steps(steps) if self.tally.steps >= steps);
        }
    }
}

impl Shared<'_> {
    fn batches(&self) -> std::sync::MutexGuard<'_, Batches> {
        self.batches.lock().expect("nobody panics with it")
    }

    fn is_time_over(&self) -> bool {
        matches!(self.bound, Bound::Time(time) if self.start.elapsed() >= time)
    }

    /// Makes one batch after the other.
    fn work<P: Subject>(&self) {
        let mut walker = Walker::<P>::new(self.configuration);
        loop {
            let number = {
                let mut batches = self.batches();
                if batches.is_over || self.is_time_over() || self.watch.is_stopped() {
                    return;
                }
                batches.next += 1;
                batches.next - 1
            };
            let mut batch = Batch::default();
            for walk in number * BATCH..(number + 1) * BATCH {
                if walker.forget_if_full() {
                    self.forgotten.fetch_add(1, Ordering::Relaxed);
                }
                if let Some(failure) = walker.walk(self.seed, walk, &mut batch.tally) {
                    batch.failure = Some((walk, failure));
                    break;
                }
            }
            self.steps.fetch_add(batch.tally.steps, Ordering::Relaxed);
            self.batches().merge(number, batch, self.bound);
        }
    }

    fn line(&self) -> String {
        let (name, seconds) = (self.configuration.name, self.start.elapsed().as_secs_f64());
        let steps = self.steps.load(Ordering::Relaxed) as f64;
        let memory = resident_bytes().map_or(String::new(), |bytes| format!(" | {} MiB", bytes >> 20));
        format!("{name} {:.1} M steps, {:.0} k/s{memory}", steps / 1e6, steps / seconds.max(1e-3) / 1e3)
    }
}

/// The walks of a seed, one at a time.
pub struct Walks<P: Subject> {
    walker: Walker<P>,
    seed: u64,
}

impl<P: Subject> Walks<P> {
    /// Members have the bug that is active now, if `P` has bugs.
    #[must_use]
    pub fn new(configuration: &Configuration, seed: u64) -> Walks<P> {
        Walks { walker: Walker::new(Box::leak(Box::new(configuration.clone()))), seed }
    }

    /// What happens on the walk of this number, up to its end or to what it breaks.
    pub fn walk(&mut self, number: u64) -> (Vec<Action>, Option<Broken>) {
        self.walker.forget_if_full();
        let failure = self.walker.walk(self.seed, number, &mut Tally::default());
        (self.walker.path().to_vec(), failure.map(|failure| failure.broken))
    }
}

/// Walks through a configuration at random, from walk 0 of a seed on, until the bound or a violation. Members have
/// the bug that is active now, if `P` has bugs.
#[must_use]
pub fn simulate<P: Subject>(
    configuration: &Configuration,
    seed: u64,
    bound: Bound,
    threads: NonZeroUsize,
    watch: &Watch,
) -> Report {
    // Every state names it. There are as many as runs.
    let configuration: &'static Configuration = Box::leak(Box::new(configuration.clone()));
    let (start, start_core, bug) = (Instant::now(), process_seconds(), active());
    let shared = Shared {
        configuration,
        seed,
        bound,
        start,
        watch,
        batches: Mutex::default(),
        steps: AtomicU64::new(0),
        forgotten: AtomicU64::new(0),
    };
    narrating(
        || shared.line(),
        || {
            std::thread::scope(|scope| {
                for _ in 0..threads.get() {
                    scope.spawn(|| with_bug(bug, || shared.work::<P>()));
                }
            });
        },
    );
    let seconds = start.elapsed().as_secs_f64();
    let core_seconds = process_seconds().zip(start_core).map_or(seconds, |(end, start)| end - start);
    let forgotten = shared.forgotten.into_inner();
    let batches = shared.batches.into_inner().expect("nobody panics with it");
    let violation = batches.failure.map(|(walk, failure)| {
        let steps = failure.actions.len();
        let Failure { actions, broken } = shorten::shorten::<P>(configuration, failure);
        let property = broken.property.to_owned();
        let trace = Trace { configuration: configuration.clone(), bug, property, actions };
        Violation { walk, steps, broken, trace }
    });
    let noted = batches.tally.noted;
    let unseen = configuration.shows.iter().filter(|witness| !noted.has(**witness));
    Report {
        name: configuration.name,
        seed,
        unseen: unseen.map(|witness| witness.name()).collect(),
        tally: batches.tally,
        seconds,
        core_seconds,
        forgotten,
        is_interrupted: watch.is_stopped() && violation.is_none(),
        violation,
    }
}
