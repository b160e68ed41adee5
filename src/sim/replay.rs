//! Replays: a list of actions carried out in a fresh world, and whether it fails as before.
//!
//! A safety failure is found by the action that causes it. Two others need an end: what clients saw is judged
//! when a round is closed, and `liveness` is found in the calm after the storm, so a replay of it goes on
//! with a calm of its own, drawn from a given seed, until the world is at rest or should have been.
//!
//! Time stands still in a replay, because timers are fired by actions; that changes nothing that is checked.
//! Rounds are not told apart either: all that clients saw is one history.
//!
//! Left out: panics. Where a node's own assertion stops a replay, whoever asked for it catches the panic and
//! finds in `kept` how far it came, the fatal step last.

use alloc::vec::Vec;
use core::hash::{Hash, Hasher};

use super::Run;
use super::action::Action;
use super::plan::Plan;
use super::shrink::{Fingerprint, Step};
use super::world::{Failure, StoreOf, World};
use crate::cluster::trace::Fnv;
use crate::cluster::{Cluster, Packet, Policies};
use crate::kv;
use crate::raft::Message;
use crate::replica::{self, Forward};

/// The name of the failure that only a calm finds.
pub const LIVENESS: &str = "liveness";

/// Carries out a list of actions literally, and judges what clients saw.
#[must_use]
pub fn replay<P: Policies, K: kv::Rules>(plan: &Plan, actions: &[Action]) -> World<P, K>
where
    StoreOf<K>: Default,
{
    let mut world = World::new(plan.members, plan.clients, plan.options.clone());
    for action in actions {
        world.perform(action);
    }
    world.close_round();
    world
}

/// Carries out steps, each on the message it was about before, and returns the failure if it is that of
/// this name. The steps that did something are added to `kept` as they are carried out.
pub fn reproduce<P: Policies, K: kv::Rules>(
    plan: &Plan,
    steps: &[Step],
    name: &str,
    seed: u64,
    kept: &mut Vec<Step>,
) -> Option<Failure>
where
    StoreOf<K>: Default,
{
    let mut world = World::<P, K>::new(plan.members, plan.clients, plan.options.clone());
    for step in steps {
        let Some(step) = find(world.cluster(), step) else { continue };
        let action = step.action.clone();
        kept.push(step);
        if !world.perform(&action) {
            kept.pop();
        }
        if world.failure().is_some() {
            break;
        }
    }
    if name == LIVENESS && world.failure().is_none() {
        let report = Run::continued(plan, world, seed).finish();
        return report.failure.filter(|failure| failure.name == name);
    }
    world.close_round();
    world.failure().filter(|failure| failure.name == name).cloned()
}

/// The step as it can be carried out now; nothing if its message was never sent.
fn find<P: Policies, K: kv::Rules>(cluster: &Cluster<StoreOf<K>, P>, step: &Step) -> Option<Step>
where
    StoreOf<K>: Default,
{
    let pending = |id| cluster.members().get(id).map_or(0, |member| member.disk().pending()) as u32;
    let mut found = step.clone();
    match &mut found.action {
        Action::Deliver { link, position }
        | Action::Drop { link, position }
        | Action::Duplicate { link, position } => {
            let under_way = || cluster.links().on(*link).map(fingerprint::<K>);
            if let Some(wanted) = step.message {
                let whole = under_way().position(|message| message.whole == wanted.whole);
                let gist = || under_way().position(|message| message.gist == wanted.gist);
                let kind = || under_way().position(|message| message.kind == wanted.kind);
                *position = whole.or_else(gist).or_else(kind)? as u32;
            }
            found.message = under_way().nth(*position as usize);
        }
        Action::Sync { id, count } => *count = (*count).min(pending(id)),
        Action::Crash { id, keep } => *keep = (*keep).min(pending(id)),
        _ => {}
    }
    Some(found)
}

fn fingerprint<K: kv::Rules>(packet: &Packet<StoreOf<K>>) -> Fingerprint
where
    StoreOf<K>: Default,
{
    let mut gist = Fnv::default();
    let kind = match packet {
        replica::Packet::Raft { envelope, .. } => {
            let kind = envelope.message.kind();
            (envelope.term, kind).hash(&mut gist);
            match &envelope.message {
                Message::AppendEntries { prev, entries, .. } => (prev, entries).hash(&mut gist),
                Message::Heartbeat { commit, .. } => commit.hash(&mut gist),
                Message::HeartbeatResponse { .. }
                | Message::ReadIndex { .. }
                | Message::ReadIndexResponse { .. } => {}
                message => message.hash(&mut gist),
            }
            kind as u8
        }
        replica::Packet::Forward { forward: Forward::Propose { command, .. }, .. } => {
            command.hash(&mut gist);
            u8::MAX
        }
        replica::Packet::Forward { forward: Forward::Answer { outcome, .. }, .. } => {
            outcome.hash(&mut gist);
            u8::MAX - 1
        }
    };
    let mut whole = Fnv::default();
    packet.hash(&mut whole);
    Fingerprint { whole: whole.finish(), gist: gist.finish(), kind }
}
