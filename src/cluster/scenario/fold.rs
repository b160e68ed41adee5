//! What one store makes of everything that was committed, compared with what the members hold and what the
//! clients were told.
//!
//! The members may run under other rules; the fold never does, but for how long sessions live. It starts at the first entry, so the ledger
//! must have forgotten nothing: a run that expects this keeps it whole.
//!
//! Left out: the order in which clients saw their answers, beyond that a read sees what was committed when
//! it was made. Histories are for the simulation.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::StoreOf;
use super::run::{Asked, What};
use crate::cluster::{Cluster, Outcome, Policies};
use crate::kv::{self, BTreeEngine, Store};
use crate::raft::{Bytes, EntryId, NodeId, Payload};
use crate::replica::{Failure, StateMachine};

/// How often some bytes were submitted, were told to have no effect, and are committed.
#[derive(Default)]
struct Fate {
    submitted: u64,
    denied: u64,
    committed: u64,
}

/// Compares everything.
///
/// # Errors
/// The first difference.
pub(super) fn check<P: Policies, K: kv::Rules>(
    cluster: &Cluster<StoreOf<K>, P>,
    asked: &[Asked],
) -> Result<(), String> {
    let mut store: Store = Store::open(BTreeEngine::new(K::session_ttl_entries()));
    let mut fates = fates(cluster, asked);
    // Reads that no state so far explains.
    let mut unexplained: Vec<&Asked> =
        asked.iter().filter(|asked| is_answered_read(cluster, asked)).collect();
    compare_members(cluster, &store)?;
    unexplained.retain(|asked| !explains(&store, cluster, asked));
    for entry in cluster.ledger().entries() {
        match &entry.payload {
            Payload::Command(command) => {
                fates.entry(command.clone()).or_default().committed += 1;
                let response =
                    StateMachine::apply(&mut store, entry.id, command).map_err(|fault| fault.to_string())?;
                compare_answers(cluster, asked, entry.id, command, &response)?;
            }
            Payload::Noop | Payload::Configuration(_) => {
                StateMachine::skip(&mut store, entry.id).map_err(|fault| fault.to_string())?;
            }
        }
        compare_members(cluster, &store)?;
        unexplained.retain(|asked| !explains(&store, cluster, asked));
    }
    let last = store.applied();
    if let Some((id, applied)) = positions(cluster).find(|(_, applied)| *applied > last) {
        return Err(format!("{id} applied {applied}, and {last} is all that was committed"));
    }
    if let Some(asked) = unexplained.first() {
        return Err(format!("no state since {:?} was made is what it saw", asked.request));
    }
    for (command, Fate { submitted, denied, committed }) in &fates {
        // Entries that nobody here submitted have other origins, such as a session that was repeated.
        if *submitted > 0 && committed + denied > *submitted {
            return Err(format!(
                "{command:?} was submitted {submitted} times, {denied} of them told to have no effect, and is committed {committed} times"
            ));
        }
    }
    Ok(())
}

fn fates<P: Policies, K: kv::Rules>(
    cluster: &Cluster<StoreOf<K>, P>,
    asked: &[Asked],
) -> BTreeMap<Bytes, Fate> {
    let mut fates: BTreeMap<Bytes, Fate> = BTreeMap::new();
    for asked in asked {
        let What::Command(command) = &asked.what else { continue };
        let fate = fates.entry(command.clone()).or_default();
        fate.submitted += 1;
        let outcome = cluster.outcome(asked.request);
        let is_denied = matches!(outcome, Some(Outcome::Failed(Failure::Refused(_) | Failure::Lost)));
        fate.denied += u64::from(is_denied);
    }
    fates
}

fn positions<P: Policies, K: kv::Rules>(
    cluster: &Cluster<StoreOf<K>, P>,
) -> impl Iterator<Item = (NodeId, EntryId)> + '_ {
    let up = cluster.members().iter().filter(|(_, member)| member.replica().is_some());
    up.map(|(id, member)| (*id, member.machine().applied()))
}

/// Every member that stands where `store` stands holds what it holds.
fn compare_members<P: Policies, K: kv::Rules>(
    cluster: &Cluster<StoreOf<K>, P>,
    store: &Store,
) -> Result<(), String> {
    for (id, applied) in positions(cluster).filter(|(_, applied)| applied.index == store.applied().index) {
        let found = &cluster.members()[&id];
        if applied != store.applied() || found.machine().engine() != store.engine() {
            return Err(format!("the state of {id} at {applied} is not that of the committed entries"));
        }
    }
    Ok(())
}

/// Whoever was told that its command is the entry `id` submitted it and was told what it did.
fn compare_answers<P: Policies, K: kv::Rules>(
    cluster: &Cluster<StoreOf<K>, P>,
    asked: &[Asked],
    id: EntryId,
    command: &Bytes,
    expected: &kv::Response,
) -> Result<(), String> {
    for asked in asked {
        let What::Command(submitted) = &asked.what else { continue };
        if let Some(Outcome::Applied { id: told, response }) = cluster.outcome(asked.request)
            && told.index == id.index
            && (*told != id || submitted != command || response != expected)
        {
            return Err(format!("{:?} was answered {response:?} as {told}, not {expected:?}", asked.request));
        }
    }
    Ok(())
}

fn is_answered_read<P: Policies, K: kv::Rules>(cluster: &Cluster<StoreOf<K>, P>, asked: &Asked) -> bool {
    matches!(asked.what, What::Read(..)) && matches!(cluster.outcome(asked.request), Some(Outcome::Read(_)))
}

/// Whether a read saw this state, and may have.
fn explains<P: Policies, K: kv::Rules>(
    store: &Store,
    cluster: &Cluster<StoreOf<K>, P>,
    asked: &Asked,
) -> bool {
    let What::Read(range, floor) = &asked.what else { return true };
    let Some(Outcome::Read(seen)) = cluster.outcome(asked.request) else { return true };
    store.applied().index >= *floor && store.range(range) == *seen
}
