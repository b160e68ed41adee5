//! Exhausting configurations, one or several side by side.
//!
//! Left out: several threads in one run. Configurations are independent, and run side by side.

use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model, Path};

use crate::actions::Action;
use crate::bugs::{active, with_bug};
use crate::configurations::Configuration;
use crate::converge;
use crate::letters::Subject;
use crate::memo::{Memo, Stepping};
use crate::model::{HOLDS, Replication};
use crate::progress::{Watch, joined, resident_bytes};
use crate::properties::{Broken, CONVERGENCE};
pub use crate::report::{Report, Verdict};
use crate::state::State;
use crate::symmetry;

/// States that the search for a shorter path may generate.
const SHORTEN_STATES_MAX: usize = 3_000_000;

/// Visits every reachable state of a configuration, depth first on one thread. `states_max` bounds the
/// states that are generated; a run that meets the bound is truncated and never passes for exhausted.
#[must_use]
pub fn check<P: Subject>(configuration: &Configuration, states_max: Option<NonZeroUsize>) -> Report {
    check_by::<P>(configuration, states_max, Stepping::Memoised)
}

/// Checks configurations side by side, so many at a time, the largest first. Each report is handed on as soon
/// as it is there; they are returned in the order of the configurations.
#[must_use]
pub fn check_all<P: Subject>(
    configurations: &[Configuration],
    states_max: Option<NonZeroUsize>,
    threads: NonZeroUsize,
    watch: &Watch,
    on_report: impl Fn(&Report) + Sync,
) -> Vec<Report> {
    let mut order: Vec<usize> = (0..configurations.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(configurations[*at].pinned));
    let (left, reports) = (Mutex::new(order.into_iter()), Mutex::new(Vec::new()));
    let bug = active();
    std::thread::scope(|scope| {
        for _ in 0..threads.get().min(configurations.len()) {
            scope.spawn(|| {
                loop {
                    let next = left.lock().expect("nobody panics with it").next();
                    let Some(at) = next else { return };
                    let run = || run::<P>(&configurations[at], states_max, Stepping::Memoised, watch);
                    let mut report = with_bug(bug, run);
                    if threads.get().min(configurations.len()) > 1 {
                        report.bytes = None;
                    }
                    on_report(&report);
                    reports.lock().expect("nobody panics with it").push((at, report));
                }
            });
        }
    });
    let mut reports = reports.into_inner().expect("nobody panics with it");
    reports.sort_by_key(|(at, _)| *at);
    reports.into_iter().map(|(_, report)| report).collect()
}

/// [`check`], with every step remembered or none.
#[must_use]
pub fn check_by<P: Subject>(
    configuration: &Configuration,
    states_max: Option<NonZeroUsize>,
    stepping: Stepping,
) -> Report {
    run::<P>(configuration, states_max, stepping, &Watch::default())
}

fn run<P: Subject>(
    configuration: &Configuration,
    states_max: Option<NonZeroUsize>,
    stepping: Stepping,
    watch: &Watch,
) -> Report {
    let (resident_before, start) = (resident_bytes(), Instant::now());
    let model = Replication::<P>::new(configuration.clone(), stepping);
    // A bound counts what the checker is shown.
    model.leave_out_recent(states_max.is_none());
    let pace = model.counters().pace.clone();
    let watched = watch.begin(configuration.name, configuration.pinned.map(|(states, _)| states), &pace);
    let mut builder = model.checker().threads(1).finish_when(HasDiscoveries::AnyFailures);
    if let Some(states_max) = states_max {
        builder = builder.target_state_count(states_max.get());
    }
    let checker = joined(builder.spawn_dfs(), &pace);
    let seconds = start.elapsed().as_secs_f64();
    drop(watched);
    let model = checker.model();
    let core_seconds = model.counters().core_seconds().unwrap_or(seconds);
    // Before any path is rebuilt, which would count as well.
    let expanded = model.counters().pace.expanded.load(Ordering::Relaxed);
    let memo = model.sizes();
    // Paths are rebuilt by the actions of the states on them.
    model.counters().pace.stopped.store(false, Ordering::Relaxed);
    model.leave_out_recent(false);
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let actions: Vec<u64> = model.counters().actions.iter().map(count).collect();
    let convergence =
        (count(&model.counters().convergence_runs), count(&model.counters().convergence_rounds));
    let distinct_states = checker.unique_state_count();
    let represented_states = match configuration.symmetry {
        true => count(&model.counters().represented),
        false => distinct_states as u64,
    };
    // The checker knows only of those that it was shown.
    let transitions = usize::try_from(actions.iter().sum::<u64>()).expect("they were counted one by one");
    let bytes = resident_bytes().zip(resident_before).map(|(after, before)| after.saturating_sub(before));
    let unseen = model.unseen();
    let verdict = match checker.discovery(HOLDS) {
        Some(path) => {
            let (broken, lines) = explain(configuration, &path);
            let is_reached = path.last_state().violated.is_some();
            match shorten::<P>(configuration, broken.property) {
                // A path to what is broken says more than one from which it would break.
                Some((short, path))
                    if short.property == broken.property && (!is_reached || path.len() < lines.len()) =>
                {
                    Verdict::Violated { broken: short, path }
                }
                _ => Verdict::Violated { broken, path: lines },
            }
        }
        // Every distinct state had its successors computed, or the search was not complete.
        None if expanded != distinct_states as u64 => Verdict::Truncated,
        None if !unseen.is_empty() => Verdict::Vacuous(unseen),
        None => match configuration.pinned {
            Some(pinned) if pinned != (distinct_states, transitions) => Verdict::Changed { pinned },
            _ => Verdict::Holds,
        },
    };
    Report {
        name: configuration.name,
        distinct_states,
        represented_states,
        transitions,
        depth: checker.max_depth(),
        seconds,
        core_seconds,
        actions: Action::KINDS.into_iter().zip(actions).collect(),
        convergence,
        memo,
        bytes,
        verdict,
    }
}

type PathOf<P> = Path<State<P>, Action>;

/// Looks breadth first for the shortest way to break a property. One that a step breaks is looked for
/// without runs to judge convergence, which would meet it ahead of the path.
fn shorten<P: Subject>(
    configuration: &Configuration,
    property: &'static str,
) -> Option<(Broken, Vec<String>)> {
    let mut configuration = configuration.clone();
    if property != CONVERGENCE {
        configuration.converge_every = 0;
    }
    let checker = Replication::<P>::new(configuration.clone(), Stepping::Memoised)
        .checker()
        .threads(1)
        .finish_when(HasDiscoveries::AnyFailures)
        .target_state_count(SHORTEN_STATES_MAX)
        .spawn_bfs()
        .join();
    checker.discovery(HOLDS).map(|path| explain(&configuration, &path))
}

/// The path as text, and what is broken at its end.
fn explain<P: Subject>(configuration: &Configuration, path: &PathOf<P>) -> (Broken, Vec<String>) {
    let steps = path.clone().into_vec();
    let broken = steps.last().and_then(|(state, _)| match &state.violated {
        Some(broken) => Some(Broken::clone(broken)),
        None => converge::healed(&mut Memo::new(Stepping::Plain), state)
            .err()
            // By itself it converges. Its images do something else on the way.
            .or_else(|| configuration.symmetry.then(|| symmetry::asymmetric("a step does something else")))
            .map(|broken| Broken {
                detail: format!("healed and left alone from here: {}", broken.detail),
                ..broken
            }),
    });
    let detail = format!("in configuration {}", configuration.name);
    let lines = steps.iter().filter_map(|(_, action)| action.as_ref().map(Action::to_string)).collect();
    (broken.unwrap_or(Broken { property: HOLDS, detail }), lines)
}
