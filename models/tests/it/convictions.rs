//! The simulation's teeth: every bug of [`dkv_models::bugs`] that it convicts, within how many seeds, and
//! which ones it does not, and why.
//!
//! `SURVEY_SEEDS=20000 cargo test --release -p dkv-models convictions -- --nocapture` looks for all of
//! them in that many seeds and prints for each the first seed that shows it, how long that took and what broke.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use dkv::sim::{BriefSessions, Run};
use dkv_models::bugs::{Bug, Injected, with_bug};
use dkv_models::guard::guarded;

/// Steps of one seed, before its calm.
const STEPS: u64 = 2_000;

/// Within so many seeds a bug is convicted that is not excused.
const SEEDS_MAX: u64 = 3_000;

/// So many seeds show that a bug is harmless.
const HARMLESS_SEEDS: u64 = 1_000;

/// Safe: it costs messages or time, or other rules cover for it.
const HARMLESS: &str = "no promise breaks";
/// The counterexample takes more luck than a gate has time for; the survey finds some of them.
const RARE: &str = "needs thousands of seeds";

/// Bugs that are not looked for here, and why.
const EXCUSED: &[(Bug, &str)] = &[
    (Bug::ChangesBeforeOwnCommit, HARMLESS),
    (Bug::FreshLeaderDisturbed, HARMLESS),
    (Bug::RemovedMemberCampaigns, HARMLESS),
    (Bug::TransferRefused, HARMLESS),
    (
        Bug::RemovedLeaderStays,
        "a client waits in one world of a thousand, for whom it would give up otherwise",
    ),
    (Bug::CheckQuorumSkipped, "shows while a one-way cut lasts, and a calm restores all links"),
    (Bug::ComparesSeeSteps, "clients here send no nested transactions"),
    (Bug::ForwardJudgedByAnyone, RARE),
    (Bug::JointLeftEarly, RARE),
    (Bug::OwnVoteUnsynced, RARE),
    (Bug::SingleStepBeforeOwnCommit, RARE),
    (Bug::TruncatesAfterAppending, RARE),
    (Bug::VotesCountedTwice, RARE),
];

/// What became of a search for one bug.
struct Verdict {
    bug: Bug,
    /// The first seed that shows it, and what it breaks.
    found: Option<(u64, String)>,
    duration: Duration,
}

fn convict(bug: Bug, seeds: u64) -> Verdict {
    let start = Instant::now();
    let found = with_bug(Some(bug), || {
        (0..seeds).find_map(|seed| {
            let mut run: Run<Injected, BriefSessions<Injected>> = Run::new(seed, STEPS);
            match guarded(|| run.finish()) {
                Ok(report) => report.failure.map(|failure| (seed, failure.to_string())),
                Err(_) => Some((seed, format!("no_panic violated at step {}", run.world().steps()))),
            }
        })
    });
    Verdict { bug, found, duration: start.elapsed() }
}

/// Looks for these bugs on all cores.
fn convict_all(bugs: &[Bug], seeds: u64) -> Vec<Verdict> {
    let left = Mutex::new(bugs.iter());
    let verdicts = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let next = left.lock().expect("nobody panics with it").next();
                    let Some(bug) = next else { return };
                    let verdict = convict(*bug, seeds);
                    verdicts.lock().expect("nobody panics with it").push(verdict);
                }
            });
        }
    });
    verdicts.into_inner().expect("nobody panics with it")
}

#[test]
fn bugs_are_convicted() {
    if let Some(seeds) = std::env::var("SURVEY_SEEDS").ok().and_then(|seeds| seeds.parse().ok()) {
        return survey(seeds);
    }
    let excuse = |bug: &Bug| EXCUSED.iter().find(|(excused, _)| excused == bug).map(|(_, excuse)| *excuse);
    let (accused, excused): (Vec<Bug>, Vec<Bug>) = Bug::ALL.iter().partition(|bug| excuse(bug).is_none());
    // An excuse that is not true any more is taken back.
    let harmless: Vec<Bug> = excused.into_iter().filter(|bug| excuse(bug) == Some(HARMLESS)).collect();
    let harmful: Vec<_> = convict_all(&harmless, HARMLESS_SEEDS)
        .into_iter()
        .filter_map(|verdict| Some((verdict.bug, verdict.found?)))
        .collect();
    assert_eq!(harmful, [], "not harmless");
    let verdicts = convict_all(&accused, SEEDS_MAX);
    let acquitted: Vec<&str> =
        verdicts.iter().filter(|verdict| verdict.found.is_none()).map(|verdict| verdict.bug.name()).collect();
    assert!(acquitted.is_empty(), "not convicted within {SEEDS_MAX} seeds: {acquitted:?}");
    println!("{} of {} bugs convicted", accused.len(), Bug::ALL.len());
}

/// The same seeds without a bug: what convicts is the bug.
#[test]
fn without_a_bug_the_same_seeds_are_clean() {
    for seed in 0..SEEDS_MAX {
        let report = Run::<Injected, BriefSessions<Injected>>::new(seed, STEPS).finish();
        assert_eq!(report.failure, None, "seed {seed}");
    }
}

fn survey(seeds: u64) {
    let mut verdicts = convict_all(Bug::ALL, seeds);
    verdicts.sort_by_key(|verdict| verdict.duration);
    let mut times = Vec::new();
    for Verdict { bug, found, duration } in verdicts {
        match found {
            Some((seed, what)) => {
                times.push(duration);
                println!("{:<36} seed {seed:>5} {:>8.3}s {what}", bug.name(), duration.as_secs_f64());
            }
            None => println!("{:<36} not in {seeds} seeds", bug.name()),
        }
    }
    let (median, most) = (times[times.len() / 2], times[times.len() - 1]);
    println!("{} of {} convicted; median {median:.3?}, at most {most:.3?}", times.len(), Bug::ALL.len());
}
