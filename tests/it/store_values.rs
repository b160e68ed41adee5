//! The small values of the store: how they read, and what they share.
//!
//! Left out: what the store does with them, and their bytes.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use dkv::kv::{Blob, ClientId, EngineError, Key, Part, Refusal, Revision, Session, SessionChange, Sessions};
use dkv::raft::{Bytes, Index};

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[test]
fn names_are_short() {
    assert_eq!(format!("{:?} {:?}", Revision(4), ClientId(7)), "rev4 c7");
    assert_eq!(format!("{:?}", Key::from("a\n")), r#""a\n""#);
}

#[test]
fn what_went_wrong_reads_as_a_sentence() {
    let error = EngineError { reason: "no space is left".to_owned() };
    assert_eq!(error.to_string(), "the storage engine failed: no space is left");
    let refusals = [
        (Refusal::DuplicateKey, "duplicate key in transaction"),
        (Refusal::TooManyOperations, "too many operations in transaction"),
        (Refusal::KeyNotFound, "key not found"),
        (Refusal::ValueProvided, "value is provided although it is to be kept"),
        (Refusal::LeaseProvided, "lease is provided although it is to be kept"),
        (Refusal::SessionExpired, "session expired"),
        (Refusal::SequenceTooOld, "request is older than the last answered one of its session"),
    ];
    for (refusal, text) in refusals {
        assert_eq!(refusal.to_string(), text);
    }
}

#[test]
fn a_large_part_of_a_command_is_shared_and_a_small_one_copied() {
    let whole = Bytes::from("0123456789");
    let value_at = |start, end| {
        let value = Part { whole: &whole, start, end }.to_value();
        assert_eq!(value.as_slice(), &whole[start..end]);
        (value.as_slice().as_ptr() == whole[start..].as_ptr(), value)
    };
    for (start, end, is_shared) in [(0, 10, true), (5, 10, true), (1, 6, true), (0, 4, false), (6, 10, false)]
    {
        assert_eq!(value_at(start, end).0, is_shared, "{start}..{end}");
    }
}

#[test]
fn bytes_of_a_test_are_blobs_too() {
    let blob = b"abc".as_slice();
    assert_eq!(Blob::as_slice(&blob), b"abc");
    assert_eq!(blob.to_value().as_slice(), b"abc");
    assert_eq!(blob.to_key(), Key::from("abc"));
}

#[test]
fn a_key_is_its_content() {
    let long = "a key of more than twenty-two bytes";
    for content in ["", "k", "twenty-two bytes exact", long] {
        assert_eq!(Key::from(content).as_slice(), content.as_bytes());
        assert_eq!(hash(&Key::from(content)), hash(&Key::from(content)));
    }
    assert_ne!(hash(&Key::from("k")), hash(&Key::from("l")));
}

#[test]
fn a_change_of_sessions_says_whose() {
    let client = ClientId(7);
    let open = SessionChange::Open { client };
    assert_eq!(open.client(), client);
    assert_eq!(SessionChange::Use { client }.client(), client);
    assert_eq!(SessionChange::Close { client }.client(), client);
}

#[test]
fn a_table_with_a_session_is_not_empty() {
    let mut sessions = Sessions::new(4);
    assert!(sessions.is_empty());
    assert!(sessions.insert(ClientId(1), Session { last_used: Index(1), answered: None }));
    assert!(!sessions.is_empty());
    assert_eq!(sessions.len(), 1);
}
