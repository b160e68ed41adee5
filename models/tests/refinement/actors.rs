//! x
use dkv::raft::{Limits, Raft};
use dkv_models::actors::*;
use dkv_models::exhaust::exhaust;
#[test]
fn a() {
    // Election, LeaderFresh, CheckQuorum, Heartbeat, Transfer
    for (p, c, t) in [(1, 1, [0, 0, 0, 1, 0]), (1, 1, [1, 1, 0, 0, 0])] {
        let report = exhaust("actors", || {
            Actors::<Raft>::new(3, Limits::default(), Budgets { proposals: p, partitions: c, timers: t })
        });
        println!("{p} {c} {t:?} {}", report.line());
        println!("{:?}", report.actions);
    }
}
