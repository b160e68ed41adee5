//! The documents do not drift: every offset of the exam formats that `docs/formats.md` states is pinned
//! here, its hex dumps are read and compared with what the code writes, and `docs/protocol.md` names every
//! message, rule and invariant.

use std::collections::BTreeSet;
use std::fs;

use dkv::cluster::workload::Generator;
use dkv::cluster::{Cluster, Outcome, exams};
use dkv::codec::{from_bytes, to_bytes};
use dkv::kv::{Command, Delete, KeyRange, Op, Put, Store};
use dkv::raft::rules::Route;
use dkv::raft::{
    Bytes, Entry, EntryId, Envelope, Index, Invariant, Message, NodeId, Payload, Raft, RequestId, Rules,
    SnapshotMeta, Term,
};

use crate::cases::root;

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

// --- exam formats ------------------------------------------------------------------------------------

fn run(cluster: &mut Cluster<Store>, op: Op) {
    let request = cluster.propose(Bytes::from(to_bytes(&Command::new(op))));
    assert!(matches!(cluster.outcome(request), Some(Outcome::Applied { .. })));
    cluster.stabilize();
}

fn put(key: Bytes, value: i64) -> Op {
    Op::Put(Put::new(key, &value.to_le_bytes()[..]))
}

fn three_nodes(cluster: &Cluster<Store>) -> Vec<u8> {
    let snapshots = cluster.members().iter().map(|(id, member)| exams::integer_snapshot(*id, member));
    snapshots.flat_map(|snapshot| snapshot.expect("a healthy member has a snapshot")).collect()
}

/// Compares field by field, so that a failure names the offset; the fields must cover all bytes.
fn has_fields(bytes: &[u8], fields: &[(usize, &[u8])]) {
    let mut end = 0;
    for (offset, field) in fields {
        assert_eq!(*offset, end, "the fields leave no gap");
        end += field.len();
        assert_eq!(bytes.get(*offset..end), Some(*field), "at offset {offset}");
    }
    assert_eq!(end, bytes.len(), "the fields cover everything");
}

fn word(value: u64) -> [u8; 8] {
    value.to_le_bytes()
}

#[test]
fn the_string_exam_has_its_38_bytes() {
    for count in [1, 5] {
        let mut cluster = Cluster::<Store>::new(count);
        run(&mut cluster, Op::Put(Put::new("a", "v")));
        for member in cluster.members().values() {
            let bytes = exams::string_snapshot(member).expect("a healthy member has a snapshot");
            assert_eq!(bytes.len(), 38);
            has_fields(
                &bytes,
                &[
                    (0, b"DSEDKV20"),
                    (8, &word(1)),
                    (16, &word(1)),
                    (24, &1u32.to_le_bytes()),
                    (28, &1u32.to_le_bytes()),
                    (32, b"a"),
                    (33, &1u32.to_le_bytes()),
                    (37, b"v"),
                ],
            );
        }
    }
}

#[test]
fn the_string_exam_sorts_keys_by_bytes() {
    let mut cluster = Cluster::<Store>::new(5);
    for (key, value) in [("b", "2"), ("aa", ""), ("c", "3"), ("b", "22")] {
        run(&mut cluster, Op::Put(Put::new(key, value)));
    }
    run(&mut cluster, Op::Del(Delete::new(KeyRange::One("c".into()))));
    let bytes = exams::string_snapshot(&cluster.members()[&NodeId(0)]).expect("a healthy member");
    let keys = b"\x02\0\0\0\x02\0\0\0aa\0\0\0\0\x01\0\0\0b\x02\0\0\x0022";
    has_fields(&bytes, &[(0, b"DSEDKV20"), (8, &word(5)), (16, &word(1)), (24, keys)]);
}

#[test]
fn the_integer_exam_has_its_99_and_its_246_bytes() {
    let mut cluster = Cluster::<Store>::new(3);
    let empty = three_nodes(&cluster);
    assert_eq!(empty.len(), 99);
    for (node, bytes) in (0u8..).zip(empty.chunks(33)) {
        let (none, zero, term) = (0u32.to_le_bytes(), word(0), word(1));
        let fields: [(usize, &[u8]); 6] =
            [(0, b"DSEDIST2"), (8, &[node]), (9, &term), (17, &zero), (25, &none), (29, &none)];
        has_fields(bytes, &fields);
    }

    run(&mut cluster, put(exams::integer_key(5), 7));
    let one = three_nodes(&cluster);
    assert_eq!(one.len(), 246);
    for (node, bytes) in (0u8..).zip(one.chunks(82)) {
        let (count, first) = (1u32.to_le_bytes(), word(1));
        let fields: [(usize, &[u8]); 13] = [
            (0, b"DSEDIST2"),
            (8, &[node]),
            (9, &first),
            (17, &first),
            (25, &count),
            (29, &first),
            (37, &first),
            (45, &[0]),
            (46, &word(5)),
            (54, &word(7)),
            (62, &count),
            (66, &word(5)),
            (74, &word(7)),
        ];
        has_fields(bytes, &fields);
    }
}

#[test]
fn the_integer_exam_sorts_signed_keys_and_stores_0_for_a_del() {
    let mut cluster = Cluster::<Store>::new(3);
    for key in [1, -1, i64::MIN] {
        run(&mut cluster, put(exams::integer_key(key), 10 + key.signum()));
    }
    run(&mut cluster, Op::Del(Delete::new(KeyRange::One(exams::integer_key(1)))));
    let bytes = exams::integer_snapshot(NodeId(2), &cluster.members()[&NodeId(2)]).expect("a healthy member");
    let del = 29 + 3 * 33;
    assert_eq!(bytes[del + 16], 1, "the kind of a Del");
    assert_eq!(bytes[del + 17..del + 33], [word(1), word(0)].concat(), "its key, and the value 0");
    let live = [&2u32.to_le_bytes()[..], &word(1 << 63), &word(9), &word(u64::MAX), &word(9)].concat();
    assert_eq!(bytes[del + 33..], live, "ascending as signed integers");
}

#[test]
fn the_generator_starts_as_documented() {
    assert_eq!(Generator::new(0).next_u64(), 0x8b57_dafc_a0ce_e644);
    assert!(read("docs/formats.md").contains("0x8b57dafca0cee644"));
}

// --- dumps ---------------------------------------------------------------------------------------------

/// The bytes of the dump that a document marks with this name: lines of an offset, bytes, and a remark
/// after a bar.
fn dump(document: &str, name: &str) -> Vec<u8> {
    let mark = format!("<!-- dump: {name} -->\n```\n");
    let block = document.split(&mark).nth(1).unwrap_or_else(|| panic!("no dump of {name}"));
    let mut bytes = Vec::new();
    for line in block.split("```").next().unwrap_or_default().lines() {
        let (offset, row) = line.split_once("  ").expect("an offset, two spaces, bytes");
        assert_eq!(usize::from_str_radix(offset, 16), Ok(bytes.len()), "{line}");
        let row = row.split('|').next().unwrap_or_default();
        bytes.extend(row.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).expect("a byte")));
    }
    bytes
}

fn documented_put() -> Command {
    Command::new(Op::Put(Put::new("color", "red")))
}

#[test]
fn the_dump_of_a_put_is_what_the_code_writes() {
    let bytes = dump(&read("docs/formats.md"), "put");
    assert_eq!(bytes, to_bytes(&documented_put()));
    assert_eq!(from_bytes(&bytes), Ok(documented_put()));
}

#[test]
fn the_dump_of_an_append_is_what_the_code_writes() {
    let entry = |index, payload| Entry { id: EntryId::new(Term(3), Index(index)), payload };
    let command = Payload::Command(Bytes::from(to_bytes(&documented_put())));
    let envelope = Envelope {
        from: NodeId(0),
        to: NodeId(2),
        term: Term(3),
        message: Message::AppendEntries {
            prev: EntryId::new(Term(2), Index(7)),
            entries: vec![entry(8, Payload::Noop), entry(9, command)],
            leader_commit: Index(6),
        },
    };
    let bytes = dump(&read("docs/formats.md"), "append");
    assert_eq!(bytes, to_bytes(&envelope));
    assert_eq!(from_bytes(&bytes), Ok(envelope));
}

// --- names ---------------------------------------------------------------------------------------------

/// The smallest message of each kind; compared with the kinds in the source, so that a new one is missed.
fn smallest() -> Vec<Message<Bytes>> {
    let (id, request) = (EntryId::new(Term(1), Index(1)), RequestId(1));
    let snapshot = SnapshotMeta { last: id, ..SnapshotMeta::default() };
    vec![
        Message::PreVote { last_log: id },
        Message::PreVoteResponse { asked_in: Term(1), granted: true },
        Message::RequestVote { last_log: id, transfer: false },
        Message::RequestVoteResponse { granted: true },
        Message::AppendEntries { prev: id, entries: vec![], leader_commit: Index(1) },
        Message::AppendAccepted { matched: Index(1) },
        Message::AppendRefused { prev: Index(1), conflict_term: None, conflict_index: Index(1) },
        Message::Heartbeat { commit: Index(1), round: 0 },
        Message::HeartbeatResponse { round: 0 },
        Message::InstallSnapshot { snapshot, offset: 0, length: 0 },
        Message::InstallSnapshotResponse { last: id, next_offset: 0, installed: true },
        Message::TimeoutNow,
        Message::ReadIndex { request },
        Message::ReadIndexResponse { request, index: None },
    ]
}

/// The cells of the table row in which `cell` names `name`.
fn row<'a>(document: &'a str, cell: usize, name: &str) -> Vec<&'a str> {
    let quoted = format!("`{name}`");
    let rows = document.lines().filter(|line| line.starts_with("| "));
    let mut cells = rows.map(|line| line[1..line.len() - 1].split('|').map(str::trim).collect::<Vec<_>>());
    cells.find(|cells| cells.get(cell) == Some(&&*quoted)).unwrap_or_else(|| panic!("no row of {quoted}"))
}

#[test]
fn every_message_has_its_rows_and_they_are_true() {
    let (protocol, formats) = (read("docs/protocol.md"), read("docs/formats.md"));
    let source = read("src/raft/message.rs");
    let kinds = source.split("pub enum MessageKind {").nth(1).and_then(|rest| rest.split('}').next());
    let kinds = kinds.unwrap_or_default().split(',').map(|kind| kind.trim().to_string());
    let kinds: BTreeSet<String> = kinds.filter(|kind| !kind.is_empty()).collect();
    let messages = smallest();
    assert_eq!(
        messages.iter().map(|message| format!("{:?}", message.kind())).collect::<BTreeSet<_>>(),
        kinds
    );
    for message in messages {
        let name = format!("{:?}", message.kind());
        let leaves = match Raft::route(message.kind()) {
            Route::Now => "now",
            Route::AfterSync => "after sync",
        };
        assert_eq!(row(&protocol, 0, &name).last(), Some(&leaves), "{name} in docs/protocol.md");
        let bytes = to_bytes(&message);
        let documented = row(&formats, 1, &name);
        assert_eq!(documented[0].parse(), Ok(bytes[0]), "the tag of {name} in docs/formats.md");
        let size = documented[2].trim_end_matches(" +");
        assert_eq!(size.parse(), Ok(bytes.len()), "the size of {name} in docs/formats.md");
        let envelope = Envelope { from: NodeId(1), to: NodeId(2), term: Term(1), message };
        assert_eq!(to_bytes(&envelope)[25..], bytes, "a message starts at offset 25");
        assert_eq!(from_bytes(&to_bytes(&envelope)), Ok(envelope), "{name} decodes");
    }
}

/// The functions of the trait `Rules` in a source file.
fn rules(file: &str) -> BTreeSet<String> {
    let source = read(file);
    let body = source.split("pub trait Rules").nth(1).and_then(|rest| rest.split("\n}\n").next());
    let signatures = body.unwrap_or_default().lines().filter_map(|line| line.strip_prefix("    fn "));
    let names = signatures.filter_map(|signature| signature.split(['(', '<']).next());
    names.map(str::to_string).collect()
}

#[test]
fn every_rule_has_its_row_and_no_row_is_of_none() {
    let protocol = read("docs/protocol.md");
    let section = protocol.split("\n## Rules\n").nth(1).and_then(|rest| rest.split("\n## ").next());
    let section = section.expect("a section of rules");
    let mut documented = BTreeSet::new();
    for line in section.lines().filter(|line| line.starts_with("| `")) {
        documented.extend(line.split('`').nth(1).map(str::to_string));
    }
    let files = ["src/raft/rules.rs", "src/replica/rules.rs", "src/kv/rules.rs"].map(rules);
    assert!(files.iter().all(|found| found.len() >= 2), "the traits were found");
    assert_eq!(documented, files.into_iter().flatten().collect());
}

#[test]
fn every_invariant_has_its_row() {
    let protocol = read("docs/protocol.md");
    for invariant in Invariant::ALL {
        assert!(row(&protocol, 0, invariant.name()).len() >= 3, "{}", invariant.name());
    }
}

#[test]
fn the_checks_of_documents_can_fail() {
    let document = "<!-- dump: x -->\n```\n0000  01 ff | words\n0002  02\n```\n| `a` | | b |\n";
    assert_eq!(dump(document, "x"), [1, 255, 2]);
    assert_eq!(row(document, 0, "a"), ["`a`", "", "b"]);
    assert!(rules("src/raft/rules.rs").contains("may_commit"));
}
