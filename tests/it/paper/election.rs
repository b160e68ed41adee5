//! Leader election. Paper §5.1, §5.2, §5.4.1 and Figure 2.

use super::kit::*;
use dkv::raft::{Configuration, Durable, HardState, Role, Timer};

const THREE: &[u64] = &[1, 2, 3];
const FIVE: &[u64] = &[1, 2, 3, 4, 5];

/// A candidate of term 1 in a cluster of `members`, whose requests are out.
fn candidate(members: &[u64]) -> Host {
    let mut host = Host::new(1, disk(members, 0, &[]));
    host.fire(Timer::Election);
    for from in &members[1..] {
        host.receive(*from, 0, PreVoteResponse { asked_in: t(0), granted: true });
    }
    assert!(matches!(host.node.role(), Role::Candidate { .. }), "{}", host.node);
    host
}

fn vote(granted: bool) -> dkv::raft::Message<u8> {
    RequestVoteResponse { granted }
}

fn ask(index: u64, term: u64) -> dkv::raft::Message<u8> {
    RequestVote { last_log: at(index, term), transfer: false }
}

/// §5.2: servers start up as followers.
#[test]
fn starts_as_follower() {
    let host = Host::new(1, disk(THREE, 3, &[1, 3]));
    assert!(is_follower(&host.node) && host.node.leader().is_none());
    assert!(host.node.timers().contains(Timer::Election), "it waits for a leader");
}

/// §5.2: a server remains a follower as long as it hears from a leader or candidate: every contact
/// restarts the election timer.
#[test]
fn contact_with_the_leader_restarts_the_election_timer() {
    let mut host = Host::new(1, disk(THREE, 1, &[]));
    for message in [append(at(0, 0), &[], 0), Heartbeat { commit: i(0), round: 0 }] {
        let envelope = dkv::raft::Envelope { from: n(2), to: n(1), term: t(1), message };
        let ready = host.step(dkv::raft::Input::Message(envelope));
        assert!(ready.set.contains(Timer::Election) && ready.set.contains(Timer::LeaderFresh));
        assert_eq!(host.node.leader(), Some(n(2)));
    }
}

/// §5.2: to begin an election, a follower increments its term, votes for itself and asks all others.
#[test]
fn a_candidate_increments_its_term_votes_for_itself_and_asks_all_other_voters() {
    let mut host = Host::new(1, disk(FIVE, 4, &[2, 3]));
    host.fire(Timer::Election);
    host.receive(2, 4, PreVoteResponse { asked_in: t(4), granted: true });
    let mail = host.receive(3, 4, PreVoteResponse { asked_in: t(4), granted: true });
    assert_eq!(mail, [2, 3, 4, 5].map(|to| (to, ask(2, 3))));
    assert_eq!(host.disk.hard_state, HardState { term: t(5), voted_for: Some(n(1)) });
}

/// §5.2: a candidate wins if it receives votes from a majority for the same term.
#[test]
fn wins_with_the_votes_of_a_majority() {
    let mut host = candidate(FIVE);
    host.receive(2, 1, vote(true));
    assert!(!host.node.is_leader(), "two of five are no majority");
    host.receive(5, 1, vote(true));
    assert!(host.node.is_leader());
}

/// §5.2: in a cluster of one, the own vote is a majority.
#[test]
fn a_single_voter_elects_itself() {
    let mut host = Host::new(1, disk(&[1], 0, &[]));
    assert_eq!(host.fire(Timer::Election), []);
    assert!(host.node.is_leader());
    assert_eq!(host.node.commit_index(), i(1), "its no-op is committed by its own disk");
}

/// §5.2: each server votes at most once in a term, so a vote counts once however often it arrives.
#[test]
fn counts_a_repeated_vote_once() {
    let mut host = candidate(FIVE);
    for _ in 0..3 {
        host.receive(2, 1, vote(true));
    }
    assert!(!host.node.is_leader());
}

/// §5.2: refusals do not elect, nor does the word of one who is no voter.
#[test]
fn counts_neither_refusals_nor_votes_of_strangers() {
    let mut host = candidate(FIVE);
    host.receive(2, 1, vote(true));
    host.receive(3, 1, vote(false));
    host.receive(9, 1, vote(true));
    assert!(!host.node.is_leader());
}

/// §5.1: votes of an older term are void.
#[test]
fn ignores_votes_of_an_older_term() {
    let mut host = candidate(THREE);
    host.fire(Timer::Election);
    host.receive(2, 1, PreVoteResponse { asked_in: t(1), granted: true });
    assert_eq!(host.node.term(), t(2));
    host.receive(2, 1, vote(true));
    host.receive(3, 1, vote(true));
    assert!(!host.node.is_leader());
}

/// §5.2: each server votes for at most one candidate in a term, first come first served.
#[test]
fn votes_for_the_first_candidate_of_a_term_only() {
    let mut host = Host::new(1, disk(THREE, 0, &[]));
    assert_eq!(host.receive(2, 1, ask(0, 0)), [(2, vote(true))]);
    assert_eq!(host.receive(3, 1, ask(5, 1)), [(3, vote(false))]);
    assert_eq!(host.receive(2, 1, ask(0, 0)), [(2, vote(true))], "the same candidate may ask again");
}

/// Figure 2: the vote is persistent, so a restart does not free it.
#[test]
fn a_restart_keeps_term_and_vote() {
    let mut host = Host::new(1, disk(THREE, 0, &[]));
    host.receive(2, 1, ask(0, 0));
    host.crash(0);
    assert_eq!(host.node.hard_state(), HardState { term: t(1), voted_for: Some(n(2)) });
    assert_eq!(host.receive(3, 1, ask(9, 1)), [(3, vote(false))]);
}

/// §5.2: a candidate votes for itself, so it refuses another one of its term.
#[test]
fn a_candidate_refuses_another_of_its_term() {
    let mut host = candidate(THREE);
    assert_eq!(host.receive(2, 1, ask(7, 1)), [(2, vote(false))]);
    assert!(matches!(host.node.role(), Role::Candidate { .. }));
}

/// §5.2: there is one leader in a term; it votes for no one in it, not even after a founding without
/// an election.
#[test]
fn a_leader_refuses_votes_in_its_own_term() {
    let mut host = Host::founded(1, THREE, 1);
    assert_eq!(host.receive(2, 1, ask(7, 1)), [(2, vote(false))]);
    assert!(host.node.is_leader());
}

/// §5.4.1: the voter denies its vote if its own log is more up-to-date: a later last term wins.
#[test]
fn rejects_vote_if_candidate_log_is_behind_in_term() {
    let mut host = Host::new(1, disk(THREE, 2, &[1, 2]));
    assert_eq!(host.receive(2, 3, ask(9, 1)), [(2, vote(false))]);
    assert_eq!(host.node.hard_state(), HardState { term: t(3), voted_for: None }, "the term is adopted");
}

/// §5.4.1: with the same last term, the longer log is more up-to-date.
#[test]
fn rejects_vote_if_candidate_log_is_shorter() {
    let mut host = Host::new(1, disk(THREE, 2, &[1, 2]));
    assert_eq!(host.receive(2, 3, ask(1, 2)), [(2, vote(false))]);
}

/// §5.4.1: at least as up-to-date is enough, and a later term beats any length.
#[test]
fn grants_vote_if_candidate_log_is_at_least_as_up_to_date() {
    for (index, term) in [(2, 2), (3, 2), (1, 3)] {
        let mut host = Host::new(1, disk(THREE, 3, &[1, 2]));
        assert_eq!(host.receive(2, 4, ask(index, term)), [(2, vote(true))], "{index}@{term}");
    }
}

/// §5.4.1: what the voter has in its log counts, even what its disk has not confirmed.
#[test]
fn compares_with_the_log_in_memory() {
    let mut host = Host::new(1, disk(THREE, 1, &[]));
    host.is_disk_slow = true;
    host.receive(2, 1, append(at(0, 0), &[1], 0));
    host.fire(Timer::LeaderFresh);
    host.receive(3, 2, ask(0, 0));
    let written = host.unsynced.len();
    assert_eq!(host.sync(written), [(3, vote(false))]);
}

/// §5.2: a candidate that hears of a leader of at least its term returns to follower state.
#[test]
fn a_candidate_yields_to_the_leader_of_its_term() {
    for message in [append(at(0, 0), &[], 0), Heartbeat { commit: i(0), round: 0 }] {
        let mut host = candidate(THREE);
        host.receive(2, 1, message);
        assert!(is_follower(&host.node));
        assert_eq!(host.node.leader(), Some(n(2)));
        let own = HardState { term: t(1), voted_for: Some(n(1)) };
        assert_eq!(host.node.hard_state(), own, "the vote of the term is not forgotten");
    }
}

/// §5.2: a candidate rejects a leader of an older term and continues; the answer carries its term.
#[test]
fn a_candidate_rejects_a_leader_of_an_older_term() {
    let mut host = Host::new(1, disk(THREE, 4, &[]));
    host.fire(Timer::Election);
    host.receive(2, 4, PreVoteResponse { asked_in: t(4), granted: true });
    let mail = host.receive(3, 4, append(at(0, 0), &[4], 0));
    assert_eq!(mail, [(3, HeartbeatResponse { round: 0 })]);
    assert!(matches!(host.node.role(), Role::Candidate { .. }));
    assert_eq!(host.node.log().last(), at(0, 0), "nothing is appended");
}

/// §5.2: with a split vote no one wins, and each candidate times out and starts a new election.
#[test]
fn a_split_vote_is_followed_by_another_election() {
    let mut net = Net::of(THREE.iter().map(|id| (*id, disk(THREE, 0, &[]))));
    net.isolate(3);
    for id in [1, 2] {
        let host = net.host(id);
        host.fire(Timer::Election);
        host.receive(3, 0, PreVoteResponse { asked_in: t(0), granted: true });
    }
    net.settle();
    assert!(!net.node(1).is_leader() && !net.node(2).is_leader());
    net.heal();
    net.fire(2, Timer::Election);
    assert!(net.node(2).is_leader());
    assert_eq!(net.node(2).term(), t(2));
}

/// §5.1: a candidate or leader that discovers its term is out of date reverts to follower at once.
#[test]
fn steps_down_on_a_newer_term() {
    let newer = || {
        vec![
            append(at(0, 0), &[], 0),
            Heartbeat { commit: i(0), round: 0 },
            RequestVote { last_log: at(9, 9), transfer: true },
            vote(false),
            accepted(0),
            AppendRefused { prev: i(1), conflict_term: None, conflict_index: i(1) },
            HeartbeatResponse { round: 0 },
            PreVoteResponse { asked_in: t(1), granted: false },
        ]
    };
    for message in newer() {
        for mut host in [candidate(THREE), Host::leader(1, disk(THREE, 0, &[]))] {
            host.receive(2, 9, message.clone());
            assert!(is_follower(&host.node), "after {message:?}");
            assert_eq!(host.disk.hard_state.term, t(9));
            assert!(host.node.timers().contains(Timer::Election));
            assert!(!host.node.timers().contains(Timer::Heartbeat));
        }
    }
}

/// §5.1: a request with a stale term is rejected; the answer tells the current one.
#[test]
fn rejects_requests_with_a_stale_term() {
    let mut host = Host::new(1, disk(THREE, 5, &[1]));
    assert_eq!(host.receive(2, 4, ask(9, 4)), [(2, vote(false))]);
    assert_eq!(host.receive(2, 4, append(at(1, 1), &[4], 1)), [(2, HeartbeatResponse { round: 0 })]);
    assert_eq!((host.node.log().last(), host.node.commit_index()), (at(1, 1), i(0)));
    let _ = host.step(dkv::raft::Input::Message(dkv::raft::Envelope {
        from: n(2),
        to: n(1),
        term: t(4),
        message: Heartbeat { commit: i(1), round: 3 },
    }));
    let answers = host.envelopes();
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0].term, t(5));
    assert_eq!(host.node.leader(), None, "an old leader is not followed");
}

/// §5.2: once elected, a leader announces itself to all others at once, with its no-op (§8).
#[test]
fn a_new_leader_announces_itself_at_once() {
    let mut host = candidate(THREE);
    let mail = host.receive(2, 1, vote(true));
    let first = AppendEntries { prev: at(0, 0), entries: vec![noop(1, 1)], leader_commit: i(0) };
    assert_eq!(mail, [(2, first.clone()), (3, first)]);
    assert!(!host.node.timers().contains(Timer::Election));
}

/// §5.2: leaders send periodic heartbeats to all followers.
#[test]
fn a_leader_sends_heartbeats_periodically() {
    let mut host = Host::leader(1, disk(THREE, 0, &[]));
    for _ in 0..3 {
        let beat = Heartbeat { commit: i(0), round: 0 };
        assert_eq!(host.fire(Timer::Heartbeat), [(2, beat.clone()), (3, beat)]);
        assert!(host.node.timers().contains(Timer::Heartbeat));
    }
}

/// Figure 2: a follower restarts its election timer when it grants a vote, and not when it refuses one.
#[test]
fn only_a_granted_vote_restarts_the_election_timer() {
    let mut host = Host::new(1, disk(THREE, 1, &[1]));
    let mut asks = |from: u64, last_log| {
        let message = RequestVote { last_log, transfer: false };
        let envelope = dkv::raft::Envelope { from: n(from), to: n(1), term: t(1), message };
        host.step(dkv::raft::Input::Message(envelope)).set.contains(Timer::Election)
    };
    assert!(!asks(2, at(0, 0)));
    assert!(asks(3, at(1, 1)));
}

/// §5.2: a candidate whose election neither succeeds nor fails in time asks again, with a new timeout.
#[test]
fn a_candidate_times_out_and_asks_again() {
    let mut host = candidate(THREE);
    let mail = host.fire(Timer::Election);
    assert_eq!(mail, [2, 3].map(|to| (to, PreVote { last_log: at(0, 0) })));
    assert!(host.node.timers().contains(Timer::Election));
    assert_eq!(host.node.term(), t(1), "the next term waits for a pre-vote");
}

/// Contract of the founding: node 0's counterpart leads term 1 at once and without a no-op, since every
/// founding disk holds a vote for it.
#[test]
fn a_founding_leader_leads_term_one_without_an_entry() {
    let mut leader = Host::founded(1, THREE, 1);
    assert!(leader.node.is_leader());
    assert_eq!(leader.node.log().last(), at(0, 0));
    leader.propose(&[7]).expect("it accepts");
    leader.receive(2, 1, accepted(1));
    assert_eq!(leader.handed.len(), 1, "the first entry is the first operation");
    let mut follower = Host::founded(2, THREE, 1);
    assert_eq!(follower.node.leader(), Some(n(1)));
    assert_eq!(follower.receive(3, 1, ask(0, 0)), [(3, vote(false))], "its vote is taken");
    leader.crash(0);
    assert!(is_follower(&leader.node), "a restart is always as follower");
}

/// Diss. §4.2.1: a node without a configuration waits to be contacted and never campaigns.
#[test]
fn an_empty_node_never_campaigns() {
    let mut host = Host::new(1, Durable::empty());
    assert_eq!(*host.node.configuration(), Configuration::default());
    assert_eq!(host.fire(Timer::Election), []);
    assert!(is_follower(&host.node) && host.node.timers().contains(Timer::Election));
}

/// A timer that is not set is ignored, so that firings may race with cancellations.
#[test]
fn ignores_timers_that_are_not_set() {
    let mut host = Host::new(1, disk(THREE, 1, &[]));
    for timer in [Timer::Heartbeat, Timer::CheckQuorum, Timer::Transfer] {
        assert_eq!(host.fire(timer), []);
    }
    let mut leader = Host::leader(1, disk(THREE, 1, &[]));
    assert_eq!(leader.fire(Timer::Election), []);
    assert!(leader.node.is_leader());
}
