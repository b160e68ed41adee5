//! Random small histories, right ones and wrong ones.
//!
//! A draft says when an operation is called and returns, when it takes effect, and which lie its client is
//! told. The operations are carried out on a [`Store`] in the order in which they take effect, which lies
//! within their calls and returns or not, and the answers recorded; then come the lies.
//!
//! Left out: more than six operations, which [`large`](super::large) is about.

use dkv::raft::Bytes;
use dkv::sim::history::{Call, Found, Operation, Return, Step};
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_oneof};
use proptest::strategy::Just;

use super::store::Store;

/// What a client learns.
#[derive(Clone, Copy, Debug)]
enum Lie {
    Nothing,
    /// The outcome stays unknown.
    Silence,
    /// It stays unknown, and nothing happened.
    Loss,
    /// What another operation found.
    OtherFound(u8),
    /// That the key does not exist.
    Missing,
    Version(i8),
    Created(i8),
    Put(i8),
    Revision(i8),
    Succeeded,
}

/// An operation. Times are in any unit.
#[derive(Clone, Copy, Debug)]
struct Draft {
    called: u64,
    lasts: u64,
    /// When it takes effect, in percent of the time from call to return; late if more than 100.
    effective: u64,
    kind: u8,
    is_second_key: bool,
    /// Whose value it compares with.
    other: u8,
    lie: Lie,
}

#[derive(Clone, Debug)]
pub(super) struct Drafts {
    drafts: Vec<Draft>,
    /// How many puts there were before the first operation.
    before: u8,
    several_keys: bool,
}

pub(super) fn drafts(several_keys: bool) -> impl Strategy<Value = Drafts> {
    let lie = prop_oneof![
        14 => Just(Lie::Nothing),
        3 => Just(Lie::Silence),
        1 => Just(Lie::Loss),
        1 => any::<u8>().prop_map(Lie::OtherFound),
        1 => prop_oneof![
            Just(Lie::Missing),
            Just(Lie::Succeeded),
            prop_oneof![Just(-1), Just(1)].prop_map(Lie::Version),
            prop_oneof![Just(-1), Just(1)].prop_map(Lie::Created),
            prop_oneof![Just(-1), Just(1)].prop_map(Lie::Put),
            prop_oneof![Just(-1), Just(1)].prop_map(Lie::Revision),
        ],
    ];
    let effective = prop_oneof![9 => 0..=100u64, 1 => 0..=250u64];
    let kinds = if several_keys { KINDS } else { KINDS_OF_ONE_KEY };
    let draft = (0..60u64, 1..40u64, effective, 0..kinds, any::<bool>(), 0..8u8, lie).prop_map(
        move |(called, lasts, effective, kind, is_second_key, other, lie)| Draft {
            called,
            lasts,
            effective,
            kind,
            is_second_key: is_second_key && several_keys,
            other,
            lie,
        },
    );
    (vec(draft, 1..=6), 0..3u8).prop_map(move |(drafts, before)| Drafts { drafts, before, several_keys })
}

/// Kinds of calls, of which the first few are about one key.
const KINDS: u8 = 18;
const KINDS_OF_ONE_KEY: u8 = 9;

/// The call of `kind`, which puts `value` and compares with `expected`.
pub(super) fn call(kind: u8, key: &str, second: &str, value: &str, expected: &str) -> Call {
    let [key, second] = [key, second].map(Bytes::from);
    let put =
        |key: &Bytes, branch: &str| Step::Put(key.clone(), Bytes::from(format!("{value}{branch}").as_str()));
    let get = |key: &Bytes| Step::Get(key.clone());
    let delete = |key: &Bytes| Step::Delete(key.clone());
    let is = |key: &Bytes| (key.clone(), Some(Bytes::from(expected)));
    let no = |key: &Bytes| (key.clone(), None);
    let write = |compares, then, otherwise| Call::Write { compares, then, otherwise };
    match kind {
        0 => Call::Read(vec![key]),
        1 => write(vec![], vec![put(&key, "")], vec![]),
        2 => write(vec![], vec![delete(&key)], vec![]),
        3 => write(vec![is(&key)], vec![put(&key, "")], vec![get(&key)]),
        4 => write(vec![no(&key)], vec![put(&key, "")], vec![delete(&key)]),
        5 => write(vec![], vec![get(&key), put(&key, ""), get(&key)], vec![]),
        6 => write(vec![], vec![delete(&key), get(&key)], vec![]),
        7 => write(vec![is(&key)], vec![delete(&key)], vec![put(&key, "'")]),
        8 => write(vec![is(&key)], vec![get(&key)], vec![get(&key), delete(&key)]),
        9 => Call::Read(vec![key, second]),
        10 => write(vec![], vec![put(&key, ""), put(&second, "")], vec![]),
        11 => write(vec![], vec![put(&key, ""), delete(&second)], vec![]),
        12 => write(vec![], vec![delete(&key), delete(&second)], vec![]),
        13 => write(vec![is(&key), no(&second)], vec![put(&key, ""), delete(&second)], vec![get(&second)]),
        14 => write(vec![is(&second)], vec![put(&key, "")], vec![get(&second)]),
        15 => write(vec![is(&key)], vec![delete(&second), get(&key)], vec![delete(&key), put(&second, "'")]),
        16 => write(vec![], vec![get(&second), put(&key, "")], vec![]),
        _ => write(vec![no(&key), no(&second)], vec![put(&key, "")], vec![delete(&second)]),
    }
}

fn name(at: usize) -> String {
    format!("v{at}")
}

impl Drafts {
    /// The history, and the store before it.
    pub(super) fn history(&self) -> (Vec<Operation>, Store) {
        let mut store = Store::default();
        for nth in 0..self.before {
            let key = if nth == 1 && self.several_keys { "b" } else { "a" };
            store.apply(&call(1, key, "", &name(6 + usize::from(nth)), ""), false);
        }
        let before = store.clone();
        let mut moments = Vec::new();
        let mut effects = Vec::new();
        for (at, draft) in self.drafts.iter().enumerate() {
            moments.push((draft.called, 0, at));
            moments.push((draft.called + draft.lasts, 1, at));
            effects.push((100 * draft.called + draft.lasts * draft.effective, at));
        }
        moments.sort_unstable();
        effects.sort_unstable();
        let calls: Vec<Call> = self.drafts.iter().enumerate().map(|(at, draft)| draft.call(at)).collect();
        let mut answers: Vec<Option<Return>> = vec![None; calls.len()];
        for (_, at) in effects {
            let Draft { lie, called, .. } = self.drafts[at];
            if !matches!(lie, Lie::Loss) {
                answers[at] =
                    Some(store.apply(&calls[at], matches!(calls[at], Call::Read(_)) && called % 4 > 0));
            }
        }
        let founds: Vec<Found> = answers
            .iter()
            .flatten()
            .flat_map(|answer| answer.found.iter().filter_map(|(_, found)| found.clone()))
            .collect();
        let mut history: Vec<Operation> =
            calls.into_iter().map(|call| Operation { call, invoked: 0, returned: None }).collect();
        for (time, (_, is_return, at)) in moments.into_iter().enumerate() {
            if is_return == 0 {
                history[at].invoked = time as u64;
            } else if let Some(mut answer) = answers[at].take()
                && lie(self.drafts[at].lie, &mut answer, &history[at].call, &founds)
            {
                history[at].returned = Some((time as u64, answer));
            }
        }
        (history, before)
    }
}

impl Draft {
    fn call(&self, at: usize) -> Call {
        let (key, second) = if self.is_second_key { ("b", "a") } else { ("a", "b") };
        call(self.kind, key, second, &name(at), &name(usize::from(self.other)))
    }
}

/// Puts the lie into the answer; whether there is an answer at all.
fn lie(lie: Lie, answer: &mut Return, call: &Call, founds: &[Found]) -> bool {
    let moved = |number: &mut u64, by: i8| *number = number.saturating_add_signed(i64::from(by));
    let found = answer.found.iter_mut().next().map(|(_, found)| found);
    match (lie, found) {
        (Lie::Silence | Lie::Loss, _) => return false,
        (Lie::OtherFound(which), Some(found)) if !founds.is_empty() => {
            *found = Some(founds[usize::from(which) % founds.len()].clone());
        }
        (Lie::Missing, Some(found)) => *found = None,
        (Lie::Version(by), Some(Some(found))) => moved(&mut found.version, by),
        (Lie::Created(by), Some(Some(found))) => moved(&mut found.create_revision, by),
        (Lie::Put(by), Some(Some(found))) => moved(&mut found.mod_revision, by),
        (Lie::Revision(by), _) => {
            if let Some(revision) = &mut answer.revision {
                moved(revision, by);
            }
        }
        // Only where both lists give the same answer, so that it remains one of this call.
        (Lie::Succeeded, _) if !call.compares().is_empty() => {
            let gets = |succeeded| {
                call.steps(succeeded).filter(|step| matches!(step, dkv::sim::history::Doing::Get(_)))
            };
            if gets(true).eq(gets(false)) {
                answer.succeeded = !answer.succeeded;
            }
        }
        _ => {}
    }
    true
}
