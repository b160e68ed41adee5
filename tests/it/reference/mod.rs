//! `Cluster` against an abstract reference.

mod actions;
mod mistakes;
mod model;
mod script;
mod world;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use dkv::cluster::{Policies, Shipped};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};

use self::actions::{Case, case};
use self::world::{Stats, World};

/// Cases of a run in which nobody asked for a number.
const CASES: u32 = 400;

/// The product's rules for the store.
type Kv = dkv::kv::Shipped;

fn run_case<P: Policies, K: dkv::kv::Rules>(case: &Case) -> (Result<Stats, String>, String)
where
    dkv::kv::Store<dkv::kv::BTreeEngine, K>: Default,
{
    let mut world = World::<P, K>::new(case);
    let result = catch_unwind(AssertUnwindSafe(|| world.run(&case.actions)));
    let result = result.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        Err(format!("panicked: {}", text.unwrap_or_default()))
    });
    (result, world.script())
}

thread_local! {
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs `body` without the messages of panics, which are caught and reported by who expects them.
fn quietly<T>(body: impl FnOnce() -> T) -> T {
    static HOOK: std::sync::Once = std::sync::Once::new();
    HOOK.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !IS_QUIET.get() {
                loud(info);
            }
        }));
    });
    IS_QUIET.set(true);
    let result = body();
    IS_QUIET.set(false);
    result
}

fn config() -> Config {
    let mut config = Config::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = CASES;
    }
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(0);
    }
    config.failure_persistence = None;
    config.max_shrink_iters = 20_000;
    config
}

#[test]
fn a_cluster_follows_the_abstract_reference() {
    let config = config();
    let (cases, seed) = (config.cases, config.rng_seed);
    let mut totals = Stats::default();
    let totals_of = std::cell::RefCell::new(&mut totals);
    let failed = quietly(|| {
        TestRunner::new(config).run(&case(), |case| {
            let stats = run_case::<Shipped, Kv>(&case).0.map_err(TestCaseError::fail)?;
            totals_of.borrow_mut().add(stats);
            Ok(())
        })
    });
    match failed {
        Ok(()) => println!("{cases} cases, seed {seed}: {totals:?}"),
        Err(TestError::Abort(reason)) => panic!("no cases: {reason}"),
        Err(TestError::Fail(_, case)) => {
            let (result, script) = quietly(|| run_case::<Shipped, Kv>(&case));
            let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("failure.scn");
            std::fs::write(&path, &script).expect("the scenario can be written");
            let reason = result.err().unwrap_or_else(|| "it does not fail again".into());
            panic!(
                "{reason}\n\n{case:#?}\n\n{script}\nThe scenario is in {}; seed {seed}, {cases} cases",
                path.display()
            );
        }
    }
}

/// The number of cases until a mistake shows, and how it shows.
fn cases_until_found<P: Policies, K: dkv::kv::Rules>(seed: u64, cases_max: u32) -> Option<(u32, String)>
where
    dkv::kv::Store<dkv::kv::BTreeEngine, K>: Default,
{
    let config = Config { rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new(config);
    quietly(|| {
        (1..=cases_max).find_map(|count| {
            let case = case().new_tree(&mut runner).expect("every case is valid").current();
            run_case::<P, K>(&case).0.err().map(|reason| (count, reason))
        })
    })
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
