//! How fast the checker is when there is nothing to compute: the ceiling of every model here.
//!
//! Five counters, any of which may grow. Like the large configurations it has millions of states, five
//! transitions out of each, and nearly every order of two actions leads to the same state; a state is
//! eight bytes and a step is one addition. What is left is the checker: its set of states, which is far
//! larger than a cache and is asked once per transition, and a path for each state. The larger that set, the longer
//! it takes to answer, so there are about as many states as in the largest configuration.
//!
//! Left out: a state of realistic size, so that no model can be expected to reach this.

use std::fmt;
use std::time::Instant;

use stateright::{Checker, Model, Property};

use crate::progress::process_seconds;

const COUNTERS: usize = 5;

/// Counters that grow up to a bound.
struct Counting {
    most: u8,
}

impl Model for Counting {
    type State = [u8; COUNTERS];
    type Action = usize;

    fn init_states(&self) -> Vec<[u8; COUNTERS]> {
        vec![[0; COUNTERS]]
    }

    fn actions(&self, state: &[u8; COUNTERS], actions: &mut Vec<usize>) {
        actions.extend((0..COUNTERS).filter(|at| state[*at] < self.most));
    }

    fn next_state(&self, state: &[u8; COUNTERS], action: usize) -> Option<[u8; COUNTERS]> {
        let mut next = *state;
        next[action] += 1;
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Counting>> {
        // As many as a replication model has.
        vec![
            Property::always("within bounds", |model: &Counting, state| !is_beyond(model, state)),
            Property::sometimes("beyond bounds", is_beyond),
        ]
    }
}

fn is_beyond(model: &Counting, state: &[u8; COUNTERS]) -> bool {
    state.iter().any(|count| *count > model.most)
}

/// How fast that is.
#[derive(Clone, Copy, Debug)]
pub struct Ceiling {
    states: usize,
    transitions: usize,
    seconds: f64,
}

impl Ceiling {
    /// Distinct states per second, on one core.
    #[must_use]
    pub fn speed(&self) -> f64 {
        self.states as f64 / self.seconds.max(1e-9)
    }
}

impl fmt::Display for Ceiling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ceiling { states, transitions, seconds } = self;
        let speed = self.speed();
        write!(
            f,
            "ceiling: {states} distinct states, {transitions} transitions, {seconds:.2} core-s: {speed:.0} states/s"
        )
    }
}

/// Runs it over about so many states, at least three million.
#[must_use]
pub fn measure(states: usize) -> Ceiling {
    const LEAST: f64 = 20.0;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // the conversion saturates
    let most = ((states as f64).powf(1.0 / COUNTERS as f64).max(LEAST).round() - 1.0) as u8;
    let (start, start_core) = (Instant::now(), process_seconds());
    let checker = Counting { most }.checker().threads(1).spawn_dfs().join();
    let seconds = start.elapsed().as_secs_f64();
    let seconds = process_seconds().zip(start_core).map_or(seconds, |(end, start)| end - start);
    Ceiling { states: checker.unique_state_count(), transitions: checker.state_count() - 1, seconds }
}
