//! What is going on: who runs, how far, how fast, with how much memory; and how to end it.
//!
//! Left out: the rate of a moment; what is told is the average since a run began.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use stateright::{Checker, Model};

/// How far a run is, and whether it is to end.
#[derive(Debug, Default)]
pub struct Pace {
    /// States whose actions were asked for. If that is every distinct state, the run was exhaustive.
    pub expanded: AtomicU64,
    /// Distinct states that the checker had met and not expanded, a moment ago.
    pub queue: AtomicU64,
    /// The length of the longest path that it had taken, a moment ago.
    pub depth: AtomicU64,
    /// Somebody wants the run to end.
    pub stopped: AtomicBool,
}

/// The runs that are going on.
#[derive(Debug, Default)]
pub struct Watch {
    running: Mutex<Vec<Running>>,
    stopped: AtomicBool,
}

#[derive(Debug)]
struct Running {
    name: &'static str,
    /// How many states there will be.
    expected: Option<usize>,
    pace: Arc<Pace>,
    start: Instant,
}

/// A run that is going on, until this is dropped.
pub(crate) struct Watched<'a> {
    watch: &'a Watch,
    pace: Arc<Pace>,
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.watch.running().retain(|running| !Arc::ptr_eq(&running.pace, &self.pace));
    }
}

impl Watch {
    fn running(&self) -> MutexGuard<'_, Vec<Running>> {
        self.running.lock().expect("nobody panics with it")
    }

    /// A run begins, of so many states if that is known.
    pub(crate) fn begin(&self, name: &'static str, expected: Option<usize>, pace: &Arc<Pace>) -> Watched<'_> {
        let mut running = self.running();
        running.push(Running { name, expected, pace: pace.clone(), start: Instant::now() });
        pace.stopped.store(self.stopped.load(Ordering::SeqCst), Ordering::Relaxed);
        Watched { watch: self, pace: pace.clone() }
    }

    /// Ends all runs, and those that begin later at once. What they have not expanded makes them truncated.
    pub fn stop(&self) {
        let running = self.running();
        self.stopped.store(true, Ordering::SeqCst);
        running.iter().for_each(|running| running.pace.stopped.store(true, Ordering::Relaxed));
    }

    /// Whether somebody ended the runs.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// One line: every run with its states, its speed, what is left, how many states are met and not expanded, and how
    /// deep it is; and the memory of the process.
    #[must_use]
    pub fn line(&self) -> String {
        let describe = |running: &Running| {
            let states = running.pace.expanded.load(Ordering::Relaxed);
            let seconds = running.start.elapsed().as_secs_f64().max(1e-3);
            let speed = states as f64 / seconds;
            let left = running.expected.map_or(String::new(), |expected| {
                let rest = (expected as u64).saturating_sub(states) as f64;
                format!(" of {:.1} M, {:.0} s left", expected as f64 / 1e6, rest / speed.max(1.0))
            });
            let queue = running.pace.queue.load(Ordering::Relaxed);
            let depth = running.pace.depth.load(Ordering::Relaxed);
            let (name, millions, speed) = (running.name, states as f64 / 1e6, speed / 1e3);
            format!("{name} {millions:.1} M states{left}, {speed:.0} k/s, queue {queue}, depth {depth}")
        };
        let mut parts: Vec<String> = self.running().iter().map(describe).collect();
        parts.extend(resident_bytes().map(|bytes| format!("{} MiB", bytes >> 20)));
        parts.join(" | ")
    }

    /// Writes [`Watch::line`] to standard error every few seconds while `body` runs.
    pub fn narrating<T>(&self, body: impl FnOnce() -> T) -> T {
        narrating(|| self.line(), body)
    }
}

/// Waits for a checker to end, and notes now and then how far it is.
pub(crate) fn joined<M, C>(mut checker: C, pace: &Pace) -> C
where
    M: Model,
    C: Checker<M> + Sync,
{
    let handles = checker.handles();
    let note = || {
        let (met, expanded) = (checker.unique_state_count() as u64, pace.expanded.load(Ordering::Relaxed));
        pace.queue.store(met.saturating_sub(expanded), Ordering::Relaxed);
        pace.depth.store(checker.max_depth() as u64, Ordering::Relaxed);
    };
    while_running(Duration::from_secs(1), note, || {
        // As stateright joins: what a model panics with is a panic here.
        handles.into_iter().for_each(|handle| handle.join().expect("a model does not panic"));
    });
    checker.join()
}

/// Writes a line to standard error every few seconds while `body` runs.
pub(crate) fn narrating<T>(line: impl Fn() -> String + Sync, body: impl FnOnce() -> T) -> T {
    // Whoever closed standard error does not want to know.
    while_running(Duration::from_secs(5), || _ = writeln!(std::io::stderr(), "{}", line()), body)
}

/// Does something now and then while `body` runs.
fn while_running<T>(every: Duration, now_and_then: impl Fn() + Sync, body: impl FnOnce() -> T) -> T {
    let (over, is_over) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let now_and_then = &now_and_then;
        scope.spawn(move || {
            // The sender is dropped at the end of the body, and by a panic too.
            while is_over.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                now_and_then();
            }
        });
        let _over = over;
        body()
    })
}

/// The memory of this process that is in use, where the system tells it.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    const PAGE_BYTES: u64 = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    Some(statm.split_whitespace().nth(1)?.parse::<u64>().ok()? * PAGE_BYTES)
}

/// The most memory that this process ever used, where the system tells it.
#[must_use]
pub fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? << 10)
}

/// Processor time of this process, where the system tells it: on a shared machine the only speed that repeats.
#[must_use]
pub fn process_seconds() -> Option<f64> {
    seconds_in("/proc/self/stat")
}

/// Processor time of the calling thread, where the system tells it.
pub(crate) fn thread_seconds() -> Option<f64> {
    seconds_in("/proc/thread-self/stat")
}

fn seconds_in(path: &str) -> Option<f64> {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string(path).ok()?;
    // The second field is a name in parentheses and may hold anything; user and system time are the
    // 14th and the 15th.
    let mut fields = stat.rsplit(')').next()?.split_whitespace().skip(11);
    let ticks: f64 = fields.next()?.parse::<f64>().ok()? + fields.next()?.parse::<f64>().ok()?;
    Some(ticks / TICKS_PER_SECOND)
}
