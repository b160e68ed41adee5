//! Whole simulated worlds, as many as there is time for with each mutant.
//!
//! Left out: long ones, and those of seeds that failed, which `cargo test` runs.

use dkv::sim::Run;

const SEEDS: u64 = 60;
const STEPS: u64 = 1_000;

#[test]
fn worlds_are_clean() {
    for seed in 0..SEEDS {
        let report = <Run>::new(seed, STEPS).finish();
        assert_eq!(report.failure, None, "seed {seed}");
    }
}
