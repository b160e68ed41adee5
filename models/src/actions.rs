//! What the world may do next, each action in a few words that can be read back.
//!
//! Left out: when an action is possible and what it does ([`environment`](crate::environment)).

use std::fmt;
use std::str::FromStr;

use dkv::raft::{MessageKind, Timer};
use dkv::replica::Forward;

use crate::state::Packet;

/// Something the world may do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A packet of a link arrives: the oldest, or any if links keep no order.
    Deliver(Way),
    /// A packet arrives, and once more later.
    Duplicate(Way),
    /// A packet is lost.
    Drop(Way),
    /// A member's disk completes its oldest writes.
    Sync {
        /// Whose disk.
        id: usize,
        /// How many writes.
        count: u32,
    },
    /// A client asks a member to apply the next command.
    Propose {
        /// Which member.
        at: usize,
    },
    /// A client sends a command of its session again.
    Retry {
        /// Which member it asks now.
        at: usize,
        /// Which proposal, counted from 1.
        of: u8,
    },
    /// A client asks a member for a linearizable read.
    Read {
        /// Which member.
        at: usize,
    },
    /// A client that waits gives up.
    GiveUp {
        /// Which member it asked.
        at: usize,
        /// What it asked for.
        of: Asked,
    },
    /// A timer fires.
    Fire {
        /// Whose.
        id: usize,
        /// Which.
        timer: Timer,
    },
    /// A member stops at once, and the oldest of its unsynced writes survive.
    Crash {
        /// Which member.
        id: usize,
        /// How many writes.
        keep: usize,
    },
    /// A member that is down starts from its disk.
    Restart {
        /// Which member.
        id: usize,
    },
    /// An operator asks a member for a snapshot.
    Compact {
        /// Which member.
        id: usize,
    },
    /// An operator asks a leader for the next change of members.
    Change {
        /// Which leader.
        at: usize,
    },
    /// An operator asks a leader to hand over.
    Transfer {
        /// Which leader.
        from: usize,
        /// To which voter.
        to: usize,
    },
    /// A member is cut off from all others, both ways.
    Partition {
        /// Which member.
        id: usize,
    },
    /// One direction is cut.
    Cut {
        /// Who is not heard any more.
        from: usize,
        /// By whom.
        to: usize,
    },
    /// All links are restored.
    Heal,
}

/// What a client asked for, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Asked {
    /// A proposal, for the first time.
    Proposal(u8),
    /// A read.
    Read(u8),
}

/// A packet on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Way {
    /// Who sent it.
    pub from: usize,
    /// Who gets it.
    pub to: usize,
    /// What it is.
    pub kind: Kind,
    /// Its position on the link: 0 where links are in order.
    pub position: u8,
}

/// The kind of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A message of consensus.
    Raft(MessageKind),
    /// A client's request on its way to the leader.
    Forward,
    /// The answer to it.
    Answer,
}

/// The kind of a packet.
#[must_use]
pub fn kind_of(packet: &Packet) -> Kind {
    match packet {
        Packet::Raft { envelope, .. } => Kind::Raft(envelope.message.kind()),
        Packet::Forward { forward: Forward::Propose { .. }, .. } => Kind::Forward,
        Packet::Forward { forward: Forward::Answer { .. }, .. } => Kind::Answer,
    }
}

impl Action {
    /// The names of the kinds of actions, for reports.
    pub const KINDS: [&str; 21] = [
        "deliver",
        "duplicate",
        "drop",
        "sync",
        "propose",
        "retry",
        "read",
        "give-up",
        "election",
        "leader-fresh",
        "check-quorum",
        "heartbeat",
        "give-up-transfer",
        "crash",
        "restart",
        "compact",
        "change",
        "transfer",
        "partition",
        "cut",
        "heal",
    ];

    /// The position of this action's kind in [`Action::KINDS`].
    #[must_use]
    pub fn kind(self) -> usize {
        match self {
            Action::Deliver(_) => 0,
            Action::Duplicate(_) => 1,
            Action::Drop(_) => 2,
            Action::Sync { .. } => 3,
            Action::Propose { .. } => 4,
            Action::Retry { .. } => 5,
            Action::Read { .. } => 6,
            Action::GiveUp { .. } => 7,
            Action::Fire { timer, .. } => 8 + timer as usize,
            Action::Crash { .. } => 13,
            Action::Restart { .. } => 14,
            Action::Compact { .. } => 15,
            Action::Change { .. } => 16,
            Action::Transfer { .. } => 17,
            Action::Partition { .. } => 18,
            Action::Cut { .. } => 19,
            Action::Heal => 20,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Raft(kind) => write!(f, "{kind:?}"),
            Kind::Forward => f.write_str("Forward"),
            Kind::Answer => f.write_str("Answer"),
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Way { from, to, kind, position } = self;
        write!(f, "{kind} n{from}→n{to}")?;
        if *position > 0 { write!(f, " position {position}") } else { Ok(()) }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Action::Deliver(way) => write!(f, "deliver {way}"),
            Action::Duplicate(way) => write!(f, "duplicate {way}"),
            Action::Drop(way) => write!(f, "drop {way}"),
            Action::Sync { id, count } => write!(f, "sync {count} of n{id}"),
            Action::Propose { at } => write!(f, "propose at n{at}"),
            Action::Retry { at, of } => write!(f, "retry {of} at n{at}"),
            Action::Read { at } => write!(f, "read at n{at}"),
            Action::GiveUp { at, of: Asked::Proposal(of) } => write!(f, "give up proposal {of} at n{at}"),
            Action::GiveUp { at, of: Asked::Read(of) } => write!(f, "give up read {of} at n{at}"),
            Action::Fire { id, timer } => write!(f, "fire {timer:?} of n{id}"),
            Action::Crash { id, keep } => write!(f, "crash n{id} keeping {keep}"),
            Action::Restart { id } => write!(f, "restart n{id}"),
            Action::Compact { id } => write!(f, "compact n{id}"),
            Action::Change { at } => write!(f, "change members at n{at}"),
            Action::Transfer { from, to } => write!(f, "transfer n{from}→n{to}"),
            Action::Partition { id } => write!(f, "partition n{id}"),
            Action::Cut { from, to } => write!(f, "cut n{from}→n{to}"),
            Action::Heal => write!(f, "heal"),
        }
    }
}

/// Reads what [`Action`] prints.
impl FromStr for Action {
    type Err = String;

    fn from_str(text: &str) -> Result<Action, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        parse(&words).ok_or_else(|| format!("`{text}` is no action"))
    }
}

fn parse(words: &[&str]) -> Option<Action> {
    let id = |word: &str| word.strip_prefix('n')?.parse::<usize>().ok();
    let ends = |word: &str| {
        let (from, to) = word.split_once('→')?;
        Some((id(from)?, id(to)?))
    };
    let way = |kind: &str, ends_word: &str, position: &str| {
        let (from, to) = ends(ends_word)?;
        Some(Way { from, to, kind: kind_named(kind)?, position: position.parse().ok()? })
    };
    Some(match *words {
        ["deliver", kind, ends] => Action::Deliver(way(kind, ends, "0")?),
        ["deliver", kind, ends, "position", at] => Action::Deliver(way(kind, ends, at)?),
        ["duplicate", kind, ends] => Action::Duplicate(way(kind, ends, "0")?),
        ["duplicate", kind, ends, "position", at] => Action::Duplicate(way(kind, ends, at)?),
        ["drop", kind, ends] => Action::Drop(way(kind, ends, "0")?),
        ["drop", kind, ends, "position", at] => Action::Drop(way(kind, ends, at)?),
        ["sync", count, "of", of] => Action::Sync { id: id(of)?, count: count.parse().ok()? },
        ["propose", "at", at] => Action::Propose { at: id(at)? },
        ["retry", of, "at", at] => Action::Retry { at: id(at)?, of: of.parse().ok()? },
        ["read", "at", at] => Action::Read { at: id(at)? },
        ["give", "up", what, of, "at", at] => {
            let of = of.parse().ok()?;
            let of = match what {
                "proposal" => Asked::Proposal(of),
                "read" => Asked::Read(of),
                _ => return None,
            };
            Action::GiveUp { at: id(at)?, of }
        }
        ["fire", timer, "of", of] => Action::Fire {
            id: id(of)?,
            timer: Timer::ALL.into_iter().find(|known| format!("{known:?}") == timer)?,
        },
        ["crash", of, "keeping", keep] => Action::Crash { id: id(of)?, keep: keep.parse().ok()? },
        ["restart", of] => Action::Restart { id: id(of)? },
        ["compact", of] => Action::Compact { id: id(of)? },
        ["change", "members", "at", at] => Action::Change { at: id(at)? },
        ["transfer", way] => ends(way).map(|(from, to)| Action::Transfer { from, to })?,
        ["partition", of] => Action::Partition { id: id(of)? },
        ["cut", way] => ends(way).map(|(from, to)| Action::Cut { from, to })?,
        ["heal"] => Action::Heal,
        _ => return None,
    })
}

fn kind_named(name: &str) -> Option<Kind> {
    let raft = MessageKind::ALL.into_iter().map(Kind::Raft);
    raft.chain([Kind::Forward, Kind::Answer]).find(|kind| kind.to_string() == name)
}
