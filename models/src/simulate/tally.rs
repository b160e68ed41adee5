//! What walks add up to.

use crate::actions::Action;
use crate::witnesses::Noted;

/// What was counted on some walks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Walks that were made to their end.
    pub walks: u64,
    /// Actions that were taken, on all of them.
    pub steps: u64,
    /// Steps of the longest.
    pub depth: usize,
    /// Walks that were ended with something left to happen.
    pub cut_short: u64,
    /// How often each kind of action was taken, in the order of [`Action::KINDS`].
    pub actions: [u64; Action::KINDS.len()],
    /// Fair runs to judge convergence.
    pub convergence_runs: u64,
    /// The most rounds that one of them took.
    pub convergence_rounds: u32,
    /// What they have shown.
    pub noted: Noted,
}

impl Tally {
    pub(super) fn walked(&mut self, steps: usize) {
        self.walks += 1;
        self.steps += steps as u64;
        self.depth = self.depth.max(steps);
    }

    pub(super) fn converged(&mut self, rounds: Option<u32>) {
        self.convergence_runs += 1;
        self.convergence_rounds = self.convergence_rounds.max(rounds.unwrap_or(0));
    }

    pub(super) fn add(&mut self, other: &Tally) {
        self.walks += other.walks;
        self.steps += other.steps;
        self.depth = self.depth.max(other.depth);
        self.cut_short += other.cut_short;
        self.actions.iter_mut().zip(other.actions).for_each(|(sum, count)| *sum += count);
        self.convergence_runs += other.convergence_runs;
        self.convergence_rounds = self.convergence_rounds.max(other.convergence_rounds);
        self.noted.add(other.noted);
    }
}
