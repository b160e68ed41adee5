//! Models of the consensus code that ships, explored by [stateright](https://www.stateright.rs).
//!
//! ```text
//!    configurations          what may happen, how often, and why this world exists
//!          │
//!    environment             links, disks, clients, one timer; the shipped Replica does the rest
//!          │ step
//!        state ── converge   one moment of the cluster; a fair run from it
//!          │
//!      properties            what must hold, what must have been seen
//!          │
//!        model ── check      stateright's Model; exhaust, report, shorten what is found
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
//! **What is explored.** Replicas of [`dkv::replica::Replica`], the value that the server runs, around
//! FIFO links that can be cut and disks whose completions are events. Between two events the code is
//! the shipped code; nothing of the protocol is written down here a second time. Commands are one byte.
//! The cluster is founded as a fixed cluster is: genesis disks, member 0 leads term 1. The only timer is
//! the leader's heartbeat, so the term stays 1.
//!
//! **Bounds are in the state.** How often clients propose, links fail and heartbeats fire is counted
//! in the state and limited by the configuration, never by the checker: a limit on depth would skip
//! states that a shorter path reaches.
//!
//! **Exhausted means expanded.** The model counts the states whose successors were computed. A run is
//! called exhausted only if that is every distinct state; whatever stopped a search early, a limit or
//! the checker's own idea of being done, shows up as truncated.
//!
//! **Nothing holds by default.** A situation that a configuration exists for has a name and must have
//! been met; an exhausted run without it fails as vacuous.
//!
//! **Violations are states.** A step that breaks a property, or panics, leads to a state that says so
//! and has no successors. So properties over steps cost nothing where they hold, and every
//! counterexample is a path that the Explorer can show.
//!
//! **Identity.** A state is compared by a 64-bit fingerprint of all its content, each part of which
//! enters by its own 64-bit hash ([`shared`]). With n distinct states the expected number of pairs that
//! are taken for one is about n²/2⁶⁴: 5·10⁻⁷ for the largest configuration here.
//!
//! **Why the replica and not the bare node.** Both were measured, on the same configurations: the
//! numbers of states and transitions are equal, since what a leader's replica remembers of its clients
//! follows from its log, and the replica costs 20 to 35 % more time (it is larger to copy and to hash).
//! For that, the answers to clients are checked, and what is explored is all that a server decides.
//!
//! Left out of the direct model: elections and every timer but the heartbeat, crashes and restarts, reads, snapshots, changes
//! of members, duplicated and reordered packets, symmetry reduction, memoised steps. In one term
//! `election_safety`, `leader_completeness`, `term_monotonic` and `vote_stability` are judged and cannot
//! fail; they are here so that the worlds that can break them need no new definitions.

pub mod actors;
pub mod bugs;
pub mod check;
pub mod configurations;
pub mod converge;
pub mod environment;
pub mod exhaust;
pub mod layers;
pub mod model;
pub mod properties;
pub mod refinement;
pub mod shared;
pub mod spec;
pub mod state;
mod text;
