//! What an action is about, and what it could be instead: the knowledge of the alphabet that shrinking needs.
//!
//! Left out: simpler requests of clients.

use alloc::vec::Vec;

use super::Step;
use crate::cluster::links::Link;
use crate::raft::{MemberChange, NodeId, Timer};
use crate::sim::action::{Action, ClientNumber};

/// What steps have in common that may be left out together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trait {
    Kind(u8),
    Timer(Timer),
    Client(ClientNumber),
    Member(NodeId),
    Link(Link),
    Gist(Link, u64),
}

/// The action in a cluster that `gone`, one of so many founding members, is no part of: the founding members
/// after it have the names before theirs. Nothing if it is about that member.
pub(super) fn without_member(action: &Action, gone: NodeId, members: u64) -> Option<Action> {
    let of = |id: NodeId| {
        let is_after = id > gone && id.0 < members;
        (id != gone).then_some(if is_after { NodeId(id.0 - 1) } else { id })
    };
    let link = |(from, to): Link| of(from).zip(of(to));
    let links = |links: &[Link]| links.iter().filter_map(|one| link(*one)).collect();
    let change = |change: &MemberChange| {
        Some(match change {
            MemberChange::AddLearner(id) => MemberChange::AddLearner(of(*id)?),
            MemberChange::Promote(id) => MemberChange::Promote(of(*id)?),
            MemberChange::Remove(id) => MemberChange::Remove(of(*id)?),
        })
    };
    let mut action = action.clone();
    match &mut action {
        Action::Deliver { link: on, .. }
        | Action::Drop { link: on, .. }
        | Action::Duplicate { link: on, .. } => {
            *on = link(*on)?;
        }
        Action::Sync { id, .. }
        | Action::Timeout { id, .. }
        | Action::Crash { id, .. }
        | Action::Restart(id)
        | Action::BackUp(id)
        | Action::LoseDisk(id)
        | Action::RollBackDisk(id)
        | Action::SetClockRate { id, .. }
        | Action::Compact(id)
        | Action::Join(id)
        | Action::Retire(id) => *id = of(*id)?,
        Action::OpenSession { at, .. } | Action::Call { at, .. } | Action::Retry { at, .. } => *at = of(*at)?,
        Action::GiveUp { .. } | Action::Replace { .. } => {}
        Action::Cut(all) | Action::Restore(all) => *all = links(all),
        Action::ChangeMembers { at, changes } => {
            *at = of(*at)?;
            *changes = changes.iter().filter_map(change).collect();
            if changes.is_empty() {
                return None; // It was about that member, and the language has no change of nothing.
            }
        }
        Action::Transfer { at, to } => (*at, *to) = (of(*at)?, of(*to)?),
    }
    Some(action)
}

/// Whether the action names a message by where it is.
pub(super) fn is_about_position(action: &Action) -> bool {
    matches!(action, Action::Deliver { .. } | Action::Drop { .. } | Action::Duplicate { .. })
}

/// Simpler forms of an action, the simplest first.
pub(super) fn simpler_actions(action: &Action) -> Vec<Action> {
    match action {
        Action::Deliver { link, position } if *position > 0 => {
            Vec::from([Action::Deliver { link: *link, position: 0 }])
        }
        Action::Crash { id, keep } if *keep > 0 => Vec::from([Action::Crash { id: *id, keep: 0 }]),
        Action::Cut(links) => fewer(links).map(Action::Cut).collect(),
        Action::Restore(links) => fewer(links).map(Action::Restore).collect(),
        Action::ChangeMembers { at, changes } => {
            fewer(changes).map(|changes| Action::ChangeMembers { at: *at, changes }).collect()
        }
        _ => Vec::new(),
    }
}

/// Lists with one element, then lists that lack one.
fn fewer<T: Clone>(list: &[T]) -> impl Iterator<Item = Vec<T>> + '_ {
    let is_long = list.len() > 1;
    let single = list.iter().filter(move |_| is_long).map(|one| Vec::from([one.clone()]));
    let lacking = (0..list.len()).filter(move |_| is_long).map(|out| {
        let rest = list.iter().enumerate().filter(move |(at, _)| *at != out);
        rest.map(|(_, one)| one.clone()).collect()
    });
    single.chain(lacking)
}

/// The number of the action's kind, those first that matter least.
fn kind(action: &Action) -> u8 {
    match action {
        Action::SetClockRate { .. } => 0,
        Action::Drop { .. } => 1,
        Action::Duplicate { .. } => 2,
        Action::Restore(_) => 3,
        Action::Cut(_) => 4,
        Action::BackUp(_) => 5,
        Action::RollBackDisk(_) => 6,
        Action::LoseDisk(_) => 7,
        Action::Retire(_) => 8,
        Action::Transfer { .. } => 9,
        Action::Compact(_) => 10,
        Action::GiveUp { .. } => 11,
        Action::Replace { .. } => 12,
        Action::Retry { .. } => 13,
        Action::OpenSession { .. } => 14,
        Action::ChangeMembers { .. } => 15,
        Action::Join(_) => 16,
        Action::Restart(_) => 17,
        Action::Crash { .. } => 18,
        Action::Timeout { .. } => 19,
        Action::Call { .. } => 20,
        Action::Sync { .. } => 21,
        Action::Deliver { .. } => 22,
    }
}

pub(super) fn traits(step: &Step) -> Vec<Trait> {
    let mut traits = Vec::from([Trait::Kind(kind(&step.action))]);
    match &step.action {
        Action::Deliver { link, .. } | Action::Drop { link, .. } | Action::Duplicate { link, .. } => {
            traits.extend([Trait::Link(*link), Trait::Member(link.0), Trait::Member(link.1)]);
            traits.extend(step.message.map(|message| Trait::Gist(*link, message.gist)));
        }
        Action::Timeout { id, timer } => traits.extend([Trait::Timer(*timer), Trait::Member(*id)]),
        Action::Sync { id, .. }
        | Action::Crash { id, .. }
        | Action::Restart(id)
        | Action::BackUp(id)
        | Action::LoseDisk(id)
        | Action::RollBackDisk(id)
        | Action::SetClockRate { id, .. }
        | Action::Compact(id)
        | Action::Join(id)
        | Action::Retire(id) => traits.push(Trait::Member(*id)),
        Action::OpenSession { client, at }
        | Action::Call { client, at, .. }
        | Action::Retry { client, at } => traits.extend([Trait::Client(*client), Trait::Member(*at)]),
        Action::GiveUp { client } | Action::Replace { client } => traits.push(Trait::Client(*client)),
        Action::ChangeMembers { at, .. } | Action::Transfer { at, .. } => traits.push(Trait::Member(*at)),
        Action::Cut(_) | Action::Restore(_) => {}
    }
    traits
}
