//! The whole reaction of a node to messages, as a table: role × message × term.
//!
//! `transitions.txt` is written by this test with `UPDATE_GOLDENS=1` and reviewed as a diff: a changed line
//! is a changed protocol. Node 1 of three is in term 4 with the log `1@1 2@3`; node 2 sends one message
//! of term 3, 4 or 5. Under "now" stands what leaves at once, under "synced" what leaves with the receipts.

use std::fmt::Write as _;
use std::{env, fs};

use super::kit::*;
use crate::cases::root;
use dkv::raft::{Envelope, Input, Message, Node, RequestId, Role, SnapshotMeta, Timer};

const THREE: &[u64] = &[1, 2, 3];
const TERM: u64 = 4;

type Case = (&'static str, fn() -> Host);

const ROLES: [Case; 6] = [
    ("follower", follower),
    ("follower of 3", follower_of_3),
    ("voted for 2", voted_for_2),
    ("pre-candidate", pre_candidate),
    ("candidate", candidate),
    ("leader", leader),
];

fn follower() -> Host {
    Host::new(1, disk(THREE, TERM, &[1, 3]))
}

fn follower_of_3() -> Host {
    let mut host = follower();
    host.receive(3, TERM, Heartbeat { commit: i(1), round: 0 });
    host
}

fn voted_for_2() -> Host {
    let mut host = follower();
    host.receive(2, TERM, RequestVote { last_log: at(2, 3), transfer: false });
    host
}

fn pre_candidate() -> Host {
    let mut host = follower();
    host.fire(Timer::Election);
    host
}

fn candidate() -> Host {
    let mut host = Host::new(1, disk(THREE, TERM - 1, &[1, 3]));
    host.fire(Timer::Election);
    host.receive(3, TERM - 1, PreVoteResponse { asked_in: t(TERM - 1), granted: true });
    host
}

fn leader() -> Host {
    let mut host = Host::new(1, disk(THREE, TERM - 1, &[1, 3]));
    host.elect();
    host
}

/// One message of each kind, and of some kinds one of each outcome.
fn messages() -> Vec<(&'static str, Message<u8>)> {
    let snapshot =
        SnapshotMeta { last: at(2, 3), configuration: Box::new(voters(THREE)), size_bytes: 8, checksum: 1 };
    vec![
        ("PreVote", PreVote { last_log: at(2, 3) }),
        ("PreVote, log behind", PreVote { last_log: at(9, 1) }),
        ("PreVoteResponse, granted", PreVoteResponse { asked_in: t(TERM), granted: true }),
        ("PreVoteResponse, refused", PreVoteResponse { asked_in: t(TERM), granted: false }),
        ("RequestVote", RequestVote { last_log: at(2, 3), transfer: false }),
        ("RequestVote, log behind", RequestVote { last_log: at(9, 1), transfer: false }),
        ("RequestVote, transfer", RequestVote { last_log: at(2, 3), transfer: true }),
        ("RequestVoteResponse, granted", RequestVoteResponse { granted: true }),
        ("RequestVoteResponse, refused", RequestVoteResponse { granted: false }),
        ("AppendEntries, matching", append(at(2, 3), &[3], 1)),
        ("AppendEntries, conflicting", append(at(2, 2), &[3], 1)),
        ("AppendEntries, empty", append(at(1, 1), &[], 1)),
        ("AppendAccepted", accepted(2)),
        ("AppendRefused", AppendRefused { prev: i(2), conflict_term: None, conflict_index: i(1) }),
        ("Heartbeat", Heartbeat { commit: i(1), round: 7 }),
        ("HeartbeatResponse", HeartbeatResponse { round: 7 }),
        (
            "InstallSnapshot, first chunk",
            InstallSnapshot { snapshot: snapshot.clone(), offset: 0, length: 4 },
        ),
        ("InstallSnapshot, whole", InstallSnapshot { snapshot, offset: 0, length: 8 }),
        (
            "InstallSnapshotResponse",
            InstallSnapshotResponse { last: at(2, 3), next_offset: 4, installed: false },
        ),
        (
            "InstallSnapshotResponse, installed",
            InstallSnapshotResponse { last: at(2, 3), next_offset: 8, installed: true },
        ),
        ("TimeoutNow", TimeoutNow),
        ("ReadIndex", ReadIndex { request: RequestId(1) }),
        ("ReadIndexResponse", ReadIndexResponse { request: RequestId(1), index: Some(i(1)) }),
    ]
}

fn describe(node: &Node<u8>) -> String {
    let role = match node.role() {
        Role::Follower => match node.leader() {
            Some(leader) => format!("follower of {}", leader.0),
            None => "follower".to_owned(),
        },
        Role::PreCandidate { .. } => "pre-candidate".to_owned(),
        Role::Candidate { .. } => "candidate".to_owned(),
        Role::Leader(_) => "leader".to_owned(),
    };
    let vote = node.hard_state().voted_for.map_or("-".to_owned(), |vote| vote.0.to_string());
    let fresh = if node.is_leader_fresh() { " fresh" } else { "" };
    format!(
        "{role}@{} vote={vote}{fresh} last={} commit={}",
        node.term(),
        node.log().last(),
        node.commit_index()
    )
}

/// Messages in short; several alike to different nodes are one.
fn summarize(envelopes: &[Envelope<u8>]) -> String {
    let mut parts: Vec<(String, Vec<u64>)> = Vec::new();
    for envelope in envelopes {
        let text = match &envelope.message {
            PreVoteResponse { granted, .. } => format!("PreVoteResponse {granted}"),
            RequestVoteResponse { granted } => format!("RequestVoteResponse {granted}"),
            AppendEntries { prev, entries, .. } => format!("AppendEntries {prev}+{}", entries.len()),
            AppendAccepted { matched } => format!("AppendAccepted {matched}"),
            AppendRefused { prev, conflict_index, .. } => format!("AppendRefused {prev}→{conflict_index}"),
            Heartbeat { commit, round } => format!("Heartbeat commit={commit} round={round}"),
            HeartbeatResponse { round } => format!("HeartbeatResponse {round}"),
            InstallSnapshotResponse { next_offset, installed, .. } => {
                format!("InstallSnapshotResponse {next_offset}{}", if *installed { " installed" } else { "" })
            }
            ReadIndexResponse { index, .. } => format!("ReadIndexResponse {index:?}"),
            other => format!("{:?}", other.kind()),
        };
        let text = format!("{text} @{}", envelope.term);
        match parts.iter_mut().find(|(other, _)| *other == text) {
            Some((_, to)) => to.push(envelope.to.0),
            None => parts.push((text, vec![envelope.to.0])),
        }
    }
    let join = |to: &[u64]| to.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
    parts.iter().map(|(text, to)| format!("{text} to {}", join(to))).collect::<Vec<_>>().join("; ")
}

/// Whether the case cannot arise: only one node leads a term, and acknowledgements are of what was sent.
fn is_impossible(host: &Host, term: u64, message: &Message<u8>) -> bool {
    host.node.is_leader() && term == TERM && message.is_from_leader()
}

fn table() -> String {
    let mut table = String::from("# Written by tests/it/paper/transitions.rs with UPDATE_GOLDENS=1.\n");
    for (role, host) in ROLES {
        let _ = write!(table, "\n## {role}: {}\n", describe(&host().node));
        for (kind, message) in messages() {
            let _ = write!(table, "\n{kind}\n");
            for (name, term) in [("older", TERM - 1), ("same", TERM), ("newer", TERM + 1)] {
                let mut host = host();
                host.mail();
                if is_impossible(&host, term, &message) {
                    let _ = writeln!(table, "  {name:5} impossible: one leader in a term");
                    continue;
                }
                host.is_disk_slow = true;
                let before = host.node.clone();
                let (from, to) = (n(2), n(1));
                let _ =
                    host.step(Input::Message(Envelope { from, to, term: t(term), message: message.clone() }));
                let now = summarize(&host.envelopes());
                let change = if host.node == before { "no change".to_owned() } else { describe(&host.node) };
                let _ = write!(table, "  {name:5} {change}");
                let synced = summarize(&host.sync_all());
                for (label, text) in [("now", now), ("synced", synced)] {
                    if !text.is_empty() {
                        let _ = write!(table, " | {label}: {text}");
                    }
                }
                table.push('\n');
            }
        }
    }
    table
}

#[test]
fn the_table_of_transitions_is_as_reviewed() {
    let path = root().join("tests/it/paper/transitions.txt");
    let table = table();
    if env::var_os("UPDATE_GOLDENS").is_some() {
        fs::write(&path, &table).expect("the table can be written");
    }
    let reviewed = fs::read_to_string(&path).expect("the table is there; UPDATE_GOLDENS=1 writes it");
    for (number, (found, expected)) in table.lines().zip(reviewed.lines()).enumerate() {
        assert_eq!(found, expected, "line {}; UPDATE_GOLDENS=1 rewrites the table for review", number + 1);
    }
    assert_eq!(
        table.lines().count(),
        reviewed.lines().count(),
        "UPDATE_GOLDENS=1 rewrites the table for review"
    );
}
