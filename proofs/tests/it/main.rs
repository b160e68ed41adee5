//! The proof as tests: everything is proved, every mutant refused, every action possible; and what the driver does
//! when something is not so.
//!
//! Without a solver the tests that need one say that they were skipped, where a person sees it; where `CI` is set they
//! fail.

mod driver;
mod proof;
mod teeth;
mod ties;

use std::io::Write as _;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use dkv_proofs::solver::Solver;
use dkv_proofs::spec::Spec;

fn spec() -> Spec {
    Spec::read(&dkv_proofs::folder()).expect("the spec is well formed")
}

/// The solver, or none after saying so.
fn solver(test: &str) -> Option<Solver> {
    match Solver::open(Path::new(&Solver::named_by_environment())) {
        Ok(solver) => Some(solver),
        Err(error) if std::env::var_os("CI").is_some() => panic!("{test} cannot run: {error}"),
        Err(error) => {
            // Past the capture of the test's output, so that it is seen.
            let _ = writeln!(std::io::stderr(), "\nSKIPPED: {test}: NOTHING WAS PROVED: {error}\n");
            None
        }
    }
}

fn threads() -> NonZeroUsize {
    thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// What `work` says of every item, on as many threads as there are cores.
fn on_all<'a, T: Sync, U: Send>(items: &'a [T], work: impl Fn(&'a T) -> U + Sync) -> Vec<U> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            done.push(work(item));
        }
        done
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads().get()).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a worker does not panic")).collect()
    })
}
