//! Bugs that were found by reading and probing, kept. The story of each is in `docs/track-record.md`.

use dkv::cluster::random::Random;
use dkv::cluster::{Cluster, Options, Outcome, Shipped};
use dkv::codec::{DecodeError, to_bytes};
use dkv::kv::{Command, Op, Put, Store};
use dkv::raft::{
    Bytes, EntryId, Envelope, Index, Input, Limits, MemberChange, Message, NodeId, Role, Term, Timer,
};
use dkv::replica::{Failure, SnapshotPolicy, StateMachine};

fn put(key: &str) -> Bytes {
    Bytes::from(to_bytes(&Command::new(Op::Put(Put::new(key, "1")))))
}

fn connect(cluster: &mut Cluster<Store>, a: NodeId, b: NodeId) {
    cluster.restore_link(a, b);
    cluster.restore_link(b, a);
}

const N0: NodeId = NodeId(0);
const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);
const N4: NodeId = NodeId(4);

/// A state machine whose engine is broken.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Broken;

impl StateMachine for Broken {
    type Command = u8;
    type Response = u64;
    type Query = ();
    type View = ();
    type Fault = DecodeError;

    fn apply(&mut self, _: EntryId, _: &u8) -> Result<u64, DecodeError> {
        Err(DecodeError::new(0, "broken"))
    }
    fn skip(&mut self, _: EntryId) -> Result<(), DecodeError> {
        Ok(())
    }
    fn applied(&self) -> EntryId {
        EntryId::ZERO
    }
    fn query(&self, (): &()) {}
    fn snapshot(&self) -> Result<Vec<u8>, DecodeError> {
        Ok(Vec::new())
    }
    fn restore(&mut self, _: &[u8]) -> Result<(), DecodeError> {
        Ok(())
    }
}

#[test]
fn time_passes_after_a_state_machine_failed() {
    let mut cluster = Cluster::<Broken, Shipped>::with_options(3, Options::default());
    let request = cluster.propose(1);
    let fault = cluster.members()[&N0].fault();
    assert!(fault.is_some_and(|fault| fault.contains("broken")), "{fault:?}");
    assert_eq!(cluster.outcome(request), None, "a fault is never a response");
    cluster.elapse(5000);
    assert_eq!(cluster.time_ms(), 5000);
}

#[test]
fn a_transfer_that_its_leader_did_not_survive_leaves_compaction_on() {
    let options = Options {
        limits: Limits { chunk_bytes_max: 8, ..Limits::default() },
        snapshots: SnapshotPolicy { every_entries: 30, keep_entries: 0 },
        ..Options::default()
    };
    let mut cluster = Cluster::<Store>::with_options(5, options);
    cluster.partition([N4]);
    for i in 0..19 {
        cluster.propose(put(&format!("a{i}")));
    }
    cluster.compact(N0);
    connect(&mut cluster, N0, N4);
    cluster.timeout(N0, Timer::Heartbeat);
    for _ in 0..6 {
        while cluster.deliver_message(N0, N4) {}
        while cluster.deliver_message(N4, N0) {}
    }
    let staged = cluster.replica(N4).and_then(|replica| replica.node().incoming_snapshot());
    assert!(staged.is_some_and(|(_, staged)| staged > 0), "the transfer has begun");
    cluster.crash(N0);
    (1..4).for_each(|other| connect(&mut cluster, NodeId(other), N4));
    cluster.elapse(5000);
    for i in 0..60 {
        cluster.propose(put(&format!("b{i}")));
    }
    cluster.elapse(2000);
    let node = cluster.replica(N4).expect("it is up").node();
    assert_eq!(node.incoming_snapshot(), None);
    assert!(node.log().snapshot().last.index > Index(30), "it compacts: {node}");
    assert_eq!(cluster.violation(), None);
}

#[test]
fn a_change_of_members_that_was_replaced_is_lost() {
    let mut cluster = Cluster::<Store>::new(3);
    cluster.propose(put("a"));
    cluster.join(NodeId(7));
    cluster.join(NodeId(8));
    cluster.partition([N0]);
    let replaced = cluster.submit_change(N0, vec![MemberChange::AddLearner(NodeId(7))]);
    cluster.deliver();
    cluster.timeout(N1, Timer::LeaderFresh);
    cluster.timeout(N2, Timer::LeaderFresh);
    cluster.timeout(N1, Timer::Election);
    cluster.deliver();
    assert!(cluster.replica(N1).is_some_and(|replica| replica.node().is_leader()));
    let other = cluster.submit_change(N1, vec![MemberChange::AddLearner(NodeId(8))]);
    cluster.deliver();
    assert!(matches!(cluster.outcome(other), Some(Outcome::MembersChanged(_))));
    cluster.timeout(N1, Timer::CheckQuorum);
    cluster.timeout(N1, Timer::Heartbeat);
    connect(&mut cluster, N0, N1);
    cluster.submit(N1, put("z"));
    cluster.deliver();
    cluster.stabilize();
    let outcome = cluster.outcome(replaced);
    assert!(
        matches!(outcome, Some(Outcome::Failed(Failure::Lost | Failure::Unknown))),
        "its learner is in no configuration: {outcome:?}"
    );
}

#[test]
fn an_answer_beyond_what_was_asked_changes_nothing() {
    let mut cluster = Cluster::<Store>::new(3);
    cluster.propose(put("a"));
    let mut leader = cluster.replica(N0).expect("it is up").node().clone();
    let receive = |leader: &mut dkv::raft::Node<Bytes>, message| {
        let _ = leader.step(Input::Message(Envelope { from: N1, to: N0, term: Term(1), message }));
    };
    receive(
        &mut leader,
        Message::AppendRefused { prev: Index(50), conflict_term: None, conflict_index: Index(50) },
    );
    receive(&mut leader, Message::HeartbeatResponse { round: u64::MAX });
    assert!(matches!(leader.role(), Role::Leader(_)));
    let progress = &leader.progress().expect("a leader has progress")[&N1];
    assert!(progress.next_index <= leader.log().last().index.next(), "{progress:?}");
    assert_eq!(progress.round_acked, 0, "no round was begun");
}

/// Found by simulation (`dkv sim`): a pipeline over a link that reorders was given up and sent anew for every
/// refusal of an append that had only come early, until nothing but echoes was under way.
#[test]
fn reordering_does_not_make_a_storm_of_appends() {
    const ENTRIES: usize = 200;
    let limits = Limits { append_entries_max: 1, ..Limits::default() };
    let mut cluster = Cluster::<Store>::with_options(2, Options { limits, ..Options::default() });
    cluster.propose(put("first"));
    let requests: Vec<_> = (0..ENTRIES).map(|_| cluster.submit(N0, put("k"))).collect();
    let mut random = Random::new(1);
    let mut since_heartbeat = 0;
    while requests.iter().any(|request| cluster.outcome(*request).is_none()) {
        let loaded = cluster.links().loaded();
        if loaded.is_empty() {
            cluster.timeout(N0, Timer::Heartbeat);
            since_heartbeat = 0;
            continue;
        }
        let ((from, to), queued) = *random.pick(&loaded);
        let position = random.below(queued as u64) as usize;
        cluster.deliver_message_at(from, to, position);
        cluster.sync(N0, usize::MAX);
        cluster.sync(N1, usize::MAX);
        since_heartbeat += 1;
        // Twice the pipeline, and an answer to each.
        assert!(
            since_heartbeat < 5 * ENTRIES,
            "{since_heartbeat} messages without a pause, {queued} on a link"
        );
    }
}
