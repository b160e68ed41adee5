//! The test kit: one node with its disk and store, and a small network of such nodes.
//!
//! A [`Host`] plays the environment of one node by the book: it writes what the node asks to write, hands
//! back receipts, applies and installs. Each of the three can be slowed down, so that a test decides when
//! it happens. On the way it checks what no test should have to repeat: the invariants of every step,
//! that nothing leaves before what it depends on is on the disk, and that what is handed out for applying
//! is on the disk too.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use dkv::raft::invariants::{Vitals, check_step, election_safety, log_matching, state_machine_safety};
use dkv::raft::{
    Accepted, Configuration, Durable, Entry, EntryId, Envelope, HardState, Index, Input, Leadership, Limits,
    MemberChange, Message, Node, NodeId, Payload, Ready, Refusal, RequestId, Role, SnapshotMeta, Term, Timer,
    Write,
};

pub(super) use dkv::raft::Message::*;

/// What a test sends and expects: whom it is for, and the message.
pub(super) type Mail = (u64, Message<u8>);

pub(super) fn n(id: u64) -> NodeId {
    NodeId(id)
}

pub(super) fn t(term: u64) -> Term {
    Term(term)
}

pub(super) fn i(index: u64) -> Index {
    Index(index)
}

/// `at(index, term)`, in the order in which ids are displayed: `index@term`.
pub(super) fn at(index: u64, term: u64) -> EntryId {
    EntryId::new(Term(term), Index(index))
}

/// The entry at `index` whose command is the index itself.
pub(super) fn entry(index: u64, term: u64) -> Entry<u8> {
    Entry { id: at(index, term), payload: Payload::Command(index as u8) }
}

pub(super) fn noop(index: u64, term: u64) -> Entry<u8> {
    Entry { id: at(index, term), payload: Payload::Noop }
}

pub(super) fn configured(index: u64, term: u64, configuration: Configuration) -> Entry<u8> {
    Entry { id: at(index, term), payload: Payload::Configuration(Box::new(configuration)) }
}

pub(super) fn voters(ids: &[u64]) -> Configuration {
    Configuration::of_voters(ids.iter().copied().map(NodeId))
}

/// A configuration in a joint phase.
pub(super) fn joint(old: &[u64], new: &[u64]) -> Configuration {
    Configuration { outgoing: Some(voters(old).voters), ..voters(new) }
}

pub(super) fn with_learners(configuration: Configuration, learners: &[u64]) -> Configuration {
    Configuration { learners: learners.iter().copied().map(NodeId).collect(), ..configuration }
}

/// A disk in `term` without a vote, whose log has an entry for each of `terms`.
pub(super) fn disk(members: &[u64], term: u64, terms: &[u64]) -> Durable<u8> {
    disk_of(voters(members), term, terms)
}

pub(super) fn disk_of(configuration: Configuration, term: u64, terms: &[u64]) -> Durable<u8> {
    let entries = terms.iter().enumerate().map(|(before, term)| entry(before as u64 + 1, *term));
    Durable {
        hard_state: HardState { term: Term(term), voted_for: None },
        snapshot: SnapshotMeta { configuration: Box::new(configuration), ..SnapshotMeta::default() },
        purged: EntryId::ZERO,
        entries: entries.collect(),
    }
}

/// An append of the entries with `terms` after `prev`.
pub(super) fn append(prev: EntryId, terms: &[u64], leader_commit: u64) -> Message<u8> {
    let entries = terms.iter().zip(prev.index.0 + 1..).map(|(term, index)| entry(index, *term)).collect();
    AppendEntries { prev, entries, leader_commit: Index(leader_commit) }
}

pub(super) fn accepted(matched: u64) -> Message<u8> {
    AppendAccepted { matched: Index(matched) }
}

/// Only the messages of one kind, by a pattern.
macro_rules! only {
    ($mail:expr, $pattern:pat) => {
        $mail.into_iter().filter(|(_, message)| matches!(message, $pattern)).collect::<Vec<_>>()
    };
}
pub(super) use only;

/// A node, its disk and its store.
#[derive(Clone)]
pub(super) struct Host {
    pub(super) node: Node<u8>,
    /// What is synced.
    pub(super) disk: Durable<u8>,
    /// Writes without a receipt, oldest first.
    pub(super) unsynced: VecDeque<Write<u8>>,
    /// What was handed out for applying since the start.
    pub(super) handed: Vec<Entry<u8>>,
    /// Snapshots that the store was told to load.
    pub(super) loaded: Vec<SnapshotMeta>,
    /// Snapshots that were to be verified and made durable.
    pub(super) installs: Vec<SnapshotMeta>,
    pub(super) reads: Vec<(RequestId, Result<Index, Refusal>)>,
    pub(super) leadership: Vec<Leadership>,
    /// Receipts come only from [`Host::sync`].
    pub(super) is_disk_slow: bool,
    /// Applying and loading is reported only by the test.
    pub(super) is_store_slow: bool,
    /// Snapshots are verified only by the test.
    pub(super) is_install_slow: bool,
    outbox: Vec<Envelope<u8>>,
}

impl Host {
    pub(super) fn new(id: u64, disk: Durable<u8>) -> Host {
        Host::with_limits(id, disk, Limits::default())
    }

    pub(super) fn with_limits(id: u64, disk: Durable<u8>, limits: Limits) -> Host {
        let (node, ready) = Node::restore(NodeId(id), limits, &disk, disk.snapshot.last.index);
        Host::around(node, disk, ready)
    }

    /// A founding member; node `leader` leads term 1 at once.
    pub(super) fn founded(id: u64, members: &[u64], leader: u64) -> Host {
        let disk = Durable::genesis(NodeId(leader), voters(members));
        let (node, ready) = Node::bootstrap(NodeId(id), Limits::default(), &disk);
        Host::around(node, disk, ready)
    }

    fn around(node: Node<u8>, disk: Durable<u8>, ready: Ready<u8>) -> Host {
        let mut host = Host {
            node,
            disk,
            unsynced: VecDeque::new(),
            handed: Vec::new(),
            loaded: Vec::new(),
            installs: Vec::new(),
            reads: Vec::new(),
            leadership: Vec::new(),
            is_disk_slow: false,
            is_store_slow: false,
            is_install_slow: false,
            outbox: Vec::new(),
        };
        host.take(ready);
        host
    }

    /// The leader of the term after the disk's, elected by all voters, its no-op sent and not yet
    /// acknowledged.
    pub(super) fn leader(id: u64, disk: Durable<u8>) -> Host {
        Host::leader_with_limits(id, disk, Limits::default())
    }

    pub(super) fn leader_with_limits(id: u64, disk: Durable<u8>, limits: Limits) -> Host {
        let mut host = Host::with_limits(id, disk, limits);
        host.elect();
        host.mail();
        host
    }

    /// Campaigns, and every other voter says yes twice.
    pub(super) fn elect(&mut self) {
        let asked_in = self.node.term();
        self.fire(Timer::Election);
        let configuration = self.node.configuration().clone();
        let others =
            configuration.members().filter(|id| *id != self.node.id() && configuration.is_voter(*id));
        let others: Vec<u64> = others.map(|id| id.0).collect();
        for from in &others {
            self.receive(*from, asked_in.0, PreVoteResponse { asked_in, granted: true });
        }
        for from in &others {
            self.receive(*from, asked_in.0 + 1, RequestVoteResponse { granted: true });
        }
        assert!(self.node.is_leader(), "every voter said yes: {}", self.node);
    }

    /// Restarts from the disk after `survivors` of the unsynced writes reached it.
    pub(super) fn crash(&mut self, survivors: usize) {
        for write in self.unsynced.drain(..).take(survivors) {
            self.disk.apply(write);
        }
        let before = self.disk.hard_state;
        let limits = Limits::default();
        let mut host = Host::with_limits(self.node.id().0, self.disk.clone(), limits);
        assert_eq!(host.node.hard_state(), before, "term and vote are those on the disk");
        host.is_disk_slow = self.is_disk_slow;
        host.is_store_slow = self.is_store_slow;
        host.is_install_slow = self.is_install_slow;
        *self = host;
    }

    // --- inputs ---------------------------------------------------------------------------------

    /// One step, and whatever the environment does at once because of it. Returns what the step asked
    /// for.
    pub(super) fn step(&mut self, input: Input<u8>) -> Ready<u8> {
        let before = Vitals::of(&self.node);
        let ready = self.node.step(input);
        check_step(&before, &self.node).expect("a step keeps the invariants");
        self.take(ready.clone());
        ready
    }

    /// The messages that left since the last call.
    pub(super) fn mail(&mut self) -> Vec<Mail> {
        self.outbox.drain(..).map(|envelope| (envelope.to.0, envelope.message)).collect()
    }

    pub(super) fn envelopes(&mut self) -> Vec<Envelope<u8>> {
        std::mem::take(&mut self.outbox)
    }

    /// Delivers a message and returns everything that left since.
    pub(super) fn receive(&mut self, from: u64, term: u64, message: Message<u8>) -> Vec<Mail> {
        let to = self.node.id();
        let _ = self.step(Input::Message(Envelope { from: NodeId(from), to, term: Term(term), message }));
        self.mail()
    }

    pub(super) fn fire(&mut self, timer: Timer) -> Vec<Mail> {
        let _ = self.step(Input::Timeout(timer));
        self.mail()
    }

    pub(super) fn propose(&mut self, commands: &[u8]) -> Result<Accepted, Refusal> {
        self.ask(Input::Propose { commands: commands.to_vec(), expected_term: None })
    }

    pub(super) fn change(&mut self, changes: &[MemberChange]) -> Result<Accepted, Refusal> {
        self.ask(Input::ChangeMembers(changes.to_vec()))
    }

    pub(super) fn transfer(&mut self, to: u64) -> Result<Accepted, Refusal> {
        self.ask(Input::TransferLeadership(NodeId(to)))
    }

    fn ask(&mut self, input: Input<u8>) -> Result<Accepted, Refusal> {
        self.step(input).outcome.expect("a request has an outcome")
    }

    pub(super) fn read(&mut self, request: u64) -> Vec<Mail> {
        let _ = self.step(Input::Read(RequestId(request)));
        self.mail()
    }

    /// A receipt for the oldest `count` writes.
    pub(super) fn sync(&mut self, count: usize) -> Vec<Mail> {
        for write in self.unsynced.drain(..count) {
            self.disk.apply(write);
        }
        let _ = self.step(Input::Persisted(count as u32));
        self.mail()
    }

    /// Receipts one by one until nothing is unsynced, and what left with them.
    pub(super) fn sync_all(&mut self) -> Vec<Envelope<u8>> {
        while let Some(write) = self.unsynced.pop_front() {
            self.disk.apply(write);
            let _ = self.step(Input::Persisted(1));
        }
        self.envelopes()
    }

    /// The store writes a snapshot of what it applied, and the log goes up to `purge_to`.
    pub(super) fn snapshot(&mut self, purge_to: u64, size_bytes: u64) -> EntryId {
        let last = self.node.log().id_at(self.node.applied_index()).expect("what is applied is held");
        let checksum = last.index.0 as u32;
        let purge_to = Index(purge_to);
        let _ = self.step(Input::SnapshotTaken { last, size_bytes, checksum, purge_to });
        last
    }

    // --- the environment ------------------------------------------------------------------------

    fn take(&mut self, ready: Ready<u8>) {
        self.unsynced.extend(ready.write);
        for envelope in &ready.messages {
            self.check_departure(envelope);
        }
        self.outbox.extend(ready.messages);
        self.reads.extend(ready.reads.iter().map(|read| (read.request, read.index)));
        self.leadership.extend(ready.leadership);
        if let Some(snapshot) = ready.install {
            let last = snapshot.last;
            self.installs.push(snapshot);
            if !self.is_install_slow {
                let _ = self.step(Input::SnapshotInstalled(last));
            }
        }
        if let Some(snapshot) = ready.load {
            assert_eq!(self.disk.snapshot, snapshot, "only a snapshot whose mark is durable is loaded");
            let last = snapshot.last.index;
            self.loaded.push(snapshot);
            if !self.is_store_slow {
                let _ = self.step(Input::Applied(last));
            }
        }
        if !ready.committed.is_empty() {
            let entries = self.node.log().range(ready.committed.after, ready.committed.to);
            for entry in entries {
                let durable = self.disk.entry(entry.id.index);
                assert_eq!(durable, Some(entry), "what is handed out is durable here");
                self.handed.push(entry.clone());
            }
            if !self.is_store_slow {
                let _ = self.step(Input::Applied(ready.committed.to));
            }
        }
        if !self.is_disk_slow && !self.unsynced.is_empty() {
            let write = self.unsynced.pop_front().expect("it is not empty");
            self.disk.apply(write);
            let _ = self.step(Input::Persisted(1));
        }
    }

    /// What leaves depends on nothing that a crash could take back.
    fn check_departure(&self, envelope: &Envelope<u8>) {
        let durable = self.disk.hard_state;
        assert!(envelope.term <= durable.term, "{envelope:?} left while {durable:?} was durable");
        match &envelope.message {
            RequestVote { .. } => {
                assert_eq!(durable.voted_for, Some(envelope.from), "the own vote is durable")
            }
            RequestVoteResponse { granted: true } => {
                assert_eq!(durable, HardState { term: envelope.term, voted_for: Some(envelope.to) });
            }
            AppendAccepted { matched } => {
                assert!(
                    *matched <= self.disk.last().index,
                    "{envelope:?} left before its entries were durable"
                );
            }
            InstallSnapshotResponse { last, installed: true, .. } => {
                assert!(
                    self.disk.last().index >= last.index,
                    "{envelope:?} left before the mark was durable"
                );
            }
            _ => {}
        }
    }
}

/// Nodes that talk to each other, with immediate disks and stores.
pub(super) struct Net {
    pub(super) hosts: BTreeMap<u64, Host>,
    wires: VecDeque<Envelope<u8>>,
    /// Links that lose everything.
    cut: BTreeSet<(u64, u64)>,
    /// Everything that was delivered.
    pub(super) delivered: Vec<Envelope<u8>>,
}

impl Net {
    /// Nodes that start from the given disks.
    pub(super) fn of(disks: impl IntoIterator<Item = (u64, Durable<u8>)>) -> Net {
        let hosts = disks.into_iter().map(|(id, disk)| (id, Host::new(id, disk))).collect();
        Net { hosts, wires: VecDeque::new(), cut: BTreeSet::new(), delivered: Vec::new() }
    }

    /// A fixed cluster with an elected leader and every log committed and equal.
    pub(super) fn led_by(leader: u64, members: &[u64]) -> Net {
        let mut net = Net::of(members.iter().map(|id| (*id, disk(members, 0, &[]))));
        net.elect(leader);
        net
    }

    pub(super) fn host(&mut self, id: u64) -> &mut Host {
        self.hosts.get_mut(&id).expect("a host of this id")
    }

    pub(super) fn node(&self, id: u64) -> &Node<u8> {
        &self.hosts[&id].node
    }

    /// A member that joins with an empty disk.
    pub(super) fn join(&mut self, id: u64) {
        self.hosts.insert(id, Host::new(id, Durable::empty()));
    }

    pub(super) fn crash(&mut self, id: u64) {
        self.host(id).crash(usize::MAX);
    }

    /// The minimum election timeout passes without contact: everybody may vote for somebody else.
    pub(super) fn let_leases_lapse(&mut self) {
        for host in self.hosts.values_mut() {
            host.fire(Timer::LeaderFresh);
        }
    }

    pub(super) fn elect(&mut self, id: u64) {
        self.let_leases_lapse();
        self.fire(id, Timer::Election);
        assert!(self.node(id).is_leader(), "{}", self.node(id));
    }

    /// Elects `id` before anybody but `voter` hears of it.
    pub(super) fn elect_with_vote_of(&mut self, id: u64, voter: u64) {
        self.let_leases_lapse();
        let _ = self.host(id).step(Input::Timeout(Timer::Election));
        let pair = [NodeId(id), NodeId(voter)];
        self.settle_without(|sent| !pair.contains(&sent.to) || !pair.contains(&sent.from));
        assert!(self.node(id).is_leader(), "{}", self.node(id));
    }

    /// A timer fires, and messages are delivered until nothing moves.
    pub(super) fn fire(&mut self, id: u64, timer: Timer) {
        let _ = self.host(id).step(Input::Timeout(timer));
        self.settle();
    }

    pub(super) fn propose(&mut self, id: u64, command: u8) {
        self.host(id).propose(&[command]).expect("the leader accepts");
        self.settle();
    }

    pub(super) fn change(&mut self, id: u64, changes: &[MemberChange]) {
        self.host(id).change(changes).expect("the leader accepts");
        self.settle();
    }

    /// Cuts `id` off in both directions.
    pub(super) fn isolate(&mut self, id: u64) {
        let ids: Vec<u64> = self.hosts.keys().copied().collect();
        self.cut.extend(ids.iter().flat_map(|other| [(id, *other), (*other, id)]));
    }

    pub(super) fn heal(&mut self) {
        self.cut.clear();
    }

    pub(super) fn settle(&mut self) {
        self.settle_without(|_| false);
    }

    /// Delivers in order until nothing moves, losing what `loses` says.
    pub(super) fn settle_without(&mut self, mut loses: impl FnMut(&Envelope<u8>) -> bool) {
        for delivered in 0.. {
            assert!(delivered < 10_000, "the network never becomes quiet");
            self.collect();
            let Some(envelope) = self.wires.pop_front() else { break };
            let is_cut = self.cut.contains(&(envelope.from.0, envelope.to.0));
            if is_cut || loses(&envelope) || !self.hosts.contains_key(&envelope.to.0) {
                continue;
            }
            self.delivered.push(envelope.clone());
            let _ = self.host(envelope.to.0).step(Input::Message(envelope));
        }
        self.check();
    }

    fn collect(&mut self) {
        for host in self.hosts.values_mut() {
            self.wires.extend(host.envelopes());
        }
    }

    fn check(&self) {
        for a in self.hosts.values() {
            for b in self.hosts.values() {
                let verdict = election_safety(&a.node, &b.node)
                    .and_then(|()| log_matching(&a.node, &b.node))
                    .and_then(|()| state_machine_safety(&a.node, &b.node));
                verdict.expect("the cluster keeps the invariants");
            }
        }
    }

    /// The ids of the entries that each node holds.
    pub(super) fn log(&self, id: u64) -> Vec<EntryId> {
        self.node(id).log().entries().map(|entry| entry.id).collect()
    }
}

/// Whether a node is neither leader nor campaigning.
pub(super) fn is_follower(node: &Node<u8>) -> bool {
    matches!(node.role(), Role::Follower)
}
