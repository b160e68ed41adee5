//! The names of the spec are those of the core: its invariants, its functions, its rules. That the steps are
//! the same is not shown here.

use std::collections::BTreeSet;
use std::path::PathBuf;

use dkv::raft::invariants::Invariant;
use dkv_proofs::teeth::Teeth;

use crate::spec;

/// Invariants of the core that the spec does not speak of.
const NOT_PROVED: [&str; 2] = ["healed_replicas_converge", "exactly_once"];

fn source(module: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../src/raft").join(format!("{module}.rs"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_invariants_of_the_core_are_proved_under_their_names() {
    let spec = spec();
    let formulas = spec.invariants.iter().chain(&spec.theorems).map(|formula| formula.name.as_str());
    let proved: BTreeSet<&str> =
        formulas.chain(spec.steps.iter().map(|step| step.property.name.as_str())).collect();
    let missing: Vec<&str> = Invariant::ALL
        .iter()
        .map(|invariant| invariant.name())
        .filter(|name| !proved.contains(name))
        .collect();
    assert_eq!(missing, NOT_PROVED);
}

#[test]
fn every_action_cites_the_publications_and_functions_of_the_core() {
    for action in spec().actions {
        assert!(!action.paper.is_empty(), "{} cites no section", action.name);
        assert!(!action.core.is_empty(), "{} stands for no function", action.name);
        for place in &action.core {
            let (module, function) = place.split_once("::").expect("a module and a function");
            let name = format!("fn {function}");
            let source = source(module);
            let found =
                source.match_indices(&name).any(|(at, _)| source[at + name.len()..].starts_with(['(', '<']));
            assert!(found, "{}: there is no {place} in the core", action.name);
        }
    }
}

#[test]
fn mutants_name_rules_of_the_core() {
    let spec = spec();
    let teeth = Teeth::read(&dkv_proofs::teeth_file(), &spec).expect("the list is well formed");
    let rules = source("rules");
    let named: BTreeSet<&String> = teeth.mutants.iter().flat_map(|mutant| &mutant.rules).collect();
    for rule in &named {
        assert!(rules.contains(&format!("fn {rule}(")), "there is no rule {rule}");
    }
    assert!(named.len() >= 20, "only {} rules have a mutant", named.len());
}
