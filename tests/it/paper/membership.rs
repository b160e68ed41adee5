//! Changes of membership. Paper §6, dissertation ch. 4.

use super::kit::*;
use dkv::raft::MemberChange::{AddLearner, Promote, Remove};
use dkv::raft::{Accepted, Configuration, Durable, Input, Message, Refusal, Role, Timer};

const THREE: &[u64] = &[1, 2, 3];

/// A leader of term 4 in `configuration`, whose no-op at 1 everyone has acknowledged.
fn leader(configuration: Configuration) -> Host {
    let mut host = Host::leader(1, disk_of(configuration.clone(), 3, &[]));
    for from in configuration.members().filter(|id| *id != n(1)) {
        host.receive(from.0, 4, accepted(1));
    }
    assert_eq!(host.node.commit_index(), i(1));
    host.mail();
    host
}

fn changing(index: u64) -> Result<Accepted, Refusal> {
    Ok(Accepted::MembersChanging { entry: at(index, 4) })
}

fn addressees(mail: &[(u64, Message<u8>)]) -> Vec<u64> {
    mail.iter().map(|(to, _)| *to).collect()
}

// --- joint consensus ----------------------------------------------------------------------------

/// §6: a configuration is in force as soon as its entry is in the log, committed or not.
#[test]
fn a_configuration_is_in_force_when_it_is_appended() {
    let mut host = leader(with_learners(voters(THREE), &[4]));
    assert_eq!(host.change(&[Promote(n(4))]), changing(2));
    assert_eq!(*host.node.configuration(), joint(THREE, &[1, 2, 3, 4]));
    let mut follower = Host::new(2, disk(THREE, 4, &[4]));
    let entries = vec![configured(2, 4, joint(THREE, &[1, 2, 3, 4]))];
    follower.receive(1, 4, AppendEntries { prev: at(1, 4), entries, leader_commit: i(0) });
    assert_eq!(*follower.node.configuration(), joint(THREE, &[1, 2, 3, 4]));
}

/// §6: a change of voters goes through C_old,new, which is replicated to the servers of both.
#[test]
fn a_change_of_voters_is_joint_and_goes_to_both_configurations() {
    let mut host = leader(with_learners(voters(THREE), &[4]));
    host.change(&[Promote(n(4)), Remove(n(3))]).expect("it leads");
    assert_eq!(*host.node.configuration(), joint(THREE, &[1, 2, 4]));
    assert_eq!(addressees(&host.mail()), [2, 3, 4]);
}

/// §6: agreement in the joint phase needs separate majorities of both configurations.
#[test]
fn a_joint_commitment_needs_both_majorities() {
    for (first, second) in [([2, 3], 4), ([4, 5], 2)] {
        let mut host = leader(with_learners(voters(THREE), &[4, 5]));
        host.change(&[Promote(n(4)), Promote(n(5)), Remove(n(2)), Remove(n(3))]).expect("it leads");
        assert_eq!(*host.node.configuration(), joint(THREE, &[1, 4, 5]));
        for from in first {
            host.receive(from, 4, accepted(2));
            let both = host.node.commit_index() == i(2);
            assert!(!both, "{from} adds to one majority only");
        }
        host.receive(second, 4, accepted(2));
        assert_eq!(host.node.commit_index(), i(2));
    }
}

/// §6: an election in the joint phase needs both majorities, and servers of both are asked.
#[test]
fn a_joint_election_needs_both_majorities() {
    let mut host = Host::new(1, disk_of(joint(THREE, &[1, 4, 5]), 3, &[]));
    assert_eq!(addressees(&host.fire(Timer::Election)), [4, 5, 2, 3]);
    for from in [2, 3] {
        host.receive(from, 3, PreVoteResponse { asked_in: t(3), granted: true });
    }
    assert!(matches!(host.node.role(), Role::PreCandidate { .. }));
    let mail = host.receive(4, 3, PreVoteResponse { asked_in: t(3), granted: true });
    assert_eq!(addressees(&mail), [4, 5, 2, 3]);
    for from in [4, 5] {
        host.receive(from, 4, RequestVoteResponse { granted: true });
    }
    assert!(matches!(host.node.role(), Role::Candidate { .. }));
    host.receive(2, 4, RequestVoteResponse { granted: true });
    assert!(host.node.is_leader());
}

/// Diss. §6.2 with §6: a joint leader needs to hear both majorities.
#[test]
fn a_joint_leader_checks_both_quorums() {
    let mut host = leader(joint(THREE, &[1, 4, 5]));
    host.fire(Timer::CheckQuorum);
    for from in [2, 3] {
        host.receive(from, 4, HeartbeatResponse { round: 0 });
    }
    host.fire(Timer::CheckQuorum);
    assert!(is_follower(&host.node));
}

/// §6: once C_old,new is committed, and not before, the leader appends C_new by itself.
#[test]
fn the_joint_phase_is_left_when_it_is_committed() {
    let mut host = leader(with_learners(voters(THREE), &[4]));
    host.change(&[Promote(n(4))]).expect("it leads");
    host.receive(2, 4, accepted(2));
    assert!(host.node.configuration().is_joint(), "2 of 4 is no majority of the new configuration");
    host.receive(4, 4, accepted(2));
    assert_eq!(host.node.log().last(), at(3, 4));
    assert_eq!(*host.node.configuration(), voters(&[1, 2, 3, 4]));
    host.receive(2, 4, accepted(3));
    assert_eq!(host.node.commit_index(), i(2), "C_new decides about itself");
    host.receive(4, 4, accepted(3));
    assert_eq!(host.node.commit_index(), i(3));
}

/// §6: the joint phase lasts until C_old,new itself is committed, not only what came before it.
#[test]
fn the_joint_phase_outlasts_the_commitment_of_earlier_entries() {
    let mut host = leader(with_learners(voters(THREE), &[4]));
    host.propose(&[2]).expect("it leads");
    assert_eq!(host.change(&[Promote(n(4))]), changing(3));
    host.receive(2, 4, accepted(2));
    host.receive(3, 4, accepted(2));
    assert_eq!(host.node.commit_index(), i(2), "both majorities have it");
    assert_eq!(*host.node.configuration(), joint(THREE, &[1, 2, 3, 4]));
    assert_eq!(host.node.log().last(), at(3, 4));
}

/// §6: a joint phase that a leader did not survive is left by the next one.
#[test]
fn the_next_leader_leaves_the_joint_phase() {
    let mut disk = disk(THREE, 3, &[1]);
    disk.entries.push_back(configured(2, 3, joint(THREE, &[1, 2])));
    let mut host = Host::leader(1, disk);
    assert!(host.node.configuration().is_joint());
    host.receive(2, 4, accepted(3));
    assert_eq!(host.node.log().last(), at(4, 4));
    assert_eq!(*host.node.configuration(), voters(&[1, 2]));
}

/// §6: until a change is complete no other one starts, in the joint phase and after it.
#[test]
fn one_change_at_a_time() {
    let mut host = leader(with_learners(voters(THREE), &[4]));
    host.change(&[Promote(n(4))]).expect("it leads");
    assert_eq!(host.change(&[Remove(n(3))]), Err(Refusal::ChangeInProgress));
    host.receive(2, 4, accepted(2));
    host.receive(4, 4, accepted(2));
    assert!(!host.node.configuration().is_joint());
    assert_eq!(host.change(&[Remove(n(3))]), Err(Refusal::ChangeInProgress), "C_new is not committed");
    host.receive(2, 4, accepted(3));
    host.receive(4, 4, accepted(3));
    assert_eq!(host.change(&[Remove(n(3))]), changing(4));
}

/// Diss. §4.1, as corrected: no change before an entry of the leader's own term is committed.
#[test]
fn no_change_before_a_commitment_of_the_own_term() {
    let mut host = Host::leader(1, disk(THREE, 3, &[1, 2]));
    assert_eq!(host.change(&[Remove(n(3))]), Err(Refusal::ChangeInProgress));
    host.receive(2, 4, accepted(2));
    assert_eq!(host.change(&[Remove(n(3))]), Err(Refusal::ChangeInProgress));
    host.receive(2, 4, accepted(3));
    assert_eq!(host.change(&[Remove(n(3))]), changing(4));
    let mut founder = Host::founded(1, THREE, 1);
    assert_eq!(founder.change(&[Remove(n(3))]), Err(Refusal::ChangeInProgress));
    founder.receive(2, 1, accepted(1));
    assert!(founder.change(&[Remove(n(3))]).is_ok(), "the refusal appended the no-op that a retry needs");
}

/// §6: a server always uses the latest configuration in its log, so it falls back when that is cut off.
#[test]
fn a_configuration_falls_back_when_its_entry_is_cut_off() {
    let mut disk = disk(THREE, 3, &[1]);
    disk.entries.push_back(configured(2, 2, joint(THREE, &[1, 2])));
    disk.entries.push_back(configured(3, 2, voters(&[1, 2])));
    let mut host = Host::new(2, disk);
    assert_eq!(*host.node.configuration(), voters(&[1, 2]));
    host.receive(3, 4, append(at(2, 2), &[4], 0));
    assert_eq!(*host.node.configuration(), joint(THREE, &[1, 2]));
    host.receive(1, 5, append(at(1, 1), &[5], 0));
    assert_eq!(*host.node.configuration(), voters(THREE));
}

/// A change that makes no sense is refused, and nothing is appended.
#[test]
fn a_senseless_change_is_refused() {
    let mut host = leader(with_learners(voters(THREE), &[4]));
    let everyone = [Remove(n(1)), Remove(n(2)), Remove(n(3))];
    for changes in
        [&[][..], &[Promote(n(9))], &[Promote(n(2))], &[Remove(n(9))], &[AddLearner(n(4))], &everyone]
    {
        assert_eq!(host.change(changes), Err(Refusal::InvalidChange), "{changes:?}");
    }
    assert_eq!(host.node.log().last(), at(1, 4));
    let mut follower = Host::new(2, disk(THREE, 3, &[]));
    assert_eq!(follower.change(&[Remove(n(3))]), Err(Refusal::NotLeader { hint: None }));
}

// --- learners -----------------------------------------------------------------------------------

/// Diss. §4.2.1: a new server first joins without a vote; that takes no joint phase.
#[test]
fn a_learner_joins_in_one_step() {
    let mut host = leader(voters(THREE));
    assert_eq!(host.change(&[AddLearner(n(4))]), changing(2));
    assert_eq!(*host.node.configuration(), with_learners(voters(THREE), &[4]));
    assert_eq!(addressees(&host.mail()), [2, 3, 4]);
}

/// Diss. §4.2.1: a learner receives the log and is not counted.
#[test]
fn a_learner_is_not_counted() {
    let mut host = leader(with_learners(voters(THREE), &[4, 5]));
    host.propose(&[1]).expect("it leads");
    assert_eq!(addressees(&host.mail()), [2, 3, 4, 5]);
    host.receive(4, 4, accepted(2));
    host.receive(5, 4, accepted(2));
    assert_eq!(host.node.commit_index(), i(1));
    host.receive(3, 4, accepted(2));
    assert_eq!(host.node.commit_index(), i(2));
    host.fire(Timer::CheckQuorum);
    for from in [4, 5] {
        host.receive(from, 4, HeartbeatResponse { round: 0 });
    }
    host.fire(Timer::CheckQuorum);
    assert!(is_follower(&host.node), "nor for the leader's quorum");
}

/// Diss. §4.2.1: a learner does not campaign, and nobody asks it for a vote.
#[test]
fn a_learner_takes_no_part_in_elections() {
    let configuration = with_learners(voters(&[1, 2]), &[3]);
    let mut learner = Host::new(3, disk_of(configuration.clone(), 3, &[]));
    assert_eq!(learner.fire(Timer::Election), []);
    assert!(is_follower(&learner.node));
    let mut voter = Host::new(1, disk_of(configuration, 3, &[]));
    assert_eq!(addressees(&voter.fire(Timer::Election)), [2]);
    voter.receive(3, 3, PreVoteResponse { asked_in: t(3), granted: true });
    assert!(matches!(voter.node.role(), Role::PreCandidate { .. }), "its word would not count");
}

/// A learner that became a voter without knowing yet answers like a voter; the cluster may depend on it.
#[test]
fn a_learner_answers_vote_requests() {
    let mut learner = Host::new(3, disk_of(with_learners(voters(&[1, 2]), &[3]), 3, &[]));
    let pre_vote = learner.receive(1, 3, PreVote { last_log: at(5, 3) });
    assert_eq!(pre_vote, [(1, PreVoteResponse { asked_in: t(3), granted: true })]);
    let vote = learner.receive(1, 4, RequestVote { last_log: at(5, 3), transfer: false });
    assert_eq!(vote, [(1, RequestVoteResponse { granted: true })]);
    let mut empty = Host::new(9, Durable::empty());
    let vote = empty.receive(1, 4, RequestVote { last_log: at(5, 3), transfer: false });
    assert_eq!(vote, [(1, RequestVoteResponse { granted: true })], "even one that knows no configuration");
}

/// Diss. §4.2.1: a new server starts empty, is caught up, and then votes.
#[test]
fn a_server_is_added() {
    let mut net = Net::led_by(1, THREE);
    net.propose(1, 5);
    net.join(4);
    net.change(1, &[AddLearner(n(4))]);
    net.fire(1, Timer::Heartbeat);
    assert_eq!(net.log(4), net.log(1));
    net.change(1, &[Promote(n(4))]);
    net.fire(1, Timer::Heartbeat);
    for id in [1, 2, 3, 4] {
        assert_eq!(*net.node(id).configuration(), voters(&[1, 2, 3, 4]));
        assert_eq!(net.node(id).commit_index(), net.node(1).log().last().index);
    }
    net.isolate(2);
    net.propose(1, 6);
    assert_eq!(net.node(4).commit_index(), net.node(1).log().last().index);
    net.host(1).transfer(4).expect("it is a voter now");
    net.settle();
    assert!(net.node(4).is_leader());
}

/// A voter becomes a learner through a joint phase in which it still votes.
#[test]
fn a_voter_is_demoted() {
    let mut net = Net::led_by(1, THREE);
    net.isolate(2);
    net.host(1).change(&[AddLearner(n(3))]).expect("it leads");
    let demoting = with_learners(joint(THREE, &[1, 2]), &[3]);
    assert_eq!(*net.node(1).configuration(), demoting);
    net.settle();
    assert_eq!(*net.node(1).configuration(), demoting, "the new configuration needs node 2");
    net.heal();
    net.fire(1, Timer::Heartbeat);
    net.fire(1, Timer::Heartbeat);
    assert_eq!(*net.node(3).configuration(), with_learners(voters(&[1, 2]), &[3]));
    assert_eq!(net.log(3), net.log(1), "it keeps receiving the log");
}

// --- removal ------------------------------------------------------------------------------------

/// §6: a removed server is told that its removal is committed, then no longer spoken to.
#[test]
fn a_removed_server_is_let_go() {
    let mut net = Net::led_by(1, THREE);
    net.change(1, &[Remove(n(3))]);
    assert_eq!(*net.node(3).configuration(), voters(&[1, 2]));
    net.delivered.clear();
    net.propose(1, 7);
    net.fire(1, Timer::Heartbeat);
    assert!(net.delivered.iter().all(|sent| sent.to != n(3)));
    assert!(!net.node(1).progress().expect("it leads").contains_key(&n(3)));
    net.fire(3, Timer::LeaderFresh);
    net.fire(3, Timer::Election);
    assert!(is_follower(net.node(3)), "it knows that it is out, and is quiet");
}

/// §6: a leader that is not part of C_new manages it without counting itself.
#[test]
fn a_leader_outside_the_new_configuration_does_not_count_itself() {
    let mut host = leader(voters(THREE));
    host.change(&[Remove(n(1))]).expect("it leads");
    host.receive(2, 4, accepted(2));
    host.receive(3, 4, accepted(2));
    assert_eq!(*host.node.configuration(), voters(&[2, 3]));
    host.receive(2, 4, accepted(3));
    assert_eq!(host.node.commit_index(), i(2), "itself and node 2 would be two, but it is out");
    assert!(host.node.is_leader());
    host.read(1);
    host.receive(2, 4, HeartbeatResponse { round: 1 });
    assert_eq!(host.reads, [], "nor for reads");
}

/// §6: such a leader steps down when C_new is committed, and not before.
#[test]
fn a_removed_leader_steps_down_once_its_removal_is_committed() {
    let mut host = leader(voters(THREE));
    host.change(&[Remove(n(1))]).expect("it leads");
    for from in [2, 3] {
        host.receive(from, 4, accepted(2));
    }
    host.receive(2, 4, accepted(3));
    assert!(host.node.is_leader());
    let mail = host.receive(3, 4, accepted(3));
    assert!(is_follower(&host.node));
    let told = |id| (id, Heartbeat { commit: i(3), round: 0 });
    assert!(mail.contains(&told(2)) && mail.contains(&told(3)), "its last word is the commitment: {mail:?}");
    host.fire(Timer::Election);
    assert!(is_follower(&host.node), "and it does not come back");
}

/// §6: the cluster goes on without its leader.
#[test]
fn the_remaining_servers_elect_another_leader() {
    let mut net = Net::led_by(1, THREE);
    net.change(1, &[Remove(n(1))]);
    assert!(is_follower(net.node(1)));
    net.elect(3);
    net.propose(3, 9);
    assert_eq!(net.node(2).commit_index(), net.node(3).log().last().index);
    assert!(net.node(1).log().last() < net.node(3).log().last());
}

/// Diss. §4.2.2: a server outside its own latest configuration still starts elections while that is not
/// committed, since nobody else may be able to win (its figure 4.6); its own vote does not count.
#[test]
fn a_leaving_server_campaigns_until_its_removal_is_committed() {
    let mut net = Net::of([(1, disk(&[1, 2], 0, &[])), (2, disk(&[1, 2], 0, &[]))]);
    net.elect(1);
    net.host(1).change(&[Remove(n(1))]).expect("it leads");
    let is_last = |entries: &[dkv::raft::Entry<u8>]| entries.iter().any(|entry| entry.id.index >= i(3));
    net.settle_without(|sent| matches!(&sent.message, AppendEntries { entries, .. } if is_last(entries)));
    assert_eq!(*net.node(1).configuration(), voters(&[2]), "only node 1 has C_new");
    assert_eq!(*net.node(2).configuration(), joint(&[1, 2], &[2]));
    net.crash(1);
    net.let_leases_lapse();
    net.fire(2, Timer::Election);
    assert!(!net.node(2).is_leader(), "the log of node 2 is behind that of node 1, whose vote it needs");
    net.fire(1, Timer::Election);
    net.fire(1, Timer::Heartbeat);
    assert_eq!(*net.node(2).configuration(), voters(&[2]));
    assert!(is_follower(net.node(1)), "having committed its removal, it stepped down");
    net.elect(2);
    net.propose(2, 1);
    assert_eq!(net.node(2).commit_index(), net.node(2).log().last().index);
}

/// Diss. §4.2.2: a candidate outside its latest configuration does not count its own vote.
#[test]
fn a_leaving_candidate_does_not_count_itself() {
    let mut disk = disk(THREE, 3, &[]);
    disk.entries.push_back(configured(1, 3, joint(THREE, &[2, 3])));
    disk.entries.push_back(configured(2, 3, voters(&[2, 3])));
    let mut host = Host::new(1, disk);
    assert_eq!(addressees(&host.fire(Timer::Election)), [2, 3]);
    host.receive(2, 3, PreVoteResponse { asked_in: t(3), granted: true });
    assert!(matches!(host.node.role(), Role::PreCandidate { .. }), "itself and one of two is no majority");
    host.receive(3, 3, PreVoteResponse { asked_in: t(3), granted: true });
    host.receive(2, 4, RequestVoteResponse { granted: true });
    assert!(matches!(host.node.role(), Role::Candidate { .. }));
    host.receive(3, 4, RequestVoteResponse { granted: true });
    assert!(host.node.is_leader());
    host.receive(2, 4, accepted(3));
    assert!(host.node.is_leader());
    host.receive(3, 4, accepted(3));
    assert!(is_follower(&host.node));
}

/// A learner whose own addition is not committed yet was never a voter and does not campaign either.
#[test]
fn a_learner_that_is_being_added_does_not_campaign() {
    let mut disk = disk(&[1, 2], 3, &[]);
    disk.entries.push_back(configured(1, 3, with_learners(voters(&[1, 2]), &[3])));
    let mut host = Host::new(3, disk);
    assert_eq!(host.fire(Timer::Election), []);
}

/// Diss. §4.2.3: a server that does not know of its removal cannot depose the leader.
#[test]
fn a_removed_server_that_missed_it_does_not_disrupt() {
    let mut net = Net::led_by(1, THREE);
    net.isolate(3);
    net.change(1, &[Remove(n(3))]);
    assert_eq!(*net.node(1).configuration(), voters(&[1, 2]));
    net.heal();
    let term = net.node(1).term();
    for _ in 0..3 {
        net.fire(3, Timer::LeaderFresh);
        net.fire(3, Timer::Election);
    }
    assert!(net.node(1).is_leader());
    assert_eq!(net.node(1).term(), term);
}

/// Diss. §3.10 with §6: a transfer to a server that is voted out meanwhile is given up.
#[test]
fn a_transfer_to_a_removed_server_is_given_up() {
    let mut host = leader(voters(THREE));
    host.change(&[Remove(n(3))]).expect("it leads");
    host.transfer(3).expect_err("it is no voter of the new configuration");
    host.transfer(2).expect("node 2 stays");
    host.receive(2, 4, accepted(2));
    assert_eq!(host.node.transferee(), Some(n(2)));
    let mut other = leader(voters(THREE));
    other.transfer(3).expect("it is a voter");
    let _ = other.step(Input::Timeout(Timer::Transfer));
    assert_eq!(other.change(&[Remove(n(3))]), changing(2));
}

/// §6: the joint phase survives a change of leader in the middle, whoever has which part of it.
#[test]
fn a_change_survives_its_leader_at_every_point() {
    for lost_from in 2..=4 {
        let mut net = Net::led_by(1, &[1, 2, 3]);
        net.join(4);
        net.change(1, &[AddLearner(n(4))]);
        net.host(1).change(&[Promote(n(4)), Remove(n(1))]).expect("it leads");
        let first_lost = i(lost_from + 1);
        let loses =
            |entries: &[dkv::raft::Entry<u8>]| entries.iter().any(|entry| entry.id.index >= first_lost);
        net.settle_without(|sent| matches!(&sent.message, AppendEntries { entries, .. } if loses(entries)));
        net.crash(1);
        for _ in 0..3 {
            for id in [2, 3, 4, 1] {
                net.let_leases_lapse();
                net.fire(id, Timer::Election);
                let leader = [1, 2, 3, 4].into_iter().find(|id| net.node(*id).is_leader());
                leader.into_iter().for_each(|leader| net.fire(leader, Timer::Heartbeat));
            }
        }
        let leader =
            [1, 2, 3, 4].into_iter().find(|id| net.node(*id).is_leader()).expect("one of them leads");
        assert!(!net.node(leader).configuration().is_joint());
        net.propose(leader, 9);
        assert_eq!(net.node(leader).commit_index(), net.node(leader).log().last().index);
    }
}
