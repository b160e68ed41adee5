//! Where keys are kept: the few operations of an ordered map that the store needs.
//!
//! The trait is written for an engine on disk and implemented here by one in memory. Hence reads give
//! owned values, everything can fail, a command's effects arrive as one atomic batch together with
//! the position they lead to, and a view can be read on another thread while the engine moves on.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use super::command::{Blob, KeyRange, Put, Range, Revision};
use super::key::Key;
use super::response::{KeyValue, RangeOutcome, Record};
use super::rules::Rules;
use super::session::{SessionChange, Sessions};
use super::tree::Tree;
use crate::raft::types::{Bytes, EntryId};

/// The engine cannot do its work. It says nothing about the command: the node must stop, and after a
/// restart the engine stands at some earlier batch. Never turned into a response.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EngineError {
    /// What failed, for the operator.
    pub reason: String,
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the storage engine failed: {}", self.reason)
    }
}

impl core::error::Error for EngineError {}

/// How far the store has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    /// The last applied entry.
    pub applied: EntryId,
    /// The revision of the last change.
    pub revision: Revision,
}

/// One state of the store, to be read. The engine is one, of its latest batch.
pub trait View {
    /// The key with its record, if it exists. The key comes back too, so that a put of an existing
    /// key shares the stored one.
    fn get(&self, key: &[u8]) -> Result<Option<KeyValue>, EngineError>;

    /// The keys of a range, ascending. After an error the cursor ends.
    fn range(&self, keys: &KeyRange) -> impl Iterator<Item = Result<KeyValue, EngineError>>;

    /// The sessions. Engines keep the whole table in memory; on disk it is one row per session.
    fn sessions(&self) -> &Sessions;

    /// The position that the state belongs to.
    fn position(&self) -> Position;

    /// Answers a read. Takes time in proportion to the keys in the range, whatever the limit, because
    /// it counts them.
    fn read(&self, range: &Range) -> Result<RangeOutcome, EngineError> {
        let mut outcome = RangeOutcome::default();
        let no_value = Bytes::default();
        for found in self.range(&range.keys) {
            let mut found = found?;
            outcome.count += 1;
            if range.count_only {
                continue;
            }
            if range.limit > 0 && outcome.count > range.limit {
                outcome.more = true;
                continue;
            }
            if range.keys_only {
                found.record.value = no_value.clone();
            }
            outcome.kvs.push(found);
        }
        Ok(outcome)
    }
}

impl<V: View> View for Arc<V> {
    fn get(&self, key: &[u8]) -> Result<Option<KeyValue>, EngineError> {
        (**self).get(key)
    }

    fn range(&self, keys: &KeyRange) -> impl Iterator<Item = Result<KeyValue, EngineError>> {
        (**self).range(keys)
    }

    fn sessions(&self) -> &Sessions {
        (**self).sessions()
    }

    fn position(&self) -> Position {
        (**self).position()
    }
}

/// A change of one key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// The key has this record now.
    Put(KeyValue),
    /// The key does not exist now; it need not have existed before.
    Delete(Key),
}

/// Everything that one entry changes: all of it is in the engine afterwards, or none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Batch<C> {
    /// The changed keys, each at most once.
    pub changes: C,
    /// The changed sessions, in the order in which they change.
    pub sessions: Vec<SessionChange>,
    /// The position that the entry leads to.
    pub position: Position,
}

/// Storage for one store.
pub trait Engine: View {
    /// A state that stays as it is while the engine moves on; copies of it are cheap.
    type View: View + Clone;

    /// Carries out a batch atomically and moves to its position. It need not be durable on return,
    /// but a crash keeps a prefix of the batches. After an error the engine must not be used further.
    fn commit<C: IntoIterator<Item = Change>>(&mut self, batch: Batch<C>) -> Result<(), EngineError>;

    /// Puts one key, whatever it was, as a batch of its own: the same as to look it up and commit the
    /// record that follows. Here because most commands are of this kind, and an engine may know a
    /// shorter way. Ignores the flags of `put`.
    fn commit_put<B: Blob>(
        &mut self,
        put: &Put<B>,
        sessions: Vec<SessionChange>,
        position: Position,
    ) -> Result<(), EngineError> {
        let value = put.value.to_value();
        let kv = match self.get(put.key.as_slice())? {
            Some(mut kv) => {
                kv.record.put(value, put.lease, position.revision);
                kv
            }
            None => KeyValue {
                key: put.key.to_key(),
                record: Record::created(value, put.lease, position.revision),
            },
        };
        self.commit(Batch { changes: [Change::Put(kv)], sessions, position })
    }

    /// The state of the latest batch.
    fn view(&self) -> Self::View;

    /// The last entry whose batch survives a crash of the machine; [`EntryId::ZERO`] for an engine in
    /// memory, which starts empty and is restored from a snapshot. The log is kept beyond it.
    fn durable_applied(&self) -> EntryId;

    /// Drops everything, sessions too, and takes the content of `snapshot`. Durable and atomic for an
    /// engine on disk.
    fn replace(&mut self, snapshot: Snapshot) -> Result<(), EngineError>;
}

/// The whole content of a store in canonical order: equal states have equal snapshots and, by
/// [`codec::kv`](crate::codec::kv), equal bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Snapshot {
    /// The position of the state.
    pub position: Position,
    /// The sessions with their last answers, without which a retry after a restore would be applied
    /// a second time.
    pub sessions: Sessions,
    /// Every key, strictly ascending.
    pub keys: Vec<KeyValue>,
}

impl Snapshot {
    /// The content of `view`. Keys and values are shared with it and not copied.
    pub fn of<R: Rules>(view: &impl View) -> Result<Snapshot, EngineError> {
        let keys = view.range(&KeyRange::all()).collect::<Result<Vec<KeyValue>, EngineError>>()?;
        debug_assert!(keys.is_sorted_by(|a, b| a.key < b.key), "an engine's cursor ascends");
        Ok(Snapshot { position: view.position(), sessions: R::snapshot_sessions(view.sessions()), keys })
    }
}

/// The engine in memory, over a B+tree. It is a value: clusters compare and hash it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BTreeEngine {
    keys: Tree<Record>,
    sessions: Sessions,
    position: Position,
}

impl BTreeEngine {
    /// An empty store, at the position before the log. For `session_ttl_entries` see
    /// [`Sessions::new`].
    #[must_use]
    pub fn new(session_ttl_entries: u64) -> BTreeEngine {
        BTreeEngine {
            keys: Tree::new(),
            sessions: Sessions::new(session_ttl_entries),
            position: Position::default(),
        }
    }

    /// The end of a batch.
    fn arrive(&mut self, sessions: Vec<SessionChange>, position: Position) {
        for change in sessions {
            self.sessions.apply(change, position.applied.index);
        }
        self.position = position;
    }
}

impl View for BTreeEngine {
    fn get(&self, key: &[u8]) -> Result<Option<KeyValue>, EngineError> {
        Ok(self.keys.get_key_value(key).map(key_value))
    }

    fn range(&self, keys: &KeyRange) -> impl Iterator<Item = Result<KeyValue, EngineError>> {
        self.keys.range(keys.bounds()).map(|entry| Ok(key_value(entry)))
    }

    fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    fn position(&self) -> Position {
        self.position
    }
}

fn key_value((key, record): (&Key, &Record)) -> KeyValue {
    KeyValue { key: key.clone(), record: record.clone() }
}

impl Engine for BTreeEngine {
    type View = Arc<BTreeEngine>;

    fn commit<C: IntoIterator<Item = Change>>(&mut self, batch: Batch<C>) -> Result<(), EngineError> {
        for change in batch.changes {
            match change {
                Change::Put(KeyValue { key, record }) => {
                    self.keys.insert(key, record);
                }
                Change::Delete(key) => {
                    self.keys.remove(key.as_slice());
                }
            }
        }
        self.arrive(batch.sessions, batch.position);
        Ok(())
    }

    /// Searches once for a key that exists.
    fn commit_put<B: Blob>(
        &mut self,
        put: &Put<B>,
        sessions: Vec<SessionChange>,
        position: Position,
    ) -> Result<(), EngineError> {
        let record = Record::created(put.value.to_value(), put.lease, position.revision);
        self.keys.merge(put.key.to_key(), record, |old, new| old.put(new.value, new.lease, new.mod_revision));
        self.arrive(sessions, position);
        Ok(())
    }

    /// Copies the map, though not the keys and values in it.
    fn view(&self) -> Arc<BTreeEngine> {
        Arc::new(self.clone())
    }

    fn durable_applied(&self) -> EntryId {
        EntryId::ZERO
    }

    fn replace(&mut self, snapshot: Snapshot) -> Result<(), EngineError> {
        let Snapshot { position, sessions, keys } = snapshot;
        self.keys = keys.into_iter().map(|KeyValue { key, record }| (key, record)).collect();
        self.sessions = sessions;
        self.position = position;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::fixture::{Dice, Plain};
    use crate::kv::{Shipped, Store};
    use crate::raft::types::{Index, Term};

    /// What the trait does for an engine that knows no shorter way is what the shorter way does.
    #[test]
    fn a_put_is_the_record_that_follows_what_is_found() {
        for seed in 0..50 {
            let mut dice = Dice::new(seed);
            let mut short = Store::<_, Shipped>::open(BTreeEngine::new(100));
            let mut plain = Store::<_, Shipped>::open(Plain { kept: BTreeEngine::new(100), broken: None });
            for index in 1..=40 {
                let (id, command) = (EntryId::new(Term(1), Index(index)), dice.command());
                assert_eq!(plain.apply(id, &command), short.apply(id, &command), "{command:?}");
                assert_eq!(plain.engine().kept, *short.engine(), "{command:?}");
            }
        }
    }
}
