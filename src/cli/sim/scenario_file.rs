//! What is kept of a failure: the shortest run that still shows it, as a scenario file that `dkv scenario`
//! plays.
//!
//! The run is done once more and its actions are kept, then shrunk, then written as a script. All of that
//! has a limit of time: somebody waits for it. What was reached until then is written, if it is short enough
//! to be a scenario.
//!
//! Few replays of a long run fit into that time, and a run that lacks one of its rounds seldom fails as before: who
//! leads, which members there are and what is in their logs comes from all rounds. So the same promise is first looked for
//! in short worlds of the seeds that follow. Only if it holds in all of them the long run itself is shrunk.
//!
//! Left out: failures that a replay does not show, such as those that need more memory than one world has.

use std::fmt;
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::interrupt;
use super::progress::Shrinking;
use super::trial::{NO_PANIC, SLICE_STEPS, Trial, catch};
use super::words::grouped;
use crate::cluster::Policies;
use crate::cluster::scenario::Scenario;
use crate::kv;
use crate::sim::plan::Plan;
use crate::sim::replay::{replay, reproduce};
use crate::sim::script::script;
use crate::sim::shrink::{Shrunk, Step, shrink};
use crate::sim::world::{Failure, StoreOf};

/// How long a failure is shrunk: so long,
const SHRINKING: Duration = Duration::from_secs(20);
/// and as long as so many runs like it took,
const SHRINKING_RUNS: u32 = 50;
/// but no longer than that.
const SHRINKING_MAX: Duration = Duration::from_secs(300);

/// A failure after more steps is looked for in other worlds,
const LONG_STEPS: u64 = 20_000;
/// each of so many steps,
const SHORT_STEPS: u64 = 2_000;
/// for at most so long.
const LOOKING_MAX: Duration = Duration::from_secs(60);

/// No more replays than that, however fast they are.
const TRIES_MAX: u32 = 60_000;

/// The file of a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) path: PathBuf,
    pub(super) lines: usize,
}

/// Why there is no scenario file.
#[derive(Debug)]
pub(super) enum NotWritten {
    /// Nobody waits for it any more.
    Interrupted,
    /// The actions of the run do not fail when they are replayed.
    NotReproduced,
    /// So many actions are left, and the language takes no more, for this reason.
    TooLong(usize, String),
    /// The file could not be written.
    Io(PathBuf, io::Error),
}

impl fmt::Display for NotWritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotWritten::Interrupted => f.write_str("interrupted"),
            NotWritten::NotReproduced => f.write_str("its actions alone do not fail"),
            NotWritten::TooLong(actions, reason) => {
                write!(f, "shrunk to {} actions, which are no scenario: {reason}", grouped(*actions as u64))
            }
            NotWritten::Io(path, error) => write!(f, "cannot write {}: {error}", path.display()),
        }
    }
}

/// Shrinks the failing run of a seed and writes it into the directory `out` as `seed-SEED.scn`.
pub(super) fn write_scenario<P: Policies, K: kv::Rules>(
    seed: u64,
    steps: u64,
    failure: &Failure,
    out: &Path,
    may_draw: bool,
) -> Result<Written, NotWritten>
where
    StoreOf<K>: Default,
{
    let script = shortest_script::<P, K>(seed, steps, failure, may_draw)?;
    let path = out.join(format!("seed-{seed}.scn"));
    match fs::write(&path, &script) {
        Ok(()) => Ok(Written { path, lines: script.lines().count() }),
        Err(error) => Err(NotWritten::Io(path, error)),
    }
}

/// The text of the shortest run that was found to fail as this one did.
fn shortest_script<P: Policies, K: kv::Rules>(
    seed: u64,
    steps: u64,
    failure: &Failure,
    may_draw: bool,
) -> Result<String, NotWritten>
where
    StoreOf<K>: Default,
{
    if failure.step > LONG_STEPS
        && let Some((seed, failure)) = short_world::<P, K>(seed, failure.name)
        && let Ok(script) = shrunk_script::<P, K>(seed, SHORT_STEPS, &failure, may_draw)
    {
        return Ok(script);
    }
    shrunk_script::<P, K>(seed, steps, failure, may_draw)
}

/// The next seed whose short world breaks the same promise.
fn short_world<P: Policies, K: kv::Rules>(seed: u64, name: &str) -> Option<(u64, Failure)>
where
    StoreOf<K>: Default,
{
    let begun = Instant::now();
    let may_go_on = |_: &u64| !interrupt::is_wanted() && begun.elapsed() < LOOKING_MAX;
    let seeds = (1..).map(|more| seed.wrapping_add(more)).take_while(may_go_on);
    let mut failures = seeds.filter_map(|seed| {
        let mut trial = Trial::<P, K>::new(seed, SHORT_STEPS);
        while trial.advance(SLICE_STEPS) {}
        Some((seed, trial.failure()?))
    });
    failures.find(|(_, failure)| failure.name == name)
}

fn shrunk_script<P: Policies, K: kv::Rules>(
    seed: u64,
    steps: u64,
    failure: &Failure,
    may_draw: bool,
) -> Result<String, NotWritten>
where
    StoreOf<K>: Default,
{
    let begun = Instant::now();
    let mut trial = Trial::<P, K>::remembered(seed, steps);
    while !interrupt::is_wanted() && trial.advance(SLICE_STEPS) {}
    let (mut rounds, calm) = trial.take_rounds();
    let Some(plan) = trial.run().map(|run| run.plan().clone()) else {
        return Err(NotWritten::NotReproduced);
    };
    let before = rounds.iter().map(Vec::len).sum();
    let limit = SHRINKING_MAX.min(SHRINKING + begun.elapsed() * SHRINKING_RUNS);
    let begun = Instant::now();
    let progress = Shrinking::new(seed, before, may_draw);
    let (mut tries, mut shortest) = (0, before);
    let mut fails = |plan: &Plan, steps: &[Step]| {
        if interrupt::is_wanted() || begun.elapsed() > limit {
            return ControlFlow::Break(());
        }
        let mut kept = Vec::new();
        let result = catch(|| reproduce::<P, K>(plan, steps, failure.name, seed, &mut kept));
        let is_same = match result {
            Ok(found) => found.is_some(),
            Err(_) => failure.name == NO_PANIC,
        };
        tries += 1;
        shortest = if is_same { shortest.min(kept.len()) } else { shortest };
        progress.show(shortest, tries, begun.elapsed());
        ControlFlow::Continue(is_same.then_some(kept))
    };
    let mut shrunk = shrink(&plan, rounds.clone(), &mut fails, TRIES_MAX);
    if shrunk.actions.is_none() && !calm.is_empty() {
        // Other calms come to rest.
        rounds.push(calm);
        shrunk = shrink(&plan, rounds, &mut fails, TRIES_MAX);
    }
    progress.finish();
    let Shrunk { plan, actions, .. } = shrunk;
    let Some(actions) = actions else {
        return Err(match interrupt::is_wanted() {
            true => NotWritten::Interrupted,
            false => NotWritten::NotReproduced,
        });
    };
    // Where a calm or a panic shows it, the failure is the one that was found first.
    let shown = catch(|| replay::<P, K>(&plan, &actions).failure().cloned()).ok().flatten();
    let shown = shown.filter(|shown| shown.name == failure.name);
    let failure = shown.as_ref().unwrap_or(failure);
    // As `dkv scenario` will play it. A panic where another failure is looked for is another bug.
    let fails = |scenario: &Scenario| {
        catch(|| scenario.run_under::<P>(false)).is_ok_and(|report| report.failure.is_some())
    };
    let text = catch(|| script::<P, K>(&plan, &actions, failure, seed, fails));
    let text = text.map_err(|reason| NotWritten::TooLong(actions.len(), reason))?;
    match Scenario::parse(&text) {
        Ok(_) => Ok(text),
        Err(error) => Err(NotWritten::TooLong(actions.len(), error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::env;

    use super::*;
    use crate::cluster::Shipped;
    use crate::cluster::disk::FaithfulDisk;
    use crate::cluster::links::FaithfulLinks;
    use crate::raft::{HardState, Raft, RequestId, Term, rules};
    use crate::replica;
    use crate::sim::BriefSessions;

    /// Half of the voters make a majority.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
    struct Halves;

    impl Policies for Halves {
        type Rules = Halves;
        type Disk = FaithfulDisk;
        type Links = FaithfulLinks;
    }

    impl rules::Rules for Halves {
        fn majority(voters: usize) -> usize {
            voters.div_ceil(2)
        }
    }

    impl replica::Rules for Halves {}

    /// Panics over the fourth term.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
    struct Afraid;

    impl Policies for Afraid {
        type Rules = Afraid;
        type Disk = FaithfulDisk;
        type Links = FaithfulLinks;
    }

    impl rules::Rules for Afraid {
        fn adopt_term(hard: HardState, term: Term) -> HardState {
            assert!(term < Term(4), "four is too many");
            Raft::adopt_term(hard, term)
        }
    }

    impl replica::Rules for Afraid {}

    /// No read is ever answered.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
    struct Silent;

    impl Policies for Silent {
        type Rules = Silent;
        type Disk = FaithfulDisk;
        type Links = FaithfulLinks;
    }

    impl rules::Rules for Silent {}

    impl replica::Rules for Silent {
        fn take_asking(_: &mut BTreeSet<RequestId>, _: RequestId) -> Option<RequestId> {
            None
        }
    }

    const STEPS: u64 = 1500;

    /// The first seed that fails so, and the scenario that is written of it.
    fn shortest<P: Policies>(name: &str) -> (u64, Scenario, Written) {
        let mut failures = (0..).filter_map(|seed| {
            let mut trial = Trial::<P>::new(seed, STEPS);
            while trial.advance(SLICE_STEPS) {}
            Some((seed, trial.failure()?))
        });
        let (seed, failure) = failures.find(|(_, failure)| failure.name == name).expect("some seed fails");
        let out = env::temp_dir().join(format!("dkv-shrunk-{name}-{}", std::process::id()));
        fs::create_dir_all(&out).expect("a folder can be made");
        let written = write_scenario::<P, BriefSessions>(seed, STEPS, &failure, &out, false);
        let written = written.unwrap_or_else(|reason| panic!("seed {seed}: {failure}: {reason}"));
        let text = fs::read_to_string(&written.path).expect("it was written");
        fs::remove_dir_all(&out).expect("the folder can go");
        assert_eq!(written.path.file_name(), Some(format!("seed-{seed}.scn").as_ref()));
        assert_eq!(written.lines, text.lines().count());
        assert!(text.starts_with(&format!("# Seed {seed} violates {name}")), "{text}");
        assert!(written.lines < 100, "that is not short:\n{text}");
        let scenario = Scenario::parse(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(scenario.run_under::<Shipped>(false).failure, None, "not only the bug is wrong:\n{text}");
        (seed, scenario, written)
    }

    #[test]
    fn a_failure_leaves_a_scenario_that_shows_it() {
        let (_, scenario, written) = shortest::<Halves>("committed_on_quorum");
        let failure = scenario.run_under::<Halves>(false).failure.expect("the bug shows");
        assert_eq!(failure.line, written.lines);
    }

    #[test]
    fn a_panic_leaves_a_scenario_that_panics() {
        let (_, scenario, _) = shortest::<Afraid>(NO_PANIC);
        let panic = catch(|| scenario.run_under::<Afraid>(false)).expect_err("the bug shows");
        assert!(panic.contains("four is too many"), "{panic}");
    }

    #[test]
    fn a_client_that_waits_in_a_calm_leaves_a_scenario_that_shows_it() {
        let (_, scenario, _) = shortest::<Silent>("liveness");
        let failure = scenario.run_under::<Silent>(false).failure.expect("the bug shows");
        assert!(failure.command.starts_with("expect answered"), "{failure}");
    }

    #[test]
    fn what_a_long_world_shows_is_looked_for_in_short_ones() {
        let failure = Failure { name: "committed_on_quorum", detail: String::new(), step: 900_000 };
        let text = shortest_script::<Halves, BriefSessions>(7, 1_000_000, &failure, false);
        let text = text.expect("many a short world shows it");
        let scenario = Scenario::parse(&text).expect("it can be played");
        assert!(scenario.run_under::<Halves>(false).failure.is_some(), "{text}");
    }

    #[test]
    fn what_does_not_fail_again_leaves_nothing() {
        let failure = Failure { name: "liveness", detail: "nobody leads".into(), step: 7 };
        let written = write_scenario::<Shipped, BriefSessions>(1, 50, &failure, Path::new("."), false);
        assert_eq!(written.map_err(|reason| reason.to_string()), Err("its actions alone do not fail".into()));
    }
}
