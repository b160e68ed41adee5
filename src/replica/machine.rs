//! What a replica replicates: any deterministic state machine. The store of [`kv`](crate::kv) is one.

use alloc::vec::Vec;
use core::fmt::{Debug, Display};
use core::hash::Hash;

use crate::codec::Wire;
use crate::raft::{Command, EntryId};

/// A deterministic state machine: equal entries in equal order leave equal states and give equal
/// responses, on every replica. It never reads a clock, a generator or the outside.
pub trait StateMachine: Clone + Eq + Ord + Hash + Debug + Default {
    /// What a client asks for.
    type Command: Command + Wire;
    /// What applying a command returns. A refusal that depends on the state (a failed compare) is a
    /// response: every replica gives the same one.
    type Response: Clone + Eq + Ord + Hash + Debug + Wire;
    /// A read that goes past the log.
    type Query: Clone + Eq + Ord + Hash + Debug;
    /// What a read returns.
    type View: Clone + Eq + Ord + Hash + Debug;
    /// What stops the replica: a broken engine, an entry this version does not know. Never a response.
    type Fault: Debug + Display;

    /// Applies the entry after the last applied one.
    ///
    /// # Errors
    /// A fault stops the replica; the state machine must not be used any further.
    fn apply(&mut self, id: EntryId, command: &Self::Command) -> Result<Self::Response, Self::Fault>;

    /// Passes over an entry that is not for the state machine: a no-op or a configuration.
    ///
    /// # Errors
    /// As for [`apply`](StateMachine::apply).
    fn skip(&mut self, id: EntryId) -> Result<(), Self::Fault>;

    /// The last entry applied or passed over.
    fn applied(&self) -> EntryId;

    /// Answers a read from the present state, which it does not change.
    fn query(&self, query: &Self::Query) -> Self::View;

    /// The whole state in canonical bytes: equal states, equal bytes.
    ///
    /// # Errors
    /// As for [`apply`](StateMachine::apply).
    fn snapshot(&self) -> Result<Vec<u8>, Self::Fault>;

    /// Replaces the whole state, nothing of the old one stays.
    ///
    /// # Errors
    /// The bytes are not a snapshot; the state is unchanged.
    fn restore(&mut self, bytes: &[u8]) -> Result<(), Self::Fault>;
}
