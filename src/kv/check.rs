//! Which requests are malformed whatever the state is.

use alloc::collections::{BTreeMap, BTreeSet};

use super::command::{Blob, KeyRange, LeaseId, Put, SimpleOp, Txn, TxnOp};
use super::response::Refusal;

/// How many compares, and how many steps in either list, a transaction may have. What a transaction
/// uses of it, by its longest list, is no longer free for one nested in it.
pub const TXN_OPS_MAX: usize = 128;

/// Refuses a put that contradicts itself.
pub(super) fn check_put<B: Blob>(put: &Put<B>) -> Result<(), Refusal> {
    if put.ignore_value && !put.value.as_slice().is_empty() {
        return Err(Refusal::ValueProvided);
    }
    if put.ignore_lease && put.lease != LeaseId::NONE {
        return Err(Refusal::LeaseProvided);
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::fixture::{between, one, put};
    use crate::kv::{Compare, Delete, Range, Relation, Target};
    use alloc::vec;
    use alloc::vec::Vec;

    fn nested(then: Vec<SimpleOp>, otherwise: Vec<SimpleOp>) -> TxnOp {
        TxnOp::Txn(Txn { compares: vec![], then, otherwise })
    }

    fn p(key: &str) -> SimpleOp {
        put(key, "v").into()
    }

    fn d(keys: KeyRange) -> SimpleOp {
        Delete::new(keys).into()
    }

    fn r(key: &str) -> SimpleOp {
        Range::new(one(key)).into()
    }

    #[test]
    fn a_list_may_not_put_a_key_twice_nor_put_what_it_deletes() {
        let cases: Vec<(Vec<TxnOp>, bool)> = vec![
            (vec![p("a").into(), p("b").into()], true),
            (vec![p("a").into(), p("a").into()], false),
            (vec![p("a").into(), r("a").into()], true),
            (vec![p("a").into(), d(one("a")).into()], false),
            (vec![d(one("a")).into(), p("a").into()], false),
            (vec![d(between("a", "c")).into(), p("b").into()], false),
            (vec![d(between("a", "c")).into(), p("c").into()], true),
            (vec![d(between("c", "a")).into(), p("b").into()], true),
            (vec![d(KeyRange::From("b".into())).into(), p("zz").into()], false),
            (vec![d(KeyRange::From("b".into())).into(), p("a").into()], true),
            (vec![d(one("a")).into(), d(KeyRange::all()).into()], true),
            // Ranges that overlap and touch, in any order.
            (vec![d(between("c", "d")).into(), d(between("a", "c")).into(), p("d").into()], true),
            (vec![d(between("c", "d")).into(), d(between("a", "b")).into(), p("bb").into()], true),
            (vec![d(between("a", "z")).into(), d(between("b", "c")).into(), p("x").into()], false),
            (vec![d(one("a")).into(), d(between("a", "z")).into(), p("x").into()], false),
            // Nested lists count with the list around them.
            (vec![p("a").into(), nested(vec![p("a")], vec![])], false),
            (vec![p("a").into(), nested(vec![], vec![p("a")])], false),
            (vec![d(one("a")).into(), nested(vec![p("a")], vec![])], false),
            (vec![nested(vec![], vec![d(one("a"))]), p("a").into()], false),
            (vec![nested(vec![p("a"), p("a")], vec![])], false),
            (vec![nested(vec![p("a"), d(one("a"))], vec![])], false),
            (vec![nested(vec![p("a")], vec![]), nested(vec![], vec![p("a")])], false),
            (vec![nested(vec![d(one("a"))], vec![]), nested(vec![p("a")], vec![])], false),
            // The two lists of one transaction exclude each other.
            (vec![nested(vec![p("a")], vec![p("a")])], true),
            (vec![nested(vec![p("a")], vec![d(one("a"))])], true),
        ];
        for (list, is_allowed) in cases {
            let expected = if is_allowed { Ok(()) } else { Err(Refusal::DuplicateKey) };
            let then = Txn { compares: vec![], then: list.clone(), otherwise: vec![p("a").into()] };
            assert_eq!(then.check(), expected, "{list:?}");
            let otherwise = Txn { compares: vec![], then: vec![p("a").into()], otherwise: list.clone() };
            assert_eq!(otherwise.check(), expected, "the list not taken counts: {list:?}");
        }
    }

    #[test]
    fn the_number_of_operations_is_limited_and_nested_ones_share_it() {
        let reads = |count: usize| vec![r("a"); count];
        let steps = |count: usize| -> Vec<TxnOp> { reads(count).into_iter().map(TxnOp::Simple).collect() };
        let compares = |count: usize| {
            let compare = Compare { keys: one("a"), relation: Relation::Equal, target: Target::Version(0) };
            vec![compare; count]
        };
        let with_nested = |outer: usize, inner: usize| {
            let mut then = steps(outer - 1);
            then.push(nested(reads(inner), vec![]));
            Txn { compares: vec![], then, otherwise: vec![] }
        };
        let max = TXN_OPS_MAX;
        let cases = [
            (Txn { compares: compares(max), then: steps(max), otherwise: steps(max) }, true),
            (Txn { compares: compares(max + 1), then: vec![], otherwise: vec![] }, false),
            (Txn { compares: vec![], then: steps(max + 1), otherwise: vec![] }, false),
            (Txn { compares: vec![], then: vec![], otherwise: steps(max + 1) }, false),
            (with_nested(28, max - 28), true),
            (with_nested(28, max - 27), false),
        ];
        for (txn, is_allowed) in cases {
            let expected = if is_allowed { Ok(()) } else { Err(Refusal::TooManyOperations) };
            assert_eq!(txn.check(), expected, "{} {}", txn.compares.len(), txn.then.len());
        }
    }

    #[test]
    fn a_put_may_not_contradict_itself_in_either_list() {
        let bad = SimpleOp::from(Put { ignore_value: true, ..put("a", "v") });
        let lists: [Vec<TxnOp>; 2] = [vec![bad.clone().into()], vec![nested(vec![], vec![bad])]];
        for list in lists {
            let txn = Txn { compares: vec![], then: vec![], otherwise: list };
            assert_eq!(txn.check(), Err(Refusal::ValueProvided));
        }
    }
}
