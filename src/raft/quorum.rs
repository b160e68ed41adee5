//! Majorities, single and joint: the one place that counts nodes.
//!
//! Votes, commit and read confirmation are the same question asked of different acknowledgements, so
//! they share these functions. Everything is generic over the acknowledgement and never compares ids.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::rules::Rules;
use super::types::{Configuration, Index, NodeId};

/// Whether the nodes for which `has` holds form a quorum of `configuration`: a majority of its
/// voters and, in a joint phase, also of the outgoing ones (§6). An empty configuration has no quorum.
pub fn is_quorum<R: Rules>(configuration: &Configuration, mut has: impl FnMut(NodeId) -> bool) -> bool {
    let mut majority = |voters: &BTreeSet<NodeId>| {
        let count = voters.iter().filter(|id| has(**id)).count();
        !voters.is_empty() && count >= R::majority(voters.len())
    };
    let incoming = majority(&configuration.voters);
    match &configuration.outgoing {
        Some(outgoing) => R::joint_decision(incoming, majority(outgoing)),
        None => incoming,
    }
}

/// The highest index that a quorum of `configuration` has reached, given each voter's own.
pub fn quorum_index<R: Rules>(configuration: &Configuration, reached: impl Fn(NodeId) -> Index) -> Index {
    let majority_index = |voters: &BTreeSet<NodeId>| {
        if voters.is_empty() {
            return Index::ZERO;
        }
        let needed = R::majority(voters.len());
        assert!(needed >= 1 && needed <= voters.len(), "a majority is some of the voters");
        // Seven voters fit without an allocation; larger sets are rare.
        const INLINE: usize = 7;
        if voters.len() <= INLINE {
            let mut sorted = [Index::ZERO; INLINE];
            voters.iter().zip(&mut sorted).for_each(|(id, slot)| *slot = reached(*id));
            let sorted = &mut sorted[..voters.len()];
            R::rank(sorted);
            sorted[needed - 1]
        } else {
            let mut sorted: Vec<Index> = voters.iter().map(|id| reached(*id)).collect();
            R::rank(&mut sorted);
            sorted[needed - 1]
        }
    };
    let incoming = majority_index(&configuration.voters);
    match &configuration.outgoing {
        Some(outgoing) => R::joint_index(incoming, majority_index(outgoing)),
        None => incoming,
    }
}
