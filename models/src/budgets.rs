//! How often what may happen: the bounds of a configuration, and what of them a run has used.
//!
//! Both are one row of small numbers. What is used is part of the state, so that the bounds cut off no path
//! that another order of the same actions would reach. Left out: bounds on what follows from these by
//! itself, such as deliveries, syncs, restarts and heals.

use std::fmt;

use dkv::raft::Timer;

/// Something that a configuration bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Budget {
    /// Commands that clients propose, each once.
    Proposals,
    /// Commands of a session that its client sends again.
    Retries,
    /// Reads by clients.
    Reads,
    /// Clients that give up.
    GiveUps,
    /// Election timers that fire.
    Elections,
    /// Timers after which a leader is not fresh any more.
    Staleness,
    /// Leaders' checks of their quorum.
    QuorumChecks,
    /// Heartbeat timers that fire.
    Heartbeats,
    /// Transfers that are given up.
    TransferTimers,
    /// Partitions of one replica from all others.
    Partitions,
    /// Cuts of one direction.
    Cuts,
    /// Crashes.
    Crashes,
    /// Snapshots that an operator asks for.
    Compactions,
    /// Changes of members.
    Changes,
    /// Transfers of leadership.
    Transfers,
    /// Packets that arrive and stay on the link.
    Duplicates,
    /// Packets that are lost.
    Drops,
}

impl Budget {
    /// Every budget, in the order of declaration.
    pub const ALL: [Budget; 17] = [
        Budget::Proposals,
        Budget::Retries,
        Budget::Reads,
        Budget::GiveUps,
        Budget::Elections,
        Budget::Staleness,
        Budget::QuorumChecks,
        Budget::Heartbeats,
        Budget::TransferTimers,
        Budget::Partitions,
        Budget::Cuts,
        Budget::Crashes,
        Budget::Compactions,
        Budget::Changes,
        Budget::Transfers,
        Budget::Duplicates,
        Budget::Drops,
    ];

    /// The budget of a timer's firings.
    #[must_use]
    pub fn of_timer(timer: Timer) -> Budget {
        match timer {
            Timer::Election => Budget::Elections,
            Timer::LeaderFresh => Budget::Staleness,
            Timer::CheckQuorum => Budget::QuorumChecks,
            Timer::Heartbeat => Budget::Heartbeats,
            Timer::Transfer => Budget::TransferTimers,
        }
    }
}

/// A number for every budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Counts([u8; Budget::ALL.len()]);

impl Counts {
    /// These numbers, and 0 for all others.
    #[must_use]
    pub fn of(numbers: &[(Budget, u8)]) -> Counts {
        let mut counts = Counts::default();
        for (budget, number) in numbers {
            counts.0[*budget as usize] = *number;
        }
        counts
    }

    /// The number of a budget.
    #[must_use]
    pub fn get(&self, budget: Budget) -> u8 {
        self.0[budget as usize]
    }

    /// One more is used. Returns the new number.
    pub fn spend(&mut self, budget: Budget) -> u8 {
        self.0[budget as usize] += 1;
        self.0[budget as usize]
    }

    /// The budgets of which not everything is used.
    #[must_use]
    pub fn left_of(&self, bounds: &Counts) -> Left {
        let pairs = self.0.iter().zip(&bounds.0).enumerate();
        Left(pairs.fold(0, |left, (at, (used, bound))| left | u32::from(used < bound) << at))
    }

    /// All numbers in a few words, for a hash.
    #[must_use]
    pub fn words(&self) -> [u64; 3] {
        let mut words = [0; 3];
        for (word, bytes) in words.iter_mut().zip(self.0.chunks(8)) {
            *word = bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
        }
        words
    }
}

/// Budgets of which something is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left(u32);

impl Left {
    /// Whether something is left of this one.
    #[must_use]
    pub fn has(self, budget: Budget) -> bool {
        self.0 & 1 << budget as u32 != 0
    }

    /// Whether nothing is left of anything.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// The numbers that are not 0: `2 proposals, 1 crashes`.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let used = Budget::ALL.iter().filter(|budget| self.get(**budget) > 0);
        let list: Vec<String> = used
            .map(|budget| format!("{} {}", self.get(*budget), format!("{budget:?}").to_lowercase()))
            .collect();
        f.write_str(if list.is_empty() { "nothing" } else { "" })?;
        f.write_str(&list.join(", "))
    }
}
