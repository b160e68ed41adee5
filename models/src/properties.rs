//! What must hold, and what must have been seen.
//!
//! The definitions are those of [`dkv::raft::invariants`] and [`dkv::cluster::invariants`]; here they are
//! applied to a state of the model. Every step changes one member, so that member is judged against every
//! other member and against the ghost ledger, and against its own past where it [steps](crate::local); by
//! induction that covers every pair in every state. A broken property becomes part of the state that the
//! step leads to, and stateright finds it there.
//!
//! What is judged here reads of each member its [`Standing`](crate::state::Standing) and nothing else,
//! which is why the [`memo`](crate::memo) may remember the verdict under the standings.
//!
//! Left out: convergence ([`converge`](crate::converge)).

use std::fmt;

use dkv::cluster::invariants::Ledger;
use dkv::raft::invariants::{self, Violation, Vitals, state_machine_safety};
use dkv::raft::{Configuration as Members, Entry, NodeId, Payload, Role};
use dkv::replica::{Answer, Failure, Reply, Rules};

use crate::environment;
use crate::interned::Interned;
use crate::memo::Memo;
use crate::model::Replication;
use crate::state::{Command, Member, Response, State, id_of, index_of};

/// No handler panics and no assertion of the core fails.
pub const NO_PANIC: &str = "no_panic";
/// A client is told what is true: applied means committed with that response, refused and lost mean
/// without effect.
pub const ANSWERS_ARE_TRUE: &str = "answers_are_true";
/// [`invariants::Invariant::HealedReplicasConverge`], which is judged by running on from a state.
pub const CONVERGENCE: &str = "healed_replicas_converge";

/// The properties that are judged at each step, by name.
pub const STEPWISE: [&str; 12] = [
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
pub(crate) fn founding_ledger<R: Rules>(
    founding: &Members,
    founders: &[Interned<Member<R>>],
) -> Ledger<Command> {
    let mut ledger = Ledger::new(founding);
    let nodes = founders.iter().map(|member| member.node());
    for member in founders {
        let disks = |id: NodeId| founders.get(index_of(id)).map(|member| &member.disk.synced);
        let verdict = ledger.observe_step(None, member.node(), &[], nodes.clone(), disks);
        assert_eq!(verdict, Ok(()), "a cluster is founded with nothing in it");
    }
    ledger
}

/// Judges one step of the member `id`, which stands among the members already and was like `before`.
/// Returns the ledger with what was committed for the first time.
pub(crate) fn judge_step<R: Rules>(
    before: &Vitals,
    id: usize,
    state: &State<R>,
    answers: &[Answer<Response>],
) -> Result<Ledger<Command>, Broken> {
    let node = state.member(id).node();
    let peers = state.members().map(|member| member.node()).filter(|peer| peer.id() != node.id());
    for peer in peers.clone() {
        invariants::election_safety(node, peer)?;
        state_machine_safety(node, peer)?;
    }
    // Log matching over all that the logs hold, and not only over what this step appended.
    let held: Vec<Entry<Command>> = node.log().entries().cloned().collect();
    let disks = |id: NodeId| Some(&state.member(index_of(id)).disk.synced);
    let mut ledger = Ledger::clone(&state.ledger);
    ledger.observe_step(Some(before), node, &held, peers, disks)?;
    // Whoever crashed now would lose nothing that is committed. What the ledger keeps of a crash is
    // forgotten: there was none.
    ledger.clone().observe_crash(node.id(), node.durable_hard_state(), disks)?;
    answers.iter().try_for_each(|answer| judge_answer(answer, node.id(), &ledger, state))?;
    Ok(ledger)
}

/// Judges what a client is told. The request that proposed a command has the command's number.
fn judge_answer<R: Rules>(
    answer: &Answer<Response>,
    teller: NodeId,
    ledger: &Ledger<Command>,
    state: &State<R>,
) -> Result<(), Broken> {
    let is_asked = |entry: &Entry<Command>| match entry.payload {
        Payload::Command(command) => u64::from(command) == answer.request.0,
        Payload::Noop | Payload::Configuration(_) => false,
    };
    let is_true = match &answer.outcome {
        Ok(Reply::Applied { id, response }) => {
            let at = ledger.entry(id.index).filter(|entry| entry.id == *id);
            at.is_some_and(is_asked) && u64::from(*response) == answer.request.0
        }
        Ok(_) => false,
        Err(Failure::Refused(_)) => {
            !state.members().any(|member| member.node().log().entries().any(is_asked))
        }
        Err(Failure::Lost) => !ledger.entries().any(is_asked),
        Err(Failure::Unknown) => true,
    };
    if is_true {
        return Ok(());
    }
    let detail = format!("{teller} told {:?} {:?}", answer.request, answer.outcome);
    Err(Broken { property: ANSWERS_ARE_TRUE, detail })
}

// --- must have been seen -----------------------------------------------------------------------------

/// A predicate over a state.
pub(crate) type Predicate<R> = fn(&Replication<R>, &mut Memo<R>, &State<R>) -> bool;

/// A situation that an exhausted run must have met, or it showed nothing.
pub(crate) struct Witness<R: Rules> {
    /// Its name.
    pub(crate) name: &'static str,
    /// Whether a state shows it.
    pub(crate) shows: Predicate<R>,
}

/// The witnesses of a model, in the order of their names' use in reports.
pub(crate) fn witnesses<R: Rules>() -> [Witness<R>; 6] {
    [
        Witness { name: "commits_while_one_is_cut_off", shows: commits_while_one_is_cut_off },
        Witness { name: "cut_off_leader_has_uncommitted_tail", shows: cut_off_leader_has_uncommitted_tail },
        Witness { name: "healed_with_equal_logs", shows: healed_with_equal_logs },
        Witness { name: "append_refused_after_a_loss", shows: append_refused_after_a_loss },
        Witness { name: "client_is_answered", shows: client_is_answered },
        Witness { name: "committed_before_the_leader_synced", shows: committed_before_the_leader_synced },
    ]
}

/// Nothing reaches some member, and the next step commits an entry that was never committed before.
fn commits_while_one_is_cut_off<R: Rules>(
    model: &Replication<R>,
    memo: &mut Memo<R>,
    state: &State<R>,
) -> bool {
    if !(0..state.count()).any(|id| state.is_deaf(id)) {
        return false;
    }
    let mut actions = Vec::new();
    model.enabled(state, &mut actions);
    actions.into_iter().any(|action| {
        let next = environment::step(memo, model.configuration(), state, action);
        next.ledger.len() > state.ledger.len()
    })
}

/// The leader reaches nobody and has an entry that is not committed.
fn cut_off_leader_has_uncommitted_tail<R: Rules>(
    _: &Replication<R>,
    _: &mut Memo<R>,
    state: &State<R>,
) -> bool {
    state.members().enumerate().any(|(id, member)| {
        let node = member.node();
        node.is_leader() && state.is_mute(id) && node.log().last().index > node.commit_index()
    })
}

/// After a cut and with every proposal in the logs, all is quiet and all logs are equal and committed.
fn healed_with_equal_logs<R: Rules>(model: &Replication<R>, _: &mut Memo<R>, state: &State<R>) -> bool {
    let was_cut = state.spent.partitions + state.spent.cuts > 0;
    let expected = usize::from(model.configuration().budgets.proposals);
    was_cut
        && state.is_healed_and_quiet()
        && state.ledger.len() == expected
        && state.members().all(|member| {
            let node = member.node();
            node.log().entries().eq(state.ledger.entries()) && node.applied_index() == node.log().last().index
        })
}

/// A cut lost an append, and a follower refuses the one after it.
fn append_refused_after_a_loss<R: Rules>(_: &Replication<R>, _: &mut Memo<R>, state: &State<R>) -> bool {
    use dkv::raft::MessageKind;
    let refused = environment::Kind::Raft(MessageKind::AppendRefused);
    state.packets().any(|packet| environment::kind_of(packet) == refused)
}

/// A proposal was made and nobody waits for it any more.
fn client_is_answered<R: Rules>(_: &Replication<R>, _: &mut Memo<R>, state: &State<R>) -> bool {
    !state.ledger.is_empty() && state.members().all(|member| member.replica.waiting_requests() == 0)
}

/// The followers' disks are a quorum without the leader's (dissertation §10.2.1).
fn committed_before_the_leader_synced<R: Rules>(
    _: &Replication<R>,
    _: &mut Memo<R>,
    state: &State<R>,
) -> bool {
    state.members().any(|member| {
        let node = member.node();
        matches!(node.role(), Role::Leader(_)) && node.commit_index() > node.durable_index()
    })
}

/// The founding members of a model with `count` replicas.
pub(crate) fn founding(count: usize) -> Members {
    Members::of_voters((0..count).map(id_of))
}
