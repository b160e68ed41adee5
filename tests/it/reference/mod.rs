//! `Cluster` against an abstract reference: one committed sequence, and per replica a prefix of it.
//!
//! A case is a small cluster, its limits, and a list of [`actions`]: clients that write, read, retry
//! under sessions and give up; links that are cut and lose, double and reorder; crashes that keep any
//! prefix of what was not synced; disks that hold back; snapshots; changes of members; timers; single
//! deliveries in any order. After each action the cluster is compared with the [`model`]:
//!
//! - no invariant of the cluster is violated, and the committed sequence only grows, by commands that
//!   some client submitted;
//! - the store of every member that is up is the fold of the prefix that it applied;
//! - an acknowledged write is in the sequence where its client was told, with the fold's response;
//! - what was refused or lost never shows up: no bytes are committed more often than they were submitted
//!   less the times that a client was told "no effect"; retries under a session get one answer;
//! - a read saw the fold of a prefix at least as long as what was committed when it was made;
//! - nothing travels over a cut link, and no term or vote leaves before it is synced.
//!
//! At the end all faults go away. Within stated bounds of virtual time a new command commits, all members
//! of the configuration are byte-identical, and no replica waits for a request that nobody asks for.
//!
//! `PROPTEST_CASES` and `PROPTEST_RNG_SEED` choose other cases. A failure is shrunk, printed, and written
//! as a scenario that does the same steps (`dkv scenario`); `mistakes`, beside this, shows that there are failures.
//!
//! Left out: expiry of sessions (their time to live is far beyond a case), damaged disks, and clocks that
//! run at different rates.

mod actions;
mod checks;
mod model;
mod script;
mod world;

use std::path::Path;

use dkv::cluster::scenario::Scenario;
use dkv::cluster::{Policies, Shipped};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};

pub(crate) use self::actions::{Case, case};
use self::world::{Stats, World};
use crate::cases::{self, caught, quietly};

/// Cases of a run in which nobody asked for a number.
const CASES: u32 = 3000;

/// How many of them are printed and replayed as scenarios.
const SCENARIOS: u32 = 200;

/// The product's rules for the store.
type Kv = dkv::kv::Shipped;

pub(crate) fn run_case<P: Policies, K: dkv::kv::Rules>(case: &Case) -> (Result<Stats, String>, String)
where
    dkv::kv::Store<dkv::kv::BTreeEngine, K>: Default,
{
    let mut world = World::<P, K>::new(case);
    let result = caught(|| world.run(&case.actions));
    let result = result.unwrap_or_else(|text| Err(format!("panicked: {text}")));
    (result, world.script())
}

fn config() -> Config {
    Config { max_shrink_iters: 20_000, ..cases::config(CASES) }
}

#[test]
fn a_cluster_follows_the_abstract_reference() {
    let config = config();
    let (cases, seed) = (config.cases, config.rng_seed);
    let mut totals = Stats::default();
    let totals_of = std::cell::RefCell::new(&mut totals);
    let failed = quietly(|| {
        let run = TestRunner::new(config).run(&case(), |case| {
            let stats = run_case::<Shipped, Kv>(&case).0.map_err(TestCaseError::fail)?;
            totals_of.borrow_mut().add(stats);
            Ok(())
        });
        run.map_err(Box::new)
    });
    let Err(failure) = failed else { return println!("{cases} cases, seed {seed}: {totals:?}") };
    let TestError::Fail(_, case) = *failure else { panic!("no cases: {failure}") };
    let (result, script) = quietly(|| run_case::<Shipped, Kv>(&case));
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("failure.scn");
    std::fs::write(&path, &script).expect("the scenario can be written");
    let reason = result.err().unwrap_or_else(|| "it does not fail again".into());
    let path = path.display();
    panic!("{reason}\n\n{case:#?}\n\n{script}\nThe same as a scenario: {path}; seed {seed}, {cases} cases");
}

/// A case's script, run as a scenario, is the very same run.
#[test]
fn cases_print_as_scenarios_that_replay_them() {
    let mut runner = TestRunner::new(Config { rng_seed: RngSeed::Fixed(2), ..config() });
    for _ in 0..SCENARIOS {
        let case = case().new_tree(&mut runner).expect("every case is valid").current();
        let mut world = World::<Shipped, Kv>::new(&case);
        world.run(&case.actions).expect("clean, as the property above says");
        let script = world.script();
        let scenario = Scenario::parse(&script).unwrap_or_else(|error| panic!("{error}\n{script}"));
        let report = scenario.run(false);
        if let Some(failure) = report.failure {
            panic!("{failure}\n{script}");
        }
        assert_eq!(report.trace_hash, world.trace_hash(), "{script}");
    }
}

impl Stats {
    fn add(&mut self, other: Stats) {
        self.committed += other.committed;
        self.acknowledged += other.acknowledged;
        self.reads += other.reads;
        self.terms += other.terms;
        self.refused += other.refused;
        self.lost += other.lost;
        self.configurations += other.configurations;
    }
}
