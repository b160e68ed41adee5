//! What the replicas of a model replicate: the store that ships, behind commands of one byte.
//!
//! A byte stands for a command of the store by a fixed dictionary. So entries and packets stay small, and
//! what is applied, answered, read and put into snapshots is the shipped [`Store`] with its sessions:
//!
//! | byte | command |
//! |---|---|
//! | 1 to 26 | put the letter `a` to `z` under the key `k` |
//! | [`DELETE`] | delete the key `k` |
//! | [`NESTED`] | put `x` under the key `k`, and in a nested transaction `y` under `l` if there was no `k` before |
//! | [`OPEN_SESSION`] | open a session, named after the index of its entry |
//! | [`tagged`]`(n)` | put under the key `k`, as request `n` of the session that entry 1 opened |
//!
//! [`Subject`] says which rules a model runs under: those that ship, or those with a bug.
//!
//! Left out: transactions, leases and everything else of the store that consensus does not see.

use std::fmt::Debug;

use std::sync::Arc;

use dkv::cluster::{Policies, Shipped};
use dkv::codec::kv::ApplyError;
use dkv::kv::{
    self, BTreeEngine, ClientId, Compare, Delete, EngineError, KeyRange, Op, Put, Range, RangeOutcome,
    Relation, Response, SimpleOp, Store, Target, Txn, TxnOp,
};
use dkv::raft::EntryId;
use dkv::replica::StateMachine;

use crate::bugs::Injected;

/// What the models' clients ask for.
pub type Command = u8;
/// What a read sees: everything.
pub type View = Result<RangeOutcome, EngineError>;

/// Deletes the key.
pub const DELETE: Command = 0x20;
/// Opens a session.
pub const OPEN_SESSION: Command = 0x21;
/// Puts under the key, and in a nested transaction under another if there was none before either.
pub const NESTED: Command = 0x22;
const TAGGED: Command = 0x40;
/// The session of all tagged commands: the one that entry 1 opened, if it opened one.
const CLIENT: ClientId = ClientId(1);

/// Request `sequence` of the session.
#[must_use]
pub const fn tagged(sequence: u8) -> Command {
    TAGGED + sequence
}

/// The number in its session, if the command has one.
#[must_use]
pub fn sequence_of(command: Command) -> Option<u8> {
    (command > TAGGED).then(|| command - TAGGED)
}

/// The command of the store that a byte stands for.
fn meaning(command: Command) -> kv::Command {
    let put = |letter: u8| Op::Put(Put::new("k", &[b'a' + letter.saturating_sub(1).min(25)][..]));
    match command {
        DELETE => kv::Command::new(Op::Del(Delete::new(KeyRange::all()))),
        OPEN_SESSION => kv::Command::new(Op::OpenSession),
        NESTED => kv::Command::new(Op::Txn(nested())),
        command => match sequence_of(command) {
            Some(sequence) => kv::Command::tagged(CLIENT, u64::from(sequence), put(sequence)),
            None => kv::Command::new(put(command)),
        },
    }
}

fn nested() -> Txn {
    let compare =
        Compare { keys: KeyRange::One("k".into()), target: Target::Version(0), relation: Relation::Equal };
    let other = SimpleOp::Put(Put::new("l", &b"y"[..]));
    let inner = Txn { compares: vec![compare], then: vec![other], otherwise: Vec::new() };
    let put = SimpleOp::Put(Put::new("k", &b"x"[..]));
    Txn { compares: Vec::new(), then: vec![TxnOp::Simple(put), TxnOp::Txn(inner)], otherwise: Vec::new() }
}

/// A command in a few characters: `a`, `del`, `open`, `#1`.
#[must_use]
pub fn text(command: Command) -> String {
    match command {
        DELETE => "del".to_owned(),
        OPEN_SESSION => "open".to_owned(),
        NESTED => "nested".to_owned(),
        command => match sequence_of(command) {
            Some(sequence) => format!("#{sequence}"),
            None => char::from(b'a' + command.saturating_sub(1).min(25)).to_string(),
        },
    }
}

/// The shipped store behind one-byte commands. Copies share it until one of them changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Letters<K: kv::Rules>(Arc<Store<BTreeEngine, K>>);

impl<K: kv::Rules> Letters<K> {
    /// The number of the session's last answered request.
    #[must_use]
    pub fn answered(&self) -> Option<u64> {
        Some(self.0.sessions().get(CLIENT)?.answered.as_ref()?.sequence)
    }

    /// The store, to be changed.
    fn written(&mut self) -> &mut Store<BTreeEngine, K> {
        Arc::make_mut(&mut self.0)
    }
}

impl<K: kv::Rules> StateMachine for Letters<K> {
    type Command = Command;
    type Response = Response;
    type Query = ();
    type View = View;
    type Fault = ApplyError;

    fn apply(&mut self, id: EntryId, command: &Command) -> Result<Response, ApplyError> {
        self.written().apply(id, &meaning(*command)).map_err(ApplyError::Engine)
    }

    fn skip(&mut self, id: EntryId) -> Result<(), ApplyError> {
        StateMachine::skip(self.written(), id)
    }

    fn applied(&self) -> EntryId {
        self.0.applied()
    }

    fn query(&self, (): &()) -> View {
        self.0.range(&Range::new(KeyRange::all()))
    }

    fn snapshot(&self) -> Result<Vec<u8>, ApplyError> {
        StateMachine::snapshot(&*self.0)
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), ApplyError> {
        StateMachine::restore(self.written(), bytes)
    }
}

/// The rules of a whole cluster: consensus, disks, links, store.
pub trait Subject: Policies<Rules: Send + Sync> + Send + Sync + 'static {
    /// The rules of the store.
    type Store: kv::Rules + Send + Sync;
}

impl Subject for Shipped {
    type Store = kv::Shipped;
}

impl Subject for Injected {
    type Store = Injected;
}

/// The state machine under a subject's rules.
pub type Machine<P> = Letters<<P as Subject>::Store>;
/// The node under a subject's rules.
pub type Node<P> = dkv::raft::Node<Command, <P as Policies>::Rules>;
