//! The consensus core.
mod display;
pub mod durable;
pub mod invariants;
pub mod log;
pub mod message;
pub mod node;
pub mod progress;
pub mod quorum;
pub mod ready;
pub mod rules;
pub mod types;

pub use durable::{Durable, Purge, Write};
pub use invariants::{Invariant, Violation, Vitals};
pub use message::{Envelope, Message, MessageKind};
pub use node::{Node, Role};
pub use ready::{Accepted, Committed, Input, Leadership, Limits, MemberChange, Ready, Refusal, Timer, TimerSet};
pub use rules::{Raft, Rules};
pub use types::{
    Bytes, Command, Configuration, Entry, EntryId, HardState, Index, NodeId, Payload, RequestId, SnapshotMeta,
    Term,
};
