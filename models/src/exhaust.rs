//! Exhausting the models beside the direct one, by the rules of [`check`](mod@crate::check): depth first on one
//! thread, no limit of the checker, exhausted only if every distinct state was expanded.
//!
//! Left out: convergence by running on, which these models judge in their own way or not at all.

use std::fmt::Debug;
use std::hash::Hash;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use stateright::{Checker, Expectation, HasDiscoveries, Model};

use crate::check::{Report, Verdict};
use crate::memo::Sizes;
use crate::progress::{Pace, Watch, joined, process_seconds};
use crate::properties::Broken;

/// States that the search for a shorter path may generate.
const SHORTEN_STATES_MAX: usize = 1_000_000;
/// Kinds of actions.
const KINDS_MAX: usize = 8;

/// What a model counts beside what the checker counts.
#[derive(Debug, Default)]
pub struct Counters {
    pace: Arc<Pace>,
    actions: [AtomicU64; KINDS_MAX],
    failed: AtomicBool,
}

impl Counters {
    /// The successors of a state are asked for. Returns whether to tell them: a run that is to end has none, and what
    /// it did not expand makes it a truncated one.
    #[must_use]
    pub fn expand(&self) -> bool {
        let goes_on = !self.pace.stopped.load(Ordering::Relaxed);
        self.pace.expanded.fetch_add(u64::from(goes_on), Ordering::Relaxed);
        goes_on
    }

    /// An action of this kind leads to another state.
    pub fn count(&self, kind: usize) {
        self.actions[kind].fetch_add(1, Ordering::Relaxed);
    }

    /// Whether to report a failure: only the first, since the checker would overwrite it by later ones.
    pub fn fails(&self) -> bool {
        !self.failed.swap(true, Ordering::Relaxed)
    }
}

/// A model that counts.
pub trait Explored: Model {
    /// The names of the kinds of actions.
    const KINDS: &'static [&'static str];

    /// The counters.
    fn counters(&self) -> &Counters;

    /// How a state is wrong, if it says so.
    fn wrong(&self, _state: &Self::State) -> Option<String> {
        None
    }
}

/// Visits every reachable state of a model, which is made anew to look for a shorter way to a failure. A run
/// that meets the bound `states_max` of generated states is truncated and never passes for exhausted.
#[must_use]
pub fn exhaust<M>(name: &'static str, states_max: Option<NonZeroUsize>, make: impl Fn() -> M) -> Report
where
    M: Explored + Send + Sync + 'static,
    M::State: Debug + Hash + Send + Sync + Clone + PartialEq,
    M::Action: Debug + Send + Sync + Clone + PartialEq,
{
    watched(name, None, states_max, &Watch::default(), make)
}

/// [`exhaust`], while somebody watches and may end it. `expected` is how many states there are.
pub(crate) fn watched<M>(
    name: &'static str,
    expected: Option<usize>,
    states_max: Option<NonZeroUsize>,
    watch: &Watch,
    make: impl Fn() -> M,
) -> Report
where
    M: Explored + Send + Sync + 'static,
    M::State: Debug + Hash + Send + Sync + Clone + PartialEq,
    M::Action: Debug + Send + Sync + Clone + PartialEq,
{
    let (start, start_core) = (Instant::now(), process_seconds());
    let search = |model: M, states_max: Option<NonZeroUsize>| {
        let builder = model.checker().threads(1).finish_when(HasDiscoveries::AnyFailures);
        match states_max {
            Some(states_max) => builder.target_state_count(states_max.get()),
            None => builder,
        }
    };
    let model = make();
    let pace = model.counters().pace.clone();
    let watched = watch.begin(name, expected, &pace);
    let checker = joined(search(model, states_max).spawn_dfs(), &pace);
    drop(watched);
    let seconds = start.elapsed().as_secs_f64();
    let core_seconds = process_seconds().zip(start_core).map_or(seconds, |(end, start)| end - start);
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let counters = checker.model().counters();
    // Before any path is rebuilt, which would count as well.
    let expanded = count(&counters.pace.expanded);
    // Paths are rebuilt by the actions of the states on them.
    counters.pace.stopped.store(false, Ordering::Relaxed);
    let actions = M::KINDS.iter().copied().zip(counters.actions.iter().map(count)).collect();
    let distinct_states = checker.unique_state_count();
    let properties = checker.model().properties();
    let named = |expectation: Expectation| {
        let of_kind = properties.iter().filter(move |property| property.expectation == expectation);
        of_kind.map(|property| property.name).collect::<Vec<_>>()
    };
    let unseen: Vec<_> = named(Expectation::Sometimes)
        .into_iter()
        .filter(|witness| checker.discovery(witness).is_none())
        .collect();
    let failure = named(Expectation::Always).into_iter().find(|name| checker.discovery(name).is_some());
    let verdict = match failure {
        Some(property) => {
            let shorter = search(make(), NonZeroUsize::new(SHORTEN_STATES_MAX)).spawn_bfs().join();
            let short = shorter.discovery(property);
            let path = short.or_else(|| checker.discovery(property)).expect("it was found");
            let wrong = checker.model().wrong(path.last_state());
            let path =
                path.into_actions().iter().map(|action| checker.model().format_action(action)).collect();
            let detail = wrong.unwrap_or_else(|| format!("in model {name}"));
            Verdict::Violated { broken: Broken { property, detail }, path }
        }
        None if expanded != distinct_states as u64 => Verdict::Truncated,
        None if !unseen.is_empty() => Verdict::Vacuous(unseen),
        None => Verdict::Holds,
    };
    Report {
        name,
        distinct_states,
        represented_states: distinct_states as u64,
        transitions: checker.state_count() - 1,
        depth: checker.max_depth(),
        seconds,
        core_seconds,
        actions,
        convergence: (0, 0),
        memo: Sizes::default(),
        bytes: None,
        verdict,
    }
}
