//! What must be on the disk before what leaves or counts. Figure 2 ("updated on stable storage before
//! responding"), §5.6, and the leader's parallel disk write, diss. §10.2.1.
//!
//! The kit checks every departure of every test against the disk; here the disk is slow on purpose, so
//! that the order becomes visible.

use super::kit::*;
use dkv::raft::{Durable, HardState, Input, Node, Role, Timer, Write};

const THREE: &[u64] = &[1, 2, 3];

fn slow(id: u64, disk: Durable<u8>) -> Host {
    let mut host = Host::new(id, disk);
    host.is_disk_slow = true;
    host
}

fn ask(index: u64, term: u64) -> dkv::raft::Message<u8> {
    RequestVote { last_log: at(index, term), transfer: false }
}

/// A leader of term 4 whose no-op at 1 is committed, and whose disk is slow from here on.
fn slow_leader() -> Host {
    let mut host = Host::leader(1, disk(THREE, 3, &[]));
    for from in [2, 3] {
        host.receive(from, 4, accepted(1));
    }
    host.is_disk_slow = true;
    host.mail();
    host
}

// --- votes --------------------------------------------------------------------------------------

/// Figure 2: a vote leaves only when it is durable.
#[test]
fn a_vote_leaves_only_with_its_receipt() {
    let mut host = slow(1, disk(THREE, 0, &[]));
    assert_eq!(host.receive(2, 1, ask(0, 0)), []);
    assert_eq!(host.receive(2, 1, ask(0, 0)), [], "a repeated request waits as well");
    let vote = (2, RequestVoteResponse { granted: true });
    assert_eq!(host.sync(1), [vote.clone(), vote]);
}

/// Figure 2: in the term that is durable already, the vote still waits for its own write.
#[test]
fn a_vote_in_a_durable_term_waits_too() {
    let mut host = slow(1, disk(THREE, 1, &[]));
    assert_eq!(host.receive(2, 1, ask(0, 0)), []);
    assert_eq!(host.receive(3, 1, ask(0, 0)), [], "and so does the refusal that depends on it");
    let answers = [(2, RequestVoteResponse { granted: true }), (3, RequestVoteResponse { granted: false })];
    assert_eq!(host.sync(1), answers);
}

/// Figure 2: a candidate asks for votes only when its own vote is durable.
#[test]
fn vote_requests_leave_only_with_the_own_vote() {
    let mut host = slow(1, disk(THREE, 0, &[]));
    host.fire(Timer::Election);
    assert_eq!(host.receive(2, 0, PreVoteResponse { asked_in: t(0), granted: true }), []);
    assert_eq!(host.sync(1), [2, 3].map(|to| (to, ask(0, 0))));
}

/// Figure 2: a candidate counts its own vote only when that vote is durable.
#[test]
fn a_candidate_counts_itself_only_with_its_receipt() {
    let mut host = slow(1, disk(&[1], 0, &[]));
    host.fire(Timer::Election);
    assert!(matches!(host.node.role(), Role::Candidate { votes } if votes.is_empty()));
    host.sync(1);
    assert!(host.node.is_leader());
}

/// Figure 2: when the receipt of a campaign comes, the campaign may be over; nothing of it leaves then.
#[test]
fn a_campaign_that_ended_while_it_synced_asks_for_nothing() {
    let mut host = slow(1, disk(THREE, 0, &[]));
    host.fire(Timer::Election);
    host.receive(2, 0, PreVoteResponse { asked_in: t(0), granted: true });
    host.receive(3, 5, append(at(0, 0), &[], 0));
    assert_eq!(host.sync(1), [], "requests of term 1 are void in term 5");
    assert!(is_follower(&host.node));
    assert_eq!(host.sync(1), [(3, accepted(0))]);
}

// --- terms --------------------------------------------------------------------------------------

/// Figure 2: nothing at all leaves at a term that is not durable.
#[test]
fn nothing_leaves_at_a_term_above_the_durable_one() {
    let messages = [
        append(at(5, 5), &[], 0),
        Heartbeat { commit: i(0), round: 0 },
        RequestVote { last_log: at(0, 0), transfer: false },
    ];
    for message in messages {
        let mut host = slow(1, disk(THREE, 1, &[1]));
        assert_eq!(host.receive(2, 5, message.clone()), [], "{message:?}");
        assert_eq!(host.receive(3, 2, PreVote { last_log: at(1, 1) }), [], "not even a refused pre-vote");
        assert_eq!(host.sync(1).len(), 2);
    }
}

/// A heartbeat of a durable term never waits for the disk, and neither does a pre-vote or a refusal.
#[test]
fn what_depends_on_no_write_does_not_wait() {
    let mut host = slow(1, disk(THREE, 1, &[]));
    host.receive(2, 1, append(at(0, 0), &[1], 0));
    assert_eq!(host.unsynced.len(), 1);
    let beat = Heartbeat { commit: i(0), round: 7 };
    assert_eq!(host.receive(2, 1, beat), [(2, HeartbeatResponse { round: 7 })]);
    assert_eq!(only!(host.receive(2, 1, append(at(9, 1), &[], 0)), AppendRefused { .. }).len(), 1);
    host.fire(Timer::LeaderFresh);
    assert_eq!(host.receive(3, 1, PreVote { last_log: at(1, 1) }).len(), 1);
}

/// §5.1: the term is durable before a restart can forget it.
#[test]
fn term_vote_and_entries_are_one_record() {
    let mut host = slow(1, disk(THREE, 1, &[]));
    host.receive(2, 4, append(at(0, 0), &[4, 4], 0));
    assert_eq!(host.unsynced.len(), 1);
    let write = &host.unsynced[0];
    assert_eq!(write.hard_state, Some(HardState { term: t(4), voted_for: None }));
    assert_eq!(write.entries, [entry(1, 4), entry(2, 4)]);
}

// --- the follower -------------------------------------------------------------------------------

/// Figure 2: an acknowledgement leaves only when the entries are durable.
#[test]
fn an_acknowledgement_leaves_only_with_its_receipt() {
    let mut host = slow(2, disk(THREE, 1, &[]));
    assert_eq!(host.receive(1, 1, append(at(0, 0), &[1], 0)), []);
    assert_eq!(host.receive(1, 1, append(at(1, 1), &[1], 0)), []);
    assert_eq!(host.sync(1), [(1, accepted(1))], "each with its own write");
    assert_eq!(host.sync(1), [(1, accepted(2))]);
}

/// Figure 2: an append that adds nothing still vouches for what precedes it, so it waits for that.
#[test]
fn an_empty_append_waits_for_what_it_vouches_for() {
    let mut host = slow(2, disk(THREE, 1, &[]));
    host.receive(1, 1, append(at(0, 0), &[1], 0));
    assert_eq!(host.receive(1, 1, append(at(1, 1), &[], 0)), []);
    assert_eq!(host.sync(1), [(1, accepted(1)), (1, accepted(1))]);
}

/// One receipt may be for several writes, the oldest first.
#[test]
fn a_receipt_retires_the_oldest_writes() {
    let mut host = slow(2, disk(THREE, 1, &[]));
    for prev in 0..3 {
        host.receive(1, 1, append(at(prev, u64::from(prev > 0)), &[1], 0));
    }
    assert_eq!(host.sync(2), [(1, accepted(1)), (1, accepted(2))]);
    assert_eq!((host.node.durable_index(), host.node.outstanding_writes()), (i(2), 1));
}

/// An index that is written, cut off and written again is durable only with the second write.
#[test]
fn a_receipt_from_before_a_truncation_does_not_vouch_for_the_rewrite() {
    let mut host = slow(1, disk(THREE, 1, &[1]));
    host.receive(2, 1, append(at(1, 1), &[1, 1, 1], 0));
    assert_eq!(host.receive(3, 2, append(at(1, 1), &[2, 2], 3)), []);
    assert_eq!(host.unsynced.len(), 2);
    assert_eq!(host.sync(1), [], "the acknowledgement of term 1 is void");
    assert_eq!(host.node.durable_index(), i(1), "2 to 4 of term 1 are gone");
    assert_eq!(host.handed, [entry(1, 1)], "committed up to 3, durable up to 1");
    assert_eq!(host.sync(1), [(3, accepted(3))]);
    assert_eq!(host.node.durable_index(), i(3));
    assert_eq!(host.handed, [entry(1, 1), entry(2, 2), entry(3, 2)]);
}

/// The same with three leaders: an old receipt never reaches above what still stands.
#[test]
fn two_truncations_leave_two_void_receipts() {
    let mut host = slow(1, disk(THREE, 1, &[]));
    host.receive(2, 1, append(at(0, 0), &[1, 1, 1], 0));
    host.receive(3, 2, append(at(1, 1), &[2, 2], 0));
    host.receive(2, 3, append(at(0, 0), &[3], 0));
    for durable in [0, 0, 1] {
        host.sync(1);
        assert_eq!(host.node.durable_index(), i(durable));
    }
    assert_eq!(host.disk.last(), at(1, 3));
}

/// §5.3: what is handed out for applying is durable here, however far the cluster committed.
#[test]
fn nothing_is_applied_that_is_not_durable_here() {
    let mut host = slow(2, disk(THREE, 1, &[]));
    host.receive(1, 1, append(at(0, 0), &[1, 1], 2));
    assert_eq!((host.node.commit_index(), host.node.handed_index()), (i(2), i(0)));
    host.receive(1, 1, append(at(2, 1), &[1], 3));
    host.sync(1);
    assert_eq!(host.handed, [entry(1, 1), entry(2, 1)]);
    host.sync(1);
    assert_eq!(host.handed.len(), 3);
}

// --- the leader ---------------------------------------------------------------------------------

/// Diss. §10.2.1: the leader writes to its disk in parallel with replicating.
#[test]
fn the_leader_replicates_while_it_syncs() {
    let mut host = slow_leader();
    host.propose(&[1]).expect("it leads");
    assert_eq!(only!(host.mail(), AppendEntries { .. }).len(), 2);
    assert_eq!(host.unsynced.len(), 1);
}

/// Diss. §10.2.1: the leader counts its own copy only from its own receipt.
#[test]
fn the_leader_counts_itself_only_from_its_receipt() {
    let mut host = slow_leader();
    host.propose(&[1]).expect("it leads");
    host.receive(2, 4, accepted(2));
    assert_eq!(host.node.commit_index(), i(1), "one durable copy of three");
    host.sync(1);
    assert_eq!(host.node.commit_index(), i(2));
}

/// Diss. §10.2.1: an entry may be committed before the leader has it on disk; it applies it after.
#[test]
fn followers_may_commit_before_the_leaders_disk() {
    let mut host = slow_leader();
    host.propose(&[1]).expect("it leads");
    host.receive(2, 4, accepted(2));
    host.receive(3, 4, accepted(2));
    assert_eq!((host.node.commit_index(), host.node.handed_index()), (i(2), i(1)));
    host.sync(1);
    assert_eq!(host.node.handed_index(), i(2));
}

/// Leadership is announced when an entry of the own term is applied: the state machine is complete then.
#[test]
fn leadership_begins_when_the_own_term_is_applied() {
    let mut host = Host::new(1, disk(THREE, 3, &[3]));
    host.is_store_slow = true;
    host.elect();
    host.receive(2, 4, accepted(2));
    assert_eq!(host.node.handed_index(), i(2));
    assert_eq!(host.leadership, []);
    let _ = host.step(Input::Applied(i(1)));
    assert_eq!(host.leadership, []);
    let _ = host.step(Input::Applied(i(2)));
    assert_eq!(host.leadership, [dkv::raft::Leadership::Began { term: t(4) }]);
}

// --- crashes ------------------------------------------------------------------------------------

/// A crash keeps some prefix of the writes; every prefix is a disk that the node can start from, and
/// nothing that was acknowledged is missing from it.
#[test]
fn every_prefix_of_the_writes_is_a_good_disk() {
    for survivors in 0..=4 {
        let mut host = slow(2, disk(THREE, 1, &[]));
        host.receive(1, 1, append(at(0, 0), &[1, 1], 1));
        host.receive(3, 2, append(at(1, 1), &[2, 2], 1));
        host.fire(Timer::LeaderFresh);
        host.receive(1, 3, RequestVote { last_log: at(9, 2), transfer: false });
        host.receive(1, 3, append(at(3, 2), &[3], 2));
        assert_eq!(host.unsynced.len(), 4);
        host.crash(survivors);
        let lasts = [at(0, 0), at(2, 1), at(3, 2), at(3, 2), at(4, 3)];
        let terms = [1, 1, 2, 3, 3];
        assert_eq!((host.node.log().last(), host.node.term()), (lasts[survivors], t(terms[survivors])));
        assert_eq!(host.node.hard_state().voted_for, (survivors >= 3).then_some(n(1)));
        assert_eq!(host.node.durable_index(), host.node.log().last().index);
    }
}

/// A store that is durable on its own says how far it is, and is given nothing twice.
#[test]
fn a_durable_store_is_given_nothing_twice() {
    let disk = disk(THREE, 1, &[1, 1, 1]);
    let (mut node, _) = Node::<u8>::restore(n(2), Default::default(), &disk, i(2));
    assert_eq!(node.commit_index(), i(2), "what was applied was committed");
    let beat = Heartbeat { commit: i(3), round: 0 };
    let envelope = dkv::raft::Envelope { from: n(1), to: n(2), term: t(1), message: beat };
    let committed = node.step(Input::Message(envelope)).committed;
    assert_eq!((committed.after, committed.to), (i(2), i(3)));
}

/// The leader that crashed before its own sync does not lead with a shorter log: what the others
/// committed without it comes back to it.
#[test]
fn a_leader_that_lost_its_tail_gets_it_back() {
    let mut net = Net::led_by(1, THREE);
    net.host(1).is_disk_slow = true;
    net.propose(1, 7);
    assert_eq!(net.node(1).commit_index(), i(2), "the two followers have it");
    net.host(1).crash(0);
    net.host(1).is_disk_slow = false;
    assert_eq!(net.node(1).log().last(), at(1, 1));
    net.let_leases_lapse();
    net.fire(1, Timer::Election);
    assert!(!net.node(1).is_leader(), "its log is behind");
    net.elect(2);
    assert_eq!(net.log(1), net.log(2));
    assert_eq!(net.node(2).log().entry(i(2)).map(|entry| entry.id), Some(at(2, 1)));
}

/// A write is applied by all of its parts in order: the same function for every disk.
#[test]
fn a_write_replaces_what_stands_at_its_index() {
    let mut disk = disk(THREE, 1, &[1, 1, 1]);
    let hard_state = Some(HardState { term: t(2), voted_for: Some(n(3)) });
    disk.apply(Write { hard_state, entries: vec![entry(2, 2)], ..Write::default() });
    assert_eq!(disk.last(), at(2, 2));
    assert_eq!(disk.entry(i(3)), None);
    assert_eq!(Some(disk.hard_state), hard_state);
}
