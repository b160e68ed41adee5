//! What must hold, and what must have been seen.
//!
//! The definitions are those of [`dkv::raft::invariants`]; here they are applied to a state of the
//! model. Every step changes one member, so that member is checked against its own past, against every
//! other member and against the ghost log; by induction that covers every pair in every state. A broken
//! property becomes part of the state that the step leads to, and stateright finds it there under its
//! name.

use std::fmt;

use dkv::raft::invariants::{
    self, Invariant, Verdict, Violation, Vitals, check_step, log_matching, state_machine_safety,
};
use dkv::raft::quorum::is_quorum;
use dkv::raft::{Configuration as Members, Entry, Index, NodeId, Payload, Raft, Role};
use dkv::replica::{Answer, Failure, Reply, Rules};

use crate::environment;
use crate::model::Replication;
use crate::shared::Shared;
use crate::state::{Command, Disk, Member, Response, State, id_of};

/// No handler panics and no assertion of the core fails.
pub const NO_PANIC: &str = "no_panic";
/// A client is told what is true: applied means committed with that response, refused and lost mean
/// without effect.
pub const ANSWERS_ARE_TRUE: &str = "answers_are_true";
/// [`Invariant::HealedReplicasConverge`], which is judged by running on from a state.
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

fn broken(invariant: Invariant, detail: String) -> Verdict {
    Err(Violation { invariant, detail })
}

// --- judged at each step -----------------------------------------------------------------------------

/// Judges one step of the member `id`, which is not yet back among the members of `state`. What it
/// committed for the first time is added to the ghost log.
pub(crate) fn judge_step<R: Rules>(
    before: &Vitals,
    id: usize,
    member: &Member<R>,
    state: &mut State<R>,
) -> Verdict {
    let node = member.node();
    check_step(before, node)?;
    for (other, peer) in state.members.iter().enumerate() {
        if other != id {
            invariants::election_safety(node, peer.node())?;
            log_matching(node, peer.node())?;
            state_machine_safety(node, peer.node())?;
        }
    }
    let vitals = Vitals::of(node);
    if vitals.leads.is_some() && vitals.leads != before.leads {
        leader_completeness(member, &state.committed)?;
    }
    if vitals.commit > before.commit {
        observe_commit(before.commit, member, state)?;
        held_by_quorum(Invariant::CommittedOnQuorum, id, &member.disk, state)?;
    }
    held_by_quorum(Invariant::CommittedNeverLost, id, &member.disk, state)
}

/// A leader that begins has everything that was ever committed.
fn leader_completeness<R: Rules>(member: &Member<R>, committed: &[Entry<Command>]) -> Verdict {
    for entry in committed {
        if member.node().log().entry(entry.id.index) != Some(entry) {
            let detail = format!("{} leads without the committed {}", member.node().id(), entry.id);
            return broken(Invariant::LeaderCompleteness, detail);
        }
    }
    Ok(())
}

/// What is committed now is what was committed before at the same index, or comes right after it.
fn observe_commit<R: Rules>(before: Index, member: &Member<R>, state: &mut State<R>) -> Verdict {
    let node = member.node();
    let mut grown = None;
    for entry in node.log().range(before, node.commit_index()) {
        let committed: &Vec<_> = grown.as_ref().unwrap_or(&state.committed);
        let position = usize::try_from(entry.id.index.prev().0).expect("logs are short");
        if position > committed.len() {
            let detail = format!("{} committed {} before the entries ahead of it", node.id(), entry.id);
            return broken(Invariant::StateMachineSafety, detail);
        }
        match committed.get(position) {
            Some(known) if known != entry => {
                let detail = format!("{} committed {} where {} was committed", node.id(), entry.id, known.id);
                return broken(Invariant::StateMachineSafety, detail);
            }
            Some(_) => {}
            None => grown.get_or_insert_with(|| state.committed.to_vec()).push(entry.clone()),
        }
    }
    if let Some(committed) = grown {
        state.committed = Shared::new(committed);
    }
    Ok(())
}

/// Every entry that was ever committed is on the disks of a quorum, counted by the published rule
/// whatever rules the replicas run under.
fn held_by_quorum<R: Rules>(invariant: Invariant, id: usize, disk: &Disk, state: &State<R>) -> Verdict {
    let members = &disk.synced.snapshot.configuration;
    for entry in &**state.committed {
        let holds = |voter: NodeId| {
            let voter = crate::state::index_of(voter);
            let disk = if voter == id { disk } else { &state.members[voter].disk };
            disk.synced.entry(entry.id.index) == Some(entry)
        };
        if !is_quorum::<Raft>(members, holds) {
            return broken(invariant, format!("{} is not on the disks of a quorum of {members}", entry.id));
        }
    }
    Ok(())
}

/// Judges what a client is told. The request that proposed a command has the command's number.
pub(crate) fn judge_answer<R: Rules>(
    answer: &Answer<Response>,
    member: &Member<R>,
    state: &State<R>,
) -> Result<(), Broken> {
    let entry = |entry: &Entry<Command>| match entry.payload {
        Payload::Command(command) => u64::from(command) == answer.request.0,
        Payload::Noop | Payload::Configuration(_) => false,
    };
    let is_true = match &answer.outcome {
        Ok(Reply::Applied { id, response }) => {
            let at = state.committed.iter().find(|committed| committed.id == *id);
            at.is_some_and(entry) && u64::from(*response) == answer.request.0
        }
        Ok(_) => false,
        Err(Failure::Refused(_)) => {
            let mut nodes = state.members.iter().map(|member| member.node()).chain([member.node()]);
            !nodes.any(|node| node.log().entries().any(entry))
        }
        Err(Failure::Lost) => !state.committed.iter().any(entry),
        Err(Failure::Unknown) => true,
    };
    if is_true {
        return Ok(());
    }
    let detail = format!("{} told {:?} {:?}", member.node().id(), answer.request, answer.outcome);
    Err(Broken { property: ANSWERS_ARE_TRUE, detail })
}

// --- must have been seen -----------------------------------------------------------------------------

/// A predicate over a state.
pub type Predicate<R> = fn(&Replication<R>, &State<R>) -> bool;

/// A situation that an exhausted run must have met, or it showed nothing.
pub struct Witness<R: Rules> {
    /// Its name.
    pub name: &'static str,
    /// Whether a state shows it.
    pub shows: Predicate<R>,
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
fn commits_while_one_is_cut_off<R: Rules>(model: &Replication<R>, state: &State<R>) -> bool {
    if !(0..state.members.len()).any(|id| state.is_deaf(id)) {
        return false;
    }
    let mut actions = Vec::new();
    model.enabled(state, &mut actions);
    actions.into_iter().any(|action| {
        let next = environment::step(model.configuration(), state, action);
        next.committed.len() > state.committed.len()
    })
}

/// The leader reaches nobody and has an entry that is not committed.
fn cut_off_leader_has_uncommitted_tail<R: Rules>(_: &Replication<R>, state: &State<R>) -> bool {
    state.members.iter().enumerate().any(|(id, member)| {
        let node = member.node();
        node.is_leader() && state.is_mute(id) && node.log().last().index > node.commit_index()
    })
}

/// After a cut and with every proposal in the logs, all is quiet and all logs are equal and committed.
fn healed_with_equal_logs<R: Rules>(model: &Replication<R>, state: &State<R>) -> bool {
    let was_cut = state.spent.partitions + state.spent.cuts > 0;
    let expected = usize::from(model.configuration().budgets.proposals);
    was_cut
        && state.is_healed_and_quiet()
        && state.committed.len() == expected
        && state.members.iter().all(|member| {
            let node = member.node();
            node.log().entries().eq(state.committed.iter()) && node.applied_index() == node.log().last().index
        })
}

/// A cut lost an append, and a follower refuses the one after it.
fn append_refused_after_a_loss<R: Rules>(_: &Replication<R>, state: &State<R>) -> bool {
    use dkv::raft::MessageKind;
    state
        .links
        .iter()
        .flatten()
        .flat_map(|queue| queue.iter())
        .any(|packet| environment::kind_of(packet) == environment::Kind::Raft(MessageKind::AppendRefused))
}

/// A proposal was made and nobody waits for it any more.
fn client_is_answered<R: Rules>(_: &Replication<R>, state: &State<R>) -> bool {
    !state.committed.is_empty() && state.members.iter().all(|member| member.replica.waiting_requests() == 0)
}

/// The followers' disks are a quorum without the leader's (dissertation §10.2.1).
fn committed_before_the_leader_synced<R: Rules>(_: &Replication<R>, state: &State<R>) -> bool {
    state.members.iter().any(|member| {
        let node = member.node();
        matches!(node.role(), Role::Leader(_)) && node.commit_index() > node.durable_index()
    })
}

/// The founding members of a model with `count` replicas.
pub(crate) fn founding(count: usize) -> Members {
    Members::of_voters((0..count).map(id_of))
}
