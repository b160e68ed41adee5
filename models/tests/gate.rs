//! The gate can pass, can fail, and says the same every time.

use std::num::NonZeroUsize;
use std::process::Command;

use dkv::raft::Raft;
use dkv::replica;
use dkv_models::bugs::{Bug, Injected, with_bug};
use dkv_models::check::{Report, Verdict, check};
use dkv_models::configurations::named;

fn run<R: replica::Rules + Send + Sync + 'static>(name: &str) -> Report {
    check::<R>(&named(name).expect("a configuration of that name"), None)
}

/// Distinct states, transitions, and the longest path, in states.
fn counts(report: &Report) -> (usize, usize, usize) {
    (report.distinct_states, report.transitions, report.depth)
}

#[test]
fn quick_configurations_are_exhausted_with_frozen_counts() {
    for (name, frozen) in [("quick", (27_405, 92_254, 30)), ("quick-disk", (5_554, 18_716, 23))] {
        let (first, second) = (run::<Raft>(name), run::<Raft>(name));
        assert_eq!(first.verdict, Verdict::Holds, "{}", first.line());
        assert_eq!(counts(&first), frozen, "{name}: the reachable states changed");
        assert_eq!(counts(&first), counts(&second), "{name}: two runs differ");
        assert_eq!(first.actions, second.actions, "{name}: two runs differ");
        assert_eq!(first.convergence, second.convergence, "{name}: two runs differ");
        assert_eq!(first.convergence.0, frozen.0 as u64, "{name}: convergence is judged from every state");
    }
}

#[test]
fn every_kind_of_action_is_taken_somewhere() {
    let (plain, disk) = (run::<Raft>("quick"), run::<Raft>("quick-disk"));
    for ((kind, plain), (_, disk)) in plain.actions.iter().zip(&disk.actions) {
        // One-way cuts have a larger configuration of their own.
        assert!(plain + disk > 0 || *kind == "cut", "{kind} never happens");
    }
}

#[test]
fn a_truncated_run_never_passes_for_exhausted() {
    let configuration = named("quick").expect("it exists");
    let report = check::<Raft>(&configuration, NonZeroUsize::new(5_000));
    assert_eq!(report.verdict, Verdict::Truncated);
    assert_eq!(report.status(), 3);
    assert!(!report.is_exhausted());
    assert!(report.json().contains("\"truncated\":true"), "{}", report.json());
}

#[test]
fn the_exit_status_says_what_happened() {
    let status = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_dkv-models")).args(arguments).output();
        output.expect("the binary runs").status.code()
    };
    assert_eq!(status(&["check", "--config", "quick-disk"]), Some(0));
    assert_eq!(status(&["check", "--config", "quick-disk", "--states-max", "2000"]), Some(3));
    assert_eq!(status(&["check", "--config", "no-such-configuration"]), Some(2));
    assert_eq!(status(&["explore", "--address", "nowhere"]), Some(2));
    assert_eq!(status(&[]), Some(2));
}

// --- the gate can fail: one mistake at a time --------------------------------------------------------

/// A bug, a configuration that finds it, and the property that it breaks there.
const FOUND: &[(Bug, &str, &str)] = &[
    (Bug::AcknowledgesBeforeSync, "quick-disk", "committed_on_quorum"),
    (Bug::SmallMajority, "four", "committed_on_quorum"),
    (Bug::LeaderCountsUnsynced, "quick-disk", "committed_on_quorum"),
    (Bug::AcknowledgesOneMore, "quick", "committed_on_quorum"),
    (Bug::AppliesUncommitted, "quick", "no_panic"),
    (Bug::TruncatesWhatAgrees, "quick", "no_panic"),
    (Bug::AppliesUnsynced, "quick-disk", "state_machine_safety"),
    (Bug::AcknowledgementIgnored, "quick", "healed_replicas_converge"),
];

#[test]
fn a_bug_is_found_under_the_name_of_what_it_breaks() {
    for (bug, configuration, property) in FOUND {
        let report = with_bug(Some(*bug), || run::<Injected>(configuration));
        assert_eq!(report.status(), 1, "{bug}: {}", report.line());
        let Verdict::Violated { broken, path } = report.verdict else { panic!("{bug}: {}", report.line()) };
        assert_eq!(broken.property, *property, "{bug}: {path:?}");
        let names = bug.killed_by().iter().map(|killer| killer.name());
        assert!(names.into_iter().any(|name| name == *property), "{bug} is not expected to break {property}");
        if *bug == Bug::AcknowledgesBeforeSync {
            assert!(path.len() <= 5, "the path was shortened: {path:?}");
        }
    }
}

#[test]
fn without_a_bug_the_same_rules_explore_the_same_states() {
    assert_eq!(counts(&run::<Injected>("quick")), counts(&run::<Raft>("quick")));
}
