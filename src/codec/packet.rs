//! Bytes of what travels between replicas, and of snapshot files.
//!
//! A packet is one tag byte, then its parts. A snapshot file is `DKVSNAP1`, the last entry's id, the
//! configuration there, and the state machine's own canonical bytes up to the end.

use alloc::vec::Vec;

use super::{DecodeError, Reader, Wire};
use crate::raft::{Bytes, Command, Configuration, EntryId, Index, Message, NodeId, Refusal, RequestId, Term};
use crate::replica::{Failure, Forward, Packet};

impl<C: Command + Wire, A: Wire> Wire for Packet<C, A> {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Packet::Raft { envelope, chunk } => {
                out.push(0);
                envelope.encode(out);
                if let Some(chunk) = chunk {
                    chunk.encode(out);
                }
            }
            Packet::Forward { from, to, forward } => {
                out.push(1);
                from.encode(out);
                to.encode(out);
                forward.encode(out);
            }
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if reader.tag(2)? == 1 {
            let (from, to) = (NodeId::decode(reader)?, NodeId::decode(reader)?);
            if from == to {
                return Err(reader.error("a member does not send to itself"));
            }
            return Ok(Packet::Forward { from, to, forward: Forward::decode(reader)? });
        }
        let envelope = crate::raft::Envelope::decode(reader)?;
        let chunk = match &envelope.message {
            Message::InstallSnapshot { length, .. } => {
                let chunk = Bytes::decode(reader)?;
                if chunk.len() != *length as usize {
                    return Err(reader.error("a chunk is as long as its message says"));
                }
                Some(chunk)
            }
            _ => None,
        };
        Ok(Packet::Raft { envelope, chunk })
    }
}

impl<C: Wire, A: Wire> Wire for Forward<C, A> {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Forward::Propose { request, term, command } => {
                out.push(0);
                request.encode(out);
                term.encode(out);
                command.encode(out);
            }
            Forward::Answer { request, outcome: Ok((id, response)) } => {
                out.push(1);
                request.encode(out);
                id.encode(out);
                response.encode(out);
            }
            Forward::Answer { request, outcome: Err(failure) } => {
                out.push(2);
                request.encode(out);
                failure.encode(out);
            }
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let tag = reader.tag(3)?;
        let request = RequestId::decode(reader)?;
        Ok(match tag {
            0 => {
                let term = Term::decode(reader)?;
                Forward::Propose { request, term, command: C::decode(reader)? }
            }
            1 => {
                let id = EntryId::decode(reader)?;
                if id.index == Index::ZERO {
                    return Err(reader.error("an answer names an entry of the log"));
                }
                Forward::Answer { request, outcome: Ok((id, A::decode(reader)?)) }
            }
            _ => Forward::Answer { request, outcome: Err(Failure::decode(reader)?) },
        })
    }
}

impl Wire for Failure {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Failure::Refused(Refusal::NotLeader { hint }) => {
                out.push(0);
                hint.encode(out);
            }
            Failure::Refused(Refusal::TermChanged { current }) => {
                out.push(1);
                current.encode(out);
            }
            Failure::Refused(Refusal::Transferring) => out.push(2),
            Failure::Refused(Refusal::Busy) => out.push(3),
            Failure::Refused(Refusal::ChangeInProgress) => out.push(4),
            Failure::Refused(Refusal::InvalidChange) => out.push(5),
            Failure::Refused(Refusal::NotVoter) => out.push(6),
            Failure::Lost => out.push(7),
            Failure::Unknown => out.push(8),
            Failure::Refused(Refusal::InvalidProposal) => out.push(9),
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match reader.tag(10)? {
            0 => Failure::Refused(Refusal::NotLeader { hint: Option::decode(reader)? }),
            1 => Failure::Refused(Refusal::TermChanged { current: Term::decode(reader)? }),
            2 => Failure::Refused(Refusal::Transferring),
            3 => Failure::Refused(Refusal::Busy),
            4 => Failure::Refused(Refusal::ChangeInProgress),
            5 => Failure::Refused(Refusal::InvalidChange),
            6 => Failure::Refused(Refusal::NotVoter),
            7 => Failure::Lost,
            8 => Failure::Unknown,
            _ => Failure::Refused(Refusal::InvalidProposal),
        })
    }
}

const SNAPSHOT_MAGIC: &[u8; 8] = b"DKVSNAP1";

/// The bytes of a snapshot file.
#[must_use]
pub fn snapshot_file(last: EntryId, configuration: &Configuration, state: &[u8]) -> Vec<u8> {
    let mut file = Vec::with_capacity(SNAPSHOT_MAGIC.len() + 64 + state.len());
    file.extend_from_slice(SNAPSHOT_MAGIC);
    last.encode(&mut file);
    configuration.encode(&mut file);
    file.extend_from_slice(state);
    file
}

/// Splits a snapshot file into its last entry, its configuration and the state machine's bytes.
///
/// # Errors
/// The bytes are not a snapshot file, with the position at which that shows.
pub fn open_snapshot_file(file: &[u8]) -> Result<(EntryId, Configuration, &[u8]), DecodeError> {
    let mut reader = Reader::new(file);
    if reader.take(SNAPSHOT_MAGIC.len())? != SNAPSHOT_MAGIC {
        return Err(DecodeError::new(0, "not a snapshot file of version 1"));
    }
    let last = EntryId::decode(&mut reader)?;
    let configuration = Configuration::decode(&mut reader)?;
    Ok((last, configuration, &file[reader.offset()..]))
}
