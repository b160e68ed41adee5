//! Who may stay away: the premise of a calm, and of every loss that lasts.
//!
//! A cluster promises progress while a majority of every configuration is up. With joint consensus and
//! learners that is not quite enough, and this module says what is: see [`is_spared`]. What it leaves out of the
//! simulation is inherent in the protocol and said in `docs/verification.md`.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::world::{StoreOf, World};
use crate::cluster::invariants::Ledger;
use crate::cluster::{Member, Policies};
use crate::kv;
use crate::raft::quorum::is_quorum;
use crate::raft::{
    Bytes, Command, Configuration, Entry, EntryId, Message, Node, NodeId, Payload, Raft, SnapshotMeta,
};
use crate::replica::Packet;

/// Whether the others can do without these members and those that lost their disk: every configuration that
/// anybody may still act under has its majorities, and somebody can be elected.
pub(super) fn is_spared<P: Policies, K: kv::Rules>(world: &World<P, K>, gone: &BTreeSet<NodeId>) -> bool
where
    StoreOf<K>: Default,
{
    let gone: BTreeSet<NodeId> = gone.iter().copied().chain(lost_members(world)).collect();
    let holds = |voters: &BTreeSet<NodeId>| voters.difference(&gone).count() > voters.len() / 2;
    let is_fine = |configuration: &Configuration| {
        configuration.voters.is_empty()
            || (holds(&configuration.voters) && configuration.outgoing.as_ref().is_none_or(holds))
    };
    let cluster = world.cluster();
    let of_disks = cluster.members().values().map(|member| member.disk().synced());
    let of_disks = of_disks.flat_map(|disk| in_force(cluster.ledger(), &disk.snapshot, disk.entries.iter()));
    let logs = cluster.nodes().map(Node::log);
    let of_logs = logs.flat_map(|log| in_force(cluster.ledger(), log.snapshot(), log.entries()));
    // What is on its way to somebody arrives.
    let under_way = arriving(world);
    let under_way = under_way.filter_map(|(_, entry)| configuration_of(entry));
    of_disks.chain(of_logs).chain(under_way).all(is_fine) && has_candidate(world, &gone)
}

/// The latest configuration that was committed, as far as anybody still has it.
pub(super) fn committed_configuration<P: Policies, K: kv::Rules>(world: &World<P, K>) -> &Configuration
where
    StoreOf<K>: Default,
{
    let ledger = world.cluster().ledger();
    let disks = world.cluster().members().values().map(|member| member.disk().synced());
    let known = disks.flat_map(|disk| {
        let entries = disk.entries.iter().filter(|entry| is_committed(ledger, entry.id));
        let later = entries.filter_map(|entry| Some((entry.id.index, configuration_of(entry)?)));
        core::iter::once((disk.snapshot.last.index, &*disk.snapshot.configuration)).chain(later)
    });
    let latest = known.max_by_key(|(index, _)| *index);
    latest.map(|(_, configuration)| configuration).expect("a cluster has members")
}

/// The configurations of a log that its owner may act under: the latest committed one, which nothing takes back,
/// and all after it.
fn in_force<'a, C: Command + 'a>(
    ledger: &Ledger<C>,
    snapshot: &'a SnapshotMeta,
    entries: impl Iterator<Item = &'a Entry<C>>,
) -> Vec<&'a Configuration> {
    let mut in_force = Vec::from([&*snapshot.configuration]);
    for entry in entries.filter(|entry| entry.id.index > snapshot.last.index) {
        let Some(configuration) = configuration_of(entry) else { continue };
        if is_committed(ledger, entry.id) {
            in_force.clear();
        }
        in_force.push(configuration);
    }
    in_force
}

fn configuration_of<C>(entry: &Entry<C>) -> Option<&Configuration> {
    match &entry.payload {
        Payload::Configuration(configuration) => Some(configuration),
        Payload::Noop | Payload::Command(_) => None,
    }
}

/// Whether this entry was committed. What everybody has compacted was.
fn is_committed<C: Command>(ledger: &Ledger<C>, id: EntryId) -> bool {
    id.index <= ledger.last().index && ledger.entry(id.index).is_none_or(|entry| entry.id == id)
}

/// The entries that are on their way to somebody and are not committed.
fn arriving<P: Policies, K: kv::Rules>(
    world: &World<P, K>,
) -> impl Iterator<Item = (NodeId, &Entry<Bytes>)> + '_
where
    StoreOf<K>: Default,
{
    let cluster = world.cluster();
    let links = cluster.links().loaded().into_iter().map(|(link, _)| link);
    let packets = links.flat_map(|link| cluster.links().on(link).map(move |packet| (link.1, packet)));
    let entries = packets.flat_map(|(to, packet)| {
        let message = match packet {
            Packet::Raft { envelope, .. } => Some(&envelope.message),
            Packet::Forward { .. } => None,
        };
        let entries = match message {
            Some(Message::AppendEntries { entries, .. }) => entries.as_slice(),
            _ => &[],
        };
        entries.iter().map(move |entry| (to, entry))
    });
    entries.filter(|(_, entry)| !is_committed(cluster.ledger(), entry.id))
}

/// Who lost what it swore, and stays away for good.
pub(super) fn lost_members<P: Policies, K: kv::Rules>(
    world: &World<P, K>,
) -> impl Iterator<Item = NodeId> + '_
where
    StoreOf<K>: Default,
{
    let members = world.cluster().members().iter();
    members.filter(|(_, member)| member.has_lost_disk()).map(|(id, _)| *id)
}

/// What a member has of the log, in memory or, while it is down, on its disk.
struct Log<'a> {
    last: EntryId,
    configuration: &'a Configuration,
    ids: BTreeSet<EntryId>,
}

impl<'a> Log<'a> {
    fn of<P: Policies, K: kv::Rules>(member: &'a Member<StoreOf<K>, P>) -> Log<'a>
    where
        StoreOf<K>: Default,
    {
        if let Some(log) = member.replica().map(|replica| replica.node().log()) {
            let ids = log.entries().map(|entry| entry.id).collect();
            return Log { last: log.last(), configuration: log.configuration().1, ids };
        }
        let disk = member.disk().synced();
        let configuration = disk.entries.iter().rev().find_map(configuration_of);
        Log {
            last: disk.last(),
            configuration: configuration.unwrap_or(&disk.snapshot.configuration),
            ids: disk.entries.iter().map(|entry| entry.id).collect(),
        }
    }
}

/// Whether one of the others is a voter in its own configuration and has a log that a quorum of it votes
/// for. Majorities alone do not say so: a member that is a learner to itself and a voter to a candidate
/// with an older log refuses its vote, and does not campaign (dissertation §4.2.1, §3.6.1). The log that
/// counts is the newest that a voter may come to hold by what is on its way to it; a candidate's own stays
/// as it is only while nothing else arrives.
fn has_candidate<P: Policies, K: kv::Rules>(world: &World<P, K>, gone: &BTreeSet<NodeId>) -> bool
where
    StoreOf<K>: Default,
{
    let present = world.cluster().members().iter().filter(|(id, _)| !gone.contains(id));
    let logs: BTreeMap<NodeId, Log> = present.map(|(id, member)| (*id, Log::of(member))).collect();
    let mut newest: BTreeMap<NodeId, EntryId> = logs.iter().map(|(id, log)| (*id, log.last)).collect();
    let mut unsettled = BTreeSet::new();
    for (to, entry) in arriving(world) {
        let Some(last) = newest.get_mut(&to) else { continue };
        *last = (*last).max(entry.id);
        if !logs[&to].ids.contains(&entry.id) {
            unsettled.insert(to);
        }
    }
    logs.iter().filter(|(id, _)| !unsettled.contains(id)).any(|(id, log)| {
        let votes = |voter| newest.get(&voter).is_some_and(|newest| *newest <= log.last);
        log.configuration.is_voter(*id) && is_quorum::<Raft>(log.configuration, votes)
    })
}
