//! Large histories, recorded from a store that is linearizable, and spoilt ones; Porcupine as the judge.
//!
//! Clients call, take effect and return one moment at a time, in a random order. Some never hear back; their
//! operations take effect later or never. A history is spoilt by telling one reader an older answer.
//!
//! Porcupine (`porcupine-rs`, a port of the Go checker) knows no operations that do not return. Here they
//! return after all others, to an answer that the model accepts whatever happens, so that an operation that
//! never took effect is at the end, where it bothers nobody.
//!
//! Left out: Porcupine's bound on time; the histories that it judges are chosen so that it ends.

use std::time::Instant;

use dkv::cluster::random::Random;
use dkv::raft::Bytes;
use dkv::sim::history::{Call, Found, Operation, Return};
use dkv::sim::linearizable::{Start, check, check_revisions, check_values};
use porcupine_rs::{Model, check_operations};

use super::drafts::call;
use super::store::{Store, values_fit};
use super::{STEPS_MAX, is_convicted};

/// Which histories.
#[derive(Clone, Copy, Debug)]
struct Shape {
    operations: usize,
    clients: u64,
    keys: u64,
    /// How many kinds of [`call`]s.
    kinds: u64,
    /// How many operations in a thousand the client gives up on.
    unknown_in_1000: u64,
}

enum Client {
    Idle,
    /// This operation has not taken effect.
    Asked(usize),
    /// It has, and this is the answer.
    Answered(usize, Return),
}

fn record(shape: Shape, seed: u64) -> Vec<Operation> {
    let random = &mut Random::new(seed);
    let mut store = Store::default();
    let mut history: Vec<Operation> = Vec::with_capacity(shape.operations);
    let mut clients: Vec<Client> = (0..shape.clients).map(|_| Client::Idle).collect();
    let mut adrift: Vec<usize> = Vec::new();
    let mut time = 0;
    while history.len() < shape.operations {
        time += 1;
        if !adrift.is_empty() && random.below(20) == 0 {
            let at = adrift.swap_remove(random.below(adrift.len() as u64) as usize);
            if random.below(4) > 0 {
                store.apply(&history[at].call, false);
            }
            continue;
        }
        let client = &mut clients[random.below(shape.clients) as usize];
        *client = match core::mem::replace(client, Client::Idle) {
            Client::Idle => {
                let at = history.len();
                let call = any_call(shape, at, &store, random);
                history.push(Operation { call, invoked: time, returned: None });
                Client::Asked(at)
            }
            Client::Asked(at) if random.below(1000) < shape.unknown_in_1000 => {
                adrift.push(at);
                Client::Idle
            }
            Client::Asked(at) => {
                let call = &history[at].call;
                let is_past_log = matches!(call, Call::Read(_)) && random.below(4) > 0;
                Client::Answered(at, store.apply(call, is_past_log))
            }
            Client::Answered(at, answer) => {
                history[at].returned = Some((time, answer));
                Client::Idle
            }
        };
    }
    history
}

fn any_call(shape: Shape, at: usize, store: &Store, random: &mut Random) -> Call {
    let key = random.below(shape.keys);
    let second = (key + 1) % shape.keys;
    let [key, second] = [key, second].map(|key| format!("k{key}"));
    // Half of the calls read; half of the compares expect what is there.
    let kind = if random.below(2) == 0 { 0 } else { random.below(shape.kinds) as u8 };
    let there = store.found(&Bytes::from(key.as_str())).map(|found| found.value);
    let expected = match there.filter(|_| random.below(2) == 0) {
        Some(value) => String::from_utf8_lossy(&value).into_owned(),
        None => format!("v{}", random.below(at as u64 + 1)),
    };
    call(kind, &key, &second, &format!("v{at}"), &expected)
}

/// Tells one reader what another, not long before, found in the same key.
fn spoil(history: &mut [Operation], random: &mut Random) {
    loop {
        let from = random.below(history.len() as u64) as usize;
        let to = (from + 1 + random.below(20) as usize).min(history.len() - 1);
        let Some((_, old)) = &history[from].returned else { continue };
        let Some((key, old)) = old.found.first().cloned() else { continue };
        let Some((_, answer)) = &mut history[to].returned else { continue };
        let Some((_, new)) = answer.found.iter_mut().find(|(of, _)| *of == key) else { continue };
        if *new != old {
            *new = old;
            return;
        }
    }
}

/// A key and its value, as Porcupine's state.
#[derive(Clone)]
struct Values;

/// The store with its revisions.
#[derive(Clone)]
struct Stores;

type Asked = (Call, Option<Return>);

fn fits(store: &Store, (call, told): &Asked, fits: impl Fn(&Return, &Return) -> bool) -> (bool, Store) {
    let mut next = store.clone();
    let would = next.apply(call, told.as_ref().is_some_and(|told| told.revision.is_none()));
    (told.as_ref().is_none_or(|told| fits(told, &would)), next)
}

impl Model for Values {
    type State = Store;
    type Op = Asked;
    type Metadata = ();

    fn partition_operations(
        history: &[porcupine_rs::Operation<Values>],
    ) -> Vec<Vec<porcupine_rs::Operation<Values>>> {
        let mut by_key = std::collections::BTreeMap::<Bytes, Vec<_>>::new();
        for operation in history {
            let key = operation.op.0.keys().next().expect("a call has a key").clone();
            by_key.entry(key).or_default().push(operation.clone());
        }
        by_key.into_values().collect()
    }

    fn init() -> Store {
        Store::default()
    }

    fn step(store: &Store, asked: &Asked) -> (bool, Store) {
        let (fits, mut next) = fits(store, asked, values_fit);
        // Values alone: states that differ in revisions are one.
        next.revision = 1;
        next.keys.values_mut().for_each(|record| *record = (record.0.clone(), 1, 1, 1));
        (fits, next)
    }
}

impl Model for Stores {
    type State = Store;
    type Op = Asked;
    type Metadata = ();

    fn init() -> Store {
        Store::default()
    }

    fn step(store: &Store, asked: &Asked) -> (bool, Store) {
        fits(store, asked, |told, would| told == would)
    }
}

fn for_porcupine<M: Model<Op = Asked>>(history: &[Operation]) -> Vec<porcupine_rs::Operation<M>> {
    let last =
        history.iter().filter_map(|operation| operation.returned.as_ref()).map(|(time, _)| *time).max();
    let last = last.unwrap_or(0).max(history.last().map_or(0, |operation| operation.invoked));
    let operations = history.iter().enumerate().map(|(at, operation)| {
        let (time, told) = match &operation.returned {
            Some((time, told)) => (*time, Some(told.clone())),
            None => (last + 1 + at as u64, None),
        };
        porcupine_rs::Operation {
            client_id: None,
            call_time: operation.invoked as i64,
            return_time: time as i64,
            op: (operation.call.clone(), told),
            metadata: None,
        }
    });
    operations.collect()
}

/// Calls about single keys: the search and Porcupine say the same of the values.
#[test]
fn the_search_agrees_with_porcupine() {
    let (mut right, mut wrong) = (0, 0);
    for seed in 0..60 {
        let unknown_in_1000 = [0, 2, 5][seed as usize % 3];
        let shape = Shape { operations: 2000, clients: 2 + seed % 7, keys: 5, kinds: 9, unknown_in_1000 };
        let mut history = record(shape, seed);
        if seed % 4 > 0 {
            spoil(&mut history, &mut Random::new(seed));
        }
        let expected = check_operations(&for_porcupine::<Values>(&history));
        let verdict = check_values(&history, &Start::default(), STEPS_MAX);
        assert_eq!(!is_convicted(&verdict), expected, "{shape:?}, seed {seed}: {verdict:?}");
        *if expected { &mut right } else { &mut wrong } += 1;
    }
    println!("values of single keys: {right} right, {wrong} wrong");
    assert!(right >= 15 && wrong >= 15);
}

/// Transactions over several keys: both checks together say what Porcupine says of the whole store.
#[test]
fn both_checks_agree_with_porcupine_on_transactions() {
    let (mut right, mut wrong, mut missed) = (0, 0, 0);
    for seed in 0..60 {
        let unknown_in_1000 = [0, 3, 6][seed as usize % 3];
        let shape = Shape { operations: 1000, clients: 2 + seed % 5, keys: 4, kinds: 18, unknown_in_1000 };
        let mut history = record(shape, seed);
        if seed % 4 > 0 {
            spoil(&mut history, &mut Random::new(seed));
        }
        let expected = check_operations(&for_porcupine::<Stores>(&history));
        let verdict = check(&history, &Start::default(), STEPS_MAX);
        match (expected, is_convicted(&verdict)) {
            (true, true) => panic!("{shape:?}, seed {seed}: {verdict:?}"),
            (true, false) => right += 1,
            (false, true) => wrong += 1,
            (false, false) if shape.unknown_in_1000 == 0 => panic!("{shape:?}, seed {seed}: acquitted"),
            (false, false) => missed += 1,
        }
    }
    println!("transactions: {right} right, {wrong} wrong, {missed} wrong but acquitted");
    assert!(right >= 15 && wrong >= 15 && missed == 0);
}

/// The largest history that a simulation is likely to record.
#[test]
fn a_hundred_thousand_operations() {
    for (kinds, unknown_in_1000) in [(9, 0), (9, 20), (18, 0), (18, 20)] {
        let shape = Shape { operations: 100_000, clients: 8, keys: 20, kinds, unknown_in_1000 };
        let mut history = record(shape, 0);
        let begun = Instant::now();
        let by_revisions = check_revisions(&history, &Start::default());
        let half = begun.elapsed();
        let verdict = check_values(&history, &Start::default(), STEPS_MAX);
        let both = begun.elapsed();
        assert!(by_revisions.is_ok() && !is_convicted(&verdict), "{by_revisions:?} {verdict:?}");
        println!("{shape:?}: revisions in {half:?}, values in {:?}, {verdict:?}", both - half);
        spoil(&mut history, &mut Random::new(1));
        let begun = Instant::now();
        let by_revisions = check_revisions(&history, &Start::default()).is_err();
        let half = begun.elapsed();
        let by_values = check_values(&history, &Start::default(), 1_000_000);
        println!(
            "  spoilt: revisions {by_revisions} in {half:?}, values in {:?}: {}",
            begun.elapsed() - half,
            match by_values {
                dkv::sim::linearizable::Verdict::Violation(_) => "violation",
                dkv::sim::linearizable::Verdict::NoViolation { .. } => "none",
                dkv::sim::linearizable::Verdict::Undecided { .. } => "undecided",
            }
        );
        assert!(by_revisions, "{shape:?}");
    }
}

/// Nothing found is what a reader of a key that never was is told, and it stays right.
#[test]
fn reads_of_nothing_take_no_time() {
    let mut history = Vec::new();
    for at in 0..1000 {
        let nothing: Vec<(Bytes, Option<Found>)> = vec![("a".into(), None)];
        let answer = Return { succeeded: true, revision: None, found: nothing };
        history.push(Operation {
            call: Call::Read(vec!["a".into()]),
            invoked: at,
            returned: Some((5000 - at, answer)),
        });
    }
    assert!(!is_convicted(&check(&history, &Start::default(), 1000)));
}
