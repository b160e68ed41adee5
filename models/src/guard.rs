//! Panics as values: a step of the shipped code that fails an assertion is a finding, and its path must
//! not be lost with the thread.
//!
//! Only shipped code and its judgement run guarded. What the tables of the models assert is not a
//! finding about the protocol, and stops the run. Left out: aborts and endless loops.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
    static PANICKED: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `body`; a panic becomes its message and place, and nothing of it is printed.
///
/// # Errors
/// It panicked.
pub fn guarded<T>(body: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let outer = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if GUARDED.get() {
                PANICKED.set(Some(panic.to_string()));
            } else {
                outer(panic);
            }
        }));
    });
    let outer = GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(body));
    GUARDED.set(outer);
    result.map_err(|_| PANICKED.take().unwrap_or_else(|| "panicked".to_owned()))
}
