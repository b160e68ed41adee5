//! Clients: what they ask for as commands, and what the answers tell them.

use alloc::vec::Vec;

use super::history::{Call, Found, Return, Step};
use crate::kv::{
    Compare, Delete, KeyRange, KeyValue, Op, Outcome, Put, Range, RangeOutcome, Relation, Response,
    SessionTag, SimpleOp, SimpleOutcome, Target, Txn, TxnOp, TxnOpOutcome,
};
use crate::raft::{Bytes, NodeId, RequestId};

/// Where a client stands with its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Session {
    /// It has none and asks for none.
    None,
    /// It asked for one.
    Opening,
    /// It has this one.
    Open(crate::kv::ClientId),
}

/// One client: at most one operation outstanding.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) session: Session,
    /// The latest number in its session.
    pub(super) sequence: u64,
    pub(super) current: Option<Current>,
    /// Attempts at earlier operations that were answered through another attempt.
    pub(super) surplus: Vec<(RequestId, NodeId)>,
}

/// An operation without an answer.
#[derive(Clone, Debug)]
pub(super) struct Current {
    /// Tells it from all other operations of the world.
    pub(super) number: u64,
    /// Its place in the history; nothing for the request that opens the session.
    pub(super) place: Option<usize>,
    pub(super) what: What,
    /// The attempts that may still be answered, and who was asked.
    pub(super) attempts: Vec<(RequestId, NodeId)>,
    /// Whether some attempt may have an effect although its answer will not come.
    pub(super) is_unsure: bool,
}

/// What an operation is to the cluster.
#[derive(Clone, Debug)]
pub(super) enum What {
    /// A read past the log.
    Read(Vec<Bytes>),
    /// A command, and the number under which it is done once.
    Write { command: Bytes, tag: Option<SessionTag> },
}

impl Current {
    /// Whether asking once more can do no harm: a read, a write under a session, or one that has no effect
    /// so far and never will.
    pub(super) fn may_retry(&self) -> bool {
        match &self.what {
            What::Read(_) => true,
            What::Write { tag, .. } => tag.is_some() || (!self.is_unsure && self.attempts.is_empty()),
        }
    }
}

impl Client {
    pub(super) fn new() -> Client {
        Client { session: Session::None, sequence: 0, current: None, surplus: Vec::new() }
    }
}

/// The operation that the store carries out for a call that writes.
pub(super) fn operation(compares: &[(Bytes, Option<Bytes>)], then: &[Step], otherwise: &[Step]) -> Op {
    match (compares, then) {
        ([], [Step::Put(key, value)]) => Op::Put(Put::new(key.clone(), value.clone())),
        ([], [Step::Delete(key)]) => Op::Del(Delete::new(KeyRange::One(key.clone()))),
        _ => Op::Txn(Txn {
            compares: compares.iter().map(compare).collect(),
            then: then.iter().map(step).collect(),
            otherwise: otherwise.iter().map(step).collect(),
        }),
    }
}

fn compare((key, value): &(Bytes, Option<Bytes>)) -> Compare {
    // A value of a key that does not exist is in no relation to anything; its version is 0.
    let target = value.clone().map_or(Target::Version(0), Target::Value);
    Compare { keys: KeyRange::One(key.clone()), target, relation: Relation::Equal }
}

fn step(step: &Step) -> TxnOp {
    TxnOp::Simple(match step {
        Step::Put(key, value) => SimpleOp::Put(Put::new(key.clone(), value.clone())),
        Step::Delete(key) => SimpleOp::Delete(Delete::new(KeyRange::One(key.clone()))),
        Step::Get(key) => SimpleOp::Range(Range::new(KeyRange::One(key.clone()))),
    })
}

/// The range that a read asks for: its key, or everything if there are several.
pub(super) fn range(keys: &[Bytes]) -> Range {
    Range::new(match keys {
        [key] => KeyRange::One(key.clone()),
        _ => KeyRange::all(),
    })
}

/// What a read tells its client.
pub(super) fn read_return(keys: &[Bytes], outcome: &RangeOutcome) -> Return {
    let found = keys.iter().map(|key| {
        let kv = outcome.kvs.iter().find(|kv| kv.key.as_slice() == key.as_slice());
        (key.clone(), kv.map(found))
    });
    Return { succeeded: true, revision: None, found: found.collect() }
}

/// What a write tells its client; nothing if it was refused.
pub(super) fn write_return(call: &Call, response: &Response) -> Option<Return> {
    let Call::Write { then, otherwise, .. } = call else { return None };
    let (succeeded, outcomes) = match &response.outcome {
        Outcome::Put(_) | Outcome::Deleted(_) => (true, &[][..]),
        Outcome::Txn(txn) => (txn.succeeded, &txn.outcomes[..]),
        _ => return None,
    };
    let steps = if succeeded { then } else { otherwise };
    let mut seen = Vec::new();
    for (step, outcome) in steps.iter().zip(outcomes) {
        if let (Step::Get(key), TxnOpOutcome::Simple(SimpleOutcome::Range(range))) = (step, outcome) {
            seen.push((key.clone(), range.kvs.first().map(found)));
        }
    }
    Some(Return { succeeded, revision: Some(response.revision.0), found: seen })
}

/// A key as a client sees it.
pub(super) fn found(kv: &KeyValue) -> Found {
    Found {
        value: kv.record.value.clone(),
        create_revision: kv.record.create_revision.0,
        mod_revision: kv.record.mod_revision.0,
        version: kv.record.version,
    }
}
