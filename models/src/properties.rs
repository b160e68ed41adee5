//! What must hold, and what must have been seen.
//!
//! The definitions are those of [`dkv::raft::invariants`] and [`dkv::cluster::invariants`]; here they are
//! applied to a state of the model. Every step changes one member, so that member is judged against every
//! other member and against the ghost ledger, and against its own past where it [steps](crate::local); by
//! induction that covers every pair in every state. A broken property becomes part of the state that the
//! step leads to, and stateright finds it there.
//!
//! What is judged here reads of each member its [`Standing`], and of one that answers whom it takes for the
//! leader, which is why the [`memo`](crate::memo) may remember the verdict under these.
//!
//! Left out: convergence ([`converge`](crate::converge)).

use std::fmt;

use dkv::cluster::invariants::Ledger;
use dkv::raft::invariants::{self, Invariant, Verdict, Violation, Vitals, ensure, state_machine_safety};
use dkv::raft::{Configuration as Members, Entry, EntryId, NodeId, Payload, SnapshotMeta};

use crate::interned::Interned;
use crate::letters::{Command, Subject};
use crate::local::Told;
use crate::oracle;
use crate::state::{Member, Standing, State, id_of, index_of};
use crate::witnesses::Witness::{self, *};

/// No handler panics and no assertion of the core fails.
pub const NO_PANIC: &str = "no_panic";
/// A client is told what is true: applied means committed with that response, refused and lost mean
/// without effect.
pub const ANSWERS_ARE_TRUE: &str = "answers_are_true";
/// [`invariants::Invariant::HealedReplicasConverge`], which is judged by running on from a state.
pub const CONVERGENCE: &str = "healed_replicas_converge";

/// The properties that are judged at each step, by name.
pub const STEPWISE: [&str; 14] = [
    NO_PANIC,
    ANSWERS_ARE_TRUE,
    "election_safety",
    "leader_append_only",
    "log_matching",
    "leader_completeness",
    "state_machine_safety",
    "term_monotonic",
    "vote_stability",
    "commit_monotonic",
    "committed_on_quorum",
    "committed_never_lost",
    "linearizable",
    "exactly_once",
];

/// For each property situations without which it could not have been broken, or broken in fewer ways: a set of
/// configurations that is exhausted has met all of them, since each belongs to what one of them
/// [shows](crate::configurations::Configuration::shows).
pub const TWINS: [(&str, &[Witness]); STEPWISE.len() + 1] = [
    (NO_PANIC, &[StaleMessage, UnsyncedWritesLost, AppendRefused]),
    (ANSWERS_ARE_TRUE, &[ClientIsAnswered, ProposalLost, CommittedThoughGivenUp]),
    ("election_safety", &[SplitVote, TwoLeadersOfDifferentTerms]),
    ("leader_append_only", &[CutOffLeaderHasUncommittedTail, LeaderElected]),
    ("log_matching", &[SuffixOverwritten, SeveralInOneAppend]),
    ("leader_completeness", &[LeaderElected, EarlierTermCommitted]),
    (
        "state_machine_safety",
        &[SnapshotInstalled, SnapshotOverConflict, RestartedFromSnapshot, KeptEntrySent],
    ),
    ("term_monotonic", &[StaleMessage, VoteKeptOverACrash]),
    ("vote_stability", &[SplitVote, VoteKeptOverACrash]),
    ("commit_monotonic", &[SuffixOverwritten, RestartedFromSnapshot]),
    ("committed_on_quorum", &[CommittedBeforeTheLeaderSynced, JointLeaderOutside, LearnerPromoted]),
    ("committed_never_lost", &[UnsyncedWritesLost, SuffixOverwritten, CommitsWhileOneIsCutOff]),
    ("linearizable", &[ReadServedInALaterTerm, ReadServedAtFollower, StaleReadRefused]),
    ("exactly_once", &[RetryAnswered, CommittedThoughGivenUp]),
    (CONVERGENCE, &[HealedWithEqualLogs, DeposedByCheckQuorum, LeaderRemoved]),
];

/// A property that does not hold, and how.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Broken {
    /// The property's name.
    pub property: &'static str,
    /// Where and how.
    pub detail: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.property, self.detail)
    }
}

impl From<Violation> for Broken {
    fn from(violation: Violation) -> Broken {
        Broken { property: violation.invariant.name(), detail: violation.detail }
    }
}

// --- judged at each step -----------------------------------------------------------------------------

/// The ledger of a cluster that has just been founded, with its first leader.
pub(crate) fn founding_ledger<P: Subject>(
    founding: &Members,
    founders: &[Interned<Member<P>>],
) -> Ledger<Command> {
    let mut ledger = Ledger::new(founding);
    let nodes = founders.iter().filter_map(|member| member.node());
    for node in nodes.clone() {
        let disks = |id: NodeId| founders.get(index_of(id)).map(|member| member.synced());
        let verdict = ledger.observe_step(None, node, &[], nodes.clone(), disks);
        assert_eq!(verdict, Ok(()), "a cluster is founded with nothing in it");
    }
    ledger
}

/// Judges one step of the member `id`, which stands among the members already, was like `before`, and in the
/// middle like `midway` if it compacted what it had just committed. Returns the ledger with what was committed
/// for the first time.
pub(crate) fn judge_step<P: Subject>(
    before: &Standing<P>,
    midway: Option<&Member<P>>,
    id: usize,
    state: &State<P>,
    told: &[Told],
) -> Result<Ledger<Command>, Broken> {
    let member = state.member(id);
    let disks = |id: NodeId| Some(state.member(index_of(id)).synced());
    let mut ledger = Ledger::clone(&state.ledger);
    // What the ledger remembers of crashes is forgotten: until a member starts again, it is on its disk.
    let ghost = || Ledger::clone(&state.ledger);
    let sworn = before.synced.hard_state;
    let (node, mut vitals) = match (member.node(), before.vitals) {
        (None, None) => return Ok(ledger),
        (None, Some(_)) => {
            let mut ghost = ghost();
            ghost.observe_crash(id_of(id), sworn, disks)?;
            ghost.observe_restart(id_of(id), member.synced().hard_state)?;
            return Ok(ledger);
        }
        (Some(node), None) => {
            let mut ghost = ghost();
            ghost.observe_crash(id_of(id), sworn, disks)?;
            ghost.observe_restart(id_of(id), node.hard_state())?;
            (node, Vitals { leads: None, ..Vitals::of(node) })
        }
        (Some(node), Some(vitals)) => (node, vitals),
    };
    let peers = state.nodes().filter(|peer| peer.id() != node.id());
    for peer in peers.clone() {
        invariants::election_safety(node, peer)?;
        state_machine_safety(node, peer)?;
    }
    // Log matching over all that the logs hold, and not only over what this step appended.
    let held: Vec<Entry<Command>> = node.log().entries().cloned().collect();
    if let Some(midway) = midway.and_then(Member::node) {
        ledger.observe_step(Some(&vitals), midway, &[], peers.clone(), disks)?;
        vitals = Vitals::of(midway);
    }
    ledger.observe_step(Some(&vitals), node, &held, peers, disks)?;
    ledger.outlives_crashes(disks)?;
    snapshot_is_of_the_log(node.log().snapshot(), &ledger, state)?;
    oracle::judge_machine(node.id(), &before.machine, member.executor.machine(), &ledger, told, state)?;
    told.iter().try_for_each(|told| oracle::judge_answer(told, member, &ledger, state))?;
    Ok(ledger)
}

/// A snapshot says of its members what the last entry up to there does that says anything.
fn snapshot_is_of_the_log<P: Subject>(
    snapshot: &SnapshotMeta,
    ledger: &Ledger<Command>,
    state: &State<P>,
) -> Verdict {
    let SnapshotMeta { last, configuration, .. } = snapshot;
    let founding = Members::of_voters((0..usize::from(state.configuration.founders)).map(id_of));
    let covered = ledger.entries().take_while(|entry| entry.id.index <= last.index);
    let configurations = covered.filter_map(|entry| match &entry.payload {
        Payload::Configuration(configuration) => Some(&**configuration),
        Payload::Noop | Payload::Command(_) => None,
    });
    let expected = configurations.last().unwrap_or(&founding);
    // A member without a snapshot knows of nobody.
    ensure(*last == EntryId::ZERO || **configuration == *expected, Invariant::StateMachineSafety, || {
        format!("a snapshot up to {last} is of {configuration}, and by the log it is of {expected}")
    })
}
