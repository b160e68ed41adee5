//! How a run shows outcomes, logs, stores and links.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::StoreOf;
use super::expect::{Fate, all_keys, name_of, response_word};
use crate::cluster::{Cluster, Member, Options, Outcome, Packet, Policies};
use crate::codec::from_bytes;
use crate::kv::{self, KeyRange, Op, SimpleOp, TxnOp};
use crate::raft::{Entry, Limits, NodeId, Payload};
use crate::replica;

/// The command that founds a cluster of `nodes` with these options, of which it names what differs from the
/// default.
#[must_use]
pub fn cluster_line(nodes: u64, options: &Options) -> String {
    let Options { seed, limits, snapshots, codec, .. } = options;
    let default = Limits::default();
    let numbers = [
        ("snapshot_every", snapshots.every_entries, 0),
        ("keep", snapshots.keep_entries, 0),
        ("chunk_bytes", limits.chunk_bytes_max.into(), default.chunk_bytes_max.into()),
        ("append_entries", limits.append_entries_max.into(), default.append_entries_max.into()),
        ("append_bytes", limits.append_bytes_max, default.append_bytes_max),
        ("inflight", limits.inflight_appends_max.into(), default.inflight_appends_max.into()),
        ("inflight_bytes", limits.inflight_bytes_max, default.inflight_bytes_max),
        ("uncommitted", limits.uncommitted_entries_max, default.uncommitted_entries_max),
        ("waiting_reads", limits.waiting_reads_max.into(), default.waiting_reads_max.into()),
    ];
    let switches = [("eager_commit", limits.eager_commit, default.eager_commit), ("codec", *codec, true)];
    let mut line = format!("cluster nodes={nodes} seed={seed}");
    for (name, value, default) in numbers {
        if value != default {
            line.push_str(&format!(" {name}={value}"));
        }
    }
    for (name, is_on, default) in switches {
        if is_on != default {
            line.push_str(&format!(" {name}={}", if is_on { "on" } else { "off" }));
        }
    }
    line
}

/// What became of a request, with everything worth knowing.
pub(super) fn outcome<K: kv::Rules>(outcome: &Outcome<StoreOf<K>>) -> String {
    let fate = name_of(&Fate::ALL, &Fate::of(Some(outcome)));
    match outcome {
        Outcome::Applied { id, response } => {
            let word = response_word(&response.outcome);
            let detail = match &response.outcome {
                kv::Outcome::Deleted(deleted) => format!(" {}", deleted.deleted),
                kv::Outcome::SessionOpened { client } => format!(" {client:?}"),
                _ => String::new(),
            };
            format!("{fate} {id} revision={} {word}{detail}", response.revision.0)
        }
        Outcome::Read(Ok(range)) if range.kvs.is_empty() => format!("{fate} none"),
        Outcome::Read(Ok(range)) => {
            let kvs = range.kvs.iter();
            let list: Vec<String> = kvs
                .map(|kv| format!("{}={}", kv.key.escape_ascii(), kv.record.value.escape_ascii()))
                .collect();
            format!("{fate} {}", list.join(" "))
        }
        Outcome::Read(Err(error)) => format!("{fate} failed: {error:?}"),
        Outcome::MembersChanged(configuration) => format!("{fate} {configuration}"),
        Outcome::Failed(replica::Failure::Refused(crate::raft::Refusal::NotLeader { hint: Some(hint) })) => {
            format!("{fate} hint={hint}")
        }
        Outcome::Transferred | Outcome::Failed(_) => fate.to_string(),
    }
}

/// A member as one dense line.
pub(super) fn member<P: Policies, K: kv::Rules>(id: NodeId, member: &Member<StoreOf<K>, P>) -> String {
    match (member.replica(), member.fault()) {
        (Some(replica), _) => format!("{}", replica.node()),
        (None, Some(fault)) => format!("{id} stopped: {fault}"),
        (None, None) => {
            format!("{id} down last={} unsynced={}", member.disk().synced().last(), member.disk().pending())
        }
    }
}

/// Every member as one dense line.
pub(super) fn status<P: Policies, K: kv::Rules>(cluster: &Cluster<StoreOf<K>, P>) -> Vec<String> {
    cluster.members().iter().map(|(id, of)| member(*id, of)).collect()
}

/// A log, one line per entry.
pub(super) fn log<P: Policies, K: kv::Rules>(member: &Member<StoreOf<K>, P>) -> Vec<String> {
    let Some(replica) = member.replica() else { return Vec::from(["down".to_string()]) };
    let log = replica.node().log();
    let mut lines = Vec::new();
    if log.snapshot().last.index.0 > 0 {
        let snapshot = log.snapshot();
        lines.push(format!("snapshot {} members={}", snapshot.last, snapshot.configuration));
    }
    lines.extend(log.entries().map(|entry| format!("{} {}", entry.id, payload(entry))));
    lines
}

fn payload(entry: &Entry<crate::raft::Bytes>) -> String {
    match &entry.payload {
        Payload::Noop => "-".to_string(),
        Payload::Configuration(configuration) => format!("members {configuration}"),
        Payload::Command(bytes) => match from_bytes::<kv::Command>(bytes) {
            Ok(command) => {
                let tag = command.session.map(|tag| format!(" {:?} seq={}", tag.client, tag.sequence));
                format!("{}{}", operation(&command.op), tag.unwrap_or_default())
            }
            Err(error) => format!("unreadable: {error}"),
        },
    }
}

fn operation(op: &Op) -> String {
    match op {
        Op::NoOp => "noop".to_string(),
        Op::Put(put) => self::put(put),
        Op::Del(delete) => format!("del {}", keys(&delete.keys)),
        Op::Txn(txn) => {
            let then: Vec<String> = txn.then.iter().map(step).collect();
            let otherwise: Vec<String> = txn.otherwise.iter().map(step).collect();
            format!(
                "txn {} compares then {} else {}",
                txn.compares.len(),
                then.join(" "),
                otherwise.join(" ")
            )
        }
        Op::OpenSession => "open-session".to_string(),
        Op::CloseSession { client } => format!("close-session {client:?}"),
    }
}

fn step(step: &TxnOp) -> String {
    match step {
        TxnOp::Simple(SimpleOp::Put(put)) => self::put(put),
        TxnOp::Simple(SimpleOp::Delete(delete)) => format!("del {}", keys(&delete.keys)),
        TxnOp::Simple(SimpleOp::Range(range)) => format!("get {}", keys(&range.keys)),
        TxnOp::Txn(_) => "txn".to_string(),
    }
}

fn put(put: &kv::Put) -> String {
    format!("put {}={}", put.key.escape_ascii(), put.value.escape_ascii())
}

fn keys(keys: &KeyRange) -> String {
    match keys {
        KeyRange::One(key) => format!("{}", key.escape_ascii()),
        KeyRange::Between(..) | KeyRange::From(_) => format!("{keys:?}"),
    }
}

/// Keys and sessions of a store.
pub(super) fn store<K: kv::Rules>(store: &StoreOf<K>) -> Vec<String> {
    let mut lines = Vec::from([format!("applied {} revision {}", store.applied(), store.revision().0)]);
    match store.range(&all_keys()) {
        Ok(all) => lines.extend(all.kvs.iter().map(|kv| {
            let kv::Record { value, create_revision, mod_revision, version, .. } = &kv.record;
            let (key, value) = (kv.key.escape_ascii(), value.escape_ascii());
            format!("{key}={value} create={} mod={} version={version}", create_revision.0, mod_revision.0)
        })),
        Err(error) => lines.push(format!("unreadable: {error:?}")),
    }
    for (last_used, client) in store.sessions().by_last_use() {
        let answered = store.sessions().get(client).and_then(|session| session.answered.as_ref());
        let answered = answered.map_or(String::new(), |answer| format!(" answered={}", answer.sequence));
        lines.push(format!("session {client:?} used={last_used}{answered}"));
    }
    lines
}

/// What is on the links, and the cuts.
pub(super) fn links<P: Policies, K: kv::Rules>(cluster: &Cluster<StoreOf<K>, P>) -> Vec<String> {
    let links = cluster.links();
    let mut lines: Vec<String> = links
        .loaded()
        .into_iter()
        .map(|((from, to), _)| {
            let kinds: Vec<String> = links.on((from, to)).map(kind::<K>).collect();
            format!("{from}→{to} {}", kinds.join(" "))
        })
        .collect();
    lines.extend(links.cuts().map(|(from, to)| format!("{from}→{to} cut")));
    lines
}

fn kind<K: kv::Rules>(packet: &Packet<StoreOf<K>>) -> String {
    match packet {
        replica::Packet::Raft { envelope, .. } => format!("{:?}@{}", envelope.message.kind(), envelope.term),
        replica::Packet::Forward { forward: replica::Forward::Propose { .. }, .. } => "Propose".to_string(),
        replica::Packet::Forward { forward: replica::Forward::Answer { .. }, .. } => "Answer".to_string(),
    }
}
