//! Models of the consensus code that ships, explored by [stateright](https://www.stateright.rs).
//!
//! ```text
//!    configurations          what may happen, how often, and why this world exists
//!          │
//!    environment             links, clients, operators, timers, power: one action at a time
//!          │ step
//!        memo ───── local    every distinct step once; the shipped Replica and its executor run in local
//!          │
//!        state ── converge   one moment of the cluster; a fair run from it
//!          │
//!      properties ─ oracle   what must hold of the cluster, and of what clients are told
//!      witnesses             what must have been seen
//!          │
//!        model ── check      stateright's Model; exhaust, report, shorten what is found
//!          └── simulate        the same steps at random, for what is too large to be exhausted
//! ```
//!
//! **Three models.** That is the *direct model*, the fast and complete one. Above it are two others, each checked
//! against the next:
//!
//! ```text
//!        spec ── spec::explore   the abstract cluster, no line of the shipped code; exhausted by itself
//!          ▲ every step is a step of it, or none                     refinement
//!       actors                   the shipped Replica as stateright actors; two terms, a million states
//!          ║ the same states                                         tests/refinement
//!        model                   the direct model
//! ```
//!
//! [`refinement`] also follows simulated clusters, step by step. [`layers`] names the bounds, [`exhaust`] runs them.
//!
//! **What is explored.** [`dkv::cluster::Member`], which is the replica that the server runs, the store that
//! ships, a disk whose unsynced writes a crash can lose, and the executor between them. Around it are links
//! that can be cut, or that double, lose and reorder. Between two events the code is the shipped code;
//! nothing of the protocol is written down here a second time. Commands are one byte each and stand for
//! commands of the store ([`letters`]). The cluster is founded as a fixed cluster is: genesis disks, member
//! 0 leads term 1. A timer that is set may fire at any moment.
//!
//! **Bounds are in the state.** How often clients propose, links fail, timers fire and members crash is
//! counted in the state and limited by the configuration ([`budgets`]), never by the checker: a limit on
//! depth would skip states that a shorter path reaches. What changes nothing costs nothing.
//!
//! **Exhausted means expanded.** The model counts the states whose successors were computed. A run is
//! called exhausted only if that is every distinct state; whatever stopped a search early, a limit or
//! the checker's own idea of being done, shows up as truncated. Successors that the checker was shown a moment
//! ago are not shown again (`recent`), and counted all the same.
//!
//! **Nothing holds by default.** A situation that a configuration exists for has a name and must have
//! been met; an exhausted run without it fails as vacuous.
//!
//! **Violations are states.** A step that breaks a property, or panics, leads to a state that says so
//! and has no successors. So properties over steps cost nothing where they hold, and every
//! counterexample is a path that the Explorer can show.
//!
//! **Identity.** A state is compared by a 64-bit fingerprint of all its content, each part of which
//! enters by its own 64-bit hash ([`interned`]). With n distinct states the expected number of pairs that
//! are taken for one is about n²/2⁶⁴: 10⁻⁵ for ten million. What is left out as just shown is told by another 64 bits,
//! compared with one state each time. A member that is down is its disk and nothing else.
//!
//! **Every distinct step once.** What a replica does depends on the replica and its input, and millions of
//! states are made of some hundred replicas. So steps and verdicts are remembered ([`memo`]), exactly and
//! never across bugs, and a test explores without that and compares.
//!
//! **Up to renaming.** After a cold start all members are equal; configurations that say so are explored up to
//! [`symmetry`], which each run shows for its own steps.
//!
//! **Why the replica and not the bare node.** The numbers of states and transitions are equal, since what a
//! leader's replica remembers of its clients follows from its log. So the answers to clients are
//! checked, and what is explored is all that a server decides.
//!
//! Left out: more than four members but in random walks ([`simulate`]); faults of disks beyond the loss of what was
//! not synced; single-step changes of members (the core has none); an executor that takes its time, for here entries are
//! applied, and a snapshot is taken, installed and loaded, within the step that asks for it. A bug in what nothing
//! here has is found by tests or not at all.

pub mod actions;
pub mod actors;
pub mod budgets;
pub mod bugs;
pub mod ceiling;
pub mod check;
pub mod configurations;
pub mod converge;
mod diagram;
pub mod environment;
pub mod exhaust;
pub mod explorer;
pub mod guard;
pub mod history;
pub mod hunt;
pub mod interned;
pub mod layers;
pub mod letters;
pub mod local;
mod meaning;
pub mod memo;
pub mod model;
mod oracle;
pub mod progress;
pub mod properties;
mod recent;
pub mod refinement;
pub mod report;
pub mod requests;
pub mod simulate;
pub mod spec;
pub mod state;
pub mod symmetry;
mod text;
pub mod trace;
pub mod witnesses;
