//! Whole simulated worlds, as many as there is time for: `SEEDS` says how many.
//!
//! Left out: long ones, and those of seeds that failed, which `cargo test` runs.

use dkv::sim::Run;

const SEEDS: u64 = 60;
const STEPS: u64 = 1_000;

#[test]
fn worlds_are_clean() {
    let seeds = std::env::var("SEEDS").map_or(SEEDS, |seeds| seeds.parse().expect("a number of seeds"));
    for seed in 0..seeds {
        let report = <Run>::new(seed, STEPS).finish();
        assert_eq!(report.failure, None, "seed {seed}");
    }
}
