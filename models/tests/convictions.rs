//! The simulation's teeth: every bug of [`dkv_models::bugs`] that it convicts, and within how many seeds.
//!
//! `SURVEY_SEEDS=4000 cargo test --release -p dkv-models --test convictions survey -- --ignored --nocapture`
//! prints for every bug the first seed that shows it, what it broke and how long that took.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use dkv::sim::Run;
use dkv_models::bugs::{Bug, Injected, with_bug};

/// Steps of one seed, before its calm.
const STEPS: u64 = 2_000;

/// Within so many seeds a bug is convicted.
const SEEDS_MAX: u64 = 400;

/// Bugs that need more seeds, or that a simulation of this kind does not convict, and why.
const NOT_CONVICTED: &[(Bug, &str)] = &[];

/// The first seed that shows a bug, and the name of what it breaks.
fn convict(bug: Bug, seeds: u64) -> Option<(u64, String)> {
    with_bug(Some(bug), || {
        (0..seeds).find_map(|seed| {
            let mut run: Run<Injected, Injected> = Run::new(seed, STEPS);
            match catch_unwind(AssertUnwindSafe(|| run.finish())) {
                Ok(report) => report.failure.map(|failure| (seed, failure.to_string())),
                Err(_) => Some((seed, format!("no_panic violated at step {}", run.world().steps()))),
            }
        })
    })
}

/// Every bug with its verdict, on all cores.
fn convict_all(seeds: u64) -> BTreeMap<&'static str, (Bug, Option<(u64, String)>, Duration)> {
    // Assertions of the core that fail are verdicts, and no news.
    std::panic::set_hook(Box::new(|_| {}));
    let left = Mutex::new(Bug::ALL.iter());
    let verdicts = Mutex::new(BTreeMap::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let next = left.lock().expect("nobody panics with it").next();
                    let Some(bug) = next else { return };
                    let start = Instant::now();
                    let verdict = convict(*bug, seeds);
                    let row = (*bug, verdict, start.elapsed());
                    verdicts.lock().expect("nobody panics with it").insert(bug.name(), row);
                }
            });
        }
    });
    let _ = std::panic::take_hook();
    verdicts.into_inner().expect("nobody panics with it")
}

#[test]
fn bugs_are_convicted() {
    let verdicts = convict_all(SEEDS_MAX);
    let excused: Vec<&str> = NOT_CONVICTED.iter().map(|(bug, _)| bug.name()).collect();
    let acquitted: Vec<&str> =
        verdicts.values().filter(|row| row.1.is_none()).map(|row| row.0.name()).collect();
    let surprising: Vec<&&str> = acquitted.iter().filter(|name| !excused.contains(name)).collect();
    assert!(surprising.is_empty(), "not convicted within {SEEDS_MAX} seeds: {surprising:?}");
    println!("{} of {} bugs convicted", verdicts.len() - acquitted.len(), verdicts.len());
}

/// The same seeds without a bug: what convicts is the bug.
#[test]
fn without_a_bug_the_same_seeds_are_clean() {
    for seed in 0..SEEDS_MAX {
        let report = Run::<Injected, Injected>::new(seed, STEPS).finish();
        assert_eq!(report.failure, None, "seed {seed}");
    }
}

#[test]
#[ignore = "prints a table; takes minutes"]
fn survey() {
    let seeds = std::env::var("SURVEY_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(4_000);
    let mut times = Vec::new();
    for (name, (_, verdict, duration)) in convict_all(seeds) {
        match verdict {
            Some((seed, what)) => {
                times.push(duration);
                println!("{name:<36} seed {seed:>5} {:>8.3}s {what}", duration.as_secs_f64());
            }
            None => println!("{name:<36} not in {seeds} seeds"),
        }
    }
    times.sort();
    let (median, most) = (times[times.len() / 2], times[times.len() - 1]);
    println!("{} convicted; median {median:.3?}, at most {most:.3?}", times.len());
}
