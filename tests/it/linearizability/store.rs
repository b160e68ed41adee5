//! A sequential store, written down as plainly as possible, and the judge that tries every order.
//!
//! Left out: anything that makes it fast.

use std::collections::BTreeMap;

use dkv::raft::Bytes;
use dkv::sim::history::{Call, Doing, Found, Operation, Return};
use dkv::sim::linearizable::Start;

/// Value, create revision, mod revision, version.
type Record = (Bytes, u64, u64, u64);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Store {
    pub(super) revision: u64,
    pub(super) keys: BTreeMap<Bytes, Record>,
}

impl Default for Store {
    fn default() -> Store {
        Store { revision: 1, keys: BTreeMap::new() }
    }
}

impl From<&Start> for Store {
    fn from(start: &Start) -> Store {
        let record =
            |found: &Found| (found.value.clone(), found.create_revision, found.mod_revision, found.version);
        let keys = start.keys.iter().map(|(key, found)| (key.clone(), record(found))).collect();
        Store { revision: start.revision, keys }
    }
}

impl Store {
    pub(super) fn start(&self) -> Start {
        let keys = self.keys.keys().map(|key| (key.clone(), self.found(key).expect("it is there"))).collect();
        Start { revision: self.revision, keys }
    }

    pub(super) fn found(&self, key: &Bytes) -> Option<Found> {
        let (value, create_revision, mod_revision, version) = self.keys.get(key)?.clone();
        Some(Found { value, create_revision, mod_revision, version })
    }

    /// Does what `call` asks and says what its client would be told; without a revision if `is_past_log`.
    pub(super) fn apply(&mut self, call: &Call, is_past_log: bool) -> Return {
        let holds = |(key, value): &(Bytes, Option<Bytes>)| {
            self.keys.get(key).map(|record| &record.0) == value.as_ref()
        };
        let succeeded = call.compares().iter().all(holds);
        let own = self.revision + 1;
        let mut is_changed = false;
        let mut found = Vec::new();
        for step in call.steps(succeeded) {
            match step {
                Doing::Get(key) => found.push((key.clone(), self.found(key))),
                Doing::Delete(key) => is_changed |= self.keys.remove(key).is_some(),
                Doing::Put(key, value) => {
                    let (created, version) =
                        self.keys.get(key).map_or((own, 0), |record| (record.1, record.3));
                    self.keys.insert(key.clone(), (value.clone(), created, own, version + 1));
                    is_changed = true;
                }
            }
        }
        self.revision += u64::from(is_changed);
        Return { succeeded, revision: (!is_past_log).then_some(self.revision), found }
    }
}

/// Whether what a client was told agrees with what it would have been told, revisions aside.
pub(super) fn values_fit(told: &Return, would: &Return) -> bool {
    let values = |answer: &Return| -> Vec<Option<Bytes>> {
        answer.found.iter().map(|(_, found)| found.as_ref().map(|found| found.value.clone())).collect()
    };
    told.succeeded == would.succeeded && values(told) == values(would)
}

/// Whether some order of the operations that returned, and of any that did not, explains what clients were
/// told, in the eyes of `fits`.
pub(super) fn is_explained(
    history: &[Operation],
    store: &Store,
    fits: impl Fn(&Return, &Return) -> bool + Copy,
) -> bool {
    is_explained_without(history, &mut vec![false; history.len()], store, fits)
}

fn is_explained_without(
    history: &[Operation],
    done: &mut Vec<bool>,
    store: &Store,
    fits: impl Fn(&Return, &Return) -> bool + Copy,
) -> bool {
    let waiting = (0..history.len()).filter(|at| !done[*at]);
    let Some(horizon) = waiting.filter_map(|at| history[at].returned.as_ref()).map(|(time, _)| *time).min()
    else {
        return true;
    };
    for at in 0..history.len() {
        let Operation { call, invoked, returned } = &history[at];
        if done[at] || *invoked > horizon {
            continue;
        }
        let mut next = store.clone();
        let told = returned.as_ref().map(|(_, answer)| answer);
        let would = next.apply(call, told.is_some_and(|answer| answer.revision.is_none()));
        if told.is_some_and(|told| !fits(told, &would)) {
            continue;
        }
        done[at] = true;
        let is_explained = is_explained_without(history, done, &next, fits);
        done[at] = false;
        if is_explained {
            return true;
        }
    }
    false
}
