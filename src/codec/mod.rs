//! Canonical bytes: one encoding for the wire, the log and the hashes.
//!
//! # What canonical means here
//!
//! Every value has exactly one encoding and every byte string decodes to at most one value, so equal
//! values give equal bytes and a checksum of the bytes is a checksum of the value. The rules are few:
//!
//! * Integers are little-endian and of fixed width; there are no variable-length integers, of which
//!   one value would have several.
//! * A boolean and the mark of an [`Option`] are one byte, 0 or 1; any other byte is refused.
//! * A byte string, a list and a set start with their length as `u32`. The elements of a set and the
//!   keys of a map ascend strictly; anything else is refused and not sorted into shape.
//! * An enumeration starts with a one-byte tag. Tags are never reused.
//! * Nothing is padded and nothing may follow: [`from_bytes`] refuses trailing bytes.
//!
//! # Hostile bytes
//!
//! Decoding is total. Any input gives a value or a [`DecodeError`] that says where and why; nothing
//! panics. Memory is bounded by the size of the input: a length is compared with the bytes that are
//! left before anything is reserved ([`Reader::counted`]). Recursion is bounded by the types: no type
//! with a [`Wire`] implementation contains itself.
//!
//! # What this leaves out
//!
//! Framing and checksums of records belong to whoever stores or sends them; [`crc32c`] is here for
//! them. Compression and encryption are left out. Versions are explicit where bytes outlive a process
//! (see [`kv`]); the primitives below have none and never change. The byte formats of the exams are
//! separate projections and do not use this module.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::fmt;

use crate::raft::types::{Bytes, EntryId, Index, NodeId, RequestId, Term};

pub mod kv;
pub mod packet;
pub mod raft;

/// Why bytes were refused. The reader that returned it must not be used further; the value under
/// construction is lost and nothing else has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DecodeError {
    /// Where the refused item starts, in bytes from the start of the input.
    pub offset: usize,
    /// What is wrong there, as half a sentence for a person.
    pub reason: &'static str,
}

impl DecodeError {
    /// The error that refuses the item at `offset`.
    #[must_use]
    pub fn new(offset: usize, reason: &'static str) -> DecodeError {
        DecodeError { offset, reason }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}: {}", self.offset, self.reason)
    }
}

impl core::error::Error for DecodeError {}

/// Reads values off the front of borrowed bytes. Every method that fails leaves the reader where the
/// refused item starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reader<'a> {
    rest: &'a [u8],
    length: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes, length: bytes.len() }
    }

    /// How many bytes have been read.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.length - self.rest.len()
    }

    /// How many bytes are left.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The error that refuses the next item.
    #[must_use]
    pub fn error(&self, reason: &'static str) -> DecodeError {
        DecodeError::new(self.offset(), reason)
    }

    /// The next `count` bytes as they are. Fails if fewer are left.
    #[inline]
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        match self.rest.split_at_checked(count) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(self.error("the input ends too early")),
        }
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        match self.rest.split_first_chunk::<N>() {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(*taken)
            }
            None => Err(self.error("the input ends too early")),
        }
    }

    /// One byte.
    #[inline]
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.array::<1>()?[0])
    }

    /// Two bytes, little-endian.
    #[inline]
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// Four bytes, little-endian.
    #[inline]
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Eight bytes, little-endian.
    #[inline]
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Eight bytes, little-endian two's complement.
    #[inline]
    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    /// One byte, which must be 0 or 1.
    #[inline]
    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        let start = self.rest;
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => {
                self.rest = start;
                Err(self.error("a flag is neither 0 nor 1"))
            }
        }
    }

    /// The byte of an enumeration's variant, which must be below `variants`.
    #[inline]
    pub fn tag(&mut self, variants: u8) -> Result<u8, DecodeError> {
        let start = self.rest;
        let tag = self.u8()?;
        if tag < variants {
            return Ok(tag);
        }
        self.rest = start;
        Err(self.error("unknown tag"))
    }

    /// A `u32` length and that many bytes, borrowed from the input.
    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let start = self.rest;
        let length = self.u32()? as usize;
        match self.rest.split_at_checked(length) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => {
                self.rest = start;
                Err(self.error("a byte string is longer than the rest of the input"))
            }
        }
    }

    /// A flag and, if it is set, what `value` reads.
    #[inline]
    pub fn option<T>(
        &mut self,
        value: impl FnOnce(&mut Reader<'a>) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        if self.bool()? { value(self).map(Some) } else { Ok(None) }
    }

    /// A `u32` count of items that take at least `min_item_bytes` each (0 counts as 1). Fails if so
    /// many could not follow, so that the caller may loop, and reserve in proportion to the input,
    /// without a further check.
    #[inline]
    pub fn counted(&mut self, min_item_bytes: usize) -> Result<usize, DecodeError> {
        let start = self.rest;
        let count = self.u32()? as usize;
        if count <= self.rest.len() / min_item_bytes.max(1) {
            return Ok(count);
        }
        self.rest = start;
        Err(self.error("a count is larger than the rest of the input allows"))
    }

    /// Ends the reading. Fails if bytes are left.
    #[inline]
    pub fn finish(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.error("bytes follow the end of the value")) }
    }
}

/// Appends primitives to bytes: the exact inverse of [`Reader`], method by method.
pub trait Writer {
    /// One byte.
    fn put_u8(&mut self, value: u8);
    /// Two bytes, little-endian.
    fn put_u16(&mut self, value: u16);
    /// Four bytes, little-endian.
    fn put_u32(&mut self, value: u32);
    /// Eight bytes, little-endian.
    fn put_u64(&mut self, value: u64);
    /// Eight bytes, little-endian two's complement.
    fn put_i64(&mut self, value: i64);
    /// One byte, 0 or 1.
    fn put_bool(&mut self, value: bool);
    /// The length of a list or byte string. Panics above `u32::MAX`: such a value cannot be encoded,
    /// and what enters the system is limited to far less.
    fn put_count(&mut self, count: usize);
    /// A `u32` length and the bytes.
    fn put_bytes(&mut self, bytes: &[u8]);
}

impl Writer for Vec<u8> {
    fn put_u8(&mut self, value: u8) {
        self.push(value);
    }

    fn put_u16(&mut self, value: u16) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn put_u32(&mut self, value: u32) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn put_u64(&mut self, value: u64) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn put_i64(&mut self, value: i64) {
        self.extend_from_slice(&value.to_le_bytes());
    }

    fn put_bool(&mut self, value: bool) {
        self.push(u8::from(value));
    }

    fn put_count(&mut self, count: usize) {
        self.put_u32(u32::try_from(count).expect("a list or byte string has fewer than 2^32 elements"));
    }

    fn put_bytes(&mut self, bytes: &[u8]) {
        self.put_count(bytes.len());
        self.extend_from_slice(bytes);
    }
}

/// A type with a canonical encoding: `decode` accepts exactly what `encode` writes.
pub trait Wire: Sized {
    /// The fewest bytes an encoding takes, at least 1; bounds the counts of lists of this type.
    const MIN_BYTES: usize = 1;

    /// Appends the encoding to `out`.
    fn encode(&self, out: &mut Vec<u8>);

    /// Reads one value off the front. Fails on anything that `encode` would not have written.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;
}

/// The encoding of `value` alone.
#[must_use]
pub fn to_bytes<T: Wire>(value: &T) -> Vec<u8> {
    let mut out = Vec::new();
    value.encode(&mut out);
    out
}

/// The value that `bytes`, all of them, encode.
pub fn from_bytes<T: Wire>(bytes: &[u8]) -> Result<T, DecodeError> {
    let mut reader = Reader::new(bytes);
    let value = T::decode(&mut reader)?;
    reader.finish()?;
    Ok(value)
}

/// How many elements a list reserves up front. Beyond it the list grows with what was really decoded,
/// so that memory follows the input even where an element is much larger in memory than in bytes.
const RESERVED_ITEMS_MAX: usize = 1024;

macro_rules! wire_integer {
    ($($type:ty: $put:ident, $get:ident;)*) => {$(
        impl Wire for $type {
            const MIN_BYTES: usize = size_of::<$type>();

            #[inline]
            fn encode(&self, out: &mut Vec<u8>) {
                out.$put(*self);
            }

            #[inline]
            fn decode(reader: &mut Reader<'_>) -> Result<$type, DecodeError> {
                reader.$get()
            }
        }
    )*};
}

wire_integer! {
    u8: put_u8, u8;
    u16: put_u16, u16;
    u32: put_u32, u32;
    u64: put_u64, u64;
    i64: put_i64, i64;
    bool: put_bool, bool;
}

macro_rules! wire_number {
    ($($type:ident),*) => {$(
        impl Wire for $type {
            const MIN_BYTES: usize = 8;

            #[inline]
            fn encode(&self, out: &mut Vec<u8>) {
                out.put_u64(self.0);
            }

            #[inline]
            fn decode(reader: &mut Reader<'_>) -> Result<$type, DecodeError> {
                reader.u64().map($type)
            }
        }
    )*};
}

wire_number!(NodeId, Term, Index, RequestId);

impl Wire for EntryId {
    const MIN_BYTES: usize = 16;

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        self.term.encode(out);
        self.index.encode(out);
    }

    #[inline]
    fn decode(reader: &mut Reader<'_>) -> Result<EntryId, DecodeError> {
        Ok(EntryId { term: Term::decode(reader)?, index: Index::decode(reader)? })
    }
}

impl Wire for Bytes {
    const MIN_BYTES: usize = 4;

    #[inline]
    fn encode(&self, out: &mut Vec<u8>) {
        out.put_bytes(self);
    }

    #[inline]
    fn decode(reader: &mut Reader<'_>) -> Result<Bytes, DecodeError> {
        reader.bytes().map(Bytes::from)
    }
}

impl<T: Wire> Wire for Option<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        out.put_bool(self.is_some());
        if let Some(value) = self {
            value.encode(out);
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Option<T>, DecodeError> {
        reader.option(T::decode)
    }
}

impl<T: Wire> Wire for Vec<T> {
    const MIN_BYTES: usize = 4;

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_count(self.len());
        for item in self {
            item.encode(out);
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Vec<T>, DecodeError> {
        let count = reader.counted(T::MIN_BYTES)?;
        let mut items = Vec::with_capacity(count.min(RESERVED_ITEMS_MAX));
        for _ in 0..count {
            items.push(T::decode(reader)?);
        }
        Ok(items)
    }
}

impl<T: Wire + Ord> Wire for BTreeSet<T> {
    const MIN_BYTES: usize = 4;

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_count(self.len());
        for item in self {
            item.encode(out);
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<BTreeSet<T>, DecodeError> {
        let count = reader.counted(T::MIN_BYTES)?;
        let mut items = BTreeSet::new();
        for _ in 0..count {
            let offset = reader.offset();
            let item = T::decode(reader)?;
            if items.last().is_some_and(|last| *last >= item) {
                return Err(DecodeError::new(offset, "the elements of a set do not ascend"));
            }
            items.insert(item);
        }
        Ok(items)
    }
}

/// The polynomial, bit-reversed, because the algorithm shifts to the right.
const POLYNOMIAL_REFLECTED: u32 = 0x82F6_3B78;

/// `TABLES[k][b]` is the remainder of byte `b` followed by `k` zero bytes, so that eight bytes can be
/// folded in one round of independent look-ups ("slicing by eight").
static TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut remainder = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            let low = remainder & 1;
            remainder = (remainder >> 1) ^ (low * POLYNOMIAL_REFLECTED);
            bit += 1;
        }
        tables[0][byte] = remainder;
        byte += 1;
    }
    let mut zeros = 1;
    while zeros < 8 {
        let mut byte = 0;
        while byte < 256 {
            let shorter = tables[zeros - 1][byte];
            tables[zeros][byte] = (shorter >> 8) ^ tables[0][(shorter & 0xff) as usize];
            byte += 1;
        }
        zeros += 1;
    }
    tables
}

/// A CRC-32C (Castagnoli) under construction: polynomial 0x1EDC6F41, reflected, all ones at the start
/// and inverted at the end, as in RFC 3720 §B.4. How the input is split into pieces does not matter.
/// It finds damage; it is no protection against an adversary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Crc32c {
    inverted: u32,
}

impl Default for Crc32c {
    fn default() -> Crc32c {
        Crc32c::new()
    }
}

impl Crc32c {
    /// The checksum of nothing so far.
    #[must_use]
    pub const fn new() -> Crc32c {
        Crc32c { inverted: u32::MAX }
    }

    /// With `bytes` appended to the input.
    #[must_use]
    pub fn update(self, bytes: &[u8]) -> Crc32c {
        let mut remainder = self.inverted;
        let (blocks, tail) = bytes.as_chunks::<8>();
        for block in blocks {
            let [a, b, c, d, e, f, g, h] = *block;
            let [a, b, c, d] = (u32::from_le_bytes([a, b, c, d]) ^ remainder).to_le_bytes();
            let bytes = [a, b, c, d, e, f, g, h];
            remainder = 0;
            for (table, byte) in TABLES.iter().rev().zip(bytes) {
                remainder ^= table[usize::from(byte)];
            }
        }
        for byte in tail {
            remainder = (remainder >> 8) ^ TABLES[0][usize::from(remainder as u8 ^ byte)];
        }
        Crc32c { inverted: remainder }
    }

    /// The checksum.
    #[must_use]
    pub const fn finish(self) -> u32 {
        !self.inverted
    }
}

/// The CRC-32C of `bytes`.
#[must_use]
pub fn crc32c(bytes: &[u8]) -> u32 {
    Crc32c::new().update(bytes).finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec;

    /// Encodes, compares with the expected bytes, decodes, and refuses every truncation and a tail.
    fn pins<T: Wire + PartialEq + fmt::Debug>(value: &T, expected: &[u8]) {
        let mut bytes = to_bytes(value);
        assert_eq!(bytes, expected, "{value:?}");
        assert!(bytes.len() >= T::MIN_BYTES, "{value:?}");
        assert_eq!(from_bytes::<T>(&bytes).as_ref(), Ok(value));
        for length in 0..bytes.len() {
            assert!(from_bytes::<T>(&bytes[..length]).is_err(), "{value:?} cut to {length}");
        }
        bytes.push(0);
        assert_eq!(
            from_bytes::<T>(&bytes),
            Err(DecodeError::new(expected.len(), "bytes follow the end of the value"))
        );
    }

    #[test]
    fn every_primitive_has_its_bytes() {
        pins(&7u8, &[7]);
        pins(&0x0102u16, &[2, 1]);
        pins(&0x0102_0304u32, &[4, 3, 2, 1]);
        pins(&0x0102_0304_0506_0708u64, &[8, 7, 6, 5, 4, 3, 2, 1]);
        pins(&-2i64, &[0xfe, 255, 255, 255, 255, 255, 255, 255]);
        pins(&true, &[1]);
        pins(&Bytes::from("ab"), &[2, 0, 0, 0, b'a', b'b']);
        pins(&Some(5u8), &[1, 5]);
        pins(&None::<u8>, &[0]);
        pins(&vec![1u16, 2], &[2, 0, 0, 0, 1, 0, 2, 0]);
        pins(&BTreeSet::from([3u8, 1]), &[2, 0, 0, 0, 1, 3]);
        pins(&NodeId(9), &[9, 0, 0, 0, 0, 0, 0, 0]);
        let id = EntryId::new(Term(1), Index(2));
        pins(&id, &[1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn other_encodings_of_a_value_are_refused_where_they_start() {
        assert_eq!(from_bytes::<bool>(&[2]), Err(DecodeError::new(0, "a flag is neither 0 nor 1")));
        assert_eq!(from_bytes::<Option<u8>>(&[9, 9]).expect_err("refused").offset, 0);
        for unsorted in [[2, 0, 0, 0, 3, 1], [2, 0, 0, 0, 3, 3]] {
            assert_eq!(
                from_bytes::<BTreeSet<u8>>(&unsorted),
                Err(DecodeError::new(5, "the elements of a set do not ascend"))
            );
        }
    }

    #[test]
    fn a_length_is_checked_before_memory_is_reserved() {
        let hostile = [255, 255, 255, 255, 0, 0, 0, 0];
        assert_eq!(from_bytes::<Vec<u64>>(&hostile).expect_err("refused").offset, 0);
        assert_eq!(from_bytes::<Bytes>(&hostile).expect_err("refused").offset, 0);
        let mut reader = Reader::new(&[2, 0, 0, 0, 1, 1, 1]);
        assert!(reader.clone().counted(2).is_err(), "two items of two bytes need four bytes");
        assert_eq!(reader.counted(0), Ok(2));
        assert_eq!(reader.remaining(), 3);
    }

    #[test]
    fn a_failed_read_leaves_the_reader_at_the_item() {
        let mut reader = Reader::new(&[7, 5, 0, 0, 0, 1]);
        assert_eq!(reader.u8(), Ok(7));
        assert_eq!(reader.bytes().expect_err("refused").offset, 1);
        assert_eq!(reader.u64().expect_err("refused").offset, 1);
        assert_eq!(reader.tag(5).expect_err("refused").to_string(), "byte 1: unknown tag");
        assert_eq!(reader.tag(6), Ok(5));
        assert_eq!(reader.take(3), Ok(&[0, 0, 0][..]));
        assert_eq!(reader.finish().expect_err("refused").offset, 5);
    }

    #[test]
    fn crc32c_has_the_published_values() {
        assert_eq!(crc32c(b""), 0);
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
        // RFC 3720 §B.4, as little-endian words.
        assert_eq!(crc32c(&[0; 32]), 0x8A91_36AA);
        assert_eq!(crc32c(&[0xff; 32]), 0x62A8_AB43);
        let ascending: [u8; 32] = core::array::from_fn(|i| i as u8);
        assert_eq!(crc32c(&ascending), 0x46DD_794E);
    }

    #[test]
    fn crc32c_of_pieces_of_any_size_is_the_checksum_of_the_whole() {
        let bytes: [u8; 67] = core::array::from_fn(|i| (i * 37) as u8);
        for split in 0..=bytes.len() {
            let (front, back) = bytes.split_at(split);
            assert_eq!(Crc32c::new().update(front).update(back).finish(), crc32c(&bytes), "{split}");
        }
    }
}
