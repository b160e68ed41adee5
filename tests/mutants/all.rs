//! What every mutant of `src/raft`, `src/replica` and `src/kv` is tried with: the core and its quick tests as one
//! program.
//!
//! A mutant costs a build and a run, and there are fifteen hundred. Here the core is not a dependency of its
//! tests but the same crate, which the compiler builds anew by what changed; and nothing is here that is slow to
//! build, no models and no command. The unit tests of the core are in it, the sentences of the paper, the
//! scenarios with their goldens, the exams; and with the feature `thorough`, for what these do not notice, quorums
//! against brute force, the abstract reference, and simulated worlds. `stages` runs them, `run` tries the
//! mutants, and `docs/verification.md` says what became of them and why the rest cannot be told from the original.
//!
//! Left out, for time: the models, and tests of what is not mutated.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    unused_imports,
    reason = "each is checked where it belongs"
)]

extern crate alloc;
extern crate self as dkv;

#[path = "../../src/cluster/mod.rs"]
pub mod cluster;
#[path = "../../src/codec/mod.rs"]
pub mod codec;
#[path = "../../src/kv/mod.rs"]
pub mod kv;
#[path = "../../src/raft/mod.rs"]
pub mod raft;
#[path = "../../src/replica/mod.rs"]
pub mod replica;
#[cfg(feature = "thorough")]
#[path = "../../src/sim/mod.rs"]
pub mod sim;

#[path = "../it/cases.rs"]
mod cases;
#[path = "../it/scenarios/catalogue.rs"]
mod catalogue;
#[path = "../it/formats.rs"]
mod formats;
#[path = "../it/invariants.rs"]
mod invariants;
#[path = "../it/memory.rs"]
mod memory;
#[path = "../it/paper/mod.rs"]
mod paper;
#[cfg(feature = "thorough")]
#[path = "../it/quorum.rs"]
mod quorum;
#[cfg(feature = "thorough")]
#[path = "../it/reference/mod.rs"]
mod reference;
#[cfg(feature = "thorough")]
#[path = "../it/regressions.rs"]
mod regressions;
#[path = "../it/replica.rs"]
mod replica_promises;
#[path = "../it/store_values.rs"]
mod store_values;
#[cfg(feature = "thorough")]
#[path = "../it/tree.rs"]
mod tree;
#[path = "../it/values.rs"]
mod values;
#[cfg(feature = "thorough")]
mod worlds;
