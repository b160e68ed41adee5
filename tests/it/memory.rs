//! An entry's payload is stored once per node, however many followers and messages there are.

use dkv::raft::{Bytes, Configuration, Durable, Entry, Input, Limits, Message, Node, NodeId, Payload, Ready};

fn payload(entry: &Entry<Bytes>) -> *const u8 {
    match &entry.payload {
        Payload::Command(command) => command.as_slice().as_ptr(),
        Payload::Noop | Payload::Configuration(_) => panic!("only commands have a payload"),
    }
}

/// Where the payloads of everything that leaves in `ready` lie.
fn payloads(ready: &Ready<Bytes>) -> Vec<*const u8> {
    let written = ready.write.iter().flat_map(|write| &write.entries);
    let sent = ready.messages.iter().flat_map(|envelope| match &envelope.message {
        Message::AppendEntries { entries, .. } => &entries[..],
        _ => &[],
    });
    written.chain(sent).map(payload).collect()
}

#[test]
fn a_payload_lies_once_in_memory_at_the_leader() {
    let genesis = Durable::genesis(NodeId(0), Configuration::of_voters((0..5).map(NodeId)));
    let (mut leader, _) = Node::<Bytes>::bootstrap(NodeId(0), Limits::default(), &genesis);
    let command = Bytes::from(&[7; 128][..]);
    let at = command.as_slice().as_ptr();
    let ready = leader.step(Input::Propose { commands: vec![command], expected_term: None });
    let everywhere = payloads(&ready);
    assert_eq!(everywhere.len(), 5, "one write and four followers: {ready:?}");
    assert!(everywhere.iter().all(|other| *other == at), "a copy was made");
    assert!(leader.log().entries().all(|entry| payload(entry) == at), "the log holds a copy");
}

#[test]
fn a_payload_lies_once_in_memory_at_a_follower() {
    let genesis = Durable::genesis(NodeId(0), Configuration::of_voters((0..3).map(NodeId)));
    let (mut leader, _) = Node::<Bytes>::bootstrap(NodeId(0), Limits::default(), &genesis);
    let (mut follower, _) = Node::<Bytes>::bootstrap(NodeId(1), Limits::default(), &genesis);
    let command = Bytes::from(&[7; 128][..]);
    let at = command.as_slice().as_ptr();
    let sent = leader.step(Input::Propose { commands: vec![command], expected_term: None }).messages;
    let append = sent.into_iter().find(|envelope| envelope.to == NodeId(1)).expect("sent to every follower");
    let ready = follower.step(Input::Message(append));
    assert_eq!(payloads(&ready), [at], "the record for the disk shares the message's payload");
    assert!(follower.log().entries().all(|entry| payload(entry) == at), "so does the log");
}
