//! Linearizable reads without a log entry. Paper §8, dissertation §6.3 and §6.4.

use super::kit::*;
use dkv::raft::{Accepted, Index, Input, Limits, Message, Refusal, RequestId, Timer};

const THREE: &[u64] = &[1, 2, 3];
const FIVE: &[u64] = &[1, 2, 3, 4, 5];

type Answer = (RequestId, Result<Index, Refusal>);

fn served(request: u64, index: u64) -> Answer {
    (RequestId(request), Ok(i(index)))
}

fn beat(commit: u64, round: u64) -> Message<u8> {
    Heartbeat { commit: i(commit), round }
}

fn answer(round: u64) -> Message<u8> {
    HeartbeatResponse { round }
}

/// A leader of term 4 whose no-op at 1 is committed.
fn leader(members: &[u64]) -> Host {
    let mut host = Host::leader(1, disk(members, 3, &[]));
    for from in &members[1..] {
        host.receive(*from, 4, accepted(1));
    }
    host
}

/// Diss. §6.4: the leader saves the commit index, confirms that it still leads by a round of heartbeats,
/// then serves the read.
#[test]
fn a_read_is_served_after_a_round_of_heartbeats() {
    let mut host = leader(FIVE);
    assert_eq!(host.read(1), [2, 3, 4, 5].map(|to| (to, beat(1, 1))));
    host.receive(2, 4, answer(1));
    host.receive(2, 4, answer(1));
    assert_eq!(host.reads, [], "one follower twice is no majority");
    host.receive(3, 4, answer(1));
    assert_eq!(host.reads, [served(1, 1)]);
}

/// Diss. §6.4: the index is the commit index when the round began.
#[test]
fn the_read_index_is_the_commit_index_when_the_round_began() {
    let mut host = leader(THREE);
    host.read(1);
    host.propose(&[1]).expect("it leads");
    host.receive(2, 4, accepted(2));
    assert_eq!(host.node.commit_index(), i(2));
    host.receive(2, 4, answer(1));
    assert_eq!(host.reads, [served(1, 1)]);
}

/// Diss. §6.4, §8: until an entry of its own term is committed, the leader does not know the commit
/// index, and the read waits.
#[test]
fn a_read_waits_for_a_commitment_of_the_own_term() {
    let mut host = Host::leader(1, disk(THREE, 3, &[1, 2]));
    assert_eq!(host.read(1), []);
    host.receive(2, 4, answer(0));
    host.receive(2, 4, accepted(2));
    assert_eq!(host.reads, [], "entries of older terms tell nothing");
    let mail = host.receive(2, 4, accepted(3));
    assert!(mail.contains(&(2, beat(3, 1))), "the round begins with the commitment: {mail:?}");
    host.receive(2, 4, answer(1));
    assert_eq!(host.reads, [served(1, 3)]);
}

/// §8: a founding leader has no entry of its own yet, so a read makes it append its no-op; a proposal
/// does the same service.
#[test]
fn a_founding_leader_appends_its_no_op_for_the_first_read() {
    let mut host = Host::founded(1, THREE, 1);
    let mail = only!(host.read(1), AppendEntries { .. });
    assert_eq!(mail.len(), 2);
    assert_eq!(host.node.log().last(), at(1, 1));
    host.read(2);
    assert_eq!(host.node.log().last(), at(1, 1), "once");
    host.receive(2, 1, accepted(1));
    host.receive(2, 1, answer(1));
    assert_eq!(host.reads, [served(1, 1), served(2, 1)]);
    let mut busy = Host::founded(1, THREE, 1);
    busy.propose(&[5]).expect("it leads");
    busy.read(1);
    assert_eq!(busy.node.log().last(), at(1, 1), "the proposal is of the own term");
}

/// Diss. §6.4: one round serves any number of reads, and reads that arrive meanwhile share the next.
#[test]
fn reads_share_rounds() {
    let mut host = leader(THREE);
    host.read(1);
    assert_eq!(host.read(2), [], "it came after the round began");
    assert_eq!(host.read(3), []);
    let mail = host.receive(2, 4, answer(1));
    assert_eq!(host.reads, [served(1, 1)]);
    assert_eq!(mail, [(2, beat(1, 2)), (3, beat(1, 2))]);
    host.receive(3, 4, answer(2));
    assert_eq!(host.reads, [served(1, 1), served(2, 1), served(3, 1)]);
}

/// Diss. §6.4: an answer to a heartbeat that left before the read arrived confirms nothing.
#[test]
fn an_answer_to_an_earlier_round_confirms_nothing() {
    let mut host = leader(THREE);
    host.read(1);
    host.receive(2, 4, answer(1));
    host.read(2);
    host.receive(2, 4, answer(1));
    host.receive(3, 4, answer(1));
    host.receive(3, 3, answer(2));
    assert_eq!(host.reads, [served(1, 1)]);
    host.receive(3, 4, answer(2));
    assert_eq!(host.reads.len(), 2);
}

/// Diss. §6.4: confirmed rounds are reported, and only those.
#[test]
fn confirmed_rounds_are_reported() {
    let mut host = leader(THREE);
    host.read(1);
    let mut hear = |from: u64| {
        let envelope = dkv::raft::Envelope { from: n(from), to: n(1), term: t(4), message: answer(1) };
        host.step(Input::Message(envelope)).confirmed_round
    };
    assert_eq!(hear(2), Some(1));
    assert_eq!(hear(3), None);
}

/// Diss. §6.4: heartbeats that were lost are repeated with the round.
#[test]
fn the_next_heartbeat_carries_the_open_round() {
    let mut host = leader(THREE);
    host.read(1);
    assert_eq!(host.fire(Timer::Heartbeat), [(2, beat(1, 1)), (3, beat(1, 1))]);
    host.receive(2, 4, answer(1));
    assert_eq!(host.reads, [served(1, 1)]);
}

/// Diss. §6.4: a leader alone is its own majority.
#[test]
fn a_single_voter_serves_reads_at_once() {
    let mut host = Host::leader(1, disk(&[1], 3, &[]));
    host.read(1);
    host.read(2);
    assert_eq!(host.reads, [served(1, 1), served(2, 1)]);
}

/// Diss. §6.4: followers ask the leader for the index and serve the read themselves.
#[test]
fn a_follower_forwards_its_read() {
    let mut follower = Host::new(2, disk(THREE, 4, &[]));
    follower.receive(1, 4, beat(0, 0));
    let request = RequestId(7);
    assert_eq!(follower.read(7), [(1, ReadIndex { request })]);
    let mut host = leader(THREE);
    host.receive(2, 4, ReadIndex { request });
    let mail = host.receive(3, 4, answer(1));
    assert_eq!(mail, [(2, ReadIndexResponse { request, index: Some(i(1)) })]);
    follower.receive(1, 4, ReadIndexResponse { request, index: Some(i(1)) });
    assert_eq!(follower.reads, [served(7, 1)]);
}

/// A follower in an older term may ask as well: the term of who asks does not matter.
#[test]
fn a_read_from_an_older_term_is_served() {
    let mut host = leader(THREE);
    host.receive(2, 2, ReadIndex { request: RequestId(7) });
    assert_eq!(only!(host.receive(3, 4, answer(1)), ReadIndexResponse { index: Some(_), .. }).len(), 1);
}

/// What an earlier leader confirmed after the read was asked for stays confirmed, whatever the term is by then.
#[test]
fn an_answer_of_an_earlier_term_serves_the_read() {
    let mut follower = Host::new(2, disk(THREE, 4, &[]));
    follower.receive(1, 4, beat(0, 0));
    let request = RequestId(7);
    assert_eq!(follower.read(7), [(1, ReadIndex { request })]);
    follower.receive(3, 5, beat(0, 0));
    follower.receive(1, 4, ReadIndexResponse { request, index: Some(i(1)) });
    assert_eq!(follower.reads, [served(7, 1)]);
}

/// Diss. §6.4: without a leader there is nobody to ask; a forwarded read is not forwarded again.
#[test]
fn a_read_without_a_leader_is_refused() {
    let request = RequestId(7);
    let mut host = Host::new(1, disk(THREE, 3, &[]));
    host.read(7);
    assert_eq!(host.reads, [(request, Err(Refusal::NotLeader { hint: None }))]);
    assert_eq!(host.receive(2, 3, ReadIndex { request }), [(2, ReadIndexResponse { request, index: None })]);
    host.receive(3, 3, beat(0, 0));
    assert_eq!(host.receive(2, 3, ReadIndex { request }), [(2, ReadIndexResponse { request, index: None })]);
    host.receive(2, 3, ReadIndexResponse { request, index: None });
    assert_eq!(host.reads[1], (request, Err(Refusal::NotLeader { hint: Some(n(3)) })));
    host.receive(3, 3, ReadIndexResponse { request, index: None });
    assert_eq!(host.reads[2], (request, Err(Refusal::Busy)), "a leader that refuses has too much to do");
}

/// Diss. §6.2: reads in waiting are refused when leadership ends, local and forwarded ones.
#[test]
fn waiting_reads_are_refused_when_leadership_ends() {
    let mut host = leader(THREE);
    host.read(1);
    host.read(2);
    host.receive(3, 4, ReadIndex { request: RequestId(8) });
    let mail = host.receive(2, 9, HeartbeatResponse { round: 1 });
    assert_eq!(mail, [(3, ReadIndexResponse { request: RequestId(8), index: None })]);
    let refused = Err(Refusal::NotLeader { hint: None });
    assert_eq!(host.reads, [(RequestId(1), refused), (RequestId(2), refused)]);
}

/// Diss. §6.4: a leader that was deposed and does not know never answers.
#[test]
fn a_deposed_leader_never_answers() {
    let mut net = Net::led_by(1, THREE);
    net.isolate(1);
    net.elect(2);
    net.propose(2, 9);
    let _ = net.host(1).step(Input::Read(RequestId(1)));
    net.settle();
    net.fire(1, Timer::Heartbeat);
    assert!(net.node(1).is_leader());
    assert_eq!(net.host(1).reads, []);
    net.heal();
    net.fire(1, Timer::Heartbeat);
    assert_eq!(net.host(1).reads, [(RequestId(1), Err(Refusal::NotLeader { hint: None }))]);
}

/// Learners do not confirm leadership (diss. §4.2.1).
#[test]
fn learners_do_not_confirm_reads() {
    let mut host = Host::leader(1, disk_of(with_learners(voters(THREE), &[4, 5]), 3, &[]));
    host.receive(2, 4, accepted(1));
    host.read(1);
    host.receive(4, 4, answer(1));
    host.receive(5, 4, answer(1));
    assert_eq!(host.reads, []);
    host.receive(2, 4, answer(1));
    assert_eq!(host.reads, [served(1, 1)]);
}

/// §6: in a joint phase both majorities confirm.
#[test]
fn a_joint_phase_needs_both_majorities_for_a_read() {
    let mut host = Host::leader(1, disk_of(joint(THREE, &[1, 4, 5]), 3, &[]));
    host.receive(2, 4, accepted(1));
    host.read(1);
    host.receive(4, 4, accepted(1));
    host.receive(2, 4, answer(1));
    host.receive(3, 4, answer(1));
    assert_eq!(host.reads, []);
    host.receive(4, 4, answer(1));
    assert_eq!(host.reads.len(), 1);
}

/// A change that leaves the leader alone also leaves nobody to answer a heartbeat: the open round is
/// judged by the new quorum.
#[test]
fn an_open_round_is_judged_anew_when_the_quorum_changes() {
    let mut host = Host::leader(1, disk(&[1, 2], 3, &[]));
    host.receive(2, 4, accepted(1));
    let change = host.change(&[dkv::raft::MemberChange::Remove(n(2))]);
    assert!(matches!(change, Ok(Accepted::MembersChanging { .. })));
    host.read(1);
    host.receive(2, 4, accepted(2));
    assert_eq!(*host.node.configuration(), voters(&[1]));
    assert_eq!(host.reads, [served(1, 1)]);
    host.read(2);
    assert_eq!(host.reads.len(), 2, "and later reads are not stuck behind it");
}

/// The reads that wait are bounded.
#[test]
fn too_many_waiting_reads_are_refused() {
    let limits = Limits { waiting_reads_max: 2, ..Limits::default() };
    let mut host = Host::leader_with_limits(1, disk(THREE, 3, &[]), limits);
    for request in 1..=3 {
        host.read(request);
    }
    assert_eq!(host.reads, [(RequestId(3), Err(Refusal::Busy))]);
    let mail = host.receive(2, 4, ReadIndex { request: RequestId(4) });
    assert_eq!(mail, [(2, ReadIndexResponse { request: RequestId(4), index: None })]);
}

/// Rounds advance only for a read, so that an idle leader is the same value after every heartbeat.
#[test]
fn heartbeats_alone_open_no_rounds() {
    let mut host = leader(THREE);
    let before = host.node.clone();
    host.fire(Timer::Heartbeat);
    assert_eq!(host.node, before);
}

/// A new leadership knows nothing of the rounds of an earlier one.
#[test]
fn rounds_do_not_outlive_a_leadership() {
    let mut host = leader(THREE);
    host.read(1);
    host.receive(2, 4, answer(1));
    host.receive(2, 5, HeartbeatResponse { round: 0 });
    host.elect();
    host.receive(2, 6, accepted(2));
    host.read(2);
    host.receive(3, 4, answer(1));
    assert_eq!(host.reads.len(), 1, "an answer to the old leadership does not confirm the new");
    host.receive(3, 6, answer(1));
    assert_eq!(host.reads[1], served(2, 2));
}
