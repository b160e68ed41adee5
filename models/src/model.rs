//! The stateright model: actions and steps of the [`environment`], properties by name, and counters.
//!
//! Stateright checks in threads of its own, so a model keeps the [memo](crate::memo) of its steps, with the
//! bug that was active where it was made.
//!
//! **One property for all invariants.** At every state the checker looks up every property's name among
//! its discoveries. One for all is worth 15 % of the speed. Which invariant broke is in the state that broke
//! it. The Explorer gets them [one by one](Replication::itemised).
//!
//! Left out: a boundary; whatever bounds a run is in the state.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use dkv::raft::Raft;
use dkv::replica::Rules;
use stateright::{Model, Property};

use crate::bugs::with_bug;
use crate::configurations::{Configuration, DiskSync};
use crate::converge;
use crate::environment::{self, Action};
use crate::memo::{Memo, Sizes, Stepping};
use crate::properties::{CONVERGENCE, STEPWISE, witnesses};
use crate::state::State;

const WITNESSES: usize = 6;

/// What stateright asks of a state.
type Condition<R> = fn(&Replication<R>, &State<R>) -> bool;

/// Every invariant, in one property: the checker pays for each property at each state.
pub const HOLDS: &str = "every_invariant_holds";
/// Every witness, in one property.
pub const SHOWN: &str = "every_witness_is_seen";

/// Replicas of the shipped code under `R`, in one configuration.
pub struct Replication<R: Rules = Raft> {
    configuration: Configuration,
    counters: Counters,
    /// Whoever steps or judges has it to himself; with one thread there is nobody to wait for.
    memo: Mutex<Memo<R>>,
    is_itemised: bool,
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
    all_seen: AtomicBool,
}

impl<R: Rules> Replication<R> {
    /// The model of a configuration. Replicas have the bug that is active now, if `R` has bugs.
    #[must_use]
    pub fn new(configuration: Configuration, stepping: Stepping) -> Replication<R> {
        let memo = Mutex::new(Memo::new(stepping));
        Replication { configuration, counters: Counters::default(), memo, is_itemised: false }
    }

    /// Every invariant and every witness is a property of its own, for the Explorer to list.
    #[must_use]
    pub fn itemised(self) -> Replication<R> {
        Replication { is_itemised: true, ..self }
    }

    /// The configuration.
    #[must_use]
    pub fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    /// How much of what it computed it remembers.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        self.memo().sizes()
    }

    fn memo(&self) -> MutexGuard<'_, Memo<R>> {
        self.memo.lock().expect("a table that found a collision stops the run")
    }

    /// The counters.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The situations that it must have met and has not.
    #[must_use]
    pub fn unseen(&self) -> Vec<&'static str> {
        let all = witnesses::<R>();
        let seen = |name: &str| {
            let at = all.iter().position(|witness| witness.name == name);
            at.is_some_and(|at| self.counters.seen[at].load(Ordering::Relaxed))
        };
        self.witnesses().into_iter().filter(|name| !seen(name)).collect()
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
    let is_sampled = model.counters.expanded.load(Ordering::Relaxed).is_multiple_of(every);
    if !(is_sampled || state.is_healed_and_quiet()) {
        return true;
    }
    model.counters.convergence_runs.fetch_add(1, Ordering::Relaxed);
    match converge::healed(&mut model.memo(), state) {
        Ok(rounds) => {
            model.counters.convergence_rounds.fetch_max(u64::from(rounds), Ordering::Relaxed);
            true
        }
        Err(_) => !model.fails(),
    }
}

/// The condition of [`HOLDS`].
fn everything_holds<R: Rules>(model: &Replication<R>, state: &State<R>) -> bool {
    match &state.violated {
        Some(_) => !model.fails(),
        None => converges(model, state),
    }
}

/// The condition of a witness, until it was seen once.
fn shows<R: Rules, const W: usize>(model: &Replication<R>, state: &State<R>) -> bool {
    is_first_to_show(model, W, state)
}

fn is_first_to_show<R: Rules>(model: &Replication<R>, at: usize, state: &State<R>) -> bool {
    if state.violated.is_some() || model.counters.seen[at].load(Ordering::Relaxed) {
        return false;
    }
    let mut memo = model.memo();
    let shows = with_bug(memo.bug(), || (witnesses::<R>()[at].shows)(model, &mut memo, state));
    model.counters.seen[at].store(shows, Ordering::Relaxed);
    shows
}

/// The condition of [`SHOWN`]: true once, at the state that shows the last of them.
fn everything_shown<R: Rules>(model: &Replication<R>, state: &State<R>) -> bool {
    if model.counters.all_seen.load(Ordering::Relaxed) {
        return false;
    }
    for at in 0..WITNESSES {
        is_first_to_show(model, at, state);
    }
    let is_last = model.unseen().is_empty();
    model.counters.all_seen.store(is_last, Ordering::Relaxed);
    is_last
}

impl<R: Rules + Send + Sync + 'static> Model for Replication<R> {
    type State = State<R>;
    type Action = Action;

    fn init_states(&self) -> Vec<State<R>> {
        let mut memo = self.memo();
        vec![with_bug(memo.bug(), || environment::found(&mut memo, &self.configuration))]
    }

    fn actions(&self, state: &State<R>, actions: &mut Vec<Action>) {
        self.counters.expanded.fetch_add(1, Ordering::Relaxed);
        self.enabled(state, actions);
    }

    fn next_state(&self, state: &State<R>, action: Action) -> Option<State<R>> {
        let mut memo = self.memo();
        // Whoever has the memo is the only one to count, so this needs no atomic addition.
        let count = &self.counters.actions[action.kind()];
        count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        Some(environment::step(&mut memo, &self.configuration, state, action))
    }

    fn format_action(&self, action: &Action) -> String {
        action.to_string()
    }

    fn properties(&self) -> Vec<Property<Self>> {
        if !self.is_itemised {
            return vec![
                Property::always(HOLDS, everything_holds::<R>),
                Property::sometimes(SHOWN, everything_shown::<R>),
            ];
        }
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
        let conditions: [Condition<R>; WITNESSES] =
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
