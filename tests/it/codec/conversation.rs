//! What real nodes say and write all decodes again: the gateway refuses nothing that the core makes.
//!
//! A few nodes talk over a network that is made of bytes and delivers them lost, doubled and in any order.
//! They crash and come back from bytes, take and install snapshots, and change who takes part.

use super::*;

/// xorshift64*, so that a seed means the same run everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % sides
    }
}

struct Server {
    node: Node<Bytes>,
    disk: Durable<Bytes>,
    /// Encoded writes that have no receipt yet.
    unsynced: VecDeque<Vec<u8>>,
    /// What the environment will report, in this order.
    reports: VecDeque<Input<Bytes>>,
}

struct World {
    dice: Dice,
    servers: Vec<Server>,
    /// Encoded messages.
    network: Vec<Vec<u8>>,
    requests: u64,
    seen: BTreeSet<dkv::raft::message::MessageKind>,
    snapshots_written: usize,
}

/// The joiner is the last one; the others are founders.
const NODES: usize = 4;

impl World {
    fn new(seed: u64) -> World {
        let founders = Configuration::of_voters((0..NODES as u64 - 1).map(NodeId));
        let mut world = World {
            dice: Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1),
            servers: Vec::new(),
            network: Vec::new(),
            requests: 0,
            seen: BTreeSet::new(),
            snapshots_written: 0,
        };
        let is_founder = |at: usize| at < NODES - 1;
        for at in 0..NODES {
            let disk = match is_founder(at) {
                true => Durable::genesis(NodeId(0), founders.clone()),
                false => Durable::empty(),
            };
            let (node, ready) = match is_founder(at) {
                true => Node::bootstrap(NodeId(at as u64), limits(), &disk),
                false => Node::restore(NodeId(at as u64), limits(), &disk, Index::ZERO),
            };
            let server = Server { node, disk, unsynced: VecDeque::new(), reports: VecDeque::new() };
            world.servers.push(server);
            world.carry_out(at, ready);
        }
        world
    }

    fn step(&mut self, at: usize, input: Input<Bytes>) {
        let ready = self.servers[at].node.step(input);
        self.carry_out(at, ready);
    }

    fn carry_out(&mut self, at: usize, ready: Ready<Bytes>) {
        let server = &mut self.servers[at];
        if let Some(write) = ready.write {
            lossless_in_full(&write);
            server.unsynced.push_back(to_bytes(&write));
        }
        for envelope in ready.messages {
            lossless_in_full(&envelope);
            self.seen.insert(envelope.message.kind());
            self.network.push(to_bytes(&envelope));
        }
        if let Some(snapshot) = ready.install {
            server.reports.push_back(match self.dice.roll(4) {
                0 => Input::SnapshotRejected(snapshot.last),
                _ => Input::SnapshotInstalled(snapshot.last),
            });
        }
        if let Some(snapshot) = ready.load {
            server.reports.push_back(Input::Applied(snapshot.last.index));
        }
        if !ready.committed.is_empty() {
            server.reports.push_back(Input::Applied(ready.committed.to));
        }
    }

    fn sync(&mut self, at: usize, count: usize) {
        let server = &mut self.servers[at];
        let count = count.min(server.unsynced.len());
        for bytes in server.unsynced.drain(..count) {
            server.disk.apply(from_bytes(&bytes).expect("a record that was written"));
        }
        lossless_in_full(&server.disk);
        if count > 0 {
            self.step(at, Input::Persisted(count as u32));
        }
    }

    /// The node forgets everything but its disk, which holds some of what was being written.
    fn crash(&mut self, at: usize) {
        let server = &mut self.servers[at];
        let kept = self.dice.roll(server.unsynced.len() + 1);
        for bytes in server.unsynced.drain(..).take(kept) {
            server.disk.apply(from_bytes(&bytes).expect("a record that was written"));
        }
        let disk: Durable<Bytes> = from_bytes(&to_bytes(&server.disk)).expect("a disk");
        let (node, ready) = Node::restore(server.node.id(), limits(), &disk, disk.snapshot.last.index);
        *server = Server { node, disk, unsynced: VecDeque::new(), reports: VecDeque::new() };
        self.carry_out(at, ready);
    }

    fn take_snapshot(&mut self, at: usize) {
        let node = &self.servers[at].node;
        let applied = node.applied_index();
        if let Some(last) = node.log().id_at(applied).filter(|last| last.index > Index::ZERO) {
            self.snapshots_written += 1;
            let (size_bytes, checksum) = (self.dice.roll(30) as u64, self.dice.roll(1 << 30) as u32);
            let purge_to = Index(applied.0.saturating_sub(self.dice.roll(4) as u64));
            self.step(at, Input::SnapshotTaken { last, size_bytes, checksum, purge_to });
        }
    }

    fn change_members(&mut self, at: usize) {
        let id = NodeId(self.dice.roll(NODES) as u64);
        let change = match self.dice.roll(4) {
            0 => MemberChange::Remove(id),
            1 => MemberChange::Promote(id),
            _ => MemberChange::AddLearner(id),
        };
        let configuration = self.servers[at].node.configuration();
        let leaves = configuration.voters.iter().filter(|voter| **voter != id).count();
        if leaves >= 2 || matches!(change, MemberChange::Promote(_)) {
            self.step(at, Input::ChangeMembers(vec![change]));
        }
    }

    fn act(&mut self) {
        let at = self.dice.roll(NODES);
        match self.dice.roll(64) {
            0 => self.crash(at),
            1 | 2 => self.take_snapshot(at),
            3 | 4 => self.change_members(at),
            5 => {
                let to = NodeId(self.dice.roll(NODES) as u64);
                self.step(at, Input::TransferLeadership(to));
            }
            6 | 7 => {
                self.requests += 1;
                self.step(at, Input::Read(RequestId(self.requests)));
            }
            8..=10 => {
                let timer = Timer::ALL[self.dice.roll(Timer::ALL.len())];
                self.step(at, Input::Timeout(timer));
            }
            11 => self.step(at, Input::Timeout(Timer::Heartbeat)),
            12..=15 => {
                let commands = (0..=self.dice.roll(3)).map(|size| Bytes::from(vec![7; size])).collect();
                self.step(at, Input::Propose { commands, expected_term: None });
            }
            16..=25 => {
                let count = 1 + self.dice.roll(3);
                self.sync(at, count);
            }
            26..=33 => {
                if let Some(report) = self.servers[at].reports.pop_front() {
                    self.step(at, report);
                }
            }
            _ if self.network.is_empty() => {}
            kind => {
                // Mostly the oldest, sometimes any; sometimes lost, sometimes kept for a second time.
                let pick = if kind < 40 { self.dice.roll(self.network.len()) } else { 0 };
                let bytes = match kind {
                    34 => self.network[pick].clone(),
                    _ => self.network.remove(pick),
                };
                if kind != 35 {
                    let envelope: Envelope<Bytes> = from_bytes(&bytes).expect("a message that was sent");
                    self.step(envelope.to.0 as usize, Input::Message(envelope));
                }
            }
        }
    }
}

fn limits() -> Limits {
    Limits { append_entries_max: 4, chunk_bytes_max: 8, ..Limits::default() }
}

/// As [`lossless`], without the cuts.
fn lossless_in_full<T: Wire + PartialEq + Debug>(value: &T) {
    assert_eq!(from_bytes::<T>(&to_bytes(value)).as_ref(), Ok(value));
}

#[test]
fn nothing_that_nodes_say_or_write_is_refused() {
    const SEEDS: u64 = 60;
    let mut seen = BTreeSet::new();
    let mut snapshots_written = 0;
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            (0..4000).for_each(|_| world.act());
        }));
        assert!(run.is_ok(), "seed {seed} failed, see above");
        seen.append(&mut world.seen);
        snapshots_written += world.snapshots_written;
    }
    assert_eq!(seen.len(), 14, "all kinds of messages were sent, not only {seen:?}");
    assert!(snapshots_written > 100, "{snapshots_written}");
}
