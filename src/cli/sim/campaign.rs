//! Many seeds on many threads, added up in the order of the seeds.
//!
//! Whichever thread is done first, a report counts only when those of all earlier seeds did. So the sum,
//! and the place where too many failures end it, depend on the arguments and never on the number of
//! threads or their luck.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use super::interrupt;
use super::observed::{Observed, Outcomes};
use super::progress::{Progress, Standing};
use super::seen::Seen;
use super::stopwatch::Stopwatch;
use super::trial::{SLICE_STEPS, Trial};
use crate::cluster::Policies;
use crate::kv;
use crate::sim::Report;
use crate::sim::coverage::Coverage;
use crate::sim::world::{Failure, StoreOf, Work};

/// After so many failures the rest would say the same again.
pub(super) const FAILURES_MAX: usize = 10;

/// How often progress is looked at while no seed is done.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What is to be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Campaign {
    pub(super) first_seed: u64,
    pub(super) seeds: u64,
    /// Of each seed.
    pub(super) steps: u64,
    pub(super) threads: u64,
}

/// What was run, added up.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Total {
    /// Seeds that ran to their end, or to their failure.
    pub(super) seeds: u64,
    /// Seeds that an interrupt ended before.
    pub(super) seeds_in_part: u64,
    pub(super) steps: u64,
    pub(super) time_ms: u64,
    pub(super) rounds: u64,
    pub(super) longest_calm_ms: u64,
    pub(super) longest_calm_steps: u64,
    pub(super) committed: u64,
    pub(super) terms: u64,
    pub(super) work: Work,
    pub(super) coverage: Coverage,
    /// Nothing if rules were not counted.
    pub(super) rules: Option<Outcomes>,
    /// The trace hashes of all seeds, in their order, as one.
    pub(super) trace_hash: u64,
    /// With their seeds, which ascend.
    pub(super) failures: Vec<(u64, Failure)>,
    /// Whether failures ended it before the last seed.
    pub(super) is_cut_short: bool,
    /// How long threads worked on what is counted here, together.
    pub(super) busy: Duration,
    /// How long it took.
    pub(super) elapsed: Duration,
}

/// What became of one seed.
struct Ending {
    /// How many seeds are before it.
    place: u64,
    report: Option<Report>,
    rules: Outcomes,
    failure: Option<Failure>,
    is_complete: bool,
    busy: Duration,
}

impl Total {
    fn add(&mut self, seed: u64, ending: Ending) {
        let Ending { report, rules, failure, is_complete, busy, .. } = ending;
        self.seeds += u64::from(is_complete);
        self.seeds_in_part += u64::from(!is_complete);
        self.busy += busy;
        if let Some(report) = report {
            self.add_report(&report);
        }
        if let Some(sum) = &mut self.rules {
            *sum += &rules;
        }
        self.failures.extend(failure.map(|failure| (seed, failure)));
    }

    /// Adds what a run did, but for its failure.
    pub(super) fn add_report(&mut self, report: &Report) {
        self.steps += report.steps;
        self.time_ms += report.time_ms;
        self.rounds += report.rounds;
        self.longest_calm_ms = self.longest_calm_ms.max(report.longest_calm_ms);
        self.longest_calm_steps = self.longest_calm_steps.max(report.longest_calm_steps);
        self.committed += report.committed;
        self.terms += report.terms;
        self.work.operations += report.work.operations;
        self.work.answered += report.work.answered;
        self.work.reads += report.work.reads;
        self.work.undecided += report.work.undecided;
        self.coverage += &report.coverage;
        // Any mixing that depends on the order will do.
        self.trace_hash = self.trace_hash.rotate_left(5).wrapping_mul(0x0100_0000_01B3) ^ report.trace_hash;
    }

    /// What was counted.
    pub(super) fn seen(&self) -> Seen<'_> {
        Seen { coverage: &self.coverage, rules: self.rules.as_ref() }
    }

    /// Steps in a second of one core.
    pub(super) fn steps_per_second(&self) -> u64 {
        (self.steps as f64 / self.busy.as_secs_f64().max(1e-6)) as u64
    }
}

/// What threads share.
#[derive(Default)]
struct Shared {
    next_place: AtomicU64,
    is_over: AtomicBool,
    steps: AtomicU64,
    worked: AtomicU64,
}

impl Shared {
    fn is_ending(&self) -> bool {
        self.is_over.load(Ordering::Relaxed) || interrupt::is_wanted()
    }
}

impl Campaign {
    /// Runs it, to its end, to too many failures or to an interrupt.
    ///
    /// # Errors
    /// Not even one thread could be started.
    pub(super) fn run<P: Policies, K: kv::Rules>(&self, may_draw: bool) -> io::Result<Total>
    where
        StoreOf<K>: Default,
    {
        self.add_up::<P, K>(Total::default(), may_draw)
    }

    /// Runs it under the rules that ship, and counts their outcomes.
    ///
    /// # Errors
    /// Not even one thread could be started.
    pub(super) fn run_observed(&self, may_draw: bool) -> io::Result<Total> {
        self.add_up::<Observed, Observed>(
            Total { rules: Some(Outcomes::default()), ..Total::default() },
            may_draw,
        )
    }

    fn add_up<P: Policies, K: kv::Rules>(&self, mut total: Total, may_draw: bool) -> io::Result<Total>
    where
        StoreOf<K>: Default,
    {
        let started = Instant::now();
        let shared = Shared::default();
        let mut progress = Progress::new(self.seeds.saturating_mul(self.steps), may_draw);
        let (sender, endings) = mpsc::channel();
        thread::scope(|scope| {
            for number in 0..self.threads.min(self.seeds) {
                let (sender, shared) = (sender.clone(), &shared);
                let work = move || self.work::<P, K>(shared, &sender);
                match thread::Builder::new().spawn_scoped(scope, work) {
                    Err(error) if number == 0 => return Err(error),
                    // Those that did start share the work.
                    Err(_) => break,
                    Ok(_) => {}
                }
            }
            drop(sender);
            let mut ahead: BTreeMap<u64, Ending> = BTreeMap::new();
            let mut done: u64 = 0;
            loop {
                match endings.recv_timeout(LOOK_EVERY) {
                    Ok(ending) => {
                        done += u64::from(ending.is_complete);
                        ahead.insert(ending.place, ending);
                        self.add_those_in_order(&mut total, &mut ahead, &progress);
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break,
                }
                if total.is_cut_short {
                    shared.is_over.store(true, Ordering::Relaxed);
                }
                progress.show(&Standing {
                    seeds: done,
                    seeds_wanted: self.seeds,
                    steps: shared.steps.load(Ordering::Relaxed),
                    worked: shared.worked.load(Ordering::Relaxed),
                    failures: total.failures.len(),
                });
            }
            // After an interrupt some seeds are missing; what the others did counts.
            if !total.is_cut_short {
                ahead.into_values().for_each(|ending| total.add(self.seed(ending.place), ending));
            }
            Ok(())
        })?;
        progress.finish();
        total.elapsed = started.elapsed();
        Ok(total)
    }

    fn seed(&self, place: u64) -> u64 {
        self.first_seed.wrapping_add(place)
    }

    /// Adds the endings that no earlier seed is missing for, until there are too many failures.
    fn add_those_in_order(&self, total: &mut Total, ahead: &mut BTreeMap<u64, Ending>, progress: &Progress) {
        while !total.is_cut_short
            && ahead.first_key_value().is_some_and(|(place, next)| *place == total.seeds && next.is_complete)
            && let Some((place, ending)) = ahead.pop_first()
        {
            if let Some(failure) = &ending.failure {
                progress.say(&format!("seed {}: {failure}", self.seed(place)));
            }
            total.add(self.seed(place), ending);
            total.is_cut_short = total.failures.len() >= FAILURES_MAX && total.seeds < self.seeds;
        }
    }

    /// What each thread does: one seed after the other, as long as there are any.
    fn work<P: Policies, K: kv::Rules>(&self, shared: &Shared, endings: &Sender<Ending>)
    where
        StoreOf<K>: Default,
    {
        let mut stopwatch = Stopwatch::start();
        while !shared.is_ending() {
            let place = shared.next_place.fetch_add(1, Ordering::Relaxed);
            if place >= self.seeds {
                return;
            }
            let mut ending = self.try_seed::<P, K>(place, shared);
            ending.busy = stopwatch.lap();
            if endings.send(ending).is_err() {
                return;
            }
        }
    }

    fn try_seed<P: Policies, K: kv::Rules>(&self, place: u64, shared: &Shared) -> Ending
    where
        StoreOf<K>: Default,
    {
        let mut trial = Trial::<P, K>::new(self.seed(place), self.steps);
        let mut before: u64 = 0;
        let is_complete = loop {
            let is_more = trial.advance(SLICE_STEPS);
            let now = trial.steps();
            shared.steps.fetch_add(now - before, Ordering::Relaxed);
            // A world that ends early or late has done what was wanted of it.
            let until = if is_more { now.min(self.steps) } else { self.steps };
            shared.worked.fetch_add(until.saturating_sub(before.min(self.steps)), Ordering::Relaxed);
            before = now;
            if !is_more {
                break true;
            }
            if shared.is_ending() {
                break false;
            }
        };
        let (report, failure) = (trial.report(), trial.failure());
        Ending { place, report, rules: Outcomes::take(), failure, is_complete, busy: Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Shipped;
    use crate::cluster::disk::FaithfulDisk;
    use crate::cluster::links::FaithfulLinks;
    use crate::raft::{EntryId, HardState, NodeId, Term, rules};
    use crate::replica;
    use crate::sim::BriefSessions;

    /// Votes as often as it is asked, and panics over the fourth term.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
    struct Careless;

    impl Policies for Careless {
        type Rules = Careless;
        type Disk = FaithfulDisk;
        type Links = FaithfulLinks;
    }

    impl rules::Rules for Careless {
        fn has_vote_left(_: Option<NodeId>, _: NodeId) -> bool {
            true
        }

        fn is_up_to_date(_: EntryId, _: EntryId) -> bool {
            true
        }

        fn adopt_term(hard: HardState, term: Term) -> HardState {
            assert!(term < Term(4), "four is too many");
            crate::raft::Raft::adopt_term(hard, term)
        }
    }

    impl replica::Rules for Careless {}

    fn run<P: Policies>(campaign: Campaign) -> Total {
        let total = campaign.run::<P, BriefSessions>(false).expect("threads start");
        Total { busy: Duration::ZERO, elapsed: Duration::ZERO, ..total }
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let one = run::<Shipped>(Campaign { first_seed: 5, seeds: 6, steps: 300, threads: 1 });
        let three = run::<Shipped>(Campaign { first_seed: 5, seeds: 6, steps: 300, threads: 3 });
        assert_eq!(one, three);
        assert_eq!((one.seeds, one.seeds_in_part, one.is_cut_short), (6, 0, false));
    }

    #[test]
    fn counting_rules_changes_nothing_else() {
        let campaign = Campaign { first_seed: 5, seeds: 40, steps: 1000, threads: 2 };
        let shipped = run::<Shipped>(campaign);
        let mut observed = campaign.run_observed(false).expect("threads start");
        let rules = observed.rules.take().expect("rules are counted");
        assert_eq!(Total { busy: Duration::ZERO, elapsed: Duration::ZERO, ..observed }, shipped);
        assert!(rules.counts().any(|count| count.n > 10_000));
        let one = Campaign { threads: 1, ..campaign }.run_observed(false).expect("threads start");
        assert_eq!(one.rules, Some(rules), "threads change nothing");
    }

    #[test]
    fn failures_and_panics_end_a_campaign_at_the_same_seed_whatever_the_threads() {
        let campaign = Campaign { first_seed: u64::MAX - 20, seeds: 2000, steps: 1500, threads: 1 };
        let one = run::<Careless>(campaign);
        assert_eq!(one, run::<Careless>(Campaign { threads: 4, ..campaign }));
        assert_eq!(one.failures.len(), FAILURES_MAX);
        assert!(one.is_cut_short && one.seeds < campaign.seeds);
        let panicked = one.failures.iter().find(|(_, failure)| failure.name == "no_panic");
        let (_, failure) = panicked.expect("somebody sees the fourth term");
        assert!(failure.detail.contains("four is too many") && failure.step > 0, "{failure}");
        let places: Vec<u64> =
            one.failures.iter().map(|(seed, _)| seed.wrapping_sub(campaign.first_seed)).collect();
        assert!(places.is_sorted(), "{places:?}");
    }
}
