//! A shared value that knows the hash of its content, and tables that hold every such value once.
//!
//! A state of the model is a few of these. Copying it copies pointers, hashing it writes one word per
//! part, and a part is hashed once, when somebody asks. Equality and hash are those of the
//! content and never of who came first, so that two states are equal exactly if everything in them is,
//! in another thread and another run too.
//!
//! A [`Table`] makes content and hash the same thing: it compares what it is given with what it has
//! under that hash, and stops the run if they differ. Within one table a hash may therefore stand for the
//! value, which is what [`memo`](crate::memo) builds its keys of.
//!
//! Left out: forgetting. A table holds what it was ever given until it is dropped.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// A value behind a shared pointer, with its content hash.
pub struct Interned<T>(Arc<Shared<T>>);

struct Shared<T> {
    /// Of the content; 0 until somebody asks.
    hash: AtomicU64,
    /// The hashes of its images under all renamings, where [`symmetry`](crate::symmetry) asks for them. They
    /// follow from the value and are no part of it.
    orbit: OnceLock<Orbit>,
    value: T,
}

struct Orbit {
    hashes: Box<[u64]>,
    least: u64,
}

impl<T: Hash> Interned<T> {
    /// Shares the value.
    pub fn new(value: T) -> Interned<T> {
        Interned(Arc::new(Shared { hash: AtomicU64::new(0), orbit: OnceLock::new(), value }))
    }

    /// The hash of the content.
    #[must_use]
    pub fn content_hash(&self) -> u64 {
        match self.0.hash.load(Ordering::Relaxed) {
            0 => {
                // Whoever asks at the same time stores the same.
                let hash = content_hash(&self.0.value);
                self.0.hash.store(hash, Ordering::Relaxed);
                hash
            }
            hash => hash,
        }
    }
}

impl<T> Interned<T> {
    /// Notes the hashes of its images. Returns whether they are those that were noted before.
    pub(crate) fn has_orbit(&self, hashes: impl Iterator<Item = u64>) -> bool {
        let hashes: Box<[u64]> = hashes.collect();
        let least = hashes.iter().copied().min().expect("a value is an image of itself");
        let known = self.0.orbit.get_or_init(|| Orbit { hashes: hashes.clone(), least });
        known.hashes == hashes
    }

    /// Whether its images are known.
    pub(crate) fn is_related(&self) -> bool {
        self.0.orbit.get().is_some()
    }

    fn orbit(&self) -> &Orbit {
        self.0.orbit.get().expect("images are noted when a value is first made")
    }

    /// The hash of its image under the renaming of this number.
    pub(crate) fn image_hash(&self, renaming: usize) -> u64 {
        self.orbit().hashes[renaming]
    }

    /// The least hash of all its images, which is that of each of them.
    pub(crate) fn rank(&self) -> u64 {
        self.orbit().least
    }
}

impl<T> Clone for Interned<T> {
    fn clone(&self) -> Interned<T> {
        Interned(Arc::clone(&self.0))
    }
}

impl<T> Deref for Interned<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T: PartialEq> PartialEq for Interned<T> {
    fn eq(&self, other: &Interned<T>) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.value == other.0.value
    }
}

impl<T: Eq> Eq for Interned<T> {}

impl<T: Hash> Hash for Interned<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.content_hash());
    }
}

impl<T: fmt::Debug> fmt::Debug for Interned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.value.fmt(f)
    }
}

/// A map whose keys are few words, hashed the same way in every run.
pub(crate) type Map<K, V> = HashMap<K, V, BuildHasherDefault<Folding>>;

/// Every value of a kind, once.
pub struct Table<T>(Map<u64, Interned<T>>);

impl<T> Default for Table<T> {
    fn default() -> Table<T> {
        Table(Map::default())
    }
}

impl<T: Hash> From<T> for Interned<T> {
    fn from(value: T) -> Interned<T> {
        Interned::new(value)
    }
}

impl<T: Hash + Eq> Table<T> {
    /// The one value of this content.
    ///
    /// # Panics
    /// Another content has the same hash, or it is the hash that stands for nothing: from here on states
    /// would be mistaken for each other.
    pub fn keep(&mut self, value: Interned<T>) -> Interned<T> {
        assert!(value.content_hash() != 0, "0 is the hash of what is not there");
        match self.0.entry(value.content_hash()) {
            Entry::Occupied(known) => {
                assert!(*known.get() == value, "two values have one content hash: nothing can be concluded");
                known.get().clone()
            }
            Entry::Vacant(free) => free.insert(value).clone(),
        }
    }

    /// The value of a hash.
    ///
    /// # Panics
    /// There is none.
    pub(crate) fn named(&self, hash: u64) -> Interned<T> {
        self.0[&hash].clone()
    }

    /// How many values there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// The hash of a value's content, the same on every machine and in every run.
pub(crate) fn content_hash<T: Hash + ?Sized>(value: &T) -> u64 {
    let mut hasher = Folding::default();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Multiplies into 128 bits and folds the halves together, one word at a time.
pub(crate) struct Folding(u64);

impl Default for Folding {
    fn default() -> Folding {
        Folding(0x9e37_79b9_7f4a_7c15)
    }
}

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
