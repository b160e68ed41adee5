//! The successors that a checker was shown last.
//!
//! Depth first, four of five successors were met before, most of them a moment ago: two actions commute, and both
//! orders are taken. The checker finds that in its set of all states, which is far larger than any cache, and
//! waits for memory twice each time. A few of the last hashes answer most of these questions from the nearest
//! cache.
//!
//! Whoever is told that a state was shown may leave it out, since the checker has it: each hash in here was of a state
//! that the checker went on with. That two states have one hash is as unlikely as in the checker's own set.
//!
//! Left out: remembering more. What has fallen out is shown again, and the checker knows.

/// As many as fit beside everything else that is close to a core.
const ENTRIES: usize = 1 << 14;

/// Hashes of states, the last of each place.
pub(crate) struct Recent(Box<[u64]>);

impl Default for Recent {
    fn default() -> Recent {
        Recent(vec![0; ENTRIES].into())
    }
}

impl Recent {
    /// Notes the hash of a state that is about to be shown. Returns whether it is known to have been shown before.
    pub(crate) fn replace(&mut self, hash: u64) -> bool {
        #[allow(clippy::cast_possible_truncation)] // it is below the number of entries
        let place = &mut self.0[(hash >> 32) as usize % ENTRIES];
        std::mem::replace(place, hash) == hash
    }
}
