//! What tests of the state machine share: short names for operations, and a log that feeds a store.

use alloc::vec::Vec;

use super::*;
use crate::raft::types::{Bytes, EntryId, Term};

pub(crate) fn one(key: &str) -> KeyRange {
    KeyRange::One(key.into())
}

pub(crate) fn put(key: &str, value: &str) -> Put {
    Put::new(key, value)
}

pub(crate) fn between(from: &str, until: &str) -> KeyRange {
    KeyRange::Between(from.into(), until.into())
}

pub(crate) fn compare(key: &str, relation: Relation, target: Target) -> Compare {
    Compare { keys: one(key), relation, target }
}

/// A store and the log that it applies, entry after entry.
pub(crate) struct Log<R = Shipped> {
    pub(crate) store: Store<BTreeEngine, R>,
}

impl<R: Rules> Log<R> {
    pub(crate) fn new(session_ttl_entries: u64) -> Log<R> {
        Log { store: Store::open(BTreeEngine::new(session_ttl_entries)) }
    }

    pub(crate) fn next(&self) -> EntryId {
        EntryId::new(Term(1), self.store.applied().index.next())
    }

    pub(crate) fn command(&mut self, command: &Command) -> Response {
        let id = self.next();
        let response = self.store.apply(id, command).expect("an engine in memory does not fail");
        assert_eq!(self.store.applied(), id);
        response
    }

    /// Runs `op` without a session.
    pub(crate) fn run(&mut self, op: impl Into<Op>) -> Response {
        self.command(&Command::new(op.into()))
    }

    /// Runs `op` as request `sequence` of `client`.
    pub(crate) fn tagged(&mut self, client: ClientId, sequence: u64, op: impl Into<Op>) -> Response {
        self.command(&Command::tagged(client, sequence, op.into()))
    }

    pub(crate) fn open_session(&mut self) -> ClientId {
        match self.run(Op::OpenSession).outcome {
            Outcome::SessionOpened { client } => client,
            other => panic!("a session was not opened: {other:?}"),
        }
    }

    /// The key as (value, create revision, mod revision, version).
    pub(crate) fn key(&self, key: &str) -> Option<(Vec<u8>, u64, u64, u64)> {
        let found = self.store.get(key.as_bytes()).expect("an engine in memory does not fail")?;
        let Record { value, create_revision, mod_revision, version, .. } = found.record;
        Some((value.to_vec(), create_revision.0, mod_revision.0, version))
    }
}

/// An engine that takes what the trait gives, and whose cursors may break.
#[derive(Clone)]
pub(crate) struct Plain {
    pub(crate) kept: BTreeEngine,
    /// A cursor fails at this key instead of giving it, and ends.
    pub(crate) broken: Option<Key>,
}

impl Plain {
    pub(crate) fn error() -> EngineError {
        EngineError { reason: "a page cannot be read".into() }
    }
}

impl View for Plain {
    fn get(&self, key: &[u8]) -> Result<Option<KeyValue>, EngineError> {
        self.kept.get(key)
    }

    fn range(&self, keys: &KeyRange) -> impl Iterator<Item = Result<KeyValue, EngineError>> {
        let mut is_at_end = false;
        self.kept.range(keys).map_while(move |found| {
            let is_broken = found.as_ref().is_ok_and(|found| self.broken.as_ref() == Some(&found.key));
            let item = if is_broken { Err(Plain::error()) } else { found };
            (!core::mem::replace(&mut is_at_end, is_broken)).then_some(item)
        })
    }

    fn sessions(&self) -> &Sessions {
        self.kept.sessions()
    }

    fn position(&self) -> Position {
        self.kept.position()
    }
}

impl Engine for Plain {
    type View = Plain;

    fn commit<C: IntoIterator<Item = Change>>(&mut self, batch: Batch<C>) -> Result<(), EngineError> {
        self.kept.commit(batch)
    }

    fn view(&self) -> Plain {
        self.clone()
    }

    fn durable_applied(&self) -> EntryId {
        self.kept.durable_applied()
    }

    fn replace(&mut self, snapshot: Snapshot) -> Result<(), EngineError> {
        self.kept.replace(snapshot)
    }
}

impl From<Put> for Op {
    fn from(put: Put) -> Op {
        Op::Put(put)
    }
}

impl From<Delete> for Op {
    fn from(delete: Delete) -> Op {
        Op::Del(delete)
    }
}

impl From<Txn> for Op {
    fn from(txn: Txn) -> Op {
        Op::Txn(txn)
    }
}

impl From<Put> for SimpleOp {
    fn from(put: Put) -> SimpleOp {
        SimpleOp::Put(put)
    }
}

impl From<Delete> for SimpleOp {
    fn from(delete: Delete) -> SimpleOp {
        SimpleOp::Delete(delete)
    }
}

impl From<Range> for SimpleOp {
    fn from(range: Range) -> SimpleOp {
        SimpleOp::Range(range)
    }
}

/// A stream of numbers that is the same every time (xorshift).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(seed * 2 + 1)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }

    fn flag(&mut self) -> bool {
        self.below(3) == 0
    }

    /// One of four keys, one of them too long to be kept in place.
    fn key(&mut self) -> Bytes {
        Bytes::from(["", "a", "b", "a key that is longer than the others"][self.below(4) as usize])
    }

    fn keys(&mut self) -> KeyRange {
        match self.below(4) {
            0 => KeyRange::Between(self.key(), self.key()),
            1 => KeyRange::From(self.key()),
            _ => KeyRange::One(self.key()),
        }
    }

    fn put(&mut self) -> Put {
        let keeps = self.below(8) == 0;
        Put {
            key: self.key(),
            value: if keeps && self.flag() { Bytes::default() } else { self.key() },
            lease: LeaseId(if self.flag() { 7 } else { 0 }),
            ignore_value: keeps && self.flag(),
            ignore_lease: keeps,
            prev_kv: self.flag(),
        }
    }

    pub(crate) fn simple(&mut self) -> SimpleOp {
        match self.below(3) {
            0 => SimpleOp::Put(self.put()),
            1 => SimpleOp::Delete(Delete { keys: self.keys(), prev_kv: self.flag() }),
            _ => SimpleOp::Range(Range {
                keys: self.keys(),
                limit: self.below(3),
                count_only: self.flag(),
                keys_only: self.flag(),
            }),
        }
    }

    fn txn<O>(&mut self, step: fn(&mut Dice) -> O) -> Txn<O> {
        let relations = [Relation::Equal, Relation::Greater, Relation::Less, Relation::NotEqual];
        let compares = (0..self.below(2))
            .map(|_| Compare {
                keys: self.keys(),
                relation: relations[self.below(4) as usize],
                target: match self.below(5) {
                    0 => Target::Value(self.key()),
                    1 => Target::Version(self.below(3) as i64),
                    2 => Target::CreateRevision(self.below(9) as i64 - 1),
                    3 => Target::ModRevision(self.below(9) as i64),
                    _ => Target::Lease(LeaseId(7)),
                },
            })
            .collect();
        let mut list = || (0..self.below(4)).map(|_| step(self)).collect();
        Txn { compares, then: list(), otherwise: list() }
    }

    /// Any command; sessions are those of the first entries.
    pub(crate) fn command(&mut self) -> Command {
        let session =
            self.flag().then(|| SessionTag { client: ClientId(self.below(6)), sequence: self.below(9) });
        let op = match self.below(10) {
            0 => Op::NoOp,
            1 => Op::OpenSession,
            2 => Op::CloseSession { client: ClientId(self.below(6)) },
            3 => Op::Del(Delete { keys: self.keys(), prev_kv: self.flag() }),
            4..7 => Op::Txn(self.txn(|dice| match dice.below(4) {
                0 => TxnOp::Txn(dice.txn(Dice::simple)),
                _ => TxnOp::Simple(dice.simple()),
            })),
            _ => Op::Put(self.put()),
        };
        Command { session, op }
    }
}
