//! How operations are evaluated: what they find, what they would change, whether they are refused.
//!
//! Nothing here writes. Steps put their changes into an [`Overlay`] over the state before the
//! command; the store commits it as one batch, or drops it if a step is refused. So a refusal leaves
//! no trace, later steps see earlier ones, and compares, which read below the overlay, do not.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::iter;
use core::marker::PhantomData;

use super::command::{Blob, Compare, Delete, KeyRange, Put, Revision, SimpleOp, Target, Txn, TxnOp};
use super::engine::{Change, EngineError, Position, View};
use super::key::Key;
use super::response::{
    DeleteOutcome, KeyValue, PutOutcome, Record, Refusal, SimpleOutcome, TxnOpOutcome, TxnOutcome,
};
use super::rules::Rules;
use super::session::Sessions;

/// How many compares, and how many steps in either list, a transaction may have. What a transaction
/// uses of it, by its longest list, is no longer free for one nested in it.
pub const TXN_OPS_MAX: usize = 128;

/// Why an evaluation ends early.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Halt {
    /// The command is refused: a response.
    Refused(Refusal),
    /// The engine failed: the node stops.
    Engine(EngineError),
}

impl From<Refusal> for Halt {
    fn from(refusal: Refusal) -> Halt {
        Halt::Refused(refusal)
    }
}

impl From<EngineError> for Halt {
    fn from(error: EngineError) -> Halt {
        Halt::Engine(error)
    }
}

/// What a put makes of its key in the state `view`, at `revision`.
pub(super) fn put<B: Blob>(
    view: &impl View,
    put: &Put<B>,
    revision: Revision,
) -> Result<(KeyValue, PutOutcome), Halt> {
    check_put(put)?;
    let Some(previous) = view.get(put.key.as_slice())? else {
        if put.ignore_value || put.ignore_lease {
            return Err(Refusal::KeyNotFound.into());
        }
        let record = Record::created(put.value.to_value(), put.lease, revision);
        return Ok((KeyValue { key: put.key.to_key(), record }, PutOutcome::default()));
    };
    let KeyValue { key, mut record } = previous.clone();
    let value = if put.ignore_value { record.value.clone() } else { put.value.to_value() };
    let lease = if put.ignore_lease { record.lease } else { put.lease };
    record.put(value, lease, revision);
    Ok((KeyValue { key, record }, PutOutcome { prev_kv: put.prev_kv.then_some(previous) }))
}

/// Refuses a put that contradicts itself.
fn check_put<B: Blob>(put: &Put<B>) -> Result<(), Refusal> {
    if put.ignore_value && !put.value.as_slice().is_empty() {
        return Err(Refusal::ValueProvided);
    }
    if put.ignore_lease && put.lease != super::LeaseId::NONE {
        return Err(Refusal::LeaseProvided);
    }
    Ok(())
}

/// A state with changes on top.
struct Overlay<'a, V> {
    base: &'a V,
    /// The record of each changed key; none for a deleted one.
    changes: BTreeMap<Key, Option<Record>>,
}

impl<V: View> View for Overlay<'_, V> {
    fn get(&self, key: &[u8]) -> Result<Option<KeyValue>, EngineError> {
        match self.changes.get_key_value(key) {
            Some((key, record)) => Ok(record.clone().map(|record| KeyValue { key: key.clone(), record })),
            None => self.base.get(key),
        }
    }

    fn range(&self, keys: &KeyRange) -> impl Iterator<Item = Result<KeyValue, EngineError>> {
        let mut base = self.base.range(keys).peekable();
        let mut changes = self.changes.range::<[u8], _>(keys.bounds()).peekable();
        iter::from_fn(move || {
            loop {
                let Some((changed, _)) = changes.peek() else { return base.next() };
                match base.peek() {
                    Some(Err(_)) => return base.next(),
                    Some(Ok(below)) if below.key < **changed => return base.next(),
                    Some(Ok(below)) if below.key == **changed => {
                        base.next();
                    }
                    _ => {}
                }
                if let Some((key, Some(record))) = changes.next() {
                    return Some(Ok(KeyValue { key: key.clone(), record: record.clone() }));
                }
            }
        })
    }

    fn sessions(&self) -> &Sessions {
        self.base.sessions()
    }

    fn position(&self) -> Position {
        self.base.position()
    }
}

/// A command in the middle of its evaluation.
pub(super) struct Evaluation<'a, V, R> {
    overlay: Overlay<'a, V>,
    /// The revision that all its changes carry.
    revision: Revision,
    /// Whether it put or removed a key, even if a later step undid that.
    changed: bool,
    rules: PhantomData<R>,
}

impl<'a, V: View, R: Rules> Evaluation<'a, V, R> {
    /// Begins on the state `base`; changes will carry `revision`.
    pub(super) fn new(base: &'a V, revision: Revision) -> Evaluation<'a, V, R> {
        let overlay = Overlay { base, changes: BTreeMap::new() };
        Evaluation { overlay, revision, changed: false, rules: PhantomData }
    }

    /// Ends: the changes by ascending key, if something changed.
    pub(super) fn finish(self) -> Option<Changes> {
        assert!(self.changed || self.overlay.changes.is_empty(), "a change was not counted");
        self.changed.then_some(Changes(self.overlay.changes))
    }

    /// Checks and evaluates a transaction.
    pub(super) fn txn(&mut self, txn: &Txn) -> Result<TxnOutcome, Halt> {
        txn.check()?;
        self.branch(txn, |this, op| match op {
            TxnOp::Simple(op) => this.simple(op).map(TxnOpOutcome::Simple),
            TxnOp::Txn(inner) => this.branch(inner, Self::simple).map(TxnOpOutcome::Txn),
        })
    }

    fn branch<O, T>(
        &mut self,
        txn: &Txn<O>,
        step: impl Fn(&mut Self, &O) -> Result<T, Halt>,
    ) -> Result<TxnOutcome<T>, Halt> {
        let succeeded = self.all_hold(&txn.compares)?;
        let taken = if succeeded { &txn.then } else { &txn.otherwise };
        let outcomes = taken.iter().map(|op| step(self, op)).collect::<Result<Vec<T>, Halt>>()?;
        Ok(TxnOutcome { succeeded, outcomes })
    }

    fn all_hold(&self, compares: &[Compare]) -> Result<bool, EngineError> {
        for compare in compares {
            let holds = if R::compares_see_earlier_steps() {
                compare.holds(&self.overlay)?
            } else {
                compare.holds(self.overlay.base)?
            };
            if !holds {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn simple(&mut self, op: &SimpleOp) -> Result<SimpleOutcome, Halt> {
        match op {
            SimpleOp::Range(range) => Ok(SimpleOutcome::Range(self.overlay.read(range)?)),
            SimpleOp::Put(op) => Ok(SimpleOutcome::Put(self.put(op)?)),
            SimpleOp::Delete(op) => Ok(SimpleOutcome::Deleted(self.delete(op)?)),
        }
    }

    /// Sets a key.
    pub(super) fn put(&mut self, op: &Put) -> Result<PutOutcome, Halt> {
        let (KeyValue { key, record }, outcome) = put(&self.overlay, op, self.revision)?;
        self.overlay.changes.insert(key, Some(record));
        self.changed = true;
        Ok(outcome)
    }

    /// Removes the keys of a range.
    pub(super) fn delete(&mut self, delete: &Delete) -> Result<DeleteOutcome, EngineError> {
        let found = self.overlay.range(&delete.keys).collect::<Result<Vec<KeyValue>, EngineError>>()?;
        let deleted = found.len() as u64;
        self.changed |= deleted > 0;
        self.overlay.changes.extend(found.iter().map(|found| (found.key.clone(), None)));
        Ok(DeleteOutcome { deleted, prev_kvs: if delete.prev_kv { found } else { Vec::new() } })
    }
}

/// The changes of an evaluated command, each key once.
pub(super) struct Changes(BTreeMap<Key, Option<Record>>);

impl IntoIterator for Changes {
    type Item = Change;
    type IntoIter = iter::Map<
        alloc::collections::btree_map::IntoIter<Key, Option<Record>>,
        fn((Key, Option<Record>)) -> Change,
    >;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter().map(|(key, record)| match record {
            Some(record) => Change::Put(KeyValue { key, record }),
            None => Change::Delete(key),
        })
    }
}

impl Compare {
    /// Whether the condition holds in the state `view`.
    fn holds(&self, view: &impl View) -> Result<bool, EngineError> {
        let mut is_empty = true;
        for found in view.range(&self.keys) {
            is_empty = false;
            if !self.holds_for(Some(&found?.record)) {
                return Ok(false);
            }
        }
        Ok(!is_empty || self.holds_for(None))
    }

    fn holds_for(&self, record: Option<&Record>) -> bool {
        // Revisions and versions are unsigned and operands signed; both fit into i128.
        let number =
            |of: fn(&Record) -> u64, operand: i64| i128::from(record.map_or(0, of)).cmp(&i128::from(operand));
        let ordering = match &self.target {
            Target::Value(operand) => match record {
                Some(record) => record.value.cmp(operand),
                None => return false,
            },
            Target::Version(operand) => number(|record| record.version, *operand),
            Target::CreateRevision(operand) => number(|record| record.create_revision.0, *operand),
            Target::ModRevision(operand) => number(|record| record.mod_revision.0, *operand),
            Target::Lease(operand) => record.map_or(super::LeaseId::NONE, |record| record.lease).cmp(operand),
        };
        self.relation.holds(ordering)
    }
}

impl Txn {
    /// Refuses a transaction that is malformed whatever the state is, by what either list could do:
    /// first its size, then each step, then keys that are put twice or put and deleted. The steps of
    /// the two lists of one nested transaction exclude each other and may overlap.
    ///
    /// The store checks every transaction; a server may do so before it proposes one.
    pub fn check(&self) -> Result<(), Refusal> {
        let left = self.check_size(TXN_OPS_MAX)?;
        for op in self.then.iter().chain(&self.otherwise) {
            match op {
                TxnOp::Simple(op) => op.check()?,
                TxnOp::Txn(inner) => {
                    inner.check_size(left)?;
                    inner.then.iter().chain(&inner.otherwise).try_for_each(SimpleOp::check)?;
                }
            }
        }
        check_overlap(&self.then)?;
        check_overlap(&self.otherwise)
    }
}

impl<O> Txn<O> {
    /// What is left of `budget`.
    fn check_size(&self, budget: usize) -> Result<usize, Refusal> {
        let longest = self.compares.len().max(self.then.len()).max(self.otherwise.len());
        budget.checked_sub(longest).ok_or(Refusal::TooManyOperations)
    }
}

impl SimpleOp {
    fn check(&self) -> Result<(), Refusal> {
        match self {
            SimpleOp::Put(put) => check_put(put),
            SimpleOp::Range(_) | SimpleOp::Delete(_) => Ok(()),
        }
    }
}

/// Refuses overlapping writes within one list. Deletes of the list count against all its puts;
/// those in a nested transaction count against what nested transactions after it put, and against
/// the list's own puts.
fn check_overlap(ops: &[TxnOp]) -> Result<(), Refusal> {
    let own = || {
        ops.iter().filter_map(|op| match op {
            TxnOp::Simple(op) => Some(op),
            TxnOp::Txn(_) => None,
        })
    };
    let mut written = Written::default();
    own().for_each(|op| written.delete(op));
    for op in ops {
        let TxnOp::Txn(inner) = op else { continue };
        let then = Written::of_list(&inner.then)?;
        let otherwise = Written::of_list(&inner.otherwise)?;
        for key in then.puts.union(&otherwise.puts) {
            written.put(key)?;
        }
        inner.then.iter().chain(&inner.otherwise).for_each(|op| written.delete(op));
    }
    own().try_for_each(|op| written.put_of(op))
}

/// What a list may write so far.
#[derive(Default)]
struct Written<'a> {
    puts: BTreeSet<&'a [u8]>,
    /// The deleted ranges, merged until they neither overlap nor touch: start to end.
    deletes: BTreeMap<&'a [u8], End<'a>>,
}

/// Where a range ends: before a key, after it, or never, in this order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End<'a> {
    /// At a key, which is itself in the range if the flag is set.
    At(&'a [u8], bool),
    Never,
}

impl<'a> Written<'a> {
    fn of_list(ops: &'a [SimpleOp]) -> Result<Written<'a>, Refusal> {
        let mut written = Written::default();
        ops.iter().for_each(|op| written.delete(op));
        ops.iter().try_for_each(|op| written.put_of(op))?;
        Ok(written)
    }

    fn delete(&mut self, op: &'a SimpleOp) {
        let SimpleOp::Delete(delete) = op else { return };
        let (mut start, mut end) = match &delete.keys {
            KeyRange::One(key) => (key.as_slice(), End::At(key, true)),
            KeyRange::Between(from, until) if from < until => (from.as_slice(), End::At(until, false)),
            KeyRange::Between(..) => return,
            KeyRange::From(from) => (from.as_slice(), End::Never),
        };
        if let Some((before, before_end)) = self.deletes.range(..=start).next_back()
            && *before_end >= End::At(start, false)
        {
            (start, end) = (before, end.max(*before_end));
        }
        while let Some((after, after_end)) = self.deletes.range(start..).next()
            && End::At(after, false) <= end
        {
            let after = *after;
            end = end.max(*after_end);
            self.deletes.remove(after);
        }
        self.deletes.insert(start, end);
    }

    fn put_of(&mut self, op: &'a SimpleOp) -> Result<(), Refusal> {
        if let SimpleOp::Put(put) = op { self.put(&put.key) } else { Ok(()) }
    }

    fn put(&mut self, key: &'a [u8]) -> Result<(), Refusal> {
        let deleted = self.deletes.range(..=key).next_back();
        if deleted.is_some_and(|(_, end)| End::At(key, false) < *end) || !self.puts.insert(key) {
            return Err(Refusal::DuplicateKey);
        }
        Ok(())
    }
}
