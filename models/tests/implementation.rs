//! x
use dkv::cluster::Shipped;
use dkv::sim::{BriefSessions, Run};
use dkv::sim::world::World;
use dkv_models::refinement::observe_cluster;
use dkv_models::spec::{Action, Cluster};

#[test]
fn every_step_of_a_simulated_cluster_is_one_of_the_abstract_cluster() {
    let mut kinds = [0usize; 7];
    let mut stutters = 0;
    let mut longest = 0;
    let start = std::time::Instant::now();
    for seed in 0..60 {
        let mut run = Run::<Shipped, BriefSessions>::remembered(seed, 2000);
        let report = run.finish();
        assert!(report.failure.is_none());
        let plan = run.plan().clone();
        let mut world = World::<Shipped, BriefSessions>::new(plan.members, plan.clients, plan.options.clone());
        let mut cluster = Cluster::new(plan.members as usize);
        for (step, action) in run.take_actions().iter().enumerate() {
            world.perform(action);
            let taken = observe_cluster(&mut cluster, world.cluster())
                .unwrap_or_else(|e| panic!("seed {seed} step {step} {action:?}: {e}"));
            assert!(taken.len() <= 1, "seed {seed} step {step} {action:?}: {taken:?}");
            stutters += usize::from(taken.is_empty());
            for a in &taken { kinds[a.kind()] += 1; }
        }
        assert_eq!((world.steps(), world.cluster().ledger().last().index.0), (report.steps, report.committed));
        longest = longest.max(cluster.committed.len());
    }
    println!("{:?} {kinds:?} stutters {stutters} longest {longest} {:?}", Action::<u8>::KINDS, start.elapsed());
}
