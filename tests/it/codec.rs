//! The canonical bytes: every value survives them, no two byte strings mean the same, no bytes do harm, and
//! what decodes is safe to give to the core.

mod conversation;
mod gateway;

use std::collections::{BTreeSet, VecDeque};
use std::fmt::Debug;

use dkv::codec::raft::COUNTER_MAX;
use dkv::codec::{DecodeError, Wire, from_bytes, to_bytes};
use dkv::kv;
use dkv::raft::message::{Envelope, Message};
use dkv::raft::ready::{Input, Limits, MemberChange, Ready, Timer};
use dkv::raft::types::{
    Bytes, Configuration, Entry, EntryId, HardState, Index, NodeId, Payload, RequestId, SnapshotMeta, Term,
};
use dkv::raft::{Durable, Node, Purge, Write};
use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::Index as Place;

// --- what must hold --------------------------------------------------------------------------------

/// The value survives its bytes, wherever they are put, and no part of them is enough.
fn lossless<T: Wire + PartialEq + Debug>(value: &T) {
    let bytes = to_bytes(value);
    assert_eq!(from_bytes::<T>(&bytes).as_ref(), Ok(value));
    assert!(bytes.len() >= T::MIN_BYTES, "{value:?} takes {} bytes", bytes.len());
    let mut buffer = vec![0xAA; 3];
    value.encode(&mut buffer);
    assert_eq!(buffer[..3], [0xAA; 3]);
    assert_eq!(buffer[3..], bytes);
    for length in 0..bytes.len() {
        let error = from_bytes::<T>(&bytes[..length]).expect_err("a part is not the whole");
        assert!(error.offset <= length, "{error} of {length}");
    }
    let error = from_bytes::<T>(&[&bytes[..], &[0]].concat()).expect_err("nothing follows a value");
    assert_eq!(error.offset, bytes.len());
}

/// The bytes are refused at a place in them, or they are the only ones that mean what they mean.
fn harmless<T: Wire>(bytes: &[u8]) -> Option<T> {
    match from_bytes::<T>(bytes) {
        Ok(value) => {
            assert_eq!(to_bytes(&value), bytes, "a second encoding of the same value");
            Some(value)
        }
        Err(error) => {
            assert!(error.offset <= bytes.len(), "{error} of {}", bytes.len());
            None
        }
    }
}

/// Every type, on the same bytes.
fn all_harmless(bytes: &[u8]) {
    harmless::<Payload<Bytes>>(bytes);
    harmless::<Entry<Bytes>>(bytes);
    harmless::<HardState>(bytes);
    harmless::<Configuration>(bytes);
    harmless::<SnapshotMeta>(bytes);
    harmless::<Message<Bytes>>(bytes);
    harmless::<Purge>(bytes);
    harmless::<kv::Command>(bytes);
    harmless::<kv::Response>(bytes);
    harmless::<kv::Snapshot>(bytes);
    if let Some(envelope) = harmless::<Envelope<Bytes>>(bytes) {
        newcomer_takes(envelope);
    }
    if let Some(write) = harmless::<Write<Bytes>>(bytes) {
        newcomer_writes(write);
    }
    if let Some(disk) = harmless::<Durable<Bytes>>(bytes) {
        node_starts_from(&disk);
    }
}

/// A node without a log asserts nothing about such a message, whatever it is, and can still act.
fn newcomer_takes(envelope: Envelope<Bytes>) {
    let disk = Durable::empty();
    let (mut node, _) = Node::<Bytes>::restore(envelope.to, Limits::default(), &disk, Index::ZERO);
    let _ = node.step(Input::Message(envelope.clone()));
    let _ = node.step(Input::Message(envelope));
    let _ = node.step(Input::Timeout(Timer::Election));
}

/// A write that starts at the beginning fits an empty disk and leaves one that can be read again.
fn newcomer_writes(write: Write<Bytes>) {
    let base = write.purge.map_or(EntryId::ZERO, |purge| purge.to);
    let fits = write.entries.first().is_none_or(|first| first.id.index == base.index.next());
    let is_whole = write.snapshot.as_ref().map_or(EntryId::ZERO, |snapshot| snapshot.last) == base;
    if fits && is_whole && write.hard_state.is_some() {
        let mut disk = Durable::empty();
        disk.apply(write);
        lossless(&disk);
    }
}

fn node_starts_from(disk: &Durable<Bytes>) {
    let applied = disk.snapshot.last.index;
    let (mut node, _) = Node::<Bytes>::restore(NodeId(0), Limits::default(), disk, applied);
    let _ = node.step(Input::Timeout(Timer::Election));
}

// --- values of consensus ---------------------------------------------------------------------------

fn node_id() -> impl Strategy<Value = NodeId> {
    prop_oneof![8 => 0..6u64, 1 => any::<u64>()].prop_map(NodeId)
}

fn counter() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 1..40u64, 1 => COUNTER_MAX - 40..=COUNTER_MAX]
}

fn entry_id() -> impl Strategy<Value = EntryId> {
    (counter(), counter()).prop_map(|(term, index)| EntryId::new(Term(term), Index(index)))
}

fn position() -> impl Strategy<Value = EntryId> {
    prop_oneof![1 => Just(EntryId::ZERO), 4 => entry_id()]
}

fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..12).prop_map(Bytes::from)
}

fn configuration() -> impl Strategy<Value = Configuration> {
    let sets =
        (btree_set(node_id(), 1..5), option::of(btree_set(node_id(), 1..5)), btree_set(node_id(), 0..4));
    sets.prop_map(|(voters, outgoing, mut learners)| {
        learners.retain(|id| !voters.contains(id));
        Configuration { voters, outgoing, learners }
    })
}

fn payload() -> impl Strategy<Value = Payload<Bytes>> {
    prop_oneof![
        1 => Just(Payload::Noop),
        4 => bytes().prop_map(Payload::Command),
        1 => configuration().prop_map(|configuration| Payload::Configuration(Box::new(configuration))),
    ]
}

fn snapshot_at(last: EntryId) -> impl Strategy<Value = SnapshotMeta> {
    let of_nobody = Just(Configuration::default());
    let configuration = prop_oneof![1 => of_nobody, 4 => configuration()];
    (configuration, any::<u64>(), any::<u32>()).prop_map(move |(mut configuration, size_bytes, checksum)| {
        if last == EntryId::ZERO {
            configuration.outgoing = None;
        }
        SnapshotMeta { last, configuration: Box::new(configuration), size_bytes, checksum }
    })
}

/// A log after `prev`.
fn entries_after(prev: EntryId) -> impl Strategy<Value = Vec<Entry<Bytes>>> {
    let room = (COUNTER_MAX - prev.index.0).min(5) as usize;
    vec((0..3u64, payload()), 0..=room).prop_map(move |steps| {
        let mut last = EntryId { term: prev.term.max(Term(1)), ..prev };
        let entry = |(rise, payload): (u64, _)| {
            let term = Term((last.term.0 + rise).min(COUNTER_MAX));
            last = EntryId::new(term, last.index.next());
            Entry { id: last, payload }
        };
        steps.into_iter().map(entry).collect()
    })
}

fn appended() -> impl Strategy<Value = Message<Bytes>> {
    position().prop_flat_map(|prev| (Just(prev), entries_after(prev), 0..=COUNTER_MAX)).prop_map(
        |(prev, entries, commit)| Message::AppendEntries { prev, entries, leader_commit: Index(commit) },
    )
}

fn refused() -> impl Strategy<Value = Message<Bytes>> {
    (counter(), option::of(counter()), any::<Place>()).prop_map(|(prev, conflict, place)| {
        let limit = prev + u64::from(conflict.is_some());
        let back = place.index(8) as u64;
        Message::AppendRefused {
            prev: Index(prev),
            conflict_term: conflict.map(Term),
            conflict_index: Index(limit.saturating_sub(back).clamp(1, COUNTER_MAX)),
        }
    })
}

fn chunk() -> impl Strategy<Value = Message<Bytes>> {
    let snapshot = entry_id().prop_flat_map(snapshot_at);
    (snapshot, any::<u64>(), any::<u32>()).prop_map(|(snapshot, offset, length)| {
        let offset = offset.min(snapshot.size_bytes);
        let length = length.min(u32::try_from(snapshot.size_bytes - offset).unwrap_or(u32::MAX));
        Message::InstallSnapshot { snapshot, offset, length }
    })
}

fn message() -> impl Strategy<Value = Message<Bytes>> {
    let term = || (0..=COUNTER_MAX).prop_map(Term);
    let index = || (0..=COUNTER_MAX).prop_map(Index);
    let request = || any::<u64>().prop_map(RequestId);
    prop_oneof![
        position().prop_map(|last_log| Message::PreVote { last_log }),
        (term(), any::<bool>())
            .prop_map(|(asked_in, granted)| Message::PreVoteResponse { asked_in, granted }),
        (position(), any::<bool>())
            .prop_map(|(last_log, transfer)| Message::RequestVote { last_log, transfer }),
        any::<bool>().prop_map(|granted| Message::RequestVoteResponse { granted }),
        appended(),
        index().prop_map(|matched| Message::AppendAccepted { matched }),
        refused(),
        (index(), any::<u64>()).prop_map(|(commit, round)| Message::Heartbeat { commit, round }),
        any::<u64>().prop_map(|round| Message::HeartbeatResponse { round }),
        chunk(),
        (entry_id(), any::<u64>(), any::<bool>()).prop_map(|(last, next_offset, installed)| {
            Message::InstallSnapshotResponse { last, next_offset, installed }
        }),
        Just(Message::TimeoutNow),
        request().prop_map(|request| Message::ReadIndex { request }),
        (request(), option::of(index()))
            .prop_map(|(request, index)| Message::ReadIndexResponse { request, index }),
    ]
}

fn latest_term(message: &Message<Bytes>) -> Term {
    match message {
        Message::PreVote { last_log } | Message::RequestVote { last_log, .. } => last_log.term,
        Message::AppendEntries { prev, entries, .. } => {
            entries.iter().map(|entry| entry.id.term).fold(prev.term, Term::max)
        }
        Message::AppendRefused { conflict_term: Some(term), .. } => *term,
        Message::InstallSnapshot { snapshot: SnapshotMeta { last, .. }, .. } => last.term,
        Message::InstallSnapshotResponse { last, .. } => last.term,
        _ => Term::ZERO,
    }
}

fn envelope() -> impl Strategy<Value = Envelope<Bytes>> {
    (node_id(), node_id(), 0..3u64, message()).prop_map(|(from, to, later, message)| {
        let is_pre_vote = matches!(message, Message::PreVote { .. } | Message::PreVoteResponse { .. });
        let term = (latest_term(&message).0 + later).clamp(u64::from(!is_pre_vote), COUNTER_MAX);
        let to = if to == from { NodeId(from.0 ^ 1) } else { to };
        Envelope { from, to, term: Term(term), message }
    })
}

/// A state of the disk that a node may leave: a log, the snapshot of a prefix, a shorter prefix purged.
fn disk() -> impl Strategy<Value = Durable<Bytes>> {
    let log = position().prop_flat_map(|purged| (Just(purged), entries_after(purged)));
    let covered = (log, any::<Place>()).prop_flat_map(|((purged, entries), place)| {
        let last = match place.index(entries.len() + 1) {
            0 => purged,
            count => entries[count - 1].id,
        };
        (Just(purged), Just(entries), snapshot_at(last))
    });
    (covered, 0..3u64, option::of(node_id())).prop_map(|((purged, entries, snapshot), later, voted_for)| {
        let mut disk =
            Durable { hard_state: HardState::default(), snapshot, purged, entries: entries.into() };
        let term = Term((disk.last().term.0 + later).min(COUNTER_MAX));
        disk.hard_state = HardState { term, voted_for: voted_for.filter(|_| term > Term::ZERO) };
        disk
    })
}

fn write() -> impl Strategy<Value = Write<Bytes>> {
    (disk(), any::<[bool; 3]>(), 0..3u64).prop_map(|(disk, [has_state, has_snapshot, keep], ahead)| {
        let Durable { hard_state, snapshot, purged, entries } = disk;
        let last = snapshot.last;
        let purge = Purge { to: if keep { purged } else { last }, keep_suffix: keep };
        let mut entries = Vec::from(entries);
        entries.retain(|entry| entry.id.index > last.index);
        entries.drain(..if keep { entries.len().min(ahead as usize) } else { 0 });
        let (snapshot, purge) = if has_snapshot { (Some(snapshot), Some(purge)) } else { (None, None) };
        Write { hard_state: has_state.then_some(hard_state), snapshot, purge, entries }
    })
}

// --- values of the store ---------------------------------------------------------------------------

fn keys() -> impl Strategy<Value = kv::KeyRange> {
    prop_oneof![
        bytes().prop_map(kv::KeyRange::One),
        (bytes(), bytes()).prop_map(|(from, until)| kv::KeyRange::Between(from, until)),
        bytes().prop_map(kv::KeyRange::From),
    ]
}

fn put() -> impl Strategy<Value = kv::Put> {
    (bytes(), bytes(), any::<i64>(), any::<[bool; 3]>()).prop_map(|(key, value, lease, flags)| {
        let [ignore_value, ignore_lease, prev_kv] = flags;
        kv::Put { key, value, lease: kv::LeaseId(lease), ignore_value, ignore_lease, prev_kv }
    })
}

fn delete() -> impl Strategy<Value = kv::Delete> {
    (keys(), any::<bool>()).prop_map(|(keys, prev_kv)| kv::Delete { keys, prev_kv })
}

fn simple_op() -> impl Strategy<Value = kv::SimpleOp> {
    prop_oneof![
        (keys(), any::<u64>(), any::<[bool; 2]>()).prop_map(|(keys, limit, [count_only, keys_only])| {
            kv::SimpleOp::Range(kv::Range { keys, limit, count_only, keys_only })
        }),
        put().prop_map(kv::SimpleOp::Put),
        delete().prop_map(kv::SimpleOp::Delete),
    ]
}

fn compare() -> impl Strategy<Value = kv::Compare> {
    use kv::Relation::{Equal, Greater, Less, NotEqual};
    let target = prop_oneof![
        bytes().prop_map(kv::Target::Value),
        any::<i64>().prop_map(kv::Target::Version),
        any::<i64>().prop_map(kv::Target::CreateRevision),
        any::<i64>().prop_map(kv::Target::ModRevision),
        any::<i64>().prop_map(|lease| kv::Target::Lease(kv::LeaseId(lease))),
    ];
    let relation = prop::sample::select(vec![Equal, Greater, Less, NotEqual]);
    (keys(), target, relation).prop_map(|(keys, target, relation)| kv::Compare { keys, target, relation })
}

fn txn<O: Debug + Clone>(step: impl Strategy<Value = O> + Clone) -> impl Strategy<Value = kv::Txn<O>> {
    (vec(compare(), 0..3), vec(step.clone(), 0..3), vec(step, 0..3))
        .prop_map(|(compares, then, otherwise)| kv::Txn { compares, then, otherwise })
}

fn command() -> impl Strategy<Value = kv::Command> {
    let simple = || simple_op().boxed();
    let step = prop_oneof![simple().prop_map(kv::TxnOp::Simple), txn(simple()).prop_map(kv::TxnOp::Txn)];
    let client = || any::<u64>().prop_map(kv::ClientId);
    let op = prop_oneof![
        Just(kv::Op::NoOp),
        put().prop_map(kv::Op::Put),
        delete().prop_map(kv::Op::Del),
        txn(step.boxed()).prop_map(kv::Op::Txn),
        Just(kv::Op::OpenSession),
        client().prop_map(|client| kv::Op::CloseSession { client }),
    ];
    let session = option::of((client(), any::<u64>()))
        .prop_map(|tag| tag.map(|(client, sequence)| kv::SessionTag { client, sequence }));
    (session, op).prop_map(|(session, op)| kv::Command { session, op })
}

// --- properties ------------------------------------------------------------------------------------

/// Damage of a kind that random bytes rarely show: near a valid encoding.
#[derive(Clone, Debug)]
enum Damage {
    Flip(Place, u8),
    Set(Place, u8),
    Number(Place, u64),
    Remove(Place),
    Insert(Place, u8),
    Repeat(Place, Place),
}

fn damage() -> impl Strategy<Value = Damage> {
    let number = prop::sample::select(vec![0, 1, 2, COUNTER_MAX - 1, COUNTER_MAX, COUNTER_MAX + 1, u64::MAX]);
    let place = any::<Place>;
    prop_oneof![
        (place(), 0..8u8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        (place(), 0..4u8).prop_map(|(at, byte)| Damage::Set(at, byte)),
        (place(), number).prop_map(|(at, number)| Damage::Number(at, number)),
        place().prop_map(Damage::Remove),
        (place(), any::<u8>()).prop_map(|(at, byte)| Damage::Insert(at, byte)),
        (place(), place()).prop_map(|(from, to)| Damage::Repeat(from, to)),
    ]
}

fn damaged(mut bytes: Vec<u8>, damages: &[Damage]) -> Vec<u8> {
    for damage in damages {
        let at = |place: &Place| place.index(bytes.len().max(1));
        match damage {
            _ if bytes.is_empty() => {}
            Damage::Flip(place, bit) => {
                let at = at(place);
                bytes[at] ^= 1 << bit;
            }
            Damage::Set(place, byte) => {
                let at = at(place);
                bytes[at] = *byte;
            }
            Damage::Number(place, number) => {
                let at = at(place);
                bytes.iter_mut().skip(at).zip(number.to_le_bytes()).for_each(|(byte, new)| *byte = new);
            }
            Damage::Remove(place) => drop(bytes.remove(at(place))),
            Damage::Insert(place, byte) => bytes.insert(at(place), *byte),
            Damage::Repeat(from, to) => {
                let (from, to) = (at(from).min(at(to)), at(from).max(at(to)));
                bytes.splice(to..to, bytes[from..to].to_vec());
            }
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_message_survives(envelope in envelope()) {
        lossless(&envelope);
        lossless(&envelope.message);
        newcomer_takes(envelope);
    }

    #[test]
    fn every_write_survives(write in write()) {
        lossless(&write);
        newcomer_writes(write);
    }

    #[test]
    fn every_disk_survives(disk in disk()) {
        lossless(&disk);
        lossless(&disk.hard_state);
        lossless(&disk.snapshot);
        lossless(&*disk.snapshot.configuration);
        disk.entries.iter().for_each(lossless);
        node_starts_from(&disk);
    }

    #[test]
    fn every_command_survives(command in command()) {
        lossless(&command);
        let bytes = Bytes::from(to_bytes(&command));
        lossless(&Payload::Command(bytes));
    }

    #[test]
    fn damaged_bytes_are_harmless(
        bytes in prop_oneof![
            4 => envelope().prop_map(|value| to_bytes(&value)),
            1 => message().prop_map(|value| to_bytes(&value)),
            2 => write().prop_map(|value| to_bytes(&value)),
            2 => disk().prop_map(|value| to_bytes(&value)),
            1 => configuration().prop_map(|value| to_bytes(&value)),
            1 => command().prop_map(|value| to_bytes(&value)),
        ],
        damages in vec(damage(), 1..4),
    ) {
        all_harmless(&damaged(bytes, &damages));
    }

    #[test]
    fn arbitrary_bytes_are_harmless(bytes in vec(prop_oneof![2 => 0..4u8, 1 => any::<u8>()], 0..200)) {
        all_harmless(&bytes);
    }
}
