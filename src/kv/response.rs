//! What the state machine answers. Every answer is a function of the log: it is the same on every
//! replica, so refusals are answers too and are replicated like any other. What is not a function of
//! the log, such as a failing disk, is an [`EngineError`](super::EngineError) and never found here.

use alloc::vec::Vec;
use core::fmt;

use super::command::{ClientId, LeaseId, Revision};
use super::key::Key;
use crate::raft::types::Bytes;

/// A key as the store holds it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Record {
    /// The value.
    pub value: Bytes,
    /// The revision at which the key came into being; a new one after it was deleted.
    pub create_revision: Revision,
    /// The revision of the last put.
    pub mod_revision: Revision,
    /// How often the key was put since it came into being, from 1.
    pub version: u64,
    /// The lease it is attached to.
    pub lease: LeaseId,
}

impl Record {
    /// The record of a key that comes into being at `revision`.
    #[must_use]
    pub fn created(value: Bytes, lease: LeaseId, revision: Revision) -> Record {
        Record { value, create_revision: revision, mod_revision: revision, version: 1, lease }
    }

    /// Puts the key again, at `revision`.
    pub fn put(&mut self, value: Bytes, lease: LeaseId, revision: Revision) {
        assert!(self.mod_revision <= revision, "{revision:?} is before {:?}", self.mod_revision);
        self.value = value;
        self.mod_revision = revision;
        self.version += 1;
        self.lease = lease;
    }
}

/// A key with its record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyValue {
    /// The key.
    pub key: Key,
    /// All that is stored under it.
    pub record: Record,
}

/// The answer to a command.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Response {
    /// The revision of the store after the command: that of its own change if it changed something.
    pub revision: Revision,
    /// What happened.
    pub outcome: Outcome,
}

/// What a command did.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Nothing, as asked.
    NoOp,
    /// A key was set.
    Put(PutOutcome),
    /// Keys were removed, maybe none.
    Deleted(DeleteOutcome),
    /// A transaction ran. A failed compare is found here, as `succeeded: false`.
    Txn(TxnOutcome),
    /// A session was opened.
    SessionOpened {
        /// Its name: the index of the entry.
        client: ClientId,
    },
    /// The session was ended.
    SessionClosed,
    /// The command was not carried out and no key changed.
    Refused(Refusal),
}

/// What a put found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PutOutcome {
    /// The key as it was, if that was asked for and it existed.
    pub prev_kv: Option<KeyValue>,
}

/// What a delete removed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct DeleteOutcome {
    /// How many keys were removed.
    pub deleted: u64,
    /// The keys as they were, ascending, if that was asked for.
    pub prev_kvs: Vec<KeyValue>,
}

/// What a read found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RangeOutcome {
    /// The keys, ascending, up to the limit; none if only the count was asked for.
    pub kvs: Vec<KeyValue>,
    /// Whether the limit left keys out.
    pub more: bool,
    /// How many keys the range holds, whatever the limit.
    pub count: u64,
}

/// What a transaction did. `O` mirrors the request: [`TxnOpOutcome`], or [`SimpleOutcome`] for a
/// nested one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TxnOutcome<O = TxnOpOutcome> {
    /// Whether every compare held, so that `then` was done and not `otherwise`.
    pub succeeded: bool,
    /// One outcome per step of the list that was done, in order.
    pub outcomes: Vec<O>,
}

/// What a step of a transaction did.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TxnOpOutcome {
    /// The outcome of a simple step.
    Simple(SimpleOutcome),
    /// The outcome of a nested transaction.
    Txn(TxnOutcome<SimpleOutcome>),
}

/// What a step of a transaction that touches keys did.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SimpleOutcome {
    /// The outcome of a read.
    Range(RangeOutcome),
    /// The outcome of a put.
    Put(PutOutcome),
    /// The outcome of a delete.
    Deleted(DeleteOutcome),
}

/// Why a command was not carried out. Decided before the first change and from the log alone, so it
/// is the same everywhere, and nothing but the position of the store and its sessions has moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// A transaction puts a key twice, or puts a key that it also deletes.
    DuplicateKey,
    /// A transaction has more compares or steps than [`TXN_OPS_MAX`](super::TXN_OPS_MAX).
    TooManyOperations,
    /// A put keeps the value or the lease of a key that does not exist.
    KeyNotFound,
    /// A put keeps the value and also brings one.
    ValueProvided,
    /// A put keeps the lease and also brings one.
    LeaseProvided,
    /// There is no such session: never opened, closed, or unused for too long. Whether an earlier
    /// attempt at the same request took effect is then unknown.
    SessionExpired,
    /// The session has answered a later request, so the client has given this one up.
    SequenceTooOld,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::DuplicateKey => "duplicate key in transaction",
            Refusal::TooManyOperations => "too many operations in transaction",
            Refusal::KeyNotFound => "key not found",
            Refusal::ValueProvided => "value is provided although it is to be kept",
            Refusal::LeaseProvided => "lease is provided although it is to be kept",
            Refusal::SessionExpired => "session expired",
            Refusal::SequenceTooOld => "request is older than the last answered one of its session",
        })
    }
}

impl core::error::Error for Refusal {}
