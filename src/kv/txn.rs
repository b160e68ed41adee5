//! How operations are evaluated: what they find, what they would change, whether they are refused.
//!
//! Nothing here writes. Steps put their changes into an [`Overlay`] over the state before the
//! command; the store commits it as one batch, or drops it if a step is refused. So a refusal leaves
//! no trace, later steps see earlier ones, and compares, which read below the overlay, do not.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::iter;
use core::marker::PhantomData;

use super::check::check_put;
use super::command::{Blob, Compare, Delete, KeyRange, LeaseId, Put, Revision, SimpleOp, Target, Txn, TxnOp};
use super::engine::{Change, EngineError, Position, View};
use super::key::Key;
use super::response::{
    DeleteOutcome, KeyValue, PutOutcome, Record, Refusal, SimpleOutcome, TxnOpOutcome, TxnOutcome,
};
use super::rules::Rules;
use super::session::Sessions;

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
            Target::Lease(operand) => record.map_or(LeaseId::NONE, |record| record.lease).cmp(operand),
        };
        self.relation.holds(ordering)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::fixture::{Dice, Log, Plain, between, compare, one, put};
    use crate::kv::{
        BTreeEngine, Command, Op, Outcome, Range, RangeOutcome, Relation, Response, Shipped, Store,
    };
    use crate::raft::types::{Bytes, EntryId, Index, Term};
    use alloc::vec;

    const THEN: Option<bool> = Some(true);
    const ELSE: Option<bool> = Some(false);

    /// A store with "a" and "b" whose cursors break at "b".
    fn broken() -> Store<Plain> {
        let kept = BTreeEngine::new(100);
        let mut store = Store::open(Plain { kept, broken: Some("b".into()) });
        for (key, index) in [("a", 1), ("b", 2)] {
            let id = EntryId::new(Term(1), Index(index));
            store.apply(id, &Command::new(put(key, "1").into())).expect("puts need no cursor");
        }
        store
    }

    /// Changes on top neither hide an error below nor come before it.
    #[test]
    fn an_error_comes_where_it_occurs() {
        let store = broken();
        let mut evaluation = Evaluation::<_, Shipped>::new(store.engine(), Revision(9));
        evaluation.put(&put("c", "1")).expect("puts need no cursor");
        let overlay = &evaluation.overlay;
        let found: Vec<_> =
            overlay.range(&KeyRange::all()).take(2).map(|found| found.map(|found| found.key)).collect();
        assert_eq!(found, [Ok("a".into()), Err(Plain::error())]);
        assert_eq!(overlay.position(), store.engine().position(), "an overlay stands where its base stands");
    }

    #[test]
    fn an_error_of_the_engine_is_never_an_answer() {
        let keys = between("a", "c");
        let delete = Delete::new(keys.clone());
        let reading: [SimpleOp; 2] = [Range::new(keys.clone()).into(), delete.clone().into()];
        let compare = Compare { keys, ..compare("a", Relation::Greater, Target::Version(0)) };
        let compares = Txn { compares: vec![compare], ..always(vec![]) };
        let txns =
            reading.map(|step| always(steps([put("c", "1").into(), step]))).into_iter().chain([compares]);
        for op in txns.map(Op::from).chain([delete.into()]) {
            let mut store = broken();
            let (id, command) = (EntryId::new(Term(1), Index(3)), Command::new(op));
            assert_eq!(store.apply(id, &command), Err(Plain::error()), "{command:?}");
            assert_eq!(store.applied().index, Index(2), "nothing is committed: {command:?}");
        }
    }

    /// "a" was put twice, at revisions 2 and 4, "b" once at 3 with lease 7; "x" does not exist.
    fn log() -> Log {
        let mut log = Log::new(100);
        log.run(put("a", "1"));
        log.run(Put { lease: LeaseId(7), ..put("b", "5") });
        log.run(put("a", "2"));
        log
    }

    fn always<O>(then: Vec<O>) -> Txn<O> {
        Txn { compares: vec![], then, otherwise: vec![] }
    }

    fn steps(ops: impl IntoIterator<Item = SimpleOp>) -> Vec<TxnOp> {
        ops.into_iter().map(TxnOp::Simple).collect()
    }

    fn outcome(response: Response) -> TxnOutcome {
        match response.outcome {
            Outcome::Txn(outcome) => outcome,
            other => panic!("not a transaction: {other:?}"),
        }
    }

    /// Which branch a transaction of these compares takes.
    fn taken(compares: Vec<Compare>) -> Option<bool> {
        let mut log = log();
        let branch = |key| steps([put(key, "1").into()]);
        let txn = Txn { compares, then: branch("then"), otherwise: branch("else") };
        let succeeded = outcome(log.run(txn)).succeeded;
        assert_eq!(log.key("then").is_some(), succeeded);
        assert_eq!(log.key("else").is_some(), !succeeded);
        Some(succeeded)
    }

    #[test]
    fn compares_decide_the_branch() {
        use Relation::{Equal, Greater, Less, NotEqual};
        use Target::{CreateRevision, Lease, ModRevision, Value, Version};
        let value = |text: &str| Value(Bytes::from(text));
        let cases = [
            ("a", Equal, value("2"), THEN),
            ("a", Equal, value("1"), ELSE),
            ("a", Greater, value("1"), THEN),
            ("a", Less, value("1"), ELSE),
            ("a", NotEqual, value("1"), THEN),
            ("a", Equal, Version(2), THEN),
            ("a", Equal, CreateRevision(2), THEN),
            ("a", Equal, ModRevision(4), THEN),
            ("a", Greater, ModRevision(4), ELSE),
            ("b", Equal, Lease(LeaseId(7)), THEN),
            ("a", Equal, Lease(LeaseId::NONE), THEN),
            // A missing key has no value and the number 0.
            ("x", Equal, value(""), ELSE),
            ("x", NotEqual, value("1"), ELSE),
            ("x", Equal, Version(0), THEN),
            ("x", Equal, CreateRevision(0), THEN),
            ("x", Greater, ModRevision(-1), THEN),
            ("x", Less, ModRevision(i64::MAX), THEN),
            ("x", Equal, Lease(LeaseId::NONE), THEN),
        ];
        for (key, relation, target, expected) in cases {
            let condition = compare(key, relation, target);
            assert_eq!(taken(vec![condition.clone()]), expected, "{condition:?}");
        }
    }

    #[test]
    fn all_compares_must_hold() {
        let holds = compare("a", Relation::Equal, Target::Version(2));
        let fails = compare("b", Relation::Equal, Target::Version(2));
        assert_eq!(taken(vec![]), THEN);
        assert_eq!(taken(vec![holds.clone(), holds.clone()]), THEN);
        assert_eq!(taken(vec![holds, fails]), ELSE);
    }

    #[test]
    fn a_compare_of_a_range_must_hold_for_every_key() {
        let of = |keys, relation, target| vec![Compare { keys, relation, target }];
        assert_eq!(taken(of(KeyRange::all(), Relation::Greater, Target::Version(0))), THEN);
        assert_eq!(taken(of(KeyRange::all(), Relation::Equal, Target::Version(1))), ELSE);
        assert_eq!(taken(of(between("x", "z"), Relation::Equal, Target::Version(0))), THEN);
        assert_eq!(taken(of(between("b", "a"), Relation::NotEqual, Target::Value("1".into()))), ELSE);
    }

    #[test]
    fn a_failed_compare_is_a_response() {
        let mut log = log();
        let fails = compare("a", Relation::Equal, Target::Version(9));
        let response =
            log.run(Txn { compares: vec![fails], then: steps([put("a", "3").into()]), otherwise: vec![] });
        assert_eq!(response.revision, Revision(4), "and no revision is taken");
        assert_eq!(outcome(response), TxnOutcome { succeeded: false, outcomes: vec![] });
    }

    #[test]
    fn all_changes_of_a_transaction_share_one_revision() {
        let mut log = log();
        let ops = [put("a", "3").into(), put("c", "1").into(), Delete::new(one("b")).into()];
        assert_eq!(log.run(always(steps(ops))).revision, Revision(5));
        assert_eq!(log.key("a"), Some((b"3".to_vec(), 2, 5, 3)));
        assert_eq!(log.key("c"), Some((b"1".to_vec(), 5, 5, 1)));
        assert_eq!(log.key("b"), None);
    }

    #[test]
    fn steps_see_the_steps_before_them() {
        let mut log = log();
        let read = |keys| SimpleOp::from(Range::new(keys));
        let ops = [
            read(one("c")),
            put("c", "1").into(),
            read(one("c")),
            Delete::new(one("a")).into(),
            read(KeyRange::all()),
        ];
        let nested = TxnOp::Txn(always(vec![read(between("a", "c\0"))]));
        let mut ops = steps(ops);
        ops.push(nested);
        let counts: Vec<Vec<u8>> = outcome(log.run(always(ops)))
            .outcomes
            .into_iter()
            .map(|outcome| match outcome {
                TxnOpOutcome::Simple(SimpleOutcome::Range(RangeOutcome { kvs, .. })) => kvs,
                TxnOpOutcome::Txn(TxnOutcome { outcomes, .. }) => match &outcomes[..] {
                    [SimpleOutcome::Range(range)] => range.kvs.clone(),
                    other => panic!("{other:?}"),
                },
                TxnOpOutcome::Simple(_) => vec![],
            })
            .map(|kvs| kvs.iter().flat_map(|kv| kv.key.to_vec()).collect())
            .collect();
        assert_eq!(counts, [&b""[..], b"", b"c", b"", b"bc", b"bc"]);
    }

    #[test]
    fn nested_compares_see_the_state_before_the_transaction() {
        let mut log = log();
        let inner = Txn {
            compares: vec![compare("c", Relation::Equal, Target::Version(0))],
            then: vec![put("then", "1").into()],
            otherwise: vec![put("else", "1").into()],
        };
        let then = vec![SimpleOp::from(put("c", "1")).into(), TxnOp::Txn(inner)];
        log.run(always(then));
        assert!(log.key("then").is_some() && log.key("else").is_none());
        assert_eq!(log.key("then").map(|key| key.2), log.key("c").map(|key| key.2), "one revision");
    }

    #[test]
    fn a_refused_step_refuses_the_whole() {
        let mut log = log();
        let before = log.store.snapshot().expect("memory").keys;
        let keep = SimpleOp::from(Put { ignore_value: true, ..put("x", "") });
        let response = log.run(always(steps([put("a", "9").into(), keep.clone()])));
        assert_eq!(
            response,
            Response { revision: Revision(4), outcome: Outcome::Refused(Refusal::KeyNotFound) }
        );
        assert_eq!(log.store.snapshot().expect("memory").keys, before);
        // Only the branch that is taken can be refused for what it finds.
        let txn = Txn { compares: vec![], then: steps([put("a", "9").into()]), otherwise: steps([keep]) };
        assert!(outcome(log.run(txn)).succeeded);
    }

    #[test]
    fn a_key_that_comes_and_goes_within_a_transaction_takes_a_revision() {
        // Allowed only where a nested transaction deletes what another put before it.
        let mut log = log();
        let puts = TxnOp::Txn(always(vec![put("c", "1").into()]));
        let deletes = TxnOp::Txn(always(vec![Delete::new(one("c")).into()]));
        assert_eq!(log.run(always(vec![puts, deletes])).revision, Revision(5));
        assert_eq!(log.key("c"), None);
    }

    /// The overlay is compared with a store to which its changes were applied.
    #[test]
    fn an_overlay_reads_like_the_state_that_it_becomes() {
        let all = Range::new(KeyRange::all());
        for seed in 0..500 {
            let mut dice = Dice::new(seed);
            let mut log = Log::<Shipped>::new(100);
            for _ in 0..dice.below(8) {
                log.command(&dice.command());
            }
            let base = log.store.clone();
            let mut evaluation = Evaluation::<_, Shipped>::new(base.engine(), Revision(99));
            for _ in 0..dice.below(6) {
                let _ = evaluation.simple(&dice.simple());
            }
            let seen = evaluation.overlay.read(&all).expect("memory");
            let mut after: Store = base.clone();
            let mut contents = after.snapshot().expect("memory");
            let mut keys: BTreeMap<_, _> = contents.keys.into_iter().map(|kv| (kv.key, kv.record)).collect();
            for change in evaluation.finish().into_iter().flatten() {
                match change {
                    Change::Put(KeyValue { key, record }) => drop(keys.insert(key, record)),
                    Change::Delete(key) => drop(keys.remove(&key)),
                }
            }
            contents.keys = keys.into_iter().map(|(key, record)| KeyValue { key, record }).collect();
            after.restore(contents).expect("memory");
            assert_eq!(after.range(&all).expect("memory"), seen, "seed {seed}");
        }
    }
}
