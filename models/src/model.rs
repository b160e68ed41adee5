//! The stateright model: actions and steps of the [`environment`], properties by name, and counters.
//!
//! Stateright checks in threads of its own, so a model keeps the [bug](crate::bugs) that was active where
//! it was made, and makes it active wherever replicas step.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use dkv::raft::Raft;
use dkv::replica::Rules;
use stateright::{Model, Property};

use crate::bugs::{self, Bug, with_bug};
use crate::configurations::{Configuration, DiskSync};
use crate::environment::{self, Action};
use crate::properties::{CONVERGENCE, STEPWISE, witnesses};
use crate::shared::content_hash;
use crate::state::State;
use crate::{converge, properties};

const WITNESSES: usize = 6;

/// Replicas of the shipped code under `R`, in one configuration.
#[derive(Debug)]
pub struct Replication<R = Raft> {
    configuration: Configuration,
    counters: Counters,
    bug: Option<Bug>,
    rules: PhantomData<R>,
}

/// What a run counts beside what the checker counts.
#[derive(Debug, Default)]
pub struct Counters {
    /// States whose actions were asked for. If that is every distinct state, the run was exhaustive.
    pub expanded: AtomicU64,
    /// How often each kind of action was taken, in the order of [`Action::KINDS`].
    pub actions: [AtomicU64; Action::KINDS.len()],
    /// Fair runs to judge convergence.
    pub convergence_runs: AtomicU64,
    /// The most heartbeats that one of them took.
    pub convergence_rounds: AtomicU64,
    /// A violation was reported. Later ones are not, since the checker would overwrite it.
    failed: AtomicBool,
    /// The witnesses that were seen. They are not looked for again.
    seen: [AtomicBool; WITNESSES],
}

impl<R: Rules> Replication<R> {
    /// The model of a configuration. Replicas have the bug that is active now, if `R` has bugs.
    #[must_use]
    pub fn new(configuration: Configuration) -> Replication<R> {
        let (counters, bug) = (Counters::default(), bugs::active());
        Replication { configuration, counters, bug, rules: PhantomData }
    }

    /// The configuration.
    #[must_use]
    pub fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    /// The counters.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The situations that an exhausted run must have met.
    #[must_use]
    pub fn witnesses(&self) -> Vec<&'static str> {
        let needs_disk = |name: &str| name == "committed_before_the_leader_synced";
        let needs_two = |name: &str| name == "append_refused_after_a_loss";
        let applies = |name: &&str| {
            !(needs_disk(name) && self.configuration.sync == DiskSync::Instant
                || needs_two(name) && self.configuration.budgets.proposals < 2)
        };
        witnesses::<R>().iter().map(|witness| witness.name).filter(applies).collect()
    }

    /// Everything that may happen next.
    pub(crate) fn enabled(&self, state: &State<R>, actions: &mut Vec<Action>) {
        environment::enabled(&self.configuration, state, actions);
    }

    /// Reports the first violation only.
    fn fails(&self) -> bool {
        !self.counters.failed.swap(true, Ordering::Relaxed)
    }
}

/// The condition of a property that each step judges.
fn holds<R: Rules, const P: usize>(model: &Replication<R>, state: &State<R>) -> bool {
    match &state.violated {
        Some(broken) if broken.property == STEPWISE[P] => !model.fails(),
        _ => true,
    }
}

/// Convergence from all states that are healed and quiet, and from a sample of the others.
fn converges<R: Rules>(model: &Replication<R>, state: &State<R>) -> bool {
    let every = model.configuration.converge_every;
    if every == 0 || state.violated.is_some() {
        return true;
    }
    let is_sampled = every == 1 || content_hash(state).is_multiple_of(every);
    if !(is_sampled || state.is_healed_and_quiet()) {
        return true;
    }
    model.counters.convergence_runs.fetch_add(1, Ordering::Relaxed);
    match with_bug(model.bug, || converge::healed(state)) {
        Ok(rounds) => {
            model.counters.convergence_rounds.fetch_max(u64::from(rounds), Ordering::Relaxed);
            true
        }
        Err(_) => !model.fails(),
    }
}

/// The condition of a witness, until it was seen once.
fn shows<R: Rules, const W: usize>(model: &Replication<R>, state: &State<R>) -> bool {
    if state.violated.is_some() || model.counters.seen[W].load(Ordering::Relaxed) {
        return false;
    }
    let shows = with_bug(model.bug, || (witnesses::<R>()[W].shows)(model, state));
    model.counters.seen[W].store(shows, Ordering::Relaxed);
    shows
}

impl<R: Rules + Send + Sync + 'static> Model for Replication<R> {
    type State = State<R>;
    type Action = Action;

    fn init_states(&self) -> Vec<State<R>> {
        vec![with_bug(self.bug, || environment::found(&self.configuration))]
    }

    fn actions(&self, state: &State<R>, actions: &mut Vec<Action>) {
        self.counters.expanded.fetch_add(1, Ordering::Relaxed);
        self.enabled(state, actions);
    }

    fn next_state(&self, state: &State<R>, action: Action) -> Option<State<R>> {
        self.counters.actions[action.kind()].fetch_add(1, Ordering::Relaxed);
        Some(with_bug(self.bug, || environment::step(&self.configuration, state, action)))
    }

    fn format_action(&self, action: &Action) -> String {
        action.to_string()
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut list = vec![
            Property::always(STEPWISE[0], holds::<R, 0>),
            Property::always(STEPWISE[1], holds::<R, 1>),
            Property::always(STEPWISE[2], holds::<R, 2>),
            Property::always(STEPWISE[3], holds::<R, 3>),
            Property::always(STEPWISE[4], holds::<R, 4>),
            Property::always(STEPWISE[5], holds::<R, 5>),
            Property::always(STEPWISE[6], holds::<R, 6>),
            Property::always(STEPWISE[7], holds::<R, 7>),
            Property::always(STEPWISE[8], holds::<R, 8>),
            Property::always(STEPWISE[9], holds::<R, 9>),
            Property::always(STEPWISE[10], holds::<R, 10>),
            Property::always(STEPWISE[11], holds::<R, 11>),
            Property::always(CONVERGENCE, converges::<R>),
        ];
        let conditions: [properties::Predicate<R>; WITNESSES] =
            [shows::<R, 0>, shows::<R, 1>, shows::<R, 2>, shows::<R, 3>, shows::<R, 4>, shows::<R, 5>];
        let wanted = self.witnesses();
        for (witness, condition) in witnesses::<R>().iter().zip(conditions) {
            if wanted.contains(&witness.name) {
                list.push(Property::sometimes(witness.name, condition));
            }
        }
        list
    }
}
