//! Every step of simulated clusters, storms and all, is a step of the abstract cluster or none.

use dkv::cluster::{Policies, Shipped};
use dkv::sim::world::World;
use dkv::sim::{BriefSessions, Run};
use dkv_models::bugs::{Bug, Injected, with_bug};
use dkv_models::guard::guarded;
use dkv_models::refinement::observe_cluster;
use dkv_models::spec::{Action, Cluster};

const STEPS: u64 = 2_000;
const SEEDS: u64 = 100;

/// What the abstract cluster did while a world was replayed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Taken {
    kinds: [u64; Action::<u8>::KINDS.len()],
    stutters: u64,
    committed: usize,
}

/// Replays the world of a seed action by action.
///
/// # Errors
/// An action was more than one step of the abstract cluster, or none that it has.
fn follow<P: Policies>(seed: u64) -> Result<Taken, String> {
    let mut run = Run::<P, BriefSessions>::remembered(seed, STEPS);
    let report = run.finish();
    let plan = run.plan().clone();
    let mut world = World::<P, BriefSessions>::new(plan.members, plan.clients, plan.options.clone());
    let mut cluster = Cluster::new(usize::try_from(plan.members).expect("members are few"));
    let mut taken = Taken::default();
    for (step, action) in run.take_actions().iter().enumerate() {
        world.perform(action);
        let actions = observe_cluster(&mut cluster, world.cluster())
            .map_err(|refused| format!("seed {seed}, step {step}, {action:?}: {refused}"))?;
        match &actions[..] {
            [] => taken.stutters += 1,
            [one] => taken.kinds[one.kind()] += 1,
            several => return Err(format!("seed {seed}, step {step}, {action:?} is {several:?}")),
        }
    }
    let replayed = (world.steps(), world.cluster().ledger().last().index.0);
    assert_eq!(replayed, (report.steps, report.committed), "the replay is another world");
    assert_eq!(cluster.committed.len() as u64, report.committed, "everything committed was seen");
    taken.committed = cluster.committed.len();
    Ok(taken)
}

#[test]
fn every_step_of_a_simulated_cluster_is_one_of_the_abstract_cluster() {
    let mut total = Taken::default();
    for seed in 0..SEEDS {
        let taken = follow::<Shipped>(seed).unwrap_or_else(|refused| panic!("{refused}"));
        total.kinds.iter_mut().zip(taken.kinds).for_each(|(total, count)| *total += count);
        total.stutters += taken.stutters;
        total.committed += taken.committed;
    }
    println!("{:?} {total:?}", Action::<u8>::KINDS);
    assert!(total.kinds.iter().all(|count| *count > 0), "every kind of step is taken: {total:?}");
    assert_eq!(follow::<Shipped>(7), follow::<Shipped>(7), "two runs differ");
}

/// So many worlds are looked at for each of these bugs.
const WORLDS_MAX: u64 = 200;

/// A bug, and why the abstract cluster refuses what the first world does in which it shows.
const REFUSED: &[(Bug, &str)] = &[
    (Bug::MinorityIsEnough, "commits what no majority holds"),
    (Bug::AnsweredOnAppend, "commits what no majority holds"),
    (Bug::NewMajorityCommits, "commits what no majority holds"),
    (Bug::SyncedEntryLost, "loses what is committed"),
    (Bug::DirectoryUnchecked, "forgets what is committed"),
    (Bug::CommitFalls, "forgets what is committed"),
    (Bug::ConflictKept, "knows what is not committed"),
    (Bug::HeartbeatCommitsAll, "knows what is not committed"),
    (Bug::PreviousEntryUnchecked, "proposes what was proposed before"),
    (Bug::CutLinksCarry, "hears nobody"),
];

#[test]
fn a_bug_takes_a_step_that_the_abstract_cluster_does_not_have() {
    for (bug, reason) in REFUSED {
        let refused = with_bug(Some(*bug), || {
            // An assertion of the core may come first.
            (0..WORLDS_MAX).find_map(|seed| guarded(|| follow::<Injected>(seed)).ok()?.err())
        });
        let refused = refused.unwrap_or_else(|| panic!("{bug} is not refused"));
        assert!(refused.contains(reason), "{bug}: {refused}");
    }
}

#[test]
fn without_a_bug_the_same_rules_take_the_same_steps() {
    assert_eq!(follow::<Injected>(3), follow::<Shipped>(3));
}
