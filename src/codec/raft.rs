//! The canonical bytes of consensus: messages, log records, the content of a disk.
//!
//! # The gateway
//!
//! The core asserts what its peers and its disk promise; it does not handle broken promises. So this is
//! where they are checked: what decodes here is what a correct node could have made, as far as the one
//! value can tell. In particular
//!
//! * terms and indexes are at most 2^63, so that no successor overflows, and an entry's name is zero in
//!   both parts (before the log) or in neither;
//! * the entries of one record are consecutive and their terms never fall, beginning with the entry
//!   before the first where the record names it;
//! * nothing in a message is of a later term than the message, and in term 0 nothing but pre-votes
//!   happens;
//! * a configuration in the log has a voter, its sets are disjoint where they must be, a chunk lies in
//!   its snapshot, a refusal leads back, a disk's log reaches to its snapshot.
//!
//! Each `decode` below states its own rules. What needs the receiver's state is left to the receiver:
//! whether a message is for this node and from whom its connection says, whether an acknowledgement
//! speaks of entries that were sent, whether a write fits the log before it.
//!
//! # The format
//!
//! [`Envelope`], [`Write`] and [`Durable`] are records: they lead with a version, and everything else is
//! only found inside them. Fields follow in the order of the types. Lists of entries leave out the
//! indexes, which follow from the first one's, so a gap cannot even be written down.
//!
//! Encoding never fails. A value that no correct node makes is encoded all the same and then refused by
//! `decode`, except that a list of entries with a gap, which has no encoding, panics.

use alloc::boxed::Box;
use alloc::collections::{BTreeSet, VecDeque};
use alloc::vec::Vec;

use super::{DecodeError, RESERVED_ITEMS_MAX, Reader, Wire, Writer};
use crate::raft::message::{Envelope, Message};
use crate::raft::types::{
    Configuration, Entry, EntryId, HardState, Index, NodeId, Payload, RequestId, SnapshotMeta, Term,
};
use crate::raft::{Durable, Purge, Write};

/// The version of every record that this code writes, and the only one it reads.
pub const RECORD_VERSION: u8 = 1;

/// The largest term and index that decodes. Centuries away, and far enough from the end of `u64` that
/// adding to one cannot overflow.
pub const COUNTER_MAX: u64 = 1 << 63;

// Tags are explicit, never reused, and pinned by tests.
const NOOP: u8 = 0;
const COMMAND: u8 = 1;
const CONFIGURATION: u8 = 2;
const PAYLOAD_TAGS: u8 = 3;

const PRE_VOTE: u8 = 0;
const PRE_VOTE_RESPONSE: u8 = 1;
const REQUEST_VOTE: u8 = 2;
const REQUEST_VOTE_RESPONSE: u8 = 3;
const APPEND_ENTRIES: u8 = 4;
const APPEND_ACCEPTED: u8 = 5;
const APPEND_REFUSED: u8 = 6;
const HEARTBEAT: u8 = 7;
const HEARTBEAT_RESPONSE: u8 = 8;
const INSTALL_SNAPSHOT: u8 = 9;
const INSTALL_SNAPSHOT_RESPONSE: u8 = 10;
const TIMEOUT_NOW: u8 = 11;
const READ_INDEX: u8 = 12;
const READ_INDEX_RESPONSE: u8 = 13;
const MESSAGE_TAGS: u8 = 14;

// --- what the records share ------------------------------------------------------------------------

/// Refuses the item at `offset` unless `holds`.
#[inline]
fn require(holds: bool, offset: usize, reason: &'static str) -> Result<(), DecodeError> {
    if holds { Ok(()) } else { Err(DecodeError::new(offset, reason)) }
}

#[inline]
fn version(reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    let offset = reader.offset();
    require(reader.u8()? == RECORD_VERSION, offset, "a record of an unknown version")
}

#[inline]
fn counter(reader: &mut Reader<'_>) -> Result<u64, DecodeError> {
    let offset = reader.offset();
    let value = reader.u64()?;
    require(value <= COUNTER_MAX, offset, "a term or an index above 2^63")?;
    Ok(value)
}

#[inline]
fn term(reader: &mut Reader<'_>) -> Result<Term, DecodeError> {
    counter(reader).map(Term)
}

#[inline]
fn index(reader: &mut Reader<'_>) -> Result<Index, DecodeError> {
    counter(reader).map(Index)
}

/// The name of an entry, or of the position before the log.
#[inline]
fn position(reader: &mut Reader<'_>) -> Result<EntryId, DecodeError> {
    let offset = reader.offset();
    let id = EntryId::new(term(reader)?, index(reader)?);
    let is_whole = (id.term == Term::ZERO) == (id.index == Index::ZERO);
    require(is_whole, offset, "an entry's term and index are zero together or not at all")?;
    Ok(id)
}

/// The name of an entry.
#[inline]
fn entry_id(reader: &mut Reader<'_>) -> Result<EntryId, DecodeError> {
    let offset = reader.offset();
    let id = position(reader)?;
    require(id != EntryId::ZERO, offset, "the position before the log is not an entry")?;
    Ok(id)
}

/// Whether one log may hold both, `earlier` at or before `later`.
fn leads_to(earlier: EntryId, later: EntryId) -> bool {
    earlier == later || (earlier.index < later.index && earlier.term <= later.term)
}

/// The fewest bytes of an entry whose index is left out: its term and an empty payload's tag.
const RUN_ENTRY_BYTES_MIN: usize = 9;

/// Consecutive entries after `prev`: how many, then term and payload of each.
#[inline]
fn encode_run<'a, C: Wire + 'a>(
    prev: Index,
    entries: impl ExactSizeIterator<Item = &'a Entry<C>>,
    out: &mut Vec<u8>,
) {
    out.put_count(entries.len());
    let mut expected = prev;
    for entry in entries {
        expected = expected.next();
        assert_eq!(entry.id.index, expected, "a list of entries has no gap");
        out.put_u64(entry.id.term.0);
        entry.payload.encode(out);
    }
}

/// Terms never fall, beginning with that of `prev`.
#[inline]
fn decode_run<C: Wire>(prev: EntryId, reader: &mut Reader<'_>) -> Result<Vec<Entry<C>>, DecodeError> {
    let offset = reader.offset();
    let count = reader.counted(RUN_ENTRY_BYTES_MIN)?;
    require(count as u64 <= COUNTER_MAX - prev.index.0, offset, "a log that passes index 2^63")?;
    let mut entries = Vec::with_capacity(count.min(RESERVED_ITEMS_MAX));
    let mut last = prev;
    for _ in 0..count {
        let offset = reader.offset();
        let next = term(reader)?;
        require(next >= last.term && next > Term::ZERO, offset, "terms fall along the log")?;
        last = EntryId::new(next, last.index.next());
        entries.push(Entry { id: last, payload: Payload::decode(reader)? });
    }
    Ok(entries)
}

// --- entries ---------------------------------------------------------------------------------------

impl<C: Wire> Wire for Payload<C> {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Payload::Noop => out.put_u8(NOOP),
            Payload::Command(command) => {
                out.put_u8(COMMAND);
                command.encode(out);
            }
            Payload::Configuration(configuration) => {
                out.put_u8(CONFIGURATION);
                configuration.encode(out);
            }
        }
    }

    /// A configuration in the log has a voter.
    #[inline]
    fn decode(reader: &mut Reader<'_>) -> Result<Payload<C>, DecodeError> {
        match reader.tag(PAYLOAD_TAGS)? {
            NOOP => Ok(Payload::Noop),
            COMMAND => C::decode(reader).map(Payload::Command),
            _ => {
                let offset = reader.offset();
                let configuration = Configuration::decode(reader)?;
                require(!configuration.voters.is_empty(), offset, "a configuration without a voter")?;
                Ok(Payload::Configuration(Box::new(configuration)))
            }
        }
    }
}

impl<C: Wire> Wire for Entry<C> {
    const MIN_BYTES: usize = 17;

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        self.id.encode(out);
        self.payload.encode(out);
    }

    /// No entry is at index 0 or of term 0.
    #[inline]
    fn decode(reader: &mut Reader<'_>) -> Result<Entry<C>, DecodeError> {
        Ok(Entry { id: entry_id(reader)?, payload: Payload::decode(reader)? })
    }
}

impl Wire for HardState {
    const MIN_BYTES: usize = 9;

    fn encode(&self, out: &mut Vec<u8>) {
        self.term.encode(out);
        self.voted_for.encode(out);
    }

    /// There is no vote in term 0.
    fn decode(reader: &mut Reader<'_>) -> Result<HardState, DecodeError> {
        let term = term(reader)?;
        let offset = reader.offset();
        let voted_for = Option::decode(reader)?;
        require(term > Term::ZERO || voted_for.is_none(), offset, "a vote in term 0")?;
        Ok(HardState { term, voted_for })
    }
}

impl Wire for Configuration {
    const MIN_BYTES: usize = 9;

    fn encode(&self, out: &mut Vec<u8>) {
        self.voters.encode(out);
        self.outgoing.encode(out);
        self.learners.encode(out);
    }

    /// No voter is a learner, and a joint phase has outgoing voters. Without a voter there is nobody:
    /// that is what a member knows that has joined and not yet heard of its cluster.
    fn decode(reader: &mut Reader<'_>) -> Result<Configuration, DecodeError> {
        let voters: BTreeSet<NodeId> = BTreeSet::decode(reader)?;
        let offset = reader.offset();
        let outgoing: Option<BTreeSet<NodeId>> = Option::decode(reader)?;
        let has_outgoing = outgoing.as_ref().is_none_or(|outgoing| !outgoing.is_empty());
        require(has_outgoing, offset, "a joint phase without an outgoing voter")?;
        let offset = reader.offset();
        let learners: BTreeSet<NodeId> = BTreeSet::decode(reader)?;
        require(voters.is_disjoint(&learners), offset, "a voter is a learner too")?;
        let is_known = !voters.is_empty() || (outgoing.is_none() && learners.is_empty());
        require(is_known, offset, "a configuration without a voter")?;
        Ok(Configuration { voters, outgoing, learners })
    }
}

impl Wire for SnapshotMeta {
    const MIN_BYTES: usize = 16 + Configuration::MIN_BYTES + 8 + 4;

    fn encode(&self, out: &mut Vec<u8>) {
        self.last.encode(out);
        self.configuration.encode(out);
        out.put_u64(self.size_bytes);
        out.put_u32(self.checksum);
    }

    /// The snapshot before the first entry is the genesis, which is in no joint phase. A later one may be
    /// of a member that had not reached the first configuration entry, hence without a voter.
    fn decode(reader: &mut Reader<'_>) -> Result<SnapshotMeta, DecodeError> {
        let last = position(reader)?;
        let offset = reader.offset();
        let configuration = Configuration::decode(reader)?;
        let is_settled = last != EntryId::ZERO || !configuration.is_joint();
        require(is_settled, offset, "a genesis in the middle of a change")?;
        Ok(SnapshotMeta {
            last,
            configuration: Box::new(configuration),
            size_bytes: reader.u64()?,
            checksum: reader.u32()?,
        })
    }
}

// --- messages --------------------------------------------------------------------------------------

impl<C: Wire> Wire for Envelope<C> {
    const MIN_BYTES: usize = 26;

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        let mut head = [RECORD_VERSION; 25];
        head[1..9].copy_from_slice(&self.from.0.to_le_bytes());
        head[9..17].copy_from_slice(&self.to.0.to_le_bytes());
        head[17..25].copy_from_slice(&self.term.0.to_le_bytes());
        out.extend_from_slice(&head);
        self.message.encode(out);
    }

    /// Nobody writes to itself. Nothing in a message is of a later term than its sender, except what a
    /// pre-vote's answer repeats from the request. Nobody leads or votes in term 0.
    #[inline]
    fn decode(reader: &mut Reader<'_>) -> Result<Envelope<C>, DecodeError> {
        version(reader)?;
        let from = NodeId::decode(reader)?;
        let offset = reader.offset();
        let to = NodeId::decode(reader)?;
        require(from != to, offset, "a message to its own sender")?;
        let term = term(reader)?;
        let offset = reader.offset();
        let message = Message::decode(reader)?;
        require(latest_term(&message) <= term, offset, "a message that is older than what it speaks of")?;
        let is_pre_vote = matches!(message, Message::PreVote { .. } | Message::PreVoteResponse { .. });
        require(term > Term::ZERO || is_pre_vote, offset, "a message other than a pre-vote in term 0")?;
        Ok(Envelope { from, to, term, message })
    }
}

/// The latest term of which a message says that there is an entry.
#[inline]
fn latest_term<C>(message: &Message<C>) -> Term {
    match message {
        Message::PreVote { last_log } | Message::RequestVote { last_log, .. } => last_log.term,
        // Terms never fall along the log.
        Message::AppendEntries { prev, entries, .. } => entries.last().map_or(*prev, |entry| entry.id).term,
        Message::AppendRefused { conflict_term, .. } => conflict_term.unwrap_or_default(),
        Message::InstallSnapshot { snapshot, .. } => snapshot.last.term,
        Message::InstallSnapshotResponse { last, .. } => last.term,
        Message::PreVoteResponse { .. }
        | Message::RequestVoteResponse { .. }
        | Message::AppendAccepted { .. }
        | Message::Heartbeat { .. }
        | Message::HeartbeatResponse { .. }
        | Message::TimeoutNow
        | Message::ReadIndex { .. }
        | Message::ReadIndexResponse { .. } => Term::ZERO,
    }
}

impl<C: Wire> Wire for Message<C> {
    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Message::PreVote { last_log } => {
                out.put_u8(PRE_VOTE);
                last_log.encode(out);
            }
            Message::PreVoteResponse { asked_in, granted } => {
                out.put_u8(PRE_VOTE_RESPONSE);
                asked_in.encode(out);
                out.put_bool(*granted);
            }
            Message::RequestVote { last_log, transfer } => {
                out.put_u8(REQUEST_VOTE);
                last_log.encode(out);
                out.put_bool(*transfer);
            }
            Message::RequestVoteResponse { granted } => {
                out.put_u8(REQUEST_VOTE_RESPONSE);
                out.put_bool(*granted);
            }
            Message::AppendEntries { prev, entries, leader_commit } => {
                out.put_u8(APPEND_ENTRIES);
                prev.encode(out);
                leader_commit.encode(out);
                encode_run(prev.index, entries.iter(), out);
            }
            Message::AppendAccepted { matched } => {
                out.put_u8(APPEND_ACCEPTED);
                matched.encode(out);
            }
            Message::AppendRefused { prev, conflict_term, conflict_index } => {
                out.put_u8(APPEND_REFUSED);
                prev.encode(out);
                conflict_term.encode(out);
                conflict_index.encode(out);
            }
            Message::Heartbeat { commit, round } => {
                out.put_u8(HEARTBEAT);
                commit.encode(out);
                out.put_u64(*round);
            }
            Message::HeartbeatResponse { round } => {
                out.put_u8(HEARTBEAT_RESPONSE);
                out.put_u64(*round);
            }
            Message::InstallSnapshot { snapshot, offset, length } => {
                out.put_u8(INSTALL_SNAPSHOT);
                snapshot.encode(out);
                out.put_u64(*offset);
                out.put_u32(*length);
            }
            Message::InstallSnapshotResponse { last, next_offset, installed } => {
                out.put_u8(INSTALL_SNAPSHOT_RESPONSE);
                last.encode(out);
                out.put_u64(*next_offset);
                out.put_bool(*installed);
            }
            Message::TimeoutNow => out.put_u8(TIMEOUT_NOW),
            Message::ReadIndex { request } => {
                out.put_u8(READ_INDEX);
                request.encode(out);
            }
            Message::ReadIndexResponse { request, index } => {
                out.put_u8(READ_INDEX_RESPONSE);
                request.encode(out);
                index.encode(out);
            }
        }
    }

    /// A refusal names a position after the first, because the one before the log agrees everywhere, and
    /// leads back: to where the receiver's log goes on, or to the first entry of a term that does not
    /// agree. A snapshot that is sent holds an entry, and a chunk lies in its snapshot.
    #[inline(always)] // Saves moving a message, which is large, a second time.
    fn decode(reader: &mut Reader<'_>) -> Result<Message<C>, DecodeError> {
        Ok(match reader.tag(MESSAGE_TAGS)? {
            PRE_VOTE => Message::PreVote { last_log: position(reader)? },
            PRE_VOTE_RESPONSE => {
                Message::PreVoteResponse { asked_in: term(reader)?, granted: reader.bool()? }
            }
            REQUEST_VOTE => Message::RequestVote { last_log: position(reader)?, transfer: reader.bool()? },
            REQUEST_VOTE_RESPONSE => Message::RequestVoteResponse { granted: reader.bool()? },
            APPEND_ENTRIES => {
                let (prev, leader_commit) = (position(reader)?, index(reader)?);
                Message::AppendEntries { prev, entries: decode_run(prev, reader)?, leader_commit }
            }
            APPEND_ACCEPTED => Message::AppendAccepted { matched: index(reader)? },
            APPEND_REFUSED => decode_refusal(reader)?,
            HEARTBEAT => Message::Heartbeat { commit: index(reader)?, round: reader.u64()? },
            HEARTBEAT_RESPONSE => Message::HeartbeatResponse { round: reader.u64()? },
            INSTALL_SNAPSHOT => decode_chunk(reader)?,
            INSTALL_SNAPSHOT_RESPONSE => Message::InstallSnapshotResponse {
                last: entry_id(reader)?,
                next_offset: reader.u64()?,
                installed: reader.bool()?,
            },
            TIMEOUT_NOW => Message::TimeoutNow,
            READ_INDEX => Message::ReadIndex { request: RequestId::decode(reader)? },
            _ => Message::ReadIndexResponse {
                request: RequestId::decode(reader)?,
                index: reader.option(index)?,
            },
        })
    }
}

fn decode_refusal<C>(reader: &mut Reader<'_>) -> Result<Message<C>, DecodeError> {
    let offset = reader.offset();
    let prev = index(reader)?;
    require(prev > Index::ZERO, offset, "a refusal of the position before the log")?;
    let offset = reader.offset();
    let conflict_term = reader.option(term)?;
    require(conflict_term != Some(Term::ZERO), offset, "a conflict with an entry of term 0")?;
    let offset = reader.offset();
    let conflict_index = index(reader)?;
    // A log that ends before `prev` goes on at `prev` or earlier. A compaction point that conflicts lies
    // at `prev`, and the first position the log still has of any term is the one after.
    let limit = if conflict_term.is_some() { prev.next() } else { prev };
    let leads_back = conflict_index > Index::ZERO && conflict_index <= limit;
    require(leads_back, offset, "a refusal that does not lead back")?;
    Ok(Message::AppendRefused { prev, conflict_term, conflict_index })
}

fn decode_chunk<C>(reader: &mut Reader<'_>) -> Result<Message<C>, DecodeError> {
    let start = reader.offset();
    let snapshot = SnapshotMeta::decode(reader)?;
    require(snapshot.last != EntryId::ZERO, start, "the genesis is not sent as a snapshot")?;
    let start = reader.offset();
    let (offset, length) = (reader.u64()?, reader.u32()?);
    let end = offset.checked_add(u64::from(length));
    let is_inside = end.is_some_and(|end| end <= snapshot.size_bytes);
    require(is_inside, start, "a chunk beyond the end of its snapshot")?;
    Ok(Message::InstallSnapshot { snapshot, offset, length })
}

// --- the disk --------------------------------------------------------------------------------------

impl Wire for Purge {
    const MIN_BYTES: usize = 17;

    fn encode(&self, out: &mut Vec<u8>) {
        self.to.encode(out);
        out.put_bool(self.keep_suffix);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Purge, DecodeError> {
        Ok(Purge { to: position(reader)?, keep_suffix: reader.bool()? })
    }
}

impl<C: Wire> Wire for Write<C> {
    /// A version, three flags, the first index and the number of entries.
    const MIN_BYTES: usize = 16;

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(RECORD_VERSION);
        self.hard_state.encode(out);
        self.snapshot.encode(out);
        self.purge.encode(out);
        let first = self.entries.first().map_or(Index::ZERO, |entry| entry.id.index);
        first.encode(out);
        encode_run(Index(first.0.saturating_sub(1)), self.entries.iter(), out);
    }

    /// A snapshot covers what is purged with it, and entries come after both. If nothing is kept, they
    /// follow the purged ones at once. Nothing is of a later term than the one that is written with it.
    fn decode(reader: &mut Reader<'_>) -> Result<Write<C>, DecodeError> {
        version(reader)?;
        let hard_state: Option<HardState> = Option::decode(reader)?;
        let snapshot: Option<SnapshotMeta> = Option::decode(reader)?;
        let offset = reader.offset();
        let purge: Option<Purge> = Option::decode(reader)?;
        if let (Some(snapshot), Some(purge)) = (&snapshot, purge) {
            require(leads_to(purge.to, snapshot.last), offset, "a purge of more than the snapshot covers")?;
            let reaches = purge.keep_suffix || purge.to == snapshot.last;
            require(reaches, offset, "a purge that leaves a log short of its snapshot")?;
        }
        let purged = purge.map(|purge| purge.to);
        let base = snapshot.as_ref().map(|snapshot| snapshot.last).or(purged).unwrap_or(EntryId::ZERO);
        let offset = reader.offset();
        let first = index(reader)?;
        let prev = EntryId::new(base.term, Index(first.0.saturating_sub(1)));
        let entries = decode_run(prev, reader)?;
        require(entries.is_empty() == (first == Index::ZERO), offset, "a first index without entries")?;
        if !entries.is_empty() {
            require(first > base.index, offset, "entries that the record itself compacts away")?;
            let is_kept = purge.is_none_or(|purge| purge.keep_suffix || first == purge.to.index.next());
            require(is_kept, offset, "a gap between what is purged and the entries")?;
        }
        let last = entries.last().map_or(base, |entry: &Entry<C>| entry.id);
        let is_seen = hard_state.is_none_or(|hard_state| last.term <= hard_state.term);
        require(is_seen, offset, "an entry of a later term than the record's")?;
        Ok(Write { hard_state, snapshot, purge, entries })
    }
}

impl<C: Clone + Wire> Wire for Durable<C> {
    const MIN_BYTES: usize = 1 + HardState::MIN_BYTES + SnapshotMeta::MIN_BYTES + 16 + 4;

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(RECORD_VERSION);
        self.hard_state.encode(out);
        self.snapshot.encode(out);
        self.purged.encode(out);
        encode_run(self.purged.index, self.entries.iter(), out);
    }

    /// The log starts at or before the end of the snapshot, holds that very entry, and is of no later
    /// term than the disk: with that, [`Node::restore`](crate::raft::Node::restore) takes it.
    fn decode(reader: &mut Reader<'_>) -> Result<Durable<C>, DecodeError> {
        version(reader)?;
        let hard_state = HardState::decode(reader)?;
        let snapshot = SnapshotMeta::decode(reader)?;
        let offset = reader.offset();
        let purged = position(reader)?;
        require(leads_to(purged, snapshot.last), offset, "a purge of more than the snapshot covers")?;
        let entries = VecDeque::from(decode_run(purged, reader)?);
        let disk = Durable { hard_state, snapshot, purged, entries };
        let last = disk.snapshot.last;
        let is_held = last == purged || disk.entry(last.index).is_some_and(|entry| entry.id == last);
        require(is_held, offset, "a log without the last entry of its snapshot")?;
        require(disk.last().term <= hard_state.term, offset, "an entry of a later term than the disk's")?;
        Ok(disk)
    }
}
