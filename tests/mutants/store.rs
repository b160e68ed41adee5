//! What mutants of the store are tried with first: the store, its bytes, and their unit tests, without anything that
//! replicates it. It builds in half the time of the program beside this, which takes what it leaves.
//!
//! Left out: whatever needs a cluster.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    unused_imports,
    reason = "each is checked where it belongs"
)]

extern crate alloc;
extern crate self as dkv;

#[path = "../../src/codec/mod.rs"]
pub mod codec;
#[path = "../../src/kv/mod.rs"]
pub mod kv;
#[path = "../../src/raft/mod.rs"]
pub mod raft;
#[path = "../../src/replica/mod.rs"]
pub mod replica;

#[path = "../it/cases.rs"]
mod cases;
#[path = "../it/store_values.rs"]
mod store_values;
#[path = "../it/tree.rs"]
mod tree;
