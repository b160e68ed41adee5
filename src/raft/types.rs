//! The nouns of the protocol: identifiers, entries, configurations, what must be durable.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};

/// Identifies one member for the whole life of a cluster. A member that lost its disk comes back
/// under a new id. No decision of the protocol compares two ids for order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct NodeId(pub u64);

/// Raft's logical time (paper §5.1). Term 0 has no leader and no entries.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Term(pub u64);

/// A position in the log; the first entry is at 1, and 0 is the position before the log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Index(pub u64);

/// Names one read or one client request. The environment draws it, larger than all that it drew before,
/// even across a restart, so that a late reply to an earlier incarnation cannot answer a new request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RequestId(pub u64);

impl Term {
    /// The term before the first.
    pub const ZERO: Term = Term(0);

    /// The term a campaign would start.
    #[must_use]
    pub fn next(self) -> Term {
        Term(self.0 + 1)
    }
}

impl Index {
    /// The position before the first entry.
    pub const ZERO: Index = Index(0);

    /// The position after this one.
    #[must_use]
    pub fn next(self) -> Index {
        Index(self.0 + 1)
    }

    /// The position before this one. Panics at [`Index::ZERO`], which has none.
    #[must_use]
    pub fn prev(self) -> Index {
        assert!(self.0 > 0, "the position before the log has no predecessor");
        Index(self.0 - 1)
    }

    /// The position `count` further on.
    #[must_use]
    pub fn plus(self, count: u64) -> Index {
        Index(self.0 + count)
    }
}

/// The name of an entry. Two entries with the same id are the same entry (log matching, §5.3).
///
/// The derived order, term before index, is exactly the "more up-to-date" order of §5.4.1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EntryId {
    /// The term of the leader that created the entry.
    pub term: Term,
    /// Its position in the log.
    pub index: Index,
}

impl EntryId {
    /// The sentinel before the first entry of every log.
    pub const ZERO: EntryId = EntryId { term: Term::ZERO, index: Index::ZERO };

    /// Names the entry of `term` at `index`.
    #[must_use]
    pub fn new(term: Term, index: Index) -> EntryId {
        EntryId { term, index }
    }
}

/// What a client asks the state machine to do, as consensus sees it: an opaque value with a size.
pub trait Command: Clone + Eq + Ord + Hash + fmt::Debug {
    /// Bytes that this command takes on the wire, to bound what is in flight.
    fn size_bytes(&self) -> usize;
}

impl Command for u8 {
    fn size_bytes(&self) -> usize {
        1
    }
}

/// Shared, immutable bytes: a command in production, a key, a value. Cloning and slicing share the
/// allocation; equality, order and hash are those of the content.
#[derive(Clone)]
pub struct Bytes {
    whole: Arc<[u8]>,
    start: u32,
    end: u32,
}

impl Bytes {
    /// The most bytes that one value holds.
    pub const LEN_MAX: usize = u32::MAX as usize;

    /// The bytes themselves.
    #[must_use]
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        &self.whole[self.start as usize..self.end as usize]
    }

    /// A part of these bytes in the same allocation, which lives as long as any part of it. Panics unless
    /// `range` lies within them.
    #[must_use]
    pub fn slice(&self, range: core::ops::Range<usize>) -> Bytes {
        assert!(range.start <= range.end && range.end <= self.len(), "a slice lies within its bytes");
        let start = self.start + u32::try_from(range.start).expect("within a length of 32 bits");
        let end = self.start + u32::try_from(range.end).expect("within a length of 32 bits");
        Bytes { whole: Arc::clone(&self.whole), start, end }
    }

    fn of(whole: Arc<[u8]>) -> Bytes {
        let end = u32::try_from(whole.len()).expect("a value has at most 4 GiB");
        Bytes { whole, start: 0, end }
    }
}

impl PartialEq for Bytes {
    fn eq(&self, other: &Bytes) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Bytes {}

impl PartialOrd for Bytes {
    fn partial_cmp(&self, other: &Bytes) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Bytes {
    fn cmp(&self, other: &Bytes) -> Ordering {
        self.as_slice().cmp(other.as_slice())
    }
}

impl Hash for Bytes {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_slice().hash(state);
    }
}

impl Command for Bytes {
    fn size_bytes(&self) -> usize {
        self.len()
    }
}

impl Default for Bytes {
    fn default() -> Bytes {
        Bytes::of(Arc::from(&[][..]))
    }
}

impl core::ops::Deref for Bytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl core::borrow::Borrow<[u8]> for Bytes {
    fn borrow(&self) -> &[u8] {
        self.as_slice()
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Bytes {
        Bytes::of(Arc::from(bytes))
    }
}

impl From<&str> for Bytes {
    fn from(text: &str) -> Bytes {
        Bytes::from(text.as_bytes())
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Bytes {
        Bytes::of(Arc::from(bytes))
    }
}

/// What an entry carries.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Payload<C> {
    /// Nothing. A new leader appends one to learn which earlier entries are committed (§8).
    Noop,
    /// An operation for the state machine.
    Command(C),
    /// A complete configuration, in force from the moment it is appended (§6). Boxed, because it
    /// is rare and would otherwise double the size of every entry.
    Configuration(Box<Configuration>),
}

/// One position of the log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry<C> {
    /// Its name.
    pub id: EntryId,
    /// Its content.
    pub payload: Payload<C>,
}

impl<C: Command> Entry<C> {
    /// Approximate size on the wire, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        const HEADER_BYTES: usize = 17;
        match &self.payload {
            Payload::Noop => HEADER_BYTES,
            Payload::Command(command) => HEADER_BYTES + command.size_bytes(),
            Payload::Configuration(configuration) => HEADER_BYTES + 8 * configuration.members().count(),
        }
    }
}

/// Term and vote: what Figure 2 calls persistent state besides the log. Both are durable before any
/// message that depends on them leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct HardState {
    /// The latest term this node has seen.
    pub term: Term,
    /// The candidate it voted for in that term.
    pub voted_for: Option<NodeId>,
}

/// Who takes part, and how (§6, dissertation ch. 4).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Configuration {
    /// The voters; in a joint phase those of C_new.
    pub voters: BTreeSet<NodeId>,
    /// The voters of C_old during a joint phase (C_old,new); otherwise none.
    pub outgoing: Option<BTreeSet<NodeId>>,
    /// Members that receive the log and do not count (dissertation §4.2.1). A voter that is being
    /// demoted is listed here and in `outgoing`, and votes until the joint phase is left.
    pub learners: BTreeSet<NodeId>,
}

impl Configuration {
    /// A configuration of voters alone.
    #[must_use]
    pub fn of_voters(voters: impl IntoIterator<Item = NodeId>) -> Configuration {
        Configuration { voters: voters.into_iter().collect(), outgoing: None, learners: BTreeSet::new() }
    }

    /// Whether two majorities are needed.
    #[must_use]
    pub fn is_joint(&self) -> bool {
        self.outgoing.is_some()
    }

    /// Whether `id` votes, in the new or the outgoing set.
    #[must_use]
    pub fn is_voter(&self, id: NodeId) -> bool {
        self.voters.contains(&id) || self.outgoing.as_ref().is_some_and(|outgoing| outgoing.contains(&id))
    }

    /// Whether `id` is a voter of either set or a learner.
    #[must_use]
    pub fn contains(&self, id: NodeId) -> bool {
        self.is_voter(id) || self.learners.contains(&id)
    }

    /// Every member once, ascending within each set.
    pub fn members(&self) -> impl Iterator<Item = NodeId> + '_ {
        let outgoing = self.outgoing.iter().flatten().copied().filter(|id| !self.voters.contains(id));
        let learners = self.learners.iter().copied().filter(|id| !self.is_voter(*id));
        self.voters.iter().copied().chain(outgoing).chain(learners)
    }
}

/// Everything consensus knows of a snapshot; the bytes stay with the environment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SnapshotMeta {
    /// The last entry whose effect the snapshot holds.
    pub last: EntryId,
    /// The configuration in force at that entry. Boxed, because every message is as large as the one
    /// that carries a snapshot's metadata.
    pub configuration: Box<Configuration>,
    /// Size of the snapshot, in bytes.
    pub size_bytes: u64,
    /// CRC-32C of the snapshot's bytes.
    pub checksum: u32,
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

impl fmt::Debug for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{}", self.0)
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "i{}", self.0)
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{}", self.0)
    }
}

impl fmt::Debug for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.index, self.term)
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.index, self.term)
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.as_slice().escape_ascii())
    }
}

impl fmt::Display for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, ids: &BTreeSet<NodeId>| {
            ids.iter()
                .enumerate()
                .try_for_each(|(i, id)| write!(f, "{}{}", if i > 0 { "," } else { "" }, id.0))
        };
        if let Some(outgoing) = &self.outgoing {
            list(f, outgoing)?;
            f.write_str("=>")?;
        }
        list(f, &self.voters)?;
        if !self.learners.is_empty() {
            f.write_str("+")?;
            list(f, &self.learners)?;
        }
        Ok(())
    }
}
