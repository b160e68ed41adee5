//! Every seed that ever failed in simulation, run again: `tests/seeds/failed.txt`.

use std::fs;
use std::thread;

use dkv::sim::Run;

use crate::cases::root;

/// Seed, steps, and why it is there.
fn failed() -> Vec<(u64, u64, String)> {
    let path = root().join("tests/seeds/failed.txt");
    let text = fs::read_to_string(path).expect("the seeds are there");
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let seeds = lines.map(|line| {
        let mut words = line.splitn(3, ' ');
        let mut number = || words.next().and_then(|word| word.parse().ok());
        let (seed, steps) = (number(), number());
        let why = words.next().map(str::trim).filter(|why| !why.is_empty());
        match (seed, steps, why) {
            (Some(seed), Some(steps), Some(why)) => (seed, steps, why.to_string()),
            _ => panic!("a seed, its steps, and why it failed: {line:?}"),
        }
    });
    seeds.collect()
}

#[test]
fn seeds_that_failed_are_clean() {
    let seeds = failed();
    assert!(!seeds.is_empty(), "some did");
    thread::scope(|scope| {
        for (seed, steps, why) in &seeds {
            scope.spawn(move || {
                let report = <Run>::new(*seed, *steps).finish();
                assert_eq!(report.failure, None, "seed {seed}, which failed before: {why}");
                assert!(report.steps >= *steps, "it ran to its end");
            });
        }
    });
}

#[test]
fn equal_seeds_are_equal_worlds() {
    for seed in 0..20 {
        let reports = [(); 2].map(|()| <Run>::new(seed, 500).finish());
        assert_eq!(reports[0], reports[1], "seed {seed}");
        // Keeping what happens changes nothing of it.
        assert_eq!(<Run>::recorded(seed, 500).finish(), reports[0], "seed {seed}");
    }
    assert_ne!(<Run>::new(0, 500).finish().trace_hash, <Run>::new(1, 500).finish().trace_hash);
}
