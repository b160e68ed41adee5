//! The small values of consensus: shared bytes, sizes, members, limits, and how they read.
//!
//! Left out: their bytes on the wire, which the tests of `codec` pin.

use std::collections::BTreeSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::panic::catch_unwind;

use dkv::raft::{
    Bytes, Command, Configuration, Durable, Entry, EntryId, Envelope, HardState, Index, Input, Limits,
    MemberChange, Message, Node, NodeId, Payload, Purge, RequestId, SnapshotMeta, Term, Timer, Write,
};

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn ids(ids: &[u64]) -> BTreeSet<NodeId> {
    ids.iter().copied().map(NodeId).collect()
}

#[test]
fn a_part_of_bytes_is_bytes_in_the_same_allocation() {
    let whole = Bytes::from("abcdefgh");
    let part = whole.slice(2..7);
    assert_eq!(part.as_slice(), b"cdefg");
    let smaller = part.slice(1..3);
    assert_eq!(smaller.as_slice(), b"de", "counted from where the part begins");
    assert_eq!(smaller.as_slice().as_ptr(), whole[3..].as_ptr());
    assert_eq!(part.slice(5..5).as_slice(), b"");
    assert!(catch_unwind(|| Bytes::from("ab").slice(1..3)).is_err(), "a part lies within");
}

#[test]
fn bytes_are_their_content() {
    let (part, same) = (Bytes::from("xab").slice(1..3), Bytes::from("ab"));
    assert_eq!(part, same);
    assert_eq!(hash(&part), hash(&same));
    assert_ne!(hash(&part), hash(&Bytes::from("ba")));
    assert_eq!(Bytes::from(b"ab".to_vec()), same);
    assert!(same < Bytes::from("b") && Bytes::from("a") < same && same <= part);
    assert_eq!(same.cmp(&Bytes::default()), std::cmp::Ordering::Greater);
    assert_eq!(BTreeSet::from([part]).get(b"ab".as_slice()), Some(&same), "found by its content");
    assert_eq!(format!("{:?}", Bytes::from("a\n")), r#""a\n""#);
}

#[test]
fn an_entry_is_as_large_as_what_it_carries() {
    fn size<C: Command>(payload: Payload<C>) -> usize {
        Entry { id: EntryId::ZERO, payload }.size_bytes()
    }
    assert_eq!(size::<u8>(Payload::Noop), 17);
    assert_eq!(size(Payload::Command(7u8)), 18);
    assert_eq!(size(Payload::Command(Bytes::from("hello"))), 22);
    let configuration = Configuration { learners: ids(&[4]), ..Configuration::of_voters(ids(&[1, 2])) };
    assert_eq!(size::<u8>(Payload::Configuration(Box::new(configuration))), 17 + 3 * 8);
}

#[test]
fn members_are_named_once_and_by_what_they_do() {
    let joint =
        Configuration { voters: ids(&[1, 2]), outgoing: Some(ids(&[2, 3, 4])), learners: ids(&[4, 5]) };
    assert_eq!(joint.members().map(|id| id.0).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert_eq!(joint.to_string(), "2,3,4=>1,2+4,5");
    for id in 0..7 {
        assert_eq!(joint.is_voter(NodeId(id)), (1..=4).contains(&id), "{id}");
        assert_eq!(joint.contains(NodeId(id)), (1..=5).contains(&id), "{id}");
    }
    assert_eq!(Configuration::of_voters(ids(&[1, 2])).to_string(), "1,2");
}

#[test]
fn names_are_short() {
    assert_eq!(format!("{} {:?}", NodeId(3), NodeId(3)), "n3 n3");
    assert_eq!(format!("{} {:?}", Term(3), Term(3)), "3 t3");
    assert_eq!(format!("{} {:?}", Index(3), Index(3)), "3 i3");
    let id = EntryId::new(Term(2), Index(9));
    assert_eq!(format!("{id} {id:?} {:?}", RequestId(4)), "9@2 9@2 r4");
}

#[test]
fn a_limit_that_leaves_room_for_nothing_is_refused() {
    let with = |change: fn(&mut Limits)| {
        let mut limits = Limits::default();
        change(&mut limits);
        let genesis = Durable::<u8>::genesis(NodeId(0), Configuration::of_voters([NodeId(0)]));
        catch_unwind(move || Node::<u8>::bootstrap(NodeId(0), limits, &genesis)).is_ok()
    };
    assert!(with(|_| {}));
    let none: [fn(&mut Limits); 7] = [
        |limits| limits.append_entries_max = 0,
        |limits| limits.append_bytes_max = 0,
        |limits| limits.inflight_appends_max = 0,
        |limits| limits.inflight_bytes_max = 0,
        |limits| limits.uncommitted_entries_max = 0,
        |limits| limits.waiting_reads_max = 0,
        |limits| limits.chunk_bytes_max = 0,
    ];
    for (at, change) in none.into_iter().enumerate() {
        assert!(!with(change), "limit {at}");
    }
}

#[test]
fn a_write_of_anything_is_not_empty() {
    assert!(Write::<u8>::default().is_empty());
    let writes = [
        Write { hard_state: Some(HardState::default()), ..Write::default() },
        Write { snapshot: Some(SnapshotMeta::default()), ..Write::default() },
        Write { purge: Some(Purge { to: EntryId::ZERO, keep_suffix: true }), ..Write::default() },
        Write {
            entries: vec![Entry { id: EntryId::ZERO, payload: Payload::Command(1u8) }],
            ..Write::default()
        },
    ];
    assert!(writes.iter().all(|write| !write.is_empty()));
}

#[test]
fn writes_are_outstanding_until_their_receipts() {
    let genesis = Durable::<u8>::genesis(NodeId(0), Configuration::of_voters([NodeId(0)]));
    let (mut node, _) = Node::<u8>::bootstrap(NodeId(0), Limits::default(), &genesis);
    assert_eq!(node.outstanding_writes(), 0);
    for writes in 1..=3 {
        let _ = node.step(Input::Propose { commands: vec![7], expected_term: None });
        assert_eq!((node.outstanding_writes(), node.durable_index()), (writes, Index(0)));
    }
    let _ = node.step(Input::Persisted(2));
    assert_eq!((node.outstanding_writes(), node.durable_index()), (1, Index(2)));
    let _ = node.step(Input::Persisted(1));
    assert_eq!((node.outstanding_writes(), node.durable_index()), (0, Index(3)));
}

/// A line per node: what is ordinary is left out.
#[test]
fn a_node_reads_as_one_line() {
    let genesis = Durable::<u8>::genesis(NodeId(0), Configuration::of_voters(ids(&[0, 1, 2])));
    let (mut leader, _) = Node::<u8>::bootstrap(NodeId(0), Limits::default(), &genesis);
    let line = |node: &Node<u8>| node.to_string();
    assert_eq!(line(&leader), "n0@1 leader last=0@0 commit=0 applied=0 {n1:0→1 n2:0→1}");
    let _ = leader.step(Input::Propose { commands: vec![1, 2], expected_term: None });
    assert_eq!(line(&leader), "n0@1 leader last=2@1 commit=0 applied=0 durable=0 (term 1) {n1:0→1? n2:0→1?}");
    let _ = leader.step(Input::Persisted(1));
    let accepted = Message::AppendAccepted { matched: Index(2) };
    let envelope = Envelope { from: NodeId(1), to: NodeId(0), term: Term(1), message: accepted };
    let _ = leader.step(Input::Message(envelope));
    assert_eq!(line(&leader), "n0@1 leader last=2@1 commit=2 applied=0 {n1:2→3 n2:0→1?}");
    let _ = leader.step(Input::Propose { commands: vec![3], expected_term: None });
    let _ = leader.step(Input::Persisted(1));
    assert_eq!(line(&leader), "n0@1 leader last=3@1 commit=2 applied=0 {n1:2→4+1 n2:0→1?}");
    let _ = leader.step(Input::ChangeMembers(vec![MemberChange::AddLearner(NodeId(7))]));
    let _ = leader.step(Input::Persisted(1));
    let _ = leader.step(Input::TransferLeadership(NodeId(2)));
    assert_eq!(
        line(&leader),
        "n0@1 leader last=4@1 commit=2 applied=0 members=0,1,2+7 {n1:2→5+2 n2:0→1? n7:0→4?} transfer→n2"
    );

    let (mut follower, _) = Node::<u8>::bootstrap(NodeId(1), Limits::default(), &genesis);
    assert_eq!(line(&follower), "n1@1 follower last=0@0 commit=0 applied=0 of n0");
    let ready = follower.step(Input::Timeout(Timer::LeaderFresh));
    assert!(ready.set.is_empty() && ready.cancelled.is_empty(), "{ready:?}");
    assert_eq!(line(&follower), "n1@1 follower last=0@0 commit=0 applied=0 of n0 (stale)");
    let ready = follower.step(Input::Timeout(Timer::Election));
    assert_eq!(format!("{:?}", ready.set), "{Election}");
    assert!(!ready.set.is_empty());
    assert_eq!(line(&follower), "n1@1 pre-candidate last=0@0 commit=0 applied=0 votes={n1}");
}

/// What a disk brought back, and what is on its way.
#[test]
fn a_node_reads_as_one_line_after_a_restart() {
    let last = EntryId::new(Term(1), Index(3));
    let configuration = Box::new(Configuration::of_voters(ids(&[0, 1, 2])));
    let snapshot = SnapshotMeta { last, configuration, size_bytes: 9, checksum: 0 };
    let disk = Durable::<u8> {
        hard_state: HardState { term: Term(2), voted_for: Some(NodeId(0)) },
        snapshot: snapshot.clone(),
        purged: EntryId::new(Term(1), Index(2)),
        entries: [Entry { id: last, payload: Payload::Noop }].into(),
    };
    let (mut node, _) = Node::<u8>::restore(NodeId(1), Limits::default(), &disk, last.index);
    let state = "last=3@1 commit=3 applied=3";
    assert_eq!(node.to_string(), format!("n1@2 follower {state} snapshot=3@1 purged=2@1 vote=n0"));
    let snapshot = SnapshotMeta { last: EntryId::new(Term(2), Index(8)), ..snapshot };
    let message = Message::InstallSnapshot { snapshot, offset: 0, length: 4 };
    let _ = node.step(Input::Message(Envelope { from: NodeId(0), to: NodeId(1), term: Term(3), message }));
    assert_eq!(
        node.to_string(),
        format!("n1@3 follower {state} durable=3 (term 2) snapshot=3@1 purged=2@1 of n0 receiving 8@2 4/9")
    );
}
