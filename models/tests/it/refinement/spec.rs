//! The abstract cluster by itself: all of it within bounds, and what its guards refuse.

use dkv_models::check::Verdict;
use dkv_models::exhaust::exhaust;
use dkv_models::spec::explore::Bounds;
use dkv_models::spec::{Action, Cluster, Electorate, Replica};

/// Replicas and values, distinct states, transitions, depth.
const FROZEN: &[(usize, u8, (usize, usize, usize))] =
    &[(3, 2, (4_470, 75_816, 165)), (4, 2, (59_700, 1_474_800, 1_644))];

#[test]
fn the_abstract_cluster_is_exhausted_with_frozen_counts() {
    for (replicas, values, frozen) in FROZEN {
        let run = || exhaust("abstract", None, || Bounds::new(*replicas, *values));
        let (first, second) = (run(), run());
        let counts = (first.distinct_states, first.transitions, first.depth);
        assert_eq!(first.verdict, Verdict::Holds, "{}", first.line());
        assert_eq!(counts, *frozen, "{replicas} replicas, {values} values");
        assert_eq!(first.actions, second.actions, "two runs differ");
        assert_eq!(counts, (second.distinct_states, second.transitions, second.depth), "two runs differ");
    }
}

#[test]
fn with_one_value_there_is_no_conflict_and_the_run_is_vacuous() {
    let report = exhaust("abstract", None, || Bounds::new(3, 1));
    let Verdict::Vacuous(unseen) = report.verdict else { panic!("{}", report.line()) };
    assert!(unseen.contains(&"two_tails_conflict"), "{unseen:?}");
    assert_eq!(report.distinct_states, 145);
}

/// Replica 0 of three has proposed 1 and 2; 1 is on replica 1 as well and committed.
fn one_of_two_committed() -> Cluster<u8> {
    let mut cluster = Cluster::new(3);
    let electorate = cluster.electorate.clone();
    let follow = Replica { prefix: 0, tail: vec![1], known: 0 };
    let actions = [
        Action::Lead(0, electorate.clone(), 0, vec![1, 2]),
        Action::Follow(1, follow),
        Action::Lead(0, electorate, 1, Vec::new()),
    ];
    actions.into_iter().for_each(|action| cluster.step(action).expect("possible"));
    assert_eq!(cluster.replicas[&0], Replica { prefix: 1, tail: vec![2], known: 1 });
    assert_eq!(cluster.replicas[&1], Replica { prefix: 1, tail: vec![], known: 0 });
    assert_eq!(cluster.replicas[&2], Replica { prefix: 0, tail: vec![], known: 0 });
    cluster
}

#[test]
fn every_guard_refuses_what_it_is_there_for() {
    let all: Electorate = vec![(0..3).collect()];
    let log = |prefix, tail: &[u8], known| Replica { prefix, tail: tail.to_vec(), known };
    let around_2 = [(0, 2), (1, 2), (2, 0), (2, 1)];
    let refused: Vec<(Action<u8>, &str)> = vec![
        (Action::Lead(7, all.clone(), 0, vec![]), "there is no such replica"),
        (Action::Lead(0, all.clone(), 1, vec![]), "commits what no majority holds"),
        (Action::Lead(0, all.clone(), 2, vec![]), "commits what it does not hold"),
        (Action::Lead(1, all.clone(), 1, vec![]), "commits what it does not hold"),
        (Action::Lead(0, all.clone(), 0, vec![1]), "proposes what was proposed before"),
        (Action::Lead(0, all.clone(), 0, vec![2]), "proposes what was proposed before"),
        (Action::Follow(1, log(0, &[2], 0)), "loses what is committed"),
        (Action::Crash(1, log(0, &[], 0)), "loses what is committed"),
        (Action::Follow(0, log(1, &[], 0)), "forgets what is committed"),
        (Action::Crash(1, log(1, &[], 1)), "learns by a crash"),
        (Action::Follow(2, log(0, &[], 1)), "knows what is not committed"),
        (Action::Follow(2, log(2, &[], 0)), "knows what is not committed"),
        (Action::Follow(2, log(1, &[3], 0)), "holds what is not proposed, or twice"),
        (Action::Follow(2, log(1, &[2, 2], 0)), "holds what is not proposed, or twice"),
        (Action::Follow(2, log(0, &[1], 0)), "holds what is not proposed, or twice"),
        (Action::Join(1), "joins twice"),
        (Action::Leave(0), "takes along what is committed"),
        (Action::Leave(7), "takes along what is committed"),
    ];
    for (action, reason) in refused {
        assert_eq!(one_of_two_committed().step(action.clone()), Err(reason), "{action:?}");
    }
    let allowed = [
        Action::Follow(2, log(1, &[2], 1)),
        Action::Follow(2, log(0, &[2], 0)),
        Action::Follow(1, log(1, &[], 1)),
        Action::Crash(0, log(1, &[], 0)),
        Action::Lead(1, all, 0, vec![3]),
        Action::Leave(2),
    ];
    for action in allowed {
        assert_eq!(one_of_two_committed().step(action.clone()), Ok(()), "{action:?}");
    }
    let mut cluster = one_of_two_committed();
    cluster.step(Action::Cut(around_2.into())).expect("links may fail");
    assert_eq!(cluster.clone().step(Action::Follow(2, log(1, &[], 0))), Err("hears nobody"));
    cluster.step(Action::Restore([(1, 2)].into())).expect("links may work again");
    assert_eq!(cluster.step(Action::Follow(2, log(1, &[], 0))), Ok(()), "one direction is enough");
}

#[test]
fn two_majorities_must_agree_in_a_joint_phase() {
    let mut cluster = one_of_two_committed();
    cluster.step(Action::Join(3)).expect("it is new");
    cluster
        .step(Action::Follow(1, Replica { prefix: 1, tail: vec![2], known: 0 }))
        .expect("a link leads to it");
    let joint: Electorate = vec![(0..3).collect(), [0, 3].into()];
    let commit = Action::Lead(0, joint, 1, Vec::new());
    assert_eq!(cluster.clone().step(commit.clone()), Err("commits what no majority holds"));
    cluster
        .step(Action::Follow(3, Replica { prefix: 1, tail: vec![2], known: 0 }))
        .expect("a link leads to it");
    assert_eq!(cluster.step(commit), Ok(()));
    assert_eq!(cluster.clone().step(Action::Leave(3)), Err("takes along what is committed"));
    assert_eq!(cluster.step(Action::Leave(2)), Ok(()));
}
