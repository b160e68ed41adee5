//! One key as a register: what a history says about it, for the [search](super::wgl).
//!
//! The register holds a value or nothing. Every call becomes what it does and shows of this key alone:
//!
//! | call | on the key |
//! |---|---|
//! | returned, compares held | the key had the compared value; gets saw what they saw; the last step stays |
//! | returned, a compare failed | if all compares are on this key, it did not have the value; gets and steps as above |
//! | unknown | nothing, or the steps of either list of which the compares on this key allow it |
//!
//! A call about this key alone loses nothing by this, and linearizability is local (Herlihy and Wing, 1990,
//! theorem 1): a history of such calls is linearizable if and only if it is for every key. A call about
//! several keys loses that its parts happen at one moment and with one outcome: what is found wrong is
//! wrong, but not all that is wrong is found.
//!
//! Values become numbers, and all values that nobody ever saw or compared with become one number: no
//! operation can tell them apart, so that the search need not either.
//!
//! Left out: revisions, which the [other check](super::revisions) is about.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::wgl::{Model, Timed};
use crate::raft::Bytes;
use crate::sim::history::{Call, Doing, Found, Operation, Return};

/// A value by number, or nothing.
pub(super) type State = Option<u32>;

/// The values that nobody ever saw.
const UNSEEN: u32 = 0;

/// A register that may be empty.
pub(super) struct Register;

/// What a call does and shows of a key: either of the branches, none if it cannot be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Access([Option<Branch>; 2]);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Branch {
    when: When,
    /// What the register holds after it, if it was written.
    sets: Option<State>,
}

/// What the register held before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum When {
    Any,
    Is(State),
    IsNot(State),
}

impl When {
    fn holds(self, state: State) -> bool {
        match self {
            When::Any => true,
            When::Is(value) => state == value,
            When::IsNot(value) => state != value,
        }
    }

    /// This, and `value` was there; nothing if both cannot be.
    fn and_is(self, value: State) -> Option<When> {
        self.holds(value).then_some(When::Is(value))
    }
}

impl Model for Register {
    type State = State;
    type Operation = Access;

    fn step(&self, state: &State, access: &Access) -> impl Iterator<Item = State> {
        let allowed = access.0.iter().flatten().filter(|branch| branch.when.holds(*state));
        allowed.map(|branch| branch.sets.unwrap_or(*state))
    }
}

/// The history of a key.
pub(super) struct KeyHistory<'a> {
    /// What happened, if it says or does anything.
    pub(super) accesses: Vec<Timed<Access>>,
    /// Where each of them comes from in the whole history.
    pub(super) origins: Vec<usize>,
    /// What the register holds at first.
    pub(super) start: State,
    numbers: BTreeMap<&'a Bytes, u32>,
}

impl<'a> KeyHistory<'a> {
    /// What `history` says about `key`, to which the operations in `touching` refer, if it held `start` at
    /// first.
    pub(super) fn new(
        history: &'a [Operation],
        touching: &[usize],
        key: &Bytes,
        start: Option<&'a Bytes>,
    ) -> KeyHistory<'a> {
        let mut numbers = BTreeMap::new();
        for value in touching.iter().flat_map(|at| seen_values(&history[*at], key)) {
            let next = numbers.len() as u32 + 1;
            numbers.entry(value).or_insert(next);
        }
        let mut of_key = KeyHistory { accesses: Vec::new(), origins: Vec::new(), start: None, numbers };
        of_key.start = start.map(|value| of_key.number(value));
        for at in touching {
            if let Some(access) = of_key.access(&history[*at], key) {
                let Operation { invoked, returned, .. } = &history[*at];
                let returned = returned.as_ref().map(|(time, _)| *time);
                of_key.accesses.push(Timed { invoked: *invoked, returned, operation: access });
                of_key.origins.push(*at);
            }
        }
        of_key
    }

    /// The value that a state stands for, if it is one that was seen.
    pub(super) fn value(&self, state: State) -> Option<&'a Bytes> {
        self.numbers.iter().find(|(_, number)| Some(**number) == state).map(|(value, _)| *value)
    }

    fn number(&self, value: &Bytes) -> u32 {
        self.numbers.get(value).copied().unwrap_or(UNSEEN)
    }

    /// What an operation is to the key; nothing if it neither shows nor changes anything.
    fn access(&self, operation: &Operation, key: &Bytes) -> Option<Access> {
        let call = &operation.call;
        if let Some((_, answer)) = &operation.returned {
            let branch = self.branch(call, answer.succeeded, Some(answer), key);
            let is_silent = branch == Some(Branch { when: When::Any, sets: None });
            return (!is_silent).then_some(Access([branch, None]));
        }
        let branch =
            |succeeded| self.branch(call, succeeded, None, key).filter(|branch| branch.sets.is_some());
        let branches = [branch(true), branch(false)];
        branches.iter().any(Option::is_some).then_some(Access(branches))
    }

    /// What a call is to the key if it took this branch; nothing if it cannot have.
    fn branch(&self, call: &Call, succeeded: bool, answer: Option<&Return>, key: &Bytes) -> Option<Branch> {
        let mut when = self.compared(call, succeeded, key)?;
        let mut sets: Option<State> = None;
        let mut founds = answer.map(|answer| answer.found.iter());
        for step in call.steps(succeeded) {
            let found = match (step, &mut founds) {
                (Doing::Get(_), Some(founds)) => founds.next(),
                _ => None,
            };
            match step {
                Doing::Put(to, value) if to == key => sets = Some(Some(self.number(value))),
                Doing::Delete(of) if of == key => sets = Some(None),
                Doing::Get(of) if of == key => {
                    let Some((_, found)) = found else { continue };
                    let found = found.as_ref().map(|found| self.number(&found.value));
                    match sets {
                        Some(own) if own != found => return None,
                        Some(_) => {}
                        None => when = when.and_is(found)?,
                    }
                }
                Doing::Put(..) | Doing::Delete(_) | Doing::Get(_) => {}
            }
        }
        Some(Branch { when, sets })
    }

    /// What the outcome of the compares says about the key; nothing if it cannot be.
    fn compared(&self, call: &Call, succeeded: bool, key: &Bytes) -> Option<When> {
        let compares = call.compares();
        let mut values = compares
            .iter()
            .filter(|(on, _)| on == key)
            .map(|(_, value)| value.as_ref().map(|value| self.number(value)));
        let first = values.next();
        let is_one_value = values.all(|value| Some(value) == first);
        match (succeeded, first) {
            (true, None) => Some(When::Any),
            (true, Some(value)) => is_one_value.then_some(When::Is(value)),
            (false, _) if compares.is_empty() => matches!(call, Call::Read(_)).then_some(When::Any),
            (false, Some(value)) if is_one_value && compares.iter().all(|(on, _)| on == key) => {
                Some(When::IsNot(value))
            }
            (false, _) => Some(When::Any),
        }
    }
}

/// The values that an operation compares `key` with or found in it.
fn seen_values<'a>(operation: &'a Operation, key: &Bytes) -> impl Iterator<Item = &'a Bytes> {
    let compared = operation.call.compares().iter().filter(move |(on, _)| on == key);
    let found: &[(Bytes, Option<Found>)] = match &operation.returned {
        Some((_, answer)) => &answer.found,
        None => &[],
    };
    let found = found.iter().filter(move |(of, _)| of == key);
    compared
        .filter_map(|(_, value)| value.as_ref())
        .chain(found.filter_map(|(_, found)| found.as_ref().map(|found| &found.value)))
}
