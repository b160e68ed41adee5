//! What keeps elections rare and harmless: pre-vote (diss. §9.6), disruptive servers (diss. §4.2.3),
//! check-quorum (diss. §6.2), leadership transfer (diss. §3.10).

use super::kit::*;
use dkv::raft::progress::Flow;
use dkv::raft::{Accepted, HardState, Input, Leadership, Refusal, Role, Timer};

const THREE: &[u64] = &[1, 2, 3];
const FIVE: &[u64] = &[1, 2, 3, 4, 5];

fn pre_vote(index: u64, term: u64) -> dkv::raft::Message<u8> {
    PreVote { last_log: at(index, term) }
}

fn answer(asked_in: u64, granted: bool) -> dkv::raft::Message<u8> {
    PreVoteResponse { asked_in: t(asked_in), granted }
}

fn beat() -> dkv::raft::Message<u8> {
    Heartbeat { commit: i(0), round: 0 }
}

// --- pre-vote -----------------------------------------------------------------------------------

/// Diss. §9.6: a candidate increments its term only if a majority would vote for it.
#[test]
fn a_pre_candidate_keeps_its_term_until_a_majority_would_vote_for_it() {
    let mut host = Host::new(1, disk(FIVE, 3, &[]));
    assert_eq!(host.fire(Timer::Election), [2, 3, 4, 5].map(|to| (to, pre_vote(0, 0))));
    host.receive(2, 3, answer(3, true));
    host.receive(2, 3, answer(3, true));
    host.receive(4, 3, answer(3, false));
    assert_eq!(host.disk.hard_state, HardState { term: t(3), voted_for: None });
    host.receive(3, 3, answer(3, true));
    assert_eq!(host.disk.hard_state, HardState { term: t(4), voted_for: Some(n(1)) });
}

/// Diss. §9.6: granting a pre-vote binds the voter to nothing.
#[test]
fn a_pre_vote_changes_nothing_at_the_voter() {
    let mut host = Host::new(1, disk(THREE, 3, &[]));
    let before = host.node.clone();
    assert_eq!(host.receive(2, 7, pre_vote(0, 0)), [(2, answer(7, true))]);
    assert_eq!(host.receive(3, 7, pre_vote(0, 0)), [(3, answer(7, true))], "it may be granted to many");
    assert_eq!(host.node, before);
}

/// Diss. §9.6: no pre-vote while the voter hears from a leader.
#[test]
fn no_pre_vote_while_the_leader_is_fresh() {
    let mut host = Host::new(1, disk(THREE, 3, &[]));
    host.receive(2, 3, beat());
    assert_eq!(host.receive(3, 3, pre_vote(9, 3)), []);
    host.fire(Timer::LeaderFresh);
    assert_eq!(host.receive(3, 3, pre_vote(9, 3)), [(3, answer(3, true))]);
}

/// Diss. §9.6: a leader hears itself.
#[test]
fn no_pre_vote_from_a_leader() {
    let mut host = Host::leader(1, disk(THREE, 3, &[]));
    assert_eq!(host.receive(3, 4, pre_vote(9, 4)), []);
    assert_eq!(host.receive(3, 8, pre_vote(9, 4)), []);
    assert!(host.node.is_leader());
}

/// Diss. §9.6: a pre-vote follows the same log comparison as a vote.
#[test]
fn no_pre_vote_for_a_log_that_is_behind() {
    let mut host = Host::new(1, disk(THREE, 3, &[1, 3]));
    assert_eq!(host.receive(2, 3, pre_vote(9, 2)), [(2, answer(3, false))]);
    assert_eq!(host.receive(2, 3, pre_vote(1, 3)), [(2, answer(3, false))]);
    assert_eq!(host.receive(2, 3, pre_vote(2, 3)), [(2, answer(3, true))]);
}

/// Diss. §9.6: a pre-candidate in an older term is refused and learns the newer one, even from a voter
/// whose leader is fresh; otherwise it could never win again.
#[test]
fn a_pre_candidate_in_an_older_term_learns_the_newer_one() {
    let mut voter = Host::new(2, disk(THREE, 7, &[]));
    voter.receive(3, 7, beat());
    let _ = voter.step(Input::Message(dkv::raft::Envelope {
        from: n(1),
        to: n(2),
        term: t(3),
        message: pre_vote(9, 3),
    }));
    let refusal = voter.envelopes().pop().expect("it answers");
    assert_eq!((refusal.term, &refusal.message), (t(7), &answer(3, false)));
    let mut host = Host::new(1, disk(THREE, 3, &[1, 2, 3]));
    host.fire(Timer::Election);
    let _ = host.step(Input::Message(refusal));
    assert!(is_follower(&host.node));
    assert_eq!(host.node.term(), t(7));
}

/// Diss. §9.6: a voter in an older term may grant a pre-vote, and its word counts.
#[test]
fn a_pre_vote_from_an_older_term_counts() {
    let mut host = Host::new(1, disk(THREE, 5, &[]));
    host.fire(Timer::Election);
    host.receive(2, 2, answer(5, true));
    assert!(matches!(host.node.role(), Role::Candidate { .. }));
    assert_eq!(host.node.term(), t(6));
}

/// Diss. §9.6: what was granted for an earlier campaign does not start a later one.
#[test]
fn a_pre_vote_for_another_term_does_not_count() {
    let mut host = Host::new(1, disk(THREE, 5, &[]));
    host.fire(Timer::Election);
    host.receive(2, 4, answer(4, true));
    assert!(matches!(host.node.role(), Role::PreCandidate { .. }));
    host.receive(3, 5, beat());
    host.receive(2, 5, answer(5, true));
    assert!(is_follower(&host.node), "a follower no longer campaigns");
}

/// Diss. §9.6: a server that was partitioned away does not disturb the leader when it returns.
#[test]
fn a_returning_server_does_not_depose_the_leader() {
    let mut net = Net::led_by(1, THREE);
    net.isolate(3);
    for _ in 0..5 {
        net.fire(3, Timer::LeaderFresh);
        net.fire(3, Timer::Election);
    }
    assert_eq!(net.node(3).term(), t(1), "its term did not grow");
    net.propose(1, 5);
    net.heal();
    net.fire(3, Timer::Election);
    assert!(net.node(1).is_leader());
    net.fire(1, Timer::Heartbeat);
    assert_eq!(net.log(3), net.log(1));
}

/// A server that came to a higher term than everyone, with a shorter log, neither stays stuck nor keeps
/// the others from electing a leader (diss. §9.6, §4.2.3).
#[test]
fn a_server_with_a_higher_term_gets_unstuck() {
    let mut net =
        Net::of([(1, disk(THREE, 2, &[2, 2])), (2, disk(THREE, 2, &[2, 2])), (3, disk(THREE, 8, &[2]))]);
    net.isolate(3);
    net.elect(1);
    assert_eq!(net.node(1).term(), t(3));
    net.heal();
    net.fire(1, Timer::Heartbeat);
    assert_eq!(net.node(1).term(), t(8), "the answer to a heartbeat tells the leader");
    net.elect(1);
    net.fire(1, Timer::Heartbeat);
    assert_eq!(net.log(3), net.log(1));
    assert_eq!(net.node(3).term(), t(9));
}

/// The server with the longest log is in the oldest term: it must be able to win (diss. §9.6).
#[test]
fn the_longest_log_in_the_oldest_term_can_win() {
    let two = &[1, 2];
    let mut net = Net::of([(1, disk(two, 2, &[1, 2])), (2, disk(two, 6, &[1]))]);
    net.fire(2, Timer::Election);
    assert!(!net.node(2).is_leader(), "its log is behind");
    net.fire(1, Timer::Election);
    net.fire(1, Timer::Election);
    assert!(net.node(1).is_leader());
    assert_eq!(net.node(1).term(), t(7));
}

// --- disruptive servers -------------------------------------------------------------------------

/// Diss. §4.2.3: a vote request within the minimum election timeout of hearing from a leader neither
/// gets a vote nor changes the term.
#[test]
fn a_vote_request_while_the_leader_is_fresh_changes_nothing() {
    let mut host = Host::new(1, disk(THREE, 3, &[]));
    host.receive(2, 3, beat());
    let before = host.node.clone();
    assert_eq!(host.receive(3, 9, RequestVote { last_log: at(9, 9), transfer: false }), []);
    assert_eq!(host.node, before);
    let mut leader = Host::leader(1, disk(THREE, 3, &[]));
    assert_eq!(leader.receive(3, 9, RequestVote { last_log: at(9, 9), transfer: false }), []);
    assert!(leader.node.is_leader());
}

/// Diss. §4.2.3: a request that a leadership transfer caused is served in spite of a fresh leader.
#[test]
fn a_transfer_may_disrupt_a_fresh_leader() {
    let mut host = Host::new(1, disk(THREE, 3, &[]));
    host.receive(2, 3, beat());
    let mail = host.receive(3, 4, RequestVote { last_log: at(0, 0), transfer: true });
    assert_eq!(mail, [(3, RequestVoteResponse { granted: true })]);
}

// --- check-quorum -------------------------------------------------------------------------------

/// Diss. §6.2: a leader steps down if an election timeout elapses without a round of heartbeats to a
/// majority.
#[test]
fn a_leader_without_a_quorum_steps_down() {
    let mut host = Host::leader(1, disk(FIVE, 3, &[]));
    host.fire(Timer::CheckQuorum);
    assert!(host.node.is_leader(), "the votes of late voters were heard");
    host.receive(2, 4, HeartbeatResponse { round: 0 });
    host.fire(Timer::CheckQuorum);
    assert!(is_follower(&host.node), "one of four others is not enough");
    assert_eq!(host.disk.hard_state, HardState { term: t(4), voted_for: Some(n(1)) }, "term and vote stay");
    assert_eq!(host.leadership, [Leadership::Ended]);
    assert!(host.node.timers().contains(Timer::Election));
}

/// Diss. §6.2: any current answer counts, and each period starts anew.
#[test]
fn every_period_needs_a_new_quorum() {
    let mut host = Host::leader(1, disk(THREE, 3, &[]));
    host.receive(2, 4, accepted(1));
    host.fire(Timer::CheckQuorum);
    assert!(host.node.is_leader());
    assert!(host.node.timers().contains(Timer::CheckQuorum));
    host.receive(2, 3, HeartbeatResponse { round: 0 });
    host.fire(Timer::CheckQuorum);
    assert!(is_follower(&host.node), "an answer of an older term is none");
}

/// A follower that was not heard for a whole period may have lost everything in flight: sending starts
/// over at what it acknowledged.
#[test]
fn a_silent_follower_is_probed_again() {
    let mut host = Host::leader(1, disk(THREE, 3, &[]));
    host.receive(2, 4, accepted(1));
    host.receive(3, 4, accepted(1));
    host.propose(&[1]).expect("it leads");
    host.fire(Timer::CheckQuorum);
    host.receive(2, 4, accepted(2));
    host.fire(Timer::CheckQuorum);
    let progress = &host.node.progress().expect("it leads")[&n(3)];
    assert_eq!((progress.next_index, &progress.flow), (i(2), &Flow::Probe { waiting: false }));
    host.mail();
    let mail = host.receive(3, 4, HeartbeatResponse { round: 0 });
    assert_eq!(only!(mail, AppendEntries { .. }).len(), 1, "contact resumes the appends");
}

/// Diss. §6.2: clients of a partitioned leader are let go, and a new one is elected on the other side.
#[test]
fn a_partitioned_leader_gives_way() {
    let mut net = Net::led_by(1, THREE);
    net.isolate(1);
    net.host(1).propose(&[9]).expect("it does not know yet");
    net.elect(2);
    net.propose(2, 7);
    net.fire(1, Timer::CheckQuorum);
    net.fire(1, Timer::CheckQuorum);
    assert!(!net.node(1).is_leader());
    net.heal();
    net.fire(2, Timer::Heartbeat);
    net.fire(2, Timer::Heartbeat);
    assert_eq!(net.log(1), net.log(2));
    assert_eq!(net.node(1).commit_index(), net.node(2).commit_index());
}

// --- leadership transfer ------------------------------------------------------------------------

/// Diss. §3.10: the leader brings the target's log up to date, then tells it to campaign.
#[test]
fn a_transfer_waits_for_the_targets_log() {
    let mut host = Host::leader(1, disk(THREE, 3, &[]));
    assert_eq!(host.transfer(2), Ok(Accepted::Transferring));
    assert_eq!(only!(host.mail(), TimeoutNow), []);
    assert_eq!(only!(host.receive(3, 4, accepted(1)), TimeoutNow), [], "only the target matters");
    assert_eq!(only!(host.receive(2, 4, accepted(1)), TimeoutNow), [(2, TimeoutNow)]);
}

/// Diss. §3.10: a target whose log is complete is told at once.
#[test]
fn a_transfer_to_a_complete_log_begins_at_once() {
    let mut host = Host::leader(1, disk(THREE, 3, &[]));
    host.receive(2, 4, accepted(1));
    host.transfer(2).expect("it leads");
    assert_eq!(only!(host.mail(), TimeoutNow), [(2, TimeoutNow)]);
}

/// Diss. §3.10: the target starts an election at once, without waiting for a timeout or asking first.
#[test]
fn the_target_campaigns_at_once() {
    let mut host = Host::new(1, disk(THREE, 3, &[3]));
    let request = RequestVote { last_log: at(1, 3), transfer: true };
    assert_eq!(host.receive(2, 3, TimeoutNow), [(2, request.clone()), (3, request)]);
    assert_eq!(host.disk.hard_state, HardState { term: t(4), voted_for: Some(n(1)) });
    assert_eq!(host.receive(2, 3, TimeoutNow), [], "a repeated one is of an older term");
    assert_eq!(host.node.term(), t(4));
}

/// Diss. §3.10: the prior leader stops accepting requests during a transfer.
#[test]
fn requests_are_refused_during_a_transfer() {
    let mut host = Host::leader(1, disk(THREE, 3, &[]));
    host.transfer(2).expect("it leads");
    assert_eq!(host.propose(&[1]), Err(Refusal::Transferring));
    assert_eq!(host.change(&[dkv::raft::MemberChange::AddLearner(n(4))]), Err(Refusal::Transferring));
    assert_eq!(host.transfer(3), Err(Refusal::Transferring));
    assert_eq!(host.node.log().last(), at(1, 4));
}

/// Diss. §3.10: if the transfer does not complete within about an election timeout, the leader aborts it
/// and resumes.
#[test]
fn a_transfer_that_takes_too_long_is_given_up() {
    let mut host = Host::leader(1, disk(THREE, 3, &[]));
    host.transfer(2).expect("it leads");
    assert!(host.node.timers().contains(Timer::Transfer));
    host.fire(Timer::Transfer);
    assert_eq!(host.node.transferee(), None);
    assert!(host.propose(&[1]).is_ok());
    assert_eq!(only!(host.receive(2, 4, accepted(2)), TimeoutNow), [], "a late answer does not revive it");
    assert!(host.transfer(3).is_ok());
}

/// Diss. §3.10: only a voter can take over.
#[test]
fn leadership_goes_to_voters_only() {
    let mut host = Host::leader(1, disk_of(with_learners(voters(THREE), &[4]), 3, &[]));
    assert_eq!(host.transfer(4), Err(Refusal::NotVoter));
    assert_eq!(host.transfer(9), Err(Refusal::NotVoter));
    assert_eq!(host.transfer(1), Ok(Accepted::Transferring), "it leads already");
    assert!(host.propose(&[1]).is_ok());
    let mut follower = Host::new(2, disk(THREE, 3, &[]));
    assert_eq!(follower.transfer(1), Err(Refusal::NotLeader { hint: None }));
    let mut learner = Host::new(4, disk_of(with_learners(voters(THREE), &[4]), 3, &[]));
    assert_eq!(learner.receive(1, 3, TimeoutNow), []);
}

/// Diss. §3.10: the transfer ends with the target leading and the prior leader following.
#[test]
fn a_transfer_hands_leadership_over() {
    let mut net = Net::led_by(1, THREE);
    net.propose(1, 5);
    net.host(1).transfer(3).expect("it leads");
    net.settle();
    assert!(net.node(3).is_leader() && is_follower(net.node(1)));
    assert_eq!(net.node(1).leader(), Some(n(3)));
    assert_eq!(net.node(1).transferee(), None);
    assert!(!net.node(1).timers().contains(Timer::Transfer));
    net.propose(3, 6);
    assert_eq!(net.log(1), net.log(3));
}

/// Diss. §3.10: a transfer to a server that is down costs a timeout and no more.
#[test]
fn a_transfer_to_a_dead_server_fails_harmlessly() {
    let mut net = Net::led_by(1, THREE);
    net.isolate(3);
    net.host(1).transfer(3).expect("it leads");
    net.settle();
    net.fire(1, Timer::Transfer);
    net.propose(1, 4);
    assert_eq!(net.node(1).commit_index(), net.node(1).log().last().index);
}
