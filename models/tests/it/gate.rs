//! The gate can pass, can fail, and says the same every time.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::process::Command;

use dkv::cluster::Shipped;
use dkv::raft::{MessageKind, Timer};
use dkv_models::actions::{Action, Asked, Kind, Way};
use dkv_models::bugs::{Bug, Injected, with_bug};
use dkv_models::check::{Report, Verdict, check};
use dkv_models::configurations::{Set, all, named, of_set};
use dkv_models::letters::Subject;
use dkv_models::properties::{CONVERGENCE, STEPWISE, TWINS};
use dkv_models::witnesses::Witness;

fn run<P: Subject>(name: &str) -> Report {
    check::<P>(&named(name).expect("a configuration of that name"), None)
}

/// Distinct states, transitions, and the longest path, in states.
fn counts(report: &Report) -> (usize, usize, usize) {
    (report.distinct_states, report.transitions, report.depth)
}

#[test]
fn quick_configurations_are_exhausted_with_their_pinned_counts() {
    for configuration in of_set(Set::Quick) {
        let name = configuration.name;
        let (first, second) = (run::<Shipped>(name), run::<Shipped>(name));
        assert_eq!(first.verdict, Verdict::Holds, "{}", first.line());
        assert!(configuration.pinned.is_some(), "{name}: {:?} is not pinned", counts(&first));
        assert_eq!(counts(&first), counts(&second), "{name}: two runs differ");
        assert_eq!(first.actions, second.actions, "{name}: two runs differ");
        assert_eq!(first.convergence, second.convergence, "{name}: two runs differ");
        if configuration.converge_every == 1 {
            let every = first.distinct_states as u64;
            assert_eq!(first.convergence.0, every, "{name}: convergence is judged from every state");
        }
    }
}

#[test]
fn the_counts_of_the_first_configurations_are_as_ever() {
    for (name, frozen) in [("quick", (27_405, 92_254, 30)), ("quick-disk", (5_554, 18_716, 23))] {
        assert_eq!(counts(&run::<Shipped>(name)), frozen, "{name}: the reachable states changed");
    }
}

#[test]
fn counts_that_are_not_the_pinned_ones_are_no_pass() {
    let mut configuration = named("quick-disk").expect("it exists");
    configuration.pinned = Some((5_553, 18_716));
    let report = check::<Shipped>(&configuration, None);
    assert_eq!(report.verdict, Verdict::Changed { pinned: (5_553, 18_716) });
    assert_eq!(report.status(), 1);
}

#[test]
fn every_configuration_that_can_be_exhausted_is_pinned() {
    for configuration in all() {
        let is_exhausted = configuration.set != Set::Simulation;
        assert_eq!(configuration.pinned.is_some(), is_exhausted, "{}", configuration.name);
    }
}

#[test]
fn every_property_has_situations_in_which_it_could_break() {
    let shown: Vec<Witness> =
        of_set(Set::Ci).iter().flat_map(|configuration| configuration.shows).copied().collect();
    let properties: Vec<&str> = STEPWISE.into_iter().chain([CONVERGENCE]).collect();
    assert_eq!(TWINS.map(|(property, _)| property).to_vec(), properties);
    for (property, twins) in TWINS {
        assert!(!twins.is_empty(), "{property} may be vacuous");
        for twin in twins {
            assert!(
                shown.contains(twin),
                "{property}: no configuration of the CI set must meet {}",
                twin.name()
            );
        }
    }
}

#[test]
fn every_kind_of_action_has_a_configuration() {
    let mut unused: BTreeSet<&str> = Action::KINDS.into_iter().collect();
    for configuration in of_set(Set::Quick) {
        let report = check::<Shipped>(&configuration, None);
        let taken = report.actions.iter().filter(|(_, count)| *count > 0);
        taken.for_each(|(kind, _)| {
            unused.remove(kind);
        });
    }
    assert_eq!(unused, BTreeSet::new(), "no quick configuration has these");
}

#[test]
fn an_action_can_be_read_back() {
    let way = Way { from: 0, to: 2, kind: Kind::Raft(MessageKind::AppendEntries), position: 1 };
    let mut actions = vec![
        Action::Deliver(way),
        Action::Deliver(Way { kind: Kind::Forward, position: 0, ..way }),
        Action::Duplicate(way),
        Action::Drop(Way { kind: Kind::Answer, ..way }),
        Action::Sync { id: 1, count: 2 },
        Action::Propose { at: 1 },
        Action::Retry { at: 0, of: 2 },
        Action::Read { at: 2 },
        Action::GiveUp { at: 1, of: Asked::Proposal(2) },
        Action::GiveUp { at: 0, of: Asked::Read(1) },
        Action::Crash { id: 0, keep: 1 },
        Action::Restart { id: 0 },
        Action::Compact { id: 3 },
        Action::Change { at: 0 },
        Action::Transfer { from: 0, to: 1 },
        Action::Partition { id: 2 },
        Action::Cut { from: 1, to: 0 },
        Action::Heal,
    ];
    actions.extend(Timer::ALL.map(|timer| Action::Fire { id: 1, timer }));
    let kinds: BTreeSet<usize> = actions.iter().map(|action| action.kind()).collect();
    assert_eq!(kinds.len(), Action::KINDS.len(), "every kind is tried");
    for action in actions {
        assert_eq!(action.to_string().parse(), Ok(action));
    }
    for wrong in ["", "deliver", "deliver Append n0→n1", "fire Election", "crash n0", "cut n0-n1"] {
        assert!(wrong.parse::<Action>().is_err(), "{wrong}");
    }
}

#[test]
fn a_truncated_run_never_passes_for_exhausted() {
    let configuration = named("quick").expect("it exists");
    let report = check::<Shipped>(&configuration, NonZeroUsize::new(5_000));
    assert_eq!(report.verdict, Verdict::Truncated);
    assert_eq!(report.status(), 3);
    assert!(!report.is_exhausted());
    assert_eq!(report.json()["truncated"], true, "{}", report.json());
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
    (Bug::TermNotWritten, "quick-pre-vote", "term_monotonic"),
    (Bug::VoteErased, "quick-pre-vote", "vote_stability"),
    (Bug::ConflictKept, "quick-pre-vote", "state_machine_safety"),
    (Bug::EitherIndex, "quick-learner", "committed_on_quorum"),
    (Bug::SnapshotAcknowledgedBeforeSync, "quick-snapshot", "committed_on_quorum"),
    (Bug::ForwardsTwice, "doubled-forwards", "exactly_once"),
    (Bug::RetriesApplied, "quick-session", "exactly_once"),
    (Bug::ReadsUnconfirmed, "reads", "linearizable"),
    (Bug::ReadsBeforeOwnCommit, "reads", "linearizable"),
    (Bug::NoUpToDateCheck, "crash", "leader_completeness"),
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
    assert_eq!(counts(&run::<Injected>("quick")), counts(&run::<Shipped>("quick")));
}
