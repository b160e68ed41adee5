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
use super::shrink::{Fingerprint, Settling, Step};
use super::world::{Failure, StoreOf, World};
use crate::cluster::trace::Fnv;
use crate::cluster::{Cluster, Packet, Policies};
use crate::kv;
use crate::raft::Message;
use crate::replica::{self, Forward};

/// How many calms a replay goes on with before it holds. Whether a cluster gets stuck may depend on who stays
/// away.
const CALMS_MAX: u64 = 4;

/// How often everything moves once before a replay goes on with a world that does not settle.
const SETTLING_ROUNDS_MAX: usize = 100;

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
        let settles = step.settling == Settling::After;
        if carry_out(&mut world, step, kept) && settles {
            settle(&mut world, kept);
        }
        if world.failure().is_some() {
            break;
        }
    }
    if name == LIVENESS && world.failure().is_none() {
        let actions: Vec<Action> = kept.iter().map(|step| step.action.clone()).collect();
        return stuck_calm::<P, K>(plan, &actions, seed)?.world().failure().cloned();
    }
    world.close_round();
    world.failure().filter(|failure| failure.name == name).cloned()
}

/// The first of several calms after these actions that does not come to rest.
pub(super) fn stuck_calm<P: Policies, K: kv::Rules>(
    plan: &Plan,
    actions: &[Action],
    seed: u64,
) -> Option<Run<P, K>>
where
    StoreOf<K>: Default,
{
    let mut calms = (0..CALMS_MAX).map(|number| {
        // A world cannot be copied; it is brought about once more.
        let mut world = World::<P, K>::new(plan.members, plan.clients, plan.options.clone());
        actions.iter().for_each(|action| {
            world.perform(action);
        });
        let mut calm = Run::continued(plan, world, seed.wrapping_add(number));
        calm.finish();
        calm
    });
    calms.find(|calm| calm.world().failure().is_some_and(|failure| failure.name == LIVENESS))
}

/// Returns whether there was anything to do.
fn carry_out<P: Policies, K: kv::Rules>(world: &mut World<P, K>, step: Step, kept: &mut Vec<Step>) -> bool
where
    StoreOf<K>: Default,
{
    let action = step.action.clone();
    kept.push(step);
    let acted = world.perform(&action);
    if !acted {
        kept.pop();
    }
    acted
}

/// Lets all that is under way arrive and syncs all that is written, until nothing moves.
fn settle<P: Policies, K: kv::Rules>(world: &mut World<P, K>, kept: &mut Vec<Step>)
where
    StoreOf<K>: Default,
{
    for _ in 0..SETTLING_ROUNDS_MAX {
        let messages = world
            .cluster()
            .links()
            .loaded()
            .into_iter()
            .flat_map(|(link, count)| (0..count).map(move |_| Action::Deliver { link, position: 0 }));
        let unsynced = world.cluster().members().iter().filter(|(_, member)| member.replica().is_some());
        let syncs = unsynced.map(|(id, member)| (*id, member.disk().pending() as u32));
        let syncs = syncs.filter(|(_, count)| *count > 0).map(|(id, count)| Action::Sync { id, count });
        let actions: Vec<Action> = messages.chain(syncs).collect();
        if actions.is_empty() {
            return;
        }
        for action in actions {
            let step = Step::added(action);
            let Some(step) = find(world.cluster(), &step) else { continue };
            carry_out(world, Step { settling: Settling::Part, ..step }, kept);
            if world.failure().is_some() {
                return;
            }
        }
    }
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
                // Its place among its like, or the last of them.
                let kind = || {
                    let all = under_way().enumerate();
                    let alike = all.filter(|(_, message)| message.kind == wanted.kind).map(|(at, _)| at);
                    alike.take(wanted.rank + 1).last()
                };
                *position = whole.or_else(gist).or_else(kind)? as u32;
            }
            let at = *position as usize;
            found.message = under_way().nth(at).map(|message| Fingerprint {
                rank: under_way().take(at).filter(|ahead| ahead.kind == message.kind).count(),
                ..message
            });
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
    Fingerprint { whole: whole.finish(), gist: gist.finish(), kind, rank: 0 }
}
