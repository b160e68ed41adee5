//! What must have been seen: situations that a configuration exists for.
//!
//! Some are told by a state, some by one step of one member. The second kind is noted where the member
//! [steps](crate::local), so it is remembered with the step and costs nothing.
//!
//! Left out: which configuration must show what ([`configurations`](crate::configurations)).

use dkv::raft::{Message, MessageKind, Payload, Refusal, Role, Term, Timer};
use dkv::replica::{Failure, Reply};

use crate::actions::{Kind, kind_of};
use crate::budgets::Budget;
use crate::environment;
use crate::letters::{Node, Subject, sequence_of};
use crate::local::{Event, Told};
use crate::memo::Memo;
use crate::requests;
use crate::state::{Member, Packet, State};

/// Whether a state shows a witness.
pub(crate) type Predicate<P> = fn(&mut Memo<P>, &State<P>) -> bool;

/// Declares the witnesses, once: what each means, its name, and the predicate on states by which it shows,
/// if it does not show by a step.
macro_rules! witnesses {
    ($($(#[$meaning:meta])* $variant:ident $name:literal $(in $predicate:ident)?,)*) => {
        /// A situation that an exhausted run must have met, or it showed nothing.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Witness {
            $($(#[$meaning])* $variant,)*
        }

        impl Witness {
            /// Every witness, in the order of declaration.
            pub const ALL: &[Witness] = &[$(Witness::$variant,)*];

            /// Its name: that of the variant in snake case.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Witness::$variant => $name,)*
                }
            }

            /// Whether a state shows it; nothing if only a step can.
            pub(crate) fn in_state<P: Subject>(self) -> Option<Predicate<P>> {
                match self {
                    $($(Witness::$variant => Some($predicate),)?)*
                    _ => None,
                }
            }
        }
    };
}

witnesses! {
    /// Nothing reaches some member, and the next step commits an entry that was never committed before.
    CommitsWhileOneIsCutOff "commits_while_one_is_cut_off" in commits_while_one_is_cut_off,
    /// A leader reaches nobody and has an entry that is not committed.
    CutOffLeaderHasUncommittedTail "cut_off_leader_has_uncommitted_tail" in cut_off_leader_has_uncommitted_tail,
    /// After a cut and with every proposal in the logs, all is quiet and all logs are equal and committed.
    HealedWithEqualLogs "healed_with_equal_logs" in healed_with_equal_logs,
    /// A follower refuses an append, since the one before it was lost or is late.
    AppendRefused "append_refused" in append_refused,
    /// A proposal was made and nobody waits for it any more.
    ClientIsAnswered "client_is_answered" in client_is_answered,
    /// The followers' disks are a quorum without the leader's (dissertation §10.2.1).
    CommittedBeforeTheLeaderSynced "committed_before_the_leader_synced" in committed_before_the_leader_synced,
    /// A deposed leader does not know of its successor yet.
    TwoLeadersOfDifferentTerms "two_leaders_of_different_terms" in two_leaders_of_different_terms,
    /// Two campaign in one term.
    SplitVote "split_vote" in split_vote,
    /// A member begins to lead.
    LeaderElected "leader_elected",
    /// A later leader's entry replaces one that was not committed.
    SuffixOverwritten "suffix_overwritten",
    /// A leader commits an entry of an earlier term, with one of its own.
    EarlierTermCommitted "earlier_term_committed",
    /// A crash loses writes.
    UnsyncedWritesLost "unsynced_writes_lost",
    /// A member that voted starts again and remembers.
    VoteKeptOverACrash "vote_kept_over_a_crash",
    /// A pre-vote is ignored because the leader is fresh.
    PreVoteIgnored "pre_vote_ignored",
    /// A leader that no quorum answered steps down.
    DeposedByCheckQuorum "deposed_by_check_quorum",
    /// A message of an earlier term arrives.
    StaleMessage "stale_message",
    /// A read is served.
    ReadServed "read_served",
    /// A read is served after somebody else became leader.
    ReadServedInALaterTerm "read_served_in_a_later_term",
    /// A read is served by a member that does not lead.
    ReadServedAtFollower "read_served_at_follower",
    /// A leader had taken a read, lost its leadership and refuses the read.
    StaleReadRefused "stale_read_refused",
    /// A client learns that its proposal is lost.
    ProposalLost "proposal_lost",
    /// A request of a session is in the log twice, and the second is answered.
    RetryAnswered "retry_answered",
    /// A part of a snapshot is staged.
    ChunkStaged "chunk_staged",
    /// A snapshot replaces what a member had.
    SnapshotInstalled "snapshot_installed",
    /// A snapshot replaces a log that conflicts with it.
    SnapshotOverConflict "snapshot_over_conflict",
    /// A member starts again from a snapshot and entries behind it.
    RestartedFromSnapshot "restarted_from_snapshot",
    /// A leader that is not in the new configuration leads a joint phase.
    JointLeaderOutside "joint_leader_outside",
    /// A learner became a voter, for good.
    LearnerPromoted "learner_promoted",
    /// A leader that is not a member any more steps down.
    LeaderRemoved "leader_removed",
    /// Leadership went to whom an operator wanted.
    TransferCompleted "transfer_completed",
    /// One append carries several entries.
    SeveralInOneAppend "several_in_one_append",
    /// A leader sends an entry that its snapshot holds, since it kept it.
    KeptEntrySent "kept_entry_sent",
    /// A client is told that a leader has no room for its request.
    RefusedAsBusy "refused_as_busy",
    /// A client gave up on a request that waited, and later its entry is committed.
    CommittedThoughGivenUp "committed_though_given_up" in committed_though_given_up,
}

use Witness::*;

/// A set of witnesses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Noted(u64);

impl Noted {
    /// Adds one.
    pub fn note(&mut self, witness: Witness) {
        self.0 |= 1 << witness as u64;
    }

    /// Adds all of another set.
    pub fn add(&mut self, other: Noted) {
        self.0 |= other.0;
    }

    /// Whether it is there.
    #[must_use]
    pub fn has(self, witness: Witness) -> bool {
        self.0 & (1 << witness as u64) != 0
    }
}

// --- told by a step ----------------------------------------------------------------------------------

/// What one step of one member shows.
pub(crate) fn noted<P: Subject>(
    before: &Member<P>,
    after: &Member<P>,
    event: &Event,
    sent: &[Packet],
    told: &[Told],
) -> Noted {
    let mut noted = Noted::default();
    let mut note_if = |is_seen: bool, witness: Witness| {
        if is_seen {
            noted.note(witness);
        }
    };
    match (before.node(), after.node()) {
        (Some(_), None) => {
            let kept = if let Event::Crash(keep) = event { *keep } else { 0 };
            note_if(before.pending() > kept, UnsyncedWritesLost);
        }
        (None, Some(after)) => {
            let sworn = after.hard_state();
            note_if(sworn.term > Term(1) && sworn.voted_for.is_some(), VoteKeptOverACrash);
            let (snapshot, last) = (after.log().snapshot().last, after.log().last());
            note_if(snapshot.index.0 > 0 && last > snapshot, RestartedFromSnapshot);
        }
        (Some(before), Some(after)) => note_step::<P>(before, after, event, sent, &mut note_if),
        (None, None) => {}
    }
    if let (Some(was), Some(is)) = (before.node(), after.node()) {
        for told in told {
            note_answer::<P>(was, is, told, &mut note_if);
        }
    }
    noted
}

fn note_step<P: Subject>(
    before: &Node<P>,
    after: &Node<P>,
    event: &Event,
    sent: &[Packet],
    note_if: &mut impl FnMut(bool, Witness),
) {
    let (old, new) = (before.log(), after.log());
    let was_deposed = before.is_leader() && !after.is_leader();
    note_if(!before.is_leader() && after.is_leader(), LeaderElected);
    note_if(was_deposed && matches!(event, Event::Timeout(Timer::CheckQuorum)), DeposedByCheckQuorum);
    let is_gone = |index, term| index > new.purged().index && new.term_at(index) != Some(term);
    note_if(old.entries().any(|entry| is_gone(entry.id.index, entry.id.term)), SuffixOverwritten);
    if after.is_leader() && before.is_leader() && after.commit_index() > before.commit_index() {
        let from = before.commit_index().max(new.purged().index);
        let is_earlier = new.range(from, after.commit_index()).any(|entry| entry.id.term < after.term());
        note_if(is_earlier, EarlierTermCommitted);
    }
    if let Event::Packet(packet) = event
        && let Packet::Raft { envelope, .. } = &**packet
    {
        let is_pre_vote = envelope.message.kind() == MessageKind::PreVote;
        note_if(is_pre_vote && before.is_leader_fresh() && sent.is_empty(), PreVoteIgnored);
        note_if(envelope.term < before.term(), StaleMessage);
    }
    let staged =
        after.incoming_snapshot().is_some_and(|(meta, staged)| 0 < staged && staged < meta.size_bytes);
    note_if(staged, ChunkStaged);
    let snapshot = new.snapshot().last;
    if snapshot.index > before.commit_index() {
        note_if(true, SnapshotInstalled);
        note_if(old.term_at(snapshot.index).is_some_and(|own| own != snapshot.term), SnapshotOverConflict);
    }
    let (index, configuration) = new.configuration();
    let is_outside = !configuration.voters.contains(&after.id());
    note_if(after.is_leader() && configuration.is_joint() && is_outside, JointLeaderOutside);
    let appended = sent.iter().filter_map(|packet| match packet {
        Packet::Raft { envelope, .. } => match &envelope.message {
            Message::AppendEntries { entries, .. } => Some(entries),
            _ => None,
        },
        Packet::Forward { .. } => None,
    });
    for entries in appended {
        note_if(entries.len() > 1, SeveralInOneAppend);
        note_if(entries.first().is_some_and(|entry| entry.id.index <= snapshot.index), KeptEntrySent);
    }
    let is_learner = |id| old.configuration().1.learners.contains(id) || before.configuration().is_joint();
    let was_promoted = configuration.voters.iter().any(is_learner) && index <= after.commit_index();
    note_if(was_promoted && !configuration.is_joint() && !before.configuration().is_joint(), LearnerPromoted);
    note_if(
        was_deposed && after.term() == before.term() && !configuration.contains(after.id()),
        LeaderRemoved,
    );
}

fn note_answer<P: Subject>(
    before: &Node<P>,
    after: &Node<P>,
    told: &Told,
    note_if: &mut impl FnMut(bool, Witness),
) {
    let request = told.answer.request;
    match &told.answer.outcome {
        Ok(Reply::Read { .. }) => {
            note_if(true, ReadServed);
            note_if(after.log().term_at(after.commit_index()) > Some(Term(1)), ReadServedInALaterTerm);
            note_if(!after.is_leader(), ReadServedAtFollower);
        }
        Ok(Reply::Applied { id, .. }) => {
            let asked = after.log().entry(id.index).map(|entry| &entry.payload);
            let is_retried = |payload| {
                after.log().entries().any(|entry| entry.id.index < id.index && &entry.payload == payload)
            };
            let is_tagged = |payload: &&Payload<u8>| match payload {
                Payload::Command(command) => sequence_of(*command).is_some(),
                _ => false,
            };
            note_if(asked.filter(is_tagged).is_some_and(is_retried), RetryAnswered);
        }
        Ok(Reply::Transferred) => note_if(true, TransferCompleted),
        Err(Failure::Lost) => note_if(true, ProposalLost),
        Err(Failure::Refused(Refusal::Busy)) => note_if(true, RefusedAsBusy),
        Err(Failure::Refused(Refusal::NotLeader { .. })) => {
            let is_read = requests::read_of(request).is_some();
            note_if(is_read && before.is_leader() && !after.is_leader(), StaleReadRefused);
        }
        _ => {}
    }
}

// --- told by a state ---------------------------------------------------------------------------------

fn commits_while_one_is_cut_off<P: Subject>(memo: &mut Memo<P>, state: &State<P>) -> bool {
    if !(0..state.count()).any(|id| state.is_deaf(id)) {
        return false;
    }
    let mut actions = Vec::new();
    environment::enabled(state, &mut actions);
    actions.into_iter().any(|action| {
        let next = environment::step(memo, state, action);
        next.ledger.len() > state.ledger.len()
    })
}

fn cut_off_leader_has_uncommitted_tail<P: Subject>(_: &mut Memo<P>, state: &State<P>) -> bool {
    state.members().enumerate().any(|(id, member)| {
        let has_tail = |node: &Node<P>| node.is_leader() && node.log().last().index > node.commit_index();
        member.node().is_some_and(has_tail) && state.is_mute(id)
    })
}

fn healed_with_equal_logs<P: Subject>(_: &mut Memo<P>, state: &State<P>) -> bool {
    let (budgets, spent) = (&state.configuration.budgets, &state.spent);
    spent.get(Budget::Partitions) + spent.get(Budget::Cuts) > 0
        && state.is_healed_and_quiet()
        && state.ledger.len() >= usize::from(budgets.get(Budget::Proposals))
        && state.nodes().all(|node| {
            node.log().entries().eq(state.ledger.entries()) && node.applied_index() == node.log().last().index
        })
}

fn append_refused<P: Subject>(_: &mut Memo<P>, state: &State<P>) -> bool {
    state.packets().any(|packet| kind_of(packet) == Kind::Raft(MessageKind::AppendRefused))
}

fn client_is_answered<P: Subject>(_: &mut Memo<P>, state: &State<P>) -> bool {
    !state.ledger.is_empty() && state.members().all(|member| member.waiting_requests() == 0)
}

fn committed_before_the_leader_synced<P: Subject>(_: &mut Memo<P>, state: &State<P>) -> bool {
    state.nodes().any(|node| node.is_leader() && node.commit_index() > node.durable_index())
}

fn committed_though_given_up<P: Subject>(_: &mut Memo<P>, state: &State<P>) -> bool {
    let is_command = |payload: &Payload<u8>| matches!(payload, Payload::Command(_));
    let proposals = usize::from(state.spent.get(Budget::Proposals));
    state.spent.get(Budget::GiveUps) > 0
        && state.members().all(|member| member.waiting_requests() == 0)
        && state.ledger.entries().filter(|entry| is_command(&entry.payload)).count() == proposals
}

fn two_leaders_of_different_terms<P: Subject>(_: &mut Memo<P>, state: &State<P>) -> bool {
    state.nodes().filter(|node| node.is_leader()).count() > 1
}

fn split_vote<P: Subject>(_: &mut Memo<P>, state: &State<P>) -> bool {
    let candidates = || state.nodes().filter(|node| matches!(node.role(), Role::Candidate { .. }));
    candidates().any(|one| candidates().any(|other| one.id() != other.id() && one.term() == other.term()))
}
