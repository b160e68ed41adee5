//! dkv: a replicated key-value store whose consensus code is model-checked as it ships.
//!
//! There is one core and there are many executors. The core is [`raft`] (consensus), [`kv`] (the state
//! machine), [`codec`] (their bytes), composed by [`replica`] into one pure value per server; [`cluster`]
//! runs several of them in one deterministic value. Without the `std` feature the crate is `no_std` and
//! holds just these: no clock, thread, socket or dependency is within reach.
//!
//! ```
//! use dkv::cluster::{Cluster, Outcome};
//! use dkv::codec::to_bytes;
//! use dkv::kv::{Command, Op, Put, Store};
//! use dkv::raft::{Bytes, NodeId};
//!
//! let mut cluster = Cluster::<Store>::new(3);
//! cluster.partition([NodeId(2)]);
//! let put = Command::new(Op::Put(Put::new("a", "1")));
//! let request = cluster.propose(Bytes::from(to_bytes(&put)));
//! assert!(matches!(cluster.outcome(request), Some(Outcome::Applied { .. })));
//! cluster.heal();
//! assert!(cluster.check_convergence().is_ok());
//! ```
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

#[cfg(feature = "std")]
pub mod cli;
pub mod cluster;
pub mod codec;
pub mod kv;
pub mod raft;
pub mod replica;
pub mod sim;
