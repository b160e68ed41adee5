//! Raft as a pure value.
//!
//! The protocol is that of Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm"
//! (cited as §n or Figure n) and of Ongaro's dissertation (cited as such). A [`Node`] is plain data with
//! one mutator:
//!
//! ```text
//!                    ┌────────────────────── Node ──────────────────────┐
//!   Input ── step ─► │ term, vote · log · durability · role · leader    │ ─► Ready
//!                    └──────────────────────────────────────────────────┘
//!   message, timeout, receipt,                        write, messages, snapshot work,
//!   proposal, read, applied, …                        committed range, answers, timers
//! ```
//!
//! It has no clock, thread, socket, disk or generator: the environment brings messages and the firing of
//! timers, and carries out what [`Ready`] asks for, field by field in order. So the same code runs in
//! production, in a simulated cluster, and under an exhaustive model checker.
//!
//! # Durability
//!
//! What must be on disk goes into one [`Write`], one atomic record. The node queues the messages that
//! depend on it and lets them go when the receipt comes back as an input, so that sending before syncing
//! cannot be written by accident. Receipts retire writes by count, oldest first, and never name an index:
//! after a truncation two outstanding writes may hold different entries for one index. The leader
//! replicates while it syncs and counts itself from its receipt only. See [`durable`].
//!
//! # Elections
//!
//! An [`Election`](Timer::Election) timeout starts a pre-vote, which disturbs nobody; with a quorum of
//! promises the node campaigns in the next term. While the leader is fresh, votes are refused; a leader
//! that no quorum answered for T steps down. A transferred leadership skips the pre-vote. See
//! `node/election.rs`.
//!
//! # Replication
//!
//! A leader probes a follower with one append at a time until the logs agree, then pipelines within
//! limits, and falls back to probing when an append is refused; a refusal names a whole conflicting term.
//! Entries of earlier terms are committed by the no-op that every elected leader appends. The founding
//! leader of a fixed cluster needs none, because nothing can be committed that it lacks; it appends one
//! only when a read or a change of members comes first. See `node/replication.rs`, `node/follower.rs`.
//!
//! # Reads, membership, snapshots
//!
//! Reads are confirmed in rounds of heartbeats (`node/read.rs`). Changes of voters go through joint
//! consensus, which the leader leaves by itself; learners receive the log and do not count
//! (`node/membership.rs`). A follower behind the compaction point receives the snapshot in chunks; the
//! node knows only its metadata (`node/snapshot.rs`).
//!
//! # Rules and invariants
//!
//! Every safety decision is a function of the [`Rules`] trait with its source ([`rules`]); [`Raft`] is
//! their one production implementation. What must hold has one name and one definition in [`invariants`].
//! A node checks itself after every step, in release builds too.
//!
//! # What is left out
//!
//! Lease reads (confirmed rounds are reported, so they can be added), single-step membership changes,
//! witnesses, batching of proposals over time (a proposal may carry several commands), priorities among
//! candidates, and protection against members that lie. No decision breaks a tie by node id, so that
//! states that differ by a renaming behave alike.

mod display;
pub mod durable;
pub mod invariants;
pub mod log;
pub mod message;
pub mod node;
pub mod progress;
pub mod quorum;
pub mod ready;
pub mod rules;
pub mod types;

pub use durable::{Durable, Purge, Write};
pub use invariants::{Invariant, Violation, Vitals};
pub use message::{Envelope, Message, MessageKind};
pub use node::{Node, Role};
pub use ready::{
    Accepted, Committed, Input, Leadership, Limits, MemberChange, Ready, Refusal, Timer, TimerSet,
};
pub use rules::{Raft, Rules};
pub use types::{
    Bytes, Command, Configuration, Entry, EntryId, HardState, Index, NodeId, Payload, RequestId,
    SnapshotMeta, Term,
};
