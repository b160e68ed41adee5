//! Everything is proved.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;

use dkv_proofs::conditions::{Goal, goals};
use dkv_proofs::hints::Hints;
use dkv_proofs::prove::{Outcome, Settings, prove};

use crate::{solver, spec, threads};

/// CI takes the seed from the commit, like the other random tests.
fn seed() -> u32 {
    let seed = std::env::var("PROPTEST_RNG_SEED").ok().and_then(|seed| seed.parse::<u64>().ok());
    u32::try_from(seed.unwrap_or(0) % 1_000_000).expect("below a million")
}

#[test]
fn the_protocol_is_proved() {
    let Some(solver) = solver("the_protocol_is_proved") else { return };
    let spec = spec();
    let hints = Hints::read(&dkv_proofs::hints_file()).expect("the hints are well formed");
    let settings = Settings { solver, seed: seed(), threads: threads(), hints, record: false };
    let report = prove(&spec, &settings, |_| true, |_, _, _| {}, &AtomicBool::new(false));
    let failures: Vec<String> =
        report.failures().map(|outcome| format!("{}: {}", outcome.goal, outcome.verdict.words())).collect();
    assert!(failures.is_empty(), "not proved with seed {}:\n{}", settings.seed, failures.join("\n"));
    let names: Vec<Goal> = report.outcomes.iter().map(|outcome: &Outcome| outcome.goal.clone()).collect();
    assert_eq!(names, goals(&spec).0, "every condition was asked, and once");
    assert_eq!(report.status(), 0);
    let order = report.order.expect("the conditions are in the decidable fragment");
    assert_eq!(order, ["Read", "Term", "Index", "Quorum", "Node", "Write", "Value"]);
}

#[test]
fn every_action_and_formula_is_in_a_condition_or_holds_by_frame() {
    let spec = spec();
    let (goals, frames) = goals(&spec);
    let lemmas: usize = spec.actions.iter().map(|action| action.lemmas.len()).sum();
    let excepted: usize = spec.steps.iter().map(|step| step.except.len()).sum();
    let expected = spec.invariants.len() * (spec.actions.len() + 1) + spec.steps.len() * spec.actions.len()
        - excepted
        + lemmas
        + spec.theorems.len();
    assert_eq!(goals.len() + frames, expected);
    let distinct: BTreeSet<String> = goals.iter().map(ToString::to_string).collect();
    assert_eq!(distinct.len(), goals.len(), "conditions have names of their own");
}

#[test]
fn hints_name_what_exists() {
    let spec = spec();
    let goals: BTreeSet<String> = goals(&spec).0.iter().map(ToString::to_string).collect();
    let formulas = spec.invariants.iter().chain(&spec.theorems);
    let mut known: BTreeSet<&str> = formulas.map(|formula| formula.name.as_str()).collect();
    known.extend(spec.steps.iter().map(|step| step.property.name.as_str()));
    known.extend(spec.actions.iter().flat_map(|action| &action.lemmas).map(|lemma| lemma.name.as_str()));
    let hints = Hints::read(&dkv_proofs::hints_file()).expect("the hints are well formed");
    for (goal, names) in hints.iter() {
        assert!(goals.contains(goal), "`cargo prove --record`: there is no condition {goal:?} any more");
        let gone: Vec<&String> = names.iter().filter(|name| !known.contains(name.as_str())).collect();
        assert!(gone.is_empty(), "`cargo prove --record`: {goal} has hints that are gone: {gone:?}");
    }
}
