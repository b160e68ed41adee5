//! The gate can pass, can fail, and says the same every time.

use std::num::NonZeroUsize;
use std::process::Command;

use dkv::raft::rules::Route;
use dkv::raft::{EntryId, Index, MessageKind, Raft, Term, rules};
use dkv::replica;
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

/// A set of rules with one of them replaced.
macro_rules! mistake {
    ($name:ident, $($rule:item)+) => {
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        struct $name;
        impl rules::Rules for $name { $($rule)+ }
        impl replica::Rules for $name {}
    };
}

mistake!(
    AcknowledgesBeforeSync,
    fn route(kind: MessageKind) -> Route {
        match kind {
            MessageKind::AppendAccepted => Route::Now,
            other => Raft::route_of(other),
        }
    }
);
mistake!(
    HalfIsEnough,
    fn majority(voters: usize) -> usize {
        voters / 2
    }
);
mistake!(
    LeaderCountsItselfBeforeSync,
    fn leader_match(_durable: Index, last: Index) -> Index {
        last
    }
);
mistake!(
    AcknowledgesTooMuch,
    fn acknowledged(prev: Index, entries: u64, _own_last: Index) -> Index {
        prev.plus(entries + 1)
    }
);
mistake!(
    NeverNotesAnAcknowledgement,
    fn advance_match(known: Index, _acknowledged: Index) -> Index {
        known
    }
);

/// The rule that ships, under a name that a replacement can call.
trait Shipped {
    fn route_of(kind: MessageKind) -> Route;
}

impl Shipped for Raft {
    fn route_of(kind: MessageKind) -> Route {
        <Raft as rules::Rules>::route(kind)
    }
}

/// Runs with a mistake and returns the property that it broke and the path there.
fn finds<R: replica::Rules + Send + Sync + 'static>(name: &str) -> (&'static str, Vec<String>) {
    let report = run::<R>(name);
    assert_eq!(report.status(), 1);
    match report.verdict {
        Verdict::Violated { broken, path } => (broken.property, path),
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn a_follower_that_acknowledges_before_its_sync_is_caught() {
    let (property, path) = finds::<AcknowledgesBeforeSync>("quick-disk");
    assert_eq!(property, "committed_on_quorum");
    assert!(path.len() <= 5, "the path was shortened: {path:?}");
}

#[test]
fn half_of_four_voters_is_no_majority() {
    assert_eq!(finds::<HalfIsEnough>("four").0, "committed_on_quorum");
}

#[test]
fn a_leader_that_counts_itself_before_its_sync_is_caught() {
    assert_eq!(finds::<LeaderCountsItselfBeforeSync>("quick-disk").0, "committed_on_quorum");
}

#[test]
fn an_acknowledgement_of_what_was_never_sent_is_caught_as_a_panic() {
    let (property, path) = finds::<AcknowledgesTooMuch>("quick");
    assert_eq!(property, "no_panic", "{path:?}");
}

#[test]
fn acknowledgements_that_are_never_noted_break_convergence() {
    assert_eq!(finds::<NeverNotesAnAcknowledgement>("quick").0, "healed_replicas_converge");
}

#[test]
fn equal_content_is_equal_whoever_made_it() {
    use dkv_models::shared::Shared;
    use std::collections::HashSet;
    let id = EntryId::new(Term(1), Index(2));
    let set: HashSet<Shared<EntryId>> = [Shared::new(id), Shared::new(id)].into();
    assert_eq!(set.len(), 1);
    assert_ne!(Shared::new(id), Shared::new(EntryId::ZERO));
}
