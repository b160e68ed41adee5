//! The bytes of the state machine: commands in log entries, responses, snapshots.
//!
//! All three outlive the process that wrote them or cross between versions of the program, so each
//! starts with a version byte, and an unknown version is refused. A command that cannot be decoded
//! although it is committed stops the node ([`ApplyError::Undecodable`]): a replica that skipped it
//! would part from the others.
//!
//! ```text
//! command   version:1=1  session:option(client:8 sequence:8)  op
//! op        0 no-op | 1 put | 2 delete | 3 transaction | 4 open session | 5 close session client:8
//! put       key:bytes  value:bytes  lease:8  flags:1 (1 ignore value, 2 ignore lease, 4 prev_kv)
//! delete    keys  prev_kv:flag
//! range     keys  limit:8  flags:1 (1 count only, 2 keys only)
//! keys      0 one:bytes | 1 from:bytes until:bytes | 2 from:bytes
//! txn       compares:list  then:list  otherwise:list
//! compare   keys  relation:1 (= > < ≠)  0 value:bytes | 1 version:8 | 2 create:8 | 3 mod:8 | 4 lease:8
//! step      0 simple | 1 nested transaction, whose steps are simple
//! simple    0 range | 1 put | 2 delete
//! response  version:1=1  revision:8  outcome
//! outcome   0 no-op | 1 put | 2 deleted | 3 transaction | 4 opened client:8 | 5 closed | 6 refusal:1
//! snapshot  version:1=1  term:8  index:8  revision:8  session ttl:8  sessions:list  keys:list
//! session   client:8  last used:8  option(sequence:8 response)
//! key       key:bytes  value:bytes  create:8  mod:8  version:8  lease:8
//! ```
//!
//! Sessions ascend by client and keys by their bytes, strictly.
//!
//! What this leaves out: the checksum of a snapshot, which its [`SnapshotMeta`] holds, and reading or
//! writing one in pieces.
//!
//! [`SnapshotMeta`]: crate::raft::types::SnapshotMeta

use alloc::vec::Vec;
use core::fmt;

use super::{DecodeError, Reader, Wire, Writer};
use crate::kv::{
    Answer, ClientId, Command, Compare, Delete, DeleteOutcome, Engine, EngineError, Key, KeyRange, KeyValue,
    LeaseId, Op, Outcome, Part, Position, Put, PutOutcome, Range, RangeOutcome, Record, Refusal, Relation,
    Response, Revision, Rules, Session, SessionTag, Sessions, SimpleOp, SimpleOutcome, Snapshot, Store,
    Target, Txn, TxnOp, TxnOpOutcome, TxnOutcome,
};
use crate::raft::types::{Bytes, EntryId, Index};

const COMMAND_VERSION: u8 = 1;
const RESPONSE_VERSION: u8 = 1;
const SNAPSHOT_VERSION: u8 = 1;

const OP_PUT: u8 = 1;

/// Why a committed command was not applied. The node must stop in either case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ApplyError {
    /// Its bytes are no command of a known version. The store has not changed.
    Undecodable(DecodeError),
    /// The engine failed. The store must not be used further.
    Engine(EngineError),
}

impl fmt::Display for ApplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ApplyError::Undecodable(error) => write!(f, "a committed command cannot be read: {error}"),
            ApplyError::Engine(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for ApplyError {}

/// Decodes the command in `bytes`, all of them, and applies it as entry `id`: the same as
/// [`Store::apply`] of the decoded command. A put is applied from where it lies, and a key that the
/// store has is not copied.
pub fn apply<E: Engine, R: Rules>(
    store: &mut Store<E, R>,
    id: EntryId,
    bytes: &Bytes,
) -> Result<Response, ApplyError> {
    let mut reader = Reader::new(bytes);
    let session = command_head(&mut reader).map_err(ApplyError::Undecodable)?;
    if bytes.get(reader.offset()) == Some(&OP_PUT) {
        let put = command_put(bytes, reader).map_err(ApplyError::Undecodable)?;
        return store.apply_put(id, session, &put).map_err(ApplyError::Engine);
    }
    let op = Op::decode(&mut reader).map_err(ApplyError::Undecodable)?;
    reader.finish().map_err(ApplyError::Undecodable)?;
    store.apply(id, &Command { session, op }).map_err(ApplyError::Engine)
}

/// What stands before the operation of a command.
fn command_head(reader: &mut Reader<'_>) -> Result<Option<SessionTag>, DecodeError> {
    version(reader, COMMAND_VERSION)?;
    Option::decode(reader)
}

/// The rest of a command that is a put, from its tag to its end.
fn command_put<'a>(whole: &'a Bytes, mut reader: Reader<'a>) -> Result<Put<Part<'a>>, DecodeError> {
    reader.u8()?;
    let put = put_of(&mut reader, |reader| {
        let length = reader.bytes()?.len();
        let end = reader.offset();
        Ok(Part { whole, start: end - length, end })
    })?;
    reader.finish()?;
    Ok(put)
}

fn version(reader: &mut Reader<'_>, known: u8) -> Result<(), DecodeError> {
    let offset = reader.offset();
    if reader.u8()? == known { Ok(()) } else { Err(DecodeError::new(offset, "unknown version")) }
}

/// Bits, the first the lowest, of which there are `N`.
fn flags<const N: usize>(reader: &mut Reader<'_>) -> Result<[bool; N], DecodeError> {
    let offset = reader.offset();
    let bits = reader.u8()?;
    if u32::from(bits) >> N != 0 {
        return Err(DecodeError::new(offset, "unknown flag"));
    }
    Ok(core::array::from_fn(|bit| bits & (1 << bit) != 0))
}

fn put_flags<const N: usize>(out: &mut Vec<u8>, flags: [bool; N]) {
    out.put_u8(flags.iter().rev().fold(0, |bits, flag| bits << 1 | u8::from(*flag)));
}

macro_rules! wire_newtype {
    ($($type:ident: $put:ident, $get:ident;)*) => {$(
        impl Wire for $type {
            const MIN_BYTES: usize = 8;

            fn encode(&self, out: &mut Vec<u8>) {
                out.$put(self.0);
            }

            fn decode(reader: &mut Reader<'_>) -> Result<$type, DecodeError> {
                reader.$get().map($type)
            }
        }
    )*};
}

wire_newtype! {
    ClientId: put_u64, u64;
    Revision: put_u64, u64;
    LeaseId: put_i64, i64;
}

/// Structures whose encoding is that of their fields in order.
macro_rules! wire_fields {
    ($($type:ident<$($param:ident)?>, $min_bytes:expr, { $($field:ident),* };)*) => {$(
        impl$(<$param: Wire>)? Wire for $type$(<$param>)? {
            const MIN_BYTES: usize = $min_bytes;

            fn encode(&self, out: &mut Vec<u8>) {
                $(self.$field.encode(out);)*
            }

            fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Ok($type { $($field: Wire::decode(reader)?),* })
            }
        }
    )*};
}

wire_fields! {
    SessionTag<>, 16, { client, sequence };
    Delete<>, 6, { keys, prev_kv };
    Compare<>, 11, { keys, relation, target };
    Txn<O>, 12, { compares, then, otherwise };
    Record<>, 36, { value, create_revision, mod_revision, version, lease };
    KeyValue<>, 40, { key, record };
    PutOutcome<>, 1, { prev_kv };
    DeleteOutcome<>, 12, { deleted, prev_kvs };
    RangeOutcome<>, 13, { kvs, more, count };
    TxnOutcome<O>, 5, { succeeded, outcomes };
    Answer<>, 18, { sequence, response };
    Session<>, 9, { last_used, answered };
    Position<>, 24, { applied, revision };
}

/// Enumerations: a tag and the fields of the variant, in order. Positional fields are named by number.
macro_rules! wire_variants {
    ($($type:ident, $min_bytes:expr, {
        $($tag:tt => $variant:ident { $($field:tt: $bound:ident),* };)*
    })*) => {$(
        impl Wire for $type {
            const MIN_BYTES: usize = $min_bytes;

            fn encode(&self, out: &mut Vec<u8>) {
                match self {
                    $($type::$variant { $($field: $bound),* } => {
                        out.put_u8($tag);
                        $($bound.encode(out);)*
                    })*
                }
            }

            fn decode(reader: &mut Reader<'_>) -> Result<$type, DecodeError> {
                let offset = reader.offset();
                match reader.u8()? {
                    $($tag => {
                        $(let $bound = Wire::decode(reader)?;)*
                        Ok($type::$variant { $($field: $bound),* })
                    })*
                    _ => Err(DecodeError::new(offset, concat!("unknown tag of ", stringify!($type)))),
                }
            }
        }
    )*};
}

wire_variants! {
    Op, 1, {
        0 => NoOp {};
        OP_PUT => Put { 0: put };
        2 => Del { 0: delete };
        3 => Txn { 0: txn };
        4 => OpenSession {};
        5 => CloseSession { client: client };
    }
    KeyRange, 5, {
        0 => One { 0: key };
        1 => Between { 0: from, 1: until };
        2 => From { 0: from };
    }
    TxnOp, 8, {
        0 => Simple { 0: op };
        1 => Txn { 0: txn };
    }
    SimpleOp, 7, {
        0 => Range { 0: range };
        1 => Put { 0: put };
        2 => Delete { 0: delete };
    }
    Target, 5, {
        0 => Value { 0: value };
        1 => Version { 0: operand };
        2 => CreateRevision { 0: operand };
        3 => ModRevision { 0: operand };
        4 => Lease { 0: operand };
    }
    Relation, 1, {
        0 => Equal {};
        1 => Greater {};
        2 => Less {};
        3 => NotEqual {};
    }
    Outcome, 1, {
        0 => NoOp {};
        1 => Put { 0: put };
        2 => Deleted { 0: deleted };
        3 => Txn { 0: txn };
        4 => SessionOpened { client: client };
        5 => SessionClosed {};
        6 => Refused { 0: refusal };
    }
    TxnOpOutcome, 3, {
        0 => Simple { 0: outcome };
        1 => Txn { 0: txn };
    }
    SimpleOutcome, 2, {
        0 => Range { 0: range };
        1 => Put { 0: put };
        2 => Deleted { 0: deleted };
    }
    Refusal, 1, {
        0 => DuplicateKey {};
        1 => TooManyOperations {};
        2 => KeyNotFound {};
        3 => ValueProvided {};
        4 => LeaseProvided {};
        5 => SessionExpired {};
        6 => SequenceTooOld {};
    }
}

impl Wire for Command {
    const MIN_BYTES: usize = 3;

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(COMMAND_VERSION);
        self.session.encode(out);
        self.op.encode(out);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Command, DecodeError> {
        Ok(Command { session: command_head(reader)?, op: Op::decode(reader)? })
    }
}

impl Wire for Key {
    const MIN_BYTES: usize = 4;

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_bytes(self);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Key, DecodeError> {
        reader.bytes().map(Key::from)
    }
}

impl Wire for Put {
    const MIN_BYTES: usize = 17;

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_bytes(&self.key);
        out.put_bytes(&self.value);
        self.lease.encode(out);
        put_flags(out, [self.ignore_value, self.ignore_lease, self.prev_kv]);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Put, DecodeError> {
        put_of(reader, Bytes::decode)
    }
}

/// A put whose key and value are what `blob` reads.
#[inline]
fn put_of<'a, B>(
    reader: &mut Reader<'a>,
    blob: impl Fn(&mut Reader<'a>) -> Result<B, DecodeError>,
) -> Result<Put<B>, DecodeError> {
    let (key, value) = (blob(reader)?, blob(reader)?);
    let lease = LeaseId::decode(reader)?;
    let [ignore_value, ignore_lease, prev_kv] = flags(reader)?;
    Ok(Put { key, value, lease, ignore_value, ignore_lease, prev_kv })
}

impl Wire for Range {
    const MIN_BYTES: usize = 14;

    fn encode(&self, out: &mut Vec<u8>) {
        self.keys.encode(out);
        out.put_u64(self.limit);
        put_flags(out, [self.count_only, self.keys_only]);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Range, DecodeError> {
        let (keys, limit) = (KeyRange::decode(reader)?, reader.u64()?);
        let [count_only, keys_only] = flags(reader)?;
        Ok(Range { keys, limit, count_only, keys_only })
    }
}

impl Wire for Response {
    const MIN_BYTES: usize = 10;

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(RESPONSE_VERSION);
        self.revision.encode(out);
        self.outcome.encode(out);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Response, DecodeError> {
        version(reader, RESPONSE_VERSION)?;
        Ok(Response { revision: Revision::decode(reader)?, outcome: Outcome::decode(reader)? })
    }
}

impl Wire for Snapshot {
    const MIN_BYTES: usize = 41;

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(SNAPSHOT_VERSION);
        self.position.encode(out);
        out.put_u64(self.sessions.ttl_entries());
        out.put_count(self.sessions.len());
        for (client, session) in self.sessions.iter() {
            client.encode(out);
            session.encode(out);
        }
        self.keys.encode(out);
    }

    /// Also refuses what no store could have written, so that a store never holds it.
    fn decode(reader: &mut Reader<'_>) -> Result<Snapshot, DecodeError> {
        version(reader, SNAPSHOT_VERSION)?;
        let offset = reader.offset();
        let position = Position::decode(reader)?;
        // The first revision is 1, and each later one took an entry of its own.
        let Position { revision, applied } = position;
        if revision < Revision::FIRST || revision.0 - 1 > applied.index.0 {
            return Err(DecodeError::new(offset, "the revision contradicts the position"));
        }
        let sessions = sessions(reader, position)?;
        let count = reader.counted(KeyValue::MIN_BYTES)?;
        let mut keys: Vec<KeyValue> = Vec::with_capacity(count);
        for _ in 0..count {
            let offset = reader.offset();
            let kv = KeyValue::decode(reader)?;
            if keys.last().is_some_and(|last| last.key >= kv.key) {
                return Err(DecodeError::new(offset, "the keys of a snapshot do not ascend"));
            }
            let Record { create_revision, mod_revision, version, .. } = kv.record;
            // Each put after the one that created the key took a revision of its own.
            let is_possible = Revision::FIRST < create_revision
                && create_revision <= mod_revision
                && mod_revision <= revision
                && (1..=mod_revision.0 - create_revision.0 + 1).contains(&version);
            if !is_possible {
                return Err(DecodeError::new(offset, "the revisions of a key contradict each other"));
            }
            keys.push(kv);
        }
        Ok(Snapshot { position, sessions, keys })
    }
}

fn sessions(reader: &mut Reader<'_>, position: Position) -> Result<Sessions, DecodeError> {
    let offset = reader.offset();
    let ttl_entries = reader.u64()?;
    if ttl_entries == 0 {
        return Err(DecodeError::new(offset, "a session cannot live for no entries"));
    }
    let mut sessions = Sessions::new(ttl_entries);
    let mut last = None;
    let applied = position.applied.index;
    for _ in 0..reader.counted(ClientId::MIN_BYTES + Session::MIN_BYTES)? {
        let offset = reader.offset();
        let (client, session) = (ClientId::decode(reader)?, Session::decode(reader)?);
        if last >= Some(client) {
            return Err(DecodeError::new(offset, "the sessions of a snapshot do not ascend"));
        }
        let Session { last_used: Index(last_used), .. } = session;
        let is_possible = (1..=last_used).contains(&client.0)
            && last_used <= applied.0
            && applied.0 - last_used <= ttl_entries;
        if !is_possible {
            return Err(DecodeError::new(offset, "a session was used outside its life"));
        }
        last = Some(client);
        sessions.insert(client, session);
    }
    Ok(sessions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{from_bytes, to_bytes};
    use crate::kv::fixture::{Dice, Log, put};
    use crate::kv::{BTreeEngine, Shipped};
    use crate::raft::types::Term;
    use alloc::string::ToString;
    use alloc::vec;

    /// Decoding gives the value back, and no shorter or longer input is accepted.
    fn round_trips<T: Wire + PartialEq + fmt::Debug>(value: &T) -> Vec<u8> {
        let mut bytes = to_bytes(value);
        assert!(bytes.len() >= T::MIN_BYTES, "{value:?}");
        assert_eq!(from_bytes::<T>(&bytes).as_ref(), Ok(value));
        for length in 0..bytes.len() {
            assert!(from_bytes::<T>(&bytes[..length]).is_err(), "{value:?} cut to {length}");
        }
        bytes.push(0);
        assert!(from_bytes::<T>(&bytes).is_err(), "{value:?} with a tail");
        bytes.pop();
        bytes
    }

    /// Whatever a damaged input decodes to, its encoding is that input.
    fn survives_flipped_bits<T: Wire + PartialEq + fmt::Debug>(bytes: &[u8]) {
        let mut damaged = bytes.to_vec();
        for position in 0..bytes.len() {
            for bit in 0..8 {
                damaged[position] ^= 1 << bit;
                if let Ok(value) = from_bytes::<T>(&damaged) {
                    assert_eq!(to_bytes(&value), damaged, "{value:?}");
                }
                damaged[position] ^= 1 << bit;
            }
        }
    }

    #[test]
    fn a_put_has_its_bytes() {
        let op = Put { lease: LeaseId(-1), prev_kv: true, ..put("k", "vv") };
        let command = Command::tagged(ClientId(3), 4, Op::Put(op));
        let expected = [
            &[1, 1, 3, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0][..],
            &[1, 1, 0, 0, 0, b'k', 2, 0, 0, 0, b'v', b'v'],
            &[255, 255, 255, 255, 255, 255, 255, 255, 4],
        ];
        assert_eq!(round_trips(&command), expected.concat());
    }

    #[test]
    fn what_is_not_known_is_refused_where_it_stands() {
        let cases: [(&[u8], &str); 6] = [
            (&[2, 0, 0], "byte 0: unknown version"),
            (&[1, 2, 0], "byte 1: a flag is neither 0 nor 1"),
            (&[1, 0, 6], "byte 2: unknown tag of Op"),
            (&[1, 0, 2, 3], "byte 3: unknown tag of KeyRange"),
            (&[1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8], "byte 19: unknown flag"),
            (&[1, 0, 3, 255, 255, 255, 255], "byte 3: a count is larger than the rest of the input allows"),
        ];
        for (bytes, expected) in cases {
            let error = from_bytes::<Command>(bytes).expect_err("refused");
            assert_eq!(error.to_string(), expected);
            let mut store: Store = Store::default();
            let id = EntryId::new(Term(1), Index(1));
            assert_eq!(apply(&mut store, id, &Bytes::from(bytes)), Err(ApplyError::Undecodable(error)));
            assert_eq!(store, Store::default(), "the store has not changed");
        }
    }

    /// Random logs: every command, response and snapshot round-trips; applying the bytes is applying
    /// the command; a store restored from a snapshot cannot be told from the original.
    #[test]
    fn bytes_stand_for_the_values() {
        for seed in 0..300 {
            let mut dice = Dice::new(seed);
            let mut log = Log::<Shipped>::new(5);
            let mut by_bytes = log.store.clone();
            for step in 0..30 {
                let command = dice.command();
                let bytes = round_trips(&command);
                let id = log.next();
                let response = log.command(&command);
                assert_eq!(
                    apply(&mut by_bytes, id, &Bytes::from(bytes.as_slice())).as_ref(),
                    Ok(&response),
                    "{command:?}"
                );
                let response_bytes = round_trips(&response);
                if step % 10 == 0 {
                    survives_flipped_bits::<Command>(&bytes);
                    survives_flipped_bits::<Response>(&response_bytes);
                    let snapshot = round_trips(&log.store.snapshot().expect("memory"));
                    survives_flipped_bits::<Snapshot>(&snapshot);
                    let mut restored: Store = Store::open(BTreeEngine::new(1));
                    restored.restore(from_bytes(&snapshot).expect("decodes")).expect("memory");
                    assert_eq!(restored, by_bytes);
                    by_bytes = restored;
                }
            }
            assert_eq!(log.store, by_bytes, "seed {seed}");
        }
    }

    #[test]
    fn arbitrary_bytes_do_no_harm() {
        let mut dice = Dice::new(1);
        for _ in 0..20_000 {
            let length = dice.below(60);
            let mut bytes: Vec<u8> = (0..length).map(|_| dice.below(6) as u8).collect();
            if let Some(version) = bytes.first_mut() {
                *version = 1;
            }
            let _ = from_bytes::<Command>(&bytes);
            let _ = from_bytes::<Response>(&bytes);
            let _ = from_bytes::<Snapshot>(&bytes);
        }
    }

    #[test]
    fn a_snapshot_that_no_store_could_have_written_is_refused() {
        let mut log = Log::<Shipped>::new(5);
        let client = log.open_session();
        log.tagged(client, 1, put("a", "1"));
        log.run(put("b", "1"));
        log.run(put("a", "2"));
        let good = log.store.snapshot().expect("memory");
        round_trips(&good);
        let mut cases: Vec<(&str, Snapshot)> = vec![];
        let mut case = |name, change: &dyn Fn(&mut Snapshot)| {
            let mut bad = good.clone();
            change(&mut bad);
            cases.push((name, bad));
        };
        case("keys out of order", &|bad| bad.keys.swap(0, 1));
        case("a key twice", &|bad| bad.keys[1] = bad.keys[0].clone());
        case("a key from the future", &|bad| bad.position.revision = Revision(3));
        case("a revision without an entry", &|bad| bad.position.revision = Revision(9));
        case("revision 0", &|bad| bad.position.revision = Revision(0));
        case("created after the last put", &|bad| bad.keys[0].record.create_revision = Revision(5));
        case("created before the first change", &|bad| bad.keys[0].record.create_revision = Revision(1));
        case("never put", &|bad| bad.keys[0].record.version = 0);
        case("put more often than revisions allow", &|bad| bad.keys[0].record.version = 9);
        case("a session from the future", &|bad| {
            let session = Session { last_used: Index(9), answered: None };
            assert!(bad.sessions.insert(ClientId(2), session));
        });
        case("a session used before it was opened", &|bad| {
            let session = Session { last_used: Index(2), answered: None };
            assert!(bad.sessions.insert(ClientId(3), session));
        });
        case("a session that has expired", &|bad| {
            bad.position.applied.index = Index(8);
        });
        for (name, bad) in cases {
            assert!(from_bytes::<Snapshot>(&to_bytes(&bad)).is_err(), "{name}");
        }
    }
}
