//! Convergence: healed, started again and left alone, the replicas become equal and go on.
//!
//! A checker of states cannot judge "eventually" on a graph with joins and cycles. So from a state one
//! fair run is made: all links are restored and all members started, then in rounds every disk completes and
//! every packet arrives in a fixed order. When all is quiet time passes: with a leader to the next heartbeat,
//! without one to the next election timeout, of one member after the other. Within a few rounds there is a
//! leader, everything in its log is committed, and every member of its configuration holds that, applied,
//! and nothing else; no change of members is under way; and then one more command is proposed, and the same holds of it.
//! By then no client waits for anything but what others have to tell it, which a cut may have lost.
//!
//! **One stays deaf.** Where a configuration asks for it, the same holds of the others if one member alone goes on
//! hearing nobody, whom all others hear: for a majority is connected both ways. If it leads it must step down. Its own
//! clients are not judged, since it cannot know what became of their requests.
//!
//! Where steps are remembered ([`memo`](crate::memo)), so is what became of a cluster that came to rest: each state then
//! costs the messages that are on their way, and nearly nothing beyond.

use dkv::cluster::invariants::healed_replicas_converge;
use dkv::raft::{Index, NodeId, Timer};
use dkv::replica::StateMachine;

use crate::actions::{Action, Kind, Way};
use crate::budgets::Budget;
use crate::configurations::{DiskSync, LAST_PROPOSAL};
use crate::environment::{act, fire_if_set};
use crate::letters::{Node, Subject};
use crate::local::Event;
use crate::memo::Memo;
use crate::properties::{Broken, CONVERGENCE};
use crate::requests;
use crate::state::{MEMBERS_MAX, READS_MAX, State, id_of};

/// Rounds within which all must be equal. One heartbeat suffices where there is a leader: its answer lets
/// the leader send what was lost, and that tells the commit index too. The rest is for elections: eight were the
/// most in any configuration where all are healed, twelve where one stays deaf and is in the way.
pub const ROUNDS_MAX: u32 = 24;
/// Steps in one round; more is a loop.
const STEPS_MAX: u32 = 1000;
/// Every so many rounds, leaders check their quorum and give up transfers.
const ROUNDS_IN_A_TIMEOUT: u32 = 3;

/// Runs on from a state, fairly and without faults. Returns how many rounds it took until all
/// replicas were equal.
///
/// # Errors
/// They are not equal in time, or a step on the way broke a property.
pub fn healed<P: Subject>(memo: &mut Memo<P>, state: &State<P>) -> Result<u32, Broken> {
    // What these runs show is beyond the bounds, and shows nothing of what is within.
    let noted = memo.noted;
    let deaf = (0..state.count()).filter(|_| state.configuration.one_stays_deaf).map(Some);
    let rounds = std::iter::once(None).chain(deaf).map(|deaf| run_on(memo, state.clone(), deaf));
    let most = rounds.reduce(|one, other| Ok(one?.max(other?))).expect("there is one run");
    memo.noted = noted;
    most
}

fn run_on<P: Subject>(memo: &mut Memo<P>, mut state: State<P>, deaf: Option<usize>) -> Result<u32, Broken> {
    act(memo, DiskSync::Instant, &mut state, Action::Heal)?;
    if let Some(deaf) = deaf {
        (0..state.count()).filter(|from| *from != deaf).for_each(|from| state.cut(from, deaf));
    }
    for id in 0..state.count() {
        if state.member(id).node().is_none() {
            act(memo, DiskSync::Instant, &mut state, Action::Restart { id })?;
        }
    }
    settle(memo, &mut state)?;
    // What follows depends on who is left, and many states come to the same rest.
    let rest = memo.remembers_rest().then(|| Rest::of(&state, deaf));
    if let Some(known) = rest.as_ref().and_then(|rest| memo.rested.get(rest)) {
        return known.clone();
    }
    let result = go_on(memo, state, deaf);
    if let Some(rest) = rest {
        memo.rested.insert(rest, result.clone());
    }
    result
}

/// A cluster at rest: all are up, nothing is on its way, and nothing is cut unless one member is deaf.
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct Rest {
    members: [u64; MEMBERS_MAX],
    ledger: u64,
    floors: [u8; READS_MAX],
    is_retried: bool,
    deaf: Option<usize>,
}

impl Rest {
    fn of<P: Subject>(state: &State<P>, deaf: Option<usize>) -> Rest {
        let mut members = [0; MEMBERS_MAX];
        for (hash, member) in members.iter_mut().zip(state.members()) {
            *hash = member.content_hash();
        }
        let is_retried = state.spent.get(Budget::Retries) > 0;
        Rest { members, ledger: state.ledger.content_hash(), floors: state.floors, is_retried, deaf }
    }
}

fn go_on<P: Subject>(memo: &mut Memo<P>, mut state: State<P>, deaf: Option<usize>) -> Result<u32, Broken> {
    let rounds = until_equal(memo, &mut state, deaf)?;
    let Some(leader) = leader(&state) else { return Err(stuck("nobody leads")) };
    fire_if_set(memo, &mut state, leader, Timer::Transfer)?;
    let (request, command) =
        (requests::proposal(LAST_PROPOSAL, 0), state.configuration.command(LAST_PROPOSAL));
    let committed = state.ledger.len();
    memo.step(DiskSync::Instant, &mut state, leader, &Event::Propose(request, command))?;
    until_equal(memo, &mut state, deaf)?;
    if state.ledger.len() <= committed {
        return Err(stuck("a command of a client at the leader is not committed"));
    }
    Ok(rounds)
}

fn until_equal<P: Subject>(
    memo: &mut Memo<P>,
    state: &mut State<P>,
    deaf: Option<usize>,
) -> Result<u32, Broken> {
    for round in 0..=ROUNDS_MAX {
        settle(memo, state)?;
        match judge(state, deaf) {
            Ok(()) => return Ok(round),
            Err(broken) if round == ROUNDS_MAX => return Err(broken),
            Err(_) => pass_time(memo, state, round)?,
        }
    }
    unreachable!("the last round returns")
}

/// Who leads the highest term.
fn leader<P: Subject>(state: &State<P>) -> Option<usize> {
    let leaders = state.members().enumerate().filter(|(_, member)| member.is_leader());
    leaders.max_by_key(|(_, member)| member.node().map(Node::<P>::term)).map(|(id, _)| id)
}

/// The next timers fire.
fn pass_time<P: Subject>(memo: &mut Memo<P>, state: &mut State<P>, round: u32) -> Result<(), Broken> {
    let ids = 0..state.count();
    if leader(state).is_some() {
        let is_timeout = round % ROUNDS_IN_A_TIMEOUT == ROUNDS_IN_A_TIMEOUT - 1;
        for id in ids.filter(|id| state.member(*id).is_leader()).collect::<Vec<_>>() {
            if is_timeout {
                fire_if_set(memo, state, id, Timer::Transfer)?;
                fire_if_set(memo, state, id, Timer::CheckQuorum)?;
            }
            fire_if_set(memo, state, id, Timer::Heartbeat)?;
        }
        return Ok(());
    }
    for id in ids {
        fire_if_set(memo, state, id, Timer::LeaderFresh)?;
    }
    let candidate = round as usize % state.count();
    fire_if_set(memo, state, candidate, Timer::Election)
}

/// Completes disks and delivers packets, in a fixed order, until nothing is left.
pub(crate) fn settle<P: Subject>(memo: &mut Memo<P>, state: &mut State<P>) -> Result<(), Broken> {
    for _ in 0..STEPS_MAX {
        for id in 0..state.count() {
            let pending = state.member(id).pending();
            if pending > 0 && state.member(id).node().is_some() {
                let count = u32::try_from(pending).expect("few writes are pending");
                act(memo, DiskSync::Instant, state, Action::Sync { id, count })?;
            }
        }
        let loaded: Vec<_> =
            state.directions().filter(|(from, to)| state.queue(*from, *to).is_some()).collect();
        if loaded.is_empty() {
            return Ok(());
        }
        for (from, to) in loaded {
            let way = Way { from, to, kind: Kind::Answer, position: 0 };
            act(memo, DiskSync::Instant, state, Action::Deliver(way))?;
        }
    }
    Err(stuck("messages never end"))
}

fn judge<P: Subject>(state: &State<P>, deaf: Option<usize>) -> Result<(), Broken> {
    if deaf.is_some_and(|deaf| state.member(deaf).is_leader()) {
        return Err(stuck("a leader that hears nobody leads on"));
    }
    let Some(leader) = leader(state).map(|id| state.member(id)) else { return Err(stuck("nobody leads")) };
    let configuration = leader.node().map(Node::<P>::configuration);
    let mut longest = Index::ZERO;
    let mut members: Vec<(NodeId, Index, Vec<u8>)> = Vec::with_capacity(state.count());
    for (id, member) in state.members().enumerate() {
        if deaf == Some(id) {
            continue;
        }
        let id = id_of(id);
        if configuration.is_some_and(|configuration| configuration.contains(id)) {
            if member.waiting_here() > 0 {
                return Err(stuck("a client waits for ever, for nothing that others have to tell"));
            }
            longest = member.node().map_or(longest, |node| longest.max(node.log().last().index));
            let machine = member.executor.machine();
            let bytes = machine.snapshot().map_err(|fault| stuck(&fault.to_string()))?;
            members.push((id, machine.applied().index, bytes));
        }
    }
    if leader.node().is_some_and(|node| node.waiting_reads() > 0) {
        return Err(stuck("a leader never confirms that it may answer a read"));
    }
    if configuration.is_some_and(dkv::raft::Configuration::is_joint) {
        return Err(stuck("a change of members never ends"));
    }
    // Nothing is uncommitted for ever either: the end of the longest log counts as what must be applied.
    healed_replicas_converge(&members, longest.max(state.ledger.last().index))?;
    // A request that was forwarded may be lost with a link, and its client gives up by itself.
    let may_wait = state.configuration.ask_anybody && state.ledger.leaders().len() > 1;
    if state.ledger.last().index < longest || leader.waiting_requests() > 0 && !may_wait {
        return Err(stuck("an entry is not committed, or a client of the leader waits for ever"));
    }
    Ok(())
}

fn stuck(detail: &str) -> Broken {
    Broken { property: CONVERGENCE, detail: detail.to_owned() }
}
