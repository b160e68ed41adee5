//! Whether real replicas do what the [abstract cluster](crate::spec) may do: each step of theirs is one of its
//! steps or none.
//!
//! A member's log projects to the part that agrees with the committed sequence, the rest, and its commit index;
//! for a member that is down the log is the one on its disk. From the difference of two moments follows which
//! [`Action`] it must have been, since only a leader commits or appends what is new, and only a member that is
//! down has lost something. The abstract cluster carries that action out, by its own guards, and must end where the
//! real one did. What was ever proposed is remembered there and nowhere else: it is a history variable.
//!
//! Left out: answers to clients, and reads, which the abstract cluster does not have.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::hash::Hash;

use dkv::cluster::{self, Policies};
use dkv::raft::{Command, Configuration, Durable, Entry, Index, Node, NodeId, Rules};
use dkv::replica::StateMachine;

use crate::spec::{Action, Cluster, Electorate, Links, Replica};

/// What a member shows of its log.
#[derive(Clone, Debug)]
pub struct Shown<V> {
    is_up: bool,
    /// How many of the first entries are compacted; they were committed.
    purged: usize,
    entries: Vec<V>,
    known: usize,
    electorate: Electorate,
}

impl<C: Command> Shown<Entry<C>> {
    /// Of a member that is up. `before` is where its log ended before its latest step: under the configuration
    /// there it has counted.
    pub fn by_node<R: Rules>(node: &Node<C, R>, before: usize) -> Shown<Entry<C>> {
        let log = node.log();
        let counted_at = Index(before as u64).max(log.snapshot().last.index);
        Shown {
            is_up: true,
            purged: position(log.purged().index),
            entries: log.entries().cloned().collect(),
            known: position(node.commit_index()),
            electorate: electorate(log.configuration_at(counted_at)),
        }
    }

    /// Of a member that is down.
    pub fn by_disk(disk: &Durable<C>) -> Shown<Entry<C>> {
        Shown {
            is_up: false,
            purged: position(disk.purged.index),
            entries: disk.entries.iter().cloned().collect(),
            known: position(disk.snapshot.last.index),
            electorate: Vec::new(),
        }
    }
}

fn position(index: Index) -> usize {
    usize::try_from(index.0).expect("logs are in memory")
}

fn number(id: NodeId) -> usize {
    usize::try_from(id.0).expect("members are few")
}

fn electorate(configuration: &Configuration) -> Electorate {
    let sets = [Some(&configuration.voters), configuration.outgoing.as_ref()];
    sets.into_iter().flatten().map(|set| set.iter().map(|id| number(*id)).collect()).collect()
}

/// What a log is beside the committed sequence.
///
/// # Errors
/// It lacks entries that are not committed.
pub fn project<V: Clone + Eq>(shown: &Shown<V>, committed: &[V]) -> Result<Replica<V>, String> {
    let rest = committed.get(shown.purged..).ok_or("it has compacted what is not committed")?;
    let agreeing = shown.entries.iter().zip(rest).take_while(|(own, committed)| own == committed).count();
    let tail = shown.entries[agreeing..].to_vec();
    Ok(Replica { prefix: shown.purged + agreeing, tail, known: shown.known })
}

/// Carries out on the abstract cluster what a member did, as far as its log shows. Returns the action, if it was one.
///
/// # Errors
/// The abstract cluster cannot do that.
pub fn observe<V: Clone + Debug + Ord + Hash>(
    cluster: &mut Cluster<V>,
    at: usize,
    shown: &Shown<V>,
) -> Result<Option<Action<V>>, String> {
    let before = cluster.replicas.get(&at).ok_or("nobody knows it")?;
    let mut shown = shown.clone();
    let len = cluster.committed.len();
    if shown.purged > len {
        // Committed and compacted in one step: what it has compacted it held before.
        let compacted = before.tail.get(..shown.purged - len).filter(|_| before.prefix == len);
        let compacted = compacted.ok_or("compacts what it did not hold")?;
        shown.entries.splice(..0, compacted.iter().cloned());
        shown.purged = len;
    }
    let shown = &shown;
    let now = project(shown, &cluster.committed)?;
    let commits = shown.known.saturating_sub(cluster.committed.len());
    let old = now.tail.iter().rposition(|value| cluster.open.contains(value)).map_or(0, |last| last + 1);
    let action = if commits > 0 || old < now.tail.len() {
        Action::Lead(at, shown.electorate.clone(), commits, now.tail[old..].to_vec())
    } else if now == *before {
        return Ok(None);
    } else if shown.is_up {
        Action::Follow(at, now)
    } else {
        Action::Crash(at, now)
    };
    let refused = |reason: &str| format!("replica {at} {reason}: {action:?}");
    cluster.step(action.clone()).map_err(refused)?;
    let now = project(shown, &cluster.committed)?;
    if cluster.replicas[&at] != now {
        return Err(refused(&format!("should have become {:?} and is {now:?}", cluster.replicas[&at])));
    }
    Ok(Some(action))
}

/// Directions that are cut now and were not, or the other way round.
fn observe_links<V: Clone + Debug + Ord + Hash>(
    cluster: &mut Cluster<V>,
    cuts: &Links,
) -> Result<Vec<Action<V>>, String> {
    let failed: Links = cuts.difference(&cluster.cuts).copied().collect();
    let restored: Links = cluster.cuts.difference(cuts).copied().collect();
    let actions = [
        (!failed.is_empty()).then_some(Action::Cut(failed)),
        (!restored.is_empty()).then_some(Action::Restore(restored)),
    ];
    let actions: Vec<_> = actions.into_iter().flatten().collect();
    actions.iter().try_for_each(|action| cluster.step(action.clone()))?;
    Ok(actions)
}

/// Carries out on the abstract cluster what a simulated one did since it was last looked at. Returns the actions.
///
/// # Errors
/// The abstract cluster cannot do that.
pub fn observe_cluster<M: StateMachine, P: Policies>(
    cluster: &mut Cluster<Entry<M::Command>>,
    real: &cluster::Cluster<M, P>,
) -> Result<Vec<Action<Entry<M::Command>>>, String> {
    let mut actions = Vec::new();
    let ids: BTreeSet<usize> = real.members().keys().map(|id| number(*id)).collect();
    let known: BTreeSet<usize> = cluster.replicas.keys().copied().collect();
    actions.extend(known.difference(&ids).map(|id| Action::Leave(*id)));
    actions.extend(ids.difference(&known).map(|id| Action::Join(*id)));
    actions.iter().try_for_each(|action| cluster.step(action.clone()))?;
    let cuts = real.links().cuts().map(|(from, to)| (number(from), number(to))).collect();
    actions.extend(observe_links(cluster, &cuts)?);
    for (id, member) in real.members() {
        let replica = &cluster.replicas[&number(*id)];
        let shown = match member.replica() {
            Some(up) => Shown::by_node(up.node(), replica.prefix + replica.tail.len()),
            None => Shown::by_disk(member.disk().synced()),
        };
        actions.extend(observe(cluster, number(*id), &shown)?);
    }
    Ok(actions)
}
