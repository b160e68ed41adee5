//! Keys as the store keeps them.

use alloc::sync::Arc;
use core::borrow::Borrow;
use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::ops::Deref;

use crate::raft::types::Bytes;

/// The longest key that is kept in place, in bytes: the most that fits beside its length and the
/// variant into the 24 bytes that a longer one takes as well.
const SHORT_BYTES_MAX: usize = 22;

const _: () = assert!(size_of::<Key>() == 24);

/// A key. A short one lies in place, so that a search in an ordered map compares neighbours instead of
/// following a pointer for each of them; a longer one is shared. Order, equality and hash are those of
/// the content.
#[derive(Clone)]
pub struct Key(Form);

#[derive(Clone)]
enum Form {
    /// The length, and the content followed by zeros.
    Short(u8, [u8; SHORT_BYTES_MAX]),
    /// Longer than what `Short` can hold.
    Long(Arc<[u8]>),
}

impl Key {
    fn short(content: &[u8]) -> Option<Key> {
        let mut padded = [0; SHORT_BYTES_MAX];
        padded.get_mut(..content.len())?.copy_from_slice(content);
        Some(Key(Form::Short(content.len() as u8, padded)))
    }

    /// The content.
    #[must_use]
    #[inline]
    pub fn as_slice(&self) -> &[u8] {
        match &self.0 {
            Form::Short(length, padded) => &padded[..usize::from(*length)],
            Form::Long(bytes) => bytes,
        }
    }
}

impl From<&[u8]> for Key {
    fn from(content: &[u8]) -> Key {
        Key::short(content).unwrap_or_else(|| Key(Form::Long(Arc::from(content))))
    }
}

impl From<&str> for Key {
    fn from(content: &str) -> Key {
        Key::from(content.as_bytes())
    }
}

impl From<&Bytes> for Key {
    fn from(content: &Bytes) -> Key {
        Key::from(content.as_slice())
    }
}

impl Deref for Key {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl Borrow<[u8]> for Key {
    #[inline]
    fn borrow(&self) -> &[u8] {
        self.as_slice()
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Key) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    #[inline]
    fn cmp(&self, other: &Key) -> Ordering {
        match (&self.0, &other.0) {
            (Form::Short(length, padded), Form::Short(other_length, other_padded)) => {
                compare_padded(padded, other_padded).then(length.cmp(other_length))
            }
            _ => self.as_slice().cmp(other.as_slice()),
        }
    }
}

/// The order of two contents of at most 22 bytes that are padded with zeros, as words: a search spends its
/// time here. Where one content is the other and more zeros, the caller's lengths decide.
#[inline]
fn compare_padded(a: &[u8; SHORT_BYTES_MAX], b: &[u8; SHORT_BYTES_MAX]) -> Ordering {
    let words = |padded: &[u8; SHORT_BYTES_MAX]| {
        let word = |at: usize| u64::from_be_bytes(core::array::from_fn(|i| padded[at + i]));
        // The third overlaps the second, which compares equal by then.
        (word(0), word(8), word(SHORT_BYTES_MAX - 8))
    };
    words(a).cmp(&words(b))
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_slice().hash(state);
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.as_slice().escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn keys_of_every_length_are_ordered_as_their_bytes() {
        let contents: Vec<Vec<u8>> = (0..=SHORT_BYTES_MAX + 2)
            .flat_map(|length| [0u8, 1, 255].map(|byte| alloc::vec![byte; length]))
            .collect();
        for a in &contents {
            let key = Key::from(a.as_slice());
            assert_eq!(key.as_slice(), a.as_slice());
            assert_eq!(Key::from(&Bytes::from(a.as_slice())), key);
            for b in &contents {
                let other = Key::from(b.as_slice());
                assert_eq!(key.cmp(&other), a.cmp(b), "{key:?} and {other:?}");
                assert_eq!(key == other, a == b, "{key:?} and {other:?}");
            }
        }
    }
}
