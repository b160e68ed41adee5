//! What happened, as dense lines and as one running hash: equal seeds, equal traces.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::hash::{Hash, Hasher};

use crate::raft::{EntryId, Index, MessageKind, NodeId, RequestId, Timer, Vitals};

/// One thing that happened in a cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event {
    /// A member started.
    Start,
    /// A message arrived from this member.
    Deliver(NodeId, MessageKind),
    /// A forwarded request or its answer arrived from this member.
    Forward(NodeId),
    /// This many writes became durable.
    Sync(u32),
    /// A timer fired.
    Timeout(Timer),
    /// A client asked for something.
    Request,
    /// A client gave up on a request.
    Cancel(RequestId),
    /// The state machine applied up to here.
    Applied(Index),
    /// An operator asked for a snapshot.
    Compact,
    /// A snapshot up to here was written.
    SnapshotWritten(EntryId),
    /// An arriving snapshot was installed, or rejected.
    SnapshotArrived(EntryId, bool),
    /// The member crashed, keeping this many unsynced writes.
    Crash(usize),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Start => f.write_str("start"),
            Event::Deliver(from, kind) => write!(f, "{kind:?} from {from}"),
            Event::Forward(from) => write!(f, "request of {from}"),
            Event::Sync(count) => write!(f, "sync {count}"),
            Event::Timeout(timer) => write!(f, "timeout {timer:?}"),
            Event::Request => f.write_str("request"),
            Event::Cancel(request) => write!(f, "cancel {request:?}"),
            Event::Applied(index) => write!(f, "applied {index}"),
            Event::Compact => f.write_str("compact"),
            Event::SnapshotWritten(last) => write!(f, "snapshot written {last}"),
            Event::SnapshotArrived(last, true) => write!(f, "snapshot installed {last}"),
            Event::SnapshotArrived(last, false) => write!(f, "snapshot rejected {last}"),
            Event::Crash(kept) => write!(f, "crash keeping {kept}"),
        }
    }
}

/// The running hash of a run, and its lines if they are wanted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Trace {
    hash: Fnv,
    steps: u64,
    lines: Option<Vec<String>>,
}

impl Trace {
    pub(super) fn new(with_lines: bool) -> Trace {
        Trace { hash: Fnv::default(), steps: 0, lines: with_lines.then(Vec::new) }
    }

    pub(super) fn record(
        &mut self,
        time_ms: u64,
        id: NodeId,
        event: &Event,
        after: Option<Vitals>,
        line: impl FnOnce() -> String,
    ) {
        self.steps += 1;
        (time_ms, id, event, after).hash(&mut self.hash);
        if let Some(lines) = &mut self.lines {
            lines.push(line());
        }
    }

    /// FNV-1a over every event so far and the state it led to.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hash.finish()
    }

    /// How many events there were.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The lines since they were last taken, if they are recorded.
    pub fn take_lines(&mut self) -> Vec<String> {
        self.lines.as_mut().map(core::mem::take).unwrap_or_default()
    }
}

/// FNV-1a, 64 bits, a word at a time where it can: stable across runs and platforms, and in no way secure.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Fnv {
        Fnv(0xCBF2_9CE4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
        }
    }

    // A word at a time: events and vitals are words, and byte-wise FNV would dominate a step.

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0 ^ word).wrapping_mul(0x0100_0000_01B3);
        self.0 ^= self.0 >> 32;
    }

    fn write_u8(&mut self, word: u8) {
        self.write_u64(u64::from(word));
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(u64::from(word));
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn write_isize(&mut self, word: isize) {
        self.write_u64(word as u64);
    }
}
