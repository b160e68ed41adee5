//! The models above the direct one, by name: the abstract cluster, and the actor model that refines it.
//!
//! They are exhausted and reported as the [configurations](crate::configurations) of the direct model are.
//!
//! Left out: looking around in them. The Explorer shows the direct model.

use std::num::NonZeroUsize;

use dkv::raft::{Limits, Raft, Timer};

use crate::actors::{Actors, Budgets};
use crate::check::{Report, Verdict};
use crate::configurations::Set;
use crate::exhaust::watched;
use crate::progress::Watch;
use crate::spec::explore::Bounds;

/// A named and bounded model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Its name.
    pub name: &'static str,
    /// Why it exists.
    pub reason: &'static str,
    /// The smallest set that it is in.
    pub set: Set,
    /// How many distinct states and transitions it has. Others show that the code or the model has changed.
    pub frozen: (usize, usize),
    bounds: Bound,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    /// So many replicas and values.
    Abstract(usize, u8),
    /// So many proposals, partitions, elections, heartbeats, of three members.
    Actors(u8, u8, u8, u8),
}

/// Every layer.
pub const ALL: [Layer; 5] = [
    Layer {
        name: "abstract-quick",
        reason: "the abstract cluster by itself, with two values",
        set: Set::Quick,
        frozen: (4_470, 75_816),
        bounds: Bound::Abstract(3, 2),
    },
    Layer {
        name: "abstract",
        reason: "the abstract cluster by itself: what it allows is safe and converges",
        set: Set::Ci,
        frozen: (181_730, 6_915_286),
        bounds: Bound::Abstract(3, 3),
    },
    Layer {
        name: "actors-quick",
        reason: "the actor model, with one partition and no heartbeat",
        set: Set::Quick,
        frozen: (31_827, 90_817),
        bounds: Bound::Actors(1, 1, 1, 0),
    },
    Layer {
        name: "actors",
        reason: "propose, partition and heal over two terms: every step is one of the abstract cluster",
        set: Set::Ci,
        frozen: (1_426_906, 6_711_187),
        bounds: Bound::Actors(1, 3, 1, 1),
    },
    Layer {
        name: "actors-long",
        reason: "the actor model, with more heartbeats",
        set: Set::Deep,
        frozen: (5_458_051, 24_471_248),
        bounds: Bound::Actors(1, 1, 1, 2),
    },
];

/// The layer of a name.
#[must_use]
pub fn named(name: &str) -> Option<Layer> {
    ALL.into_iter().find(|layer| layer.name == name)
}

/// Budgets of the actor model. To be elected takes an election timeout and somebody whose leader is not fresh.
#[must_use]
pub fn budgets(proposals: u8, partitions: u8, elections: u8, heartbeats: u8) -> Budgets {
    let mut timers = [0; Timer::ALL.len()];
    timers[Timer::Election as usize] = elections;
    timers[Timer::LeaderFresh as usize] = elections;
    timers[Timer::Heartbeat as usize] = heartbeats;
    Budgets { proposals, partitions, timers }
}

impl Layer {
    /// Visits every reachable state. `states_max` bounds the states that are generated, as for
    /// [`check`](crate::check::check). An exhausted run with other than the frozen counts fails.
    #[must_use]
    pub fn check(&self, states_max: Option<NonZeroUsize>, watch: &Watch) -> Report {
        let mut report = self.exhaust(states_max, watch);
        let counts = (report.distinct_states, report.transitions);
        if report.verdict == Verdict::Holds && counts != self.frozen {
            report.verdict = Verdict::Changed { pinned: self.frozen };
        }
        report
    }

    fn exhaust(&self, states_max: Option<NonZeroUsize>, watch: &Watch) -> Report {
        let (name, expected) = (self.name, Some(self.frozen.0));
        match self.bounds {
            Bound::Abstract(replicas, values) => {
                watched(name, expected, states_max, watch, || Bounds::new(replicas, values))
            }
            Bound::Actors(proposals, partitions, elections, heartbeats) => {
                let budgets = budgets(proposals, partitions, elections, heartbeats);
                watched(name, expected, states_max, watch, || {
                    Actors::<Raft>::new(3, Limits::default(), budgets.clone())
                })
            }
        }
    }
}
