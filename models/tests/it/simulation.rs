//! Random walks: the same ones on any number of threads, clean without a bug, and bugs that three members hide or
//! show late are found by them.

use std::fs;
use std::num::NonZeroUsize;
use std::process::Command;

use dkv::cluster::Shipped;
use dkv_models::bugs::{Bug, Injected, with_bug};
use dkv_models::configurations::{Set, all, named};
use dkv_models::letters::Subject;
use dkv_models::progress::Watch;
use dkv_models::simulate::{Bound, Report, simulate};
use dkv_models::trace::{End, Trace};

const SEED: u64 = 2;
/// Steps within which the bugs below are found, and that the shipped code walks in each configuration.
const STEPS: u64 = 600_000;

fn run<P: Subject>(name: &str, steps: u64, threads: usize) -> Report {
    let configuration = named(name).expect("a configuration of that name");
    let threads = NonZeroUsize::new(threads).expect("somebody has to walk");
    simulate::<P>(&configuration, SEED, Bound::Steps(steps), threads, &Watch::default())
}

/// A bug, a configuration of five whose walks find it, and what it breaks.
const FOUND: &[(Bug, &str, &str)] = &[
    (Bug::CommitsEarlierTerms, "five-elections", "leader_completeness"),
    (Bug::ProgressOutOfOrder, "five-cuts", "committed_on_quorum"),
    (Bug::ServesUnapplied, "five-clients", "linearizable"),
    (Bug::AcknowledgesItsLast, "five-disorder", "committed_on_quorum"),
    (Bug::RefusalSetsMatch, "five-disorder", "state_machine_safety"),
    (Bug::VotesCountedTwice, "five-disorder", "election_safety"),
];

#[test]
fn walks_find_bugs_that_exhausting_three_members_does_not() {
    for (bug, name, property) in FOUND {
        let report = with_bug(Some(*bug), || run::<Injected>(name, STEPS, 2));
        assert_eq!(report.status(), 1, "{bug}: {}", report.line());
        let violation = report.violation.expect("something is violated");
        assert_eq!(violation.broken.property, *property, "{bug}: {}", violation.broken);
        assert!(violation.trace.actions.len() <= violation.steps, "{bug}: shortening makes it no longer");
        // What is kept is read back, breaks the same, and nothing without the bug.
        let trace: Trace = violation.trace.to_string().parse().expect("it is what it prints");
        let played = with_bug(Some(*bug), || trace.play::<Injected>());
        assert_eq!(played.end, End::Broken(violation.broken), "{bug}");
        assert!(!matches!(trace.play::<Shipped>().end, End::Broken(_)), "{bug}: it breaks without the bug");
    }
}

#[test]
fn without_a_bug_the_same_walks_break_nothing() {
    for configuration in all().into_iter().filter(|configuration| configuration.set == Set::Simulation) {
        let report = run::<Shipped>(configuration.name, STEPS, 2);
        assert_eq!(report.status(), 0, "{}", report.line());
        assert!(report.tally.steps >= STEPS && report.tally.convergence_runs > 0, "{}", report.line());
        assert_eq!(report.tally.cut_short, 0, "{}: budgets end walks", configuration.name);
        assert_eq!(report.unseen, Vec::<&str>::new(), "{}: what it exists for is met", configuration.name);
    }
}

#[test]
fn the_same_seed_makes_the_same_walks_on_any_number_of_threads() {
    for name in ["five-members", "replication"] {
        let one = run::<Shipped>(name, 30_000, 1);
        for threads in [2, 5] {
            assert_eq!(run::<Shipped>(name, 30_000, threads).tally, one.tally, "{name}: {threads} threads");
        }
    }
    let find = |threads| {
        let report =
            with_bug(Some(Bug::CommitsEarlierTerms), || run::<Injected>("five-elections", STEPS, threads));
        (report.violation.expect("it is found"), report.tally)
    };
    let one = find(1);
    for threads in [2, 5] {
        assert_eq!(find(threads), one, "{threads} threads");
    }
}

#[test]
fn other_seeds_make_other_walks() {
    let configuration = named("five-cuts").expect("it exists");
    let tally = |seed| {
        let bound = Bound::Steps(5_000);
        simulate::<Shipped>(&configuration, seed, bound, NonZeroUsize::MIN, &Watch::default()).tally
    };
    assert_ne!(tally(1), tally(2));
}

#[test]
fn an_interrupted_simulation_says_so() {
    let (configuration, watch) = (named("five-cuts").expect("it exists"), Watch::default());
    watch.stop();
    let report = simulate::<Shipped>(&configuration, SEED, Bound::Steps(1), NonZeroUsize::MIN, &watch);
    assert_eq!((report.status(), report.tally.steps), (3, 0));
    assert!(report.line().contains("INTERRUPTED"), "{}", report.line());
    assert_eq!(report.json()["interrupted"], true);
}

#[test]
fn the_command_keeps_what_it_finds() {
    let folder = std::env::temp_dir().join(format!("dkv-models-simulate-{}", std::process::id()));
    let command = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_dkv-models")).args(arguments).output();
        output.expect("the binary runs")
    };
    let save = folder.to_str().expect("the folder has a name");
    let walks = ["simulate", "five-cuts", "--steps", "20000", "--json", "--save", save];
    let clean = command(&walks);
    assert_eq!(clean.status.code(), Some(0));
    assert!(!folder.exists(), "nothing broke");
    let broken = command(&[&walks[..], &["--bug", "progress-out-of-order"]].concat());
    assert_eq!(broken.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&broken.stdout).expect("one JSON object");
    assert_eq!(report["configurations"][0]["violation"]["property"], "committed_on_quorum");
    let kept: Vec<_> =
        fs::read_dir(&folder).expect("it is there").map(|entry| entry.expect("a file").path()).collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(command(&["replay", kept[0].to_str().expect("it has a name")]).status.code(), Some(0));
    fs::remove_dir_all(&folder).expect("it is ours");
    assert_eq!(command(&["simulate", "no-such-configuration"]).status.code(), Some(2));
    assert_eq!(command(&["simulate", "--steps", "1", "--seconds", "1"]).status.code(), Some(2));
    assert_eq!(command(&["check", "--config", "five-cuts"]).status.code(), Some(2));
}

/// A leader that commits in the step in which a snapshot that it sends is not needed any more takes the next one
/// at once, and has compacted what it committed before anybody could look.
#[test]
fn what_is_compacted_as_soon_as_it_is_committed_is_no_violation() {
    let path: Trace =
        include_str!("../paths/compacts_what_it_has_just_committed.trace").parse().expect("a path");
    let played = path.play::<Shipped>();
    assert_eq!((played.choices.len(), &played.end), (path.actions.len(), &End::Holds));
    let of_leader = |at: usize| played.states[at].member(0).node().expect("it is up").clone();
    let (before, after) = (of_leader(path.actions.len() - 1), of_leader(path.actions.len()));
    assert!(before.commit_index() < after.log().purged().index, "{before} became {after}");
}
