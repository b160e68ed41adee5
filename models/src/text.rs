//! Packets and entries in a few characters, for people who read states.

use dkv::raft::{Entry, Message, Payload};
use dkv::replica::Forward;

use crate::letters::{self, Command};
use crate::state::Packet;

/// A packet: `Append(0@0 +[1@1=a] c0)`.
pub(crate) fn packet(packet: &Packet) -> String {
    match packet {
        Packet::Raft { envelope, .. } => message(&envelope.message),
        Packet::Forward { forward: Forward::Propose { request, command, .. }, .. } => {
            format!("Forward({request:?} {})", letters::text(*command))
        }
        Packet::Forward { forward: Forward::Answer { request, outcome }, .. } => match outcome {
            Ok((id, _)) => format!("Answer({request:?} applied {id})"),
            Err(failure) => format!("Answer({request:?} {failure:?})"),
        },
    }
}

fn message(message: &Message<Command>) -> String {
    match message {
        Message::AppendEntries { prev, entries: new, leader_commit } => {
            format!("Append({prev} +{} c{leader_commit})", entries(new))
        }
        Message::AppendAccepted { matched } => format!("Accepted({matched})"),
        Message::AppendRefused { prev, conflict_index, .. } => {
            format!("Refused({prev} try {conflict_index})")
        }
        Message::Heartbeat { commit, .. } => format!("Heartbeat(c{commit})"),
        Message::HeartbeatResponse { .. } => "HeartbeatResponse".to_owned(),
        other => format!("{other:?}"),
    }
}

/// Entries: `[1@1=a 2@1=b]`.
pub(crate) fn entries<'a>(entries: impl IntoIterator<Item = &'a Entry<Command>>) -> String {
    let entry = |entry: &Entry<Command>| match &entry.payload {
        Payload::Command(command) => format!("{}={}", entry.id, letters::text(*command)),
        Payload::Noop => format!("{}=noop", entry.id),
        Payload::Configuration(members) => format!("{}={members}", entry.id),
    };
    let list: Vec<String> = entries.into_iter().map(entry).collect();
    format!("[{}]", list.join(" "))
}
