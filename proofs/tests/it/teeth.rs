//! The proof fails where the protocol would, and is not empty.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;

use dkv_proofs::teeth::{Teeth, witness};

use crate::{on_all, solver, spec};

fn teeth() -> Teeth {
    Teeth::read(&dkv_proofs::teeth_file(), &spec()).expect("the list is well formed")
}

#[test]
fn every_mutant_is_refused_with_a_counterexample() {
    let Some(solver) = solver("every_mutant_is_refused_with_a_counterexample") else { return };
    let (spec, teeth) = (spec(), teeth());
    let stop = AtomicBool::new(false);
    let results = on_all(&teeth.mutants, |mutant| (mutant, mutant.refute(&spec, &teeth, &solver, &stop)));
    for (mutant, result) in results {
        let found = result.unwrap_or_else(|error| panic!("{} is not refused: {error}", mutant.name));
        assert!(found.starts_with(&format!("  {}:", mutant.action)), "{found}");
        assert!(found.contains(&format!("breaks {}", mutant.breaks)), "{found}");
        println!("{}\n{found}", mutant.name);
    }
}

#[test]
fn there_are_mutants_of_every_action_that_decides_something() {
    let (spec, teeth) = (spec(), teeth());
    assert!(teeth.mutants.len() >= 40, "{} mutants", teeth.mutants.len());
    let changed: BTreeSet<&str> = teeth.mutants.iter().map(|mutant| mutant.action.as_str()).collect();
    let untouched: Vec<&str> = spec
        .actions
        .iter()
        .map(|action| action.name.as_str())
        .filter(|name| !changed.contains(name))
        .collect();
    // It has no guard, and all that it does is to give up what a node leads.
    assert_eq!(untouched, ["step_down"]);
}

/// A search that finds a counterexample to anything would refuse every mutant.
#[test]
fn what_is_not_changed_is_not_refused() {
    let Some(solver) = solver("what_is_not_changed_is_not_refused") else { return };
    let (spec, mut teeth) = (spec(), teeth());
    teeth.mutants.iter_mut().for_each(dkv_proofs::teeth::Mutant::undo);
    let stop = AtomicBool::new(false);
    let some: Vec<_> = teeth.mutants.iter().step_by(6).collect();
    for result in on_all(&some, |mutant| (mutant, mutant.refute(&spec, &teeth, &solver, &stop))) {
        let (mutant, result) = result;
        let error = result.expect_err("nothing is changed");
        assert_eq!(error, "there is no such state of this size", "{}", mutant.name);
    }
}

#[test]
fn every_action_can_happen_with_two_elected_leaders_and_a_commit() {
    let Some(solver) = solver("every_action_can_happen_with_two_elected_leaders_and_a_commit") else {
        return;
    };
    let (spec, teeth) = (spec(), teeth());
    assert!(teeth.witness.is_some(), "the list says what is asked of a witness");
    let stop = AtomicBool::new(false);
    let results = on_all(&spec.actions, |action| (action, witness(&spec, action, &teeth, &solver, &stop)));
    for (action, result) in results {
        let found = result.unwrap_or_else(|error| panic!("{} never happens: {error}", action.name));
        assert!(found.starts_with(&format!("  {}:", action.name)), "{found}");
    }
}
