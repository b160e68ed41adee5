//! The key-value store as the state machine of a replica. Its commands are the encoded bytes of
//! [`kv::Command`](crate::kv::Command), shared from the message they came in to the log.

use alloc::vec::Vec;

use super::StateMachine;
use crate::codec::kv::{ApplyError, apply};
use crate::codec::{from_bytes, to_bytes};
use crate::kv::{BTreeEngine, EngineError, Range, RangeOutcome, Response, Rules, Store};
use crate::raft::{Bytes, EntryId};

impl<R: Rules> StateMachine for Store<BTreeEngine, R>
where
    Store<BTreeEngine, R>: Default,
{
    type Command = Bytes;
    type Response = Response;
    type Query = Range;
    type View = Result<RangeOutcome, EngineError>;
    type Fault = ApplyError;

    fn apply(&mut self, id: EntryId, command: &Bytes) -> Result<Response, ApplyError> {
        apply(self, id, command)
    }

    fn skip(&mut self, id: EntryId) -> Result<(), ApplyError> {
        self.advance(id).map_err(ApplyError::Engine)
    }

    fn applied(&self) -> EntryId {
        Store::applied(self)
    }

    fn query(&self, query: &Range) -> Self::View {
        self.range(query)
    }

    fn snapshot(&self) -> Result<Vec<u8>, ApplyError> {
        Store::snapshot(self).map(|content| to_bytes(&content)).map_err(ApplyError::Engine)
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), ApplyError> {
        let content = from_bytes(bytes).map_err(ApplyError::Undecodable)?;
        Store::restore(self, content).map_err(ApplyError::Engine)
    }
}
