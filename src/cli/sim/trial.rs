//! One world of one seed, run piece by piece, so that somebody can look at it and end it. A panic in it is
//! a promise that did not hold, like any other.

use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;

use crate::cluster::{Policies, Shipped};
use crate::kv;
use crate::sim::action::Action;
use crate::sim::world::{Failure, StoreOf};
use crate::sim::{BriefSessions, Report, Run};

/// How many steps are done at once when nobody wants to see each. Far below a second even on a slow
/// machine, and enough for what happens in between to cost nothing.
pub(super) const SLICE_STEPS: u64 = 10_000;

/// The name of the failure that is a panic.
pub(super) const NO_PANIC: &str = "no_panic";

/// A world, unless its making panicked already.
pub(super) struct Trial<P: Policies = Shipped, K: kv::Rules = BriefSessions>
where
    StoreOf<K>: Default,
{
    run: Option<Run<P, K>>,
    panicked: Option<Failure>,
}

impl<P: Policies, K: kv::Rules> Trial<P, K>
where
    StoreOf<K>: Default,
{
    pub(super) fn new(seed: u64, steps: u64) -> Self {
        Trial::prepare(|| Run::new(seed, steps))
    }

    /// The same world, which keeps what it does for [`take_lines`](Trial::take_lines).
    pub(super) fn recorded(seed: u64, steps: u64) -> Self {
        Trial::prepare(|| Run::recorded(seed, steps))
    }

    /// The same world, which keeps what is done to it for [`take_rounds`](Trial::take_rounds), but no lines.
    pub(super) fn remembered(seed: u64, steps: u64) -> Self {
        Trial::prepare(|| Run::remembered(seed, steps))
    }

    fn prepare(make: impl FnOnce() -> Run<P, K>) -> Self {
        match catch(make) {
            Ok(run) => Trial { run: Some(run), panicked: None },
            Err(detail) => Trial { run: None, panicked: Some(no_panic(detail, 0)) },
        }
    }

    /// Goes on for about `steps` steps; what happens at once is not torn apart. Returns whether there is
    /// more to come.
    pub(super) fn advance(&mut self, steps: u64) -> bool {
        if self.panicked.is_some() {
            return false;
        }
        let Some(run) = &mut self.run else { return false };
        match catch(|| run.advance(steps)) {
            Ok(is_more) => is_more,
            Err(detail) => {
                self.panicked = Some(no_panic(detail, self.steps()));
                false
            }
        }
    }

    /// How many steps there were.
    pub(super) fn steps(&self) -> u64 {
        self.run.as_ref().map_or(0, |run| run.world().steps())
    }

    /// The run; nothing if there is no world.
    pub(super) fn run(&self) -> Option<&Run<P, K>> {
        self.run.as_ref()
    }

    /// What happened so far; nothing if there is no world.
    pub(super) fn report(&self) -> Option<Report> {
        self.run.as_ref().map(Run::report)
    }

    /// The first promise that did not hold.
    pub(super) fn failure(&self) -> Option<Failure> {
        let of_world = self.run.as_ref().and_then(|run| run.world().failure());
        of_world.or(self.panicked.as_ref()).cloned()
    }

    /// What was done since the last call and the lines of what it led to, if the trial is recorded.
    pub(super) fn take_lines(&mut self) -> (Vec<Action>, Vec<String>) {
        match &mut self.run {
            Some(run) => (run.take_actions(), run.take_trace()),
            None => (Vec::new(), Vec::new()),
        }
    }

    /// What was done, by rounds, and a calm that did not come to rest, as [`Run::take_rounds`] gives it.
    pub(super) fn take_rounds(&mut self) -> (Vec<Vec<Action>>, Vec<Action>) {
        self.run.as_mut().map(Run::take_rounds).unwrap_or_default()
    }
}

fn no_panic(detail: String, step: u64) -> Failure {
    Failure { name: NO_PANIC, detail, step }
}

thread_local! {
    static IS_CATCHING: Cell<bool> = const { Cell::new(false) };
    static CAUGHT: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// What `work` returns, or the message and place of its panic, about which nothing is printed. Panics of
/// everybody else are told as ever.
pub(super) fn catch<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let tell = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if IS_CATCHING.get() {
                CAUGHT.set(Some(one_line(info)));
            } else {
                tell(info);
            }
        }));
    });
    IS_CATCHING.set(true);
    // A world whose step panicked is looked at and never moved again.
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    IS_CATCHING.set(false);
    result.map_err(|_| CAUGHT.take().unwrap_or_else(|| "a panic without a message".into()))
}

fn one_line(info: &PanicHookInfo<'_>) -> String {
    let message = info.payload_as_str().unwrap_or("a panic without a message").replace('\n', " ");
    match info.location() {
        Some(at) => format!("{message} ({}:{})", at.file(), at.line()),
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_caught_with_its_message_and_place() {
        let said = catch(|| assert_eq!(1, 2, "numbers")).expect_err("it panics");
        assert!(said.contains("numbers") && said.contains("trial.rs:"), "{said}");
        assert!(!said.contains('\n'), "{said:?}");
        assert_eq!(catch(|| 7), Ok(7));
    }

    #[test]
    fn slices_make_no_difference() {
        let mut whole = Trial::<Shipped>::new(3, 300);
        while whole.advance(SLICE_STEPS) {}
        let mut sliced = Trial::<Shipped>::new(3, 300);
        while sliced.advance(7) {}
        assert_eq!(whole.report(), sliced.report());
    }
}
