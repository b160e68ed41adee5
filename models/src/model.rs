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
use std::sync::{Arc, Mutex, MutexGuard};

use stateright::{Model, Path, Property};

use crate::actions::Action;
use crate::bugs::with_bug;
use crate::configurations::Configuration;
use crate::converge;
use crate::diagram;
use crate::environment;
use crate::interned::content_hash;
use crate::letters::Subject;
use crate::memo::{Memo, Sizes, Stepping};
use crate::progress::{Pace, thread_seconds};
use crate::properties::{CONVERGENCE, STEPWISE};
use crate::recent::Recent;
use crate::state::State;
use crate::symmetry;
use crate::witnesses::Witness;

/// What stateright asks of a state.
type Condition<P> = fn(&Replication<P>, &State<P>) -> bool;

/// Every invariant, in one property: the checker pays for each property at each state.
pub const HOLDS: &str = "every_invariant_holds";
/// Every witness, in one property.
pub const SHOWN: &str = "every_witness_is_seen";

/// Replicas of the shipped code under the rules of `P`, in one configuration.
pub struct Replication<P: Subject> {
    configuration: &'static Configuration,
    counters: Arc<Counters>,
    /// Whoever steps or judges has it to himself; with one thread there is nobody to wait for.
    memo: Mutex<Memo<P>>,
    is_itemised: bool,
}

/// What a run counts beside what the checker counts.
#[derive(Debug, Default)]
pub struct Counters {
    /// How far the run is.
    pub pace: Arc<Pace>,
    /// How often each kind of action was taken, in the order of [`Action::KINDS`].
    pub actions: [AtomicU64; Action::KINDS.len()],
    /// How many states those stand for that were expanded, where [`symmetry`] joins some.
    pub represented: AtomicU64,
    /// Fair runs to judge convergence.
    pub convergence_runs: AtomicU64,
    /// The most rounds that one of them took.
    pub convergence_rounds: AtomicU64,
    /// Processor time of the thread that expands states, in milliseconds, as it was a moment ago.
    core_milliseconds: AtomicU64,
    /// A violation was reported. Later ones are not, since the checker would overwrite it.
    failed: AtomicBool,
    /// All witnesses were seen. They are not looked for again.
    all_seen: AtomicBool,
}

/// Every so many states the processor time is asked for.
const SAMPLE_STATES: u64 = 4096;

impl Counters {
    fn sample_time(&self) {
        if let Some(seconds) = thread_seconds() {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a time of days at most
            self.core_milliseconds.store((seconds * 1e3) as u64, Ordering::Relaxed);
        }
    }

    /// Processor time of the thread that expanded the states, unless there were too few of them to tell.
    #[must_use]
    pub fn core_seconds(&self) -> Option<f64> {
        let milliseconds = self.core_milliseconds.load(Ordering::Relaxed);
        (milliseconds > 0).then_some(milliseconds as f64 / 1e3)
    }
}

impl<P: Subject> Replication<P> {
    /// The model of a configuration. Replicas have the bug that is active now, if `P` has bugs.
    #[must_use]
    pub fn new(configuration: Configuration, stepping: Stepping) -> Replication<P> {
        let memo = Mutex::new(Memo::new(stepping));
        // Every state names it, and states outlive the model in paths. There are as many as runs.
        let configuration = Box::leak(Box::new(configuration));
        Replication { configuration, counters: Arc::default(), memo, is_itemised: false }
    }

    /// Every invariant and every witness is a property of its own, for the Explorer to list.
    #[must_use]
    pub fn itemised(self) -> Replication<P> {
        Replication { is_itemised: true, ..self }
    }

    /// Leaves out successors that were just shown. For a checker that visits every state once, on one thread, and
    /// looks at no more of a state that it was shown before.
    pub(crate) fn leave_out_recent(&self, is_left_out: bool) {
        self.memo().recent = is_left_out.then(Recent::default);
    }

    /// The configuration.
    #[must_use]
    pub fn configuration(&self) -> &'static Configuration {
        self.configuration
    }

    /// How much of what it computed it remembers.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        self.memo().sizes()
    }

    fn memo(&self) -> MutexGuard<'_, Memo<P>> {
        self.memo.lock().expect("a table that found a collision stops the run")
    }

    /// The counters.
    #[must_use]
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// The situations that it must have met and has not.
    #[must_use]
    pub fn unseen(&self) -> Vec<&'static str> {
        let noted = self.memo().noted;
        let unseen = self.configuration.shows.iter().filter(|witness| !noted.has(**witness));
        unseen.map(|witness| witness.name()).collect()
    }

    /// Reports the first violation only.
    fn fails(&self) -> bool {
        !self.counters.failed.swap(true, Ordering::Relaxed)
    }
}

/// The condition of a property that each step judges.
fn holds<P: Subject, const S: usize>(model: &Replication<P>, state: &State<P>) -> bool {
    match &state.violated {
        Some(broken) if broken.property == STEPWISE[S] => !model.fails(),
        _ => true,
    }
}

/// Convergence from all states that are healed and quiet, and from a sample of the others.
fn converges<P: Subject>(model: &Replication<P>, state: &State<P>) -> bool {
    let every = model.configuration.converge_every;
    if every == 0 || state.violated.is_some() {
        return true;
    }
    let is_sampled = model.counters.pace.expanded.load(Ordering::Relaxed).is_multiple_of(every);
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
fn everything_holds<P: Subject>(model: &Replication<P>, state: &State<P>) -> bool {
    match &state.violated {
        Some(_) => !model.fails(),
        None => converges(model, state),
    }
}

/// The condition of a witness: this state shows it, or a step from it does.
fn shows<P: Subject, const W: usize>(model: &Replication<P>, state: &State<P>) -> bool {
    let mut memo = model.memo();
    if state.violated.is_some() || memo.noted.has(Witness::ALL[W]) {
        return false;
    }
    let witness = Witness::ALL[W];
    let is_shown = with_bug(memo.bug(), || match witness.in_state::<P>() {
        Some(shows) => shows(&mut memo, state),
        None => is_shown_by_a_step(&mut memo, witness, state),
    });
    if is_shown {
        memo.noted.note(witness);
    }
    is_shown
}

fn is_shown_by_a_step<P: Subject>(memo: &mut Memo<P>, witness: Witness, state: &State<P>) -> bool {
    let mut actions = Vec::new();
    environment::enabled(state, &mut actions);
    actions.into_iter().any(|action| {
        let before = std::mem::take(&mut memo.noted);
        environment::step(memo, state, action);
        std::mem::replace(&mut memo.noted, before).has(witness)
    })
}

/// The condition of [`SHOWN`]: true once, at the state that shows the last of them.
fn everything_shown<P: Subject>(model: &Replication<P>, state: &State<P>) -> bool {
    if state.violated.is_some() || model.counters.all_seen.load(Ordering::Relaxed) {
        return false;
    }
    let mut memo = model.memo();
    let mut is_complete = true;
    for witness in model.configuration.shows.iter().copied() {
        if memo.noted.has(witness) {
            continue;
        }
        let shows = witness.in_state::<P>();
        let noted = memo.noted;
        let is_shown = shows.is_some_and(|shows| with_bug(memo.bug(), || shows(&mut memo, state)));
        // What only looking ahead has noted is not reached yet.
        memo.noted = noted;
        if is_shown {
            memo.noted.note(witness);
        }
        is_complete &= is_shown;
    }
    model.counters.all_seen.store(is_complete, Ordering::Relaxed);
    is_complete
}

impl<P: Subject> Model for Replication<P> {
    type State = State<P>;
    type Action = Action;

    fn init_states(&self) -> Vec<State<P>> {
        let mut memo = self.memo();
        vec![with_bug(memo.bug(), || environment::found(&mut memo, self.configuration))]
    }

    fn actions(&self, state: &State<P>, actions: &mut Vec<Action>) {
        // A state that is not expanded makes the run a truncated one.
        if !self.counters.pace.stopped.load(Ordering::Relaxed) {
            let expanded = self.counters.pace.expanded.fetch_add(1, Ordering::Relaxed);
            if expanded.is_multiple_of(SAMPLE_STATES) {
                self.counters.sample_time();
            }
            if self.configuration.symmetry && state.violated.is_none() {
                let (_, images) = symmetry::orbit(state);
                self.counters.represented.fetch_add(images as u64, Ordering::Relaxed);
            }
            environment::enabled(state, actions);
        }
    }

    fn next_state(&self, state: &State<P>, action: Action) -> Option<State<P>> {
        let mut memo = self.memo();
        // Whoever has the memo is the only one to count, so this needs no atomic addition.
        let count = &self.counters.actions[action.kind()];
        count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        let next = environment::step(&mut memo, state, action);
        let is_shown = memo.recent.as_mut().is_some_and(|recent| recent.replace(content_hash(&next)));
        (!is_shown).then_some(next)
    }

    fn format_action(&self, action: &Action) -> String {
        action.to_string()
    }

    /// The state that a step leads to, which is what the Explorer shows first.
    fn format_step(&self, last_state: &State<P>, action: Action) -> Option<String> {
        let next = self.next_state(last_state, action)?;
        Some(format!("{next:?}"))
    }

    fn as_svg(&self, path: Path<State<P>, Action>) -> Option<String> {
        Some(diagram::svg(&path.into_vec()))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        if !self.is_itemised {
            return vec![
                Property::always(HOLDS, everything_holds::<P>),
                Property::sometimes(SHOWN, everything_shown::<P>),
            ];
        }
        let mut list: Vec<Property<Self>> = STEPWISE.into_iter().zip(stepwise()).map(always).collect();
        list.push(Property::always(CONVERGENCE, converges::<P>));
        let conditions = witnessing();
        for witness in self.configuration.shows {
            list.push(Property::sometimes(witness.name(), conditions[*witness as usize]));
        }
        list
    }
}

fn always<P: Subject>((name, condition): (&'static str, Condition<P>)) -> Property<Replication<P>> {
    Property::always(name, condition)
}

/// One function per number: conditions are plain functions, and know nothing but their type.
macro_rules! per_number {
    ($function:ident, $($number:literal)*) => { [$($function::<P, $number>),*] };
}

fn stepwise<P: Subject>() -> [Condition<P>; STEPWISE.len()] {
    per_number!(holds, 0 1 2 3 4 5 6 7 8 9 10 11 12 13)
}

fn witnessing<P: Subject>() -> [Condition<P>; Witness::ALL.len()] {
    per_number!(shows, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33)
}
