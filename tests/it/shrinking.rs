//! Shrinking on failures of injected bugs: seeds are searched until a world fails, and what is left of its
//! actions must still fail in the same way, be short, and be a scenario that shows the bug and holds under the
//! rules that ship.
//!
//! `cargo test --test it shrinking -- --nocapture` prints the scenarios.
//!
//! Left out: whether the simulation finds every bug, which is for the list of all of them.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::Instant;

use dkv::cluster::Shipped;
use dkv::cluster::scenario::Scenario;
use dkv::sim::action::Action;
use dkv::sim::plan::Plan;
use dkv::sim::replay::{replay, reproduce};
use dkv::sim::script::script;
use dkv::sim::shrink::{Shrunk, Step, shrink};
use dkv::sim::world::Failure;
use dkv::sim::{BriefSessions, Run};
use dkv_models::bugs::{Bug, Injected, with_bug};

use crate::cases::{caught, quietly};

/// Seeds that are searched for a failure, and how long each runs.
const SEEDS_MAX: u64 = 1_000;
const STEPS: u64 = 1_500;

/// What is shorter needs no shrinking, and what is longer takes its time.
const ACTIONS: std::ops::Range<usize> = 200..2_000;

/// Runs that are printed as scenarios, and how long they are.
const SCRIPTS: u64 = 100;
const SCRIPT_STEPS: u64 = 700;

/// Replays of one shrinking.
const TRIES_MAX: u32 = 8_000;

/// Failures that are shrunk until one becomes short: chance decides how much of a run is in the way.
const ATTEMPTS: usize = 6;

/// Runs `body` with a bug in place and without the messages of panics, which it catches.
fn under<T>(bug: Option<Bug>, body: impl FnOnce() -> T) -> Result<T, String> {
    quietly(|| with_bug(bug, || caught(body)))
}

/// A run that failed.
struct Found {
    seed: u64,
    plan: Plan,
    rounds: Vec<Vec<Action>>,
    failure: Failure,
}

/// Failures of this name that took a while.
fn search(bug: Bug, name: &str) -> impl Iterator<Item = Found> {
    (0..SEEDS_MAX).filter_map(move |seed| {
        let mut run = Run::<Injected, Injected>::recorded(seed, STEPS);
        let failure = match under(Some(bug), || run.finish()) {
            Ok(report) => report.failure?,
            Err(detail) => Failure { name: "no_panic", detail, step: run.world().steps() },
        };
        let (rounds, _) = run.take_rounds();
        let is_wanted = failure.name == name && ACTIONS.contains(&rounds.iter().map(Vec::len).sum());
        is_wanted.then(|| Found { seed, plan: run.plan().clone(), rounds, failure })
    })
}

/// The steps that lead to the same failure, if these do.
fn fails(found: &Found, bug: Bug, plan: &Plan, steps: &[Step]) -> ControlFlow<(), Option<Vec<Step>>> {
    let name = found.failure.name;
    let mut kept = Vec::new();
    let result =
        under(Some(bug), || reproduce::<Injected, Injected>(plan, steps, name, found.seed, &mut kept));
    let is_same = match result {
        Ok(failure) => failure.is_some(),
        Err(_) => name == "no_panic",
    };
    ControlFlow::Continue(is_same.then_some(kept))
}

/// Shrinks a failure of the bug to no more than `actions_max` actions, and shows that what is left is a
/// scenario of it.
fn shrinks(bug: Bug, name: &str, actions_max: usize) {
    let begun = Instant::now();
    let shrunk = search(bug, name).take(ATTEMPTS).map(|found| {
        let fails = |plan: &Plan, steps: &[Step]| fails(&found, bug, plan, steps);
        let shrunk = shrink(&found.plan, found.rounds.clone(), fails, TRIES_MAX);
        (found, shrunk)
    });
    let mut last = None;
    for (found, shrunk) in shrunk {
        let is_short = shrunk.actions.as_ref().is_some_and(|actions| actions.len() <= actions_max);
        last = Some((found, shrunk));
        if is_short {
            break;
        }
    }
    let (found, Shrunk { plan, actions, tries }) = last.unwrap_or_else(|| panic!("{bug:?} does not show"));
    let took_ms = begun.elapsed().as_millis();
    // No action may be left: a cluster that commits nothing does not come to rest after none at all.
    let actions = actions.unwrap_or_else(|| panic!("{bug:?}: a replay does not fail: {}", found.failure));

    // A failure of liveness shows in the calm after these actions, a panic in the last of them.
    let replayed = under(Some(bug), || {
        let world = replay::<Injected, Injected>(&plan, &actions);
        (world.failure().cloned(), world.cluster().trace().hash())
    });
    let shown = replayed.as_ref().ok().and_then(|(failure, _)| failure.clone());
    let failure = shown.clone().unwrap_or_else(|| found.failure.clone());
    let plays = |scenario: &Scenario| scenario.run_with::<Injected, Injected>(false).failure.is_some();
    let written = || script::<Injected, Injected>(&plan, &actions, &failure, found.seed, plays);
    let text = under(Some(bug), written).expect("a script can be written of what panics, too");
    println!(
        "{bug:?}: {} actions of seed {} shrunk to {} in {tries} tries and {took_ms} ms\n{text}",
        found.rounds.iter().map(Vec::len).sum::<usize>(),
        found.seed,
        actions.len(),
    );
    assert_eq!(failure.name, name, "{bug:?}");
    assert_eq!(shown.is_some(), !["liveness", "no_panic"].contains(&name), "{bug:?}");
    let (before, after) = (found.rounds.iter().map(Vec::len).sum::<usize>(), actions.len());
    assert!(after <= actions_max && after * 3 < before, "{bug:?}: {after} actions of {before}");

    let scenario = Scenario::parse(&text).unwrap_or_else(|error| panic!("{error} in\n{text}"));
    match under(Some(bug), || scenario.run_with::<Injected, Injected>(false)) {
        Ok(report) => {
            let stopped = report.failure.unwrap_or_else(|| panic!("{bug:?} does not show in\n{text}"));
            println!("{stopped}\n");
            if shown.is_some() {
                assert_eq!(stopped.line, text.lines().count(), "{stopped} in\n{text}");
                assert_eq!(Ok(report.trace_hash), replayed.map(|(_, hash)| hash), "another run:\n{text}");
            }
        }
        Err(detail) => assert_eq!(name, "no_panic", "{detail} in\n{text}"),
    }
    let shipped = scenario.run(false);
    assert_eq!(shipped.failure, None, "{bug:?} is not all that is wrong in\n{text}");
}

// The bounds are two to three times what was left when they were written: the worlds of the seeds change with the
// simulation.

#[test]
fn an_acknowledgement_before_its_sync_shrinks() {
    shrinks(Bug::AcknowledgesBeforeSync, "committed_on_quorum", 40);
}

#[test]
fn a_heartbeat_that_commits_too_much_shrinks() {
    shrinks(Bug::HeartbeatCommitsAll, "state_machine_safety", 60);
}

#[test]
fn a_majority_that_is_none_shrinks() {
    shrinks(Bug::SmallMajority, "committed_on_quorum", 60);
}

#[test]
fn a_retry_that_is_applied_shrinks() {
    shrinks(Bug::RetriesApplied, "state_machine_safety", 200);
}

#[test]
fn a_disk_that_loses_an_entry_shrinks() {
    shrinks(Bug::SyncedEntryLost, "no_panic", 60);
}

#[test]
fn a_cluster_that_commits_nothing_shrinks() {
    shrinks(Bug::AcknowledgementIgnored, "liveness", 20);
}

/// What a world did is a scenario in which every line has something to do, and which is the very same run.
#[test]
fn runs_print_as_scenarios_that_replay_them() {
    let (mut printed, mut calms) = (0, 0);
    let mut verbs = BTreeSet::new();
    for seed in 0..SCRIPTS {
        let mut run = Run::<Shipped, BriefSessions>::recorded(seed, SCRIPT_STEPS);
        run.advance(SCRIPT_STEPS);
        assert_eq!(run.world().failure(), None, "seed {seed}");
        let (plan, actions) = (run.plan().clone(), run.take_actions());
        // None of these; it makes the script end with a look at all that is held and was answered.
        let failure = Failure { name: "linearizable", detail: "not at all".to_owned(), step: 0 };
        let text = script::<Shipped, BriefSessions>(&plan, &actions, &failure, seed, |_| true);
        // Whoever stays away, what a calm must lead to comes of it.
        let calm = Failure { name: "liveness", ..failure.clone() };
        script::<Shipped, BriefSessions>(&plan, &actions, &calm, seed, |scenario| {
            let stopped = scenario.run_with::<Shipped, BriefSessions>(false).failure;
            assert!(stopped.is_none(), "seed {seed}: {stopped:?}\n{text}");
            calms += 1;
            false
        });
        if text.starts_with("# Not to be run") {
            continue;
        }
        let text = text.replace(" strict=off", "");
        verbs.extend(text.lines().filter_map(|line| line.split(' ').next().map(str::to_owned)));
        let scenario = Scenario::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let report = scenario.run_with::<Shipped, BriefSessions>(false);
        assert_eq!(report.failure, None, "seed {seed}\n{text}");
        let world = replay::<Shipped, BriefSessions>(&plan, &actions);
        assert_eq!(report.trace_hash, world.cluster().trace().hash(), "seed {seed}\n{text}");
        printed += 1;
    }
    assert!(printed > SCRIPTS / 2, "only {printed} of {SCRIPTS} fit into the language");
    assert!(calms > SCRIPTS, "only {calms} calms were played");
    println!("{printed} of {SCRIPTS} runs were printed, with {verbs:?}");
}
