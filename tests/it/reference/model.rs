//! The abstract reference: one committed sequence, and a naive store folded over it.
//!
//! Nothing here shares code with the store but the vocabulary of commands and responses. The store
//! works on an ordered engine, an overlay and batches; this is a map and a match.

use std::collections::BTreeMap;

use dkv::kv::{
    ClientId, Command, Compare, Delete, DeleteOutcome, Key, KeyRange, KeyValue, LeaseId, Op, Outcome, Put,
    PutOutcome, Range, RangeOutcome, Record, Refusal, Relation, Response, Revision, SimpleOp, SimpleOutcome,
    Target, TxnOp, TxnOpOutcome, TxnOutcome,
};
use dkv::raft::{Bytes, Entry, EntryId, Index, Payload};

/// What is stored under one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    value: Vec<u8>,
    created: u64,
    modified: u64,
    version: u64,
}

/// The last request of a session, with its answer.
type Answered = Option<(u64, Response)>;

/// A store as a plain value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) rows: BTreeMap<Vec<u8>, Row>,
    pub(crate) revision: u64,
    pub(crate) sessions: BTreeMap<u64, Answered>,
}

impl State {
    pub(crate) fn empty() -> State {
        State { rows: BTreeMap::new(), revision: 1, sessions: BTreeMap::new() }
    }

    /// The content of a real store, in the terms of this one.
    pub(crate) fn of_store<R: dkv::kv::Rules>(store: &dkv::kv::Store<dkv::kv::BTreeEngine, R>) -> State {
        let all = store.range(&Range::new(KeyRange::all())).expect("an engine in memory does not fail");
        let row = |found: &KeyValue| Row {
            value: found.record.value.to_vec(),
            created: found.record.create_revision.0,
            modified: found.record.mod_revision.0,
            version: found.record.version,
        };
        let sessions = store.sessions().by_last_use().map(|(_, client)| {
            let session = store.sessions().get(client).expect("a session that is listed is open");
            (client.0, session.answered.as_ref().map(|answer| (answer.sequence, answer.response.clone())))
        });
        State {
            rows: all.kvs.iter().map(|found| (found.key.to_vec(), row(found))).collect(),
            revision: store.revision().0,
            sessions: sessions.collect(),
        }
    }

    /// What a read of this state returns. The reads of this test ask for whole ranges only.
    pub(crate) fn read(&self, range: &Range) -> RangeOutcome {
        let kvs: Vec<KeyValue> = self
            .rows
            .iter()
            .filter(|(key, _)| range.keys.contains(key))
            .map(|(key, row)| kv(key, row))
            .collect();
        RangeOutcome { count: kvs.len() as u64, more: false, kvs }
    }

    /// Carries out the command at `index`.
    fn apply(&mut self, index: u64, command: &Command) -> Response {
        let Some(tag) = command.session else { return self.execute(index, &command.op) };
        let refused = |state: &State, refusal| Response {
            revision: Revision(state.revision),
            outcome: Outcome::Refused(refusal),
        };
        match self.sessions.get(&tag.client.0) {
            None => refused(self, Refusal::SessionExpired),
            Some(Some((last, answer))) if *last == tag.sequence => answer.clone(),
            Some(Some((last, _))) if *last > tag.sequence => refused(self, Refusal::SequenceTooOld),
            Some(_) => {
                let response = self.execute(index, &command.op);
                self.sessions.insert(tag.client.0, Some((tag.sequence, response.clone())));
                response
            }
        }
    }

    fn execute(&mut self, index: u64, op: &Op) -> Response {
        let mut changed = false;
        let outcome = match op {
            Op::Put(put) => Outcome::Put(self.put(put, &mut changed)),
            Op::Del(delete) => Outcome::Deleted(self.delete(delete, &mut changed)),
            Op::Txn(txn) => {
                let succeeded = txn.compares.iter().all(|compare| self.holds(compare));
                let taken = if succeeded { &txn.then } else { &txn.otherwise };
                let outcomes = taken.iter().map(|op| match op {
                    TxnOp::Simple(SimpleOp::Put(put)) => SimpleOutcome::Put(self.put(put, &mut changed)),
                    TxnOp::Simple(SimpleOp::Delete(delete)) => {
                        SimpleOutcome::Deleted(self.delete(delete, &mut changed))
                    }
                    TxnOp::Simple(SimpleOp::Range(range)) => SimpleOutcome::Range(self.read(range)),
                    TxnOp::Txn(_) => unreachable!("this test nests no transactions"),
                });
                let outcomes = outcomes.map(TxnOpOutcome::Simple).collect();
                Outcome::Txn(TxnOutcome { succeeded, outcomes })
            }
            Op::OpenSession => {
                self.sessions.insert(index, None);
                Outcome::SessionOpened { client: ClientId(index) }
            }
            Op::NoOp => Outcome::NoOp,
            Op::CloseSession { .. } => unreachable!("this test closes no sessions"),
        };
        self.revision += u64::from(changed);
        Response { revision: Revision(self.revision), outcome }
    }

    fn put(&mut self, put: &Put, changed: &mut bool) -> PutOutcome {
        *changed = true;
        let revision = self.revision + 1;
        let before = self.rows.get(put.key.as_slice());
        let (created, version) = before.map_or((revision, 1), |row| (row.created, row.version + 1));
        let row = Row { value: put.value.to_vec(), created, modified: revision, version };
        self.rows.insert(put.key.to_vec(), row);
        PutOutcome::default()
    }

    fn delete(&mut self, delete: &Delete, changed: &mut bool) -> DeleteOutcome {
        let before = self.rows.len();
        self.rows.retain(|key, _| !delete.keys.contains(key));
        let deleted = (before - self.rows.len()) as u64;
        *changed |= deleted > 0;
        DeleteOutcome { deleted, prev_kvs: Vec::new() }
    }

    fn holds(&self, compare: &Compare) -> bool {
        let KeyRange::One(key) = &compare.keys else { unreachable!("this test compares single keys") };
        let row = self.rows.get(key.as_slice());
        let (left, right) = match &compare.target {
            Target::Value(value) => {
                return row.is_some_and(|row| match compare.relation {
                    Relation::Equal => row.value == value.as_slice(),
                    Relation::NotEqual => row.value != value.as_slice(),
                    Relation::Greater => row.value.as_slice() > value.as_slice(),
                    Relation::Less => row.value.as_slice() < value.as_slice(),
                });
            }
            Target::Version(right) => (row.map_or(0, |row| row.version), *right),
            Target::CreateRevision(right) => (row.map_or(0, |row| row.created), *right),
            Target::ModRevision(right) => (row.map_or(0, |row| row.modified), *right),
            Target::Lease(_) => unreachable!("this test has no leases"),
        };
        let (left, right) = (i128::from(left), i128::from(right));
        match compare.relation {
            Relation::Equal => left == right,
            Relation::NotEqual => left != right,
            Relation::Greater => left > right,
            Relation::Less => left < right,
        }
    }
}

fn kv(key: &[u8], row: &Row) -> KeyValue {
    let record = Record {
        value: Bytes::from(row.value.as_slice()),
        create_revision: Revision(row.created),
        mod_revision: Revision(row.modified),
        version: row.version,
        lease: LeaseId::NONE,
    };
    KeyValue { key: Key::from(key), record }
}

/// One position of the committed sequence.
#[derive(Clone, Debug)]
struct Step {
    entry: Entry<Bytes>,
    /// None for what is not for the store.
    response: Option<Response>,
    /// The fold up to here.
    state: State,
}

/// The committed sequence and its folds. It only ever grows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reference {
    steps: Vec<Step>,
}

impl Reference {
    /// How many entries are committed.
    pub(crate) fn last(&self) -> Index {
        Index(self.steps.len() as u64)
    }

    /// The name of the entry at `index`.
    pub(crate) fn id(&self, index: Index) -> Option<EntryId> {
        if index == Index::ZERO {
            return Some(EntryId::ZERO);
        }
        self.step(index).map(|step| step.entry.id)
    }

    pub(crate) fn entry(&self, index: Index) -> Option<&Entry<Bytes>> {
        self.step(index).map(|step| &step.entry)
    }

    pub(crate) fn response(&self, index: Index) -> Option<&Response> {
        self.step(index)?.response.as_ref()
    }

    /// The fold of the prefix that ends at `index`.
    pub(crate) fn state(&self, index: Index) -> Option<State> {
        if index == Index::ZERO { Some(State::empty()) } else { Some(self.step(index)?.state.clone()) }
    }

    fn step(&self, index: Index) -> Option<&Step> {
        self.steps.get(usize::try_from(index.0.checked_sub(1)?).ok()?)
    }

    /// Takes in the next committed entry. `command` finds what a client submitted by its bytes.
    pub(crate) fn extend<'a>(
        &mut self,
        entry: &Entry<Bytes>,
        command: impl Fn(&Bytes) -> Option<&'a Command>,
    ) -> Result<(), String> {
        let before = self.id(self.last()).expect("the last entry is there");
        if entry.id.index != before.index.next() || entry.id.term < before.term {
            return Err(format!("{} was committed after {before}", entry.id));
        }
        let mut state = self.state(self.last()).expect("the last state is there");
        let response = match &entry.payload {
            Payload::Noop | Payload::Configuration(_) => None,
            Payload::Command(bytes) => {
                let command =
                    command(bytes).ok_or_else(|| format!("nobody submitted {}: {bytes:?}", entry.id))?;
                Some(state.apply(entry.id.index.0, command))
            }
        };
        self.steps.push(Step { entry: entry.clone(), response, state });
        Ok(())
    }
}
