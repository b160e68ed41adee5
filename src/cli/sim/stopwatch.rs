//! How long a thread worked. On a machine that others use too, a clock on the wall measures them; where
//! the system tells how long it let a thread run, that is what counts.

use std::fs;
use std::time::{Duration, Instant};

/// Measures the thread that started it.
pub(super) struct Stopwatch {
    since: Instant,
    /// How long the thread had run before.
    ran: Option<Duration>,
}

impl Stopwatch {
    pub(super) fn start() -> Stopwatch {
        Stopwatch { since: Instant::now(), ran: ran() }
    }

    /// How long the thread worked since the start. Must be asked by the same thread.
    pub(super) fn worked(&self) -> Duration {
        let worked = ran().zip(self.ran).and_then(|(now, before)| now.checked_sub(before));
        worked.unwrap_or_else(|| self.since.elapsed())
    }

    /// How long the thread worked since the last lap. The system brings its count up to date now and
    /// then, so short laps are wrong; but nothing is lost between them, and their sum is right.
    pub(super) fn lap(&mut self) -> Duration {
        let worked = self.worked();
        self.ran = self.ran.map(|before| before + worked);
        self.since = Instant::now();
        worked
    }
}

/// What is measured on this system.
pub(super) fn clock() -> &'static str {
    if ran().is_some() { "processor" } else { "wall" }
}

/// How long this thread ever had a processor: the first number of its `schedstat` on Linux, in
/// nanoseconds.
fn ran() -> Option<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanos = text.split(' ').next()?.parse().ok()?;
    Some(Duration::from_nanos(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_takes_time_and_no_more_than_passed() {
        let mut stopwatch = Stopwatch::start();
        let started = Instant::now();
        let mut laps = Duration::ZERO;
        while laps == Duration::ZERO {
            laps += stopwatch.lap();
        }
        assert!(laps <= started.elapsed() + Duration::from_millis(50), "{laps:?}");
    }
}
