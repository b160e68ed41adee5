//! The invariants that need the history of a whole cluster, checked after every step.
//!
//! The [`Ledger`] is a ghost: it sees everything and influences nothing. It remembers what was ever
//! committed and who ever led. Since a step changes one member, checking that member against the ledger
//! and the others covers the step; the checks cost O(1) per entry that was appended or committed.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::format;
use alloc::vec::Vec;
use core::fmt::Debug;

use crate::raft::invariants::{
    Invariant, Verdict, Violation, Vitals, check_step, ensure, log_matching_at, term_monotonic,
    vote_stability,
};
use crate::raft::{
    Command, Committed, Configuration, Durable, Entry, EntryId, Envelope, HardState, Index, Leadership,
    Message, Node, NodeId, Payload, Rules, Term,
};
use crate::replica::{self, Effects, Forward, Input, Packet, Replica, Request};

/// What was ever committed, and who ever led.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ledger<C> {
    /// Every committed entry after `forgotten`, in order.
    committed: VecDeque<Entry<C>>,
    /// Entries up to here were committed and are compacted on every member.
    forgotten: EntryId,
    /// The last entry that was first committed in each term.
    committed_in: BTreeMap<Term, Index>,
    /// The last configuration that was committed.
    configuration: Configuration,
    /// The configuration under which the last entry was committed.
    governing: Configuration,
    leaders: BTreeMap<Term, NodeId>,
    /// The durable term and vote of every member that ever was, its last word before a crash.
    sworn: BTreeMap<NodeId, HardState>,
}

impl<C: Command> Ledger<C> {
    /// The ledger of a cluster that is founded with this configuration.
    #[must_use]
    pub fn new(founding: &Configuration) -> Ledger<C> {
        Ledger {
            committed: VecDeque::new(),
            forgotten: EntryId::ZERO,
            committed_in: BTreeMap::new(),
            configuration: founding.clone(),
            governing: founding.clone(),
            leaders: BTreeMap::new(),
            sworn: BTreeMap::new(),
        }
    }

    /// The last entry that was ever committed.
    #[must_use]
    pub fn last(&self) -> EntryId {
        self.committed.back().map_or(self.forgotten, |entry| entry.id)
    }

    /// The committed entry at `index`, unless it is not committed or is forgotten.
    #[must_use]
    pub fn entry(&self, index: Index) -> Option<&Entry<C>> {
        let offset = index.0.checked_sub(self.forgotten.index.0 + 1)?;
        self.committed.get(usize::try_from(offset).ok()?)
    }

    /// How many committed entries are not forgotten.
    #[must_use]
    pub fn len(&self) -> usize {
        self.committed.len()
    }

    /// Whether every committed entry is forgotten.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.committed.is_empty()
    }

    /// The committed entries that are not forgotten, in order.
    pub fn entries(&self) -> impl Iterator<Item = &Entry<C>> {
        self.committed.iter()
    }

    /// Who led which term.
    #[must_use]
    pub fn leaders(&self) -> &BTreeMap<Term, NodeId> {
        &self.leaders
    }

    /// Forgets what every member has compacted, so that a long run stays small.
    pub fn forget(&mut self, purged_everywhere: Index) {
        while self.committed.front().is_some_and(|entry| entry.id.index <= purged_everywhere) {
            if let Some(entry) = self.committed.pop_front() {
                self.forgotten = entry.id;
            }
        }
    }

    /// Checks what one step of one member changed. `appended` are the entries it wrote, `others` the
    /// nodes that are up, `disks` every member's synced disk.
    ///
    /// # Errors
    /// The first violation.
    pub fn observe_step<'a, R>(
        &mut self,
        before: Option<&Vitals>,
        after: &Node<C, R>,
        appended: &[Entry<C>],
        others: impl Iterator<Item = &'a Node<C, R>> + Clone,
        disks: impl Fn(NodeId) -> Option<&'a Durable<C>>,
    ) -> Verdict
    where
        C: 'a,
        R: Rules + 'a,
    {
        if let Some(before) = before {
            check_step(before, after)?;
        }
        let vitals = Vitals::of(after);
        if let Some(term) = vitals.leads
            && before.is_none_or(|before| before.leads != vitals.leads)
        {
            self.observe_leader(term, after)?;
        }
        for entry in appended {
            others.clone().try_for_each(|other| log_matching_at(after, other, entry.id.index))?;
        }
        if let Some(before) = before
            && vitals.leads.is_some()
            && vitals.leads == before.leads
            && vitals.commit > before.commit
        {
            // By counting, a leader commits entries of its own term, and earlier ones only with them
            // (§5.4.2): otherwise a later leader may lack them.
            let own = after.log().term_at(vitals.commit) == vitals.leads;
            ensure(own, Invariant::LeaderCompleteness, || {
                format!("{} committed up to {}, which is not of its own term", after.id(), vitals.commit)
            })?;
        }
        let before_commit = before.map_or(after.log().snapshot().last.index, |before| before.commit);
        if vitals.commit > before_commit {
            let last_before = before.map_or(after.log().last().index, |before| before.last.index);
            self.observe_commit(before_commit, last_before, after, disks)?;
        }
        Ok(())
    }

    /// `election_safety` and `leader_completeness` of a leader that has just begun.
    fn observe_leader<R: Rules>(&mut self, term: Term, leader: &Node<C, R>) -> Verdict {
        let known = *self.leaders.entry(term).or_insert(leader.id());
        ensure(known == leader.id(), Invariant::ElectionSafety, || {
            format!("{known} and {} led term {term}", leader.id())
        })?;
        // What was committed in this term or a later one is none of its business: it may have been elected by
        // votes that came late.
        let before = self.committed_in.range(..term).next_back().map_or(Index::ZERO, |(_, last)| *last);
        for entry in self.committed.iter().take_while(|entry| entry.id.index <= before) {
            let held = leader.log().entry(entry.id.index);
            let complete = entry.id.index <= leader.log().purged().index || held == Some(entry);
            ensure(complete, Invariant::LeaderCompleteness, || {
                format!("{} leads term {term} without the committed {}", leader.id(), entry.id)
            })?;
        }
        Ok(())
    }

    /// `state_machine_safety` against everything ever committed, and `committed_on_quorum` where
    /// something is committed for the first time. The log ended at `last_before` before the step.
    fn observe_commit<'a, R: Rules>(
        &mut self,
        before: Index,
        last_before: Index,
        node: &Node<C, R>,
        disks: impl Fn(NodeId) -> Option<&'a Durable<C>>,
    ) -> Verdict
    where
        C: 'a,
    {
        let id = node.id();
        let held_from = before.max(node.log().purged().index);
        if held_from > before {
            // A snapshot was installed: it ends at a committed entry.
            let base = node.log().purged();
            let known =
                if base == self.forgotten { Some(base) } else { self.entry(base.index).map(|e| e.id) };
            let is_forgotten = base.index < self.forgotten.index;
            ensure(is_forgotten || known == Some(base), Invariant::StateMachineSafety, || {
                format!("{id} installed a snapshot up to {base}, which was never committed")
            })?;
        }
        // The configuration under which the leader counted: the one before this step, which may have left a joint
        // phase. It is looked for in what is appended, since how a node counts follows from what it takes it for.
        let is_new = node.commit_index() > self.last().index;
        let governing = is_new.then(|| {
            let counted_at = last_before.max(node.log().snapshot().last.index);
            let appended = node.log().entries().rev().take_while(|entry| entry.id.index > self.last().index);
            let counted = appended.filter(|entry| entry.id.index <= counted_at).find_map(configuration_of);
            counted.unwrap_or(&self.configuration).clone()
        });
        for entry in node.log().range(held_from, node.commit_index()) {
            if entry.id.index <= self.last().index {
                let same =
                    entry.id.index <= self.forgotten.index || self.entry(entry.id.index) == Some(entry);
                ensure(same, Invariant::StateMachineSafety, || {
                    format!("{id} committed {}, where another entry was committed before", entry.id)
                })?;
            } else {
                ensure(entry.id.index == self.last().index.next(), Invariant::StateMachineSafety, || {
                    format!("{id} committed {} before the entries ahead of it", entry.id)
                })?;
                if let Some(configuration) = configuration_of(entry) {
                    self.configuration = configuration.clone();
                }
                self.committed.push_back(entry.clone());
            }
        }
        if let Some(governing) = governing {
            self.committed_in.insert(node.term(), self.last().index);
            self.governing = governing;
            self.check_quorum_holds(Invariant::CommittedOnQuorum, disks)?;
        }
        Ok(())
    }

    /// A member crashed: what it swore is on its disk, and nothing committed is lost
    /// (`committed_never_lost`).
    ///
    /// # Errors
    /// The first violation.
    pub fn observe_crash<'a>(
        &mut self,
        id: NodeId,
        promised: HardState,
        disks: impl Fn(NodeId) -> Option<&'a Durable<C>>,
    ) -> Verdict
    where
        C: 'a,
    {
        let sworn = self.sworn.entry(id).or_default();
        term_monotonic(id, *sworn, promised)?;
        *sworn = promised;
        self.outlives_crashes(disks)
    }

    /// Whoever crashed now would lose nothing that is committed: `committed_never_lost`.
    ///
    /// # Errors
    /// The violation.
    pub fn outlives_crashes<'a>(&self, disks: impl Fn(NodeId) -> Option<&'a Durable<C>>) -> Verdict
    where
        C: 'a,
    {
        self.check_quorum_holds(Invariant::CommittedNeverLost, disks)
    }

    /// A member starts again from its disk: neither its term nor its vote went back.
    ///
    /// # Errors
    /// The violation.
    pub fn observe_restart(&self, id: NodeId, restored: HardState) -> Verdict {
        let sworn = self.sworn.get(&id).copied().unwrap_or_default();
        term_monotonic(id, sworn, restored)?;
        vote_stability(id, sworn, restored)
    }

    /// The last committed entry, and so every one before it, is on a quorum of disks.
    fn check_quorum_holds<'a>(
        &self,
        invariant: Invariant,
        disks: impl Fn(NodeId) -> Option<&'a Durable<C>>,
    ) -> Verdict
    where
        C: 'a,
    {
        let last = self.last();
        let holds = |disk: &Durable<C>| {
            disk.purged.index >= last.index || disk.entry(last.index).is_some_and(|entry| entry.id == last)
        };
        // Counted here, and not by what the nodes count with: that would be wrong both times.
        let is_majority = |voters: &BTreeSet<NodeId>| {
            let held = voters.iter().filter(|id| disks(**id).is_some_and(holds)).count();
            2 * held > voters.len()
        };
        let Configuration { voters, outgoing, .. } = &self.governing;
        let on_quorum = is_majority(voters) && outgoing.as_ref().is_none_or(is_majority);
        ensure(on_quorum || last == EntryId::ZERO, invariant, || {
            format!("{last} is not on a quorum of the disks of {}", self.governing)
        })
    }
}

fn configuration_of<C>(entry: &Entry<C>) -> Option<&Configuration> {
    match &entry.payload {
        Payload::Configuration(configuration) => Some(configuration),
        Payload::Noop | Payload::Command(_) => None,
    }
}

/// What a message that leaves says of its sender is on the sender's disk by then: its term
/// (`term_monotonic`), the vote it gives or asks others to join (`vote_stability`), the entries that it
/// vouches for (`committed_on_quorum`). Figure 2: "updated on stable storage before responding to RPCs".
///
/// # Errors
/// The violation.
pub fn leaves_only_durable<C: Command>(envelope: &Envelope<C>, disk: &Durable<C>) -> Verdict {
    let Envelope { from, to, term, message } = envelope;
    let sworn = disk.hard_state;
    ensure(*term <= sworn.term, Invariant::TermMonotonic, || {
        format!("a message of {from} in term {term} left while its disk was in {}", sworn.term)
    })?;
    let voted_for = match message {
        Message::RequestVote { .. } => Some(*from),
        Message::RequestVoteResponse { granted: true } => Some(*to),
        _ => None,
    };
    let is_sworn = voted_for.is_none() || *term < sworn.term || sworn.voted_for == voted_for;
    ensure(is_sworn, Invariant::VoteStability, || {
        format!("the vote of {from} for {voted_for:?} in term {term} left before it was on its disk")
    })?;
    let vouched = match message {
        Message::AppendAccepted { matched } => *matched,
        Message::InstallSnapshotResponse { last, installed: true, .. } => last.index,
        _ => Index::ZERO,
    };
    ensure(vouched <= disk.last().index, Invariant::CommittedOnQuorum, || {
        format!("{from} vouches for {vouched}, and its disk ends at {}", disk.last())
    })
}

/// Nothing is applied that a crash could take back: a store is never ahead of its own log
/// (`state_machine_safety` across a restart).
///
/// # Errors
/// The violation.
pub fn applies_only_durable<C: Command>(id: NodeId, apply: Committed, disk: &Durable<C>) -> Verdict {
    ensure(apply.is_empty() || apply.to <= disk.last().index, Invariant::StateMachineSafety, || {
        format!("{id} applies up to {}, and its disk ends at {}", apply.to, disk.last())
    })
}

/// `healed_replicas_converge`: all live members of the configuration hold every committed entry and the
/// same state. For a cluster without faults that has settled.
///
/// # Errors
/// The violation.
pub fn healed_replicas_converge(
    members: &[(NodeId, Index, Vec<u8>)],
    committed: Index,
) -> Result<(), Violation> {
    let Some((first, _, expected)) = members.first() else { return Ok(()) };
    for (id, applied, state) in members {
        ensure(*applied >= committed, Invariant::HealedReplicasConverge, || {
            format!("{id} applied {applied} of {committed} committed entries")
        })?;
        ensure(state == expected, Invariant::HealedReplicasConverge, || {
            format!("the states of {first} and {id} differ at {applied}")
        })?;
    }
    Ok(())
}

/// `exactly_once`: however often a request is sent, it takes effect once (dissertation §6.3). Given, for
/// every answer, which request it was and where that took effect: its entry, or the store's revision.
///
/// # Errors
/// The violation at the first request that took effect again.
pub fn exactly_once<T, E>(effects: impl IntoIterator<Item = (T, E)>) -> Verdict
where
    T: Ord + Copy + Debug,
    E: PartialEq + Copy + Debug,
{
    let mut taken = BTreeMap::new();
    for (request, effect) in effects {
        let first = *taken.entry(request).or_insert(effect);
        ensure(first == effect, Invariant::ExactlyOnce, || {
            format!("{request:?} took effect at {first:?} and again at {effect:?}")
        })?;
    }
    Ok(())
}

/// A replica before it takes an input: what its step is judged against.
///
/// `exactly_once`, of answers: a replica answers each request that it took once, and forgets nobody. So those who
/// wait after a step and those who were answered in it are as many as waited before and came with it, and nobody is
/// both. And a leader is announced once it has applied an entry of its term, and when it leads no more.
#[derive(Clone, Copy, Debug)]
pub struct Before {
    /// Its node.
    pub vitals: Vitals,
    applied: Index,
    /// How many wait, and came with the input.
    waiting: usize,
    /// A request of another replica may have come before, and then nobody more waits.
    may_be_copy: bool,
}

impl Before {
    /// A replica that has just started: nobody waits, and whatever it leads it leads from now on.
    #[must_use]
    pub fn started<C: Command, A: Clone + Eq + Ord, R: replica::Rules>(replica: &Replica<C, A, R>) -> Before {
        let node = replica.node();
        let vitals = Vitals { leads: None, ..Vitals::of(node) };
        Before { vitals, applied: node.applied_index(), waiting: 0, may_be_copy: false }
    }

    /// A replica that is about to take `input`.
    #[must_use]
    pub fn of<C: Command, A: Clone + Eq + Ord, R: replica::Rules>(
        replica: &Replica<C, A, R>,
        input: &Input<C, A>,
    ) -> Before {
        let (coming, may_be_copy) = match input {
            Input::Request(Request::Propose(commands)) => (commands.len(), false),
            Input::Request(_) => (1, false),
            Input::Packet(Packet::Forward { forward: Forward::Propose { .. }, .. }) => (1, true),
            _ => (0, false),
        };
        let (node, waiting) = (replica.node(), replica.waiting_requests() + coming);
        Before { vitals: Vitals::of(node), applied: node.applied_index(), waiting, may_be_copy }
    }

    /// Judges the step.
    ///
    /// # Errors
    /// Somebody is answered twice, or never; or leadership is announced that did not change, or not announced.
    pub fn judge<C: Command, A: Clone + Eq + Ord, R: replica::Rules>(
        &self,
        replica: &Replica<C, A, R>,
        effects: &Effects<C, A>,
    ) -> Verdict {
        self.judge_answers(replica, effects)?;
        self.judge_leadership(replica.node(), effects.leadership)
    }

    fn judge_answers<C: Command, A: Clone + Eq + Ord, R: replica::Rules>(
        &self,
        replica: &Replica<C, A, R>,
        effects: &Effects<C, A>,
    ) -> Verdict {
        let id = replica.node().id();
        let of_others = effects.forwards.iter().filter_map(|(origin, forward)| match forward {
            Forward::Answer { request, .. } => Some((*origin, *request)),
            Forward::Propose { .. } => None,
        });
        let answered = effects.answers.iter().map(|answer| (id, answer.request)).chain(of_others);
        let mut once = BTreeSet::new();
        for answered in answered {
            let is_over = once.insert(answered) && !replica.waiting().any(|waiting| waiting == answered);
            ensure(is_over, Invariant::ExactlyOnce, || {
                let (origin, request) = answered;
                format!("{id} answers {request:?} of {origin} twice, or while it waits")
            })?;
        }
        let (waiting, answered) = (replica.waiting_requests(), once.len());
        let is_copy = self.may_be_copy && waiting + answered + 1 == self.waiting;
        ensure(is_copy || waiting + answered == self.waiting, Invariant::ExactlyOnce, || {
            format!(
                "{} requests wait at {id}, {answered} are answered, and {waiting} wait then",
                self.waiting
            )
        })
    }

    fn judge_leadership<C: Command, R: Rules>(
        &self,
        node: &Node<C, R>,
        announced: Option<Leadership>,
    ) -> Verdict {
        let leads = Vitals::of(node).leads;
        let (log, applied) = (node.log(), node.applied_index());
        let began = leads.filter(|term| {
            let is_earlier = || log.term_at(self.applied).is_some_and(|before| before < *term);
            applied > self.applied && log.term_at(applied) == Some(*term) && is_earlier()
        });
        let expected = match began {
            Some(term) => Some(Leadership::Began { term }),
            None => (self.vitals.leads.is_some() && leads.is_none()).then_some(Leadership::Ended),
        };
        ensure(announced == expected, Invariant::ElectionSafety, || {
            format!("{} announces {announced:?} where {expected:?} is true", node.id())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_takes_effect_twice_is_told() {
        let at = |index| EntryId::new(Term(1), Index(index));
        assert_eq!(exactly_once([(7, at(1)), (8, at(2)), (7, at(1))]), Ok(()));
        let verdict =
            exactly_once([(7, at(1)), (8, at(2)), (7, at(3))]).map_err(|violation| violation.invariant);
        assert_eq!(verdict, Err(Invariant::ExactlyOnce));
    }
}
