//! The quorum maths against its definition, by brute force.
//!
//! The definition is written down here once more, in the slowest way that is obviously right: a majority
//! is more than half, a joint quorum is a majority of both sets, and the index that a quorum has reached
//! is the highest one for which those that have reached it are a quorum. Single configurations of one to
//! nine voters and joint ones over four ids are checked exhaustively, larger joint ones at random with a
//! fixed seed.

use dkv::raft::quorum::{is_quorum, quorum_index};
use dkv::raft::{Configuration, Index, NodeId, Raft};

/// A set of ids as bits.
type Set = u32;

fn ids(set: Set) -> impl Iterator<Item = NodeId> {
    (0..32).filter(move |id| set >> id & 1 == 1).map(NodeId)
}

fn configuration(voters: Set, outgoing: Option<Set>) -> Configuration {
    Configuration {
        outgoing: outgoing.map(|set| ids(set).collect()),
        ..Configuration::of_voters(ids(voters))
    }
}

fn is_majority(of: Set, members: Set) -> bool {
    2 * (of & members).count_ones() > of.count_ones()
}

fn is_quorum_by_definition(voters: Set, outgoing: Option<Set>, members: Set) -> bool {
    is_majority(voters, members) && outgoing.is_none_or(|outgoing| is_majority(outgoing, members))
}

/// The highest index among `reached` for which those that have reached it are a quorum.
fn quorum_index_by_definition(voters: Set, outgoing: Option<Set>, reached: &[u64]) -> u64 {
    let have =
        |index: u64| (0..reached.len()).filter(|id| reached[*id] >= index).fold(0, |set, id| set | 1 << id);
    let highest = reached.iter().copied().max().unwrap_or(0);
    (0..=highest).rev().find(|index| is_quorum_by_definition(voters, outgoing, have(*index))).unwrap_or(0)
}

fn check_members(voters: Set, outgoing: Option<Set>, members: Set) {
    let configuration = configuration(voters, outgoing);
    let found = is_quorum::<Raft>(&configuration, |id| members >> id.0 & 1 == 1);
    let expected = is_quorum_by_definition(voters, outgoing, members);
    assert_eq!(found, expected, "{members:b} of {configuration}");
}

fn check_reached(voters: Set, outgoing: Option<Set>, reached: &[u64]) {
    let configuration = configuration(voters, outgoing);
    let found = quorum_index::<Raft>(&configuration, |id| Index(reached[id.0 as usize]));
    let expected = quorum_index_by_definition(voters, outgoing, reached);
    assert_eq!(found.0, expected, "{reached:?} of {configuration}");
}

/// Every assignment of `0..values` to `count` places.
fn assignments(count: u32, values: u64) -> impl Iterator<Item = Vec<u64>> {
    (0..values.pow(count))
        .map(move |code| (0..count).map(|place| code / values.pow(place) % values).collect())
}

#[test]
fn a_majority_of_one_to_nine_voters_is_more_than_half() {
    for count in 1..=9 {
        let voters = (1 << count) - 1;
        for members in 0..=voters {
            check_members(voters, None, members);
        }
    }
}

#[test]
fn the_index_of_one_to_nine_voters_is_the_highest_that_a_majority_reached() {
    for count in 1..=9 {
        let values = if count <= 6 { 5 } else { 3 };
        for reached in assignments(count, values) {
            check_reached((1 << count) - 1, None, &reached);
        }
    }
}

#[test]
fn a_joint_quorum_is_a_majority_of_both_sets() {
    for voters in 1..16 {
        for outgoing in 1..16 {
            for members in 0..16 {
                check_members(voters, Some(outgoing), members);
            }
            for reached in assignments(4, 4) {
                check_reached(voters, Some(outgoing), &reached);
            }
        }
    }
}

#[test]
fn larger_joint_configurations_agree_with_the_definition() {
    const PLACES: u32 = 14;
    let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut random = || {
        // xorshift64*: any generator will do, as long as every run draws the same.
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as Set
    };
    for _ in 0..20_000 {
        let mask = (1 << PLACES) - 1;
        let (voters, outgoing, members) = (random() & mask, random() & mask, random() & mask);
        if voters == 0 || outgoing == 0 {
            continue;
        }
        check_members(voters, Some(outgoing), members);
        let reached: Vec<u64> = (0..PLACES).map(|_| u64::from(random() % 6)).collect();
        check_reached(voters, Some(outgoing), &reached);
        check_reached(voters, None, &reached);
    }
}

/// §6: what makes the change safe: a quorum of the joint configuration meets every quorum of the old and of
/// the new one.
#[test]
fn joint_quorums_meet_those_of_both_sides() {
    let quorums = |configuration: Configuration| {
        (0..32).filter(move |members: &Set| is_quorum::<Raft>(&configuration, |id| members >> id.0 & 1 == 1))
    };
    for old in 1..32 {
        for new in 1..32 {
            let joint: Vec<Set> = quorums(configuration(new, Some(old))).collect();
            for side in [old, new] {
                let meets = |single: Set| joint.iter().all(|members| members & single != 0);
                assert!(quorums(configuration(side, None)).all(meets), "{old:b} to {new:b}");
            }
        }
    }
}

#[test]
fn nobody_is_no_quorum_and_nothing_is_reached() {
    let nobody = Configuration::default();
    assert!(!is_quorum::<Raft>(&nobody, |_| true));
    assert_eq!(quorum_index::<Raft>(&nobody, |_| Index(9)), Index::ZERO);
    let half = Configuration { outgoing: Some(ids(0b11).collect()), ..Configuration::default() };
    assert!(!is_quorum::<Raft>(&half, |_| true));
    assert_eq!(quorum_index::<Raft>(&half, |_| Index(9)), Index::ZERO);
}

#[test]
fn learners_do_not_matter() {
    let with_learners = Configuration { learners: ids(0b1111_1000).collect(), ..configuration(0b111, None) };
    assert!(!is_quorum::<Raft>(&with_learners, |id| id.0 != 0 && id.0 != 1));
    assert_eq!(quorum_index::<Raft>(&with_learners, |id| Index(id.0)), Index(1));
}
