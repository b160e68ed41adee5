//! Whether what clients saw could have been seen of one store that does one thing at a time.
//!
//! A history records what clients asked, when, and what they were told. It is linearizable (Herlihy and
//! Wing, "Linearizability: a correctness condition for concurrent objects", 1990) if every operation can be
//! given a moment between its call and its return at which it took effect as a whole. Two checks look for
//! proof that it is not, each where it is strong:
//!
//! - [`check_values`] searches for an order, key by key, that explains the values ([`wgl`]: Wing and Gong,
//!   1993, with Lowe's memo, 2017). It knows nothing of revisions and believes none. *Complete* for
//!   operations about one key, as long as its budget lasts; for operations about several keys it is only
//!   necessary that it finds nothing.
//! - [`check_revisions`] takes the revisions at their word: every change has its own, so the order of
//!   changes is known, and all that was seen is compared with the fold of the changes up to it, over all
//!   keys together, in O(n log n). *Complete* if every outcome is known; with unknown outcomes it is only
//!   necessary, by a little, that it finds nothing (the module `revisions` says what slips through).
//!
//! Neither ever convicts a history that is linearizable. [`check`] is both.
//!
//! # Unknown outcomes
//!
//! An operation whose client gave up, or is still waiting, may take effect at any time after it was
//! invoked, or never; the record of it says nothing. A request that is repeated by its client under a
//! session is one operation: if it takes effect twice, that is a violation.
//!
//! # Segments
//!
//! A long history is checked in segments. Each begins with the [`Start`]: what the store held, and its
//! revision, at a moment when no operation was in flight. An operation of unknown outcome from an earlier
//! segment that may yet take effect is part of the later one too, under its old call time.
//!
//! # What this leaves out
//!
//! Ranges, leases, watches and reads of earlier revisions are not in the vocabulary of
//! [`history`](super::history). That something happens at all, and in time, is not a matter of
//! linearizability.

mod form;
mod register;
mod revisions;
mod timeline;
pub mod wgl;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::history::{Found, Operation};
use crate::raft::Bytes;
use register::{KeyHistory, Register};
use wgl::{Outcome, Stuck};

/// What the store held before the first operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// Its revision; no revision in `keys` is larger.
    pub revision: u64,
    /// Its keys.
    pub keys: BTreeMap<Bytes, Found>,
}

/// The store that never changed.
impl Default for Start {
    fn default() -> Start {
        Start { revision: crate::kv::Revision::FIRST.0, keys: BTreeMap::new() }
    }
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// Nothing is wrong, as far as the check can see.
    NoViolation {
        /// How often the search tried an operation in a state.
        steps: u64,
    },
    /// The history is not linearizable, or not a history.
    Violation(Violation),
    /// The search for an order of one key spent its budget, and nothing else was found. This is not a
    /// success: nobody knows whether the history is linearizable.
    Undecided {
        /// The first such key.
        key: Bytes,
        /// How often the search tried an operation in a state, over all keys.
        steps: u64,
    },
}

/// Proof that a history is not linearizable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which operations show it, as positions in the history.
    pub operations: Vec<usize>,
    /// What is wrong, followed by those operations on a line each.
    pub detail: String,
}

impl Violation {
    fn new(history: &[Operation], operations: impl IntoIterator<Item = usize>, what: &str) -> Violation {
        let mut of: Vec<usize> = operations.into_iter().collect();
        of.sort_unstable();
        of.dedup();
        let lines = of.iter().map(|at| format!("\n  #{at} {}", history[*at]));
        let detail = lines.fold(String::from(what), |detail, line| detail + &line);
        Violation { operations: of, detail }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

/// Both checks. The search takes at most `steps_max` steps for each key. One that goes straight ahead takes a
/// little more than one for each operation, and some more for those of unknown outcome; a step remembers
/// about a hundred bytes, so that the bound is one of memory too.
pub fn check(history: &[Operation], start: &Start, steps_max: u64) -> Verdict {
    match form::check(history).and_then(|()| revisions::check(history, start)) {
        Ok(()) => search_keys(history, start, steps_max),
        Err(violation) => Verdict::Violation(violation),
    }
}

/// Whether the revisions that clients saw fit together; the module `revisions` says how that is judged.
///
/// # Errors
///
/// What does not fit.
pub fn check_revisions(history: &[Operation], start: &Start) -> Result<(), Violation> {
    form::check(history).and_then(|()| revisions::check(history, start))
}

/// Whether the values that clients saw can be explained key by key, in at most `steps_max` steps for each.
pub fn check_values(history: &[Operation], start: &Start, steps_max: u64) -> Verdict {
    match form::check(history) {
        Ok(()) => search_keys(history, start, steps_max),
        Err(violation) => Verdict::Violation(violation),
    }
}

fn search_keys(history: &[Operation], start: &Start, steps_max: u64) -> Verdict {
    let mut touching: BTreeMap<&Bytes, Vec<usize>> = BTreeMap::new();
    for (at, operation) in history.iter().enumerate() {
        for key in operation.call.keys() {
            let of_key = touching.entry(key).or_default();
            if of_key.last() != Some(&at) {
                of_key.push(at);
            }
        }
    }
    let mut steps = 0;
    let mut undecided = None;
    for (key, touching) in touching {
        let first = start.keys.get(key).map(|found| &found.value);
        let of_key = KeyHistory::new(history, &touching, key, first);
        let search = wgl::search(&Register, of_key.start, &of_key.accesses, steps_max);
        steps += search.steps;
        match search.outcome {
            Outcome::Linearizable => {}
            Outcome::NotLinearizable(stuck) => {
                return Verdict::Violation(explain(history, key, &of_key, &stuck));
            }
            Outcome::Undecided => undecided = undecided.or(Some(key)),
        }
    }
    match undecided {
        Some(key) => Verdict::Undecided { key: key.clone(), steps },
        None => Verdict::NoViolation { steps },
    }
}

fn explain(
    history: &[Operation],
    key: &Bytes,
    of_key: &KeyHistory<'_>,
    stuck: &Stuck<register::State>,
) -> Violation {
    let Stuck { linearized, last, state, next } = stuck;
    let origins = |at: &[usize]| -> Vec<usize> { at.iter().map(|at| of_key.origins[*at]).collect() };
    let (last, next) = (origins(last), origins(next));
    let state = match (state, of_key.value(*state)) {
        (None, _) => String::from("nothing"),
        (Some(_), Some(value)) => format!("{value:?}"),
        (Some(_), None) => String::from("a value that nobody saw"),
    };
    let what = format!(
        "no order of the operations on {key:?} explains their values: at most {linearized} can be put in \
         one, the last of them {last:?}, which leaves {state}; none of {next:?} can come next"
    );
    Violation::new(history, last.iter().chain(&next).copied(), &what)
}
