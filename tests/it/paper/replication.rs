//! Log replication. Paper §5.3, §5.4.2 and Figure 2; pipelining, diss. §10.2.1 and §10.2.2.

use super::kit::*;
use dkv::raft::progress::Flow;
use dkv::raft::{Accepted, Input, Limits, Message, Refusal, Timer};

const THREE: &[u64] = &[1, 2, 3];
const FIVE: &[u64] = &[1, 2, 3, 4, 5];

fn refused(prev: u64, conflict_term: Option<u64>, conflict_index: u64) -> Message<u8> {
    AppendRefused { prev: i(prev), conflict_term: conflict_term.map(t), conflict_index: i(conflict_index) }
}

fn terms(host: &Host) -> Vec<u64> {
    host.node.log().entries().map(|entry| entry.id.term.0).collect()
}

/// A leader of term 4 whose no-op at 1 is acknowledged by node 2 and so committed.
fn settled_leader(limits: Limits) -> Host {
    let mut host = Host::leader_with_limits(1, disk(THREE, 3, &[]), limits);
    host.receive(2, 4, accepted(1));
    host
}

/// The appends in a mail, as the index before the first entry and the number of entries.
fn appends(mail: Vec<(u64, Message<u8>)>, to: u64) -> Vec<(u64, usize)> {
    let appends = mail.into_iter().filter(|(id, _)| *id == to);
    let shapes = appends.filter_map(|(_, message)| match message {
        AppendEntries { prev, entries, .. } => Some((prev.index.0, entries.len())),
        _ => None,
    });
    shapes.collect()
}

// --- the leader's log ---------------------------------------------------------------------------

/// §5.3: the leader appends the command to its log and sends it to all others in parallel.
#[test]
fn the_leader_appends_and_replicates() {
    let mut host = settled_leader(Limits::default());
    host.receive(3, 4, accepted(1));
    assert_eq!(host.propose(&[7, 8]), Ok(Accepted::Proposed { first: at(2, 4), count: 2 }));
    assert_eq!(appends(host.mail(), 2), [(1, 2)]);
    assert_eq!(terms(&host), [4, 4, 4]);
}

/// A proposal of nothing, or of more than may ever be uncommitted, would never be taken, and is not asked again.
#[test]
fn proposals_that_can_never_be_taken_are_invalid() {
    let mut host = settled_leader(Limits { uncommitted_entries_max: 2, ..Limits::default() });
    assert_eq!(host.propose(&[]), Err(Refusal::InvalidProposal));
    assert_eq!(host.propose(&[1, 2, 3]), Err(Refusal::InvalidProposal));
    assert!(host.propose(&[1, 2]).is_ok());
    assert_eq!(host.propose(&[3]), Err(Refusal::Busy), "this one may be asked again");
}

/// §5.3: a request that is not for the leader is refused with the leader it knows (§8).
#[test]
fn others_refuse_proposals_and_name_the_leader() {
    let mut host = Host::new(1, disk(THREE, 3, &[]));
    assert_eq!(host.propose(&[1]), Err(Refusal::NotLeader { hint: None }));
    host.receive(3, 3, Heartbeat { commit: i(0), round: 0 });
    assert_eq!(host.propose(&[1]), Err(Refusal::NotLeader { hint: Some(n(3)) }));
    assert_eq!(host.node.log().last(), at(0, 0));
}

/// A proposal may name the term it is meant for, and is refused in any other.
#[test]
fn a_proposal_for_another_term_is_refused() {
    let mut host = settled_leader(Limits::default());
    let propose = |term| Input::Propose { commands: vec![1], expected_term: Some(t(term)) };
    assert_eq!(host.step(propose(3)).outcome, Some(Err(Refusal::TermChanged { current: t(4) })));
    assert!(matches!(host.step(propose(4)).outcome, Some(Ok(_))));
}

/// What is not committed is bounded; a batch is taken whole or not at all.
#[test]
fn proposals_beyond_the_limit_are_refused_as_a_whole() {
    let mut host = settled_leader(Limits { uncommitted_entries_max: 3, ..Limits::default() });
    assert!(host.propose(&[1, 2]).is_ok());
    assert_eq!(host.propose(&[3, 4]), Err(Refusal::Busy));
    assert_eq!(host.node.log().last(), at(3, 4));
    assert!(host.propose(&[3]).is_ok());
    host.receive(2, 4, accepted(4));
    assert!(host.propose(&[4]).is_ok(), "commitment makes room");
}

// --- commitment ---------------------------------------------------------------------------------

/// §5.3: an entry is committed once a majority has it; the leader then applies it.
#[test]
fn an_entry_is_committed_by_a_majority() {
    let mut host = Host::leader(1, disk(FIVE, 0, &[]));
    host.receive(2, 1, accepted(1));
    host.receive(2, 1, accepted(1));
    assert_eq!(host.node.commit_index(), i(0), "one follower twice is no majority of five");
    host.receive(3, 1, accepted(1));
    assert_eq!(host.node.commit_index(), i(1));
    assert_eq!(host.handed, [noop(1, 1)]);
}

/// §5.3: committing an entry commits all preceding ones, those of earlier leaders too.
#[test]
fn commitment_includes_entries_of_earlier_leaders() {
    let mut host = Host::leader(1, disk(THREE, 3, &[1, 2]));
    host.receive(2, 4, accepted(3));
    assert_eq!(host.handed, [entry(1, 1), entry(2, 2), noop(3, 4)]);
}

/// §5.4.2, Figure 8: entries of earlier terms are never committed by counting copies.
#[test]
fn entries_of_earlier_terms_are_not_committed_by_counting() {
    let mut host = Host::leader(1, disk(FIVE, 3, &[1, 2]));
    for from in [2, 3, 4, 5] {
        host.receive(from, 4, accepted(2));
    }
    assert_eq!(host.node.commit_index(), i(0), "everyone has entry 2, of term 2");
    host.receive(2, 4, accepted(3));
    host.receive(3, 4, accepted(3));
    assert_eq!(host.node.commit_index(), i(3));
}

/// §5.3: followers learn the commit index and apply in log order.
#[test]
fn followers_apply_what_the_leader_committed() {
    let mut host = Host::new(2, disk(THREE, 1, &[]));
    host.receive(1, 1, append(at(0, 0), &[1, 1, 1], 2));
    assert_eq!(host.handed, [entry(1, 1), entry(2, 1)]);
    host.receive(1, 1, append(at(3, 1), &[], 3));
    assert_eq!(host.handed.last(), Some(&entry(3, 1)));
}

/// Figure 2: commitIndex becomes the smaller of leaderCommit and the last new entry, since what follows
/// in the log is not known to agree.
#[test]
fn a_follower_commits_no_further_than_the_append_proved() {
    let mut host = Host::new(2, disk(THREE, 2, &[1, 1, 2]));
    host.receive(1, 3, append(at(1, 1), &[], 3));
    assert_eq!(host.node.commit_index(), i(1));
    host.receive(1, 3, append(at(1, 1), &[1], 3));
    assert_eq!(host.node.commit_index(), i(2));
}

/// Figure 2: the commit index only grows, whatever arrives late.
#[test]
fn the_commit_index_never_moves_back() {
    let mut host = Host::new(2, disk(THREE, 1, &[]));
    host.receive(1, 1, append(at(0, 0), &[1, 1, 1], 3));
    host.receive(1, 1, append(at(0, 0), &[1], 1));
    host.receive(1, 1, Heartbeat { commit: i(1), round: 0 });
    assert_eq!(host.node.commit_index(), i(3));
}

/// A heartbeat compares no logs, so it carries no more than the receiver acknowledged.
#[test]
fn a_heartbeat_carries_the_commit_index_up_to_what_was_acknowledged() {
    let mut host = settled_leader(Limits::default());
    let mail = host.fire(Timer::Heartbeat);
    let beat = |commit| Heartbeat { commit: i(commit), round: 0 };
    assert_eq!(mail, [(2, beat(1)), (3, beat(0))]);
    let mut follower = Host::new(2, disk(THREE, 4, &[4]));
    follower.receive(1, 4, beat(1));
    assert_eq!(follower.handed, [entry(1, 4)]);
}

/// An idle follower is told of a commitment at once, or with the next heartbeat if so configured.
#[test]
fn an_idle_follower_learns_of_a_commitment_at_once() {
    for eager_commit in [true, false] {
        let mut host = settled_leader(Limits { eager_commit, ..Limits::default() });
        host.receive(3, 4, accepted(1));
        host.propose(&[1]).expect("it leads");
        host.mail();
        let told = only!(host.receive(2, 4, accepted(2)), Heartbeat { .. });
        let expected = vec![(2, Heartbeat { commit: i(2), round: 0 })];
        assert_eq!(told, if eager_commit { expected } else { vec![] });
        assert_eq!(only!(host.receive(2, 4, accepted(2)), Heartbeat { .. }), [], "once is enough");
    }
}

// --- the consistency check ----------------------------------------------------------------------

/// §5.3: a follower refuses entries if its log lacks the one before them.
#[test]
fn refuses_an_append_after_a_gap() {
    let mut host = Host::new(2, disk(THREE, 2, &[1, 1]));
    assert_eq!(host.receive(1, 2, append(at(3, 1), &[2], 4)), [(1, refused(3, None, 3))]);
    assert_eq!((host.node.log().last(), host.node.commit_index()), (at(2, 1), i(0)));
}

/// §5.3: a follower refuses entries if the one before them has another term; it tells that term and
/// where it begins.
#[test]
fn refuses_an_append_after_a_conflict() {
    let mut host = Host::new(2, disk(THREE, 3, &[1, 2, 2, 2]));
    assert_eq!(host.receive(1, 3, append(at(4, 3), &[3], 4)), [(1, refused(4, Some(2), 2))]);
    assert_eq!(terms(&host), [1, 2, 2, 2], "a refused append changes nothing");
}

/// §5.3: conflicting entries are overwritten with the leader's, and all that follow them go.
#[test]
fn conflicting_entries_are_overwritten() {
    let mut host = Host::new(2, disk(THREE, 3, &[1, 2, 2, 2]));
    assert_eq!(host.receive(1, 4, append(at(1, 1), &[4], 0)), [(1, accepted(2))]);
    assert_eq!(terms(&host), [1, 4]);
    assert_eq!(host.disk.last(), at(2, 4), "on the disk too");
}

/// Figure 2: entries that agree are kept: a delayed append does not truncate what a later one brought.
#[test]
fn a_late_append_truncates_nothing() {
    let mut host = Host::new(2, disk(THREE, 2, &[]));
    host.receive(1, 2, append(at(0, 0), &[1, 2], 0));
    host.receive(1, 2, append(at(2, 2), &[2], 0));
    assert_eq!(host.receive(1, 2, append(at(0, 0), &[1], 0)), [(1, accepted(1))], "it proves index 1 only");
    assert_eq!(host.receive(1, 2, append(at(0, 0), &[], 0)), [(1, accepted(0))]);
    assert_eq!(terms(&host), [1, 2, 2]);
}

/// §5.1: appends are idempotent; a repeated one is acknowledged again and written once.
#[test]
fn a_repeated_append_is_acknowledged_and_not_written_again() {
    let mut host = Host::new(2, disk(THREE, 1, &[]));
    let message = append(at(0, 0), &[1, 1], 0);
    host.receive(1, 1, message.clone());
    host.is_disk_slow = true;
    assert_eq!(host.receive(1, 1, message), [(1, accepted(2))]);
    assert!(host.unsynced.is_empty());
}

/// Figure 2: the acknowledgement says what the message proved, not how long the log is.
#[test]
fn acknowledges_the_matched_prefix_only() {
    let mut host = Host::new(2, disk(THREE, 2, &[1, 2, 2]));
    assert_eq!(host.receive(1, 3, append(at(1, 1), &[], 0)), [(1, accepted(1))]);
}

// --- the way back to agreement ------------------------------------------------------------------

/// §5.3: after a refusal the leader skips a whole term of the follower's that it does not have.
#[test]
fn the_leader_skips_a_term_it_does_not_have() {
    let mut host = Host::leader(1, disk(THREE, 6, &[1, 1, 1, 4, 4]));
    let mail = host.receive(2, 7, refused(5, Some(2), 3));
    assert_eq!(appends(mail, 2), [(2, 4)], "right before the follower's first of term 2");
}

/// §5.3: of a term that both have, the leader continues after its own last entry of it.
#[test]
fn the_leader_continues_after_its_last_entry_of_the_conflicting_term() {
    let mut host = Host::leader(1, disk(THREE, 6, &[1, 4, 4, 5, 5]));
    let mail = host.receive(2, 7, refused(5, Some(4), 2));
    assert_eq!(appends(mail, 2), [(3, 3)]);
}

/// §5.3: to a follower whose log is too short, the leader goes back to its end at once.
#[test]
fn the_leader_goes_back_to_the_end_of_a_short_log() {
    let mut host = Host::leader(1, disk(THREE, 6, &[1, 1, 1, 1, 1]));
    assert_eq!(appends(host.receive(2, 7, refused(5, None, 2)), 2), [(1, 5)]);
}

/// §5.3, Figure 7: the leader brings any follower's log to equal its own, with at most one refusal for
/// each conflicting term and one for a short log.
#[test]
fn the_logs_of_figure_7_become_equal() {
    let leader: &[u64] = &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
    let followers: [(&[u64], usize); 8] = [
        (&[1, 1, 1, 4, 4, 5, 5, 6, 6], 1),
        (&[1, 1, 1, 4], 1),
        (&[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6], 0),
        (&[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7], 0),
        (&[1, 1, 1, 4, 4, 4, 4], 2),
        (&[1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3], 2),
        (&[], 1),
        (&[1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2], 1),
    ];
    for (follower, refusals_max) in followers {
        let disks = [(1, disk(THREE, 7, leader)), (2, disk(THREE, 7, follower)), (3, disk(THREE, 7, &[]))];
        let mut net = Net::of(disks);
        net.elect_with_vote_of(1, 3);
        net.fire(1, Timer::Heartbeat);
        assert_eq!(net.log(2), net.log(1), "{follower:?}");
        let count = |message: &Message<u8>| matches!(message, AppendRefused { .. });
        let refusals = net.delivered.iter().filter(|sent| sent.from == n(2) && count(&sent.message)).count();
        assert!(refusals <= refusals_max, "{refusals} refusals from {follower:?}");
    }
}

/// §5.3: a late or repeated acknowledgement takes nothing back.
#[test]
fn a_late_acknowledgement_changes_nothing() {
    let mut host = settled_leader(Limits::default());
    host.propose(&[1, 2]).expect("it leads");
    host.receive(2, 4, accepted(3));
    host.receive(2, 4, accepted(1));
    let progress = &host.node.progress().expect("it leads")[&n(2)];
    assert_eq!((progress.match_index, progress.next_index), (i(3), i(4)));
    assert_eq!(host.node.commit_index(), i(3));
}

/// §5.3: a late refusal neither lowers what is known to match nor stops the pipeline.
#[test]
fn a_late_refusal_changes_nothing() {
    let mut host = settled_leader(Limits::default());
    host.propose(&[1, 2]).expect("it leads");
    host.receive(2, 4, accepted(3));
    let before = host.node.clone();
    assert_eq!(host.receive(2, 4, refused(3, None, 1)), []);
    assert_eq!(host.receive(2, 4, refused(0, None, 1)), []);
    assert_eq!(host.node, before);
    let mut probing = Host::leader(1, disk(THREE, 6, &[1, 1, 1]));
    probing.receive(2, 7, refused(3, None, 2));
    assert_eq!(probing.receive(2, 7, refused(3, None, 2)), [], "the same refusal again is of an older probe");
}

/// §5.3: a refusal says where logs differ, and takes back nothing of what was acknowledged.
#[test]
fn a_refusal_leaves_what_is_known_to_match() {
    let mut host = settled_leader(Limits::default());
    for command in 1..=3 {
        host.propose(&[command]).expect("it leads");
    }
    host.mail();
    assert_eq!(appends(host.receive(2, 4, refused(3, None, 2)), 2), [(1, 3)]);
    assert_eq!(host.node.progress().expect("it leads")[&n(2)].match_index, i(1));
}

/// Figure 2: a new leader assumes that followers hold what it holds and knows that they hold nothing.
#[test]
fn a_new_leader_starts_from_its_own_end() {
    let host = Host::leader(1, disk(THREE, 3, &[1, 2]));
    let progress = &host.node.progress().expect("it leads")[&n(2)];
    assert_eq!((progress.next_index, progress.match_index), (i(3), i(0)));
}

// --- flow ---------------------------------------------------------------------------------------

/// Until the logs are known to agree, one append at a time is under way.
#[test]
fn one_append_at_a_time_while_probing() {
    let mut host = Host::leader(1, disk(THREE, 3, &[]));
    host.propose(&[1]).expect("it leads");
    host.propose(&[2]).expect("it leads");
    assert_eq!(host.mail(), [], "the no-op is still under way");
    assert_eq!(appends(host.receive(2, 4, accepted(1)), 2), [(1, 2)]);
}

/// Diss. §10.2.1: once they agree, appends are sent without waiting for answers.
#[test]
fn appends_are_pipelined() {
    let mut host = settled_leader(Limits::default());
    for (command, prev) in [(1, 1), (2, 2), (3, 3)] {
        host.propose(&[command]).expect("it leads");
        assert_eq!(appends(host.mail(), 2), [(prev, 1)]);
    }
}

/// The pipeline holds a bounded number of appends, and an answer makes room for as many as it covers.
#[test]
fn the_pipeline_is_bounded_in_appends() {
    let limits = Limits { append_entries_max: 2, inflight_appends_max: 2, ..Limits::default() };
    let mut host = settled_leader(limits);
    host.propose(&[1, 2, 3, 4, 5, 6, 7]).expect("it leads");
    assert_eq!(appends(host.mail(), 2), [(1, 2), (3, 2)]);
    assert_eq!(appends(host.receive(2, 4, accepted(2)), 2), [], "half an append is not answered yet");
    assert_eq!(appends(host.receive(2, 4, accepted(3)), 2), [(5, 2)]);
    assert_eq!(appends(host.receive(2, 4, accepted(7)), 2), [(7, 1)]);
    host.receive(2, 4, accepted(8));
    assert!(host.node.progress().expect("it leads")[&n(2)].is_idle());
}

/// The pipeline stops once its bytes reach the limit, and an append is bounded in bytes unless it is a
/// single entry.
#[test]
fn the_pipeline_is_bounded_in_bytes() {
    let size = entry(1, 1).size_bytes() as u64;
    let limits = Limits { append_bytes_max: 2 * size, inflight_bytes_max: 3 * size, ..Limits::default() };
    let mut host = settled_leader(limits);
    host.propose(&[1, 2, 3, 4, 5, 6, 7]).expect("it leads");
    assert_eq!(appends(host.mail(), 2), [(1, 2), (3, 2)], "the second one reaches the limit");
    let progress = &host.node.progress().expect("it leads")[&n(2)];
    assert!(matches!(progress.flow, Flow::Replicate { inflight_bytes, .. } if inflight_bytes == 4 * size));
    assert_eq!(appends(host.receive(2, 4, accepted(3)), 2), [(5, 2)]);
    let full = Limits { inflight_bytes_max: 2 * size, ..limits };
    let mut full = settled_leader(full);
    full.propose(&[1, 2, 3]).expect("it leads");
    assert_eq!(appends(full.mail(), 2), [(1, 2)], "the first one is the limit");
    let mut tiny = settled_leader(Limits { append_bytes_max: 1, ..Limits::default() });
    tiny.propose(&[1, 2]).expect("it leads");
    assert_eq!(appends(tiny.mail(), 2), [(1, 1), (2, 1)], "every append carries at least one entry");
}

/// An acknowledgement that says nothing new is an echo of an earlier append. It is answered by one append and not by
/// a pipeline, or the echoes of each would make more and more.
#[test]
fn an_echo_opens_no_pipeline() {
    let mut host = settled_leader(Limits { append_entries_max: 1, ..Limits::default() });
    host.propose(&[1, 2, 3]).expect("it leads");
    for _ in 0..2 {
        host.receive(3, 4, HeartbeatResponse { round: 0 });
        host.fire(Timer::CheckQuorum);
    }
    assert_eq!(appends(host.receive(2, 4, accepted(1)), 2), [(1, 1)], "it was silent: what it has is probed");
    assert_eq!(appends(host.receive(2, 4, accepted(1)), 2), [], "the probe is under way");
    assert_eq!(appends(host.receive(2, 4, accepted(2)), 2), [(2, 1), (3, 1)], "that is new");
}

/// §5.3: the leader retries indefinitely. A lost first append is sent again on the next sign of life.
#[test]
fn a_lost_probe_is_sent_again() {
    let mut host = Host::leader(1, disk(THREE, 3, &[]));
    let mail = host.receive(2, 4, HeartbeatResponse { round: 0 });
    assert_eq!(appends(mail, 2), [(0, 1)]);
}

/// §5.3: lost appends in the pipeline are found out by the next heartbeat and sent again.
#[test]
fn lost_appends_in_the_pipeline_are_sent_again() {
    let mut net = Net::led_by(1, THREE);
    for command in 1..=3 {
        net.host(1).propose(&[command]).expect("it leads");
        net.settle_without(|sent| sent.to == n(2) && matches!(sent.message, AppendEntries { .. }));
    }
    assert_ne!(net.log(2), net.log(1));
    net.fire(1, Timer::Heartbeat);
    assert_eq!(net.log(2), net.log(1));
    assert_eq!(net.node(2).commit_index(), i(4));
    assert!(net.node(1).progress().expect("it leads")[&n(2)].is_idle());
}

/// §5.3: the same for a hole in the middle of the pipeline.
#[test]
fn a_hole_in_the_pipeline_is_filled() {
    let mut net = Net::led_by(1, THREE);
    net.host(1).propose(&[1]).expect("it leads");
    net.settle_without(|sent| matches!(sent.message, AppendEntries { .. }));
    net.propose(1, 2);
    assert_eq!(net.log(2), net.log(1));
    assert_eq!(net.node(1).commit_index(), i(3));
}

/// §5.3: a lost acknowledgement is recovered by a heartbeat, without sending the entries again.
#[test]
fn a_lost_acknowledgement_is_recovered() {
    let mut net = Net::led_by(1, THREE);
    net.host(1).propose(&[1]).expect("it leads");
    net.settle_without(|sent| matches!(sent.message, AppendAccepted { .. }));
    assert_eq!(net.node(1).commit_index(), i(1));
    net.delivered.clear();
    net.fire(1, Timer::Heartbeat);
    assert_eq!(net.node(1).commit_index(), i(2));
    let resent =
        |message: &Message<u8>| matches!(message, AppendEntries { entries, .. } if !entries.is_empty());
    assert!(!net.delivered.iter().any(|sent| resent(&sent.message)));
}

/// §5.3: appends that overtake each other end in equal logs.
#[test]
fn reordered_appends_end_in_equal_logs() {
    let mut leader = settled_leader(Limits::default());
    let mut follower = Host::new(2, disk(THREE, 4, &[]));
    follower.receive(1, 4, AppendEntries { prev: at(0, 0), entries: vec![noop(1, 4)], leader_commit: i(0) });
    leader.propose(&[1]).expect("it leads");
    leader.propose(&[2]).expect("it leads");
    let mut wires = only!(leader.mail(), AppendEntries { .. });
    wires.retain(|(to, _)| *to == 2);
    wires.reverse();
    for round in 0..10 {
        if round == 5 {
            // A refusal that was overtaken by an acknowledgement of what it missed is taken for a late one;
            // the next sign of life finds out.
            wires.extend(leader.receive(2, 4, HeartbeatResponse { round: 0 }));
        }
        let answers: Vec<_> = wires.drain(..).flat_map(|(_, sent)| follower.receive(1, 4, sent)).collect();
        for (_, answer) in answers.into_iter().rev() {
            wires.extend(leader.receive(2, 4, answer).into_iter().filter(|(to, _)| *to == 2));
        }
    }
    assert_eq!(wires, [], "it comes to rest");
    assert_eq!(terms(&follower), terms(&leader));
    assert_eq!(leader.node.commit_index(), i(3));
}

/// §5.3: a follower that crashes and loses what it had not synced is brought up to date again.
#[test]
fn a_follower_that_lost_its_unsynced_tail_catches_up() {
    let mut net = Net::led_by(1, THREE);
    net.host(2).is_disk_slow = true;
    net.propose(1, 1);
    net.propose(1, 2);
    assert_eq!(net.node(2).log().last(), at(3, 1));
    net.host(2).crash(1);
    net.host(2).is_disk_slow = false;
    assert_eq!(net.node(2).log().last(), at(2, 1), "the first write survived");
    net.fire(1, Timer::Heartbeat);
    net.fire(1, Timer::Heartbeat);
    assert_eq!(net.log(2), net.log(1));
    assert_eq!(net.node(2).commit_index(), i(3));
}
