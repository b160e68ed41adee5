//! The invariants of nodes can fail: each is shown what breaks it, and what only looks so.
//!
//! Left out: those of whole clusters, which their own module tests, and whether anything brings such states about.

use std::collections::VecDeque;

use dkv::raft::invariants::{
    Verdict, Vitals, check_step, election_safety, log_matching, state_machine_safety, term_monotonic,
    vote_stability,
};
use dkv::raft::{
    Configuration, Durable, Entry, EntryId, HardState, Index, Input, Invariant, Limits, Node, NodeId,
    Payload, SnapshotMeta, Term, Timer,
};

type Plain = Node<u8>;

const N0: NodeId = NodeId(0);
const N1: NodeId = NodeId(1);

fn breaks(verdict: Verdict, invariant: Invariant, detail: &str) {
    let violation = verdict.expect_err("it does not hold");
    assert_eq!(violation.invariant, invariant);
    assert_eq!(violation.to_string(), format!("{} violated: {detail}", invariant.name()));
}

fn entry(index: u64, term: u64, command: u8) -> Entry<u8> {
    Entry { id: EntryId::new(Term(term), Index(index)), payload: Payload::Command(command) }
}

fn in_term(term: u64, voted_for: Option<NodeId>) -> HardState {
    HardState { term: Term(term), voted_for }
}

/// A follower in term 5 that holds these entries and has applied the first so many.
fn follower(id: NodeId, entries: &[Entry<u8>], applied: u64) -> Plain {
    let disk = Durable {
        hard_state: in_term(5, Some(N0)),
        snapshot: SnapshotMeta {
            configuration: Box::new(Configuration::of_voters([N0, N1])),
            ..SnapshotMeta::default()
        },
        purged: EntryId::ZERO,
        entries: entries.iter().cloned().collect::<VecDeque<_>>(),
    };
    Node::restore(id, Limits::default(), &disk, Index(applied)).0
}

/// The founding leader of term 1.
fn founder(id: NodeId) -> Plain {
    let genesis = Durable::genesis(id, Configuration::of_voters([N0, N1]));
    Node::bootstrap(id, Limits::default(), &genesis).0
}

/// A node that leads alone, in term 1 or a later one.
fn alone(id: NodeId, elections: u64) -> Plain {
    let genesis = Durable::genesis(id, Configuration::of_voters([id]));
    let mut node = Node::bootstrap(id, Limits::default(), &genesis).0;
    for _ in 0..elections {
        let mut disk = genesis.clone();
        disk.hard_state = node.hard_state();
        node = Node::restore(id, Limits::default(), &disk, Index::ZERO).0;
        while !node.is_leader() {
            let writes = node.step(Input::Timeout(Timer::Election)).write.is_some();
            if writes {
                let _ = node.step(Input::Persisted(1));
            }
        }
    }
    node
}

#[test]
fn two_leaders_of_one_term_break_election_safety() {
    let (a, b) = (founder(N0), founder(N1));
    breaks(election_safety(&a, &b), Invariant::ElectionSafety, "n0 and n1 lead term 1");
    assert_eq!(election_safety(&a, &a), Ok(()), "a node is no rival of itself");
    let genesis = Durable::genesis(N0, Configuration::of_voters([N0, N1]));
    let follows = Plain::bootstrap(N1, Limits::default(), &genesis).0;
    assert_eq!(follows.term(), a.term());
    assert_eq!(election_safety(&a, &follows), Ok(()), "one of them follows");
    assert_eq!(election_safety(&follows, &a), Ok(()), "one of them follows");
    let later = alone(N1, 1);
    assert!(later.is_leader() && later.term() > a.term());
    assert_eq!(election_safety(&a, &later), Ok(()), "leaders of two terms");
}

#[test]
fn equal_ids_with_other_content_or_another_past_break_log_matching() {
    let a = follower(N0, &[entry(1, 1, 7), entry(2, 2, 8)], 0);
    assert_eq!(log_matching(&a, &follower(N1, &[entry(1, 1, 7), entry(2, 2, 8)], 0)), Ok(()));
    assert_eq!(log_matching(&a, &follower(N1, &[entry(1, 1, 7), entry(2, 3, 9)], 0)), Ok(()), "other ids");
    assert_eq!(log_matching(&a, &follower(N1, &[entry(1, 1, 7)], 0)), Ok(()), "a shorter log");
    let content = follower(N1, &[entry(1, 1, 7), entry(2, 2, 9)], 0);
    breaks(log_matching(&a, &content), Invariant::LogMatching, "n0 and n1 differ in the content of 2@2");
    let past = follower(N1, &[entry(1, 2, 7), entry(2, 2, 8)], 0);
    breaks(log_matching(&a, &past), Invariant::LogMatching, "n0 and n1 agree at 2@2 and not before it");
}

#[test]
fn different_committed_entries_break_state_machine_safety() {
    let a = follower(N0, &[entry(1, 1, 7), entry(2, 2, 8), entry(3, 2, 8)], 2);
    let b = |second, applied| follower(N1, &[entry(1, 1, 7), second], applied);
    assert_eq!(state_machine_safety(&a, &b(entry(2, 2, 8), 2)), Ok(()));
    assert_eq!(state_machine_safety(&a, &b(entry(2, 3, 8), 1)), Ok(()), "only one has committed it");
    breaks(
        state_machine_safety(&a, &b(entry(2, 3, 8), 2)),
        Invariant::StateMachineSafety,
        "n0 committed 2@2 where n1 committed 2@3",
    );
    assert!(state_machine_safety(&a, &b(entry(2, 2, 9), 2)).is_err(), "another content");
}

#[test]
fn a_falling_term_breaks_term_monotonic() {
    assert_eq!(term_monotonic(N0, in_term(4, None), in_term(4, None)), Ok(()));
    assert_eq!(term_monotonic(N0, in_term(4, None), in_term(5, None)), Ok(()));
    breaks(
        term_monotonic(N0, in_term(4, None), in_term(3, None)),
        Invariant::TermMonotonic,
        "n0 fell from term 4 to 3",
    );
}

#[test]
fn a_vote_that_is_changed_or_taken_back_in_its_term_breaks_vote_stability() {
    let voted = in_term(4, Some(N0));
    assert_eq!(vote_stability(N1, voted, voted), Ok(()));
    assert_eq!(vote_stability(N1, in_term(4, None), voted), Ok(()), "the first vote of the term");
    assert_eq!(vote_stability(N1, voted, in_term(5, Some(N1))), Ok(()), "another term");
    assert_eq!(vote_stability(N1, voted, in_term(5, None)), Ok(()), "another term");
    for after in [Some(N1), None] {
        let verdict = vote_stability(N1, voted, in_term(4, after));
        let detail = format!("n1 changed its vote in term 4 from Some(n0) to {after:?}");
        breaks(verdict, Invariant::VoteStability, &detail);
    }
}

#[test]
fn a_step_is_judged_in_memory_and_on_disk() {
    let after = follower(N1, &[entry(1, 1, 7), entry(2, 2, 8)], 1);
    let same = Vitals::of(&after);
    assert_eq!(same.hard_state, in_term(5, Some(N0)));
    assert_eq!((same.durable, same.last.index, same.commit), (same.hard_state, Index(2), Index(1)));
    assert_eq!(check_step(&same, &after), Ok(()));
    let later = in_term(6, None);
    let other = in_term(5, Some(N1));
    for before in [Vitals { hard_state: later, ..same }, Vitals { durable: later, ..same }] {
        breaks(check_step(&before, &after), Invariant::TermMonotonic, "n1 fell from term 6 to 5");
    }
    for before in [Vitals { hard_state: other, ..same }, Vitals { durable: other, ..same }] {
        let detail = "n1 changed its vote in term 5 from Some(n1) to Some(n0)";
        breaks(check_step(&before, &after), Invariant::VoteStability, detail);
    }
    assert_eq!(check_step(&Vitals { commit: Index(0), ..same }, &after), Ok(()));
    breaks(
        check_step(&Vitals { commit: Index(2), ..same }, &after),
        Invariant::CommitMonotonic,
        "n1 went back from commit 2 to 1",
    );
}

#[test]
fn a_leader_that_loses_or_changes_entries_breaks_leader_append_only() {
    let mut leader = alone(N0, 1);
    let term = leader.term();
    let _ = leader.step(Input::Propose { commands: vec![1, 2], expected_term: None });
    let same = Vitals::of(&leader);
    assert_eq!(same.leads, Some(term));
    assert_eq!(check_step(&same, &leader), Ok(()));
    let first = leader.log().entries().next().expect("it appended").id;
    assert_eq!(check_step(&Vitals { last: first, ..same }, &leader), Ok(()), "it only appended");
    let longer = Vitals { last: EntryId::new(term, same.last.index.next()), ..same };
    let other = Vitals { last: EntryId::new(Term(1), same.last.index), ..same };
    for before in [longer, other] {
        let detail = format!("leader n0 lost or changed {}", before.last);
        breaks(check_step(&before, &leader), Invariant::LeaderAppendOnly, &detail);
        for leads in [None, Some(Term(1))] {
            assert_eq!(check_step(&Vitals { leads, ..before }, &leader), Ok(()), "it did not lead this term");
        }
    }
    // A follower may lose a tail that is not committed.
    let follows = follower(N1, &[entry(1, 1, 7)], 0);
    let before = Vitals { last: EntryId::new(Term(1), Index(2)), ..Vitals::of(&follows) };
    assert_eq!(check_step(&before, &follows), Ok(()));
}
