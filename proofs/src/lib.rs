//! The protocol, proved: safety for any number of nodes, terms, entries, reads and crashes.
//!
//! What simulation, models and tests show has bounds. Here there are none. `smt/*.spec` says what the core's
//! protocol is, as a transition system in first-order logic, in the words of the project and with the core's
//! function beside every action. This crate turns it into [verification conditions](conditions), shows
//! that they lie in a [decidable fragment](fragment), and has a [solver] refute the negation of each
//! ([`mod@prove`]). That is a proof by induction: what holds initially and is kept by every step holds always.
//!
//! A proof says nothing if its hypotheses contradict each other, or if it would go through whatever the protocol was.
//! So [witnesses](teeth) show that every action can happen in a cluster with two elected leaders and a
//! commit, and [mutants](teeth) that weaken a guard or an update are each refused with a counterexample, in a
//! [`finite`] cluster of three nodes.
//!
//! The encoding follows Padon, Losa, Sagiv and Shoham, "Paxos Made EPR" (OOPSLA 2017), and Taube, Losa,
//! McMillan, Padon, Sagiv, Shoham, Wilcox and Woos, "Modularity for Decidability of Deductive Verification"
//! (PLDI 2018).
//!
//! Left out: membership changes, leadership transfer as such, sessions, liveness; and the tie to the code, which is by
//! name only. What is trusted and assumed is in `README.md`.

pub mod conditions;
pub mod finite;
pub mod fragment;
pub mod hints;
pub mod prove;
pub mod sexpr;
pub mod solver;
mod sorts;
pub mod spec;
pub mod teeth;

use std::path::PathBuf;

/// Where the spec is.
#[must_use]
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("smt")
}

/// The hints' file.
#[must_use]
pub fn hints_file() -> PathBuf {
    folder().join("hints.txt")
}

/// The list of mutants and witnesses.
#[must_use]
pub fn teeth_file() -> PathBuf {
    folder().join("mutants.list")
}
