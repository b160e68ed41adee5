//! Any bytes, decoded as every type that comes from outside. What is accepted has no other encoding, and
//! the consensus core takes it without a panic.
//!
//! The first byte of the input chooses the type, the rest are its bytes.
#![no_main]

use dkv::codec::{Wire, from_bytes, to_bytes};
use dkv::kv;
use dkv::raft::message::Envelope;
use dkv::raft::ready::{Input, Limits, Timer};
use dkv::raft::types::{Bytes, Configuration, Index, NodeId};
use dkv::raft::{Durable, Node, Write};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((choice, bytes)) = input.split_first() else { return };
    match choice % 8 {
        0 | 1 => drop(decode::<Envelope<Bytes>>(bytes).map(newcomer_takes)),
        2 => drop(decode::<Envelope<u8>>(bytes)),
        3 => drop(decode::<Write<Bytes>>(bytes)),
        4 => drop(decode::<Durable<Bytes>>(bytes).map(node_starts)),
        5 => drop(decode::<kv::Command>(bytes)),
        6 => drop(decode::<kv::Response>(bytes)),
        _ => {
            drop(decode::<kv::Snapshot>(bytes));
            drop(decode::<Configuration>(bytes));
        }
    }
});

/// What `bytes` mean, if anything. Nothing else means the same.
fn decode<T: Wire>(bytes: &[u8]) -> Option<T> {
    match from_bytes::<T>(bytes) {
        Ok(value) => {
            assert_eq!(to_bytes(&value), bytes, "a second encoding of the same value");
            Some(value)
        }
        Err(error) => {
            assert!(error.offset <= bytes.len(), "{error} of {}", bytes.len());
            None
        }
    }
}

/// A node without a log takes any message once and twice, and campaigns afterwards if it may.
fn newcomer_takes(envelope: Envelope<Bytes>) {
    let disk = Durable::empty();
    let (mut node, _) = Node::<Bytes>::restore(envelope.to, Limits::default(), &disk, Index::ZERO);
    for input in [Input::Message(envelope.clone()), Input::Message(envelope), Input::Timeout(Timer::Election)]
    {
        let _ = node.step(input);
    }
}

/// A node starts from any disk on which the store has reached the snapshot, and campaigns if it may.
fn node_starts(disk: Durable<Bytes>) {
    let applied = disk.snapshot.last.index;
    let (mut node, _) = Node::<Bytes>::restore(NodeId(0), Limits::default(), &disk, applied);
    let _ = node.step(Input::Timeout(Timer::Election));
}
