//! What must always hold, each under one name and with one definition.
//!
//! The cluster evaluates these after every step, the models take them as properties, tests and proofs
//! refer to them by name. Some are about one state (a node, or a pair of nodes), some about a step
//! (before, after); the second kind is far cheaper to falsify. Those that need the history of the whole
//! cluster are in [`cluster::invariants`](crate::cluster::invariants) under the same list of names.

use alloc::format;
use alloc::string::String;
use core::fmt;

use super::node::{Node, Role};
use super::rules::Rules;
use super::types::{Command, EntryId, HardState, Index, NodeId, Term};

/// The names. The first five are Figure 3 of the paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// At most one leader in a term (§5.2).
    ElectionSafety,
    /// A leader never overwrites or deletes entries of its log (§5.3).
    LeaderAppendOnly,
    /// Logs with the same entry id at an index are identical up to there (§5.3).
    LogMatching,
    /// A committed entry is in the log of every leader of a later term (§5.4).
    LeaderCompleteness,
    /// No two state machines apply different entries at one index (§5.4.3).
    StateMachineSafety,
    /// The durable term never falls, across crashes too.
    TermMonotonic,
    /// The durable vote of a term never changes, across crashes too.
    VoteStability,
    /// The commit index of one incarnation never falls.
    CommitMonotonic,
    /// What is committed is durable on a quorum of the configuration in force.
    CommittedOnQuorum,
    /// What was committed once is committed for ever, at the same index with the same content.
    CommittedNeverLost,
    /// When no fault is left and the protocol has settled, all replicas are byte-identical.
    HealedReplicasConverge,
    /// Reads return what was committed before they began, or later.
    Linearizable,
    /// A client's request takes effect once, however often it is sent.
    ExactlyOnce,
}

impl Invariant {
    /// Every invariant.
    pub const ALL: [Invariant; 13] = [
        Invariant::ElectionSafety,
        Invariant::LeaderAppendOnly,
        Invariant::LogMatching,
        Invariant::LeaderCompleteness,
        Invariant::StateMachineSafety,
        Invariant::TermMonotonic,
        Invariant::VoteStability,
        Invariant::CommitMonotonic,
        Invariant::CommittedOnQuorum,
        Invariant::CommittedNeverLost,
        Invariant::HealedReplicasConverge,
        Invariant::Linearizable,
        Invariant::ExactlyOnce,
    ];

    /// The name by which models, proofs, reports and documents call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Invariant::ElectionSafety => "election_safety",
            Invariant::LeaderAppendOnly => "leader_append_only",
            Invariant::LogMatching => "log_matching",
            Invariant::LeaderCompleteness => "leader_completeness",
            Invariant::StateMachineSafety => "state_machine_safety",
            Invariant::TermMonotonic => "term_monotonic",
            Invariant::VoteStability => "vote_stability",
            Invariant::CommitMonotonic => "commit_monotonic",
            Invariant::CommittedOnQuorum => "committed_on_quorum",
            Invariant::CommittedNeverLost => "committed_never_lost",
            Invariant::HealedReplicasConverge => "healed_replicas_converge",
            Invariant::Linearizable => "linearizable",
            Invariant::ExactlyOnce => "exactly_once",
        }
    }
}

/// A broken invariant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Violation {
    /// Which one.
    pub invariant: Invariant,
    /// Where and how.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} violated: {}", self.invariant.name(), self.detail)
    }
}

impl core::error::Error for Violation {}

/// What a check says.
pub type Verdict = Result<(), Violation>;

/// Nothing if `holds`, else the violation of `invariant` with this detail.
///
/// # Errors
/// The violation.
pub fn ensure(holds: bool, invariant: Invariant, detail: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(Violation { invariant, detail: detail() }) }
}

// --- over a pair of nodes --------------------------------------------------------------------------

/// `election_safety` between two nodes at one moment.
///
/// # Errors
/// The violation, if both lead the same term.
pub fn election_safety<C: Command, R: Rules>(a: &Node<C, R>, b: &Node<C, R>) -> Verdict {
    let both_lead = a.is_leader() && b.is_leader() && a.term() == b.term() && a.id() != b.id();
    ensure(!both_lead, Invariant::ElectionSafety, || {
        format!("{} and {} lead term {}", a.id(), b.id(), a.term())
    })
}

/// `log_matching` at one index: if two logs have the same entry id there, the entries are equal and
/// so are the ids before them. Holding at every index, this is log matching.
///
/// # Errors
/// The violation.
pub fn log_matching_at<C: Command, R: Rules>(a: &Node<C, R>, b: &Node<C, R>, index: Index) -> Verdict {
    let (Some(left), Some(right)) = (a.log().entry(index), b.log().entry(index)) else { return Ok(()) };
    if left.id != right.id {
        return Ok(());
    }
    ensure(left.payload == right.payload, Invariant::LogMatching, || {
        format!("{} and {} differ in the content of {}", a.id(), b.id(), left.id)
    })?;
    // Who holds an entry knows the name of the one before it, purged or not.
    let agree = a.log().id_at(index.prev()) == b.log().id_at(index.prev());
    ensure(agree, Invariant::LogMatching, || {
        format!("{} and {} agree at {} and not before it", a.id(), b.id(), left.id)
    })
}

/// `log_matching` over everything two logs still hold.
///
/// # Errors
/// The violation at the lowest index.
pub fn log_matching<C: Command, R: Rules>(a: &Node<C, R>, b: &Node<C, R>) -> Verdict {
    a.log().entries().try_for_each(|entry| log_matching_at(a, b, entry.id.index))
}

/// `state_machine_safety` between two nodes: what both have committed and still hold is the same.
///
/// # Errors
/// The violation at the lowest index.
pub fn state_machine_safety<C: Command, R: Rules>(a: &Node<C, R>, b: &Node<C, R>) -> Verdict {
    let common = a.commit_index().min(b.commit_index());
    for left in a.log().entries().take_while(|entry| entry.id.index <= common) {
        if let Some(right) = b.log().entry(left.id.index) {
            ensure(left == right, Invariant::StateMachineSafety, || {
                format!("{} committed {} where {} committed {}", a.id(), left.id, b.id(), right.id)
            })?;
        }
    }
    Ok(())
}

// --- over a step -----------------------------------------------------------------------------------

/// What a step is judged by: a few words of a node, cheap to keep from before the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vitals {
    /// The node.
    pub id: NodeId,
    /// Term and vote in memory.
    pub hard_state: HardState,
    /// Term and vote on disk, as far as receipts tell.
    pub durable: HardState,
    /// The last entry.
    pub last: EntryId,
    /// The commit index.
    pub commit: Index,
    /// The term it leads, if it leads.
    pub leads: Option<Term>,
}

impl Vitals {
    /// The vitals of a node now.
    #[must_use]
    pub fn of<C: Command, R: Rules>(node: &Node<C, R>) -> Vitals {
        Vitals {
            id: node.id(),
            hard_state: node.hard_state(),
            durable: node.durable_hard_state(),
            last: node.log().last(),
            commit: node.commit_index(),
            leads: matches!(node.role(), Role::Leader(_)).then(|| node.term()),
        }
    }
}

/// `term_monotonic` over what is durable.
///
/// # Errors
/// The violation.
pub fn term_monotonic(id: NodeId, before: HardState, after: HardState) -> Verdict {
    ensure(after.term >= before.term, Invariant::TermMonotonic, || {
        format!("{id} fell from term {} to {}", before.term, after.term)
    })
}

/// `vote_stability` over what is durable.
///
/// # Errors
/// The violation.
pub fn vote_stability(id: NodeId, before: HardState, after: HardState) -> Verdict {
    let kept = after.term != before.term || before.voted_for.is_none() || after.voted_for == before.voted_for;
    ensure(kept, Invariant::VoteStability, || {
        format!(
            "{id} changed its vote in term {} from {:?} to {:?}",
            after.term, before.voted_for, after.voted_for
        )
    })
}

/// Every step invariant of one node that kept running.
///
/// # Errors
/// The first violation.
pub fn check_step<C: Command, R: Rules>(before: &Vitals, after: &Node<C, R>) -> Verdict {
    let id = before.id;
    assert_eq!(id, after.id(), "a step is of one node");
    term_monotonic(id, before.hard_state, after.hard_state())?;
    term_monotonic(id, before.durable, after.durable_hard_state())?;
    vote_stability(id, before.hard_state, after.hard_state())?;
    vote_stability(id, before.durable, after.durable_hard_state())?;
    ensure(after.commit_index() >= before.commit, Invariant::CommitMonotonic, || {
        format!("{id} went back from commit {} to {}", before.commit, after.commit_index())
    })?;
    if before.leads.is_some() && before.leads == Vitals::of(after).leads {
        let kept = after.log().last().index >= before.last.index
            && after.log().id_at(before.last.index).is_none_or(|last| last == before.last);
        ensure(kept, Invariant::LeaderAppendOnly, || format!("leader {id} lost or changed {}", before.last))?;
    }
    Ok(())
}
