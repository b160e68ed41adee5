//! Cases in the language of scenarios, so that a failure can be replayed, traced and kept.

use dkv::cluster::scenario::cluster_line;
use dkv::kv::{Command, KeyRange, Op, SimpleOp, Target, Txn, TxnOp};
use dkv::raft::{Bytes, NodeId, RequestId, Timer};

use super::actions::Case;

/// The comment and the `cluster` line.
pub(crate) fn opening(case: &Case) -> String {
    format!("# Random actions against the abstract reference.\n{}", cluster_line(case.members, &case.options))
}

/// A session is named after the request that opened it. `session` names that of a tagged command.
pub(crate) fn submit(
    at: NodeId,
    request: RequestId,
    command: &Command,
    session: Option<RequestId>,
) -> String {
    let what = match &command.op {
        Op::OpenSession => format!("open-session s{}", request.0),
        op => operation(op),
    };
    let tag = command.session.zip(session);
    let tag = tag.map(|(tag, session)| format!(" session=s{} seq={}", session.0, tag.sequence));
    format!("submit {what} at={} as=r{}{}", at.0, request.0, tag.unwrap_or_default())
}

fn operation(op: &Op) -> String {
    match op {
        Op::Put(put) => format!("put {}={}", word(&put.key), word(&put.value)),
        Op::Del(delete) => format!("del {}", key(&delete.keys)),
        Op::Txn(txn) => transaction(txn),
        Op::NoOp | Op::OpenSession | Op::CloseSession { .. } => unreachable!("no such operation is drawn"),
    }
}

fn transaction(txn: &Txn) -> String {
    let mut words = vec!["txn if".to_string()];
    words.extend(txn.compares.iter().map(|compare| match &compare.target {
        Target::Version(version) => format!("version:{}={version}", key(&compare.keys)),
        Target::Value(value) => format!("{}!={}", key(&compare.keys), word(value)),
        _ => unreachable!("no such compare is drawn"),
    }));
    for (name, steps) in [("then", &txn.then), ("else", &txn.otherwise)] {
        if !steps.is_empty() {
            words.push(name.to_string());
        }
        words.extend(steps.iter().map(|step| match step {
            TxnOp::Simple(SimpleOp::Put(put)) => format!("put {}={}", word(&put.key), word(&put.value)),
            TxnOp::Simple(SimpleOp::Delete(delete)) => format!("del {}", key(&delete.keys)),
            TxnOp::Simple(SimpleOp::Range(range)) => format!("get {}", key(&range.keys)),
            TxnOp::Txn(_) => unreachable!("no nested transaction is drawn"),
        }));
    }
    words.join(" ")
}

fn key(keys: &KeyRange) -> String {
    let KeyRange::One(key) = keys else { unreachable!("only single keys are drawn") };
    word(key)
}

fn word(bytes: &Bytes) -> String {
    bytes.escape_ascii().to_string()
}

pub(crate) fn timer(timer: Timer) -> &'static str {
    match timer {
        Timer::Election => "election",
        Timer::LeaderFresh => "leader-fresh",
        Timer::CheckQuorum => "check-quorum",
        Timer::Heartbeat => "heartbeat",
        Timer::Transfer => "transfer",
    }
}
