//! The oracle of clients: what they are told against the ghost log of everything committed.
//!
//! The log is the one order in which everything takes effect, so whether an answer is right needs no search:
//! the log is applied to the store once more, under the rules that ship, and compared; and what the store makes of it
//! is compared with what the commands [mean](crate::meaning). A read is right
//! if it saw what the log holds up to some entry, and that entry is at or after the last that was committed
//! when the read was asked for. That is linearizability with the log as witness (dissertation §6.4).
//!
//! Left out: the order of writes in time. A command enters the log after it was asked for, so it cannot
//! take effect before.

use dkv::cluster::invariants::{Ledger, exactly_once};
use dkv::kv::{self, Outcome, Response, Revision};
use dkv::raft::invariants::{Invariant, Verdict, ensure};
use dkv::raft::{Configuration, Entry, EntryId, Index, MemberChange, NodeId, Payload, Term};
use dkv::replica::{Failure, Reply, StateMachine};

use crate::budgets::Budget;
use crate::letters::{Command, Letters, Machine, Subject, sequence_of};
use crate::local::Told;
use crate::meaning;
use crate::properties::{ANSWERS_ARE_TRUE, Broken};
use crate::requests;
use crate::state::{Member, State};

/// The store as it must be after some committed entry, and the responses on the way.
struct Replayed<K: kv::Rules> {
    store: Letters<K>,
    responses: Vec<(EntryId, Command, Response)>,
}

/// Applies what was committed up to `to`.
fn replay<K: kv::Rules>(ledger: &Ledger<Command>, to: Index) -> Replayed<K> {
    let (mut store, mut responses) = (Letters::<K>::default(), Vec::new());
    for Entry { id, payload } in ledger.entries().take_while(|entry| entry.id.index <= to) {
        match payload {
            Payload::Command(command) => {
                let response = store.apply(*id, command).expect("memory does not fail");
                responses.push((*id, *command, response));
            }
            Payload::Noop | Payload::Configuration(_) => store.skip(*id).expect("memory does not fail"),
        }
    }
    Replayed { store, responses }
}

/// The command that a response says took effect, and where. No command is proposed twice but for retries.
fn effect(command: Command, response: &Response) -> Option<(Command, Revision)> {
    matches!(response.outcome, Outcome::Put(_)).then_some((command, response.revision))
}

/// Judges what a member has applied: exactly what is committed, each request once. What it had applied `before` was
/// judged when it did, and what is committed only grows.
pub(crate) fn judge_machine<P: Subject>(
    id: NodeId,
    before: &Machine<P>,
    machine: &Machine<P>,
    ledger: &Ledger<Command>,
    told: &[Told],
    state: &State<P>,
) -> Verdict {
    if told.is_empty() && machine == before {
        return Ok(());
    }
    let applied = machine.applied();
    let own = replay::<P::Store>(ledger, applied.index);
    let expected = replay::<kv::Shipped>(ledger, applied.index);
    let answered = told.iter().filter_map(|told| match &told.answer.outcome {
        Ok(Reply::Applied { response, .. }) => {
            effect(state.configuration.asked(told.answer.request)?, response)
        }
        _ => None,
    });
    let effects = expected.responses.iter().chain(&own.responses);
    let effects = effects.filter_map(|(_, command, response)| effect(*command, response));
    exactly_once(effects.chain(answered))?;
    meaning::judge_store(&expected.responses, &expected.store.query(&()))?;
    ensure(expected.store.applied() == applied, Invariant::StateMachineSafety, || {
        format!("{id} applied {applied}, and committed is {}", ledger.last())
    })?;
    let is_equal = expected.store.snapshot().ok() == machine.snapshot().ok();
    ensure(is_equal, Invariant::StateMachineSafety, || {
        format!("the state of {id} at {applied} is not what the log says")
    })
}

/// The term in which a cluster is founded.
const FOUNDING_TERM: Term = Term(1);

/// Whether the members are as somebody asked for.
fn is_carried_out(change: MemberChange, members: &Configuration) -> bool {
    match change {
        MemberChange::AddLearner(id) => members.learners.contains(&id),
        MemberChange::Promote(id) => members.is_voter(id),
        MemberChange::Remove(id) => !members.contains(id),
    }
}

/// Judges what a client is told.
pub(crate) fn judge_answer<P: Subject>(
    told: &Told,
    teller: &Member<P>,
    ledger: &Ledger<Command>,
    state: &State<P>,
) -> Result<(), Broken> {
    let request = told.answer.request;
    let id = teller.node().map(|node| node.id());
    let told_what = || format!("{id:?} told {request:?} {:?} {:?}", told.answer.outcome, told.view);
    if let Some(read) = requests::read_of(request) {
        return Ok(judge_read(state.floors[read], told, ledger, told_what)?);
    }
    let asked = state.configuration.asked(request);
    let is_asked = |entry: &Entry<Command>| match entry.payload {
        Payload::Command(command) => Some(command) == asked,
        Payload::Noop | Payload::Configuration(_) => false,
    };
    // Another attempt at the same command may be anywhere.
    let is_retried = asked.and_then(sequence_of).is_some() && state.spent.get(Budget::Retries) > 0;
    let is_true = match &told.answer.outcome {
        Ok(Reply::Applied { id, response }) => {
            let replayed = replay::<kv::Shipped>(ledger, id.index);
            let last = replayed.responses.last().filter(|(at, ..)| at == id);
            let is_there = ledger.entry(id.index).is_some_and(|entry| entry.id == *id && is_asked(entry));
            if is_there && last.is_some_and(|(.., expected)| expected != response) {
                ensure(false, Invariant::Linearizable, told_what)?;
            }
            is_there
        }
        Ok(Reply::MembersChanged(members)) => {
            let is_it = |entry: &Entry<Command>| match &entry.payload {
                Payload::Configuration(committed) => **committed == *members,
                Payload::Noop | Payload::Command(_) => false,
            };
            let asked = state.configuration.asked_change(request);
            !members.is_joint()
                && asked.iter().all(|change| is_carried_out(*change, members))
                && ledger.entries().any(is_it)
        }
        Ok(Reply::Transferred) => {
            let to = requests::transferee_of(request);
            let has_led = |to| ledger.leaders().iter().any(|(term, id)| *id == to && *term > FOUNDING_TERM);
            to.is_some_and(has_led) && teller.node().is_some_and(|node| node.leader() == to)
        }
        Ok(Reply::Read { .. }) => false,
        Err(Failure::Refused(_)) => {
            let holds = |member: &Member<P>| match member.node() {
                Some(node) => node.log().entries().any(is_asked),
                None => member.synced().entries.iter().any(is_asked),
            };
            is_retried || asked.is_none() || !state.members().any(|member| holds(member))
        }
        Err(Failure::Lost) => {
            // Nor may it be committed later: another entry has its place, or one of a later term is ahead of it.
            let is_dead = |entry: &Entry<Command>| {
                let has_its_place = ledger.entry(entry.id.index).is_some_and(|other| other.id != entry.id);
                has_its_place || ledger.last().term > entry.id.term
            };
            let is_alive = |entry: &Entry<Command>| is_asked(entry) && !is_dead(entry);
            let may_commit = |member: &Member<P>| match member.node() {
                Some(node) => node.log().entries().any(is_alive),
                None => member.synced().entries.iter().any(is_alive),
            };
            let may_take_effect =
                || ledger.entries().any(is_asked) || state.members().any(|member| may_commit(member));
            is_retried || asked.is_none() || !may_take_effect()
        }
        Err(Failure::Unknown) => true,
    };
    if is_true { Ok(()) } else { Err(Broken { property: ANSWERS_ARE_TRUE, detail: told_what() }) }
}

/// `floor` is one more than the index of what was committed when the read was asked for.
fn judge_read(floor: u8, told: &Told, ledger: &Ledger<Command>, detail: impl Fn() -> String) -> Verdict {
    ensure(floor > 0, Invariant::ExactlyOnce, || format!("{}, again", detail()))?;
    let Some((applied, view)) = &told.view else { return Ok(()) };
    let is_recent = applied.index.0 + 1 >= u64::from(floor);
    ensure(is_recent, Invariant::Linearizable, || format!("{}, and {} was committed", detail(), floor - 1))?;
    let expected = replay::<kv::Shipped>(ledger, applied.index).store.query(&());
    ensure(*view == expected, Invariant::Linearizable, || format!("{}, and there was {expected:?}", detail()))
}
