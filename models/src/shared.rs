//! A shared value that knows the hash of its content.
//!
//! A state of the model is a few of these. Copying it copies pointers, hashing it writes one word per
//! part, and a part that did not change is never hashed again. Equality and hash are those of the
//! content, so that two states are equal exactly if everything in them is.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

/// A value behind a shared pointer, with its content hash.
pub struct Shared<T>(Arc<(u64, T)>);

impl<T: Hash> Shared<T> {
    /// Hashes the value once and shares it.
    pub fn new(value: T) -> Shared<T> {
        let hash = content_hash(&value);
        Shared(Arc::new((hash, value)))
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Shared<T> {
        Shared(Arc::clone(&self.0))
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0.1
    }
}

impl<T: PartialEq> PartialEq for Shared<T> {
    fn eq(&self, other: &Shared<T>) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || *self.0 == *other.0
    }
}

impl<T: Eq> Eq for Shared<T> {}

impl<T> Hash for Shared<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.0);
    }
}

impl<T: fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.1.fmt(f)
    }
}

/// The hash of a value's content, the same on every machine and in every run.
pub(crate) fn content_hash<T: Hash + ?Sized>(value: &T) -> u64 {
    let mut hasher = Folding(0x9e37_79b9_7f4a_7c15);
    value.hash(&mut hasher);
    hasher.finish()
}

/// Multiplies into 128 bits and folds the halves together, one word at a time.
struct Folding(u64);

impl Folding {
    fn fold(left: u64, right: u64) -> u64 {
        let product = u128::from(left) * u128::from(right);
        #[allow(clippy::cast_possible_truncation)] // both halves are used
        let (low, high) = (product as u64, (product >> 64) as u64);
        low ^ high
    }
}

impl Hasher for Folding {
    fn finish(&self) -> u64 {
        Folding::fold(self.0 ^ 0xd6e8_feb8_6659_fd93, 0xa076_1d64_78bd_642f)
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
        self.write_u64(bytes.len() as u64);
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = Folding::fold(self.0.rotate_left(23) ^ value, 0xe703_7ed1_a0b4_28db);
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    fn write_isize(&mut self, value: isize) {
        self.write_i64(value as i64);
    }
}
