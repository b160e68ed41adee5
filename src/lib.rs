//! dkv: a replicated key-value store whose consensus code is model-checked as it ships.
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

#[cfg(feature = "std")]
pub mod cli;
pub mod cluster;
pub mod codec;
pub mod kv;
pub mod raft;
pub mod replica;
