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
    // A system without these statistics shows zeroes.
    (nanos > 0).then(|| Duration::from_nanos(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_takes_time_and_no_more_than_passed() {
        let stopwatch = Stopwatch::start();
        let mut sum: u64 = 0;
        while stopwatch.worked() == Duration::ZERO {
            sum = core::hint::black_box(sum.wrapping_add(1));
        }
        assert!(stopwatch.worked() <= stopwatch.since.elapsed() + Duration::from_millis(50));
    }
}
