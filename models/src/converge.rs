//! Convergence: healed and left alone, the replicas become equal.
//!
//! A checker of states cannot judge "eventually" on a graph with joins and cycles. So from a state one
//! fair run is made: everything is healed, then in rounds every disk completes, every packet arrives in
//! a fixed order, and when all is quiet the leader sends a heartbeat. Within a few rounds everything in
//! the leader's log must be committed, and every replica must hold it, applied, and nothing else.

use dkv::cluster::invariants::healed_replicas_converge;
use dkv::raft::{Index, NodeId, Payload};
use dkv::replica::Rules;

use crate::configurations::DiskSync;
use crate::environment::{Action, Kind, act};
use crate::memo::Memo;
use crate::properties::{Broken, CONVERGENCE};
use crate::state::{State, id_of};

/// Heartbeats within which all must be equal. One suffices in every configuration so far: its answer
/// lets the leader send what was lost, and that tells the commit index too.
pub const ROUNDS_MAX: u32 = 2;
/// Steps in one round; more is a loop.
const STEPS_MAX: u32 = 1000;

/// Runs on from a state, fairly and without faults. Returns how many heartbeats it took until all
/// replicas were equal.
///
/// # Errors
/// They are not equal in time, or a step on the way broke a property.
pub fn healed<R: Rules>(memo: &mut Memo<R>, state: &State<R>) -> Result<u32, Broken> {
    run_on(memo, state.clone())
}

fn run_on<R: Rules>(memo: &mut Memo<R>, mut state: State<R>) -> Result<u32, Broken> {
    act(memo, DiskSync::Instant, &mut state, Action::Heal)?;
    for round in 0..=ROUNDS_MAX {
        settle(memo, &mut state)?;
        match judge(&state) {
            Ok(()) => return Ok(round),
            Err(broken) if round == ROUNDS_MAX => return Err(broken),
            Err(_) => {}
        }
        let leader = state.members().position(|member| member.node().is_leader());
        let Some(of) = leader else { return Err(stuck("nobody leads")) };
        act(memo, DiskSync::Instant, &mut state, Action::Heartbeat { of })?;
    }
    unreachable!("the last round returns")
}

/// Completes disks and delivers packets, in a fixed order, until nothing is left.
fn settle<R: Rules>(memo: &mut Memo<R>, state: &mut State<R>) -> Result<(), Broken> {
    for _ in 0..STEPS_MAX {
        for id in 0..state.count() {
            let pending = state.member(id).disk.pending.len();
            if pending > 0 {
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
            act(memo, DiskSync::Instant, state, Action::Deliver { from, to, kind: Kind::Answer })?;
        }
    }
    Err(stuck("messages never end"))
}

fn judge<R: Rules>(state: &State<R>) -> Result<(), Broken> {
    let mut longest = Index::ZERO;
    let mut waiting = 0;
    let mut members: Vec<(NodeId, Index, Vec<u8>)> = Vec::with_capacity(state.count());
    for (id, member) in state.members().enumerate() {
        let node = member.node();
        longest = longest.max(node.log().last().index);
        if node.is_leader() {
            waiting += member.replica.waiting_requests();
        }
        let applied = node.log().entries().take_while(|entry| entry.id.index <= node.applied_index());
        let machine = applied.filter_map(|entry| match entry.payload {
            Payload::Command(command) => Some(command),
            Payload::Noop | Payload::Configuration(_) => None,
        });
        members.push((id_of(id), node.applied_index(), machine.collect()));
    }
    // Nothing is uncommitted for ever either: the end of the longest log counts as what must be applied.
    healed_replicas_converge(&members, longest)?;
    if (state.ledger.len() as u64) < longest.0 || waiting > 0 {
        return Err(stuck("an entry is not committed, or a client of the leader waits for ever"));
    }
    Ok(())
}

fn stuck(detail: &str) -> Broken {
    Broken { property: CONVERGENCE, detail: detail.to_owned() }
}
