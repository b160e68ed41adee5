//! How far it is, on standard error: a bar for a person who watches, and otherwise a line from time to
//! time. Shrinking has an end of its own and shows a bar alone.

use std::fmt::Display;
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::words::grouped;

/// How often somebody who reads a log hears of it.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// How far a campaign is.
pub(super) struct Standing {
    /// Seeds that are done.
    pub(super) seeds: u64,
    pub(super) seeds_wanted: u64,
    /// Steps of all worlds, those in the middle of their run too.
    pub(super) steps: u64,
    /// How much of what is wanted is done, in steps: worlds do some more than they are asked for.
    pub(super) worked: u64,
    pub(super) failures: usize,
}

impl Display for Standing {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Standing { seeds, seeds_wanted, failures, .. } = self;
        write!(f, "{} of {} seeds, {failures} failed", grouped(*seeds), grouped(*seeds_wanted))
    }
}

/// Where progress is shown.
pub(super) struct Progress {
    since: Instant,
    shown: Instant,
    /// Only where somebody sees it move.
    bar: Option<ProgressBar>,
}

impl Progress {
    /// A bar of this many steps, if standard error is a terminal and `may_draw`.
    pub(super) fn new(steps: u64, may_draw: bool) -> Progress {
        let bar = (may_draw && io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::new(steps);
            if let Ok(style) = ProgressStyle::with_template("[{bar:30}] {msg}, {eta} left") {
                bar.set_style(style.progress_chars("=> "));
            }
            bar
        });
        let now = Instant::now();
        Progress { since: now, shown: now, bar }
    }

    pub(super) fn show(&mut self, standing: &Standing) {
        let rate = standing.steps as f64 / self.since.elapsed().as_secs_f64().max(0.001);
        let message = || format!("{standing}, {} steps/s", grouped(rate as u64));
        if let Some(bar) = &self.bar {
            bar.set_message(message());
            bar.set_position(standing.worked);
        } else if self.shown.elapsed() >= LINE_EVERY {
            self.shown = Instant::now();
            eprintln!("dkv: {}", message());
        }
    }

    /// Says something that should not wait for the end.
    pub(super) fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("dkv: {line}")),
            None => eprintln!("dkv: {line}"),
        }
    }

    /// Leaves the screen to the summary.
    pub(super) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

/// How far a failure is shrunk, where somebody sees it move.
pub(super) struct Shrinking {
    bar: Option<ProgressBar>,
    seed: u64,
    actions: usize,
}

impl Shrinking {
    /// Of the run of a seed with so many actions.
    pub(super) fn new(seed: u64, actions: usize, may_draw: bool) -> Shrinking {
        let bar = (may_draw && io::stderr().is_terminal()).then(ProgressBar::new_spinner);
        Shrinking { bar, seed, actions }
    }

    pub(super) fn show(&self, shortest: usize, tries: u32, elapsed: Duration) {
        if let Some(bar) = &self.bar {
            let [actions, shortest, tries] =
                [self.actions as u64, shortest as u64, tries.into()].map(grouped);
            let (seed, seconds) = (self.seed, elapsed.as_secs());
            bar.set_message(format!(
                "shrinking seed {seed}: {shortest} of {actions} actions left after {tries} tries, {seconds} s"
            ));
            bar.tick();
        }
    }

    /// Leaves the screen to what follows.
    pub(super) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}
