//! The commands of the language.

use alloc::string::String;
use alloc::vec::Vec;

use super::expect::Expectation;
use crate::cluster::Options;
use crate::kv::Op;
use crate::raft::{Bytes, MemberChange, NodeId, Timer};

/// `cluster`: what is founded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// How many members found it; member 0 leads.
    pub nodes: u64,
    /// Everything else about the cluster.
    pub options: Options,
    /// Whether the run stops at a command that has nothing to do.
    pub is_strict: bool,
    /// The line as it was written.
    pub text: String,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A client, or an operator, asks for something.
    Ask(Request, Asking),
    /// `cancel NAME`: the client gives up.
    Cancel(String),
    /// `partition ID…`: these are cut off from all others and stay connected among themselves.
    Partition(Vec<NodeId>),
    /// `cut FROM TO`: one direction.
    Cut(NodeId, NodeId),
    /// `restore FROM TO`: one direction.
    Restore(NodeId, NodeId),
    /// `heal`: all links; then the protocol converges.
    Heal,
    /// `crash ID [keep=N]`: the N oldest unsynced writes survive.
    Crash(NodeId, usize),
    /// `restart ID`: from its disk.
    Restart(NodeId),
    /// `join ID`: a member with an empty disk, in no configuration.
    Join(NodeId),
    /// `retire ID`: a member that is down leaves for good.
    Retire(NodeId),
    /// `back-up ID`: what it has synced is copied.
    BackUp(NodeId),
    /// `lose-disk ID`: it stops, and finds an empty directory when it starts again.
    LoseDisk(NodeId),
    /// `roll-back-disk ID`: it stops, and finds the copy of its directory when it starts again.
    RollBackDisk(NodeId),
    /// `hold-disk ID`: its writes wait.
    HoldDisk(NodeId),
    /// `release-disk ID`: they no longer do.
    ReleaseDisk(NodeId),
    /// `sync ID [N]`: the N oldest waiting writes become durable, by default all.
    Sync(NodeId, Option<usize>),
    /// `compact ID`: a snapshot, and the log up to it goes.
    Compact(NodeId),
    /// `deliver`: messages and syncs until nothing moves.
    Deliver,
    /// `stabilize`: heartbeats too.
    Stabilize,
    /// `deliver FROM TO [N] [skip=K]`: messages of one link, and no sync.
    DeliverOn(Messages),
    /// `drop FROM TO [N] [skip=K]`: messages of one link are lost.
    Drop(Messages),
    /// `duplicate FROM TO [skip=K]`: a message is sent once more, after the others.
    Duplicate(Messages),
    /// `delay FROM TO`: the others overtake the oldest message.
    Delay(NodeId, NodeId),
    /// `timeout ID TIMER`: fires, and nothing is delivered.
    Timeout(NodeId, Timer),
    /// `campaign ID`: silence everywhere, then its election timer, then delivery.
    Campaign(NodeId),
    /// `elapse DURATION`, in milliseconds.
    Elapse(u64),
    /// `await-leader [timeouts=N]`: until a leader has committed in its term.
    AwaitLeader(u64),
    /// `status [ID…]`: prints members, by default all.
    Status(Vec<NodeId>),
    /// `log ID`: prints its log.
    Log(NodeId),
    /// `store ID`: prints its keys and sessions.
    Store(NodeId),
    /// `links`: prints what is under way, and the cuts.
    Links,
    /// `trace on`, `trace off`: prints every step.
    Trace(bool),
    /// `expect …`: what must hold now.
    Expect(Expectation),
}

/// Some messages of one link, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Messages {
    /// Who sent them.
    pub from: NodeId,
    /// Whom they are for.
    pub to: NodeId,
    /// How many.
    pub count: usize,
    /// How many older ones they overtake, which stay where they are.
    pub skip: usize,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// `propose OP`: so many times.
    Propose(Op, Option<Session>, u64),
    /// `read KEY`.
    Read(Bytes),
    /// `read-all`: every key at one moment.
    ReadAll,
    /// `open-session NAME`.
    OpenSession(String),
    /// `close-session NAME`.
    CloseSession(String),
    /// `add-learner`, `promote`, `remove`, `change-members`. A learner that is no member yet starts with
    /// an empty disk.
    Change(Vec<MemberChange>),
    /// `transfer ID`.
    Transfer(NodeId),
}

/// The session of a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The session's name in the scenario.
    pub name: String,
    /// The request's number in it.
    pub sequence: u64,
}

/// How a request is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asking {
    /// The member that is asked; otherwise the leader.
    pub at: Option<NodeId>,
    /// The request's name.
    pub name: Option<String>,
    /// Whether messages are delivered afterwards: not for `submit`.
    pub deliver: bool,
}
