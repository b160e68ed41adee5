//! Whether a history is one: what the checks take for granted, and its recorder owes them.
//!
//! A history that breaks a rule of [`history`](crate::sim::history) is reported like one that is not
//! linearizable: a recorder that is wrong must not look like a store that is right. That values are unique
//! is only needed, and checked, where revisions are ([`revisions`](super::revisions)).
//!
//! Left out: that a client has one operation outstanding at a time, since operations do not name their
//! clients.

use alloc::vec::Vec;

use super::Violation;
use crate::sim::history::{Call, Doing, Operation};

/// Finds an operation that is not well formed, or two that happened at one moment.
pub(super) fn check(history: &[Operation]) -> Result<(), Violation> {
    for (at, operation) in history.iter().enumerate() {
        let misfit = misfit(operation);
        if let Some(what) = misfit {
            return Err(Violation::new(history, [at], what));
        }
    }
    let mut times: Vec<(u64, usize)> = Vec::with_capacity(2 * history.len());
    for (at, operation) in history.iter().enumerate() {
        times.push((operation.invoked, at));
        times.extend(operation.returned.iter().map(|(time, _)| (*time, at)));
    }
    times.sort_unstable();
    match times.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => {
            Err(Violation::new(history, [pair[0].1, pair[1].1], "not a history: two moments are one"))
        }
        None => Ok(()),
    }
}

fn misfit(operation: &Operation) -> Option<&'static str> {
    let Operation { call, invoked, returned } = operation;
    if !is_written_once(call, true) || !is_written_once(call, false) {
        return Some("not a history: a list writes a key twice");
    }
    let (time, answer) = returned.as_ref()?;
    if time < invoked {
        return Some("not a history: a return is before its call");
    }
    let mut found = answer.found.iter().map(|(key, _)| key);
    let gets = call.steps(answer.succeeded).filter_map(|step| match step {
        Doing::Get(key) => Some(key),
        Doing::Put(..) | Doing::Delete(_) => None,
    });
    if !gets.eq(found.by_ref()) {
        return Some("not a history: the keys of the answer are not those of the call");
    }
    match call {
        Call::Read(_) if !answer.succeeded => Some("not a history: a read cannot fail"),
        Call::Write { .. } if answer.revision.is_none() => {
            Some("not a history: the answer to a write lacks the revision")
        }
        Call::Read(_) | Call::Write { .. } => None,
    }
}

fn is_written_once(call: &Call, succeeded: bool) -> bool {
    let keys = |succeeded| {
        call.steps(succeeded).filter_map(|step| match step {
            Doing::Put(key, _) | Doing::Delete(key) => Some(key),
            Doing::Get(_) => None,
        })
    };
    keys(succeeded).enumerate().all(|(nth, key)| !keys(succeeded).take(nth).any(|other| other == key))
}
