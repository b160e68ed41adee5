//! A violation in fewer actions: what can be left out of a path is left out (delta debugging; Zeller and
//! Hildebrandt, 2002).
//!
//! What has become impossible without what was left out is skipped. Left out: other ways to the same violation,
//! for which an exhausted configuration is searched breadth first ([`hunt`](crate::hunt)).

use super::walk::Failure;
use crate::actions::Action;
use crate::bugs::with_bug;
use crate::configurations::Configuration;
use crate::converge;
use crate::environment;
use crate::letters::Subject;
use crate::memo::{Memo, Stepping};
use crate::properties::Broken;

/// Paths that are played to shorten one.
const TRIES_MAX: usize = 5_000;

struct Shortening<P: Subject> {
    configuration: &'static Configuration,
    memo: Memo<P>,
    /// Whether it is the run on from the last state that breaks it, and not the last action.
    is_of_the_future: bool,
    property: &'static str,
    tries: usize,
}

impl<P: Subject> Shortening<P> {
    /// Plays what is possible of a path. Returns what that was, if it breaks the same property.
    fn play(&mut self, actions: &[Action]) -> Option<Failure> {
        self.tries += 1;
        let memo = &mut self.memo;
        let mut state = with_bug(memo.bug(), || environment::found(memo, self.configuration));
        let (mut played, mut possible) = (Vec::new(), Vec::new());
        for action in actions {
            if state.violated.is_some() {
                break;
            }
            possible.clear();
            environment::enabled(&state, &mut possible);
            if possible.contains(action) {
                state = environment::step(memo, &state, *action);
                played.push(*action);
            }
        }
        let broken = match &state.violated {
            Some(broken) => Some(Broken::clone(broken)),
            None if self.is_of_the_future => converge::healed(memo, &state).err(),
            None => None,
        };
        let broken = broken.filter(|broken| broken.property == self.property)?;
        Some(Failure { actions: played, broken })
    }
}

/// The shortest path that leaving out makes of one that breaks a property. It breaks the same.
pub(super) fn shorten<P: Subject>(configuration: &'static Configuration, failure: Failure) -> Failure {
    let mut shortening = Shortening::<P> {
        configuration,
        memo: Memo::new(Stepping::Memoised),
        is_of_the_future: false,
        property: failure.broken.property,
        tries: 0,
    };
    shortening.is_of_the_future = shortening.play(&failure.actions).is_none();
    let mut best = failure;
    let mut chunk = best.actions.len().div_ceil(2);
    while chunk > 0 && shortening.tries < TRIES_MAX {
        let (mut at, mut is_shorter) = (0, false);
        while at < best.actions.len() && shortening.tries < TRIES_MAX {
            let end = (at + chunk).min(best.actions.len());
            let rest = [&best.actions[..at], &best.actions[end..]].concat();
            match shortening.play(&rest) {
                Some(shorter) => (best, is_shorter) = (shorter, true),
                None => at = end,
            }
        }
        // Whatever is left depends on each other, until something alone can go.
        if !is_shorter || chunk > 1 {
            chunk /= 2;
        }
    }
    best
}
