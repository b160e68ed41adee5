//! What clients asked and what they were told, in the order in which they saw it.

use alloc::vec::Vec;

use crate::raft::Bytes;

/// One operation of a client. Clients have one operation outstanding at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// What was asked.
    pub call: Call,
    /// When, as a number of the history: no two calls or returns share one.
    pub invoked: u64,
    /// When the client was answered and how; nothing if it never learned the outcome. The operation may
    /// then have taken effect at any time after it was invoked, or never.
    pub returned: Option<(u64, Return)>,
}

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// A linearizable read of all of these keys at one moment.
    Read(Vec<Bytes>),
    /// If every key of `compares` has the given value (none: does not exist), do `then`, else `otherwise`.
    /// Atomic; no key is written twice in a list. A plain put has no compares.
    Write {
        /// What must hold.
        compares: Vec<(Bytes, Option<Bytes>)>,
        /// Done in order if all compares hold.
        then: Vec<Step>,
        /// Done in order otherwise.
        otherwise: Vec<Step>,
    },
}

/// A step of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The value is unique in the history.
    Put(Bytes, Bytes),
    /// Nothing happens if the key does not exist.
    Delete(Bytes),
    /// The answer goes into [`Return::found`].
    Get(Bytes),
}

/// What a client was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Return {
    /// Whether every compare held; true for a read.
    pub succeeded: bool,
    /// The revision of the store after the operation, which is its own if it changed a key; nothing for a
    /// read past the log.
    pub revision: Option<u64>,
    /// For every key that was read, in the order of the call: what was there.
    pub found: Vec<(Bytes, Option<Found>)>,
}

/// A key as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its value.
    pub value: Bytes,
    /// The revision that created it.
    pub create_revision: u64,
    /// The revision that last put it.
    pub mod_revision: u64,
    /// How often it was put since it was created, from 1.
    pub version: u64,
}
