//! Which bytes there are, pinned, and which values no correct node makes, refused one by one.

use super::*;

const fn id(term: u64, index: u64) -> EntryId {
    EntryId { term: Term(term), index: Index(index) }
}

fn entry(term: u64, index: u64) -> Entry<Bytes> {
    Entry { id: id(term, index), payload: Payload::Noop }
}

fn at_term(term: u64, message: Message<Bytes>) -> Envelope<Bytes> {
    Envelope { from: NodeId(1), to: NodeId(2), term: Term(term), message }
}

fn ids(numbers: &[u64]) -> BTreeSet<NodeId> {
    numbers.iter().copied().map(NodeId).collect()
}

fn members(voters: &[u64], outgoing: Option<&[u64]>, learners: &[u64]) -> Configuration {
    Configuration { voters: ids(voters), outgoing: outgoing.map(ids), learners: ids(learners) }
}

fn snapshot(last: EntryId) -> SnapshotMeta {
    SnapshotMeta {
        last,
        configuration: Box::new(members(&[1, 2], None, &[])),
        size_bytes: 9,
        checksum: 0xC5C5,
    }
}

/// Hexadecimal; the number 7 of eight bytes is written `7q`, of four bytes `7d`, for the reader's sake.
fn bytes_of(text: &str) -> Vec<u8> {
    let number = |digits: &str| u64::from_str_radix(digits, 16).expect("a hexadecimal number");
    let word = |word: &str| match word.split_at(word.len() - 1) {
        (digits, "q") => number(digits).to_le_bytes().to_vec(),
        (digits, "d") => number(digits).to_le_bytes()[..4].to_vec(),
        _ => vec![number(word) as u8],
    };
    text.split_whitespace().flat_map(word).collect()
}

fn pinned<T: Wire + PartialEq + Debug>(value: &T, text: &str) {
    assert_eq!(to_bytes(value), bytes_of(text), "{value:?}");
    lossless(value);
}

#[test]
fn every_message_has_its_bytes() {
    let configuration = Payload::Configuration(Box::new(members(&[1, 2], Some(&[3]), &[3])));
    let entries = vec![
        Entry { id: id(2, 5), payload: Payload::Command(Bytes::from("ab")) },
        entry(2, 6),
        Entry { id: id(3, 7), payload: configuration },
    ];
    let run = "3d 2q 01 2d 61 62 2q 00 3q 02 2d 1q 2q 01 1d 3q 1d 3q";
    let append = format!("04 1q 4q 3q {run}");
    let meta = "3q 7q 2d 1q 2q 00 0d 9q C5C5d";
    let cases: [(Message<Bytes>, &str); 16] = [
        (Message::PreVote { last_log: id(3, 7) }, "00 3q 7q"),
        (Message::PreVoteResponse { asked_in: Term(3), granted: true }, "01 3q 01"),
        (Message::RequestVote { last_log: id(3, 7), transfer: false }, "02 3q 7q 00"),
        (Message::RequestVoteResponse { granted: true }, "03 01"),
        (Message::AppendEntries { prev: id(1, 4), entries, leader_commit: Index(3) }, &append),
        (Message::AppendAccepted { matched: Index(7) }, "05 7q"),
        (
            Message::AppendRefused { prev: Index(7), conflict_term: None, conflict_index: Index(4) },
            "06 7q 00 4q",
        ),
        (
            Message::AppendRefused { prev: Index(7), conflict_term: Some(Term(2)), conflict_index: Index(8) },
            "06 7q 01 2q 8q",
        ),
        (Message::Heartbeat { commit: Index(3), round: u64::MAX }, "07 3q FFFFFFFFFFFFFFFFq"),
        (Message::HeartbeatResponse { round: 6 }, "08 6q"),
        (
            Message::InstallSnapshot { snapshot: snapshot(id(3, 7)), offset: 4, length: 5 },
            &format!("09 {meta} 4q 5d"),
        ),
        (
            Message::InstallSnapshotResponse { last: id(3, 7), next_offset: 9, installed: true },
            "0A 3q 7q 9q 01",
        ),
        (Message::TimeoutNow, "0B"),
        (Message::ReadIndex { request: RequestId(11) }, "0C Bq"),
        (Message::ReadIndexResponse { request: RequestId(11), index: None }, "0D Bq 00"),
        (Message::ReadIndexResponse { request: RequestId(11), index: Some(Index(7)) }, "0D Bq 01 7q"),
    ];
    let mut kinds = BTreeSet::new();
    for (message, text) in cases {
        pinned(&message, text);
        kinds.insert(message.kind());
        pinned(&at_term(4, message), &format!("01 1q 2q 4q {text}"));
    }
    assert_eq!(kinds.len(), 14, "every kind is pinned");
}

#[test]
fn every_record_of_the_disk_has_its_bytes() {
    pinned(&entry(2, 5), "2q 5q 00");
    pinned(&HardState { term: Term(3), voted_for: Some(NodeId(2)) }, "3q 01 2q");
    pinned(&Purge { to: id(2, 5), keep_suffix: true }, "2q 5q 01");
    pinned(&Write::<Bytes>::default(), "01 00 00 00 0q 0d");
    let write = Write {
        hard_state: Some(HardState { term: Term(3), voted_for: None }),
        snapshot: Some(snapshot(id(2, 5))),
        purge: Some(Purge { to: id(2, 4), keep_suffix: true }),
        entries: vec![entry(3, 6), entry(3, 7)],
    };
    let meta = "2q 5q 2d 1q 2q 00 0d 9q C5C5d";
    pinned(&write, &format!("01 01 3q 00 01 {meta} 01 2q 4q 01 6q 2d 3q 00 3q 00"));
    let disk = Durable {
        hard_state: HardState { term: Term(3), voted_for: None },
        snapshot: snapshot(id(2, 5)),
        purged: id(2, 4),
        entries: [entry(2, 5), entry(3, 6)].into(),
    };
    pinned(&disk, &format!("01 3q 00 {meta} 2q 4q 2d 2q 00 3q 00"));
    pinned(&Durable::<Bytes>::empty(), "01 0q 00 0q 0q 0d 00 0d 0q 0d 0q 0q 0d");
    lossless(&Durable::<Bytes>::genesis(NodeId(1), members(&[1, 2, 3], None, &[])));
}

/// The value has bytes, and they are refused at `offset`.
fn refused<T: Wire + Debug>(value: &T, offset: usize, reason: &'static str) {
    let refusal = from_bytes::<T>(&to_bytes(value)).expect_err("no correct node makes it");
    assert_eq!(refusal, DecodeError::new(offset, reason), "{value:?}");
}

#[test]
fn messages_that_no_correct_node_sends_are_refused() {
    const LATER: &str = "a message that is older than what it speaks of";
    const HALF: &str = "an entry's term and index are zero together or not at all";
    const LARGE: &str = "a term or an index above 2^63";
    const BEYOND: &str = "a chunk beyond the end of its snapshot";
    const BACK: &str = "a refusal that does not lead back";
    const FALL: &str = "terms fall along the log";
    let append = |prev, entries| Message::AppendEntries { prev, entries, leader_commit: Index::ZERO };
    let refusal = |prev, term: Option<u64>, index| Message::AppendRefused {
        prev: Index(prev),
        conflict_term: term.map(Term),
        conflict_index: Index(index),
    };
    let chunk = |last, offset, length| Message::InstallSnapshot { snapshot: snapshot(last), offset, length };
    let over = COUNTER_MAX + 1;
    let cases = [
        (at_term(2, Message::PreVote { last_log: id(3, 1) }), 25, LATER),
        (at_term(2, Message::RequestVote { last_log: id(3, 1), transfer: true }), 25, LATER),
        (at_term(2, append(id(3, 1), vec![])), 25, LATER),
        (at_term(2, append(id(1, 1), vec![entry(1, 2), entry(3, 3)])), 25, LATER),
        (at_term(2, refusal(5, Some(3), 4)), 25, LATER),
        (at_term(2, chunk(id(3, 1), 0, 9)), 25, LATER),
        (
            at_term(2, Message::InstallSnapshotResponse { last: id(3, 1), next_offset: 0, installed: true }),
            25,
            LATER,
        ),
        (at_term(0, Message::TimeoutNow), 25, "a message other than a pre-vote in term 0"),
        (at_term(over, Message::TimeoutNow), 17, LARGE),
        (at_term(1, Message::PreVote { last_log: id(0, 1) }), 26, HALF),
        (at_term(1, Message::RequestVote { last_log: id(1, 0), transfer: false }), 26, HALF),
        (at_term(1, append(id(1, 0), vec![])), 26, HALF),
        (at_term(1, Message::PreVoteResponse { asked_in: Term(over), granted: false }), 26, LARGE),
        (at_term(1, Message::AppendAccepted { matched: Index(u64::MAX) }), 26, LARGE),
        (at_term(1, Message::Heartbeat { commit: Index(over), round: 0 }), 26, LARGE),
        (
            at_term(1, Message::ReadIndexResponse { request: RequestId(1), index: Some(Index(over)) }),
            35,
            LARGE,
        ),
        (at_term(4, append(id(3, 1), vec![entry(2, 2)])), 54, FALL),
        (at_term(4, append(id(3, 1), vec![entry(4, 2), entry(3, 3)])), 63, FALL),
        (at_term(4, append(EntryId::ZERO, vec![entry(0, 1)])), 54, FALL),
        (at_term(4, append(id(1, COUNTER_MAX), vec![entry(1, over)])), 50, "a log that passes index 2^63"),
        (at_term(4, refusal(0, None, 0)), 26, "a refusal of the position before the log"),
        (at_term(4, refusal(5, Some(0), 3)), 34, "a conflict with an entry of term 0"),
        (at_term(4, refusal(5, None, 0)), 35, BACK),
        (at_term(4, refusal(5, None, 6)), 35, BACK),
        (at_term(4, refusal(5, Some(1), 7)), 43, BACK),
        (at_term(4, chunk(id(1, 1), 10, 0)), 79, BEYOND),
        (at_term(4, chunk(id(1, 1), 5, 5)), 79, BEYOND),
        (at_term(4, chunk(id(1, 1), u64::MAX, 1)), 79, BEYOND),
        (at_term(4, chunk(EntryId::ZERO, 0, 9)), 26, "the genesis is not sent as a snapshot"),
        (
            at_term(
                4,
                Message::InstallSnapshotResponse { last: EntryId::ZERO, next_offset: 0, installed: false },
            ),
            26,
            "the position before the log is not an entry",
        ),
        (Envelope { to: NodeId(1), ..at_term(1, Message::TimeoutNow) }, 9, "a message to its own sender"),
    ];
    for (envelope, offset, reason) in cases {
        refused(&envelope, offset, reason);
    }
    lossless(&at_term(0, Message::PreVoteResponse { asked_in: Term(5), granted: true }));
}

#[test]
fn configurations_that_no_correct_node_makes_are_refused() {
    const NOBODY: &str = "a configuration without a voter";
    refused(&members(&[], None, &[1]), 5, NOBODY);
    refused(&members(&[], Some(&[1]), &[]), 17, NOBODY);
    refused(&members(&[1], Some(&[]), &[]), 12, "a joint phase without an outgoing voter");
    refused(&members(&[1, 2], None, &[2]), 21, "a voter is a learner too");
    lossless(&members(&[1], Some(&[2]), &[2]));
    refused(&Payload::<Bytes>::Configuration(Box::default()), 1, NOBODY);
    let joint =
        SnapshotMeta { configuration: Box::new(members(&[1], Some(&[2]), &[])), ..SnapshotMeta::default() };
    refused(&joint, 16, "a genesis in the middle of a change");
    lossless(&SnapshotMeta { last: id(1, 1), ..SnapshotMeta::default() });
}

#[test]
fn disks_that_no_correct_node_leaves_are_refused() {
    const MORE: &str = "a purge of more than the snapshot covers";
    const WITHOUT: &str = "a log without the last entry of its snapshot";
    refused(&HardState { term: Term(0), voted_for: Some(NodeId(1)) }, 8, "a vote in term 0");
    refused(&entry(0, 1), 0, "an entry's term and index are zero together or not at all");
    refused(&entry(0, 0), 0, "the position before the log is not an entry");
    let disk = |term, last, purged, entries: &[Entry<Bytes>]| Durable {
        hard_state: HardState { term: Term(term), voted_for: None },
        snapshot: snapshot(last),
        purged,
        entries: entries.iter().cloned().collect(),
    };
    lossless(&disk(2, id(2, 6), id(1, 5), &[entry(2, 6)]));
    refused(&disk(2, id(1, 4), id(1, 5), &[entry(2, 6)]), 63, MORE);
    refused(&disk(2, id(2, 5), id(1, 5), &[entry(2, 6)]), 63, MORE);
    refused(&disk(2, id(2, 6), id(1, 5), &[]), 63, WITHOUT);
    refused(&disk(2, id(2, 6), id(1, 5), &[entry(1, 6)]), 63, WITHOUT);
    refused(&disk(1, id(1, 5), id(1, 5), &[entry(2, 6)]), 63, "an entry of a later term than the disk's");
}

#[test]
fn writes_that_no_correct_node_asks_for_are_refused() {
    let write = |last, to, keep_suffix, entries: &[Entry<Bytes>]| Write {
        hard_state: Some(HardState { term: Term(3), voted_for: None }),
        snapshot: Some(snapshot(last)),
        purge: Some(Purge { to, keep_suffix }),
        entries: entries.to_vec(),
    };
    let purge_at = 1 + 10 + 54;
    let entries_at = purge_at + 18;
    lossless(&write(id(2, 5), id(2, 4), true, &[entry(3, 6)]));
    lossless(&write(id(2, 5), id(2, 5), false, &[entry(3, 6)]));
    let more = "a purge of more than the snapshot covers";
    refused(&write(id(2, 5), id(2, 6), true, &[]), purge_at, more);
    refused(&write(id(2, 5), id(1, 5), true, &[]), purge_at, more);
    let short = "a purge that leaves a log short of its snapshot";
    refused(&write(id(2, 5), id(2, 4), false, &[]), purge_at, short);
    let itself = "entries that the record itself compacts away";
    refused(&write(id(2, 5), id(2, 4), true, &[entry(2, 5)]), entries_at, itself);
    let gap = "a gap between what is purged and the entries";
    refused(&write(id(2, 5), id(2, 5), false, &[entry(2, 7)]), entries_at, gap);
    let later = "an entry of a later term than the record's";
    refused(&write(id(2, 5), id(2, 4), true, &[entry(4, 6)]), entries_at, later);
    refused(&write(id(4, 5), id(2, 4), true, &[]), entries_at, later);
    let fall = "terms fall along the log";
    refused(&write(id(2, 5), id(2, 4), true, &[entry(1, 6)]), entries_at + 12, fall);
    for (first, count) in [("0q", "1d 3q 00"), ("6q", "0d")] {
        let bytes = bytes_of(&format!("01 00 00 00 {first} {count}"));
        let refusal = from_bytes::<Write<Bytes>>(&bytes).expect_err("a first index without its entries");
        assert_eq!(refusal, DecodeError::new(4, "a first index without entries"));
    }
}

#[test]
fn a_count_reserves_no_more_than_the_bytes_can_hold() {
    let head = to_bytes(&at_term(
        4,
        Message::AppendEntries { prev: EntryId::ZERO, entries: vec![], leader_commit: Index::ZERO },
    ));
    let mut bytes = head[..head.len() - 4].to_vec();
    bytes.extend([0xFF; 4]);
    bytes.extend([1; 30]);
    let refusal = from_bytes::<Envelope<Bytes>>(&bytes).expect_err("4 billion entries in 30 bytes");
    assert_eq!(refusal.offset, head.len() - 4);
}

#[test]
fn other_versions_are_refused() {
    for bytes in [to_bytes(&at_term(1, Message::TimeoutNow)), to_bytes(&Durable::<Bytes>::empty())] {
        for version in [0, 2, 255] {
            let bytes = [&[version], &bytes[1..]].concat();
            let unknown = DecodeError::new(0, "a record of an unknown version");
            assert_eq!(from_bytes::<Envelope<Bytes>>(&bytes), Err(unknown));
            assert_eq!(from_bytes::<Write<Bytes>>(&bytes), Err(unknown));
            assert_eq!(from_bytes::<Durable<Bytes>>(&bytes), Err(unknown));
        }
    }
}
