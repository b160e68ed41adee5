//! What every replica must agree with: a store of its own that applies what was ever committed.
//!
//! The oracle reads the ledger, not the replicas. It runs the shipped rules whatever the replicas run, and
//! remembers of the latest entries what they answered and which state they left, so that an answer given
//! now and a replica that stands at an earlier entry can be judged as well.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use core::hash::{Hash, Hasher};

use super::client;
use super::linearizable::Start;
use crate::cluster::invariants::{Ledger, exactly_once};
use crate::cluster::trace::Fnv;
use crate::kv::{BTreeEngine, KeyRange, Range, Response, Revision, Rules, SessionTag, Store};
use crate::raft::invariants::{Invariant, Verdict, Violation, ensure};
use crate::raft::{Bytes, EntryId, Index, Payload};
use crate::replica::StateMachine;

/// How many of the latest entries are remembered. A replica or an answer further behind is not compared.
const REMEMBERED_MAX: usize = 1 << 14;

/// A committed entry.
struct Remembered {
    id: EntryId,
    /// Its command and what the store answered.
    answer: Option<(Bytes, Response)>,
    /// Of the store after it.
    digest: u64,
}

/// The state that was ever committed, and how it came about.
pub(super) struct Oracle {
    store: Store,
    entries: VecDeque<Remembered>,
    /// Where each request of a session took effect.
    effects: BTreeMap<SessionTag, Revision>,
    /// How often some bytes were submitted, known to have no effect, and committed.
    fates: BTreeMap<Bytes, Fate>,
}

#[derive(Clone, Copy, Default)]
struct Fate {
    submitted: u32,
    denied: u32,
    committed: u32,
    /// It has a number in a session, so that doing it twice is no mistake of its client.
    is_repeatable: bool,
}

/// Content alone decides: members run the same engine under other rules.
pub(super) fn digest<K: Rules>(store: &Store<BTreeEngine, K>) -> u64 {
    let mut hash = Fnv::default();
    store.engine().hash(&mut hash);
    hash.finish()
}

impl Oracle {
    /// The oracle of a cluster whose members run the rules `K`.
    pub(super) fn new<K: Rules>() -> Oracle {
        Oracle {
            store: Store::open(BTreeEngine::new(K::session_ttl_entries())),
            entries: VecDeque::new(),
            effects: BTreeMap::new(),
            fates: BTreeMap::new(),
        }
    }

    /// Applies what was committed since the last call. Returns how often a request of a session was found a
    /// second time.
    ///
    /// # Errors
    /// Something was committed that nobody submitted, or whose client was told that it has no effect.
    pub(super) fn follow(&mut self, ledger: &Ledger<Bytes>) -> Result<u32, Violation> {
        let mut retries = 0;
        while self.store.applied() != ledger.last() {
            let index = self.store.applied().index.next();
            let entry =
                ledger.entry(index).expect("the ledger forgets nothing within the step that commits it");
            let answer = match &entry.payload {
                Payload::Command(command) => {
                    let fate = self.fates.entry(command.clone()).or_default();
                    fate.committed += 1;
                    retries += u32::from(fate.committed > 1 && fate.is_repeatable);
                    fate.check(command)?;
                    let response = StateMachine::apply(&mut self.store, entry.id, command)
                        .expect("what a client submits can be applied");
                    Some((command.clone(), response))
                }
                Payload::Noop | Payload::Configuration(_) => {
                    StateMachine::skip(&mut self.store, entry.id).expect("an engine in memory does not fail");
                    None
                }
            };
            self.entries.push_back(Remembered { id: entry.id, answer, digest: digest(&self.store) });
            if self.entries.len() > REMEMBERED_MAX {
                self.entries.pop_front();
            }
        }
        Ok(retries)
    }

    fn remembered(&self, index: Index) -> Option<&Remembered> {
        let first = self.entries.front()?.id.index;
        self.entries.get(usize::try_from(index.0.checked_sub(first.0)?).ok()?)
    }

    /// A member's store is that of the prefix which it has applied.
    pub(super) fn check_store<K: Rules>(&self, store: &Store<BTreeEngine, K>) -> Verdict {
        let applied = store.applied();
        let Some(known) = self.remembered(applied.index) else {
            let is_committed = applied.index <= self.store.applied().index;
            return ensure(is_committed, Invariant::StateMachineSafety, || {
                format!("applied {applied}, and {} is all that was committed", self.store.applied())
            });
        };
        ensure(known.id == applied && known.digest == digest(store), Invariant::StateMachineSafety, || {
            format!("the state at {applied} is not that of the committed entries up to {}", known.id)
        })
    }

    /// A client submits these bytes, maybe not for the first time.
    pub(super) fn submitted(&mut self, command: &Bytes, is_repeatable: bool) {
        let fate = self.fates.entry(command.clone()).or_default();
        fate.submitted += 1;
        fate.is_repeatable = is_repeatable;
    }

    /// A client was told that a submission has no effect and never will.
    pub(super) fn denied(&mut self, command: &Bytes) -> Verdict {
        let fate = self.fates.entry(command.clone()).or_default();
        fate.denied += 1;
        fate.check(command)
    }

    /// A client was told that its command is the entry `id`, with this response.
    pub(super) fn answered(&self, command: &Bytes, id: EntryId, response: &Response) -> Verdict {
        let Some(known) = self.remembered(id.index) else {
            return ensure(id.index <= self.store.applied().index, Invariant::StateMachineSafety, || {
                format!("{id} was answered and is not committed")
            });
        };
        let is_so = known.id == id
            && known
                .answer
                .as_ref()
                .is_some_and(|(submitted, expected)| submitted == command && expected == response);
        ensure(is_so, Invariant::StateMachineSafety, || {
            format!(
                "{command:?} was answered as {id} with {response:?}; committed is {:?} there",
                known.answer
            )
        })
    }

    /// Under a session a request takes effect at one revision, however often it is sent and answered.
    pub(super) fn took_effect(&mut self, tag: SessionTag, revision: Revision) -> Verdict {
        let first = *self.effects.entry(tag).or_insert(revision);
        exactly_once([(tag, first), (tag, revision)])
    }

    /// The state, as a history of clients begins with it.
    pub(super) fn start(&self) -> Start {
        let all = self.store.range(&Range::new(KeyRange::all())).expect("an engine in memory does not fail");
        let keys = all.kvs.iter().map(|kv| (Bytes::from(kv.key.as_slice()), client::found(kv)));
        Start { revision: self.store.revision().0, keys: keys.collect() }
    }

    /// Forgets requests that nobody can repeat any more.
    pub(super) fn close_round(&mut self) {
        self.effects.clear();
        self.fates.clear();
    }
}

impl Fate {
    /// Each submission takes one place in the log at most, and none if its client was told so.
    fn check(self, command: &Bytes) -> Verdict {
        let Fate { submitted, denied, committed, .. } = self;
        ensure(committed + denied <= submitted, Invariant::Linearizable, || {
            format!(
                "{command:?} was submitted {submitted} times, {denied} of them told to have no effect, and is in the log {committed} times"
            )
        })
    }
}
