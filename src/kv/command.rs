//! What a client may ask of the state machine, and the values that requests speak of.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Bound;

use super::key::Key;
use crate::raft::types::Bytes;

/// A point in the history of the store. It grows by one with every command that changed a key and
/// with nothing else; an empty store stands at [`Revision::FIRST`], so the first change has revision 2.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

impl Revision {
    /// The revision of a store that never changed.
    pub const FIRST: Revision = Revision(1);

    /// The revision of the next change.
    #[must_use]
    pub fn next(self) -> Revision {
        Revision(self.0 + 1)
    }
}

impl Default for Revision {
    fn default() -> Revision {
        Revision::FIRST
    }
}

impl fmt::Debug for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rev{}", self.0)
    }
}

/// Names a client session: the log index of the entry that opened it, hence unique (dissertation §6.3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ClientId(pub u64);

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}", self.0)
    }
}

/// Names a lease that a key is attached to; [`LeaseId::NONE`] for a key without one. Signed because
/// etcd's clients choose ids from all of `int64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LeaseId(pub i64);

impl LeaseId {
    /// No lease.
    pub const NONE: LeaseId = LeaseId(0);
}

/// A request to the state machine: the content of a log entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Command {
    /// The session under which the operation takes effect at most once; without one it takes effect
    /// as often as it is in the log.
    pub session: Option<SessionTag>,
    /// What to do.
    pub op: Op,
}

impl Command {
    /// `op` without a session.
    #[must_use]
    pub fn new(op: Op) -> Command {
        Command { session: None, op }
    }

    /// `op` as request `sequence` of `client`.
    #[must_use]
    pub fn tagged(client: ClientId, sequence: u64, op: Op) -> Command {
        Command { session: Some(SessionTag { client, sequence }), op }
    }
}

/// Names a request within a session. A client has one request outstanding at a time and repeats it
/// under the same number until it is answered; a new request has a larger number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionTag {
    /// The session.
    pub client: ClientId,
    /// The number of the request; need not be consecutive.
    pub sequence: u64,
}

/// An operation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    /// Changes nothing; still counts as a use of its session.
    NoOp,
    /// Sets one key.
    Put(Put),
    /// Removes keys.
    Del(Delete),
    /// Compares, then does one of two lists, atomically.
    Txn(Txn),
    /// Opens a session named after the index of this entry.
    OpenSession,
    /// Ends a session before it expires; refused if there is none.
    CloseSession {
        /// The session to end.
        client: ClientId,
    },
}

/// Sets one key. `B` is [`Bytes`], or `&[u8]` for a request that still lies in its log entry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Put<B = Bytes> {
    /// The key.
    pub key: B,
    /// Its new value; must be empty with `ignore_value`.
    pub value: B,
    /// Its new lease. A put without one detaches the key from the lease it had. Must be
    /// [`LeaseId::NONE`] with `ignore_lease`.
    pub lease: LeaseId,
    /// Keep the value the key has; refused if the key does not exist.
    pub ignore_value: bool,
    /// Keep the lease the key has; refused if the key does not exist.
    pub ignore_lease: bool,
    /// Answer with the key as it was before.
    pub prev_kv: bool,
}

impl<B> Put<B> {
    /// A plain put: no lease, nothing kept, no previous value asked for.
    #[must_use]
    pub fn new(key: impl Into<B>, value: impl Into<B>) -> Put<B> {
        Put {
            key: key.into(),
            value: value.into(),
            lease: LeaseId::NONE,
            ignore_value: false,
            ignore_lease: false,
            prev_kv: false,
        }
    }
}

/// Bytes of a request that may become bytes of the store.
pub trait Blob {
    /// The bytes.
    fn as_slice(&self) -> &[u8];
    /// The bytes to keep as a value: shared if they already are, else a copy.
    fn to_value(&self) -> Bytes;
    /// The bytes to keep as a key.
    fn to_key(&self) -> Key;
}

impl Blob for Bytes {
    fn as_slice(&self) -> &[u8] {
        self
    }

    fn to_value(&self) -> Bytes {
        self.clone()
    }

    fn to_key(&self) -> Key {
        Key::from(self)
    }
}

/// A part of a command's bytes, as it lies in its log entry.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// The command.
    pub whole: &'a Bytes,
    /// Where the part starts in it, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
}

impl Blob for Part<'_> {
    fn as_slice(&self) -> &[u8] {
        &self.whole[self.start..self.end]
    }

    /// Shared with the log entry, so that a value is stored once per node; copied if it is a small part,
    /// since it would keep the rest alive.
    fn to_value(&self) -> Bytes {
        if (self.end - self.start) * 2 >= self.whole.len() {
            self.whole.slice(self.start..self.end)
        } else {
            Bytes::from(self.as_slice())
        }
    }

    fn to_key(&self) -> Key {
        Key::from(self.as_slice())
    }
}

impl Blob for &[u8] {
    fn as_slice(&self) -> &[u8] {
        self
    }

    fn to_value(&self) -> Bytes {
        Bytes::from(*self)
    }

    fn to_key(&self) -> Key {
        Key::from(*self)
    }
}

/// Removes keys; those that do not exist are passed over in silence.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Delete {
    /// Which keys.
    pub keys: KeyRange,
    /// Answer with the removed keys as they were.
    pub prev_kv: bool,
}

impl Delete {
    /// Removes `keys` and does not ask what they were.
    #[must_use]
    pub fn new(keys: KeyRange) -> Delete {
        Delete { keys, prev_kv: false }
    }
}

/// Reads keys, in ascending order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Range {
    /// Which keys.
    pub keys: KeyRange,
    /// How many keys the answer holds at most; 0 is no limit.
    pub limit: u64,
    /// Answer with the count alone.
    pub count_only: bool,
    /// Leave the values out of the answer.
    pub keys_only: bool,
}

impl Range {
    /// Reads all of `keys`.
    #[must_use]
    pub fn new(keys: KeyRange) -> Range {
        Range { keys, limit: 0, count_only: false, keys_only: false }
    }
}

/// A set of neighbouring keys, in the order of their bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyRange {
    /// One key.
    One(Bytes),
    /// The keys from the first on and before the second; none if the second is not the larger.
    Between(Bytes, Bytes),
    /// This key and all after it.
    From(Bytes),
}

impl KeyRange {
    /// Every key.
    #[must_use]
    pub fn all() -> KeyRange {
        KeyRange::From(Bytes::default())
    }

    /// The range that etcd's pair of `key` and `range_end` means: an empty end is the one key, an end
    /// of one zero byte is everything from the key on, any other end is exclusive.
    #[must_use]
    pub fn of_pair(key: Bytes, range_end: Bytes) -> KeyRange {
        match range_end.as_slice() {
            [] => KeyRange::One(key),
            [0] => KeyRange::From(key),
            _ => KeyRange::Between(key, range_end),
        }
    }

    /// Whether `key` is in the range.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        match self {
            KeyRange::One(one) => one.as_slice() == key,
            KeyRange::Between(from, until) => from.as_slice() <= key && key < until.as_slice(),
            KeyRange::From(from) => from.as_slice() <= key,
        }
    }

    /// The bounds for the range of an ordered map: never out of order, so no map panics at them.
    #[must_use]
    pub fn bounds(&self) -> (Bound<&[u8]>, Bound<&[u8]>) {
        match self {
            KeyRange::One(key) => (Bound::Included(key), Bound::Included(key)),
            KeyRange::Between(from, until) => (Bound::Included(from), Bound::Excluded(until.max(from))),
            KeyRange::From(from) => (Bound::Included(from), Bound::Unbounded),
        }
    }
}

/// Compares, and does `then` if every compare holds, else `otherwise`. All or nothing: a refused part
/// refuses the whole. `O` is [`TxnOp`], or [`SimpleOp`] for the nested one, which limits the nesting
/// to one level by type.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Txn<O = TxnOp> {
    /// What must hold. They see the store before the whole transaction, nested ones too.
    pub compares: Vec<Compare>,
    /// Done in order if all compares hold. Each sees the effects of those before it.
    pub then: Vec<O>,
    /// Done in order otherwise.
    pub otherwise: Vec<O>,
}

/// A step of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TxnOp {
    /// A step that touches keys.
    Simple(SimpleOp),
    /// A transaction within the transaction.
    Txn(Txn<SimpleOp>),
}

/// A step of a transaction that touches keys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SimpleOp {
    /// Reads keys.
    Range(Range),
    /// Sets one key.
    Put(Put),
    /// Removes keys.
    Delete(Delete),
}

impl From<SimpleOp> for TxnOp {
    fn from(op: SimpleOp) -> TxnOp {
        TxnOp::Simple(op)
    }
}

/// A condition on keys. It holds if it holds of every key in the range; a range without keys counts
/// as one missing key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Compare {
    /// Which keys.
    pub keys: KeyRange,
    /// What of the key stands on the left of the relation and, as its content, on the right.
    pub target: Target,
    /// The relation.
    pub relation: Relation,
}

/// What is compared, with the operand. Numbers of a missing key are 0; operands are signed as in
/// etcd. A value of a missing key is in no relation to anything, not even unequal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// The value, in the order of its bytes.
    Value(Bytes),
    /// How often the key was put since it was created.
    Version(i64),
    /// The revision that created the key.
    CreateRevision(i64),
    /// The revision that last put the key.
    ModRevision(i64),
    /// The lease.
    Lease(LeaseId),
}

/// How the key's side must stand to the operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Relation {
    /// The same.
    Equal,
    /// Larger.
    Greater,
    /// Smaller.
    Less,
    /// Not the same.
    NotEqual,
}

impl Relation {
    /// Whether `ordering`, of the key's side to the operand, satisfies the relation.
    #[must_use]
    pub fn holds(self, ordering: core::cmp::Ordering) -> bool {
        match self {
            Relation::Equal => ordering.is_eq(),
            Relation::Greater => ordering.is_gt(),
            Relation::Less => ordering.is_lt(),
            Relation::NotEqual => ordering.is_ne(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    #[test]
    fn ranges_mean_what_etcd_means_by_the_pair() {
        let cases: [(&str, &str, &[&str]); 8] = [
            ("b", "", &["b"]),
            ("b", "d", &["b", "c"]),
            ("b", "c\0", &["b", "c"]),
            ("b", "b", &[]),
            ("d", "b", &[]),
            ("c", "\0", &["c", "d"]),
            ("\0", "\0", &["a", "b", "c", "d"]),
            ("x", "", &[]),
        ];
        let keys: BTreeSet<Bytes> = ["a", "b", "c", "d"].map(Bytes::from).into();
        for (key, end, expected) in cases {
            let range = KeyRange::of_pair(key.into(), end.into());
            let expected: Vec<Bytes> = expected.iter().map(|key| Bytes::from(*key)).collect();
            let by_bounds: Vec<Bytes> = keys.range::<[u8], _>(range.bounds()).cloned().collect();
            assert_eq!(by_bounds, expected, "{range:?}");
            let contained: Vec<Bytes> = keys.iter().filter(|key| range.contains(key)).cloned().collect();
            assert_eq!(contained, expected, "{range:?}");
        }
        assert!(KeyRange::all().contains(b""));
    }
}
