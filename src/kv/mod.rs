//! The state machine that the log replicates: a key-value store with transactions and sessions.
//!
//! # A function of the log
//!
//! [`Store`] applies committed entries in order and returns a [`Response`] to each command. Replicas
//! that applied the same entries are equal values and gave equal responses; nothing else, no clock
//! and no chance, has a say. It follows that a command that cannot be carried out is answered with a
//! [`Refusal`], which is replicated like any answer, while an [`EngineError`], which one replica may
//! have and another not, is never an answer and stops the node.
//!
//! # Revisions
//!
//! The store starts at revision 1 and moves to the next with every command that changed a key, so the
//! first change has revision 2. All changes of one command share a revision. What changes nothing (a
//! read, a delete of missing keys, a transaction whose taken branch writes nothing, a refused
//! command, anything about sessions) has none. A put of the value that is already there is a change.
//!
//! Every key carries the revision that created it, the revision of its last put, the number of puts
//! since it was created, and its lease. Delete and put again, and it counts from 1 anew.
//!
//! # Transactions
//!
//! A [`Txn`] compares and then does one of two lists, as a whole or not at all. All compares, those of
//! nested transactions too, see the state before the transaction. Steps see the steps before them. No
//! list may put a key twice or put a key that it deletes; that is checked over both lists, whichever
//! is taken. A failed compare is an outcome and not an error. Transactions nest once, by type.
//!
//! # Sessions
//!
//! A client whose request is not answered cannot know whether it took effect, and asks again. Under a
//! session (dissertation §6.3) the second attempt is answered from memory and not carried out. A
//! client opens a session, which is named after the log index of that entry, and tags each request
//! with a number larger than all before; it has one request outstanding at a time. The store keeps the
//! last number and its answer:
//!
//! | number | answer |
//! |---|---|
//! | larger than the last | carried out, answer kept |
//! | the last again | the kept answer; nothing is carried out |
//! | smaller | [`Refusal::SequenceTooOld`] |
//! | any, session unknown | [`Refusal::SessionExpired`]; nothing is carried out |
//!
//! A session expires when no entry named it for more than [`Sessions::ttl_entries`] entries. Sessions
//! are part of the state and of every snapshot, and never have a revision.
//!
//! # Where things are
//!
//! `command`, `key` and `response` are the vocabulary, `store` applies, `check` finds malformed requests,
//! `txn` evaluates without writing, `session` is the table, `engine` keeps the keys, in memory in the ordered
//! map of `tree`, `rules` holds the decisions that a checker may take away one at a time. The bytes of it all are in [`codec::kv`](crate::codec::kv).
//!
//! # Invariants
//!
//! * The position moves by exactly one entry; changes, sessions and position move in one batch.
//! * A key's create revision ≤ its mod revision ≤ the store's revision, and its version ≥ 1.
//! * A session was last used at or before the applied entry, and never so long ago that it expired.
//! * A refused command changes nothing but the position and the use of its session.
//! * `restore(snapshot())` is the identity.
//!
//! # What this leaves out
//!
//! Reads at earlier revisions, compaction of history and watches: only the latest record of a key is
//! kept. Leases exist as numbers attached to keys; granting, renewal and expiry do not. Limits on the
//! size of keys, values and requests, and etcd's rule that a key is not empty, belong to whoever
//! accepts requests. Sorting and filtering of reads by revision is left to the API. A read counts its
//! whole range, and a snapshot is built in memory at once; engines with cheaper counts and streams
//! come later. The number of sessions is bounded only by their time to live.

mod check;
mod command;
mod engine;
#[cfg(test)]
pub(crate) mod fixture;
mod key;
mod response;
mod rules;
mod session;
mod store;
mod tree;
mod txn;

pub use check::TXN_OPS_MAX;
pub use command::{
    Blob, ClientId, Command, Compare, Delete, KeyRange, LeaseId, Op, Part, Put, Range, Relation, Revision,
    SessionTag, SimpleOp, Target, Txn, TxnOp,
};
pub use engine::{BTreeEngine, Batch, Change, Engine, EngineError, Position, Snapshot, View};
pub use key::Key;
pub use response::{
    DeleteOutcome, KeyValue, Outcome, PutOutcome, RangeOutcome, Record, Refusal, Response, SimpleOutcome,
    TxnOpOutcome, TxnOutcome,
};
pub use rules::{Rules, Shipped, Verdict};
pub use session::{Answer, Session, SessionChange, Sessions};
pub use store::{SESSION_TTL_ENTRIES, Store};
pub use tree::Tree;
