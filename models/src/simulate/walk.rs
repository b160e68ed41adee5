//! One random walk: from the founded cluster until nothing can happen any more.
//!
//! Everything that a walk does follows from its configuration, its seed and its number. So it can be made
//! again alone, and is the same whoever makes it.
//!
//! Left out: walks that learn from each other. Each is drawn by itself.

use dkv::cluster::random::Random;

use super::tally::Tally;
use crate::actions::Action;
use crate::bugs::with_bug;
use crate::configurations::{Configuration, Set};
use crate::converge;
use crate::environment;
use crate::interned::content_hash;
use crate::letters::Subject;
use crate::memo::{Memo, Stepping};
use crate::properties::Broken;
use crate::state::State;
use crate::witnesses::Witness;

/// A walk ends after so many steps, done or not. Budgets end it long before.
const STEPS_MAX: usize = 10_000;
/// One walk in so many prefers nothing.
const UNIFORM_EVERY: u64 = 4;
/// Convergence is judged where one walk in so many ends.
const ENDS_EVERY: u64 = 16;
/// How much likelier than others a walk may make a kind of action.
const WEIGHTS: [u32; 4] = [1, 3, 10, 30];

/// Entries of the memo's tables, beyond which a walker forgets them all.
const REMEMBERED_MAX: usize = 40_000;

/// A walk that broke something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// What happened up to there.
    pub(super) actions: Vec<Action>,
    pub(super) broken: Broken,
}

/// How likely each kind of action is, of those that are possible.
struct Inclination([u32; Action::KINDS.len()]);

impl Inclination {
    /// Walks that all prefer the same meet the same. So each has preferences of its own, and leaves out some of
    /// what may be left out (swarm testing; Groce et al., ISSTA 2012).
    fn draw(random: &mut Random, number: u64) -> Inclination {
        if number.is_multiple_of(UNIFORM_EVERY) {
            return Inclination([1; Action::KINDS.len()]);
        }
        Inclination(Action::KINDS.map(|kind| {
            let weight = *random.pick(&WEIGHTS);
            let is_left_out = random.chance(150) && !ALWAYS.contains(&kind);
            if is_left_out { 0 } else { weight }
        }))
    }

    fn of(&self, action: Action) -> u32 {
        self.0[action.kind()]
    }
}

/// What no walk leaves out: without these there is soon nothing left to happen.
const ALWAYS: [&str; 5] = ["deliver", "sync", "restart", "election", "heal"];

/// Makes walks through one configuration, and remembers steps from one to the next.
pub(super) struct Walker<P: Subject> {
    configuration: &'static Configuration,
    memo: Memo<P>,
    founded: State<P>,
    possible: Vec<Action>,
    path: Vec<Action>,
}

impl<P: Subject> Walker<P> {
    /// Members have the bug that is active now.
    pub(super) fn new(configuration: &'static Configuration) -> Walker<P> {
        // On walks of five members most steps are new, and remembering them costs more than it saves.
        let stepping = match configuration.set {
            Set::Simulation => Stepping::Once,
            Set::Quick | Set::Ci | Set::Deep => Stepping::Memoised,
        };
        let mut memo = Memo::new(stepping);
        let founded = with_bug(memo.bug(), || environment::found(&mut memo, configuration));
        Walker { configuration, memo, founded, possible: Vec::new(), path: Vec::new() }
    }

    /// Makes the walk of this number, and counts it.
    pub(super) fn walk(&mut self, seed: u64, number: u64, tally: &mut Tally) -> Option<Failure> {
        let mut random = Random::new(content_hash(&(self.configuration.name, seed, number)));
        let inclination = Inclination::draw(&mut random, number);
        self.path.clear();
        self.memo.noted = tally.noted;
        let mut state = self.founded.clone();
        let every = self.configuration.converge_every;
        let broken = loop {
            if let Some(broken) = &state.violated {
                break Some(Broken::clone(broken));
            }
            self.look(&state);
            let Some(next) = self.advance(&state, &mut random, &inclination, tally) else {
                // Where a walk ends, whatever may go wrong has.
                let is_sampled = every > 0 && random.below(ENDS_EVERY) == 0;
                break if is_sampled { self.converge(&state, tally) } else { None };
            };
            state = next;
            if every > 0 && random.below(every) == 0 && state.violated.is_none() {
                let broken = self.converge(&state, tally);
                if broken.is_some() {
                    break broken;
                }
            }
        };
        tally.noted.add(self.memo.noted);
        tally.walked(self.path.len());
        broken.map(|broken| Failure { actions: self.path.clone(), broken })
    }

    /// What happened on the last walk.
    pub(super) fn path(&self) -> &[Action] {
        &self.path
    }

    /// Takes one of the possible actions that changes something.
    fn advance(
        &mut self,
        state: &State<P>,
        random: &mut Random,
        inclination: &Inclination,
        tally: &mut Tally,
    ) -> Option<State<P>> {
        if self.path.len() >= STEPS_MAX {
            tally.cut_short += 1;
            return None;
        }
        self.possible.clear();
        environment::enabled(state, &mut self.possible);
        let mut total: u32 = self.possible.iter().map(|action| inclination.of(*action)).sum();
        while total > 0 {
            #[allow(clippy::cast_possible_truncation)] // it is below a number of so many bits
            let mut at = random.below(u64::from(total)) as u32;
            let chosen = self.possible.iter().position(|action| {
                let weight = inclination.of(*action);
                let is_here = at < weight;
                at = at.wrapping_sub(weight);
                is_here
            });
            let action = self.possible[chosen.expect("the weights add up")];
            let next = environment::step(&mut self.memo, state, action);
            // What changes nothing costs nothing, and could be chosen for ever.
            let may_be_idle = matches!(action, Action::Fire { .. } | Action::Compact { .. });
            if may_be_idle && next.spent == state.spent && next.violated.is_none() {
                total -= inclination.of(action);
                self.possible.swap_remove(chosen.expect("the weights add up"));
                continue;
            }
            tally.actions[action.kind()] += 1;
            self.path.push(action);
            return Some(next);
        }
        None
    }

    fn converge(&mut self, state: &State<P>, tally: &mut Tally) -> Option<Broken> {
        let result = converge::healed(&mut self.memo, state);
        tally.converged(result.as_ref().ok().copied());
        result.err()
    }

    /// Notes what only a whole state shows, until it has been seen.
    fn look(&mut self, state: &State<P>) {
        for witness in self.configuration.shows.iter().copied() {
            if self.memo.noted.has(witness) {
                continue;
            }
            let Some(shows) = Witness::in_state::<P>(witness) else { continue };
            let noted = self.memo.noted;
            let bug = self.memo.bug();
            let is_shown = with_bug(bug, || shows(&mut self.memo, state));
            // What only looking ahead has noted is not reached yet.
            self.memo.noted = noted;
            if is_shown {
                self.memo.noted.note(witness);
            }
        }
    }

    /// Forgets every step if there are many: random walks meet ever new members, so what is remembered would
    /// grow for ever. Returns whether it did.
    pub(super) fn forget_if_full(&mut self) -> bool {
        let is_full = self.memo.sizes().total() > REMEMBERED_MAX;
        if is_full {
            let bug = self.memo.bug();
            *self = with_bug(bug, || Walker::new(self.configuration));
        }
        is_full
    }
}
