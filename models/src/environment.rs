//! The world around the replicas: links, clients, operators, timers, power. It is the only logic here; what
//! a replica does is decided by the shipped code.
//!
//! Left out: how a member steps ([`local`](crate::local)), how that is remembered
//! ([`memo`](crate::memo)), and time: a timer that is set may fire at any moment.

use std::sync::Arc;

use dkv::cluster::disk::Disk;
use dkv::raft::{Configuration as Members, Durable, RequestId, Timer};

use crate::actions::{Action, Asked, Way};
use crate::budgets::{Budget, Counts};
use crate::configurations::{Configuration, DiskSync, Network};
use crate::converge;
use crate::letters::{Subject, sequence_of};
use crate::local::Event;
use crate::memo::Memo;
use crate::properties::{self, Broken, NO_PANIC};
use crate::requests;
use crate::state::{Executor, Member, READS_MAX, State, id_of};

/// The cluster as a run begins: as it was founded, with genesis disks and member 0 leading term 1, and after
/// the configuration's prelude.
pub(crate) fn found<P: Subject>(memo: &mut Memo<P>, configuration: &'static Configuration) -> State<P> {
    let Configuration { limits, snapshots, .. } = *configuration;
    // Until all members are equal.
    memo.rename_by(None);
    let founders = usize::from(configuration.founders);
    let founding = Members::of_voters((0..founders).map(id_of));
    let genesis = Durable::genesis(id_of(0), founding.clone());
    let members = (0..usize::from(configuration.replicas)).map(|id| {
        let is_founder = id < founders;
        let disk = if is_founder { genesis.clone() } else { Durable::empty() };
        let mut executor = Executor::<P>::new(Disk::new(disk));
        let effects = if is_founder {
            executor.found(id_of(id), limits, snapshots)
        } else {
            executor.restart(id_of(id), limits, snapshots).expect("an empty disk has no snapshot to load")
        };
        assert!(effects.write.is_none() && effects.messages.is_empty(), "a new member only waits");
        memo.member(Member::new(executor))
    });
    let members: Vec<_> = members.collect();
    let ledger = memo.ledger(properties::founding_ledger(&founding, &members));
    let mut state = State::founded(configuration, members, ledger);
    for action in &configuration.prelude {
        let verdict = act(memo, DiskSync::Instant, &mut state, *action)
            .and_then(|_| converge::settle(memo, &mut state));
        if let Err(broken) = verdict {
            state.violated = Some(Arc::new(broken));
            return state;
        }
    }
    if configuration.symmetry
        && let Err(broken) = memo.relate(&state)
    {
        state.violated = Some(Arc::new(broken));
    }
    state
}

/// Everything that may happen next, in a fixed order.
pub(crate) fn enabled<P: Subject>(state: &State<P>, actions: &mut Vec<Action>) {
    if state.violated.is_some() {
        return;
    }
    let configuration = state.configuration;
    let (spent, left) = (&state.spent, state.spent.left_of(&configuration.budgets));
    let may = |budget| left.has(budget);
    for (from, to) in state.directions() {
        let Some(queue) = state.queue(from, to) else { continue };
        let mut push = |kind, position| {
            let way = Way { from, to, kind, position };
            actions.push(Action::Deliver(way));
            if may(Budget::Duplicates) {
                actions.push(Action::Duplicate(way));
            }
            if may(Budget::Drops) {
                actions.push(Action::Drop(way));
            }
        };
        match configuration.network {
            Network::Fifo => push(queue.kind, 0),
            Network::Unordered => queue.positions().for_each(|(position, kind)| push(kind, position)),
        }
    }
    for (id, member) in state.members().enumerate() {
        let pending = member.pending();
        let Some(node) = member.node() else {
            actions.push(Action::Restart { id });
            continue;
        };
        actions.extend((1..=pending).map(|count| Action::Sync { id, count: counted(count) }));
        if left.is_empty() {
            continue;
        }
        let is_asked = node.is_leader() || configuration.ask_anybody;
        if may(Budget::Proposals) && is_asked {
            actions.push(Action::Propose { at: id });
        }
        if may(Budget::Retries) && is_asked {
            let made = 1..=spent.get(Budget::Proposals);
            let is_tagged = |of: &u8| sequence_of(configuration.command(*of)).is_some();
            actions.extend(made.filter(is_tagged).map(|of| Action::Retry { at: id, of }));
        }
        if may(Budget::Reads) && is_asked {
            actions.push(Action::Read { at: id });
        }
        if may(Budget::GiveUps) {
            actions.extend(
                asked(spent)
                    .filter(|of| member.is_waiting(request_of(*of)))
                    .map(|of| Action::GiveUp { at: id, of }),
            );
        }
        for timer in node.timers().iter().filter(|timer| may(Budget::of_timer(*timer))) {
            actions.push(Action::Fire { id, timer });
        }
        if may(Budget::Compactions) {
            actions.push(Action::Compact { id });
        }
        if may(Budget::Changes) && node.is_leader() {
            actions.push(Action::Change { at: id });
        }
        if may(Budget::Transfers) && node.is_leader() {
            let voters = (0..state.count()).filter(|to| node.configuration().is_voter(id_of(*to)));
            actions.extend(voters.filter(|to| *to != id).map(|to| Action::Transfer { from: id, to }));
        }
        if may(Budget::Crashes) {
            actions.extend((0..=pending).map(|keep| Action::Crash { id, keep }));
        }
        if may(Budget::Partitions) && !state.is_isolated(id) {
            actions.push(Action::Partition { id });
        }
    }
    if may(Budget::Cuts) {
        let connected = state.directions().filter(|(from, to)| !state.is_cut(*from, *to));
        actions.extend(connected.map(|(from, to)| Action::Cut { from, to }));
    }
    if state.cut != 0 {
        actions.push(Action::Heal);
    }
}

/// What clients have asked for.
fn asked(spent: &Counts) -> impl Iterator<Item = Asked> {
    let proposals = (1..=spent.get(Budget::Proposals)).map(Asked::Proposal);
    proposals.chain((1..=spent.get(Budget::Reads)).map(Asked::Read))
}

fn request_of(asked: Asked) -> RequestId {
    match asked {
        Asked::Proposal(number) => requests::proposal(number, 0),
        Asked::Read(number) => requests::read(number - 1),
    }
}

fn counted(writes: usize) -> u32 {
    u32::try_from(writes).expect("few writes are pending")
}

/// Carries out one action. What it breaks, a panic too, is in the state it leads to.
pub(crate) fn step<P: Subject>(memo: &mut Memo<P>, state: &State<P>, action: Action) -> State<P> {
    let mut next = state.clone();
    if let Err(broken) = act(memo, state.configuration.sync, &mut next, action) {
        if broken.property == NO_PANIC {
            // What a panic leaves behind is no state of anything.
            next = state.clone();
        }
        next.violated = Some(Arc::new(broken));
    }
    next
}

/// Carries out one action on a state.
pub(crate) fn act<P: Subject>(
    memo: &mut Memo<P>,
    sync: DiskSync,
    state: &mut State<P>,
    action: Action,
) -> Result<(), Broken> {
    let configuration = state.configuration;
    let mut give = |state: &mut State<P>, id, event| memo.step(sync, state, id, &event);
    match action {
        Action::Deliver(Way { from, to, position, .. }) => {
            let packet = memo.take(state, from, to, position);
            memo.step(sync, state, to, &Event::Packet(packet))?;
        }
        Action::Duplicate(Way { from, to, position, .. }) => {
            state.spent.spend(Budget::Duplicates);
            let queue = state.queue(from, to).expect("only what is on a link arrives");
            let packet = queue.packets[usize::from(position)].clone();
            give(state, to, Event::Packet(packet))?;
        }
        Action::Drop(Way { from, to, position, .. }) => {
            state.spent.spend(Budget::Drops);
            memo.take(state, from, to, position);
        }
        Action::Sync { id, count } => {
            give(state, id, Event::Persisted(count))?;
        }
        Action::Propose { at } => {
            let number = state.spent.spend(Budget::Proposals);
            let left = configuration.budgets.get(Budget::Proposals).saturating_sub(number);
            let count = configuration.together.min(left + 1);
            (1..count).for_each(|_| _ = state.spent.spend(Budget::Proposals));
            give(state, at, Event::ProposeTogether(number, count))?;
        }
        Action::Retry { at, of } => {
            let attempt = state.spent.spend(Budget::Retries);
            give(state, at, Event::Propose(requests::proposal(of, attempt), configuration.command(of)))?;
        }
        Action::Read { at } => {
            let number = state.spent.spend(Budget::Reads) - 1;
            assert!(usize::from(number) < READS_MAX, "a state has room for {READS_MAX} reads");
            let committed = u8::try_from(state.ledger.last().index.0).expect("logs are short");
            state.floors[usize::from(number)] = committed + 1;
            give(state, at, Event::Read(requests::read(number)))?;
        }
        Action::GiveUp { at, of } => {
            state.spent.spend(Budget::GiveUps);
            give(state, at, Event::Cancel(request_of(of)))?;
        }
        Action::Fire { id, timer } => {
            if give(state, id, Event::Timeout(timer))? {
                state.spent.spend(Budget::of_timer(timer));
            }
        }
        Action::Crash { id, keep } => {
            state.spent.spend(Budget::Crashes);
            give(state, id, Event::Crash(keep))?;
        }
        Action::Restart { id } => {
            give(state, id, Event::Restart(id_of(id)))?;
        }
        Action::Compact { id } => {
            if give(state, id, Event::Compact)? {
                state.spent.spend(Budget::Compactions);
            }
        }
        Action::Change { at } => {
            let number = state.spent.spend(Budget::Changes) - 1;
            let list = configuration.change(usize::from(number));
            give(state, at, Event::Change(requests::change(number), list))?;
        }
        Action::Transfer { from, to } => {
            let number = state.spent.spend(Budget::Transfers) - 1;
            give(state, from, Event::Transfer(requests::transfer(number, id_of(to)), id_of(to)))?;
        }
        Action::Partition { id } => {
            state.spent.spend(Budget::Partitions);
            for (from, to) in state.directions().filter(|(from, to)| *from == id || *to == id) {
                state.cut(from, to);
            }
        }
        Action::Cut { from, to } => {
            state.spent.spend(Budget::Cuts);
            state.cut(from, to);
        }
        Action::Heal => state.cut = 0,
    }
    Ok(())
}

/// Fires a timer, if a member is up and has set it.
pub(crate) fn fire_if_set<P: Subject>(
    memo: &mut Memo<P>,
    state: &mut State<P>,
    id: usize,
    timer: Timer,
) -> Result<(), Broken> {
    let is_set = state.member(id).node().is_some_and(|node| node.timers().contains(timer));
    if is_set { act(memo, DiskSync::Instant, state, Action::Fire { id, timer }) } else { Ok(()) }
}
