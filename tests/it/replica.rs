//! What a replica promises beyond consensus: who is answered, who waits, and when a snapshot is asked for.
//!
//! One replica at a time is driven by hand, against hand-written packets, so that a failure points at a promise.
//!
//! Left out: the store, and what many replicas do together.

use std::collections::VecDeque;

use dkv::raft::{
    Configuration, Durable, Entry, EntryId, Envelope, Index, Limits, MemberChange, Message, NodeId, Payload,
    RequestId, Term, Timer,
};
use dkv::replica::{
    Answer, Effects, Failure, Forward, Input, Packet, Replica, Reply, Request, SnapshotPolicy,
};

const N0: NodeId = NodeId(0);
const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);

/// A replica with a disk and a store that take no time. The response to a command is the command.
struct Host {
    replica: Replica<u8, u8>,
    answers: Vec<Answer<u8>>,
    forwards: Vec<(NodeId, Forward<u8, u8>)>,
    messages: Vec<Envelope<u8>>,
    /// How often a snapshot was asked for.
    snapshots: u32,
    /// Whether the store takes its time after all.
    is_store_held: bool,
}

impl Host {
    fn new(id: NodeId, members: &[NodeId], snapshots: SnapshotPolicy) -> Host {
        let genesis = Durable::genesis(N0, Configuration::of_voters(members.iter().copied()));
        Host::around(Replica::bootstrap(id, Limits::default(), snapshots, &genesis))
    }

    /// A member that joins, with nothing on its disk.
    fn joining(id: NodeId, snapshots: SnapshotPolicy) -> Host {
        Host::around(Replica::restore(id, Limits::default(), snapshots, &Durable::empty(), Index::ZERO))
    }

    fn around((replica, effects): (Replica<u8, u8>, Effects<u8, u8>)) -> Host {
        let mut host = Host {
            replica,
            answers: Vec::new(),
            forwards: Vec::new(),
            messages: Vec::new(),
            snapshots: 0,
            is_store_held: false,
        };
        host.carry_out(effects);
        host
    }

    /// A cluster of one, which commits what it writes.
    fn alone() -> Host {
        Host::new(N0, &[N0], SnapshotPolicy::default())
    }

    fn step(&mut self, input: Input<u8, u8>) {
        let effects = self.replica.step(input);
        self.carry_out(effects);
    }

    fn carry_out(&mut self, effects: Effects<u8, u8>) {
        let mut inputs = VecDeque::new();
        self.note(effects, &mut inputs);
        while let Some(input) = inputs.pop_front() {
            let effects = self.replica.step(input);
            self.note(effects, &mut inputs);
        }
    }

    fn note(&mut self, effects: Effects<u8, u8>, inputs: &mut VecDeque<Input<u8, u8>>) {
        self.answers.extend(effects.answers);
        self.forwards.extend(effects.forwards);
        self.messages.extend(effects.messages);
        self.snapshots += u32::from(effects.take_snapshot);
        if effects.write.is_some() {
            inputs.push_back(Input::Persisted(1));
        }
        if effects.apply.to > effects.apply.after && !self.is_store_held {
            inputs.push_back(self.applied(effects.apply.to, effects.apply.after));
        }
    }

    /// The report that everything after `after` up to `last` is applied.
    fn applied(&self, last: Index, after: Index) -> Input<u8, u8> {
        let entries = self.replica.node().log().entries();
        let applied = entries.filter(|entry| entry.id.index > after && entry.id.index <= last);
        let responses = applied.filter_map(|entry| match entry.payload {
            Payload::Command(command) => Some((entry.id, command)),
            Payload::Noop | Payload::Configuration(_) => None,
        });
        Input::Applied { last, responses: responses.collect() }
    }

    fn receive(&mut self, from: NodeId, term: u64, message: Message<u8>) {
        let envelope = Envelope { from, to: self.replica.node().id(), term: Term(term), message };
        self.step(Input::Packet(Packet::Raft { envelope, chunk: None }));
    }

    fn receive_forward(&mut self, from: NodeId, forward: Forward<u8, u8>) {
        let to = self.replica.node().id();
        self.step(Input::Packet(Packet::Forward { from, to, forward }));
    }

    /// Another replica has this one propose, and gets these answers.
    fn forwarded(&mut self, request: u64, term: u64) -> Vec<Result<u8, Failure>> {
        let forward = Forward::Propose { request: RequestId(request), term: Term(term), command: 7 };
        self.receive_forward(N1, forward);
        let answers = std::mem::take(&mut self.forwards).into_iter().map(|(to, forward)| match forward {
            Forward::Answer { request: answered, outcome } => {
                assert_eq!((to, answered), (N1, RequestId(request)));
                outcome.map(|(_, response)| response)
            }
            Forward::Propose { .. } => panic!("a leader forwards nothing"),
        });
        answers.collect()
    }

    fn propose(&mut self, requests: impl IntoIterator<Item = u64>) {
        let requests = requests.into_iter().map(|request| (RequestId(request), request as u8));
        self.step(Input::Request(Request::Propose(requests.collect())));
    }

    fn waiting(&self) -> usize {
        self.replica.waiting_requests()
    }

    fn last(&self) -> Index {
        self.replica.node().log().last().index
    }
}

/// So many requests of one origin are remembered.
const REMEMBERED: u64 = 4096;

#[test]
fn a_copy_of_a_forward_is_known_as_long_as_it_is_remembered_and_never_proposed() {
    let mut leader = Host::alone();
    for request in 1..=REMEMBERED {
        assert_eq!(leader.forwarded(request, 1), [Ok(7)]);
    }
    let last = leader.last();
    for copy in [1, 2, REMEMBERED] {
        assert_eq!(leader.forwarded(copy, 1), [], "it was answered once");
    }
    // One more, and the first is forgotten: what nobody remembers nobody judges.
    assert_eq!(leader.forwarded(REMEMBERED + 1, 1), [Ok(7)]);
    assert_eq!(leader.forwarded(1, 1), [Err(Failure::Unknown)]);
    for copy in [2, REMEMBERED, REMEMBERED + 1] {
        assert_eq!(leader.forwarded(copy, 1), [], "it was answered once");
    }
    assert_eq!(leader.last(), last.next(), "no copy is proposed");
}

#[test]
fn a_new_term_owes_nothing_to_what_was_forwarded_before() {
    let mut leader = Host::alone();
    for request in 2..REMEMBERED + 3 {
        assert_eq!(leader.forwarded(request, 1), [Ok(7)]);
    }
    leader.receive(N1, 2, Message::HeartbeatResponse { round: 0 });
    leader.step(Input::Timeout(Timer::Election));
    assert_eq!(leader.replica.node().term(), Term(3));
    assert!(leader.replica.node().is_leader());
    assert_eq!(leader.forwarded(1, 3), [Ok(7)], "no copy of it can be about in this term");
    assert_eq!(leader.forwarded(1, 3), []);
    assert_eq!(leader.forwarded(2, 1), [Err(Failure::Unknown)], "it may have been taken in its term");
}

#[test]
fn whoever_waits_at_a_leader_is_counted() {
    let mut leader = Host::new(N0, &[N0, N1, N2], SnapshotPolicy::default());
    leader.propose([1]);
    assert_eq!(leader.waiting(), 1);
    leader.receive(N1, 1, Message::AppendAccepted { matched: leader.last() });
    assert_eq!(leader.waiting(), 0, "it is answered");
    leader.propose([2, 3]);
    assert_eq!(leader.waiting(), 2);
    leader.step(Input::Request(Request::Read(RequestId(4))));
    assert_eq!(leader.waiting(), 3);
    let learner = MemberChange::AddLearner(NodeId(7));
    leader.step(Input::Request(Request::ChangeMembers(RequestId(5), vec![learner])));
    assert_eq!(leader.waiting(), 4);
    leader.step(Input::Request(Request::TransferLeadership(RequestId(6), N1)));
    assert_eq!(leader.waiting(), 5);
}

#[test]
fn whoever_waits_at_a_follower_is_counted() {
    let mut follower = Host::new(N1, &[N0, N1, N2], SnapshotPolicy::default());
    follower.receive(N0, 1, Message::Heartbeat { commit: Index(0), round: 0 });
    follower.propose([1, 2, 3]);
    follower.step(Input::Request(Request::Read(RequestId(4))));
    follower.step(Input::Request(Request::Read(RequestId(5))));
    assert_eq!(follower.waiting(), 5, "three proposals are forwarded, two reads asked for");
    let outcome = Ok((EntryId::new(Term(1), Index(9)), 1));
    follower.receive_forward(N0, Forward::Answer { request: RequestId(1), outcome });
    follower.receive(N0, 1, Message::ReadIndexResponse { request: RequestId(4), index: Some(Index(9)) });
    assert_eq!(follower.answers, [], "the entry is not here yet");
    assert_eq!(follower.waiting(), 5);
}

#[test]
fn a_member_that_joins_takes_no_snapshot_before_it_knows_of_any_members() {
    let mut host = Host::joining(N2, SnapshotPolicy { every_entries: 1, keep_entries: 0 });
    let entry = |index, payload| Entry { id: EntryId::new(Term(1), Index(index)), payload };
    let append = |prev, entry: Entry<u8>| {
        let prev = if prev == 0 { EntryId::ZERO } else { EntryId::new(Term(1), Index(prev)) };
        Message::AppendEntries { prev, leader_commit: entry.id.index, entries: vec![entry] }
    };
    host.receive(N0, 1, append(0, entry(1, Payload::Command(7))));
    host.step(Input::Compact);
    assert_eq!(host.replica.node().applied_index(), Index(1));
    assert_eq!(host.snapshots, 0, "it would say that there are no members");
    let joined = Configuration::of_voters([N0, N1, N2]);
    host.receive(N0, 1, append(1, entry(2, Payload::Configuration(Box::new(joined)))));
    assert_eq!(host.snapshots, 1, "one is due");
}

#[test]
fn a_second_snapshot_is_asked_for_when_the_first_is_written() {
    let mut host = Host::new(N0, &[N0], SnapshotPolicy { every_entries: 2, keep_entries: 0 });
    host.propose([1]);
    assert_eq!(host.snapshots, 0);
    host.propose([2]);
    assert_eq!(host.snapshots, 1, "two entries are applied");
    let last = host.replica.node().log().last();
    host.propose([3, 4, 5, 6]);
    host.step(Input::Compact);
    assert_eq!(host.snapshots, 1, "one is being written");
    host.step(Input::SnapshotWritten { last, size_bytes: 1, checksum: 0 });
    assert_eq!(host.snapshots, 2, "four more are applied");
}

/// Whoever gives up is told once that the outcome is unknown, and nobody else waits any less.
fn gives_up(host: &mut Host, request: u64) {
    let waiting = host.waiting();
    host.answers.clear();
    host.step(Input::Cancel(RequestId(request)));
    let told = Answer { request: RequestId(request), outcome: Err(Failure::Unknown) };
    assert_eq!(host.answers, [told]);
    assert_eq!(host.waiting(), waiting - 1, "request {request}");
    host.step(Input::Cancel(RequestId(request)));
    assert_eq!(host.answers.len(), 1, "request {request} waits no more");
}

#[test]
fn a_client_of_a_leader_that_gives_up_is_told_so_once() {
    let mut leader = Host::new(N0, &[N0, N1, N2], SnapshotPolicy::default());
    leader.propose([1]);
    leader.receive(N1, 1, Message::AppendAccepted { matched: leader.last() });
    leader.propose([2, 3]);
    leader.step(Input::Request(Request::Read(RequestId(4))));
    leader.step(Input::Request(Request::Read(RequestId(5))));
    let learner = MemberChange::AddLearner(NodeId(7));
    leader.step(Input::Request(Request::ChangeMembers(RequestId(6), vec![learner])));
    leader.step(Input::Request(Request::TransferLeadership(RequestId(7), N1)));
    assert_eq!(leader.waiting(), 6);
    leader.answers.clear();
    leader.step(Input::Cancel(RequestId(99)));
    assert_eq!(leader.answers, [], "nobody waits for that");
    for request in [3, 4, 6, 7, 2, 5] {
        gives_up(&mut leader, request);
    }
}

#[test]
fn a_replica_says_who_waits_and_who_of_them_for_others() {
    let whom = |host: &Host| {
        let mut whom: Vec<(u64, u64)> =
            host.replica.waiting().map(|(id, request)| (id.0, request.0)).collect();
        whom.sort_unstable();
        whom
    };
    let mut leader = Host::new(N0, &[N0, N1, N2], SnapshotPolicy::default());
    leader.propose([1]);
    leader.receive(N1, 1, Message::AppendAccepted { matched: leader.last() });
    leader.propose([2]);
    leader.receive_forward(N1, Forward::Propose { request: RequestId(2), term: Term(1), command: 7 });
    leader.step(Input::Request(Request::Read(RequestId(4))));
    let learner = MemberChange::AddLearner(NodeId(7));
    leader.step(Input::Request(Request::ChangeMembers(RequestId(6), vec![learner])));
    leader.step(Input::Request(Request::TransferLeadership(RequestId(5), N1)));
    assert_eq!(whom(&leader), [(0, 2), (0, 4), (0, 5), (0, 6), (1, 2)]);
    assert_eq!((leader.replica.requests_with_others(), leader.replica.node().waiting_reads()), (1, 1));
    let mut follower = Host::new(N1, &[N0, N1, N2], SnapshotPolicy::default());
    follower.receive(N0, 1, Message::Heartbeat { commit: Index(0), round: 0 });
    follower.propose([1, 2, 3]);
    for read in [4, 5] {
        follower.step(Input::Request(Request::Read(RequestId(read))));
    }
    let outcome = Ok((EntryId::new(Term(1), Index(9)), 1));
    follower.receive_forward(N0, Forward::Answer { request: RequestId(1), outcome });
    follower.receive(N0, 1, Message::ReadIndexResponse { request: RequestId(4), index: Some(Index(9)) });
    assert_eq!(whom(&follower), [(1, 1), (1, 2), (1, 3), (1, 4), (1, 5)]);
    assert_eq!(follower.replica.requests_with_others(), 3, "two proposals and a read");
}

/// Replicas number the requests of their own clients: another's may have the same number.
#[test]
fn a_client_that_gives_up_leaves_the_same_number_of_another_replica_alone() {
    let mut leader = Host::new(N0, &[N0, N1, N2], SnapshotPolicy::default());
    leader.propose([1]);
    leader.receive_forward(N1, Forward::Propose { request: RequestId(1), term: Term(1), command: 7 });
    gives_up(&mut leader, 1);
    assert_eq!(leader.replica.waiting().collect::<Vec<_>>(), [(N1, RequestId(1))]);
    leader.receive(N1, 1, Message::AppendAccepted { matched: leader.last() });
    let outcome = Ok((EntryId::new(Term(1), Index(2)), 7));
    assert_eq!(leader.forwards, [(N1, Forward::Answer { request: RequestId(1), outcome })]);
    leader.step(Input::Cancel(RequestId(1)));
    assert_eq!(leader.answers.len(), 1, "nobody here waits any more");
}

#[test]
fn a_client_of_a_follower_that_gives_up_is_told_so_once() {
    let mut follower = Host::new(N1, &[N0, N1, N2], SnapshotPolicy::default());
    follower.receive(N0, 1, Message::Heartbeat { commit: Index(0), round: 0 });
    follower.propose([1, 2, 3, 4]);
    for read in 5..9 {
        follower.step(Input::Request(Request::Read(RequestId(read))));
    }
    for request in [1, 2] {
        let outcome = Ok((EntryId::new(Term(1), Index(9)), 1));
        follower.receive_forward(N0, Forward::Answer { request: RequestId(request), outcome });
    }
    for request in [5, 6].map(RequestId) {
        follower.receive(N0, 1, Message::ReadIndexResponse { request, index: Some(Index(9)) });
    }
    assert_eq!(follower.waiting(), 8);
    follower.step(Input::Cancel(RequestId(99)));
    assert_eq!(follower.answers, [], "nobody waits for that");
    for request in [1, 3, 5, 7, 2, 4, 6, 8] {
        gives_up(&mut follower, request);
    }
}

/// A leader of three whose third member needs a snapshot that is on its way.
fn sending_a_snapshot(every_entries: u64) -> Host {
    let mut leader = Host::new(N0, &[N0, N1, N2], SnapshotPolicy { every_entries, keep_entries: 0 });
    commit(&mut leader, every_entries);
    assert_eq!(leader.snapshots, 1, "the first is due");
    let last = leader.replica.node().log().last();
    leader.step(Input::SnapshotWritten { last, size_bytes: 100, checksum: 0 });
    leader.receive(N2, 1, Message::HeartbeatResponse { round: 0 });
    let is_chunk = |envelope: &Envelope<u8>| matches!(envelope.message, Message::InstallSnapshot { .. });
    assert!(leader.messages.iter().any(is_chunk), "{}", leader.replica.node());
    leader
}

/// The leader commits one entry after the other with the second of its three members.
fn commit(leader: &mut Host, count: u64) {
    for _ in 0..count {
        leader.propose([1]);
        leader.receive(N1, 1, Message::AppendAccepted { matched: leader.last() });
    }
}

#[test]
fn a_snapshot_waits_for_the_one_that_is_sent_but_not_for_ever() {
    let mut leader = sending_a_snapshot(4);
    commit(&mut leader, 15);
    assert_eq!(leader.snapshots, 1, "another would start the transfer over");
    commit(&mut leader, 1);
    assert_eq!(leader.snapshots, 2, "the follower may never finish");
}

#[test]
fn an_operators_snapshot_waits_for_the_one_that_is_sent() {
    let mut leader = sending_a_snapshot(4);
    commit(&mut leader, 3);
    leader.step(Input::Compact);
    assert_eq!(leader.snapshots, 1);
    let last = leader.replica.node().log().snapshot().last;
    leader.receive(N2, 1, Message::InstallSnapshotResponse { last, next_offset: 100, installed: true });
    assert_eq!(leader.snapshots, 2, "it was not forgotten");
    commit(&mut leader, 1);
    assert_eq!(leader.snapshots, 2, "it was asked for once");
}

#[test]
fn an_operators_snapshot_waits_for_the_one_that_is_written() {
    let mut host = Host::alone();
    host.propose([1]);
    host.step(Input::Compact);
    let last = host.replica.node().log().last();
    host.propose([2]);
    host.step(Input::Compact);
    assert_eq!(host.snapshots, 1, "one at a time");
    host.step(Input::SnapshotWritten { last, size_bytes: 1, checksum: 0 });
    assert_eq!(host.snapshots, 2, "it was not forgotten");
}

#[test]
fn an_operator_gets_no_snapshot_of_nothing_new() {
    let mut host = Host::alone();
    host.step(Input::Compact);
    assert_eq!(host.snapshots, 0);
    host.propose([1]);
    assert_eq!(host.snapshots, 0, "that was before");
    host.step(Input::Compact);
    assert_eq!(host.snapshots, 1);
    host.propose([2]);
    assert_eq!(host.snapshots, 1, "none is taken unless one is asked for");
}

/// A leader of three whose first entry is committed and that has begun to change its members by its second.
fn changing() -> Host {
    let mut leader = Host::new(N0, &[N0, N1, N2], SnapshotPolicy::default());
    commit(&mut leader, 1);
    leader.answers.clear();
    let learner = MemberChange::AddLearner(NodeId(7));
    leader.step(Input::Request(Request::ChangeMembers(RequestId(5), vec![learner])));
    assert_eq!((leader.last(), leader.waiting()), (Index(2), 1));
    leader
}

fn noop(index: u64, term: u64) -> Entry<u8> {
    Entry { id: EntryId::new(Term(term), Index(index)), payload: Payload::Noop }
}

/// What whoever asked for the change is told when a leader of term 2 sends these entries.
fn told_of_change(mut deposed: Host, prev: EntryId, entries: Vec<Entry<u8>>) -> Result<Reply<u8>, Failure> {
    deposed.receive(N1, 2, Message::AppendEntries { prev, entries, leader_commit: Index(1) });
    let answer = deposed.answers.pop().expect("it is told");
    assert_eq!((answer.request, deposed.answers.len()), (RequestId(5), 0));
    answer.outcome
}

#[test]
fn a_change_is_done_when_it_is_committed() {
    let mut leader = changing();
    leader.receive(N1, 1, Message::AppendAccepted { matched: Index(2) });
    let changed = Configuration { learners: [NodeId(7)].into(), ..Configuration::of_voters([N0, N1, N2]) };
    let outcome = Ok(Reply::MembersChanged(changed));
    assert_eq!(leader.answers, [Answer { request: RequestId(5), outcome }]);
}

/// Both steps of a change of voters, and two commands between them; the first step is compacted away.
#[test]
fn a_change_is_done_when_its_second_step_is_committed_wherever_the_first_is() {
    let mut leader = Host::new(N0, &[N0, N1, N2], SnapshotPolicy { every_entries: 4, keep_entries: 0 });
    commit(&mut leader, 1);
    leader.step(Input::Request(Request::ChangeMembers(RequestId(5), vec![MemberChange::Remove(N2)])));
    leader.propose([6, 7]);
    leader.receive(N1, 1, Message::AppendAccepted { matched: Index(4) });
    let last = EntryId::new(Term(1), Index(4));
    leader.step(Input::SnapshotWritten { last, size_bytes: 1, checksum: 0 });
    assert_eq!(leader.replica.node().log().purged(), last);
    assert_eq!(leader.waiting(), 1, "the second step is entry 5");
    leader.receive(N1, 1, Message::AppendAccepted { matched: Index(5) });
    let outcome = Ok(Reply::MembersChanged(Configuration::of_voters([N0, N1])));
    assert_eq!(leader.answers.last(), Some(&Answer { request: RequestId(5), outcome }));
}

#[test]
fn a_change_whose_entry_was_replaced_is_lost() {
    let first = EntryId::new(Term(1), Index(1));
    assert_eq!(told_of_change(changing(), first, vec![noop(2, 2)]), Err(Failure::Lost));
}

#[test]
fn a_change_whose_leader_was_deposed_is_unknown() {
    let first = EntryId::new(Term(1), Index(1));
    assert_eq!(told_of_change(changing(), first, vec![]), Err(Failure::Unknown), "it may be completed yet");
}

#[test]
fn a_transfer_is_done_when_the_successor_leads() {
    for (successor, outcome) in [(N1, Ok(Reply::Transferred)), (N2, Err(Failure::Unknown))] {
        let mut leader = Host::new(N0, &[N0, N1, N2], SnapshotPolicy::default());
        leader.step(Input::Request(Request::TransferLeadership(RequestId(5), N1)));
        assert_eq!(leader.answers, []);
        leader.receive(successor, 2, Message::Heartbeat { commit: Index(0), round: 0 });
        assert_eq!(leader.answers, [Answer { request: RequestId(5), outcome }]);
    }
}

#[test]
fn a_transfer_waits_until_somebody_leads() {
    let mut leader = Host::new(N0, &[N0, N1, N2], SnapshotPolicy::default());
    leader.step(Input::Request(Request::TransferLeadership(RequestId(5), N1)));
    leader.receive(N2, 2, Message::HeartbeatResponse { round: 0 });
    assert!(!leader.replica.node().is_leader());
    assert_eq!(leader.answers, [], "nobody is known to lead");
    leader.receive(N1, 2, Message::Heartbeat { commit: Index(0), round: 0 });
    assert_eq!(leader.answers, [Answer { request: RequestId(5), outcome: Ok(Reply::Transferred) }]);
}

#[test]
fn a_transfer_that_was_given_up_is_unknown() {
    let mut leader = Host::new(N0, &[N0, N1, N2], SnapshotPolicy::default());
    leader.step(Input::Request(Request::TransferLeadership(RequestId(5), N1)));
    leader.step(Input::Timeout(Timer::Transfer));
    assert!(leader.replica.node().is_leader());
    let outcome = Err(Failure::Unknown);
    assert_eq!(leader.answers, [Answer { request: RequestId(5), outcome }], "it may still happen");
}

/// A follower with an answer that waits for entry 9, and an append of its removal by entry 2.
fn leaving(commit: u64) -> Host {
    let mut follower = Host::new(N1, &[N0, N1, N2], SnapshotPolicy::default());
    follower.receive(N0, 1, Message::Heartbeat { commit: Index(0), round: 0 });
    follower.propose([1]);
    let outcome = Ok((EntryId::new(Term(1), Index(9)), 7));
    follower.receive_forward(N0, Forward::Answer { request: RequestId(1), outcome });
    let without = Payload::Configuration(Box::new(Configuration::of_voters([N0, N2])));
    let removal = Entry { payload: without, ..noop(2, 1) };
    follower.receive(
        N0,
        1,
        Message::AppendEntries {
            prev: EntryId::ZERO,
            entries: vec![noop(1, 1), removal, noop(3, 1)],
            leader_commit: Index(commit),
        },
    );
    follower
}

#[test]
fn whoever_waits_at_a_removed_replica_is_told_what_it_knows() {
    let outcome = Ok(Reply::Applied { id: EntryId::new(Term(1), Index(9)), response: 7 });
    let told = [Answer { request: RequestId(1), outcome }];
    assert_eq!(leaving(2).answers, told, "its removal is committed");
    assert_eq!(leaving(3).answers, told, "and so is what follows");
}

#[test]
fn a_removal_that_is_not_committed_lets_nobody_down() {
    let mut follower = leaving(1);
    assert_eq!(follower.answers, []);
    assert_eq!(follower.waiting(), 1);
    follower.receive(N0, 1, Message::Heartbeat { commit: Index(2), round: 0 });
    assert_eq!(follower.answers.len(), 1);
}

#[test]
fn a_packet_says_who_sent_it_and_whom_it_is_for() {
    let envelope = Envelope { from: N1, to: N2, term: Term(1), message: Message::<u8>::TimeoutNow };
    let forward: Forward<u8, u8> = Forward::Propose { request: RequestId(1), term: Term(1), command: 7 };
    for packet in [Packet::Raft { envelope, chunk: None }, Packet::Forward { from: N1, to: N2, forward }] {
        assert_eq!((packet.from(), packet.to()), (N1, N2), "{packet:?}");
    }
}
