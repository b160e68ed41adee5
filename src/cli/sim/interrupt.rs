//! Ctrl-C while worlds run: the first asks them to come to an end and show what they have, the second
//! ends the process at once.

use std::process;
use std::sync::atomic::{AtomicBool, Ordering};

/// What shells give a command that an interrupt ended: 128 and the number of the signal.
pub(super) const STATUS: u8 = 130;

static IS_WANTED: AtomicBool = AtomicBool::new(false);

/// From here on an interrupt is only noted. Where that is not possible, it ends the process as ever.
pub(super) fn watch() {
    let noted = ctrlc::set_handler(|| {
        if IS_WANTED.swap(true, Ordering::Relaxed) {
            process::exit(i32::from(STATUS));
        }
    });
    if let Err(error) = noted {
        eprintln!("dkv: an interrupt will end this without a summary: {error}");
    }
}

/// Whether somebody wants an end.
pub(super) fn is_wanted() -> bool {
    IS_WANTED.load(Ordering::Relaxed)
}
